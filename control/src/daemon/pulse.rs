//! Whether workers are alive: one whose polls do not advance between two looks is stalled
//! and said to be once, until it polls again.

use std::collections::HashMap;

use ravelin_dataplane::link::ControlEnd;
use ravelin_dataplane::sa::shard::WorkerId;

/// The last look at each worker: its polls, and whether they had advanced.
#[derive(Debug, Default)]
pub struct Pulse {
    last: HashMap<WorkerId, (u64, bool)>,
}

impl Pulse {
    /// Looks again. Who has stalled since the last look, or come back to life.
    pub fn take<F>(&mut self, link: &ControlEnd<F>) -> Vec<(WorkerId, bool)> {
        let polls = link.workers().filter_map(|worker| Some((worker, link.counters(worker)?.polls.get())));
        polls.filter_map(|(worker, polls)| self.compare(worker, polls)).collect()
    }

    fn compare(&mut self, worker: WorkerId, polls: u64) -> Option<(WorkerId, bool)> {
        let (before, was_alive) = self.last.insert(worker, (polls, true))?;
        let alive = polls != before;
        self.last.insert(worker, (polls, alive));
        (alive != was_alive).then_some((worker, alive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stall is told once, and so is its end.
    #[test]
    fn a_stall_is_told_once() {
        let (mut pulse, worker) = (Pulse::default(), WorkerId(0));
        let told: Vec<_> = [5, 9, 9, 9, 12].into_iter().map(|polls| pulse.compare(worker, polls)).collect();
        assert_eq!(told, [None, None, Some((worker, false)), None, Some((worker, true))]);
    }
}
