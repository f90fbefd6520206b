//! Suites other than AES-GCM, whole gateways: what they send is what an independent reader of the RFCs expects, they take
//! what it writes and nothing else, at every length, and packets of several suites go beside each other (DP-08, DP-09).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common;
use std::collections::BTreeSet;

use crate::common::forge::Forge;
use crate::common::oracle::Oracle;
use crate::common::packet::{Ip, numbered, one_hop_later};
use crate::common::{Gateway, PRIVATE, PUBLIC, Pair, SLOT, Style, key};
use ravelin_dataplane::link::command::Turn;
use ravelin_dataplane::sa::suite::Suite;

fn refused(a: &mut Gateway, packet: &[u8], reason: &str) {
    let before = a.drops().into_iter().find(|(name, _)| *name == reason).map_or(0, |(_, count)| count);
    let all = |a: &Gateway| a.drops().iter().map(|(_, count)| count).sum::<u64>();
    let sum = all(a);
    a.peer_sends(0, packet);
    assert!(a.drops().contains(&(reason, before + 1)), "{reason}: {:?}", a.drops());
    assert_eq!(all(a), sum + 1);
    assert!(a.sent(PRIVATE).is_empty(), "nothing refused is forwarded");
}

fn accepted(a: &mut Gateway, packet: &[u8], inner: &[u8]) {
    let before = a.drops();
    a.peer_sends(0, packet);
    assert_eq!(a.drops(), before);
    assert!(a.sent(PRIVATE) == [one_hop_later(inner)], "the packet arrives");
}

fn each(mut test: impl FnMut(&mut Pair, &Style, &Forge)) {
    for (at, style) in Style::apart().into_iter().enumerate() {
        let mut pair = Pair::new(1 + at as u8 % 2, &style);
        let forge = Forge::toward_a(&pair.a, &style, 10);
        test(&mut pair, &style, &forge);
        pair.is_at_rest();
    }
}

/// Offset of the ESP header in an outer packet.
fn esp_at(style: &Style) -> usize {
    (if style.outer_v6 { 40 } else { 20 }) + if style.udp { 8 } else { 0 }
}

/// What gateway 1 sent, as the oracle reads it: IV and inner packet.
fn read(style: &Style, sequence: u64, outer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let oracle = Oracle::new(style.suite, &key(style.suite, 10 ^ 0x80)).unwrap();
    let esp = &outer[esp_at(style)..];
    assert_eq!(esp[4..8], (sequence as u32).to_be_bytes());
    let (iv, text) = oracle.open(sequence, style.esn, esp).expect("the ICV is right");
    let (pad, next) = (usize::from(text[text.len() - 2]), text[text.len() - 1]);
    let inner = &text[..text.len() - 2 - pad];
    assert_eq!(next, if inner[0] >> 4 == 4 { 4 } else { 41 });
    assert!(pad < style.suite.framing().block, "no more padding than a block takes");
    assert!(text[inner.len()..][..pad].iter().copied().eq(1..=pad as u8));
    (iv, inner.to_vec())
}

#[test]
fn every_length_is_sealed_as_the_rfcs_say_and_opened_again() {
    each(|pair, style, forge| {
        let (left, right) = (pair.a.site.host(style.esn), pair.b.site.host(style.esn));
        let mut ivs = BTreeSet::new();
        for length in 0..1300u64 {
            let there = numbered(left, right, length as u32, length as usize);
            pair.a.host_sends(length as usize % 2 % pair.a.workers.len(), &there);
            let sent = pair.a.sent(PUBLIC);
            assert_eq!(sent.len(), 1, "{length}: {:?}", pair.a.drops());
            let (iv, inner) = read(style, length + 1, &sent[0]);
            assert_eq!(inner, one_hop_later(&there));
            assert!(ivs.insert(iv) || style.suite.framing().iv == 0, "no IV twice");
            let back = numbered(right, left, length as u32, length as usize);
            accepted(&mut pair.a, &forge.packet(length + 1, &back), &back);
        }
        assert_eq!(pair.a.drops(), []);
    });
}

/// Inner packets of up to 2100 octets come in, which a larger path may carry.
#[test]
fn packets_longer_than_a_frame_come_in() {
    each(|pair, _, forge| {
        let (host_a, host_b) = (pair.a.site.host(false), pair.b.site.host(false));
        for length in 1300..2100 {
            let packet = Ip::new(host_b, host_a).udp(1, 2, &vec![7; length - 28]);
            let before = pair.a.drops();
            pair.a.peer_sends(0, &forge.packet(length as u64, &packet));
            assert_eq!(pair.a.drops(), before);
            assert!(!pair.a.sent(PRIVATE).is_empty(), "{length}");
        }
    });
}

