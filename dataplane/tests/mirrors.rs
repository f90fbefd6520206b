//! Mirrors (DP-38): copies of both sides of a tunnel, sent by a port and into an ip-tunnel, are what was sent on that side,
//! and nothing else; what they mirror passes as without them; what finds no room is counted, and every frame accounted for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use std::sync::Arc;

use crate::common::packet::{numbered, one_hop_later};
use crate::common::{Gateway, INSIDE, OUTSIDE, PRIVATE, PUBLIC, Pair, SLOT, Style, ip};
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::link::report::Report;
use ravelin_dataplane::net::eth::Mac;
use ravelin_dataplane::policy::ip_tunnel::{self, IpTunnel, IpTunnels, Kind, Parts};
use ravelin_dataplane::policy::route::IpTunnelId;
use ravelin_dataplane::sa::Endpoint;
use ravelin_dataplane::sa::outbound::{Encapsulation, OuterDf};
use ravelin_dataplane::trace::filter::Children;
use ravelin_dataplane::trace::mirror::{Aim, Counts, Direction, Mirror, Order};
use ravelin_dataplane::trace::{Filter, Side};

const ANALYSER: Mac = Mac([2, 0, 0, 0, 7, 7]);
const AT_STATION: Aim = Aim::Station { port: PRIVATE, vlan: 0, station: ANALYSER };

fn order(side: Side, direction: Direction, aim: Aim) -> Order {
    let tunnel = Children { names: [5].into(), slots: [SLOT].into() };
    Order { filter: Filter { tunnel: Some(tunnel), ..Filter::default() }, side, direction, aim }
}

/// Has all workers of a gateway mirror by this order; what they count.
fn mirrored(gateway: &mut Gateway, order: &Order) -> Vec<Arc<Counts>> {
    let workers: Vec<_> = gateway.control.workers().collect();
    let counts = workers.into_iter().map(|worker| {
        let counts = Arc::new(Counts::default());
        let mirror = Mirror::new(order, Arc::clone(&counts));
        gateway.control.send(worker, Command::Mirror(Box::new([mirror]))).unwrap();
        counts
    });
    let counts = counts.collect();
    gateway.settle();
    counts
}

fn packets(counts: &[Arc<Counts>]) -> u64 {
    counts.iter().map(|counts| counts.packets.get()).sum()
}

/// What the private port sent: to the analyser, and to anybody else, without link headers.
fn split(gateway: &mut Gateway) -> [Vec<Vec<u8>>; 2] {
    let frames = gateway.sent_frames(PRIVATE);
    let (copies, others) = frames.into_iter().partition::<Vec<_>, _>(|frame| frame[..6] == ANALYSER.0);
    [copies, others].map(|frames| frames.into_iter().map(|frame| frame[14..].to_vec()).collect())
}

/// Each side and direction, whichever the suite and however many workers: copies are the octets that passed there, and
/// what passes is what would have without.
#[test]
fn copies_are_what_passed() {
    for (workers, style) in Style::every().into_iter().enumerate().map(|(n, style)| (1 + n as u8 % 2, style))
    {
        for (side, direction) in [
            (Side::Clear, Direction::Out),
            (Side::Clear, Direction::In),
            (Side::Encrypted, Direction::Out),
            (Side::Encrypted, Direction::In),
        ] {
            let mut pair = Pair::new(workers, &style);
            let counts = mirrored(&mut pair.a, &order(side, direction, AT_STATION));
            let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
            let there: Vec<_> = (0..20).map(|n| numbered(left, right, n, 40 + 31 * n as usize)).collect();
            let back: Vec<_> = (0..20).map(|n| numbered(right, left, n, 41 + 37 * n as usize)).collect();
            there.iter().for_each(|packet| pair.a.host_sends(0, packet));
            back.iter().for_each(|packet| pair.b.host_sends(0, packet));
            let (out, into) = (pair.a.sent(PUBLIC), pair.b.sent(PUBLIC));
            out.iter().for_each(|packet| pair.b.peer_sends(0, packet));
            into.iter().for_each(|packet| pair.a.peer_sends(0, packet));
            let [copies, arrived] = split(&mut pair.a);
            let later =
                |packets: &[Vec<u8>]| packets.iter().map(|packet| one_hop_later(packet)).collect::<Vec<_>>();
            let expected = match (side, direction) {
                (Side::Clear, Direction::Out) => later(&there),
                // It has taken its hop at the other gateway, and not yet here.
                (Side::Clear, _) => later(&back),
                (_, Direction::Out) => out,
                _ => into,
            };
            assert!(copies == expected, "{style:?} {side:?} {direction:?}");
            assert!(arrived == later(&later(&back)), "{style:?}");
            assert!(pair.b.sent(PRIVATE) == later(&later(&there)), "{style:?}");
            assert_eq!((packets(&counts), pair.a.count(|c| c.mirrored.get())), (20, 20));
            assert_eq!(pair.a.count(|c| c.mirror_lost.get()), 0);
            assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]));
            pair.is_at_rest();
        }
    }
}

