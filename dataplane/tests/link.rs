//! The link loses nothing but counted punts, and a full ring never stops a worker (docs/design.md §3, DP-02).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common;
use crate::common::packet::{Ip, numbered};
use crate::common::{Gateway, OUTSIDE, PRIVATE, PUBLIC, Pair, SLOT, Style, ip, key};
use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::link::packet::Kernel;
use ravelin_dataplane::link::report::{Refusal, Report};
use ravelin_dataplane::net::flow::Upper;
use ravelin_dataplane::policy::route;
use ravelin_dataplane::sa::fact::Fact;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::sa::spi::Spi;
use ravelin_dataplane::sa::table::ExactTable;

/// An IKE message of 40 octets, initial or not, in UDP.
fn ike(from: std::net::IpAddr, to: std::net::IpAddr, initial: bool, port: u16) -> Vec<u8> {
    let mut message = vec![1; 40];
    if initial {
        message[8..16].fill(0);
    }
    let marked = if port == 4500 { [vec![0; 4], message].concat() } else { message };
    Ip::new(from, to).udp(port, port, &marked)
}

/// The beginning of an IKE_SA_INIT request with a cookie (RFC 7296 §2.6).
fn with_cookie(from: std::net::IpAddr, to: std::net::IpAddr) -> Vec<u8> {
    let mut message = vec![1; 28];
    message[8..16].fill(0);
    message[16] = 41;
    message.extend([0, 0, 0, 44, 0, 0, 0x40, 0x06]);
    message.extend([3; 36]);
    Ip::new(from, to).udp(500, 500, &message)
}

#[test]
fn ike_goes_to_control_by_its_own_two_rings() {
    for workers in [1, 2] {
        for v6 in [false, true] {
            let mut a = Gateway::new(1, workers);
            a.reports();
            let (us, peer) = (a.site.public(v6), a.site.other().public(v6));
            for (initial, port) in [(true, 500), (false, 500), (false, 4500), (true, 4500)] {
                a.peer_sends(1, &ike(peer, us, initial, port));
                let punt = if initial { a.control.next_ike_init() } else { a.control.next_ike() };
                let punt = punt.expect("an IKE message");
                assert_eq!((punt.frame.len(), punt.instance), (40, OUTSIDE));
                assert_eq!((punt.local, punt.remote), ((us, port).into(), (peer, port).into()));
                assert!(!a.control.has_work());
            }
            // Neither a keepalive nor something too short is a message.
            a.peer_sends(0, &Ip::new(peer, us).udp(4500, 4500, &[0xff]));
            assert_eq!((a.count(|c| c.keepalives.get()), a.drops()), (1, vec![]));
            a.peer_sends(0, &Ip::new(peer, us).udp(500, 500, &[1; 27]));
            let mut broken = ike(peer, us, false, 500);
            *broken.last_mut().unwrap() ^= 1;
            a.peer_sends(0, &broken);
            assert_eq!(a.drops(), [("malformed-udp", 2)]);
            a.is_at_rest();
        }
    }
}

#[test]
fn a_flood_of_one_kind_of_punt_does_not_fill_the_ring_of_another() {
    for workers in [1, 2] {
        let mut a = Gateway::with(1, workers, |shape| (shape.ike, shape.ike_init, shape.kernel) = (4, 4, 4));
        let (us, peer) = (a.site.public(false), a.site.other().public(false));
        for _ in 0..10 {
            a.peer_sends(0, &ike(peer, us, true, 500));
        }
        for _ in 0..10 {
            a.peer_sends(0, &Ip::new(peer, us).udp(53, 53, b"for the kernel"));
        }
        a.peer_sends(0, &ike(peer, us, false, 500));
        a.peer_sends(0, &with_cookie(peer, us));
        assert_eq!(a.drops(), [("punt-init-full", 6), ("punt-rest-full", 6)]);
        assert!(a.control.next_ike().is_some());
        let shows_cookie = a.control.next_ike().is_some_and(|punt| punt.frame.data()[8..16] == [0; 8]);
        assert!(shows_cookie, "a caller that was answered");
        assert_eq!(a.exception.next_punt().unwrap().to, Kernel::Twin { port: PUBLIC, vlan: 0 });
        a.is_at_rest();
    }
}

