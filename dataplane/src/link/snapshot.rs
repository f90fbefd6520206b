//! Rare configuration as one value: interfaces and local addresses.
//!
//! Control builds a new [`Snapshot`] for every change and sends it to each worker; the worker puts it in
//! place between two bursts and sends the old one back, so that it is freed by control and not by the
//! worker. Interfaces are found by binary search: a machine has few, and few packets change them. Addresses,
//! which every packet asks for, are probed for in a table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::askers::Askers;
use super::waits::Waits;
use crate::net::eth::Mac;
use crate::net::flow::{self, Words};

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
    /// The same addresses as a table to probe: they are asked for twice a packet.
    ours: Ours,
    waits: Arc<Waits>,
    askers: Arc<Askers>,
}

impl Snapshot {
    /// A snapshot of these; of two interfaces with one `(port, vlan)` the first counts.
    pub fn new(mut interfaces: Vec<Interface>, mut locals: Vec<Local>) -> Self {
        interfaces.sort_by_key(|interface| (interface.port, interface.vlan));
        interfaces.dedup_by_key(|interface| (interface.port, interface.vlan));
        locals.sort_unstable();
        locals.dedup();
        let ours = Ours::new(&locals);
        Snapshot { interfaces, locals, ours, waits: Arc::default(), askers: Arc::default() }
    }

    /// The same with fragments that wait otherwise than usual.
    #[must_use]
    pub fn with_waits(self, waits: Arc<Waits>) -> Self {
        Snapshot { waits, ..self }
    }

    /// The same with ends that do not answer everybody's pings.
    #[must_use]
    pub fn with_askers(self, askers: Arc<Askers>) -> Self {
        Snapshot { askers, ..self }
    }

    /// Whose pings are answered.
    pub fn askers(&self) -> &Askers {
        &self.askers
    }

    /// How long fragments wait.
    pub fn waits(&self) -> &Waits {
        &self.waits
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
    #[inline]
    pub fn is_local(&self, instance: u16, address: IpAddr) -> bool {
        self.ours.has(instance, address.is_ipv4(), flow::words(address))
    }

    /// The same of an address as words.
    #[inline]
    pub fn is_ours(&self, instance: u16, v4: bool, address: Words) -> bool {
        self.ours.has(instance, v4, address)
    }

    /// Our address of the family of `peer` to speak to it from: one of the interface `(port, vlan)` if
    /// that has one, else any of the instance.
    pub fn source(&self, instance: u16, interface: (u16, u16), peer: IpAddr) -> Option<IpAddr> {
        let on_it = |local: &&Local| local.interface == Some(interface);
        let found = self.usable(instance, peer).find(on_it).or_else(|| self.usable(instance, peer).next());
        found.map(|local| local.address)
    }

    /// Our first address of an instance, of the family of `peer`, that fits.
    pub fn source_that(
        &self,
        instance: u16,
        peer: IpAddr,
        mut fits: impl FnMut(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        self.usable(instance, peer).map(|local| local.address).find(|address| fits(*address))
    }

    fn usable(&self, instance: u16, peer: IpAddr) -> impl Iterator<Item = &Local> {
        let start = self.locals.partition_point(|local| local.instance < instance);
        let of_it = self.locals.get(start..).unwrap_or_default().iter();
        let of_it = of_it.take_while(move |local| local.instance == instance);
        of_it.filter(move |local| local.address.is_ipv4() == peer.is_ipv4() && !is_link_scope(local.address))
    }
}

/// A set of addresses: a power of two of places, at most a quarter of them taken, so that one look settles
/// most questions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ours {
    places: Box<[Option<Our>]>,
}

/// An address of an instance, as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Our {
    instance: u16,
    v4: bool,
    address: Words,
}

