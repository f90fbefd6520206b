//! `ravelin-perf ike --compare`: the same load against ravelind and against charon, in turn.
//!
//! Each responder is a process of its own in a network namespace, on one core; the initiators are another process on
//! another core. Every setup passes one packet each way. What counts is the processor time of the responder: of
//! charon the whole process, of ravelind every thread but the worker, which polls, and of the worker the cycles it
//! spent on commands. A record is a line of JSON for each scenario.

mod callers;
pub mod flood;
mod network;
mod responders;
pub mod revocation;
mod scenario;
mod servers;
mod spoof;
pub mod storm;
pub mod sweep;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::Authentication;
use crate::compare::outcome::Series;
use crate::machine::{self, Machine};
use network::{BEHIND, INITIATORS, INSIDE, Network, PROTECTED, RESPONDER, command_in, run as run_program};
use responders::{ESP, PSK, Who};
use scenario::Scenario;

/// Setups before those that count: a responder that has never made one reads files, grows tables, finds pages.
const WARMING: u32 = 50;

/// What can be told about a comparison.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Setups a measurement.
    pub count: u32,
    /// Setups outstanding.
    pub concurrency: u32,
    /// Measurements of each, in turn.
    pub repeats: u32,
    /// Only scenarios whose name contains one of these; all if empty.
    pub only: Vec<String>,
    /// JSON on standard output.
    pub json: bool,
}

/// A scenario's figures. Medians of the repeats.
#[derive(Debug, Serialize)]
struct Row {
    /// `ike-setup/<name>`.
    scenario: String,
    /// Setups a processor second of ravelind.
    ours: f64,
    /// The other.
    peer: String,
    /// Its setups a processor second.
    peer_value: f64,
    /// Always `setups_per_cpu_second`.
    unit: &'static str,
    /// `ours / peer_value`: over 1 means that we are ahead.
    ratio: f64,
    /// The same of the repeats: least and most.
    ratio_range: [f64; 2],
    /// What the ratio is to reach.
    aim: f64,
    /// Wall time and what else the initiators saw, of the last repeat.
    ours_seen: Seen,
    /// Of the peer.
    peer_seen: Seen,
}

/// What the initiators saw and the kernel counted in one measurement.
#[derive(Debug, Clone, Serialize)]
struct Seen {
    setups: u64,
    failed: u64,
    setups_per_second: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    cpu_us_per_setup: f64,
    /// Of these, the worker's commands.
    command_us_per_setup: f64,
    memory_octets_per_tunnel: f64,
    threads_us_per_setup: std::collections::BTreeMap<String, f64>,
}

/// As much of the generator's report as is needed here.
#[derive(Debug, Deserialize)]
struct Told {
    setups: u64,
    failed: u64,
    failures: std::collections::BTreeMap<String, u64>,
    setups_per_second: f64,
    latency_ms: Latency,
    responder: Paid,
}

#[derive(Debug, Deserialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

#[derive(Debug, Deserialize)]
struct Paid {
    cpu_seconds: f64,
    threads_us_per_setup: std::collections::BTreeMap<String, f64>,
    memory_octets_per_tunnel: f64,
}

/// Runs every scenario asked for.
///
/// # Errors
/// When a responder is missing, or a scenario gave no figure; the others are printed all the same.
pub fn run(effort: &Effort) -> Result<()> {
    let core = machine::choose(None)?;
    let bench = Bench {
        effort,
        machine: Machine::here(core),
        responder: first_core(core.core)?,
        initiators: core.core,
    };
    let wanted = |scenario: &&Scenario| {
        effort.only.is_empty() || effort.only.iter().any(|part| scenario.name.contains(part.as_str()))
    };
    let mut failed = 0;
    for scenario in scenario::ALL.iter().filter(wanted) {
        match bench.compare(scenario) {
            Ok(row) if effort.json => println!("{}", serde_json::to_string(&row)?),
            Ok(row) => print!("{}", text(&row)),
            Err(error) => {
                failed += 1;
                eprintln!("ike-setup/{}: no figure: {error:#}", scenario.name);
            }
        }
    }
    ensure!(failed == 0, "{failed} scenarios gave no figure");
    Ok(())
}

/// A core that is not the initiators'.
fn first_core(other: usize) -> Result<usize> {
    let cores = core_affinity::get_core_ids().context("the system does not tell its cores")?;
    cores.iter().map(|core| core.id).find(|core| *core != other).context("it takes two cores")
}

struct Bench<'a> {
    effort: &'a Effort,
    machine: Machine,
    responder: usize,
    initiators: usize,
}

