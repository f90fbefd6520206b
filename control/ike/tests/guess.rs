//! The group that a key exchange within an IKE SA begins with is the one the peer asked for last (RFC 7296 §1.3): a wrong
//! guess is made once, not at each rekey.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::{self, Peer};
use crate::harness::{World, failures, kind, pair, settings};
use ravelin_ike::config::{ChildId, Connection, Group};
use ravelin_ike::id::ChildSaId;
use ravelin_ike::input::Command;
use ravelin_ike::wire::{KeyExchangeId, Message, Notify, NotifyType, Payload};

const SECOND: u64 = 1_000_000;
const CREATE_CHILD_SA: u8 = 36;

const BOTH: [Group; 2] = [Group::X25519, Group::EcpP256];

/// Both groups, the other one preferred by who calls.
fn either(connection: &mut Connection) {
    connection.proposals[0].groups = BOTH.into();
    connection.children.iter_mut().for_each(|child| child.proposals[0].groups = BOTH.into());
}

/// Both ends; end 0 prefers a group that the other does not take.
fn ends() -> World {
    pair([0, 1].map(|end| {
        let mut connection = settings::with_children(settings::connection(end), end, 3);
        either(&mut connection);
        if end == 1 {
            connection.proposals[0].groups = vec![BOTH[1]];
            connection.children.iter_mut().for_each(|child| child.proposals[0].groups = vec![BOTH[1]]);
        }
        connection
    }))
}

/// The requests of CREATE_CHILD_SA that end 0 sends while this is done.
fn asked(world: &mut World, what: impl FnOnce(&mut World)) -> usize {
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        if from == 0 && kind(bytes) == (CREATE_CHILD_SA, false) {
            sender.send(()).unwrap();
        }
        true
    }));
    what(world);
    world.run_for(2 * SECOND);
    world.gate = None;
    receiver.try_iter().count()
}

fn call(child: u32) -> Command {
    Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(child)) }
}

fn live(world: &World, child: u32) -> ChildSaId {
    let snapshot = world.ends[0].engine.snapshot();
    let mut live = snapshot[0].children.iter().filter(|of| of.live && of.child.config == ChildId(child));
    live.next().unwrap().child.child
}

fn rekey_child(world: &mut World, child: u32) -> usize {
    asked(world, |world| {
        let child = live(world, child);
        world.command(0, Command::RekeyChild { child });
    })
}

fn rekey_ike(world: &mut World) -> usize {
    asked(world, |world| {
        let ike = world.ikes(0)[0];
        world.command(0, Command::RekeyIke { ike });
    })
}

/// The first child has no key exchange in IKE_AUTH, so its first rekey guesses wrong, as the second child does when it is
/// made; each once. The IKE SA has learned with IKE_SA_INIT.
#[test]
fn a_wrong_guess_is_made_once() {
    let mut world = ends();
    world.command(0, call(1));
    world.run_for(SECOND);
    assert_eq!([0; 3].map(|_| rekey_ike(&mut world)), [1, 1, 1]);
    assert_eq!([0; 3].map(|_| rekey_child(&mut world, 1)), [2, 1, 1]);
    assert_eq!(asked(&mut world, |world| world.command(0, call(2))), 2);
    assert_eq!([0; 3].map(|_| rekey_child(&mut world, 2)), [1, 1, 1]);
    // It is the tunnel's to know, not the SA's.
    rekey_ike(&mut world);
    assert_eq!([1, 2].map(|child| rekey_child(&mut world, child)), [1, 1]);
    let child = live(&world, 2);
    world.command(0, Command::TerminateChild { child });
    world.run_for(SECOND);
    assert_eq!(asked(&mut world, |world| world.command(0, call(2))), 1, "nor forgotten with it");
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
    world.run_for(20 * SECOND);
    world.assert_converged();
}

/// What is offered no more is not guessed.
#[test]
fn another_configuration_is_followed() {
    let mut world = ends();
    world.command(0, call(1));
    world.run_for(SECOND);
    assert_eq!(rekey_child(&mut world, 1), 2);
    for end in 0..2 {
        let mut connection = settings::with_children(settings::connection(end), end, 3);
        connection.children.iter_mut().for_each(|child| child.proposals[0].groups = vec![Group::EcpP384]);
        let now = world.at();
        world.ends[end].engine.set_connection(now, settings::CONNECTION, Some(connection));
    }
    assert_eq!(rekey_child(&mut world, 1), 1);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
}

fn group(request: &Message) -> KeyExchangeId {
    let found = request.payloads.iter().find_map(|payload| match payload {
        Payload::KeyExchange(exchange) => Some(exchange.method),
        _ => None,
    });
    found.unwrap()
}

fn wants(group: KeyExchangeId) -> Vec<Payload> {
    let number = u16::from(group).to_be_bytes().to_vec();
    vec![Payload::Notify(Notify::new(NotifyType::InvalidKePayload, number))]
}

/// A rekey of either kind that fails for another reason afterwards has learned all the same; and a peer that changes its
/// mind is followed again, once each time.
#[test]
fn what_the_peer_asked_for_outlives_the_exchange() {
    for hear in [Peer::hear_child_rekey, Peer::hear_ike_rekey] {
        let mut peer = Peer::up(either);
        let mut expected = KeyExchangeId::Curve25519;
        for asked in [KeyExchangeId::Ecp256, KeyExchangeId::Curve25519, KeyExchangeId::Ecp256] {
            let request = hear(&mut peer);
            assert_eq!(group(&request), expected);
            peer.tell(&request, wants(asked));
            let again = peer.hear();
            assert_eq!(group(&again), asked);
            peer.tell(&again, peer::notify(NotifyType::NoProposalChosen));
            expected = asked;
        }
        assert_eq!(peer.children().len(), 1);
    }
}
