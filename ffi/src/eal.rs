//! The environment: starts once, and an [`Eal`] proves that it did.
//!
//! [`Config`] becomes an argument list by a pure function; [`Eal::start`] checks what
//! EAL would answer with an abort or a riddle (CPUs outside the process's set, missing
//! huge pages), starts it, and hands out the worker lcores. What EAL says meanwhile is
//! quoted in the error.
//!
//! EAL pins the thread that starts it; that is undone here, so that threads made later
//! do not inherit one CPU. Left to the caller: pinning its own threads.
//!
//! The environment ends with the process. With [`Memory::HugeFiles`] the files of huge
//! pages stay behind and are reused by the next start under the same prefix.

use std::ffi::{CString, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::affinity::Affinity;
use crate::error::Errno;
use crate::lcore::Lcore;
use crate::log;
use crate::vdev::{self, Vdev};

/// Proof that EAL runs. Copies are free.
#[derive(Debug, Clone, Copy)]
pub struct Eal(());

/// What a start gives.
#[derive(Debug)]
pub struct Started {
    /// The proof.
    pub eal: Eal,
    /// The workers, in the order of [`Config::worker_cpus`].
    pub lcores: Vec<Lcore>,
}

/// Where packet memory comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// Huge pages as files: what secondary processes (`dpdk-dumpcap`) need. Megabytes per NUMA node.
    HugeFiles(Vec<u32>),
    /// Huge pages without files: nothing stays behind, nobody attaches. Megabytes per NUMA node.
    HugeInMemory(Vec<u32>),
    /// Ordinary pages, in megabytes: for tests and for virtual devices; network cards mostly refuse.
    Ordinary(u32),
}

/// Which PCI devices EAL may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pci {
    /// None; EAL does not scan the bus.
    None,
    /// These addresses (`0000:03:00.0`, optionally with driver arguments after a comma).
    Only(Vec<String>),
}

/// How to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// CPUs of the thread that starts EAL (control, housekeeping). At least one.
    pub main_cpus: Vec<usize>,
    /// One CPU for each worker; may repeat, and may overlap `main_cpus`, on small machines.
    pub worker_cpus: Vec<usize>,
    /// Packet memory.
    pub memory: Memory,
    /// Distinguishes several processes with DPDK on one machine.
    pub file_prefix: String,
    /// Shared configuration and IPC files, which secondary processes need.
    pub shared: bool,
    /// PCI devices.
    pub pci: Pci,
    /// Virtual devices made during start, in the namespace of the starting thread.
    /// (More can be made later and elsewhere, see [`Eal::probe`](crate::port).)
    pub vdevs: Vec<Vdev>,
    /// DPDK's telemetry socket.
    pub telemetry: bool,
    /// Further arguments as an operator wrote them; the last word is theirs.
    pub extra: Vec<String>,
    /// Where DPDK's log lines go.
    pub log: log::Sink,
}

