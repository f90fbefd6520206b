//! Client lockout: who calls and cannot prove itself is not answered after a while (IKE-22), and nothing else counts
//! against a caller (IKE-23).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness;
use crate::harness::{World, failures, pair, settings};
use ravelin_ike::config::{
    Auth, CertificateAuth, ChildId, Connection, Encryption, Identity, IdentityMatch, Lockout, OwnCertificate,
    RemoteAuth, Selector,
};
use ravelin_ike::input::Command;
use ravelin_ike::lockout::{Locked, Which};
use std::time::Duration;
use zeroize::Zeroizing;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

fn policy(failed_attempts: u32) -> Option<Lockout> {
    Some(Lockout { failed_attempts, ..Lockout::default() })
}

/// End 0 calls, end 1 has a lockout; both as changed.
fn world(failed_attempts: u32, change: impl Fn(&mut [Connection; 2])) -> World {
    let mut connections = [0, 1].map(settings::connection);
    connections[1].lockout = policy(failed_attempts);
    change(&mut connections);
    pair(connections)
}

fn wrong_key(connections: &mut [Connection; 2]) {
    connections[0].local_auth = Auth::Psk(Zeroizing::new(b"wrong horse".to_vec()));
}

fn call(world: &mut World) {
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(1)) });
    world.run_for(70 * SECOND);
}

fn locked(world: &World) -> Vec<Locked> {
    world.ends[1].engine.lockouts().collect()
}

/// The right key from here on.
fn mend(world: &mut World) {
    let now = world.at();
    let right = settings::connection(0);
    world.ends[0].engine.set_connection(now, settings::CONNECTION, Some(right));
}

#[test]
fn the_fourth_call_is_not_answered() {
    let mut world = world(3, wrong_key);
    (0..3).for_each(|_| call(&mut world));
    assert_eq!(failures(&world, 0), ["RV-AUTH-001"; 3]);
    let all = locked(&world);
    assert_eq!((all.len(), all[0].blocked, all[0].failed, all[0].dropped), (1, true, 3, 0));
    let before = world.tally.datagrams;
    call(&mut world);
    assert_eq!(failures(&world, 0).last(), Some(&"RV-NET-001"), "silence, not a refusal");
    let dropped = locked(&world)[0].dropped;
    assert_eq!(world.tally.datagrams - before, dropped, "nothing but what it sent passed");
    let counters = world.ends[1].engine.counters();
    assert_eq!((counters.lockouts, counters.lockout_dropped), (1, dropped));
    assert_eq!(failures(&world, 1).len(), 3, "and no work was done for it");
}

/// The right key does not help until the time is over, or an operator lets it in.
#[test]
fn it_ends_by_time_or_by_command() {
    for clears in [false, true] {
        let mut world = world(1, wrong_key);
        call(&mut world);
        mend(&mut world);
        call(&mut world);
        assert_eq!(world.ikes(1).len(), 0);
        match clears {
            true => assert_eq!(world.ends[1].engine.clear_lockouts(&Which::default()), 1),
            false => world.run_for(10 * MINUTE),
        }
        assert!(locked(&world).is_empty(), "its end is a deadline of the engine");
        call(&mut world);
        assert_eq!(world.ikes(1).len(), 1);
        world.assert_converged();
    }
}

#[test]
fn success_forgives_what_came_before() {
    let mut world = world(3, wrong_key);
    (0..2).for_each(|_| call(&mut world));
    assert_eq!(locked(&world)[0].failed, 2);
    mend(&mut world);
    call(&mut world);
    assert_eq!((world.ikes(1).len(), locked(&world).len()), (1, 0));
}

/// One case for each thing that counts and each that does not.
#[test]
fn what_counts_is_a_proof_that_failed() {
    type Change = fn(&mut [Connection; 2]);
    let certificates: Change = |connections| {
        *connections = [0, 1].map(settings::with_certificates);
        connections[1].lockout = policy(1);
        // Of another than it shows: its signature is not right.
        let own = OwnCertificate { chain: vec![settings::certificate(1)], ..settings::own_certificate(0, 0) };
        connections[0].local_auth = Auth::Certificate(CertificateAuth::single(own));
    };
    let cases: [(&str, bool, Change); 6] = [
        ("a wrong pre-shared key", true, wrong_key),
        ("a wrong signature", true, certificates),
        ("an identity nobody expects", false, |connections| {
            connections[0].local_identity = Identity::fqdn("nobody.example");
        }),
        ("another way to prove oneself", false, |connections| {
            connections[1].remote_auth = RemoteAuth::Certificate { authorities: vec![], schemes: vec![] };
        }),
        ("algorithms", false, |connections| {
            connections[0].proposals[0].encryption = vec![Encryption::AesGcm256];
        }),
        ("selectors", false, |connections| {
            connections[0].children[0].local = vec![Selector::prefix("10.77.0.0".parse().unwrap(), 24)];
        }),
    ];
    for (what, counts, change) in cases {
        let mut world = world(1, change);
        call(&mut world);
        assert!(!failures(&world, 1).is_empty(), "{what} is refused");
        assert_eq!(locked(&world).len(), usize::from(counts), "{what}");
    }
    // Who falls silent has failed at nothing.
    let mut world = world(1, |_| ());
    world.gate = Some(Box::new(|from, bytes| from == 1 || harness::kind(bytes).0 == 34));
    call(&mut world);
    assert_eq!((failures(&world, 1), locked(&world).len()), (vec!["RV-NET-002"], 0));
}

/// We who call are not locked out by a peer that cannot prove itself, nor is the peer by us: it was we who asked.
#[test]
fn only_callers_are_counted() {
    let mut connections = [0, 1].map(settings::connection);
    connections[0].lockout = policy(1);
    connections[1].local_auth = Auth::Psk(Zeroizing::new(b"wrong horse".to_vec()));
    let mut world = pair(connections);
    call(&mut world);
    assert_eq!((failures(&world, 0), world.ends[0].engine.lockouts().count()), (vec!["RV-AUTH-002"], 0));
}

/// Without it, whoever fails may fail for ever.
#[test]
fn it_is_off_where_it_is_not_configured() {
    let mut connections = [0, 1].map(settings::connection);
    wrong_key(&mut connections);
    connections[1].remote_identity = IdentityMatch::Any;
    let mut world = pair(connections);
    (0..5).for_each(|_| call(&mut world));
    assert_eq!((failures(&world, 0), locked(&world).len()), (vec!["RV-AUTH-001"; 5], 0));
    assert_eq!(Lockout::default().block, Some(Duration::from_secs(600)));
}
