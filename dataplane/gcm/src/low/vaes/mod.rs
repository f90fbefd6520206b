//! Our own kernels for x86-64 processors with VAES and VPCLMULQDQ, in two widths.
//!
//! A short packet costs by its fixed parts and by the cache lines its key takes, a long one by
//! instructions a block. So: short packets are compiled for each number of rows and are one stretch
//! of code without a branch, several of which the processor keeps in flight; the powers of H a short
//! packet needs lie in one line behind the round keys; the keys of the lanes ahead are prefetched.
//!
//! `wide.rs` says what a register can do, `zmm.rs` and `ymm.rs` do it; `schedule.rs` expands keys;
//! `packet.rs` lays a packet out in rows, `crypt.rs` works it, `ghash.rs` is the hash; `burst.rs` goes
//! from lane to lane. Here are the entries, the only functions with target features: all else is inlined into them.

mod burst;
mod crypt;
mod ghash;
mod packet;
mod schedule;
mod wide;
pub(crate) mod ymm;
pub(crate) mod zmm;

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use crate::key::KeySize;
use crate::{Open, Seal};

pub(crate) use burst::Rank;
pub(crate) use schedule::Schedule;
use wide::Wide;

/// Compiles the entries of one width.
macro_rules! entries {
    ($name:ident, $width:ty, $features:literal) => {
        /// The entries of one width. Safe to call with its `Cpu` at hand.
        pub(crate) mod $name {
            use super::*;

            type Cpu = <$width as Wide>::Cpu;

            #[target_feature(enable = $features)]
            fn expanded(cpu: Cpu, size: KeySize, key: &[u8]) -> Schedule {
                match size {
                    KeySize::Aes128 => Schedule::new::<$width, 10>(cpu, key),
                    KeySize::Aes192 => Schedule::new::<$width, 12>(cpu, key),
                    KeySize::Aes256 => Schedule::new::<$width, 14>(cpu, key),
                }
            }

            #[target_feature(enable = $features)]
            #[inline(never)]
            fn seal_short<const N: usize, const R: usize>(cpu: Cpu, lanes: &mut [Seal<'_>], group: &[u8]) {
                burst::short::<$width, Seal<'_>, N, R, false, false>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            #[inline(never)]
            fn seal_pairs<const N: usize, const R: usize>(cpu: Cpu, lanes: &mut [Seal<'_>], group: &[u8]) {
                burst::short::<$width, Seal<'_>, N, R, true, false>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            #[inline(never)]
            fn seal_middle<const N: usize, const A: usize, const B: usize>(
                cpu: Cpu,
                lanes: &mut [Seal<'_>],
                group: &[u8],
            ) {
                burst::middle::<$width, Seal<'_>, N, A, B, false>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            #[inline(never)]
            fn seal_long<const N: usize, const R: usize>(cpu: Cpu, lanes: &mut [Seal<'_>], group: &[u8]) {
                burst::long::<$width, Seal<'_>, N, R, false>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            #[cold]
            #[inline(never)]
            fn seal_plain<const N: usize>(cpu: Cpu, lanes: &mut [Seal<'_>], group: &[u8]) {
                burst::plain::<$width, Seal<'_>, N, false>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            fn seal_rank<const N: usize>(cpu: Cpu, rank: Rank, lanes: &mut [Seal<'_>], group: &[u8]) {
                match rank {
                    Rank::Short(1) if cpu.pairs() => seal_pairs::<N, 1>(cpu, lanes, group),
                    Rank::Short(2) if cpu.pairs() => seal_pairs::<N, 2>(cpu, lanes, group),
                    Rank::Short(1) => seal_short::<N, 1>(cpu, lanes, group),
                    Rank::Short(2) => seal_short::<N, 2>(cpu, lanes, group),
                    Rank::Short(3) => seal_short::<N, 3>(cpu, lanes, group),
                    Rank::Short(4) => seal_short::<N, 4>(cpu, lanes, group),
                    Rank::Short(5) => seal_short::<N, 5>(cpu, lanes, group),
                    Rank::Short(6) => seal_short::<N, 6>(cpu, lanes, group),
                    Rank::Short(7) => seal_short::<N, 7>(cpu, lanes, group),
                    Rank::Short(8) => seal_short::<N, 8>(cpu, lanes, group),
                    Rank::Short(9) => seal_short::<N, 9>(cpu, lanes, group),
                    Rank::Short(_) => seal_short::<N, 10>(cpu, lanes, group),
                    Rank::Middle(..=9) => seal_middle::<N, 5, 4>(cpu, lanes, group),
                    Rank::Middle(10) => seal_middle::<N, 5, 5>(cpu, lanes, group),
                    Rank::Middle(11) => seal_middle::<N, 6, 5>(cpu, lanes, group),
                    Rank::Middle(12) => seal_middle::<N, 6, 6>(cpu, lanes, group),
                    Rank::Middle(13) => seal_middle::<N, 7, 6>(cpu, lanes, group),
                    Rank::Middle(14) => seal_middle::<N, 7, 7>(cpu, lanes, group),
                    Rank::Middle(15) => seal_middle::<N, 8, 7>(cpu, lanes, group),
                    Rank::Middle(16) => seal_middle::<N, 8, 8>(cpu, lanes, group),
                    Rank::Middle(17) => seal_middle::<N, 9, 8>(cpu, lanes, group),
                    Rank::Middle(_) => seal_middle::<N, 9, 9>(cpu, lanes, group),
                    Rank::Long(1) => seal_long::<N, 1>(cpu, lanes, group),
                    Rank::Long(2) => seal_long::<N, 2>(cpu, lanes, group),
                    Rank::Long(3) => seal_long::<N, 3>(cpu, lanes, group),
                    Rank::Long(4) => seal_long::<N, 4>(cpu, lanes, group),
                    Rank::Long(5) => seal_long::<N, 5>(cpu, lanes, group),
                    Rank::Long(6) => seal_long::<N, 6>(cpu, lanes, group),
                    Rank::Long(7) => seal_long::<N, 7>(cpu, lanes, group),
                    Rank::Long(_) => seal_long::<N, 8>(cpu, lanes, group),
                    Rank::Plain => seal_plain::<N>(cpu, lanes, group),
                }
            }

            #[target_feature(enable = $features)]
            #[inline(never)]
            fn open_short<const N: usize, const R: usize>(cpu: Cpu, lanes: &mut [Open<'_>], group: &[u8]) {
                burst::short::<$width, Open<'_>, N, R, false, true>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            #[inline(never)]
            fn open_pairs<const N: usize, const R: usize>(cpu: Cpu, lanes: &mut [Open<'_>], group: &[u8]) {
                burst::short::<$width, Open<'_>, N, R, true, true>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            #[inline(never)]
            fn open_middle<const N: usize, const A: usize, const B: usize>(
                cpu: Cpu,
                lanes: &mut [Open<'_>],
                group: &[u8],
            ) {
                burst::middle::<$width, Open<'_>, N, A, B, true>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            #[inline(never)]
            fn open_long<const N: usize, const R: usize>(cpu: Cpu, lanes: &mut [Open<'_>], group: &[u8]) {
                burst::long::<$width, Open<'_>, N, R, true>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            #[cold]
            #[inline(never)]
            fn open_plain<const N: usize>(cpu: Cpu, lanes: &mut [Open<'_>], group: &[u8]) {
                burst::plain::<$width, Open<'_>, N, true>(cpu, lanes, group);
            }

            #[target_feature(enable = $features)]
            fn open_rank<const N: usize>(cpu: Cpu, rank: Rank, lanes: &mut [Open<'_>], group: &[u8]) {
                match rank {
                    Rank::Short(1) if cpu.pairs() => open_pairs::<N, 1>(cpu, lanes, group),
                    Rank::Short(2) if cpu.pairs() => open_pairs::<N, 2>(cpu, lanes, group),
                    Rank::Short(1) => open_short::<N, 1>(cpu, lanes, group),
                    Rank::Short(2) => open_short::<N, 2>(cpu, lanes, group),
                    Rank::Short(3) => open_short::<N, 3>(cpu, lanes, group),
                    Rank::Short(4) => open_short::<N, 4>(cpu, lanes, group),
                    Rank::Short(5) => open_short::<N, 5>(cpu, lanes, group),
                    Rank::Short(6) => open_short::<N, 6>(cpu, lanes, group),
                    Rank::Short(7) => open_short::<N, 7>(cpu, lanes, group),
                    Rank::Short(8) => open_short::<N, 8>(cpu, lanes, group),
                    Rank::Short(9) => open_short::<N, 9>(cpu, lanes, group),
                    Rank::Short(_) => open_short::<N, 10>(cpu, lanes, group),
                    Rank::Middle(..=9) => open_middle::<N, 5, 4>(cpu, lanes, group),
                    Rank::Middle(10) => open_middle::<N, 5, 5>(cpu, lanes, group),
                    Rank::Middle(11) => open_middle::<N, 6, 5>(cpu, lanes, group),
                    Rank::Middle(12) => open_middle::<N, 6, 6>(cpu, lanes, group),
                    Rank::Middle(13) => open_middle::<N, 7, 6>(cpu, lanes, group),
                    Rank::Middle(14) => open_middle::<N, 7, 7>(cpu, lanes, group),
                    Rank::Middle(15) => open_middle::<N, 8, 7>(cpu, lanes, group),
                    Rank::Middle(16) => open_middle::<N, 8, 8>(cpu, lanes, group),
                    Rank::Middle(17) => open_middle::<N, 9, 8>(cpu, lanes, group),
                    Rank::Middle(_) => open_middle::<N, 9, 9>(cpu, lanes, group),
                    Rank::Long(1) => open_long::<N, 1>(cpu, lanes, group),
                    Rank::Long(2) => open_long::<N, 2>(cpu, lanes, group),
                    Rank::Long(3) => open_long::<N, 3>(cpu, lanes, group),
                    Rank::Long(4) => open_long::<N, 4>(cpu, lanes, group),
                    Rank::Long(5) => open_long::<N, 5>(cpu, lanes, group),
                    Rank::Long(6) => open_long::<N, 6>(cpu, lanes, group),
                    Rank::Long(7) => open_long::<N, 7>(cpu, lanes, group),
                    Rank::Long(_) => open_long::<N, 8>(cpu, lanes, group),
                    Rank::Plain => open_plain::<N>(cpu, lanes, group),
                }
            }

            /// Expands `key`, whose size is `size`.
            pub(crate) fn expand(cpu: Cpu, size: KeySize, key: &[u8]) -> Schedule {
                // SAFETY: `cpu` is the proof that the processor has the features.
                unsafe { expanded(cpu, size, key) }
            }

            /// Seals the lanes of `lanes` named in `group`, all of keys of `size` and of one rank.
            pub(crate) fn seal(cpu: Cpu, size: KeySize, rank: Rank, lanes: &mut [Seal<'_>], group: &[u8]) {
                // SAFETY: `cpu` is the proof that the processor has the features.
                unsafe {
                    match size {
                        KeySize::Aes128 => seal_rank::<10>(cpu, rank, lanes, group),
                        KeySize::Aes192 => seal_rank::<12>(cpu, rank, lanes, group),
                        KeySize::Aes256 => seal_rank::<14>(cpu, rank, lanes, group),
                    }
                }
            }

            /// Opens lanes, see [`seal`].
            pub(crate) fn open(cpu: Cpu, size: KeySize, rank: Rank, lanes: &mut [Open<'_>], group: &[u8]) {
                // SAFETY: `cpu` is the proof that the processor has the features.
                unsafe {
                    match size {
                        KeySize::Aes128 => open_rank::<10>(cpu, rank, lanes, group),
                        KeySize::Aes192 => open_rank::<12>(cpu, rank, lanes, group),
                        KeySize::Aes256 => open_rank::<14>(cpu, rank, lanes, group),
                    }
                }
            }

            /// [`Rank::number`] of the rank of a packet with so many octets.
            #[inline(always)]
            #[allow(dead_code, reason = "only the fastest kernel's is asked for")]
            pub(crate) fn rank_number(text: usize, aad: usize) -> u8 {
                Rank::number_of::<$width>(text, aad)
            }

            /// The rank of a packet with so many octets.
            #[inline(always)]
            pub(crate) fn rank(text: usize, aad: usize) -> Rank {
                Rank::of::<$width>(text, aad)
            }
        }
    };
}
entries!(wide256, ymm::Ymm, "avx2,vaes,vpclmulqdq,bmi1,bmi2");
entries!(wide512, zmm::Zmm, "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,bmi1,bmi2");

/// Fetches `octets` from `place` on, without waiting for them.
#[inline(always)]
pub(crate) fn lines(place: *const u8, octets: usize) {
    for line in (0..octets).step_by(64) {
        // SAFETY: a hint for any address; SSE is part of every x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.wrapping_add(line).cast()) };
    }
}
