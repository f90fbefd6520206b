//! What follows when a worker stands still (DP-01; docs/design.md "Stalls"): devices leave out its queues
//! ([`super::spread`]), its tunnels go to the others and their CHILD SAs are replaced, on the IKE SA they have: that one is the loop's and in order, so a rekey
//! (RFC 7296 §1.3.3) gives new keys and SPIs, and its Delete of the old SAs tells the peer. A tunnel that does
//! not get new SAs that way, in time, is closed and called anew. Where nobody can take a tunnel it is down, and
//! says why, until its worker polls again. Nothing moves back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::id::ChildSaId;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use ravelin_ike::want::Answer;

use super::core::Core;
use super::service::Why;
use crate::tunnel::roster::ChildNumber;
use crate::workers::InstallError;

/// SAs whose replacement is begun in a turn: thousands of tunnels that move at once must not keep the loop
/// from those that did not.
const RENEWALS_A_TURN: usize = 64;
/// A tunnel that has no SAs on its new worker after so long, in microseconds, is closed and called anew: a
/// rekey that needs no more than a few retransmissions is done by then.
const PATIENCE_US: u64 = 15_000_000;

/// The code of a tunnel whose worker stands still and which stays with it.
const STALLED: &str = "RV-WORKER-001";
/// The code of a tunnel that another worker has taken over.
const MOVED: &str = "RV-WORKER-002";

/// Tunnels on their way from workers that stand still. Sole owner: the control loop.
#[derive(Debug, Default)]
pub struct Moving {
    /// SAs to be replaced, oldest first.
    renew: VecDeque<ChildSaId>,
    tunnels: BTreeMap<ConnectionId, Move>,
}

#[derive(Debug)]
struct Move {
    from: WorkerId,
    to: WorkerId,
    /// Those that had an SA, and have none yet.
    bare: Vec<ChildNumber>,
    since: u64,
    /// It was closed and is called anew.
    closed: bool,
}

impl Moving {
    /// Whether a tunnel is on its way.
    pub fn has(&self, id: ConnectionId) -> bool {
        self.tunnels.contains_key(&id)
    }

    /// A tunnel is not wanted any more.
    pub fn forget(&mut self, id: ConnectionId) {
        self.tunnels.remove(&id);
    }

    /// Why a tunnel on its way carries nothing yet.
    pub fn why(&self, id: ConnectionId) -> Option<Why> {
        let Move { from, to, .. } = self.tunnels.get(&id).filter(|moving| !moving.closed)?;
        let text = format!("worker {} stood still: its SAs are negotiated anew for worker {}", from.0, to.0);
        Some(Why { code: MOVED, text })
    }
}

impl Why {
    /// Whether nothing is left to be done but to wait for a negotiation.
    pub fn is_passing(&self) -> bool {
        self.code == MOVED
    }
}

impl<P: Pool> Core<P> {
    /// Who of the workers has stopped polling, or begun again; and what follows.
    pub(super) fn feel_pulse(&mut self, now: Instant) {
        let Some(news) = self.pulse.take(self.workers.link(), now.0) else { return };
        for (worker, alive) in &news {
            self.tell_pulse(*worker, *alive);
        }
        let pulse = &self.pulse;
        self.workers.set_still(|worker| pulse.silence(worker, now.0).is_some());
        self.choose_queues();
        self.regroup(now);
        if self.workers.can_relieve() {
            self.relieve(now);
        }
        if !news.is_empty() {
            self.place_own_anew(now);
        }
        self.arrive(now);
    }

    fn tell_pulse(&self, worker: WorkerId, alive: bool) {
        let (number, core) = (worker.0, self.plan.workers.cores.get(worker.index()).unwrap_or(&0));
        let (what, did) = match alive {
            true => ("worker-alive", "polls again"),
            false => ("worker-stalled", "does not poll: its tunnels stand still or move"),
        };
        if !alive {
            tracing::error!("worker {number} on CPU {core} does not poll");
        }
        self.journal.note("", what, format!("worker {number} on CPU {core} {did}"));
    }

