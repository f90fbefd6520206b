//! The writer's half of longest-prefix match in place: how a change gets into cells, nodes and bunches.
//!
//! Whatever is new is complete before one store makes it reachable, and whatever that store takes out of
//! reach rests ([`Pool::retire`]). A change that finds no room changes nothing.

use super::known::Known;
use super::{
    BUNCH, CODE_MASK, Cell, Child, Code, FEW, Memory, NODE, NODE_BITS, ROOT, ROOT_BITS, ROOT_WORDS, SLIP,
    Shared, quarters,
};
use crate::policy::pool::{Pool, TableFull};
use crate::policy::publish::Version;
use crate::policy::trie::Bits;
use arrayvec::ArrayVec;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Room for the tables of all instances of a process: 512 KiB each, 2 KiB, 128 octets, and 32 octets.
const ROOTS: usize = 2048;
const NODES: usize = 1 << 20;
const BUNCHES: usize = 1 << 22;
const SLIPS: usize = 1 << 20;

/// A node left with so few becomes a bunch again: half, so that a prefix that comes and goes costs no nodes.
const FEWER: usize = 2;

impl Memory {
    /// Room for some million routes, reserved and not yet taken.
    pub fn new() -> Memory {
        Memory::with_room(ROOTS, NODES, BUNCHES, SLIPS)
    }

    /// Room for so many tables, so many nodes, so many bunches and so many next hops.
    pub fn with_room(roots: usize, nodes: usize, bunches: usize, slips: usize) -> Memory {
        Memory {
            roots: Pool::new("route tables", ROOT_WORDS, roots + 1),
            nodes: Pool::new("route nodes", NODE, nodes + 1),
            bunches: Pool::new("routes", BUNCH, bunches + 1),
            slips: Pool::new("next hops", SLIP, slips + 1),
        }
    }

    /// For readers.
    pub fn shared(&self) -> Shared {
        Shared {
            roots: Arc::clone(self.roots.words()),
            nodes: Arc::clone(self.nodes.words()),
            bunches: Arc::clone(self.bunches.words()),
            slips: Arc::clone(self.slips.words()),
        }
    }

    /// See [`Pool::publish`].
    pub fn publish(&mut self, version: Version, settled: Version) {
        self.roots.publish(version, settled);
        self.nodes.publish(version, settled);
        self.bunches.publish(version, settled);
        self.slips.publish(version, settled);
    }

    /// Octets touched so far.
    pub const fn octets(&self) -> usize {
        self.roots.octets() + self.nodes.octets() + self.bunches.octets() + self.slips.octets()
    }

