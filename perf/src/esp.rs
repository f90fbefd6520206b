//! Scenarios `esp-encap`, `esp-decap` and `ram-port`: the real graph, packet in to packet out.
//!
//! `esp-encap` is a poll of the left gateway's worker with a burst of inner packets before it,
//! `esp-decap` one of the right's with the ESP packets the left has made of them. Both contain what
//! the in-memory ports cost, which `ram-port` tells. Every burst is checked after it was timed: as
//! many packets as went in, and after decapsulation the very octets, but for the two hops that the
//! gateways count in the TTL.

use anyhow::{Context, ensure};
use ravelin_dataplane::io::ram::{RamFrame, RamPool};
use ravelin_dataplane::net::eth;
use ravelin_gcm::{Kernel, KeySize};

use crate::gateway::{Gateway, Loopback, Side, Sizes, deliver, octets, sent};
use crate::gcm::{self, Direction};
use crate::inner::{self, forwarded, packets};
use crate::measure::{Effort, Scenario, measure};
use crate::report::Row;
use crate::stations::Least;
use crate::traffic::{BURST, Mix, Plan, suite_name};

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

/// Two gateways, the SAs between them, and the packets that go through.
struct Tunnel {
    left: Gateway,
    right: Gateway,
    /// Inner packets as Ethernet frames, as the left host sends them.
    packets: Vec<Vec<u8>>,
    sas: u32,
    /// Bursts laid so far; says which SAs are next.
    bursts: usize,
}

impl Tunnel {
    fn new(kernel: Kernel, size: KeySize, mix: Mix, sas: u32) -> anyhow::Result<Tunnel> {
        Ok(Tunnel {
            left: Gateway::new(Side::Left, kernel, size, sas)?,
            right: Gateway::new(Side::Right, kernel, size, sas)?,
            packets: packets(mix)?,
            sas,
            bursts: 0,
        })
    }

    /// Addresses the packets to the next SAs in turn: all before any a second time, neighbours far apart.
    fn address(&mut self) -> anyhow::Result<()> {
        let start = self.bursts * BURST;
        self.bursts += 1;
        if self.sas == 1 {
            return Ok(());
        }
        for (number, frame) in self.packets.iter_mut().enumerate() {
            // A prime that divides no number of SAs one would ask for.
            let sa = ((start + number) as u64 * 7919 % u64::from(self.sas)) as u32;
            inner::address(frame, number, sa)?;
        }
        Ok(())
    }

    /// Before the left gateway, a burst of inner packets.
    fn lay_inner(&mut self) -> anyhow::Result<()> {
        self.address()?;
        deliver(&mut self.left.pool, &self.left.inside, 0, &self.packets)
    }

    /// Before the right gateway, what the left sent. Copied into the right's own frames, as a wire
    /// between two machines would.
    fn carry(&mut self) -> anyhow::Result<()> {
        let outer: Vec<RamFrame> = sent(&self.left.outside).collect();
        self.check_outer(&outer)?;
        deliver(&mut self.right.pool, &self.right.outside, 0, outer.iter().map(octets))
    }

    /// One ESP packet for each inner one, of the right length, and nothing of the inner one legible.
    fn check_outer(&self, outer: &[RamFrame]) -> anyhow::Result<()> {
        ensure!(
            outer.len() == BURST,
            "{} of {BURST} packets left; dropped: {}",
            outer.len(),
            self.left.dropped()
        );
        for (outer, inner) in outer.iter().map(octets).zip(&self.packets) {
            // Ethernet; outer IPv4, SPI, sequence number, IV, text, ICV (RFC 4303 §2, RFC 4106 §3).
            let expected = eth::Repr::LEN + 20 + 16 + gcm::esp_text(inner.len() - eth::Repr::LEN) + 16;
            ensure!(outer.len() == expected, "an ESP packet has {} octets, not {expected}", outer.len());
            let tail = inner.last_chunk::<8>().context("inner packets are longer")?;
            ensure!(!outer.windows(8).any(|window| window == tail), "inner octets are legible outside");
        }
        Ok(())
    }

    /// What came out on the right is what went in on the left.
    fn check_inner(&self) -> anyhow::Result<()> {
        let inner: Vec<RamFrame> = sent(&self.right.inside).collect();
        ensure!(
            inner.len() == BURST,
            "{} of {BURST} packets left; dropped: {}",
            inner.len(),
            self.right.dropped()
        );
        for (seen, sent) in inner.iter().map(octets).zip(&self.packets) {
            ensure!(seen == forwarded(sent)?, "a packet came out changed");
        }
        Ok(())
    }

    /// A burst all the way, checked at every stage.
    fn prove(&mut self) -> anyhow::Result<()> {
        self.lay_inner()?;
        self.left.poll();
        self.carry()?;
        self.right.poll();
        self.left.listen();
        self.right.listen();
        self.check_inner()
    }
}

struct Encap<'t> {
    tunnel: &'t mut Tunnel,
    least: Least,
}

impl Scenario for Encap<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        self.tunnel.lay_inner()
    }

    fn run(&mut self) {
        self.tunnel.left.poll();
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        self.least.note(self.tunnel.left.stations());
        let outer: Vec<RamFrame> = sent(&self.tunnel.left.outside).collect();
        ensure!(
            outer.len() == BURST,
            "{} of {BURST} packets left; dropped: {}",
            outer.len(),
            self.tunnel.left.dropped()
        );
        Ok(())
    }
}

struct Decap<'t> {
    tunnel: &'t mut Tunnel,
    least: Least,
}

impl Scenario for Decap<'_> {
    fn prepare(&mut self) -> anyhow::Result<()> {
        self.tunnel.lay_inner()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every suite carries the mix of all sizes through both gateways unchanged, and a burst leaves
    /// no frame behind.
    #[test]
    fn every_suite_carries_every_size() {
        for (kernel, size) in Plan::new(vec![], None, None).unwrap().suites {
            for sas in [1, 100] {
                let mut tunnel = Tunnel::new(kernel, size, Mix::Imix, sas).unwrap();
                for _ in 0..3 {
                    tunnel.prove().unwrap();
                }
                assert_eq!(tunnel.left.pool.available(), tunnel.left.pool.capacity());
                assert_eq!(tunnel.right.pool.available(), tunnel.right.pool.capacity());
            }
        }
    }

    /// A burst that came out changed gives no figure: this bench would notice.
    #[test]
    fn a_changed_packet_is_noticed() {
        let mut tunnel = Tunnel::new(Kernel::detect(), KeySize::Aes128, Mix::Fixed(64), 1).unwrap();
        tunnel.lay_inner().unwrap();
        tunnel.left.poll();
        tunnel.carry().unwrap();
        tunnel.right.poll();
        tunnel.packets[7][50] ^= 1;
        assert!(tunnel.check_inner().unwrap_err().to_string().contains("changed"));
    }

    /// A packet the graph drops is told with its reason.
    #[test]
    fn a_dropped_packet_is_told_with_its_reason() {
        let mut tunnel = Tunnel::new(Kernel::detect(), KeySize::Aes128, Mix::Fixed(64), 1).unwrap();
        tunnel.packets[7][14 + 8] = 1; // the TTL, and with it the checksum is wrong
        assert!(tunnel.prove().unwrap_err().to_string().contains("63 of 64"));
    }
}
