//! `ravelin-perf ike --sweep`: as many tunnels as --count, each with a certificate of its own; then the authority's list
//! names --revoked of them, and those end within seconds, with their reason, while the others carry on (REV-28).
//!
//! Responder and initiators as in a comparison ([`super`]). The time is from the operator's `ravelin pki crl-update`, so
//! that fetching and reading the list are in it, until ravelind has counted the last of the tunnels as closed. Sixteen
//! tunnels that are not named carry packets all the while.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use super::callers::{self, Call, Callers, SCENARIO, number, until};
use super::first_core;
use super::network::{INSIDE, Network};
use super::responders::{self, LOG, Load, Responder};
use super::servers::{LIST, Served, Server};
use crate::ike::kept::FLOWS;
use crate::machine;

/// Where the list is had from, in ravelind's namespace.
const PORT: u16 = 8880;
/// So soon those that are named are to be closed, in milliseconds.
const PROMISED: u64 = 5000;
/// Everybody is up, or closed, after so long, or it has failed.
const PATIENCE: Duration = Duration::from_secs(600);
/// Tunnels are kept at least so many seconds after the last setup.
const STAY: u64 = 8;

/// What can be told about a sweep.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Tunnels.
    pub count: u32,
    /// Of these, those that the list will name.
    pub revoked: u32,
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
    revoked: u32,
    /// From the operator's word to the last of them closed.
    closed_ms: u64,
    /// Lines of the log with the reason (RV-PKI-044).
    logged: usize,
    /// Tunnels that are up afterwards.
    up: usize,
    /// The generator's report.
    load: Value,
}

impl Sweep {
    /// The numbers of those that will be named: spread over all, but for the first, which carry packets.
    fn named(&self) -> impl Iterator<Item = u32> {
        let step = (self.count.saturating_sub(FLOWS) / self.revoked.max(1)).max(1);
        (FLOWS..self.count).step_by(step as usize).take(self.revoked as usize)
    }
}

/// Sweeps.
///
/// # Errors
/// When a program is missing; when others than those named ended, or those too late or without their reason.
pub fn run(sweep: &Sweep) -> Result<()> {
    ensure!(
        sweep.named().count() == sweep.revoked as usize,
        "--revoked: {} of {} carry packets and stay up",
        FLOWS,
        sweep.count
    );
    let initiators = machine::choose(None)?.core;
    let (network, folder) = (Network::new(false)?, tempfile::tempdir()?);
    callers::certify(folder.path(), &[])?;
    let authority = callers::authority(folder.path(), "sub")?;
    let served = Arc::new(Served::default());
    publish(&served, authority.list(std::iter::empty(), 0)?)?;
    let _server = Server::start(&network.responder, (PORT, initiators), Arc::clone(&served))?;
    let prepared = Load { log: "info", more: more(), ..Load::of(sweep.count) };
    let core = first_core(initiators)?;
    let responder = responders::ravelind(&SCENARIO, &prepared, &network, folder.path(), core)?;
    let bench = Bench {
        sweep,
        responder: &responder,
        callers: Callers { network: &network, folder: folder.path(), core: initiators },
    };
    let (load, closed) = bench.swept(|| publish(&served, authority.list(sweep.named(), 1)?))?;
    let report = Report {
        scenario: "ike-sweep/ecdsa-p256",
        tunnels: sweep.count,
        revoked: sweep.revoked,
        closed_ms: u64::try_from(closed.as_millis()).unwrap_or(u64::MAX),
        logged: logged(folder.path())?,
        up: up(&responder)?,
        load,
    };
    let text =
        if sweep.json { serde_json::to_string(&report)? } else { serde_json::to_string_pretty(&report)? };
    println!("{text}");
    judge(&report)
}

fn more() -> String {
    format!(
        "[ca-profile.sub]\ncertificate = \"sub.pem\"\nrevocation-check = \"crl\"\ncrl = [\"http://127.0.0.1:{PORT}{LIST}\"]\n"
    )
}

fn publish(served: &Served, list: Vec<u8>) -> Result<()> {
    *served.list.lock().ok().context("the server's thread has ended")? = list;
    Ok(())
}

struct Bench<'a> {
    sweep: &'a Sweep,
    responder: &'a Responder,
    callers: Callers<'a>,
}

