//! Checks integrity and decrypts, a burst at a time, each packet under its own key (RFC 4303 §3.4.4,
//! RFC 4106).

use arrayvec::ArrayVec;
use ravelin_gcm::{BURST, BadTag, Open, open_burst};

use crate::io::Frame;
use crate::net::esp;
use crate::node::lookup::Opening;
use crate::sa::suite::{ICV_LEN, IV_LEN};
use crate::sa::table::InboundTable;

/// Decrypts each packet in place and writes its verdict. The text of a packet with a bad tag is wiped.
pub fn open<F: Frame>(openings: &mut [Opening<F>], inbound: &InboundTable) {
    for burst in openings.chunks_mut(BURST) {
        let mut lanes = ArrayVec::<Open<'_>, BURST>::new();
        let mut verdicts = ArrayVec::<&mut Result<(), BadTag>, BURST>::new();
        for opening in burst {
            let Opening { packet, place, spi, nonce, aad, verdict, .. } = opening;
            let Some(hot) = inbound.hot(*place, *spi) else { continue };
            let Some((text, tag)) = text_and_tag(packet.frame.data_mut()) else { continue };
            lanes.push(Open::new(hot.key(), *nonce, aad.as_bytes(), text, tag));
            verdicts.push(verdict);
        }
        open_burst(&mut lanes);
        for (lane, verdict) in lanes.iter().zip(verdicts) {
            *verdict = lane.verdict;
        }
    }
}

fn text_and_tag(packet: &mut [u8]) -> Option<(&mut [u8], [u8; ICV_LEN])> {
    let (text, tag) = packet.get_mut(esp::Repr::LEN + IV_LEN..)?.split_last_chunk_mut()?;
    Some((text, *tag))
}
