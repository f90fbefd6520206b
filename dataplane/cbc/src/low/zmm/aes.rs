//! AES (FIPS 197), a block of each of sixteen lanes at once: four registers of four blocks, so that each round of one hides
//! how long that of another takes.

use core::arch::x86_64::*;
use std::sync::atomic::{Ordering, compiler_fence};

use super::Cpu;
use crate::BLOCK;

/// Chains that go side by side.
pub(super) const LANES: usize = 16;

/// Registers of four blocks that they take.
const REGISTERS: usize = LANES / 4;

/// Round keys of AES-256.
const MOST: usize = 15;

/// Blocks of all lanes.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row(pub(super) [[u8; BLOCK]; LANES]);

impl Row {
    pub(super) const ZERO: Row = Row([[0; BLOCK]; LANES]);
}

/// The round keys of each lane, a row for each round.
pub(super) type Rounds = [Row; MOST];

/// Leaves nothing of a secret. All at once: octet by octet, as `zeroize` does it, takes longer than to encrypt a packet does.
pub(super) fn wipe<T: Copy>(secret: &mut T, nothing: T) {
    // SAFETY: a write to what is borrowed for it, that a compiler may not leave out.
    unsafe { std::ptr::write_volatile(secret, nothing) };
    compiler_fence(Ordering::SeqCst);
}

/// A key expanded (FIPS 197 §5.2).
pub(crate) struct RoundKeys {
    keys: [[u8; BLOCK]; MOST],
    rounds: usize,
}

impl Drop for RoundKeys {
    fn drop(&mut self) {
        wipe(&mut self.keys, [[0; BLOCK]; MOST]);
    }
}

impl RoundKeys {
    /// Expands `key`, of 16, 24 or 32 octets.
    pub(crate) fn new(_: Cpu, key: &[u8]) -> RoundKeys {
        #[target_feature(enable = "aes")]
        fn substitute(word: u32) -> u32 {
            // Four columns alike: to shift rows changes nothing.
            let columns = _mm_set1_epi32(word as i32);
            _mm_cvtsi128_si32(_mm_aesenclast_si128(columns, _mm_setzero_si128())) as u32
        }
        let (of_key, rounds) = (key.len() / 4, key.len() / 4 + 6);
        let mut words = [0_u32; 4 * MOST];
        for (word, octets) in words.iter_mut().zip(key.as_chunks().0) {
            *word = u32::from_le_bytes(*octets);
        }
        let mut constant = 1;
        // Counted, not divided: of a key that is expanded for one packet that would be most.
        let places = (0..of_key).cycle();
        for (i, place) in (of_key..4 * (rounds + 1)).zip(places) {
            let before = words[i - 1];
            // SAFETY: a `Cpu` is at hand, so the processor has the instructions.
            let substituted = |word| unsafe { substitute(word) };
            let word = match place {
                0 => {
                    let word = substituted(before.rotate_right(8)) ^ constant;
                    constant = constant << 1 ^ if constant & 0x80 == 0 { 0 } else { 0x11b };
                    word
                }
                4 if of_key > 6 => substituted(before),
                _ => before,
            };
            words[i] = words[i - of_key] ^ word;
        }
        let mut keys = [[0; BLOCK]; MOST];
        for (octets, word) in keys.as_flattened_mut().as_chunks_mut().0.iter_mut().zip(words) {
            *octets = word.to_le_bytes();
        }
        wipe(&mut words, [0; _]);
        RoundKeys { keys, rounds }
    }

    /// Those of the equivalent inverse cipher, which begins with the last (FIPS 197 §5.3.5).
    pub(crate) fn inverse(mut self, _: Cpu) -> RoundKeys {
        #[target_feature(enable = "aes")]
        fn mixed(key: &mut [u8; BLOCK]) {
            // SAFETY: a key is 16 octets.
            unsafe {
                let mixed = _mm_aesimc_si128(_mm_loadu_si128(key.as_ptr().cast()));
                _mm_storeu_si128(key.as_mut_ptr().cast(), mixed);
            }
        }
        let rounds = self.rounds;
        self.keys[..=rounds].reverse();
        // SAFETY: a `Cpu` is at hand, so the processor has the instructions.
        self.keys[1..rounds].iter_mut().for_each(|key| unsafe { mixed(key) });
        self
    }

    /// Encrypts a block by itself.
    #[inline]
    pub(crate) fn encrypt(&self, cpu: Cpu, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut block = [block];
        self.encrypt_chain(cpu, &[0; BLOCK], &mut block);
        let [block] = block;
        block
    }

    /// Encrypts blocks behind their IV in place, one after the other.
    #[inline]
    pub(crate) fn encrypt_chain(&self, _: Cpu, iv: &[u8; BLOCK], blocks: &mut [[u8; BLOCK]]) {
        #[target_feature(enable = "aes")]
        fn encrypt(keys: &[[u8; BLOCK]], iv: &[u8; BLOCK], blocks: &mut [[u8; BLOCK]]) {
            let [first, inner @ .., last] = keys else { return };
            // SAFETY: blocks and keys are 16 octets.
            let load = |octets: &[u8; BLOCK]| unsafe { _mm_loadu_si128(octets.as_ptr().cast()) };
            let (first, last, mut chain) = (load(first), load(last), load(iv));
            for block in blocks {
                chain = _mm_xor_si128(chain, _mm_xor_si128(load(block), first));
                for key in inner {
                    chain = _mm_aesenc_si128(chain, load(key));
                }
                chain = _mm_aesenclast_si128(chain, last);
                // SAFETY: a block is 16 octets.
                unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), chain) };
            }
        }
        // SAFETY: a `Cpu` is at hand, so the processor has the instructions.
        unsafe { encrypt(self.keys(), iv, blocks) }
    }

    /// The key of each round, and one in front.
    #[inline(always)]
    pub(super) fn keys(&self) -> &[[u8; BLOCK]] {
        &self.keys[..=self.rounds]
    }

    /// 10, 12 or 14.
    #[inline(always)]
    pub(super) fn rounds(&self) -> usize {
        self.rounds
    }

    /// Gives them to a lane.
    #[inline(always)]
    pub(super) fn give(&self, rounds: &mut Rounds, lane: usize) {
        rounds.iter_mut().zip(&self.keys).for_each(|(row, key)| row.0[lane] = *key);
    }
}

