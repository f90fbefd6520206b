//! Which arithmetic serves a key: a token that proves the processor can run it.
//!
//! A [`Kernel`] can only be had from a constructor that checked the processor, so holding one is
//! the proof. It is chosen once per worker and handed to every [`crate::Key`] made there.

use std::fmt;

/// A set of AES-GCM routines this processor can run. `Copy`; costs nothing to pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Set);

/// The kernels that exist, best first. A new one is a variant here, a file in `low/`, and an arm
/// in `key.rs` and `schedule.rs`; the compiler lists the places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Ring,
    Portable,
}

impl Kernel {
    /// The fastest kernel this processor can run.
    pub fn detect() -> Kernel {
        Kernel::ring()
    }

    /// `ring`: assembly for AES-NI, AVX2 VAES and ARMv8 chosen inside it at run time, AES-128 and
    /// AES-256. Keys of 192 bits, which it does not have, go to the portable kernel.
    pub fn ring() -> Kernel {
        Kernel(Set::Ring)
    }

    /// RustCrypto's `aes-gcm`: all key sizes, any processor. The oracle of the faster ones.
    pub fn portable() -> Kernel {
        Kernel(Set::Portable)
    }

    /// Every kernel this processor can run, best first: for tests and benches.
    pub fn all() -> impl Iterator<Item = Kernel> {
        [Kernel::ring(), Kernel::portable()].into_iter()
    }

    /// The kernel of that [`name`](Kernel::name), if this processor can run it.
    pub fn named(name: &str) -> Option<Kernel> {
        Kernel::all().find(|kernel| kernel.name() == name)
    }

    /// `"ring"` or `"portable"`, as counters and reports print it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Ring => "ring",
            Set::Portable => "portable",
        }
    }

    pub(crate) fn set(self) -> Set {
        self.0
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name printed in a report leads back to the kernel it came from.
    #[test]
    fn names_are_unique_and_lead_back() {
        for kernel in Kernel::all() {
            assert_eq!(Kernel::named(kernel.name()), Some(kernel));
        }
        assert_eq!(Kernel::named("none such"), None);
        assert_eq!(Kernel::all().next(), Some(Kernel::detect()));
    }
}
