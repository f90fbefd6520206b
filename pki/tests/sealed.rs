//! Private keys at rest: they open under their passphrase and name, and under nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

use aws_lc_rs::rand::SystemRandom;
use ravelin_pki::PrivateKey;
use ravelin_pki::key::KeyKind;
use ravelin_pki::sealed::{Passphrase, Sealed, SealedError};

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes().to_vec().into()).unwrap()
}

fn sealed(kind: KeyKind, exportable: bool) -> (PrivateKey, Vec<u8>) {
    let key = PrivateKey::generate(kind, &SystemRandom::new()).unwrap();
    let passphrase = passphrase("correct horse battery");
    let octets = Sealed::seal(&key, "gw", exportable, &passphrase, &SystemRandom::new()).unwrap();
    (key, octets)
}

#[test]
fn every_kind_of_key_is_sealed_and_opens() {
    for kind in [KeyKind::Rsa2048, KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519] {
        let (key, octets) = sealed(kind, kind == KeyKind::P256);
        let read = Sealed::parse(&octets).unwrap();
        assert_eq!(read.exportable(), kind == KeyKind::P256);
        assert_eq!(read.public_key_info(), key.public_key_info().unwrap());
        assert!(key.matches(read.public_key()));
        assert_eq!(read.public_key().signing_schemes(), key.schemes());
        // A line end after the passphrase is not part of it.
        let opened = read.open("gw", &passphrase("correct horse battery\n")).unwrap();
        assert!(opened.matches(read.public_key()));
        // PKCS#8 repeats the public key, which may be read.
        let (secret, public) = (key.to_pkcs8().unwrap(), read.public_key_info());
        let has = |octets: &[u8], part: &[u8]| octets.windows(part.len()).any(|window| window == part);
        let mut private = secret.windows(16).filter(|part| !has(public, part)).peekable();
        assert!(private.peek().is_some());
        assert!(!private.any(|part| has(&octets, part)), "{kind}: in clear");
    }
}

#[test]
fn two_seals_of_one_key_share_nothing_secret() {
    let (key, first) = sealed(KeyKind::Ed25519, false);
    let second =
        Sealed::seal(&key, "gw", false, &passphrase("correct horse battery"), &SystemRandom::new()).unwrap();
    assert_eq!(first.len(), second.len());
    assert_ne!(first[first.len() - 64..], second[second.len() - 64..]);
}

#[test]
fn another_passphrase_or_name_does_not_open_it() {
    let (_, octets) = sealed(KeyKind::P256, false);
    let read = Sealed::parse(&octets).unwrap();
    let closed = |name, text: &str| read.open(name, &passphrase(text)).map(|_| ()).unwrap_err();
    assert_eq!(closed("gw", "correct horse batterx"), SealedError::Closed);
    assert_eq!(closed("gw2", "correct horse battery"), SealedError::Closed);
    assert_eq!(closed("", "correct horse battery"), SealedError::Closed);
    for (length, good) in [(15, false), (16, true), (4096, true), (4097, false)] {
        assert_eq!(Passphrase::new(vec![b'x'; length].into()).is_ok(), good, "{length}");
    }
}

/// One bit in any of its fields, marks that may be read in clear included, and it does not open; nor does a part of it.
#[test]
fn a_changed_file_does_not_open() {
    let (_, octets) = sealed(KeyKind::Ed25519, false);
    let passphrase = passphrase("correct horse battery");
    let opens =
        |octets: &[u8]| Sealed::parse(octets).and_then(|sealed| sealed.open("gw", &passphrase)).is_ok();
    assert!(opens(&octets));
    let (magic, flags, iterations, salt, nonce, length, public) = (0, 6, 10, 11, 27, 40, 41);
    let (key, last) = (public + 44, octets.len() - 1);
    for at in [magic, flags, iterations, salt, nonce, length, public, key - 1, key, last - 16, last] {
        let mut changed = octets.clone();
        changed[at] ^= 1;
        assert!(!opens(&changed), "octet {at}");
    }
    for end in (0..key + 16).chain([last]) {
        assert!(!opens(&octets[..end]), "cut at {end}");
    }
}

#[test]
fn what_is_not_ours_is_refused_by_name() {
    let (_, octets) = sealed(KeyKind::Ed25519, false);
    let with = |at: usize, value: &[u8]| {
        let mut changed = octets.clone();
        changed[at..at + value.len()].copy_from_slice(value);
        Sealed::parse(&changed).map(|_| ()).unwrap_err()
    };
    assert_eq!(with(5, &[2]), SealedError::Version(2));
    assert_eq!(with(0, b"x"), SealedError::Format);
    assert_eq!(with(7, &u32::MAX.to_be_bytes()), SealedError::Iterations(u32::MAX));
    assert_eq!(with(7, &1000u32.to_be_bytes()), SealedError::Iterations(1000));
    assert_eq!(Sealed::parse(&vec![0; 20_000]).map(|_| ()).unwrap_err(), SealedError::Format);
}
