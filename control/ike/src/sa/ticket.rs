//! Tickets on an IKE SA that is up (RFC 5723 §4.1, §6.2): who called asks for one, who was called gives it, and what of it is
//! kept when the IKE SA is lost.
//!
//! It is asked for in IKE_AUTH, and for an IKE SA made by a rekey in an INFORMATIONAL request of its own, whoever rekeyed: a
//! ticket belongs to one IKE SA. One that ends in good order takes its ticket along, at both ends.

use super::common::Common;
use super::ike_sa::IkeSa;
use super::line::{Line, Own};
use super::parts::Parts;
use super::proof::Proven;
use super::session::{self, Session};
use super::turn::Turn;
use super::up::{Task, Up};
use crate::config::ConnectionId;
use crate::context::{Aside, Context};
use crate::error::Failure;
use crate::time::Instant;
use crate::want::Role;
use crate::wire::{ExchangeType, Notify, NotifyType, Payload, TicketGiven, limits};
use std::net::IpAddr;

/// A ticket that we were given.
pub(crate) struct HeldTicket {
    octets: Vec<u8>,
    until: Instant,
}

/// What is left of an IKE SA that was lost: by it the next call begins.
pub(crate) struct Resumable {
    pub(crate) connection: ConnectionId,
    /// The gateway that gave the ticket.
    pub(crate) gateway: IpAddr,
    pub(crate) ticket: Vec<u8>,
    /// After that it is not shown (RFC 5723 §4.3).
    pub(crate) until: Instant,
    pub(crate) session: Session,
}

impl core::fmt::Debug for Resumable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Resumable({:?})", self.connection)
    }
}

/// As caller, what asks for a ticket.
pub(crate) fn request(common: &Common) -> Option<Payload> {
    let asks = common.role == Role::Initiator && session::may_resume(&common.config);
    asks.then(|| Payload::Notify(Notify::ticket_request()))
}

/// As caller, the ticket in an answer to that. A gateway may give none (TICKET_NACK), or later (TICKET_ACK): then the next
/// rekey asks again.
pub(crate) fn given(ctx: &Context<'_>, common: &Common, parts: &Parts) -> Option<Box<HeldTicket>> {
    request(common)?;
    let given = TicketGiven::from_notify(parts.notify(NotifyType::TicketLtOpaque)?)?;
    let until = ctx.now + std::time::Duration::from_secs(given.lifetime.into());
    Some(Box::new(HeldTicket { octets: given.ticket, until }))
}

/// Called, the answer to a caller that asks.
pub(crate) fn answer(
    ctx: &mut Context<'_>,
    common: &Common,
    proven: &Proven,
    sa: &mut IkeSa,
    parts: &Parts,
) -> Option<Payload> {
    parts.notify(NotifyType::TicketRequest)?;
    let ticket = give(ctx, common, proven, sa);
    Some(Payload::Notify(ticket.map_or_else(Notify::ticket_nack, |ticket| ticket.notify())))
}

/// A ticket lives no longer than the IKE SA may, by the gateway's policy, nor than until a new proof is due (RFC 5723
/// §6.2).
fn give(ctx: &mut Context<'_>, common: &Common, proven: &Proven, sa: &mut IkeSa) -> Option<TicketGiven> {
    if common.role == Role::Initiator || !session::may_resume(&common.config) {
        return None;
    }
    let session = Session::of(common, proven, sa)?;
    let longest = sa.hard_at.min(sa.tickets_until).min(common.term.ends()).since(ctx.now);
    let (ticket, lifetime) = ctx.tickets.seal(ctx.now, &session, longest, ctx.random)?;
    let fits = ticket.len() <= limits::TICKET_OCTETS;
    sa.ticket_given |= fits;
    fits.then_some(TicketGiven { lifetime, ticket })
}

/// The current IKE SA is a new one, and the ticket of the old one is worth nothing any more (RFC 5723 §6.2).
pub(crate) fn renew(common: &Common, up: &mut Up) {
    if request(common).is_some() && !up.tasks.contains(&Task::RequestTicket) {
        up.tasks.push_back(Task::RequestTicket);
    }
}

/// The IKE SA ends for this reason: if it is lost, what the next call begins with.
pub(crate) fn keep(ctx: &mut Context<'_>, common: &Common, up: &mut Up, reason: &Failure) {
    let Some(line) = up.lines.iter_mut().find(|line| line.is_current()) else { return };
    let held = line.sa.ticket.take().filter(|_| reason.is_loss());
    let session = Session::of(common, &up.proven, &line.sa);
    if let (Some(held), Some(session)) = (held, session) {
        ctx.out.asides.push(Aside::Lost(Box::new(Resumable {
            connection: common.connection,
            gateway: common.path.remote.ip(),
            ticket: held.octets,
            until: held.until.min(common.term.ends()),
            session,
        })));
    }
}

impl Up {
    /// Who resumed the session of this IKE SA has done with it: it goes without a Delete (RFC 5723 §4.3).
    pub(crate) fn is_resumed(&mut self, spis: super::session::Spis) {
        let is_it = |line: &Line| line.is_current() && (line.sa.initiator_spi, line.sa.responder_spi) == spis;
        if !self.is_closing() && self.lines.iter().any(|line| is_it(line)) {
            self.ended = Some(Failure::Superseded);
        }
    }
}

impl Turn<'_, '_> {
    /// Asks for a ticket for this IKE SA.
    pub(crate) fn request_ticket(&mut self) {
        let Some(request) = request(self.common) else { return };
        match self.request(ExchangeType::Informational, vec![request]) {
            Ok(()) => self.line.own = Some(Own::Ticket),
            Err(failure) => self.up.ended = Some(failure),
        }
    }

    /// It is here, or none is.
    pub(crate) fn own_ticket_given(&mut self, parts: &Parts) {
        self.line.sa.ticket = given(self.ctx, self.common, parts);
    }

    /// The peer asks for one.
    pub(crate) fn peer_ticket(&mut self, parts: &Parts) -> Option<Payload> {
        if !self.line.is_current() || self.up.is_closing() {
            return None;
        }
        answer(self.ctx, self.common, &self.up.proven, &mut self.line.sa, parts)
    }

    /// This IKE SA has ended in good order: the caller forgets its ticket (RFC 5723 §6.2), and where we gave one nobody can
    /// show it any more.
    pub(crate) fn withdraw_ticket(&mut self) {
        let sa = &mut self.line.sa;
        sa.ticket = None;
        if std::mem::take(&mut sa.ticket_given) {
            self.ctx.tickets.spend(self.ctx.now, (sa.initiator_spi, sa.responder_spi));
        }
    }
}
