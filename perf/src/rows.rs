//! Rows of a name, a figure and its unit: what `scale` and `workers` print and keep.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::machine::Machine;
use crate::records;

/// One figure.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured, as `perf/SPEC.md` names it.
    pub scenario: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

/// The rows of a run, as they come.
#[derive(Debug, Default)]
pub struct Rows(Vec<Row>);

impl Rows {
    /// Adds a figure.
    pub fn add(&mut self, scenario: impl Into<String>, value: f64, unit: &'static str) {
        self.0.push(Row { scenario: scenario.into(), value, unit });
    }

    /// One JSON object a line.
    pub fn lines(&self) -> anyhow::Result<String> {
        self.0.iter().map(|row| Ok(serde_json::to_string(row)? + "\n")).collect()
    }

    /// Machine, then one line a row, columns aligned.
    pub fn table(&self, machine: &Machine) -> String {
        let Machine { cpu, tsc_hz, revision, date, .. } = machine;
        let mut text = format!("{cpu}, TSC {:.0} MHz, revision {revision}, {date}\n\n", *tsc_hz as f64 / 1e6);
        for Row { scenario, value, unit } in &self.0 {
            let _ = writeln!(text, "{scenario:<40} {value:>14.2} {unit}");
        }
        text
    }

    /// Writes perf/records/<machine>/<date>-<name>.csv: the machine as comments, then one line a row.
    pub fn record(&self, machine: &Machine, name: &str) -> anyhow::Result<PathBuf> {
        let mut text = records::head(machine) + "scenario,value,unit\n";
        for Row { scenario, value, unit } in &self.0 {
            let _ = writeln!(text, "{scenario},{value:.2},{unit}");
        }
        records::keep(machine, &format!("-{name}"), &text)
    }
}
