//! What comes from outside every IKE SA: IKE_SA_INIT requests and who comes in by them, requests for IKE SAs that are
//! not there; and what strangers are told without keeping anything of them.

use super::cookies::begins;
use super::{Engine, admission};
use crate::config::{Connection, ConnectionId, RedirectAt, RemoteAddress};
use crate::crypto::IkeSuite;
use crate::crypto::negotiate::{self, Chosen};
use crate::error::{Failure, Subject};
use crate::event::Event;
use crate::id::IkeId;
use crate::input::Datagram;
use crate::recorder::Attempt;
use crate::sa::called::Caller;
use crate::sa::common::Common;
use crate::sa::handshake::PeerTraits;
use crate::sa::parts::{Parts, needed};
use crate::sa::redirect;
use crate::sa::tunnel::Tunnel;
use crate::time::Instant;
use crate::want::Role;
use crate::wire::{
    ExchangeType, Flags, GatewayIdentity, Glance, Header, IkeSpi, KeyExchangeId, Message, Nonce, Notify,
    NotifyType, Outer, ParseError, Payload, Redirect, SecurityAssociation, Spi, limits,
};
use crate::words;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What an IKE_SA_INIT request must have.
struct Request {
    header: Header,
    sa: SecurityAssociation,
    method: KeyExchangeId,
    public: Vec<u8>,
    nonce: Nonce,
    parts: Parts,
}

/// Where a connection stands in the index of addresses, if anybody may come in by it: once for each address of its peer.
pub(super) fn addresses(
    id: ConnectionId,
    config: &Connection,
) -> impl Iterator<Item = (u16, IpAddr, Option<IpAddr>, ConnectionId)> {
    let anybody = match config.remote {
        RemoteAddress::Any | RemoteAddress::Gateway => Some(None),
        RemoteAddress::One(_) | RemoteAddress::Admitted => None,
    };
    let (instance, local) = (config.instance, config.local);
    let remotes = config.remotes().map(Some).chain(anybody);
    remotes.map(move |remote| (instance, local, remote, id))
}

/// What is wrong with an offer that would do.
const NO_INTERMEDIATE: &str = "additional key exchanges without INTERMEDIATE_EXCHANGE_SUPPORTED";

pub(super) type Candidates = Vec<(ConnectionId, Arc<Connection>)>;

impl Engine {
    /// A message without responder SPI.
    pub(super) fn stranger(&mut self, now: Instant, datagram: Datagram, outer: Outer) {
        let header = *outer.header();
        let Outer::Clear(message) = outer else { return };
        if !begins(&header) {
            return;
        }
        self.count(|counters| &mut counters.init_requests);
        let caller = admission::Caller::of(&datagram, &header);
        if header.exchange == ExchangeType::IkeSessionResume {
            return self.resume(now, &caller, datagram, header, message);
        }
        let request =
            Request::of(header, message).ok().filter(|_| datagram.bytes.len() <= limits::INIT_OCTETS);
        if let Some(id) = self.admission.find(&caller) {
            return self.repeated(now, id, &datagram);
        }
        let Some(request) = request else {
            return self.count(|counters| &mut counters.malformed);
        };
        if header.initiator_spi.is_zero() || self.shut_down {
            return;
        }
        self.consider(now, &caller, datagram, request);
    }