/// What is dropped is not mirrored, nor what is of another tunnel; and an end to it is one.
#[test]
fn what_does_not_pass_is_not_mirrored() {
    let mut pair = Pair::new(1, &Style::PLAIN);
    let counts = mirrored(&mut pair.b, &order(Side::Encrypted, Direction::Both, AT_STATION));
    let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
    (0..2).for_each(|n| pair.a.host_sends(0, &numbered(left, right, n, 100)));
    let wire = pair.a.sent(PUBLIC);
    let mut forged = wire[1].clone();
    *forged.last_mut().unwrap() ^= 1;
    for packet in [&wire[0], &wire[0], &forged] {
        pair.b.peer_sends(0, packet);
    }
    let [copies, _] = split(&mut pair.b);
    assert_eq!(copies, [wire[0].clone()]);
    pair.b.command(Command::Mirror(Box::default()));
    assert!(
        pair.b.reports().iter().any(|report| matches!(report, Report::Unmirrored(gone) if gone.len() == 1))
    );
    pair.b.peer_sends(0, &wire[1]);
    assert_eq!((split(&mut pair.b)[0].len(), packets(&counts)), (0, 1));
    pair.is_at_rest();
}

fn analysed_by_gre(gateway: &mut Gateway, df: OuterDf) {
    let (site, workers) = (gateway.site, gateway.workers.len());
    let end = |address| Endpoint { address, port: 0 };
    let (local, peer) = (end(site.public(false)), end(site.other().public(false)));
    let parts = Parts {
        private: INSIDE,
        kind: Kind::Gre { send: Some(9), receive: None },
        encapsulation: Encapsulation {
            outer_mtu: Some(1500),
            df,
            ..Encapsulation::between(OUTSIDE, local, peer)
        },
        backup: None,
        copy_traffic_class: false,
        leaving_mss: None,
        up: true,
    };
    let tunnel = Arc::new(IpTunnel::new(parts, ip_tunnel::counters(workers)));
    gateway.tables.tables_mut().set_ip_tunnels(IpTunnels::new(vec![Some(tunnel)]));
    gateway.tables.publish();
    gateway.settle();
}

/// Into an ip-tunnel: GRE with the copy in it as it was; one whose outer packet may be cut takes the largest too.
#[test]
fn copies_enter_ip_tunnels() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        analysed_by_gre(&mut pair.a, OuterDf::Clear);
        let aim = Aim::IpTunnel(IpTunnelId(0));
        mirrored(&mut pair.a, &order(Side::Clear, Direction::Both, aim));
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        for octets in [60, 1400] {
            let packet = numbered(left, right, 1, octets);
            pair.a.host_sends(0, &packet);
            let (gre, esp): (Vec<_>, Vec<_>) =
                pair.a.sent(PUBLIC).into_iter().partition(|packet| packet[9] == 47);
            assert_eq!((gre.len(), esp.len()), (1, 1));
            // RFC 2890 §2: flags with the key's, protocol, key.
            assert_eq!(gre[0][20..28], [0x20, 0, 8, 0, 0, 0, 0, 9]);
            assert_eq!(gre[0][28..], one_hop_later(&packet)[..]);
        }
        // 1480 octets leave as ESP in two pieces and as GRE in two.
        pair.a.host_sends(0, &numbered(left, right, 2, 1480));
        let fragments = pair.a.sent(PUBLIC).into_iter().filter(|packet| packet[9] == 47).count();
        assert_eq!(fragments, 2);
        assert_eq!(pair.a.drops(), vec![]);
        pair.is_at_rest();
    }
}

/// An interface that is not there, or takes none so large, loses copies and nothing else; so does a flood that no port
/// carries twice.
#[test]
fn what_finds_no_room_is_lost_and_counted() {
    let mut pair = Pair::new(1, &Style::PLAIN);
    let nowhere = Aim::Station { port: PRIVATE, vlan: 77, station: ANALYSER };
    let counts = mirrored(&mut pair.a, &order(Side::Clear, Direction::Out, nowhere));
    let (left, right) = (pair.a.site.host(false), ip("10.2.0.9"));
    (0..10).for_each(|n| pair.a.host_sends(0, &numbered(left, right, n, 100)));
    assert_eq!((pair.a.sent(PUBLIC).len(), counts[0].lost.get(), packets(&counts)), (10, 10, 0));
    assert_eq!(pair.a.count(|c| c.mirror_lost.get()), 10);
    // Without a single buffer left the packet itself passes.
    let counts = mirrored(&mut pair.a, &order(Side::Clear, Direction::Out, AT_STATION));
    let mut pool = pair.a.pool.clone();
    let mut held: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
    drop(held.pop());
    pair.a.host_sends(0, &numbered(left, right, 1, 100));
    assert_eq!((pair.a.sent(PUBLIC).len(), counts[0].lost.get()), (1, 1));
    drop(held);
    pair.is_at_rest();
}
