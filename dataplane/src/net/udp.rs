//! UDP (RFC 768), with the zero checksum of UDP-encapsulated ESP (RFC 3948 §2.1).

use super::{Layer, Malformed, checksum, fill, protocol, room, split};
use std::net::IpAddr;

/// A checked UDP header and its payload.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    datagram: &'a [u8],
    fixed: &'a [u8; Repr::LEN],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads a whole datagram: Length must lie within `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, _) = split::<{ Repr::LEN }>(Layer::Udp, bytes)?;
        let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        if length < Repr::LEN {
            return Err(Malformed::Length { layer: Layer::Udp, field: "length", found: length });
        }
        let datagram = bytes.get(..length).ok_or(Malformed::truncated(Layer::Udp, length, bytes.len()))?;
        let (fixed, payload) = split(Layer::Udp, datagram)?;
        Ok(Header { datagram, fixed, payload })
    }

    /// Port it came from.
    pub const fn source(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// Port it goes to.
    pub const fn destination(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Octets of header and payload.
    pub const fn length(&self) -> u16 {
        u16::from_be_bytes([self.fixed[4], self.fixed[5]])
    }

    /// Checksum field; zero means not computed (IPv4, and RFC 6935 tunnels over IPv6).
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.fixed[6], self.fixed[7]])
    }

    /// What the datagram carries.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the datagram agrees with its checksum, or has none.
    pub fn checksum_ok(&self, source: IpAddr, destination: IpAddr) -> bool {
        self.checksum() == 0 || checksum::transport_ok(source, destination, protocol::UDP, self.datagram)
    }
}

/// A UDP header by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Port it comes from.
    pub source: u16,
    /// Port it goes to.
    pub destination: u16,
    /// Octets of header and payload.
    pub length: u16,
    /// Checksum to send; zero means none.
    pub checksum: u16,
}

impl Repr {
    /// Octets of the header.
    pub const LEN: usize = 8;

    /// Reads a whole datagram's header.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        let header = Header::parse(bytes)?;
        Ok(Repr {
            source: header.source(),
            destination: header.destination(),
            length: header.length(),
            checksum: header.checksum(),
        })
    }

    /// Writes the header to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<{ Repr::LEN }>(Layer::Udp, out)?;
        let fields = [self.source, self.destination, self.length, self.checksum].map(u16::to_be_bytes);
        fill(out, &[fields.as_flattened()]);
        Ok(())
    }
}

/// Computes and stores the checksum of a whole datagram; a zero sum is sent as all ones (RFC 768).
/// Shorter octets than a header are left alone.
pub fn set_checksum(source: IpAddr, destination: IpAddr, datagram: &mut [u8]) {
    if let Some(fixed) = datagram.first_chunk_mut::<{ Repr::LEN }>() {
        [fixed[6], fixed[7]] = [0, 0];
    }
    let sum = match checksum::transport(source, destination, protocol::UDP, datagram) {
        0 => 0xffff,
        sum => sum,
    };
    if let Some(fixed) = datagram.first_chunk_mut::<{ Repr::LEN }>() {
        [fixed[6], fixed[7]] = sum.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::refuses_truncation;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(source: u16, destination: u16, checksum: u16, payload in proptest::collection::vec(any::<u8>(), 0..40)) {
            let length = (Repr::LEN + payload.len()) as u16;
            let repr = Repr { source, destination, length, checksum };
            let mut bytes = [[0; Repr::LEN].as_slice(), &payload].concat();
            repr.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            refuses_truncation(&bytes, bytes.len(), Repr::parse);
            let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
            set_checksum(a, b, &mut bytes);
            let header = Header::parse(&bytes).unwrap();
            prop_assert!(header.checksum() != 0 && header.checksum_ok(a, b));
        }
    }

    #[test]
    fn a_length_below_the_header_is_refused() {
        assert!(Header::parse(&[0, 1, 0, 2, 0, 7, 0, 0]).is_err());
    }
}
