//! Post-quantum preshared keys (RFC 8784) between two ends that have them, lack them, require them, or have different
//! ones: both agree on the keys or nothing is up, and each end knows why.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::{Peer, only_notify};
use crate::harness::{Dice, Faults, World, address, kind, pair, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{Connection, Group, Ppk, PpkId, PpkIdKind};
use ravelin_ike::error::Failure;
use ravelin_ike::event::{Event, PpkUse};
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::time::Instant;
use ravelin_ike::wire::{ExchangeType, Notify, NotifyType, Outer, Payload};

const SECOND: u64 = 1_000_000;
const IKE_SA_INIT: u8 = 34;

/// What one end has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Has {
    /// No PPK.
    None,
    /// The one both are to have.
    Right,
    /// Another value under its name.
    Wrong,
    /// One of another name.
    Other,
}

const EVERY: [Has; 4] = [Has::None, Has::Right, Has::Wrong, Has::Other];

fn ppk(has: Has, kind: PpkIdKind) -> Option<Ppk> {
    match has {
        Has::None => None,
        Has::Right => Some(settings::ppk(kind, "both", "a secret of more than 32 octets, as it should be")),
        Has::Wrong => Some(settings::ppk(kind, "both", "another")),
        Has::Other => Some(settings::ppk(kind, "other", "a secret of more than 32 octets, as it should be")),
    }
}

/// How the two ends stand to each other; the first one calls.
#[derive(Clone, Copy, Debug)]
struct Case {
    has: [Has; 2],
    required: [bool; 2],
    kind: PpkIdKind,
}

/// What must come of it.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// Up, and this is what each end says of PPKs.
    Up([PpkUse; 2]),
    /// Nothing, and this is what each end says.
    Nothing(&'static str, &'static str),
}

impl Case {
    /// RFC 8784 §3, written out once more. `proof`: by pre-shared key, so that the called end can tell what is wrong.
    fn outcome(&self, by_psk: bool) -> Outcome {
        let id = |has| ppk(has, self.kind).map(|ppk| ppk.id);
        let [caller, called] = self.has;
        let [caller_insists, called_insists] = self.required;
        let insists = caller_insists || called_insists;
        match (id(caller), id(called)) {
            (None, None) => Outcome::Up([PpkUse::NotConfigured, PpkUse::NotConfigured]),
            (None, Some(_)) if called_insists => Outcome::Nothing("RV-AUTH-001", "RV-AUTH-010"),
            (None, Some(_)) => Outcome::Up([PpkUse::NotConfigured, PpkUse::NotAnnounced]),
            // The called end hears no more of the caller.
            (Some(_), None) if caller_insists => Outcome::Nothing("RV-AUTH-010", "RV-NET-002"),
            (Some(_), None) => Outcome::Up([PpkUse::NotAnnounced, PpkUse::NotConfigured]),
            (Some(named), Some(known)) if named != known => match insists {
                true => Outcome::Nothing("RV-AUTH-015", "RV-AUTH-012"),
                false => Outcome::Up([PpkUse::Declined(named.clone()), PpkUse::Unknown(named)]),
            },
            (Some(id), Some(_)) if caller == called => {
                Outcome::Up([PpkUse::Mixed(id.clone()), PpkUse::Mixed(id)])
            }
            // Only the second proof shows that nothing but the PPK is wrong.
            (Some(_), Some(_)) if by_psk && !caller_insists => Outcome::Nothing("RV-AUTH-015", "RV-AUTH-013"),
            (Some(_), Some(_)) => Outcome::Nothing("RV-AUTH-015", "RV-AUTH-014"),
        }
    }

    fn connections(&self, base: impl Fn(usize) -> Connection) -> [Connection; 2] {
        [0, 1].map(|end| match ppk(self.has[end], self.kind) {
            Some(ppk) => settings::with_ppks(base(end), &[ppk], self.required[end]),
            None => base(end),
        })
    }
}

/// Every case: what both ends have times who insists. An end without PPK insists on none.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for caller in EVERY {
        for called in EVERY {
            for required in [[false, false], [false, true], [true, false], [true, true]] {
                for kind in [PpkIdKind::Fixed, PpkIdKind::Opaque] {
                    let has = [caller, called];
                    if (0..2).all(|end| has[end] != Has::None || !required[end]) {
                        cases.push(Case { has, required, kind });
                    }
                }
            }
        }
    }
    cases
}

fn call(world: &mut World, end: usize) {
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child: None });
}

fn failed_attempts(world: &World, end: usize) -> Vec<&'static str> {
    let code = |event: &Event| match event {
        Event::AttemptFailed { attempt, .. } => attempt.failure.as_ref().map(Failure::code),
        _ => None,
    };
    world.ends[end].events.iter().filter_map(code).collect()
}

