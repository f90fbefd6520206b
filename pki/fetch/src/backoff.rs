//! The memory of what failed: asked again later and later, so that a dead server is neither hammered nor waited for
//! by every tunnel. Pure: time and randomness come in.
//!
//! The wait doubles from [`FIRST`] to [`LONGEST`]; half of it is drawn, so that gateways that lost a server together do
//! not come back together. A success forgets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::error::FetchError;
use crate::instance::Id;
use crate::url::{Server, Url};

/// Wait after the first failure.
pub const FIRST: Duration = Duration::from_secs(1);
/// Longest wait: a server that comes back is noticed within it.
pub const LONGEST: Duration = Duration::from_secs(300);
/// Places remembered: beyond, that which would be asked again soonest is forgotten.
const REMEMBERED: usize = 4096;

/// What failed: a URL, or a server whatever is asked of it. In one instance; `None` is the process's own network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// One URL.
    Url(Option<Id>, Url),
    /// All of a server.
    Server(Option<Id>, Server),
}

#[derive(Debug)]
struct Trouble {
    failures: u32,
    until: Instant,
    last: String,
}

/// What failed lately.
#[derive(Debug, Default)]
pub struct Troubles(HashMap<Place, Trouble>);

impl Troubles {
    /// Why a place is not asked now.
    #[must_use]
    pub fn check(&self, now: Instant, place: &Place) -> Option<FetchError> {
        let trouble = self.0.get(place)?;
        let wait = trouble.until.checked_duration_since(now).filter(|wait| !wait.is_zero())?;
        Some(FetchError::BackingOff { wait, failures: trouble.failures, last: trouble.last.clone() })
    }

    /// Notes a failure. `random` is any number, all equally likely.
    pub fn failed(&mut self, now: Instant, place: Place, error: &FetchError, random: u64) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&place) {
            self.forget_one();
        }
        let trouble = self.0.entry(place).or_insert(Trouble { failures: 0, until: now, last: String::new() });
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.until = now + wait(trouble.failures, random);
        trouble.last = error.to_string();
    }

    /// Notes that a place is well.
    pub fn succeeded(&mut self, place: &Place) {
        self.0.remove(place);
    }

    fn forget_one(&mut self) {
        let soonest = self.0.iter().min_by_key(|(_, trouble)| trouble.until).map(|(place, _)| place.clone());
        if let Some(place) = soonest {
            self.0.remove(&place);
        }
    }
}

/// How long after so many failures in a row: between half of the doubled wait and all of it.
#[must_use]
pub fn wait(failures: u32, random: u64) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let half = FIRST.saturating_mul(doubled).min(LONGEST) / 2;
    let nanoseconds = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    half + Duration::from_nanos(random % nanoseconds.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(number: usize) -> Place {
        Place::Url(None, Url::parse(&format!("http://host/{number}")).unwrap())
    }

    /// Left alone, tried again, left alone for longer; a success wipes the slate.
    #[test]
    fn waits_double() {
        let start = Instant::now();
        let (mut troubles, error) =
            (Troubles::default(), FetchError::Status { code: 404, text: "none".into() });
        assert_eq!(troubles.check(start, &place(0)), None);
        troubles.failed(start, place(0), &error, 0);
        let half = Duration::from_millis(500);
        let Some(FetchError::BackingOff { wait, failures: 1, last }) = troubles.check(start, &place(0))
        else {
            panic!("not left alone")
        };
        assert_eq!((wait, last), (half, error.to_string()));
        assert_eq!(troubles.check(start + half, &place(0)), None);
        assert_eq!(troubles.check(start, &place(1)), None);
        troubles.failed(start + half, place(0), &error, 0);
        assert!(troubles.check(start + half + half, &place(0)).is_some(), "a second now");
        troubles.succeeded(&place(0));
        assert_eq!(troubles.check(start, &place(0)), None);
    }

    /// Memory is bounded, and what must be left alone longest stays known.
    #[test]
    fn forgets_the_soonest() {
        let start = Instant::now();
        let (mut troubles, error) = (Troubles::default(), FetchError::Closed);
        for number in 0..=REMEMBERED {
            troubles.failed(start + Duration::from_micros(number as u64), place(number), &error, 0);
        }
        assert_eq!(troubles.0.len(), REMEMBERED);
        assert_eq!(troubles.check(start, &place(0)), None);
        assert!(troubles.check(start, &place(REMEMBERED)).is_some());
    }

    proptest! {
        /// Never nothing, never more than the longest, and never less after more failures with the same luck.
        #[test]
        fn waits_are_bounded(failures in 1_u32..100, random: u64) {
            let (this, most) = (wait(failures, random), FIRST.saturating_mul(2_u32.saturating_pow(failures - 1)));
            prop_assert!(this >= FIRST / 2 && this <= LONGEST && this <= most);
            prop_assert!(wait(failures + 1, 0) >= wait(failures, 0));
        }
    }
}
