//! The peer asks for a CHILD_SA, in CREATE_CHILD_SA or in IKE_AUTH (RFC 7296 §1.2, §1.3).
//!
//! [`ExpectSpi`] -> ([`ExpectSharedSecret`] -> (reply, [`super::peer_followup`])) -> [`ExpectInstall`] -> reply. The
//! inbound SA is installed before the reply that lets the peer use it.

use super::child_deal::{self, Aim, Choice};
use super::children::ChildState;
use super::line::{Own, Peer, Standing};
use super::mode;
use super::parts::Parts;
use super::peer_child_reply::{Refused, answer};
use super::peer_followup::Purpose;
use super::resource;
use super::turn::{Made, Turn};
use crate::collision::{Rival, lowest};
use crate::config::{ChildConfig, ChildId};
use crate::context::Pending;
use crate::crypto::negotiate::ChildExchange;
use crate::crypto::{EspKeyPair, Nonces, SharedSecrets};
use crate::error::{Failure, Side};
use crate::id::ChildSaId;
use crate::key_agreement::{KeyAgreement, Task as KeyTask};
use crate::want::{AllocateSpi, Answer, OutboundStart, Role, WantKind};
use crate::wire::{ExchangeType, KeyExchangeId, Nonce, Notify, NotifyType, Payload, Spi};

/// Generations of each CHILD_SA that the peer may hold at once: in use, replaced and not yet deleted, lost in a
/// collision. One that keeps rekeying and never deletes gets no more. Those deleted do not count: see
/// [`super::up::Up::drain_child`].
const REKEYS: usize = 6;

/// An SPI is being reserved.
pub(crate) struct ExpectSpi {
    deal: Deal,
    pub(crate) pending: Pending,
}

/// Our public value and the shared secret are being computed.
pub(crate) struct ExpectSharedSecret {
    deal: Deal,
    spi: u32,
    pub(crate) pending: Pending,
}

/// The new SA is being installed.
pub(crate) struct ExpectInstall {
    envelope: Envelope,
    child: ChildSaId,
    config: ChildId,
    rekey: Option<ChildSaId>,
    /// Another CHILD_SA goes on sending until the peer shows that it has this one.
    starts_later: bool,
    payloads: Vec<Payload>,
    pub(crate) pending: Pending,
}

/// The exchange the answer travels in.
pub(crate) enum Envelope {
    /// CREATE_CHILD_SA.
    CreateChild,
    /// IKE_AUTH, with IDr, CERT and AUTH in front.
    Auth(Vec<Payload>),
    /// IKE_FOLLOWUP_KE, the last one after a CREATE_CHILD_SA that was answered.
    Followup,
}

/// What was agreed on, with the SPI for it, while additional key exchanges go on.
pub(crate) struct Pact {
    deal: Deal,
    spi: u32,
}

impl Pact {
    /// The reserved SPI.
    pub(crate) fn spi(&self) -> u32 {
        self.spi
    }

    /// What it is for.
    pub(crate) fn aim(&self) -> Aim {
        self.deal.aim()
    }
}

/// What was agreed on.
struct Deal {
    envelope: Envelope,
    choice: Choice,
    rekey: Option<ChildSaId>,
    initiator_nonce: Nonce,
    responder_nonce: Nonce,
    /// The peer's public value, if the CHILD_SA has its own key exchange.
    ke: Option<Vec<u8>>,
}

impl Deal {
    fn aim(&self) -> Aim {
        Aim::of(self.choice.config.id, self.rekey)
    }

