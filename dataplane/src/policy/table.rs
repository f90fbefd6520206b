//! The tables workers look packets up in, all keyed by instance, published as one value.
//!
//! Control changes them through [`super::publish::Writer::tables_mut`]; a change copies what lies
//! on its path and shares the rest. Workers call [`Tables::decide`], [`Tables::route`],
//! [`Tables::neighbour`] and [`Tables::locate`].

use super::array::{Array, OutOfRange};
use super::route::{Interface, NextHop, Prefix, PrefixMap, TunnelId};
use super::selector::SelectorSet;
use super::spd::{Action, Otherwise, Spd};
use crate::net::eth::Mac;
use crate::net::flow::Flow;
use crate::sa::SaRef;
use crate::sa::spi::{Place, Spi};
use crate::sa::table::ExactTable;
use std::net::IpAddr;
use std::sync::Arc;

/// Child SAs a tunnel can have: they are compared for every packet.
pub const MAX_CHILDREN: usize = 32;

/// One child SA of a tunnel: what it carries, and the slot that sends for it (whether or not an
/// SA is in the slot just now).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// What it carries.
    pub selectors: SelectorSet,
    /// The outbound slot.
    pub sa: SaRef,
}

/// A tunnel's children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    children: Arc<[Child]>,
}

/// More children than [`MAX_CHILDREN`]: the operator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} child SAs in one tunnel: at most {MAX_CHILDREN}")]
pub struct TooManyChildren {
    /// How many there were.
    pub found: usize,
}

impl Tunnel {
    /// A tunnel with these children.
    pub fn new(children: Vec<Child>) -> Result<Tunnel, TooManyChildren> {
        if children.len() > MAX_CHILDREN {
            return Err(TooManyChildren { found: children.len() });
        }
        Ok(Tunnel { children: children.into() })
    }

    /// Its children.
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The child that matches a packet most narrowly (DP-19); of equals the first.
    pub fn choose(&self, flow: &Flow) -> Option<&Child> {
        let matching =
            self.children.iter().filter_map(|child| Some((child.selectors.narrowness(flow)?, child)));
        matching.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, child)| child)
    }
}

/// What becomes of a packet on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Under the SA in this slot; if the slot is empty, not at all.
    Protect {
        /// The tunnel.
        tunnel: TunnelId,
        /// The chosen child's slot.
        sa: SaRef,
    },
    /// Into a tunnel none of whose children takes it: dropped as a policy miss, or reason to ask
    /// IKE for a child. Never in clear.
    NoChild {
        /// The tunnel.
        tunnel: TunnelId,
    },
    /// In clear to this next hop, which is not a tunnel.
    Forward(NextHop),
    /// Policy refuses it.
    Discard,
    /// No route.
    NoRoute,
}

/// What one instance has.
#[derive(Clone, Debug, Default)]
struct Instance {
    spd: Spd,
    routes: PrefixMap<NextHop>,
    neighbours: Vec<(Interface, PrefixMap<Mac>)>,
}

/// Everything a worker looks up. Cloning it is a handful of reference counts.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    instances: Array<Arc<Instance>>,
    tunnels: Array<Tunnel>,
    manual: ExactTable,
}

impl Tables {
    /// No instance, no tunnel.
    pub fn new() -> Tables {
        Tables::default()
    }

    // --- what workers ask

    /// What becomes of a packet on its way out of `instance` (RFC 4301 §5.1).
    ///
    /// A packet routed into a tunnel never leaves in clear, whatever the entries say; one for a
    /// local address needs no bypass, because it does not leave.
    pub fn decide(&self, instance: u16, flow: &Flow) -> Decision {
        let Some(instance) = self.instance(instance) else { return Decision::NoRoute };
        let hop = instance.routes.longest(flow.destination).copied();
        match (instance.spd.outbound(flow), hop) {
            (Some(Action::Discard), _) => Decision::Discard,
            (Some(Action::Protect(tunnel)), _) | (_, Some(NextHop::Tunnel(tunnel))) => {
                self.protect(tunnel, flow)
            }
            (_, None) => Decision::NoRoute,
            (Some(Action::Bypass), Some(hop)) | (None, Some(hop @ NextHop::Local)) => Decision::Forward(hop),
            (None, Some(hop)) => match instance.spd.otherwise() {
                Otherwise::Bypass => Decision::Forward(hop),
                Otherwise::Discard => Decision::Discard,
            },
        }
    }

    fn protect(&self, tunnel: TunnelId, flow: &Flow) -> Decision {
        match self.tunnels.at(tunnel.0).and_then(|found| found.choose(flow)) {
            Some(child) => Decision::Protect { tunnel, sa: child.sa },
            None => Decision::NoChild { tunnel },
        }
    }

