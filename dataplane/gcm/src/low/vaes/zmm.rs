//! Rows of four blocks: AVX-512 (F, BW, VL, DQ), VAES, VPCLMULQDQ. Masks reach single octets, so a packet's ends
//! need no loops.

use core::arch::asm;
use core::arch::x86_64::*;

use super::crypt::SHORT;
use super::schedule::Schedule;
use super::wide::{BLOCK, Lengths, Wide};
use crate::key::{self, Key};
use crate::low::Block;

/// Proof that this processor has the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    pairs: bool,
}

impl Cpu {
    pub(crate) fn detect() -> Option<Cpu> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        has.then(|| Cpu { pairs: made_by(b"AuthenticAMD") })
    }

    /// Whether the shortest packets are worked by twos: where few vector instructions wait for their turn
    /// at once (64 on Zen 4), the next packet is not begun in time. Where many do (Sapphire Rapids), the registers
    /// that a second packet takes are worth more.
    #[inline(always)]
    pub(crate) fn pairs(self) -> bool {
        self.pairs
    }
}

/// Whether this is who made the processor.
fn made_by(vendor: &[u8; 12]) -> bool {
    let leaf = __cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).as_flattened() == vendor
}

/// Four blocks.
#[derive(Clone, Copy)]
pub(crate) struct Zmm(__m512i);

/// An intrinsic, or a few, in a function that holds a [`Cpu`] or a [`Zmm`].
macro_rules! proven {
    ($($code:tt)*) => {
        // SAFETY: only `Cpu::detect` makes a `Cpu`, and only a `Cpu` a `Zmm`: one is at hand, so the
        // processor has the instructions. Reads and writes are the caller's to answer for.
        unsafe { $($code)* }
    };
}

impl Wide for Zmm {
    const BLOCKS: usize = 4;
    const IN_ONE_GO: usize = SHORT;
    type Cpu = Cpu;
    type Octets = __mmask64;

    #[inline(always)]
    fn schedule(key: &Key) -> Option<&Schedule> {
        match key.schedule() {
            key::Schedule::Vaes512(_, _, schedule) => Some(schedule),
            _ => None,
        }
    }

    #[inline(always)]
    fn octets(_: Cpu, from: usize, to: usize) -> __mmask64 {
        proven!(_bzhi_u64(!0, to as u32)) & (!0 << (from & 63)) & if from < 64 { !0 } else { 0 }
    }

    #[inline(always)]
    fn octets_behind(_: Cpu, number: usize) -> __mmask64 {
        (!0 << (BLOCK * number)) << BLOCK
    }

    #[inline(always)]
    fn zero(_: Cpu) -> Zmm {
        proven!(Zmm(_mm512_setzero_si512()))
    }

    #[inline(always)]
    fn splat(_: Cpu, block: &Block) -> Zmm {
        proven!(Zmm(_mm512_broadcast_i32x4(_mm_load_si128(block.0.as_ptr().cast()))))
    }

    #[inline(always)]
    fn splat_half(_: Cpu, half: &[u8; 8]) -> Zmm {
        proven!(Zmm(_mm512_set1_epi64(i64::from_le_bytes(*half))))
    }

    #[inline(always)]
    fn row(_: Cpu, blocks: &[Block]) -> Zmm {
        let row: &[Block] = &blocks[..4];
        proven!(Zmm(_mm512_loadu_si512(row.as_ptr().cast())))
    }

    /// What ESP has, SPI and sequence number, is read without a mask: on Zen 4 the making of one takes the place
    /// of a round of AES.
    #[inline(always)]
    fn place(_: Cpu, octets: &[u8], number: usize) -> Zmm {
        proven!({
            let from: *const u8 = octets.as_ptr();
            let block = match octets.len() {
                8 => _mm_loadl_epi64(from.cast()),
                12 => _mm_insert_epi32::<2>(
                    _mm_loadl_epi64(from.cast()),
                    from.add(8).cast::<i32>().read_unaligned(),
                ),
                // Never more than there are: all but the low 8 bits of a length are ignored.
                octets => _mm_maskz_loadu_epi8(_bzhi_u32(0xffff, octets as u32) as __mmask16, from.cast()),
            };
            let words = _mm512_loadu_si512(PLACES[3 - number..][..4].as_ptr().cast());
            Zmm(_mm512_permutexvar_epi64(words, _mm512_zextsi128_si512(block)))
        })
    }

    #[inline(always)]
    unsafe fn load(_: Cpu, from: *const u8) -> Zmm {
        proven!(Zmm(_mm512_loadu_si512(from.cast())))
    }

