//! Tunnel groups: their workers, how they are, how full they are.

use serde::{Deserialize, Serialize};

/// A tunnel group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TunnelGroup {
    /// As in the configuration; `default` is that of all workers.
    pub name: String,
    /// As in the configuration.
    pub description: String,
    /// `single-active` or `multi-active`.
    pub mode: String,
    /// What the operator wants: `up` or `shut-down`.
    pub admin: String,
    /// Whether its tunnels may be up.
    pub up: bool,
    /// Stable code of why it is down; empty while it is up.
    pub reason_code: String,
    /// The same in words.
    pub reason: String,
    /// The worker of a single-active group.
    pub primary: Option<usize>,
    /// Who takes over from it.
    pub backup: Option<usize>,
    /// Workers that are to be active, as many as this.
    pub active_number: usize,
    /// Whether it goes on with fewer.
    pub degrade: bool,
    /// Its workers.
    pub members: Vec<Member>,
    /// Tunnels it has.
    pub tunnels: Level,
}

/// A worker of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// As in `show workers`.
    pub worker: usize,
    /// `active` or `standby`.
    pub role: String,
    /// Whether it polls.
    pub alive: bool,
    /// Places for SAs.
    pub memory: Level,
}

/// How full something is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// In use.
    pub used: u64,
    /// There are.
    pub limit: u64,
    /// `normal`, `high` or `max`.
    pub level: String,
    /// Percent below which it is normal again.
    pub low_percent: u64,
    /// Percent from which it is high.
    pub high_percent: u64,
    /// Percent from which nothing new is taken, until it is below `high_percent`.
    pub max_percent: u64,
    /// What was crossed last: `high`, `max`, `relieved` or `normal`; empty for nothing yet.
    pub last_crossing: String,
    /// How long ago.
    pub last_crossing_seconds_ago: Option<u64>,
}
