//! We ask for a CHILD_SA, new or as successor of another (RFC 7296 §1.3.1, §1.3.3, §2.8).
//!
//! [`ExpectSpi`] -> ([`ExpectPublicValue`]) -> [`ExpectReply`] -> ([`ExpectSharedSecret`] -> ([`super::own_followup`])) ->
//! [`ExpectInstall`]. Only then is the old SA deleted: make before break.

use super::child_deal::{self, Accepted, Aim, Intent};
use super::children::ChildState;
use super::line::Own;
use super::mode;
use super::own_followup::{Purpose, additional_key_exchange};
use super::parts::Parts;
use super::turn::{Made, Turn};
use super::up::Task;
use crate::collision::{Rival, Winner};
use crate::config::{ChildId, Group};
use crate::context::Pending;
use crate::crypto::negotiate::ChildExchange;
use crate::crypto::{EspKeyPair, Nonces, SharedSecrets};
use crate::error::{Failure, Side};
use crate::event::Event;
use crate::id::ChildSaId;
use crate::key_agreement::{KeyAgreement, Seed, Task as KeyTask};
use crate::recorder::Attempt;
use crate::want::{AllocateSpi, Answer, OutboundStart, Role, WantKind};
use crate::wire::{ExchangeType, KeyExchange, KeyExchangeId, Nonce, Notify, NotifyType, Payload};
use crate::words;

/// An SPI is being reserved.
pub(crate) struct ExpectSpi {
    pub(crate) intent: Intent,
    pub(crate) pending: Pending,
}

/// Our public value is being computed.
pub(crate) struct ExpectPublicValue {
    pub(crate) draft: Draft,
    group: Group,
    seed: Seed,
    pub(crate) pending: Pending,
}

/// The request is out.
pub(crate) struct ExpectReply {
    pub(crate) draft: Draft,
    nonce: Nonce,
    key: Option<(Group, Seed)>,
    pub(crate) rival: Rival<ChildSaId>,
    deleted: Deleted,
}

/// SPIs the peer deleted while our request was unanswered and that we did not know: one of them may be the one its
/// answer, still under way, makes.
#[derive(Default)]
struct Deleted(Vec<u32>);

/// More are not worth remembering: the peer makes one SA for one request.
const DELETED_KEPT: usize = 16;

/// The shared secret is being computed.
pub(crate) struct ExpectSharedSecret {
    pub(crate) pact: Pact,
    /// What leads to additional key exchanges, if there are to be some.
    link: Option<Vec<u8>>,
    pub(crate) pending: Pending,
}

/// The new SA is being installed.
pub(crate) struct ExpectInstall {
    pub(crate) child: ChildSaId,
    pub(crate) config: ChildId,
    pub(crate) rekey: Option<ChildSaId>,
    pub(crate) pending: Pending,
}

/// What we want, with its SPI.
pub(crate) struct Draft {
    pub(crate) intent: Intent,
    pub(crate) spi: u32,
    /// Whether INVALID_KE_PAYLOAD was followed once.
    regrouped: bool,
}

/// What both sides said.
pub(crate) struct Pact {
    pub(crate) draft: Draft,
    accepted: Accepted,
    nonce: Nonce,
    peer_nonce: Nonce,
    rival: Rival<ChildSaId>,
}

impl ExpectReply {
    /// Notes that the peer deleted an SA we do not know.
    pub(crate) fn note_deleted(&mut self, spi: u32) {
        if self.deleted.0.len() < DELETED_KEPT {
            self.deleted.0.push(spi);
        }
    }
}

impl Pact {
    /// Whether this is the peer's SPI of the SA being made.
    pub(crate) fn makes(&self, spi: u32) -> bool {
        self.accepted.spi_out == spi
    }

    /// What it is for.
    pub(crate) fn aim(&self) -> Aim {
        self.draft.intent.aim()
    }

