//! The order of checks on what arrives (RFC 4303 §3.4, DP-04, DP-13, DP-14, DP-17, DP-18): each broken field
//! moves its own counter and no other, and nothing but a good tag moves the window.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common;
use crate::common::forge::Forge;
use crate::common::packet::{Ip, numbered, one_hop_later};
use crate::common::{Gateway, PRIVATE, Pair, Style, ip};
use ravelin_dataplane::link::counter::Counters;
use ravelin_dataplane::sa::inbound::MayMove;
use ravelin_dataplane::sa::suite::Suite;

/// Lets `packet` arrive on the first queue and expects exactly one drop, for `reason`.
fn refused(a: &mut Gateway, packet: &[u8], reason: &str) {
    let before = a.drops();
    a.peer_sends(0, packet);
    let mut expected = before;
    match expected.iter_mut().find(|(name, _)| *name == reason) {
        Some((_, count)) => *count += 1,
        None => expected.push((Box::leak(reason.to_owned().into_boxed_str()), 1)),
    }
    let mut after = a.drops();
    after.sort_unstable();
    expected.sort_unstable();
    assert_eq!(after, expected, "expected {reason}");
    assert!(a.sent(PRIVATE).is_empty(), "nothing refused is forwarded");
}

fn accepted(a: &mut Gateway, packet: &[u8], inner: &[u8]) {
    let before = a.drops();
    a.peer_sends(0, packet);
    assert_eq!(a.drops(), before);
    assert!(a.sent(PRIVATE) == [one_hop_later(inner)], "the packet arrives");
}

fn each(mut test: impl FnMut(&mut Pair, &Style, &Forge)) {
    for workers in [1, 2] {
        for style in Style::all() {
            let mut pair = Pair::new(workers, &style);
            let forge = Forge::toward_a(&pair.a, &style, 10);
            test(&mut pair, &style, &forge);
            pair.is_at_rest();
        }
    }
}

fn inner(pair: &Pair, number: u32) -> Vec<u8> {
    numbered(pair.b.site.host(false), pair.a.site.host(false), number, 60)
}

/// Offset of the ESP header in an outer packet.
fn esp_at(style: &Style) -> usize {
    (if style.outer_v6 { 40 } else { 20 }) + if style.udp { 8 } else { 0 }
}

#[test]
fn what_an_independent_sealer_wrote_is_accepted() {
    each(|pair, _, forge| {
        for (sequence, length) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 1200)] {
            let (from, to) = (pair.b.site.host(true), pair.a.site.host(true));
            let packet = Ip::new(from, to).udp(1, 2, &vec![7; length]);
            accepted(&mut pair.a, &forge.packet(sequence, &packet), &packet);
        }
    });
}

#[test]
fn every_mutated_octet_of_esp_moves_one_counter() {
    each(|pair, style, forge| {
        let packet = inner(pair, 1);
        let good = forge.packet(1, &packet);
        let at = esp_at(style);
        for octet in at..good.len() {
            let mut bad = good.clone();
            bad[octet] ^= 0x11;
            let reason = match octet - at {
                0..4 => "sa-miss",
                _ => "bad-icv",
            };
            refused(&mut pair.a, &bad, reason);
        }
        accepted(&mut pair.a, &good, &packet);
    });
}

#[test]
fn a_packet_cut_short_is_refused_by_its_length() {
    each(|pair, style, forge| {
        let good = forge.packet(1, &inner(pair, 1));
        let esp = good[esp_at(style)..].to_vec();
        for length in [4, 8, 16, 20, 32, 35, esp.len() - 1, esp.len() - 3] {
            refused(&mut pair.a, &forge.wrap(&esp[..length]), "esp-length");
        }
        refused(&mut pair.a, &forge.wrap(&esp[..esp.len() - 4]), "bad-icv");
    });
}

#[test]
fn a_replay_is_refused_and_a_bad_tag_does_not_move_the_window() {
    each(|pair, _, forge| {
        let packet = inner(pair, 1);
        accepted(&mut pair.a, &forge.packet(5000, &packet), &packet);
        refused(&mut pair.a, &forge.packet(5000, &packet), "replay-duplicate");
        accepted(&mut pair.a, &forge.packet(5000 - 1023, &packet), &packet);
        refused(&mut pair.a, &forge.packet(5000 - 1023, &packet), "replay-duplicate");
        if !forge.is_esn() {
            refused(&mut pair.a, &forge.packet(5000 - 1024, &packet), "replay-too-old");
        }
        let mut far = forge.packet(900_000, &packet);
        *far.last_mut().unwrap() ^= 1;
        refused(&mut pair.a, &far, "bad-icv");
        accepted(&mut pair.a, &forge.packet(4999, &packet), &packet);
    });
}

