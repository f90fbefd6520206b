//! The halves of a port's queues: one poller each, by `&mut`.
//!
//! A half is Send and not Sync, so DPDK's rule that a queue is polled by one thread at
//! a time (`rte_eth_rx_burst`: "lock-free ... not to be invoked in parallel on the same
//! queue") holds by construction. Each half keeps its port started.
//!
//! Received mbufs are made linear here; what the kernel cut is dropped here. Both are
//! counted, and the counts belong to the half's owner.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use arrayvec::ArrayVec;
use dpdk_sys::rte_mbuf;

use crate::mbuf::{Mbuf, Private};
use crate::pool::Pool;
use crate::port::Running;

/// Most mbufs in one burst.
pub const BURST: usize = 64;

/// Mbufs in order, in the layout drivers read and write: an [`Mbuf`] is one pointer.
pub type Burst<M> = ArrayVec<Mbuf<M>, BURST>;

/// Frames a receive queue took from the device and did not hand out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RxDrops {
    /// Cut by a kernel ring, or longer than the port's longest frame (see [`crate::vdev`]).
    pub truncated: u64,
    /// In several segments, and neither the first segment nor a jumbo mbuf could hold all of them.
    pub unlinear: u64,
}

/// Receives from one queue.
#[derive(Debug)]
pub struct RxQueue<M: Private> {
    port: Arc<Running>,
    queue: u16,
    /// Frames this long were cut; `u32::MAX` when the device does not cut.
    cut_at: u32,
    jumbo: Option<Pool<M>>,
    drops: RxDrops,
    not_sync: PhantomData<Cell<M>>,
}

impl<M: Private> RxQueue<M> {
    pub(crate) fn new(port: Arc<Running>, queue: u16, cut_at: Option<u32>, jumbo: Option<Pool<M>>) -> Self {
        let cut_at = cut_at.unwrap_or(u32::MAX);
        RxQueue { port, queue, cut_at, jumbo, drops: RxDrops::default(), not_sync: PhantomData }
    }

    /// Adds what has arrived to `burst`, `at_most` so many and as far as there is room, and
    /// returns how many. Never waits. Private values are whatever they last were.
    pub fn receive(&mut self, burst: &mut Burst<M>, at_most: usize) -> usize {
        let held = burst.len();
        let room = burst.remaining_capacity().min(at_most) as u16;
        // SAFETY: `held` is within the array, whose places hold transparent non-null pointers.
        let places = unsafe { burst.as_mut_ptr().add(held) }.cast::<*mut rte_mbuf>();
        // SAFETY: behind `places` there is room for `room` pointers; the port is started and has
        // this queue (Running), and we are its only poller.
        let arrived = unsafe { dpdk_sys::shim_rx_burst(self.port.id(), self.queue, places, room) };
        // SAFETY: the driver wrote so many pointers there, and nobody else refers to these places.
        let kept = self.keep(unsafe { std::slice::from_raw_parts_mut(places, usize::from(arrived)) });
        // SAFETY: the first `kept` places hold received mbufs, ours alone and linear. Their
        // pool holds `M`: devices receive into a pool of this port or, as net_ring does,
        // pass on what some `TxQueue` of this process sent, and a process has one `M`.
        unsafe { burst.set_len(held + kept) };
        kept
    }

    /// Closes the ranks over what is dropped; returns how many are left.
    fn keep(&mut self, arrived: &mut [*mut rte_mbuf]) -> usize {
        let mut kept = 0;
        for at in 0..arrived.len() {
            // SAFETY: the driver wrote a valid mbuf to each of these slots and gave it up.
            let Some(mbuf) = arrived.get(at).and_then(|raw| unsafe { self.admit(*raw) }) else { continue };
            if let Some(slot) = arrived.get_mut(kept) {
                *slot = mbuf;
                kept += 1;
            }
        }
        kept
    }

    /// # Safety
    /// `raw` is an mbuf that is ours alone, possibly chained.
    unsafe fn admit(&mut self, raw: *mut rte_mbuf) -> Option<*mut rte_mbuf> {
        // SAFETY: by the caller.
        let (length, segments) = unsafe { ((*raw).pkt_len, (*raw).nb_segs) };
        if length >= self.cut_at {
            self.drops.truncated += 1;
            // SAFETY: ours; frees all segments, once.
            unsafe { dpdk_sys::shim_pktmbuf_free(raw) };
            return None;
        }
        if segments == 1 {
            return Some(raw);
        }
        // SAFETY: by the caller.
        let linear = unsafe { self.linearise(raw) };
        self.drops.unlinear += u64::from(linear.is_none());
        linear
    }

