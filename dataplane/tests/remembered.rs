//! A packet of a flow that the graph remembers fares as one of a flow it has never seen, whatever control
//! changes in between: two gateways get the same packets and the same changes, one of them forgets before
//! every packet, and what leaves them is the same, octet for octet.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common;
use std::net::IpAddr;

use crate::common::forge::Forge;
use crate::common::packet::{Ip, numbered, one_hop_later};
use crate::common::{Gateway, INSIDE, OUTSIDE, PRIVATE, PUBLIC, Pair, SLOT, Site, Style, TUNNEL, ip, key};
use proptest::prelude::*;
use ravelin_dataplane::io::Frame;
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::link::snapshot::{Interface, Local, Snapshot};
use ravelin_dataplane::net::eth::Mac;
use ravelin_dataplane::policy::route::{self, NextHop, Prefix};
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::policy::spd::{Action, Entry, Otherwise, Spd};
use ravelin_dataplane::policy::table::{Child, Tunnel};

const fn interface(port: u16) -> route::Interface {
    route::Interface { port, vlan: 0 }
}

/// What control may change.
#[derive(Debug, Clone)]
enum Change {
    Route { v6: bool, wide: bool, hop: u8 },
    PublicRoute { v6: bool, hop: u8 },
    Neighbour { v6: bool, public: bool, mac: Option<u8> },
    Policy { action: u8, otherwise: bool },
    Tunnel { narrow: bool, there: bool },
    Snapshot { mtu: u16, more: bool },
    Outbound { there: bool, outer_mtu: Option<u16> },
}

/// What may arrive.
#[derive(Debug, Clone)]
enum Arriving {
    /// From the private side.
    Host { v6: bool, to: u8, port: u16, octets: usize, ttl: u8, dont_fragment: bool },
    /// From the public side, in clear.
    Clear { v6: bool, port: u16 },
    /// From the public side, under the SA.
    Tunnel { v6: bool, to: u8, octets: usize, ttl: u8 },
}

fn change() -> impl Strategy<Value = Change> {
    let mtu = prop_oneof![Just(1500u16), Just(1280), Just(9000)];
    prop_oneof![
        (any::<bool>(), any::<bool>(), 0u8..6).prop_map(|(v6, wide, hop)| Change::Route { v6, wide, hop }),
        (any::<bool>(), 0u8..4).prop_map(|(v6, hop)| Change::PublicRoute { v6, hop }),
        (any::<bool>(), any::<bool>(), proptest::option::of(0u8..3))
            .prop_map(|(v6, public, mac)| Change::Neighbour { v6, public, mac }),
        (0u8..5, any::<bool>()).prop_map(|(action, otherwise)| Change::Policy { action, otherwise }),
        (any::<bool>(), any::<bool>()).prop_map(|(narrow, there)| Change::Tunnel { narrow, there }),
        (mtu, any::<bool>()).prop_map(|(mtu, more)| Change::Snapshot { mtu, more }),
        (any::<bool>(), proptest::option::of(600u16..1500))
            .prop_map(|(there, outer_mtu)| Change::Outbound { there, outer_mtu }),
    ]
}

