//! A packet sealed (SP 800-38D §7.1) or opened (§7.2), up to its tag: the key stream goes over the
//! text, and the ciphertext into the hash.
//!
//! The two directions differ in whether the hash takes a row after the key stream or before, so they
//! are one text with `OPEN` in four places. Packets of up to [`SHORT`] rows are compiled for each
//! number of rows; longer ones go by eights and end in one of eight ways. The hash lags: that of a
//! stretch is made while the next stretch is enciphered, that of a short packet during the next one.

use core::arch::x86_64::__m128i;

use super::ghash::{Hashing, Idle, Meanwhile, ROWS};
use super::packet::Packet;
use super::schedule::Schedule;
use super::wide::{Wide, unroll};

/// Rows of a packet that is worked in one go.
pub(crate) const SHORT: usize = ROWS;

/// A packet whose text is done and whose last `R` rows are still to be hashed.
#[derive(Clone, Copy)]
pub(crate) struct Pending<'k, V, const N: usize, const R: usize> {
    pub(crate) hashing: Hashing<'k, V, N, R, true>,
    /// The key stream of the first row, one block of which masks the tag.
    stream: V,
    lead: usize,
}

impl<'k, V: Wide, const N: usize, const R: usize> Pending<'k, V, N, R> {
    #[inline(always)]
    fn new(cpu: V::Cpu, packet: &Packet<'k, '_, V>, rows: [V; R], stream: V) -> Self {
        Pending { hashing: Hashing::new(cpu, packet.key, rows), stream, lead: packet.lead }
    }

    /// Of no packet: its tag means nothing.
    #[inline(always)]
    pub(crate) fn none(cpu: V::Cpu, key: &'k Schedule) -> Self {
        let zero = V::zero(cpu);
        Pending { hashing: Hashing::new(cpu, key, [zero; R]), stream: zero, lead: 0 }
    }

    /// The tag, the steps of hashing from `from` on done now.
    #[inline(always)]
    pub(crate) fn tag(self, cpu: V::Cpu, from: usize) -> __m128i {
        let hash = self.hashing.rest(cpu, from).reflect();
        hash.xor_blocks(V::one_block(cpu, self.lead), hash, self.stream).fold()
    }
}

/// The text of a packet of exactly `R` rows, at most [`SHORT`]. Takes `N - 1` steps of `meanwhile`.
#[inline(always)]
pub(crate) fn short<'k, V: Wide, const N: usize, const R: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packet: &Packet<'k, '_, V>,
    meanwhile: &mut impl Meanwhile<V>,
) -> Pending<'k, V, N, R> {
    let stream = packet.stream::<N, R>(cpu, 0, meanwhile);
    let mut rows = stream;
    unroll!(row < R => rows[row] = match (row == 0, row == R - 1) {
        (true, true) => only::<V, N, OPEN>(cpu, packet, stream[row]),
        (true, false) => first::<V, N, OPEN>(cpu, packet, stream[row]),
        (false, true) => last::<V, OPEN>(cpu, packet, stream[row]),
        (false, false) => inner::<V, OPEN>(cpu, packet, row, stream[row]),
    });
    Pending::new(cpu, packet, rows, stream[0])
}

/// A packet of more than [`SHORT`] rows: its tag.
#[inline(always)]
pub(crate) fn long<V: Wide, const N: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packet: &Packet<'_, '_, V>,
) -> __m128i {
    let stream = packet.stream::<N, ROWS>(cpu, 0, &mut Idle);
    let (mut rows, stream) = (stream, stream[0]);
    rows[0] = first::<V, N, OPEN>(cpu, packet, stream);
    unroll!(row < ROWS - 1 => rows[row + 1] = inner::<V, OPEN>(cpu, packet, row + 1, rows[row + 1]));
    let mut row = ROWS;
    while packet.rows - row > ROWS {
        rows = middle::<V, N, OPEN>(cpu, packet, row, rows);
        row += ROWS;
    }
    match packet.rows - row {
        1 => tail::<V, N, 1, OPEN>(cpu, packet, rows, stream),
        2 => tail::<V, N, 2, OPEN>(cpu, packet, rows, stream),
        3 => tail::<V, N, 3, OPEN>(cpu, packet, rows, stream),
        4 => tail::<V, N, 4, OPEN>(cpu, packet, rows, stream),
        5 => tail::<V, N, 5, OPEN>(cpu, packet, rows, stream),
        6 => tail::<V, N, 6, OPEN>(cpu, packet, rows, stream),
        7 => tail::<V, N, 7, OPEN>(cpu, packet, rows, stream),
        _ => tail::<V, N, 8, OPEN>(cpu, packet, rows, stream),
    }
}

/// The next rows, neither first nor last, while those `before` are hashed.
#[inline(always)]
fn middle<V: Wide, const N: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packet: &Packet<'_, '_, V>,
    row: usize,
    before: [V; ROWS],
) -> [V; ROWS] {
    let mut hashing = Hashing::<V, N, ROWS, false>::new(cpu, packet.key, before);
    let mut rows = packet.stream::<N, ROWS>(cpu, row, &mut hashing);
    unroll!(i < ROWS => rows[i] = inner::<V, OPEN>(cpu, packet, row + i, rows[i]));
    rows[0] = rows[0].xor(hashing.rest(cpu, N - 1));
    rows
}

/// The last `R` rows, while those `before` are hashed: the tag.
#[inline(always)]
fn tail<V: Wide, const N: usize, const R: usize, const OPEN: bool>(
    cpu: V::Cpu,
    packet: &Packet<'_, '_, V>,
    before: [V; ROWS],
    stream: V,
) -> __m128i {
    let row = packet.rows - R;
    let mut hashing = Hashing::<V, N, ROWS, false>::new(cpu, packet.key, before);
    let mut rows = packet.stream::<N, R>(cpu, row, &mut hashing);
    unroll!(i < R => rows[i] = match i == R - 1 {
        true => last::<V, OPEN>(cpu, packet, rows[i]),
        false => inner::<V, OPEN>(cpu, packet, row + i, rows[i]),
    });
    rows[0] = rows[0].xor(hashing.rest(cpu, N - 1));
    Pending::<V, N, R>::new(cpu, packet, rows, stream).tag(cpu, 0)
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
fn first<V: Wide, const N: usize, const OPEN: bool>(cpu: V::Cpu, packet: &Packet<'_, '_, V>, stream: V) -> V {
    let (at, text) = (packet.at(0), packet.head_octets(cpu));
    let aad = packet.aad_row::<N>(cpu);
    // SAFETY: `head_octets` are text.
    let load_over = |row: V| unsafe { row.load_over(at, text) };
    // SAFETY: as above.
    let store = |row: V| unsafe { row.store_part(at, text) };
    if OPEN {
        let row = load_over(aad);
        store(row.xor(stream));
        row.reflect()
    } else {
        let row = aad.xor_blocks(packet.head(cpu), load_over(V::zero(cpu)), stream);
        store(row);
        row.reflect()
    }
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
fn only<V: Wide, const N: usize, const OPEN: bool>(cpu: V::Cpu, packet: &Packet<'_, '_, V>, stream: V) -> V {
    let (at, text) = (packet.at(0), packet.head_octets(cpu));
    let aad = packet.aad_row::<N>(cpu);
    // SAFETY: `head_octets` are text.
    let before = unsafe { aad.load_over(at, text) };
    let after = before.xor(stream);
    // SAFETY: as above.
    unsafe { after.store_part(at, text) };
    let cipher = if OPEN { before } else { after.or_else(text, aad) };
    cipher.reflect().with_lengths(packet.lengths())
}
