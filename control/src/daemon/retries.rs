//! When tunnels that are to be up without being asked are tried again: soon at first, then after growing pauses.
//! Knows the earliest of these times, so that a loop with thousands of tunnels does not ask each at every turn.

use std::collections::BTreeMap;

use ravelin_ike::config::ConnectionId;

/// A failed tunnel is tried again after so many microseconds, doubling up to the cap.
const FIRST: u64 = 2_000_000;
/// The cap of the above.
const LONGEST: u64 = 60_000_000;

/// When one is looked at again, in microseconds of the loop's clock, and how long it waited for that.
#[derive(Debug, Clone, Copy, Default)]
struct Retry {
    at: u64,
    wait: u64,
}

/// The times of all tunnels. One owner: the control loop.
#[derive(Debug, Default)]
pub struct Retries {
    of: BTreeMap<ConnectionId, Retry>,
    /// Nobody's time comes before this.
    next: u64,
}

impl Retries {
    /// Has a tunnel tried as soon as may be: it is new, or was closed by ourselves.
    pub fn reset(&mut self, id: ConnectionId) {
        self.of.remove(&id);
        self.next = 0;
    }

    /// Has a tunnel looked at by then, and then as one that has just gone down.
    pub fn look_at(&mut self, id: ConnectionId, at: u64) {
        self.of.insert(id, Retry { at, wait: 0 });
        self.next = self.next.min(at);
    }

    /// Whether the time of any has come.
    pub fn are_due(&self, now: u64) -> bool {
        self.next <= now
    }

    /// Those to be tried now: of `wanted`, all tunnels that are to be up and whether they are, the ones that are
    /// not and whose time has come.
    pub fn take(
        &mut self,
        now: u64,
        wanted: impl Iterator<Item = (ConnectionId, bool)>,
    ) -> Vec<ConnectionId> {
        let mut due = Vec::new();
        self.next = u64::MAX;
        for (id, is_up) in wanted {
            let retry = self.of.entry(id).or_default();
            if retry.at <= now {
                retry.wait = if is_up { FIRST } else { (retry.wait * 2).clamp(FIRST, LONGEST) };
                retry.at = now + retry.wait;
                due.extend((!is_up).then_some(id));
            }
            self.next = self.next.min(retry.at);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    /// The times at which tunnel 1 is tried within so many seconds.
    fn tried(retries: &mut Retries, seconds: std::ops::Range<u64>, is_up: bool) -> Vec<u64> {
        let due = |second: &u64| {
            let now = second * SECOND;
            retries.are_due(now) && !retries.take(now, [(ConnectionId(1), is_up)].into_iter()).is_empty()
        };
        seconds.filter(due).collect()
    }

    /// At once, then after 2, 4, 8 seconds and so on to a minute; at once again after a reset.
    #[test]
    fn pauses_grow() {
        let mut retries = Retries::default();
        assert_eq!(tried(&mut retries, 0..200, false), [0, 2, 6, 14, 30, 62, 122, 182]);
        retries.reset(ConnectionId(1));
        assert_eq!(tried(&mut retries, 200..204, false), [200, 202]);
    }

    /// One whose pauses have grown is looked at when there is a reason to.
    #[test]
    fn a_reason_to_look_ends_a_long_pause() {
        let mut retries = Retries::default();
        assert_eq!(tried(&mut retries, 0..70, false), [0, 2, 6, 14, 30, 62]);
        retries.look_at(ConnectionId(1), 75 * SECOND);
        assert_eq!(tried(&mut retries, 70..84, false), [75, 77, 81]);
    }

    /// One that is up is not tried, and is tried soon when it has gone down.
    #[test]
    fn one_that_is_up_is_let_be() {
        let mut retries = Retries::default();
        assert!(tried(&mut retries, 0..100, true).is_empty());
        assert_eq!(tried(&mut retries, 100..110, false), [100, 104]);
    }

    /// Where nothing is to be up nobody is asked for again.
    #[test]
    fn nothing_wanted_is_never_due() {
        let mut retries = Retries::default();
        assert!(retries.are_due(0) && retries.take(0, std::iter::empty()).is_empty());
        assert!(!retries.are_due(u64::MAX - 1));
    }
}
