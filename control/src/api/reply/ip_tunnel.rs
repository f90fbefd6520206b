//! Ip-tunnels.

use serde::{Deserialize, Serialize};

/// One.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IpTunnelRow {
    /// As in the configuration.
    pub name: String,
    /// For people.
    pub description: String,
    /// `up` or `shut-down`.
    pub admin: String,
    /// Whether packets pass.
    pub up: bool,
    /// `admin-down`, `out-of-service`, `no-local-address` or `unresolved-dest-ip`; empty while it is up.
    pub reason_code: String,
    /// The same in words.
    pub reason: String,
    /// Instance of the outer packets.
    pub public_instance: String,
    /// Instance of the inner packets.
    pub private_instance: String,
    /// Our outer address.
    pub local: String,
    /// The peer's.
    pub remote: String,
    /// The peer's while there is no route to that; empty without one.
    pub backup_remote: String,
    /// The one packets go to now.
    pub active_remote: String,
    /// GRE; else IP in IP.
    pub gre: bool,
    /// GRE key of what is sent, or `none`.
    pub send_key: String,
    /// GRE key of what is received, or `none`.
    pub receive_key: String,
    /// Our addresses on the link that it is.
    pub addresses: Vec<String>,
    /// The peer's.
    pub dest_ips: Vec<DestIp>,
    /// Destinations of static routes into it.
    pub routes: Vec<String>,
    /// DSCP of outer packets; that of the inner one if none.
    pub dscp: Option<u8>,
    /// Time to live of outer packets.
    pub ttl: u8,
    /// Octets of the largest inner packet with Don't Fragment that passes.
    pub inner_mtu: u16,
    /// What of `packets` is not as where nothing is written.
    pub packets: Vec<(String, String)>,
    /// Packets that came out.
    pub in_packets: u64,
    /// Their octets.
    pub in_bytes: u64,
    /// Packets of it that were dropped on their way out: by their key, by what is inside, or while it is down.
    pub in_errors: u64,
    /// Packets that went in.
    pub out_packets: u64,
    /// Their octets.
    pub out_bytes: u64,
    /// Packets that were to, and were dropped.
    pub out_errors: u64,
}

/// An address at the other end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DestIp {
    /// It.
    pub address: String,
    /// Whether it is in a subnet of ours; the tunnel is down if one is not.
    pub resolved: bool,
}