    /// SA, Nr, KEr, TSi, TSr; in IKE_AUTH, whose nonces and key exchange are those of IKE_SA_INIT, SA, TSi, TSr. Whoever
    /// is willing to have more of the same selectors adds SA_RESOURCE_INFO where the peer has (RFC 9611 §3). What was narrowed and would be taken by another SA is told
    /// of (RFC 7296 §2.9).
    fn answer(&self, spi: u32, public: Option<Vec<u8>>) -> Vec<Payload> {
        let Choice { chosen, local, remote, config, leaves_more, takes_more, .. } = &self.choice;
        let nonce = matches!(self.envelope, Envelope::CreateChild).then(|| self.responder_nonce.clone());
        let key = chosen.suite.group.zip(public);
        let mut payloads = answer(chosen.answer(Spi::Child(spi)), nonce, key, remote, local);
        payloads.extend(mode::wish(config));
        let more = || Payload::Notify(Notify::new(NotifyType::AdditionalTsPossible, Vec::new()));
        payloads.extend(leaves_more.then(more));
        payloads.extend(takes_more.then(|| resource::info(config)).flatten());
        payloads
    }
}

impl ExpectSpi {
    /// What it is for.
    pub(crate) fn aim(&self) -> Aim {
        self.deal.aim()
    }
}

impl ExpectSharedSecret {
    /// The reserved SPI.
    pub(crate) fn spi(&self) -> u32 {
        self.spi
    }

    /// What it is for.
    pub(crate) fn aim(&self) -> Aim {
        self.deal.aim()
    }
}

impl ExpectInstall {
    /// What it is for.
    pub(crate) fn aim(&self) -> Aim {
        Aim::of(self.config, self.rekey)
    }
}

impl Turn<'_, '_> {
    /// A CREATE_CHILD_SA request for a CHILD_SA.
    pub(crate) fn peer_child_request(&mut self, parts: Parts) {
        if let Err(refusal) = self.peer_child_begin(parts) {
            self.peer_child_refuse(Envelope::CreateChild, None, refusal);
        }
    }

    fn peer_child_begin(&mut self, mut parts: Parts) -> Result<(), Refused> {
        self.peer_child_admit()?;
        let rekey = self.peer_child_rekeys(&parts)?;
        let fallback = if rekey.is_none() { self.fallback_of(&parts) } else { None };
        self.peer_child_has_room(rekey, fallback)?;
        let initiator_nonce =
            parts.nonce.take().ok_or(Failure::Syntax("a CREATE_CHILD_SA request without nonce"))?;
        let choice = match fallback {
            Some(fallback) => self.peer_resource_choose(&parts, fallback)?,
            None => self.peer_child_choose(&parts, rekey, ChildExchange::CreateChildSa)?,
        };
        let ke = match (choice.chosen.suite.group, parts.ke) {
            (None, _) => None,
            (Some(group), Some(ke)) if u16::from(ke.method) == group.transform_id() => Some(ke.data),
            // "INVALID_KE_PAYLOAD ... the responder's preferred group" (RFC 7296 §1.3).
            (Some(group), _) => return Err(Refused::WrongGroup(KeyExchangeId::from(group.transform_id()))),
        };
        let responder_nonce = self.ctx.nonce();
        let envelope = Envelope::CreateChild;
        let deal = Deal { envelope, choice, rekey, initiator_nonce, responder_nonce, ke };
        self.peer_child_meets_ours(&deal);
        self.peer_child_ask_spi(deal);
        Ok(())
    }

    /// Whether there may be one more: a successor, one for a resource, or another.
    fn peer_child_has_room(
        &self,
        rekey: Option<ChildSaId>,
        fallback: Option<ChildSaId>,
    ) -> Result<(), Failure> {
        let limit = self.common.config.max_children;
        let resources = self.common.config.children.iter().filter(|child| child.resource.is_one()).count();
        let held = self.up.children.iter().filter(|child| child.is_known_to_peer()).count();
        let crowded = held >= limit.saturating_add(resources).saturating_mul(REKEYS).saturating_add(REKEYS);
        match (rekey, fallback) {
            // NO_ADDITIONAL_SAS would say that we do not rekey at all, and make the peer start anew.
            (Some(_), _) if crowded => Err(Failure::TemporaryFailure),
            (None, Some(_)) if crowded => Err(Failure::TooManyResources(Side::Ours)),
            (None, None) if crowded || self.up.children.counted() >= limit => {
                Err(Failure::NoAdditionalSas(Side::Ours))
            }
            _ => Ok(()),
        }
    }

