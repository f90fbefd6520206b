//! Several addresses at either end (RFC 4555 §3.1, §3.4 to §3.6, §3.10): A calls, B is called, and the way between their
//! first addresses is cut.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::Peer;
use crate::harness::{World, failures, kind, pair, settings};
use ravelin_ike::config::{Connection, RemoteAddress, Selector};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::want::Path;
use ravelin_ike::wire::{ExchangeType, Notify, NotifyType, Payload};
use std::net::{IpAddr, SocketAddr};

const SECOND: u64 = 1_000_000;
const INFORMATIONAL: u8 = 37;

/// What an end has besides its first address.
fn further(end: usize, count: u8) -> Vec<IpAddr> {
    (1..=count).map(|number| settings::elsewhere(10 * (end as u8 + 1) + number)).collect()
}

fn connection(end: usize, counts: [u8; 2]) -> Connection {
    Connection { further_addresses: further(end, counts[end]), ..settings::mobile(end) }
}

/// Both ends with so many further addresses, not yet connected.
fn ends(counts: [u8; 2]) -> World {
    let mut world = pair([0, 1].map(|end| connection(end, counts)));
    (0..2).for_each(|end| world.settle_at(end, further(end, counts[end])));
    world
}

fn up(counts: [u8; 2]) -> World {
    let mut world = ends(counts);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
    world.assert_converged();
    world
}

fn esp(world: &World, end: usize) -> Path {
    world.ends[end].plane.paths()[0].1
}

fn ways(world: &World, end: usize) -> (IpAddr, IpAddr) {
    (esp(world, end).local.ip(), esp(world, end).remote.ip())
}

fn moves(world: &World, end: usize) -> usize {
    world.ends[end].events.iter().filter(|event| matches!(event, Event::Moved { .. })).count()
}

/// Where the peer says it is besides, as it was told last.
fn told(world: &World, end: usize) -> Vec<IpAddr> {
    let of = |event: &Event| match event {
        Event::PeerAddresses { addresses, .. } => Some(addresses.clone()),
        _ => None,
    };
    world.ends[end].events.iter().rev().find_map(of).unwrap_or_default()
}

fn wait(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.run_for(SECOND);
        world.traffic();
    }
}

/// "the initiator and the responder ... include one or more ADDITIONAL_IP4_ADDRESS" in IKE_AUTH (§3.4), and the list is
/// replaced by another one (§3.6).
#[test]
fn each_end_says_where_it_is_besides() {
    let mut world = up([1, 2]);
    assert_eq!((told(&world, 0), told(&world, 1)), (further(1, 2), further(0, 1)));
    for (end, counts) in [(0, [3, 2]), (1, [3, 0]), (0, [0, 0])] {
        let now = world.at();
        let other = connection(end, counts);
        world.ends[end].engine.set_connection(now, settings::CONNECTION, Some(other));
        world.drain(end);
        world.run_for(SECOND);
        assert_eq!(told(&world, 1 - end), further(end, counts[end]), "of end {end}");
    }
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
    assert_eq!((moves(&world, 0), moves(&world, 1)), (0, 0));
}

/// ```text
///   A  INFORMATIONAL{}, a probe, 192.0.2.1 to 192.0.2.2  ->  cut
///   A  the same between all pairs of addresses           ->  B, from where it is not cut, answers each its way
///   A  INFORMATIONAL{N(UPDATE_SA_ADDRESSES), N(ADDITIONAL_IP4_ADDRESS), N(COOKIE2)}  ->  B
///   A  <--  N(COOKIE2): A sends where B is now
///   A  <--  INFORMATIONAL{N(COOKIE2)}: B sends where A is now
/// ```
#[test]
fn the_tunnel_goes_on_by_another_way() {
    for (counts, cut) in [
        ([1, 0], vec![settings::outer(0)]),
        ([0, 1], vec![settings::outer(1)]),
        ([1, 1], vec![settings::outer(0), settings::outer(1)]),
        ([3, 3], vec![settings::outer(0), settings::outer(1), further(0, 3)[0], further(1, 3)[1]]),
    ] {
        let mut world = up(counts);
        let before = world.picture(0, 0);
        world.cut.extend(cut.iter().copied());
        wait(&mut world, 60);
        world.assert_converged();
        for end in 0..2 {
            let (local, remote) = ways(&world, end);
            assert!(!cut.contains(&local) && !cut.contains(&remote), "{cut:?}: {local} to {remote}");
        }
        assert_eq!(world.picture(0, 0), before, "nothing is negotiated anew");
        assert_eq!((moves(&world, 0), moves(&world, 1)), (1, 1), "{cut:?}");
        assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]), "{cut:?}");
        assert!(world.ends[0].plane.paths().iter().all(|(_, path)| !path.udp_encapsulation));
    }
}

