//! Redirection to another gateway (RFC 5685): in IKE_SA_INIT, in IKE_AUTH, and of what is up. End 1 is the gateway that is
//! called and, under its further addresses, all the others.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{Dice, Faults, World, address, failures, kind, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{
    AcceptRedirect, ChildId, Connection, ConnectionId, RedirectAt, RedirectCallers, Redirection,
};
use ravelin_ike::event::Event;
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::time::Instant;
use ravelin_ike::wire::{
    ExchangeType, Flags, GatewayIdentity, Header, IkeSpi, Message, Notify, NotifyType, Outer, Payload,
    Redirect,
};
use std::net::IpAddr;
use std::sync::mpsc::Receiver;

pub(crate) const SECOND: u64 = 1_000_000;

pub(crate) fn accepting(accept: AcceptRedirect, connection: Connection) -> Connection {
    Connection { redirect: Redirection { accept, callers: None }, ..connection }
}

pub(crate) fn anywhere(end: usize) -> Connection {
    accepting(AcceptRedirect::Anywhere, settings::connection(end))
}

pub(crate) fn callers_to(to: IpAddr, at: RedirectAt) -> Redirection {
    let to = GatewayIdentity::Address(to);
    Redirection { accept: AcceptRedirect::Never, callers: Some(RedirectCallers { to, at }) }
}

/// A caller, and a gateway that has these redirections at its first address and at further ones.
pub(crate) fn world(seed: u64, caller: Connection, first: Redirection, others: &[Redirection]) -> World {
    let certificates = matches!(caller.remote_auth, ravelin_ike::config::RemoteAuth::Certificate { .. });
    let called = |local, redirect: &Redirection| {
        let base = if certificates { settings::with_certificates(1) } else { settings::connection(1) };
        Connection { local, redirect: redirect.clone(), ..base }
    };
    let engines = [0, 1].map(|end| Engine::new(settings::engine_config(), [end + 1 + seed as u8 * 2; 32]));
    let mut world = World::new(seed, engines, certificates);
    world.ends[0].engine.set_connection(Instant(0), settings::CONNECTION, Some(caller));
    let gateway = &mut world.ends[1].engine;
    gateway.set_connection(Instant(0), settings::CONNECTION, Some(called(settings::outer(1), &first)));
    for (number, redirect) in others.iter().enumerate() {
        let local = settings::gateway(number as u8);
        gateway.set_connection(Instant(0), ConnectionId(20 + number as u32), Some(called(local, redirect)));
    }
    world
}

pub(crate) fn call(world: &mut World) {
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
}

/// Where the caller's tunnel that is up leads.
pub(crate) fn at(world: &World) -> Vec<IpAddr> {
    let up = world.ikes(0);
    let all = world.ends[0].engine.snapshot();
    all.iter().filter(|ike| up.contains(&ike.ike)).map(|ike| ike.path.remote.ip()).collect()
}

/// The notifications in IKE_SA_INIT requests, as they pass.
fn watch(world: &mut World) -> Receiver<Vec<Notify>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |_, bytes| {
        if let (34, false, Ok(Outer::Clear(message))) = (kind(bytes).0, kind(bytes).1, Outer::parse(bytes)) {
            let notify = |payload| if let Payload::Notify(notify) = payload { Some(notify) } else { None };
            sender.send(message.payloads.into_iter().filter_map(notify).collect()).unwrap();
        }
        true
    }));
    receiver
}

fn has(notifies: &[Notify], kind: NotifyType) -> bool {
    notifies.iter().any(|notify| notify.notify_type == kind)
}

