//! One packet in a DPDK buffer: linear, owned once, freed when dropped.
//!
//! Every mbuf is of one segment: what a device chained is made linear before it is
//! handed out ([`crate::RxQueue::receive`]). None is ever cloned or attached, so
//! whoever holds a [`Mbuf`] is its only user and may write to it.
//!
//! Layout (DPDK Programmer's Guide, "Mbuf Library"): `rte_mbuf` (128 octets), then
//! the private area that holds `M`, then `buf_len` octets at `buf_addr`, of which
//! `data_off .. data_off + data_len` are the packet.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use dpdk_sys::rte_mbuf;

/// What a program may keep beside each packet: plain data with a default.
pub trait Private: Copy + Default + Send + 'static {}
impl<M: Copy + Default + Send + 'static> Private for M {}

/// A packet and its private value.
#[repr(transparent)]
pub struct Mbuf<M: Private> {
    /// Invariant: points to an mbuf of a pool made for `M`, with one segment and one reference, ours.
    raw: NonNull<rte_mbuf>,
    private: PhantomData<M>,
}

// SAFETY: an mbuf is plain memory with one owner; rte_pktmbuf_free may be called on
// any thread, since pools are multi-producer (see pool.rs). M is Send.
unsafe impl<M: Private> Send for Mbuf<M> {}

impl<M: Private> Mbuf<M> {
    /// # Safety
    /// `raw` is non-null and satisfies the invariant of the field.
    pub(crate) unsafe fn from_raw(raw: *mut rte_mbuf) -> Self {
        // SAFETY: by the caller.
        Mbuf { raw: unsafe { NonNull::new_unchecked(raw) }, private: PhantomData }
    }

    pub(crate) fn as_raw(&self) -> *mut rte_mbuf {
        self.raw.as_ptr()
    }

    fn header(&self) -> &rte_mbuf {
        // SAFETY: by the invariant, and nobody writes while we are borrowed.
        unsafe { self.raw.as_ref() }
    }

    fn header_mut(&mut self) -> &mut rte_mbuf {
        // SAFETY: by the invariant, and we are uniquely borrowed.
        unsafe { self.raw.as_mut() }
    }

    /// Octets in the packet.
    pub fn len(&self) -> usize {
        usize::from(self.header().data_len)
    }

    /// True when the packet has no octet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets before the packet.
    pub fn headroom(&self) -> usize {
        usize::from(self.header().data_off)
    }

    /// Octets behind the packet.
    pub fn tailroom(&self) -> usize {
        usize::from(self.header().buf_len) - self.headroom() - self.len()
    }

    fn start(&self) -> *mut u8 {
        let header = self.header();
        // SAFETY: data_off <= buf_len, so the result is within the buffer or just behind it.
        unsafe { header.buf_addr.cast::<u8>().add(usize::from(header.data_off)) }
    }

    /// The packet.
    pub fn data(&self) -> &[u8] {
        // SAFETY: data_len octets from `start` lie in the buffer, which the pool
        // zeroed when it was made, and nobody writes to them while we are borrowed.
        unsafe { std::slice::from_raw_parts(self.start(), self.len()) }
    }

