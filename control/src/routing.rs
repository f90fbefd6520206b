//! What workers must know to forward: interfaces, local addresses, routes, neighbours. Takes
//! in the kernel's state as the instances mirror it, the tunnels' routes as the plan says
//! them, and writes the workers' tables; what did not change is not touched.
//!
//! A tunnel's route wins over the kernel's for the same prefix: traffic that is to be
//! protected never leaves in clear because somebody added a route.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use ravelin_dataplane::link::snapshot::{self, Local, Snapshot};
use ravelin_dataplane::net::eth::Mac;
use ravelin_dataplane::policy::route::{Interface, IpTunnelId, NextHop, Prefix, TunnelId};
use ravelin_dataplane::policy::table::Tables;

use crate::instance::{Change, PRIVATE_PREFIX, Route, RouteAction};

/// An interface of ours and the number of its instance.
#[derive(Debug, Clone)]
struct Known {
    interface: Interface,
    mac: Mac,
    mtu: u16,
}

/// What one instance's kernel said.
#[derive(Debug, Default)]
struct Kernel {
    interfaces: BTreeMap<String, Known>,
    addresses: BTreeSet<(String, IpNet)>,
    /// By destination, then metric: the lowest counts.
    routes: BTreeMap<IpNet, BTreeMap<u32, RouteAction>>,
}

/// The control loop's picture of all instances. One owner.
#[derive(Debug, Default)]
pub struct Routing {
    instances: BTreeMap<u16, Kernel>,
    tunnels: BTreeMap<(u16, IpNet), TunnelId>,
    ip_tunnels: BTreeMap<(u16, IpNet), IpTunnelId>,
    /// Addresses at the other ends of ip-tunnels: next hops of static routes.
    far_ends: BTreeMap<(u16, IpAddr), IpTunnelId>,
    statics: BTreeMap<(u16, IpNet), IpAddr>,
    /// Next hops that routes lead over, and how many.
    uses: BTreeMap<(u16, Hop), usize>,
    /// The next hops of static routes, once their network is there.
    static_hops: BTreeMap<(u16, IpNet), Hop>,
    /// Instances that forward nothing.
    out_of_service: BTreeSet<u16>,
}

/// The name of an interface, and a next hop on it.
pub type Hop = (String, IpAddr);

/// What a change asks for next.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The tables changed: publish them.
    pub tables: bool,
    /// Interfaces or local addresses changed: send a snapshot.
    pub snapshot: bool,
    /// These next hops came into use: have the kernel keep them resolved.
    pub keep: Vec<Hop>,
    /// No route leads over these any more.
    pub release: Vec<Hop>,
}

impl Routing {
    /// Adds an interface of ours before its instance is started.
    pub fn add_interface(&mut self, instance: u16, name: &str, interface: Interface, mac: Mac, mtu: u16) {
        let known = Known { interface, mac, mtu };
        self.instances.entry(instance).or_default().interfaces.insert(name.to_owned(), known);
    }

    /// Adds a route into a tunnel.
    pub fn add_tunnel(&mut self, instance: u16, destination: IpNet, tunnel: TunnelId, tables: &mut Tables) {
        self.tunnels.insert((instance, destination), tunnel);
        self.write_route(instance, destination, tables);
        self.write_within(instance, destination, tables);
    }

    /// Takes a route into a tunnel away; what the kernel has for it counts again.
    pub fn remove_tunnel(&mut self, instance: u16, destination: IpNet, tables: &mut Tables) {
        self.tunnels.remove(&(instance, destination));
        self.write_route(instance, destination, tables);
        self.write_within(instance, destination, tables);
    }

    /// Writes the kernel's routes within a network anew, if there are ip-tunnels that they could lead into.
    fn write_within(&self, instance: u16, network: IpNet, tables: &mut Tables) {
        let Some(kernel) = self.instances.get(&instance).filter(|_| !self.far_ends.is_empty()) else {
            return;
        };
        let within = kernel.routes.range(network..=IpNet::from(network.broadcast()));
        let within: Vec<IpNet> = within.map(|(destination, _)| *destination).collect();
        for destination in within {
            self.write_route(instance, destination, tables);
        }
    }

