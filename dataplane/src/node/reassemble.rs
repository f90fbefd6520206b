//! Puts fragments of outer packets together again, IPv4 (RFC 791 §3.2) and IPv6 (RFC 8200 §4.5),
//! before the handoff to the SA's owner: only a first fragment carries the SPI.
//!
//! What a stranger sends is bounded on every side: datagrams in progress, frames held, pieces of
//! one datagram, datagrams of one source, time. Nothing is allocated after start except the frame
//! a whole datagram is written into, which comes from the pool. Overlapping fragments end their
//! datagram (RFC 5722 §4), including the fragments still to come.
//!
//! All fragments of a datagram must come to one worker: [`key::Key::hash`] chooses it. The caller
//! checks beforehand that the packet is addressed to us, and calls [`Reassembler::expire`] in each
//! poll. Every refusal says how many frames it dropped, so that packets stay counted.

mod datagram;
pub mod key;

use crate::io::{Frame, Pool};
use crate::net::Malformed;
use datagram::{Added, Datagram};
use key::{Fragment, Key};

/// Pieces of one datagram: 64 of them carry 65,535 octets at an MTU of 1,100; smaller ones come
/// from nobody we serve.
pub const MAX_PIECES: usize = 64;
/// Datagrams that share a place in the table.
const WAYS: usize = 8;

/// How much reassembly may hold. See [`Limits::default`] for the reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Datagrams in progress; rounded up to a multiple of eight.
    pub datagrams: usize,
    /// Frames held over all datagrams; part of the pool's size.
    pub frames: usize,
    /// Datagrams in progress from one source address of one instance.
    pub datagrams_per_source: u16,
    /// Microseconds from the first fragment to arrive until the datagram is given up.
    pub timeout_us: u64,
}

impl Default for Limits {
    /// A thousand datagrams of four pieces; a sixteenth of them from one source; two seconds, as
    /// DP-31 has it.
    fn default() -> Limits {
        Limits { datagrams: 1024, frames: 4096, datagrams_per_source: 64, timeout_us: 2_000_000 }
    }
}

/// Why a fragment was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Its headers make no sense: the sender's fault.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Not the last, and not a multiple of eight octets; or empty: the sender's fault.
    #[error("a fragment of {length} octets at offset {offset} cannot be")]
    BadLength {
        /// Octets of payload.
        length: usize,
        /// Where they belong.
        offset: usize,
    },
    /// A first fragment too short to show what follows (RFC 1858): an attack on filters.
    #[error("a first fragment of {length} octets hides its upper-layer header")]
    Tiny {
        /// Octets of payload.
        length: usize,
    },
    /// Together they would exceed 65,535 octets.
    #[error("the datagram would have {length} octets")]
    TooLong {
        /// Octets it would have.
        length: usize,
    },
    /// It overlaps another, or contradicts the datagram's end: the whole datagram is refused.
    #[error("fragments overlap")]
    Overlap,
    /// More pieces than [`MAX_PIECES`]: the whole datagram is refused.
    #[error("the datagram comes in more than {MAX_PIECES} pieces")]
    TooManyPieces,
    /// Its source has its share of datagrams in progress.
    #[error("the source has too many datagrams in progress")]
    SourceQuota,
    /// No room for another datagram or frame.
    #[error("the reassembly table is full")]
    TableFull,
    /// No buffer to put the whole into.
    #[error("no buffer for a datagram of {length} octets")]
    NoBuffer {
        /// Octets it has.
        length: usize,
    },
}

/// What became of a frame.
#[derive(Debug)]
pub enum Offered<F> {
    /// It is no fragment.
    NotFragment(F),
    /// It waits for the rest.
    Held,
    /// An exact copy of one that waits; dropped (RFC 8200 §4.5 allows telling it from an overlap).
    Duplicate,
    /// It completed a datagram.
    Whole {
        /// The datagram: an IP packet that is no fragment.
        frame: F,
        /// Frames it was made of, this one included.
        fragments: usize,
    },
    /// Dropped, with all that waited for it.
    Refused {
        /// Why.
        why: Why,
        /// Frames dropped, this one included.
        fragments: usize,
    },
}

