//! Ip-tunnels in the workers' tables: made anew where one has become other, which includes that it goes up or down. What is
//! counted of one goes along by its name. One that is down keeps its routes, so that what would go into it is dropped and
//! goes no other way.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::policy::ip_tunnel::{IpTunnel, IpTunnels, counters};
use ravelin_dataplane::policy::route::IpTunnelId;

use super::Workers;
use crate::config::plan::{self, InstanceId, Plan, Tunnel};
use crate::routing::{Outcome, Routing};
use crate::tunnel::ip_tunnel::{self, Down};
use crate::tunnel::pmtu::PathKey;
use crate::tunnel::wrapping::Sizes;

/// The ip-tunnels in force, by their numbers.
#[derive(Debug, Default)]
pub struct Numbered(Vec<Option<(String, Arc<IpTunnel>)>>);

impl Numbered {
    fn find(&self, name: &str) -> Option<(IpTunnelId, &Arc<IpTunnel>)> {
        let place = |one: &Option<(String, _)>| one.as_ref().is_some_and(|(known, _)| known == name);
        let at = self.0.iter().position(place)?;
        let (_, tunnel) = self.0.get(at)?.as_ref()?;
        Some((IpTunnelId(at as u32), tunnel))
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<(String, Arc<IpTunnel>)>> {
        let at = self.find(name).map(|(id, _)| id.0 as usize);
        let at = at.or_else(|| self.0.iter().position(Option::is_none)).unwrap_or(self.0.len());
        if at == self.0.len() {
            self.0.push(None);
        }
        self.0.get_mut(at)
    }
}

impl<P: Pool> Workers<P> {
    /// Has the workers know the plan's ip-tunnels as they are now; says which next hops came into use and went.
    pub fn settle_ip_tunnels(&mut self, plan: &Plan) -> Outcome {
        let table = self.renumber(plan);
        let mut outcome = self.lead_into(plan);
        if table {
            let tunnels = self.ip_tunnels.0.iter();
            let tunnels = tunnels.map(|one| one.as_ref().map(|(_, tunnel)| Arc::clone(tunnel)));
            self.tables.tables_mut().set_ip_tunnels(IpTunnels::new(tunnels.collect()));
        }
        outcome.tables |= table;
        outcome
    }

    /// Gives each its place; whether anything is other than before.
    fn renumber(&mut self, plan: &Plan) -> bool {
        let workers = self.link.workers().count();
        let mut other = false;
        for one in &mut self.ip_tunnels.0 {
            if one.as_ref().is_some_and(|(name, _)| !plan.ip_tunnels.contains_key(name)) {
                (*one, other) = (None, true);
            }
        }
        for (name, tunnel) in &plan.ip_tunnels {
            let up = ip_tunnel::down(tunnel, &self.routing).is_none();
            let parts = ip_tunnel::parts(tunnel, self.ip_tunnel_sizes(plan, tunnel), up);
            let Some(place) = self.ip_tunnels.place(name) else { continue };
            let former = place.as_ref().map(|(_, tunnel)| tunnel);
            if former.is_none_or(|former| *former.parts() != parts) {
                let counters =
                    former.map_or_else(|| counters(workers), |former| former.all_counters().clone());
                *place = Some((name.clone(), Arc::new(IpTunnel::new(parts, counters))));
                other = true;
            }
        }
        other
    }

    /// The largest outer packet of one that fits through every way out, and through the path as far as it is known.
    pub fn ip_tunnel_sizes(&self, plan: &Plan, tunnel: &plan::IpTunnel) -> Sizes {
        let widest = self.routing.smallest_mtu(tunnel.public);
        match ip_tunnel::protector(plan, tunnel).zip(widest) {
            Some((protector, widest)) => {
                Sizes { widest: Some(self.within(protector, tunnel, widest)), learned: None }
            }
            None => Sizes { widest, learned: self.learned_of(tunnel) },
        }
    }

    /// What ESP leaves of a path, as far as that is known.
    fn within(&self, protector: &Tunnel, tunnel: &plan::IpTunnel, widest: u16) -> u16 {
        let remote = protector.remote.unwrap_or(tunnel.remote);
        let learned =
            self.sizes(&PathKey { instance: tunnel.public, local: tunnel.local, peer: remote }).learned;
        let learned = learned.filter(|_| protector.packets.path_mtu_discovery);
        ip_tunnel::within(protector, learned.map_or(widest, |learned| learned.min(widest)))
    }

    /// What routers said of the paths to its ends.
    fn learned_of(&self, tunnel: &plan::IpTunnel) -> Option<u16> {
        let learned =
            |peer| self.sizes(&PathKey { instance: tunnel.public, local: tunnel.local, peer }).learned;
        let ends = [Some(tunnel.remote), tunnel.backup].into_iter().flatten();
        ends.filter_map(learned).min()
    }

    fn lead_into(&mut self, plan: &Plan) -> Outcome {
        let mut routes: BTreeMap<(InstanceId, IpNet), IpTunnelId> = BTreeMap::new();
        let mut far_ends: BTreeMap<(InstanceId, IpAddr), IpTunnelId> = BTreeMap::new();
        for (name, tunnel) in &plan.ip_tunnels {
            let Some((id, _)) = self.ip_tunnels.find(name) else { continue };
            routes.extend(tunnel.networks().map(|network| ((tunnel.private, network), id)));
            far_ends.extend(tunnel.dest_ips.iter().map(|address| ((tunnel.private, *address), id)));
        }
        self.routing.set_ip_tunnels(routes, far_ends, self.tables.tables_mut())
    }

    /// An ip-tunnel by its name.
    pub fn ip_tunnel(&self, name: &str) -> Option<&IpTunnel> {
        self.ip_tunnels.find(name).map(|(_, tunnel)| &**tunnel)
    }

    /// The number of an ip-tunnel by its name.
    pub fn ip_tunnel_id(&self, name: &str) -> Option<IpTunnelId> {
        self.ip_tunnels.find(name).map(|(id, _)| id)
    }

    /// The name of an ip-tunnel by its number.
    pub fn ip_tunnel_name(&self, IpTunnelId(number): IpTunnelId) -> Option<&str> {
        let (name, _) = self.ip_tunnels.0.get(number as usize)?.as_ref()?;
        Some(name)
    }

    /// Why one of the plan is down, if it is.
    pub fn ip_tunnel_down(&self, tunnel: &crate::config::plan::IpTunnel) -> Option<Down> {
        ip_tunnel::down(tunnel, &self.routing)
    }
}

impl ip_tunnel::Ground for Routing {
    fn is_out(&self, instance: u16) -> bool {
        self.is_out_of_service(instance)
    }

    fn is_ours(&self, instance: u16, address: IpAddr) -> bool {
        self.has_address(instance, address)
    }

    fn is_on_link(&self, instance: u16, address: IpAddr) -> bool {
        self.has_subnet(instance, address)
    }
}
