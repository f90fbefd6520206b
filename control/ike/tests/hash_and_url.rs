//! Certificates by hash and URL (RFC 7296 §3.6): looked up only where we said that we would, for a peer of whom nothing
//! else is wrong, while nothing else waits; and shown to peers that look them up.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::peer::{Peer, only_notify};
use crate::harness::{failures, pair, settings};
use ravelin_ike::config::{Connection, Identity, IdentityMatch, RemoteAuth, SignatureScheme};
use ravelin_ike::input::Command;
use ravelin_ike::want::{AnswerError, Shown, WantKind};
use ravelin_ike::wire::{
    AuthenticationMethod, Certificate, CertificateEncoding, ExchangeType, HashAndUrl, Notify, NotifyType,
    Payload,
};

const SECOND: u64 = 1_000_000;

/// A called engine that shows a certificate, by hash and URL to those who look it up, changed by `change`.
fn called(change: impl FnOnce(&mut Connection)) -> Peer {
    let mut peer = Peer::new(|connection| {
        let usual = settings::by_url(settings::with_certificates(1), 1);
        *connection = Connection { dead_peer: None, ..usual };
        change(connection);
    });
    peer.sign = |_| Ok(vec![1; 64]);
    peer
}

/// Calls it, showing this, with what else is given: its replies to IKE_SA_INIT and IKE_AUTH.
fn call(peer: &mut Peer, shown: Vec<Certificate>, more: Vec<Payload>) -> (Vec<Payload>, Vec<Payload>) {
    let mut init = peer.init();
    init.push(Payload::Notify(Notify::new(NotifyType::SignatureHashAlgorithms, vec![0, 2])));
    let reply = peer.call(init).unwrap();
    let mut payloads = peer.auth_by(AuthenticationMethod::EcdsaP256Sha256, |_| vec![1; 64]);
    payloads.splice(1..1, shown.into_iter().map(Payload::Certificate));
    payloads.extend(more);
    (reply.payloads, peer.ask(ExchangeType::IkeAuth, payloads))
}

fn lookup_supported() -> Payload {
    Payload::Notify(Notify::new(NotifyType::HttpCertLookupSupported, Vec::new()))
}

fn here(data: Vec<u8>) -> Certificate {
    Certificate { encoding: CertificateEncoding::X509Signature, data }
}

fn bundle(end: usize) -> HashAndUrl {
    HashAndUrl { bundle: true, ..settings::hash_and_url(end) }
}

fn shown(payloads: &[Payload]) -> Vec<Certificate> {
    let certificate = |payload: &Payload| match payload {
        Payload::Certificate(certificate) => Some(certificate.clone()),
        _ => None,
    };
    payloads.iter().filter_map(certificate).collect()
}

/// What is shown either way is looked up in the peer's order, and judged as if all of it had been in the message.
#[test]
fn a_called_end_looks_up_what_it_said_it_would() {
    let authority = vec![0x30; 900];
    for (elsewhere, beside) in [(settings::hash_and_url(0), Some(authority.clone())), (bundle(0), None)] {
        let mut peer = called(|_| {});
        let certificates = [Some(elsewhere.payload()), beside.clone().map(here)];
        let (init, reply) = call(&mut peer, certificates.into_iter().flatten().collect(), vec![]);
        assert!(init.contains(&lookup_supported()));
        assert_eq!(shown(&reply).len(), 2, "it is let in");
        let asked = [Some(Shown::Elsewhere(elsewhere)), beside.map(Shown::Here)];
        assert_eq!(peer.looked_up[0].shown, asked.into_iter().flatten().collect::<Vec<_>>());
        assert_eq!(peer.judged[0].chain, [settings::certificate(0), authority.clone()]);
    }
}

/// A peer that shows itself at once, or proves itself otherwise, costs no lookup, whatever we said.
#[test]
fn what_is_here_is_not_looked_up() {
    let mut peer = called(|_| {});
    call(&mut peer, vec![here(settings::certificate(0))], vec![]);
    assert_eq!((peer.looked_up.len(), peer.judged.len()), (0, 1));
}

