//! The last hop: time to live, exit interface, neighbour, Ethernet header (RFC 1812 §5.3.1, RFC 8200 §3,
//! IEEE 802.1Q; DP-49).
//!
//! A packet that comes here has been allowed to leave as it is; who decided that is [`super::policy`] for
//! clear traffic and [`super::seal`] for ESP. Left to the caller: cutting, ICMP errors, the port's queue.

use std::net::IpAddr;

use crate::io::Frame;
use crate::link::snapshot::{Interface, Snapshot};
use crate::net::eth::{self, Mac, ethertype};
use crate::net::flow::Summary;
use crate::net::{ipv4, ipv6, vlan};
use crate::node::Packet;
use crate::node::exit;
use crate::policy::route::{self, NextHop};
use crate::policy::view::View;
use crate::verdict::Drop;

/// Octets of the two MAC addresses at the start of a frame.
const ADDRESSES: usize = 12;

/// A packet that may leave, and how.
#[derive(Debug)]
pub struct Outgoing<F> {
    /// The packet, to be routed in the instance of its meta.
    pub packet: Packet<F>,
    /// Where it goes, if that is known already.
    pub hop: Option<NextHop>,
    /// Largest packet to send, if less than the interface's MTU; in octets.
    pub limit: u16,
    /// Whether this machine may cut it although it is IPv6: it is our own.
    pub ours: bool,
}

/// Where a packet leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The interface.
    pub interface: Interface,
    /// The address to ask the neighbour table for: gateway or destination.
    pub neighbour: IpAddr,
}

/// Frames an IP packet for an exit that was looked up before, and takes the `hop` of one that still has one to give;
/// `false` when there is no room.
#[inline(always)]
pub fn frame_by<F: Frame>(frame: &mut F, summary: &Summary, exit: &exit::Exit, hop: bool) -> bool {
    let v4 = summary.is_v4();
    let kind = if v4 { ethertype::IPV4 } else { ethertype::IPV6 };
    let out = frame.surround(eth::Repr::LEN, eth::Repr::LEN + summary.length(), 0);
    let Some((link, packet)) = out.and_then(<[u8]>::split_first_chunk_mut::<{ eth::Repr::LEN }>) else {
        return false;
    };
    if hop && !take_hop_of(packet, v4) {
        return false;
    }
    let (addresses, rest) = link.split_at_mut(exit.addresses.len());
    addresses.copy_from_slice(&exit.addresses);
    rest.copy_from_slice(&kind.to_be_bytes());
    let meta = frame.meta_mut();
    (meta.port, meta.vlan) = (exit.port, exit.vlan);
    exit.vlan == 0 || tag(frame, exit.vlan)
}

/// Takes one hop from the time to live; `false` when there is none left, the packet is then unchanged.
#[inline(always)]
pub fn take_hop<F: Frame>(packet: &mut Packet<F>) -> bool {
    let taken = take_hop_of(packet.frame.data_mut(), packet.summary.is_v4());
    if taken {
        packet.summary.take_hop();
    }
    taken
}

/// [`take_hop`] of the octets of a packet alone.
#[inline(always)]
pub fn take_hop_of(packet: &mut [u8], v4: bool) -> bool {
    let left = if v4 { ipv4::decrement_ttl(packet) } else { ipv6::decrement_hop_limit(packet) };
    left.is_some()
}

/// Finds the exit of a packet in `instance`.
pub fn exit(
    tables: &View,
    snapshot: &Snapshot,
    instance: u16,
    destination: IpAddr,
    hop: Option<NextHop>,
) -> Result<Exit, Drop> {
    let hop = hop.or_else(|| tables.route(instance, destination)).ok_or(Drop::NoRoute)?;
    let (at, neighbour) = match hop {
        NextHop::Connected(interface) => (interface, destination),
        NextHop::Via(interface, gateway) => (interface, gateway),
        // An outer packet routed into a tunnel would need a second turn through policy, which nothing
        // offers; sending it as it is would be a leak. One routed into an ip-tunnel would come back here for ever.
        NextHop::Tunnel(_) | NextHop::IpTunnel(_) => return Err(Drop::ClearRefused),
        NextHop::Local => return Err(Drop::NotForwardable),
        NextHop::Blackhole => return Err(Drop::NoRoute),
    };
    let interface = snapshot.interface(at.port, at.vlan).ok_or(Drop::UnknownInterface)?;
    if interface.instance != instance {
        return Err(Drop::ClearRefused);
    }
    Ok(Exit { interface: *interface, neighbour })
}

/// The MAC address of the next hop.
pub fn neighbour(tables: &View, exit: &Exit) -> Option<Mac> {
    let at = route::Interface { port: exit.interface.port, vlan: exit.interface.vlan };
    tables.neighbour(exit.interface.instance, at, exit.neighbour)
}

/// Writes the Ethernet header, and the tag if the interface has one, and notes the port to send by.
pub fn frame<F: Frame>(packet: Packet<F>, interface: &Interface, destination: Mac) -> Result<F, (F, Drop)> {
    let kind = if packet.summary.is_v4() { ethertype::IPV4 } else { ethertype::IPV6 };
    let link = eth::Repr { destination, source: interface.mac, ethertype: kind };
    let mut frame = packet.frame;
    let written = frame.prepend(eth::Repr::LEN).is_some_and(|octets| link.emit(octets).is_ok());
    match written && tag(&mut frame, interface.vlan) {
        true => {
            let meta = frame.meta_mut();
            (meta.port, meta.vlan) = (interface.port, interface.vlan);
            Ok(frame)
        }
        false => Err((frame, Drop::NoRoom)),
    }
}

/// Puts an 802.1Q tag into an Ethernet frame; nothing for VLAN 0. `false` when there is no room.
pub fn tag<F: Frame>(frame: &mut F, id: u16) -> bool {
    if id == 0 {
        return true;
    }
    let Some(kind) = eth::Repr::parse(frame.data()).ok().map(|link| link.ethertype) else { return false };
    if frame.prepend(vlan::Repr::LEN).is_none() {
        return false;
    }
    frame.data_mut().copy_within(vlan::Repr::LEN..vlan::Repr::LEN + ADDRESSES, 0);
    let tag = vlan::Repr { priority: 0, drop_eligible: false, id, ethertype: kind };
    let Some(place) = frame.data_mut().get_mut(ADDRESSES..) else { return false };
    let Some((kind, rest)) = place.split_first_chunk_mut::<2>() else { return false };
    *kind = ethertype::VLAN.to_be_bytes();
    tag.emit(rest).is_ok()
}
