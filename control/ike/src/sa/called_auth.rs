//! We are called: IKE_AUTH (RFC 7296 §1.2).
//!
//! [`ExpectAuthRequest`] -> ([`ExpectCallers`]) -> ([`ExpectVerdict`] -> [`ExpectVerification`]) -> ([`ExpectSignature`]) ->
//! ([`ExpectSecondRequest`]) -> ([`ExpectAdmission`], by a gateway) -> up, where the CHILD_SA is made and the reply sent.

use super::called_second::ExpectSecondRequest;
use super::client;
use super::common::Common;
use super::crash;
use super::crossing;
use super::handshake::{Abort, Asked, Handshake};
use super::lookup::ExpectCallers;
use super::methods::{self, Taken};
use super::mobility;
use super::parts::Parts;
use super::phase::{Called, Next, Phase};
use super::ppk;
use super::proof::{self, Claim, Judged, Manner, OwnProof, Proven, SignedClaim, VerifyingClaim};
use super::reauthentication;
use super::redirect;
use super::second_auth::{self, Stand};
use super::tried;
use super::up::Up;
use crate::config::{Connection, ConnectionId, RemoteAddress};
use crate::context::{Aside, Context, Pending};
use crate::error::Failure;
use crate::event::Proof;
use crate::input::Datagram;
use crate::recorder::Stage;
use crate::want::{Admit, Answer, Role, Sign, WantKind};
use crate::wire::{
    Authentication, ExchangeType, Identification, Message, Notify, NotifyType, Outer, ParseError, Payload,
};
use crate::words;
use std::sync::Arc;

/// Keys exist; the request that proves the caller is awaited.
pub(crate) struct ExpectAuthRequest {
    pub(crate) handshake: Handshake,
    pub(crate) candidates: Vec<(ConnectionId, Arc<Connection>)>,
}

/// The caller's certificate is being judged.
pub(crate) struct ExpectVerdict {
    pub(crate) handshake: Handshake,
    request: Parts,
    claim: SignedClaim,
    pub(crate) pending: Pending,
}

/// The caller's signature is being verified.
pub(crate) struct ExpectVerification {
    pub(crate) handshake: Handshake,
    request: Parts,
    claim: VerifyingClaim,
    pub(crate) pending: Pending,
}

/// Our signature is being made.
pub(crate) struct ExpectSignature {
    pub(crate) handshake: Handshake,
    request: Parts,
    proven: Proven,
    manner: Manner,
    pub(crate) pending: Pending,
}

/// Both sides are proven, and the caller's connection is being made.
pub(crate) struct ExpectAdmission {
    pub(crate) handshake: Handshake,
    request: Parts,
    proven: Proven,
    front: Vec<Payload>,
    pub(crate) pending: Pending,
}

impl ExpectAuthRequest {
    fn wait(self) -> Phase {
        Phase::Called(Called::AuthRequest(Box::new(self)))
    }

    pub(crate) fn datagram(
        mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        datagram: &Datagram,
        outer: Outer,
    ) -> Next {
        match self.handshake.asked(ctx, common, datagram, (outer, ExchangeType::IkeAuth)) {
            Asked::Next(unsealed) => {
                common.reached(Stage::Proof);
                self.request(ctx, common, unsealed.message)
            }
            Asked::Malformed(error) => {
                common.reached(Stage::Proof);
                Err(malformed(self.handshake, ctx, common, error))
            }
            Asked::Another(_) | Asked::Nothing => Ok(self.wait()),
        }
    }

