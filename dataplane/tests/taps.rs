//! What a tap is shown: copies of both sides of a tunnel that are what was on the wire and what hosts sent, verdicts and
//! paths; and that a worker with a tap treats packets as one without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common::packet::{numbered, one_hop_later};
use crate::common::{Gateway, PRIVATE, PUBLIC, Pair, SLOT, Style};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::link::report::Report;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::trace::filter::Children;
use ravelin_dataplane::trace::{Filter, Node, Reader, Record, Side, Tap, Wish};
use ravelin_dataplane::verdict::{Drop, Verdict};

const ALL: Wish = Wish::Copies { clear: true, encrypted: true, wire: true, snap: 65_535 };

/// Lays a tap to every worker of a gateway.
fn tapped(gateway: &mut Gateway, filter: &Filter, wish: Wish) -> Vec<Reader> {
    let workers: Vec<WorkerId> = gateway.control.workers().collect();
    let readers = workers.into_iter().map(|worker| {
        let (tap, reader) = Tap::new(filter.clone(), wish, 10_000);
        gateway.control.send(worker, Command::Tap(Some(Box::new(tap)))).unwrap();
        reader
    });
    let readers = readers.collect();
    gateway.settle();
    readers
}

fn read(readers: &mut [Reader]) -> Vec<(Record, Vec<u8>)> {
    assert!(readers.iter().all(|reader| reader.lost() == 0));
    readers.iter_mut().flat_map(|reader| std::iter::from_fn(|| reader.next_record())).collect()
}

fn of_tunnel() -> Filter {
    let tunnel = Children { names: [5].into(), slots: [SLOT].into() };
    Filter { tunnel: Some(tunnel), ..Filter::default() }
}

fn copies(records: &[(Record, Vec<u8>)], side: Side, outbound: bool) -> Vec<Vec<u8>> {
    let is = |record: &Record| record.side == Some(side) && record.outbound == outbound;
    records.iter().filter(|(record, _)| is(record)).map(|(_, copy)| copy.clone()).collect()
}

fn nodes(record: &Record) -> Vec<Node> {
    record.path.steps.iter().map(|step| step.node).collect()
}

/// Both sides of every suite, out of one gateway and into the other: octet by octet what crossed the wire, and what the
/// hosts sent; with SPI and number of each.
#[test]
fn copies_are_what_was_sent_on_either_side() {
    for style in Style::every() {
        let mut pair = Pair::new(1, &style);
        let [mut at_a, mut at_b] = [&mut pair.a, &mut pair.b].map(|end| tapped(end, &of_tunnel(), ALL));
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        let sent: Vec<_> = (0..20).map(|n| numbered(left, right, n, 40 + 31 * n as usize)).collect();
        sent.iter().for_each(|packet| pair.a.host_sends(0, packet));
        let wire = pair.a.sent(PUBLIC);
        wire.iter().for_each(|packet| pair.b.peer_sends(0, packet));
        let inner: Vec<_> = sent.iter().map(|packet| one_hop_later(packet)).collect();
        let (at_a, at_b) = (read(&mut at_a), read(&mut at_b));
        assert!(copies(&at_a, Side::Clear, true) == inner, "{style:?}");
        assert!(copies(&at_a, Side::Encrypted, true) == wire, "{style:?}");
        assert!(copies(&at_b, Side::Encrypted, false) == wire, "{style:?}");
        assert!(copies(&at_b, Side::Clear, false) == inner, "{style:?}");
        for records in [at_a, at_b] {
            let numbered = records.iter().filter(|(record, _)| record.side == Some(Side::Clear));
            for (number, (record, _)) in (1..).zip(numbered) {
                let of = record.path.of.unwrap();
                assert_eq!((of.spi, of.sequence, of.child), (pair.b.spi(10), number, 5));
                assert_eq!(record.verdict, Verdict::Forward);
            }
        }
        assert_eq!(pair.b.sent(PRIVATE).len(), 20);
        pair.is_at_rest();
    }
}

/// The path of a packet names every station, with the packet's size there; so it does over two workers, for the part of
/// the worker that owns the SA.
#[test]
fn paths_name_the_stations() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let [mut at_a, mut at_b] =
            [&mut pair.a, &mut pair.b].map(|end| tapped(end, &of_tunnel(), Wish::Paths));
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        let packet = numbered(left, right, 1, 100);
        pair.a.host_sends(0, &packet);
        pair.carry(|_| 0);
        let (at_a, at_b) = (read(&mut at_a), read(&mut at_b));
        assert_eq!((at_a.len(), at_b.len()), (1, 1));
        let (out, into) = (&at_a[0].0, &at_b[0].0);
        let begins = if workers == 1 { Node::Received } else { Node::TakenOver };
        let expected = match workers {
            1 => vec![Node::Received, Node::Policy, Node::Encrypt, Node::Sent],
            _ => vec![Node::TakenOver, Node::Encrypt, Node::Sent],
        };
        assert_eq!(nodes(out), expected);
        assert_eq!(nodes(into), [begins, Node::Decrypt, Node::Policy, Node::Sent]);
        assert_eq!(into.path.steps[2].octets as usize, packet.len());
        assert_eq!(into.path.steps[3].octets as usize, packet.len() + 14);
        assert_eq!(into.path.flow.unwrap().source, left);
        assert_eq!((out.verdict, into.verdict), (Verdict::Forward, Verdict::Forward));
        pair.is_at_rest();
    }
}

