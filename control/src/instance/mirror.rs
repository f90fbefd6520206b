//! What the reader of our events has been told of the kernel's state, and how a notification or a fresh dump
//! differs from it. Pure: no socket, no clock.
//!
//! Notifications are not the whole truth: IPv4 routes vanish silently with their link, and an appended
//! next hop is told without its siblings. [`Snapshot::judge`] applies what is plain and answers
//! [`Verdict::Unclear`] for the rest; the caller then dumps and tells [`differences`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::event::{Change, DeviceName, Link, Route, RouteAction};

/// One notification, translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// Now so. `replaces`: the kernel says it took the place of what had its key.
    Now { change: Change, replaces: bool },
    /// What this positive change described is no more.
    Gone(Change),
}

/// What to do about a notice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing new.
    Known,
    /// Tell this.
    Tell(Change),
    /// Compare with a dump.
    Unclear,
}

/// State by key; the values are what was told.
#[derive(Debug, Default, Clone)]
pub(super) struct Snapshot {
    links: BTreeMap<DeviceName, Link>,
    addresses: BTreeSet<(DeviceName, IpNet)>,
    neighbours: BTreeMap<(DeviceName, IpAddr), [u8; 6]>,
    routes: BTreeMap<(IpNet, u32), Route>,
    /// Neighbours that an administrator has fixed; not told.
    fixed: BTreeSet<(DeviceName, IpAddr)>,
}

impl Snapshot {
    /// Notes whether an administrator has fixed a neighbour.
    pub(super) fn note_fixed(&mut self, (neighbour, is_fixed): ((DeviceName, IpAddr), bool)) {
        if is_fixed {
            self.fixed.insert(neighbour);
        } else {
            self.fixed.remove(&neighbour);
        }
    }

    /// Takes over what a dump says of fixed neighbours.
    pub(super) fn take_fixed(&mut self, fresh: &Self) {
        self.fixed.clone_from(&fresh.fixed);
    }

    /// Whether an administrator has fixed a neighbour.
    pub(super) fn is_fixed(&self, interface: &str, address: IpAddr) -> bool {
        self.fixed.contains(&(DeviceName::from(interface), address))
    }

    /// The MAC told for a neighbour.
    pub(super) fn neighbour(&self, interface: &str, address: IpAddr) -> Option<[u8; 6]> {
        self.neighbours.get(&(DeviceName::from(interface), address)).copied()
    }

    /// Every neighbour told.
    pub(super) fn neighbours(&self) -> impl Iterator<Item = (&str, IpAddr)> {
        self.neighbours.keys().map(|(interface, address)| (&**interface, *address))
    }

    /// The addresses told of a device.
    pub(super) fn addresses_of(&self, interface: &str) -> impl Iterator<Item = IpNet> {
        self.addresses.iter().filter(move |(name, _)| &**name == interface).map(|(_, network)| *network)
    }

    /// Whether there is a device of this name.
    pub(super) fn has_link(&self, interface: &str) -> bool {
        self.links.contains_key(interface)
    }

    /// Whether a device is up and has carrier.
    pub(super) fn is_running(&self, interface: &str) -> bool {
        self.links.get(interface).is_some_and(|link| link.up && link.carrier)
    }

    /// Adds one entry of a dump. The first of a key wins: the kernel uses the first of equal routes.
    pub(super) fn add(&mut self, change: Change) {
        match change {
            Change::Route(route) => {
                self.routes.entry((route.destination, route.metric)).or_insert(route);
            }
            other => self.apply(&other),
        }
    }

