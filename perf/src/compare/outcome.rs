//! What a scenario gave: one value, shown as a line of JSON, a row of a table, a line of a record.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::Serialize;

use crate::machine::Machine;

/// What one program was measured to cost, repeat by repeat.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// The program.
    pub name: String,
    /// Cycles a packet.
    pub values: Vec<f64>,
}

impl Series {
    /// The value below which `share` (0 to 1) of them lie.
    pub fn quantile(&self, share: f64) -> f64 {
        quantile(&self.values, share)
    }

    /// The median.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The least.
    pub fn least(&self) -> f64 {
        self.quantile(0.0)
    }
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = share * sorted.len().saturating_sub(1) as f64;
    let at = |rank: f64| sorted.get(rank as usize).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(rank.floor()), at(rank.ceil()));
    low + (high - low) * rank.fract()
}

/// A row of the comparison. Figures are medians unless their name says otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub scenario: String,
    /// Our figure; of a gateway without the cost of the devices.
    pub ours: f64,
    /// The least of the repeats.
    pub ours_min: f64,
    /// The best peer.
    pub peer: String,
    /// Its figure, made as ours.
    pub peer_value: f64,
    /// Always `tsc_cycles_per_packet`.
    pub unit: &'static str,
    /// `peer_value / ours`: over 1 means that we are ahead.
    pub ratio: f64,
    /// Quartiles of the ratios of single repeats.
    pub ratio_quartiles: [f64; 2],
    /// The least of the repeats.
    pub peer_min: f64,
    /// Every peer's figure.
    pub peers: BTreeMap<String, f64>,
    /// With the cost of the devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ours_gross: Option<f64>,
    /// With the cost of the devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_gross: Option<f64>,
    /// testpmd's forwarding on the same devices: what is between gross and net.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<f64>,
    /// Of a mixed scenario: what it consists of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
}

/// A mixed scenario of ours beside its parts, each with the cost of the devices.
#[derive(Clone, Debug, Serialize)]
pub struct Parts {
    /// Its figure, taken between those of the parts.
    pub mixed: f64,
    /// Mean of the parts' figures: all have the same weight in the mixture.
    pub mean: f64,
    /// `mixed / mean`.
    pub over: f64,
}

impl Parts {
    /// Of the mixed scenario's repeats, and one figure for each part.
    pub fn new(mixed: &Series, parts: &Series) -> Parts {
        let mean = parts.values.iter().sum::<f64>() / parts.values.len().max(1) as f64;
        let mixed = mixed.median();
        Parts { mixed: tenth(mixed), mean: tenth(mean), over: hundredth(mixed / mean) }
    }
}

impl Outcome {
    /// As [`Self::new`], with the cost of the devices, `io`, taken off each figure.
    ///
    /// # Errors
    /// When there is no peer.
    pub fn net(scenario: String, io: &Series, ours: &Series, peers: &[Series]) -> anyhow::Result<Outcome> {
        let devices = io.median();
        let gross = Outcome::new(scenario.clone(), ours, peers)?;
        let off = |series: &Series| Series {
            name: series.name.clone(),
            values: series.values.iter().map(|value| value - devices).collect(),
        };
        let peers: Vec<Series> = peers.iter().map(off).collect();
        let net = Outcome::new(scenario, &off(ours), &peers)?;
        Ok(Outcome {
            ours_gross: Some(gross.ours),
            peer_gross: Some(gross.peer_value),
            io: Some(tenth(devices)),
            ..net
        })
    }

    /// Ours beside the best of the peers.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(scenario: String, ours: &Series, peers: &[Series]) -> anyhow::Result<Outcome> {
        let best = peers.iter().min_by(|a, b| a.median().total_cmp(&b.median())).context("no peer ran")?;
        let ratios: Vec<f64> = best.values.iter().zip(&ours.values).map(|(peer, ours)| peer / ours).collect();
        Ok(Outcome {
            scenario,
            ours: tenth(ours.median()),
            ours_min: tenth(ours.least()),
            peer: best.name.clone(),
            peer_value: tenth(best.median()),
            unit: "tsc_cycles_per_packet",
            ratio: hundredth(best.median() / ours.median()),
            ratio_quartiles: [0.25, 0.75].map(|share| hundredth(quantile(&ratios, share))),
            peer_min: tenth(best.least()),
            peers: peers.iter().map(|peer| (peer.name.clone(), tenth(peer.median()))).collect(),
            ours_gross: None,
            peer_gross: None,
            io: None,
            parts: None,
        })
    }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn hundredth(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// For people.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{:42} {:>8} {:>8} {:>8} {:>8} {:>6} {:>13}  peer\n",
        "TSC cycles a packet", "ours", "(min)", "peer", "(min)", "ratio", "quartiles"
    );
    for row in outcomes {
        let quartiles = row.ratio_quartiles.map(|ratio| format!("{ratio:.2}")).join(" to ");
        let _ = writeln!(
            text,
            "{:42} {:8.1} {:8.1} {:8.1} {:8.1} {:6.2} {quartiles:>13}  {}{}",
            row.scenario,
            row.ours,
            row.ours_min,
            row.peer_value,
            row.peer_min,
            row.ratio,
            row.peer,
            gross(row)
        );
    }
    text
}

fn gross(row: &Outcome) -> String {
    match (row.ours_gross, row.peer_gross, row.io) {
        (Some(ours), Some(peer), Some(io)) => {
            let parts = row.parts.as_ref();
            let parts =
                parts.map_or(String::new(), |it| format!("; {:.2} of its parts {:.1}", it.over, it.mean));
            format!(" (gross {ours:.1} to {peer:.1}, devices {io:.1}{parts})")
        }
        _ => String::new(),
    }
}

