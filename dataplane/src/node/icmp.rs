//! Builds the ICMP errors a worker sends about packets it forwards.
//!
//! RFC 1812 §4.3 and RFC 1191 for IPv4, RFC 4443 for IPv6. Silence is the right answer to many
//! packets, and says why. The caller chooses the source address (that of the interface the packet
//! came in on), limits the rate ([`crate::sa::pace`]) and sends the result as any packet of its own.

use crate::net::flow::{Summary, Upper};
use crate::net::icmp::{self, v4, v6};
use crate::net::{Malformed, checksum, ipv4, ipv6, protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest error over IPv4: RFC 1812 §4.3.2.3 quotes as much as fits into 576 octets.
pub const LONGEST_V4: usize = 576;
/// Longest error over IPv6: RFC 4443 §2.4 (c) quotes as much as fits into the minimum MTU.
pub const LONGEST_V6: usize = 1280;
/// IP precedence of errors (RFC 1812 §4.3.2.5: 6 or 7 where not that of the packet).
const PRECEDENCE: u8 = 0xc0;
const HOP_LIMIT: u8 = 64;

/// What is wrong with the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Its TTL or hop limit is used up.
    TimeExceeded,
    /// It is larger than this, and must not be fragmented (RFC 1191 §4, RFC 4443 §3.2).
    TooBig {
        /// The largest packet that would pass.
        mtu: usize,
    },
    /// Policy forbids it.
    Prohibited,
    /// Its destination does not answer on the last link, or there is no way to it.
    Unreachable,
}

/// Why no error is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// The packet is not one that could be answered.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is an ICMP error or a redirect itself.
    #[error("an ICMP error is never answered by another")]
    AboutError,
    /// Its source is not one host.
    #[error("the source {0} is not one host")]
    SourceNotUnicast(IpAddr),
    /// It went to many hosts.
    #[error("the destination {0} is not one host")]
    DestinationNotUnicast(IpAddr),
    /// It is a fragment other than the first.
    #[error("only the first fragment of a datagram is answered")]
    LaterFragment,
    /// Our own address is of the other family: our caller's fault.
    #[error("the error cannot come from {0}: the packet is of the other family")]
    WrongFamily(IpAddr),
}

/// Writes the error about `packet` from `source` to the start of `out` ([`LONGEST_V6`] octets
/// suffice) and says how long it is. `id` is the IPv4 identification to use.
pub fn compose(
    report: Report,
    packet: &[u8],
    source: IpAddr,
    id: u16,
    out: &mut [u8],
) -> Result<usize, Silence> {
    let summary = Summary::parse(packet)?;
    answerable(&summary, report)?;
    let packet = packet.get(..summary.length()).unwrap_or(packet);
    match (source, summary.source()) {
        (IpAddr::V4(source), IpAddr::V4(to)) => Ok(compose_v4(report, packet, [source, to], id, out)?),
        (IpAddr::V6(source), IpAddr::V6(to)) => Ok(compose_v6(report, packet, [source, to], out)?),
        (source, _) => Err(Silence::WrongFamily(source)),
    }
}

/// Whether a packet may be answered by an error (RFC 1812 §4.3.2.7, RFC 4443 §2.4 (e)).
fn answerable(summary: &Summary, report: Report) -> Result<(), Silence> {
    let flow = &summary.flow();
    let redirect =
        matches!(flow.upper, Upper::Icmp { kind: v6::REDIRECT, .. }) && flow.protocol == protocol::ICMPV6;
    if summary.is_icmp_error() || redirect {
        return Err(Silence::AboutError);
    }
    if summary.is_later_fragment() {
        return Err(Silence::LaterFragment);
    }
    if !is_host(flow.source) {
        return Err(Silence::SourceNotUnicast(flow.source));
    }
    // RFC 4443 §2.4 (e.3): Packet Too Big may answer a multicast packet.
    let too_big = matches!(report, Report::TooBig { .. }) && flow.destination.is_ipv6();
    if !too_big && !is_host(flow.destination) {
        return Err(Silence::DestinationNotUnicast(flow.destination));
    }
    Ok(())
}

fn is_host(address: IpAddr) -> bool {
    match address {
        // Classes D and E, this-network and loopback are nobody's address on a wire.
        IpAddr::V4(a) => a.octets()[0] != 0 && a.octets()[0] < 224 && !a.is_loopback(),
        IpAddr::V6(a) => !a.is_unspecified() && !a.is_multicast() && !a.is_loopback(),
    }
}