    /// What the peer made meanwhile for the same.
    pub(crate) fn rival(&mut self) -> &mut Rival<ChildSaId> {
        &mut self.rival
    }

    /// Whether additional key exchanges were agreed on: until they are done, the peer has made nothing.
    fn goes_on(&self) -> bool {
        !self.accepted.suite.additional.is_empty()
    }
}

impl Turn<'_, '_> {
    pub(crate) fn start_child(&mut self, intent: Intent) {
        if let Err(problem) = mode::permitted(&intent.config, &self.common.esp_path()) {
            return self.own_child_failed(&intent, problem.into());
        }
        let want = AllocateSpi {
            instance: self.common.path.instance,
            ike: self.common.id,
            connection: self.common.connection,
            config: intent.config.id,
            replaces: intent.rekey,
        };
        let pending = self.ctx.ask(self.common.id, WantKind::AllocateSpi(want));
        self.line.own = Some(Own::ChildSpi(Box::new(ExpectSpi { intent, pending })));
    }

    pub(crate) fn own_child_spi(&mut self, state: ExpectSpi, answer: Answer) {
        let spi = match answer {
            Answer::AllocateSpi(Ok(spi)) => spi,
            Answer::AllocateSpi(Err(error)) => {
                let failure = Failure::AnswerRefused { what: "SPI allocation", error };
                return self.own_child_failed(&state.intent, failure);
            }
            _ => return self.own_child_failed(&state.intent, Failure::AnswerMismatch("SPI allocation")),
        };
        let group = self.own_child_guess(&state.intent);
        let draft = Draft { intent: state.intent, spi, regrouped: false };
        match group {
            Some(group) => self.own_child_generate(draft, group),
            None => self.own_child_send(draft, None),
        }
    }

    /// The group that the peer will take, as far as is known; none where none is offered.
    fn own_child_guess(&self, intent: &Intent) -> Option<Group> {
        let old = intent.rekey.and_then(|old| self.up.children.get(old));
        let in_use = old.and_then(|old| old.suite.group);
        self.common.guesses.best(Some(intent.config.id), in_use, &intent.groups())
    }

    fn own_child_generate(&mut self, draft: Draft, group: Group) {
        let seed = self.ctx.seed();
        let job = KeyAgreement { group, seed: seed.clone(), task: KeyTask::Generate };
        let pending = self.ctx.ask(self.common.id, WantKind::KeyAgreement(job));
        self.line.own = Some(Own::ChildPublic(Box::new(ExpectPublicValue { draft, group, seed, pending })));
    }

    pub(crate) fn own_child_public(&mut self, state: ExpectPublicValue, answer: Answer) {
        match answer.into_public() {
            Ok(public) => self.own_child_send(state.draft, Some((state.group, state.seed, public))),
            Err(failure) => {
                self.ctx.order(WantKind::ReleaseSpi(state.draft.spi));
                self.own_child_failed(&state.draft.intent, failure);
            }
        }
    }

    /// N(REKEY_SA), SA, Ni, KEi, TSi, TSr, N(USE_TRANSPORT_MODE), N(SA_RESOURCE_INFO).
    fn own_child_send(&mut self, draft: Draft, key: Option<(Group, Seed, Vec<u8>)>) {
        let mut payloads = Vec::with_capacity(6);
        if let Some(old) = draft.intent.rekey {
            match self.up.children.get(old).filter(|child| child.state == ChildState::Live) {
                Some(old) => {
                    let notify = Notify::about_esp(NotifyType::RekeySa, old.spi_in, Vec::new());
                    payloads.push(Payload::Notify(notify));
                }
                // Deleted or replaced by the peer while we prepared.
                None => return self.ctx.order(WantKind::ReleaseSpi(draft.spi)),
            }
        } else if self.up.children.has(draft.intent.config.id) {
            // Made by the peer while we prepared.
            return self.ctx.order(WantKind::ReleaseSpi(draft.spi));
        }
        let [sa, tsi, tsr] = draft.intent.offer(draft.spi, ChildExchange::CreateChildSa);
        let nonce = self.ctx.nonce();
        payloads.extend([sa, Payload::Nonce(nonce.clone())]);
        let key = key.map(|(group, seed, public)| {
            let method = KeyExchangeId::from(group.transform_id());
            payloads.push(Payload::KeyExchange(KeyExchange { method, data: public }));
            (group, seed)
        });
        payloads.extend([tsi, tsr]);
        payloads.extend(draft.intent.notifies());
        match self.request(ExchangeType::CreateChildSa, payloads) {
            Ok(()) => {
                let state =
                    ExpectReply { draft, nonce, key, rival: Rival::None, deleted: Deleted::default() };
                self.line.own = Some(Own::ChildReply(Box::new(state)));
            }
            Err(failure) => {
                self.ctx.order(WantKind::ReleaseSpi(draft.spi));
                self.own_child_failed(&draft.intent, failure);
            }
        }
    }

