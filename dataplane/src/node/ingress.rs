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

/// What usual frames that arrive on one port have in common: its interface without tag.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    /// Of every packet.
    meta: Meta,
    /// Its MAC address as [`Link::destination`].
    mac: u64,
}

impl Home {
    /// The interface without tag of `port`, if it has one.
    pub fn of(port: u16, snapshot: &Snapshot) -> Option<Home> {
        let Interface { instance, mac, .. } = *snapshot.interface(port, 0)?;
        let meta = Meta { port, vlan: 0, instance, origin: Origin::Wire, framed: true };
        Some(Home { meta, mac: Link::word(mac) })
    }

    /// The instance its packets belong to.
    pub const fn instance(&self) -> u16 {
        self.meta.instance
    }
}

/// Reads a frame of the usual shape: without tag, for this station alone, an IP header of the version asked for as
/// [`Summary::usual`] knows it. The frame then holds the packet, of which nothing has been asked yet but whether
/// it can be read; where it goes is the caller's to ask ([`judge`]). Any other frame is left as it is.
#[inline(always)]
pub fn receive_usual<F: Frame, const V4: bool>(frame: &mut F, home: &Home) -> Option<Summary> {
    let (link, packet) = frame.data().split_first_chunk::<{ eth::Repr::LEN }>()?;
    let destination = u64::from_be_bytes(*link.first_chunk()?);
    let kind = if V4 { ethertype::IPV4 } else { ethertype::IPV6 };
    if (destination ^ home.mac) >> 16 != 0 || *link.last_chunk()? != kind.to_be_bytes() {
        return None;
    }
    let summary = Summary::usual(packet, V4)?;
    // What follows the packet is link padding.
    frame.reshape(eth::Repr::LEN as isize, summary.length())?;
    *frame.meta_mut() = home.meta;
    Some(summary)
}

/// Reads one frame as the port gave it. `last` is the interface of the frame before: mostly this one's too.
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

/// Whose a packet from the wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// This machine's.
    Local,
    /// Somebody else's.
    Transit,
    /// The kernel's, as it came.
    Kernel,
}

/// Whose a packet from the wire is, if its addresses can be true. `group` says that its frame was not for this
/// station alone. Answers depend on the snapshot, the instance and the addresses, and on nothing else: who
/// remembers one ([`super::memo`]) need not ask again.
pub fn judge(summary: &Summary, instance: u16, group: bool, snapshot: &Snapshot) -> Result<Judged, Drop> {
    judge_ends(summary.is_v4(), summary.ends(), instance, group, snapshot)
}

/// The same of a packet's two addresses.
#[inline]
pub fn judge_ends(
    v4: bool,
    [source, destination]: [Words; 2],
    instance: u16,
    group: bool,
    snapshot: &Snapshot,
) -> Result<Judged, Drop> {
    if is_bad_source(instance, v4, source, snapshot) {
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

/// Whether no packet from a wire can truly come from `source`.
pub fn is_bad_source(instance: u16, v4: bool, source: Words, snapshot: &Snapshot) -> bool {
    is_impossible(v4, source) || snapshot.is_ours(instance, v4, source)
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
