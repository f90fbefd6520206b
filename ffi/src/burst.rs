//! Up to 64 mbufs in a fixed array, in the layout drivers read and write.
//!
//! `slots[..len]` hold mbufs owned by the burst, in order; the rest is empty. The
//! array never moves to the heap and nothing here allocates.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;

use dpdk_sys::rte_mbuf;

use crate::mbuf::{Mbuf, Private};

/// Most mbufs in one burst.
pub const BURST: usize = 64;

/// An array of up to [`BURST`] mbufs.
pub struct Burst<M: Private> {
    /// `slots[..len]` are owned, linear mbufs.
    slots: [*mut rte_mbuf; BURST],
    len: usize,
    private: PhantomData<Mbuf<M>>,
}

// SAFETY: a burst owns its mbufs as an array of `Mbuf<M>` would, and those are Send.
unsafe impl<M: Private> Send for Burst<M> {}

impl<M: Private> Burst<M> {
    /// An empty burst.
    pub const fn new() -> Self {
        Burst { slots: [ptr::null_mut(); BURST], len: 0, private: PhantomData }
    }

    /// Mbufs in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends one, or gives it back when the burst is full.
    ///
    /// # Errors
    /// The mbuf, unchanged.
    pub fn push(&mut self, mbuf: Mbuf<M>) -> Result<(), Mbuf<M>> {
        let Some(slot) = self.slots.get_mut(self.len) else { return Err(mbuf) };
        *slot = mbuf.into_raw();
        self.len += 1;
        Ok(())
    }

    /// Takes the last one.
    pub fn pop(&mut self) -> Option<Mbuf<M>> {
        let last = self.len.checked_sub(1)?;
        let raw = *self.slots.get(last)?;
        self.len = last;
        // SAFETY: the slot was owned, and now lies beyond `len`.
        Some(unsafe { Mbuf::from_raw(raw) })
    }

    /// Takes all, first one first. What the iterator did not give out is dropped with it.
    pub fn drain(&mut self) -> Drain<'_, M> {
        let end = std::mem::take(&mut self.len);
        Drain { burst: self, next: 0, end }
    }

    /// The mbufs in order.
    pub fn iter(&self) -> impl Iterator<Item = &Mbuf<M>> {
        // SAFETY: `Mbuf` is a transparent non-null pointer, and `slots[..len]` are owned mbufs.
        unsafe { std::slice::from_raw_parts(self.slots.as_ptr().cast::<Mbuf<M>>(), self.len) }.iter()
    }

    /// The mbufs in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Mbuf<M>> {
        // SAFETY: as for `iter`; the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.slots.as_mut_ptr().cast::<Mbuf<M>>(), self.len) }
            .iter_mut()
    }

    /// Drops all.
    pub fn clear(&mut self) {
        drop(self.drain());
    }

    /// The empty slots, for a driver to write to; then say how many with [`Self::grown`].
    pub(crate) fn spare(&mut self) -> &mut [*mut rte_mbuf] {
        self.slots.get_mut(self.len..).unwrap_or_default()
    }

    /// # Safety
    /// The first `n` slots of [`Self::spare`] now hold mbufs that nobody else owns, linear, of a pool of `M`.
    pub(crate) unsafe fn grown(&mut self, n: usize) {
        self.len += n;
    }

    /// The owned mbufs as raw pointers, for a driver to take from the front; then say how many with [`Self::taken`].
    pub(crate) fn raw(&mut self) -> &mut [*mut rte_mbuf] {
        self.slots.get_mut(..self.len).unwrap_or_default()
    }

    /// # Safety
    /// The first `n` mbufs now belong to somebody else.
    pub(crate) unsafe fn taken(&mut self, n: usize) {
        self.slots.copy_within(n..self.len, 0);
        self.len -= n;
    }
}

impl<M: Private> Default for Burst<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Private> Drop for Burst<M> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<M: Private> fmt::Debug for Burst<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The mbufs of a burst, on their way out.
#[derive(Debug)]
pub struct Drain<'a, M: Private> {
    burst: &'a mut Burst<M>,
    /// `slots[next..end]` are owned by the drain (the burst's own `len` is 0 meanwhile).
    next: usize,
    end: usize,
}

impl<M: Private> Iterator for Drain<'_, M> {
    type Item = Mbuf<M>;

    fn next(&mut self) -> Option<Mbuf<M>> {
        if self.next == self.end {
            return None;
        }
        let raw = *self.burst.slots.get(self.next)?;
        self.next += 1;
        // SAFETY: the drain owned this slot and now lies behind it.
        Some(unsafe { Mbuf::from_raw(raw) })
    }
}

impl<M: Private> Drop for Drain<'_, M> {
    fn drop(&mut self) {
        if self.next < self.end {
            self.free_rest();
        }
    }
}

impl<M: Private> Drain<'_, M> {
    fn free_rest(&mut self) {
        let rest = self.burst.slots.get_mut(self.next..self.end).unwrap_or_default();
        let count = u32::try_from(rest.len()).unwrap_or(0);
        // SAFETY: rte_pktmbuf_free_bulk frees `count` mbufs that we own, once, as `next` moves to `end`.
        unsafe { dpdk_sys::rte_pktmbuf_free_bulk(rest.as_mut_ptr(), count) };
        self.next = self.end;
    }
}

impl<M: Private> Mbuf<M> {
    fn into_raw(self) -> *mut rte_mbuf {
        ManuallyDrop::new(self).as_raw()
    }
}
