//! What a decrypted packet may be: trailer, next header, inner header, selectors, congestion mark
//! (RFC 4303 §3.4.4, RFC 4301 §5.2, RFC 6040; DP-04, DP-18).
//!
//! A good tag says who sealed a packet, not that it is sensible: nothing in it is trusted before it is
//! checked. The replay window has moved before any of this (the number is used up in any case).

use std::net::IpAddr;

use crate::io::{Frame, Meta, Origin};
use crate::net::flow::{Flow, Summary, Upper};
use crate::net::{esp, icmp, protocol};
use crate::node::ecn;
use crate::sa::inbound::Hot;
use crate::sa::suite::{ICV_LEN, IV_LEN};
use crate::verdict::Drop;

/// What came out of the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inner {
    /// A packet of the private instance, which is what the frame holds now.
    Packet(Summary),
    /// A dummy packet (RFC 4303 §2.6): "a receiver MUST be prepared to discard" it silently.
    Dummy,
}

/// Strips ESP from a decrypted packet and checks what is inside against its SA.
///
/// The frame's data is the whole ESP packet; `outer_class` is the traffic class it arrived with.
#[inline(always)]
pub fn inspect<F: Frame>(frame: &mut F, outer_class: u8, hot: &Hot) -> Result<Inner, Drop> {
    let text = text_of(frame.data())?;
    let trailer = esp::Trailer::parse(text).map_err(|_| Drop::BadPadding)?;
    let v4 = match trailer.next_header {
        protocol::NONE => return Ok(Inner::Dummy),
        protocol::IPV4 => true,
        protocol::IPV6 => false,
        _ => return Err(Drop::BadNextHeader),
    };
    let packet = text.get(..trailer.payload_length).unwrap_or_default();
    let mut summary = match Summary::usual(packet, v4) {
        Some(summary) => summary,
        None => unusual(packet, v4)?,
    };
    // What follows the packet is padding against traffic analysis (RFC 4303 §2.7).
    frame.reshape((esp::Repr::LEN + IV_LEN) as isize, summary.length()).ok_or(Drop::MalformedInner)?;
    if !hot.admits(&summary) && !quotes_admitted(frame.data(), summary, hot) {
        return Err(Drop::PolicyError);
    }
    let class = ecn::inner_class(outer_class, summary.traffic_class(), hot.copy_traffic_class)?;
    if class != summary.traffic_class() {
        ecn::set_class(frame.data_mut(), class);
        summary.set_traffic_class(class);
    }
    let meta = frame.meta_mut();
    *meta = Meta { instance: hot.inner_instance, origin: Origin::Tunnel, framed: false, ..*meta };
    Ok(Inner::Packet(summary))
}

#[inline(always)]
fn text_of(data: &[u8]) -> Result<&[u8], Drop> {
    let end = data.len().saturating_sub(ICV_LEN);
    data.get(esp::Repr::LEN + IV_LEN..end).ok_or(Drop::EspLength)
}

#[inline(never)]
fn unusual(packet: &[u8], v4: bool) -> Result<Summary, Drop> {
    Summary::read(packet).ok().filter(|summary| summary.is_v4() == v4).ok_or(Drop::MalformedInner)
}

/// An ICMP error comes from a router between, whose address is in no selector; it passes if it answers a
/// packet that this SA's other direction carries (RFC 4301 §6.1.2, §8.2).
#[cold]
fn quotes_admitted(packet: &[u8], summary: Summary, hot: &Hot) -> bool {
    let quote = packet.get(summary.upper_at() + icmp::Repr::LEN..).filter(|_| summary.is_icmp_error());
    let Some(quoted) = quote.and_then(|quote| Summary::parse_quoted(quote).ok()) else { return false };
    quoted.source() == summary.destination() && hot.admits_flow(&reversed(&quoted.flow()))
}

/// The packet that would answer `flow`.
fn reversed(flow: &Flow) -> Flow {
    let upper = match flow.upper {
        Upper::Ports { source, destination } => Upper::Ports { source: destination, destination: source },
        other => other,
    };
    let (source, destination): (IpAddr, IpAddr) = (flow.destination, flow.source);
    Flow { source, destination, upper, ..*flow }
}
