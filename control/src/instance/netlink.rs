//! The two netlink sockets of an instance, dumps, and the translation of the kernel's messages into
//! [`Notice`]s. Requests and notifications use different sockets, so that a storm of notifications cannot
//! drop the answer to a request. Deciding what a notice means is left to `mirror`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ipnet::IpNet;
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::AsyncSocket;
use rtnetlink::{Handle, MulticastGroup};

use super::error::InstanceError;
use super::event::{Change, DeviceName, Link, NextHop, Route, RouteAction};
use super::mirror::{Notice, Snapshot, is_complete};
use super::spec::ROUTE_PROTOCOL;

/// How often a dump that the kernel's changes interrupted is begun again before it is taken as it is; the
/// notifications of those changes are waiting and will correct it.
const DUMP_ATTEMPTS: usize = 4;

/// Names of devices by the kernel's number.
pub(super) type Names = BTreeMap<u32, DeviceName>;

/// A message of the watching socket.
pub(super) enum Heard {
    /// The kernel changed something.
    Message(NetlinkMessage<RouteNetlinkMessage>),
    /// The kernel dropped notifications.
    Overflow,
}

/// Opens the requesting socket. Must run on the instance's runtime.
pub(super) fn open_requests() -> Result<Handle, InstanceError> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|e| InstanceError::io("open a netlink socket", e))?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Opens the watching socket, with a receive buffer of `receive_buffer` bytes.
pub(super) fn open_watch(receive_buffer: usize) -> Result<BoxStream<'static, Heard>, InstanceError> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Neigh,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ];
    let (mut connection, _, messages) = rtnetlink::new_multicast_connection(&groups)
        .map_err(|e| InstanceError::io("watch the kernel over netlink", e))?;
    setsockopt(connection.socket_mut().socket_mut(), sockopt::RcvBufForce, &receive_buffer)
        .map_err(|e| InstanceError::io("set the netlink receive buffer", e.into()))?;
    tokio::spawn(connection);
    Ok(messages
        .map(|(message, _)| match message.payload {
            NetlinkPayload::Overrun(_) => Heard::Overflow,
            _ => Heard::Message(message),
        })
        .boxed())
}

/// Everything the kernel holds of one kind. `request` is a `Get…` message without attributes.
async fn dump(
    handle: &Handle,
    what: &str,
    request: RouteNetlinkMessage,
) -> Result<Vec<RouteNetlinkMessage>, InstanceError> {
    let mut answers = Vec::new();
    for _ in 0..DUMP_ATTEMPTS {
        let (found, interrupted) = dump_once(handle, what, request.clone()).await?;
        answers = found;
        if !interrupted {
            break;
        }
    }
    Ok(answers)
}

async fn dump_once(
    handle: &Handle,
    what: &str,
    request: RouteNetlinkMessage,
) -> Result<(Vec<RouteNetlinkMessage>, bool), InstanceError> {
    let failed = |error| InstanceError::netlink(format!("list {what}"), &error);
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut handle = handle.clone();
    let mut stream = std::pin::pin!(handle.request(message).map_err(failed)?);
    let (mut answers, mut interrupted) = (Vec::new(), false);
    while let Some(answer) = stream.next().await {
        interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
        match answer.payload {
            NetlinkPayload::InnerMessage(inner) => answers.push(inner),
            NetlinkPayload::Error(error) => return Err(failed(rtnetlink::Error::NetlinkError(error))),
            _ => {}
        }
    }
    Ok((answers, interrupted))
}

fn get_links() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkMessage::default())
}

fn get_addresses() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

fn get_neighbours() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default())
}

fn get_routes(family: AddressFamily) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    RouteNetlinkMessage::GetRoute(message)
}

/// The kernel's state now, and the names of its devices.
pub(super) async fn snapshot(
    handle: &Handle,
    is_twin: impl Fn(&str) -> bool,
) -> Result<(Snapshot, Names), InstanceError> {
    let links = dump(handle, "devices", get_links()).await?;
    let mut names = Names::new();
    links.iter().for_each(|message| learn_name(message, &mut names));
    let mut found = links;
    found.extend(dump(handle, "addresses", get_addresses()).await?);
    found.extend(dump(handle, "neighbours", get_neighbours()).await?);
    found.extend(dump(handle, "IPv4 routes", get_routes(AddressFamily::Inet)).await?);
    found.extend(dump(handle, "IPv6 routes", get_routes(AddressFamily::Inet6)).await?);
    let mut snapshot = Snapshot::default();
    for notice in found.iter().filter_map(|message| translate(message, false, &names, &is_twin)) {
        if let Notice::Now { change, .. } = notice {
            snapshot.add(change);
        }
    }
    Ok((snapshot, names))
}

/// Addresses of one device, usable or not.
pub(super) async fn addresses_of(handle: &Handle, index: u32) -> Result<Vec<IpNet>, InstanceError> {
    let found = dump(handle, "addresses", get_addresses()).await?;
    let own = |message: &RouteNetlinkMessage| match message {
        RouteNetlinkMessage::NewAddress(address) if address.header.index == index => network_of(address),
        _ => None,
    };
    Ok(found.iter().filter_map(own).collect())
}

/// The kernel's number of a device.
pub(super) async fn index_of(handle: &Handle, device: &str) -> Result<Option<u32>, InstanceError> {
    let links = dump(handle, "devices", get_links()).await?;
    let mut names = Names::new();
    links.iter().for_each(|message| learn_name(message, &mut names));
    Ok(names.into_iter().find(|(_, name)| &**name == device).map(|(index, _)| index))
}

/// Whether the kernel took the managed flag of a neighbour; kernels before 5.16 ignore it silently.
pub(super) async fn is_managed(handle: &Handle, index: u32, address: IpAddr) -> Result<bool, InstanceError> {
    let found = dump(handle, "neighbours", get_neighbours()).await?;
    Ok(found.iter().any(|message| match message {
        RouteNetlinkMessage::NewNeighbour(entry) => {
            entry.header.ifindex == index
                && neighbour_address(entry) == Some(address)
                && entry.attributes.iter().any(|attribute| {
                    matches!(attribute, NeighbourAttribute::ExtFlags(flags)
                        if flags.contains(rtnetlink::packet_route::neighbour::NeighbourExtFlags::Managed))
                })
        }
        _ => false,
    }))
}

fn learn_name(message: &RouteNetlinkMessage, names: &mut Names) {
    if let RouteNetlinkMessage::NewLink(link) = message
        && let Some(name) = link_name(link)
    {
        names.insert(link.header.index, name.into());
    }
}

/// Keeps the table of names from a notification.
pub(super) fn learn(message: &NetlinkMessage<RouteNetlinkMessage>, names: &mut Names) {
    if let NetlinkPayload::InnerMessage(inner) = &message.payload {
        learn_name(inner, names);
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

fn translate(
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
fn network_of(address: &AddressMessage) -> Option<IpNet> {
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
