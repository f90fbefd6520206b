//! One value, three readers: a table for people, JSON for programs, CSV for the records.

use std::fmt::Write;

use serde::Serialize;

use crate::machine::Machine;
use crate::measure::{Effort, Figures};
use crate::records;

/// A run.
#[derive(Debug)]
pub struct Report {
    /// Where and when.
    pub machine: Machine,
    /// How often.
    pub effort: Effort,
    /// What was seen.
    pub rows: Vec<Row>,
}

/// One scenario's figures.
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
    /// SAs the packets are spread over.
    pub sas: u32,
    /// Cycles a packet.
    pub cycles: Figures,
    /// Of these, the kernel's own on the same texts, best of repeats; absent where it is the scenario.
    pub crypto: Option<f64>,
}

impl Row {
    /// Inner octets a second on one core at the best figure, in Gbit.
    fn gigabits(&self, tsc_hz: u64) -> f64 {
        self.octets * 8.0 * tsc_hz as f64 / self.cycles.best / 1e9
    }

    /// Packets a second on one core at the best figure, in millions.
    fn megapackets(&self, tsc_hz: u64) -> f64 {
        tsc_hz as f64 / self.cycles.best / 1e6
    }
}

/// As JSON has it.
#[derive(Serialize)]
struct Lines<'r> {
    machine: &'r Machine,
    effort: Effort,
    rows: Vec<Rated<'r>>,
}

#[derive(Serialize)]
struct Rated<'r> {
    #[serde(flatten)]
    row: &'r Row,
    mpps: f64,
    gbps: f64,
}

impl Report {
    /// Machine, then one line a row, columns aligned.
    pub fn table(&self) -> String {
        let Machine { cpu, cores, core, tsc_hz, virtual_machine, kernel, revision, date } = &self.machine;
        let mut text = format!(
            "{cpu}, core {core} of {cores}, TSC {:.0} MHz{}\nLinux {kernel}, revision {revision}, {date}\n\
             cycles of the TSC a packet, {} repeats of {} bursts of 64; Gbit/s of inner octets on one core\n\n",
            *tsc_hz as f64 / 1e6,
            if *virtual_machine { ", virtual machine" } else { "" },
            self.effort.repeats,
            self.effort.bursts,
        );
        let head = [
            "scenario", "kernel", "suite", "size", "SAs", "best", "median", "p50", "p99", "crypto", "rest",
            "Mpps", "Gbit/s",
        ];
        line(&mut text, head.map(str::to_owned));
        for row in &self.rows {
            line(&mut text, self.cells(row));
        }
        text
    }

    fn cells(&self, row: &Row) -> [String; 13] {
        let tenth = |value: f64| format!("{value:.1}");
        let optional = |value: Option<f64>| value.map_or("-".to_owned(), tenth);
        [
            row.scenario.to_owned(),
            row.kernel.to_owned(),
            row.suite.clone(),
            row.size.clone(),
            row.sas.to_string(),
            tenth(row.cycles.best),
            tenth(row.cycles.median),
            tenth(row.cycles.burst_p50),
            tenth(row.cycles.burst_p99),
            optional(row.crypto),
            optional(row.crypto.map(|crypto| row.cycles.best - crypto)),
            format!("{:.2}", row.megapackets(self.machine.tsc_hz)),
            format!("{:.2}", row.gigabits(self.machine.tsc_hz)),
        ]
    }

    /// One object, a line long: the report, and in each row what follows from it and the machine. This is
    /// what `ravelin bench` reads.
    pub fn json(&self) -> anyhow::Result<String> {
        let hz = self.machine.tsc_hz;
        let rated = |row| Rated { row, mpps: Row::megapackets(row, hz), gbps: Row::gigabits(row, hz) };
        let rows = self.rows.iter().map(rated).collect();
        Ok(serde_json::to_string(&Lines { machine: &self.machine, effort: self.effort, rows })? + "\n")
    }

