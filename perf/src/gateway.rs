//! A gateway to measure: real workers and graphs between two devices in memory, with one tunnel or many.
//!
//! Two of these face each other. `left` protects 10.1.0.0/16 and `right` 10.2.0.0/16; for each host on the
//! right one SA of the suite asked for, under a key of its own, carries what goes to it. The left has an
//! address for each SA, as many peers would. SAs go to workers in turn. Both are set up as control sets up
//! any gateway, by commands and published tables; only the wire between their outer ports is a loop in the
//! scenario.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use ravelin_dataplane::graph::{Clock, Settings};
use ravelin_dataplane::io::ram::{RamDevice, RamFrame, RamPool, RamPort};
use ravelin_dataplane::io::{Burst, Frame, Pool, Port};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::link::counter::Counters;
use ravelin_dataplane::link::snapshot::{self, Local, Snapshot};
use ravelin_dataplane::link::{self, ControlEnd, ExceptionEnd, Shape};
use ravelin_dataplane::net::eth::Mac;
use ravelin_dataplane::policy::publish::{self, Writer};
use ravelin_dataplane::policy::route::{Interface, NextHop, Prefix, TunnelId};
use ravelin_dataplane::policy::selector::SelectorSet;
use ravelin_dataplane::policy::spd::{Otherwise, Spd};
use ravelin_dataplane::policy::table::{Child, Tables, Tunnel};
use ravelin_dataplane::sa::lifetime::Limits;
use ravelin_dataplane::sa::outbound::Encapsulation;
use ravelin_dataplane::sa::replay::Window;
use ravelin_dataplane::sa::shard::{Shard, WorkerId};
use ravelin_dataplane::sa::spi::{Place, Slot, Spi};
use ravelin_dataplane::sa::suite::Suite;
use ravelin_dataplane::sa::{Endpoint, Mode, SaRef, inbound, outbound};
use ravelin_dataplane::verdict::Drop;
use ravelin_dataplane::worker::Worker;
use ravelin_gcm::{Kernel, KeySize};

const INSIDE: Interface = Interface { port: 0, vlan: 0 };
const OUTSIDE: Interface = Interface { port: 1, vlan: 0 };
/// The instances the two ports are in.
const PUBLIC: u16 = 1;
const PRIVATE: u16 = 2;

/// How large a gateway is.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Workers, each with a queue pair of both devices.
    pub workers: u8,
    /// Frames a queue holds.
    pub depth: usize,
    /// Frames of the pool.
    pub frames: usize,
    /// Whose tunnels the SAs are.
    pub layout: Layout,
}

/// How SAs lie in tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each has one of its own, to a host of its own.
    Each,
    /// One tunnel has all of them and leads to all hosts: the first is that of all workers, each other one its worker's
    /// own (RFC 9611). There are at most as many as workers.
    Shared,
}

impl Sizes {
    /// One worker. Queues hold a burst, and room to notice a second one; frames are few, as DPDK's per-core
    /// cache keeps handing out the ones that are warm.
    pub const ONE: Sizes = Sizes { workers: 1, depth: 256, frames: 256, layout: Layout::Each };

    /// The worker that owns an SA.
    pub const fn owner(self, sa: u32) -> WorkerId {
        WorkerId((sa % self.workers as u32) as u8)
    }

    /// The slot of an SA among those of its owner.
    const fn slot(self, sa: u32) -> u32 {
        sa / self.workers as u32
    }
}

/// SAs there can be: hosts of a network of 16 bits, with room.
pub const MOST_SAS: u32 = 60_000;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Encapsulates.
    Left,
    /// Decapsulates.
    Right,
}

impl Side {
    const fn number(self) -> u8 {
        match self {
            Side::Left => 1,
            Side::Right => 2,
        }
    }

