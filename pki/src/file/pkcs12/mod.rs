//! PKCS#12 (RFC 7292): a key and its certificates in one file, under one password.
//!
//! Read and written here over this crate's strict DER and `pkcs5`. The crates there are either know the structures
//! alone and an older generation of DER (`pkcs12`), or let a file ask for any number of iterations. What older
//! programs write by default (RC2-40 and Triple-DES under SHA-1) is refused by name; a MAC under SHA-1 is read.

mod mac;
mod read;
mod write;

pub use read::read;
pub use write::{Identity, sealed, write};

use crate::der::DerError;
use crate::key::KeyFileError;
use crate::oid::Oid;
use crate::password::PasswordError;
use crate::x509::CertificateError;

/// Why it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs12Error {
    /// The structure is broken.
    #[error(transparent)]
    Der(#[from] DerError),
    /// It has no MAC: anybody who had it may have changed it.
    #[error("has no MAC, so that nothing tells whether it was changed; write it with one")]
    NoMac,
    /// Protected by a public key, or a MAC that is not read.
    #[error("{0} is not read here")]
    Unsupported(Oid),
    /// The password does not fit, or costs too much.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A certificate in it cannot be used.
    #[error("a certificate in it: {0}")]
    Certificate(#[from] CertificateError),
    /// The key in it cannot be used.
    #[error("the key in it: {0}")]
    Key(#[from] KeyFileError),
    /// More than one key: which one is meant cannot be known.
    #[error("holds more than one private key; keep one per file")]
    SeveralKeys,
}
