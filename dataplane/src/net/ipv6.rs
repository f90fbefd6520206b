//! IPv6 (RFC 8200): the fixed header, the fragment header, and a bounded walk over extension
//! headers to the upper layer.

use super::{Layer, Malformed, fill, protocol, room, split};
use std::net::Ipv6Addr;

/// Extension headers followed in one packet. RFC 8200 §4.1 orders at most seven kinds once each
/// (destination options twice); a longer chain is an attack on the parser (RFC 9098 §5).
pub const MAX_EXTENSIONS: usize = 8;
/// Octets of extension headers followed in one packet: what an RFC 8883-style limit would allow
/// without letting a chain hide the upper layer beyond any sensible MTU.
pub const MAX_EXTENSION_OCTETS: usize = 512;

/// A checked IPv6 header and its payload (extension headers included).
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; Repr::LEN],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads a whole packet: Payload Length must lie within `bytes`.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, rest) = fixed(bytes)?;
        let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let payload =
            rest.get(..length).ok_or(Malformed::truncated(Layer::Ipv6, Repr::LEN + length, bytes.len()))?;
        Ok(Header { fixed, payload })
    }

    /// Reads a packet that may be cut short, as ICMPv6 errors quote it.
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, rest) = fixed(bytes)?;
        let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        Ok(Header { fixed, payload: rest.get(..length).unwrap_or(rest) })
    }

    /// DSCP and ECN octet.
    pub const fn traffic_class(&self) -> u8 {
        (self.fixed[0] << 4) | (self.fixed[1] >> 4)
    }

    /// Flow label, 20 bits.
    pub const fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.fixed[1] & 0x0f, self.fixed[2], self.fixed[3]])
    }

    /// Octets after the fixed header, as the field says.
    pub const fn payload_length(&self) -> u16 {
        u16::from_be_bytes([self.fixed[4], self.fixed[5]])
    }

    /// What follows the fixed header: an extension or the upper layer.
    pub const fn next_header(&self) -> u8 {
        self.fixed[6]
    }

    /// Hop limit.
    pub const fn hop_limit(&self) -> u8 {
        self.fixed[7]
    }

    /// Who sent it.
    pub fn source(&self) -> Ipv6Addr {
        address(self.fixed.get(8..24))
    }

    /// Where it goes.
    pub fn destination(&self) -> Ipv6Addr {
        address(self.fixed.get(24..40))
    }

    /// Extension headers and upper layer.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Walks the extension headers.
    #[inline]
    pub fn chain(&self) -> Result<Chain, Malformed> {
        Chain::walk(self.next_header(), self.payload)
    }
}

#[inline]
fn fixed(bytes: &[u8]) -> Result<(&[u8; Repr::LEN], &[u8]), Malformed> {
    let (fixed, rest) = split::<{ Repr::LEN }>(Layer::Ipv6, bytes)?;
    match fixed[0] >> 4 {
        6 => Ok((fixed, rest)),
        found => Err(Malformed::Field { layer: Layer::Ipv6, field: "version", found: u32::from(found) }),
    }
}

#[inline]
fn address(octets: Option<&[u8]>) -> Ipv6Addr {
    let octets: Option<[u8; 16]> = octets.and_then(|o| o.try_into().ok());
    Ipv6Addr::from(octets.unwrap_or_default())
}

/// Where a walk over the extension headers ended. Offsets count from the end of the fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// First header that is not an extension we follow: the upper layer's protocol number. In a
    /// non-initial fragment, the Next Header the fragment header names, which may itself be an
    /// extension header.
    pub protocol: u8,
    /// Where that header starts.
    pub offset: usize,
    /// Where the octet that names it lies (for ICMPv6 parameter problems and rewriting).
    pub next_header_at: Option<usize>,
    /// The fragment header, if there is one.
    pub fragment: Option<FragmentAt>,
}

/// A fragment header found on a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentAt {
    /// Where it starts: the length of the per-fragment extension headers before it.
    pub offset: usize,
    /// Where the octet that names it lies; `None` is the fixed header's Next Header.
    pub next_header_at: Option<usize>,
    /// What it says.
    pub header: Fragment,
}

