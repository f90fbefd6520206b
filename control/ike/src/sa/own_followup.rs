//! We go on with additional key exchanges after CREATE_CHILD_SA, for a CHILD_SA or for an IKE SA: IKE_FOLLOWUP_KE (RFC
//! 9370 §2.2.4).
//!
//! [`ExpectPublicValue`] -> [`ExpectReply`] -> [`ExpectSharedSecret`], then the next one, or what it was all for:
//! [`super::own_child`], [`super::own_ike`]. Until the last one the peer has made nothing.

use super::line::Own;
use super::parts::Parts;
use super::turn::Turn;
use super::{own_child, own_ike};
use crate::config::{AdditionalGroups, Group};
use crate::context::Pending;
use crate::crypto::SharedSecrets;
use crate::error::Failure;
use crate::key_agreement::{KeyAgreement, Seed, Task as KeyTask};
use crate::want::{Answer, WantKind};
use crate::wire::{ExchangeType, KeyExchange, KeyExchangeId, Notify, NotifyType, Payload};

/// How often a series that the peer has forgotten is begun again.
const RETRIES: u8 = 3;

/// What the key exchanges are for.
pub(crate) enum Purpose {
    Child(Box<own_child::Pact>),
    Ike(Box<own_ike::Pact>),
}

/// The way to the last of them.
pub(crate) struct Course {
    pub(crate) purpose: Purpose,
    secrets: SharedSecrets,
    /// Key exchanges after the one under way.
    left: AdditionalGroups,
}

/// Our public value is being computed.
pub(crate) struct ExpectPublicValue {
    pub(crate) course: Course,
    link: Vec<u8>,
    group: Group,
    seed: Seed,
    pub(crate) pending: Pending,
}

/// The request is out.
pub(crate) struct ExpectReply {
    pub(crate) course: Course,
    group: Group,
    seed: Seed,
}

/// The shared secret is being computed.
pub(crate) struct ExpectSharedSecret {
    pub(crate) course: Course,
    /// What the next request has to repeat, if there is to be one.
    link: Option<Vec<u8>>,
    pub(crate) pending: Pending,
}

impl Course {
    /// Whether the peer has made what it is for: its last reply is here.
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.left.is_empty()
    }
}

impl Turn<'_, '_> {
    /// Goes on after CREATE_CHILD_SA, whose secret is in `secrets`, with what was agreed on.
    pub(crate) fn start_followups(
        &mut self,
        purpose: Purpose,
        secrets: SharedSecrets,
        additional: AdditionalGroups,
        link: Option<Vec<u8>>,
    ) {
        self.own_followup_next(Course { purpose, secrets, left: additional }, link);
    }

    fn own_followup_next(&mut self, course: Course, link: Option<Vec<u8>>) {
        let Some((group, left)) = course.left.split_first() else {
            self.up.forgotten = 0;
            return match course.purpose {
                Purpose::Child(pact) => self.own_child_complete(*pact, Some(course.secrets)),
                Purpose::Ike(pact) => self.own_ike_complete(*pact, &course.secrets),
            };
        };
        // The responder gives out a link as long as more is to come (RFC 9370 §2.2.4).
        let Some(link) = link else {
            return self
                .own_followup_failed(course, Failure::Syntax("a reply without ADDITIONAL_KEY_EXCHANGE"));
        };
        let seed = self.ctx.seed();
        let job = KeyAgreement { group, seed: seed.clone(), task: KeyTask::Generate };
        let pending = self.ctx.ask(self.common.id, WantKind::KeyAgreement(job));
        let course = Course { left, ..course };
        let state = ExpectPublicValue { course, link, group, seed, pending };
        self.line.own = Some(Own::FollowupPublic(Box::new(state)));
    }

    pub(crate) fn own_followup_public(&mut self, state: ExpectPublicValue, answer: Answer) {
        let ExpectPublicValue { course, link, group, seed, .. } = state;
        let sent = answer.into_public().and_then(|data| {
            let method = KeyExchangeId::from(group.transform_id());
            let payloads = vec![
                Payload::KeyExchange(KeyExchange { method, data }),
                Payload::Notify(Notify::new(NotifyType::AdditionalKeyExchange, link)),
            ];
            self.request(ExchangeType::IkeFollowupKe, payloads)
        });
        match sent {
            Ok(()) => {
                self.line.own = Some(Own::FollowupReply(Box::new(ExpectReply { course, group, seed })));
            }
            Err(failure) => self.own_followup_not_sent(course, failure),
        }
    }

