//! Algorithm profiles at run time: whoever configured what, nothing outside its profile is offered, chosen or accepted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{World, failures, pair, settings};
use ravelin_ike::config::{
    AlgorithmProfile, Connection, Encryption, Group, OwnCertificate, RemoteAuth, SignatureScheme,
};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;

const SECOND: u64 = 1_000_000;
const WITHIN: &str = "aes256gcm16-prfsha384-ecp384+mlkem1024";
const OUTSIDE: &str = "aes128gcm16-prfsha256-x25519";

fn connection(end: usize, profile: AlgorithmProfile, ike: &[&str], esp: &[&str]) -> Connection {
    let mut connection = settings::connection(end);
    connection.profile = profile;
    connection.proposals = ike.iter().map(|text| text.parse().unwrap()).collect();
    for child in &mut connection.children {
        child.proposals = esp.iter().map(|text| text.parse().unwrap()).collect();
    }
    connection
}

fn call(world: &mut World, end: usize) {
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(60 * SECOND);
}

/// What a peer offers outside the profile is NO_PROPOSAL_CHOSEN, even where it is configured.
#[test]
fn an_offer_outside_the_profile_is_refused() {
    let free = connection(0, AlgorithmProfile::Rfc8247, &[OUTSIDE], &["aes128gcm16"]);
    let held = connection(1, AlgorithmProfile::Cnsa2, &[OUTSIDE, WITHIN], &["aes128gcm16", "aes256gcm16"]);
    let mut world = pair([free, held]);
    call(&mut world, 0);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-INIT-002"], vec!["RV-INIT-003"]));
    let attempt = world.ends[0].engine.recorder().of(settings::CONNECTION).next().unwrap();
    assert_eq!(attempt.peer_notify, Some(14));
    let attempt = world.ends[1].engine.recorder().of(settings::CONNECTION).next().unwrap();
    assert!(!attempt.configured.contains("128") && attempt.configured.contains("256"), "{attempt:?}");
    world.assert_empty();
}

/// Both have what is outside first; the end with the profile neither offers nor takes it, in either role.
#[test]
fn what_is_within_the_profile_is_negotiated() {
    for caller in 0..2 {
        let profiles = [AlgorithmProfile::Legacy, AlgorithmProfile::Cnsa2];
        let mut world =
            pair([0, 1].map(|end| {
                connection(end, profiles[end], &[OUTSIDE, WITHIN], &["aes128gcm16", "aes256gcm16"])
            }));
        call(&mut world, caller);
        world.assert_converged();
        assert_eq!(world.children(0).len(), 1);
        for event in &world.ends[caller].events {
            match event {
                Event::IkeUp(up) => {
                    assert_eq!(
                        (up.suite.encryption, up.suite.group),
                        (Encryption::AesGcm256, Group::EcpP384)
                    );
                    assert_eq!(up.suite.additional.iter().collect::<Vec<_>>(), [Group::MlKem1024]);
                }
                Event::ChildUp(up) => assert_eq!(up.suite.encryption, Encryption::AesGcm256),
                _ => {}
            }
        }
    }
}

/// A CHILD_SA outside the profile is refused and the IKE SA stays; an end with nothing within calls nobody.
#[test]
fn children_are_held_to_the_profile_too() {
    let free = connection(0, AlgorithmProfile::Rfc8247, &[WITHIN], &["aes128gcm16"]);
    let held = connection(1, AlgorithmProfile::Cnsa2, &[WITHIN], &["aes128gcm16"]);
    let mut world = pair([free, held]);
    call(&mut world, 0);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-CHILD-004"], vec!["RV-CHILD-005"]));
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 0));
    let mut world =
        pair([0, 1].map(|end| connection(end, AlgorithmProfile::Cnsa2, &[OUTSIDE], &["aes256gcm16"])));
    call(&mut world, 0);
    assert_eq!((failures(&world, 0), world.tally.datagrams), (vec!["RV-LOCAL-005"], 0));
}

/// Signatures outside the profile are neither made nor taken.
#[test]
fn signatures_are_held_to_the_profile_too() {
    let ends = |allowed: SignatureScheme, profile: AlgorithmProfile| {
        [0, 1].map(|end| {
            let mut connection = settings::with_certificates(end);
            let own = OwnCertificate { schemes: vec![allowed], ..settings::own_certificate(end, 0) };
            connection = settings::showing(connection, vec![own]);
            connection.proposals = vec![WITHIN.parse().unwrap()].into();
            for child in &mut connection.children {
                child.proposals = vec!["aes256gcm16".parse().unwrap()].into();
            }
            connection.profile = if end == 1 { profile } else { AlgorithmProfile::default() };
            connection
        })
    };
    for (scheme, held, code) in [
        (SignatureScheme::EcdsaP384Sha384, AlgorithmProfile::Cnsa2, None),
        (SignatureScheme::EcdsaP256Sha256, AlgorithmProfile::Rfc8247, None),
        (SignatureScheme::EcdsaP256Sha256, AlgorithmProfile::Cnsa2, Some("RV-AUTH-008")),
    ] {
        let connections = ends(scheme, held);
        assert!(
            matches!(&connections[1].remote_auth, RemoteAuth::Certificate { schemes, .. } if schemes.is_empty())
        );
        let mut world = pair(connections);
        call(&mut world, 0);
        assert_eq!(failures(&world, 1), code.into_iter().collect::<Vec<_>>(), "{scheme:?} {held:?}");
        assert_eq!(world.children(0).len(), usize::from(code.is_none()));
    }
}
