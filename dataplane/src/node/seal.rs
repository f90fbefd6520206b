//! Encrypts: sequence number, ESP header and trailer, a burst under many keys, the outer header
//! (RFC 4303 §3.3, RFC 4106, RFC 3948; DP-03, DP-15, DP-16).
//!
//! Three passes: [`prepare`] each packet, [`seal`] the burst, [`wrap`] each packet. Size is asked first
//! ([`fit`]); cutting and ICMP are the caller's. A packet that any pass refuses is dropped, never sent as
//! it is.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use ravelin_gcm::{BURST, Seal, seal_burst};

use crate::io::{Frame, Origin};
use crate::net::flow::{Flow, Summary, Upper};
use crate::net::{esp, ipv4, ipv6, protocol, udp};
use crate::node::{Packet, ecn};
use crate::sa::fact::Facts;
use crate::sa::outbound::{Encapsulation, Hot, OuterDf, Stopped};
use crate::sa::spi::Spi;
use crate::sa::suite::{Aad, ICV_LEN, IV_LEN};
use crate::sa::table::OutboundTable;
use crate::verdict::Drop;

/// RFC 8200 §5: every link carries IPv6 packets of 1280 octets.
const SMALLEST_IPV6_MTU: usize = 1280;

/// Whether a packet fits into its tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Whole,
    /// It is to be cut into pieces of at most so many octets first.
    Cut(u16),
    /// It may not be cut: its sender is to be told that so many octets fit.
    TooBig(u16),
}

/// Compares a packet with what its tunnel takes; clears Don't Fragment where the tunnel says so (DP-24).
pub fn fit<F: Frame>(packet: &mut Packet<F>, encapsulation: &Encapsulation) -> Fit {
    let v4 = packet.summary.flow.source.is_ipv4();
    let limit = match v4 {
        true => inner_limit(encapsulation, packet.summary.dont_fragment),
        false => inner_limit(encapsulation, true).max(SMALLEST_IPV6_MTU),
    };
    if packet.summary.length <= limit {
        return Fit::Whole;
    }
    if v4 && encapsulation.clear_inner_df && packet.summary.dont_fragment {
        ipv4::clear_dont_fragment(packet.frame.data_mut());
        packet.summary.dont_fragment = false;
    }
    let limit = u16::try_from(limit).unwrap_or(u16::MAX);
    if packet.summary.dont_fragment { Fit::TooBig(limit) } else { Fit::Cut(limit) }
}

/// Largest inner packet: what was configured, and where the outer packet may not be cut, what fits in it.
fn inner_limit(encapsulation: &Encapsulation, inner_df: bool) -> usize {
    let configured = encapsulation.inner_mtu.map_or(usize::MAX, usize::from);
    let outer = encapsulation.outer_mtu.filter(|_| outer_df(encapsulation.df, inner_df));
    let room =
        |outer: u16| esp::largest_payload(usize::from(outer).saturating_sub(headers(encapsulation)), ICV_LEN);
    configured.min(outer.map_or(usize::MAX, room))
}

/// RFC 2473 §7.1 (b): an IPv6 packet of the minimum MTU cannot be refused for its size; where the path is too
/// narrow for it, the outer packet is cut.
fn must_pass(summary: &Summary, encapsulation: &Encapsulation) -> bool {
    summary.flow.source.is_ipv6()
        && summary.length <= SMALLEST_IPV6_MTU
        && summary.length > inner_limit(encapsulation, true)
}

const fn outer_df(policy: OuterDf, inner: bool) -> bool {
    match policy {
        OuterDf::Clear => false,
        OuterDf::Set => true,
        OuterDf::Copy => inner,
    }
}

/// Octets of outer IP and UDP header.
const fn headers(encapsulation: &Encapsulation) -> usize {
    let ip = if encapsulation.peer.address.is_ipv4() { ipv4::Repr::LEN } else { ipv6::Repr::LEN };
    ip + if encapsulation.local.port == 0 { 0 } else { udp::Repr::LEN }
}

