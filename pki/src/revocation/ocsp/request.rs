//! OCSP requests (RFC 6960 §4.1) and how they travel over HTTP (RFC 5019 §5, RFC 6960 appendix A).

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use super::{IdHash, OcspError, Question};
use crate::der::tag;
use crate::der::write::{element, explicit, oid, sequence};
use crate::revocation::Issued;
use crate::{oid, pem};

/// The media type of a request.
pub const REQUEST_TYPE: &str = "application/ocsp-request";

/// Longest address of a GET, in octets (RFC 5019 §5): what is longer is posted.
const MAX_GET: usize = 255;

/// Octets that make an answer one to this request. RFC 9654 §2.1: 32 of them, random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce([u8; 32]);

impl Nonce {
    /// From randomness.
    pub const fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    pub(super) const fn octets(&self) -> &[u8] {
        &self.0
    }
}

/// How a request goes to a responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// GET of this address, which caches can answer.
    Get(String),
    /// POST to the responder's address: these octets, as [`REQUEST_TYPE`].
    Post(Vec<u8>),
}

/// Chooses how a request goes to the responder at `url`.
pub fn carriage(url: &str, request: &[u8]) -> Carriage {
    let address = format!("{}/{}", url.trim_end_matches('/'), in_path(request));
    let plain = !url.contains(['?', '#']);
    // RFC 5019 §5: GET when the whole address has at most 255 octets.
    if plain && address.len() <= MAX_GET { Carriage::Get(address) } else { Carriage::Post(request.to_vec()) }
}

/// Base64 (RFC 4648 §4), its three special characters escaped.
fn in_path(octets: &[u8]) -> String {
    pem::base64(octets).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

impl IdHash {
    const fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &SHA256,
        }
    }

    const fn oid(self) -> oid::Known {
        match self {
            Self::Sha1 => oid::SHA1,
            Self::Sha256 => oid::SHA256,
        }
    }

    /// The hash with this identifier.
    pub(super) fn of(kind: &[u8]) -> Option<Self> {
        [Self::Sha1, Self::Sha256].into_iter().find(|hash| hash.oid() == kind)
    }

    pub(super) fn digest(self, octets: &[u8]) -> Vec<u8> {
        digest(self.algorithm(), octets).as_ref().to_vec()
    }
}

/// CertID: a certificate by its issuer's name and key and its serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertificateId {
    pub(super) hash: IdHash,
    pub(super) issuer_name: Vec<u8>,
    pub(super) issuer_key: Vec<u8>,
    pub(super) serial: Vec<u8>,
}

/// The CertID of a certificate.
pub(super) fn certificate_id(issued: &Issued, hash: IdHash) -> Result<CertificateId, OcspError> {
    let key = issued.issuer.public_key.as_ref().map_err(|error| OcspError::Key(error.clone()))?;
    Ok(CertificateId {
        hash,
        // RFC 6960 §4.1.1: of the issuer's name field in the certificate being checked.
        issuer_name: hash.digest(issued.certificate.issuer.der()),
        // RFC 6960 §4.1.1: of the value of the BIT STRING, without tag, length and number of unused bits.
        issuer_key: hash.digest(key.octets()),
        serial: issued.certificate.serial.clone(),
    })
}

impl CertificateId {
    fn to_der(&self) -> Vec<u8> {
        let algorithm = sequence(&[&oid(self.hash.oid()), &element(tag::NULL, &[])]);
        sequence(&[
            &algorithm,
            &element(tag::OCTET_STRING, &[&self.issuer_name]),
            &element(tag::OCTET_STRING, &[&self.issuer_key]),
            &element(tag::INTEGER, &[&self.serial]),
        ])
    }
}

impl Question {
    /// OCSPRequest ::= SEQUENCE { tbsRequest }, unsigned.
    pub fn to_der(&self) -> Result<Vec<u8>, OcspError> {
        let request = sequence(&[&certificate_id(&self.issued, self.hash)?.to_der()]);
        let list = sequence(&[&request]);
        let extensions = self.nonce.as_ref().map(extensions).unwrap_or_default();
        Ok(sequence(&[&sequence(&[&list, &extensions])]))
    }
}

/// requestExtensions, with the nonce alone.
fn extensions(nonce: &Nonce) -> Vec<u8> {
    let value = element(tag::OCTET_STRING, &[&element(tag::OCTET_STRING, &[nonce.octets()])]);
    let extension = sequence(&[&oid(oid::OCSP_NONCE), &value]);
    explicit(2, &sequence(&[&extension]))
}
