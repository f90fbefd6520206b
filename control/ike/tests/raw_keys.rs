//! Public keys in place of certificates (RFC 7670): asked for and taken only where we said so, shown where we have no
//! certificate, and judged as what they are. Guards that a key never passes for a certificate, nor the other way round.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::peer::{Peer, only_notify};
use crate::harness::{pair, settings};
use ravelin_ike::config::{Auth, CertificateAuth, Connection, OwnCertificate, RemoteAuth};
use ravelin_ike::input::Command;
use ravelin_ike::wire::{
    AuthenticationMethod, Certificate, CertificateEncoding, CertificateRequest, ExchangeType, Notify,
    NotifyType, Payload,
};

const SECOND: u64 = 1_000_000;

/// A connection of this end that shows a key, and takes keys besides certificates of these authorities.
fn by_key(end: usize, authorities: Vec<[u8; 20]>) -> Connection {
    let own = OwnCertificate {
        chain: vec![settings::certificate(end)],
        is_raw: true,
        ..settings::own_certificate(end, 0)
    };
    Connection {
        local_auth: Auth::Certificate(CertificateAuth::single(own)),
        remote_auth: RemoteAuth::Certificate { authorities, schemes: vec![] },
        raw_keys: true,
        dead_peer: None,
        ..settings::connection(end)
    }
}

fn key(end: usize) -> Certificate {
    Certificate { encoding: CertificateEncoding::RawPublicKey, data: settings::certificate(end) }
}

fn x509(end: usize) -> Certificate {
    Certificate { encoding: CertificateEncoding::X509Signature, ..key(end) }
}

/// Calls an engine with this connection, showing this: its replies to IKE_SA_INIT and IKE_AUTH.
fn call(connection: Connection, shown: &[Certificate]) -> (Peer, Vec<Payload>, Vec<Payload>) {
    let mut peer = Peer::new(|called| *called = connection);
    peer.sign = |_| Ok(vec![1; 64]);
    let mut init = peer.init();
    init.push(Payload::Notify(Notify::new(NotifyType::SignatureHashAlgorithms, vec![0, 2])));
    let reply = peer.call(init).unwrap();
    let mut payloads = peer.auth_by(AuthenticationMethod::EcdsaP256Sha256, |_| vec![1; 64]);
    payloads.splice(1..1, shown.iter().cloned().map(Payload::Certificate));
    let answer = peer.ask(ExchangeType::IkeAuth, payloads);
    (peer, reply.payloads, answer)
}

fn shown(payloads: &[Payload]) -> Vec<Certificate> {
    let certificate = |payload: &Payload| match payload {
        Payload::Certificate(certificate) => Some(certificate.clone()),
        _ => None,
    };
    payloads.iter().filter_map(certificate).collect()
}

fn requests(payloads: &[Payload]) -> Vec<CertificateRequest> {
    let request = |payload: &Payload| match payload {
        Payload::CertificateRequest(request) => Some(request.clone()),
        _ => None,
    };
    payloads.iter().filter_map(request).collect()
}

/// A key, nothing where we know the key ourselves, and a certificate besides: each is judged as what it is.
#[test]
fn what_is_shown_is_judged_as_what_it_is() {
    let spki = Some(settings::certificate(0));
    for (certificates, chain, public_key) in [
        (vec![key(0)], 0, spki.clone()),
        (vec![key(0), x509(0)], 0, spki),
        (vec![], 0, None),
        (vec![x509(0)], 1, None),
        (vec![x509(0), key(0)], 1, None),
    ] {
        let (peer, _, reply) = call(by_key(1, vec![[7; 20]]), &certificates);
        assert_eq!(shown(&reply), [key(1)], "it is let in, and shown our key");
        let judged = &peer.judged[0];
        assert_eq!((judged.chain.len(), &judged.public_key), (chain, &public_key), "{certificates:?}");
    }
}

/// Where keys are not taken, a key is no certificate, and nothing at all is none either.
#[test]
fn a_key_is_taken_only_where_it_may_be() {
    for certificates in [vec![key(0)], vec![]] {
        let connection = Connection { raw_keys: false, ..by_key(1, vec![[7; 20]]) };
        let (peer, init, reply) = call(connection, &certificates);
        assert_eq!(only_notify(&reply).0, NotifyType::AuthenticationFailed);
        assert_eq!((peer.judged.len(), requests(&init)), (0, vec![CertificateRequest::x509(&[[7; 20]])]));
    }
}

/// RFC 7670 §3: a CERTREQ of encoding 15, which names nobody; certificates are asked for only where they would do.
#[test]
fn keys_are_asked_for() {
    let raw = CertificateRequest { encoding: CertificateEncoding::RawPublicKey, authorities: vec![] };
    let (_, init, _) = call(by_key(1, vec![]), &[key(0)]);
    assert_eq!(requests(&init), std::slice::from_ref(&raw));
    let (_, init, _) = call(by_key(1, vec![[7; 20]]), &[key(0)]);
    assert_eq!(requests(&init), [CertificateRequest::x509(&[[7; 20]]), raw]);
}

/// Between two engines: each knows the other by its key, and neither shows a certificate.
#[test]
fn two_ends_know_each_other_by_keys() {
    let both = |end| Connection { resumption: true, ..by_key(end, vec![]) };
    let mut world = pair([both(0), both(1)]);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
    world.assert_carries();
    assert_eq!([0, 1].map(|end| world.ends[end].presented.clone()), [[0], [0]]);
}
