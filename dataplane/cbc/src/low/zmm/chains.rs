//! Chains side by side: which is in which lane.
//!
//! Chains of keys of one size go together, the long ones first. A lane whose chain has ended takes the next; one for which
//! there is none encrypts a block of nobody's, again and again.

use arrayvec::ArrayVec;

use super::Cpu;
use super::aes::{self, LANES, RoundKeys, Rounds, Row};
use crate::key::Schedule;
use crate::{BLOCK, BURST, Chain};

/// Encrypts those chains whose keys were made for lanes.
pub(crate) fn encrypt(chains: &mut [Chain<'_>]) {
    of_one_size::<10>(chains);
    of_one_size::<12>(chains);
    of_one_size::<14>(chains);
}

/// The key of a chain, if it takes so many rounds.
#[inline(always)]
fn key<'a, const ROUNDS: usize>(chain: &Chain<'a>) -> Option<(Cpu, &'a RoundKeys)> {
    match &chain.key.0 {
        Schedule::Vaes512(cpu, keys) if keys.rounds() == ROUNDS => Some((*cpu, keys)),
        _ => None,
    }
}

fn of_one_size<const ROUNDS: usize>(chains: &mut [Chain<'_>]) {
    let mut order: ArrayVec<u8, BURST> = ArrayVec::new();
    let mut any = None;
    for (number, chain) in chains.iter().enumerate().take(BURST) {
        if let Some((cpu, _)) = key::<ROUNDS>(chain).filter(|_| !chain.blocks.is_empty()) {
            order.push(number as u8);
            any = Some(cpu);
        }
    }
    let Some(cpu) = any else { return };
    if let [alone] = order[..] {
        return encrypt_alone::<ROUNDS>(cpu, &mut chains[usize::from(alone)]);
    }
    let length = |number: &u8| chains[usize::from(*number)].blocks.len();
    if !order.is_sorted_by(|one, next| length(one) >= length(next)) {
        order.sort_unstable_by_key(|number| std::cmp::Reverse(length(number)));
    }
    let mut nobodys = [[0; BLOCK]; LANES];
    let idle = nobodys.each_mut().map(|block| block.as_mut_ptr());
    Work::new::<ROUNDS>(chains, &order, idle).run::<ROUNDS>(cpu);
}

/// One does not wait for lanes of nobody's.
fn encrypt_alone<const ROUNDS: usize>(cpu: Cpu, chain: &mut Chain<'_>) {
    if let Some((_, keys)) = key::<ROUNDS>(chain) {
        keys.encrypt_chain(cpu, &chain.iv, chain.blocks);
    }
}

/// All lanes, and what waits for one.
struct Work<'w, 'a> {
    chains: &'w mut [Chain<'a>],
    waiting: std::slice::Iter<'w, u8>,
    keys: Rounds,
    /// What the next block of each lane is chained to.
    chain: Row,
    /// Where the next block of each lane is, and the octets from it to the one behind it.
    places: [*mut u8; LANES],
    strides: [usize; LANES],
    /// Blocks left of each lane; none of one that has no chain.
    left: [usize; LANES],
    /// A block for each lane that has no chain.
    idle: [*mut u8; LANES],
}

impl<'w, 'a> Work<'w, 'a> {
    fn new<const ROUNDS: usize>(
        chains: &'w mut [Chain<'a>],
        order: &'w [u8],
        idle: [*mut u8; LANES],
    ) -> Self {
        let (keys, chain) = ([Row::ZERO; _], Row::ZERO);
        let (strides, left) = ([0; LANES], [0; LANES]);
        let mut work = Work { chains, waiting: order.iter(), keys, chain, places: idle, strides, left, idle };
        (0..LANES).for_each(|lane| work.fill::<ROUNDS>(lane));
        work
    }

    fn run<const ROUNDS: usize>(&mut self, cpu: Cpu) {
        while let Some(together) = self.left.iter().copied().filter(|left| *left > 0).min() {
            // SAFETY: a lane that has a chain is at a place in it behind which at least `together` blocks are left, and
            // the chain is borrowed for as long as this lives; one that has none is at a block of its own, whose stride
            // is zero.
            unsafe {
                aes::encrypt::<ROUNDS>(
                    cpu,
                    &self.keys,
                    &mut self.chain,
                    self.places,
                    &self.strides,
                    together,
                );
            }
            for lane in 0..LANES {
                self.advance::<ROUNDS>(lane, together);
            }
        }
        aes::wipe(&mut self.keys, [Row::ZERO; _]);
    }

    /// A lane has gone so many blocks further.
    #[inline(always)]
    fn advance<const ROUNDS: usize>(&mut self, lane: usize, blocks: usize) {
        if self.left[lane] == 0 {
            return;
        }
        self.left[lane] -= blocks;
        self.places[lane] = self.places[lane].wrapping_add(blocks * BLOCK);
        if self.left[lane] == 0 {
            (self.places[lane], self.strides[lane]) = (self.idle[lane], 0);
            self.fill::<ROUNDS>(lane);
        }
    }

    /// Gives a lane the next chain, if one waits.
    #[inline(always)]
    fn fill<const ROUNDS: usize>(&mut self, lane: usize) {
        let next = self.waiting.next();
        let Some(chain) = next.and_then(|number| self.chains.get_mut(usize::from(*number))) else { return };
        let Some((_, keys)) = key::<ROUNDS>(chain) else { return };
        keys.give(&mut self.keys, lane);
        self.chain.0[lane] = chain.iv;
        (self.places[lane], self.strides[lane], self.left[lane]) =
            (chain.blocks.as_mut_ptr().cast(), BLOCK, chain.blocks.len());
    }
}
