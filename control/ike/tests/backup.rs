//! A peer that may be at several addresses: A calls, and the first of B's addresses is silent.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{Dice, Faults, World, failures, kind, pair, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{ChildId, Connection, ConnectionId, Group, RemoteAddress};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use std::net::IpAddr;

const SECOND: u64 = 1_000_000;
const IKE_SA_INIT: u8 = 34;
const IKE_AUTH: u8 = 35;
const INTERMEDIATE: u8 = 43;

/// Where B is besides: each stands for another gateway, with a connection of its own.
fn backups(count: u8) -> Vec<IpAddr> {
    (0..count).map(settings::gateway).collect()
}

fn world(count: u8) -> World {
    world_of(count, [0, 1].map(settings::connection))
}

fn world_of(count: u8, [caller, called]: [Connection; 2]) -> World {
    let caller = Connection { backup_remotes: backups(count), ..caller };
    let mut world = pair([caller, called.clone()]);
    for (number, local) in backups(count).into_iter().enumerate() {
        let other = Connection { local, ..called.clone() };
        world.ends[1].engine.set_connection(Instant(0), ConnectionId(20 + number as u32), Some(other));
    }
    world
}

fn call(world: &mut World, child: Option<ChildId>) {
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child });
}

/// Where A's tunnel that is up leads.
fn at(world: &World) -> Vec<IpAddr> {
    let up = world.ikes(0);
    let all = world.ends[0].engine.snapshot();
    all.iter().filter(|ike| up.contains(&ike.ike)).map(|ike| ike.path.remote.ip()).collect()
}

/// ```text
///   A  IKE_SA_INIT, three times  ---  192.0.2.2, which is cut
///   A  IKE_SA_INIT, three times  ---  192.0.2.20, which is cut
///   A  IKE_SA_INIT               ---  192.0.2.21, and so on
/// ```
#[test]
fn the_next_address_is_called_when_one_is_silent() {
    let mut world = world(3);
    world.cut.extend([settings::outer(1), settings::gateway(0)]);
    call(&mut world, None);
    call(&mut world, Some(ChildId(2)));
    world.run_for(8 * SECOND);
    world.assert_converged();
    assert_eq!((at(&world), world.served(0)), (vec![settings::gateway(1)], vec![1, 2]));
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-NET-008"; 2], vec![]));
    let attempts: Vec<String> = world.ends[0]
        .engine
        .recorder()
        .of(settings::CONNECTION)
        .filter_map(|attempt| Some(format!("{}: {}", attempt.remote.ip(), attempt.failure.as_ref()?)))
        .collect();
    let told = |at: usize, next: usize| {
        let all = [settings::outer(1), settings::gateway(0), settings::gateway(1)];
        format!(
            "{}: no reply from the peer after 3 transmissions in 3.5s; {}, the next of its addresses, is called",
            all[at], all[next]
        )
    };
    assert!(attempts.contains(&told(0, 1)) && attempts.contains(&told(1, 2)), "{attempts:#?}");
}

/// Where one answers no other is called, and after all of them nobody is: whoever called may begin again with the first.
#[test]
fn only_silence_leads_to_the_next() {
    let mut all = world(2);
    call(&mut all, None);
    all.run_for(SECOND);
    assert_eq!((at(&all), failures(&all, 0)), (vec![settings::outer(1)], vec![]));
    // What is answered with a refusal is answered.
    let mut refused = world(2);
    let now = refused.at();
    refused.ends[1].engine.set_connection(now, settings::CONNECTION, None);
    call(&mut refused, None);
    refused.run_for(20 * SECOND);
    assert_eq!((at(&refused), failures(&refused, 0)), (vec![], vec!["RV-INIT-002"]));
    let mut silent = world(2);
    silent.cut.extend([settings::outer(1), settings::gateway(0), settings::gateway(1)]);
    for round in 1..3 {
        call(&mut silent, None);
        silent.run_for(60 * SECOND);
        let expected = ["RV-NET-008", "RV-NET-008", "RV-NET-001"].repeat(round);
        assert_eq!(failures(&silent, 0), expected);
    }
    silent.assert_empty();
    silent.cut.clear();
    call(&mut silent, None);
    silent.run_for(SECOND);
    assert_eq!(at(&silent), [settings::outer(1)], "the first is the preferred one");
}

/// The first address answers IKE_SA_INIT, and nothing that comes after it and of the same IKE SA is answered: what of it
/// `dropped` says, of which end, is lost.
fn falling_silent(world: &mut World, dropped: fn(usize, (u8, bool)) -> bool) {
    let mut first = None;
    world.gate = Some(Box::new(move |from, bytes| {
        let spi: [u8; 8] = bytes[..8].try_into().unwrap();
        *first.get_or_insert(spi) != spi || !dropped(from, kind(bytes))
    }));
}

/// ```text
///   A  IKE_SA_INIT               ---  192.0.2.2, which answers
///   A  IKE_AUTH, six times       ---  192.0.2.2, which is silent, as where its UDP port 4500 is closed
///   A  IKE_SA_INIT               ---  192.0.2.20, and so on
/// ```
#[test]
fn the_next_address_is_called_when_one_falls_silent() {
    for exchange in [IKE_AUTH, INTERMEDIATE] {
        let of = |end| match exchange {
            IKE_AUTH => settings::connection(end),
            _ => settings::with_additional(settings::connection(end), &[Group::MlKem768]),
        };
        let mut world = world_of(1, [0, 1].map(of));
        falling_silent(&mut world, |_, (exchange, _)| exchange != IKE_SA_INIT);
        call(&mut world, Some(ChildId(2)));
        world.run_for(25 * SECOND);
        assert_eq!((at(&world), failures(&world, 0)), (vec![], vec![]), "it is asked as often as usual");
        world.run_for(10 * SECOND);
        world.assert_converged();
        assert_eq!((at(&world), world.served(0)), (vec![settings::gateway(0)], vec![2]));
        assert_eq!(failures(&world, 0), ["RV-NET-008"]);
    }
}

