//! What a decrypted packet may be: trailer, next header, inner header, selectors, congestion mark
//! (RFC 4303 §3.4.4, RFC 4301 §5.2, RFC 6040; DP-04, DP-18).
//!
//! A good tag says who sealed a packet, not that it is sensible: nothing in it is trusted before it is
//! checked. The replay window has moved before any of this (the number is used up in any case).

use std::net::IpAddr;

use crate::io::{Frame, Origin};
use crate::net::flow::{Flow, Summary, Upper};
use crate::net::{esp, icmp, ipv4, protocol};
use crate::node::{Packet, ecn};
use crate::sa::inbound::Hot;
use crate::sa::suite::{ICV_LEN, IV_LEN};
use crate::verdict::Drop;

/// What came out of the tunnel.
#[derive(Debug)]
pub enum Inner<F> {
    /// A packet of the private instance.
    Packet(Packet<F>),
    /// A dummy packet (RFC 4303 §2.6): "a receiver MUST be prepared to discard" it silently.
    Dummy(F),
}

/// Strips ESP from a decrypted packet and checks what is inside against its SA.
///
/// The frame's data is the whole ESP packet, the summary still the outer packet's.
pub fn inspect<F: Frame>(esp: Packet<F>, hot: &Hot) -> Result<Inner<F>, (F, Drop)> {
    let outer_class = esp.summary.traffic_class;
    let mut frame = esp.frame;
    let trailer = match trailer_of(frame.data()) {
        Ok(trailer) => trailer,
        Err(reason) => return Err((frame, reason)),
    };
    let version = match trailer.next_header {
        protocol::NONE => return Ok(Inner::Dummy(frame)),
        protocol::IPV4 => 4,
        protocol::IPV6 => 6,
        _ => return Err((frame, Drop::BadNextHeader)),
    };
    frame.trim_front(esp::Repr::LEN + IV_LEN);
    frame.truncate(trailer.payload_length);
    let mut packet = Packet::parse(frame).map_err(|frame| (frame, Drop::MalformedInner))?;
    match check(&mut packet, version, outer_class, hot) {
        Ok(()) => Ok(Inner::Packet(packet)),
        Err(reason) => Err((packet.frame, reason)),
    }
}

fn trailer_of(data: &[u8]) -> Result<esp::Trailer, Drop> {
    let end = data.len().saturating_sub(ICV_LEN);
    let text = data.get(esp::Repr::LEN + IV_LEN..end).ok_or(Drop::EspLength)?;
    esp::Trailer::parse(text).map_err(|_| Drop::BadPadding)
}

fn check<F: Frame>(packet: &mut Packet<F>, version: u8, outer_class: u8, hot: &Hot) -> Result<(), Drop> {
    let data = packet.frame.data();
    if data.first().map(|octet| octet >> 4) != Some(version) || !checksum_ok(data, version) {
        return Err(Drop::MalformedInner);
    }
    if !hot.admits(&packet.summary.flow) && !quotes_admitted(data, &packet.summary, hot) {
        return Err(Drop::PolicyError);
    }
    let class = ecn::inner_class(outer_class, packet.summary.traffic_class, hot.copy_traffic_class)?;
    if class != packet.summary.traffic_class {
        ecn::set_class(packet.frame.data_mut(), class);
        packet.summary.traffic_class = class;
    }
    let meta = packet.frame.meta_mut();
    (meta.instance, meta.origin) = (hot.inner_instance, Origin::Tunnel);
    Ok(())
}

fn checksum_ok(packet: &[u8], version: u8) -> bool {
    version == 6 || ipv4::Header::parse(packet).is_ok_and(|header| header.checksum_ok())
}

/// An ICMP error comes from a router between, whose address is in no selector; it passes if it answers a
/// packet that this SA's other direction carries (RFC 4301 §6.1.2, §8.2).
fn quotes_admitted(packet: &[u8], summary: &Summary, hot: &Hot) -> bool {
    let quote = packet.get(summary.upper_at + icmp::Repr::LEN..).filter(|_| summary.is_icmp_error());
    let Some(quoted) = quote.and_then(|quote| Summary::parse_quoted(quote).ok()) else { return false };
    quoted.flow.source == summary.flow.destination && hot.admits(&reversed(&quoted.flow))
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
