//! Client lockout (IKE-22): what the engine asks of the table in [`crate::lockout`], and whom it tells.
//!
//! Only calls are counted, and only where the caller could not prove itself
//! ([`crate::error::Failure::is_failed_proof`], IKE-23).

use super::Engine;
use crate::allowance::Allowance;
use crate::config;
use crate::event::Event;
use crate::id::IkeId;
use crate::input::Datagram;
use crate::lockout::{Locked, Lockouts, Offender, Which};
use crate::time::Instant;
use crate::want::Role;

/// Events a second: who makes many addresses fail shall not fill the journal.
const EVENTS: u32 = 16;

/// The table, and what was told of it.
#[derive(Debug, Default)]
pub(super) struct Lockout {
    table: Lockouts,
    events: Allowance,
    left_out: u64,
}

impl Lockout {
    /// When a lockout ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.table.deadline()
    }
}

impl Engine {
    /// Everybody who is locked out, or counted.
    pub fn lockouts(&self) -> impl Iterator<Item = Locked> {
        self.lockout.table.iter()
    }

    /// Forgets those that are meant; how many there were.
    pub fn clear_lockouts(&mut self, which: &Which) -> usize {
        self.lockout.table.clear(which)
    }

    /// Whether nothing is heard of who sent this: "while blocked all IKE packets from it dropped".
    pub(super) fn is_locked_out(&mut self, now: Instant, datagram: &Datagram) -> bool {
        let Datagram { instance, local, remote, .. } = *datagram;
        let from = Offender { instance, local: local.ip(), remote: remote.ip(), port: remote.port() };
        let drops = self.lockout.table.drops(now, from);
        let counter = &mut self.admission.counters.lockout_dropped;
        *counter = counter.saturating_add(u64::from(drops));
        drops
    }

    /// A caller could not prove itself.
    pub(super) fn proof_failed(
        &mut self,
        now: Instant,
        caller: Offender,
        floated: u16,
        policy: &config::Lockout,
    ) {
        if let Some(offender) = self.lockout.table.fail(now, caller, floated, policy) {
            let counter = &mut self.admission.counters.lockouts;
            *counter = counter.saturating_add(1);
            self.tell_lockout(now, offender, true);
        }
    }

    /// A tunnel came up: what its caller failed at before is forgiven.
    pub(super) fn forgive(&mut self, now: Instant, ike: IkeId) {
        let called =
            self.tunnel(ike).map(|tunnel| &tunnel.common).filter(|common| common.role == Role::Responder);
        if let Some(caller) = called.map(|common| common.caller()) {
            self.lockout.table.succeed(now, caller);
        }
    }

    /// Ends what is over.
    pub(super) fn expire_lockouts(&mut self, now: Instant) {
        for offender in self.lockout.table.expire(now) {
            self.tell_lockout(now, offender, false);
        }
    }

    fn tell_lockout(&mut self, now: Instant, offender: Offender, blocked: bool) {
        if !self.lockout.events.take(now, EVENTS) {
            self.lockout.left_out = self.lockout.left_out.saturating_add(1);
            return;
        }
        let left_out = std::mem::take(&mut self.lockout.left_out);
        self.out.events.push_back(Event::Lockout { offender, blocked, left_out });
    }
}
