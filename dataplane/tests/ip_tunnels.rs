//! Ip-tunnels between two gateways: GRE with keys and without, IP in IP, over both families and for both; what is refused,
//! each under a reason of its own; sizes, fragments, the backup remote, groups, and their place in policy (DP-20 to DP-22,
//! DP-40).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common;
use std::net::IpAddr;
use std::sync::Arc;

use crate::common::packet::{Ip, numbered, one_hop_later};
use crate::common::{Gateway, INSIDE, OUTSIDE, PRIVATE, PUBLIC, Pair, Style, ip};
use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::packet::Kernel;
use ravelin_dataplane::link::report::Report;
use ravelin_dataplane::net::{checksum, protocol};
use ravelin_dataplane::node::icmp as errors;
use ravelin_dataplane::policy::ip_tunnel::{self, IpTunnel, IpTunnels, Kind, Parts, Shown};
use ravelin_dataplane::policy::route::{self, IpTunnelId, NextHop, Prefix};
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::policy::spd::{Action, Entry, Otherwise, Spd};
use ravelin_dataplane::sa::Endpoint;
use ravelin_dataplane::sa::outbound::{Encapsulation, OuterDf};
use ravelin_dataplane::sa::pace::Rate;
use ravelin_dataplane::sa::shard::WorkerId;

const ID: IpTunnelId = IpTunnelId(3);

fn end(address: IpAddr) -> Endpoint {
    Endpoint { address, port: 0 }
}

fn parts(gateway: &Gateway, kind: Kind, outer_v6: bool) -> Parts {
    let (site, other) = (gateway.site, gateway.site.other());
    let ends = (end(site.public(outer_v6)), end(other.public(outer_v6)));
    Parts {
        private: INSIDE,
        kind,
        encapsulation: Encapsulation {
            hop_limit: 255,
            outer_mtu: Some(1500),
            ..Encapsulation::between(OUTSIDE, ends.0, ends.1)
        },
        backup: None,
        copy_traffic_class: false,
        leaving_mss: None,
        up: true,
    }
}

/// The other site's networks are behind this ip-tunnel from now on.
fn lead(gateway: &mut Gateway, parts: Parts) {
    let workers = gateway.workers.len();
    let other = gateway.site.other();
    let tunnel = Arc::new(IpTunnel::new(parts, ip_tunnel::counters(workers)));
    let tables = gateway.tables.tables_mut();
    tables.set_ip_tunnels(IpTunnels::new(vec![None, None, None, Some(tunnel)]));
    for v6 in [false, true] {
        tables.set_route(INSIDE, other.network(v6), Some(NextHop::IpTunnel(ID))).unwrap();
    }
    gateway.tables.publish();
    gateway.settle();
}

fn count(gateway: &Gateway, counter: impl Fn(&ip_tunnel::Counters) -> u64) -> u64 {
    let tables = gateway.tables.tables();
    tables.ip_tunnels().at(ID).unwrap().all_counters().iter().map(counter).sum()
}

fn gre(send: Option<u32>, receive: Option<u32>) -> Kind {
    Kind::Gre { send, receive }
}

/// Two gateways joined by an ip-tunnel whose keys differ by direction.
fn pair(workers: u8, kind: [Kind; 2], outer_v6: bool) -> Pair {
    let mut pair = Pair::bare(workers);
    let [a, b] = kind;
    let of_a = parts(&pair.a, a, outer_v6);
    let of_b = parts(&pair.b, b, outer_v6);
    lead(&mut pair.a, of_a);
    lead(&mut pair.b, of_b);
    pair
}

const KINDS: [[Kind; 2]; 3] = [
    [Kind::Ip, Kind::Ip],
    [Kind::Gre { send: None, receive: None }, Kind::Gre { send: None, receive: None }],
    [Kind::Gre { send: Some(7), receive: Some(0) }, Kind::Gre { send: Some(0), receive: Some(7) }],
];

