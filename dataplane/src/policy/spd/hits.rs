//! How often entries decided. A row for each worker, which alone writes it: nothing is locked, and no worker waits for
//! another's cache line. What a worker remembers of a flow asks no entry, so that what is counted of it is its first packet.

use super::At;
use crate::sa::counters::Counter;
use crate::sa::shard::WorkerId;

/// Counters in a cache line.
const LINE: usize = 8;

/// A row of counters for each worker.
#[derive(Debug, Default)]
pub struct Hits {
    counters: Box<[Line]>,
    /// Lines of a row.
    lines: usize,
}

/// A line that two workers never share.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([Counter; LINE]);

impl Hits {
    /// All zero.
    pub fn new(entries: usize, workers: usize) -> Hits {
        let lines = entries.div_ceil(LINE);
        Hits { counters: (0..lines * workers).map(|_| Line::default()).collect(), lines }
    }

    /// Counts one; nothing for a worker that has no row.
    pub fn count(&self, worker: WorkerId, at: At) {
        if let Some(counter) = self.counter(worker.index(), at) {
            counter.add(1);
        }
    }

    /// The sum over all workers.
    pub fn of(&self, at: At) -> u64 {
        let rows = self.counters.len().checked_div(self.lines).unwrap_or(0);
        (0..rows).filter_map(|worker| self.counter(worker, at)).map(Counter::get).sum()
    }

    fn counter(&self, worker: usize, At(at): At) -> Option<&Counter> {
        let (line, place) = (at as usize / LINE, at as usize % LINE);
        let row = self.counters.chunks_exact(self.lines.max(1)).nth(worker)?;
        row.get(line)?.0.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_counts_for_itself_and_all_are_summed() {
        let hits = Hits::new(LINE + 1, 2);
        for (worker, at, times) in
            [(0, 0, 1), (1, 0, 2), (1, LINE as u32, 4), (2, 0, 8), (0, 2 * LINE as u32, 8)]
        {
            (0..times).for_each(|_| hits.count(WorkerId(worker), At(at)));
        }
        assert_eq!([0, 1, LINE as u32, 2 * LINE as u32].map(|at| hits.of(At(at))), [3, 0, 4, 0]);
        Hits::new(0, 2).count(WorkerId(0), At(0));
        assert_eq!(Hits::new(0, 2).of(At(0)), 0);
    }
}
