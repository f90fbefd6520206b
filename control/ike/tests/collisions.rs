//! Exchanges that cross each other, drawn as arrows: A on the left, B on the right, time runs down. What must come
//! out is in RFC 7296 §2.8.1, §2.8.2 and §2.25.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness;
use crate::harness::{World, connected, kind, settings};
use ravelin_ike::config::{
    AdditionalGroups, ChildId, Connection, ConnectionId, Encryption, Group, IkeProposal, InitialContact, Prf,
    RemoteAddress,
};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::want::Role;

const SECOND: u64 = 1_000_000;
const IKE_SA_INIT: u8 = 34;
const IKE_AUTH: u8 = 35;
const CREATE_CHILD_SA: u8 = 36;
const INFORMATIONAL: u8 = 37;

fn rekey_child(world: &mut World, end: usize) {
    let child = world.children(end)[0];
    world.command(end, Command::RekeyChild { child });
}

fn rekey_ike(world: &mut World, end: usize) {
    let ike = world.ikes(end)[0];
    world.command(end, Command::RekeyIke { ike });
}

/// Drops the first `count` datagrams from this end of this exchange type and direction.
fn drop_first(world: &mut World, end: usize, exchange: u8, response: bool, count: u32) {
    let mut left = count;
    world.gate = Some(Box::new(move |from, bytes| {
        let hit = from == end && kind(bytes) == (exchange, response) && left > 0;
        left -= u32::from(hit);
        !hit
    }));
}

fn settle(world: &mut World) {
    for _ in 0..12 {
        world.run_for(5 * SECOND);
        world.traffic();
    }
    world.assert_converged();
}

fn collisions(world: &World) -> [u64; 2] {
    [0, 1].map(|end| world.ends[end].engine.counters().collisions)
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  --\ /-->  B
///   A  <--                           --/ \--   CREATE_CHILD_SA{N(REKEY_SA)}
///      both answered; the lowest of four nonces decides; the loser's maker deletes it
/// ```
#[test]
fn both_rekey_one_child() {
    let mut world = connected();
    let before = world.picture(0, 0);
    rekey_child(&mut world, 0);
    rekey_child(&mut world, 1);
    settle(&mut world);
    assert_eq!(collisions(&world), [1, 1]);
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1));
    assert_ne!(world.picture(0, 0), before);
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  ------->  B
///   A        lost  <--                         CREATE_CHILD_SA{N(REKEY_SA)}, sent at the same time
///   A  <-------                                its answer
///   A  D(old)  ----------------------------->  B
///   A  <-------                                the repetition: too late, TEMPORARY_FAILURE or not found
/// ```
#[test]
fn one_of_two_rekeys_comes_late() {
    for late in 0..2 {
        for lost in 1..4 {
            let mut world = connected();
            drop_first(&mut world, late, CREATE_CHILD_SA, false, lost);
            rekey_child(&mut world, 0);
            rekey_child(&mut world, 1);
            settle(&mut world);
            assert_eq!(world.children(0).len(), 1, "end {late} late, {lost} lost");
        }
    }
}

/// ```text
///   both rekey, and answers are lost on the way back
/// ```
#[test]
fn answers_of_crossing_rekeys_are_lost() {
    for end in 0..2 {
        for lost in 1..4 {
            let mut world = connected();
            drop_first(&mut world, end, CREATE_CHILD_SA, true, lost);
            rekey_child(&mut world, 0);
            rekey_child(&mut world, 1);
            settle(&mut world);
            assert_eq!(world.children(0).len(), 1, "from {end}, {lost} lost");
        }
    }
}

/// ```text
///   A  INFORMATIONAL{D(child)}       --\ /-->  B
///   A  <--                           --/ \--   CREATE_CHILD_SA{N(REKEY_SA, child)}
///      TEMPORARY_FAILURE to the rekey, the delete wins
/// ```
#[test]
fn a_delete_meets_a_rekey() {
    for deleter in 0..2 {
        let mut world = connected();
        let child = world.children(deleter)[0];
        world.command(deleter, Command::TerminateChild { child });
        rekey_child(&mut world, 1 - deleter);
        settle(&mut world);
        assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 0));
    }
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  ------->  B
///   A        lost  <--                         its answer
///   A  <-------                                D(new): made and deleted before A heard of it
/// ```
#[test]
fn a_successor_is_deleted_before_its_asker_hears_of_it() {
    let mut world = connected();
    drop_first(&mut world, 1, CREATE_CHILD_SA, true, 1);
    rekey_child(&mut world, 0);
    world.run_for(SECOND / 4);
    let child = *world.children(1).last().unwrap();
    world.command(1, Command::TerminateChild { child });
    settle(&mut world);
}