#[test]
fn every_kind_carries_both_families_both_ways() {
    for workers in [1, 2] {
        for (kind, outer_v6, inner_v6) in KINDS.into_iter().flat_map(|kind| {
            [false, true].into_iter().flat_map(move |outer| [false, true].map(|inner| (kind, outer, inner)))
        }) {
            let mut pair = pair(workers, kind, outer_v6);
            let (left, right) = (pair.a.site.host(inner_v6), pair.b.site.host(inner_v6));
            let packets = |from, to| (0..40).map(move |n| numbered(from, to, n, 40 + 13 * n as usize));
            for (at, (there, back)) in packets(left, right).zip(packets(right, left)).enumerate() {
                pair.a.host_sends(at % usize::from(workers), &there);
                pair.b.host_sends(0, &back);
            }
            assert_eq!(pair.carry(|at| at % usize::from(workers)), 80, "{kind:?}");
            assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]), "{kind:?} {outer_v6} {inner_v6}");
            let expected =
                |from, to| sorted(packets(from, to).map(|p| one_hop_later(&one_hop_later(&p))).collect());
            assert!(sorted(pair.b.sent(PRIVATE)) == expected(left, right));
            assert!(sorted(pair.a.sent(PRIVATE)) == expected(right, left));
            for gateway in [&pair.a, &pair.b] {
                assert_eq!(count(gateway, |c| c.in_packets.get()), 40);
                assert_eq!(count(gateway, |c| c.out_packets.get()), 40);
                assert_eq!(count(gateway, |c| c.in_octets.get()), count(gateway, |c| c.out_octets.get()));
                assert_eq!(gateway.count(|c| c.decapsulated_packets.get()), 40);
                assert_eq!(gateway.count(|c| c.encapsulated_packets.get()), 40);
            }
            pair.is_at_rest();
        }
    }
}

/// What is remembered of flows that enter a tunnel is not believed once it is down, and packets of both families in one
/// burst do not take each other's headers.
#[test]
fn flows_that_are_remembered_follow_the_tunnel() {
    let mut pair = pair(1, [gre(None, None); 2], false);
    for round in 0..3 {
        let packets = (0..12).map(|n| {
            let v6 = n / 2 % 2 == 1;
            numbered(pair.a.site.host(v6), pair.b.site.host(v6), n, 68)
        });
        pair.a.host_sends_at_once(&packets.collect::<Vec<_>>());
        assert_eq!(pair.carry(|_| 0), 12);
        let families: Vec<_> = pair.b.sent(PRIVATE).iter().map(|packet| packet[0] >> 4).collect();
        assert_eq!(families, [4, 4, 6, 6].repeat(3), "{round}");
    }
    assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]));
    let down = Parts { up: false, ..parts(&pair.a, gre(None, None), false) };
    lead(&mut pair.a, down);
    pair.a.host_sends(0, &numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 60));
    assert_eq!(pair.a.drops(), [("ip-tunnel-down", 1)]);
    pair.is_at_rest();
}

fn sorted(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    packets.sort();
    packets
}

/// RFC 2784 §2, RFC 2890 §2, RFC 2003 §3, RFC 4213 §3.5: octet by octet, checked by no code of ours.
#[test]
fn the_wire_shows_the_headers_asked_for() {
    for (kind, protocols, header) in [
        (Kind::Ip, [4, 41], vec![]),
        (gre(None, None), [47, 47], vec![0, 0]),
        (gre(Some(0x0102_0304), None), [47, 47], vec![0x20, 0]),
    ] {
        for (outer_v6, inner_v6) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut pair = pair(1, [kind; 2], outer_v6);
            let packet = numbered(pair.a.site.host(inner_v6), pair.b.site.host(inner_v6), 1, 100);
            pair.a.host_sends(0, &packet);
            let sent = pair.a.sent(PUBLIC);
            let wire = &sent[0];
            let (length, next, hops) = if outer_v6 { (40, wire[6], wire[7]) } else { (20, wire[9], wire[8]) };
            assert_eq!((next, hops), (protocols[usize::from(inner_v6)], 255));
            let mut expected = header.clone();
            if !expected.is_empty() {
                expected.extend(if inner_v6 { [0x86, 0xdd] } else { [8, 0] });
                expected.extend(if header[0] == 0x20 { &[1, 2, 3, 4][..] } else { &[] });
            }
            assert_eq!(wire[length..length + expected.len()], expected);
            assert!(wire[length + expected.len()..] == one_hop_later(&packet));
            assert!(outer_v6 || checksum::internet(&wire[..20]) == 0);
            pair.is_at_rest();
        }
    }
}

