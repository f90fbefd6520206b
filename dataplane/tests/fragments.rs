//! Outer fragments are put together before the handoff, whichever queue each arrives on and in whichever
//! order; packets too large are cut or refused as policy and headers say (DP-23..DP-32, RFC 791, RFC 8200).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use std::sync::Arc;

use crate::common;
use crate::common::packet::{Ip, numbered, one_hop_later};
use crate::common::{Gateway, PRIVATE, PUBLIC, Pair, Style, forge::Forge};
use ravelin_dataplane::link::waits::{Between, Wait, Waits};
use ravelin_dataplane::node::fragment;

fn pieces(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let pieces = fragment::split(packet, mtu, 4711).unwrap().expect("larger than the MTU");
    let write = |piece: fragment::Piece<'_>| {
        let mut bytes = vec![0; piece.len()];
        piece.emit(&mut bytes).unwrap();
        bytes
    };
    pieces.map(write).collect()
}

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    match n {
        0 => vec![vec![]],
        _ => {
            let shorter = orders(n - 1);
            let insert = |at: usize| move |order: Vec<usize>| [&order[..at], &[n - 1], &order[at..]].concat();
            (0..n).flat_map(|at| shorter.iter().cloned().map(insert(at))).collect()
        }
    }
}

#[test]
fn fragments_of_esp_arrive_in_every_order_on_every_mix_of_queues() {
    for workers in [1, 2usize] {
        for outer_v6 in [false, true] {
            for udp in [false, true] {
                let style = Style { outer_v6, udp, ..Style::PLAIN };
                let mut pair = Pair::new(workers as u8, &style);
                let forge = Forge::toward_a(&pair.a, &style, 10);
                let inner = numbered(pair.b.site.host(true), pair.a.site.host(true), 1, 1000);
                for (number, order) in orders(3).into_iter().enumerate() {
                    for queues in 0..workers.pow(3) {
                        let sequence = (number * 8 + queues) as u64 + 1;
                        let fragments = pieces(&forge.packet(sequence, &inner), 480);
                        assert_eq!(fragments.len(), 3);
                        // Another datagram each time: RFC 791 identification of the test's packets is 1.
                        for at in &order {
                            let mut fragment = fragments[*at].clone();
                            renumber(&mut fragment, sequence as u16);
                            pair.a.peer_sends(queues >> at & 1, &fragment);
                        }
                        assert_eq!(pair.a.drops(), [], "order {order:?} queues {queues:b}");
                        assert!(pair.a.sent(PRIVATE) == [one_hop_later(&inner)]);
                    }
                }
                pair.is_at_rest();
            }
        }
    }
}

/// Gives a fragment another identification.
fn renumber(fragment: &mut [u8], id: u16) {
    match fragment[0] >> 4 {
        4 => {
            fragment[4..6].copy_from_slice(&id.to_be_bytes());
            fragment[10..12].copy_from_slice(&[0, 0]);
            let sum = ravelin_dataplane::net::checksum::internet(&fragment[..20]);
            fragment[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        _ => fragment[46..48].copy_from_slice(&id.to_be_bytes()),
    }
}

/// DP-31: an operator says whose fragments wait how long, and whose do not at all.
#[test]
fn whose_fragments_wait_how_long() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let forge = Forge::toward_a(&pair.a, &Style::PLAIN, 10);
        let inner = numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 1000);
        let mut sequence = 0;
        let mut send = |pair: &mut Pair, wait, pause_us: u64| {
            let (local, remote) = (pair.a.site.public(false), Some(pair.b.site.public(false)));
            let said = [(false, wait), (true, Wait::NONE)];
            let said = said.map(|(ip_tunnel, wait)| {
                (Between { instance: common::OUTSIDE, local, remote, ip_tunnel }, wait)
            });
            pair.a.install_snapshot(pair.a.snapshot().with_waits(Arc::new(Waits::new(said))));
            pair.a.settle();
            sequence += 1;
            for (at, mut fragment) in pieces(&forge.packet(sequence, &inner), 480).into_iter().enumerate() {
                renumber(&mut fragment, sequence as u16);
                pair.a.peer_sends(at % usize::from(workers), &fragment);
                // The table is walked some places a poll.
                (0..if at == 0 { 64 } else { 0 }).for_each(|_| pair.a.sleep_us(pause_us / 64));
            }
            pair.a.sent(PRIVATE).len()
        };
        assert_eq!(send(&mut pair, Wait::milliseconds(300), 250_000), 1);
        assert_eq!(pair.a.drops(), []);
        assert_eq!(send(&mut pair, Wait::milliseconds(300), 400_000), 0);
        assert_eq!(pair.a.drops(), [("reassembly-timeout", 1)]);
        assert_eq!(send(&mut pair, Wait::milliseconds(5000), 4_000_000), 1);
        assert_eq!(send(&mut pair, Wait::NONE, 0), 0);
        // Those behind the one that was given up are a datagram of their own, and none without it.
        assert_eq!(pair.a.drops(), [("reassembly-timeout", 3), ("reassembly-off", 3)]);
        (0..64).for_each(|_| pair.a.sleep_us(100_000));
        assert_eq!(pair.a.drops(), [("reassembly-timeout", 3), ("reassembly-off", 3)]);
        pair.is_at_rest();
    }
}

