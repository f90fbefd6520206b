//! Ip-tunnels while they run: up and down with the addresses of their instances, other with another configuration, and
//! what operators read of them (DP-22, TG-15, TG-16).

use std::collections::BTreeSet;

use ipnet::IpNet;
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::policy::ip_tunnel::{Counters, IpTunnel, Kind};
use ravelin_dataplane::sa::counters::Counter;

use super::core::Core;
use crate::api::reply::{DestIp, IpTunnelRow};
use crate::api::request::IpTunnelName;
use crate::api::{ApiError, Reply};
use crate::config::plan::{self, InstanceId, Plan};
use crate::instance::{PRIVATE_PREFIX, Request, TunnelRoute};
use crate::tunnel::ip_tunnel::{self, Ground};

impl<P: Pool> Core<P> {
    /// Has the workers know ip-tunnels as they are now: addresses have come or gone, or an instance's service.
    pub(super) fn settle_ip_tunnels(&mut self) {
        let before = self.ip_tunnel_states();
        let outcome = self.workers.settle_ip_tunnels(&self.plan);
        self.workers.publish(&outcome);
        for (interface, address) in outcome.keep {
            let instance = self.instance_with(&interface);
            self.next_hops.push((instance, Request::KeepNeighbour { interface, address }));
        }
        for (interface, address) in outcome.release {
            let instance = self.instance_with(&interface);
            self.next_hops.push((instance, Request::ReleaseNeighbour { interface, address }));
        }
        for ((name, was), (_, is)) in before.iter().zip(&self.ip_tunnel_states()) {
            if was != is {
                let what = if is.is_empty() { "ip-tunnel-up" } else { "ip-tunnel-down" };
                self.journal.note(name, what, is.clone());
            }
        }
    }

    /// Why each is down as the workers have it; empty for one that is up.
    fn ip_tunnel_states(&self) -> Vec<(String, String)> {
        let state = |(name, tunnel): (&String, &std::sync::Arc<plan::IpTunnel>)| {
            let up = self.workers.ip_tunnel(name).is_some_and(|tunnel| tunnel.parts().up);
            let why = self.workers.ip_tunnel_down(tunnel);
            let down = || why.map_or_else(|| "not yet up".to_owned(), |why| why.to_string());
            (name.clone(), if up { String::new() } else { down() })
        };
        self.plan.ip_tunnels.iter().map(state).collect()
    }

    fn instance_with(&self, interface: &str) -> InstanceId {
        let known = self.plan.interfaces.iter().find(|known| known.name == interface);
        known.map_or(0, |known| known.instance)
    }

    /// Has the kernels' private sides follow the plan: addresses on them, and routes over them.
    pub(super) fn follow_ip_tunnels(&self, former: &Plan) {
        for instance in (0..self.plan.instances.len()).filter_map(|id| InstanceId::try_from(id).ok()) {
            let (was, is) = (addresses(former, instance), addresses(&self.plan, instance));
            if was != is {
                let interface = format!("{PRIVATE_PREFIX}{}", self.service.name(instance));
                self.ask_instance(instance, Request::SetAddresses { interface, addresses: is });
            }
            let (was, is) = (kernel_routes(former, instance), kernel_routes(&self.plan, instance));
            let route =
                |destination: &IpNet| TunnelRoute { destination: *destination, metric: 0, source: None };
            for gone in was.difference(&is) {
                self.ask_instance(instance, Request::RemoveRoute(route(gone)));
            }
            for new in is.difference(&was) {
                self.ask_instance(instance, Request::AddRoute(route(new)));
            }
        }
    }

    /// All ip-tunnels, or the one that is named.
    pub(super) fn ip_tunnel_rows(&self, asked: &IpTunnelName) -> Result<Reply, ApiError> {
        let named = asked.ip_tunnel.as_ref();
        let those = self.plan.ip_tunnels.values().filter(|one| named.is_none_or(|name| *name == one.name));
        let ip_tunnels: Vec<IpTunnelRow> = those.map(|tunnel| self.ip_tunnel_row(tunnel)).collect();
        match named {
            Some(name) if ip_tunnels.is_empty() => {
                let known = self.plan.ip_tunnels.keys().cloned().collect::<Vec<_>>().join(", ");
                Err(ApiError::NoIpTunnel { name: name.clone(), known })
            }
            _ => Ok(Reply::IpTunnels { ip_tunnels, by_name: named.is_some() }),
        }
    }