/// ```text
///   A  IKE_SA_INIT{N(REDIRECT_SUPPORTED)}  -------  B
///   A  -------  N(REDIRECT, C, Ni)  B
///   A  IKE_SA_INIT{N(REDIRECTED_FROM, B)}  -------  C, and so on
/// ```
#[test]
fn a_caller_follows_in_ike_sa_init() {
    let to = settings::gateway(0);
    let init = callers_to(to, RedirectAt::Init);
    let mut world = world(0, anywhere(0), init, &[Redirection::default()]);
    let seen = watch(&mut world);
    call(&mut world);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(2)) });
    world.run_for(2 * SECOND);
    world.assert_converged();
    assert_eq!((at(&world), world.served(0)), (vec![to], vec![1, 2]));
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-END-008"], vec![]));
    assert_eq!((world.tally.ike_up, world.ends[1].engine.counters().init_redirected), (2, 1));
    let requests: Vec<Vec<Notify>> = seen.try_iter().collect();
    let said = |request: &[Notify]| {
        (has(request, NotifyType::RedirectSupported), has(request, NotifyType::RedirectedFrom))
    };
    assert_eq!(
        requests.iter().map(|request| said(request)).collect::<Vec<_>>(),
        [(true, false), (false, true)]
    );
    let from = requests[1].iter().find_map(GatewayIdentity::from_notify);
    assert!(
        requests[1].contains(&GatewayIdentity::Address(settings::outer(1)).redirected_from()),
        "{from:?}"
    );
}

/// ```text
///   A  IKE_AUTH{...}  -------  B
///   A  -------  IKE_AUTH{IDr, AUTH, N(REDIRECT, C)}  B
///   A  INFORMATIONAL{D}  -------  B, and IKE_SA_INIT with C
/// ```
#[test]
fn a_caller_follows_in_ike_auth() {
    let to = settings::gateway(0);
    for connection in [settings::connection(0), settings::with_certificates(0)] {
        let caller = accepting(AcceptRedirect::Within(vec![to..=to]), connection);
        let mut world = world(0, caller, callers_to(to, RedirectAt::Auth), &[Redirection::default()]);
        call(&mut world);
        world.run_for(2 * SECOND);
        world.assert_converged();
        assert_eq!((at(&world), world.served(0)), (vec![to], vec![1]));
        assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-END-008"], vec!["RV-END-009"]));
        world.command(0, Command::Terminate { connection: settings::CONNECTION });
        world.run_for(30 * SECOND);
        world.assert_empty();
    }
}

/// ```text
///   A  ======= B
///   B  INFORMATIONAL{N(REDIRECT, C)}  -------  A
///   A  INFORMATIONAL{D}  -------  B, and IKE_SA_INIT with C
/// ```
#[test]
fn what_is_up_is_sent_elsewhere() {
    let to = settings::gateway(0);
    for rekeyed_by in [None, Some(0), Some(1)] {
        let mut world = world(0, anywhere(0), Redirection::default(), &[Redirection::default()]);
        call(&mut world);
        world.command(0, Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(2)) });
        world.run_for(SECOND);
        // Who began the IKE SA now does not matter: who called does.
        if let Some(end) = rekeyed_by {
            let ike = world.ikes(end)[0];
            world.command(end, Command::RekeyIke { ike });
            world.run_for(SECOND);
        }
        assert_eq!(at(&world), [settings::outer(1)]);
        world.command(
            0,
            Command::Redirect { connection: settings::CONNECTION, to: GatewayIdentity::Address(to) },
        );
        world.run_for(SECOND);
        assert_eq!(at(&world), [settings::outer(1)], "a caller sends nobody away");
        world.command(
            1,
            Command::Redirect { connection: settings::CONNECTION, to: GatewayIdentity::Address(to) },
        );
        world.run_for(2 * SECOND);
        world.assert_converged();
        assert_eq!((at(&world), world.served(0)), (vec![to], vec![1, 2]));
        assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-END-008"], vec!["RV-END-009"]));
    }
}

/// "If the IKE_SA_INIT request did not include the REDIRECT_SUPPORTED payload, the responder MUST NOT send" a redirection
/// (RFC 5685 §3); nor later.
#[test]
fn a_caller_that_cannot_be_redirected_is_served() {
    let to = settings::gateway(0);
    for stage in [RedirectAt::Init, RedirectAt::Auth] {
        let mut world = world(0, settings::connection(0), callers_to(to, stage), &[Redirection::default()]);
        let seen = watch(&mut world);
        call(&mut world);
        world.run_for(SECOND);
        world.command(
            1,
            Command::Redirect { connection: settings::CONNECTION, to: GatewayIdentity::Address(to) },
        );
        world.run_for(100 * SECOND);
        world.assert_converged();
        assert_eq!((at(&world), failures(&world, 0)), (vec![settings::outer(1)], vec![]));
        assert!(seen.try_iter().all(|request| !has(&request, NotifyType::RedirectSupported)));
    }
}

