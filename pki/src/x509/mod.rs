//! Certificates (RFC 5280 §4): parsed once, into an owned type that cannot be changed afterwards.
//!
//! [`Certificate::from_der`] reads the frame with this crate's own strict reader and then asks `x509-parser` for the
//! same fields: a certificate that two readers see differently is refused. Extensions that path validation decides
//! on are parsed here into types; a critical extension nobody here understands is recorded, because only path
//! validation may refuse it (RFC 5280 §4.2). Whether a certificate is to be *believed* is not known here.

mod extension;
mod frame;
mod general_name;
mod location;
mod name;
mod name_text;
mod printable;

use std::fmt;
use std::ops::Deref;

pub use extension::{
    BasicConstraints, Extensions, KeyUsage, NameConstraints, PolicyConstraints, PolicyMapping, Subtree,
};
pub(crate) use extension::{RawExtension, key_id_of_authority, only_element};
pub use general_name::GeneralName;
pub use location::{DistributionPoint, DistributionPointName};
pub use name::Name;

use crate::der::DerError;
use crate::key::{KeyError, PublicKey, SignatureScheme, UnsupportedAlgorithm};
use crate::pem::{self, PemError};
use crate::time::UnixTime;

/// Largest certificate accepted, in octets of DER: no IKE message carries a larger one (RFC 7296 §3.2).
pub const MAX_CERTIFICATE: usize = 65_535;

/// Most certificates accepted from one file: bundles of public roots have some 150.
pub const MAX_BUNDLE: usize = 1000;

/// A parsed certificate. Reads like [`Fields`]; cannot be modified.
#[derive(Clone)]
pub struct Certificate {
    der: Box<[u8]>,
    fields: Fields,
}

/// What a certificate says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fields {
    /// 1, 2 or 3.
    pub version: u8,
    /// The serial number in two's complement, as encoded (RFC 5280 §4.1.2.2).
    pub serial: Vec<u8>,
    /// Who issued it.
    pub issuer: Name,
    /// Whom it is about; may be empty when a critical subjectAltName says it (RFC 5280 §4.1.2.6).
    pub subject: Name,
    /// First instant of validity, inclusive.
    pub not_before: UnixTime,
    /// Last instant of validity, inclusive.
    pub not_after: UnixTime,
    /// The SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// The key in it, or why it is not one this crate verifies with.
    pub public_key: Result<PublicKey, KeyError>,
    /// How the certificate is signed, or why that is not accepted.
    pub signature_scheme: Result<SignatureScheme, UnsupportedAlgorithm>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The extensions path validation knows, and the critical ones it does not.
    pub extensions: Extensions,
    tbs: std::ops::Range<usize>,
}

/// Why bytes are not a certificate. The fault of whoever sent or stored them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// More octets than [`MAX_CERTIFICATE`].
    #[error("{0} octets are more than the {MAX_CERTIFICATE} a certificate may have")]
    TooLarge(usize),
    /// The encoding is broken somewhere.
    #[error("{field}: {error}")]
    Der {
        /// Where.
        field: &'static str,
        /// How.
        error: DerError,
    },
    /// A rule of RFC 5280 §4.1 is broken.
    #[error("{0}")]
    Profile(&'static str),
    /// An extension occurs twice (RFC 5280 §4.2).
    #[error("the extension {0} occurs twice")]
    DuplicateExtension(crate::oid::Oid),
    /// `x509-parser` reads the certificate differently, or not at all.
    #[error("two readers disagree about the {0}")]
    Ambiguous(&'static str),
}

/// Why a file holds no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The text is not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A block is not a certificate that can be used.
    #[error("line {line}: {error}")]
    Certificate {
        /// Line on which the block begins; 0 for a DER file.
        line: usize,
        /// What is wrong with it.
        error: CertificateError,
    },
    /// More certificates than [`MAX_BUNDLE`].
    #[error("more than {MAX_BUNDLE} certificates in one file")]
    TooMany,
    /// PEM, but no `CERTIFICATE` block in it.
    #[error("no certificate in the file; it holds {found}")]
    NoCertificate {
        /// The labels that are there.
        found: String,
    },
}

impl Certificate {
    /// Parses exactly one certificate; anything after it is refused.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::TooLarge(der.len()));
        }
        let fields = frame::parse(der)?;
        frame::second_opinion(der, &fields)?;
        Ok(Self { der: der.into(), fields })
    }

    /// Every certificate of a PEM text, in order; at least one. Other blocks are passed over.
    pub fn from_pem_bundle(text: &[u8]) -> Result<Vec<Self>, BundleError> {
        let blocks = pem::blocks(text)?;
        let mut found = Vec::new();
        // RFC 7468 §5.1: "CERTIFICATE", and the older label parsers may accept.
        for block in
            blocks.iter().filter(|block| ["CERTIFICATE", "X509 CERTIFICATE"].contains(&&*block.label))
        {
            if found.len() == MAX_BUNDLE {
                return Err(BundleError::TooMany);
            }
            let parsed = Self::from_der(&block.der);
            found.push(parsed.map_err(|error| BundleError::Certificate { line: block.line, error })?);
        }
        if found.is_empty() {
            let labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).collect();
            return Err(BundleError::NoCertificate { found: labels.join(", ") });
        }
        Ok(found)
    }

    /// Every certificate of a file: a PEM bundle, or one certificate in DER.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Vec<Self>, BundleError> {
        if pem::looks_like_pem(bytes) {
            return Self::from_pem_bundle(bytes);
        }
        let one = Self::from_der(bytes).map_err(|error| BundleError::Certificate { line: 0, error })?;
        Ok(vec![one])
    }

    /// The whole certificate, as it was given.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The TBSCertificate, which is what its signature covers.
    pub fn tbs(&self) -> &[u8] {
        self.der.get(self.fields.tbs.clone()).unwrap_or_default()
    }

    /// Whether issuer and subject are the same name (RFC 5280 §3.2: self-issued).
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// The serial number in hexadecimal, as vendors print it.
    pub fn serial_hex(&self) -> String {
        self.serial.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

impl Deref for Certificate {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.fields
    }
}

/// Two certificates are the same if their octets are.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

/// One line for people: subject, serial and issuer.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" (serial {}, issued by \"{}\")", self.subject, self.serial_hex(), self.issuer)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}
