//! Sorts a burst into groups that one kernel can work together.
//!
//! A kernel with code for each number of rows, and none for mixed key sizes, is fastest on lanes
//! that are alike: branches are then guessed right. A group is the lanes of one [`Class`], named by their
//! numbers: lanes are not moved, the caller's order is the order on the wire.

#[cfg(target_arch = "x86_64")]
use crate::KeySize;
use crate::key::{Key, Schedule};
#[cfg(target_arch = "x86_64")]
use crate::low::vaes::{Rank, wide256, wide512, ymm, zmm};
use crate::low::{each, portable, ring};
use crate::{BURST, Open, Seal};

/// What lanes worked together have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    #[cfg(target_arch = "x86_64")]
    Vaes512(zmm::Cpu, KeySize, Rank),
    #[cfg(target_arch = "x86_64")]
    Vaes256(ymm::Cpu, KeySize, Rank),
    Ring,
    Portable,
}

impl Class {
    #[inline(always)]
    fn of(lane: &impl Lane) -> Class {
        match lane.key().schedule() {
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes512(size, cpu, _) => {
                Class::Vaes512(*cpu, *size, wide512::rank(lane.octets(), lane.aad_octets()))
            }
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes256(size, cpu, _) => {
                Class::Vaes256(*cpu, *size, wide256::rank(lane.octets(), lane.aad_octets()))
            }
            Schedule::Ring(..) => Class::Ring,
            Schedule::Portable(_) => Class::Portable,
        }
    }

    /// A number of its own.
    #[inline(always)]
    fn kind(self) -> u16 {
        #[cfg(target_arch = "x86_64")]
        let number = |size: KeySize, rank: Rank| (size as u16) << 8 | u16::from(rank.number());
        match self {
            #[cfg(target_arch = "x86_64")]
            Class::Vaes512(_, size, rank) => number(size, rank),
            #[cfg(target_arch = "x86_64")]
            Class::Vaes256(_, size, rank) => 1 << 12 | number(size, rank),
            Class::Ring => 2 << 12,
            Class::Portable => 3 << 12,
        }
    }

    /// [`Class::kind`] of a lane, without a branch that sizes in no order would have guessed wrong.
    #[inline(always)]
    fn kind_of(lane: &impl Lane) -> u16 {
        match lane.key().schedule() {
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes512(size, ..) => {
                (*size as u16) << 8 | u16::from(wide512::rank_number(lane.octets(), lane.aad_octets()))
            }
            _ => Class::kind_otherwise(lane),
        }
    }

    #[cold]
    #[inline(never)]
    fn kind_otherwise(lane: &impl Lane) -> u16 {
        Class::of(lane).kind()
    }

    /// Seals a group of this class.
    #[inline]
    pub(crate) fn seal(self, lanes: &mut [Seal<'_>], group: &[u8]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Class::Vaes512(cpu, size, rank) => wide512::seal(cpu, size, rank, lanes, group),
            #[cfg(target_arch = "x86_64")]
            Class::Vaes256(cpu, size, rank) => wide256::seal(cpu, size, rank, lanes, group),
            Class::Ring => each(lanes, group, ring::seal),
            Class::Portable => each(lanes, group, portable::seal),
        }
    }

    /// Opens a group of this class.
    #[inline]
    pub(crate) fn open(self, lanes: &mut [Open<'_>], group: &[u8]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Class::Vaes512(cpu, size, rank) => wide512::open(cpu, size, rank, lanes, group),
            #[cfg(target_arch = "x86_64")]
            Class::Vaes256(cpu, size, rank) => wide256::open(cpu, size, rank, lanes, group),
            Class::Ring => each(lanes, group, ring::open),
            Class::Portable => each(lanes, group, portable::open),
        }
    }
}

/// A lane, for either direction.
pub(crate) trait Lane {
    fn key(&self) -> &Key;
    /// Octets of text.
    fn octets(&self) -> usize;
    fn aad_octets(&self) -> usize;
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
    #[inline(always)]
    fn aad_octets(&self) -> usize {
        self.aad.len()
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
    #[inline(always)]
    fn aad_octets(&self) -> usize {
        self.aad.len()
    }
}

/// Calls `work` with each group of `lanes`, of at most [`BURST`] lanes; every lane is in exactly one.
pub(crate) fn for_each_group<L: Lane>(lanes: &mut [L], mut work: impl FnMut(Class, &mut [L], &[u8])) {
    for burst in lanes.chunks_mut(BURST) {
        let Some(class) = burst.first().map(Class::of) else { continue };
        // A burst of one kind is common, and in order as it is.
        match are_alike(burst) {
            true => work(class, burst, &IN_ORDER[..burst.len()]),
            false => for_each_kind(burst, &mut work),
        }
    }
}

/// Whether all lanes of a burst are surely of one class, because what it follows from is the same. Where sizes are
/// mixed, a glance at three of the lanes mostly says so.
#[inline(always)]
fn are_alike<L: Lane>(burst: &[L]) -> bool {
    let [first, ..] = burst else { return true };
    let like = |lane: &L| {
        let octets = (lane.octets() ^ first.octets()) | (lane.aad_octets() ^ first.aad_octets());
        octets == 0 && lane.key().is_like(first.key())
    };
    let few = [burst.get(burst.len() / 2), burst.last()];
    few.into_iter().flatten().all(like) && burst.iter().all(like)
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
    let mut kinds = [0; BURST];
    for (kind, lane) in kinds.iter_mut().zip(burst.iter()) {
        *kind = Class::kind_of(lane);
    }
    let kinds = &kinds[..burst.len()];
    let mut left = u64::MAX >> (BURST - kinds.len());
    while let Some(lane) = burst.get(left.trailing_zeros() as usize) {
        let class = Class::of(lane);
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
        fn aad_octets(&self) -> usize {
            self.2 % 20
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
                    assert_eq!(Class::of(lane), class);
                    assert_eq!(Class::kind_of(lane), class.kind());
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
