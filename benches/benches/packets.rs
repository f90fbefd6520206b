//! What packets cost that are not ordinary: two gateways in memory with a tunnel between them, a burst of packets at a time,
//! the polls of each timed on their own. `encap` is the first gateway's work, `decap` the second's: with `cut-after` that is
//! the reassembly of two fragments, then decryption. In cycles of the time stamp counter a packet of the host's.
//!
//! The gateways are those of the dataplane's tests, so that what is timed is what is tested; every burst is checked to have
//! arrived. What the ports in memory cost is within; `ordinary` is there to be taken off.

#![expect(clippy::unwrap_used, reason = "inputs are made here; where one is wrong there is nothing to time")]

#[path = "../../dataplane/tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::packet::{framed, numbered};
use common::transport::lead;
use common::{Gateway, PRIVATE, PUBLIC, Pair, Style};
use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::policy::ip_tunnel::Kind;
use ravelin_dataplane::sa::Mode;
use ravelin_dataplane::sa::suite::Suite;
use ravelin_mem::tsc;

/// Packets of a host at a time.
const PACKETS: usize = 32;
/// Octets of headers of a datagram over IPv4 and IPv6.
const HEADERS: [usize; 2] = [28, 48];

/// Cycles of the time stamp counter.
struct Cycles;

impl Measurement for Cycles {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        tsc::now()
    }

    fn end(&self, start: u64) -> u64 {
        tsc::now().wrapping_sub(start)
    }

    fn add(&self, one: &u64, other: &u64) -> u64 {
        one + other
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, value: &u64) -> f64 {
        *value as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Cycles {
    fn scale_values(&self, _: f64, _: &mut [f64]) -> &'static str {
        "cycles"
    }

    fn scale_throughputs(&self, _: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        if let Throughput::Elements(elements) = throughput {
            values.iter_mut().for_each(|value| *value /= *elements as f64);
        }
        "cycles/packet"
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "cycles"
    }
}

/// Packets of one size between two sites, through a tunnel of one style.
struct Case {
    name: &'static str,
    style: Style,
    octets: usize,
    inner_v6: bool,
    /// What arrives for each.
    arriving: usize,
    /// By GRE under it, in transport mode.
    gre: bool,
}

const ORDINARY: Case =
    Case { name: "ordinary", style: Style::PLAIN, octets: 1420, inner_v6: false, arriving: 1, gre: false };

fn cases() -> Vec<Case> {
    let short = Case { name: "ordinary-64", octets: 64, ..ORDINARY };
    let udp = Case { name: "udp", style: Style { udp: true, ..Style::PLAIN }, ..ORDINARY };
    let v6 = Style { outer_v6: true, ..Style::PLAIN };
    let six = Case { name: "ipv6-in-ipv6", style: v6, inner_v6: true, ..ORDINARY };
    let before = Style { inner_mtu: Some(1400), ..Style::PLAIN };
    let before =
        Case { name: "cut-before-1500-into-1400", style: before, octets: 1500, arriving: 2, ..ORDINARY };
    let after = Style { outer_mtu: Some(1400), ..Style::PLAIN };
    let after = Case { name: "cut-after-1500-into-1400", style: after, octets: 1500, ..ORDINARY };
    let transport = Style { mode: Mode::Transport, ..Style::PLAIN };
    let gre = Case { name: "gre-in-esp", style: transport, octets: 1400, gre: true, ..ORDINARY };
    let padded = Style { padded_to: Some(1400), ..Style::PLAIN };
    let padded = Case { name: "padded-64-to-1400", style: padded, octets: 64, ..ORDINARY };
    vec![ORDINARY, short, udp, six, before, after, gre, padded]
}

/// Two gateways, and what the host of the first sends again and again.
struct Road {
    pair: Pair,
    packets: Vec<Vec<u8>>,
    arriving: usize,
}

impl Road {
    fn new(case: &Case) -> Road {
        let mut pair = Pair::new(1, &case.style);
        if case.gre {
            for gateway in [&mut pair.a, &mut pair.b] {
                lead(gateway, &case.style, Kind::Gre { send: Some(7), receive: Some(7) });
            }
        }
        let (from, to) = (pair.a.site.host(case.inner_v6), pair.b.site.host(case.inner_v6));
        let [v4, v6] = HEADERS;
        let payload = case.octets - if case.inner_v6 { v6 } else { v4 };
        let packet = |number| numbered(from, to, number as u32, payload);
        Road { packets: (0..PACKETS).map(packet).collect(), pair, arriving: case.arriving * PACKETS }
    }

    /// Cycles of the first gateway and of the second.
    fn carry(&mut self) -> [u64; 2] {
        let Pair { a, b } = &mut self.pair;
        let (site, host) = (a.site, a.site.host_mac());
        let frames = self.packets.iter().map(|packet| framed(site.mac(PRIVATE), host, packet));
        let encap = timed(a, PRIVATE, frames);
        let (to, from) = (b.site.mac(PUBLIC), site.mac(PUBLIC));
        let esp = a.sent(PUBLIC);
        let decap = timed(b, PUBLIC, esp.iter().map(|packet| framed(to, from, packet)));
        assert_eq!(b.sent(PRIVATE).len(), self.arriving, "{:?} {:?}", a.drops(), b.drops());
        [encap, decap]
    }
}

/// Cycles in which a gateway does all there is to do with these frames.
fn timed(gateway: &mut Gateway, port: u16, frames: impl Iterator<Item = Vec<u8>>) -> u64 {
    let device = if port == PRIVATE { &gateway.private } else { &gateway.public };
    for frame in frames {
        device.deliver(0, gateway.pool.copy_of(&frame).unwrap()).unwrap();
    }
    let begun = tsc::now();
    gateway.settle();
    tsc::now().wrapping_sub(begun)
}

/// The cycles of one way, of those of both.
type Way = fn([u64; 2]) -> u64;

fn bench(criterion: &mut Criterion<Cycles>, case: &Case) {
    let mut group = criterion.benchmark_group(format!("packets/{}", case.name));
    group.throughput(Throughput::Elements(PACKETS as u64));
    let of: [(&str, Way); 2] = [("encap", |[encap, _]| encap), ("decap", |[_, decap]| decap)];
    for (name, of) in of {
        let mut road = Road::new(case);
        // The first finds the ways that others take as known.
        road.carry();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| of(road.carry())).sum());
        });
    }
    group.finish();
}

fn unusual(criterion: &mut Criterion<Cycles>) {
    cases().iter().for_each(|case| bench(criterion, case));
}

fn suites(criterion: &mut Criterion<Cycles>) {
    for suite in Suite::all().filter(|suite| suite.is_apart()) {
        for octets in [64, 1420] {
            let name: &'static str = format!("{}-{octets}", suite.name()).leak();
            bench(criterion, &Case { name, style: Style { suite, ..Style::PLAIN }, octets, ..ORDINARY });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(Cycles)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(10);
    targets = unusual, suites
}
criterion_main!(benches);
