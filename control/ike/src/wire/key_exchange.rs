//! The KE payload (RFC 7296 §3.4). The public value is checked by [`crate::crypto::KeyExchangeMethod`].

use super::codec::Reader;
use super::error::{EmitError, ParseError};
use super::registry::KeyExchangeId;

/// A public value and the method it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExchange {
    /// Key exchange method (transform type 4).
    pub method: KeyExchangeId,
    /// Key Exchange Data, its length not yet checked against the method.
    pub data: Vec<u8>,
}

impl KeyExchange {
    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let method = KeyExchangeId::from(reader.u16()?);
        reader.u16()?;
        Ok(Self { method, data: reader.remainder().to_vec() })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        out.extend(u16::from(self.method).to_be_bytes());
        out.extend([0, 0]);
        out.extend_from_slice(&self.data);
        Ok(())
    }
}
