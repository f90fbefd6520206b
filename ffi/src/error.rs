//! The errno of a DPDK call, in words.
//!
//! DPDK answers with negative return values or with `rte_errno`; each module turns
//! them into its own enum, which says what was attempted and what to do. This type
//! is what those enums carry.

use std::ffi::c_int;
use std::fmt;

/// A positive errno value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// `rte_errno` of this thread, as the last failing DPDK call left it.
    pub(crate) fn last() -> Self {
        // SAFETY: reads a thread-local integer.
        Errno(unsafe { dpdk_sys::shim_errno() })
    }

    /// A return value: zero and above is success, below is a negative errno. A few
    /// calls return -1 and set `rte_errno`; -1 (EPERM) is then read as the latter.
    pub(crate) fn check(returned: c_int) -> Result<u32, Errno> {
        match u32::try_from(returned) {
            Ok(value) => Ok(value),
            Err(_) if returned == -1 && Errno::last().0 > 0 => Err(Errno::last()),
            Err(_) => Err(Errno(returned.saturating_neg())),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "No such device (os error 19)"
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_return_is_an_errno_and_reads_as_words() {
        assert_eq!(Errno::check(3), Ok(3));
        assert_eq!(Errno::check(-libc::ENODEV), Err(Errno(libc::ENODEV)));
        assert_eq!(Errno(libc::ENODEV).to_string(), "No such device (os error 19)");
    }
}
