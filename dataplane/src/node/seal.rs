//! Encrypts: sequence number, headers and trailer, a burst under many keys (RFC 4303 §3.3, RFC 4106,
//! RFC 3948; DP-03, DP-15, DP-16).
//!
//! Two passes: [`prepare`] each packet, which makes it an outer packet in all but its text, and [`seal`] the
//! burst. Size is asked first ([`fit`]); cutting, ICMP and the exit are the caller's. A packet that either
//! pass refuses is dropped, never sent as it is.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use ravelin_gcm::{BURST, Seal, seal_burst};

use crate::io::Frame;
use crate::net::flow::Summary;
use crate::net::{esp, fill, ipv4, ipv6, protocol, udp};
use crate::node::Packet;
use crate::node::exit::ExitRef;
use crate::sa::fact::Facts;
use crate::sa::outbound::{Hot, Stopped};
use crate::sa::spi::Spi;
use crate::sa::suite::{self, Aad, ICV_LEN, IV_LEN};
use crate::sa::table::OutboundTable;
use crate::sa::wrap::{Varying, Wrap};
use crate::verdict::Drop;

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
#[inline(always)]
pub fn fit<F: Frame>(packet: &mut Packet<F>, wrap: &Wrap) -> Fit {
    let Packet { summary, .. } = &packet;
    let (length, v4, dont_fragment) = (summary.length(), summary.is_v4(), summary.dont_fragment());
    let limit = wrap.largest_inner(v4, dont_fragment);
    if length <= limit {
        return Fit::Whole;
    }
    if v4 && wrap.clear_inner_df && dont_fragment {
        ipv4::clear_dont_fragment(packet.frame.data_mut());
        packet.summary.clear_dont_fragment();
    }
    let limit = u16::try_from(limit).unwrap_or(u16::MAX);
    if packet.summary.dont_fragment() { Fit::TooBig(limit) } else { Fit::Cut(limit) }
}

/// A packet on its way through encryption. The frame's data is the outer packet, from its IP header to its
/// ICV; the text is still in clear.
#[derive(Debug)]
pub struct Sealing<F> {
    /// The outer packet, until it goes on.
    pub frame: Option<F>,
    /// The slot that sends it.
    pub slot: u32,
    /// The SA that sends it.
    pub spi: Spi,
    /// Where the last packet of the SA left.
    pub exit: ExitRef,
    /// Instance it leaves in.
    pub instance: u16,
    /// Largest outer packet, if the port's MTU allows more.
    pub limit: u16,
    /// Octets of the outer IP and UDP headers.
    headers: u8,
    /// Whether [`seal`] has encrypted it. What it has not must not leave.
    pub sealed: bool,
    /// Whether the outer IP header is version 4.
    pub v4: bool,
    /// Whether its UDP checksum is to be computed, see [`finish`].
    owes_checksum: bool,
    /// Its number under the SA.
    sequence: u64,
    /// Room for the associated data, made when it is encrypted.
    aad: Aad,
}

impl<F> Sealing<F> {
    /// A packet that [`prepare`] has laid out under the SA in `slot`.
    #[inline(always)]
    pub fn new(frame: F, slot: u32, hot: &Hot) -> Sealing<F> {
        let Hot { wrap, exit, .. } = hot;
        Sealing {
            frame: Some(frame),
            slot,
            spi: hot.spi(),
            exit: *exit,
            instance: wrap.instance,
            limit: wrap.outer_mtu,
            headers: wrap.length().unwrap_or(0) as u8,
            sealed: false,
            v4: wrap.is_v4(),
            owes_checksum: wrap.owes_checksum(),
            sequence: hot.last_sequence(),
            aad: Aad::EMPTY,
        }
    }
}

