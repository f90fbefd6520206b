//! `ravelin-perf compare`: Ravelin and its peers on the same packets, in turn, in one run.
//!
//! GCM scenarios set the crypto kernels beside other libraries, gateway scenarios the worker of `ravelind`
//! beside DPDK's `ipsec-secgw` on the same virtual devices. Everybody who is measured is a process of its
//! own, pinned to the same core, with the same favours; nobody is measured before its answers were found
//! right. What the rows mean and how to read a ratio is in `perf/SPEC.md`.

mod child;
pub mod gateway;
mod gcm;
pub mod library;
pub mod outcome;
mod scenario;
mod texts;

use std::path::Path;

use anyhow::{Context, ensure};
use clap::Args;

use crate::machine::{self, Machine};
use child::Pinning;
use outcome::Outcome;
use scenario::Scenario;

/// What can be told about a comparison.
#[derive(Args, Debug)]
pub struct Options {
    /// Print a JSON object a line for each scenario, as soon as it is measured
    #[arg(long)]
    json: bool,
    /// Only scenarios whose name contains this; `*` stands for anything; several with commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only the scenarios of the table of aims, five repeats each
    #[arg(long)]
    quick: bool,
    /// Measurements of each program, in turn; at least 5
    #[arg(long)]
    repeats: Option<usize>,
    /// Core everybody measured runs on (default: the last one there is)
    #[arg(long)]
    core: Option<usize>,
    /// Real-time priority (SCHED_FIFO) of what is measured; other work on the core then waits. 0 for none
    #[arg(long, default_value_t = 0)]
    priority: u8,
    /// Keep no record under perf/records/
    #[arg(long)]
    no_record: bool,
    /// Print the names of the scenarios and measure nothing
    #[arg(long)]
    list: bool,
}

/// Runs every scenario asked for.
///
/// # Errors
/// When a peer is missing, or when at least one scenario gave no figure: the others are printed all the same.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let scenarios = scenario::chosen(&options.only, options.quick);
    ensure!(!scenarios.is_empty(), "no scenario matches; --list shows all");
    if options.list {
        scenarios.iter().for_each(|scenario| println!("{scenario}"));
        return Ok(());
    }
    let core = machine::choose(options.core)?;
    let bench = Bench {
        pinning: Pinning::new(core.core, options.priority),
        repeats: options.repeats.unwrap_or(if options.quick { 5 } else { 9 }).max(5),
        machine: Machine::here(core),
        build: outcome::Build::here(options.priority),
    };
    bench.run(&scenarios, options)
}

struct Bench {
    pinning: Pinning,
    repeats: usize,
    machine: Machine,
    build: outcome::Build,
}

impl Bench {
    fn run(&self, scenarios: &[Scenario], options: &Options) -> anyhow::Result<()> {
        let mut outcomes = Vec::new();
        let mut failed = 0;
        let (mut libraries, mut gateways) = (None, None);
        for scenario in scenarios {
            match self.measure(scenario, &mut libraries, &mut gateways) {
                Ok(outcome) => {
                    if options.json {
                        println!("{}", serde_json::to_string(&outcome)?);
                    }
                    outcomes.push(outcome);
                }
                Err(error) => {
                    failed += 1;
                    // Whoever said something wrong may have gone.
                    libraries = None;
                    eprintln!("{scenario}: no figure: {error:#}");
                }
            }
        }
        eprint!("{}", outcome::table(&outcomes));
        if !options.no_record && !outcomes.is_empty() {
            let pages = gateways.as_ref().map(gateway::Bench::huge);
            let build = pages.map_or(self.build.clone(), |huge| self.build.with_pages(huge));
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("records").join(self.machine.slug());
            let path = outcome::record(&folder, &self.machine, &build, self.repeats, &outcomes)?;
            eprintln!("recorded in {}", path.display());
        }
        ensure!(failed == 0, "{failed} of {} scenarios gave no figure", scenarios.len());
        Ok(())
    }

    fn measure(
        &self,
        scenario: &Scenario,
        libraries: &mut Option<gcm::Libraries>,
        gateways: &mut Option<gateway::Bench>,
    ) -> anyhow::Result<Outcome> {
        match scenario {
            Scenario::Gcm(load) => {
                if libraries.is_none() {
                    *libraries = Some(gcm::Libraries::start(&self.pinning)?);
                }
                let libraries = libraries.as_mut().context("the libraries' processes were just started")?;
                libraries.compare(scenario.to_string(), *load, self.repeats)
            }
            Scenario::Gateway(load) => {
                if gateways.is_none() {
                    *gateways = Some(gateway::Bench::new(&self.pinning, self.machine.tsc_hz)?);
                }
                let gateways = gateways.as_ref().context("the gateways were just made ready")?;
                gateways.compare(scenario.to_string(), *load, self.repeats)
            }
        }
    }
}