    fn request(self, ctx: &mut Context<'_>, common: &mut Common, message: Message) -> Next {
        let Self { mut handshake, candidates } = self;
        let claimed = Parts::of(message).and_then(|mut parts| {
            let identification = parts.initiator_id.take();
            let identification = identification.ok_or(Failure::Syntax("an IKE_AUTH request without IDi"))?;
            // Without AUTH the caller wants EAP, which no connection here has.
            common.attempt.proof = Some(Proof::Other);
            let auth = parts
                .auth
                .take()
                .ok_or(Failure::AuthMethod { offered: 0, configured: "PSK or signature" })?;
            let asked = parts.responder_id.as_ref().map(proof::identity);
            common.attempt.offered =
                words::claim(&proof::identity(&identification), auth.method, asked.as_ref());
            let certificates = std::mem::take(&mut parts.certificates);
            let without_ppk = parts.notify(NotifyType::NoPpkAuth).map(|notify| notify.data.clone());
            let responses = std::mem::take(&mut parts.responses);
            handshake.wants_ocsp = parts.wants_ocsp;
            handshake.looks_up = parts.has(NotifyType::HttpCertLookupSupported);
            Ok((parts, Claim { identification, auth, certificates, responses, without_ppk }))
        });
        let judged = claimed.and_then(|(parts, mut claim)| {
            let selected = select(&candidates, &claim.identification, parts.responder_id.as_ref());
            let judges = selected.as_ref().map_or(&common.config, |(_, config)| config);
            common.attempt.proof = Some(tried::first(&handshake, judges, &claim));
            let (id, config) = selected.inspect_err(|failure| {
                if let Failure::IdentityRefused(claimed) = failure {
                    let configured = candidates.iter().map(|(_, config)| &config.remote_identity);
                    common.attempt.difference = words::identities(claimed, configured);
                    blame_gateway(common, &candidates);
                }
            })?;
            (common.connection, common.config) = (id, config);
            let claimed = proof::identity(&claim.identification);
            client::take_up(&mut handshake, common, &claimed, claim.auth.method)?;
            show(common, &mut handshake, &parts);
            mobility::permit(common, &parts)?;
            second_auth::judge_announced(&common.config, &parts)?;
            ppk::take_up(&mut handshake, common, &parts, &mut claim)?;
            Ok((parts, proof::judge(&handshake, (id, &common.config), claim)?))
        });
        match judged {
            Ok((request, judged)) => go_on(ctx, common, handshake, request, judged),
            Err(failure) => Err(refuse(ctx, common, handshake, failure)),
        }
    }
}

/// What a claim leads to.
pub(crate) fn go_on(
    ctx: &mut Context<'_>,
    common: &mut Common,
    handshake: Handshake,
    request: Parts,
    judged: Judged,
) -> Next {
    match judged {
        Judged::Proven(proven) => prove_ourselves(ctx, common, handshake, request, proven),
        Judged::Certificate(verdict, claim) => {
            let pending = ctx.ask(common.id, WantKind::Verdict(verdict));
            let state = ExpectVerdict { handshake, request, claim, pending };
            Ok(Phase::Called(Called::Verdict(Box::new(state))))
        }
        Judged::Elsewhere(lookup, claim) => {
            Ok(ExpectCallers::begin(ctx, common, (handshake, request), (lookup, claim)))
        }
    }
}

pub(crate) fn malformed(
    handshake: Handshake,
    ctx: &mut Context<'_>,
    common: &Common,
    error: ParseError,
) -> Abort {
    let failure = match error {
        ParseError::UnsupportedCriticalPayload { payload } => Failure::CriticalPayload(payload),
        _ => Failure::Syntax("the IKE_AUTH request does not parse"),
    };
    let (kind, data) = error.notify();
    handshake.refuse(ctx, common, ExchangeType::IkeAuth, Notify::new(kind, data), failure)
}

/// The connection that accepts this IDi, and that is who IDr asks for, if the caller said.
fn select(
    candidates: &[(ConnectionId, Arc<Connection>)],
    initiator: &Identification,
    responder: Option<&Identification>,
) -> Result<(ConnectionId, Arc<Connection>), Failure> {
    let claimed = proof::identity(initiator);
    let asked = responder.map(proof::identity);
    let fits = |config: &Connection, asked: bool| config.remote_identity.accepts(&claimed) && asked;
    let is_asked = |config: &Connection| asked.as_ref().is_none_or(|asked| config.called(asked).is_some());
    // "the responder is free to use another identity" than the IDr asked for (RFC 7296 §1.2): one that fits first.
    let exact = candidates.iter().find(|(_, config)| fits(config, is_asked(config)));
    let chosen = exact.or_else(|| candidates.iter().find(|(_, config)| fits(config, true)));
    chosen.cloned().ok_or_else(|| Failure::IdentityRefused(claimed.to_string()))
}

