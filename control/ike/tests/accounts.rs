//! What is counted of each connection: every datagram once, at the end that sent it and at the one that got it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::{self, Peer};
use crate::harness::{World, address, connected, kind, pair, settings};
use ravelin_ike::account::{Account, Notified};
use ravelin_ike::config::{Auth, Connection, Identity, IdentityMatch, SignatureScheme};
use ravelin_ike::event::{Event, Proof};
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::wire::{AuthenticationMethod as Method, ExchangeType, NotifyType, Payload};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use zeroize::Zeroizing;

const SECOND: u64 = 1_000_000;
const INFORMATIONAL: u8 = 37;
const IKE_AUTH: u8 = 35;

fn account(world: &World, end: usize) -> Account {
    world.ends[end].engine.account(settings::CONNECTION)
}

fn notified(world: &World, end: usize) -> Vec<(Option<NotifyType>, Notified)> {
    world.ends[end].engine.notified().collect()
}

/// IKE_SA_INIT and IKE_AUTH; then a question of each end, or of one, and its answer.
#[test]
fn what_one_sends_the_other_receives() {
    let mut world = connected();
    let both = Account { sent: 2, received: 2, ..Account::default() };
    assert_eq!([account(&world, 0), account(&world, 1)], [both; 2]);
    world.run_for(11 * SECOND);
    let [a, b] = [account(&world, 0), account(&world, 1)];
    assert!(a.probes_sent + b.probes_sent > 0);
    for (one, other) in [(a, b), (b, a)] {
        assert_eq!((one.sent, one.probes_sent), (other.received, other.probes_received));
        assert_eq!(one.probes_answered, one.probes_sent);
        assert_eq!((one.resent, one.repeated, one.ignored, one.probes_unanswered), (0, 0, 0, 0));
    }
}

/// An answer is lost: who asked has asked again, who answers has answered again. Then nothing arrives any more.
#[test]
fn repetitions_and_silence_are_counted() {
    let mut world = connected();
    let lost = Arc::new(AtomicBool::new(false));
    let of_gate = lost.clone();
    world.gate =
        Some(Box::new(move |_, bytes| kind(bytes) != (INFORMATIONAL, true) || of_gate.swap(true, Relaxed)));
    world.run_for(14 * SECOND);
    let [a, b] = [account(&world, 0), account(&world, 1)];
    assert_eq!((a.resent + b.resent, a.repeated + b.repeated), (1, 1));
    world.gate = Some(Box::new(|_, _| false));
    world.run_for(40 * SECOND);
    for (end, before) in [(0, a), (1, b)] {
        let now = account(&world, end);
        assert_eq!(now.probes_unanswered, 1);
        assert_eq!(now.resent, before.resent + 4, "all that retries allow");
        assert_eq!(now.received, before.received);
    }
}

/// What anybody may send is told apart from what the peer has sent.
#[test]
fn what_is_not_authentic_is_counted_apart() {
    let mut world = connected();
    let (sender, receiver) = mpsc::channel();
    world.gate = Some(Box::new(move |_, bytes| {
        let _ = sender.send(bytes.to_vec());
        true
    }));
    world.run_for(11 * SECOND);
    let before = account(&world, 1);
    let mut bytes = receiver.recv().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let initiator = bytes[19] & 0x08 != 0;
    let end = usize::from(initiator);
    let datagram = Datagram { instance: 0, local: address(end, 500), remote: address(1 - end, 500), bytes };
    let (now, before) = (world.at(), if end == 1 { before } else { account(&world, 0) });
    world.ends[end].engine.handle_datagram(now, datagram);
    world.drain(end);
    let after = account(&world, end);
    assert_eq!((after.received, after.ignored, after.sent), (before.received + 1, 1, before.sent));
}

/// Each end counts what it told the other, by name; and by what a peer was proven.
#[test]
fn refusals_are_counted_by_their_notification() {
    let mut connections = [0, 1].map(settings::connection);
    connections[0].local_auth = Auth::Psk(Zeroizing::new(b"wrong horse".to_vec()));
    let mut world = pair(connections);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
    let failed = Some(NotifyType::AuthenticationFailed);
    assert_eq!(notified(&world, 1), [(failed, Notified { sent: 1, received: 0 })]);
    assert_eq!(notified(&world, 0), [(failed, Notified { sent: 0, received: 1 })]);
    let certificate = Proof::Certificate(Some(SignatureScheme::EcdsaP256Sha256));
    for (certificates, expected) in [(false, Proof::SharedKey), (true, certificate)] {
        let of =
            |end| if certificates { settings::with_certificates(end) } else { settings::connection(end) };
        let mut world = pair([0, 1].map(of));
        world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
        world.run_for(SECOND);
        for end in 0..2 {
            let up = world.ends[end].events.iter().find_map(|event| match event {
                Event::IkeUp(up) => Some(up.remote_proof),
                _ => None,
            });
            assert_eq!(up, Some(expected));
        }
    }
}

