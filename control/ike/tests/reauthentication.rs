//! Proofs of identity that count for a time (RFC 4478, RFC 7296 §2.8.3): a new IKE SA with its children takes the place of
//! the old one before that goes, and nothing that is sent meanwhile is lost.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness;
use crate::harness::{Faults, World, failures, kind, pair, pair_of, settings};
use ravelin_ike::config::{
    AuthenticationLifetime, ChildId, Connection, IdentityMatch, InitialContact, RemoteAddress,
};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SECOND: u64 = 1_000_000;
const CALLER: usize = 0;
const CALLED: usize = 1;
const INFORMATIONAL: u8 = 37;

/// Proofs of an end count so many seconds.
fn lasting(end: usize, seconds: u64) -> Connection {
    let lifetime = AuthenticationLifetime { jitter_percent: 0, ..of(seconds) };
    Connection { authentication_lifetime: Some(lifetime), ..settings::connection(end) }
}

fn of(seconds: u64) -> AuthenticationLifetime {
    AuthenticationLifetime::of(Duration::from_secs(seconds))
}

fn initiate(world: &mut World, child: Option<ChildId>) {
    world.command(CALLER, Command::Initiate { connection: settings::CONNECTION, child });
    world.run_for(SECOND);
}

/// Up with both children.
fn up(mut world: World) -> World {
    initiate(&mut world, None);
    initiate(&mut world, Some(ChildId(2)));
    world.traffic();
    world.assert_converged();
    assert_eq!((world.ikes(CALLED).len(), world.served(CALLED)), (1, vec![1, 2]));
    world
}

/// Runs for so many seconds; packets of both ends go all along, and none is lost.
fn carry(world: &mut World, seconds: u64) {
    carry_as(world, seconds, World::traffic);
}

fn carry_as(world: &mut World, seconds: u64, traffic: impl Fn(&mut World)) {
    let end = world.now + seconds * SECOND;
    while world.now < end {
        world.run_for(2_000);
        world.assert_carries();
        traffic(world);
    }
}

fn reauthenticated(world: &World, end: usize) -> usize {
    let is_it = |event: &&Event| matches!(event, Event::Reauthenticated { .. });
    world.ends[end].events.iter().filter(is_it).count()
}

/// Who called begins anew before its time is over, with all children; the old IKE SA goes when they are there.
#[test]
fn who_called_begins_anew_and_loses_nothing() {
    let mut world = up(pair([lasting(CALLER, 300), settings::connection(CALLED)]));
    let before = world.ikes(CALLER);
    carry(&mut world, 260);
    assert_eq!((world.ikes(CALLER), world.tally.reauthenticated), (before.clone(), 0));
    carry(&mut world, 30);
    assert_ne!(world.ikes(CALLER), before);
    world.assert_converged();
    assert_eq!((world.ikes(CALLER).len(), world.ikes(CALLED).len()), (1, 1));
    for end in [CALLER, CALLED] {
        assert_eq!((world.served(end), reauthenticated(&world, end)), (vec![1, 2], 1));
        assert_eq!(failures(&world, end), ["RV-END-010"]);
    }
    carry(&mut world, 270);
    assert_eq!(world.tally.reauthenticated, 4, "and again");
    world.assert_converged();
}

/// Where nothing is sent to it the called end goes on by the old SAs until they are deleted, and then by the new ones.
#[test]
fn a_called_end_that_hears_nothing_switches_when_the_old_one_goes() {
    let mut world = up(pair([lasting(CALLER, 300), settings::connection(CALLED)]));
    carry_as(&mut world, 300, |_| {});
    assert_eq!(world.tally.reauthenticated, 2);
    world.assert_converged();
}

/// A caller may take out its old SAs as soon as its Delete is answered: what was sent by them has arrived by then.
#[test]
fn what_is_under_way_arrives_before_the_delete_is_answered() {
    let mut world = up(pair([lasting(CALLER, 300), settings::connection(CALLED)]));
    let (before, patience) = (sends_by(&world), world.now + 300 * SECOND);
    while sends_by(&world) == before && world.now < patience {
        world.run_for(1_000);
    }
    let (answers, switched) = (Arc::new(AtomicUsize::new(0)), world.now);
    let counted = answers.clone();
    world.gate = Some(Box::new(move |end, bytes| {
        let is_answer = end == CALLED && kind(bytes) == (INFORMATIONAL, true);
        counted.fetch_add(usize::from(is_answer), Ordering::Relaxed);
        true
    }));
    world.run_for(95_000);
    assert_eq!(answers.load(Ordering::Relaxed), 0, "switched at {switched}");
    world.run_for(10_000);
    assert_eq!(answers.load(Ordering::Relaxed), 1);
}

