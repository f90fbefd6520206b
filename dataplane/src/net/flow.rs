//! What policy asks of a packet: addresses, protocol, and ports or what stands in their place
//! (RFC 4301 §4.4.1.1), read from an IPv4 or IPv6 packet in one step.

use super::{Layer, Malformed, icmp, ipv4, ipv6, protocol, split};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address as two words, high first; of which family is told beside it. IPv4 has its bits in the second.
/// What a packet does at every station with an address is done with words: they are moved, compared and mixed
/// in registers, which the octets of an [`IpAddr`] are not.
pub type Words = [u64; 2];

/// An address as words.
#[inline]
pub const fn words(address: IpAddr) -> Words {
    match address {
        IpAddr::V4(v4) => [0, v4.to_bits() as u64],
        IpAddr::V6(v6) => [(v6.to_bits() >> 64) as u64, v6.to_bits() as u64],
    }
}

/// The address that these words are.
#[inline]
pub const fn address(v4: bool, [high, low]: Words) -> IpAddr {
    match v4 {
        true => IpAddr::V4(Ipv4Addr::from_bits(low as u32)),
        false => IpAddr::V6(Ipv6Addr::from_bits((high as u128) << 64 | low as u128)),
    }
}

/// The upper-layer selectors of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upper {
    /// TCP, UDP or SCTP ports.
    Ports {
        /// Port the packet comes from.
        source: u16,
        /// Port it goes to.
        destination: u16,
    },
    /// ICMP or ICMPv6.
    Icmp {
        /// Message type.
        kind: u8,
        /// Message code.
        code: u8,
    },
    /// IPv6 mobility header.
    Mobility {
        /// Message type.
        kind: u8,
    },
    /// The protocol has ports, but this packet does not show them: a non-initial fragment.
    Opaque,
    /// The protocol has no ports.
    Portless,
}

/// A packet as policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Who sent the packet.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// Upper-layer protocol, behind IPv6 extension headers.
    pub protocol: u8,
    /// Ports or what stands for them.
    pub upper: Upper,
}

/// What the first read of an IP packet tells, so that no later step parses it again. A handful of words and
/// nothing smaller: a processor that has just stored octets is slow to load them again as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    source: Words,
    destination: Words,
    /// Both ports, or what stands for them, high; length of the packet, low.
    ports_and_length: u64,
    /// All else: time to live in the lowest octet, Don't Fragment (where the first word of an IPv4 header has it), where
    /// the upper layer starts, flags, traffic class, and highest which form the ports have, and protocol.
    rest: u64,
}

const _: () = assert!(size_of::<Summary>() == 48, "with a packet's handle less than a cache line");

/// The low half of a word.
const LOW: u64 = 0xffff_ffff;

const DONT_FRAGMENT: u64 = ipv4::DONT_FRAGMENT as u64;
const UPPER_AT: u32 = 16;
const V4: u64 = 1 << 32;
const FRAGMENT: u64 = 1 << 33;
const LATER_FRAGMENT: u64 = 1 << 34;
const CLASS_AT: u32 = 40;
const SHOWN_AT: u32 = 52;
const PROTOCOL_AT: u32 = 56;

/// Which of [`Upper`]'s forms a packet shows, as an octet.
const PORTS: u8 = 0;
const ICMP: u8 = 1;
const MOBILITY: u8 = 2;
const OPAQUE: u8 = 3;
const PORTLESS: u8 = 4;

/// The last word of a summary, without flags. The upper layer starts within the first 4095 octets: no chain of headers
/// is as long.
#[inline(always)]
const fn rest(upper_at: usize, shown: u8, protocol: u8, class: u8, ttl: u8) -> u64 {
    ttl as u64
        | (upper_at as u64 & 0xfff) << UPPER_AT
        | (shown as u64) << SHOWN_AT
        | (class as u64) << CLASS_AT
        | (protocol as u64) << PROTOCOL_AT
}

/// What the last word says of a usual IPv4 packet because of its protocol.
#[expect(clippy::indexing_slicing, reason = "made while compiling")]
static USUAL_V4: [u64; 256] = {
    let mut words = [0; 256];
    let mut protocol = 0;
    while protocol < words.len() {
        words[protocol] = V4 | rest(ipv4::Repr::LEN, show(protocol as u8, 0).0, protocol as u8, 0, 0);
        protocol += 1;
    }
    words
};

const fn flag(set: bool, flag: u64) -> u64 {
    if set { flag } else { 0 }
}

