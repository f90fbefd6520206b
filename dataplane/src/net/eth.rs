//! Ethernet II frames (IEEE 802.3). VLAN tags are the caller's to peel with [`super::vlan`].

use super::{Layer, Malformed, fill, room, split};
use std::fmt;

/// EtherTypes this gateway reads.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// IEEE 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether the group bit is set (multicast or broadcast).
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A checked Ethernet header and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; Repr::LEN],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the header at the start of a frame (without FCS).
    #[inline]
    pub fn parse(frame: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, payload) = split(Layer::Eth, frame)?;
        Ok(Header { fixed, payload })
    }

    /// Where the frame goes.
    pub const fn destination(&self) -> Mac {
        let [a, b, c, d, e, f, ..] = *self.fixed;
        Mac([a, b, c, d, e, f])
    }

    /// Who sent it.
    pub const fn source(&self) -> Mac {
        let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = *self.fixed;
        Mac([a, b, c, d, e, f])
    }

    /// What follows ([`ethertype`]).
    pub const fn ethertype(&self) -> u16 {
        u16::from_be_bytes([self.fixed[12], self.fixed[13]])
    }

    /// Octets after the header, padding included.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// An Ethernet header by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Where the frame goes.
    pub destination: Mac,
    /// Who sends it.
    pub source: Mac,
    /// What follows.
    pub ethertype: u16,
}

impl Repr {
    /// Octets of the header.
    pub const LEN: usize = 14;

    /// Reads the header at the start of a frame.
    pub fn parse(frame: &[u8]) -> Result<Repr, Malformed> {
        let header = Header::parse(frame)?;
        Ok(Repr { destination: header.destination(), source: header.source(), ethertype: header.ethertype() })
    }

    /// Writes the header to the start of `out`.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<{ Repr::LEN }>(Layer::Eth, out)?;
        fill(out, &[&self.destination.0, &self.source.0, &self.ethertype.to_be_bytes()]);
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
        fn round_trip(destination: [u8; 6], source: [u8; 6], ethertype: u16) {
            let repr = Repr { destination: Mac(destination), source: Mac(source), ethertype };
            let mut bytes = [0; Repr::LEN];
            repr.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            refuses_truncation(&bytes, Repr::LEN, Repr::parse);
            prop_assert!(repr.emit(&mut bytes[..Repr::LEN - 1]).is_err());
        }
    }

    #[test]
    fn prints_as_operators_write_it() {
        assert_eq!(Mac([2, 0, 0, 0xab, 0, 1]).to_string(), "02:00:00:ab:00:01");
    }
}