    /// An unreachable bunch of these prefixes; none for none.
    fn bunch(&mut self, mut all: Few) -> Result<Child, TableFull> {
        if all.is_empty() {
            return Ok(Child::None);
        }
        // The longest comes first, so that the first that covers an address is the one.
        all.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(key.length()));
        let number = self.bunches.take()?;
        let [high, meta, low, _] = quarters(self.bunches.unit(number));
        for (at, place) in meta.iter().enumerate() {
            let (key, worth) = match all.get(at) {
                Some((key, code)) => (key.bits(), u64::from(key.length()) << 32 | u64::from(*code)),
                None => (0, NOTHING),
            };
            place.store(worth, Relaxed);
            let halves = [high.get(at).zip(Some((key >> 64) as u64)), low.get(at).zip(Some(key as u64))];
            halves.into_iter().flatten().for_each(|(word, half)| word.store(half, Relaxed));
        }
        Ok(Child::Bunch(number))
    }

    /// The prefixes of a bunch.
    fn bunch_at(&self, number: u32) -> Few {
        let [high, meta, low, _] = quarters(self.bunches.unit(number));
        let words = high.iter().zip(low).zip(meta).map(|((high, low), meta)| {
            let bits = u128::from(high.load(Relaxed)) << 64 | u128::from(low.load(Relaxed));
            let meta = meta.load(Relaxed);
            (Bits::new(bits, (meta >> 32) as u8), meta as Code & CODE_MASK)
        });
        words.filter(|(_, code)| *code != 0).collect()
    }

    /// An unreachable node with prefixes that all end below `depth`, more than a bunch holds.
    fn branch(&mut self, depth: u8, all: &[(Bits, Code)]) -> Result<Child, TableFull> {
        let number = self.nodes.take()?;
        if let Err(full) = self.fill(number, depth, all) {
            self.drop_tree(Child::Node(number), Pool::give_back);
            return Err(full);
        }
        Ok(Child::Node(number))
    }

    fn fill(&mut self, number: u32, depth: u8, all: &[(Bits, Code)]) -> Result<(), TableFull> {
        let (level, end) = (Level::Node(number), depth + NODE_BITS);
        if let Some((first, _)) = all.first().filter(|(first, _)| share(all, *first, end)) {
            let child = self.branch(end, all)?;
            self.replace(&level, depth, *first, child);
            return Ok(());
        }
        all.iter().try_for_each(|(key, code)| self.insert(Level::Node(number), depth, *key, *code))
    }

    /// Puts a prefix below a level that begins at `depth` bits, which it is longer than.
    pub(super) fn insert(&mut self, level: Level, depth: u8, key: Bits, code: Code) -> Result<(), TableFull> {
        let end = depth + level.bits();
        if key.length() <= end {
            for cell in level.cells(self, key, depth) {
                let now = Cell(cell.load(Relaxed));
                let span = u32::from(key.length() - depth);
                if now.span() <= span {
                    cell.store(now.with_value(span, code).0, Release);
                }
            }
            return Ok(());
        }
        let child = match Cell(level.cell(self, key, depth)).child() {
            Child::Node(number) => return self.insert(Level::Node(number), end, key, code),
            Child::None => self.bunch([(key, code)].into_iter().collect())?,
            Child::Bunch(number) => {
                let mut all = without(self.bunch_at(number), key);
                match all.try_push((key, code)) {
                    Ok(()) => self.bunch(all)?,
                    Err(_) => {
                        let all: ArrayVec<_, { FEW + 1 }> = all.into_iter().chain([(key, code)]).collect();
                        self.branch(end, &all)?
                    }
                }
            }
        };
        self.replace(&level, depth, key, child);
        Ok(())
    }

    /// Links a complete child, or none, in place of another, which rests from now on.
    fn replace(&mut self, level: &Level, depth: u8, key: Bits, child: Child) {
        let mut former = Child::None;
        if let Some(cell) = level.cells(self, Bits::new(key.bits(), depth + level.bits()), depth).first() {
            let now = Cell(cell.load(Relaxed));
            former = now.child();
            cell.store(now.with_child(child).0, Release);
        }
        self.drop_tree(former, Pool::retire);
    }

    pub(super) fn drop_tree(&mut self, child: Child, how: fn(&mut Pool, u32)) {
        match child {
            Child::None => {}
            Child::Bunch(number) => how(&mut self.bunches, number),
            Child::Node(number) => {
                for at in 0..NODE {
                    let below = self.nodes.unit(number).get(at).map(|cell| Cell(cell.load(Relaxed)).child());
                    self.drop_tree(below.unwrap_or(Child::None), how);
                }
                how(&mut self.nodes, number);
            }
        }
    }

    /// Takes a prefix away that `left` does not hold any more.
    pub(super) fn remove(&mut self, level: Level, depth: u8, key: Bits, left: &Known) {
        let end = depth + level.bits();
        if key.length() <= end {
            // What shows now: the next shorter prefix that ends in this node.
            let next = left.covering(key, depth);
            let (span, code) = next.map_or((0, 0), |(next, code)| (u32::from(next.length() - depth), code));
            for cell in level.cells(self, key, depth) {
                let now = Cell(cell.load(Relaxed));
                if now.span() == u32::from(key.length() - depth) {
                    cell.store(now.with_value(span, code).0, Release);
                }
            }
            return;
        }
        let child = Cell(level.cell(self, key, depth)).child();
        let fewer = match child {
            Child::None => return,
            Child::Bunch(number) => Some(without(self.bunch_at(number), key)),
            Child::Node(_) => {
                left.few::<FEWER>(Bits::new(key.bits(), end)).map(|fewer| fewer.into_iter().collect::<Few>())
            }
        };
        match (fewer.map(|fewer| self.bunch(fewer)), child) {
            (Some(Ok(bunch)), _) => self.replace(&level, depth, key, bunch),
            // Without room for a bunch the node stays, which is as right and only larger.
            (_, Child::Node(number)) => self.remove(Level::Node(number), end, key, left),
            (_, Child::Bunch(number)) => self.mute(number, key),
            (_, Child::None) => {}
        }
    }

    /// Without room for a smaller bunch, the prefix that is to go covers nothing from now on.
    fn mute(&mut self, number: u32, key: Bits) {
        let [high, meta, low, _] = quarters(self.bunches.unit(number));
        for ((high, low), meta) in high.iter().zip(low).zip(meta) {
            let bits = u128::from(high.load(Relaxed)) << 64 | u128::from(low.load(Relaxed));
            if bits == key.bits() && meta.load(Relaxed) >> 32 == u64::from(key.length()) {
                meta.store(NOTHING, Release);
            }
        }
    }
}

/// What an empty place of a bunch is worth: a length that no address has bits for, and no code.
const NOTHING: u64 = 255 << 32;

/// Prefixes with their codes, as many as a bunch holds.
type Few = ArrayVec<(Bits, Code), FEW>;

/// Whether all prefixes are longer than `end` and go on where `first` does.
fn share(all: &[(Bits, Code)], first: Bits, end: u8) -> bool {
    all.iter()
        .all(|(key, _)| key.length() > end && Bits::new(key.bits(), end) == Bits::new(first.bits(), end))
}

/// What there is besides `key`.
fn without(mut all: Few, key: Bits) -> Few {
    all.retain(|(other, _)| *other != key);
    all
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

/// A node, or the root.
pub(super) enum Level {
    Root(u32),
    Node(u32),
}

impl Level {
    const fn bits(&self) -> u8 {
        match self {
            Level::Root(_) => ROOT_BITS,
            Level::Node(_) => NODE_BITS,
        }
    }

    /// The cells that a prefix covers which ends in this level; `depth` is where the level begins.
    fn cells<'a>(&self, memory: &'a Memory, key: Bits, depth: u8) -> &'a [AtomicU64] {
        let all = match self {
            Level::Root(number) => memory.roots.unit(*number).get(..ROOT).unwrap_or_default(),
            Level::Node(number) => memory.nodes.unit(*number),
        };
        let end = depth + self.bits();
        let first = (key.bits() << depth >> (128 - u32::from(self.bits()))) as usize;
        let count = 1usize << end.saturating_sub(key.length());
        all.get(first..first + count).unwrap_or_default()
    }

    /// The cell on the path of a prefix that is longer than the level.
    fn cell(&self, memory: &Memory, key: Bits, depth: u8) -> u64 {
        let cell = self.cells(memory, Bits::new(key.bits(), depth + self.bits()), depth);
        cell.first().map_or(0, |cell| cell.load(Relaxed))
    }
}
