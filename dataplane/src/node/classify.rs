//! What a packet for this machine is: ESP, IKE, keepalive, a fragment to put together, or the kernel's.
//!
//! RFC 4303 (protocol 50), RFC 3948 §2 (UDP 4500: one octet 0xFF is a keepalive, four zero octets mark IKE,
//! anything else is an SPI), RFC 7296 §2.23, §3.1. Reassembly comes first, because only a first fragment
//! carries ports or SPI. Left to the caller: whose worker the SPI is, and the rings.

use std::net::{IpAddr, SocketAddr};

use crate::io::Frame;
use crate::net::flow::{Summary, Upper};
use crate::net::{gre, icmp, protocol, udp};
use crate::node::Packet;
use crate::policy::ip_tunnel::Shown;
use crate::sa::spi::Spi;
use crate::verdict::Drop;

/// UDP port of IKE (RFC 7296 §2).
pub const IKE_PORT: u16 = 500;
/// UDP port of IKE and ESP behind NATs (RFC 7296 §2.23).
pub const NAT_PORT: u16 = 4500;

/// Octets of an IKE header (RFC 7296 §3.1).
const IKE_HEADER: usize = 28;
/// Where an IKE header names the first payload, and that payload its type if it is a notification without SPI (RFC 7296
/// §3.1, §3.10); payload type N and notification COOKIE.
const FIRST_PAYLOAD: usize = 16;
const NOTIFY_TYPE: std::ops::Range<usize> = IKE_HEADER + 6..IKE_HEADER + 8;
const NOTIFY: u8 = 41;
const COOKIE: [u8; 2] = 16390_u16.to_be_bytes();
/// Octets of the non-ESP marker (RFC 3948 §2.2).
const MARKER: usize = 4;

/// Where the ESP header of a packet is, and what leads to its SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EspAt {
    /// Octets from the start of the IP packet to the SPI.
    pub offset: u16,
    /// Octets from the SPI to the end of the ICV.
    pub length: u16,
    /// The SPI.
    pub spi: Spi,
    /// UDP source and destination port; zeros for ESP directly over IP.
    pub ports: (u16, u16),
}

impl EspAt {
    /// The ESP packet that lies in an IP packet from `offset` to `end`, if it is long enough to have an SPI. No IP
    /// packet has more octets behind its header than a `u16` tells, nor that many before its payload.
    #[inline(always)]
    fn read(packet: &[u8], offset: usize, end: usize, ports: (u16, u16)) -> Option<EspAt> {
        let spi = Spi(u32::from_be_bytes(*packet.get(offset..)?.first_chunk()?));
        Some(EspAt { offset: offset as u16, length: end.saturating_sub(offset) as u16, spi, ports })
    }

    /// The ESP packet in the IP packet, unless that is shorter than it was.
    #[inline(always)]
    pub fn within<'a>(&self, packet: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (offset, length) = (usize::from(self.offset), usize::from(self.length));
        packet.get_mut(offset..offset + length)
    }
}

/// An IKE message and who exchanges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IkeAt {
    /// Octets from the start of the IP packet to the IKE header.
    pub offset: usize,
    /// Where the IKE message ends.
    pub end: usize,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Whether it is a request that begins an IKE SA, as anybody can send: its responder SPI is zero, and it shows no
    /// cookie.
    pub initial: bool,
}

/// An ICMP error about an ESP or IKE packet this machine is said to have sent (RFC 4301 §6, §8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotedAt {
    /// Our end, as quoted.
    pub local: IpAddr,
    /// The peer's end, as quoted.
    pub peer: IpAddr,
    /// The SPI quoted; `None` when the quote ends before it, or is of IKE.
    pub spi: Option<Spi>,
    /// The MTU of a "packet too big".
    pub mtu: Option<u32>,
}

/// A "packet too big" about what this machine is said to have put around a packet without keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelQuotedAt {
    /// Our end, as quoted.
    pub local: IpAddr,
    /// The peer's end, as quoted.
    pub peer: IpAddr,
    /// What the packet shows: GRE with its key, or none.
    pub shown: Shown,
    /// The MTU.
    pub mtu: u32,
}

