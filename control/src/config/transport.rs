//! Transport mode (DP-05): what a tunnel must be to be in it, and the policy entries that lead its packets into it.
//!
//! It protects what is between its own two outer addresses: what ip-tunnels put around packets (DP-20 to DP-22, V6-13), and
//! what the gateway itself says. Routes lead elsewhere: such a packet's route is that of its ESP packet. So policy leads
//! into it, by an entry for each child that stands behind those which the operator has put before the tunnels.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use ravelin_dataplane::sa::Mode;
use ravelin_ike::config::Selector;

use super::plan::{Child, Keying, PolicyAction, PolicyEntry, Tunnel};
use super::raw;
use super::tunnel::One;
use crate::tunnel::words;

/// What names of policy entries begin with that a tunnel makes.
pub(super) const RESERVED: &str = "tunnel.";

impl One<'_, '_, '_> {
    /// `mode` of a tunnel.
    pub(super) fn mode(&mut self, raw: &raw::Tunnel) -> Mode {
        let read = |text: &str| match text {
            "tunnel" => Ok(Mode::Tunnel),
            "transport" => Ok(Mode::Transport),
            _ => Err("tunnel or transport"),
        };
        let written = raw.mode.as_ref();
        written.and_then(|text| self.judge.value(&self.object, "mode", text, read)).unwrap_or_default()
    }

    /// Refuses what does not go with transport mode.
    pub(super) fn fits_transport(&mut self, raw: &raw::Tunnel, tunnel: &Tunnel) {
        let Some(remote) = tunnel.remote else {
            return self.refuse("transport mode with remote = \"any\"", "remote = \"ADDRESS\"");
        };
        if tunnel.public != tunnel.private {
            self.refuse(
                "transport mode between two instances",
                "private-instance as public-instance, or none",
            );
        }
        if !tunnel.routes.is_empty() || raw.reverse_route.is_some() {
            self.refuse(
                "transport mode with routes into it",
                "routes into an ip-tunnel between the two ends",
            );
        }
        if moves(&tunnel.keying) {
            self.refuse(
                "transport mode with mobike, a NAT or UDP encapsulation",
                "none of them: its two addresses are those of its packets",
            );
        }
        let unfit = unfit_packets(raw);
        if !unfit.is_empty() {
            let found = format!("transport mode with {}", unfit.join(", "));
            self.refuse(&found, "them at the ip-tunnel: here packets keep their headers");
        }
        for child in &tunnel.children {
            self.is_between(child, (tunnel.local, remote));
        }
    }

    /// A child carries nothing but what is between the two ends.
    fn is_between(&mut self, child: &Child, (local, remote): (IpAddr, IpAddr)) {
        let is_of = |selectors: &[Selector], end: IpAddr| {
            selectors.iter().all(|selector| (selector.start, selector.end) == (end, end))
        };
        if !is_of(&child.local_ts, local) || !is_of(&child.remote_ts, remote) {
            let carried = words::negotiated(&child.local_ts, &child.remote_ts);
            let found = format!(
                "child {:?} carries {carried}, and transport mode what is between its ends",
                child.name
            );
            let host = IpNet::from(local);
            self.refuse(&found, &format!("selectors of {local} and {remote} alone, like \"{host} gre\""));
        }
    }
}

fn moves(keying: &Keying) -> bool {
    match keying {
        Keying::Ike(ike) => ike.mobike || ike.policy.nat.forces(),
        Keying::Manual(manual) => manual.udp_encapsulation,
    }
}

/// Keys of `packets`, and others, that say what outer headers are to be, or inner packets.
fn unfit_packets(raw: &raw::Tunnel) -> Vec<&'static str> {
    let packets = &raw.packets;
    let written = [
        ("dscp", raw.dscp.is_some()),
        ("ip-mtu", packets.ip_mtu.is_some()),
        ("clear-df-bit", packets.clear_df_bit.is_some()),
        ("outer-df", packets.outer_df.is_some()),
        ("private-tcp-mss-adjust", packets.private_tcp_mss_adjust.is_some()),
        ("public-tcp-mss-adjust", packets.public_tcp_mss_adjust.is_some()),
        ("copy-traffic-class-upon-decapsulation", packets.copy_traffic_class_upon_decapsulation.is_some()),
        ("icmp-generation", packets.icmp_generation.is_some()),
        ("propagate-path-mtu", packets.propagate_path_mtu.is_some()),
        ("icmp-messages", packets.icmp_messages.is_some()),
        ("icmp-interval", packets.icmp_interval.is_some()),
        ("tfc-padding", packets.tfc_padding.is_some()),
        ("dummy-packets", packets.dummy_packets.is_some()),
    ];
    written.into_iter().filter(|(_, written)| *written).map(|(key, _)| key).collect()
}

