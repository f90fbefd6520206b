//! Outbound SAs by slot: the one that sends, and the one that stands by during a rekey.

use super::{HOT_LINES, KEY_LINES, Misplaced, SlotOctets};
use crate::sa::counters::{Counter, OutboundCounters, slab};
use crate::sa::dummies::Dummies;
use crate::sa::fact::Facts;
use crate::sa::outbound::{self, Encapsulation, Outbound};
use crate::sa::pace::Paces;
use crate::sa::spi::Spi;
use ravelin_mem::arena::{Slab, SlabError};
use ravelin_mem::prefetch;
use std::sync::Arc;

/// What is in an outbound slot besides the hot half.
#[derive(Debug, Default)]
struct OutboundRest {
    cold: Option<outbound::Cold>,
    /// Where the SA waits that stands by; only beside one that sends.
    standby: Option<u32>,
    /// Facts about the slot when no SA is in it.
    vacant: Facts,
}

/// An outbound SA that is no more; its key is wiped.
#[derive(Debug, PartialEq, Eq)]
pub struct Retired {
    /// Its SPI.
    pub spi: Spi,
    /// The last sequence number it used.
    pub last_sequence: u64,
}

impl Retired {
    const fn of(hot: &outbound::Hot) -> Retired {
        Retired { spi: hot.spi(), last_sequence: hot.last_sequence() }
    }
}

/// A worker's outbound SAs. One owner.
#[derive(Debug)]
pub struct OutboundTable {
    hot: Slab<Option<outbound::Hot>>,
    rest: Slab<OutboundRest>,
    /// SAs that stand by. Few do at a time: a place for each slot would double the table for nothing.
    waiting: Slab<Option<Outbound>>,
    /// Places in `waiting` that are free. Its room is never exceeded.
    free: Vec<u32>,
    counters: Arc<[OutboundCounters]>,
    /// Dummy packets sent. Few slots send any: they lie apart, so that what every packet touches is one line.
    sent_dummies: Arc<[Counter]>,
    /// Rates of ICMP errors that are slots' own.
    pub paces: Paces,
    /// Which slots send dummy packets.
    pub dummies: Dummies,
}

/// One slot in so many can have an SA that stands by at the same time, and at least [`FEWEST_WAITING`].
const WAITING: usize = 16;
const FEWEST_WAITING: usize = 64;

impl OutboundTable {
    /// Octets of a slot, its share of the places to stand by included.
    pub const OCTETS: SlotOctets = SlotOctets {
        hot: size_of::<Option<outbound::Hot>>(),
        rest: size_of::<OutboundRest>()
            + size_of::<OutboundCounters>()
            + size_of::<Counter>()
            + size_of::<Option<Outbound>>() / WAITING,
    };

    /// An empty table of `capacity` slots; allocates all it will ever need.
    pub fn new(capacity: usize) -> Result<OutboundTable, SlabError> {
        let waiting = (capacity / WAITING).max(FEWEST_WAITING.min(capacity));
        Ok(OutboundTable {
            hot: Slab::new(capacity, |_| None)?,
            rest: Slab::new(capacity, |_| OutboundRest::default())?,
            waiting: Slab::new(waiting, |_| None)?,
            free: (0..waiting as u32).rev().collect(),
            counters: slab(capacity),
            sent_dummies: slab(capacity),
            paces: Paces::default(),
            dummies: Dummies::new(capacity),
        })
    }

    /// The counters, for control to read; index by slot.
    pub fn shared_counters(&self) -> Arc<[OutboundCounters]> {
        Arc::clone(&self.counters)
    }

    /// Dummy packets sent, for control to read; index by slot.
    pub fn shared_dummies(&self) -> Arc<[Counter]> {
        Arc::clone(&self.sent_dummies)
    }

    /// Dummy packets that a slot has sent.
    pub fn sent_dummies(&self, slot: u32) -> Option<&Counter> {
        self.sent_dummies.get(slot as usize)
    }