impl Bench<'_> {
    fn compare(&self, scenario: &Scenario) -> Result<Row> {
        let folder = tempfile::tempdir()?;
        certify(scenario.auth, folder.path())?;
        let mut ours = Series { name: "ravelind".to_owned(), values: Vec::new() };
        let mut peer = Series { name: version()?, values: Vec::new() };
        let mut seen = None;
        for _ in 0..self.effort.repeats.max(1) {
            let one = self.measure(Who::Ours, scenario, folder.path())?;
            let other = self.measure(Who::Charon, scenario, folder.path())?;
            ours.values.push(1e6 / one.cpu_us_per_setup);
            peer.values.push(1e6 / other.cpu_us_per_setup);
            seen = Some((one, other));
        }
        let (ours_seen, peer_seen) = seen.context("there is a repeat")?;
        let ratios = Series {
            name: String::new(),
            values: ours.values.iter().zip(&peer.values).map(|(ours, peer)| hundredth(ours / peer)).collect(),
        };
        Ok(Row {
            scenario: format!("ike-setup/{}", scenario.name),
            ours: ours.median().round(),
            peer_value: peer.median().round(),
            peer: peer.name.clone(),
            unit: "setups_per_cpu_second",
            ratio: hundredth(ours.median() / peer.median()),
            ratio_range: [ratios.quantile(0.0), ratios.quantile(1.0)],
            aim: scenario.aim,
            ours_seen,
            peer_seen,
        })
    }

    /// One responder, from its start to its end.
    fn measure(&self, who: Who, scenario: &Scenario, pki: &Path) -> Result<Seen> {
        let folder = tempfile::tempdir()?;
        for file in std::fs::read_dir(pki)? {
            let file = file?;
            std::fs::copy(file.path(), folder.path().join(file.file_name()))?;
        }
        let network = Network::new(who == Who::Charon)?;
        let responder =
            who.start(scenario, WARMING + self.effort.count, &network, folder.path(), self.responder)?;
        self.load(scenario, &network, folder.path(), responder.id(), 0..WARMING)?;
        let before = responder.command_cycles()?;
        let told = self.load(
            scenario,
            &network,
            folder.path(),
            responder.id(),
            WARMING..WARMING + self.effort.count,
        )?;
        let cycles = responder.command_cycles()?.saturating_sub(before);
        ensure!(
            told.failed == 0,
            "{who:?}: {} of {} setups failed: {:?}",
            told.failed,
            self.effort.count,
            told.failures
        );
        let setups = told.setups.max(1) as f64;
        let command = cycles as f64 / self.machine.tsc_hz as f64 * 1e6 / setups;
        Ok(Seen {
            setups: told.setups,
            failed: told.failed,
            setups_per_second: told.setups_per_second.round(),
            latency_p50_ms: told.latency_ms.p50,
            latency_p99_ms: told.latency_ms.p99,
            cpu_us_per_setup: hundredth(told.responder.cpu_seconds * 1e6 / setups + command),
            command_us_per_setup: hundredth(command),
            memory_octets_per_tunnel: told.responder.memory_octets_per_tunnel.round(),
            threads_us_per_setup: told.responder.threads_us_per_setup,
        })
    }

    /// This very program in the initiators' namespace, as the initiators of these numbers.
    fn load(
        &self,
        scenario: &Scenario,
        network: &Network,
        pki: &Path,
        pid: u32,
        numbers: Range<u32>,
    ) -> Result<Told> {
        let program = std::env::current_exe()?;
        let mut command = command_in(&network.initiators, self.initiators, &program.to_string_lossy());
        command.args(["ike", "--json", "--local", INITIATORS, "--remote", RESPONDER, "--behind", BEHIND]);
        command.args(["--protected", PROTECTED, "--ping", INSIDE, "--psk", PSK, "--esp-proposal", ESP]);
        command.args(["--proposal", scenario.proposal, "--pid", &pid.to_string()]);
        command.args(["--first", &numbers.start.to_string(), "--count", &numbers.len().to_string()]);
        command.args(["--concurrency", &self.effort.concurrency.to_string()]);
        if let Some(kind) = kind(scenario.auth) {
            command.args(["--auth", kind]);
            command.arg("--certificate").arg(pki.join("a-chain.pem")).arg("--key").arg(pki.join("a.key"));
        }
        let output = command.output().context("starting the generator")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "the generator: {} {}",
            said.trim(),
            String::from_utf8_lossy(&output.stdout)
        );
        serde_json::from_slice(&output.stdout).context("the generator's report")
    }
}

/// The name of a kind of certificate, as `--auth` takes it; none for pre-shared keys.
fn kind(auth: Authentication) -> Option<&'static str> {
    match auth {
        Authentication::Psk => None,
        Authentication::Ecdsa => Some("ecdsa"),
        Authentication::Rsa => Some("rsa"),
        Authentication::Issued => Some("issued"),
    }
}

/// A root, an intermediate, and a leaf for each side.
fn certify(auth: Authentication, folder: &Path) -> Result<()> {
    let kind = match auth {
        Authentication::Psk => return Ok(()),
        Authentication::Ecdsa | Authentication::Issued => "ec",
        Authentication::Rsa => "rsa",
    };
    let library = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/lib/pki.sh");
    let script = ". \"$0\"; make_pki \"$1\" \"$2\"; cat \"$1/a.pem\" \"$1/sub.pem\" > \"$1/a-chain.pem\"";
    let arguments = ["-euc", script, &library.to_string_lossy(), &folder.to_string_lossy(), kind];
    run_program("bash", &arguments).map(drop).context("making certificates")
}

fn version() -> Result<String> {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Version}", "charon-systemd"]).output()?;
    ensure!(output.status.success(), "strongSwan is missing: scripts/setup");
    Ok(format!("charon {}", String::from_utf8_lossy(&output.stdout)))
}

fn text(row: &Row) -> String {
    let Row { scenario, ours, peer, peer_value, ratio, ratio_range: [least, most], aim, .. } = row;
    let of = |seen: &Seen| {
        format!(
            "{:.0} us of processor a setup, {:.0} setups a second, median {:.1} ms, {:.0} octets a tunnel",
            seen.cpu_us_per_setup, seen.setups_per_second, seen.latency_p50_ms, seen.memory_octets_per_tunnel
        )
    };
    format!(
        "{scenario}: ravelind {ours}, {peer} {peer_value} setups a processor second: {ratio} ({least} to {most}), aim {aim}\n  \
         ravelind: {}\n  charon:   {}\n",
        of(&row.ours_seen),
        of(&row.peer_seen),
    )
}

fn hundredth(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