#[test]
fn a_large_ike_message_in_fragments_reaches_control_whole() {
    for workers in [1, 2] {
        let mut pair = Pair::bare(workers);
        let message: Vec<u8> =
            (0..6000).map(|n| if (8..16).contains(&n) { 9 } else { n as u8 | 1 }).collect();
        let marked = [vec![0; 4], message.clone()].concat();
        let (from, to) = (pair.b.site.public(false), pair.a.site.public(false));
        let fragments = pieces(&Ip::new(from, to).udp(4500, 4500, &marked), 1500);
        assert_eq!(fragments.len(), 5);
        for (round, order) in orders(5).into_iter().enumerate() {
            for (step, at) in order.iter().enumerate() {
                let mut fragment = fragments[*at].clone();
                renumber(&mut fragment, round as u16);
                pair.a.peer_sends((step + round) % usize::from(workers), &fragment);
            }
            let punt = pair.a.control.next_ike().expect("the message, whole");
            assert!(ravelin_dataplane::io::Frame::data(&punt.frame) == message);
            assert_eq!((punt.local.port(), punt.remote.ip(), punt.instance), (4500, from, common::OUTSIDE));
        }
        assert_eq!(pair.a.drops(), []);
        pair.is_at_rest();
    }
}

#[test]
fn a_datagram_that_stays_incomplete_is_given_up_and_counted() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let forge = Forge::toward_a(&pair.a, &Style::PLAIN, 10);
        let inner = numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 1000);
        for fragment in &pieces(&forge.packet(1, &inner), 480)[..2] {
            pair.a.peer_sends(0, fragment);
        }
        assert_eq!(pair.a.count(|c| c.held.get()), 2);
        pair.a.sleep_us(3_000_000);
        for _ in 0..200 {
            pair.a.settle();
        }
        assert_eq!(pair.a.drops(), [("reassembly-timeout", 2)]);
        pair.is_at_rest();
    }
}

#[test]
fn overlapping_fragments_end_their_datagram() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let forge = Forge::toward_a(&pair.a, &Style::PLAIN, 10);
        let whole = forge.packet(1, &numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 1000));
        let (coarse, fine) = (pieces(&whole, 480), pieces(&whole, 400));
        for fragment in [&coarse[0], &fine[1], &coarse[2]] {
            pair.a.peer_sends(0, fragment);
        }
        assert_eq!(pair.a.drops(), [("fragment-overlap", 3)]);
        assert!(pair.a.sent(PRIVATE).is_empty());
        pair.a.sleep_us(3_000_000);
        pair.is_at_rest();
    }
}

/// A packet of `octets` from host to host through a tunnel of `style`.
fn large(pair: &Pair, v6: bool, octets: usize, dont_fragment: bool) -> Vec<u8> {
    let ip = Ip { dont_fragment, ..Ip::new(pair.a.site.host(v6), pair.b.site.host(v6)) };
    ip.udp(1, 2, &vec![0x5a; octets - if v6 { 48 } else { 28 }])
}

