//! `ravelin-perf ike --revocation`: setups a second where every peer's certificate is asked about by OCSP, with nothing known
//! and with every answer known; then what others notice of a responder that swallows its questions (IKE-54).
//!
//! Responder and initiators as in a comparison ([`super`]), with a certificate each; ravelind asks [`super::servers`] on its
//! own loopback. In the second part others call from a third namespace all the while, at --rate: in one half of each
//! pair their responder answers, in the other it is as good as a hole; who goes first alternates. Each pair has another
//! such responder, for one that is known not to answer is left alone. The initiators are measured meanwhile, and each
//! asks about a certificate that nobody has asked about before, of a responder that lives.

use std::net::TcpListener;
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use super::callers::{self, Call, Callers, SCENARIO, number, until};
use super::network::{Network, Program};
use super::responders::{self, Load, Responder};
use super::servers::{self, Served, Server};
use super::{WARMING, first_core, hundredth};
use crate::compare::outcome::Series;
use crate::machine;

/// Ports of the responders that answer, and the first of those that do not.
const ASKED: u16 = 8881;
const ALIVE: u16 = 8882;
const DEAD: u16 = 8900;
/// Others call for as long as the initiators would take at so many setups a second, and some seconds more: a slow machine
/// that does other things. Then they are ended.
const SLOW: f64 = 100.0;
const MORE: f64 = 2.0;
/// Others that have called before the initiators begin.
const BEGUN: u64 = 5;
/// After so long something has gone wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tunnels one worker has.
const TUNNELS: u32 = 32_768;
/// What others may lose at most.
const PROMISED: f64 = 0.95;
/// Pairs from which on there is an interval.
const ENOUGH: usize = 6;

/// What can be told about it.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Setups a measurement.
    pub count: u32,
    /// Setups outstanding.
    pub concurrency: u32,
    /// Measurements of each.
    pub repeats: u32,
    /// Pairs with a responder that answers and one that does not.
    pub pairs: u32,
    /// Others who begin a second.
    pub rate: f64,
    /// JSON on standard output.
    pub json: bool,
}

/// Setups with one state of the cache. Medians of the repeats.
#[derive(Debug, Serialize)]
struct Row {
    scenario: &'static str,
    setups_per_second: f64,
    /// Least and most.
    range: [f64; 2],
    /// Setups a processor second of ravelind, its worker left out.
    setups_per_cpu_second: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    /// Questions to the responder in one repeat.
    asked: u64,
}

/// What others noticed.
#[derive(Debug, Serialize)]
struct Hole {
    scenario: &'static str,
    pairs: usize,
    /// Initiators' setups a second while the others' responder answers, and while it does not. Medians.
    alive: f64,
    dead: f64,
    /// `dead / alive`: the median of the pairs, and an interval that has the true one with 95 % at least.
    ratio: f64,
    interval: [f64; 2],
    /// Of each pair.
    ratios: Vec<f64>,
    /// Others that waited for word at the most, of those that were counted.
    waiting: u64,
    /// Whether the interval says that less than 5 % were lost; of fewer than six pairs nothing is said.
    shown: Option<bool>,
}

