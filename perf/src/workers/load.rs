//! What a round carries: packets, the queue each arrives on, and what is to come of them.

use std::sync::Arc;

use anyhow::{Context, ensure};
use ravelin_dataplane::io::ram::{RamDevice, RamFrame};
use ravelin_dataplane::net::eth;
use ravelin_gcm::{Kernel, KeySize};

use crate::gateway::{Gateway, Layout, Side, Sizes, deliver, octets};
use crate::gcm::Direction;
use crate::inner;
use crate::traffic::Mix;

/// Packets of a round before each worker: half of what a handoff ring holds. A worker may be a round ahead of
/// another, for it ends one when it has had the other's packets of it; so nothing is lost however long the
/// other is interrupted.
pub const PACKETS: usize = 512;

/// Where a device puts a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// Before the worker that owns its SA, as with a rule for each shard's SPIs.
    Owner,
    /// By a hash of its (outer) header, as with receive-side scaling.
    Hashed,
    /// Before a worker that does not own its SA.
    Foreign,
}

/// Frames by the queue they arrive on.
pub type Queues = Vec<Vec<Vec<u8>>>;

/// Two gateways of as many workers, of which one is measured.
pub struct Load {
    sizes: Sizes,
    steering: Steering,
    direction: Direction,
    left: Gateway,
    right: Gateway,
    /// Inner packets as the left host sends them, with the SA of each. The number of a packet is its
    /// identification.
    packets: Vec<(u32, Vec<u8>)>,
    check: Arc<Check>,
}

/// What is to leave the gateway that is measured.
pub struct Check {
    direction: Direction,
    /// Octets of the shortest inner packet, framed.
    shortest: usize,
    /// The packets as the right host is to get them, by number.
    expected: Vec<Vec<u8>>,
}

impl Check {
    /// Whether this is one of the packets that are to leave.
    pub fn frame(&self, frame: &RamFrame) -> anyhow::Result<()> {
        match self.direction {
            Direction::Seal => {
                ensure!(octets(frame).len() > self.shortest, "an ESP packet is shorter than what it carries");
                Ok(())
            }
            Direction::Open => self.inner(octets(frame)),
        }
    }

    fn inner(&self, frame: &[u8]) -> anyhow::Result<()> {
        // The identification of an IPv4 header (RFC 791 §3.1).
        let id = frame.get(eth::Repr::LEN + 4..).and_then(|octets| octets.first_chunk()).context("short")?;
        let expected = self.expected.get(usize::from(u16::from_be_bytes(*id)));
        ensure!(expected.is_some_and(|expected| expected == frame), "a packet came out changed");
        Ok(())
    }
}

impl Load {
    /// Gateways with so many workers and tunnels of each, and a round's packets, evenly over all tunnels.
    pub fn new(
        workers: u8,
        tunnels: u32,
        mix: Mix,
        direction: Direction,
        steering: Steering,
    ) -> anyhow::Result<Load> {
        let sas = tunnels * u32::from(workers);
        Load::of(workers, (sas, sas, Layout::Each), mix, direction, steering)
    }

    /// The same with one tunnel to so many hosts, of which each worker has an SA of its own, or all use one.
    pub fn one_tunnel(
        workers: u8,
        own: bool,
        hosts: u32,
        mix: Mix,
        direction: Direction,
        steering: Steering,
    ) -> anyhow::Result<Load> {
        let sas = if own { u32::from(workers) } else { 1 };
        Load::of(workers, (sas, hosts, Layout::Shared), mix, direction, steering)
    }

    fn of(
        workers: u8,
        (sas, hosts, layout): (u32, u32, Layout),
        mix: Mix,
        direction: Direction,
        steering: Steering,
    ) -> anyhow::Result<Load> {
        let all = PACKETS * usize::from(workers);
        let sizes = Sizes { workers, depth: 2 * all, frames: all + 64, layout };
        let gateway = |side| Gateway::of(side, Kernel::detect(), KeySize::Aes128, sas, sizes);
        let (left, right) = (gateway(Side::Left)?, gateway(Side::Right)?);
        let packet = |(number, size)| {
            let mut frame = inner::packet(number, size)?;
            // A prime that divides no number of hosts one would ask for: neighbours are far apart.
            let host = (number as u64 * 7919 % u64::from(hosts)) as u32;
            inner::address(&mut frame, number, host)?;
            let sa = match layout {
                Layout::Each => host,
                // That of the worker it arrives at, if that one has its own.
                Layout::Shared => left.inside.hashed(&frame) as u32 % sas,
            };
            Ok((sa, frame))
        };
        let each = mix.sizes().into_iter().cycle().take(all).enumerate();
        let packets = each.map(packet).collect::<anyhow::Result<Vec<_>>>()?;
        let shortest = packets.iter().map(|(_, frame)| frame.len()).min().unwrap_or_default();
        let expected = packets.iter().map(|(_, frame)| inner::forwarded(frame)).collect::<Result<_, _>>()?;
        let check = Arc::new(Check { direction, shortest, expected });
        let mut load = Load { sizes, steering, direction, left, right, packets, check };
        load.prove()?;
        Ok(load)
    }

    /// Packets of a round that each worker owns.
    pub fn due(&self) -> Vec<usize> {
        let owned = |worker: u8| {
            let owner = |(sa, _): &&(u32, Vec<u8>)| self.sizes.owner(*sa).index() == usize::from(worker);
            self.packets.iter().filter(owner).count()
        };
        (0..self.sizes.workers).map(owned).collect()
    }

