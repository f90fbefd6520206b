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

/// ESP packets decrypted together at most: as many as the cipher considers together.
pub const TOGETHER: usize = ravelin_gcm::BURST;
/// The same where they are of more than [`FEW`] SAs: what is asked for of the SAs of more would displace itself.
const OF_MANY: usize = 32;
const FEW: usize = 8;

/// How many of the packets that wait are decrypted together. The more there are, the more of them are alike: sizes in no
/// order cost the cipher a tenth less by twice as many.
#[inline(always)]
pub fn together<F>(waiting: &[Opening<F>]) -> usize {
    let anew = waiting.iter().take(TOGETHER).filter(|opening| !opening.follows).count();
    waiting.len().min(if anew > FEW { OF_MANY } else { TOGETHER })
}

/// Packets to be decrypted together.
pub type Lanes<'a> = ArrayVec<Open<'a>, TOGETHER>;

/// Room for the associated data of [`TOGETHER`] packets.
pub type Room = [Aad; TOGETHER];

/// Nothing in it.
pub const ROOM: Room = [Aad::EMPTY; TOGETHER];

/// Asks of each of at most [`TOGETHER`] packets what can be asked without its key, writes down the answer, and lays
/// out for decryption what is found in order so far. Gives back whether some are [`super::apart`]'s.
#[inline(never)]
pub fn lay_out<'a, F: Frame>(
    openings: &'a mut [Opening<F>],
    inbound: &'a InboundTable,
    room: &'a mut Room,
    lanes: &mut Lanes<'a>,
) -> bool {
    let (mut room, mut any_apart) = (room.iter_mut(), false);
    for run in openings.chunk_by_mut(Opening::is_followed_by) {
        let hot = run.first().and_then(|first| inbound.hot(first.place, first.esp.spi));
        let keyed = hot.and_then(|hot| Some((hot, hot.key()?)));
        any_apart |= hot.is_some() && keyed.is_none();
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
    any_apart
}

#[inline(always)]
fn lane<'a>(Found { parts, hot, key, guess, .. }: Found<'a>, room: &'a mut Aad) -> Open<'a> {
    let nonce = suite::nonce(hot.salt(), *parts.iv);
    Open::new(key, nonce, hot.aad(parts.header, guess, room), parts.text, *parts.tag)
}

/// Lanes whose tags are bad, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forged(u64);

const _: () = assert!(TOGETHER <= u64::BITS as usize);

/// Decrypts each packet in place. The text of a packet with a bad tag is wiped.
#[inline(always)]
pub fn open(lanes: &mut Lanes<'_>) -> Forged {
    open_burst(lanes);
    Forged(lanes.iter().rev().fold(0, |bits, lane| bits << 1 | u64::from(lane.verdict.is_err())))
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
