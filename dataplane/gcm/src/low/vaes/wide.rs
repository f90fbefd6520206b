//! A vector register as the kernel sees it: a row of 128-bit blocks, worked all at once.
//!
//! The algorithm (`packet.rs`, `crypt.rs`, `ghash.rs`) is written once over this trait
//! and compiled for each width: [`super::zmm`] (AVX-512, rows of four blocks) and [`super::ymm`]
//! (AVX2, rows of two). All operations are lane by lane unless they say otherwise.
//!
//! **Soundness.** A vector can only be had from a [`Wide::Cpu`], and that only from a check of the
//! processor; so whoever holds either may use the instructions. **Speed** needs more: these methods
//! have no target features of their own and must be inlined into a function that has. Everything
//! here and above is `#[inline(always)]` for that reason, up to the entries in `mod.rs`.

use core::arch::x86_64::{__m128i, _mm_store_si128};

use super::schedule::Schedule;
use crate::key::Key;
use crate::low::Block;

/// Octets of a block.
pub(crate) const BLOCK: usize = 16;

/// A row of blocks in one register.
pub(crate) trait Wide: Copy {
    /// Blocks in a row.
    const BLOCKS: usize;
    /// Rows of a packet that is worked in one go, 8 to [`super::crypt::SHORT`]: no more than registers hold.
    const IN_ONE_GO: usize;
    /// Octets in a row.
    const OCTETS: usize = Self::BLOCKS * BLOCK;

    /// Proof that this processor has the instructions.
    type Cpu: Copy;
    /// A choice of octets of a row.
    type Octets: Copy;

    /// A key's schedule, if it is for this width.
    fn schedule(key: &Key) -> Option<&Schedule>;

    /// The octets from `from` up to `to`, both at most [`Wide::OCTETS`].
    fn octets(cpu: Self::Cpu, from: usize, to: usize) -> Self::Octets;
    /// The octets behind block `number`, to the end of the row.
    fn octets_behind(cpu: Self::Cpu, number: usize) -> Self::Octets;

    /// All zeros.
    fn zero(cpu: Self::Cpu) -> Self;
    /// The same block in every place.
    fn splat(cpu: Self::Cpu, block: &Block) -> Self;
    /// The same half of a block in every half.
    fn splat_half(cpu: Self::Cpu, half: &[u8; 8]) -> Self;
    /// The first row of `blocks`, of which there must be enough.
    fn row(cpu: Self::Cpu, blocks: &[Block]) -> Self;

    /// `octets`, at most a block, in the front of block `number`, which exists; zeros elsewhere.
    fn place(cpu: Self::Cpu, octets: &[u8], number: usize) -> Self;

    /// Reads a row.
    ///
    /// # Safety
    /// The whole row must be readable.
    unsafe fn load(cpu: Self::Cpu, from: *const u8) -> Self;
    /// Reads the chosen octets of a row; the others are those of `self`.
    ///
    /// # Safety
    /// The chosen octets must be readable. Nothing is asked of the others.
    unsafe fn load_over(self, from: *const u8, octets: Self::Octets) -> Self;
    /// Writes a row.
    ///
    /// # Safety
    /// The whole row must be writable.
    unsafe fn store(self, to: *mut u8);
    /// Writes the chosen octets of a row and touches no others.
    ///
    /// # Safety
    /// The chosen octets must be writable.
    unsafe fn store_part(self, to: *mut u8, octets: Self::Octets);

    /// The chosen octets; the others are those of `other`.
    fn or_else(self, octets: Self::Octets, other: Self) -> Self;
    /// Exclusive or.
    fn xor(self, other: Self) -> Self;
    /// Exclusive or of three.
    fn xor3(self, b: Self, c: Self) -> Self;

    /// A round of AES (FIPS 197 §5.1).
    fn round(self, key: Self) -> Self;
    /// The last round of AES.
    fn last_round(self, key: Self) -> Self;
    /// Carry-less product of one half of each block of `self` (bit 0 of `HALVES`: the high one) and
    /// one of `other` (bit 4).
    fn multiply<const HALVES: i32>(self, other: Self) -> Self;
    /// The halves of each block swapped.
    fn swap_halves(self) -> Self;
    /// The octets of each block in reverse order: between AES's order and GHASH's.
    fn reflect(self) -> Self;
    /// The last four octets of each block in reverse order: GCM's counter, a big-endian number (SP
    /// 800-38D §6.2), becomes one that [`Wide::count`] understands, and the other way round.
    fn swap_counters(self) -> Self;
    /// The last word of each block raised by `by`, modulo 2^32.
    fn count(self, by: u32) -> Self;
    /// The last block becomes the lengths in bits, in GHASH's order: text below, associated data above.
    fn with_lengths(self, lengths: Lengths) -> Self;

    /// Itself, and a point in the order of instructions: what goes into one pinned value is computed
    /// before what comes out of the next. Compilers else gather instructions of one kind.
    fn pin(self) -> Self;

    /// Block `number`, which exists.
    fn block(self, number: usize) -> __m128i;
    /// The first block.
    fn first(self) -> __m128i;
    /// The exclusive or of all blocks.
    fn fold(self) -> __m128i;
}

/// Does `body` for each `i` below a constant of at most 10, and leaves no loop: an array worked by one
/// may stay in memory.
macro_rules! unroll {
    ($i:ident < $n:expr => $body:expr) => {
        unroll!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9)
    };
    (@ $i:ident, $n:expr, $body:expr, $($number:literal)*) => {
        $(if $number < $n {
            let $i = $number;
            $body
        })*
    };
}
pub(super) use unroll;

/// The two lengths GHASH ends with (SP 800-38D §7.1), in bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    pub(crate) aad: u64,
    pub(crate) text: u64,
}

impl Lengths {
    /// Of so many octets.
    #[inline(always)]
    pub(crate) fn of(aad: usize, text: usize) -> Lengths {
        Lengths { aad: (aad as u64) << 3, text: (text as u64) << 3 }
    }
}

/// A register's octets in memory.
#[inline(always)]
pub(crate) fn block_of(register: __m128i) -> Block {
    let mut block = Block::ZERO;
    // SAFETY: SSE2 is part of every x86-64, and a `Block` is 16 octets and so aligned.
    unsafe { _mm_store_si128(block.0.as_mut_ptr().cast(), register) };
    block
}
