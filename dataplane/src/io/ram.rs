//! The in-memory twin of a device and of a packet pool.
//!
//! [`RamPool`] counts: a test ends with "the pool is full again" ([`RamPool::available`] equals
//! [`RamPool::capacity`]), which proves that no frame was leaked or kept. [`RamDevice`] has a queue pair for
//! each worker; whoever plays the wire says on which of them a frame arrives, and so plays any NIC: one that
//! steers exactly, one that spreads by hash ([`RamDevice::hashed`]), one that spreads badly.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};

use crossbeam::queue::ArrayQueue;

use super::{Burst, Frame, Meta, Pool, Port};
use crate::net::eth;
use crate::net::flow::{Flow, Summary, Upper};

/// Room before the packet in a fresh frame: what DPDK gives (`RTE_PKTMBUF_HEADROOM`).
pub const HEADROOM: usize = 128;

/// Room for the packet in a usual buffer.
pub const ROOM: usize = 2176 - HEADROOM;

/// Room for the packet in a jumbo buffer: the largest datagram there is, and then some.
pub const JUMBO_ROOM: usize = 65_536 + 512;

type Shelf = ArrayQueue<Box<Buffer>>;

/// A counting pool of equal buffers, beside a smaller one of jumbo buffers.
#[derive(Debug, Clone)]
pub struct RamPool {
    usual: Arc<Shelf>,
    jumbo: Arc<Shelf>,
}

impl RamPool {
    /// A pool of `usual` buffers of [`ROOM`] octets and `jumbo` buffers of [`JUMBO_ROOM`]; each at least one.
    pub fn new(usual: usize, jumbo: usize) -> Self {
        RamPool { usual: shelf(usual, HEADROOM + ROOM), jumbo: shelf(jumbo, HEADROOM + JUMBO_ROOM) }
    }

    /// Buffers at home now.
    pub fn available(&self) -> usize {
        self.usual.len() + self.jumbo.len()
    }

    /// Buffers there are.
    pub fn capacity(&self) -> usize {
        self.usual.capacity() + self.jumbo.capacity()
    }
}

fn shelf(count: usize, size: usize) -> Arc<Shelf> {
    Arc::new_cyclic(|home| {
        let shelf = Shelf::new(count.max(1));
        let buffer = || Buffer {
            bytes: vec![0; size].into_boxed_slice(),
            start: HEADROOM,
            end: HEADROOM,
            meta: Meta::default(),
            home: Weak::clone(home),
        };
        while !shelf.is_full() {
            let _ = shelf.push(Box::new(buffer()));
        }
        shelf
    })
}

fn take(shelf: &Shelf) -> Option<RamFrame> {
    let mut buffer = shelf.pop()?;
    (buffer.start, buffer.end, buffer.meta) = (HEADROOM, HEADROOM, Meta::default());
    Some(RamFrame { buffer: Some(buffer) })
}

impl Pool for RamPool {
    type Frame = RamFrame;

    fn alloc(&mut self) -> Option<RamFrame> {
        take(&self.usual)
    }

    fn alloc_for(&mut self, len: usize) -> Option<RamFrame> {
        let shelf = if len <= ROOM { &self.usual } else { &self.jumbo };
        take(shelf).filter(|frame| frame.tailroom() >= len)
    }
}

/// A buffer of a [`RamPool`]; goes home when dropped. A handle of one pointer, as an mbuf's is.
#[derive(Debug)]
pub struct RamFrame {
    /// Taken out only when the frame is dropped.
    buffer: Option<Box<Buffer>>,
}

#[derive(Debug)]
struct Buffer {
    bytes: Box<[u8]>,
    /// `start <= end <= bytes.len()` always.
    start: usize,
    end: usize,
    meta: Meta,
    home: Weak<Shelf>,
}

impl Drop for RamFrame {
    fn drop(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        if let Some(home) = buffer.home.upgrade() {
            // The shelf has a place for every buffer it ever held, so this cannot be refused.
            let _ = home.push(buffer);
        }
    }
}

impl RamFrame {
    #[inline]
    #[expect(clippy::expect_used, reason = "it is there until the frame is dropped, and nobody has it then")]
    fn buffer(&self) -> &Buffer {
        self.buffer.as_deref().expect("a frame has its buffer")
    }

    #[inline]
    #[expect(clippy::expect_used, reason = "as above")]
    fn buffer_mut(&mut self) -> &mut Buffer {
        self.buffer.as_deref_mut().expect("a frame has its buffer")
    }
}

impl Frame for RamFrame {
    #[inline]
    fn data(&self) -> &[u8] {
        let Buffer { bytes, start, end, .. } = self.buffer();
        bytes.get(*start..*end).unwrap_or_default()
    }

    #[inline]
    fn data_mut(&mut self) -> &mut [u8] {
        let Buffer { bytes, start, end, .. } = self.buffer_mut();
        bytes.get_mut(*start..*end).unwrap_or_default()
    }

    #[inline]
    fn headroom(&self) -> usize {
        self.buffer().start
    }

