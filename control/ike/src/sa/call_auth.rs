//! We initiate: IKE_AUTH (RFC 7296 §1.2) with the first CHILD_SA.
//!
//! [`ExpectSpi`] -> ([`ExpectSignature`]) -> [`ExpectAuthReply`] -> ([`ExpectVerdict`] -> [`ExpectVerification`]) ->
//! up, where the CHILD_SA is installed.

use super::child_deal::{self, Intent};
use super::common::Common;
use super::crossing;
use super::handshake::{Abort, Handshake};
use super::ike_sa::Opened;
use super::parts::Parts;
use super::phase::{Calling, Next, Phase};
use super::proof::{self, Claim, Judged, OwnProof, Proven, SignedClaim, VerifyingClaim};
use super::up::Up;
use crate::config::{ChildId, InitialContact, SignatureScheme};
use crate::context::{Context, Pending};
use crate::crypto::negotiate::ChildExchange;
use crate::error::Failure;
use crate::recorder::Stage;
use crate::want::{AllocateSpi, Answer, Sign, WantKind};
use crate::window::Schedule;
use crate::wire::{Authentication, ExchangeType, Message, Notify, NotifyType, Outer, Payload};

/// The SPI for the first CHILD_SA is being reserved.
pub(crate) struct ExpectSpi {
    pub(crate) handshake: Handshake,
    intent: Intent,
    pub(crate) pending: Pending,
}

/// Our signature is being made.
pub(crate) struct ExpectSignature {
    pub(crate) handshake: Handshake,
    intent: Intent,
    spi: u32,
    scheme: SignatureScheme,
    pub(crate) pending: Pending,
}

/// The request is out.
pub(crate) struct ExpectAuthReply {
    pub(crate) handshake: Handshake,
    intent: Intent,
    spi: u32,
}

/// The peer's certificate is being judged.
pub(crate) struct ExpectVerdict {
    pub(crate) handshake: Handshake,
    intent: Intent,
    spi: u32,
    reply: Parts,
    claim: SignedClaim,
    pub(crate) pending: Pending,
}

/// The peer's signature is being verified.
pub(crate) struct ExpectVerification {
    pub(crate) handshake: Handshake,
    intent: Intent,
    spi: u32,
    reply: Parts,
    claim: VerifyingClaim,
    pub(crate) pending: Pending,
}

/// Begins IKE_AUTH.
pub(crate) fn begin(
    ctx: &mut Context<'_>,
    common: &mut Common,
    handshake: Handshake,
    child: ChildId,
) -> Result<Phase, Failure> {
    let config = common.config.child(child).ok_or(Failure::NotConfigured("the child is not configured"))?;
    let intent = Intent::new_child(config.clone());
    let want = AllocateSpi {
        instance: common.path.instance,
        ike: common.id,
        connection: common.connection,
        config: child,
        replaces: None,
    };
    let pending = ctx.ask(common.id, WantKind::AllocateSpi(want));
    Ok(Phase::Calling(Calling::Spi(Box::new(ExpectSpi { handshake, intent, pending }))))
}

impl ExpectSpi {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let Answer::AllocateSpi(spi) = answer else {
            return Err(Failure::AnswerMismatch("SPI allocation").into());
        };
        let spi = spi.map_err(|error| Failure::AnswerRefused { what: "SPI allocation", error })?;
        let Self { handshake, intent, .. } = self;
        match proof::own(&handshake, &common.config) {
            Ok(OwnProof::Made(auth)) => send(ctx, common, handshake, intent, spi, auth),
            Ok(OwnProof::ToSign(scheme, octets)) => {
                let sign = Sign { connection: common.connection, scheme, octets };
                let pending = ctx.ask(common.id, WantKind::Sign(sign));
                let state = ExpectSignature { handshake, intent, spi, scheme, pending };
                Ok(Phase::Calling(Calling::Signature(Box::new(state))))
            }
            Err(failure) => Err(release(ctx, spi, failure)),
        }
    }
}

impl ExpectSignature {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let octets = match answer {
            Answer::Sign(Ok(octets)) => octets,
            Answer::Sign(Err(error)) => {
                return Err(release(ctx, self.spi, Failure::AnswerRefused { what: "signing", error }));
            }
            _ => return Err(release(ctx, self.spi, Failure::AnswerMismatch("signing"))),
        };
        let auth = proof::signature_auth(self.scheme, &octets);
        send(ctx, common, self.handshake, self.intent, self.spi, auth)
    }

    /// Gives back what this wait holds.
    pub(crate) fn release(&self, ctx: &mut Context<'_>) {
        ctx.order(WantKind::ReleaseSpi(self.spi));
    }
}

