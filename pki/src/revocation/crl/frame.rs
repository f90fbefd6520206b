//! The frame of a CRL: everything of RFC 5280 §5.1 and §5.2, around the entries.

use super::{CrlError, Scope};
use crate::der::{DerError, Element, Reader, tag};
use crate::key::{SignatureScheme, UnsupportedAlgorithm};
use crate::oid;
use crate::time::UnixTime;
use crate::x509::{Name, RawExtension, key_id_of_authority, only_element};

/// Extensions of one CRL; eight are defined.
const MAX_EXTENSIONS: usize = 32;

/// Longest cRLNumber: RFC 5280 §5.2.3 allows 20 octets.
const MAX_NUMBER: usize = 20;

/// What a CRL says of itself, borrowed from its octets.
#[derive(Clone, Debug)]
pub(super) struct Frame<'a> {
    pub(super) tbs: &'a [u8],
    pub(super) signature_scheme: Result<SignatureScheme, UnsupportedAlgorithm>,
    pub(super) signature: &'a [u8],
    pub(super) second_version: bool,
    pub(super) issuer: Name,
    pub(super) this_update: UnixTime,
    pub(super) next_update: Option<UnixTime>,
    /// The contents of revokedCertificates, and how many octets they have.
    pub(super) entries: (Reader<'a>, usize),
    pub(super) extensions: CrlExtensions,
}

/// The extensions a CRL is judged by.
#[derive(Clone, Debug, Default)]
pub(super) struct CrlExtensions {
    pub(super) authority_key_id: Option<Vec<u8>>,
    pub(super) number: Option<Vec<u8>>,
    pub(super) scope: Scope,
}

fn within<T>(field: &'static str, result: Result<T, DerError>) -> Result<T, CrlError> {
    result.map_err(|error| CrlError::Der { field, error })
}

/// CertificateList ::= SEQUENCE { tbsCertList, signatureAlgorithm, signatureValue }
pub(super) fn parse(der: &[u8]) -> Result<Frame<'_>, CrlError> {
    let outer = |result| within("CertificateList", result);
    let mut reader = within("CertificateList", Reader::within(der, tag::SEQUENCE))?;
    let tbs = outer(reader.expect(tag::SEQUENCE))?;
    let algorithm = outer(reader.expect(tag::SEQUENCE))?;
    let signature = outer(reader.expect(tag::BIT_STRING))?;
    within("CertificateList", reader.finish())?;
    let signature = within("signatureValue", signature.octets_in_bits())?;
    tbs_cert_list(tbs, algorithm, signature)
}

fn tbs_cert_list<'a>(
    tbs: Element<'a>,
    outer_algorithm: Element<'a>,
    signature: &'a [u8],
) -> Result<Frame<'a>, CrlError> {
    let mut reader = tbs.reader();
    let second_version = version(&mut reader)?;
    let algorithm = within("signature", reader.expect(tag::SEQUENCE))?;
    // RFC 5280 §5.1.1.2: this field MUST contain the same algorithm identifier as the signature field.
    if algorithm.raw != outer_algorithm.raw {
        return Err(CrlError::Profile("signature and signatureAlgorithm differ"));
    }
    let issuer = within("issuer", reader.element().and_then(Name::parse))?;
    // RFC 5280 §5.1.2.3: the issuer field MUST contain a non-empty distinguished name.
    if issuer.is_empty() {
        return Err(CrlError::Profile("the issuer is empty"));
    }
    let this_update = within("thisUpdate", reader.element().and_then(UnixTime::parse))?;
    let next_update = next_update(&mut reader)?;
    let entries = within("revokedCertificates", reader.optional(tag::SEQUENCE))?;
    let entries = entries.map_or((Reader::new(&[]), 0), |list| (list.reader(), list.content.len()));
    let extensions = extensions(&mut reader, second_version)?;
    within("tbsCertList", reader.finish())?;
    let signature_scheme = SignatureScheme::from_algorithm_identifier(algorithm.raw);
    Ok(Frame {
        tbs: tbs.raw,
        signature_scheme,
        signature,
        second_version,
        issuer,
        this_update,
        next_update,
        entries,
        extensions,
    })
}

/// RFC 5280 §5.1.2.1: absent for version 1, 1 for version 2.
fn version(reader: &mut Reader<'_>) -> Result<bool, CrlError> {
    match within("version", reader.optional(tag::INTEGER))? {
        None => Ok(false),
        Some(version) if version.content == [1] => Ok(true),
        Some(_) => Err(CrlError::Profile("the version is neither absent nor 2")),
    }
}

fn next_update(reader: &mut Reader<'_>) -> Result<Option<UnixTime>, CrlError> {
    let present = matches!(reader.peek(), Some(tag::UTC_TIME | tag::GENERALIZED_TIME));
    let time = present.then(|| reader.element().and_then(UnixTime::parse)).transpose();
    within("nextUpdate", time)
}

fn extensions(reader: &mut Reader<'_>, second_version: bool) -> Result<CrlExtensions, CrlError> {
    let mut found = CrlExtensions::default();
    let Some(explicit) = within("crlExtensions", reader.optional(tag::context_constructed(0)))? else {
        return Ok(found);
    };
    if !second_version {
        return Err(CrlError::Profile("only version 2 CRLs may have extensions"));
    }
    let list = within("crlExtensions", Reader::within(explicit.content, tag::SEQUENCE))?;
    let list = within("crlExtensions", list.all("extensions", MAX_EXTENSIONS, RawExtension::parse))?;
    for (index, extension) in list.iter().enumerate() {
        if list.iter().skip(index + 1).any(|other| other.kind == extension.kind) {
            return Err(CrlError::DuplicateExtension(extension.kind.clone()));
        }
        found.take(extension)?;
    }
    Ok(found)
}

impl CrlExtensions {
    fn take(&mut self, extension: &RawExtension<'_>) -> Result<(), CrlError> {
        let element = |field| within(field, only_element(extension.value));
        match extension.kind.octets() {
            oid::AUTHORITY_KEY_IDENTIFIER => {
                let key_id = key_id_of_authority(element("authorityKeyIdentifier")?);
                self.authority_key_id = within("authorityKeyIdentifier", key_id)?.map(<[u8]>::to_vec);
            }
            oid::CRL_NUMBER => self.number = Some(number(element("cRLNumber")?)?),
            oid::ISSUING_DISTRIBUTION_POINT => {
                self.scope = Scope::parse(element("issuingDistributionPoint")?)?
            }
            oid::DELTA_CRL_INDICATOR => return Err(CrlError::Delta),
            oid::ISSUER_ALT_NAME => {}
            // RFC 5280 §5.2: with an unrecognized critical extension, an application MUST NOT use the CRL.
            _ if extension.critical => {
                return Err(CrlError::UnknownCritical { place: "the CRL", kind: extension.kind.clone() });
            }
            // freshestCRL among them: delta CRLs are not looked for, the complete one says all it says.
            _ => {}
        }
        Ok(())
    }
}

/// The magnitude of a cRLNumber, without leading zeros.
fn number(element: Element<'_>) -> Result<Vec<u8>, CrlError> {
    let magnitude = within("cRLNumber", element.tagged(tag::INTEGER).and_then(|number| number.unsigned()))?;
    match magnitude.len() {
        0..=MAX_NUMBER => Ok(magnitude.to_vec()),
        _ => Err(CrlError::Profile("the cRLNumber is longer than 20 octets")),
    }
}
