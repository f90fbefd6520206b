//! Ip-tunnels of a plan: GRE and IP in IP (DP-20 to DP-22, TG-15).

use std::net::IpAddr;

use ipnet::IpNet;
use ravelin_dataplane::policy::ip_tunnel::Kind;

use super::{InstanceId, PacketSettings, Wait};

/// A tunnel without keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpTunnel {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whether it may be up.
    pub enabled: bool,
    /// Instance of the outer packets.
    pub public: InstanceId,
    /// Instance of the inner packets.
    pub private: InstanceId,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's.
    pub remote: IpAddr,
    /// Another one of the peer's: used while there is no route to that.
    pub backup: Option<IpAddr>,
    /// GRE with its keys, or IP in IP.
    pub kind: Kind,
    /// Our addresses on the link that it is.
    pub addresses: Vec<IpNet>,
    /// The peer's on that link.
    pub dest_ips: Vec<IpAddr>,
    /// Destinations of static routes that lead into it.
    pub routes: Vec<IpNet>,
    /// DSCP of outer packets; `None`: that of the inner one.
    pub dscp: Option<u8>,
    /// Time to live of outer packets.
    pub ttl: u8,
    /// How long fragments for it wait for the rest; `None`: as long as usual.
    pub reassembly: Option<Wait>,
    /// What it does to packets.
    pub packets: PacketSettings,
}

impl IpTunnel {
    /// What is behind it: static routes, and the other end's addresses.
    pub fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.routes.iter().copied().chain(self.dest_ips.iter().copied().map(IpNet::from))
    }

    /// Those of which the kernel is to know that they are behind it.
    pub fn kernel_routes(&self) -> impl Iterator<Item = IpNet> {
        self.networks().filter(|network| !is_of_the_link(network.addr()))
    }
}

/// Groups and addresses of one link, which no route of the kernel's is for.
pub const fn is_of_the_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
    }
}
