//! When a worker stands still: what waited for it is given up, others stand in for it, and its tunnels get
//! homes on those that are active in their groups (docs/design.md "Stalls"). Nothing of their SAs goes along: keys, sequence numbers and replay
//! windows are in the hands of a thread that does not answer and may go on any moment, and no nonce may be used
//! twice under one key (RFC 4106 §3.1). What it still has is removed by commands, the first it finds when it
//! polls again.

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::sa::allocator::NoSlot;
use ravelin_dataplane::sa::shard::{Shard, WorkerId};
use ravelin_dataplane::sa::spi::Place;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::id::{ChildSaId, Ticket};
use ravelin_ike::time::Instant;

use super::{Then, Workers};
use crate::config::plan::Keying;
use crate::tunnel::outbox::Order;
use crate::tunnel::roster::{ChildNumber, Roster};

/// Why a tunnel stays with a worker that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unmoved {
    /// Nobody of its group is there to take it.
    #[error("no other worker polls")]
    NobodyPolls,
    /// Its keys cannot be negotiated anew, and those it has must not be used by two.
    #[error("its keys are manual, and how far their numbers were used only that worker knows")]
    Manual,
    /// The others are full.
    #[error("no other worker has room ({0})")]
    NoRoom(#[from] NoSlot),
}

impl<P: Pool> Workers<P> {
    /// Notes who of the workers stands still. While others poll, such a worker owns no shard: packets for its
    /// SAs are dropped by name, what anybody may do the next does. Alone it keeps its own, to go on with them.
    pub fn set_still(&mut self, is_still: impl Fn(WorkerId) -> bool) {
        let workers: Vec<WorkerId> = self.link.workers().collect();
        let nobody_polls = workers.iter().all(|worker| is_still(*worker));
        for worker in workers {
            self.homes.set_still(worker, is_still(worker));
            let owner = (nobody_polls || !is_still(worker)).then_some(worker);
            if let Some(shard) = Shard::new(worker.0 + 1)
                && self.link.shards().worker(shard) != owner
            {
                self.link.shards().assign(shard, owner);
            }
        }
    }

    /// Whether there is something to be moved, and somebody to take it.
    pub fn can_relieve(&self) -> bool {
        let is_still = |worker| self.homes.is_still(worker);
        self.link.workers().any(is_still) && !self.link.workers().all(is_still)
    }

    /// Forgets the SAs that workers which stand still were to install. The engine's questions about them come
    /// back, with their children: nobody else answers them.
    pub fn give_up(&mut self) -> Vec<(Ticket, ChildNumber)> {
        let is_question = |then: &Then| matches!(then, Then::Answer(..));
        let still = self.link.workers().filter(|worker| self.homes.is_still(*worker));
        let lost: Vec<Then> = still.flat_map(|worker| self.outbox.give_up(worker, is_question)).collect();
        let mut questions = Vec::new();
        for then in lost {
            let Then::Answer(ticket, sa) = then else { continue };
            questions.extend(self.forget(sa).map(|child| (ticket, child)));
        }
        questions
    }

    /// The worker of a tunnel's children, or of some, if it stands still.
    pub fn stalled_under(&self, roster: &Roster, id: ConnectionId) -> Option<WorkerId> {
        let mut workers = roster.children(id).filter_map(|(child, _)| Some(self.home(child.0)?.worker));
        workers.find(|worker| self.homes.is_still(*worker))
    }

    /// Whether a tunnel whose worker stands still could be moved.
    ///
    /// # Errors
    /// Why not.
    pub fn movable(&self, roster: &Roster, id: ConnectionId) -> Result<WorkerId, Unmoved> {
        let tunnel = roster.tunnel(id).ok_or(Unmoved::NobodyPolls)?;
        match &tunnel.keying {
            Keying::Manual(_) => Err(Unmoved::Manual),
            Keying::Ike(_) => {
                self.homes.lightest(self.groups.serving(&tunnel.group)).ok_or(Unmoved::NobodyPolls)
            }
        }
    }

    /// Gives all children of a tunnel whose workers stand still homes on another, without SAs; policy names them when
    /// the tables are published. Says where, and which SAs are to be replaced.
    ///
    /// # Errors
    /// Why it stays.
    pub fn move_tunnel(
        &mut self,
        roster: &Roster,
        id: ConnectionId,
        now: Instant,
    ) -> Result<(WorkerId, Vec<ChildSaId>), Unmoved> {
        let leaves = self.residents(roster, id, |worker| self.homes.is_still(worker));
        self.move_children(roster, id, leaves, now)
    }

    /// The children of a tunnel that live on certain workers.
    pub(super) fn residents(
        &self,
        roster: &Roster,
        id: ConnectionId,
        on: impl Fn(WorkerId) -> bool,
    ) -> Vec<ChildNumber> {
        let lives_there = |child: &ChildNumber| self.home(*child).is_some_and(|home| on(home.worker));
        roster.children(id).map(|(child, _)| child.0).filter(lives_there).collect()
    }

    /// Gives these children of a tunnel homes on another worker, as [`Workers::move_tunnel`] does.
    ///
    /// # Errors
    /// Why they stay.
    pub(super) fn move_children(
        &mut self,
        roster: &Roster,
        id: ConnectionId,
        children: Vec<ChildNumber>,
        now: Instant,
    ) -> Result<(WorkerId, Vec<ChildSaId>), Unmoved> {
        let to = self.movable(roster, id)?;
        let mut replaced = Vec::new();
        for (moved, child) in children.into_iter().enumerate() {
            match self.move_child(child, to, now) {
                Ok(left) => replaced.extend(left),
                Err(stays) if moved == 0 => return Err(stays),
                // The rest of them has its turn at the next look.
                Err(_) => break,
            }
        }
        if !self.shut.contains(&id)
            && let Err(error) = self.open_tunnel(roster, id)
        {
            // The same children were held before.
            tracing::error!("{error}");
        }
        Ok((to, replaced))
    }

    fn move_child(
        &mut self,
        child: ChildNumber,
        to: WorkerId,
        now: Instant,
    ) -> Result<Vec<ChildSaId>, Unmoved> {
        let Some(former) = self.homes.move_to(child, to, now.0)? else { return Ok(Vec::new()) };
        if let (Some(counters), Some(past)) =
            (self.link.outbound(former.worker, former.slot), self.past.get_mut(child as usize))
        {
            past.sent.0 += counters.packets.get();
            past.sent.1 += counters.octets.get();
        }
        let empty = Command::ClearOutbound { slot: former.slot };
        self.outbox.put(former.worker, Order::Plain(empty), Some(Then::Vacate(former)));
        let left: Vec<(ChildSaId, Place)> =
            self.sas.of(child).map(|installed| (installed.sa, installed.place)).collect();
        for (sa, place) in &left {
            self.remember_received(*place, child);
            self.forget(*sa);
        }
        Ok(left.into_iter().map(|(sa, _)| sa).collect())
    }

    /// Forgets an SA that its worker may still have; says whose it was.
    pub(super) fn forget(&mut self, sa: ChildSaId) -> Option<ChildNumber> {
        let installed = self.sas.remove(sa)?;
        self.seen.remove(&sa);
        self.remove_inbound(&installed, None);
        Some(installed.child)
    }

    /// Has a worker stand still: for tests of what others do then.
    #[cfg(feature = "stall")]
    pub fn have_stand_still(&mut self, worker: WorkerId, time: std::time::Duration) {
        self.outbox.put(worker, Order::Plain(Command::StandStill(time)), None);
    }
}
