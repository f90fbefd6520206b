//! Peers of a gateway (TG-11): whoever proves itself gets a connection of its own, and it is given back when the peer
//! is gone, whatever goes wrong on the way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness;
use crate::harness::{Faults, World, failures, pair, pair_of, settings};
use ravelin_ike::config::{
    Connection, ConnectionId, Identity, IdentityMatch, IdentityPattern, RemoteAddress, Selector,
};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, AnswerError, WantKind};

const SECOND: u64 = 1_000_000;
const CALLER: usize = 0;
const GATEWAY: usize = 1;

/// The gateway's own connection: it has no children, and lets in whom a pattern fits.
fn gateway() -> Connection {
    let suffix = IdentityPattern::Suffix(Identity::fqdn(".example"));
    Connection {
        remote: RemoteAddress::Gateway,
        remote_identity: IdentityMatch::OneOf(vec![suffix]),
        children: Vec::new(),
        max_children: 0,
        ..settings::connection(GATEWAY)
    }
}

/// What a peer gets: two children that may carry everything of ours to everything.
fn admitted() -> Connection {
    let usual = settings::connection(GATEWAY);
    let wide = |network: [u8; 4]| vec![Selector::prefix(network.into(), 8)];
    let children = usual.children.iter().cloned().map(|child| ravelin_ike::config::ChildConfig {
        local: wide([10, 0, 0, 0]),
        remote: wide([10, 0, 0, 0]),
        ..child
    });
    Connection { remote: RemoteAddress::Admitted, children: children.collect(), ..usual }
}

fn with_gateway(seed: u8) -> World {
    let mut world = pair_of(seed, [settings::connection(CALLER), gateway()]);
    world.ends[GATEWAY].admits = Some(admitted());
    world
}

fn call(world: &mut World) {
    world.command(CALLER, Command::Initiate { connection: settings::CONNECTION, child: None });
}

/// The peer is up by a connection of its own, narrowed to what it asked for; with its end that is gone.
#[test]
fn a_peer_has_a_connection_as_long_as_it_is_there() {
    let mut world = with_gateway(0);
    call(&mut world);
    world.run_for(SECOND);
    world.assert_converged();
    let own = ConnectionId(1001);
    assert_eq!(world.ends[GATEWAY].admitted, [own].into());
    let snapshot = world.ends[GATEWAY].engine.snapshot();
    assert_eq!(snapshot.iter().map(|ike| ike.connection).collect::<Vec<_>>(), [own]);
    assert_eq!(snapshot[0].children[0].child.remote, settings::child(CALLER, 1, false).local);
    let up = |event: &Event| matches!(event, Event::IkeUp(up) if up.connection == own);
    assert!(world.ends[GATEWAY].events.iter().any(up), "who is told that it is up is told whose it is");
    world.command(CALLER, Command::Terminate { connection: settings::CONNECTION });
    world.run_for(60 * SECOND);
    world.assert_empty();
    assert_eq!(world.ends[GATEWAY].engine.snapshot().len(), 0);
}

/// Who is not admitted is told so before anything is up, and nothing is left of it.
#[test]
fn a_peer_that_is_not_admitted_is_told_to_come_later() {
    let mut world = with_gateway(0);
    world.ends[GATEWAY].admits = None;
    call(&mut world);
    world.run_for(60 * SECOND);
    assert_eq!((world.tally.ike_up, failures(&world, GATEWAY)), (0, vec!["RV-GATE-001"]));
    assert_eq!(failures(&world, CALLER), ["RV-INIT-007"], "TEMPORARY_FAILURE");
    world.assert_empty();
}

/// A stranger's name is refused before anybody is asked.
#[test]
fn only_identities_that_fit_are_let_in() {
    let mut stranger = settings::connection(CALLER);
    stranger.local_identity = Identity::fqdn("end0.example.org");
    let mut world = pair([stranger, gateway()]);
    world.ends[GATEWAY].admits = Some(admitted());
    call(&mut world);
    world.run_for(60 * SECOND);
    assert_eq!((world.tally.ike_up, failures(&world, GATEWAY)), (0, vec!["RV-AUTH-004"]));
    world.assert_empty();
}

/// A connection that names the peer's address comes before the gateway.
#[test]
fn configured_peers_win() {
    let mut world = with_gateway(0);
    let fixed = ConnectionId(9);
    world.ends[GATEWAY].engine.set_connection(Instant(0), fixed, Some(settings::connection(GATEWAY)));
    call(&mut world);
    world.run_for(SECOND);
    world.assert_converged();
    let snapshot = world.ends[GATEWAY].engine.snapshot();
    assert_eq!(snapshot.iter().map(|ike| ike.connection).collect::<Vec<_>>(), [fixed]);
    assert!(world.ends[GATEWAY].admitted.is_empty());
}

