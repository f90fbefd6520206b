//! A packet sealed (SP 800-38D §7.1) or opened (§7.2), up to its tag: the key stream goes over the
//! text, and the ciphertext into the hash.
//!
//! The two directions differ in whether the hash takes a row after the key stream or before, so they
//! are one text with `OPEN` in few places. Packets of up to [`SHORT`] rows are one stretch, those of up to [`MIDDLE`]
//! two halves, compiled for each number of rows: where a stretch ends some twenty cycles are lost, and more if the
//! next is short. Longer ones have a first stretch of 1 to 8 rows, for each of which they are compiled, and go on
//! by eights. The hash lags: that of a stretch is made while the next is enciphered, that of a packet's last
//! stretch during the first of the next packet. So nothing is enciphered or hashed alone.

use core::arch::x86_64::{__m128i, _mm_xor_si128};

use super::ghash::{Hashing, Idle, Meanwhile, ROWS};
use super::packet::{self, Packet};
use super::schedule::Schedule;
use super::wide::{Wide, unroll};

/// Rows of a packet that is worked in one go, at most ([`Wide::IN_ONE_GO`]).
pub(crate) const SHORT: usize = ROWS + 1;
/// Rows of a packet that is worked in two goes.
pub(crate) const MIDDLE: usize = 2 * ROWS;
/// Rows of each stretch but the first of a packet that is worked in more.
pub(crate) const STRETCH: usize = 8;

/// A packet whose text is done and whose last `R` rows are still to be hashed.
#[derive(Clone, Copy)]
pub(crate) struct Pending<'k, V, const N: usize, const R: usize> {
    hashing: Hashing<'k, V, N, R, true>,
    /// What masks the tag.
    mask: __m128i,
}

impl<'k, V: Wide, const N: usize, const R: usize> Pending<'k, V, N, R> {
    #[inline(always)]
    fn new(cpu: V::Cpu, packet: &Packet<'k, '_, V>, rows: [V; R], stream: V) -> Self {
        Pending { hashing: Hashing::new(cpu, packet.key, rows), mask: stream.block(packet.lead) }
    }

    /// Of no packet: its tag means nothing.
    #[inline(always)]
    pub(crate) fn of_none(cpu: V::Cpu, key: &'k Schedule) -> Self {
        let zero = V::zero(cpu);
        Pending { hashing: Hashing::new(cpu, key, [zero; R]), mask: zero.first() }
    }

    /// The tag, the steps of hashing from `from` on done now.
    #[inline(always)]
    fn tag_from(self, cpu: V::Cpu, from: usize) -> __m128i {
        let hash = self.hashing.rest(cpu, from).reflect().fold();
        // SAFETY: SSE2, part of every x86-64.
        unsafe { _mm_xor_si128(hash, self.mask) }
    }

    /// The tag.
    #[inline(always)]
    pub(crate) fn tag(self, cpu: V::Cpu) -> __m128i {
        self.tag_from(cpu, 0)
    }
}

impl<V: Wide, const N: usize, const R: usize> Meanwhile<V> for Pending<'_, V, N, R> {
    #[inline(always)]
    fn step(&mut self, cpu: V::Cpu, step: usize) {
        self.hashing.step(cpu, step);
    }

    #[inline(always)]
    fn pinned(&self, x: V) -> V {
        self.hashing.pinned(x)
    }
}

/// The texts of `K` packets of exactly `R` rows each, at most [`SHORT`], and meanwhile the tags of as
/// many packets `before`.
#[inline(always)]
pub(crate) fn short<'k, V: Wide, const N: usize, const R: usize, const K: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packets: &[Packet<'k, '_, V>; K],
    before: &mut [Pending<'k, V, N, R>; K],
) -> [__m128i; K] {
    let streams = packet::streams::<V, N, R, K>(cpu, packets, 0, before.each_mut());
    let mut tags = [V::zero(cpu).first(); K];
    unroll!(k < K => {
        let mut rows = streams[k];
        unroll!(row < R => rows[row] = any::<V, OPEN>(cpu, &packets[k], row, R, streams[k][row]));
        tags[k] = before[k].tag_from(cpu, N - 1);
        before[k] = Pending::new(cpu, &packets[k], rows, streams[k][0]);
    });
    tags
}

