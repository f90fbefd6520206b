//! The judge of what a gateway did before it is measured: a program that shares no code with any of them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::setup::Setup;

/// Holds the output of `who` (`ravelin`, or a peer) against the input; `counters` are the drops it counted, as
/// JSON.
///
/// # Errors
/// What is wrong with the output.
pub fn judge(setup: &Setup, who: &str, counters: &str) -> anyhow::Result<()> {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/lib/bench_oracle.py");
    let spec = setup.input.with_extension(format!("{who}.judge.json"));
    std::fs::write(&spec, serde_json::to_string(setup)?)?;
    let output = Command::new("/usr/bin/python3").arg(oracle).arg(who).arg(&spec).arg(counters).output();
    let output = output.context("python3 could not be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the oracle refuses what {who} did: {}", said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::setup::Memory;
    use super::super::suite::Suite;
    use super::super::traffic::testing;
    use super::super::traffic::{Sa, Traffic};
    use super::*;

    const COUNT: usize = 50;

    /// What the oracle says of this output, made from the right one by `change`.
    fn verdict(decap: bool, counters: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let suites = [Suite::gcm(128), Suite::gcm(256), Suite::cbc(192, 384)];
        let sas = (0..).zip(suites).map(|(index, suite)| Sa { index, suite, esn: false }).collect();
        let traffic = Traffic { decap, sas, sizes: vec![64, 100, 333] };
        let (input, output) = (folder.path().join("in.pcap"), folder.path().join("out.pcap"));
        traffic.write_proof(&input, COUNT).unwrap();
        let mut frames = testing::right_answer(&traffic, COUNT);
        change(&mut frames);
        testing::write(&output, &frames);
        let memory = Memory { huge: false, megabytes: 0 };
        let (prefix, output) = (String::new(), Some(output));
        let setup = Setup { prefix, core: 0, other: 0, memory, input, output, window: true, traffic };
        judge(&setup, "ravelin", counters).map_err(|error| error.to_string())
    }

    const DROPS: [&str; 2] = ["{\"policy-error\":1}", "{\"policy-error\":1,\"replay-duplicate\":1}"];

    /// The right output is accepted, whichever way: so the refusals below are for their own reasons.
    #[test]
    fn the_right_output_is_accepted() {
        for decap in [false, true] {
            verdict(decap, DROPS[usize::from(decap)], |_| ()).unwrap();
        }
    }

    /// A packet missing, twice, changed in its payload or TTL, or sent to somebody else is noticed.
    #[test]
    fn a_wrong_output_is_refused() {
        let refused = |decap: bool, change: fn(&mut Vec<Vec<u8>>), word: &str| {
            let said = verdict(decap, DROPS[usize::from(decap)], change).unwrap_err();
            assert!(said.contains(word), "{said}");
        };
        refused(true, |frames| drop(frames.pop()), "49 of 50");
        refused(true, |frames| frames.push(frames[7].clone()), "twice");
        refused(true, |frames| *frames[7].last_mut().unwrap() ^= 1, "changed");
        refused(true, |frames| frames[7][22] += 1, "checksum");
        refused(true, |frames| frames[7][3] ^= 1, "sent to");
        refused(false, |frames| *frames[7].last_mut().unwrap() ^= 1, "tag");
        refused(false, |frames| frames[7][37] ^= 1, "SPI");
        refused(false, |frames| drop(frames.remove(20)), "sequence number");
        refused(false, |frames| frames.push(frames[49].clone()), "sequence number");
        refused(false, |frames| drop(frames.pop()), "49 of 50");
    }

    /// Drops that were not counted, or too many, are noticed.
    #[test]
    fn wrong_counters_are_refused() {
        assert!(verdict(true, DROPS[0], |_| ()).is_err());
        assert!(verdict(true, "{}", |_| ()).is_err());
        assert!(verdict(false, "{}", |_| ()).is_err());
        assert!(verdict(false, "{\"no-sa\":2}", |_| ()).is_err());
    }
}
