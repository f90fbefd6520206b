//! Dummy packets (RFC 4303 §2.6, DP-45): while an SA is silent its worker sends some that nobody can tell from padded
//! packets without the key, and the other end drops them without a word; an SA that carries something sends none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common::oracle;
use crate::common::packet::numbered;
use crate::common::{PRIVATE, PUBLIC, Pair, SLOT, Style, key};
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::link::report::Report;
use ravelin_dataplane::sa::fact::Fact;
use ravelin_dataplane::sa::lifetime::Limits;
use ravelin_dataplane::sa::outbound::Encapsulation;
use ravelin_dataplane::trace::{Filter, Tap, Wish};

const TO: u16 = 700;
const A_SECOND: u16 = 50;

/// Two gateways of which the first sends dummies.
fn pair(workers: u8, style: &Style) -> Pair {
    let mut pair = Pair::new(workers, &Style { padded_to: Some(TO), ..*style });
    ask(&mut pair, style, Some(A_SECOND));
    pair
}

fn ask(pair: &mut Pair, style: &Style, dummies: Option<u16>) {
    let (spi, style) = (pair.b.spi(10), Style { padded_to: Some(TO), ..*style });
    let former = pair.a.outbound_parts(&style, spi).encapsulation;
    let encapsulation = Encapsulation { dummies, ..former };
    pair.a.command(Command::Encapsulate { slot: SLOT, spi, encapsulation });
}

/// What gateway 1 sends in so many milliseconds, each of which it polls.
fn wait(pair: &mut Pair, milliseconds: u64) -> Vec<Vec<u8>> {
    (0..milliseconds).for_each(|_| pair.a.sleep_us(1000));
    pair.a.sent(PUBLIC)
}

fn sent(pair: &Pair) -> (u64, u64) {
    let of_slot = pair.a.control.sent_dummies(pair.a.owner(), SLOT);
    (pair.a.count(|counters| counters.dummies_sent.get()), of_slot)
}

#[test]
fn silence_is_filled_with_what_looks_like_padded_packets() {
    for (at, style) in Style::every().into_iter().enumerate() {
        let mut pair = pair(1 + at as u8 % 2, &style);
        pair.a.host_sends(0, &numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 100));
        let padded = pair.a.sent(PUBLIC).remove(0).len();
        let dummies = wait(&mut pair, 2000);
        let count = dummies.len();
        assert!((85..=115).contains(&count), "{count} in two seconds: {style:?}");
        assert_eq!(sent(&pair), (count as u64, count as u64), "{style:?}");
        let esp_at = (if style.outer_v6 { 40 } else { 20 }) + if style.udp { 8 } else { 0 };
        for (sequence, packet) in (2..).zip(&dummies) {
            assert_eq!(packet.len(), padded, "{style:?}");
            let material = key(style.suite, 10 ^ 0x80);
            let text = oracle::open(style.suite, &material, (sequence, style.esn), &packet[esp_at..]);
            let text = text.expect("the ICV is right");
            assert_eq!(text.last(), Some(&59), "{style:?}");
            assert!(text[..usize::from(TO)].iter().all(|octet| *octet == 0), "{style:?}");
            pair.b.peer_sends(0, packet);
        }
        assert!(pair.b.sent(PRIVATE).is_empty());
        assert_eq!(pair.b.count(|counters| counters.dummies.get()), count as u64);
        assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]), "{style:?}");
        let counters = pair.a.control.outbound(pair.a.owner(), SLOT).unwrap();
        assert_eq!((counters.packets.get(), counters.octets.get()), (1 + count as u64, 128), "{style:?}");
        pair.is_at_rest();
    }
}

