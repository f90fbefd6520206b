//! One program for all of these: what they share is built once, and they run side by side.

mod common;

mod containers;
mod crl;
mod files;
mod ocsp;
mod path;
mod pkcs10;
mod pkits;
mod pyca;
mod revocation;
mod sealed;
mod signature_vectors;
mod stapled;
mod verdict;
mod webpki;