    /// "If a peer receives a request to create or rekey a Child SA when it is currently rekeying the IKE SA, it
    /// SHOULD reply with TEMPORARY_FAILURE." (RFC 7296 §2.25.2)
    fn peer_child_admit(&mut self) -> Result<(), Failure> {
        if matches!(self.line.standing, Standing::Candidate { .. }) {
            self.adopt_candidate();
        }
        let rekeying = matches!(self.line.own, Some(Own::IkeReply(_)))
            || self.line.own.as_ref().is_some_and(Own::is_replacing_ike);
        match self.line.is_current() && !self.up.is_closing() && !rekeying {
            true => Ok(()),
            false => Err(Failure::TemporaryFailure),
        }
    }

    /// The CHILD_SA that N(REKEY_SA) names, judged by RFC 7296 §2.25.1.
    fn peer_child_rekeys(&mut self, parts: &Parts) -> Result<Option<ChildSaId>, Refused> {
        let Some(notify) = parts.notify(NotifyType::RekeySa) else { return Ok(None) };
        let Spi::Child(spi) = notify.spi else { return Err(Failure::Syntax("REKEY_SA without SPI").into()) };
        let Some(old) = self.up.children.by_peer_spi(spi) else {
            // It may be the one that the reply we wait for makes: the peer, who sent it, has it already.
            let expecting = matches!(self.line.own, Some(Own::ChildReply(_) | Own::ChildSecret(_)))
                || self.line.own.as_ref().is_some_and(|own| own.child_pact().is_some());
            return Err(if expecting { Failure::TemporaryFailure.into() } else { Refused::NotFound(spi) });
        };
        let is_live = self.up.children.get(old).is_some_and(|child| child.state == ChildState::Live);
        let own_is_done = match &self.line.own {
            Some(Own::ChildSecret(state)) => state.pact.draft.intent.rekey == Some(old),
            Some(Own::ChildInstall(state)) => state.rekey == Some(old),
            Some(own) => own.child_pact().is_some_and(|pact| pact.draft.intent.rekey == Some(old)),
            None => false,
        };
        // "If a peer receives a request to rekey a Child SA that it is currently trying to close, it SHOULD reply
        // with TEMPORARY_FAILURE."
        if !is_live || own_is_done { Err(Failure::TemporaryFailure.into()) } else { Ok(Some(old)) }
    }

    fn peer_child_choose(
        &self,
        parts: &Parts,
        rekey: Option<ChildSaId>,
        exchange: ChildExchange,
    ) -> Result<Choice, Refused> {
        // The connection as configured now: changed selectors apply to rekeys (TS-09).
        let config = self.current_config();
        let old = rekey.and_then(|old| self.up.children.get(old)).map(|old| old.config);
        // A successor is of the same child, or not at all; so it stays with the same resource, whether the rekey says
        // SA_RESOURCE_INFO or not (RFC 9611 §3).
        let may_be = |child: &&ChildConfig| match old {
            Some(old) => child.id == old,
            None => !child.resource.is_one(),
        };
        let mut children: Vec<&ChildConfig> = config.children.iter().filter(may_be).collect();
        let path = self.common.esp_path();
        let unfit = children.iter().find_map(|child| mode::serves(child, parts, &path).err());
        children.retain(|child| mode::serves(child, parts, &path).is_ok());
        if let Some(problem) = unfit.filter(|_| children.is_empty()) {
            return Err(Failure::from(problem).into());
        }
        let is_up = |id: &ChildId| self.up.children.has(*id);
        let before = |id: &ChildId| {
            let of_elder = self.elder()?.children.in_use(*id)?;
            Some((of_elder.local.as_slice(), of_elder.remote.as_slice()))
        };
        child_deal::choose(&children, (is_up, before), parts, exchange).map_err(Refused::Deal)
    }

