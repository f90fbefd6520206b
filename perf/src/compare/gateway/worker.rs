//! Our side of a gateway scenario: the worker and graph of `ravelind`, on the devices of the scenario.
//!
//! The process starts EAL and attaches the ports by the same calls as `ravelind` does, fills the tables as
//! control fills them, installs the associations by commands, and then runs the same `Worker` over the same
//! `QueuePair`s on an lcore. What is missing is what does not touch packets: IKE, twins, the control socket.
//!
//! It speaks by lines: `ready` when all associations are in place, then answers each line with its counters.
//! When the output is a file it reads its input once, before it answers.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail, ensure};
use ravelin_dataplane::cipher::Hash;
use ravelin_dataplane::graph::Settings;
use ravelin_dataplane::io::dpdk::eal::{Config, Memory, Pci};
use ravelin_dataplane::io::dpdk::{
    Attached, BufferSizes, Buffers, Eal, Lcore, MbufFrame, Port as DpdkPort, QueuePair, Vdev, Wish, attach,
};
use ravelin_dataplane::io::{Burst, Port};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::link::snapshot::{self, Local, Snapshot};
use ravelin_dataplane::link::{self, ControlEnd, Shape, WorkerEnd};
use ravelin_dataplane::net::eth::Mac;
use ravelin_dataplane::policy::publish::{self, Reader, Writer};
use ravelin_dataplane::policy::route::{Interface, NextHop, Prefix, TunnelId};
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::policy::spd::{Otherwise, Spd};
use ravelin_dataplane::policy::table::{Child, Tables, Tunnel};
use ravelin_dataplane::sa::lifetime::Limits;
use ravelin_dataplane::sa::outbound::Encapsulation;
use ravelin_dataplane::sa::replay::Window;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::sa::spi::Spi;
use ravelin_dataplane::sa::suite::Suite;
use ravelin_dataplane::sa::{Endpoint, Mode, SaRef, inbound, outbound};
use ravelin_dataplane::verdict::Drop;
use ravelin_dataplane::worker::{Idle, Worker};
use ravelin_gcm::{Kernel, KeySize};

use super::setup::{CACHE, DESCRIPTORS, ROOM, Setup};
use super::traffic::{GATEWAY, HOST, NEIGHBOUR, ROUTER, Sa};

/// What it says when all associations are in place.
pub const READY: &str = "ready";

const WORKER: WorkerId = WorkerId(0);
const PUBLIC: u16 = 0;
const PRIVATE: u16 = 1;

/// Runs as the setup in the file `path` says, until standard input ends.
///
/// # Errors
/// What was wrong, told on standard output too.
pub fn serve(path: &Path) -> anyhow::Result<()> {
    let outcome = std::fs::read(path)
        .with_context(|| format!("could not read {}", path.display()))
        .and_then(|text| Ok(serde_json::from_slice(&text)?))
        .and_then(|setup| run(&setup));
    if let Err(error) = &outcome {
        println!("error {error:#}");
    }
    outcome
}

fn run(setup: &Setup) -> anyhow::Result<()> {
    let machine = Machine::start(setup)?;
    let gateway = Gateway::new(setup, &machine)?;
    let Machine { lcore, buffers, ports, pairs, .. } = machine;
    match setup.output {
        Some(_) => gateway.prove(setup, buffers, pairs, ports),
        None => gateway.work(setup, buffers, pairs, lcore),
    }
}

/// DPDK, running.
struct Machine {
    lcore: Lcore,
    buffers: Buffers,
    ports: Vec<DpdkPort>,
    pairs: Vec<QueuePair>,
}

