//! We initiate by a ticket: IKE_SESSION_RESUME in place of IKE_SA_INIT (RFC 5723 §4.3), one struct per thing awaited.
//!
//! ([`ExpectVerdict`]) -> [`ExpectReply`] -> [`super::call_auth`]. Whatever stands in the way leads to [`super::call`], a full
//! negotiation in the same attempt: a ticket is shown once.

use super::call::{Call, answers_first, float_to_nat_port, take_cookie};
use super::call_auth;
use super::common::Common;
use super::handshake::{Handshake, PeerTraits, resumption_notifies};
use super::ike_sa::IkeSa;
use super::methods::Taken;
use super::parts::Parts;
use super::phase::{Calling, Next, Phase};
use super::proof;
use super::redirect;
use super::session::Session;
use super::ticket::Resumable;
use crate::config::{ChildId, ClientMatch, Retransmission};
use crate::context::{Context, Pending};
use crate::crypto::{IkeKeys, IkeSuite, IntAuth, Nonces};
use crate::error::{Failure, TicketProblem};
use crate::event::Event;
use crate::input::Datagram;
use crate::recorder::Stage;
use crate::time::Instant;
use crate::want::{Answer, Role, Verdict, WantKind};
use crate::window::{Due, Schedule, Window};
use crate::wire::{ExchangeType, Flags, Header, IkeSpi, Message, Nonce, Notify, NotifyType, Outer, Payload};

/// Retransmissions, at most, before a full negotiation is tried: who does not know the exchange says nothing. Four after
/// half a second end at 15.5 s.
const TRIES: u32 = 4;

/// What stays the same over all requests.
pub(crate) struct Attempt {
    spi: IkeSpi,
    nonce: Nonce,
    cookie: Option<Vec<u8>>,
    restarts: u8,
    child: ChildId,
    ticket: Vec<u8>,
    session: Session,
    suite: IkeSuite,
    until: Instant,
}

/// The gateway's certificate is being judged once more.
pub(crate) struct ExpectVerdict {
    attempt: Attempt,
    pub(crate) pending: Pending,
}

/// The request is out.
pub(crate) struct ExpectReply {
    attempt: Attempt,
    request: Vec<u8>,
    window: Window,
    /// An unprotected error was received: believed at this time if nothing better has come.
    doubt: Option<(Instant, Failure)>,
}

/// Begins with what is left of a lost IKE SA, as far as its connection still allows.
pub(crate) fn begin(ctx: &mut Context<'_>, common: &mut Common, child: ChildId, lost: Resumable) -> Next {
    let Resumable { ticket, until, session, .. } = lost;
    let Some(suite) = session.suite_for(&common.config, Role::Initiator) else {
        return fall_back(ctx, common, child, Failure::TicketRejected(TicketProblem::Policy));
    };
    let (spi, nonce) = (ctx.ike_spi(), ctx.nonce());
    let attempt = Attempt { spi, nonce, cookie: None, restarts: 0, child, ticket, session, suite, until };
    match attempt.verdict(common) {
        None => attempt.send(ctx, common),
        Some(verdict) => {
            let pending = ctx.ask(common.id, WantKind::Verdict(verdict));
            Ok(Phase::Calling(Calling::ResumeVerdict(Box::new(ExpectVerdict { attempt, pending }))))
        }
    }
}

/// Goes on with a full negotiation.
fn fall_back(ctx: &mut Context<'_>, common: &mut Common, child: ChildId, reason: Failure) -> Next {
    ctx.trace(common.path.remote, || format!("not resumed: {}: {reason}", reason.code()));
    ctx.event(Event::NotResumed { ike: common.id, connection: common.connection, reason });
    Call::begin(ctx, common, child)
}

impl Attempt {
    /// What is to be asked about the gateway's certificate, if it has one.
    fn verdict(&self, common: &Common) -> Option<Verdict> {
        let chain = self.session.basis.certificates.clone();
        let identity = proof::identity(&self.session.gateway);
        let (connection, instance) = (common.connection, common.config.instance);
        let (public_key, responses) = (None, Vec::new());
        let verdict = Verdict { connection, instance, identity, chain, public_key, responses };
        (!verdict.chain.is_empty()).then_some(verdict)
    }

    /// N(COOKIE), Ni, N(TICKET_OPAQUE), notifications.
    fn request(&self, common: &Common) -> Result<Vec<u8>, Failure> {
        let cookie = self.cookie.as_ref().map(|cookie| Notify::new(NotifyType::Cookie, cookie.clone()));
        let mut payloads: Vec<Payload> = cookie.map(Payload::Notify).into_iter().collect();
        payloads.push(Payload::Nonce(self.nonce.clone()));
        payloads.push(Payload::Notify(Notify::ticket(&self.ticket)));
        payloads.extend(resumption_notifies(common, (self.spi, IkeSpi::ZERO)));
        payloads.extend(redirect::announce(common));
        let flags = Flags { initiator: true, version: false, response: false };
        let header = Header::new(self.spi, IkeSpi::ZERO, ExchangeType::IkeSessionResume, flags, 0);
        Message::new(header, payloads)
            .emit()
            .map_err(|_| Failure::Crypto("an IKE_SESSION_RESUME request does not fit"))
    }

    fn send(self, ctx: &mut Context<'_>, common: &mut Common) -> Next {
        let request = self.request(common)?;
        let packets = vec![request.clone()];
        ctx.send(&common.path, &packets);
        let usual = ctx.config.retransmission;
        let schedule = Schedule::Doubling(Retransmission { tries: usual.tries.min(TRIES), ..usual });
        let mut window = Window::default();
        window.request_sent(ctx.now, packets, schedule);
        Ok(ExpectReply { attempt: self, request, window, doubt: None }.wait())
    }
}

