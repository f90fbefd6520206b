//! Which slots are free: control's side of the SA tables.
//!
//! Slots go round oldest first, so a freed one rests as long as the table allows, and never less
//! than the drain time, during which late packets for its last owner may still arrive. Time is the
//! caller's monotonic clock in microseconds.

use super::shard::{SHARDS, Shard};
use super::spi::{Place, Slot, Spi};
use std::collections::VecDeque;

/// Why no slot was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSlot {
    /// Every slot is in use: the machine's configuration is too small.
    #[error("all {capacity} slots are in use: raise the SA table size or remove tunnels")]
    AllUsed {
        /// Slots there are.
        capacity: u32,
    },
    /// Free slots exist, but the oldest still drains.
    #[error("{draining} free slots still drain, the next is ready in {wait_us} microseconds")]
    Draining {
        /// Slots that wait.
        draining: usize,
        /// Microseconds until the first is ready.
        wait_us: u64,
    },
    /// The shard was never given a capacity: our own fault.
    #[error("shard {shard} has no slots")]
    UnknownShard {
        /// The shard asked for.
        shard: u8,
    },
}

/// A slot that was given back without having been given out: our own fault, nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("slot {slot} is not in use")]
pub struct NotInUse {
    /// The slot.
    pub slot: u32,
}

/// A free list of numbers 0..capacity.
#[derive(Debug)]
pub struct Slots {
    /// Slots never used so far start here.
    fresh: u32,
    used: Vec<bool>,
    /// Freed slots and when they are ready, oldest first.
    resting: VecDeque<(u64, u32)>,
    drain_us: u64,
}

impl Slots {
    /// `capacity` free slots; a freed one rests at least `drain_us`.
    pub fn new(capacity: u32, drain_us: u64) -> Slots {
        Slots { fresh: 0, used: vec![false; capacity as usize], resting: VecDeque::new(), drain_us }
    }

    /// The slot that has been free longest.
    pub fn take(&mut self, now_us: u64) -> Result<u32, NoSlot> {
        let slot = if (self.fresh as usize) < self.used.len() {
            self.fresh += 1;
            self.fresh - 1
        } else {
            self.rested(now_us)?
        };
        if let Some(used) = self.used.get_mut(slot as usize) {
            *used = true;
        }
        Ok(slot)
    }

    fn rested(&mut self, now_us: u64) -> Result<u32, NoSlot> {
        let draining = self.resting.len();
        match self.resting.front() {
            None => Err(NoSlot::AllUsed { capacity: self.used.len() as u32 }),
            Some((ready, _)) if *ready > now_us => {
                Err(NoSlot::Draining { draining, wait_us: ready - now_us })
            }
            Some((_, slot)) => {
                let slot = *slot;
                self.resting.pop_front();
                Ok(slot)
            }
        }
    }

    /// Gives a slot back; it rests from `now_us` on.
    pub fn release(&mut self, slot: u32, now_us: u64) -> Result<(), NotInUse> {
        let used = self.used.get_mut(slot as usize).filter(|used| **used).ok_or(NotInUse { slot })?;
        *used = false;
        self.resting.push_back((now_us.saturating_add(self.drain_us), slot));
        Ok(())
    }

    /// Slots given out at present.
    pub fn in_use(&self) -> usize {
        self.fresh as usize - self.resting.len()
    }

    /// Slots there are.
    pub fn capacity(&self) -> usize {
        self.used.len()
    }
}

/// Gives out SPIs for inbound SAs. One owner: the control loop.
#[derive(Debug)]
pub struct SpiAllocator {
    shards: Vec<Option<ShardSpis>>,
}

#[derive(Debug)]
struct ShardSpis {
    slots: Slots,
    generations: Vec<u8>,
}

impl SpiAllocator {
    /// `capacity` slots in each of `shards`, at most [`super::spi::SLOTS`]. Generations start at
    /// `first_generation`: pass a random octet, so that a restarted daemon does not at once give
    /// out the SPIs its peers still hold.
    pub fn new(
        shards: impl IntoIterator<Item = Shard>,
        capacity: u32,
        drain_us: u64,
        first_generation: u8,
    ) -> SpiAllocator {
        let capacity = capacity.min(super::spi::SLOTS);
        let mut all: Vec<Option<ShardSpis>> = (0..SHARDS).map(|_| None).collect();
        for shard in shards {
            if let Some(entry) = all.get_mut(usize::from(shard.get())) {
                let generations = vec![first_generation; capacity as usize];
                *entry = Some(ShardSpis { slots: Slots::new(capacity, drain_us), generations });
            }
        }
        SpiAllocator { shards: all }
    }

