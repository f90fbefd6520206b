//! Trust over real certificates: who is believed, who is not, under which code, and that both sides mean the same
//! by an algorithm's name.

use std::fs;

use aws_lc_rs::rand::SystemRandom;
use ravelin_ike::config as ike;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::want;
use ravelin_pki::PrivateKey;

use super::*;
use crate::tunnel::scheme;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pki/tests/data");

fn der(name: &str) -> Vec<u8> {
    Certificate::from_file_bytes(&fs::read(format!("{DATA}/{name}")).unwrap())
        .unwrap()
        .remove(0)
        .der()
        .to_vec()
}

fn certificate(name: &str) -> Certificate {
    Certificate::from_der(&der(name)).unwrap()
}

/// Within the validity of the fixtures.
fn now() -> UnixTime {
    UnixTime(certificate("p256.cert.pem").not_before.0 + 60)
}

/// A profile that pins one fixture.
fn pinning(name: &str, match_identity: bool) -> Profile {
    let sources = Sources {
        anchors: &[der(name)],
        intermediates: &[],
        rules: Rules::default(),
        dynamic_intermediates: true,
        match_identity,
        regime: Regime::default(),
        maps: &[],
    };
    Profile::new(&sources).unwrap()
}

fn ask(
    profile: &Profile,
    name: &str,
    claimed: &str,
    expected: Option<&str>,
) -> Result<Verdict, &'static str> {
    let (claimed, expected): (Identity, Option<Identity>) =
        (claimed.parse().unwrap(), expected.map(|expected| expected.parse().unwrap()));
    let question =
        Question { chain: &[der(name)], claimed: &claimed, expected: expected.as_ref(), listed: None };
    profile.judge(&question, now()).map_err(|refusal| refusal.code())
}

#[test]
fn a_believed_peer_must_be_who_it_says_and_who_is_expected() {
    let profile = pinning("p256.cert.pem", true);
    assert!(ask(&profile, "p256.cert.pem", "gw.example", None).is_ok());
    assert!(ask(&profile, "p256.cert.pem", "gw.example", Some("GW.example")).is_ok());
    // A name is compared as a name, however its strings are encoded.
    assert!(
        ask(&profile, "p256.cert.pem", "CN=p256,O=Ravelin Test,C=DE", Some("/C=de/O=RAVELIN test/CN=P256"))
            .is_ok()
    );
    assert_eq!(
        ask(&profile, "p256.cert.pem", "gw.example", Some("other.example")).unwrap_err(),
        "RV-PKI-001"
    );
    assert_eq!(ask(&profile, "p256.cert.pem", "other.example", None).unwrap_err(), "RV-PKI-008");
    assert_eq!(ask(&profile, "p521.cert.pem", "gw.example", None).unwrap_err(), "RV-PKI-033");
    let lax = pinning("p256.cert.pem", false);
    assert!(ask(&lax, "p256.cert.pem", "other.example", None).is_ok());
}

#[test]
fn authorities_are_the_hashes_of_the_keys() {
    let anchors = [der("p256.cert.pem"), der("p384.cert.pem")];
    let sources = Sources {
        anchors: &anchors,
        intermediates: &anchors,
        rules: Rules::default(),
        dynamic_intermediates: true,
        match_identity: true,
        regime: Regime::default(),
        maps: &[],
    };
    let hashes = [certreq::hash(&certificate("p256.cert.pem")), certreq::hash(&certificate("p384.cert.pem"))];
    assert_eq!(Profile::new(&sources).unwrap().authorities(), hashes);
}

#[test]
fn profiles_say_what_is_wrong_with_them() {
    let bad = Sources {
        anchors: &[],
        intermediates: &[],
        rules: Rules::default(),
        dynamic_intermediates: true,
        match_identity: true,
        regime: Regime::default(),
        maps: &[],
    };
    assert_eq!(Profile::new(&bad).unwrap_err(), ProfileError::NoAnchor);
    let good = [der("p256.cert.pem")];
    let bad = Sources { anchors: &good, intermediates: &[good[0].clone(), vec![0]], ..bad };
    let error = Profile::new(&bad).unwrap_err().to_string();
    assert!(error.starts_with("certificate 2 of the intermediates cannot be read"), "{error}");
}

fn question(identity: ike::Identity) -> want::Verdict {
    want::Verdict {
        connection: ConnectionId(1),
        instance: 0,
        identity,
        chain: vec![der("p256.cert.pem")],
        responses: Vec::new(),
    }
}

