//! From a received frame to an IP packet of an instance (IEEE 802.3, 802.1Q; RFC 1122 §3.2.1.3, RFC 4291).
//!
//! Strips the tag, finds the interface, refuses frames for other stations, reads the IP header and tells
//! apart what the kernel gets as it came (not IP, or not unicast), what is for this machine and what is to
//! be forwarded. Left to the caller: the kernel's copy, classification, policy.

use std::net::IpAddr;

use crate::io::{Frame, Origin};
use crate::link::snapshot::{Interface, Snapshot, is_link_scope};
use crate::net::eth::{self, ethertype};
use crate::net::{ipv4, vlan};
use crate::node::Packet;
use crate::verdict::Drop;

/// Octets of the two MAC addresses at the start of a frame.
const ADDRESSES: usize = 12;

/// Where a frame goes from here.
#[derive(Debug)]
pub enum Arrival<F> {
    /// An IP packet for an address of this machine.
    Local(Packet<F>),
    /// An IP packet for somebody else.
    Transit(Packet<F>),
    /// A whole frame for the twin of its interface, Ethernet header included, tag removed.
    Kernel(F),
    /// Nobody's.
    Refused(F, Drop),
}

/// Reads one frame as the port gave it.
pub fn receive<F: Frame>(mut frame: F, snapshot: &Snapshot) -> Arrival<F> {
    match arrive(&mut frame, snapshot) {
        Ok((interface, link)) => sort(frame, interface, link, snapshot),
        Err(reason) => Arrival::Refused(frame, reason),
    }
}

/// Strips the tag, finds the interface and notes both in the frame's meta.
fn arrive<'a, F: Frame>(frame: &mut F, snapshot: &'a Snapshot) -> Result<(&'a Interface, eth::Repr), Drop> {
    let vlan = untag(frame)?;
    let link = eth::Repr::parse(frame.data()).map_err(|_| Drop::MalformedEthernet)?;
    let port = frame.meta().port;
    let interface = snapshot.interface(port, vlan).ok_or(Drop::UnknownInterface)?;
    if !link.destination.is_multicast() && link.destination != interface.mac {
        return Err(Drop::OtherStation);
    }
    let meta = frame.meta_mut();
    (meta.vlan, meta.instance, meta.origin) = (vlan, interface.instance, Origin::Wire);
    Ok((interface, link))
}

/// Removes an 802.1Q tag and returns its VLAN id; 0 for untagged and priority-tagged frames.
pub fn untag<F: Frame>(frame: &mut F) -> Result<u16, Drop> {
    let header = eth::Header::parse(frame.data()).map_err(|_| Drop::MalformedEthernet)?;
    if !matches!(header.ethertype(), ethertype::VLAN | ethertype::SERVICE_VLAN) {
        return Ok(0);
    }
    let id = vlan::Header::parse(header.payload()).map_err(|_| Drop::MalformedEthernet)?.id();
    frame.data_mut().copy_within(..ADDRESSES, vlan::Repr::LEN);
    frame.trim_front(vlan::Repr::LEN);
    Ok(id)
}

fn sort<F: Frame>(mut frame: F, interface: &Interface, link: eth::Repr, snapshot: &Snapshot) -> Arrival<F> {
    if !matches!(link.ethertype, ethertype::IPV4 | ethertype::IPV6) {
        return Arrival::Kernel(frame);
    }
    let version = frame.data().get(eth::Repr::LEN).map(|octet| octet >> 4);
    if version != Some(if link.ethertype == ethertype::IPV4 { 4 } else { 6 }) {
        return Arrival::Refused(frame, Drop::MalformedIp);
    }
    frame.trim_front(eth::Repr::LEN);
    let packet = match Packet::parse(frame) {
        Ok(packet) => Packet { link: Some(link), ..packet },
        Err(frame) => return Arrival::Refused(frame, Drop::MalformedIp),
    };
    if !header_checksum_ok(&packet) {
        return Arrival::Refused(packet.frame, Drop::IpChecksum);
    }
    judge(packet, interface, link, snapshot)
}

fn judge<F: Frame>(
    packet: Packet<F>,
    interface: &Interface,
    link: eth::Repr,
    snapshot: &Snapshot,
) -> Arrival<F> {
    let flow = packet.summary.flow;
    let group = link.destination.is_multicast();
    if is_impossible(flow.source) || snapshot.is_local(interface.instance, flow.source) {
        return Arrival::Refused(packet.frame, Drop::BadSource);
    }
    if !group && snapshot.is_local(interface.instance, flow.destination) {
        return Arrival::Local(packet);
    }
    if group || is_link_scope(flow.destination) {
        return to_kernel(packet, link);
    }
    // RFC 1812 §4.2.3.1 and RFC 4291 §2.5.2, §2.5.6: such sources are not forwarded.
    match is_link_scope(flow.source) {
        true => Arrival::Refused(packet.frame, Drop::BadSource),
        false => Arrival::Transit(packet),
    }
}

/// Puts the Ethernet header back in front, where it was until a moment ago.
fn to_kernel<F: Frame>(packet: Packet<F>, link: eth::Repr) -> Arrival<F> {
    let mut frame = packet.frame;
    match restore_link(&mut frame, link) {
        true => Arrival::Kernel(frame),
        false => Arrival::Refused(frame, Drop::NoRoom),
    }
}

/// Writes `link` in front of the packet; `false` when there is no room.
pub fn restore_link<F: Frame>(frame: &mut F, link: eth::Repr) -> bool {
    frame.prepend(eth::Repr::LEN).is_some_and(|octets| link.emit(octets).is_ok())
}

/// RFC 1122 §3.2.1.2: "A host MUST verify the IP header checksum on every received datagram".
fn header_checksum_ok<F: Frame>(packet: &Packet<F>) -> bool {
    match packet.summary.flow.source {
        IpAddr::V4(_) => ipv4::Header::parse(packet.frame.data()).is_ok_and(|header| header.checksum_ok()),
        IpAddr::V6(_) => true,
    }
}

/// Sources no packet on a wire may have (RFC 1122 §3.2.1.3, RFC 4291 §2.7). Unspecified is not among them:
/// DHCP clients and duplicate address detection use it.
fn is_impossible(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_loopback(),
    }
}
