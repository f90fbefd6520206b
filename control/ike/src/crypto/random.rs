//! Where random octets come from: the caller. This crate asks no operating system, so that a
//! simulation can replay every key and nonce from a seed.

/// A source of random octets fit for keys.
pub trait Random {
    /// Fills all of `out`.
    fn fill(&mut self, out: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Random for F {
    fn fill(&mut self, out: &mut [u8]) {
        self(out);
    }
}
