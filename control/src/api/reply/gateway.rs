//! Gateways, their peers' tunnels, and routes.

use serde::{Deserialize, Serialize};

use super::{Messages, Proofs, State};

/// A gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// As in the configuration.
    pub name: String,
    /// Whether it lets peers in.
    pub open: bool,
    /// Why it does not: `admin-down`, `ike-not-ready`, `tunnel-group-down`, `local-ip-unreachable`.
    pub flags: Vec<String>,
    /// The reasons in words, one for each flag.
    pub reasons: Vec<String>,
    /// Our outer address.
    pub local: String,
    /// Instance of the outer packets.
    pub public_instance: String,
    /// Instance of the inner packets.
    pub private_instance: String,
    /// Its template; empty for the defaults.
    pub template: String,
    /// Its list of selectors.
    pub ts_list: String,
    /// Its clients by name; empty if all peers are alike.
    #[serde(default)]
    pub client_db: String,
    /// `replace`, `keep` or `never`.
    pub unique: String,
    /// Tunnels its peers have.
    pub count: usize,
    /// Callers' attempts that failed before anybody was let in.
    #[serde(default)]
    pub failed_attempts: u64,
    /// What has passed between us and its callers by IKE until they were proven, and from those that never were.
    #[serde(default)]
    pub messages: Messages,
    /// How callers that were let in had proven themselves, and by what others have tried to.
    #[serde(default)]
    pub proofs: Proofs,
    /// These tunnels, where one gateway was asked for.
    pub tunnels: Vec<GatewayTunnel>,
}

/// The tunnel of a gateway's peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GatewayTunnel {
    /// Its name, for all other commands.
    pub name: String,
    /// Which client of the gateway its peer is; empty if it is none.
    #[serde(default)]
    pub client: String,
    /// Instance of the inner packets.
    #[serde(default)]
    pub private_instance: String,
    /// How it is.
    pub state: State,
    /// Who its peer proved to be.
    pub peer_identity: String,
    /// The peer's address and port.
    pub remote: String,
    /// The worker its children are on; none while there are none.
    pub worker: Option<usize>,
    /// Networks that lead into it.
    pub routes: Vec<String>,
    /// Children that are up.
    pub children: usize,
    /// Packets decapsulated.
    pub in_packets: u64,
    /// Packets encapsulated.
    pub out_packets: u64,
    /// Seconds since it came up or went down.
    pub since_seconds: u64,
}

/// A route of ours. The kernel's are the kernel's to show.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Its instance.
    pub instance: String,
    /// Where to.
    pub destination: String,
    /// `tunnel`: of a configured tunnel; `ip-tunnel`; `reverse`: to what a gateway's peer has behind it; `static`.
    pub kind: String,
    /// The tunnel or ip-tunnel it leads into; empty for a static one.
    pub tunnel: String,
    /// The next hop of a static one.
    pub via: String,
    /// As the template says; 0 for others.
    pub metric: u16,
    /// As the template says; 0 for others.
    pub preference: u8,
}
