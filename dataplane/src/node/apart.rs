//! Encrypts and decrypts under SAs whose suite is not AES-GCM (RFC 4303 §3.3, §3.4; DP-08), and believes packets of any suite
//! that are not tunnelled; lays out what is padded against traffic analysis too (RFC 4303 §2.7).
//!
//! These packets take the ordinary way but for some stations. On their way out nothing fits into their tunnel as a
//! matter of course ([`crate::sa::wrap::Wrap::set_apart`]), so they are found where a packet is asked for its size, and
//! from there go by [`lay_out`] and [`seal`]; on their way in [`super::open`] has no key for them, and they go by [`open`]
//! and [`accept`]. Of a burst those that are apart are encrypted or decrypted together. A packet of AES-GCM pays nothing for
//! it.

use arrayvec::ArrayVec;

use crate::cipher::{self, Position};
use crate::io::Frame;
use crate::net::esp;
use crate::net::flow::Summary;
use crate::net::protocol;
use crate::node::classify::EspAt;
use crate::node::inspect::{self, Accepted};
use crate::node::opening::{Opening, Stage};
use crate::node::seal::{Laid, Order, Sealing, depart, esp_header, stopped_reason};
use crate::node::{forward, lookup, transport};
use crate::sa::Mode;
use crate::sa::inbound::{self, Arrival};
use crate::sa::outbound::Hot;
use crate::sa::replay::Guess;
use crate::sa::sequence::Number;
use crate::sa::table::{InboundTable, OutboundTable};
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
        depart(frame, hot);
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

/// Encrypts in place those packets that are apart, and writes their ICVs.
#[cold]
#[inline(never)]
pub fn seal<F: Frame>(sealings: &mut [Sealing<F>], outbound: &OutboundTable) {
    sealings.chunks_mut(cipher::BURST).for_each(|burst| seal_some(burst, outbound));
}

fn seal_some<F: Frame>(burst: &mut [Sealing<F>], outbound: &OutboundTable) {
    let (mut lanes, mut outcomes) = (Lanes::<cipher::Seal<'_>>::new(), Lanes::<&mut bool>::new());
    for sealing in burst {
        let Some(hot) = sealing.hot(outbound) else { continue };
        let Some(apart) = hot.apart() else { continue };
        let at = Position { sequence: sealing.sequence(), esn: hot.esn() };
        let (packet, sealed) = sealing.esp_mut();
        lanes.push(cipher::Seal::new(&apart.sealer, at, packet));
        outcomes.push(sealed);
    }
    cipher::seal_burst(&mut lanes);
    for (lane, sealed) in lanes.iter().zip(outcomes) {
        *sealed = lane.verdict.is_ok();
    }
}

/// Something of each packet of a burst.
type Lanes<T> = ArrayVec<T, { cipher::BURST }>;

/// Asks those of at most [`cipher::BURST`] packets that are apart everything that can be asked without the window moving, in
/// the order of RFC 4303 §3.4, and decrypts them.
#[cold]
#[inline(never)]
pub fn open<F: Frame>(burst: &mut [Opening<F>], inbound: &InboundTable) {
    let (mut lanes, mut outcomes) = (Lanes::<cipher::Open<'_>>::new(), Lanes::<&mut Stage>::new());
    for opening in burst {
        let Opening { frame: Some(frame), summary, esp, place, stage, guess, .. } = opening else { continue };
        let Some(hot) = inbound.hot(*place, esp.spi).filter(|hot| hot.apart().is_some()) else { continue };
        match find(frame, summary, esp, hot) {
            Ok((arrival, number, lane)) => {
                (*stage, *guess) = (Stage::Found(arrival), number);
                lanes.push(lane);
                outcomes.push(stage);
            }
            Err(reason) => *stage = Stage::Refused(reason),
        }
    }
    cipher::open_burst(&mut lanes);
    for (lane, stage) in lanes.iter().zip(outcomes) {
        if lane.verdict.is_err() {
            *stage = Stage::Refused(Drop::BadIcv);
        }
    }
}

/// Length, addresses, replay window.
fn find<'a, F: Frame>(
    frame: &'a mut F,
    outer: &Summary,
    at: &EspAt,
    hot: &'a inbound::Hot,
) -> Result<(Arrival, Guess, cipher::Open<'a>), Drop> {
    let (instance, opener) = (frame.meta().instance, hot.apart().ok_or(Drop::SaMiss)?);
    let packet = at.within(frame.data_mut()).ok_or(Drop::EspLength)?;
    hot.suite().framing().text_within(packet.len()).ok_or(Drop::EspLength)?;
    let header = esp::Repr::parse(packet).map_err(|_| Drop::EspLength)?;
    let (arrival, guess) = lookup::ask(instance, outer, at, hot, header.sequence)?;
    let position = Position { sequence: guess.sequence(), esn: hot.window().esn() };
    Ok((arrival, guess, cipher::Open::new(opener, position, packet)))
}

/// Believes packets of one SA that were decrypted, and looks into them, as [`inspect::accept`] does with ordinary ones.
#[cold]
pub fn accept<F: Frame>(openings: &mut [Opening<F>], hot: &mut inbound::Hot) -> Accepted {
    let (mut accepted, framing) = (Accepted::default(), hot.suite().framing());
    for opening in openings {
        let Stage::Found(arrival) = opening.stage else { continue };
        match hot.mode() {
            Mode::Tunnel => {
                inspect::accept_one(opening, arrival, hot, framing, &mut accepted, inspect::inspect);
            }
            Mode::Transport => {
                inspect::accept_one(opening, arrival, hot, framing, &mut accepted, transport::mend);
            }
        }
    }
    accepted
}