/// What ends is shown with the reason: replayed, forged, and out of a tunnel that has no SA.
#[test]
fn drops_are_shown_with_their_reason() {
    let mut pair = Pair::new(1, &Style::PLAIN);
    let mut taps = tapped(&mut pair.b, &of_tunnel(), ALL);
    let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
    (0..2).for_each(|n| pair.a.host_sends(0, &numbered(left, right, n, 100)));
    let wire = pair.a.sent(PUBLIC);
    let mut forged = wire[1].clone();
    *forged.last_mut().unwrap() ^= 1;
    for packet in [&wire[0], &wire[0], &forged] {
        pair.b.peer_sends(0, packet);
    }
    let told: Vec<_> = read(&mut taps)
        .into_iter()
        .filter(|(record, _)| record.side == Some(Side::Encrypted))
        .map(|(record, copy)| (record.verdict, copy))
        .collect();
    let dropped = [Verdict::Drop(Drop::ReplayDuplicate), Verdict::Drop(Drop::BadIcv)];
    let expected = [(Verdict::Forward, wire[0].clone()), (dropped[0], wire[0].clone()), (dropped[1], forged)];
    assert_eq!(told, expected);
    let back = numbered(right, left, 7, 60);
    pair.b.command(Command::ClearOutbound { slot: SLOT });
    pair.b.host_sends(0, &back);
    let told = read(&mut taps);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].0.verdict, told[0].0.side), (Verdict::Drop(Drop::NoSa), Some(Side::Clear)));
    pair.is_at_rest();
}

/// Who may see the encrypted side alone is shown nothing in clear, whatever becomes of a packet.
#[test]
fn the_encrypted_side_shows_nothing_in_clear() {
    let only = Wish::Copies { clear: false, encrypted: true, wire: false, snap: 65_535 };
    let mut pair = Pair::new(1, &Style::PLAIN);
    let mut taps = tapped(&mut pair.b, &Filter::default(), only);
    let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
    pair.a.host_sends(0, &numbered(left, right, 1, 100));
    pair.b.host_sends(0, &numbered(right, left, 1, 100));
    pair.carry(|_| 0);
    pair.b.command(Command::ClearOutbound { slot: SLOT });
    pair.b.host_sends(0, &numbered(right, left, 2, 100));
    let told = read(&mut taps);
    assert_eq!(told.len(), 2, "one of each direction");
    assert!(told.iter().all(|(_, copy)| copy[9] == 50), "ESP");
    pair.is_at_rest();
}

/// An interface shows its frames, and a host its packets; copies are cut where asked, and say how long they were.
#[test]
fn interfaces_and_hosts_choose_packets() {
    let wire = Wish::Copies { clear: false, encrypted: false, wire: true, snap: 40 };
    let mut pair = Pair::new(1, &Style::PLAIN);
    let public = Filter { interface: Some((PUBLIC, 0)), ..Filter::default() };
    let mut taps = tapped(&mut pair.a, &public, wire);
    let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
    pair.a.host_sends(0, &numbered(left, right, 1, 100));
    let frames = pair.a.sent_frames(PUBLIC);
    let told = read(&mut taps);
    assert_eq!(copies(&told, Side::Wire, true), [frames[0][..40].to_vec()]);
    assert_eq!((told.len(), told[0].0.length as usize), (1, frames[0].len()));

    let stranger = Filter { host: Some([10, 9, 9, 9].into()), ..Filter::default() };
    let mut taps = tapped(&mut pair.a, &stranger, ALL);
    pair.a.host_sends(0, &numbered(left, right, 2, 100));
    assert!(read(&mut taps).is_empty());
    let host = Filter { host: Some(right), ..Filter::default() };
    let mut taps = tapped(&mut pair.a, &host, ALL);
    pair.a.host_sends(0, &numbered(left, right, 3, 100));
    let sides: Vec<_> = read(&mut taps).iter().map(|(record, _)| record.side.unwrap()).collect();
    assert_eq!(sides, [Side::Clear, Side::Encrypted, Side::Wire]);
    pair.a.sent(PUBLIC);
    pair.is_at_rest();
}

/// A tap comes back to be freed when another takes its place or none does; then nothing more is shown.
#[test]
fn a_tap_comes_back() {
    let mut pair = Pair::new(1, &Style::PLAIN);
    let mut first = tapped(&mut pair.a, &Filter::default(), ALL);
    let _second = tapped(&mut pair.a, &Filter::default(), ALL);
    pair.a.command(Command::Tap(None));
    let back = pair.a.reports().iter().filter(|report| matches!(report, Report::Untapped(_))).count();
    assert_eq!(back, 2);
    pair.tunnel(&Style::PLAIN, 11, Turn::Now);
    let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
    pair.a.host_sends(0, &numbered(left, right, 1, 100));
    assert!(read(&mut first).is_empty());
    pair.a.sent(PUBLIC);
    pair.is_at_rest();
}
