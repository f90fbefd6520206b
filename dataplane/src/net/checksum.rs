//! The Internet checksum: computed (RFC 1071), updated in place (RFC 1624), with the pseudo
//! headers of IPv4 (RFC 768, RFC 9293) and IPv6 (RFC 8200 §8.1).

use std::net::IpAddr;

/// A running one's-complement sum. Parts are added at even offsets only, except the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// An empty sum.
    pub const fn new() -> Sum {
        Sum(0)
    }

    /// The sum over the pseudo header of an upper-layer packet of `length` octets.
    ///
    /// Mixed address families cannot come from one packet; they sum to something no checksum
    /// matches.
    pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Sum {
        let mut sum = Sum::new();
        sum.address(source);
        sum.address(destination);
        sum.0 = sum.0.wrapping_add(u64::from(protocol)).wrapping_add(length as u64);
        sum
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.add(&v4.octets()),
            IpAddr::V6(v6) => self.add(&v6.octets()),
        }
    }

    /// Adds octets; an odd last one counts as the high half of a word (RFC 1071 §1).
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<4>();
        let mut sum =
            words.iter().fold(self.0, |sum, word| sum.wrapping_add(u64::from(u32::from_be_bytes(*word))));
        let (pairs, last) = rest.as_chunks::<2>();
        for pair in pairs {
            sum = sum.wrapping_add(u64::from(u16::from_be_bytes(*pair)));
        }
        for octet in last {
            sum = sum.wrapping_add(u64::from(*octet) << 8);
        }
        self.0 = sum;
    }

    /// The checksum to store: the complement of the folded sum.
    #[inline]
    pub const fn finish(self) -> u16 {
        !self.folded()
    }

    /// Whether a sum taken over data *with* its checksum field says the data is intact.
    #[inline]
    pub const fn is_valid(self) -> bool {
        self.folded() == 0xffff
    }

    #[inline]
    const fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }
}

/// The checksum of `bytes`.
#[inline]
pub fn internet(bytes: &[u8]) -> u16 {
    let mut sum = Sum::new();
    sum.add(bytes);
    sum.finish()
}

/// The checksum after one 16-bit word of the data changed from `old` to `new`
/// (RFC 1624 §3 eqn. 3: HC' = ~(~HC + ~m + m')).
#[inline]
pub const fn adjusted(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = (!checksum) as u32 + (!old) as u32 + new as u32;
    let once = (sum & 0xffff) + (sum >> 16);
    !(((once & 0xffff) + (once >> 16)) as u16)
}

/// The checksum of an upper-layer packet whose checksum field holds zero.
///
/// UDP senders replace a zero result by 0xffff themselves (see [`super::udp`]).
pub fn transport(source: IpAddr, destination: IpAddr, protocol: u8, packet: &[u8]) -> u16 {
    let mut sum = Sum::pseudo(source, destination, protocol, packet.len());
    sum.add(packet);
    sum.finish()
}

/// Whether an upper-layer packet agrees with its checksum field.
pub fn transport_ok(source: IpAddr, destination: IpAddr, protocol: u8, packet: &[u8]) -> bool {
    let mut sum = Sum::pseudo(source, destination, protocol, packet.len());
    sum.add(packet);
    sum.is_valid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The obvious twin: 16 bits at a time with the carry added at once.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn example_of_rfc_1071() {
        // RFC 1071 §3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
        assert_eq!(internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    proptest! {
        #[test]
        fn agrees_with_the_obvious_twin(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(internet(&bytes), naive(&bytes));
        }

        #[test]
        fn adjusting_keeps_data_valid(mut bytes in proptest::collection::vec(any::<u8>(), 4..80), at in 0usize..40, new in any::<u16>()) {
            bytes.truncate(bytes.len() & !1);
            bytes[..2].fill(0);
            let checksum = internet(&bytes);
            let at = 2 + 2 * (at % (bytes.len() / 2 - 1));
            let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            bytes[..2].copy_from_slice(&adjusted(checksum, old, new).to_be_bytes());
            bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
            let mut sum = Sum::new();
            sum.add(&bytes);
            // All-zero data has no 0xffff representation; everything else must verify.
            prop_assert!(sum.is_valid() || bytes.iter().all(|b| *b == 0));
        }
    }
}