    pub(crate) fn own_followup_reply(&mut self, state: ExpectReply, mut parts: Parts) {
        let ExpectReply { course, group, seed } = state;
        if let Some(error) = parts.error().map(|error| error.notify_type) {
            return self.own_followup_refused(course, error);
        }
        let link = additional_key_exchange(&parts);
        let ke = parts.ke.take().filter(|ke| u16::from(ke.method) == group.transform_id());
        let Some(ke) = ke else {
            return self.own_followup_failed(
                course,
                Failure::Syntax("an IKE_FOLLOWUP_KE reply without the KE agreed on"),
            );
        };
        let job = KeyAgreement { group, seed, task: KeyTask::Agree { peer: ke.data } };
        let pending = self.ctx.ask(self.common.id, WantKind::KeyAgreement(job));
        let state = ExpectSharedSecret { course, link, pending };
        self.line.own = Some(Own::FollowupSecret(Box::new(state)));
    }

    pub(crate) fn own_followup_secret(&mut self, state: ExpectSharedSecret, answer: Answer) {
        let ExpectSharedSecret { mut course, link, .. } = state;
        match answer.into_secret() {
            Ok(shared) => {
                course.secrets.add(&shared);
                self.own_followup_next(course, link);
            }
            Err(failure) => self.own_followup_failed(course, failure),
        }
    }

    /// The peer breaks it off and has made nothing: for one that has forgotten what came before, STATE_NOT_FOUND says so
    /// (RFC 9370 §2.2.4). It is begun again, later. "If the initiator continues to receive STATE_NOT_FOUND notifications
    /// after several retries, it MUST treat this situation as a fatal error and delete the IKE SA".
    fn own_followup_refused(&mut self, course: Course, error: NotifyType) {
        let forgotten =
            if error == NotifyType::StateNotFound { self.up.forgotten.saturating_add(1) } else { 0 };
        self.up.forgotten = forgotten;
        self.own_followup_broken_off(course, error);
        if forgotten > RETRIES {
            self.close(Failure::FollowupForgotten);
        }
    }

    fn own_followup_broken_off(&mut self, course: Course, error: NotifyType) {
        match (course.purpose, error) {
            (Purpose::Child(pact), error) => self.own_child_broken_off(*pact, error),
            (Purpose::Ike(_), NotifyType::TemporaryFailure) => self.rekey_ike_later(),
            (Purpose::Ike(_), NotifyType::StateNotFound) => self.own_ike_failed(Failure::FollowupForgotten),
            (Purpose::Ike(_), other) => self.own_ike_failed(Failure::PeerError(other.into())),
        }
    }

    /// The peer takes back the CHILD_SA they were for: it had made it, by an answer that has not come.
    pub(crate) fn own_followup_withdrawn(&mut self, own: Own) {
        self.line.own = matches!(own, Own::FollowupReply(_)).then_some(Own::Nothing);
        own.into_child_pact().into_iter().for_each(|pact| self.own_child_withdrawn(pact.draft));
    }

    /// Nothing was sent: what the peer keeps for us, it forgets.
    fn own_followup_not_sent(&mut self, course: Course, failure: Failure) {
        match course.purpose {
            Purpose::Child(pact) => self.own_child_dropped(*pact, failure),
            Purpose::Ike(_) => self.own_ike_failed(failure),
        }
    }

    /// We cannot go on. After the last reply the peer has made what we cannot use.
    fn own_followup_failed(&mut self, course: Course, failure: Failure) {
        match (course.is_at_its_end(), course.purpose) {
            (true, Purpose::Child(pact)) => self.own_child_unusable(pact.draft, failure),
            (true, Purpose::Ike(_)) => self.up.ended = Some(failure),
            (false, Purpose::Child(pact)) => self.own_child_dropped(*pact, failure),
            (false, Purpose::Ike(_)) => self.own_ike_failed(failure),
        }
    }
}

/// The data of ADDITIONAL_KEY_EXCHANGE, by which the peer finds what it keeps. Opaque to us.
pub(crate) fn additional_key_exchange(parts: &Parts) -> Option<Vec<u8>> {
    parts.notify(NotifyType::AdditionalKeyExchange).map(|notify| notify.data.clone())
}