/// What time-outs dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Datagrams given up.
    pub datagrams: usize,
    /// Frames dropped with them.
    pub fragments: usize,
}

/// One place in the table.
#[derive(Debug)]
struct Entry<F> {
    key: Option<Key>,
    deadline_us: u64,
    /// Refused; kept so that fragments still to come are refused too.
    refused: bool,
    datagram: Datagram<F>,
}

/// The datagrams in progress at one worker. One owner.
#[derive(Debug)]
pub struct Reassembler<F> {
    limits: Limits,
    seed: u64,
    entries: Vec<Entry<F>>,
    /// Datagrams in progress by hash of their source; sources that collide share a quota.
    sources: Vec<u16>,
    frames: usize,
    /// Where the next expiry walk begins.
    cursor: usize,
    /// Expired entries found while looking for others, not yet told.
    untold: Expired,
}

impl<F: Frame> Reassembler<F> {
    /// An empty table. `seed` is random: who knows it can fill a place at will.
    pub fn new(limits: Limits, seed: u64) -> Reassembler<F> {
        let capacity = limits.datagrams.max(1).next_multiple_of(WAYS);
        let entry = |_| Entry { key: None, deadline_us: 0, refused: false, datagram: Datagram::new() };
        Reassembler {
            limits,
            seed,
            entries: (0..capacity).map(entry).collect(),
            sources: vec![0; capacity * 4],
            frames: 0,
            cursor: 0,
            untold: Expired::default(),
        }
    }

    /// Frames held at present.
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// Datagrams in progress at present, refused ones included.
    pub fn datagrams(&self) -> usize {
        self.entries.iter().filter(|entry| entry.key.is_some()).count()
    }

    /// Takes a frame whose data is an IP packet; its instance is that of its meta.
    pub fn offer<P: Pool<Frame = F>>(&mut self, now_us: u64, frame: F, pool: &mut P) -> Offered<F> {
        self.offer_within(now_us, self.limits.timeout_us, frame, pool)
    }

    /// The same; the first of a datagram waits so long for the rest, in microseconds.
    pub fn offer_within<P: Pool<Frame = F>>(
        &mut self,
        now_us: u64,
        wait_us: u64,
        frame: F,
        pool: &mut P,
    ) -> Offered<F> {
        match Fragment::read(frame.meta().instance, frame.data()) {
            Ok(None) => Offered::NotFragment(frame),
            Ok(Some(fragment)) => self.admit((now_us, wait_us), fragment, frame, pool),
            Err(why) => Offered::Refused { why, fragments: 1 },
        }
    }

    fn admit<P: Pool<Frame = F>>(
        &mut self,
        times: (u64, u64),
        fragment: Fragment,
        frame: F,
        pool: &mut P,
    ) -> Offered<F> {
        let index = match self.place(times, &fragment) {
            Ok(index) => index,
            Err(why) => return Offered::Refused { why, fragments: 1 },
        };
        let frames = self.frames;
        let Some(entry) = self.entries.get_mut(index) else {
            return Offered::Refused { why: Why::TableFull, fragments: 1 };
        };
        if entry.refused {
            return Offered::Refused { why: Why::Overlap, fragments: 1 };
        }
        if frames >= self.limits.frames {
            return self.refuse_one(index, Why::TableFull);
        }
        match entry.datagram.add(&fragment, frame) {
            Added::Duplicate => Offered::Duplicate,
            Added::Held => {
                self.frames += 1;
                Offered::Held
            }
            Added::Complete => {
                self.frames += 1;
                self.finish(index, pool)
            }
            Added::Refused(why) => self.refuse_datagram(index, why),
        }
    }