/// What became of PPKs in the IKE SA that came up last.
fn ppk_use(world: &World, end: usize) -> Option<PpkUse> {
    let of = |event: &Event| match event {
        Event::IkeUp(up) => Some(up.ppk.clone()),
        _ => None,
    };
    world.ends[end].events.iter().filter_map(of).next_back()
}

fn rekey(world: &mut World, end: usize) {
    let (child, ike) = (world.children(end)[0], world.ikes(end)[0]);
    world.command(end, Command::RekeyChild { child });
    world.run_for(5 * SECOND);
    world.command(end, Command::RekeyIke { ike });
    for _ in 0..4 {
        world.run_for(5 * SECOND);
        world.traffic();
    }
}

/// Every case by pre-shared key and by certificate, in a good world.
#[test]
fn both_ends_agree_or_hold_nothing_and_know_why() {
    for case in cases() {
        for certificates in [false, true] {
            let base = if certificates { settings::with_certificates } else { settings::connection };
            let mut world = pair(case.connections(base));
            call(&mut world, 0);
            world.run_for(60 * SECOND);
            match case.outcome(!certificates) {
                Outcome::Up(uses) => {
                    assert_eq!([0, 1].map(|end| ppk_use(&world, end)), uses.map(Some), "{case:?}");
                    assert_eq!(world.children(0).len(), 1, "{case:?}");
                    world.assert_converged();
                    rekey(&mut world, 0);
                    rekey(&mut world, 1);
                    world.assert_converged();
                    assert_eq!((world.tally.child_rekeyed, world.tally.ike_rekeyed), (4, 4), "{case:?}");
                }
                Outcome::Nothing(caller, called) => {
                    assert_eq!(world.tally.ike_up, 0, "{case:?}");
                    let told = (failed_attempts(&world, 0), failed_attempts(&world, 1));
                    assert_eq!(told, (vec![caller], vec![called]), "{case:?}");
                    world.assert_empty();
                }
            }
        }
    }
}

/// The keys of a CHILD_SA are others with the PPK than without, with everything else as it was.
#[test]
fn the_ppk_is_in_the_keys() {
    let keys = |has: Has| {
        let case = Case { has: [has; 2], required: [false; 2], kind: PpkIdKind::Fixed };
        let mut world = pair(case.connections(settings::connection));
        call(&mut world, 0);
        world.run_for(SECOND);
        world.assert_converged();
        let plane = &world.ends[0].plane;
        let keys = plane.receivers().into_iter().map(|spi| plane.opens(spi));
        keys.collect::<Option<Vec<_>>>().unwrap()
    };
    let [without, right, wrong] = [Has::None, Has::Right, Has::Wrong].map(keys);
    assert!(without != right && right != wrong && without != wrong);
}

/// A caller may name any of several; a connection that only answers names none.
#[test]
fn any_of_a_list_may_be_named() {
    let list: Vec<Ppk> =
        (0..3).map(|n| settings::ppk(PpkIdKind::Fixed, &format!("p{n}"), &format!("secret {n}"))).collect();
    for named in 0..3 {
        let caller = settings::with_ppks(settings::connection(0), &list[named..=named], true);
        let mut called = settings::with_ppks(settings::connection(1), &list, true);
        called.ppk.as_mut().unwrap().own = None;
        let mut world = pair([caller, called]);
        call(&mut world, 0);
        world.run_for(SECOND);
        world.assert_converged();
        assert_eq!(ppk_use(&world, 1), Some(PpkUse::Mixed(list[named].id.clone())));
        // It cannot call without breaking its own rule.
        world.command(1, Command::Terminate { connection: settings::CONNECTION });
        world.run_for(20 * SECOND);
        call(&mut world, 1);
        world.run_for(60 * SECOND);
        assert_eq!(failed_attempts(&world, 1), ["RV-AUTH-010"]);
        world.assert_empty();
    }
}

/// What a peer calls a PPK is cut short before it is kept or logged.
#[test]
fn an_endless_name_is_no_name() {
    let id = PpkId { kind: PpkIdKind::Other(200), data: vec![b'\n'; 250] };
    for (octets, code) in [(250, "RV-AUTH-012"), (3000, "RV-AUTH-011")] {
        let mut ppk = settings::ppk(PpkIdKind::Fixed, "x", "x");
        ppk.id = PpkId { data: vec![b'\n'; octets], ..id.clone() };
        let caller = settings::with_ppks(settings::connection(0), &[ppk], true);
        let case = Case { has: [Has::None, Has::Right], required: [false; 2], kind: PpkIdKind::Fixed };
        let mut world = pair([caller, case.connections(settings::connection)[1].clone()]);
        call(&mut world, 0);
        world.run_for(60 * SECOND);
        assert_eq!(failed_attempts(&world, 1), [code]);
        let attempt = world.ends[1].engine.recorder().of(settings::CONNECTION).next().unwrap();
        assert!(attempt.failure.as_ref().unwrap().to_string().len() < 500);
    }
}