/// The operator's entries, and among them those of tunnels in transport mode.
pub fn with_entries(
    mut entries: Vec<PolicyEntry>,
    tunnels: &BTreeMap<String, Arc<Tunnel>>,
) -> Vec<PolicyEntry> {
    let behind = entries.iter().position(|entry| !entry.before_tunnels).unwrap_or(entries.len());
    let in_transport = tunnels.values().filter(|tunnel| tunnel.mode == Mode::Transport);
    let own = in_transport.flat_map(|tunnel| tunnel.children.iter().map(|child| entry(tunnel, child)));
    let own: Vec<PolicyEntry> = own.collect();
    entries.splice(behind..behind, own);
    entries
}

fn entry(tunnel: &Tunnel, child: &Child) -> PolicyEntry {
    PolicyEntry {
        name: format!("{RESERVED}{}.{}", tunnel.name, child.name),
        instance: tunnel.public,
        action: PolicyAction::Protect(tunnel.name.clone()),
        before_tunnels: true,
        local: child.local_ts.clone(),
        remote: child.remote_ts.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{interfaces, read};

    const HEAD: &str = concat!(interfaces!(), "instance.blue = { namespace = \"blue\" }\n");

    fn tunnel(lines: &str) -> String {
        format!(
            "{HEAD}[tunnel.net]\nlocal = \"192.0.2.2\"\nremote = \"192.0.2.1\"\npsk = \"correct horse\"\nmode = \"transport\"\n{lines}\n"
        )
    }

    /// Without selectors it is all that is between both ends, with them what they say of that; policy leads into it, behind
    /// what the operator has put before the tunnels, and no route does.
    #[test]
    fn policy_leads_into_it_and_no_route() {
        let plan = read(&tunnel("")).unwrap();
        let net = &plan.tunnels["net"];
        assert_eq!((net.mode, net.reverse_route), (Mode::Transport, false));
        let host = |text: &str| vec![Selector::host(text.parse().unwrap())];
        assert_eq!(net.children[0].local_ts, host("192.0.2.2"));
        assert_eq!(net.children[0].remote_ts, host("192.0.2.1"));
        let entries = "local-ts = [\"192.0.2.2/32 gre\"]\nremote-ts = [\"192.0.2.1/32 gre\"]\n\
            [[policy]]\nname = \"bgp\"\naction = \"bypass\"\nbefore-tunnels = true\nlocal = [\"192.0.2.2/32 tcp\"]\n\
            remote = [\"192.0.2.1/32 tcp\"]\n[[policy]]\nname = \"rest\"\naction = \"bypass\"";
        let plan = read(&tunnel(entries)).unwrap();
        let names: Vec<&str> = plan.policy.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["bgp", "tunnel.net.net", "rest"]);
        let own = &plan.policy[1];
        assert_eq!((own.instance, own.before_tunnels, own.local[0].protocol), (0, true, 47));
        assert_eq!(own.action, PolicyAction::Protect("net".into()));
    }

    /// In an instance of its own both sides are that instance.
    #[test]
    fn both_sides_are_one_instance() {
        let text = tunnel("").replace("wan = {", "wan = { instance = \"blue\",");
        let plan = read(&text.replace("[tunnel.net]", "[tunnel.net]\npublic-instance = \"blue\"")).unwrap();
        assert_eq!((plan.tunnels["net"].public, plan.tunnels["net"].private), (1, 1));
    }

    #[test]
    fn what_does_not_go_with_it_is_refused() {
        for (lines, expected) in [
            ("mobike = true", "none of them: its two addresses"),
            (
                "ike-policy = \"udp\"\n[ike-policy.udp]\nudp-encapsulation = \"force\"",
                "none of them: its two addresses",
            ),
            ("reverse-route = \"selectors\"", "routes into an ip-tunnel"),
            ("[[route]]\ndestination = \"10.1.0.0/16\"\ntunnel = \"net\"", "routes into an ip-tunnel"),
            ("private-instance = \"blue\"", "private-instance as public-instance"),
            ("dscp = 3\npackets = { ip-mtu = 1300 }", "transport mode with dscp, ip-mtu"),
            ("local-ts = [\"10.2.0.0/24\"]\nremote-ts = [\"192.0.2.1/32\"]", "like \\\"192.0.2.2/32 gre\\\""),
            (
                "local-ts = [\"192.0.2.2/32\"]\nremote-ts = [\"192.0.2.0/24\"]",
                "selectors of 192.0.2.2 and 192.0.2.1",
            ),
        ] {
            let refused = format!("{:?}", read(&tunnel(lines)).unwrap_err());
            assert!(refused.contains(expected), "{lines}: wanted {expected}, got {refused}");
        }
        let refused = format!("{:?}", read(&tunnel("").replace("\"transport\"", "\"beet\"")).unwrap_err());
        assert!(refused.contains("tunnel or transport"), "{refused}");
    }
}