    /// The packet, to be changed.
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `data`; we are uniquely borrowed and the only user of the mbuf.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len()) }
    }

    /// Grows the packet by `n` octets at its front and returns them, with whatever they held;
    /// `None` (and no change) when the headroom is smaller.
    pub fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        let n16 = u16::try_from(n).ok().filter(|n16| *n16 <= self.header().data_off)?;
        let header = self.header_mut();
        header.data_off -= n16;
        // Cannot overflow: data_off + data_len <= buf_len, a u16.
        self.resize(self.len() + n);
        self.data_mut().get_mut(..n)
    }

    /// Grows the packet by `n` octets at its end and returns them, with whatever they held;
    /// `None` (and no change) when the tailroom is smaller.
    pub fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        if n > self.tailroom() {
            return None;
        }
        let old = self.len();
        self.resize(old + n);
        self.data_mut().get_mut(old..)
    }

    /// Removes `n` octets from the front; all, when there are fewer.
    pub fn trim_front(&mut self, n: usize) {
        let n16 = u16::try_from(n).unwrap_or(u16::MAX).min(self.header().data_len);
        self.header_mut().data_off += n16;
        self.resize(self.len() - usize::from(n16));
    }

    /// Shortens the packet to `len` octets; does nothing when it is shorter already.
    pub fn truncate(&mut self, len: usize) {
        self.resize(self.len().min(len));
    }

    /// Moves the packet's start by `by` octets, towards the head of the buffer where negative, and makes it
    /// `len` octets long; the packet is returned, new octets with whatever they held. `None` (and no change)
    /// when the buffer has no such octets.
    pub fn reshape(&mut self, by: isize, len: usize) -> Option<&mut [u8]> {
        let header = self.header_mut();
        let start = usize::from(header.data_off).checked_add_signed(by)?;
        let end = start.checked_add(len)?;
        if end > usize::from(header.buf_len) {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "start <= end <= buf_len, a u16")]
        {
            header.data_off = start as u16;
        }
        self.resize(len);
        Some(self.data_mut())
    }

    /// Moves the packet's start `before` octets towards the head of the buffer and makes it `len` octets long, of which
    /// the first `spare` are returned with it and are then no part of it; all with whatever they held. `None` (and no
    /// change) when the buffer has no such octets.
    pub fn surround(&mut self, before: usize, len: usize, spare: usize) -> Option<&mut [u8]> {
        let header = self.header_mut();
        let start = usize::from(header.data_off).checked_sub(before)?;
        let end = start.checked_add(len)?;
        let packet = len.checked_sub(spare)?;
        if end > usize::from(header.buf_len) {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "start + spare <= end <= buf_len, a u16")]
        {
            header.data_off = (start + spare) as u16;
        }
        // SAFETY: `start + len` is at most buf_len, so these octets lie in the buffer, which the pool zeroed when it
        // was made; we are uniquely borrowed and the only user of the mbuf.
        let out = unsafe { std::slice::from_raw_parts_mut(header.buf_addr.cast::<u8>().add(start), len) };
        self.resize(packet);
        Some(out)
    }

    /// Sets both lengths of a one-segment mbuf. `len` is at most buf_len, a u16.
    fn resize(&mut self, len: usize) {
        let header = self.header_mut();
        debug_assert!(len <= usize::from(header.buf_len - header.data_off));
        #[allow(clippy::cast_possible_truncation, reason = "bounded by buf_len, see above")]
        {
            header.data_len = len as u16;
            header.pkt_len = len as u32;
        }
    }

    /// The private value: the default in a fresh mbuf; in a received one whatever it last was.
    pub fn private(&self) -> &M {
        // SAFETY: the pool reserved and initialised an `M` behind the header (pool.rs),
        // aligned as mbufs are; nobody writes to it while we are borrowed.
        unsafe { private_of::<M>(self.as_raw()).as_ref() }
    }

    /// The private value, to be changed.
    pub fn private_mut(&mut self) -> &mut M {
        // SAFETY: as for `private`; we are uniquely borrowed.
        unsafe { private_of::<M>(self.as_raw()).as_mut() }
    }

    /// DPDK's number of the port it was received on.
    pub fn port(&self) -> u16 {
        self.header().port
    }
}

/// Where an mbuf's private value lies: right behind its header (`rte_mbuf_to_priv`).
///
/// # Safety
/// `raw` points to an mbuf of a pool whose private area holds an `M`.
pub(crate) unsafe fn private_of<M>(raw: *mut rte_mbuf) -> NonNull<M> {
    // SAFETY: one past the header is within the mempool object by the caller's promise, hence non-null.
    unsafe { NonNull::new_unchecked(raw.add(1).cast::<M>()) }
}

impl<M: Private> Drop for Mbuf<M> {
    fn drop(&mut self) {
        // SAFETY: ours, freed once. The pool outlives it, because pools are never freed.
        unsafe { dpdk_sys::shim_pktmbuf_free(self.as_raw()) };
    }
}

impl<M: Private> fmt::Debug for Mbuf<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mbuf({} octets, port {})", self.len(), self.port())
    }
}
