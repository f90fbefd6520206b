//! Cuts an IP packet into fragments that fit an MTU (RFC 791 §3.2, RFC 8200 §4.5): inner IPv4
//! before encapsulation (DP-23), outer IPv4 and IPv6 after it (DP-25).
//!
//! Works on octets and takes no buffer: the caller allocates a frame for each [`Piece`] and lets
//! it write itself. Whether a packet may be fragmented at all (IPv6 in transit may not) is the
//! caller's to know; Don't Fragment is obeyed here.

use crate::net::{Layer, Malformed, checksum, fill, ipv4, ipv6, protocol};

/// Smallest MTU a packet is cut for: what every IPv4 link carries (RFC 791 §3.2).
pub const LEAST_MTU: usize = 68;
/// Longest header of a piece: IPv4 with all options; IPv6 with a fragment header is shorter.
const LONGEST_HEADER: usize = 60;

/// Why a packet cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not an IP packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its sender forbids it; the answer is an ICMP error.
    #[error("the packet exceeds the MTU of {mtu} octets and must not be fragmented")]
    DontFragment {
        /// The MTU it does not fit.
        mtu: usize,
    },
    /// No room for eight octets of payload.
    #[error("an MTU of {mtu} octets is below the least of {LEAST_MTU}")]
    MtuTooSmall {
        /// The MTU.
        mtu: usize,
    },
    /// IPv6 with headers that belong into every fragment: nothing we build has them.
    #[error("an IPv6 packet with per-fragment extension headers is not cut here")]
    PerFragmentHeaders,
}

/// The pieces of one packet, in order.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    template: Template,
    payload: &'a [u8],
    /// Octets of payload already handed out.
    at: usize,
    mtu: usize,
}

/// What the pieces' headers have in common.
#[derive(Clone, Copy, Debug)]
enum Template {
    V4 {
        repr: ipv4::Repr,
        /// Options of the first piece and of the others, each with its length.
        first: Options,
        others: Options,
    },
    V6 {
        repr: ipv6::Repr,
        id: u32,
    },
}

/// IPv4 options, a multiple of four octets.
#[derive(Clone, Copy, Debug)]
struct Options {
    octets: [u8; 40],
    length: usize,
}

/// One fragment: a header of its own and a part of the packet's payload.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    header: [u8; LONGEST_HEADER],
    header_length: usize,
    payload: &'a [u8],
}

/// The pieces of `packet`, or `None` if it fits into `mtu` octets as it is. `id` identifies the
/// pieces of an IPv6 packet (RFC 8200 §4.5: different from that of any other recent one with the
/// same addresses); IPv4 packets bring their own.
pub fn split(packet: &[u8], mtu: usize, id: u32) -> Result<Option<Pieces<'_>>, Refused> {
    match packet.first().map(|octet| octet >> 4) {
        Some(6) => split_v6(ipv6::Header::parse(packet)?, mtu, id),
        _ => split_v4(ipv4::Header::parse(packet)?, mtu),
    }
}

