//! One value, three readers: a table for people, JSON for programs, CSV for the records.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::stalls::Stalls;
use crate::machine::Machine;
use crate::records;

/// A run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where and when.
    pub machine: Machine,
    /// What the machine does to a thread that does nothing.
    pub stalls: Stalls,
    /// Frames the receive queue holds.
    pub descriptors: usize,
    /// What was seen.
    pub rows: Vec<Row>,
}

/// One load of one scenario.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name of the scenario in `perf/SPEC.md`.
    pub scenario: &'static str,
    /// Crypto kernel.
    pub kernel: &'static str,
    /// Algorithm, key size and tag.
    pub suite: String,
    /// Packet sizes, as `--sizes` takes them.
    pub size: String,
    /// Mean octets of an inner packet.
    pub octets: f64,
    /// Share of the capacity that is offered.
    pub load_percent: u32,
    /// Millions of packets a second that the worker carries when its queue is never empty.
    pub capacity_mpps: f64,
    /// Millions of packets a second that came.
    pub offered_mpps: f64,
    /// Millions of packets a second that left.
    pub carried_mpps: f64,
    /// Packets recorded.
    pub packets: u64,
    /// Packets that found the queue full.
    pub lost: u64,
    /// Windows of half a millisecond that were thrown away because the scheduler took the core away.
    pub interrupted: u64,
    /// Nanoseconds from the receive queue to transmit; none if a packet was lost.
    pub nanoseconds: Option<Quantiles>,
}

/// Of all packets, so many were there no longer than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Half.
    pub p50: u64,
    /// 90 in a hundred.
    pub p90: u64,
    /// 99 in a hundred.
    pub p99: u64,
    /// 999 in a thousand.
    pub p99_9: u64,
    /// All.
    pub max: u64,
}

impl Quantiles {
    /// Of a histogram of cycles, at so many a second.
    pub fn of(cycles: &Histogram<u32>, hertz: f64) -> Quantiles {
        let nanoseconds = |cycles: u64| (cycles as f64 * 1e9 / hertz).round() as u64;
        let quantile = |part| nanoseconds(cycles.value_at_quantile(part));
        Quantiles {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            max: nanoseconds(cycles.max()),
        }
    }

    const fn all(self) -> [u64; 5] {
        [self.p50, self.p90, self.p99, self.p99_9, self.max]
    }
}

const HEAD: [&str; 14] = [
    "scenario", "kernel", "suite", "size", "load %", "capacity", "offered", "carried", "p50", "p90", "p99",
    "p99.9", "max", "lost",
];

impl Report {
    /// Machine, then one line a row, columns aligned.
    pub fn table(&self) -> String {
        let Machine { cpu, cores, core, tsc_hz, virtual_machine, kernel, revision, date } = &self.machine;
        let mut text = format!(
            "{cpu}, core {core} of {cores}, TSC {:.0} MHz{}\nLinux {kernel}, revision {revision}, {date}\n\
             nanoseconds from receive queue to transmit; Poisson arrivals, rates in Mpps, {} descriptors\n\n",
            *tsc_hz as f64 / 1e6,
            if *virtual_machine { ", virtual machine" } else { "" },
            self.descriptors,
        );
        line(&mut text, HEAD.map(str::to_owned));
        for row in &self.rows {
            line(&mut text, cells(row));
        }
        text.push('\n');
        text.push_str(&self.disturbances());
        text
    }

    fn disturbances(&self) -> String {
        let interrupted: u64 = self.rows.iter().map(|row| row.interrupted).sum();
        let Stalls { longest_ns, a_second } = self.stalls;
        format!(
            "{interrupted} windows of 0.5 ms were interrupted by other programs and not counted\n\
             this core, doing nothing, was held up {a_second:.0} times a second for over a microsecond, the longest \
             {longest_ns} ns\n"
        )
    }

