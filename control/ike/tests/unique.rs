//! What a second IKE SA of the same peer means (RFC 7296 §2.4): as the peer says, always the end of the first, or never.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::{World, pair, settings};
use ravelin_ike::config::{Connection, InitialContact};
use ravelin_ike::engine::Engine;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;

const SECOND: u64 = 1_000_000;

fn connection(end: usize, initial_contact: InitialContact) -> Connection {
    Connection { initial_contact, ..settings::connection(end) }
}

fn call(world: &mut World) {
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
}

/// The caller forgets everything and comes again; how many IKE SAs the called one has then.
fn left_after_a_second_call(caller: InitialContact, called: InitialContact) -> usize {
    let mut world = pair([connection(0, caller), connection(1, called)]);
    call(&mut world);
    assert_eq!((world.ikes(0).len(), world.ikes(1).len()), (1, 1));
    let mut engine = Engine::new(settings::engine_config(), [77; 32]);
    engine.set_connection(Instant(0), settings::CONNECTION, Some(connection(0, caller)));
    world.restart(0, engine);
    call(&mut world);
    assert_eq!(world.ikes(0).len(), 1);
    // A peer that has not said that it has no other is left five seconds to delete that itself.
    world.run_for(7 * SECOND);
    world.ikes(1).len()
}

#[test]
fn a_second_ike_sa_means_what_is_configured() {
    use InitialContact::{Honour, Never, Replace};
    for (caller, called, left) in
        [(Honour, Honour, 1), (Never, Honour, 2), (Never, Replace, 1), (Honour, Never, 2)]
    {
        assert_eq!(left_after_a_second_call(caller, called), left, "{caller:?} calls {called:?}");
    }
}
