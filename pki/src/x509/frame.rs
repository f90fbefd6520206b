//! The frame of a certificate: everything of RFC 5280 §4.1, around the extensions.

use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;

use super::{CertificateError, Extensions, Fields, Name};
use crate::der::{DerError, Element, Reader, tag};
use crate::key::{PublicKey, SignatureScheme};
use crate::time::UnixTime;

/// Longest serial number accepted. RFC 5280 §4.1.2.2 allows CAs 20 octets; older ones used a few more.
const MAX_SERIAL: usize = 40;

/// Names the field an encoding error is in.
fn within<T>(field: &'static str, result: Result<T, DerError>) -> Result<T, CertificateError> {
    result.map_err(|error| CertificateError::Der { field, error })
}

/// Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
pub(super) fn parse(der: &[u8]) -> Result<Fields, CertificateError> {
    let outer = |result| within("Certificate", result);
    let mut reader = within("Certificate", Reader::within(der, tag::SEQUENCE))?;
    let tbs = outer(reader.expect(tag::SEQUENCE))?;
    let algorithm = outer(reader.expect(tag::SEQUENCE))?;
    let signature = outer(reader.expect(tag::BIT_STRING))?;
    within("Certificate", reader.finish())?;
    let start = der.len().saturating_sub(tbs.raw.len() + algorithm.raw.len() + signature.raw.len());
    let signature = within("signatureValue", signature.octets_in_bits())?.to_vec();
    let range = start..start.saturating_add(tbs.raw.len());
    tbs_certificate(tbs, algorithm, signature, range)
}

fn tbs_certificate(
    tbs: Element<'_>,
    outer_algorithm: Element<'_>,
    signature: Vec<u8>,
    range: std::ops::Range<usize>,
) -> Result<Fields, CertificateError> {
    let mut reader = tbs.reader();
    let version = version(&mut reader)?;
    let serial = serial(&mut reader)?;
    let algorithm = within("signature", reader.expect(tag::SEQUENCE))?;
    // RFC 5280 §4.1.1.2: this field MUST contain the same algorithm identifier as the signature field.
    if algorithm.raw != outer_algorithm.raw {
        return Err(CertificateError::Profile("signature and signatureAlgorithm differ"));
    }
    let issuer = within("issuer", reader.element().and_then(Name::parse))?;
    // RFC 5280 §4.1.2.4: the issuer field MUST contain a non-empty distinguished name.
    if issuer.is_empty() {
        return Err(CertificateError::Profile("the issuer is empty"));
    }
    let (not_before, not_after) = within("validity", validity(&mut reader))?;
    let subject = within("subject", reader.element().and_then(Name::parse))?;
    let spki = within("subjectPublicKeyInfo", reader.expect(tag::SEQUENCE))?.raw.to_vec();
    unique_identifiers(&mut reader, version)?;
    let extensions = extensions(&mut reader, version)?;
    within("tbsCertificate", reader.finish())?;
    Ok(Fields {
        version,
        serial,
        issuer,
        subject,
        not_before,
        not_after,
        public_key: PublicKey::from_spki(&spki),
        spki,
        signature_scheme: SignatureScheme::from_algorithm_identifier(algorithm.raw),
        signature,
        extensions,
        tbs: range,
    })
}

/// RFC 5280 §4.1.2.1: v1 is the default and therefore absent, v2 is 1, v3 is 2.
fn version(reader: &mut Reader<'_>) -> Result<u8, CertificateError> {
    let Some(explicit) = within("version", reader.optional(tag::context_constructed(0)))? else {
        return Ok(1);
    };
    let mut inner = explicit.reader();
    let value = within("version", inner.expect(tag::INTEGER).and_then(|element| element.small()))?;
    within("version", inner.finish())?;
    match value {
        1 => Ok(2),
        2 => Ok(3),
        _ => Err(CertificateError::Profile("the version is not 1, 2 or 3")),
    }
}

fn serial(reader: &mut Reader<'_>) -> Result<Vec<u8>, CertificateError> {
    let element = within("serialNumber", reader.expect(tag::INTEGER))?;
    let serial = within("serialNumber", element.integer())?;
    if serial.len() > MAX_SERIAL {
        return Err(CertificateError::Profile("the serial number is longer than 40 octets"));
    }
    Ok(serial.to_vec())
}

fn validity(reader: &mut Reader<'_>) -> Result<(UnixTime, UnixTime), DerError> {
    let mut inner = reader.sequence()?;
    let not_before = UnixTime::parse(inner.element()?)?;
    let not_after = UnixTime::parse(inner.element()?)?;
    inner.finish()?;
    Ok((not_before, not_after))
}

/// RFC 5280 §4.1.2.8: issuerUniqueID and subjectUniqueID, only in v2 and v3; read past.
fn unique_identifiers(reader: &mut Reader<'_>, version: u8) -> Result<(), CertificateError> {
    for number in [1, 2] {
        let Some(unique) = within("uniqueID", reader.optional(tag::context(number)))? else { continue };
        within("uniqueID", unique.bits())?;
        if version == 1 {
            return Err(CertificateError::Profile("a version 1 certificate has unique identifiers"));
        }
    }
    Ok(())
}

/// RFC 5280 §4.1.2.9: only in v3, and not empty if present.
fn extensions(reader: &mut Reader<'_>, version: u8) -> Result<Extensions, CertificateError> {
    let Some(explicit) = within("extensions", reader.optional(tag::context_constructed(3)))? else {
        return Ok(Extensions::default());
    };
    if version != 3 {
        return Err(CertificateError::Profile("only version 3 certificates may have extensions"));
    }
    let list = within("extensions", Reader::within(explicit.content, tag::SEQUENCE))?;
    if list.is_empty() {
        return Err(CertificateError::Profile("the list of extensions is empty"));
    }
    Extensions::parse(list)
}

/// Refuses what `x509-parser` sees differently.
pub(super) fn second_opinion(der: &[u8], fields: &Fields) -> Result<(), CertificateError> {
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    let (rest, other) = parser.parse(der).map_err(|_| CertificateError::Ambiguous("certificate"))?;
    let tbs = der.get(fields.tbs.clone()).unwrap_or_default();
    let agreement = [
        ("length", rest.is_empty()),
        ("signed part", other.tbs_certificate.as_ref() == tbs),
        ("serial number", other.raw_serial() == fields.serial),
        ("issuer", other.issuer().as_raw() == fields.issuer.der()),
        ("subject", other.subject().as_raw() == fields.subject.der()),
        ("public key", other.public_key().raw == fields.spki),
        ("notBefore", other.validity().not_before.timestamp() == fields.not_before.0),
        ("notAfter", other.validity().not_after.timestamp() == fields.not_after.0),
        ("extensions", other.extensions().len() == fields.extensions.count),
        ("signature", other.signature_value.data.as_ref() == fields.signature),
    ];
    match agreement.into_iter().find(|(_, agrees)| !agrees) {
        Some((field, _)) => Err(CertificateError::Ambiguous(field)),
        None => Ok(()),
    }
}