#[test]
fn two_copies_in_one_burst_pass_once() {
    each(|pair, _, forge| {
        let packet = forge.packet(9, &inner(pair, 1));
        let (to, from) = (pair.a.site.mac(1), pair.b.site.mac(1));
        let frame = common::packet::framed(to, from, &packet);
        for _ in 0..3 {
            let copy = ravelin_dataplane::io::Pool::copy_of(&mut pair.a.pool, &frame).unwrap();
            pair.a.public.deliver(0, copy).unwrap();
        }
        pair.a.settle();
        assert_eq!(pair.a.drops(), [("replay-duplicate", 2)]);
        assert_eq!(pair.a.sent(PRIVATE).len(), 1);
    });
}

#[test]
fn outer_addresses_must_be_those_of_the_sa() {
    each(|pair, style, forge| {
        let packet = inner(pair, 1);
        let good = forge.packet(1, &packet);
        let esp = &good[esp_at(style)..];
        let stranger = if style.outer_v6 { ip("2001:db8::66") } else { ip("192.0.2.66") };
        refused(&mut pair.a, &forge.sent_from(stranger, 4500, esp), "ip-mismatch");
        if style.udp {
            let peer = pair.b.site.public(style.outer_v6);
            refused(&mut pair.a, &forge.sent_from(peer, 4501, esp), "ip-mismatch");
        }
        accepted(&mut pair.a, &good, &packet);
    });
}

/// ESP that comes in UDP where it was to come bare, and the other way round, is opened like any other; its peer is not
/// taken to have moved (RFC 7296 §2.23).
#[test]
fn either_encapsulation_is_opened() {
    each(|pair, style, forge| {
        let other = Style { udp: !style.udp, ..*style };
        let otherwise = Forge::toward_a(&pair.a, &other, 10);
        pair.a.reports();
        for sequence in 1..4 {
            let packet = inner(pair, sequence as u32);
            let forge = if sequence == 2 { &otherwise } else { forge };
            accepted(&mut pair.a, &forge.packet(sequence, &packet), &packet);
        }
        assert!(moves(&mut pair.a).is_empty());
        let mut bad = otherwise.packet(4, &inner(pair, 4));
        *bad.last_mut().unwrap() ^= 1;
        refused(&mut pair.a, &bad, "bad-icv");
    });
}

#[test]
fn a_good_tag_excuses_no_bad_content() {
    each(|pair, _, forge| {
        let packet = inner(pair, 1);
        let (a, mut sequence) = (&mut pair.a, 0);
        let mut next = || {
            sequence += 1;
            sequence
        };
        let text = |inner: &[u8], trailer: &[u8]| [inner, trailer].concat();
        let whole = packet.len().next_multiple_of(4);
        let padded = [packet.clone(), vec![0; whole - packet.len()]].concat();
        refused(a, &forge.text(next(), &text(&padded, &[9, 9, 2, 4])), "bad-padding");
        refused(a, &forge.text(next(), &text(&padded, &[1, 2, 255, 4])), "bad-padding");
        refused(a, &forge.text(next(), &text(&padded, &[1, 2, 2, 17])), "bad-next-header");
        refused(a, &forge.text(next(), &text(&padded, &[1, 2, 2, 41])), "malformed-inner");
        refused(a, &forge.text(next(), &[1, 2, 2, 4]), "malformed-inner");
        let mut corrupt = packet.clone();
        corrupt[10] ^= 1;
        refused(a, &forge.packet(next(), &corrupt), "malformed-inner");
        let mut long = packet.clone();
        long[3] += 1;
        refused(a, &forge.packet(next(), &long), "malformed-inner");
        // TFC padding (RFC 4303 §2.7): what follows the inner packet is dropped without a word.
        accepted(a, &forge.packet(next(), &[packet.clone(), vec![0; 100]].concat()), &packet);
        let dummies = |a: &Gateway| a.count(|c: &Counters| c.dummies.get());
        let before = (a.drops(), dummies(a));
        a.peer_sends(0, &forge.text(next(), &[0xee; 26].iter().copied().chain([0, 59]).collect::<Vec<_>>()));
        assert_eq!((a.drops(), dummies(a)), (before.0, before.1 + 1), "a dummy is absorbed (RFC 4303 §2.6)");
    });
}

