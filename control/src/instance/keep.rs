//! Next hops kept resolved, and routes into the tunnels.

use std::net::IpAddr;

use nix::errno::Errno;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::neighbour::{
    NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol, RouteScope};

use super::error::{InstanceError, errno};
use super::event::TunnelRoute;
use super::hops::Hop;
use super::machine::Machine;
use super::spec::ROUTE_PROTOCOL;
use super::{device, netlink};

impl Machine {
    /// Keeps a next hop resolved from now on. That it does not resolve now is no failure.
    pub(super) async fn keep_neighbour(
        &mut self,
        interface: String,
        address: IpAddr,
    ) -> Result<(), InstanceError> {
        if !self.twins.contains(&interface) {
            return Err(InstanceError::UnknownInterface { interface });
        }
        self.kept.hold((interface.clone(), address));
        self.assert_neighbour(&interface, address, true).await;
        Ok(())
    }

    /// Resolves a next hop that a packet wanted. One beyond the limit is resolved and not kept.
    pub(super) async fn find_neighbour(
        &mut self,
        interface: String,
        address: IpAddr,
    ) -> Result<(), InstanceError> {
        if !self.twins.contains(&interface) {
            return Err(InstanceError::UnknownInterface { interface });
        }
        let hop = (interface, address);
        let kept = self.kept.see(&hop) || self.kept.contains(&hop);
        self.assert_neighbour(&hop.0, address, kept).await;
        Ok(())
    }

    /// Keeps a next hop that the kernel has learned: workers may use it without the kernel noticing, which
    /// would let it go stale and drop it under traffic.
    pub(super) async fn keep_seen(&mut self, hop: Hop) {
        if self.kept.see(&hop) {
            self.assert_neighbour(&hop.0, hop.1, true).await;
        }
    }

    /// The same for all that are known.
    pub(super) async fn keep_all_seen(&mut self) {
        let known: Vec<Hop> =
            self.told.neighbours().map(|(interface, address)| (interface.to_owned(), address)).collect();
        for hop in known {
            self.keep_seen(hop).await;
        }
    }

    /// Gives up seen next hops that have not answered for a while: the kernel would ask for them for ever.
    pub(super) async fn age_neighbours(&mut self) {
        let told = &self.told;
        let silent = self.kept.age(|(interface, address)| told.neighbour(interface, *address).is_some());
        for (interface, address) in silent {
            if let Err(error) = self.drop_neighbour(&interface, address).await {
                tracing::debug!(instance = self.id, interface, %address, %error, "next hop not released");
            }
        }
    }

    async fn drop_neighbour(&self, interface: &str, address: IpAddr) -> Result<(), InstanceError> {
        let index = self.index(interface)?;
        let mut entry = self.handle.neighbours().add(index, address);
        let message: NeighbourMessage = entry.message_mut().clone();
        match self.handle.neighbours().del(message).execute().await {
            Err(e) if errno(&e) != Some(Errno::ENOENT) => {
                Err(InstanceError::netlink(format!("release the neighbour {address}"), &e))
            }
            _ => Ok(()),
        }
    }

    /// Asks again for kept next hops: all of them where the kernel has no managed entries, else those that
    /// are not resolved (the kernel flushes managed entries with their link).
    pub(super) async fn assert_neighbours(&mut self) {
        let due: Vec<Hop> = self
            .kept
            .iter()
            .filter(|(interface, address)| {
                self.told.is_running(interface)
                    && (self.manages != Some(true) || self.told.neighbour(interface, *address).is_none())
            })
            .cloned()
            .collect();
        for (interface, address) in due {
            self.assert_neighbour(&interface, address, true).await;
        }
    }

    /// The kernel's number of a device: as it was told, else asked for.
    fn index(&self, interface: &str) -> Result<u32, InstanceError> {
        match self.names.iter().rev().find(|(_, name)| &***name == interface) {
            Some((index, _)) => Ok(*index),
            None => device::index(interface),
        }
    }

    /// A refusal is logged and tried again: the link may be down.
    async fn assert_neighbour(&mut self, interface: &str, address: IpAddr, keep: bool) {
        if let Err(error) = self.resolve(interface, address, keep).await {
            tracing::debug!(instance = self.id, interface, %address, %error, "next hop not resolved");
        }
    }