    pub(crate) fn own_child_reply(&mut self, state: ExpectReply, mut parts: Parts) {
        if parts.sa.is_none() {
            return self.own_child_refused(state, &parts);
        }
        let accepted = child_deal::accept(&state.draft.intent, &parts, ChildExchange::CreateChildSa)
            .and_then(|accepted| {
                let nonce =
                    parts.nonce.take().ok_or(Failure::Syntax("a CREATE_CHILD_SA reply without nonce"))?;
                Ok((accepted, nonce))
            });
        let (accepted, peer_nonce) = match accepted {
            Ok(accepted) => accepted,
            Err(failure) => return self.own_child_unusable(state.draft, failure),
        };
        if state.deleted.0.contains(&accepted.spi_out) {
            // Made and deleted again before we heard of it.
            return self.own_child_withdrawn(state.draft);
        }
        let link = additional_key_exchange(&parts);
        let pact = Pact { draft: state.draft, accepted, nonce: state.nonce, peer_nonce, rival: state.rival };
        let Some(pact) = self.own_child_prevails(pact) else { return };
        match (state.key, pact.accepted.suite.group, parts.ke) {
            // The peer chose a proposal without key exchange; what we sent for another one goes unused.
            (_, None, _) => self.own_child_complete(pact, None),
            (Some((group, seed)), Some(chosen), Some(ke))
                if group == chosen && u16::from(ke.method) == group.transform_id() =>
            {
                let job = KeyAgreement { group, seed, task: KeyTask::Agree { peer: ke.data } };
                let pending = self.ctx.ask(self.common.id, WantKind::KeyAgreement(job));
                let state = ExpectSharedSecret { pact, link, pending };
                self.line.own = Some(Own::ChildSecret(Box::new(state)));
            }
            _ => {
                self.own_child_unusable(pact.draft, Failure::Syntax("KE payload and chosen group do not fit"))
            }
        }
    }

    /// Where additional key exchanges are to come, ours or the peer's, the nonces decide before them which series goes
    /// on: two that each waited for the other's end would never end.
    fn own_child_prevails(&mut self, mut pact: Pact) -> Option<Pact> {
        let decides = pact.goes_on() || pact.rival.is_pending();
        if !decides || !pact.rival.is_some() {
            return Some(pact);
        }
        self.ctx.out.collisions = self.ctx.out.collisions.saturating_add(1);
        if pact.rival.decide(&pact.nonce, &pact.peer_nonce) == Winner::Theirs {
            self.own_child_gives_way(pact);
            return None;
        }
        match std::mem::take(&mut pact.rival) {
            Rival::Answered { made: Some(loser), .. } => self.up.make_redundant(self.ctx, loser),
            _ => self.forget_awaited_for(Some(pact.aim())),
        }
        Some(pact)
    }