/// Why a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It contradicts itself.
    Malformed,
    /// Its IPv4 header checksum is wrong.
    Checksum,
}

impl Summary {
    /// Reads an IP packet of either version and checks the header checksum of IPv4 (RFC 1122 §3.2.1.2: "A
    /// host MUST verify the IP header checksum on every received datagram").
    ///
    /// Headers of the usual shape are read in one go: IPv4 without options, IPv6 without extension headers,
    /// in one piece and with at least four octets behind. Everything else is [`Summary::parse`]'s, which says
    /// the same of the usual shape.
    #[inline(always)]
    #[expect(clippy::map_identity, reason = "so that the usual one need not lie in memory as the other does")]
    pub fn read(packet: &[u8]) -> Result<Summary, Unread> {
        match Summary::usual_v4(packet).or_else(|| Summary::usual_v6(packet)) {
            Some((summary, true)) => Ok(summary),
            Some((_, false)) => Err(Unread::Checksum),
            // Taken apart and put together.
            None => {
                Summary::unusual(packet).map(|Summary { source, destination, ports_and_length, rest }| {
                    Summary { source, destination, ports_and_length, rest }
                })
            }
        }
    }

    /// Reads an IP packet of one version and of the usual shape, see [`Summary::read`], if it is intact. Where the
    /// version is known while compiling, so is what follows from it.
    #[inline(always)]
    pub fn usual(packet: &[u8], v4: bool) -> Option<Summary> {
        let (summary, intact) = if v4 { Summary::usual_v4(packet) } else { Summary::usual_v6(packet) }?;
        intact.then_some(summary)
    }

    #[cold]
    #[inline(never)]
    fn unusual(packet: &[u8]) -> Result<Summary, Unread> {
        let summary = Summary::parse(packet).map_err(|_| Unread::Malformed)?;
        match !summary.is_v4() || ipv4::is_intact(packet, summary.upper_at()) {
            true => Ok(summary),
            false => Err(Unread::Checksum),
        }
    }

    /// An IPv4 packet without options, not a fragment; and whether its header is intact.
    #[inline(always)]
    fn usual_v4(packet: &[u8]) -> Option<(Summary, bool)> {
        let head: &[u8; 24] = packet.first_chunk()?;
        let (words, _) = head.as_chunks::<8>();
        let [first, second, third] = words else { return None };
        let [first, second, third] = [first, second, third].map(|word| u64::from_be_bytes(*word));
        let length = (first >> 32 & 0xffff) as usize;
        // Version 4, five words; no fragment; long enough to show ports, and there.
        let usual = first & 0xff00_0000_0000_3fff == 0x4500_0000_0000_0000;
        if !usual || length < head.len() || length > packet.len() {
            return None;
        }
        // RFC 1071: the sum of all 16-bit words, carries added again, is all ones: a multiple of that, and not 0.
        let intact =
            [first, second].into_iter().fold(third >> 32, |sum, word| sum + (word >> 32) + (word & LOW));
        let intact = is_multiple_of_ones(intact);
        let protocol = (second >> 48) as u8;
        let usual = *USUAL_V4.get(usize::from(protocol))?;
        let ports = match (usual >> SHOWN_AT) as u8 & 0xf {
            PORTS => third as u32,
            PORTLESS => 0,
            _ => show(protocol, third as u32).1,
        };
        let summary = Summary {
            source: [0, second & LOW],
            destination: [0, third >> 32],
            ports_and_length: u64::from(ports) << 32 | length as u64,
            rest: usual | (first >> 8 & 0xff << CLASS_AT) | (first & DONT_FRAGMENT) | second >> 56,
        };
        Some((summary, intact))
    }

    /// An IPv6 packet without extension headers.
    #[inline(always)]
    fn usual_v6(packet: &[u8]) -> Option<(Summary, bool)> {
        let head: &[u8; 44] = packet.first_chunk()?;
        let (words, upper) = head.as_chunks::<8>();
        let [first, a, b, c, d] = words else { return None };
        let [first, a, b, c, d] = [first, a, b, c, d].map(|word| u64::from_be_bytes(*word));
        let upper = u32::from_be_bytes(*upper.first_chunk()?);
        let length = ipv6::Repr::LEN + (first >> 16 & 0xffff) as usize;
        let protocol = (first >> 8) as u8;
        let short = length < head.len() || length > packet.len();
        if first >> 60 != 6 || short || ipv6::is_extension(protocol) {
            return None;
        }
        let upper = show(protocol, upper);
        let (class, ttl) = ((first >> 52) as u8, first as u8);
        let rest = DONT_FRAGMENT | rest(ipv6::Repr::LEN, upper.0, protocol, class, ttl);
        let ports_and_length = u64::from(upper.1) << 32 | length as u64;
        Some((Summary { source: [a, b], destination: [c, d], ports_and_length, rest }, true))
    }

