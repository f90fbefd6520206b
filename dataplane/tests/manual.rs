//! The manual's table of counters is what the workers count: a reason without its line, a line
//! without its reason, or another wording fails here and not in front of an operator.

use ravelin_dataplane::link::counter::Counters;
use ravelin_dataplane::verdict::Drop;

/// First and second cell of every table row of a section whose first cell is a name.
fn rows(section: &str) -> Vec<(&'static str, &'static str)> {
    let manual = include_str!("../../docs/counters.md");
    let manual = manual.split("\n## ").find_map(|text| text.strip_prefix(section)).unwrap_or_default();
    let row = |line: &'static str| {
        let (name, meaning) = line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")?;
        Some((name, meaning))
    };
    manual.lines().filter_map(row).collect()
}

#[test]
fn every_drop_reason_stands_in_the_manual_as_the_command_line_prints_it() {
    let written: Vec<_> = rows("Drops")
        .into_iter()
        .filter_map(|(name, text)| Some((name.strip_prefix("drop-")?, text)))
        .collect();
    let counted: Vec<_> = Drop::ALL.iter().map(|reason| (reason.name(), reason.manual())).collect();
    assert_eq!(written, counted, "docs/counters.md, section Drops, against dataplane/src/verdict.rs");
}

#[test]
fn every_other_counter_stands_in_the_manual() {
    let written: Vec<_> = rows("Work").into_iter().map(|(name, _)| name).collect();
    let mut counted: Vec<_> = Counters::new(0).named().map(|(name, _)| name.replace('_', "-")).collect();
    counted.sort_unstable();
    assert_eq!(written, counted, "docs/counters.md, section Work, against dataplane/src/link/counter.rs");
}
