//! We are called by a ticket: IKE_SESSION_RESUME (RFC 5723 §4.3) after [`crate::engine`] has opened it and found a connection
//! that still allows what it says.
//!
//! ([`ExpectVerdict`], where the caller has a certificate,) then the reply, and [`super::called_auth`].

use super::called_auth::ExpectAuthRequest;
use super::common::Common;
use super::handshake::{Handshake, PeerTraits, resumption_notifies};
use super::ike_sa::IkeSa;
use super::methods::Taken;
use super::phase::{Called, Next, Phase};
use super::proof;
use super::session::Session;
use crate::config::ClientMatch;
use crate::context::{Context, Pending};
use crate::crypto::{IkeKeys, IkeSuite, IntAuth, Nonces};
use crate::error::Failure;
use crate::recorder::Stage;
use crate::time::Instant;
use crate::want::{Answer, Role, Verdict, WantKind};
use crate::wire::{ExchangeType, Flags, Header, IkeSpi, Message, Nonce, Notify, NotifyType, Payload};

/// A caller whose ticket was opened.
pub(crate) struct Caller {
    pub(crate) initiator_spi: IkeSpi,
    pub(crate) nonce: Nonce,
    pub(crate) traits: PeerTraits,
    /// The request, octet for octet.
    pub(crate) request: Vec<u8>,
    pub(crate) session: Session,
    pub(crate) suite: IkeSuite,
    /// When the ticket is over.
    pub(crate) until: Instant,
}

/// The caller's certificate is being judged once more.
pub(crate) struct ExpectVerdict {
    caller: Caller,
    responder_spi: IkeSpi,
    pub(crate) pending: Pending,
}

/// Begins with a caller.
pub(crate) fn begin(ctx: &mut Context<'_>, common: &mut Common, caller: Caller) -> Next {
    caller.traits.apply(common);
    let responder_spi = ctx.ike_spi();
    let chain = caller.session.basis.certificates.clone();
    if chain.is_empty() {
        return caller.reply(ctx, common, responder_spi);
    }
    let identity = proof::identity(&caller.session.caller);
    let (connection, instance) = (common.connection, common.config.instance);
    let (public_key, responses) = (None, Vec::new());
    let verdict = Verdict { connection, instance, identity, chain, public_key, responses };
    let pending = ctx.ask(common.id, WantKind::Verdict(verdict));
    let state = ExpectVerdict { caller, responder_spi, pending };
    Ok(Phase::Called(Called::ResumeVerdict(Box::new(state))))
}

impl ExpectVerdict {
    /// The caller's request.
    pub(crate) fn request(&mut self) -> &mut Vec<u8> {
        &mut self.caller.request
    }

    pub(crate) fn spi(&self) -> IkeSpi {
        self.responder_spi
    }

    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let failure = match answer {
            Answer::Verdict(Ok(_)) => return self.caller.reply(ctx, common, self.responder_spi),
            Answer::Verdict(Err(error)) => Failure::CertificateRefused(error),
            _ => Failure::AnswerMismatch("certificate verdict"),
        };
        self.refuse(ctx, common);
        Err(failure.into())
    }

    /// The caller may prove itself anew.
    pub(crate) fn refuse(&self, ctx: &mut Context<'_>, common: &Common) {
        let nack = vec![Payload::Notify(Notify::ticket_nack())];
        if let Ok(bytes) = self.caller.message(IkeSpi::ZERO, nack) {
            ctx.send(&common.path, &vec![bytes]);
        }
    }
}

impl Caller {
    fn message(&self, responder_spi: IkeSpi, payloads: Vec<Payload>) -> Result<Vec<u8>, Failure> {
        let flags = Flags { initiator: false, version: false, response: true };
        let exchange = ExchangeType::IkeSessionResume;
        Message::new(Header::new(self.initiator_spi, responder_spi, exchange, flags, 0), payloads)
            .emit()
            .map_err(|_| Failure::Crypto("an IKE_SESSION_RESUME reply does not fit"))
    }

    /// Nr, and notifications that the caller has too.
    fn payloads(&self, common: &Common, nonce: &Nonce, spi: IkeSpi) -> Vec<Payload> {
        let wanted = |payload: &Payload| match payload {
            Payload::Notify(Notify { notify_type: NotifyType::FragmentationSupported, .. }) => {
                self.traits.fragmentation
            }
            _ => self.traits.nat.is_some(),
        };
        let mut payloads = vec![Payload::Nonce(nonce.clone())];
        let notifies = resumption_notifies(common, (self.initiator_spi, spi));
        payloads.extend(notifies.into_iter().filter(wanted));
        payloads.push(Payload::Notify(Notify::new(NotifyType::ChildlessIkev2Supported, Vec::new())));
        payloads
    }

    fn reply(self, ctx: &mut Context<'_>, common: &mut Common, responder_spi: IkeSpi) -> Next {
        let responder_nonce = ctx.nonce();
        let payloads = self.payloads(common, &responder_nonce, responder_spi);
        let reply = self.message(responder_spi, payloads)?;
        let spis = (self.initiator_spi, responder_spi);
        let nonces = Nonces::new(&self.nonce, &responder_nonce);
        let keys = IkeKeys::resume(&self.suite, &self.session.sk_d, nonces, spis.0, spis.1);
        let mut sa = IkeSa::new(ctx, common, Role::Responder, spis, self.suite, keys)?;
        let packets = vec![reply.clone()];
        ctx.send(&common.path, &packets);
        sa.window.take_up();
        sa.window.answered(packets);
        sa.tickets_until = self.until;
        common.resumed = true;
        common.ppk = self.session.ppk_use(&common.config);
        common.reached(Stage::Auth);
        let handshake = Handshake {
            sa,
            request: self.request,
            reply,
            initiator_nonce: self.nonce,
            responder_nonce,
            peer_hashes: Vec::new(),
            taken: Taken::default(),
            int_auth: IntAuth::default(),
            denied: false,
            ppk: false,
            wants_ocsp: false,
            looks_up: false,
            childless: true,
            multiple: true,
            mixed: None,
            resumed: Some(Box::new(self.session)),
            client: ClientMatch::default(),
        };
        let candidates = vec![(common.connection, common.config.clone())];
        Ok(Phase::Called(Called::AuthRequest(Box::new(ExpectAuthRequest { handshake, candidates }))))
    }
}
