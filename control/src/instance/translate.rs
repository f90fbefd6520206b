//! The kernel's routing messages as [`Notice`]s: what they say of devices, addresses, neighbours and routes,
//! and which of them concern us. Pure. Attributes we do not know are skipped; a message that lacks what its
//! kind must have says nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_core::{NLM_F_REPLACE, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::event::{Change, DeviceName, Link, NextHop, Route, RouteAction};
use super::mirror::{Notice, is_complete};
use super::spec::ROUTE_PROTOCOL;

/// Names of devices by the kernel's number.
pub(super) type Names = BTreeMap<u32, DeviceName>;

/// Keeps the table of names. Returns the former name of a device that was renamed.
pub(super) fn learn_name(message: &RouteNetlinkMessage, names: &mut Names) -> Option<DeviceName> {
    let RouteNetlinkMessage::NewLink(link) = message else { return None };
    let name = link_name(link)?;
    names.insert(link.header.index, name.into()).filter(|former| &**former != name)
}

/// The same for a notification.
pub(super) fn learn(message: &NetlinkMessage<RouteNetlinkMessage>, names: &mut Names) -> Option<DeviceName> {
    match &message.payload {
        NetlinkPayload::InnerMessage(inner) => learn_name(inner, names),
        _ => None,
    }
}

/// What a notification says, if it concerns us.
pub(super) fn notice(
    message: &NetlinkMessage<RouteNetlinkMessage>,
    names: &Names,
    is_twin: impl Fn(&str) -> bool,
) -> Option<Notice> {
    let replaces = message.header.flags & NLM_F_REPLACE != 0;
    match &message.payload {
        NetlinkPayload::InnerMessage(inner) => translate(inner, replaces, names, is_twin),
        _ => None,
    }
}

/// The neighbour of one of our twins that a message speaks of, and whether an administrator has fixed its
/// address (`nud permanent`): such an entry needs no keeping, and asking for it would undo it.
pub(super) fn fixed(
    message: &RouteNetlinkMessage,
    names: &Names,
    is_twin: impl Fn(&str) -> bool,
) -> Option<((DeviceName, IpAddr), bool)> {
    let (entry, present) = match message {
        RouteNetlinkMessage::NewNeighbour(entry) => (entry, true),
        RouteNetlinkMessage::DelNeighbour(entry) => (entry, false),
        _ => return None,
    };
    let Change::Neighbour { interface, address, .. } = neighbour_change(entry, names, is_twin)? else {
        return None;
    };
    let is_fixed = matches!(entry.header.state, NeighbourState::Permanent | NeighbourState::Noarp);
    Some(((interface, address), present && is_fixed))
}

/// Whether this entry of a dump is the given neighbour, managed.
pub(super) fn is_managed_entry(message: &RouteNetlinkMessage, index: u32, address: IpAddr) -> bool {
    let RouteNetlinkMessage::NewNeighbour(entry) = message else { return false };
    let managed = |attribute: &NeighbourAttribute| matches!(attribute, NeighbourAttribute::ExtFlags(flags) if flags.contains(NeighbourExtFlags::Managed));
    entry.header.ifindex == index
        && neighbour_address(entry) == Some(address)
        && entry.attributes.iter().any(managed)
}

/// Reads one message of a notification or a dump.
pub(super) fn translate(
    message: &RouteNetlinkMessage,
    replaces: bool,
    names: &Names,
    is_twin: impl Fn(&str) -> bool,
) -> Option<Notice> {
    let now = |change| Notice::Now { change, replaces };
    match message {
        // A bridge repeats its ports' RTM_DELLINK in its own family while the device lives on.
        RouteNetlinkMessage::NewLink(link) => link_change(link).map(now),
        RouteNetlinkMessage::DelLink(link) if link.header.interface_family == AddressFamily::Unspec => {
            link_change(link).map(Notice::Gone)
        }
        RouteNetlinkMessage::NewAddress(address) => {
            let change = address_change(address, names)?;
            Some(if is_usable(address) { now(change) } else { Notice::Gone(change) })
        }
        RouteNetlinkMessage::DelAddress(address) => address_change(address, names).map(Notice::Gone),
        RouteNetlinkMessage::NewNeighbour(entry) => {
            let change = neighbour_change(entry, names, is_twin)?;
            Some(if is_resolved(entry) { now(change) } else { Notice::Gone(change) })
        }
        RouteNetlinkMessage::DelNeighbour(entry) => neighbour_change(entry, names, is_twin).map(Notice::Gone),
        RouteNetlinkMessage::NewRoute(route) => route_of(route, names).map(|route| now(Change::Route(route))),
        RouteNetlinkMessage::DelRoute(route) => {
            route_of(route, names).map(|route| Notice::Gone(Change::Route(route)))
        }
        _ => None,
    }
}

fn link_name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn link_change(link: &LinkMessage) -> Option<Change> {
    let mut state = Link {
        interface: link_name(link)?.into(),
        index: link.header.index,
        mac: None,
        mtu: 0,
        up: link.header.flags.contains(LinkFlags::Up),
        carrier: link.header.flags.contains(LinkFlags::LowerUp),
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => state.mac = bytes.as_slice().try_into().ok(),
            LinkAttribute::Mtu(mtu) => state.mtu = *mtu,
            _ => {}
        }
    }
    Some(Change::Link(state))
}

