//! We initiate: IKE_SA_INIT (RFC 7296 §1.2), one struct per thing awaited.
//!
//! [`ExpectPublicValue`] -> [`ExpectInitReply`] -> [`ExpectSharedSecret`], then [`super::call_intermediate`].

use super::addresses;
use super::backup;
use super::call_intermediate;
use super::common::Common;
use super::handshake::{Handshake, PeerTraits, own_notifies};
use super::ike_sa::IkeSa;
use super::methods;
use super::parts::{Parts, needed};
use super::phase::{Calling, Next, Phase};
use super::ppk;
use super::redirect;
use crate::config::{ChildId, ClientMatch, Group};
use crate::context::{Context, Pending};
use crate::crypto::{IkeKeys, IkeSuite, IntAuth, Nonces, negotiate};
use crate::error::{Failure, Subject};
use crate::input::Datagram;
use crate::key_agreement::{KeyAgreement, Seed, Task};
use crate::time::Instant;
use crate::want::{Answer, Role, WantKind};
use crate::window::{Due, Window};
use crate::wire::{
    ExchangeType, Flags, Header, IkeSpi, KeyExchange, KeyExchangeId, Message, Nonce, Notify, NotifyType,
    Outer, Payload, Redirect, Spi,
};

/// Fresh starts a peer may talk us into by COOKIE and INVALID_KE_PAYLOAD: one of each, once repeated.
pub(crate) const RESTARTS: u8 = 4;

/// What stays the same over all IKE_SA_INIT requests of one attempt.
pub(crate) struct Call {
    spi: IkeSpi,
    nonce: Nonce,
    cookie: Option<Vec<u8>>,
    restarts: u8,
    /// The child to be made in IKE_AUTH.
    pub(crate) child: ChildId,
}

/// Our public value is being computed.
pub(crate) struct ExpectPublicValue {
    call: Call,
    group: Group,
    seed: Seed,
    pub(crate) pending: Pending,
}

/// The request is out.
pub(crate) struct ExpectInitReply {
    call: Call,
    group: Group,
    seed: Seed,
    public: Vec<u8>,
    request: Vec<u8>,
    pub(crate) window: Window,
    /// An unprotected error was received: believed at this time if nothing better has come.
    pub(crate) doubt: Option<(Instant, Failure)>,
}

/// The reply is here and the shared secret is being computed.
pub(crate) struct ExpectSharedSecret {
    call: Call,
    request: Vec<u8>,
    reply: Vec<u8>,
    suite: IkeSuite,
    responder_spi: IkeSpi,
    responder_nonce: Nonce,
    traits: PeerTraits,
    pub(crate) pending: Pending,
}

impl Call {
    /// Begins an attempt.
    pub(crate) fn begin(ctx: &mut Context<'_>, common: &mut Common, child: ChildId) -> Next {
        let groups = common.config.proposals.first().and_then(|proposal| proposal.groups.first());
        let group = *groups.ok_or(Failure::NotConfigured(
            "the connection has no IKE proposal, or none within its algorithm profile",
        ))?;
        let call = Call { spi: ctx.ike_spi(), nonce: ctx.nonce(), cookie: None, restarts: 0, child };
        call.generate(ctx, common, group)
    }

    fn generate(self, ctx: &mut Context<'_>, common: &Common, group: Group) -> Next {
        let seed = ctx.seed();
        let job = KeyAgreement { group, seed: seed.clone(), task: Task::Generate };
        let pending = ctx.ask(common.id, WantKind::KeyAgreement(job));
        let state = ExpectPublicValue { call: self, group, seed, pending };
        Ok(Phase::Calling(Calling::PublicValue(Box::new(state))))
    }