/// What `b` sends in `a`'s tunnel, written by hand: flags, EtherType, optional words, then the inner packet.
fn in_gre(from: &Ip, flags: u16, ethertype: u16, words: &[u32], inner: &[u8]) -> Vec<u8> {
    let mut payload = [flags.to_be_bytes(), ethertype.to_be_bytes()].concat();
    payload.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    payload.extend(inner);
    if flags & 0x8000 != 0 && payload[4..6] == [0, 0] {
        let sum = checksum::internet(&payload);
        payload[4..6].copy_from_slice(&sum.to_be_bytes());
    }
    from.wrap(protocol::GRE, &payload)
}

/// Each mistake is counted by its name and by no other, and nothing of it arrives.
#[test]
fn what_is_wrong_is_dropped_under_a_name_of_its_own() {
    for workers in [1, 2] {
        let mut pair = pair(workers, [gre(None, Some(7)), gre(Some(7), None)], false);
        let (host, peer) = (pair.a.site.host(false), pair.b.site.host(false));
        let outer = Ip::new(pair.b.site.public(false), pair.a.site.public(false));
        let stranger = Ip::new(ip("192.0.2.77"), pair.a.site.public(false));
        let inner = numbered(peer, host, 1, 60);
        let mut broken = inner.clone();
        broken[10] ^= 1;
        let marked = |class| Ip {
            traffic_class: class,
            ..Ip::new(pair.b.site.public(false), pair.a.site.public(false))
        };
        let key = 0x2000;
        let cases = [
            (in_gre(&outer, key, 0x0800, &[7], &inner), None),
            (in_gre(&outer, key | 0x1000, 0x0800, &[7, 99], &inner), None),
            (in_gre(&outer, key | 0x8000, 0x0800, &[0, 7], &inner), None),
            (in_gre(&outer, key | 0x01f8, 0x0800, &[7], &inner), None),
            (in_gre(&outer, key | 0x8000, 0x0800, &[0x0102_0000, 7], &inner), Some("gre-header")),
            (in_gre(&outer, key | 0x4000, 0x0800, &[7], &inner), Some("gre-header")),
            (in_gre(&outer, key | 0x0800, 0x0800, &[7], &inner), Some("gre-header")),
            (in_gre(&outer, key | 1, 0x0800, &[7], &inner), Some("gre-header")),
            (in_gre(&outer, key, 0x6558, &[7], &inner), Some("gre-header")),
            (outer.wrap(protocol::GRE, &[0x20, 0, 8, 0, 0]), Some("gre-header")),
            (in_gre(&outer, key, 0x0800, &[8], &inner), Some("gre-key")),
            (in_gre(&outer, 0, 0x0800, &[], &inner), Some("gre-key")),
            (in_gre(&stranger, key, 0x0800, &[7], &inner), Some("ip-tunnel-miss")),
            (outer.wrap(protocol::IPV4, &inner), Some("ip-tunnel-miss")),
            (in_gre(&outer, key, 0x86dd, &[7], &inner), Some("malformed-inner")),
            (in_gre(&outer, key, 0x0800, &[7], &broken), Some("malformed-inner")),
            (in_gre(&outer, key, 0x0800, &[7], &inner[..30]), Some("malformed-inner")),
            (
                in_gre(&outer, key, 0x0800, &[7], &numbered(ip("10.7.7.7"), host, 1, 60)),
                Some("ip-tunnel-source"),
            ),
            (
                in_gre(&outer, key, 0x0800, &[7], &numbered(ip("10.1.0.8"), host, 1, 60)),
                Some("ip-tunnel-source"),
            ),
            (
                in_gre(&outer, key, 0x0800, &[7], &numbered(pair.a.site.private(false), host, 1, 60)),
                Some("bad-source"),
            ),
            (in_gre(&marked(3), key, 0x0800, &[7], &inner), Some("ecn-invalid")),
        ];
        for (at, (packet, reason)) in cases.iter().enumerate() {
            let before = pair.a.drops();
            pair.a.peer_sends(at % usize::from(workers), packet);
            let arrived = pair.a.sent(PRIVATE);
            let mut expected = before;
            match reason {
                None => assert_eq!(arrived, [one_hop_later(&inner)], "case {at}"),
                Some(reason) => {
                    assert!(arrived.is_empty(), "case {at}");
                    match expected.iter_mut().find(|(name, _)| name == reason) {
                        Some((_, count)) => *count += 1,
                        None => expected.push((reason, 1)),
                    }
                }
            }
            assert_eq!(sorted_names(pair.a.drops()), sorted_names(expected), "case {at}");
        }
        assert_eq!(count(&pair.a, |c| c.in_packets.get()), 4);
        // Strangers are nobody's, and a header that cannot be read says no tunnel.
        assert_eq!(count(&pair.a, |c| c.in_errors.get()), 9);
        pair.is_at_rest();
    }
}

