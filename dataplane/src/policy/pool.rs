//! Units of words that the single writer gives out, and takes back once no reader can be looking.
//!
//! A unit is written while nobody can reach it, made reachable by one store, and never changed in meaning
//! while it can be reached. Taken out of reach it is [`Pool::retire`]d: it rests until every reader has
//! passed to a version published since (its quiescent point, [`super::publish`]), and is zeroed before it
//! is given out again. Readers hold the [`Words`] themselves and find units by number.

use super::publish::Version;
use ravelin_mem::words::Words;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The writer's end. Unit 0 is never given out: it stands for none.
#[derive(Debug)]
pub struct Pool {
    what: &'static str,
    words: Arc<Words>,
    /// Words of a unit.
    unit: usize,
    /// Units never given out so far start here.
    fresh: u32,
    free: Vec<u32>,
    /// Out of reach since before this version, oldest first.
    resting: VecDeque<(Version, u32)>,
    /// The version the next publication will have.
    next: Version,
}

/// A table has no room left, or the machine no memory for it: nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no room in the table of {what}: {used} of {capacity} are in use, {resting} wait for a worker to pass on; \
     lower the number of routes or tunnels, and see whether a worker has stalled"
)]
pub struct TableFull {
    /// What the table holds.
    pub what: &'static str,
    /// Units there can be; 0 where the machine gave no addresses for them.
    pub capacity: usize,
    /// Units in use.
    pub used: usize,
    /// Units that some worker may still look at.
    pub resting: usize,
}

impl Pool {
    /// Room for `capacity` units of `unit` words each, taken from the machine as they are used. A machine
    /// that does not even give the addresses makes a pool without room, which says so when it is asked.
    pub fn new(what: &'static str, unit: usize, capacity: usize) -> Pool {
        let words = Words::reserve(unit.saturating_mul(capacity)).or_else(|_| Words::reserve(0));
        Pool {
            what,
            words: Arc::new(words.unwrap_or_else(|_| Words::none())),
            unit: unit.max(1),
            fresh: 1,
            free: Vec::new(),
            resting: VecDeque::new(),
            next: Version(1),
        }
    }

    /// The memory, for readers.
    pub const fn words(&self) -> &Arc<Words> {
        &self.words
    }

    /// The words of a unit; none for a number that was not given out.
    pub fn unit(&self, number: u32) -> &[AtomicU64] {
        unit(&self.words, self.unit, number)
    }

    /// A zeroed unit.
    pub fn take(&mut self) -> Result<u32, TableFull> {
        if let Some(number) = self.free.pop() {
            self.unit(number).iter().for_each(|word| word.store(0, Relaxed));
            return Ok(number);
        }
        if self.fresh as usize >= self.capacity() {
            return Err(self.full());
        }
        self.fresh += 1;
        Ok(self.fresh - 1)
    }

    fn capacity(&self) -> usize {
        self.words.len() / self.unit
    }

    fn full(&self) -> TableFull {
        TableFull {
            what: self.what,
            capacity: self.capacity(),
            used: self.used(),
            resting: self.resting.len(),
        }
    }

    /// Takes back a unit that no reader could ever reach.
    pub fn give_back(&mut self, number: u32) {
        self.free.push(number);
    }

    /// Takes back a unit that was taken out of reach just now.
    pub fn retire(&mut self, number: u32) {
        self.resting.push_back((self.next, number));
    }

    /// `version` is being published, and every reader has passed to `settled`: what was out of reach in
    /// that version already is free.
    pub fn publish(&mut self, version: Version, settled: Version) {
        self.next = Version(version.0 + 1);
        while self.resting.front().is_some_and(|(since, _)| *since <= settled) {
            self.free.extend(self.resting.pop_front().map(|(_, number)| number));
        }
    }

    /// Units given out and not taken back.
    pub fn used(&self) -> usize {
        (self.fresh as usize - 1) - self.free.len() - self.resting.len()
    }

    /// Octets used at most so far.
    pub const fn octets(&self) -> usize {
        self.fresh as usize * self.unit * size_of::<AtomicU64>()
    }
}

/// The words of unit `number` of `size` words; none if there is no such unit.
#[inline(always)]
pub fn unit(words: &Words, size: usize, number: u32) -> &[AtomicU64] {
    let start = number as usize * size;
    words.get(start..start + size).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_rests_until_every_reader_has_passed() {
        let mut pool = Pool::new("tests", 2, 3);
        let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
        assert_eq!((first, second), (1, 2));
        pool.unit(first)[1].store(7, Relaxed);
        pool.retire(first);
        let full = pool.take().unwrap_err();
        assert_eq!((full.capacity, full.used, full.resting), (3, 1, 1));
        pool.publish(Version(1), Version(0));
        assert!(pool.take().is_err(), "version 1 is published, but nobody has passed to it");
        pool.publish(Version(2), Version(1));
        assert_eq!(pool.take(), Ok(first));
        assert!(pool.unit(first).iter().all(|word| word.load(Relaxed) == 0));
        pool.give_back(second);
        assert_eq!((pool.take(), pool.used()), (Ok(second), 2));
        assert!(pool.unit(3).is_empty());
    }
}
