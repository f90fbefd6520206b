//! A persistent map from bit prefixes to values with longest-prefix lookup: a path-compressed
//! binary trie whose nodes are shared between versions.
//!
//! Cloning is one reference count. Changing a clone copies the nodes on the path to the change
//! that another version still holds, at most one for each bit of the prefix.

use std::sync::Arc;

/// The first `length` bits of a 128-bit string, left-aligned, zeros behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bits {
    bits: u128,
    length: u8,
}

impl Bits {
    /// The first `length` (at most 128) bits of `bits`.
    pub const fn new(bits: u128, length: u8) -> Bits {
        let length = if length > 128 { 128 } else { length };
        Bits { bits: bits & mask(length), length }
    }

    /// How many bits count.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// The bits, left-aligned.
    pub const fn bits(self) -> u128 {
        self.bits
    }

    /// Whether `bits` begin with these.
    pub const fn covers(self, bits: u128) -> bool {
        (self.bits ^ bits) & mask(self.length) == 0
    }

    /// How many bits both begin with.
    pub const fn common(self, other: Bits) -> u8 {
        let same = (self.bits ^ other.bits).leading_zeros() as u8;
        let shorter = if self.length < other.length { self.length } else { other.length };
        if same < shorter { same } else { shorter }
    }
}

