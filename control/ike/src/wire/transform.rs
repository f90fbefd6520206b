//! Transforms and their attributes (RFC 7296 §3.3.2, §3.3.5).

use super::codec::{Reader, sized};
use super::error::{EmitError, ParseError};
use super::limits;
use super::registry::{EncryptionId, IntegrityId, KeyExchangeId, PrfId, SequenceNumbersId, TransformType};

const TRANSFORM_HEADER: usize = 8;
const LAST: u8 = 0;
const MORE: u8 = 3;
const KEY_LENGTH: u16 = 14;
const SHORT_FORM: u16 = 0x8000;

/// One algorithm of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transform {
    /// What the algorithm is for.
    pub transform_type: TransformType,
    /// Its number within the type: see [`EncryptionId`] and its siblings.
    pub id: u16,
    /// Key Length attribute, in bits.
    pub key_length: Option<u16>,
    /// False if it carries an attribute we do not know: we "MUST consider this transform
    /// unacceptable" (RFC 7296 §3.3.6), so it never matches.
    pub understood: bool,
}

impl Transform {
    /// An encryption algorithm, with its key length in bits where the algorithm has several.
    pub fn encryption(id: EncryptionId, key_length: Option<u16>) -> Self {
        Self { transform_type: TransformType::Encryption, id: id.into(), key_length, understood: true }
    }

    /// A pseudorandom function.
    pub fn prf(id: PrfId) -> Self {
        Self::plain(TransformType::PseudoRandomFunction, id.into())
    }

    /// An integrity algorithm.
    pub fn integrity(id: IntegrityId) -> Self {
        Self::plain(TransformType::Integrity, id.into())
    }

    /// A key exchange method.
    pub fn key_exchange(id: KeyExchangeId) -> Self {
        Self::plain(TransformType::KeyExchange, id.into())
    }

    /// A method for an additional key exchange, of one of the types [`TransformType::ADDITIONAL`].
    pub fn additional_key_exchange(transform_type: TransformType, id: KeyExchangeId) -> Self {
        Self::plain(transform_type, id.into())
    }

    /// 32-bit or extended sequence numbers.
    pub fn sequence_numbers(id: SequenceNumbersId) -> Self {
        Self::plain(TransformType::SequenceNumbers, id.into())
    }

    fn plain(transform_type: TransformType, id: u16) -> Self {
        Self { transform_type, id, key_length: None, understood: true }
    }

    /// Reads one transform; true if another is announced after it.
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<(Self, bool), ParseError> {
        let more = parse_more("transform", reader.u8()?, MORE)?;
        reader.u8()?;
        let length = reader.u16()?;
        let transform_type = TransformType::from(reader.u8()?);
        reader.u8()?;
        let id = reader.u16()?;
        let attributes = reader.element("transform", length, TRANSFORM_HEADER)?;
        let (key_length, understood) = parse_attributes(attributes)?;
        Ok((Self { transform_type, id, key_length, understood }, more))
    }

    pub(super) fn emit(&self, more: bool, out: &mut Vec<u8>) -> Result<(), EmitError> {
        let start = out.len();
        out.extend([if more { MORE } else { LAST }, 0, 0, 0, self.transform_type.into(), 0]);
        out.extend(self.id.to_be_bytes());
        sized(out, "transform", start, |out| {
            if let Some(bits) = self.key_length {
                out.extend((SHORT_FORM | KEY_LENGTH).to_be_bytes());
                out.extend(bits.to_be_bytes());
            }
            Ok(())
        })
    }
}

impl std::fmt::Display for Transform {
    /// The registry's name with the key length, as `AES_CBC_256`.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.transform_type {
            TransformType::Encryption => write!(out, "{}", EncryptionId::from(self.id))?,
            TransformType::PseudoRandomFunction => write!(out, "PRF_{}", PrfId::from(self.id))?,
            TransformType::Integrity => write!(out, "{}", IntegrityId::from(self.id))?,
            TransformType::KeyExchange => write!(out, "{}", KeyExchangeId::from(self.id))?,
            TransformType::SequenceNumbers => write!(out, "{}", SequenceNumbersId::from(self.id))?,
            additional if TransformType::ADDITIONAL.contains(&additional) => {
                write!(out, "{additional}_{}", KeyExchangeId::from(self.id))?;
            }
            other => write!(out, "type {} id {}", u8::from(other), self.id)?,
        }
        if let Some(bits) = self.key_length {
            write!(out, "_{bits}")?;
        }
        if self.understood { Ok(()) } else { out.write_str(" with an unknown attribute") }
    }
}

/// The "Last Substruc" octet: 0 for the last, `marker` if more follow.
pub(super) fn parse_more(what: &'static str, octet: u8, marker: u8) -> Result<bool, ParseError> {
    match octet {
        LAST => Ok(false),
        value if value == marker => Ok(true),
        value => Err(ParseError::BadValue { what, value: u32::from(value) }),
    }
}

/// The key length, and whether every attribute was one we know.
fn parse_attributes(mut reader: Reader<'_>) -> Result<(Option<u16>, bool), ParseError> {
    let (mut key_length, mut understood) = (None, true);
    for _ in 0..limits::ATTRIBUTES {
        if reader.is_empty() {
            return Ok((key_length, understood));
        }
        let (kind, value) = (reader.u16()?, reader.u16()?);
        match (kind & SHORT_FORM != 0, kind & !SHORT_FORM) {
            (true, KEY_LENGTH) if key_length.is_none() => key_length = Some(value),
            (true, _) => understood = false,
            (false, _) => {
                reader.take(usize::from(value))?;
                understood = false;
            }
        }
    }
    match reader.is_empty() {
        true => Ok((key_length, understood)),
        false => Err(ParseError::TooMany { what: "attributes", limit: limits::ATTRIBUTES }),
    }
}