fn release(ctx: &mut Context<'_>, spi: u32, failure: Failure) -> Abort {
    ctx.order(WantKind::ReleaseSpi(spi));
    failure.into()
}

/// IDi, CERT, CERTREQ, IDr, AUTH, SA, TSi, TSr.
fn send(
    ctx: &mut Context<'_>,
    common: &mut Common,
    mut handshake: Handshake,
    intent: Intent,
    spi: u32,
    auth: Authentication,
) -> Next {
    let config = common.config.clone();
    let mut payloads = vec![Payload::IdentificationInitiator(proof::identification(&config.local_identity))];
    payloads.extend(proof::own_certificates(&config));
    payloads.extend(proof::certificate_request(&config));
    if let crate::config::IdentityMatch::Exact(identity) = &config.remote_identity {
        payloads.push(Payload::IdentificationResponder(proof::identification(identity)));
    }
    payloads.push(Payload::Authentication(auth));
    payloads.extend(intent.offer(spi, ChildExchange::IkeAuth));
    // "that this IKE SA is the only IKE SA currently active" (RFC 7296 §2.4): not if the peer is calling us, too.
    if config.initial_contact != InitialContact::Never && ctx.alone {
        payloads.push(Payload::Notify(Notify::new(NotifyType::InitialContact, Vec::new())));
    }
    let schedule = Schedule::Doubling(ctx.config.retransmission);
    if let Err(failure) = handshake.sa.request(ctx, common, ExchangeType::IkeAuth, payloads, schedule) {
        return Err(release(ctx, spi, failure));
    }
    let state = ExpectAuthReply { handshake, intent, spi };
    Ok(Phase::Calling(Calling::AuthReply(Box::new(state))))
}

impl ExpectAuthReply {
    fn wait(self) -> Phase {
        Phase::Calling(Calling::AuthReply(Box::new(self)))
    }

    pub(crate) fn release(&self, ctx: &mut Context<'_>) {
        ctx.order(WantKind::ReleaseSpi(self.spi));
    }

    pub(crate) fn datagram(mut self, ctx: &mut Context<'_>, common: &mut Common, outer: Outer) -> Next {
        match self.handshake.sa.open(ctx, outer) {
            Opened::Message(unsealed) => self.message(ctx, common, unsealed.message),
            Opened::Malformed(header, _) if self.is_reply(&header) => {
                ctx.order(WantKind::ReleaseSpi(self.spi));
                Err(self.handshake.abandon(ctx, common, Failure::Syntax("the IKE_AUTH reply does not parse")))
            }
            _ => Ok(self.wait()),
        }
    }

    fn is_reply(&self, header: &crate::wire::Header) -> bool {
        self.handshake.is_reply(header, ExchangeType::IkeAuth)
    }

    fn message(mut self, ctx: &mut Context<'_>, common: &mut Common, message: Message) -> Next {
        if !self.is_reply(&message.header) {
            return Ok(self.wait());
        }
        self.handshake.sa.window.reply_accepted();
        common.heard = ctx.now;
        common.reached(Stage::Proof);
        let (handshake, spi) = (self.handshake, self.spi);
        let mut parts = match Parts::of(message) {
            Ok(parts) => parts,
            Err(failure) => {
                ctx.order(WantKind::ReleaseSpi(spi));
                return Err(handshake.abandon(ctx, common, failure));
            }
        };
        let (Some(identification), Some(auth)) = (parts.responder_id.take(), parts.auth.take()) else {
            ctx.order(WantKind::ReleaseSpi(spi));
            return Err(refused(common, &parts));
        };
        let claim = Claim { identification, auth, certificates: std::mem::take(&mut parts.certificates) };
        judge(ctx, common, handshake, self.intent, spi, parts, claim)
    }

    pub(crate) fn timeout(mut self, ctx: &mut Context<'_>, common: &Common) -> Next {
        match self.handshake.timeout(ctx, common) {
            Ok(()) => Ok(self.wait()),
            Err(failure) => Err(release(ctx, self.spi, failure)),
        }
    }
}