impl Chain {
    /// Follows extension headers from `next_header` through `payload`. The walk stops at the
    /// upper layer, at "no next header", and behind the fragment header of a non-initial
    /// fragment, whose remaining octets are not headers.
    #[inline]
    pub fn walk(next_header: u8, payload: &[u8]) -> Result<Chain, Malformed> {
        let mut chain = Chain { protocol: next_header, offset: 0, next_header_at: None, fragment: None };
        for _ in 0..MAX_EXTENSIONS {
            match chain.step(payload)? {
                Some(next) => chain = next,
                None => return Ok(chain),
            }
        }
        // The budget is spent: fine only if what follows is the upper layer.
        match chain.step(payload)? {
            None => Ok(chain),
            Some(_) => Err(Malformed::ChainTooLong),
        }
    }

    /// The chain one extension further, or `None` where it ends.
    fn step(&self, payload: &[u8]) -> Result<Option<Chain>, Malformed> {
        let behind_fragment = self.fragment.is_some_and(|fragment| fragment.header.offset > 0);
        if behind_fragment || !is_extension(self.protocol) {
            return Ok(None);
        }
        // RFC 8200 §4.1: hop-by-hop options are restricted to appear immediately after the
        // IPv6 header only.
        if self.protocol == protocol::HOP_BY_HOP && self.offset > 0 {
            let found = self.offset as u32;
            return Err(Malformed::Field {
                layer: Layer::Ipv6Extension,
                field: "hop-by-hop position",
                found,
            });
        }
        self.next(payload.get(self.offset..).unwrap_or_default()).map(Some)
    }

    fn next(&self, rest: &[u8]) -> Result<Chain, Malformed> {
        let (head, _) = split::<8>(Layer::Ipv6Extension, rest)?;
        let length = extension_length(self.protocol, head[1]);
        if length > rest.len() {
            return Err(Malformed::truncated(Layer::Ipv6Extension, length, rest.len()));
        }
        let offset = self.offset + length;
        if offset > MAX_EXTENSION_OCTETS {
            return Err(Malformed::ChainTooLong);
        }
        let fragment = self.fragment_here(head)?.or(self.fragment);
        Ok(Chain { protocol: head[0], offset, next_header_at: Some(self.offset), fragment })
    }

    fn fragment_here(&self, head: &[u8; 8]) -> Result<Option<FragmentAt>, Malformed> {
        if self.protocol != protocol::FRAGMENT {
            return Ok(None);
        }
        if self.fragment.is_some() {
            let found = self.offset as u32;
            return Err(Malformed::Field {
                layer: Layer::Ipv6Extension,
                field: "second fragment header",
                found,
            });
        }
        let header = Fragment::parse(head)?;
        Ok(Some(FragmentAt { offset: self.offset, next_header_at: self.next_header_at, header }))
    }
}

/// The headers to skip on the way to the next layer protocol, as RFC 4301 §4.4.1.1 lists them:
/// AH and ESP are not among them, policy sees those as protocols.
#[inline]
pub(super) const fn is_extension(next_header: u8) -> bool {
    use protocol::{DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING};
    matches!(next_header, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

const fn extension_length(protocol: u8, field: u8) -> usize {
    match protocol {
        // RFC 8200 §4.5: the second octet of a fragment header is reserved.
        protocol::FRAGMENT => Fragment::LEN,
        _ => (field as usize + 1) * 8,
    }
}

/// The fragment header (RFC 8200 §4.5), by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// What the fragmentable part starts with.
    pub next_header: u8,
    /// Offset in octets, a multiple of 8.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Identification, which ties fragments together.
    pub id: u32,
}

impl Fragment {
    /// Octets of the header.
    pub const LEN: usize = 8;

    /// Reads a fragment header.
    pub fn parse(bytes: &[u8]) -> Result<Fragment, Malformed> {
        let (head, _) = split::<8>(Layer::Ipv6Extension, bytes)?;
        let field = u16::from_be_bytes([head[2], head[3]]);
        Ok(Fragment {
            next_header: head[0],
            offset: field & !7,
            more: field & 1 == 1,
            id: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        })
    }

    /// Writes the header to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<8>(Layer::Ipv6Extension, out)?;
        let field = (self.offset & !7) | u16::from(self.more);
        fill(out, &[&[self.next_header, 0], &field.to_be_bytes(), &self.id.to_be_bytes()]);
        Ok(())
    }

    /// Whether this is a whole datagram in one fragment (RFC 6946), to be processed alone.
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// The fixed IPv6 header, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// DSCP and ECN octet.
    pub traffic_class: u8,
    /// Flow label; the low 20 bits count.
    pub flow_label: u32,
    /// Octets after the fixed header.
    pub payload_length: u16,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Who sends it.
    pub source: Ipv6Addr,
    /// Where it goes.
    pub destination: Ipv6Addr,
}