    /// Takes tunnels off the workers that stand still.
    fn relieve(&mut self, now: Instant) {
        let mut given_up = BTreeSet::new();
        for (ticket, child) in self.workers.give_up() {
            given_up.insert(child);
            let answer = Answer::Install(Err(InstallError::Stalled.into()));
            self.engine.handle_answer(now, ticket, answer);
        }
        let stalled = |(id, _)| Some((id, self.workers.stalled_under(&self.roster, id)?));
        let stalled: Vec<_> = self.roster.tunnels().filter_map(stalled).collect();
        let mut moved = false;
        for (id, from) in stalled {
            moved |= self.move_tunnel(now, id, from, &given_up);
        }
        if moved {
            self.workers.publish_tables();
        }
    }

    /// Moves a tunnel, if that is possible; says whether.
    fn move_tunnel(
        &mut self,
        now: Instant,
        id: ConnectionId,
        from: WorkerId,
        given_up: &BTreeSet<ChildNumber>,
    ) -> bool {
        let mut bare = self.carried(id, given_up);
        let Ok((to, replaced)) = self.workers.move_tunnel(&self.roster, id, now) else { return false };
        let text = format!("from worker {}, which stands still, to worker {}", from.0, to.0);
        self.journal.note(self.roster.name(id), "tunnel-moved", text);
        self.moving.renew.extend(replaced);
        // Its new worker may stand still as well, before it has arrived.
        bare.extend(self.moving.tunnels.remove(&id).into_iter().flat_map(|former| former.bare));
        if !bare.is_empty() {
            let since = now.0;
            self.moving.tunnels.insert(id, Move { from, to, bare, since, closed: false });
        }
        self.retries.reset(id);
        true
    }

    /// The children of a tunnel that had an SA or were about to.
    fn carried(&self, id: ConnectionId, given_up: &BTreeSet<ChildNumber>) -> Vec<ChildNumber> {
        let connecting = self.status.tunnel(id).is_some_and(|status| status.connecting);
        let carried =
            |child: &ChildNumber| connecting || given_up.contains(child) || !self.workers.is_free(*child);
        self.roster.children(id).map(|(child, _)| child.0).filter(carried).collect()
    }

    /// Begins to replace the SAs of tunnels that have moved.
    pub(super) fn renew(&mut self, now: Instant) {
        let some = RENEWALS_A_TURN.min(self.moving.renew.len());
        for child in self.moving.renew.drain(..some) {
            self.engine.handle_command(now, Command::RekeyChild { child });
        }
    }

    /// Which of the tunnels that have moved carry again, and which do not come to it.
    fn arrive(&mut self, now: Instant) {
        let (workers, journal, roster) = (&self.workers, &self.journal, &self.roster);
        let mut overdue = Vec::new();
        self.moving.tunnels.retain(|id, moving| {
            moving.bare.retain(|child| workers.is_free(*child));
            let waited = now.0.saturating_sub(moving.since);
            if roster.tunnel(*id).is_none() {
                return false;
            }
            if moving.bare.is_empty() {
                let text = format!("worker {} has its SAs after {} ms", moving.to.0, waited / 1000);
                journal.note(roster.name(*id), "tunnel-arrived", text);
            } else if waited > PATIENCE_US && !std::mem::replace(&mut moving.closed, true) {
                overdue.push(*id);
            }
            !moving.bare.is_empty()
        });
        for connection in overdue {
            let text = format!("no new SAs after {} s: closed, and called anew", PATIENCE_US / 1_000_000);
            self.journal.note(self.roster.name(connection), "tunnel-overdue", text);
            self.engine.handle_command(now, Command::Terminate { connection });
            self.retries.reset(connection);
        }
    }

    /// Why a tunnel carries nothing, if that is for its worker.
    pub(super) fn standstill(&self, id: ConnectionId) -> Option<Why> {
        let Some(worker) = self.workers.stalled_under(&self.roster, id) else { return self.moving.why(id) };
        let silent = self.pulse.silence(worker, self.now().0)?;
        let core = self.plan.workers.cores.get(worker.index()).copied().unwrap_or_default();
        let told = super::pulse::told(worker, core, silent);
        let text = match self.workers.movable(&self.roster, id) {
            Err(stays) => format!("{told}; {stays}"),
            // It would have moved in the turn that found its worker still.
            Ok(_) => format!("{told}; no other worker has room for it"),
        };
        Some(Why { code: STALLED, text })
    }
}
