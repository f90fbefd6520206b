//! Childless initiation (RFC 6023): IKE_AUTH proves both sides and makes no CHILD_SA; CREATE_CHILD_SA makes the first,
//! with a key exchange of its own. The called end can always do it, the caller does it where it is configured.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{Faults, World, failures, kind, pair, pair_of, settings};
use ravelin_ike::config::{ChildId, Connection, Group, PpkIdKind, Selector};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use std::sync::mpsc::Receiver;

const SECOND: u64 = 1_000_000;
const IKE_SA_INIT: u8 = 34;
const IKE_AUTH: u8 = 35;
const CREATE_CHILD_SA: u8 = 36;

fn childless(connection: Connection) -> Connection {
    Connection { childless: true, ..connection }
}

fn call(world: &mut World, end: usize, child: Option<ChildId>) {
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child });
}

/// Requests by exchange type, in their order, without repetitions.
fn watch(world: &mut World) -> Receiver<u8> {
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |_, bytes| {
        let (exchange, response) = kind(bytes);
        if !response {
            sender.send(exchange).unwrap();
        }
        true
    }));
    receiver
}

fn requests(seen: &Receiver<u8>) -> Vec<u8> {
    let mut seen: Vec<u8> = seen.try_iter().collect();
    seen.dedup();
    seen
}

/// ```text
///   A  IKE_SA_INIT  -------  B   with N(CHILDLESS_IKEV2_SUPPORTED) in the answer
///   A  IKE_AUTH{IDi, AUTH}  -------  B
///   A  CREATE_CHILD_SA{SA, Ni, KEi, TSi, TSr}  -------  B
/// ```
#[test]
fn the_first_child_comes_after_ike_auth() {
    for caller in 0..2 {
        for certificates in [false, true] {
            let base = if certificates { settings::with_certificates } else { settings::connection };
            let mut world =
                pair([0, 1].map(|end| if end == caller { childless(base(end)) } else { base(end) }));
            let seen = watch(&mut world);
            // The second child has forward secrecy configured: no IKE_AUTH could give it that.
            call(&mut world, caller, Some(ChildId(2)));
            world.run_for(SECOND);
            world.assert_converged();
            assert_eq!(requests(&seen), [IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA]);
            let up = |event: &Event| if let Event::ChildUp(up) = event { Some(up.suite.group) } else { None };
            let groups: Vec<_> = world.ends[1 - caller].events.iter().filter_map(up).collect();
            assert_eq!(groups, [Some(Group::X25519)]);
            // Called back, the other end brings its child with IKE_AUTH.
            world.command(caller, Command::Terminate { connection: settings::CONNECTION });
            world.run_for(20 * SECOND);
            world.assert_empty();
            seen.try_iter().for_each(drop);
            call(&mut world, 1 - caller, Some(ChildId(1)));
            world.run_for(SECOND);
            world.assert_converged();
            assert_eq!(requests(&seen), [IKE_SA_INIT, IKE_AUTH]);
            assert_eq!(world.children(0).len(), 1);
        }
    }
}

/// Children that were asked for while the call was under way come too, each once.
#[test]
fn every_child_that_is_wanted_comes_once() {
    let mut world = pair([childless(settings::connection(0)), settings::connection(1)]);
    for child in [None, Some(ChildId(1)), Some(ChildId(2)), Some(ChildId(2))] {
        call(&mut world, 0, child);
    }
    world.run_for(5 * SECOND);
    world.assert_converged();
    assert_eq!((world.ikes(0).len(), world.children(0).len(), world.tally.child_up), (1, 2, 4));
}

/// A child that cannot be agreed on leaves the IKE SA up, and the reason is told.
#[test]
fn a_child_that_is_refused_leaves_the_ike_sa_up() {
    let mut called = settings::connection(1);
    called.children[0].local = vec![Selector::prefix("10.77.0.0".parse().unwrap(), 24)];
    called.children.truncate(1);
    let mut world = pair([childless(settings::connection(0)), called]);
    call(&mut world, 0, Some(ChildId(1)));
    world.run_for(5 * SECOND);
    assert_eq!((world.ikes(0).len(), world.ikes(1).len(), world.children(0).len()), (1, 1, 0));
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-CHILD-002"], vec!["RV-CHILD-001"]));
    world.assert_converged();
}

/// With all that may be in IKE_AUTH beside it, in a bad world: the same end as in a good one.
#[test]
fn seeded_lives() {
    for seed in 0..60u8 {
        let connections = [0, 1].map(|end| {
            let base = if seed % 3 == 0 { settings::with_certificates } else { settings::connection };
            let mut connection = base(end);
            if seed % 2 == 0 {
                connection = settings::with_additional(connection, &[Group::MlKem512]);
            }
            if seed % 5 < 3 {
                let ppk = settings::ppk(PpkIdKind::Fixed, "both", "a secret");
                connection = settings::with_ppks(connection, &[ppk], seed % 5 == 0);
            }
            childless(connection)
        });
        let mut world = pair_of(seed, connections);
        world.faults = Faults {
            loss: world.dice.below(250),
            repeat: world.dice.below(300),
            delay: 1000 + world.dice.below(400_000),
            answer_delay: 1 + world.dice.below(200_000),
            ..Faults::default()
        };
        let caller = usize::from(seed % 2);
        for _ in 0..3 {
            call(&mut world, caller, None);
            world.run_for(30 * SECOND);
        }
        world.faults = Faults { delay: 1000, ..Faults::default() };
        world.run_for(60 * SECOND);
        call(&mut world, caller, None);
        for _ in 0..6 {
            world.run_for(10 * SECOND);
            world.traffic();
        }
        world.assert_converged();
        assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{seed}");
    }
}

/// Closed at any moment, by either end, nothing is left behind. An end that was closed before it was called, or before
/// the caller was proven, comes up all the same; it is closed again.
#[test]
fn closing_in_the_middle_leaves_nothing_behind() {
    for (end, pause) in [0, 1].into_iter().flat_map(|end| (0..16).map(move |pause| (end, pause))) {
        let mut world = pair([0, 1].map(|end| childless(settings::with_certificates(end))));
        call(&mut world, 0, None);
        world.run_for(pause * 900);
        for end in [end, 1 - end] {
            world.command(end, Command::Terminate { connection: settings::CONNECTION });
            world.run_for(200 * SECOND);
        }
        world.assert_empty();
    }
}