fn split_v4(header: ipv4::Header<'_>, mtu: usize) -> Result<Option<Pieces<'_>>, Refused> {
    if usize::from(header.total_length()) <= mtu {
        return Ok(None);
    }
    if header.dont_fragment() {
        return Err(Refused::DontFragment { mtu });
    }
    if mtu < LEAST_MTU {
        return Err(Refused::MtuTooSmall { mtu });
    }
    // A piece of a datagram longer than there can be (RFC 791 §3.1) has no place for its pieces.
    let end = header.fragment_offset() + header.payload().len();
    if end > usize::from(u16::MAX) {
        return Err(Malformed::Length { layer: Layer::Ipv4, field: "fragment offset", found: end }.into());
    }
    let first = Options::all(header.options());
    let others = Options::copied(header.options());
    let template = Template::V4 { repr: ipv4::Repr::from(&header), first, others };
    Ok(Some(Pieces { template, payload: header.payload(), at: 0, mtu }))
}

fn split_v6(header: ipv6::Header<'_>, mtu: usize, id: u32) -> Result<Option<Pieces<'_>>, Refused> {
    if ipv6::Repr::LEN + header.payload().len() <= mtu {
        return Ok(None);
    }
    if mtu < LEAST_MTU {
        return Err(Refused::MtuTooSmall { mtu });
    }
    use protocol::{FRAGMENT, HOP_BY_HOP, ROUTING};
    if matches!(header.next_header(), HOP_BY_HOP | ROUTING | FRAGMENT) {
        return Err(Refused::PerFragmentHeaders);
    }
    let template = Template::V6 { repr: ipv6::Repr::from(&header), id };
    Ok(Some(Pieces { template, payload: header.payload(), at: 0, mtu }))
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = self.payload.get(self.at..).filter(|rest| !rest.is_empty())?;
        let room = self.mtu.saturating_sub(self.template.header_length(self.at));
        let last = rest.len() <= room;
        // All fragments but the last carry a multiple of eight octets.
        let length = if last { rest.len() } else { room - room % 8 };
        let payload = rest.get(..length).filter(|payload| !payload.is_empty())?;
        let (header, header_length) = self.template.header(self.at, length, last);
        self.at += length;
        Some(Piece { header, header_length, payload })
    }
}

impl Template {
    const fn header_length(&self, at: usize) -> usize {
        match self {
            Template::V4 { first, others, .. } => {
                ipv4::Repr::LEN + if at == 0 { first.length } else { others.length }
            }
            Template::V6 { .. } => ipv6::Repr::LEN + ipv6::Fragment::LEN,
        }
    }

    fn header(&self, at: usize, payload: usize, last: bool) -> ([u8; LONGEST_HEADER], usize) {
        let length = self.header_length(at);
        let mut out = [0; LONGEST_HEADER];
        match self {
            Template::V4 { repr, first, others } => {
                let options = if at == 0 { first } else { others };
                emit_v4(repr, options, at, payload, last, &mut out);
            }
            Template::V6 { repr, id } => emit_v6(repr, *id, at, payload, last, &mut out),
        }
        (out, length)
    }
}

fn emit_v4(
    repr: &ipv4::Repr,
    options: &Options,
    at: usize,
    payload: usize,
    last: bool,
    out: &mut [u8; LONGEST_HEADER],
) {
    let length = ipv4::Repr::LEN + options.length;
    let repr = ipv4::Repr {
        total_length: (length + payload) as u16,
        // A piece of a piece keeps its place in the whole.
        fragment_offset: repr.fragment_offset + at as u16,
        more_fragments: repr.more_fragments || !last,
        ..*repr
    };
    // The buffer is longer than any header, so this cannot fail.
    let _ = repr.emit(out);
    if options.length > 0 {
        let (fixed, rest) = out.split_at_mut(ipv4::Repr::LEN);
        fill(rest, &[options.as_bytes()]);
        let first = 0x40 | (length / 4) as u8;
        fill(fixed, &[&[first]]);
        refresh_checksum(out, length);
    }
}

/// Recomputes the checksum of an IPv4 header of `length` octets.
pub(super) fn refresh_checksum(packet: &mut [u8], length: usize) {
    if let Some(fixed) = packet.first_chunk_mut::<{ ipv4::Repr::LEN }>() {
        [fixed[10], fixed[11]] = [0, 0];
    }
    let sum = checksum::internet(packet.get(..length).unwrap_or_default());
    if let Some(fixed) = packet.first_chunk_mut::<{ ipv4::Repr::LEN }>() {
        [fixed[10], fixed[11]] = sum.to_be_bytes();
    }
}

fn emit_v6(
    repr: &ipv6::Repr,
    id: u32,
    at: usize,
    payload: usize,
    last: bool,
    out: &mut [u8; LONGEST_HEADER],
) {
    let fragment = ipv6::Fragment { next_header: repr.next_header, offset: at as u16, more: !last, id };
    let payload_length = (ipv6::Fragment::LEN + payload) as u16;
    let fixed = ipv6::Repr { next_header: protocol::FRAGMENT, payload_length, ..*repr };
    let (head, tail) = out.split_at_mut(ipv6::Repr::LEN);
    // The buffer is longer than both headers, so neither can fail.
    let _ = fixed.emit(head);
    let _ = fragment.emit(tail);
}

impl Options {
    const NONE: Options = Options { octets: [0; 40], length: 0 };

    fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    fn all(options: &[u8]) -> Options {
        let mut all = Options::NONE;
        all.push(options);
        all
    }

    /// The options that go into every fragment: those with the copied flag (RFC 791 §3.1), padded
    /// with end-of-list. A malformed option ends the list.
    fn copied(mut options: &[u8]) -> Options {
        let mut copied = Options::NONE;
        while let Some((option, rest)) = next_option(options) {
            if option.first().is_some_and(|kind| kind & 0x80 != 0) {
                copied.push(option);
            }
            options = rest;
        }
        copied.length = copied.length.next_multiple_of(4);
        copied
    }

    fn push(&mut self, option: &[u8]) {
        let place = self.octets.get_mut(self.length..).unwrap_or_default();
        fill(place, &[option]);
        self.length = (self.length + option.len()).min(self.octets.len());
    }
}

/// The first option and what follows it; `None` at the end of the list.
fn next_option(options: &[u8]) -> Option<(&[u8], &[u8])> {
    match options {
        [] | [0, ..] => None,
        [1, ..] => options.split_at_checked(1),
        [_, length @ 2..=255, ..] => options.split_at_checked(usize::from(*length)),
        _ => None,
    }
}

impl Piece<'_> {
    /// Octets of the fragment.
    #[expect(clippy::len_without_is_empty, reason = "a fragment is never empty")]
    pub const fn len(&self) -> usize {
        self.header_length + self.payload.len()
    }

    /// Writes the fragment to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let have = out.len();
        let out = out.get_mut(..self.len()).ok_or(Malformed::truncated(Layer::Ipv4, self.len(), have))?;
        let header = self.header.get(..self.header_length).unwrap_or(&self.header);
        let (head, tail) = out.split_at_mut(header.len());
        head.copy_from_slice(header);
        tail.copy_from_slice(self.payload);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All pieces of a packet, as octets.
    pub fn pieces(packet: &[u8], mtu: usize, id: u32) -> Vec<Vec<u8>> {
        let pieces = split(packet, mtu, id).unwrap().unwrap();
        pieces
            .map(|piece| {
                let mut bytes = vec![0; piece.len()];
                piece.emit(&mut bytes).unwrap();
                assert!(piece.emit(&mut bytes[1..]).is_err());
                bytes
            })
            .collect()
    }

    /// A piece that would lie beyond the longest datagram there is has no pieces: their places could not be
    /// written down. One that just fits has, and keeps its place.
    #[test]
    fn a_piece_beyond_the_end_is_not_cut() {
        for (offset, fits) in [(0x1fff * 8, false), (64_512 + 8, false), (64_512, true)] {
            let mut packet = v4(1016, &[], false);
            let repr = ipv4::Repr::from(&ipv4::Header::parse(&packet).unwrap());
            ipv4::Repr { fragment_offset: offset, ..repr }.emit(&mut packet).unwrap();
            match split(&packet, 576, 0) {
                Ok(Some(_)) if fits => {
                    let pieces = pieces(&packet, 576, 0);
                    let places =
                        pieces.iter().map(|piece| ipv4::Header::parse(piece).unwrap().fragment_offset());
                    assert_eq!(places.collect::<Vec<_>>(), [64_512, 64_512 + 552]);
                }
                Err(Refused::Malformed(_)) => assert!(!fits, "at {offset}"),
                other => panic!("at {offset}: {other:?}"),
            }
        }
    }

    /// A whole packet with a recognisable payload.
    pub fn v4(payload: usize, options: &[u8], dont_fragment: bool) -> Vec<u8> {
        let header = 20 + options.len();
        let repr = ipv4::Repr {
            traffic_class: 0xb8,
            total_length: (header + payload) as u16,
            id: 0x1234,
            dont_fragment,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 9,
            protocol: 50,
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
        };
        let mut bytes = vec![0; 20];
        repr.emit(&mut bytes).unwrap();
        bytes.extend(options);
        bytes.extend((0..payload).map(|n| (n * 7 + n / 251) as u8));
        bytes[0] = 0x40 | (header / 4) as u8;
        refresh_checksum(&mut bytes, header);
        bytes
    }

    /// The same in IPv6.
    pub fn v6(payload: usize) -> Vec<u8> {
        let repr = ipv6::Repr {
            traffic_class: 1,
            flow_label: 2,
            payload_length: payload as u16,
            next_header: 50,
            hop_limit: 9,
            source: [3; 16].into(),
            destination: [4; 16].into(),
        };
        let mut bytes = vec![0; 40];
        repr.emit(&mut bytes).unwrap();
        bytes.extend((0..payload).map(|n| (n * 7 + n / 251) as u8));
        bytes
    }

    proptest! {
        #[test]
        fn v4_pieces_fit_and_cover_the_packet(payload in 1usize..5000, mtu in LEAST_MTU..2000, words in 0usize..3) {
            // A copied option (LSRR's shape), a not copied one, no-operations.
            let options = [[131u8, 4, 4, 0], [7, 4, 0, 0], [1, 1, 1, 0]].concat();
            let packet = v4(payload, &options[..words * 4], false);
            prop_assume!(packet.len() > mtu);
            let pieces = pieces(&packet, mtu, 0);
            let mut at = 0;
            for (n, bytes) in pieces.iter().enumerate() {
                let header = ipv4::Header::parse(bytes).unwrap();
                prop_assert!(bytes.len() <= mtu && header.checksum_ok());
                prop_assert_eq!(usize::from(header.total_length()), bytes.len());
                prop_assert_eq!(header.fragment_offset(), at);
                prop_assert_eq!(header.more_fragments(), n + 1 < pieces.len());
                let expected: &[u8] = if n == 0 { &options[..words * 4] } else { &options[..words.min(1) * 4] };
                prop_assert_eq!(header.options(), expected);
                let whole = &packet[20 + words * 4..];
                prop_assert_eq!(header.payload(), &whole[at..at + header.payload().len()]);
                at += header.payload().len();
            }
            prop_assert_eq!(at, payload);
        }

        #[test]
        fn v6_pieces_fit_and_cover_the_packet(payload in 1usize..5000, mtu in LEAST_MTU..2000, id: u32) {
            let packet = v6(payload);
            prop_assume!(packet.len() > mtu);
            let pieces = pieces(&packet, mtu, id);
            let mut at = 0;
            for (n, bytes) in pieces.iter().enumerate() {
                let header = ipv6::Header::parse(bytes).unwrap();
                let fragment = ipv6::Fragment::parse(header.payload()).unwrap();
                let expected = ipv6::Fragment { next_header: 50, offset: at as u16, more: n + 1 < pieces.len(), id };
                prop_assert_eq!((header.next_header(), fragment), (44, expected));
                prop_assert!(bytes.len() <= mtu);
                let part = &header.payload()[8..];
                prop_assert_eq!(part, &packet[40 + at..40 + at + part.len()]);
                at += part.len();
            }
            prop_assert_eq!(at, payload);
        }

        #[test]
        fn a_piece_can_be_cut_again(payload in 600usize..3000, first in 300usize..600, second in LEAST_MTU..280) {
            let packet = v4(payload, &[], false);
            let twice: Vec<_> = pieces(&packet, first, 0).iter().flat_map(|piece| {
                match split(piece, second, 0).unwrap() {
                    Some(_) => pieces(piece, second, 0),
                    None => vec![piece.clone()],
                }
            }).collect();
            let mut at = 0;
            for (n, bytes) in twice.iter().enumerate() {
                let header = ipv4::Header::parse(bytes).unwrap();
                prop_assert_eq!((header.fragment_offset(), header.more_fragments()), (at, n + 1 < twice.len()));
                at += header.payload().len();
            }
            prop_assert_eq!(at, payload);
        }
    }

    #[test]
    fn what_must_not_be_cut_is_refused() {
        assert_eq!(split(&v4(2000, &[], true), 1500, 0).unwrap_err(), Refused::DontFragment { mtu: 1500 });
        assert_eq!(split(&v4(2000, &[], false), 67, 0).unwrap_err(), Refused::MtuTooSmall { mtu: 67 });
        let mut hop_by_hop = v6(2000);
        hop_by_hop[6] = protocol::HOP_BY_HOP;
        assert_eq!(split(&hop_by_hop, 1280, 0).unwrap_err(), Refused::PerFragmentHeaders);
        assert!(split(&v4(1000, &[], true), 1500, 0).unwrap().is_none());
        assert!(split(&v6(1460), 1500, 0).unwrap().is_none());
        assert!(split(&[], 1500, 0).is_err());
    }
}