    #[inline]
    fn tailroom(&self) -> usize {
        let buffer = self.buffer();
        buffer.bytes.len() - buffer.end
    }

    #[inline]
    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        let buffer = self.buffer_mut();
        buffer.start = buffer.start.checked_sub(n)?;
        buffer.bytes.get_mut(buffer.start..buffer.start + n)
    }

    #[inline]
    fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        let buffer = self.buffer_mut();
        let old = buffer.end;
        let end = old.checked_add(n).filter(|end| *end <= buffer.bytes.len())?;
        buffer.end = end;
        buffer.bytes.get_mut(old..end)
    }

    #[inline]
    fn trim_front(&mut self, n: usize) {
        let buffer = self.buffer_mut();
        buffer.start += n.min(buffer.end - buffer.start);
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        let buffer = self.buffer_mut();
        buffer.end = buffer.end.min(buffer.start.saturating_add(len));
    }

    #[inline]
    fn reshape(&mut self, by: isize, len: usize) -> Option<&mut [u8]> {
        let buffer = self.buffer_mut();
        let start = buffer.start.checked_add_signed(by)?;
        let end = start.checked_add(len)?;
        let packet = buffer.bytes.get_mut(start..end)?;
        (buffer.start, buffer.end) = (start, end);
        Some(packet)
    }

    #[inline]
    fn surround(&mut self, before: usize, len: usize, spare: usize) -> Option<&mut [u8]> {
        let buffer = self.buffer_mut();
        let start = buffer.start.checked_sub(before)?;
        let end = start.checked_add(len).filter(|_| spare <= len)?;
        let packet = buffer.bytes.get_mut(start..end)?;
        (buffer.start, buffer.end) = (start + spare, end);
        Some(packet)
    }

    #[inline]
    fn meta(&self) -> &Meta {
        &self.buffer().meta
    }

    #[inline]
    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.buffer_mut().meta
    }

    #[inline]
    fn len(&self) -> usize {
        let buffer = self.buffer();
        buffer.end - buffer.start
    }
}

/// Frames on their way, oldest first. Whoever comes while another is at it finds it neither filled nor
/// emptied: no party waits, and a burst costs one lock.
#[derive(Debug)]
struct Wire {
    frames: Mutex<VecDeque<RamFrame>>,
    depth: usize,
}

impl Wire {
    fn new(depth: usize) -> Self {
        Wire { frames: Mutex::new(VecDeque::with_capacity(depth)), depth }
    }

