//! The stations of the outbound path up to encryption: judge, prepare, seal. What leaves does so by [`super::leave`];
//! packets this worker makes are in [`super::made`], what others ask to be sent in [`super::asked`].

use crate::io::{Meta, Origin, Pool};
use crate::link::handoff::Work;
use crate::link::packet::{Kernel, KernelPunt};
use crate::node::forward;
use crate::node::memo::{Packed, Place, Way};
use crate::node::policy::{self, Fate, Judgement};
use crate::node::seal::{self, Fit, Laid, Order, Sealing};
use crate::node::{Packet, clamp, icmp, is_transit, offload};
use crate::sa::SaRef;
use crate::sa::fact::{Fact, Facts};
use crate::verdict::Drop;

use super::{Clear, Graph};

/// Packets looked up before the first of them is worked: what they ask for must not displace itself.
const AHEAD: usize = 16;

impl<P: Pool> Graph<P> {
    /// Clear packets that are to leave their instance: under an SA, as they are, or not at all. A burst is
    /// looked up in the memo before its first packet moves on, so that no packet waits for its SA alone.
    pub(super) fn judge(&mut self) {
        let mut queue = std::mem::take(&mut self.stations.clear);
        let mut last = None;
        for burst in queue.as_mut_slice().chunks_mut(AHEAD) {
            let mut ways = [None; AHEAD];
            for (Clear { packet, place }, found) in burst.iter().zip(&mut ways) {
                let way = packet.as_ref().and_then(|packet| self.way(packet, *place));
                if way != last {
                    self.prefetch(way);
                    last = way;
                }
                *found = way;
            }
            for (Clear { packet, .. }, way) in burst.iter_mut().zip(ways) {
                match way {
                    Some(way) => self.go(packet, way.way()),
                    None => self.judge_anew(packet.take()),
                }
            }
        }
        queue.clear();
        self.stations.clear = queue;
    }

    /// What is remembered of a flow and still true.
    #[inline(always)]
    fn way(&self, packet: &Packet<P::Frame>, place: Place) -> Option<Packed> {
        let key = self.memo.key(packet.meta(), &packet.summary);
        self.memo.find(&key, place).filter(|packed| match packed.way() {
            Way::Seal(_) => true,
            Way::Clear(exit) => self.exits.get(exit).is_some(),
        })
    }

    /// Asks for the SA a packet will be sealed under, if it is this worker's.
    #[inline]
    fn prefetch(&self, way: Option<Packed>) {
        if let Some(Way::Seal(sa)) = way.map(Packed::way)
            && sa.worker == self.link.id()
        {
            self.link.outbound.prefetch(sa.slot);
        }
    }

    /// Sends a packet the way others of its flow went.
    #[inline(always)]
    fn go(&mut self, place: &mut Option<Packet<P::Frame>>, way: Way) {
        let Some(packet) = place else { return };
        // RFC 1812 §5.3.1: whoever forwards takes a hop; what this machine says itself has taken none.
        let hop = is_transit(packet.meta());
        if hop && packet.summary.ttl() <= 1 {
            return self.expire_hop(place.take());
        }
        if let Way::Seal(sa) = way
            && sa.worker == self.link.id()
        {
            return self.prepare(place, sa.slot, hop);
        }
        if hop {
            forward::take_hop(packet);
        }
        match way {
            Way::Seal(sa) => self.go_elsewhere(place.take(), sa),
            Way::Clear(exit) => self.leave_known(place, exit),
        }
    }

    #[inline(never)]
    fn go_elsewhere(&mut self, packet: Option<Packet<P::Frame>>, sa: SaRef) {
        if let Some(packet) = packet {
            self.hand(sa.worker, packet, Work::Seal { slot: sa.slot });
        }
    }

    #[cold]
    fn expire_hop(&mut self, packet: Option<Packet<P::Frame>>) {
        if let Some(packet) = packet {
            self.report(packet, icmp::Report::TimeExceeded, Drop::TtlExpired);
        }
    }

