//! The stages of a tunnel: calling or called, up, and lingering after its end.

use super::call::{ExpectInitReply, ExpectPublicValue, ExpectSharedSecret};
use super::call_auth::{ExpectAuthReply, ExpectSignature, ExpectSpi, ExpectVerdict, ExpectVerification};
use super::call_intermediate;
use super::call_resume;
use super::called;
use super::called_auth;
use super::called_intermediate;
use super::called_resume;
use super::called_second;
use super::handshake::{Abort, Handshake};
use super::ike_sa::{IkeSa, Opened};
use super::lookup;
use super::resolution;
use super::up::Up;
use crate::context::{Context, Pending};
use crate::error::{Failure, SecondProof};
use crate::time::Instant;
use crate::want::Path;
use crate::window::{Due, Incoming};
use crate::wire::{IkeSpi, Outer};
use std::time::Duration;

/// Where a tunnel is.
pub(crate) enum Phase {
    /// We called and are not up.
    Calling(Calling),
    /// We were called and are not up.
    Called(Called),
    /// Both sides are proven.
    Up(Box<Up>),
    /// Over; one IKE SA still repeats its last words.
    Lingering(Lingering),
}

/// What the initiator awaits.
pub(crate) enum Calling {
    Resolution(Box<resolution::ExpectAddresses>),
    ResumeVerdict(Box<call_resume::ExpectVerdict>),
    ResumeReply(Box<call_resume::ExpectReply>),
    PublicValue(Box<ExpectPublicValue>),
    InitReply(Box<ExpectInitReply>),
    SharedSecret(Box<ExpectSharedSecret>),
    IntermediatePublic(Box<call_intermediate::ExpectPublicValue>),
    IntermediateReply(Box<call_intermediate::ExpectReply>),
    IntermediateSecret(Box<call_intermediate::ExpectSharedSecret>),
    Spi(Box<ExpectSpi>),
    Signature(Box<ExpectSignature>),
    AuthReply(Box<ExpectAuthReply>),
    Lookup(Box<lookup::ExpectCalledPeers>),
    Verdict(Box<ExpectVerdict>),
    Verification(Box<ExpectVerification>),
}

/// What the responder awaits.
pub(crate) enum Called {
    ResumeVerdict(Box<called_resume::ExpectVerdict>),
    SharedSecret(Box<called::ExpectSharedSecret>),
    IntermediateRequest(Box<called_intermediate::ExpectRequest>),
    IntermediateSecret(Box<called_intermediate::ExpectSharedSecret>),
    AuthRequest(Box<called_auth::ExpectAuthRequest>),
    Lookup(Box<lookup::ExpectCallers>),
    Verdict(Box<called_auth::ExpectVerdict>),
    Verification(Box<called_auth::ExpectVerification>),
    Signature(Box<called_auth::ExpectSignature>),
    SecondRequest(Box<called_second::ExpectSecondRequest>),
    Admission(Box<called_auth::ExpectAdmission>),
}

/// How long a caller may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Until its IKE_AUTH request is here, from when it last asked for our answer.
    pub(crate) to_auth: Duration,
    /// Until its proof is checked, which takes time of ours, not of the caller's; from its first message.
    pub(crate) to_proof: Duration,
}

/// What a step of an unfinished tunnel leads to.
pub(crate) type Next = Result<Phase, Abort>;

/// An IKE SA after its end: it answers repetitions of the last request and repeats its own last request, until
/// that is answered or time is up.
pub(crate) struct Lingering {
    pub(crate) sa: Box<IkeSa>,
    pub(crate) until: Instant,
}

impl Calling {
    /// The SPI by which messages find this tunnel.
    pub(crate) fn local_spi(&self) -> IkeSpi {
        match self {
            Calling::Resolution(state) => state.spi(),
            Calling::ResumeVerdict(state) => state.spi(),
            Calling::ResumeReply(state) => state.spi(),
            Calling::PublicValue(state) => state.spi(),
            Calling::InitReply(state) => state.spi(),
            Calling::SharedSecret(state) => state.spi(),
            Calling::IntermediatePublic(state) => state.course.handshake.sa.local_spi(),
            Calling::IntermediateReply(state) => state.course.handshake.sa.local_spi(),
            Calling::IntermediateSecret(state) => state.course.handshake.sa.local_spi(),
            Calling::Spi(state) => state.handshake.sa.local_spi(),
            Calling::Signature(state) => state.course.handshake.sa.local_spi(),
            Calling::AuthReply(state) => state.course.handshake.sa.local_spi(),
            Calling::Lookup(state) => state.course.handshake.sa.local_spi(),
            Calling::Verdict(state) => state.course.handshake.sa.local_spi(),
            Calling::Verification(state) => state.course.handshake.sa.local_spi(),
        }
    }

    /// The question under way.
    pub(crate) fn pending(&self) -> Option<Pending> {
        match self {
            Calling::Resolution(state) => Some(state.pending),
            Calling::ResumeVerdict(state) => Some(state.pending),
            Calling::PublicValue(state) => Some(state.pending),
            Calling::SharedSecret(state) => Some(state.pending),
            Calling::IntermediatePublic(state) => Some(state.pending),
            Calling::IntermediateSecret(state) => Some(state.pending),
            Calling::Spi(state) => Some(state.pending),
            Calling::Signature(state) => Some(state.pending),
            Calling::Lookup(state) => Some(state.pending),
            Calling::Verdict(state) => Some(state.pending),
            Calling::Verification(state) => Some(state.pending),
            Calling::ResumeReply(_)
            | Calling::InitReply(_)
            | Calling::IntermediateReply(_)
            | Calling::AuthReply(_) => None,
        }
    }

