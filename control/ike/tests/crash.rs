//! Quick crash detection (RFC 6290): an end that restarts proves by a token that it has lost its IKE SAs, and the other
//! one ends them at once; nobody else can make such a token, and of an IKE SA that lives nobody is told it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::Peer;
use crate::harness::{Dice, Faults, World, address, failures, kind, settings};
use proptest::prelude::*;
use ravelin_ike::Engine;
use ravelin_ike::config::{Connection, EngineConfig, Group};
use ravelin_ike::crypto::CrashToken;
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::time::Instant;
use ravelin_ike::want::WantKind;
use ravelin_ike::wire::{
    ExchangeType, Flags, Header, IkeSpi, Message, Notify, NotifyType, Outer, Payload, emit_chain,
};

const SECOND: u64 = 1_000_000;
const CREATE_CHILD_SA: u8 = 36;

/// How an end begins: with its secret, with another one than before, or without.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Secret {
    Kept,
    Lost,
    None,
}

fn begin(end: usize, life: u8, secret: Secret, connection: Connection) -> Engine {
    let crash_secret = match secret {
        Secret::Kept => Some(settings::crash_secret(end, 0)),
        Secret::Lost => Some(settings::crash_secret(end, life + 1)),
        Secret::None => None,
    };
    let config = EngineConfig { crash_secret, ..settings::engine_config() };
    let mut engine = Engine::new(config, [end as u8 + 2 * life + 1; 32]);
    engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
    engine
}

fn call(world: &mut World, end: usize) {
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child: None });
}

/// A pair that is up, called by end 0.
fn up(secrets: [Secret; 2], connection: fn(usize) -> Connection) -> World {
    let engines = [0, 1].map(|end| begin(end, 0, secrets[end], connection(end)));
    let mut world = World::new(1, engines, false);
    call(&mut world, 0);
    world.run_for(SECOND);
    world.assert_converged();
    assert_eq!(world.children(0).len(), 1);
    world
}

fn spis(world: &World, end: usize) -> (IkeSpi, IkeSpi) {
    let ikes = world.ends[end].engine.snapshot();
    let (initiator, responder) = ikes[0].spis;
    (IkeSpi(initiator), IkeSpi(responder))
}

fn hybrid(end: usize) -> Connection {
    settings::with_additional(settings::connection(end), &[Group::MlKem512])
}

/// ```text
///   A  ======= B      B restarts
///   A  INFORMATIONAL{}  -------  B        the probe after ten seconds of silence
///   A  -------  N(INVALID_IKE_SPI), N(QCD_TOKEN)  B
/// ```
/// Proved, the SAs are gone ten seconds after the crash; else after all of the probe's repetitions.
#[test]
fn a_peer_that_restarted_proves_it() {
    for crashed in 0..2 {
        for (secret, code, after) in [
            (Secret::Kept, "RV-NET-006", 11),
            (Secret::Lost, "RV-NET-003", 21),
            (Secret::None, "RV-NET-003", 21),
        ] {
            let mut world = up([Secret::Kept; 2], settings::connection);
            let other = 1 - crashed;
            world.restart(crashed, begin(crashed, 1, secret, settings::connection(crashed)));
            world.run_for(SECOND * (after - 2));
            assert_eq!(world.children(other).len(), 1, "{secret:?}");
            world.run_for(SECOND * 2);
            assert_eq!((failures(&world, other), world.children(other).len()), (vec![code], 0), "{secret:?}");
            let counters = world.ends[other].engine.counters();
            let (proven, wrong) = (counters.crash_tokens_proven, counters.crash_tokens_wrong);
            assert_eq!((proven == 1, wrong > 0), (secret == Secret::Kept, secret == Secret::Lost));
            call(&mut world, other);
            world.run_for(SECOND);
            world.assert_converged();
            assert_eq!(world.children(crashed).len(), 1);
        }
    }
}

/// Each end may make tokens without the other: nothing else changes for one that makes none.
#[test]
fn one_end_alone_may_make_tokens() {
    for maker in 0..2 {
        let secrets = [0, 1].map(|end| if end == maker { Secret::Kept } else { Secret::None });
        let mut world = up(secrets, settings::connection);
        world.restart(maker, begin(maker, 1, Secret::Kept, settings::connection(maker)));
        world.run_for(SECOND * 11);
        assert_eq!(failures(&world, 1 - maker), ["RV-NET-006"]);
        assert_eq!(world.ends[1 - maker].engine.counters().crash_tokens_sent, 0);
    }
}

