//! We rekey the IKE SA (RFC 7296 §1.3.2, §2.18, §2.8.2).
//!
//! [`ExpectPublicValue`] -> [`ExpectReply`] -> [`ExpectSharedSecret`] -> ([`super::own_followup`]); then the new IKE SA is
//! current and the old one deleted. CHILD_SAs belong to the tunnel and need no moving.

use super::common::Common;
use super::crash;
use super::ike_sa::IkeSa;
use super::line::{Line, Own, Standing};
use super::own_followup::{Purpose, additional_key_exchange};
use super::parts::Parts;
use super::ticket;
use super::turn::Turn;
use super::up::{PEERS_DELETE, Task};
use crate::collision::{Rival, Winner};
use crate::config::Group;
use crate::context::Pending;
use crate::crypto::{CrashToken, IkeKeys, IkeSuite, Nonces, SharedSecrets, negotiate};
use crate::error::{Failure, Subject};
use crate::event::Event;
use crate::key_agreement::{KeyAgreement, Seed, Task as KeyTask};
use crate::want::{Answer, Role, WantKind};
use crate::wire::{ExchangeType, IkeSpi, KeyExchange, KeyExchangeId, Nonce, NotifyType, Payload, Spi};

/// Our public value is being computed.
pub(crate) struct ExpectPublicValue {
    group: Group,
    seed: Seed,
    regrouped: bool,
    pub(crate) pending: Pending,
}

/// The request is out.
pub(crate) struct ExpectReply {
    spi: IkeSpi,
    nonce: Nonce,
    group: Group,
    seed: Seed,
    regrouped: bool,
    /// The peer's rekey of the same IKE SA, by our SPI in it.
    pub(crate) rival: Rival<IkeSpi>,
}

/// The shared secret is being computed.
pub(crate) struct ExpectSharedSecret {
    pact: Pact,
    /// What leads to additional key exchanges, if there are to be some.
    link: Option<Vec<u8>>,
    pub(crate) pending: Pending,
}

/// What both sides said.
pub(crate) struct Pact {
    spi: IkeSpi,
    peer_spi: IkeSpi,
    suite: IkeSuite,
    nonce: Nonce,
    peer_nonce: Nonce,
    rival: Rival<IkeSpi>,
    /// The peer's for the new IKE SA, where it came with CREATE_CHILD_SA (RFC 6290 §4.3).
    crash_token: Option<CrashToken>,
}

impl ExpectReply {
    /// Our SPI.
    pub(crate) fn spi(&self) -> IkeSpi {
        self.spi
    }
}

impl Pact {
    /// Our SPI.
    pub(crate) fn spi(&self) -> IkeSpi {
        self.spi
    }
}

impl ExpectSharedSecret {
    pub(crate) fn pact(&self) -> &Pact {
        &self.pact
    }

    /// Whether additional key exchanges come before the peer makes the new IKE SA.
    pub(crate) fn goes_on(&self) -> bool {
        !self.pact.suite.additional.is_empty()
    }
}

impl Turn<'_, '_> {
    pub(crate) fn start_ike_rekey(&mut self) {
        let in_use = Some(self.line.sa.suite.group);
        if let Some(group) = self.common.guesses.best(None, in_use, &self.ike_groups()) {
            self.own_ike_generate(group, false);
        }
    }

    /// The groups an IKE SA is offered with, the preferred one first.
    fn ike_groups(&self) -> Vec<Group> {
        let config = self.current_config();
        config.proposals.iter().flat_map(|proposal| proposal.groups.iter().copied()).collect()
    }

    fn own_ike_generate(&mut self, group: Group, regrouped: bool) {
        let seed = self.ctx.seed();
        let job = KeyAgreement { group, seed: seed.clone(), task: KeyTask::Generate };
        let pending = self.ctx.ask(self.common.id, WantKind::KeyAgreement(job));
        self.line.own = Some(Own::IkePublic(Box::new(ExpectPublicValue { group, seed, regrouped, pending })));
    }

    pub(crate) fn own_ike_public(&mut self, state: ExpectPublicValue, answer: Answer) {
        let public = match answer.into_public() {
            Ok(public) => public,
            Err(failure) => return self.own_ike_failed(failure),
        };
        if self.line.peer.is_some() {
            // The peer would have to refuse while its own exchange is under way (RFC 7296 §2.25.2).
            return self.rekey_ike_later();
        }
        let (spi, nonce) = (self.ctx.ike_spi(), self.ctx.nonce());
        let config = self.current_config();
        let payloads = vec![
            Payload::SecurityAssociation(negotiate::offer_ike(&config.proposals, Spi::Ike(spi))),
            Payload::Nonce(nonce.clone()),
            Payload::KeyExchange(KeyExchange {
                method: KeyExchangeId::from(state.group.transform_id()),
                data: public,
            }),
        ];
        match self.request(ExchangeType::CreateChildSa, payloads) {
            Ok(()) => {
                let ExpectPublicValue { group, seed, regrouped, .. } = state;
                let state = ExpectReply { spi, nonce, group, seed, regrouped, rival: Rival::None };
                self.line.own = Some(Own::IkeReply(Box::new(state)));
            }
            Err(failure) => self.own_ike_failed(failure),
        }
    }