    /// Our own request for the same meets the peer's: one not yet sent is dropped, one sent will be decided by
    /// the nonces when it is answered.
    fn peer_child_meets_ours(&mut self, deal: &Deal) {
        match &mut self.line.own {
            Some(Own::ChildSpi(state)) if state.intent.is_met_by(&deal.choice, deal.rekey) => {
                self.line.own = None;
            }
            Some(Own::ChildPublic(state)) if state.draft.intent.is_met_by(&deal.choice, deal.rekey) => {
                self.ctx.order(WantKind::ReleaseSpi(state.draft.spi));
                self.line.own = None;
            }
            Some(Own::ChildReply(state)) if state.draft.intent.is_met_by(&deal.choice, deal.rekey) => {
                let lowest = lowest(&deal.initiator_nonce, &deal.responder_nonce).clone();
                state.rival = Rival::Answered { made: None, lowest };
            }
            _ => {}
        }
    }

    /// The CHILD_SA of IKE_AUTH, whose nonces are those of IKE_SA_INIT and which has no key exchange.
    pub(crate) fn peer_first_child(&mut self, parts: Parts, front: Vec<Payload>, nonces: (Nonce, Nonce)) {
        let envelope = Envelope::Auth(front);
        match self.peer_child_choose(&parts, None, ChildExchange::IkeAuth) {
            Ok(choice) => {
                let (initiator_nonce, responder_nonce) = nonces;
                self.peer_child_ask_spi(Deal {
                    envelope,
                    choice,
                    rekey: None,
                    initiator_nonce,
                    responder_nonce,
                    ke: None,
                });
            }
            Err(refused) => self.peer_child_refuse(envelope, None, refused),
        }
    }

    fn peer_child_ask_spi(&mut self, deal: Deal) {
        let want = AllocateSpi {
            instance: self.common.path.instance,
            ike: self.common.id,
            connection: self.common.connection,
            config: deal.choice.config.id,
            replaces: deal.rekey,
        };
        let pending = self.ctx.ask(self.common.id, WantKind::AllocateSpi(want));
        self.line.peer = Some(Peer::ChildSpi(Box::new(ExpectSpi { deal, pending })));
    }

    pub(crate) fn peer_child_spi(&mut self, state: ExpectSpi, answer: Answer) {
        let mut deal = state.deal;
        let failure = match answer {
            Answer::AllocateSpi(Ok(spi)) => match (deal.choice.chosen.suite.group, deal.ke.take()) {
                (Some(group), Some(peer)) => {
                    let job = KeyAgreement { group, seed: self.ctx.seed(), task: KeyTask::Respond { peer } };
                    let pending = self.ctx.ask(self.common.id, WantKind::KeyAgreement(job));
                    let state = ExpectSharedSecret { deal, spi, pending };
                    return self.line.peer = Some(Peer::ChildSecret(Box::new(state)));
                }
                _ => {
                    let payloads = deal.answer(spi, None);
                    return self.peer_child_install(deal, spi, None, payloads);
                }
            },
            // No resource is left that has none.
            Answer::AllocateSpi(Err(_)) if deal.choice.config.resource.is_one() => {
                Failure::TooManyResources(Side::Ours)
            }
            Answer::AllocateSpi(Err(error)) => Failure::AnswerRefused { what: "SPI allocation", error },
            _ => Failure::AnswerMismatch("SPI allocation"),
        };
        self.peer_child_refuse(deal.envelope, Some(deal.choice.config.id), failure.into());
    }