#[test]
fn what_is_not_ours_to_understand_reaches_the_kernel_as_it_came() {
    for workers in [1, 2] {
        let mut a = Gateway::new(1, workers);
        let (mac, peer_mac) = (a.site.mac(PUBLIC), a.site.other().mac(PUBLIC));
        let (us, peer) = (a.site.public(true), a.site.other().public(true));
        let mut arp = [mac.0, peer_mac.0].concat();
        arp.extend([8, 6]);
        arp.extend([7; 28]);
        let broadcast = [&[0xff; 6][..], &arp[6..]].concat();
        let ping =
            common::packet::framed(mac, peer_mac, &Ip::new(peer, us).wrap(58, &[128, 0, 0, 0, 0, 1, 0, 1]));
        let solicited = ravelin_dataplane::net::eth::Mac([0x33, 0x33, 0xff, 0, 0, 1]);
        let discovery = common::packet::framed(
            solicited,
            peer_mac,
            &Ip::new(peer, ip("ff02::1:ff00:1")).wrap(58, &[135; 24]),
        );
        for frame in [arp, broadcast, ping, discovery] {
            a.arrive(PUBLIC, 0, &frame);
            let punt = a.exception.next_punt().expect("a frame for the twin");
            assert!(punt.frame.data() == frame);
            assert_eq!(punt.to, Kernel::Twin { port: PUBLIC, vlan: 0 });
        }
        let other = common::packet::framed(
            common::Site(2).mac(PUBLIC),
            peer_mac,
            &Ip::new(peer, us).wrap(58, &[128; 8]),
        );
        a.arrive(PUBLIC, 0, &other);
        assert_eq!(a.drops(), [("other-station", 1)]);
        a.is_at_rest();
    }
}

#[test]
fn ike_is_sent_routed_and_framed_for_control() {
    for workers in [1, 2] {
        let mut a = Gateway::new(1, workers);
        let (us, peer) = (a.site.public(false), a.site.other().public(false));
        let packet = ike(us, peer, false, 500);
        let frame = a.pool.copy_of(&packet).unwrap();
        a.control.inject(WorkerId(0), frame, OUTSIDE).unwrap();
        a.settle();
        let frames = a.sent_frames(PUBLIC);
        assert!(frames == [common::packet::framed(a.site.other().mac(PUBLIC), a.site.mac(PUBLIC), &packet)]);
        // 6 KB in fragments; a neighbour nobody knows is told of once.
        let frame = a.pool.copy_of(&Ip::new(us, peer).udp(500, 500, &[1; 6000])).unwrap();
        a.control.inject(WorkerId(0), frame, OUTSIDE).unwrap();
        a.settle();
        assert_eq!(a.sent(PUBLIC).len(), 5);
        a.reports();
        for _ in 0..3 {
            let frame = a.pool.copy_of(&ike(us, ip("192.0.2.99"), false, 500)).unwrap();
            a.control.inject(WorkerId(0), frame, OUTSIDE).unwrap();
            a.settle();
        }
        assert_eq!(a.drops(), [("neighbour-miss", 3)]);
        let missed = a.reports();
        assert!(matches!(
            missed[..],
            [Report::NeighbourMiss { instance: OUTSIDE, port: PUBLIC, vlan: 0, .. }]
        ));
        a.is_at_rest();
    }
}

#[test]
fn a_report_ring_that_is_full_delays_facts_and_commands_and_loses_neither() {
    for workers in [1, 2] {
        let mut a = Gateway::with(1, workers, |shape| shape.reports = 8);
        a.reports();
        // Twenty removals of nothing: each answer needs room, so the last commands wait.
        let owner = a.owner();
        for slot in 0..20 {
            a.control.send(owner, Command::RemoveOutbound { slot, spi: Spi(1) }).unwrap();
        }
        a.settle();
        let applied = a.control.applied(owner);
        assert!(applied < a.control.sent(owner), "commands wait for room");
        // Meanwhile the worker carries packets and notes facts.
        let (ours, theirs) = (a.site.host(false), a.site.other().host(false));
        a.host_sends(0, &numbered(ours, theirs, 1, 60));
        (0..2).for_each(|_| a.host_sends(0, &Ip::new(ours, theirs).udp(3000, 4000, &[0; 60])));
        assert_eq!(a.drops(), [("no-sa", 3)]);
        let (mut refused, mut wanted) = (0, 0);
        for _ in 0..20 {
            for report in a.reports() {
                match report {
                    Report::Refused { refusal: Refusal::NoSuchSa, .. } => refused += 1,
                    Report::Vacant { slot: SLOT, packet } => {
                        let upper = packet.map(|packet| packet.upper);
                        assert_eq!(
                            upper,
                            Some(Upper::Ports { source: 1000, destination: 2000 }),
                            "the first"
                        );
                        wanted += 1;
                    }
                    other => panic!("unexpected {other:?}"),
                }
            }
            a.settle();
        }
        assert_eq!((refused, wanted), (20, 1));
        assert_eq!(a.control.applied(owner), a.control.sent(owner));
        a.is_at_rest();
    }
}

