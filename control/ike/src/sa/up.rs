//! A tunnel whose peer is proven: its IKE SAs, its CHILD_SAs, what is to be done next.

use super::child_deal::{Accepted, Intent};
use super::children::{Child, ChildState, Children};
use super::common::Common;
use super::crossing;
use super::ike_sa::IkeSa;
use super::line::{Line, Own, Peer, Standing};
use super::proof::Proven;
use super::reauthentication::{self, Term};
use super::resolution::Sought;
use super::second_auth;
use crate::config::{Auth, ChildId, Choice, InitialContact, RemoteAddress};
use crate::context::{Aside, Context};
use crate::error::Failure;
use crate::event::{Event, IkeUp};
use crate::id::ChildSaId;
use crate::recorder::Stage;
use crate::time::Instant;
use crate::want::{Role, WantKind};
use crate::wire::{GatewayIdentity, Nonce};
use std::collections::VecDeque;
use std::time::Duration;

/// How long an SA that the peer has to delete is kept before we do it: twice the time its Delete may take to
/// get here, if it is still alive.
pub(crate) const PEERS_DELETE: Duration = Duration::from_secs(60);

/// CHILD_SAs being drained, over and above one for each that may be up: at twenty rekeys a second each is kept for
/// longer than packets are under way. The oldest goes before its time, so that a peer that rekeys without end is
/// never refused and never costs more.
const DRAINING: usize = 32;

/// Closed IKE SAs kept for repetitions of their last request. The oldest goes before its time.
const CLOSED: usize = 32;

/// Something to be done when our window is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    CreateChild(ChildId),
    RekeyChild(ChildSaId),
    DeleteChild {
        child: ChildSaId,
        reason: Failure,
    },
    /// Tell the peer that it sends by an SA that is not here.
    TellInvalidSpi {
        spi: u32,
    },
    /// Delete a CHILD_SA that only the peer has.
    DeleteForeign {
        spi_in: u32,
    },
    RekeyIke,
    Probe,
    /// Tell the peer of our addresses, which have changed.
    AnnounceAddresses,
    /// Give the peer our crash token for this IKE SA.
    SendCrashToken,
    /// Ask for a ticket for this IKE SA.
    RequestTicket,
    /// Tell the caller to go to another gateway.
    Redirect(GatewayIdentity),
    /// The caller was told, and has not gone.
    Leave(GatewayIdentity),
    /// Tell the caller how long its proof counts.
    SendAuthLifetime,
}

/// Whether the peer's answer says that it made the CHILD_SA which is none for us.
pub(crate) struct PeerHasIt(pub(crate) bool);

/// A tunnel that is up.
pub(crate) struct Up {
    pub(crate) proven: Proven,
    #[expect(
        clippy::vec_box,
        reason = "each is moved out and back for a step; spare places would be kilobytes"
    )]
    pub(crate) lines: Vec<Box<Line>>,
    pub(crate) children: Children,
    pub(crate) tasks: VecDeque<Task>,
    /// Tasks that wait for a time.
    pub(crate) later: Vec<(Instant, Task)>,
    /// The gateway to which this one sends us, while we ask where it is.
    pub(crate) sought: Option<Box<Sought>>,
    /// False while we owe the peer the IKE_AUTH reply: it does not know yet that it is up.
    pub(crate) settled: bool,
    /// Series of key exchanges, one after the other, that the peer has forgotten before they were done.
    pub(crate) forgotten: u8,
    /// The caller was told that it is down; only IKE SAs to be wound up are left.
    closing: bool,
    /// Set when the tunnel has to end without a word to the peer.
    pub(crate) ended: Option<Failure>,
}

/// Which of our certificates the peer was shown, if any.
fn shown(common: &Common) -> Option<Choice> {
    let by_certificate = matches!(common.config.local_auth, Auth::Certificate(_)) && !common.resumed;
    by_certificate.then_some(common.own)
}

