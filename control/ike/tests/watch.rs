//! A peer that is watched: every message of both directions is told, with what is in it by type and size and what
//! becomes of it; of others nothing, and never a secret.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{World, pair, settings};
use ravelin_ike::config::{Auth, Connection};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use zeroize::Zeroizing;

const SECOND: u64 = 1_000_000;

/// What end 1 tells of end 0 while that calls it.
fn told(world: &World) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::Trace { text, .. } => Some(text.clone()),
        Event::WatchEnded { peer } => Some(format!("{peer}: ended")),
        _ => None,
    };
    world.ends[1].events.iter().filter_map(line).collect()
}

fn call(world: &mut World) {
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(60 * SECOND);
}

fn watch(world: &mut World, end: usize, seconds: u64) {
    let now = world.at();
    let until = Instant(now.0 + seconds * SECOND);
    world.ends[1].engine.watch(now, settings::outer(end), until).unwrap();
}

fn stands(lines: &[String], begins: &str, holds: &str) -> bool {
    lines.iter().any(|line| line.starts_with(begins) && line.contains(holds))
}

#[test]
fn every_message_is_told() {
    let mut world = pair([0, 1].map(settings::connection));
    watch(&mut world, 0, 600);
    call(&mut world);
    let lines = told(&world);
    for (begins, holds) in [
        ("received IKE_SA_INIT request 0 of the initiator", ": SA "),
        ("sent IKE_SA_INIT response 0 of the responder", ", N(NAT_DETECTION_SOURCE_IP) 28"),
        ("received IKE_AUTH request 1", ": encrypted"),
        ("IKE_AUTH request 1 holds IDi 20", ", AUTH 40"),
        ("IKE_AUTH response 1 holds IDr 20", ", TSr "),
        ("the IKE SA is up", ""),
    ] {
        assert!(stands(&lines, begins, holds), "{begins}: {holds}: {lines:#?}");
    }
    let secrets = ["horse", "example"];
    assert!(!lines.iter().any(|line| secrets.iter().any(|secret| line.contains(secret))), "{lines:#?}");
}

#[test]
fn what_becomes_of_it_is_told() {
    let mut connections: [Connection; 2] = [0, 1].map(settings::connection);
    connections[0].local_auth = Auth::Psk(Zeroizing::new(b"wrong horse".to_vec()));
    let mut world = pair(connections);
    watch(&mut world, 0, 600);
    call(&mut world);
    let lines = told(&world);
    assert!(stands(&lines, "the attempt ends with RV-AUTH-002", ""), "{lines:#?}");
    assert!(stands(&lines, "IKE_AUTH response 1 holds N(AUTHENTICATION_FAILED) 8", ""), "{lines:#?}");
}

/// Nothing is told of others, and nothing once the time is over, which is said.
#[test]
fn it_is_about_one_peer_for_a_while() {
    let mut world = pair([0, 1].map(settings::connection));
    watch(&mut world, 1, 600);
    call(&mut world);
    assert!(told(&world).is_empty(), "{:#?}", told(&world));
    let mut world = pair([0, 1].map(settings::connection));
    watch(&mut world, 0, 5);
    world.run_for(6 * SECOND);
    assert_eq!(told(&world), ["192.0.2.1: ended"]);
    call(&mut world);
    assert_eq!((told(&world).len(), world.ends[1].engine.watched().count()), (1, 0));
    world.assert_converged();
}