    /// Notes that a change has been told.
    pub(super) fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::Link(link) => {
                self.links.insert(link.interface.clone(), link);
            }
            Change::LinkGone { interface } => {
                self.links.remove(&interface);
            }
            Change::Address { interface, network } => {
                self.addresses.insert((interface, network));
            }
            Change::AddressGone { interface, network } => {
                self.addresses.remove(&(interface, network));
            }
            Change::Neighbour { interface, address, mac } => {
                self.neighbours.insert((interface, address), mac);
            }
            Change::NeighbourGone { interface, address } => {
                self.neighbours.remove(&(interface, address));
            }
            Change::Route(route) => {
                self.routes.insert((route.destination, route.metric), route);
            }
            Change::RouteGone { destination, metric } => {
                self.routes.remove(&(destination, metric));
            }
        }
    }

    /// Judges a notice against what was told.
    pub(super) fn judge(&self, notice: Notice) -> Verdict {
        match notice {
            Notice::Now { change: Change::Route(route), replaces } => self.judge_route(route, replaces),
            Notice::Now { change, .. } if self.holds(&change) => Verdict::Known,
            Notice::Now { change, .. } => Verdict::Tell(change),
            Notice::Gone(Change::Route(route)) => self.judge_route_gone(&route),
            Notice::Gone(change) => self.negative(&change).map_or(Verdict::Known, Verdict::Tell),
        }
    }

    fn judge_route(&self, route: Route, replaces: bool) -> Verdict {
        match self.routes.get(&(route.destination, route.metric)) {
            Some(told) if *told == route => Verdict::Known,
            Some(_) if !replaces => Verdict::Unclear,
            _ => Verdict::Tell(Change::Route(route)),
        }
    }

    /// A removal that names other next hops than were told may be of one sibling only.
    fn judge_route_gone(&self, route: &Route) -> Verdict {
        match self.routes.get(&(route.destination, route.metric)) {
            None => Verdict::Known,
            Some(told) if told == route => {
                Verdict::Tell(Change::RouteGone { destination: route.destination, metric: route.metric })
            }
            Some(_) => Verdict::Unclear,
        }
    }

    fn holds(&self, change: &Change) -> bool {
        match change {
            Change::Link(link) => self.links.get(&link.interface) == Some(link),
            Change::Address { interface, network } => self.addresses.contains(&(interface.clone(), *network)),
            Change::Neighbour { interface, address, mac } => {
                self.neighbours.get(&(interface.clone(), *address)) == Some(mac)
            }
            Change::Route(route) => self.routes.get(&(route.destination, route.metric)) == Some(route),
            Change::LinkGone { .. }
            | Change::AddressGone { .. }
            | Change::NeighbourGone { .. }
            | Change::RouteGone { .. } => false,
        }
    }

    /// The removal of what a positive change described, if its key was told.
    fn negative(&self, change: &Change) -> Option<Change> {
        match change {
            Change::Link(link) => self
                .links
                .contains_key(&link.interface)
                .then(|| Change::LinkGone { interface: link.interface.clone() }),
            Change::Address { interface, network } => self
                .addresses
                .contains(&(interface.clone(), *network))
                .then(|| Change::AddressGone { interface: interface.clone(), network: *network }),
            Change::Neighbour { interface, address, .. } => self
                .neighbours
                .contains_key(&(interface.clone(), *address))
                .then(|| Change::NeighbourGone { interface: interface.clone(), address: *address }),
            Change::Route(route) => self
                .routes
                .contains_key(&(route.destination, route.metric))
                .then_some(Change::RouteGone { destination: route.destination, metric: route.metric }),
            _ => None,
        }
    }

    /// Every entry as a positive change: devices, addresses, neighbours, routes.
    fn entries(&self) -> impl Iterator<Item = Change> + '_ {
        let links = self.links.values().cloned().map(Change::Link);
        let addresses = self
            .addresses
            .iter()
            .map(|(interface, network)| Change::Address { interface: interface.clone(), network: *network });
        let neighbours = self.neighbours.iter().map(|((interface, address), mac)| Change::Neighbour {
            interface: interface.clone(),
            address: *address,
            mac: *mac,
        });
        let routes = self.routes.values().cloned().map(Change::Route);
        links.chain(addresses).chain(neighbours).chain(routes)
    }
}

/// What turns `told` into `fresh`: removals first (routes before the devices they use), then what is new or
/// other.
pub(super) fn differences(told: &Snapshot, fresh: &Snapshot) -> Vec<Change> {
    let has_key = |change: &Change| fresh.negative(change).is_some();
    let mut gone: Vec<Change> =
        told.entries().filter(|entry| !has_key(entry)).filter_map(|entry| told.negative(&entry)).collect();
    gone.reverse();
    gone.extend(fresh.entries().filter(|entry| !told.holds(entry)));
    gone
}

/// Whether a told change may have taken routes with it that the kernel does not mention: an address or a
/// link that goes takes IPv4 routes along silently.
pub(super) fn hides_route_removals(change: &Change) -> bool {
    match change {
        Change::Link(link) => !link.up || !link.carrier,
        Change::LinkGone { .. } | Change::AddressGone { .. } => true,
        _ => false,
    }
}

