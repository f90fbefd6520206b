//! From the octets of CERT payloads to a verdict: identities against certificates (RFC 4945 §3.1), CERTREQ hashes,
//! and what a hostile peer can present.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads its fixtures and fails by panicking"
)]

use std::sync::Arc;

use crate::common::{NOW, ca, gateway, issued, parsed, self_signed};
use proptest::prelude::*;
use ravelin_pki::certreq;
use ravelin_pki::identity::{Identity, Match};
use ravelin_pki::path::{Budget, Rules};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::verdict::{Basis, IdentityCheck, NotChecked, Refusal, Revocation, Verdict, reach};
use ravelin_pki::x509::{GeneralName, Name};
use ravelin_pki::{Certificate, UnixTime};
use rcgen::{BasicConstraints, CertificateParams, IsCa, SanType};

fn fixture(name: &str) -> Arc<Certificate> {
    let bytes = std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    Arc::new(Certificate::from_file_bytes(&bytes).unwrap().remove(0))
}

fn identity(text: &str) -> Identity {
    text.parse().unwrap()
}

fn decide(
    presented: &[Vec<u8>],
    claimed: &str,
    anchors: &[Arc<Certificate>],
    match_identity: bool,
) -> Result<Verdict, Refusal> {
    let basis = Basis {
        anchors: &anchors.iter().cloned().collect::<Anchors>(),
        intermediates: &Intermediates::default(),
        rules: &Rules::default(),
        budget: Budget::default(),
        known: None,
        time: NOW,
        match_identity,
    };
    reach(presented, &identity(claimed), &basis)
}

fn ders(certificates: &[&Arc<Certificate>]) -> Vec<Vec<u8>> {
    certificates.iter().map(|certificate| certificate.der().to_vec()).collect()
}

#[test]
fn every_kind_of_identity_is_found_where_it_belongs_and_only_there() {
    // Its alternative names: DNS:gw.example, IP:192.0.2.1, IP:2001:db8::1, email:op@gw.example and more.
    let certificate = fixture("p256.cert.pem");
    for claimed in ["gw.example", "GW.EXAMPLE.", "192.0.2.1", "2001:db8::1", "op@GW.example"] {
        assert!(
            matches!(identity(claimed).matches(&certificate), Ok(Match::AlternativeName(_))),
            "{claimed}"
        );
    }
    for claimed in ["CN=p256,O=Ravelin Test,C=DE", "dn:cn=P256,o=ravelin  test,c=de"] {
        assert_eq!(identity(claimed).matches(&certificate), Ok(Match::Subject), "{claimed}");
    }
    for claimed in [
        "example",
        "a.gw.example",
        "p256",
        "192.0.2.2",
        "fqdn:192.0.2.1",
        "2001:db8::2",
        "OP@gw.example",
        "CN=p256,C=DE",
        "CN=p256,O=Ravelin Test,C=FR",
        "CN=directory",
        "keyid:gw.example",
    ] {
        let mismatch = identity(claimed).matches(&certificate).unwrap_err();
        assert!(
            mismatch.carried.contains("DNS:gw.example") && mismatch.carried.contains("DN:CN=p256"),
            "{claimed}"
        );
    }
    let dir = GeneralName::Directory(Name::from_text("CN=directory").unwrap());
    assert!(Identity::GeneralName(dir).matches(&certificate).is_ok());
    // An IPv4-mapped address is another address.
    assert!(identity("::ffff:192.0.2.1").matches(&certificate).is_err());
}

#[test]
fn wildcards_and_empty_names_match_nobody() {
    let mut params = gateway("gw");
    params.subject_alt_names = vec![SanType::DnsName("*.example".try_into().unwrap())];
    let certificate = self_signed(&params, 3);
    assert!(identity("gw.example").matches(&certificate).is_err());
    assert!(Identity::from_payload(2, b"*.example").is_err());
    let wildcard = Identity::GeneralName(GeneralName::Dns("*.example".into()));
    assert!(wildcard.matches(&certificate).is_err());
    let mut params = gateway("gw");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let nameless = issued(&params, 3, &ca("root"), 0);
    assert!(nameless.subject.is_empty());
    let empty = Identity::from_payload(9, &[0x30, 0]).unwrap();
    assert!(empty.matches(&nameless).is_err());
}

#[test]
fn a_verdict_says_what_it_rests_on_and_what_not() {
    let (root, issuing) = (ca("root"), ca("issuing"));
    let chain = [issued(&gateway("gw"), 3, &issuing, 2), issued(&issuing, 2, &root, 0)];
    let anchor = self_signed(&root, 0);
    let presented = ders(&[&chain[0], &chain[1]]);
    let verdict = decide(&presented, "gw.example", std::slice::from_ref(&anchor), true).unwrap();
    assert_eq!(verdict.identity, IdentityCheck::Matches(Match::AlternativeName("DNS:gw.example".into())));
    assert_eq!(verdict.revocation, Revocation::NotChecked { why: NotChecked::NotYet });
    assert_eq!(verdict.not_checked(), ["revocation: not checked, neither CRLs nor OCSP were consulted"]);
    assert_eq!((verdict.path.anchor(), verdict.path.time()), (&anchor, NOW));

    let refusal = decide(&presented, "other.example", std::slice::from_ref(&anchor), true).unwrap_err();
    assert_eq!(refusal.code(), "identity-mismatch");
    let verdict = decide(&presented, "other.example", &[anchor], false).unwrap();
    assert_eq!((verdict.identity.clone(), verdict.not_checked().len()), (IdentityCheck::NotCompared, 2));
}

