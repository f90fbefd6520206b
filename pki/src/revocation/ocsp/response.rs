//! OCSP responses (RFC 6960 §4.2), read and not yet believed.

use super::request::CertificateId;
use super::{IdHash, MAX_RESPONSE, OcspError};
use crate::der::{DerError, Element, Reader, tag};
use crate::key::{SignatureScheme, UnsupportedAlgorithm};
use crate::oid::{self, Oid};
use crate::revocation::{Reason, Revoked, Status};
use crate::time::UnixTime;
use crate::x509::{Name, RawExtension, only_element};

/// Certificates answered in one response: we ask about one, some responders add others of the CA.
const MAX_SINGLES: usize = 128;
/// Certificates in one response: the responder's, and perhaps its chain.
const MAX_CERTIFICATES: usize = 8;
/// Extensions of a response, or of a part of it.
const MAX_EXTENSIONS: usize = 16;
/// Longest nonce (RFC 9654 §2.1).
const MAX_NONCE: usize = 128;

/// BasicOCSPResponse.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub(super) tbs: &'a [u8],
    pub(super) responder: ResponderId,
    pub(super) produced_at: UnixTime,
    /// Those whose certificates are named by a hash known here.
    pub(super) singles: Vec<Single>,
    pub(super) nonce: Option<&'a [u8]>,
    pub(super) signature_scheme: Result<SignatureScheme, UnsupportedAlgorithm>,
    pub(super) signature: &'a [u8],
    /// DER.
    pub(super) certificates: Vec<&'a [u8]>,
}

/// Who signed, as the response says.
#[derive(Debug)]
pub(super) enum ResponderId {
    /// The subject of its certificate.
    Name(Name),
    /// SHA-1 of its key.
    Key(Vec<u8>),
}

/// SingleResponse: what is said about one certificate.
#[derive(Debug)]
pub(super) struct Single {
    pub(super) id: CertificateId,
    /// `None` is "unknown".
    pub(super) status: Option<Status>,
    pub(super) this_update: UnixTime,
    pub(super) next_update: Option<UnixTime>,
}

fn within<T>(field: &'static str, result: Result<T, DerError>) -> Result<T, OcspError> {
    result.map_err(|error| OcspError::Der { field, error })
}

/// OCSPResponse ::= SEQUENCE { responseStatus, responseBytes [0] EXPLICIT OPTIONAL }
pub(super) fn parse(der: &[u8]) -> Result<Response<'_>, OcspError> {
    if der.len() > MAX_RESPONSE {
        return Err(OcspError::TooLarge(der.len()));
    }
    let mut reader = within("OCSPResponse", Reader::within(der, tag::SEQUENCE))?;
    let status = reader.expect(tag::ENUMERATED).and_then(|status| status.small());
    successful(within("responseStatus", status)?)?;
    let explicit = within("responseBytes", reader.expect(tag::context_constructed(0)))?;
    within("OCSPResponse", reader.finish())?;
    let mut bytes = within("responseBytes", Reader::within(explicit.content, tag::SEQUENCE))?;
    let kind = within("responseType", bytes.element().and_then(Oid::parse))?;
    let basic = within("response", bytes.expect(tag::OCTET_STRING))?;
    within("responseBytes", bytes.finish())?;
    if kind.is(oid::OCSP_BASIC) { basic_response(basic.content) } else { Err(OcspError::Type(kind)) }
}

/// OCSPResponseStatus (RFC 6960 §4.2.1); 4 is not used.
const fn successful(status: u32) -> Result<(), OcspError> {
    Err(match status {
        0 => return Ok(()),
        1 => OcspError::MalformedRequest,
        2 => OcspError::InternalError,
        3 => OcspError::TryLater,
        5 => OcspError::SignatureRequired,
        6 => OcspError::Unauthorized,
        unknown => OcspError::UnknownStatus(unknown),
    })
}

