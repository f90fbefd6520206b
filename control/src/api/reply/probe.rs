//! How large packets of a tunnel may be.

use serde::{Deserialize, Serialize};

/// How large packets of a tunnel may be, as found by echoes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MtuProbe {
    /// The tunnel.
    pub tunnel: String,
    /// `path`: the echoes went from end to end, as large as outer packets. `tunnel`: they went through it.
    pub way: String,
    /// Who answered.
    pub asked: String,
    /// Our address.
    pub from: String,
    /// Octets of the largest outer packet that passes, where the path was asked.
    pub path_mtu: Option<u16>,
    /// Octets of the largest inner packet that passes whole.
    pub inner_mtu: u16,
    /// What the gateway lets pass whole now.
    pub inner_mtu_now: u16,
    /// What keeps larger ones back: `interface` (our own), `gateway` (this one, by what it has learned or by its
    /// configuration), `router` (one that says so), `silence` (they are lost without a word).
    pub limit: String,
    /// The address of the gateway or router that says so.
    pub limited_by: String,
    /// Echoes sent.
    pub echoes: u32,
    /// Answers passed over that had our identifier and were none: forged, or changed on the way.
    pub doubtful: u32,
    /// How long it took.
    pub milliseconds: u64,
    /// What to do, if anything.
    pub advice: String,
}