/// Where the configuration does not allow it we do not go, whenever we are told to; what is up stays up.
#[test]
fn only_what_is_allowed_is_followed() {
    let (to, allowed) = (settings::gateway(0), settings::gateway(1));
    let caller = || accepting(AcceptRedirect::Within(vec![allowed..=allowed]), settings::connection(0));
    for stage in [RedirectAt::Init, RedirectAt::Auth] {
        let mut world = world(0, caller(), callers_to(to, stage), &[Redirection::default()]);
        call(&mut world);
        world.run_for(20 * SECOND);
        assert_eq!((failures(&world, 0), at(&world)), (vec!["RV-INIT-008"], vec![]));
        world.run_for(100 * SECOND);
        world.assert_empty();
    }
    let mut world =
        world(0, caller(), Redirection::default(), &[Redirection::default(), Redirection::default()]);
    call(&mut world);
    world.run_for(SECOND);
    world
        .command(1, Command::Redirect { connection: settings::CONNECTION, to: GatewayIdentity::Address(to) });
    world.run_for(SECOND);
    world.assert_converged();
    assert_eq!(at(&world), [settings::outer(1)]);
    let refused = |event: &Event| matches!(event, Event::RedirectRefused { reason, .. } if reason.code() == "RV-INIT-008");
    assert_eq!(world.ends[0].events.iter().filter(|event| refused(event)).count(), 1);
    // Who does not go when told is closed after a while, and may call again.
    world.run_for(70 * SECOND);
    assert_eq!((failures(&world, 1), world.children(0).len()), (vec!["RV-END-009"], 0));
    call(&mut world);
    world.run_for(SECOND);
    world.command(
        1,
        Command::Redirect { connection: settings::CONNECTION, to: GatewayIdentity::Address(allowed) },
    );
    world.run_for(2 * SECOND);
    assert_eq!(at(&world), [allowed]);
}

/// An answer to the caller's IKE_SA_INIT request of this SPI.
fn forged(spi: IkeSpi, notify: Notify) -> Datagram {
    let flags = Flags { initiator: false, version: false, response: true };
    let header = Header::new(spi, IkeSpi::ZERO, ExchangeType::IkeSaInit, flags, 0);
    let bytes = Message::new(header, vec![Payload::Notify(notify)]).emit().unwrap();
    Datagram { instance: 0, local: address(0, 500), remote: address(1, 500), bytes }
}

/// "If they do not match, the client MUST silently discard the response" (RFC 5685 §3). Else it is heard, whatever becomes of
/// the name in it.
#[test]
fn a_redirection_without_our_nonce_is_not_heard() {
    for (accept, known, code) in [
        (AcceptRedirect::Anywhere, false, None),
        (AcceptRedirect::Never, true, None),
        (AcceptRedirect::Anywhere, true, Some("RV-INIT-008")),
    ] {
        let caller = accepting(accept, settings::connection(0));
        let mut world = world(0, caller, Redirection::default(), &[Redirection::default()]);
        let (sender, seen) = std::sync::mpsc::channel();
        world.gate = Some(Box::new(move |_, bytes| {
            let _ = sender.send(bytes.to_vec());
            false
        }));
        call(&mut world);
        world.run_for(SECOND / 10);
        let Ok(Outer::Clear(request)) = Outer::parse(&seen.try_iter().next().unwrap()) else { panic!() };
        let nonce = request.payloads.iter().find_map(|payload| match payload {
            Payload::Nonce(nonce) => Some(nonce.as_bytes().to_vec()),
            _ => None,
        });
        let nonce = if known { nonce.unwrap() } else { vec![7; 32] };
        let spi = request.header.initiator_spi;
        let name = GatewayIdentity::Name(b"gw.example".to_vec());
        let elsewhere = GatewayIdentity::Address(settings::gateway(0));
        let mut lies = vec![Redirect { to: name, nonce: nonce.clone() }.notify()];
        if !known || code.is_none() {
            lies.push(Redirect { to: elsewhere, nonce }.notify());
            lies.push(Notify::new(NotifyType::Redirect, vec![1, 4, 192]));
        }
        for lie in lies {
            let now = world.at();
            world.ends[0].engine.handle_datagram(now, forged(spi, lie));
            world.drain(0);
        }
        if let Some(code) = code {
            world.run_for(6 * SECOND);
            assert_eq!(failures(&world, 0), ["RV-END-008", code]);
            let Event::AttemptFailed { attempt, .. } = &world.ends[0].events[1] else { panic!() };
            assert!(attempt.failure.as_ref().unwrap().to_string().contains("gw.example"));
            continue;
        }
        world.gate = None;
        world.run_for(5 * SECOND);
        world.assert_converged();
        assert_eq!((at(&world), failures(&world, 0)), (vec![settings::outer(1)], vec![]));
    }
}

