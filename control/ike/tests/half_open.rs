//! Callers that are slow: a half-open IKE SA and its end. A called end waits for IKE_AUTH, less long under pressure, and
//! both ends find out soon when it has given up too early.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{World, address, failures, kind, pair, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::RemoteAddress;
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::wire::{ExchangeType, Flags, Header, IkeSpi, Message, Notify, NotifyType, Payload};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;

const SECOND: u64 = 1_000_000;
const IKE_SA_INIT: u8 = 34;
const IKE_AUTH: u8 = 35;

fn call(world: &mut World) {
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
}

/// Fills an engine with callers who ask and go no further.
fn press(world: &mut World, end: usize, template: &[u8], callers: u8) {
    for number in 0..callers {
        let mut bytes = template.to_vec();
        bytes[..8].copy_from_slice(&[number + 1; 8]);
        let remote = SocketAddr::from(([198, 18, 0, number], 500));
        let datagram = Datagram { instance: 0, local: address(end, 500), remote, bytes };
        let now = world.at();
        world.ends[end].engine.handle_datagram(now, datagram);
        world.drain(end);
    }
}

/// Where a thousand callers come back at once over a path that has just been mended, the first of them have asked
/// several times before our answer leaves: who asks again is still there, however long ago it began.
///
/// ```text
///   A  IKE_SA_INIT, again at 0.5 and 1.5 s  ------->  B
///      (answers lost)                       X------
///   A  IKE_SA_INIT, again at 3.5 s          ------->  B
///                                           <------   B      now others press: callers have two seconds
///   A  IKE_AUTH                             ------->  B      and this one must be known
/// ```
#[test]
fn a_caller_that_asks_again_is_not_forgotten() {
    let mut connections = [0, 1].map(settings::connection);
    connections[1].remote = RemoteAddress::Any;
    let mut world = pair(connections);
    let (sender, receiver) = mpsc::channel();
    let mended = world.now + 3 * SECOND;
    let clock = Arc::new(AtomicU64::new(0));
    let of_gate = clock.clone();
    world.gate = Some(Box::new(move |from, bytes| {
        if kind(bytes) == (IKE_SA_INIT, false) {
            let _ = sender.send(bytes.to_vec());
        }
        from == 0 || of_gate.load(Relaxed) >= mended
    }));
    call(&mut world);
    world.run_for(SECOND / 10);
    world.run_until(mended);
    clock.store(mended, Relaxed);
    // Half a second later the request is sent again; it takes one to two milliseconds, and so does the answer.
    world.run_until(mended + SECOND / 2 + 2000);
    press(&mut world, 1, &receiver.recv().unwrap(), 63);
    world.run_for(2 * SECOND);
    assert_eq!(world.children(0).len(), 1);
    assert_eq!(failures(&world, 0), Vec::<&str>::new());
}

/// AUTH covers the caller's last IKE_SA_INIT request. Where the demand for a cookie comes late, that is another one than
/// the one it was let in with.
///
/// ```text
///   A  IKE_SA_INIT at 0.5 s             ------->   B   under pressure
///   A  N(COOKIE)               (late)  X-------    B
///   A  IKE_SA_INIT, again at 3.5 s      ------->   B   no pressure any more: lets it in
///   A  IKE_SA_INIT answer      (late)  X-------    B
///   A  N(COOKIE)                        <-------
///   A  IKE_SA_INIT with the cookie      ------->   B
///   A  IKE_SA_INIT answer               <-------
///   A  IKE_AUTH                         ------->   B   covers the request with the cookie
/// ```
#[test]
fn a_cookie_that_comes_late_is_covered() {
    let mut connections = [0, 1].map(settings::connection);
    connections[1].remote = RemoteAddress::Any;
    let mut world = pair(connections);
    let (sender, answers) = mpsc::channel();
    let deaf = Arc::new(AtomicBool::new(true));
    let of_gate = deaf.clone();
    world.gate = Some(Box::new(move |from, bytes| {
        let _ = sender.send((from, bytes.to_vec()));
        from == 0 && !of_gate.load(Relaxed)
    }));
    let sent = |world: &mut World, micros: u64| {
        world.run_for(micros);
        answers.try_iter().collect::<Vec<(usize, Vec<u8>)>>()
    };
    call(&mut world);
    let template = sent(&mut world, SECOND / 10).remove(0).1;
    press(&mut world, 1, &template, 64);
    deaf.store(false, Relaxed);
    let cookie = sent(&mut world, SECOND).pop().unwrap();
    assert_eq!((cookie.0, &cookie.1[8..16]), (1, &[0; 8][..]), "the demand for a cookie");
    let let_in = sent(&mut world, 3 * SECOND).pop().unwrap();
    assert!(let_in.0 == 1 && let_in.1[8..16] != [0; 8], "the answer to the one sent at 3.5 s");
    world.gate = None;
    for (_, bytes) in [cookie, let_in] {
        let datagram = Datagram { instance: 0, local: address(0, 500), remote: address(1, 500), bytes };
        let now = world.at();
        world.ends[0].engine.handle_datagram(now, datagram);
        world.drain(0);
        world.run_for(SECOND / 200);
    }
    world.run_for(SECOND);
    assert_eq!(failures(&world, 0), Vec::<&str>::new());
    assert_eq!(world.children(0).len(), 1);
}