/// One way after the other goes, and comes back; each time there is one.
#[test]
fn it_moves_as_often_as_it_has_to() {
    let mut world = up([1, 1]);
    for round in 0..6_u64 {
        world.cut = [settings::outer(0), further(0, 1)[0]]
            .into_iter()
            .filter(|it| *it == ways(&world, 0).0)
            .collect();
        if round % 2 == 1 {
            world.cut = [ways(&world, 0).1].into_iter().collect();
        }
        wait(&mut world, 60);
        world.assert_converged();
        assert_eq!(moves(&world, 0) as u64, round + 1);
    }
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
}

/// Rekeys under way when the way is cut go on along the next one.
#[test]
fn a_cut_meets_rekeys_of_both_ends() {
    for skew in [0, 500, 1500, 2500, 4000] {
        for (own, whole) in [(0, false), (1, false), (0, true), (1, true)] {
            let mut world = up([1, 1]);
            match whole {
                true => world.command(own, Command::RekeyIke { ike: world.ikes(own)[0] }),
                false => world.command(own, Command::RekeyChild { child: world.children(own)[0] }),
            }
            world.run_for(skew);
            world.cut.insert(settings::outer(1));
            wait(&mut world, 90);
            world.assert_converged();
            assert_eq!(ways(&world, 0).1, further(1, 1)[0], "{skew} {own} {whole}");
            let went = [failures(&world, 0), failures(&world, 1)];
            assert_eq!(went, [Vec::<&str>::new(), vec![]], "{skew} {own} {whole}");
        }
    }
}

/// Where no way is left the peer is dead, as ever; where nobody has another address nothing goes elsewhere.
#[test]
fn without_another_way_the_peer_is_dead() {
    for counts in [[0, 0], [2, 2]] {
        let mut world = up(counts);
        let all = [vec![settings::outer(0), settings::outer(1)], further(0, 2), further(1, 2)].concat();
        world.cut.extend(all);
        wait(&mut world, 60);
        assert_eq!(world.ikes(0).len(), 0, "{counts:?}");
        assert_eq!(failures(&world, 0), ["RV-NET-003"]);
    }
}

/// A repetition goes between so many pairs and no more, however many there are, and the next ones have their turn.
#[test]
fn what_is_sent_at_once_is_bounded() {
    let mut world = up([8, 8]);
    let pairs = 9 * 9 - 1;
    world.cut.extend([settings::outer(0), settings::outer(1)]);
    world.cut.extend(further(0, 8).into_iter().chain(further(1, 8)));
    world.run_for(10 * SECOND);
    let (mut at, mut sent, mut most) = (0, 0, 0);
    let mut all = 0;
    for _ in 0..60 {
        let before = world.tally.datagrams;
        world.run_for(SECOND / 4);
        let now = world.tally.datagrams - before;
        (sent, most) = (sent + now, most.max(now));
        at += 1;
        all += usize::from(now > 16);
    }
    assert!(at > 0 && all >= 2 && most <= 2 * 17, "{most} at once, {sent} in all of {pairs} pairs");
}

/// "the initiator SHOULD try various source and destination address combinations when retransmitting the IKE_SA_INIT
/// request" (§3.1): the tunnel is where the first answer came from, and no NAT is taken to be there.
#[test]
fn a_call_tries_its_own_addresses() {
    let mut world = ends([2, 0]);
    world.cut.extend([settings::outer(0), further(0, 2)[0]]);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(10 * SECOND);
    world.assert_converged();
    assert_eq!(ways(&world, 0), (further(0, 2)[1], settings::outer(1)));
    assert!(!esp(&world, 0).udp_encapsulation && !esp(&world, 1).udp_encapsulation);
    assert_eq!(told(&world, 1), [settings::outer(0), further(0, 2)[0]], "what is not in the IP header");
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
}

/// A new proof is given by the way that works.
#[test]
fn reauthentication_goes_the_same_way() {
    let mut world = up([1, 0]);
    world.cut.insert(settings::outer(0));
    wait(&mut world, 60);
    world.command(0, Command::Reauthenticate { ike: world.ikes(0)[0] });
    wait(&mut world, 20);
    world.assert_converged();
    assert_eq!((world.ikes(0).len(), ways(&world, 0).0), (1, further(0, 1)[0]));
    assert_eq!(failures(&world, 0), ["RV-END-010"]);
}