/// Measures both.
///
/// # Errors
/// When something is missing, a setup failed, or more was lost than may be.
pub fn run(options: &Revocation) -> Result<()> {
    let initiators = machine::choose(None)?.core;
    let (network, folder) = (Network::new(false)?.with_others()?, tempfile::tempdir()?);
    let plan = Plan::of(options);
    let tunnels = plan.initiators() + plan.others();
    ensure!(
        tunnels <= TUNNELS,
        "that takes {tunnels} tunnels of {TUNNELS}: a lower --count, or fewer --pairs"
    );
    let dead = plan.dead();
    let names: Vec<&str> = ["asked", "alive"].into_iter().chain(dead.iter().map(String::as_str)).collect();
    callers::certify(folder.path(), &names)?;
    let serve = |name: &str, port, count| -> Result<(Arc<Served>, Server)> {
        let authority = callers::authority(folder.path(), name)?;
        let answers = (0..count).map(|number| authority.good(number)).collect::<Result<_>>()?;
        let served = Arc::new(Served { answers, ..Served::default() });
        let server = Server::start(&network.responder, (port, initiators), Arc::clone(&served))?;
        Ok((served, server))
    };
    let (asked, _server) = serve("asked", ASKED, plan.initiators())?;
    let (_, _other) = serve("alive", ALIVE, plan.others())?;
    let ports = (0..options.pairs).map(|pair| servers::swallow(&network.responder, port(pair)));
    let _holes: Vec<TcpListener> = ports.collect::<Result<_>>()?;
    let prepared = Load { others: plan.others(), more: plan.more(&dead), ..Load::of(plan.initiators()) };
    let core = first_core(initiators)?;
    let responder = responders::ravelind(&SCENARIO, &prepared, &network, folder.path(), core)?;
    let callers = Callers { network: &network, folder: folder.path(), core: initiators };
    let bench = Bench { options, plan, responder: &responder, callers, asked: &asked };
    bench.call("sub", 0..WARMING, 0)?;
    for row in bench.rows()? {
        tell(options.json, &row)?;
    }
    let hole = bench.hole(&dead, folder.path())?;
    tell(options.json, &hole)?;
    ensure!(
        hole.shown != Some(false),
        "that less than 5 % are lost is not shown: the ratio is {} ({} to {})",
        hole.ratio,
        hole.interval[0],
        hole.interval[1]
    );
    Ok(())
}

fn tell(json: bool, report: &impl Serialize) -> Result<()> {
    let text = if json { serde_json::to_string(report) } else { serde_json::to_string_pretty(report) };
    println!("{}", text?);
    Ok(())
}

/// The port of the responder that does not answer in this pair.
fn port(pair: u32) -> u16 {
    DEAD.saturating_add(pair as u16)
}

/// Who has which addresses: whoever comes up calls once. Certificates of one authority have the numbers of the addresses.
#[derive(Clone, Copy)]
struct Plan {
    count: u32,
    repeats: u32,
    pairs: u32,
    /// Others in half a pair.
    others: u32,
}

impl Plan {
    fn of(options: &Revocation) -> Plan {
        let Revocation { count, repeats, pairs, rate, .. } = *options;
        let others = (rate * (f64::from(count) / SLOW + MORE)).ceil() as u32;
        Plan { count, repeats: repeats.max(1), pairs, others: others.max(1) }
    }

    /// Addresses of initiators in all: of three states of the cache, and two halves of a pair.
    fn initiators(&self) -> u32 {
        WARMING + self.count * (3 * self.repeats + 2 * self.pairs)
    }

    /// Addresses of others: the first are of those who never come up, again and again.
    fn others(&self) -> u32 {
        self.others * (self.pairs + 1)
    }

    /// The initiators of the measurement of this number.
    fn turn(&self, turn: u32) -> Range<u32> {
        let first = WARMING + self.count * turn;
        first..first + self.count
    }

    /// The others of a pair, while their responder answers or while it does not.
    fn others_of(&self, pair: u32, answers: bool) -> Range<u32> {
        let turn = if answers { pair + 1 } else { 0 };
        self.others * turn..self.others * (turn + 1)
    }

    fn dead(&self) -> Vec<String> {
        (0..self.pairs).map(|pair| format!("dead-{pair}")).collect()
    }

    /// By whose responder what is asked about.
    fn more(&self, dead: &[String]) -> String {
        let asking = |name: &str, port: u16| {
            format!(
                "[ca-profile.{name}]\ncertificate = \"{name}.pem\"\nrevocation-check = \"ocsp\"\nocsp = \"http://127.0.0.1:{port}/\"\n"
            )
        };
        let dead = dead.iter().zip(0..).map(|(name, pair)| asking(name, port(pair)));
        let free = "[ca-profile.sub]\ncertificate = \"sub.pem\"\nrevocation = \"off\"\n".to_owned();
        [free, asking("asked", ASKED), asking("alive", ALIVE)].into_iter().chain(dead).collect()
    }
}

struct Bench<'a> {
    options: &'a Revocation,
    plan: Plan,
    responder: &'a Responder,
    callers: Callers<'a>,
    asked: &'a Served,
}

