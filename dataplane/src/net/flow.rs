//! What policy asks of a packet: addresses, protocol, and ports or what stands in their place
//! (RFC 4301 §4.4.1.1), read from an IPv4 or IPv6 packet in one step.

use super::{Layer, Malformed, icmp, ipv4, ipv6, protocol, split};
use std::net::IpAddr;

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

/// What the first read of an IP packet tells, so that no later step parses it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Selectors.
    pub flow: Flow,
    /// DSCP and ECN octet.
    pub traffic_class: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Octets of the packet by its own length field; what follows is link padding.
    pub length: usize,
    /// Where the upper layer starts, from the start of the packet.
    pub upper_at: usize,
    /// A piece of a datagram (IPv6 atomic fragments count as whole).
    pub fragment: bool,
    /// A piece other than the first, which shows no upper-layer header.
    pub later_fragment: bool,
    /// IPv4 Don't Fragment; always true of IPv6.
    pub dont_fragment: bool,
}

impl Summary {
    /// Reads an IP packet of either version.
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

    fn from_v4(header: &ipv4::Header<'_>) -> Result<Summary, Malformed> {
        let upper = match header.fragment_offset() {
            0 => upper(header.protocol(), header.payload())?,
            _ => hidden(header.protocol()),
        };
        Ok(Summary {
            flow: Flow {
                source: header.source().into(),
                destination: header.destination().into(),
                protocol: header.protocol(),
                upper,
            },
            traffic_class: header.traffic_class(),
            ttl: header.ttl(),
            length: usize::from(header.total_length()),
            upper_at: header.header_length(),
            fragment: header.is_fragment(),
            later_fragment: header.fragment_offset() > 0,
            dont_fragment: header.dont_fragment(),
        })
    }

    fn from_v6(header: &ipv6::Header<'_>) -> Result<Summary, Malformed> {
        let chain = header.chain()?;
        let fragment = chain.fragment.map(|fragment| fragment.header);
        let upper = match fragment.map_or(0, |fragment| fragment.offset) {
            0 => upper(chain.protocol, header.payload().get(chain.offset..).unwrap_or_default())?,
            _ => hidden(chain.protocol),
        };
        Ok(Summary {
            flow: Flow {
                source: header.source().into(),
                destination: header.destination().into(),
                protocol: chain.protocol,
                upper,
            },
            traffic_class: header.traffic_class(),
            ttl: header.hop_limit(),
            length: ipv6::Repr::LEN + usize::from(header.payload_length()),
            upper_at: ipv6::Repr::LEN + chain.offset,
            fragment: fragment.is_some_and(|fragment| !fragment.is_atomic()),
            later_fragment: fragment.is_some_and(|fragment| fragment.offset > 0),
            dont_fragment: true,
        })
    }

    /// Whether the packet is an ICMP or ICMPv6 error, which is never answered by one.
    pub const fn is_icmp_error(&self) -> bool {
        match (self.flow.protocol, self.flow.upper) {
            (protocol::ICMP, Upper::Icmp { kind, .. }) => icmp::v4::is_error(kind),
            (protocol::ICMPV6, Upper::Icmp { kind, .. }) => icmp::v6::is_error(kind),
            _ => false,
        }
    }
}

/// Reads the upper layer's selectors; a first fragment too short to show them is malformed
/// (RFC 8200 §4.5, RFC 1858).
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
const fn hidden(protocol: u8) -> Upper {
    if has_ports(protocol) { Upper::Opaque } else { Upper::Portless }
}

/// Whether a protocol has ports, or a type and code in their place (TS-02).
pub const fn has_ports(protocol: u8) -> bool {
    use protocol::{ICMP, ICMPV6, MOBILITY, SCTP, TCP, UDP};
    matches!(protocol, TCP | UDP | SCTP | ICMP | ICMPV6 | MOBILITY)
}

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
        assert_eq!(Summary::parse(&v4(17, 0, &ports)).unwrap().flow.upper, expected);
        assert_eq!(Summary::parse(&v6(6, &ports)).unwrap().flow.upper, expected);
        assert_eq!(Summary::parse(&v4(1, 0, &[8, 0])).unwrap().flow.upper, Upper::Icmp { kind: 8, code: 0 });
        assert_eq!(Summary::parse(&v6(135, &[0, 0, 5])).unwrap().flow.upper, Upper::Mobility { kind: 5 });
        assert_eq!(Summary::parse(&v4(17, 8, &ports)).unwrap().flow.upper, Upper::Opaque);
        assert_eq!(Summary::parse(&v4(47, 8, &ports)).unwrap().flow.upper, Upper::Portless);
        let second = [[17, 0, 0, 8, 0, 0, 0, 1], ports].concat();
        let summary = Summary::parse(&v6(44, &second)).unwrap();
        assert_eq!((summary.flow.upper, summary.flow.protocol, summary.fragment), (Upper::Opaque, 17, true));
    }

    #[test]
    fn a_first_fragment_that_hides_its_ports_is_refused() {
        assert!(Summary::parse(&v4(6, 0, &[0, 80, 1])).is_err());
        assert!(Summary::parse(&v6(44, &[[17, 0, 0, 1, 0, 0, 0, 1], [0; 8]].concat()[..11])).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), version in prop_oneof![Just(4u8), Just(6)]) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = *first & 0x0f | version << 4; }
            if let Ok(summary) = Summary::parse(&bytes) {
                prop_assert!(summary.length <= bytes.len() && summary.upper_at <= summary.length);
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
