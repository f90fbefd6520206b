//! Key cells: how a key crosses from control to a worker.
//!
//! A ring would leave copies of a key in its slots, so keys do not travel in it. They are written into a
//! cell of locked memory that exists from the start; the command carries the cell's index; the worker
//! copies the key out, wipes the cell and gives it back by that. Word-wise atomics make a cell shareable
//! without locks; the ring that carries the index orders the accesses.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use ravelin_mem::arena::{Slab, SlabError};
use zeroize::Zeroizing;

/// Octets a cell can hold: AES-256 with HMAC-SHA2-512, and a salt.
pub const KEY_MATERIAL: usize = 112;

const WORDS: usize = KEY_MATERIAL / 8;

/// Which cell holds a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyIndex(u32);

/// The length of the content in octets, 0 while free. Two cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Cell {
    len: AtomicU32,
    words: [AtomicU64; WORDS],
}

impl Cell {
    fn empty() -> Self {
        Cell { len: AtomicU32::new(0), words: [const { AtomicU64::new(0) }; WORDS] }
    }
}

/// The cells between control and one worker. Shared; control puts, the worker takes.
#[derive(Debug)]
pub struct KeyCells {
    cells: Slab<Cell>,
    /// Where control looks for a free cell first: behind the one it filled last, which the worker empties
    /// last. Only a hint.
    next: AtomicU32,
}

/// Why a key could not be put into a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The worker has not emptied any cell yet; send the command later.
    #[error("all {cells} key cells are waiting for their worker: try again after it has applied commands")]
    Full {
        /// Cells there are.
        cells: usize,
    },
    /// Nothing to write, or more than a cell holds: our caller's fault.
    #[error("{octets} octets of key material: a cell holds 1 to {KEY_MATERIAL}")]
    Length {
        /// Octets given.
        octets: usize,
    },
}

impl KeyCells {
    /// `count` free cells in memory that is locked and kept out of core dumps as far as the machine allows.
    pub fn new(count: usize) -> Result<Self, SlabError> {
        Ok(KeyCells { cells: Slab::new(count, |_| Cell::empty())?, next: AtomicU32::new(0) })
    }

    /// Control's side: writes `material` into a free cell.
    pub fn put(&self, material: &[u8]) -> Result<KeyIndex, KeyError> {
        let octets = material.len();
        let len = u32::try_from(octets).ok().filter(|len| (1..=KEY_MATERIAL as u32).contains(len));
        let len = len.ok_or(KeyError::Length { octets })?;
        let index = self.free().ok_or(KeyError::Full { cells: self.cells.len() })?;
        self.next.store(index as u32 + 1, Relaxed);
        let cell = self.cells.get(index).ok_or(KeyError::Full { cells: self.cells.len() })?;
        for (word, chunk) in cell.words.iter().zip(material.chunks(8)) {
            let mut octets = Zeroizing::new([0; 8]);
            octets.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            word.store(u64::from_ne_bytes(*octets), Relaxed);
        }
        cell.len.store(len, Release);
        Ok(KeyIndex(index as u32))
    }

    fn free(&self) -> Option<usize> {
        let first = self.next.load(Relaxed) as usize;
        let order = (first..self.cells.len()).chain(0..first);
        order.into_iter().find(|at| self.cells.get(*at).is_some_and(|cell| cell.len.load(Acquire) == 0))
    }

    /// Wipes a cell whose command was never sent.
    pub fn discard(&self, index: KeyIndex) {
        self.take(index, |_| ());
    }

    /// The worker's side: shows the octets control wrote (for AES-GCM the key followed by four octets of
    /// salt, RFC 4106 §8.1) to `expand`, and wipes them; the cell is free afterwards. `None` when the cell
    /// holds nothing (a command that names the same cell twice).
    pub fn take<R>(&self, index: KeyIndex, expand: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let cell = self.cells.get(index.0 as usize)?;
        let len = cell.len.load(Acquire) as usize;
        let mut octets = Zeroizing::new([0; KEY_MATERIAL]);
        for (word, chunk) in cell.words.iter().zip(octets.chunks_mut(8)) {
            chunk.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
            word.store(0, Relaxed);
        }
        cell.len.store(0, Release);
        octets.get(..len).filter(|key| !key.is_empty()).map(expand)
    }

    /// Cells that hold a key now.
    pub fn in_use(&self) -> usize {
        self.cells.iter().filter(|cell| cell.len.load(Relaxed) != 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_crosses_once_and_leaves_nothing_behind() {
        let cells = KeyCells::new(2).unwrap();
        let key: Vec<u8> = (1..=36).collect();
        let index = cells.put(&key).unwrap();
        assert_eq!(cells.in_use(), 1);
        assert_eq!(cells.take(index, <[u8]>::to_vec).unwrap(), key);
        assert!(cells.take(index, |_| ()).is_none());
        assert!(cells.cells.iter().all(|cell| cell.words.iter().all(|word| word.load(Relaxed) == 0)));
    }

    #[test]
    fn a_full_table_and_an_impossible_length_are_refused() {
        let cells = KeyCells::new(1).unwrap();
        assert_eq!(cells.put(&[]), Err(KeyError::Length { octets: 0 }));
        assert_eq!(cells.put(&[0; 113]), Err(KeyError::Length { octets: 113 }));
        let index = cells.put(&[7; KEY_MATERIAL]).unwrap();
        assert_eq!(cells.put(&[7]), Err(KeyError::Full { cells: 1 }));
        cells.discard(index);
        assert_eq!(cells.in_use(), 0);
    }
}
