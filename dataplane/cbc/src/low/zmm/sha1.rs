//! SHA-1 (FIPS 180-4 §6.1.2), a block of each of sixteen lanes at once. The last three words of a state are nothing.

use core::arch::x86_64::*;

use super::Cpu;
use super::lanes::{CHOICE, MAJORITY, XOR, entries, rows_of_16, sixteen};

/// FIPS 180-4 §4.2.1, for twenty rounds each.
const CONSTANTS: [u32; 4] = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6];

entries!(u32, 16, 64, turns 5, rows_of_16, _mm512_add_epi32);

#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw")]
fn schedule(words: &mut [__m512i; 16]) {
    macro_rules! word {
        ($i:literal) => {
            let (a, b) = (words[($i + 13) % 16], words[($i + 8) % 16]);
            let three = _mm512_ternarylogic_epi64::<XOR>(a, b, words[($i + 2) % 16]);
            words[$i] = _mm512_rol_epi32::<1>(_mm512_xor_si512(three, words[$i]));
        };
    }
    sixteen!(word);
}

#[target_feature(enable = "avx512f,avx512bw")]
fn rounds(state: &mut [__m512i; 8], words: &[__m512i; 16], turn: usize) {
    match turn {
        0 => rounds_of::<0>(state, words),
        1 => rounds_of::<1>(state, words),
        2 => rounds_of::<2>(state, words),
        3 => rounds_of::<3>(state, words),
        _ => rounds_of::<4>(state, words),
    }
}

/// The rounds of one turn, of which the compiler knows which they are.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw")]
fn rounds_of<const TURN: usize>(state: &mut [__m512i; 8], words: &[__m512i; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, ..] = *state;
    macro_rules! round {
        ($i:literal) => {
            let kind = (16 * TURN + $i) / 20;
            let mixed = match kind {
                0 => _mm512_ternarylogic_epi64::<CHOICE>(b, c, d),
                2 => _mm512_ternarylogic_epi64::<MAJORITY>(b, c, d),
                _ => _mm512_ternarylogic_epi64::<XOR>(b, c, d),
            };
            let keyed = _mm512_add_epi32(words[$i], _mm512_set1_epi32(CONSTANTS[kind] as i32));
            let known = _mm512_add_epi32(_mm512_add_epi32(e, keyed), mixed);
            let next = _mm512_add_epi32(known, _mm512_rol_epi32::<5>(a));
            (e, d, c, b, a) = (d, c, _mm512_rol_epi32::<30>(b), a, next);
        };
    }
    sixteen!(round);
    [state[0], state[1], state[2], state[3], state[4]] = [a, b, c, d, e];
}
