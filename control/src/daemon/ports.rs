//! DPDK for the daemon: EAL, buffers and ports from the plan. A port under a packet socket is
//! probed by a thread inside its namespace; workers then poll it from anywhere.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use ravelin_dataplane::io::dpdk::eal::{self, Pci};
use ravelin_dataplane::io::dpdk::port::{self, Port, SpiRule, Wish};
use ravelin_dataplane::io::dpdk::{
    AttachError, Attached, BufferSizes, Buffers, Device as DpdkDevice, Eal, Lcore, QueuePair, Vdev, pool,
    vdev,
};
use ravelin_dataplane::link::Shape;
use ravelin_dataplane::sa::shard::Shard;
use ravelin_dataplane::sa::spi::Spi;
use ravelin_dataplane::worker;

use super::devices::{Devices, Seen};
use crate::config::plan::{Device, Plan};

/// Descriptors of each ring.
const DESCRIPTORS: u16 = 512;
/// Frames in the ring of a packet socket: a burst at line rate while a worker naps.
const SOCKET_FRAMES: u32 = 2048;
/// Ethernet header, two tags and FCS.
const LINK_OVERHEAD: u32 = 22;
/// Octets of packet in a usual buffer.
const ROOM: u16 = 2048;
/// The same where a packet socket is to give larger frames: it writes each into one buffer, and its largest are as long.
const JUMBO_ROOM: u16 = 12_288;
/// The longest frame that fits a slot of a packet socket's ring in the usual buffer.
const USUAL_FRAME: u32 = 1982;
/// Buffers for datagrams beyond that: reassembly.
const JUMBO: u32 = 64;
/// Buffers each worker keeps to itself.
const CACHE: u32 = 256;

/// Why DPDK does not carry the plan.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// EAL.
    #[error(transparent)]
    Eal(#[from] eal::Error),
    /// Packet memory.
    #[error(transparent)]
    Pool(#[from] pool::Error),
    /// A device's description.
    #[error("port {port}: {reason}")]
    Vdev {
        /// The port.
        port: String,
        /// Why.
        reason: vdev::Error,
    },
    /// A device that is not there or does not start.
    #[error("port {port}: {reason}")]
    Device {
        /// The port.
        port: String,
        /// Why, with what to do.
        reason: port::Error,
    },
    /// A device that cannot do what is configured.
    #[error("port {port}: {reason}")]
    Attach {
        /// The port.
        port: String,
        /// Why, with both numbers.
        reason: AttachError,
    },
    /// A kernel device that cannot be asked.
    #[error(
        "port {port}: kernel device {device} cannot be used: {reason}; does it exist in this namespace, and is it up?"
    )]
    Kernel {
        /// The port.
        port: String,
        /// The device.
        device: String,
        /// Why.
        reason: String,
    },
    /// The namespace of a port.
    #[error(
        "port {port}: namespace {namespace} cannot be entered: {reason}; create it with `ip netns add {namespace}`"
    )]
    Namespace {
        /// The port.
        port: String,
        /// The namespace.
        namespace: String,
        /// Why.
        reason: String,
    },
}

/// DPDK, running.
#[derive(Debug)]
pub struct Ports {
    /// Proof of it.
    pub eal: Eal,
    /// One lcore a worker.
    pub lcores: Vec<Lcore>,
    /// Packet buffers.
    pub buffers: Buffers,
    /// Control's handles, in the plan's order.
    pub ports: Vec<Port>,
    /// The queue pairs of each worker, one a port.
    pub pairs: Vec<Vec<QueuePair>>,
}

/// Control's handles, asked once a second.
#[derive(Debug)]
pub struct Handles(pub Vec<Port>);

impl Devices for Handles {
    /// What a driver refuses to say counts as nothing seen.
    fn look(&mut self, port: usize) -> Seen {
        let Some(port) = self.0.get_mut(port) else { return Seen::default() };
        let link_up = port.link().ok().map(|link| link.up);
        let counters = port.counters().unwrap_or_default();
        Seen {
            link_up,
            rx_missed: counters.rx_missed,
            rx_no_buffer: counters.rx_no_buffer,
            rx_errors: counters.rx_errors,
            tx_errors: counters.tx_errors,
        }
    }

    fn queues(&self, port: usize) -> u16 {
        self.0.get(port).map_or(0, Port::redirectable)
    }

    fn spread(&mut self, port: usize, queues: &[u16]) -> Result<(), String> {
        let Some(port) = self.0.get_mut(port) else { return Ok(()) };
        port.spread(queues).map_err(|error| error.to_string())
    }
}

