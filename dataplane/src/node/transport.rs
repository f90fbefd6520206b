//! Transport mode (RFC 4301 §4.1, RFC 4303 §3.1.1; DP-05): ESP goes in behind the IP header that a packet has, and comes out
//! from behind it.
//!
//! Packets are those of this machine and its peer, what their ip-tunnels put around others among them; nothing is cut
//! before encryption, and no hop is taken. IPv6 extension headers stay in front of ESP. Left to the caller: which packets
//! an SA takes, and cutting behind encryption; encryption itself is [`super::seal`]'s, [`super::open`]'s and
//! [`super::apart`]'s. There is no NAT between the two ends (RFC 7296 §2.23.1): control makes no such SA.

use crate::io::{Frame, Meta, Origin};
use crate::net::flow::Summary;
use crate::net::{esp, ipv4, ipv6, protocol, udp};
use crate::node::apart;
use crate::node::classify::EspAt;
use crate::node::opening::Inner;
use crate::node::seal::{Laid, Order, depart, stopped_reason};
use crate::sa::inbound;
use crate::sa::outbound::Hot;
use crate::sa::wrap::Front;
use crate::verdict::Drop;

/// Where the field is that names what follows the headers of a packet; of IPv4 nobody asks.
fn named_at(packet: &[u8]) -> Option<usize> {
    let chain = ipv6::Header::parse(packet).ok()?.chain().ok()?;
    Some(chain.next_header_at.map_or(NEXT_HEADER, |at| ipv6::Repr::LEN + at))
}

/// The field of the fixed IPv6 header.
const NEXT_HEADER: usize = 6;

/// Has the headers of a packet, which end at `header`, say that `protocol` follows them and ends the packet.
fn carry(packet: &mut [u8], v4: bool, header: usize, named_at: usize, protocol: u8) -> Option<()> {
    match v4 {
        true => ipv4::carry(packet, header, protocol),
        false => ipv6::carry(packet, named_at, protocol),
    }
}

/// Takes a sequence number and lays ESP header, IV and trailer around what follows the headers of a packet (RFC 4303
/// §3.3.2, §3.3.3), which make room, and the link header where it is known how the packet departs: see
/// [`super::seal::lay_out`].
pub fn lay_out<F: Frame>(
    frame: &mut F,
    summary: &Summary,
    hot: &mut Hot,
    Order { departs, .. }: Order,
) -> Result<Laid, Drop> {
    let (v4, header, length) = (summary.is_v4(), summary.upper_at(), summary.length());
    let named_at = if v4 { 0 } else { named_at(frame.data()).ok_or(Drop::TransportMode)? };
    let (framing, payload) = (hot.suite().framing(), length.saturating_sub(header));
    let trailer = framing.trailer(payload, summary.protocol());
    let (shift, end) = (framing.front(), length + framing.front() + trailer.length() + framing.icv);
    let departs = departs && end <= usize::from(hot.departure().largest);
    let link = if departs { hot.wrap.link() } else { &[] };
    let front = Front::of_its_own(header, link.len()).filter(|_| !summary.is_fragment());
    let front = front.ok_or(Drop::TransportMode)?;
    // Room first: a number once taken must not be wasted, and a packet half built must not be sent.
    let out = frame.surround(link.len() + shift, link.len() + end, 0).ok_or(Drop::NoRoom)?;
    let (before, out) = out.split_at_mut_checked(link.len()).ok_or(Drop::NoRoom)?;
    before.copy_from_slice(link);
    out.copy_within(shift..shift + header, 0);
    carry(out, v4, header, named_at, protocol::ESP).ok_or(Drop::TransportMode)?;
    out.get_mut(shift + length..).and_then(|end| trailer.emit(end).ok()).ok_or(Drop::NoRoom)?;
    let (number, facts) = hot.number(length).map_err(stopped_reason)?;
    let place = out.get_mut(header..header + shift).ok_or(Drop::NoRoom)?;
    apart::write_header(place, hot, &number).ok_or(Drop::NoRoom)?;
    if departs {
        depart(frame, hot);
    }
    Ok(Laid::new(number, hot.spi(), front, facts))
}

/// Takes ESP out of a decrypted packet and checks what is left against its SA (RFC 4303 §3.4.4, RFC 4301 §5.2).
///
/// The frame's data is the outer packet, in which the ESP packet is where `at` says; frame and summary are the packet
/// without ESP then.
pub fn mend<F: Frame>(
    frame: &mut F,
    summary: &mut Summary,
    at: &EspAt,
    framing: esp::Framing,
    hot: &inbound::Hot,
) -> Result<Inner, Drop> {
    let (v4, esp_at) = (summary.is_v4(), usize::from(at.offset));
    // Whether ESP comes in UDP or bare is the peer's to choose (RFC 7296 §2.23).
    let header = if at.ports == (0, 0) { esp_at } else { esp_at.saturating_sub(udp::Repr::LEN) };
    let (text_at, length) =
        (esp_at + framing.front(), usize::from(at.length).saturating_sub(framing.around()));
    let text = frame.data().get(text_at..text_at + length).ok_or(Drop::EspLength)?;
    let esp::Trailer { next_header, payload_length, .. } =
        esp::Trailer::parse(text).map_err(|_| Drop::BadPadding)?;
    if next_header == protocol::NONE {
        return Ok(Inner::Dummy);
    }
    let named_at = if v4 { 0 } else { named_at(frame.data()).ok_or(Drop::MalformedInner)? };
    let shift = text_at - header;
    frame.data_mut().copy_within(..header, shift);
    let packet = frame.reshape(shift as isize, header + payload_length).ok_or(Drop::EspLength)?;
    carry(packet, v4, header, named_at, next_header).ok_or(Drop::MalformedInner)?;
    *summary = Summary::read(packet).map_err(|_| Drop::MalformedInner)?;
    if !hot.admits(summary) {
        return Err(Drop::PolicyError);
    }
    let meta = frame.meta_mut();
    *meta = Meta { instance: hot.inner_instance, origin: Origin::Tunnel, framed: false, ..*meta };
    Ok(Inner::Packet)
}

/// Writes a packet that [`lay_out`] has laid out, and nobody has encrypted yet, as it was before to `out`, which has the
/// room it has and takes no more: a capture shows it so.
pub fn write_clear(packet: &[u8], front: Front, framing: esp::Framing, out: &mut Vec<u8>) -> Option<()> {
    let packet = packet.get(front.link()..)?;
    let (header, end) = (front.headers(), packet.len().checked_sub(framing.icv)?);
    let text = packet.get(header + framing.front()..end)?;
    let trailer = esp::Trailer::parse(text).ok()?;
    let named_at = named_at(packet).unwrap_or(0);
    out.clear();
    if out.capacity() < header + trailer.payload_length {
        return None;
    }
    out.extend_from_slice(packet.get(..header)?);
    out.extend_from_slice(text.get(..trailer.payload_length)?);
    let v4 = packet.first().is_some_and(|first| first >> 4 == 4);
    carry(out, v4, header, named_at, trailer.next_header)
}