/// A reply without AUTH: the IKE SA does not come to be, and the peer has nothing to delete.
fn refused(common: &mut Common, parts: &Parts) -> Abort {
    let Some(error) = parts.error() else {
        return Failure::Syntax("an IKE_AUTH reply without IDr and AUTH").into();
    };
    common.attempt.peer_notify = Some(error.notify_type.into());
    match error.notify_type {
        NotifyType::AuthenticationFailed => Failure::AuthRefused.into(),
        other => Failure::PeerError(other.into()).into(),
    }
}

fn judge(
    ctx: &mut Context<'_>,
    common: &mut Common,
    handshake: Handshake,
    intent: Intent,
    spi: u32,
    reply: Parts,
    claim: Claim,
) -> Next {
    let config = common.config.clone();
    match proof::judge(&handshake, (common.connection, &config), claim) {
        Ok(Judged::Proven(proven)) => finish(ctx, common, handshake, intent, spi, reply, proven),
        Ok(Judged::Certificate(verdict, claim)) => {
            let pending = ctx.ask(common.id, WantKind::Verdict(verdict));
            let state = ExpectVerdict { handshake, intent, spi, reply, claim, pending };
            Ok(Phase::Calling(Calling::Verdict(Box::new(state))))
        }
        Err(failure) => {
            ctx.order(WantKind::ReleaseSpi(spi));
            Err(handshake.abandon(ctx, common, failure))
        }
    }
}

impl ExpectVerdict {
    /// The reserved SPI.
    pub(crate) fn spi(&self) -> u32 {
        self.spi
    }

    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let vouched = match answer {
            Answer::Verdict(verdict) => self.claim.vouched(verdict),
            _ => Err(Failure::AnswerMismatch("certificate verdict")),
        };
        let Self { handshake, intent, spi, reply, .. } = self;
        match vouched {
            Ok((verify, claim)) => {
                let pending = ctx.ask(common.id, WantKind::Verify(verify));
                let state = ExpectVerification { handshake, intent, spi, reply, claim, pending };
                Ok(Phase::Calling(Calling::Verification(Box::new(state))))
            }
            Err(failure) => {
                ctx.order(WantKind::ReleaseSpi(spi));
                Err(handshake.abandon(ctx, common, failure))
            }
        }
    }

    /// The wait is over without answer.
    pub(crate) fn give_up(self, ctx: &mut Context<'_>, common: &Common, failure: Failure) -> Abort {
        ctx.order(WantKind::ReleaseSpi(self.spi));
        self.handshake.abandon(ctx, common, failure)
    }
}

impl ExpectVerification {
    /// The reserved SPI.
    pub(crate) fn spi(&self) -> u32 {
        self.spi
    }

    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let proven = match answer {
            Answer::Verify(verified) => self.claim.verified(verified),
            _ => Err(Failure::AnswerMismatch("signature verification")),
        };
        let Self { handshake, intent, spi, reply, .. } = self;
        match proven {
            Ok(proven) => finish(ctx, common, handshake, intent, spi, reply, proven),
            Err(failure) => {
                ctx.order(WantKind::ReleaseSpi(spi));
                Err(handshake.abandon(ctx, common, failure))
            }
        }
    }

    /// The wait is over without answer.
    pub(crate) fn give_up(self, ctx: &mut Context<'_>, common: &Common, failure: Failure) -> Abort {
        ctx.order(WantKind::ReleaseSpi(self.spi));
        self.handshake.abandon(ctx, common, failure)
    }
}

/// The peer is proven: the IKE SA is up, whatever becomes of the CHILD_SA (RFC 7296 §1.2: a failure of the
/// latter leaves the former).
fn finish(
    ctx: &mut Context<'_>,
    common: &mut Common,
    handshake: Handshake,
    intent: Intent,
    spi: u32,
    reply: Parts,
    proven: Proven,
) -> Next {
    common.reached(Stage::Child);
    let accepted = child_deal::accept(&intent, &reply, ChildExchange::IkeAuth);
    let nonces = (handshake.initiator_nonce, handshake.responder_nonce);
    common.mark = crossing::mark((&nonces.0, &nonces.1));
    let mut up = Up::begin(ctx, common, handshake.sa, proven);
    up.first_child_as_initiator(ctx, common, intent, spi, accepted, &nonces);
    Ok(Phase::Up(Box::new(up)))
}
