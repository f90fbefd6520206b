//! The CHILD_SAs of one tunnel. They belong to the tunnel, not to one of its IKE SAs, and so survive the
//! rekeying of the latter without being moved (RFC 7296 §2.18).

use crate::config::{ChildId, ChildLifetime, Resource, Selector};
use crate::context::Context;
use crate::event::ChildUp;
use crate::id::{ChildSaId, IkeId};
use crate::time::Instant;
use crate::want::EspSuite;

/// One CHILD_SA.
pub(crate) struct Child {
    pub(crate) id: ChildSaId,
    pub(crate) config: ChildId,
    pub(crate) spi_in: u32,
    pub(crate) spi_out: u32,
    pub(crate) suite: EspSuite,
    pub(crate) local: Vec<Selector>,
    pub(crate) remote: Vec<Selector>,
    pub(crate) state: ChildState,
    /// Who of ours sends on it.
    pub(crate) resource: Resource,
    /// Whether the peer takes further SAs for the same traffic ([`super::resource`]).
    pub(crate) takes_more: bool,
    /// The SA it takes over from, until the caller was told that it did.
    pub(crate) takes_over: Option<ChildSaId>,
    /// Whether the caller was told that it is up.
    pub(crate) announced: bool,
    /// When it was put on order, in the order of all that CHILD_SAs were told.
    pub(crate) ordered: u64,
    /// When it was told to send, in the same order; zero while it was not.
    pub(crate) started: u64,
    /// When to rekey; `None` once asked for.
    pub(crate) soft_at: Option<Instant>,
    pub(crate) hard_at: Instant,
}

/// Where a CHILD_SA is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildState {
    /// The worker has it on order.
    Installing,
    /// In use.
    Live,
    /// The peer's request to rekey it was answered; its Delete is awaited.
    Replaced { by: ChildSaId },
    /// Our Delete is on its way.
    Closing { replaced: bool },
    /// Made by the peer at the same time as ours, and lost; the peer, who made it, will delete it.
    Redundant,
    /// Replaced and deleted; kept for packets under way.
    Draining { until: Instant },
}

impl ChildState {
    /// Whether nothing newer sends in its place.
    pub(crate) fn may_send(self) -> bool {
        !matches!(self, ChildState::Closing { .. } | ChildState::Draining { .. })
    }
}

impl Child {
    /// What the caller is told of it.
    pub(crate) fn summary(&self, ike: IkeId, connection: crate::config::ConnectionId) -> ChildUp {
        ChildUp {
            child: self.id,
            ike,
            connection,
            config: self.config,
            spi_in: self.spi_in,
            spi_out: self.spi_out,
            suite: self.suite,
            local: self.local.clone(),
            remote: self.remote.clone(),
            takes_more: self.takes_more,
        }
    }

    /// Whether the peer may still speak of it.
    pub(crate) fn is_known_to_peer(&self) -> bool {
        !matches!(self.state, ChildState::Draining { .. })
    }

    /// Whether it counts against the limit: those being replaced do not.
    fn counts(&self) -> bool {
        matches!(self.state, ChildState::Installing | ChildState::Live)
    }

    fn deadline(&self) -> Instant {
        match self.state {
            ChildState::Draining { until } => until,
            ChildState::Live => self.soft_at.map_or(self.hard_at, |soft| soft.min(self.hard_at)),
            _ => self.hard_at,
        }
    }
}

/// When a new CHILD_SA is to be rekeyed and when it ends.
pub(crate) fn lifetimes(ctx: &mut Context<'_>, lifetime: ChildLifetime) -> (Instant, Instant) {
    let soft = ctx.jittered(lifetime.soft, lifetime.jitter_percent);
    (ctx.now + soft, ctx.now + lifetime.hard)
}

/// All CHILD_SAs of one tunnel; a handful, so that looking through them is no cost. There is a place for each and no
/// more: most tunnels have one, and that second place which a rekey needs goes with the SA that is replaced.
#[derive(Default)]
pub(crate) struct Children(Vec<Child>);

impl Children {
    pub(crate) fn add(&mut self, child: Child) {
        self.0.reserve_exact(1);
        self.0.push(child);
    }

    pub(crate) fn get(&self, id: ChildSaId) -> Option<&Child> {
        self.0.iter().find(|child| child.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: ChildSaId) -> Option<&mut Child> {
        self.0.iter_mut().find(|child| child.id == id)
    }

    /// The one the peer means by "the SPI ... expected in inbound packets" of its own (RFC 7296 §1.4.1).
    pub(crate) fn by_peer_spi(&self, spi: u32) -> Option<ChildSaId> {
        self.0.iter().find(|child| child.spi_out == spi && child.is_known_to_peer()).map(|child| child.id)
    }

    /// The one that this one is to replace, while the peer has not deleted it.
    pub(crate) fn replaced_by(&self, successor: ChildSaId) -> Option<ChildSaId> {
        let replaced = self.0.iter().find(|child| child.state == ChildState::Replaced { by: successor });
        replaced.map(|child| child.id)
    }

    /// The one of this child that lost against ours.
    pub(crate) fn redundant(&self, config: ChildId) -> Option<ChildSaId> {
        let lost = |child: &&Child| child.config == config && child.state == ChildState::Redundant;
        self.0.iter().find(lost).map(|child| child.id)
    }

    pub(crate) fn remove(&mut self, id: ChildSaId) -> Option<Child> {
        let position = self.0.iter().position(|child| child.id == id)?;
        let child = self.0.remove(position);
        self.0.shrink_to_fit();
        Some(child)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Child> {
        self.0.iter()
    }

    /// Those that count against the connection's limit.
    pub(crate) fn counted(&self) -> usize {
        self.0.iter().filter(|child| child.counts() && !child.resource.is_one()).count()
    }

    /// The one in use of this configuration, the last of several.
    pub(crate) fn in_use(&self, config: ChildId) -> Option<&Child> {
        let live = self.0.iter().filter(|child| child.config == config && child.state == ChildState::Live);
        live.max_by_key(|child| child.ordered)
    }

    /// All of this configuration.
    pub(crate) fn of_mut(&mut self, config: ChildId) -> impl Iterator<Item = &mut Child> {
        self.0.iter_mut().filter(move |child| child.config == config)
    }

    /// The one that has been drained for longest, if more than `limit` are.
    pub(crate) fn too_many_draining(&self, limit: usize) -> Option<ChildSaId> {
        let draining = self.0.iter().filter_map(|child| match child.state {
            ChildState::Draining { until } => Some((until, child.id)),
            _ => None,
        });
        if draining.clone().count() > limit { draining.min().map(|(_, id)| id) } else { None }
    }

    /// Whether this configuration has a CHILD_SA that is up or coming up.
    pub(crate) fn has(&self, config: ChildId) -> bool {
        self.0.iter().any(|child| child.config == config && child.counts())
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(Child::deadline).min()
    }

    /// Those with something due, to be looked at one by one.
    pub(crate) fn due(&self, now: Instant) -> Vec<ChildSaId> {
        self.0.iter().filter(|child| child.deadline() <= now).map(|child| child.id).collect()
    }
}