/// RFC 3602 §3: an IV is not to be foreseen, so nothing of one is like the next, and two SAs have none in common.
#[test]
fn ivs_are_not_to_be_foreseen() {
    for style in Style::apart().into_iter().filter(|style| style.suite.seed_length() > 0) {
        let (mut bits, mut all) = (0, 0);
        let mut pair = Pair::new(1, &style);
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        let mut last = None;
        for number in 0..64u32 {
            pair.a.host_sends(0, &numbered(left, right, number, 100));
            let (iv, _) = read(&style, u64::from(number) + 1, &pair.a.sent(PUBLIC)[0]);
            if let Some(last) = last.replace(iv.clone()) {
                all += 8 * iv.len() as u32;
                bits += iv.iter().zip(&last).map(|(a, b): (&u8, &u8)| (a ^ b).count_ones()).sum::<u32>();
            }
        }
        // 63 differences: half of their bits, give or take ten standard deviations.
        let give = 5 * all.isqrt();
        assert!(bits.abs_diff(all / 2) < give && all >= 63 * 64, "{bits} of {all} bits differ");
        pair.is_at_rest();
    }
}

#[test]
fn every_mutated_octet_is_refused_and_changes_nothing() {
    each(|pair, style, forge| {
        let packet = numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 60);
        let good = forge.packet(2, &packet);
        let at = esp_at(style);
        for octet in at..good.len() {
            for bit in [0x01, 0x80] {
                let mut bad = good.clone();
                bad[octet] ^= bit;
                // Without ESN a number that is far away is still a new one.
                refused(&mut pair.a, &bad, if octet - at < 4 { "sa-miss" } else { "bad-icv" });
            }
        }
        accepted(&mut pair.a, &good, &packet);
        refused(&mut pair.a, &good, "replay-duplicate");
        accepted(&mut pair.a, &forge.packet(5000, &packet), &packet);
        accepted(&mut pair.a, &forge.packet(5000 - 1023, &packet), &packet);
        if !style.esn {
            refused(&mut pair.a, &forge.packet(5000 - 1024, &packet), "replay-too-old");
        }
    });
}

/// With ESN the half of the number that is not sent is authenticated (RFC 4303 §2.2.1).
#[test]
fn numbers_cross_two_to_the_thirty_second() {
    for style in Style::apart() {
        let style = Style { esn: true, last_sequence: u64::from(u32::MAX) - 10, ..style };
        let mut pair = Pair::new(1, &style);
        let forge = Forge::toward_a(&pair.a, &style, 10);
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        for number in 1..30u32 {
            let sequence = style.last_sequence + u64::from(number);
            let there = numbered(left, right, number, 100);
            pair.a.host_sends(0, &there);
            assert_eq!(read(&style, sequence, &pair.a.sent(PUBLIC)[0]).1, one_hop_later(&there));
            let back = numbered(right, left, number, 100);
            accepted(&mut pair.a, &forge.packet(sequence, &back), &back);
        }
        pair.is_at_rest();
    }
}

#[test]
fn a_length_that_no_packet_has_is_refused_before_its_icv() {
    each(|pair, style, forge| {
        let framing = style.suite.framing();
        let packet = numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 60);
        let esp = forge.packet(1, &packet)[esp_at(style)..].to_vec();
        let possible = |length: usize| framing.text_within(length).is_some();
        for length in 20..esp.len() {
            let reason = if possible(length) { "bad-icv" } else { "esp-length" };
            refused(&mut pair.a, &forge.wrap(&esp[..length]), reason);
        }
        let whole = (packet.len() + 2).next_multiple_of(framing.block);
        assert_eq!(esp.len(), framing.around() + whole);
    });
}

/// What is authentic is still not believed: padding, next header, what is inside.
#[test]
fn a_good_icv_excuses_no_bad_content() {
    each(|pair, style, forge| {
        let block = style.suite.framing().block;
        let inner = numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 34);
        let text = |pad: u8, next: u8| {
            let mut text = [inner.as_slice(), &[pad, next]].concat();
            text.resize(text.len().next_multiple_of(block), 0);
            let end = text.len();
            text[end - 2..].copy_from_slice(&[pad, next]);
            text
        };
        refused(&mut pair.a, &forge.text(1, &text(255, 4)), "bad-padding");
        refused(&mut pair.a, &forge.text(2, &text(0, 17)), "bad-next-header");
        refused(&mut pair.a, &forge.text(3, &text(0, 41)), "malformed-inner");
        accepted(&mut pair.a, &forge.packet(4, &inner), &inner);
        let dummies = pair.a.count(|c| c.dummies.get());
        pair.a.peer_sends(0, &forge.text(5, &text(0, 59)));
        assert_eq!(pair.a.count(|c| c.dummies.get()), dummies + 1);
    });
}

