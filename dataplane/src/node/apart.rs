//! Encrypts and decrypts under SAs whose suite is not AES-GCM, a packet at a time (RFC 4303 §3.3, §3.4; DP-08), and believes
//! packets of any suite that are not tunnelled; lays out what is padded against traffic analysis too (RFC 4303 §2.7).
//!
//! These packets take the ordinary way but for three stations. On their way out nothing fits into their tunnel as a
//! matter of course ([`crate::sa::wrap::Wrap::set_apart`]), so they are found where a packet is asked for its size, and
//! from there go by [`lay_out`] and [`seal`]; on their way in [`super::open`] knows no SA for them, and [`accept`] does
//! everything at once. A packet of AES-GCM pays nothing for it.

use crate::cipher::Position;
use crate::io::{Frame, Meta};
use crate::net::esp;
use crate::net::flow::Summary;
use crate::net::protocol;
use crate::node::inspect::{self, Accepted};
use crate::node::opening::{Opening, Stage};
use crate::node::seal::{Laid, Order, Sealing, esp_header, stopped_reason};
use crate::node::{forward, lookup, transport};
use crate::sa::Mode;
use crate::sa::inbound;
use crate::sa::outbound::{Departure, Hot};
use crate::sa::sequence::Number;
use crate::sa::wrap::{ROOM, Varying};
use crate::verdict::Drop;

/// What an ESP packet is laid around.
struct Text {
    /// Octets that are in the frame.
    length: usize,
    /// The same with padding against traffic analysis.
    padded: usize,
    next_header: u8,
    traffic_class: u8,
}

/// [`super::seal::lay_out`] for a suite of any framing, and for packets to be padded.
pub fn lay_out<F: Frame>(
    frame: &mut F,
    summary: &Summary,
    hot: &mut Hot,
    order: Order,
) -> Result<Laid, Drop> {
    let length = summary.length();
    let padded = length + hot.wrap.padding(length);
    let next_header = if summary.is_v4() { protocol::IPV4 } else { protocol::IPV6 };
    let text = Text { length, padded, next_header, traffic_class: summary.traffic_class() };
    lay_around(frame, &text, hot, order)
}

/// Makes an empty frame a dummy packet (RFC 4303 §2.6), as long as what is padded.
pub fn lay_out_dummy<F: Frame>(frame: &mut F, hot: &mut Hot, order: Order) -> Result<Laid, Drop> {
    let padded = usize::from(hot.wrap.padded_to);
    let text = Text { length: 0, padded, next_header: protocol::NONE, traffic_class: 0 };
    lay_around(frame, &text, hot, order)
}

fn lay_around<F: Frame>(
    frame: &mut F,
    &Text { length, padded, next_header, traffic_class }: &Text,
    hot: &mut Hot,
    Order { departs, hop, dont_fragment, id }: Order,
) -> Result<Laid, Drop> {
    let framing = hot.suite().framing();
    let departs = departs && padded <= usize::from(hot.departure().largest);
    let front = if departs { hot.wrap.front() } else { hot.wrap.front_unled().ok_or(Drop::NoRoom)? };
    let trailer = framing.trailer(padded, next_header);
    let (before, behind) = (ROOM + framing.front(), framing.around() + padded + trailer.length());
    // Room first: a number once taken must not be wasted, and a packet half built must not be sent.
    let out = frame.surround(before, ROOM + behind, ROOM - front.octets());
    let (outer, esp) = out.and_then(<[u8]>::split_first_chunk_mut::<ROOM>).ok_or(Drop::NoRoom)?;
    let (header, text) = esp.split_at_mut_checked(framing.front()).ok_or(Drop::NoRoom)?;
    // Nothing of what the buffer held before is sent along.
    text.get_mut(length..padded).ok_or(Drop::NoRoom)?.fill(0);
    text.get_mut(padded..).and_then(|end| trailer.emit(end).ok()).ok_or(Drop::NoRoom)?;
    if hop && !forward::take_hop_of(text, next_header == protocol::IPV4) {
        return Err(Drop::TtlExpired);
    }
    // RFC 4301 §4.4.2.1: a lifetime counts what is encrypted.
    let (number, facts) = hot.number(padded).map_err(stopped_reason)?;
    write_header(header, hot, &number).ok_or(Drop::NoRoom)?;
    let varying = Varying { class: traffic_class, dont_fragment, id, behind };
    hot.wrap.emit(outer, varying).ok_or(Drop::NoRoom)?;
    if departs {
        let (meta, Departure { port, vlan, .. }): (&mut Meta, _) = (frame.meta_mut(), hot.departure());
        (meta.port, meta.vlan) = (*port, *vlan);
    }
    Ok(Laid::new(number, hot.spi(), front, facts))
}