fn compose_v4(
    report: Report,
    packet: &[u8],
    [source, to]: [Ipv4Addr; 2],
    id: u16,
    out: &mut [u8],
) -> Result<usize, Malformed> {
    const HEADERS: usize = ipv4::Repr::LEN + icmp::Repr::LEN;
    let quote = packet.get(..LONGEST_V4 - HEADERS).unwrap_or(packet);
    let length = HEADERS + quote.len();
    let (kind, code, rest) = numbers_v4(report);
    let header = ipv4::Repr {
        traffic_class: PRECEDENCE,
        total_length: length as u16,
        id,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: HOP_LIMIT,
        protocol: protocol::ICMP,
        source,
        destination: to,
    };
    header.emit(out)?;
    let message = message(out, ipv4::Repr::LEN, icmp::Repr { kind, code, checksum: 0, rest }, quote)?;
    let sum = checksum::internet(message);
    icmp::set_checksum(message, sum);
    Ok(length)
}

fn compose_v6(
    report: Report,
    packet: &[u8],
    [source, to]: [Ipv6Addr; 2],
    out: &mut [u8],
) -> Result<usize, Malformed> {
    const HEADERS: usize = ipv6::Repr::LEN + icmp::Repr::LEN;
    let quote = packet.get(..LONGEST_V6 - HEADERS).unwrap_or(packet);
    let length = HEADERS + quote.len();
    let (kind, code, rest) = numbers_v6(report);
    let header = ipv6::Repr {
        traffic_class: 0,
        flow_label: 0,
        payload_length: (length - ipv6::Repr::LEN) as u16,
        next_header: protocol::ICMPV6,
        hop_limit: HOP_LIMIT,
        source,
        destination: to,
    };
    header.emit(out)?;
    let message = message(out, ipv6::Repr::LEN, icmp::Repr { kind, code, checksum: 0, rest }, quote)?;
    let sum = checksum::transport(source.into(), to.into(), protocol::ICMPV6, message);
    icmp::set_checksum(message, sum);
    Ok(length)
}

/// Writes ICMP header and quote behind an IP header of `at` octets and gives the message back.
fn message<'a>(
    out: &'a mut [u8],
    at: usize,
    header: icmp::Repr,
    quote: &[u8],
) -> Result<&'a mut [u8], Malformed> {
    let (have, end) = (out.len(), at + icmp::Repr::LEN + quote.len());
    let message = out.get_mut(at..end).ok_or(Malformed::truncated(crate::net::Layer::Icmp, end, have))?;
    header.emit(message)?;
    crate::net::fill(message.get_mut(icmp::Repr::LEN..).unwrap_or_default(), &[quote]);
    Ok(message)
}

/// Protocol, type and code of an error over IPv4 or IPv6, as selectors see it.
pub fn upper(report: Report, v4: bool) -> (u8, Upper) {
    let (protocol, (kind, code, _)) =
        if v4 { (protocol::ICMP, numbers_v4(report)) } else { (protocol::ICMPV6, numbers_v6(report)) };
    (protocol, Upper::Icmp { kind, code })
}

/// Type, code and the four octets that follow the checksum.
fn numbers_v4(report: Report) -> (u8, u8, u32) {
    match report {
        Report::TimeExceeded => (v4::TIME_EXCEEDED, v4::CODE_TRANSIT, 0),
        // RFC 1191 §3: the low 16 bits; a host never goes below 68 octets.
        Report::TooBig { mtu } => {
            (v4::UNREACHABLE, v4::CODE_FRAGMENTATION_NEEDED, mtu.clamp(68, 65_535) as u32)
        }
        Report::Prohibited => (v4::UNREACHABLE, v4::CODE_PROHIBITED, 0),
        Report::Unreachable => (v4::UNREACHABLE, v4::CODE_HOST, 0),
    }
}