/// The text of a packet of `A` rows and `B` more, and meanwhile the tag of the packet `before`.
#[inline(always)]
pub(crate) fn middle<'k, V: Wide, const N: usize, const A: usize, const B: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packets: &[Packet<'k, '_, V>; 1],
    before: &mut [Pending<'k, V, N, B>; 1],
) -> [__m128i; 1] {
    let (tag, stream, rows) = begin::<V, N, A, B, OPEN>(cpu, packets, before);
    let rows = stretch::<V, N, A, B, OPEN>(cpu, packets, A, rows);
    before[0] = Pending::new(cpu, &packets[0], rows, stream);
    [tag]
}

/// The text of a packet of `R` rows and once or more [`STRETCH`], and meanwhile the tag of the packet
/// `before`.
#[inline(always)]
pub(crate) fn long<'k, V: Wide, const N: usize, const R: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packets: &[Packet<'k, '_, V>; 1],
    before: &mut [Pending<'k, V, N, STRETCH>; 1],
) -> [__m128i; 1] {
    let (tag, stream, rows) = begin::<V, N, R, STRETCH, OPEN>(cpu, packets, before);
    let (mut row, mut rows) = (R + STRETCH, stretch::<V, N, R, STRETCH, OPEN>(cpu, packets, R, rows));
    while row < packets[0].rows {
        rows = stretch::<V, N, STRETCH, STRETCH, OPEN>(cpu, packets, row, rows);
        row += STRETCH;
    }
    before[0] = Pending::new(cpu, &packets[0], rows, stream);
    [tag]
}

/// The first `R` rows of a packet that has more: the tag of the packet `before`, the key stream of the first row,
/// and the rows as the hash takes them.
#[inline(always)]
fn begin<'k, V: Wide, const N: usize, const R: usize, const B: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packets: &[Packet<'k, '_, V>; 1],
    before: &mut [Pending<'k, V, N, B>; 1],
) -> (__m128i, V, [V; R]) {
    let [packet] = packets;
    let [mut rows] = packet::streams::<V, N, R, 1>(cpu, packets, 0, before.each_mut());
    let stream = rows[0];
    rows[0] = first::<V, OPEN>(cpu, packet, stream);
    unroll!(i < R - 1 => rows[i + 1] = inner::<V, OPEN>(cpu, packet, i + 1, rows[i + 1]));
    (before[0].tag_from(cpu, N - 1), stream, rows)
}

/// The next `R` rows, while the `B` rows `before` are hashed.
#[inline(always)]
fn stretch<V: Wide, const N: usize, const B: usize, const R: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packets: &[Packet<'_, '_, V>; 1],
    row: usize,
    before: [V; B],
) -> [V; R] {
    let [packet] = packets;
    let mut hashing = Hashing::<V, N, B, false>::new(cpu, packet.key, before);
    let [mut rows] = packet::streams::<V, N, R, 1>(cpu, packets, row, [&mut hashing]);
    unroll!(i < R - 1 => rows[i] = inner::<V, OPEN>(cpu, packet, row + i, rows[i]));
    rows[R - 1] = match row + R == packet.rows {
        true => last::<V, OPEN>(cpu, packet, rows[R - 1]),
        false => inner::<V, OPEN>(cpu, packet, row + R - 1, rows[R - 1]),
    };
    rows[0] = rows[0].xor(hashing.rest(cpu, N - 1));
    rows
}