/// No beat: intervals differ, and no two machines draw the same.
#[test]
fn instants_are_irregular() {
    let mut pair = pair(1, &Style::PLAIN);
    let (mut gaps, mut last) = (Vec::new(), 0);
    for now in 0..4000u64 {
        if !wait(&mut pair, 1).is_empty() {
            gaps.push(now - last);
            last = now;
        }
    }
    let (least, most) = (gaps[1..].iter().min().unwrap(), gaps[1..].iter().max().unwrap());
    assert!(*least >= 10 && *most <= 32 && most - least > 12, "{gaps:?}");
}

#[test]
fn what_carries_something_sends_none() {
    let mut pair = pair(1, &Style::PLAIN);
    let packet = numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 100);
    let mut real = 0;
    for _ in 0..200 {
        pair.a.host_sends(0, &packet);
        real += 1;
        assert_eq!(wait(&mut pair, 9).len(), 1);
    }
    assert_eq!((sent(&pair), real), ((0, 0), 200));
    // It stops, they begin; and end where nobody wants them any more.
    assert!(wait(&mut pair, 500).len() > 15);
    ask(&mut pair, &Style::PLAIN, None);
    assert!(wait(&mut pair, 500).is_empty());
    pair.is_at_rest();
}

/// Where nothing is padded, as with a peer that takes no padding, there are none; nor where there is no SA.
#[test]
fn nothing_padded_and_no_sa_mean_none() {
    let mut pair = Pair::new(1, &Style::PLAIN);
    let spi = pair.b.spi(10);
    let former = pair.a.outbound_parts(&Style::PLAIN, spi).encapsulation;
    let encapsulation = Encapsulation { dummies: Some(1000), ..former };
    pair.a.command(Command::Encapsulate { slot: SLOT, spi, encapsulation });
    assert!(wait(&mut pair, 200).is_empty());
    ask(&mut pair, &Style::PLAIN, Some(1000));
    // A thousand a second are asked for, and every millisecond is looked for one.
    assert!(wait(&mut pair, 200).len() > 100);
    pair.a.command(Command::RemoveOutbound { slot: SLOT, spi });
    assert!(wait(&mut pair, 200).is_empty());
    let wanted = |report: &Report| matches!(report, Report::Vacant { .. });
    assert!(!pair.a.reports().iter().any(wanted), "nobody wants an SA for them");
    pair.a.command(Command::ClearOutbound { slot: SLOT });
    assert_eq!(
        pair.a.control.sent_dummies(pair.a.owner(), SLOT),
        0,
        "the next owner of the slot begins at none"
    );
    pair.is_at_rest();
}

/// They are packets of their SA: at its end it sends none either, and control hears of it.
#[test]
fn they_spend_the_lifetime_of_their_sa() {
    let limits = Limits { soft_packets: 3, hard_packets: 5, ..Limits::NONE };
    let style = Style { limits, ..Style::PLAIN };
    let mut pair = pair(1, &style);
    assert_eq!(wait(&mut pair, 1000).len(), 5);
    assert_eq!((sent(&pair), pair.a.drops()[0].0), ((5, 5), "lifetime-expired"));
    let facts =
        |fact| move |report: &Report| matches!(report, Report::Outbound { facts, .. } if facts.has(fact));
    let reports = pair.a.reports();
    assert!(reports.iter().any(facts(Fact::SoftExpiry)) && reports.iter().any(facts(Fact::HardExpiry)));
    pair.is_at_rest();
}

/// A capture has them on the wire, and nothing of them in clear.
#[test]
fn a_capture_shows_them_encrypted_alone() {
    let mut pair = pair(1, &Style::PLAIN);
    let wish = Wish::Copies { clear: true, encrypted: true, wire: false, snap: 65_535 };
    let (tap, mut reader) = Tap::new(Filter::default(), wish, 10_000);
    pair.a.command(Command::Tap(Some(Box::new(tap))));
    let wire = wait(&mut pair, 500);
    let copies: Vec<_> = std::iter::from_fn(|| reader.next_record()).map(|(_, copy)| copy).collect();
    assert!(!wire.is_empty() && copies == wire);
    pair.is_at_rest();
}
