//! Trust over real certificates: who is believed, who is not, under which code, and that both sides mean the same
//! by an algorithm's name.

use std::fs;

use aws_lc_rs::rand::SystemRandom;
use ravelin_ike::config as ike;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::want;
use ravelin_pki::PrivateKey;
use ravelin_pki::revocation::KeyId;

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
        shut: Shut::default(),
        keys: PeerKeys::default(),
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
        shut: Shut::default(),
        keys: PeerKeys::default(),
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
        shut: Shut::default(),
        keys: PeerKeys::default(),
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
        public_key: None,
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
            shut: Shut::default(),
            keys: PeerKeys::default(),
        };
        let profile = Profile::new(&sources).unwrap();
        let question = Question { chain: &chain, claimed: &claimed, expected: None, listed: None };
        let judged = profile.judge(&question, common::NOW);
        assert_eq!(judged.is_ok(), expected, "{dynamic} {held}: {judged:?}");
    }
}

/// What rests on an authority that is shut down is refused by name, whatever certificate of its leads there; a path past
/// it counts (PKI-16).
#[test]
fn nothing_rests_on_an_authority_that_is_shut_down() {
    use common::{ca, gateway, issued, self_signed};
    let (root, other, below) = (ca("Root"), ca("Other"), ca("Below"));
    let (root_it, other_it) = (self_signed(&root, 0), self_signed(&other, 3));
    let (first, cross) = (issued(&below, 2, &root, 0), issued(&below, 2, &other, 3));
    let peer = issued(&gateway("Gateway"), 1, &below, 2);
    let claimed: Identity = "gw.example".parse().unwrap();
    let asked =
        |anchors: &[&Arc<Certificate>], presented: &[&Arc<Certificate>], shut: &[&Arc<Certificate>]| {
            let anchors: Vec<Vec<u8>> = anchors.iter().map(|it| it.der().to_vec()).collect();
            let chain: Vec<Vec<u8>> =
                std::iter::once(&peer).chain(presented.iter().copied()).map(|it| it.der().to_vec()).collect();
            let named = |it: &&Arc<Certificate>| (KeyId::of(it), it.subject.to_string());
            let profile = Profile::new(&Sources {
                anchors: &anchors,
                intermediates: &[],
                rules: Rules::default(),
                dynamic_intermediates: true,
                match_identity: true,
                regime: Regime::default(),
                maps: &[],
                shut: shut.iter().map(named).collect(),
                keys: PeerKeys::default(),
            });
            let profile = profile.unwrap();
            let question = Question { chain: &chain, claimed: &claimed, expected: None, listed: None };
            let judged = profile.judge(&question, common::NOW);
            let judged = judged.map(|verdict| verdict.path.anchor().subject.to_string());
            (judged.map_err(|refusal| format!("{} {refusal}", refusal.code())), profile.authorities().len())
        };
    let both = [&root_it, &other_it];
    let is_shut = |judged: Result<String, String>, name: &str| {
        let told = judged.unwrap_err();
        assert!(
            told.starts_with("RV-PKI-048") && told.contains(name) && told.contains("shut down"),
            "{told}"
        );
    };
    assert_eq!(asked(&[&root_it], &[&first], &[]).1, 1);
    let (judged, asked_for) = asked(&[&root_it], &[&first], &[&root_it]);
    is_shut(judged, "CN=Root");
    assert_eq!(asked_for, 0, "nor is it asked for in CERTREQ");
    is_shut(asked(&[&root_it], &[&first], &[&first]).0, "CN=Below");
    // The key is shut out, not the certificate: another of the same CA leads nowhere either.
    is_shut(asked(&both, &[&first, &cross], &[&first]).0, "CN=Below");
    // Past the one that is shut there is another.
    for (shut, expected) in [(&root_it, "CN=Other"), (&other_it, "CN=Root")] {
        let judged = asked(&both, &[&first, &cross], &[shut]).0.unwrap();
        assert!(judged.starts_with(expected), "{judged}");
    }
    // Who would not be believed anyway is told why.
    let judged = asked(&[&other_it], &[&first], &[&other_it]).0.unwrap_err();
    assert!(judged.starts_with("RV-PKI-021") || judged.starts_with("RV-PKI-020"), "{judged}");
}