/// ```text
///   A  INFORMATIONAL{D(child)}       --\ /-->  B
///   A  <--                           --/ \--   INFORMATIONAL{D(child)}
///      both answered without a Delete payload
/// ```
#[test]
fn both_delete_one_child() {
    let mut world = connected();
    for end in 0..2 {
        let child = world.children(end)[0];
        world.command(end, Command::TerminateChild { child });
    }
    settle(&mut world);
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 0));
}

/// ```text
///   A  CREATE_CHILD_SA{SA(IKE)}      --\ /-->  B
///   A  <--                           --/ \--   CREATE_CHILD_SA{SA(IKE)}
///      one IKE SA is left, and the CHILD_SA lives through it all
/// ```
#[test]
fn both_rekey_the_ike_sa() {
    let mut world = connected();
    let (spis, child) = (world.picture(0, 0), world.children(0));
    rekey_ike(&mut world, 0);
    rekey_ike(&mut world, 1);
    settle(&mut world);
    assert_eq!(collisions(&world), [1, 1]);
    assert_eq!((world.ikes(0).len(), world.children(0)), (1, child));
    assert_ne!(world.picture(0, 0), spis);
}

#[test]
fn crossing_ike_rekeys_lose_messages() {
    for (end, exchange, response) in [0, 1].into_iter().flat_map(|end| {
        [(CREATE_CHILD_SA, false), (CREATE_CHILD_SA, true), (INFORMATIONAL, false), (INFORMATIONAL, true)]
            .map(|(exchange, response)| (end, exchange, response))
    }) {
        for lost in 1..4 {
            let mut world = connected();
            let child = world.children(0);
            drop_first(&mut world, end, exchange, response, lost);
            rekey_ike(&mut world, 0);
            rekey_ike(&mut world, 1);
            settle(&mut world);
            assert_eq!(
                (world.ikes(0).len(), world.children(0)),
                (1, child),
                "{end} {exchange} {response} {lost}"
            );
        }
    }
}

/// ```text
///   A  CREATE_CHILD_SA{SA(IKE)}      --\ /-->  B
///   A  <--                           --/ \--   CREATE_CHILD_SA{SA(ESP), TSi, TSr}
///      TEMPORARY_FAILURE to both, tried again after a while
/// ```
#[test]
fn a_child_is_asked_for_while_the_ike_sa_is_rekeyed() {
    for rekeyer in 0..2 {
        let mut world = connected();
        let ike = world.picture(0, 0).pop().unwrap();
        rekey_ike(&mut world, rekeyer);
        let child = Some(ChildId(2));
        world.command(1 - rekeyer, Command::Initiate { connection: settings::CONNECTION, child });
        settle(&mut world);
        assert_eq!(world.children(0).len(), 2);
        assert_ne!(world.picture(0, 0).pop().unwrap(), ike);
    }
}

/// ```text
///   A  CREATE_CHILD_SA{SA(IKE)}      --\ /-->  B
///   A  <--                           --/ \--   CREATE_CHILD_SA{N(REKEY_SA)}
/// ```
#[test]
fn a_child_is_rekeyed_while_the_ike_sa_is() {
    for rekeyer in 0..2 {
        let mut world = connected();
        let before = world.picture(0, 0);
        rekey_ike(&mut world, rekeyer);
        rekey_child(&mut world, 1 - rekeyer);
        settle(&mut world);
        let after = world.picture(0, 0);
        assert!(after.len() == before.len() && after.iter().all(|line| !before.contains(line)), "{after:#?}");
    }
}

/// ```text
///   A  CREATE_CHILD_SA{SA(IKE)}      --\ /-->  B
///   A  <--                           --/ \--   INFORMATIONAL{D(child)}
/// ```
#[test]
fn a_child_is_deleted_while_the_ike_sa_is_rekeyed() {
    for rekeyer in 0..2 {
        let mut world = connected();
        rekey_ike(&mut world, rekeyer);
        let child = world.children(1 - rekeyer)[0];
        world.command(1 - rekeyer, Command::TerminateChild { child });
        settle(&mut world);
        assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 0));
    }
}

/// ```text
///   A  CREATE_CHILD_SA{SA(IKE)}      --\ /-->  B
///   A  <--                           --/ \--   INFORMATIONAL{D(IKE)}
///      the end wins
/// ```
#[test]
fn the_ike_sa_is_deleted_while_it_is_rekeyed() {
    for rekeyer in 0..2 {
        let mut world = connected();
        rekey_ike(&mut world, rekeyer);
        let ike = world.ikes(1 - rekeyer)[0];
        world.command(1 - rekeyer, Command::TerminateIke { ike });
        world.run_for(200 * SECOND);
        assert_eq!(world.ikes(0).len() + world.ikes(1).len(), 0);
        world.assert_empty();
    }
}

