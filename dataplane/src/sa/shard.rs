//! Shards, workers, and the map between them.
//!
//! Control is the map's only writer; a worker reads it at burst start. Moving a shard means moving
//! its table ([`super::table::ShardTable`]) first and changing the map afterwards.

use std::sync::atomic::{AtomicU8, Ordering};

/// Number of shard values, 0 (no shard) included.
pub const SHARDS: usize = 64;

/// A shard: 1..=63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u8);

impl Shard {
    /// A shard number, if there is such a shard.
    pub const fn new(shard: u8) -> Option<Shard> {
        if shard >= 1 && (shard as usize) < SHARDS { Some(Shard(shard)) } else { None }
    }

    /// 1..=63.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// All shards.
    pub fn all() -> impl Iterator<Item = Shard> {
        (1..SHARDS as u8).map(Shard)
    }
}

/// A worker's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u8);

impl WorkerId {
    /// As an index into a list of workers.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

const NOBODY: u8 = u8::MAX;

/// Which worker owns a shard. Shared as `Arc<Map>`.
#[derive(Debug)]
pub struct Map([AtomicU8; SHARDS]);

impl Map {
    /// A map in which nobody owns anything.
    pub fn new() -> Map {
        Map([const { AtomicU8::new(NOBODY) }; SHARDS])
    }

    /// A map that gives shard `n` to worker `n - 1`, for the first `workers` shards.
    pub fn one_each(workers: u8) -> Map {
        let map = Map::new();
        for (shard, worker) in Shard::all().zip(0..workers) {
            map.assign(shard, Some(WorkerId(worker)));
        }
        map
    }

    /// Control only: gives a shard to a worker, or takes it away.
    pub fn assign(&self, shard: Shard, worker: Option<WorkerId>) {
        if let Some(cell) = self.0.get(usize::from(shard.0)) {
            cell.store(worker.map_or(NOBODY, |worker| worker.0), Ordering::Release);
        }
    }

    /// The worker that owns a shard.
    #[inline]
    pub fn worker(&self, shard: Shard) -> Option<WorkerId> {
        let owner = self.0.get(usize::from(shard.0))?.load(Ordering::Acquire);
        (owner != NOBODY).then_some(WorkerId(owner))
    }

    /// Whether a worker owns anything: one that does not takes part in nothing.
    pub fn serves(&self, worker: WorkerId) -> bool {
        // Mostly its own shard, looked at first, is the answer.
        let mut order = (0..SHARDS).map(|step| ((worker.index() + 1 + step) % SHARDS) as u8);
        order.any(|shard| Shard::new(shard).is_some_and(|shard| self.worker(shard) == Some(worker)))
    }

    /// Who of `workers` does what would be `worker`'s but needs no SA of its own (fragments, packets of
    /// control and of the kernel): that worker while it serves, else the next that does. Where none does,
    /// it stays.
    pub fn stand_in(&self, worker: WorkerId, workers: usize) -> WorkerId {
        let next = (0..workers).map(|step| WorkerId(((worker.index() + step) % workers) as u8));
        next.into_iter().find(|next| self.serves(*next)).unwrap_or(worker)
    }
}

/// Tunnels over workers (DP-42): which worker a new tunnel goes to.
///
/// A tunnel's name is hashed with each worker's; of the two workers that come out highest the one with less
/// to do takes it. So a tunnel that comes again mostly finds the worker it had, and no worker is ever more
/// than a few tunnels ahead of another, however many there are. A tunnel stays where it was put; when a
/// worker leaves, only its tunnels are placed anew.
#[derive(Debug)]
pub struct Spread {
    seed: u64,
    /// What each worker carries; `None` for one that takes nothing.
    loads: Vec<Option<u32>>,
}

impl Spread {
    /// Nothing on any of `workers` workers. `seed` is random and secret, so that nobody can choose names
    /// that all meet.
    pub fn new(workers: u8, seed: u64) -> Spread {
        Spread { seed, loads: vec![Some(0); usize::from(workers)] }
    }

    /// The worker for a tunnel called `name` (a hash of its ends will do) that brings `weight` children;
    /// it carries them from now on. `None` when no worker takes any.
    pub fn place(&mut self, name: u64, weight: u32) -> Option<WorkerId> {
        let worker = self.choose(name, |_| true)?;
        self.carry(worker, weight);
        Some(worker)
    }

    /// The worker that a tunnel called `name` would go to, of those that take any and that `takes` allows.
    pub fn choose(&self, name: u64, takes: impl Fn(WorkerId) -> bool) -> Option<WorkerId> {
        let mut best: [Option<(u64, usize)>; 2] = [None; 2];
        let open = |(worker, load): &(usize, &Option<u32>)| load.is_some() && takes(WorkerId(*worker as u8));
        for (worker, _) in self.loads.iter().enumerate().filter(open) {
            let candidate = Some((mix(self.seed ^ name ^ mix(worker as u64 + 1)), worker));
            let [first, second] = best;
            best = match (candidate > first, candidate > second) {
                (true, _) => [candidate, first],
                (false, true) => [first, candidate],
                (false, false) => best,
            };
        }
        let lighter = best.into_iter().flatten().min_by_key(|(_, worker)| self.load(*worker))?.1;
        Some(WorkerId(lighter as u8))
    }