    /// One object, a line long.
    pub fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// The machine as comments, then one line a row.
    pub fn csv(&self) -> String {
        let mut text = records::head(&self.machine);
        let _ = writeln!(
            text,
            "# descriptors: {}\n# arrivals: Poisson\n# longest_stall_ns: {}\n# stalls_a_second: {:.0}\n\
             scenario,kernel,suite,size,load_percent,capacity_mpps,offered_mpps,carried_mpps,p50_ns,p90_ns,p99_ns,\
             p99_9_ns,max_ns,lost,packets,interrupted",
            self.descriptors, self.stalls.longest_ns, self.stalls.a_second
        );
        for row in &self.rows {
            let _ = writeln!(text, "{},{},{}", cells(row).join(","), row.packets, row.interrupted);
        }
        text
    }
}

fn cells(row: &Row) -> [String; 14] {
    let rate = |megapackets: f64| format!("{megapackets:.3}");
    let [p50, p90, p99, p99_9, max] = match row.nanoseconds {
        Some(quantiles) => quantiles.all().map(|nanoseconds| nanoseconds.to_string()),
        None => std::array::from_fn(|_| "-".to_owned()),
    };
    [
        row.scenario.to_owned(),
        row.kernel.to_owned(),
        row.suite.clone(),
        row.size.clone(),
        row.load_percent.to_string(),
        rate(row.capacity_mpps),
        rate(row.offered_mpps),
        rate(row.carried_mpps),
        p50,
        p90,
        p99,
        p99_9,
        max,
        row.lost.to_string(),
    ]
}

/// Words to the left, numbers to the right.
fn line(text: &mut String, cells: [String; 14]) {
    const WIDTHS: [usize; 14] = [13, 8, 13, 5, 6, 8, 8, 8, 7, 7, 7, 7, 8, 6];
    let cell = |(column, (cell, width)): (usize, (&String, usize))| match column {
        0..3 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    };
    let row: Vec<String> = cells.iter().zip(WIDTHS).enumerate().map(cell).collect();
    let _ = writeln!(text, "{}", row.join(" ").trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Pinned;

    fn report() -> Report {
        let row = |lost, nanoseconds| Row {
            scenario: "latency-encap",
            kernel: "ring",
            suite: "aes128-gcm16".to_owned(),
            size: "64".to_owned(),
            octets: 64.0,
            load_percent: 50,
            capacity_mpps: 10.0,
            offered_mpps: 5.0,
            carried_mpps: 5.0,
            packets: 1000,
            lost,
            interrupted: 3,
            nanoseconds,
        };
        let mut cycles = Histogram::new_with_bounds(1, 1 << 35, 3).unwrap();
        (1..=1000).for_each(|value| cycles.record(value).unwrap());
        let rows = vec![row(0, Some(Quantiles::of(&cycles, 2e9))), row(7, None)];
        let machine = Machine::here(Pinned { core: 0, other: None, cores: 1 });
        Report { machine, stalls: Stalls { longest_ns: 9000, a_second: 100.0 }, descriptors: 512, rows }
    }

    /// Quantiles are of cycles at the counter's frequency: a thousand cycles at 2 GHz are 500 ns.
    #[test]
    fn quantiles_in_nanoseconds() {
        let quantiles = report().rows[0].nanoseconds.unwrap();
        assert_eq!(quantiles, Quantiles { p50: 250, p90: 450, p99: 495, p99_9: 500, max: 500 });
    }

    /// Each of the three has every row, and a row that lost packets shows them and no figure.
    #[test]
    fn lost_packets_are_shown_and_give_no_figure() {
        let report = report();
        for text in [report.table(), report.json().unwrap(), report.csv()] {
            assert_eq!(text.matches("latency-encap").count(), 2);
            assert!(text.contains(&report.machine.cpu));
        }
        assert!(report.csv().contains(",250,450,495,500,500,0,1000,3\n"));
        assert!(report.csv().ends_with(",-,-,-,-,-,7,1000,3\n"));
        let value: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(value["rows"][0]["nanoseconds"]["p99_9"], 500);
        assert!(value["rows"][1]["nanoseconds"].is_null());
    }
}
