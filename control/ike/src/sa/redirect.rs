//! Redirection to another gateway (RFC 5685), in both roles. Callers that are redirected in IKE_SA_INIT are
//! [`crate::engine::accept`]'s.
//!
//! As caller we follow where the connection allows it, in IKE_SA_INIT, in IKE_AUTH and later; a new call begins with
//! [`Onward`], and the new gateway must prove the same identity as the one configured. Where it is given by name, its
//! addresses are [`super::resolution`]'s. Called, we redirect who said that it can be, and wait for its Delete.

use super::common::Common;
use super::line::{Own, Standing};
use super::packet::Packets;
use super::turn::Turn;
use super::up::{PEERS_DELETE, Task, Up};
use crate::config::{AcceptRedirect, ChildId, Connection, ConnectionId, RedirectAt};
use crate::context::{Aside, Context};
use crate::error::Failure;
use crate::event::Event;
use crate::time::Instant;
use crate::want::Role;
use crate::wire::{ExchangeType, GatewayIdentity, Notify, NotifyType, Payload, Redirect};
use std::net::IpAddr;
use std::time::Duration;

/// "MAX_REDIRECTS" within "REDIRECT_LOOP_DETECT_PERIOD" (RFC 5685 §7).
const MAX_REDIRECTS: usize = 5;
const LOOP_DETECT_PERIOD: Duration = Duration::from_secs(300);

/// How a call came to be: the gateway that sent us to this one, and when we followed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    pub(crate) from: Option<IpAddr>,
    followed: Vec<Instant>,
}

/// The call that follows a redirection.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) connection: ConnectionId,
    pub(crate) to: GatewayIdentity,
    pub(crate) trail: Trail,
    /// The children to be had there.
    pub(crate) children: Vec<ChildId>,
    /// What wants them.
    pub(crate) packets: Packets,
}

/// A caller that can be redirected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirectable {
    /// The gateway that sent it here.
    from: Option<GatewayIdentity>,
}

impl Redirectable {
    /// Whether it may be sent there: not back to where it comes from (RFC 5685 §7), nor where nobody knows whether that is
    /// the same gateway, because one of them is a name.
    pub(crate) fn may_go(&self, to: &GatewayIdentity) -> bool {
        match (&self.from, to) {
            (Some(GatewayIdentity::Address(from)), GatewayIdentity::Address(to)) => from != to,
            (from, _) => from.is_none(),
        }
    }
}

/// What a caller's IKE_SA_INIT request says: "REDIRECT_SUPPORTED", or REDIRECTED_FROM, which says it too.
pub(crate) fn redirectable(parts: &super::parts::Parts) -> Option<Redirectable> {
    match parts.notify(NotifyType::RedirectedFrom) {
        Some(notify) => Some(Redirectable { from: GatewayIdentity::from_notify(notify) }),
        None => parts.has(NotifyType::RedirectSupported).then_some(Redirectable { from: None }),
    }
}

/// What our IKE_SA_INIT request says.
pub(crate) fn announce(common: &Common) -> Option<Payload> {
    if common.config.redirect.accept == AcceptRedirect::Never {
        return None;
    }
    let supported = || Notify::new(NotifyType::RedirectSupported, Vec::new());
    let from = common.trail.from.map(|from| GatewayIdentity::Address(from).redirected_from());
    Some(Payload::Notify(from.unwrap_or_else(supported)))
}

/// Whether we go from the gateway `here` to another address, or why not.
pub(crate) fn permit(config: &Connection, here: IpAddr, to: IpAddr) -> Result<(), &'static str> {
    if !config.redirect.accept.allows(to) {
        Err("which the configuration does not allow")
    } else if to.is_ipv4() != here.is_ipv4() || to.is_unspecified() || to.is_multicast() {
        Err("where we cannot call from our address")
    } else if to == here {
        Err("which is itself")
    } else {
        Ok(())
    }
}

