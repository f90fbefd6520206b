//! What arrives in a datagram: a clear message, an encrypted one (RFC 7296 §3.14) or a fragment of
//! one (RFC 7383 §2.5). The split between authenticated header and ciphertext is made here; keys
//! live in [`crate::crypto`].

use super::codec::Reader;
use super::error::ParseError;
use super::header::{HEADER_LENGTH, Header};
use super::limits;
use super::message::Message;
use super::payload::{Link, parse_chain};
use super::registry::PayloadType;

const FRAGMENT_FIELDS: usize = 4;

/// A received message, as far as it can be read without keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outer {
    /// No SK or SKF payload: nothing in it is protected.
    Clear(Message),
    /// Ends with an SK payload.
    Sealed(Sealed),
    /// Ends with an SKF payload.
    Fragment(SealedFragment),
}

/// An encrypted message, waiting for its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    header: Header,
    first: PayloadType,
    octets: Vec<u8>,
    body: usize,
}

/// One encrypted fragment, waiting for its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFragment {
    sealed: Sealed,
    number: u16,
    total: u16,
}

impl Outer {
    /// Reads one IKE message (the octets after a non-ESP marker, if there was one).
    ///
    /// Payloads in the clear in front of SK or SKF are passed over: nothing we speak puts one there.
    pub fn parse(datagram: &[u8]) -> Result<Self, ParseError> {
        let (header, first, announced) = Header::parse(datagram)?;
        if header.version.major != 2 {
            let (major, minor) = (header.version.major, header.version.minor);
            return Err(ParseError::InvalidMajorVersion { major, minor });
        }
        check_length(announced, datagram.len())?;
        let chain = datagram.get(HEADER_LENGTH..).unwrap_or_default();
        match find_envelope(first, chain)? {
            None => Self::clear(header, first, chain),
            Some(link) if link.payload_type == PayloadType::Encrypted => {
                Ok(Self::Sealed(Sealed::new(header, link, datagram)))
            }
            Some(link) => SealedFragment::parse(header, link, datagram).map(Self::Fragment),
        }
    }

    /// The header of the message, whichever kind it is.
    pub fn header(&self) -> &Header {
        match self {
            Self::Clear(message) => &message.header,
            Self::Sealed(sealed) => &sealed.header,
            Self::Fragment(fragment) => &fragment.sealed.header,
        }
    }

    fn clear(header: Header, first: PayloadType, chain: &[u8]) -> Result<Self, ParseError> {
        let (payloads, skipped) = parse_chain(first, chain)?;
        Ok(Self::Clear(Message { header, payloads, skipped }))
    }
}

impl Sealed {
    /// The header, not yet authenticated.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The type of the first payload inside; zero for none, as in an empty INFORMATIONAL.
    pub fn first(&self) -> PayloadType {
        self.first
    }

    /// What the integrity check covers but the cipher does not: from the first octet of the IKE
    /// header to the last of the SK or SKF payload header (RFC 5282 §5.1, RFC 7383 §2.5).
    pub fn associated(&self) -> &[u8] {
        self.octets.get(..self.body).unwrap_or_default()
    }

    /// Initialization vector, ciphertext and integrity check value.
    pub fn body(&self) -> &[u8] {
        self.octets.get(self.body..).unwrap_or_default()
    }

    fn new(header: Header, link: Link<'_>, datagram: &[u8]) -> Self {
        let mut content = link.body;
        let body = datagram.len().saturating_sub(content.remainder().len());
        Self { header, first: link.next, octets: datagram.to_vec(), body }
    }
}

impl SealedFragment {
    /// The fragment as an encrypted message whose body is one piece of the payloads.
    pub fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// Fragment Number, 1 ..= [`Self::total`].
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Total Fragments, 1 ..= [`limits::FRAGMENTS`].
    pub fn total(&self) -> u16 {
        self.total
    }

    fn parse(header: Header, link: Link<'_>, datagram: &[u8]) -> Result<Self, ParseError> {
        let mut fields = link.body;
        let (number, total) = (fields.u16()?, fields.u16()?);
        let limit = usize::from(limits::FRAGMENTS);
        if total > limits::FRAGMENTS {
            return Err(ParseError::TooMany { what: "fragments", limit });
        }
        // Numbers start from 1 and do not pass Total Fragments (RFC 7383 §2.5).
        if number == 0 || number > total {
            return Err(ParseError::BadValue { what: "fragment number", value: u32::from(number) });
        }
        // The type of the first payload travels in the first fragment only (RFC 7383 §2.5).
        if number != 1 && link.next != PayloadType::None {
            let value = u32::from(u8::from(link.next));
            return Err(ParseError::BadValue { what: "next payload of a later fragment", value });
        }
        let mut sealed = Sealed::new(header, link, datagram);
        sealed.body = sealed.body.saturating_add(FRAGMENT_FIELDS);
        Ok(Self { sealed, number, total })
    }
}

fn check_length(announced: u32, received: usize) -> Result<(), ParseError> {
    if received > limits::MESSAGE_OCTETS {
        return Err(ParseError::BadLength { what: "IKE message", length: received });
    }
    match usize::try_from(announced) {
        Ok(length) if length == received => Ok(()),
        _ => Err(ParseError::LengthMismatch { announced, received }),
    }
}

/// Walks the chain to an SK or SKF payload, which "MUST be the last payload in the message" (RFC
/// 7296 §3.14): its own Next Payload names what is inside, so the chain ends there.
fn find_envelope(first: PayloadType, chain: &[u8]) -> Result<Option<Link<'_>>, ParseError> {
    let mut reader = Reader::new("message", chain);
    let (mut next, mut count) = (first, 0usize);
    while next != PayloadType::None {
        let link = Link::parse(next, &mut reader)?;
        if matches!(next, PayloadType::Encrypted | PayloadType::EncryptedFragment) {
            reader.finish()?;
            return Ok(Some(link));
        }
        next = link.next;
        count = count.saturating_add(1);
        if count > 2 * limits::PAYLOADS {
            return Err(ParseError::TooMany { what: "payloads", limit: limits::PAYLOADS });
        }
    }
    Ok(None)
}
