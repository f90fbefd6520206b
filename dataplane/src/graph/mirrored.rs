//! Sends the copies that mirrors have of a poll's packets, once those are done. Nothing of it is executed where there is
//! no mirror, but for one question a poll.

use crate::io::{Frame, Meta, Origin, Pool};
use crate::node::{Packet, forward};
use crate::trace::mirror::{Aim, Mirror};

use super::Graph;

/// Copies of one mirror sent a poll; more wait in its ring, and are lost where that is full.
const COPIES_A_POLL: usize = 256;

impl<P: Pool> Graph<P> {
    /// Puts mirrors in the place of others, which come back.
    pub(crate) fn set_mirrors(&mut self, mirrors: Box<[Mirror]>) -> Box<[Mirror]> {
        let former = std::mem::replace(&mut self.mirrors, mirrors);
        self.note_tapped();
        former
    }

    /// Sends what mirrors have. They are not there meanwhile: what is sent is not mirrored in its turn.
    #[cold]
    #[inline(never)]
    pub(super) fn send_copies(&mut self) {
        let mut mirrors = std::mem::take(&mut self.mirrors);
        mirrors.iter_mut().for_each(|mirror| self.send_copies_of(mirror));
        self.carry_out();
        self.mirrors = mirrors;
    }

    fn send_copies_of(&mut self, mirror: &mut Mirror) {
        let (aim, mut lost) = (mirror.aim, mirror.newly_lost());
        for _ in 0..COPIES_A_POLL {
            let Some(copy) = mirror.next(|[front, back]| self.copy_of(front, back)) else { break };
            let octets = copy.as_ref().map_or(0, |packet| packet.summary.length() as u64);
            match copy.is_some_and(|packet| self.send_copy(packet, aim)) {
                true => {
                    mirror.counts.packets.add(1);
                    mirror.counts.octets.add(octets);
                    self.link.counters().mirrored.add(1);
                }
                false => lost += 1,
            }
        }
        mirror.counts.lost.add(lost);
        self.link.counters().mirror_lost.add(lost);
    }

    /// A packet of its own, if there is a buffer for it.
    fn copy_of(&mut self, front: &[u8], back: &[u8]) -> Option<Packet<P::Frame>> {
        let mut frame = self.pool.alloc_for(front.len() + back.len())?;
        let out = frame.append(front.len() + back.len())?;
        let (first, second) = out.split_at_mut_checked(front.len())?;
        first.copy_from_slice(front);
        second.copy_from_slice(back);
        *frame.meta_mut() = Meta { origin: Origin::Worker, ..Meta::default() };
        Packet::parse(frame).ok()
    }

    /// Whether it went on its way; it is this worker's from then on, and accounted for.
    fn send_copy(&mut self, packet: Packet<P::Frame>, aim: Aim) -> bool {
        match aim {
            Aim::Station { port, vlan, station } => {
                let interface = self.snapshot.interface(port, vlan).copied();
                let fits = |mtu: u16| {
                    packet.summary.length() <= usize::from(mtu) && self.stations.departing.room() > 0
                };
                let Some(interface) = interface.filter(|interface| fits(interface.mtu)) else { return false };
                let Ok(frame) = forward::frame(packet, &interface, station) else { return false };
                self.link.counters().made.add(1);
                self.put_out(frame);
            }
            Aim::IpTunnel(id) => {
                self.link.counters().made.add(1);
                self.enter_ip_tunnel(packet, id, &mut None);
            }
        }
        true
    }
}
