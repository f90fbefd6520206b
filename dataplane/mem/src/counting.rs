//! An allocator that counts, to prove that a path allocates nothing. For tests and benches
//! (feature `count-alloc`): a program makes it its `#[global_allocator]` and compares [`allocations`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting what each thread asks of it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static RELEASES: Cell<u64> = const { Cell::new(0) };
    static OCTETS: Cell<u64> = const { Cell::new(0) };
    static RETURNED: Cell<u64> = const { Cell::new(0) };
}

/// Allocations and reallocations this thread has made, if [`Counting`] is the global allocator.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Octets this thread has asked for, whatever became of them since. What the allocator adds is not in it.
pub fn octets() -> u64 {
    OCTETS.get()
}

/// Octets this thread has asked for and not given back, if no other thread gives back what it asked for, nor it what
/// others did. What the allocator adds is not in it.
pub fn held() -> u64 {
    OCTETS.get().saturating_sub(RETURNED.get())
}

/// Allocations this thread has given back, whoever made them.
pub fn releases() -> u64 {
    RELEASES.get()
}

// SAFETY: every call is forwarded to the system allocator unchanged; the counters are plain cells
// without a destructor, so touching them allocates nothing and works at any point of a thread's life.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        OCTETS.set(OCTETS.get() + layout.size() as u64);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        RELEASES.set(RELEASES.get() + 1);
        RETURNED.set(RETURNED.get() + layout.size() as u64);
        // SAFETY: the caller keeps `dealloc`'s contract, and `place` came from `System` above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        OCTETS.set(OCTETS.get() + size as u64);
        RETURNED.set(RETURNED.get() + layout.size() as u64);
        // SAFETY: the caller keeps `realloc`'s contract, and `place` came from `System` above.
        unsafe { System.realloc(place, layout, size) }
    }
}
