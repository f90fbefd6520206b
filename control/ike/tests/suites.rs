//! Every algorithm there is, negotiated from both ends: the offer, the choice, the keys of both directions, and a rekey of
//! what came of it (RFC 7296 §2.7, §2.17, §3.3).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{World, pair, settings};
use ravelin_ike::config::{AlgorithmProfile, Connection, Encryption, EspProposal, Integrity};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::want::EspSuite;

const SECOND: u64 = 1_000_000;
const IKE: &str = "aes128gcm16-prfsha256-x25519";

/// Each cipher with each integrity algorithm that goes with it.
fn esp() -> Vec<String> {
    let alone = |proposal: EspProposal| proposal.to_string();
    let proposal = |encryption, integrity: Option<Integrity>| EspProposal {
        encryption: vec![encryption],
        integrity: integrity.into_iter().collect(),
        groups: vec![],
        additional: Default::default(),
        extended_sequence: vec![false],
    };
    let of = |encryption: Encryption| match encryption.is_aead() {
        true => vec![alone(proposal(encryption, None))],
        false => Integrity::ALL.map(|integrity| alone(proposal(encryption, Some(integrity)))).to_vec(),
    };
    Encryption::ALL.into_iter().flat_map(of).collect()
}

fn connection(end: usize, ike: &[String], esp: &[String]) -> Connection {
    let mut connection = settings::connection(end);
    connection.profile = AlgorithmProfile::Legacy;
    connection.proposals = ike.iter().map(|text| text.parse().unwrap()).collect();
    for child in &mut connection.children {
        child.proposals = esp.iter().map(|text| text.parse().unwrap()).collect();
    }
    connection
}

fn children_of(world: &World, end: usize) -> Vec<EspSuite> {
    let up = world.ends[end].events.iter().filter_map(|event| match event {
        Event::ChildUp(up) | Event::ChildRekeyed { new: up, .. } => Some(up.suite),
        _ => None,
    });
    up.collect()
}

/// One end has everything, in its own order, the other one suite: that one is agreed upon, whoever calls, and again when
/// the child is rekeyed; keys agree (the harness compares what one seals with and the other opens with).
#[test]
fn every_esp_suite_is_negotiated_and_rekeyed() {
    let all = esp();
    assert!(all.len() >= 15, "{all:?}");
    for (at, one) in all.iter().enumerate() {
        let caller = at % 2;
        let lists = [all.clone(), vec![one.clone()]];
        let mut world = pair([0, 1].map(|end| connection(end, &[IKE.to_owned()], &lists[end])));
        world.command(caller, Command::Initiate { connection: settings::CONNECTION, child: None });
        world.run_for(30 * SECOND);
        world.assert_converged();
        let child = world.children(caller)[0];
        world.command(caller, Command::RekeyChild { child });
        world.run_for(30 * SECOND);
        world.assert_converged();
        for end in 0..2 {
            let suites = children_of(&world, end);
            assert!(suites.len() >= 2, "one, and its successor");
            for suite in suites {
                let EspSuite { encryption, integrity, .. } = suite;
                let agreed = EspProposal {
                    encryption: vec![encryption],
                    integrity: integrity.into_iter().collect(),
                    groups: vec![],
                    additional: Default::default(),
                    extended_sequence: vec![false],
                };
                assert_eq!(agreed.to_string(), *one);
            }
        }
    }
}

/// The same of the IKE SA, over every hash and method of key exchange.
#[test]
fn every_ike_suite_is_negotiated_and_rekeyed() {
    let ciphers = [
        "aes128gcm16-prfsha1",
        "aes192gcm16-prfsha256",
        "aes256gcm16-prfsha512",
        "chacha20poly1305-prfsha256",
        "aes128ccm16-prfaescmac",
        "aes192ccm16-prfsha384",
        "aes256ccm16-prfsha256",
    ];
    let with_hash = Encryption::ALL.into_iter();
    let with_hash = with_hash.filter(|encryption| !encryption.is_aead() && encryption.is_for_ike());
    let with_hash = with_hash.flat_map(|encryption| {
        let cipher = ravelin_ike::config::Algorithm::Encryption(encryption);
        Integrity::ALL.map(|hash| format!("{cipher}-{}", ravelin_ike::config::Algorithm::Integrity(hash)))
    });
    let methods = ravelin_ike::config::Group::ALL.map(ravelin_ike::config::Algorithm::Group);
    let ciphers: Vec<String> = ciphers.map(str::to_owned).into_iter().chain(with_hash).collect();
    let each = (0..ciphers.len().max(methods.len()))
        .map(|at| format!("{}-{}", ciphers[at % ciphers.len()], methods[at % methods.len()]));
    for (at, one) in each.enumerate() {
        let caller = at % 2;
        let mut world =
            pair([0, 1].map(|end| connection(end, std::slice::from_ref(&one), &["aes128gcm16".to_owned()])));
        world.command(caller, Command::Initiate { connection: settings::CONNECTION, child: None });
        world.run_for(30 * SECOND);
        world.assert_converged();
        let ike = world.ikes(caller)[0];
        world.command(caller, Command::RekeyIke { ike });
        world.run_for(30 * SECOND);
        world.assert_converged();
        let up = world.ends[caller].events.iter().find_map(|event| match event {
            Event::IkeUp(up) => Some(up.suite.to_string()),
            _ => None,
        });
        assert_eq!(up.unwrap(), one);
    }
}
