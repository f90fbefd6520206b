//! `ravelin-perf ike --flood`: IKE_SA_INIT requests from a hundred thousand invented addresses, faster than anybody
//! could be served, while honest initiators call; with cookies (RFC 7296 §2.6), and without them.
//!
//! Responder and initiators as in a comparison ([`super`]); the invented requests ([`spoof`]) enter the wire beside the
//! initiators'. How many there were is ravelind's own count of what its worker took from the device.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result, ensure};
use core_affinity::CoreId;
use ravelin_dataplane::net::eth::Mac;
use serde::Serialize;

use super::network::{
    BEHIND, INITIATORS, INSIDE, Network, PROTECTED, RESPONDER, ROUTER, command_in, run as run_program,
};
use super::responders::{self, Counters, ESP, LOG, Load, PSK, Responder};
use super::spoof::{self, Sent, Spoofer};
use super::{WARMING, first_core, scenario};
use crate::ike::cost::Reading;
use crate::machine;

/// Milliseconds in which 99 of 100 honest setups are to be done.
const PROMISED: f64 = 2000.0;
/// Seconds after which an honest setup has failed.
const PATIENCE: u32 = 20;

/// What can be told about a flood.
#[derive(Debug, Clone)]
pub struct Flood {
    /// Requests from invented addresses a second.
    pub rate: f64,
    /// Honest setups begun a second.
    pub honest: f64,
    /// For so long they are begun.
    pub seconds: u32,
    /// JSON on standard output.
    pub json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    /// From how many addresses.
    addresses: u32,
    /// Seconds from its first request to its last.
    seconds: f64,
    /// Requests given to the wire a second.
    sent_per_second: f64,
    /// Frames that the worker took from its devices a second.
    received_per_second: f64,
    /// Of the requests taken, those that found the ring to control full.
    punt_init_full: u64,
    /// Requests that reached the engine.
    init_requests: u64,
    /// Of these, answered with a cookie.
    cookies_demanded: u64,
    /// Of these, dropped at the limit of half-open IKE SAs.
    init_dropped: u64,
    /// Honest setups that succeeded, and those that did not within [`PATIENCE`].
    setups: u64,
    failed: u64,
    /// Of those that succeeded.
    setup_p50_ms: f64,
    setup_p99_ms: f64,
    setup_max_ms: f64,
    /// Resident memory of ravelind before and after, in octets.
    resident_before: u64,
    resident_after: u64,
    /// Lines that ravelind logged meanwhile, at the level `info`.
    log_lines: u64,
}

impl Report {
    /// Whether honest initiators were served in time.
    fn is_kept(&self) -> bool {
        self.failed == 0 && self.setup_p99_ms <= PROMISED
    }
}

/// With cookies and without.
///
/// # Errors
/// When a program is missing; when honest initiators were not served in time behind cookies, or were without.
pub fn run(flood: &Flood) -> Result<()> {
    let with = raise(flood, ("ike-flood/cookies", "64"))?;
    tell(flood, &with)?;
    let without = raise(flood, ("ike-flood/no-cookies", "\"never\""))?;
    tell(flood, &without)?;
    ensure!(
        with.is_kept(),
        "behind cookies 99 of 100 honest setups are to take {PROMISED} ms at most, and none is to fail"
    );
    ensure!(
        !without.is_kept(),
        "without cookies honest initiators were served as well: the flood shows nothing"
    );
    Ok(())
}

fn tell(flood: &Flood, report: &Report) -> Result<()> {
    match flood.json {
        true => println!("{}", serde_json::to_string(report)?),
        false => println!("{}", serde_json::to_string_pretty(report)?),
    }
    Ok(())
}

/// One ravelind, from its start to its end.
fn raise(flood: &Flood, (name, threshold): (&'static str, &str)) -> Result<Report> {
    let initiators = machine::choose(None)?.core;
    let (network, folder) = (Network::new(false)?, tempfile::tempdir()?);
    let plan = scenario::ALL.first().context("there is a scenario")?;
    let honest = (flood.honest * f64::from(flood.seconds)) as u32;
    let prepared = Load { log: "info", more: more(threshold), ..Load::of(WARMING + honest) };
    let responder = responders::ravelind(plan, &prepared, &network, folder.path(), first_core(initiators)?)?;
    let bench = Bench { flood, plan, network: &network, responder: &responder, core: initiators };
    bench.load(0, WARMING)?;
    let before = bench.reading(folder.path())?;
    let (sent, told) = bench.flooded(honest)?;
    let after = bench.reading(folder.path())?;
    report(name, (sent, &told), &before, &after)
}

/// Whoever invents an address is taken for a peer that may call from anywhere.
fn more(threshold: &str) -> String {
    format!(
        "[ike]\nhalf-open = {{ cookie-threshold = {threshold} }}\n\
         [[route]]\ndestination = \"{}\"\nvia = \"{ROUTER}\"\n\
         [tunnel.anybody]\nlocal = \"{RESPONDER}\"\nremote = \"any\"\nremote-id = \"anybody.example\"\npsk = \"{PSK}, another\"\n\
         ike-policy = \"p\"\nipsec-transform = \"t\"\nlocal-ts = [\"{PROTECTED}\"]\nremote-ts = [\"10.63.0.0/24\"]\n",
        spoof::FROM
    )
}

/// What is read of ravelind before and after.
struct Seen {
    counters: Counters,
    resident: u64,
    lines: u64,
}

struct Bench<'a> {
    flood: &'a Flood,
    plan: &'a scenario::Scenario,
    network: &'a Network,
    responder: &'a Responder,
    core: usize,
}

