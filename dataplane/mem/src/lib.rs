//! What safe Rust cannot say and a packet path needs: the cycle counter, prefetching, wiping, and
//! memory that is neither swapped nor dumped.
//!
//! Nothing here knows a packet. Each module is one small thing:
//! [`tsc`] reads cycles, [`prefetch`] asks for a cache line early, [`wipe`] leaves zeros the
//! compiler may not elide, [`wiped`] does so to a value of another's type, [`arena`] holds the tables of security
//! associations, [`words`] those that are read while they change, [`wall`] says whether the time of day is kept right.
//!
//! Left to the caller: deciding what is worth prefetching, and refusing to run when the machine
//! could not protect the arenas (they report what failed, they do not judge it).

pub mod arena;
#[cfg(feature = "count-alloc")]
pub mod counting;
pub mod prefetch;
pub mod tsc;
pub mod wall;
pub mod wiped;
pub mod words;

/// Octets of a cache line on the processors we run on (x86-64, and ARMv8 server cores).
pub const CACHE_LINE: usize = 64;

/// Overwrites `octets` with zeros, in a way the optimiser may not remove.
pub fn wipe(octets: &mut [u8]) {
    zeroize::Zeroize::zeroize(octets);
}

#[cfg(test)]
mod tests {
    /// Every octet goes, at any length.
    #[test]
    fn wipe_leaves_zeros() {
        for length in [0, 1, 15, 16, 17, 4096] {
            let mut octets = vec![0xa5; length];
            super::wipe(&mut octets);
            assert!(octets.iter().all(|&octet| octet == 0));
        }
    }
}
