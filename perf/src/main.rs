//! Scenarios and figures: what a packet costs, on which machine, measured how.
//!
//! `ravelin-perf gcm` times the crypto kernels alone, `ravelin-perf esp` the real graph between
//! in-memory ports, `ravelin-perf compare` sets both beside other programs, `ravelin-perf latency` tells how
//! long a packet is in the graph at parts of what it carries, `ravelin-perf scale` fills the tables,
//! `ravelin-perf workers` has two workers share packets, `ravelin-perf ike` sets tunnels up with whoever
//! answers. Each scenario proves its answer right before its first measured burst. What the figures promise
//! and what they leave out is in `perf/SPEC.md`; runs worth keeping are written to
//! `perf/records/<machine>/<date>.csv` by `--record`.

mod compare;
mod esp;
mod gateway;
mod gcm;
mod ike;
mod inner;
mod latency;
mod machine;
mod measure;
mod random;
mod records;
mod report;
mod rows;
mod scale;
mod stations;
mod traffic;
mod tunnel;
mod workers;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use machine::Machine;
use measure::Effort;
use report::Report;
use traffic::Mix;

/// As ravelind's: the initiators run the same engine.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "ravelin-perf", about = "Measures what a packet costs, in cycles of the time stamp counter")]
struct CommandLine {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Sealing and opening bursts, crypto kernels alone
    Gcm(Options),
    /// Encapsulating and decapsulating, the real graph between ports in memory
    Esp(Options),
    /// Both: what is kept in the records
    All(Options),
    /// Ravelin beside its peers, on the same packets, in one run
    Compare(compare::Options),
    /// From receive queue to transmit at parts of what a worker carries
    Latency(latency::Options),
    /// The tables alone: routes, tunnels and SAs by the thousand
    Scale(scale::Options),
    /// Two workers: how they scale, and what it costs to hand packets over
    Workers(workers::Options),
    /// Tunnels set up by IKEv2 with any responder: how many a second, how fast, and what each costs it
    Ike(Box<ike::Options>),
    /// A process of `compare`: serves GCM libraries on standard input
    #[command(hide = true)]
    Libraries,
    /// A process of `compare`: our worker on DPDK's devices, as a file says
    #[command(hide = true)]
    Worker { setup: PathBuf },
}

/// What every scenario can be told.
#[derive(Args)]
struct Options {
    /// Packet sizes: octets of the inner IP packet, or `imix`
    #[arg(long, value_delimiter = ',', default_value = "64,256,576,1420,imix")]
    sizes: Vec<Mix>,
    /// Numbers of SAs to spread the packets over (`esp` only): neighbours are of different SAs
    #[arg(long, value_delimiter = ',', default_value = "1")]
    sas: Vec<u32>,
    /// Only this crypto kernel (default: each that this processor runs)
    #[arg(long)]
    kernel: Option<String>,
    /// Only this key size in bits
    #[arg(long, value_parser = ["128", "192", "256"])]
    bits: Option<String>,
    /// Repetitions, of which the best and the median are reported
    #[arg(long, default_value_t = 500)]
    repeats: usize,
    /// Bursts of 64 packets in one repetition; few, so that some repetitions pass undisturbed
    #[arg(long, default_value_t = 20)]
    bursts: usize,
    /// Core to run on (default: the last one there is)
    #[arg(long)]
    core: Option<usize>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Also write perf/records/<machine>/<date>.csv (-gcm, -esp or -own behind the date)
    #[arg(long)]
    record: bool,
}

fn main() -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("ravelin-perf: built with debug assertions: figures say nothing about a release build");
    }
    let (options, name, run): (Options, &str, Runner) = match CommandLine::parse().scenario {
        Scenario::Compare(options) => return compare::run(&options),
        Scenario::Latency(options) => return latency::run(&options),
        Scenario::Scale(options) => return scale::run(&options),
        Scenario::Workers(options) => return workers::run(&options),
        Scenario::Ike(options) => return ike::run(&options),
        Scenario::Libraries => return compare::library::serve(),
        Scenario::Worker { setup } => return compare::gateway::worker::serve(&setup),
        Scenario::Gcm(options) => (options, "-gcm", gcm::run),
        Scenario::Esp(options) => (options, "-esp", esp::run),
        Scenario::All(options) => (options, "-own", all),
    };
    let pinned = machine::pin(options.core)?;
    let effort = Effort { repeats: options.repeats.max(1), bursts: options.bursts.max(1) };
    let plan = traffic::Plan::new(options.sizes, options.kernel.as_deref(), options.bits.as_deref())?;
    let plan = traffic::Plan { sas: options.sas, ..plan };
    let report = Report { machine: Machine::here(pinned), effort, rows: run(&plan, effort)? };
    print!("{}", if options.json { report.json()? } else { report.table() });
    if options.record {
        eprintln!("recorded in {}", records::keep(&report.machine, name, &report.csv())?.display());
    }
    Ok(())
}

fn all(plan: &traffic::Plan, effort: Effort) -> anyhow::Result<Vec<report::Row>> {
    let mut rows = gcm::run(plan, effort)?;
    rows.extend(esp::run(plan, effort)?);
    Ok(rows)
}

type Runner = fn(&traffic::Plan, Effort) -> anyhow::Result<Vec<report::Row>>;
