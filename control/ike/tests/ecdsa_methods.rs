//! Signatures with peers that do not know RFC 7427: the ECDSA methods 9, 10 and 11 (RFC 4754), as both sides of the
//! exchange see them, octet for octet.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::peer::Peer;
use crate::harness::settings;
use ravelin_ike::config::{Auth, CertificateAuth, Connection, OwnCertificate, RemoteAuth, SignatureScheme};
use ravelin_ike::crypto::signature;
use ravelin_ike::event::Event;
use ravelin_ike::want::{AnswerError, Sign};
use ravelin_ike::wire::{
    Authentication, AuthenticationMethod, Certificate, CertificateEncoding, ExchangeType, Notify, NotifyType,
    Payload,
};

use AuthenticationMethod::{DigitalSignature, EcdsaP256Sha256, EcdsaP384Sha384, EcdsaP521Sha512};

/// Octets of r and of s, by method.
const METHODS: [(AuthenticationMethod, usize, SignatureScheme); 3] = [
    (EcdsaP256Sha256, 32, SignatureScheme::EcdsaP256Sha256),
    (EcdsaP384Sha384, 48, SignatureScheme::EcdsaP384Sha384),
    (EcdsaP521Sha512, 66, SignatureScheme::EcdsaP521Sha512),
];

/// A signature of the scheme's curve: r is one and s two.
fn one_and_two(sign: &Sign) -> Result<Vec<u8>, AnswerError> {
    let width = METHODS.iter().find(|(.., scheme)| *scheme == sign.scheme).map_or(32, |(_, width, _)| *width);
    let mut fixed = vec![0; 2 * width];
    (fixed[width - 1], fixed[2 * width - 1]) = (1, 2);
    Ok(signature::ecdsa_to_der(sign.scheme, &fixed).unwrap_or(fixed))
}

/// Both sides have certificates; ours can sign so.
fn certified(schemes: &[SignatureScheme]) -> impl FnOnce(&mut Connection) {
    let schemes = schemes.to_vec();
    move |connection| {
        let own = OwnCertificate { schemes, ..settings::own_certificate(1, 0) };
        connection.local_auth = Auth::Certificate(CertificateAuth::single(own));
        connection.remote_auth = settings::with_certificates(1).remote_auth;
    }
}

/// What the called end answers to a proof by this method, with these octets; the caller announced these hashes.
fn answer(peer: &mut Peer, method: AuthenticationMethod, data: Vec<u8>, hashes: &[u8]) -> Vec<Payload> {
    peer.sign = one_and_two;
    let mut init = peer.init();
    let announced = Notify::new(NotifyType::SignatureHashAlgorithms, hashes.to_vec());
    init.extend((!hashes.is_empty()).then_some(Payload::Notify(announced)));
    peer.call(init);
    let mut payloads = peer.auth_by(method, |_| data);
    let certificate =
        Certificate { encoding: CertificateEncoding::X509Signature, data: settings::certificate(0) };
    payloads.insert(1, Payload::Certificate(certificate));
    peer.ask(ExchangeType::IkeAuth, payloads)
}

fn proof(payloads: &[Payload]) -> Option<&Authentication> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Authentication(auth) => Some(auth),
        _ => None,
    })
}

fn failed(peer: &Peer) -> Option<(&'static str, String)> {
    peer.events.iter().find_map(|event| match event {
        Event::AttemptFailed { attempt, .. } => {
            attempt.failure.as_ref().map(|failure| (failure.code(), failure.to_string()))
        }
        _ => None,
    })
}

/// Who announced no hashes is answered by the method of our curve, with r and s of its full width; its own is verified
/// as the scheme of its method.
#[test]
fn both_sides_prove_themselves_by_the_older_methods() {
    for (method, width, scheme) in METHODS {
        let mut peer = Peer::new(certified(&[scheme]));
        let data: Vec<u8> = (1..=2 * width as u8).collect();
        let reply = answer(&mut peer, method, data.clone(), &[]);
        let auth = proof(&reply).unwrap();
        assert_eq!((auth.method, auth.data.len()), (method, 2 * width));
        assert_eq!((auth.data[width - 1], auth.data[2 * width - 1]), (1, 2));
        assert_eq!(auth.data.iter().filter(|octet| **octet != 0).count(), 2, "leading zeros are written");
        let verify = &peer.verified[0];
        assert_eq!(verify.scheme, scheme);
        assert_eq!(signature::ecdsa_from_der(scheme, &verify.signature).unwrap(), data);
    }
}