    /// The routes into tunnels other than `ours` that lead to any address of `network`.
    pub fn others(
        &self,
        instance: u16,
        network: IpNet,
        ours: TunnelId,
    ) -> impl Iterator<Item = (IpNet, TunnelId)> {
        let wider = (0..network.prefix_len()).filter_map(move |length| {
            let net = IpNet::new(network.addr(), length).ok()?.trunc();
            Some((net, *self.tunnels.get(&(instance, net))?))
        });
        // By address, then by length: what lies within stands between the network and its last address.
        let last = IpNet::from(network.broadcast());
        let within = self.tunnels.range((instance, network)..=(instance, last));
        let within = within.map(|((_, net), tunnel)| (*net, *tunnel));
        wider.chain(within).filter(move |(_, tunnel)| *tunnel != ours)
    }

    /// All routes into tunnels: instance, destination, tunnel.
    pub fn tunnels(&self) -> impl Iterator<Item = (u16, IpNet, TunnelId)> {
        self.tunnels.iter().map(|((instance, net), tunnel)| (*instance, *net, *tunnel))
    }

    /// Replaces the routes into ip-tunnels, and the addresses at their other ends.
    pub fn set_ip_tunnels(
        &mut self,
        routes: BTreeMap<(u16, IpNet), IpTunnelId>,
        far_ends: BTreeMap<(u16, IpAddr), IpTunnelId>,
        tables: &mut Tables,
    ) -> Outcome {
        let ends = std::mem::replace(&mut self.far_ends, far_ends);
        let former = std::mem::replace(&mut self.ip_tunnels, routes);
        let differ = |key: &&(u16, IpNet)| former.get(*key) != self.ip_tunnels.get(*key);
        let others: BTreeSet<_> =
            former.keys().chain(self.ip_tunnels.keys()).filter(differ).copied().collect();
        let by_end = self.statics.iter().filter(|((instance, _), via)| {
            let end = (*instance, **via);
            ends.get(&end) != self.far_ends.get(&end)
        });
        let by_end: Vec<_> = by_end.map(|(key, _)| *key).collect();
        let mut outcome = Outcome::default();
        let by_kernel = if ends == self.far_ends { Vec::new() } else { self.by_far_ends() };
        for (instance, destination) in others.into_iter().chain(by_end.iter().copied()).chain(by_kernel) {
            outcome.tables |= self.write_route(instance, destination, tables);
        }
        by_end.into_iter().for_each(|(instance, to)| self.use_static(instance, to, &mut outcome));
        outcome
    }

    /// All of the kernel's routes: far ends have a say in those that a routing daemon has made.
    fn by_far_ends(&self) -> Vec<(u16, IpNet)> {
        let of = |(instance, kernel): (&u16, &Kernel)| {
            let instance = *instance;
            let routes = kernel.routes.keys().copied();
            routes.map(move |destination| (instance, destination)).collect::<Vec<_>>()
        };
        self.instances.iter().flat_map(of).collect()
    }

    /// All routes into ip-tunnels: instance, destination, tunnel.
    pub fn ip_tunnels(&self) -> impl Iterator<Item = (u16, IpNet, IpTunnelId)> {
        self.ip_tunnels.iter().map(|((instance, net), tunnel)| (*instance, *net, *tunnel))
    }

    /// Whether an address is one of ours in an instance.
    pub fn has_address(&self, instance: u16, address: IpAddr) -> bool {
        let kernel = self.instances.get(&instance);
        kernel.is_some_and(|kernel| kernel.addresses.iter().any(|(_, network)| network.addr() == address))
    }

    /// Whether an address is in a subnet of an interface of ours, or of the instance's private side.
    pub fn has_subnet(&self, instance: u16, address: IpAddr) -> bool {
        let Some(kernel) = self.instances.get(&instance) else { return false };
        let is_ours = |name: &str| name.starts_with(PRIVATE_PREFIX) || kernel.interfaces.contains_key(name);
        kernel.addresses.iter().any(|(name, network)| is_ours(name) && network.contains(&address))
    }