    const fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    /// The gateway's address on the public segment.
    const fn outer(self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.number())
    }

    /// A host behind the gateway.
    pub const fn host(self) -> Ipv4Addr {
        self.nth_host(0)
    }

    /// A host behind the gateway, by its number below [`MOST_SAS`].
    pub const fn nth_host(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(Ipv4Addr::new(10, self.number(), 0, 9).to_bits() + number)
    }

    /// The network behind the gateway.
    fn network(self) -> anyhow::Result<Prefix> {
        Ok(Prefix::new(Ipv4Addr::new(10, self.number(), 0, 0).into(), 16)?)
    }

    /// The gateway's address on a port.
    pub const fn mac(self, port: u16) -> Mac {
        Mac([2, 0, 0, 0, self.number(), port as u8])
    }

    /// The Ethernet address of the host.
    pub const fn host_mac(self) -> Mac {
        Mac([2, 0, 0, 1, self.number(), 0])
    }

    /// The gateway's end of an SA.
    const fn endpoint(self, sa: u32) -> Endpoint {
        let address = match self {
            Side::Left => Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 1).to_bits() + sa),
            Side::Right => self.outer(),
        };
        Endpoint { address: IpAddr::V4(address), port: 0 }
    }
}

/// One gateway.
pub struct Gateway {
    side: Side,
    sizes: Sizes,
    control: ControlEnd<RamFrame>,
    /// Kept: a worker whose exception ring has lost its other end is not the real thing.
    _exception: ExceptionEnd<RamFrame>,
    writer: Writer<Tables>,
    workers: Vec<Worker<RamPool, RamPort>>,
    /// Towards the hosts it protects.
    pub inside: RamDevice,
    /// Towards the other gateway.
    pub outside: RamDevice,
    /// Where its frames come from.
    pub pool: RamPool,
    clock: u64,
}

impl Gateway {
    /// A gateway of one worker with its half of `sas` tunnels in place.
    pub fn new(side: Side, kernel: Kernel, size: KeySize, sas: u32) -> anyhow::Result<Gateway> {
        Gateway::of(side, kernel, size, sas, Sizes::ONE)
    }

    /// A gateway of these sizes with its half of `sas` tunnels in place.
    pub fn of(side: Side, kernel: Kernel, size: KeySize, sas: u32, sizes: Sizes) -> anyhow::Result<Gateway> {
        ensure!((1..=MOST_SAS).contains(&sas), "{sas} SAs: there are 1 to {MOST_SAS}");
        let slots = (sas as usize).max(64);
        let shape = Shape { inbound_slots: slots, outbound_slots: slots, ..Shape::usual(sizes.workers, 2) };
        let link = link::build(&shape)?;
        let queues = usize::from(sizes.workers);
        let (writer, readers) = publish::channel(Tables::new(), queues);
        let device = |at: Interface| RamDevice::new(at.port, queues, sizes.depth);
        let (inside, outside) = (device(INSIDE), device(OUTSIDE));
        let pool = RamPool::new(sizes.frames, 1);
        let ends = link.workers.into_iter().zip(readers).enumerate();
        let workers = ends.map(|(queue, (end, reader))| {
            let ports = [&inside, &outside].into_iter().filter_map(|device| device.port(queue)).collect();
            Worker::new(end, reader, pool.clone(), ports, kernel, &Settings::new(1))
        });
        let (workers, control, _exception) = (workers.collect(), link.control, link.exception);
        let mut gateway =
            Gateway { side, sizes, control, _exception, writer, workers, inside, outside, pool, clock: 0 };
        gateway.configure(sas)?;
        for number in 0..sas {
            gateway.install(size, number)?;
        }
        Ok(gateway)
    }

    /// Cycles of the first worker by station since the start, if this build counts them.
    pub fn stations(&self) -> Clock {
        self.workers.first().map(Worker::clock).unwrap_or_default()
    }

    /// Takes what the workers have to say, as control would.
    pub fn listen(&mut self) {
        for worker in self.control.workers() {
            while self.control.next_report(worker).is_some() {}
        }
    }

    /// One round of each worker: what the scenarios time. Whether any had anything to do.
    pub fn poll(&mut self) -> bool {
        self.clock += 100;
        self.workers.iter_mut().fold(false, |busy, worker| worker.poll(self.clock) | busy)
    }

