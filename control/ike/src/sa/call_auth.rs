//! We initiate: IKE_AUTH (RFC 7296 §1.2) with the first CHILD_SA, or without (RFC 6023).
//!
//! ([`ExpectSpi`]) -> ([`ExpectSignature`]) -> [`ExpectAuthReply`] -> ([`ExpectCalledPeers`]) -> ([`ExpectVerdict`] ->
//! [`ExpectVerification`]) -> up, where the CHILD_SA is installed, or asked for.

use super::backup;
use super::child_deal::{self, Intent};
use super::common::Common;
use super::crash;
use super::crossing;
use super::handshake::{Abort, Handshake};
use super::ike_sa::Opened;
use super::lookup::ExpectCalledPeers;
use super::methods;
use super::mobility;
use super::mode;
use super::parts::Parts;
use super::phase::{Calling, Next, Phase};
use super::ppk;
use super::proof::{self, Claim, Judged, Manner, OwnProof, Proven, SignedClaim, VerifyingClaim};
use super::reauthentication;
use super::redirect;
use super::second_auth::{self, Halfway, Stand};
use super::ticket;
use super::tried;
use super::up::{PeerHasIt, Task, Up};
use crate::config::{ChildId, IdentityMatch, InitialContact};
use crate::context::{Context, Pending};
use crate::crypto::negotiate::ChildExchange;
use crate::error::Failure;
use crate::recorder::Stage;
use crate::want::{AllocateSpi, Answer, Sign, WantKind};
use crate::window::Schedule;
use crate::wire::{Authentication, ExchangeType, Message, Notify, NotifyType, Outer, Payload, Redirect};
use crate::words;

/// What every wait of the exchange holds.
pub(crate) struct Course {
    pub(crate) handshake: Handshake,
    first: First,
    /// The first proof of the peer, while a second round goes on.
    halfway: Option<Halfway>,
}

/// The first CHILD_SA.
enum First {
    /// It comes with the exchange; this SPI is reserved for it.
    Now(Box<Intent>, u32),
    /// CREATE_CHILD_SA makes it.
    Later(ChildId),
}

/// The SPI for the first CHILD_SA is being reserved.
pub(crate) struct ExpectSpi {
    pub(crate) handshake: Handshake,
    intent: Intent,
    pub(crate) pending: Pending,
}

/// Our signature is being made, or with a PPK that the peer may do without, one of two.
pub(crate) struct ExpectSignature {
    pub(crate) course: Course,
    /// Proofs that are made.
    made: Vec<Authentication>,
    manner: Manner,
    pub(crate) pending: Pending,
}

/// The request is out.
pub(crate) struct ExpectAuthReply {
    pub(crate) course: Course,
}

/// The peer's certificate is being judged.
pub(crate) struct ExpectVerdict {
    pub(crate) course: Course,
    reply: Parts,
    claim: SignedClaim,
    pub(crate) pending: Pending,
}

/// The peer's signature is being verified.
pub(crate) struct ExpectVerification {
    pub(crate) course: Course,
    reply: Parts,
    claim: VerifyingClaim,
    pub(crate) pending: Pending,
}

/// Begins IKE_AUTH.
pub(crate) fn begin(
    ctx: &mut Context<'_>,
    common: &mut Common,
    mut handshake: Handshake,
    child: ChildId,
) -> Next {
    second_auth::demand(&handshake, &common.config)?;
    ppk::name(&mut handshake, common);
    if common.config.childless && handshake.childless {
        return Course { handshake, first: First::Later(child), halfway: None }.prove(
            ctx,
            common,
            Vec::new(),
        );
    }
    let config = common.config.child(child).ok_or(Failure::NotConfigured("the child is not configured"))?;
    mode::permitted(config, &common.esp_path()).map_err(Failure::from)?;
    let intent = Intent::new_child(config.clone(), common.packets.take(child));
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
        let first = First::Now(Box::new(intent), spi);
        Course { handshake, first, halfway: None }.prove(ctx, common, Vec::new())
    }
}

impl Course {
    /// Gives back what is held.
    pub(crate) fn release(&self, ctx: &mut Context<'_>) {
        if let First::Now(_, spi) = self.first {
            ctx.order(WantKind::ReleaseSpi(spi));
        }
    }

    /// Ends before the peer can believe that there is an IKE SA.
    fn fail(self, ctx: &mut Context<'_>, failure: Failure) -> Abort {
        self.release(ctx);
        failure.into()
    }

    /// Ends after the peer's proof, or what should be one, arrived: the peer is told.
    pub(crate) fn abandon(self, ctx: &mut Context<'_>, common: &Common, failure: Failure) -> Abort {
        self.release(ctx);
        self.handshake.abandon(ctx, common, failure)
    }

