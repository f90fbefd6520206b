//! Where a burst's cycles go in the graph, by station: the least each took in any burst, so that what disturbs a
//! machine shared with others does not show.
//!
//! Only with the feature `cycles`; a reading of the counter at each station is in the figures.

use ravelin_dataplane::graph::{Clock, Station};

use crate::traffic::BURST;

/// The least of each station so far.
#[derive(Debug)]
pub struct Least {
    before: Clock,
    least: [u64; Station::ALL.len()],
}

impl Least {
    /// Of no burst yet, for a worker whose clock says `now`.
    pub fn since(now: Clock) -> Least {
        Least { before: now, least: [u64::MAX; Station::ALL.len()] }
    }

    /// One more burst is through, and its worker's clock says `now`.
    pub fn note(&mut self, now: Clock) {
        for (station, least) in Station::ALL.into_iter().zip(&mut self.least) {
            *least = (*least).min(now.spent(station) - self.before.spent(station));
        }
        self.before = now;
    }

    /// In cycles a packet, on standard error.
    pub fn tell(&self, what: &str) {
        if !Clock::COUNTS {
            return;
        }
        let share = |(station, least): (Station, &u64)| {
            let share = *least as f64 / BURST as f64;
            (share >= 0.05).then(|| format!("{} {share:.1}", station.name()))
        };
        let shares: Vec<_> = Station::ALL.into_iter().zip(&self.least).filter_map(share).collect();
        eprintln!("{what}: {}", shares.join(", "));
    }
}
