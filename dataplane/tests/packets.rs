//! What a tunnel does to packets besides protecting them, by its settings: sizes, Don't Fragment, MSS, traffic class, what
//! senders are told; and that all of it changes under an SA that stays (DP-23 to DP-35).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common::packet::Ip;
use crate::common::{PRIVATE, PUBLIC, Pair, SLOT, Style};
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::net::{checksum, protocol};
use ravelin_dataplane::sa::outbound::{Encapsulation, OuterDf};
use ravelin_dataplane::sa::pace::Rate;

/// Has `a` wrap packets otherwise, under the same SA.
fn encapsulate(pair: &mut Pair, change: impl FnOnce(Encapsulation) -> Encapsulation) {
    let spi = pair.b.spi(10);
    let encapsulation = change(pair.a.outbound_parts(&Style::PLAIN, spi).encapsulation);
    pair.a.command(Command::Encapsulate { slot: SLOT, spi, encapsulation });
}

/// Has `b` treat what comes out of the tunnel otherwise.
fn adjust(pair: &mut Pair, copy_traffic_class: bool, tcp_mss: Option<u16>) {
    let (place, spi) = (pair.b.place(10), pair.b.spi(10));
    pair.b.command(Command::AdjustInbound { place, spi, copy_traffic_class, tcp_mss });
}

fn between(pair: &Pair, v6: bool) -> Ip {
    Ip::new(pair.a.site.host(v6), pair.b.site.host(v6))
}

fn large(pair: &Pair, v6: bool, octets: usize, dont_fragment: bool) -> Vec<u8> {
    let ip = Ip { dont_fragment, ..between(pair, v6) };
    ip.udp(1, 2, &vec![0x5a; octets - if v6 { 48 } else { 28 }])
}

const SYN: u8 = 2;
/// Where MSS and checksum are in a segment of [`syn`].
const MSS: usize = 22;
const SUM: usize = 16;

/// The first packet of a connection, with that MSS and a right checksum.
fn syn(ip: &Ip, flags: u8, mss: u16) -> Vec<u8> {
    let mut segment =
        vec![0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, flags, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 0, 0];
    segment[MSS..MSS + 2].copy_from_slice(&mss.to_be_bytes());
    let sum = checksum_of(ip, &segment);
    segment[SUM..SUM + 2].copy_from_slice(&sum.to_be_bytes());
    ip.wrap(protocol::TCP, &segment)
}

/// RFC 9293 §3.1: over the pseudo-header and the segment, whose own sum counts; 0 if that is right.
fn checksum_of(ip: &Ip, segment: &[u8]) -> u16 {
    let ends = match (ip.source, ip.destination) {
        (std::net::IpAddr::V4(a), std::net::IpAddr::V4(b)) => {
            [a.octets().to_vec(), b.octets().to_vec()].concat()
        }
        (std::net::IpAddr::V6(a), std::net::IpAddr::V6(b)) => {
            [a.octets().to_vec(), b.octets().to_vec()].concat()
        }
        _ => panic!("one packet, one family"),
    };
    let length = (segment.len() as u32).to_be_bytes();
    checksum::internet(&[&ends[..], &length, &[0, 0, 0, protocol::TCP], segment].concat())
}

fn mss_of(packet: &[u8]) -> u16 {
    let at = if packet[0] >> 4 == 4 { 20 } else { 40 } + MSS;
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

#[test]
fn the_mss_of_a_syn_is_lowered_on_its_way_in_and_out() {
    for workers in [1, 2] {
        for (v6, entering) in [(false, true), (true, true), (false, false), (true, false)] {
            let mut pair = Pair::new(workers, &Style::PLAIN);
            match entering {
                true => encapsulate(&mut pair, |former| Encapsulation { tcp_mss: Some(1200), ..former }),
                false => adjust(&mut pair, false, Some(1200)),
            }
            for (flags, mss, expected) in
                [(SYN, 1460, 1200), (SYN, 900, 900), (SYN | 0x10, 1460, 1200), (0x10, 1460, 1460)]
            {
                let ip = between(&pair, v6);
                pair.a.host_sends(0, &syn(&ip, flags, mss));
                assert_eq!(pair.carry(|_| 0), 1);
                let arrived = pair.b.sent(PRIVATE);
                assert_eq!(mss_of(&arrived[0]), expected, "IPv6 {v6}, entering {entering}, flags {flags}");
                let segment = &arrived[0][if v6 { 40 } else { 20 }..];
                assert_eq!(checksum_of(&ip, segment), 0, "its checksum is right");
            }
            pair.is_at_rest();
        }
    }
}

#[test]
fn dont_fragment_is_cleared_where_it_stands_in_the_way() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        encapsulate(&mut pair, |former| Encapsulation {
            inner_mtu: Some(1000),
            clear_inner_df: true,
            ..former
        });
        pair.a.host_sends(0, &large(&pair, false, 1400, true));
        assert_eq!(pair.carry(|_| 0), 2);
        let pieces = pair.b.sent(PRIVATE);
        assert!(pieces.len() == 2 && pieces.iter().all(|piece| piece.len() <= 1000 && piece[6] & 0x40 == 0));
        // IPv6 is cut by its sender alone.
        pair.a.host_sends(0, &large(&pair, true, 1400, true));
        assert_eq!(pair.a.drops(), [("mtu-exceeded", 1)]);
        pair.is_at_rest();
    }
}