    /// The peer's exchange goes on, ours does not.
    fn own_child_gives_way(&mut self, pact: Pact) {
        if pact.goes_on() {
            self.ctx.order(WantKind::ReleaseSpi(pact.draft.spi));
        } else {
            // The peer has installed ours, and waits for us, who made it, to delete it.
            self.up.tasks.push_front(Task::DeleteForeign { spi_in: pact.draft.spi });
        }
        self.rekey_later(pact.draft.intent.rekey);
    }

    pub(crate) fn own_child_secret(&mut self, state: ExpectSharedSecret, answer: Answer) {
        let ExpectSharedSecret { pact, link, .. } = state;
        match answer.into_secret() {
            Ok(shared) => {
                let additional = pact.accepted.suite.additional;
                let purpose = Purpose::Child(Box::new(pact));
                self.start_followups(purpose, SharedSecrets::new(shared), additional, link);
            }
            Err(failure) if pact.goes_on() => self.own_child_dropped(pact, failure),
            Err(failure) => self.own_child_unusable(pact.draft, failure),
        }
    }

    /// Additional key exchanges are broken off by us, before the peer has made anything.
    pub(crate) fn own_child_dropped(&mut self, pact: Pact, failure: Failure) {
        self.ctx.order(WantKind::ReleaseSpi(pact.draft.spi));
        self.own_child_failed(&pact.draft.intent, failure);
    }

    /// Additional key exchanges are broken off by the peer.
    pub(crate) fn own_child_broken_off(&mut self, pact: Pact, error: NotifyType) {
        self.ctx.order(WantKind::ReleaseSpi(pact.draft.spi));
        match error {
            NotifyType::TemporaryFailure => self.own_child_later(&pact.draft.intent),
            other => self.own_child_failed(&pact.draft.intent, child_deal::refused(other)),
        }
    }

    /// The peer is busy: it is asked again after a while.
    fn own_child_later(&mut self, intent: &Intent) {
        if intent.rekey.is_none() {
            let (at, packet) = (self.ctx.retry_at(), intent.packet());
            packet.into_iter().for_each(|packet| self.common.packets.note(intent.config.id, packet));
            self.up.later.push((at, Task::CreateChild(intent.config.id)));
        }
        self.rekey_later(intent.rekey);
    }

    /// Both sides have agreed; if the peer was at the same, one of the two new SAs lives.
    pub(crate) fn own_child_complete(&mut self, pact: Pact, secrets: Option<SharedSecrets>) {
        let Pact { draft, accepted, nonce, peer_nonce, rival } = pact;
        if rival.is_some() {
            self.ctx.out.collisions = self.ctx.out.collisions.saturating_add(1);
            if rival.decide(&nonce, &peer_nonce) == Winner::Theirs {
                // The peer has installed ours, and waits for us, who made it, to delete it.
                return self.up.tasks.push_front(Task::DeleteForeign { spi_in: draft.spi });
            }
            if let Rival::Answered { made: Some(loser), .. } = rival {
                self.up.make_redundant(self.ctx, loser);
            }
        }
        let nonces = Nonces::new(&nonce, &peer_nonce);
        let keys = EspKeyPair::derive(
            &accepted.suite,
            self.line.sa.suite.prf,
            &self.line.sa.keys.sk_d,
            secrets.as_ref(),
            nonces,
        );
        self.own_child_install(draft.intent, draft.spi, accepted, keys);
    }

    /// Installs what we asked for, in CREATE_CHILD_SA or in IKE_AUTH. The peer installed its inbound SA before it
    /// answered, so we may send at once.
    pub(crate) fn own_child_install(
        &mut self,
        intent: Intent,
        spi_in: u32,
        accepted: Accepted,
        keys: EspKeyPair,
    ) {
        let Accepted { suite, spi_out, local, remote, takes_more, takes_padding } = accepted;
        let config = intent.config.id;
        let replaces = match intent.rekey {
            Some(old) => self.up.children.get(old).map(|old| old.id),
            None => self.up.children.redundant(config),
        };
        let made =
            Made { config: intent.config, spi_in, spi_out, suite, local, remote, takes_more, takes_padding };
        let (child, pending) = self.install(
            made,
            (keys.responder_to_initiator, keys.initiator_to_responder),
            Role::Initiator,
            replaces,
            OutboundStart::Now,
        );
        self.line.own =
            Some(Own::ChildInstall(ExpectInstall { child, config, rekey: intent.rekey, pending }));
    }