/// Judges a redirection of ours: where it leads, for these children. What a name leads to is judged when it is known.
pub(crate) fn follow(
    ctx: &Context<'_>,
    common: &Common,
    to: &GatewayIdentity,
    children: Vec<ChildId>,
) -> Result<Onward, Failure> {
    let here = common.path.remote.ip();
    let judged = match to {
        GatewayIdentity::Address(address) => permit(&common.config, here, *address),
        name => name.host_name().map(|_| ()).ok_or("which is no name of a host"),
    };
    judged.map_err(|why| Failure::RedirectRefused(format!("{to}, {why}")))?;
    let mut followed = common.trail.followed.clone();
    followed.retain(|at| ctx.now.since(*at) < LOOP_DETECT_PERIOD);
    if followed.len() >= MAX_REDIRECTS {
        return Err(Failure::RedirectLoop(to.clone()));
    }
    followed.push(ctx.now);
    let trail = Trail { from: Some(here), followed };
    let packets = Packets::default();
    Ok(Onward { connection: common.connection, to: to.clone(), trail, children, packets })
}

/// Where the caller, who is proven, is to go instead.
pub(crate) fn of_caller(common: &Common) -> Option<GatewayIdentity> {
    let callers = common.config.redirect.callers.as_ref().filter(|callers| callers.at == RedirectAt::Auth)?;
    let may_go = common.redirectable.as_ref()?.may_go(&callers.to);
    may_go.then(|| callers.to.clone())
}

/// REDIRECT in a protected message.
pub(crate) fn notify(to: GatewayIdentity) -> Payload {
    Payload::Notify(Redirect { to, nonce: Vec::new() }.notify())
}

impl Up {
    /// The caller was told in IKE_AUTH to go elsewhere: it carries nothing, and waits for the caller's Delete.
    pub(crate) fn send_away(&mut self, ctx: &mut Context<'_>, common: &Common, to: GatewayIdentity) {
        self.report_end(ctx, common, Failure::RedirectedPeer(to));
        let until = ctx.now + PEERS_DELETE;
        self.lines.iter_mut().for_each(|line| line.standing = Standing::Retiring { until });
    }

    /// The children that are up or to be made.
    pub(crate) fn wanted(&self) -> Vec<ChildId> {
        let made = self.children.iter().map(|child| child.config);
        let asked = self.tasks.iter().filter_map(|task| match task {
            Task::CreateChild(child) => Some(*child),
            _ => None,
        });
        let mut wanted: Vec<ChildId> = made.chain(asked).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }
}

impl Turn<'_, '_> {
    /// Tells the caller to go elsewhere (RFC 5685 §5).
    pub(crate) fn start_redirect(&mut self, to: GatewayIdentity) {
        match self.request(ExchangeType::Informational, vec![notify(to.clone())]) {
            Ok(()) => {
                self.line.own = Some(Own::Redirect(to.clone()));
                self.common.sent_away = Some(to);
            }
            Err(failure) => self.up.ended = Some(failure),
        }
    }

    /// It knows: it deletes this IKE SA when it has another one, or we do.
    pub(crate) fn own_redirect_heard(&mut self, to: GatewayIdentity) {
        self.up.later.push((self.ctx.now + PEERS_DELETE, Task::Leave(to)));
    }

    /// The gateway we called sends us elsewhere: it is answered, then left, if the configuration allows.
    pub(crate) fn peer_redirects(&mut self, notify: &Notify) {
        self.reply(ExchangeType::Informational, Vec::new());
        if self.common.role == Role::Responder
            || self.up.is_closing()
            || self.common.config.redirect.accept == AcceptRedirect::Never
        {
            return;
        }
        let redirect = Redirect::from_notify(notify);
        let redirect = redirect.ok_or(Failure::Syntax("a REDIRECT that does not parse"));
        match redirect.and_then(|redirect| follow(self.ctx, self.common, &redirect.to, self.up.wanted())) {
            Ok(onward) if onward.to.host_name().is_some() => self.up.seek(self.ctx, self.common, onward),
            Ok(onward) => {
                self.line.delete = true;
                self.up.go_on(self.ctx, self.common, onward);
            }
            Err(reason) => redirect_refused(self.ctx, self.common, reason),
        }
    }
}

/// We stay where we are.
pub(crate) fn redirect_refused(ctx: &mut Context<'_>, common: &Common, reason: Failure) {
    ctx.event(Event::RedirectRefused { ike: common.id, connection: common.connection, reason });
}

impl Up {
    /// Leaves this gateway for another one.
    pub(crate) fn go_on(&mut self, ctx: &mut Context<'_>, common: &mut Common, mut onward: Onward) {
        onward.packets = std::mem::take(&mut common.packets);
        self.close(ctx, common, Failure::Redirected(onward.to.clone()));
        ctx.out.asides.push(Aside::GoOn(Box::new(onward)));
    }
}
