//! Nothing leaves in clear that policy protects: not without an SA, not from the kernel, not by the back
//! door of another instance, not in an ICMP error (RFC 4301 §5.1; docs/design.md §6).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common;
use std::sync::Arc;

use crate::common::packet::{Ip, framed, numbered, one_hop_later};
use crate::common::{Gateway, INSIDE, OUTSIDE, PRIVATE, PUBLIC, Pair, SLOT, Style, TUNNEL, forge::Forge, ip};
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::link::packet::Kernel;
use ravelin_dataplane::link::report::Report;
use ravelin_dataplane::link::snapshot::{Interface, Local, Snapshot};
use ravelin_dataplane::net::flow::Summary;
use ravelin_dataplane::policy::route::{self, NextHop, Prefix};
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::policy::spd::{Action, Entry, Otherwise, Spd};
use ravelin_dataplane::sa::shard::WorkerId;

fn side(prefix: &str, length: u8) -> [Selector; 1] {
    [Selector::addresses_only(AddressRange::prefix(ip(prefix), length))]
}

fn entry(local: (&str, u8), remote: (&str, u8), action: Action) -> Entry {
    let selectors = SelectorSet::new(&side(local.0, local.1), &side(remote.0, remote.1)).unwrap();
    Entry { selectors, action }
}

/// A gateway whose private and public side are one instance, with a policy instead of tunnel routes, and a
/// default route out of the public side.
fn flat(workers: u8, entries: Vec<Entry>, otherwise: Otherwise) -> Gateway {
    let mut a = Gateway::new(1, workers);
    let interface = |port: u16| Interface { port, vlan: 0, instance: 0, mac: a.site.mac(port), mtu: 1500 };
    let local = |address, port| Local { instance: 0, address, interface: Some((port, 0)) };
    let locals = vec![local(a.site.private(false), PRIVATE), local(a.site.public(false), PUBLIC)];
    a.install_snapshot(Snapshot::new(vec![interface(PRIVATE), interface(PUBLIC)], locals));
    let [inside, outside] = [PRIVATE, PUBLIC].map(|port| route::Interface { port, vlan: 0 });
    let (gateway, mac) = (a.site.other().public(false), a.site.other().mac(PUBLIC));
    let (host, host_mac, network) = (a.site.host(false), a.site.host_mac(), a.site.network(false));
    let tables = a.tables.tables_mut();
    tables.remove_instance(INSIDE);
    tables.set_route(0, network, Some(NextHop::Connected(inside))).unwrap();
    tables
        .set_route(0, Prefix::new(ip("0.0.0.0"), 0).unwrap(), Some(NextHop::Via(outside, gateway)))
        .unwrap();
    tables.set_neighbour(0, inside, host, Some(host_mac));
    tables.set_neighbour(0, outside, gateway, Some(mac));
    tables.set_spd(0, Spd::new(entries, otherwise).unwrap()).unwrap();
    a.tables.publish();
    a.settle();
    a
}

#[test]
fn a_protected_packet_without_an_sa_is_dropped_and_wanted_once() {
    for workers in [1, 2] {
        let mut pair = Pair::bare(workers);
        pair.a.reports();
        let packet = numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 60);
        for _ in 0..5 {
            pair.a.host_sends(0, &packet);
        }
        assert_eq!(pair.a.drops(), [("no-sa", 5)]);
        assert!(pair.a.sent(PUBLIC).is_empty());
        let first = Summary::parse(&packet).unwrap().flow();
        let wanted = pair.a.reports();
        let tells = |report: &Report| matches!(report, Report::Vacant { slot: SLOT, packet } if *packet == Some(first));
        assert!(!wanted.is_empty() && wanted.iter().all(tells), "{wanted:?}");
        pair.is_at_rest();
    }
}

#[test]
fn an_sa_that_is_removed_leaves_nothing_in_clear() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let packet = numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 60);
        pair.a.host_sends(0, &packet);
        assert_eq!(pair.a.sent(PUBLIC).len(), 1);
        pair.a.command(Command::RemoveOutbound { slot: SLOT, spi: pair.b.spi(10) });
        pair.a.host_sends(0, &packet);
        pair.a.command(Command::ClearOutbound { slot: SLOT });
        pair.a.host_sends(0, &packet);
        pair.a.tables.tables_mut().set_tunnel(TUNNEL, None).unwrap();
        pair.a.tables.publish();
        pair.a.host_sends(0, &packet);
        assert!(pair.a.sent(PUBLIC).is_empty());
        assert_eq!(pair.a.drops(), [("policy-miss", 1), ("no-sa", 2)]);
        pair.is_at_rest();
    }
}

