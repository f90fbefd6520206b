//! The peer goes on with additional key exchanges after CREATE_CHILD_SA, for a CHILD_SA or for an IKE SA:
//! IKE_FOLLOWUP_KE (RFC 9370 §2.2.4).
//!
//! [`Awaited`] -> [`ExpectSharedSecret`] -> reply, then the next one, or what it was all for: [`super::peer_child`],
//! [`super::peer_ike`]. What is awaited is bound to no exchange and found by the link we gave out.

use super::child_deal::Aim;
use super::line::{Line, Own, Peer};
use super::own_followup::additional_key_exchange;
use super::parts::{Parts, needed};
use super::turn::Turn;
use super::{peer_child, peer_ike};
use crate::config::{AdditionalGroups, Group};
use crate::context::{Context, Pending};
use crate::crypto::SharedSecrets;
use crate::error::Failure;
use crate::key_agreement::{KeyAgreement, Task as KeyTask};
use crate::time::Instant;
use crate::want::{Answer, WantKind};
use crate::wire::{ExchangeType, KeyExchange, KeyExchangeId, Notify, NotifyType, Payload};
use std::time::Duration;

/// How long the peer may take for the next one: RFC 9370 §2.2.4 finds 5 to 20 seconds appropriate.
const PATIENCE: Duration = Duration::from_secs(20);

/// Series that may be awaited at once: one is usual. The oldest goes.
const AWAITED: usize = 4;

/// What the key exchanges are for.
pub(crate) enum Purpose {
    Child(Box<peer_child::Pact>),
    Ike(Box<peer_ike::Pact>),
}

/// A series of key exchanges whose next one the peer owes us.
pub(crate) struct Awaited {
    link: Vec<u8>,
    purpose: Purpose,
    secrets: SharedSecrets,
    group: Group,
    /// Key exchanges after this one.
    left: AdditionalGroups,
    pub(crate) until: Instant,
}

/// Our public value and the shared secret are being computed.
pub(crate) struct ExpectSharedSecret {
    awaited: Awaited,
    pub(crate) pending: Pending,
}

impl Purpose {
    /// What the CHILD_SA is for, if it is one.
    fn aim(&self) -> Option<Aim> {
        match self {
            Purpose::Child(pact) => Some(pact.aim()),
            Purpose::Ike(_) => None,
        }
    }

    fn is_ike(&self) -> bool {
        matches!(self, Purpose::Ike(_))
    }

    /// The SPI reserved for it.
    fn spi(&self) -> Option<u32> {
        match self {
            Purpose::Child(pact) => Some(pact.spi()),
            Purpose::Ike(_) => None,
        }
    }

    /// Gives back what it holds.
    fn release(&self, ctx: &mut Context<'_>) {
        self.spi().into_iter().for_each(|spi| ctx.order(WantKind::ReleaseSpi(spi)));
    }
}

impl Awaited {
    /// Whether its CHILD_SA is for this.
    pub(crate) fn is_for(&self, aim: Aim) -> bool {
        self.purpose.aim() == Some(aim)
    }
}

impl ExpectSharedSecret {
    /// Whether it is for an IKE SA.
    pub(crate) fn is_about_ike(&self) -> bool {
        self.awaited.purpose.is_ike()
    }

    /// What its CHILD_SA is for, if it is one.
    pub(crate) fn aim(&self) -> Option<Aim> {
        self.awaited.purpose.aim()
    }

    /// Gives back what it holds.
    pub(crate) fn release(&self, ctx: &mut Context<'_>) {
        self.awaited.purpose.release(ctx);
    }
}

impl Line {
    /// Whether the peer is about to replace this IKE SA.
    pub(crate) fn awaits_ike(&self) -> bool {
        self.awaited.iter().any(|awaited| awaited.purpose.is_ike())
    }

    /// Whether the peer owes us the next key exchange of a CHILD_SA for this.
    pub(crate) fn awaits(&self, aim: Aim) -> bool {
        self.awaited.iter().any(|awaited| awaited.is_for(aim))
    }

    /// Forgets everything that is awaited.
    pub(crate) fn forget_awaited(&mut self, ctx: &mut Context<'_>) {
        self.awaited.drain(..).for_each(|awaited| awaited.purpose.release(ctx));
    }
}

impl Turn<'_, '_> {
    /// Answers with these payloads and the link to what is kept, and awaits the next key exchange.
    pub(crate) fn await_followup(
        &mut self,
        exchange: ExchangeType,
        mut payloads: Vec<Payload>,
        purpose: Purpose,
        secrets: SharedSecrets,
        (group, left): (Group, AdditionalGroups),
    ) {
        let link = self.ctx.link();
        payloads.push(Payload::Notify(Notify::new(NotifyType::AdditionalKeyExchange, link.clone())));
        let until = self.ctx.now + PATIENCE;
        // Whatever it replaces, the peer has begun anew.
        self.forget_awaited_for(purpose.aim());
        if self.line.awaited.len() >= AWAITED {
            self.line.awaited.remove(0).purpose.release(self.ctx);
        }
        self.line.awaited.push(Awaited { link, purpose, secrets, group, left, until });
        self.reply(exchange, payloads);
    }