/// Starts EAL and sets up every port of the plan.
///
/// # Errors
/// What is wrong and what to do; nothing is left behind that outlives the process.
pub fn start(plan: &Plan, shape: &Shape) -> Result<Ports, PortsError> {
    let config = eal_config(plan);
    let started = Eal::start(&config)?;
    if config.shared
        && let Err(error) = started.eal.allow_capture()
    {
        tracing::warn!(%error, "dpdk-dumpcap cannot attach; everything else works");
    }
    leave_to_workers(&plan.workers.cores);
    let buffers = Buffers::new(started.eal, "frames", &buffer_sizes(plan, shape))?;
    let workers = plan.workers.cores.len();
    let mut ports = Vec::new();
    let mut pairs: Vec<Vec<QueuePair>> = (0..workers).map(|_| Vec::new()).collect();
    for index in 0..plan.ports.len() {
        let attached = attach_port(plan, index, started.eal, buffers)?;
        ports.push(attached.port);
        pairs.iter_mut().zip(attached.pairs).for_each(|(mine, pair)| mine.push(pair));
    }
    Ok(Ports { eal: started.eal, lcores: started.lcores, buffers, ports, pairs })
}

/// Megabytes of packet memory.
const ORDINARY_MB: u32 = 512;
const HUGE_MB: u32 = 1024;

/// Ordinary memory for virtual devices, huge pages for cards and for whoever wants `dpdk-dumpcap` to attach.
fn eal_config(plan: &Plan) -> eal::Config {
    let cards: Vec<String> = plan.ports.iter().filter_map(|port| card(&port.device)).collect();
    let main = spare_cpus(&plan.workers.cores);
    let mut config = eal::Config::ordinary(main, plan.workers.cores.clone(), ORDINARY_MB);
    if let Some(megabytes) = plan.huge_pages_mb.or((!cards.is_empty()).then_some(HUGE_MB)) {
        config.memory = eal::Memory::HugeFiles(vec![megabytes]);
        config.shared = true;
        config.file_prefix = "ravelin".into();
    }
    if !cards.is_empty() {
        config.pci = Pci::Only(cards);
    }
    config.extra.clone_from(&plan.eal);
    config.log = log;
    config
}

fn card(device: &Device) -> Option<String> {
    match device {
        Device::Pci(address) => Some(address.clone()),
        Device::AfPacket(_) | Device::Vdev(_) => None,
    }
}

/// Keeps this thread, and those that it makes from now on, off the workers' CPUs: some of them go before others, and one on
/// a worker's CPU would take the time of its packets. Where there are no others they are shared.
fn leave_to_workers(workers: &[usize]) {
    let mut spare = CpuSet::new();
    let those = spare_cpus(workers).into_iter().try_for_each(|cpu| spare.set(cpu));
    if let Err(error) = those.and_then(|()| sched_setaffinity(Pid::from_raw(0), &spare)) {
        tracing::warn!(%error, "threads beside the workers may run on the workers' CPUs");
    }
}

/// CPUs that no worker has; all of them where that leaves none.
fn spare_cpus(workers: &[usize]) -> Vec<usize> {
    let all: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let spare: Vec<usize> = all.iter().copied().filter(|cpu| !workers.contains(cpu)).collect();
    match (spare.is_empty(), all.is_empty()) {
        (false, _) => spare,
        (true, false) => all,
        (true, true) => vec![0],
    }
}

fn log(line: &str) {
    tracing::debug!(target: "dpdk", "{}", line.trim_end());
}

fn buffer_sizes(plan: &Plan, shape: &Shape) -> BufferSizes {
    let workers = plan.workers.cores.len() as u32;
    let rings = plan.ports.len() as u32 * workers * u32::from(DESCRIPTORS);
    let surges = plan.ports.len() * worker::WAITING;
    let waiting = shape.ike + shape.ike_init + shape.kernel + 2 * shape.injected + surges;
    let handed = shape.handoff * plan.workers.cores.len().saturating_sub(1);
    let demand = pool::Demand {
        rx_descriptors: rings,
        tx_descriptors: rings,
        lcores: workers + 1,
        cache: CACHE,
        waiting: workers * (waiting + handed) as u32,
    };
    let usual = plan.buffers.unwrap_or_else(|| demand.mbufs());
    BufferSizes { usual, room: room(plan), jumbo: JUMBO, cache: CACHE, numa: None }
}