    /// Where a packet to `destination` goes next.
    pub fn route(&self, instance: u16, destination: IpAddr) -> Option<NextHop> {
        self.instance(instance)?.routes.longest(destination).copied()
    }

    /// The Ethernet address of a neighbour.
    pub fn neighbour(&self, instance: u16, interface: Interface, address: IpAddr) -> Option<Mac> {
        let neighbours = &self.instance(instance)?.neighbours;
        let at = neighbours.binary_search_by_key(&interface, |(interface, _)| *interface).ok()?;
        neighbours.get(at)?.1.exact(Prefix::host(address)).copied()
    }

    /// Where the inbound SA of an ESP packet lies.
    pub fn locate(&self, instance: u16, destination: IpAddr, spi: Spi) -> Option<Place> {
        self.manual.locate(instance, destination, spi)
    }

    /// A tunnel's children.
    pub fn tunnel(&self, tunnel: TunnelId) -> Option<&Tunnel> {
        self.tunnels.at(tunnel.0)
    }

    fn instance(&self, instance: u16) -> Option<&Instance> {
        self.instances.at(u32::from(instance)).map(|instance| &**instance)
    }

    // --- what control changes

    /// Adds an instance without routes that discards everything, if it is not there.
    pub fn add_instance(&mut self, instance: u16) {
        self.change(instance, |_| ());
    }

    /// Removes an instance with all it has.
    pub fn remove_instance(&mut self, instance: u16) {
        // Every u16 lies below the array's capacity.
        let _ = self.instances.set(u32::from(instance), None);
    }

    /// Replaces an instance's ordered policy.
    pub fn set_spd(&mut self, instance: u16, spd: Spd) {
        self.change(instance, |instance| instance.spd = spd);
    }

    /// An instance's ordered policy.
    pub fn spd(&self, instance: u16) -> Option<&Spd> {
        Some(&self.instance(instance)?.spd)
    }

    /// Adds, replaces or removes a tunnel.
    pub fn set_tunnel(
        &mut self,
        tunnel: TunnelId,
        value: Option<Tunnel>,
    ) -> Result<Option<Tunnel>, OutOfRange> {
        self.tunnels.set(tunnel.0, value)
    }

    /// Adds, replaces or removes a route; the former next hop comes back.
    pub fn set_route(&mut self, instance: u16, prefix: Prefix, hop: Option<NextHop>) -> Option<NextHop> {
        self.change(instance, |instance| instance.routes.set(prefix, hop))
    }

    /// Calls `visit` for every route of an instance.
    pub fn for_each_route(&self, instance: u16, mut visit: impl FnMut(Prefix, NextHop)) {
        if let Some(instance) = self.instance(instance) {
            instance.routes.for_each(|prefix, hop| visit(prefix, *hop));
        }
    }

    /// Adds, replaces or removes a neighbour; the former address comes back.
    pub fn set_neighbour(
        &mut self,
        instance: u16,
        interface: Interface,
        address: IpAddr,
        mac: Option<Mac>,
    ) -> Option<Mac> {
        self.change(instance, |instance| {
            let neighbours = &mut instance.neighbours;
            let at = neighbours.binary_search_by_key(&interface, |(interface, _)| *interface);
            let at = at.unwrap_or_else(|at| {
                neighbours.insert(at, (interface, PrefixMap::default()));
                at
            });
            neighbours.get_mut(at).and_then(|(_, map)| map.set(Prefix::host(address), mac))
        })
    }

    /// Forgets all neighbours of an interface that went down.
    pub fn clear_neighbours(&mut self, instance: u16, interface: Interface) {
        self.change(instance, |instance| instance.neighbours.retain(|(other, _)| *other != interface));
    }

    /// Replaces the table of manual and imported SPIs.
    pub fn set_manual(&mut self, manual: ExactTable) {
        self.manual = manual;
    }

    /// The table of manual and imported SPIs.
    pub const fn manual(&self) -> &ExactTable {
        &self.manual
    }

    /// Changes an instance, made if it is not there, copying it if a published version holds it.
    fn change<R>(&mut self, number: u16, change: impl FnOnce(&mut Instance) -> R) -> R {
        let mut instance = self.instances.at(u32::from(number)).cloned().unwrap_or_default();
        let result = change(Arc::make_mut(&mut instance));
        // Every u16 lies below the array's capacity.
        let _ = self.instances.set(u32::from(number), Some(instance));
        result
    }
}

#[cfg(test)]
mod tests;
