//! `ravelin bench` as a program: where it looks for the one that measures, and what its exit codes say.
//!
//! In `tests/bench` a script stands where `ravelin-perf` would, because a package's tests are built without the
//! programs of others; `scripts/test` runs the two together.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure is a failed test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs a `ravelin` with nothing beside it, and with the folder `on_path` of `tests/bench` on the PATH. It is
/// linked there, not written: what has just been written may still be open in another test's child and then
/// cannot be run.
fn bench(on_path: &str, words: &[&str]) -> Output {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let ravelin = folder.path().join("ravelin");
    std::fs::hard_link(env!("CARGO_BIN_EXE_ravelin"), &ravelin).unwrap();
    Command::new(ravelin).arg("bench").args(words).env("PATH", scripts().join(on_path)).output().unwrap()
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench")
}

fn complaint(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "a refusal prints nothing on standard output");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Without the program that measures, the operator is told what to build and where to put it.
#[test]
fn what_is_missing_is_told() {
    let output = bench("no-such-folder", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("cargo build --release -p ravelin-perf"));
}

/// Figures are a table, and with `--json` one object of the schema; no daemon is asked.
#[test]
fn figures_are_shown_as_text_and_json() {
    let output = bench("figures", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("GBIT/S"));
    let output = bench("figures", &["--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["kind"], &value["schema"]), (&"bench".into(), &1.into()));
    assert_eq!(value["rows"].as_array().unwrap().len(), 6);
}

/// Each way to fail has its words and its exit code: options nobody knows, no figures, another version.
#[test]
fn failures_are_told_apart() {
    for (script, code, word) in
        [("refuses", 64, "refused"), ("fails", 1, "no figures"), ("foreign", 1, "another version")]
    {
        let output = bench(script, &[]);
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert!(complaint(&output).contains(word), "{script}");
    }
    assert_eq!(bench("figures", &["--size", "7"]).status.code(), Some(64));
}
