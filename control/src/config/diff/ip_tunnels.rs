//! Ip-tunnels in the difference of two plans. They have no keys and no state: one that has become other is other at once.

use std::sync::Arc;

use super::super::plan::{IpTunnel, Plan};
use super::{Difference, here};

/// Ip-tunnels that are not as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpTunnels {
    /// To be added.
    pub added: Vec<String>,
    /// To be removed.
    pub removed: Vec<String>,
    /// That are otherwise.
    pub changed: Vec<String>,
}

/// Ip-tunnels in the numbers of the plan that runs; one that stands on what is not there waits for it.
pub(super) fn settle(running: &Plan, asked: &Plan, next: &mut Plan, difference: &mut Difference) {
    next.ip_tunnels.clear();
    for (name, tunnel) in &asked.ip_tunnels {
        match here(next, asked, (tunnel.public, tunnel.private, tunnel.local)) {
            Some((public, private)) => {
                let tunnel = IpTunnel { public, private, ..IpTunnel::clone(tunnel) };
                next.ip_tunnels.insert(name.clone(), Arc::new(tunnel));
            }
            None => {
                difference.needs_restart.push(format!("ip-tunnel.{name}"));
                let former = running.ip_tunnels.get(name).cloned();
                next.ip_tunnels.extend(former.map(|former| (name.clone(), former)));
            }
        }
    }
}

pub(super) fn compare(running: &Plan, next: &Plan) -> IpTunnels {
    let mut difference = IpTunnels::default();
    for (name, tunnel) in &next.ip_tunnels {
        match running.ip_tunnels.get(name) {
            None => difference.added.push(name.clone()),
            Some(former) if former != tunnel => difference.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let gone = running.ip_tunnels.keys().filter(|name| !next.ip_tunnels.contains_key(*name));
    difference.removed.extend(gone.cloned());
    difference
}