impl From<&Header<'_>> for Repr {
    fn from(header: &Header<'_>) -> Repr {
        Repr {
            traffic_class: header.traffic_class(),
            flow_label: header.flow_label(),
            payload_length: header.payload_length(),
            next_header: header.next_header(),
            hop_limit: header.hop_limit(),
            source: header.source(),
            destination: header.destination(),
        }
    }
}

impl Repr {
    /// Octets of the fixed header.
    pub const LEN: usize = 40;

    /// Reads a whole packet's fixed header.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        Ok(Repr::from(&Header::parse(bytes)?))
    }

    /// Writes the header to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<{ Repr::LEN }>(Layer::Ipv6, out)?;
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0x000f_ffff);
        let parts: [&[u8]; 5] = [
            &first.to_be_bytes(),
            &self.payload_length.to_be_bytes(),
            &[self.next_header, self.hop_limit],
            &self.source.octets(),
            &self.destination.octets(),
        ];
        fill(out, &parts);
        Ok(())
    }
}

/// Makes the fixed header one that all of `packet` belongs to, and the last header of its chain, whose next header field is
/// at `named_at`, one that `protocol` follows. `None` when there is no such field, or the packet is longer than one can be.
pub fn carry(packet: &mut [u8], named_at: usize, protocol: u8) -> Option<()> {
    let length = u16::try_from(packet.len().checked_sub(Repr::LEN)?).ok()?;
    *packet.get_mut(named_at)? = protocol;
    packet.get_mut(4..6)?.copy_from_slice(&length.to_be_bytes());
    Some(())
}

/// Takes one hop from the hop limit; the new value, or `None` (packet untouched) where it was
/// 0 or 1 and the packet may not be forwarded (RFC 8200 §3).
#[inline]
pub fn decrement_hop_limit(packet: &mut [u8]) -> Option<u8> {
    let fixed = packet.first_chunk_mut::<{ Repr::LEN }>()?;
    fixed[7] = fixed[7].checked_sub(1).filter(|limit| *limit > 0)?;
    Some(fixed[7])
}

