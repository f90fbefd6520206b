//! What is asked of an ESP packet before the key is touched: length, SPI, outer addresses, replay window
//! (RFC 4303 §3.4.1-§3.4.3, DP-04).
//!
//! Each check refuses with a reason of its own, and none changes anything. The next is [`super::open`]'s; to find
//! the SA that an SPI names is the caller's, who does so once for all packets in a row that name it.

use crate::net::esp;
use crate::net::flow::Summary;
use crate::node::classify::EspAt;
use crate::sa::inbound::{Arrival, Hot};
use crate::sa::replay::{Guess, Replayed};
use crate::sa::suite::{ICV_LEN, IV_LEN};
use crate::verdict::Drop;
use ravelin_gcm::Key;

/// Smallest ESP packet there can be: header, IV, the trailer aligned, ICV.
const SMALLEST: usize = esp::Repr::LEN + IV_LEN + esp::ALIGNMENT + ICV_LEN;

/// An ESP packet in its parts.
#[derive(Debug)]
pub struct Parts<'a> {
    /// SPI and sequence number.
    pub header: &'a [u8; esp::Repr::LEN],
    /// Explicit IV.
    pub iv: &'a [u8; IV_LEN],
    /// Ciphertext.
    pub text: &'a mut [u8],
    /// ICV.
    pub tag: &'a [u8; ICV_LEN],
}

impl<'a> Parts<'a> {
    /// The parts of `packet`, if it is long enough to have them and of a length that ESP has: RFC 4303 §2.4
    /// aligns the ciphertext on four octets.
    #[inline(always)]
    pub fn split(packet: &'a mut [u8]) -> Option<Parts<'a>> {
        if packet.len() < SMALLEST || !packet.len().is_multiple_of(esp::ALIGNMENT) {
            return None;
        }
        let (header, rest) = packet.split_first_chunk_mut()?;
        let (iv, rest) = rest.split_first_chunk_mut()?;
        let (text, tag) = rest.split_last_chunk_mut()?;
        Some(Parts { header, iv, text, tag })
    }

    /// The low half of the sequence number.
    #[inline(always)]
    const fn sequence(&self) -> u32 {
        let [_, _, _, _, a, b, c, d] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }
}

/// An ESP packet that only its tag is left to speak against.
#[derive(Debug)]
pub struct Found<'a> {
    /// Its parts.
    pub parts: Parts<'a>,
    /// Its SA.
    pub hot: &'a Hot,
    /// The SA's key.
    pub key: &'a Key,
    /// How its outer addresses compare with those of the SA.
    pub arrival: Arrival,
    /// Its sequence number.
    pub guess: Guess,
}

/// Asks of an ESP packet everything that can be asked without its key. It lies in `packet`, which arrived in
/// `instance`, as `outer` and `at` say; `keyed` is the SA it names, if there is one of AES-GCM, and its key.
#[inline(always)]
pub fn find<'a>(
    packet: &'a mut [u8],
    instance: u16,
    outer: &Summary,
    at: &EspAt,
    keyed: Option<(&'a Hot, &'a Key)>,
) -> Result<Found<'a>, Drop> {
    // 1. Length.
    let parts = at.within(packet).and_then(Parts::split).ok_or(Drop::EspLength)?;
    // 2. SA, by the whole SPI.
    let (hot, key) = keyed.ok_or(Drop::SaMiss)?;
    let (arrival, guess) = ask(instance, outer, at, hot, parts.sequence())?;
    Ok(Found { parts, hot, key, arrival, guess })
}

/// Asks the SA of an ESP packet what it can say without its key.
#[inline(always)]
pub fn ask(
    instance: u16,
    outer: &Summary,
    at: &EspAt,
    hot: &Hot,
    sequence: u32,
) -> Result<(Arrival, Guess), Drop> {
    // 3. Outer addresses (RFC 4301 §4.1, DP-17).
    let arrival = hot.arrival(instance, outer, at.ports).map_err(|_| Drop::IpMismatch)?;
    // 4. Replay window, which does not move yet.
    let guess = hot.window().check(sequence).map_err(replay_reason)?;
    Ok((arrival, guess))
}

/// The drop reason of a refused sequence number.
#[cold]
pub const fn replay_reason(replayed: Replayed) -> Drop {
    match replayed {
        Replayed::Duplicate { .. } => Drop::ReplayDuplicate,
        Replayed::TooOld { .. } => Drop::ReplayTooOld,
    }
}
