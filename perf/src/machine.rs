//! What was measured on: a figure without its machine is no figure.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use core_affinity::CoreId;
use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;

/// The machine, the software and the day of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model name, family, model and stepping, as the kernel gives them.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// The core the run was pinned to.
    pub core: usize,
    /// Counts of the time stamp counter a second; not the core's clock.
    pub tsc_hz: u64,
    /// Whether a hypervisor is underneath: its steal time is in the figures.
    pub virtual_machine: bool,
    /// Linux release.
    pub kernel: String,
    /// Source revision, `+` behind it if files were changed; "unknown" outside a checkout.
    pub revision: String,
    /// Day of the run, UTC, `YYYY-MM-DD`.
    pub date: String,
}

impl Machine {
    /// This machine, today, pinned to one of its `cores`.
    pub fn here(Pinned { core, cores, .. }: Pinned) -> Machine {
        let cpuinfo = read("/proc/cpuinfo");
        Machine {
            cpu: cpu(&cpuinfo),
            cores,
            core,
            tsc_hz: ravelin_mem::tsc::frequency(),
            virtual_machine: field(&cpuinfo, "flags").split(' ').any(|flag| flag == "hypervisor"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            revision: revision(),
            date: date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())),
        }
    }

    /// A folder name for machines of this kind.
    pub fn slug(&self) -> String {
        let lower = self.cpu.to_lowercase().replace("(r)", "").replace("(tm)", "");
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    }
}

/// Where this thread runs from now on.
#[derive(Clone, Copy, Debug)]
pub struct Pinned {
    /// The core.
    pub core: usize,
    /// Another one, if there is.
    pub other: Option<usize>,
    /// Cores there were to choose from.
    pub cores: usize,
}

/// Pins this thread to `core`, or to the last core there is (the first serves interrupts).
pub fn pin(core: Option<usize>) -> anyhow::Result<Pinned> {
    let pinned = choose(core)?;
    pin_to(pinned.core)?;
    Ok(pinned)
}

/// Pins this thread to a core that was chosen before: a thread knows only the cores of the one that made it.
pub fn pin_to(core: usize) -> anyhow::Result<()> {
    ensure!(core_affinity::set_for_current(CoreId { id: core }), "could not pin to core {core}");
    Ok(())
}

/// How often the kernel has taken the core from this thread so far, for others or because it waited.
pub fn switches() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD)
        .map_or(0, |usage| usage.voluntary_context_switches() + usage.involuntary_context_switches())
}

/// `core`, or the last core there is, and pins nobody.
pub fn choose(core: Option<usize>) -> anyhow::Result<Pinned> {
    let cores = core_affinity::get_core_ids().context("the system does not tell its cores")?;
    let chosen = match core {
        Some(wanted) => cores.iter().find(|id| id.id == wanted),
        None => cores.last(),
    };
    let Some(chosen) = chosen else { bail!("there is no such core; these there are: {cores:?}") };
    let other = cores.iter().find(|id| **id != *chosen).map(|id| id.id);
    Ok(Pinned { core: chosen.id, other, cores: cores.len() })
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field<'a>(cpuinfo: &'a str, name: &str) -> &'a str {
    let pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    pairs.into_iter().find(|(key, _)| key.trim() == name).map_or("unknown", |(_, value)| value.trim())
}

fn cpu(cpuinfo: &str) -> String {
    let of = |name| field(cpuinfo, name);
    format!(
        "{} family {} model {} stepping {}",
        of("model name"),
        of("cpu family"),
        of("model"),
        of("stepping")
    )
}

fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(revision) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
    if changed { revision + "+" } else { revision }
}

/// The civil date of a Unix time, UTC, in the proleptic Gregorian calendar: years are counted from
/// March so that the leap day comes last, in eras of 400 years, which all have the same days.
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records are filed by day: the ends of months, leap years and centuries are right.
    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (1_798_761_599, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    /// Folder names are plain words, whatever the vendor prints.
    #[test]
    fn folder_names() {
        let cpuinfo =
            "cpu family\t: 6\nmodel\t\t: 207\nmodel name\t: Intel(R) Xeon(R) @ 2.30GHz\nstepping\t: 2\n";
        let machine =
            Machine { cpu: cpu(cpuinfo), ..Machine::here(Pinned { core: 0, other: None, cores: 1 }) };
        assert_eq!(machine.slug(), "intel-xeon-2-30ghz-family-6-model-207-stepping-2");
    }
}
