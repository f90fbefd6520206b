//! ICMP (RFC 792) and ICMPv6 (RFC 4443): the common header, and the packet an error quotes.
//!
//! The eight octets are the same in both; types differ. Whether to believe an error is the
//! caller's decision (it compares the quote with what it sent).

use super::{Layer, Malformed, fill, room, split};

/// ICMPv4 types and codes.
pub mod v4 {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Echo request.
    pub const ECHO: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
    /// Code of [`UNREACHABLE`]: host unreachable.
    pub const CODE_HOST: u8 = 1;
    /// Code of [`UNREACHABLE`]: fragmentation needed and DF set (RFC 1191).
    pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;
    /// Code of [`UNREACHABLE`]: communication administratively prohibited (RFC 1812 §5.2.7.1).
    pub const CODE_PROHIBITED: u8 = 13;
    /// Code of [`TIME_EXCEEDED`]: in transit.
    pub const CODE_TRANSIT: u8 = 0;

    /// Whether a type is an error, which is never answered by an error (RFC 1812 §4.3.2.7).
    pub const fn is_error(kind: u8) -> bool {
        matches!(kind, 3 | 4 | 5 | 11 | 12)
    }
}

/// ICMPv6 types and codes.
pub mod v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Router solicitation (first of the neighbour discovery types).
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Neighbour solicitation.
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement.
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// Redirect (last of the neighbour discovery types, never answered by an error).
    pub const REDIRECT: u8 = 137;
    /// Code of [`UNREACHABLE`]: communication administratively prohibited.
    pub const CODE_PROHIBITED: u8 = 1;
    /// Code of [`UNREACHABLE`]: address unreachable.
    pub const CODE_ADDRESS: u8 = 3;
    /// Code of [`TIME_EXCEEDED`]: hop limit exceeded in transit.
    pub const CODE_TRANSIT: u8 = 0;

    /// Whether a type is an error (RFC 4443 §2.1: the high bit is clear).
    pub const fn is_error(kind: u8) -> bool {
        kind < 128
    }
}

/// A checked ICMP header and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; Repr::LEN],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the header of a whole message.
    pub fn parse(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, payload) = split(Layer::Icmp, bytes)?;
        Ok(Header { fixed, payload })
    }

    /// Type.
    pub const fn kind(&self) -> u8 {
        self.fixed[0]
    }

    /// Code.
    pub const fn code(&self) -> u8 {
        self.fixed[1]
    }

    /// Checksum field.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Octets 4..8: identifier and sequence, MTU, or unused.
    pub const fn rest(&self) -> u32 {
        u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]])
    }

    /// Next-hop MTU of an ICMPv4 "fragmentation needed" (RFC 1191 §4); zero from old routers.
    pub const fn mtu_v4(&self) -> u16 {
        self.rest() as u16
    }

    /// The message body; in an error, the start of the packet it is about, readable with
    /// [`super::ipv4::Header::parse_quoted`] or [`super::ipv6::Header::parse_quoted`].
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// An ICMP header by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum to send.
    pub checksum: u16,
    /// Octets 4..8.
    pub rest: u32,
}

impl Repr {
    /// Octets of the header.
    pub const LEN: usize = 8;

    /// Reads a message's header.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        let header = Header::parse(bytes)?;
        Ok(Repr {
            kind: header.kind(),
            code: header.code(),
            checksum: header.checksum(),
            rest: header.rest(),
        })
    }

    /// Writes the header to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<{ Repr::LEN }>(Layer::Icmp, out)?;
        fill(out, &[&[self.kind, self.code], &self.checksum.to_be_bytes(), &self.rest.to_be_bytes()]);
        Ok(())
    }
}

/// Stores `checksum` in a message. Shorter octets than a header are left alone.
pub fn set_checksum(message: &mut [u8], checksum: u16) {
    if let Some(fixed) = message.first_chunk_mut::<{ Repr::LEN }>() {
        [fixed[2], fixed[3]] = checksum.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::refuses_truncation;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(kind: u8, code: u8, checksum: u16, rest: u32) {
            let repr = Repr { kind, code, checksum, rest };
            let mut bytes = [0; Repr::LEN];
            repr.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            refuses_truncation(&bytes, Repr::LEN, Repr::parse);
        }
    }
}