fn sorted_names(mut drops: Vec<(&'static str, u64)>) -> Vec<(&'static str, u64)> {
    drops.sort_unstable();
    drops
}

/// A tunnel that is down swallows both directions, and nothing takes another way.
#[test]
fn a_tunnel_that_is_down_carries_nothing() {
    let mut pair = pair(1, [Kind::Ip; 2], false);
    let down = Parts { up: false, ..parts(&pair.a, Kind::Ip, false) };
    lead(&mut pair.a, down);
    let (host, peer) = (pair.a.site.host(false), pair.b.site.host(false));
    pair.a.host_sends(0, &numbered(host, peer, 1, 60));
    pair.b.host_sends(0, &numbered(peer, host, 1, 60));
    pair.carry(|_| 0);
    assert_eq!(pair.a.drops(), [("ip-tunnel-down", 2)]);
    assert_eq!((count(&pair.a, |c| c.in_errors.get()), count(&pair.a, |c| c.out_errors.get())), (1, 1));
    assert!(pair.a.sent(PRIVATE).is_empty() && pair.a.sent(PUBLIC).is_empty());
    // Nobody's end: the kernel is to say so.
    pair.a.tables.tables_mut().set_ip_tunnels(IpTunnels::default());
    pair.a.tables.publish();
    pair.a.peer_sends(0, &Ip::new(pair.b.site.public(false), pair.a.site.public(false)).wrap(47, &[0; 40]));
    assert!(pair.a.exception.next_punt().is_some());
    pair.is_at_rest();
}

fn large(from: IpAddr, to: IpAddr, octets: usize, dont_fragment: bool) -> Vec<u8> {
    let header = if from.is_ipv4() { 28 } else { 48 };
    Ip { dont_fragment, ..Ip::new(from, to) }.udp(1, 2, &vec![0x5a; octets - header])
}

/// DP-23 to DP-25, DP-28: what does not fit is cut, refused with the size that would, or cut outside.
#[test]
fn sizes_are_those_of_the_tunnel() {
    for (outer_v6, inner_v6, workers) in
        [(false, false, 1), (false, true, 1), (true, false, 2), (true, true, 2)]
    {
        let kind = gre(Some(7), Some(7));
        let limit = 1500 - if outer_v6 { 40 } else { 20 } - 8;
        let mut pair = pair(workers, [kind; 2], outer_v6);
        let (host, peer) = (pair.a.site.host(inner_v6), pair.b.site.host(inner_v6));
        let exact = large(host, peer, limit, true);
        pair.a.host_sends(0, &exact);
        assert_eq!(pair.carry(|_| 0), 1);
        assert_eq!(pair.b.sent(PRIVATE), [one_hop_later(&one_hop_later(&exact))]);
        pair.a.host_sends(0, &large(host, peer, limit + 1, true));
        let back = pair.a.sent(PRIVATE);
        let told = if inner_v6 { &back[0][44..48] } else { &back[0][24..28] };
        assert_eq!(u32::from_be_bytes(told.try_into().unwrap()) as usize, limit);
        assert_eq!(pair.a.drops(), [("mtu-exceeded", 1)]);
        if !inner_v6 {
            pair.a.host_sends(0, &large(host, peer, limit + 1, false));
            assert_eq!(pair.carry(|_| 0), 2, "the outer packet is cut");
            assert_eq!(pair.b.sent(PRIVATE).len(), 1);
        }
        // Cut outside, put together by the worker their datagram hashes to.
        let cut = Encapsulation {
            outer_mtu: Some(1280),
            df: OuterDf::Clear,
            inner_mtu: None,
            ..parts(&pair.a, kind, outer_v6).encapsulation
        };
        let cut = Parts { encapsulation: cut, ..parts(&pair.a, kind, outer_v6) };
        lead(&mut pair.a, cut);
        if !inner_v6 && !outer_v6 {
            let whole = large(host, peer, 1400, false);
            pair.a.host_sends(0, &whole);
            assert_eq!(pair.carry(|at| at % usize::from(workers)), 2);
            assert_eq!(pair.b.sent(PRIVATE), [one_hop_later(&one_hop_later(&whole))]);
            assert_eq!(pair.b.count(|c| c.reassembled.get()), 2);
            let narrow = Encapsulation { inner_mtu: Some(1000), ..cut.encapsulation };
            lead(&mut pair.a, Parts { encapsulation: narrow, ..cut });
            pair.a.host_sends(0, &whole);
            assert_eq!((pair.carry(|_| 0), pair.b.sent(PRIVATE).len()), (2, 2), "cut before it enters");
        }
        // RFC 2473 §7.1: an IPv6 packet of the least MTU passes however narrow it is.
        if inner_v6 {
            let least = large(host, peer, 1280, true);
            pair.a.host_sends(0, &least);
            assert_eq!(pair.carry(|at| at % usize::from(workers)), 2);
            assert_eq!(pair.b.sent(PRIVATE), [one_hop_later(&one_hop_later(&least))]);
        }
        pair.is_at_rest();
    }
}

/// RFC 6040, RFC 2983: marks go along on the way in, and congestion comes back out.
#[test]
fn marks_go_along() {
    let mut pair = pair(1, [Kind::Ip; 2], false);
    let (host, peer) = (pair.a.site.host(false), pair.b.site.host(false));
    pair.a.host_sends(0, &Ip { traffic_class: 0xb9, ..Ip::new(host, peer) }.udp(1, 2, &[0; 32]));
    let mut wire = pair.a.sent(PUBLIC).remove(0);
    assert_eq!(wire[1], 0xb9);
    ravelin_dataplane::net::ipv4::set_traffic_class(&mut wire, 0xbb);
    pair.b.peer_sends(0, &wire);
    assert_eq!(pair.b.sent(PRIVATE)[0][1], 0xbb, "congestion was experienced");
    pair.is_at_rest();
}

/// DP-30: an error about size goes to control if it quotes what an end of ip-tunnels sends, with what that shows; anything
/// else about such packets is the kernel's.
#[test]
fn errors_about_size_are_told_to_control() {
    for (kind, shown) in [(Kind::Ip, Shown::Ip), (gre(Some(7), None), Shown::Gre(Some(7)))] {
        for outer_v6 in [false, true] {
            let mut pair = pair(1, [kind; 2], outer_v6);
            let (local, peer) = (pair.a.site.public(outer_v6), pair.b.site.public(outer_v6));
            pair.a.host_sends(0, &numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 1000));
            let wire = pair.a.sent(PUBLIC).remove(0);
            let router = if outer_v6 { ip("2001:db8::fe") } else { ip("192.0.2.254") };
            let mut error = |report, about: &[u8]| {
                let mut out = [0; errors::LONGEST_V6];
                let length = errors::compose(report, about, router, 1, &mut out).unwrap();
                pair.a.peer_sends(0, &out[..length]);
                let reports = pair.a.reports().into_iter().filter_map(|report| match report {
                    Report::IpTunnelTooBig { instance, local, peer, shown, mtu } => {
                        Some((instance, local, peer, shown, mtu))
                    }
                    _ => None,
                });
                let told: Vec<_> = reports.collect();
                (told, pair.a.exception.next_punt().is_some())
            };
            let too_big = errors::Report::TooBig { mtu: 1300 };
            assert_eq!(error(too_big, &wire), (vec![(OUTSIDE, local, peer, shown, 1300)], false));
            assert_eq!(error(errors::Report::Prohibited, &wire), (vec![], true));
            let other = Ip::new(local, peer).udp(1, 2, &[0; 64]);
            assert_eq!(error(too_big, &other), (vec![], true));
            assert_eq!(pair.a.drops(), []);
            pair.is_at_rest();
        }
    }
}