/// Why EAL did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It starts once in a process, whether that succeeded or not.
    #[error("EAL was already started in this process; restart the process to start it anew")]
    AlreadyStarted,
    /// The loaded DPDK is not the one built for.
    #[error("built for DPDK {}.{:02} but the loaded library is {loaded:?}; install that release or rebuild", built_for / 100, built_for % 100)]
    Release {
        /// year * 100 + month.
        built_for: u32,
        /// What is loaded.
        loaded: String,
    },
    /// No CPU for the main thread.
    #[error("main_cpus is empty: name at least one CPU for the control thread")]
    NoMainCpu,
    /// More workers than DPDK has lcores.
    #[error("{wanted} workers, but DPDK was built for {limit} at most")]
    TooManyWorkers {
        /// As configured.
        wanted: usize,
        /// `RTE_MAX_LCORE` - 1.
        limit: usize,
    },
    /// A CPU this process may not use.
    #[error("CPU {cpu} is offline or outside this process's CPU set (taskset, cgroup cpuset)")]
    Cpu {
        /// The first one.
        cpu: usize,
    },
    /// Huge pages are asked for and there are not enough.
    #[error(
        "packet memory needs {wanted} MB of huge pages, {free} MB are free. Reserve them: \
         `echo {pages} > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages` and \
         `mount -t hugetlbfs none /dev/hugepages`, or configure ordinary memory for virtual devices"
    )]
    HugePages {
        /// Megabytes asked for.
        wanted: u64,
        /// Megabytes free over all page sizes.
        free: u64,
        /// 2 MB pages that would do.
        pages: u64,
    },
    /// An argument contains NUL.
    #[error("EAL argument {argument:?} contains a NUL")]
    Nul {
        /// The argument.
        argument: String,
    },
    /// `rte_eal_init` failed.
    #[error("EAL did not start: {reason}; {advice}. Arguments: {}. EAL said: {}", arguments.join(" "), said.join(" | "))]
    Init {
        /// The errno it gave.
        reason: Errno,
        /// What to do.
        advice: &'static str,
        /// What it was given.
        arguments: Vec<String>,
        /// Its last log lines.
        said: Vec<String>,
    },
}

static STARTED: AtomicBool = AtomicBool::new(false);

impl Eal {
    /// Starts EAL on the calling thread, which should be one that lives as long as the process.
    ///
    /// # Errors
    /// [`Error`]. Those before [`Error::Init`] leave EAL untouched; after `Init` the process must restart.
    pub fn start(config: &Config) -> Result<Started, Error> {
        check_machine(config)?;
        let arguments = config.arguments()?;
        let raw = c_strings(&arguments)?;
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(Error::AlreadyStarted);
        }
        log::route(config.log);
        log::forget();
        let affinity = Affinity::of_this_thread();
        let outcome = init(raw);
        affinity.restore();
        outcome.map_err(|reason| Error::Init {
            reason,
            advice: advice(reason),
            arguments,
            said: log::take_recent(),
        })?;
        config.vdevs.iter().for_each(vdev::remember);
        Ok(Started { eal: Eal(()), lcores: Lcore::all(&config.worker_cpus) })
    }

    /// Lets `dpdk-dumpcap --file-prefix=<prefix>` and `dpdk-pdump` attach. Needs
    /// [`Memory::HugeFiles`] (a hugetlbfs mount) and [`Config::shared`].
    ///
    /// # Errors
    /// The errno, when the server socket could not be made.
    pub fn allow_capture(self) -> Result<(), Errno> {
        // SAFETY: EAL runs.
        Errno::check(unsafe { dpdk_sys::rte_pdump_init() }).map(|_| ())
    }

    /// The version of the loaded library, `DPDK 22.11.11`.
    pub fn version(self) -> String {
        dpdk_sys::loaded_version()
    }
}

impl Config {
    /// A configuration for virtual devices on ordinary memory, which needs no preparation of the machine.
    pub fn ordinary(main_cpus: Vec<usize>, worker_cpus: Vec<usize>, megabytes: u32) -> Self {
        Config {
            main_cpus,
            worker_cpus,
            memory: Memory::Ordinary(megabytes),
            // Nothing is kept under it, so processes may share it; EAL makes its directory all the same.
            file_prefix: "unshared".to_owned(),
            shared: false,
            pci: Pci::None,
            vdevs: Vec::new(),
            telemetry: false,
            extra: Vec::new(),
            log: |line| eprintln!("{line}"),
        }
    }