    /// In the order of what each step costs us; a cookie was shown if one is wanted.
    fn consider(&mut self, now: Instant, caller: &admission::Caller, datagram: Datagram, request: Request) {
        let candidates = self.candidates(&datagram);
        if candidates.is_empty() {
            return self.refuse(now, &datagram, &request, None, Failure::NoConnection);
        }
        let Some(candidates) = self.with_room(now, &datagram, candidates) else { return };
        if let Some(to) = redirected(&request, &candidates) {
            let to = to.clone();
            return self.redirect_caller(&datagram, &request, to);
        }
        if self.admission.is_full_for(caller, &self.config) || self.tunnels.len() >= self.config.max_ike_sas {
            self.out.trace(now, datagram.remote, || "dropped: too many IKE SAs are half-open".to_owned());
            return self.count(|counters| &mut counters.init_dropped);
        }
        let traits = PeerTraits::of(
            &request.parts,
            (request.header.initiator_spi, IkeSpi::ZERO),
            (datagram.local, datagram.remote),
        );
        let Some((chosen, candidates)) = choose(&traits.understood(&request.sa), &candidates) else {
            let failure = Failure::NoProposalChosen(Subject::Ike);
            return self.refuse(now, &datagram, &request, candidates.first(), failure);
        };
        let group = chosen.suite.group.transform_id();
        if u16::from(request.method) != group {
            // Nothing is kept of the caller: it comes again with the group named (RFC 7296 §1.2).
            return self.tell(
                now,
                &datagram,
                &request.header,
                Notify::invalid_ke(KeyExchangeId::from(group)),
            );
        }
        self.let_in(now, caller, datagram, request, (chosen, traits), candidates);
    }

    /// Those that have room for one more; where none has, the caller is not heard.
    pub(super) fn with_room(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        mut candidates: Candidates,
    ) -> Option<Candidates> {
        candidates.retain(|(id, _)| !self.full.contains(id));
        if candidates.is_empty() {
            self.out.trace(now, datagram.remote, || "dropped: there is no room for its tunnel".to_owned());
            self.count(|counters| &mut counters.init_dropped);
            return None;
        }
        Some(candidates)
    }

    fn let_in(
        &mut self,
        now: Instant,
        caller: &admission::Caller,
        datagram: Datagram,
        request: Request,
        (chosen, traits): (Chosen<IkeSuite>, PeerTraits),
        candidates: Candidates,
    ) {
        let Some(first) = candidates.first().map(|(id, config)| (*id, config.clone())) else { return };
        let addresses = (datagram.local, datagram.remote);
        let caller_of = Caller {
            initiator_spi: request.header.initiator_spi,
            nonce: request.nonce,
            public: request.public,
            chosen,
            traits,
            request: datagram.bytes,
            candidates,
        };
        let common = Common::new(self.out.next_ike(), Role::Responder, first, addresses, now);
        self.make_tunnel(now, Some(caller.clone()), |ctx| Tunnel::called(ctx, common, caller_of));
    }

    /// The connections between these addresses: those that name the peer's address, those that take any, at last the
    /// gateway. By index: anybody may ask.
    pub(super) fn candidates(&self, datagram: &Datagram) -> Candidates {
        let (instance, local, remote) = (datagram.instance, datagram.local.ip(), datagram.remote.ip());
        let of = |remote: Option<IpAddr>| {
            let all = (instance, local, remote, ConnectionId(0))
                ..=(instance, local, remote, ConnectionId(u32::MAX));
            let found = self.by_addresses.range(all).map(|(.., id)| *id);
            found.filter_map(|id| Some((id, self.connections.get(&id)?.clone())))
        };
        let mut candidates: Candidates = of(Some(remote)).chain(of(None)).collect();
        candidates.sort_by_key(|(_, config)| config.remote == RemoteAddress::Gateway);
        candidates
    }

    /// A request of a caller that is half-open already.
    pub(super) fn repeated(&mut self, now: Instant, id: IkeId, datagram: &Datagram) {
        self.count(|counters| &mut counters.init_repeated);
        let asked = Glance::of(&datagram.bytes);
        let shows_cookie = asked.is_some_and(|asked| self.shows_cookie(datagram, &asked));
        self.with_tunnel(now, id, |tunnel, ctx| {
            ctx.out.accounts.step.received += 1;
            tunnel.repeated_init(ctx, datagram, shows_cookie);
        });
    }

    /// "the VPN gateway ... sends an IKE_SA_INIT response with the REDIRECT payload" and the caller's nonce, and keeps
    /// nothing (RFC 5685 §3). Like a cookie it is smaller than the request: no rate limit.
    fn redirect_caller(&mut self, datagram: &Datagram, request: &Request, to: GatewayIdentity) {
        self.count(|counters| &mut counters.init_redirected);
        let nonce = request.nonce.as_bytes().to_vec();
        let redirect = Redirect { to, nonce };
        self.reply_unprotected(datagram, &request.header, vec![redirect.notify()]);
    }

