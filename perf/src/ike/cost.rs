//! What a setup costs the responder, as the kernel accounts for it: processor time thread by thread, memory.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

/// A process at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// By thread: name, nanoseconds on a processor.
    threads: BTreeMap<u32, (String, u64)>,
    /// Octets of resident memory.
    resident: u64,
}

/// What happened between two readings.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Seconds of processor time of all threads but those left out.
    pub cpu_seconds: f64,
    /// By thread name, microseconds a setup; threads of one name together, those left out as well.
    pub threads_us_per_setup: BTreeMap<String, f64>,
    /// Growth of resident memory by setup, in octets.
    pub memory_octets_per_tunnel: f64,
}

impl Reading {
    /// Of this process, now.
    ///
    /// # Errors
    /// When it is not there, or the kernel keeps no account (CONFIG_SCHED_INFO).
    pub fn of(pid: u32) -> Result<Reading> {
        let folder = format!("/proc/{pid}/task");
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("no process {pid}"))? {
            let path = entry?.path();
            let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            // A thread may end between its listing and its reading.
            let (Some(id), Ok(name)) = (id, fs::read_to_string(path.join("comm"))) else { continue };
            let account = fs::read_to_string(path.join("schedstat"))
                .context("the kernel keeps no account of its threads: no schedstat")?;
            let nanoseconds = account.split(' ').next().and_then(|first| first.parse().ok());
            threads.insert(id, (name.trim().to_owned(), nanoseconds.context("schedstat is no account")?));
        }
        let pages = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = pages.split(' ').nth(1).context("statm has a second field")?.parse()?;
        Ok(Reading { threads, resident: pages * 4096 })
    }

    /// Octets of its resident memory.
    pub fn resident(&self) -> u64 {
        self.resident
    }

    /// What was used since `earlier`, over so many setups. `left_out` says of a thread's name that its time is not
    /// the setups': one that polls.
    pub fn since(&self, earlier: &Reading, setups: u64, left_out: impl Fn(&str) -> bool) -> Cost {
        let setups = setups.max(1) as f64;
        let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
        for (id, (name, now)) in &self.threads {
            let before = earlier.threads.get(id).map_or(0, |(_, before)| *before);
            *by_name.entry(common(name)).or_default() += now.saturating_sub(before);
        }
        let counted = by_name.iter().filter(|(name, _)| !left_out(name)).map(|(_, time)| time);
        let memory = self.resident.saturating_sub(earlier.resident);
        Cost {
            cpu_seconds: counted.sum::<u64>() as f64 / 1e9,
            threads_us_per_setup: by_name
                .into_iter()
                .map(|(name, time)| (name, time as f64 / 1e3 / setups))
                .filter(|(_, time)| *time >= 0.05)
                .collect(),
            memory_octets_per_tunnel: memory as f64 / setups,
        }
    }
}

/// The name without the number of a thread among its like.
fn common(name: &str) -> String {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(threads: &[(u32, &str, u64)], resident: u64) -> Reading {
        let threads = threads.iter().map(|(id, name, time)| (*id, ((*name).to_owned(), *time))).collect();
        Reading { threads, resident }
    }

    /// Threads of one name count together, one that began meanwhile counts whole, one left out is told and not
    /// counted.
    #[test]
    fn times_are_differences_by_name() {
        let before = reading(&[(1, "pool-0", 1_000_000), (3, "rte-worker-1", 5)], 4096);
        let after = reading(
            &[(1, "pool-0", 3_000_000), (2, "pool-1", 2_000_000), (3, "rte-worker-1", 8_000_005)],
            8192,
        );
        let cost = after.since(&before, 4, |name| name.starts_with("rte-worker"));
        assert_eq!(cost.cpu_seconds, 0.004);
        assert_eq!(cost.threads_us_per_setup["pool"], 1000.0);
        assert_eq!(cost.threads_us_per_setup["rte-worker"], 2000.0);
        assert_eq!(cost.memory_octets_per_tunnel, 1024.0);
    }

    /// This very process is there and has used the processor.
    #[test]
    fn a_process_is_read() {
        let reading = Reading::of(std::process::id()).unwrap();
        assert!(reading.resident > 0 && !reading.threads.is_empty());
    }
}