#[test]
fn a_command_ring_that_is_full_gives_the_command_back() {
    let mut a = Gateway::with(1, 1, |shape| shape.commands = 2);
    let mut send = || a.control.send(WorkerId(0), Command::ActivateOutbound { slot: 1 }).map_err(drop);
    assert!(send().is_ok() && send().is_ok());
    assert!(send().is_err());
    assert!(a.control.send(WorkerId(9), Command::ActivateOutbound { slot: 1 }).is_err());
    a.is_at_rest();
}

#[test]
fn what_commands_cost_is_counted_and_polls_without_them_cost_nothing() {
    let mut a = Gateway::with(1, 1, |_| {});
    a.settle();
    let cycles = |a: &Gateway| a.control.counters(WorkerId(0)).unwrap().command_cycles.get();
    let before = cycles(&a);
    a.settle();
    assert_eq!(cycles(&a), before, "no command, no cycles");
    a.command(Command::ActivateOutbound { slot: 1 });
    a.settle();
    assert!(cycles(&a) > before);
    a.is_at_rest();
}

#[test]
fn keys_are_wiped_from_their_cells_whatever_becomes_of_the_command() {
    for workers in [1, 2] {
        let mut a = Gateway::with(1, workers, |shape| shape.keys = 1);
        let (style, owner) = (Style::PLAIN, a.owner());
        a.install_inbound(&style, 1, a.spi(1), &key(style.suite, 1));
        a.reports();
        // Occupied; the wrong length; no such slot. The only cell is free again each time.
        a.install_inbound(&style, 1, a.spi(1), &key(style.suite, 1));
        a.install_inbound(&style, 2, a.spi(2), &[1; 17]);
        let parts = a.outbound_parts(&style, Spi(0x1234));
        let material = a.control.put_key(owner, &key(style.suite, 1)).unwrap();
        a.command(Command::InstallOutbound { slot: 9999, parts, key: material, turn: Turn::Now });
        let refusal = |report| match report {
            Report::Refused { refusal, .. } => Some(refusal),
            _ => None,
        };
        let refusals: Vec<_> = a.reports().into_iter().filter_map(refusal).collect();
        assert_eq!(refusals, [Refusal::Occupied, Refusal::BadKey, Refusal::NoSuchSlot]);
        assert!(a.control.put_key(owner, &[1; 20]).is_ok());
        a.is_at_rest();
    }
}

#[test]
fn first_inbound_is_told_once_and_counters_can_be_read_from_outside() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        pair.b.reports();
        for number in 0..4 {
            pair.a.host_sends(0, &numbered(pair.a.site.host(false), pair.b.site.host(false), number, 100));
        }
        pair.carry(|at| at);
        let told = pair.b.reports();
        assert!(
            matches!(&told[..], [Report::Inbound { child: 5, facts, .. }] if facts.has(Fact::FirstInbound))
        );
        let received = pair.b.control.inbound(pair.b.place(10)).unwrap();
        assert_eq!((received.packets.get(), received.octets.get()), (4, 4 * 128));
        let sent = pair.a.control.outbound(pair.a.owner(), SLOT).unwrap();
        assert_eq!((sent.packets.get(), sent.octets.get(), sent.sequence.get()), (4, 4 * 128, 4));
        pair.is_at_rest();
    }
}

#[test]
fn manual_spis_are_found_by_instance_destination_and_spi() {
    for workers in [1, 2] {
        let style = Style::PLAIN;
        let mut pair = Pair::bare(workers);
        let (spi, place) = (Spi(300), pair.b.place(20));
        let keymat = key(style.suite, 42);
        pair.a.install_outbound(&style, spi, &keymat, Turn::Now);
        pair.b.install_inbound(&style, 20, spi, &keymat);
        let send = |pair: &mut Pair| {
            pair.a.host_sends(0, &numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 60));
            pair.carry(|_| 0);
            pair.b.sent(PRIVATE).len()
        };
        assert_eq!(send(&mut pair), 0);
        assert_eq!(pair.b.drops(), [("sa-miss", 1)]);
        let told = pair.b.reports().into_iter().filter(|report| matches!(report, Report::UnknownSpi { .. }));
        let told: Vec<Report> = told.collect();
        assert!(
            matches!(told[..], [Report::UnknownSpi { instance: OUTSIDE, spi: Spi(300), .. }]),
            "{told:?}"
        );
        let destination = pair.b.site.public(false);
        pair.b.tables.tables_mut().set_manual(ExactTable::new([((OUTSIDE, destination, spi), place)]));
        pair.b.tables.publish();
        pair.b.settle();
        assert_eq!(send(&mut pair), 1);
        pair.b.tables.tables_mut().set_manual(ExactTable::new([((7, destination, spi), place)]));
        pair.b.tables.publish();
        pair.b.settle();
        assert_eq!(send(&mut pair), 0);
        pair.is_at_rest();
    }
}

