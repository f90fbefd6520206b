//! The AUTH payload (RFC 7296 §3.8). What its data prove is checked with [`crate::crypto::auth`].

use super::codec::Reader;
use super::error::{EmitError, ParseError};
use super::registry::AuthenticationMethod;

/// A proof of identity and the method it was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// Auth Method.
    pub method: AuthenticationMethod,
    /// Authentication Data.
    pub data: Vec<u8>,
}

impl Authentication {
    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let method = AuthenticationMethod::from(reader.u8()?);
        reader.array::<3>()?;
        Ok(Self { method, data: reader.remainder().to_vec() })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        out.extend([self.method.into(), 0, 0, 0]);
        out.extend_from_slice(&self.data);
        Ok(())
    }
}
