//! ESP's ciphers other than AES-GCM, a packet at a time, and beside them what `ring` would do of it: HMAC, and
//! ChaCha20-Poly1305. It has no CBC. And bursts of 32 packets under AES-CBC with HMAC, which are worked side by side.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ravelin_benches::SIZES;
use ravelin_dataplane::cipher::{Open, Opener, Position, Seal, Sealer, open_burst, seal_burst};
use ravelin_dataplane::sa::suite::{Keyed, Suite};
use ravelin_gcm::Kernel;
use ring::{aead, hmac};

const AT: Position = Position { sequence: 7, esn: false };

fn keyed(suite: Suite) -> Option<(Sealer, Opener)> {
    let material = vec![0x5a; suite.keymat_length() + suite.seed_length()];
    let kernel = Kernel::portable();
    match (suite.sealer(kernel, &material).ok()?.0, suite.opener(kernel, &material).ok()?.0) {
        (Keyed::Apart(sealer), Keyed::Apart(opener)) => Some((sealer, opener)),
        _ => None,
    }
}

/// A packet of the text that a payload of `length` octets takes.
fn packet(suite: Suite, length: usize) -> Vec<u8> {
    let framing = suite.framing();
    vec![0x11; framing.around() + length.next_multiple_of(framing.block)]
}

fn suites(criterion: &mut Criterion) {
    for suite in Suite::all() {
        let Some((sealer, opener)) = keyed(suite) else { continue };
        for length in SIZES {
            let (clear, mut sealed) = (packet(suite, length), packet(suite, length));
            assert!(sealer.seal(AT, &mut sealed).is_ok(), "{suite:?}");
            let mut opened = sealed.clone();
            let framing = suite.framing();
            assert!(opener.open(AT, &mut opened).is_ok(), "{suite:?}");
            let text = |packet: &[u8]| packet.get(framing.front()..)?.get(..length).map(<[u8]>::to_vec);
            assert!(text(&opened).is_some() && text(&opened) == text(&clear), "{suite:?}");
            let mut group = criterion.benchmark_group(format!("seal/{}", suite.name()));
            group.throughput(Throughput::Bytes(length as u64));
            let mut work = clear.clone();
            group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
                bencher.iter(|| sealer.seal(AT, black_box(&mut work)));
            });
            group.finish();
            let mut group = criterion.benchmark_group(format!("open/{}", suite.name()));
            group.throughput(Throughput::Bytes(length as u64));
            group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
                bencher.iter(|| {
                    // Opening uses a packet up; to copy it is a fraction of that.
                    work.copy_from_slice(&sealed);
                    opener.open(AT, black_box(&mut work))
                });
            });
            group.finish();
        }
    }
}

/// Packets of a burst.
const BURST: usize = 32;

fn bursts(criterion: &mut Criterion) {
    for suite in Suite::all().filter(|suite| matches!(suite, Suite::AesCbc(..))) {
        let Some((sealer, opener)) = keyed(suite) else { continue };
        for length in SIZES {
            let mut sealed = packet(suite, length);
            assert!(sealer.seal(AT, &mut sealed).is_ok(), "{suite:?}");
            let seal = |packets: &mut [Vec<u8>]| {
                let lane = |packet| Seal::new(&sealer, AT, packet);
                let mut lanes: Vec<_> = packets.iter_mut().map(Vec::as_mut_slice).map(lane).collect();
                seal_burst(black_box(&mut lanes));
            };
            let open = |packets: &mut [Vec<u8>]| {
                let lane = |packet| Open::new(&opener, AT, packet);
                let mut lanes: Vec<_> = packets.iter_mut().map(Vec::as_mut_slice).map(lane).collect();
                open_burst(black_box(&mut lanes));
                lanes.iter().filter(|lane| lane.verdict.is_ok()).count()
            };
            let mut packets = vec![packet(suite, length); BURST];
            seal(&mut packets);
            assert!(packets.iter().all(|packet| *packet == sealed), "{suite:?}");
            assert_eq!(open(&mut packets), BURST, "{suite:?}");
            let mut group = criterion.benchmark_group(format!("burst/{}", suite.name()));
            group.throughput(Throughput::Elements(BURST as u64));
            group.bench_function(BenchmarkId::new("seal", length), |bencher| {
                bencher.iter(|| seal(&mut packets));
            });
            group.bench_function(BenchmarkId::new("open", length), |bencher| {
                bencher.iter(|| {
                    // Opening uses packets up; to copy them is a fraction of that.
                    packets.iter_mut().for_each(|packet| packet.copy_from_slice(&sealed));
                    open(&mut packets)
                });
            });
            group.finish();
        }
    }
}

fn ring_beside(criterion: &mut Criterion) {
    let hashes = [
        ("sha1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        ("sha256", hmac::HMAC_SHA256),
        ("sha512", hmac::HMAC_SHA512),
    ];
    for (name, algorithm) in hashes {
        let (key, mut group) =
            (hmac::Key::new(algorithm, &[0x5a; 64]), criterion.benchmark_group(format!("ring/hmac-{name}")));
        for length in SIZES {
            let text = vec![0x11; length + 8];
            assert!(hmac::verify(&key, &text, hmac::sign(&key, &text).as_ref()).is_ok());
            group.throughput(Throughput::Bytes(length as u64));
            group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
                bencher.iter(|| hmac::sign(&key, black_box(&text)));
            });
        }
        group.finish();
    }
    let Ok(key) = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &[0x5a; 32]) else { return };
    let (key, mut group) = (aead::LessSafeKey::new(key), criterion.benchmark_group("ring/chacha20poly1305"));
    for length in SIZES {
        let mut text = vec![0x11; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
            bencher.iter(|| {
                let nonce = aead::Nonce::assume_unique_for_key([9; 12]);
                key.seal_in_place_separate_tag(nonce, aead::Aad::from([0; 8]), black_box(&mut text)).is_ok()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(10);
    targets = suites, bursts, ring_beside
}
criterion_main!(benches);