/// A card spreads a long frame over several buffers; a packet socket does not.
fn room(plan: &Plan) -> u16 {
    let is_socket =
        |index: usize| plan.ports.get(index).is_some_and(|port| matches!(port.device, Device::AfPacket(_)));
    let mut sockets = plan.interfaces.iter().filter(|interface| is_socket(interface.port));
    let is_long = sockets.any(|interface| u32::from(interface.mtu) + LINK_OVERHEAD > USUAL_FRAME);
    if is_long { JUMBO_ROOM } else { ROOM }
}

fn attach_port(plan: &Plan, index: usize, eal: Eal, buffers: Buffers) -> Result<Attached, PortsError> {
    let Some(port) = plan.ports.get(index) else { return Err(unknown(index)) };
    let name = port.name.clone();
    let mtu = plan.interfaces.iter().filter(|interface| interface.port == index).map(|i| i.mtu).max();
    let wish = Wish {
        queues: plan.workers.cores.len() as u16,
        rx_descriptors: DESCRIPTORS,
        tx_descriptors: DESCRIPTORS,
        mtu: mtu.unwrap_or(1500),
        promiscuous: false,
        spis: (0..plan.workers.cores.len() as u8).filter_map(spis_of).collect(),
    };
    inside(&name, port.namespace.as_deref(), || {
        let device = device(&name, index, &port.device, &wish, eal)?;
        attach(device, index, &wish, buffers)
            .map_err(|reason| PortsError::Attach { port: name.clone(), reason })
    })
}

/// The SPIs of a worker, which has shard `n + 1` and queue `n` from the start. While it stands still, the rule gives
/// way with its queue.
fn spis_of(worker: u8) -> Option<SpiRule> {
    let shard = Shard::new(worker + 1)?;
    Some(SpiRule { value: Spi::first_of(shard), mask: Spi::SHARD_MASK, queue: u16::from(worker) })
}

fn attach(device: DpdkDevice, index: usize, wish: &Wish, buffers: Buffers) -> Result<Attached, AttachError> {
    ravelin_dataplane::io::dpdk::attach(device, index as u16, wish, buffers)
}

fn unknown(index: usize) -> PortsError {
    PortsError::Kernel {
        port: index.to_string(),
        device: String::new(),
        reason: "no such port in the plan".into(),
    }
}

fn device(
    name: &str,
    index: usize,
    device: &Device,
    wish: &Wish,
    eal: Eal,
) -> Result<DpdkDevice, PortsError> {
    let bad_vdev = |reason| PortsError::Vdev { port: name.to_owned(), reason };
    let failed = |reason| PortsError::Device { port: name.to_owned(), reason };
    match device {
        Device::AfPacket(iface) => {
            let vdev = af_packet(name, index, iface, wish)?;
            eal.probe(&vdev).map_err(failed)
        }
        Device::Vdev(text) => {
            let (driver, arguments) = text.split_once(',').unwrap_or((text, ""));
            let vdev = Vdev::other(driver, &index.to_string(), arguments).map_err(bad_vdev)?;
            eal.probe(&vdev).map_err(failed)
        }
        Device::Pci(address) => eal.claim(address).map_err(failed),
    }
}

fn af_packet(name: &str, index: usize, iface: &str, wish: &Wish) -> Result<Vdev, PortsError> {
    let kernel_mtu = vdev::kernel_mtu(iface).map_err(|reason| PortsError::Kernel {
        port: name.to_owned(),
        device: iface.to_owned(),
        reason: reason.to_string(),
    })?;
    let options = vdev::AfPacket {
        iface,
        queues: wish.queues,
        max_frame: kernel_mtu + LINK_OVERHEAD,
        frames: SOCKET_FRAMES,
        qdisc_bypass: true,
    };
    Vdev::af_packet(&index.to_string(), &options)
        .map_err(|reason| PortsError::Vdev { port: name.to_owned(), reason })
}

/// Runs `work` in a namespace, on a thread of its own that goes no further.
fn inside<T: Send>(
    port: &str,
    namespace: Option<&str>,
    work: impl FnOnce() -> Result<T, PortsError> + Send,
) -> Result<T, PortsError> {
    let Some(namespace) = namespace else { return work() };
    let refused = |reason: String| PortsError::Namespace {
        port: port.to_owned(),
        namespace: namespace.to_owned(),
        reason,
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file =
                std::fs::File::open(format!("/run/netns/{namespace}")).map_err(|e| refused(e.to_string()))?;
            nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET)
                .map_err(|e| refused(e.to_string()))?;
            work()
        });
        thread.join().unwrap_or_else(|_| Err(refused("the thread in it panicked".into())))
    })
}
