//! What would become of a packet.

use serde::{Deserialize, Serialize};

/// What would become of a packet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lookup {
    /// The instance it is in clear in.
    pub instance: String,
    /// The packet, in words.
    pub packet: String,
    /// Where it would come from, in words: where its source is routed to.
    pub arrival: String,
    /// `protect`: into a tunnel. `encapsulate`: into an ip-tunnel. `forward`: in clear. `local`: this machine's own. `kernel`: for the kernel of its
    /// link. `drop`.
    pub verdict: String,
    /// Name of the reason it would be dropped under, as in `show counters`.
    pub drop: String,
    /// The reason in words.
    pub reason: String,
    /// Stable code of the reason, if it has one.
    pub reason_code: String,
    /// The route of its destination.
    pub route: Option<Way>,
    /// The policy entry that says so; empty where none does.
    #[serde(default)]
    pub entry: String,
    /// The tunnel or ip-tunnel it is led into.
    pub tunnel: String,
    /// The child that takes it.
    pub child: String,
    /// The worker that owns that child's SA.
    pub worker: Option<usize>,
    /// SPI it would be sent with, in hex; empty while there is no SA.
    pub spi: String,
    /// Workers that would not hand it over but send it on an SA of their own (RFC 9611).
    #[serde(default)]
    pub own_workers: Vec<usize>,
    /// The route to the tunnel's peer.
    pub outer_route: Option<Way>,
    /// Where no child takes it: those that came nearest, nearest first.
    pub nearest: Vec<Nearest>,
}

/// A route as it is used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// The longest prefix that covers the address.
    pub destination: String,
    /// An address, `tunnel NAME`, `ip-tunnel NAME`, `this machine` or `nowhere`.
    pub next_hop: String,
    /// The interface of that address.
    pub interface: String,
}

/// A child that does not take a packet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    /// Its tunnel.
    pub tunnel: String,
    /// Its name.
    pub child: String,
    /// In what the packet misses it, a line for each side.
    pub misses: Vec<String>,
}
