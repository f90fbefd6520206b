//! Checks integrity and decrypts, a burst at a time, each packet under its own key (RFC 4303 §3.4.4,
//! RFC 4106).

use arrayvec::ArrayVec;
use ravelin_gcm::{BURST, BadTag, Open, open_burst};

use crate::io::Frame;
use crate::net::esp;
use crate::node::lookup::Opening;
use crate::sa::suite::{self, ICV_LEN, IV_LEN};
use crate::sa::table::InboundTable;

/// Decrypts each packet that was found in order so far, in place, and writes its verdict. The text of a
/// packet with a bad tag is wiped.
pub fn open<F: Frame>(openings: &mut [Opening<F>], inbound: &InboundTable) {
    for burst in openings.chunks_mut(BURST) {
        let mut lanes = ArrayVec::<Open<'_>, BURST>::new();
        let mut verdicts = ArrayVec::<&mut Result<(), BadTag>, BURST>::new();
        for opening in burst {
            let Opening { frame, place, spi, found, verdict, guess, aad, .. } = opening;
            if found.is_err() {
                continue;
            }
            let (Some(frame), Some(hot)) = (frame, inbound.hot(*place, *spi)) else { continue };
            let Some((iv, text, tag)) = parts(frame.data_mut()) else { continue };
            let nonce = suite::nonce(hot.salt(), iv);
            *aad = hot.aad(guess);
            lanes.push(Open::new(hot.key(), nonce, aad.as_bytes(), text, tag));
            verdicts.push(verdict);
        }
        open_burst(&mut lanes);
        for (lane, verdict) in lanes.iter().zip(verdicts) {
            *verdict = lane.verdict;
        }
    }
}

/// IV, ciphertext and ICV.
#[inline(always)]
fn parts(packet: &mut [u8]) -> Option<([u8; IV_LEN], &mut [u8], [u8; ICV_LEN])> {
    let (iv, rest) = packet.get_mut(esp::Repr::LEN..)?.split_first_chunk_mut()?;
    let (text, tag) = rest.split_last_chunk_mut()?;
    Some((*iv, text, *tag))
}
