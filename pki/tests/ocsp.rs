//! OCSP: that a responder's answer is read as it means it, and that nothing else is taken for one. Guards against the
//! wrong "good" of a stranger, of another certificate, or of yesterday; OpenSSL's responder is the other party.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads its fixtures and fails by panicking"
)]

use crate::common;
use std::sync::{Arc, LazyLock};

use crate::common::der::{extension, sequence, tlv};
use crate::common::ocsp::{Draft, GOOD, UNKNOWN, bare, revoked, single};
use crate::common::{KEYS, NOW, ca, gateway, issued, self_signed};
use proptest::prelude::*;
use ravelin_pki::revocation::ocsp::{
    Answer, Carriage, IdHash, Nonce, NonceRule, OcspError, Question, ResponseRules, Signer, Unfit, carriage,
};
use ravelin_pki::revocation::{Issued, Reason, Silent, Status};
use ravelin_pki::{Certificate, UnixTime, oid};
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, SerialNumber};

static ROOT: LazyLock<Arc<Certificate>> = LazyLock::new(|| self_signed(&ca("Root"), 0));
static GATEWAY: LazyLock<Issued> = LazyLock::new(|| gateway_numbered(&[0x55, 1, 2, 3]));
static RESPONDER: LazyLock<Arc<Certificate>> = LazyLock::new(|| issued(&responder(), 2, &ca("Root"), 0));

const RULES: ResponseRules = ResponseRules { nonce: NonceRule::Strict, unchecked_responders: false };
const LENIENT: ResponseRules = ResponseRules { nonce: NonceRule::Lenient, ..RULES };
const TOMORROW: UnixTime = UnixTime(NOW.0 + 86_400);

fn gateway_numbered(serial: &[u8]) -> Issued {
    let mut params = gateway("Gateway");
    params.serial_number = Some(SerialNumber::from_slice(serial));
    Issued::new(issued(&params, 1, &ca("Root"), 0), ROOT.clone())
}