/// "MAX_REDIRECTS ... 5 ... REDIRECT_LOOP_DETECT_PERIOD 300 seconds" (RFC 5685 §7).
#[test]
fn redirections_without_end_are_given_up() {
    for stage in [RedirectAt::Init, RedirectAt::Auth] {
        let next = |number: u8| callers_to(settings::gateway(number), stage);
        let others: Vec<Redirection> = (1..8).map(next).collect();
        let mut world = world(0, anywhere(0), next(0), &others);
        call(&mut world);
        world.run_for(20 * SECOND);
        let mut expected = vec!["RV-END-008"; 5];
        expected.push("RV-INIT-009");
        assert_eq!(failures(&world, 0), expected, "{stage:?}");
    }
}

/// After the period it may go on: what is up and sent elsewhere once in two minutes goes on for ever.
#[test]
fn redirections_are_forgotten_in_time() {
    let others = vec![Redirection::default(); 8];
    let mut world = world(0, anywhere(0), Redirection::default(), &others);
    call(&mut world);
    world.run_for(SECOND);
    for number in 0..8u8 {
        let connection = match number {
            0 => settings::CONNECTION,
            _ => ConnectionId(19 + u32::from(number)),
        };
        world.command(
            1,
            Command::Redirect { connection, to: GatewayIdentity::Address(settings::gateway(number)) },
        );
        world.run_for(100 * SECOND);
        assert_eq!(at(&world), [settings::gateway(number)]);
    }
}

/// Two gateways that redirect to each other: who comes from the one is served by the other.
#[test]
fn nobody_is_sent_back() {
    for stage in [RedirectAt::Init, RedirectAt::Auth] {
        let back = callers_to(settings::outer(1), stage);
        let mut world = world(0, anywhere(0), callers_to(settings::gateway(0), stage), &[back]);
        call(&mut world);
        world.run_for(3 * SECOND);
        world.assert_converged();
        assert_eq!(at(&world), [settings::gateway(0)]);
    }
}

/// In a bad world, at any stage: in the end there is one tunnel, with the other gateway.
#[test]
fn seeded_lives() {
    for seed in 0..60u64 {
        let mut dice = Dice(seed);
        let base = if dice.chance(300) { settings::with_certificates } else { settings::connection };
        let to = settings::gateway(0);
        let first = match dice.below(3) {
            0 => callers_to(to, RedirectAt::Init),
            1 => callers_to(to, RedirectAt::Auth),
            _ => Redirection::default(),
        };
        let later = first.callers.is_none();
        let caller = accepting(AcceptRedirect::Anywhere, base(0));
        let mut world = world(seed, caller, first, &[Redirection::default()]);
        world.faults = Faults {
            loss: dice.below(200),
            repeat: dice.below(300),
            delay: 1000 + dice.below(300_000),
            answer_delay: 1 + dice.below(200_000),
            ..Faults::default()
        };
        for _ in 0..3 {
            call(&mut world);
            world.run_for(20 * SECOND);
            if later {
                world.command(
                    1,
                    Command::Redirect { connection: settings::CONNECTION, to: GatewayIdentity::Address(to) },
                );
                world.run_for(20 * SECOND);
            }
        }
        world.faults = Faults { delay: 1000, ..Faults::default() };
        world.run_for(150 * SECOND);
        call(&mut world);
        world.run_for(5 * SECOND);
        if later {
            world.command(
                1,
                Command::Redirect { connection: settings::CONNECTION, to: GatewayIdentity::Address(to) },
            );
        }
        for _ in 0..6 {
            world.run_for(10 * SECOND);
            world.traffic();
        }
        world.assert_converged();
        assert_eq!((at(&world), world.served(0)), (vec![to], vec![1]), "{seed}");
    }
}
