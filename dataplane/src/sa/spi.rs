//! How a security parameters index is laid out: shard (6 bits, from 1), generation (6 bits),
//! slot (20 bits).
//!
//! The shard says which worker owns the SA, the slot where it lies, and the generation tells a
//! reused slot's packets from its predecessor's. Values below 2^26 have shard 0: manual and
//! imported SPIs, found by exact match. RFC 4303 §2.1 reserves 1..=255 and forbids 0 on the wire.

use super::shard::Shard;
use std::fmt;

/// Bits of a slot number.
pub const SLOT_BITS: u32 = 20;
/// Bits of a generation.
pub const GENERATION_BITS: u32 = 6;
/// Slots a shard can have.
pub const SLOTS: u32 = 1 << SLOT_BITS;
/// Generations a slot goes through before an SPI is seen again.
pub const GENERATIONS: u8 = 1 << GENERATION_BITS;
/// SPIs below this belong to the exact table.
pub const FIRST_SHARDED: u32 = 1 << (SLOT_BITS + GENERATION_BITS);
/// Lowest SPI that may be used (RFC 4303 §2.1).
pub const FIRST_USABLE: u32 = 256;

/// A security parameters index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spi(pub u32);

/// A slot's number within its shard: below [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

/// Where an inbound SA lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The shard, hence the worker.
    pub shard: Shard,
    /// The slot within the shard.
    pub slot: Slot,
}

impl Slot {
    /// A slot number, if it fits.
    pub const fn new(slot: u32) -> Option<Slot> {
        if slot < SLOTS { Some(Slot(slot)) } else { None }
    }

    /// As an index into a shard's slab.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Spi {
    /// The bits that name the shard.
    pub const SHARD_MASK: u32 = !(FIRST_SHARDED - 1);

    /// The bits of a shard, all others 0.
    pub const fn first_of(shard: Shard) -> u32 {
        (shard.get() as u32) << (SLOT_BITS + GENERATION_BITS)
    }

    /// The SPI of a slot in its present generation (modulo [`GENERATIONS`]).
    pub const fn new(place: Place, generation: u8) -> Spi {
        let generation = (generation % GENERATIONS) as u32;
        Spi(Spi::first_of(place.shard) | generation << SLOT_BITS | place.slot.0)
    }

    /// Where the SA lies, or `None` for a manual or imported SPI, which the exact table knows.
    #[inline]
    pub const fn place(self) -> Option<Place> {
        match Shard::new((self.0 >> (SLOT_BITS + GENERATION_BITS)) as u8) {
            Some(shard) => Some(Place { shard, slot: Slot(self.0 & (SLOTS - 1)) }),
            None => None,
        }
    }

    /// Whether [`Spi::place`] says where the SA lies.
    #[inline]
    pub const fn is_sharded(self) -> bool {
        self.0 >= FIRST_SHARDED
    }

    /// The generation bits; meaningful for sharded SPIs only.
    pub const fn generation(self) -> u8 {
        (self.0 >> SLOT_BITS) as u8 & (GENERATIONS - 1)
    }

    /// Whether a manual or imported SA may have this SPI: 256 up to 2^26 - 1.
    pub const fn is_manual(self) -> bool {
        self.0 >= FIRST_USABLE && self.0 < FIRST_SHARDED
    }
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_come_back(shard in 1u8..64, slot in 0..SLOTS, generation in 0..GENERATIONS) {
            let place = Place { shard: Shard::new(shard).unwrap(), slot: Slot::new(slot).unwrap() };
            let spi = Spi::new(place, generation);
            prop_assert_eq!(spi.place(), Some(place));
            prop_assert_eq!(spi.generation(), generation);
            prop_assert!(spi.0 >= FIRST_SHARDED && !spi.is_manual());
        }

        #[test]
        fn every_number_is_sharded_or_below_the_shards(number: u32) {
            prop_assert_eq!(Spi(number).place().is_some(), number >= FIRST_SHARDED);
            prop_assert_eq!(Spi(number).is_sharded(), number >= FIRST_SHARDED);
        }
    }
}
