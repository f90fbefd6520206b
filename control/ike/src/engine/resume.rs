//! Session resumption (RFC 5723): IKE_SESSION_RESUME requests of strangers, and what is left of our own lost IKE SAs until
//! the next call.
//!
//! What holds for IKE_SA_INIT holds here: cookies, limits of half-open IKE SAs, lockout, and that refusals are told under a
//! rate limit. Opening a ticket costs no more than a cookie and is done before anything is kept.

use super::accept::{Candidates, redirects_at_once};
use super::{Engine, admission};
use crate::config::{Connection, ConnectionId};
use crate::crypto::IkeSuite;
use crate::error::{Failure, TicketProblem};
use crate::id::IkeId;
use crate::input::Datagram;
use crate::recorder::Attempt;
use crate::sa::called_resume::Caller;
use crate::sa::client;
use crate::sa::common::Common;
use crate::sa::handshake::PeerTraits;
use crate::sa::parts::{Parts, needed};
use crate::sa::proof;
use crate::sa::session::{Session, Spis};
use crate::sa::ticket::Resumable;
use crate::sa::tunnel::Tunnel;
use crate::time::Instant;
use crate::want::Role;
use crate::wire::{Header, IkeSpi, Message, Nonce, Notify, NotifyType, limits};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What is left of lost IKE SAs, one for each connection that we call.
pub(super) type Lost = BTreeMap<ConnectionId, Box<Resumable>>;

/// What an IKE_SESSION_RESUME request must have.
struct Request {
    header: Header,
    nonce: Nonce,
    ticket: Vec<u8>,
    parts: Parts,
}

/// What a ticket is accepted for.
struct Granted {
    connection: (ConnectionId, Arc<Connection>),
    suite: IkeSuite,
    session: Session,
    until: Instant,
}

impl Engine {
    /// A request of a stranger, or of one that is half-open already.
    pub(super) fn resume(
        &mut self,
        now: Instant,
        caller: &admission::Caller,
        datagram: Datagram,
        header: Header,
        message: Message,
    ) {
        let request =
            Request::of(header, message).ok().filter(|_| datagram.bytes.len() <= limits::INIT_OCTETS);
        if let Some(id) = self.admission.find(caller) {
            return self.repeated(now, id, &datagram);
        }
        let Some(request) = request else {
            return self.count(|counters| &mut counters.malformed);
        };
        if header.initiator_spi.is_zero() || self.shut_down {
            return;
        }
        let candidates = self.candidates(&datagram);
        if candidates.is_empty() {
            return self.refuse_ticket(now, &datagram, &header, None, TicketProblem::Policy);
        }
        let Some(candidates) = self.with_room(now, &datagram, candidates) else { return };
        if self.admission.is_full_for(caller, &self.config) || self.tunnels.len() >= self.config.max_ike_sas {
            self.out.trace(now, datagram.remote, || "dropped: too many IKE SAs are half-open".to_owned());
            return self.count(|counters| &mut counters.init_dropped);
        }
        match self.grant(now, &request.ticket, datagram.remote.ip(), &candidates) {
            Ok(granted) => self.let_in_again(now, caller, datagram, request, granted),
            Err(problem) => self.refuse_ticket(now, &datagram, &header, candidates.first(), problem),
        }
    }

    /// Opens a ticket and finds a connection that still allows what it says, to the client of it that the caller is
    /// today; from here on it is spent.
    fn grant(
        &mut self,
        now: Instant,
        ticket: &[u8],
        address: IpAddr,
        candidates: &Candidates,
    ) -> Result<Granted, TicketProblem> {
        let (session, until) = self.tickets.open(now, ticket)?;
        let caller = proof::identity(&session.caller);
        let fits = |(id, config): &(ConnectionId, Arc<Connection>)| {
            let (met, _) = client::meet(config, address, &caller).ok()?;
            let suite = session.suite_for_caller(&met).filter(|_| !redirects_at_once(config))?;
            Some(((*id, config.clone()), suite))
        };
        let (connection, suite) = candidates.iter().find_map(fits).ok_or(TicketProblem::Policy)?;
        match self.tickets.spend(now, session.spis) {
            true => Ok(Granted { connection, suite, session, until }),
            false => Err(TicketProblem::Spent),
        }
    }

    fn let_in_again(
        &mut self,
        now: Instant,
        caller: &admission::Caller,
        datagram: Datagram,
        request: Request,
        granted: Granted,
    ) {
        self.count(|counters| &mut counters.tickets_accepted);
        let addresses = (datagram.local, datagram.remote);
        let initiator_spi = request.header.initiator_spi;
        let traits = PeerTraits::of(&request.parts, (initiator_spi, IkeSpi::ZERO), addresses);
        let Granted { connection, suite, session, until } = granted;
        let (nonce, request) = (request.nonce, datagram.bytes);
        let resumes = Caller { initiator_spi, nonce, traits, request, session, suite, until };
        let common = Common::new(self.out.next_ike(), Role::Responder, connection, addresses, now);
        self.make_tunnel(now, Some(caller.clone()), |ctx| Tunnel::called_again(ctx, common, resumes));
    }

    /// Whatever the reason, the caller is told TICKET_NACK in the clear, and may prove itself anew (RFC 5723 §4.3).
    fn refuse_ticket(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        header: &Header,
        connection: Option<&(ConnectionId, Arc<Connection>)>,
        problem: TicketProblem,
    ) {
        let failure = Failure::TicketRejected(problem);
        self.count(|counters| &mut counters.tickets_refused);
        self.out.trace(now, datagram.remote, || format!("refused with {}: {failure}", failure.code()));
        if !self.admission.may_reply(now, &self.config) {
            return;
        }
        self.reply_unprotected(datagram, header, vec![Notify::ticket_nack()]);
        let mut attempt = Attempt::new(Role::Responder, datagram.local, datagram.remote, now);
        attempt.ended = Some(now);
        attempt.failure = Some(failure);
        self.note_refusal(datagram.instance, connection, attempt);
    }

    /// What is left of the lost IKE SA of a connection, to call this gateway; whatever is not used now is gone.
    pub(super) fn resumable(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        gateway: IpAddr,
    ) -> Option<Box<Resumable>> {
        let lost = self.lost.remove(&connection)?;
        (lost.gateway == gateway && lost.until > now).then_some(lost)
    }

    /// The session of an IKE SA was resumed by another one.
    pub(super) fn end_resumed(&mut self, now: Instant, by: IkeId, spis: Spis) {
        let owners: Vec<IkeId> =
            [spis.0, spis.1].iter().filter_map(|spi| self.spis.get(spi).copied()).collect();
        for id in owners.into_iter().filter(|id| *id != by) {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.is_resumed(ctx, spis));
        }
    }
}

impl Request {
    fn of(header: Header, message: Message) -> Result<Request, Failure> {
        let mut parts = Parts::of(message)?;
        let nonce = needed(parts.nonce.take(), "an IKE_SESSION_RESUME request without nonce")?;
        let ticket = parts.notify(NotifyType::TicketOpaque).and_then(Notify::shown_ticket);
        let ticket = needed(ticket, "an IKE_SESSION_RESUME request without ticket")?;
        Ok(Request { header, nonce, ticket, parts })
    }
}