    /// Makes those of our proofs that are missing, or has them signed.
    fn prove(self, ctx: &mut Context<'_>, common: &mut Common, mut made: Vec<Authentication>) -> Next {
        let config = common.config.clone();
        while let Some(keys) = ppk::proof_keys(&self.handshake, &config, made.len()) {
            match proof::own(&self.handshake, keys, common) {
                Ok(OwnProof::Made(auth)) => made.push(auth),
                Ok(OwnProof::ToSign(manner, octets)) => {
                    let (connection, certificate) = (common.connection, common.own.entry);
                    let sign = Sign { connection, certificate, scheme: manner.scheme, octets };
                    let pending = ctx.ask(common.id, WantKind::Sign(sign));
                    let state = ExpectSignature { course: self, made, manner, pending };
                    return Ok(Phase::Calling(Calling::Signature(Box::new(state))));
                }
                Err(failure) => return Err(self.fail(ctx, failure)),
            }
        }
        self.send(ctx, common, made)
    }

    /// IDi, CERT, CERTREQ, IDr, AUTH, SA, TSi, TSr, notifications.
    fn send(self, ctx: &mut Context<'_>, common: &mut Common, proofs: Vec<Authentication>) -> Next {
        let config = common.config.clone();
        let mut payloads =
            vec![Payload::IdentificationInitiator(proof::identification(&common.own_identity()))];
        payloads.extend(proof::own_certificates(ctx, &self.handshake, common));
        match (&self.handshake.resumed, &config.remote_identity) {
            (Some(session), _) => payloads.push(Payload::IdentificationResponder(session.gateway.clone())),
            (None, remote) => {
                payloads.extend(proof::certificate_requests(&config));
                payloads.extend(methods::announced(std::iter::once(&*config)));
                payloads.extend(proof::ocsp_request(&config));
                payloads.extend(proof::lookup_supported(&config));
                payloads.extend(exact(remote));
            }
        }
        let mut proofs = proofs.into_iter();
        payloads.extend(proofs.next().map(Payload::Authentication));
        payloads.extend(crash::own(ctx, &self.handshake.sa));
        if let First::Now(intent, spi) = &self.first {
            payloads.extend(intent.offer(*spi, ChildExchange::IkeAuth));
            payloads.extend(intent.notifies());
        }
        payloads.extend(ppk::named(&self.handshake, proofs.next()));
        // "that this IKE SA is the only IKE SA currently active" (RFC 7296 §2.4): not if the peer is calling us, too.
        if config.initial_contact != InitialContact::Never && ctx.alone {
            payloads.push(Payload::Notify(Notify::new(NotifyType::InitialContact, Vec::new())));
        }
        payloads.extend(mobility::announced(common));
        payloads.extend(ticket::request(common));
        payloads.extend(second_auth::beside_first(&config));
        self.request(ctx, common, payloads)
    }

    fn request(mut self, ctx: &mut Context<'_>, common: &Common, payloads: Vec<Payload>) -> Next {
        let schedule = Schedule::Doubling(ctx.config.retransmission);
        match self.handshake.sa.request(ctx, common, ExchangeType::IkeAuth, payloads, schedule) {
            Ok(()) => Ok(ExpectAuthReply { course: self }.wait()),
            Err(failure) => Err(self.fail(ctx, failure)),
        }
    }

    /// Takes up what the peer's reply says, and judges its claim.
    fn replied(mut self, ctx: &mut Context<'_>, common: &mut Common, reply: Parts, claim: Claim) -> Next {
        let announced = second_auth::judge_announced(&common.config, &reply);
        match announced.and_then(|()| ppk::answered(&mut self.handshake, common, &reply)) {
            Ok(()) => self.judge(ctx, common, reply, claim),
            Err(failure) => Err(self.abandon(ctx, common, failure)),
        }
    }

    /// Judges the peer's claim.
    pub(crate) fn judge(
        self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        reply: Parts,
        claim: Claim,
    ) -> Next {
        let config = common.config.clone();
        match proof::judge(&self.handshake, (common.connection, &config), claim) {
            Ok(Judged::Proven(proven)) => self.first_done(ctx, common, reply, proven),
            Ok(Judged::Certificate(verdict, claim)) => {
                let pending = ctx.ask(common.id, WantKind::Verdict(verdict));
                let state = ExpectVerdict { course: self, reply, claim, pending };
                Ok(Phase::Calling(Calling::Verdict(Box::new(state))))
            }
            Ok(Judged::Elsewhere(lookup, claim)) => {
                Ok(ExpectCalledPeers::begin(ctx, common, (self, reply), (lookup, claim)))
            }
            Err(failure) => Err(self.abandon(ctx, common, failure)),
        }
    }