/// A packet of any shape, a row after the other, and its tag.
#[inline(always)]
pub(crate) fn plain<V: Wide, const N: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packets: &[Packet<'_, '_, V>; 1],
) -> __m128i {
    let [packet] = packets;
    let (mut hashed, mut mask) = (V::zero(cpu), V::zero(cpu));
    for row in 0..packet.rows {
        let [[stream]] = packet::streams::<V, N, 1, 1>(cpu, packets, row, [&mut Idle]);
        if row == 0 {
            mask = stream;
        } else {
            hashed = Hashing::<V, N, 1, false>::new(cpu, packet.key, [hashed]).rest(cpu, 0);
        }
        hashed = hashed.xor(any::<V, OPEN>(cpu, packet, row, packet.rows, stream));
    }
    Pending::<V, N, 1>::new(cpu, packet, [hashed], mask).tag(cpu)
}

/// Row `row` of `rows`, as the hash takes it.
#[inline(always)]
fn any<V: Wide, const OPEN: bool>(
    cpu: V::Cpu,
    packet: &Packet<'_, '_, V>,
    row: usize,
    rows: usize,
    stream: V,
) -> V {
    match (row == 0, row == rows - 1) {
        (true, true) => only::<V, OPEN>(cpu, packet, stream),
        (true, false) => first::<V, OPEN>(cpu, packet, stream),
        (false, true) => last::<V, OPEN>(cpu, packet, stream),
        (false, false) => inner::<V, OPEN>(cpu, packet, row, stream),
    }
}

/// A row all of text, as the hash takes it.
#[inline(always)]
fn inner<V: Wide, const OPEN: bool>(cpu: V::Cpu, packet: &Packet<'_, '_, V>, row: usize, stream: V) -> V {
    let at = packet.at(row);
    // SAFETY: a row between first and last is all text.
    let before = unsafe { V::load(cpu, at) };
    let after = before.xor(stream);
    // SAFETY: as above.
    unsafe { after.store(at) };
    if OPEN { before.reflect() } else { after.reflect() }
}

/// The first row of several, where text begins behind the associated data.
#[inline(always)]
fn first<V: Wide, const OPEN: bool>(cpu: V::Cpu, packet: &Packet<'_, '_, V>, stream: V) -> V {
    head::<V, OPEN>(cpu, packet, packet.head_octets(cpu), stream).reflect()
}

/// The row of the associated data and of the octets `text`.
#[inline(always)]
fn head<V: Wide, const OPEN: bool>(cpu: V::Cpu, packet: &Packet<'_, '_, V>, text: V::Octets, stream: V) -> V {
    let (at, aad) = (packet.at(0), packet.aad_row(cpu));
    // SAFETY: the callers' `text` is text.
    let before = unsafe { aad.load_over(at, text) };
    let after = before.xor(stream);
    // SAFETY: as above.
    unsafe { after.store_part(at, text) };
    if OPEN { before } else { after.or_else(text, aad) }
}

/// The last row of several, where text ends before the lengths.
#[inline(always)]
fn last<V: Wide, const OPEN: bool>(cpu: V::Cpu, packet: &Packet<'_, '_, V>, stream: V) -> V {
    let (at, text) = (packet.at(packet.rows - 1), packet.tail_octets(cpu));
    // SAFETY: `tail_octets` are text.
    let before = unsafe { V::zero(cpu).load_over(at, text) };
    let after = before.xor(stream);
    // SAFETY: as above.
    unsafe { after.store_part(at, text) };
    let cipher = if OPEN { before } else { after.or_else(text, V::zero(cpu)) };
    cipher.reflect().with_lengths(packet.lengths())
}

/// The only row.
#[inline(always)]
fn only<V: Wide, const OPEN: bool>(cpu: V::Cpu, packet: &Packet<'_, '_, V>, stream: V) -> V {
    let row = head::<V, OPEN>(cpu, packet, packet.only_octets(cpu), stream);
    row.reflect().with_lengths(packet.lengths())
}