/// From an address that is ours no more the tunnel goes back to where it is called from.
#[test]
fn an_address_that_is_taken_away_is_left() {
    let mut world = up([1, 0]);
    world.cut.insert(settings::outer(0));
    wait(&mut world, 60);
    assert_eq!(ways(&world, 0).0, further(0, 1)[0]);
    world.cut.clear();
    let now = world.at();
    world.ends[0].engine.set_connection(now, settings::CONNECTION, Some(connection(0, [0, 0])));
    world.drain(0);
    wait(&mut world, 5);
    world.assert_converged();
    assert_eq!((ways(&world, 0).0, told(&world, 1)), (settings::outer(0), vec![]));
    assert_eq!(failures(&world, 0), Vec::<&str>::new());
}

/// A peer may name addresses that lie behind the tunnel: it is not led into itself.
#[test]
fn the_tunnel_is_not_moved_into_itself() {
    let mut connections = [0, 1].map(|end| connection(end, [0, 1]));
    let all = Selector::prefix(IpAddr::from([0, 0, 0, 0]), 0);
    let (inner, caller) = (Selector::prefix(further(1, 1)[0], 32), Selector::prefix(settings::outer(0), 32));
    let elsewhere = Selector::prefix(IpAddr::from([10, 9, 0, 0]), 16);
    // What each side of the tunnel is, the caller's first; whether there is another way than through it.
    for (sides, goes_on) in [([caller, all], false), ([elsewhere, inner], false), ([elsewhere, all], true)] {
        for (end, connection) in connections.iter_mut().enumerate() {
            connection.children.truncate(1);
            let child = &mut connection.children[0];
            (child.local, child.remote) = (vec![sides[end]], vec![sides[1 - end]]);
        }
        let mut world = pair(connections.clone());
        world.settle_at(1, further(1, 1));
        world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
        world.run_for(SECOND);
        world.cut.insert(settings::outer(1));
        wait(&mut world, 60);
        assert_eq!((world.ikes(0).len(), moves(&world, 0)), (usize::from(goes_on), usize::from(goes_on)));
    }
}

/// Called, we answer by the way each request came, follow to another address of ours that we have named, and refuse one
/// that is none of them.
#[test]
fn who_is_called_is_where_it_says() {
    let mut peer = Peer::new(|connection| {
        (connection.mobike, connection.remote) = (true, RemoteAddress::Any);
        connection.further_addresses = further(1, 2);
    });
    peer.call(peer.init());
    let of = |kind| Payload::Notify(Notify::new(kind, Vec::new()));
    let auth = [peer.auth(), vec![of(NotifyType::MobikeSupported)]].concat();
    let reply = peer.ask(ExchangeType::IkeAuth, auth);
    for own in further(1, 2) {
        assert!(reply.contains(&Payload::Notify(Notify::additional(own))), "{reply:?}");
    }
    assert!(!reply.contains(&Payload::Notify(Notify::additional(settings::outer(1)))));
    let cookie = Payload::Notify(Notify::new(NotifyType::Cookie2, vec![3; 11]));
    let refused = of(NotifyType::UnacceptableAddresses);
    for (to, answer) in [
        (further(1, 2)[1], vec![cookie.clone()]),
        (settings::NOBODY, vec![cookie.clone(), refused]),
        (settings::outer(1), vec![cookie.clone()]),
    ] {
        peer.to = SocketAddr::new(to, 500);
        let update = vec![of(NotifyType::UpdateSaAddresses), cookie.clone()];
        assert_eq!(peer.ask(ExchangeType::Informational, update), answer, "{to}");
    }
    let moved = peer.events.iter().filter(|event| matches!(event, Event::Moved { .. })).count();
    assert_eq!((moved, peer.engine.snapshot()[0].path.local), (2, peer.to));
}

/// An answer that takes another way than the request is no reason to move, unless nobody answers.
#[test]
fn nothing_moves_while_the_way_works() {
    let mut world = up([2, 2]);
    world.faults.loss = 150;
    wait(&mut world, 200);
    world.faults.loss = 0;
    wait(&mut world, 60);
    world.assert_converged();
    let probes = world.ends[0].engine.account(settings::CONNECTION);
    assert!(probes.probes_unanswered == 0 && world.ikes(0).len() == 1, "{probes:?}");
    let mut world = up([2, 2]);
    let mut left = 1;
    world.gate = Some(Box::new(move |from, bytes| {
        let hit = from == 0 && kind(bytes) == (INFORMATIONAL, false) && left > 0;
        left -= u32::from(hit);
        !hit
    }));
    wait(&mut world, 60);
    assert_eq!((moves(&world, 0), moves(&world, 1)), (0, 0));
}