    pub(crate) fn own_ike_reply(&mut self, state: ExpectReply, mut parts: Parts) {
        if parts.error().is_some() {
            return self.own_ike_refused(state, &parts);
        }
        let (Some(sa), Some(peer_nonce), Some(ke)) = (parts.sa.take(), parts.nonce.take(), parts.ke.take())
        else {
            return self.own_ike_refused(state, &parts);
        };
        let config = self.current_config();
        let chosen = negotiate::accept_ike(&config.proposals, &sa);
        let (suite, peer_spi) = match chosen.map(|chosen| (chosen.suite, chosen.peer_spi)) {
            Ok((suite, Spi::Ike(spi))) if !spi.is_zero() => (suite, spi),
            _ => return self.up.ended = Some(Failure::ProposalNotOffered(Subject::Ike)),
        };
        if suite.group != state.group || u16::from(ke.method) != state.group.transform_id() {
            return self.up.ended = Some(Failure::Syntax("KE payload and chosen group do not fit"));
        }
        let link = additional_key_exchange(&parts);
        let ExpectReply { spi, nonce, group, seed, rival, .. } = state;
        let crash_token = crash::of_peer(&parts);
        let pact = Pact { spi, peer_spi, suite, nonce, peer_nonce, rival, crash_token };
        let Some(pact) = self.own_ike_prevails(pact) else { return };
        let job = KeyAgreement { group, seed, task: KeyTask::Agree { peer: ke.data } };
        let pending = self.ctx.ask(self.common.id, WantKind::KeyAgreement(job));
        self.line.own = Some(Own::IkeSecret(Box::new(ExpectSharedSecret { pact, link, pending })));
    }

    /// Where additional key exchanges are to come, ours or the peer's, the nonces decide before them which series goes
    /// on: two that each waited for the other's end would never end. One of ours that has made an IKE SA already is
    /// completed all the same, to delete it.
    fn own_ike_prevails(&mut self, mut pact: Pact) -> Option<Pact> {
        let goes_on = !pact.suite.additional.is_empty();
        if !pact.rival.is_some() || !(goes_on || pact.rival.is_pending()) {
            return Some(pact);
        }
        let winner = pact.rival.decide(&pact.nonce, &pact.peer_nonce);
        if winner == Winner::Theirs && !goes_on {
            return Some(pact);
        }
        self.ctx.out.collisions = self.ctx.out.collisions.saturating_add(1);
        if winner == Winner::Theirs {
            if pact.rival.is_pending() {
                self.rekey_ike_later();
            }
            self.settle_candidate(winner);
            return None;
        }
        self.settle_candidate(winner);
        self.forget_awaited_for(None);
        pact.rival = Rival::None;
        Some(pact)
    }

    fn own_ike_refused(&mut self, state: ExpectReply, parts: &Parts) {
        let Some(error) = parts.error() else {
            return self.up.ended = Some(Failure::Syntax("an IKE rekey reply without SA, nonce and KE"));
        };
        match (error.notify_type, error.data_u16().and_then(Group::from_transform_id)) {
            (NotifyType::InvalidKePayload, Some(group)) if !state.regrouped && !state.rival.is_some() => {
                if self.ike_groups().contains(&group) {
                    self.common.guesses.learn(None, group);
                    return self.own_ike_generate(group, true);
                }
                self.own_ike_failed(Failure::InvalidKeGroup(group.transform_id()));
            }
            // The peer did it itself; then there is nothing to try again.
            _ if state.rival.is_some() => self.settle_candidate(Winner::Theirs),
            (NotifyType::TemporaryFailure, _) => self.rekey_ike_later(),
            (NotifyType::NoProposalChosen, _) => self.own_ike_failed(Failure::ProposalRefused(Subject::Ike)),
            (other, _) => self.own_ike_failed(Failure::PeerError(other.into())),
        }
    }

    pub(crate) fn own_ike_secret(&mut self, state: ExpectSharedSecret, answer: Answer) {
        let goes_on = state.goes_on();
        let ExpectSharedSecret { pact, link, .. } = state;
        match answer.into_secret() {
            Ok(shared) => {
                let additional = pact.suite.additional;
                let purpose = Purpose::Ike(Box::new(pact));
                self.start_followups(purpose, SharedSecrets::new(shared), additional, link);
            }
            Err(failure) if goes_on => self.own_ike_failed(failure),
            // The peer has a new IKE SA whose keys we lack: nothing can be said on it, and the old one is about to go.
            Err(failure) => self.up.ended = Some(failure),
        }
    }

