//! From a received frame to an IP packet of an instance (IEEE 802.3, 802.1Q; RFC 1122 §3.2.1.3, RFC 4291).
//!
//! Strips the tag, finds the interface, refuses frames for other stations, reads the IP header and tells
//! apart what the kernel gets as it came (not IP, or not unicast), what is for this machine and what is to
//! be forwarded. Left to the caller: the kernel's copy, classification, policy.

use crate::io::{Frame, Meta, Origin};
use crate::link::snapshot::{Interface, Snapshot, is_link_scope_words};
use crate::net::eth::{self, Mac, ethertype};
use crate::net::flow::{Summary, Unread, Words};
use crate::net::vlan;
use crate::verdict::Drop;

/// Octets of the two MAC addresses at the start of a frame.
const ADDRESSES: usize = 12;

/// Where a frame goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// An IP packet for an address of this machine, which is what the frame holds now.
    Local(Summary),
    /// An IP packet for somebody else, which is what the frame holds now.
    Transit(Summary),
    /// A whole frame for the twin of its interface, Ethernet header included, tag removed.
    Kernel,
}

/// Reads one frame as the port gave it. `last` is the interface of the frame before: mostly this one's too.
#[inline(always)]
pub fn receive<F: Frame>(
    frame: &mut F,
    snapshot: &Snapshot,
    last: &mut Option<Interface>,
) -> Result<Arrival, Drop> {
    let vlan = untag(frame)?;
    let link = Link::read(frame.data()).ok_or(Drop::MalformedEthernet)?;
    let port = frame.meta().port;
    let interface = match last.filter(|last| (last.port, last.vlan) == (port, vlan)) {
        Some(interface) => interface,
        None => *last.insert(*snapshot.interface(port, vlan).ok_or(Drop::UnknownInterface)?),
    };
    if !link.group && link.destination != Link::word(interface.mac) {
        return Err(Drop::OtherStation);
    }
    let instance = interface.instance;
    *frame.meta_mut() = Meta { port, vlan, instance, origin: Origin::Wire, framed: false };
    sort(frame, instance, &link, snapshot)
}

/// Removes an 802.1Q tag and returns its VLAN id; 0 for untagged and priority-tagged frames.
#[inline(always)]
pub fn untag<F: Frame>(frame: &mut F) -> Result<u16, Drop> {
    let header = eth::Header::parse(frame.data()).map_err(|_| Drop::MalformedEthernet)?;
    match header.ethertype() {
        ethertype::VLAN | ethertype::SERVICE_VLAN => strip(frame),
        _ => Ok(0),
    }
}

fn strip<F: Frame>(frame: &mut F) -> Result<u16, Drop> {
    let header = eth::Header::parse(frame.data()).map_err(|_| Drop::MalformedEthernet)?;
    let id = vlan::Header::parse(header.payload()).map_err(|_| Drop::MalformedEthernet)?.id();
    frame.data_mut().copy_within(..ADDRESSES, vlan::Repr::LEN);
    frame.trim_front(vlan::Repr::LEN);
    Ok(id)
}

/// What of an Ethernet header decides, as words.
struct Link {
    /// The six octets of the destination, high.
    destination: u64,
    group: bool,
    ethertype: u16,
}

impl Link {
    #[inline(always)]
    fn read(frame: &[u8]) -> Option<Link> {
        let header: &[u8; eth::Repr::LEN] = frame.first_chunk()?;
        let destination = u64::from_be_bytes(*header.first_chunk()?) >> 16 << 16;
        let ethertype = u16::from_be_bytes(*header.last_chunk()?);
        Some(Link { destination, group: destination >> 56 & 1 == 1, ethertype })
    }

    #[inline(always)]
    const fn word(Mac([a, b, c, d, e, f]): Mac) -> u64 {
        u64::from_be_bytes([a, b, c, d, e, f, 0, 0])
    }
}

#[inline(always)]
fn sort<F: Frame>(frame: &mut F, instance: u16, link: &Link, snapshot: &Snapshot) -> Result<Arrival, Drop> {
    let v4 = match link.ethertype {
        ethertype::IPV4 => true,
        ethertype::IPV6 => false,
        _ => return Ok(Arrival::Kernel),
    };
    let summary = match Summary::read(frame.data().get(eth::Repr::LEN..).unwrap_or_default()) {
        Ok(summary) if summary.is_v4() == v4 => summary,
        // A header of the other version is not what the frame announced, whatever its checksum.
        Err(Unread::Checksum) if v4 => return Err(Drop::IpChecksum),
        _ => return Err(Drop::MalformedIp),
    };
    let arrival = judge(&summary, instance, link.group, snapshot)?;
    // What follows the packet is link padding.
    frame.truncate(eth::Repr::LEN + summary.length());
    if arrival == Judged::Kernel {
        return Ok(Arrival::Kernel);
    }
    frame.trim_front(eth::Repr::LEN);
    frame.meta_mut().framed = true;
    match arrival {
        Judged::Local => Ok(Arrival::Local(summary)),
        _ => Ok(Arrival::Transit(summary)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    Local,
    Transit,
    Kernel,
}

#[inline(always)]
fn judge(summary: &Summary, instance: u16, group: bool, snapshot: &Snapshot) -> Result<Judged, Drop> {
    let (v4, [source, destination]) = (summary.is_v4(), summary.ends());
    if is_impossible(v4, source) || snapshot.is_ours(instance, v4, source) {
        return Err(Drop::BadSource);
    }
    if !group && snapshot.is_ours(instance, v4, destination) {
        return Ok(Judged::Local);
    }
    if group || is_link_scope_words(v4, destination) {
        return Ok(Judged::Kernel);
    }
    // RFC 1812 §4.2.3.1 and RFC 4291 §2.5.2, §2.5.6: such sources are not forwarded.
    match is_link_scope_words(v4, source) {
        true => Err(Drop::BadSource),
        false => Ok(Judged::Transit),
    }
}

/// Puts the Ethernet header back in front of a packet: its own where that is still there, else `made_up`;
/// `false` when there is no room.
pub fn restore_link<F: Frame>(frame: &mut F, made_up: Option<eth::Repr>) -> bool {
    let framed = std::mem::take(&mut frame.meta_mut().framed);
    match (frame.prepend(eth::Repr::LEN), framed, made_up) {
        (Some(_), true, _) => true,
        (Some(octets), false, Some(link)) => link.emit(octets).is_ok(),
        _ => false,
    }
}

/// Sources no packet on a wire may have (RFC 1122 §3.2.1.3, RFC 4291 §2.7): multicast, broadcast, loopback.
/// Unspecified is not among them: DHCP clients and duplicate address detection use it.
#[inline(always)]
const fn is_impossible(v4: bool, [high, low]: Words) -> bool {
    match v4 {
        true => low >> 28 == 0xe || low == 0xffff_ffff || low >> 24 == 127,
        false => high >> 56 == 0xff || (high == 0 && low == 1),
    }
}
