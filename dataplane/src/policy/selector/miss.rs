//! In what a packet misses selectors, for whoever asks why a child does not take it: the same comparisons as
//! [`super::SelectorSet::narrowness`] makes, told apart. No part of the packet path.

use super::{End, Selector, SelectorSet};
use crate::net::flow::{self, Flow};
use std::cmp::Reverse;

/// What a packet misses of a selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Missed {
    /// Its address is not among the addresses.
    pub address: bool,
    /// It is of another protocol.
    pub protocol: bool,
    /// Its ports, or what stands in their place, are not among those.
    pub ports: bool,
}

impl Missed {
    /// In how many things it misses.
    pub fn count(self) -> u32 {
        [self.address, self.protocol, self.ports].into_iter().map(u32::from).sum()
    }
}

/// The selector of a side that a packet comes nearest to without matching it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The selector.
    pub selector: Selector,
    /// What misses.
    pub missed: Missed,
    /// Leading bits that the packet's address shares with the nearer end of the range.
    pub shared_bits: u32,
}

impl Miss {
    /// Orders misses: fewer things first, then addresses that are closer.
    pub fn rank(&self) -> (u32, Reverse<u32>) {
        (self.missed.count(), Reverse(self.shared_bits))
    }
}

impl SelectorSet {
    /// In what a packet on its way to the peer misses our side and the peer's; `None` for a side that admits it.
    pub fn misses_outbound(&self, flow: &Flow) -> [Option<Miss>; 2] {
        [nearest(&self.local, flow, End::Source), nearest(&self.remote, flow, End::Destination)]
    }
}

fn nearest(side: &[Selector], flow: &Flow, end: End) -> Option<Miss> {
    let misses = side.iter().map(|selector| selector.miss(flow, end));
    misses.min_by_key(Miss::rank).filter(|miss| miss.missed.count() > 0)
}

impl Selector {
    fn miss(&self, flow: &Flow, end: End) -> Miss {
        let address = end.address(flow);
        let missed = Missed {
            address: !self.addresses.contains(address),
            protocol: !self.admits_protocol(flow),
            // Ports of another protocol say nothing.
            ports: self.admits_protocol(flow) && !self.ports.admits(end.shown(flow)),
        };
        let [first, last] = [self.addresses.first(), self.addresses.last()];
        let shared_bits = if first.is_ipv4() == address.is_ipv4() {
            shared(first, address).max(shared(last, address))
        } else {
            0
        };
        Miss { selector: *self, missed, shared_bits }
    }
}

/// Of IPv4 addresses the upper 96 bits are all shared.
fn shared(one: std::net::IpAddr, other: std::net::IpAddr) -> u32 {
    let [[high, low], [other_high, other_low]] = [one, other].map(flow::words);
    match high ^ other_high {
        0 => 64 + (low ^ other_low).leading_zeros(),
        differing => differing.leading_zeros(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::flow::Upper;
    use crate::net::protocol::{TCP, UDP};
    use crate::policy::selector::{AddressRange, Ports};
    use proptest::prelude::*;

    fn selector(last: u8, protocol: u8, ports: Ports) -> Selector {
        Selector::new(AddressRange::prefix([10, 1, last, 0].into(), 24), protocol, ports).unwrap()
    }

    fn flow(last: u8, protocol: u8, port: u16) -> Flow {
        let upper = Upper::Ports { source: port, destination: port };
        Flow { source: [10, 1, last, 7].into(), destination: [10, 1, last, 9].into(), protocol, upper }
    }

    /// What misses is named, and the selector that misses least is the one that is named.
    #[test]
    fn the_nearest_selector_is_told() {
        let web = selector(0, TCP, Ports::new(80, 80).unwrap());
        let far = selector(128, TCP, Ports::Any);
        let set = SelectorSet::new(&[selector(0, 0, Ports::Any)], &[far, web]).unwrap();
        let [local, remote] = set.misses_outbound(&flow(0, TCP, 443));
        assert_eq!(local, None);
        let remote = remote.unwrap();
        assert_eq!((remote.selector, remote.missed), (web, Missed { ports: true, ..Missed::default() }));
        let [local, remote] = set.misses_outbound(&flow(129, UDP, 443));
        let (local, remote) = (local.unwrap(), remote.unwrap());
        assert_eq!(local.missed, Missed { address: true, ..Missed::default() });
        assert_eq!(remote.missed, Missed { address: true, protocol: true, ports: false });
        assert_eq!(remote.selector, far, "of equals the one whose addresses are closer");
    }

    proptest! {
        /// Nothing misses if and only if the packet is carried: one truth, told in two ways.
        #[test]
        fn misses_agree_with_what_is_carried(
            sides in proptest::collection::vec((0u8..3, prop_oneof![Just(0u8), Just(TCP), Just(UDP)], 0u16..4), 2..6),
            last in 0u8..3, tcp in any::<bool>(), port in 0u16..4,
        ) {
            let of = |(last, protocol, port): &(u8, u8, u16)| selector(*last, *protocol, Ports::new(*port, *port + 1).unwrap());
            let all: Vec<Selector> = sides.iter().map(of).collect();
            let (local, remote) = all.split_at(1);
            let set = SelectorSet::new(local, remote).unwrap();
            let flow = flow(last, if tcp { TCP } else { UDP }, port);
            let missed = set.misses_outbound(&flow) != [None, None];
            prop_assert_eq!(missed, set.narrowness(&flow).is_none());
        }
    }
}