/// Replaces DSCP and ECN. A packet shorter than a header is left alone.
#[inline]
pub fn set_traffic_class(packet: &mut [u8], class: u8) {
    if let Some(fixed) = packet.first_chunk_mut::<{ Repr::LEN }>() {
        fixed[0] = (fixed[0] & 0xf0) | class >> 4;
        fixed[1] = (fixed[1] & 0x0f) | class << 4;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::net::testing::refuses_truncation;
    use proptest::prelude::*;

    prop_compose! {
        /// Any fixed header over `payload` octets.
        pub fn any_repr(payload: u16)(
            traffic_class: u8, flow_label in 0u32..1 << 20, next_header: u8, hop_limit: u8,
            source: [u8; 16], destination: [u8; 16],
        ) -> Repr {
            Repr {
                traffic_class, flow_label, payload_length: payload, next_header, hop_limit,
                source: source.into(), destination: destination.into(),
            }
        }
    }

    /// One extension header of `words` extra 8-octet units.
    fn extension(next: u8, words: u8) -> Vec<u8> {
        let mut bytes = vec![0; (usize::from(words) + 1) * 8];
        (bytes[0], bytes[1]) = (next, words);
        bytes
    }

    proptest! {
        #[test]
        fn round_trip(repr in any_repr(9), class: u8) {
            let mut bytes = vec![0x5a; Repr::LEN + 9];
            repr.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            refuses_truncation(&bytes, bytes.len(), Repr::parse);
            refuses_truncation(&bytes, Repr::LEN, |cut| Header::parse_quoted(cut).map(|_| ()));
            set_traffic_class(&mut bytes, class);
            let hop_limit = decrement_hop_limit(&mut bytes);
            prop_assert_eq!(hop_limit, (repr.hop_limit > 1).then(|| repr.hop_limit - 1));
            let expected = Repr { traffic_class: class, hop_limit: hop_limit.unwrap_or(repr.hop_limit), ..repr };
            prop_assert_eq!(Repr::parse(&bytes), Ok(expected));
        }

        #[test]
        fn fragment_round_trip(next_header: u8, offset in 0u16..8192, more: bool, id: u32) {
            let fragment = Fragment { next_header, offset: offset * 8, more, id };
            let mut bytes = [0; 8];
            fragment.emit(&mut bytes).unwrap();
            prop_assert_eq!(Fragment::parse(&bytes), Ok(fragment));
            refuses_truncation(&bytes, 8, Fragment::parse);
        }

        #[test]
        fn walking_arbitrary_octets_ends_inside_them(next: u8, bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            if let Ok(chain) = Chain::walk(next, &bytes) {
                prop_assert!(chain.offset <= bytes.len() && chain.offset <= MAX_EXTENSION_OCTETS);
            }
        }
    }

    #[test]
    fn a_walk_finds_the_upper_layer_behind_every_extension() {
        let mut bytes = extension(protocol::ROUTING, 0);
        bytes.extend(extension(protocol::FRAGMENT, 2));
        bytes.extend([protocol::DESTINATION, 0, 0, 1, 0, 0, 0, 1]);
        bytes.extend(extension(protocol::UDP, 1));
        let chain = Chain::walk(protocol::HOP_BY_HOP, &bytes).unwrap();
        assert_eq!((chain.protocol, chain.offset), (protocol::UDP, 8 + 24 + 8 + 16));
        assert_eq!(chain.fragment.map(|at| (at.offset, at.next_header_at)), Some((32, Some(8))));
        refuses_truncation(&bytes, 8 + 24 + 8 + 16, |cut| Chain::walk(protocol::HOP_BY_HOP, cut));
    }

    #[test]
    fn a_walk_stops_at_ah_which_policy_sees_as_a_protocol() {
        let chain = Chain::walk(protocol::AH, &extension(protocol::UDP, 4)).unwrap();
        assert_eq!((chain.protocol, chain.offset), (protocol::AH, 0));
    }

    #[test]
    fn a_walk_stops_behind_a_non_initial_fragment() {
        let mut bytes = vec![protocol::DESTINATION, 0, 0, 0x08, 0, 0, 0, 7];
        bytes.extend([0xff; 8]);
        let chain = Chain::walk(protocol::FRAGMENT, &bytes).unwrap();
        assert_eq!((chain.protocol, chain.offset), (protocol::DESTINATION, 8));
        assert_eq!(chain.fragment.unwrap().header.offset, 8);
    }

    #[test]
    fn long_chains_and_misplaced_headers_are_refused() {
        let nine: Vec<u8> = (0..9).flat_map(|_| extension(protocol::DESTINATION, 0)).collect();
        assert_eq!(Chain::walk(protocol::DESTINATION, &nine), Err(Malformed::ChainTooLong));
        let big = extension(protocol::UDP, 255);
        assert_eq!(Chain::walk(protocol::DESTINATION, &big), Err(Malformed::ChainTooLong));
        let late = [extension(protocol::HOP_BY_HOP, 0), extension(protocol::UDP, 0)].concat();
        assert!(Chain::walk(protocol::DESTINATION, &late).is_err());
        let twice = [extension(protocol::FRAGMENT, 0), extension(protocol::UDP, 0)].concat();
        assert!(Chain::walk(protocol::FRAGMENT, &twice).is_err());
        let eight: Vec<u8> = (0..8)
            .flat_map(|i| extension(if i == 7 { protocol::UDP } else { protocol::DESTINATION }, 0))
            .collect();
        assert_eq!(Chain::walk(protocol::DESTINATION, &eight).unwrap().offset, 64);
    }
}
