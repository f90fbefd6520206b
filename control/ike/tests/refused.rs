//! Pairs of addresses that the peer refuses (RFC 4555 §3.5): A has several addresses, and B lets it be at some of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{Dice, World, failures, kind, pair, settings};
use ravelin_ike::config::{Connection, RemoteAddress};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use std::collections::BTreeMap;
use std::net::IpAddr;

const SECOND: u64 = 1_000_000;
const INFORMATIONAL: u8 = 37;
const UNACCEPTABLE_ADDRESSES: u16 = 40;

fn further(end: usize, count: u8) -> Vec<IpAddr> {
    (1..=count).map(|number| settings::elsewhere(10 * (end as u8 + 1) + number)).collect()
}

fn connection(end: usize, count: u8) -> Connection {
    let further_addresses = if end == 0 { further(0, count) } else { Vec::new() };
    Connection { further_addresses, ..settings::mobile(end) }
}

/// A, with so many further addresses, has called B.
fn up(seed: u64, count: u8) -> World {
    let mut world = pair([0, 1].map(|end| connection(end, count)));
    world.dice = Dice(seed);
    world.settle_at(0, further(0, count));
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
    world.assert_converged();
    world
}

/// B lets its peer be there alone from now on.
fn only_at(world: &mut World, address: IpAddr) {
    configure(world, 1, Connection { remote: RemoteAddress::One(address), ..connection(1, 0) });
}

fn configure(world: &mut World, end: usize, connection: Connection) {
    let now = world.at();
    world.ends[end].engine.set_connection(now, settings::CONNECTION, Some(connection));
    world.drain(end);
}

fn wait(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.run_for(SECOND);
        world.traffic();
    }
}

/// Where each end sends ESP from, or to: A's address.
fn is_at(world: &World) -> [IpAddr; 2] {
    let [ours, theirs] = [0, 1].map(|end| world.ends[end].plane.paths()[0].1);
    [ours.local.ip(), theirs.remote.ip()]
}

/// Where A was refused to be.
fn refused(world: &World) -> Vec<IpAddr> {
    let of = |event: &Event| match event {
        Event::AddressesRefused { path, reason, .. } => {
            assert_eq!(*reason, UNACCEPTABLE_ADDRESSES);
            Some(path.local.ip())
        }
        _ => None,
    };
    world.ends[0].events.iter().filter_map(of).collect()
}

fn moves(world: &World, end: usize) -> usize {
    world.ends[end].events.iter().filter(|event| matches!(event, Event::Moved { .. })).count()
}

fn assert_undisturbed(world: &World) {
    assert_eq!((failures(world, 0), failures(world, 1)), (vec![], vec![]));
}

/// ```text
///   A  a probe, unanswered, then from each of its addresses          ->  B
///   A  UPDATE_SA_ADDRESSES from the first that is answered           ->  B
///   A  <--  UNACCEPTABLE_ADDRESSES
///   A  a question from all that are left, and so on, until it is where B lets it be
/// ```
#[test]
fn the_search_goes_on_until_a_pair_is_accepted() {
    for place in 0..4 {
        let mut world = up(place, 4);
        let before = world.picture(0, 0);
        let there = further(0, 4)[place as usize];
        only_at(&mut world, there);
        world.cut.insert(settings::outer(0));
        wait(&mut world, 60);
        world.assert_converged();
        assert_eq!(is_at(&world), [there; 2]);
        assert_eq!(world.picture(0, 0), before, "nothing is negotiated anew");
        assert_eq!((moves(&world, 0), moves(&world, 1)), (1, 1), "what is refused is no move");
        assert!(refused(&world).len() <= 3 && !refused(&world).contains(&there));
        assert_undisturbed(&world);
    }
    let mut world = up(0, 4);
    only_at(&mut world, further(0, 4)[3]);
    world.cut.insert(settings::outer(0));
    wait(&mut world, 60);
    assert!(!refused(&world).is_empty(), "some were refused on the way");
}

/// Where every other pair is refused the tunnel is where it was, once somebody answers there again.
#[test]
fn it_returns_to_the_pair_that_worked() {
    for seed in 0..8 {
        let mut world = up(seed, 3);
        let before = world.picture(0, 0);
        only_at(&mut world, settings::outer(0));
        world.cut.insert(settings::outer(0));
        while refused(&world).len() < 3 {
            world.run_for(SECOND / 10);
        }
        assert_eq!(is_at(&world), [settings::outer(0); 2], "ESP is back at once");
        world.cut.clear();
        wait(&mut world, 60);
        world.assert_converged();
        assert_eq!((is_at(&world), world.picture(0, 0)), ([settings::outer(0); 2], before));
        assert_eq!((refused(&world).len(), moves(&world, 0), moves(&world, 1)), (3, 0, 0));
        assert_undisturbed(&world);
        // What was refused is not refused for ever.
        configure(&mut world, 1, connection(1, 0));
        world.cut.insert(settings::outer(0));
        wait(&mut world, 60);
        world.assert_converged();
        assert!(is_at(&world)[0] != settings::outer(0));
        assert_eq!((moves(&world, 0), moves(&world, 1)), (1, 1));
        assert_undisturbed(&world);
    }
}

