//! The tables workers look packets up in: control's end, the only one that writes.
//!
//! A change of a route or of a tunnel is made in place ([`super::fib`], [`super::tunnel`]): its cost does not
//! grow with the tables, and workers see it at once. Everything else is copied where it changes and seen
//! after [`super::publish::Writer::publish`], which is also what frees the memory of what was replaced: call
//! it after every batch of changes. What workers may ask is [`View`].

use super::array::Array;
use super::fib::{Memory, Prefixes, Root};
use super::hop::{self, Hops};
use super::ip_tunnel::IpTunnels;
use super::pool::TableFull;
use super::publish::{Source, Version};
use super::route::{Interface, NextHop, Prefix, PrefixMap, TunnelId};
use super::spd::Spd;
use super::tunnel::Lines;
use super::view::{Instance, Instances};
use crate::net::eth::Mac;
use crate::sa::table::ExactTable;
use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

pub use super::tunnel::{Child, MAX_CHILDREN, NoPlace, TooManyChildren, Tunnel};
pub use super::view::{Decision, View};

/// Everything workers look up, and what it takes to change it. One owner.
#[derive(Debug)]
pub struct Tables {
    view: View,
    memory: Memory,
    hops: Hops,
    lines: Lines,
    /// By instance, and whether it is IPv4.
    prefixes: HashMap<(u16, bool), Prefixes>,
    /// The networks of tunnels alone, of the instances whose policy must know them.
    claims: HashMap<(u16, bool), Prefixes>,
}

impl Deref for Tables {
    type Target = View;

    /// What workers will see once the next publication has reached them.
    fn deref(&self) -> &View {
        &self.view
    }
}

impl Source for Tables {
    type View = View;

    fn view(&mut self, version: Version, settled: Version) -> View {
        self.memory.publish(version, settled);
        self.lines.publish(version, settled);
        self.view.clone()
    }
}

impl Default for Tables {
    fn default() -> Tables {
        Tables::new()
    }
}

impl Tables {
    /// No instance, no tunnel; addresses for some million routes and tunnels are reserved, their memory is
    /// taken as they come.
    pub fn new() -> Tables {
        let (memory, lines) = (Memory::new(), Lines::new());
        let view = View {
            instances: Arc::default(),
            routes: memory.shared(),
            lines: lines.view(),
            tunnels: Array::default(),
            manual: ExactTable::default(),
            ip_tunnels: IpTunnels::default(),
        };
        Tables {
            view,
            memory,
            hops: Hops::default(),
            lines,
            prefixes: HashMap::new(),
            claims: HashMap::new(),
        }
    }

    /// Adds an instance without routes that discards everything, if it is not there.
    pub fn add_instance(&mut self, instance: u16) {
        self.change(instance, |_| ());
    }

    /// Removes an instance with all it has.
    pub fn remove_instance(&mut self, instance: u16) {
        self.drop_claims(instance);
        if let Some(place) = Arc::make_mut(&mut self.view.instances).0.get_mut(usize::from(instance)) {
            *place = None;
        }
        for v4 in [true, false] {
            let Some(prefixes) = self.prefixes.remove(&(instance, v4)) else { continue };
            for (_, code) in prefixes.all().iter() {
                self.hops.release(&mut self.memory, code);
            }
            prefixes.end(&mut self.memory);
        }
    }

    /// Replaces an instance's ordered policy.
    ///
    /// # Errors
    /// When the tables have no room for the networks that it must yield to; the former stays then.
    pub fn set_spd(&mut self, instance: u16, spd: Spd) -> Result<(), TableFull> {
        match spd.yields_to_tunnels() {
            true if self.claims.contains_key(&(instance, true)) => {}
            true => {
                let claimed = self.claim_all(instance);
                if claimed.is_err() {
                    self.drop_claims(instance);
                }
                claimed?;
            }
            false => self.drop_claims(instance),
        }
        self.change(instance, |instance| instance.spd = spd);
        Ok(())
    }

    /// Keeps the networks of an instance's tunnels apart from its other routes, from now on.
    fn claim_all(&mut self, instance: u16) -> Result<(), TableFull> {
        for v4 in [true, false] {
            let claims = Prefixes::new(&mut self.memory)?;
            let root = claims.root();
            self.claims.insert((instance, v4), claims);
            self.change(instance, |instance| *instance.claims(v4) = root);
        }
        let mut all = Vec::new();
        self.for_each_route(instance, |prefix, hop| {
            if let NextHop::Tunnel(tunnel) = hop {
                all.push((prefix, tunnel));
            }
        });
        all.into_iter().try_for_each(|(prefix, tunnel)| self.claim(instance, prefix, Some(tunnel)))
    }

    /// Notes whose a network is, where that must be known.
    fn claim(&mut self, instance: u16, at: Prefix, tunnel: Option<TunnelId>) -> Result<(), TableFull> {
        let Some(claims) = self.claims.get_mut(&(instance, at.address().is_ipv4())) else { return Ok(()) };
        // A tunnel's code is its number and takes no memory.
        let code = tunnel.map(|tunnel| self.hops.acquire(&mut self.memory, NextHop::Tunnel(tunnel)));
        claims.set(&mut self.memory, at.bits(), code.transpose()?).map(|_| ())
    }

