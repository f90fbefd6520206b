//! SAs: how fast a worker installs them, what its worst poll is, what a tunnel takes of memory, and what
//! finding an SA costs among many.

use std::hint::black_box;

use anyhow::{Context, bail, ensure};
use ravelin_dataplane::graph::Settings;
use ravelin_dataplane::io::ram::{RamFrame, RamPool, RamPort};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::link::{self, ControlEnd, Shape, TunnelLimit};
use ravelin_dataplane::policy::publish;
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::policy::table::Tables;
use ravelin_dataplane::sa::lifetime::Limits;
use ravelin_dataplane::sa::outbound::Encapsulation;
use ravelin_dataplane::sa::replay::{DEFAULT, Window};
use ravelin_dataplane::sa::shard::{Shard, WorkerId};
use ravelin_dataplane::sa::spi::{Place, Slot, Spi};
use ravelin_dataplane::sa::suite::Suite;
use ravelin_dataplane::sa::table::{InboundTable, OutboundTable, ShardTable};
use ravelin_dataplane::sa::{Endpoint, Mode, inbound, outbound};
use ravelin_dataplane::worker::{COMMANDS_A_POLL, Worker};
use ravelin_gcm::{Kernel, Key};
use ravelin_mem::tsc;

use super::{Rows, best, resident};
use crate::random::Random;

const WORKER: WorkerId = WorkerId(0);
/// Runs of which each poll's best counts: an interruption seldom strikes the same poll in all of them.
const RUNS: usize = 5;
const PROBES: usize = 1 << 16;
const SUITE: Suite = Suite::AesGcm256;

/// A control end and its worker, without ports.
struct Bare {
    control: ControlEnd<RamFrame>,
    worker: Worker<RamPool, RamPort>,
    clock: u64,
}

/// All figures, with so many tunnels.
pub fn run(tunnels: u32, counts: &[u32], repeats: usize, rows: &mut Rows) -> anyhow::Result<()> {
    let limit = TunnelLimit::ALL.into_iter().find(|limit| limit.tunnels() >= tunnels);
    let shape = Shape::for_tunnels(1, 0, limit.context("more tunnels than the largest limit")?);
    let mut polls: Vec<u64> = Vec::new();
    for run in 0..RUNS {
        let before = resident()?;
        let mut bare = Bare::new(&shape)?;
        let reserved = resident()?.saturating_sub(before);
        let cycles = install(&mut bare, tunnels)?;
        let all = resident()?.saturating_sub(before);
        polls.resize(cycles.len(), u64::MAX);
        polls.iter_mut().zip(&cycles).for_each(|(best, now)| *best = (*best).min(*now));
        if run == 0 {
            memory(tunnels, reserved, all, rows);
        }
    }
    let (total, worst) = (polls.iter().sum::<u64>(), polls.iter().max().copied().unwrap_or(0));
    let sas = f64::from(2 * tunnels);
    rows.add(format!("install/{tunnels}/rate"), sas * tsc::frequency() as f64 / total as f64, "SAs_a_second");
    rows.add(format!("install/{tunnels}/mean"), total as f64 / sas, "cycles_an_SA");
    rows.add(format!("install/{tunnels}/worst-poll"), worst as f64, "cycles");
    lookups(counts, repeats, rows)
}

impl Bare {
    fn new(shape: &Shape) -> anyhow::Result<Bare> {
        let mut link = link::build(shape)?;
        let (_, mut readers) = publish::channel(Tables::new(), 1);
        let (Some(end), Some(reader)) = (link.workers.pop(), readers.pop()) else { bail!("no worker") };
        let pool = RamPool::new(64, 16);
        let worker = Worker::new(end, reader, pool, Vec::new(), Kernel::detect(), &Settings::new(1));
        Ok(Bare { control: link.control, worker, clock: 0 })
    }

    /// What a poll costs that has these commands before it.
    fn poll(&mut self) -> u64 {
        self.clock += 100;
        let start = tsc::fenced();
        self.worker.poll(self.clock);
        tsc::fenced().saturating_sub(start)
    }

    fn send(&mut self, command: Command) -> anyhow::Result<()> {
        self.control.send(WORKER, command).map(drop).map_err(|_| anyhow::anyhow!("the command ring is full"))
    }
}

/// Installs all tunnels, both directions, as many commands a poll as a worker takes; cycles of each poll.
fn install(bare: &mut Bare, tunnels: u32) -> anyhow::Result<Vec<u64>> {
    let mut cycles = Vec::new();
    for n in 0..tunnels {
        let octets = vec![n as u8; SUITE.keymat_length()];
        let key = bare.control.put_key(WORKER, &octets)?;
        bare.send(Command::InstallInbound { place: place(n)?, parts: incoming(n)?, key })?;
        let key = bare.control.put_key(WORKER, &octets)?;
        bare.send(Command::InstallOutbound { slot: n, parts: outgoing(n)?, key, turn: Turn::Now })?;
        if (2 * (n + 1)).is_multiple_of(COMMANDS_A_POLL as u32) || n + 1 == tunnels {
            cycles.push(bare.poll());
        }
    }
    let report = bare.control.next_report(WORKER);
    ensure!(report.is_none(), "an installation was answered {report:?}: no figure for that");
    ensure!(bare.control.applied(WORKER) == bare.control.sent(WORKER), "not all commands were applied");
    Ok(cycles)
}

