//! Ip-tunnels as they are written.

use serde::Deserialize;
use toml::Spanned;

use super::{Packets, Text};

/// `[ip-tunnel.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct IpTunnel {
    /// For people.
    pub description: Option<Text>,
    /// Whether it may be up; default yes.
    pub enabled: Option<bool>,
    /// Our outer address.
    pub local: Option<Text>,
    /// The peer's outer address.
    pub remote: Option<Text>,
    /// The peer's while there is no route to that.
    pub backup_remote: Option<Text>,
    /// Instance of the outer packets.
    pub public_instance: Option<Text>,
    /// Instance of the inner packets.
    pub private_instance: Option<Text>,
    /// GRE; default no: IP in IP.
    pub gre_header: bool,
    /// GRE key of what is sent; default none.
    pub send_key: Option<Spanned<u64>>,
    /// GRE key of what is received; default none.
    pub receive_key: Option<Spanned<u64>>,
    /// Our addresses on the link that it is, with prefix length.
    pub addresses: Vec<Text>,
    /// The peer's on that link.
    pub dest_ip: Vec<Text>,
    /// DSCP of outer packets; default: that of the inner one.
    pub dscp: Option<Spanned<u64>>,
    /// Time to live of outer packets.
    pub ttl: Option<Spanned<u64>>,
    /// A number or `none`: milliseconds for which fragments for it wait for the rest.
    pub reassembly: Option<Spanned<toml::Value>>,
    /// What it does to packets.
    pub packets: Packets,
}
