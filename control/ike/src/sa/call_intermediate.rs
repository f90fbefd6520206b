//! We initiate: IKE_INTERMEDIATE (RFC 9242), one exchange for each additional key exchange (RFC 9370 §2.2.2), between
//! IKE_SA_INIT and IKE_AUTH. None if none was agreed on.
//!
//! [`ExpectPublicValue`] -> [`ExpectReply`] -> [`ExpectSharedSecret`], then the next one or [`super::call_auth`].

use super::backup;
use super::call_auth;
use super::common::Common;
use super::handshake::Handshake;
use super::ike_sa::Opened;
use super::parts::{Parts, needed};
use super::phase::{Calling, Next, Phase};
use crate::config::{AdditionalGroups, ChildId, Group};
use crate::context::{Context, Pending};
use crate::crypto::Unsealed;
use crate::error::Failure;
use crate::key_agreement::{KeyAgreement, Seed, Task};
use crate::recorder::Stage;
use crate::want::{Answer, Role, WantKind};
use crate::wire::{ExchangeType, KeyExchange, KeyExchangeId, Outer, Payload};

/// The way to IKE_AUTH.
pub(crate) struct Course {
    pub(crate) handshake: Handshake,
    child: ChildId,
    /// Key exchanges after the one under way.
    left: AdditionalGroups,
}

/// Our public value is being computed.
pub(crate) struct ExpectPublicValue {
    pub(crate) course: Course,
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

/// The reply is here and the shared secret is being computed.
pub(crate) struct ExpectSharedSecret {
    pub(crate) course: Course,
    pub(crate) pending: Pending,
}

/// Begins with what was agreed on, and is in IKE_AUTH at once if that is nothing.
pub(crate) fn begin(
    ctx: &mut Context<'_>,
    common: &mut Common,
    handshake: Handshake,
    child: ChildId,
) -> Next {
    let left = handshake.sa.suite.additional;
    Course { handshake, child, left }.go_on(ctx, common)
}

impl Course {
    fn go_on(self, ctx: &mut Context<'_>, common: &mut Common) -> Next {
        let Some((group, left)) = self.left.split_first() else {
            common.reached(Stage::Auth);
            return call_auth::begin(ctx, common, self.handshake, self.child);
        };
        common.reached(Stage::Intermediate);
        let seed = ctx.seed();
        let job = KeyAgreement { group, seed: seed.clone(), task: Task::Generate };
        let pending = ctx.ask(common.id, WantKind::KeyAgreement(job));
        let state = ExpectPublicValue { course: Self { left, ..self }, group, seed, pending };
        Ok(Phase::Calling(Calling::IntermediatePublic(Box::new(state))))
    }
}

impl ExpectPublicValue {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let Answer::KeyAgreement(agreed) = answer else {
            return Err(Failure::AnswerMismatch("key agreement").into());
        };
        let agreed = agreed.map_err(|error| Failure::AnswerRefused { what: "key agreement", error })?;
        let Self { mut course, group, seed, .. } = self;
        let method = KeyExchangeId::from(group.transform_id());
        let payloads = vec![Payload::KeyExchange(KeyExchange { method, data: agreed.public })];
        course.handshake.request_intermediate(ctx, common, payloads)?;
        Ok(ExpectReply { course, group, seed }.wait())
    }
}

impl ExpectReply {
    fn wait(self) -> Phase {
        Phase::Calling(Calling::IntermediateReply(Box::new(self)))
    }

    pub(crate) fn datagram(mut self, ctx: &mut Context<'_>, common: &mut Common, outer: Outer) -> Next {
        let handshake = &mut self.course.handshake;
        handshake.hint(ctx, &outer);
        match handshake.sa.open(ctx, outer) {
            Opened::Message(unsealed)
                if handshake.is_reply(&unsealed.message.header, ExchangeType::IkeIntermediate) =>
            {
                self.reply(ctx, common, unsealed)
            }
            Opened::Malformed(header, _) if handshake.is_reply(&header, ExchangeType::IkeIntermediate) => {
                Err(Failure::Syntax("the IKE_INTERMEDIATE reply does not parse").into())
            }
            _ => Ok(self.wait()),
        }
    }

    fn reply(mut self, ctx: &mut Context<'_>, common: &mut Common, unsealed: Unsealed) -> Next {
        let handshake = &mut self.course.handshake;
        handshake.sa.window.reply_accepted();
        common.heard = ctx.now;
        handshake.cover(Role::Responder, &unsealed)?;
        let parts = Parts::of(unsealed.message)?;
        if let Some(error) = parts.error() {
            common.attempt.peer_notify = Some(error.notify_type.into());
            return Err(Failure::PeerError(error.notify_type.into()).into());
        }
        let ke = needed(parts.ke, "an IKE_INTERMEDIATE reply without KE")?;
        if u16::from(ke.method) != self.group.transform_id() {
            return Err(
                Failure::Syntax("the KE payload is not of the additional key exchange agreed on").into()
            );
        }
        let job = KeyAgreement { group: self.group, seed: self.seed, task: Task::Agree { peer: ke.data } };
        let pending = ctx.ask(common.id, WantKind::KeyAgreement(job));
        let state = ExpectSharedSecret { course: self.course, pending };
        Ok(Phase::Calling(Calling::IntermediateSecret(Box::new(state))))
    }

    pub(crate) fn timeout(mut self, ctx: &mut Context<'_>, common: &mut Common) -> Next {
        match self.course.handshake.timeout(ctx, common) {
            Ok(()) => Ok(self.wait()),
            Err(failure) => Err(backup::fell_silent(common, self.course.child, failure).into()),
        }
    }
}

impl ExpectSharedSecret {
    pub(crate) fn answer(mut self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let shared = answer.into_secret()?;
        self.course.handshake.advance(&shared)?;
        self.course.go_on(ctx, common)
    }
}