/// Takes a sequence number and lays headers, IV and trailer around the packet (RFC 4303 §3.3.2, §3.3.3).
/// `id` is the IPv4 identification of the outer packet, unique among the fragmentable packets of this machine
/// for as long as can be (RFC 6864 §4.3).
#[inline(always)]
pub fn prepare<F: Frame>(frame: &mut F, summary: &Summary, hot: &mut Hot, id: u16) -> Result<Facts, Drop> {
    let next_header = if summary.is_v4() { protocol::IPV4 } else { protocol::IPV6 };
    let trailer = esp::Trailer::aligned(frame.len(), next_header);
    let headers = hot.wrap.length().ok_or(Drop::NoRoom)?;
    let (front, back) = (headers + esp::Repr::LEN + IV_LEN, trailer.length() + ICV_LEN);
    // Room first: a number once taken must not be wasted, and a packet half built must not be sent.
    if frame.headroom() < front || frame.tailroom() < back {
        return Err(Drop::NoRoom);
    }
    let (number, facts) = hot.number(summary.length()).map_err(stopped_reason)?;
    trailer.emit(frame.append(back).ok_or(Drop::NoRoom)?).map_err(|_| Drop::NoRoom)?;
    let behind = frame.len() + esp::Repr::LEN + IV_LEN;
    let out = frame.prepend(front).ok_or(Drop::NoRoom)?;
    let (outer, inner) = out.split_at_mut_checked(headers).ok_or(Drop::NoRoom)?;
    let class = summary.traffic_class();
    let dont_fragment = hot.wrap.outer_df(summary.dont_fragment()) && !hot.wrap.must_pass(summary);
    hot.wrap.emit(outer, Varying { class, dont_fragment, id, behind }).ok_or(Drop::NoRoom)?;
    let inner: &mut [u8; esp::Repr::LEN + IV_LEN] = inner.first_chunk_mut().ok_or(Drop::NoRoom)?;
    fill(inner, &[&hot.spi().0.to_be_bytes(), &number.low().to_be_bytes(), &number.iv()]);
    Ok(facts)
}

/// The drop reason of an SA that sends nothing more.
#[cold]
pub const fn stopped_reason(stopped: Stopped) -> Drop {
    match stopped {
        Stopped::Exhausted(_) => Drop::SequenceExhausted,
        Stopped::HardExpired(_) => Drop::LifetimeExpired,
    }
}

/// Encrypts each packet in place and writes its ICV.
pub fn seal<F: Frame>(sealings: &mut [Sealing<F>], outbound: &OutboundTable) {
    for burst in sealings.chunks_mut(BURST) {
        let mut lanes = ArrayVec::<Seal<'_>, BURST>::new();
        for sealing in burst {
            let Sealing { frame, slot, spi, headers, sequence, aad, sealed, .. } = sealing;
            let hot = outbound.hot(*slot).filter(|hot| hot.spi() == *spi);
            let (Some(frame), Some(hot)) = (frame, hot) else { continue };
            let text_at = usize::from(*headers) + esp::Repr::LEN + IV_LEN;
            let Some((text, tag)) = text_and_tag(frame.data_mut(), text_at) else { continue };
            let nonce = suite::nonce(hot.salt(), sequence.to_be_bytes());
            *aad = hot.aad(*sequence);
            lanes.push(Seal::new(hot.key(), nonce, aad.as_bytes(), text, tag));
            *sealed = true;
        }
        seal_burst(&mut lanes);
    }
}

#[inline]
fn text_and_tag(packet: &mut [u8], at: usize) -> Option<(&mut [u8], &mut [u8; ICV_LEN])> {
    packet.get_mut(at..)?.split_last_chunk_mut()
}

/// What only the ciphertext allows: over IPv6 UDP must have a checksum (RFC 8200 §8.1), because receivers
/// drop what has none.
#[inline]
pub fn finish<F: Frame>(sealing: &mut Sealing<F>) {
    if sealing.owes_checksum
        && let Some(frame) = &mut sealing.frame
    {
        set_checksum(frame.data_mut());
    }
}

fn set_checksum(packet: &mut [u8]) {
    let Ok(header) = ipv6::Repr::parse(packet) else { return };
    let (source, destination) = (IpAddr::V6(header.source), IpAddr::V6(header.destination));
    if let Some(datagram) = packet.get_mut(ipv6::Repr::LEN..) {
        udp::set_checksum(source, destination, datagram);
    }
}
