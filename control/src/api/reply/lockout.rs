//! Callers that the gateway does not hear for a while.

use serde::{Deserialize, Serialize};

/// Who is locked out, or counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lockouts {
    /// One each.
    pub lockouts: Vec<Lockout>,
    /// Callers and addresses that were locked out since the start.
    pub locked_out: u64,
    /// Datagrams of callers locked out that were not heard since the start.
    pub dropped: u64,
}

/// A caller that failed to prove itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lockout {
    /// Instance of both addresses.
    pub instance: String,
    /// Our address.
    pub gateway: String,
    /// The caller's address.
    pub address: String,
    /// The port it called from; 0: all ports of the address.
    pub port: u16,
    /// Whether it is locked out; else it is counted only.
    pub blocked: bool,
    /// Proofs that failed.
    pub failed_attempts: u32,
    /// Datagrams that were not heard.
    pub dropped: u64,
    /// Seconds until it is forgotten; `null`: when it is cleared.
    pub remaining_seconds: Option<u64>,
}