#[test]
fn what_a_hostile_peer_presents() {
    let root = ca("root");
    let leaf = issued(&gateway("gw"), 3, &root, 0);
    let anchors = [self_signed(&root, 0)];
    let code = |presented: &[Vec<u8>]| {
        decide(presented, "gw.example", &anchors, true).map_or_else(|r| r.code(), |_| "ok")
    };
    assert_eq!(code(&[]), "no-certificate");
    assert_eq!(code(&[vec![0x30, 0x80]]), "unreadable-certificate");
    assert_eq!(code(&[leaf.der().to_vec(), vec![1, 2, 3]]), "ok");
    assert_eq!(code(&vec![leaf.der().to_vec(); 16]), "ok");
    assert_eq!(code(&vec![leaf.der().to_vec(); 17]), "too-many-certificates");
    let garbage = decide(&[leaf.der().to_vec(), vec![1, 2, 3]], "gw.example", &anchors, true).unwrap();
    assert_eq!(garbage.unreadable, 1);
}

#[test]
fn certreq_hashes_name_the_keys_of_cas() {
    let (root, issuing, other) = (ca("root"), ca("issuing"), ca("other"));
    let (root_cert, issuing_cert) = (self_signed(&root, 0), issued(&issuing, 2, &root, 0));
    let leaf = issued(&gateway("gw"), 3, &issuing, 2);
    let known: Intermediates =
        [root_cert.clone(), issuing_cert.clone(), self_signed(&other, 4)].into_iter().collect();
    let above = certreq::chain_above(&leaf, &known);
    assert_eq!(above, [issuing_cert.clone(), root_cert.clone()]);
    assert_eq!(certreq::to_send(&leaf, &above), ders(&[&leaf, &issuing_cert]));

    let field = certreq::field([&root_cert, &issuing_cert, &root_cert]);
    assert_eq!(field.len(), 40);
    assert_eq!(certreq::parse(&field), [certreq::hash(&root_cert), certreq::hash(&issuing_cert)]);
    assert_eq!(certreq::parse(&[0; 39]).len(), 1);
    assert_eq!(certreq::parse(&vec![0; 20 * 200]).len(), certreq::MAX_HASHES);
}

#[test]
fn cas_that_sign_each_other_end_the_chain_to_send() {
    let (left, right) = (ca("left"), ca("right"));
    let known: Intermediates =
        [issued(&left, 1, &right, 2), issued(&right, 2, &left, 1)].into_iter().collect();
    assert_eq!(certreq::chain_above(&issued(&gateway("gw"), 3, &left, 1), &known).len(), 2);
}

/// The value OpenSSL computes for the fixture: `openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha1sum`
/// and `openssl x509 -ext subjectKeyIdentifier` differ; this one covers the whole SubjectPublicKeyInfo.
#[test]
fn the_hash_covers_the_whole_subject_public_key_info() {
    let certificate = fixture("ed25519.cert.pem");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &certificate.spki);
    assert_eq!(certreq::hash(&certificate), digest.as_ref());
    assert_eq!(certificate.spki.len(), 44, "RFC 8410: algorithm and key");
}

#[test]
fn self_signed_strangers_are_refused_even_with_the_right_name() {
    let mut params: CertificateParams = gateway("gw");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let stranger = self_signed(&params, 3);
    let refusal =
        decide(&ders(&[&stranger]), "gw.example", &[self_signed(&ca("root"), 0)], true).unwrap_err();
    assert_eq!(refusal.code(), "end-entity-is-ca");
    assert!(refusal.explanation().is_some_and(|explanation| explanation.lines().len() == 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is changed in whatever certificate, at whatever time: an answer, no panic, and a verdict only if the
    /// end entity is untouched in its signed part and its signature.
    #[test]
    fn mutated_chains_never_panic_and_never_pass(
        which in 0usize..3, at in any::<prop::sample::Index>(), bit in 0u8..8, seconds in any::<i64>()
    ) {
        let (root, middle, issuing) = (ca("root"), ca("middle"), ca("issuing"));
        let chain = [
            issued(&gateway("gw"), 3, &issuing, 2),
            issued(&issuing, 2, &middle, 1),
            issued(&middle, 1, &root, 0),
        ];
        let mut presented = ders(&[&chain[0], &chain[1], &chain[2]]);
        let at = at.index(presented[which].len());
        presented[which][at] ^= 1 << bit;
        let anchors: Anchors = [self_signed(&root, 0)].into_iter().collect();
        for time in [NOW, UnixTime(seconds)] {
            let basis = Basis {
                anchors: &anchors,
                intermediates: &Intermediates::default(),
                rules: &Rules::default(),
                budget: Budget::default(),
                known: None,
                time,
                match_identity: true,
            };
            let verdict = reach(&presented, &identity("gw.example"), &basis);
            prop_assert!(verdict.is_err(), "octet {} of certificate {}: {:?}", at, which, verdict);
        }
        let _ = parsed(chain[0].der());
    }
}
