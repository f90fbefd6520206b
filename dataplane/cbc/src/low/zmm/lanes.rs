//! What the hashes have in common: blocks of lanes turned into words, and a state that goes through turns of sixteen rounds.

use core::arch::x86_64::*;

use super::Cpu;

/// `x ^ y ^ z`, for which processors have one instruction: its truth table.
pub(super) const XOR: i32 = 0x96;
/// "Ch" (FIPS 180-4 §4.1): `y` where `x` is one, else `z`.
pub(super) const CHOICE: i32 = 0xca;
/// "Maj": what two of three are.
pub(super) const MAJORITY: i32 = 0xe8;

/// The entries of a hash, beside which stand its `schedule`, which makes the words of the next sixteen rounds of those of the
/// last, and its `rounds`, which does sixteen.
///
/// They are kept apart: together they need more registers than there are, and compilers then move everything to memory and
/// back.
macro_rules! entries {
    ($word:ty, $lanes:literal, $octets:literal, turns $turns:literal, $rows:ident, $add:ident) => {
        /// Takes a block of each lane into the state of each.
        pub(in super::super) fn blocks(
            _: Cpu,
            state: &mut [[$word; $lanes]; 8],
            blocks: [&[u8; $octets]; $lanes],
        ) {
            #[target_feature(enable = "avx512f,avx512bw")]
            fn of_blocks(state: &mut [[$word; $lanes]; 8], blocks: [&[u8; $octets]; $lanes]) {
                compress(state, $rows(blocks));
            }
            // SAFETY: a `Cpu` is at hand, so the processor has the instructions.
            unsafe { of_blocks(state, blocks) }
        }

        /// The same of blocks that are words already, the first of each lane, the second of each lane, ...
        pub(in super::super) fn words(
            _: Cpu,
            state: &mut [[$word; $lanes]; 8],
            words: &[[$word; $lanes]; 16],
        ) {
            #[target_feature(enable = "avx512f,avx512bw")]
            fn of_words(state: &mut [[$word; $lanes]; 8], words: &[[$word; $lanes]; 16]) {
                let mut rows = [_mm512_setzero_si512(); 16];
                for (row, words) in rows.iter_mut().zip(words) {
                    // SAFETY: the words are 64 octets.
                    *row = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
                }
                compress(state, rows);
            }
            // SAFETY: a `Cpu` is at hand, so the processor has the instructions.
            unsafe { of_words(state, words) }
        }

        #[target_feature(enable = "avx512f,avx512bw")]
        fn compress(state: &mut [[$word; $lanes]; 8], mut words: [__m512i; 16]) {
            let mut after = [_mm512_setzero_si512(); 8];
            for (after, words) in after.iter_mut().zip(&*state) {
                // SAFETY: the words are 64 octets.
                *after = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
            }
            for turn in 0..$turns {
                if turn > 0 {
                    schedule(&mut words);
                }
                rounds(&mut after, &words, turn);
            }
            for (words, after) in state.iter_mut().zip(after) {
                // SAFETY: the words are 64 octets.
                unsafe {
                    let before = _mm512_loadu_si512(words.as_ptr().cast());
                    _mm512_storeu_si512(words.as_mut_ptr().cast(), $add(before, after));
                }
            }
        }
    };
}
pub(super) use entries;

/// Does something for each word or round of sixteen, and leaves no loop: the names of what goes round are then known.
macro_rules! sixteen {
    ($each:ident) => {
        sixteen!(@ $each, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $each:ident, $($i:literal)*) => {
        $($each!($i);)*
    };
}
pub(super) use sixteen;

/// Words `i` of all lanes, for each `i`: the blocks transposed, each word the low octet first.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn rows_of_16(blocks: [&[u8; 64]; 16]) -> [__m512i; 16] {
    let order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let rows = loaded(blocks.map(|block| block.as_ptr()), order);
    // Pairs of words, then of pairs, then of quarters of registers.
    let mut pairs = rows;
    for (to, of) in pairs.chunks_exact_mut(2).zip(rows.chunks_exact(2)) {
        (to[0], to[1]) = (_mm512_unpacklo_epi32(of[0], of[1]), _mm512_unpackhi_epi32(of[0], of[1]));
    }
    let mut fours = pairs;
    for (to, of) in fours.chunks_exact_mut(4).zip(pairs.chunks_exact(4)) {
        (to[0], to[1]) = (_mm512_unpacklo_epi64(of[0], of[2]), _mm512_unpackhi_epi64(of[0], of[2]));
        (to[2], to[3]) = (_mm512_unpacklo_epi64(of[1], of[3]), _mm512_unpackhi_epi64(of[1], of[3]));
    }
    // `fours[4 q + i]` has words i, i + 4, i + 8, i + 12 of lanes 4 q to 4 q + 3.
    let mut words = fours;
    for i in 0..4 {
        let column = quarters([fours[i], fours[4 + i], fours[8 + i], fours[12 + i]]);
        (words[i], words[4 + i], words[8 + i], words[12 + i]) = (column[0], column[1], column[2], column[3]);
    }
    words
}