/// ```text
///   A  INFORMATIONAL{D(IKE)}         --\ /-->  B
///   A  <--                           --/ \--   INFORMATIONAL{D(IKE)}
/// ```
#[test]
fn both_delete_the_ike_sa() {
    let mut world = connected();
    for end in 0..2 {
        world.command(end, Command::Terminate { connection: settings::CONNECTION });
    }
    world.run_for(SECOND);
    world.assert_empty();
}

fn crossed(world: &World) -> [u64; 2] {
    [0, 1].map(|end| world.ends[end].engine.counters().crossed_calls)
}

fn call(world: &mut World, end: usize, child: u32) {
    let child = Some(ChildId(child));
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child });
}

/// ```text
///   A  IKE_SA_INIT                   --\ /-->  B
///   A  <--                           --/ \--   IKE_SA_INIT
///      both come up; the lowest of four nonces decides; the loser's caller closes it when its children are taken over
/// ```
#[test]
fn both_call() {
    let mut closed_by = [0, 0];
    for seed in 0..16 {
        let mut world = harness::pair_of(seed, [0, 1].map(settings::connection));
        call(&mut world, 0, 1);
        call(&mut world, 1, 1);
        world.run_for(2 * SECOND);
        assert_eq!((world.ikes(0).len(), crossed(&world)), (2, [1, 1]), "{seed}");
        world.run_for(18 * SECOND);
        world.traffic();
        assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{seed}");
        settle(&mut world);
        let role = world.ends[0].engine.snapshot()[0].role;
        closed_by[usize::from(role == Role::Initiator)] += 1;
        assert_eq!(crossed(&world), [1, 1]);
    }
    assert!(closed_by.iter().all(|count| *count > 0), "{closed_by:?}");
}

/// Each end called for another child: what remains has both.
#[test]
fn both_call_for_different_children() {
    for seed in 0..16 {
        let mut world = harness::pair_of(seed, [0, 1].map(settings::connection));
        call(&mut world, 0, 1);
        call(&mut world, 1, 2);
        settle(&mut world);
        assert_eq!((world.ikes(0).len(), world.children(0).len(), crossed(&world)), (1, 2, [1, 1]), "{seed}");
    }
}

/// The same, and messages of every kind are lost.
#[test]
fn crossing_calls_lose_messages() {
    for (end, exchange, response) in [0, 1].into_iter().flat_map(|end| {
        [(IKE_SA_INIT, false), (IKE_SA_INIT, true), (IKE_AUTH, false), (IKE_AUTH, true)]
            .into_iter()
            .chain([(CREATE_CHILD_SA, true), (INFORMATIONAL, true)])
            .map(move |(exchange, response)| (end, exchange, response))
    }) {
        for lost in 1..4 {
            let mut world = harness::pair_of(u8::try_from(lost).unwrap(), [0, 1].map(settings::connection));
            drop_first(&mut world, end, exchange, response, lost);
            call(&mut world, 0, 1);
            call(&mut world, 1, 2);
            settle(&mut world);
            let what = format!("{end} {exchange} {response} {lost}");
            assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 2), "{what}");
        }
    }
}

/// The peer has no rule and keeps both: it calls by one connection and is called by another, so that for it they are
/// two. We close the loser even if the peer called, in its time.
#[test]
fn a_peer_without_the_rule_is_not_left_with_both() {
    for seed in 0..16 {
        let suite = |encryption| IkeProposal {
            encryption: vec![encryption],
            integrity: vec![],
            prf: vec![Prf::HmacSha256],
            groups: vec![Group::X25519],
            additional: AdditionalGroups::NONE,
        };
        let (first, second) = (suite(Encryption::AesGcm256), suite(Encryption::AesGcm128));
        // Our own call offers what only one of the peer's connections takes, then we take what the other one offers.
        let mut ours = settings::connection(0);
        ours.proposals = vec![first.clone()].into();
        let (mut calling, mut called) = (settings::connection(1), settings::connection(1));
        calling.proposals = vec![second].into();
        called.proposals = vec![first].into();
        called.remote = RemoteAddress::Any;
        let mut world = harness::pair_of(seed, [ours.clone(), calling]);
        let now = world.at();
        world.ends[1].engine.set_connection(now, ConnectionId(8), Some(called));
        call(&mut world, 0, 1);
        ours.proposals = settings::connection(0).proposals;
        world.ends[0].engine.set_connection(now, settings::CONNECTION, Some(ours));
        call(&mut world, 1, 1);
        world.run_for(2 * SECOND);
        assert_eq!((world.ikes(0).len(), crossed(&world)), (2, [1, 0]), "{seed}");
        world.run_for(50 * SECOND);
        settle(&mut world);
        assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{seed}");
    }
}