/// Parameters of a responder's certificate: OCSPSigning and nocheck.
fn responder() -> CertificateParams {
    let mut params = gateway("Responder");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    let arcs = [1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
    params.custom_extensions.push(CustomExtension::from_oid_content(&arcs, vec![5, 0]));
    params
}

fn question(nonce: Option<[u8; 32]>) -> Question {
    Question::new(GATEWAY.clone(), IdHash::Sha1, nonce.map(Nonce::new))
}

fn good_by(responder: &Certificate) -> Draft {
    Draft::by(responder, NOW).saying(&GATEWAY, GOOD, NOW, Some(TOMORROW))
}

/// Judged without a nonce; `key` signs.
fn judge(draft: &Draft, key: usize) -> Result<Answer, OcspError> {
    question(None).judge(&draft.sign(&KEYS[key]), RULES, NOW)
}

fn status(answer: &Answer) -> Result<Status, Silent> {
    answer.ask(&GATEWAY, NOW, 0).map(|statement| statement.status)
}

#[test]
fn a_status_is_believed_from_the_ca_and_from_its_responder() {
    let answer = judge(&good_by(&ROOT), 0).unwrap();
    assert_eq!((status(&answer), answer.signer()), (Ok(Status::Good), &Signer::Authority));
    let by_delegate = good_by(&RESPONDER).carrying(&RESPONDER);
    let answer = judge(&by_delegate, 2).unwrap();
    assert_eq!((status(&answer), answer.signer()), (Ok(Status::Good), &Signer::Delegate(RESPONDER.clone())));

    let at = UnixTime(NOW.0 - 60);
    let draft = Draft::by(&ROOT, NOW).saying(&GATEWAY, &revoked(at, 1), NOW, Some(TOMORROW));
    let Ok(Status::Revoked(said)) = status(&judge(&draft, 0).unwrap()) else { panic!("not revoked") };
    assert_eq!((said.at, said.reason), (at, Reason::KeyCompromise));
    let draft = Draft::by(&ROOT, NOW).saying(&GATEWAY, UNKNOWN, NOW, Some(TOMORROW));
    assert_eq!(judge(&draft, 0).unwrap_err(), OcspError::Unknown);
}

#[test]
fn a_response_may_speak_of_others_as_well_but_must_speak_of_ours() {
    let other = gateway_numbered(&[7]);
    let both = Draft::by(&ROOT, NOW).saying(&other, &revoked(NOW, 1), NOW, Some(TOMORROW)).saying(
        &GATEWAY,
        GOOD,
        NOW,
        Some(TOMORROW),
    );
    let answer = judge(&both, 0).unwrap();
    assert_eq!(status(&answer), Ok(Status::Good));
    assert_eq!(answer.ask(&other, NOW, 0), Err(Silent::Issuer), "an answer is about one certificate");
    let of_other = Draft::by(&ROOT, NOW).saying(&other, GOOD, NOW, Some(TOMORROW));
    assert_eq!(judge(&of_other, 0).unwrap_err(), OcspError::OtherCertificate);
    assert_eq!(judge(&Draft::by(&ROOT, NOW), 0).unwrap_err(), OcspError::OtherCertificate);
    // The same number under another CA.
    let issuer = self_signed(&ca("Root"), 3);
    let elsewhere = Issued::new(issued(&gateway("Gateway"), 1, &ca("Root"), 3), issuer);
    let of_other = Draft::by(&ROOT, NOW).saying(&elsewhere, GOOD, NOW, Some(TOMORROW));
    assert_eq!(judge(&of_other, 0).unwrap_err(), OcspError::OtherCertificate);
}

/// Every error a responder can send, by its name.
#[test]
fn error_statuses_have_names() {
    for (code, expected) in [
        (1, OcspError::MalformedRequest),
        (2, OcspError::InternalError),
        (3, OcspError::TryLater),
        (4, OcspError::UnknownStatus(4)),
        (5, OcspError::SignatureRequired),
        (6, OcspError::Unauthorized),
        (7, OcspError::UnknownStatus(7)),
    ] {
        assert_eq!(question(None).judge(&bare(code), RULES, NOW).unwrap_err(), expected);
        // Whatever else it carries.
        let draft = Draft { status: code, ..good_by(&ROOT) };
        assert_eq!(judge(&draft, 0).unwrap_err(), expected);
    }
    assert!(matches!(question(None).judge(&bare(0), RULES, NOW), Err(OcspError::Der { .. })));
}

#[test]
fn strangers_are_not_believed() {
    assert_eq!(judge(&good_by(&ROOT), 1).unwrap_err(), OcspError::BadSignature);
    assert_eq!(judge(&good_by(&RESPONDER).carrying(&RESPONDER), 1).unwrap_err(), OcspError::BadSignature);
    assert!(matches!(judge(&good_by(&RESPONDER), 2), Err(OcspError::NoSigner(_))), "without its certificate");
    let unfit = |params: &CertificateParams, issuer_key: usize| {
        let delegate = issued(params, 2, &ca("Root"), issuer_key);
        match judge(&good_by(&delegate).carrying(&delegate), 2).unwrap_err() {
            OcspError::Signer { why, .. } => why,
            other => panic!("{other}"),
        }
    };
    // Signed by somebody of the same name, with and without the CA's key identifier.
    assert_eq!(unfit(&responder(), 3), Unfit::NotOfTheAuthority);
    let mut no_identifier = responder();
    no_identifier.use_authority_key_identifier_extension = false;
    assert_eq!(unfit(&no_identifier, 3), Unfit::NotOfTheAuthority);
    let mut params = responder();
    params.extended_key_usages = vec![];
    assert_eq!(unfit(&params, 0), Unfit::NotForOcsp);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any, ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(unfit(&params, 0), Unfit::NotForOcsp);
    let mut params = responder();
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyEncipherment];
    assert_eq!(unfit(&params, 0), Unfit::NoDigitalSignature);
    let mut params = responder();
    params.not_after = rcgen::date_time_ymd(2026, 1, 1);
    assert!(matches!(unfit(&params, 0), Unfit::Dates { .. }), "expired, and said so");
    let mut params = responder();
    params.custom_extensions.push(common::critical(&[1, 2, 3], &[5, 0]));
    assert!(matches!(unfit(&params, 0), Unfit::UnknownCritical(_)));
}

/// A responder the CA's own sub-CA has named, and one whose certificate cannot be revoked as far as anybody knows.
#[test]
fn a_responder_is_named_by_the_ca_itself_and_for_good() {
    let delegate = issued(&responder(), 2, &ca("Below"), 4);
    let draft = good_by(&delegate).carrying(&delegate);
    let refused = judge(&draft, 2).unwrap_err().to_string();
    assert!(refused.contains("did not issue it"), "{refused}");

    let mut params = responder();
    params.custom_extensions.clear();
    let delegate = issued(&params, 2, &ca("Root"), 0);
    let draft = good_by(&delegate).carrying(&delegate);
    let refused = judge(&draft, 2).unwrap_err();
    assert!(matches!(refused, OcspError::Signer { why: Unfit::MayBeRevoked, .. }), "{refused}");
    let rules = ResponseRules { unchecked_responders: true, ..RULES };
    assert!(question(None).judge(&draft.sign(&KEYS[2]), rules, NOW).is_ok());
}

