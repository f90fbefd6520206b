//! The CERT and CERTREQ payloads (RFC 7296 §3.6, §3.7). The certificates themselves are opaque here.

use super::codec::Reader;
use super::error::{EmitError, ParseError};
use super::limits;
use super::registry::CertificateEncoding;

const AUTHORITY_HASH: usize = 20;
/// SHA-1.
const HASH: usize = 20;

/// One certificate or something that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// How to read `data`.
    pub encoding: CertificateEncoding,
    /// For X.509 signature certificates, the DER.
    pub data: Vec<u8>,
}

/// What stands for certificates that lie elsewhere (RFC 7296 §3.6, encodings 12 and 13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashAndUrl {
    /// Whether it is a bundle of certificates and CRLs, and not one certificate.
    pub bundle: bool,
    /// SHA-1 of what lies there, DER.
    pub hash: [u8; HASH],
    /// Where: as it came, neither looked at nor to be believed.
    pub url: String,
}

/// A request for certificates under given authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The encoding asked for.
    pub encoding: CertificateEncoding,
    /// For X.509, SHA-1 hashes of the authorities' SubjectPublicKeyInfo, one after the other.
    pub authorities: Vec<u8>,
}

impl Certificate {
    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let encoding = CertificateEncoding::from(reader.u8()?);
        Ok(Self { encoding, data: reader.remainder().to_vec() })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        out.push(self.encoding.into());
        out.extend_from_slice(&self.data);
        Ok(())
    }
}

impl HashAndUrl {
    /// The hash and URL that a certificate payload is; `None` if it has another encoding, less than a hash, or a URL
    /// that is no text.
    pub fn of(certificate: &Certificate) -> Option<Self> {
        let bundle = match certificate.encoding {
            CertificateEncoding::HashAndUrlCertificate => false,
            CertificateEncoding::HashAndUrlBundle => true,
            _ => return None,
        };
        let (hash, url) = certificate.data.split_first_chunk()?;
        Some(Self { bundle, hash: *hash, url: str::from_utf8(url).ok()?.to_owned() })
    }

    /// As a certificate payload.
    pub fn payload(&self) -> Certificate {
        let encoding = match self.bundle {
            false => CertificateEncoding::HashAndUrlCertificate,
            true => CertificateEncoding::HashAndUrlBundle,
        };
        Certificate { encoding, data: [&self.hash[..], self.url.as_bytes()].concat() }
    }
}

impl CertificateRequest {
    /// A request for X.509 signature certificates under the authorities of these key hashes.
    pub fn x509(hashes: &[[u8; AUTHORITY_HASH]]) -> Self {
        Self { encoding: CertificateEncoding::X509Signature, authorities: hashes.concat() }
    }

    /// A request for OCSP responses (RFC 4806 §3.1). No responder is named: those are believed that sign with the
    /// authority's key, or with a certificate the authority has issued for it, and neither needs a name.
    pub fn ocsp() -> Self {
        Self { encoding: CertificateEncoding::OcspContent, authorities: Vec::new() }
    }

    /// A request for a public key (RFC 7670 §3). There is no authority to name.
    pub fn raw_key() -> Self {
        Self { encoding: CertificateEncoding::RawPublicKey, authorities: Vec::new() }
    }

    /// The key hashes of the authorities, if the encoding has any.
    pub fn hashes(&self) -> impl Iterator<Item = &[u8; AUTHORITY_HASH]> {
        let hashed = self.is_hashed().then_some(self.authorities.as_slice());
        hashed.unwrap_or_default().as_chunks::<AUTHORITY_HASH>().0.iter()
    }

    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let encoding = CertificateEncoding::from(reader.u8()?);
        let request = Self { encoding, authorities: reader.remainder().to_vec() };
        let length = request.authorities.len();
        if request.is_hashed() && !length.is_multiple_of(AUTHORITY_HASH) {
            return Err(ParseError::BadLength { what: "certificate authorities", length });
        }
        if length / AUTHORITY_HASH > limits::AUTHORITIES {
            return Err(ParseError::TooMany { what: "certificate authorities", limit: limits::AUTHORITIES });
        }
        Ok(request)
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        out.push(self.encoding.into());
        out.extend_from_slice(&self.authorities);
        Ok(())
    }

    /// Only these encodings define the value as a list of hashes (RFC 7296 §3.7).
    fn is_hashed(&self) -> bool {
        matches!(
            self.encoding,
            CertificateEncoding::X509Signature
                | CertificateEncoding::HashAndUrlCertificate
                | CertificateEncoding::HashAndUrlBundle
        )
    }
}
