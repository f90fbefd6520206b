//! AES-GCM bursts per kernel, key size and packet size.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ravelin_benches::{Packets, SIZES};
use ravelin_gcm::{BadKeyLength, Kernel, Key, KeySize};

fn bursts(criterion: &mut Criterion) {
    for kernel in Kernel::all() {
        for size in KeySize::ALL {
            let Ok(key) = key_for(kernel, size) else { continue };
            // A kernel without this size hands it to another, which is benched under its own name.
            if key.kernel() == kernel {
                suite(criterion, &key, &format!("{}/{size:?}", kernel.name()).to_lowercase());
            }
        }
    }
}

fn key_for(kernel: Kernel, size: KeySize) -> Result<Key, BadKeyLength> {
    Key::new(kernel, &vec![0x5a; size.octets()])
}

fn suite(criterion: &mut Criterion, key: &Key, name: &str) {
    for length in SIZES {
        assert_right(key, length);
    }
    let mut group = criterion.benchmark_group(format!("seal_burst/{name}"));
    for length in SIZES {
        seal(&mut group, key, length);
    }
    group.finish();
    let mut group = criterion.benchmark_group(format!("open_burst/{name}"));
    for length in SIZES {
        open(&mut group, key, length);
    }
    group.finish();
}

/// What is timed must be the real thing: it encrypts, it leads back, and it agrees with the oracle.
fn assert_right(key: &Key, length: usize) {
    let plain = Packets::new(length);
    let (mut packets, mut expected) = (plain.clone(), plain.clone());
    packets.seal(key);
    let oracle = key_for(Kernel::portable(), key.size());
    expected.seal(oracle.as_ref().unwrap_or(key));
    assert!(packets == expected && !packets.same_text(&plain), "{key:?} seals {length} octets wrongly");
    assert!(packets.open(key) && packets.same_text(&plain), "{key:?} opens {length} octets wrongly");
}

fn seal(group: &mut BenchmarkGroup<'_, WallTime>, key: &Key, length: usize) {
    let mut packets = Packets::new(length);
    group.throughput(Throughput::Bytes(packets.octets() as u64));
    group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
        bencher.iter(|| black_box(&mut packets).seal(key));
    });
}

/// Opening uses a ciphertext up, so each is sealed anew outside the measured time.
fn open(group: &mut BenchmarkGroup<'_, WallTime>, key: &Key, length: usize) {
    let mut packets = Packets::new(length);
    group.throughput(Throughput::Bytes(packets.octets() as u64));
    group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| open_once(&mut packets, key)).sum());
    });
}

fn open_once(packets: &mut Packets, key: &Key) -> Duration {
    packets.seal(key);
    let start = Instant::now();
    let good = black_box(&mut *packets).open(key);
    let elapsed = start.elapsed();
    assert!(good, "a tag just made was refused");
    elapsed
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = bursts
}
criterion_main!(benches);
