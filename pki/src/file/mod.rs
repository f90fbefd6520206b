//! What people keep certificates, CRLs and keys in, told apart by what stands there and not by a file's name.
//!
//! PEM (RFC 7468) with any mixture of blocks; DER of a certificate, a CRL, a private key (PKCS#8, also enciphered,
//! SEC1, PKCS#1), PKCS#7 or CMS "certs-only" (RFC 5652 §5.1) and PKCS#12 (RFC 7292). CRLs are found and handed on as
//! octets: what they say is for others to read. Everything has a cap, and what a password costs is counted
//! ([`crate::password::Effort`]), because the file may be a stranger's.

pub mod pkcs12;
pub mod pkcs7;
mod written;

use crate::der::{DerError, Reader, tag};
use crate::key::{KeyFileError, PrivateKey};
use crate::oid::Oid;
use crate::password::{Effort, Password};
use crate::pem::{self, Block, PemError};
use crate::x509::{Certificate, CertificateError};
pub use written::{certificates_pem, key_der, key_pem};

use pkcs7::Pkcs7Error;
use pkcs12::Pkcs12Error;

/// Largest file accepted, in octets.
pub const MAX_FILE: usize = pem::MAX_TEXT;
/// Most certificates accepted from one file.
pub const MAX_CERTIFICATES: usize = crate::x509::MAX_BUNDLE;
/// Most CRLs accepted from one file.
pub const MAX_CRLS: usize = 100;

/// What a file holds, in its order.
#[derive(Debug, Default)]
pub struct Contents {
    /// Certificates.
    pub certificates: Vec<Certificate>,
    /// The private key: one at most.
    pub key: Option<PrivateKey>,
    /// CRLs, DER, not looked into.
    pub crls: Vec<Vec<u8>>,
}

/// Why a file cannot be used. The fault of whoever made it, or of the password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// More octets than [`MAX_FILE`].
    #[error("{0} octets are more than the {MAX_FILE} accepted")]
    TooLarge(usize),
    /// The text is not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The first octets are those of none of the formats.
    #[error("neither PEM nor the DER of a certificate, CRL, private key, PKCS#7 or PKCS#12: {0}")]
    Unknown(DerError),
    /// A certificate in it cannot be used.
    #[error("{}{error}", place(*line))]
    Certificate {
        /// Line on which its block begins; 0 in DER.
        line: usize,
        /// What is wrong with it.
        error: CertificateError,
    },
    /// The private key in it cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The PKCS#7 in it cannot be used.
    #[error("PKCS#7: {0}")]
    Pkcs7(#[from] Pkcs7Error),
    /// The PKCS#12 in it cannot be used.
    #[error("PKCS#12: {0}")]
    Pkcs12(#[from] Pkcs12Error),
    /// More of something than is accepted.
    #[error("more than {limit} {what} in one file")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are accepted.
        limit: usize,
    },
    /// There is nothing in it that is kept here.
    #[error("neither certificate nor CRL nor private key in the file{0}")]
    Nothing(String),
}

fn place(line: usize) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

/// Reads a file of any of the formats.
///
/// # Errors
/// What is wrong with it; [`KeyFileError::Encrypted`] where a password is needed and none is given.
pub fn read(bytes: &[u8], password: Option<&Password>) -> Result<Contents, FileError> {
    if bytes.len() > MAX_FILE {
        return Err(FileError::TooLarge(bytes.len()));
    }
    if pem::looks_like_pem(bytes) { read_pem(bytes, password) } else { read_der(bytes, password) }
}

fn read_pem(text: &[u8], password: Option<&Password>) -> Result<Contents, FileError> {
    let blocks = pem::blocks(text)?;
    let mut contents = Contents::default();
    for block in &blocks {
        add_block(&mut contents, block)?;
        contents.check()?;
    }
    if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
        contents.key = Some(PrivateKey::from_pem(text, password)?);
    }
    if contents.is_empty() {
        let labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).take(10).collect();
        return Err(FileError::Nothing(format!(": it holds {}", labels.join(", "))));
    }
    Ok(contents)
}

