//! Proofs of identity that count for a time (RFC 4478), and the tunnel that takes the place of another one of the same
//! peer (RFC 7296 §2.8.3): make before break.
//!
//! Who called begins anew: a call like any other, of which nothing of the old IKE SA is a part. What comes up is the heir,
//! the other one its elder. The heir's children take the elder's places one by one; then the elder is deleted, and its
//! children go on receiving until nothing can be under way to them. Called, we cannot know what the peer is about: we go
//! on sending as before until it sends by the heir, deletes the elder, or a moment has passed. When time is over whoever
//! has set it ends the IKE SA. Who is whose heir is decided here, when it comes up; both ends come to the same.

use super::children::{Child, ChildState};
use super::common::Common;
use super::ike_sa::IkeSa;
use super::line::Own;
use super::parts::Parts;
use super::phase::Phase;
use super::tunnel::Tunnel;
use super::turn::Turn;
use super::up::{PEERS_DELETE, Task, Up};
use crate::config::{AuthenticationLifetime, ChildId, Connection, Identity, InitialContact, RemoteAddress};
use crate::context::{Aside, Context, Others};
use crate::error::Failure;
use crate::event::Event;
use crate::id::{ChildSaId, IkeId};
use crate::time::Instant;
use crate::want::{Role, WantKind};
use crate::wire::{ExchangeType, Notify, NotifyType, Payload};
use std::sync::Arc;
use std::time::Duration;

/// How long, called, we leave it to the caller to send by the new tunnel or to delete the other one. One that does neither
/// has forgotten the other one, or has nothing to say.
const CALLERS: Duration = Duration::from_secs(5);

/// How long the proofs of a tunnel count, and who was before it and comes after it.
#[derive(Debug, Default)]
pub(crate) struct Term {
    /// When the peer was proven.
    since: Instant,
    /// Proofs that are older count no more, whatever is configured: those of a session that is resumed.
    bound: Option<Instant>,
    /// When, as configured here, they count no more.
    due: Option<Instant>,
    /// When the IKE SA ends for that: later, if the time was cut short while it was up.
    until: Option<Instant>,
    /// When we, who called, begin anew by our own rule, and by the peer's.
    own: Option<Instant>,
    told: Option<Instant>,
    elder: Option<Elder>,
    /// Called while another tunnel serves the peer, its elder or one that we called: until when that goes on sending.
    callers: Option<Instant>,
    /// The tunnel that takes its place.
    pub(crate) heir: Option<IkeId>,
}

/// Whose place a tunnel takes.
#[derive(Clone, Copy, Debug)]
struct Elder {
    ike: IkeId,
    /// Called, whether it ends when the caller, who has not deleted it, had its time.
    goes: bool,
}

impl Term {
    /// Of a tunnel that comes up now with this IKE SA.
    pub(crate) fn begin(ctx: &mut Context<'_>, common: &Common, sa: &IkeSa, peer: &Identity) -> Term {
        let config = configured(ctx, common);
        let bound = Some(sa.tickets_until).filter(|until| *until < Instant(u64::MAX));
        let elder = Elder::of(ctx, common, &config, peer);
        let callers = is_served_already(ctx, common, peer).then(|| ctx.now + CALLERS);
        let mut term = Term { since: ctx.now, bound, elder, callers, ..Term::default() };
        term.set(ctx, common.role, &config);
        term
    }

    fn set(&mut self, ctx: &mut Context<'_>, role: Role, config: &Connection) {
        let lifetime = config.authentication_lifetime;
        self.due = lifetime.map(|lifetime| self.bounded(self.since + lifetime.hard));
        self.until = self.due;
        let begins = lifetime.filter(|_| role == Role::Initiator && !config.responder_only);
        self.own = begins.map(|lifetime| {
            let left = self.bound.map(|bound| AuthenticationLifetime::of(bound.since(self.since)).soft);
            let soft = left.map_or(lifetime.soft, |left| left.min(lifetime.soft));
            self.since + ctx.jittered(soft, lifetime.jitter_percent)
        });
    }

    fn bounded(&self, at: Instant) -> Instant {
        self.bound.map_or(at, |bound| bound.min(at))
    }