    /// The entry of a fragment's datagram: its own, or a new one within every limit.
    fn place(&mut self, (now_us, wait_us): (u64, u64), fragment: &Fragment) -> Result<usize, Why> {
        let start = self.bucket(&fragment.key);
        self.release_expired(now_us, start, WAYS);
        let bucket = self.entries.get(start..start + WAYS).unwrap_or_default();
        let position = |key: Option<&Key>| bucket.iter().position(|entry| entry.key.as_ref() == key);
        if let Some(found) = position(Some(&fragment.key)) {
            return Ok(start + found);
        }
        let index = start + position(None).ok_or(Why::TableFull)?;
        let source = fragment.key.source_hash(self.seed) as usize % self.sources.len();
        let share = self.sources.get_mut(source).ok_or(Why::TableFull)?;
        if *share >= self.limits.datagrams_per_source {
            return Err(Why::SourceQuota);
        }
        *share += 1;
        if let Some(entry) = self.entries.get_mut(index) {
            entry.key = Some(fragment.key);
            entry.deadline_us = now_us.saturating_add(wait_us);
        }
        Ok(index)
    }

    /// Where a datagram's bucket begins. The hash's low bits have already chosen the worker, so
    /// they are much the same in all datagrams here.
    fn bucket(&self, key: &Key) -> usize {
        (key.hash(self.seed) >> 32) as usize % (self.entries.len() / WAYS) * WAYS
    }

    /// Writes the whole datagram into one frame and frees its entry.
    fn finish<P: Pool<Frame = F>>(&mut self, index: usize, pool: &mut P) -> Offered<F> {
        let whole = self.entries.get(index).map(|entry| entry.datagram.assemble(pool));
        let fragments = self.release(index);
        match whole {
            Some(Ok(frame)) => Offered::Whole { frame, fragments },
            Some(Err(why)) => Offered::Refused { why, fragments },
            None => Offered::Refused { why: Why::TableFull, fragments },
        }
    }

    /// Refuses one frame; a datagram that has none yet gives its entry back.
    fn refuse_one(&mut self, index: usize, why: Why) -> Offered<F> {
        if self.entries.get(index).is_some_and(|entry| entry.datagram.pieces() == 0) {
            self.release(index);
        }
        Offered::Refused { why, fragments: 1 }
    }

    /// Drops a datagram's frames and remembers to refuse the rest of it until its time is up.
    fn refuse_datagram(&mut self, index: usize, why: Why) -> Offered<F> {
        let Some(entry) = self.entries.get_mut(index) else {
            return Offered::Refused { why, fragments: 1 };
        };
        entry.refused = true;
        let held = entry.datagram.clear();
        self.frames -= held;
        Offered::Refused { why, fragments: held + 1 }
    }

    /// Frees an entry; how many frames it held.
    fn release(&mut self, index: usize) -> usize {
        let Some(entry) = self.entries.get_mut(index) else { return 0 };
        let Some(key) = entry.key.take() else { return 0 };
        entry.refused = false;
        let held = entry.datagram.clear();
        self.frames -= held;
        let source = key.source_hash(self.seed) as usize % self.sources.len();
        if let Some(share) = self.sources.get_mut(source) {
            *share = share.saturating_sub(1);
        }
        held
    }

    /// Frees what has expired among `count` entries from `start`.
    fn release_expired(&mut self, now_us: u64, start: usize, count: usize) {
        for index in start..(start + count).min(self.entries.len()) {
            let due = |entry: &Entry<F>| entry.key.is_some() && entry.deadline_us <= now_us;
            if self.entries.get(index).is_some_and(due) {
                let refused = self.entries.get(index).is_some_and(|entry| entry.refused);
                self.untold.fragments += self.release(index);
                self.untold.datagrams += usize::from(!refused);
            }
        }
    }

    /// Gives up expired datagrams among the next `entries` places of the table, and tells what
    /// time-outs have dropped since the last call. A few dozen places a poll suffice.
    pub fn expire(&mut self, now_us: u64, entries: usize) -> Expired {
        let start = self.cursor;
        self.release_expired(now_us, start, entries);
        self.cursor = if start + entries >= self.entries.len() { 0 } else { start + entries };
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests;