    /// A packet of a flow, with nothing in it: for tests.
    #[cfg(test)]
    pub fn of(flow: &Flow) -> Summary {
        let (shown, ports) = packed(flow.upper);
        Summary {
            source: words(flow.source),
            destination: words(flow.destination),
            ports_and_length: u64::from(ports) << 32,
            rest: flag(flow.source.is_ipv4(), V4) | rest(0, shown, flow.protocol, 0, 64),
        }
    }

    /// Selectors, as policy asks for them.
    pub const fn flow(&self) -> Flow {
        Flow {
            source: self.source(),
            destination: self.destination(),
            protocol: self.protocol(),
            upper: self.upper(),
        }
    }

    /// Whether it is IPv4; else it is IPv6.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.rest & V4 != 0
    }

    /// Who sent it.
    pub const fn source(&self) -> IpAddr {
        address(self.is_v4(), self.source)
    }

    /// Where it goes.
    pub const fn destination(&self) -> IpAddr {
        address(self.is_v4(), self.destination)
    }

    /// Who sent it, and where it goes.
    #[inline(always)]
    pub const fn ends(&self) -> [Words; 2] {
        [self.source, self.destination]
    }

    /// Upper-layer protocol, behind IPv6 extension headers.
    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        (self.rest >> PROTOCOL_AT) as u8
    }

    /// Ports or what stands for them.
    pub const fn upper(&self) -> Upper {
        let (source, destination) = ((self.ports() >> 16) as u16, self.ports() as u16);
        match (self.rest >> SHOWN_AT) as u8 & 0xf {
            PORTS => Upper::Ports { source, destination },
            ICMP => Upper::Icmp { kind: source as u8, code: destination as u8 },
            MOBILITY => Upper::Mobility { kind: source as u8 },
            OPAQUE => Upper::Opaque,
            _ => Upper::Portless,
        }
    }

    /// The low bits that [`Summary::selectors`] take.
    pub const SELECTOR_BITS: u32 = 32 + 64 - SHOWN_AT;

    /// [`Summary::upper`] and protocol as a word, each value another: the low half says ports, the bits above what they
    /// are.
    #[inline(always)]
    pub const fn selectors(&self) -> u64 {
        self.ports() as u64 | self.rest >> SHOWN_AT << 32
    }

    /// Whether it goes to this port of a protocol that shows ports.
    #[inline(always)]
    pub const fn goes_to(&self, protocol: u8, port: u16) -> bool {
        let asked = (protocol as u64) << (PROTOCOL_AT - SHOWN_AT) | PORTS as u64;
        // But for the port it comes from.
        self.selectors() & !0xffff_0000 == asked << 32 | port as u64
    }

    const fn ports(&self) -> u32 {
        (self.ports_and_length >> 32) as u32
    }

    /// DSCP and ECN octet.
    #[inline(always)]
    pub const fn traffic_class(&self) -> u8 {
        (self.rest >> CLASS_AT) as u8
    }

    /// Time to live or hop limit.
    #[inline(always)]
    pub const fn ttl(&self) -> u8 {
        self.rest as u8
    }

    /// Octets of the packet by its own length field; what follows is link padding.
    #[inline(always)]
    pub const fn length(&self) -> usize {
        self.ports_and_length as u32 as usize
    }

    /// Where the upper layer starts, from the start of the packet.
    #[inline(always)]
    pub const fn upper_at(&self) -> usize {
        (self.rest >> UPPER_AT) as usize & 0xfff
    }

    /// A piece of a datagram (IPv6 atomic fragments count as whole).
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.rest & FRAGMENT != 0
    }

    /// A piece other than the first, which shows no upper-layer header.
    #[inline(always)]
    pub const fn is_later_fragment(&self) -> bool {
        self.rest & LATER_FRAGMENT != 0
    }

    /// IPv4 Don't Fragment; always true of IPv6.
    #[inline(always)]
    pub const fn dont_fragment(&self) -> bool {
        self.rest & DONT_FRAGMENT != 0
    }

    /// Don't Fragment as the bit of an IPv4 header's word of flags ([`ipv4::DONT_FRAGMENT`]); always set for IPv6.
    #[inline(always)]
    pub const fn dont_fragment_bit(&self) -> u16 {
        (self.rest & DONT_FRAGMENT) as u16
    }

    /// Notes another traffic class.
    #[inline(always)]
    pub const fn set_traffic_class(&mut self, class: u8) {
        self.rest = self.rest & !(0xff << CLASS_AT) | (class as u64) << CLASS_AT;
    }

    /// Notes that one hop was taken from the time to live, of which there were more. The whole word is written: an
    /// octet would be slow to load with the rest soon after.
    #[inline(always)]
    pub const fn take_hop(&mut self) {
        self.rest = self.rest.wrapping_sub(1);
    }

    /// Notes that Don't Fragment was cleared.
    pub const fn clear_dont_fragment(&mut self) {
        self.rest &= !DONT_FRAGMENT;
    }

    /// Reads an IP packet of either version.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<Summary, Malformed> {
        match packet.first().map(|octet| octet >> 4) {
            Some(4) => Summary::from_v4(&ipv4::Header::parse(packet)?),
            Some(6) => Summary::from_v6(&ipv6::Header::parse(packet)?),
            Some(found) => {
                Err(Malformed::Field { layer: Layer::Ipv4, field: "version", found: u32::from(found) })
            }
            None => Err(Malformed::truncated(Layer::Ipv4, 1, 0)),
        }
    }

    /// Reads the packet an ICMP error quotes, which may end early (the upper layer's first eight
    /// octets suffice). Lengths are what the quoted header claims.
    pub fn parse_quoted(packet: &[u8]) -> Result<Summary, Malformed> {
        match packet.first().map(|octet| octet >> 4) {
            Some(6) => Summary::from_v6(&ipv6::Header::parse_quoted(packet)?),
            _ => Summary::from_v4(&ipv4::Header::parse_quoted(packet)?),
        }
    }

    #[inline]
    fn from_v4(header: &ipv4::Header<'_>) -> Result<Summary, Malformed> {
        let upper = match header.fragment_offset() {
            0 => upper(header.protocol(), header.payload())?,
            _ => hidden(header.protocol()),
        };
        let upper = packed(upper);
        let flags = V4
            | flag(header.is_fragment(), FRAGMENT)
            | flag(header.fragment_offset() > 0, LATER_FRAGMENT)
            | flag(header.dont_fragment(), DONT_FRAGMENT);
        let (class, ttl) = (header.traffic_class(), header.ttl());
        Ok(Summary {
            source: words(header.source().into()),
            destination: words(header.destination().into()),
            ports_and_length: u64::from(upper.1) << 32 | u64::from(header.total_length()),
            rest: flags | rest(header.header_length(), upper.0, header.protocol(), class, ttl),
        })
    }

    #[inline]
    fn from_v6(header: &ipv6::Header<'_>) -> Result<Summary, Malformed> {
        let chain = header.chain()?;
        let fragment = chain.fragment.map(|fragment| fragment.header);
        let upper = match fragment.map_or(0, |fragment| fragment.offset) {
            0 => upper(chain.protocol, header.payload().get(chain.offset..).unwrap_or_default())?,
            _ => hidden(chain.protocol),
        };
        let upper = packed(upper);
        let flags = DONT_FRAGMENT
            | flag(fragment.is_some_and(|fragment| !fragment.is_atomic()), FRAGMENT)
            | flag(fragment.is_some_and(|fragment| fragment.offset > 0), LATER_FRAGMENT);
        let length = ipv6::Repr::LEN + usize::from(header.payload_length());
        let (upper_at, class) = (ipv6::Repr::LEN + chain.offset, header.traffic_class());
        Ok(Summary {
            source: words(header.source().into()),
            destination: words(header.destination().into()),
            ports_and_length: u64::from(upper.1) << 32 | length as u64,
            // A chain is a few hundred octets at most.
            rest: flags | rest(upper_at, upper.0, chain.protocol, class, header.hop_limit()),
        })
    }

    /// Whether the packet is a ping, or its first fragment.
    pub const fn is_echo_request(&self) -> bool {
        matches!(
            (self.protocol(), self.upper()),
            (protocol::ICMP, Upper::Icmp { kind: icmp::v4::ECHO, .. })
                | (protocol::ICMPV6, Upper::Icmp { kind: icmp::v6::ECHO, .. })
        )
    }

    /// Whether the packet is an ICMP or ICMPv6 error, which is never answered by one.
    #[inline]
    pub const fn is_icmp_error(&self) -> bool {
        match (self.protocol(), self.upper()) {
            (protocol::ICMP, Upper::Icmp { kind, .. }) => icmp::v4::is_error(kind),
            (protocol::ICMPV6, Upper::Icmp { kind, .. }) => icmp::v6::is_error(kind),
            _ => false,
        }
    }
}

