//! Multiple authentication exchanges (RFC 4739): a certificate or a key, and then a second proof by a key, of either side
//! or of both. Nothing is up before the last of them, whatever is missing or wrong.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness;
use crate::harness::peer::{self, Peer, kinds};
use crate::harness::settings::{second, with_second};
use crate::harness::{Faults, World, failures, kind, pair, pair_of, settings};
use ravelin_ike::config::{Connection, Identity, IdentityMatch, IdentityPattern};
use ravelin_ike::event::{Event, SecondIdentities};
use ravelin_ike::input::Command;
use ravelin_ike::wire::{AuthenticationMethod, ExchangeType, NotifyType, Payload, PayloadType};

const SECOND: u64 = 1_000_000;
const CALLER: usize = 0;
const CALLED: usize = 1;

/// The connection of an end where these ends prove themselves twice, the second time by this key.
fn twice(end: usize, who: [bool; 2], key: &str) -> Connection {
    with_second(settings::connection(end), end, who, key)
}

fn call(world: &mut World) {
    world.command(CALLER, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
}

/// What both ends say after a call that is to come to nothing.
fn refused(connections: [Connection; 2]) -> [Vec<&'static str>; 2] {
    let mut world = pair(connections);
    call(&mut world);
    world.run_for(120 * SECOND);
    assert_eq!(world.tally.ike_up, 0);
    world.assert_empty();
    [CALLER, CALLED].map(|end| failures(&world, end))
}

const WAYS: [[bool; 2]; 3] = [[true, false], [false, true], [true, true]];

/// After certificates or after keys; the identity of the first proof is the peer's, that of the second is told beside it.
#[test]
fn either_side_or_both_prove_themselves_twice() {
    for who in WAYS {
        for usual in [settings::connection, settings::with_certificates] {
            let mut world = pair([0, 1].map(|end| with_second(usual(end), end, who, "second")));
            call(&mut world);
            world.assert_converged();
            assert_eq!((world.ikes(CALLED).len(), world.children(CALLED).len()), (1, 1), "{who:?}");
            for end in [CALLER, CALLED] {
                let up = world.ends[end].events.iter().find_map(|event| match event {
                    Event::IkeUp(up) => Some((up.remote_identity.clone(), up.second.clone())),
                    _ => None,
                });
                let local = who[end].then(|| second(end));
                let remote = who[1 - end].then(|| second(1 - end));
                let first = Identity::fqdn(&format!("end{}.example", 1 - end));
                assert_eq!(up, Some((first, SecondIdentities { local, remote })));
            }
        }
    }
}

/// Without a child in IKE_AUTH, and over a rekey and a new proof of everything.
#[test]
fn what_comes_after_is_as_ever() {
    let caller = Connection { childless: true, ..twice(CALLER, [true, true], "second") };
    let mut world = pair([caller, twice(CALLED, [true, true], "second")]);
    call(&mut world);
    let ike = world.ikes(CALLER)[0];
    world.command(CALLER, Command::RekeyIke { ike });
    world.run_for(10 * SECOND);
    world.command(CALLER, Command::Reauthenticate { ike });
    world.run_for(30 * SECOND);
    world.assert_converged();
    assert_eq!((world.tally.ike_rekeyed, world.tally.reauthenticated, world.ikes(CALLED).len()), (2, 2, 1));
}

/// The first proof is right and the second is not: the key, or who it is.
#[test]
fn a_wrong_second_proof_brings_nothing_up() {
    let caller = |key| twice(CALLER, [true, false], key);
    let wrong_caller = refused([caller("other"), twice(CALLED, [true, false], "second")]);
    assert_eq!(wrong_caller, [vec!["RV-AUTH-001"], vec!["RV-AUTH-026"]]);
    let mut stranger = caller("second");
    stranger.second_auth.as_mut().unwrap().local = Some(Identity::fqdn("nobody.example"));
    let stranger = refused([stranger, twice(CALLED, [true, false], "second")]);
    assert_eq!(stranger, [vec!["RV-AUTH-001"], vec!["RV-AUTH-025"]]);
}

/// The called end has all the proofs it asks for when it makes its second one: it is up until it hears that this is wrong.
#[test]
fn a_caller_ends_what_the_wrong_second_proof_has_brought_up() {
    let mut world =
        pair([("second", CALLER), ("other", CALLED)].map(|(key, end)| twice(end, [false, true], key)));
    call(&mut world);
    world.run_for(120 * SECOND);
    world.assert_empty();
    let up = |end: usize| world.ends[end].events.iter().any(|event| matches!(event, Event::IkeUp(_)));
    assert_eq!([CALLER, CALLED].map(up), [false, true]);
    assert_eq!([CALLER, CALLED].map(|end| failures(&world, end)), [["RV-AUTH-026"], ["RV-AUTH-001"]]);
}

/// Whoever proves itself the second time need not be who it was the first time, if policy takes it.
#[test]
fn policy_says_who_the_second_may_be() {
    let mut called = twice(CALLED, [true, false], "second");
    let users = IdentityMatch::OneOf(vec![IdentityPattern::Suffix(Identity::fqdn(".example"))]);
    called.second_auth.as_mut().unwrap().remote = Some(users);
    let mut caller = twice(CALLER, [true, false], "second");
    caller.second_auth.as_mut().unwrap().local = Some(Identity::fqdn("somebody.example"));
    let mut world = pair([caller.clone(), called.clone()]);
    call(&mut world);
    world.assert_converged();
    assert_eq!(world.ikes(CALLED).len(), 1);
    caller.second_auth.as_mut().unwrap().local = Some(Identity::fqdn("somebody.invalid"));
    assert_eq!(refused([caller, called])[CALLED], ["RV-AUTH-025"]);
}

/// One end knows of a second proof of which the other one does not: the caller alone, the called end alone, or both of
/// different ones.
#[test]
fn what_only_one_side_wants_is_named() {
    let plain = settings::connection;
    let alone = refused([twice(CALLER, [true, false], "second"), plain(CALLED)]);
    assert_eq!(alone[CALLER], ["RV-AUTH-020"]);
    let missing = refused([plain(CALLER), twice(CALLED, [true, false], "second")]);
    assert_eq!(missing, [vec!["RV-AUTH-001"], vec!["RV-AUTH-021"]]);
    let more = refused([twice(CALLER, [true, true], "second"), twice(CALLED, [false, true], "second")]);
    assert_eq!(more, [vec!["RV-AUTH-001"], vec!["RV-AUTH-022"]]);
    let less = refused([twice(CALLER, [true, true], "second"), twice(CALLED, [true, false], "second")]);
    assert_eq!(less[CALLER], ["RV-AUTH-021"]);
}

/// The second round never comes: the called end was never up, and forgets the caller in time.
#[test]
fn nothing_is_up_between_the_rounds() {
    let mut world = pair([0, 1].map(|end| twice(end, [true, false], "second")));
    let mut proofs = 0;
    world.gate = Some(Box::new(move |from, bytes| {
        proofs += usize::from(from == CALLER && kind(bytes).0 == 35);
        from != CALLER || kind(bytes).0 != 35 || proofs == 1
    }));
    call(&mut world);
    assert_eq!((world.tally.ike_up, world.ends[CALLED].engine.half_open()), (0, 1));
    world.run_for(120 * SECOND);
    assert_eq!((world.tally.ike_up, failures(&world, CALLED)), (0, vec!["RV-AUTH-023"]));
    world.assert_empty();
}

fn key(peer: &Peer, name: &str, key: &'static [u8]) -> Vec<Payload> {
    peer.proof(peer::named(name), AuthenticationMethod::SharedKey, |signed| {
        signed.shared_key_proof(key).to_vec()
    })
}

/// A caller that is to prove itself twice, made by hand, with its first message: called, and not answered yet.
fn by_hand() -> (Peer, Vec<Payload>) {
    let mut peer = Peer::new(|connection| *connection = twice(CALLED, [true, false], "second"));
    let reply = peer.call(peer.init()).unwrap();
    let says = |payload: &Payload| matches!(payload, Payload::Notify(notify) if notify.notify_type == NotifyType::MultipleAuthSupported);
    assert!(reply.payloads.iter().any(says), "it is not announced: {:?}", reply.payloads);
    let announced = [NotifyType::MultipleAuthSupported, NotifyType::AnotherAuthFollows].map(peer::notify);
    let first = [peer.auth(), announced.concat()].concat();
    (peer, first)
}

fn codes(peer: &Peer) -> Vec<&'static str> {
    let code = |event: &Event| match event {
        Event::AttemptFailed { attempt, .. } => attempt.failure.as_ref().map(|failure| failure.code()),
        Event::IkeUp(_) => Some("up"),
        _ => None,
    };
    peer.events.iter().filter_map(code).collect()
}

