//! So many a second and no more: replies to strangers, events, lines of a trace.

use crate::time::Instant;
use std::time::Duration;

/// What may still be said in the second that began then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    since: Option<Instant>,
    left: u32,
}

impl Allowance {
    /// Takes one of `rate` a second, if there is one left.
    pub(crate) fn take(&mut self, now: Instant, rate: u32) -> bool {
        if self.since.is_none_or(|since| now.since(since) >= Duration::from_secs(1)) {
            *self = Allowance { since: Some(now), left: rate };
        }
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One less than a second holds, as many, one more; the next second has all of them again.
    #[test]
    fn a_second_holds_so_many() {
        let mut allowance = Allowance::default();
        let taken = |allowance: &mut Allowance, at: u64, times: usize| {
            (0..times).filter(|_| allowance.take(Instant(at), 3)).count()
        };
        assert_eq!(taken(&mut allowance, 5, 2), 2);
        assert_eq!(taken(&mut allowance, 6, 2), 1);
        assert_eq!(taken(&mut allowance, 1_000_004, 1), 0);
        assert_eq!(taken(&mut allowance, 1_000_005, 4), 3);
    }
}
