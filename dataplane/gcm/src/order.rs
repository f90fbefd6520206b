//! Sorts a burst into groups that one kernel can work together.
//!
//! A kernel with code for each number of rows, and none for mixed key sizes, is fastest on lanes
//! that are alike: branches are then guessed right. A group is the lanes of one [`Class`] and one
//! rank (a class's measure of length), named by their numbers: lanes are not moved, the caller's order is
//! the order on the wire.

use crate::kernel::Set;
use crate::key::{Key, KeySize, Schedule};
#[cfg(target_arch = "x86_64")]
use crate::low::vaes;
use crate::low::{each, portable, ring};
use crate::{BURST, Open, Seal};

/// What lanes worked together have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    set: Set,
    size: KeySize,
    rank: u8,
}

impl Class {
    #[inline(always)]
    fn of(key: &Key, octets: usize) -> Class {
        let (set, size, rank) = match key.schedule() {
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes512(size, cpu, _) => (Set::Vaes512(*cpu), *size, vaes::wide512::rows(octets)),
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes256(size, cpu, _) => (Set::Vaes256(*cpu), *size, vaes::wide256::rows(octets)),
            Schedule::Ring(size, _) => (Set::Ring, *size, 0),
            Schedule::Portable(schedule) => (Set::Portable, schedule.size(), 0),
        };
        Class { set, size, rank: rank.min(usize::from(u8::MAX)) as u8 }
    }

    /// A number of its own.
    #[inline(always)]
    fn kind(self) -> u16 {
        self.set.number() << 12 | (self.size as u16) << 8 | u16::from(self.rank)
    }

    /// Seals a group of this class.
    #[inline]
    pub(crate) fn seal(self, lanes: &mut [Seal<'_>], group: &[u8]) {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            Set::Vaes512(cpu) => vaes::wide512::seal(cpu, self.size, usize::from(self.rank), lanes, group),
            #[cfg(target_arch = "x86_64")]
            Set::Vaes256(cpu) => vaes::wide256::seal(cpu, self.size, usize::from(self.rank), lanes, group),
            Set::Ring => each(lanes, group, ring::seal),
            Set::Portable => each(lanes, group, portable::seal),
        }
    }

    /// Opens a group of this class.
    #[inline]
    pub(crate) fn open(self, lanes: &mut [Open<'_>], group: &[u8]) {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            Set::Vaes512(cpu) => vaes::wide512::open(cpu, self.size, usize::from(self.rank), lanes, group),
            #[cfg(target_arch = "x86_64")]
            Set::Vaes256(cpu) => vaes::wide256::open(cpu, self.size, usize::from(self.rank), lanes, group),
            Set::Ring => each(lanes, group, ring::open),
            Set::Portable => each(lanes, group, portable::open),
        }
    }
}

/// A lane, for either direction.
pub(crate) trait Lane {
    fn key(&self) -> &Key;
    fn octets(&self) -> usize;
}

impl Lane for Seal<'_> {
    #[inline(always)]
    fn key(&self) -> &Key {
        self.key
    }
    #[inline(always)]
    fn octets(&self) -> usize {
        self.text.len()
    }
}

impl Lane for Open<'_> {
    #[inline(always)]
    fn key(&self) -> &Key {
        self.key
    }
    #[inline(always)]
    fn octets(&self) -> usize {
        self.text.len()
    }
}

/// Calls `work` with each group of `lanes`, of at most [`BURST`] lanes; every lane is in exactly one.
pub(crate) fn for_each_group<L: Lane>(lanes: &mut [L], mut work: impl FnMut(Class, &mut [L], &[u8])) {
    for burst in lanes.chunks_mut(BURST) {
        let class = |lane: &L| Class::of(lane.key(), lane.octets());
        let Some(first) = burst.first().map(class) else { continue };
        // A burst of one kind is common, and in order as it is.
        if burst.iter().fold(true, |alike, lane| alike & (class(lane) == first)) {
            work(first, burst, &IN_ORDER[..burst.len()]);
        } else {
            for_each_kind(burst, &mut work);
        }
    }
}

/// Lanes in the order they are in.
static IN_ORDER: [u8; BURST] = {
    let mut numbers = [0; BURST];
    let mut number = 0;
    while number < BURST {
        numbers[number] = number as u8;
        number += 1;
    }
    numbers
};

/// Sorts a burst of several classes: of the lanes left those like the first, until none is left. Few
/// kinds are usual, and a pass over so few numbers is quick.
fn for_each_kind<L: Lane>(burst: &mut [L], work: &mut impl FnMut(Class, &mut [L], &[u8])) {
    let mut kinds = [0_u16; BURST];
    for (kind, lane) in kinds.iter_mut().zip(burst.iter()) {
        *kind = Class::of(lane.key(), lane.octets()).kind();
    }
    let kinds = &kinds[..burst.len().min(BURST)];
    let mut left = u64::MAX >> (BURST - kinds.len());
    while let Some(lane) = burst.get(left.trailing_zeros() as usize) {
        let class = Class::of(lane.key(), lane.octets());
        let alike = left & alike(kinds, class.kind());
        let mut numbers = [0; BURST];
        work(class, burst, numbered(alike, &mut numbers));
        left &= !alike;
    }
}

/// Which of `kinds` are `kind`, as bits.
#[inline(always)]
fn alike(kinds: &[u16], kind: u16) -> u64 {
    kinds.iter().enumerate().fold(0, |bits, (i, &other)| bits | u64::from(other == kind) << i)
}

/// The numbers of the bits set, written to `numbers`.
#[inline(always)]
fn numbered(mut bits: u64, numbers: &mut [u8; BURST]) -> &[u8] {
    let count = bits.count_ones() as usize;
    for number in numbers.iter_mut().take(count) {
        *number = bits.trailing_zeros() as u8;
        bits &= bits - 1;
    }
    &numbers[..count]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kernel;

    struct Numbered<'a>(&'a Key, usize, usize);

    impl Lane for Numbered<'_> {
        fn key(&self) -> &Key {
            self.0
        }
        fn octets(&self) -> usize {
            self.1
        }
    }

    /// Groups cover all lanes once, each in the caller's order, never mix classes and never exceed a
    /// burst.
    #[test]
    fn groups_partition_the_burst() {
        let keys: Vec<Key> = Kernel::all()
            .flat_map(|kernel| KeySize::ALL.map(|size| Key::new(kernel, &vec![1; size.octets()]).unwrap()))
            .collect();
        for period in [1, 3, 40, 200] {
            let lane = |i: usize| Numbered(&keys[i / period % keys.len()], i * i % 2100, i);
            let mut lanes: Vec<_> = (0..200).map(lane).collect();
            let mut seen = Vec::new();
            for_each_group(&mut lanes, |class, burst, group| {
                assert!(!group.is_empty() && burst.len() <= BURST && group.is_sorted());
                for &number in group {
                    let lane = &burst[usize::from(number)];
                    assert_eq!(Class::of(lane.0, lane.1), class);
                    seen.push(lane.2);
                }
            });
            seen.sort();
            assert!(seen.into_iter().eq(0..200), "period {period}");
        }
    }

    /// An empty burst is no work.
    #[test]
    fn nothing_in_nothing_out() {
        for_each_group::<Numbered<'_>>(&mut [], |_, _, _| unreachable!());
    }
}
