//! Anonymous memory from the kernel, and what we ask of it. Leaves what lies in it to `Slab` and `Words`.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;

use super::Protection;

/// Smallest page of the systems we run on, hence the alignment every mapping has.
pub(crate) const PAGE: usize = 4096;
/// A huge page.
const HUGE: usize = 2 << 20;

/// Zeroed, private, readable and writable memory; wiped and unmapped on drop.
pub(super) struct Mapping {
    start: NonNull<u8>,
    octets: usize,
}

impl Mapping {
    /// At least `octets` (at least a page), beginning on a huge page if it is as large as one.
    pub(super) fn new(octets: usize) -> io::Result<Mapping> {
        let unit = if octets >= HUGE { HUGE } else { PAGE };
        let octets = octets.max(1).next_multiple_of(unit);
        // The kernel aligns to a page only: map one unit more and give both ends back.
        let slack = if unit == HUGE { HUGE } else { 0 };
        let mapped = map(octets + slack, 0)?;
        let before = mapped.as_ptr().align_offset(unit);
        if slack == 0 {
            return Ok(Mapping { start: mapped, octets });
        }
        // SAFETY: `before` < `slack`, so start and end lie inside the mapping just made.
        let (start, end) = unsafe { (mapped.add(before), mapped.add(before + octets)) };
        unmap(mapped, before);
        unmap(end, slack - before);
        Ok(Mapping { start, octets })
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Asks for huge pages, if it is as large as one.
    pub(super) fn enlarge(&self) -> io::Result<()> {
        if self.octets >= HUGE { self.advise(libc::MADV_HUGEPAGE) } else { Ok(()) }
    }

    /// Asks for all that [`Protection`] lists.
    pub(super) fn protect(&self) -> Protection {
        // Before locking, which brings the pages in and so decides their size.
        let huge = self.enlarge();
        let undumped = self.advise(libc::MADV_DONTDUMP);
        let unforked = self.advise(libc::MADV_DONTFORK);
        // SAFETY: the range is our own mapping; locking changes no contents.
        let locked = result(unsafe { libc::mlock(self.address(), self.octets) });
        Protection { locked, undumped, unforked, huge }
    }

    fn advise(&self, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: the range is our own mapping, and none of the advice used changes contents.
        result(unsafe { libc::madvise(self.address(), self.octets, advice) })
    }

    fn address(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the whole range is mapped, writable, and nobody else's by now; anonymous memory
        // reads as initialised octets.
        crate::wipe(unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.octets) });
        unmap(self.start, self.octets);
    }
}

/// Zeroed, private, readable and writable addresses whose memory comes with the first touch; unmapped on drop.
pub(crate) struct Reserve {
    start: NonNull<u8>,
    octets: usize,
}

impl Reserve {
    /// At least `octets` (at least a page), which count against no commit limit until they are touched.
    pub(crate) fn new(octets: usize) -> io::Result<Reserve> {
        let octets = octets.max(1).next_multiple_of(PAGE);
        let reserve = Reserve { start: map(octets, libc::MAP_NORESERVE)?, octets };
        // Both are wishes: what the machine does not grant costs speed, or disk after a crash.
        reserve.advise(libc::MADV_HUGEPAGE);
        reserve.advise(libc::MADV_DONTDUMP);
        Ok(reserve)
    }

    /// Nothing, aligned for anything.
    pub(crate) const fn none() -> Reserve {
        Reserve { start: NonNull::<u128>::dangling().cast(), octets: 0 }
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    fn advise(&self, advice: libc::c_int) {
        // SAFETY: the range is our own mapping, and none of the advice used changes contents.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.octets, advice) };
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        unmap(self.start, self.octets);
    }
}

fn map(octets: usize, more: libc::c_int) -> io::Result<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | more;
    // SAFETY: a new mapping at an address of the kernel's choice disturbs no other.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), octets, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
}

/// Gives back a whole number of pages of our own. Nothing is left to do if the kernel refuses.
fn unmap(start: NonNull<u8>, octets: usize) {
    if octets > 0 {
        // SAFETY: callers pass ranges of their own mapping that nothing refers to any more.
        unsafe { libc::munmap(start.as_ptr().cast(), octets) };
    }
}

fn result(code: libc::c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