/// Whether a packet would be ESP or of its port (RFC 3948 §2) if it were for this machine.
#[inline(always)]
pub const fn is_like_esp(summary: &Summary) -> bool {
    summary.goes_to(protocol::UDP, NAT_PORT) || summary.protocol() == protocol::ESP
}

/// Where the ESP header of a packet is that carries ESP directly over IP and in one piece; `None` for any other,
/// which [`class`] knows.
#[inline(always)]
pub fn plain_esp(packet: &[u8], summary: &Summary) -> Option<EspAt> {
    if summary.protocol() != protocol::ESP || summary.is_fragment() {
        return None;
    }
    EspAt::read(packet, summary.upper_at(), summary.length(), (0, 0))
}

/// What a packet for a local address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A piece of a datagram that may be ESP or IKE.
    Fragment,
    /// An ESP packet.
    Esp(EspAt),
    /// An IKE message.
    Ike(IkeAt),
    /// A NAT keepalive.
    Keepalive,
    /// An ICMP error that quotes our ESP or IKE.
    Quoted(QuotedAt),
    /// An ICMP error that quotes what an ip-tunnel may have sent, about its size.
    TunnelQuoted(TunnelQuotedAt),
    /// GRE, or IP in IP, for an end of an ip-tunnel.
    IpTunnel,
    /// Anything else.
    Kernel,
    /// Not what its ports claim.
    Refused(Drop),
}

/// Whether a packet is of a protocol that carries packets without keys.
pub const fn is_like_ip_tunnel(summary: &Summary) -> bool {
    matches!(summary.protocol(), protocol::GRE | protocol::IPV4 | protocol::IPV6)
}

/// Reads a packet whose destination is an address of this machine. `ends` says whether that is an end of ip-tunnels; it is
/// asked of no packet that could not be of one.
pub fn class<F: Frame>(packet: &Packet<F>, ends: impl Fn() -> bool) -> Class {
    let summary = &packet.summary;
    let ours = matches!(summary.protocol(), protocol::ESP | protocol::UDP);
    match (summary.is_fragment(), summary.protocol()) {
        (true, _) if ours || (is_like_ip_tunnel(summary) && ends()) => Class::Fragment,
        (true, _) => Class::Kernel,
        (false, protocol::ESP) => esp(packet.frame.data(), summary.upper_at(), summary.length(), (0, 0)),
        (false, protocol::UDP) => datagram(packet.frame.data(), summary),
        (false, protocol::ICMP | protocol::ICMPV6) if summary.is_icmp_error() => {
            let of_sa = quoted(packet.frame.data(), summary).map(Class::Quoted);
            let of_ip_tunnel = || Some(Class::TunnelQuoted(tunnel_quoted(packet.frame.data(), summary)?));
            of_sa.or_else(|| of_ip_tunnel().filter(|_| ends())).unwrap_or(Class::Kernel)
        }
        (false, _) if is_like_ip_tunnel(summary) && ends() => Class::IpTunnel,
        (false, _) => Class::Kernel,
    }
}

fn esp(packet: &[u8], offset: usize, end: usize, ports: (u16, u16)) -> Class {
    EspAt::read(packet, offset, end, ports).map_or(Class::Refused(Drop::EspLength), Class::Esp)
}

fn datagram(packet: &[u8], summary: &Summary) -> Class {
    let Ok(header) = udp::Header::parse(packet.get(summary.upper_at()..).unwrap_or_default()) else {
        return Class::Refused(Drop::MalformedUdp);
    };
    let payload_at = summary.upper_at() + udp::Repr::LEN;
    match (header.destination(), header.payload()) {
        (IKE_PORT, _) => ike(&header, summary, payload_at, 0),
        (NAT_PORT, [0xff]) => Class::Keepalive,
        (NAT_PORT, [0, 0, 0, 0, ..]) => ike(&header, summary, payload_at, MARKER),
        (NAT_PORT, payload) if payload.len() < MARKER => Class::Refused(Drop::MalformedUdp),
        (NAT_PORT, payload) => {
            esp(packet, payload_at, payload_at + payload.len(), (header.source(), header.destination()))
        }
        _ => Class::Kernel,
    }
}

