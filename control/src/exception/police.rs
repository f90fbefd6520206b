//! A token bucket over frames. Pure: time comes in.

/// How many frames may pass: on the average and at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Frames a second.
    pub frames_per_second: u32,
    /// Frames at once after a pause.
    pub burst: u32,
}

impl Default for Rate {
    /// Several full BGP feeds or a management session fit; a flood costs the exception thread a tenth of a
    /// core.
    fn default() -> Self {
        Self { frames_per_second: 50_000, burst: 2_000 }
    }
}

/// Tokens, in millionths of a frame.
#[derive(Debug)]
pub(super) struct Police {
    rate: Rate,
    tokens: u64,
    /// Microseconds of the last refill.
    refilled: u64,
}

const FRAME: u64 = 1_000_000;

impl Police {
    /// Full at `now` (microseconds).
    pub(super) fn new(rate: Rate, now: u64) -> Self {
        Self { rate, tokens: u64::from(rate.burst).saturating_mul(FRAME), refilled: now }
    }

    /// Takes one frame's tokens if they are there. A clock that steps back refills nothing.
    pub(super) fn take(&mut self, now: u64) -> bool {
        self.refill(now);
        match self.tokens.checked_sub(FRAME) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }

    /// Whether [`Police::take`] would succeed.
    pub(super) fn has_tokens(&mut self, now: u64) -> bool {
        self.refill(now);
        self.tokens >= FRAME
    }

    fn refill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.refilled);
        self.refilled = self.refilled.max(now);
        let earned = elapsed.saturating_mul(u64::from(self.rate.frames_per_second));
        let full = u64::from(self.rate.burst).saturating_mul(FRAME);
        self.tokens = self.tokens.saturating_add(earned).min(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_passes_then_the_rate() {
        let mut police = Police::new(Rate { frames_per_second: 1000, burst: 3 }, 0);
        assert_eq!((0..5).filter(|_| police.take(0)).count(), 3);
        assert!(!police.take(999) && police.take(1000) && !police.take(1000));
        assert_eq!((0..9).filter(|_| police.take(60_000_000)).count(), 3, "a pause fills the burst, no more");
    }

    proptest! {
        /// Never more than the burst plus what the rate allows, whatever the clock does.
        #[test]
        fn the_rate_is_never_exceeded(fps in 0u32..100_000, burst in 0u32..100, steps in prop::collection::vec(0u64..5000, 1..500)) {
            let mut police = Police::new(Rate { frames_per_second: fps, burst }, 0);
            let (mut now, mut passed) = (0u64, 0u64);
            for step in steps {
                now += step;
                passed += u64::from(police.take(now));
                passed += u64::from(police.take(now.saturating_sub(10_000)));
            }
            prop_assert!(passed * FRAME <= u64::from(burst) * FRAME + now * u64::from(fps));
        }
    }
}
