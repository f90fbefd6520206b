//! GHASH (SP 800-38D §6.4) over rows of blocks.
//!
//! Blocks are in reflected octet order, so that carry-less multiplication sees the field's
//! polynomials with their bits reversed; powers of H carry the factor x that makes up for the bit
//! such a product comes out too low (`schedule.rs` puts it there). Products are added up before they
//! are reduced: one reduction serves as many rows as there are powers.
//!
//! A packet's blocks stand in rows so that the last block ends a row. Block i of n is to be
//! multiplied by H^(n-i). Every row but the last is multiplied by one power in all places, that of
//! its distance to the last in blocks; the sums, reduced, go into the last row, which is multiplied
//! by the falling powers H^w .. H^1. So few powers serve any length. Two rows, a short packet, are multiplied
//! by H^2w .. H^1: that saves a reduction.
//!
//! A carry-less product is dear on Zen 4, so whole rows are multiplied as Karatsuba does it: three products, of
//! the low halves, the high halves, and the sums of both. The sums for the powers are kept. Halves are read one by
//! one into all places, which loads do for nothing, while blocks take the place of a round of AES.

use super::schedule::Schedule;
use super::wide::{BLOCK, Wide, block_of};
use crate::low::Block;

/// Rows before a reduction at most: as many powers of whole rows are kept.
pub(crate) const ROWS: usize = 9;

/// A sum of products of 128-bit blocks: 256 bits in three overlapping parts.
#[derive(Clone, Copy)]
pub(crate) struct Product<V> {
    low: V,
    middle: V,
    high: V,
}

impl<V: Wide> Product<V> {
    #[inline(always)]
    pub(crate) fn of(a: V, b: V) -> Product<V> {
        Product {
            low: a.multiply::<0x00>(b),
            middle: a.multiply::<0x01>(b).xor(a.multiply::<0x10>(b)),
            high: a.multiply::<0x11>(b),
        }
    }

    /// With one more product.
    #[inline(always)]
    fn plus(self, other: Product<V>) -> Product<V> {
        Product {
            low: self.low.xor(other.low),
            middle: self.middle.xor(other.middle),
            high: self.high.xor(other.high),
        }
    }

    /// With two more products.
    #[inline(always)]
    fn plus_two(self, a: Product<V>, b: Product<V>) -> Product<V> {
        Product {
            low: self.low.xor3(a.low, b.low),
            middle: self.middle.xor3(a.middle, b.middle),
            high: self.high.xor3(a.high, b.high),
        }
    }

    /// Modulo x^128 + x^7 + x^2 + x + 1, first half: the lowest 64 bits go into the middle part.
    #[inline(always)]
    fn fold_low(self, cpu: V::Cpu) -> Product<V> {
        Product { middle: fold(cpu, self.low, self.middle), ..self }
    }

    /// The second half: the lowest 64 bits of the middle part go into the high one.
    #[inline(always)]
    fn fold_middle(self, cpu: V::Cpu) -> V {
        fold(cpu, self.middle, self.high)
    }

    /// Both.
    #[inline(always)]
    pub(crate) fn reduce(self, cpu: V::Cpu) -> V {
        self.fold_low(cpu).fold_middle(cpu)
    }
}

/// The polynomial without its ends, reflected, in the high half, where `multiply::<0x10>` finds it.
const POLYNOMIAL: Block = Block([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc2]);

/// Takes away the low half of `part`, adding to what stands 64 bits above.
#[inline(always)]
fn fold<V: Wide>(cpu: V::Cpu, part: V, above: V) -> V {
    above.xor3(part.swap_halves(), part.multiply::<0x10>(V::splat(cpu, &POLYNOMIAL)))
}

/// Work in steps that can be done between the rounds of a cipher, which wait for each other.
pub(crate) trait Meanwhile<V: Wide> {
    /// Step number `step`; in order from 0, constants all.
    fn step(&mut self, cpu: V::Cpu, step: usize);
    /// Pins what the steps are to be taken between.
    fn pinned(&self, x: V) -> V;
}

/// Nothing to be done meanwhile.
pub(crate) struct Idle;

impl<V: Wide> Meanwhile<V> for Idle {
    #[inline(always)]
    fn step(&mut self, _: V::Cpu, _: usize) {}

    #[inline(always)]
    fn pinned(&self, x: V) -> V {
        x
    }
}

/// The hash of `R` rows being made. If `END`, the last of them ends the packet, and the result is the hash;
/// else it is what the row behind them is to be added to.
#[derive(Clone, Copy)]
pub(crate) struct Hashing<'k, V, const N: usize, const R: usize, const END: bool> {
    key: &'k Schedule,
    rows: [V; R],
    sum: Product<V>,
    /// The product of a row of odd number, to be added together with the next row's.
    held: Product<V>,
    result: V,
}