    /// When it has something to do by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Calling::ResumeReply(state) => state.deadline(),
            Calling::InitReply(state) => state.deadline(),
            Calling::IntermediateReply(state) => state.course.handshake.deadline(),
            Calling::AuthReply(state) => state.course.handshake.deadline(),
            other => other.pending().map(|pending| pending.until),
        }
    }
}

impl Called {
    /// The SPI by which messages find this tunnel.
    pub(crate) fn local_spi(&self) -> IkeSpi {
        match self {
            Called::ResumeVerdict(state) => state.spi(),
            Called::SharedSecret(state) => state.spi(),
            Called::IntermediateRequest(state) => state.course.handshake.sa.local_spi(),
            Called::IntermediateSecret(state) => state.course.handshake.sa.local_spi(),
            Called::AuthRequest(state) => state.handshake.sa.local_spi(),
            Called::Lookup(state) => state.handshake.sa.local_spi(),
            Called::Verdict(state) => state.handshake.sa.local_spi(),
            Called::Verification(state) => state.handshake.sa.local_spi(),
            Called::Signature(state) => state.handshake.sa.local_spi(),
            Called::SecondRequest(state) => state.handshake.sa.local_spi(),
            Called::Admission(state) => state.handshake.sa.local_spi(),
        }
    }

    /// The question under way.
    pub(crate) fn pending(&self) -> Option<Pending> {
        match self {
            Called::ResumeVerdict(state) => Some(state.pending),
            Called::SharedSecret(state) => Some(state.pending),
            Called::IntermediateSecret(state) => Some(state.pending),
            Called::IntermediateRequest(_) | Called::AuthRequest(_) | Called::SecondRequest(_) => None,
            Called::Lookup(state) => Some(state.pending),
            Called::Verdict(state) => Some(state.pending),
            Called::Verification(state) => Some(state.pending),
            Called::Signature(state) => Some(state.pending),
            Called::Admission(state) => Some(state.pending),
        }
    }

    /// How long it may be half-open.
    pub(crate) fn limit(&self, patience: Patience) -> Duration {
        match self {
            Called::ResumeVerdict(_)
            | Called::SharedSecret(_)
            | Called::IntermediateRequest(_)
            | Called::IntermediateSecret(_)
            | Called::AuthRequest(_) => patience.to_auth,
            Called::Lookup(_)
            | Called::Verdict(_)
            | Called::Verification(_)
            | Called::Signature(_)
            | Called::SecondRequest(_)
            | Called::Admission(_) => patience.to_proof,
        }
    }

    /// Why it ends when that is over.
    pub(crate) fn expired(&self, patience: Patience) -> Failure {
        match self {
            Called::SecondRequest(_) => SecondProof::Withheld.into(),
            _ => Failure::HalfOpenTimeout(self.limit(patience)),
        }
    }

    /// When it has something to do by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.awaiting() {
            Some(handshake) => handshake.sa.fragments_until(),
            None => self.pending().map(|pending| pending.until),
        }
    }

    /// The IKE_SA_INIT or IKE_SESSION_RESUME request, which AUTH will cover, while the caller may still repeat it.
    pub(crate) fn init_request(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            Called::ResumeVerdict(state) => Some(state.request()),
            Called::SharedSecret(state) => Some(state.request()),
            Called::IntermediateRequest(state) => Some(&mut state.course.handshake.request),
            Called::AuthRequest(state) => Some(&mut state.handshake.request),
            _ => None,
        }
    }

    /// The handshake that awaits the caller's next request.
    pub(crate) fn awaiting(&self) -> Option<&Handshake> {
        match self {
            Called::IntermediateRequest(state) => Some(&state.course.handshake),
            Called::AuthRequest(state) => Some(&state.handshake),
            Called::SecondRequest(state) => Some(&state.handshake),
            _ => None,
        }
    }
}

impl Lingering {
    /// Answers repetitions; true once our own last request was answered.
    pub(crate) fn datagram(&mut self, ctx: &mut Context<'_>, path: &Path, outer: Outer) -> bool {
        let message = match self.sa.open(ctx, outer) {
            Opened::Message(unsealed) => unsealed.message.header,
            Opened::Repetition => {
                self.sa.repeat_reply(ctx, path);
                return false;
            }
            _ => return false,
        };
        if message.flags.response {
            if self.sa.window.awaits_reply(message.message_id) {
                self.sa.window.reply_accepted();
                return true;
            }
        } else if let Incoming::Answered(packets) = self.sa.window.classify(message.message_id) {
            ctx.answer_again(path, packets);
        }
        false
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.sa.window.deadline().map_or(self.until, |due| due.min(self.until))
    }

    /// True once there is nothing left to linger for.
    pub(crate) fn timeout(&mut self, ctx: &mut Context<'_>, path: &Path) -> bool {
        match self.sa.window.resend(ctx.now) {
            Due::Resend(packets) => ctx.send_again(path, packets),
            Due::GiveUp { .. } => return true,
            Due::Nothing => {}
        }
        self.until <= ctx.now
    }
}