    /// The argument list, program name first.
    ///
    /// # Errors
    /// [`Error::NoMainCpu`], [`Error::TooManyWorkers`].
    pub fn arguments(&self) -> Result<Vec<String>, Error> {
        let mut list = vec!["ravelind".to_owned(), "--lcores".to_owned(), self.lcores()?];
        list.extend(["--main-lcore", "0", "--file-prefix"].map(str::to_owned));
        list.push(self.file_prefix.clone());
        list.extend(self.memory.arguments());
        let switches = [
            ("--no-shconf", !self.shared && !self.memory.implies_no_shconf()),
            ("--no-telemetry", !self.telemetry),
        ];
        list.extend(switches.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned()));
        list.extend(self.pci.arguments());
        for vdev in &self.vdevs {
            list.extend(["--vdev".to_owned(), vdev.devargs()]);
        }
        list.extend(self.extra.iter().cloned());
        Ok(list)
    }

    /// `0@(0,1),1@2,2@3`: lcore 0 floats over the main CPUs, worker n is lcore n + 1.
    fn lcores(&self) -> Result<String, Error> {
        if self.main_cpus.is_empty() {
            return Err(Error::NoMainCpu);
        }
        let limit = dpdk_sys::RTE_MAX_LCORE as usize - 1;
        if self.worker_cpus.len() > limit {
            return Err(Error::TooManyWorkers { wanted: self.worker_cpus.len(), limit });
        }
        let main: Vec<String> = self.main_cpus.iter().map(usize::to_string).collect();
        let workers = self.worker_cpus.iter().zip(1..).map(|(cpu, lcore)| format!(",{lcore}@{cpu}"));
        Ok(format!("0@({})", main.join(",")) + &workers.collect::<String>())
    }
}

impl Memory {
    fn arguments(&self) -> Vec<String> {
        let per_node = |nodes: &[u32]| nodes.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        match self {
            Memory::HugeFiles(nodes) => vec!["--socket-mem".to_owned(), per_node(nodes)],
            Memory::HugeInMemory(nodes) => {
                vec!["--in-memory".to_owned(), "--socket-mem".to_owned(), per_node(nodes)]
            }
            Memory::Ordinary(megabytes) => {
                vec!["--no-huge".to_owned(), "-m".to_owned(), megabytes.to_string()]
            }
        }
    }

    fn implies_no_shconf(&self) -> bool {
        matches!(self, Memory::HugeInMemory(_))
    }

    fn huge_megabytes(&self) -> u64 {
        match self {
            Memory::HugeFiles(nodes) | Memory::HugeInMemory(nodes) => {
                nodes.iter().map(|n| u64::from(*n)).sum()
            }
            Memory::Ordinary(_) => 0,
        }
    }
}

impl Pci {
    fn arguments(&self) -> Vec<String> {
        match self {
            Pci::None => vec!["--no-pci".to_owned()],
            Pci::Only(addresses) => addresses.iter().flat_map(|a| ["-a".to_owned(), a.clone()]).collect(),
        }
    }
}

fn check_machine(config: &Config) -> Result<(), Error> {
    dpdk_sys::check_release()
        .map_err(|wrong| Error::Release { built_for: wrong.built_for, loaded: wrong.loaded })?;
    let allowed = Affinity::of_process();
    let mut cpus = config.main_cpus.iter().chain(&config.worker_cpus);
    if let Some(cpu) = cpus.find(|cpu| !allowed.contains(**cpu)) {
        return Err(Error::Cpu { cpu: *cpu });
    }
    let (wanted, free) = (config.memory.huge_megabytes(), free_huge_megabytes());
    if wanted > free {
        return Err(Error::HugePages { wanted, free, pages: wanted.div_ceil(2) });
    }
    Ok(())
}

/// Free huge pages of all sizes, in megabytes, from sysfs.
fn free_huge_megabytes() -> u64 {
    let Ok(sizes) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return 0 };
    sizes
        .flatten()
        .filter_map(|size| {
            let name = size.file_name().into_string().ok()?;
            let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let free: u64 =
                std::fs::read_to_string(size.path().join("free_hugepages")).ok()?.trim().parse().ok()?;
            free.checked_mul(kilobytes)
        })
        .sum::<u64>()
        / 1024
}

fn c_strings(arguments: &[String]) -> Result<Vec<*mut c_char>, Error> {
    arguments
        .iter()
        .map(|argument| {
            let text =
                CString::new(argument.as_str()).map_err(|_| Error::Nul { argument: argument.clone() })?;
            // Never given back: EAL keeps pointers into some arguments. A few hundred octets, once.
            Ok(text.into_raw())
        })
        .collect()
}