fn is_refused(reply: &[Payload]) -> bool {
    peer::only_notify(reply).0 == NotifyType::AuthenticationFailed
}

/// The first proof is answered with ours alone; SA and traffic selectors of the first message with the second proof.
#[test]
fn the_child_is_answered_at_the_end() {
    use PayloadType as P;
    let (mut peer, first) = by_hand();
    let reply = peer.ask(ExchangeType::IkeAuth, first);
    assert_eq!(kinds(&reply), [P::IdentificationResponder, P::Authentication]);
    let again = peer.deliver(peer.last.0.clone());
    assert_eq!(again.len(), 1, "a first message that comes again is answered again");
    assert_eq!(again[0].bytes, peer.last.1);
    assert_eq!(codes(&peer), Vec::<&str>::new());
    let reply = peer.ask(ExchangeType::IkeAuth, key(&peer, "user0.example", b"second"));
    let child = [P::SecurityAssociation, P::TrafficSelectorsInitiator, P::TrafficSelectorsResponder];
    assert!(child.iter().all(|kind| kinds(&reply).contains(kind)), "{reply:?}");
    assert!(!kinds(&reply).contains(&P::Authentication));
    assert_eq!((codes(&peer), peer.children().len()), (vec!["up"], 1));
}

/// The second proof comes with the first, before that is answered.
#[test]
fn two_proofs_in_one_message_are_refused() {
    let (mut peer, first) = by_hand();
    let second = key(&peer, "user0.example", b"second").pop().unwrap();
    let reply = peer.ask(ExchangeType::IkeAuth, [first, vec![second]].concat());
    assert!(is_refused(&reply));
    assert_eq!(codes(&peer), ["RV-AUTH-024"]);
}