    /// The next slot whose turn it is to send a dummy packet, and whether it is to ([`Dummies::next`]).
    pub fn next_dummy(&mut self, now_us: u64, chance: u64) -> Option<(u32, bool)> {
        let Self { dummies, counters, sent_dummies, .. } = self;
        dummies.next(now_us, chance, |slot| {
            let count = |counter: Option<&Counter>| counter.map_or(0, Counter::get);
            let packets = counters.get(slot as usize).map(|counters| &counters.packets);
            count(packets).wrapping_sub(count(sent_dummies.get(slot as usize)))
        })
    }

    /// Takes over what an encapsulation says of a slot and no packet is asked for.
    pub fn regulate(&mut self, slot: u32, encapsulation: &Encapsulation) {
        self.paces.set(slot, encapsulation.errors);
        self.dummies.set(slot, encapsulation.dummies.filter(|_| encapsulation.padded_to.is_some()));
    }

    /// The counters of a slot.
    #[inline]
    pub fn counters(&self, slot: u32) -> Option<&OutboundCounters> {
        self.counters.get(slot as usize)
    }

    /// The SA that sends for a slot.
    #[inline]
    pub fn hot(&self, slot: u32) -> Option<&outbound::Hot> {
        self.hot.get(slot as usize)?.as_ref()
    }

    /// The same, to be changed.
    #[inline]
    pub fn hot_mut(&mut self, slot: u32) -> Option<&mut outbound::Hot> {
        self.hot.get_mut(slot as usize)?.as_mut()
    }

    /// Asks for what a packet touches of the SA in a slot, if there is one, to use it soon.
    #[inline]
    pub fn prefetch(&self, slot: u32) {
        if let Some(hot) = self.hot.get(slot as usize) {
            prefetch::lines(hot, HOT_LINES);
            prefetch::lines_later(hot, HOT_LINES, HOT_LINES + KEY_LINES);
        }
        if let Some(counters) = self.counters.get(slot as usize) {
            prefetch::write(counters);
        }
    }

    /// The cold half of the SA that sends for a slot.
    pub fn cold_mut(&mut self, slot: u32) -> Option<&mut outbound::Cold> {
        self.rest.get_mut(slot as usize)?.cold.as_mut()
    }

    /// The facts of a slot that has no SA ([`super::fact::Fact::Wanted`]).
    pub fn vacant_facts(&mut self, slot: u32) -> Option<&mut Facts> {
        Some(&mut self.rest.get_mut(slot as usize)?.vacant)
    }

