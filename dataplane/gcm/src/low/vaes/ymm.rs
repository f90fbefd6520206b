//! Rows of two blocks: AVX2, VAES, VPCLMULQDQ. The ends of a packet are reached by masks of whole
//! words and one by one in the octets behind them, of which ESP, whose texts end on a multiple of four
//! (RFC 4303 §2.4), has none.

use core::arch::asm;
use core::arch::x86_64::*;

use super::schedule::Schedule;
use super::wide::{BLOCK, Lengths, Wide};
use crate::key::{self, Key};
use crate::low::Block;

/// Proof that this processor has AVX2, VAES and VPCLMULQDQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu(());

impl Cpu {
    pub(crate) fn detect() -> Option<Cpu> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        has.then_some(Cpu(()))
    }

    /// Never: sixteen registers are too few for two packets.
    #[inline(always)]
    pub(crate) fn pairs(self) -> bool {
        false
    }
}

/// Two blocks.
#[derive(Clone, Copy)]
pub(crate) struct Ymm(__m256i);

/// Intrinsics in a function that holds a `Cpu` or a register.
macro_rules! proven {
    ($($code:tt)*) => {
        // SAFETY: only `Cpu::detect` makes a `Cpu`, and only a `Cpu` a register: one is at hand, so the
        // processor has the instructions. Reads and writes are the caller's to answer for.
        unsafe { $($code)* }
    };
}

impl Wide for Ymm {
    const BLOCKS: usize = 2;
    const IN_ONE_GO: usize = 8;
    type Cpu = Cpu;
    type Octets = Range;

    #[inline(always)]
    fn schedule(key: &Key) -> Option<&Schedule> {
        match key.schedule() {
            key::Schedule::Vaes256(_, _, schedule) => Some(schedule),
            _ => None,
        }
    }

    #[inline(always)]
    fn octets(_: Cpu, from: usize, to: usize) -> Range {
        Range { from, to: to.max(from) }
    }

    #[inline(always)]
    fn octets_behind(_: Cpu, number: usize) -> Range {
        Range { from: (number + 1) * BLOCK, to: 2 * BLOCK }
    }

    #[inline(always)]
    fn zero(_: Cpu) -> Self {
        Ymm(proven!(_mm256_setzero_si256()))
    }

    #[inline(always)]
    fn splat(_: Cpu, block: &Block) -> Self {
        Ymm(proven!(_mm256_broadcastsi128_si256(_mm_load_si128(block.0.as_ptr().cast()))))
    }

    #[inline(always)]
    fn splat_half(_: Cpu, half: &[u8; 8]) -> Ymm {
        proven!(Ymm(_mm256_set1_epi64x(i64::from_le_bytes(*half))))
    }

    #[inline(always)]
    fn row(_: Cpu, blocks: &[Block]) -> Self {
        let row: &[Block] = &blocks[..2];
        Ymm(proven!(_mm256_loadu_si256(row.as_ptr().cast())))
    }

    #[inline(always)]
    fn place(cpu: Cpu, octets: &[u8], number: usize) -> Ymm {
        let from = number * BLOCK;
        let range = Range { from, to: from + octets.len().min(BLOCK) };
        // SAFETY: what is chosen is the front of `octets`, in a block of the row.
        unsafe { Ymm::zero(cpu).load_over(octets.as_ptr().wrapping_sub(from), range) }
    }

    #[inline(always)]
    unsafe fn load(_: Cpu, from: *const u8) -> Self {
        Ymm(proven!(_mm256_loadu_si256(from.cast())))
    }

    #[inline(always)]
    unsafe fn load_over(self, from: *const u8, range: Range) -> Ymm {
        proven!({
            let words = range.words();
            let read = _mm256_maskload_epi32(from.cast(), words);
            let mut row = _mm256_blendv_epi8(self.0, read, words);
            if !range.to.is_multiple_of(4) {
                let mut octets = [0_u8; 32];
                _mm256_storeu_si256(octets.as_mut_ptr().cast(), row);
                range.read_behind(&mut octets, from);
                row = _mm256_loadu_si256(octets.as_ptr().cast());
            }
            Ymm(row)
        })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        proven!(_mm256_storeu_si256(to.cast(), self.0))
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut u8, range: Range) {
        proven!({
            _mm256_maskstore_epi32(to.cast(), range.words(), self.0);
            if !range.to.is_multiple_of(4) {
                let mut octets = [0_u8; 32];
                _mm256_storeu_si256(octets.as_mut_ptr().cast(), self.0);
                range.write_behind(&octets, to);
            }
        })
    }