    /// Does something with the frames; `None` if somebody else does just now.
    fn attempt<R>(&self, work: impl FnOnce(&mut VecDeque<RamFrame>) -> R) -> Option<R> {
        match self.frames.try_lock() {
            Ok(mut frames) => Some(work(&mut frames)),
            Err(TryLockError::Poisoned(frames)) => Some(work(&mut frames.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The test's end may wait: it has nothing better to do.
    fn with<R>(&self, work: impl FnOnce(&mut VecDeque<RamFrame>) -> R) -> R {
        work(&mut self.frames.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The two wires of a queue pair.
#[derive(Debug, Clone)]
struct Pair {
    received: Arc<Wire>,
    sent: Arc<Wire>,
}

/// A device in memory: queue pairs whose receive queues somebody fills and whose transmit queues he empties.
#[derive(Debug, Clone)]
pub struct RamDevice {
    id: u16,
    pairs: Vec<Pair>,
}

impl RamDevice {
    /// A device numbered `id` with `queues` queue pairs, each `depth` frames deep (at least one).
    pub fn new(id: u16, queues: usize, depth: usize) -> Self {
        let wire = || Arc::new(Wire::new(depth.max(1)));
        RamDevice { id, pairs: (0..queues).map(|_| Pair { received: wire(), sent: wire() }).collect() }
    }

    /// The worker's end of queue pair `queue`, `None` when there is no such pair.
    pub fn port(&self, queue: usize) -> Option<RamPort> {
        Some(RamPort { id: self.id, pair: self.pairs.get(queue)?.clone() })
    }

    /// Puts `frame` on the wire so that it arrives on `queue` (modulo the number of queues), or gives it
    /// back when that queue is full or the device has none.
    pub fn deliver(&self, queue: usize, frame: RamFrame) -> Result<(), RamFrame> {
        let pair = queue.checked_rem(self.pairs.len()).and_then(|queue| self.pairs.get(queue));
        let Some(Pair { received: wire, .. }) = pair else { return Err(frame) };
        wire.with(|frames| match frames.len() < wire.depth {
            true => {
                frames.push_back(frame);
                Ok(())
            }
            false => Err(frame),
        })
    }

    /// The queue that a NIC with receive-side scaling picks for an Ethernet frame (no tag): both directions
    /// of a flow meet on one, and what is not IP arrives on the first.
    pub fn hashed(&self, frame: &[u8]) -> usize {
        let packet = frame.get(eth::Repr::LEN..).unwrap_or_default();
        let hash = Summary::parse(packet).map_or(0, |summary| spread(&summary.flow()));
        (hash as usize).checked_rem(self.pairs.len()).unwrap_or(0)
    }

    /// The oldest frame a worker sent and nobody took yet; of several workers' those of the first come first.
    pub fn sent(&self) -> Option<RamFrame> {
        (0..self.pairs.len()).find_map(|queue| self.sent_by(queue))
    }

    /// The oldest frame that was sent by queue pair `queue` and nobody took yet.
    pub fn sent_by(&self, queue: usize) -> Option<RamFrame> {
        self.pairs.get(queue)?.sent.with(VecDeque::pop_front)
    }
}

/// A symmetric hash of addresses and, where there are any, ports: stands for Toeplitz with the key that
/// ports are given, whose bits nobody here depends on.
fn spread(flow: &Flow) -> u32 {
    let fold = |address: IpAddr| match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 ^ v6.to_bits() as u64,
    };
    let ports = match flow.upper {
        Upper::Ports { source, destination } => u64::from(source ^ destination),
        _ => 0,
    };
    let ends = fold(flow.source) ^ fold(flow.destination) ^ ports << 32;
    (ends.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32
}

/// A worker's end of one queue pair of a [`RamDevice`].
#[derive(Debug)]
pub struct RamPort {
    id: u16,
    pair: Pair,
}

impl Port for RamPort {
    type Frame = RamFrame;

    fn id(&self) -> u16 {
        self.id
    }

    fn keeps(&self) -> bool {
        false
    }

    fn rx_burst(&mut self, burst: &mut Burst<RamFrame>) {
        let meta = Meta { port: self.id, ..Meta::default() };
        self.pair.received.attempt(|frames| {
            let count = frames.len().min(burst.room());
            for mut frame in frames.drain(..count) {
                *frame.meta_mut() = meta;
                // At most `room` are taken, so none is refused.
                let _ = burst.push(frame);
            }
        });
    }

    fn tx_burst(&mut self, burst: &mut Burst<RamFrame>) {
        let depth = self.pair.sent.depth;
        self.pair.sent.attempt(|frames| {
            let room = depth.saturating_sub(frames.len());
            frames.extend(burst.drain_front(room));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_full_again_when_frames_are_dropped() {
        let mut pool = RamPool::new(2, 1);
        let first = pool.copy_of(&[1, 2, 3]).unwrap();
        let second = pool.alloc().unwrap();
        assert!(pool.alloc().is_none());
        assert!(pool.alloc_for(9000).is_some());
        assert_eq!(first.data(), [1, 2, 3]);
        assert_eq!(pool.available(), 1);
        drop((first, second));
        assert_eq!(pool.available(), pool.capacity());
    }

    #[test]
    fn a_frame_grows_and_shrinks_at_both_ends_and_refuses_more_than_it_has() {
        let mut frame = RamPool::new(1, 1).copy_of(b"packet").unwrap();
        frame.prepend(2).unwrap().copy_from_slice(b"a ");
        frame.append(1).unwrap().copy_from_slice(b"!");
        assert_eq!(frame.data(), b"a packet!");
        assert!(frame.prepend(HEADROOM).is_none());
        assert!(frame.append(ROOM).is_none());
        frame.trim_front(2);
        frame.truncate(6);
        assert_eq!(frame.data(), b"packet");
        assert_eq!(frame.reshape(2, 3).unwrap(), b"cke");
        assert_eq!(frame.reshape(-2, 6).unwrap(), b"packet");
        let start = HEADROOM as isize;
        assert!(frame.reshape(-start - 1, 1).is_none() && frame.reshape(isize::MIN, 1).is_none());
        assert!(frame.reshape(1, ROOM).is_none() && frame.reshape(0, usize::MAX).is_none());
        assert_eq!(frame.data(), b"packet");
        frame.surround(2, 9, 1).unwrap().copy_from_slice(b"one more!");
        assert_eq!(frame.data(), b"ne more!");
        assert!(frame.surround(HEADROOM, 1, 0).is_none() && frame.surround(0, 1, 2).is_none());
        assert!(frame.surround(0, ROOM + 2, 0).is_none() && frame.surround(0, usize::MAX, 0).is_none());
        assert_eq!(frame.data(), b"ne more!");
        frame.trim_front(100);
        assert!(frame.is_empty());
    }

    #[test]
    fn a_device_keeps_its_queues_apart_and_leaves_what_it_cannot_send() {
        let mut pool = RamPool::new(8, 1);
        let device = RamDevice::new(3, 2, 1);
        device.deliver(1, pool.copy_of(b"x").unwrap()).unwrap();
        let mut burst = Burst::new();
        device.port(0).unwrap().rx_burst(&mut burst);
        assert!(burst.is_empty());
        let mut port = device.port(1).unwrap();
        port.rx_burst(&mut burst);
        assert_eq!(burst.iter().map(|frame| frame.meta().port).collect::<Vec<_>>(), [3]);
        burst.push(pool.copy_of(b"y").unwrap()).unwrap();
        port.tx_burst(&mut burst);
        assert_eq!(burst.len(), 1);
        drop(burst);
        assert_eq!(device.sent().unwrap().data(), b"x");
        assert_eq!(pool.available(), pool.capacity());
    }
}
