//! INFORMATIONAL: deletes and probes, ours and the peer's (RFC 7296 §1.4, §2.4, §2.25).

use super::children::ChildState;
use super::line::{Own, Standing};
use super::parts::Parts;
use super::reauthentication;
use super::turn::Turn;
use super::up::{PEERS_DELETE, Task};
use crate::collision::{Rival, Winner};
use crate::context::Aside;
use crate::error::Failure;
use crate::id::{ChildSaId, IkeId};
use crate::want::{Role, WantKind};
use crate::window::Schedule;
use crate::wire::{Delete, ExchangeType, NotifyType, Payload, Protocol};

/// The reply to our Delete of a CHILD_SA.
pub(crate) struct ExpectChildDeleted {
    deleted: Deleted,
}

/// What was deleted.
enum Deleted {
    /// One of ours.
    Child { child: ChildSaId, reason: Failure },
    /// One that only the peer had; its inbound SPI is still reserved.
    Foreign { spi_in: u32 },
}

impl ExpectChildDeleted {
    /// The SPI still reserved, if any.
    pub(crate) fn foreign(&self) -> Option<u32> {
        match self.deleted {
            Deleted::Foreign { spi_in } => Some(spi_in),
            Deleted::Child { .. } => None,
        }
    }
}

impl Turn<'_, '_> {
    /// Asks the peer to delete a CHILD_SA: one Delete payload with the SPI we receive on.
    pub(crate) fn start_child_delete(&mut self, child: ChildSaId, reason: Failure) {
        let Some(found) = self.up.children.get_mut(child) else { return };
        let replaced = match found.state {
            ChildState::Draining { .. } => return,
            ChildState::Closing { replaced } => replaced,
            // An answer to the peer, who is rekeying it, is in the works; its new SA makes this one obsolete.
            ChildState::Replaced { .. } => true,
            ChildState::Live => reason == Failure::Superseded,
            ChildState::Installing | ChildState::Redundant => false,
        };
        found.state = ChildState::Closing { replaced };
        let spi = found.spi_in;
        // Whoever wants the successor gone does not want its predecessor back.
        if let Some(old) = self.up.children.replaced_by(child) {
            self.up.tasks.push_front(Task::DeleteChild { child: old, reason: reason.clone() });
        }
        self.send_child_delete(spi, Deleted::Child { child, reason });
    }

    pub(crate) fn start_foreign_delete(&mut self, spi_in: u32) {
        self.send_child_delete(spi_in, Deleted::Foreign { spi_in });
    }

    fn send_child_delete(&mut self, spi: u32, deleted: Deleted) {
        let payloads = vec![Payload::Delete(Delete::Child { protocol: Protocol::Esp, spis: vec![spi] })];
        match self.request(ExchangeType::Informational, payloads) {
            Ok(()) => self.line.own = Some(Own::ChildDeleted(ExpectChildDeleted { deleted })),
            Err(failure) => self.up.ended = Some(failure),
        }
    }

    /// The peer has deleted it, or had already: now it goes here, at once or after its drain time.
    pub(crate) fn own_child_deleted(&mut self, state: ExpectChildDeleted) {
        let (child, reason) = match state.deleted {
            Deleted::Foreign { spi_in } => return self.ctx.order(WantKind::ReleaseSpi(spi_in)),
            Deleted::Child { child, reason } => (child, reason),
        };
        match self.up.children.get(child).map(|old| old.state) {
            Some(ChildState::Closing { replaced: true }) => {
                self.up.drain_child(self.ctx, self.common, child);
            }
            _ => {
                self.up.drop_child(self.ctx, self.common, child, reason);
            }
        }
    }

    /// Deletes this IKE SA.
    pub(crate) fn start_ike_delete(&mut self) {
        match self.request(ExchangeType::Informational, vec![Payload::Delete(Delete::Ike)]) {
            Ok(()) => self.line.own = Some(Own::IkeDeleted),
            Err(_) => self.close_line(),
        }
    }

    /// Asks whether the peer is alive: an empty request (RFC 7296 §2.4), or how it sees us.
    pub(crate) fn start_probe(&mut self) {
        let Some(policy) = self.current_config().dead_peer else { return };
        let schedule = Schedule::of_probe(policy);
        let payloads = self.ask_how_seen();
        if self.request_by(ExchangeType::Informational, payloads, schedule).is_ok() {
            self.ctx.out.accounts.step.probes_sent += 1;
            self.line.own = Some(Own::Alive);
        }
    }

