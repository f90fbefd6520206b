//! Where children live: the worker that owns the SAs of each, and the outbound slot by which policy names it
//! there. A configured child keeps its home until its worker stands still; the one it gets then has other SAs, so a slot
//! that was left rests until no packet on its way to it can arrive any more: it would be sealed for another. A child of
//! a gateway's peer has a home as long as it has an SA.

use std::hash::{BuildHasher, RandomState};

use ravelin_dataplane::sa::allocator::{NoSlot, Slots};
use ravelin_dataplane::sa::shard::{Spread, WorkerId};

use super::REST_US;
use crate::tunnel::roster::ChildNumber;
use crate::tunnel::sas::Home;

/// The homes of all children, by number. Sole owner: the control loop, through [`super::Workers`].
#[derive(Debug)]
pub struct Homes {
    homes: Vec<Option<Home>>,
    workers: Vec<Rooms>,
    /// Children of each worker, and which of them takes a peer that comes.
    spread: Spread,
}

/// One worker's outbound slots.
#[derive(Debug)]
struct Rooms {
    slots: Slots,
    stands_still: bool,
}

impl Homes {
    /// Nobody lives anywhere yet. `slots` outbound slots, by worker.
    pub fn new(slots: impl Iterator<Item = usize>) -> Self {
        let rooms = |slots| Rooms { slots: Slots::new(slots as u32, REST_US), stands_still: false };
        let workers: Vec<Rooms> = slots.map(rooms).collect();
        // The key of a hasher is random, and nobody is told it.
        let spread = Spread::new(workers.len() as u8, RandomState::new().hash_one(0));
        Self { homes: Vec::new(), workers, spread }
    }

    /// Numbers of children that have had a place here, with a home or without.
    pub fn known(&self) -> usize {
        self.homes.len()
    }

    /// A child's home.
    pub fn of(&self, child: ChildNumber) -> Option<Home> {
        *self.homes.get(child as usize)?
    }

    /// Who lives in a slot.
    pub fn at(&self, worker: WorkerId, slot: u32) -> Option<ChildNumber> {
        let is = |home: &Option<Home>| *home == Some(Home { worker, slot });
        self.homes.iter().position(is).map(|child| child as ChildNumber)
    }

    /// Houses the next `children` by number on one worker. One that finds no room there gets a slot that no
    /// worker has.
    pub fn add(&mut self, worker: WorkerId, children: usize, now: u64) {
        for _ in 0..children {
            let slot = self.take(worker, now).unwrap_or(u32::MAX);
            self.homes.push(Some(Home { worker, slot }));
        }
    }

    /// The next `children` by number have no home yet.
    pub fn add_homeless(&mut self, children: usize) {
        self.homes.resize(self.homes.len() + children, None);
    }

    /// The worker for a tunnel whose ends hash to `ends`: the less loaded of two, of those that may be and poll.
    pub fn worker_for(&self, ends: u64, may_be: impl Fn(WorkerId) -> bool) -> Option<WorkerId> {
        let polls = |worker| may_be(worker) && !self.is_still(worker);
        self.spread.choose(ends, polls).or_else(|| self.spread.choose(ends, &may_be))
    }

    /// Gives a child without a home one on this worker.
    ///
    /// # Errors
    /// When there is no room.
    pub fn settle(&mut self, child: ChildNumber, worker: WorkerId, now: u64) -> Result<Home, NoSlot> {
        let home = Home { worker, slot: self.take(worker, now)? };
        if let Some(place) = self.homes.get_mut(child as usize) {
            *place = Some(home);
        }
        Ok(home)
    }

    /// Children of each worker.
    #[cfg(test)]
    pub fn loads(&self) -> &[Option<u32>] {
        self.spread.loads()
    }

    /// A child has a home no more. Its slot is to be given back by [`Homes::vacate`] once its worker has emptied it.
    pub fn leave(&mut self, child: ChildNumber) -> Option<Home> {
        let home = self.homes.get_mut(child as usize)?.take()?;
        self.spread.leave(home.worker, 1);
        Some(home)
    }

