//! Both ends called each other at once, and both calls came through: one tunnel too many (after RFC 7296 §2.8.1).
//!
//! The rule is that of rekeys: the tunnel made with the lowest of the four nonces is closed by whoever called, once
//! the other one has taken over its children. If the caller does not know the rule, the called end does it, later. A
//! peer with a rule of its own (uniqueness by identity) has applied it before either. Which two tunnels meet is
//! [`crate::engine`]'s to find.

use super::children::ChildState;
use super::common::Common;
use super::phase::Phase;
use super::tunnel::Tunnel;
use super::up::{Task, Up};
use crate::collision::lowest;
use crate::config::ChildId;
use crate::context::Context;
use crate::id::{ChildSaId, IkeId};
use crate::time::Instant;
use crate::want::Role;
use crate::wire::Nonce;
use std::time::Duration;

/// How long the caller of the losing tunnel waits: a peer that closes one by a rule of its own has done so by then.
/// strongSwan, told to replace, does it 10 s after the second came up; had we closed the other one, none would be left.
const CALLER: Duration = Duration::from_secs(15);

/// How long the other end leaves it to the caller.
const CALLED: Duration = Duration::from_secs(45);

/// Between two looks at whether the children are taken over: doubled up to the last.
const LOOKS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(64));

/// The losing tunnel's lot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Yield {
    /// The tunnel that stays.
    pub(crate) to: IkeId,
    /// When it was decided.
    since: Instant,
    /// The youngest CHILD_SA at that time: younger ones of the other tunnel have taken over.
    youngest: ChildSaId,
    /// When to look next.
    pub(crate) at: Instant,
    /// How long to wait after that.
    wait: Duration,
}

/// What the losing tunnel leaves to the other one.
pub(crate) struct Estate {
    pub(crate) lot: Yield,
    /// Its children, and those it was to have.
    pub(crate) children: Vec<ChildId>,
    /// Whether it is the peer that called.
    pub(crate) peers: bool,
}

/// The nonce by which a tunnel is compared with others.
pub(crate) fn mark(nonces: (&Nonce, &Nonce)) -> Option<Nonce> {
    Some(lowest(nonces.0, nonces.1).clone())
}

/// A tunnel that takes the place of another one is as strong as that: what was decided about the one holds for the other.
pub(crate) fn take_up_mark(ctx: &Context<'_>, common: &mut Common) {
    let elder = common.term.elder().and_then(|elder| ctx.others.tunnel(elder));
    if let Some(mark) = elder.and_then(|elder| elder.common.mark.clone()) {
        common.mark = Some(mark);
    }
}

impl Tunnel {
    /// Whether these are two calls of two ends that are to be one tunnel.
    pub(crate) fn crosses(&self, other: &Tunnel) -> bool {
        let stands = |tunnel: &Tunnel| tunnel.is_established() && tunnel.common.term.heir.is_none();
        let alive = stands(self) && stands(other);
        let same = self.common.connection == other.common.connection && self.peer() == other.peer();
        alive && same && self.common.role != other.common.role && !self.undisputed && !other.undisputed
    }

    /// Whether this is the one to go. Both ends come to the same, since they have the same nonces.
    pub(crate) fn loses_to(&self, other: &Tunnel) -> bool {
        let octets = |tunnel: &Tunnel| tunnel.common.mark.as_ref().map(|nonce| nonce.as_bytes().to_vec());
        octets(self) < octets(other)
    }

    /// This one is to go, and `to` to stay.
    pub(crate) fn begin_yield(&mut self, ctx: &Context<'_>, to: IkeId) {
        let wait = if self.common.role == Role::Initiator { CALLER } else { CALLED };
        let youngest = ctx.youngest_child();
        self.yields = Some(Yield { to, since: ctx.now, youngest, at: ctx.now + wait, wait: LOOKS.0 });
    }