/// A packet on its way through encryption. The frame's data is the ESP packet, from SPI to ICV.
#[derive(Debug)]
pub struct Sealing<F> {
    /// The ESP packet.
    pub frame: F,
    /// The slot that sends it.
    pub slot: u32,
    /// The SA that sends it.
    pub spi: Spi,
    /// How it is to be wrapped.
    pub encapsulation: Encapsulation,
    /// Traffic class of the outer header.
    class: u8,
    /// Don't Fragment of the outer header.
    dont_fragment: bool,
    nonce: [u8; 12],
    aad: Aad,
    sealed: bool,
}

/// Takes a sequence number and lays ESP header, IV and trailer around the packet (RFC 4303 §3.3.2, §3.3.3).
pub fn prepare<F: Frame>(
    packet: Packet<F>,
    slot: u32,
    hot: &mut Hot,
) -> Result<(Sealing<F>, Facts), (F, Drop)> {
    let summary = packet.summary;
    let mut frame = packet.frame;
    let next_header = if summary.flow.source.is_ipv4() { protocol::IPV4 } else { protocol::IPV6 };
    let trailer = esp::Trailer::aligned(frame.len(), next_header);
    // Room first: a number once taken must not be wasted, and a packet half built must not be sent.
    if frame.headroom() < esp::Repr::LEN + IV_LEN + headers(&hot.encapsulation)
        || frame.tailroom() < trailer.length() + ICV_LEN
    {
        return Err((frame, Drop::NoRoom));
    }
    let (number, facts) = match hot.number(summary.length) {
        Ok(taken) => taken,
        Err(stopped) => return Err((frame, stopped_reason(stopped))),
    };
    let header = esp::Repr { spi: hot.spi().0, sequence: number.low() };
    if lay_out(&mut frame, header, number.iv(), &trailer).is_none() {
        return Err((frame, Drop::NoRoom));
    }
    let encapsulation = hot.encapsulation;
    let sealing = Sealing {
        frame,
        slot,
        spi: hot.spi(),
        encapsulation,
        class: ecn::outer_class(summary.traffic_class, encapsulation.dscp),
        dont_fragment: outer_df(encapsulation.df, summary.dont_fragment)
            && !must_pass(&summary, &encapsulation),
        nonce: number.nonce(hot.salt()),
        aad: hot.aad(&number),
        sealed: false,
    };
    Ok((sealing, facts))
}

/// The drop reason of an SA that sends nothing more.
pub const fn stopped_reason(stopped: Stopped) -> Drop {
    match stopped {
        Stopped::Exhausted(_) => Drop::SequenceExhausted,
        Stopped::HardExpired(_) => Drop::LifetimeExpired,
    }
}

fn lay_out<F: Frame>(
    frame: &mut F,
    header: esp::Repr,
    iv: [u8; IV_LEN],
    trailer: &esp::Trailer,
) -> Option<()> {
    trailer.emit(frame.append(trailer.length() + ICV_LEN)?).ok()?;
    let (front, place) = frame.prepend(esp::Repr::LEN + IV_LEN)?.split_at_mut_checked(esp::Repr::LEN)?;
    header.emit(front).ok()?;
    place.copy_from_slice(&iv);
    Some(())
}

/// Encrypts each packet in place and writes its ICV.
pub fn seal<F: Frame>(sealings: &mut [Sealing<F>], outbound: &OutboundTable) {
    for burst in sealings.chunks_mut(BURST) {
        let mut lanes = ArrayVec::<Seal<'_>, BURST>::new();
        for sealing in burst {
            let Sealing { frame, slot, spi, nonce, aad, sealed, .. } = sealing;
            let Some(hot) = outbound.hot(*slot).filter(|hot| hot.spi() == *spi) else { continue };
            let Some((text, tag)) = text_and_tag(frame.data_mut()) else { continue };
            lanes.push(Seal::new(hot.key(), *nonce, aad.as_bytes(), text, tag));
            *sealed = true;
        }
        seal_burst(&mut lanes);
    }
}

fn text_and_tag(packet: &mut [u8]) -> Option<(&mut [u8], &mut [u8; ICV_LEN])> {
    packet.get_mut(esp::Repr::LEN + IV_LEN..)?.split_last_chunk_mut()
}

