//! We are called: the second round of IKE_AUTH (RFC 4739 §2.1), between our answer to the first proof and what
//! [`called_auth`] makes of a caller that is proven.

use super::called_auth;
use super::common::Common;
use super::handshake::{Asked, Handshake};
use super::parts::Parts;
use super::phase::{Called, Next, Phase};
use super::second_auth::{self, Halfway};
use super::tried;
use crate::context::Context;
use crate::input::Datagram;
use crate::window::Incoming;
use crate::wire::{ExchangeType, Header, Message, Outer};

/// Both sides have made their first proofs, and the second round is awaited.
pub(crate) struct ExpectSecondRequest {
    pub(crate) handshake: Handshake,
    /// The first request: what it says of the CHILD_SA is answered at the end.
    request: Parts,
    halfway: Halfway,
}

impl ExpectSecondRequest {
    pub(crate) fn begin(handshake: Handshake, request: Parts, halfway: Halfway) -> Phase {
        ExpectSecondRequest { handshake, request, halfway }.wait()
    }

    fn wait(self) -> Phase {
        Phase::Called(Called::SecondRequest(Box::new(self)))
    }

    pub(crate) fn datagram(
        mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        datagram: &Datagram,
        outer: Outer,
    ) -> Next {
        match self.handshake.asked(ctx, common, datagram, (outer, ExchangeType::IkeAuth)) {
            Asked::Next(unsealed) => self.request(ctx, common, unsealed.message),
            Asked::Malformed(error) => Err(called_auth::malformed(self.handshake, ctx, common, error)),
            Asked::Another(header) => {
                self.repeat(ctx, common, &header);
                Ok(self.wait())
            }
            Asked::Nothing => Ok(self.wait()),
        }
    }

    /// The first request again: its answer was lost.
    fn repeat(&self, ctx: &mut Context<'_>, common: &Common, header: &Header) {
        if !header.flags.response
            && let Incoming::Answered(packets) = self.handshake.sa.window.classify(header.message_id)
        {
            ctx.answer_again(&common.path, packets);
        }
    }

    fn request(self, ctx: &mut Context<'_>, common: &mut Common, message: Message) -> Next {
        let Self { handshake, request, halfway } = self;
        let config = common.config.clone();
        let complete = |mut parts| {
            common.attempt.proof = tried::second(&parts);
            halfway.complete(&handshake, &config, &mut parts)
        };
        match Parts::of(message).and_then(complete) {
            Ok(proven) => {
                common.attempt.proof = None;
                let front = second_auth::own(&handshake, &config);
                Ok(called_auth::admit(ctx, common, handshake, request, proven, front))
            }
            Err(failure) => Err(called_auth::refuse(ctx, common, handshake, failure)),
        }
    }
}
