//! Redirection to another gateway (RFC 5685), in both roles. Callers that are redirected in IKE_SA_INIT are
//! [`crate::engine::accept`]'s.
//!
//! As caller we follow where the connection allows it, in IKE_SA_INIT, in IKE_AUTH and later; a new call begins with
//! [`Onward`], and the new gateway must prove the same identity as the one configured. Called, we redirect who said
//! that it can be, and wait for its Delete.

use super::common::Common;
use super::line::{Own, Standing};
use super::packet::Packets;
use super::turn::Turn;
use super::up::{PEERS_DELETE, Task, Up};
use crate::config::{AcceptRedirect, ChildId, ConnectionId, RedirectAt};
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
    from: Option<IpAddr>,
    followed: Vec<Instant>,
}

/// The call that follows a redirection.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) connection: ConnectionId,
    pub(crate) to: IpAddr,
    pub(crate) trail: Trail,
    /// The children to be had there.
    pub(crate) children: Vec<ChildId>,
    /// What wants them.
    pub(crate) packets: Packets,
}

/// A caller that can be redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redirectable {
    /// The gateway that sent it here: it is not sent back (RFC 5685 §7).
    pub(crate) from: Option<IpAddr>,
}

/// What a caller's IKE_SA_INIT request says: "REDIRECT_SUPPORTED", or REDIRECTED_FROM, which says it too.
pub(crate) fn redirectable(parts: &super::parts::Parts) -> Option<Redirectable> {
    match parts.notify(NotifyType::RedirectedFrom).map(GatewayIdentity::from_notify) {
        Some(Some(GatewayIdentity::Address(from))) => Some(Redirectable { from: Some(from) }),
        Some(_) => Some(Redirectable { from: None }),
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

/// Judges a redirection of ours: where it leads, for these children.
pub(crate) fn follow(
    ctx: &Context<'_>,
    common: &Common,
    to: &GatewayIdentity,
    children: Vec<ChildId>,
) -> Result<Onward, Failure> {
    let refused = |why: &str| Failure::RedirectRefused(format!("{to}, {why}"));
    let GatewayIdentity::Address(address) = *to else {
        return Err(refused("a name: there is no resolver here"));
    };
    let (here, accept) = (common.path.remote.ip(), &common.config.redirect.accept);
    if !accept.allows(address) {
        return Err(refused("which the configuration does not allow"));
    }
    if address.is_ipv4() != here.is_ipv4() || address.is_unspecified() || address.is_multicast() {
        return Err(refused("where we cannot call from our address"));
    }
    if address == here {
        return Err(refused("which is itself"));
    }
    let mut followed = common.trail.followed.clone();
    followed.retain(|at| ctx.now.since(*at) < LOOP_DETECT_PERIOD);
    if followed.len() >= MAX_REDIRECTS {
        return Err(Failure::RedirectLoop(address));
    }
    followed.push(ctx.now);
    let trail = Trail { from: Some(here), followed };
    let packets = Packets::default();
    Ok(Onward { connection: common.connection, to: address, trail, children, packets })
}

/// Where the caller, who is proven, is to go instead.
pub(crate) fn of_caller(common: &Common) -> Option<IpAddr> {
    let callers = common.config.redirect.callers.filter(|callers| callers.at == RedirectAt::Auth)?;
    let redirectable = common.redirectable?;
    (redirectable.from != Some(callers.to)).then_some(callers.to)
}

/// REDIRECT in a protected message.
pub(crate) fn notify(to: IpAddr) -> Payload {
    Payload::Notify(Redirect { to: GatewayIdentity::Address(to), nonce: Vec::new() }.notify())
}

impl Up {
    /// The caller was told in IKE_AUTH to go elsewhere: it carries nothing, and waits for the caller's Delete.
    pub(crate) fn send_away(&mut self, ctx: &mut Context<'_>, common: &Common, to: IpAddr) {
        self.report_end(ctx, common, Failure::RedirectedPeer(to));
        let until = ctx.now + PEERS_DELETE;
        self.lines.iter_mut().for_each(|line| line.standing = Standing::Retiring { until });
    }

    /// The children that are up or to be made.
    fn wanted(&self) -> Vec<ChildId> {
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
    pub(crate) fn start_redirect(&mut self, to: IpAddr) {
        match self.request(ExchangeType::Informational, vec![notify(to)]) {
            Ok(()) => {
                self.line.own = Some(Own::Redirect(to));
                self.common.sent_away = Some(to);
            }
            Err(failure) => self.up.ended = Some(failure),
        }
    }

    /// It knows: it deletes this IKE SA when it has another one, or we do.
    pub(crate) fn own_redirect_heard(&mut self, to: IpAddr) {
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
            Ok(onward) => {
                self.line.delete = true;
                self.up.go_on(self.ctx, self.common, onward);
            }
            Err(reason) => {
                let (ike, connection) = (self.common.id, self.common.connection);
                self.ctx.event(Event::RedirectRefused { ike, connection, reason });
            }
        }
    }
}

impl Up {
    /// Leaves this gateway for another one.
    fn go_on(&mut self, ctx: &mut Context<'_>, common: &mut Common, mut onward: Onward) {
        onward.packets = std::mem::take(&mut common.packets);
        self.close(ctx, common, Failure::Redirected(onward.to));
        ctx.out.asides.push(Aside::GoOn(Box::new(onward)));
    }
}
