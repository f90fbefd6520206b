//! Words that many threads read while one writes: the memory of tables that are changed in place.
//!
//! [`Words`] reserves its addresses at once and takes memory from the machine page by page as words are
//! first touched, so that a table can be sized for the most it may ever hold and cost what it does hold.
//! Huge pages are asked for, since such tables are read at random. Nothing secret belongs here: the
//! memory is neither locked nor wiped. It is left out of core dumps, for its size.
//!
//! What the words mean, and who may write them when, is the caller's.

use std::ops::Deref;
use std::sync::atomic::AtomicU64;

use crate::arena::SlabError;
use crate::arena::mapping::Reserve;

/// A slice of zeroed atomic words that never moves. Begins on a page.
///
/// Aligned so that in an `Arc` the counts, which one side writes, and the address, which the other reads
/// for every packet, lie on different cache lines.
#[repr(align(128))]
pub struct Words {
    reserve: Reserve,
    length: usize,
}

impl Words {
    /// Reserves addresses for `length` words, all zero.
    ///
    /// # Errors
    /// When the address space, or the machine's limit on it (`ulimit -v`), does not have that many.
    pub fn reserve(length: usize) -> Result<Words, SlabError> {
        let element = size_of::<AtomicU64>();
        let octets = length.checked_mul(element).filter(|octets| *octets <= isize::MAX as usize / 2);
        let octets = octets.ok_or(SlabError::TooLarge { capacity: length, element })?;
        let reserve = Reserve::new(octets).map_err(|source| SlabError::OutOfMemory { octets, source })?;
        Ok(Words { reserve, length })
    }

    /// No words at all.
    pub const fn none() -> Words {
        Words { reserve: Reserve::none(), length: 0 }
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline(always)]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the reserve has room for `length` words, begins on a page, lives as long as `self`,
        // and anonymous memory reads as zeros, which are valid `AtomicU64`s; all access is atomic.
        unsafe { std::slice::from_raw_parts(self.reserve.start().cast::<AtomicU64>().as_ptr(), self.length) }
    }
}

// SAFETY: a `Words` owns its memory as a `Box<[AtomicU64]>` does; the mapping belongs to no thread.
unsafe impl Send for Words {}
// SAFETY: `&Words` gives `&[AtomicU64]` and nothing more.
unsafe impl Sync for Words {}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("length", &self.length).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    /// Far more than this machine may have: only what is touched counts.
    #[test]
    fn a_large_reserve_costs_what_is_touched() {
        let words = Words::reserve(1 << 33).unwrap();
        for at in [0, 1 << 20, (1 << 33) - 1] {
            assert_eq!(words[at].load(Relaxed), 0);
            words[at].store(7, Relaxed);
            assert_eq!(words[at].load(Relaxed), 7);
        }
    }

    #[test]
    fn nothing_and_too_much_are_handled() {
        assert!(Words::reserve(0).unwrap().is_empty() && Words::none().is_empty());
        assert!(matches!(Words::reserve(usize::MAX / 8), Err(SlabError::TooLarge { .. })));
        assert!(matches!(Words::reserve(1 << 57), Err(SlabError::OutOfMemory { .. })));
    }
}
