//! Values of others' types that leave nothing behind: a library's keys, which it does not wipe itself.
//!
//! What a move leaves in its former place is not wiped, as with any Rust value: make it where it will stay.

use std::mem::{MaybeUninit, needs_drop};
use std::ops::Deref;

use zeroize::Zeroize;

/// A value that is overwritten with zeros when dropped. It has no destructor, so that its own octets are all there is
/// of it; `MaybeUninit` because zeros may be no valid `T`.
pub struct Wiped<T>(MaybeUninit<T>);

impl<T> Wiped<T> {
    /// Takes a value, of a type without a destructor: another does not compile.
    pub fn new(value: T) -> Wiped<T> {
        const { assert!(!needs_drop::<T>(), "what has a destructor may own octets elsewhere") };
        Wiped(MaybeUninit::new(value))
    }
}

impl<T> Deref for Wiped<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: `new`, the only constructor, initialises the field, and only `drop` wipes it.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After drop not one octet is left in its place.
    #[test]
    fn drop_leaves_zeros() {
        let mut place = Box::new(MaybeUninit::new(Wiped::new([0x5a_u64; 9])));
        // SAFETY: the value was just put there, and is not used again.
        unsafe {
            assert_eq!(**place.assume_init_ref(), [0x5a; 9]);
            place.assume_init_drop();
        }
        // SAFETY: drop has overwritten every octet of the allocation.
        let octets = unsafe { std::slice::from_raw_parts(place.as_ptr().cast::<u8>(), 72) };
        assert!(octets.iter().all(|&octet| octet == 0));
    }
}