/// What the peer has behind it is another's: it is up without a CHILD_SA, is told TS_UNACCEPTABLE, and may ask for
/// something else.
#[test]
fn networks_of_another_tunnel_are_refused_by_name() {
    let mut world = with_gateway(0);
    world.ends[GATEWAY].hold = |kind| matches!(kind, WantKind::Install(_));
    call(&mut world);
    world.run_for(SECOND);
    let install = world.ends[GATEWAY].held.pop().unwrap();
    let taken = AnswerError { code: "RV-ROUTE-001".into(), text: "10.0.1.0/24 is of another".into() };
    let now = world.at();
    world.ends[GATEWAY].engine.handle_answer(now, install.ticket, Answer::NetworksTaken(taken));
    world.ends[GATEWAY].hold = |_| false;
    world.drain(GATEWAY);
    world.run_for(SECOND);
    assert_eq!(failures(&world, GATEWAY), ["RV-CHILD-011"]);
    assert_eq!(failures(&world, CALLER), ["RV-CHILD-002"], "TS_UNACCEPTABLE");
    assert_eq!((world.ikes(GATEWAY).len(), world.children(GATEWAY).len()), (1, 0));
    let child = Some(ravelin_ike::config::ChildId(2));
    world.command(CALLER, Command::Initiate { connection: settings::CONNECTION, child });
    world.run_for(SECOND);
    world.assert_converged();
    assert_eq!(world.children(GATEWAY).len(), 1);
}

/// The peer comes anew while the old tunnel is there: who keeps the connections closes that one, by its name.
#[test]
fn the_old_tunnel_of_a_peer_goes_as_superseded() {
    let mut world = with_gateway(0);
    call(&mut world);
    world.run_for(SECOND);
    let connection = *world.ends[GATEWAY].admitted.first().unwrap();
    world.command(GATEWAY, Command::Supersede { connection });
    world.run_for(60 * SECOND);
    assert_eq!(failures(&world, GATEWAY), ["RV-END-006"]);
    world.assert_empty();
}

/// Rekeys of both kinds go on under the peer's own connection.
#[test]
fn a_peer_rekeys_as_any_other() {
    let mut world = with_gateway(0);
    call(&mut world);
    world.run_for(SECOND);
    for end in [CALLER, GATEWAY] {
        let (ike, child) = (world.ikes(end)[0], world.children(end)[0]);
        world.command(end, Command::RekeyChild { child });
        world.run_for(SECOND);
        world.traffic();
        world.run_for(10 * SECOND);
        world.command(end, Command::RekeyIke { ike });
        world.run_for(10 * SECOND);
        world.assert_converged();
    }
    assert_eq!((world.tally.ike_rekeyed, world.tally.child_rekeyed), (4, 4));
    assert_eq!(world.ends[GATEWAY].admitted.len(), 1);
}

/// Lost datagrams, answers that fail or never come: a peer comes and goes a hundred times, and each time its
/// connection is given back, once.
#[test]
fn connections_are_given_back_whatever_happens() {
    let (mut up, mut refused) = (0, 0);
    for seed in 0..100 {
        let mut world = with_gateway(seed);
        world.dice = harness::Dice(u64::from(seed) * 77);
        world.faults = Faults {
            loss: 150,
            repeat: 100,
            delay: 200_000,
            answer_delay: 300_000,
            answer_fails: 40,
            answer_never: 40,
            ..Faults::default()
        };
        for _ in 0..3 {
            call(&mut world);
            world.run_for(8 * SECOND);
            let which = world.dice.below(2) as usize;
            let closes = |ike: &ravelin_ike::id::IkeId| Command::TerminateIke { ike: *ike };
            let commands: Vec<Command> = world.ikes(which).iter().map(closes).collect();
            commands.into_iter().for_each(|command| world.command(which, command));
        }
        world.faults = Faults { delay: 1000, ..Faults::default() };
        for end in [CALLER, GATEWAY] {
            world.command(end, Command::Shutdown);
        }
        world.run_for(300 * SECOND);
        world.assert_empty();
        up += world.tally.ike_up;
        refused += failures(&world, GATEWAY).iter().filter(|code| **code == "RV-GATE-001").count();
    }
    assert!(up > 100 && refused > 0, "{up} came up, {refused} were not admitted: nothing was tried");
}