fn memory(tunnels: u32, reserved: usize, all: usize, rows: &mut Rows) {
    let a_tunnel = |octets: usize| octets as f64 / f64::from(tunnels);
    let (inbound, outbound) = (ShardTable::OCTETS, OutboundTable::OCTETS);
    let slots = inbound.hot + inbound.rest + outbound.hot + outbound.rest;
    rows.add(format!("memory/{tunnels}/inbound-slot"), (inbound.hot + inbound.rest) as f64, "octets");
    rows.add(format!("memory/{tunnels}/outbound-slot"), (outbound.hot + outbound.rest) as f64, "octets");
    // Selectors and the words of the replay window, which control allocates for each SA: what the process
    // grew by while they were installed.
    let heap = all.saturating_sub(reserved) as f64 / f64::from(tunnels);
    rows.add(format!("memory/{tunnels}/windows-and-selectors"), heap, "octets_a_tunnel");
    rows.add(format!("memory/{tunnels}/one-tunnel"), slots as f64 + heap, "octets");
    // Everything made at start, places for rekeys and rings included.
    rows.add(format!("memory/{tunnels}/reserved-at-start"), a_tunnel(reserved), "octets_a_tunnel");
}

fn place(n: u32) -> anyhow::Result<Place> {
    let slot = Slot::new(n).context("a slot is below 2^20")?;
    Ok(Place { shard: Shard::new(1).context("shards are numbered from 1")?, slot })
}

const fn endpoint(n: u32) -> Endpoint {
    Endpoint { address: std::net::IpAddr::V4(std::net::Ipv4Addr::from_bits(0xc612_0000 + n)), port: 0 }
}

fn incoming(n: u32) -> anyhow::Result<inbound::Parts> {
    let side =
        |address: [u8; 4], length| Selector::addresses_only(AddressRange::prefix(address.into(), length));
    let remote = side([10 + (n >> 16) as u8, (n >> 8) as u8, n as u8, 0], 24);
    Ok(inbound::Parts {
        spi: Spi::new(place(n)?, 0),
        suite: SUITE,
        mode: Mode::Tunnel,
        window: Window::new(DEFAULT, true)?,
        outer_instance: 1,
        inner_instance: 2,
        local: endpoint(0xffff),
        peer: endpoint(n),
        may_move: inbound::MayMove::Nobody,
        copy_traffic_class: false,
        tcp_mss: None,
        selectors: Box::new(SelectorSet::new(&[side([192, 168, 0, 0], 16)], &[remote])?),
        limits: Limits::NONE,
        child: n,
        activates: Some(n),
    })
}

fn outgoing(n: u32) -> anyhow::Result<outbound::Parts> {
    Ok(outbound::Parts {
        spi: Spi::new(place(n)?, 0),
        suite: SUITE,
        esn: true,
        last_sequence: 0,
        encapsulation: Encapsulation::between(1, endpoint(0xffff), endpoint(n)),
        limits: Limits::NONE,
        child: n,
    })
}

/// Finding SAs at random, among few and many: the whole SPI is compared, the key is not touched.
fn lookups(counts: &[u32], repeats: usize, rows: &mut Rows) -> anyhow::Result<()> {
    for count in counts {
        let mut table = InboundTable::new();
        table.attach(Box::new(ShardTable::new(place(0)?.shard, *count as usize)?));
        for n in 0..*count {
            let key = Key::new(Kernel::detect(), &[n as u8; 32])?;
            let put = table.install(place(n)?, inbound::Inbound::new(incoming(n)?, key, [0; 4]));
            ensure!(put.is_ok(), "slot {n} took no SA");
        }
        let mut random = Random::new(0x5eed_0005);
        let probe = |_| Ok(Spi::new(place(random.below(*count as usize) as u32)?, 0));
        let probes = (0..PROBES).map(probe).collect::<anyhow::Result<Vec<Spi>>>()?;
        let find = |spi: &Spi| table.hot(spi.place()?, *spi).map(|hot| hot.inner_instance);
        ensure!(probes.iter().all(|spi| find(spi) == Some(2)), "an SA was not found: no figure for that");
        let work = |part: &[Spi]| part.iter().for_each(|spi| _ = black_box(find(spi)));
        let cycles = best(repeats, &probes, 4096, work);
        rows.add(format!("inbound/{count}"), cycles, "cycles_a_packet");
    }
    Ok(())
}
