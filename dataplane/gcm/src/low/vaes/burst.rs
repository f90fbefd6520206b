//! From lane to lane: lays out each packet, has it worked, and gives each lane its tag or verdict.
//! What of a packet is left to be hashed is hashed while the next one is enciphered.
//!
//! Nothing is called from these loops: around a call registers would go to memory and come back.

use core::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8};
use core::hint::select_unpredictable;

use super::crypt::{self, MIDDLE, Pending, STRETCH};
use super::packet::{Packet, Shape};
use super::schedule::Schedule;
use super::wide::{BLOCK, Wide, block_of};
use super::{ghash, lines};
use crate::key::Key;
use crate::low::{Block, discard_unopened, discard_unsealed};
use crate::{BadTag, LONGEST_TEXT, Open, Seal, TAG_LENGTH};

/// How many lanes ahead keys are prefetched: about what the processor's line buffers hold.
const AHEAD: usize = 8;

/// What is done with a packet, by its shape. The lanes of a group have one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// So many rows, 1 to [`Wide::IN_ONE_GO`], see [`crypt::short`].
    Short(u8),
    /// So many rows, more than are worked in one go and up to [`MIDDLE`], see [`crypt::middle`].
    Middle(u8),
    /// So many rows, 1 to 8, and eights, see [`crypt::long`].
    Long(u8),
    /// Associated data of more than a block, which ESP never has, or a text too long for a nonce.
    Plain,
}

impl Rank {
    /// Of a packet with so many octets.
    #[inline(always)]
    pub(crate) fn of<V: Wide>(text: usize, aad: usize) -> Rank {
        let rows = Shape::of::<V>(text).rows;
        match rows {
            _ if aad > BLOCK || text as u64 > LONGEST_TEXT => Rank::Plain,
            rows if rows <= V::IN_ONE_GO => Rank::Short(rows as u8),
            ..=MIDDLE => Rank::Middle(rows as u8),
            _ => Rank::Long(((rows - 1) % STRETCH + 1) as u8),
        }
    }

    /// [`Rank::number`] of [`Rank::of`], told without a branch on the number of rows.
    #[inline(always)]
    pub(crate) fn number_of<V: Wide>(text: usize, aad: usize) -> u8 {
        let rows = Shape::of::<V>(text).rows;
        let in_stretches = MIDDLE + (rows - 1) % STRETCH + 1;
        match aad > BLOCK || text as u64 > LONGEST_TEXT {
            true => Rank::Plain.number(),
            false => select_unpredictable(rows <= MIDDLE, rows, in_stretches) as u8,
        }
    }

    /// A number of its own.
    #[inline(always)]
    pub(crate) fn number(self) -> u8 {
        match self {
            Rank::Plain => 0,
            Rank::Short(rows) | Rank::Middle(rows) => rows,
            Rank::Long(rows) => MIDDLE as u8 + rows,
        }
    }
}

/// A lane of either direction.
pub(crate) trait Lane<'k> {
    fn key(&self) -> &'k Key;
    fn aad(&self) -> &'k [u8];
    fn octets(&self) -> usize;
    /// Where the text begins.
    fn text(&self) -> *const u8;
    fn packet<V: Wide>(&mut self, cpu: V::Cpu, key: &'k Schedule, shape: Shape) -> Packet<'k, '_, V>;
    /// Takes the tag of the packet. False if it is not the one that came with it.
    fn finish(&mut self, tag: __m128i) -> bool;
    /// Leaves nothing of a packet that cannot be worked or is not authentic.
    fn discard(&mut self);
}

