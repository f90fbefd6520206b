//! Entries of an instance's policy (RFC 4301 §4.4.1, TS-17).

use ravelin_ike::config::Selector;

use super::InstanceId;

/// One.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyEntry {
    /// Its name: no other entry has it.
    pub name: String,
    /// The instance whose packets it speaks of.
    pub instance: InstanceId,
    /// What happens to them.
    pub action: PolicyAction,
    /// It stands before the tunnels, not behind them.
    pub before_tunnels: bool,
    /// Our side; none: everything.
    pub local: Vec<Selector>,
    /// The other side; none: everything.
    pub remote: Vec<Selector>,
}

/// What happens to packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyAction {
    /// Through the tunnel of this name, or not at all.
    Protect(String),
    /// In clear.
    Bypass,
    /// Not at all.
    Discard,
}

impl PolicyAction {
    /// As it is written.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Protect(_) => "protect",
            Self::Bypass => "bypass",
            Self::Discard => "discard",
        }
    }
}
