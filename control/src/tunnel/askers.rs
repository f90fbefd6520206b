//! What the plan says of pings to the ends of tunnels (DP-39). Pure.
//!
//! It is of the static tunnels of groups with several active workers; the group of all workers is nobody's wish. An
//! address that something else has too, a gateway, a tunnel whose peer may be anywhere, one of another group or an ip-tunnel,
//! answers anybody.

use std::collections::BTreeSet;

use ravelin_dataplane::link::askers::{Askers, End};

use crate::config::plan::{DEFAULT_GROUP, GroupMode, Plan, Tunnel};

/// Whose pings are answered at which ends.
pub fn askers(plan: &Plan) -> Askers {
    let end = |tunnel: &Tunnel| (tunnel.public, tunnel.local);
    let mut open: BTreeSet<End> =
        plan.gateways.values().map(|gateway| (gateway.public, gateway.local)).collect();
    open.extend(plan.ip_tunnels.values().map(|tunnel| (tunnel.public, tunnel.local)));
    let of_others = |tunnel: &&Tunnel| tunnel.remote.is_none() || !is_closed(plan, tunnel);
    open.extend(plan.tunnels.values().map(|tunnel| &**tunnel).filter(of_others).map(end));
    let closed = plan.tunnels.values().filter(|tunnel| !open.contains(&end(tunnel)));
    Askers::new(closed.flat_map(|tunnel| tunnel.remotes().map(move |remote| (end(tunnel), remote))))
}

fn is_closed(plan: &Plan, tunnel: &Tunnel) -> bool {
    let of_several = |name: &str| {
        plan.groups.get(name).is_some_and(|group| matches!(group.mode, GroupMode::MultiActive { .. }))
    };
    tunnel.group != DEFAULT_GROUP && of_several(&tunnel.group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ground::{interfaces, plan, tunnel};
    use std::net::IpAddr;

    const GROUPS: &str = concat!(
        "[workers]\ncount = 3\n",
        "[tunnel-group.several]\nmode = \"multi-active\"\nmembers = [0, 1]\nactive-number = 2\n",
        "[tunnel-group.one]\nmode = \"single-active\"\nprimary = 2\n",
    );
    const SEVERAL: &str = "tunnel-group = \"several\"\n";

    /// Whether the peers 1 and 9 are answered, where there is a tunnel with 1 in this group, and more.
    fn answered(group: &str, more: &str) -> [bool; 2] {
        let near = concat!(interfaces!(), tunnel!("near", 1));
        let askers = askers(&plan(&format!("{near}{group}{more}{GROUPS}")));
        let [local, one, nine] = [2, 1, 9].map(|n| IpAddr::from([192, 0, 2, n]));
        [one, nine].map(|from| askers.may_ask((0, local), from))
    }

    #[test]
    fn groups_of_several_workers_answer_their_peers() {
        let (one, far, third) = ("tunnel-group = \"one\"\n", tunnel!("far", 9), tunnel!("third", 7));
        assert_eq!(answered(SEVERAL, ""), [true, false]);
        assert_eq!([answered(one, ""), answered("", "")], [[true, true]; 2]);
        assert_eq!(answered(SEVERAL, &format!("{far}{SEVERAL}")), [true, true]);
        assert_eq!(answered(SEVERAL, &format!("{third}{SEVERAL}")), [true, false]);
    }

    /// What else has the address.
    #[test]
    fn others_answer_anybody() {
        let anywhere =
            tunnel!("any", 7).replace("\"192.0.2.7\"", "\"any\"\nremote-id = \"any.example\"") + SEVERAL;
        let gateway = "[gateway.g]\nlocal = \"192.0.2.2\"\npsk = \"correct horse\"\nts-list = \"all\"\n\
            [ts-list.all]\nlocal = [\"10.2.0.0/16\"]\nremote = [\"10.9.0.0/16\"]\n";
        let ip_tunnel = "[ip-tunnel.far]\nlocal = \"192.0.2.2\"\nremote = \"192.0.2.7\"\n";
        for more in [tunnel!("far", 7), &*anywhere, gateway, ip_tunnel] {
            assert_eq!(answered(SEVERAL, more), [true, true], "{more}");
        }
    }
}