    /// Refuses a stranger. What is told and what is remembered are both under the rate limit: a flood shall not
    /// wash the flight recorder clean.
    fn refuse(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        request: &Request,
        connection: Option<&(ConnectionId, Arc<Connection>)>,
        failure: Failure,
    ) {
        self.count(|counters| &mut counters.init_refused);
        self.out.trace(now, datagram.remote, || format!("refused with {}: {failure}", failure.code()));
        if !self.admission.may_reply(now, &self.config) {
            return;
        }
        self.reply_unprotected(datagram, &request.header, vec![Notify::new(failure.notify(), Vec::new())]);
        let mut attempt = Attempt::new(Role::Responder, datagram.local, datagram.remote, now);
        attempt.ended = Some(now);
        attempt.failure = Some(failure);
        attempt.offered = words::proposals(&request.sa);
        if let Some((_, config)) = connection {
            attempt.configured = words::proposals(&negotiate::offer_ike(&config.proposals, Spi::None));
            let missed = negotiate::select_ike(&config.proposals, &request.sa).err();
            attempt.difference = missed.map_or(NO_INTERMEDIATE.to_owned(), |missed| missed.to_string());
        }
        self.note_refusal(datagram.instance, connection, attempt);
    }

    /// Keeps an attempt of a stranger that was refused, and tells of it if it is not the last one again.
    pub(super) fn note_refusal(
        &mut self,
        instance: u16,
        connection: Option<&(ConnectionId, Arc<Connection>)>,
        attempt: Attempt,
    ) {
        let is_new = match connection {
            Some((id, config)) => self.out.record(*id, config, attempt.clone()),
            None => self.out.recorder.keep_stranger(instance, attempt.clone()),
        };
        let connection = connection.map(|(id, _)| *id);
        if is_new {
            self.out.events.push_back(Event::AttemptFailed { connection, attempt: Box::new(attempt) });
        }
    }

    /// A request for an IKE SA that is not here is answered INVALID_IKE_SPI, a response never (RFC 7296 §1.5): a peer
    /// that does not know yet that we lost its IKE SA finds out sooner; by a token, surely.
    pub(super) fn unknown_spi(&mut self, now: Instant, datagram: &Datagram, outer: &Outer) {
        self.count(|counters| &mut counters.unknown_spi);
        self.out.trace(now, datagram.remote, || "no IKE SA here has its SPI".to_owned());
        let header = outer.header();
        let answered = !header.flags.response && header.exchange != ExchangeType::IkeSaInit;
        if answered && self.admission.may_tell_spi(now, &self.config) {
            let mut notifies = vec![Notify::new(NotifyType::InvalidIkeSpi, Vec::new())];
            notifies.extend(self.crash_token(outer));
            self.reply_unprotected(datagram, header, notifies);
        }
    }

    /// Our token for an IKE SA that is not here, "as a response to a protected IKE request" (RFC 6290 §4.5). "A token
    /// maker MUST NOT send a valid QCD token in an unprotected message for an existing IKE SA" (§9.2): which of the two
    /// SPIs is ours is the sender's word, so neither may be one of ours.
    fn crash_token(&mut self, outer: &Outer) -> Option<Notify> {
        let header = outer.header();
        let (initiator, responder) = (header.initiator_spi, header.responder_spi);
        let is_protected = !matches!(outer, Outer::Clear(_));
        let exists = [initiator, responder].iter().any(|spi| self.spis.contains_key(spi));
        let secret = self.config.crash_secret.as_ref().filter(|_| is_protected && !exists)?;
        let notify = Notify::crash_token(secret.token(initiator, responder).octets());
        self.count(|counters| &mut counters.crash_tokens_sent);
        Some(notify)
    }

    /// An unprotected error reply, if the rate limit allows one.
    fn tell(&mut self, now: Instant, datagram: &Datagram, header: &Header, notify: Notify) {
        if self.admission.may_reply(now, &self.config) {
            self.reply_unprotected(datagram, header, vec![notify]);
        }
    }

