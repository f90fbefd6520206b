//! The generic payload header and the chain of payloads (RFC 7296 §3.2), critical bit included.

use super::authentication::Authentication;
use super::certificate::{Certificate, CertificateRequest};
use super::codec::{Reader, push_limited, sized};
use super::delete::Delete;
use super::error::{EmitError, ParseError};
use super::identification::Identification;
use super::key_exchange::KeyExchange;
use super::limits;
use super::nonce::Nonce;
use super::notify::Notify;
use super::proposal::SecurityAssociation;
use super::registry::PayloadType;
use super::selector::TrafficSelectors;

const GENERIC_HEADER: usize = 4;
const CRITICAL: u8 = 0x80;

/// One payload we know. SK and SKF are envelopes, not payloads: see [`super::Outer`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// SA (33).
    SecurityAssociation(SecurityAssociation),
    /// KE (34).
    KeyExchange(KeyExchange),
    /// IDi (35).
    IdentificationInitiator(Identification),
    /// IDr (36).
    IdentificationResponder(Identification),
    /// CERT (37).
    Certificate(Certificate),
    /// CERTREQ (38).
    CertificateRequest(CertificateRequest),
    /// AUTH (39).
    Authentication(Authentication),
    /// Ni, Nr (40).
    Nonce(Nonce),
    /// N (41).
    Notify(Notify),
    /// D (42).
    Delete(Delete),
    /// V (43), opaque.
    VendorId(Vec<u8>),
    /// TSi (44).
    TrafficSelectorsInitiator(TrafficSelectors),
    /// TSr (45).
    TrafficSelectorsResponder(TrafficSelectors),
    /// CP (47), the body unread.
    Configuration(Vec<u8>),
    /// EAP (48), the EAP packet unread.
    Eap(Vec<u8>),
}

/// A chain of payloads as octets, with the type that the header in front of it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Type of the first payload, `None` (0) for an empty chain.
    pub first: PayloadType,
    /// Generic headers and bodies.
    pub octets: Vec<u8>,
}

/// One link of a chain, not yet understood.
pub(crate) struct Link<'a> {
    pub(crate) payload_type: PayloadType,
    pub(crate) next: PayloadType,
    pub(crate) critical: bool,
    pub(crate) body: Reader<'a>,
}

impl<'a> Link<'a> {
    /// Reads the generic header in front of `reader` and takes its body.
    pub(crate) fn parse(payload_type: PayloadType, reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let next = PayloadType::from(reader.u8()?);
        let critical = reader.u8()? & CRITICAL != 0;
        let length = reader.u16()?;
        let body = reader.element("payload", length, GENERIC_HEADER)?;
        Ok(Self { payload_type, next, critical, body })
    }
}

/// Reads the payloads of a message, or of a decrypted SK payload: `first` is the type that the
/// header in front of `octets` names. Returns the payloads known and the number skipped.
pub fn parse_chain(first: PayloadType, octets: &[u8]) -> Result<(Vec<Payload>, usize), ParseError> {
    let mut reader = Reader::new("message", octets);
    let (mut payloads, mut skipped, mut next) = (Vec::new(), 0usize, first);
    while next != PayloadType::None {
        let link = Link::parse(next, &mut reader)?;
        next = link.next;
        match Payload::parse(link)? {
            Some(payload) => push_limited(&mut payloads, payload, "payloads", limits::PAYLOADS)?,
            None => skipped = skipped.saturating_add(1),
        }
        if skipped > limits::PAYLOADS {
            return Err(ParseError::TooMany { what: "unknown payloads", limit: limits::PAYLOADS });
        }
    }
    reader.finish()?;
    check_repetitions(&payloads)?;
    Ok((payloads, skipped))
}

/// Writes payloads as a chain; the critical bit is zero, as for all payload types that every
/// implementation understands (RFC 7296 §3.2).
pub fn emit_chain(payloads: &[Payload]) -> Result<Chain, EmitError> {
    if payloads.len() > limits::PAYLOADS {
        let (count, limit) = (payloads.len(), limits::PAYLOADS);
        return Err(EmitError::TooMany { what: "payloads", count, limit });
    }
    let types = || payloads.iter().map(Payload::payload_type);
    let followers = types().skip(1).chain([PayloadType::None]);
    let mut octets = Vec::new();
    for (payload, next) in payloads.iter().zip(followers) {
        let start = octets.len();
        octets.extend([next.into(), 0, 0, 0]);
        sized(&mut octets, "payload", start, |out| payload.emit(out))?;
    }
    Ok(Chain { first: types().next().unwrap_or(PayloadType::None), octets })
}

