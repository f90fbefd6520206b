//! What the packet path does to each packet besides AES-GCM: reading headers, remembering flows, laying out.
//!
//! A burst at a time, under one SA, everything in the first cache level: instructions are compared here; what many
//! SAs cost by their memory is `perf`'s to say.

#![expect(clippy::unwrap_used, reason = "inputs are made here; where one is wrong there is nothing to time")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ravelin_dataplane::io::ram::{RamFrame, RamPool};
use ravelin_dataplane::io::{BURST, Frame, Meta, Pool};
use ravelin_dataplane::net::flow::Summary;
use ravelin_dataplane::net::{ipv4, ipv6, protocol, udp};
use ravelin_dataplane::node::memo::{Memo, Packed, Way};
use ravelin_dataplane::node::seal::{Order, lay_out};
use ravelin_dataplane::node::urgent::is_urgent;
use ravelin_dataplane::sa::lifetime::Limits;
use ravelin_dataplane::sa::outbound::{Encapsulation, Hot, Outbound, Parts};
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::sa::spi::Spi;
use ravelin_dataplane::sa::suite::Suite;
use ravelin_dataplane::sa::{Endpoint, SaRef};
use ravelin_gcm::{Kernel, Key};

/// Octets of each packet.
const LENGTH: usize = 64;
/// What a departure leads a packet with.
const LINK: [u8; 14] = [0x5a; 14];
/// The state of the tables it is of.
const EPOCH: u64 = 1;

/// A UDP packet of flow `number`.
fn packet(v4: bool, number: u8) -> Vec<u8> {
    let mut packet = vec![0; LENGTH];
    let (ip, upper) = packet.split_at_mut(if v4 { ipv4::Repr::LEN } else { ipv6::Repr::LEN });
    match v4 {
        true => ipv4::Repr {
            traffic_class: 0,
            total_length: LENGTH as u16,
            id: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: protocol::UDP,
            source: [10, 1, 0, number].into(),
            destination: [10, 2, 0, 1].into(),
        }
        .emit(ip),
        false => ipv6::Repr {
            traffic_class: 0,
            flow_label: 0,
            payload_length: upper.len() as u16,
            next_header: protocol::UDP,
            hop_limit: 64,
            source: [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(number)].into(),
            destination: [0xfd00, 0, 0, 0, 0, 0, 1, 1].into(),
        }
        .emit(ip),
    }
    .unwrap();
    udp::Repr { source: 1000, destination: 2000, length: upper.len() as u16, checksum: 0 }
        .emit(upper)
        .unwrap();
    packet
}

fn burst(v4: bool) -> Vec<Vec<u8>> {
    (0..BURST).map(|number| packet(v4, number as u8)).collect()
}

const fn name(v4: bool) -> &'static str {
    if v4 { "ipv4" } else { "ipv6" }
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("summary");
    group.throughput(Throughput::Elements(BURST as u64));
    for v4 in [true, false] {
        let packets = burst(v4);
        let read = |packet: &Vec<u8>| Summary::read(packet).unwrap();
        assert!(packets.iter().all(|packet| Summary::parse(packet).unwrap() == read(packet)));
        group.bench_function(BenchmarkId::from_parameter(name(v4)), |bencher| {
            bencher.iter(|| black_box(&packets).iter().map(|packet| read(packet).length()).sum::<usize>());
        });
    }
    group.finish();
}

/// Data that an overrun worker looks at and drops.
fn looking_ahead(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("urgent");
    group.throughput(Throughput::Elements(BURST as u64));
    for v4 in [true, false] {
        let kind = if v4 { [8, 0] } else { [0x86, 0xdd] };
        let framed = |packet| [&[0; 12][..], &kind, packet].concat();
        let frames: Vec<_> = burst(v4).iter().map(|packet| framed(packet)).collect();
        assert!(frames.iter().all(|frame| !is_urgent(frame)));
        group.bench_function(BenchmarkId::from_parameter(name(v4)), |bencher| {
            bencher.iter(|| black_box(&frames).iter().filter(|frame| is_urgent(frame)).count());
        });
    }
    group.finish();
}

fn remembering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memo");
    group.throughput(Throughput::Elements(BURST as u64));
    for v4 in [true, false] {
        let (mut memo, meta) = (Memo::new(7), Meta::default());
        let packets: Vec<_> = burst(v4).iter().map(|packet| Summary::parse(packet).unwrap()).collect();
        let way = |slot: usize| Way::Seal(SaRef { worker: WorkerId(0), slot: slot as u32 });
        for (slot, packet) in packets.iter().enumerate() {
            memo.remember(&memo.key(&meta, packet), way(slot));
        }
        let find = |packet: &Summary| {
            let place = memo.prefetch(&memo.key(&meta, packet));
            memo.find(&memo.key(&meta, packet), place).map(Packed::way)
        };
        assert!(packets.iter().enumerate().all(|(slot, packet)| find(packet) == Some(way(slot))));
        group.bench_function(BenchmarkId::from_parameter(name(v4)), |bencher| {
            bencher.iter(|| black_box(&packets).iter().filter_map(find).count());
        });
    }
    group.finish();
}

fn sa(v4: bool, port: u16) -> Hot {
    let end = |last: u8| Endpoint {
        address: if v4 {
            [192, 0, 2, last].into()
        } else {
            [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)].into()
        },
        port,
    };
    let encapsulation = Encapsulation::between(0, end(1), end(2));
    let parts = Parts {
        spi: Spi(256),
        suite: Suite::AesGcm128,
        esn: true,
        last_sequence: 0,
        encapsulation,
        limits: Limits::NONE,
        child: 0,
    };
    let mut sa = Outbound::new(parts, Key::new(Kernel::portable(), &[0; 16]).unwrap(), [0; 4]).hot;
    sa.leaves_by(EPOCH, (0, 0, 1500), &LINK);
    sa
}

/// Lays headers and trailer around a packet, and takes them off again: the price of that is in the figure.
fn lay_out_once(frame: &mut RamFrame, summary: &Summary, sa: &mut Hot) -> usize {
    let before = frame.len();
    let order = Order { departs: sa.departs(EPOCH, before), hop: false, dont_fragment: 0, id: 1 };
    lay_out(frame, summary, sa, order).unwrap();
    let (front, length) = (sa.wrap.front().octets() + 16, frame.len());
    frame.reshape(front as isize, before).unwrap();
    length
}

fn laying_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lay-out");
    group.throughput(Throughput::Elements(BURST as u64));
    for (v4, port) in [(true, 0), (true, 4500), (false, 0), (false, 4500)] {
        let (mut sa, mut pool) = (sa(v4, port), RamPool::new(BURST, 1));
        let packets = burst(true);
        let read = |packet: &Vec<u8>| (pool.copy_of(packet).unwrap(), Summary::parse(packet).unwrap());
        let mut frames: Vec<_> = packets.iter().map(read).collect();
        // Link, outer headers, SPI, number, IV, text on four octets, ICV.
        let outer = LINK.len() + sa.wrap.length().unwrap() + 8 + 8 + (LENGTH + 2).next_multiple_of(4) + 16;
        assert!(frames.iter_mut().all(|(frame, summary)| lay_out_once(frame, summary, &mut sa) == outer));
        assert!(frames.iter().zip(&packets).all(|((frame, _), packet)| frame.data() == packet));
        let name = format!("{}{}", name(v4), if port == 0 { "" } else { "-udp" });
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let frames = black_box(&mut frames).iter_mut();
                frames.map(|(frame, summary)| lay_out_once(frame, summary, &mut sa)).sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, reading, looking_ahead, remembering, laying_out);
criterion_main!(benches);