    /// Whether an instance forwards nothing.
    pub fn is_out_of_service(&self, instance: u16) -> bool {
        self.out_of_service.contains(&instance)
    }

    /// All static routes of the configuration: instance, destination, next hop.
    pub fn statics(&self) -> impl Iterator<Item = (u16, IpNet, IpAddr)> {
        self.statics.iter().map(|((instance, net), via)| (*instance, *net, *via))
    }

    /// Adds a static route of the configuration.
    pub fn add_static(&mut self, instance: u16, destination: IpNet, via: IpAddr, tables: &mut Tables) {
        self.statics.insert((instance, destination), via);
        self.write_route(instance, destination, tables);
    }

    /// Takes in one change of the kernel's state.
    pub fn change(&mut self, instance: u16, change: &Change, tables: &mut Tables) -> Outcome {
        match change {
            Change::Address { interface, network } => {
                self.address(instance, interface, *network, true, tables)
            }
            Change::AddressGone { interface, network } => {
                self.address(instance, interface, *network, false, tables)
            }
            Change::Neighbour { interface, address, mac } => {
                self.neighbour(instance, interface, *address, Some(Mac(*mac)), tables)
            }
            Change::NeighbourGone { interface, address } => {
                self.neighbour(instance, interface, *address, None, tables)
            }
            Change::Route(route) => self.route(instance, route, tables),
            Change::RouteGone { destination, metric } => {
                self.route_gone(instance, *destination, *metric, tables)
            }
            Change::Link(link) if !link.up => self.link_down(instance, &link.interface, tables),
            Change::LinkGone { interface } => self.link_down(instance, interface, tables),
            Change::Link(_) => Outcome::default(),
        }
    }

    fn address(
        &mut self,
        instance: u16,
        interface: &str,
        network: IpNet,
        present: bool,
        tables: &mut Tables,
    ) -> Outcome {
        let kernel = self.instances.entry(instance).or_default();
        let key = (interface.to_owned(), network);
        let changed = if present { kernel.addresses.insert(key) } else { kernel.addresses.remove(&key) };
        let again: Vec<IpNet> =
            self.statics.keys().filter(|key| key.0 == instance).map(|key| key.1).collect();
        let mut outcome = Outcome { snapshot: changed, tables: changed, ..Outcome::default() };
        for destination in again {
            self.write_route(instance, destination, tables);
            self.use_static(instance, destination, &mut outcome);
        }
        outcome
    }

    /// The next hop of a static route is in use while an interface's network has it.
    fn use_static(&mut self, instance: u16, destination: IpNet, outcome: &mut Outcome) {
        let key = (instance, destination);
        let via = self.statics.get(&key).copied();
        let on_link = via.filter(|via| !self.far_ends.contains_key(&(instance, *via)));
        let hop = on_link.and_then(|via| Some((self.on_link_name(instance, via)?.to_owned(), via)));
        let former = match &hop {
            Some(hop) => self.static_hops.insert(key, hop.clone()),
            None => self.static_hops.remove(&key),
        };
        if former != hop {
            self.use_hops(instance, former.as_slice(), hop.as_slice(), outcome);
        }
    }

    /// Counts who leads over a next hop; the first use and the last are told.
    fn use_hops(&mut self, instance: u16, former: &[Hop], now: &[Hop], outcome: &mut Outcome) {
        for hop in now {
            let uses = self.uses.entry((instance, hop.clone())).or_default();
            *uses += 1;
            if *uses == 1 {
                outcome.keep.push(hop.clone());
            }
        }
        for hop in former {
            let key = (instance, hop.clone());
            let Some(uses) = self.uses.get_mut(&key) else { continue };
            *uses = uses.saturating_sub(1);
            if *uses == 0 {
                self.uses.remove(&key);
                outcome.release.push(hop.clone());
            }
        }
        // One that another route took over in the same breath never ceased to be in use.
        let (keep, release) = (outcome.keep.clone(), outcome.release.clone());
        outcome.keep.retain(|hop| !release.contains(hop));
        outcome.release.retain(|hop| !keep.contains(hop));
    }

