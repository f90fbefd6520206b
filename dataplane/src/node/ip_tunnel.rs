//! Puts packets into GRE and IP, and takes them out (RFC 2784, RFC 2890, RFC 2003, RFC 2473, RFC 4213, RFC 6040; DP-20,
//! DP-21).
//!
//! Sizes were asked before ([`super::seal::fit`]). Left to the caller: which tunnel a packet enters, whether what came out
//! of one may have, and the exit.

use crate::io::{Frame, Meta, Origin};
use crate::net::eth::ethertype;
use crate::net::flow::Summary;
use crate::net::{gre, protocol};
use crate::node::{Packet, clamp, ecn, seal};
use crate::policy::ip_tunnel::{IpTunnel, Parts, Shown};
use crate::sa::wrap::{ROOM, Varying, Wrap};
use crate::verdict::Drop;

/// Lays outer headers around a packet; `id` is the IPv4 identification of the outer one. The frame comes back as it was
/// when there is no room.
pub fn encapsulate<F: Frame>(
    packet: Packet<F>,
    tunnel: &IpTunnel,
    wrap: &Wrap,
    id: u16,
) -> Result<Packet<F>, F> {
    let Packet { mut frame, summary } = packet;
    match lay_out(&mut frame, &summary, tunnel, wrap, id) {
        Some(()) => {
            let meta = frame.meta_mut();
            *meta = Meta { instance: wrap.instance, origin: Origin::Sealed, framed: false, ..*meta };
            Packet::parse(frame)
        }
        None => Err(frame),
    }
}

fn lay_out<F: Frame>(
    frame: &mut F,
    summary: &Summary,
    tunnel: &IpTunnel,
    wrap: &Wrap,
    id: u16,
) -> Option<()> {
    let kind = tunnel.parts().kind;
    let (front, own) = (wrap.front_unled()?, kind.header_length());
    let behind = own + summary.length();
    let out = frame.surround(ROOM + own, ROOM + behind, ROOM - front.octets())?;
    let (outer, inner) = out.split_first_chunk_mut::<ROOM>()?;
    if let Some(header) = kind.header(summary.is_v4()) {
        header.emit(inner).ok()?;
    }
    let dont_fragment = seal::dont_fragment(wrap, wrap.limits, summary);
    wrap.emit(outer, Varying { class: summary.traffic_class(), dont_fragment, id, behind })
}

/// What a packet for an end of ip-tunnels carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// By what its tunnel is found.
    pub shown: Shown,
    /// Whether the packet inside is IPv4; else it is IPv6.
    v4: bool,
    /// Octets from the start of the outer packet to the inner one.
    at: usize,
}

/// Reads what follows the outer header of a packet that [`super::classify::is_like_ip_tunnel`].
///
/// # Errors
/// When that is a GRE header nobody should have sent.
pub fn read<F: Frame>(packet: &Packet<F>) -> Result<Carried, Drop> {
    let (summary, at) = (&packet.summary, packet.summary.upper_at());
    if summary.protocol() != protocol::GRE {
        return Ok(Carried { shown: Shown::Ip, v4: summary.protocol() == protocol::IPV4, at });
    }
    let header = gre::Header::parse(packet.frame.data().get(at..).unwrap_or_default());
    // RFC 2784 §2.1: the checksum is of header and payload.
    let header = header.ok().filter(gre::Header::checksum_ok).ok_or(Drop::GreHeader)?;
    let v4 = match header.ethertype() {
        ethertype::IPV4 => true,
        ethertype::IPV6 => false,
        _ => return Err(Drop::GreHeader),
    };
    Ok(Carried { shown: Shown::Gre(header.key()), v4, at: at + header.repr().len() })
}

/// Strips the outer headers of a packet of this tunnel, and makes what is inside one of the tunnel's private instance.
pub fn decapsulate<F: Frame>(
    packet: Packet<F>,
    carried: Carried,
    tunnel: &IpTunnel,
) -> Result<Packet<F>, (F, Drop)> {
    let Packet { mut frame, summary: outer } = packet;
    match strip(&mut frame, &outer, carried, tunnel.parts()) {
        Ok(summary) => Ok(Packet { frame, summary }),
        Err(reason) => Err((frame, reason)),
    }
}

fn strip<F: Frame>(
    frame: &mut F,
    outer: &Summary,
    Carried { v4, at, .. }: Carried,
    parts: &Parts,
) -> Result<Summary, Drop> {
    frame.trim_front(at);
    let inner = Summary::read(frame.data()).ok().filter(|inner| inner.is_v4() == v4);
    let mut summary = inner.ok_or(Drop::MalformedInner)?;
    frame.truncate(summary.length());
    let (inner, outer) = (summary.traffic_class(), outer.traffic_class());
    let class = ecn::inner_class(outer, inner, parts.copy_traffic_class)?;
    if class != inner {
        ecn::set_class(frame.data_mut(), class);
        summary.set_traffic_class(class);
    }
    if let Some(limit) = parts.leaving_mss {
        clamp::clamp(frame, &summary, limit);
    }
    let meta = frame.meta_mut();
    *meta = Meta { instance: parts.private, origin: Origin::Tunnel, framed: false, ..*meta };
    Ok(summary)
}
