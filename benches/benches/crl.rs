//! What a large CRL costs: verifying and packing it, and asking it about certificates.
//!
//! Sizes are those of a small CA, of a large public one, and of more than any. Serial numbers have 16 random octets, every
//! third entry a reason. `load` is all of it from DER: signature (RSA 2048, SHA-256) and entries; `find` is one serial
//! number out of so many that caches do not help, half of them listed. Beside them stands what OpenSSL does with the same
//! list and the same questions in the same run (`perf/peers/crl.c`), in processor time, as lines of JSON: `ratio` over 1 means
//! that ours is sooner done.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "inputs are made here; where one is wrong there is nothing to time"
)]

#[path = "../../pki/tests/common/der.rs"]
mod der;

use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use der::{bits, extension, sequence, short_time, tlv};
use nix::time::{ClockId, clock_gettime};
use ravelin_pki::revocation::KeyId;
use ravelin_pki::revocation::crl::{Crl, Unverified};
use ravelin_pki::{Certificate, PrivateKey, SignatureScheme, UnixTime, oid};

/// Entries.
const SIZES: [u64; 3] = [2_000, 600_000, 1_500_000];
/// 2026-11-21.
const NOW: UnixTime = UnixTime(1_795_219_200);
/// Loads of which the shortest counts, beside OpenSSL.
const LOADS: usize = 5;
/// Questions asked in turn.
const QUESTIONS: u64 = 1 << 16;

const AUTHORITY: &[u8] = include_bytes!("../../pki/tests/data/rsa-pkcs1.cert.pem");
const KEY: &[u8] = include_bytes!("../../pki/tests/data/rsa.pkcs8.pem");

/// The serial number of certificate `number`: 16 octets, the first one positive (splitmix64).
fn serial(number: u64) -> [u8; 16] {
    let mix = |seed: u64| {
        let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    };
    let mut serial = [0; 16];
    serial[..8].copy_from_slice(&mix(2 * number + 1).to_be_bytes());
    serial[8..].copy_from_slice(&mix(2 * number + 2).to_be_bytes());
    serial[0] = serial[0] & 0x3f | 0x40;
    serial
}

/// A CRL of the certificates 0 to `count`.
fn list(authority: &Certificate, count: u64) -> Vec<u8> {
    let reason = sequence(&[&extension(oid::REASON_CODE, false, &[10, 1, 1])]);
    let entry = |number: u64| {
        let reason: &[u8] = if number.is_multiple_of(3) { &reason } else { &[] };
        sequence(&[&tlv(2, &serial(number)), &short_time(NOW), reason])
    };
    let entries: Vec<u8> = (0..count).flat_map(entry).collect();
    let scheme = SignatureScheme::RsaPkcs1Sha256;
    let (from, until) = (short_time(NOW), short_time(UnixTime(NOW.0 + 86_400)));
    let tbs = sequence(&[
        &[2, 1, 1],
        scheme.algorithm_identifier(),
        authority.subject.der(),
        &from,
        &until,
        &tlv(0x30, &entries),
    ]);
    let key = PrivateKey::from_file_bytes(KEY).unwrap();
    let signature = key.sign(scheme, &tbs, &SystemRandom::new()).unwrap();
    sequence(&[&tbs, scheme.algorithm_identifier(), &bits(&signature)])
}

fn load(der: &[u8], authority: &Certificate) -> Crl {
    Unverified::from_der(der).unwrap().verify(authority, NOW).unwrap()
}

/// Whether certificate `number` is listed.
fn is_listed(crl: &Crl, key: KeyId, number: u64) -> bool {
    let serial = serial(number);
    crl.sweep([((), key, serial.as_slice())]).next().is_some()
}

fn crl(criterion: &mut Criterion) {
    let authority = Certificate::from_file_bytes(AUTHORITY).unwrap().remove(0);
    let key = KeyId::of(&authority);
    for size in SIZES {
        let der = list(&authority, size);
        let loaded = load(&der, &authority);
        println!("crl/{size}: {} octets of DER, {} octets held", der.len(), loaded.octets());
        assert_eq!(loaded.len() as u64, size);
        let step = size / 1000;
        assert!((0..1000).all(|at| is_listed(&loaded, key, at * step)));
        assert!((size..size + 1000).all(|number| !is_listed(&loaded, key, number)));

        let mut group = criterion.benchmark_group("crl");
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("load", size), |bencher| {
            bencher.iter(|| load(black_box(&der), &authority).len());
        });
        let questions: Vec<[u8; 16]> =
            (0..QUESTIONS).map(|at| serial(at.wrapping_mul(0x9e37_79b9) % (2 * size))).collect();
        let mut at = 0;
        group.bench_function(BenchmarkId::new("find", size), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % questions.len();
                let serial = questions[at].as_slice();
                loaded.sweep([((), key, black_box(serial))]).next().is_some()
            });
        });
        group.finish();
        beside_openssl(&der, &authority, &questions);
    }
}

/// Ours, then OpenSSL: the least of some loads, the mean of all questions.
fn beside_openssl(der: &[u8], authority: &Certificate, questions: &[[u8; 16]]) {
    let timed = |run: &dyn Fn() -> usize| {
        let before = processor_time();
        (black_box(run()), (processor_time() - before) as f64)
    };
    let load_ns = (0..LOADS).map(|_| timed(&|| load(der, authority).len()).1).fold(f64::MAX, f64::min);
    let (loaded, key) = (load(der, authority), KeyId::of(authority));
    let is_there = |serial: &&[u8; 16]| loaded.sweep([((), key, serial.as_slice())]).next().is_some();
    let (found, find_ns) = timed(&|| questions.iter().filter(is_there).count());
    let Some(theirs) = openssl(der, &questions.concat()) else { return };
    assert_eq!(found as f64, theirs[2], "both find the same");
    let ours = [load_ns, find_ns / questions.len() as f64];
    for (what, ours, peer) in [("load", ours[0], theirs[0]), ("find", ours[1], theirs[1])] {
        println!(
            "{{\"scenario\":\"crl/{what}/{}\",\"ours\":{ours:.0},\"peer\":\"OpenSSL\",\"peer_value\":{peer:.0},\"unit\":\"ns\",\"ratio\":{:.2}}}",
            loaded.len(),
            peer / ours
        );
    }
}

/// Nanoseconds to load and to find, and how many were found; nothing where its headers are not installed.
fn openssl(der: &[u8], serials: &[u8]) -> Option<[f64; 3]> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built = Command::new(root.join("scripts/lib/build-peer")).arg("crl").output().unwrap();
    if !built.status.success() {
        println!("{}", String::from_utf8_lossy(&built.stderr).trim());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, octets: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        path
    };
    let files = [file("ca.pem", AUTHORITY), file("list.der", der), file("serials", serials)];
    let ran = Command::new(String::from_utf8(built.stdout).unwrap().trim()).args(files).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let numbers: Vec<f64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    Some([numbers[0], numbers[1], numbers[2]])
}

/// Nanoseconds that this process has run.
fn processor_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

criterion_group!(benches, crl);
criterion_main!(benches);
