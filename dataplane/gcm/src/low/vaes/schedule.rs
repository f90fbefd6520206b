//! A key expanded: AES round keys (FIPS 197 §5.2) and powers of H.
//!
//! One array of blocks: round keys; the falling powers H^w .. H^1 of a row, the next higher ones H^2w .. H^(w+1);
//! the sums of the halves of the powers of whole rows; those powers, H^3w, H^4w, ... (H^w and H^2w stand among
//! the falling ones). With AES-128 a packet of up to 96 octets reads nothing beyond the falling and the higher
//! powers: with the 16 octets in front of the array (in [`crate::Key`]) five cache lines.
//!
//! All of it is secret and wiped on drop. Copies in registers, and what a compiler spills of them,
//! cannot be.

use core::arch::x86_64::_mm_cvtsi128_si32;

use zeroize::{Zeroize, Zeroizing};

use super::ghash::{Product, ROWS};
use super::wide::{Wide, block_of};
use crate::low::Block;

/// Round keys of AES-256.
const MOST_ROUND_KEYS: usize = 15;
/// Blocks of the widest row.
const MOST_BLOCKS: usize = 4;
/// Blocks of sums of halves, two sums to a block.
const SUMS: usize = ROWS.div_ceil(2);
/// Powers of whole rows, but for the first two, which are among the falling powers.
const ROW_POWERS: usize = ROWS - 2;
const MOST: usize = MOST_ROUND_KEYS + 2 * MOST_BLOCKS + SUMS + ROW_POWERS;

/// Round keys and powers, for the width it was made for.
pub(crate) struct Schedule([Block; MOST]);

/// A power of H as Karatsuba's multiplication takes it.
pub(crate) struct Halves<'k> {
    pub(crate) low: &'k [u8; 8],
    pub(crate) high: &'k [u8; 8],
    pub(crate) sum: &'k [u8; 8],
}

impl Schedule {
    /// Expands `key`, of 16, 24 or 32 octets, for `N` = 10, 12 or 14 rounds.
    #[inline(always)]
    pub(crate) fn new<V: Wide, const N: usize>(cpu: V::Cpu, key: &[u8]) -> Schedule {
        let mut schedule = Schedule([Block::ZERO; MOST]);
        schedule.expand_rounds::<V, N>(cpu, key);
        schedule.expand_powers::<V, N>(cpu);
        schedule
    }

    #[inline(always)]
    fn expand_rounds<V: Wide, const N: usize>(&mut self, cpu: V::Cpu, key: &[u8]) {
        let mut words = Zeroizing::new([0_u32; 4 * MOST_ROUND_KEYS]);
        for (word, octets) in words.iter_mut().zip(key.chunks_exact(4)) {
            *word = octets.iter().rev().fold(0, |word, &octet| word << 8 | u32::from(octet));
        }
        let of_key = key.len() / 4;
        let mut constant = 1;
        for i in of_key..4 * (N + 1) {
            let mut word = words[i - 1];
            if i % of_key == 0 {
                word = substitute::<V>(cpu, word.rotate_right(8)) ^ constant;
                constant = (constant << 1) ^ if constant & 0x80 == 0 { 0 } else { 0x11b };
            } else if of_key > 6 && i % of_key == 4 {
                word = substitute::<V>(cpu, word);
            }
            words[i] = words[i - of_key] ^ word;
        }
        for (block, words) in self.0.iter_mut().zip(words.chunks_exact(4)).take(N + 1) {
            for (octets, word) in block.0.chunks_exact_mut(4).zip(words) {
                octets.copy_from_slice(&word.to_le_bytes());
            }
        }
    }

    #[inline(always)]
    fn expand_powers<V: Wide, const N: usize>(&mut self, cpu: V::Cpu) {
        let mut h = V::splat(cpu, self.round_key(0));
        for round in 1..N {
            h = h.round(V::splat(cpu, self.round_key(round)));
        }
        h = h.last_round(V::splat(cpu, self.round_key(N)));
        let h = V::splat(cpu, &times_x(block_of(h.reflect().first())));
        let (falling, higher) = (N + 1, N + 1 + V::BLOCKS);
        let mut power = h;
        for number in 0..2 * V::BLOCKS {
            let row = if number < V::BLOCKS { falling } else { higher };
            self.0[row + V::BLOCKS - 1 - number % V::BLOCKS] = block_of(power.first());
            power = Product::of(power, h).reduce(cpu);
        }
        let row = V::splat(cpu, &self.0[falling]);
        let mut power = V::splat(cpu, &self.0[higher]);
        for rows in 3..=ROWS {
            power = Product::of(power, row).reduce(cpu);
            self.0[Self::power_at::<V, N>(rows)] = block_of(power.first());
        }
        for rows in 1..=ROWS {
            let [low, high] = self.0[Self::power_at::<V, N>(rows)].halves().map(u64::from_le_bytes);
            let at = (rows - 1) % 2 * 8;
            let sums = &mut self.0[Self::sums::<V, N>() + (rows - 1) / 2].0;
            sums[at..at + 8].copy_from_slice(&(low ^ high).to_le_bytes());
        }
    }