    /// What is to leave.
    pub fn check(&self) -> Arc<Check> {
        Arc::clone(&self.check)
    }

    /// The gateway that is measured, the device packets come in by, and the one they leave by.
    pub fn measured(&mut self) -> (&mut Gateway, RamDevice, RamDevice) {
        let gateway = match self.direction {
            Direction::Seal => &mut self.left,
            Direction::Open => &mut self.right,
        };
        let (inside, outside) = (gateway.inside.clone(), gateway.outside.clone());
        match self.direction {
            Direction::Seal => (gateway, inside, outside),
            Direction::Open => (gateway, outside, inside),
        }
    }

    /// What arrives in so many rounds, to be repeated where there are fewer. ESP packets are made anew by the
    /// other gateway, for none is taken twice.
    pub fn rounds(&mut self, rounds: usize) -> anyhow::Result<Vec<Queues>> {
        let made = |load: &mut Load| {
            let made = load.encapsulated()?;
            Ok(load.steered(load.steering, made))
        };
        match self.direction {
            Direction::Seal => Ok(vec![self.steered(self.steering, self.packets.clone())]),
            Direction::Open => (0..rounds).map(|_| made(self)).collect(),
        }
    }

    fn steered(&self, steering: Steering, packets: Vec<(u32, Vec<u8>)>) -> Queues {
        let workers = usize::from(self.sizes.workers);
        let mut queues: Queues = vec![Vec::new(); workers];
        for (sa, frame) in packets {
            let owner = self.sizes.owner(sa).index();
            let queue = match steering {
                Steering::Owner => owner,
                Steering::Foreign => (owner + 1) % workers,
                Steering::Hashed => self.left.outside.hashed(&frame),
            };
            if let Some(queue) = queues.get_mut(queue) {
                queue.push(frame);
            }
        }
        queues
    }

    /// A round's packets as the left gateway sends them on, with the SA of each.
    fn encapsulated(&mut self) -> anyhow::Result<Vec<(u32, Vec<u8>)>> {
        let queues = self.steered(Steering::Owner, self.packets.clone());
        let (inside, outside) = (self.left.inside.clone(), self.left.outside.clone());
        let sent = carry(&mut self.left, &inside, &outside, &queues)?;
        ensure!(sent.len() == self.packets.len(), "packets were lost: {}", self.left.dropped());
        Ok(sent.into_iter().map(|frame| (self.owned_by(&frame), frame)).collect())
    }

    /// Some SA of the worker that owns the SPI of an ESP packet, of the shard in its high bits.
    fn owned_by(&self, frame: &[u8]) -> u32 {
        let first = frame.get(eth::Repr::LEN + 20).copied().unwrap_or_default();
        (u32::from(first) >> 2).saturating_sub(1) % u32::from(self.sizes.workers)
    }

    /// A round all the way, one worker polled after the other, and every packet compared.
    fn prove(&mut self) -> anyhow::Result<()> {
        let made = self.encapsulated()?;
        let queues = self.steered(self.steering, made);
        let (inside, outside) = (self.right.inside.clone(), self.right.outside.clone());
        let sent = carry(&mut self.right, &outside, &inside, &queues)?;
        ensure!(sent.len() == self.packets.len(), "packets were lost: {}", self.right.dropped());
        sent.iter().try_for_each(|frame| self.check.inner(frame))
    }
}

/// Lays packets before a gateway and polls it until it rests; what it sent.
fn carry(
    gateway: &mut Gateway,
    input: &RamDevice,
    output: &RamDevice,
    queues: &Queues,
) -> anyhow::Result<Vec<Vec<u8>>> {
    for (queue, packets) in queues.iter().enumerate() {
        deliver(&mut gateway.pool, input, queue, packets)?;
    }
    while gateway.poll() {}
    gateway.listen();
    Ok(std::iter::from_fn(|| output.sent()).map(|frame| octets(&frame).to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(direction: Direction, steering: Steering) -> Load {
        Load::new(2, 10, Mix::Fixed(64), direction, steering).unwrap()
    }

    /// Making a load proves it; beside that, packets arrive where they should.
    #[test]
    fn a_device_steers_as_it_is_told() {
        for direction in [Direction::Seal, Direction::Open] {
            for steering in [Steering::Owner, Steering::Hashed, Steering::Foreign] {
                let mut load = load(direction, steering);
                let queues = load.rounds(1).unwrap().remove(0);
                assert_eq!(queues.iter().map(Vec::len).sum::<usize>(), load.packets.len());
                assert!(queues.iter().all(|queue| queue.len() > PACKETS / 3), "{steering:?}");
                let (gateway, input, output) = load.measured();
                carry(gateway, &input, &output, &queues).unwrap();
                let handed: u64 = gateway.counters().map(|counters| counters.handed_out.get()).sum();
                let all = 2 * PACKETS as u64;
                match steering {
                    Steering::Owner => assert_eq!(handed, 0),
                    // Proof and round for the gateway on the right, the round alone on the left.
                    Steering::Foreign => assert!([all, 2 * all].contains(&handed), "{handed}"),
                    Steering::Hashed => assert!(handed > all / 4 && handed < 2 * all * 3 / 4, "{handed}"),
                }
            }
        }
    }

    /// A packet that came out changed gives no figure.
    #[test]
    fn a_changed_packet_is_noticed() {
        let load = load(Direction::Open, Steering::Owner);
        let mut frame = load.check.expected[7].clone();
        load.check.inner(&frame).unwrap();
        frame[50] ^= 1;
        assert!(load.check.inner(&frame).is_err());
    }
}