    /// When its proofs count no more, if ever: what rests on them lives no longer.
    pub(crate) fn ends(&self) -> Instant {
        self.until.unwrap_or(Instant(u64::MAX))
    }

    /// The tunnel whose place it takes.
    pub(crate) fn elder(&self) -> Option<IkeId> {
        self.elder.map(|elder| elder.ike)
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.own, self.told, self.until, self.callers].into_iter().flatten().min()
    }

    /// Whether what is sent is still left to another tunnel.
    pub(crate) fn waits_for_caller(&self) -> bool {
        self.callers.is_some()
    }
}

impl Elder {
    /// The tunnel whose place is taken by one of the same peer that comes up now: the last of those before it that the
    /// same end has called.
    fn of(ctx: &Context<'_>, common: &Common, config: &Connection, peer: &Identity) -> Option<Elder> {
        let others = ctx.others.of(common.connection);
        let is_elder = |other: &&&Tunnel| {
            let called = common.role == Role::Responder;
            let same = other.common.role == common.role && (!called || other.peer() == Some(peer));
            same && other.common.id < common.id && other.is_established()
        };
        let ike = others.iter().filter(is_elder).map(|other| other.common.id).max()?;
        let replaces = config.initial_contact == InitialContact::Replace;
        Some(Elder { ike, goes: replaces || config.remote == RemoteAddress::Admitted })
    }
}

/// Whether we are called by a peer that another tunnel serves, whoever called for that: a caller has our answer later than
/// our worker has the keys, and what comes by them before is lost.
fn is_served_already(ctx: &Context<'_>, common: &Common, peer: &Identity) -> bool {
    let serves =
        |other: &&Tunnel| other.common.id < common.id && other.is_established() && other.peer() == Some(peer);
    common.role == Role::Responder && ctx.others.of(common.connection).iter().any(serves)
}

fn configured(ctx: &Context<'_>, common: &Common) -> Arc<Connection> {
    ctx.connections.get(&common.connection).unwrap_or(&common.config).clone()
}

/// Called, how long the caller's proof counts (RFC 4478 §3).
pub(crate) fn announced(ctx: &Context<'_>, common: &Common) -> Option<Payload> {
    let due = common.term.due.filter(|_| common.role == Role::Responder)?;
    Some(Payload::Notify(Notify::auth_lifetime(due.since(ctx.now))))
}

/// As caller, heeds what the peer says of that. The original initiator says nothing of the kind (RFC 4478 §3).
pub(crate) fn heed(ctx: &mut Context<'_>, common: &mut Common, parts: &Parts) {
    let Some(left) = parts.notify(NotifyType::AuthLifetime).and_then(Notify::lifetime) else { return };
    if common.role == Role::Initiator && !configured(ctx, common).responder_only {
        let told = AuthenticationLifetime::of(left);
        common.term.told = Some(ctx.now + ctx.jittered(told.soft, told.jitter_percent));
    }
}

/// The tunnel that goes on serving the peer when this one ends: its heir, or one that waits for the caller to show that
/// it has it.
pub(crate) fn successor(common: &Common, peer: Option<&Identity>, others: &dyn Others) -> Option<IkeId> {
    let heir = common.term.heir.and_then(|heir| others.tunnel(heir)).filter(|heir| heir.is_established());
    let waits =
        |other: &&Tunnel| other.common.id != common.id && other.waits_for_caller() && other.peer() == peer;
    heir.or_else(|| others.of(common.connection).into_iter().find(waits)).map(|other| other.common.id)
}

impl Up {
    /// What is due of its term.
    pub(crate) fn term_due(&mut self, ctx: &mut Context<'_>, common: &mut Common) {
        let now = ctx.now;
        let is_due = |at: &mut Instant| *at <= now;
        if self.is_closing() {
            return;
        }
        let (own, told) = (common.term.own.take_if(is_due), common.term.told.take_if(is_due));
        if own.or(told).is_some() {
            // A call that comes to nothing is followed by another one.
            common.term.own = Some(ctx.retry_at());
            ctx.out.asides.push(Aside::Reauthenticate { ike: common.id });
        }
        if common.term.callers.is_some_and(|until| until <= now) {
            self.caller_had_its_time(ctx, common);
        }
        if common.term.until.take_if(is_due).is_some() {
            let reason = common.term.heir.map_or(Failure::ProofExpired, |_| Failure::Reauthenticated);
            ctx.out.asides.push(Aside::HandOver { ike: common.id, reason });
        }
    }