    /// Makes `sa` send from now on; says which SA it replaced. What stood by ends too: it is the older
    /// agreement, and switching to it later would send on what the peer is about to delete.
    #[expect(
        clippy::result_large_err,
        reason = "the refused SA goes back whole; this is not the packet path"
    )]
    pub fn install(&mut self, slot: u32, sa: Outbound) -> Result<Option<Retired>, Misplaced<Outbound>> {
        self.dismiss(slot);
        let slots = (self.hot.get_mut(slot as usize), self.rest.get_mut(slot as usize));
        let (Some(hot), Some(rest)) = slots else { return Err(Misplaced::NoSuchSlot(sa)) };
        let retired = hot.as_ref().map(Retired::of);
        // Assigning drops the former SA where it lies.
        *hot = Some(sa.hot);
        rest.cold = Some(sa.cold);
        rest.vacant = Facts::NONE;
        Ok(retired)
    }

    /// Lays `sa` beside the one that sends, to be activated later; says which SA it replaced: the standby, if
    /// there was one. Where none sends there is nothing to wait for, and it sends at once; so it does where
    /// every place to wait is taken, because an SA that sends early costs less than one that is lost.
    #[expect(
        clippy::result_large_err,
        reason = "the refused SA goes back whole; this is not the packet path"
    )]
    pub fn stand_by(&mut self, slot: u32, sa: Outbound) -> Result<Option<Retired>, Misplaced<Outbound>> {
        if self.hot(slot).is_none() {
            return self.install(slot, sa);
        }
        let retired = self.dismiss(slot);
        let Some(rest) = self.rest.get_mut(slot as usize) else { return Err(Misplaced::NoSuchSlot(sa)) };
        let Some(place) = self.free.pop() else { return self.install(slot, sa) };
        rest.standby = Some(place);
        if let Some(waiting) = self.waiting.get_mut(place as usize) {
            *waiting = Some(sa);
        }
        Ok(retired)
    }

    /// Ends the SA that stands by, where it lies.
    fn dismiss(&mut self, slot: u32) -> Option<Retired> {
        let place = self.rest.get_mut(slot as usize)?.standby.take()?;
        self.free.push(place);
        let waiting = self.waiting.get_mut(place as usize)?;
        let retired = waiting.as_ref().map(|sa| Retired::of(&sa.hot));
        *waiting = None;
        retired
    }

    /// Makes the standby send; says which SA it replaced. Without a standby nothing changes: a
    /// second activation of the same rekey is no event.
    pub fn activate(&mut self, slot: u32) -> Option<Retired> {
        let hot = self.hot.get_mut(slot as usize)?.as_mut()?;
        let rest = self.rest.get_mut(slot as usize)?;
        let standby = self.waiting.get_mut(rest.standby? as usize)?.as_mut()?;
        // Swapped, not moved, so that the former SA can be dropped where it then lies.
        std::mem::swap(&mut standby.hot, hot);
        std::mem::swap(&mut standby.cold, rest.cold.as_mut()?);
        self.dismiss(slot)
    }

    /// The SPI that waits beside the one that sends.
    pub fn standby_spi(&self, slot: u32) -> Option<Spi> {
        let place = self.rest.get(slot as usize)?.standby?;
        Some(self.waiting.get(place as usize)?.as_ref()?.hot.spi())
    }

    /// The SA that waits beside the one that sends, to be changed.
    pub fn standby_mut(&mut self, slot: u32) -> Option<&mut Outbound> {
        let place = self.rest.get(slot as usize)?.standby?;
        self.waiting.get_mut(place as usize)?.as_mut()
    }

    /// Removes the SA with `spi`, whether it sends or stands by. If it was sending, its standby
    /// takes over, so that a Delete of the old SA is also the switch (RFC 7296 §2.8).
    pub fn remove(&mut self, slot: u32, spi: Spi) -> Option<Retired> {
        if self.standby_spi(slot) == Some(spi) {
            return self.dismiss(slot);
        }
        let retired = Retired::of(self.hot(slot).filter(|hot| hot.spi() == spi)?);
        if self.standby_spi(slot).is_some() {
            return self.activate(slot);
        }
        *self.hot.get_mut(slot as usize)? = None;
        self.rest.get_mut(slot as usize)?.cold = None;
        Some(retired)
    }

    /// Empties a slot whose child is gone and zeroes its counters.
    pub fn clear(&mut self, slot: u32) {
        self.dismiss(slot);
        if let Some(hot) = self.hot.get_mut(slot as usize) {
            *hot = None;
        }
        if let Some(rest) = self.rest.get_mut(slot as usize) {
            *rest = OutboundRest::default();
        }
        if let Some(counters) = self.counters.get(slot as usize) {
            counters.reset();
        }
        if let Some(dummies) = self.sent_dummies.get(slot as usize) {
            dummies.set(0);
        }
        self.paces.set(slot, None);
        self.dummies.set(slot, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sa::outbound::tests::{outbound, parts};

    #[test]
    fn a_standby_takes_over_by_activation_or_by_the_old_ones_removal() {
        let mut table = OutboundTable::new(1).unwrap();
        let sa = |spi| outbound(parts(spi));
        let retired = |spi| Some(Retired { spi: Spi(spi), last_sequence: 0 });
        assert_eq!(table.stand_by(0, sa(256)).unwrap(), None);
        assert_eq!((table.hot(0).unwrap().spi(), table.standby_spi(0)), (Spi(256), None));
        assert_eq!(table.stand_by(0, sa(257)).unwrap(), None);
        assert_eq!(table.activate(0), retired(256));
        assert_eq!(table.activate(0), None);
        assert_eq!(table.hot(0).unwrap().spi(), Spi(257));
        table.hot_mut(0).unwrap().number(1).unwrap();
        table.stand_by(0, sa(258)).unwrap();
        assert_eq!(table.remove(0, Spi(257)), Some(Retired { spi: Spi(257), last_sequence: 1 }));
        assert_eq!((table.hot(0).unwrap().spi(), table.standby_spi(0)), (Spi(258), None));
        table.stand_by(0, sa(259)).unwrap();
        assert_eq!(table.remove(0, Spi(259)), retired(259));
        assert_eq!(table.remove(0, Spi(259)), None);
        table.stand_by(0, sa(259)).unwrap();
        assert_eq!(table.install(0, sa(260)).unwrap(), retired(258));
        assert_eq!((table.activate(0), table.standby_spi(0)), (None, None), "the older standby is gone");
        table.stand_by(0, sa(261)).unwrap();
        table.clear(0);
        assert!(table.hot(0).is_none() && table.standby_spi(0).is_none() && table.cold_mut(0).is_none());
        assert!(table.install(1, sa(1)).is_err() && table.stand_by(1, sa(1)).is_err());
    }

    /// A rekey of everything at once: those who find no place to wait send at once, and none is lost.
    #[test]
    fn more_standbys_than_places_send_at_once() {
        let slots = 2 * FEWEST_WAITING as u32;
        let mut table = OutboundTable::new(slots as usize).unwrap();
        for round in 0..3 {
            for slot in 0..slots {
                table.install(slot, outbound(parts(256 + slot))).unwrap();
                table.stand_by(slot, outbound(parts(1000 + slot))).unwrap();
                let waits = slot < FEWEST_WAITING as u32;
                assert_eq!(table.standby_spi(slot), waits.then_some(Spi(1000 + slot)), "round {round}");
                assert_eq!(table.hot(slot).unwrap().spi(), Spi(if waits { 256 } else { 1000 } + slot));
            }
            for slot in 0..slots {
                table.activate(slot);
                assert_eq!(table.hot(slot).unwrap().spi(), Spi(1000 + slot));
            }
        }
    }

    /// Every interleaving of short histories of one slot beside another that competes for places, against
    /// a model: what sends, what waits, and that no place is lost.
    #[test]
    fn a_slot_agrees_with_its_model() {
        for history in 0..5u32.pow(6) {
            let mut table = OutboundTable::new(1).unwrap();
            let (mut sends, mut waits) = (None, None);
            for step in 0..6u32 {
                let spi = 256 + step;
                match history / 5u32.pow(step) % 5 {
                    0 => {
                        table.install(0, outbound(parts(spi))).unwrap();
                        (sends, waits) = (Some(spi), None);
                    }
                    1 => {
                        table.stand_by(0, outbound(parts(spi))).unwrap();
                        *(if sends.is_some() { &mut waits } else { &mut sends }) = Some(spi);
                    }
                    2 => {
                        table.activate(0);
                        sends = waits.take().or(sends);
                    }
                    3 => {
                        let old = sends.unwrap_or(0);
                        table.remove(0, Spi(old));
                        sends = waits.take();
                    }
                    _ => {
                        table.clear(0);
                        (sends, waits) = (None, None);
                    }
                }
                assert_eq!(table.hot(0).map(|hot| hot.spi()), sends.map(Spi), "history {history}");
                assert_eq!(table.standby_spi(0), waits.map(Spi), "history {history}");
                assert_eq!(table.free.len(), usize::from(waits.is_none()), "history {history}");
            }
        }
    }
}