    fn drop_claims(&mut self, instance: u16) {
        for v4 in [true, false] {
            let Some(claims) = self.claims.remove(&(instance, v4)) else { continue };
            self.change(instance, |instance| *instance.claims(v4) = Root::default());
            claims.end(&mut self.memory);
        }
    }

    /// Adds, replaces or removes a tunnel; the former one comes back. Seen at once.
    ///
    /// # Errors
    /// When its number is beyond the tables, or they are full; nothing was changed then.
    pub fn set_tunnel(&mut self, tunnel: TunnelId, value: Option<Tunnel>) -> Result<Option<Tunnel>, NoPlace> {
        self.lines.set(tunnel, value.as_ref())?;
        Ok(self.view.tunnels.set(tunnel.0, value)?)
    }

    /// Adds, replaces or removes a route; the former next hop comes back. Seen at once.
    ///
    /// # Errors
    /// When the tables are full; no route was changed then.
    pub fn set_route(
        &mut self,
        instance: u16,
        prefix: Prefix,
        hop: Option<NextHop>,
    ) -> Result<Option<NextHop>, TableFull> {
        let tunnel = if let Some(NextHop::Tunnel(tunnel)) = hop { Some(tunnel) } else { None };
        self.claim(instance, prefix, tunnel)?;
        let Some(hop) = hop else { return self.remove_route(instance, prefix) };
        self.add_table(instance, prefix.address().is_ipv4())?;
        let code = self.hops.acquire(&mut self.memory, hop)?;
        let former = self.set_code(instance, prefix, Some(code));
        let unused = if former.is_err() { Some(code) } else { former? };
        let released = unused.and_then(|code| self.hops.release(&mut self.memory, code));
        former.map(|_| released)
    }

    fn remove_route(&mut self, instance: u16, prefix: Prefix) -> Result<Option<NextHop>, TableFull> {
        let former = self.set_code(instance, prefix, None)?;
        Ok(former.and_then(|code| self.hops.release(&mut self.memory, code)))
    }

    fn set_code(&mut self, instance: u16, at: Prefix, code: Option<u32>) -> Result<Option<u32>, TableFull> {
        match self.prefixes.get_mut(&(instance, at.address().is_ipv4())) {
            Some(prefixes) => prefixes.set(&mut self.memory, at.bits(), code),
            None => Ok(None),
        }
    }

    /// Gives an instance a table for a family when it gets its first route.
    fn add_table(&mut self, instance: u16, v4: bool) -> Result<(), TableFull> {
        if self.prefixes.contains_key(&(instance, v4)) {
            return Ok(());
        }
        let prefixes = Prefixes::new(&mut self.memory)?;
        let root = prefixes.root();
        self.prefixes.insert((instance, v4), prefixes);
        self.change(instance, |instance| *(if v4 { &mut instance.v4 } else { &mut instance.v6 }) = root);
        Ok(())
    }

    /// Calls `visit` for every route of an instance, IPv4 first.
    pub fn for_each_route(&self, instance: u16, mut visit: impl FnMut(Prefix, NextHop)) {
        for v4 in [true, false] {
            let Some(prefixes) = self.prefixes.get(&(instance, v4)) else { continue };
            for (bits, code) in prefixes.all().iter() {
                if let Some(hop) = hop::decode(&self.view.routes.slips, code) {
                    visit(Prefix::of(v4, bits), hop);
                }
            }
        }
    }

    /// The longest prefix that covers an address, and where it leads: what [`View::route`] finds, with its name.
    pub fn covering(&self, instance: u16, address: IpAddr) -> Option<(Prefix, NextHop)> {
        let host = Prefix::host(address).bits();
        let known = self.prefixes.get(&(instance, address.is_ipv4()))?.all();
        let (bits, code) = known.longest(host)?;
        Some((Prefix::of(address.is_ipv4(), bits), hop::decode(&self.view.routes.slips, code)?))
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
        self.view.manual = manual;
    }

    /// Replaces the ip-tunnels.
    pub fn set_ip_tunnels(&mut self, ip_tunnels: IpTunnels) {
        self.view.ip_tunnels = ip_tunnels;
    }

    /// Octets that routes and tunnels lie in, used at most so far: what workers read.
    pub const fn octets(&self) -> (usize, usize) {
        (self.memory.octets(), self.lines.octets())
    }

    /// Changes an instance, made if it is not there, copying it if a published version holds it.
    fn change<R>(&mut self, number: u16, change: impl FnOnce(&mut Instance) -> R) -> R {
        let Instances(instances) = Arc::make_mut(&mut self.view.instances);
        if instances.len() <= usize::from(number) {
            instances.resize(usize::from(number) + 1, None);
        }
        let mut made = Arc::default();
        let place = instances.get_mut(usize::from(number));
        let instance = place.map_or(&mut made, |place| place.get_or_insert_default());
        change(Arc::make_mut(instance))
    }
}

#[cfg(test)]
mod tests;
