//! Where SAs lie: inbound ones by shard and slot, outbound ones by slot, manual SPIs by exact match.
//!
//! Inbound and outbound tables belong to one worker and never allocate after start. An inbound
//! SPI names its slot; the whole SPI is compared, so packets for a slot's former owner miss.
//! An outbound slot belongs to a child SA for as long as policy names it: rekeying puts the new SA
//! beside the old one ([`OutboundTable::stand_by`]) and [`OutboundTable::activate`] switches,
//! without policy noticing. An SA that leaves is dropped where it lies, which wipes its key there;
//! memory that control allocated for it is given back, to be freed by control.

mod sending;

use super::counters::{InboundCounters, slab};
use super::inbound::{self, Inbound, Remains};
use super::shard::{SHARDS, Shard};
use super::spi::{Place, Spi};
use ravelin_mem::arena::{Slab, SlabError};
use ravelin_mem::prefetch;
use std::net::IpAddr;
use std::sync::Arc;

pub use sending::{OutboundTable, Retired};

/// The inbound SAs of one shard, with their counters. Moves whole when its shard moves.
#[derive(Debug)]
pub struct ShardTable {
    shard: Shard,
    hot: Slab<Option<inbound::Hot>>,
    cold: Slab<Option<inbound::Cold>>,
    counters: Arc<[InboundCounters]>,
}

/// Cache lines of a hot half in front of its key: a packet reads them as soon as its SA is known.
const HOT_LINES: usize = 3;
/// Cache lines of a key that a short packet reads, when all packets beside it have been laid out.
const KEY_LINES: usize = 5;

/// Something does not fit where it was sent: our own fault. The value comes back.
#[derive(Debug)]
pub enum Misplaced<T> {
    /// The shard or the slot is not in this worker's table.
    NoSuchSlot(T),
    /// Another SA is in the slot.
    Occupied(T),
}

impl ShardTable {
    /// An empty table of `capacity` slots; allocates all it will ever need.
    pub fn new(shard: Shard, capacity: usize) -> Result<ShardTable, SlabError> {
        Ok(ShardTable {
            shard,
            hot: Slab::new(capacity, |_| None)?,
            cold: Slab::new(capacity, |_| None)?,
            counters: slab(capacity),
        })
    }

    /// Which shard it is.
    #[inline]
    pub const fn shard(&self) -> Shard {
        self.shard
    }

    /// The counters, for control to read; index by slot.
    #[inline]
    pub fn counters(&self) -> Arc<[InboundCounters]> {
        Arc::clone(&self.counters)
    }
}

/// A worker's inbound SAs. One owner.
#[derive(Debug)]
pub struct InboundTable {
    shards: [Option<Box<ShardTable>>; SHARDS],
}

impl InboundTable {
    /// A table without shards.
    pub fn new() -> InboundTable {
        InboundTable { shards: [const { None }; SHARDS] }
    }

    /// Takes a shard in; the former table of that shard, if any, comes back.
    pub fn attach(&mut self, table: Box<ShardTable>) -> Option<Box<ShardTable>> {
        let index = usize::from(table.shard.get());
        self.shards.get_mut(index).and_then(|place| place.replace(table))
    }

    /// Gives a shard away with everything in it.
    pub fn detach(&mut self, shard: Shard) -> Option<Box<ShardTable>> {
        self.shards.get_mut(usize::from(shard.get()))?.take()
    }

    #[inline]
    fn shard(&self, place: Place) -> Option<&ShardTable> {
        self.shards.get(usize::from(place.shard.get()))?.as_deref()
    }

    #[inline]
    fn shard_mut(&mut self, place: Place) -> Option<&mut ShardTable> {
        self.shards.get_mut(usize::from(place.shard.get()))?.as_deref_mut()
    }

    /// The hot half of the SA at `place` whose SPI is `spi`.
    #[inline]
    pub fn hot(&self, place: Place, spi: Spi) -> Option<&inbound::Hot> {
        let hot = self.shard(place)?.hot.get(place.slot.index())?.as_ref()?;
        (hot.spi() == spi).then_some(hot)
    }

    /// The same, to be changed.
    #[inline]
    pub fn hot_mut(&mut self, place: Place, spi: Spi) -> Option<&mut inbound::Hot> {
        let hot = self.shard_mut(place)?.hot.get_mut(place.slot.index())?.as_mut()?;
        (hot.spi() == spi).then_some(hot)
    }

    /// Asks for what a packet touches of the SA at `place`, if there is one, to use it soon.
    #[inline]
    pub fn prefetch(&self, place: Place) {
        let Some(shard) = self.shard(place) else { return };
        if let Some(hot) = shard.hot.get(place.slot.index()) {
            prefetch::lines(hot, HOT_LINES);
            prefetch::lines_later(hot, HOT_LINES, HOT_LINES + KEY_LINES);
        }
        if let Some(counters) = shard.counters.get(place.slot.index()) {
            prefetch::write(counters);
        }
    }

    /// The cold half of the SA at `place`.
    pub fn cold_mut(&mut self, place: Place) -> Option<&mut inbound::Cold> {
        self.shard_mut(place)?.cold.get_mut(place.slot.index())?.as_mut()
    }

    /// The counters of a slot.
    #[inline]
    pub fn counters(&self, place: Place) -> Option<&InboundCounters> {
        self.shard(place)?.counters.get(place.slot.index())
    }