/// The largest inner packet that fits is told by the suite's own overhead, and what is larger is cut before it is
/// encrypted, or refused.
#[test]
fn sizes_are_those_of_the_suite() {
    for style in Style::every() {
        let framing = style.suite.framing();
        let outer = 1400;
        let style = Style { outer_mtu: Some(outer), inner_mtu: None, ..style };
        let largest = framing.largest_payload(usize::from(outer) - esp_at(&style));
        let mut pair = Pair::new(1, &style);
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        for (length, packets) in [(largest - 28, 1), (largest - 27, 2)] {
            // Twice: the first packet of an SA looks for where it leaves.
            for _ in 0..2 {
                pair.a.host_sends(0, &numbered(left, right, 1, length));
                let sent = pair.a.sent(PUBLIC);
                assert_eq!(sent.len(), packets, "{style:?} {length}");
                assert!(sent.iter().all(|packet| packet.len() <= usize::from(outer)), "{style:?} {length}");
            }
        }
        pair.is_at_rest();
    }
}

/// An SA of one suite after another in one slot, as a rekey leaves it: the ordinary way is found again.
#[test]
fn suites_follow_each_other_in_a_slot() {
    let cbc = Style::apart()[0];
    let plain = Style { outer_v6: cbc.outer_v6, udp: cbc.udp, ..Style::PLAIN };
    let mut pair = Pair::bare(2);
    for (slot, style) in [cbc, plain, cbc, plain].into_iter().enumerate() {
        let slot = 10 + slot as u32;
        pair.tunnel(&style, slot, Turn::StandBy);
        pair.a.command(ravelin_dataplane::link::command::Command::ActivateOutbound { slot: SLOT });
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        for number in 0..5 {
            pair.a.host_sends(1, &numbered(left, right, number, 200));
            pair.b.host_sends(0, &numbered(right, left, number, 200));
        }
        assert_eq!(pair.carry(|at| at % 2), 10);
        assert_eq!((pair.a.sent(PRIVATE).len(), pair.b.sent(PRIVATE).len()), (5, 5));
        assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]));
    }
    pair.is_at_rest();
}

/// Packets of several SAs of several suites in one burst: each is judged by its own.
#[test]
fn a_burst_of_many_suites() {
    let mut pair = Pair::bare(1);
    let styles: Vec<Style> =
        Style::every().into_iter().map(|style| Style { outer_v6: false, udp: false, ..style }).collect();
    let forges: Vec<Forge> = (10u32..)
        .zip(&styles)
        .map(|(slot, style)| {
            pair.a.install_inbound(style, slot, pair.a.spi(slot), &key(style.suite, slot as u8));
            Forge::toward_a(&pair.a, style, slot)
        })
        .collect();
    let (from, to) = (pair.b.site.host(false), pair.a.site.host(false));
    for sequence in 1..6u64 {
        for (at, forge) in forges.iter().enumerate() {
            let mut packet = forge.packet(sequence, &numbered(from, to, at as u32, 80 + 9 * at));
            // Every fifth is spoilt.
            if (at as u64 + sequence).is_multiple_of(5) {
                *packet.last_mut().unwrap() ^= 4;
            }
            let (to, from) = (pair.a.site.mac(PUBLIC), pair.b.site.mac(PUBLIC));
            let frame = common::packet::framed(to, from, &packet);
            let frame = ravelin_dataplane::io::Pool::copy_of(&mut pair.a.pool, &frame).unwrap();
            pair.a.public.deliver(0, frame).unwrap();
        }
        let spoilt = (0..forges.len() as u64).filter(|at| (at + sequence).is_multiple_of(5)).count();
        let before = pair.a.drops().iter().map(|(_, count)| *count).sum::<u64>();
        pair.a.settle();
        assert_eq!(pair.a.drops(), [("bad-icv", before + spoilt as u64)]);
        assert_eq!(pair.a.sent(PRIVATE).len(), forges.len() - spoilt);
    }
    assert!(forges.len() > 15 && Suite::all().count() > 10);
    pair.is_at_rest();
}
