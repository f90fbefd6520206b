//! The IKE header (RFC 7296 §3.1), 28 octets in front of every message.
//!
//! Next payload and length are not kept: they follow from what comes after.

use super::codec::Reader;
use super::error::ParseError;
use super::registry::{ExchangeType, PayloadType};
use super::spi::IkeSpi;

/// Octets of an IKE header.
pub const HEADER_LENGTH: usize = 28;

const INITIATOR: u8 = 0x08;
const VERSION: u8 = 0x10;
const RESPONSE: u8 = 0x20;

/// Major and minor version of a message; we write 2.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Upper four bits of the version octet.
    pub major: u8,
    /// Lower four bits; ignored when received (RFC 7296 §3.1).
    pub minor: u8,
}

/// The flags octet. Bits without a meaning are ignored when read and zero when written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// I: sent by the original initiator of the IKE SA.
    pub initiator: bool,
    /// V: the sender could speak a higher major version. Ignored by IKEv2, never set by us.
    pub version: bool,
    /// R: a response to the request of the same message ID.
    pub response: bool,
}

/// One IKE header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// SPI chosen by the original initiator, never zero in a valid exchange.
    pub initiator_spi: IkeSpi,
    /// SPI chosen by the original responder, zero in the first message.
    pub responder_spi: IkeSpi,
    /// Version as received; [`Header::new`] gives 2.0.
    pub version: Version,
    /// What kind of exchange the message belongs to.
    pub exchange: ExchangeType,
    /// Direction and role bits.
    pub flags: Flags,
    /// Message ID (RFC 7296 §2.2).
    pub message_id: u32,
}

impl Header {
    /// A header of our own version.
    pub fn new(
        initiator_spi: IkeSpi,
        responder_spi: IkeSpi,
        exchange: ExchangeType,
        flags: Flags,
        message_id: u32,
    ) -> Self {
        let version = Version { major: 2, minor: 0 };
        Self { initiator_spi, responder_spi, version, exchange, flags, message_id }
    }

    /// Reads the fixed fields of any version's header, with the type of the first payload and the
    /// announced length of the message. Lets a caller answer a message that does not parse further.
    pub fn parse(bytes: &[u8]) -> Result<(Self, PayloadType, u32), ParseError> {
        let mut reader = Reader::new("IKE header", bytes);
        let initiator_spi = IkeSpi(reader.u64()?);
        let responder_spi = IkeSpi(reader.u64()?);
        let first = PayloadType::from(reader.u8()?);
        let version = Version::from_octet(reader.u8()?);
        let exchange = ExchangeType::from(reader.u8()?);
        let flags = Flags::from_octet(reader.u8()?);
        let message_id = reader.u32()?;
        let length = reader.u32()?;
        Ok((Self { initiator_spi, responder_spi, version, exchange, flags, message_id }, first, length))
    }

    /// Appends the header; `length` counts the whole message, this header included.
    pub fn emit(&self, first: PayloadType, length: u32, out: &mut Vec<u8>) {
        out.extend(self.initiator_spi.to_be_bytes());
        out.extend(self.responder_spi.to_be_bytes());
        out.extend([first.into(), self.version.octet(), self.exchange.into(), self.flags.octet()]);
        out.extend(self.message_id.to_be_bytes());
        out.extend(length.to_be_bytes());
    }
}

impl Version {
    fn from_octet(octet: u8) -> Self {
        Self { major: octet >> 4, minor: octet & 0x0f }
    }

    fn octet(self) -> u8 {
        (self.major << 4) | (self.minor & 0x0f)
    }
}

impl Flags {
    fn from_octet(octet: u8) -> Self {
        Self {
            initiator: octet & INITIATOR != 0,
            version: octet & VERSION != 0,
            response: octet & RESPONSE != 0,
        }
    }

    fn octet(self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        bit(self.initiator, INITIATOR) | bit(self.version, VERSION) | bit(self.response, RESPONSE)
    }
}