#[test]
fn nonces_decide() {
    let nonce = [0xab; 32];
    let judge = |draft: Draft, sent: Option<[u8; 32]>, rules: ResponseRules| {
        question(sent).judge(&draft.sign(&KEYS[0]), rules, NOW).map(|_| ())
    };
    let plain = || good_by(&ROOT);
    assert_eq!(judge(plain().nonce(&nonce), Some(nonce), RULES), Ok(()));
    assert_eq!(judge(plain(), Some(nonce), RULES), Err(OcspError::NonceMissing));
    assert_eq!(judge(plain(), Some(nonce), LENIENT), Ok(()));
    for rules in [RULES, LENIENT] {
        assert_eq!(judge(plain().nonce(&[1; 32]), Some(nonce), rules), Err(OcspError::NonceMismatch));
        assert_eq!(judge(plain().nonce(&nonce[..31]), Some(nonce), rules), Err(OcspError::NonceMismatch));
        assert_eq!(judge(plain().nonce(&nonce), None, rules), Ok(()), "a nonce nobody asked for");
    }
    for (length, readable) in [(0, false), (1, true), (128, true), (129, false)] {
        assert_eq!(judge(plain().nonce(&vec![1; length]), None, RULES).is_ok(), readable, "{length}");
    }
}

#[test]
fn dates_decide() {
    let made = |this_update: i64, next_update: Option<i64>, produced_at: i64| {
        let draft = Draft { produced_at: UnixTime(NOW.0 + produced_at), ..Draft::by(&ROOT, NOW) };
        let until = next_update.map(|next| UnixTime(NOW.0 + next));
        judge(&draft.saying(&GATEWAY, GOOD, UnixTime(NOW.0 + this_update), until), 0)
    };
    assert!(made(-60, Some(0), -60).is_ok());
    assert!(matches!(made(-60, Some(-1), -60), Err(OcspError::Expired { .. })));
    assert!(made(300, Some(600), 300).is_ok(), "clocks may differ by five minutes");
    assert!(matches!(made(301, Some(600), 0), Err(OcspError::NotYetValid { .. })));
    assert!(matches!(made(0, Some(600), 301), Err(OcspError::NotYetValid { .. })));
    // Without nextUpdate it is good at its own moment, give or take the clocks.
    assert!(made(-300, None, 0).is_ok());
    assert!(matches!(made(-301, None, 0), Err(OcspError::Expired { .. })));

    let answer = made(-60, Some(100), -60).unwrap();
    let at = |seconds: i64, max_stale: u64| {
        answer.ask(&GATEWAY, UnixTime(NOW.0 + seconds), max_stale).map(|statement| statement.stale)
    };
    assert_eq!((at(100, 0), at(101, 0), at(160, 60)), (Ok(0), Err(Silent::Stale(1)), Ok(60)));
}

#[test]
fn critical_extensions_that_nobody_knows_make_it_unusable() {
    let unknown = extension(&[0x2a, 3], true, &[5, 0]);
    let whole = good_by(&ROOT).with(&[0x2a, 3], true, &[5, 0]);
    assert!(matches!(judge(&whole, 0), Err(OcspError::UnknownCritical(_))));
    let part = single(&GATEWAY, GOOD, NOW, Some(TOMORROW), &unknown);
    let part = Draft { singles: part, ..good_by(&ROOT) };
    assert!(matches!(judge(&part, 0), Err(OcspError::UnknownCritical(_))));
    let known = extension(&[0x2a, 3], false, &[5, 0]);
    let part = Draft { singles: single(&GATEWAY, GOOD, NOW, Some(TOMORROW), &known), ..good_by(&ROOT) };
    assert!(judge(&part, 0).is_ok());
}

