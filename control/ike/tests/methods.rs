//! Which proofs each side takes, and says that it takes (RFC 9593): certificate and signature are chosen by it, in both
//! roles, and where nothing fits the attempt says what the peer takes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::Peer;
use crate::harness::{World, pair, settings};
use ravelin_ike::config::SignatureScheme::{EcdsaP256Sha256, Ed25519, RsaPssSha256};
use ravelin_ike::config::{Connection, OwnCertificate, RemoteAuth, SignatureScheme};
use ravelin_ike::crypto::signature;
use ravelin_ike::event::{Event, IkeUp};
use ravelin_ike::input::Command;
use ravelin_ike::recorder::Attempt;
use ravelin_ike::wire::{Announcement, AuthenticationMethod, ExchangeType, Notify, NotifyType, Payload};

const SECOND: u64 = 1_000_000;
const CA1: [u8; 20] = [1; 20];
const CA2: [u8; 20] = [2; 20];

/// A certificate of an end whose key signs so, of this authority.
fn own(end: usize, place: usize, schemes: &[SignatureScheme], authority: [u8; 20]) -> OwnCertificate {
    let schemes = schemes.to_vec();
    OwnCertificate { schemes, authorities: vec![authority], ..settings::own_certificate(end, place) }
}

/// An end that shows one of these, and takes these signatures of authorities of which it names none.
fn end(end: usize, own: Vec<OwnCertificate>, schemes: &[SignatureScheme]) -> Connection {
    let remote_auth = RemoteAuth::Certificate { authorities: Vec::new(), schemes: schemes.to_vec() };
    Connection { remote_auth, ..settings::showing(settings::connection(end), own) }
}

/// End 0 has called end 1.
fn called(connections: [Connection; 2]) -> World {
    let mut world = pair(connections);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(5 * SECOND);
    world
}

/// Which of its certificates an end has shown, where the tunnel came up.
fn shown(world: &World, end: usize) -> Option<usize> {
    let up = |event: &Event| match event {
        Event::IkeUp(up) => Some(IkeUp::clone(up)),
        _ => None,
    };
    world.ends[end].events.iter().find_map(up)?.own_certificate.map(|choice| choice.entry)
}

fn attempt(world: &World, end: usize) -> Attempt {
    let failed = |event: &Event| match event {
        Event::AttemptFailed { attempt, .. } => Some(Attempt::clone(attempt)),
        _ => None,
    };
    world.ends[end].events.iter().find_map(failed).unwrap()
}

/// The first certificate would be refused, the second one is taken; whoever has two, caller or called.
#[test]
fn the_certificate_whose_signature_is_taken_is_shown() {
    for who in [0, 1] {
        let two = |end: usize| {
            vec![own(end, 0, &[EcdsaP256Sha256], CA1), own(end, 1, &[RsaPssSha256, Ed25519], CA1)]
        };
        let ends = [0, 1].map(|number| match number == who {
            true => end(number, two(number), &[]),
            false => end(number, vec![own(number, 0, &[Ed25519], CA1)], &[Ed25519]),
        });
        let world = called(ends);
        world.assert_converged();
        assert_eq!((shown(&world, who), shown(&world, 1 - who)), (Some(1), Some(0)), "of end {who}");
    }
}

/// An authority that is asked for goes before a signature: without it no certificate is believed.
#[test]
fn authorities_go_before_signatures() {
    let two = vec![own(0, 0, &[EcdsaP256Sha256], CA2), own(0, 1, &[Ed25519], CA1)];
    let asks = RemoteAuth::Certificate { authorities: vec![CA2], schemes: vec![Ed25519] };
    let asking = Connection { remote_auth: asks, ..end(1, vec![own(1, 0, &[Ed25519], CA1)], &[]) };
    let world = called([end(0, two, &[]), asking]);
    assert_eq!(shown(&world, 0), None);
    let told = attempt(&world, 0);
    assert_eq!(told.failure.unwrap().code(), "RV-AUTH-001");
    assert_eq!(told.difference, "our proof: we have ecdsa-p256-sha256; the peer takes ed25519");
}