#[test]
fn an_outer_packet_beyond_the_link_is_cut_after_encryption_and_arrives() {
    for workers in [1, 2] {
        for style in Style::all() {
            let mut pair = Pair::new(workers, &style);
            let packet = large(&pair, false, 1500, true);
            pair.a.host_sends(0, &packet);
            let sent = pair.a.sent(PUBLIC);
            assert_eq!(sent.len(), 2, "{style:?}");
            assert!(sent.iter().all(|fragment| fragment.len() <= 1500));
            for fragment in sent.iter().rev() {
                pair.b.peer_sends(0, fragment);
            }
            assert!(pair.b.sent(PRIVATE) == [one_hop_later(&one_hop_later(&packet))]);
            pair.is_at_rest();
        }
    }
}

#[test]
fn an_inner_packet_beyond_the_tunnel_is_cut_before_encryption() {
    for workers in [1, 2] {
        let style = Style { inner_mtu: Some(1000), ..Style::PLAIN };
        let mut pair = Pair::new(workers, &style);
        pair.a.host_sends(0, &large(&pair, false, 1500, false));
        assert_eq!(pair.carry(|_| 0), 2);
        let arrived = pair.b.sent(PRIVATE);
        assert_eq!(arrived.len(), 2);
        assert!(arrived.iter().all(|piece| piece.len() <= 1000));
        assert_eq!(pair.a.count(|c| c.fragmented.get()), 1);
        pair.is_at_rest();
    }
}

/// The ICMP error that `a` sent to its host: type, code, MTU.
fn error(a: &mut Gateway, v6: bool) -> Option<(u8, u8, u32)> {
    let sent = a.sent(PRIVATE);
    let packet = sent.first()?;
    let at = if v6 { 40 } else { 20 };
    Some((packet[at], packet[at + 1], u32::from_be_bytes(packet[at + 4..at + 8].try_into().unwrap())))
}

#[test]
fn what_must_not_be_cut_is_refused_and_its_sender_told() {
    for workers in [1, 2] {
        let style = Style { inner_mtu: Some(1400), ..Style::PLAIN };
        let mut pair = Pair::new(workers, &style);
        for (v6, expected) in [(false, (3, 4, 1400)), (true, (2, 0, 1400))] {
            pair.a.host_sends(0, &large(&pair, v6, 1401, true));
            assert_eq!(error(&mut pair.a, v6), Some(expected));
            pair.a.host_sends(0, &large(&pair, v6, 1400, true));
            assert_eq!(error(&mut pair.a, v6), None);
        }
        assert_eq!(pair.a.drops(), [("mtu-exceeded", 2)]);
        assert_eq!(pair.a.sent(PUBLIC).len(), 2);
        pair.is_at_rest();
    }
}

#[test]
fn ipv6_of_1280_octets_always_fits() {
    for workers in [1, 2] {
        let style = Style { inner_mtu: Some(600), outer_mtu: Some(600), ..Style::PLAIN };
        let mut pair = Pair::new(workers, &style);
        let packet = large(&pair, true, 1280, true);
        pair.a.host_sends(0, &packet);
        assert_eq!(pair.carry(|at| at % usize::from(workers)), 3);
        assert!(pair.b.sent(PRIVATE) == [one_hop_later(&one_hop_later(&packet))]);
        pair.is_at_rest();
    }
}

#[test]
fn errors_are_rare_however_many_packets_deserve_one() {
    for workers in [1, 2] {
        let style = Style { inner_mtu: Some(1000), ..Style::PLAIN };
        let mut pair = Pair::new(workers, &style);
        for _ in 0..300 {
            pair.a.host_sends(0, &large(&pair, false, 1200, true));
        }
        let (sent, suppressed) =
            (pair.a.count(|c| c.icmp_sent.get()), pair.a.count(|c| c.icmp_suppressed.get()));
        assert!((90..=110).contains(&sent), "{sent}");
        assert_eq!(sent + suppressed, 300);
        pair.is_at_rest();
    }
}
