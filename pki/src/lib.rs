//! X.509 for IKE: certificates, keys, stores, path validation, identities and what became of them.
//!
//! The crate is pure: bytes and the current time come in as arguments, verdicts go out as values. It opens no
//! file and no socket, reads no clock and starts no thread. Reading files is left to the keeper, the choice of
//! anchors to the trust service, and everything an IKE message looks like to the IKE engine.
//!
//! Room by room: [`der`], [`oid`], [`pem`] and [`time`] are the ground; [`x509`] parses a certificate once into an
//! owned type; [`key`] makes keys, signs and verifies and knows the RFC 7427 names of algorithms; [`file`] reads and
//! writes what people keep all that in, under a [`password`] where it is secret; [`pkcs10`] asks a CA for a
//! certificate; [`sealed`] is a private key at rest; [`store`] holds anchors and intermediates; [`path`] builds and
//! validates a certification path (RFC 5280 §6); [`identity`] compares an IKE identity with a certificate (RFC 4945
//! §3.1); [`revocation`] knows whether it has been withdrawn since (RFC 5280 §5, RFC 6960); [`certreq`] speaks the
//! hashes of a CERTREQ payload (RFC 7296 §3.7), and [`hash_and_url`] reads what a peer's certificates were fetched as; [`verdict`] is what all of it amounts to, including what was *not*
//! checked.

#![forbid(unsafe_code)]

pub mod certreq;
pub mod der;
pub mod file;
pub mod hash_and_url;
pub mod identity;
pub mod key;
pub mod oid;
pub mod password;
pub mod path;
pub mod pem;
pub mod pkcs10;
pub mod revocation;
pub mod sealed;
pub mod store;
pub mod time;
pub mod verdict;
pub mod x509;

pub use key::{PrivateKey, PublicKey, SignatureScheme};
pub use time::UnixTime;
pub use x509::Certificate;
