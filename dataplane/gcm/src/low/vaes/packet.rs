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

/// A packet laid out in `rows` rows.
pub(crate) struct Packet<'k, 't, V> {
    pub(crate) key: &'k Schedule,
    /// The nonce in every place, zeros where the counter goes.
    nonce: V,
    aad: &'k [u8],
    /// Where the first row begins; up to a row in front of the text. Only octets of the text may be
    /// reached by it.
    base: *mut u8,
    octets: usize,
    /// Places in front of the associated data.
    pub(crate) lead: usize,
    pub(crate) rows: usize,
    text: PhantomData<&'t mut [u8]>,
}

/// Rows of a text of so many octets.
#[inline(always)]
pub(crate) fn rows<V: Wide>(octets: usize) -> usize {
    (octets.div_ceil(BLOCK) + 2).div_ceil(V::BLOCKS)
}

impl<'k, 't, V: Wide> Packet<'k, 't, V> {
    /// Lays out a packet of `rows` rows, see [`rows`].
    #[inline(always)]
    pub(crate) fn new(
        cpu: V::Cpu,
        key: &'k Schedule,
        nonce: &Block,
        aad: &'k [u8],
        text: &'t mut [u8],
        rows: usize,
    ) -> Packet<'k, 't, V> {
        let octets = text.len();
        let lead = (rows * V::BLOCKS - (octets.div_ceil(BLOCK) + 2)) % V::BLOCKS;
        let base = text.as_mut_ptr().wrapping_sub((lead + 1) * BLOCK);
        Packet { key, nonce: V::splat(cpu, nonce), aad, base, octets, lead, rows, text: PhantomData }
    }

    /// Where row `row` is; of the first and the last only some octets are text.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize) -> *mut u8 {
        self.base.wrapping_add(row * V::OCTETS)
    }

    /// The blocks of text in the first row, if it is not the last.
    #[inline(always)]
    pub(crate) fn head(&self, cpu: V::Cpu) -> V::Blocks {
        V::blocks_from(cpu, self.lead + 1)
    }

    /// The octets of text in the first row.
    #[inline(always)]
    pub(crate) fn head_octets(&self, cpu: V::Cpu) -> V::Octets {
        let from = (self.lead + 1) * BLOCK;
        V::octets(cpu, from, (from + self.octets).min(V::OCTETS))
    }

    /// The octets of text in the last row, if it is not the first.
    #[inline(always)]
    pub(crate) fn tail_octets(&self, cpu: V::Cpu) -> V::Octets {
        V::octets(cpu, 0, (self.lead + 1) * BLOCK + self.octets - (self.rows - 1) * V::OCTETS)
    }

    #[inline(always)]
    pub(crate) fn lengths(&self) -> Lengths {
        Lengths::of(self.aad.len(), self.octets)
    }

    /// The first row with the associated data in its place and zeros elsewhere.
    #[inline(always)]
    pub(crate) fn aad_row<const N: usize>(&self, cpu: V::Cpu) -> V {
        if self.aad.len() <= BLOCK {
            return self.in_place(cpu, self.aad);
        }
        self.in_place(cpu, &V::long_aad::<N>(cpu, self.key, self.aad).0)
    }

    /// The first row with at most a block of `octets` where the associated data goes.
    #[inline(always)]
    fn in_place(&self, cpu: V::Cpu, octets: &[u8]) -> V {
        let from = self.lead * BLOCK;
        let chosen = V::octets(cpu, from, from + octets.len());
        // SAFETY: what is chosen is exactly `octets`, in a block of the row.
        unsafe { V::zero(cpu).load_over(octets.as_ptr().wrapping_sub(from), chosen) }
    }

    /// The key stream of `R` rows from `row` on. Between the rounds steps of `meanwhile` are taken,
    /// `N - 1` of them.
    #[inline(always)]
    pub(crate) fn stream<const N: usize, const R: usize>(
        &self,
        cpu: V::Cpu,
        row: usize,
        meanwhile: &mut impl Meanwhile<V>,
    ) -> [V; R] {
        let mut rows = self.counters::<R>(cpu, row);
        let key = V::splat(cpu, self.key.round_key(0));
        unroll!(i < R => rows[i] = rows[i].xor3(self.nonce, key));
        macro_rules! rounds {
            ($($round:literal)*) => {
                $(if $round < N {
                    let key = V::splat(cpu, self.key.round_key($round));
                    unroll!(i < R => rows[i] = meanwhile.pinned(rows[i].round(key)));
                    meanwhile.step(cpu, $round - 1);
                })*
            };
        }
        rounds!(1 2 3 4 5 6 7 8 9 10 11 12 13);
        let key = V::splat(cpu, self.key.round_key(N));
        unroll!(i < R => rows[i] = rows[i].last_round(key));
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
            let counter = V::row(cpu, &COUNTERS);
            unroll!(i < R => rows[i] = counter.count((first + i * V::BLOCKS) as u32));
        }
        rows
    }
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
