//! The way from an instance's thread to the reader of its events: one bounded channel. Answers, devices and
//! faults wait their turn behind a full channel; changes are not kept, since a comparison with the kernel will
//! find them again.

use std::collections::VecDeque;

use crossbeam::channel::{Sender, TrySendError};

use super::event::Event;

/// Events that may wait behind a full channel before we stop taking requests. Each request makes at most two.
const BACKLOG_LIMIT: usize = 256;

/// Sole owner of the sending side.
pub(super) struct Outlet {
    sender: Sender<Event>,
    backlog: VecDeque<Event>,
}

impl Outlet {
    pub(super) fn new(sender: Sender<Event>) -> Self {
        Self { sender, backlog: VecDeque::new() }
    }

    /// Sends now or as soon as there is room, in order.
    pub(super) fn must(&mut self, event: Event) {
        self.backlog.push_back(event);
        self.flush();
    }

    /// Sends now; false if there is no room. A reader that went away takes everything.
    pub(super) fn may(&mut self, event: Event) -> bool {
        self.flush();
        self.backlog.is_empty() && !matches!(self.sender.try_send(event), Err(TrySendError::Full(_)))
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            if let Err(TrySendError::Full(event)) = self.sender.try_send(event) {
                self.backlog.push_front(event);
                return;
            }
        }
    }

    /// Something waits.
    pub(super) fn is_blocked(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether another request's answer can wait.
    pub(super) fn takes_requests(&self) -> bool {
        self.backlog.len() < BACKLOG_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::event::{Change, SyncCause};

    fn synced(changes: usize) -> Event {
        Event::Synced { cause: SyncCause::Asked, changes }
    }

    /// A slow reader loses changes (they are found again) but never an answer, and sees those in order.
    #[test]
    fn a_full_channel_keeps_answers_and_refuses_changes() {
        let (sender, reader) = crossbeam::channel::bounded(2);
        let mut outlet = Outlet::new(sender);
        (0..4).for_each(|n| outlet.must(synced(n)));
        assert!(outlet.is_blocked());
        let gone = || Event::Changed(Change::LinkGone { interface: "a".into() });
        assert!(!outlet.may(gone()));
        let mut seen = Vec::new();
        while let Ok(Event::Synced { changes, .. }) = reader.try_recv() {
            seen.push(changes);
            outlet.flush();
        }
        assert_eq!(seen, [0, 1, 2, 3]);
        assert!(!outlet.is_blocked() && outlet.may(gone()));
    }
}
