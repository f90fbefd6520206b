//! The packet path allocates nothing: a counting allocator watches whole bursts, good and bad tags,
//! and the making and dropping of keys, which a worker does when an association is installed.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::octets;
use ravelin_gcm::{BURST, Kernel, Key, KeySize, Open, Seal, open_burst, seal_burst};

struct Counting;

thread_local!(static ALLOCATIONS: Cell<usize> = const { Cell::new(0) });

// SAFETY: forwards to the system allocator; the counter is a plain cell without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and `place` came from `alloc` above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn keys_and_bursts_allocate_nothing() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1, "the counter counts");
    let raw = octets(1, 32);
    for kernel in Kernel::all() {
        for size in KeySize::ALL {
            let raw = &raw[..size.octets()];
            assert_eq!(
                allocations(|| drop(std::hint::black_box(Key::new(kernel, raw)))),
                0,
                "{kernel:?} {size:?} key"
            );
            let key = Key::new(kernel, raw).unwrap();
            let mut texts: Vec<Vec<u8>> = (0..BURST).map(|lane| octets(2, lane * 24)).collect();
            let mut tags = [[0; 16]; BURST];
            let mut lanes: Vec<Seal<'_>> = texts
                .iter_mut()
                .zip(&mut tags)
                .map(|(text, tag)| Seal::new(&key, [3; 12], &[4; 12], text, tag))
                .collect();
            assert_eq!(allocations(|| seal_burst(&mut lanes)), 0, "{kernel:?} {size:?} seal");
            tags[5] = [0; 16];
            let mut lanes: Vec<Open<'_>> = texts
                .iter_mut()
                .zip(&tags)
                .map(|(text, tag)| Open::new(&key, [3; 12], &[4; 12], text, *tag))
                .collect();
            assert_eq!(allocations(|| open_burst(&mut lanes)), 0, "{kernel:?} {size:?} open");
            assert_eq!(lanes.iter().filter(|lane| lane.verdict.is_err()).count(), 1);
        }
    }
}