/// It may believe that it has a tunnel, if its answers were lost: it finds out by itself, and we have one tunnel.
#[test]
fn who_fell_silent_may_have_heard() {
    let mut world = world(1);
    falling_silent(&mut world, |from, kind| from == 1 && kind != (IKE_SA_INIT, true));
    call(&mut world, None);
    world.run_for(35 * SECOND);
    assert_eq!((at(&world), failures(&world, 0)), (vec![settings::gateway(0)], vec!["RV-NET-008"]));
    world.run_for(120 * SECOND);
    world.assert_converged();
    assert_eq!(at(&world), [settings::gateway(0)]);
}

/// Who says that it has given up is there.
#[test]
fn who_gave_up_is_called_again_at_the_same_address() {
    let mut world = world(1);
    falling_silent(&mut world, |_, kind| kind == (IKE_AUTH, false));
    call(&mut world, None);
    world.run_for(10 * SECOND);
    world.gate = None;
    world.restart(1, Engine::new(settings::engine_config(), [9; 32]));
    world.run_for(40 * SECOND);
    assert_eq!((at(&world), failures(&world, 0)), (vec![], vec!["RV-NET-007"]));
}

/// A peer that is lost is called at the next address, for what it had.
#[test]
fn a_dead_peer_is_called_elsewhere() {
    let mut world = world(1);
    call(&mut world, None);
    world.run_for(SECOND);
    world.cut.insert(settings::outer(1));
    world.run_for(40 * SECOND);
    assert_eq!((at(&world), failures(&world, 0)), (vec![], vec!["RV-NET-003"]));
    call(&mut world, None);
    world.run_for(5 * SECOND);
    assert_eq!(at(&world), [settings::gateway(0)]);
}

/// A peer may call from each of its addresses, and from no other.
#[test]
fn the_peer_calls_from_any_of_them() {
    for (from, serves) in
        [(settings::outer(1), true), (settings::elsewhere(9), true), (settings::elsewhere(8), false)]
    {
        let own = Connection { backup_remotes: vec![settings::elsewhere(9)], ..settings::connection(0) };
        let mut world = pair([own, settings::connection(1)]);
        world.relocate(1, from, settings::connection(1));
        world.command(1, Command::Initiate { connection: settings::CONNECTION, child: None });
        world.run_for(20 * SECOND);
        assert_eq!(world.ikes(0).len(), usize::from(serves), "{from}");
    }
}

/// MOBIKE lets it move between them.
#[test]
fn the_peer_moves_between_them() {
    let remote = RemoteAddress::One(settings::outer(0));
    let backup_remotes = vec![settings::elsewhere(1)];
    let called = Connection { remote, backup_remotes, ..settings::mobile(1) };
    let mut world = pair([settings::mobile(0), called]);
    call(&mut world, None);
    world.run_for(SECOND);
    world.relocate(0, settings::elsewhere(1), settings::mobile(0));
    world.run_for(20 * SECOND);
    world.assert_converged();
    world.relocate(0, settings::elsewhere(2), settings::mobile(0));
    world.run_for(SECOND);
    let refused = |event: &Event| matches!(event, Event::MoveRefused { .. });
    assert_eq!(world.ends[1].events.iter().filter(|event| refused(event)).count(), 1);
}

/// A reply that is lost, or late, does not make two tunnels.
#[test]
fn seeded_lives() {
    for seed in 0..40u64 {
        let mut dice = Dice(seed);
        let mut world = world(3);
        world.dice = Dice(seed);
        world.faults = Faults {
            loss: dice.below(400),
            repeat: dice.below(200),
            delay: 1000 + dice.below(2_000_000),
            answer_delay: 1 + dice.below(200_000),
            ..Faults::default()
        };
        for _ in 0..4 {
            call(&mut world, None);
            world.run_for(30 * SECOND);
        }
        world.faults = Faults { delay: 1000, ..Faults::default() };
        world.run_for(60 * SECOND);
        call(&mut world, None);
        for _ in 0..6 {
            world.run_for(10 * SECOND);
            world.traffic();
        }
        world.assert_converged();
        assert_eq!((at(&world).len(), world.served(0)), (1, vec![1]), "{seed}");
    }
}

/// It has its own SPI, nonce and NAT detection.
#[test]
fn each_call_is_one_of_its_own() {
    let mut world = world(1);
    world.cut.insert(settings::outer(1));
    let (sender, seen) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        if from == 0 && kind(bytes) == (IKE_SA_INIT, false) {
            sender.send(bytes.to_vec()).unwrap();
        }
        true
    }));
    call(&mut world, None);
    world.run_for(5 * SECOND);
    assert_eq!(at(&world), [settings::gateway(0)]);
    let sent: Vec<Vec<u8>> = seen.try_iter().collect();
    assert!(
        sent.len() == 4 && sent[0] == sent[2] && sent[3][..8] != sent[0][..8],
        "another SPI, nonce and hash"
    );
    assert!(!world.ends[0].plane.paths()[0].1.udp_encapsulation, "no NAT is taken to be there");
}
