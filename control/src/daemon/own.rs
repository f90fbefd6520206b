//! When peers are asked for SAs of single workers (RFC 9611): as soon as the SA that all workers use is up and the peer
//! takes more, when a worker polls again, and when one of them was lost. Who called asks first; the other a little later
//! for what is missing. Those of a worker that stands still are deleted, and its packets, like those of any worker that
//! has none, go by the SA of all. Where a tunnel was handed over, the worker that has the SA of all from now on needs none
//! of its own: once the SA of all carries there, that is deleted, still receives for some seconds what is under way to it,
//! and its place goes to a worker without one.

use std::collections::{BTreeMap, BTreeSet};

use ravelin_dataplane::io::Pool;
use ravelin_ike::config::{ChildId, ConnectionId};
use ravelin_ike::error::Failure;
use ravelin_ike::event::Event;
use ravelin_ike::id::ChildSaId;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use ravelin_ike::want::Role;

use super::core::{COURTESY, Core};

/// One that was lost is asked for again after so many microseconds.
const AGAIN_US: u64 = 1_000_000;

/// When tunnels are looked at for SAs of single workers that they lack. Sole owner: the control loop.
#[derive(Debug, Default)]
pub struct OwnSas {
    due: BTreeMap<ConnectionId, u64>,
    /// Those that the peer was told to delete because their workers need none: others are to have one in their place.
    drained: BTreeSet<ChildSaId>,
}

impl OwnSas {
    fn look_at(&mut self, id: ConnectionId, at: u64) {
        let due = self.due.entry(id).or_insert(at);
        *due = at.min(*due);
    }

    fn forget(&mut self, id: ConnectionId) {
        self.due.remove(&id);
    }

    fn take(&mut self, now: u64) -> Vec<ConnectionId> {
        let due: Vec<ConnectionId> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        self.due.retain(|_, at| *at > now);
        due
    }
}

impl<P: Pool> Core<P> {
    /// What an event means for SAs of single workers.
    pub(super) fn look_after_own(&mut self, now: Instant, event: &Event) {
        let is_own = |config: ChildId| self.roster.fallback(config.0).is_some();
        match event {
            Event::ChildUp(up) | Event::ChildRekeyed { new: up, .. } if is_own(up.config) => {
                if let Event::ChildRekeyed { old, .. } = event {
                    self.own_sas.drained.remove(old);
                }
                self.workers.name_own(&self.roster, up.config.0);
                // The SA of all may have moved to its worker meanwhile.
                self.drain_own(now, up.connection);
            }
            Event::ChildUp(up) | Event::ChildRekeyed { new: up, .. } if up.takes_more => {
                let ike = self.status.tunnel(up.connection).and_then(|status| status.ike());
                let called = ike.is_some_and(|ike| ike.role == Role::Responder);
                let wait = if called { COURTESY } else { 0 };
                self.own_sas.look_at(up.connection, now.0 + wait);
            }
            Event::ChildDown { child, connection, config, reason, .. } if is_own(*config) => {
                let drained = self.own_sas.drained.remove(child);
                match !reason.is_orderly() || *reason == Failure::Superseded {
                    _ if drained => self.own_sas.look_at(*connection, now.0),
                    true => self.own_sas.look_at(*connection, now.0 + AGAIN_US),
                    // The peer may find one of its workers idle; and what is closed here stays closed.
                    false => self.own_sas.forget(*connection),
                }
            }
            _ => {}
        }
    }

    /// Asks for what is lacking.
    pub(super) fn ask_for_own(&mut self, now: Instant) {
        for connection in self.own_sas.take(now.0) {
            let Some(tunnel) = self.roster.tunnel(connection) else { continue };
            if self.halted(tunnel).is_some() {
                continue;
            }
            self.drain_own(now, connection);
            for child in self.workers.wanted_own(&self.roster, connection) {
                let child = Some(child);
                self.engine.handle_command(now, Command::Initiate { connection, child });
            }
        }
    }

    /// Has the SAs deleted of workers that need none of their own, where the SA of all carries.
    fn drain_own(&mut self, now: Instant, connection: ConnectionId) {
        let carrying: Vec<ChildId> = self
            .roster
            .children(connection)
            .map(|(child, _)| child)
            .filter(|child| self.carries(connection, *child))
            .collect();
        for child in carrying {
            for child in self.workers.drain_misplaced(&self.roster, (connection, child)) {
                self.own_sas.drained.insert(child);
                self.engine.handle_command(now, Command::RetireChild { child });
            }
        }
    }

    /// Whether a child's SA sends: one that the workers have, of which the engine has said that it is up.
    fn carries(&self, connection: ConnectionId, child: ChildId) -> bool {
        let up = self.status.tunnel(connection).and_then(|status| status.children.get(&child));
        up.is_some_and(|child| self.workers.sas().get(child.up.child).is_some())
    }

    /// Who polls, or who is active in a group, has changed: SAs of workers that are not go, and others are asked for.
    pub(super) fn place_own_anew(&mut self, now: Instant) {
        let per_worker = self.roster.tunnels().filter(|(_, tunnel)| tunnel.per_worker);
        let tunnels: Vec<ConnectionId> = per_worker.map(|(id, _)| id).collect();
        for id in tunnels {
            if self.workers.can_relieve() {
                for child in self.workers.leave_still(&self.roster, id) {
                    self.engine.handle_command(now, Command::TerminateChild { child });
                }
            }
            self.own_sas.look_at(id, now.0);
        }
    }
}