    /// This IKE SA is gone, but for repetitions.
    pub(crate) fn close_line(&mut self) {
        self.leave_errand();
        self.withdraw_ticket();
        self.line.abandon(self.ctx);
        self.line.own = None;
        self.line.delete = false;
        // Nobody answers any more; a request left waiting would call the line due for ever.
        self.line.sa.window.withdraw();
        self.line.standing = Standing::Closed { until: self.ctx.now + self.ctx.config.linger };
    }

    /// The peer's INFORMATIONAL request.
    pub(crate) fn peer_informational(&mut self, parts: Parts) {
        if parts.deletes_ike() || self.is_given_up(&parts) {
            return self.peer_deletes_ike(&parts);
        }
        self.ctx.out.accounts.step.probes_received += u64::from(parts.is_probe());
        self.line.take_crash_token(&parts);
        reauthentication::heed(self.ctx, self.common, &parts);
        self.heed_invalid_spi(&parts);
        if let Some(notify) = parts.notify(NotifyType::Redirect) {
            return self.peer_redirects(notify);
        }
        let spis: Vec<u32> = parts.deleted_spis().collect();
        let deleted: Vec<u32> = spis.into_iter().filter_map(|spi| self.peer_deletes_child(spi)).collect();
        let mut payloads = Vec::new();
        if !deleted.is_empty() {
            payloads.push(Payload::Delete(Delete::Child { protocol: Protocol::Esp, spis: deleted }));
        }
        payloads.extend(self.peer_ticket(&parts));
        payloads.extend(self.peer_mobility(&parts));
        self.reply(ExchangeType::Informational, payloads);
    }

    /// Yields our inbound SPI for the reply, unless our own Delete of it is under way: "If a peer receives a
    /// request to delete a Child SA that it is currently trying to close, it SHOULD reply without a Delete payload"
    /// (RFC 7296 §2.25.1).
    fn peer_deletes_child(&mut self, spi: u32) -> Option<u32> {
        let Some(id) = self.up.children.by_peer_spi(spi) else {
            self.peer_deletes_unknown(spi);
            return None;
        };
        let child = self.up.children.get_mut(id)?;
        let spi_in = child.spi_in;
        match child.state {
            ChildState::Closing { .. } | ChildState::Draining { .. } => return None,
            ChildState::Replaced { by } => {
                self.up.drain_child(self.ctx, self.common, id);
                self.peer_rekey_done(id, by);
            }
            ChildState::Installing | ChildState::Live | ChildState::Redundant => {
                self.rival_deleted(id);
                self.successor_withdrawn(id);
                self.up.drop_child(self.ctx, self.common, id, Failure::PeerDeleted);
            }
        }
        Some(spi_in)
    }

    /// The SA may be the one that our request, unanswered here, made there.
    fn peer_deletes_unknown(&mut self, spi: u32) {
        match self.line.own.take() {
            Some(Own::ChildReply(mut state)) => {
                state.note_deleted(spi);
                self.line.own = Some(Own::ChildReply(state));
            }
            Some(Own::ChildSecret(state)) if state.pact.makes(spi) => {
                self.own_child_withdrawn(state.pact.draft)
            }
            Some(other) if other.child_pact().is_some_and(|pact| pact.makes(spi)) => {
                self.own_followup_withdrawn(other);
            }
            other => self.line.own = other,
        }
    }

    /// The peer deleted the SA it had rekeyed: its new one is in use. "the responder ... the old SA's Delete" is the
    /// latest moment to send on the new one.
    /// Unless we have rekeyed that in turn, and send on its successor.
    fn peer_rekey_done(&mut self, old: ChildSaId, new: ChildSaId) {
        if self.up.children.get(new).is_some_and(|new| new.state.may_send()) {
            self.ctx.order(WantKind::Activate(new));
            self.up.announce(self.ctx, self.common, new);
        }
        if let Some(Own::ChildReply(own)) = &mut self.line.own
            && own.draft.intent.rekey == Some(old)
        {
            own.rival = Rival::Done;
        }
    }

    /// The peer takes back what it made while our own request for the same is under way.
    fn rival_deleted(&mut self, id: ChildSaId) {
        if let Some(rival) = self.line.own.as_mut().and_then(Own::child_rival) {
            rival.lose(id);
        }
    }

