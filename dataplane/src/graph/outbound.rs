//! The stations of the outbound path up to encryption: judge, prepare, seal. What leaves does so by [`super::leave`];
//! packets this worker makes are in [`super::made`], what others ask to be sent in [`super::asked`].

use crate::io::{Frame, Meta, Origin, Pool};
use crate::link::handoff::Work;
use crate::link::packet::{Kernel, KernelPunt};
use crate::net::flow::Summary;
use crate::node::forward;
use crate::node::memo::{Packed, Place, Way};
use crate::node::policy::{self, Fate, Judgement};
use crate::node::seal::{self, Fit, Laid, Order, Sealing};
use crate::node::{Packet, apart, clamp, icmp, is_transit, offload, transport};
use crate::policy::spd::At;
use crate::sa::fact::{Fact, Facts};
use crate::sa::outbound::Hot;
use crate::verdict::{Drop, Verdict};

use super::{Clear, Graph};

/// Packets looked up before the first of them is worked: what they ask for must not displace itself.
const AHEAD: usize = 16;

impl<P: Pool> Graph<P> {
    /// Clear packets that are to leave their instance: under an SA, as they are, or not at all. Some are looked up
    /// in the memo before the first of them moves on, so that no packet waits for its SA alone; those that go one
    /// way in a row go it together.
    pub(super) fn judge(&mut self) {
        if self.is_tapped() {
            self.show_clear();
        }
        let mut queue = std::mem::take(&mut self.stations.clear);
        let mut waiting = queue.drain();
        while !waiting.as_slice().is_empty() {
            let mut ways = [None; AHEAD];
            let ahead = self.look_ahead(waiting.as_slice(), &mut ways);
            for run in ways.get(..ahead).unwrap_or_default().chunk_by(PartialEq::eq) {
                let way = run.first().copied().flatten().map(Packed::way);
                if let Some(Way::Seal(_)) = way {
                    self.sample(waiting.as_slice().first(), run.len());
                }
                let packets = waiting.by_ref().take(run.len()).map(|clear| clear.packet);
                match way {
                    Some(way) => self.go(packets, way),
                    None => packets.for_each(|packet| self.judge_anew(packet)),
                }
            }
        }
        drop(waiting);
        self.stations.clear = queue;
    }

    /// Finds the ways of the first packets that wait, and asks for the SAs these lead to; how many packets that was.
    #[inline(never)]
    fn look_ahead(&self, waiting: &[Clear<P::Frame>], ways: &mut [Option<Packed>; AHEAD]) -> usize {
        let mut last = None;
        for (Clear { packet, place }, found) in waiting.iter().zip(&mut *ways) {
            let way = self.way(packet, *place);
            if way != last {
                self.prefetch(way);
                last = way;
            }
            *found = way;
        }
        waiting.len().min(ways.len())
    }

