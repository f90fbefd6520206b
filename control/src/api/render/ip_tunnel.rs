//! Ip-tunnels for people: a row each; of one that is asked for also all that is set.

use super::table;
use crate::api::reply::IpTunnelRow;

/// All of them, or one `by_name`.
pub(super) fn ip_tunnels(tunnels: &[IpTunnelRow], by_name: bool) -> String {
    let header =
        ["IP-TUNNEL", "STATE", "KIND", "LOCAL", "REMOTE", "IN", "OUT", "IN ERRORS", "OUT ERRORS", "REASON"];
    let mut text = table(&header, tunnels.iter().map(row));
    for tunnel in tunnels.iter().filter(|_| by_name) {
        let lines = details(tunnel).into_iter().filter(|(_, value)| !value.is_empty());
        text.extend(lines.map(|(key, value)| format!("\n  {key}: {value}")));
    }
    text
}

fn row(tunnel: &IpTunnelRow) -> Vec<String> {
    vec![
        tunnel.name.clone(),
        if tunnel.up { "up" } else { "DOWN" }.to_owned(),
        if tunnel.gre { "GRE" } else { "IP in IP" }.to_owned(),
        tunnel.local.clone(),
        tunnel.active_remote.clone(),
        tunnel.in_packets.to_string(),
        tunnel.out_packets.to_string(),
        tunnel.in_errors.to_string(),
        tunnel.out_errors.to_string(),
        format!("{} {}", tunnel.reason_code, tunnel.reason).trim().to_owned(),
    ]
}

fn details(tunnel: &IpTunnelRow) -> Vec<(&'static str, String)> {
    let dest_ip = |one: &crate::api::reply::DestIp| match one.resolved {
        true => one.address.clone(),
        false => format!("{} (in no local subnet)", one.address),
    };
    let keys = format!("sent {}, received {}", tunnel.send_key, tunnel.receive_key);
    let packets = tunnel.packets.iter().map(|(key, value)| format!("{key} = {value}"));
    vec![
        ("description", tunnel.description.clone()),
        ("outer packets in instance", tunnel.public_instance.clone()),
        ("inner packets in instance", tunnel.private_instance.clone()),
        ("remote", tunnel.remote.clone()),
        ("backup-remote", tunnel.backup_remote.clone()),
        ("GRE keys", if tunnel.gre { keys } else { String::new() }),
        ("addresses", tunnel.addresses.join(", ")),
        ("dest-ip", tunnel.dest_ips.iter().map(dest_ip).collect::<Vec<_>>().join(", ")),
        ("routes", tunnel.routes.join(", ")),
        ("dscp", tunnel.dscp.map_or_else(|| "of the inner packet".to_owned(), |dscp| dscp.to_string())),
        ("ttl", tunnel.ttl.to_string()),
        ("largest inner packet", tunnel.inner_mtu.to_string()),
        ("packets", packets.collect::<Vec<_>>().join(", ")),
        ("octets", format!("{} in, {} out", tunnel.in_bytes, tunnel.out_bytes)),
    ]
}
