//! Traffic selectors (RFC 4301 §4.4.1.1, RFC 7296 §3.13.1) and whether a packet matches them.
//!
//! Ports are a 16-bit range. For ICMP and mobility headers it holds the message type in the high
//! octet and the code in the low one, and belongs to the side that *sends* the message: TSi says
//! what the initiator may send, TSr what the responder may (RFC 7296 §3.13.1, TS-03).

mod miss;

use crate::net::flow::{Flow, Upper, has_ports};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use miss::{Miss, Missed};

/// Selectors on one side of a child SA: what a stranger may make us keep (TS-05, TS-06).
pub const MAX_SELECTORS: usize = 32;
/// Any protocol.
pub const ANY_PROTOCOL: u8 = 0;

/// A range of addresses, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressRange {
    /// TS_IPV4_ADDR_RANGE.
    V4 {
        /// Lowest address.
        first: Ipv4Addr,
        /// Highest address.
        last: Ipv4Addr,
    },
    /// TS_IPV6_ADDR_RANGE.
    V6 {
        /// Lowest address.
        first: Ipv6Addr,
        /// Highest address.
        last: Ipv6Addr,
    },
}

/// Ports, or what stands in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Any value, shown or not (0 to 65535 on the wire).
    Any,
    /// Only packets that should have ports and do not show them (65535 to 0 on the wire, TS-04).
    Opaque,
    /// A range, both ends included.
    Range {
        /// Lowest.
        first: u16,
        /// Highest.
        last: u16,
    },
}

/// One traffic selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    addresses: AddressRange,
    protocol: u8,
    ports: Ports,
}

/// A selector that matches nothing or cannot be: the peer's or the operator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSelector {
    /// The first address is above the last.
    #[error("address range {first} to {last} is empty: the first address is above the last")]
    EmptyAddresses {
        /// First address.
        first: IpAddr,
        /// Last address.
        last: IpAddr,
    },
    /// The ends are of two families.
    #[error("address range {first} to {last} mixes IPv4 and IPv6")]
    MixedFamilies {
        /// First address.
        first: IpAddr,
        /// Last address.
        last: IpAddr,
    },
    /// The first port is above the last, and they are not OPAQUE.
    #[error("port range {first} to {last} is empty: the first port is above the last")]
    EmptyPorts {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// Ports given for a protocol without ports (TS-02).
    #[error("protocol {protocol} has no ports: use the range 0 to 65535")]
    Portless {
        /// The protocol.
        protocol: u8,
    },
    /// More selectors on one side than [`MAX_SELECTORS`], or none.
    #[error("{found} selectors on one side: there must be 1 to {MAX_SELECTORS}")]
    Count {
        /// How many there were.
        found: usize,
    },
}

impl AddressRange {
    /// A range, checked.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<AddressRange, BadSelector> {
        match (first, last) {
            _ if first > last && first.is_ipv4() == last.is_ipv4() => {
                Err(BadSelector::EmptyAddresses { first, last })
            }
            (IpAddr::V4(first), IpAddr::V4(last)) => Ok(AddressRange::V4 { first, last }),
            (IpAddr::V6(first), IpAddr::V6(last)) => Ok(AddressRange::V6 { first, last }),
            _ => Err(BadSelector::MixedFamilies { first, last }),
        }
    }

    /// All addresses of a prefix; host bits are ignored, lengths beyond the address mean a host.
    pub fn prefix(address: IpAddr, length: u8) -> AddressRange {
        match address {
            IpAddr::V4(address) => {
                let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                let bits = address.to_bits();
                AddressRange::V4 { first: (bits & !host).into(), last: (bits | host).into() }
            }
            IpAddr::V6(address) => {
                let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                let bits = address.to_bits();
                AddressRange::V6 { first: (bits & !host).into(), last: (bits | host).into() }
            }
        }
    }

    /// Whether an address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (AddressRange::V4 { first, last }, IpAddr::V4(a)) => *first <= a && a <= *last,
            (AddressRange::V6 { first, last }, IpAddr::V6(a)) => *first <= a && a <= *last,
            _ => false,
        }
    }

    /// Lowest address.
    pub const fn first(&self) -> IpAddr {
        match self {
            AddressRange::V4 { first, .. } => IpAddr::V4(*first),
            AddressRange::V6 { first, .. } => IpAddr::V6(*first),
        }
    }

    /// Highest address.
    pub const fn last(&self) -> IpAddr {
        match self {
            AddressRange::V4 { last, .. } => IpAddr::V4(*last),
            AddressRange::V6 { last, .. } => IpAddr::V6(*last),
        }
    }

    /// Addresses in the range, less one.
    const fn span(&self) -> u128 {
        match self {
            AddressRange::V4 { first, last } => (last.to_bits() - first.to_bits()) as u128,
            AddressRange::V6 { first, last } => last.to_bits() - first.to_bits(),
        }
    }
}

