//! Two gateways with SAs between them, and the packets that go through: what the scenarios of the real graph
//! time, checked at every stage.

use std::ops::Range;

use anyhow::{Context, ensure};
use ravelin_dataplane::io::ram::RamFrame;
use ravelin_dataplane::net::{esp, eth, ipv4};
use ravelin_gcm::{Kernel, KeySize};

use crate::gateway::{Gateway, Side, deliver, octets, sent};
use crate::gcm;
use crate::inner::{self, forwarded, packets};
use crate::traffic::{BURST, Mix};

/// Two gateways, the SAs between them, and the packets that go through.
pub struct Tunnel {
    /// Encapsulates.
    pub left: Gateway,
    /// Decapsulates.
    pub right: Gateway,
    inner: Inner,
    sas: u32,
}

/// Inner packets as Ethernet frames, as the left host sends them: these again and again.
struct Inner {
    packets: Vec<Vec<u8>>,
    /// How many were laid so far; says which packets and SAs are next.
    laid: usize,
    /// How many of these were laid last.
    last: usize,
}

impl Inner {
    /// Numbers of the packets laid last.
    fn numbers(&self) -> Range<usize> {
        self.laid - self.last..self.laid
    }

    /// The packets laid last.
    fn last(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.numbers().filter_map(|number| self.packets.get(number % BURST))
    }
}

impl Tunnel {
    /// `sas` tunnels of that suite, and packets of that mix.
    pub fn new(kernel: Kernel, size: KeySize, mix: Mix, sas: u32) -> anyhow::Result<Tunnel> {
        Ok(Tunnel {
            left: Gateway::new(Side::Left, kernel, size, sas)?,
            right: Gateway::new(Side::Right, kernel, size, sas)?,
            inner: Inner { packets: packets(mix)?, laid: 0, last: 0 },
            sas,
        })
    }

    /// Addresses the packets to the next SAs in turn: all before any a second time, neighbours far apart.
    fn address(&mut self) -> anyhow::Result<()> {
        if self.sas == 1 {
            return Ok(());
        }
        for number in self.inner.numbers() {
            // A prime that divides no number of SAs one would ask for.
            let sa = (number as u64 * 7919 % u64::from(self.sas)) as u32;
            let frame = self.inner.packets.get_mut(number % BURST).context("a frame")?;
            inner::address(frame, number % BURST, sa)?;
        }
        Ok(())
    }

    /// Before the left gateway, the next `packets` inner packets, at most a burst.
    pub fn lay_inner(&mut self, packets: usize) -> anyhow::Result<()> {
        ensure!(packets <= BURST, "{packets} packets are more than a burst");
        self.inner.laid += packets;
        self.inner.last = packets;
        self.address()?;
        deliver(&mut self.left.pool, &self.left.inside, 0, self.inner.last())
    }

    /// Before the right gateway, what the left sent. Copied into the right's own frames, as a wire
    /// between two machines would.
    pub fn carry(&mut self) -> anyhow::Result<()> {
        let outer = self.outer()?;
        self.check_outer(&outer)?;
        deliver(&mut self.right.pool, &self.right.outside, 0, outer.iter().map(octets))
    }

    /// What the left sent: as many packets as were laid before it.
    pub fn outer(&self) -> anyhow::Result<Vec<RamFrame>> {
        self.all(&self.left, sent(&self.left.outside).collect())
    }

    fn all(&self, gateway: &Gateway, frames: Vec<RamFrame>) -> anyhow::Result<Vec<RamFrame>> {
        let (left, laid) = (frames.len(), self.inner.last);
        ensure!(left == laid, "{left} of {laid} packets left; dropped: {}", gateway.dropped());
        Ok(frames)
    }