    fn request(&self, common: &Common, group: Group, public: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut payloads = Vec::new();
        if let Some(cookie) = &self.cookie {
            payloads.push(Payload::Notify(Notify::new(NotifyType::Cookie, cookie.clone())));
        }
        payloads
            .push(Payload::SecurityAssociation(negotiate::offer_ike(&common.config.proposals, Spi::None)));
        let method = KeyExchangeId::from(group.transform_id());
        payloads.push(Payload::KeyExchange(KeyExchange { method, data: public.to_vec() }));
        payloads.push(Payload::Nonce(self.nonce.clone()));
        payloads.extend(own_notifies(common, (self.spi, IkeSpi::ZERO)));
        payloads.extend(addresses::sources(common, (self.spi, IkeSpi::ZERO)));
        payloads.extend(ppk::call(&common.config));
        payloads.extend(redirect::announce(common));
        let flags = Flags { initiator: true, version: false, response: false };
        let header = Header::new(self.spi, IkeSpi::ZERO, ExchangeType::IkeSaInit, flags, 0);
        Message::new(header, payloads)
            .emit()
            .map_err(|_| Failure::Crypto("an IKE_SA_INIT request does not fit"))
    }

    /// Sends the request, under message ID 0 like every earlier one of this attempt.
    fn send(self, ctx: &mut Context<'_>, common: &Common, group: Group, seed: Seed, public: Vec<u8>) -> Next {
        let request = self.request(common, group, &public)?;
        let packets = vec![request.clone()];
        ctx.send(&common.path, &packets);
        let mut window = Window::default();
        window.request_sent(ctx.now, packets, backup::schedule(common, ctx.config.retransmission));
        let state = ExpectInitReply { call: self, group, seed, public, request, window, doubt: None };
        Ok(Phase::Calling(Calling::InitReply(Box::new(state))))
    }
}

/// Whether a message may be the answer to our first request, of that exchange and with that SPI of ours.
pub(crate) fn answers_first(header: &Header, exchange: ExchangeType, spi: IkeSpi) -> bool {
    header.exchange == exchange
        && header.flags.response
        && !header.flags.initiator
        && header.message_id == 0
        && header.initiator_spi == spi
}

/// Takes a cookie into our first request; false where it is none, the same again, or one too many.
pub(crate) fn take_cookie(kept: &mut Option<Vec<u8>>, restarts: &mut u8, cookie: Vec<u8>) -> bool {
    let is_new = *restarts < RESTARTS && (1..=64).contains(&cookie.len()) && kept.as_ref() != Some(&cookie);
    if is_new {
        *restarts = restarts.saturating_add(1);
        *kept = Some(cookie);
    }
    is_new
}

impl Call {
    /// The SPI we chose.
    pub(crate) fn spi(&self) -> IkeSpi {
        self.spi
    }
}

impl ExpectPublicValue {
    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        self.call.send(ctx, common, self.group, self.seed, answer.into_public()?)
    }

    pub(crate) fn spi(&self) -> IkeSpi {
        self.call.spi()
    }
}

impl ExpectInitReply {
    pub(crate) fn spi(&self) -> IkeSpi {
        self.call.spi()
    }

    /// Takes a datagram. Whatever is not a plausible reply leaves us waiting: anybody can send to us here.
    pub(crate) fn datagram(
        mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        datagram: Datagram,
        outer: Outer,
    ) -> Next {
        let header = *outer.header();
        let plausible = answers_first(&header, ExchangeType::IkeSaInit, self.call.spi);
        let Outer::Clear(message) = outer else { return Ok(self.wait()) };
        if !plausible {
            return Ok(self.wait());
        }
        addresses::answered(common, datagram.local);
        let Ok(parts) = Parts::of(message) else { return Ok(self.wait()) };
        if let Some(notify) = parts.notify(NotifyType::Cookie) {
            return self.restart_with_cookie(ctx, common, notify.data.clone());
        }
        if let Some(notify) = parts.notify(NotifyType::Redirect) {
            return self.redirected(ctx, common, notify);
        }
        if let Some(error) = parts.error() {
            return self.error(ctx, common, error);
        }
        if header.responder_spi.is_zero() {
            return Ok(self.wait());
        }
        match self.accept(ctx, common, &datagram, header.responder_spi, parts) {
            Ok((suite, responder_nonce, traits, pending)) => {
                let Self { call, request, .. } = self;
                let (reply, responder_spi) = (datagram.bytes, header.responder_spi);
                let state = ExpectSharedSecret {
                    call,
                    request,
                    reply,
                    suite,
                    responder_spi,
                    responder_nonce,
                    traits,
                    pending,
                };
                Ok(Phase::Calling(Calling::SharedSecret(Box::new(state))))
            }
            // A reply that makes no sense may be a stranger's; the peer's own may follow.
            Err(failure) => {
                self.doubt_with(ctx, failure);
                Ok(self.wait())
            }
        }
    }

