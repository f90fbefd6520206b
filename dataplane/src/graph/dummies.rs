//! Dummy packets (RFC 4303 §2.6, DP-45): ESP packets with nothing inside, that hide whether an SA carries anything. They are
//! as long as what their tunnel pads, and take a number, a lifetime and the way out as other packets do; the receiver
//! drops them. A worker whose tunnels send none executes one comparison a poll.

use std::hash::{DefaultHasher, Hasher};

use crate::io::{Frame, Meta, Origin, Pool};
use crate::net::ipv4;
use crate::node::apart;
use crate::node::seal::{Laid, Order, Sealing};
use crate::verdict::Drop;

use super::Graph;

/// Dummies sent a poll: no more than there is always room for behind what came in. What is left has its turn in the next.
const DUMMIES_A_POLL: usize = 64;
/// Octets behind a text at most: padding of a block, its trailer, ICV.
const BEHIND: usize = 64;

impl<P: Pool> Graph<P> {
    /// Sends a dummy packet for each slot whose turn it is.
    #[cold]
    #[inline(never)]
    pub(super) fn send_dummies(&mut self) {
        for _ in 0..DUMMIES_A_POLL {
            let chance = self.draw();
            match self.link.outbound.next_dummy(self.now_us, chance) {
                Some((slot, true)) => self.send_dummy(slot),
                Some((_, false)) => {}
                None => break,
            }
        }
        self.carry_out();
    }

    /// What nobody foresees who does not know this machine's secret: a beat would tell dummies from other packets.
    fn draw(&mut self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(u64::from(self.link.id().0));
        hasher.write_u64(self.drawn);
        self.drawn = self.drawn.wrapping_add(1);
        hasher.finish()
    }

    /// Sends one under the SA of a slot, if there is one, and a buffer: nobody misses this packet.
    fn send_dummy(&mut self, slot: u32) {
        let Some(mut frame) = self.dummy_frame(slot) else { return };
        self.link.counters().made.add(1);
        match self.lay_out_dummy(&mut frame, slot) {
            Ok(laid) => {
                self.count_dummy(slot);
                if !laid.facts.is_empty() {
                    self.link.raise_outbound(slot, laid.facts);
                }
                // There is room.
                self.apart_waits = true;
                let _ = self.stations.sealings.push(Sealing::new(frame, slot, 0, laid));
            }
            Err(reason) => self.refuse_unnumbered(frame, slot, reason),
        }
    }

    fn dummy_frame(&mut self, slot: u32) -> Option<P::Frame> {
        let wrap = &self.link.outbound.hot(slot).filter(|hot| hot.wrap.padded_to > 0)?.wrap;
        let mut frame = self.pool.alloc_for(usize::from(wrap.padded_to) + BEHIND)?;
        *frame.meta_mut() = Meta { instance: wrap.instance, origin: Origin::Worker, ..Meta::default() };
        Some(frame)
    }

    fn lay_out_dummy(&mut self, frame: &mut P::Frame, slot: u32) -> Result<Laid, Drop> {
        let (id, epoch) = (self.id(), self.exits.epoch());
        let hot = self.link.outbound.hot_mut(slot).ok_or(Drop::NoSa)?;
        if self.stations.sealings.room() == 0 {
            return Err(Drop::BurstFull);
        }
        // Those it is to pass for are mostly of TCP, which forbids cutting.
        let dont_fragment = hot.wrap.outer_df(ipv4::DONT_FRAGMENT);
        let departs = hot.departs(epoch, usize::from(hot.wrap.padded_to));
        apart::lay_out_dummy(frame, hot, Order { departs, hop: false, dont_fragment, id })
    }

    fn count_dummy(&self, slot: u32) {
        self.link.counters().dummies_sent.add(1);
        self.link.outbound.sent_dummies(slot).into_iter().for_each(|counter| counter.add(1));
    }
}
