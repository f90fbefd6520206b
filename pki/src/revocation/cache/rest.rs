//! Addresses from which came what is of no use, left alone for a while: fifteen seconds, then twice as long each time,
//! five minutes at most.
//!
//! Without it, each peer that calls would have the same garbage fetched and judged again. Servers that do not answer at
//! all are left alone by whoever fetches.

use std::collections::BTreeMap;

use crate::time::UnixTime;

/// How long the first rest is, in seconds.
const FIRST: i64 = 15;
/// How long the longest is.
const LONGEST: i64 = 300;
/// Failing addresses remembered: certificates name them, and whoever has one of ours could name many.
const KEPT: usize = 4096;

/// Addresses at rest.
#[derive(Debug, Default)]
pub struct Rest(BTreeMap<String, Resting>);

/// An address that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resting {
    /// How often, since it last worked.
    pub failures: u32,
    /// Until when nobody asks it.
    pub until: UnixTime,
    /// What went wrong last.
    pub why: String,
}

impl Rest {
    /// Notes a failure.
    pub fn failed(&mut self, address: &str, why: String, now: UnixTime) {
        let failures = self.0.get(address).map_or(0, |resting| resting.failures).saturating_add(1);
        if failures == 1 {
            self.make_room(now);
        }
        let until = UnixTime(now.0.saturating_add(length(failures)));
        self.0.insert(address.to_owned(), Resting { failures, until, why });
    }

    /// Notes that an address works.
    pub fn worked(&mut self, address: &str) {
        self.0.remove(address);
    }

    /// What keeps an address from being asked now.
    pub fn resting(&self, address: &str, now: UnixTime) -> Option<&Resting> {
        self.0.get(address).filter(|resting| now < resting.until)
    }

    /// Every address that has failed and not worked since.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Resting)> {
        self.0.iter().map(|(address, resting)| (address.as_str(), resting))
    }

    /// Those whose rest is over go first, then the one whose rest ends first.
    fn make_room(&mut self, now: UnixTime) {
        if self.0.len() < KEPT {
            return;
        }
        self.0.retain(|_, resting| now < resting.until);
        if self.0.len() >= KEPT
            && let Some(first) =
                self.0.iter().min_by_key(|(_, resting)| resting.until).map(|(address, _)| address.clone())
        {
            self.0.remove(&first);
        }
    }
}

fn length(failures: u32) -> i64 {
    let doublings = failures.saturating_sub(1).min(6);
    (FIRST << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_and_end_and_are_forgotten_when_it_works() {
        let mut rest = Rest::default();
        let mut now = UnixTime(0);
        for expected in [15, 30, 60, 120, 240, 300, 300] {
            rest.failed("http://a", "no route".to_owned(), now);
            let until = rest.resting("http://a", now).unwrap().until;
            assert_eq!(until.0 - now.0, expected);
            assert!(rest.resting("http://a", UnixTime(until.0 - 1)).is_some());
            assert!(rest.resting("http://a", until).is_none() && rest.resting("http://b", now).is_none());
            now = until;
        }
        rest.worked("http://a");
        rest.failed("http://a", "no route".to_owned(), now);
        assert_eq!(rest.resting("http://a", now).unwrap().failures, 1);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut rest = Rest::default();
        for number in 0..KEPT as i64 + 5 {
            rest.failed(&format!("http://{number}"), String::new(), UnixTime(number / 1000));
        }
        assert_eq!(rest.iter().count(), KEPT);
        assert!(rest.resting("http://0", UnixTime(0)).is_none());
        // When all rests are over, one new failure leaves it alone.
        rest.failed("http://new", String::new(), UnixTime(100_000));
        assert_eq!(rest.iter().count(), 1);
    }
}