    /// The workers, to be polled by threads of their own.
    pub fn workers_mut(&mut self) -> &mut [Worker<RamPool, RamPort>] {
        &mut self.workers
    }

    /// What each worker counts.
    pub fn counters(&self) -> impl Iterator<Item = &Arc<Counters>> {
        self.control.workers().filter_map(|worker| self.control.counters(worker))
    }

    /// Packets dropped so far, whatever the reason.
    pub fn dropped(&self) -> String {
        let sum = |reason| self.counters().map(|counters| counters.drops(reason)).sum::<u64>();
        let counted = Drop::ALL.iter().map(|&reason| (reason, sum(reason)));
        let named = counted.filter(|(_, count)| *count > 0);
        named.map(|(reason, count)| format!("{} {count}", reason.name())).collect::<Vec<_>>().join(", ")
    }

    fn configure(&mut self, sas: u32) -> anyhow::Result<()> {
        let side = self.side;
        let interface = |at: Interface, instance| snapshot::Interface {
            port: at.port,
            vlan: at.vlan,
            instance,
            mac: side.mac(at.port),
            mtu: 9000,
        };
        let local = Local {
            instance: PUBLIC,
            address: side.outer().into(),
            interface: Some((OUTSIDE.port, OUTSIDE.vlan)),
        };
        let interfaces = vec![interface(INSIDE, PRIVATE), interface(OUTSIDE, PUBLIC)];
        let snapshot = Snapshot::new(interfaces, vec![local]);
        let tables = self.writer.tables_mut();
        tables.set_spd(PUBLIC, Spd::new(Vec::new(), Otherwise::Bypass)?)?;
        tables.set_spd(PRIVATE, Spd::new(Vec::new(), Otherwise::Bypass)?)?;
        tables.set_route(PUBLIC, Prefix::host(side.outer().into()), Some(NextHop::Local))?;
        let segment = Prefix::new(side.outer().into(), 24)?;
        tables.set_route(PUBLIC, segment, Some(NextHop::Connected(OUTSIDE)))?;
        let peer = side.other();
        tables.set_neighbour(PUBLIC, OUTSIDE, peer.outer().into(), Some(peer.mac(OUTSIDE.port)));
        // The first host is the router to all.
        tables.set_route(PRIVATE, side.network()?, Some(NextHop::Via(INSIDE, side.host().into())))?;
        tables.set_neighbour(PRIVATE, INSIDE, side.host().into(), Some(side.host_mac()));
        let sizes = self.sizes;
        let slot = |number| SaRef { worker: sizes.owner(number), slot: sizes.slot(number) };
        let child = |number| Child::new(SelectorSet::any(), slot(number));
        match sizes.layout {
            Layout::Each => {
                for number in 0..sas {
                    let tunnel = TunnelId(number);
                    let to = Prefix::host(peer.nth_host(number).into());
                    tables.set_route(PRIVATE, to, Some(NextHop::Tunnel(tunnel)))?;
                    tables.set_tunnel(tunnel, Some(Tunnel::new(vec![child(number)])?))?;
                }
            }
            Layout::Shared => {
                tables.set_route(PRIVATE, peer.network()?, Some(NextHop::Tunnel(TunnelId(0))))?;
                let all = child(0).with_own((1..sas).map(slot));
                tables.set_tunnel(TunnelId(0), Some(Tunnel::new(vec![all])?))?;
            }
        }
        self.writer.publish();
        let snapshot = Arc::new(snapshot);
        let workers = self.control.workers();
        workers.into_iter().try_for_each(|at| self.command(at, Command::Configure(Arc::clone(&snapshot))))
    }

