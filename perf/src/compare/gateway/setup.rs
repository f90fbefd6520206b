//! What everybody measured is told: the devices, the memory, the associations.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::traffic::Traffic;

/// Packets of a burst, for everybody.
pub const BURST: usize = 64;
/// Frames a core keeps to itself.
pub const CACHE: u32 = 256;
/// Descriptors of a ring.
pub const DESCRIPTORS: u16 = 512;
/// Octets of packet in a buffer.
pub const ROOM: u16 = 2048;

/// Where EAL keeps a directory for each process.
pub const RUNTIME: &str = "/var/run/dpdk";

/// Where packet memory comes from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Huge pages or ordinary ones.
    pub huge: bool,
    /// How much, for one program.
    pub megabytes: u32,
}

impl Memory {
    /// EAL's arguments for it.
    pub fn arguments(self) -> Vec<String> {
        let megabytes = self.megabytes.to_string();
        let words: &[&str] = if self.huge {
            &["--in-memory", "--socket-mem", &megabytes]
        } else {
            &["--no-huge", "--no-shconf", "-m", &megabytes]
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }
}

/// One run of one program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Distinguishes it from other DPDK processes.
    pub prefix: String,
    /// The core it works on.
    pub core: usize,
    /// A core for its other threads.
    pub other: usize,
    /// Its memory.
    pub memory: Memory,
    /// What it reads.
    pub input: PathBuf,
    /// Where it writes; nowhere in timed runs, which then read without end.
    pub output: Option<PathBuf>,
    /// Anti-replay windows, of 1024; off in timed runs, which read the same packets again and again.
    pub window: bool,
    /// The packets and associations.
    pub traffic: Traffic,
}

impl Setup {
    /// Name and arguments of the two devices: packets come from the first and go to the second.
    pub fn devices(&self) -> [(&'static str, String); 2] {
        let endless = if self.output.is_none() { ",infinite_rx=1" } else { "" };
        let first = ("net_pcap", format!("rx_pcap={}{endless}", self.input.display()));
        match &self.output {
            Some(path) => [first, ("net_pcap", format!("tx_pcap={}", path.display()))],
            None => [first, ("net_null", "no-rx=1".to_owned())],
        }
    }

    /// The devices as EAL's arguments.
    pub fn vdevs(&self) -> Vec<String> {
        let each = self.devices().into_iter().enumerate();
        each.flat_map(|(number, (driver, arguments))| {
            ["--vdev".to_owned(), format!("{driver}{number},{arguments}")]
        })
        .collect()
    }

    /// Buffers: the packets in the loop, and what the rings, caches and bursts hold.
    pub fn buffers(&self) -> u32 {
        self.traffic.cycle() as u32 + 16_384
    }

    /// EAL's arguments for a program of DPDK's with these cores.
    pub fn eal(&self, lcores: &str) -> Vec<String> {
        let words = ["--lcores", lcores, "--no-pci", "--file-prefix", &self.prefix, "--log-level", "4"];
        let mut arguments: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        arguments.extend(self.memory.arguments());
        arguments.extend(self.vdevs());
        arguments
    }

    /// Where its telemetry socket is.
    pub fn telemetry(&self) -> PathBuf {
        Path::new(RUNTIME).join(&self.prefix).join("dpdk_telemetry.v2")
    }
}
