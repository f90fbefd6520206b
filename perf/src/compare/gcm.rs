//! GCM scenarios: our kernels beside other libraries, in two processes that run in turn.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::child::{Pinning, Talker};
use super::library::Load;
use super::outcome::{Outcome, Series};
use ravelin_gcm::BURST;

/// The one that the others are compared with.
const OURS: &str = "ravelin";
/// Bursts of a measurement, where the keys do not ask for more.
const BURSTS: usize = 64;

/// The processes with the libraries: those in Rust, and those in C.
pub struct Libraries {
    processes: Vec<(Talker, Vec<String>)>,
}

impl Libraries {
    /// Builds what has to be built and starts both.
    ///
    /// # Errors
    /// When a peer cannot be built.
    pub fn start(pinning: &Pinning) -> anyhow::Result<Libraries> {
        let mut ours = pinning.command(std::env::current_exe()?);
        ours.arg("libraries");
        let theirs = pinning.command(built("build-peer", &["gcm".to_owned()])?);
        let start = |name, command| {
            let mut talker = Talker::start(name, command)?;
            let mut names = Vec::new();
            loop {
                let line = talker.line()?;
                let Some(name) = line.split(' ').next().filter(|name| !name.is_empty()) else { break };
                names.push(name.to_owned());
            }
            anyhow::Ok((talker, names))
        };
        Ok(Libraries { processes: vec![start("libraries in Rust", ours)?, start("libraries in C", theirs)?] })
    }

    /// All libraries on the same packets, in turn, `repeats` times.
    ///
    /// # Errors
    /// When two libraries do not make the same tags, or one made or accepted a wrong one.
    pub fn compare(&mut self, scenario: String, load: Load, repeats: usize) -> anyhow::Result<Outcome> {
        self.load(load)?;
        let pass = (load.keys as usize).div_ceil(BURST);
        let (warm, timed) = (pass.max(BURSTS / 4), pass.max(BURSTS));
        let mut series: Vec<Series> = Vec::new();
        for _ in 0..repeats {
            for (talker, names) in &mut self.processes {
                for name in names {
                    let cycles: f64 = talker.ask(&format!("run {name} {warm} {timed}"))?.parse()?;
                    match series.iter_mut().find(|series| series.name == *name) {
                        Some(series) => series.values.push(cycles),
                        None => series.push(Series { name: name.clone(), values: vec![cycles] }),
                    }
                }
            }
        }
        let ours = series.iter().position(|series| series.name == OURS).context("ours was measured")?;
        let ours = series.remove(ours);
        Outcome::new(scenario, &ours, &series)
    }

    fn load(&mut self, load: Load) -> anyhow::Result<()> {
        let Load { open, bits, length, keys } = load;
        let line = format!("load {} {bits} {length} {keys}", if open { "open" } else { "seal" });
        let mut digests = Vec::new();
        for (talker, names) in &mut self.processes {
            let answer = talker.ask(&line)?;
            let mine: Vec<String> = answer.split(' ').skip(1).map(str::to_owned).collect();
            digests.extend(names.iter().cloned().zip(mine));
        }
        let agree = digests.windows(2).all(|pair| matches!(pair, [(_, one), (_, other)] if one == other));
        ensure!(agree, "the libraries make different tags: {digests:?}");
        Ok(())
    }
}

/// The program that `scripts/lib/NAME ARGUMENTS` builds.
///
/// # Errors
/// What the script said is on standard error.
pub fn built(name: &str, arguments: &[String]) -> anyhow::Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/lib").join(name);
    let output = Command::new(&script)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} could not be run", script.display()))?;
    ensure!(output.status.success(), "{} failed ({})", script.display(), output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
