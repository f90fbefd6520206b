//! ARP for IPv4 over Ethernet (RFC 826). The kernel twin owns the protocol; the packet path
//! reads it to steer and tests write it.

use super::eth::{Mac, ethertype};
use super::{Layer, Malformed, fill, room, split};
use std::net::Ipv4Addr;

/// Asks who has an address.
pub const REQUEST: u16 = 1;
/// Says who has it.
pub const REPLY: u16 = 2;

const HARDWARE_ETHERNET: u16 = 1;

/// A checked ARP packet.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; Repr::LEN],
}

impl<'a> Header<'a> {
    /// Reads an ARP packet; hardware other than Ethernet and protocols other than IPv4 are
    /// refused. Octets after it (Ethernet padding) are ignored.
    pub fn parse(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, _) = split::<{ Repr::LEN }>(Layer::Arp, bytes)?;
        let header = Header { fixed };
        expect("hardware type", header.word(0), HARDWARE_ETHERNET)?;
        expect("protocol type", header.word(2), ethertype::IPV4)?;
        expect("address lengths", header.word(4), 0x0604)?;
        Ok(header)
    }

    fn word(&self, at: usize) -> u16 {
        let word = self.fixed.get(at..).and_then(<[u8]>::first_chunk);
        u16::from_be_bytes(word.copied().unwrap_or_default())
    }

    /// [`REQUEST`] or [`REPLY`].
    pub const fn operation(&self) -> u16 {
        u16::from_be_bytes([self.fixed[6], self.fixed[7]])
    }

    /// Sender's Ethernet address.
    pub const fn sender_mac(&self) -> Mac {
        let f = self.fixed;
        Mac([f[8], f[9], f[10], f[11], f[12], f[13]])
    }

    /// Sender's IPv4 address.
    pub const fn sender(&self) -> Ipv4Addr {
        let f = self.fixed;
        Ipv4Addr::new(f[14], f[15], f[16], f[17])
    }

    /// Target's Ethernet address (zero in requests).
    pub const fn target_mac(&self) -> Mac {
        let f = self.fixed;
        Mac([f[18], f[19], f[20], f[21], f[22], f[23]])
    }

    /// Target's IPv4 address.
    pub const fn target(&self) -> Ipv4Addr {
        let f = self.fixed;
        Ipv4Addr::new(f[24], f[25], f[26], f[27])
    }
}

fn expect(field: &'static str, found: u16, wanted: u16) -> Result<(), Malformed> {
    if found == wanted {
        return Ok(());
    }
    Err(Malformed::Field { layer: Layer::Arp, field, found: u32::from(found) })
}

/// An ARP packet by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// [`REQUEST`] or [`REPLY`].
    pub operation: u16,
    /// Sender's Ethernet address.
    pub sender_mac: Mac,
    /// Sender's IPv4 address.
    pub sender: Ipv4Addr,
    /// Target's Ethernet address.
    pub target_mac: Mac,
    /// Target's IPv4 address.
    pub target: Ipv4Addr,
}

impl Repr {
    /// Octets of the packet.
    pub const LEN: usize = 28;

    /// Reads an ARP packet.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        let header = Header::parse(bytes)?;
        Ok(Repr {
            operation: header.operation(),
            sender_mac: header.sender_mac(),
            sender: header.sender(),
            target_mac: header.target_mac(),
            target: header.target(),
        })
    }

    /// Writes the packet to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<{ Repr::LEN }>(Layer::Arp, out)?;
        let parts: [&[u8]; 8] = [
            &HARDWARE_ETHERNET.to_be_bytes(),
            &ethertype::IPV4.to_be_bytes(),
            &[6, 4],
            &self.operation.to_be_bytes(),
            &self.sender_mac.0,
            &self.sender.octets(),
            &self.target_mac.0,
            &self.target.octets(),
        ];
        fill(out, &parts);
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
        fn round_trip(operation: u16, a: [u8; 6], b: [u8; 6], sender: [u8; 4], target: [u8; 4]) {
            let repr = Repr {
                operation,
                sender_mac: Mac(a),
                sender: sender.into(),
                target_mac: Mac(b),
                target: target.into(),
            };
            let mut bytes = [0; Repr::LEN];
            repr.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            refuses_truncation(&bytes, Repr::LEN, Repr::parse);
        }

        #[test]
        fn other_hardware_and_protocols_are_refused(at in 0usize..6, bit in 0u8..8) {
            let zero = Mac([0; 6]);
            let any = Ipv4Addr::UNSPECIFIED;
            let repr = Repr { operation: REQUEST, sender_mac: zero, sender: any, target_mac: zero, target: any };
            let mut bytes = [0; Repr::LEN];
            repr.emit(&mut bytes).unwrap();
            bytes[at] ^= 1 << bit;
            prop_assert!(Repr::parse(&bytes).is_err());
        }
    }
}