/// Its own rate of errors is that of each worker.
#[test]
fn it_may_have_a_rate_of_its_own() {
    let mut pair = pair(1, [Kind::Ip; 2], false);
    let of = parts(&pair.a, Kind::Ip, false);
    let errors = Some(Rate::new(10, 60_000_000));
    lead(
        &mut pair.a,
        Parts { encapsulation: Encapsulation { inner_mtu: Some(600), errors, ..of.encapsulation }, ..of },
    );
    let mut packet = numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 1000);
    packet[6] |= 0x40;
    packet[10..12].copy_from_slice(&[0, 0]);
    let sum = checksum::internet(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    (0..50).for_each(|_| pair.a.host_sends(0, &packet));
    assert_eq!((pair.a.sent(PRIVATE).len(), pair.a.drops()), (10, vec![("mtu-exceeded", 50)]));
    pair.is_at_rest();
}

/// DP-22: packets go to the backup while no route leads to the remote, and are taken from either.
#[test]
fn the_backup_is_used_while_no_route_leads_to_the_remote() {
    let mut pair = pair(1, [Kind::Ip; 2], false);
    let far = ip("198.51.100.1");
    let near = pair.b.site.public(false);
    let of = parts(&pair.a, Kind::Ip, false);
    let to_far = Encapsulation { peer: end(far), ..of.encapsulation };
    lead(&mut pair.a, Parts { encapsulation: to_far, backup: Some(near), ..of });
    let (host, peer) = (pair.a.site.host(false), pair.b.site.host(false));
    let packet = numbered(host, peer, 1, 60);
    let sent_to = |pair: &mut Pair| {
        pair.a.host_sends(0, &packet);
        pair.a.sent(PUBLIC)[0][16..20].to_vec()
    };
    assert_eq!(sent_to(&mut pair), [192, 0, 2, 2]);
    let outside = route::Interface { port: PUBLIC, vlan: 0 };
    pair.a
        .tables
        .tables_mut()
        .set_route(OUTSIDE, Prefix::host(far), Some(NextHop::Via(outside, near)))
        .unwrap();
    pair.a.settle();
    assert_eq!(sent_to(&mut pair), [198, 51, 100, 1]);
    for from in [far, near] {
        let wire =
            Ip::new(from, pair.a.site.public(false)).wrap(protocol::IPV4, &numbered(peer, host, 1, 60));
        pair.a.peer_sends(0, &wire);
        assert_eq!(pair.a.sent(PRIVATE).len(), 1, "from {from}");
    }
    pair.is_at_rest();
}