impl Machine {
    fn start(setup: &Setup) -> anyhow::Result<Machine> {
        let megabytes = setup.memory.megabytes;
        let mut config = Config::ordinary(vec![setup.other], vec![setup.core], megabytes);
        if setup.memory.huge {
            config.memory = Memory::HugeInMemory(vec![megabytes]);
        }
        config.pci = Pci::None;
        config.file_prefix.clone_from(&setup.prefix);
        config.telemetry = true;
        config.log = |_| ();
        let mut started = Eal::start(&config)?;
        let usual = setup.buffers();
        let sizes = BufferSizes { usual, room: ROOM, jumbo: 64, cache: CACHE, numa: None };
        let buffers = Buffers::new(started.eal, "frames", &sizes)?;
        let (mut ports, mut pairs) = (Vec::new(), Vec::new());
        for (number, (driver, arguments)) in setup.devices().into_iter().enumerate() {
            let vdev = Vdev::other(driver, &number.to_string(), &arguments)?;
            let wish = Wish {
                queues: 1,
                rx_descriptors: DESCRIPTORS,
                tx_descriptors: DESCRIPTORS,
                mtu: 1500,
                promiscuous: false,
                spis: Vec::new(),
            };
            let attached: Attached = attach(started.eal.probe(&vdev)?, number as u16, &wish, buffers)?;
            ports.push(attached.port);
            pairs.extend(attached.pairs);
        }
        let lcore = started.lcores.pop().context("EAL has a worker")?;
        Ok(Machine { lcore, buffers, ports, pairs })
    }
}

/// Control's half of the gateway, and the worker's before it has ports.
struct Gateway {
    control: ControlEnd<MbufFrame>,
    _exception: link::ExceptionEnd<MbufFrame>,
    writer: Writer<Tables>,
    end: WorkerEnd<MbufFrame>,
    reader: Reader<Tables>,
    decap: bool,
}

impl Gateway {
    fn new(setup: &Setup, machine: &Machine) -> anyhow::Result<Gateway> {
        let slots = setup.traffic.sas.len().next_power_of_two().max(64);
        let shape = Shape { inbound_slots: slots, outbound_slots: slots, ..Shape::usual(1, 2) };
        let mut link = link::build(&shape)?;
        let (writer, mut readers) = publish::channel(Tables::new(), 1);
        let (Some(end), Some(reader)) = (link.workers.pop(), readers.pop()) else { bail!("no worker") };
        let decap = setup.traffic.decap;
        let (control, _exception) = (link.control, link.exception);
        let mut gateway = Gateway { control, _exception, writer, end, reader, decap };
        let macs: Vec<Mac> = machine.ports.iter().map(|port| Mac(port.mac())).collect();
        gateway.configure(setup, &macs)?;
        Ok(gateway)
    }

    /// Ports on the public and on the private side: packets come by 0 and go by 1.
    fn sides(&self) -> (Interface, Interface) {
        let (public, private) = if self.decap { (0, 1) } else { (1, 0) };
        (Interface { port: public, vlan: 0 }, Interface { port: private, vlan: 0 })
    }

    fn configure(&mut self, setup: &Setup, macs: &[Mac]) -> anyhow::Result<()> {
        let (public, private) = self.sides();
        let interface = |at: Interface, instance| {
            let mac = macs.get(usize::from(at.port)).copied().unwrap_or(NEIGHBOUR);
            snapshot::Interface { port: at.port, vlan: at.vlan, instance, mac, mtu: 1500 }
        };
        let interfaces = vec![interface(public, PUBLIC), interface(private, PRIVATE)];
        let local =
            Local { instance: PUBLIC, address: GATEWAY.into(), interface: Some((public.port, public.vlan)) };
        let snapshot = Snapshot::new(interfaces, vec![local]);
        let tables = self.writer.tables_mut();
        for instance in [PUBLIC, PRIVATE] {
            tables.add_instance(instance);
            tables.set_spd(instance, Spd::new(Vec::new(), Otherwise::Discard)?)?;
        }
        let router: IpAddr = ROUTER.into();
        tables.set_route(PUBLIC, Prefix::host(GATEWAY.into()), Some(NextHop::Local))?;
        tables.set_route(
            PUBLIC,
            Prefix::new(IpAddr::from([0; 4]), 0)?,
            Some(NextHop::Via(public, router)),
        )?;
        tables.set_neighbour(PUBLIC, public, router, Some(NEIGHBOUR));
        tables.set_route(
            PRIVATE,
            Prefix::new([10, 1, 0, 0].into(), 16)?,
            Some(NextHop::Connected(private)),
        )?;
        tables.set_neighbour(PRIVATE, private, HOST.into(), Some(NEIGHBOUR));
        for sa in &setup.traffic.sas {
            let child = Child::new(selectors(sa)?, SaRef { worker: WORKER, slot: sa.index });
            tables.set_tunnel(TunnelId(sa.index), Some(Tunnel::new(vec![child])?))?;
            let hop = NextHop::Tunnel(TunnelId(sa.index));
            tables.set_route(PRIVATE, Prefix::new(sa.network().into(), 24)?, Some(hop))?;
        }
        self.writer.publish();
        let sent = self.control.send(WORKER, Command::Configure(snapshot.into()));
        sent.ok().context("the command ring is full")?;
        Ok(())
    }

