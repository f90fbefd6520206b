//! Keys and what they do: come to be, sign, verify, and name the way they do it.
//!
//! The arithmetic is aws-lc-rs; this room decides which keys and algorithms are acceptable at all, reads them from
//! the formats people keep them in, and maps them to the AlgorithmIdentifiers that X.509 (RFC 4055, RFC 5758,
//! RFC 8410) and IKE (RFC 7427) share. Where keys live, and who may ask for a signature, is the keeper's affair.

mod generate;
mod private;
mod public;
mod scheme;

pub use generate::{GenerateError, KeyKind};
pub use private::{KeyFileError, PrivateKey, SignError};
pub use public::{Curve, KeyError, PublicKey, PublicKeyFileError, VerifyError};
pub use scheme::{Hash, SignatureScheme, UnsupportedAlgorithm};

/// Smallest RSA modulus accepted unless a floor of the caller asks for more (NIST SP 800-131A).
pub const MIN_RSA_BITS: u32 = 2048;
/// Largest RSA modulus accepted: verification time grows with its square, and strangers choose it.
pub const MAX_RSA_BITS: u32 = 8192;