    /// Gives a child a home on another worker, and says which it had. That one's slot is to be given back by
    /// [`Homes::vacate`] once its worker has emptied it.
    ///
    /// # Errors
    /// When that worker has no room; the child stays where it is.
    pub fn move_to(&mut self, child: ChildNumber, to: WorkerId, now: u64) -> Result<Option<Home>, NoSlot> {
        let slot = self.take(to, now)?;
        let Some(home) = self.homes.get_mut(child as usize) else { return Ok(None) };
        let former = home.replace(Home { worker: to, slot });
        former.into_iter().for_each(|former| self.spread.leave(former.worker, 1));
        Ok(former)
    }

    /// A slot that was left is empty.
    pub fn vacate(&mut self, home: Home, now: u64) {
        if let Some(rooms) = self.workers.get_mut(home.worker.index()) {
            // It was in use until now.
            let _ = rooms.slots.release(home.slot, now);
        }
    }

    /// The worker that a tunnel in need of another goes to: of these, as far as they poll, the one with the fewest
    /// children. `None` when none polls.
    pub fn lightest(&self, of: &[WorkerId]) -> Option<WorkerId> {
        let polling = of.iter().copied().filter(|worker| !self.is_still(*worker));
        let load = |worker: &WorkerId| self.spread.loads().get(worker.index()).copied().flatten();
        polling.min_by_key(load)
    }

    /// Outbound slots of a worker in use, and how many it has.
    pub fn usage(&self, worker: WorkerId) -> (usize, usize) {
        let rooms = self.workers.get(worker.index());
        rooms.map_or((0, 0), |rooms| (rooms.slots.in_use(), rooms.slots.capacity()))
    }

    /// Notes whether a worker stands still.
    pub fn set_still(&mut self, worker: WorkerId, still: bool) {
        if let Some(rooms) = self.workers.get_mut(worker.index()) {
            rooms.stands_still = still;
        }
    }

    /// Whether a worker stands still.
    pub fn is_still(&self, worker: WorkerId) -> bool {
        self.workers.get(worker.index()).is_some_and(|rooms| rooms.stands_still)
    }

    fn take(&mut self, worker: WorkerId, now: u64) -> Result<u32, NoSlot> {
        let none = NoSlot::AllUsed { capacity: 0 };
        let rooms = self.workers.get_mut(worker.index()).ok_or(none)?;
        let slot = rooms.slots.take(now)?;
        self.spread.carry(worker, 1);
        Ok(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of a worker that stands still go evenly to the others, nobody else moves, and no two ever live in
    /// one slot.
    #[test]
    fn who_moves_is_spread_evenly_and_has_a_slot_alone() {
        let mut homes = Homes::new([100, 100, 100, 100].into_iter());
        (0..80).for_each(|child| homes.add(WorkerId((child % 4) as u8), 1, 0));
        homes.set_still(WorkerId(2), true);
        let all = [0, 1, 2, 3].map(WorkerId);
        for child in 0..80 {
            let before = homes.of(child).unwrap();
            if before.worker == WorkerId(2) {
                let to = homes.lightest(&all).unwrap();
                assert_eq!(homes.move_to(child, to, 1).unwrap(), Some(before));
            }
        }
        assert_eq!(homes.loads(), [Some(27), Some(27), Some(0), Some(26)]);
        let mut taken: Vec<_> = homes.homes.iter().flatten().map(|home| (home.worker, home.slot)).collect();
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 80);
        (0..4).for_each(|worker| homes.set_still(WorkerId(worker), true));
        assert_eq!(homes.lightest(&all), None);
    }

    /// Packets on their way to a slot that was left must not meet another child's SA.
    #[test]
    fn a_slot_that_was_left_rests() {
        let mut homes = Homes::new([1, 1].into_iter());
        homes.add(WorkerId(0), 1, 0);
        let left = homes.move_to(0, WorkerId(1), 5).unwrap().unwrap();
        assert!(homes.move_to(0, WorkerId(0), 6).is_err(), "its worker has not emptied it");
        homes.vacate(left, 10);
        assert!(homes.move_to(0, WorkerId(0), 10 + REST_US - 1).is_err());
        assert_eq!(homes.of(0).unwrap().worker, WorkerId(1), "who finds no room stays");
        assert!(homes.move_to(0, WorkerId(0), 10 + REST_US).is_ok());
        assert_eq!((homes.at(WorkerId(0), 0), homes.at(WorkerId(1), 0)), (Some(0), None));
    }
}