/// The same of words twice as wide, whose blocks take two registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn rows_of_8(blocks: [&[u8; 128]; 8]) -> [__m512i; 16] {
    let order = _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    let mut words = [_mm512_setzero_si512(); 16];
    for half in 0..2 {
        let rows = loaded(blocks.map(|block| block[64 * half..].as_ptr()), order);
        let mut pairs = rows;
        for (to, of) in pairs.chunks_exact_mut(2).zip(rows.chunks_exact(2)) {
            (to[0], to[1]) = (_mm512_unpacklo_epi64(of[0], of[1]), _mm512_unpackhi_epi64(of[0], of[1]));
        }
        // `pairs[2 p + i]` has words i, i + 2, i + 4, i + 6 of lanes 2 p and 2 p + 1.
        for i in 0..2 {
            let column = quarters([pairs[i], pairs[2 + i], pairs[4 + i], pairs[6 + i]]);
            for (number, word) in column.into_iter().enumerate() {
                words[8 * half + 2 * number + i] = word;
            }
        }
    }
    words
}

/// Rows of 64 octets, the octets of each block in this `order`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn loaded<const ROWS: usize>(rows: [*const u8; ROWS], order: __m128i) -> [__m512i; ROWS] {
    let (order, mut loaded) = (_mm512_broadcast_i32x4(order), [_mm512_setzero_si512(); ROWS]);
    // A loop, not `map`: that has no target features of its own, and calls for each row what has.
    for (loaded, row) in loaded.iter_mut().zip(rows) {
        // SAFETY: both callers pass pointers into blocks, to the begin of 64 octets of them.
        *loaded = _mm512_shuffle_epi8(unsafe { _mm512_loadu_si512(row.cast()) }, order);
    }
    loaded
}

/// Quarters of registers transposed.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarters([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (low, high) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b));
    let (low_next, high_next) = (_mm512_shuffle_i32x4::<0x44>(c, d), _mm512_shuffle_i32x4::<0xee>(c, d));
    [
        _mm512_shuffle_i32x4::<0x88>(low, low_next),
        _mm512_shuffle_i32x4::<0xdd>(low, low_next),
        _mm512_shuffle_i32x4::<0x88>(high, high_next),
        _mm512_shuffle_i32x4::<0xdd>(high, high_next),
    ]
}

/// Copies `from`, which is not longer, to the front of `to`, whole registers; zeros behind it.
#[inline]
pub(super) fn copy(_: Cpu, to: &mut [u8], from: &[u8]) {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn copy(to: &mut [u8], from: &[u8]) {
        for (register, to) in to.as_chunks_mut::<64>().0.iter_mut().enumerate() {
            // Not with a mask of nothing: where there is nothing to read, that takes the processor hundreds of cycles.
            let from = from.get(64 * register..).filter(|from| !from.is_empty()).unwrap_or(&[0]);
            let mask = if from.len() < 64 { (1 << from.len()) - 1 } else { !0 };
            // SAFETY: only octets that are in `from` are read, and 64 written.
            unsafe {
                let octets = _mm512_maskz_loadu_epi8(mask, from.as_ptr().cast());
                _mm512_storeu_si512(to.as_mut_ptr().cast(), octets);
            }
        }
    }
    // SAFETY: a `Cpu` is at hand, so the processor has the instructions.
    unsafe { copy(to, from) }
}