    fn neighbour(
        &mut self,
        instance: u16,
        interface: &str,
        address: IpAddr,
        mac: Option<Mac>,
        tables: &mut Tables,
    ) -> Outcome {
        let known = self.instances.get(&instance).and_then(|kernel| kernel.interfaces.get(interface));
        let Some(known) = known else { return Outcome::default() };
        let former = tables.set_neighbour(instance, known.interface, address, mac);
        Outcome { tables: former != mac, ..Outcome::default() }
    }

    fn route(&mut self, instance: u16, route: &Route, tables: &mut Tables) -> Outcome {
        let kernel = self.instances.entry(instance).or_default();
        let metrics = kernel.routes.entry(route.destination).or_default();
        let former = metrics.insert(route.metric, route.action.clone());
        let tables = self.write_route(instance, route.destination, tables);
        let mut outcome = Outcome { tables, ..Outcome::default() };
        let (former, now) =
            (self.gateways(instance, former.as_ref()), self.gateways(instance, Some(&route.action)));
        self.use_hops(instance, &former, &now, &mut outcome);
        outcome
    }

    /// The gateways of a kernel's route that are on interfaces of ours.
    fn gateways(&self, instance: u16, action: Option<&RouteAction>) -> Vec<Hop> {
        let Some(RouteAction::Forward(hops)) = action else { return Vec::new() };
        let gateways = hops.iter().filter_map(|hop| Some((hop.interface.to_string(), hop.gateway?)));
        gateways.filter(|(name, _)| self.is_ours(instance, name)).collect()
    }

    fn is_ours(&self, instance: u16, interface: &str) -> bool {
        self.instances.get(&instance).is_some_and(|kernel| kernel.interfaces.contains_key(interface))
    }

    fn route_gone(&mut self, instance: u16, destination: IpNet, metric: u32, tables: &mut Tables) -> Outcome {
        let kernel = self.instances.entry(instance).or_default();
        let metrics = kernel.routes.get_mut(&destination);
        let former = metrics.and_then(|metrics| metrics.remove(&metric));
        let tables = self.write_route(instance, destination, tables);
        let mut outcome = Outcome { tables, ..Outcome::default() };
        let former = self.gateways(instance, former.as_ref());
        self.use_hops(instance, &former, &[], &mut outcome);
        outcome
    }

    fn link_down(&mut self, instance: u16, interface: &str, tables: &mut Tables) -> Outcome {
        let known = self.instances.get(&instance).and_then(|kernel| kernel.interfaces.get(interface));
        let Some(known) = known else { return Outcome::default() };
        tables.clear_neighbours(instance, known.interface);
        Outcome { tables: true, ..Outcome::default() }
    }

    /// Writes the best hop for one destination; true if that changed anything.
    fn write_route(&self, instance: u16, destination: IpNet, tables: &mut Tables) -> bool {
        let Ok(prefix) = Prefix::new(destination.network(), destination.prefix_len()) else { return false };
        let hop = self.hop(instance, destination);
        match tables.set_route(instance, prefix, hop) {
            Ok(former) => former != hop,
            Err(full) => {
                tracing::error!(instance, %prefix, "this route is not in force: {full}");
                false
            }
        }
    }

    fn hop(&self, instance: u16, destination: IpNet) -> Option<NextHop> {
        if let Some(tunnel) = self.tunnels.get(&(instance, destination)) {
            return Some(NextHop::Tunnel(*tunnel));
        }
        let via = self.statics.get(&(instance, destination));
        let end = via.and_then(|via| self.far_ends.get(&(instance, *via)));
        if let Some(tunnel) = self.ip_tunnels.get(&(instance, destination)).or(end) {
            return Some(NextHop::IpTunnel(*tunnel));
        }
        if let Some(via) = via {
            return self.on_link(instance, *via).map(|interface| NextHop::Via(interface, *via));
        }
        let metrics = self.instances.get(&instance)?.routes.get(&destination)?;
        self.kernel_hop(instance, destination, metrics.values().next()?)
    }