/// Encrypts `blocks` of each lane in CBC mode; `chain` is what each stands behind, then its last.
///
/// # Safety
/// From each of `places` on, `strides` times the lane's blocks further each time, `blocks` times, a block is this call's to
/// read and to write.
pub(super) unsafe fn encrypt<const ROUNDS: usize>(
    _: Cpu,
    keys: &Rounds,
    chain: &mut Row,
    places: [*mut u8; LANES],
    strides: &[usize; LANES],
    blocks: usize,
) {
    #[target_feature(enable = "avx512f,vaes")]
    unsafe fn encrypt<const ROUNDS: usize>(
        keys: &Rounds,
        chain: &mut Row,
        mut places: [*mut u8; LANES],
        strides: &[usize; LANES],
        blocks: usize,
    ) {
        let mut chains = registers(chain);
        for _ in 0..blocks {
            // SAFETY: the caller's to answer for.
            let mut blocks = unsafe { gathered(&places) };
            let first = registers(&keys[0]);
            for i in 0..REGISTERS {
                blocks[i] = _mm512_ternarylogic_epi64::<0x96>(blocks[i], chains[i], first[i]);
            }
            for key in &keys[1..ROUNDS] {
                let key = registers(key);
                for i in 0..REGISTERS {
                    blocks[i] = _mm512_aesenc_epi128(blocks[i], key[i]);
                }
            }
            let last = registers(&keys[ROUNDS]);
            for i in 0..REGISTERS {
                chains[i] = _mm512_aesenclast_epi128(blocks[i], last[i]);
            }
            // SAFETY: the caller's to answer for.
            unsafe { scatter(&places, chains) };
            places.iter_mut().zip(strides).for_each(|(place, stride)| *place = place.wrapping_add(*stride));
        }
        for (four, register) in chain.0.chunks_exact_mut(4).zip(chains) {
            // SAFETY: four blocks are 64 octets.
            unsafe { _mm512_storeu_si512(four.as_mut_ptr().cast(), register) };
        }
    }
    // SAFETY: a `Cpu` is at hand, so the processor has the instructions; the rest is the caller's.
    unsafe { encrypt::<ROUNDS>(keys, chain, places, strides, blocks) }
}

// Loops, not `map`: that has no target features of its own, and calls for each register what has.

/// A row in registers.
#[inline]
#[target_feature(enable = "avx512f")]
fn registers(row: &Row) -> [__m512i; REGISTERS] {
    let mut registers = [_mm512_setzero_si512(); REGISTERS];
    for (register, four) in registers.iter_mut().zip(row.0.as_chunks::<4>().0) {
        // SAFETY: four blocks are 64 octets.
        *register = unsafe { _mm512_loadu_si512(four.as_ptr().cast()) };
    }
    registers
}

/// A block from each place.
///
/// # Safety
/// Each is readable.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn gathered(places: &[*mut u8; LANES]) -> [__m512i; REGISTERS] {
    let mut registers = [_mm512_setzero_si512(); REGISTERS];
    for (register, places) in registers.iter_mut().zip(places.as_chunks().0) {
        let [a, b, c, d]: [*mut u8; 4] = *places;
        // SAFETY: the caller's to answer for.
        unsafe {
            let four = _mm512_castsi128_si512(_mm_loadu_si128(a.cast()));
            let four = _mm512_inserti32x4::<1>(four, _mm_loadu_si128(b.cast()));
            let four = _mm512_inserti32x4::<2>(four, _mm_loadu_si128(c.cast()));
            *register = _mm512_inserti32x4::<3>(four, _mm_loadu_si128(d.cast()));
        }
    }
    registers
}

/// A block to each place.
///
/// # Safety
/// Each is writable.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn scatter(places: &[*mut u8; LANES], registers: [__m512i; REGISTERS]) {
    for (places, four) in places.as_chunks().0.iter().zip(registers) {
        let [a, b, c, d]: [*mut u8; 4] = *places;
        // SAFETY: the caller's to answer for.
        unsafe {
            _mm_storeu_si128(a.cast(), _mm512_castsi512_si128(four));
            _mm_storeu_si128(b.cast(), _mm512_extracti32x4_epi32::<1>(four));
            _mm_storeu_si128(c.cast(), _mm512_extracti32x4_epi32::<2>(four));
            _mm_storeu_si128(d.cast(), _mm512_extracti32x4_epi32::<3>(four));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is left of keys that stood in lanes.
    #[test]
    fn round_keys_are_wiped() {
        let Some(cpu) = Cpu::detect() else { return };
        let mut rounds = [Row::ZERO; MOST];
        (0..LANES).for_each(|lane| RoundKeys::new(cpu, &[7; 32]).give(&mut rounds, lane));
        assert!(rounds.iter().all(|row| row.0.iter().all(|key| *key != [0; BLOCK])));
        wipe(&mut rounds, [Row::ZERO; MOST]);
        assert!(rounds.iter().all(|row| row.0.iter().all(|key| *key == [0; BLOCK])));
    }
}
