//! Telling the reader of the kernel's state: notifications as they come, and full comparisons at the start,
//! after an overflow, after a slow reader, and where a notification does not say all.

use std::time::Duration;

use rtnetlink::packet_core::NetlinkPayload;
use tokio::time::Instant;

use super::error::InstanceError;
use super::event::{Change, Event, SyncCause};
use super::machine::Machine;
use super::mirror::{Verdict, differences, hides_route_removals};
use super::netlink::{self, Heard};
use super::translate;
use super::walls::Wall;

/// How long to let related changes arrive before a comparison.
const SETTLE: Duration = Duration::from_millis(20);

impl Machine {
    /// Takes one notification in.
    pub(super) async fn observe(&mut self, heard: &Heard) {
        let message = match heard {
            Heard::Overflow => return self.ask_comparison(SyncCause::Overflow),
            Heard::Message(message) => message,
        };
        if translate::learn(message, &mut self.names).is_some() {
            self.ask_comparison(SyncCause::Unclear);
        }
        if let NetlinkPayload::InnerMessage(inner) = &message.payload
            && let Some(neighbour) = translate::fixed(inner, &self.names, |name| self.twins.contains(name))
        {
            self.told.note_fixed(neighbour);
        }
        let Some(notice) = translate::notice(message, &self.names, |name| self.twins.contains(name)) else {
            return;
        };
        match self.told.judge(notice) {
            Verdict::Known => {}
            Verdict::Unclear => self.ask_comparison(SyncCause::Unclear),
            Verdict::Tell(change) => self.tell_and_follow(change).await,
        }
    }

    async fn tell_and_follow(&mut self, change: Change) {
        if hides_route_removals(&change) {
            self.ask_comparison(SyncCause::Unclear);
        }
        let came_up = matches!(&change, Change::Link(link) if link.up && link.carrier);
        let of_link = matches!(&change, Change::Link(_) | Change::LinkGone { .. });
        let of_address = matches!(&change, Change::Address { .. } | Change::AddressGone { .. });
        let seen = if let Change::Neighbour { interface, address, .. } = &change {
            Some((interface.to_string(), *address))
        } else {
            None
        };
        if !self.tell(change) {
            self.ask_comparison(SyncCause::SlowReader);
        }
        if of_link {
            self.look_for_caged();
        }
        if of_address {
            self.check_caged_addresses();
        }
        if came_up {
            self.assert_neighbours().await;
        }
        if let Some(hop) = seen {
            self.keep_seen(hop).await;
        }
    }

    /// Tells one change; false, and not noted as told, if the reader has no room.
    fn tell(&mut self, change: Change) -> bool {
        let told = self.outlet.may(Event::Changed(change.clone()));
        if told {
            self.told.apply(&change);
        }
        told
    }

    /// Compares soon. The first cause is kept; an overflow is the one worth knowing.
    pub(super) fn ask_comparison(&mut self, cause: SyncCause) {
        let (at, first) = self.resync.unwrap_or((Instant::now() + SETTLE, cause));
        let cause = if cause == SyncCause::Overflow { cause } else { first };
        self.resync = Some((at, cause));
    }

    /// Compares everything with the kernel and tells the differences. What finds no room is found again by
    /// the next comparison.
    pub(super) async fn compare(&mut self, cause: SyncCause) -> Result<(), InstanceError> {
        self.resync = None;
        let (fresh, names) = netlink::snapshot(&self.handle, |name| self.twins.contains(name)).await?;
        self.names = names;
        self.told.take_fixed(&fresh);
        let changes = differences(&self.told, &fresh);
        let found = changes.len();
        for change in changes {
            if !self.tell(change) {
                let cause = if cause == SyncCause::Start { cause } else { SyncCause::SlowReader };
                self.ask_comparison(cause);
                return Ok(());
            }
        }
        self.outlet.must(Event::Synced { cause, changes: found });
        self.look_for_caged();
        self.check_caged_addresses();
        self.keep_all_seen().await;
        Ok(())
    }

    /// Carries out the comparison that was asked for once its time has come, and tries a full channel again.
    /// If the kernel refuses to be read we are blind: a fault.
    pub(super) async fn compare_if_due(&mut self) {
        self.outlet.flush();
        let Some((at, cause)) = self.resync else { return };
        if at > Instant::now() {
            return;
        }
        match self.compare(cause).await {
            Ok(()) => self.mended(Wall::Kernel),
            Err(error) => {
                self.fallen(Wall::Kernel, error);
                self.ask_comparison(cause);
            }
        }
    }

    /// When the thread must wake by itself: to compare, or to try a full channel again.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let retry = self.outlet.is_blocked().then(|| Instant::now() + SETTLE);
        [self.resync.map(|(at, _)| at), retry].into_iter().flatten().min()
    }
}
