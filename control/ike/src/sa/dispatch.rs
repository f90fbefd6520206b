//! Where messages, answers and due times go in a tunnel that is up, and what is begun when the window is free.

use super::child_deal::{Aim, Intent};
use super::children::ChildState;
use super::ike_sa::Opened;
use super::line::{Own, Peer, Standing};
use super::parts::Parts;
use super::tunnel::Tunnel;
use super::turn::Turn;
use super::up::Task;
use crate::config::{ChildId, Resource};
use crate::context::Pending;
use crate::error::{Failure, Side};
use crate::want::{Answer, AnswerError, Role};
use crate::window::{Incoming, Schedule};
use crate::wire::{ExchangeType, Header, Message, Notify, NotifyType, Outer, ParseError, Payload, Protocol};
use std::net::SocketAddr;

impl Turn<'_, '_> {
    /// A datagram for this IKE SA, from these addresses.
    pub(crate) fn datagram(&mut self, outer: Outer, local: SocketAddr, remote: SocketAddr) {
        if let Outer::Clear(message) = &outer {
            self.ctx.out.accounts.step.ignored += 1;
            return self.unprotected(message, (local, remote));
        }
        match self.line.sa.open(self.ctx, outer) {
            Opened::Message(unsealed) if self.is_from_peer(&unsealed.message.header) => {
                self.message(unsealed.message, local, remote)
            }
            Opened::Malformed(header, error) if self.is_from_peer(&header) => {
                self.malformed(&header, error, local, remote)
            }
            Opened::Repetition => {
                let last = self.line.sa.window.answering().wrapping_sub(1);
                self.repeat_reply(last, local, remote);
            }
            _ => {}
        }
    }

    /// The I flag tells who the sender was originally; what we sent ourselves must not come back to us.
    fn is_from_peer(&self, header: &Header) -> bool {
        header.flags.initiator == (self.line.sa.role == Role::Responder)
    }

    /// Nothing unprotected is believed (RFC 7296 §2.21.4) but a crash token. That the peer does not know the IKE SA of our request is a
    /// hint and no more: the request is given up after the tries of dead peer detection, unless one is answered.
    fn unprotected(&mut self, message: &Message, from: (SocketAddr, SocketAddr)) {
        let (header, sa, path) = (&message.header, &self.line.sa, &self.common.path);
        let of_peer = self.is_from_peer(header) && from == (path.local, path.remote);
        let answers = header.flags.response && sa.window.awaits_reply(header.message_id);
        let spis = (header.initiator_spi, header.responder_spi) == (sa.initiator_spi, sa.responder_spi);
        if spis && self.is_proven_crash(message) {
            return self.peer_crashed();
        }
        if of_peer && answers && spis && message.says(NotifyType::InvalidIkeSpi) {
            let policy = self.current_config().dead_peer;
            let schedule = policy.map(Schedule::of_probe);
            schedule.into_iter().for_each(|schedule| self.line.sa.window.doubt(self.ctx.now, schedule));
        }
    }

    fn message(&mut self, message: Message, local: SocketAddr, remote: SocketAddr) {
        self.common.heard = self.ctx.now;
        let (id, exchange) = (message.header.message_id, message.header.exchange);
        if message.header.flags.response {
            if self.line.sa.window.awaits_reply(id) && self.expects(exchange) && !self.must_settle_first() {
                self.heard_by(local, remote);
                self.line.sa.window.reply_accepted();
                self.response(message);
            }
            return;
        }
        match self.line.sa.window.classify(id) {
            Incoming::New => {
                self.line.sa.window.take_up();
                self.follow_peer(local, remote);
                self.line.reply_path = self.common.path_to(local, remote);
                self.peer_request(exchange, message);
            }
            Incoming::Answered(_) => self.repeat_reply(id, local, remote),
            Incoming::InProgress | Incoming::OutOfWindow => {}
        }
    }

    fn repeat_reply(&mut self, id: u32, local: SocketAddr, remote: SocketAddr) {
        let path = self.common.path_to(local, remote);
        if let Incoming::Answered(_) = self.line.sa.window.classify(id) {
            self.line.sa.shrink_reply(self.ctx, self.common, &path);
            self.line.sa.repeat_reply(self.ctx, &path);
        }
    }

    /// An authentic message that does not parse (RFC 7296 §2.21.3).
    fn malformed(&mut self, header: &Header, error: ParseError, local: SocketAddr, remote: SocketAddr) {
        let (id, is_critical) =
            (header.message_id, matches!(error, ParseError::UnsupportedCriticalPayload { .. }));
        let failure = match error {
            ParseError::UnsupportedCriticalPayload { payload } => Failure::CriticalPayload(payload),
            _ => Failure::Syntax("a protected message does not parse"),
        };
        if header.flags.response {
            if self.line.sa.window.awaits_reply(id) {
                self.up.ended = Some(failure);
            }
        } else if self.line.sa.window.classify(id) == Incoming::New {
            let (kind, data) = error.notify();
            self.line.sa.window.take_up();
            self.line.reply_path = self.common.path_to(local, remote);
            self.reply(header.exchange, vec![Payload::Notify(Notify::new(kind, data))]);
            if !is_critical {
                self.up.ended = Some(failure);
            }
        }
    }

