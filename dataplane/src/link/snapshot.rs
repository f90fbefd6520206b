//! Rare configuration as one value: interfaces and local addresses.
//!
//! Control builds a new [`Snapshot`] for every change and sends it to each worker; the worker puts it in
//! place between two bursts and sends the old one back, so that it is freed by control and not by the
//! worker. Lookups are binary searches: a machine has few interfaces and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::eth::Mac;

/// A port, or one VLAN of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// Number of the device.
    pub port: u16,
    /// VLAN id, 0 for untagged.
    pub vlan: u16,
    /// The instance its traffic belongs to.
    pub instance: u16,
    /// Its MAC address: frames for others are dropped.
    pub mac: Mac,
    /// Largest IP packet it carries, in octets.
    pub mtu: u16,
}

/// An address of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Local {
    /// The instance it belongs to.
    pub instance: u16,
    /// The address.
    pub address: IpAddr,
    /// The interface it is on, as `(port, vlan)`; `None` for loopback and `rv-` addresses.
    pub interface: Option<(u16, u16)>,
}

/// What a worker knows of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    interfaces: Vec<Interface>,
    locals: Vec<Local>,
}

impl Snapshot {
    /// A snapshot of these; of two interfaces with one `(port, vlan)` the first counts.
    pub fn new(mut interfaces: Vec<Interface>, mut locals: Vec<Local>) -> Self {
        interfaces.sort_by_key(|interface| (interface.port, interface.vlan));
        interfaces.dedup_by_key(|interface| (interface.port, interface.vlan));
        locals.sort_unstable();
        locals.dedup();
        Snapshot { interfaces, locals }
    }

    /// The interface on `vlan` (0: untagged) of `port`.
    pub fn interface(&self, port: u16, vlan: u16) -> Option<&Interface> {
        let key = |interface: &Interface| (interface.port, interface.vlan);
        let at = self.interfaces.binary_search_by_key(&(port, vlan), key).ok()?;
        self.interfaces.get(at)
    }

    /// All interfaces, by port and VLAN.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Whether `address` is ours in `instance`.
    pub fn is_local(&self, instance: u16, address: IpAddr) -> bool {
        let key = |local: &Local| (local.instance, local.address);
        self.locals.binary_search_by_key(&(instance, address), key).is_ok()
    }

    /// Our address of the family of `peer` to speak to it from: one of the interface `(port, vlan)` if
    /// that has one, else any of the instance.
    pub fn source(&self, instance: u16, interface: (u16, u16), peer: IpAddr) -> Option<IpAddr> {
        let start = self.locals.partition_point(|local| local.instance < instance);
        let ours = self.locals.get(start..)?.iter().take_while(|local| local.instance == instance);
        let usable =
            |local: &&Local| local.address.is_ipv4() == peer.is_ipv4() && !is_link_scope(local.address);
        let mut fallback = None;
        for local in ours.filter(usable) {
            if local.interface == Some(interface) {
                return Some(local.address);
            }
            fallback = fallback.or(Some(local.address));
        }
        fallback
    }
}

/// Addresses that mean something on one link only, or nothing at all: never forwarded.
pub fn is_link_scope(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_link_scope_v4(v4),
        IpAddr::V6(v6) => is_link_scope_v6(v6),
    }
}

fn is_link_scope_v4(v4: Ipv4Addr) -> bool {
    v4.is_multicast() || v4.is_broadcast() || v4.is_link_local() || v4.is_loopback() || v4.octets()[0] == 0
}

fn is_link_scope_v6(v6: Ipv6Addr) -> bool {
    v6.is_multicast() || v6.is_unicast_link_local() || v6.is_loopback() || v6.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(port: u16, vlan: u16, instance: u16) -> Interface {
        Interface { port, vlan, instance, mac: Mac([2, 0, 0, 0, 0, port as u8]), mtu: 1500 }
    }

    fn local(instance: u16, address: &str, interface: Option<(u16, u16)>) -> Local {
        Local { instance, address: address.parse().unwrap(), interface }
    }

    #[test]
    fn interfaces_and_addresses_are_found_by_their_whole_key() {
        let snapshot = Snapshot::new(
            vec![interface(1, 0, 0), interface(0, 7, 2), interface(0, 0, 1)],
            vec![local(1, "10.0.0.1", Some((0, 0))), local(2, "10.0.0.2", Some((0, 7)))],
        );
        assert_eq!(snapshot.interface(0, 7).unwrap().instance, 2);
        assert!(snapshot.interface(0, 8).is_none());
        assert!(snapshot.is_local(1, "10.0.0.1".parse().unwrap()));
        assert!(!snapshot.is_local(2, "10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn errors_come_from_the_interface_they_are_about_if_it_has_an_address() {
        let snapshot = Snapshot::new(
            vec![],
            vec![
                local(1, "10.0.0.1", Some((0, 0))),
                local(1, "10.9.0.1", Some((3, 0))),
                local(1, "fe80::1", Some((3, 0))),
            ],
        );
        let peer = "10.9.0.7".parse().unwrap();
        assert_eq!(snapshot.source(1, (3, 0), peer), Some("10.9.0.1".parse().unwrap()));
        assert_eq!(snapshot.source(1, (4, 0), peer), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(snapshot.source(2, (3, 0), peer), None);
        assert_eq!(snapshot.source(1, (3, 0), "2001:db8::1".parse().unwrap()), None);
    }
}