impl Bench<'_> {
    /// Initiators with these certificates, all of whom must come up; their report.
    fn call(&self, authority: &str, numbers: Range<u32>, certificates_from: u32) -> Result<Value> {
        let (count, concurrency) = (numbers.len(), self.options.concurrency.to_string());
        let pid = self.responder.id().to_string();
        let call = Call { numbers, authority, certificates_from, are_others: false };
        let report = self.callers.call(&call, &["--concurrency", &concurrency, "--pid", &pid])?;
        callers::all_up(&report, count)?;
        Ok(report)
    }

    /// The three states, in turn.
    fn rows(&self) -> Result<[Row; 3]> {
        let mut seen: [Vec<(Value, u64)>; 3] = Default::default();
        for repeat in 0..self.plan.repeats {
            let [off, cold, warm] = [0, 1, 2].map(|state| self.plan.turn(3 * repeat + state));
            let certificates = cold.start;
            let [off_seen, cold_seen, warm_seen] = &mut seen;
            off_seen.push(self.asking("sub", off.clone(), off.start, 0)?);
            cold_seen.push(self.asking("asked", cold, certificates, self.plan.count)?);
            warm_seen.push(self.asking("asked", warm, certificates, 0)?);
        }
        let [off, cold, warm] = seen;
        Ok([
            row("ike-revocation/off", &off)?,
            row("ike-revocation/ocsp-cold", &cold)?,
            row("ike-revocation/ocsp-warm", &warm)?,
        ])
    }

    /// One measurement, in which the responder is asked so often.
    fn asking(&self, authority: &str, numbers: Range<u32>, from: u32, often: u32) -> Result<(Value, u64)> {
        let before = self.asked.asked.load(Relaxed);
        let report = self.call(authority, numbers, from)?;
        let asked = self.asked.asked.load(Relaxed) - before;
        ensure!(asked == u64::from(often), "the responder was asked {asked} times, not {often}");
        Ok((report, asked))
    }

    /// The pairs.
    fn hole(&self, dead: &[String], folder: &Path) -> Result<Hole> {
        let [mut alive, mut gone] =
            ["alive", "dead"].map(|name| Series { name: name.to_owned(), values: Vec::new() });
        let mut waiting = 0;
        for (name, pair) in dead.iter().zip(0..) {
            let mut halves = [("alive", true, &mut alive), (name.as_str(), false, &mut gone)];
            if pair % 2 == 1 {
                halves.reverse();
            }
            for ((authority, answers, series), half) in halves.into_iter().zip(0..) {
                let others = self.plan.others_of(pair, answers);
                let (rate, waited) = self.beside((authority, others), 2 * pair + half, folder)?;
                series.values.push(rate);
                waiting = waiting.max(waited);
            }
        }
        let ratios: Vec<f64> =
            alive.values.iter().zip(&gone.values).map(|(alive, dead)| dead / alive).collect();
        let interval = interval(&ratios).map(hundredth);
        let ratios = Series { name: String::new(), values: ratios };
        Ok(Hole {
            scenario: "ike-revocation/black-hole",
            pairs: ratios.values.len(),
            alive: alive.median().round(),
            dead: gone.median().round(),
            ratio: hundredth(ratios.median()),
            interval,
            shown: (ratios.values.len() >= ENOUGH).then_some(interval[0] >= PROMISED),
            ratios: ratios.values.iter().copied().map(hundredth).collect(),
            waiting,
        })
    }

    /// The initiators' setups a second while others with certificates of this authority call, and how many of those wait.
    fn beside(
        &self,
        (authority, numbers): (&str, Range<u32>),
        turn: u32,
        folder: &Path,
    ) -> Result<(f64, u64)> {
        let (count, rate) = (numbers.len().to_string(), self.options.rate.to_string());
        let call = Call { certificates_from: numbers.start, numbers, authority, are_others: true };
        let mut command = self.callers.command(&call, &["--rate", &rate, "--concurrency", &count])?;
        let log = std::fs::File::create(folder.join("others"))?;
        command.stdout(Stdio::null()).stderr(log);
        let before = self.requests()?;
        let mut others = Program::start(command)?;
        until(PATIENCE, "others call", || Ok(self.requests()? >= before + BEGUN))?;
        let own = self.plan.turn(3 * self.plan.repeats + turn);
        let report = self.call("asked", own.clone(), own.start)?;
        let waiting = self.waiting()?;
        if !others.is_running()? {
            let said = std::fs::read_to_string(folder.join("others"))?;
            bail!(
                "the others ended before the initiators did, after {} s of those: what they are in the way of was not \
                 measured; {said}",
                number(&report, "/seconds")?
            );
        }
        drop(others);
        until(PATIENCE, "nobody waits any more", || Ok(self.waiting()? == 0))?;
        Ok((number(&report, "/setups_per_second")?, waiting))
    }

    fn requests(&self) -> Result<u64> {
        self.responder.counters()?.of("ike-init-requests")
    }

    fn waiting(&self) -> Result<u64> {
        let output = self.responder.ask(&["show", "revocation"])?.output().context("starting ravelin")?;
        let answer: Value =
            serde_json::from_slice(&output.stdout).context("ravelin says what it waits for")?;
        answer.get("waiting").and_then(Value::as_u64).context("it says how many wait")
    }
}