    /// What is remembered of a flow and still true.
    #[inline(always)]
    fn way(&self, packet: &Packet<P::Frame>, place: Place) -> Option<Packed> {
        let key = self.memo.key(packet.meta(), &packet.summary);
        self.memo.find(&key, place).filter(|packed| match packed.way() {
            Way::Seal(_) | Way::Enter(_) => true,
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

    /// Sends packets the way others of their flows went.
    #[inline(always)]
    fn go(&mut self, mut packets: impl Iterator<Item = Packet<P::Frame>>, way: Way) {
        match way {
            Way::Seal(sa) if sa.worker == self.link.id() => self.prepare_run(&mut packets, sa.slot),
            Way::Seal(sa) => packets.for_each(|packet| {
                if let Some(packet) = self.take_hop(packet) {
                    self.hand(sa.worker, packet, Work::Seal { slot: sa.slot });
                }
            }),
            Way::Clear(exit) => self.leave_run(&mut packets, exit),
            Way::Enter(id) => self.enter_run(&mut packets, id),
        }
    }

    /// RFC 1812 §5.3.1: whoever forwards takes a hop; what this machine says itself has taken none. A packet that has
    /// none left ends here.
    #[inline]
    pub(super) fn take_hop(&mut self, mut packet: Packet<P::Frame>) -> Option<Packet<P::Frame>> {
        if !is_transit(packet.meta()) || forward::take_hop(&mut packet) {
            return Some(packet);
        }
        self.report(packet, icmp::Report::TimeExceeded, Drop::TtlExpired);
        None
    }

    /// A packet of a flow that nothing is remembered of.
    #[cold]
    fn judge_anew(&mut self, packet: Packet<P::Frame>) {
        let (meta, flow) = (*packet.meta(), packet.summary.flow());
        let key = &self.memo.key(&meta, &packet.summary);
        let fate = match policy::judge(self.tables.tables(), &self.snapshot, self.link.id(), &meta, &flow) {
            Judgement::Kernel => return self.punt_packet(packet),
            Judgement::Ours => return self.arrive(packet),
            Judgement::Routed => return self.keep(packet),
            Judgement::Goes(fate, by) => {
                by.into_iter().for_each(|at| self.count_entry(meta.instance, at));
                fate
            }
        };
        if let Fate::Drop(reason) = fate {
            return self.refuse(packet.frame, reason);
        }
        let Some(packet) = self.take_hop(packet) else { return };
        match fate {
            Fate::Drop(_) => {}
            Fate::Seal(sa) => {
                self.memo.remember(key, Way::Seal(sa));
                self.give_sealer(packet, sa);
            }
            Fate::Enter(id) => {
                self.memo.remember(key, Way::Enter(id));
                self.enter_ip_tunnel(packet, id, &mut None);
            }
            // By the note at once: packets of one flow leave in the order they came, and the next is known.
            Fate::Clear(hop) => match self.note_exit(meta.instance, flow.destination, Some(hop)) {
                Some(exit) => {
                    self.memo.remember(key, Way::Clear(exit));
                    self.leave_known(packet, exit);
                }
                None => self.leave_by(packet, Some(hop)),
            },
        }
    }

    fn count_entry(&self, instance: u16, at: At) {
        if let Some(spd) = self.tables.tables().spd(instance) {
            spd.count(self.link.id(), at);
        }
    }

    /// A packet that turned out to be for this machine.
    fn arrive(&mut self, packet: Packet<P::Frame>) {
        match packet.meta().origin {
            Origin::Wire => self.classify_other(packet),
            Origin::Tunnel if self.ends_ip_tunnel(&packet) => self.leave_ip_tunnel(packet),
            _ => self.keep(packet),
        }
    }

    /// A route says "ours" of an address that the configuration does not list (yet), or the kernel is to
    /// have an error about a packet of its own.
    fn keep(&mut self, packet: Packet<P::Frame>) {
        let Meta { origin, instance, .. } = *packet.meta();
        match origin {
            Origin::Wire => self.punt_packet(packet),
            _ => {
                if self.is_tapped() {
                    self.show_end(&packet.frame, Verdict::Punt);
                }
                self.link.punt_kernel(KernelPunt { frame: packet.frame, to: Kernel::Tun { instance } });
            }
        }
    }

    /// [`Graph::prepare`] for packets that another worker handed over, or the kernel.
    pub(super) fn prepare_owned(&mut self, (packet, slot): (Packet<P::Frame>, u32)) {
        self.prepare(packet, slot);
    }

    /// A packet for a slot of this worker that has taken its hop: does it fit, and is there an SA?
    pub(super) fn prepare(&mut self, mut packet: Packet<P::Frame>, slot: u32) {
        let fits = self.link.outbound.hot(slot).is_some_and(|hot| {
            if hot.wrap.asks() {
                if hot.wrap.tcp_mss > 0 {
                    clamp::clamp(&mut packet.frame, &packet.summary, hot.wrap.tcp_mss);
                }
                if hot.wrap.padded_to > 0 {
                    return false;
                }
            }
            seal::fits(&packet, &hot.wrap)
        });
        match fits {
            true => self.number(packet, slot),
            false => self.prepare_unfit(packet, slot),
        }
    }

    /// A packet that its tunnel does not take as a matter of course, or for which there is no SA.
    #[cold]
    fn prepare_unfit(&mut self, mut packet: Packet<P::Frame>, slot: u32) {
        if self.link.outbound.hot(slot).is_some_and(|hot| hot.wrap.is_transport()) {
            return self.number_apart(packet, slot, transport::lay_out);
        }
        let fit = self.link.outbound.hot(slot).map(|hot| seal::fit(&mut packet, &hot.wrap, hot.limits()));
        match fit {
            Some(Fit::Whole) => self.number_any(packet, slot),
            Some(Fit::Cut(mtu)) => {
                self.count_slot(slot, |counters| &counters.pre_fragmented);
                self.cut(packet, mtu, |graph, piece| graph.number_any(piece, slot));
            }
            Some(Fit::TooBig(mtu)) => {
                self.show_slot(&packet.frame, slot);
                self.count_slot(slot, |counters| &counters.too_big);
                if self.link.outbound.hot(slot).is_some_and(|hot| hot.wrap.is_silent()) {
                    return self.refuse(packet.frame, Drop::MtuExceeded);
                }
                self.report_of_slot(packet, slot, mtu);
            }
            None => self.vacant(packet.frame, slot),
        }
    }

    /// Refuses a packet that is too large for a slot; its sender is told, by the rate of the slot if it has its own.
    fn report_of_slot(&mut self, packet: Packet<P::Frame>, slot: u32, mtu: u16) {
        let report = icmp::Report::TooBig { mtu: usize::from(mtu) };
        match self.link.outbound.paces.take(slot, self.now_us) {
            None => self.report(packet, report, Drop::MtuExceeded),
            Some(may) => self.report_if(packet, report, Drop::MtuExceeded, |_| may),
        }
    }

    /// Looks at the checksum of one packet in some, of so many that enter tunnels: hosts with offloads on are found
    /// by it.
    #[inline(always)]
    fn sample(&mut self, first: Option<&Clear<P::Frame>>, packets: usize) {
        let until_next = self.looked_at.wrapping_neg() % offload::SAMPLE;
        self.looked_at = self.looked_at.wrapping_add(packets as u64);
        if until_next < packets as u64 {
            first.inspect(|first| self.check_checksum(&first.packet));
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
        self.show_slot(&frame, slot);
        self.link.raise_vacant(slot, || Some(Summary::parse(frame.data()).ok()?.flow()));
        self.refuse(frame, Drop::NoSa);
    }

    /// Counts something of a slot.
    pub(super) fn count_slot(
        &self,
        slot: u32,
        counter: impl Fn(&crate::sa::counters::OutboundCounters) -> &crate::sa::counters::Counter,
    ) {
        if let Some(counters) = self.link.outbound.counters(slot) {
            counter(counters).add(1);
        }
    }

    /// Gives a packet that fits its SA, whatever its suite and padding, a sequence number and headers.
    fn number_any(&mut self, packet: Packet<P::Frame>, slot: u32) {
        let is_apart = |hot: &Hot| hot.apart().is_some() || hot.wrap.padded_to > 0;
        match self.link.outbound.hot(slot).is_some_and(is_apart) {
            true => self.number_apart(packet, slot, apart::lay_out),
            false => self.number(packet, slot),
        }
    }

    /// The same by who lays out packets whose suite may not be AES-GCM.
    fn number_apart(
        &mut self,
        packet: Packet<P::Frame>,
        slot: u32,
        lay_out: impl Fn(&mut P::Frame, &Summary, &mut Hot, Order) -> Result<Laid, Drop>,
    ) {
        self.apart_waits = true;
        self.number_by(packet, slot, lay_out);
    }

    /// The same under an SA of AES-GCM.
    fn number(&mut self, packet: Packet<P::Frame>, slot: u32) {
        self.number_by(packet, slot, seal::lay_out);
    }

    #[inline(always)]
    fn number_by(
        &mut self,
        mut packet: Packet<P::Frame>,
        slot: u32,
        lay_out: impl Fn(&mut P::Frame, &Summary, &mut Hot, Order) -> Result<Laid, Drop>,
    ) {
        let (id, epoch, octets) = (self.id(), self.exits.epoch(), packet.summary.length());
        let laid = match self.link.outbound.hot_mut(slot) {
            Some(hot) if self.stations.sealings.room() > 0 => {
                // Where the last packet of the SA left, if that is still to be believed.
                let dont_fragment = seal::dont_fragment(&hot.wrap, hot.limits(), &packet.summary);
                let order = Order { departs: hot.departs(epoch, octets), hop: false, dont_fragment, id };
                lay_out(&mut packet.frame, &packet.summary, hot, order)
            }
            _ => Err(Drop::BurstFull),
        };
        match laid {
            Ok(laid) => {
                if !laid.facts.is_empty() {
                    self.link.raise_outbound(slot, laid.facts);
                }
                let _ = self.stations.sealings.push(Sealing::new(packet.frame, slot, octets, laid));
            }
            Err(reason) => self.refuse_unnumbered(packet.frame, slot, reason),
        }
    }

    /// A packet that got no number.
    #[cold]
    pub(super) fn refuse_unnumbered(&mut self, frame: P::Frame, slot: u32, reason: Drop) {
        if self.link.outbound.hot(slot).is_none() {
            return self.vacant(frame, slot);
        }
        if matches!(reason, Drop::SequenceExhausted | Drop::LifetimeExpired) {
            self.expired(slot);
        }
        self.show_slot(&frame, slot);
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
        let is_tapped = self.is_tapped();
        if is_tapped {
            self.show_unsealed();
        }
        seal::seal(self.stations.sealings.as_mut_slice(), &self.link.outbound);
        if std::mem::take(&mut self.apart_waits) {
            apart::seal(self.stations.sealings.as_mut_slice(), &self.link.outbound);
        }
        if is_tapped {
            self.show_sealed();
        }
    }
}