/// By which SPIs the called end sends.
fn sends_by(world: &World) -> Vec<u32> {
    world.ends[CALLED].plane.senders().into_iter().map(|(spi, ..)| spi).collect()
}

/// "AUTH_LIFETIME" of the called end is heeded by who called, whatever that has configured itself; a rekey does not
/// prolong it.
#[test]
fn what_the_called_end_says_is_heeded() {
    for own in [settings::connection(CALLER), lasting(CALLER, 3000)] {
        let mut world = up(pair([own, lasting(CALLED, 300)]));
        carry(&mut world, 100);
        let ike = world.ikes(CALLED)[0];
        world.command(CALLED, Command::RekeyIke { ike });
        carry(&mut world, 100);
        assert_eq!((world.tally.ike_rekeyed, world.tally.reauthenticated), (2, 0));
        carry(&mut world, 95);
        assert_eq!(world.tally.reauthenticated, 2);
        world.assert_converged();
    }
}

/// Who does not repeat its proof in time is deleted, and told so.
#[test]
fn who_does_not_prove_itself_anew_is_deleted() {
    let mut world = up(pair([settings::connection(CALLER), lasting(CALLED, 100)]));
    world.gate = Some(Box::new(|_, bytes| kind(bytes).0 != 34));
    world.run_for(90 * SECOND);
    assert_eq!(world.ikes(CALLED).len(), 1);
    world.run_for(20 * SECOND);
    assert_eq!((world.ikes(CALLED).len(), failures(&world, CALLED)), (0, vec!["RV-END-011"]));
    assert!(failures(&world, CALLER).contains(&"RV-END-004"), "{:?}", failures(&world, CALLER));
    assert_eq!(world.ends[CALLED].engine.counters().proofs_expired, 1);
    world.gate = None;
    initiate(&mut world, None);
    world.assert_converged();
}

/// A call that comes to nothing is followed by another one, as long as there is time.
#[test]
fn a_call_that_fails_is_repeated() {
    let mut world = up(pair([lasting(CALLER, 3000), settings::connection(CALLED)]));
    world.gate = Some(Box::new(|_, bytes| kind(bytes).0 != 34));
    world.run_for(2700 * SECOND);
    carry(&mut world, 60);
    assert_eq!((world.tally.reauthenticated, failures(&world, CALLER)), (0, vec!["RV-NET-001"]));
    world.gate = None;
    carry(&mut world, 35);
    assert_eq!(world.tally.reauthenticated, 2);
    world.assert_converged();
}

/// Another lifetime applies to what is up: the caller hears of it in an INFORMATIONAL exchange, and has time even where
/// it is over already.
#[test]
fn another_lifetime_is_told_while_up() {
    for (seconds, within) in [(200, 100), (30, 10)] {
        let mut world = up(pair([settings::connection(CALLER), lasting(CALLED, 3000)]));
        carry(&mut world, 90);
        let now = world.at();
        let changed = Some(lasting(CALLED, seconds));
        world.ends[CALLED].engine.set_connection(now, settings::CONNECTION, changed);
        world.drain(CALLED);
        carry(&mut world, within);
        assert_eq!(world.tally.reauthenticated, 2, "{seconds} s");
        world.assert_converged();
    }
    let mut world = up(pair([settings::connection(CALLER), lasting(CALLED, 300)]));
    let now = world.at();
    world.ends[CALLED].engine.set_connection(now, settings::CONNECTION, Some(settings::connection(CALLED)));
    world.run_for(100 * SECOND);
    world.gate = Some(Box::new(|_, bytes| kind(bytes).0 != 34));
    world.run_for(300 * SECOND);
    assert_eq!(world.ikes(CALLED).len(), 1, "a lifetime that is configured no more ends nothing");
}

