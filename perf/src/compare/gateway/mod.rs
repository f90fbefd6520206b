//! Gateway scenarios: the worker of `ravelind` beside `ipsec-secgw`, on the same virtual devices.
//!
//! Packets come from a capture in memory that is read in a loop (`net_pcap`) and go nowhere (`net_null`). First
//! each program has to show on a capture of 10,000 packets that it does the work, to an oracle that shares no
//! code with anybody (`scripts/lib/bench_oracle.py`); then all run in turn on one core. What testpmd costs
//! that carries the packets over untouched is taken off everybody's figure.

mod oracle;
mod pages;
mod peers;
mod program;
mod setup;
pub mod suite;
pub mod traffic;
pub mod worker;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::child::{Pinning, Talker};
use super::gcm::built;
use super::outcome::{Outcome, Series};
use peers::Mode;
use program::Program;
use setup::{Memory, Setup};
use suite::Suite;
use traffic::{Sa, Traffic};
use worker::READY;

/// Packets of the proof, without those that must be dropped.
const PROOF: usize = 10_000;
/// A measurement of one program.
const WINDOW: Duration = Duration::from_millis(100);
/// Memory of each program.
const MEGABYTES: u32 = 512;
/// Programs that are there at one time, and one to spare.
const PROGRAMS: u32 = 5;

/// Which packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// Inner IP packets of so many octets.
    Fixed(usize),
    /// 7 of 64, 4 of 576 and 1 of 1420 octets in 12.
    Imix,
}

/// One gateway scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// One suite and one mix of sizes.
    Plain {
        /// Decapsulating instead of encapsulating.
        decap: bool,
        /// Of all associations.
        suite: Suite,
        /// Of the packets.
        sizes: Sizes,
        /// Associations.
        sas: u32,
    },
    /// 1000 associations, half of them with 128 bits and (encapsulating) half with extended sequence
    /// numbers; packets of all sizes.
    Mixed {
        /// Decapsulating instead of encapsulating.
        decap: bool,
    },
}

/// Sizes of the mixed scenario, in turn.
const MIXED: [usize; 6] = [64, 128, 256, 576, 1024, 1420];
/// Its associations.
const MIXED_SAS: u32 = 1000;

impl Load {
    fn traffic(self) -> Traffic {
        match self {
            Load::Plain { decap, suite, sizes, sas } => {
                let sizes = match sizes {
                    Sizes::Fixed(size) => vec![size],
                    Sizes::Imix => crate::traffic::IMIX.to_vec(),
                };
                Traffic { decap, sas: (0..sas).map(|index| Sa { index, suite, esn: false }).collect(), sizes }
            }
            Load::Mixed { decap } => {
                let sa = |index| Sa {
                    index,
                    suite: Suite::gcm(if index % 2 == 0 { 128 } else { 256 }),
                    esn: !decap && index % 4 > 1,
                };
                Traffic { decap, sas: (0..MIXED_SAS).map(sa).collect(), sizes: MIXED.to_vec() }
            }
        }
    }

    /// What the mixed scenario consists of: each kind of association with each size, as many associations.
    fn parts(self) -> Vec<Traffic> {
        let Load::Mixed { decap } = self else { return Vec::new() };
        let kinds = [(128, false), (256, false), (128, true), (256, true)];
        let kinds = kinds.iter().filter(|(_, esn)| !(decap && *esn));
        let part = |bits, esn, size| {
            let sas = (0..MIXED_SAS).map(|index| Sa { index, suite: Suite::gcm(bits), esn }).collect();
            Traffic { decap, sas, sizes: vec![size] }
        };
        kinds.flat_map(|&(bits, esn)| MIXED.map(|size| part(bits, esn, size))).collect()
    }
}

/// What all gateway scenarios of a run share.
pub struct Bench {
    pinning: Pinning,
    other: usize,
    tsc_hz: f64,
    secgw: String,
    memory: Memory,
    folder: tempfile::TempDir,
    _pages: pages::Reserved,
}

impl Bench {
    /// Builds the peer and reserves huge pages, which are given back at the end.
    ///
    /// # Errors
    /// When the peer cannot be built.
    pub fn new(pinning: &Pinning, tsc_hz: u64) -> anyhow::Result<Bench> {
        let pages = pages::Reserved::new(PROGRAMS * MEGABYTES);
        if !pages.enough() {
            eprintln!("no huge pages here: every program gets ordinary ones");
        }
        Ok(Bench {
            pinning: pinning.clone(),
            other: pinning.other(),
            tsc_hz: tsc_hz as f64,
            secgw: built("build-secgw", &[setup::BURST.to_string()])?,
            memory: Memory { huge: pages.enough(), megabytes: MEGABYTES },
            folder: tempfile::Builder::new().prefix("ravelin-perf").tempdir()?,
            _pages: pages,
        })
    }

    /// Whether everybody's packets lie in huge pages.
    pub fn huge(&self) -> bool {
        self.memory.huge
    }