impl Up {
    /// The IKE SA is up. Asking for a [`Proven`] is the check that the peer's AUTH was verified.
    pub(crate) fn begin(ctx: &mut Context<'_>, common: &mut Common, sa: IkeSa, proven: Proven) -> Up {
        common.term = Term::begin(ctx, common, &sa, proven.identity());
        crossing::take_up_mark(ctx, common);
        ctx.event(Event::IkeUp(Box::new(IkeUp {
            ike: common.id,
            connection: common.connection,
            role: common.role,
            initiator_spi: sa.initiator_spi.0,
            responder_spi: sa.responder_spi.0,
            suite: sa.suite,
            ppk: common.ppk.clone(),
            path: common.path,
            local_behind_nat: common.local_behind_nat,
            local_identity: common.own_identity(),
            own_certificate: shown(common),
            remote_identity: proven.identity().clone(),
            remote_proof: proven.by(),
            second: second_auth::identities(common, &proven),
            redirectable: common.redirectable.is_some(),
            resumed: common.resumed,
        })));
        if !common.mobility.additional.is_empty() {
            ctx.event(common.peer_addresses_told());
        }
        reauthentication::told(common).into_iter().for_each(|event| ctx.event(event));
        common.reached(Stage::Up);
        common.heard = ctx.now;
        let keepalive = common.config.nat.pause(common.local_behind_nat, common.path.udp_encapsulation);
        common.keepalive_at = keepalive.map(|pause| ctx.now + pause);
        let line = Line::new(sa, Standing::Current, common);
        Up {
            proven,
            lines: vec![Box::new(line)],
            children: Children::default(),
            tasks: VecDeque::new(),
            later: Vec::new(),
            sought: None,
            settled: common.role == Role::Initiator,
            forgotten: 0,
            closing: false,
            ended: None,
        }
    }

    /// Closes what else there is of this peer (RFC 7296 §2.4).
    pub(crate) fn supersede_others(&self, ctx: &mut Context<'_>, common: &Common, notified: bool) {
        let obey = match common.config.initial_contact {
            InitialContact::Honour => notified,
            InitialContact::Replace => true,
            InitialContact::Never => false,
        };
        if obey {
            let identity = self.proven.identity().clone();
            ctx.out.asides.push(Aside::Supersede {
                by: common.id,
                connection: common.connection,
                identity,
                before: common.attempt.began,
                // Where the peer has not said that it is alone, it may be about to end the other one itself.
                spares: common.term.elder().filter(|_| !notified),
            });
        }
    }

    /// Installs the CHILD_SA of IKE_AUTH, or reports why there is none; and has it deleted where the peer has made one.
    pub(crate) fn first_child_as_initiator(
        &mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        intent: Intent,
        spi: u32,
        accepted: Result<Accepted, (Failure, PeerHasIt)>,
        nonces: &(Nonce, Nonce),
    ) {
        self.turn(ctx, common, 0, |turn| match accepted {
            Ok(accepted) => turn.own_first_child(intent, spi, accepted, nonces),
            Err((failure, PeerHasIt(made))) => {
                match made {
                    true => turn.up.tasks.push_front(Task::DeleteForeign { spi_in: spi }),
                    false => turn.ctx.order(WantKind::ReleaseSpi(spi)),
                }
                turn.own_child_declined(&intent, failure);
            }
        });
    }

    /// Whether the tunnel is being wound up.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Tells the caller once that a CHILD_SA carries traffic.
    pub(crate) fn announce(&mut self, ctx: &mut Context<'_>, common: &Common, id: ChildSaId) {
        let is_news = |child: &&mut Child| !child.announced && child.state.may_send();
        let Some(child) = self.children.get_mut(id).filter(is_news) else { return };
        child.announced = true;
        if child.started == 0 {
            child.started = ctx.count_order();
        }
        let new = Box::new(child.summary(common.id, common.connection));
        let old = child.takes_over.take();
        match self.last_told(old) {
            Some(old) => ctx.event(Event::ChildRekeyed { old, new }),
            None => ctx.event(Event::ChildUp(new)),
        }
    }

    /// The CHILD_SA the caller was told of last, of this one and those it took over from: it may have been replaced
    /// again before it carried anything. From here on the end of any of them is no news.
    fn last_told(&mut self, mut old: Option<ChildSaId>) -> Option<ChildSaId> {
        while let Some(child) = old.and_then(|old| self.children.get_mut(old)) {
            old = child.takes_over.take();
            if std::mem::take(&mut child.announced) {
                return Some(child.id);
            }
        }
        None
    }

    /// Removes a CHILD_SA from the data plane and from here; yields its configuration.
    pub(crate) fn drop_child(
        &mut self,
        ctx: &mut Context<'_>,
        common: &Common,
        id: ChildSaId,
        reason: Failure,
    ) -> Option<ChildId> {
        let child = self.children.remove(id)?;
        ctx.order(WantKind::Remove { child: id, spi_in: child.spi_in });
        if !matches!(child.state, ChildState::Draining { .. }) && child.started > 0 {
            let (config, started) = (child.config, child.started);
            ctx.out.asides.push(Aside::Vacated { ike: common.id, config, started });
        }
        if child.announced {
            ctx.event(Event::ChildDown {
                child: id,
                ike: common.id,
                connection: common.connection,
                config: child.config,
                reason,
            });
        }
        Some(child.config)
    }

