//! The peer rekeys the IKE SA (RFC 7296 §1.3.2, §2.18, §2.8.2, §2.25.2).
//!
//! One wait, [`ExpectSharedSecret`], then the reply, ([`super::peer_followup`],) and the new IKE SA is current, unless our
//! own rekey of the same SA is unanswered: then it is a candidate until the nonces decide.

use super::ike_sa::IkeSa;
use super::line::{Line, Own, Peer, Standing};
use super::parts::Parts;
use super::peer_followup::Purpose;
use super::turn::Turn;
use super::up::PEERS_DELETE;
use crate::collision::{Rival, lowest};
use crate::context::Pending;
use crate::crypto::negotiate::{self, Chosen};
use crate::crypto::{IkeKeys, IkeSuite, Nonces, SharedSecrets};
use crate::error::{Failure, Subject};
use crate::key_agreement::{KeyAgreement, Task as KeyTask};
use crate::want::{Answer, Role, WantKind};
use crate::wire::{ExchangeType, IkeSpi, KeyExchange, KeyExchangeId, Nonce, Notify, Payload, Spi};

/// IKE SAs of one tunnel that are not closed: in use, lost in a collision, replaced and not yet deleted. A peer that
/// deletes what it replaces has two of them, however fast it rekeys; one that does not has to wait.
const LINES: usize = 16;

/// Our public value and the shared secret are being computed.
pub(crate) struct ExpectSharedSecret {
    pact: Pact,
    pub(crate) pending: Pending,
}

/// What was agreed on.
pub(crate) struct Pact {
    chosen: Chosen<IkeSuite>,
    initiator_spi: IkeSpi,
    responder_spi: IkeSpi,
    initiator_nonce: Nonce,
    responder_nonce: Nonce,
}

impl Turn<'_, '_> {
    /// A CREATE_CHILD_SA request whose SA payload is for IKE.
    pub(crate) fn peer_ike_request(&mut self, parts: Parts) {
        if let Err(refusal) = self.peer_ike_begin(parts) {
            self.reply(ExchangeType::CreateChildSa, vec![refusal.notify]);
            if let Some(failure) = refusal.failure {
                self.end_if_misbehaved(&failure);
            }
        }
    }

    fn peer_ike_begin(&mut self, parts: Parts) -> Result<(), Refusal> {
        self.peer_ike_admit()?;
        let (Some(sa), Some(initiator_nonce), Some(ke)) = (parts.sa, parts.nonce, parts.ke) else {
            return Err(Failure::Syntax("an IKE rekey request without SA, nonce and KE").into());
        };
        let config = self.current_config();
        let chosen = negotiate::select_ike(&config.proposals, &sa)
            .map_err(|_| Failure::NoProposalChosen(Subject::Ike))?;
        let Spi::Ike(initiator_spi) = chosen.peer_spi else {
            return Err(Failure::Syntax("an IKE rekey proposal without SPI").into());
        };
        let group = chosen.suite.group;
        if u16::from(ke.method) != group.transform_id() {
            let notify = Notify::invalid_ke(KeyExchangeId::from(group.transform_id()));
            return Err(Refusal { notify: Payload::Notify(notify), failure: None });
        }
        let (responder_spi, responder_nonce) = (self.ctx.ike_spi(), self.ctx.nonce());
        if let Some(Own::IkeReply(own)) = &mut self.line.own {
            let lowest = lowest(&initiator_nonce, &responder_nonce).clone();
            own.rival = Rival::Answered { made: None, lowest };
        }
        let job = KeyAgreement { group, seed: self.ctx.seed(), task: KeyTask::Respond { peer: ke.data } };
        let pending = self.ctx.ask(self.common.id, WantKind::KeyAgreement(job));
        let pact = Pact { chosen, initiator_spi, responder_spi, initiator_nonce, responder_nonce };
        self.line.peer = Some(Peer::IkeSecret(Box::new(ExpectSharedSecret { pact, pending })));
        Ok(())
    }

