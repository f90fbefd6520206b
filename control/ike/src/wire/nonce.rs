//! The Nonce payload (RFC 7296 §3.9).

use super::codec::Reader;
use super::error::{EmitError, ParseError};

/// "The size of the Nonce Data MUST be between 16 and 256 octets, inclusive."
pub(super) const ALLOWED: std::ops::RangeInclusive<usize> = 16..=256;

/// Random octets of one side, 16 to 256 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// A nonce of these octets, refused outside 16 ..= 256.
    pub fn new(octets: Vec<u8>) -> Result<Self, ParseError> {
        match octets.len() {
            length if ALLOWED.contains(&length) => Ok(Self(octets)),
            length => Err(ParseError::BadLength { what: "nonce", length }),
        }
    }

    /// A fresh nonce of 32 octets: at least half the key size of every PRF here (RFC 7296 §2.10).
    pub fn generate(random: &mut dyn crate::crypto::Random) -> Self {
        let mut octets = vec![0; 32];
        random.fill(&mut octets);
        Self(octets)
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        Self::new(reader.remainder().to_vec())
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }
}