/// Which of our certificates the caller is shown: one that it asked for, or the one it knows from the session it resumes.
fn show(common: &mut Common, handshake: &mut Handshake, request: &Parts) {
    match &handshake.resumed {
        Some(session) => common.own = session.own_certificate(&common.config, Role::Responder),
        None => {
            handshake.taken = Taken::of(request);
            methods::choose(common, &request.requested, &handshake.peer_hashes, &handshake.taken);
        }
    }
}

/// Who is nobody that is named here has called the gateway, if there is one: it comes last.
fn blame_gateway(common: &mut Common, candidates: &[(ConnectionId, Arc<Connection>)]) {
    if let Some((id, config)) = candidates.last()
        && config.remote == RemoteAddress::Gateway
    {
        (common.connection, common.config) = (*id, config.clone());
    }
}

/// Refuses inside the exchange.
pub(crate) fn refuse(
    ctx: &mut Context<'_>,
    common: &Common,
    handshake: Handshake,
    failure: Failure,
) -> Abort {
    let notify = Notify::new(failure.notify(), Vec::new());
    handshake.refuse(ctx, common, ExchangeType::IkeAuth, notify, failure)
}

impl ExpectVerdict {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let vouched = match answer {
            Answer::Verdict(verdict) => self.claim.vouched(verdict),
            _ => Err(Failure::AnswerMismatch("certificate verdict")),
        };
        let Self { handshake, request, .. } = self;
        match vouched {
            Ok((verify, claim)) => {
                let pending = ctx.ask(common.id, WantKind::Verify(verify));
                let state = ExpectVerification { handshake, request, claim, pending };
                Ok(Phase::Called(Called::Verification(Box::new(state))))
            }
            Err(failure) => Err(refuse(ctx, common, handshake, failure)),
        }
    }
}

impl ExpectVerification {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let proven = match answer {
            Answer::Verify(verified) => self.claim.verified(verified),
            _ => Err(Failure::AnswerMismatch("signature verification")),
        };
        let Self { handshake, request, .. } = self;
        match proven {
            Ok(proven) => prove_ourselves(ctx, common, handshake, request, proven),
            Err(failure) => {
                let failure = ppk::blame(&handshake, failure, false);
                Err(refuse(ctx, common, handshake, failure))
            }
        }
    }
}

impl ExpectSignature {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let Self { handshake, request, proven, manner, .. } = self;
        match answer {
            Answer::Sign(Ok(octets)) => match proof::signature_auth(manner, &octets) {
                Ok(auth) => first_done(ctx, common, handshake, request, proven, auth),
                Err(failure) => Err(refuse(ctx, common, handshake, failure)),
            },
            Answer::Sign(Err(error)) => {
                Err(refuse(ctx, common, handshake, Failure::AnswerRefused { what: "signing", error }))
            }
            _ => Err(refuse(ctx, common, handshake, Failure::AnswerMismatch("signing"))),
        }
    }
}

impl ExpectAdmission {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let Self { handshake, request, proven, front, .. } = self;
        let refused = match answer {
            Answer::Admit(Ok(connection)) => match ctx.connections.get(&connection) {
                Some(config) => {
                    (common.connection, common.config) = (connection, config.clone());
                    return Ok(finish(ctx, common, handshake, request, proven, front));
                }
                None => Failure::AnswerMismatch("admission"),
            },
            Answer::Admit(Err(error)) => Failure::NotAdmitted(error),
            _ => Failure::AnswerMismatch("admission"),
        };
        Err(refuse(ctx, common, handshake, refused))
    }
}

/// The wait for an answer is over.
pub(crate) fn give_up(
    ctx: &mut Context<'_>,
    common: &Common,
    handshake: Handshake,
    failure: Failure,
) -> Abort {
    refuse(ctx, common, handshake, failure)
}

/// The caller is proven; now we.
fn prove_ourselves(
    ctx: &mut Context<'_>,
    common: &mut Common,
    handshake: Handshake,
    request: Parts,
    proven: Proven,
) -> Next {
    common.attempt.proof = None;
    match proof::own(&handshake, handshake.keys(), common) {
        Ok(OwnProof::Made(auth)) => first_done(ctx, common, handshake, request, proven, auth),
        Ok(OwnProof::ToSign(manner, octets)) => {
            let (connection, certificate) = (common.connection, common.own.entry);
            let sign = Sign { connection, certificate, scheme: manner.scheme, octets };
            let pending = ctx.ask(common.id, WantKind::Sign(sign));
            let state = ExpectSignature { handshake, request, proven, manner, pending };
            Ok(Phase::Called(Called::Signature(Box::new(state))))
        }
        Err(failure) => Err(refuse(ctx, common, handshake, failure)),
    }
}

