//! The groups of tunnels, as workers are theirs: who is active follows who polls, and a tunnel whose group has begun
//! anew gets a home on an active worker. And how full workers are.

use std::collections::BTreeMap;

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::sa::shard::{Shard, WorkerId};
use ravelin_ike::config::ConnectionId;
use ravelin_ike::time::Instant;

use super::{NotHeld, Unmoved, Workers};
use crate::config::plan::TunnelGroup;
use crate::group::watermark::Usage;
use crate::group::{Change, Groups};
use crate::tunnel::roster::Roster;

impl<P: Pool> Workers<P> {
    /// The groups, to be read.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Has the active workers of all groups be such that poll, as far as that can be. What that changes.
    pub fn regroup(&mut self) -> Vec<Change> {
        let homes = &self.homes;
        self.groups.look(|worker| !homes.is_still(worker))
    }

    /// Takes over what a plan has of groups; [`Workers::regroup`] says what that changes.
    pub fn take_over_groups(&mut self, plan: &BTreeMap<String, TunnelGroup>) {
        self.groups.take_over(plan);
    }

    /// How full the tables of SAs of a worker are, which are made at the start and do not grow: of its places for inbound
    /// and for outbound SAs, those of which the larger share is in use.
    pub fn memory(&self, worker: WorkerId) -> Usage {
        let usage = |(used, capacity): (usize, usize)| Usage { used: used as u64, capacity: capacity as u64 };
        let inbound = usage(Shard::new(worker.0 + 1).map_or((0, 0), |shard| self.spis.usage(shard)));
        let outbound = usage(self.homes.usage(worker));
        let is_fuller = outbound.used * inbound.capacity > inbound.used * outbound.capacity;
        if is_fuller { outbound } else { inbound }
    }

    /// Opens the tunnels of the start, but for those that are shut down, or their group is.
    ///
    /// # Errors
    /// As [`Workers::open_tunnel`].
    pub fn open_tunnels(&mut self, roster: &Roster) -> Result<(), NotHeld> {
        for (id, tunnel) in roster.tunnels() {
            match tunnel.enabled && self.groups.why(&tunnel.group).is_none() {
                true => self.open_tunnel(roster, id)?,
                false => self.shut_tunnel(id),
            }
        }
        Ok(())
    }

    /// Gives a tunnel that is closed a home on an active worker of its group, if it has none there. One with manual
    /// keys stays: no two workers may count under one key.
    ///
    /// # Errors
    /// Why it stays.
    pub fn rehome(&mut self, roster: &Roster, id: ConnectionId, now: Instant) -> Result<(), Unmoved> {
        let Some(tunnel) = roster.tunnel(id) else { return Ok(()) };
        let serving = self.groups.serving(&tunnel.group);
        let strays = self.residents(roster, id, |worker| !serving.contains(&worker));
        if strays.is_empty() {
            return Ok(());
        }
        self.move_children(roster, id, strays, now).map(drop)
    }
}
