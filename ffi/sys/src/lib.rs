//! Raw bindings to DPDK 22.11 and a C shim for its static-inline functions.
//!
//! Why: `bindings.rs` is generated once from an allow-list and committed, so that a
//! build needs no libclang; `shim.c` gives C faces to what DPDK defines only inline
//! (allocation, receive, transmit). Nothing here is safe to call by itself: the
//! contracts are DPDK's, and crate `dpdk` is the only caller.
//!
//! Held together in three places: the build asserts in C every size and offset the
//! bindings rely on; the bindings assert them in Rust; [`check_release`] compares
//! the library loaded at run time with the headers of the build.
//!
//! Regenerate with `cargo check -p dpdk-sys --features regenerate` (needs libclang).

use core::ffi::CStr;

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    reason = "generated from C headers; the C documentation is the contract"
)]
mod bindings;
pub use bindings::*;

/// The DPDK library found at run time is not of the release the program was built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongRelease {
    /// `RTE_VER_YEAR`.`RTE_VER_MONTH` of the headers, as year * 100 + month (2211).
    pub built_for: u32,
    /// What the loaded library calls itself, for instance `DPDK 22.11.11`.
    pub loaded: String,
}

/// The version string of the loaded library, for instance `DPDK 22.11.11`.
pub fn loaded_version() -> String {
    // SAFETY: rte_version takes no argument, may be called before rte_eal_init, and
    // returns a static NUL-terminated string.
    unsafe { CStr::from_ptr(rte_version()) }.to_string_lossy().into_owned()
}

/// Compares the loaded library's release line with that of the headers this was
/// built from: within a line DPDK keeps its ABI, across lines it does not.
///
/// # Errors
/// [`WrongRelease`] with both, when they differ.
pub fn check_release() -> Result<(), WrongRelease> {
    // SAFETY: no arguments, no state.
    let built_for = unsafe { shim_compiled_release() };
    let loaded = loaded_version();
    match release_of(&loaded) {
        Some(release) if release == built_for => Ok(()),
        _ => Err(WrongRelease { built_for, loaded }),
    }
}

/// `DPDK 22.11.11` -> 2211.
fn release_of(version: &str) -> Option<u32> {
    let mut parts = version.rsplit(' ').next()?.split('.');
    let year: u32 = parts.next()?.parse().ok()?;
    let month: u32 = parts.next()?.split('-').next()?.parse().ok()?;
    year.checked_mul(100)?.checked_add(month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaded_library_is_the_one_built_for() {
        assert_eq!(check_release(), Ok(()));
    }

    #[test]
    fn release_is_read_from_every_form_of_version() {
        assert_eq!(release_of("DPDK 22.11.11"), Some(2211));
        assert_eq!(release_of("DPDK 23.07.0-rc1"), Some(2307));
        assert_eq!(release_of("DPDK 22.11-rc2"), Some(2211));
        assert_eq!(release_of("DPDK"), None);
    }

    #[test]
    fn a_mbuf_is_two_cache_lines() {
        assert_eq!(size_of::<rte_mbuf>(), 128);
        assert_eq!(align_of::<rte_mbuf>(), 64);
    }
}
