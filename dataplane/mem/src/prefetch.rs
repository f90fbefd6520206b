//! Asking for a cache line before it is needed.
//!
//! A burst knows all its associations before it touches the first: prefetching their lines turns a
//! chain of misses into one. A hint only: no effect but on time, on processors without it nothing.

/// Asks for the first cache line of `value`, to read it soon.
#[inline(always)]
pub fn read<T: ?Sized>(value: &T) {
    line::<T, false>(value);
}

/// Asks for the first cache line of `value`, to write it soon (spares the second trip that makes a
/// line this core's own). Takes `&T` because what one writes through a table cell is often shared.
#[inline(always)]
pub fn write<T: ?Sized>(value: &T) {
    line::<T, true>(value);
}

/// Asks for the first `most` cache lines of `value` (fewer if it has fewer), to read them soon.
#[inline(always)]
pub fn lines<T>(value: &T, most: usize) {
    let start = std::ptr::from_ref(value).cast::<i8>();
    for line in 0..most.min(size_of::<T>().div_ceil(crate::CACHE_LINE)) {
        address::<false>(start.wrapping_add(line * crate::CACHE_LINE));
    }
}

/// Asks for further cache lines of `value`, numbers `from` up to `to`, to read them later, after others: into
/// the second cache level, where they do not displace what is read first.
#[inline(always)]
pub fn lines_later<T>(value: &T, from: usize, to: usize) {
    let start = std::ptr::from_ref(value).cast::<i8>();
    for line in from..to.min(size_of::<T>().div_ceil(crate::CACHE_LINE)) {
        address_later(start.wrapping_add(line * crate::CACHE_LINE));
    }
}

#[inline(always)]
fn line<T: ?Sized, const WRITE: bool>(value: &T) {
    address::<WRITE>(std::ptr::from_ref(value).cast::<i8>());
}

#[inline(always)]
fn address<const WRITE: bool>(address: *const i8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
        // SAFETY: PREFETCHh accesses no memory the program can observe and faults on no address
        // (Intel SDM vol. 2, PREFETCHh); SSE is part of x86-64. Where PREFETCHW is missing it is
        // a no-operation.
        unsafe {
            if WRITE { _mm_prefetch::<_MM_HINT_ET0>(address) } else { _mm_prefetch::<_MM_HINT_T0>(address) }
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: PRFM is a hint; it generates no synchronous abort (Arm ARM, "Prefetch memory").
        unsafe {
            if WRITE {
                std::arch::asm!("prfm pstl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags));
            } else {
                std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags));
            }
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

#[inline(always)]
fn address_later(address: *const i8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: as in `address`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address) }
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: as in `address`.
        unsafe {
            std::arch::asm!("prfm pldl2keep, [{0}]", in(reg) address, options(nostack, preserves_flags))
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    /// Any value will do, an empty slice (whose address is dangling) included.
    #[test]
    fn any_address_is_fine() {
        super::read(&7u64);
        super::write(&[0u8; 256]);
        super::read::<[u8]>(&[]);
        super::read("text");
        super::lines(&[0u8; 200], 9);
        super::lines(&(), 1);
        super::lines_later(&[0u8; 200], 1, 9);
        super::lines_later(&(), 3, 1);
    }
}