    pub(crate) fn own_child_installed(&mut self, state: ExpectInstall, answer: Answer) {
        // The peer may have deleted it meanwhile; then nothing is left to do.
        let Some(child) = self.up.children.get_mut(state.child) else { return };
        let failure = match answer {
            Answer::Install(Ok(())) => {
                child.state = ChildState::Live;
                return self.own_child_up(&state);
            }
            Answer::Install(Err(error)) => Failure::AnswerRefused { what: "installation", error },
            _ => Failure::AnswerMismatch("installation"),
        };
        self.own_child_not_installed(&state, failure);
    }

    fn own_child_up(&mut self, state: &ExpectInstall) {
        self.up.announce(self.ctx, self.common, state.child);
        if let Some(old) = state.rekey.and_then(|old| self.up.children.get_mut(old)) {
            old.state = ChildState::Closing { replaced: true };
            let old = old.id;
            self.up.tasks.push_front(Task::DeleteChild { child: old, reason: Failure::Superseded });
        }
    }

    /// The peer has it and we do not: it has to go there too.
    pub(crate) fn own_child_not_installed(&mut self, state: &ExpectInstall, failure: Failure) {
        if let Some(child) = self.up.children.get_mut(state.child) {
            child.state = ChildState::Closing { replaced: false };
            self.up.tasks.push_front(Task::DeleteChild { child: state.child, reason: failure.clone() });
        }
        self.rekey_later(state.rekey);
        self.report_child_failure(Some(state.config), state.rekey, failure);
    }

    /// The peer took back the CHILD_SA it agreed to, before it was installed here.
    pub(crate) fn own_child_withdrawn(&mut self, draft: Draft) {
        self.ctx.order(WantKind::ReleaseSpi(draft.spi));
        self.own_child_failed(&draft.intent, Failure::PeerDeleted);
    }

    /// The peer believes it made a CHILD_SA that we cannot use.
    pub(crate) fn own_child_unusable(&mut self, draft: Draft, failure: Failure) {
        self.up.tasks.push_front(Task::DeleteForeign { spi_in: draft.spi });
        self.own_child_failed(&draft.intent, failure);
    }

    fn own_child_refused(&mut self, state: ExpectReply, parts: &Parts) {
        let Some(error) = parts.error() else {
            return self
                .own_child_unusable(state.draft, Failure::Syntax("a CREATE_CHILD_SA reply without SA"));
        };
        if error.notify_type == NotifyType::InvalidKePayload
            && !state.draft.regrouped
            && !state.rival.is_some()
            && let Some(group) = self.offered_group(&state.draft.intent, error.data_u16())
        {
            self.common.guesses.learn(Some(state.draft.intent.config.id), group);
            return self.own_child_generate(Draft { regrouped: true, ..state.draft }, group);
        }
        self.ctx.order(WantKind::ReleaseSpi(state.draft.spi));
        let intent = state.draft.intent;
        match (error.notify_type, intent.rekey) {
            (NotifyType::TemporaryFailure, _) => self.own_child_later(&intent),
            // The peer is at the same itself: what comes of that is seen later.
            (NotifyType::InvalidKePayload, _) if state.rival.is_some() => self.own_child_later(&intent),
            (NotifyType::ChildSaNotFound, Some(old)) if !state.rival.is_some() => {
                self.child_unknown_to_peer(old)
            }
            (NotifyType::ChildSaNotFound, Some(_)) => {}
            (NotifyType::NoAdditionalSas, None) if self.up.children.counted() == 0 => {
                self.no_child_here(&intent);
            }
            (NotifyType::TsMaxQueue, None) => {
                self.resources_refused(&intent.config);
                self.own_child_failed(&intent, child_deal::refused(NotifyType::TsMaxQueue));
            }
            (other, _) => self.own_child_declined(&intent, child_deal::refused(other)),
        }
    }