/// IFA_LOCAL is our address; IFA_ADDRESS is the peer's on a point-to-point device.
pub(super) fn network_of(address: &AddressMessage) -> Option<IpNet> {
    let find = |local: bool| {
        address.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(ip) if local => Some(*ip),
            AddressAttribute::Address(ip) if !local => Some(*ip),
            _ => None,
        })
    };
    IpNet::new(find(true).or_else(|| find(false))?, address.header.prefix_len).ok()
}

fn address_change(address: &AddressMessage, names: &Names) -> Option<Change> {
    let network = network_of(address)?;
    let interface = names.get(&address.header.index)?.clone();
    (!network.addr().is_loopback()).then_some(Change::Address { interface, network })
}

/// RFC 4862 §5.4: a tentative address is not yet ours, a duplicate never.
fn is_usable(address: &AddressMessage) -> bool {
    let header = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    let long = AddressFlags::Tentative | AddressFlags::Dadfailed;
    !address.header.flags.intersects(header)
        && !address
            .attributes
            .iter()
            .any(|attribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.intersects(long)))
}

fn neighbour_address(entry: &NeighbourMessage) -> Option<IpAddr> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })
}

fn neighbour_mac(entry: &NeighbourMessage) -> Option<[u8; 6]> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    })
}

/// A neighbour of one of our twins. The MAC of an entry without one is zero: such an entry is only ever Gone.
fn neighbour_change(
    entry: &NeighbourMessage,
    names: &Names,
    is_twin: impl Fn(&str) -> bool,
) -> Option<Change> {
    let interface = names.get(&entry.header.ifindex)?;
    let address = neighbour_address(entry)?;
    (is_twin(interface) && !address.is_multicast()).then(|| Change::Neighbour {
        interface: interface.clone(),
        address,
        mac: neighbour_mac(entry).unwrap_or_default(),
    })
}

/// NUD_VALID with an address (RFC 4861 §7.3.2: stale entries may be used).
fn is_resolved(entry: &NeighbourMessage) -> bool {
    neighbour_mac(entry).is_some()
        && matches!(
            entry.header.state,
            NeighbourState::Reachable
                | NeighbourState::Stale
                | NeighbourState::Delay
                | NeighbourState::Probe
                | NeighbourState::Permanent
                | NeighbourState::Noarp
        )
}

/// A route of the main table that workers can follow and that is not ours.
fn route_of(message: &RouteMessage, names: &Names) -> Option<Route> {
    let header = &message.header;
    let ours = u8::from(header.protocol) == ROUTE_PROTOCOL;
    let special = header.tos != 0 || header.source_prefix_length != 0;
    // RTM_F_CLONED (0x200): an exception learned for one destination, not a route.
    let cached = header.flags.bits() & 0x200 != 0;
    if ours || special || cached || table_of(message) != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return None;
    }
    let destination = destination_of(message)?;
    let link_local = matches!(destination, IpNet::V6(net) if net.addr().is_unicast_link_local());
    let action = action_of(message, names)?;
    let route = Route { destination, metric: metric_of(message), protocol: header.protocol.into(), action };
    (!link_local && is_complete(&route)).then_some(route)
}

fn table_of(message: &RouteMessage) -> u32 {
    let long = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    long.unwrap_or(u32::from(message.header.table))
}

fn metric_of(message: &RouteMessage) -> u32 {
    let priority = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    priority.unwrap_or(0)
}

fn destination_of(message: &RouteMessage) -> Option<IpNet> {
    let named = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => Some(ip_of(address)),
        _ => None,
    });
    let address = match (named, message.header.address_family) {
        (Some(address), _) => address?,
        (None, AddressFamily::Inet) => IpAddr::from([0u8; 4]),
        (None, AddressFamily::Inet6) => IpAddr::from([0u8; 16]),
        _ => return None,
    };
    IpNet::new(address, message.header.destination_prefix_length).ok()
}

fn ip_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

fn action_of(message: &RouteMessage, names: &Names) -> Option<RouteAction> {
    match message.header.kind {
        RouteType::Unicast => Some(RouteAction::Forward(hops_of(message, names))),
        RouteType::BlackHole => Some(RouteAction::Blackhole),
        RouteType::Unreachable => Some(RouteAction::Unreachable),
        RouteType::Prohibit => Some(RouteAction::Prohibit),
        _ => None,
    }
}

fn hops_of(message: &RouteMessage, names: &Names) -> Vec<NextHop> {
    let multipath = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => Some(hops),
        _ => None,
    });
    match multipath {
        Some(hops) => hops.iter().filter_map(|hop| multipath_hop(hop, names)).collect(),
        None => single_hop(message, names).into_iter().collect(),
    }
}

/// `rtnh_hops` is the weight less one.
fn multipath_hop(hop: &RouteNextHop, names: &Names) -> Option<NextHop> {
    Some(NextHop {
        interface: names.get(&hop.interface_index)?.clone(),
        gateway: gateway_of(&hop.attributes),
        weight: u16::from(hop.hops).saturating_add(1),
    })
}

fn single_hop(message: &RouteMessage, names: &Names) -> Option<NextHop> {
    let index = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })?;
    Some(NextHop {
        interface: names.get(&index)?.clone(),
        gateway: gateway_of(&message.attributes),
        weight: 1,
    })
}

fn gateway_of(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip_of(address),
        RouteAttribute::Via(RouteVia::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Via(RouteVia::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })
}
