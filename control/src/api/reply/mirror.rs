//! Mirrors.

use serde::{Deserialize, Serialize};

/// One.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MirrorRow {
    /// As in the configuration.
    pub name: String,
    /// For people.
    pub description: String,
    /// `on`, `shut-down`, or `waits`: what it names is not there.
    pub state: String,
    /// The tunnel whose packets are copied; empty for all.
    pub tunnel: String,
    /// The interface they came in or leave by; empty for all.
    pub interface: String,
    /// The address they are from or to; empty for all.
    pub host: String,
    /// `clear` or `encrypted`.
    pub side: String,
    /// `both`, `in` (out of tunnels) or `out` (into them).
    pub direction: String,
    /// Where copies go, in words.
    pub to: String,
    /// Copies sent.
    pub packets: u64,
    /// Their octets, of IP.
    pub bytes: u64,
    /// Copies lost: no room, no buffer, or too large for where they go.
    pub lost: u64,
}
