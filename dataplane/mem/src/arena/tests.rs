//! What a slab promises: its elements, its place in memory, and that nothing stays behind.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[repr(align(64))]
struct Line(usize);

/// Each element is made once, in order, and stays where it is, on a cache line.
#[test]
fn elements_are_made_in_place_and_aligned() {
    for capacity in [0, 1, 63, 64, 5000, 70_000] {
        let mut slab = Slab::new(capacity, Line).unwrap();
        assert_eq!(slab.len(), capacity);
        assert!(slab.iter().enumerate().all(|(index, line)| line.0 == index));
        assert!(slab.iter().all(|line| std::ptr::from_ref(line).addr().is_multiple_of(crate::CACHE_LINE)));
        for line in slab.iter_mut() {
            line.0 += 1;
        }
        assert_eq!(slab.iter().map(|line| line.0).sum::<usize>(), capacity * (capacity + 1) / 2);
    }
}

/// Elements are dropped once each, also when making one of them unwinds halfway.
#[test]
fn elements_are_dropped_exactly_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    drop(Slab::new(100, |_| Counted(dropped.clone())).unwrap());
    assert_eq!(dropped.load(Ordering::Relaxed), 100);
    let half = std::panic::catch_unwind(|| {
        Slab::new(100, |index| if index == 40 { panic!("as intended") } else { Counted(dropped.clone()) })
    });
    assert!(half.is_err());
    assert_eq!(dropped.load(Ordering::Relaxed), 140);
}

/// The kernel's own account of the mapping: huge-page aligned, not dumped (`dd`), not inherited
/// (`dc`), and locked (`lo`) unless the slab said it could not be.
#[test]
fn memory_is_what_protection_says() {
    let slab = Slab::new(3 << 20, |_| 0u8).unwrap();
    assert!(slab.as_ptr().addr().is_multiple_of(2 << 20));
    let flags = flags_of(slab.as_ptr().addr());
    assert_eq!(flags.contains("dd"), slab.protection().undumped.is_ok(), "{flags}");
    assert_eq!(flags.contains("dc"), slab.protection().unforked.is_ok(), "{flags}");
    assert_eq!(flags.contains("lo"), slab.protection().locked.is_ok(), "{flags}");
    assert_eq!(slab.protection().failures().count() == 0, flags.contains("hg") && flags.contains("lo"));
}

fn flags_of(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let begins = |line: &str| {
        let (range, _) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        Some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
    };
    let mut lines =
        maps.lines().skip_while(|line| !begins(line).is_some_and(|range| range.contains(&address)));
    lines.find_map(|line| line.strip_prefix("VmFlags:")).unwrap().to_owned()
}

/// A size no machine has is an error that says so, not an abort.
#[test]
fn impossible_sizes_are_refused() {
    assert!(matches!(Slab::new(usize::MAX, |_| 0u64), Err(SlabError::TooLarge { .. })));
    assert!(matches!(Slab::new(1 << 55, |_| 0u8), Err(SlabError::OutOfMemory { .. })));
    #[repr(align(8192))]
    struct Wide;
    assert!(matches!(Slab::new(1, |_| Wide), Err(SlabError::Overaligned { alignment: 8192 })));
}

/// Elements without size need no place, only a count.
#[test]
fn elements_without_size_work() {
    assert_eq!(Slab::new(1000, |_| ()).unwrap().len(), 1000);
}

/// The control thread reads counters in a slab the worker writes.
#[test]
fn a_slab_crosses_threads() {
    let slab = Arc::new(Slab::new(16, |_| AtomicUsize::new(0)).unwrap());
    let other = slab.clone();
    std::thread::spawn(move || other[3].store(9, Ordering::Relaxed)).join().unwrap();
    assert_eq!(slab[3].load(Ordering::Relaxed), 9);
}