impl Bench<'_> {
    fn reading(&self, folder: &Path) -> Result<Seen> {
        let log = fs::read_to_string(folder.join(LOG))?;
        Ok(Seen {
            counters: self.responder.counters()?,
            resident: Reading::of(self.responder.id())?.resident(),
            lines: log.lines().count() as u64,
        })
    }

    /// Floods until the honest initiators have ended.
    fn flooded(&self, honest: u32) -> Result<(Sent, serde_json::Value)> {
        let over = AtomicBool::new(false);
        let responder = mac(&self.network.responder)?;
        std::thread::scope(|scope| {
            let flooding = scope.spawn(|| -> Result<Sent> {
                core_affinity::set_for_current(CoreId { id: self.core });
                let proposal = self.plan.proposal.parse().map_err(|error| anyhow::anyhow!("{error}"))?;
                Spoofer::enter(&self.network.initiators, "wan0", responder, &proposal)?
                    .run(self.flood.rate, &over)
            });
            let told = self.load(WARMING, honest);
            over.store(true, Relaxed);
            let sent = flooding.join().map_err(|_| anyhow::anyhow!("the flooding thread has ended"))?;
            Ok((sent?, told?))
        })
    }

    /// This very program as so many honest initiators from this number on.
    fn load(&self, first: u32, count: u32) -> Result<serde_json::Value> {
        let program = std::env::current_exe()?;
        let mut command = command_in(&self.network.initiators, self.core, &program.to_string_lossy());
        command.args(["ike", "--json", "--local", INITIATORS, "--remote", RESPONDER, "--behind", BEHIND]);
        command.args(["--protected", PROTECTED, "--ping", INSIDE, "--psk", PSK, "--esp-proposal", ESP]);
        command.args(["--proposal", self.plan.proposal, "--patience", &PATIENCE.to_string()]);
        command.args(["--first", &first.to_string(), "--count", &count.to_string()]);
        command.args(["--concurrency", &count.to_string(), "--rate", &self.flood.honest.to_string()]);
        let output = command.output().context("starting the generator")?;
        let said = String::from_utf8_lossy(&output.stderr);
        // It also fails when not one setup succeeded, and says so in its report.
        serde_json::from_slice(&output.stdout).with_context(|| format!("the generator: {}", said.trim()))
    }
}

/// The Ethernet address at which ravelind is.
fn mac(namespace: &str) -> Result<Mac> {
    let text = run_program("ip", &["netns", "exec", namespace, "cat", "/sys/class/net/wan0/address"])?;
    let octets: Result<Vec<u8>, _> =
        text.trim().split(':').map(|octet| u8::from_str_radix(octet, 16)).collect();
    Ok(Mac(octets?.as_slice().try_into().context("an Ethernet address has six octets")?))
}

fn report(
    scenario: &'static str,
    (sent, told): (Sent, &serde_json::Value),
    before: &Seen,
    after: &Seen,
) -> Result<Report> {
    let since = |name: &str| Ok::<u64, anyhow::Error>(after.counters.of(name)? - before.counters.of(name)?);
    let seconds = sent.elapsed.as_secs_f64();
    let number = |name: &str| told.get(name).and_then(serde_json::Value::as_u64);
    let latency = |name: &str| told.get("latency_ms")?.get(name)?.as_f64();
    Ok(Report {
        scenario,
        addresses: spoof::ADDRESSES,
        seconds,
        sent_per_second: (sent.frames as f64 / seconds).round(),
        received_per_second: (since("received")? as f64 / seconds).round(),
        punt_init_full: since("drop-punt-init-full")?,
        init_requests: since("ike-init-requests")?,
        cookies_demanded: since("ike-cookies-demanded")?,
        init_dropped: since("ike-init-dropped")?,
        setups: number("setups").context("the generator counts setups")?,
        failed: number("failed").context("the generator counts failures")?,
        setup_p50_ms: latency("p50").context("the generator measures")?,
        setup_p99_ms: latency("p99").context("the generator measures")?,
        setup_max_ms: latency("max").context("the generator measures")?,
        resident_before: before.resident,
        resident_after: after.resident,
        log_lines: after.lines - before.lines,
    })
}
