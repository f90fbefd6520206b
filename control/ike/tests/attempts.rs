//! What is kept of attempts for the operator: whatever two sides quarrel about, both sides of it stand there, and
//! in what they differ.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{World, pair, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{
    ChildId, Connection, Encryption, EngineConfig, Identity, IdentityMatch, Retransmission, Selector,
};
use ravelin_ike::error::Topic;
use ravelin_ike::input::Command;
use ravelin_ike::recorder::{Attempt, Stage};
use std::time::Duration;

const SECOND: u64 = 1_000_000;

/// End 0 calls end 1, whose connection is changed; the last attempt of each that failed.
fn quarrel(change: impl Fn(&mut Connection)) -> [Attempt; 2] {
    let [caller, mut called] = [0, 1].map(settings::connection);
    change(&mut called);
    let mut world = pair([caller, called]);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(1)) });
    world.run_for(60 * SECOND);
    [0, 1].map(|end| last(&world, end))
}

fn last(world: &World, end: usize) -> Attempt {
    let attempts = world.ends[end].engine.recorder().of(settings::CONNECTION);
    attempts.filter(|attempt| attempt.failure.is_some()).last().unwrap().clone()
}

fn code(attempt: &Attempt) -> &'static str {
    attempt.failure.as_ref().unwrap().code()
}

#[test]
fn algorithms() {
    let [caller, called] = quarrel(|called| called.proposals[0].encryption = vec![Encryption::AesGcm256]);
    assert_eq!((code(&caller), caller.peer_notify), ("RV-INIT-002", Some(14)));
    assert!(caller.configured.contains("128"), "what we offered: {caller:?}");
    assert!(called.offered.contains("128") && called.configured.contains("256"), "{called:?}");
    assert!(called.difference.starts_with("proposal 1, "), "{called:?}");
}

#[test]
fn identities() {
    let [caller, called] = quarrel(|called| {
        called.remote_identity = IdentityMatch::Exact(Identity::fqdn("other.example"));
    });
    assert_eq!((code(&caller), caller.peer_notify), ("RV-AUTH-001", Some(24)));
    assert!(caller.configured.starts_with("we are end0.example, by pre-shared key"), "{caller:?}");
    assert_eq!(called.difference, "identity: claimed end0.example; configured other.example");
    assert!(called.offered.starts_with("is end0.example, by "), "{called:?}");
    assert!(called.offered.ends_with("asks for end1.example"), "{called:?}");
}

#[test]
fn proofs() {
    let [_, called] = quarrel(|called| {
        called.remote_auth = ravelin_ike::config::RemoteAuth::Psk(zeroize::Zeroizing::new(b"other".to_vec()));
    });
    assert_eq!(code(&called), "RV-AUTH-002");
    let told = format!("{called:?}");
    assert!(!told.contains("other") && !told.contains("horse"), "a key was told: {told}");
    assert!(called.configured.ends_with("the peer is to be end0.example, by pre-shared key"), "{called:?}");
}

/// The IKE SA is up; the child's refusal is an attempt of its own.
#[test]
fn selectors() {
    let [caller, called] = quarrel(|called| {
        called.children[0].local = vec![Selector::prefix("10.77.0.0".parse().unwrap(), 24)];
        called.children.truncate(1);
    });
    assert_eq!((code(&caller), caller.child, caller.stage), ("RV-CHILD-002", Some(ChildId(1)), Stage::Child));
    assert_eq!(caller.configured, "10.0.1.0-10.0.1.255 === 10.1.1.0-10.1.1.255");
    assert_eq!(caller.peer_notify, Some(38));
    let wanted = "our side: offered 10.1.1.0-10.1.1.255; configured 10.77.0.0-10.77.0.255, other addresses";
    assert_eq!((code(&called), called.difference.as_str()), ("RV-CHILD-001", wanted));
    assert_eq!(called.failure.unwrap().topic(), Some(Topic::Selectors));
}

#[test]
fn esp_algorithms() {
    let [caller, called] = quarrel(|called| {
        for child in &mut called.children {
            child.proposals[0].encryption = vec![Encryption::AesGcm256];
        }
    });
    assert_eq!((code(&caller), code(&called)), ("RV-CHILD-004", "RV-CHILD-005"));
    assert!(caller.configured.contains("128") && called.offered.contains("128"), "{caller:?} {called:?}");
    assert!(called.difference.contains("256"), "{called:?}");
}

/// Of nobody's answer it is said what was asked.
#[test]
fn silence() {
    let mut world = pair([0, 1].map(settings::connection));
    world.gate = Some(Box::new(|_, _| false));
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(300 * SECOND);
    let attempt = last(&world, 0);
    assert_eq!((code(&attempt), attempt.stage, attempt.peer_notify), ("RV-NET-001", Stage::Init, None));
    assert!(attempt.configured.contains("128") && attempt.offered.is_empty(), "{attempt:?}");
}

/// Who gives up before its patience for a better answer ends has been answered all the same (RFC 7296 §2.21.1).
#[test]
fn a_refusal_is_no_silence() {
    let [caller, mut called] = [0, 1].map(settings::connection);
    called.proposals[0].encryption = vec![Encryption::AesGcm256];
    let mut world = pair([caller.clone(), called]);
    let retransmission = Retransmission { first: Duration::from_millis(200), tries: 3 };
    let config = EngineConfig { retransmission, ..settings::engine_config() };
    assert!(config.unprotected_patience > Duration::from_secs(3), "longer than the tries take");
    let mut hasty = Engine::new(config, [9; 32]);
    hasty.set_connection(world.at(), settings::CONNECTION, Some(caller));
    world.restart(0, hasty);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(60 * SECOND);
    let attempt = last(&world, 0);
    assert_eq!((code(&attempt), attempt.peer_notify), ("RV-INIT-002", Some(14)));
}
