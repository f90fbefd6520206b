//! The journal: the last events, numbered, for whoever asks and waits. The loop writes,
//! clients of the control socket read; the lock is held for a copy and no longer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::api::reply::Event;

/// Events kept.
const KEPT: usize = 4096;
/// Lines of debugging kept: apart, so that they push out no event.
const KEPT_TRACE: usize = 1024;
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
    /// Lines of debugging, numbered among the events.
    trace: VecDeque<Event>,
}

impl Journal {
    /// Notes an event, and logs it.
    pub fn note(&self, tunnel: &str, what: &str, text: String) {
        self.tell(tunnel, what, text, Vec::new());
    }

    /// Notes an event with details: they stand behind its text, and as fields beside it.
    pub fn tell(&self, tunnel: &str, what: &str, mut text: String, details: Vec<(&'static str, String)>) {
        text.extend(details.iter().map(|(name, value)| format!("; {name} {value}")));
        tracing::info!(tunnel, what, "{text}");
        let details = details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.write(tunnel, what, (text, details), |events| (&mut events.kept, KEPT));
    }

    /// Notes a line of debugging, and logs it.
    pub fn trace(&self, what: &str, text: String) {
        tracing::info!(what, "{text}");
        self.write("", what, (text, BTreeMap::new()), |events| (&mut events.trace, KEPT_TRACE));
    }

    fn write(
        &self,
        tunnel: &str,
        what: &str,
        (text, details): (String, BTreeMap<String, String>),
        place: impl Fn(&mut Events) -> (&mut VecDeque<Event>, usize),
    ) {
        let mut events = self.lock();
        events.last += 1;
        let number = events.last;
        let event =
            Event { number, time: unix_time(), tunnel: tunnel.into(), what: what.into(), text, details };
        let (kept, most) = place(&mut events);
        kept.push_back(event);
        if kept.len() > most {
            kept.pop_front();
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
        let later = |event: &&Event| event.number > after;
        let first =
            |kept: &VecDeque<Event>| kept.iter().filter(later).take(PAGE).cloned().collect::<Vec<_>>();
        let mut page = [first(&events.kept), first(&events.trace)].concat();
        page.sort_by_key(|event| event.number);
        page.truncate(PAGE);
        page
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

    /// Lines of debugging stand among the events in order, and however many there are, no event goes for them.
    #[test]
    fn debugging_pushes_out_no_event() {
        let journal = Journal::default();
        journal.note("net", "tunnel-up", "first".into());
        (0..KEPT_TRACE + 10).for_each(|line| journal.trace("debug", line.to_string()));
        journal.note("net", "tunnel-down", "last".into());
        let mut all = Vec::new();
        while let page = journal.read(all.last().map_or(0, |event: &Event| event.number), Duration::ZERO)
            && !page.is_empty()
        {
            assert!(page.len() <= PAGE);
            all.extend(page);
        }
        assert!(all.is_sorted_by_key(|event| event.number));
        let (first, last) = (all.first().unwrap(), all.last().unwrap());
        assert_eq!((first.text.as_str(), last.text.as_str(), all.len()), ("first", "last", KEPT_TRACE + 2));
        assert_eq!(all[1].text, "10", "the oldest lines are gone");
    }
}
