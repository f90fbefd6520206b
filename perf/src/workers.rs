//! Many workers: how they scale, what the handoff ring costs, what a packet costs that arrives at the worker that does
//! not own its SA, and what one tunnel carries of which each worker has an SA.
//!
//! `ravelin-perf workers` runs real workers and graphs, each on a thread and a core of its own where there
//! are as many, over devices in memory that have a queue pair for each. What is counted is the CPU time of
//! these threads while there is work before them; see [`crew`]. No figure if a packet is lost or changed.

mod crew;
mod foreign;
mod load;
mod one_tunnel;
mod ring;
mod scaling;

use clap::{Args, ValueEnum};

use crate::machine::{self, Machine};
use crate::rows::Rows;
use crate::scale::quantile;
use crate::traffic::Mix;

/// What `workers` can be told.
#[derive(Args)]
pub struct Options {
    /// Packet sizes: octets of the inner IP packet, or `imix`
    #[arg(long, value_delimiter = ',', default_value = "64,imix")]
    sizes: Vec<Mix>,
    /// Not all of it
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Tunnels of each worker
    #[arg(long, default_value_t = 500)]
    tunnels: u32,
    /// Pairs of runs that are compared, one after the other
    #[arg(long, default_value_t = 15)]
    pairs: usize,
    /// Rounds of 512 packets a worker in one run
    #[arg(long, default_value_t = 100)]
    rounds: usize,
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Also write perf/records/<machine>/<date>-workers.csv
    #[arg(long)]
    record: bool,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What the handoff ring costs
    Ring,
    /// From one worker to two
    Scaling,
    /// Packets that arrive at the worker that does not own their SA
    Foreign,
    /// One tunnel, of which each worker has an SA
    OneTunnel,
}

type Measure = fn(Mix, Effort, &mut Rows) -> anyhow::Result<()>;

/// What is measured for each size of packets.
const BY_SIZE: [(Part, Measure); 3] =
    [(Part::Scaling, scaling::run), (Part::Foreign, foreign::run), (Part::OneTunnel, one_tunnel::run)];

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Tunnels of each worker.
    pub tunnels: u32,
    /// Pairs of runs.
    pub pairs: usize,
    /// Rounds in a run.
    pub rounds: usize,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let pinned = machine::choose(None)?;
    let Options { tunnels, pairs, rounds, .. } = *options;
    let effort = Effort { tunnels: tunnels.max(1), pairs: pairs.max(1), rounds: rounds.max(1) };
    let mut rows = Rows::default();
    let is_wanted = |part| options.only.is_empty() || options.only.contains(&part);
    if is_wanted(Part::Ring) {
        ring::run(&mut rows)?;
    }
    for &mix in &options.sizes {
        for (_, measure) in BY_SIZE.into_iter().filter(|(part, _)| is_wanted(*part)) {
            measure(mix, effort, &mut rows)?;
        }
    }
    let machine = Machine::here(pinned);
    print!("{}", if options.json { rows.lines()? } else { rows.table(&machine) });
    if options.record {
        eprintln!("recorded in {}", rows.record(&machine, "workers")?.display());
    }
    Ok(())
}

/// Adds the median of pairs of runs, and their quartiles.
fn quartiles(scenario: &str, mut values: Vec<f64>, unit: &'static str, rows: &mut Rows) {
    for (part, name) in [(0.5, "median"), (0.25, "p25"), (0.75, "p75")] {
        rows.add(format!("{scenario}-{name}"), quantile(&mut values, part), unit);
    }
}
