//! A fixed table in memory of its own: page-aligned, resident, locked, absent from core dumps.
//!
//! Tables of security associations hold keys and are touched at random for every packet. So a
//! [`Slab`] maps its memory once at start, asks for huge pages (fewer TLB misses), locks it (keys
//! must not reach swap) and marks it neither to be dumped nor inherited by a child process. What
//! the machine refused is in [`Slab::protection`]; whether that matters is the caller's decision.
//! The memory is wiped before it is given back.

use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

pub(crate) mod mapping;
use mapping::Mapping;

/// A slice of `T` whose length never changes and whose elements never move.
///
/// It begins on a page, hence on a cache line; for every element to do so, give `T` an alignment
/// of 64 (`#[repr(align(64))]`). Elements are reached through the slice it dereferences to.
pub struct Slab<T> {
    mapping: Mapping,
    /// Elements initialised so far; all of them once `new` has returned.
    length: usize,
    protection: Protection,
    owns: std::marker::PhantomData<T>,
}

/// What became of each thing asked of the machine. An error says the slab works without it.
#[derive(Debug)]
pub struct Protection {
    /// Locked into memory (`mlock`): needs `CAP_IPC_LOCK` or `ulimit -l` above the slab's size.
    pub locked: io::Result<()>,
    /// Left out of core dumps (`MADV_DONTDUMP`).
    pub undumped: io::Result<()>,
    /// Not inherited by a forked child (`MADV_DONTFORK`).
    pub unforked: io::Result<()>,
    /// Huge pages asked for (`MADV_HUGEPAGE`); asked only from 2 MiB up, else `Ok`.
    pub huge: io::Result<()>,
}

impl Protection {
    /// What failed, one line each, for `doctor` and the log; empty if nothing did.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        [
            ("lock memory (raise `ulimit -l` or grant CAP_IPC_LOCK)", &self.locked),
            ("keep memory out of core dumps", &self.undumped),
            ("keep memory from child processes", &self.unforked),
            ("use huge pages (see /sys/kernel/mm/transparent_hugepage/enabled)", &self.huge),
        ]
        .into_iter()
        .filter_map(|(what, result)| result.as_ref().err().map(|error| format!("could not {what}: {error}")))
    }
}

/// Why there is no slab.
#[derive(Debug)]
pub enum SlabError {
    /// More octets than an address space has: our caller's fault.
    TooLarge {
        /// Elements asked for.
        capacity: usize,
        /// Octets of one element.
        element: usize,
    },
    /// The alignment of an element exceeds a page: our caller's fault.
    Overaligned {
        /// Octets asked for.
        alignment: usize,
    },
    /// The machine has not that much memory to give.
    OutOfMemory {
        /// Octets asked for.
        octets: usize,
        /// What `mmap` said.
        source: io::Error,
    },
}

impl std::fmt::Display for SlabError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SlabError::TooLarge { capacity, element } => {
                write!(f, "a table of {capacity} elements of {element} octets exceeds the address space")
            }
            SlabError::Overaligned { alignment } => {
                write!(f, "elements aligned to {alignment} octets: a table aligns to a page at most")
            }
            SlabError::OutOfMemory { octets, source } => {
                write!(f, "could not map {octets} octets ({source}): lower the table size or add memory")
            }
        }
    }
}

impl std::error::Error for SlabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SlabError::OutOfMemory { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl<T> Slab<T> {
    /// Maps room for `capacity` elements and makes each with `make(index)`, which also brings every
    /// page in. Nothing is allocated afterwards.
    pub fn new(capacity: usize, make: impl FnMut(usize) -> T) -> Result<Slab<T>, SlabError> {
        Slab::with(capacity, Mapping::protect, make)
    }

    /// A slab of what may be swapped and dumped: only huge pages are asked for, and room to lock memory is
    /// left to those who need it.
    pub fn in_clear(capacity: usize, make: impl FnMut(usize) -> T) -> Result<Slab<T>, SlabError> {
        let protect = |mapping: &Mapping| Protection {
            locked: Ok(()),
            undumped: Ok(()),
            unforked: Ok(()),
            huge: mapping.enlarge(),
        };
        Slab::with(capacity, protect, make)
    }

    fn with(
        capacity: usize,
        protect: impl Fn(&Mapping) -> Protection,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<Slab<T>, SlabError> {
        let octets = octets_of::<T>(capacity)?;
        let mapping = Mapping::new(octets).map_err(|source| SlabError::OutOfMemory { octets, source })?;
        let protection = protect(&mapping);
        let mut slab = Slab { mapping, length: 0, protection, owns: std::marker::PhantomData };
        for index in 0..capacity {
            // SAFETY: `index < capacity`, so the place lies inside the mapping, which is large
            // enough and aligned for `T` (`octets_of`); nothing was there before.
            unsafe { slab.elements().add(index).write(make(index)) };
            // Counted one by one: should `make` unwind, drop finds only what exists.
            slab.length = index + 1;
        }
        Ok(slab)
    }

    /// What became of locking, dumping and huge pages.
    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    fn elements(&self) -> NonNull<T> {
        self.mapping.start().cast()
    }
}

/// The octets of `capacity` elements, or why there can be no such table.
fn octets_of<T>(capacity: usize) -> Result<usize, SlabError> {
    if align_of::<T>() > mapping::PAGE {
        return Err(SlabError::Overaligned { alignment: align_of::<T>() });
    }
    // A slice may not exceed isize::MAX octets (std::slice::from_raw_parts).
    match size_of::<T>().checked_mul(capacity) {
        Some(octets) if octets <= isize::MAX as usize / 2 => Ok(octets),
        _ => Err(SlabError::TooLarge { capacity, element: size_of::<T>() }),
    }
}

impl<T> Deref for Slab<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `length` elements are initialised, inside one mapping, aligned, and
        // borrowed for as long as the slab is.
        unsafe { std::slice::from_raw_parts(self.elements().as_ptr(), self.length) }
    }
}

impl<T> DerefMut for Slab<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes the borrow the only one.
        unsafe { std::slice::from_raw_parts_mut(self.elements().as_ptr(), self.length) }
    }
}

impl<T> Drop for Slab<T> {
    fn drop(&mut self) {
        let elements: *mut [T] = &mut **self;
        // SAFETY: they are initialised, and out of reach from here on. The mapping, dropped after
        // this, wipes their octets and gives them back.
        unsafe { std::ptr::drop_in_place(elements) };
    }
}

// SAFETY: a slab owns its elements as a `Box<[T]>` does; the mapping belongs to no thread.
unsafe impl<T: Send> Send for Slab<T> {}
// SAFETY: `&Slab<T>` gives `&T` and nothing more.
unsafe impl<T: Sync> Sync for Slab<T> {}

impl<T> std::fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the elements: they hold keys.
        f.debug_struct("Slab").field("length", &self.length).field("protection", &self.protection).finish()
    }
}

#[cfg(test)]
mod tests;