/// Whether a sum of 16-bit words is all ones once its carries are added: a multiple of 0xffff. By the inverse of that,
/// of which only multiples make a small product; a division would take longer.
#[inline(always)]
const fn is_multiple_of_ones(sum: u64) -> bool {
    const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
    const _: () = assert!(INVERSE.wrapping_mul(0xffff) == 1);
    sum.wrapping_mul(INVERSE) <= u64::MAX / 0xffff
}

/// What the first four octets of a whole upper layer show.
#[inline(always)]
const fn show(protocol: u8, upper: u32) -> (u8, u32) {
    match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => (PORTS, upper),
        protocol::ICMP | protocol::ICMPV6 => (ICMP, upper >> 24 << 16 | upper >> 16 & 0xff),
        protocol::MOBILITY => (MOBILITY, (upper >> 8 & 0xff) << 16),
        _ => (PORTLESS, 0),
    }
}

/// The same of what was read field by field.
const fn packed(upper: Upper) -> (u8, u32) {
    match upper {
        Upper::Ports { source, destination } => (PORTS, (source as u32) << 16 | destination as u32),
        Upper::Icmp { kind, code } => (ICMP, (kind as u32) << 16 | code as u32),
        Upper::Mobility { kind } => (MOBILITY, (kind as u32) << 16),
        Upper::Opaque => (OPAQUE, 0),
        Upper::Portless => (PORTLESS, 0),
    }
}

