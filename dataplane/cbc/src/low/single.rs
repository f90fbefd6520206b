//! HMAC of one message (RFC 2104 §2) over `sha1`'s and `sha2`'s compression, and what messages end with (FIPS 180-4 §5.1).

use sha2::block_api::{compress256, compress512};

use crate::MAC;

/// A word of a hash.
pub(crate) trait Word: Copy + Default + 'static {
    /// Octets of a word.
    const OCTETS: usize = size_of::<Self>();

    /// Writes a word, the high octet first.
    fn write(self, to: &mut [u8]);
}

impl Word for u32 {
    #[inline(always)]
    fn write(self, to: &mut [u8]) {
        to.iter_mut().zip(self.to_be_bytes()).for_each(|(to, octet)| *to = octet);
    }
}

impl Word for u64 {
    #[inline(always)]
    fn write(self, to: &mut [u8]) {
        to.iter_mut().zip(self.to_be_bytes()).for_each(|(to, octet)| *to = octet);
    }
}

/// A function that takes blocks of so many octets into a state of at most eight words (FIPS 180-4 §6).
pub(crate) trait Function<const BLOCK: usize> {
    type Word: Word;

    /// Takes blocks into a state.
    fn compress(state: &mut [Self::Word; 8], blocks: &[[u8; BLOCK]]);
}

/// SHA-1: the last three words of its state are nothing.
pub(crate) struct Sha1;
/// SHA-256.
pub(crate) struct Sha256;
/// SHA-512, and SHA-384.
pub(crate) struct Sha512;

impl Function<64> for Sha1 {
    type Word = u32;

    fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
        if let Some(five) = state.first_chunk_mut() {
            sha1::block_api::compress(five, blocks);
        }
    }
}

impl Function<64> for Sha256 {
    type Word = u32;

    fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
        compress256(state, blocks);
    }
}

impl Function<128> for Sha512 {
    type Word = u64;

    fn compress(state: &mut [u64; 8], blocks: &[[u8; 128]]) {
        compress512(state, blocks);
    }
}

/// The last block or two of a message: what did not fill one, a bit, zeros, and how long the whole was.
#[derive(Clone, Copy)]
pub(crate) struct Tail<const BLOCK: usize> {
    blocks: [[u8; BLOCK]; 2],
    number: usize,
}

impl<const BLOCK: usize> Tail<BLOCK> {
    /// Nothing.
    pub(crate) const NONE: Tail<BLOCK> = Tail { blocks: [[0; BLOCK]; 2], number: 0 };

    /// Of a message that ends with `rest`, less than a block, and a `suffix`, and had `before` octets in front of them.
    pub(crate) fn of(before: usize, rest: &[u8], suffix: &[u8]) -> Tail<BLOCK> {
        let mut tail = Tail::NONE;
        tail.blocks.as_flattened_mut()[..rest.len()].copy_from_slice(rest);
        tail.end(before, rest.len(), suffix);
        tail
    }

    /// [`Tail::of`] behind so many octets of rest, which are there already, and zeros.
    #[inline(always)]
    pub(crate) fn end(&mut self, before: usize, rest: usize, suffix: &[u8]) {
        // All of them at once: they are few, and each call to copy a few costs more than they do.
        let mut end = [0; 8];
        end.iter_mut().zip(suffix.iter().chain(&[0x80])).for_each(|(to, octet)| *to = *octet);
        let (octets, length) = (self.blocks.as_flattened_mut(), rest + suffix.len());
        octets[rest..rest + 8].copy_from_slice(&end);
        // The length takes two words: 64 bits, or 128, whose upper half is zero of what fits into memory.
        self.number = if length + 1 + BLOCK / 8 <= BLOCK { 1 } else { 2 };
        let bits = 8 * (before + length) as u64;
        octets[self.number * BLOCK - 8..self.number * BLOCK].copy_from_slice(&bits.to_be_bytes());
    }

    /// Where the rest goes; zeros behind it are the caller's too.
    #[inline(always)]
    pub(crate) fn blocks_mut(&mut self) -> &mut [[u8; BLOCK]; 2] {
        &mut self.blocks
    }

    #[inline(always)]
    pub(crate) fn blocks(&self) -> &[[u8; BLOCK]] {
        &self.blocks[..self.number]
    }
}

/// The front of a digest.
#[inline(always)]
pub(crate) fn front<W: Word>(state: &[W; 8]) -> [u8; MAC] {
    let mut mac = [0; MAC];
    mac.chunks_mut(W::OCTETS).zip(state).for_each(|(to, word)| word.write(to));
    mac
}

/// The front of the MAC of one message, under a hash that gives `words`.
pub(crate) fn mac<const BLOCK: usize, F: Function<BLOCK>>(
    [inner, outer]: &[[F::Word; 8]; 2],
    words: usize,
    text: &[u8],
    suffix: &[u8],
) -> [u8; MAC] {
    let (mut inner, mut outer) = (*inner, *outer);
    let (blocks, rest) = text.as_chunks();
    F::compress(&mut inner, blocks);
    F::compress(&mut inner, Tail::of(BLOCK + text.len() - rest.len(), rest, suffix).blocks());
    let (mut block, digest) = ([0; BLOCK], words * F::Word::OCTETS);
    block.chunks_mut(F::Word::OCTETS).zip(inner).take(words).for_each(|(to, word)| word.write(to));
    block[digest] = 0x80;
    block[BLOCK - 8..].copy_from_slice(&(8 * (BLOCK + digest) as u64).to_be_bytes());
    F::compress(&mut outer, &[block]);
    front(&outer)
}