/// Who announced hashes is answered by a signature that names its scheme, whatever it used itself.
#[test]
fn who_knows_rfc_7427_is_answered_by_it() {
    let mut peer = Peer::new(certified(&[SignatureScheme::EcdsaP256Sha256]));
    let reply = answer(&mut peer, EcdsaP256Sha256, vec![1; 64], &[0, 2]);
    assert_eq!(proof(&reply).unwrap().method, DigitalSignature);
    assert_eq!(peer.verified[0].scheme, SignatureScheme::EcdsaP256Sha256);
}

/// A key that the older methods do nothing with is named, and what the peer lacks.
#[test]
fn keys_without_an_older_method_are_named() {
    for (scheme, name) in
        [(SignatureScheme::RsaPkcs1Sha256, "rsa-pkcs1-sha256"), (SignatureScheme::Ed25519, "ed25519")]
    {
        let mut peer = Peer::new(certified(&[scheme]));
        let reply = answer(&mut peer, EcdsaP256Sha256, vec![1; 64], &[]);
        assert!(proof(&reply).is_none());
        let (code, text) = failed(&peer).unwrap();
        assert!(code == "RV-AUTH-019" && text.contains(name) && text.contains("RFC 7427"), "{code}: {text}");
    }
    // Of several the one that does.
    let mut peer = Peer::new(certified(&[SignatureScheme::Ed25519, SignatureScheme::EcdsaP384Sha384]));
    let reply = answer(&mut peer, EcdsaP256Sha256, vec![1; 64], &[]);
    assert_eq!(proof(&reply).unwrap().method, EcdsaP384Sha384);
}

/// Signatures of another width than the curve's, RSA with SHA-1, and schemes that are not allowed are refused by name.
#[test]
fn what_is_no_such_signature_is_refused() {
    let usual = certified(&[SignatureScheme::EcdsaP256Sha256]);
    let rsa = AuthenticationMethod::RsaDigitalSignature;
    let mut peer = Peer::new(usual);
    answer(&mut peer, rsa, vec![1; 256], &[]);
    let (code, text) = failed(&peer).unwrap();
    assert!(code == "RV-AUTH-006" && text.contains("SHA-1") && text.contains("RFC 7427"), "{code}: {text}");
    for (method, data) in [
        (EcdsaP256Sha256, vec![1; 63]),
        (EcdsaP256Sha256, vec![1; 96]),
        (EcdsaP384Sha384, vec![1; 64]),
        (EcdsaP521Sha512, Vec::new()),
    ] {
        let mut peer = Peer::new(certified(&[SignatureScheme::EcdsaP256Sha256]));
        answer(&mut peer, method, data, &[]);
        assert_eq!(failed(&peer).unwrap().0, "RV-AUTH-008");
        assert!(peer.verified.is_empty());
    }
    let narrow = |connection: &mut Connection| {
        certified(&[SignatureScheme::EcdsaP256Sha256])(connection);
        let allowed = vec![SignatureScheme::EcdsaP384Sha384];
        connection.remote_auth = RemoteAuth::Certificate { authorities: vec![[7; 20]], schemes: allowed };
    };
    let mut peer = Peer::new(narrow);
    answer(&mut peer, EcdsaP256Sha256, vec![1; 64], &[]);
    assert_eq!(failed(&peer).unwrap().0, "RV-AUTH-008");
}

/// A pre-shared key is no matter of methods of signatures.
#[test]
fn a_signature_is_no_pre_shared_key() {
    let mut peer = Peer::new(|_| {});
    answer(&mut peer, EcdsaP256Sha256, vec![1; 64], &[]);
    assert_eq!(failed(&peer).unwrap().0, "RV-AUTH-006");
}