const fn mask(length: u8) -> u128 {
    match u128::MAX.checked_shl(128 - length as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

const fn bit(bits: u128, at: u8) -> bool {
    at < 128 && bits >> (127 - at) & 1 == 1
}

type Link<T> = Option<Arc<Node<T>>>;

/// A node: it has a value, or two children, or both.
#[derive(Clone, Debug)]
struct Node<T> {
    key: Bits,
    value: Option<T>,
    zero: Link<T>,
    one: Link<T>,
}

impl<T> Node<T> {
    fn leaf(key: Bits, value: T) -> Arc<Node<T>> {
        Arc::new(Node { key, value: Some(value), zero: None, one: None })
    }

    const fn child(&self, bits: u128) -> &Link<T> {
        if bit(bits, self.key.length) { &self.one } else { &self.zero }
    }

    const fn child_mut(&mut self, bits: u128) -> &mut Link<T> {
        if bit(bits, self.key.length) { &mut self.one } else { &mut self.zero }
    }
}

/// The map.
#[derive(Clone, Debug)]
pub struct Trie<T> {
    root: Link<T>,
    length: usize,
}

impl<T> Default for Trie<T> {
    fn default() -> Trie<T> {
        Trie { root: None, length: 0 }
    }
}

impl<T: Clone> Trie<T> {
    /// How many prefixes have a value.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether no prefix has a value.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The value of the longest prefix that covers `bits`.
    pub fn longest(&self, bits: u128) -> Option<&T> {
        let mut best = None;
        let mut link = &self.root;
        while let Some(node) = link.as_deref().filter(|node| node.key.covers(bits)) {
            best = node.value.as_ref().or(best);
            if node.key.length == 128 {
                break;
            }
            link = node.child(bits);
        }
        best
    }

    /// The value of exactly this prefix.
    pub fn exact(&self, key: Bits) -> Option<&T> {
        let mut link = &self.root;
        while let Some(node) = link.as_deref().filter(|node| node.key.covers(key.bits)) {
            if node.key.length >= key.length {
                return node.value.as_ref().filter(|_| node.key == key);
            }
            link = node.child(key.bits);
        }
        None
    }

    /// The longest prefix with a value that covers `key` and is shorter.
    pub fn covering(&self, key: Bits) -> Option<(Bits, &T)> {
        let mut best = None;
        let mut link = &self.root;
        while let Some(node) = link.as_deref().filter(|n| n.key.length < key.length && n.key.covers(key.bits))
        {
            best = node.value.as_ref().map(|value| (node.key, value)).or(best);
            link = node.child(key.bits);
        }
        best
    }

    /// Gives a prefix a value; the former one comes back.
    pub fn insert(&mut self, key: Bits, value: T) -> Option<T> {
        let former = insert(&mut self.root, key, value);
        self.length += usize::from(former.is_none());
        former
    }

    /// Takes a prefix's value away. Nothing is copied if it has none.
    pub fn remove(&mut self, key: Bits) -> Option<T> {
        self.exact(key)?;
        let former = remove(&mut self.root, key);
        self.length -= usize::from(former.is_some());
        former
    }

    /// Calls `visit` for every prefix and its value, shorter before longer, lower before higher.
    pub fn for_each(&self, mut visit: impl FnMut(Bits, &T)) {
        each(&self.root, &mut visit);
    }
}

fn each<T>(link: &Link<T>, visit: &mut impl FnMut(Bits, &T)) {
    let Some(node) = link else { return };
    if let Some(value) = &node.value {
        visit(node.key, value);
    }
    each(&node.zero, visit);
    each(&node.one, visit);
}

fn insert<T: Clone>(link: &mut Link<T>, key: Bits, value: T) -> Option<T> {
    let Some(shared) = link else {
        *link = Some(Node::leaf(key, value));
        return None;
    };
    let common = shared.key.common(key);
    if common < shared.key.length {
        branch(link, key, value, common);
        return None;
    }
    let node = Arc::make_mut(shared);
    if node.key.length == key.length {
        node.value.replace(value)
    } else {
        insert(node.child_mut(key.bits), key, value)
    }
}

/// Puts a node above `link` where `key` leaves its path, `common` bits down.
fn branch<T>(link: &mut Link<T>, key: Bits, value: T, common: u8) {
    let Some(lower) = link.take() else { return };
    let mut node = Node { key: Bits::new(key.bits, common), value: None, zero: None, one: None };
    let lower_bits = lower.key.bits;
    *node.child_mut(lower_bits) = Some(lower);
    if common == key.length {
        node.value = Some(value);
    } else {
        *node.child_mut(key.bits) = Some(Node::leaf(key, value));
    }
    *link = Some(Arc::new(node));
}

fn remove<T: Clone>(link: &mut Link<T>, key: Bits) -> Option<T> {
    let node = Arc::make_mut(link.as_mut()?);
    let former =
        if node.key.length < key.length { remove(node.child_mut(key.bits), key) } else { node.value.take() };
    if node.value.is_none() && !(node.zero.is_some() && node.one.is_some()) {
        let only = node.zero.take().or_else(|| node.one.take());
        *link = only;
    }
    former
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Prefixes that nest and neighbour each other, at both ends of the key.
    fn any_bits() -> impl Strategy<Value = Bits> {
        let long = (0u8..4, 124u8..=128).prop_map(|(low, length)| Bits::new(u128::from(low), length));
        let short =
            (0u8..=255, 0u8..=9).prop_map(|(high, length)| Bits::new(u128::from(high) << 120, length));
        prop_oneof![short, long]
    }

    fn longest(model: &BTreeMap<Bits, u32>, bits: u128) -> Option<u32> {
        let covering = model.iter().filter(|(key, _)| key.covers(bits));
        covering.max_by_key(|(key, _)| key.length).map(|(_, value)| *value)
    }

    /// Every node has a value or two children, so that memory follows the number of prefixes.
    fn compact(link: &Link<u32>) -> bool {
        link.as_deref().is_none_or(|node| {
            let needed = node.value.is_some() || (node.zero.is_some() && node.one.is_some());
            needed && compact(&node.zero) && compact(&node.one)
        })
    }

    fn agree(trie: &Trie<u32>, model: &BTreeMap<Bits, u32>) -> Result<(), TestCaseError> {
        let mut all = BTreeMap::new();
        trie.for_each(|key, value| assert!(all.insert(key, *value).is_none()));
        prop_assert_eq!(&all, model);
        prop_assert_eq!(trie.len(), model.len());
        prop_assert!(compact(&trie.root));
        for high in (0u128..=255).step_by(3) {
            let bits = high << 120;
            prop_assert_eq!(trie.longest(bits).copied(), longest(model, bits));
        }
        for (key, length) in model.keys().flat_map(|key| [(*key, key.length), (*key, key.length / 2)]) {
            let at = Bits::new(key.bits, length);
            let covering = model.iter().filter(|(other, _)| other.length < length && other.covers(key.bits));
            let expected = covering.max_by_key(|(other, _)| other.length);
            prop_assert_eq!(trie.covering(at), expected.map(|(key, value)| (*key, value)));
        }
        for low in 0u128..6 {
            prop_assert_eq!(trie.longest(low).copied(), longest(model, low));
        }
        Ok(())
    }

    proptest! {
        /// Against brute force, and every version taken on the way stays what it was.
        #[test]
        fn agrees_with_brute_force(steps in proptest::collection::vec((any_bits(), proptest::option::of(any::<u32>())), 1..60)) {
            let (mut trie, mut model) = (Trie::default(), BTreeMap::new());
            let mut versions = Vec::new();
            for (key, value) in steps {
                versions.push((trie.clone(), model.clone()));
                match value {
                    Some(value) => prop_assert_eq!(trie.insert(key, value), model.insert(key, value)),
                    None => prop_assert_eq!(trie.remove(key), model.remove(&key)),
                }
                prop_assert_eq!(trie.exact(key), model.get(&key));
            }
            versions.push((trie, model));
            for (trie, model) in versions.iter().step_by(7).chain(versions.last()) {
                agree(trie, model)?;
            }
        }
    }

    #[test]
    fn a_change_copies_only_its_path() {
        let mut trie = Trie::default();
        for n in 0..4096u128 {
            trie.insert(Bits::new(n << 116, 12), 0);
        }
        let before = trie.clone();
        trie.insert(Bits::new(5 << 116, 12), 1);
        fn shared(a: &Link<u32>, b: &Link<u32>) -> usize {
            match (a, b) {
                (Some(a), Some(b)) if Arc::ptr_eq(a, b) => 1,
                (Some(a), Some(b)) => shared(&a.zero, &b.zero) + shared(&a.one, &b.one),
                _ => 0,
            }
        }
        // One shared subtree hangs off each of the twelve copied nodes above the leaf.
        assert_eq!(shared(&before.root, &trie.root), 12);
    }
}