    pub(crate) fn peer_child_secret(&mut self, state: ExpectSharedSecret, answer: Answer) {
        let ExpectSharedSecret { deal, spi, .. } = state;
        let (public, shared) = match answer.into_response() {
            Ok(response) => response,
            Err(failure) => {
                self.ctx.order(WantKind::ReleaseSpi(spi));
                let config = deal.choice.config.id;
                return self.peer_child_refuse(deal.envelope, Some(config), failure.into());
            }
        };
        let (payloads, secrets) = (deal.answer(spi, Some(public)), SharedSecrets::new(shared));
        match deal.choice.chosen.suite.additional.split_first() {
            Some(next) => {
                self.peer_child_rival_put_off(deal.aim());
                let purpose = Purpose::Child(Box::new(Pact { deal, spi }));
                self.await_followup(ExchangeType::CreateChildSa, payloads, purpose, secrets, next);
            }
            None => self.peer_child_install(deal, spi, Some(&secrets), payloads),
        }
    }

    /// All key exchanges are done; these payloads answer the last of them.
    pub(crate) fn peer_child_complete(&mut self, pact: Pact, secrets: SharedSecrets, payloads: Vec<Payload>) {
        let deal = Deal { envelope: Envelope::Followup, ..pact.deal };
        self.peer_child_install(deal, pact.spi, Some(&secrets), payloads);
    }

    fn peer_child_install(
        &mut self,
        deal: Deal,
        spi_in: u32,
        secrets: Option<&SharedSecrets>,
        payloads: Vec<Payload>,
    ) {
        let Deal { envelope, choice, rekey, initiator_nonce, responder_nonce, .. } = deal;
        let Choice { config, chosen, spi_out, local, remote, leaves_more: _, takes_more, takes_padding } =
            choice;
        let nonces = Nonces::new(&initiator_nonce, &responder_nonce);
        let sa = &self.line.sa;
        let keys = EspKeyPair::derive(&chosen.suite, sa.suite.prf, &sa.keys.sk_d, secrets, nonces);
        let config_id = config.id;
        let suite = chosen.suite;
        let made = Made { config, spi_in, spi_out, suite, local, remote, takes_more, takes_padding };
        let takes_over = rekey.is_some() || self.is_sent_elsewhere(config_id);
        let start = if takes_over { OutboundStart::OnFirstInbound } else { OutboundStart::OnActivate };
        let keys = (keys.initiator_to_responder, keys.responder_to_initiator);
        let (child, pending) = self.install(made, keys, Role::Responder, rekey, start);
        let state = ExpectInstall {
            envelope,
            child,
            config: config_id,
            rekey,
            starts_later: takes_over,
            payloads,
            pending,
        };
        self.line.peer = Some(Peer::ChildInstall(Box::new(state)));
    }

    pub(crate) fn peer_child_installed(&mut self, state: ExpectInstall, answer: Answer) {
        let failure = match answer {
            Answer::Install(Ok(())) if self.is_still_live(state.rekey) => return self.peer_child_up(state),
            // We closed the old SA while the new one was being made.
            Answer::Install(Ok(())) => Failure::TemporaryFailure,
            Answer::Install(Err(error)) => Failure::AnswerRefused { what: "installation", error },
            Answer::NetworksTaken(error) => Failure::NetworksTaken(error),
            _ => Failure::AnswerMismatch("installation"),
        };
        self.peer_child_not_installed(state, failure);
    }

    /// Whether the SA the peer rekeys, if it does rekey one, is still there to be replaced.
    fn is_still_live(&self, rekey: Option<ChildSaId>) -> bool {
        let live = |old| self.up.children.get(old).is_some_and(|child| child.state == ChildState::Live);
        rekey.is_none_or(live)
    }

    /// It is not to be: the worker may or may not have it.
    pub(crate) fn peer_child_not_installed(&mut self, state: ExpectInstall, failure: Failure) {
        if let Some(child) = self.up.children.remove(state.child) {
            self.ctx.order(WantKind::Remove { child: child.id, spi_in: child.spi_in });
        }
        self.peer_child_refuse(state.envelope, Some(state.config), failure.into());
    }