    /// Where the sums of halves begin.
    const fn sums<V: Wide, const N: usize>() -> usize {
        N + 1 + 2 * V::BLOCKS
    }

    /// The key of a round, from 0 to `N`.
    #[inline(always)]
    pub(crate) fn round_key(&self, round: usize) -> &Block {
        &self.0[round]
    }

    /// H^w .. H^1 for rows of w blocks.
    #[inline(always)]
    pub(crate) fn falling_powers<V: Wide, const N: usize>(&self) -> &[Block] {
        &self.0[N + 1..N + 1 + V::BLOCKS]
    }

    /// H^2w .. H^(w+1).
    #[inline(always)]
    pub(crate) fn higher_powers<V: Wide, const N: usize>(&self) -> &[Block] {
        &self.0[N + 1 + V::BLOCKS..N + 1 + 2 * V::BLOCKS]
    }

    /// The power of `rows` whole rows, from 1 to [`ROWS`].
    #[inline(always)]
    pub(crate) fn row_power<V: Wide, const N: usize>(&self, rows: usize) -> Halves<'_> {
        let power = self.0[Self::power_at::<V, N>(rows)].halves();
        let sums = self.0[Self::sums::<V, N>() + (rows - 1) / 2].halves();
        Halves { low: &power[0], high: &power[1], sum: &sums[(rows - 1) % 2] }
    }

    /// Where that power is.
    #[inline(always)]
    const fn power_at<V: Wide, const N: usize>(rows: usize) -> usize {
        match rows {
            1 => N + 1,
            2 => N + 1 + V::BLOCKS,
            rows => Self::sums::<V, N>() + SUMS + rows - 3,
        }
    }

    /// H itself.
    #[inline(always)]
    pub(crate) fn h<V: Wide, const N: usize>(&self) -> &Block {
        &self.0[N + V::BLOCKS]
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        for block in &mut self.0 {
            block.0.zeroize();
        }
    }
}

/// SubWord (FIPS 197 §5.2). With the word in all four columns ShiftRows changes nothing, and the last
/// round under a key of zeros is SubBytes alone: no table, so no secret address.
#[inline(always)]
fn substitute<V: Wide>(cpu: V::Cpu, word: u32) -> u32 {
    let mut block = Block::ZERO;
    for octets in block.0.chunks_exact_mut(4) {
        octets.copy_from_slice(&word.to_le_bytes());
    }
    let substituted = V::splat(cpu, &block).last_round(V::zero(cpu)).first();
    block.0.zeroize();
    // SAFETY: SSE2, part of every x86-64.
    unsafe { _mm_cvtsi128_si32(substituted) as u32 }
}

/// H times x in the reflected field: the bit a carry-less product comes out too low.
fn times_x(h: Block) -> Block {
    const POLYNOMIAL: u128 = 0xc2 << 120 | 1;
    let h = u128::from_le_bytes(h.0);
    let carry = 0_u128.wrapping_sub(h >> 127);
    Block(((h << 1) ^ (carry & POLYNOMIAL)).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeySize;
    use crate::low::vaes::{wide256, wide512, ymm, zmm};
    use std::mem::{MaybeUninit, size_of};

    /// Expands with the widest kernel of this processor, if it has any.
    fn expand(key: &[u8]) -> Option<Schedule> {
        let size = KeySize::from_octets(key.len()).unwrap();
        let wide = zmm::Cpu::detect().map(|cpu| wide512::expand(cpu, size, key));
        wide.or_else(|| ymm::Cpu::detect().map(|cpu| wide256::expand(cpu, size, key)))
    }

    /// FIPS 197 appendix A: the last round key of each example.
    #[test]
    fn round_keys_are_those_of_fips_197() {
        let cases = [
            ("2b7e151628aed2a6abf7158809cf4f3c", 10, "d014f9a8c9ee2589e13f0cc8b6630ca6"),
            ("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 12, "e98ba06f448c773c8ecc720401002202"),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                14,
                "fe4890d1e6188d0b046df344706c631e",
            ),
        ];
        for (key, rounds, last) in cases {
            let Some(schedule) = expand(&octets(key)) else { return };
            assert_eq!(schedule.round_key(rounds).0.to_vec(), octets(last));
        }
    }

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    /// After drop not one octet of the expanded key is left in its place.
    #[test]
    fn drop_wipes_the_whole_schedule() {
        let Some(schedule) = expand(&[0x5a; 32]) else { return };
        let mut place = Box::new(MaybeUninit::new(schedule));
        // SAFETY: the value was just put there, and is not used as a `Schedule` again.
        unsafe { place.assume_init_drop() };
        // SAFETY: drop has overwritten every octet, and a `Schedule` has no others.
        let octets =
            unsafe { std::slice::from_raw_parts(place.as_ptr().cast::<u8>(), size_of::<Schedule>()) };
        assert!(octets.iter().all(|&octet| octet == 0));
    }
}