    /// Into the first segment if it has the room, else into a jumbo mbuf, else dropped.
    ///
    /// # Safety
    /// As for `admit`.
    #[cold]
    unsafe fn linearise(&self, raw: *mut rte_mbuf) -> Option<*mut rte_mbuf> {
        // SAFETY: rte_pktmbuf_linearize wants an mbuf that is not shared; on failure it changes nothing.
        if unsafe { dpdk_sys::shim_pktmbuf_linearize(raw) } == 0 {
            return Some(raw);
        }
        // SAFETY: by the caller.
        let copy = self.jumbo.and_then(|jumbo| unsafe { copy_chain(jumbo, raw) });
        // SAFETY: ours; frees all segments, once.
        unsafe { dpdk_sys::shim_pktmbuf_free(raw) };
        copy.map(|mbuf| std::mem::ManuallyDrop::new(mbuf).as_raw())
    }

    /// What was received and dropped since the start.
    pub fn drops(&self) -> RxDrops {
        self.drops
    }

    /// DPDK's number of the port.
    pub fn port(&self) -> u16 {
        self.port.id()
    }
}

/// A linear copy of a chain, with its port and private value.
///
/// # Safety
/// `raw` is a valid chain of a pool of `M`, ours alone.
unsafe fn copy_chain<M: Private>(pool: Pool<M>, raw: *mut rte_mbuf) -> Option<Mbuf<M>> {
    let mut copy = pool.alloc()?;
    let mut segment = raw;
    while !segment.is_null() {
        // SAFETY: each segment of a valid chain has data_len octets at data_off.
        let (bytes, next) = unsafe {
            let start = (*segment).buf_addr.cast::<u8>().add(usize::from((*segment).data_off));
            (std::slice::from_raw_parts(start, usize::from((*segment).data_len)), (*segment).next)
        };
        copy.append(bytes.len())?.copy_from_slice(bytes);
        segment = next;
    }
    // SAFETY: both are valid mbufs; the copy is ours alone.
    unsafe { (*copy.as_raw()).port = (*raw).port };
    Some(copy)
}

/// Sends to one queue.
#[derive(Debug)]
pub struct TxQueue<M: Private> {
    port: Arc<Running>,
    queue: u16,
    not_sync: PhantomData<Cell<M>>,
}

impl<M: Private> TxQueue<M> {
    pub(crate) fn new(port: Arc<Running>, queue: u16) -> Self {
        TxQueue { port, queue, not_sync: PhantomData }
    }

    /// Sends from the front of `burst`, leaves the unsent rest in it, and returns how many
    /// the device took. The device frees what it took.
    pub fn send(&mut self, burst: &mut Burst<M>) -> usize {
        let count = burst.len();
        if count == 0 {
            return 0;
        }
        let mbufs = burst.as_mut_ptr().cast::<*mut rte_mbuf>();
        // SAFETY: an mbuf is a transparent pointer, and these are `count` valid ones, ours; the port
        // is started and has this queue (Running), and we are its only poller.
        let sent = unsafe { dpdk_sys::shim_tx_burst(self.port.id(), self.queue, mbufs, count as u16) };
        let left = count - usize::from(sent).min(count);
        // SAFETY: rte_eth_tx_burst took ownership of exactly the first `sent`; the others move up,
        // within the array, and are all that is left.
        unsafe {
            ptr::copy(mbufs.add(count - left), mbufs, left);
            burst.set_len(left);
        }
        count - left
    }

    /// Lets the driver free what it has finished sending, which some do only when polled.
    pub fn tidy(&mut self) {
        // SAFETY: as for `send`; "nb_pkts = 0 allows the driver to free completed mbufs", and no pointer is read.
        unsafe { dpdk_sys::shim_tx_burst(self.port.id(), self.queue, ptr::null_mut(), 0) };
    }

    /// DPDK's number of the port.
    pub fn port(&self) -> u16 {
        self.port.id()
    }
}
