//! How the tables scale: routes by the million, tunnels and SAs by the ten thousand.
//!
//! `ravelin-perf scale` fills the real tables, proves the answers of a sample against a naive search before
//! it times anything, and prints one row a figure. It measures tables alone, without packets: what a lookup
//! costs hot and at random, what a change costs, what changes do to lookups beside them, how fast a worker
//! installs SAs, and what memory a tunnel takes.

mod beside;
mod install;
mod routes;
mod tunnels;

use anyhow::Context;
use clap::Args;
use ravelin_mem::tsc;

use crate::machine::{self, Machine};
use crate::rows::Rows;

/// What `scale` can be told.
#[derive(Args)]
pub struct Options {
    /// Routes of each family
    #[arg(long, default_value_t = 1_000_000)]
    routes: usize,
    /// Tunnels, in rising order
    #[arg(long, value_delimiter = ',', default_value = "1,1000,16000,32768")]
    tunnels: Vec<u32>,
    /// Repetitions, of which the best is reported
    #[arg(long, default_value_t = 30)]
    repeats: usize,
    /// Pairs of a millisecond of lookups beside changes and one alone
    #[arg(long, default_value_t = 2000)]
    pairs: usize,
    /// Core to run on (default: the last one there is)
    #[arg(long)]
    core: Option<usize>,
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Also write perf/records/<machine>/<date>-scale.csv
    #[arg(long)]
    record: bool,
}

/// Runs all of it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let pinned = machine::pin(options.core)?;
    let mut rows = Rows::default();
    // First, in a heap that nothing else has stirred: it says what the process grows by.
    let most = options.tunnels.iter().copied().max().unwrap_or(1);
    install::run(most, &options.tunnels, options.repeats, &mut rows)?;
    tunnels::run(&options.tunnels, options.repeats, &mut rows)?;
    for v4 in [true, false] {
        routes::run(v4, options.routes, options.repeats, options.pairs, pinned, &mut rows)?;
    }
    let machine = Machine::here(pinned);
    print!("{}", if options.json { rows.lines()? } else { rows.table(&machine) });
    if options.record {
        eprintln!("recorded in {}", rows.record(&machine, "scale")?.display());
    }
    Ok(())
}

/// Octets of memory this process has.
pub fn resident() -> anyhow::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = text.split(' ').nth(1).context("statm has a second field")?.parse()?;
    Ok(pages * 4096)
}

/// What `work` costs for one of `items`, in cycles. It is timed in pieces, each at its best of `repeats`
/// rounds, so that what interrupts a round spoils a piece of it and not the round.
pub fn best<T>(repeats: usize, items: &[T], piece: usize, mut work: impl FnMut(&[T])) -> f64 {
    let mut costs = vec![u64::MAX; items.len().div_ceil(piece)];
    for _ in 0..repeats.max(2) {
        for (cost, part) in costs.iter_mut().zip(items.chunks(piece)) {
            let start = tsc::fenced();
            work(part);
            *cost = (*cost).min(tsc::fenced().saturating_sub(start));
        }
    }
    costs.iter().sum::<u64>() as f64 / items.len().max(1) as f64
}

/// The value below which `part` of all lie.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = (values.len() as f64 * part) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