/// Reads the upper layer's selectors; a first fragment too short to show them is malformed
/// (RFC 8200 §4.5, RFC 1858).
#[inline]
fn upper(protocol: u8, bytes: &[u8]) -> Result<Upper, Malformed> {
    Ok(match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => {
            let ([a, b, c, d], _) = split::<4>(layer(protocol), bytes)?;
            Upper::Ports { source: u16::from_be_bytes([*a, *b]), destination: u16::from_be_bytes([*c, *d]) }
        }
        protocol::ICMP | protocol::ICMPV6 => {
            let ([kind, code], _) = split::<2>(Layer::Icmp, bytes)?;
            Upper::Icmp { kind: *kind, code: *code }
        }
        protocol::MOBILITY => {
            let ([_, _, kind], _) = split::<3>(Layer::Ipv6Extension, bytes)?;
            Upper::Mobility { kind: *kind }
        }
        _ => Upper::Portless,
    })
}

/// The upper layer of a non-initial fragment.
#[inline]
const fn hidden(protocol: u8) -> Upper {
    if has_ports(protocol) { Upper::Opaque } else { Upper::Portless }
}

/// Whether a protocol has ports, or a type and code in their place (TS-02).
#[inline]
pub const fn has_ports(protocol: u8) -> bool {
    use protocol::{ICMP, ICMPV6, MOBILITY, SCTP, TCP, UDP};
    matches!(protocol, TCP | UDP | SCTP | ICMP | ICMPV6 | MOBILITY)
}