    /// RFC 7296 §2.25.2: not while a CHILD_SA is being made, rekeyed or closed by us, nor while we close the IKE SA.
    fn peer_ike_admit(&mut self) -> Result<(), Failure> {
        if matches!(self.line.standing, Standing::Candidate { .. }) {
            self.adopt_candidate();
        }
        if matches!(self.line.own, Some(Own::IkePublic(_))) {
            // Ours is not sent yet: the peer's does.
            self.line.own = None;
        }
        let conflict = match &self.line.own {
            Some(Own::IkeDeleted) => true,
            Some(own) => own.is_replacing_ike() || own.is_about_child(),
            None => false,
        };
        let crowded = self.up.lines.iter().filter(|line| !line.is_closed()).count() >= LINES;
        let free =
            !crowded && self.line.is_current() && !self.line.delete && !self.up.is_closing() && !conflict;
        if free { Ok(()) } else { Err(Failure::TemporaryFailure) }
    }

    pub(crate) fn peer_ike_secret(&mut self, state: ExpectSharedSecret, answer: Answer) {
        let (public, shared) = match answer.into_response() {
            Ok(response) => response,
            Err(failure) => return self.peer_ike_failed(ExchangeType::CreateChildSa, failure),
        };
        let (pact, secrets) = (state.pact, SharedSecrets::new(shared));
        let method = KeyExchangeId::from(pact.chosen.suite.group.transform_id());
        let payloads = vec![
            Payload::SecurityAssociation(pact.chosen.answer(Spi::Ike(pact.responder_spi))),
            Payload::Nonce(pact.responder_nonce.clone()),
            Payload::KeyExchange(KeyExchange { method, data: public }),
        ];
        let exchange = ExchangeType::CreateChildSa;
        match pact.chosen.suite.additional.split_first() {
            Some(next) => {
                if let Some(Own::IkeReply(own)) = &mut self.line.own {
                    own.rival.put_off();
                }
                self.await_followup(exchange, payloads, Purpose::Ike(Box::new(pact)), secrets, next);
            }
            None => self.peer_ike_make(exchange, pact, &secrets, payloads),
        }
    }

    /// All key exchanges are done; these payloads answer the last of them.
    pub(crate) fn peer_ike_complete(&mut self, pact: Pact, secrets: &SharedSecrets, payloads: Vec<Payload>) {
        self.peer_ike_make(ExchangeType::IkeFollowupKe, pact, secrets, payloads);
    }

    fn peer_ike_make(
        &mut self,
        exchange: ExchangeType,
        pact: Pact,
        secrets: &SharedSecrets,
        payloads: Vec<Payload>,
    ) {
        match self.peer_ike_derive(&pact, secrets) {
            Ok(sa) => {
                self.reply(exchange, payloads);
                self.peer_ike_made(&pact, sa);
            }
            Err(failure) => self.peer_ike_failed(exchange, failure),
        }
    }

    fn peer_ike_failed(&mut self, exchange: ExchangeType, failure: Failure) {
        if let Some(Own::IkeReply(own)) = &mut self.line.own {
            own.rival.withdraw();
        }
        let refusal = Refusal::from(failure);
        self.reply(exchange, vec![refusal.notify]);
        refusal.failure.iter().for_each(|failure| self.end_if_misbehaved(failure));
    }

    fn peer_ike_derive(&mut self, pact: &Pact, secrets: &SharedSecrets) -> Result<IkeSa, Failure> {
        let spis = (pact.initiator_spi, pact.responder_spi);
        let nonces = Nonces::new(&pact.initiator_nonce, &pact.responder_nonce);
        let old = (self.line.sa.suite.prf, &self.line.sa.keys);
        let keys = IkeKeys::rekey(&pact.chosen.suite, old, secrets, nonces, spis.0, spis.1);
        let mut sa = IkeSa::new(self.ctx, self.common, Role::Responder, spis, pact.chosen.suite, keys)?;
        sa.fragment_size = self.line.sa.fragment_size;
        Ok(sa)
    }

    fn peer_ike_made(&mut self, pact: &Pact, sa: IkeSa) {
        let until = self.ctx.now + PEERS_DELETE;
        if let Some(Own::IkeReply(own)) = &mut self.line.own {
            own.rival.settle(pact.responder_spi);
            let line = Line::new(sa, Standing::Candidate { until }, self.common);
            return self.up.lines.push(Box::new(line));
        }
        self.ike_rekeyed(&sa);
        self.up.lines.push(Box::new(Line::new(sa, Standing::Current, self.common)));
        if !self.line.is_closed() {
            self.retire();
        }
    }
}

/// Why the peer may not rekey now.
struct Refusal {
    notify: Payload,
    failure: Option<Failure>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal { notify: Payload::Notify(Notify::new(failure.notify(), Vec::new())), failure: Some(failure) }
    }
}
