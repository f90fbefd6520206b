//! Routes: longest prefix to next hop, IPv4 and IPv6 apart.

use super::trie::{Bits, Trie};
use std::fmt;
use std::net::IpAddr;

/// A port, or a VLAN of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interface {
    /// Port number.
    pub port: u16,
    /// VLAN identifier, 0 for none.
    pub vlan: u16,
}

/// A tunnel's number in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TunnelId(pub u32);

/// The number in the tables of an ip-tunnel: one without keys ([`super::ip_tunnel`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpTunnelId(pub u32);

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// The destination is on the link of this interface.
    Connected(Interface),
    /// Through a gateway on the link of this interface.
    Via(Interface, IpAddr),
    /// Into this tunnel, under one of its children, and never in clear.
    Tunnel(TunnelId),
    /// Into this ip-tunnel.
    IpTunnel(IpTunnelId),
    /// The destination is ours: to the kernel.
    Local,
    /// Nowhere, on purpose.
    Blackhole,
}

/// An address prefix, host bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// A prefix longer than its address: the operator's or the kernel's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}/{length} is no prefix: the length is at most {most}")]
pub struct BadPrefix {
    /// The address given.
    pub address: IpAddr,
    /// The length given.
    pub length: u8,
    /// The longest it could be.
    pub most: u8,
}

impl Prefix {
    /// A prefix; host bits are cleared.
    pub fn new(address: IpAddr, length: u8) -> Result<Prefix, BadPrefix> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        if length > most {
            return Err(BadPrefix { address, length, most });
        }
        Ok(Prefix { address: from_key(address.is_ipv4(), Bits::new(key(address), length).bits()), length })
    }

    /// One address.
    pub const fn host(address: IpAddr) -> Prefix {
        Prefix { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Its length in bits.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// A prefix of bits that are left-aligned.
    pub(super) fn of(v4: bool, bits: Bits) -> Prefix {
        Prefix { address: from_key(v4, bits.bits()), length: bits.length() }
    }

    pub(super) fn bits(&self) -> Bits {
        Bits::new(key(self.address), self.length)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// An address as the left end of a trie key.
pub(super) const fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => (address.to_bits() as u128) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn from_key(v4: bool, bits: u128) -> IpAddr {
    if v4 { IpAddr::V4(((bits >> 96) as u32).into()) } else { IpAddr::V6(bits.into()) }
}

/// A persistent map from prefixes of both families to values.
#[derive(Clone, Debug)]
pub struct PrefixMap<T> {
    v4: Trie<T>,
    v6: Trie<T>,
}

impl<T> Default for PrefixMap<T> {
    fn default() -> PrefixMap<T> {
        PrefixMap { v4: Trie::default(), v6: Trie::default() }
    }
}

impl<T: Clone> PrefixMap<T> {
    const fn family(&self, v4: bool) -> &Trie<T> {
        if v4 { &self.v4 } else { &self.v6 }
    }

    /// The value of the longest prefix that covers an address.
    pub fn longest(&self, address: IpAddr) -> Option<&T> {
        self.family(address.is_ipv4()).longest(key(address))
    }

    /// The value of exactly this prefix.
    pub fn exact(&self, prefix: Prefix) -> Option<&T> {
        self.family(prefix.address.is_ipv4()).exact(prefix.bits())
    }

    /// Gives a prefix a value or takes it away; the former one comes back.
    pub fn set(&mut self, prefix: Prefix, value: Option<T>) -> Option<T> {
        let family = if prefix.address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        match value {
            Some(value) => family.insert(prefix.bits(), value),
            None => family.remove(prefix.bits()),
        }
    }

    /// How many prefixes have a value.
    pub const fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether none has.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` for every prefix, IPv4 first.
    pub fn for_each(&self, mut visit: impl FnMut(Prefix, &T)) {
        for v4 in [true, false] {
            self.family(v4).for_each(|bits, value| {
                visit(Prefix::of(v4, bits), value);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prefixes_lose_their_host_bits() {
        let prefix = Prefix::new([10, 1, 2, 3].into(), 12).unwrap();
        assert_eq!(prefix.to_string(), "10.0.0.0/12");
        assert!(Prefix::new([10, 1, 2, 3].into(), 33).is_err());
        let all = Prefix::new("::1".parse().unwrap(), 0).unwrap();
        assert_eq!(all.to_string(), "::/0");
    }

    proptest! {
        #[test]
        fn the_longest_prefix_wins(prefixes in proptest::collection::vec((any::<bool>(), 0u8..16, 0u8..=32), 0..30), probe in 0u8..16) {
            // 10.n.0.0 and its like in IPv6, all nested in each other.
            let address = |v4: bool, n: u8| -> IpAddr {
                if v4 { [10, n << 4, 0, 0].into() } else { IpAddr::V6((u128::from(n) << 108 | 10 << 120).into()) }
            };
            let mut map = PrefixMap::default();
            let mut model: Vec<(Prefix, usize)> = Vec::new();
            for (value, (v4, n, length)) in prefixes.into_iter().enumerate() {
                let prefix = Prefix::new(address(v4, n), length).unwrap();
                map.set(prefix, Some(value));
                model.retain(|(other, _)| *other != prefix);
                model.push((prefix, value));
            }
            for v4 in [true, false] {
                let probe = address(v4, probe);
                let covers = |prefix: &Prefix| Prefix::new(probe, prefix.length) == Ok(*prefix);
                let same = model.iter().filter(|(prefix, _)| prefix.address.is_ipv4() == v4 && covers(prefix));
                let expected = same.max_by_key(|(prefix, _)| prefix.length).map(|(_, value)| *value);
                prop_assert_eq!(map.longest(probe).copied(), expected);
            }
            let mut all = Vec::new();
            map.for_each(|prefix, value| all.push((prefix, *value)));
            all.sort();
            model.sort();
            prop_assert_eq!(all, model);
        }
    }
}