    #[inline(always)]
    unsafe fn load_over(self, from: *const u8, octets: __mmask64) -> Zmm {
        proven!(Zmm(_mm512_mask_loadu_epi8(self.0, octets, from.cast())))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        proven!(_mm512_storeu_si512(to.cast(), self.0))
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut u8, octets: __mmask64) {
        proven!(_mm512_mask_storeu_epi8(to.cast(), octets, self.0))
    }

    #[inline(always)]
    fn or_else(self, octets: __mmask64, other: Zmm) -> Zmm {
        proven!(Zmm(_mm512_mask_blend_epi8(octets, other.0, self.0)))
    }

    #[inline(always)]
    fn xor(self, other: Zmm) -> Zmm {
        proven!(Zmm(_mm512_xor_si512(self.0, other.0)))
    }

    #[inline(always)]
    fn xor3(self, b: Zmm, c: Zmm) -> Zmm {
        const XOR: i32 = 0x96;
        proven!(Zmm(_mm512_ternarylogic_epi64::<XOR>(self.0, b.0, c.0)))
    }

    #[inline(always)]
    fn round(self, key: Zmm) -> Zmm {
        proven!(Zmm(_mm512_aesenc_epi128(self.0, key.0)))
    }

    #[inline(always)]
    fn last_round(self, key: Zmm) -> Zmm {
        proven!(Zmm(_mm512_aesenclast_epi128(self.0, key.0)))
    }

    #[inline(always)]
    fn multiply<const HALVES: i32>(self, other: Zmm) -> Zmm {
        proven!(Zmm(_mm512_clmulepi64_epi128::<HALVES>(self.0, other.0)))
    }

    #[inline(always)]
    fn swap_halves(self) -> Zmm {
        proven!(Zmm(_mm512_shuffle_epi32::<0x4e>(self.0)))
    }

    #[inline(always)]
    fn reflect(self) -> Zmm {
        proven!({
            let order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            Zmm(_mm512_shuffle_epi8(self.0, _mm512_broadcast_i32x4(order)))
        })
    }

    #[inline(always)]
    fn swap_counters(self) -> Zmm {
        proven!({
            let order = _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
            Zmm(_mm512_shuffle_epi8(self.0, _mm512_broadcast_i32x4(order)))
        })
    }

    #[inline(always)]
    fn count(self, by: u32) -> Zmm {
        proven!(Zmm(_mm512_add_epi32(self.0, _mm512_maskz_set1_epi32(0x8888, by as i32))))
    }

    #[inline(always)]
    fn with_lengths(self, lengths: Lengths) -> Zmm {
        proven!({
            let text = _mm512_mask_set1_epi64(self.0, 0x40, lengths.text as i64);
            Zmm(_mm512_mask_set1_epi64(text, 0x80, lengths.aad as i64))
        })
    }

    #[inline(always)]
    fn pin(self) -> Self {
        proven!(Zmm(pinned(self.0)))
    }

    #[inline(always)]
    fn block(self, number: usize) -> __m128i {
        proven!({
            let words = _mm512_loadu_si512(BLOCKS[number..][..4].as_ptr().cast());
            _mm512_castsi512_si128(_mm512_permutexvar_epi64(words, self.0))
        })
    }

    #[inline(always)]
    fn first(self) -> __m128i {
        proven!(_mm512_castsi512_si128(self.0))
    }

    #[inline(always)]
    fn fold(self) -> __m128i {
        proven!({
            let two =
                _mm256_xor_si256(_mm512_castsi512_si256(self.0), _mm512_extracti64x4_epi64::<1>(self.0));
            _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256::<1>(two))
        })
    }
}

/// From number `n` on: which halves of blocks bring block `n` to the front.
static BLOCKS: [[u64; 2]; 7] = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 1], [2, 3], [4, 5]];

/// From number `3 - n` on: which halves of blocks bring the first to place `n`, and the second, zeros,
/// to the others.
static PLACES: [[u64; 2]; 7] = [[2, 3], [2, 3], [2, 3], [0, 1], [2, 3], [2, 3], [2, 3]];

/// See [`Wide::pin`].
#[inline]
#[target_feature(enable = "avx512f")]
fn pinned(mut register: __m512i) -> __m512i {
    // SAFETY: no instructions.
    unsafe { asm!("/* {0} */", inout(zmm_reg) register, options(nomem, nostack, preserves_flags)) };
    register
}

const _: () = assert!(Zmm::OCTETS == size_of::<__m512i>() && Zmm::OCTETS == 4 * BLOCK);
