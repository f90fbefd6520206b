//! Cuts a burst into runs that one kernel can work together.
//!
//! A kernel that interleaves packets needs to be handed several at once, all expanded for it and of
//! one key size (the rounds must go in step). A run is a stretch of neighbouring lanes of one
//! [`Class`], at most [`BURST`] long. Lanes are not moved: the caller's order is the order on the
//! wire, and a burst of one suite, the common case, is a single run.

use crate::key::{Key, KeySize, Schedule};
use crate::low::{portable, ring};
use crate::{BURST, Open, Seal};

/// What lanes worked together have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Ring(KeySize),
    Portable(KeySize),
}

impl Class {
    fn of(key: &Key) -> Class {
        match key.schedule() {
            Schedule::Ring(_) => Class::Ring(key.size()),
            Schedule::Portable(_) => Class::Portable(key.size()),
        }
    }

    /// Seals a run of this class.
    pub(crate) fn seal(self, run: &mut [Seal<'_>]) {
        match self {
            Class::Ring(_) => ring::seal(run),
            Class::Portable(_) => portable::seal(run),
        }
    }

    /// Opens a run of this class.
    pub(crate) fn open(self, run: &mut [Open<'_>]) {
        match self {
            Class::Ring(_) => ring::open(run),
            Class::Portable(_) => portable::open(run),
        }
    }
}

/// A lane, for either direction: something with a key.
pub(crate) trait Lane {
    fn key(&self) -> &Key;
}

impl Lane for Seal<'_> {
    fn key(&self) -> &Key {
        self.key
    }
}

impl Lane for Open<'_> {
    fn key(&self) -> &Key {
        self.key
    }
}

/// Calls `work` with each run of `lanes`, in order; every lane is in exactly one run.
pub(crate) fn for_each_run<L: Lane>(lanes: &mut [L], mut work: impl FnMut(Class, &mut [L])) {
    for burst in lanes.chunks_mut(BURST) {
        for run in burst.chunk_by_mut(|a, b| Class::of(a.key()) == Class::of(b.key())) {
            if let Some(first) = run.first() {
                work(Class::of(first.key()), run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kernel;

    struct Numbered<'a>(&'a Key, usize);

    impl Lane for Numbered<'_> {
        fn key(&self) -> &Key {
            self.0
        }
    }

    /// Runs cover all lanes once, in order, never mix classes and never exceed a burst.
    #[test]
    fn runs_partition_the_burst() {
        let keys: Vec<Key> = Kernel::all()
            .flat_map(|kernel| KeySize::ALL.map(|size| Key::new(kernel, &vec![1; size.octets()]).unwrap()))
            .collect();
        for period in [1, 3, 40, 200] {
            let mut lanes: Vec<_> = (0..200).map(|i| Numbered(&keys[i / period % keys.len()], i)).collect();
            let mut seen = Vec::new();
            for_each_run(&mut lanes, |class, run| {
                assert!(!run.is_empty() && run.len() <= BURST);
                assert!(run.iter().all(|lane| Class::of(lane.0) == class));
                seen.extend(run.iter().map(|lane| lane.1));
            });
            assert!(seen.into_iter().eq(0..200), "period {period}");
        }
    }

    /// An empty burst is no work.
    #[test]
    fn nothing_in_nothing_out() {
        for_each_run::<Numbered<'_>>(&mut [], |_, _| unreachable!());
    }
}
