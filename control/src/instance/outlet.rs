//! The way from an instance's thread to the reader of its events: one bounded channel with a bounded backlog
//! behind it, in order. Answers, devices and faults are never lost; changes that find the backlog full are
//! refused, since a comparison with the kernel will find them again.

use std::collections::VecDeque;

use crossbeam::channel::{Sender, TrySendError};

use super::event::Event;

/// Events that may wait behind a full channel (about 20 MB): a full BGP table passes in a few comparisons.
/// Beyond it changes are refused, and requests are not taken.
const BACKLOG_LIMIT: usize = 1 << 17;
/// What an emptied backlog keeps allocated.
const BACKLOG_KEPT: usize = 1 << 10;

/// Sole owner of the sending side.
pub(super) struct Outlet {
    sender: Sender<Event>,
    backlog: VecDeque<Event>,
    limit: usize,
}

impl Outlet {
    pub(super) fn new(sender: Sender<Event>) -> Self {
        Self { sender, backlog: VecDeque::new(), limit: BACKLOG_LIMIT }
    }

    /// Sends now or as soon as there is room.
    pub(super) fn must(&mut self, event: Event) {
        self.backlog.push_back(event);
        self.flush();
    }

    /// The same, but false without sending if too much waits already.
    pub(super) fn may(&mut self, event: Event) -> bool {
        if !self.has_room() {
            return false;
        }
        self.must(event);
        true
    }

    /// Sends what waits, as far as there is room. A reader that went away takes everything.
    pub(super) fn flush(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            if let Err(TrySendError::Full(event)) = self.sender.try_send(event) {
                self.backlog.push_front(event);
                return;
            }
        }
        self.backlog.shrink_to(BACKLOG_KEPT);
    }

    /// Something waits.
    pub(super) fn is_blocked(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether more may wait.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.len() < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::event::{Change, SyncCause};

    fn synced(changes: usize) -> Event {
        Event::Synced { cause: SyncCause::Asked, changes }
    }

    fn gone() -> Event {
        Event::Changed(Change::LinkGone { interface: "a".into() })
    }

    /// A slow reader loses changes (they are found again) but never an answer, and sees all in order.
    #[test]
    fn a_full_backlog_keeps_answers_and_refuses_changes() {
        let (sender, reader) = crossbeam::channel::bounded(2);
        let mut outlet = Outlet { limit: 3, ..Outlet::new(sender) };
        (0..6).for_each(|n| outlet.must(synced(n)));
        assert!(outlet.is_blocked() && !outlet.has_room() && !outlet.may(gone()));
        let mut seen = Vec::new();
        while let Ok(Event::Synced { changes, .. }) = reader.try_recv() {
            seen.push(changes);
            outlet.flush();
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
        assert!(!outlet.is_blocked() && outlet.may(gone()));
    }

    /// Else an instance could not be stopped by a caller that has stopped reading.
    #[test]
    fn a_reader_that_went_away_blocks_nothing() {
        let (sender, reader) = crossbeam::channel::bounded(1);
        let mut outlet = Outlet::new(sender);
        (0..3).for_each(|n| outlet.must(synced(n)));
        assert!(outlet.is_blocked());
        drop(reader);
        outlet.flush();
        assert!(!outlet.is_blocked());
    }
}
