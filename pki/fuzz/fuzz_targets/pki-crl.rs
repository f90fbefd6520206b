//! A CRL from a server that may be anybody's (RFC 5280 §5).
//!
//! The first octet chooses. 0: the rest is a CRL in DER; whatever it says, a stranger cannot make one that is believed.
//! 1: the rest is what follows thisUpdate inside one that the authority signs, so that everything behind the signature
//! is searched too; what is then believed speaks of this authority's certificates alone and finds the entries it
//! counts.
#![no_main]

#[path = "../../tests/common/der.rs"]
mod der;

use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use der::{bits, sequence};
use libfuzzer_sys::fuzz_target;
use ravelin_pki::revocation::crl::Unverified;
use ravelin_pki::revocation::{Issued, KeyId};
use ravelin_pki::{Certificate, PrivateKey, SignatureScheme, UnixTime};

const SCHEME: SignatureScheme = SignatureScheme::Ed25519;
/// 2030-01-01.
const TIME: UnixTime = UnixTime(1_893_456_000);

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    PrivateKey::from_file_bytes(include_bytes!("../../tests/data/ed25519.pkcs8.pem")).expect("a key")
});
static AUTHORITY: LazyLock<Arc<Certificate>> = LazyLock::new(|| {
    let file = include_bytes!("../../tests/data/ed25519.cert.pem");
    Arc::new(Certificate::from_file_bytes(file).expect("a certificate").remove(0))
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice {
        0 => stranger(rest),
        1 => authority(rest),
        _ => {}
    }
});

fn stranger(der: &[u8]) {
    match Unverified::from_der(der) {
        Ok(list) => {
            assert!(!list.issuer().to_string().contains('\u{1b}'));
            assert!(list.verify(&AUTHORITY, TIME).is_err(), "a forged CRL is believed");
        }
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}

fn authority(rest: &[u8]) {
    let der = signed(rest);
    let list = match Unverified::from_der(&der).and_then(|list| list.verify(&AUTHORITY, TIME)) {
        Ok(list) => list,
        Err(refused) => return assert!(!refused.to_string().is_empty()),
    };
    assert!(list.octets() <= der.len() + 1024, "more is held than there is");
    assert_eq!(list.issuer(), &AUTHORITY.subject);
    assert!(list.supersedes(&list).is_err());
    let found = (0..rest.len().min(256)).filter_map(|at| integer_at(rest, at));
    let found: Vec<&[u8]> = found.collect();
    let key = KeyId::of(&AUTHORITY);
    let listed = list.sweep(found.iter().map(|serial| (*serial, key, *serial))).count();
    assert!(rest.len() > 256 || listed >= list.len(), "an entry is lost");
    let issued = Issued::new(AUTHORITY.clone(), AUTHORITY.clone());
    let fresh = list.ask(&issued, TIME, 0);
    assert!(fresh.is_err() || list.ask(&issued, TIME, u64::MAX) == fresh);
}

/// The contents of the INTEGER that begins here, if it is one an entry could have.
fn integer_at(octets: &[u8], at: usize) -> Option<&[u8]> {
    let [2, length @ 1..=40, rest @ ..] = octets.get(at..)? else { return None };
    rest.get(..usize::from(*length))
}

/// A CRL of the authority with these octets behind thisUpdate.
fn signed(rest: &[u8]) -> Vec<u8> {
    let algorithm = SCHEME.algorithm_identifier();
    let this_update = b"\x17\x0d291231000000Z";
    let tbs = sequence(&[&[2, 1, 1], algorithm, AUTHORITY.subject.der(), this_update, rest]);
    let signature = KEY.sign(SCHEME, &tbs, &SystemRandom::new()).expect("its own scheme");
    sequence(&[&tbs, algorithm, &bits(&signature)])
}
