//! ESP (RFC 4303): the header in clear, the trailer after decryption, the lengths between.
//!
//! Layout of what this gateway sends and takes: SPI, sequence number, IV, ciphertext of (payload, padding,
//! pad length, next header), ICV. How long IV and ICV are and where the ciphertext may end is the suite's
//! ([`Framing`]); constants here are those of AES-GCM (RFC 4106).

use super::{Layer, Malformed, fill, room, split};

/// Octets of the explicit IV of AES-GCM (RFC 4106 §3.1).
pub const IV_LEN: usize = 8;
/// Octets of pad length and next header.
pub const TRAILER_LEN: usize = 2;
/// Ciphertext ends on a 4-octet boundary (RFC 4303 §2.4).
pub const ALIGNMENT: usize = 4;

/// The longest padding there can be (RFC 4303 §2.4: 1, 2, 3…).
#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const PADDING: [u8; 255] = {
    let mut octets = [0; 255];
    let mut at = 0;
    while at < octets.len() {
        octets[at] = at as u8 + 1;
        at += 1;
    }
    octets
};

/// A checked ESP header and what follows it (IV, ciphertext, ICV).
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; Repr::LEN],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the header; SPI values below 256 are left to the caller's lookup.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Header<'a>, Malformed> {
        let (fixed, payload) = split(Layer::Esp, bytes)?;
        Ok(Header { fixed, payload })
    }

    /// Security parameters index.
    pub const fn spi(&self) -> u32 {
        u32::from_be_bytes([self.fixed[0], self.fixed[1], self.fixed[2], self.fixed[3]])
    }

    /// Low 32 bits of the sequence number.
    pub const fn sequence(&self) -> u32 {
        u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]])
    }

    /// IV, ciphertext and ICV.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The ESP header by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Security parameters index.
    pub spi: u32,
    /// Low 32 bits of the sequence number.
    pub sequence: u32,
}

impl Repr {
    /// Octets of the header.
    pub const LEN: usize = 8;

    /// Reads the header.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        let header = Header::parse(bytes)?;
        Ok(Repr { spi: header.spi(), sequence: header.sequence() })
    }

    /// Writes the header to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let out = room::<{ Repr::LEN }>(Layer::Esp, out)?;
        fill(out, &[&self.spi.to_be_bytes(), &self.sequence.to_be_bytes()]);
        Ok(())
    }
}

/// By pad length: the end of a text with that much padding, as a word, without next header and what is in front.
/// More than six octets of padding a word does not hold.
#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const SHORT: [u64; 7] = {
    let mut words = [0; 7];
    let mut pad = 0;
    while pad < words.len() {
        // 1, 2, 3... end in front of the pad length.
        words[pad] = (pad as u64) << 48 | (0x0006_0504_0302_0100 >> 8) << (48 - 8 * pad) & 0xffff_ffff_ffff;
        pad += 1;
    }
    words
};

/// What the end of a decrypted payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Protocol of the payload: 4 or 41 in tunnel mode, 59 for a dummy packet.
    pub next_header: u8,
    /// Octets of padding.
    pub pad_length: u8,
    /// Octets of payload before the padding.
    pub payload_length: usize,
}

impl Trailer {
    /// Reads the trailer of decrypted text (without IV and ICV). An authenticated peer may still
    /// be wrong or hostile: the pad length is bounded by the text, and the padding is compared
    /// with 1, 2, 3… (RFC 4303 §2.4, "the receiver SHOULD inspect the Padding field").
    #[inline(always)]
    pub fn parse(text: &[u8]) -> Result<Trailer, Malformed> {
        match Trailer::parse_short(text) {
            Some(trailer) => Ok(trailer),
            None => Trailer::parse_any(text),
        }
    }

    /// A trailer with little padding, all right, from the last word of the text.
    #[inline(always)]
    fn parse_short(text: &[u8]) -> Option<Trailer> {
        let word = u64::from_le_bytes(*text.last_chunk()?);
        let (next_header, pad_length) = ((word >> 56) as u8, (word >> 48) as u8);
        let wanted = SHORT.get(usize::from(pad_length))?;
        // Next header and payload are shifted away.
        let differ = (word ^ wanted) << 8 >> (56 - 8 * u32::from(pad_length));
        let payload_length = text.len() - usize::from(pad_length) - TRAILER_LEN;
        (differ == 0).then_some(Trailer { next_header, pad_length, payload_length })
    }