#[test]
fn a_handoff_ring_that_is_full_drops_by_name() {
    let mut a = Gateway::with(1, 2, |shape| shape.handoff = 2);
    let packet = numbered(a.site.host(false), a.site.other().host(false), 1, 60);
    let frame = common::packet::framed(a.site.mac(PRIVATE), a.site.host_mac(), &packet);
    for _ in 0..5 {
        let frame = a.pool.copy_of(&frame).unwrap();
        a.private.deliver(0, frame).unwrap();
    }
    a.settle();
    assert_eq!(a.drops(), [("handoff-full", 3), ("no-sa", 2)]);
    a.is_at_rest();
}

#[test]
fn a_transmit_queue_that_is_full_keeps_a_backlog_and_then_drops_by_name() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let packet = numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 60);
        // The device takes 512, the backlog 256 and a burst.
        for _ in 0..1000 {
            pair.a.host_sends(0, &packet);
        }
        let drops = pair.a.drops();
        assert!(matches!(drops[..], [("tx-full", 100..=300)]), "{drops:?}");
        assert!(pair.a.count(|c| c.held.get()) >= 256);
        let mut sent = 0;
        for _ in 0..10 {
            sent += pair.a.sent(PUBLIC).len();
            pair.a.settle();
        }
        assert_eq!(sent as u64 + drops[0].1, 1000);
        pair.is_at_rest();
    }
}

#[test]
fn vlans_are_stripped_and_added() {
    for workers in [1, 2] {
        use ravelin_dataplane::link::snapshot::{Interface, Local, Snapshot};
        let mut a = Gateway::new(1, workers);
        let interface =
            |vlan, instance| Interface { port: PUBLIC, vlan, instance, mac: a.site.mac(PUBLIC), mtu: 1500 };
        let local = Local { instance: 2, address: ip("203.0.113.1"), interface: Some((PUBLIC, 30)) };
        a.install_snapshot(Snapshot::new(vec![interface(0, 0), interface(30, 2)], vec![local]));
        let at = route::Interface { port: PUBLIC, vlan: 30 };
        let peer_mac = a.site.other().mac(PUBLIC);
        let tables = a.tables.tables_mut();
        let network = route::Prefix::new(ip("203.0.113.0"), 24).unwrap();
        tables.set_route(2, network, Some(route::NextHop::Connected(at))).unwrap();
        tables.set_neighbour(2, at, ip("203.0.113.2"), Some(peer_mac));
        a.tables.publish();
        a.settle();
        let message = ike(ip("203.0.113.2"), ip("203.0.113.1"), false, 500);
        let plain = common::packet::framed(a.site.mac(PUBLIC), peer_mac, &message);
        let tagged = |frame: &[u8], id: u8| [&frame[..12], &[0x81, 0, 0, id], &frame[12..]].concat();
        a.arrive(PUBLIC, 0, &tagged(&plain, 30));
        let punt = a.control.next_ike().expect("the message of the VLAN");
        assert_eq!((punt.instance, punt.frame.len()), (2, 40));
        drop(punt);
        a.arrive(PUBLIC, 0, &tagged(&plain, 31));
        assert_eq!(a.drops(), [("unknown-interface", 1)]);
        let answer = ike(ip("203.0.113.1"), ip("203.0.113.2"), false, 500);
        let frame = a.pool.copy_of(&answer).unwrap();
        a.control.inject(WorkerId(0), frame, 2).unwrap();
        a.settle();
        let expected = tagged(&common::packet::framed(peer_mac, a.site.mac(PUBLIC), &answer), 30);
        assert!(a.sent_frames(PUBLIC) == [expected]);
        let frame = common::packet::framed(peer_mac, a.site.mac(PUBLIC), &answer);
        let twin = a.pool.copy_of(&frame).unwrap();
        a.exception.inject_twin(WorkerId(0), twin, PUBLIC, 30).unwrap();
        a.settle();
        assert!(a.sent_frames(PUBLIC) == [tagged(&frame, 30)]);
        a.is_at_rest();
    }
}
