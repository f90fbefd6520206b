//! Packets that go one way in a row, under one SA or in clear by one exit: what all of them ask is asked once (DP-03).
//!
//! A packet is usual when nothing is to be asked of it alone. The first that is not goes by [`super::outbound`]'s
//! and [`super::leave`]'s stations, which ask everything, and the run goes on behind it, so that order is kept.

use crate::io::{Frame, Pool};
use crate::node::exit::{Exit, ExitRef};
use crate::node::forward;
use crate::node::seal::{self, Order, Sealing};
use crate::node::{Packet, Queue, is_transit};
use crate::sa::fact::Facts;
use crate::sa::outbound::Hot;
use crate::verdict::Drop;

use super::{Graph, Stations};

/// A packet that does not go on like the others of its run.
enum Unusual<F> {
    /// More is to be asked of it; it is as it was.
    Asks(Packet<F>),
    /// It ends here.
    Refused(F, Drop),
}

/// What packets that are laid out in a row have in common.
struct ToSeal<'a, F> {
    /// Knows where its packets leave.
    hot: &'a mut Hot,
    slot: u32,
    sealings: &'a mut Queue<Sealing<F>>,
    /// Identification of the next outer packet, and how far it is to the one after that.
    id: u16,
    step: u16,
    facts: Facts,
}

/// What packets that leave in clear in a row have in common.
struct ToSend<'a, F> {
    exit: &'a Exit,
    departing: &'a mut Queue<F>,
}

/// Whether a packet is to give a hop (`takes`) and has none left (RFC 1812 §5.3.1: whoever forwards takes one; what this
/// machine says itself has taken none).
#[inline(always)]
fn expires<F: Frame>(packet: &Packet<F>, takes: bool) -> bool {
    takes && packet.summary.ttl() <= 1
}

impl<F: Frame> ToSeal<'_, F> {
    /// Lays out a packet, whose hop is still to be taken, if it is usual.
    #[inline(always)]
    fn add(&mut self, mut packet: Packet<F>) -> Result<(), Unusual<F>> {
        let (hop, octets) = (is_transit(packet.meta()), packet.summary.length());
        if expires(&packet, hop) || !self.hot.takes(octets) || self.sealings.room() == 0 {
            return Err(Unusual::Asks(packet));
        }
        let dont_fragment = self.hot.wrap.outer_df(packet.summary.dont_fragment_bit());
        let order = Order { departs: true, hop, dont_fragment, id: self.id };
        match seal::lay_out(&mut packet.frame, &packet.summary, self.hot, order) {
            Ok(laid) => {
                self.id = self.id.wrapping_add(self.step);
                self.facts.join(laid.facts);
                // There is room.
                let _ = self.sealings.push(Sealing::new(packet.frame, self.slot, octets, laid));
                Ok(())
            }
            Err(reason) => Err(Unusual::Refused(packet.frame, reason)),
        }
    }
}

impl<F: Frame> ToSend<'_, F> {
    /// Sends a packet, whose hop is still to be taken, if it is usual.
    #[inline(always)]
    fn add(&mut self, packet: Packet<F>) -> Result<(), Unusual<F>> {
        let hop = is_transit(packet.meta());
        let fits = packet.summary.length() <= usize::from(self.exit.mtu);
        if expires(&packet, hop) || !fits || self.departing.room() == 0 {
            return Err(Unusual::Asks(packet));
        }
        let Packet { mut frame, summary } = packet;
        if !forward::frame_by(&mut frame, &summary, self.exit, hop) {
            return Err(Unusual::Refused(frame, Drop::NoRoom));
        }
        // There is room.
        let _ = self.departing.push(frame);
        Ok(())
    }
}

impl<P: Pool> Graph<P> {
    /// Packets for a slot of this worker, whose hops are still to be taken.
    #[inline(always)]
    pub(super) fn prepare_run(&mut self, packets: &mut impl Iterator<Item = Packet<P::Frame>>, slot: u32) {
        while let Some(unusual) = self.prepare_usual(packets, slot) {
            self.prepare_unusual(unusual, slot);
        }
    }

    /// Lays out packets as long as they are usual, and there is an SA that knows where they leave. The first other one
    /// comes back.
    #[inline(never)]
    fn prepare_usual(
        &mut self,
        packets: &mut impl Iterator<Item = Packet<P::Frame>>,
        slot: u32,
    ) -> Option<Unusual<P::Frame>> {
        let (step, epoch) = (self.link.workers() as u16, self.exits.epoch());
        let Graph { link, stations: Stations { sealings, .. }, next_id, .. } = self;
        let Some(hot) = link.outbound.hot_mut(slot).filter(|hot| hot.departure().epoch == epoch) else {
            return packets.next().map(Unusual::Asks);
        };
        let mut run = ToSeal { hot, slot, sealings, id: *next_id, step, facts: Facts::NONE };
        let unusual = packets.try_for_each(|packet| run.add(packet)).err();
        let ToSeal { id, facts, .. } = run;
        *next_id = id;
        if !facts.is_empty() {
            link.raise_outbound(slot, facts);
        }
        unusual
    }

    #[inline(never)]
    fn prepare_unusual(&mut self, unusual: Unusual<P::Frame>, slot: u32) {
        match unusual {
            Unusual::Refused(frame, reason) => self.refuse_unnumbered(frame, slot, reason),
            Unusual::Asks(packet) => {
                if let Some(packet) = self.take_hop(packet) {
                    self.prepare(packet, slot);
                }
            }
        }
    }

    /// Packets that leave in clear by an exit, whose hops are still to be taken.
    #[inline(always)]
    pub(super) fn leave_run(&mut self, packets: &mut impl Iterator<Item = Packet<P::Frame>>, at: ExitRef) {
        while let Some(unusual) = self.leave_usual(packets, at) {
            self.leave_unusual(unusual, at);
        }
    }

    /// Sends packets as long as they are usual and the exit is known. The first other one comes back.
    #[inline(never)]
    fn leave_usual(
        &mut self,
        packets: &mut impl Iterator<Item = Packet<P::Frame>>,
        at: ExitRef,
    ) -> Option<Unusual<P::Frame>> {
        let Graph { exits, stations: Stations { departing, .. }, .. } = self;
        let Some(exit) = exits.get(at) else { return packets.next().map(Unusual::Asks) };
        let mut run = ToSend { exit, departing };
        packets.try_for_each(|packet| run.add(packet)).err()
    }

    #[inline(never)]
    fn leave_unusual(&mut self, unusual: Unusual<P::Frame>, at: ExitRef) {
        match unusual {
            Unusual::Refused(frame, reason) => self.refuse(frame, reason),
            Unusual::Asks(packet) => {
                if let Some(packet) = self.take_hop(packet) {
                    self.leave_known(packet, at);
                }
            }
        }
    }
}