    /// "implementations ... SHOULD send ... to the IP address and port from the last valid packet received", if the
    /// peer is behind a NAT and we are not (RFC 7296 §2.23). With MOBIKE "the host not behind a NAT MUST NOT use these
    /// dynamic updates for IKEv2 packets" (RFC 4555 §3.8): the peer says by itself that it moved.
    fn follow_peer(&mut self, local: SocketAddr, remote: SocketAddr) {
        let path = &self.common.path;
        if path.remote_behind_nat
            && !path.mobike
            && !self.common.local_behind_nat
            && path.remote != remote
            && path.local == local
        {
            self.up.peer_moved(self.ctx, self.common, remote);
        }
    }

    /// The exchange type our outstanding request has.
    fn expects(&self, exchange: ExchangeType) -> bool {
        match &self.line.own {
            Some(Own::ChildReply(_) | Own::IkeReply(_)) => exchange == ExchangeType::CreateChildSa,
            Some(Own::FollowupReply(_)) => exchange == ExchangeType::IkeFollowupKe,
            Some(
                Own::ChildDeleted(_)
                | Own::IkeDeleted
                | Own::Alive
                | Own::Updated(_)
                | Own::Found
                | Own::Routable(_)
                | Own::Announced
                | Own::Ticket
                | Own::Redirect(_),
            ) => exchange == ExchangeType::Informational,
            Some(Own::Nothing) => true,
            _ => false,
        }
    }

    /// Whether the reply is left to its repetition: the peer's simultaneous rekey is still being answered, and who
    /// wins can only be decided after that.
    fn must_settle_first(&self) -> bool {
        self.line.peer.is_some()
            && match &self.line.own {
                Some(Own::ChildReply(own)) => own.rival.is_unsettled(),
                Some(Own::IkeReply(own)) => own.rival.is_unsettled(),
                _ => false,
            }
    }

    fn response(&mut self, message: Message) {
        let own = self.line.own.take();
        let parts = match Parts::of(message) {
            Ok(parts) => parts,
            Err(failure) => return self.up.ended = Some(failure),
        };
        if matches!(own, Some(Own::ChildReply(_) | Own::IkeReply(_) | Own::FollowupReply(_))) {
            let (error, gap) = (parts.error().map(|error| error.notify_type), self.ctx.config.retry * 4);
            self.line.busy.answered(self.ctx.now, error, gap);
        }
        if self.line.busy.is_without_end() && own.as_ref().is_some_and(|own| !matches!(own, Own::IkeDeleted))
        {
            self.line.own = own;
            return self.close(Failure::BusyWithoutEnd);
        }
        match own {
            Some(Own::ChildReply(state)) => self.own_child_reply(*state, parts),
            Some(Own::IkeReply(state)) => self.own_ike_reply(*state, parts),
            Some(Own::FollowupReply(state)) => self.own_followup_reply(*state, parts),
            Some(Own::ChildDeleted(state)) => self.own_child_deleted(state),
            Some(Own::IkeDeleted) => self.own_ike_deleted(),
            Some(Own::Alive) => {
                self.ctx.out.accounts.step.probes_answered += 1;
                self.note_how_seen(&parts);
            }
            Some(Own::Updated(state)) => self.own_updated(state, &parts),
            Some(Own::Found) => self.own_found(),
            Some(Own::Routable(state)) => self.own_routable(state, &parts),
            Some(Own::Ticket) => self.own_ticket_given(&parts),
            Some(Own::Redirect(to)) => self.own_redirect_heard(to),
            _ => {}
        }
    }

    fn peer_request(&mut self, exchange: ExchangeType, message: Message) {
        if self.line.is_closed() {
            return self.reply(exchange, Vec::new());
        }
        let parts = match Parts::of(message) {
            Ok(parts) => parts,
            Err(failure) => {
                self.reply(exchange, vec![Payload::Notify(Notify::new(failure.notify(), Vec::new()))]);
                return self.up.ended = Some(failure);
            }
        };
        match exchange {
            ExchangeType::CreateChildSa => {
                let about_ike = parts.sa.as_ref().is_some_and(|sa| {
                    sa.proposals.first().is_some_and(|proposal| proposal.protocol == Protocol::Ike)
                });
                if about_ike { self.peer_ike_request(parts) } else { self.peer_child_request(parts) }
            }
            ExchangeType::IkeFollowupKe => self.peer_followup_request(parts),
            ExchangeType::Informational => {
                // Anything but its end on a candidate says that the peer has decided for it.
                if matches!(self.line.standing, Standing::Candidate { .. }) && !parts.deletes_ike() {
                    self.adopt_candidate();
                }
                self.peer_informational(parts);
            }
            other => {
                let failure = Failure::Syntax("an exchange that has no place here");
                self.reply(other, vec![Payload::Notify(Notify::new(failure.notify(), Vec::new()))]);
            }
        }
    }

