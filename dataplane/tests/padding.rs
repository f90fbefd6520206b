//! Padding against traffic analysis (RFC 4303 §2.7, DP-45): inner packets of a tunnel that says so are of one length on the
//! wire, whatever the suite, padded with nothing of what buffers held before; they arrive as they were.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use std::collections::BTreeSet;

use crate::common::oracle;
use crate::common::packet::{numbered, one_hop_later};
use crate::common::{PRIVATE, PUBLIC, Pair, SLOT, Style, key};
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::sa::outbound::Encapsulation;

const TO: u16 = 900;

fn styles() -> Vec<Style> {
    Style::every().into_iter().map(|style| Style { padded_to: Some(TO), ..style }).collect()
}

/// The text of what gateway 1 sent.
fn text(style: &Style, sequence: u64, outer: &[u8]) -> Vec<u8> {
    let at = (if style.outer_v6 { 40 } else { 20 }) + if style.udp { 8 } else { 0 };
    let material = key(style.suite, 10 ^ 0x80);
    oracle::open(style.suite, &material, (sequence, style.esn), &outer[at..]).expect("the ICV is right")
}

#[test]
fn short_packets_are_of_one_length() {
    for (at, style) in styles().into_iter().enumerate() {
        let workers = 1 + at as u8 % 2;
        let mut pair = Pair::new(workers, &style);
        let v6 = at % 3 == 0;
        let (from, to) = (pair.a.site.host(v6), pair.b.site.host(v6));
        let header = if v6 { 48 } else { 28 };
        let mut lengths = BTreeSet::new();
        for (number, octets) in [4, 5, 100, 333, 600, usize::from(TO) - header].into_iter().enumerate() {
            let packet = numbered(from, to, number as u32, octets);
            pair.a.host_sends(number % usize::from(workers), &packet);
            let sent = pair.a.sent(PUBLIC);
            assert_eq!(sent.len(), 1, "{style:?}: {:?}", pair.a.drops());
            lengths.insert(sent[0].len());
            let text = text(&style, number as u64 + 1, &sent[0]);
            assert_eq!(text[..packet.len()], one_hop_later(&packet));
            assert!(text[packet.len()..usize::from(TO)].iter().all(|octet| *octet == 0), "{style:?}");
            assert_eq!(text.last(), Some(&if v6 { 41 } else { 4 }));
            pair.b.peer_sends(number % usize::from(workers), &sent[0]);
            assert_eq!(pair.b.sent(PRIVATE), [one_hop_later(&one_hop_later(&packet))]);
        }
        assert_eq!(lengths.len(), 1, "{style:?}: {lengths:?}");
        // Longer ones are as they are.
        let packet = numbered(from, to, 99, usize::from(TO) - header + 64);
        pair.a.host_sends(0, &packet);
        let sent = pair.a.sent(PUBLIC);
        assert!(sent[0].len() > *lengths.first().unwrap());
        pair.b.peer_sends(0, &sent[0]);
        assert_eq!(pair.b.sent(PRIVATE), [one_hop_later(&one_hop_later(&packet))]);
        assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]));
        // What is counted is what is inside.
        let octets = pair.a.count(|counters| counters.sealed_bytes.get());
        assert_eq!(octets, pair.b.count(|counters| counters.opened_bytes.get()));
        pair.is_at_rest();
    }
}

/// It comes and goes under an SA that stays.
#[test]
fn it_is_turned_on_and_off() {
    let mut pair = Pair::new(1, &Style::PLAIN);
    let (from, to) = (pair.a.site.host(false), pair.b.site.host(false));
    let spi = pair.b.spi(10);
    let length = |pair: &mut Pair, padded_to| {
        let former = pair.a.outbound_parts(&Style::PLAIN, spi).encapsulation;
        let encapsulation = Encapsulation { padded_to, ..former };
        pair.a.command(Command::Encapsulate { slot: SLOT, spi, encapsulation });
        pair.a.host_sends(0, &numbered(from, to, 1, 40));
        pair.a.sent(PUBLIC)[0].len()
    };
    let plain = length(&mut pair, None);
    let padded = length(&mut pair, Some(700));
    assert!(padded - plain > 600);
    assert_eq!(length(&mut pair, None), plain);
    pair.is_at_rest();
}
