//! A response from an OCSP responder that may be anybody's (RFC 6960 §4.2).
//!
//! The first octet chooses. 0: the rest is a response; whatever it says, a stranger cannot make one that is believed. 1:
//! the rest is ResponseData that the authority signs, so that everything behind the signature is searched too; what is
//! then believed is about the certificate that was asked about, and has our nonce where the rules want one.
#![no_main]

#[path = "../../tests/common/der.rs"]
mod der;

use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use der::{bits, oid, sequence, tlv};
use libfuzzer_sys::fuzz_target;
use ravelin_pki::oid::OCSP_BASIC;
use ravelin_pki::revocation::ocsp::{IdHash, Nonce, NonceRule, Question, ResponseRules};
use ravelin_pki::revocation::{Issued, KeyId};
use ravelin_pki::{Certificate, PrivateKey, SignatureScheme, UnixTime};

const SCHEME: SignatureScheme = SignatureScheme::Ed25519;
/// 2030-01-01.
const TIME: UnixTime = UnixTime(1_893_456_000);
const NONCE: [u8; 32] = [0x5a; 32];
const RULES: ResponseRules = ResponseRules { nonce: NonceRule::Strict, unchecked_responders: true };

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    PrivateKey::from_file_bytes(include_bytes!("../../tests/data/ed25519.pkcs8.pem")).expect("a key")
});
static ISSUED: LazyLock<Issued> = LazyLock::new(|| {
    let read = |file| Arc::new(Certificate::from_file_bytes(file).expect("a certificate").remove(0));
    let gateway = read(include_bytes!("../../tests/data/p256.cert.pem").as_slice());
    Issued::new(gateway, read(include_bytes!("../../tests/data/ed25519.cert.pem").as_slice()))
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice {
        0 => stranger(rest),
        1 => authority(rest),
        _ => {}
    }
});

fn question(nonce: bool) -> Question {
    Question::new(ISSUED.clone(), IdHash::Sha1, nonce.then(|| Nonce::new(NONCE)))
}

fn stranger(der: &[u8]) {
    for nonce in [false, true] {
        match question(nonce).judge(der, RULES, TIME) {
            Ok(answer) => panic!("a forged response is believed: {answer:?}"),
            Err(refused) => assert!(!refused.to_string().is_empty()),
        }
    }
}

fn authority(data: &[u8]) {
    let der = signed(data);
    for nonce in [false, true] {
        let answer = match question(nonce).judge(&der, RULES, TIME) {
            Ok(answer) => answer,
            Err(refused) => {
                assert!(!refused.to_string().is_empty());
                continue;
            }
        };
        let holds = |part: &[u8]| data.windows(part.len()).any(|window| window == part);
        assert!(!nonce || holds(&NONCE), "another answer is taken for ours");
        assert!(holds(&ISSUED.certificate.serial), "an answer about another certificate is believed");
        assert_eq!(answer.about(), (KeyId::of(&ISSUED.issuer), ISSUED.certificate.serial.as_slice()));
        assert!(answer.ask(&ISSUED, TIME, 0).is_ok(), "an answer that says nothing");
    }
}

/// A response with these octets as the contents of its ResponseData.
fn signed(data: &[u8]) -> Vec<u8> {
    let tbs = tlv(0x30, data);
    let signature = KEY.sign(SCHEME, &tbs, &SystemRandom::new()).expect("its own scheme");
    let basic = sequence(&[&tbs, SCHEME.algorithm_identifier(), &bits(&signature)]);
    let bytes = sequence(&[&oid(OCSP_BASIC), &tlv(4, &basic)]);
    sequence(&[&[10, 1, 0], &tlv(0xa0, &bytes)])
}