    /// An answer to one of this line's questions; given back if it is to none.
    pub(crate) fn answer(&mut self, pending: Pending, answer: Answer) -> Option<Answer> {
        if self.line.own.as_ref().and_then(Own::pending) == Some(pending) {
            match self.line.own.take() {
                Some(Own::ChildSpi(state)) => self.own_child_spi(*state, answer),
                Some(Own::ChildPublic(state)) => self.own_child_public(*state, answer),
                Some(Own::ChildSecret(state)) => self.own_child_secret(*state, answer),
                Some(Own::ChildInstall(state)) => self.own_child_installed(state, answer),
                Some(Own::IkePublic(state)) => self.own_ike_public(*state, answer),
                Some(Own::IkeSecret(state)) => self.own_ike_secret(*state, answer),
                Some(Own::FollowupPublic(state)) => self.own_followup_public(*state, answer),
                Some(Own::FollowupSecret(state)) => self.own_followup_secret(*state, answer),
                other => self.line.own = other,
            }
            return None;
        }
        if self.line.peer.as_ref().map(Peer::pending) == Some(pending) {
            match self.line.peer.take() {
                Some(Peer::ChildSpi(state)) => self.peer_child_spi(*state, answer),
                Some(Peer::ChildSecret(state)) => self.peer_child_secret(*state, answer),
                Some(Peer::ChildInstall(state)) => self.peer_child_installed(*state, answer),
                Some(Peer::IkeSecret(state)) => self.peer_ike_secret(*state, answer),
                Some(Peer::FollowupSecret(state)) => self.peer_followup_secret(*state, answer),
                None => {}
            }
            return None;
        }
        Some(answer)
    }

    /// Everything of this line that is due.
    pub(crate) fn timeout(&mut self) {
        let now = self.ctx.now;
        self.line.sa.expire_fragments(now);
        // A question that is not answered in time is one answered with an error.
        for pending in
            [self.line.own.as_ref().and_then(Own::pending), self.line.peer.as_ref().map(Peer::pending)]
        {
            if let Some(pending) = pending.filter(|pending| pending.until <= now) {
                let late = self.late_answer(pending);
                self.answer(pending, late);
            }
        }
        self.awaited_due();
        if let Some((tries, waited)) = self.resend() {
            self.unanswered(tries, waited);
        }
        if let Some(packets) = self.line.sa.window.withheld_reply(now) {
            self.ctx.send(&self.line.reply_path, packets);
        }
        self.standing_due();
    }

    fn late_answer(&self, pending: Pending) -> Answer {
        let waited = self.ctx.config.answer_timeout;
        let text = format!("no answer to want {} within {waited:?}", pending.ticket.0);
        let error = AnswerError { code: "RV-LOCAL-001".into(), text };
        let own = self.line.own.as_ref().filter(|own| own.pending() == Some(pending));
        match (own, &self.line.peer) {
            (Some(Own::ChildSpi(_)), _) => Answer::AllocateSpi(Err(error)),
            (Some(Own::ChildInstall(_)), _) => Answer::Install(Err(error)),
            (Some(_), _) => Answer::KeyAgreement(Err(error)),
            (None, Some(Peer::ChildSpi(_))) => Answer::AllocateSpi(Err(error)),
            (None, Some(Peer::ChildInstall(_))) => Answer::Install(Err(error)),
            (None, _) => Answer::KeyAgreement(Err(error)),
        }
    }

    /// The peer did not answer our request after all repetitions.
    fn unanswered(&mut self, tries: u32, waited: std::time::Duration) {
        let probing = matches!(self.line.own, Some(Own::Alive));
        if !self.line.is_current() || self.up.is_closing() {
            return self.close_line();
        }
        let silence = self.ctx.now.since(self.common.heard);
        self.ctx.out.accounts.step.probes_unanswered += u64::from(probing);
        let refused = self.common.mobility.refused.failure();
        self.up.ended = Some(match &self.line.own {
            Some(Own::Alive) => Failure::PeerDead(silence),
            Some(Own::Found) => refused.unwrap_or(Failure::PeerDead(silence)),
            _ => Failure::NoReply { tries, waited },
        });
    }

