//! Exchanges that meet while one message is late, drawn as arrows: A on the left, B on the right, time runs down. What is
//! late is kept back until the rest has happened. RFC 7296 §2.8 and §2.25 say what must come out, and `docs/exchanges.md`
//! lists these cases with those of `collisions.rs`, `children.rs` and `additional.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{World, connected, kind, pair_of, settings};
use ravelin_ike::config::{AdditionalGroups, ChildId, Connection, Group};
use ravelin_ike::event::Event;
use ravelin_ike::id::ChildSaId;
use ravelin_ike::input::{ChildFactKind, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SECOND: u64 = 1_000_000;
/// Time for several exchanges, and too little for a repetition.
const MOMENT: u64 = SECOND / 10;
const CREATE_CHILD_SA: u8 = 36;
const INFORMATIONAL: u8 = 37;
const IKE_FOLLOWUP_KE: u8 = 44;

/// Whose message, of which exchange type, and whether it is a response.
type Late = (usize, u8, bool);

/// What is late does not pass; `pass` lets repetitions of it through.
fn keep_back(world: &mut World, late: Late) {
    let (end, exchange, response) = late;
    world.gate = Some(Box::new(move |from, bytes| from != end || kind(bytes) != (exchange, response)));
}

fn pass(world: &mut World) {
    world.gate = None;
}

/// Of a child, and of the IKE SA.
const REKEYS: [fn(&mut World, usize); 2] = [rekey_child, rekey_ike];

fn rekey_child(world: &mut World, end: usize) {
    let child = world.children(end)[0];
    world.command(end, Command::RekeyChild { child });
}

fn rekey_ike(world: &mut World, end: usize) {
    let ike = world.ikes(end)[0];
    world.command(end, Command::RekeyIke { ike });
}

fn delete_child(world: &mut World, end: usize) {
    let child = *world.children(end).last().unwrap();
    world.command(end, Command::TerminateChild { child });
}

fn delete_ike(world: &mut World, end: usize) {
    let ike = world.ikes(end)[0];
    world.command(end, Command::TerminateIke { ike });
}

fn settle(world: &mut World) {
    for _ in 0..12 {
        world.run_for(5 * SECOND);
        world.traffic();
    }
    world.assert_converged();
}

/// IKE SAs and CHILD_SAs that are left when all is over.
fn left(world: &mut World) -> (usize, usize) {
    settle(world);
    (world.ikes(0).len(), world.children(0).len())
}

/// The same pair with other nonces: whose is the lowest differs.
fn connected_of(seed: u8, connections: [Connection; 2]) -> World {
    let mut world = pair_of(seed, connections);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(2 * SECOND);
    world.assert_converged();
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1));
    world
}

fn plain() -> [Connection; 2] {
    [0, 1].map(settings::connection)
}

/// A connection whose SAs all take these groups, the first of them preferred, each followed by `additional`.
fn of_groups(end: usize, groups: &[Group], additional: &[Group]) -> Connection {
    let mut connection = settings::connection(end);
    let after = |group| AdditionalGroups::after(group, additional).unwrap();
    let proposal = connection.proposals[0].clone();
    let forms = groups.iter().map(|group| {
        let mut form = proposal.clone();
        (form.groups, form.additional) = (vec![*group], after(*group));
        form
    });
    connection.proposals = forms.collect::<Vec<_>>().into();
    for child in &mut connection.children {
        let proposal = child.proposals[0].clone();
        let forms = groups.iter().map(|group| {
            let mut form = proposal.clone();
            (form.groups, form.additional) = (vec![*group], after(*group));
            form
        });
        child.proposals = forms.collect::<Vec<_>>().into();
    }
    connection
}

/// Counts requests of CREATE_CHILD_SA from an end.
fn count_requests(world: &mut World, end: usize) -> Arc<AtomicUsize> {
    let counted = Arc::new(AtomicUsize::new(0));
    let counter = counted.clone();
    world.gate = Some(Box::new(move |from, bytes| {
        if from == end && kind(bytes) == (CREATE_CHILD_SA, false) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        true
    }));
    counted
}

#[test]
fn either_side_rekeys_and_the_old_ones_go() {
    for end in 0..2 {
        let mut world = connected();
        let before = world.picture(0, 0);
        rekey_child(&mut world, end);
        assert_eq!(left(&mut world), (1, 1));
        let between = world.picture(0, 0);
        rekey_ike(&mut world, end);
        assert_eq!(left(&mut world), (1, 1));
        let after = world.picture(0, 0);
        assert!(before.iter().all(|line| !after.contains(line)) && between != after, "{after:#?}");
        assert_eq!((world.tally.child_rekeyed, world.tally.ike_rekeyed), (2, 2));
    }
}