/// A called end that gave up says so in the clear: the caller ends its attempt after a few seconds, not after all of its
/// transmissions, and its operator reads why. A true answer that comes meanwhile counts.
#[test]
fn a_caller_that_was_forgotten_begins_anew_soon() {
    for honest in [false, true] {
        let mut world = pair([0, 1].map(settings::connection));
        let dropped = Arc::new(AtomicBool::new(true));
        let of_gate = dropped.clone();
        world.gate = Some(Box::new(move |from, bytes| {
            from != 0 || kind(bytes) != (IKE_AUTH, false) || !of_gate.load(Relaxed)
        }));
        call(&mut world);
        world.run_for(SECOND / 10);
        if honest {
            let (initiator, responder) = world.ends[0].engine.snapshot()[0].spis;
            let flags = Flags { initiator: false, version: false, response: true };
            let header = Header::new(IkeSpi(initiator), IkeSpi(responder), ExchangeType::IkeAuth, flags, 1);
            let notify = Notify::new(NotifyType::InvalidIkeSpi, Vec::new());
            let bytes = Message::new(header, vec![Payload::Notify(notify)]).emit().unwrap();
            let datagram = Datagram { instance: 0, local: address(0, 500), remote: address(1, 500), bytes };
            let now = world.at();
            world.ends[0].engine.handle_datagram(now, datagram);
            world.drain(0);
        } else {
            let mut engine = Engine::new(settings::engine_config(), [9; 32]);
            engine.set_connection(world.at(), settings::CONNECTION, Some(settings::connection(1)));
            world.restart(1, engine);
        }
        dropped.store(false, Relaxed);
        world.run_for(5 * SECOND);
        let expected: &[&str] = if honest { &[] } else { &["RV-NET-007"] };
        assert_eq!(failures(&world, 0), expected);
        assert_eq!(world.children(0).len(), usize::from(honest));
    }
}

/// Whoever invents addresses is told of a few times a second, and counted: neither the journal nor the flight recorder
/// grows with what a stranger sends.
#[test]
fn callers_that_never_come_back_are_told_of_sparingly() {
    let mut connections = [0, 1].map(settings::connection);
    connections[1].remote = RemoteAddress::Any;
    let mut world = pair(connections);
    let (sender, receiver) = mpsc::channel();
    world.gate = Some(Box::new(move |_, bytes| {
        let _ = sender.send(bytes.to_vec());
        false
    }));
    call(&mut world);
    world.run_for(SECOND / 10);
    press(&mut world, 1, &receiver.recv().unwrap(), 100);
    let before = world.ends[1].engine.counters();
    assert_eq!(before.cookies_demanded, 36);
    // Half of them go after two seconds, which ends the pressure; the others after thirty, in one second.
    world.run_for(40 * SECOND);
    assert_eq!(world.ends[1].engine.half_open(), 0);
    let told = failures(&world, 1);
    assert!((2..=16).contains(&told.len()), "{told:?}");
    assert_eq!(world.ends[1].engine.counters().half_open_expired, 64);
}