#[inline]
const fn layer(protocol: u8) -> Layer {
    match protocol {
        protocol::TCP => Layer::Tcp,
        _ => Layer::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::refuses_truncation;
    use proptest::prelude::*;

    fn v4(protocol: u8, offset: u16, payload: &[u8]) -> Vec<u8> {
        let repr = ipv4::Repr {
            traffic_class: 3,
            total_length: 20 + payload.len() as u16,
            id: 9,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: offset,
            ttl: 7,
            protocol,
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
        };
        let mut bytes = [[0; 20].as_slice(), payload].concat();
        repr.emit(&mut bytes).unwrap();
        bytes
    }

    fn v6(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let repr = ipv6::Repr {
            traffic_class: 3,
            flow_label: 0,
            payload_length: payload.len() as u16,
            next_header,
            hop_limit: 7,
            source: [1; 16].into(),
            destination: [2; 16].into(),
        };
        let mut bytes = [[0; 40].as_slice(), payload].concat();
        repr.emit(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn ports_types_and_their_absence() {
        let ports = [0, 80, 1, 0, 9, 9, 9, 9];
        let expected = Upper::Ports { source: 80, destination: 256 };
        assert_eq!(Summary::parse(&v4(17, 0, &ports)).unwrap().flow().upper, expected);
        assert_eq!(Summary::parse(&v6(6, &ports)).unwrap().flow().upper, expected);
        assert_eq!(
            Summary::parse(&v4(1, 0, &[8, 0])).unwrap().flow().upper,
            Upper::Icmp { kind: 8, code: 0 }
        );
        assert_eq!(Summary::parse(&v6(135, &[0, 0, 5])).unwrap().flow().upper, Upper::Mobility { kind: 5 });
        assert_eq!(Summary::parse(&v4(17, 8, &ports)).unwrap().flow().upper, Upper::Opaque);
        assert_eq!(Summary::parse(&v4(47, 8, &ports)).unwrap().flow().upper, Upper::Portless);
        let second = [[17, 0, 0, 8, 0, 0, 0, 1], ports].concat();
        let summary = Summary::parse(&v6(44, &second)).unwrap();
        assert_eq!((summary.upper(), summary.protocol(), summary.is_fragment()), (Upper::Opaque, 17, true));
    }

    #[test]
    fn a_first_fragment_that_hides_its_ports_is_refused() {
        assert!(Summary::parse(&v4(6, 0, &[0, 80, 1])).is_err());
        assert!(Summary::parse(&v6(44, &[[17, 0, 0, 1, 0, 0, 0, 1], [0; 8]].concat()[..11])).is_err());
    }

    /// Octets that are a packet of the usual shape more often than not.
    fn packetlike() -> impl Strategy<Value = Vec<u8>> {
        let protocol = prop_oneof![
            Just(1u8),
            Just(6),
            Just(17),
            Just(50),
            Just(58),
            Just(135),
            Just(0),
            Just(44),
            any::<u8>()
        ];
        let octets = proptest::collection::vec(any::<u8>(), 0..30);
        let bad = proptest::option::weighted(0.3, (0usize..44, any::<u8>()));
        (any::<bool>(), protocol, octets, bad, 0usize..6, prop_oneof![4 => Just(0u16), 1 => any::<u16>()])
            .prop_map(|(is_v4, protocol, payload, bad, padding, offset)| {
                let mut bytes = if is_v4 { v4(protocol, offset, &payload) } else { v6(protocol, &payload) };
                bytes.extend(vec![0; padding]);
                if let Some((at, value)) = bad
                    && let Some(octet) = bytes.get_mut(at)
                {
                    *octet = value;
                }
                bytes
            })
    }

    /// What [`Summary::read`] must say, by the way that knows every shape.
    fn read_slowly(bytes: &[u8]) -> Result<Summary, Unread> {
        let summary = Summary::parse(bytes).map_err(|_| Unread::Malformed)?;
        let intact = !summary.is_v4() || ipv4::Header::parse(bytes).unwrap().checksum_ok();
        if intact { Ok(summary) } else { Err(Unread::Checksum) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The usual shape is read as any other.
        #[test]
        fn one_go_reads_what_field_by_field_reads(bytes in packetlike()) {
            prop_assert_eq!(Summary::read(&bytes), read_slowly(&bytes));
            for length in 0..bytes.len() {
                prop_assert_eq!(Summary::read(&bytes[..length]), read_slowly(&bytes[..length]));
            }
        }

        #[test]
        fn words_are_addresses(v4: bool, octets: [u8; 16]) {
            let whole = IpAddr::from(octets);
            let short = IpAddr::from([octets[0], octets[1], octets[2], octets[3]]);
            let expected = if v4 { short } else { whole };
            prop_assert_eq!(address(v4, words(expected)), expected);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), version in prop_oneof![Just(4u8), Just(6)]) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = *first & 0x0f | version << 4; }
            if let Ok(summary) = Summary::parse(&bytes) {
                prop_assert!(summary.length() <= bytes.len() && summary.upper_at() <= summary.length());
            }
            let _ = Summary::parse_quoted(&bytes);
        }

        #[test]
        fn truncation_is_refused(payload in proptest::collection::vec(any::<u8>(), 8..20)) {
            let packet = v4(17, 0, &payload);
            refuses_truncation(&packet, packet.len(), Summary::parse);
            let packet = v6(17, &payload);
            refuses_truncation(&packet, packet.len(), Summary::parse);
        }
    }
}