/// By command, with the peer's identity open, or where the called end replaces older IKE SAs by a rule of its own.
#[test]
fn other_rules_about_one_peer_lose_nothing_either() {
    let open = Connection { remote_identity: IdentityMatch::Any, ..settings::connection(CALLED) };
    let replaces = Connection { initial_contact: InitialContact::Replace, ..settings::connection(CALLED) };
    let never = Connection { initial_contact: InitialContact::Never, ..settings::connection(CALLED) };
    for called in [open, replaces, never] {
        let mut world = up(pair([settings::connection(CALLER), called]));
        let ike = world.ikes(CALLER)[0];
        world.command(CALLER, Command::Reauthenticate { ike });
        carry(&mut world, 30);
        assert_eq!((world.tally.reauthenticated, world.ikes(CALLED).len()), (2, 1));
        world.assert_converged();
    }
}

/// Without a child in IKE_AUTH, and with children of their own key exchanges.
#[test]
fn childless_calls_hand_over_when_their_children_are_there() {
    let caller = Connection { childless: true, ..settings::connection(CALLER) };
    let mut world = up(pair([caller, settings::connection(CALLED)]));
    let ike = world.ikes(CALLER)[0];
    world.command(CALLER, Command::Reauthenticate { ike });
    carry(&mut world, 30);
    assert_eq!((world.tally.reauthenticated, world.served(CALLED)), (2, vec![1, 2]));
    world.assert_converged();
}

/// Who was called does not begin: the caller may be anywhere, and need proofs that only it has.
#[test]
fn only_who_called_begins() {
    let mut world = up(pair([settings::connection(CALLER), settings::connection(CALLED)]));
    let ike = world.ikes(CALLED)[0];
    world.command(CALLED, Command::Reauthenticate { ike });
    world.run_for(10 * SECOND);
    assert_eq!((world.tally.reauthenticated, world.ikes(CALLED)), (0, vec![ike]));
}

/// A peer of a gateway that comes again has the connection that it has, in which the new IKE SA takes over; it is given
/// back when the last of them is gone.
#[test]
fn a_peer_of_a_gateway_takes_over_its_own_tunnel() {
    let gateway = Connection { remote: RemoteAddress::Gateway, ..settings::connection(CALLED) };
    let mut world = pair([lasting(CALLER, 300), gateway]);
    world.ends[CALLED].admits =
        Some(Connection { remote: RemoteAddress::Admitted, ..settings::connection(CALLED) });
    world.ends[CALLED].takes_over = true;
    let mut world = up(world);
    let connection = world.ends[CALLED].admitted.clone();
    carry(&mut world, 600);
    assert_eq!((world.tally.reauthenticated, world.ends[CALLED].admitted.clone()), (4, connection));
    world.assert_converged();
    world.command(CALLER, Command::Terminate { connection: settings::CONNECTION });
    world.run_for(60 * SECOND);
    world.assert_empty();
}

/// The children of such a peer are chosen by what it asks for; asked for in another order they stay what they were.
#[test]
fn children_stay_what_they_were_in_another_order() {
    let wide = |end: usize| {
        let mut connection = settings::connection(end);
        for child in &mut connection.children {
            let all = ravelin_ike::config::Selector::prefix([10, 0, 0, 0].into(), 8);
            (child.local, child.remote) = (vec![all], vec![all]);
            child.proposals = settings::child(end, 1, false).proposals;
        }
        connection
    };
    let mut caller = settings::connection(CALLER);
    caller.children[1].proposals = caller.children[0].proposals.clone();
    let mut world = up(pair([caller.clone(), wide(CALLED)]));
    let picture = |world: &World| {
        let snapshot = world.ends[CALLED].engine.snapshot();
        let up = snapshot.iter().flat_map(|ike| &ike.children).filter(|child| child.live);
        up.map(|child| (child.child.config, child.child.remote.clone())).collect::<Vec<_>>()
    };
    let before = picture(&world);
    // What is down when its time has come is asked for last.
    let first = world.children(CALLER)[0];
    world.command(CALLER, Command::RekeyChild { child: first });
    carry(&mut world, 10);
    caller.children.reverse();
    let now = world.at();
    world.ends[CALLER].engine.set_connection(now, settings::CONNECTION, Some(caller));
    let ike = world.ikes(CALLER)[0];
    world.command(CALLER, Command::Reauthenticate { ike });
    carry(&mut world, 30);
    let mut after = picture(&world);
    after.sort_by_key(|(config, _)| *config);
    assert_eq!(after, before);
    world.assert_converged();
}

