//! The in-memory twin of a device and of a packet pool.
//!
//! [`RamPool`] counts: a test ends with "the pool is full again" ([`RamPool::available`] equals
//! [`RamPool::capacity`]), which proves that no frame was leaked or kept. [`RamDevice`] has as many
//! receive queues as there are workers; the test says on which of them a frame arrives, so that it can
//! play any NIC that spreads packets badly.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::{Burst, Frame, Meta, Pool, Port};

/// Room before the packet in a fresh frame: what DPDK gives (`RTE_PKTMBUF_HEADROOM`).
pub const HEADROOM: usize = 128;

/// Room for the packet in a usual buffer.
pub const ROOM: usize = 2176 - HEADROOM;

/// Room for the packet in a jumbo buffer: the largest datagram there is, and then some.
pub const JUMBO_ROOM: usize = 65_536 + 512;

type Shelf = ArrayQueue<Box<[u8]>>;

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
    let shelf = Shelf::new(count.max(1));
    while shelf.push(vec![0; size].into_boxed_slice()).is_ok() {}
    Arc::new(shelf)
}

fn take(shelf: &Arc<Shelf>) -> Option<RamFrame> {
    let bytes = shelf.pop()?;
    Some(RamFrame { bytes, start: HEADROOM, end: HEADROOM, meta: Meta::default(), home: Arc::clone(shelf) })
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

/// A buffer of a [`RamPool`]; goes home when dropped.
#[derive(Debug)]
pub struct RamFrame {
    bytes: Box<[u8]>,
    /// `start <= end <= bytes.len()` always.
    start: usize,
    end: usize,
    meta: Meta,
    home: Arc<Shelf>,
}

impl Drop for RamFrame {
    fn drop(&mut self) {
        // The shelf has a place for every buffer it ever held, so this cannot be refused.
        let _ = self.home.push(std::mem::take(&mut self.bytes));
    }
}

impl Frame for RamFrame {
    fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    fn data_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    fn headroom(&self) -> usize {
        self.start
    }

    fn tailroom(&self) -> usize {
        self.bytes.len() - self.end
    }

    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(n)?;
        self.bytes.get_mut(self.start..self.start + n)
    }

    fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        if n > self.tailroom() {
            return None;
        }
        let old = self.end;
        self.end += n;
        self.bytes.get_mut(old..self.end)
    }

    fn trim_front(&mut self, n: usize) {
        self.start += n.min(self.end - self.start);
    }

    fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start.saturating_add(len));
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }
}

/// A device in memory: receive queues a test fills, and one transmit queue it empties.
#[derive(Debug, Clone)]
pub struct RamDevice {
    id: u16,
    received: Vec<Arc<ArrayQueue<RamFrame>>>,
    sent: Arc<ArrayQueue<RamFrame>>,
}

impl RamDevice {
    /// A device numbered `id` with `queues` queue pairs, each `depth` frames deep (at least one).
    pub fn new(id: u16, queues: usize, depth: usize) -> Self {
        let queue = || Arc::new(ArrayQueue::new(depth.max(1)));
        RamDevice { id, received: (0..queues).map(|_| queue()).collect(), sent: queue() }
    }

    /// The worker's end of queue pair `queue`, `None` when there is no such pair.
    pub fn port(&self, queue: usize) -> Option<RamPort> {
        let received = Arc::clone(self.received.get(queue)?);
        Some(RamPort { id: self.id, received, sent: Arc::clone(&self.sent) })
    }

    /// Puts `frame` on the wire so that it arrives on `queue` (modulo the number of queues), or gives it
    /// back when that queue is full or the device has none.
    pub fn deliver(&self, queue: usize, frame: RamFrame) -> Result<(), RamFrame> {
        match queue.checked_rem(self.received.len()).and_then(|queue| self.received.get(queue)) {
            Some(received) => received.push(frame),
            None => Err(frame),
        }
    }

    /// The oldest frame the workers sent and nobody took yet.
    pub fn sent(&self) -> Option<RamFrame> {
        self.sent.pop()
    }
}

/// A worker's end of one queue pair of a [`RamDevice`].
#[derive(Debug)]
pub struct RamPort {
    id: u16,
    received: Arc<ArrayQueue<RamFrame>>,
    sent: Arc<ArrayQueue<RamFrame>>,
}

impl Port for RamPort {
    type Frame = RamFrame;

    fn id(&self) -> u16 {
        self.id
    }

    fn rx_burst(&mut self, burst: &mut Burst<RamFrame>) {
        while burst.room() > 0 {
            let Some(mut frame) = self.received.pop() else { return };
            *frame.meta_mut() = Meta { port: self.id, ..Meta::default() };
            if burst.push(frame).is_err() {
                return;
            }
        }
    }

    fn tx_burst(&mut self, burst: &mut Burst<RamFrame>) {
        let room = self.sent.capacity().saturating_sub(self.sent.len());
        for frame in burst.drain_front(room) {
            // Another worker may have filled the queue meanwhile; as on a wire, the frame is then lost.
            let _ = self.sent.push(frame);
        }
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