/// A connection that is taken out takes its account along: its number may go to another.
#[test]
fn an_account_goes_with_its_connection() {
    let mut world = connected();
    let now = world.at();
    world.ends[0].engine.set_connection(now, settings::CONNECTION, None);
    world.drain(0);
    world.run_for(60 * SECOND);
    assert_eq!(account(&world, 0), Account::default());
    assert!(account(&world, 1).received > 2);
}

/// By what a caller tries to prove itself, with this in AUTH; nothing of it holds.
fn in_vain(change: impl FnOnce(&mut Connection), method: Method, data: &[u8]) -> Option<Proof> {
    let mut peer = Peer::new(change);
    peer.call(peer.init());
    let payloads = peer.auth_by(method, |_| data.to_vec());
    peer.ask(ExchangeType::IkeAuth, payloads);
    tried(&peer)
}

fn tried(peer: &Peer) -> Option<Proof> {
    let mut ends = peer.events.iter().map(|event| match event {
        Event::AttemptFailed { attempt, .. } => attempt.proof,
        other => panic!("{other:?}"),
    });
    let proof = ends.next().unwrap();
    assert!(ends.next().is_none());
    proof
}

/// A proof in vain is told by its kind, be it wrong, of the wrong kind, of the wrong name, or none that is known.
#[test]
fn a_proof_in_vain_is_told_by_its_kind() {
    let ecdsa = Some(SignatureScheme::EcdsaP256Sha256);
    let keys = |called: &mut Connection| called.raw_keys = true;
    assert_eq!(in_vain(|_| {}, Method::SharedKey, &[1; 32]), Some(Proof::SharedKey));
    assert_eq!(in_vain(|_| {}, Method::EcdsaP256Sha256, &[1; 64]), Some(Proof::Certificate(ecdsa)));
    assert_eq!(in_vain(keys, Method::EcdsaP256Sha256, &[1; 64]), Some(Proof::RawKey(ecdsa)));
    assert_eq!(in_vain(|_| {}, Method::DigitalSignature, &[1; 64]), Some(Proof::Certificate(None)));
    assert_eq!(in_vain(|_| {}, Method::RsaDigitalSignature, &[1; 64]), Some(Proof::Certificate(None)));
    assert_eq!(in_vain(|_| {}, Method::Null, &[1; 32]), Some(Proof::Other));
    let nobody =
        |called: &mut Connection| called.remote_identity = IdentityMatch::Exact(Identity::fqdn("other"));
    assert_eq!(in_vain(nobody, Method::SharedKey, &[1; 32]), Some(Proof::SharedKey));
    // Without AUTH: EAP is meant.
    let mut eap = Peer::new(|_| {});
    eap.call(eap.init());
    let child = peer::child_offer(1, peer::CHILD, None).to_vec();
    let identity = Payload::IdentificationInitiator(peer::named("end0.example"));
    eap.ask(ExchangeType::IkeAuth, [vec![identity], child].concat());
    assert_eq!(tried(&eap), Some(Proof::Other));
}

/// Who refuses what the peer says has nothing against its proof where that was not looked at, or holds.
#[test]
fn what_held_or_was_not_there_is_no_proof_in_vain() {
    let mut world = pair([0, 1].map(settings::connection));
    world.gate = Some(Box::new(|_, bytes| kind(bytes).0 != IKE_AUTH));
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(300 * SECOND);
    for end in 0..2 {
        let attempts = world.ends[end].engine.recorder().of(settings::CONNECTION);
        let ended: Vec<_> = attempts.map(|attempt| (attempt.failure.is_some(), attempt.proof)).collect();
        assert_eq!(ended, [(true, None)]);
    }
    let up = connected();
    let attempts = up.ends[1].engine.recorder().of(settings::CONNECTION);
    assert_eq!(attempts.map(|attempt| attempt.proof).collect::<Vec<_>>(), [None]);
}