/// Puts the outer headers in front of an encrypted packet. `id` is its IPv4 identification, unique among
/// the fragmentable packets of this machine for as long as can be (RFC 6864 §4.3).
pub fn wrap<F: Frame>(sealing: Sealing<F>, id: u16) -> Result<Packet<F>, (F, Drop)> {
    let Sealing { mut frame, encapsulation, class, dont_fragment, sealed, .. } = sealing;
    if !sealed {
        return Err((frame, Drop::NoSa));
    }
    let flow = outer_flow(&encapsulation);
    if udp_header(&mut frame, &encapsulation, &flow).is_none() {
        return Err((frame, Drop::NoRoom));
    }
    let outer = Outer { flow, class, id, dont_fragment, hop_limit: encapsulation.hop_limit };
    let Some(summary) = outer.emit(&mut frame) else { return Err((frame, Drop::NoRoom)) };
    let meta = frame.meta_mut();
    (meta.instance, meta.origin) = (encapsulation.instance, Origin::Sealed);
    Ok(Packet { frame, summary, link: None })
}

fn outer_flow(encapsulation: &Encapsulation) -> Flow {
    let ports = (encapsulation.local.port, encapsulation.peer.port);
    let (protocol, upper) = match ports {
        (0, _) => (protocol::ESP, Upper::Portless),
        (source, destination) => (protocol::UDP, Upper::Ports { source, destination }),
    };
    Flow { source: encapsulation.local.address, destination: encapsulation.peer.address, protocol, upper }
}

/// RFC 3948 §2.1: over IPv4 the checksum "SHOULD be transmitted as a zero value"; over IPv6 there must be
/// one (RFC 8200 §8.1), because receivers drop what has none.
fn udp_header<F: Frame>(frame: &mut F, encapsulation: &Encapsulation, flow: &Flow) -> Option<()> {
    let Upper::Ports { source, destination } = flow.upper else { return Some(()) };
    let length = u16::try_from(frame.len() + udp::Repr::LEN).ok()?;
    udp::Repr { source, destination, length, checksum: 0 }.emit(frame.prepend(udp::Repr::LEN)?).ok()?;
    if encapsulation.peer.address.is_ipv6() {
        udp::set_checksum(flow.source, flow.destination, frame.data_mut());
    }
    Some(())
}

/// An outer IP header to be.
struct Outer {
    flow: Flow,
    class: u8,
    id: u16,
    dont_fragment: bool,
    hop_limit: u8,
}

impl Outer {
    /// Writes the header in front of the payload; `None` if the packet would be too long or the two
    /// addresses are of different families.
    fn emit<F: Frame>(&self, frame: &mut F) -> Option<Summary> {
        let upper_at = match (self.flow.source, self.flow.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.emit_v4(frame, source, destination)?,
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.emit_v6(frame, source, destination)?,
            _ => return None,
        };
        Some(Summary {
            flow: self.flow,
            traffic_class: self.class,
            ttl: self.hop_limit,
            length: frame.len(),
            upper_at,
            fragment: false,
            later_fragment: false,
            dont_fragment: self.dont_fragment,
        })
    }

    fn emit_v4<F: Frame>(
        &self,
        frame: &mut F,
        source: std::net::Ipv4Addr,
        destination: std::net::Ipv4Addr,
    ) -> Option<usize> {
        let repr = ipv4::Repr {
            traffic_class: self.class,
            total_length: u16::try_from(frame.len() + ipv4::Repr::LEN).ok()?,
            id: self.id,
            dont_fragment: self.dont_fragment,
            more_fragments: false,
            fragment_offset: 0,
            ttl: self.hop_limit,
            protocol: self.flow.protocol,
            source,
            destination,
        };
        repr.emit(frame.prepend(ipv4::Repr::LEN)?).ok()?;
        Some(ipv4::Repr::LEN)
    }

    fn emit_v6<F: Frame>(
        &self,
        frame: &mut F,
        source: std::net::Ipv6Addr,
        destination: std::net::Ipv6Addr,
    ) -> Option<usize> {
        let repr = ipv6::Repr {
            traffic_class: self.class,
            flow_label: 0,
            payload_length: u16::try_from(frame.len()).ok()?,
            next_header: self.flow.protocol,
            hop_limit: self.hop_limit,
            source,
            destination,
        };
        repr.emit(frame.prepend(ipv6::Repr::LEN)?).ok()?;
        Some(ipv6::Repr::LEN)
    }
}
