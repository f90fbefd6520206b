//! What the plan says of reassembly, by the ends of tunnels (DP-31). Pure.

use ravelin_dataplane::link::waits::{Between, Wait, Waits};

use crate::config::plan::{IpTunnel, Plan};

/// How long whose fragments wait. Where groups say nothing, and no ip-tunnel does, there is nothing to be searched.
pub fn waits(plan: &Plan) -> Waits {
    let of_group = |name: &str| plan.groups.get(name).and_then(|group| group.reassembly);
    let ip_tunnels = plan.ip_tunnels.values().flat_map(|tunnel| of_ip_tunnel(tunnel));
    if plan.groups.values().all(|group| group.reassembly.is_none()) {
        return Waits::new(ip_tunnels);
    }
    // What one group says of any peer at an address is not to reach the peers of another.
    let usual = |said: Option<Wait>| said.unwrap_or(Wait::USUAL);
    let tunnels = plan.tunnels.values().flat_map(|tunnel| {
        let (instance, local, wait) = (tunnel.public, tunnel.local, usual(of_group(&tunnel.group)));
        let anybody = tunnel.remote.is_none().then_some(None);
        let remotes = tunnel.remotes().map(Some).chain(anybody);
        remotes.map(move |remote| (Between { instance, local, remote, ip_tunnel: false }, wait))
    });
    let gateways = plan.gateways.values().map(|gateway| {
        let between =
            Between { instance: gateway.public, local: gateway.local, remote: None, ip_tunnel: false };
        (between, usual(of_group(&gateway.group)))
    });
    Waits::new(tunnels.chain(gateways).chain(ip_tunnels))
}

fn of_ip_tunnel(tunnel: &IpTunnel) -> impl Iterator<Item = (Between, Wait)> + use<> {
    let IpTunnel { public: instance, local, remote, backup, reassembly, .. } = *tunnel;
    let between = move |remote| Between { instance, local, remote: Some(remote), ip_tunnel: true };
    let ends = [Some(remote), backup].into_iter().flatten();
    ends.filter_map(move |remote| Some((between(remote), reassembly?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{interfaces, plan, tunnel};

    const PLAN: &str = concat!(
        "workers = { count = 2, cores = [0, 1] }",
        interfaces!(),
        tunnel!("usual", 1),
        tunnel!("other", 9),
        r#"
GROUP
[ip-tunnel.far]
local = "192.0.2.2"
remote = "192.0.2.1"
backup-remote = "192.0.2.7"
reassembly = "none"
"#
    );

    fn of(group: &str, remote: u8, ip_tunnel: bool) -> Wait {
        let plan = plan(&PLAN.replace("GROUP", group));
        let [local, remote] = [2, remote].map(|n| std::net::IpAddr::from([192, 0, 2, n]));
        waits(&plan).of(Between { instance: 0, local, remote: Some(remote), ip_tunnel })
    }

    #[test]
    fn groups_and_ip_tunnels_say_how_long() {
        let group = "tunnel-group = \"g\"\n[tunnel-group.g]\nmode = \"multi-active\"\nmembers = [1]\nreassembly = 300";
        assert_eq!((of(group, 9, false), of(group, 1, false)), (Wait::milliseconds(300), Wait::USUAL));
        assert_eq!((of(group, 1, true), of("", 7, true)), (Wait::NONE, Wait::NONE));
        assert_eq!(of("", 9, false), Wait::USUAL);
    }
}
