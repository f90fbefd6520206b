//! An instance's ordered policy (RFC 4301 §4.4.1, TS-17): the first entry that matches decides.
//!
//! Entries are few, written by the operator. Tunnels by the thousand are found by route
//! ([`super::route::NextHop::Tunnel`]), not here.

use super::route::TunnelId;
use super::selector::SelectorSet;
use crate::net::flow::Flow;
use std::sync::Arc;

/// Entries an instance can have: they are searched in order for every packet.
pub const MAX_ENTRIES: usize = 1024;

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

/// The policy. Cloning it is one reference count.
#[derive(Clone, Debug, Default)]
pub struct Spd {
    entries: Arc<[Entry]>,
    otherwise: Otherwise,
}

/// More entries than [`MAX_ENTRIES`]: the operator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} policy entries in one instance: at most {MAX_ENTRIES}; reach tunnels by route instead")]
pub struct TooManyEntries {
    /// How many there were.
    pub found: usize,
}

impl Spd {
    /// Entries in order, and what happens where none matches.
    pub fn new(entries: Vec<Entry>, otherwise: Otherwise) -> Result<Spd, TooManyEntries> {
        if entries.len() > MAX_ENTRIES {
            return Err(TooManyEntries { found: entries.len() });
        }
        Ok(Spd { entries: entries.into(), otherwise })
    }

    /// What the first matching entry says of a packet on its way out.
    pub fn outbound(&self, flow: &Flow) -> Option<Action> {
        self.entries.iter().find(|entry| entry.selectors.admits_outbound(flow)).map(|entry| entry.action)
    }

    /// What the first matching entry says of a packet that arrived in clear.
    pub fn inbound(&self, flow: &Flow) -> Option<Action> {
        self.entries.iter().find(|entry| entry.selectors.admits_inbound(flow)).map(|entry| entry.action)
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
