//! Which policy entries can speak of an address on the peer's side, found without asking all of them.
//!
//! The remote selectors of all entries, as prefixes, lie in a longest-prefix table of their own; each prefix
//! names the entries it came from, in order, and the next shorter prefix that covers it. So a lookup asks
//! only entries whose remote addresses hold the packet's, however many others there are. What the entries
//! say in full is asked of them: the index may name too many, never too few.

use super::Entry;
use crate::policy::fib::{Memory, Prefixes, Root, Shared};
use crate::policy::pool::TableFull;
use crate::policy::route::key;
use crate::policy::selector::AddressRange;
use crate::policy::trie::{Bits, Trie};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A range that takes more prefixes than this is put under the one that covers it whole.
const PIECES: usize = 8;

/// The index. Never changed; a new policy has a new one.
#[derive(Debug)]
pub struct Index {
    prefixes: Shared,
    v4: Root,
    v6: Root,
    /// By code, from 1.
    groups: Vec<Group>,
}

/// The entries of one prefix.
#[derive(Debug, Default)]
struct Group {
    /// Their places in the order, rising.
    entries: Vec<u32>,
    /// The group of the next shorter prefix that covers this one; 0 for none.
    wider: u32,
}

impl Index {
    /// The index of these entries.
    pub fn new(entries: &[Entry]) -> Result<Index, TableFull> {
        let all = collect(entries);
        let mut memory = Memory::with_room(2, 16 * all.len(), 16 * all.len(), 0);
        let (mut v4, mut v6) = (Prefixes::new(&mut memory)?, Prefixes::new(&mut memory)?);
        let mut groups = vec![Group::default()];
        let mut tries = [Trie::default(), Trie::default()];
        // Shorter prefixes come first, so that whatever covers one is there already.
        for ((length, is_v4, bits), entries) in all {
            let (at, code) = (Bits::new(bits, length), groups.len() as u32);
            let [four, six] = &mut tries;
            let trie = if is_v4 { four } else { six };
            let wider = trie.covering(at).map_or(0, |(_, wider)| *wider);
            trie.insert(at, code);
            (if is_v4 { &mut v4 } else { &mut v6 }).set(&mut memory, at, Some(code))?;
            groups.push(Group { entries, wider });
        }
        Ok(Index { prefixes: memory.shared(), v4: v4.root(), v6: v6.root(), groups })
    }

    /// The first entry in the order that `admits` says yes to, of those that may speak of `remote`.
    pub fn first(&self, remote: IpAddr, admits: impl Fn(u32) -> bool) -> Option<u32> {
        let mut code = match remote {
            IpAddr::V4(address) => self.prefixes.longest(self.v4, &address.octets()),
            IpAddr::V6(address) => self.prefixes.longest(self.v6, &address.octets()),
        };
        let mut best = None;
        while let Some(group) = self.groups.get(code as usize).filter(|_| code != 0) {
            let earlier = group.entries.iter().take_while(|entry| best.is_none_or(|best| **entry < best));
            best = earlier.copied().find(|entry| admits(*entry)).or(best);
            code = group.wider;
        }
        best
    }
}

/// Entries by the prefixes of their remote sides: length, family, bits.
fn collect(entries: &[Entry]) -> BTreeMap<(u8, bool, u128), Vec<u32>> {
    let mut all: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for (number, entry) in entries.iter().enumerate() {
        for selector in entry.selectors.remote() {
            let v4 = selector.addresses().first().is_ipv4();
            for prefix in prefixes(selector.addresses()) {
                let entries = all.entry((prefix.length(), v4, prefix.bits())).or_default();
                if entries.last() != Some(&(number as u32)) {
                    entries.push(number as u32);
                }
            }
        }
    }
    all
}

/// Prefixes that cover a range: exactly if a few do, else the one that holds it all.
fn prefixes(range: AddressRange) -> Vec<Bits> {
    let (first, last) = (key(range.first()), key(range.last()));
    // The host bits behind an IPv4 address, which a key has and the address has not.
    let unit: u128 = if range.first().is_ipv4() { 1 << 96 } else { 1 };
    let mut pieces = Vec::new();
    let mut at = first;
    loop {
        // The largest block that begins here and does not reach beyond the end.
        let aligned = if at == 0 { u128::MAX } else { (1 << at.trailing_zeros()) - 1 };
        let mut host = aligned;
        while host >= unit && at.checked_add(host - (unit - 1)).is_none_or(|end| end > last) {
            host >>= 1;
        }
        let host = host | (unit - 1);
        pieces.push(Bits::new(at, host.leading_zeros() as u8));
        match at.checked_add(host).and_then(|end| end.checked_add(1)) {
            Some(next) if next <= last && pieces.len() < PIECES => at = next,
            Some(next) if next <= last => break,
            _ => return pieces,
        }
    }
    vec![Bits::new(first, (first ^ last).leading_zeros() as u8)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(range: AddressRange) -> std::ops::RangeInclusive<u128> {
        key(range.first())..=key(range.last())
    }

    proptest! {
        #[test]
        fn prefixes_cover_their_range(v4: bool, a: u8, b: u8, probes in proptest::collection::vec(any::<u8>(), 20)) {
            let address = |n: u8| -> IpAddr {
                // Both ends of the space are among them.
                let high = if n > 127 { 0xff } else { 0 };
                if v4 { [high, high, high, n].into() } else {
                    let mut octets = [high; 16];
                    octets[15] = n;
                    octets.into()
                }
            };
            let range = AddressRange::new(address(a.min(b)), address(a.max(b))).unwrap();
            let pieces = prefixes(range);
            prop_assert!(!pieces.is_empty() && pieces.len() <= PIECES);
            for probe in probes.into_iter().map(address) {
                let covered = pieces.iter().any(|piece| Bits::new(key(probe), piece.length()) == *piece);
                let within = addresses(range).contains(&key(probe));
                // Too many is allowed where one prefix holds a jagged range, too few never.
                prop_assert!(covered || !within);
                prop_assert!(within || !covered || pieces.len() == 1);
            }
        }
    }

    #[test]
    fn a_prefix_is_one_piece_and_all_addresses_are_one() {
        for (address, length) in
            [("10.1.0.0", 16), ("0.0.0.0", 0), ("255.255.255.255", 32), ("::", 0), ("ff::", 8)]
        {
            let address: IpAddr = address.parse().unwrap();
            let range = AddressRange::prefix(address, length);
            assert_eq!(prefixes(range), [Bits::new(key(address), length)]);
        }
    }
}