    fn caller_had_its_time(&mut self, ctx: &mut Context<'_>, common: &mut Common) {
        let elder = common.term.elder.take();
        self.inherit(ctx, common);
        if let Some(elder) = elder.filter(|elder| elder.goes) {
            ctx.out.asides.push(Aside::HandOver { ike: elder.ike, reason: Failure::Superseded });
        }
    }

    /// What was left to the elder, or to one that we called, is ours from now on.
    pub(crate) fn inherit(&mut self, ctx: &mut Context<'_>, common: &mut Common) {
        (common.term.elder, common.term.callers) = (None, None);
        // The successor of one that is here waits for that one.
        let succeeds = |child: &Child| self.children.replaced_by(child.id).is_some();
        let waits = |child: &&Child| child.state == ChildState::Live && !child.announced && !succeeds(child);
        let waiting: Vec<ChildSaId> = self.children.iter().filter(waits).map(|child| child.id).collect();
        for child in waiting {
            ctx.order(WantKind::Activate(child));
            self.announce(ctx, common, child);
        }
    }

    /// As caller, ends the elder once nothing of it is left to be made here.
    pub(crate) fn relieve_elder(&mut self, ctx: &mut Context<'_>, common: &mut Common) {
        let waits = self.later.iter().any(|(_, task)| matches!(task, Task::CreateChild(_)));
        if common.role == Role::Responder || self.is_closing() || self.is_busy() || waits {
            return;
        }
        if let Some(elder) = common.term.elder.take() {
            ctx.out.asides.push(Aside::HandOver { ike: elder.ike, reason: Failure::Reauthenticated });
        }
    }

    /// Whether the heir has this child.
    pub(crate) fn is_inherited(&self, ctx: &Context<'_>, common: &Common, config: ChildId) -> bool {
        let heir = common.term.heir.and_then(|heir| ctx.others.tunnel(heir));
        let up = heir.filter(|heir| heir.is_established()).and_then(Tunnel::up);
        up.is_some_and(|up| up.children.in_use(config).is_some())
    }

    /// A CHILD_SA whose place another tunnel's has taken receives for a while what is under way to it.
    pub(crate) fn bequeath(&mut self, ctx: &mut Context<'_>, common: &Common, id: ChildSaId) {
        let Some(child) = self.children.get_mut(id) else { return };
        if !matches!(child.state, ChildState::Draining { .. }) && child.started > 0 {
            let (config, started) = (child.config, child.started);
            ctx.out.asides.push(Aside::Vacated { ike: common.id, config, started });
        }
        child.state = ChildState::Draining { until: ctx.now + ctx.config.drain };
    }

    /// Takes out what was drained for long enough. While the peer may not know of our Delete, it still sends.
    pub(crate) fn drained_due(&mut self, ctx: &mut Context<'_>, common: &Common) {
        let (now, delay) = (ctx.now, self.is_closing() && !self.is_over());
        let drained = |child: &Child| matches!(child.state, ChildState::Draining { until } if until <= now);
        let due: Vec<ChildSaId> =
            self.children.iter().filter(|child| drained(child)).map(|child| child.id).collect();
        for id in due {
            match self.children.get_mut(id).filter(|_| delay) {
                Some(child) => child.state = ChildState::Draining { until: now + ctx.config.drain },
                None => _ = self.drop_child(ctx, common, id, Failure::Superseded),
            }
        }
    }

    /// Takes out what is drained, whether it has been for long enough or not.
    fn drop_drained(&mut self, ctx: &mut Context<'_>, common: &Common) {
        let drained = |child: &&Child| matches!(child.state, ChildState::Draining { .. });
        let all: Vec<ChildSaId> = self.children.iter().filter(drained).map(|child| child.id).collect();
        for id in all {
            self.drop_child(ctx, common, id, Failure::Superseded);
        }
    }
}

impl Turn<'_, '_> {
    /// The CHILD_SA of this child in the elder, whose place one that is made now takes.
    pub(crate) fn elder_child(&self, config: ChildId) -> Option<ChildSaId> {
        self.elder()?.children.in_use(config).map(|child| child.id)
    }

