//! Which arithmetic serves a key: a token that proves the processor can run it.
//!
//! A [`Kernel`] can only be had from a constructor that checked the processor, so holding one is
//! the proof. It is chosen once per worker and handed to every [`crate::Key`] made there.

use std::fmt;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::low::vaes::{ymm, zmm};

/// A set of AES-GCM routines this processor can run. `Copy`; costs nothing to pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Set);

/// The kernels that exist, best first. A new one is a variant here, a module in `low/`, and an arm
/// in `key.rs` and `order.rs`; the compiler lists the places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    #[cfg(target_arch = "x86_64")]
    Vaes512(zmm::Cpu),
    #[cfg(target_arch = "x86_64")]
    Vaes256(ymm::Cpu),
    Ring,
    Portable,
}

impl Kernel {
    /// The fastest kernel this processor can run. The processor is asked once: on a virtual machine each question is one to
    /// the hypervisor, and IKE asks for each message.
    pub fn detect() -> Kernel {
        static FASTEST: OnceLock<Kernel> = OnceLock::new();
        *FASTEST.get_or_init(|| Kernel::vaes512().or_else(Kernel::vaes256).unwrap_or_else(Kernel::ring))
    }

    /// Our own over AVX-512 with VAES and VPCLMULQDQ, four blocks at a time, all key sizes; for
    /// packets short and long, and for many keys. `None` if this processor lacks the instructions.
    pub fn vaes512() -> Option<Kernel> {
        #[cfg(target_arch = "x86_64")]
        return zmm::Cpu::detect().map(|cpu| Kernel(Set::Vaes512(cpu)));
        #[cfg(not(target_arch = "x86_64"))]
        return None;
    }

    /// The same over AVX2 with VAES and VPCLMULQDQ, two blocks at a time, for processors without
    /// AVX-512.
    pub fn vaes256() -> Option<Kernel> {
        #[cfg(target_arch = "x86_64")]
        return ymm::Cpu::detect().map(|cpu| Kernel(Set::Vaes256(cpu)));
        #[cfg(not(target_arch = "x86_64"))]
        return None;
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
        let own = Kernel::vaes512().into_iter().chain(Kernel::vaes256());
        own.chain([Kernel::ring(), Kernel::portable()])
    }

    /// The kernel of that [`name`](Kernel::name), if this processor can run it.
    pub fn named(name: &str) -> Option<Kernel> {
        Kernel::all().find(|kernel| kernel.name() == name)
    }

    /// `"vaes512"`, `"vaes256"`, `"ring"` or `"portable"`, as counters and reports print it.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Vaes512(_) => "vaes512",
            #[cfg(target_arch = "x86_64")]
            Set::Vaes256(_) => "vaes256",
            Set::Ring => "ring",
            Set::Portable => "portable",
        }
    }

    pub(crate) fn of(set: Set) -> Kernel {
        Kernel(set)
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