/// Who has a key where certificates are wanted, and the other way round, finds what is wanted in its own `explain`.
#[test]
fn where_nothing_fits_the_attempt_says_what_the_peer_takes() {
    let by_key = |end: usize| settings::connection(end);
    let by_certificate = |number: usize| end(number, vec![own(number, 0, &[Ed25519], CA1)], &[Ed25519]);
    let world = called([by_key(0), by_certificate(1)]);
    let told = attempt(&world, 0);
    assert_eq!(told.failure.unwrap().code(), "RV-AUTH-001");
    assert_eq!(told.difference, "our proof: we have pre-shared key; the peer takes ed25519");
    let world = called([by_certificate(0), by_key(1)]);
    let told = attempt(&world, 0);
    assert_eq!(told.difference, "our proof: we have ed25519; the peer takes pre-shared key");
}

fn announcement(
    method: AuthenticationMethod,
    link: Option<u8>,
    scheme: Option<SignatureScheme>,
) -> Announcement {
    let algorithm = scheme.map(signature::algorithm_identifier).unwrap_or_default();
    Announcement { method, link, algorithm }
}

fn announced(payloads: &[Payload]) -> Vec<Announcement> {
    let data = payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.notify_type == NotifyType::SupportedAuthMethods => {
            Some(&notify.data)
        }
        _ => None,
    });
    Announcement::parse(data.map(Vec::as_slice).unwrap_or_default())
}

/// Who is called says so in IKE_SA_INIT, beside CERTREQ, all that the connections which may be meant take.
#[test]
fn who_is_called_says_it_at_once() {
    let mut peer = Peer::new(|_| {});
    let reply = peer.call(peer.init()).unwrap();
    let shared = announcement(AuthenticationMethod::SharedKey, None, None);
    assert_eq!(announced(&reply.payloads), std::slice::from_ref(&shared));
    let mut peer = Peer::new(|connection| {
        let (psk, authorities) = (settings::psk(), vec![CA1]);
        let schemes = vec![EcdsaP256Sha256, Ed25519];
        connection.remote_auth = RemoteAuth::Either { psk, authorities, schemes };
    });
    let reply = peer.call(peer.init()).unwrap();
    let signed = |scheme| announcement(AuthenticationMethod::DigitalSignature, Some(0), Some(scheme));
    let older = announcement(AuthenticationMethod::EcdsaP256Sha256, Some(0), None);
    assert_eq!(announced(&reply.payloads), [signed(Ed25519), signed(EcdsaP256Sha256), older, shared]);
}

/// What nobody here knows, what is linked to another authority and what is cut off is passed over; a list of which nothing
/// is left is none.
#[test]
fn what_is_not_known_is_passed_over() {
    let signed =
        |link, scheme| announcement(AuthenticationMethod::DigitalSignature, Some(link), Some(scheme));
    let unknown = Announcement {
        method: AuthenticationMethod::DigitalSignature,
        link: Some(0),
        algorithm: vec![0x30, 3, 6, 1, 9],
    };
    let other = announcement(AuthenticationMethod::from(200), Some(0), None);
    for (list, entry) in [
        (vec![unknown.clone(), other.clone(), signed(0, Ed25519)], 1),
        (vec![signed(1, Ed25519), signed(2, EcdsaP256Sha256)], 1),
        (vec![signed(2, Ed25519), signed(1, EcdsaP256Sha256)], 0),
        (vec![unknown, other], 0),
        (vec![], 0),
    ] {
        let mut peer = Peer::new(|connection| {
            let two = vec![own(1, 0, &[EcdsaP256Sha256], CA1), own(1, 1, &[Ed25519], CA1)];
            *connection = settings::showing(Connection { dead_peer: None, ..settings::connection(1) }, two);
        });
        peer.sign = |_| Ok(vec![7; 64]);
        let mut init = peer.init();
        let hashes = [2, 5].into_iter().flat_map(|hash: u16| hash.to_be_bytes()).collect();
        init.push(Payload::Notify(Notify::new(NotifyType::SignatureHashAlgorithms, hashes)));
        peer.call(init);
        let requests = [CA1, CA2]
            .map(|ca| Payload::CertificateRequest(ravelin_ike::wire::CertificateRequest::x509(&[ca])));
        let mut auth = peer.auth();
        auth.extend(requests);
        let data = Announcement::emit(&list);
        auth.push(Payload::Notify(Notify::new(NotifyType::SupportedAuthMethods, data)));
        let reply = peer.ask(ExchangeType::IkeAuth, auth);
        let shown = reply.iter().find_map(|payload| match payload {
            Payload::Certificate(certificate) => Some(certificate.data.clone()),
            _ => None,
        });
        assert_eq!(shown, Some(settings::certificate(1 + 10 * entry)), "{list:?}");
    }
}