impl Ours {
    fn new(locals: &[Local]) -> Ours {
        let mut ours = Ours { places: vec![None; (4 * locals.len()).next_power_of_two()].into() };
        for local in locals {
            let (v4, address) = (local.address.is_ipv4(), flow::words(local.address));
            let our = Our { instance: local.instance, v4, address };
            let start = ours.start(our.instance, our.address);
            let free = (0..ours.places.len()).map(|step| (start + step) & (ours.places.len() - 1));
            let free = free.clone().find(|at| ours.places.get(*at) == Some(&None));
            if let Some(place) = free.and_then(|at| ours.places.get_mut(at)) {
                *place = Some(our);
            }
        }
        ours
    }

    #[inline]
    fn has(&self, instance: u16, v4: bool, address: Words) -> bool {
        let mut at = self.start(instance, address);
        // Ends, because places are free.
        while let Some(Some(held)) = self.places.get(at) {
            if *held == (Our { instance, v4, address }) {
                return true;
            }
            at = (at + 1) & self.places.len().wrapping_sub(1);
        }
        false
    }

    /// Where an address would lie.
    #[inline]
    fn start(&self, instance: u16, [high, low]: Words) -> usize {
        let mixed = (high ^ low ^ u64::from(instance) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & self.places.len().wrapping_sub(1)
    }
}

/// [`is_link_scope`] of an address as words.
#[inline]
pub const fn is_link_scope_words(v4: bool, [high, low]: Words) -> bool {
    match v4 {
        // Multicast, broadcast, 169.254/16, 127/8, 0/8.
        true => low >> 28 == 0xe || low == 0xffff_ffff || low >> 16 == 0xa9fe || matches!(low >> 24, 0 | 127),
        // Multicast, fe80::/10, loopback, unspecified.
        false => high >> 56 == 0xff || high >> 54 == 0x3fa || (high == 0 && low < 2),
    }
}

/// Addresses that mean something on one link only, or nothing at all: never forwarded.
#[inline]
pub fn is_link_scope(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_link_scope_v4(v4),
        IpAddr::V6(v6) => is_link_scope_v6(v6),
    }
}

#[inline]
fn is_link_scope_v4(v4: Ipv4Addr) -> bool {
    v4.is_multicast() || v4.is_broadcast() || v4.is_link_local() || v4.is_loopback() || v4.octets()[0] == 0
}

#[inline]
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
    fn scope_is_the_same_of_words() {
        let mut addresses: Vec<IpAddr> = (0..=255u8).map(|n| [n, 1, 2, 3].into()).collect();
        addresses.extend((0..=255u8).map(|n| IpAddr::from([169, n, 2, 3])));
        addresses.extend([IpAddr::from([255; 4]), [255, 255, 255, 254].into(), [0; 4].into()]);
        addresses.extend((0..=u16::MAX).map(|n| IpAddr::V6((u128::from(n) << 112 | 1).into())));
        addresses.extend((0..5u128).map(|n| IpAddr::V6(n.into())));
        for address in addresses {
            let words = flow::words(address);
            assert_eq!(is_link_scope_words(address.is_ipv4(), words), is_link_scope(address), "{address}");
        }
    }

    #[test]
    fn every_address_is_found_and_no_other() {
        for count in [0u32, 1, 2, 3, 7, 200, 5000] {
            let address = |n: u32| match n % 2 {
                0 => IpAddr::V4(n.into()),
                _ => IpAddr::V6((u128::from(n) << 64).into()),
            };
            let at = |n: u32| Local { instance: (n % 3) as u16, address: address(n), interface: None };
            let snapshot = Snapshot::new(vec![], (0..count).map(at).collect());
            assert!((0..count).all(|n| snapshot.is_local((n % 3) as u16, address(n))));
            assert!((0..count).all(|n| !snapshot.is_local((n % 3) as u16 + 1, address(n))));
            assert!((count..2 * count + 9).all(|n| !snapshot.is_local((n % 3) as u16, address(n))));
        }
        assert!(!Snapshot::default().is_local(0, IpAddr::V4(0.into())));
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