impl ExpectVerdict {
    pub(crate) fn spi(&self) -> IkeSpi {
        self.attempt.spi
    }

    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let child = self.attempt.child;
        match answer {
            Answer::Verdict(Ok(_)) => self.attempt.send(ctx, common),
            Answer::Verdict(Err(error)) => fall_back(ctx, common, child, Failure::CertificateRefused(error)),
            _ => Err(Failure::AnswerMismatch("certificate verdict").into()),
        }
    }
}

impl ExpectReply {
    fn wait(self) -> Phase {
        Phase::Calling(Calling::ResumeReply(Box::new(self)))
    }

    pub(crate) fn spi(&self) -> IkeSpi {
        self.attempt.spi
    }

    /// Takes a datagram. Whatever is not a plausible reply leaves us waiting: anybody can send to us here.
    pub(crate) fn datagram(
        self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        datagram: Datagram,
        outer: Outer,
    ) -> Next {
        let header = *outer.header();
        let plausible = answers_first(&header, ExchangeType::IkeSessionResume, self.attempt.spi);
        match outer {
            Outer::Clear(message) if plausible => match Parts::of(message) {
                Ok(parts) => self.reply(ctx, common, (datagram, header.responder_spi), parts),
                Err(_) => Ok(self.wait()),
            },
            _ => Ok(self.wait()),
        }
    }

    /// The gateway's word that it does not take the ticket needs no doubt, though nobody vouches for it: it ends nothing.
    /// What follows is worth more than what it forgoes.
    fn reply(
        mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        (datagram, responder_spi): (Datagram, IkeSpi),
        mut parts: Parts,
    ) -> Next {
        if let Some(cookie) = parts.notify(NotifyType::Cookie) {
            let cookie = cookie.data.clone();
            return self.restart_with_cookie(ctx, common, cookie);
        }
        if parts.has(NotifyType::TicketNack) {
            common.attempt.peer_notify = Some(NotifyType::TicketNack.into());
            return fall_back(ctx, common, self.attempt.child, Failure::TicketRefused);
        }
        if let Some(error) = parts.error() {
            let failure = Failure::PeerError(error.notify_type.into());
            self.doubt.get_or_insert((ctx.now + ctx.config.unprotected_patience, failure));
            return Ok(self.wait());
        }
        match parts.nonce.take() {
            Some(nonce) if !responder_spi.is_zero() => {
                self.resumed(ctx, common, datagram, responder_spi, nonce, &parts)
            }
            _ => Ok(self.wait()),
        }
    }

    /// As for IKE_SA_INIT (RFC 5723 §4.3.2, RFC 7296 §2.6).
    fn restart_with_cookie(mut self, ctx: &mut Context<'_>, common: &mut Common, cookie: Vec<u8>) -> Next {
        if !take_cookie(&mut self.attempt.cookie, &mut self.attempt.restarts, cookie) {
            return Ok(self.wait());
        }
        self.attempt.send(ctx, common)
    }

    fn resumed(
        self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        datagram: Datagram,
        responder_spi: IkeSpi,
        responder_nonce: Nonce,
        parts: &Parts,
    ) -> Next {
        let Self { attempt, request, .. } = self;
        let spis = (attempt.spi, responder_spi);
        let traits = PeerTraits::of(parts, spis, (datagram.local, datagram.remote));
        traits.apply(common);
        let nonces = Nonces::new(&attempt.nonce, &responder_nonce);
        let keys = IkeKeys::resume(&attempt.suite, &attempt.session.sk_d, nonces, spis.0, spis.1);
        float_to_nat_port(ctx, common);
        let mut sa = IkeSa::new(ctx, common, Role::Initiator, spis, attempt.suite, keys)?;
        // IKE_SESSION_RESUME was message 0 of this SA.
        sa.window.reply_accepted();
        sa.tickets_until = attempt.until;
        common.resumed = true;
        common.own = attempt.session.own_certificate(&common.config, Role::Initiator);
        common.ppk = attempt.session.ppk_use(&common.config);
        common.reached(Stage::Auth);
        let handshake = Handshake {
            sa,
            request,
            reply: datagram.bytes,
            initiator_nonce: attempt.nonce,
            responder_nonce,
            peer_hashes: Vec::new(),
            taken: Taken::default(),
            int_auth: IntAuth::default(),
            denied: false,
            ppk: false,
            wants_ocsp: traits.wants_ocsp,
            looks_up: traits.looks_up,
            childless: traits.childless,
            multiple: traits.multiple,
            mixed: None,
            resumed: Some(Box::new(attempt.session)),
            client: ClientMatch::default(),
        };
        call_auth::begin(ctx, common, handshake, attempt.child)
    }

    /// When [`Self::timeout`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.window.deadline().into_iter().chain(self.doubt.as_ref().map(|(until, _)| *until)).min()
    }

    pub(crate) fn timeout(mut self, ctx: &mut Context<'_>, common: &mut Common) -> Next {
        let child = self.attempt.child;
        if let Some((_, failure)) = self.doubt.take_if(|(until, _)| *until <= ctx.now) {
            return fall_back(ctx, common, child, failure);
        }
        match self.window.resend(ctx.now) {
            Due::Resend(packets) => ctx.send_again(&common.path, packets),
            Due::GiveUp { tries, waited } => {
                return fall_back(ctx, common, child, Failure::NoReply { tries, waited });
            }
            Due::Nothing => {}
        }
        Ok(self.wait())
    }
}