/// Both first proofs are made: IDr, CERT, AUTH. They go out at once where a second round follows.
fn first_done(
    ctx: &mut Context<'_>,
    common: &mut Common,
    mut handshake: Handshake,
    request: Parts,
    proven: Proven,
    auth: Authentication,
) -> Next {
    let config = common.config.clone();
    let mut front = vec![Payload::IdentificationResponder(proof::identification(&common.own_identity()))];
    front.extend(proof::own_certificates(ctx, &handshake, common));
    front.push(Payload::Authentication(auth));
    let halfway = match second_auth::after_first(&config, proven) {
        Stand::Proven(proven) => return Ok(admit(ctx, common, handshake, request, proven, front)),
        Stand::Halfway(halfway) => halfway,
    };
    front.extend(second_auth::beside_first_answer(&config));
    let path = common.path;
    handshake.sa.reply(ctx, common, &path, ExchangeType::IkeAuth, front)?;
    Ok(ExpectSecondRequest::begin(handshake, request, halfway))
}

/// Where the caller came by a gateway, it gets a connection of its own first.
pub(crate) fn admit(
    ctx: &mut Context<'_>,
    common: &mut Common,
    mut handshake: Handshake,
    request: Parts,
    proven: Proven,
    front: Vec<Payload>,
) -> Phase {
    if common.config.remote != RemoteAddress::Gateway {
        return finish(ctx, common, handshake, request, proven, front);
    }
    let want = Admit {
        gateway: common.connection,
        ike: common.id,
        identity: proven.identity().clone(),
        path: common.path,
        initial_contact: request.has(NotifyType::InitialContact),
        client: std::mem::take(&mut handshake.client),
    };
    let pending = ctx.ask(common.id, WantKind::Admit(Box::new(want)));
    let state = ExpectAdmission { handshake, request, proven, front, pending };
    Phase::Called(Called::Admission(Box::new(state)))
}

/// What is left of our proofs, PPK_IDENTITY; what follows them is about the CHILD_SA, and the reply leaves when that is installed;
/// at once if the caller wants none (RFC 6023).
fn finish(
    ctx: &mut Context<'_>,
    common: &mut Common,
    mut handshake: Handshake,
    request: Parts,
    proven: Proven,
    mut front: Vec<Payload>,
) -> Phase {
    front.extend(crash::own(ctx, &handshake.sa));
    front.extend(ppk::accepted(&handshake));
    if mobility::negotiated(common, &request) {
        front.extend(mobility::announced(common));
    }
    ppk::settle(&mut handshake, common);
    let nonces = (handshake.initiator_nonce, handshake.responder_nonce);
    common.mark = crossing::mark((&nonces.0, &nonces.1));
    handshake.sa.crash_token = crash::of_peer(&request);
    let was = handshake.resumed.map(|session| session.spis);
    let mut up = Up::begin(ctx, common, handshake.sa, proven);
    if let Some(to) = redirect::of_caller(common) {
        front.push(redirect::notify(to.clone()));
        up.turn(ctx, common, 0, |turn| turn.reply(ExchangeType::IkeAuth, front));
        up.send_away(ctx, common, to);
        return Phase::Up(Box::new(up));
    }
    front.extend(reauthentication::announced(ctx, common));
    up.turn(ctx, common, 0, |turn| front.extend(turn.peer_ticket(&request)));
    ctx.out.asides.extend(was.map(|spis| Aside::Resumed { by: common.id, spis }));
    up.supersede_others(ctx, common, request.has(NotifyType::InitialContact));
    up.turn(ctx, common, 0, |turn| match request.is_childless() {
        true => turn.reply(ExchangeType::IkeAuth, front),
        false => turn.peer_first_child(request, front, nonces),
    });
    Phase::Up(Box::new(up))
}