    #[inline(never)]
    fn parse_any(text: &[u8]) -> Result<Trailer, Malformed> {
        let Some((rest, [pad_length, next_header])) = text.split_last_chunk::<TRAILER_LEN>() else {
            return Err(Malformed::truncated(Layer::Esp, TRAILER_LEN, text.len()));
        };
        let pad = usize::from(*pad_length);
        let Some(payload_length) = rest.len().checked_sub(pad) else {
            return Err(Malformed::Length { layer: Layer::Esp, field: "pad length", found: pad });
        };
        let padding = rest.get(payload_length..).unwrap_or_default();
        if let Some((found, _)) = padding.iter().zip(&PADDING).find(|(octet, wanted)| octet != wanted) {
            return Err(Malformed::Field { layer: Layer::Esp, field: "padding", found: u32::from(*found) });
        }
        Ok(Trailer { next_header: *next_header, pad_length: *pad_length, payload_length })
    }

    /// The trailer of a payload of `payload_length` octets, with the least padding that aligns it.
    #[inline]
    pub const fn aligned(payload_length: usize, next_header: u8) -> Trailer {
        Trailer { next_header, pad_length: pad_length(payload_length), payload_length }
    }

    /// Octets of padding, pad length and next header.
    pub const fn length(&self) -> usize {
        self.pad_length as usize + TRAILER_LEN
    }

    /// Writes padding, pad length and next header to the start of `out`.
    pub fn emit(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let have = out.len();
        let out =
            out.get_mut(..self.length()).ok_or(Malformed::truncated(Layer::Esp, self.length(), have))?;
        if let Some((padding, end)) = out.split_last_chunk_mut() {
            padding.iter_mut().zip(&PADDING).for_each(|(to, octet)| *to = *octet);
            *end = [self.pad_length, self.next_header];
        }
        Ok(())
    }
}

/// The trailers with the least padding, of one next header: one for each remainder that a payload's length can leave.
/// Padding, pad length and next header stand at the start of a word; what is behind them is to be overwritten.
#[derive(Debug)]
pub struct Trailers([[u8; 8]; ALIGNMENT]);

impl Trailers {
    /// Those of this next header.
    #[expect(clippy::indexing_slicing, reason = "made while compiling")]
    pub const fn of(next_header: u8) -> Trailers {
        let mut words = [[0; 8]; ALIGNMENT];
        let mut over = 0;
        while over < ALIGNMENT {
            // Padding 1, 2, 3, cut by the pad length.
            let pad = pad_length(over);
            let end = 8 * pad as u32;
            let padding = 0x0003_0201 & ((1u64 << end) - 1);
            words[over] = (padding | (pad as u64 | (next_header as u64) << 8) << end).to_le_bytes();
            over += 1;
        }
        Trailers(words)
    }

    /// The trailer behind a payload of so many octets.
    #[inline(always)]
    pub fn behind(&self, payload_length: usize) -> [u8; 8] {
        match self.0.get(payload_length % ALIGNMENT) {
            Some(trailer) => *trailer,
            None => [0; 8],
        }
    }
}

/// Octets of a payload with the least padding and the rest of its trailer.
#[inline(always)]
pub const fn text_length(payload_length: usize) -> usize {
    (payload_length + TRAILER_LEN + ALIGNMENT - 1) & !(ALIGNMENT - 1)
}

/// The least padding that makes payload and trailer end on [`ALIGNMENT`].
#[inline]
pub const fn pad_length(payload_length: usize) -> u8 {
    let over = (payload_length % ALIGNMENT + TRAILER_LEN) % ALIGNMENT;
    ((ALIGNMENT - over) % ALIGNMENT) as u8
}

/// What a suite puts around a text, and where the text may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Octets of IV.
    pub iv: usize,
    /// The text's length is a multiple of this: a block of the cipher, and at least [`ALIGNMENT`].
    pub block: usize,
    /// Octets of ICV.
    pub icv: usize,
}

impl Framing {
    /// AES-GCM with a 16-octet ICV (RFC 4106).
    pub const GCM: Framing = Framing { iv: IV_LEN, block: ALIGNMENT, icv: 16 };

    /// Octets from the SPI to the text.
    pub const fn front(self) -> usize {
        Repr::LEN + self.iv
    }

    /// Octets around the text.
    pub const fn around(self) -> usize {
        self.front() + self.icv
    }

    /// Octets of the text of an ESP packet of `length` octets; `None` if no packet has that many.
    pub const fn text_within(self, length: usize) -> Option<usize> {
        match length.checked_sub(self.around()) {
            Some(text) if text > 0 && text.is_multiple_of(self.block) => Some(text),
            _ => None,
        }
    }

    /// The trailer of a payload of `payload_length` octets, with the least padding that ends a block (RFC 4303 §2.4).
    pub const fn trailer(self, payload_length: usize, next_header: u8) -> Trailer {
        let over = (payload_length + TRAILER_LEN) % self.block;
        let pad_length = ((self.block - over) % self.block) as u8;
        Trailer { next_header, pad_length, payload_length }
    }