#[test]
fn the_outer_packet_may_be_cut_as_its_tunnel_says() {
    for workers in [1, 2] {
        for (df, inner, expected) in [
            (OuterDf::Clear, true, false),
            (OuterDf::Clear, false, false),
            (OuterDf::Set, true, true),
            (OuterDf::Set, false, true),
            (OuterDf::Copy, true, true),
            (OuterDf::Copy, false, false),
        ] {
            let mut pair = Pair::new(workers, &Style::PLAIN);
            encapsulate(&mut pair, |former| Encapsulation { df, ..former });
            pair.a.host_sends(0, &large(&pair, false, 500, inner));
            let sent = pair.a.sent(PUBLIC);
            assert_eq!(sent[0][6] & 0x40 != 0, expected, "{df:?} over {inner}");
            pair.is_at_rest();
        }
    }
}

/// DP-25: cut after encryption at the size that is said, whatever the inner packet forbids, and put together by the peer.
#[test]
fn an_outer_packet_beyond_what_is_said_is_cut_after_encryption() {
    for workers in [1, 2] {
        for v6 in [false, true] {
            let mut pair = Pair::new(workers, &Style::PLAIN);
            encapsulate(&mut pair, |former| Encapsulation { outer_mtu: Some(700), ..former });
            pair.a.host_sends(0, &large(&pair, v6, 1300, true));
            let sent = pair.a.sent(PUBLIC);
            assert!(sent.len() == 2 && sent.iter().all(|piece| piece.len() <= 700 && piece[6] & 0x40 == 0));
            sent.iter().for_each(|piece| pair.b.peer_sends(0, piece));
            assert_eq!(pair.b.sent(PRIVATE).len(), 1);
            pair.is_at_rest();
        }
    }
}

#[test]
fn a_silent_tunnel_tells_nobody_what_did_not_fit() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        for (silent, told) in [(false, 2), (true, 0), (false, 2)] {
            encapsulate(&mut pair, |former| Encapsulation { inner_mtu: Some(1300), silent, ..former });
            for v6 in [false, true] {
                pair.a.host_sends(0, &large(&pair, v6, 1400, true));
            }
            assert_eq!(pair.a.sent(PRIVATE).len(), told);
        }
        assert_eq!(pair.a.drops(), [("mtu-exceeded", 6)]);
        pair.is_at_rest();
    }
}

/// DP-28: a tunnel's own rate is not that of the worker, nor does it use that up; neither is full again by another order
/// for the same SA.
#[test]
fn a_tunnel_may_have_a_rate_of_its_own() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let mut told = |errors: Option<Rate>| {
            encapsulate(&mut pair, |former| Encapsulation { inner_mtu: Some(1300), errors, ..former });
            let packet = large(&pair, false, 1400, true);
            (0..120).for_each(|_| pair.a.host_sends(0, &packet));
            pair.a.sent(PRIVATE).len()
        };
        let ten = Some(Rate::new(10, 60_000_000));
        assert_eq!((told(ten), told(ten)), (10, 0));
        assert_eq!(told(Some(Rate::new(20, 60_000_000))), 20);
        assert_eq!(told(None), 100);
        assert_eq!(pair.a.count(|c| c.icmp_sent.get()), 130);
        assert_eq!(pair.a.count(|c| c.icmp_suppressed.get()), 4 * 120 - 130);
        pair.is_at_rest();
    }
}

/// RFC 2983's uniform model only where the tunnel says so; ECN follows RFC 6040 either way.
#[test]
fn the_outer_class_is_copied_inwards_where_the_tunnel_says_so() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        for (copies, expected) in [(false, 0x10), (true, 0xb8), (false, 0x10)] {
            adjust(&mut pair, copies, None);
            let inner = Ip { traffic_class: 0x10, ..between(&pair, false) }.udp(1, 2, b"x");
            pair.a.host_sends(0, &inner);
            let mut outer = pair.a.sent(PUBLIC).remove(0);
            mark(&mut outer, 0xb8);
            pair.b.peer_sends(0, &outer);
            assert_eq!(pair.b.sent(PRIVATE)[0][1], expected, "copies: {copies}");
        }
        pair.is_at_rest();
    }
}

/// Somebody on the way gives an IPv4 packet another class.
fn mark(packet: &mut [u8], class: u8) {
    packet[1] = class;
    packet[10..12].copy_from_slice(&[0, 0]);
    let sum = checksum::internet(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// An order for an SA that is gone changes nothing of the one in its place.
#[test]
fn another_sa_in_the_place_is_left_alone() {
    let mut pair = Pair::new(1, &Style::PLAIN);
    let (place, spi) = (pair.b.place(10), pair.b.spi(11));
    pair.b.command(Command::AdjustInbound { place, spi, copy_traffic_class: true, tcp_mss: Some(500) });
    let ip = between(&pair, false);
    pair.a.host_sends(0, &syn(&ip, SYN, 1460));
    pair.carry(|_| 0);
    assert_eq!(mss_of(&pair.b.sent(PRIVATE)[0]), 1460);
}
