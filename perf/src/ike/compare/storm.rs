//! `ravelin-perf ike --storm`: as many tunnels as one worker has, all at once, then a minute in which every one of
//! them is rekeyed and asked whether it lives, while an operator asks again and again for the list of all.
//!
//! Responder and initiators as in a comparison ([`super`]). Every setup passes one packet each way. Some tunnels carry
//! packets all the while, over their rekeys, and lose none.

use std::io::Read;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::network::{BEHIND, INITIATORS, INSIDE, Network, PROTECTED, RESPONDER, command_in};
use super::responders::{self, ESP, Lives, Load, PSK, Responder};
use super::{first_core, scenario};
use crate::ike::cost::Reading;
use crate::machine;

/// Each tunnel is rekeyed and asked within a minute.
const LIVES: Lives = Lives { ike: 60, child: 60, silence: 20 };
/// A rekey is due when half of a life is over, at the latest; and has some seconds for it.
const EACH_HAD_ITS_TURN: u64 = 40;
/// Between two looks of the operator.
const LOOK: Duration = Duration::from_secs(1);

/// What can be told about a storm.
#[derive(Debug, Clone)]
pub struct Storm {
    /// Tunnels.
    pub count: u32,
    /// Setups outstanding.
    pub concurrency: u32,
    /// Seconds after the last setup.
    pub stay: u64,
    /// JSON on standard output.
    pub json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    tunnels: u32,
    /// From the start of ravelind until it answers its operator.
    start_ms: u64,
    /// The generator's report.
    load: serde_json::Value,
    /// Octets of resident memory of the whole process, by tunnel.
    resident_octets_per_tunnel: u64,
    /// The operator's looks: how many, the longest until the first octet and until the last one.
    looks: usize,
    first_octet_ms: u64,
    all_ms: u64,
}

/// Raises the storm.
///
/// # Errors
/// When a program is missing, or not every tunnel came up and lived.
pub fn run(storm: &Storm) -> Result<()> {
    let initiators = machine::choose(None)?.core;
    let (network, folder) = (Network::new(false)?, tempfile::tempdir()?);
    let plan = scenario::ALL.first().context("there is a scenario")?;
    let began = Instant::now();
    let prepared = Load { lives: LIVES, ..Load::of(storm.count) };
    let responder = responders::ravelind(plan, &prepared, &network, folder.path(), first_core(initiators)?)?;
    let start_ms = milliseconds(began.elapsed());
    let over = AtomicBool::new(false);
    let (load, looks) = std::thread::scope(|scope| -> Result<_> {
        let operator = scope.spawn(|| look_on(&responder, &over));
        let load = load(storm, plan, &network, &responder, initiators);
        over.store(true, Relaxed);
        let looks = operator.join().map_err(|_| anyhow::anyhow!("the operator's thread has ended"))??;
        Ok((load?, looks))
    })?;
    let resident = Reading::of(responder.id())?.resident();
    let longest = |of: fn(&Look) -> Duration| looks.iter().map(of).max().map_or(0, milliseconds);
    let report = Report {
        scenario: "ike-storm/psk-x25519",
        tunnels: storm.count,
        start_ms,
        load,
        resident_octets_per_tunnel: resident / u64::from(storm.count.max(1)),
        looks: looks.len(),
        first_octet_ms: longest(|look| look.first),
        all_ms: longest(|look| look.all),
    };
    let text =
        if storm.json { serde_json::to_string(&report)? } else { serde_json::to_string_pretty(&report)? };
    println!("{text}");
    judge(storm, &report.load)
}

/// Whether it was what it says: everybody came up and carried a packet each way, nobody went down, nothing was lost; and in
/// a stay long enough every IKE SA and every CHILD SA was rekeyed, and every silent peer asked.
fn judge(storm: &Storm, load: &serde_json::Value) -> Result<()> {
    let count = u64::from(storm.count);
    let number = |name: &str| load.pointer(name).and_then(serde_json::Value::as_u64);
    let is = |name: &str, wanted: u64| match number(name) {
        Some(found) if found == wanted => Ok(()),
        found => bail!("{name} is {found:?}, not {wanted}"),
    };
    is("/failed", 0)?;
    is("/setups", count)?;
    is("/packets_received", count)?;
    if storm.stay == 0 {
        return Ok(());
    }
    is("/kept/lost", 0)?;
    is("/kept/packets_received", number("/kept/packets_sent").context("packets are sent")?)?;
    if storm.stay >= EACH_HAD_ITS_TURN {
        ["/kept/child_rekeyed", "/kept/ike_rekeyed", "/kept/known_alive"]
            .into_iter()
            .try_for_each(|name| is(name, count))?;
    }
    Ok(())
}

/// How long an answer took.
struct Look {
    first: Duration,
    all: Duration,
}

/// Asks for all tunnels until it is over.
fn look_on(responder: &Responder, over: &AtomicBool) -> Result<Vec<Look>> {
    let mut looks = Vec::new();
    while !over.load(Relaxed) {
        let began = Instant::now();
        let mut command = responder.ask(&["show", "tunnels"])?;
        let mut child = command.stdout(Stdio::piped()).spawn().context("starting ravelin")?;
        let mut answer = child.stdout.take().context("its standard output is a pipe")?;
        answer.read_exact(&mut [0]).context("ravelin answers")?;
        let first = began.elapsed();
        std::io::copy(&mut answer, &mut std::io::sink())?;
        ensure!(child.wait()?.success(), "ravelin show tunnels has failed");
        looks.push(Look { first, all: began.elapsed() });
        // An operator's habit, not a wait for anything.
        std::thread::sleep(LOOK);
    }
    Ok(looks)
}

/// This very program as all the initiators.
fn load(
    storm: &Storm,
    plan: &scenario::Scenario,
    network: &Network,
    responder: &Responder,
    core: usize,
) -> Result<serde_json::Value> {
    let program = std::env::current_exe()?;
    let mut command = command_in(&network.initiators, core, &program.to_string_lossy());
    command.args(["ike", "--json", "--local", INITIATORS, "--remote", RESPONDER, "--behind", BEHIND]);
    command.args(["--protected", PROTECTED, "--ping", INSIDE, "--psk", PSK, "--esp-proposal", ESP]);
    command.args(["--proposal", plan.proposal, "--pid", &responder.id().to_string()]);
    command.args(["--count", &storm.count.to_string(), "--concurrency", &storm.concurrency.to_string()]);
    command.args(["--stay", &storm.stay.to_string()]);
    let output = command.output().context("starting the generator")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the generator: {}", said.trim());
    serde_json::from_slice(&output.stdout).context("the generator's report")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
