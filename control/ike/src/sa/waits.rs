//! Answers, and answers that do not come, for the states of a tunnel that is not up.

use super::called_auth;
use super::common::Common;
use super::phase::{Called, Calling, Next, Phase};
use crate::context::{Context, Pending};
use crate::error::Failure;
use crate::want::Answer;

pub(crate) fn calling_answer(
    state: Calling,
    ctx: &mut Context<'_>,
    common: &mut Common,
    answer: Answer,
) -> Next {
    match state {
        Calling::Resolution(state) => state.answer(ctx, common, answer),
        Calling::ResumeVerdict(state) => state.answer(ctx, common, answer),
        Calling::PublicValue(state) => state.answer(ctx, common, answer),
        Calling::SharedSecret(state) => state.answer(ctx, common, answer),
        Calling::IntermediatePublic(state) => state.answer(ctx, common, answer),
        Calling::IntermediateSecret(state) => state.answer(ctx, common, answer),
        Calling::Spi(state) => state.answer(ctx, common, answer),
        Calling::Signature(state) => state.answer(ctx, common, answer),
        Calling::Lookup(state) => state.answer(ctx, common, answer),
        Calling::Verdict(state) => state.answer(ctx, common, answer),
        Calling::Verification(state) => state.answer(ctx, common, answer),
        other @ (Calling::ResumeReply(_)
        | Calling::InitReply(_)
        | Calling::IntermediateReply(_)
        | Calling::AuthReply(_)) => Ok(Phase::Calling(other)),
    }
}

pub(crate) fn called_answer(
    state: Called,
    ctx: &mut Context<'_>,
    common: &mut Common,
    answer: Answer,
) -> Next {
    match state {
        Called::ResumeVerdict(state) => state.answer(ctx, common, answer),
        Called::SharedSecret(state) => state.answer(ctx, common, answer),
        Called::IntermediateSecret(state) => state.answer(ctx, common, answer),
        Called::Lookup(state) => state.answer(ctx, common, answer),
        Called::Verdict(state) => state.answer(ctx, common, answer),
        Called::Verification(state) => state.answer(ctx, common, answer),
        Called::Signature(state) => state.answer(ctx, common, answer),
        Called::Admission(state) => state.answer(ctx, common, answer),
        other @ (Called::IntermediateRequest(_) | Called::AuthRequest(_) | Called::SecondRequest(_)) => {
            Ok(Phase::Called(other))
        }
    }
}

fn late(ctx: &Context<'_>, what: &'static str) -> Failure {
    Failure::AnswerTimeout { what, waited: ctx.config.answer_timeout }
}

fn is_late(ctx: &Context<'_>, pending: Option<Pending>) -> bool {
    pending.is_some_and(|pending| pending.until <= ctx.now)
}

pub(crate) fn calling_timeout(state: Calling, ctx: &mut Context<'_>, common: &Common) -> Next {
    if !is_late(ctx, state.pending()) {
        return Ok(Phase::Calling(state));
    }
    match state {
        Calling::Lookup(state) => {
            let failure = late(ctx, "the certificate lookup");
            Err(state.course.abandon(ctx, common, failure))
        }
        Calling::Verdict(state) => {
            let failure = late(ctx, "the certificate verdict");
            Err(state.course.abandon(ctx, common, failure))
        }
        Calling::Verification(state) => {
            let failure = late(ctx, "signature verification");
            Err(state.course.abandon(ctx, common, failure))
        }
        Calling::Resolution(_) => Err(late(ctx, "the name of the gateway that it is redirected to").into()),
        Calling::ResumeVerdict(_) => Err(late(ctx, "the certificate verdict").into()),
        Calling::Spi(_) => Err(late(ctx, "SPI allocation").into()),
        Calling::Signature(state) => {
            state.course.release(ctx);
            Err(late(ctx, "signing").into())
        }
        _ => Err(late(ctx, "key agreement").into()),
    }
}

pub(crate) fn called_timeout(state: Called, ctx: &mut Context<'_>, common: &Common) -> Next {
    if !is_late(ctx, state.pending()) {
        return Ok(Phase::Called(state.tick(ctx)));
    }
    let failure = match &state {
        Called::Lookup(_) => late(ctx, "the certificate lookup"),
        Called::Verdict(_) | Called::ResumeVerdict(_) => late(ctx, "the certificate verdict"),
        Called::Verification(_) => late(ctx, "signature verification"),
        Called::Signature(_) => late(ctx, "signing"),
        Called::Admission(_) => late(ctx, "admission"),
        _ => late(ctx, "key agreement"),
    };
    match state {
        Called::Lookup(state) => Err(called_auth::give_up(ctx, common, state.handshake, failure)),
        Called::Verdict(state) => Err(called_auth::give_up(ctx, common, state.handshake, failure)),
        Called::Verification(state) => Err(called_auth::give_up(ctx, common, state.handshake, failure)),
        Called::Signature(state) => Err(called_auth::give_up(ctx, common, state.handshake, failure)),
        Called::Admission(state) => Err(called_auth::give_up(ctx, common, state.handshake, failure)),
        Called::ResumeVerdict(state) => {
            state.refuse(ctx, common);
            Err(failure.into())
        }
        Called::IntermediateSecret(state) => Err(state.give_up(ctx, common, failure)),
        _ => Err(failure.into()),
    }
}

impl Called {
    /// Forgets fragments that waited too long.
    fn tick(mut self, ctx: &Context<'_>) -> Called {
        match &mut self {
            Called::IntermediateRequest(state) => state.course.handshake.sa.expire_fragments(ctx.now),
            Called::AuthRequest(state) => state.handshake.sa.expire_fragments(ctx.now),
            Called::SecondRequest(state) => state.handshake.sa.expire_fragments(ctx.now),
            _ => {}
        }
        self
    }
}

/// Gives back what an unfinished call holds.
pub(crate) fn release(state: &Calling, ctx: &mut Context<'_>) {
    match state {
        Calling::Signature(state) => state.course.release(ctx),
        Calling::AuthReply(state) => state.course.release(ctx),
        Calling::Lookup(state) => state.course.release(ctx),
        Calling::Verdict(state) => state.course.release(ctx),
        Calling::Verification(state) => state.course.release(ctx),
        _ => {}
    }
}
