//! What may be asked about single packets: their paths, and copies of them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Which packets, what of them, and when it ends: at the first bound that is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TapBegin {
    /// Of which sides copies are made: `clear`, `encrypted`, `wire`. With none, paths are told.
    pub sides: Vec<String>,
    /// Only packets of this tunnel.
    pub tunnel: Option<String>,
    /// Only packets that came in or leave by this interface.
    pub interface: Option<String>,
    /// Only packets from or to this address.
    pub host: Option<IpAddr>,
    /// 1 to 1,000,000.
    pub packets: u64,
    /// Octets of copies, at most 1 GiB.
    pub octets: u64,
    /// 1 to 3600.
    pub seconds: u64,
    /// Octets of a copy: 64 to 65,535.
    pub snap: usize,
}

/// Which tap, and how long to wait for a packet, in milliseconds; at most 10,000.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TapRead {
    /// As it was told.
    pub tap: u64,
    /// How long.
    pub wait_ms: u64,
}

/// Which tap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TapEnd {
    /// As it was told.
    pub tap: u64,
}