/// DP-40, TG-15: what a routing daemon says to a group goes to the other end's daemon, and nobody else's does.
#[test]
fn groups_are_between_the_kernels() {
    let mut pair = pair(1, [gre(None, None); 2], false);
    let group = ip("224.0.0.5");
    let far = ip("10.2.0.1");
    pair.a.tables.tables_mut().set_route(INSIDE, Prefix::host(group), Some(NextHop::IpTunnel(ID))).unwrap();
    let hello = Ip { ttl: 1, ..Ip::new(pair.a.site.private(false), group) }.wrap(89, &[2, 1, 0, 44]);
    let frame = pair.a.pool.copy_of(&hello).unwrap();
    assert!(pair.a.exception.inject_tun(WorkerId(0), frame, INSIDE).is_ok());
    pair.a.settle();
    assert_eq!(pair.carry(|_| 0), 1);
    let punt = pair.b.exception.next_punt().unwrap();
    assert_eq!((punt.to, punt.frame.data()), (Kernel::Tun { instance: INSIDE }, &hello[..]));
    drop(punt);
    // A host's does not enter: its link is not this one.
    pair.a.host_sends(0, &Ip::new(pair.a.site.host(false), group).wrap(89, &[2, 1, 0, 44]));
    assert!(pair.a.sent(PUBLIC).is_empty());
    // To the far end itself: its kernel's too.
    let ping = Ip::new(pair.a.site.private(false), far).wrap(protocol::ICMP, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]);
    let frame = pair.a.pool.copy_of(&ping).unwrap();
    assert!(pair.a.exception.inject_tun(WorkerId(0), frame, INSIDE).is_ok());
    pair.a.settle();
    pair.carry(|_| 0);
    assert_eq!(pair.b.exception.next_punt().map(|punt| punt.to), Some(Kernel::Tun { instance: INSIDE }));
    pair.is_at_rest();
}

