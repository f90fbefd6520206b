//! Lifetimes and rekeys as a worker sees them: make before break loses nothing, whoever is first; an SA at
//! its end sends nothing more (DP-15, DP-43, DP-44, RFC 7296 §2.8, RFC 4303 §3.3.3).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common::packet::numbered;
use crate::common::{Gateway, PRIVATE, PUBLIC, Pair, SLOT, Style, key};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::link::report::Report;
use ravelin_dataplane::sa::fact::Fact;
use ravelin_dataplane::sa::lifetime::Limits;
use ravelin_dataplane::sa::spi::Spi;

/// Sends the next datagram each way and carries everything; how many of the two arrived.
fn exchange(pair: &mut Pair, number: u32) -> usize {
    let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
    pair.a.host_sends(0, &numbered(left, right, number, 80));
    pair.b.host_sends(0, &numbered(right, left, number, 80));
    pair.carry(|at| at);
    pair.a.sent(PRIVATE).len() + pair.b.sent(PRIVATE).len()
}

/// The SPI a gateway sends with now.
fn sends_with(from: &mut Gateway, to: std::net::IpAddr) -> Option<Spi> {
    let packet = numbered(from.site.host(false), to, 1, 80);
    from.host_sends(0, &packet);
    let sent = from.sent(PUBLIC);
    let esp = sent.first()?.get(20..24)?;
    Some(Spi(u32::from_be_bytes(esp.try_into().unwrap())))
}

#[test]
fn fifty_rekeys_from_either_side_lose_nothing() {
    for workers in [1, 2] {
        let style = Style::PLAIN;
        let mut pair = Pair::new(workers, &style);
        let mut number = 0;
        let mut step = |pair: &mut Pair| {
            number += 1;
            assert_eq!(
                exchange(pair, number),
                2,
                "packet {number}: {:?} {:?}",
                pair.a.drops(),
                pair.b.drops()
            );
        };
        let mut old = 10;
        for round in 0..50u32 {
            let new = 10 + (round + 1) % 2;
            let (old_a, old_b) = (pair.a.spi(old), pair.b.spi(old));
            let (new_a, new_b) = (pair.a.spi(new), pair.b.spi(new));
            let (to_a, to_b) = (key(style.suite, round as u8), key(style.suite, !round as u8));
            let Pair { a, b } = &mut pair;
            let (initiator, responder) = if round % 3 == 0 { (a, b) } else { (b, a) };
            let initiator_is_a = initiator.site.0 == 1;
            let (new_initiator, new_responder) = if initiator_is_a { (new_a, new_b) } else { (new_b, new_a) };
            let (to_initiator, to_responder) = if initiator_is_a { (&to_a, &to_b) } else { (&to_b, &to_a) };
            // The responder installs both before it answers; its new outbound SA stands by.
            responder.install_inbound(&style, new, new_responder, to_responder);
            responder.install_outbound(&style, new_initiator, to_initiator, Turn::StandBy);
            step(&mut pair);
            // The initiator has the answer: inbound first, then it sends at once.
            let Pair { a, b } = &mut pair;
            let initiator = if initiator_is_a { a } else { b };
            initiator.install_inbound(&style, new, new_initiator, to_initiator);
            initiator.install_outbound(&style, new_responder, to_responder, Turn::Now);
            step(&mut pair);
            step(&mut pair);
            assert_eq!(sends_with(&mut pair.b, pair.a.site.host(false)), Some(new_a), "both have switched");
            assert_eq!(sends_with(&mut pair.a, pair.b.site.host(false)), Some(new_b));
            // Delete: the old inbound SAs go.
            let (place_a, place_b) = (pair.a.place(old), pair.b.place(old));
            pair.a.command(Command::RemoveInbound { place: place_a, spi: old_a });
            pair.b.command(Command::RemoveInbound { place: place_b, spi: old_b });
            step(&mut pair);
            old = new;
        }
        pair.is_at_rest();
    }
}

