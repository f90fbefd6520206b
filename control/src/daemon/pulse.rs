//! Whether workers are alive (DP-01): one whose polls have not advanced for [`PATIENCE_US`] is stalled, and
//! said to be once, until it polls again. Looked at every [`EVERY_US`], so that a stall is known within a
//! second. Time is the loop's clock.

use std::collections::HashMap;

use ravelin_dataplane::link::ControlEnd;
use ravelin_dataplane::sa::shard::WorkerId;

/// Looks are so far apart, in microseconds.
pub const EVERY_US: u64 = 100_000;
/// A worker may be silent for so long, in microseconds: longer than a busy machine lets a thread wait.
const PATIENCE_US: u64 = 750_000;
/// A loop that looks again only after so long, in microseconds, was away itself.
const AWAY_US: u64 = 400_000;

/// What was seen of one worker.
#[derive(Debug, Clone, Copy)]
struct Beat {
    polls: u64,
    /// When they had advanced last.
    since: u64,
    stalled: bool,
}

/// The workers' heartbeats. One owner: the control loop.
#[derive(Debug, Default)]
pub struct Pulse {
    last: HashMap<WorkerId, Beat>,
    looked: u64,
}

impl Pulse {
    /// Looks again, if it is time. Who has stalled since the last look (`false`), or come back to life.
    pub fn take<F>(&mut self, link: &ControlEnd<F>, now: u64) -> Option<Vec<(WorkerId, bool)>> {
        if now < self.looked + EVERY_US {
            return None;
        }
        self.excuse(now - self.looked);
        self.looked = now;
        let polls = link.workers().filter_map(|worker| Some((worker, link.counters(worker)?.polls.get())));
        Some(polls.filter_map(|(worker, polls)| self.compare(worker, polls, now)).collect())
    }

    /// A loop that did not look for long was not running either, as when the whole machine was paused: that
    /// time says nothing of the workers.
    fn excuse(&mut self, gap: u64) {
        let excess = if gap > AWAY_US { gap - EVERY_US } else { 0 };
        for beat in self.last.values_mut().filter(|beat| !beat.stalled) {
            beat.since += excess;
        }
    }

    fn compare(&mut self, worker: WorkerId, polls: u64, now: u64) -> Option<(WorkerId, bool)> {
        let beat = self.last.entry(worker).or_insert(Beat { polls, since: now, stalled: false });
        if beat.polls != polls {
            (beat.polls, beat.since) = (polls, now);
        }
        let stalled = now - beat.since >= PATIENCE_US;
        let news = std::mem::replace(&mut beat.stalled, stalled) != stalled;
        news.then_some((worker, !stalled))
    }

    /// How long a stalled worker has been silent, in microseconds; `None` for one that polls.
    pub fn silence(&self, worker: WorkerId, now: u64) -> Option<u64> {
        let beat = self.last.get(&worker).filter(|beat| beat.stalled)?;
        Some(now.saturating_sub(beat.since))
    }
}

/// A stall in words.
pub fn told(worker: WorkerId, core: usize, silent_us: u64) -> String {
    let seconds = silent_us as f64 / 1e6;
    format!("worker {} on CPU {core} has not polled for {seconds:.1} s", worker.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_dataplane::graph::Settings;
    use ravelin_dataplane::io::ram::{RamFrame, RamPool, RamPort};
    use ravelin_dataplane::link::{Shape, build};
    use ravelin_dataplane::policy::publish;
    use ravelin_dataplane::policy::table::Tables;
    use ravelin_dataplane::worker::Worker;

    type RamWorker = Worker<RamPool, RamPort>;

    /// Two real workers without ports, and control's end.
    fn two() -> (ControlEnd<RamFrame>, Vec<RamWorker>) {
        let shape = Shape { inbound_slots: 4, outbound_slots: 4, ..Shape::usual(2, 0) };
        let link = build::<RamFrame>(&shape).unwrap();
        let (_writer, readers) = publish::channel(Tables::new(), 2);
        let kernel = ravelin_gcm::Kernel::detect();
        let workers = link
            .workers
            .into_iter()
            .zip(readers)
            .map(|(end, reader)| {
                Worker::new(end, reader, RamPool::new(4, 1), Vec::new(), kernel, &Settings::new(1))
            })
            .collect();
        (link.control, workers)
    }

    /// Two real workers, one of which stops making progress: it alone is told, within a second of its last
    /// poll, once; and its return is told once.
    #[test]
    fn a_stalled_worker_is_told_within_a_second() {
        let (control, mut workers) = two();
        let (mut pulse, mut told) = (Pulse::default(), Vec::new());
        for now in (0..5_000_000u64).step_by(50_000) {
            workers[0].poll(now);
            // The second stands still from the first second to the third.
            if !(1_000_000..3_000_000).contains(&now) {
                workers[1].poll(now);
            }
            for news in pulse.take(&control, now).into_iter().flatten() {
                told.push((now, news));
            }
            assert_eq!(pulse.silence(WorkerId(0), now), None);
        }
        let [(stalled, first), (back, second)] = told[..] else { panic!("{told:?}") };
        assert_eq!((first, second), ((WorkerId(1), false), (WorkerId(1), true)));
        assert!((1_000_000..=2_000_000).contains(&stalled), "told at {stalled}");
        assert!((3_000_000..=3_200_000).contains(&back), "told at {back}");
    }
    /// Everything was paused, the loop too: when it looks before the workers have polled again, nobody is
    /// called stalled; one that does not go on is, in its time.
    #[test]
    fn a_pause_of_everything_is_nobodys_stall() {
        let (control, mut workers) = two();
        let mut pulse = Pulse::default();
        for now in (0..=1_000_000).step_by(100_000) {
            workers.iter_mut().for_each(|worker| _ = worker.poll(now));
            pulse.take(&control, now);
        }
        assert_eq!(pulse.take(&control, 60_000_000), Some(Vec::new()));
        workers[0].poll(60_000_000);
        let look = |now| pulse.take(&control, now).unwrap();
        let told: Vec<_> = (1..=7).map(|look| 60_000_000 + look * EVERY_US).map(look).collect();
        assert_eq!(told.concat(), [(WorkerId(1), false)]);
    }
}
