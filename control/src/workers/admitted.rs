//! Tunnels of a gateway's peers, which come and go: the less loaded of the two workers of its group that a tunnel's ends hash to has
//! all its children (docs/design.md §3 "SPIs"), and a child has an outbound slot only while it has an SA, so that
//! tunnels may have more children than they mostly do.

use std::hash::BuildHasher;
use std::sync::Arc;

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::policy::route::TunnelId;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::time::Instant;

use super::install::InstallError;
use super::{Past, Then, Workers};
use crate::config::plan::Tunnel;
use crate::group::watermark::MEMORY;
use crate::tunnel::outbox::Order;
use crate::tunnel::roster::{ChildNumber, Roster};
use crate::tunnel::sas::Home;

impl<P: Pool> Workers<P> {
    /// Numbers the tunnel of a peer that was let in. Its children have no homes yet.
    pub fn admit(&mut self, roster: &mut Roster, tunnel: Arc<Tunnel>) -> ConnectionId {
        let is_free = |child| self.is_free(child) && self.home(child).is_none();
        let id = roster.admit(tunnel, is_free);
        let new = roster.child_count().saturating_sub(self.past.len());
        self.homes.add_homeless(new);
        self.past.resize(self.past.len() + new, Past::default());
        id
    }

    /// Nothing of a peer's tunnel is left, whose SAs are gone.
    pub fn dismiss(&mut self, roster: &Roster, id: ConnectionId) {
        // One that the tables do not hold has had no SA.
        let _ = self.tables.tables_mut().set_tunnel(TunnelId(id.0), None);
        self.shut.remove(&id);
        let children: Vec<ChildNumber> = roster.numbers(id).collect();
        for child in children {
            self.own.remove(&child);
            self.leave_home(child);
            self.narrowed.remove(&child);
            self.past.get_mut(child as usize).into_iter().for_each(|past| *past = Past::default());
        }
        self.tables.publish();
    }

    /// The home of a child; one of a peer's tunnel gets it now, on the worker that is said or that the tunnel is on, and
    /// one of a single worker on one that has none of its own.
    pub(super) fn housed(
        &mut self,
        child: ChildNumber,
        on: Option<WorkerId>,
        roster: &Roster,
        now: Instant,
    ) -> Result<Home, InstallError> {
        if let Ok(home) = self.home_of(child) {
            return Ok(home);
        }
        let (id, tunnel, _) = roster.child(child).ok_or(InstallError::Unknown("child"))?;
        if let Some(fallback) = roster.fallback(child) {
            let worker = self.worker_of_its_own(roster, (id, fallback), on)?;
            return Ok(self.homes.settle(child, worker, now.0)?);
        }
        if tunnel.origin.is_none() {
            return Err(InstallError::Unknown("child"));
        }
        let together = || {
            let homes = roster.children(id).filter_map(|(sibling, _)| self.home(sibling.0));
            homes.map(|home| home.worker).find(|worker| !self.homes.is_still(*worker))
        };
        let ends = || self.ends.hash_one((tunnel.public, tunnel.local, &tunnel.name));
        let active = self.groups.active(&tunnel.group);
        let is_active = |worker: WorkerId| active.contains(&worker);
        let has_room = |worker: WorkerId| is_active(worker) && !self.memory(worker).reaches(MEMORY.max);
        let anew = || self.homes.worker_for(ends(), has_room);
        let full = || self.homes.worker_for(ends(), is_active);
        let worker = on.or_else(together).or_else(anew).or_else(full);
        let worker = worker.ok_or(InstallError::Unknown("worker"))?;
        Ok(self.homes.settle(child, worker, now.0)?)
    }

    /// SPIs that are given out, and children that have a home.
    #[cfg(test)]
    pub fn in_use(&self) -> (usize, u32) {
        (self.spis.in_use(), self.homes.loads().iter().flatten().sum())
    }

    /// Children with a home, by worker.
    #[cfg(test)]
    pub fn loads(&self) -> Vec<u32> {
        self.homes.loads().iter().flatten().copied().collect()
    }

    /// A child has no SA any more: its slot is given back once its worker has emptied it.
    pub(super) fn leave_home(&mut self, child: ChildNumber) {
        let Some(home) = self.homes.leave(child) else { return };
        if let (Some(counters), Some(past)) =
            (self.link.outbound(home.worker, home.slot), self.past.get_mut(child as usize))
        {
            past.sent.0 += counters.packets.get();
            past.sent.1 += counters.octets.get();
        }
        let empty = Command::ClearOutbound { slot: home.slot };
        self.outbox.put(home.worker, Order::Plain(empty), Some(Then::Vacate(home)));
    }
}
