//! From an ESP packet to its SA: length, SPI, outer addresses, replay window (RFC 4303 §3.4.1-§3.4.3, DP-04).
//!
//! These are the checks before the key is touched; each refuses with a reason of its own, and none changes
//! anything. The next is [`super::open`].

use ravelin_gcm::BadTag;

use crate::io::Frame;
use crate::net::esp;
use crate::net::flow::Summary;
use crate::node::classify::EspAt;
use crate::sa::inbound::{Arrival, Ends};
use crate::sa::replay::{Guess, Replayed};
use crate::sa::spi::{Place, Spi};
use crate::sa::suite::{Aad, ICV_LEN, IV_LEN};
use crate::sa::table::InboundTable;
use crate::verdict::Drop;

/// An ESP packet on its way through decryption. The frame's data begins with the SPI and ends with the ICV.
#[derive(Debug)]
pub struct Opening<F> {
    /// The ESP packet, until it goes on.
    pub frame: Option<F>,
    /// Where the packet came from, and to which of our ends.
    pub ends: Ends,
    /// Where its SA is to be.
    pub place: Place,
    /// Which SA.
    pub spi: Spi,
    /// Instance it arrived in.
    pub instance: u16,
    /// Traffic class of the outer header.
    pub class: u8,
    /// Whether it has passed every check so far, or why it ends here.
    pub found: Result<(), Drop>,
    /// What decryption said; a bad tag until then.
    pub verdict: Result<(), BadTag>,
    /// The sequence number [`find`] found, to be committed when the tag is good.
    pub guess: Guess,
    /// Whether it came from where the peer was last.
    pub arrival: Arrival,
    /// Room for the associated data, made when it is decrypted.
    pub aad: Aad,
}

/// Smallest ESP packet there can be: header, IV, the trailer aligned, ICV.
const SMALLEST: usize = esp::Repr::LEN + IV_LEN + esp::ALIGNMENT + ICV_LEN;

impl<F: Frame> Opening<F> {
    /// The ESP packet that `at` describes in an outer packet; `place` is where its SPI points to. Not looked up yet.
    #[inline(always)]
    pub fn new(mut frame: F, outer: &Summary, at: &EspAt, place: Place) -> Opening<F> {
        frame.truncate(at.end);
        frame.trim_front(at.offset);
        let (ports, [from, to]) = ([at.ports.0, at.ports.1], outer.ends());
        Opening {
            ends: Ends { from, to, ports, v4: [outer.is_v4(); 2] },
            place,
            spi: at.spi,
            instance: frame.meta().instance,
            class: outer.traffic_class(),
            found: Err(Drop::SaMiss),
            verdict: Err(BadTag),
            guess: Guess::NONE,
            arrival: Arrival::Expected,
            aad: Aad::EMPTY,
            frame: Some(frame),
        }
    }
}

/// Finds the SA of an ESP packet and asks everything that can be asked without its key.
#[inline(always)]
pub fn find<F: Frame>(opening: &mut Opening<F>, inbound: &InboundTable) -> Result<(), Drop> {
    let Opening { frame, place, spi, ends, .. } = opening;
    // 1. Length: RFC 4303 §2.4 aligns the ciphertext on four octets.
    let data = frame.as_ref().map_or(&[][..], Frame::data);
    if data.len() < SMALLEST || !data.len().is_multiple_of(esp::ALIGNMENT) {
        return Err(Drop::EspLength);
    }
    let header = esp::Repr::parse(data).map_err(|_| Drop::EspLength)?;
    // 2. SA, by the whole SPI.
    let hot = inbound.hot(*place, *spi).ok_or(Drop::SaMiss)?;
    // 3. Outer addresses (RFC 4301 §4.1, DP-17).
    let Ok(arrival) = hot.arrival(opening.instance, ends) else {
        inbound.counters(*place).inspect(|counters| counters.address.add(1));
        return Err(Drop::IpMismatch);
    };
    // 4. Replay window, which does not move yet.
    let guess = match hot.window().check(header.sequence) {
        Ok(guess) => guess,
        Err(replayed) => return Err(count_replay(inbound, *place, replayed)),
    };
    (opening.guess, opening.arrival) = (guess, arrival);
    Ok(())
}

/// Counts a refused sequence number with its SA; the drop reason.
#[cold]
pub fn count_replay(inbound: &InboundTable, place: Place, replayed: Replayed) -> Drop {
    let counters = inbound.counters(place);
    match replayed {
        Replayed::Duplicate { .. } => {
            counters.inspect(|counters| counters.duplicate.add(1));
            Drop::ReplayDuplicate
        }
        Replayed::TooOld { .. } => {
            counters.inspect(|counters| counters.too_old.add(1));
            Drop::ReplayTooOld
        }
    }
}