    /// Each ESP packet of the right length, and nothing of the inner one legible.
    fn check_outer(&self, outer: &[RamFrame]) -> anyhow::Result<()> {
        for (outer, inner) in outer.iter().map(octets).zip(self.inner.last()) {
            // Ethernet; outer IPv4, SPI, sequence number, IV, text, ICV (RFC 4303 §2, RFC 4106 §3).
            let expected = eth::Repr::LEN + 20 + 16 + gcm::esp_text(inner.len() - eth::Repr::LEN) + 16;
            ensure!(outer.len() == expected, "an ESP packet has {} octets, not {expected}", outer.len());
            let tail = inner.last_chunk::<8>().context("inner packets are longer")?;
            ensure!(!outer.windows(8).any(|window| window == tail), "inner octets are legible outside");
        }
        Ok(())
    }

    /// Takes what the left sent: all of it, in the order in which it was laid. With one SA the sequence
    /// number says which packet it was, for the first has 1 (RFC 4303 §3.3.3).
    pub fn check_order(&self) -> anyhow::Result<()> {
        for (outer, number) in self.outer()?.iter().zip(self.inner.numbers()) {
            let packet = octets(outer).get(eth::Repr::LEN + ipv4::Repr::LEN..).context("an IP packet")?;
            let sequence = esp::Header::parse(packet)?.sequence();
            ensure!(sequence == number as u32 + 1, "packet {number} left as number {sequence}");
        }
        Ok(())
    }

    /// What came out on the right is what went in on the left, in the same order.
    pub fn check_inner(&self) -> anyhow::Result<()> {
        let inner = self.all(&self.right, sent(&self.right.inside).collect())?;
        for (seen, sent) in inner.iter().map(octets).zip(self.inner.last()) {
            ensure!(seen == forwarded(sent)?, "a packet came out changed");
        }
        Ok(())
    }

    /// A burst all the way, checked at every stage.
    pub fn prove(&mut self) -> anyhow::Result<()> {
        self.lay_inner(BURST)?;
        self.left.poll();
        self.carry()?;
        self.right.poll();
        self.listen();
        self.check_inner()
    }

    /// Takes what both workers have to say, as control would.
    pub fn listen(&mut self) {
        self.left.listen();
        self.right.listen();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Plan;

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
        tunnel.lay_inner(BURST).unwrap();
        tunnel.left.poll();
        tunnel.carry().unwrap();
        tunnel.right.poll();
        tunnel.inner.packets[7][50] ^= 1;
        assert!(tunnel.check_inner().unwrap_err().to_string().contains("changed"));
    }

    /// A packet the graph drops is told with its reason.
    #[test]
    fn a_dropped_packet_is_told_with_its_reason() {
        let mut tunnel = Tunnel::new(Kernel::detect(), KeySize::Aes128, Mix::Fixed(64), 1).unwrap();
        tunnel.inner.packets[7][14 + 8] = 1; // the TTL, and with it the checksum is wrong
        assert!(tunnel.prove().unwrap_err().to_string().contains("63 of 64"));
    }

    /// Bursts of any size go through, one after the other through the same packets; a burst that is kept
    /// back and one out of turn are noticed.
    #[test]
    fn bursts_of_any_size_keep_their_order() {
        let mut tunnel = Tunnel::new(Kernel::detect(), KeySize::Aes128, Mix::Imix, 1).unwrap();
        for packets in [1, 0, 63, 64, 5] {
            tunnel.lay_inner(packets).unwrap();
            tunnel.left.poll();
            tunnel.carry().unwrap();
            tunnel.right.poll();
            tunnel.check_inner().unwrap();
        }
        tunnel.lay_inner(2).unwrap();
        assert!(tunnel.check_order().unwrap_err().to_string().contains("0 of 2"));
        tunnel.left.poll();
        tunnel.check_order().unwrap();
        tunnel.lay_inner(1).unwrap();
        tunnel.left.poll();
        tunnel.inner.laid += 1;
        assert!(tunnel.check_order().unwrap_err().to_string().contains("left as number"));
    }
}
