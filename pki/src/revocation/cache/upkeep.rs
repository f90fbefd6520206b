//! The upkeep of one authority's CRL from the addresses that the operator configured: when to fetch it, from which
//! address, and what a failure means for the next time.
//!
//! The addresses are asked one after the other, and the first from which a newer CRL comes ends the round. Where none
//! has one, another begins soon, and each further one after twice as long, up to the retry interval or, by a periodic
//! schedule, the period: a network that is up a second after us is not to cost us an hour.

use std::sync::Arc;

use super::{Held, Schedule};
use crate::revocation::crl::Crl;
use crate::time::UnixTime;

/// How long the first pause after a round for nothing is, in seconds.
const FIRST_PAUSE: i64 = 1;

/// When one authority's CRL is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upkeep {
    urls: Vec<String>,
    schedule: Schedule,
    /// The longest pause after a round that brought nothing, in seconds; `None`: there is no other round until somebody
    /// asks for it.
    retry: Option<i64>,
    /// Rounds in a row that brought nothing.
    failed: u32,
    /// When the next round begins; `None`: it has stopped.
    next: Option<UnixTime>,
    /// The address that is being asked.
    asking: Option<usize>,
}

impl Upkeep {
    /// Keeps the CRL from these addresses. `held` is the one there is, if it is of use: without one the first round is
    /// due at once.
    pub fn new(
        urls: Vec<String>,
        schedule: Schedule,
        retry: Option<i64>,
        held: Option<&Held<Arc<Crl>>>,
        now: UnixTime,
    ) -> Self {
        let next = held.map_or(Some(now), |held| schedule.due(held));
        Self { urls, schedule, retry, failed: 0, next, asking: None }
    }

    /// When a round begins, if none is under way.
    pub fn due(&self) -> Option<UnixTime> {
        self.next.filter(|_| self.asking.is_none() && !self.urls.is_empty())
    }

    /// Begins a round, if it is time for one: the address to fetch from.
    pub fn begin(&mut self, now: UnixTime) -> Option<&str> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        self.asking = Some(0);
        self.urls.first().map(String::as_str)
    }

    /// Has a round begin as soon as the one under way is over.
    pub fn hasten(&mut self, now: UnixTime) {
        self.next = Some(now);
    }

    /// Whether a round is under way.
    pub const fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// A newer CRL came.
    pub fn succeeded(&mut self, held: &Held<Arc<Crl>>) {
        (self.asking, self.failed) = (None, 0);
        self.next = self.schedule.due(held);
    }

    /// Nothing of use came from the address: the next one to fetch from, until there is none.
    pub fn failed(&mut self, now: UnixTime) -> Option<&str> {
        let next = self.asking.map_or(0, |asked| asked.saturating_add(1));
        if let Some(url) = self.urls.get(next) {
            self.asking = Some(next);
            return Some(url);
        }
        self.asking = None;
        let pause = FIRST_PAUSE << self.failed.min(24);
        self.failed = self.failed.saturating_add(1);
        let longest = self.schedule.period().or(self.retry);
        self.next = longest.map(|longest| UnixTime(now.0.saturating_add(pause.min(longest))));
        None
    }
}
