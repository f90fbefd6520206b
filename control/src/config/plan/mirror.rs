//! Mirrors of a plan (DP-38). What they name is found by name while they run: interfaces and tunnels come and go.

use std::net::IpAddr;

use ravelin_dataplane::net::eth::Mac;
use ravelin_dataplane::trace::Side;
use ravelin_dataplane::trace::mirror::Direction;

/// Packets that are copied and sent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// For people.
    pub description: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Only packets of this tunnel.
    pub tunnel: Option<String>,
    /// Only packets that came in or leave by this interface.
    pub interface: Option<String>,
    /// Only packets from or to this address.
    pub host: Option<IpAddr>,
    /// In clear or encrypted.
    pub side: Side,
    /// Which way.
    pub direction: Direction,
    /// Where copies go.
    pub to: MirrorTo,
}

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorTo {
    /// By an interface, to a station on its link.
    Station(String, Mac),
    /// Into an ip-tunnel.
    IpTunnel(String),
}

/// The names that a configuration has for which way packets go.
pub const DIRECTIONS: [(&str, Direction); 3] =
    [("both", Direction::Both), ("in", Direction::In), ("out", Direction::Out)];
