//! A CHILD_SA as configured: which traffic, which algorithms, for how long.

use super::{EspProposal, Proposals, Selector};
use std::time::Duration;

/// Names a child within its connection; the caller's number, stable across configuration changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(pub u32);

/// Time limits of a CHILD_SA. Packet and byte limits belong to the worker that counts them, which reports
/// them as facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildLifetime {
    /// Age at which we rekey, before jitter.
    pub soft: Duration,
    /// Age at which the SA is deleted if no rekey has replaced it; longer than `soft`.
    pub hard: Duration,
    /// Up to this share of `soft`, in percent, is taken off it at random, so that tunnels created together do
    /// not rekey together (RFC 7296 §2.8). At most 50 is used.
    pub jitter_percent: u8,
}

impl Default for ChildLifetime {
    fn default() -> Self {
        ChildLifetime { soft: Duration::from_secs(3240), hard: Duration::from_secs(3600), jitter_percent: 10 }
    }
}

/// Which of our resources send on a child's SA (RFC 9611); here a resource is a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resource {
    /// There is one SA for all: the peer is not told of resources, and makes no SAs for single ones.
    #[default]
    Only,
    /// All of them, of which some may have an SA of their own besides: the fallback of those that are [`Resource::One`].
    Fallback,
    /// One of them. Its SA carries what that of `fallback` does, by the same algorithms, and there is none without that.
    One {
        /// The child whose SA all resources may use.
        fallback: ChildId,
    },
}

impl Resource {
    /// Whether it is one resource's SA.
    pub fn is_one(self) -> bool {
        matches!(self, Resource::One { .. })
    }
}

/// What ESP is put around (RFC 4301 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Whole packets.
    #[default]
    Tunnel,
    /// What follows a packet's IP header (RFC 7296 §1.3.1): the child carries packets between the outer addresses alone.
    Transport,
}

/// One CHILD_SA a connection may have: an entry of the security policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildConfig {
    /// The caller's number for it.
    pub id: ChildId,
    /// Our side of the traffic (TSr when we respond), at most 32 entries.
    pub local: Vec<Selector>,
    /// The peer's side of the traffic, at most 32 entries.
    pub remote: Vec<Selector>,
    /// What we offer, in order of preference, and what we accept.
    pub proposals: Proposals<EspProposal>,
    /// Time limits.
    pub lifetime: ChildLifetime,
    /// Who of ours sends on it.
    pub resource: Resource,
    /// In which mode it is made, or not at all.
    pub mode: Mode,
}