    /// The machine as comments, then one line a row.
    pub fn csv(&self) -> String {
        let mut text = records::head(&self.machine);
        let _ = writeln!(
            text,
            "# repeats: {}\n# bursts: {}\n\
             scenario,kernel,suite,size,octets,sas,best,median,burst_p50,burst_p99,crypto",
            self.effort.repeats, self.effort.bursts,
        );
        for Row { scenario, kernel, suite, size, octets, sas, cycles: c, crypto } in &self.rows {
            let crypto = crypto.map_or(String::new(), |crypto| format!("{crypto:.1}"));
            let _ = writeln!(
                text,
                "{scenario},{kernel},{suite},{size},{octets:.1},{sas},{:.1},{:.1},{:.1},{:.1},{crypto}",
                c.best, c.median, c.burst_p50, c.burst_p99,
            );
        }
        text
    }
}

/// Words to the left, numbers to the right.
fn line(text: &mut String, cells: [String; 13]) {
    const WIDTHS: [usize; 13] = [11, 9, 13, 5, 6, 8, 8, 8, 8, 8, 8, 7, 8];
    let row: Vec<String> = cells
        .iter()
        .zip(WIDTHS)
        .enumerate()
        .map(
            |(column, (cell, width))| {
                if column < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            },
        )
        .collect();
    let _ = writeln!(text, "{}", row.join(" ").trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Pinned;
    use serde_json::Value;

    fn report() -> Report {
        let cycles = Figures { best: 100.0, median: 110.0, burst_p50: 105.0, burst_p99: 200.0 };
        let row = |crypto| Row {
            scenario: "esp-encap",
            kernel: "ring",
            suite: "aes128-gcm16".to_owned(),
            size: "64".to_owned(),
            octets: 64.0,
            sas: 1,
            cycles,
            crypto,
        };
        let machine =
            Machine { tsc_hz: 2_000_000_000, ..Machine::here(Pinned { core: 0, other: None, cores: 1 }) };
        Report { machine, effort: Effort { repeats: 1, bursts: 1 }, rows: vec![row(None), row(Some(60.0))] }
    }

    /// Rates follow from cycles and frequency: 100 cycles at 2 GHz are 20 Mpps, 10.24 Gbit/s of 64 octets.
    #[test]
    fn rates() {
        let report = report();
        assert_eq!(report.rows[0].megapackets(report.machine.tsc_hz), 20.0);
        assert!((report.rows[0].gigabits(report.machine.tsc_hz) - 10.24).abs() < 1e-9);
    }

    /// Each of the three has every row, and the machine.
    #[test]
    fn renderings_have_all_rows_and_the_machine() {
        let report = report();
        for text in [report.table(), report.json().unwrap(), report.csv()] {
            assert_eq!(text.matches("esp-encap").count(), 2);
            assert!(text.contains(&report.machine.cpu));
        }
        assert_eq!(report.csv().lines().filter(|line| !line.starts_with('#')).count(), 3);
        assert!(report.table().contains("40.0"), "the rest beside crypto");
        serde_json::from_str::<Value>(&report.json().unwrap()).unwrap();
    }

    /// What `ravelin bench` reads is there: every key of the example its own tests read.
    #[test]
    fn json_has_what_the_command_line_reads() {
        let example = include_str!("../../control/tests/bench/esp.json");
        let (expected, seen): (Value, Value) = (
            serde_json::from_str(example).unwrap(),
            serde_json::from_str(&report().json().unwrap()).unwrap(),
        );
        for place in ["/machine", "/rows/1", "/rows/1/cycles"] {
            let (expected, seen) = (expected.pointer(place).unwrap(), seen.pointer(place).unwrap());
            assert_eq!(keys(seen), keys(expected), "{place}");
        }
        assert_eq!(seen["rows"][0]["mpps"], 20.0);
    }

    fn keys(object: &Value) -> Vec<&String> {
        object.as_object().unwrap().keys().collect()
    }
}
