//! A traffic selector: a range of addresses, a protocol, a range of ports (RFC 7296 §3.13.1).
//!
//! It says which packets a CHILD_SA may carry. Intersection lives in [`crate::narrow`].

use core::fmt;
use std::net::IpAddr;

/// Packets of one address range, protocol and port range.
///
/// For ICMP and ICMPv6 the "port" is type << 8 | code, for the mobility header type << 8 (RFC 4301 §4.4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// First address, inclusive.
    pub start: IpAddr,
    /// Last address, inclusive; same family as `start` and not before it.
    pub end: IpAddr,
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// First port, inclusive. 65535 with `end_port` 0 is OPAQUE: packets whose ports cannot be seen.
    pub start_port: u16,
    /// Last port, inclusive.
    pub end_port: u16,
}

impl Selector {
    /// Every packet between the addresses `start` and `end`, whatever its protocol and ports.
    pub fn addresses(start: IpAddr, end: IpAddr) -> Selector {
        Selector { start, end, protocol: 0, start_port: 0, end_port: u16::MAX }
    }

    /// Every packet of one host.
    pub fn host(address: IpAddr) -> Selector {
        Selector::addresses(address, address)
    }

    /// The addresses of `network/prefix`; bits of `network` beyond the prefix are ignored, a prefix longer
    /// than the address is a host.
    pub fn prefix(network: IpAddr, prefix: u8) -> Selector {
        match network {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                let bits = address.to_bits();
                Selector::addresses(IpAddr::V4((bits & !mask).into()), IpAddr::V4((bits | mask).into()))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                let bits = address.to_bits();
                Selector::addresses(IpAddr::V6((bits & !mask).into()), IpAddr::V6((bits | mask).into()))
            }
        }
    }

    /// The same addresses, narrowed to one protocol and a port range.
    pub fn with_ports(self, protocol: u8, start_port: u16, end_port: u16) -> Selector {
        Selector { protocol, start_port, end_port, ..self }
    }

    /// Whether this asks for packets whose ports cannot be seen, such as later fragments (RFC 4301 §4.4.1.1).
    pub fn is_opaque(&self) -> bool {
        self.start_port == u16::MAX && self.end_port == 0
    }

    /// Whether there is a packet that both allow.
    pub fn overlaps(&self, other: &Selector) -> bool {
        crate::narrow::intersect(self, other).is_some()
    }

    /// The packets that both allow, if there are any.
    pub fn intersection(&self, other: &Selector) -> Option<Selector> {
        crate::narrow::intersect(self, other)
    }

    /// Whether the address and port ranges are possible at all: one family, start not after end.
    pub fn is_well_formed(&self) -> bool {
        self.start.is_ipv4() == self.end.is_ipv4()
            && self.start <= self.end
            && (self.is_opaque() || self.start_port <= self.end_port)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)?;
        if self.protocol != 0 {
            write!(f, " proto {}", self.protocol)?;
        }
        match (self.start_port, self.end_port) {
            (0, u16::MAX) => Ok(()),
            (u16::MAX, 0) => write!(f, " port opaque"),
            (start, end) => write!(f, " port {start}-{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_spans_its_addresses() {
        let net = Selector::prefix("10.1.2.3".parse().unwrap(), 24);
        assert_eq!(net.to_string(), "10.1.2.0-10.1.2.255");
        assert_eq!(
            Selector::prefix("10.1.2.3".parse().unwrap(), 32),
            Selector::host("10.1.2.3".parse().unwrap())
        );
        assert_eq!(Selector::prefix("10.1.2.3".parse().unwrap(), 0).to_string(), "0.0.0.0-255.255.255.255");
        assert_eq!(
            Selector::prefix("2001:db8::1".parse().unwrap(), 64).end,
            "2001:db8::ffff:ffff:ffff:ffff".parse::<IpAddr>().unwrap()
        );
    }
}