/// BasicOCSPResponse ::= SEQUENCE { tbsResponseData, signatureAlgorithm, signature, certs [0] EXPLICIT OPTIONAL }
fn basic_response(der: &[u8]) -> Result<Response<'_>, OcspError> {
    let field = "BasicOCSPResponse";
    let mut reader = within(field, Reader::within(der, tag::SEQUENCE))?;
    let tbs = within(field, reader.expect(tag::SEQUENCE))?;
    let algorithm = within(field, reader.expect(tag::SEQUENCE))?;
    let signature =
        within("signature", reader.expect(tag::BIT_STRING).and_then(|bits| bits.octets_in_bits()))?;
    let certificates = within("certs", reader.optional(tag::context_constructed(0)))?;
    within(field, reader.finish())?;
    let certificates = certificates.map_or(Ok(Vec::new()), certificates_in);
    let mut response = response_data(tbs)?;
    response.signature_scheme = SignatureScheme::from_algorithm_identifier(algorithm.raw);
    response.signature = signature;
    response.certificates = within("certs", certificates)?;
    Ok(response)
}

fn certificates_in(explicit: Element<'_>) -> Result<Vec<&[u8]>, DerError> {
    let list = Reader::within(explicit.content, tag::SEQUENCE)?;
    list.all("certificates", MAX_CERTIFICATES, |certificate| Ok(certificate.tagged(tag::SEQUENCE)?.raw))
}

