//! An ESP packet of an AEAD cipher in its parts, and what of it is authenticated and not encrypted: the same with
//! ChaCha20-Poly1305 and AES-CCM.

use super::Position;

/// SPI and sequence number.
const HEADER: usize = 8;
/// Octets of explicit IV.
pub(super) const IV: usize = 8;
/// Octets of ICV.
const ICV: usize = 16;

/// An ESP packet in its parts.
pub(super) struct Parts<'a> {
    pub(super) header: &'a [u8; HEADER],
    pub(super) iv: &'a mut [u8; IV],
    pub(super) text: &'a mut [u8],
    pub(super) icv: &'a mut [u8; ICV],
}

impl<'a> Parts<'a> {
    pub(super) fn split(packet: &'a mut [u8]) -> Option<Parts<'a>> {
        let (header, rest) = packet.split_first_chunk_mut()?;
        let (iv, rest) = rest.split_first_chunk_mut()?;
        let (text, icv) = rest.split_last_chunk_mut()?;
        Some(Parts { header, iv, text, icv })
    }
}

/// "The AAD" is SPI and sequence number, of which with ESN all 64 bits (RFC 7634 §2.1, RFC 4309 §5, RFC 4106 §5).
pub(super) fn associated(header: &[u8; HEADER], at: Position) -> ([u8; 12], usize) {
    let [a, b, c, d, e, f, g, h] = *header;
    let [i, j, k, l] = ((at.sequence >> 32) as u32).to_be_bytes();
    match at.esn {
        true => ([a, b, c, d, i, j, k, l, e, f, g, h], 12),
        false => ([a, b, c, d, e, f, g, h, 0, 0, 0, 0], 8),
    }
}
