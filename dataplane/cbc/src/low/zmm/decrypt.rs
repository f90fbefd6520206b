//! Decryption in CBC mode (SP 800-38A §6.2): sixteen blocks of a packet at once, four to a register.

use core::arch::x86_64::*;

use super::Cpu;
use super::aes::RoundKeys;
use crate::BLOCK;

/// Blocks that registers of one go hold.
const TOGETHER: usize = 16;

/// Decrypts blocks behind their IV in place.
pub(crate) fn decrypt(_: Cpu, keys: &RoundKeys, iv: &[u8; BLOCK], blocks: &mut [[u8; BLOCK]]) {
    #[target_feature(enable = "avx512f,vaes")]
    fn all(keys: &[[u8; BLOCK]], iv: &[u8; BLOCK], blocks: &mut [[u8; BLOCK]]) {
        // SAFETY: an IV is 16 octets.
        let mut before = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(iv.as_ptr().cast()) });
        for blocks in blocks.chunks_mut(TOGETHER) {
            before = match blocks.len().div_ceil(4) {
                1 => go::<1>(keys, before, blocks),
                2 => go::<2>(keys, before, blocks),
                3 => go::<3>(keys, before, blocks),
                _ => go::<4>(keys, before, blocks),
            };
        }
    }
    // SAFETY: a `Cpu` is at hand, so the processor has the instructions.
    unsafe { all(keys.keys(), iv, blocks) }
}

/// Decrypts blocks that fill `N` registers but for a part of the last one; the last block of `before` is what they are
/// chained to. Gives back their own last register, as it was.
#[inline]
#[target_feature(enable = "avx512f,vaes")]
fn go<const N: usize>(keys: &[[u8; BLOCK]], mut before: __m512i, blocks: &mut [[u8; BLOCK]]) -> __m512i {
    let last = (!0_u8) >> (8 - 2 * (blocks.len() - 4 * (N - 1)));
    let part = |register: usize| if register + 1 < N { !0 } else { last };
    let mut ciphertext = [_mm512_setzero_si512(); N];
    for (i, four) in blocks.chunks(4).enumerate().take(N) {
        // SAFETY: what is read is in `four`: whole blocks, of two words each.
        ciphertext[i] = unsafe { _mm512_maskz_loadu_epi64(part(i), four.as_ptr().cast()) };
    }
    let mut text = ciphertext;
    let (first, inner, end) = match keys {
        [first, inner @ .., end] => (first, inner, end),
        _ => return before,
    };
    for text in &mut text {
        *text = _mm512_xor_si512(*text, splat(first));
    }
    for key in inner {
        let key = splat(key);
        for text in &mut text {
            *text = _mm512_aesdec_epi128(*text, key);
        }
    }
    let key = splat(end);
    for (i, four) in blocks.chunks_mut(4).enumerate().take(N) {
        let chained = _mm512_alignr_epi64::<6>(ciphertext[i], before);
        let clear = _mm512_xor_si512(_mm512_aesdeclast_epi128(text[i], key), chained);
        // SAFETY: what is written is in `four`.
        unsafe { _mm512_mask_storeu_epi64(four.as_mut_ptr().cast(), part(i), clear) };
        before = ciphertext[i];
    }
    before
}

/// A round key for each block.
#[inline]
#[target_feature(enable = "avx512f")]
fn splat(key: &[u8; BLOCK]) -> __m512i {
    // SAFETY: a key is 16 octets.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(key.as_ptr().cast()) })
}
