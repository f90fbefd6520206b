//! `ravelind`: the gateway. Reads a configuration, refuses it whole if anything in it is
//! wrong, and otherwise runs until SIGTERM or SIGINT.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ravelin_control::config::{self, Plan};
use tracing_subscriber::EnvFilter;

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
    /// Arguments for DPDK's EAL, after those of the configuration.
    #[arg(last = true)]
    eal: Vec<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut plan = match config::load(&cli.config, &|path| std::fs::read(path)) {
        Ok(plan) => plan,
        Err(refusals) => {
            refusals.iter().for_each(|refusal| eprintln!("ravelind: {refusal}"));
            return ExitCode::FAILURE;
        }
    };
    plan.eal.extend(cli.eal);
    plan.socket = cli.socket.unwrap_or(plan.socket);
    log(&plan);
    start(plan)
}

/// `RAVELIN_LOG` wins over the configuration.
fn log(plan: &Plan) {
    let filter = EnvFilter::try_from_env("RAVELIN_LOG").unwrap_or_else(|_| EnvFilter::new(&plan.log));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

#[cfg(feature = "dpdk")]
fn start(plan: Plan) -> ExitCode {
    match ravelin_control::daemon::start::run(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ravelind: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "dpdk"))]
fn start(_: Plan) -> ExitCode {
    eprintln!("ravelind: built without DPDK: rebuild with the feature `dpdk`");
    ExitCode::FAILURE
}
