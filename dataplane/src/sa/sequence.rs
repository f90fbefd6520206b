//! Outbound sequence numbers: each given once, refused at the end of their range.
//!
//! RFC 4303 §3.3.3: "the sender MUST NOT send a packet on an SA if doing so would cause the
//! Sequence Number to cycle". The number is also the IV of AES-GCM, so giving it once is what
//! keeps the nonce unique under the SA's key (RFC 4106 §3.1).

use super::suite;

/// The counter of one outbound SA. One owner; not `Clone`, because a copy would repeat numbers.
#[derive(Debug)]
pub struct Sequence {
    last: u64,
    end: u64,
}

/// A number no other packet of its SA has. Not `Clone`: one number, one packet.
#[derive(Debug, PartialEq, Eq)]
pub struct Number(u64);

/// The range is used up; the SA must be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the SA has used its last sequence number {end} and sends no more: it must be rekeyed")]
pub struct Exhausted {
    /// The last number of the range.
    pub end: u64,
}

impl Sequence {
    /// A counter whose first number is 1 (RFC 4303 §3.3.3); 64 bits with `esn`, else 32.
    pub const fn new(esn: bool) -> Sequence {
        Sequence::after(0, esn)
    }

    /// A counter whose first number follows `last`: for an SA taken over, with `last` at or
    /// beyond every number its former owner can have used.
    pub const fn after(last: u64, esn: bool) -> Sequence {
        Sequence { last, end: if esn { u64::MAX } else { u32::MAX as u64 } }
    }

    /// The next number.
    #[inline]
    pub fn take(&mut self) -> Result<Number, Exhausted> {
        self.left()?;
        self.last += 1;
        Ok(Number(self.last))
    }

    /// How many numbers are left, if any.
    #[inline]
    pub const fn left(&self) -> Result<u64, Exhausted> {
        match self.end.checked_sub(self.last) {
            None | Some(0) => Err(Exhausted { end: self.end }),
            Some(left) => Ok(left),
        }
    }

    /// The last number given, 0 before the first.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Numbers that can be taken before `soft`, which is not among them.
    pub const fn calm(&self, soft: u64) -> u64 {
        soft.saturating_sub(1).saturating_sub(self.last)
    }

    /// Where three quarters of the range are used and a replacement is due (DP-15).
    #[inline]
    pub const fn soft_limit(&self) -> u64 {
        self.end / 4 * 3
    }
}

impl Number {
    /// All 64 bits.
    pub const fn get(&self) -> u64 {
        self.0
    }

    /// What the ESP header shows.
    #[inline]
    pub const fn low(&self) -> u32 {
        self.0 as u32
    }

    /// The explicit IV.
    #[inline]
    pub const fn iv(&self) -> [u8; suite::IV_LEN] {
        self.0.to_be_bytes()
    }

    /// The nonce under an SA's salt.
    #[inline]
    pub const fn nonce(&self, salt: [u8; suite::SALT_LEN]) -> [u8; 12] {
        suite::nonce(salt, self.iv())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_at_one_and_end_with_the_range() {
        for (esn, end) in [(false, u64::from(u32::MAX)), (true, u64::MAX)] {
            assert_eq!(Sequence::new(esn).take().unwrap().get(), 1);
            let mut sequence = Sequence::after(end - 2, esn);
            assert_eq!(sequence.take().unwrap().get(), end - 1);
            assert_eq!(sequence.take().unwrap().get(), end);
            for _ in 0..3 {
                assert_eq!(sequence.take(), Err(Exhausted { end }));
            }
            assert_eq!(sequence.last(), end);
        }
    }

    #[test]
    fn a_counter_taken_over_beyond_its_range_gives_nothing() {
        assert!(Sequence::after(1 << 33, false).take().is_err());
    }

    #[test]
    fn nonces_carry_salt_and_all_64_bits() {
        let number = Sequence::after(0x0102_0304_0506_0707, true).take().unwrap();
        assert_eq!(number.nonce([9, 8, 7, 6]), [9, 8, 7, 6, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(number.low(), 0x0506_0708);
    }
}