/// Where nobody answers any more at the only pair that is not refused, the tunnel ends, and says that it is for the others.
#[test]
fn it_ends_when_no_pair_is_left() {
    let mut world = up(0, 3);
    only_at(&mut world, settings::outer(0));
    world.cut.insert(settings::outer(0));
    wait(&mut world, 120);
    assert_eq!((refused(&world).len(), failures(&world, 0)), (3, vec!["RV-NET-004"]));
    world.assert_empty();
}

/// The operator gives the tunnel another address, which the peer refuses: it goes on from one that is still ours.
#[test]
fn a_refused_move_of_ours_goes_back() {
    let there = settings::elsewhere(5);
    for (keeps, ends) in [(true, false), (false, true)] {
        let mut world = up(0, 0);
        only_at(&mut world, settings::outer(0));
        let kept = if keeps { vec![settings::outer(0)] } else { Vec::new() };
        world.settle_at(0, kept.clone());
        world.relocate(0, there, Connection { further_addresses: kept, ..settings::mobile(0) });
        wait(&mut world, 60);
        assert_eq!(failures(&world, 0), if ends { vec!["RV-NET-004"] } else { vec![] });
        assert_eq!(refused(&world), [there]);
        if !ends {
            world.assert_converged();
            assert_eq!(is_at(&world), [settings::outer(0); 2]);
        }
    }
}

/// Rekeys meet the search, and what an IKE SA leaves unsaid the next one says.
#[test]
fn a_search_meets_rekeys_of_both_ends() {
    let mut met = 0;
    for skew in [0, 300, 2000, 2500, 3000, 3500, 4500] {
        for (own, whole) in [(0, false), (1, false), (0, true), (1, true)] {
            let mut world = up(skew, 3);
            only_at(&mut world, further(0, 3)[2]);
            world.cut.insert(settings::outer(0));
            // The pair that is accepted may be the first to answer.
            let began = world.now;
            while refused(&world).is_empty() && world.now < began + 30 * SECOND {
                world.run_for(SECOND / 50);
            }
            met += refused(&world).len();
            world.run_for(skew);
            match (whole, world.ikes(own).first(), world.children(own).first()) {
                (true, Some(ike), _) => world.command(own, Command::RekeyIke { ike: *ike }),
                (false, _, Some(child)) => world.command(own, Command::RekeyChild { child: *child }),
                _ => panic!("it is gone: {skew} {own} {whole}"),
            }
            wait(&mut world, 60);
            world.assert_converged();
            assert_eq!(is_at(&world), [further(0, 3)[2]; 2], "{skew} {own} {whole}");
            assert_undisturbed(&world);
        }
    }
    assert!(met > 10, "{met}");
}

/// An update that is lost is repeated between other pairs, and the peer refuses the copy that reaches it first: that is
/// not held against the pair that it lets us be at.
#[test]
fn a_refusal_of_another_copy_is_doubted() {
    for (seed, lost) in (0..8).flat_map(|seed| (0..5).map(move |lost| (seed, lost))) {
        let mut world = up(seed, 3);
        only_at(&mut world, settings::outer(0));
        world.cut.insert(settings::outer(0));
        while refused(&world).is_empty() {
            world.run_for(SECOND / 50);
        }
        world.cut.clear();
        // Of each request the first copies.
        let mut copies: BTreeMap<[u8; 4], u64> = BTreeMap::new();
        world.gate = Some(Box::new(move |from, bytes| {
            let is_request = from == 0 && kind(bytes) == (INFORMATIONAL, false);
            let sent = copies.entry(bytes[20..24].try_into().unwrap()).or_default();
            *sent += u64::from(is_request);
            !is_request || *sent > lost
        }));
        wait(&mut world, 60);
        world.gate = None;
        wait(&mut world, 60);
        world.assert_converged();
        assert_eq!(is_at(&world), [settings::outer(0); 2], "{seed} {lost}");
        assert_undisturbed(&world);
    }
}

/// Whatever is refused, cut and given back when, and however late what comes: in the end the tunnel is where it may be.
#[test]
fn seeded_lives() {
    let mut told = 0;
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut world = up(seed, 3);
        let places = [vec![settings::outer(0)], further(0, 3)].concat();
        world.faults.delay = 1000 + dice.below(400_000);
        world.faults.repeat = dice.below(200);
        for _ in 0..4 {
            let (allowed, cut) = (dice.below(4) as usize, dice.below(4) as usize);
            only_at(&mut world, places[allowed]);
            world.cut = [places[cut]].into_iter().filter(|_| cut != allowed).collect();
            wait(&mut world, 20 + dice.below(20));
        }
        world.cut.clear();
        world.faults.delay = 1000;
        wait(&mut world, 60);
        world.assert_converged();
        assert_eq!(world.ikes(0).len(), 1, "{seed}");
        assert_undisturbed(&world);
        told += refused(&world).len();
    }
    assert!(told > 50, "{told}");
}
