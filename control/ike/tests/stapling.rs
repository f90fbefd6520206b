//! The word of a responder within IKE (RFC 4806): asked for where the connection wants it, handed on to whoever judges
//! the chain, and shown to peers that ask.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::peer::Peer;
use crate::harness::{pair, settings};
use ravelin_ike::config::Connection;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use ravelin_ike::want::WantKind;
use ravelin_ike::wire::{
    AuthenticationMethod, Certificate, CertificateEncoding, CertificateRequest, ExchangeType, Notify,
    NotifyType, Payload,
};

const SECOND: u64 = 1_000_000;

/// What a responder says of an end's certificate. The engine never reads it.
fn word(end: usize) -> Vec<u8> {
    vec![0xa0 + end as u8; 1200]
}

fn asking(end: usize) -> Connection {
    Connection { ocsp_request: true, ..settings::with_certificates(end) }
}

/// A called engine with certificates, changed by `change`.
fn called(change: impl FnOnce(&mut Connection)) -> Peer {
    let mut peer = Peer::new(|connection| {
        let usual = settings::with_certificates(1);
        (connection.local_auth, connection.remote_auth) = (usual.local_auth, usual.remote_auth);
        change(connection);
    });
    peer.sign = |_| Ok(vec![1; 64]);
    peer
}

/// Calls it with a certificate and what else is given: its replies to IKE_SA_INIT and IKE_AUTH.
fn call(peer: &mut Peer, more: Vec<Payload>) -> (Vec<Payload>, Vec<Payload>) {
    let mut init = peer.init();
    init.push(Payload::Notify(Notify::new(NotifyType::SignatureHashAlgorithms, vec![0, 2])));
    let reply = peer.call(init).unwrap();
    let mut payloads = peer.auth_by(AuthenticationMethod::EcdsaP256Sha256, |_| vec![1; 64]);
    let data = settings::certificate(0);
    payloads
        .insert(1, Payload::Certificate(Certificate { encoding: CertificateEncoding::X509Signature, data }));
    payloads.extend(more);
    (reply.payloads, peer.ask(ExchangeType::IkeAuth, payloads))
}

fn stapled(data: Vec<u8>) -> Payload {
    Payload::Certificate(Certificate { encoding: CertificateEncoding::OcspContent, data })
}

fn request() -> Payload {
    Payload::CertificateRequest(CertificateRequest {
        encoding: CertificateEncoding::OcspContent,
        authorities: Vec::new(),
    })
}

fn shown(payloads: &[Payload]) -> Vec<CertificateEncoding> {
    let encoding = |payload: &Payload| match payload {
        Payload::Certificate(certificate) => Some(certificate.encoding),
        _ => None,
    };
    payloads.iter().filter_map(encoding).collect()
}

/// The request names no responder (RFC 4806 §3.1), and what answers it goes to whoever judges the chain, as it came.
#[test]
fn a_called_end_asks_and_hands_on_what_comes() {
    let mut peer = called(|connection| connection.ocsp_request = true);
    let (init, _) = call(&mut peer, vec![stapled(word(0)), stapled(b"no response at all".to_vec())]);
    assert!(init.contains(&request()));
    assert_eq!(peer.judged[0].responses, [word(0), b"no response at all".to_vec()]);
    assert_eq!(peer.judged[0].chain, [settings::certificate(0)], "it is no certificate");
}

/// Nobody makes us look at what we did not ask for.
#[test]
fn who_does_not_ask_takes_nothing() {
    let mut peer = called(|_| {});
    let (init, _) = call(&mut peer, vec![stapled(word(0))]);
    assert!(!init.contains(&request()));
    assert!(peer.judged[0].responses.is_empty());
}

/// Who asks is shown the word on our certificate, after the chain, and nobody else is.
#[test]
fn who_asks_is_shown_ours() {
    use CertificateEncoding::{OcspContent, X509Signature};
    for (asked, expected) in [
        (vec![request()], &[X509Signature, X509Signature, OcspContent][..]),
        (vec![], &[X509Signature, X509Signature]),
    ] {
        let mut peer = called(|_| {});
        let until = Some((word(1), Instant(peer.now + SECOND)));
        peer.engine.set_ocsp_response(Instant(peer.now), &settings::certificate(1), until);
        let (_, reply) = call(&mut peer, asked);
        assert_eq!(shown(&reply), expected);
        assert_eq!(reply.contains(&stapled(word(1))), expected.len() == 3);
    }
}

/// A word that has ended, was taken back, or is about another certificate is not shown.
#[test]
fn what_has_ended_is_not_shown() {
    let given = |peer: &mut Peer, certificate: usize, until: u64| {
        let response = Some((word(1), Instant(until)));
        peer.engine.set_ocsp_response(Instant(peer.now), &settings::certificate(certificate), response);
    };
    let ended = |peer: &mut Peer| given(peer, 1, peer.now);
    let taken_back = |peer: &mut Peer| {
        given(peer, 1, peer.now + SECOND);
        peer.engine.set_ocsp_response(Instant(peer.now), &settings::certificate(1), None);
    };
    let of_another = |peer: &mut Peer| given(peer, 0, peer.now + SECOND);
    for prepare in [&ended as &dyn Fn(&mut Peer), &taken_back, &of_another] {
        let mut peer = called(|_| {});
        prepare(&mut peer);
        let (_, reply) = call(&mut peer, vec![request()]);
        assert!(!shown(&reply).contains(&CertificateEncoding::OcspContent));
    }
}

/// Between two engines both ask and both are answered, in fragments where it has to be.
#[test]
fn both_ends_ask_and_are_answered() {
    let mut world = pair([asking(0), asking(1)]);
    for end in 0..2 {
        let response = Some((word(end), Instant(u64::MAX)));
        world.ends[end].engine.set_ocsp_response(Instant(0), &settings::certificate(end), response);
        world.ends[end].hold = |want| matches!(want, WantKind::Verdict(_));
    }
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    for end in [1, 0] {
        world.run_for(SECOND);
        let want = world.ends[end].held.pop().unwrap();
        let WantKind::Verdict(verdict) = &want.kind else { unreachable!() };
        assert_eq!(verdict.responses, [word(1 - end)]);
        world.answer(end, want);
    }
    world.run_for(SECOND);
    world.assert_carries();
}
