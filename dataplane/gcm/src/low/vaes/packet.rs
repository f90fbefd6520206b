//! How a packet lies in rows, and its key stream.
//!
//! ```text
//! hash:    [  -   AAD  C1   C2 ][ C3   C4   C5  C6 ] ... [ Cn-2 Cn-1 Cn lengths ]
//! cipher:  [  -   J0   J1   J2 ][ J3   J4   J5  J6 ] ... [ Jn-2 Jn-1 Jn    -    ]
//! ```
//!
//! Text blocks have the same place in the hash and in the cipher, so that a register goes from one
//! to the other. Where the associated data stands, the key stream has the block that masks the tag
//! (SP 800-38D §7.1: J0, the counter 1), and the lengths end the last row. Unused places (`-`) are
//! in front, zeros in the hash: a hash does not see them.

use core::marker::PhantomData;

use super::ghash::Meanwhile;
use super::schedule::Schedule;
use super::wide::{BLOCK, Lengths, Wide, unroll};
use crate::low::Block;

/// Blocks of so many octets, the last of which may be short. No slice is so long that this wraps.
#[inline(always)]
fn blocks(octets: usize) -> usize {
    octets.wrapping_add(BLOCK - 1) / BLOCK
}

/// How many rows a packet takes, and how many places in front of its associated data are unused. A
/// `Shape` is the proof that the octets of the text lie in these rows as drawn above.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) lead: usize,
    pub(crate) rows: usize,
}

impl Shape {
    /// Of a text of so many octets.
    #[inline(always)]
    pub(crate) fn of<V: Wide>(octets: usize) -> Shape {
        let places = blocks(octets) + 2;
        let rows = places.div_ceil(V::BLOCKS);
        Shape { lead: rows * V::BLOCKS - places, rows }
    }

    /// Of a text of so many octets if it has exactly so many rows: with a constant of rows cheaper
    /// than [`Shape::of`].
    #[inline(always)]
    pub(crate) fn exactly<V: Wide>(octets: usize, rows: usize) -> Option<Shape> {
        let lead = (rows * V::BLOCKS - 2).wrapping_sub(blocks(octets));
        (lead < V::BLOCKS).then_some(Shape { lead, rows })
    }
}

/// A packet laid out in rows.
pub(crate) struct Packet<'k, 't, V> {
    pub(crate) key: &'k Schedule,
    /// The nonce in every place, zeros where the counter goes.
    nonce: V,
    /// What stands in the place of the associated data: at most a block.
    aad: &'t [u8],
    aad_octets: usize,
    /// Where the first row begins; up to a row in front of the text. Only octets of the text may be
    /// reached by it.
    base: *mut u8,
    octets: usize,
    /// Places in front of the associated data.
    pub(crate) lead: usize,
    pub(crate) rows: usize,
    text: PhantomData<&'t mut [u8]>,
}

impl<'k, 't, V: Wide> Packet<'k, 't, V> {
    /// Lays out a packet of the shape of its text.
    #[inline(always)]
    pub(crate) fn new(
        cpu: V::Cpu,
        key: &'k Schedule,
        nonce: &Block,
        aad: &'t [u8],
        text: &'t mut [u8],
        Shape { lead, rows }: Shape,
    ) -> Packet<'k, 't, V> {
        let (octets, aad_octets) = (text.len(), aad.len());
        let base = text.as_mut_ptr().wrapping_sub((lead + 1) * BLOCK);
        let nonce = V::splat(cpu, nonce);
        Packet { key, nonce, aad, aad_octets, base, octets, lead, rows, text: PhantomData }
    }

    /// With `block` in the place of associated data that is longer than that, see
    /// [`super::ghash::long_aad`].
    pub(crate) fn headed_by(self, block: &'t Block) -> Packet<'k, 't, V> {
        Packet { aad: &block.0, ..self }
    }