    fn standing_due(&mut self) {
        let now = self.ctx.now;
        match self.line.standing {
            Standing::Current => {
                if self.line.sa.hard_at <= now {
                    self.line.sa.hard_at = crate::time::Instant(u64::MAX);
                    self.line.sa.soft_at = self.line.sa.hard_at;
                    self.close(Failure::Expired);
                } else if self.line.sa.soft_at <= now {
                    self.line.sa.soft_at = crate::time::Instant(u64::MAX);
                    if !self.current_config().responder_only {
                        self.up.tasks.push_back(Task::RekeyIke);
                    }
                }
            }
            Standing::Candidate { until } if until <= now => self.close_line(),
            // The peer did not delete what it had to.
            Standing::Retiring { until } if until <= now => {
                if self.line.delete {
                    self.close_line()
                } else {
                    self.line.delete = true
                }
                if let Standing::Retiring { until } = &mut self.line.standing {
                    *until = now + super::up::PEERS_DELETE;
                }
            }
            _ => {}
        }
    }

    /// Winds the tunnel up, from this line.
    pub(crate) fn close(&mut self, reason: Failure) {
        self.refuse_peer();
        self.line.abandon(self.ctx);
        self.line.delete = true;
        self.up.close(self.ctx, self.common, reason);
    }

    /// Begins what can be begun on this line.
    pub(crate) fn pump(&mut self) {
        if self.line.own.is_some()
            || self.line.sa.window.is_waiting()
            || !self.up.settled
            || self.line.is_closed()
        {
            return;
        }
        if self.line.delete {
            return self.start_ike_delete();
        }
        if !self.line.is_current()
            || self.up.is_closing()
            || self.line.peer.as_ref().is_some_and(Peer::is_about_ike)
            || self.line.awaits_ike()
        {
            return;
        }
        self.run_errand();
        let mut put_off = Vec::new();
        while self.line.own.is_none() && self.up.ended.is_none() {
            let Some(task) = self.up.tasks.pop_front() else { break };
            put_off.extend(self.begin(task));
        }
        put_off.into_iter().rev().for_each(|task| self.up.tasks.push_front(task));
    }

    /// Begins a task; yields it if its time has not come.
    fn begin(&mut self, task: Task) -> Option<Task> {
        match task {
            // What takes the place of all of this is on its way.
            Task::CreateChild(_) | Task::RekeyChild(_) | Task::RekeyIke if self.has_heir() => {
                return Some(task);
            }
            Task::CreateChild(id) if self.line.is_made_by_peer(Aim::New(id)) => return Some(task),
            Task::CreateChild(id) => self.create_child(id),
            Task::RekeyChild(id) if self.line.is_made_by_peer(Aim::Rekey(id)) => return Some(task),
            Task::RekeyChild(id) => {
                let config = self.current_config();
                let old = self.up.children.get(id).filter(|child| child.state == ChildState::Live)?;
                // A child no longer configured is not renewed.
                if let Some(child) = config.child(old.config) {
                    let (local, remote) = (old.local.clone(), old.remote.clone());
                    self.start_child(Intent::rekey(child.clone(), id, local, remote));
                }
            }
            Task::DeleteChild { child, reason } => self.start_child_delete(child, reason),
            Task::DeleteForeign { spi_in } => self.start_foreign_delete(spi_in),
            Task::RekeyIke if self.line.peer.is_some() || !self.line.awaited.is_empty() => {
                return Some(Task::RekeyIke);
            }
            Task::RekeyIke => self.start_ike_rekey(),
            Task::Probe => self.start_probe(),
            Task::TellInvalidSpi { spi } => self.tell_invalid_spi(spi),
            Task::AnnounceAddresses => self.announce_addresses(),
            Task::SendCrashToken => self.send_crash_token(),
            Task::RequestTicket => self.request_ticket(),
            Task::SendAuthLifetime => self.send_auth_lifetime(),
            Task::Redirect(to) => self.start_redirect(to),
            Task::Leave(to) => {
                self.line.delete = true;
                self.up.close(self.ctx, self.common, Failure::RedirectedPeer(to));
            }
        }
        None
    }

    fn has_heir(&self) -> bool {
        let heir = self.common.term.heir.and_then(|heir| self.ctx.others.tunnel(heir));
        heir.is_some_and(Tunnel::is_established)
    }

    /// Begins a child that is configured and has no SA, as far as our own limit goes.
    fn create_child(&mut self, id: ChildId) {
        let config = self.current_config();
        let Some(child) = config.child(id).filter(|_| !self.up.children.has(id)) else { return };
        if let Resource::One { fallback } = child.resource {
            return self.create_for_resource(child, fallback);
        }
        match self.up.children.counted() < config.max_children {
            true => {
                let packet = self.common.packets.take(id);
                self.start_child(Intent::new_child(child.clone(), packet));
            }
            false => self.report_child_failure(Some(id), None, Failure::NoAdditionalSas(Side::Ours)),
        }
    }
}