    #[inline(always)]
    fn or_else(self, range: Range, other: Ymm) -> Ymm {
        proven!(Ymm(_mm256_blendv_epi8(other.0, self.0, range.octets())))
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Ymm(proven!(_mm256_xor_si256(self.0, other.0)))
    }

    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        self.xor(b.xor(c))
    }

    #[inline(always)]
    fn round(self, key: Self) -> Self {
        Ymm(proven!(_mm256_aesenc_epi128(self.0, key.0)))
    }

    #[inline(always)]
    fn last_round(self, key: Self) -> Self {
        Ymm(proven!(_mm256_aesenclast_epi128(self.0, key.0)))
    }

    #[inline(always)]
    fn multiply<const HALVES: i32>(self, other: Self) -> Self {
        Ymm(proven!(_mm256_clmulepi64_epi128::<HALVES>(self.0, other.0)))
    }

    #[inline(always)]
    fn swap_halves(self) -> Self {
        Ymm(proven!(_mm256_shuffle_epi32::<0x4e>(self.0)))
    }

    #[inline(always)]
    fn reflect(self) -> Self {
        proven!({
            let order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            Ymm(_mm256_shuffle_epi8(self.0, _mm256_broadcastsi128_si256(order)))
        })
    }

    #[inline(always)]
    fn swap_counters(self) -> Ymm {
        proven!({
            let order = _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
            Ymm(_mm256_shuffle_epi8(self.0, _mm256_broadcastsi128_si256(order)))
        })
    }

    #[inline(always)]
    fn count(self, by: u32) -> Ymm {
        proven!({
            let by = _mm256_broadcastsi128_si256(_mm_set_epi32(by as i32, 0, 0, 0));
            Ymm(_mm256_add_epi32(self.0, by))
        })
    }

    #[inline(always)]
    fn with_lengths(self, lengths: Lengths) -> Self {
        proven!({
            let lengths = _mm_set_epi64x(lengths.aad as i64, lengths.text as i64);
            Ymm(_mm256_inserti128_si256::<1>(self.0, lengths))
        })
    }

    #[inline(always)]
    fn pin(self) -> Self {
        proven!(Ymm(pinned(self.0)))
    }

    #[inline(always)]
    fn block(self, number: usize) -> __m128i {
        proven!({
            let words = _mm256_add_epi32(
                _mm256_set_epi32(3, 2, 1, 0, 3, 2, 1, 0),
                _mm256_set1_epi32(4 * number as i32),
            );
            _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(self.0, words))
        })
    }

    #[inline(always)]
    fn first(self) -> __m128i {
        proven!(_mm256_castsi256_si128(self.0))
    }

    #[inline(always)]
    fn fold(self) -> __m128i {
        proven!(_mm_xor_si128(_mm256_castsi256_si128(self.0), _mm256_extracti128_si256::<1>(self.0)))
    }
}

/// See [`Wide::pin`].
#[inline]
#[target_feature(enable = "avx")]
fn pinned(mut register: __m256i) -> __m256i {
    // SAFETY: no instructions.
    unsafe { asm!("/* {0} */", inout(ymm_reg) register, options(nomem, nostack, preserves_flags)) };
    register
}

/// The octets from one up to another; the first is the beginning of a block.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    from: usize,
    to: usize,
}

impl Range {
    /// All ones in the whole words chosen.
    #[inline(always)]
    unsafe fn words(self) -> __m256i {
        proven!({
            let place = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
            let below = _mm256_cmpgt_epi32(_mm256_set1_epi32((self.to / 4) as i32), place);
            let before = _mm256_cmpgt_epi32(_mm256_set1_epi32((self.from / 4) as i32), place);
            _mm256_andnot_si256(before, below)
        })
    }

    /// All ones in the octets chosen.
    #[inline(always)]
    unsafe fn octets(self) -> __m256i {
        proven!({
            let low = _mm_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
            let place = _mm256_set_m128i(_mm_add_epi8(low, _mm_set1_epi8(16)), low);
            let below = _mm256_cmpgt_epi8(_mm256_set1_epi8(self.to as i8), place);
            let before = _mm256_cmpgt_epi8(_mm256_set1_epi8(self.from as i8), place);
            _mm256_andnot_si256(before, below)
        })
    }

    /// The octets behind the last whole word, up to three.
    fn behind(self) -> core::ops::Range<usize> {
        (self.to & !3).max(self.from)..self.to
    }

    /// # Safety
    /// They must be readable.
    #[cold]
    unsafe fn read_behind(self, octets: &mut [u8; 32], from: *const u8) {
        for place in self.behind() {
            // SAFETY: the caller's promise.
            octets[place] = unsafe { *from.wrapping_add(place) };
        }
    }

    /// # Safety
    /// They must be writable.
    #[cold]
    unsafe fn write_behind(self, octets: &[u8; 32], to: *mut u8) {
        for place in self.behind() {
            // SAFETY: the caller's promise.
            unsafe { *to.wrapping_add(place) = octets[place] };
        }
    }
}