/// What the figures were made with, besides the machine.
#[derive(Clone, Debug)]
pub struct Build {
    dpdk: String,
    flags: String,
}

impl Build {
    /// As installed here, and as this run was asked for.
    pub fn here(priority: u8) -> Build {
        let ask = |package: &str| {
            let query = ["-W", "-f=${Package} ${Version}", package];
            let output = Command::new("dpkg-query").args(query).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let packages = ["libdpdk-dev", "libipsec-mb-dev", "libssl-dev"];
        let dpdk = packages.iter().filter_map(|package| ask(package)).collect::<Vec<_>>().join(", ");
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let flags = format!("{}; priority {priority}", arguments.join(" "));
        Build { dpdk, flags }
    }

    /// Adds where the gateways had their packets.
    pub fn with_pages(&self, huge: bool) -> Build {
        let pages = if huge { "2 MB pages" } else { "ordinary pages" };
        Build { flags: format!("{}; gateways on {pages}", self.flags), ..self.clone() }
    }
}

/// Appends a run to the record of the day: the machine as comments, then a line a scenario.
///
/// # Errors
/// What could not be written.
pub fn record(
    folder: &Path,
    machine: &Machine,
    build: &Build,
    repeats: usize,
    outcomes: &[Outcome],
) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))?;
    let path = folder.join(format!("{}.csv", machine.date));
    let failed = || format!("could not write {}", path.display());
    let mut file = std::fs::File::options().create(true).append(true).open(&path).with_context(failed)?;
    file.write_all(csv(machine, build, repeats, outcomes).as_bytes()).with_context(failed)?;
    Ok(path)
}

fn csv(machine: &Machine, build: &Build, repeats: usize, outcomes: &[Outcome]) -> String {
    let Machine { cpu, cores, core, tsc_hz, virtual_machine, kernel, revision, date } = machine;
    let mut text = format!(
        "# cpu: {cpu}\n# cores: {cores}\n# core: {core}\n# tsc_hz: {tsc_hz}\n\
         # virtual_machine: {virtual_machine}\n# kernel: {kernel}\n# peers: {}\n# revision: {revision}\n\
         # date: {date}\n# flags: {}\n# repeats: {repeats}\n\
         scenario,ours,ours_min,peer,peer_value,peer_min,ratio,ratio_25,ratio_75,ours_gross,peer_gross,io,parts_mean,over_parts\n",
        build.dpdk, build.flags,
    );
    for row in outcomes {
        let [low, high] = row.ratio_quartiles;
        let optional = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
        let _ = writeln!(
            text,
            "{},{:.1},{:.1},{},{:.1},{:.1},{:.2},{low:.2},{high:.2},{},{},{},{},{}",
            row.scenario,
            row.ours,
            row.ours_min,
            row.peer,
            row.peer_value,
            row.peer_min,
            row.ratio,
            optional(row.ours_gross),
            optional(row.peer_gross),
            optional(row.io),
            optional(row.parts.as_ref().map(|parts| parts.mean)),
            row.parts.as_ref().map_or(String::new(), |parts| format!("{:.2}", parts.over)),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, values: &[f64]) -> Series {
        Series { name: name.to_owned(), values: values.to_vec() }
    }

    fn outcome() -> Outcome {
        let peers = [series("slow", &[90.0, 90.0, 90.0]), series("fast", &[30.0, 40.0, 80.0])];
        Outcome::new("gcm/x".to_owned(), &series("ours", &[20.0, 21.0, 19.0]), &peers).unwrap()
    }

    /// The ratio is of medians, against the best peer, and over one when we are ahead.
    #[test]
    fn the_ratio_is_against_the_best_peer() {
        let outcome = outcome();
        assert_eq!((outcome.peer.as_str(), outcome.peer_value, outcome.ours), ("fast", 40.0, 20.0));
        assert_eq!((outcome.ratio, outcome.ours_min, outcome.peer_min), (2.0, 19.0, 30.0));
        assert!(outcome.ratio_quartiles[0] <= outcome.ratio && outcome.ratio_quartiles[1] >= outcome.ratio);
    }

    /// Net figures are without the devices; the quotient is of net figures, so it is the larger one.
    #[test]
    fn net_and_gross() {
        let (io, ours) = (series("io", &[50.0]), series("ours", &[150.0]));
        let outcome = Outcome::net("gateway/x".to_owned(), &io, &ours, &[series("peer", &[350.0])]).unwrap();
        assert_eq!((outcome.ours, outcome.peer_value, outcome.ratio), (100.0, 300.0, 3.0));
        assert_eq!(
            (outcome.ours_gross, outcome.peer_gross, outcome.io),
            (Some(150.0), Some(350.0), Some(50.0))
        );
    }

    /// A line of JSON has the keys that readers rely on.
    #[test]
    fn json_keys() {
        let value: serde_json::Value = serde_json::to_value(outcome()).unwrap();
        for key in ["scenario", "ours", "ours_min", "peer", "peer_value", "unit", "ratio"] {
            assert!(value.get(key).is_some(), "{key}");
        }
        assert_eq!(value["unit"], "tsc_cycles_per_packet");
    }

    /// A second run of the day does not overwrite the first.
    #[test]
    fn records_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::here(crate::machine::Pinned { core: 0, other: None, cores: 1 });
        let build = Build { dpdk: "22.11".into(), flags: String::new() };
        let path = record(folder.path(), &machine, &build, 5, &[outcome()]).unwrap();
        assert_eq!(record(folder.path(), &machine, &build, 5, &[outcome()]).unwrap(), path);
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("gcm/x,")).count(), 2);
        assert_eq!(text.matches("# peers: 22.11").count(), 2);
    }
}