/// An IKE SA that a rekey made has tokens too, of both ends, whoever rekeyed, with one key exchange or more.
#[test]
fn tokens_are_renewed_by_a_rekey() {
    for connection in [settings::connection, hybrid] {
        for (rekeying, crashed) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut world = up([Secret::Kept; 2], connection);
            let before = spis(&world, 0);
            let ike = world.ikes(rekeying)[0];
            world.command(rekeying, Command::RekeyIke { ike });
            world.run_for(SECOND);
            world.assert_converged();
            assert_ne!(spis(&world, 0), before);
            world.restart(crashed, begin(crashed, 1, Secret::Kept, connection(crashed)));
            world.run_for(SECOND * 11);
            assert_eq!(
                failures(&world, 1 - crashed),
                ["RV-NET-006"],
                "rekeyed by {rekeying}, {crashed} crashed"
            );
        }
    }
}

/// A token of the new IKE SA may come with the peer's answer to our rekey (RFC 6290 §4.3): so it is read there.
#[test]
fn both_ends_rekeying_at_once_end_with_tokens() {
    for seed in 0..20 {
        let mut world = up([Secret::Kept; 2], settings::connection);
        world.dice = Dice(seed);
        for end in 0..2 {
            let ike = world.ikes(end)[0];
            world.command(end, Command::RekeyIke { ike });
            let skew = world.dice.below(3000);
            world.run_for(skew);
        }
        world.run_for(5 * SECOND);
        world.assert_converged();
        let crashed = seed as usize % 2;
        world.restart(crashed, begin(crashed, 1, Secret::Kept, settings::connection(crashed)));
        world.run_for(SECOND * 11);
        assert_eq!(failures(&world, 1 - crashed), ["RV-NET-006"], "{seed}");
    }
}

/// A message to `to` as its peer would send it in answer to a request, with these payloads in the clear.
fn forged(to: usize, spis: (IkeSpi, IkeSpi), id: u32, notifies: Vec<Notify>) -> Datagram {
    let flags = Flags { initiator: to == 1, version: false, response: true };
    let header = Header::new(spis.0, spis.1, ExchangeType::Informational, flags, id);
    let bytes = Message::new(header, notifies.into_iter().map(Payload::Notify).collect()).emit().unwrap();
    Datagram { instance: 0, local: address(to, 500), remote: address(1 - to, 500), bytes }
}

fn token(token: &CrashToken) -> Notify {
    Notify::crash_token(token.octets())
}

/// Whatever is claimed without the token, or with one of another IKE SA, secret or length, ends nothing.
#[test]
fn a_forged_token_ends_nothing() {
    let mut world = up([Secret::Kept; 2], settings::connection);
    for to in 0..2 {
        let of = spis(&world, to);
        let (theirs, ours) = (settings::crash_secret(1 - to, 0), settings::crash_secret(to, 0));
        let right = theirs.token(of.0, of.1);
        let invalid = Notify::new(NotifyType::InvalidIkeSpi, Vec::new());
        let mut longer = right.octets().to_vec();
        longer.push(0);
        let wrong = [
            vec![],
            vec![token(&ours.token(of.0, of.1))],
            vec![token(&theirs.token(of.1, of.0)), token(&theirs.token(of.0, IkeSpi(1)))],
            vec![Notify::crash_token(&[]), Notify::crash_token(&right.octets()[1..])],
            vec![Notify::crash_token(&longer)],
            vec![Notify::new(NotifyType::InvalidIkeSpi, right.octets().to_vec())],
            (0..40).map(|octet| Notify::crash_token(&[octet; 32])).collect(),
        ];
        for (id, tokens) in (0..4).flat_map(|id| wrong.iter().map(move |tokens| (id, tokens))) {
            let notifies = [vec![invalid.clone()], tokens.clone()].concat();
            let datagram = forged(to, of, id, notifies);
            let now = world.at();
            world.ends[to].engine.handle_datagram(now, datagram);
            world.drain(to);
        }
        // The right one, for another IKE SA than its own.
        let elsewhere = forged(to, (of.0, IkeSpi(of.1.0 ^ 1)), 0, vec![token(&right)]);
        let now = world.at();
        world.ends[to].engine.handle_datagram(now, elsewhere);
        world.drain(to);
        world.assert_converged();
        assert_eq!(world.ends[to].engine.counters().crash_tokens_proven, 0);
    }
    world.run_for(30 * SECOND);
    world.assert_converged();
    // Any of several is enough, wherever it stands and whatever is asked.
    let of = spis(&world, 0);
    let right = settings::crash_secret(1, 0).token(of.0, of.1);
    let notifies =
        [0, 1, 2].map(|octet| Notify::crash_token(&[octet; 32])).into_iter().chain([token(&right)]);
    let datagram = forged(0, of, 99, notifies.collect());
    let now = world.at();
    world.ends[0].engine.handle_datagram(now, datagram);
    world.drain(0);
    assert_eq!((failures(&world, 0), world.children(0).len()), (vec!["RV-NET-006"], 0));
}