/// SPI and sequence number; the IV of AES-GCM, others write their own where they encrypt.
pub(super) fn write_header(header: &mut [u8], hot: &Hot, number: &Number) -> Option<()> {
    match hot.key() {
        Some(_) => header.copy_from_slice(&esp_header(hot.spi(), number)),
        None => esp::Repr { spi: hot.spi().0, sequence: number.low() }.emit(header).ok()?,
    }
    Some(())
}

/// Encrypts packets of one SA in place and writes their ICVs.
#[cold]
pub fn seal<F: Frame>(sealings: &mut [Sealing<F>], hot: &Hot) {
    let Some(apart) = hot.apart() else { return };
    for sealing in sealings {
        let at = Position { sequence: sealing.sequence(), esn: hot.esn() };
        sealing.sealed = apart.sealer.seal(at, sealing.esp_mut()).is_ok();
    }
}

/// Asks packets of one SA everything that was not asked yet, in the order of RFC 4303 §3.4, and looks into those that it
/// believes.
#[cold]
pub fn accept<F: Frame>(openings: &mut [Opening<F>], hot: &mut inbound::Hot) -> Accepted {
    let (mut accepted, framing) = (Accepted::default(), hot.suite().framing());
    for opening in openings {
        let opened = match (hot.apart().is_some(), opening.stage) {
            (true, _) => open(opening, hot, framing),
            (false, Stage::Found(arrival)) => Ok(arrival),
            (false, Stage::Refused(reason)) => Err(reason),
            (false, Stage::Opened(_)) => continue,
        };
        match (opened, hot.mode()) {
            (Ok(arrival), Mode::Tunnel) => {
                inspect::accept_one(opening, arrival, hot, framing, &mut accepted, inspect::inspect);
            }
            (Ok(arrival), Mode::Transport) => {
                inspect::accept_one(opening, arrival, hot, framing, &mut accepted, transport::mend);
            }
            (Err(reason), _) => opening.stage = Stage::Refused(reason),
        }
    }
    accepted
}

/// Length, addresses, replay window, ICV; then decrypts.
fn open<F: Frame>(
    opening: &mut Opening<F>,
    hot: &inbound::Hot,
    framing: esp::Framing,
) -> Result<inbound::Arrival, Drop> {
    let Opening { frame: Some(frame), summary, esp, guess, .. } = opening else { return Err(Drop::SaMiss) };
    let (instance, opener) = (frame.meta().instance, hot.apart().ok_or(Drop::SaMiss)?);
    let packet = esp.within(frame.data_mut()).ok_or(Drop::EspLength)?;
    framing.text_within(packet.len()).ok_or(Drop::EspLength)?;
    let header = esp::Repr::parse(packet).map_err(|_| Drop::EspLength)?;
    let (arrival, number) = lookup::ask(instance, summary, esp, hot, header.sequence)?;
    let at = Position { sequence: number.sequence(), esn: hot.window().esn() };
    opener.open(at, packet).map_err(|_| Drop::BadIcv)?;
    *guess = number;
    Ok(arrival)
}
