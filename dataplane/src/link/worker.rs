//! A worker's end of the link: commands in, reports out, packets both ways, and the tables it owns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;

use super::command::{Command, Sequence};
use super::counter::Counters;
use super::handoff::{Handoff, Sent};
use super::key::KeyCells;
use super::packet::{IkePunt, KernelPunt};
use super::report::Report;
use super::{Applied, CommandIn, HandoffIn, HandoffOut, IkeOut, In, KernelOut, ReportOut};
use crate::net::flow::Flow;
use crate::sa::fact::{Fact, Facts};
use crate::sa::shard::{Map, WorkerId};
use crate::sa::spi::{Place, Spi};
use crate::sa::table::{InboundTable, OutboundTable};
use crate::verdict::Drop;

/// Most reports the answer to one command can need: a removal and a refusal.
const ANSWERS: usize = 2;
/// Packets noted that want slots without an SA. They are told in the poll in which they came, as long as control keeps
/// up; of a slot that is wanted beyond that, control hears without a packet.
const PACKETS: usize = 64;

/// What one worker holds of the link, and the SAs it owns. One owner: the worker.
#[derive(Debug)]
pub struct WorkerEnd<F> {
    pub(super) id: WorkerId,
    pub(super) shards: Arc<Map>,
    pub(super) commands: CommandIn,
    pub(super) taken: Sequence,
    pub(super) applied: Arc<Applied>,
    pub(super) reports: ReportOut,
    pub(super) keys: Arc<KeyCells>,
    pub(super) ike: IkeOut<F>,
    pub(super) ike_init: IkeOut<F>,
    pub(super) kernel: KernelOut<F>,
    pub(super) from_control: In<F>,
    pub(super) from_kernel: In<F>,
    pub(super) handoff_out: Vec<HandoffOut<F>>,
    pub(super) handoff_in: Vec<HandoffIn<F>>,
    pub(super) counters: Arc<Counters>,
    pub(super) untold: Untold,
    /// By outbound slot: the inbound SA installed last for its child, whose first packet is the switch.
    pub(super) newest: Box<[Option<Spi>]>,
    /// The inbound SAs.
    pub inbound: InboundTable,
    /// The outbound SAs.
    pub outbound: OutboundTable,
}

/// Whose facts control has not been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Inbound(Place, Spi),
    Outbound(u32),
}

/// The SAs with facts to tell, each once, oldest first.
#[derive(Debug)]
pub(super) struct Untold {
    list: VecDeque<Whose>,
    limit: usize,
    /// The first packets of slots in the list that have no SA.
    packets: Vec<(u32, Flow)>,
}

impl Untold {
    /// Room for every SA there can be.
    pub fn new(limit: usize) -> Self {
        let packets = Vec::with_capacity(PACKETS.min(limit));
        Untold { list: VecDeque::with_capacity(limit), limit, packets }
    }

    fn add(&mut self, whose: Whose) {
        if self.list.len() >= self.limit {
            self.forget_repetitions();
        }
        if self.list.len() < self.limit {
            self.list.push_back(whose);
        }
    }

    /// SAs that were replaced before their facts were told are listed again for their successors. Without
    /// repetitions the list has room for all there are.
    fn forget_repetitions(&mut self) {
        self.list.make_contiguous().sort_unstable();
        let mut last = None;
        self.list.retain(|whose| last.replace(*whose) != Some(*whose));
    }

    fn forget(&mut self, whose: Whose) {
        self.list.retain(|entry| *entry != whose);
    }

    fn note_packet(&mut self, slot: u32, packet: Flow) {
        // One of an SA that came and went before it was told is no news.
        self.take_packet(slot);
        if self.packets.len() < self.packets.capacity() {
            self.packets.push((slot, packet));
        }
    }

    fn take_packet(&mut self, slot: u32) -> Option<Flow> {
        let at = self.packets.iter().position(|(of, _)| *of == slot)?;
        Some(self.packets.swap_remove(at).1)
    }
}

