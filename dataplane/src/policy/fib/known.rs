//! What was set: all prefixes of a table with their codes, in order, for the one who changes it.
//!
//! What readers look at does not say all of it: a prefix that longer ones cover wholly shows in no cell. A
//! change asks here for what shows once it is made. Among a million prefixes nearly every step of that waits
//! for memory, so they lie in a tree with many keys to a node, and not in a trie with one for each bit.

use crate::policy::fib::Code;
use crate::policy::trie::Bits;
use arrayvec::ArrayVec;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// The prefixes. One owner: the writer.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<Bits, Code>);

impl Known {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, shorter before longer, lower before higher.
    pub fn iter(&self) -> impl Iterator<Item = (Bits, Code)> {
        self.0.iter().map(|(key, code)| (*key, *code))
    }

    /// Gives a prefix a code; the former one comes back.
    pub fn insert(&mut self, key: Bits, code: Code) -> Option<Code> {
        self.0.insert(key, code)
    }

    /// Takes a prefix away; its code comes back.
    pub fn remove(&mut self, key: Bits) -> Option<Code> {
        self.0.remove(&key)
    }

    /// The longest prefix that covers `key`, is shorter than it, and longer than `depth` bits.
    pub fn covering(&self, key: Bits, depth: u8) -> Option<(Bits, Code)> {
        let mut below = self.0.range(..key);
        loop {
            let (near, code) = below.next_back()?;
            let common = near.common(key);
            if common <= depth {
                return None;
            }
            if common == near.length() {
                return Some((*near, *code));
            }
            // What covers `key` and lies before `near` covers that too.
            below = self.0.range(..=Bits::new(key.bits(), common));
        }
    }

    /// The longest prefix that covers all of `key`.
    pub fn longest(&self, key: Bits) -> Option<(Bits, Code)> {
        let exact = |key: Bits| self.0.get(&key).map(|code| (key, *code));
        exact(key).or_else(|| self.covering(key, 0)).or_else(|| exact(Bits::new(0, 0)))
    }

    /// The prefixes that `key` covers and is shorter than, if they are at most `N`.
    pub fn few<const N: usize>(&self, key: Bits) -> Option<ArrayVec<(Bits, Code), N>> {
        let mut found = ArrayVec::new();
        let after = self.0.range((Excluded(key), Unbounded));
        for (other, code) in after.take_while(|(other, _)| key.covers(other.bits())) {
            found.try_push((*other, *code)).ok()?;
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Prefixes that nest and neighbour each other, at both ends of the key.
    fn any_bits() -> impl Strategy<Value = Bits> {
        let long = (0u8..4, 124u8..=128).prop_map(|(low, length)| Bits::new(u128::from(low), length));
        let short =
            (0u8..=255, 0u8..=9).prop_map(|(high, length)| Bits::new(u128::from(high) << 120, length));
        prop_oneof![short, long]
    }

    proptest! {
        /// Against a search of all.
        #[test]
        fn neighbours_are_those_of_a_naive_search(
            keys in proptest::collection::btree_map(any_bits(), any::<Code>(), 0..40), at in any_bits(), depth in 0u8..=128,
        ) {
            let mut known = Known::default();
            keys.iter().for_each(|(key, code)| _ = known.insert(*key, *code));
            for key in keys.keys().copied().chain([at]) {
                let wider = |other: &Bits| (depth + 1..key.length()).contains(&other.length()) && other.covers(key.bits());
                let widest = keys.iter().filter(|(other, _)| wider(other)).max_by_key(|(other, _)| other.length());
                prop_assert_eq!(known.covering(key, depth), widest.map(|(key, code)| (*key, *code)));
                let longest = keys.iter().filter(|(other, _)| other.length() <= key.length() && other.covers(key.bits()));
                let longest = longest.max_by_key(|(other, _)| other.length()).map(|(key, code)| (*key, *code));
                prop_assert_eq!(known.longest(key), longest);
                let below: Vec<_> = keys
                    .iter()
                    .filter(|(other, _)| other.length() > key.length() && key.covers(other.bits()))
                    .map(|(key, code)| (*key, *code))
                    .collect();
                let few = known.few::<3>(key).map(|few| few.to_vec());
                prop_assert_eq!(few, (below.len() <= 3).then_some(below));
            }
        }
    }
}