    /// The peer's first proof is done; a second round follows where one is configured.
    fn first_done(
        mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        reply: Parts,
        proven: Proven,
    ) -> Next {
        common.attempt.proof = None;
        let config = common.config.clone();
        match second_auth::after_first(&config, proven) {
            Stand::Proven(proven) => self.finish(ctx, common, reply, proven),
            Stand::Halfway(halfway) => {
                self.halfway = Some(halfway);
                let payloads = second_auth::own(&self.handshake, &config);
                self.request(ctx, common, payloads)
            }
        }
    }

    /// The answer to our second proof, with the peer's if it has one. An error in it is about proofs, or about the
    /// CHILD_SA.
    fn second_done(
        self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        mut reply: Parts,
        halfway: Halfway,
    ) -> Next {
        if reply.error().is_some_and(|error| !error.notify_type.is_about_child()) {
            let failure = refused(common, &reply);
            return Err(self.fail(ctx, failure));
        }
        common.attempt.proof = tried::second(&reply);
        match halfway.complete(&self.handshake, &common.config, &mut reply) {
            Ok(proven) => {
                common.attempt.proof = None;
                self.finish(ctx, common, reply, proven)
            }
            Err(failure) => Err(self.abandon(ctx, common, failure)),
        }
    }

    /// The child that a call elsewhere is for. The packet that wants it was told to this peer, and is to be told to the
    /// other.
    fn for_another(&self, common: &mut Common) -> ChildId {
        match &self.first {
            First::Now(intent, _) => {
                intent.packet().into_iter().for_each(|packet| common.packets.note(intent.config.id, packet));
                intent.config.id
            }
            First::Later(child) => *child,
        }
    }

    /// The gateway is proven and sends us elsewhere (RFC 5685 §6), if we have said that we can be redirected. Where we
    /// do not go there, nothing is left to do here either.
    fn redirected(&self, ctx: &Context<'_>, common: &mut Common, reply: &Parts) -> Option<Failure> {
        let notify = reply.notify(NotifyType::Redirect).filter(|_| redirect::announce(common).is_some())?;
        let child = self.for_another(common);
        let redirect = Redirect::from_notify(notify);
        let redirect = redirect.ok_or(Failure::Syntax("a REDIRECT that does not parse"));
        match redirect.and_then(|it| redirect::follow(ctx, common, &it.to, vec![child])) {
            Ok(onward) => {
                let to = onward.to.clone();
                common.onward = Some(Box::new(onward));
                Some(Failure::Redirected(to))
            }
            Err(failure) => Some(failure),
        }
    }

    /// The peer is proven: the IKE SA is up, whatever becomes of the CHILD_SA (RFC 7296 §1.2: a failure of the
    /// latter leaves the former).
    fn finish(self, ctx: &mut Context<'_>, common: &mut Common, reply: Parts, proven: Proven) -> Next {
        if let Some(failure) = self.redirected(ctx, common, &reply) {
            return Err(self.abandon(ctx, common, failure));
        }
        common.reached(Stage::Child);
        let Self { mut handshake, first, .. } = self;
        ppk::settle(&mut handshake, common);
        let nonces = (handshake.initiator_nonce, handshake.responder_nonce);
        common.mark = crossing::mark((&nonces.0, &nonces.1));
        mobility::negotiated(common, &reply);
        handshake.sa.crash_token = crash::of_peer(&reply);
        handshake.sa.ticket = ticket::given(ctx, common, &reply);
        let mut up = Up::begin(ctx, common, handshake.sa, proven);
        reauthentication::heed(ctx, common, &reply);
        match first {
            First::Now(intent, spi) => {
                let accepted = child_deal::accept(&intent, &reply, ChildExchange::IkeAuth)
                    .map_err(|failure| (failure, PeerHasIt(reply.sa.is_some())));
                up.first_child_as_initiator(ctx, common, *intent, spi, accepted, &nonces);
            }
            First::Later(child) => up.tasks.push_back(Task::CreateChild(child)),
        }
        Ok(Phase::Up(Box::new(up)))
    }
}

/// Whom we ask for, where it can only be one.
fn exact(remote: &IdentityMatch) -> Option<Payload> {
    match remote {
        IdentityMatch::Exact(identity) => {
            Some(Payload::IdentificationResponder(proof::identification(identity)))
        }
        _ => None,
    }
}