    /// An SA from left to right: outbound on the left, inbound on the right.
    fn install(&mut self, size: KeySize, number: u32) -> anyhow::Result<()> {
        let (owner, slot) = (self.sizes.owner(number), self.sizes.slot(number));
        let shard = Shard::new(owner.0 + 1).context("shards are numbered from 1, one a worker")?;
        let place = Place { shard, slot: Slot::new(slot).context("there are as many slots")? };
        let (spi, suite) = (Spi::new(place, 0), suite(size));
        let mut keymat = vec![0x5a; suite.keymat_length()];
        keymat.iter_mut().zip(number.to_be_bytes()).for_each(|(octet, other)| *octet ^= other);
        let key = self.control.put_key(owner, &keymat)?;
        let command = match self.side {
            Side::Left => {
                let parts = self.outbound(number, spi, suite);
                Command::InstallOutbound { slot, parts, key, turn: Turn::Now }
            }
            Side::Right => Command::InstallInbound { place, parts: self.inbound(number, spi, suite)?, key },
        };
        self.command(owner, command)
    }

    fn outbound(&self, number: u32, spi: Spi, suite: Suite) -> outbound::Parts {
        outbound::Parts {
            spi,
            suite,
            esn: true,
            last_sequence: 0,
            encapsulation: Encapsulation::between(
                PUBLIC,
                self.side.endpoint(number),
                self.side.other().endpoint(number),
            ),
            limits: Limits::NONE,
            child: 1,
        }
    }

    fn inbound(&self, number: u32, spi: Spi, suite: Suite) -> anyhow::Result<inbound::Parts> {
        Ok(inbound::Parts {
            spi,
            suite,
            mode: Mode::Tunnel,
            window: Window::new(1024, true)?,
            outer_instance: PUBLIC,
            inner_instance: PRIVATE,
            local: self.side.endpoint(number),
            peer: self.side.other().endpoint(number),
            may_move: inbound::MayMove::Nobody,
            copy_traffic_class: false,
            tcp_mss: None,
            selectors: Box::new(SelectorSet::any()),
            limits: Limits::NONE,
            child: 1,
            activates: None,
        })
    }

    /// Sends a command and polls until the worker has applied it.
    fn command(&mut self, to: WorkerId, command: Command) -> anyhow::Result<()> {
        let sequence = self.control.send(to, command).ok().context("the command ring is full")?;
        for _ in 0..16 {
            self.poll();
            if self.control.applied(to) >= sequence {
                return Ok(());
            }
        }
        bail!("the worker did not apply a command")
    }
}

fn suite(size: KeySize) -> Suite {
    match size {
        KeySize::Aes128 => Suite::AesGcm128,
        KeySize::Aes192 => Suite::AesGcm192,
        KeySize::Aes256 => Suite::AesGcm256,
    }
}

/// Copies `packets` into frames of `pool` and puts them before a queue of `device`.
pub fn deliver<B: AsRef<[u8]>>(
    pool: &mut RamPool,
    device: &RamDevice,
    queue: usize,
    packets: impl IntoIterator<Item = B>,
) -> anyhow::Result<()> {
    for packet in packets {
        let frame = pool.copy_of(packet.as_ref()).context("the pool is empty: frames have leaked")?;
        ensure!(device.deliver(queue, frame).is_ok(), "the in-memory device is full");
    }
    Ok(())
}

/// Everything that left by a device.
pub fn sent(device: &RamDevice) -> impl Iterator<Item = RamFrame> + use<'_> {
    std::iter::from_fn(|| device.sent())
}

/// A port's two ends without a gateway between them: what the in-memory device itself costs.
pub struct Loopback {
    device: RamDevice,
    port: RamPort,
    burst: Burst<RamFrame>,
}

impl Loopback {
    /// A device whose port sends what it receives.
    pub fn new() -> anyhow::Result<Loopback> {
        let device = RamDevice::new(0, 1, Sizes::ONE.depth);
        let port = device.port(0).context("the device has one queue")?;
        Ok(Loopback { device, port, burst: Burst::new() })
    }

    /// The device.
    pub fn device(&self) -> &RamDevice {
        &self.device
    }

    /// Receives a burst and sends it.
    pub fn poll(&mut self) {
        self.port.rx_burst(&mut self.burst);
        self.port.tx_burst(&mut self.burst);
    }
}

/// Octets of a frame, whoever has it.
pub fn octets(frame: &RamFrame) -> &[u8] {
    frame.data()
}