    fn wait(self) -> Phase {
        Phase::Calling(Calling::InitReply(Box::new(self)))
    }

    /// "the initiator MUST repeat the IKE_SA_INIT request, and include the COOKIE notification ... as the first
    /// payload, and all other payloads unchanged" (RFC 7296 §2.6).
    fn restart_with_cookie(mut self, ctx: &mut Context<'_>, common: &Common, cookie: Vec<u8>) -> Next {
        if !take_cookie(&mut self.call.cookie, &mut self.call.restarts, cookie) {
            return Ok(self.wait());
        }
        self.call.send(ctx, common, self.group, self.seed, self.public)
    }

    /// The gateway sends us elsewhere. "the client MUST compare the Nonce data with the nonce sent in the IKE_SA_INIT
    /// request. If they do not match, the client MUST silently discard the response" (RFC 5685 §3): so does one that
    /// has not said that it can be redirected.
    fn redirected(mut self, ctx: &mut Context<'_>, common: &mut Common, notify: &Notify) -> Next {
        let redirect = Redirect::from_notify(notify);
        let announced = redirect::announce(common).is_some();
        let redirect = redirect.filter(|it| announced && it.nonce == self.call.nonce.as_bytes());
        let Some(redirect) = redirect else { return Ok(self.wait()) };
        match redirect::follow(ctx, common, &redirect.to, vec![self.call.child]) {
            Ok(onward) => {
                let failure = Failure::Redirected(onward.to.clone());
                common.onward = Some(Box::new(onward));
                Err(failure.into())
            }
            Err(failure) => {
                self.doubt_with(ctx, failure);
                Ok(self.wait())
            }
        }
    }

    fn error(mut self, ctx: &mut Context<'_>, common: &mut Common, error: &Notify) -> Next {
        common.attempt.peer_notify = Some(error.notify_type.into());
        let failure = match error.notify_type {
            NotifyType::InvalidKePayload => return self.restart_with_group(ctx, common, error.data_u16()),
            NotifyType::NoProposalChosen => Failure::ProposalRefused(Subject::Ike),
            NotifyType::InvalidMajorVersion => Failure::MajorVersion,
            other => Failure::PeerError(other.into()),
        };
        self.doubt_with(ctx, failure);
        Ok(self.wait())
    }

    /// "the initiator MUST retry the IKE_SA_INIT with the corrected Diffie-Hellman group" (RFC 7296 §1.2), if it
    /// is one we offer.
    fn restart_with_group(mut self, ctx: &mut Context<'_>, common: &Common, wanted: Option<u16>) -> Next {
        let offered =
            |group: &Group| common.config.proposals.iter().any(|proposal| proposal.groups.contains(group));
        let group = wanted.and_then(Group::from_transform_id).filter(offered);
        match group {
            Some(group) if group != self.group && self.call.restarts < RESTARTS => {
                self.call.restarts = self.call.restarts.saturating_add(1);
                self.call.generate(ctx, common, group)
            }
            _ => {
                self.doubt_with(ctx, Failure::InvalidKeGroup(wanted.unwrap_or(0)));
                Ok(self.wait())
            }
        }
    }

    /// Remembers an error nobody vouches for. "the initiator ... SHOULD NOT act on it immediately": it may be
    /// forged, and a proper reply still come (RFC 7296 §2.21.1).
    fn doubt_with(&mut self, ctx: &Context<'_>, failure: Failure) {
        self.doubt.get_or_insert((ctx.now + ctx.config.unprotected_patience, failure));
    }

