//! Client lockout: who fails to prove itself too often is not heard for a while (IKE-22).

use std::time::Duration;

/// When callers of a connection are locked out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Failed proofs of one caller that lock it out.
    pub failed_attempts: u32,
    /// The time within which they count together, from the first.
    pub duration: Duration,
    /// How long it is not heard; `None`: until it is cleared.
    pub block: Option<Duration>,
    /// Ports of one address that may have failed; with more of them the whole address is locked out.
    pub max_ports: u32,
}

impl Default for Lockout {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Lockout { failed_attempts: 3, duration: minutes(5), block: Some(minutes(10)), max_ports: 16 }
    }
}
