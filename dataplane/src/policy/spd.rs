//! An instance's ordered policy (RFC 4301 §4.4.1, TS-17): the first entry that matches decides.
//!
//! Tunnels are part of the order and not entries here: the routes into them say what is theirs. Entries stand before
//! all tunnels or behind them; what either means for a packet is for [`super::view`] to say.
//!
//! Short lists are searched in order; longer ones only among the entries that can speak of the peer's
//! address ([`index`]), so that the cost does not grow with the entries but with those that overlap there.

mod hits;
mod index;

use super::pool::TableFull;
use super::route::TunnelId;
use super::selector::SelectorSet;
use crate::net::flow::Flow;
use crate::sa::shard::WorkerId;
use hits::Hits;
use index::Index;
use std::net::IpAddr;
use std::sync::Arc;

/// Entries an instance can have.
pub const MAX_ENTRIES: usize = 65_536;

/// Up to so many entries a search in order costs less than the index.
const SHORT: usize = 4;

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Through this tunnel, or not at all.
    Protect(TunnelId),
    /// In clear.
    Bypass,
    /// Not at all.
    Discard,
}

/// What happens to packets no entry and no tunnel route speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Otherwise {
    /// In clear: an instance without secrets, such as the public one.
    Bypass,
    /// Not at all (TS-17's default).
    #[default]
    Discard,
}

/// One entry. Local is our side: the source of what leaves, the destination of what arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it speaks of.
    pub selectors: SelectorSet,
    /// What happens.
    pub action: Action,
}

/// Where an entry stands: its number, counted from those before the tunnels to those behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub u32);

/// Which way an entry admits a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As one from our side to the peer's.
    Out,
    /// As one from the peer's side to ours.
    In,
}

/// The entry that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Where it stands.
    pub at: At,
    /// Which way it admits the packet.
    pub way: Way,
    /// What it says.
    pub action: Action,
}

/// Entries that stand together, in order. Cloning it is two reference counts.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The number of the first.
    base: u32,
    entries: Arc<[Entry]>,
    /// Of a list that is not short.
    index: Option<Arc<Index>>,
}

/// The policy. Cloning it is a few reference counts.
#[derive(Clone, Debug, Default)]
pub struct Spd {
    before: List,
    behind: List,
    otherwise: Otherwise,
    hits: Arc<Hits>,
}

/// A policy that cannot be used: the operator's fault, or the machine's for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSpd {
    /// More entries than [`MAX_ENTRIES`].
    #[error("{found} policy entries in one instance: at most {MAX_ENTRIES}; reach tunnels by route instead")]
    TooManyEntries {
        /// How many there were.
        found: usize,
    },
    /// No memory for their index.
    #[error("policy index: {0}")]
    Index(#[from] TableFull),
}

impl List {
    fn new(base: usize, entries: Vec<Entry>) -> Result<List, BadSpd> {
        let index = if entries.len() > SHORT { Some(Arc::new(Index::new(&entries)?)) } else { None };
        Ok(List { base: base as u32, entries: entries.into(), index })
    }

    /// The first entry that matches a packet on its way out.
    #[inline]
    pub fn outbound(&self, flow: &Flow) -> Option<Match> {
        self.first(Way::Out, flow.destination, |entry| entry.selectors.admits_outbound(flow))
    }

    /// The first entry that matches a packet that comes from the peer's side.
    #[inline]
    pub fn inbound(&self, flow: &Flow) -> Option<Match> {
        self.first(Way::In, flow.source, |entry| entry.selectors.admits_inbound(flow))
    }

    /// The first entry that matches a packet of which it is not known which way it goes: whoever forwards sees none of
    /// the sides. One that matches both ways counts as outbound.
    pub fn either(&self, flow: &Flow) -> Option<Match> {
        match (self.outbound(flow), self.inbound(flow)) {
            (Some(out), Some(into)) if into.at < out.at => Some(into),
            (out, into) => out.or(into),
        }
    }

    /// The first entry that admits a packet whose other end is `remote`.
    #[inline]
    fn first(&self, way: Way, remote: IpAddr, admits: impl Fn(&Entry) -> bool) -> Option<Match> {
        let at = match &self.index {
            None => self.entries.iter().position(admits)?,
            Some(index) => {
                let admits = |number: u32| self.entries.get(number as usize).is_some_and(&admits);
                index.first(remote, admits)? as usize
            }
        };
        let action = self.entries.get(at)?.action;
        Some(Match { at: At(self.base + at as u32), way, action })
    }

    fn bypasses(&self) -> bool {
        self.entries.iter().any(|entry| entry.action == Action::Bypass)
    }
}

impl Spd {
    /// Entries in order, all of them before the tunnels, and what happens where none matches.
    ///
    /// # Errors
    /// When there are too many, or no memory for their index.
    pub fn new(entries: Vec<Entry>, otherwise: Otherwise) -> Result<Spd, BadSpd> {
        Spd::around(entries, Vec::new(), otherwise, 0)
    }

    /// Entries before the tunnels and behind them, each in order; `workers` count what is decided by them.
    ///
    /// # Errors
    /// As [`Spd::new`].
    pub fn around(
        before: Vec<Entry>,
        behind: Vec<Entry>,
        otherwise: Otherwise,
        workers: usize,
    ) -> Result<Spd, BadSpd> {
        let found = before.len() + behind.len();
        if found > MAX_ENTRIES {
            return Err(BadSpd::TooManyEntries { found });
        }
        let base = before.len();
        let (before, behind) = (List::new(0, before)?, List::new(base, behind)?);
        Ok(Spd { before, behind, otherwise, hits: Arc::new(Hits::new(found, workers)) })
    }

    /// The entries that stand before the tunnels.
    pub const fn before(&self) -> &List {
        &self.before
    }

    /// The entries that stand behind them.
    pub const fn behind(&self) -> &List {
        &self.behind
    }

    /// What the first entry that matches says of a packet on its way out.
    pub fn outbound(&self, flow: &Flow) -> Option<Action> {
        let found = self.before.outbound(flow).or_else(|| self.behind.outbound(flow));
        found.map(|found| found.action)
    }

    /// What the first entry that matches says of a packet that comes from the peer's side.
    pub fn inbound(&self, flow: &Flow) -> Option<Action> {
        let found = self.before.inbound(flow).or_else(|| self.behind.inbound(flow));
        found.map(|found| found.action)
    }

    /// Whether an entry behind the tunnels lets packets out in clear, so that it must be known which networks are theirs.
    pub fn yields_to_tunnels(&self) -> bool {
        self.behind.bypasses()
    }

    /// What happens where no entry matches.
    pub const fn otherwise(&self) -> Otherwise {
        self.otherwise
    }

    /// The entry with a number.
    pub fn entry(&self, At(at): At) -> Option<&Entry> {
        let behind = || self.behind.entries.get((at as usize).checked_sub(self.before.entries.len())?);
        self.before.entries.get(at as usize).or_else(behind)
    }

    /// Counts a decision by an entry, at the worker that made it.
    pub fn count(&self, worker: WorkerId, at: At) {
        self.hits.count(worker, at);
    }

    /// Decisions by an entry so far, over all workers.
    pub fn hits(&self, at: At) -> u64 {
        self.hits.of(at)
    }
}

#[cfg(test)]
mod tests;