    /// The inbound SA is in place: now the peer may know.
    fn peer_child_up(&mut self, state: ExpectInstall) {
        let (exchange, mut payloads) = match state.envelope {
            Envelope::CreateChild => (ExchangeType::CreateChildSa, Vec::new()),
            Envelope::Followup => (ExchangeType::IkeFollowupKe, Vec::new()),
            Envelope::Auth(front) => (ExchangeType::IkeAuth, front),
        };
        payloads.extend(state.payloads);
        if let Some(child) = self.up.children.get_mut(state.child) {
            child.state = ChildState::Live;
        }
        self.reply(exchange, payloads);
        self.peer_child_rival_made(Aim::of(state.config, state.rekey), state.child);
        if let (Some(old), Some(rival)) = (state.rekey, self.line.own.as_mut().and_then(Own::child_rival)) {
            rival.succeed(old, state.child);
        }
        let sent_elsewhere = state.starts_later && self.is_sent_elsewhere(state.config);
        match state.rekey.and_then(|old| self.up.children.get_mut(old)) {
            Some(old) => old.state = ChildState::Replaced { by: state.child },
            None if sent_elsewhere => {}
            None => {
                self.ctx.order(WantKind::Activate(state.child));
                self.up.announce(self.ctx, self.common, state.child);
            }
        }
    }

    /// Our own unanswered request for the same learns of the SA that the peer's made.
    fn peer_child_rival_made(&mut self, aim: Aim, new: ChildSaId) {
        if let Some(Own::ChildReply(own)) = &mut self.line.own
            && own.draft.intent.aim() == aim
        {
            own.rival.settle(new);
        }
    }

    /// It learns that the peer's makes nothing before additional key exchanges.
    fn peer_child_rival_put_off(&mut self, aim: Aim) {
        if let Some(Own::ChildReply(own)) = &mut self.line.own
            && own.draft.intent.aim() == aim
        {
            own.rival.put_off();
        }
    }

    /// Answers the peer's request at once, because the tunnel is about to be closed.
    pub(crate) fn refuse_peer(&mut self) {
        let busy = || Refused::from(Failure::TemporaryFailure);
        match self.line.peer.take() {
            Some(Peer::ChildSpi(state)) => self.peer_child_refuse(state.deal.envelope, None, busy()),
            Some(Peer::ChildSecret(state)) => {
                self.ctx.order(WantKind::ReleaseSpi(state.spi));
                self.peer_child_refuse(state.deal.envelope, None, busy());
            }
            Some(Peer::ChildInstall(state)) => self.peer_child_refuse(state.envelope, None, busy()),
            Some(Peer::IkeSecret(_)) => self.reply(ExchangeType::CreateChildSa, vec![busy().notify()]),
            Some(Peer::FollowupSecret(state)) => {
                state.release(self.ctx);
                self.reply(ExchangeType::IkeFollowupKe, vec![busy().notify()]);
            }
            None => {}
        }
    }

    /// Answers that there will be no CHILD_SA. In IKE_AUTH the IKE SA comes up all the same.
    fn peer_child_refuse(&mut self, envelope: Envelope, config: Option<ChildId>, refused: Refused) {
        // A rival that came to nothing does not count in a collision.
        if let Some(Own::ChildReply(own)) = &mut self.line.own
            && !self.line.awaited.iter().any(|awaited| awaited.is_for(own.draft.intent.aim()))
        {
            own.rival.withdraw();
        }
        let notify = refused.notify();
        match envelope {
            Envelope::CreateChild => self.reply(ExchangeType::CreateChildSa, vec![notify]),
            Envelope::Followup => self.reply(ExchangeType::IkeFollowupKe, vec![notify]),
            Envelope::Auth(mut front) => {
                front.push(notify);
                self.reply(ExchangeType::IkeAuth, front);
            }
        }
        let mut attempt = self.common.child_attempt(self.ctx.now, Role::Responder, config);
        if let Some(failure) = refused.reported(&mut attempt) {
            self.end_if_misbehaved(&failure);
            self.report_child_attempt(attempt, None, failure);
        }
    }
}