/// One that is sent ahead, before the first message, is outside the window and not looked at (RFC 7296 §2.3): the first
/// is what counts first.
#[test]
fn a_second_message_ahead_of_the_first_is_not_looked_at() {
    let (mut peer, first) = by_hand();
    let ahead = key(&peer, "user0.example", b"second");
    peer.ask_ahead_in_vain(ExchangeType::IkeAuth, ahead);
    assert_eq!(codes(&peer), Vec::<&str>::new());
    peer.ask(ExchangeType::IkeAuth, first);
    assert_eq!((codes(&peer), peer.engine.half_open()), (vec![], 1));
}

/// The first message over again under the next number, and nothing at all, are no second proof: the first key proves
/// nobody who is asked for there.
#[test]
fn what_is_announced_has_to_come() {
    for (message, code) in [("nothing", "RV-AUTH-023"), ("first", "RV-AUTH-025"), ("third", "RV-AUTH-022")] {
        let (mut peer, first) = by_hand();
        peer.ask(ExchangeType::IkeAuth, first);
        let right = key(&peer, "user0.example", b"second");
        let payloads = match message {
            "nothing" => vec![],
            "first" => peer.auth(),
            _ => [right, peer::notify(NotifyType::AnotherAuthFollows)].concat(),
        };
        assert!(is_refused(&peer.ask(ExchangeType::IkeAuth, payloads)), "{message}");
        assert_eq!(codes(&peer), [code], "{message}");
    }
}

/// By the key of the first proof, under the name of the second; by the second key with the name of the first.
#[test]
fn the_proofs_are_not_exchanged() {
    for (name, by, code) in [
        ("user0.example", b"correct horse".as_slice(), "RV-AUTH-026"),
        ("end0.example", b"second", "RV-AUTH-025"),
    ] {
        let (mut peer, first) = by_hand();
        peer.ask(ExchangeType::IkeAuth, first);
        assert!(is_refused(&peer.ask(ExchangeType::IkeAuth, key(&peer, name, by))));
        assert_eq!(codes(&peer), [code]);
    }
}

/// Lost, repeated and reordered messages: each round is repeated until it is answered.
#[test]
fn lost_rounds_are_repeated() {
    let mut up = 0;
    for seed in 0..100u8 {
        let who = WAYS[usize::from(seed) % 3];
        let mut world = pair_of(seed, [0, 1].map(|end| twice(end, who, "second")));
        world.dice = harness::Dice(u64::from(seed) * 47);
        world.faults = Faults { loss: 250, repeat: 200, delay: 400_000, ..Faults::default() };
        call(&mut world);
        world.run_for(40 * SECOND);
        world.faults = Faults { delay: 1000, ..Faults::default() };
        world.run_for(120 * SECOND);
        world.assert_converged();
        up += world.ikes(CALLER).len();
    }
    assert!(up > 80, "{up} of 100 came up");
}

/// A session with two proofs is not resumed by one ticket: none is given.
#[test]
fn two_proofs_are_not_resumed() {
    let resumes = |end| Connection { resumption: true, ..twice(end, [true, true], "second") };
    let mut world = pair([resumes(CALLER), resumes(CALLED)]);
    call(&mut world);
    world.assert_converged();
    world.faults = Faults { loss: 1000, delay: 1000, ..Faults::default() };
    world.run_for(200 * SECOND);
    world.faults = Faults { delay: 1000, ..Faults::default() };
    call(&mut world);
    assert_eq!((world.tally.resumed, world.ikes(CALLED).len()), (0, 1));
}