/// A protected request that nobody can open, with any header.
fn sealed(spis: (u64, u64), exchange: u8, flags: u8, id: u32) -> Vec<u8> {
    let body = [&[0, 0, 0, 36][..], &[7; 32]].concat();
    let length = 28 + body.len() as u32;
    let fixed = [46, 0x20, exchange, flags];
    [
        &spis.0.to_be_bytes()[..],
        &spis.1.to_be_bytes(),
        &fixed,
        &id.to_be_bytes(),
        &length.to_be_bytes(),
        &body,
    ]
    .concat()
}

/// What an end answers to a datagram from `host`, in the clear.
fn answers(world: &mut World, to: usize, host: &str, bytes: Vec<u8>) -> Vec<Message> {
    let (now, remote) = (world.at(), host.parse().unwrap());
    let engine = &mut world.ends[to].engine;
    engine.handle_datagram(now, Datagram { instance: 0, local: address(to, 500), remote, bytes });
    let sent = std::iter::from_fn(|| engine.poll_transmit());
    let clear = sent.filter_map(|transmit| match Outer::parse(&transmit.bytes) {
        Ok(Outer::Clear(message)) => Some(message),
        _ => None,
    });
    clear.collect()
}

fn has_token(message: &Message) -> bool {
    message.payloads.iter().any(|payload| matches!(payload, Payload::Notify(notify) if notify.notify_type == NotifyType::QuickCrashDetection))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// "A token maker MUST NOT send a valid QCD token in an unprotected message for an existing IKE SA" (RFC 6290
    /// §9.2): whatever role the sender gives itself, wherever it sends from, whatever it asks.
    #[test]
    fn the_token_of_an_ike_sa_that_lives_is_told_nobody(
        asked in proptest::collection::vec((any::<bool>(), any::<bool>(), 34u8..=44, any::<u8>(), any::<u32>()), 1..60),
    ) {
        let mut world = up([Secret::Kept; 2], settings::connection);
        for (to, swapped, exchange, flags, id) in asked {
            let to = usize::from(to);
            let (initiator, responder) = spis(&world, to);
            let named = if swapped { (responder.0, initiator.0) } else { (initiator.0, responder.0) };
            for host in ["192.0.2.1:500", "192.0.2.2:500", "198.51.100.9:4500"] {
                let told = answers(&mut world, to, host, sealed(named, exchange, flags, id));
                prop_assert!(!told.iter().any(has_token), "{told:?}");
            }
        }
        world.run_for(30 * SECOND);
        world.assert_converged();
    }
}

/// The peer may use an IKE SA that we are still making, and be heard by us before its answer is: nobody is told its
/// token then. (The harness watches that no token is seen of an IKE SA that comes up later.)
#[test]
fn an_ike_sa_that_is_being_made_has_its_token_kept() {
    for rekeying in 0..2 {
        for connection in [settings::connection, hybrid] {
            let mut world = up([Secret::Kept; 2], connection);
            let is_key_agreement = |kind: &WantKind| matches!(kind, WantKind::KeyAgreement(_));
            world.ends[rekeying].hold = is_key_agreement;
            let ike = world.ikes(rekeying)[0];
            world.command(rekeying, Command::RekeyIke { ike });
            let public = world.ends[rekeying].held.remove(0);
            world.answer(rekeying, public);
            // The peer is done and says so on the new IKE SA, and again, while our half of its keys is being computed.
            world.run_for(3 * SECOND);
            assert!(!world.ends[rekeying].held.is_empty());
            world.ends[rekeying].hold = |_| false;
            for want in std::mem::take(&mut world.ends[rekeying].held) {
                world.answer(rekeying, want);
            }
            world.run_for(60 * SECOND);
            world.assert_converged();
            assert!(failures(&world, 0).is_empty() && failures(&world, 1).is_empty());
        }
    }
}

