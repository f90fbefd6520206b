//! The ordered policy of instances.

use serde::{Deserialize, Serialize};

/// What an instance's policy says, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstancePolicy {
    /// The instance.
    pub instance: String,
    /// Entries before the tunnels.
    pub before_tunnels: Vec<PolicyRow>,
    /// Tunnels whose inner packets are in the instance.
    pub tunnels: usize,
    /// Entries behind them.
    pub behind_tunnels: Vec<PolicyRow>,
    /// What becomes of the rest: `discard`.
    pub otherwise: String,
}

/// An entry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyRow {
    /// As in the configuration.
    pub name: String,
    /// `protect`, `bypass` or `discard`.
    pub action: String,
    /// The tunnel that protects.
    pub tunnel: String,
    /// Our side, or `any`.
    pub local: String,
    /// The other side, or `any`.
    pub remote: String,
    /// Packets it discarded, and flows it let out or protected: of a flow whose way is remembered the first packet alone.
    pub decisions: u64,
}