    fn accept(
        &mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        datagram: &Datagram,
        responder_spi: IkeSpi,
        parts: Parts,
    ) -> Result<(IkeSuite, Nonce, PeerTraits, Pending), Failure> {
        let traits =
            PeerTraits::of(&parts, (self.call.spi, responder_spi), (datagram.local, datagram.remote));
        let sa = needed(parts.sa, "an IKE_SA_INIT reply without SA")?;
        let ke = needed(parts.ke, "an IKE_SA_INIT reply without KE")?;
        let nonce = needed(parts.nonce, "an IKE_SA_INIT reply without nonce")?;
        let chosen = negotiate::accept_ike(&common.config.proposals, &traits.understood(&sa));
        let suite = chosen.map_err(|_| Failure::ProposalNotOffered(Subject::Ike))?.suite;
        if suite.group != self.group || u16::from(ke.method) != self.group.transform_id() {
            return Err(Failure::Syntax("the KE payload is of another group than the chosen proposal"));
        }
        ppk::demand(&common.config, traits.ppk)?;
        traits.apply(common);
        methods::choose(common, &parts.requested, &traits.hashes, &traits.taken);
        let job =
            KeyAgreement { group: self.group, seed: self.seed.clone(), task: Task::Agree { peer: ke.data } };
        Ok((suite, nonce, traits, ctx.ask(common.id, WantKind::KeyAgreement(job))))
    }

    /// When [`Self::timeout`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.window.deadline().into_iter().chain(self.doubt.as_ref().map(|(until, _)| *until)).min()
    }

    pub(crate) fn timeout(mut self, ctx: &mut Context<'_>, common: &mut Common) -> Next {
        if let Some((_, failure)) = self.doubt.take_if(|(until, _)| *until <= ctx.now) {
            return Err(failure.into());
        }
        let others = if self.window.is_unheard() { addresses::calling(common) } else { Vec::new() };
        match self.window.resend(ctx.now) {
            Due::Resend(packets) => {
                ctx.send_again(&common.path, packets);
                others.iter().for_each(|path| ctx.send_again(path, packets));
            }
            // Nothing better came: what came was a reply.
            Due::GiveUp { tries, waited } => {
                let doubt = self.doubt.map(|(_, failure)| failure);
                let child = self.call.child;
                let silent = || backup::unanswered(common, child, (tries, waited));
                return Err(doubt.unwrap_or_else(silent).into());
            }
            Due::Nothing => {}
        }
        Ok(self.wait())
    }
}

impl ExpectSharedSecret {
    pub(crate) fn spi(&self) -> IkeSpi {
        self.call.spi()
    }

    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let shared = answer.into_secret()?;
        let spis = (self.call.spi, self.responder_spi);
        let nonces = Nonces::new(&self.call.nonce, &self.responder_nonce);
        let keys = IkeKeys::derive(&self.suite, &shared, nonces, spis.0, spis.1);
        float_to_nat_port(ctx, common);
        let mut sa = IkeSa::new(ctx, common, Role::Initiator, spis, self.suite, keys)?;
        // IKE_SA_INIT was message 0 of this SA.
        sa.window.reply_accepted();
        let handshake = Handshake {
            sa,
            request: self.request,
            reply: self.reply,
            initiator_nonce: self.call.nonce,
            responder_nonce: self.responder_nonce,
            peer_hashes: self.traits.hashes,
            taken: self.traits.taken,
            int_auth: IntAuth::default(),
            denied: false,
            ppk: self.traits.ppk && ppk::call(&common.config).is_some(),
            wants_ocsp: self.traits.wants_ocsp,
            looks_up: self.traits.looks_up,
            childless: self.traits.childless,
            multiple: self.traits.multiple,
            mixed: None,
            resumed: None,
            client: ClientMatch::default(),
        };
        call_intermediate::begin(ctx, common, handshake, self.call.child)
    }
}

/// "if they do not match ... the IKE initiator MUST change to UDP port 4500" for everything that follows
/// (RFC 7296 §2.23); with MOBIKE "even if no NAT was detected", since there may be one on a later path (RFC 4555 §3.3).
/// Whether the peer does MOBIKE is not known yet.
pub(crate) fn float_to_nat_port(ctx: &Context<'_>, common: &mut Common) {
    if common.path.udp_encapsulation || common.config.mobike && common.nat_detection {
        common.path.local.set_port(ctx.config.nat_port);
        common.path.remote.set_port(ctx.config.nat_port);
    }
}