    async fn resolve(&mut self, interface: &str, address: IpAddr, keep: bool) -> Result<(), InstanceError> {
        if self.told.is_fixed(interface, address) {
            return Ok(());
        }
        let index = self.index(interface)?;
        if keep && self.manages.is_none() {
            self.manages = self.try_managed(index, address).await?;
        }
        let managed = keep && self.manages != Some(false);
        let done = self.request_neighbour(index, address, managed).await;
        done.map_err(|e| InstanceError::netlink(format!("resolve the neighbour {address}"), &e))
    }

    /// Whether the kernel manages neighbours: it may refuse the flag, or ignore it. `None` if another error
    /// leaves that open.
    async fn try_managed(&self, index: u32, address: IpAddr) -> Result<Option<bool>, InstanceError> {
        match self.request_neighbour(index, address, true).await {
            Ok(()) => netlink::is_managed(&self.handle, index, address).await.map(Some),
            Err(e) if matches!(errno(&e), Some(Errno::EINVAL | Errno::EOPNOTSUPP)) => Ok(Some(false)),
            Err(_) => Ok(None),
        }
    }

    /// `managed`: NTF_EXT_MANAGED, the kernel keeps it resolved itself; else NTF_USE, it resolves once.
    async fn request_neighbour(
        &self,
        index: u32,
        address: IpAddr,
        managed: bool,
    ) -> Result<(), rtnetlink::Error> {
        let mut entry = self.handle.neighbours().add(index, address).state(NeighbourState::None).replace();
        if managed {
            let flags = NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed);
            entry.message_mut().attributes.push(flags);
        } else {
            entry = entry.flags(NeighbourFlags::Use);
        }
        entry.execute().await
    }

    /// Never replaces: the kernel would put our route in the place of anybody's with this key.
    pub(super) async fn add_route(&mut self, route: TunnelRoute) -> Result<(), InstanceError> {
        let message = self.route_message(&route).await?;
        let key = (route.destination.trunc(), route.metric);
        match self.handle.route().add(message).execute().await {
            Ok(()) => {}
            Err(e) if errno(&e) == Some(Errno::EEXIST) && self.routes.contains(&key) => {}
            Err(e) if errno(&e) == Some(Errno::EEXIST) => {
                return Err(InstanceError::RouteTaken { destination: key.0, metric: key.1 });
            }
            Err(e) => return Err(InstanceError::netlink(format!("route {} into the tunnels", key.0), &e)),
        }
        self.routes.insert(key);
        Ok(())
    }

    /// Matches device and protocol too, so that it cannot hit another's route.
    pub(super) async fn remove_route(&mut self, route: TunnelRoute) -> Result<(), InstanceError> {
        let message = self.route_message(&route).await?;
        self.routes.remove(&(route.destination.trunc(), route.metric));
        match self.handle.route().del(message).execute().await {
            Err(e) if errno(&e) != Some(Errno::ESRCH) => {
                Err(InstanceError::netlink(format!("remove the route to {}", route.destination), &e))
            }
            _ => Ok(()),
        }
    }

    async fn route_message(&self, route: &TunnelRoute) -> Result<RouteMessage, InstanceError> {
        let name = self.private.as_deref().unwrap_or("rv-");
        let index = device::index(name)?;
        let destination = route.destination.trunc();
        let scope = if destination.addr().is_ipv4() { RouteScope::Link } else { RouteScope::Universe };
        let mut builder = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(destination.addr(), destination.prefix_len())
            .map_err(|e| mixed(route, &e))?
            .output_interface(index)
            .protocol(RouteProtocol::Other(ROUTE_PROTOCOL))
            .scope(scope);
        if route.metric != 0 {
            builder = builder.priority(route.metric);
        }
        if let Some(source) = route.source {
            builder = builder.pref_source(source).map_err(|e| mixed(route, &e))?;
        }
        Ok(builder.build())
    }
}

/// IPv4 and IPv6 in one route.
fn mixed(route: &TunnelRoute, error: &impl std::fmt::Debug) -> InstanceError {
    let action = format!("route {} with source {:?}", route.destination, route.source);
    InstanceError::Netlink { action, reason: format!("{error:?}") }
}