/// A session that is resumed rests on the proof of before: it ends when that does.
#[test]
fn resumption_is_no_new_proof() {
    let resumes = |connection| Connection { resumption: true, ..connection };
    let keys = |end| Some(settings::ticket_keys(end, 0, Duration::ZERO));
    let mut number = 0;
    let connections = [settings::connection(CALLER), lasting(CALLED, 1000)].map(resumes);
    let engines = connections.map(|connection| {
        number += 1;
        let config =
            ravelin_ike::config::EngineConfig { ticket_keys: keys(number), ..settings::engine_config() };
        let mut engine = ravelin_ike::Engine::new(config, [number as u8; 32]);
        engine.set_connection(ravelin_ike::time::Instant(0), settings::CONNECTION, Some(connection));
        engine
    });
    let mut world = World::new(1, engines, false);
    initiate(&mut world, None);
    world.run_for(300 * SECOND);
    world.faults = Faults { loss: 1000, delay: 1000, ..Faults::default() };
    world.run_for(200 * SECOND);
    world.faults = Faults { delay: 1000, ..Faults::default() };
    initiate(&mut world, None);
    assert_eq!((world.tally.resumed, world.ikes(CALLED).len()), (2, 1));
    let resumed = world.ikes(CALLED);
    world.run_for(380 * SECOND);
    assert_eq!((world.ikes(CALLED), world.tally.reauthenticated), (resumed, 0));
    world.run_for(130 * SECOND);
    assert_eq!(world.tally.reauthenticated, 2, "1000 s after the proof, not after the resumption");
    world.assert_converged();
}

/// Lost, repeated and late datagrams, answers that fail, rekeys and deletes by either end at the same moment: whatever
/// comes of it, both ends have the same, and nothing is left at the end.
#[test]
fn a_bad_world_ends_well() {
    let (mut done, mut rekeyed) = (0, 0);
    for seed in 0..120u8 {
        let mut world = pair_of(seed, [lasting(CALLER, 3000), lasting(CALLED, 3000)]);
        world.dice = harness::Dice(u64::from(seed) * 91);
        let mut world = up(world);
        world.faults = Faults {
            loss: 100,
            repeat: 100,
            delay: 150_000,
            answer_delay: 100_000,
            answer_fails: 20,
            answer_never: 10,
            ..Faults::default()
        };
        for _ in 0..6 {
            meddle(&mut world);
        }
        world.faults = Faults { delay: 2000, answer_delay: 1000, ..Faults::default() };
        for _ in 0..40 {
            world.run_for(5 * SECOND);
            world.traffic();
        }
        world.assert_converged();
        assert!(world.ikes(CALLER).len() <= 1, "seed {seed}: two are left");
        done += world.tally.reauthenticated;
        rekeyed += world.tally.ike_rekeyed + world.tally.child_rekeyed;
        for end in [CALLER, CALLED] {
            world.command(end, Command::Shutdown);
        }
        world.run_for(200 * SECOND);
        world.assert_empty();
    }
    assert!(done > 300 && rekeyed > 150, "{done} new proofs, {rekeyed} rekeys: nothing was tried");
}

/// A new proof is begun, and something else at about the same time.
fn meddle(world: &mut World) {
    initiate(world, None);
    initiate(world, Some(ChildId(2)));
    if let Some(ike) = world.ikes(CALLER).first().copied() {
        world.command(CALLER, Command::Reauthenticate { ike });
    }
    let skew = world.dice.below(1_500_000);
    world.run_for(skew);
    let end = world.dice.below(2) as usize;
    let (ikes, children) = (world.ikes(end), world.children(end));
    let ike = ikes.get(world.dice.below(ikes.len().max(1) as u64) as usize).copied();
    let child = children.get(world.dice.below(children.len().max(1) as u64) as usize).copied();
    match (world.dice.below(10), ike, child) {
        (0..4, Some(ike), _) => world.command(end, Command::RekeyIke { ike }),
        (4..8, _, Some(child)) => world.command(end, Command::RekeyChild { child }),
        (8, Some(ike), _) => world.command(end, Command::TerminateIke { ike }),
        (_, _, Some(child)) => world.command(end, Command::TerminateChild { child }),
        _ => {}
    }
    world.traffic();
    let pause = world.dice.below(8 * SECOND);
    world.run_for(pause);
    world.traffic();
}