    /// Both sides have done with a CHILD_SA that was replaced: it receives what is still under way.
    pub(crate) fn drain_child(&mut self, ctx: &mut Context<'_>, common: &Common, id: ChildSaId) {
        let until = ctx.now + ctx.config.drain;
        self.children.get_mut(id).into_iter().for_each(|child| child.state = ChildState::Draining { until });
        if let Some(oldest) =
            self.children.too_many_draining(common.config.max_children.saturating_add(DRAINING))
        {
            self.drop_child(ctx, common, oldest, Failure::Superseded);
        }
    }

    /// Forgets the oldest of too many closed IKE SAs, and gives back the room of tasks that are done.
    pub(crate) fn trim(&mut self) {
        if self.tasks.is_empty() {
            self.tasks = VecDeque::new();
        }
        let is_idle = |line: &Line| line.is_closed() && line.own.is_none();
        let closed = self.lines.iter().filter(|line| is_idle(line)).count();
        let mut surplus = closed.saturating_sub(CLOSED);
        self.lines.retain(|line| {
            let goes = surplus > 0 && is_idle(line);
            surplus = surplus.saturating_sub(usize::from(goes));
            !goes
        });
    }

    /// A CHILD_SA that lost against ours, made at the same time: the peer, who made it, is to delete it.
    pub(crate) fn make_redundant(&mut self, ctx: &Context<'_>, id: ChildSaId) {
        if let Some(child) = self.children.get_mut(id) {
            child.state = ChildState::Redundant;
            child.hard_at = ctx.now + PEERS_DELETE;
        }
    }

    /// Winds the tunnel up: the caller hears of it now, the data plane is emptied now, the peer is told as soon
    /// as our window is free. Every IKE SA is deleted, since in the middle of a rekey we cannot know which one
    /// the peer holds on to.
    pub(crate) fn close(&mut self, ctx: &mut Context<'_>, common: &mut Common, reason: Failure) {
        if self.closing {
            return;
        }
        self.report_end(ctx, common, reason);
        for index in 0..self.lines.len() {
            self.turn(ctx, common, index, |turn| {
                turn.refuse_peer();
                turn.line.abandon(turn.ctx);
                turn.line.delete = !turn.line.is_closed();
            });
        }
    }

    /// Ends the tunnel for the caller.
    pub(crate) fn report_end(&mut self, ctx: &mut Context<'_>, common: &Common, reason: Failure) {
        if std::mem::replace(&mut self.closing, true) {
            return;
        }
        let ids: Vec<_> = self.children.iter().map(|child| (child.id, child.config)).collect();
        for (id, config) in ids {
            match self.is_inherited(ctx, common, config) {
                true => self.bequeath(ctx, common, id),
                false => _ = self.drop_child(ctx, common, id, reason.clone()),
            }
        }
        let foreign = self.tasks.drain(..).filter_map(|task| match task {
            Task::DeleteForeign { spi_in } => Some(spi_in),
            _ => None,
        });
        foreign.for_each(|spi| ctx.order(WantKind::ReleaseSpi(spi)));
        self.later.clear();
        self.sought = None;
        if common.config.remote == RemoteAddress::Admitted {
            ctx.out.asides.push(Aside::Leave(common.connection));
        }
        ctx.event(Event::IkeDown { ike: common.id, connection: common.connection, reason });
    }

    /// Whether nothing but closed IKE SAs is left.
    pub(crate) fn is_over(&self) -> bool {
        self.lines.iter().all(|line| line.is_closed())
    }
}

impl Line {
    /// Drops what is under way: SPIs go back, an answer still to come from the peer is awaited for the window's
    /// sake only.
    pub(crate) fn abandon(&mut self, ctx: &mut Context<'_>) {
        let own = self.own.take();
        let spi = match &own {
            Some(Own::ChildPublic(state)) => Some(state.draft.spi),
            Some(Own::ChildReply(state)) => Some(state.draft.spi),
            Some(Own::ChildSecret(state)) => Some(state.pact.draft.spi),
            Some(Own::ChildDeleted(state)) => state.foreign(),
            Some(other) => other.child_pact().map(|pact| pact.draft.spi),
            None => None,
        };
        spi.into_iter().for_each(|spi| ctx.order(WantKind::ReleaseSpi(spi)));
        self.own = match own {
            Some(Own::IkeDeleted) => own,
            _ if self.sa.window.is_waiting() => Some(Own::Nothing),
            _ => None,
        };
        match self.peer.take() {
            Some(Peer::ChildSecret(state)) => ctx.order(WantKind::ReleaseSpi(state.spi())),
            Some(Peer::FollowupSecret(state)) => state.release(ctx),
            _ => {}
        }
        self.forget_awaited(ctx);
    }
}
