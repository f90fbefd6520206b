//! SAs on which one worker alone sends, beside that which all workers use (RFC 9611), so that a tunnel too fat for one
//! core has several. Each lives on an active worker of its tunnel's group that has none of the same child; it gets its
//! home when it is negotiated and leaves it with its last SA. Policy names it from when it can send until before it is
//! taken out, so that no packet meets an empty slot: what it does not take goes to the SA of all. One that is not needed
//! where it is any more, because the SA of all has moved there or its worker is not active, is drained: its worker sends on
//! the SA of all, and receives on this one until some seconds after the peer has deleted it. That of a worker that stands still cannot be.

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::sa::SaRef;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::sa::spi::Place;
use ravelin_ike::config::{ChildId, ConnectionId};
use ravelin_ike::id::ChildSaId;

use super::Workers;
use super::install::InstallError;
use crate::config::plan::DEFAULT_GROUP;
use crate::tunnel::roster::{ChildNumber, Roster};

/// Whether a child has a home only while it has an SA: one of a gateway's peer, or a single worker's own.
pub(super) fn is_lodger(roster: &Roster, child: ChildNumber) -> bool {
    let is_admitted = || roster.child(child).is_some_and(|(_, tunnel, _)| tunnel.origin.is_some());
    roster.fallback(child).is_some() || is_admitted()
}

impl<P: Pool> Workers<P> {
    /// The worker for an SA of its own beside this child: the one that is said, or that with the fewest children of those
    /// that have none.
    ///
    /// # Errors
    /// When each has one, or the one that is said stands still.
    pub(super) fn worker_of_its_own(
        &self,
        roster: &Roster,
        (id, fallback): (ConnectionId, ChildNumber),
        on: Option<WorkerId>,
    ) -> Result<WorkerId, InstallError> {
        if let Some(on) = on {
            return if self.homes.is_still(on) { Err(InstallError::Stalled) } else { Ok(on) };
        }
        let without = self.without_own(roster, (id, ChildId(fallback)));
        self.homes.lightest(&without).ok_or(InstallError::NoWorker)
    }

    /// The active workers of a tunnel's group that poll and have neither the SA of all of this child nor one of their own.
    fn without_own(&self, roster: &Roster, (id, child): (ConnectionId, ChildId)) -> Vec<WorkerId> {
        let group = roster.tunnel(id).map_or(DEFAULT_GROUP, |tunnel| &tunnel.group);
        let family = std::iter::once(child.0).chain(roster.beside(id, child));
        let taken: Vec<WorkerId> = family.filter_map(|number| Some(self.home(number)?.worker)).collect();
        let serving = self.groups.serving(group).iter().copied();
        serving.filter(|worker| !taken.contains(worker) && !self.homes.is_still(*worker)).collect()
    }

    /// The children that stand for SAs of single workers and could be negotiated now: as many as there are workers without
    /// one, and those that have a worker and no SA yet.
    pub fn wanted_own(&self, roster: &Roster, id: ConnectionId) -> Vec<ChildId> {
        let beside = |child: ChildId| {
            let workers = self.without_own(roster, (id, child)).len();
            let (housed, homeless): (Vec<_>, Vec<_>) =
                roster.beside(id, child).partition(|number| self.home(*number).is_some());
            let usable =
                |number: &ChildNumber| self.is_free(*number) && !self.is_misplaced(roster, id, *number);
            let housed = housed.into_iter().filter(usable);
            housed.chain(homeless.into_iter().take(workers)).map(ChildId).collect::<Vec<_>>()
        };
        roster.children(id).flat_map(|(child, _)| beside(child)).collect()
    }

    /// The SA of a single worker can send: from now on its worker's packets go by it.
    pub fn name_own(&mut self, roster: &Roster, child: ChildNumber) {
        let Some((id, ..)) = roster.child(child) else { return };
        if !self.is_free(child) && self.own.insert(child) {
            self.write_anew(roster, id);
        }
    }

    /// It is about to go: its worker's packets go by the SA of all again.
    pub(super) fn unname(&mut self, roster: &Roster, child: ChildNumber) {
        if self.own.remove(&child)
            && let Some((id, ..)) = roster.child(child)
        {
            self.write_anew(roster, id);
        }
    }

    /// The slots of single workers beside a child, in which SAs are.
    pub(super) fn own_slots(&self, roster: &Roster, (id, child): (ConnectionId, ChildId)) -> Vec<SaRef> {
        let named = roster.beside(id, child).filter(|number| self.own.contains(number));
        named.filter_map(|number| Some(self.home(number)?.sa_ref())).collect()
    }

    /// The workers that have SAs of their own beside a child.
    pub fn own_workers(&self, roster: &Roster, at: (ConnectionId, ChildId)) -> Vec<usize> {
        let mut workers: Vec<usize> =
            self.own_slots(roster, at).into_iter().map(|sa| sa.worker.index()).collect();
        workers.sort_unstable();
        workers
    }

    /// SAs of workers of a tunnel that stand still are forgotten here; the peer is to be told of those that come back.
    pub fn leave_still(&mut self, roster: &Roster, id: ConnectionId) -> Vec<ChildSaId> {
        let is_still =
            |number: &ChildNumber| self.home(*number).is_some_and(|home| self.homes.is_still(home.worker));
        let own = roster.numbers(id).filter(|number| roster.fallback(*number).is_some());
        let strays: Vec<ChildNumber> = own.filter(is_still).collect();
        strays.into_iter().flat_map(|child| self.leave(roster, child)).collect()
    }

    /// Whether a single worker's SA is not needed where it is: its worker has the SA of all, or is not active in the group.
    fn is_misplaced(&self, roster: &Roster, id: ConnectionId, number: ChildNumber) -> bool {
        let group = roster.tunnel(id).map_or(DEFAULT_GROUP, |tunnel| &tunnel.group);
        let of_all = roster.fallback(number).and_then(|fallback| self.home(fallback));
        self.home(number).is_some_and(|home| {
            of_all.is_some_and(|of_all| of_all.worker == home.worker)
                || !self.groups.active(group).contains(&home.worker)
        })
    }

    /// Drains the SAs of single workers beside this child that are not needed where they are: policy names them no more.
    /// The SA of all must send. The peer is to be told of those that come back; what has no SA is free at once.
    pub fn drain_misplaced(&mut self, roster: &Roster, at: (ConnectionId, ChildId)) -> Vec<ChildSaId> {
        let misplaced = roster.beside(at.0, at.1).filter(|number| self.is_misplaced(roster, at.0, *number));
        let misplaced: Vec<ChildNumber> = misplaced.collect();
        let mut drained = Vec::new();
        for number in misplaced {
            if self.is_free(number) {
                self.leave_home(number);
            } else if self.own.contains(&number) {
                // One that is on its way is drained when it has come up.
                self.unname(roster, number);
                drained.extend(self.sas.of(number).filter(|sa| !sa.draining).map(|sa| sa.sa));
            }
        }
        drained
    }

    fn leave(&mut self, roster: &Roster, child: ChildNumber) -> Vec<ChildSaId> {
        self.unname(roster, child);
        let left: Vec<(ChildSaId, Place)> = self.sas.of(child).map(|own| (own.sa, own.place)).collect();
        for (sa, place) in &left {
            self.remember_received(*place, child);
            self.forget(*sa);
        }
        self.leave_home(child);
        left.into_iter().map(|(sa, _)| sa).collect()
    }
}