/// ResponseData; what signs it is filled in by the caller.
fn response_data(tbs: Element<'_>) -> Result<Response<'_>, OcspError> {
    let mut reader = tbs.reader();
    if within("version", reader.optional(tag::context_constructed(0)))?
        .is_some_and(|version| version.content != [tag::INTEGER, 1, 0])
    {
        return Err(OcspError::Profile("the version of the response is not 1"));
    }
    let responder = within("responderID", reader.element().and_then(responder_id))?;
    let produced_at = within("producedAt", instant(&mut reader))?;
    let responses = within("responses", reader.sequence())?;
    let singles = responses.all("responses", MAX_SINGLES, Ok::<_, DerError>);
    let singles = within("responses", singles)?.into_iter().map(single_response);
    let singles: Vec<Option<Single>> = singles.collect::<Result<_, _>>()?;
    let nonce = extensions(within("responseExtensions", reader.optional(tag::context_constructed(1)))?)?;
    within("tbsResponseData", reader.finish())?;
    Ok(Response {
        tbs: tbs.raw,
        responder,
        produced_at,
        singles: singles.into_iter().flatten().collect(),
        nonce,
        signature_scheme: Err(UnsupportedAlgorithm::Der(DerError::Missing)),
        signature: &[],
        certificates: Vec::new(),
    })
}

/// ResponderID ::= CHOICE { byName [1], byKey [2] }, both explicit.
fn responder_id(element: Element<'_>) -> Result<ResponderId, DerError> {
    const BY_NAME: u8 = tag::context_constructed(1);
    const BY_KEY: u8 = tag::context_constructed(2);
    match element.tag {
        BY_NAME => Name::from_der(element.content).map(ResponderId::Name),
        BY_KEY => {
            let hash = only_element(element.content)?.tagged(tag::OCTET_STRING)?;
            Ok(ResponderId::Key(hash.content.to_vec()))
        }
        found => Err(DerError::Unexpected { expected: BY_NAME, found }),
    }
}

/// SingleResponse; `None` for a certificate that is named in a way not known here.
fn single_response(element: Element<'_>) -> Result<Option<Single>, OcspError> {
    let field = "SingleResponse";
    let mut reader = within(field, element.tagged(tag::SEQUENCE))?.reader();
    let id = within("certID", reader.sequence().and_then(certificate_id))?;
    let status = within("certStatus", reader.element().and_then(certificate_status))?;
    let this_update = within("thisUpdate", instant(&mut reader))?;
    let next_update = within("nextUpdate", next_update(&mut reader))?;
    extensions(within("singleExtensions", reader.optional(tag::context_constructed(1)))?)?;
    within(field, reader.finish())?;
    Ok(id.map(|id| Single { id, status, this_update, next_update }))
}

fn next_update(reader: &mut Reader<'_>) -> Result<Option<UnixTime>, DerError> {
    let Some(explicit) = reader.optional(tag::context_constructed(0))? else { return Ok(None) };
    let mut inner = explicit.reader();
    let time = instant(&mut inner)?;
    inner.finish()?;
    Ok(Some(time))
}

/// GeneralizedTime, as all instants of a response are.
fn instant(reader: &mut Reader<'_>) -> Result<UnixTime, DerError> {
    UnixTime::parse(reader.expect(tag::GENERALIZED_TIME)?)
}

/// CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }
fn certificate_id(mut reader: Reader<'_>) -> Result<Option<CertificateId>, DerError> {
    let mut algorithm = reader.sequence()?;
    let hash = IdHash::of(algorithm.expect(tag::OID)?.content);
    let issuer_name = reader.expect(tag::OCTET_STRING)?.content.to_vec();
    let issuer_key = reader.expect(tag::OCTET_STRING)?.content.to_vec();
    let serial = reader.expect(tag::INTEGER)?.integer()?.to_vec();
    reader.finish()?;
    Ok(hash.map(|hash| CertificateId { hash, issuer_name, issuer_key, serial }))
}

/// CertStatus ::= CHOICE { good [0] NULL, revoked [1] RevokedInfo, unknown [2] NULL }, all implicit.
fn certificate_status(element: Element<'_>) -> Result<Option<Status>, DerError> {
    const GOOD: u8 = tag::context(0);
    const REVOKED: u8 = tag::context_constructed(1);
    const UNKNOWN: u8 = tag::context(2);
    match element.tag {
        GOOD if element.content.is_empty() => Ok(Some(Status::Good)),
        UNKNOWN if element.content.is_empty() => Ok(None),
        REVOKED => revoked(element.reader()).map(|revoked| Some(Status::Revoked(revoked))),
        _ => Err(DerError::Content("CertStatus")),
    }
}

/// RevokedInfo ::= SEQUENCE { revocationTime, revocationReason [0] EXPLICIT OPTIONAL }
fn revoked(mut reader: Reader<'_>) -> Result<Revoked, DerError> {
    let at = instant(&mut reader)?;
    let reason = reader.optional(tag::context_constructed(0))?;
    reader.finish()?;
    let reason = reason.map(|explicit| only_element(explicit.content)?.tagged(tag::ENUMERATED)?.small());
    let code = reason.transpose()?.map_or(0, |code| u8::try_from(code).unwrap_or(0));
    Ok(Revoked { at, reason: Reason::from_code(code) })
}

/// The nonce among extensions; whatever else is critical makes the response unusable.
fn extensions(explicit: Option<Element<'_>>) -> Result<Option<&[u8]>, OcspError> {
    let field = "extensions";
    let Some(explicit) = explicit else { return Ok(None) };
    let list = within(field, Reader::within(explicit.content, tag::SEQUENCE))?;
    let list = within(field, list.all(field, MAX_EXTENSIONS, RawExtension::parse))?;
    let mut nonce = None;
    for extension in list {
        if extension.kind.is(oid::OCSP_NONCE) {
            nonce = Some(within("nonce", nonce_in(extension.value))?);
        } else if extension.critical {
            return Err(OcspError::UnknownCritical(extension.kind));
        }
    }
    Ok(nonce)
}

/// RFC 9654 §2.1: Nonce ::= OCTET STRING (SIZE (1..128))
fn nonce_in(value: &[u8]) -> Result<&[u8], DerError> {
    let octets = only_element(value)?.tagged(tag::OCTET_STRING)?.content;
    if (1..=MAX_NONCE).contains(&octets.len()) { Ok(octets) } else { Err(DerError::Content("nonce")) }
}
