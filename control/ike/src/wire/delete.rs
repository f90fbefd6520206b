//! The Delete payload (RFC 7296 §3.11).

use super::codec::{Reader, count16};
use super::error::{EmitError, ParseError};
use super::limits;
use super::registry::Protocol;

/// SAs the sender has deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delete {
    /// The IKE SA this message is protected with.
    Ike,
    /// Child SAs, by the SPIs the sender receives on.
    Child {
        /// ESP or AH.
        protocol: Protocol,
        /// The SPIs "as they would be expected in the headers of inbound packets" (RFC 7296 §1.4.1).
        spis: Vec<u32>,
    },
}

impl Delete {
    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let protocol = Protocol::from(reader.u8()?);
        let spi_size = reader.u8()?;
        let count = usize::from(reader.u16()?);
        match (protocol, spi_size) {
            (Protocol::Ike, 0) if count == 0 => reader.finish().map(|()| Self::Ike),
            (Protocol::Esp | Protocol::Ah, 4) => {
                parse_spis(reader, count).map(|spis| Self::Child { protocol, spis })
            }
            (Protocol::Ike | Protocol::Esp | Protocol::Ah, _) => {
                Err(ParseError::BadLength { what: "deleted SPI", length: usize::from(spi_size) })
            }
            (Protocol::Other(other), _) => {
                Err(ParseError::BadValue { what: "deleted protocol", value: u32::from(other) })
            }
        }
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        match self {
            Self::Ike => out.extend([Protocol::Ike.into(), 0, 0, 0]),
            Self::Child { protocol, spis } => {
                out.extend([u8::from(*protocol), 4]);
                out.extend(count16("deleted SPIs", spis.len())?.to_be_bytes());
                out.extend(spis.iter().flat_map(|spi| spi.to_be_bytes()));
            }
        }
        Ok(())
    }
}

fn parse_spis(mut reader: Reader<'_>, count: usize) -> Result<Vec<u32>, ParseError> {
    if count > limits::DELETED_SPIS {
        return Err(ParseError::TooMany { what: "deleted SPIs", limit: limits::DELETED_SPIS });
    }
    let spis = (0..count).map(|_| reader.u32()).collect::<Result<Vec<_>, _>>()?;
    reader.finish()?;
    Ok(spis)
}
