//! The IEEE 802.1Q tag: the four octets between the Ethernet header's EtherType and the payload.

use super::{Layer, Malformed, fill, room, split};

/// A checked tag and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; Repr::LEN],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the tag that follows an Ethernet header of type 0x8100 or 0x88a8.
    pub fn parse(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, payload) = split(Layer::Vlan, bytes)?;
        Ok(Header { fixed, payload })
    }

    const fn control(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// Priority code point, 0..=7.
    pub const fn priority(&self) -> u8 {
        (self.control() >> 13) as u8
    }

    /// Drop eligible indicator.
    pub const fn drop_eligible(&self) -> bool {
        self.control() & 0x1000 != 0
    }

    /// VLAN identifier, 0..=4095; 0 is a priority tag without VLAN.
    pub const fn id(&self) -> u16 {
        self.control() & 0x0fff
    }

    /// EtherType of what follows.
    pub const fn ethertype(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Octets after the tag.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// A tag by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Priority code point; the low three bits count.
    pub priority: u8,
    /// Drop eligible indicator.
    pub drop_eligible: bool,
    /// VLAN identifier; the low twelve bits count.
    pub id: u16,
    /// EtherType of what follows.
    pub ethertype: u16,
}

impl Repr {
    /// Octets of the tag.
    pub const LEN: usize = 4;

    /// Reads a tag.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        let header = Header::parse(bytes)?;
        Ok(Repr {
            priority: header.priority(),
            drop_eligible: header.drop_eligible(),
            id: header.id(),
            ethertype: header.ethertype(),
        })
    }

    /// Writes the tag to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<{ Repr::LEN }>(Layer::Vlan, out)?;
        let priority = u16::from(self.priority & 7) << 13;
        let control = priority | u16::from(self.drop_eligible) << 12 | (self.id & 0x0fff);
        fill(out, &[&control.to_be_bytes(), &self.ethertype.to_be_bytes()]);
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
        fn round_trip(priority in 0u8..8, drop_eligible: bool, id in 0u16..4096, ethertype: u16) {
            let repr = Repr { priority, drop_eligible, id, ethertype };
            let mut bytes = [0; Repr::LEN];
            repr.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            refuses_truncation(&bytes, Repr::LEN, Repr::parse);
        }
    }
}
