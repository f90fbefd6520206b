//! Single packets, as they were seen.

use serde::{Deserialize, Serialize};

/// What a tap has seen since it was asked last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TapPage {
    /// Oldest first, by worker.
    pub packets: Vec<SeenPacket>,
    /// Packets that found no room on their way here, since the start.
    pub lost: u64,
    /// Why there is nothing more to come, if there is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// A packet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeenPacket {
    /// Microseconds since 1970.
    pub time: u64,
    /// `clear`, `encrypted` or `wire`: what a copy shows; empty for a path.
    pub side: String,
    /// Into a tunnel, or to a port.
    pub outbound: bool,
    /// `forward`, `punt`, `absorbed`, or `drop` and the reason.
    pub verdict: String,
    /// Which worker had it.
    pub worker: usize,
    /// Whose it is, as far as it is known.
    pub tunnel: String,
    /// The SPI, if there is an SA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spi: Option<String>,
    /// Its sequence number there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Who speaks with whom.
    pub flow: String,
    /// Octets of the packet.
    pub length: u32,
    /// The stations it passed.
    pub steps: Vec<SeenStep>,
    /// The copy, as base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
}

/// A packet at a station.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeenStep {
    /// Which.
    pub node: String,
    /// Its octets there.
    pub octets: u32,
    /// Where it came in, or is to leave.
    pub interface: String,
    /// The instance it is read in.
    pub instance: String,
}
