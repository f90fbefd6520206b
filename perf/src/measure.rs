//! How a scenario is timed: burst by burst, by the time stamp counter, best and median of repeats.
//!
//! Only `run` lies between the two readings of the counter; what the readings themselves cost is
//! taken off. Repeats are short (a millisecond or less), so that on a machine shared with others some
//! fall between two interruptions. The best repeat is what the code costs when nothing disturbs it
//! and is what revisions are compared by; the median says how much this machine disturbs; the
//! percentiles are over single bursts of all repeats.

use hdrhistogram::Histogram;
use ravelin_mem::tsc;
use serde::Serialize;

/// One thing to measure. The three calls are made in this order, again and again.
pub trait Scenario {
    /// Lays a burst ready. Not timed.
    fn prepare(&mut self) -> anyhow::Result<()>;
    /// Does the work on it. Timed.
    fn run(&mut self);
    /// Clears away what came out, and fails if that was not what should have. Not timed.
    fn settle(&mut self) -> anyhow::Result<()>;
}

/// How often.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Effort {
    /// Repetitions, each giving one mean.
    pub repeats: usize,
    /// Bursts in a repetition.
    pub bursts: usize,
}

/// Cycles a packet.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Mean of the best repetition.
    pub best: f64,
    /// Mean of the median repetition.
    pub median: f64,
    /// Of all bursts, half cost less a packet.
    pub burst_p50: f64,
    /// Of all bursts, 99 in a hundred cost less a packet.
    pub burst_p99: f64,
}

/// Histograms hold hundredths of a cycle a packet.
const SCALE: u64 = 100;
const HIGHEST: u64 = 10_000_000 * SCALE;

/// Times `scenario`, whose bursts have `packets` packets each.
pub fn measure(scenario: &mut impl Scenario, packets: usize, effort: Effort) -> anyhow::Result<Figures> {
    let packets = packets.max(1) as u64;
    let reading = cost_of_reading();
    let mut bursts = Histogram::<u64>::new_with_bounds(1, HIGHEST, 3)?;
    repeat(scenario, effort.bursts, |_| ())?; // caches, branch predictors and the core's clock
    let mut means = Vec::with_capacity(effort.repeats);
    for _ in 0..effort.repeats {
        let mut total = 0;
        repeat(scenario, effort.bursts, |cycles| {
            let cycles = cycles.saturating_sub(reading);
            total += cycles;
            bursts.saturating_record(cycles * SCALE / packets);
        })?;
        means.push(total as f64 / (effort.bursts as u64 * packets) as f64);
    }
    means.sort_by(f64::total_cmp);
    let quantile = |q| bursts.value_at_quantile(q) as f64 / SCALE as f64;
    Ok(Figures {
        best: means.first().copied().unwrap_or(f64::NAN),
        median: means.get(means.len() / 2).copied().unwrap_or(f64::NAN),
        burst_p50: quantile(0.5),
        burst_p99: quantile(0.99),
    })
}

fn repeat(scenario: &mut impl Scenario, bursts: usize, mut each: impl FnMut(u64)) -> anyhow::Result<()> {
    for _ in 0..bursts {
        scenario.prepare()?;
        let start = tsc::fenced();
        scenario.run();
        let end = tsc::fenced();
        scenario.settle()?;
        each(end.saturating_sub(start));
    }
    Ok(())
}

/// What two readings of the counter cost with nothing between them: the least of many.
pub fn cost_of_reading() -> u64 {
    let once = |_| {
        let start = tsc::fenced();
        tsc::fenced().saturating_sub(start)
    };
    (0..1000).map(once).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting {
        stage: usize,
        bursts: usize,
    }

    impl Scenario for Counting {
        fn prepare(&mut self) -> anyhow::Result<()> {
            assert_eq!(std::mem::replace(&mut self.stage, 1), 0);
            Ok(())
        }
        fn run(&mut self) {
            assert_eq!(std::mem::replace(&mut self.stage, 2), 1);
        }
        fn settle(&mut self) -> anyhow::Result<()> {
            assert_eq!(std::mem::replace(&mut self.stage, 0), 2);
            self.bursts += 1;
            anyhow::ensure!(self.bursts < 1000, "as intended");
            Ok(())
        }
    }

    /// Prepare, run, settle, in this order, warm-up included.
    #[test]
    fn the_order_is_kept() {
        let mut counting = Counting { stage: 0, bursts: 0 };
        let figures = measure(&mut counting, 64, Effort { repeats: 3, bursts: 10 }).unwrap();
        assert_eq!(counting.bursts, 40);
        assert!(figures.best <= figures.median && figures.burst_p50 <= figures.burst_p99);
    }

    /// A burst that came out wrong ends the measurement: there is no figure for wrong answers.
    #[test]
    fn a_wrong_burst_gives_no_figure() {
        let mut counting = Counting { stage: 0, bursts: 990 };
        assert!(measure(&mut counting, 64, Effort { repeats: 3, bursts: 10 }).is_err());
    }
}
