//! Scenarios `latency-encap` and `latency-decap`: how long a packet is in a gateway that is not at its limit.
//!
//! From the instant a frame stands in the receive queue to the end of the poll in which the worker gave it to
//! the port's transmit: waiting for the worker included, descriptors and wire not. Arrivals are a Poisson
//! stream from a seeded generator, at 10, 50 and 90 % of what the worker carries when its queue is never empty,
//! which is measured first in the same run. They wait for nobody, so that queueing shows.
//!
//! The clock is the worker's (`latency/bench.rs`): it counts cycles of the TSC inside its polls, idle ones
//! included, and stands still while the bench plays the network card. So one core suffices, and no figure holds
//! what the bench costs. A load at which a packet was lost gives no figure.

mod arrivals;
mod bench;
mod report;
mod stalls;

use anyhow::ensure;
use clap::Args;
use ravelin_gcm::{Kernel, KeySize};

use crate::gcm::Direction;
use crate::machine::{self, Machine};
use crate::records;
use crate::traffic::{Mix, Plan, suite_name};
use crate::tunnel::Tunnel;
use bench::{Bench, Measured, Trial};
use report::{Quantiles, Report, Row};

/// What `latency` can be told.
#[derive(Args)]
pub struct Options {
    /// Packet sizes: octets of the inner IP packet, or `imix`
    #[arg(long, value_delimiter = ',', default_value = "64,imix")]
    sizes: Vec<Mix>,
    /// Loads, in percent of what the worker carries
    #[arg(long, value_delimiter = ',', default_value = "10,50,90", value_parser = clap::value_parser!(u32).range(1..=99))]
    loads: Vec<u32>,
    /// Crypto kernel (default: the one a worker takes on this processor)
    #[arg(long)]
    kernel: Option<String>,
    /// Key size in bits
    #[arg(long, value_parser = ["128", "192", "256"], default_value = "128")]
    bits: String,
    /// Packets measured at each load
    #[arg(long, default_value_t = 500_000)]
    packets: u64,
    /// Frames the receive queue holds; `ravelind` asks its ports for 512
    #[arg(long, default_value_t = 512)]
    descriptors: usize,
    /// Core to run on (default: the last one there is)
    #[arg(long)]
    core: Option<usize>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Also write perf/records/<machine>/<date>-latency.csv
    #[arg(long)]
    record: bool,
}

/// Measures all of it; an error if a load lost packets, after the rest is told.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let pinned = machine::pin(options.core)?;
    let kernel = options.kernel.as_deref().unwrap_or_else(|| Kernel::detect().name());
    let plan = Plan::new(options.sizes.clone(), Some(kernel), Some(&options.bits))?;
    let mut rows = Vec::new();
    for &(kernel, size) in &plan.suites {
        for &mix in &plan.mixes {
            for direction in [Direction::Seal, Direction::Open] {
                rows.extend(loads(options, Subject { kernel, size, mix, direction })?);
            }
        }
    }
    let (machine, stalls) = (Machine::here(pinned), stalls::watch()?);
    let report = Report { machine, stalls, descriptors: options.descriptors, rows };
    print!("{}", if options.json { report.json()? } else { report.table() });
    if options.record {
        eprintln!("recorded in {}", records::keep(&report.machine, "-latency", &report.csv())?.display());
    }
    let without = report.rows.iter().filter(|row| row.nanoseconds.is_none()).count();
    ensure!(without == 0, "no figure for {without} loads: packets were lost (column lost)");
    Ok(())
}

/// What is measured at each of the loads.
#[derive(Clone, Copy)]
struct Subject {
    kernel: Kernel,
    size: KeySize,
    mix: Mix,
    direction: Direction,
}

/// One gateway at each of the loads, its capacity first.
fn loads(options: &Options, subject: Subject) -> anyhow::Result<Vec<Row>> {
    let Subject { kernel, size, mix, direction } = subject;
    let tunnel = Tunnel::new(kernel, size, mix, 1)?;
    let mut bench = Bench::new(tunnel, direction, machine::switches)?;
    let capacity = bench.capacity()?;
    let one = |&load: &u32| -> anyhow::Result<Row> {
        let gap = capacity * 100.0 / f64::from(load);
        let trial = Trial { gap, packets: options.packets.max(1), descriptors: options.descriptors.max(1) };
        Ok(row(subject, load, capacity, &bench.measure(&trial)?))
    };
    options.loads.iter().map(one).collect()
}

/// `capacity` is in cycles a packet.
fn row(subject: Subject, load: u32, capacity: f64, measured: &Measured) -> Row {
    let hertz = ravelin_mem::tsc::frequency() as f64;
    let megapackets = |packets: u64| packets as f64 / measured.cycles.max(1) as f64 * hertz / 1e6;
    Row {
        scenario: match subject.direction {
            Direction::Seal => "latency-encap",
            Direction::Open => "latency-decap",
        },
        kernel: subject.kernel.name(),
        suite: suite_name(subject.size),
        size: subject.mix.name(),
        octets: subject.mix.mean(),
        load_percent: load,
        capacity_mpps: hertz / capacity / 1e6,
        offered_mpps: megapackets(measured.offered),
        carried_mpps: megapackets(measured.carried()),
        packets: measured.carried(),
        lost: measured.lost,
        interrupted: measured.interrupted,
        nanoseconds: (measured.lost == 0).then(|| Quantiles::of(&measured.latencies, hertz)),
    }
}