fn arriving() -> impl Strategy<Value = Arriving> {
    let ttl = || prop_oneof![9 => Just(64u8), 1 => Just(1)];
    let octets = || prop_oneof![Just(8usize), Just(100), Just(1440)];
    prop_oneof![
        3 => (any::<bool>(), 0u8..4, 0u16..2, octets(), ttl(), any::<bool>()).prop_map(
            |(v6, to, port, octets, ttl, dont_fragment)| Arriving::Host { v6, to, port, octets, ttl, dont_fragment }
        ),
        1 => (any::<bool>(), 0u16..2).prop_map(|(v6, port)| Arriving::Clear { v6, port }),
        3 => (any::<bool>(), 0u8..3, octets(), ttl())
            .prop_map(|(v6, to, octets, ttl)| Arriving::Tunnel { v6, to, octets, ttl }),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Change(Change),
    Arrive(Arriving),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![1 => change().prop_map(Step::Change), 4 => arriving().prop_map(Step::Arrive)]
}

fn there(v6: bool, to: u8) -> IpAddr {
    match (to, v6) {
        (0, _) => Site(2).host(v6),
        (1, _) => Site(2).inside(v6, 77),
        (2, false) => ip("198.51.100.1"),
        (2, true) => ip("2001:db8:51::1"),
        (_, false) => ip("169.254.9.9"),
        (_, true) => ip("fe80::9"),
    }
}

fn apply(a: &mut Gateway, style: &Style, change: &Change) {
    match change {
        Change::Route { v6, wide, hop } => {
            let prefix = match (wide, v6) {
                (false, _) => Prefix::host(Site(2).host(*v6)),
                (true, false) => Prefix::new(ip("0.0.0.0"), 0).unwrap(),
                (true, true) => Prefix::new(ip("::"), 0).unwrap(),
            };
            let hop = match hop {
                0 => None,
                1 => Some(NextHop::Tunnel(TUNNEL)),
                2 => Some(NextHop::Blackhole),
                3 => Some(NextHop::Connected(interface(PRIVATE))),
                4 => Some(NextHop::Via(interface(PRIVATE), Site(1).host(*v6))),
                _ => Some(NextHop::Local),
            };
            a.tables.tables_mut().set_route(INSIDE, prefix, hop).unwrap();
        }
        Change::PublicRoute { v6, hop } => {
            let hop = match hop {
                0 => None,
                1 => Some(NextHop::Via(interface(PUBLIC), Site(2).public(*v6))),
                2 => Some(NextHop::Connected(interface(PUBLIC))),
                _ => Some(NextHop::Tunnel(TUNNEL)),
            };
            a.tables.tables_mut().set_route(OUTSIDE, Prefix::host(Site(2).public(*v6)), hop).unwrap();
        }
        Change::Neighbour { v6, public, mac } => {
            let (instance, port, address) = match public {
                true => (OUTSIDE, PUBLIC, Site(2).public(*v6)),
                false => (INSIDE, PRIVATE, Site(1).host(*v6)),
            };
            let mac = mac.map(|mac| Mac([2, 7, 7, 7, 7, mac]));
            a.tables.tables_mut().set_neighbour(instance, interface(port), address, mac);
        }
        Change::Policy { action, otherwise } => {
            let all = SelectorSet::any();
            let action = match action {
                0 => Some(Action::Bypass),
                1 => Some(Action::Discard),
                2 => Some(Action::Protect(TUNNEL)),
                _ => None,
            };
            let entries = action.map(|action| Entry { selectors: all, action }).into_iter().collect();
            let otherwise = if *otherwise { Otherwise::Bypass } else { Otherwise::Discard };
            a.tables.tables_mut().set_spd(INSIDE, Spd::new(entries, otherwise).unwrap()).unwrap();
        }
        Change::Tunnel { narrow, there } => {
            let selectors = match narrow {
                true => {
                    let host = |site: Site| {
                        let host = AddressRange::prefix(site.host(false), 32);
                        [Selector::addresses_only(host)]
                    };
                    SelectorSet::new(&host(Site(1)), &host(Site(2))).unwrap()
                }
                false => SelectorSet::any(),
            };
            let child = Child::new(selectors, a.sa());
            let tunnel = there.then(|| Tunnel::new(vec![child]).unwrap());
            a.tables.tables_mut().set_tunnel(TUNNEL, tunnel).unwrap();
        }
        Change::Snapshot { mtu, more } => {
            let interface = |port: u16, instance| {
                let mac = Site(1).mac(port);
                Interface { port, vlan: 0, instance, mac, mtu: *mtu }
            };
            let mut locals = Vec::new();
            for v6 in [false, true] {
                for (instance, address, port) in
                    [(INSIDE, Site(1).private(v6), PRIVATE), (OUTSIDE, Site(1).public(v6), PUBLIC)]
                {
                    locals.push(Local { instance, address, interface: Some((port, 0)) });
                }
                if *more {
                    locals.push(Local { instance: INSIDE, address: there(v6, 1), interface: None });
                }
            }
            let interfaces = vec![interface(PRIVATE, INSIDE), interface(PUBLIC, OUTSIDE)];
            a.install_snapshot(Snapshot::new(interfaces, locals));
        }
        Change::Outbound { there: false, .. } => {
            a.command(Command::ClearOutbound { slot: SLOT });
        }
        Change::Outbound { there: true, outer_mtu } => {
            let spi = Gateway::new(2, 1).spi(10);
            let style = Style { outer_mtu: *outer_mtu, ..*style };
            a.install_outbound(&style, spi, &key(style.suite, 10 ^ 0x80), Turn::Now);
        }
    }
    a.tables.publish();
    a.settle();
}

fn packet(arriving: &Arriving, forge: &Forge, sequence: u64) -> (u16, Vec<u8>) {
    let site = Site(1);
    match *arriving {
        Arriving::Host { v6, to, port, octets, ttl, dont_fragment } => {
            let ip = Ip { ttl, dont_fragment, ..Ip::new(site.host(v6), there(v6, to)) };
            (PRIVATE, ip.udp(1000, 2000 + port, &vec![port as u8; octets]))
        }
        Arriving::Clear { v6, port } => {
            (PUBLIC, Ip::new(there(v6, 2), site.host(v6)).udp(9, port, b"in clear"))
        }
        Arriving::Tunnel { v6, to, octets, ttl } => {
            let to = match to {
                0 => site.host(v6),
                1 => site.private(v6),
                _ => site.inside(v6, 200),
            };
            let ip = Ip { ttl, ..Ip::new(Site(2).host(v6), to) };
            (PUBLIC, forge.packet(sequence, &ip.udp(5, 6, &vec![3; octets])))
        }
    }
}

/// Everything that comes of a packet: frames on both ports and what the kernel gets, and drops.
type Outcome = ([Vec<Vec<u8>>; 3], Vec<(&'static str, u64)>);

fn outcome(a: &mut Gateway) -> Outcome {
    let punts = std::iter::from_fn(|| a.exception.next_punt()).map(|punt| punt.frame.data().to_vec());
    let punts = punts.collect();
    ([a.sent_frames(PRIVATE), a.sent_frames(PUBLIC), punts], a.drops())
}

fn send(a: &mut Gateway, port: u16, packet: &[u8]) {
    match port {
        PRIVATE => a.host_sends(0, packet),
        _ => a.peer_sends(0, packet),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_remembered_changes_nothing(
        steps in proptest::collection::vec(step(), 1..80),
        style in 0usize..8,
        workers in 1u8..3,
    ) {
        let style = Style::all()[style];
        let (mut a, mut b) = (Pair::new(workers, &style).a, Pair::new(workers, &style).a);
        let forge = Forge::toward_a(&a, &style, 10);
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Change(change) => {
                    apply(&mut a, &style, change);
                    apply(&mut b, &style, change);
                }
                Step::Arrive(arriving) => {
                    let (port, packet) = packet(arriving, &forge, at as u64 + 1);
                    // Tables that are the same again are new tables all the same.
                    b.tables.publish();
                    b.settle();
                    a.settle();
                    send(&mut a, port, &packet);
                    send(&mut b, port, &packet);
                }
            }
            prop_assert_eq!(outcome(&mut a), outcome(&mut b), "step {} of {:?}", at, steps);
        }
        a.is_at_rest();
        b.is_at_rest();
    }
}

/// What arrives from one side only: a burst of both is worked side after side.
fn one_sided() -> impl Strategy<Value = Vec<Arriving>> {
    let some = || proptest::collection::vec(arriving(), 1..64);
    let keep = |all: Vec<Arriving>, from_host: bool| {
        all.into_iter().filter(|one| matches!(one, Arriving::Host { .. }) == from_host).collect()
    };
    (some(), any::<bool>()).prop_map(move |(all, from_host)| keep(all, from_host))
}

/// Lets all of them arrive before anything is worked.
fn send_together(a: &mut Gateway, packets: &[(u16, Vec<u8>)]) {
    for (port, packet) in packets {
        let (to, from, device) = match *port {
            PRIVATE => (a.site.mac(PRIVATE), a.site.host_mac(), &a.private),
            _ => (a.site.mac(PUBLIC), a.site.other().mac(PUBLIC), &a.public),
        };
        let frame =
            ravelin_dataplane::io::Pool::copy_of(&mut a.pool, &common::packet::framed(to, from, packet));
        device.deliver(0, frame.unwrap()).unwrap();
    }
    a.settle();
}

/// Takes out of a frame what the order of work decides: identification and checksum of IPv4, identification of IPv6's
/// pieces.
fn unnumbered(mut frame: Vec<u8>) -> Vec<u8> {
    const FRAGMENT: u8 = 44;
    match (frame[14] >> 4, frame[20]) {
        (4, _) => [18..20, 24..26].into_iter().for_each(|place| frame[place].fill(0)),
        (6, FRAGMENT) => frame[58..62].fill(0),
        _ => {}
    }
    frame
}

/// What is encrypted leaves behind what is not, and errors at the end.
fn sorted((frames, drops): Outcome) -> Outcome {
    let [private, public, punts] = frames;
    let unnumbered = |frames: Vec<Vec<u8>>| frames.into_iter().map(unnumbered).collect::<Vec<_>>();
    let mut frames = [unnumbered(private), unnumbered(public), punts];
    frames.iter_mut().for_each(|frames| frames.sort());
    (frames, drops)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Packets that go in a row share what they ask; each of them fares as it would alone: number, hop, headers, cuts, errors and drops are the same, whatever stands next to it (of errors into the tunnel: how many).
    #[test]
    fn a_burst_fares_as_its_packets_one_by_one(arriving in one_sided(), style in 0usize..8, known: bool) {
        let style = Style::all()[style];
        let (mut a, mut b) = (Pair::new(1, &style).a, Pair::new(1, &style).a);
        let forge = Forge::toward_a(&a, &style, 10);
        let all: Vec<_> =
            arriving.iter().enumerate().map(|(at, one)| packet(one, &forge, at as u64 + 101)).collect();
        if known {
            for (at, v6, port) in [(1, false, 0), (2, true, 0), (3, false, 1), (4, true, 1)] {
                let there = packet(&Arriving::Tunnel { v6, to: 0, octets: 8, ttl: 64 }, &forge, at);
                let here = Arriving::Host { v6, to: 0, port, octets: 8, ttl: 64, dont_fragment: false };
                for (port, packet) in [there, packet(&here, &forge, 0)] {
                    send(&mut a, port, &packet);
                    send(&mut b, port, &packet);
                }
            }
        }
        send_together(&mut a, &all);
        all.iter().for_each(|(port, packet)| send(&mut b, *port, packet));
        let (mut ours, mut theirs) = (sorted(outcome(&mut a)), sorted(outcome(&mut b)));
        if all.iter().any(|(port, _)| *port == PUBLIC) {
            // Errors about what came by the tunnel go back by it, all made before the first is numbered.
            for (frames, _) in [&mut ours, &mut theirs] {
                frames[usize::from(PUBLIC)].iter_mut().for_each(Vec::clear);
            }
        }
        prop_assert_eq!(ours, theirs);
        a.is_at_rest();
        b.is_at_rest();
    }
}

/// The plainest case by itself: the next hop of a flow in use goes, comes back elsewhere, and the peer's too.
#[test]
fn a_flow_in_use_follows_its_neighbours() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        let sent_to = |a: &mut Gateway, port: u16| {
            a.sent_frames(port).iter().map(|frame| frame[..6].to_vec()).collect::<Vec<_>>()
        };
        let forge = Forge::toward_a(&pair.a, &Style::PLAIN, 10);
        let a = &mut pair.a;
        for (at, mac) in [Some(9), None, Some(11), Some(12)].into_iter().enumerate() {
            let mac = mac.map(|last| Mac([2, 0, 0, 0, 0, last]));
            for (instance, port, address) in
                [(OUTSIDE, PUBLIC, Site(2).public(false)), (INSIDE, PRIVATE, left)]
            {
                a.tables.tables_mut().set_neighbour(instance, interface(port), address, mac);
            }
            a.tables.publish();
            for again in 0..3 {
                a.host_sends(0, &numbered(left, right, 1, 60));
                a.peer_sends(0, &forge.packet((at * 3 + again + 1) as u64, &numbered(right, left, 1, 60)));
                let expected: Vec<_> = mac.map(|mac| mac.0.to_vec()).into_iter().collect();
                assert_eq!(sent_to(a, PUBLIC), expected);
                assert_eq!(sent_to(a, PRIVATE), expected);
            }
        }
        assert_eq!(a.drops(), [("neighbour-miss", 6)]);
        a.is_at_rest();
    }
}