/// Takes in a block other than a key; unknown ones (EC parameters, for one) are passed over.
fn add_block(contents: &mut Contents, block: &Block) -> Result<(), FileError> {
    match &*block.label {
        // RFC 7468 §5.1: "CERTIFICATE", and the older label parsers may accept.
        "CERTIFICATE" | "X509 CERTIFICATE" => {
            let parsed = Certificate::from_der(&block.der);
            contents
                .certificates
                .push(parsed.map_err(|error| FileError::Certificate { line: block.line, error })?);
        }
        "X509 CRL" => contents.crls.push(block.der.to_vec()),
        "PKCS7" | "CMS" => contents.append(pkcs7::read(&block.der)?),
        _ => {}
    }
    Ok(())
}

fn read_der(der: &[u8], password: Option<&Password>) -> Result<Contents, FileError> {
    let mut contents = Contents::default();
    match shape(der).map_err(FileError::Unknown)? {
        Shape::Certificate => {
            let one =
                Certificate::from_der(der).map_err(|error| FileError::Certificate { line: 0, error })?;
            contents.certificates.push(one);
        }
        Shape::Crl => contents.crls.push(der.to_vec()),
        Shape::Pkcs7 => contents = pkcs7::read(der)?,
        Shape::Pkcs12 => {
            let password = password.ok_or(FileError::Key(KeyFileError::Encrypted))?;
            contents = pkcs12::read(der, password, &mut Effort::default())?;
        }
        Shape::Key => contents.key = Some(PrivateKey::from_der(der, password)?),
    }
    contents.check()?;
    if contents.is_empty() { Err(FileError::Nothing(String::new())) } else { Ok(contents) }
}

impl Contents {
    fn append(&mut self, other: Contents) {
        self.certificates.extend(other.certificates);
        self.crls.extend(other.crls);
    }

    fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.key.is_none() && self.crls.is_empty()
    }

    fn check(&self) -> Result<(), FileError> {
        let counts = [
            ("certificates", self.certificates.len(), MAX_CERTIFICATES),
            ("CRLs", self.crls.len(), MAX_CRLS),
        ];
        match counts.into_iter().find(|(_, count, limit)| count > limit) {
            Some((what, _, limit)) => Err(FileError::TooMany { what, limit }),
            None => Ok(()),
        }
    }
}

enum Shape {
    Certificate,
    Crl,
    Pkcs7,
    Pkcs12,
    Key,
}

/// What a DER file is, by its first elements.
fn shape(der: &[u8]) -> Result<Shape, DerError> {
    let mut outer = Reader::within(der, tag::SEQUENCE)?;
    let first = outer.element()?;
    match first.tag {
        tag::OID => Ok(Shape::Pkcs7),
        // PFX (RFC 7292 §4) has version 3, keys have 0 or 1.
        tag::INTEGER if first.small()? == 3 => Ok(Shape::Pkcs12),
        tag::INTEGER => Ok(Shape::Key),
        tag::SEQUENCE if first.reader().peek() == Some(tag::OID) => Ok(Shape::Key),
        tag::SEQUENCE => signed_shape(first.reader()),
        found => Err(DerError::Unexpected { expected: tag::SEQUENCE, found }),
    }
}

/// After version, algorithm and issuer a certificate has a pair of instants, a CRL one (RFC 5280 §4.1, §5.1).
fn signed_shape(mut signed: Reader<'_>) -> Result<Shape, DerError> {
    signed.optional(tag::context_constructed(0))?;
    signed.optional(tag::INTEGER)?;
    signed.expect(tag::SEQUENCE)?;
    signed.expect(tag::SEQUENCE)?;
    Ok(match signed.peek() {
        Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => Shape::Crl,
        _ => Shape::Certificate,
    })
}

/// The OBJECT IDENTIFIER and the one `[0]` element of what CMS and PKCS#12 are made of: ContentInfo and the bags.
fn tagged<'a>(reader: &mut Reader<'a>) -> Result<(Oid, Reader<'a>), DerError> {
    let name = Oid::parse(reader.element()?)?;
    let value = reader.expect(tag::context_constructed(0))?;
    Ok((name, value.reader()))
}