impl Ports {
    /// From the two numbers of a traffic selector (RFC 7296 §3.13.1).
    pub const fn new(start: u16, end: u16) -> Result<Ports, BadSelector> {
        match (start, end) {
            (0, u16::MAX) => Ok(Ports::Any),
            (u16::MAX, 0) => Ok(Ports::Opaque),
            (first, last) if first <= last => Ok(Ports::Range { first, last }),
            (first, last) => Err(BadSelector::EmptyPorts { first, last }),
        }
    }

    /// As the two numbers of a traffic selector.
    pub const fn wire(self) -> (u16, u16) {
        match self {
            Ports::Any => (0, u16::MAX),
            Ports::Opaque => (u16::MAX, 0),
            Ports::Range { first, last } => (first, last),
        }
    }

    /// Whether a packet's value matches; `None` is a value the packet does not show.
    const fn admits(self, shown: Shown) -> bool {
        match (self, shown) {
            (Ports::Any, _) | (Ports::Opaque, Shown::Hidden) => true,
            (Ports::Range { first, last }, Shown::Value(value)) => first <= value && value <= last,
            (Ports::Range { .. }, Shown::NotTold) => true,
            (Ports::Opaque | Ports::Range { .. }, _) => false,
        }
    }
}

/// What a packet shows in a selector's port field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// A port, or type and code.
    Value(u16),
    /// The protocol has one, the packet does not show it.
    Hidden,
    /// The protocol has none.
    Absent,
    /// The field says nothing of packets in this direction: an ICMP type belongs to its sender.
    NotTold,
}

/// Which end of a packet a selector is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

impl End {
    const fn address(self, flow: &Flow) -> IpAddr {
        match self {
            End::Source => flow.source,
            End::Destination => flow.destination,
        }
    }

    const fn shown(self, flow: &Flow) -> Shown {
        match (flow.upper, self) {
            (Upper::Ports { source, .. }, End::Source) => Shown::Value(source),
            (Upper::Ports { destination, .. }, End::Destination) => Shown::Value(destination),
            (Upper::Icmp { kind, code }, End::Source) => Shown::Value(u16::from_be_bytes([kind, code])),
            (Upper::Mobility { kind }, End::Source) => Shown::Value(u16::from_be_bytes([kind, 0])),
            (Upper::Icmp { .. } | Upper::Mobility { .. }, End::Destination) => Shown::NotTold,
            (Upper::Opaque, _) => Shown::Hidden,
            (Upper::Portless, _) => Shown::Absent,
        }
    }
}

impl Selector {
    /// A selector, checked: port ranges only where the protocol has ports (TS-02).
    pub const fn new(addresses: AddressRange, protocol: u8, ports: Ports) -> Result<Selector, BadSelector> {
        if protocol != ANY_PROTOCOL && !has_ports(protocol) && !matches!(ports, Ports::Any) {
            return Err(BadSelector::Portless { protocol });
        }
        Ok(Selector { addresses, protocol, ports })
    }

    /// All traffic of an address range.
    pub const fn addresses_only(addresses: AddressRange) -> Selector {
        Selector { addresses, protocol: ANY_PROTOCOL, ports: Ports::Any }
    }

    /// Its addresses.
    pub const fn addresses(&self) -> AddressRange {
        self.addresses
    }

