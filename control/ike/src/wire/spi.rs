//! Security parameter indexes: eight octets for an IKE SA, four for a Child SA (RFC 7296 §3.1, §3.3.1).

use super::codec::Reader;
use super::error::ParseError;

/// One side's SPI of an IKE SA, as the big-endian number it is on the wire. Zero means "not yet
/// known" (RFC 7296 §3.1: the responder's in the first message).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct IkeSpi(pub u64);

impl IkeSpi {
    /// The SPI of a side that has not chosen yet.
    pub const ZERO: Self = Self(0);

    /// Whether this is the "not yet known" value.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The octets as sent.
    pub fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl std::fmt::Display for IkeSpi {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// The SPI of a proposal or a notify, by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Spi {
    /// No SPI (size 0).
    #[default]
    None,
    /// An ESP or AH SPI (size 4), as the number it is in the packet.
    Child(u32),
    /// An IKE SPI (size 8).
    Ike(IkeSpi),
}

impl Spi {
    /// Octets on the wire: 0, 4 or 8.
    pub fn length(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Child(_) => 4,
            Self::Ike(_) => 8,
        }
    }

    pub(crate) fn parse(reader: &mut Reader<'_>, size: u8) -> Result<Self, ParseError> {
        match size {
            0 => Ok(Self::None),
            4 => reader.u32().map(Self::Child),
            8 => reader.u64().map(|spi| Self::Ike(IkeSpi(spi))),
            other => Err(ParseError::BadLength { what: "SPI", length: usize::from(other) }),
        }
    }

    pub(crate) fn emit(self, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Child(spi) => out.extend(spi.to_be_bytes()),
            Self::Ike(spi) => out.extend(spi.to_be_bytes()),
        }
    }
}