/// A peer that we called proves itself anew by a call of its own, and then deletes the first (strongSwan's
/// make_before_break): we send by the first until it sends by the second, or has deleted the first.
///
/// ```text
///   A  IKE_SA_INIT, IKE_AUTH            <------>   B   up
///   A  sends by the first               <------    B   IKE_SA_INIT, IKE_AUTH
///   A  sends by the second              <------    B   INFORMATIONAL{D(IKE)} in the first
/// ```
#[test]
fn a_peer_that_we_called_calls_and_loses_nothing() {
    for (seed, peer_sends) in (0..8).flat_map(|seed| [(seed, true), (seed, false)]) {
        let mut world = harness::pair_of(seed, [0, 1].map(settings::connection));
        let now = world.at();
        // That it is not its only one it cannot know by itself.
        let another = Connection { initial_contact: InitialContact::Never, ..settings::connection(1) };
        world.ends[1].engine.set_connection(now, ConnectionId(8), Some(another));
        call(&mut world, 0, 1);
        world.run_for(SECOND);
        let first = world.ikes(1)[0];
        world.command(1, Command::Initiate { connection: ConnectionId(8), child: Some(ChildId(1)) });
        for _ in 0..500 {
            world.run_for(1_000);
            world.assert_carries();
            if peer_sends {
                world.traffic();
            }
        }
        assert_eq!((world.ikes(0).len(), crossed(&world)), (2, [1, 0]), "{seed}");
        world.command(1, Command::TerminateIke { ike: first });
        world.run_for(SECOND);
        world.assert_carries();
        world.traffic();
        assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{seed}");
        assert_eq!(told_of_children(&world, 0), ["up", "up", "down"], "it was never down: {seed}");
    }
}

fn told_of_children(world: &World, end: usize) -> Vec<&'static str> {
    let told = world.ends[end].events.iter().filter_map(|event| match event {
        Event::ChildUp(_) => Some("up"),
        Event::ChildDown { .. } => Some("down"),
        _ => None,
    });
    told.collect()
}

/// Where any peer may call, one that gives a second call up has us send on an SA that it does not have. When that one goes,
/// what the peer has is renewed, so that we send on it again.
///
/// ```text
///   A  IKE_SA_INIT, IKE_AUTH            <------>   B   up
///   A  IKE_SA_INIT, IKE_AUTH once more  ------->   B   sends, in the end, on the second's CHILD_SA
///      (answers to IKE_AUTH lost)      X-------    B
///   A  gives up                                    B   finds the second dead
///   A                                   <-------   B   CREATE_CHILD_SA{N(REKEY_SA)} in the first
/// ```
#[test]
fn an_abandoned_call_does_not_keep_its_place() {
    let never = |end| Connection { initial_contact: InitialContact::Never, ..settings::connection(end) };
    let mut world = harness::pair([never(0), Connection { remote: RemoteAddress::Any, ..never(1) }]);
    call(&mut world, 0, 1);
    world.run_for(SECOND);
    let again = ConnectionId(8);
    let now = world.at();
    world.ends[0].engine.set_connection(now, again, Some(never(0)));
    world.gate = Some(Box::new(|from, bytes| from == 0 || kind(bytes) != (IKE_AUTH, true)));
    world.command(0, Command::Initiate { connection: again, child: Some(ChildId(1)) });
    world.run_for(SECOND);
    assert_eq!(world.ikes(1).len(), 2);
    let is_there = |world: &World| world.ends[0].plane.was_installed(world.ends[1].plane.senders()[0].0);
    assert!(is_there(&world), "B goes on by the first");
    world.run_for(6 * SECOND);
    assert!(!is_there(&world), "A does not have it");
    world.run_for(60 * SECOND);
    settle(&mut world);
    assert_eq!((world.ikes(0).len(), world.children(1).len()), (1, 1));
}

/// A word that this is the first contact would make a peer forget its own call: it is not given while it calls.
#[test]
fn first_contact_is_not_claimed_while_the_peer_calls() {
    let first_request = |both: bool| {
        let mut world = harness::pair([0, 1].map(settings::connection));
        let (sender, receiver) = std::sync::mpsc::channel();
        world.gate = Some(Box::new(move |from, bytes| {
            if from == 0 && kind(bytes) == (IKE_AUTH, false) {
                sender.send(bytes.len()).unwrap();
            }
            true
        }));
        call(&mut world, 0, 1);
        if both {
            call(&mut world, 1, 1);
        }
        world.run_for(SECOND);
        receiver.try_recv().unwrap()
    };
    // A notification without SPI and data has eight octets.
    assert_eq!(first_request(false), first_request(true) + 8);
}