fn entry(remote: &str, length: u8, action: Action) -> Entry {
    let side = |prefix: &str, length| [Selector::addresses_only(AddressRange::prefix(ip(prefix), length))];
    let selectors = SelectorSet::new(&side("0.0.0.0", 0), &side(remote, length)).unwrap();
    Entry { selectors, action }
}

fn policy(gateway: &mut Gateway, before: Vec<Entry>, behind: Vec<Entry>) {
    let spd = Spd::around(before, behind, Otherwise::Discard, 1).unwrap();
    gateway.tables.tables_mut().set_spd(INSIDE, spd).unwrap();
    gateway.tables.publish();
    gateway.settle();
}

/// Ip-tunnels stand where tunnels do: entries before them count, those behind do not, and what an entry protects neither
/// enters nor comes out.
#[test]
fn policy_comes_before_the_tunnel() {
    let mut pair = pair(1, [Kind::Ip; 2], false);
    let (host, peer) = (pair.a.site.host(false), pair.b.site.host(false));
    let (there, back) = (numbered(host, peer, 1, 60), numbered(peer, host, 1, 60));
    let wire = Ip::new(pair.b.site.public(false), pair.a.site.public(false)).wrap(protocol::IPV4, &back);
    let both = |pair: &mut Pair, before: Vec<Entry>, behind: Vec<Entry>| {
        policy(&mut pair.a, before, behind);
        pair.a.host_sends(0, &there);
        pair.a.peer_sends(0, &wire);
        (pair.a.sent(PUBLIC).len(), pair.a.sent(PRIVATE).len())
    };
    assert_eq!(both(&mut pair, vec![], vec![entry("10.2.0.0", 16, Action::Discard)]), (1, 1));
    assert_eq!(pair.a.drops(), []);
    assert_eq!(both(&mut pair, vec![entry("10.2.0.0", 16, Action::Discard)], vec![]), (0, 0));
    assert_eq!(pair.a.drops(), [("policy-discard", 2)]);
    assert_eq!(both(&mut pair, vec![entry("10.2.0.0", 16, Action::Protect(common::TUNNEL))], vec![]), (0, 0));
    assert_eq!(pair.a.drops(), [("unprotected", 1), ("policy-discard", 2), ("no-sa", 1)]);
    // By the front door, what is behind the tunnel does not come.
    policy(&mut pair.a, vec![], vec![entry("0.0.0.0", 0, Action::Bypass)]);
    pair.a.host_sends(0, &back);
    assert!(pair.a.sent(PRIVATE).is_empty());
    pair.is_at_rest();
}

