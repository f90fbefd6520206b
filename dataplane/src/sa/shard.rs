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
    pub fn worker(&self, shard: Shard) -> Option<WorkerId> {
        let owner = self.0.get(usize::from(shard.0))?.load(Ordering::Acquire);
        (owner != NOBODY).then_some(WorkerId(owner))
    }
}

impl Default for Map {
    fn default() -> Map {
        Map::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((Shard::new(0), Shard::new(64)), (None, None));
    }
}
