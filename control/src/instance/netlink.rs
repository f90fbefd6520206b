//! The two netlink sockets of an instance, and dumps. Requests and notifications use different sockets, so that
//! a storm of notifications cannot drop the answer to a request. What a message says is left to `translate`,
//! what it means to `mirror`.

use std::net::IpAddr;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ipnet::IpNet;
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::neighbour::NeighbourMessage;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::AsyncSocket;
use rtnetlink::{Handle, MulticastGroup};

use super::error::InstanceError;
use super::mirror::{Notice, Snapshot};
use super::translate::{Names, fixed, is_managed_entry, learn_name, network_of, translate};

/// How often a dump that the kernel's changes interrupted is begun again before it is taken as it is; the
/// notifications of those changes are waiting and will correct it.
const DUMP_ATTEMPTS: usize = 4;

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
    links.iter().for_each(|message| drop(learn_name(message, &mut names)));
    let mut found = links;
    found.extend(dump(handle, "addresses", get_addresses()).await?);
    found.extend(dump(handle, "neighbours", get_neighbours()).await?);
    found.extend(dump(handle, "IPv4 routes", get_routes(AddressFamily::Inet)).await?);
    found.extend(dump(handle, "IPv6 routes", get_routes(AddressFamily::Inet6)).await?);
    let mut snapshot = Snapshot::default();
    found
        .iter()
        .filter_map(|message| fixed(message, &names, &is_twin))
        .for_each(|neighbour| snapshot.note_fixed(neighbour));
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

/// Whether the kernel took the managed flag of a neighbour; kernels before 5.16 ignore it silently.
pub(super) async fn is_managed(handle: &Handle, index: u32, address: IpAddr) -> Result<bool, InstanceError> {
    let found = dump(handle, "neighbours", get_neighbours()).await?;
    Ok(found.iter().any(|message| is_managed_entry(message, index, address)))
}