/// An outer packet that policy protects goes under an SA, and what came under one is taken apart: GRE in ESP. In clear it
/// is not taken then.
#[test]
fn a_tunnel_within_a_tunnel() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        for gateway in [&mut pair.a, &mut pair.b] {
            let (site, other) = (gateway.site, gateway.site.other());
            let ends = (end(site.private(false)), end(other.private(false)));
            let encapsulation = Encapsulation::between(INSIDE, ends.0, ends.1);
            let parts = Parts { encapsulation, ..parts(gateway, gre(None, None), false) };
            let tunnel = Arc::new(IpTunnel::new(parts, ip_tunnel::counters(usize::from(workers))));
            let tables = gateway.tables.tables_mut();
            tables.set_ip_tunnels(IpTunnels::new(vec![None, None, None, Some(tunnel)]));
            let inside = route::Interface { port: PRIVATE, vlan: 0 };
            let mine = Prefix::new([10, 50 + site.0, 0, 0].into(), 16).unwrap();
            let theirs = Prefix::new([10, 50 + other.0, 0, 0].into(), 16).unwrap();
            tables.set_route(INSIDE, mine, Some(NextHop::Connected(inside))).unwrap();
            tables.set_route(INSIDE, theirs, Some(NextHop::IpTunnel(ID))).unwrap();
            tables.set_neighbour(INSIDE, inside, [10, 50 + site.0, 0, 9].into(), Some(site.host_mac()));
            gateway.tables.publish();
            gateway.settle();
        }
        let packet = numbered(ip("10.51.0.9"), ip("10.52.0.9"), 1, 60);
        pair.a.host_sends(0, &packet);
        let sent = pair.a.sent(PUBLIC);
        assert_eq!(sent[0][9], protocol::ESP);
        pair.b.peer_sends(0, &sent[0]);
        assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]));
        assert_eq!(pair.b.sent(PRIVATE), [one_hop_later(&one_hop_later(&packet))]);
        let outer = Ip::new(pair.a.site.private(false), pair.b.site.private(false));
        pair.b.host_sends(0, &in_gre(&outer, 0, 0x0800, &[], &packet));
        assert_eq!(pair.b.drops(), [("unprotected", 1)]);
        pair.is_at_rest();
    }
}

/// An ip-tunnel whose other end is behind an ip-tunnel: a poll takes both off. Into both at once nothing goes: what would
/// enter one on its way out of another could be on its way for ever.
#[test]
fn packets_in_packets_end() {
    let mut pair = pair(1, [Kind::Ip; 2], false);
    let (ours, peer, deep) = (pair.a.site.public(false), pair.b.site.public(false), ip("10.77.0.1"));
    let to = |remote| Parts {
        encapsulation: Encapsulation::between(OUTSIDE, end(ours), end(remote)),
        ..parts(&pair.a, Kind::Ip, false)
    };
    let (near, far) = (Parts { private: OUTSIDE, ..to(peer) }, to(deep));
    let made = [near, far].map(|parts| Some(Arc::new(IpTunnel::new(parts, ip_tunnel::counters(1)))));
    let tables = pair.a.tables.tables_mut();
    tables.set_ip_tunnels(IpTunnels::new([vec![None, None], made.to_vec()].concat()));
    tables.set_route(OUTSIDE, Prefix::host(deep), Some(NextHop::IpTunnel(IpTunnelId(2)))).unwrap();
    pair.a.tables.publish();
    let inner = numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 60);
    let wire = Ip::new(peer, ours).wrap(protocol::IPV4, &Ip::new(deep, ours).wrap(protocol::IPV4, &inner));
    pair.a.peer_sends(0, &wire);
    assert_eq!(pair.a.sent(PRIVATE), [one_hop_later(&inner)]);
    pair.a.host_sends(0, &numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 60));
    assert_eq!(pair.a.drops(), [("clear-refused", 1)]);
    pair.is_at_rest();
}