#[test]
fn inner_packets_outside_the_selectors_are_refused() {
    each(|pair, _, forge| {
        let (host_a, host_b) = (pair.a.site.host(false), pair.b.site.host(false));
        let strangers = [(ip("10.9.0.9"), host_a), (host_b, ip("10.9.0.9")), (host_a, host_b)];
        for (at, (from, to)) in strangers.into_iter().enumerate() {
            refused(&mut pair.a, &forge.packet(1 + at as u64, &numbered(from, to, 1, 60)), "policy-error");
        }
    });
}

#[test]
fn an_icmp_error_from_a_router_between_passes_if_it_quotes_what_the_sa_carries() {
    each(|pair, _, forge| {
        let (host_a, host_b) = (pair.a.site.host(false), pair.b.site.host(false));
        let router = ip("172.16.0.1");
        let error = |quoted: &[u8]| {
            let mut message = vec![11, 0, 0, 0, 0, 0, 0, 0];
            message.extend(&quoted[..28]);
            let sum = ravelin_dataplane::net::checksum::internet(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            Ip::new(router, host_a).wrap(1, &message)
        };
        let answer = error(&numbered(host_a, host_b, 1, 60));
        accepted(&mut pair.a, &forge.packet(1, &answer), &answer);
        let foreign = error(&numbered(host_a, ip("8.8.8.8"), 1, 60));
        refused(&mut pair.a, &forge.packet(2, &foreign), "policy-error");
    });
}

#[test]
fn congestion_marks_cross_the_tunnel() {
    each(|pair, style, forge| {
        if style.outer_v6 || style.udp {
            return;
        }
        let (host_a, host_b) = (pair.a.site.host(false), pair.b.site.host(false));
        let marked =
            |class: u8, packet: &mut Vec<u8>| ravelin_dataplane::net::ipv4::set_traffic_class(packet, class);
        let ect = Ip { traffic_class: 2, ..Ip::new(host_b, host_a) }.udp(1, 2, b"capable");
        let mut outer = forge.packet(1, &ect);
        marked(3, &mut outer);
        let mut expected = ect.clone();
        marked(3, &mut expected);
        accepted(&mut pair.a, &outer, &expected);
        let mut outer = forge.packet(2, &inner(pair, 1));
        marked(3, &mut outer);
        refused(&mut pair.a, &outer, "ecn-invalid");
    });
}

#[test]
fn a_peer_behind_a_nat_is_followed_only_by_good_and_new_packets() {
    for workers in [1, 2] {
        let style = Style { udp: true, may_move: MayMove::Peer, suite: Suite::AesGcm256, ..Style::PLAIN };
        let mut pair = Pair::new(workers, &style);
        let forge = Forge::toward_a(&pair.a, &style, 10);
        let packet = inner(&pair, 1);
        let esp = |sequence| forge.packet(sequence, &packet)[esp_at(&style)..].to_vec();
        pair.a.reports();
        let elsewhere = ip("198.51.100.7");
        let mut bad = esp(10);
        *bad.last_mut().unwrap() ^= 1;
        refused(&mut pair.a, &forge.sent_from(elsewhere, 7777, &bad), "bad-icv");
        assert!(moves(&mut pair.a).is_empty(), "a bad tag moves nobody");
        accepted(&mut pair.a, &forge.sent_from(elsewhere, 7777, &esp(10)), &packet);
        assert_eq!(moves(&mut pair.a), [(elsewhere, 7777)]);
        // A packet delayed on the old path does not move the peer back.
        accepted(&mut pair.a, &forge.packet(9, &packet), &packet);
        assert!(moves(&mut pair.a).is_empty());
        pair.is_at_rest();
    }
}

fn moves(a: &mut Gateway) -> Vec<(std::net::IpAddr, u16)> {
    use ravelin_dataplane::link::report::Report;
    use ravelin_dataplane::sa::fact::Fact;
    let moved = |report| match report {
        Report::Inbound { facts, peer, .. } if facts.has(Fact::PeerMoved) => Some((peer.address, peer.port)),
        _ => None,
    };
    a.reports().into_iter().filter_map(moved).collect()
}