    /// It did not work out; a peer that takes single addresses only is asked for those of the packet, where there is one:
    /// "The requestor is expected to respond by requesting an SA for only the specific traffic it is trying to forward"
    /// (RFC 7296 §2.9).
    pub(crate) fn own_child_declined(&mut self, intent: &Intent, failure: Failure) {
        match intent.of_pair().filter(|_| failure == Failure::SinglePairRequired) {
            Some(pair) => self.start_child(pair),
            None => self.own_child_failed(intent, failure),
        }
    }

    /// "the implementation MUST be capable of instead deleting the old SA and creating a new one" (RFC 7296 §4): an IKE SA
    /// without CHILD_SAs, on which the peer makes none, is of no use. Whoever wants the child calls anew.
    fn no_child_here(&mut self, intent: &Intent) {
        let failure = Failure::NoAdditionalSas(Side::Peers);
        self.own_child_failed(intent, failure.clone());
        self.close(failure);
    }

    fn offered_group(&self, intent: &Intent, wanted: Option<u16>) -> Option<Group> {
        let group = wanted.and_then(Group::from_transform_id)?;
        intent.groups().contains(&group).then_some(group)
    }

    /// "the initiator of the exchange ... SHOULD silently delete the Child SA and ... request to create a new
    /// Child SA from scratch" (RFC 7296 §2.25). Unless the peer said before that it deleted it, or it is the successor
    /// of another one, which the peer's rekey failed to make: that one lives on.
    fn child_unknown_to_peer(&mut self, old: ChildSaId) {
        if self.up.children.get(old).is_none_or(|child| child.state != ChildState::Live) {
            return;
        }
        let lives_on = self.successor_withdrawn(old);
        let config = self.up.drop_child(self.ctx, self.common, old, Failure::ChildNotFound);
        if !lives_on {
            self.up.tasks.extend(config.map(Task::CreateChild));
        }
    }

    /// It did not work out; the IKE SA stays up, and so does the SA that was to be replaced.
    pub(crate) fn own_child_failed(&mut self, intent: &Intent, failure: Failure) {
        self.rekey_later(intent.rekey);
        self.report_child_failure(Some(intent.config.id), intent.rekey, failure);
    }

    /// Tries the rekey of this SA again after a while, if it is still ours to rekey.
    pub(crate) fn rekey_later(&mut self, old: Option<ChildSaId>) {
        let at = self.ctx.retry_at();
        let old = old.and_then(|old| self.up.children.get_mut(old));
        if let Some(old) = old.filter(|old| old.state == ChildState::Live) {
            old.soft_at = Some(at);
        }
    }

    pub(crate) fn report_child_failure(
        &mut self,
        config: Option<ChildId>,
        rekey_of: Option<ChildSaId>,
        reason: Failure,
    ) {
        let attempt = self.common.child_attempt(self.ctx.now, Role::Initiator, config);
        self.report_child_attempt(attempt, rekey_of, reason);
    }

    /// Tells of a CHILD_SA that did not come to be, and keeps it for `explain` unless it mends itself.
    pub(crate) fn report_child_attempt(
        &mut self,
        mut attempt: Attempt,
        rekey_of: Option<ChildSaId>,
        reason: Failure,
    ) {
        let (ike, connection, config) = (self.common.id, self.common.connection, attempt.child);
        if !reason.is_passing() {
            words::tell(&mut attempt, &reason, &self.current_config());
            attempt.failure = Some(reason.clone());
            self.ctx.out.recorder.keep(connection, attempt);
        }
        self.ctx.event(Event::ChildFailed { ike, connection, config, rekey_of, reason });
    }
}
