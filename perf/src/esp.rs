//! Scenarios `esp-encap`, `esp-decap` and `ram-port`: the real graph, packet in to packet out.
//!
//! `esp-encap` is a poll of the left gateway's worker with a burst of inner packets before it,
//! `esp-decap` one of the right's with the ESP packets the left has made of them. Both contain what
//! the in-memory ports cost, which `ram-port` tells. Every burst is checked after it was timed: as
//! many packets as went in, and after decapsulation the very octets, but for the two hops that the
//! gateways count in the TTL.

use anyhow::ensure;
use ravelin_dataplane::io::ram::RamPool;
use ravelin_gcm::{Kernel, KeySize};

use crate::gateway::{Loopback, Sizes, deliver, sent};
use crate::gcm::{self, Direction};
use crate::inner::packets;
use crate::measure::{Effort, Scenario, measure};
use crate::report::Row;
use crate::stations::Least;
use crate::traffic::{BURST, Mix, Plan, suite_name};
use crate::tunnel::Tunnel;

/// Measures all of `plan`, both directions, and the ports alone.
pub fn run(plan: &Plan, effort: Effort) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &mix in &plan.mixes {
        rows.push(port_row(mix, effort)?);
    }
    for &(kernel, size) in &plan.suites {
        for (&mix, &sas) in plan.mixes.iter().flat_map(|mix| plan.sas.iter().map(move |sas| (mix, sas))) {
            rows.push(row(kernel, size, mix, sas, Direction::Seal, effort)?);
            rows.push(row(kernel, size, mix, sas, Direction::Open, effort)?);
        }
    }
    Ok(rows)
}

fn port_row(mix: Mix, effort: Effort) -> anyhow::Result<Row> {
    let mut ports = Ports {
        loopback: Loopback::new()?,
        pool: RamPool::new(Sizes::ONE.frames, 1),
        packets: packets(mix)?,
    };
    Ok(Row {
        scenario: "ram-port",
        kernel: "-",
        suite: "-".to_owned(),
        size: mix.name(),
        octets: mix.mean(),
        sas: 1,
        cycles: measure(&mut ports, BURST, effort)?,
        crypto: None,
    })
}

fn row(
    kernel: Kernel,
    size: KeySize,
    mix: Mix,
    sas: u32,
    direction: Direction,
    effort: Effort,
) -> anyhow::Result<Row> {
    let mut tunnel = Tunnel::new(kernel, size, mix, sas)?;
    // Every SA once before anything counts.
    for _ in 0..(sas as usize).div_ceil(BURST) {
        tunnel.prove()?;
    }
    let (scenario, cycles, stations) = match direction {
        Direction::Seal => {
            let mut encap = Encap { least: Least::since(tunnel.left.stations()), tunnel: &mut tunnel };
            ("esp-encap", measure(&mut encap, BURST, effort)?, encap.least)
        }
        Direction::Open => {
            let mut decap = Decap { least: Least::since(tunnel.right.stations()), tunnel: &mut tunnel };
            ("esp-decap", measure(&mut decap, BURST, effort)?, decap.least)
        }
    };
    stations.tell(&format!("{scenario} {} {sas} SAs", mix.name()));
    tunnel.prove()?;
    Ok(Row {
        scenario,
        kernel: kernel.name(),
        suite: suite_name(size),
        size: mix.name(),
        octets: mix.mean(),
        sas,
        cycles,
        crypto: Some(gcm::figures(kernel, size, mix, direction, effort)?.best),
    })
}

struct Encap<'t> {
    tunnel: &'t mut Tunnel,
    least: Least,
}

impl Scenario for Encap<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        self.tunnel.lay_inner(BURST)
    }

    fn run(&mut self) {
        self.tunnel.left.poll();
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        self.least.note(self.tunnel.left.stations());
        self.tunnel.outer().map(drop)
    }
}

struct Decap<'t> {
    tunnel: &'t mut Tunnel,
    least: Least,
}

impl Scenario for Decap<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        self.tunnel.lay_inner(BURST)?;
        self.tunnel.left.poll();
        self.tunnel.carry()
    }

    fn run(&mut self) {
        self.tunnel.right.poll();
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        self.least.note(self.tunnel.right.stations());
        self.tunnel.check_inner()
    }
}

struct Ports {
    loopback: Loopback,
    pool: RamPool,
    packets: Vec<Vec<u8>>,
}

impl Scenario for Ports {
    fn prepare(&mut self) -> anyhow::Result<()> {
        deliver(&mut self.pool, self.loopback.device(), 0, &self.packets)
    }

    fn run(&mut self) {
        self.loopback.poll();
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        ensure!(sent(self.loopback.device()).count() == BURST, "the device lost frames");
        Ok(())
    }
}
