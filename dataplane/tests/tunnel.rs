//! A static-key tunnel between two gateways carries packets both ways, in every combination of families,
//! encapsulation and sequence numbers, with one worker and with two.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common::packet::{numbered, one_hop_later};
use crate::common::{PRIVATE, PUBLIC, Pair, SLOT, Style};
use ravelin_dataplane::sa::suite::Suite;

/// Sends `packets` numbered datagrams from host to host in each direction and checks that each arrives
/// whole, in order and in nothing but ESP.
fn both_ways(pair: &mut Pair, inner_v6: bool, workers: u8, packets: u32) {
    let (left, right) = (pair.a.site.host(inner_v6), pair.b.site.host(inner_v6));
    let there: Vec<_> = (0..packets).map(|n| numbered(left, right, n, 40 + 13 * n as usize)).collect();
    let back: Vec<_> = (0..packets).map(|n| numbered(right, left, n, 40 + 17 * n as usize)).collect();
    for (at, (there, back)) in there.iter().zip(&back).enumerate() {
        pair.a.host_sends(at % usize::from(workers), there);
        pair.b.host_sends(0, back);
    }
    assert_eq!(pair.carry(|at| at % usize::from(workers)), 2 * packets as usize);
    let expected =
        |packets: &[Vec<u8>]| packets.iter().map(|p| one_hop_later(&one_hop_later(p))).collect::<Vec<_>>();
    assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]));
    assert!(sorted(pair.b.sent(PRIVATE)) == sorted(expected(&there)));
    assert!(sorted(pair.a.sent(PRIVATE)) == sorted(expected(&back)));
}

fn sorted(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    packets.sort();
    packets
}

#[test]
fn every_style_carries_both_families_both_ways() {
    for workers in [1, 2] {
        for style in Style::every() {
            for inner_v6 in [false, true] {
                let mut pair = Pair::new(workers, &style);
                both_ways(&mut pair, inner_v6, workers, 40);
                let handed = pair.a.count(|c| c.handed_out.get());
                assert_eq!(handed > 0, workers == 2, "two workers hand over: {style:?}");
                pair.is_at_rest();
            }
        }
    }
}

#[test]
fn the_wire_shows_the_encapsulation_asked_for() {
    for style in Style::every() {
        let mut pair = Pair::new(1, &style);
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        pair.a.host_sends(0, &numbered(left, right, 1, 100));
        let sent = pair.a.sent(PUBLIC);
        let (header, protocol) = if style.outer_v6 { (40, sent[0][6]) } else { (20, sent[0][9]) };
        assert_eq!(protocol, if style.udp { 17 } else { 50 });
        let esp = &sent[0][header + if style.udp { 8 } else { 0 }..];
        assert_eq!(esp[..4], pair.b.spi(10).0.to_be_bytes());
        assert_eq!(esp[4..8], 1u32.to_be_bytes());
        let shown = sent[0].windows(4).any(|octets| octets == [10, 1, 0, 9]);
        assert_eq!(
            shown,
            matches!(style.suite, Suite::Null(_) | Suite::AesGmac(_)),
            "no inner address on the wire, unless asked for"
        );
        if style.udp {
            assert_eq!(sent[0][header..header + 4], [0x11, 0x94, 0x11, 0x94]);
            assert_eq!(
                sent[0][header + 6..header + 8] == [0, 0],
                !style.outer_v6,
                "RFC 3948 §2.1, RFC 8200 §8.1"
            );
        }
        pair.is_at_rest();
    }
}

#[test]
fn extended_numbers_cross_two_to_the_thirty_second() {
    for workers in [1, 2] {
        let style = Style { esn: true, last_sequence: u64::from(u32::MAX) - 10, ..Style::PLAIN };
        let mut pair = Pair::new(workers, &style);
        both_ways(&mut pair, false, workers, 30);
        let sequence = pair.a.control.outbound(pair.a.owner(), SLOT).unwrap().sequence.get();
        assert!(sequence > u64::from(u32::MAX));
        pair.is_at_rest();
    }
}