impl<'k> Lane<'k> for Seal<'k> {
    #[inline(always)]
    fn key(&self) -> &'k Key {
        self.key
    }

    #[inline(always)]
    fn aad(&self) -> &'k [u8] {
        self.aad
    }

    #[inline(always)]
    fn octets(&self) -> usize {
        self.text.len()
    }

    #[inline(always)]
    fn text(&self) -> *const u8 {
        self.text.as_ptr()
    }

    #[inline(always)]
    fn packet<V: Wide>(&mut self, cpu: V::Cpu, key: &'k Schedule, shape: Shape) -> Packet<'k, '_, V> {
        Packet::new(cpu, key, &self.nonce, self.aad, self.text, shape)
    }

    #[inline(always)]
    fn finish(&mut self, tag: __m128i) -> bool {
        self.tag.write(block_of(tag).0);
        true
    }

    fn discard(&mut self) {
        discard_unsealed(self);
    }
}

impl<'k> Lane<'k> for Open<'k> {
    #[inline(always)]
    fn key(&self) -> &'k Key {
        self.key
    }

    #[inline(always)]
    fn aad(&self) -> &'k [u8] {
        self.aad
    }

    #[inline(always)]
    fn octets(&self) -> usize {
        self.text.len()
    }

    #[inline(always)]
    fn text(&self) -> *const u8 {
        self.text.as_ptr()
    }

    #[inline(always)]
    fn packet<V: Wide>(&mut self, cpu: V::Cpu, key: &'k Schedule, shape: Shape) -> Packet<'k, '_, V> {
        Packet::new(cpu, key, &self.nonce, self.aad, self.text, shape)
    }

    /// The text was decrypted while it was hashed; it is wiped if the tag turns out bad. All octets are
    /// compared at once.
    #[inline(always)]
    fn finish(&mut self, tag: __m128i) -> bool {
        // SAFETY: SSE2 is part of every x86-64, and a `Block` is aligned.
        let equal = unsafe {
            let received = Block(self.tag.padded());
            _mm_movemask_epi8(_mm_cmpeq_epi8(tag, _mm_load_si128(received.0.as_ptr().cast())))
        };
        let ignored = TAG_LENGTH - self.tag.icv().octets();
        let authentic = (equal as u32) << (16 + ignored) == u32::MAX << (16 + ignored);
        self.verdict = if authentic { Ok(()) } else { Err(BadTag) };
        authentic
    }

    fn discard(&mut self) {
        self.verdict = Err(BadTag);
        discard_unopened(self);
    }
}

/// The lanes of a group that are not to be kept, by number. They are wiped at the end, out of the loop.
struct Discarded(u64);

impl Discarded {
    #[inline(always)]
    fn unless(&mut self, kept: bool, number: usize) {
        self.0 |= u64::from(!kept) << number;
    }

    #[inline(always)]
    fn discard<'k, L: Lane<'k>>(self, lanes: &mut [L]) {
        if self.0 != 0 {
            self.discard_some(lanes);
        }
    }

    #[cold]
    #[inline(never)]
    fn discard_some<'k, L: Lane<'k>>(self, lanes: &mut [L]) {
        for (number, lane) in lanes.iter_mut().enumerate() {
            if self.0 >> number & 1 == 1 {
                lane.discard();
            }
        }
    }
}

/// Works each lane of `group`, all of [`Rank::Short`] with `R` rows, by twos if `PAIRS`.
#[inline(always)]
pub(crate) fn short<'k, V, L, const N: usize, const R: usize, const PAIRS: bool, const OPEN: bool>(
    cpu: V::Cpu,
    lanes: &mut [L],
    group: &[u8],
) where
    V: Wide,
    L: Lane<'k>,
{
    let (pairs, rest) = if PAIRS { group.as_chunks() } else { (&[][..], group) };
    each::<V, L, InOneGo<OPEN>, N, R, 2>(cpu, lanes, pairs);
    each::<V, L, InOneGo<OPEN>, N, R, 1>(cpu, lanes, rest.as_chunks().0);
}

/// Works each lane of `group`, all of [`Rank::Middle`] with `A` rows and `B`.
#[inline(always)]
pub(crate) fn middle<'k, V, L, const N: usize, const A: usize, const B: usize, const OPEN: bool>(
    cpu: V::Cpu,
    lanes: &mut [L],
    group: &[u8],
) where
    V: Wide,
    L: Lane<'k>,
{
    each::<V, L, InTwo<A, OPEN>, N, B, 1>(cpu, lanes, group.as_chunks().0);
}