#[test]
fn what_no_child_takes_is_a_policy_miss() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        pair.a.host_sends(0, &numbered(ip("10.1.7.7"), ip("10.2.0.9"), 1, 60));
        assert_eq!(pair.a.drops(), [], "inside the selectors");
        pair.a.sent(PUBLIC);
        pair.a
            .tables
            .tables_mut()
            .set_route(INSIDE, Prefix::new(ip("10.77.0.0"), 16).unwrap(), Some(NextHop::Tunnel(TUNNEL)))
            .unwrap();
        pair.a.tables.publish();
        pair.a.host_sends(0, &numbered(pair.a.site.host(false), ip("10.77.0.1"), 1, 60));
        assert_eq!(pair.a.drops(), [("policy-miss", 1)]);
        assert!(pair.a.sent(PUBLIC).is_empty());
        pair.is_at_rest();
    }
}

#[test]
fn an_instance_never_sends_by_the_port_of_another() {
    for workers in [1, 2] {
        let mut a = Gateway::new(1, workers);
        let outside = route::Interface { port: PUBLIC, vlan: 0 };
        let tables = a.tables.tables_mut();
        tables.set_spd(INSIDE, Spd::new(vec![], Otherwise::Bypass).unwrap()).unwrap();
        tables
            .set_route(
                INSIDE,
                Prefix::new(ip("0.0.0.0"), 0).unwrap(),
                Some(NextHop::Via(outside, ip("192.0.2.2"))),
            )
            .unwrap();
        a.tables.publish();
        a.host_sends(0, &numbered(a.site.host(false), ip("8.8.8.8"), 1, 60));
        assert_eq!(a.drops(), [("clear-refused", 1)]);
        assert!(a.sent(PUBLIC).is_empty());
        a.is_at_rest();
    }
}

#[test]
fn clear_traffic_does_not_pass_from_the_public_instance_to_the_private_one() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        for source in ["10.2.0.9", "198.51.100.1"] {
            pair.a.peer_sends(0, &numbered(ip(source), pair.a.site.host(false), 1, 60));
        }
        assert!(pair.a.sent(PRIVATE).is_empty());
        assert_eq!(pair.a.drops(), [("no-route", 2)]);
        pair.is_at_rest();
    }
}

#[test]
fn in_one_instance_policy_decides_and_its_absence_means_no() {
    for workers in [1, 2] {
        let protect = entry(("10.1.0.0", 16), ("10.2.0.0", 16), Action::Protect(TUNNEL));
        let bypass = entry(("10.1.0.0", 16), ("198.51.100.0", 24), Action::Bypass);
        let discard = entry(("10.1.0.0", 16), ("203.0.113.0", 24), Action::Discard);
        let mut a = flat(workers, vec![protect, bypass, discard], Otherwise::Discard);
        let host = a.site.host(false);
        a.host_sends(0, &numbered(host, ip("10.2.0.9"), 1, 60));
        a.host_sends(0, &numbered(host, ip("203.0.113.1"), 1, 60));
        a.host_sends(0, &numbered(host, ip("8.8.8.8"), 1, 60));
        assert!(a.sent(PUBLIC).is_empty());
        assert_eq!(a.drops(), [("policy-miss", 1), ("policy-discard", 1), ("no-sa", 1)]);
        let allowed = numbered(host, ip("198.51.100.1"), 1, 60);
        a.host_sends(0, &allowed);
        assert!(a.sent(PUBLIC) == [one_hop_later(&allowed)]);
        a.is_at_rest();
    }
}