#[test]
fn a_response_cut_anywhere_is_refused() {
    let whole = good_by(&RESPONDER).nonce(&[9; 32]).carrying(&RESPONDER).sign(&KEYS[2]);
    assert!(question(None).judge(&whole, RULES, NOW).is_ok());
    for end in 0..whole.len() {
        assert!(question(None).judge(&whole[..end], RULES, NOW).is_err(), "cut at {end}");
    }
    assert!(question(None).judge(&[&whole[..], &[0]].concat(), RULES, NOW).is_err());
    let too_large = vec![0; 200_000];
    assert_eq!(question(None).judge(&too_large, RULES, NOW).unwrap_err(), OcspError::TooLarge(200_000));
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/ocsp/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn fixture(name: &str) -> Issued {
    let read =
        |name: &str| Arc::new(Certificate::from_file_bytes(&data(&format!("{name}.pem"))).unwrap().remove(0));
    Issued::new(read(name), read("ca"))
}

/// OpenSSL asks the same, and its responder's answers are understood.
#[test]
fn openssl_is_understood() {
    let good = fixture("good");
    assert_eq!(good.certificate.extensions.ocsp_responders, ["http://ocsp.example/"]);
    let question = Question::new(good.clone(), IdHash::Sha1, None);
    assert_eq!(question.to_der().unwrap(), data("good.request.der"));
    let now = UnixTime(good.certificate.not_before.0 + 10);
    let judge = |name: &str, issued: &Issued| {
        let question = Question::new(issued.clone(), IdHash::Sha1, None);
        let answer = question.judge(&data(&format!("{name}.response.der")), RULES, now)?;
        Ok::<_, OcspError>(answer.ask(issued, now, 0).unwrap().status.to_string())
    };
    for name in ["good", "by-ca", "by-key", "no-next-update"] {
        assert_eq!(judge(name, &good).as_deref(), Ok("good"), "{name}");
    }
    let said = judge("revoked", &fixture("revoked"));
    assert_eq!(said.as_deref(), Ok("revoked at 2026-11-01T00:00:00Z (keyCompromise)"));
    assert_eq!(judge("unknown", &good), Err(OcspError::Unknown));
    assert_eq!(judge("revoked", &good), Err(OcspError::OtherCertificate));
}

#[test]
fn short_requests_are_got_and_long_ones_posted() {
    let request = question(None).to_der().unwrap();
    let Carriage::Get(address) = carriage("http://ocsp.example/", &request) else { panic!("posted") };
    assert!(address.starts_with("http://ocsp.example/M") && address.len() <= 255, "{address}");
    assert!(!address["http://ocsp.example/".len()..].contains(['+', '/', '=']), "{address}");
    // RFC 4648 §10, and the three characters a path cannot hold.
    assert_eq!(carriage("http://a", b"fooba"), Carriage::Get("http://a/Zm9vYmE%3D".to_owned()));
    assert_eq!(carriage("http://a", &[0xfb, 0xff]), Carriage::Get("http://a/%2B%2F8%3D".to_owned()));
    assert_eq!(carriage("http://a?b", b"foo"), Carriage::Post(b"foo".to_vec()));
    let host = format!("http://{}", "a".repeat(255 - "http://".len() - "/Zm9v".len()));
    assert!(matches!(carriage(&host, b"foo"), Carriage::Get(address) if address.len() == 255));
    assert_eq!(carriage(&format!("{host}a"), b"foo"), Carriage::Post(b"foo".to_vec()));
}

#[test]
fn a_nonce_travels_in_the_request() {
    let (plain, with) = (question(None).to_der().unwrap(), question(Some([0xcd; 32])).to_der().unwrap());
    let nonce = extension(oid::OCSP_NONCE, false, &tlv(4, &[0xcd; 32]));
    let expected = tlv(0xa2, &sequence(&[&nonce]));
    assert!(with.ends_with(&expected) && !plain.windows(32).any(|octets| octets == [0xcd; 32]));
    let long = Question::new(GATEWAY.clone(), IdHash::Sha256, None).to_der().unwrap();
    assert_eq!(long.len(), plain.len() + 24 + 4, "two hashes of 12 octets more, a longer name of the hash");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_are_an_answer_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(question(None).judge(&octets, RULES, NOW).is_err());
    }

    /// A changed octet is noticed, unless it is one of those around the signed part that nothing rests on.
    #[test]
    fn a_changed_status_is_never_believed(at in any::<prop::sample::Index>(), change in 1u8..) {
        let draft = Draft::by(&ROOT, NOW).saying(&GATEWAY, &revoked(NOW, 1), NOW, Some(TOMORROW));
        let mut der = draft.sign(&KEYS[0]);
        let at = at.index(der.len());
        der[at] ^= change;
        if let Ok(answer) = question(None).judge(&der, RULES, NOW) {
            prop_assert!(matches!(status(&answer), Ok(Status::Revoked(_))));
        }
    }
}