/// Works each lane of `group`, all of [`Rank::Long`] with `R` rows and eights.
#[inline(always)]
pub(crate) fn long<'k, V: Wide, L: Lane<'k>, const N: usize, const R: usize, const OPEN: bool>(
    cpu: V::Cpu,
    lanes: &mut [L],
    group: &[u8],
) {
    each::<V, L, ByEights<R, OPEN>, N, STRETCH, 1>(cpu, lanes, group.as_chunks().0);
}

/// A way through packets, `K` at once, that leaves `R` rows of each to be hashed.
trait Way<V: Wide, const N: usize, const R: usize, const K: usize> {
    /// Blocks of a schedule that are read.
    const USED: usize;
    /// Whether the text of the next packet is fetched.
    const FETCH_TEXT: bool = false;

    /// Works `lanes` and gives the tags of those `before`, in whose place these come.
    fn work<'k, L: Lane<'k>>(
        cpu: V::Cpu,
        lanes: [&mut L; K],
        before: &mut [Pending<'k, V, N, R>; K],
    ) -> [__m128i; K];
}

/// See [`crypt::short`].
struct InOneGo<const OPEN: bool>;

impl<V: Wide, const N: usize, const R: usize, const OPEN: bool> Way<V, N, R, 1> for InOneGo<OPEN> {
    const USED: usize = [0, N + 5, N + 9, N + 11 + R][if R < 3 { R } else { 3 }];

    #[inline(always)]
    fn work<'k, L: Lane<'k>>(
        cpu: V::Cpu,
        [lane]: [&mut L; 1],
        before: &mut [Pending<'k, V, N, R>; 1],
    ) -> [__m128i; 1] {
        crypt::short::<V, N, R, 1, OPEN>(cpu, &[laid_out(cpu, lane, R)], before)
    }
}

impl<V: Wide, const N: usize, const R: usize, const OPEN: bool> Way<V, N, R, 2> for InOneGo<OPEN> {
    const USED: usize = <Self as Way<V, N, R, 1>>::USED;