    /// Octets that ESP adds around a payload of `payload_length` octets: header, IV, padding, trailer, ICV (no outer IP
    /// or UDP header).
    pub const fn overhead(self, payload_length: usize) -> usize {
        self.around() + self.trailer(payload_length, 0).length()
    }

    /// The largest payload whose ESP packet (header to ICV) fits into `room` octets; zero if none does.
    pub const fn largest_payload(self, room: usize) -> usize {
        let text = room.saturating_sub(self.around());
        (text - text % self.block).saturating_sub(TRAILER_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::refuses_truncation;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(spi: u32, sequence: u32) {
            let repr = Repr { spi, sequence };
            let mut bytes = [0; Repr::LEN];
            repr.emit(&mut bytes).unwrap();
            prop_assert_eq!(Repr::parse(&bytes), Ok(repr));
            refuses_truncation(&bytes, Repr::LEN, Repr::parse);
        }

        #[test]
        fn trailer_round_trip(payload in 0usize..64, next_header: u8, extra in 0u8..60) {
            let trailer = Trailer { pad_length: pad_length(payload) + extra * 4, ..Trailer::aligned(payload, next_header) };
            let mut text = vec![0xee; payload + trailer.length()];
            trailer.emit(&mut text[payload..]).unwrap();
            prop_assert_eq!(text.len() % ALIGNMENT, 0);
            prop_assert_eq!(Trailer::parse(&text), Ok(trailer));
            prop_assert!(trailer.emit(&mut text[payload + 1..]).is_err());
        }

        /// Read as a word or octet by octet, a trailer is the same, and as wrong.
        #[test]
        fn a_short_trailer_is_any_trailer(mut text in proptest::collection::vec(0u8..9, 8..40), right: bool) {
            if right {
                let pad = usize::from(text[text.len() - 2]).min(text.len() - 2);
                let end = text.len() - 2;
                text[end] = pad as u8;
                (1..=pad).for_each(|n| text[end - pad + n - 1] = n as u8);
            }
            let any = Trailer::parse_any(&text);
            if let Some(short) = Trailer::parse_short(&text) {
                prop_assert_eq!(any, Ok(short));
            } else {
                prop_assert!(any.is_err() || any.is_ok_and(|trailer| usize::from(trailer.pad_length) >= SHORT.len()));
            }
        }

        #[test]
        fn an_aligned_trailer_in_one_word_is_the_same(payload in 0usize..64, next_header: u8) {
            let trailer = Trailer::aligned(payload, next_header);
            let (word, mut octets) = (Trailers::of(next_header).behind(payload), [0; 8]);
            prop_assert_eq!(text_length(payload), payload + trailer.length());
            trailer.emit(&mut octets).unwrap();
            prop_assert_eq!(word, octets);
        }

        #[test]
        fn hostile_trailers_never_reach_outside_the_text(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(trailer) = Trailer::parse(&text) {
                prop_assert_eq!(trailer.payload_length + trailer.length(), text.len());
            }
        }

        #[test]
        fn the_largest_payload_fits_and_one_more_does_not(
            room in 80usize..9000, iv in 0usize..=16, block in prop_oneof![Just(4usize), Just(16)], icv in 8usize..=32,
        ) {
            let framing = Framing { iv, block, icv };
            let payload = framing.largest_payload(room);
            prop_assert!(payload + framing.overhead(payload) <= room);
            prop_assert!(payload + 1 + framing.overhead(payload + 1) > room);
            prop_assert_eq!(framing.text_within(payload + framing.overhead(payload)), Some(payload + framing.trailer(payload, 4).length()));
        }
    }

    /// What is written down for AES-GCM alone is what its framing says.
    #[test]
    fn constants_are_those_of_gcm() {
        for payload in 0..64 {
            assert_eq!(Framing::GCM.trailer(payload, 4), Trailer::aligned(payload, 4));
            assert_eq!(text_length(payload), payload + Framing::GCM.trailer(payload, 4).length());
        }
    }

    #[test]
    fn each_wrong_padding_octet_is_found() {
        let trailer = Trailer { next_header: 4, pad_length: 6, payload_length: 0 };
        let mut text = vec![0; trailer.length()];
        trailer.emit(&mut text).unwrap();
        for at in 0..6 {
            let mut bad = text.clone();
            bad[at] ^= 1;
            assert!(Trailer::parse(&bad).is_err(), "octet {at}");
        }
        for length in 0..text.len() {
            assert!(Trailer::parse(&text[..length]).is_err() || length >= 2);
        }
    }
}