    /// The peer takes back a CHILD_SA that was to replace another one, which so lives on. Whether there is one.
    pub(crate) fn successor_withdrawn(&mut self, successor: ChildSaId) -> bool {
        let Some(old) = self.up.children.replaced_by(successor) else { return false };
        if let Some(child) = self.up.children.get_mut(old) {
            child.state = ChildState::Live;
        }
        let own_rekey = match &mut self.line.own {
            Some(Own::ChildReply(own)) if own.draft.intent.rekey == Some(old) => {
                own.rival = Rival::None;
                true
            }
            _ => false,
        };
        if !own_rekey {
            self.rekey_later(Some(old));
        }
        true
    }

    /// Who called does not believe us, and need not say more than that: "the notification MAY be returned in a separate
    /// INFORMATIONAL exchange, usually with no other payloads" (RFC 7296 §2.21.2).
    fn is_given_up(&self, parts: &Parts) -> bool {
        self.common.role == Role::Responder && parts.has(NotifyType::AuthenticationFailed)
    }

    fn peer_deletes_ike(&mut self, parts: &Parts) {
        match self.successor() {
            Some(_) => self.reply_late(),
            None => self.reply(ExchangeType::Informational, Vec::new()),
        }
        let reason = match parts.error().map(|notify| notify.notify_type) {
            Some(NotifyType::AuthenticationFailed) => Failure::AuthRefused,
            _ => self.common.sent_away.clone().map_or(Failure::PeerDeleted, Failure::RedirectedPeer),
        };
        let was_current = self.line.is_current();
        let own = self.line.own.take();
        if was_current && !self.up.is_closing() {
            match own {
                // The peer uses the IKE SA that our rekey makes; all that is missing is our half of its keys.
                Some(own) if own.lacks_our_half() => {
                    self.close_line();
                    self.line.own = Some(own);
                    return;
                }
                own => {
                    self.line.own = own;
                    self.close_line();
                    if self.up.lines.iter().any(|line| matches!(line.standing, Standing::Candidate { .. })) {
                        return self.settle_candidate(Winner::Theirs);
                    }
                    return self.peer_ended(reason);
                }
            }
        }
        self.line.own = own;
        self.close_line();
    }

    /// The peer is done with this tunnel: what takes its place, if anything does, is told first.
    fn peer_ended(&mut self, reason: Failure) {
        let ike = self.common.id;
        let reason = self.common.term.heir.map_or(reason, |_| Failure::Reauthenticated);
        match self.successor() {
            Some(_) => self.ctx.out.asides.push(Aside::HandOver { ike, reason }),
            None => self.up.report_end(self.ctx, self.common, reason),
        }
    }

    /// What goes on serving the peer when this tunnel ends.
    fn successor(&self) -> Option<IkeId> {
        reauthentication::successor(self.common, Some(self.up.proven.identity()), self.ctx.others)
    }

    /// The peer takes out its SAs as soon as it has the answer, which may overtake what we sent by them: ESP takes other
    /// paths, and waits in other queues, than IKE.
    fn reply_late(&mut self) {
        let (wait, path) = (self.ctx.config.passage, self.line.reply_path);
        let sent = self.line.sa.reply_after(wait, self.ctx, self.common, &path, ExchangeType::Informational);
        if let Err(failure) = sent {
            self.up.ended = Some(failure);
        }
    }

    /// The reply to our Delete of this IKE SA came, or will not come.
    pub(crate) fn own_ike_deleted(&mut self) {
        self.close_line();
    }

    /// What is due for a CHILD_SA at this time.
    pub(crate) fn child_due(&mut self, id: ChildSaId) {
        let now = self.ctx.now;
        let renews = !self.current_config().responder_only;
        let Some(child) = self.up.children.get_mut(id) else { return };
        let (state, hard) = (child.state, child.hard_at <= now);
        match state {
            ChildState::Live | ChildState::Replaced { .. } | ChildState::Redundant if hard => {
                child.hard_at = now + PEERS_DELETE;
                self.up.tasks.push_back(Task::DeleteChild { child: id, reason: Failure::Expired });
            }
            ChildState::Installing | ChildState::Closing { .. } if hard => child.hard_at = now + PEERS_DELETE,
            ChildState::Live if child.soft_at.is_some_and(|soft| soft <= now) => {
                child.soft_at = None;
                self.up.tasks.extend(renews.then_some(Task::RekeyChild(id)));
            }
            _ => {}
        }
    }
}