    /// Its protocol, [`ANY_PROTOCOL`] for all.
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Its ports.
    pub const fn ports(&self) -> Ports {
        self.ports
    }

    fn admits(&self, flow: &Flow, end: End) -> bool {
        self.admits_protocol(flow)
            && self.addresses.contains(end.address(flow))
            && self.ports.admits(end.shown(flow))
    }

    #[inline(always)]
    const fn admits_protocol(&self, flow: &Flow) -> bool {
        self.protocol == ANY_PROTOCOL || self.protocol == flow.protocol
    }

    /// How narrow it is: addresses first, then protocol, then ports.
    fn narrowness(&self) -> u32 {
        let address_bits = self.addresses.span().leading_zeros();
        let protocol = u32::from(self.protocol != ANY_PROTOCOL);
        let port_bits = match self.ports {
            Ports::Any => 0,
            Ports::Opaque => 16,
            Ports::Range { first, last } => (last - first).leading_zeros(),
        };
        address_bits << 8 | protocol << 7 | port_bits
    }
}

/// The selectors of a child SA or of a policy entry: the cross product of both sides (TS-19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorSet {
    local: Side,
    remote: Side,
}

/// The selectors of one side. Most have one, which then lies here and not behind a pointer: an inbound
/// packet is compared with it, and among ten thousands of SAs each pointer is a cache miss.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Side {
    One(Selector),
    More(Box<[Selector]>),
}

impl From<&[Selector]> for Side {
    fn from(side: &[Selector]) -> Side {
        match side {
            [one] => Side::One(*one),
            more => Side::More(more.into()),
        }
    }
}

impl std::ops::Deref for Side {
    type Target = [Selector];

    fn deref(&self) -> &[Selector] {
        match self {
            Side::One(one) => std::slice::from_ref(one),
            Side::More(more) => more,
        }
    }
}

impl SelectorSet {
    /// Both sides, each 1 to [`MAX_SELECTORS`].
    pub fn new(local: &[Selector], remote: &[Selector]) -> Result<SelectorSet, BadSelector> {
        for side in [local, remote] {
            if side.is_empty() || side.len() > MAX_SELECTORS {
                return Err(BadSelector::Count { found: side.len() });
            }
        }
        Ok(SelectorSet { local: local.into(), remote: remote.into() })
    }

    /// Everything, both families.
    pub fn any() -> SelectorSet {
        let v4 = AddressRange::prefix(Ipv4Addr::UNSPECIFIED.into(), 0);
        let v6 = AddressRange::prefix(Ipv6Addr::UNSPECIFIED.into(), 0);
        let both = Side::from([v4, v6].map(Selector::addresses_only).as_slice());
        SelectorSet { local: both.clone(), remote: both }
    }

    /// Our side.
    pub fn local(&self) -> &[Selector] {
        &self.local
    }

    /// The peer's side.
    pub fn remote(&self) -> &[Selector] {
        &self.remote
    }

    /// Whether a packet on its way to the peer matches.
    pub fn admits_outbound(&self, flow: &Flow) -> bool {
        any_admits(&self.local, flow, End::Source) && any_admits(&self.remote, flow, End::Destination)
    }

    /// Whether a packet from the peer matches.
    pub fn admits_inbound(&self, flow: &Flow) -> bool {
        any_admits(&self.remote, flow, End::Source) && any_admits(&self.local, flow, End::Destination)
    }

    /// How narrowly a packet on its way to the peer is matched, `None` if it is not. Compared
    /// among the children of one tunnel: the peer's side counts first.
    pub fn narrowness(&self, flow: &Flow) -> Option<u64> {
        let local = narrowest(&self.local, flow, End::Source)?;
        let remote = narrowest(&self.remote, flow, End::Destination)?;
        Some(u64::from(remote) << 32 | u64::from(local))
    }
}

fn any_admits(side: &[Selector], flow: &Flow, end: End) -> bool {
    side.iter().any(|selector| selector.admits(flow, end))
}

fn narrowest(side: &[Selector], flow: &Flow, end: End) -> Option<u32> {
    side.iter().filter(|selector| selector.admits(flow, end)).map(Selector::narrowness).max()
}

#[cfg(test)]
mod tests;
