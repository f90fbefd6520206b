//! When a CRL is fetched again, before anybody needs it.

use std::sync::Arc;

use super::Held;
use crate::revocation::crl::Crl;
use crate::time::UnixTime;

/// Largest time before nextUpdate: 366 days.
const MAX_BEFORE: i64 = 366 * 86_400;
/// Shortest and longest period: an hour and 366 days.
const PERIODS: [i64; 2] = [3600, 31_622_400];

/// A schedule of fetching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    BeforeNextUpdate(i64),
    Periodic(i64),
}

/// Why there is no such schedule. The operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The time before nextUpdate is none.
    #[error("{0} s before nextUpdate; 0 to {MAX_BEFORE} (366 days) are possible")]
    Before(i64),
    /// The period is too short or too long.
    #[error("a period of {0} s; {PERIODS:?} are the shortest and the longest")]
    Period(i64),
}

impl Default for Schedule {
    /// An hour before nextUpdate.
    fn default() -> Self {
        Self(Kind::BeforeNextUpdate(3600))
    }
}

impl Schedule {
    /// So many seconds before nextUpdate. A CRL that says none is not fetched again.
    pub fn before_next_update(seconds: i64) -> Result<Self, ScheduleError> {
        let possible = (0..=MAX_BEFORE).contains(&seconds);
        possible.then_some(Self(Kind::BeforeNextUpdate(seconds))).ok_or(ScheduleError::Before(seconds))
    }

    /// Every so many seconds, whatever the CRL says.
    pub fn periodic(seconds: i64) -> Result<Self, ScheduleError> {
        let [shortest, longest] = PERIODS;
        let possible = (shortest..=longest).contains(&seconds);
        possible.then_some(Self(Kind::Periodic(seconds))).ok_or(ScheduleError::Period(seconds))
    }

    /// The period, if it has one.
    pub(super) const fn period(self) -> Option<i64> {
        match self.0 {
            Kind::Periodic(seconds) => Some(seconds),
            Kind::BeforeNextUpdate(_) => None,
        }
    }

    /// When a CRL is to be fetched again; `None`: never.
    pub fn due(self, held: &Held<Arc<Crl>>) -> Option<UnixTime> {
        match self.0 {
            Kind::Periodic(seconds) => Some(UnixTime(held.fetched.0.saturating_add(seconds))),
            Kind::BeforeNextUpdate(seconds) => {
                let (from, until) = (held.value.this_update().0, held.value.next_update()?.0);
                // A CRL that lives shorter than this is not to be fetched without end: half of its life passes.
                let half = from.saturating_add(until.saturating_sub(from) / 2);
                Some(UnixTime(until.saturating_sub(seconds).max(half)))
            }
        }
    }
}