#[test]
fn what_should_have_come_by_a_tunnel_is_refused_in_clear() {
    for workers in [1, 2] {
        for otherwise in [Otherwise::Discard, Otherwise::Bypass] {
            let protect = entry(("10.1.0.0", 16), ("10.2.0.0", 16), Action::Protect(TUNNEL));
            let mut a = flat(workers, vec![protect], otherwise);
            a.peer_sends(0, &numbered(ip("10.2.0.9"), a.site.host(false), 1, 60));
            a.peer_sends(0, &numbered(ip("10.2.0.9"), a.site.private(false), 1, 60));
            assert!(a.sent(PRIVATE).is_empty() && a.exception.next_punt().is_none());
            let drops = a.drops();
            let refused =
                |name| drops.iter().find(|(reason, _)| *reason == name).map_or(0, |(_, count)| *count);
            assert_eq!(refused("unprotected") + refused("policy-miss"), 2, "{drops:?}");
            // Nor may a stranger outside write into the tunnel with a source from inside.
            a.peer_sends(0, &numbered(a.site.host(false), ip("10.2.0.9"), 1, 60));
            assert_eq!(
                a.drops().iter().find(|(reason, _)| *reason == "bad-source"),
                Some(&("bad-source", 1))
            );
            assert!(a.sent(PUBLIC).is_empty());
            a.is_at_rest();
        }
    }
}

#[test]
fn the_kernel_cannot_send_protected_traffic_in_clear_by_a_twin() {
    for workers in [1, 2] {
        let protect = entry(("0.0.0.0", 0), ("10.2.0.0", 16), Action::Protect(TUNNEL));
        let mut a = flat(workers, vec![protect], Otherwise::Discard);
        let send = |a: &mut Gateway, packet: &[u8]| {
            let frame = framed(a.site.other().mac(PUBLIC), a.site.mac(PUBLIC), packet);
            let frame = a.pool.copy_of(&frame).unwrap();
            a.exception.inject_twin(WorkerId(0), frame, PUBLIC, 0).unwrap();
            a.settle();
        };
        let own = a.site.private(false);
        send(&mut a, &numbered(own, ip("10.2.0.9"), 1, 60));
        assert_eq!(a.drops(), [("no-sa", 1)]);
        assert!(a.sent(PUBLIC).is_empty());
        // With an SA it leaves under it.
        let style = Style::PLAIN;
        let spi = Gateway::new(2, workers).spi(10);
        a.install_outbound(
            &style,
            spi,
            &common::key(style.suite, 1),
            ravelin_dataplane::link::command::Turn::Now,
        );
        send(&mut a, &numbered(own, ip("10.2.0.9"), 1, 60));
        let sent = a.sent(PUBLIC);
        assert!(sent.len() == 1 && sent[0][9] == 50);
        // What nobody protects is the kernel's own business.
        let plain = numbered(own, ip("198.51.100.1"), 1, 60);
        send(&mut a, &plain);
        assert!(a.sent(PUBLIC) == [plain]);
        a.is_at_rest();
    }
}

#[test]
fn what_the_kernel_sends_to_the_private_device_needs_a_policy() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let send = |pair: &mut Pair, packet: &[u8]| {
            let frame = pair.a.pool.copy_of(packet).unwrap();
            pair.a.exception.inject_tun(WorkerId(0), frame, INSIDE).unwrap();
            pair.a.settle();
        };
        let inner = numbered(pair.a.site.private(false), pair.b.site.private(false), 1, 60);
        send(&mut pair, &inner);
        assert_eq!(pair.carry(|_| 0), 1);
        let punt = pair.b.exception.next_punt().expect("a local packet leaves by the private device");
        assert_eq!(punt.to, Kernel::Tun { instance: INSIDE });
        assert!(ravelin_dataplane::io::Frame::data(&punt.frame) == inner, "no hop is taken on either side");
        drop(punt);
        let own = pair.a.site.private(false);
        send(&mut pair, &numbered(own, ip("8.8.8.8"), 1, 60));
        assert_eq!(pair.a.drops(), [("no-route", 1)]);
        pair.is_at_rest();
    }
}