    /// A packet of a flow that nothing is remembered of.
    #[cold]
    fn judge_anew(&mut self, packet: Option<Packet<P::Frame>>) {
        let Some(mut packet) = packet else { return };
        let (meta, flow) = (*packet.meta(), packet.summary.flow());
        let key = &self.memo.key(&meta, &packet.summary);
        let fate = match policy::judge(self.tables.tables(), &self.snapshot, &meta, &flow) {
            Judgement::Kernel => return self.punt_packet(packet),
            Judgement::Ours => return self.arrive(packet),
            Judgement::Routed => return self.keep(packet),
            Judgement::Goes(fate) => fate,
        };
        match fate {
            Fate::Drop(reason) => self.refuse(packet.frame, reason),
            _ if is_transit(&meta) && !forward::take_hop(&mut packet) => {
                self.report(packet, icmp::Report::TimeExceeded, Drop::TtlExpired);
            }
            Fate::Seal(sa) => {
                self.memo.remember(key, Way::Seal(sa));
                self.give_sealer(packet, sa);
            }
            // By the note at once: packets of one flow leave in the order they came, and the next is known.
            Fate::Clear(hop) => match self.note_exit(meta.instance, flow.destination, Some(hop)) {
                Some(exit) => {
                    self.memo.remember(key, Way::Clear(exit));
                    self.leave_known(&mut Some(packet), exit);
                }
                None => self.leave_by(packet, Some(hop)),
            },
        }
    }

    /// A packet that turned out to be for this machine.
    fn arrive(&mut self, packet: Packet<P::Frame>) {
        match packet.meta().origin {
            Origin::Wire => self.classify_other(packet),
            _ => self.keep(packet),
        }
    }

    /// A route says "ours" of an address that the configuration does not list (yet), or the kernel is to
    /// have an error about a packet of its own.
    fn keep(&mut self, packet: Packet<P::Frame>) {
        let Meta { origin, instance, .. } = *packet.meta();
        match origin {
            Origin::Wire => self.punt_packet(packet),
            _ => self.link.punt_kernel(KernelPunt { frame: packet.frame, to: Kernel::Tun { instance } }),
        }
    }

    /// [`Graph::prepare`] for packets that another worker handed over, or the kernel.
    pub(super) fn prepare_owned(&mut self, (packet, slot): (Packet<P::Frame>, u32)) {
        self.prepare(&mut Some(packet), slot, false);
    }

    /// A packet for a slot of this worker, whose hop is still to be taken, or not: does it fit, and is there an SA?
    #[inline(always)]
    pub(super) fn prepare(&mut self, place: &mut Option<Packet<P::Frame>>, slot: u32, hop: bool) {
        let Some(packet) = place else { return };
        self.sample(packet);
        let (id, epoch, octets) = (self.next_id, self.exits.epoch(), packet.summary.length());
        match self.link.outbound.hot_mut(slot) {
            Some(hot) if hot.takes(epoch, octets) && self.stations.sealings.room() > 0 => {
                let order = Order { departs: true, hop, id };
                let laid = seal::lay_out(&mut packet.frame, &packet.summary, hot, order);
                // Taken only now: who asks in full takes one of its own.
                self.id();
                self.seal_later(place, slot, laid);
            }
            _ => {
                if hop {
                    forward::take_hop(packet);
                }
                self.prepare_asked(place, slot);
            }
        }
    }

    #[inline(never)]
    fn prepare_asked(&mut self, place: &mut Option<Packet<P::Frame>>, slot: u32) {
        let Some(packet) = place else { return };
        let fits = self.link.outbound.hot(slot).map(|hot| {
            if hot.wrap.tcp_mss > 0 {
                clamp::clamp(&mut packet.frame, &packet.summary, hot.wrap.tcp_mss);
            }
            seal::fit(packet, &hot.wrap)
        });
        match fits {
            Some(Fit::Whole) => self.number(place, slot),
            fits => self.prepare_unfit(place.take(), slot, fits),
        }
    }