    fn ip_tunnel_row(&self, tunnel: &plan::IpTunnel) -> IpTunnelRow {
        let (routing, tables) = self.workers.routing();
        let down = self.workers.ip_tunnel_down(tunnel);
        let running = self.workers.ip_tunnel(&tunnel.name);
        let keys = |key: Option<u32>| key.map_or_else(|| "none".to_owned(), |key| key.to_string());
        let (gre, send_key, receive_key) = match tunnel.kind {
            Kind::Gre { send, receive } => (true, keys(send), keys(receive)),
            Kind::Ip => (false, keys(None), keys(None)),
        };
        let dest_ip = |address: &std::net::IpAddr| {
            let resolved = address.is_multicast() || routing.is_on_link(tunnel.private, *address);
            DestIp { address: address.to_string(), resolved }
        };
        let parts =
            ip_tunnel::parts(tunnel, self.workers.ip_tunnel_sizes(&self.plan, tunnel), down.is_none());
        IpTunnelRow {
            name: tunnel.name.clone(),
            description: tunnel.description.clone(),
            admin: if tunnel.enabled { "up" } else { "shut-down" }.to_owned(),
            up: down.is_none(),
            reason_code: down.map_or("", |down| down.code()).to_owned(),
            reason: down.map(|down| down.to_string()).unwrap_or_default(),
            public_instance: self.service.name(tunnel.public).to_owned(),
            private_instance: self.service.name(tunnel.private).to_owned(),
            local: tunnel.local.to_string(),
            remote: tunnel.remote.to_string(),
            backup_remote: tunnel.backup.map(|backup| backup.to_string()).unwrap_or_default(),
            active_remote: running.map(|one| one.active_remote(tables).to_string()).unwrap_or_default(),
            gre,
            send_key,
            receive_key,
            addresses: tunnel.addresses.iter().map(ToString::to_string).collect(),
            dest_ips: tunnel.dest_ips.iter().map(dest_ip).collect(),
            routes: tunnel.routes.iter().map(ToString::to_string).collect(),
            dscp: tunnel.dscp,
            ttl: tunnel.ttl,
            inner_mtu: ip_tunnel::largest_inner(&parts),
            packets: tunnel.packets.told().into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            in_packets: count(running, |counters| &counters.in_packets),
            in_bytes: count(running, |counters| &counters.in_octets),
            in_errors: count(running, |counters| &counters.in_errors),
            out_packets: count(running, |counters| &counters.out_packets),
            out_bytes: count(running, |counters| &counters.out_octets),
            out_errors: count(running, |counters| &counters.out_errors),
        }
    }
}

fn count(tunnel: Option<&IpTunnel>, counter: impl Fn(&Counters) -> &Counter) -> u64 {
    let rows = tunnel.into_iter().flat_map(|tunnel| tunnel.all_counters().iter());
    rows.map(|row| counter(row).get()).sum()
}

/// Our addresses on the links that an instance's ip-tunnels are.
pub(super) fn addresses(plan: &Plan, private: InstanceId) -> Vec<IpNet> {
    let ours = plan.ip_tunnels.values().filter(|tunnel| tunnel.private == private);
    ours.flat_map(|tunnel| &tunnel.addresses).copied().collect::<BTreeSet<_>>().into_iter().collect()
}

/// What an instance's kernel is to know to be behind them.
pub(super) fn kernel_routes(plan: &Plan, private: InstanceId) -> BTreeSet<IpNet> {
    let ours = plan.ip_tunnels.values().filter(|tunnel| tunnel.private == private);
    ours.flat_map(|tunnel| tunnel.kernel_routes()).collect()
}
