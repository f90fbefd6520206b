//! GRE (RFC 2784) with key and sequence number (RFC 2890). Routing (RFC 1701) is refused.

use super::{Layer, Malformed, checksum, fill, split};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Reserved0 bits 1, 4 and 5 (RFC 2784 §2.3: discard when set) and the version.
const REFUSED: u16 = ROUTING | 0x0c00 | 0x0007;

/// A checked GRE header and its payload.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    repr: Repr,
    packet: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the header. RFC 2784 §2.3: a receiver must discard a packet with bits 1, 4 or 5 set
    /// unless it implements RFC 1701.
    pub fn parse(packet: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let ([a, b, c, d], _) = split::<4>(Layer::Gre, packet)?;
        let flags = u16::from_be_bytes([*a, *b]);
        if flags & REFUSED != 0 {
            return Err(Malformed::Field { layer: Layer::Gre, field: "flags", found: u32::from(flags) });
        }
        let field = |bit: u16, at: usize| optional(packet, flags & bit != 0, at);
        let key_at = 4 + 4 * usize::from(flags & CHECKSUM != 0);
        let sequence_at = key_at + 4 * usize::from(flags & KEY != 0);
        let repr = Repr {
            ethertype: u16::from_be_bytes([*c, *d]),
            checksum: field(CHECKSUM, 4)?.map(|word| (word >> 16) as u16),
            key: field(KEY, key_at)?,
            sequence: field(SEQUENCE, sequence_at)?,
        };
        Ok(Header { repr, packet, payload: packet.get(repr.len()..).unwrap_or_default() })
    }

    /// The header by value.
    pub const fn repr(&self) -> Repr {
        self.repr
    }

    /// EtherType of the payload.
    pub const fn ethertype(&self) -> u16 {
        self.repr.ethertype
    }

    /// Key, where there is one.
    pub const fn key(&self) -> Option<u32> {
        self.repr.key
    }

    /// What the header carries.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether header and payload agree with the checksum, or there is none.
    pub fn checksum_ok(&self) -> bool {
        self.repr.checksum.is_none() || checksum::internet(self.packet) == 0
    }
}

fn optional(packet: &[u8], present: bool, at: usize) -> Result<Option<u32>, Malformed> {
    if !present {
        return Ok(None);
    }
    let word = packet.get(at..).and_then(<[u8]>::first_chunk);
    let word = word.ok_or(Malformed::truncated(Layer::Gre, at + 4, packet.len()))?;
    Ok(Some(u32::from_be_bytes(*word)))
}

/// A GRE header by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// EtherType of the payload.
    pub ethertype: u16,
    /// Checksum over header and payload, if present; emitted as given.
    pub checksum: Option<u16>,
    /// Key, if present.
    pub key: Option<u32>,
    /// Sequence number, if present.
    pub sequence: Option<u32>,
}

impl Repr {
    /// Octets of a header without optional fields.
    pub const LEN: usize = 4;

    /// Octets of this header: 4..=16.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        let words =
            self.checksum.is_some() as usize + self.key.is_some() as usize + self.sequence.is_some() as usize;
        Repr::LEN + 4 * words
    }

    /// Reads a header.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        Ok(Header::parse(bytes)?.repr)
    }

    /// Writes the header to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let have = out.len();
        let out = out.get_mut(..self.len()).ok_or(Malformed::truncated(Layer::Gre, self.len(), have))?;
        let bit = |present: bool, bit: u16| if present { bit } else { 0 };
        let flags = bit(self.checksum.is_some(), CHECKSUM)
            | bit(self.key.is_some(), KEY)
            | bit(self.sequence.is_some(), SEQUENCE);
        let checksum = self.checksum.map(|sum| (u32::from(sum) << 16).to_be_bytes());
        let [key, sequence] = [self.key, self.sequence].map(|word| word.map(u32::to_be_bytes));
        let optional = [&checksum, &key, &sequence].map(|field| field.as_ref().map_or(&[][..], |f| &f[..]));
        let [checksum, key, sequence] = optional;
        fill(out, &[&flags.to_be_bytes(), &self.ethertype.to_be_bytes(), checksum, key, sequence]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::refuses_truncation;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(ethertype: u16, checksum: Option<u16>, key: Option<u32>, sequence: Option<u32>) {
            let repr = Repr { ethertype, checksum, key, sequence };
            let mut bytes = vec![0; repr.len()];
            repr.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            refuses_truncation(&bytes, repr.len(), Repr::parse);
        }
    }

    #[test]
    fn source_routing_and_other_versions_are_refused() {
        for flags in [0x4000u16, 0x0800, 0x0400, 0x0001, 0x0007] {
            let [a, b] = flags.to_be_bytes();
            assert!(Header::parse(&[a, b, 8, 0, 0, 0, 0, 0]).is_err());
        }
    }

    #[test]
    fn a_damaged_checksummed_packet_is_found() {
        let mut bytes = vec![0; 8];
        Repr { ethertype: 0x0800, checksum: Some(0), key: None, sequence: None }.emit(&mut bytes).unwrap();
        bytes.extend([1, 2, 3]);
        let sum = checksum::internet(&bytes);
        bytes[4..6].copy_from_slice(&sum.to_be_bytes());
        assert!(Header::parse(&bytes).unwrap().checksum_ok());
        bytes[9] ^= 4;
        assert!(!Header::parse(&bytes).unwrap().checksum_ok());
    }
}