    /// Proves, then measures.
    ///
    /// # Errors
    /// When somebody's packets are not what they should be, or somebody loses packets.
    pub fn compare(&self, scenario: String, load: Load, repeats: usize) -> anyhow::Result<Outcome> {
        let traffic = load.traffic();
        self.prove(&traffic)?;
        let input = self.cycle("all", &traffic)?;
        let mut programs = self.programs(&traffic, &input)?;
        let mut series: Vec<Series> = programs
            .iter()
            .map(|program| Series { name: program.name.clone(), values: Vec::new() })
            .collect();
        for _ in 0..repeats {
            for (program, series) in programs.iter_mut().zip(&mut series) {
                series.values.push(program.turn(WINDOW)? * self.tsc_hz);
            }
        }
        let [io, ours, peers @ ..] = series.as_slice() else { bail!("everybody was measured") };
        let mut outcome = Outcome::net(scenario, io, ours, peers)?;
        if let Load::Mixed { .. } = load {
            outcome.parts = Some(self.parts(load, &mut programs)?);
        }
        Ok(outcome)
    }

    /// The mean of the parts of a mixed scenario, gross, and the mixed one's own figure in the same minutes.
    fn parts(&self, load: Load, programs: &mut [Program]) -> anyhow::Result<super::outcome::Parts> {
        let mixed = programs.get_mut(1).context("ours was measured")?;
        let (mut whole, mut parts) = (Series::default(), Series::default());
        for traffic in load.parts() {
            let setup = self.setup("part", &traffic, &self.cycle("part", &traffic)?);
            let command = peers::ours(&setup, &self.pinning)?;
            let mut part = Program::start("part", command, Some(READY), &setup)?;
            part.pause()?;
            let mut turns = Series::default();
            for _ in 0..5 {
                whole.values.push(mixed.turn(WINDOW)? * self.tsc_hz);
                turns.values.push(part.turn(WINDOW)? * self.tsc_hz);
            }
            parts.values.push(turns.median());
        }
        Ok(super::outcome::Parts::new(&whole, &parts))
    }

    /// Everybody, started and paused: testpmd, ours, and the peer in both modes.
    fn programs(&self, traffic: &Traffic, input: &Path) -> anyhow::Result<Vec<Program>> {
        let start = |name: &str, ready, command: &dyn Fn(&Setup) -> anyhow::Result<Command>| {
            let setup = self.setup(name, traffic, input);
            let program = Program::start(name, command(&setup)?, ready, &setup)?;
            program.pause()?;
            anyhow::Ok(program)
        };
        let mut programs = vec![
            start("testpmd", None, &|setup| Ok(peers::testpmd(setup, &self.pinning)))?,
            start("ravelin", Some(READY), &|setup| peers::ours(setup, &self.pinning))?,
        ];
        for &mode in Mode::of(traffic) {
            programs.push(start(mode.name(), None, &|setup| {
                peers::secgw(&self.secgw, mode, setup, &self.pinning)
            })?);
        }
        Ok(programs)
    }

    /// The capture that timed runs read in a loop.
    fn cycle(&self, name: &str, traffic: &Traffic) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(format!("{name}.pcap"));
        traffic.write_cycle(&path)?;
        Ok(path)
    }

    fn setup(&self, name: &str, traffic: &Traffic, input: &Path) -> Setup {
        Setup {
            prefix: format!("{}{name}", Self::prefix()),
            core: self.pinning.core(),
            other: self.other,
            memory: self.memory,
            input: input.to_owned(),
            output: None,
            window: false,
            traffic: traffic.clone(),
        }
    }

    /// Ours and the peer on 10,000 packets, with anti-replay windows, judged by the oracle.
    fn prove(&self, traffic: &Traffic) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let input = folder.join("proof.pcap");
        traffic.write_proof(&input, PROOF)?;
        let all = PROOF + traffic.to_drop();
        let setup = |name: &str| Setup {
            output: Some(folder.join(format!("{name}.out.pcap"))),
            window: true,
            ..self.setup(name, traffic, &input)
        };
        let mine = setup("proof");
        let mut talker = Talker::start("ravelin", peers::ours(&mine, &self.pinning)?)?;
        let counters = talker.line()?;
        drop(talker);
        oracle::judge(&mine, "ravelin", &counters)?;
        let theirs = Setup { traffic: traffic.without_esn(), ..setup("proof-peer") };
        let command = peers::secgw(&self.secgw, Mode::Lookaside, &theirs, &self.pinning)?;
        Program::start("ipsec-secgw", command, None, &theirs)?.finish(all as u64)?;
        oracle::judge(&theirs, "ipsec-secgw", "{}")
    }

    /// What begins the names of this run's DPDK processes.
    fn prefix() -> String {
        format!("ravelin-perf-{}-", std::process::id())
    }
}

impl Drop for Bench {
    /// Takes away the directories that EAL makes and leaves.
    fn drop(&mut self) {
        let entries = std::fs::read_dir(setup::RUNTIME).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&Self::prefix()))
        {
            // An empty directory left behind hurts nobody.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