/// ```text
///   A  CREATE_CHILD_SA{SA, KE of a group B has not}  ------->  B
///   A  <-------                                                N(INVALID_KE_PAYLOAD, a group both have)
///   A  CREATE_CHILD_SA{SA, KE of that group}  -------------->  B
/// ```
#[test]
fn a_wrong_group_is_corrected_in_a_rekey() {
    for (end, additional) in
        [(0, &[][..]), (1, &[][..]), (0, &[Group::MlKem768][..]), (1, &[Group::MlKem768][..])]
    {
        let mut connections = [0, 1].map(|end| of_groups(end, &[Group::X25519], additional));
        connections[end] = of_groups(end, &[Group::EcpP256, Group::X25519], additional);
        let mut world = connected_of(0, connections);
        let counted = count_requests(&mut world, end);
        // The group in use is tried first for the IKE SA, the preferred one for a CHILD_SA that has had none.
        for (rekey, requests) in [(rekey_child as fn(&mut World, usize), 2), (rekey_ike, 3), (rekey_child, 4)]
        {
            let before = world.picture(0, 0);
            rekey(&mut world, end);
            assert_eq!(left(&mut world), (1, 1));
            assert_ne!(world.picture(0, 0), before);
            assert_eq!(counted.load(Ordering::Relaxed), requests, "from {end}, {additional:?}");
        }
    }
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  ------->  B
///   A  <-------                                its answer
///   A  D(old)  ----- late                      a limit of the old one is reached
/// ```
/// A soft limit asks for nothing, a hard one ends what is to end anyhow.
#[test]
fn limits_are_reached_while_the_delete_is_on_its_way() {
    for end in 0..2 {
        // What a limit has ended is told as ended, not as replaced.
        for (limit, told) in [(ChildFactKind::SoftExpiry, 2), (ChildFactKind::HardExpiry, 1)] {
            let mut world = connected();
            let old = world.children(1 - end)[0];
            keep_back(&mut world, (end, INFORMATIONAL, false));
            rekey_child(&mut world, end);
            world.run_for(MOMENT);
            world.fact(1 - end, old, limit);
            world.run_for(MOMENT);
            pass(&mut world);
            assert_eq!(left(&mut world), (1, 1), "{end} {limit:?}");
            assert_eq!(world.tally.child_rekeyed, told, "{end} {limit:?}");
            assert!(!world.children(1 - end).contains(&old));
        }
    }
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  ------->  B
///   A  <-------                                its answer
///   A  D(old)  ----- late
///   A  <-------                                D(new)
/// ```
#[test]
fn the_successor_is_deleted_while_the_delete_is_on_its_way() {
    for end in 0..2 {
        let mut world = connected();
        keep_back(&mut world, (end, INFORMATIONAL, false));
        rekey_child(&mut world, end);
        world.run_for(MOMENT);
        delete_child(&mut world, 1 - end);
        world.run_for(MOMENT);
        pass(&mut world);
        assert_eq!(left(&mut world), (1, 0), "{end}");
    }
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  ------->  B
///   A  <-------                                its answer
///   A  D(old)  ----- never arrives: A takes B for dead
/// ```
/// What was replaced does not go down a second time with the IKE SA.
#[test]
fn a_delete_that_is_never_answered_ends_each_child_once() {
    for end in 0..2 {
        let mut world = connected();
        let old = world.children(end)[0];
        keep_back(&mut world, (end, INFORMATIONAL, false));
        rekey_child(&mut world, end);
        world.run_for(600 * SECOND);
        let downs = world.ends[end].events.iter().filter(|event| is_down(event, old)).count();
        assert!(downs <= 1, "{downs} times");
        assert!(world.ikes(end).is_empty());
        pass(&mut world);
        world.run_for(200 * SECOND);
        world.assert_empty();
    }
}

fn is_down(event: &Event, child: ChildSaId) -> bool {
    matches!(event, Event::ChildDown { child: down, .. } if *down == child)
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  --\ /-->  B
///   A  <--                           --/ \--   CREATE_CHILD_SA{N(REKEY_SA)}
/// ```
/// Whoever has the lowest nonce.
#[test]
fn rekeys_cross_whoever_has_the_lowest_nonce() {
    for seed in 0..16 {
        for rekey in REKEYS {
            let mut world = connected_of(seed, plain());
            (0..2).for_each(|end| rekey(&mut world, end));
            assert_eq!(left(&mut world), (1, 1), "{seed}");
            let collisions = [0, 1].map(|end| world.ends[end].engine.counters().collisions);
            assert_eq!(collisions, [1, 1], "{seed}");
        }
    }
}

/// ```text
///   A  CREATE_CHILD_SA  --\ /-->               B
///   A  <--              --/ \--                CREATE_CHILD_SA
///   A  its answer, at once  ---------------->  B
///   A          late  <--                       its answer
///   A  <-------                                D(old), or D(its own) if A has the lowest nonce
///   A  <-------                                at last, its answer
/// ```
#[test]
fn an_answer_comes_after_the_delete() {
    for seed in 0..8 {
        for end in 0..2 {
            for rekey in REKEYS {
                let mut world = connected_of(seed, plain());
                keep_back(&mut world, (end, CREATE_CHILD_SA, true));
                (0..2).for_each(|end| rekey(&mut world, end));
                world.run_for(MOMENT);
                pass(&mut world);
                assert_eq!(left(&mut world), (1, 1), "{seed}, from {end}");
            }
        }
    }
}

/// The same, and B deletes the new one as well before A has its answer: nothing is left of either.
#[test]
fn an_answer_comes_after_both_deletes() {
    for seed in 0..8 {
        for end in 0..2 {
            let mut world = connected_of(seed, plain());
            keep_back(&mut world, (end, CREATE_CHILD_SA, true));
            (0..2).for_each(|end| rekey_child(&mut world, end));
            world.run_for(MOMENT);
            delete_child(&mut world, end);
            world.run_for(MOMENT);
            pass(&mut world);
            assert_eq!(left(&mut world), (1, 0), "{seed}, from {end}");
        }
    }
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  ----- late
///   A  <-------                                CREATE_CHILD_SA{N(REKEY_SA)}, of the same CHILD_SA
///   A  its answer  ------------------------->  B
///   A  <-------                                D(old)
///   A  at last, its request  --------------->  B: there is no such CHILD_SA
/// ```
#[test]
fn a_request_comes_after_the_delete() {
    for end in 0..2 {
        for rekey in REKEYS {
            let mut world = connected();
            keep_back(&mut world, (end, CREATE_CHILD_SA, false));
            rekey(&mut world, end);
            rekey(&mut world, 1 - end);
            world.run_for(MOMENT);
            pass(&mut world);
            assert_eq!(left(&mut world), (1, 1), "{end}");
        }
    }
}

/// The same, and B deletes the new one as well: A does not ask for another.
#[test]
fn a_request_comes_after_both_deletes() {
    for end in 0..2 {
        let mut world = connected();
        keep_back(&mut world, (end, CREATE_CHILD_SA, false));
        (0..2).for_each(|end| rekey_child(&mut world, end));
        world.run_for(MOMENT);
        delete_child(&mut world, 1 - end);
        world.run_for(MOMENT);
        pass(&mut world);
        assert_eq!(left(&mut world), (1, 0), "{end}");
    }
}

/// ```text
///   A  CREATE_CHILD_SA  ----- late
///   A  <-------                                CREATE_CHILD_SA, B knows of no other
///   A  its answer  ------------------------->  B
///   A              late  <--                   D(old)
///   A  at last, its request  --------------->  B: N(TEMPORARY_FAILURE), it is deleting
///   A  <-------                                at last, D(old)
/// ```
#[test]
fn a_request_meets_the_delete() {
    for end in 0..2 {
        for rekey in REKEYS {
            let mut world = connected();
            keep_back(&mut world, (end, CREATE_CHILD_SA, false));
            rekey(&mut world, end);
            rekey(&mut world, 1 - end);
            world.run_for(MOMENT / 20);
            keep_back(&mut world, (1 - end, INFORMATIONAL, false));
            world.run_for(2 * SECOND);
            pass(&mut world);
            assert_eq!(left(&mut world), (1, 1), "{end}");
        }
    }
}

/// Each guesses a group the other has not, both are corrected, and their second requests cross.
#[test]
fn corrected_rekeys_cross() {
    for seed in 0..8 {
        for rekey in REKEYS {
            let mut world = connected_of(seed, guessing());
            (0..2).for_each(|end| rekey(&mut world, end));
            assert_eq!(left(&mut world), (1, 1), "{seed}");
            let collisions = [0, 1].map(|end| world.ends[end].engine.counters().collisions);
            assert_eq!(collisions, [1, 1], "{seed}");
        }
    }
}

/// The same, and the second request of one comes when the other is done.
#[test]
fn a_corrected_rekey_comes_late() {
    for seed in 0..8 {
        for end in 0..2 {
            for rekey in REKEYS {
                let mut world = connected_of(seed, guessing());
                let mut first = None;
                world.gate = Some(Box::new(move |from, bytes| {
                    let is_request = from == end && kind(bytes) == (CREATE_CHILD_SA, false);
                    !is_request || *first.get_or_insert(bytes.to_vec()) == bytes
                }));
                (0..2).for_each(|end| rekey(&mut world, end));
                world.run_for(MOMENT);
                pass(&mut world);
                assert_eq!(left(&mut world), (1, 1), "{seed}, {end} late");
            }
        }
    }
}

fn guessing() -> [Connection; 2] {
    [of_groups(0, &[Group::EcpP256, Group::X25519], &[]), of_groups(1, &[Group::EcpP384, Group::X25519], &[])]
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  ------->  B: N(TEMPORARY_FAILURE), it is deleting
///   A              late  <--                   D(child)
/// ```
#[test]
fn a_rekey_meets_a_delete_that_is_late() {
    for end in 0..2 {
        let mut world = connected();
        keep_back(&mut world, (1 - end, INFORMATIONAL, false));
        delete_child(&mut world, 1 - end);
        rekey_child(&mut world, end);
        world.run_for(MOMENT);
        pass(&mut world);
        assert_eq!(left(&mut world), (1, 0), "{end}");
    }
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}  ----- late
///   A  <-------                                D(child)
///   A  at last, its request  --------------->  B: N(CHILD_SA_NOT_FOUND)
/// ```
#[test]
fn a_rekey_that_is_late_finds_nothing() {
    for end in 0..2 {
        let mut world = connected();
        keep_back(&mut world, (end, CREATE_CHILD_SA, false));
        rekey_child(&mut world, end);
        delete_child(&mut world, 1 - end);
        world.run_for(MOMENT);
        pass(&mut world);
        assert_eq!(left(&mut world), (1, 0), "{end}");
    }
}

/// ```text
///   A  CREATE_CHILD_SA{SA(IKE)}  ------->      B: N(TEMPORARY_FAILURE), it is deleting
///   A              late  <--                   D(IKE)
/// ```
#[test]
fn a_rekey_of_the_ike_sa_meets_a_delete_that_is_late() {
    for end in 0..2 {
        let mut world = connected();
        keep_back(&mut world, (1 - end, INFORMATIONAL, false));
        delete_ike(&mut world, 1 - end);
        rekey_ike(&mut world, end);
        world.run_for(MOMENT);
        pass(&mut world);
        world.run_for(200 * SECOND);
        world.assert_empty();
    }
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA)}, or D(child)  --\ /-->  B
///   A  <--                                        --/ \--   INFORMATIONAL{D(IKE)}
/// ```
#[test]
fn the_ike_sa_ends_while_a_child_is_worked_on() {
    for end in 0..2 {
        for work in [rekey_child as fn(&mut World, usize), delete_child] {
            let mut world = connected();
            work(&mut world, end);
            delete_ike(&mut world, 1 - end);
            world.run_for(200 * SECOND);
            world.assert_empty();
        }
    }
}

/// ```text
///   A  CREATE_CHILD_SA  -------------------->  B
///   A  <-------                                its answer
///   A  IKE_FOLLOWUP_KE  ----- late
///   A  <-------                                the SA is deleted
/// ```
#[test]
fn a_delete_meets_additional_key_exchanges() {
    let hybrid = |end| settings::with_additional(settings::connection(end), &[Group::MlKem768]);
    for end in 0..2 {
        for ike in [false, true] {
            let mut world = connected_of(0, [0, 1].map(hybrid));
            keep_back(&mut world, (end, IKE_FOLLOWUP_KE, false));
            let [rekey, delete] = if ike { [rekey_ike, delete_ike] } else { [rekey_child, delete_child] };
            rekey(&mut world, end);
            world.run_for(MOMENT);
            delete(&mut world, 1 - end);
            world.run_for(MOMENT);
            pass(&mut world);
            world.run_for(200 * SECOND);
            if ike { world.assert_empty() } else { assert_eq!(left(&mut world), (1, 0), "{end}") }
        }
    }
}

/// ```text
///   A  D(child)  ----- late
///   A  <-------                                D(child)
/// ```
#[test]
fn one_of_two_deletes_comes_late() {
    for end in 0..2 {
        let mut world = connected();
        keep_back(&mut world, (end, INFORMATIONAL, false));
        (0..2).for_each(|end| delete_child(&mut world, end));
        world.run_for(MOMENT);
        pass(&mut world);
        assert_eq!(left(&mut world), (1, 0), "{end}");
    }
}

/// What is there is not made a second time.
#[test]
fn a_child_that_is_up_is_not_asked_for() {
    for end in 0..2 {
        let mut world = connected();
        let counted = count_requests(&mut world, end);
        world.command(end, Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(1)) });
        assert_eq!(left(&mut world), (1, 1));
        assert_eq!(counted.load(Ordering::Relaxed), 0);
    }
}