fn init(arguments: Vec<*mut c_char>) -> Result<(), Errno> {
    let count = c_int::try_from(arguments.len()).map_err(|_| Errno(libc::E2BIG))?;
    let mut argv = arguments;
    argv.push(std::ptr::null_mut());
    let argv = argv.leak();
    // SAFETY: argv is a NULL-terminated array of `count` NUL-terminated strings, none of
    // which is ever freed; STARTED makes this the only call in the process.
    let returned = unsafe { dpdk_sys::rte_eal_init(count, argv.as_mut_ptr()) };
    if returned < 0 { Err(Errno::last()) } else { Ok(()) }
}

fn advice(reason: Errno) -> &'static str {
    match reason.0 {
        libc::EACCES | libc::EPERM => {
            "huge pages or device files are not accessible: run as root or grant them (scripts/host)"
        }
        libc::ENOMEM => "packet memory could not be reserved: reserve more huge pages or ask for less",
        libc::ENODEV => "a device named in the arguments does not exist or its arguments are malformed",
        libc::ENOTSUP => {
            "a device could not be probed: check that it is bound to vfio-pci (dpdk-devbind.py -s) and its arguments"
        }
        libc::EINVAL => "an argument was not understood (EAL names it on stderr)",
        libc::EAGAIN => "another process holds the same file prefix, or VFIO is not ready",
        _ => "see what EAL said",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_a_test_run() {
        let config = Config { file_prefix: "x".into(), ..Config::ordinary(vec![0], vec![0, 1], 64) };
        assert_eq!(
            config.arguments().unwrap().join(" "),
            "ravelind --lcores 0@(0),1@0,2@1 --main-lcore 0 --file-prefix x --no-huge -m 64 --no-shconf --no-telemetry --no-pci"
        );
    }

    #[test]
    fn arguments_of_a_server_with_two_nodes_and_two_cards() {
        let config = Config {
            memory: Memory::HugeFiles(vec![1024, 512]),
            file_prefix: "ravelin".into(),
            shared: true,
            telemetry: true,
            pci: Pci::Only(vec!["0000:03:00.0".into(), "0000:03:00.1".into()]),
            extra: vec!["--log-level=8".into()],
            ..Config::ordinary(vec![0, 1], vec![2], 0)
        };
        assert_eq!(
            config.arguments().unwrap().join(" "),
            "ravelind --lcores 0@(0,1),1@2 --main-lcore 0 --file-prefix ravelin --socket-mem 1024,512 \
             -a 0000:03:00.0 -a 0000:03:00.1 --log-level=8"
        );
    }

    #[test]
    fn in_memory_already_means_no_shared_configuration() {
        // EAL refuses some duplicates, so the switch is not given twice.
        let config =
            Config { memory: Memory::HugeInMemory(vec![64]), ..Config::ordinary(vec![0], vec![], 0) };
        assert!(!config.arguments().unwrap().contains(&"--no-shconf".to_owned()));
    }

    #[test]
    fn what_would_make_eal_abort_is_refused_before() {
        let none = Config::ordinary(vec![], vec![0], 64);
        assert!(matches!(none.arguments(), Err(Error::NoMainCpu)));
        let many = Config::ordinary(vec![0], vec![0; 128], 64);
        assert!(matches!(many.arguments(), Err(Error::TooManyWorkers { wanted: 128, limit: 127 })));
        let missing = Config::ordinary(vec![0], vec![1000], 64);
        assert!(matches!(check_machine(&missing), Err(Error::Cpu { cpu: 1000 })));
        let huge =
            Config { memory: Memory::HugeFiles(vec![1 << 30]), ..Config::ordinary(vec![0], vec![], 0) };
        let error = check_machine(&huge).unwrap_err();
        assert!(
            matches!(error, Error::HugePages { .. }) && error.to_string().contains("nr_hugepages"),
            "{error}"
        );
    }
}
