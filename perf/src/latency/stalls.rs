//! What the machine does to a thread that does nothing but read the counter: the floor under every figure.
//!
//! Interrupts, a sibling thread and a hypervisor hold a worker up wherever it is; a tail as long as the longest
//! of these stalls is the machine's.

use ravelin_mem::tsc;
use serde::Serialize;

use super::bench::patient;
use crate::machine;

/// Windows that are watched, of half a millisecond each.
const WINDOWS: u64 = 400;
/// Shorter gaps between two readings are not counted.
const SHORTEST_NS: u64 = 1000;

/// Gaps between two readings of the counter, in windows the scheduler did not interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stalls {
    /// Nanoseconds of the longest.
    pub longest_ns: u64,
    /// How many of more than a microsecond there were in a second.
    pub a_second: f64,
}

/// Watches for a fifth of a second.
pub fn watch() -> anyhow::Result<Stalls> {
    let hertz = tsc::frequency();
    let (mut longest, mut count) = (0, 0u64);
    let (mut kept, mut interrupted) = (0, 0);
    while kept < WINDOWS {
        let switches = machine::switches();
        let seen = window(hertz / 2000, hertz * SHORTEST_NS / 1_000_000_000);
        if machine::switches() == switches {
            (longest, count, kept) = (longest.max(seen.0), count + seen.1, kept + 1);
        } else {
            interrupted += 1;
            patient(interrupted, kept)?;
        }
    }
    let nanoseconds = u128::from(longest) * 1_000_000_000 / u128::from(hertz.max(1));
    Ok(Stalls { longest_ns: nanoseconds as u64, a_second: count as f64 * 2000.0 / WINDOWS as f64 })
}

/// The longest gap in so many cycles, and how many there were of at least `shortest`.
fn window(cycles: u64, shortest: u64) -> (u64, u64) {
    let start = tsc::now();
    let (mut last, mut longest, mut count) = (start, 0, 0);
    while last.wrapping_sub(start) < cycles {
        let now = tsc::now();
        let gap = now.wrapping_sub(last);
        longest = longest.max(gap);
        count += u64::from(gap >= shortest);
        last = now;
    }
    (longest, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest gap is no shorter than what readings cost and no longer than the window and the one gap
    /// that ended it; every gap is counted when none is too short.
    #[test]
    fn gaps_are_seen() {
        let (longest, count) = window(1_000_000, 0);
        assert!(longest > 0 && count > 1 && longest * count >= 1_000_000);
        assert_eq!(window(1_000_000, u64::MAX).1, 0);
    }
}