    #[inline(always)]
    fn work<'k, L: Lane<'k>>(
        cpu: V::Cpu,
        [lane, other]: [&mut L; 2],
        before: &mut [Pending<'k, V, N, R>; 2],
    ) -> [__m128i; 2] {
        let packets = [laid_out(cpu, lane, R), laid_out(cpu, other, R)];
        crypt::short::<V, N, R, 2, OPEN>(cpu, &packets, before)
    }
}

/// See [`crypt::middle`].
struct InTwo<const A: usize, const OPEN: bool>;

impl<V: Wide, const N: usize, const A: usize, const B: usize, const OPEN: bool> Way<V, N, B, 1>
    for InTwo<A, OPEN>
{
    const USED: usize = N + 21;
    const FETCH_TEXT: bool = true;

    #[inline(always)]
    fn work<'k, L: Lane<'k>>(
        cpu: V::Cpu,
        [lane]: [&mut L; 1],
        before: &mut [Pending<'k, V, N, B>; 1],
    ) -> [__m128i; 1] {
        crypt::middle::<V, N, A, B, OPEN>(cpu, &[laid_out(cpu, lane, A + B)], before)
    }
}

/// See [`crypt::long`].
struct ByEights<const R: usize, const OPEN: bool>;

impl<V: Wide, const N: usize, const R: usize, const OPEN: bool> Way<V, N, STRETCH, 1> for ByEights<R, OPEN> {
    const USED: usize = N + 21;
    const FETCH_TEXT: bool = true;

    #[inline(always)]
    fn work<'k, L: Lane<'k>>(
        cpu: V::Cpu,
        [lane]: [&mut L; 1],
        before: &mut [Pending<'k, V, N, STRETCH>; 1],
    ) -> [__m128i; 1] {
        let shape = Shape::of::<V>(lane.octets());
        if shape.rows <= MIDDLE || shape.rows % STRETCH != R % STRETCH {
            misplaced()
        }
        let packet = lane.packet(cpu, schedule::<V, L>(lane), shape);
        crypt::long::<V, N, R, OPEN>(cpu, &[packet], before)
    }
}

/// The packet of a lane that has exactly so many rows.
#[inline(always)]
fn laid_out<'k, 't, V: Wide, L: Lane<'k>>(cpu: V::Cpu, lane: &'t mut L, rows: usize) -> Packet<'k, 't, V> {
    let Some(shape) = Shape::exactly::<V>(lane.octets(), rows) else { misplaced() };
    lane.packet(cpu, schedule::<V, L>(lane), shape)
}

/// The number of no lane.
const NONE: usize = usize::MAX;

/// Works the lanes of `group`, `K` at once, in the way `W`.
#[inline(always)]
fn each<'k, V, L, W, const N: usize, const R: usize, const K: usize>(
    cpu: V::Cpu,
    lanes: &mut [L],
    group: &[[u8; K]],
) where
    V: Wide,
    L: Lane<'k>,
    W: Way<V, N, R, K>,
{
    let Some(&[first, ..]) = group.first().map(|numbers| numbers.as_slice()) else { return };
    let mut pending = [Pending::of_none(cpu, schedule::<V, L>(&lanes[usize::from(first)])); K];
    let (mut last, mut discarded) = ([NONE; K], Discarded(0));
    let mut ahead = group.as_flattened().get(AHEAD..).unwrap_or_default().iter();
    let mut next = group.as_flattened().get(K..).unwrap_or_default().iter();
    for &numbers in group {
        for &number in ahead.by_ref().take(K) {
            let key: *const Key = lanes[usize::from(number)].key();
            lines(key.cast(), 16 * (1 + W::USED));
        }
        if W::FETCH_TEXT
            && let Some(&number) = next.next()
        {
            let lane = &lanes[usize::from(number)];
            lines(lane.text(), lane.octets());
        }
        let numbers = numbers.map(usize::from);
        let Ok(lanes_now) = lanes.get_disjoint_mut(numbers) else { misplaced() };
        let tags = W::work(cpu, lanes_now, &mut pending);
        for (number, tag) in last.into_iter().zip(tags) {
            if let Some(lane) = lanes.get_mut(number) {
                discarded.unless(lane.finish(tag), number);
            }
        }
        last = numbers;
    }
    for (number, pending) in last.into_iter().zip(pending) {
        discarded.unless(lanes[number].finish(pending.tag(cpu)), number);
    }
    discarded.discard(lanes);
}

/// Works each lane of `group`, of any shape, and refuses those whose text is too long.
#[inline(always)]
pub(crate) fn plain<'k, V: Wide, L: Lane<'k>, const N: usize, const OPEN: bool>(
    cpu: V::Cpu,
    lanes: &mut [L],
    group: &[u8],
) {
    for &number in group {
        let lane = &mut lanes[usize::from(number)];
        let (key, aad, octets) = (schedule::<V, L>(lane), lane.aad(), lane.octets());
        if octets as u64 > LONGEST_TEXT {
            lane.discard();
            continue;
        }
        let head = ghash::long_aad::<V, N>(cpu, key, aad);
        let packet = lane.packet(cpu, key, Shape::of::<V>(octets)).headed_by(&head);
        let tag = crypt::plain::<V, N, OPEN>(cpu, &[packet]);
        if !lane.finish(tag) {
            lane.discard();
        }
    }
}

/// The schedule of a lane.
#[inline(always)]
fn schedule<'k, V: Wide, L: Lane<'k>>(lane: &L) -> &'k Schedule {
    let Some(schedule) = V::schedule(lane.key()) else { misplaced() };
    schedule
}

/// A lane worked as one of another rank would reach beyond its text, and one refused might go out
/// in clear.
#[cold]
#[inline(never)]
fn misplaced() -> ! {
    unreachable!("a lane is in a group of another class: a fault in order.rs")
}
