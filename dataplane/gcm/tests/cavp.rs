//! NIST's own answers: the GCM files of its Cryptographic Algorithm Validation Program (`cavp/README.md` says
//! which part of them lies here).
//!
//! They protect against agreeing with ourselves, with another's mistakes, and against opening what should fail:
//! half of the decryptions are altered. Each kernel does each case alone, and all of a file in one call.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod common;

use std::collections::BTreeMap;

use common::hex;
use ravelin_gcm::{BadTag, Kernel, Key, Open, Seal, Tag, TagMut, open_burst, seal_burst};

/// One case. A decryption that must fail has no plaintext.
struct Case {
    name: String,
    key: Vec<u8>,
    nonce: [u8; 12],
    aad: Vec<u8>,
    cipher: Vec<u8>,
    tag: Vec<u8>,
    plain: Option<Vec<u8>>,
}

/// The cases of one file; `name` stands before each in messages.
fn cases(name: &str, text: &str) -> Vec<Case> {
    let (mut cases, mut section) = (Vec::new(), String::new());
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.starts_with('#')) {
        if paragraph.starts_with('[') {
            section = paragraph.replace('\n', " ");
            continue;
        }
        let fields: BTreeMap<&str, &str> =
            paragraph.lines().filter_map(|line| line.split_once(" =")).collect();
        let octets = |field: &str| hex(fields[field].trim());
        cases.push(Case {
            name: format!("{name} {section} Count {}", fields["Count"].trim()),
            key: octets("Key"),
            nonce: octets("IV").try_into().unwrap(),
            aad: octets("AAD"),
            cipher: octets("CT"),
            tag: octets("Tag"),
            plain: (!paragraph.lines().any(|line| line == "FAIL")).then(|| octets("PT")),
        });
    }
    cases
}

/// What sealing must leave: ciphertext and tag.
fn seal(cases: &[&Case], kernel: Kernel) {
    let keys = keys(cases, kernel);
    let mut packets: Vec<(Vec<u8>, Vec<u8>)> =
        cases.iter().map(|case| (case.plain.clone().unwrap(), vec![0; case.tag.len()])).collect();
    let mut lanes: Vec<Seal<'_>> = cases
        .iter()
        .zip(&keys)
        .zip(&mut packets)
        .map(|((case, key), (text, tag))| {
            Seal::new(key, case.nonce, &case.aad, text, TagMut::try_from(&mut tag[..]).unwrap())
        })
        .collect();
    seal_burst(&mut lanes);
    for (case, (text, tag)) in cases.iter().zip(packets) {
        assert_eq!(
            (text, tag),
            (case.cipher.clone(), case.tag.clone()),
            "{} with {}",
            case.name,
            kernel.name()
        );
    }
}

/// What opening must leave: plaintext, or zeros and a refusal.
fn open(cases: &[&Case], kernel: Kernel) {
    let keys = keys(cases, kernel);
    let mut texts: Vec<Vec<u8>> = cases.iter().map(|case| case.cipher.clone()).collect();
    let mut lanes: Vec<Open<'_>> = cases
        .iter()
        .zip(&keys)
        .zip(&mut texts)
        .map(|((case, key), text)| {
            Open::new(key, case.nonce, &case.aad, text, Tag::try_from(&case.tag[..]).unwrap())
        })
        .collect();
    open_burst(&mut lanes);
    for (case, lane) in cases.iter().zip(lanes) {
        let expected = match &case.plain {
            Some(plain) => (plain.clone(), Ok(())),
            None => (vec![0; case.cipher.len()], Err(BadTag)),
        };
        assert_eq!((lane.text.to_vec(), lane.verdict), expected, "{} with {}", case.name, kernel.name());
    }
}

fn keys(cases: &[&Case], kernel: Kernel) -> Vec<Key> {
    cases.iter().map(|case| Key::new(kernel, &case.key).unwrap()).collect()
}

/// Alone and all together, on every kernel.
fn check(cases: &[Case], work: fn(&[&Case], Kernel)) {
    let together: Vec<&Case> = cases.iter().collect();
    for kernel in Kernel::all() {
        together.iter().for_each(|case| work(&[*case], kernel));
        work(&together, kernel);
    }
}

/// How many cases there are by octets of tag, and how many of them must fail: a file that was cut short, or a
/// reader that skips, does not pass for a check.
fn counts(cases: &[Case]) -> Vec<(usize, usize, usize)> {
    let mut counts = BTreeMap::new();
    for case in cases {
        let (all, failing) = counts.entry(case.tag.len()).or_insert((0, 0));
        *all += 1;
        *failing += usize::from(case.plain.is_none());
    }
    counts.into_iter().map(|(tag, (all, failing))| (tag, all, failing)).collect()
}

#[test]
fn encryption() {
    for (name, text) in [
        ("gcmEncryptExtIV128", include_str!("cavp/gcmEncryptExtIV128.rsp")),
        ("gcmEncryptExtIV192", include_str!("cavp/gcmEncryptExtIV192.rsp")),
        ("gcmEncryptExtIV256", include_str!("cavp/gcmEncryptExtIV256.rsp")),
    ] {
        let cases = cases(name, text);
        assert_eq!(counts(&cases), [(8, 50, 0), (12, 50, 0), (16, 125, 0)], "{name}");
        check(&cases, seal);
        check(&cases, open);
    }
}

#[test]
fn decryption() {
    let failing = [[25, 21, 58], [23, 18, 71], [26, 30, 63]];
    for ((name, text), [eight, twelve, sixteen]) in [
        ("gcmDecrypt128", include_str!("cavp/gcmDecrypt128.rsp")),
        ("gcmDecrypt192", include_str!("cavp/gcmDecrypt192.rsp")),
        ("gcmDecrypt256", include_str!("cavp/gcmDecrypt256.rsp")),
    ]
    .into_iter()
    .zip(failing)
    {
        let cases = cases(name, text);
        assert_eq!(counts(&cases), [(8, 50, eight), (12, 50, twelve), (16, 125, sixteen)], "{name}");
        check(&cases, open);
    }
}