    /// The kernel's first next hop that is on an interface of ours, or at the far end of an ip-tunnel, as a routing daemon
    /// has it (TG-14); elsewhere it must not go in clear, and a network that a tunnel protects not into an ip-tunnel.
    fn kernel_hop(&self, instance: u16, destination: IpNet, action: &RouteAction) -> Option<NextHop> {
        let RouteAction::Forward(hops) = action else { return Some(NextHop::Blackhole) };
        let mut gateways = hops.iter().filter_map(|hop| hop.gateway);
        let end = gateways.find_map(|gateway| self.far_ends.get(&(instance, gateway)));
        if let Some(tunnel) = end.filter(|_| !self.is_protected(instance, destination)) {
            return Some(NextHop::IpTunnel(*tunnel));
        }
        let interfaces = &self.instances.get(&instance)?.interfaces;
        let ours = hops.iter().find_map(|hop| {
            let interface = interfaces.get(&*hop.interface)?.interface;
            Some(
                hop.gateway.map_or(NextHop::Connected(interface), |gateway| NextHop::Via(interface, gateway)),
            )
        });
        ours.or(Some(NextHop::Blackhole))
    }

    /// Whether a network, or a wider one, is behind a tunnel.
    fn is_protected(&self, instance: u16, network: IpNet) -> bool {
        let mut wider =
            (0..=network.prefix_len()).filter_map(|length| IpNet::new(network.addr(), length).ok());
        wider.any(|wider| self.tunnels.contains_key(&(instance, wider.trunc())))
    }

    /// The interface whose network `address` is on.
    fn on_link(&self, instance: u16, address: IpAddr) -> Option<Interface> {
        let name = self.on_link_name(instance, address)?;
        self.instances.get(&instance)?.interfaces.get(name).map(|known| known.interface)
    }

    fn on_link_name(&self, instance: u16, address: IpAddr) -> Option<&str> {
        let kernel = self.instances.get(&instance)?;
        let on = kernel.addresses.iter().find(|(_, network)| network.contains(&address))?;
        kernel.interfaces.contains_key(&on.0).then_some(on.0.as_str())
    }

    /// The instances that forward nothing from now on: to the workers they have neither interfaces nor
    /// addresses.
    pub fn set_out_of_service(&mut self, instances: BTreeSet<u16>) {
        self.out_of_service = instances;
    }

    /// All interfaces with their names.
    pub fn interfaces(&self) -> impl Iterator<Item = (Interface, &str)> {
        let all = self.instances.values().flat_map(|kernel| &kernel.interfaces);
        all.map(|(name, known)| (known.interface, name.as_str()))
    }

    /// The name of an interface, for the kernel.
    pub fn name_of(&self, instance: u16, interface: Interface) -> Option<&str> {
        let kernel = self.instances.get(&instance)?;
        kernel
            .interfaces
            .iter()
            .find(|(_, known)| known.interface == interface)
            .map(|(name, _)| name.as_str())
    }

    /// Why `address` cannot be reached from `instance` at the moment; `None` if it can.
    pub fn unreachable(&self, instance: u16, address: IpAddr, tables: &Tables) -> Option<String> {
        let (interface, hop) = match tables.route(instance, address) {
            Some(NextHop::Connected(interface)) => (interface, address),
            Some(NextHop::Via(interface, gateway)) => (interface, gateway),
            Some(NextHop::Blackhole) => return Some(format!("the route to {address} drops it")),
            Some(NextHop::Tunnel(_) | NextHop::IpTunnel(_) | NextHop::Local) => return None,
            None => {
                return Some(format!(
                    "no route to {address}: add one to the instance's kernel or the configuration"
                ));
            }
        };
        let name = self.name_of(instance, interface).unwrap_or("?");
        match tables.neighbour(instance, interface, hop) {
            Some(_) => None,
            None => Some(format!("{hop} on {name} does not answer ARP or neighbour discovery")),
        }
    }

