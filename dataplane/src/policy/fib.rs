//! Longest-prefix match in place: one writer, any number of readers, no lock, no version.
//!
//! Sixteen bits of the address index a root, then eight at a time a node of 256 cells, but only as deep
//! as more than [`FEW`] prefixes share a path: fewer lie below a cell as a bunch, which holds them whole and
//! is compared at once. A cell is one word: the value of the longest prefix that ends in its node and covers it, and what
//! lies below. So a change touches the cells of one node (at most 2^15, mostly 1), never those below; and
//! since whatever a cell points to is complete before the cell says so and rests after ([`super::pool`]), a
//! lookup beside a change sees the table before it or after it, for its address.
//!
//! Changes are made by [`memory`]; this file says how things lie, and looks up. Values are [`Code`]s; what they mean is [`super::route`]'s.

mod known;
mod memory;

use super::pool::{Pool, TableFull, unit};
use super::trie::Bits;
use known::Known;
use memory::Level;
use ravelin_mem::prefetch;
use ravelin_mem::words::Words;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A value: below 2^27, and 0 is none.
pub type Code = u32;
/// Bits of a code.
pub const CODE_BITS: u32 = 27;
const CODE_MASK: u32 = (1 << CODE_BITS) - 1;

const ROOT_BITS: u8 = 16;
const NODE_BITS: u8 = 8;
const ROOT: usize = 1 << ROOT_BITS;
const NODE: usize = 1 << NODE_BITS;
/// Prefixes that a bunch holds.
const FEW: usize = 4;
/// Words of a bunch: the high halves of the prefixes, what they are worth, the low halves, and rest to fill
/// cache lines. Most lookups need the first line only.
const BUNCH: usize = 4 * FEW;
/// Words of a slip, which [`super::hop`] keeps next hops in.
pub const SLIP: usize = 4;

/// A root's cells, and the value of the prefix of length 0; filled up to whole cache lines.
const ROOT_WORDS: usize = ROOT + 8;

/// One cell: `child` in the high half, `value` in the low one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell(u64);

/// What lies below a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Child {
    None,
    Node(u32),
    Bunch(u32),
}

const TAG_NODE: u32 = 1 << 30;
const TAG_BUNCH: u32 = 2 << 30;
const NUMBER: u32 = (1 << 30) - 1;

impl Cell {
    #[inline(always)]
    const fn child(self) -> Child {
        let child = (self.0 >> 32) as u32;
        match child & !NUMBER {
            TAG_NODE => Child::Node(child & NUMBER),
            TAG_BUNCH => Child::Bunch(child & NUMBER),
            _ => Child::None,
        }
    }

    #[inline(always)]
    const fn code(self) -> Code {
        self.0 as u32 & CODE_MASK
    }

    /// Bits of the value's prefix that lie in the cell's node; 0 without a value.
    const fn span(self) -> u32 {
        self.0 as u32 >> CODE_BITS
    }

    const fn with_value(self, span: u32, code: Code) -> Cell {
        Cell(self.0 >> 32 << 32 | (span << CODE_BITS | code & CODE_MASK) as u64)
    }

    const fn with_child(self, child: Child) -> Cell {
        let high = match child {
            Child::None => 0,
            Child::Node(number) => TAG_NODE | number & NUMBER,
            Child::Bunch(number) => TAG_BUNCH | number & NUMBER,
        };
        Cell((high as u64) << 32 | self.0 & u32::MAX as u64)
    }
}

/// The memory of all tables: the writer's end.
#[derive(Debug)]
pub struct Memory {
    roots: Pool,
    nodes: Pool,
    bunches: Pool,
    /// What next hops lie in.
    pub slips: Pool,
}

/// The memory of all tables: a reader's end.
#[derive(Clone, Debug)]
pub struct Shared {
    roots: Arc<Words>,
    nodes: Arc<Words>,
    bunches: Arc<Words>,
    /// What next hops lie in.
    pub slips: Arc<Words>,
}

/// The prefixes of one family in one instance: the writer's end.
#[derive(Debug)]
pub struct Prefixes {
    root: Root,
    /// What was set, to know what shows when a prefix goes.
    all: Known,
}

/// Which table; the one without prefixes unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Root(u32);

impl Prefixes {
    /// An empty table.
    pub fn new(memory: &mut Memory) -> Result<Prefixes, TableFull> {
        Ok(Prefixes { root: Root(memory.roots.take()?), all: Known::default() })
    }

    /// By what a reader finds it.
    pub const fn root(&self) -> Root {
        self.root
    }

    /// What was set.
    pub const fn all(&self) -> &Known {
        &self.all
    }