/// Nobody makes us fetch who was not told that we do, nor who would be refused whatever is fetched.
#[test]
fn nothing_is_fetched_in_vain() {
    let silent = |connection: &mut Connection| connection.certificate_lookup = false;
    let other = |connection: &mut Connection| {
        connection.remote_identity = IdentityMatch::Exact(Identity::fqdn("another.example"));
    };
    let strict = |connection: &mut Connection| {
        let schemes = vec![SignatureScheme::Ed25519];
        connection.remote_auth = RemoteAuth::Certificate { authorities: vec![], schemes };
    };
    for (change, announced) in [(&silent as &dyn Fn(&mut Connection), false), (&other, true), (&strict, true)]
    {
        let mut peer = called(change);
        let (init, reply) = call(&mut peer, vec![settings::hash_and_url(0).payload()], vec![]);
        assert_eq!(init.contains(&lookup_supported()), announced);
        assert_eq!(only_notify(&reply).0, NotifyType::AuthenticationFailed);
        assert_eq!((peer.looked_up.len(), peer.judged.len()), (0, 0));
    }
}

/// Less than a hash, and a URL that is no text.
#[test]
fn what_is_no_hash_and_url_is_refused() {
    let encoding = CertificateEncoding::HashAndUrlCertificate;
    for data in [vec![], vec![7; 19], [[7; 20].as_slice(), &[0xff]].concat()] {
        let mut peer = called(|_| {});
        let (_, reply) = call(&mut peer, vec![Certificate { encoding, data }], vec![]);
        assert_eq!(only_notify(&reply).0, NotifyType::InvalidSyntax);
        assert!(peer.looked_up.is_empty());
    }
}

/// Whoever looks up says what was wrong; and nothing at all is no certificate.
#[test]
fn what_is_not_found_lets_nobody_in() {
    let refused = |_: &_| Err(AnswerError { code: "RV-PKI-046".into(), text: "another hash".into() });
    for find in [refused, |_: &_| Ok(vec![])] {
        let mut peer = called(|_| {});
        peer.find = find;
        let (_, reply) = call(&mut peer, vec![bundle(0).payload()], vec![]);
        assert_eq!(only_notify(&reply).0, NotifyType::AuthenticationFailed);
        assert_eq!((peer.looked_up.len(), peer.judged.len()), (1, 0));
    }
}

/// Who looks it up is shown our own by hash and URL, and the authority's, which lies nowhere, as it is; nobody else is.
#[test]
fn who_looks_up_is_shown_where_ours_lies() {
    let authority = here(vec![0x30; 900]);
    for (said, own) in [
        (vec![lookup_supported()], settings::hash_and_url(1).payload()),
        (vec![], here(settings::certificate(1))),
    ] {
        let mut peer = called(|_| {});
        let (_, reply) = call(&mut peer, vec![here(settings::certificate(0))], said);
        assert_eq!(shown(&reply), [own, authority.clone()]);
    }
}

/// Between two engines both say so, both show so, and both are let in.
#[test]
fn both_ends_look_up() {
    let mut world = pair([0, 1].map(|end| settings::by_url(settings::with_certificates(end), end)));
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
    world.assert_carries();
    assert_eq!(world.tally.looked_up, 2);
    assert_eq!([0, 1].map(|end| world.ends[end].presented.clone()), [[2], [2]]);
}

/// A lookup that never comes back ends its own call by the deadline, in either role, and no other's; the next one is
/// as if nothing had been.
#[test]
fn a_lookup_without_end_ends_by_its_deadline() {
    for end in 0..2 {
        let mut world = pair([0, 1].map(|end| settings::by_url(settings::with_certificates(end), end)));
        world.ends[end].hold = |want| matches!(want, WantKind::Lookup(_));
        world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
        world.run_for(30 * SECOND);
        assert!(!world.ends[end].held.is_empty());
        assert!(failures(&world, end).contains(&"RV-LOCAL-001"), "{:?}", failures(&world, end));
        let late: Vec<_> = world.ends[end].held.drain(..).collect();
        world.ends[end].hold = |_| false;
        late.into_iter().for_each(|want| world.answer(end, want));
        world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
        world.run_for(60 * SECOND);
        world.assert_carries();
    }
}