/// What a traceroute through a tunnel shows of its far end: an address that the tunnel's selectors cover, though the gateway
/// has others.
#[test]
fn an_error_about_an_inner_packet_goes_back_through_the_tunnel() {
    let style = Style::PLAIN;
    let mut pair = Pair::new(1, &style);
    let site = pair.a.site;
    let interfaces = [(PRIVATE, INSIDE), (PUBLIC, OUTSIDE)].map(|(port, instance)| Interface {
        port,
        vlan: 0,
        instance,
        mac: site.mac(port),
        mtu: 1500,
    });
    let local = |instance, address, port: u16| Local { instance, address, interface: Some((port, 0)) };
    let locals = vec![
        Local { instance: INSIDE, address: ip("9.9.9.9"), interface: None },
        local(INSIDE, site.private(false), PRIVATE),
        local(OUTSIDE, site.public(false), PUBLIC),
    ];
    pair.a.install_snapshot(Snapshot::new(interfaces.to_vec(), locals));
    let forge = Forge::toward_a(&pair.a, &style, 10);
    let expiring = Ip { ttl: 1, ..Ip::new(pair.b.site.host(false), site.host(false)) }.udp(1, 2, b"secret");
    pair.a.peer_sends(0, &forge.packet(1, &expiring));
    assert_eq!(pair.carry(|_| 0), 1, "{:?}", pair.a.drops());
    let sent = pair.b.sent(PRIVATE);
    let [error] = sent.as_slice() else { panic!("one error, not {}", sent.len()) };
    assert_eq!((error[9], error[20]), (1, 11), "time exceeded");
    assert_eq!(std::net::IpAddr::from([error[12], error[13], error[14], error[15]]), site.private(false));
    pair.is_at_rest();
}

#[test]
fn an_error_about_an_inner_packet_does_not_quote_it_in_clear() {
    for workers in [1, 2] {
        // One instance for both sides that lets everything else pass: the worst place for a quote.
        let mut a = flat(workers, vec![], Otherwise::Bypass);
        let style = Style::PLAIN;
        let mut parts = a.inbound_parts(&style, a.spi(10));
        (parts.inner_instance, parts.activates) = (OUTSIDE, None);
        let keymat = common::key(style.suite, 10);
        let key = a.control.put_key(a.owner(), &keymat).unwrap();
        a.command(Command::InstallInbound { place: a.place(10), parts, key });
        let forge = Forge::new(&a, &style, 10, &keymat);
        let expiring = Ip { ttl: 1, ..Ip::new(ip("10.2.0.9"), a.site.host(false)) }.udp(1, 2, b"secret");
        a.peer_sends(0, &forge.packet(1, &expiring));
        assert!(a.sent(PUBLIC).is_empty() && a.sent(PRIVATE).is_empty());
        assert_eq!(a.drops(), [("ttl-expired", 1), ("clear-refused", 1)]);
        // Through a tunnel that carries it back, it may.
        let mut pair = Pair::new(workers, &style);
        let forge = Forge::toward_a(&pair.a, &style, 10);
        let expiring =
            Ip { ttl: 1, ..Ip::new(pair.b.site.host(false), pair.a.site.host(false)) }.udp(1, 2, b"secret");
        pair.a.peer_sends(0, &forge.packet(1, &expiring));
        assert_eq!(pair.carry(|_| 0), 1);
        let sent = pair.b.sent(PRIVATE);
        assert!(sent.len() == 1 && sent[0][9] == 1 && sent[0][20] == 11, "time exceeded, through the tunnel");
        a.is_at_rest();
        pair.is_at_rest();
    }
}

#[test]
fn an_error_about_a_clear_packet_goes_back_where_it_came_from_or_nowhere() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let expiring = |source| Ip { ttl: 1, ..Ip::new(source, pair.b.site.host(false)) }.udp(1, 2, b"x");
        let (own, spoofed) = (expiring(pair.a.site.host(false)), expiring(ip("10.2.0.77")));
        pair.a.host_sends(0, &own);
        let sent = pair.a.sent(PRIVATE);
        assert!(sent.len() == 1 && sent[0][20] == 11);
        pair.a.host_sends(0, &spoofed);
        assert!(pair.a.sent(PRIVATE).is_empty() && pair.a.sent(PUBLIC).is_empty());
        pair.is_at_rest();
    }
}

#[test]
fn a_snapshot_that_is_replaced_comes_back_to_be_freed() {
    let mut a = Gateway::new(1, 2);
    a.reports();
    let weak = {
        let snapshot = Arc::new(Snapshot::default());
        for worker in a.control.workers().collect::<Vec<_>>() {
            a.control.send(worker, Command::Configure(Arc::clone(&snapshot))).unwrap();
        }
        a.settle();
        Arc::downgrade(&snapshot)
    };
    let replaced = a.reports().into_iter().filter(|report| matches!(report, Report::Replaced(_))).count();
    assert_eq!(replaced, 2);
    assert_eq!(weak.strong_count(), 2, "the workers hold it now");
    a.is_at_rest();
}