impl<'k, V: Wide, const N: usize, const R: usize, const END: bool> Hashing<'k, V, N, R, END> {
    /// Rows multiplied by a power of whole rows.
    const WHOLE: usize = if END { R - 1 } else { R };
    /// Such rows a step. Of many that end a packet two, or the reductions came when no rounds are left to hide them.
    const A_STEP: usize = if END && R > 8 { 2 } else { 1 };
    /// Steps that takes.
    const MULTIPLYING: usize = Self::WHOLE.div_ceil(Self::A_STEP);

    #[inline(always)]
    pub(crate) fn new(cpu: V::Cpu, key: &'k Schedule, rows: [V; R]) -> Self {
        let zero = V::zero(cpu);
        let sum = Product { low: zero, middle: zero, high: zero };
        Hashing { key, rows, sum, held: sum, result: zero }
    }

    /// The result, all steps from `from` on done now.
    #[inline(always)]
    pub(crate) fn rest(mut self, cpu: V::Cpu, from: usize) -> V {
        macro_rules! steps {
            ($($step:literal)*) => { $(if from <= $step { self.step(cpu, $step); })* };
        }
        steps!(0 1 2 3 4 5 6 7 8 9 10 11 12);
        self.result
    }

    /// Adds the product of a row and a power of whole rows, the middle still without low and high.
    #[inline(always)]
    fn row(&mut self, cpu: V::Cpu, row: usize) {
        let (x, power) = (self.rows[row], self.key.row_power::<V, N>(Self::WHOLE - row));
        let product = Product {
            low: x.multiply::<0x00>(V::splat_half(cpu, power.low)),
            middle: x.xor(x.swap_halves()).multiply::<0x00>(V::splat_half(cpu, power.sum)),
            high: x.multiply::<0x11>(V::splat_half(cpu, power.high)),
        };
        match row % 2 == 1 {
            _ if row == 0 => self.sum = product,
            true if row + 1 < Self::WHOLE => self.held = product,
            true => self.sum = self.sum.plus(product),
            false => self.sum = self.sum.plus_two(self.held, product),
        }
    }

    /// A step of a packet of two rows.
    #[inline(always)]
    fn step_of_two(&mut self, cpu: V::Cpu, step: usize) {
        match step {
            0 => self.sum = Product::of(self.rows[0], V::row(cpu, self.key.higher_powers::<V, N>())),
            1 => {
                let power = V::row(cpu, self.key.falling_powers::<V, N>());
                self.sum = self.sum.plus(Product::of(self.rows[1], power));
            }
            2 => self.sum = self.sum.fold_low(cpu),
            3 => self.result = self.sum.fold_middle(cpu).pin(),
            _ => return,
        }
        self.sum.middle = self.sum.middle.pin();
    }
}

impl<V: Wide, const N: usize, const R: usize, const END: bool> Meanwhile<V> for Hashing<'_, V, N, R, END> {
    #[inline(always)]
    fn step(&mut self, cpu: V::Cpu, step: usize) {
        if END && R == 2 {
            return self.step_of_two(cpu, step);
        }
        if step < Self::MULTIPLYING {
            let row = step * Self::A_STEP;
            self.row(cpu, row);
            if Self::A_STEP == 2 && row + 1 < Self::WHOLE {
                self.row(cpu, row + 1);
            }
            self.sum.middle = self.sum.middle.pin();
            return;
        }
        // A single row that ends a packet has nothing before it to reduce.
        match step - Self::MULTIPLYING + if Self::WHOLE == 0 { 2 } else { 0 } {
            0 => {
                let Product { low, middle, high } = self.sum;
                self.sum = Product { middle: middle.xor3(low, high), ..self.sum }.fold_low(cpu);
            }
            1 => self.result = self.sum.fold_middle(cpu).pin(),
            2 if END => {
                let last = self.rows[R - 1].xor(self.result);
                self.sum = Product::of(last, V::row(cpu, self.key.falling_powers::<V, N>()));
            }
            3 if END => self.sum = self.sum.fold_low(cpu),
            4 if END => self.result = self.sum.fold_middle(cpu).pin(),
            _ => return,
        }
        self.sum.middle = self.sum.middle.pin();
    }

    #[inline(always)]
    fn pinned(&self, x: V) -> V {
        x.pin()
    }
}

/// The block that stands for associated data of any length at the head of a packet: its last block,
/// padded, plus the hash of those before.
#[inline(always)]
pub(crate) fn long_aad<V: Wide, const N: usize>(cpu: V::Cpu, key: &Schedule, aad: &[u8]) -> Block {
    let h = V::splat(cpu, key.h::<V, N>());
    let mut hash = V::zero(cpu);
    let mut last = Block::ZERO;
    for (index, chunk) in aad.chunks(BLOCK).enumerate() {
        if index > 0 {
            let block = V::splat(cpu, &last).reflect();
            hash = Product::of(hash.xor(block), h).reduce(cpu);
        }
        last = Block::ZERO;
        last.0[..chunk.len()].copy_from_slice(chunk);
    }
    block_of(hash.reflect().xor(V::splat(cpu, &last)).first())
}
