//! Transport mode (RFC 7296 §1.3.1): both ends say USE_TRANSPORT_MODE, or there is no CHILD_SA; never through a NAT; and what
//! a peer says of padding.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::{CHILD, Peer, notify, only_notify, sa, selectors};
use crate::harness::{World, failures, pair, settings};
use ravelin_ike::config::{ChildId, Connection, Mode, RemoteAddress, Resource, UdpEncapsulation};
use ravelin_ike::error::{Failure, ModeProblem};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::wire::{ExchangeType, Message, Notify, NotifyType, Payload};

const SECOND: u64 = 1_000_000;

fn connection(end: usize, mode: Mode) -> Connection {
    let mut connection = settings::with_children(settings::connection(end), end, 2);
    connection.children.iter_mut().for_each(|child| child.mode = mode);
    connection
}

fn ends(modes: [Mode; 2]) -> World {
    pair([0, 1].map(|end| connection(end, modes[end])))
}

fn call(world: &mut World, end: usize, child: u32) {
    let child = Some(ChildId(child));
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child });
    world.run_for(2 * SECOND);
}

fn modes(world: &World, end: usize) -> Vec<Mode> {
    world.ends[end].plane.modes().into_iter().map(|(mode, _)| mode).collect()
}

/// In IKE_AUTH, in CREATE_CHILD_SA, and when either is rekeyed by either end.
#[test]
fn both_ends_say_so_each_time() {
    for caller in 0..2 {
        let mut world = ends([Mode::Transport; 2]);
        call(&mut world, caller, 1);
        call(&mut world, 1 - caller, 2);
        assert_eq!(
            (modes(&world, 0), modes(&world, 1)),
            (vec![Mode::Transport; 2], vec![Mode::Transport; 2])
        );
        for end in 0..2 {
            for child in world.children(end) {
                world.command(end, Command::RekeyChild { child });
                world.run_for(2 * SECOND);
            }
        }
        for _ in 0..16 {
            world.run_for(5 * SECOND);
            world.traffic();
        }
        assert!(modes(&world, 0).iter().chain(&modes(&world, 1)).all(|mode| *mode == Mode::Transport));
        assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
        world.assert_converged();
    }
}

/// Whoever wants transport mode deletes the tunnel that the peer makes of it, and makes no tunnel of what the peer asks
/// for; the IKE SA stays.
#[test]
fn modes_that_differ_make_no_child() {
    let mut world = ends([Mode::Transport, Mode::Tunnel]);
    call(&mut world, 0, 1);
    assert_eq!(failures(&world, 0), ["RV-CHILD-014"]);
    call(&mut world, 1, 1);
    assert_eq!(failures(&world, 1).last(), Some(&"RV-CHILD-004"));
    assert_eq!(failures(&world, 0).last(), Some(&"RV-CHILD-015"));
    world.run_for(60 * SECOND);
    assert_eq!((modes(&world, 0), modes(&world, 1)), (vec![], vec![]));
    assert_eq!((world.ikes(0).len(), world.ikes(1).len()), (1, 1));
}

/// RFC 7296 §2.23.1 would put other addresses into selectors: a NAT is named in place of that, by whoever finds it, and so
/// is UDP encapsulation that is forced.
#[test]
fn it_does_not_go_through_a_nat() {
    let nat = "198.51.100.9".parse().unwrap();
    let from_anywhere = |mode| {
        let mut both = [0, 1].map(|end| connection(end, mode));
        both[1].remote = RemoteAddress::Any;
        pair(both)
    };
    let mut world = from_anywhere(Mode::Transport);
    world.put_behind(Some(nat));
    call(&mut world, 0, 1);
    assert_eq!(failures(&world, 0), ["RV-CHILD-017"]);
    assert!(modes(&world, 0).is_empty() && modes(&world, 1).is_empty());
    let mut forced = pair([0, 1].map(|end| {
        let mut connection = connection(end, Mode::Transport);
        connection.nat.encapsulation =
            if end == 1 { UdpEncapsulation::Force } else { UdpEncapsulation::Auto };
        connection
    }));
    call(&mut forced, 0, 1);
    assert_eq!(failures(&forced, 0), ["RV-CHILD-017"]);
    // A tunnel passes.
    let mut tunnel = from_anywhere(Mode::Tunnel);
    tunnel.put_behind(Some(nat));
    call(&mut tunnel, 0, 1);
    assert_eq!(modes(&tunnel, 1), [Mode::Tunnel]);
}

fn with_mode(mode: Mode) -> impl FnOnce(&mut Connection) {
    move |connection| connection.children.iter_mut().for_each(|child| child.mode = mode)
}

fn said(payloads: &[Payload]) -> Option<&Notify> {
    let is = |payload: &&Payload| matches!(payload, Payload::Notify(it) if it.notify_type == NotifyType::UseTransportMode);
    payloads.iter().find(is).map(|payload| match payload {
        Payload::Notify(notify) => notify,
        _ => panic!("it is a notification"),
    })
}