    /// `elder`, for which this one is to go, has an heir.
    pub(crate) fn yields_to_heir(&mut self, elder: IkeId, heir: IkeId) {
        if let Some(lot) = self.yields.as_mut().filter(|lot| lot.to == elder) {
            lot.to = heir;
        }
    }

    /// If it is time to look at whether it can go: what has to be taken over first. The next look is set.
    pub(crate) fn estate(&mut self, now: Instant) -> Option<Estate> {
        let lot = self.yields.filter(|lot| lot.at <= now)?;
        let wait = (lot.wait * 2).min(LOOKS.1);
        self.yields = Some(Yield { at: now + lot.wait, wait, ..lot });
        // Those of single resources are made anew beside their fallback.
        let config = &self.common.config;
        let is_one = |id: &ChildId| config.child(*id).is_some_and(|child| child.resource.is_one());
        let mut children = self.up()?.children_and_wishes();
        children.retain(|id| !is_one(id));
        Some(Estate { lot, children, peers: self.common.role == Role::Responder })
    }

    /// Of the CHILD_SAs of this child, if the tunnel goes on, the one ordered last, and when.
    pub(crate) fn last_ordered(&self, config: ChildId) -> Option<(u64, ChildSaId)> {
        let up = self.up().filter(|up| !up.is_closing())?;
        let alive =
            up.children.iter().filter(|child| child.config == config && child.state == ChildState::Live);
        alive.map(|child| (child.ordered, child.id)).max()
    }

    /// Takes over what the other tunnel leaves; true once it all has been, and the peer was heard since. A child that
    /// is here already is rekeyed all the same: the caller has one place for what is sent to a child's networks, and
    /// it may be the other tunnel's SA that stands there, at either end.
    pub(crate) fn take_over(&mut self, ctx: &mut Context<'_>, estate: &Estate) -> bool {
        let Some(Phase::Up(up)) = &self.phase else { return false };
        let lot = &estate.lot;
        let missing: Vec<ChildId> =
            estate.children.iter().copied().filter(|child| !up.has_younger(*child, lot.youngest)).collect();
        let busy = up.is_busy();
        let tasks: Vec<Task> = match missing.is_empty() {
            false => missing.iter().map(|child| up.renewal(*child)).collect(),
            true if self.common.heard < lot.since => vec![Task::Probe],
            true => Vec::new(),
        };
        if !busy {
            tasks.iter().for_each(|task| self.task(ctx, task.clone()));
        }
        tasks.is_empty() && !busy
    }
}

impl Up {
    pub(crate) fn children_and_wishes(&self) -> Vec<ChildId> {
        let alive = self.children.iter().filter(|child| child.state == ChildState::Live);
        let tasks = self.tasks.iter().chain(self.later.iter().map(|(_, task)| task));
        let wishes = tasks.filter_map(|task| match task {
            Task::CreateChild(child) => Some(*child),
            _ => None,
        });
        let mut all: Vec<ChildId> = alive.map(|child| child.config).chain(wishes).collect();
        all.sort();
        all.dedup();
        all
    }

    fn has_younger(&self, config: ChildId, than: ChildSaId) -> bool {
        self.children
            .iter()
            .any(|child| child.config == config && child.state == ChildState::Live && child.id > than)
    }

    /// What makes a younger CHILD_SA of this child.
    fn renewal(&self, config: ChildId) -> Task {
        let alive =
            |child: &&super::children::Child| child.config == config && child.state == ChildState::Live;
        self.children.iter().find(alive).map_or(Task::CreateChild(config), |child| Task::RekeyChild(child.id))
    }

    /// Whether an exchange is under way or waits to begin.
    pub(crate) fn is_busy(&self) -> bool {
        let under_way = |line: &super::line::Line| {
            line.is_current() && (line.own.is_some() || line.peer.is_some() || line.sa.window.is_waiting())
        };
        !self.tasks.is_empty() || self.lines.iter().any(|line| under_way(line))
    }
}