    /// Puts an SA into an empty slot and zeroes the slot's counters.
    #[expect(
        clippy::result_large_err,
        reason = "the refused SA goes back whole; this is not the packet path"
    )]
    pub fn install(&mut self, place: Place, sa: Inbound) -> Result<(), Misplaced<Inbound>> {
        let index = place.slot.index();
        let Some(table) = self.shard_mut(place) else { return Err(Misplaced::NoSuchSlot(sa)) };
        let slots = (table.hot.get_mut(index), table.cold.get_mut(index), table.counters.get(index));
        let (Some(hot), Some(cold), Some(counters)) = slots else { return Err(Misplaced::NoSuchSlot(sa)) };
        if hot.is_some() {
            return Err(Misplaced::Occupied(sa));
        }
        counters.reset();
        (*hot, *cold) = (Some(sa.hot), Some(sa.cold));
        Ok(())
    }

    /// Removes the SA with `spi`; its key is wiped in its slot.
    pub fn remove(&mut self, place: Place, spi: Spi) -> Option<Remains> {
        let table = self.shard_mut(place)?;
        let slot = table.hot.get_mut(place.slot.index())?;
        let remains = slot.as_mut().filter(|hot| hot.spi() == spi)?.dismantle();
        *slot = None;
        *table.cold.get_mut(place.slot.index())? = None;
        Some(remains)
    }
}

impl Default for InboundTable {
    fn default() -> InboundTable {
        InboundTable::new()
    }
}

/// Octets that one slot takes in the slabs, and how many of them are read for every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotOctets {
    /// What every packet touches, the expanded key included.
    pub hot: usize,
    /// What few packets touch, and counters.
    pub rest: usize,
}

impl ShardTable {
    /// Octets of a slot.
    pub const OCTETS: SlotOctets = SlotOctets {
        hot: size_of::<Option<inbound::Hot>>(),
        rest: size_of::<Option<inbound::Cold>>() + size_of::<InboundCounters>(),
    };
}

// A tunnel has a slot of each, and with a replay window and selectors it is to stay under 2 KiB, which
// tests/memory.rs holds: what grows here is missing there.
const _: () = {
    let (inbound, outbound) = (ShardTable::OCTETS, OutboundTable::OCTETS);
    assert!(inbound.hot + inbound.rest <= 848 && outbound.hot + outbound.rest <= 916);
};

/// Manual and imported SPIs: (instance, destination, SPI) to place. Immutable; control publishes
/// a new one when it changes, which is rare.
#[derive(Clone, Debug, Default)]
pub struct ExactTable {
    entries: Arc<[(ExactKey, Place)]>,
}

type ExactKey = (u16, IpAddr, Spi);

impl ExactTable {
    /// A table of these entries; of two with one key the last counts.
    pub fn new(entries: impl IntoIterator<Item = ((u16, IpAddr, Spi), Place)>) -> ExactTable {
        let by_key: std::collections::BTreeMap<_, _> = entries.into_iter().collect();
        ExactTable { entries: by_key.into_iter().collect() }
    }

    /// The place of an SA.
    pub fn find(&self, instance: u16, destination: IpAddr, spi: Spi) -> Option<Place> {
        let key = (instance, destination, spi);
        let at = self.entries.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.entries.get(at).map(|(_, place)| *place)
    }

    /// Where the SA of a packet lies: sharded SPIs say so themselves (RFC 4301 §4.1: the receiver
    /// may look up by SPI alone), others are looked for here.
    #[inline]
    pub fn locate(&self, instance: u16, destination: IpAddr, spi: Spi) -> Option<Place> {
        spi.place().or_else(|| self.find(instance, destination, spi))
    }

    /// Its entries.
    pub fn iter(&self) -> impl Iterator<Item = &((u16, IpAddr, Spi), Place)> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sa::inbound::tests::{inbound, place};

    #[test]
    fn a_slot_answers_to_the_whole_spi() {
        let mut table = InboundTable::new();
        let (old, new) = (Spi::new(place(2), 1), Spi::new(place(2), 2));
        assert!(matches!(table.install(place(2), inbound(old)), Err(Misplaced::NoSuchSlot(_))));
        table.attach(Box::new(ShardTable::new(place(0).shard, 4).unwrap()));
        table.install(place(2), inbound(old)).unwrap();
        assert!(matches!(table.install(place(2), inbound(new)), Err(Misplaced::Occupied(_))));
        assert!(table.hot(place(2), old).is_some() && table.hot(place(2), new).is_none());
        assert!(table.remove(place(2), new).is_none());
        assert!(table.remove(place(2), old).unwrap().selectors.is_some());
        table.install(place(2), inbound(new)).unwrap();
        assert!(table.hot(place(2), old).is_none() && table.hot(place(3), new).is_none());
        assert!(table.hot(place(4), new).is_none());
    }

    #[test]
    fn a_shard_moves_with_its_state() {
        let (mut from, mut to) = (InboundTable::new(), InboundTable::new());
        let spi = Spi::new(place(0), 1);
        from.attach(Box::new(ShardTable::new(place(0).shard, 1).unwrap()));
        from.install(place(0), inbound(spi)).unwrap();
        let guess = from.hot(place(0), spi).unwrap().window().check(5).unwrap();
        from.hot_mut(place(0), spi).unwrap().accept(guess, 1).unwrap();
        to.attach(from.detach(place(0).shard).unwrap());
        assert!(from.hot(place(0), spi).is_none());
        assert!(to.hot(place(0), spi).unwrap().window().check(5).is_err());
    }

    #[test]
    fn manual_spis_are_told_apart_by_instance_and_destination() {
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let table = ExactTable::new([((0, a, Spi(300)), place(1)), ((0, b, Spi(300)), place(2))]);
        assert_eq!(table.locate(0, a, Spi(300)), Some(place(1)));
        assert_eq!(table.locate(0, b, Spi(300)), Some(place(2)));
        assert_eq!(table.locate(1, a, Spi(300)), None);
        let sharded = Spi::new(place(9), 3);
        assert_eq!(table.locate(7, a, sharded), Some(place(9)));
    }
}
