//! A gateway that we are sent to by name (RFC 5685 §9.2, a FQDN): its addresses are asked for, and the first of them that
//! the redirection allows is called.
//!
//! Whoever answers [`WantKind::Resolve`] keeps the order that its resolver gives. A call that is redirected ends, and the next
//! one begins with the question; a tunnel that is up stays up until it is answered, and for good if there is no address
//! for us.

use super::call::Call;
use super::common::Common;
use super::phase::{Calling, Next, Phase};
use super::redirect::{Onward, permit, redirect_refused};
use super::up::Up;
use crate::config::ChildId;
use crate::context::{Context, Pending};
use crate::error::Failure;
use crate::id::Ticket;
use crate::want::{Answer, Resolve, WantKind};
use crate::wire::{GatewayIdentity, IkeSpi};
use std::net::IpAddr;

/// Addresses of a name that are looked at.
const ADDRESSES: usize = 16;

/// A call whose gateway's addresses are being asked for.
pub(crate) struct ExpectAddresses {
    spi: IkeSpi,
    to: GatewayIdentity,
    child: ChildId,
    pub(crate) pending: Pending,
}

/// Where a tunnel that is up goes once the addresses are there.
pub(crate) struct Sought {
    onward: Onward,
    pub(crate) pending: Pending,
}

fn ask(ctx: &mut Context<'_>, common: &Common, to: &GatewayIdentity) -> Pending {
    let name = to.host_name().unwrap_or_default().to_owned();
    let (connection, instance) = (common.connection, common.path.instance);
    ctx.ask(common.id, WantKind::Resolve(Resolve { connection, instance, name }))
}

/// The first address that we may call from the gateway `here`, or why there is none.
fn choose(
    common: &Common,
    here: IpAddr,
    to: &GatewayIdentity,
    answer: Answer,
) -> Result<GatewayIdentity, Failure> {
    let refused = |why: String| Failure::RedirectRefused(format!("{to}, {why}"));
    let Answer::Resolve(found) = answer else { return Err(Failure::AnswerMismatch("name resolution")) };
    let found = found.map_err(|error| refused(format!("whose address is not to be had ({error})")))?;
    let mut problem = None;
    for address in found.into_iter().take(ADDRESSES) {
        match permit(&common.config, here, address) {
            Ok(()) => return Ok(GatewayIdentity::Address(address)),
            Err(why) => _ = problem.get_or_insert_with(|| format!("at {address}, {why}")),
        }
    }
    Err(refused(problem.unwrap_or_else(|| "which has no address".to_owned())))
}

/// Begins a call to a name. It is at the gateway that gave the name until there is an address.
pub(crate) fn begin(ctx: &mut Context<'_>, common: &Common, child: ChildId, to: GatewayIdentity) -> Phase {
    let pending = ask(ctx, common, &to);
    let state = ExpectAddresses { spi: ctx.ike_spi(), to, child, pending };
    Phase::Calling(Calling::Resolution(Box::new(state)))
}

impl ExpectAddresses {
    pub(crate) fn spi(&self) -> IkeSpi {
        self.spi
    }

    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let here = common.path.remote.ip();
        if let GatewayIdentity::Address(address) = choose(common, here, &self.to, answer)? {
            common.path.remote.set_ip(address);
            common.attempt.remote.set_ip(address);
        }
        Call::begin(ctx, common, self.child)
    }
}

impl Up {
    /// Asks where a gateway is to which this one sends us; a later redirection takes the place of an earlier one.
    pub(crate) fn seek(&mut self, ctx: &mut Context<'_>, common: &Common, onward: Onward) {
        let pending = ask(ctx, common, &onward.to);
        self.sought = Some(Box::new(Sought { onward, pending }));
    }

    /// Whether that is the question under way.
    pub(crate) fn is_sought(&self, ticket: Ticket) -> bool {
        self.sought.as_ref().is_some_and(|sought| sought.pending.ticket == ticket)
    }

    /// The gateway is left for the other one, if there is an address that we may call.
    pub(crate) fn found(&mut self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) {
        let Some(sought) = self.sought.take().filter(|_| !self.is_closing()) else { return };
        let Sought { onward, .. } = *sought;
        match choose(common, common.path.remote.ip(), &onward.to, answer) {
            Ok(to) => self.go_on(ctx, common, Onward { to, children: self.wanted(), ..onward }),
            Err(reason) => redirect_refused(ctx, common, reason),
        }
    }

    /// The question was not answered in time.
    pub(crate) fn sought_due(&mut self, ctx: &mut Context<'_>, common: &Common) {
        if let Some(sought) = self.sought.take_if(|sought| sought.pending.until <= ctx.now) {
            let to = &sought.onward.to;
            let why = format!("{to}, whose address nobody knew within {:?}", ctx.config.answer_timeout);
            redirect_refused(ctx, common, Failure::RedirectRefused(why));
        }
    }
}