impl<F> WorkerEnd<F> {
    /// Which worker this is.
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Which worker owns which shard.
    pub fn shards(&self) -> &Map {
        &self.shards
    }

    /// What this worker counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The keys on their way to this worker.
    pub fn keys(&self) -> &KeyCells {
        &self.keys
    }

    /// The next command, if whatever it has to answer finds room.
    pub(crate) fn next_command(&mut self) -> Option<(Sequence, Command)> {
        if self.reports.slots() < ANSWERS {
            return None;
        }
        let command = self.commands.pop().ok()?;
        self.taken.0 += 1;
        self.counters.commands.add(1);
        Some((self.taken, command))
    }

    /// Tells control how far commands are applied.
    pub(crate) fn publish_applied(&self) {
        self.applied.0.store(self.taken.0, Release);
    }

    /// Sends a report for which there is room by [`Self::next_command`].
    pub(crate) fn answer(&mut self, report: Report) {
        // There is room: commands are taken only when all their answers fit.
        let _ = self.reports.push(report);
    }

    /// Sends a report that will come again if it is lost; leaves room for answers.
    pub(crate) fn mention(&mut self, report: Report) {
        if self.reports.slots() > ANSWERS {
            let _ = self.reports.push(report);
        }
    }

    /// Notes facts about an inbound SA.
    pub(crate) fn raise_inbound(&mut self, place: Place, spi: Spi, facts: Facts) {
        let Some(cold) = self.inbound.cold_mut(place) else { return };
        for fact in facts.iter() {
            if cold.facts.raise(fact) {
                self.untold.add(Whose::Inbound(place, spi));
            }
        }
    }

    /// Notes facts about the SA that sends for an outbound slot.
    pub(crate) fn raise_outbound(&mut self, slot: u32, facts: Facts) {
        let Some(cold) = self.outbound.cold_mut(slot) else { return };
        for fact in facts.iter() {
            if cold.facts.raise(fact) {
                self.untold.add(Whose::Outbound(slot));
            }
        }
    }

    /// Notes that a packet wanted an outbound slot in which no SA is; the first one is read.
    pub(crate) fn raise_vacant(&mut self, slot: u32, packet: impl FnOnce() -> Option<Flow>) {
        let Some(facts) = self.outbound.vacant_facts(slot) else { return };
        if facts.raise(Fact::Wanted) {
            self.untold.add(Whose::Outbound(slot));
            packet().into_iter().for_each(|packet| self.untold.note_packet(slot, packet));
        }
    }

    /// Notes that an inbound SA was installed for the child that sends by `slot`.
    pub(crate) fn expect_first(&mut self, slot: u32, spi: Spi) {
        if let Some(newest) = self.newest.get_mut(slot as usize) {
            *newest = Some(spi);
        }
    }

    /// The first packet has verified on an inbound SA of the child that sends by `slot`. Only the newest is
    /// the one the peer sends on after a rekey: the old one may be heard for the first time after the new
    /// outbound SA was laid beside it, when the peer may not have that one yet.
    pub(crate) fn heard_first(&mut self, slot: u32, spi: Spi) {
        if self.newest.get(slot as usize) == Some(&Some(spi)) {
            self.activate(slot);
        }
    }

    /// Lets the SA that stands by in an outbound slot send; nothing happens without one. The old SA ends
    /// here, its key is wiped.
    pub(crate) fn activate(&mut self, slot: u32) {
        self.outbound.activate(slot);
    }

    /// Forgets what was not told about an inbound SA that is gone.
    pub(crate) fn forget_inbound(&mut self, place: Place, spi: Spi) {
        self.untold.forget(Whose::Inbound(place, spi));
    }

    /// Tells control the facts there are, as far as the ring has room; the rest stays raised.
    pub(crate) fn tell(&mut self) {
        while self.reports.slots() > 2 * ANSWERS {
            let Some(whose) = self.untold.list.pop_front() else { return };
            for report in self.reports_of(whose).into_iter().flatten() {
                let _ = self.reports.push(report);
            }
        }
    }