    /// Called, whether another tunnel goes on sending for this child until the caller shows that it has the one that is
    /// made now.
    pub(crate) fn is_sent_elsewhere(&self, config: ChildId) -> bool {
        let (common, peer) = (&self.common, Some(self.up.proven.identity()));
        let sends = |other: &&Tunnel| {
            let up = other.up().filter(|_| other.common.id != common.id && other.peer() == peer);
            other.is_established() && up.is_some_and(|up| up.children.in_use(config).is_some())
        };
        common.term.waits_for_caller() && self.ctx.others.of(common.connection).iter().any(sends)
    }

    /// The elder, while it serves the peer.
    pub(crate) fn elder(&self) -> Option<&Up> {
        let elder = self.ctx.others.tunnel(self.common.term.elder()?)?;
        Some(elder).filter(|elder| elder.is_established()).and_then(Tunnel::up)
    }

    /// How long the caller's proof counts has changed (RFC 4478 §3).
    pub(crate) fn send_auth_lifetime(&mut self) {
        let Some(announced) = announced(self.ctx, self.common) else { return };
        match self.request(ExchangeType::Informational, vec![announced]) {
            Ok(()) => self.line.own = Some(Own::Nothing),
            Err(failure) => self.up.ended = Some(failure),
        }
    }
}

impl Tunnel {
    /// Its connection was configured anew: for a shorter time it may be too late already, so that the peer gets time.
    pub(crate) fn term_changed(&mut self, ctx: &mut Context<'_>) {
        let Some(Phase::Up(up)) = &self.phase else { return };
        let config = configured(ctx, &self.common);
        let lifetime = config.authentication_lifetime;
        let term = &mut self.common.term;
        let due = lifetime.map(|lifetime| term.bounded(term.since + lifetime.hard));
        if due == term.due || up.is_closing() {
            return;
        }
        term.set(ctx, self.common.role, &config);
        term.until = due.map(|due| due.max(ctx.now + PEERS_DELETE));
        if self.common.role == Role::Responder && due.is_some() {
            self.task(ctx, Task::SendAuthLifetime);
        }
    }

    /// Takes an heir; true if it does not have a living one.
    pub(crate) fn take_heir(&mut self, heir: IkeId) -> bool {
        let is_first = self.is_established();
        if is_first {
            self.common.term.heir = Some(heir);
        }
        is_first
    }

    /// The children that an heir is to have: those that are configured, and none of a single resource, which are made
    /// anew beside their fallback.
    pub(crate) fn heritage(&self, config: &Connection) -> Vec<ChildId> {
        let is_shared = |id: &ChildId| config.child(*id).is_some_and(|child| !child.resource.is_one());
        let mut children = self.up().map(Up::children_and_wishes).unwrap_or_default();
        children.retain(is_shared);
        children
    }

    /// It has been told to whose place it takes.
    pub(crate) fn look_at_elder(&mut self, ctx: &mut Context<'_>) {
        if let Some(Phase::Up(up)) = &mut self.phase {
            up.relieve_elder(ctx, &mut self.common);
        }
    }

    /// Its heir has ended, and with it the connection of both.
    pub(crate) fn drop_drained(&mut self, ctx: &mut Context<'_>) {
        if let Some(Phase::Up(up)) = &mut self.phase {
            up.drop_drained(ctx, &self.common);
        }
    }

    /// Whether what is sent is still left to another tunnel.
    pub(crate) fn waits_for_caller(&self) -> bool {
        self.is_established() && self.common.term.waits_for_caller()
    }

    /// Its elder is ended by the peer, or by us.
    pub(crate) fn inherit(&mut self, ctx: &mut Context<'_>) {
        if let Some(Phase::Up(up)) = &mut self.phase {
            up.inherit(ctx, &mut self.common);
        }
    }
}

/// What is told of a tunnel that takes the place of another one.
pub(crate) fn told(common: &Common) -> Option<Event> {
    let elder = common.term.elder()?;
    let (ike, connection) = (common.id, common.connection);
    Some(Event::Reauthenticated { ike, elder, connection })
}