    /// All key exchanges are done.
    pub(crate) fn own_ike_complete(&mut self, pact: Pact, secrets: &SharedSecrets) {
        match self.own_ike_derive(&pact, secrets) {
            Ok(sa) => self.own_ike_made(pact, sa),
            Err(failure) => self.up.ended = Some(failure),
        }
    }

    fn own_ike_derive(&mut self, pact: &Pact, secrets: &SharedSecrets) -> Result<IkeSa, Failure> {
        let spis = (pact.spi, pact.peer_spi);
        let nonces = Nonces::new(&pact.nonce, &pact.peer_nonce);
        let old = (self.line.sa.suite.prf, &self.line.sa.keys);
        let keys = IkeKeys::rekey(&pact.suite, old, secrets, nonces, spis.0, spis.1);
        let mut sa = IkeSa::new(self.ctx, self.common, Role::Initiator, spis, pact.suite, keys)?;
        sa.fragment_size = self.line.sa.fragment_size;
        Ok(sa)
    }

    fn own_ike_made(&mut self, pact: Pact, mut sa: IkeSa) {
        sa.crash_token = pact.crash_token;
        let winner = pact.rival.decide(&pact.nonce, &pact.peer_nonce);
        if pact.rival.is_some() {
            self.ctx.out.collisions = self.ctx.out.collisions.saturating_add(1);
        }
        let mut line = Line::new(sa, Standing::Current, self.common);
        if winner == Winner::Theirs {
            // "closed by the endpoint that created it"
            line.standing = Standing::Retiring { until: self.ctx.now + PEERS_DELETE };
            line.delete = true;
            self.up.lines.push(Box::new(line));
            return self.settle_candidate(winner);
        }
        self.settle_candidate(winner);
        self.ike_rekeyed(&line.sa);
        self.up.lines.push(Box::new(line));
        if !self.line.is_closed() {
            self.retire();
            self.line.delete = true;
        }
    }

    /// The peer's new IKE SA lives or dies.
    pub(crate) fn settle_candidate(&mut self, winner: Winner) {
        let until = self.ctx.now + PEERS_DELETE;
        let candidate =
            self.up.lines.iter().position(|line| matches!(line.standing, Standing::Candidate { .. }));
        let Some(index) = candidate else { return };
        let Some(line) = self.up.lines.get_mut(index) else { return };
        match winner {
            Winner::Ours => line.standing = Standing::Retiring { until },
            Winner::Theirs => {
                line.standing = Standing::Current;
                let event = rekeyed(self.common, &line.sa);
                self.tell_rekeyed(event);
                if !self.line.is_closed() {
                    self.retire();
                }
            }
        }
    }

    /// This line is the candidate and the peer uses it: it won.
    pub(crate) fn adopt_candidate(&mut self) {
        self.line.standing = Standing::Current;
        self.tell_rekeyed(rekeyed(self.common, &self.line.sa));
        let until = self.ctx.now + PEERS_DELETE;
        for line in self.up.lines.iter_mut().filter(|line| line.is_current()) {
            line.standing = Standing::Retiring { until };
            line.forget_awaited(self.ctx);
            match &mut line.own {
                Some(Own::IkeReply(state)) => state.rival = Rival::Done,
                // Ours had gone on with key exchanges that lead nowhere now.
                Some(own) if own.is_replacing_ike() && !own.lacks_our_half() => line.abandon(self.ctx),
                _ => {}
            }
        }
    }

    pub(crate) fn ike_rekeyed(&mut self, sa: &IkeSa) {
        self.tell_rekeyed(rekeyed(self.common, sa));
    }

    /// Whoever did it: a rekey that was put off is not needed any more, and a changed configuration applies.
    fn tell_rekeyed(&mut self, event: Event) {
        self.common.config = self.current_config();
        self.up.later.retain(|(_, task)| *task != Task::RekeyIke);
        self.up.tasks.retain(|task| *task != Task::RekeyIke);
        crash::renew(self.ctx, self.up);
        ticket::renew(self.common, self.up);
        self.ctx.event(event);
    }

    pub(crate) fn own_ike_failed(&mut self, reason: Failure) {
        let (ike, connection) = (self.common.id, self.common.connection);
        self.ctx.event(Event::IkeRekeyFailed { ike, connection, reason });
        self.rekey_ike_later();
    }

    pub(crate) fn rekey_ike_later(&mut self) {
        let at = self.ctx.retry_at();
        self.up.later.push((at, Task::RekeyIke));
    }
}

fn rekeyed(common: &Common, sa: &IkeSa) -> Event {
    let (initiator_spi, responder_spi) = (sa.initiator_spi.0, sa.responder_spi.0);
    let (ike, connection) = (common.id, common.connection);
    Event::IkeRekeyed { ike, connection, initiator_spi, responder_spi, suite: sa.suite }
}
