//! The journal: the last events, numbered, for whoever asks and waits. The loop writes,
//! clients of the control socket read; the lock is held for a copy and no longer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::api::reply::Event;

/// Events kept.
const KEPT: usize = 4096;
/// Events in one answer.
const PAGE: usize = 512;

/// The journal.
#[derive(Debug, Default)]
pub struct Journal {
    events: Mutex<Events>,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Events {
    last: u64,
    kept: VecDeque<Event>,
}

impl Journal {
    /// Notes an event, and logs it.
    pub fn note(&self, tunnel: &str, what: &str, text: String) {
        tracing::info!(tunnel, what, "{text}");
        let mut events = self.lock();
        events.last += 1;
        let event =
            Event { number: events.last, time: unix_time(), tunnel: tunnel.into(), what: what.into(), text };
        events.kept.push_back(event);
        if events.kept.len() > KEPT {
            events.kept.pop_front();
        }
        drop(events);
        self.written.notify_all();
    }

    /// Events numbered above `after`, waiting up to `wait` for the first.
    pub fn read(&self, after: u64, wait: Duration) -> Vec<Event> {
        let events = self.lock();
        let none_yet = |events: &mut Events| events.last <= after;
        let (events, _) =
            self.written.wait_timeout_while(events, wait, none_yet).unwrap_or_else(PoisonError::into_inner);
        events.kept.iter().filter(|event| event.number > after).take(PAGE).cloned().collect()
    }

    /// A poisoned journal is still a journal: it holds plain values.
    fn lock(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since 1970.
pub fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader who comes back gets what was written since, and only so many are kept.
    #[test]
    fn numbered_and_bounded() {
        let journal = Journal::default();
        for number in 0..KEPT + 10 {
            journal.note("net", "tunnel-up", number.to_string());
        }
        let first = journal.read(0, Duration::ZERO);
        assert_eq!((first.len(), first[0].number), (PAGE, 11));
        let last = journal.read((KEPT + 9) as u64, Duration::ZERO);
        assert_eq!((last.len(), last[0].number), (1, (KEPT + 10) as u64));
        assert!(journal.read((KEPT + 10) as u64, Duration::ZERO).is_empty());
    }
}