/// "The USE_TRANSPORT_MODE notification MAY be included in a request message that also includes an SA payload requesting a
/// Child SA": without data, SPI or protocol. A child of a tunnel declines it and makes a tunnel; one of transport mode makes
/// none without it.
#[test]
fn an_engine_answers_what_it_is_asked() {
    for (mode, asks, made) in [
        (Mode::Transport, true, Some(Mode::Transport)),
        (Mode::Transport, false, None),
        (Mode::Tunnel, true, Some(Mode::Tunnel)),
        (Mode::Tunnel, false, Some(Mode::Tunnel)),
    ] {
        let mut peer = Peer::new(with_mode(mode));
        peer.call(peer.init());
        let wish = if asks { notify(NotifyType::UseTransportMode) } else { Vec::new() };
        let reply = peer.ask(ExchangeType::IkeAuth, [peer.auth(), wish.clone()].concat());
        assert_eq!(peer.modes.iter().map(|(mode, _)| *mode).collect::<Vec<_>>(), Vec::from_iter(made));
        assert_eq!(sa(&reply).is_some(), made.is_some());
        let said = said(&reply).map(|notify| (notify.clone(), notify.data.len()));
        let agreed =
            (made == Some(Mode::Transport)).then(|| (Notify::new(NotifyType::UseTransportMode, vec![]), 0));
        assert_eq!(said, agreed);
        if made.is_some() {
            let rekey = peer.ask(ExchangeType::CreateChildSa, [peer.child_rekey(CHILD), wish].concat());
            assert_eq!(self::said(&rekey).is_some(), mode == Mode::Transport);
        } else {
            let refused = reply.iter().filter(|payload| matches!(payload, Payload::Notify(_)));
            let refused: Vec<Payload> = refused.cloned().collect();
            assert_eq!(only_notify(&refused).0, NotifyType::NoProposalChosen);
        }
    }
}

/// A rekey without it would make a tunnel of a child in transport mode: it is refused, and the old SA stays.
#[test]
fn a_rekey_cannot_change_the_mode() {
    let mut peer = Peer::new(with_mode(Mode::Transport));
    peer.call(peer.init());
    peer.ask(ExchangeType::IkeAuth, [peer.auth(), notify(NotifyType::UseTransportMode)].concat());
    let refused = peer.ask(ExchangeType::CreateChildSa, peer.child_rekey(CHILD));
    assert_eq!(only_notify(&refused).0, NotifyType::NoProposalChosen);
    assert_eq!(peer.children().len(), 1);
}

/// What a peer answers to a rekey of the engine's: the selectors are those of its other side.
fn answer(peer: &Peer) -> Vec<Payload> {
    let mut payloads = peer.child(1, 0x3333_3333, None);
    payloads[2] = Payload::TrafficSelectorsInitiator(selectors(1, 1));
    payloads[3] = Payload::TrafficSelectorsResponder(selectors(0, 1));
    payloads
}

/// Asked for a tunnel, a peer cannot make transport mode of it.
#[test]
fn what_nobody_asked_for_is_refused() {
    let mut peer = Peer::up(|_| {});
    let request: Message = peer.hear_child_rekey();
    assert_eq!(said(&request.payloads), None);
    peer.tell(&request, [answer(&peer), notify(NotifyType::UseTransportMode)].concat());
    let failed = peer.events.iter().find_map(|event| match event {
        Event::ChildFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(failed, Some(Failure::Mode(ModeProblem::Unasked)));
    assert_eq!(peer.children().len(), 1, "the old one stays");
}

/// SAs for single workers are of the same mode as what is beside them.
#[test]
fn single_resources_are_asked_for_their_mode_too() {
    let mut peer = Peer::new(|connection| {
        *connection = settings::with_resources(connection.clone(), 1, 2);
        with_mode(Mode::Transport)(connection);
        assert!(connection.children.iter().any(|child| child.resource != Resource::Only));
    });
    let info = notify(NotifyType::SaResourceInfo);
    let wish = notify(NotifyType::UseTransportMode);
    peer.call(peer.init());
    peer.ask(ExchangeType::IkeAuth, [peer.auth(), info.clone(), wish.clone()].concat());
    let without =
        peer.ask(ExchangeType::CreateChildSa, [peer.child(1, 0x3333_3333, None), info.clone()].concat());
    assert_eq!(only_notify(&without).0, NotifyType::NoProposalChosen);
    let with = peer.ask(ExchangeType::CreateChildSa, [peer.child(1, 0x3333_3334, None), info, wish].concat());
    assert!(said(&with).is_some());
    assert_eq!(peer.modes, [(Mode::Transport, true); 2]);
}

/// "the sending endpoint will not accept packets that contain Traffic Flow Confidentiality (TFC) padding over the Child SA
/// being negotiated" (RFC 7296 §1.3.1): of that SA, and no other.
#[test]
fn who_takes_no_padding_is_sent_none() {
    let mut peer = Peer::new(|_| {});
    peer.call(peer.init());
    let no_padding = notify(NotifyType::EspTfcPaddingNotSupported);
    peer.ask(ExchangeType::IkeAuth, [peer.auth(), no_padding.clone()].concat());
    peer.ask(ExchangeType::CreateChildSa, peer.child_rekey(CHILD));
    assert_eq!(peer.modes, [(Mode::Tunnel, false), (Mode::Tunnel, true)]);
    // In an answer as well.
    let mut peer = Peer::up(|_| {});
    let request = peer.hear_child_rekey();
    peer.tell(&request, [answer(&peer), no_padding].concat());
    assert_eq!(peer.modes, [(Mode::Tunnel, true), (Mode::Tunnel, false)]);
}
