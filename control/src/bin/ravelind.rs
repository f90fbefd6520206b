//! `ravelind`: the gateway. Reads a configuration, refuses it whole if anything in it is
//! wrong, and otherwise runs until SIGTERM or SIGINT.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ravelin_control::config::{self, Plan, Refusal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// IPsec security gateway.
#[derive(Parser)]
#[command(name = "ravelind", version)]
struct Cli {
    /// Configuration file.
    #[arg(long, default_value = "/etc/ravelin/ravelin.toml")]
    config: PathBuf,
    /// Control socket; instead of the configured one.
    #[arg(long)]
    socket: Option<PathBuf>,
    /// Directory of what outlives the process; instead of the configured one.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Arguments for DPDK's EAL, after those of the configuration.
    #[arg(last = true)]
    eal: Vec<String>,
}

impl Cli {
    /// The configuration with what the command line says instead.
    fn plan(&self) -> Result<Plan, Vec<Refusal>> {
        let mut plan = config::load(&self.config, &|path| std::fs::read(path))?;
        plan.eal.extend(self.eal.iter().cloned());
        plan.socket = self.socket.clone().unwrap_or(plan.socket);
        plan.state_directory = self.state.clone().unwrap_or(plan.state_directory);
        Ok(plan)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let plan = match cli.plan() {
        Ok(plan) => plan,
        Err(refusals) => {
            refusals.iter().for_each(|refusal| eprintln!("ravelind: {refusal}"));
            return ExitCode::FAILURE;
        }
    };
    log(&plan);
    plan.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    start(plan, cli)
}

/// `RAVELIN_LOG` wins over the configuration.
fn log(plan: &Plan) {
    let filter = EnvFilter::try_from_env("RAVELIN_LOG").unwrap_or_else(|_| EnvFilter::new(&plan.log));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

#[cfg(feature = "dpdk")]
fn start(plan: Plan, cli: Cli) -> ExitCode {
    match ravelin_control::daemon::start::run(plan, Box::new(move || cli.plan())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ravelind: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "dpdk"))]
fn start(_: Plan, _: Cli) -> ExitCode {
    eprintln!("ravelind: built without DPDK: rebuild with the feature `dpdk`");
    ExitCode::FAILURE
}