fn numbers_v6(report: Report) -> (u8, u8, u32) {
    match report {
        Report::TimeExceeded => (v6::TIME_EXCEEDED, v6::CODE_TRANSIT, 0),
        // DP-29: never below the minimum MTU (RFC 8200 §5).
        Report::TooBig { mtu } => (v6::PACKET_TOO_BIG, 0, mtu.clamp(1280, 65_535) as u32),
        Report::Prohibited => (v6::UNREACHABLE, v6::CODE_PROHIBITED, 0),
        Report::Unreachable => (v6::UNREACHABLE, v6::CODE_ADDRESS, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::fragment;
    use proptest::prelude::*;

    const OURS: [u8; 4] = [198, 51, 100, 1];

    fn ours_v6() -> Ipv6Addr {
        "2001:db8::1".parse().unwrap()
    }

    fn packet_v4(payload: usize) -> Vec<u8> {
        fragment::tests::v4(payload, &[], true)
    }

    /// A packet between documentation addresses: not multicast as [4; 16] would not be either.
    fn packet_v6(payload: usize) -> Vec<u8> {
        fragment::tests::v6(payload)
    }

    fn reports() -> impl Strategy<Value = Report> {
        prop_oneof![
            Just(Report::TimeExceeded),
            Just(Report::Prohibited),
            Just(Report::Unreachable),
            (0usize..70_000).prop_map(|mtu| Report::TooBig { mtu }),
        ]
    }

    proptest! {
        #[test]
        fn v4_errors_are_valid_and_quote_the_packet(report in reports(), payload in 0usize..2000, id: u16, room in 0usize..LONGEST_V4) {
            let packet = packet_v4(payload);
            let mut out = [0; LONGEST_V6];
            let length = compose(report, &packet, OURS.into(), id, &mut out).unwrap();
            prop_assert_eq!(length, LONGEST_V4.min(packet.len() + 28));
            let header = ipv4::Header::parse(&out[..length]).unwrap();
            prop_assert!(header.checksum_ok() && checksum::internet(header.payload()) == 0);
            prop_assert_eq!((header.source(), header.destination()), (OURS.into(), [192, 0, 2, 1].into()));
            let message = icmp::Header::parse(header.payload()).unwrap();
            prop_assert!(packet.starts_with(message.payload()));
            if let Report::TooBig { mtu } = report {
                prop_assert_eq!(usize::from(message.mtu_v4()), mtu.clamp(68, 65_535));
            }
            let quoted = Summary::parse_quoted(message.payload()).unwrap();
            prop_assert_eq!(quoted.flow(), Summary::parse(&packet).unwrap().flow());
            let fits = compose(report, &packet, OURS.into(), id, &mut out[..room]).is_ok();
            prop_assert_eq!(fits, room >= length);
        }

        #[test]
        fn v6_errors_are_valid_and_quote_the_packet(report in reports(), payload in 0usize..2000) {
            let packet = packet_v6(payload);
            let mut out = [0; LONGEST_V6];
            let length = compose(report, &packet, ours_v6().into(), 0, &mut out).unwrap();
            prop_assert_eq!(length, LONGEST_V6.min(packet.len() + 48));
            let header = ipv6::Header::parse(&out[..length]).unwrap();
            let (from, to) = (header.source().into(), header.destination().into());
            prop_assert!(checksum::transport_ok(from, to, protocol::ICMPV6, header.payload()));
            let message = icmp::Header::parse(header.payload()).unwrap();
            prop_assert!(packet.starts_with(message.payload()) && v6::is_error(message.kind()));
            if let Report::TooBig { .. } = report {
                prop_assert!(message.rest() >= 1280);
            }
        }
    }

    #[test]
    fn some_packets_are_never_answered() {
        let mut out = [0; LONGEST_V6];
        let mut ask = |packet: &[u8], report| compose(report, packet, OURS.into(), 0, &mut out);
        let with = |at: usize, octets: &[u8]| {
            let mut packet = packet_v4(40);
            packet[at..at + octets.len()].copy_from_slice(octets);
            packet
        };
        let report = Report::TimeExceeded;
        for source in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 5], [255, 255, 255, 255], [240, 0, 0, 1]] {
            assert!(matches!(ask(&with(12, &source), report), Err(Silence::SourceNotUnicast(_))));
        }
        assert!(matches!(ask(&with(16, &[224, 0, 0, 5]), report), Err(Silence::DestinationNotUnicast(_))));
        let mut error = with(9, &[protocol::ICMP]);
        error[20] = v4::UNREACHABLE;
        assert_eq!(ask(&error, report), Err(Silence::AboutError));
        error[20] = v4::ECHO;
        assert!(ask(&error, report).is_ok());
        let mut later = with(9, &[protocol::UDP]);
        later[7] = 1;
        assert_eq!(ask(&later, report), Err(Silence::LaterFragment));
        assert!(matches!(ask(&packet_v6(40), report), Err(Silence::WrongFamily(_))));
        assert!(matches!(ask(&[0x45; 10], report), Err(Silence::Malformed(_))));
    }

    #[test]
    fn multicast_over_v6_hears_of_its_size_only() {
        let mut packet = packet_v6(40);
        packet[24..40].copy_from_slice(&[0xff; 16]);
        let mut out = [0; LONGEST_V6];
        let mut ask = |report| compose(report, &packet, ours_v6().into(), 0, &mut out);
        assert!(ask(Report::TooBig { mtu: 1400 }).is_ok());
        assert!(matches!(ask(Report::TimeExceeded), Err(Silence::DestinationNotUnicast(_))));
    }
}