/// Tokens are given out for protected requests only, and no more of them than of INVALID_IKE_SPI.
#[test]
fn tokens_are_given_out_with_restraint() {
    let mut world = up([Secret::Kept; 2], settings::connection);
    let clear = |exchange: u8| {
        let mut bytes = sealed((5, 6), exchange, 0x08, 0);
        bytes[16] = 43; // a vendor ID
        bytes
    };
    let told = answers(&mut world, 1, "192.0.2.1:500", clear(37));
    assert!(told.len() == 1 && !has_token(&told[0]), "{told:?}");
    for (exchange, flags) in [(34, 0x08), (37, 0x28)] {
        assert!(answers(&mut world, 1, "192.0.2.1:500", sealed((5, 6), exchange, flags, 0)).is_empty());
    }
    world.run_for(2 * SECOND);
    let mut given = 0;
    for number in 0..1000 {
        let told =
            answers(&mut world, 1, "203.0.113.1:500", sealed((number + 10, 9), 37, 0x08, number as u32));
        assert!(told.iter().all(has_token));
        given += told.len();
    }
    assert_eq!(given, 64);
    let counters = world.ends[1].engine.counters();
    assert_eq!((counters.crash_tokens_sent, counters.errors_suppressed), (64, 936));
}

/// Crashes at any time, in a bad world, with and without the kept secret: in the end all is as it was.
#[test]
fn seeded_lives_with_crashes() {
    let mut proven = 0;
    for seed in 0..60u64 {
        let mut dice = Dice(seed);
        let connection = if dice.chance(300) { hybrid } else { settings::connection };
        let mut world = up([Secret::Kept; 2], connection);
        world.dice = Dice(dice.roll());
        world.faults = Faults {
            loss: dice.below(200),
            repeat: dice.below(300),
            delay: 1000 + dice.below(300_000),
            answer_delay: 1 + dice.below(100_000),
            ..Faults::default()
        };
        for life in 1..5 {
            for end in 0..2 {
                if let (Some(ike), true) = (world.ikes(end).first().copied(), dice.chance(500)) {
                    world.command(end, Command::RekeyIke { ike });
                }
            }
            world.run_for(dice.below(3 * SECOND));
            let crashed = dice.below(2) as usize;
            let secret = if dice.chance(700) { Secret::Kept } else { Secret::Lost };
            world.restart(crashed, begin(crashed, life, secret, connection(crashed)));
            if dice.chance(500) {
                call(&mut world, dice.below(2) as usize);
            }
            world.run_for(dice.below(20 * SECOND));
        }
        world.faults = Faults { delay: 1000, ..Faults::default() };
        world.run_for(150 * SECOND);
        call(&mut world, 0);
        for _ in 0..6 {
            world.run_for(10 * SECOND);
            world.traffic();
        }
        world.assert_converged();
        assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{seed}");
        proven += world.ends.iter().map(|end| end.engine.counters().crash_tokens_proven).sum::<u64>();
    }
    assert!(proven > 20, "{proven}: tokens hardly mattered");
}

/// Without a secret nothing is announced: IKE_AUTH and rekeys are as long as they were.
#[test]
fn without_a_secret_nothing_is_sent() {
    let mut world = up([Secret::None; 2], settings::connection);
    let (sender, seen) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |_, bytes| {
        sender.send(kind(bytes)).unwrap();
        true
    }));
    let ike = world.ikes(0)[0];
    world.command(0, Command::RekeyIke { ike });
    world.run_for(SECOND);
    let requests: Vec<u8> = seen.try_iter().filter(|(_, response)| !response).map(|(kind, _)| kind).collect();
    assert_eq!(requests, [CREATE_CHILD_SA, 37], "a rekey and the Delete of what it replaces");
}

/// "the token taker MUST support at least four QCD_TOKEN notifications in a single packet" (RFC 6290 §4.5): one is enough.
#[test]
fn one_of_four_tokens_is_enough() {
    for right in [true, false] {
        let token = |octet| Payload::Notify(Notify::crash_token(&[octet; 32]));
        let mut peer = Peer::new(|_| {});
        peer.call(peer.init());
        peer.ask(ExchangeType::IkeAuth, [peer.auth(), vec![token(9)]].concat());
        let (initiator, responder) = peer.engine.snapshot()[0].spis;
        let flags = Flags { initiator: true, version: false, response: true };
        let spis = (IkeSpi(initiator), IkeSpi(responder));
        let header = Header::new(spis.0, spis.1, ExchangeType::Informational, flags, 0);
        let tokens = [1, 2, 3, if right { 9 } else { 4 }].map(token).to_vec();
        assert!(peer.deliver(Message::new(header, tokens).emit().unwrap()).is_empty());
        assert_eq!(peer.children().len(), usize::from(!right));
    }
}

/// RFC 6290 §4.1: Protocol ID 1, no SPI, notify type 16419, then the token.
#[test]
fn a_token_is_written_as_the_figure_has_it() {
    let chain = emit_chain(&[Payload::Notify(Notify::crash_token(&[7; 16]))]).unwrap();
    assert_eq!(chain.octets, [&[0, 0, 0, 24, 1, 0, 0x40, 0x23][..], &[7; 16]].concat());
}
