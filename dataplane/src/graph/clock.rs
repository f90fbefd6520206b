//! Where the cycles of a worker go, by station: for `ravelin-perf`, compiled in with the feature `cycles`.
//!
//! A mark costs a reading of the counter (some 20 cycles, more under virtualisation), once a station and
//! burst; without the feature it costs nothing.

/// A part of a worker's round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// Commands, tables, rings that were empty, and whatever has no other name.
    Rest,
    /// The ports' receive calls.
    Receive,
    /// Ethernet and IP headers, classification.
    Ingress,
    /// From an SPI to its SA, the checks before the tag.
    Lookup,
    /// Decryption.
    Open,
    /// Window, trailer, inner headers, selectors.
    Accept,
    /// Policy and route, sequence number, headers.
    Prepare,
    /// Encryption.
    Seal,
    /// Exit and Ethernet header.
    Leave,
    /// The ports' transmit calls.
    Transmit,
}

impl Station {
    /// All, in the order of a round.
    pub const ALL: [Station; 10] = [
        Station::Rest,
        Station::Receive,
        Station::Ingress,
        Station::Lookup,
        Station::Open,
        Station::Accept,
        Station::Prepare,
        Station::Seal,
        Station::Leave,
        Station::Transmit,
    ];

    /// As reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Station::Rest => "rest",
            Station::Receive => "receive",
            Station::Ingress => "ingress",
            Station::Lookup => "lookup",
            Station::Open => "open",
            Station::Accept => "accept",
            Station::Prepare => "prepare",
            Station::Seal => "seal",
            Station::Leave => "leave",
            Station::Transmit => "transmit",
        }
    }
}

/// Cycles spent so far, by station.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    #[cfg(feature = "cycles")]
    last: u64,
    #[cfg(feature = "cycles")]
    sums: [u64; Station::ALL.len()],
}

impl Clock {
    /// Whether cycles are counted at all.
    pub const COUNTS: bool = cfg!(feature = "cycles");

    /// A round begins.
    #[inline(always)]
    pub(crate) fn start(&mut self) {
        #[cfg(feature = "cycles")]
        {
            self.last = ravelin_mem::tsc::now();
        }
    }

    /// What was done since the last mark was done at `station`.
    #[inline(always)]
    pub(crate) fn mark(&mut self, station: Station) {
        #[cfg(feature = "cycles")]
        {
            let now = ravelin_mem::tsc::now();
            if let Some(sum) = self.sums.get_mut(station as usize) {
                *sum += now.wrapping_sub(self.last);
            }
            self.last = now;
        }
        #[cfg(not(feature = "cycles"))]
        let _ = station;
    }

    /// Cycles spent at `station`; 0 without the feature.
    pub fn spent(&self, station: Station) -> u64 {
        #[cfg(feature = "cycles")]
        return self.sums.get(station as usize).copied().unwrap_or_default();
        #[cfg(not(feature = "cycles"))]
        {
            let _ = station;
            0
        }
    }
}