    pub(super) fn reply_unprotected(&mut self, datagram: &Datagram, header: &Header, notifies: Vec<Notify>) {
        let flags = Flags { initiator: !header.flags.initiator, version: false, response: true };
        let header = Header::new(
            header.initiator_spi,
            header.responder_spi,
            header.exchange,
            flags,
            header.message_id,
        );
        let payloads: Vec<Payload> = notifies.into_iter().map(Payload::Notify).collect();
        self.out.accounts.telling(&payloads);
        if let Ok(bytes) = Message::new(header, payloads).emit() {
            self.send_to(datagram.instance, datagram.local, datagram.remote, bytes);
        }
    }

    fn send_to(&mut self, instance: u16, local: SocketAddr, remote: SocketAddr, bytes: Vec<u8>) {
        let marker = local.port() == self.config.nat_port;
        self.out.transmits.push_back(crate::event::Transmit { instance, local, remote, bytes, marker });
    }

    /// "If an endpoint receives a message with a higher major version number, it MUST drop the message and SHOULD
    /// send an unauthenticated Notify message of type INVALID_MAJOR_VERSION" (RFC 7296 §2.5); there too, the response to
    /// a request with an unknown critical payload "MUST include" UNSUPPORTED_CRITICAL_PAYLOAD. All else is silence.
    pub(super) fn unreadable(&mut self, now: Instant, datagram: &Datagram, error: ParseError) {
        self.count(|counters| &mut counters.malformed);
        let Ok((header, ..)) = Header::parse(&datagram.bytes) else { return };
        let told = match error {
            ParseError::InvalidMajorVersion { major, .. } => major > 2,
            ParseError::UnsupportedCriticalPayload { .. } => header.exchange == ExchangeType::IkeSaInit,
            _ => false,
        };
        if told && !header.flags.response {
            let (kind, data) = error.notify();
            self.tell(now, datagram, &header, Notify::new(kind, data));
        }
    }

    pub(super) fn count(&mut self, which: impl Fn(&mut super::Counters) -> &mut u64) {
        let counter = which(&mut self.admission.counters);
        *counter = counter.saturating_add(1);
    }
}

impl Request {
    fn of(header: Header, message: Message) -> Result<Request, Failure> {
        let mut parts = Parts::of(message)?;
        let sa = needed(parts.sa.take(), "an IKE_SA_INIT request without SA")?;
        let ke = needed(parts.ke.take(), "an IKE_SA_INIT request without KE")?;
        let nonce = needed(parts.nonce.take(), "an IKE_SA_INIT request without nonce")?;
        Ok(Request { header, sa, method: ke.method, public: ke.data, nonce, parts })
    }
}

/// Whether callers of a connection go elsewhere before anybody asks who they are.
pub(super) fn redirects_at_once(config: &Connection) -> bool {
    config.redirect.callers.as_ref().is_some_and(|it| it.at == RedirectAt::Init)
}

/// Where a caller that can be redirected goes before anybody asks who it is: all candidates must say so.
fn redirected<'a>(request: &Request, candidates: &'a Candidates) -> Option<&'a GatewayIdentity> {
    let redirectable = redirect::redirectable(&request.parts)?;
    let callers = |config: &'a Connection| {
        config.redirect.callers.as_ref().filter(|it| it.at == RedirectAt::Init).map(|it| &it.to)
    };
    let mut targets = candidates.iter().map(|(_, config)| callers(config));
    let to = targets.next()??;
    (targets.all(|other| other == Some(to)) && redirectable.may_go(to)).then_some(to)
}

/// The first candidate's choice, and all candidates that would accept it: which of them is meant, IKE_AUTH says.
fn choose(offered: &SecurityAssociation, candidates: &Candidates) -> Option<(Chosen<IkeSuite>, Candidates)> {
    let mut choices =
        candidates.iter().filter_map(|(_, config)| negotiate::select_ike(&config.proposals, offered).ok());
    let chosen = choices.next()?;
    let answer = chosen.answer(Spi::None);
    let accepts = |config: &Connection| negotiate::select_ike(&config.proposals, &answer).is_ok();
    Some((chosen, candidates.iter().filter(|(_, config)| accepts(config)).cloned().collect()))
}