    /// A packet that its tunnel does not take as it is, or for which there is no SA.
    #[cold]
    fn prepare_unfit(&mut self, packet: Option<Packet<P::Frame>>, slot: u32, fits: Option<Fit>) {
        let Some(packet) = packet else { return };
        match fits {
            Some(Fit::Cut(mtu)) => {
                self.count_slot(slot, |counters| &counters.pre_fragmented);
                self.cut(packet, mtu, |graph, piece| graph.number(&mut Some(piece), slot));
            }
            Some(Fit::TooBig(mtu)) => {
                self.count_slot(slot, |counters| &counters.too_big);
                self.report(packet, icmp::Report::TooBig { mtu: usize::from(mtu) }, Drop::MtuExceeded);
            }
            Some(Fit::Whole) | None => self.vacant(packet.frame, slot),
        }
    }

    /// Looks at the checksum of one packet in some: hosts with offloads on are found by it.
    #[inline(always)]
    fn sample(&mut self, packet: &Packet<P::Frame>) {
        let number = self.looked_at;
        self.looked_at = number.wrapping_add(1);
        if number.is_multiple_of(offload::SAMPLE) {
            self.check_checksum(packet);
        }
    }

    #[cold]
    fn check_checksum(&self, packet: &Packet<P::Frame>) {
        if let Some(right) = offload::checksum_ok(packet) {
            let counters = self.link.counters();
            counters.checksums_sampled.add(1);
            counters.checksums_wrong.add(u64::from(!right));
        }
    }

    /// No SA: the packet ends here, never in clear, and control hears of it (RFC 4301 §5.1: "if no SA is
    /// available [...] the packet is discarded").
    #[cold]
    fn vacant(&mut self, frame: P::Frame, slot: u32) {
        self.count_slot(slot, |counters| &counters.missing);
        self.link.raise_vacant(slot);
        self.refuse(frame, Drop::NoSa);
    }

    fn count_slot(
        &self,
        slot: u32,
        counter: impl Fn(&crate::sa::counters::OutboundCounters) -> &crate::sa::counters::Counter,
    ) {
        if let Some(counters) = self.link.outbound.counters(slot) {
            counter(counters).add(1);
        }
    }

    /// Gives a packet that fits its SA a sequence number and headers.
    fn number(&mut self, place: &mut Option<Packet<P::Frame>>, slot: u32) {
        let Some(Packet { frame, summary }) = place else { return };
        let (id, epoch) = (self.id(), self.exits.epoch());
        match self.link.outbound.hot_mut(slot) {
            Some(hot) if self.stations.sealings.room() > 0 => {
                // Where the last packet of the SA left, if that is still to be believed.
                let departs = hot.departs(epoch, summary.length());
                let laid = seal::lay_out(frame, summary, hot, Order { departs, hop: false, id });
                self.seal_later(place, slot, laid);
            }
            _ => self.refuse_unnumbered(place.take(), slot, Drop::BurstFull),
        }
    }

    /// Puts a packet that was laid out before its encryption.
    #[inline(always)]
    fn seal_later(&mut self, place: &mut Option<Packet<P::Frame>>, slot: u32, laid: Result<Laid, Drop>) {
        let laid = match laid {
            Ok(laid) => laid,
            Err(reason) => return self.refuse_unnumbered(place.take(), slot, reason),
        };
        let Some(Packet { frame, summary }) = place.take() else { return };
        let facts = laid.facts;
        let _ = self.stations.sealings.push(Sealing::new(frame, slot, summary.length(), laid));
        if !facts.is_empty() {
            self.link.raise_outbound(slot, facts);
        }
    }

    /// A packet that got no number.
    #[cold]
    fn refuse_unnumbered(&mut self, packet: Option<Packet<P::Frame>>, slot: u32, reason: Drop) {
        let Some(Packet { frame, .. }) = packet else { return };
        if self.link.outbound.hot(slot).is_none() {
            return self.vacant(frame, slot);
        }
        if matches!(reason, Drop::SequenceExhausted | Drop::LifetimeExpired) {
            self.expired(slot);
        }
        self.refuse(frame, reason);
    }

    #[cold]
    fn expired(&mut self, slot: u32) {
        self.count_slot(slot, |counters| &counters.expired);
        let mut facts = Facts::NONE;
        facts.raise(Fact::HardExpiry);
        self.link.raise_outbound(slot, facts);
    }

    /// Encrypts what was prepared.
    pub(super) fn seal(&mut self) {
        seal::seal(self.stations.sealings.as_mut_slice(), &self.link.outbound);
    }
}
