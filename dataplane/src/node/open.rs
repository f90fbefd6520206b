//! Checks integrity and decrypts, some packets at a time, each under its own key (RFC 4303 §3.4.4, RFC 4106).
//!
//! Two steps: [`lay_out`] what [`super::lookup`] lets pass, and [`open`] it. Packets of one SA mostly come in a row;
//! it is looked up once for all of them. Here an SA is one of AES-GCM; others are [`super::apart`]'s.

use arrayvec::ArrayVec;
use ravelin_gcm::{Open, open_burst};

use crate::io::Frame;
use crate::node::lookup::{self, Found};
use crate::node::opening::{Opening, Stage};
use crate::sa::suite::{self, Aad};
use crate::sa::table::InboundTable;
use crate::verdict::Drop;

/// ESP packets decrypted together.
pub const TOGETHER: usize = 32;

/// Packets to be decrypted together.
pub type Lanes<'a> = ArrayVec<Open<'a>, TOGETHER>;

/// Room for the associated data of [`TOGETHER`] packets.
pub type Room = [Aad; TOGETHER];

/// Nothing in it.
pub const ROOM: Room = [Aad::EMPTY; TOGETHER];

/// Asks of each of at most [`TOGETHER`] packets what can be asked without its key, writes down the answer, and lays
/// out for decryption what is found in order so far.
#[inline(never)]
pub fn lay_out<'a, F: Frame>(
    openings: &'a mut [Opening<F>],
    inbound: &'a InboundTable,
    room: &'a mut Room,
    lanes: &mut Lanes<'a>,
) {
    let mut room = room.iter_mut();
    for run in openings.chunk_by_mut(Opening::is_followed_by) {
        let hot = run.first().and_then(|first| inbound.hot(first.place, first.esp.spi));
        let keyed = hot.and_then(|hot| Some((hot, hot.key()?)));
        for (opening, room) in run.iter_mut().zip(room.by_ref()) {
            let Opening { frame, summary, esp, stage, guess, .. } = opening;
            let Some(frame) = frame else { continue };
            let instance = frame.meta().instance;
            *stage = match lookup::find(frame.data_mut(), instance, summary, esp, keyed) {
                Ok(found) => {
                    *guess = found.guess;
                    let arrival = found.arrival;
                    lanes.push(lane(found, room));
                    Stage::Found(arrival)
                }
                Err(reason) => Stage::Refused(reason),
            };
        }
    }
}

#[inline(always)]
fn lane<'a>(Found { parts, hot, key, guess, .. }: Found<'a>, room: &'a mut Aad) -> Open<'a> {
    let nonce = suite::nonce(hot.salt(), *parts.iv);
    Open::new(key, nonce, hot.aad(parts.header, guess, room), parts.text, *parts.tag)
}

/// Lanes whose tags are bad, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forged(u32);

const _: () = assert!(TOGETHER <= u32::BITS as usize);

/// Decrypts each packet in place. The text of a packet with a bad tag is wiped.
#[inline(always)]
pub fn open(lanes: &mut Lanes<'_>) -> Forged {
    open_burst(lanes);
    Forged(lanes.iter().rev().fold(0, |bits, lane| bits << 1 | u32::from(lane.verdict.is_err())))
}

/// Refuses packets whose tags are bad, of those that were laid out.
#[inline(always)]
pub fn refuse<F>(openings: &mut [Opening<F>], forged: Forged) {
    if forged != Forged(0) {
        refuse_some(openings, forged);
    }
}

#[cold]
fn refuse_some<F>(openings: &mut [Opening<F>], Forged(bits): Forged) {
    let laid_out = openings.iter_mut().filter(|opening| matches!(opening.stage, Stage::Found(_)));
    for (lane, opening) in laid_out.enumerate() {
        if bits >> lane & 1 == 1 {
            opening.stage = Stage::Refused(Drop::BadIcv);
        }
    }
}