/// Packets of flows new and known leave in the order they came, however many bursts are in one round.
#[test]
fn what_is_new_does_not_fall_behind_what_is_known() {
    let mut pair = Pair::new(1, &Style::PLAIN);
    let forge = Forge::toward_a(&pair.a, &Style::PLAIN, 10);
    let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
    let inner: Vec<_> = (0..150u16)
        .map(|n| Ip::new(right, left).udp(1, if n < 40 { 0 } else { n % 7 }, &n.to_be_bytes()))
        .collect();
    let (to, from) = (pair.a.site.mac(PUBLIC), pair.b.site.mac(PUBLIC));
    let a = &mut pair.a;
    for round in [&inner[..40], &inner[40..]] {
        for (at, packet) in inner.iter().enumerate().filter(|(_, packet)| round.contains(packet)) {
            let outer = forge.packet(at as u64 + 1, packet);
            let frame =
                ravelin_dataplane::io::Pool::copy_of(&mut a.pool, &common::packet::framed(to, from, &outer));
            a.public.deliver(0, frame.unwrap()).unwrap();
        }
        a.settle();
        let expected: Vec<_> = round.iter().map(|packet| one_hop_later(packet)).collect();
        assert!(a.sent(PRIVATE) == expected, "in order");
    }
    pair.is_at_rest();
}

/// Remembered or not, a hop is taken of each packet.
#[test]
fn every_packet_of_a_flow_takes_a_hop() {
    let mut pair = Pair::new(1, &Style::PLAIN);
    let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
    for _ in 0..3 {
        let packet = numbered(left, right, 1, 60);
        pair.a.host_sends(0, &packet);
        assert_eq!(pair.carry(|_| 0), 1);
        assert!(pair.b.sent(PRIVATE) == [one_hop_later(&one_hop_later(&packet))]);
    }
    pair.is_at_rest();
}