    /// Forgets what is awaited for such a CHILD_SA, or (`None`) for the IKE SA.
    pub(crate) fn forget_awaited_for(&mut self, aim: Option<Aim>) {
        let same = |awaited: &mut Awaited| awaited.purpose.aim() == aim;
        let gone: Vec<Awaited> = self.line.awaited.extract_if(.., same).collect();
        gone.iter().for_each(|awaited| awaited.purpose.release(self.ctx));
    }

    /// The peer did not go on in time, as one that lost its state: what was kept for it goes (RFC 9370 §2.2.4).
    pub(crate) fn awaited_due(&mut self) {
        let now = self.ctx.now;
        let late: Vec<Awaited> = self.line.awaited.extract_if(.., |awaited| awaited.until <= now).collect();
        for awaited in late {
            awaited.purpose.release(self.ctx);
            self.rival_withdrawn(&awaited.purpose);
        }
    }

    /// Our own request for the same, if its reply is out, has no rival any more.
    fn rival_withdrawn(&mut self, purpose: &Purpose) {
        match &mut self.line.own {
            Some(Own::IkeReply(own)) if purpose.is_ike() => own.rival.withdraw(),
            Some(Own::ChildReply(own)) if Some(own.draft.intent.aim()) == purpose.aim() => {
                own.rival.withdraw();
            }
            _ => {}
        }
    }

    /// An IKE_FOLLOWUP_KE request.
    pub(crate) fn peer_followup_request(&mut self, parts: Parts) {
        if let Err(failure) = self.peer_followup_begin(parts) {
            self.peer_followup_refuse(&failure);
        }
    }

    fn peer_followup_begin(&mut self, mut parts: Parts) -> Result<(), Failure> {
        let link = additional_key_exchange(&parts);
        let link = needed(link, "an IKE_FOLLOWUP_KE request without ADDITIONAL_KEY_EXCHANGE")?;
        let found = self.line.awaited.iter().position(|awaited| awaited.link == link);
        let awaited = self.line.awaited.remove(found.ok_or(Failure::FollowupForgotten)?);
        let ke = parts.ke.take().filter(|ke| u16::from(ke.method) == awaited.group.transform_id());
        let usable = self.line.is_current() && !self.up.is_closing();
        let (Some(ke), true) = (ke, usable) else {
            awaited.purpose.release(self.ctx);
            self.rival_withdrawn(&awaited.purpose);
            let wrong = Failure::Syntax("an IKE_FOLLOWUP_KE request without the KE agreed on");
            return Err(if usable { wrong } else { Failure::TemporaryFailure });
        };
        let task = KeyTask::Respond { peer: ke.data };
        let job = KeyAgreement { group: awaited.group, seed: self.ctx.seed(), task };
        let pending = self.ctx.ask(self.common.id, WantKind::KeyAgreement(job));
        self.line.peer = Some(Peer::FollowupSecret(Box::new(ExpectSharedSecret { awaited, pending })));
        Ok(())
    }

    pub(crate) fn peer_followup_secret(&mut self, state: ExpectSharedSecret, answer: Answer) {
        let Awaited { purpose, mut secrets, group, left, .. } = state.awaited;
        let (data, shared) = match answer.into_response() {
            Ok(response) => response,
            Err(failure) => {
                purpose.release(self.ctx);
                self.rival_withdrawn(&purpose);
                return self.peer_followup_refuse(&failure);
            }
        };
        secrets.add(&shared);
        let method = KeyExchangeId::from(group.transform_id());
        let payloads = vec![Payload::KeyExchange(KeyExchange { method, data })];
        match (left.split_first(), purpose) {
            (Some(next), purpose) => {
                self.await_followup(ExchangeType::IkeFollowupKe, payloads, purpose, secrets, next);
            }
            (None, Purpose::Child(pact)) => self.peer_child_complete(*pact, secrets, payloads),
            (None, Purpose::Ike(pact)) => self.peer_ike_complete(*pact, &secrets, payloads),
        }
    }

    /// Answers that it comes to nothing.
    pub(crate) fn peer_followup_refuse(&mut self, failure: &Failure) {
        let notify = Payload::Notify(Notify::new(failure.notify(), Vec::new()));
        self.reply(ExchangeType::IkeFollowupKe, vec![notify]);
        self.end_if_misbehaved(failure);
    }
}
