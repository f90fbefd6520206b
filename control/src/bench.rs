//! `ravelin bench`: what a packet costs on this machine, without daemon, network card or privileges.
//!
//! Measuring is the work of `ravelin-perf` (perf/SPEC.md, scenarios `esp-encap` and `esp-decap`), a program of
//! its own, because nothing may import what measures it. This file finds that program beside the one that runs,
//! or on the PATH, has it measure, and makes a value of what it prints, of which the command line makes text or
//! JSON. Left to the caller: exit codes, and where the output goes.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde::{Deserialize, Serialize};

use crate::api::render::table;

const PROGRAM: &str = "ravelin-perf";
/// With what clap ends a program that was told nonsense.
const USAGE: i32 = 2;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// Packet sizes: octets of the inner IP packet, or `imix`.
    #[arg(long, value_delimiter = ',', default_value = "64,imix,1420")]
    pub sizes: Vec<String>,
    /// Key size of AES-GCM in bits.
    #[arg(long, value_parser = ["128", "192", "256"], default_value = "128")]
    pub bits: String,
    /// Security associations to spread the packets over.
    #[arg(long, default_value_t = 1)]
    pub sas: u32,
    /// Repetitions, of which the best and the median are told.
    #[arg(long, default_value_t = 500)]
    pub repeats: u32,
    /// Core to run on (default: the last one there is).
    #[arg(long)]
    pub core: Option<usize>,
}

impl Options {
    /// As `ravelin-perf` is told, for the AES-GCM kernel of that name.
    fn arguments(&self, kernel: &str) -> Vec<OsString> {
        let mut words = vec!["esp".to_owned(), "--json".to_owned()];
        let pairs = [
            ("--kernel", kernel.to_owned()),
            ("--sizes", self.sizes.join(",")),
            ("--bits", self.bits.clone()),
            ("--sas", self.sas.to_string()),
            ("--repeats", self.repeats.to_string()),
        ];
        let core = self.core.map(|core| ("--core", core.to_string()));
        words.extend(pairs.into_iter().chain(core).flat_map(|(name, value)| [name.to_owned(), value]));
        words.into_iter().map(OsString::from).collect()
    }
}

/// What a packet costs, and where that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The machine.
    pub machine: Machine,
    /// A direction of one size each.
    pub rows: Vec<Row>,
}

/// The machine and the day of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model name, family, model and stepping.
    pub cpu: String,
    /// Cores there were to choose from.
    pub cores: usize,
    /// The core it was measured on.
    pub core: usize,
    /// Counts of the time stamp counter a second: the cycles of the rows.
    pub tsc_hz: u64,
    /// Whether a hypervisor is underneath, which disturbs.
    pub virtual_machine: bool,
    /// Linux release.
    pub kernel: String,
    /// Source revision of what measured.
    pub revision: String,
    /// Day, UTC.
    pub date: String,
}

/// One direction of one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `esp-encap` or `esp-decap`.
    pub scenario: String,
    /// AES-GCM kernel.
    pub kernel: String,
    /// Cipher.
    pub suite: String,
    /// Size of the inner packets, or `imix`.
    pub size: String,
    /// Mean octets of an inner packet.
    pub octets: f64,
    /// Security associations.
    pub sas: u32,
    /// Cycles a packet.
    pub cycles: Cycles,
    /// Of these, the kernel's.
    pub crypto: Option<f64>,
    /// Millions of packets a second on one core at the best figure.
    pub mpps: f64,
    /// Gbit a second of inner octets on one core at the best figure.
    pub gbps: f64,
}

/// Cycles of the time stamp counter a packet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cycles {
    /// Of the best repetition: what the code costs when nothing disturbs it.
    pub best: f64,
    /// Of the median repetition: what this machine makes of it.
    pub median: f64,
    /// Half of the bursts cost less.
    pub burst_p50: f64,
    /// 99 in a hundred bursts cost less.
    pub burst_p99: f64,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The program that measures is not installed.
    #[error(
        "ravelin-perf, which measures, is neither in {} nor on the PATH: build it with \
         `cargo build --release -p ravelin-perf` and put target/release/ravelin-perf there", .beside.display()
    )]
    Missing {
        /// The folder of the program that runs.
        beside: PathBuf,
    },
    /// It cannot be run.
    #[error("could not run {}: {source}", .program.display())]
    NotRun {
        /// Where it was found.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It did not understand the options; it has said which.
    #[error("{} refused the options", .program.display())]
    Usage {
        /// Where it was found.
        program: PathBuf,
    },
    /// It measured nothing; it has said why.
    #[error("{} gave no figures ({status})", .program.display())]
    NoFigures {
        /// Where it was found.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
    },
    /// It printed something else than figures.
    #[error("{} is of another version than this program: {source}", .program.display())]
    OtherVersion {
        /// Where it was found.
        program: PathBuf,
        /// What could not be read.
        source: serde_json::Error,
    },
}

impl BenchError {
    /// Exit code of the CLI (docs/design.md §4).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 64,
            Self::Missing { .. }
            | Self::NotRun { .. }
            | Self::NoFigures { .. }
            | Self::OtherVersion { .. } => 1,
        }
    }
}

