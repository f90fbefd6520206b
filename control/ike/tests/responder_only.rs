//! A connection that only responds (TG-08): the peer makes and renews all there is, and what it does not renew ends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::{World, failures, pair, settings};
use ravelin_ike::config::{ChildLifetime, Connection, IkeLifetime};
use ravelin_ike::input::{ChildFactKind, Command};
use std::time::Duration;

const SECOND: u64 = 1_000_000;
const CHILD_LIFE: Duration = Duration::from_secs(60);
const IKE_LIFE: Duration = Duration::from_secs(150);

/// End 1 only responds; the lifetimes of an end are as given, or its peer's are shorter.
fn connection(end: usize, responder_only: bool) -> Connection {
    let mut connection = Connection {
        responder_only,
        dead_peer: None,
        lifetime: IkeLifetime { soft: IKE_LIFE / 2, hard: IKE_LIFE, jitter_percent: 0 },
        ..settings::connection(end)
    };
    let lifetime = ChildLifetime { soft: CHILD_LIFE / 2, hard: CHILD_LIFE, jitter_percent: 0 };
    connection.children.iter_mut().for_each(|child| child.lifetime = lifetime);
    connection
}

fn call(world: &mut World, end: usize) {
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
}

/// Only the caller's lifetimes renew anything; two that only respond renew nothing, and both SAs end in time.
#[test]
fn what_the_peer_does_not_renew_ends() {
    let mut world = pair([connection(0, false), connection(1, true)]);
    call(&mut world, 0);
    // A moment after a rekey, when what was replaced has been drained.
    world.run_for(2 * IKE_LIFE.as_micros() as u64 + 12 * SECOND);
    world.assert_converged();
    assert!(world.tally.child_rekeyed > 8 && world.tally.ike_rekeyed > 2, "{:?}", world.tally);
    assert_eq!(world.tally.collisions, 0, "one side alone renews");

    let mut world = pair([connection(0, false), connection(1, true)]);
    call(&mut world, 0);
    let now = world.at();
    world.ends[0].engine.set_connection(now, settings::CONNECTION, Some(connection(0, true)));
    world.run_for(CHILD_LIFE.as_micros() as u64 - 2 * SECOND);
    assert_eq!((world.children(1).len(), world.tally.child_rekeyed), (1, 0), "a change counts at once");
    world.run_for(4 * SECOND);
    assert_eq!((world.children(1).len(), world.ikes(1).len()), (0, 1));
    world.run_for(IKE_LIFE.as_micros() as u64);
    assert_eq!((world.ikes(1).len(), world.tally.ike_rekeyed), (0, 0));
    world.assert_empty();
}

/// It calls nobody, whoever asks; packets and bytes that run out end the SA as time does. A rekey that is commanded, as
/// when a worker's tunnels move, is done.
#[test]
fn it_begins_nothing_of_itself() {
    let mut world = pair([connection(0, false), connection(1, true)]);
    call(&mut world, 1);
    assert_eq!((world.tally.datagrams, failures(&world, 1)), (0, vec!["RV-LOCAL-005"]));
    call(&mut world, 0);
    let child = world.children(1)[0];
    let sent = world.tally.datagrams;
    world.fact(1, child, ChildFactKind::SoftExpiry);
    world.run_for(SECOND);
    assert_eq!((world.tally.datagrams, world.tally.child_rekeyed), (sent, 0));
    world.command(1, Command::RekeyChild { child });
    world.run_for(7 * SECOND);
    world.assert_converged();
    assert_eq!(world.children(1).len(), 1);
    assert_ne!(world.children(1)[0], child);
    let child = world.children(1)[0];
    world.fact(1, child, ChildFactKind::HardExpiry);
    world.run_for(20 * SECOND);
    assert_eq!(world.children(1).len(), 0);
}