    /// What is to be told of an SA that is still there; the facts are lowered by it.
    fn reports_of(&mut self, whose: Whose) -> [Option<Report>; 2] {
        match whose {
            Whose::Inbound(place, spi) => [self.report_inbound(place, spi), None],
            Whose::Outbound(slot) => [self.report_outbound(slot), self.report_vacant(slot)],
        }
    }

    fn report_inbound(&mut self, place: Place, spi: Spi) -> Option<Report> {
        let peer = self.inbound.hot(place, spi)?.peer();
        let cold = self.inbound.cold_mut(place)?;
        let facts = cold.facts.take();
        (!facts.is_empty()).then_some(Report::Inbound { place, spi, child: cold.child, facts, peer })
    }

    fn report_outbound(&mut self, slot: u32) -> Option<Report> {
        let spi = self.outbound.hot(slot)?.spi();
        let cold = self.outbound.cold_mut(slot)?;
        let facts = cold.facts.take();
        (!facts.is_empty()).then_some(Report::Outbound { slot, spi, child: cold.child, facts })
    }

    fn report_vacant(&mut self, slot: u32) -> Option<Report> {
        let packet = self.untold.take_packet(slot);
        let facts = self.outbound.vacant_facts(slot)?.take();
        facts.has(Fact::Wanted).then_some(Report::Vacant { slot, packet })
    }

    /// Sends an IKE message to control, or drops it when its ring is full.
    pub(crate) fn punt_ike(&mut self, punt: IkePunt<F>, initial: bool) {
        let (ring, full) = match initial {
            true => (&mut self.ike_init, Drop::PuntInitFull),
            false => (&mut self.ike, Drop::PuntIkeFull),
        };
        match ring.push(punt) {
            Ok(()) => self.counters.punted.add(1),
            Err(_) => self.counters.dropped(full),
        }
    }

    /// Sends a packet to the kernel, or drops it when the ring is full.
    pub(crate) fn punt_kernel(&mut self, punt: KernelPunt<F>) {
        match self.kernel.push(punt) {
            Ok(()) => self.counters.punted.add(1),
            Err(_) => self.counters.dropped(Drop::PuntRestFull),
        }
    }

    /// Hands a packet to the worker that owns it; it goes over with others, by [`Self::send_handoffs`] at the
    /// latest.
    #[inline]
    pub(crate) fn hand(&mut self, to: WorkerId, handoff: Handoff<F>) {
        let ring = self.handoff_out.get_mut(to.index()).and_then(Option::as_mut);
        let handed = ring.map_or(Sent { sent: 0, lost: 1 }, |ring| ring.put(handoff));
        if handed != Sent::default() {
            count_handed(&self.counters, handed);
        }
    }

    /// Sends what was handed to other workers, or drops it when they cannot keep up.
    #[inline]
    pub(crate) fn send_handoffs(&mut self) {
        for ring in self.handoff_out.iter_mut().flatten() {
            let handed = ring.send();
            if handed != Sent::default() {
                count_handed(&self.counters, handed);
            }
        }
    }

    /// The rings of what other workers hand over, to be given back after a look.
    pub(crate) fn handoffs(&mut self) -> &mut Vec<HandoffIn<F>> {
        &mut self.handoff_in
    }

    /// Number of other workers.
    pub(crate) fn others(&self) -> usize {
        self.handoff_in.len()
    }

    /// Workers there are, this one included.
    pub(crate) fn workers(&self) -> usize {
        self.handoff_out.len()
    }

    /// The next packet from control, or `None`.
    pub(crate) fn next_from_control(&mut self) -> Option<F> {
        self.from_control.pop().ok()
    }

    /// The next packet from the kernel, or `None`.
    pub(crate) fn next_from_kernel(&mut self) -> Option<F> {
        self.from_kernel.pop().ok()
    }
}

fn count_handed(counters: &Counters, handed: Sent) {
    counters.handed_out.add(handed.sent as u64);
    if handed.lost > 0 {
        counters.dropped_many(Drop::HandoffFull, handed.lost as u64);
    }
}