/// Finds the program that measures: beside `executable`, else in an absolute folder of `path`.
///
/// # Errors
/// Where it should be.
pub fn find(executable: &Path, path: Option<&OsStr>) -> Result<PathBuf, BenchError> {
    let beside = executable.parent().unwrap_or(Path::new("/")).to_owned();
    let on_path = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    let mut places = std::iter::once(beside.clone()).chain(on_path).map(|folder| folder.join(PROGRAM));
    places.find(|place| is_program(place)).ok_or(BenchError::Missing { beside })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Has `program` measure with the AES-GCM kernel that workers take here. What it complains of goes to standard
/// error.
///
/// # Errors
/// It could not be run, refused, failed, or printed something else.
pub fn measure(program: PathBuf, options: &Options) -> Result<Figures, BenchError> {
    let kernel = ravelin_gcm::Kernel::detect().name();
    let output = Command::new(&program).args(options.arguments(kernel)).stderr(Stdio::inherit()).output();
    match output {
        Err(source) => Err(BenchError::NotRun { program, source }),
        Ok(output) if output.status.code() == Some(USAGE) => Err(BenchError::Usage { program }),
        Ok(output) if !output.status.success() => {
            Err(BenchError::NoFigures { program, status: output.status })
        }
        Ok(output) => read(&output.stdout).map_err(|source| BenchError::OtherVersion { program, source }),
    }
}

/// What it printed, without the rows that are not of a gateway.
fn read(printed: &[u8]) -> serde_json::Result<Figures> {
    let mut figures: Figures = serde_json::from_slice(printed)?;
    figures.rows.retain(|row| row.scenario.starts_with("esp-"));
    Ok(figures)
}

/// The text an operator sees; ends without a newline.
pub fn text(figures: &Figures) -> String {
    let Machine { cpu, cores, core, tsc_hz, virtual_machine, kernel, revision, date } = &figures.machine;
    let hypervisor = if *virtual_machine { ", virtual machine" } else { "" };
    let mhz = *tsc_hz as f64 / 1e6;
    let header =
        ["DIRECTION", "SIZE", "SUITE", "KERNEL", "SAS", "CYCLES", "MEDIAN", "CRYPTO", "MPPS", "GBIT/S"];
    format!(
        "{cpu}, core {core} of {cores}, TSC {mhz:.0} MHz{hypervisor}\nLinux {kernel}, revision {revision}, {date}\n\
         {}\nCYCLES of the TSC a packet, best repeat; MPPS and GBIT/S (inner octets) are one core's at that, without \
         network card",
        table(&header, figures.rows.iter().map(cells))
    )
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        row.scenario.trim_start_matches("esp-").to_owned(),
        row.size.clone(),
        row.suite.clone(),
        row.kernel.clone(),
        row.sas.to_string(),
        format!("{:.0}", row.cycles.best),
        format!("{:.0}", row.cycles.median),
        row.crypto.map_or("-".to_owned(), |cycles| format!("{cycles:.0}")),
        format!("{:.2}", row.mpps),
        format!("{:.2}", row.gbps),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ravelin-perf esp --json` prints; its own tests hold it to the same keys.
    const PRINTED: &[u8] = include_bytes!("../tests/bench/esp.json");

    fn place(folder: &Path, mode: u32) -> PathBuf {
        let program = folder.join(PROGRAM);
        std::fs::write(&program, "").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
        program
    }

    /// Beside the command line first, then the PATH in its order; what cannot be executed and folders that
    /// depend on where one stands are passed over.
    #[test]
    fn it_is_found_beside_and_on_the_path() {
        let [bin, other, third] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let here = bin.path().join("ravelin");
        let path = std::env::join_paths([Path::new("."), other.path(), third.path()]).unwrap();
        assert!(matches!(find(&here, Some(&path)), Err(BenchError::Missing { .. })));
        let on_path = place(third.path(), 0o755);
        place(other.path(), 0o644);
        assert_eq!(find(&here, Some(&path)).unwrap(), on_path);
        let beside = place(bin.path(), 0o755);
        assert_eq!(find(&here, Some(&path)).unwrap(), beside);
        assert_eq!(find(&here, None).unwrap(), beside);
    }

    /// Text has every row of both directions, the machine, and not what the bare ports cost.
    #[test]
    fn text_has_both_directions_and_the_machine() {
        let figures = read(PRINTED).unwrap();
        let text = text(&figures);
        assert!(text.contains(&figures.machine.cpu) && !text.contains("ram-port"));
        let lines = |word: &str| text.lines().filter(|line| line.trim_start().starts_with(word)).count();
        assert_eq!((lines("encap"), lines("decap")), (3, 3));
    }

    /// All that the operator asked for is passed on.
    #[test]
    fn options_are_passed_on() {
        let options = Options {
            sizes: vec!["64".into(), "imix".into()],
            bits: "256".into(),
            sas: 1000,
            repeats: 9,
            core: Some(3),
        };
        let words: Vec<_> =
            options.arguments("ring").into_iter().map(|word| word.into_string().unwrap()).collect();
        let expected = "esp --json --kernel ring --sizes 64,imix --bits 256 --sas 1000 --repeats 9 --core 3";
        assert_eq!(words.join(" "), expected);
    }
}