    /// Runs the worker on its lcore, as `ravelind` does, and answers lines.
    fn work(
        self,
        setup: &Setup,
        buffers: Buffers,
        pairs: Vec<QueuePair>,
        lcore: Lcore,
    ) -> anyhow::Result<()> {
        let Gateway { mut control, _exception, mut writer, end, reader, .. } = self;
        let mut worker = Worker::new(end, reader, buffers, pairs, Kernel::detect(), &Settings::new(1));
        install(&mut control, setup, || worker.poll(0))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let running = lcore.launch(move || worker.run(&stopped, Idle::Poll))?;
        say(READY)?;
        for line in std::io::stdin().lock().lines() {
            line?;
            writer.deliver();
            say(&counted(&control)?)?;
        }
        stop.store(true, Ordering::Relaxed);
        ensure!(running.join().1.is_ok(), "the worker panicked");
        Ok(())
    }

    /// Reads the whole input, writes the output, answers a line.
    fn prove(
        self,
        setup: &Setup,
        buffers: Buffers,
        pairs: Vec<QueuePair>,
        ports: Vec<DpdkPort>,
    ) -> anyhow::Result<()> {
        let Gateway { mut control, _exception, writer, end, reader, .. } = self;
        let open = Arc::new(AtomicBool::new(false));
        let gates = pairs.into_iter().map(|pair| Gate { pair, open: Arc::clone(&open) }).collect();
        let mut worker = Worker::new(end, reader, buffers, gates, Kernel::detect(), &Settings::new(1));
        install(&mut control, setup, || worker.poll(0))?;
        open.store(true, Ordering::Relaxed);
        let mut empty = 0;
        while empty < 100 {
            empty = if worker.poll(1000) { 0 } else { empty + 1 };
        }
        let counters = counted(&control)?;
        // With the last handles the devices close, and what they hold is written.
        drop((worker, ports, writer));
        say(&counters)
    }
}

/// A port that is shut until all associations are in place. For the proof, whose input comes but once.
struct Gate {
    pair: QueuePair,
    open: Arc<AtomicBool>,
}

impl Port for Gate {
    type Frame = MbufFrame;

    fn id(&self) -> u16 {
        self.pair.id()
    }

    fn keeps(&self) -> bool {
        self.pair.keeps()
    }

    fn rx_burst(&mut self, burst: &mut Burst<MbufFrame>) {
        if self.open.load(Ordering::Relaxed) {
            self.pair.rx_burst(burst);
        }
    }

