//! The IDi and IDr payloads (RFC 7296 §3.5). Their body also goes into AUTH (§2.15), so the reserved
//! octets are kept as they came.

use super::codec::Reader;
use super::error::{EmitError, ParseError};
use super::limits;
use super::registry::IdentificationType;

/// An identity as claimed: type and data, not yet interpreted except for the length of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identification {
    /// What the data are.
    pub id_type: IdentificationType,
    /// The identity itself.
    pub data: Vec<u8>,
    reserved: [u8; 3],
}

impl Identification {
    /// An identity of our own.
    pub fn new(id_type: IdentificationType, data: Vec<u8>) -> Self {
        Self { id_type, data, reserved: [0; 3] }
    }

    /// The payload without its generic header: `RestOfInitIDPayload` of RFC 7296 §2.15, octet for
    /// octet as received.
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len().saturating_add(4));
        self.write(&mut out);
        out
    }

    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let id_type = IdentificationType::from(reader.u8()?);
        let reserved = reader.array()?;
        let data = reader.remainder().to_vec();
        match (id_type, data.len()) {
            (IdentificationType::Ipv4Address, 4) | (IdentificationType::Ipv6Address, 16) => {}
            (IdentificationType::Ipv4Address | IdentificationType::Ipv6Address, length) => {
                return Err(ParseError::BadLength { what: "identification address", length });
            }
            (_, length) if length > limits::IDENTITY_OCTETS => {
                return Err(ParseError::BadLength { what: "identification", length });
            }
            _ => {}
        }
        Ok(Self { id_type, data, reserved })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        self.write(out);
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.id_type.into());
        out.extend(self.reserved);
        out.extend_from_slice(&self.data);
    }
}
