//! Which arithmetic serves a key: a token that proves the processor can run it.

use std::fmt;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::low::zmm;

/// A set of routines this processor can run. `Copy`; costs nothing to pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kernel(pub(crate) Set);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    #[cfg(target_arch = "x86_64")]
    Vaes512(zmm::Cpu),
    Portable,
}

impl Kernel {
    /// The fastest this processor can run. The processor is asked once.
    pub fn detect() -> Kernel {
        static FASTEST: OnceLock<Kernel> = OnceLock::new();
        *FASTEST.get_or_init(|| Kernel::vaes512().unwrap_or_else(Kernel::portable))
    }

    /// Over AVX-512 with VAES: sixteen chains, sixteen SHA-1 or SHA-256, eight SHA-512 side by side. `None` if this processor
    /// lacks the instructions.
    pub fn vaes512() -> Option<Kernel> {
        #[cfg(target_arch = "x86_64")]
        return zmm::Cpu::detect().map(|cpu| Kernel(Set::Vaes512(cpu)));
        #[cfg(not(target_arch = "x86_64"))]
        return None;
    }

    /// RustCrypto's `aes`, `cbc` and `sha2`, one packet after the other; they take AES-NI and SHA-NI, or ARMv8's. The
    /// oracle of the faster one.
    pub fn portable() -> Kernel {
        Kernel(Set::Portable)
    }

    /// Every kernel this processor can run, best first: for tests and benches.
    pub fn all() -> impl Iterator<Item = Kernel> {
        Kernel::vaes512().into_iter().chain([Kernel::portable()])
    }
}

/// `Kernel(vaes512)` or `Kernel(portable)`.
impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Vaes512(_) => "Kernel(vaes512)",
            Set::Portable => "Kernel(portable)",
        })
    }
}