    fn tx_burst(&mut self, burst: &mut Burst<MbufFrame>) {
        self.pair.tx_burst(burst);
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    println!("{line}");
    Ok(std::io::stdout().flush()?)
}

/// Every drop counter that is not zero, as an object.
fn counted(control: &ControlEnd<MbufFrame>) -> anyhow::Result<String> {
    let counters = control.counters(WORKER).context("the worker counts")?;
    let all = Drop::ALL.iter().map(|&reason| (reason.name(), counters.drops(reason)));
    let drops: BTreeMap<&str, u64> = all.filter(|(_, count)| *count > 0).collect();
    Ok(serde_json::to_string(&drops)?)
}

/// Installs every association, as many commands at a time as the worker takes.
fn install(
    control: &mut ControlEnd<MbufFrame>,
    setup: &Setup,
    mut poll: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    for sa in &setup.traffic.sas {
        let command = command(control, setup, sa)?;
        let sent = control.send(WORKER, command).ok().context("the command ring is full")?;
        // One at a time: a start may take its time, and each command has its room.
        for _ in 0..64 {
            poll();
            if control.applied(WORKER) >= sent {
                break;
            }
        }
        ensure!(control.applied(WORKER) >= sent, "the worker did not apply a command");
    }
    while let Some(report) = control.next_report(WORKER) {
        if let link::report::Report::Refused { .. } = report {
            bail!("the worker refused an association: {report:?}");
        }
    }
    Ok(())
}

fn command(control: &ControlEnd<MbufFrame>, setup: &Setup, sa: &Sa) -> anyhow::Result<Command> {
    let suite = suite(sa)?;
    // What IVs are drawn from, which the peer has no part in, can be anything here.
    let mut keymat = sa.keymat();
    keymat.resize(suite.keymat_length() + suite.seed_length(), 0x5e);
    let key = control.put_key(WORKER, &keymat)?;
    let spi = Spi(sa.spi());
    let place = spi.place().context("the SPI names a slot")?;
    Ok(if setup.traffic.decap {
        Command::InstallInbound { place, parts: inbound(setup, sa, suite)?, key }
    } else {
        Command::InstallOutbound { slot: sa.index, parts: outbound(sa, suite), key, turn: Turn::Now }
    })
}

fn suite(sa: &Sa) -> anyhow::Result<Suite> {
    let size = match sa.suite.bits {
        128 => KeySize::Aes128,
        192 => KeySize::Aes192,
        _ => KeySize::Aes256,
    };
    Ok(match (sa.suite.hash, size) {
        (None, KeySize::Aes128) => Suite::AesGcm128,
        (None, KeySize::Aes192) => Suite::AesGcm192,
        (None, KeySize::Aes256) => Suite::AesGcm256,
        (Some(256), size) => Suite::AesCbc(size, Hash::Sha256),
        (Some(384), size) => Suite::AesCbc(size, Hash::Sha384),
        (Some(512), size) => Suite::AesCbc(size, Hash::Sha512),
        (Some(hash), _) => bail!("no hash of {hash} bits"),
    })
}

fn selectors(sa: &Sa) -> anyhow::Result<SelectorSet> {
    let local = Selector::addresses_only(AddressRange::prefix([10, 1, 0, 0].into(), 16));
    let remote = Selector::addresses_only(AddressRange::prefix(sa.network().into(), 24));
    Ok(SelectorSet::new(&[local], &[remote])?)
}

fn outbound(sa: &Sa, suite: Suite) -> outbound::Parts {
    outbound::Parts {
        spi: Spi(sa.spi()),
        suite,
        esn: sa.esn,
        last_sequence: 0,
        encapsulation: Encapsulation::between(
            PUBLIC,
            Endpoint { address: GATEWAY.into(), port: 0 },
            Endpoint { address: sa.peer().into(), port: 0 },
        ),
        limits: Limits::NONE,
        child: sa.index,
    }
}

fn inbound(setup: &Setup, sa: &Sa, suite: Suite) -> anyhow::Result<inbound::Parts> {
    Ok(inbound::Parts {
        spi: Spi(sa.spi()),
        suite,
        mode: Mode::Tunnel,
        window: if setup.window { Window::new(1024, sa.esn)? } else { Window::off() },
        outer_instance: PUBLIC,
        inner_instance: PRIVATE,
        local: Endpoint { address: GATEWAY.into(), port: 0 },
        peer: Endpoint { address: sa.peer().into(), port: 0 },
        may_move: inbound::MayMove::Nobody,
        copy_traffic_class: false,
        tcp_mss: None,
        selectors: Box::new(selectors(sa)?),
        limits: Limits::NONE,
        child: sa.index,
        activates: None,
    })
}