#[test]
fn the_engine_gets_the_key_and_can_have_signatures_checked_with_it() {
    let fqdn = ike::Identity { kind: ike::IdKind::Fqdn, data: b"gw.example".to_vec() };
    let judgement = judge(&pinning("p256.cert.pem", true), &question(fqdn), (None, None), now());
    let public_key = answer(&judgement).unwrap().public_key;
    assert_eq!(public_key, certificate("p256.cert.pem").spki);
    assert!(!judgement.unwrap().not_checked().is_empty());

    let key = PrivateKey::from_file_bytes(&fs::read(format!("{DATA}/p256.pkcs8.pem")).unwrap()).unwrap();
    let signature = key.sign(SignatureScheme::EcdsaSha256, b"octets", &SystemRandom::new()).unwrap();
    let check = |octets: &[u8], scheme| {
        let (octets, signature) = (octets.to_vec(), signature.clone());
        verify(&want::Verify { public_key: public_key.clone(), scheme, octets, signature })
    };
    assert_eq!(check(b"octets", ike::SignatureScheme::EcdsaP256Sha256), Ok(()));
    for (octets, scheme) in [
        (&b"other"[..], ike::SignatureScheme::EcdsaP256Sha256),
        (b"octets", ike::SignatureScheme::RsaPssSha256),
    ] {
        assert_eq!(check(octets, scheme).unwrap_err().code, "RV-PKI-004");
    }
}

#[test]
fn the_engine_is_told_why_not() {
    let malformed = ike::Identity { kind: ike::IdKind::Ipv4, data: vec![1] };
    let judgement = judge(&pinning("p256.cert.pem", true), &question(malformed), (None, None), now());
    assert_eq!(answer(&judgement).unwrap_err().code, "RV-PKI-002");
    let fqdn = ike::Identity { kind: ike::IdKind::Fqdn, data: b"gw.example".to_vec() };
    let late = UnixTime(certificate("p256.cert.pem").not_after.0 + 1);
    let judgement = judge(&pinning("p256.cert.pem", true), &question(fqdn), (None, None), late);
    let error = answer(&judgement).unwrap_err();
    assert_eq!(error.code, "RV-PKI-035");
    assert!(error.text.contains("it expired at") && error.text.contains("now is"), "{}", error.text);
}

/// Engine and crate spell every AlgorithmIdentifier the same way, octet by octet, and agree about its hash.
#[test]
fn both_sides_mean_the_same_scheme() {
    for scheme in SignatureScheme::ALL {
        let theirs = scheme::to_ike(scheme);
        assert_eq!(scheme::to_pki(theirs), scheme);
        assert_eq!(
            ravelin_ike::crypto::signature::algorithm_identifier(theirs),
            scheme.algorithm_identifier()
        );
        assert_eq!(theirs.hash().number(), scheme.ike_hash());
    }
}

#[test]
fn codes_are_unique_and_in_the_manual() {
    let text = include_str!("code.rs");
    let codes: Vec<&str> = text.match_indices("\"RV-PKI-").map(|(at, _)| &text[at + 1..at + 11]).collect();
    let mut unique = codes.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!((codes.len(), codes.len() > 30), (unique.len(), true));
    let manual = include_str!("../../../docs/certificates.md");
    for code in codes {
        assert_eq!(manual.matches(&format!("| {code} |")).count(), 1, "{code} in docs/certificates.md");
    }
}

/// With the peer's intermediates left aside, only those we hold lead to an anchor.
#[test]
fn intermediates_of_the_peer_count_unless_they_are_not_to() {
    let path = common::world::long_path();
    let chain: Vec<Vec<u8>> = path.certificates().iter().map(|one| one.der().to_vec()).collect();
    let anchors = [path.anchor().der().to_vec()];
    let claimed: Identity = "gw.example".parse().unwrap();
    for (dynamic, held, expected) in [(true, false, true), (false, false, false), (false, true, true)] {
        let intermediates: Vec<Vec<u8>> = if held { chain[1..].to_vec() } else { Vec::new() };
        let sources = Sources {
            anchors: &anchors,
            intermediates: &intermediates,
            rules: Rules::default(),
            dynamic_intermediates: dynamic,
            match_identity: true,
            regime: Regime::default(),
            maps: &[],
        };
        let profile = Profile::new(&sources).unwrap();
        let question = Question { chain: &chain, claimed: &claimed, expected: None, listed: None };
        let judged = profile.judge(&question, common::NOW);
        assert_eq!(judged.is_ok(), expected, "{dynamic} {held}: {judged:?}");
    }
}
