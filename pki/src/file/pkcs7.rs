//! PKCS#7 and CMS as a bag of certificates and CRLs: SignedData that nobody has signed (RFC 5652 §5.1, "certs-only").
//!
//! Signatures in it, if any, are not looked at: what comes out is no more to be believed than what lies in a file.

use super::{Contents, MAX_CERTIFICATES, MAX_CRLS, tagged};
use crate::der::{DerError, Reader, tag, write};
use crate::oid::{self, Oid};
use crate::x509::{Certificate, CertificateError};

/// Why it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs7Error {
    /// Other content than SignedData.
    #[error("holds {0}, not signedData")]
    Content(Oid),
    /// A certificate in it cannot be used.
    #[error("certificate {number}: {error}")]
    Certificate {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        error: CertificateError,
    },
    /// The structure is broken.
    #[error(transparent)]
    Der(#[from] DerError),
}

/// Certificates and CRLs of a ContentInfo, DER.
///
/// # Errors
/// What is wrong with it.
pub fn read(der: &[u8]) -> Result<Contents, Pkcs7Error> {
    let (name, mut content) = tagged(&mut Reader::within(der, tag::SEQUENCE)?)?;
    if !name.is(oid::CMS_SIGNED_DATA) {
        return Err(Pkcs7Error::Content(name));
    }
    let mut signed = content.sequence()?;
    content.finish()?;
    signed.expect(tag::INTEGER)?;
    signed.expect(tag::SET)?;
    signed.expect(tag::SEQUENCE)?;
    let certificates = signed.optional(tag::context_constructed(0))?;
    let crls = signed.optional(tag::context_constructed(1))?;
    let mut number = 0;
    let certificate = |element: crate::der::Element<'_>| {
        number += 1;
        Certificate::from_der(element.raw).map_err(|error| Pkcs7Error::Certificate { number, error })
    };
    let nothing = || Reader::new(&[]);
    let certificates = certificates.map_or_else(nothing, |set| set.reader());
    let crls = crls.map_or_else(nothing, |set| set.reader());
    Ok(Contents {
        certificates: certificates.all("certificates", MAX_CERTIFICATES, certificate)?,
        key: None,
        crls: crls.all("CRLs", MAX_CRLS, |element| Ok::<_, DerError>(element.raw.to_vec()))?,
    })
}

/// A ContentInfo with these certificates and CRLs (DER each), in this order.
pub fn write(certificates: &[&Certificate], crls: &[&[u8]]) -> Vec<u8> {
    let certificates: Vec<&[u8]> = certificates.iter().map(|certificate| certificate.der()).collect();
    let optional = |number, members: &[&[u8]]| match members {
        [] => Vec::new(),
        members => write::element(tag::context_constructed(number), members),
    };
    let signed = write::sequence(&[
        &write::integer(1),
        &write::element(tag::SET, &[]),
        &write::sequence(&[&write::oid(oid::CMS_DATA)]),
        &optional(0, &certificates),
        &optional(1, crls),
        &write::element(tag::SET, &[]),
    ]);
    write::sequence(&[&write::oid(oid::CMS_SIGNED_DATA), &write::explicit(0, &signed)])
}