fn row(scenario: &'static str, seen: &[(Value, u64)]) -> Result<Row> {
    let series = |name: &str| -> Result<Series> {
        let values = seen.iter().map(|(report, _)| number(report, name)).collect::<Result<_>>()?;
        Ok(Series { name: name.to_owned(), values })
    };
    let rate = series("/setups_per_second")?;
    Ok(Row {
        scenario,
        setups_per_second: rate.median().round(),
        range: [rate.quantile(0.0).round(), rate.quantile(1.0).round()],
        setups_per_cpu_second: series("/responder/setups_per_cpu_second")?.median().round(),
        latency_p50_ms: series("/latency_ms/p50")?.median(),
        latency_p99_ms: series("/latency_ms/p99")?.median(),
        asked: seen.first().map_or(0, |(_, asked)| *asked),
    })
}

/// An interval that has the median of what was drawn from with 95 % at least: from the `k`th least to the `k`th most value,
/// where fewer than `k` of so many fall on one side of it with 2.5 % at most (the sign test turned round).
fn interval(values: &[f64]) -> [f64; 2] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    // The chance that k of them are on one side, and that fewer are.
    let (mut chance, mut fewer, mut k) = (0.5_f64.powi(count as i32), 0.0, 0_usize);
    while fewer + chance <= 0.025 {
        fewer += chance;
        chance *= (count - k) as f64 / (k + 1) as f64;
        k += 1;
    }
    // With too few values there is none: then the least and the most.
    let (least, most) = (k.saturating_sub(1), count.saturating_sub(k.max(1)));
    [least, most].map(|at| sorted.get(at).copied().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranks of the textbooks: of 15 values the 4th and the 12th, of 10 the 2nd and the 9th, of 6 the ends.
    #[test]
    fn the_interval_of_a_median_has_the_known_ranks() {
        let ranks = |count: u32| interval(&(1..=count).rev().map(f64::from).collect::<Vec<_>>());
        assert_eq!([ranks(15), ranks(10), ranks(6)], [[4.0, 12.0], [2.0, 9.0], [1.0, 6.0]]);
        assert_eq!(ranks(3), [1.0, 3.0], "too few for 95 %: all of them");
        assert!(interval(&[])[0].is_nan());
    }

    /// Nobody calls twice who has come up, neither initiators nor others.
    #[test]
    fn turns_do_not_overlap() {
        let options =
            Revocation { count: 100, concurrency: 1, repeats: 3, pairs: 15, rate: 20.0, json: false };
        let plan = Plan::of(&options);
        let turns = 3 * plan.repeats + 2 * plan.pairs;
        let all: Vec<u32> = (0..turns).flat_map(|turn| plan.turn(turn)).collect();
        assert_eq!(all, (WARMING..plan.initiators()).collect::<Vec<_>>());
        let up = (0..plan.pairs).flat_map(|pair| plan.others_of(pair, true));
        let others: Vec<u32> = plan.others_of(14, false).chain(up).collect();
        assert_eq!(others, (0..plan.others()).collect::<Vec<_>>());
    }
}