    /// Gives a prefix a code (not 0) or takes it away; the former one comes back. Readers see it at once.
    pub fn set(
        &mut self,
        memory: &mut Memory,
        key: Bits,
        code: Option<Code>,
    ) -> Result<Option<Code>, TableFull> {
        let Some(code) = code else {
            let former = self.all.remove(key);
            match (former, key.length()) {
                (Some(_), 0) => self.set_default(memory, 0),
                (Some(_), _) => memory.remove(Level::Root(self.root.0), 0, key, &self.all),
                (None, _) => {}
            }
            return Ok(former);
        };
        match key.length() {
            0 => self.set_default(memory, code),
            _ => memory.insert(Level::Root(self.root.0), 0, key, code)?,
        }
        Ok(self.all.insert(key, code))
    }

    fn set_default(&self, memory: &Memory, code: Code) {
        if let Some(word) = memory.roots.unit(self.root.0).get(ROOT) {
            word.store(u64::from(code), Release);
        }
    }

    /// Ends the table: what lay in it rests, and so does its root.
    pub fn end(self, memory: &mut Memory) {
        for at in 0..ROOT {
            let cell = memory.roots.unit(self.root.0).get(at).map(|cell| Cell(cell.load(Relaxed)));
            memory.drop_tree(cell.map_or(Child::None, Cell::child), Pool::retire);
        }
        memory.roots.retire(self.root.0);
    }
}

impl Shared {
    /// The code of the longest prefix in a table that covers an address of `N` octets, 0 for none.
    #[inline]
    pub fn longest<const N: usize>(&self, root: Root, address: &[u8; N]) -> Code {
        let Some(([high, low], rest)) = address.split_first_chunk() else { return 0 };
        let start = root.0 as usize * ROOT_WORDS;
        let mut cell = load(&self.roots, start + usize::from(u16::from_be_bytes([*high, *low])));
        let mut best = cell.code();
        for octet in rest {
            let Child::Node(number) = cell.child() else { break };
            cell = load(&self.nodes, number as usize * NODE + usize::from(*octet));
            best = if cell.code() == 0 { best } else { cell.code() };
        }
        if let Child::Bunch(number) = cell.child() {
            let found = self.bunch(number, address);
            best = if found == 0 { best } else { found };
        }
        if best == 0 { load(&self.roots, start + ROOT).code() } else { best }
    }

    /// The code of the first prefix of a bunch that covers the address, 0 for none. All are compared, since
    /// which one it is cannot be predicted.
    #[inline(always)]
    fn bunch<const N: usize>(&self, number: u32, address: &[u8; N]) -> Code {
        let mut octets = [0; 16];
        octets.iter_mut().zip(address).for_each(|(to, from)| *to = *from);
        let address = u128::from_be_bytes(octets);
        let [high, meta, low, _] = quarters(unit(&self.bunches, BUNCH, number));
        let mut best = 0;
        for ((high, low), meta) in high.iter().zip(low).zip(meta).rev() {
            let meta = meta.load(Relaxed);
            let same = match N {
                ..=8 => ((address >> 64) as u64 ^ high.load(Relaxed)).leading_zeros(),
                _ => {
                    let bits = u128::from(high.load(Relaxed)) << 64 | u128::from(low.load(Relaxed));
                    (address ^ bits).leading_zeros()
                }
            };
            best = if same >= (meta >> 32) as u32 { meta as Code & CODE_MASK } else { best };
        }
        best
    }

    /// Asks for the first cell of an address.
    #[inline]
    pub fn prefetch_first<const N: usize>(&self, root: Root, address: &[u8; N]) {
        if let Some(cell) = self.first(root, address) {
            prefetch::read(cell);
        }
    }

    /// Asks for what the first cell of an address points to: call it when the cell has come.
    #[inline]
    pub fn prefetch_second<const N: usize>(&self, root: Root, address: &[u8; N]) {
        let Some(cell) = self.first(root, address) else { return };
        let below = match Cell(cell.load(Acquire)).child() {
            Child::None => None,
            Child::Bunch(number) => unit(&self.bunches, BUNCH, number).first(),
            Child::Node(number) => {
                let octet = address.get(2).copied().unwrap_or_default();
                unit(&self.nodes, NODE, number).get(usize::from(octet))
            }
        };
        if let Some(below) = below {
            prefetch::read(below);
        }
    }

    #[inline(always)]
    fn first<const N: usize>(&self, root: Root, address: &[u8; N]) -> Option<&AtomicU64> {
        let (high, _) = address.split_first_chunk::<2>()?;
        self.roots.get(root.0 as usize * ROOT_WORDS + usize::from(u16::from_be_bytes(*high)))
    }
}

/// A bunch: high halves, worth, low halves, rest. Empty for what is none.
#[inline(always)]
fn quarters(bunch: &[AtomicU64]) -> [&[AtomicU64]; 4] {
    let (high, rest) = bunch.split_at_checked(FEW).unwrap_or_default();
    let (meta, rest) = rest.split_at_checked(FEW).unwrap_or_default();
    let (low, rest) = rest.split_at_checked(FEW).unwrap_or_default();
    [high, meta, low, rest]
}

#[inline(always)]
fn load(words: &Words, at: usize) -> Cell {
    Cell(words.get(at).map_or(0, |word| word.load(Acquire)))
}

#[cfg(test)]
mod tests;
