//! An instance's ordered policy (RFC 4301 §4.4.1, TS-17): the first entry that matches decides.
//!
//! Short policies are searched in order; longer ones only among the entries that can speak of the peer's
//! address ([`index`]), so that the cost does not grow with the entries but with those that overlap there.

mod index;

use super::pool::TableFull;
use super::route::TunnelId;
use super::selector::SelectorSet;
use crate::net::flow::Flow;
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

/// The policy. Cloning it is two reference counts.
#[derive(Clone, Debug, Default)]
pub struct Spd {
    entries: Arc<[Entry]>,
    /// Of a policy that is not short.
    index: Option<Arc<Index>>,
    otherwise: Otherwise,
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

impl Spd {
    /// Entries in order, and what happens where none matches.
    pub fn new(entries: Vec<Entry>, otherwise: Otherwise) -> Result<Spd, BadSpd> {
        if entries.len() > MAX_ENTRIES {
            return Err(BadSpd::TooManyEntries { found: entries.len() });
        }
        let index = if entries.len() > SHORT { Some(Arc::new(Index::new(&entries)?)) } else { None };
        Ok(Spd { entries: entries.into(), index, otherwise })
    }

    /// What the first matching entry says of a packet on its way out.
    #[inline]
    pub fn outbound(&self, flow: &Flow) -> Option<Action> {
        self.first(flow.destination, |entry| entry.selectors.admits_outbound(flow))
    }

    /// What the first matching entry says of a packet that arrived in clear.
    #[inline]
    pub fn inbound(&self, flow: &Flow) -> Option<Action> {
        self.first(flow.source, |entry| entry.selectors.admits_inbound(flow))
    }

    /// What the first entry says that admits a packet whose other end is `remote`.
    #[inline]
    fn first(&self, remote: IpAddr, admits: impl Fn(&Entry) -> bool) -> Option<Action> {
        let Some(index) = &self.index else {
            return self.entries.iter().find(|entry| admits(entry)).map(|entry| entry.action);
        };
        let at = index.first(remote, |number| self.entries.get(number as usize).is_some_and(&admits))?;
        self.entries.get(at as usize).map(|entry| entry.action)
    }

    /// What happens where no entry matches.
    pub const fn otherwise(&self) -> Otherwise {
        self.otherwise
    }

    /// The entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests;