    /// The smallest MTU among the interfaces of an instance: what fits through whichever of them a
    /// packet leaves by.
    pub fn smallest_mtu(&self, instance: u16) -> Option<u16> {
        self.instances.get(&instance)?.interfaces.values().map(|known| known.mtu).min()
    }

    /// Our addresses in an instance.
    pub fn addresses(&self, instance: u16) -> impl Iterator<Item = IpAddr> {
        let kernel = self.instances.get(&instance);
        kernel.into_iter().flat_map(|kernel| kernel.addresses.iter().map(|(_, network)| network.addr()))
    }

    /// Interfaces and addresses for the workers, of the instances that are in service.
    pub fn snapshot(&self) -> Snapshot {
        let (mut interfaces, mut locals) = (Vec::new(), Vec::new());
        let in_service = |(instance, _): &(&u16, &Kernel)| !self.out_of_service.contains(instance);
        for (instance, kernel) in self.instances.iter().filter(in_service) {
            interfaces.extend(kernel.interfaces.values().map(|known| snapshot::Interface {
                port: known.interface.port,
                vlan: known.interface.vlan,
                instance: *instance,
                mac: known.mac,
                mtu: known.mtu,
            }));
            locals.extend(kernel.addresses.iter().map(|(name, network)| Local {
                instance: *instance,
                address: network.addr(),
                interface:
                    kernel.interfaces.get(name).map(|known| (known.interface.port, known.interface.vlan)),
            }));
        }
        Snapshot::new(interfaces, locals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::NextHop as KernelHop;

    const WAN: Interface = Interface { port: 0, vlan: 0 };

    fn routing() -> (Routing, Tables) {
        let mut routing = Routing::default();
        routing.add_interface(0, "wan", WAN, Mac([2, 0, 0, 0, 0, 1]), 1500);
        (routing, Tables::new())
    }

    fn route(destination: &str, metric: u32, interface: &str, gateway: Option<&str>) -> Change {
        let gateway = gateway.map(|text| text.parse().unwrap());
        let hop = KernelHop { interface: interface.into(), gateway, weight: 1 };
        let action = RouteAction::Forward(vec![hop]);
        Change::Route(Route { destination: destination.parse().unwrap(), metric, protocol: 3, action })
    }

    fn address(text: &str) -> Change {
        Change::Address { interface: "wan".into(), network: text.parse().unwrap() }
    }

    /// Otherwise packets that may not be cut would be lost without a word to their sender.
    #[test]
    fn a_tunnel_is_as_wide_as_the_narrowest_way_out() {
        let (mut routing, _) = routing();
        let narrow = Interface { port: 1, vlan: 0 };
        routing.add_interface(0, "narrow", narrow, Mac([2, 0, 0, 0, 0, 9]), 1400);
        assert_eq!(routing.smallest_mtu(0), Some(1400));
        assert_eq!(routing.smallest_mtu(9), None);
    }

    /// The kernel's lowest metric is used, and its loss uncovers the next.
    #[test]
    fn the_lowest_metric_counts() {
        let (mut routing, mut tables) = routing();
        let to: IpAddr = "198.51.100.1".parse().unwrap();
        routing.change(0, &route("198.51.100.0/24", 20, "wan", Some("192.0.2.9")), &mut tables);
        let outcome = routing.change(0, &route("198.51.100.0/24", 10, "wan", Some("192.0.2.1")), &mut tables);
        assert_eq!(outcome.keep, [hop("192.0.2.1")]);
        assert_eq!(tables.route(0, to), Some(NextHop::Via(WAN, "192.0.2.1".parse().unwrap())));
        let gone = Change::RouteGone { destination: "198.51.100.0/24".parse().unwrap(), metric: 10 };
        let outcome = routing.change(0, &gone, &mut tables);
        assert!(outcome.tables && outcome.release == [hop("192.0.2.1")]);
        assert_eq!(tables.route(0, to), Some(NextHop::Via(WAN, "192.0.2.9".parse().unwrap())));
    }

    fn hop(address: &str) -> Hop {
        ("wan".into(), address.parse().unwrap())
    }

    /// A next hop is kept from its first route to its last, whoever leads over it; a route told again or
    /// replaced does not let it go for a moment.
    #[test]
    fn next_hops_are_kept_while_a_route_leads_over_them() {
        let (mut routing, mut tables) = routing();
        let gone =
            |destination: &str| Change::RouteGone { destination: destination.parse().unwrap(), metric: 0 };
        let mut change = |change: &Change| {
            let outcome = routing.change(0, change, &mut tables);
            (outcome.keep, outcome.release)
        };
        let one = route("198.51.100.0/24", 0, "wan", Some("192.0.2.1"));
        assert_eq!(change(&one), (vec![hop("192.0.2.1")], vec![]));
        assert_eq!(change(&one), (vec![], vec![]), "told again");
        assert_eq!(change(&route("203.0.113.0/24", 0, "wan", Some("192.0.2.1"))), (vec![], vec![]));
        assert_eq!(change(&gone("198.51.100.0/24")), (vec![], vec![]), "the other still uses it");
        let moved = change(&route("203.0.113.0/24", 0, "wan", Some("192.0.2.2")));
        assert_eq!(moved, (vec![hop("192.0.2.2")], vec![hop("192.0.2.1")]));
        assert_eq!(change(&gone("203.0.113.0/24")), (vec![], vec![hop("192.0.2.2")]));
        assert_eq!(change(&gone("203.0.113.0/24")), (vec![], vec![]));
        assert_eq!(
            change(&route("203.0.113.0/24", 0, "eth9", Some("192.0.2.2"))),
            (vec![], vec![]),
            "not ours"
        );
    }

    /// What forwards nothing is not there for the workers: neither its ports nor its addresses.
    #[test]
    fn an_instance_out_of_service_is_not_in_the_snapshot() {
        let (mut routing, mut tables) = routing();
        let other = Interface { port: 1, vlan: 0 };
        routing.add_interface(1, "lan", other, Mac([2, 0, 0, 0, 0, 2]), 1500);
        routing.change(0, &address("192.0.2.2/24"), &mut tables);
        let ours = "192.0.2.2".parse().unwrap();
        routing.set_out_of_service([0].into());
        let snapshot = routing.snapshot();
        assert!(snapshot.interface(0, 0).is_none() && !snapshot.is_local(0, ours));
        assert!(snapshot.interface(1, 0).is_some());
        routing.set_out_of_service(BTreeSet::new());
        assert!(routing.snapshot().interface(0, 0).is_some() && routing.snapshot().is_local(0, ours));
    }

    /// No route of the kernel takes a protected destination out of its tunnel, nor sends anything by a
    /// device that is not ours.
    #[test]
    fn tunnels_win_and_foreign_devices_lead_nowhere() {
        let (mut routing, mut tables) = routing();
        let protected = "10.1.0.0/16".parse().unwrap();
        routing.add_tunnel(0, protected, TunnelId(7), &mut tables);
        routing.change(0, &route("10.1.0.0/16", 0, "wan", None), &mut tables);
        assert_eq!(tables.route(0, "10.1.2.3".parse().unwrap()), Some(NextHop::Tunnel(TunnelId(7))));
        routing.change(0, &route("0.0.0.0/0", 0, "eth9", Some("203.0.113.1")), &mut tables);
        assert_eq!(tables.route(0, "8.8.8.8".parse().unwrap()), Some(NextHop::Blackhole));
    }

    /// What a routing daemon learns from the far end of an ip-tunnel leads into it, unless a tunnel protects it, whichever
    /// comes first; and no longer than the far end is one.
    #[test]
    fn learned_routes_lead_into_ip_tunnels_and_not_out_of_tunnels() {
        let (mut routing, mut tables) = routing();
        let (end, id): (IpAddr, _) = ("10.9.0.2".parse().unwrap(), IpTunnelId(4));
        let ends = |there: bool| if there { BTreeMap::from([((0, end), id)]) } else { BTreeMap::new() };
        let to: IpAddr = "10.1.2.3".parse().unwrap();
        routing.change(0, &route("10.1.2.0/24", 20, "rv-default", Some("10.9.0.2")), &mut tables);
        assert_eq!(tables.route(0, to), Some(NextHop::Blackhole));
        assert!(routing.set_ip_tunnels(BTreeMap::new(), ends(true), &mut tables).tables);
        assert_eq!(tables.route(0, to), Some(NextHop::IpTunnel(id)));
        let protected = "10.1.0.0/16".parse().unwrap();
        routing.add_tunnel(0, protected, TunnelId(7), &mut tables);
        assert_eq!(tables.route(0, to), Some(NextHop::Blackhole));
        routing.remove_tunnel(0, protected, &mut tables);
        assert_eq!(tables.route(0, to), Some(NextHop::IpTunnel(id)));
        routing.set_ip_tunnels(BTreeMap::new(), ends(false), &mut tables);
        assert_eq!(tables.route(0, to), Some(NextHop::Blackhole));
    }

    /// Static routes over a far end lead into its ip-tunnel, and have no next hop to be kept.
    #[test]
    fn static_routes_over_a_far_end_lead_into_its_ip_tunnel() {
        let (mut routing, mut tables) = routing();
        let (to, via): (IpNet, IpAddr) = ("198.51.100.0/24".parse().unwrap(), "192.0.2.9".parse().unwrap());
        routing.add_static(0, to, via, &mut tables);
        routing.change(0, &address("192.0.2.2/24"), &mut tables);
        assert_eq!(tables.route(0, to.addr()), Some(NextHop::Via(WAN, via)));
        let id = IpTunnelId(1);
        let routes = BTreeMap::from([((0, "10.5.0.0/16".parse().unwrap()), id)]);
        let outcome = routing.set_ip_tunnels(routes, BTreeMap::from([((0, via), id)]), &mut tables);
        assert_eq!((outcome.tables, outcome.release.as_slice()), (true, [hop("192.0.2.9")].as_slice()));
        for address in [to.addr(), "10.5.1.1".parse().unwrap()] {
            assert_eq!(tables.route(0, address), Some(NextHop::IpTunnel(id)));
        }
        let outcome = routing.set_ip_tunnels(BTreeMap::new(), BTreeMap::new(), &mut tables);
        assert_eq!(outcome.keep, [hop("192.0.2.9")]);
        assert_eq!(tables.route(0, to.addr()), Some(NextHop::Via(WAN, via)));
        assert_eq!(tables.route(0, "10.5.1.1".parse().unwrap()), None);
    }

    /// A static route waits for the network its next hop is on, and says so meanwhile.
    #[test]
    fn static_routes_wait_for_their_network() {
        let (mut routing, mut tables) = routing();
        let (to, via) = ("198.51.100.0/24".parse().unwrap(), "192.0.2.1".parse().unwrap());
        routing.add_static(0, to, via, &mut tables);
        assert!(
            routing.unreachable(0, "198.51.100.7".parse().unwrap(), &tables).unwrap().contains("no route")
        );
        let outcome = routing.change(0, &address("192.0.2.2/24"), &mut tables);
        assert!(outcome.snapshot && outcome.keep == [hop("192.0.2.1")]);
        assert_eq!(tables.route(0, "198.51.100.7".parse().unwrap()), Some(NextHop::Via(WAN, via)));
        assert!(routing.unreachable(0, "198.51.100.7".parse().unwrap(), &tables).unwrap().contains("ARP"));
        let mac = Change::Neighbour { interface: "wan".into(), address: via, mac: [2; 6] };
        routing.change(0, &mac, &mut tables);
        assert_eq!(routing.unreachable(0, "198.51.100.7".parse().unwrap(), &tables), None);
        assert!(routing.snapshot().is_local(0, "192.0.2.2".parse().unwrap()));
    }
}