impl Payload {
    /// The type number this payload goes by.
    pub fn payload_type(&self) -> PayloadType {
        match self {
            Self::SecurityAssociation(_) => PayloadType::SecurityAssociation,
            Self::KeyExchange(_) => PayloadType::KeyExchange,
            Self::IdentificationInitiator(_) => PayloadType::IdentificationInitiator,
            Self::IdentificationResponder(_) => PayloadType::IdentificationResponder,
            Self::Certificate(_) => PayloadType::Certificate,
            Self::CertificateRequest(_) => PayloadType::CertificateRequest,
            Self::Authentication(_) => PayloadType::Authentication,
            Self::Nonce(_) => PayloadType::Nonce,
            Self::Notify(_) => PayloadType::Notify,
            Self::Delete(_) => PayloadType::Delete,
            Self::VendorId(_) => PayloadType::VendorId,
            Self::TrafficSelectorsInitiator(_) => PayloadType::TrafficSelectorsInitiator,
            Self::TrafficSelectorsResponder(_) => PayloadType::TrafficSelectorsResponder,
            Self::Configuration(_) => PayloadType::Configuration,
            Self::Eap(_) => PayloadType::Eap,
        }
    }

    /// Understands one link; `None` for an unknown payload that may be skipped.
    fn parse(link: Link<'_>) -> Result<Option<Self>, ParseError> {
        let mut body = link.body;
        Ok(Some(match link.payload_type {
            PayloadType::SecurityAssociation => Self::SecurityAssociation(SecurityAssociation::parse(body)?),
            PayloadType::KeyExchange => Self::KeyExchange(KeyExchange::parse(body)?),
            PayloadType::IdentificationInitiator => {
                Self::IdentificationInitiator(Identification::parse(body)?)
            }
            PayloadType::IdentificationResponder => {
                Self::IdentificationResponder(Identification::parse(body)?)
            }
            PayloadType::Certificate => Self::Certificate(Certificate::parse(body)?),
            PayloadType::CertificateRequest => Self::CertificateRequest(CertificateRequest::parse(body)?),
            PayloadType::Authentication => Self::Authentication(Authentication::parse(body)?),
            PayloadType::Nonce => Self::Nonce(Nonce::parse(body)?),
            PayloadType::Notify => Self::Notify(Notify::parse(body)?),
            PayloadType::Delete => Self::Delete(Delete::parse(body)?),
            PayloadType::VendorId => Self::VendorId(body.remainder().to_vec()),
            PayloadType::TrafficSelectorsInitiator => {
                Self::TrafficSelectorsInitiator(TrafficSelectors::parse(body)?)
            }
            PayloadType::TrafficSelectorsResponder => {
                Self::TrafficSelectorsResponder(TrafficSelectors::parse(body)?)
            }
            PayloadType::Configuration => Self::Configuration(body.remainder().to_vec()),
            PayloadType::Eap => Self::Eap(body.remainder().to_vec()),
            // An envelope inside the chain it protects has no meaning.
            PayloadType::Encrypted | PayloadType::EncryptedFragment | PayloadType::None => {
                let value = u32::from(u8::from(link.payload_type));
                return Err(ParseError::BadValue { what: "payload type", value });
            }
            // "If the critical flag is set and the payload type is unrecognized, the message MUST
            // be rejected ... If the critical flag is not set ... that payload MUST be ignored."
            // (RFC 7296 §2.5)
            PayloadType::Other(payload) if link.critical => {
                return Err(ParseError::UnsupportedCriticalPayload { payload });
            }
            PayloadType::Other(_) => return Ok(None),
        }))
    }

    fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        match self {
            Self::SecurityAssociation(body) => body.emit(out),
            Self::KeyExchange(body) => body.emit(out),
            Self::IdentificationInitiator(body) | Self::IdentificationResponder(body) => body.emit(out),
            Self::Certificate(body) => body.emit(out),
            Self::CertificateRequest(body) => body.emit(out),
            Self::Authentication(body) => body.emit(out),
            Self::Nonce(body) => body.emit(out),
            Self::Notify(body) => body.emit(out),
            Self::Delete(body) => body.emit(out),
            Self::TrafficSelectorsInitiator(body) | Self::TrafficSelectorsResponder(body) => body.emit(out),
            Self::VendorId(octets) | Self::Configuration(octets) | Self::Eap(octets) => {
                out.extend_from_slice(octets);
                Ok(())
            }
        }
    }
}

/// The caps of payloads that may come more than once.
fn check_repetitions(payloads: &[Payload]) -> Result<(), ParseError> {
    for (payload_type, what, limit) in [
        (PayloadType::Certificate, "CERT payloads", limits::CERTIFICATES),
        (PayloadType::CertificateRequest, "CERTREQ payloads", limits::CERTIFICATE_REQUESTS),
        (PayloadType::Notify, "notifies", limits::NOTIFIES),
        (PayloadType::VendorId, "vendor IDs", limits::VENDOR_IDS),
    ] {
        if payloads.iter().filter(|payload| payload.payload_type() == payload_type).count() > limit {
            return Err(ParseError::TooMany { what, limit });
        }
    }
    Ok(())
}