    /// An SPI in `shard` whose slot has been free longest, in a new generation.
    pub fn allocate(&mut self, shard: Shard, now_us: u64) -> Result<Spi, NoSlot> {
        let place = self.allocate_place(shard, now_us)?;
        Ok(Spi::new(place, self.generation(place)))
    }

    /// A slot for an SA with a manual or imported SPI, which lies in `shard` but is found through
    /// the exact table.
    pub fn allocate_place(&mut self, shard: Shard, now_us: u64) -> Result<Place, NoSlot> {
        let spis = self.shard(shard).ok_or(NoSlot::UnknownShard { shard: shard.get() })?;
        let slot = spis.slots.take(now_us)?;
        if let Some(generation) = spis.generations.get_mut(slot as usize) {
            *generation = generation.wrapping_add(1);
        }
        let slot = Slot::new(slot).ok_or(NoSlot::AllUsed { capacity: super::spi::SLOTS })?;
        Ok(Place { shard, slot })
    }

    /// Gives a slot back once its worker has acknowledged the removal.
    pub fn release(&mut self, place: Place, now_us: u64) -> Result<(), NotInUse> {
        let slot = place.slot.index() as u32;
        self.shard(place.shard).ok_or(NotInUse { slot })?.slots.release(slot, now_us)
    }

    /// SPIs given out at present, over all shards.
    pub fn in_use(&self) -> usize {
        self.shards.iter().flatten().map(|shard| shard.slots.in_use()).sum()
    }

    /// Slots of a shard given out at present, and how many there are.
    pub fn usage(&self, shard: Shard) -> (usize, usize) {
        let spis = self.shards.get(usize::from(shard.get())).and_then(Option::as_ref);
        spis.map_or((0, 0), |spis| (spis.slots.in_use(), spis.slots.capacity()))
    }

    fn shard(&mut self, shard: Shard) -> Option<&mut ShardSpis> {
        self.shards.get_mut(usize::from(shard.get()))?.as_mut()
    }

    fn generation(&self, place: Place) -> u8 {
        let spis = self.shards.get(usize::from(place.shard.get())).and_then(Option::as_ref);
        spis.and_then(|spis| spis.generations.get(place.slot.index()).copied()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sa::spi::GENERATIONS;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn an_spi_comes_back_only_after_all_generations() {
        let shard = Shard::new(3).unwrap();
        let mut allocator = SpiAllocator::new([shard], 1, 10, 200);
        let mut seen = Vec::new();
        for round in 0..u64::from(GENERATIONS) {
            let spi = allocator.allocate(shard, round * 10).unwrap();
            assert!(!seen.contains(&spi));
            seen.push(spi);
            assert_eq!((allocator.usage(shard), allocator.in_use()), ((1, 1), 1));
            allocator.release(spi.place().unwrap(), round * 10).unwrap();
        }
        assert_eq!(allocator.usage(shard), (0, 1));
        assert_eq!(allocator.allocate(shard, 10_000).unwrap(), seen[0]);
        assert!(allocator.allocate(Shard::new(4).unwrap(), 0).is_err());
    }

    proptest! {
        /// Against a naive model: no slot twice, none within its drain time, oldest first, and
        /// a refusal only where it is true.
        #[test]
        fn slots_rest_their_drain_time(steps in proptest::collection::vec((any::<bool>(), 0u64..30, any::<prop::sample::Index>()), 1..200)) {
            const DRAIN: u64 = 50;
            let mut slots = Slots::new(8, DRAIN);
            let (mut now, mut held) = (0, Vec::new());
            let mut freed_at: HashMap<u32, u64> = HashMap::new();
            for (take, wait, which) in steps {
                now += wait;
                if take {
                    match slots.take(now) {
                        Ok(slot) => {
                            prop_assert!(!held.contains(&slot));
                            prop_assert!(freed_at.remove(&slot).is_none_or(|at| now >= at + DRAIN));
                            held.push(slot);
                        }
                        Err(NoSlot::AllUsed { .. }) => prop_assert_eq!(held.len(), 8),
                        Err(error) => {
                            let first = freed_at.values().min().copied().unwrap();
                            prop_assert_eq!(error, NoSlot::Draining { draining: 8 - held.len(), wait_us: first + DRAIN - now });
                        }
                    }
                } else if !held.is_empty() {
                    let slot = held.swap_remove(which.index(held.len()));
                    slots.release(slot, now).unwrap();
                    prop_assert_eq!(slots.release(slot, now), Err(NotInUse { slot }));
                    freed_at.insert(slot, now);
                }
                prop_assert_eq!(slots.in_use(), held.len());
            }
        }
    }
}
