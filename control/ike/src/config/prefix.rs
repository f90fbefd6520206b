//! Addresses that begin alike.

use core::fmt;
use std::net::IpAddr;

/// All addresses of one family whose first `length` bits are those of `network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

impl Prefix {
    /// Bits of `network` beyond the length are ignored; a length beyond the address is a host.
    pub fn new(network: IpAddr, length: u8) -> Prefix {
        let bits = if network.is_ipv4() { 32 } else { 128 };
        let length = length.min(bits);
        let rest = u32::from(length);
        let network = match network {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shr(rest).unwrap_or(0);
                IpAddr::V4((address.to_bits() & !mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shr(rest).unwrap_or(0);
                IpAddr::V6((address.to_bits() & !mask).into())
            }
        };
        Prefix { network, length }
    }

    /// Bits that are alike.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether its addresses are of IPv4.
    pub fn is_ipv4(self) -> bool {
        self.network.is_ipv4()
    }

    /// Whether an address is one of them.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && Prefix::new(address, self.length) == self
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_its_addresses_and_no_others() {
        let prefix = |text: &str, length| Prefix::new(text.parse().unwrap(), length);
        for (network, length, inside, outside) in [
            ("10.1.2.3", 24, "10.1.2.255", "10.1.3.0"),
            ("10.1.2.3", 32, "10.1.2.3", "10.1.2.2"),
            ("10.1.2.3", 99, "10.1.2.3", "10.1.2.2"),
            ("10.1.2.3", 0, "255.0.0.1", "::1"),
            ("2001:db8::1", 64, "2001:db8::ffff", "2001:db8:0:1::"),
            ("::", 0, "2001:db8::", "10.0.0.1"),
        ] {
            let prefix = prefix(network, length);
            assert!(prefix.contains(inside.parse().unwrap()), "{prefix} and {inside}");
            assert!(!prefix.contains(outside.parse().unwrap()), "{prefix} and {outside}");
        }
        assert_eq!(prefix("10.1.2.3", 24).to_string(), "10.1.2.0/24");
    }
}
