//! The ring by which packets go from one worker to the one that owns them, a burst at a time.
//!
//! A descriptor is two words, four to a cache line: the packet's handle, and what is to be done. What the
//! first look at the packet told does not cross: the owner reads the headers again, whose line it needs
//! anyway, which costs less than fetching another line for them. Descriptors gather at the sender and go over
//! together, so that the two cores pass the ring's index to and fro once a burst and not once a packet. One
//! sender, one receiver, bounded; nobody waits: what finds no room is dropped, and the sender is told how much.

use std::fmt;

use arrayvec::ArrayVec;
use rtrb::chunks::{ChunkError, ReadChunk};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::io::BURST;

/// What the owner is to do with a packet another worker hands over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Put the datagram together that this is a fragment of.
    Reassemble,
    /// Decrypt: the SA of its SPI is yours.
    Open,
    /// Encrypt with the SA in this outbound slot of yours.
    Seal {
        /// The slot.
        slot: u32,
    },
}

/// A packet on its way to the worker that owns it.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Handoff<F> {
    /// The IP packet, nothing before or behind it.
    pub frame: F,
    /// The work as one word: what is stored in two halves is slow to load as a whole.
    work: u64,
}

const _: () = assert!(size_of::<Handoff<u64>>() == 16, "four descriptors to a cache line");

const OPEN: u64 = 1 << 32;
const REASSEMBLE: u64 = 2 << 32;

impl<F> Handoff<F> {
    /// A packet and why it goes there.
    #[inline(always)]
    pub const fn new(frame: F, work: Work) -> Handoff<F> {
        let work = match work {
            Work::Seal { slot } => slot as u64,
            Work::Open => OPEN,
            Work::Reassemble => REASSEMBLE,
        };
        Handoff { frame, work }
    }

    /// Why it goes there.
    #[inline(always)]
    pub const fn work(&self) -> Work {
        match self.work {
            OPEN => Work::Open,
            REASSEMBLE => Work::Reassemble,
            slot => Work::Seal { slot: slot as u32 },
        }
    }
}

/// What became of the packets of a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Packets that are on their way.
    pub sent: usize,
    /// Packets that found no room and were dropped.
    pub lost: usize,
}

/// A ring for `depth` packets.
pub fn ring<F>(depth: usize) -> (Sender<F>, Receiver<F>) {
    let (producer, consumer) = RingBuffer::new(depth);
    (Sender { ring: producer, burst: ArrayVec::new() }, Receiver(consumer))
}

/// The end of the worker that hands over.
pub struct Sender<F> {
    ring: Producer<Handoff<F>>,
    burst: ArrayVec<Handoff<F>, BURST>,
}

impl<F> Sender<F> {
    /// Puts a packet into the burst; one that is full goes over first.
    #[inline]
    pub fn put(&mut self, handoff: Handoff<F>) -> Sent {
        let sent = if self.burst.is_full() { self.send() } else { Sent::default() };
        // There is room now.
        let _ = self.burst.try_push(handoff);
        sent
    }

    /// Sends the burst.
    #[inline]
    pub fn send(&mut self) -> Sent {
        let waiting = self.burst.len();
        if waiting == 0 {
            return Sent::default();
        }
        // Asked for all at first: where the receiver is, the sender looks only when it might be too near.
        let room = match self.ring.write_chunk_uninit(waiting) {
            Ok(_) => waiting,
            Err(ChunkError::TooFewSlots(room)) => room,
        };
        let chunk = self.ring.write_chunk_uninit(room);
        let sent = chunk.map_or(0, |chunk| chunk.fill_from_iter(self.burst.drain(..room)));
        self.burst.clear();
        Sent { sent, lost: waiting - sent }
    }
}

/// The end of the worker that takes over.
pub struct Receiver<F>(Consumer<Handoff<F>>);

impl<F> Receiver<F> {
    /// The packets that wait, oldest first, at most a burst. The sender has their places back when the chunk
    /// is dropped or used up.
    #[inline]
    pub fn take(&mut self) -> Option<ReadChunk<'_, Handoff<F>>> {
        match self.0.slots().min(BURST) {
            0 => None,
            waiting => self.0.read_chunk(waiting).ok(),
        }
    }
}

impl<F> fmt::Debug for Sender<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("waiting", &self.burst.len()).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Receiver<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("waiting", &self.0.slots()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handoff(number: usize) -> Handoff<usize> {
        Handoff::new(number, Work::Open)
    }

    fn taken(receiver: &mut Receiver<usize>) -> Vec<usize> {
        receiver.take().into_iter().flatten().map(|handoff| handoff.frame).collect()
    }

    #[test]
    fn nothing_goes_over_before_the_burst_is_sent_or_full() {
        let (mut sender, mut receiver) = ring(2 * BURST);
        for number in 0..BURST {
            assert_eq!(sender.put(handoff(number)), Sent::default());
        }
        assert!(receiver.take().is_none());
        assert_eq!(sender.put(handoff(BURST)), Sent { sent: BURST, lost: 0 });
        assert_eq!(sender.send(), Sent { sent: 1, lost: 0 });
        assert_eq!(sender.send(), Sent::default());
        assert_eq!(taken(&mut receiver), (0..BURST).collect::<Vec<_>>());
        assert_eq!(taken(&mut receiver), [BURST]);
    }

    /// The order stays, the places come back, and what finds none is counted.
    #[test]
    fn a_full_ring_loses_the_newest_and_says_how_many() {
        let (mut sender, mut receiver) = ring(3);
        for round in 0..10 {
            for number in 0..5 {
                sender.put(handoff(round * 5 + number));
            }
            assert_eq!(sender.send(), Sent { sent: 3, lost: 2 });
            assert_eq!(taken(&mut receiver), [0, 1, 2].map(|number| round * 5 + number));
        }
    }

    #[test]
    fn work_crosses_as_a_word() {
        for work in [Work::Reassemble, Work::Open, Work::Seal { slot: 0 }, Work::Seal { slot: u32::MAX }] {
            assert_eq!(Handoff::new((), work).work(), work);
        }
    }
}