/// Whether a route's next hops all have names; a route without any is not worth telling.
pub(super) fn is_complete(route: &Route) -> bool {
    !matches!(&route.action, RouteAction::Forward(hops) if hops.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::event::NextHop;
    use proptest::prelude::*;

    fn route(destination: &str, metric: u32, gateways: &[&str]) -> Route {
        let hop =
            |g: &&str| NextHop { interface: "wan0".into(), gateway: Some(g.parse().unwrap()), weight: 1 };
        Route {
            destination: destination.parse().unwrap(),
            metric,
            protocol: 4,
            action: RouteAction::Forward(gateways.iter().map(hop).collect()),
        }
    }

    fn now(route: &Route, replaces: bool) -> Notice {
        Notice::Now { change: Change::Route(route.clone()), replaces }
    }

    /// `ip route append` and the removal of one of several next hops name only one: guessing would blackhole.
    #[test]
    fn partial_route_notifications_ask_for_a_dump() {
        let (one, two) =
            (route("10.0.0.0/8", 0, &["192.0.2.1"]), route("10.0.0.0/8", 0, &["192.0.2.1", "192.0.2.2"]));
        let mut told = Snapshot::default();
        assert_eq!(told.judge(now(&one, false)), Verdict::Tell(Change::Route(one.clone())));
        told.apply(&Change::Route(one.clone()));
        assert_eq!(told.judge(now(&one, false)), Verdict::Known);
        assert_eq!(told.judge(now(&two, false)), Verdict::Unclear);
        assert_eq!(told.judge(now(&two, true)), Verdict::Tell(Change::Route(two.clone())));
        assert_eq!(told.judge(Notice::Gone(Change::Route(two))), Verdict::Unclear);
        assert!(matches!(
            told.judge(Notice::Gone(Change::Route(one))),
            Verdict::Tell(Change::RouteGone { .. })
        ));
    }

    #[test]
    fn an_unknown_removal_is_not_told() {
        let neighbour = Change::Neighbour {
            interface: "wan0".into(),
            address: "192.0.2.1".parse().unwrap(),
            mac: [2, 0, 0, 0, 0, 1],
        };
        let mut told = Snapshot::default();
        assert_eq!(told.judge(Notice::Gone(neighbour.clone())), Verdict::Known);
        told.apply(&neighbour);
        assert!(matches!(told.judge(Notice::Gone(neighbour)), Verdict::Tell(Change::NeighbourGone { .. })));
    }

    fn any_change() -> impl Strategy<Value = Change> {
        let name = prop_oneof![Just("a"), Just("b")];
        let (n1, n2, n3) = (name.clone(), name.clone(), name);
        let octet = 0u8..4;
        prop_oneof![
            (n1, any::<bool>(), any::<bool>()).prop_map(|(n, up, carrier)| Change::Link(Link {
                interface: n.into(),
                index: 1,
                mac: None,
                mtu: 1500,
                up,
                carrier
            })),
            (n2, octet.clone()).prop_map(|(n, o)| Change::Address {
                interface: n.into(),
                network: IpNet::new([10, 0, 0, o].into(), 24).unwrap()
            }),
            (n3, octet.clone(), any::<u8>()).prop_map(|(n, o, m)| Change::Neighbour {
                interface: n.into(),
                address: [10, 0, 0, o].into(),
                mac: [2, 0, 0, 0, 0, m]
            }),
            (octet.clone(), 0u32..2, octet).prop_map(|(d, metric, g)| Change::Route(route(
                &format!("10.{d}.0.0/16"),
                metric,
                &[&format!("192.0.2.{g}")]
            ))),
        ]
    }

    proptest! {
        /// Whatever was told before, telling the differences leaves the reader with exactly the fresh state,
        /// and an unchanged entry is never mentioned.
        #[test]
        fn differences_lead_from_any_state_to_any_other(
            before in prop::collection::vec(any_change(), 0..24),
            after in prop::collection::vec(any_change(), 0..24),
        ) {
            let (mut told, mut fresh) = (Snapshot::default(), Snapshot::default());
            before.into_iter().for_each(|change| told.add(change));
            after.into_iter().for_each(|change| fresh.add(change));
            for change in differences(&told, &fresh) {
                prop_assert!(!told.holds(&change), "unchanged entry told: {change:?}");
                told.apply(&change);
            }
            prop_assert!(told.entries().eq(fresh.entries()));
            prop_assert!(differences(&told, &fresh).is_empty());
        }
    }
}
