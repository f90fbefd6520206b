//! We are called: IKE_INTERMEDIATE (RFC 9242), one exchange for each additional key exchange (RFC 9370 §2.2.2), between
//! IKE_SA_INIT and IKE_AUTH. None if none was agreed on.
//!
//! [`ExpectRequest`] -> [`ExpectSharedSecret`] -> reply, then the next one or [`super::called_auth`]. A caller that
//! leaves one out is not answered.

use super::called_auth::ExpectAuthRequest;
use super::common::Common;
use super::handshake::{Abort, Asked, Handshake};
use super::parts::{Parts, needed};
use super::phase::{Called, Next, Phase};
use crate::config::{AdditionalGroups, Connection, ConnectionId, Group};
use crate::context::{Context, Pending};
use crate::crypto::Unsealed;
use crate::error::Failure;
use crate::input::Datagram;
use crate::key_agreement::{KeyAgreement, Task};
use crate::recorder::Stage;
use crate::want::{Answer, Role, WantKind};
use crate::wire::{ExchangeType, KeyExchange, KeyExchangeId, Notify, Outer, ParseError, Payload};
use std::sync::Arc;

/// The way to IKE_AUTH.
pub(crate) struct Course {
    pub(crate) handshake: Handshake,
    candidates: Vec<(ConnectionId, Arc<Connection>)>,
    /// Key exchanges after the one under way.
    left: AdditionalGroups,
}

/// The caller's value for the next key exchange is awaited.
pub(crate) struct ExpectRequest {
    pub(crate) course: Course,
    group: Group,
}

/// Our value and the shared secret are being computed.
pub(crate) struct ExpectSharedSecret {
    pub(crate) course: Course,
    group: Group,
    pub(crate) pending: Pending,
}

/// Begins with what was agreed on, and awaits IKE_AUTH at once if that is nothing.
pub(crate) fn begin(
    common: &mut Common,
    handshake: Handshake,
    candidates: Vec<(ConnectionId, Arc<Connection>)>,
) -> Phase {
    let left = handshake.sa.suite.additional;
    Course { handshake, candidates, left }.go_on(common)
}

impl Course {
    fn go_on(self, common: &mut Common) -> Phase {
        let Some((group, left)) = self.left.split_first() else {
            common.reached(Stage::Auth);
            let Self { handshake, candidates, .. } = self;
            return Phase::Called(Called::AuthRequest(Box::new(ExpectAuthRequest { handshake, candidates })));
        };
        common.reached(Stage::Intermediate);
        ExpectRequest { course: Self { left, ..self }, group }.wait()
    }

    fn refuse(self, ctx: &mut Context<'_>, common: &Common, failure: Failure) -> Abort {
        let notify = Notify::new(failure.notify(), Vec::new());
        self.handshake.refuse(ctx, common, ExchangeType::IkeIntermediate, notify, failure)
    }
}

impl ExpectRequest {
    fn wait(self) -> Phase {
        Phase::Called(Called::IntermediateRequest(Box::new(self)))
    }

    pub(crate) fn datagram(
        mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        datagram: &Datagram,
        outer: Outer,
    ) -> Next {
        let sought = (outer, ExchangeType::IkeIntermediate);
        match self.course.handshake.asked(ctx, common, datagram, sought) {
            Asked::Next(unsealed) => self.request(ctx, common, unsealed),
            Asked::Malformed(error) => Err(self.malformed(ctx, common, error)),
            Asked::Another(_) | Asked::Nothing => Ok(self.wait()),
        }
    }

    fn malformed(self, ctx: &mut Context<'_>, common: &Common, error: ParseError) -> Abort {
        let (kind, data) = error.notify();
        let failure = Failure::Syntax("the IKE_INTERMEDIATE request does not parse");
        let (notify, exchange) = (Notify::new(kind, data), ExchangeType::IkeIntermediate);
        self.course.handshake.refuse(ctx, common, exchange, notify, failure)
    }

    fn request(mut self, ctx: &mut Context<'_>, common: &mut Common, unsealed: Unsealed) -> Next {
        let public = self.course.handshake.cover(Role::Initiator, &unsealed).and_then(|()| {
            let ke = needed(Parts::of(unsealed.message)?.ke, "an IKE_INTERMEDIATE request without KE")?;
            match u16::from(ke.method) == self.group.transform_id() {
                true => Ok(ke.data),
                false => {
                    Err(Failure::Syntax("the KE payload is not of the additional key exchange agreed on"))
                }
            }
        });
        let peer = match public {
            Ok(public) => public,
            Err(failure) => return Err(self.course.refuse(ctx, common, failure)),
        };
        let Self { course, group } = self;
        let job = KeyAgreement { group, seed: ctx.seed(), task: Task::Respond { peer } };
        let pending = ctx.ask(common.id, WantKind::KeyAgreement(job));
        let state = ExpectSharedSecret { course, group, pending };
        Ok(Phase::Called(Called::IntermediateSecret(Box::new(state))))
    }
}

impl ExpectSharedSecret {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let Self { mut course, group, .. } = self;
        let (data, shared) = match answer.into_response() {
            Ok(response) => response,
            Err(failure) => return Err(course.refuse(ctx, common, failure)),
        };
        let method = KeyExchangeId::from(group.transform_id());
        let payloads = vec![Payload::KeyExchange(KeyExchange { method, data })];
        course.handshake.reply_intermediate(ctx, common, payloads)?;
        course.handshake.advance(&shared)?;
        Ok(course.go_on(common))
    }

    /// The wait is over without answer.
    pub(crate) fn give_up(self, ctx: &mut Context<'_>, common: &Common, failure: Failure) -> Abort {
        self.course.refuse(ctx, common, failure)
    }
}