    /// A worker carries `weight` more, whoever put it there.
    pub fn carry(&mut self, worker: WorkerId, weight: u32) {
        if let Some(load) = self.loads.get_mut(worker.index()).and_then(Option::as_mut) {
            *load = load.saturating_add(weight);
        }
    }

    /// A tunnel has left its worker.
    pub fn leave(&mut self, worker: WorkerId, weight: u32) {
        if let Some(load) = self.loads.get_mut(worker.index()).and_then(Option::as_mut) {
            *load = load.saturating_sub(weight);
        }
    }

    /// A worker takes nothing any more; what it carried is to be placed anew.
    pub fn retire(&mut self, worker: WorkerId) {
        if let Some(load) = self.loads.get_mut(worker.index()) {
            *load = None;
        }
    }

    /// What each worker carries; `None` for one that takes nothing.
    pub fn loads(&self) -> &[Option<u32>] {
        &self.loads
    }

    fn load(&self, worker: usize) -> u32 {
        self.loads.get(worker).copied().flatten().unwrap_or(u32::MAX)
    }
}

/// Spreads 64 bits over 64 bits (the finisher of SplitMix64).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

impl Default for Map {
    fn default() -> Map {
        Map::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the tunnels are called: names in a row, names at random.
        #[test]
        fn no_worker_is_far_ahead(workers in 1u8..=62, seed: u64, first: u64, step in prop_oneof![Just(1u64), any::<u64>()], tunnels in 0u64..12_000) {
            let mut spread = Spread::new(workers, seed);
            for n in 0..tunnels {
                spread.place(first.wrapping_add(n.wrapping_mul(step)), 1).unwrap();
            }
            let loads: Vec<u32> = spread.loads().iter().flatten().copied().collect();
            prop_assert_eq!(loads.iter().map(|load| u64::from(*load)).sum::<u64>(), tunnels);
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            // One name for all tunnels leaves two workers; every other step spreads over all.
            prop_assert!(step == 0 || most - least <= 12, "{loads:?}");
        }

        /// A worker that leaves takes nothing along but its own tunnels, and those spread as well.
        #[test]
        fn only_the_tunnels_of_a_worker_that_left_move(workers in 3u8..=62, seed: u64, gone: prop::sample::Index) {
            let mut spread = Spread::new(workers, seed);
            let homes: Vec<_> = (0..8000u64).map(|name| spread.place(name, 1).unwrap()).collect();
            let gone = WorkerId(gone.index(usize::from(workers)) as u8);
            spread.retire(gone);
            for (name, _) in homes.iter().enumerate().filter(|(_, home)| **home == gone) {
                prop_assert_ne!(spread.place(name as u64, 1).unwrap(), gone);
            }
            let loads: Vec<u32> = spread.loads().iter().flatten().copied().collect();
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            prop_assert_eq!(loads.iter().sum::<u32>(), 8000);
            prop_assert!(most - least <= 24, "{loads:?}");
        }
    }

    #[test]
    fn nobody_takes_what_nobody_is_there_for() {
        let mut spread = Spread::new(1, 7);
        assert_eq!(spread.place(1, 5), Some(WorkerId(0)));
        spread.leave(WorkerId(0), 2);
        assert_eq!(spread.loads(), [Some(3)]);
        spread.retire(WorkerId(0));
        assert_eq!(spread.place(2, 1), None);
    }

    /// Whoever owns nothing is stood in for by the next who does; whoever does stands for itself.
    #[test]
    fn the_next_stands_in() {
        let map = Map::one_each(3);
        let stand_in = |worker| map.stand_in(WorkerId(worker), 3).0;
        assert_eq!([stand_in(0), stand_in(1), stand_in(2)], [0, 1, 2]);
        let last = Shard::new(3).unwrap();
        map.assign(last, None);
        assert_eq!([stand_in(0), stand_in(1), stand_in(2)], [0, 1, 0]);
        map.assign(last, Some(WorkerId(1)));
        assert_eq!(stand_in(2), 0, "a shard of one's own counts, whose number it has does not");
        (1..=3).for_each(|shard| map.assign(Shard::new(shard).unwrap(), None));
        assert_eq!([stand_in(0), stand_in(1), stand_in(2)], [0, 1, 2]);
    }

    #[test]
    fn shards_are_given_and_taken() {
        let map = Map::one_each(2);
        let owners: Vec<_> = Shard::all().map(|shard| map.worker(shard)).collect();
        assert_eq!(owners[..3], [Some(WorkerId(0)), Some(WorkerId(1)), None]);
        let first = Shard::new(1).unwrap();
        map.assign(first, Some(WorkerId(1)));
        assert_eq!(map.worker(first), Some(WorkerId(1)));
        map.assign(first, None);
        assert_eq!(map.worker(first), None);
        assert!(!map.serves(WorkerId(0)) && map.serves(WorkerId(1)));
        assert_eq!((Shard::new(0), Shard::new(64)), (None, None));
    }
}
