//! From an ESP packet to its SA: length, SPI, outer addresses, replay window (RFC 4303 §3.4.1-§3.4.3, DP-04).
//!
//! These are the checks before the key is touched; each refuses with a reason of its own, and none changes
//! anything. The next is [`super::open`].

use ravelin_gcm::BadTag;

use crate::io::Frame;
use crate::net::esp;
use crate::node::Packet;
use crate::node::classify::EspAt;
use crate::sa::Endpoint;
use crate::sa::inbound::Arrival;
use crate::sa::replay::{Guess, Replayed};
use crate::sa::spi::{Place, Spi};
use crate::sa::suite::{self, Aad, ICV_LEN, IV_LEN};
use crate::sa::table::InboundTable;
use crate::verdict::Drop;

/// An ESP packet whose SA is known, on its way through decryption. The frame's data begins with the SPI
/// and ends with the ICV.
#[derive(Debug)]
pub struct Opening<F> {
    /// The ESP packet; its summary still describes the outer packet.
    pub packet: Packet<F>,
    /// Where the SA is.
    pub place: Place,
    /// Which it is.
    pub spi: Spi,
    /// The sequence number, to be committed when the tag is good.
    pub guess: Guess,
    /// Where the packet came from.
    pub from: Endpoint,
    /// Whether that is where the peer was last.
    pub arrival: Arrival,
    /// Nonce of the packet.
    pub nonce: [u8; 12],
    /// Associated data of the packet.
    pub aad: Aad,
    /// What decryption said; a bad tag until then.
    pub verdict: Result<(), BadTag>,
}

/// Smallest ESP packet there can be: header, IV, the trailer aligned, ICV.
const SMALLEST: usize = esp::Repr::LEN + IV_LEN + esp::ALIGNMENT + ICV_LEN;

/// Finds the SA of the ESP packet that `at` describes. `place` is where its SPI points to.
pub fn find<F: Frame>(
    mut packet: Packet<F>,
    at: &EspAt,
    place: Place,
    inbound: &InboundTable,
) -> Result<Opening<F>, (F, Drop)> {
    packet.frame.truncate(at.end);
    packet.frame.trim_front(at.offset);
    match check(&packet, at, place, inbound) {
        Ok(found) => Ok(opening(packet, at, place, found)),
        Err(reason) => Err((packet.frame, reason)),
    }
}

struct Found {
    guess: Guess,
    from: Endpoint,
    arrival: Arrival,
    nonce: [u8; 12],
    aad: Aad,
}

fn opening<F>(packet: Packet<F>, at: &EspAt, place: Place, found: Found) -> Opening<F> {
    let Found { guess, from, arrival, nonce, aad } = found;
    Opening { packet, place, spi: at.spi, guess, from, arrival, nonce, aad, verdict: Err(BadTag) }
}

fn check<F: Frame>(
    packet: &Packet<F>,
    at: &EspAt,
    place: Place,
    inbound: &InboundTable,
) -> Result<Found, Drop> {
    // 1. Length: RFC 4303 §2.4 aligns the ciphertext on four octets.
    let data = packet.frame.data();
    if data.len() < SMALLEST || !data.len().is_multiple_of(esp::ALIGNMENT) {
        return Err(Drop::EspLength);
    }
    let (header, iv) = header_and_iv(data).ok_or(Drop::EspLength)?;
    // 2. SA, by the whole SPI.
    let hot = inbound.hot(place, at.spi).ok_or(Drop::SaMiss)?;
    let counters = inbound.counters(place);
    // 3. Outer addresses (RFC 4301 §4.1, DP-17).
    let flow = &packet.summary.flow;
    let from = Endpoint { address: flow.source, port: at.ports.0 };
    let to = Endpoint { address: flow.destination, port: at.ports.1 };
    let arrival = hot.arrival(packet.meta().instance, from, to).map_err(|_| {
        counters.inspect(|counters| counters.address.add(1));
        Drop::IpMismatch
    })?;
    // 4. Replay window, which does not move yet.
    let guess = hot.window().check(header.sequence).map_err(|replayed| {
        counters.inspect(|counters| match replayed {
            Replayed::Duplicate { .. } => counters.duplicate.add(1),
            Replayed::TooOld { .. } => counters.too_old.add(1),
        });
        replay_reason(replayed)
    })?;
    let (nonce, aad) = (suite::nonce(hot.salt(), iv), hot.aad(&guess));
    Ok(Found { guess, from, arrival, nonce, aad })
}

fn header_and_iv(data: &[u8]) -> Option<(esp::Repr, [u8; IV_LEN])> {
    let header = esp::Repr::parse(data).ok()?;
    Some((header, *data.get(esp::Repr::LEN..)?.first_chunk()?))
}

/// The drop reason of a refused sequence number.
pub const fn replay_reason(replayed: Replayed) -> Drop {
    match replayed {
        Replayed::Duplicate { .. } => Drop::ReplayDuplicate,
        Replayed::TooOld { .. } => Drop::ReplayTooOld,
    }
}
