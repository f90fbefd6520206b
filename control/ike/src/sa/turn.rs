//! One input's turn at one IKE SA of a tunnel that is up: the tools every exchange uses.
//!
//! The exchanges themselves are `impl Turn` in their own files: [`super::own_child`], [`super::peer_child`],
//! [`super::own_ike`], [`super::peer_ike`], [`super::informational`], [`super::mobility`]. Where messages and answers go is decided in
//! [`super::dispatch`].

use super::child_deal::{Accepted, Intent};
use super::children::{self, Child, ChildState};
use super::common::Common;
use super::line::{Line, Standing};
use super::up::Up;
use crate::config::{ChildConfig, Connection, Selector};
use crate::context::{Context, Pending};
use crate::crypto::{EspKeyPair, Nonces};
use crate::error::Failure;
use crate::id::ChildSaId;
use crate::want::{EspKeys, EspSuite, InstallChild, OutboundStart, Role, WantKind};
use crate::window::Schedule;
use crate::wire::{ExchangeType, Nonce, Payload};
use std::sync::Arc;

/// One step at one IKE SA. The line is taken out of the tunnel for the time of the step.
pub(crate) struct Turn<'t, 'c> {
    pub(crate) ctx: &'t mut Context<'c>,
    pub(crate) common: &'t mut Common,
    pub(crate) up: &'t mut Up,
    pub(crate) line: &'t mut Line,
}

/// A negotiated CHILD_SA, before it has a name.
pub(crate) struct Made {
    pub(crate) config: ChildConfig,
    pub(crate) spi_in: u32,
    pub(crate) spi_out: u32,
    pub(crate) suite: EspSuite,
    pub(crate) local: Vec<Selector>,
    pub(crate) remote: Vec<Selector>,
    pub(crate) takes_more: bool,
    pub(crate) takes_padding: bool,
}

impl Up {
    /// Runs one step at the line of this index, if there is one.
    pub(crate) fn turn(
        &mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        index: usize,
        step: impl FnOnce(&mut Turn<'_, '_>),
    ) {
        if index >= self.lines.len() {
            return;
        }
        let mut line = self.lines.remove(index);
        step(&mut Turn { ctx, common, up: self, line: &mut line });
        self.lines.insert(index.min(self.lines.len()), line);
    }
}

impl Turn<'_, '_> {
    /// Sends a request on this IKE SA.
    pub(crate) fn request(&mut self, exchange: ExchangeType, payloads: Vec<Payload>) -> Result<(), Failure> {
        let schedule = Schedule::Doubling(self.ctx.config.retransmission);
        self.request_by(exchange, payloads, schedule)
    }

    pub(crate) fn request_by(
        &mut self,
        exchange: ExchangeType,
        payloads: Vec<Payload>,
        schedule: Schedule,
    ) -> Result<(), Failure> {
        self.line.sa.request(self.ctx, self.common, exchange, payloads, schedule)
    }

    /// Answers the peer's request on this IKE SA.
    pub(crate) fn reply(&mut self, exchange: ExchangeType, payloads: Vec<Payload>) {
        let path = self.line.reply_path;
        if let Err(failure) = self.line.sa.reply(self.ctx, self.common, &path, exchange, payloads) {
            self.up.ended = Some(failure);
        }
        if exchange == ExchangeType::IkeAuth {
            self.up.settled = true;
        }
    }

    /// Puts a CHILD_SA on order with the data plane.
    pub(crate) fn install(
        &mut self,
        made: Made,
        (keys_in, keys_out): (EspKeys, EspKeys),
        role: Role,
        replaces: Option<ChildSaId>,
        start: OutboundStart,
    ) -> (ChildSaId, Pending) {
        let (id, ordered) = (self.ctx.child_id(), self.ctx.count_order());
        // Whoever asked for it: what wanted it has it.
        self.common.packets.take(made.config.id);
        let replaces = replaces.or_else(|| self.elder_child(made.config.id));
        let (soft_at, hard_at) = children::lifetimes(self.ctx, made.config.lifetime);
        let want = InstallChild {
            child: id,
            ike: self.common.id,
            connection: self.common.connection,
            config: made.config.id,
            role,
            spi_in: made.spi_in,
            spi_out: made.spi_out,
            keys_in,
            keys_out,
            suite: made.suite,
            mode: made.config.mode,
            takes_padding: made.takes_padding,
            local: made.local.clone(),
            remote: made.remote.clone(),
            path: self.common.esp_path(),
            replaces,
            start,
            remote_identity: self.up.proven.identity().clone(),
        };
        self.up.children.add(Child {
            id,
            config: made.config.id,
            spi_in: made.spi_in,
            spi_out: made.spi_out,
            suite: made.suite,
            local: made.local,
            remote: made.remote,
            state: ChildState::Installing,
            resource: made.config.resource,
            takes_more: made.takes_more,
            takes_over: replaces,
            announced: false,
            ordered,
            started: if start == OutboundStart::Now { ordered } else { 0 },
            soft_at: Some(soft_at),
            hard_at,
        });
        (id, self.ctx.ask(self.common.id, WantKind::Install(Box::new(want))))
    }

    /// The CHILD_SA of IKE_AUTH, as initiator.
    pub(crate) fn own_first_child(
        &mut self,
        intent: Intent,
        spi: u32,
        accepted: Accepted,
        nonces: &(Nonce, Nonce),
    ) {
        let sa = &self.line.sa;
        let nonces = Nonces::new(&nonces.0, &nonces.1);
        let keys = EspKeyPair::derive(&accepted.suite, sa.suite.prf, &sa.keys.sk_d, None, nonces);
        self.own_child_install(intent, spi, accepted, keys);
    }

    /// The connection as configured now, or as it was if it is configured no more.
    pub(crate) fn current_config(&self) -> Arc<Connection> {
        self.ctx.connections.get(&self.common.connection).unwrap_or(&self.common.config).clone()
    }

    /// The new IKE SA takes over, this one waits for its end.
    pub(crate) fn retire(&mut self) {
        self.line.forget_awaited(self.ctx);
        self.line.standing = Standing::Retiring { until: self.ctx.now + super::up::PEERS_DELETE };
    }

    /// A peer that breaks the protocol loses its IKE SA: "only authentication failures and malformed messages lead
    /// to a deletion of the IKE SA without requiring an explicit INFORMATIONAL exchange" (RFC 7296 §2.21.3).
    pub(crate) fn end_if_misbehaved(&mut self, failure: &Failure) {
        if matches!(failure, Failure::Syntax(_) | Failure::BadKeValue) {
            self.up.ended = Some(failure.clone());
        }
    }
}