#[test]
fn the_responder_keeps_the_old_sa_until_the_first_good_packet_on_the_new() {
    for workers in [1, 2] {
        let style = Style::PLAIN;
        let mut pair = Pair::new(workers, &style);
        let (host_a, host_b) = (pair.a.site.host(false), pair.b.site.host(false));
        let (old, new) = (pair.a.spi(10), pair.a.spi(11));
        pair.b.install_inbound(&style, 11, pair.b.spi(11), &key(style.suite, 1));
        pair.b.install_outbound(&style, new, &key(style.suite, 2), Turn::StandBy);
        assert_eq!(sends_with(&mut pair.b, host_a), Some(old));
        // A packet on the new SA whose tag is bad switches nothing.
        pair.a.install_inbound(&style, 11, new, &key(style.suite, 2));
        pair.a.install_outbound(&style, pair.b.spi(11), &key(style.suite, 99), Turn::Now);
        pair.a.host_sends(0, &numbered(host_a, host_b, 1, 80));
        pair.carry(|at| at);
        assert_eq!(pair.b.drops(), [("bad-icv", 1)]);
        assert_eq!(sends_with(&mut pair.b, host_a), Some(old));
        // A good one does.
        pair.b.reports();
        pair.a.install_outbound(&style, pair.b.spi(11), &key(style.suite, 1), Turn::Now);
        pair.a.host_sends(0, &numbered(host_a, host_b, 1, 80));
        pair.carry(|at| at);
        assert_eq!(sends_with(&mut pair.b, host_a), Some(new));
        let first = |report: &Report| matches!(report, Report::Inbound { facts, .. } if facts.has(Fact::FirstInbound));
        assert_eq!(pair.b.reports().iter().filter(|report| first(report)).count(), 1);
        pair.is_at_rest();
    }
}

#[test]
fn the_first_packet_on_the_old_sa_is_no_switch() {
    for workers in [1, 2] {
        let style = Style::PLAIN;
        let mut pair = Pair::new(workers, &style);
        let (host_a, host_b) = (pair.a.site.host(false), pair.b.site.host(false));
        let (old, new) = (pair.a.spi(10), pair.a.spi(11));
        // Nothing was ever received on the old SA when the peer rekeys it.
        pair.b.install_inbound(&style, 11, pair.b.spi(11), &key(style.suite, 1));
        pair.b.install_outbound(&style, new, &key(style.suite, 2), Turn::StandBy);
        pair.a.host_sends(0, &numbered(host_a, host_b, 1, 80));
        pair.carry(|at| at);
        assert_eq!(pair.b.sent(PRIVATE).len(), 1);
        assert_eq!(sends_with(&mut pair.b, host_a), Some(old), "the peer may not have the new one yet");
        pair.is_at_rest();
    }
}

#[test]
fn a_delete_of_the_old_sa_is_the_switch_too() {
    for workers in [1, 2] {
        let style = Style::PLAIN;
        let mut pair = Pair::new(workers, &style);
        let host_a = pair.a.site.host(false);
        let (old, new) = (pair.a.spi(10), pair.a.spi(11));
        pair.b.install_outbound(&style, new, &key(style.suite, 2), Turn::StandBy);
        pair.b.command(Command::RemoveOutbound { slot: SLOT, spi: old });
        assert_eq!(sends_with(&mut pair.b, host_a), Some(new));
        pair.b.command(Command::RemoveOutbound { slot: SLOT, spi: new });
        assert_eq!(sends_with(&mut pair.b, host_a), None);
        pair.is_at_rest();
    }
}

/// The facts told of the outbound slot.
fn told(gateway: &mut Gateway, fact: Fact) -> usize {
    let is = |report: &Report| matches!(report, Report::Outbound { facts, .. } if facts.has(fact));
    gateway.reports().iter().filter(|report| is(report)).count()
}

#[test]
fn at_the_end_of_its_numbers_an_sa_stops_and_never_wraps() {
    for workers in [1, 2] {
        for esn in [false, true] {
            let end = if esn { u64::MAX } else { u64::from(u32::MAX) };
            let style = Style { esn, last_sequence: end - 5, ..Style::PLAIN };
            let mut pair = Pair::new(workers, &style);
            let packet = numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 80);
            for _ in 0..9 {
                pair.a.host_sends(0, &packet);
            }
            let sent = pair.a.sent(PUBLIC);
            assert_eq!(sent.len(), 5);
            assert_eq!(sent[4][24..28], u32::MAX.to_be_bytes());
            assert_eq!(pair.a.drops(), [("sequence-exhausted", 4)]);
            let reports = pair.a.reports();
            let has =
                |fact| reports.iter().any(|r| matches!(r, Report::Outbound { facts, .. } if facts.has(fact)));
            assert!(has(Fact::SoftExpiry) && has(Fact::HardExpiry));
            pair.is_at_rest();
        }
    }
}

#[test]
fn limits_in_packets_and_octets_ask_once_and_then_stop_both_directions() {
    for workers in [1, 2] {
        let limits = Limits { soft_packets: 3, hard_packets: 6, ..Limits::NONE };
        let mut pair = Pair::new(workers, &Style { limits, ..Style::PLAIN });
        pair.a.reports();
        let mut arrived = 0;
        for number in 0..10 {
            arrived += exchange(&mut pair, number);
            let expected = usize::from(number == 2);
            let soft = told(&mut pair.a, Fact::SoftExpiry);
            assert_eq!(soft, expected, "packet {number}");
        }
        assert_eq!(arrived, 12);
        assert_eq!(pair.a.drops(), [("lifetime-expired", 4)]);
        pair.is_at_rest();
    }
}