/// What an ICMP error quotes, if that is ESP or comes from a port of IKE. The kernel has no use for it: the
/// sockets it would look for are not there.
fn quoted(packet: &[u8], summary: &Summary) -> Option<QuotedAt> {
    let message = icmp::Header::parse(packet.get(summary.upper_at()..)?).ok()?;
    let quote = Summary::parse_quoted(message.payload()).ok()?;
    let of_ike = match quote.upper() {
        Upper::Ports { source: port @ (IKE_PORT | NAT_PORT), .. } => Some(port),
        _ => None,
    };
    let is_ours = match quote.protocol() {
        protocol::ESP => true,
        protocol::UDP => of_ike.is_some(),
        _ => false,
    };
    if !is_ours || quote.source() != summary.destination() {
        return None;
    }
    // In UDP the SPI stands behind the ports, and zero there marks IKE (RFC 3948 §2.1, §2.2).
    let spi_at = match quote.upper() {
        Upper::Ports { .. } => quote.upper_at() + udp::Repr::LEN,
        _ => quote.upper_at(),
    };
    let spi = message.payload().get(spi_at..).and_then(<[u8]>::first_chunk);
    let spi =
        spi.map(|spi| Spi(u32::from_be_bytes(*spi))).filter(|spi| of_ike != Some(IKE_PORT) && spi.0 != 0);
    Some(QuotedAt { local: quote.source(), peer: quote.destination(), spi, mtu: told_mtu(&message, summary) })
}

/// What an error about size quotes, if that is what an ip-tunnel sends. Other errors about such packets are the kernel's.
fn tunnel_quoted(packet: &[u8], summary: &Summary) -> Option<TunnelQuotedAt> {
    let message = icmp::Header::parse(packet.get(summary.upper_at()..)?).ok()?;
    let quote = Summary::parse_quoted(message.payload()).ok()?;
    if quote.source() != summary.destination() || !is_like_ip_tunnel(&quote) {
        return None;
    }
    let shown = match quote.protocol() {
        protocol::GRE => {
            Shown::Gre(gre::Header::parse(message.payload().get(quote.upper_at()..)?).ok()?.key())
        }
        _ => Shown::Ip,
    };
    let mtu = told_mtu(&message, summary)?;
    Some(TunnelQuotedAt { local: quote.source(), peer: quote.destination(), shown, mtu })
}

fn told_mtu(message: &icmp::Header<'_>, summary: &Summary) -> Option<u32> {
    match (summary.protocol(), message.kind(), message.code()) {
        (protocol::ICMP, icmp::v4::UNREACHABLE, icmp::v4::CODE_FRAGMENTATION_NEEDED) => {
            Some(u32::from(message.mtu_v4()))
        }
        (protocol::ICMPV6, icmp::v6::PACKET_TOO_BIG, _) => Some(message.rest()),
        _ => None,
    }
}

/// The IKE message behind `marker` octets of the UDP payload, which starts at `payload_at`.
fn ike(header: &udp::Header<'_>, summary: &Summary, payload_at: usize, marker: usize) -> Class {
    let flow = &summary.flow();
    let message = header.payload().get(marker..).unwrap_or_default();
    if message.len() < IKE_HEADER || !header.checksum_ok(flow.source, flow.destination) {
        return Class::Refused(Drop::MalformedUdp);
    }
    Class::Ike(IkeAt {
        offset: payload_at + marker,
        end: payload_at + header.payload().len(),
        local: SocketAddr::new(flow.destination, header.destination()),
        remote: SocketAddr::new(flow.source, header.source()),
        initial: message.get(8..16) == Some([0; 8].as_slice()) && !shows_cookie(message),
    })
}

/// Whether a message has "the Notify payload containing the received cookie as the first payload" (RFC 7296 §2.6). Its
/// sender was answered before, if it is true, and if not it could as well invent a responder SPI: it stands with those
/// whom a flood of first requests does not touch.
fn shows_cookie(message: &[u8]) -> bool {
    message.get(FIRST_PAYLOAD) == Some(&NOTIFY) && message.get(NOTIFY_TYPE) == Some(COOKIE.as_slice())
}