    /// Where row `row` is; of the first and the last only some octets are text.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize) -> *mut u8 {
        self.base.wrapping_add(row * V::OCTETS)
    }

    /// The octets of text in the first row, if it is not the last.
    #[inline(always)]
    pub(crate) fn head_octets(&self, cpu: V::Cpu) -> V::Octets {
        V::octets_behind(cpu, self.lead)
    }

    /// The octets of text in the last row, if it is not the first.
    #[inline(always)]
    pub(crate) fn tail_octets(&self, cpu: V::Cpu) -> V::Octets {
        V::octets(cpu, 0, (self.lead + 1) * BLOCK + self.octets - (self.rows - 1) * V::OCTETS)
    }

    /// The octets of text in the only row.
    #[inline(always)]
    pub(crate) fn only_octets(&self, cpu: V::Cpu) -> V::Octets {
        let from = (self.lead + 1) * BLOCK;
        V::octets(cpu, from, from + self.octets)
    }

    #[inline(always)]
    pub(crate) fn lengths(&self) -> Lengths {
        Lengths::of(self.aad_octets, self.octets)
    }

    /// The first row with the associated data in its place and zeros elsewhere.
    #[inline(always)]
    pub(crate) fn aad_row(&self, cpu: V::Cpu) -> V {
        V::place(cpu, self.aad, self.lead)
    }

    /// Counters of `R` rows from `row` on, nonce and first round key: what the rounds begin with.
    #[inline(always)]
    fn whitened<const R: usize>(&self, cpu: V::Cpu, row: usize) -> [V; R] {
        let mut rows = self.counters::<R>(cpu, row);
        let key = V::splat(cpu, self.key.round_key(0));
        unroll!(i < R => rows[i] = rows[i].xor3(self.nonce, key));
        rows
    }

    /// The counters of `R` rows. The place of the associated data has 1 (SP 800-38D §7.1).
    #[inline(always)]
    fn counters<const R: usize>(&self, cpu: V::Cpu, row: usize) -> [V; R] {
        let first = row * V::BLOCKS + LEAST.unsigned_abs() + 1 - self.lead;
        let mut rows = [V::zero(cpu); R];
        if first + R * V::BLOCKS <= COUNTERS.len() {
            let table = &COUNTERS[first..first + R * V::BLOCKS];
            unroll!(i < R => rows[i] = V::row(cpu, &table[i * V::BLOCKS..]));
        } else {
            let counter = V::row(cpu, &COUNTERS).swap_counters().count(first as u32);
            unroll!(i < R => rows[i] = counter.count((i * V::BLOCKS) as u32).swap_counters());
        }
        rows
    }
}

/// The key streams of `R` rows from `row` on of each of `K` packets. Between the rounds steps of
/// `meanwhile` are taken, `N - 1` of them.
#[inline(always)]
pub(crate) fn streams<V: Wide, const N: usize, const R: usize, const K: usize>(
    cpu: V::Cpu,
    packets: &[Packet<'_, '_, V>; K],
    row: usize,
    meanwhile: [&mut impl Meanwhile<V>; K],
) -> [[V; R]; K] {
    let mut rows = [[V::zero(cpu); R]; K];
    unroll!(k < K => rows[k] = packets[k].whitened(cpu, row));
    macro_rules! rounds {
        ($($round:literal)*) => {
            $(if $round < N {
                unroll!(k < K => {
                    let key = V::splat(cpu, packets[k].key.round_key($round));
                    unroll!(i < R => rows[k][i] = meanwhile[k].pinned(rows[k][i].round(key)));
                    meanwhile[k].step(cpu, $round - 1);
                });
            })*
        };
    }
    rounds!(1 2 3 4 5 6 7 8 9 10 11 12 13);
    unroll!(k < K => {
        let key = V::splat(cpu, packets[k].key.round_key(N));
        unroll!(i < R => rows[k][i] = rows[k][i].last_round(key));
    });
    rows
}

/// The counter of the first place: places in front of the associated data count backwards.
const LEAST: isize = -2;

/// Counters in their blocks, ready to be combined with a nonce: enough for packets on an Ethernet.
static COUNTERS: [Block; 160] = {
    let mut blocks = [Block::ZERO; 160];
    let mut i = 0;
    while i < blocks.len() {
        let counter = ((i as isize + LEAST) as u32).to_be_bytes();
        let mut octet = 0;
        while octet < 4 {
            blocks[i].0[12 + octet] = counter[octet];
            octet += 1;
        }
        i += 1;
    }
    blocks
};
