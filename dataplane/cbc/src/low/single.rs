//! HMAC of one message (RFC 2104 §2) over `sha2`'s compression, and what messages end with (FIPS 180-4 §5.1).

use sha2::block_api::{compress256, compress512};

use crate::MAC;

/// A word of a hash whose blocks have so many octets.
pub(crate) trait Word<const BLOCK: usize>: Copy + Default + 'static {
    /// Octets of a word.
    const OCTETS: usize = size_of::<Self>();

    /// Takes blocks into a state.
    fn compress(state: &mut [Self; 8], blocks: &[[u8; BLOCK]]);

    /// Writes a word, the high octet first.
    fn write(self, to: &mut [u8]);
}

impl Word<64> for u32 {
    fn compress(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
        compress256(state, blocks);
    }

    #[inline(always)]
    fn write(self, to: &mut [u8]) {
        to.iter_mut().zip(self.to_be_bytes()).for_each(|(to, octet)| *to = octet);
    }
}

impl Word<128> for u64 {
    fn compress(state: &mut [u64; 8], blocks: &[[u8; 128]]) {
        compress512(state, blocks);
    }

    #[inline(always)]
    fn write(self, to: &mut [u8]) {
        to.iter_mut().zip(self.to_be_bytes()).for_each(|(to, octet)| *to = octet);
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
pub(crate) fn front<const BLOCK: usize, W: Word<BLOCK>>(state: &[W; 8]) -> [u8; MAC] {
    let mut mac = [0; MAC];
    mac.chunks_mut(W::OCTETS).zip(state).for_each(|(to, word)| word.write(to));
    mac
}

/// The front of the MAC of one message, under a hash that gives `words`.
pub(crate) fn mac<const BLOCK: usize, W: Word<BLOCK>>(
    [inner, outer]: &[[W; 8]; 2],
    words: usize,
    text: &[u8],
    suffix: &[u8],
) -> [u8; MAC] {
    let (mut inner, mut outer) = (*inner, *outer);
    let (blocks, rest) = text.as_chunks();
    W::compress(&mut inner, blocks);
    W::compress(&mut inner, Tail::of(BLOCK + text.len() - rest.len(), rest, suffix).blocks());
    let mut block = [0; BLOCK];
    block.chunks_mut(W::OCTETS).zip(inner).take(words).for_each(|(to, word)| word.write(to));
    let digest = words * W::OCTETS;
    block[digest] = 0x80;
    block[BLOCK - 8..].copy_from_slice(&(8 * (BLOCK + digest) as u64).to_be_bytes());
    W::compress(&mut outer, &[block]);
    front(&outer)
}