impl ExpectSignature {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        match answer {
            Answer::Sign(Ok(octets)) => {
                let Self { course, mut made, manner, .. } = self;
                match proof::signature_auth(manner, &octets) {
                    Ok(auth) => made.push(auth),
                    Err(failure) => return Err(course.fail(ctx, failure)),
                }
                course.prove(ctx, common, made)
            }
            Answer::Sign(Err(error)) => {
                Err(self.course.fail(ctx, Failure::AnswerRefused { what: "signing", error }))
            }
            _ => Err(self.course.fail(ctx, Failure::AnswerMismatch("signing"))),
        }
    }
}

impl ExpectAuthReply {
    fn wait(self) -> Phase {
        Phase::Calling(Calling::AuthReply(Box::new(self)))
    }

    pub(crate) fn datagram(mut self, ctx: &mut Context<'_>, common: &mut Common, outer: Outer) -> Next {
        self.course.handshake.hint(ctx, &outer);
        match self.course.handshake.sa.open(ctx, outer) {
            Opened::Message(unsealed) => self.message(ctx, common, unsealed.message),
            Opened::Malformed(header, _) if self.is_reply(&header) => {
                let failure = Failure::Syntax("the IKE_AUTH reply does not parse");
                Err(self.course.abandon(ctx, common, failure))
            }
            _ => Ok(self.wait()),
        }
    }

    fn is_reply(&self, header: &crate::wire::Header) -> bool {
        self.course.handshake.is_reply(header, ExchangeType::IkeAuth)
    }

    fn message(mut self, ctx: &mut Context<'_>, common: &mut Common, message: Message) -> Next {
        if !self.is_reply(&message.header) {
            return Ok(self.wait());
        }
        self.course.handshake.sa.window.reply_accepted();
        common.heard = ctx.now;
        common.reached(Stage::Proof);
        let mut parts = match Parts::of(message) {
            Ok(parts) => parts,
            Err(failure) => return Err(self.course.abandon(ctx, common, failure)),
        };
        if let Some(halfway) = self.course.halfway.take() {
            return self.course.second_done(ctx, common, parts, halfway);
        }
        let (Some(identification), Some(auth)) = (parts.responder_id.take(), parts.auth.take()) else {
            let failure = ppk::blame(&self.course.handshake, refused(common, &parts), false);
            return Err(self.course.fail(ctx, failure));
        };
        common.attempt.offered = words::claim(&proof::identity(&identification), auth.method, None);
        let certificates = std::mem::take(&mut parts.certificates);
        let responses = std::mem::take(&mut parts.responses);
        let claim = Claim { identification, auth, certificates, responses, without_ppk: None };
        common.attempt.proof = Some(tried::first(&self.course.handshake, &common.config, &claim));
        self.course.replied(ctx, common, parts, claim)
    }

    pub(crate) fn timeout(mut self, ctx: &mut Context<'_>, common: &mut Common) -> Next {
        match self.course.handshake.timeout(ctx, common) {
            Ok(()) => Ok(self.wait()),
            Err(failure) => {
                let child = self.course.for_another(common);
                let failure = backup::fell_silent(common, child, failure);
                Err(self.course.fail(ctx, failure))
            }
        }
    }
}

/// A reply without AUTH: the IKE SA does not come to be, and the peer has nothing to delete.
fn refused(common: &mut Common, parts: &Parts) -> Failure {
    let Some(error) = parts.error() else {
        return Failure::Syntax("an IKE_AUTH reply without IDr and AUTH");
    };
    common.attempt.peer_notify = Some(error.notify_type.into());
    match error.notify_type {
        NotifyType::AuthenticationFailed => Failure::AuthRefused,
        other => Failure::PeerError(other.into()),
    }
}

impl ExpectVerdict {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let vouched = match answer {
            Answer::Verdict(verdict) => self.claim.vouched(verdict),
            _ => Err(Failure::AnswerMismatch("certificate verdict")),
        };
        let Self { course, reply, .. } = self;
        match vouched {
            Ok((verify, claim)) => {
                let pending = ctx.ask(common.id, WantKind::Verify(verify));
                let state = ExpectVerification { course, reply, claim, pending };
                Ok(Phase::Calling(Calling::Verification(Box::new(state))))
            }
            Err(failure) => Err(course.abandon(ctx, common, failure)),
        }
    }
}

impl ExpectVerification {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let proven = match answer {
            Answer::Verify(verified) => self.claim.verified(verified),
            _ => Err(Failure::AnswerMismatch("signature verification")),
        };
        let Self { course, reply, .. } = self;
        match proven {
            Ok(proven) => course.first_done(ctx, common, reply, proven),
            Err(failure) => {
                let failure = ppk::blame(&course.handshake, failure, false);
                Err(course.abandon(ctx, common, failure))
            }
        }
    }
}