impl Bench<'_> {
    /// Has everybody call, and when all are up has `publish` name some; the generator's report, and how long it took
    /// until those were closed.
    fn swept(&self, publish: impl FnOnce() -> Result<()>) -> Result<(Value, Duration)> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let calling = scope.spawn(|| {
                let load = self.load();
                over.store(true, Relaxed);
                load
            });
            let closed = self.close(&over, publish);
            let load = calling.join().map_err(|_| anyhow::anyhow!("the generator's thread has ended"))?;
            // Why they are not up is what the generator says.
            let load = load?;
            callers::all_up(&load, self.sweep.count as usize)?;
            Ok((load, closed?))
        })
    }

    fn close(&self, over: &AtomicBool, publish: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let Sweep { count, revoked, .. } = *self.sweep;
        until(PATIENCE, "everybody is believed", || {
            ensure!(!over.load(Relaxed), "the generator has ended before everybody was believed");
            Ok(self.responder.counters()?.of("revocation-good-by-crl")? >= u64::from(count))
        })?;
        until(PATIENCE, "everybody is up", || Ok(up(self.responder)? == count as usize))?;
        publish()?;
        let began = Instant::now();
        let output = self.responder.ask(&["pki", "crl-update", "sub"])?.output()?;
        ensure!(output.status.success(), "crl-update: {}", String::from_utf8_lossy(&output.stderr));
        let ended = || Ok(self.responder.counters()?.of("revocation-tunnels-ended")? >= u64::from(revoked));
        until(PATIENCE, "those that are named are closed", ended)?;
        Ok(began.elapsed())
    }

    fn load(&self) -> Result<Value> {
        let Sweep { count, concurrency, stay, .. } = *self.sweep;
        let call = Call { numbers: 0..count, authority: "sub", certificates_from: 0, are_others: false };
        let (concurrency, stay) = (concurrency.to_string(), stay.max(STAY).to_string());
        let pid = self.responder.id().to_string();
        self.callers
            .call(&call, &["--ping", INSIDE, "--concurrency", &concurrency, "--stay", &stay, "--pid", &pid])
    }
}

/// How many tunnels are up.
fn up(responder: &Responder) -> Result<usize> {
    let output = responder.ask(&["show", "tunnels"])?.output().context("starting ravelin")?;
    let answer: Value = serde_json::from_slice(&output.stdout).context("ravelin lists its tunnels")?;
    let tunnels = answer.get("tunnels").and_then(Value::as_array).context("there are tunnels")?;
    Ok(tunnels.iter().filter(|tunnel| tunnel.get("state").and_then(Value::as_str) == Some("up")).count())
}

fn logged(folder: &Path) -> Result<usize> {
    let log = fs::read_to_string(folder.join(LOG))?;
    Ok(log.lines().filter(|line| line.contains("ike-down") && line.contains("RV-PKI-044")).count())
}

/// Whether it was what it says.
fn judge(report: &Report) -> Result<()> {
    let Report { tunnels, revoked, closed_ms, logged, up, load, .. } = report;
    ensure!(*closed_ms <= PROMISED, "the last one was closed after {closed_ms} ms; {PROMISED} are promised");
    ensure!(*logged == *revoked as usize, "{logged} of {revoked} have their reason in the log");
    ensure!(*up == (tunnels - revoked) as usize, "{up} of {} others are up", tunnels - revoked);
    let (sent, back) = (number(load, "/kept/packets_sent")?, number(load, "/kept/packets_received")?);
    ensure!(sent == back && sent > 0.0, "{back} of {sent} packets of others came back");
    let endings = load.pointer("/kept/endings").and_then(Value::as_object).context("endings are told")?;
    let told = endings
        .iter()
        .filter(|(ending, _)| ending.starts_with("IKE SA"))
        .filter_map(|(_, count)| count.as_u64());
    let told: u64 = told.sum();
    ensure!(told == u64::from(*revoked), "{told} peers were told, not {revoked}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(count: u32, revoked: u32) -> Sweep {
        Sweep { count, revoked, concurrency: 1, stay: 0, json: false }
    }

    /// As many are named as are to be, each once, and none of those that carry packets.
    #[test]
    fn those_that_carry_packets_are_not_named() {
        for (count, revoked) in [(32_768, 500), (2000, 100), (20, 4), (17, 1)] {
            let named: std::collections::BTreeSet<u32> = sweep(count, revoked).named().collect();
            assert_eq!(named.len(), revoked as usize, "{count}");
            assert!(named.iter().all(|number| (FLOWS..count).contains(number)), "{count}");
        }
        assert_eq!(sweep(16, 1).named().count(), 0);
    }
}