/// Somebody on the way takes USE_PPK out of the request or out of the reply, so that both would do without: AUTH
/// covers both messages, and nothing comes up.
#[test]
fn a_ppk_cannot_be_talked_away() {
    for from in 0..2 {
        let case = Case { has: [Has::Right; 2], required: [false; 2], kind: PpkIdKind::Fixed };
        let mut world = pair(case.connections(settings::connection));
        let (sender, receiver) = std::sync::mpsc::channel();
        world.gate = Some(Box::new(move |end, bytes| {
            let hit = end == from && kind(bytes).0 == IKE_SA_INIT;
            if hit {
                let _ = sender.send(bytes.to_vec());
            }
            !hit
        }));
        call(&mut world, 0);
        world.run_for(SECOND / 10);
        let Ok(Outer::Clear(mut message)) = Outer::parse(&receiver.recv().unwrap()) else { panic!() };
        let before = message.payloads.len();
        message.payloads.retain(
            |payload| !matches!(payload, Payload::Notify(notify) if notify.notify_type == NotifyType::UsePpk),
        );
        assert_eq!(message.payloads.len() + 1, before);
        let bytes = message.emit().unwrap();
        let datagram =
            Datagram { instance: 0, local: address(1 - from, 500), remote: address(from, 500), bytes };
        let now = world.at();
        world.ends[1 - from].engine.handle_datagram(now, datagram);
        world.drain(1 - from);
        world.run_for(60 * SECOND);
        let code = if from == 0 { "RV-AUTH-002" } else { "RV-AUTH-011" };
        assert_eq!((world.tally.ike_up, failed_attempts(&world, 1)), (0, vec![code]));
    }
}

/// Lives under loss, repetition, reordering and slow answers, with every way to prove oneself and additional key
/// exchanges: the outcome is that of the good world.
#[test]
fn seeded_lives() {
    let cases = cases();
    let mut outcomes = [0; 2];
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let case = cases[dice.below(cases.len() as u64) as usize];
        let (certificates, hybrid) = (dice.chance(400), dice.chance(300));
        let base = |end| {
            let plain =
                if certificates { settings::with_certificates(end) } else { settings::connection(end) };
            if hybrid { settings::with_additional(plain, &[Group::MlKem512]) } else { plain }
        };
        let mut number = 0;
        let engines = case.connections(base).map(|connection| {
            let mut octets = [number; 32];
            octets[..8].copy_from_slice(&seed.to_be_bytes());
            number += 1;
            let mut engine = Engine::new(settings::engine_config(), octets);
            engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
            engine
        });
        let mut world = World::new(seed, engines, certificates);
        world.faults = Faults {
            loss: dice.below(250),
            repeat: dice.below(300),
            delay: 1000 + dice.below(400_000),
            answer_delay: 1 + dice.below(200_000),
            ..Faults::default()
        };
        for _ in 0..3 {
            call(&mut world, 0);
            world.run_for(30 * SECOND);
        }
        world.faults = Faults { delay: 1000, ..Faults::default() };
        world.run_for(60 * SECOND);
        call(&mut world, 0);
        for _ in 0..6 {
            world.run_for(10 * SECOND);
            world.traffic();
        }
        match case.outcome(!certificates) {
            Outcome::Up(uses) => {
                assert_eq!([0, 1].map(|end| ppk_use(&world, end)), uses.map(Some), "{seed}: {case:?}");
                assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{seed}: {case:?}");
                rekey(&mut world, (seed % 2) as usize);
                world.assert_converged();
                outcomes[0] += 1;
            }
            Outcome::Nothing(..) => {
                assert_eq!(world.tally.ike_up, 0, "{seed}: {case:?}");
                world.assert_empty();
                outcomes[1] += 1;
            }
        }
    }
    println!("{} up, {} not", outcomes[0], outcomes[1]);
    assert!(outcomes.iter().all(|count| *count > 50), "{outcomes:?}");
}

/// "If no PPK_IDENTITY notification is found and the peers successfully exchanged USE_PPK notifications in the IKE_SA_INIT
/// exchange, then the responder MUST send back an AUTHENTICATION_FAILED notification" (§3), though it needs none.
#[test]
fn a_caller_that_names_no_ppk_is_refused() {
    let known = ppk(Has::Right, PpkIdKind::Fixed).unwrap();
    let mut peer =
        Peer::new(|connection| *connection = settings::with_ppks(connection.clone(), &[known], false));
    let use_ppk = Payload::Notify(Notify::new(NotifyType::UsePpk, Vec::new()));
    let reply = peer.call([peer.init(), vec![use_ppk.clone()]].concat()).unwrap();
    assert!(reply.payloads.contains(&use_ppk));
    let reply = peer.ask(ExchangeType::IkeAuth, peer.auth());
    assert_eq!(only_notify(&reply), (NotifyType::AuthenticationFailed, &[][..]));
}
