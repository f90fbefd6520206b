//! Mirrors as they are written.

use serde::Deserialize;

use super::Text;

/// `[mirror.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Mirror {
    /// For people.
    pub description: Option<Text>,
    /// Whether it is on; default yes.
    pub enabled: Option<bool>,
    /// Only packets of this tunnel.
    pub tunnel: Option<Text>,
    /// Only packets that came in or leave by this interface.
    pub interface: Option<Text>,
    /// Only packets from or to this address.
    pub host: Option<Text>,
    /// In clear or encrypted; default encrypted.
    pub side: Option<Text>,
    /// Which way; default both.
    pub direction: Option<Text>,
    /// The interface copies are sent by.
    pub to_interface: Option<Text>,
    /// The MAC address there that they are sent to.
    pub station: Option<Text>,
    /// The ip-tunnel copies are sent into.
    pub to_ip_tunnel: Option<Text>,
}
