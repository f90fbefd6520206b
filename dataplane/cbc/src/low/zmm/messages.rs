//! HMACs side by side: which message is in which lane.
//!
//! First the inner hashes: a lane takes the whole blocks of a message from where they are, then its tail, and then the next
//! message. Long messages come first: when the last of them end, short ones have filled the other lanes. Then the outer hashes,
//! all of one block, which is made of what the inner ones came to without a look at memory.

use arrayvec::ArrayVec;

use super::Cpu;
use super::sha2::{sha256, sha512};
use super::{lanes, sha1};
use crate::kernel::{Kernel, Set};
use crate::key::{MacKey, States};
use crate::low::single::{self, Function, Sha1, Sha256, Sha512, Tail, Word};
use crate::{BURST, MAC, Message};

/// A hash of which so many go side by side.
pub(super) trait Hash<const LANES: usize, const BLOCK: usize>: Function<BLOCK> {
    /// One message after the other is faster than this many side by side.
    const FEW: usize;

    /// The bit behind a message (FIPS 180-4 §5.1), in front of zeros.
    const BIT: Self::Word;

    /// Takes a block of each lane into the state of each.
    fn side_by_side(cpu: Cpu, state: &mut [[Self::Word; LANES]; 8], blocks: [&[u8; BLOCK]; LANES]);

    /// The same of blocks that are words already, the first of each lane, the second of each lane, ...
    fn words_side_by_side(cpu: Cpu, state: &mut [[Self::Word; LANES]; 8], words: &[[Self::Word; LANES]; 16]);

    /// The states behind the padded keys, and the words that the hash gives, if it is this one.
    fn of(key: &MacKey) -> Option<(&[[Self::Word; 8]; 2], usize)>;

    /// A number.
    fn number(number: usize) -> Self::Word;
}

/// Computes the MACs of those messages whose keys were made for lanes.
pub(crate) fn mac(messages: &mut [Message<'_>]) {
    let first = messages.iter().find_map(|message| match message.key.kernel {
        Kernel(Set::Vaes512(cpu)) => Some(cpu),
        Kernel(Set::Portable) => None,
    });
    let Some(cpu) = first else { return };
    of_one_hash::<Sha256, 16, 64>(cpu, messages);
    of_one_hash::<Sha512, 8, 128>(cpu, messages);
    of_one_hash::<Sha1, 16, 64>(cpu, messages);
}

/// A message of one hash.
struct Job<'a, 'm, W: 'static> {
    /// Behind the inner and the outer padded key.
    states: &'a [[W; 8]; 2],
    /// Words that the hash gives.
    words: usize,
    text: &'a [u8],
    suffix: &'a [u8],
    mac: &'m mut [u8; MAC],
}

type Jobs<'a, 'm, W> = ArrayVec<Job<'a, 'm, W>, BURST>;

fn of_one_hash<H: Hash<LANES, BLOCK>, const LANES: usize, const BLOCK: usize>(
    cpu: Cpu,
    messages: &mut [Message<'_>],
) {
    let mut jobs: Jobs<'_, '_, H::Word> = ArrayVec::new();
    for Message { key, text, suffix, mac } in messages.iter_mut().take(BURST) {
        if let (Some((states, words)), Set::Vaes512(_)) = (H::of(key), key.kernel.0) {
            jobs.push(Job { states, words, text, suffix, mac });
        }
    }
    if jobs.len() <= H::FEW {
        return jobs.into_iter().for_each(|Job { states, words, text, suffix, mac }| {
            *mac = single::mac::<BLOCK, H>(states, words, text, suffix);
        });
    }
    if !jobs.is_sorted_by(|one, next| one.text.len() >= next.text.len()) {
        jobs.sort_unstable_by_key(|job| std::cmp::Reverse(job.text.len()));
    }
    // Made where it stays: it is some thousand octets.
    let (lanes, state) = ([const { Lane::<BLOCK>::IDLE }; LANES], [[Default::default(); LANES]; 8]);
    let mut digests = [[Default::default(); 8]; BURST];
    Inner::<H, LANES, BLOCK> { cpu, jobs: &jobs, digests: &mut digests, begun: 0, lanes, state, busy: 0 }
        .run();
    for (jobs, digests) in jobs.chunks_mut(LANES).zip(digests.chunks(LANES)) {
        outer_hashes::<H, LANES, BLOCK>(cpu, jobs, digests);
    }
}

/// Blocks of a message that are left.
#[derive(Clone, Copy)]
struct Lane<'a, const BLOCK: usize> {
    /// The number of its job.
    job: Option<usize>,
    text: &'a [[u8; BLOCK]],
    tail: Tail<BLOCK>,
    /// Blocks of the tail that are taken.
    taken: usize,
}

impl<const BLOCK: usize> Lane<'_, BLOCK> {
    const IDLE: Self = Lane { job: None, text: &[], tail: Tail::NONE, taken: 0 };

    /// Blocks to be had without a change.
    #[inline(always)]
    fn blocks(&self) -> &[[u8; BLOCK]] {
        if self.text.is_empty() { &self.tail.blocks()[self.taken..] } else { self.text }
    }

    #[inline(always)]
    fn take(&mut self, blocks: usize) {
        match self.text.is_empty() {
            true => self.taken += blocks,
            false => self.text = &self.text[blocks..],
        }
    }
}

/// The inner hashes: all lanes, and what waits for one.
struct Inner<'a, 'm, 'j, H: Hash<LANES, BLOCK>, const LANES: usize, const BLOCK: usize> {
    cpu: Cpu,
    jobs: &'j [Job<'a, 'm, H::Word>],
    /// What each comes to.
    digests: &'j mut [[H::Word; 8]],
    /// How many of them had a lane.
    begun: usize,
    lanes: [Lane<'a, BLOCK>; LANES],
    state: [[H::Word; LANES]; 8],
    busy: usize,
}

impl<H: Hash<LANES, BLOCK>, const LANES: usize, const BLOCK: usize> Inner<'_, '_, '_, H, LANES, BLOCK> {
    fn run(&mut self) {
        (0..LANES).for_each(|lane| self.fill(lane));
        while self.busy > H::FEW {
            let together = self.together();
            for at in 0..together {
                let mut blocks = [&[0; BLOCK]; LANES];
                for (block, lane) in blocks.iter_mut().zip(&self.lanes) {
                    *block = lane.blocks().get(at).unwrap_or(block);
                }
                H::side_by_side(self.cpu, &mut self.state, blocks);
            }
            for lane in 0..LANES {
                self.advance(lane, together);
            }
        }
        (0..LANES).for_each(|lane| self.finish(lane));
    }

    /// Blocks that each lane has.
    #[inline(always)]
    fn together(&self) -> usize {
        let busy = self.lanes.iter().filter(|lane| lane.job.is_some());
        busy.map(|lane| lane.blocks().len()).min().unwrap_or_default()
    }

    /// Gives a lane the next message, if one waits.
    #[inline(always)]
    fn fill(&mut self, at: usize) {
        let Some(&Job { states: [inner, _], text, suffix, .. }) = self.jobs.get(self.begun) else { return };
        let (whole, rest) = text.as_chunks();
        let lane = &mut self.lanes[at];
        (lane.job, lane.text, lane.taken) = (Some(self.begun), whole, 0);
        lanes::copy(self.cpu, lane.tail.blocks_mut().as_flattened_mut(), rest);
        lane.tail.end(BLOCK + text.len() - rest.len(), rest.len(), suffix);
        column_mut(&mut self.state, at).zip(inner).for_each(|(to, word)| *to = *word);
        self.begun += 1;
        self.busy += 1;
    }

    /// A lane has taken so many blocks.
    #[inline(always)]
    fn advance(&mut self, at: usize, blocks: usize) {
        let lane = &mut self.lanes[at];
        let Some(job) = lane.job else { return };
        lane.take(blocks);
        if lane.blocks().is_empty() {
            lane.job = None;
            self.end(job, column(&self.state, at));
            self.fill(at);
        }
    }

    /// An inner hash is done.
    #[inline(always)]
    fn end(&mut self, job: usize, state: [H::Word; 8]) {
        self.digests[job] = state;
        self.busy -= 1;
    }

    /// Too few are left to go side by side.
    fn finish(&mut self, at: usize) {
        let (mut state, lane) = (column(&self.state, at), &self.lanes[at]);
        let Some(job) = lane.job else { return };
        H::compress(&mut state, lane.text);
        H::compress(&mut state, &lane.tail.blocks()[lane.taken..]);
        self.end(job, state);
    }
}

/// The outer hashes of as many messages as there are lanes, or fewer.
fn outer_hashes<H: Hash<LANES, BLOCK>, const LANES: usize, const BLOCK: usize>(
    cpu: Cpu,
    jobs: &mut [Job<'_, '_, H::Word>],
    digests: &[[H::Word; 8]],
) {
    let (mut state, mut words) = ([[H::Word::default(); LANES]; 8], [[H::Word::default(); LANES]; 16]);
    for (lane, (job, digest)) in jobs.iter().zip(digests).enumerate() {
        let [_, outer] = job.states;
        column_mut(&mut state, lane).zip(outer).for_each(|(to, word)| *to = *word);
        column_mut(&mut words, lane).zip(digest).take(job.words).for_each(|(to, word)| *to = *word);
        words[job.words][lane] = H::BIT;
        words[15][lane] = H::number(8 * (BLOCK + job.words * H::Word::OCTETS));
    }
    H::words_side_by_side(cpu, &mut state, &words);
    for (lane, job) in jobs.iter_mut().enumerate() {
        *job.mac = single::front(&column(&state, lane));
    }
}

/// What one lane has of a state.
#[inline(always)]
fn column<W: Copy + Default, const LANES: usize>(state: &[[W; LANES]; 8], lane: usize) -> [W; 8] {
    let mut column = [W::default(); 8];
    column.iter_mut().zip(state).for_each(|(to, words)| *to = words[lane]);
    column
}

/// What one lane has of rows of words.
#[inline(always)]
fn column_mut<W, const LANES: usize>(rows: &mut [[W; LANES]], lane: usize) -> impl Iterator<Item = &mut W> {
    rows.iter_mut().map(move |words| &mut words[lane])
}

/// Joins a hash to what computes it.
macro_rules! side_by_side {
    ($hash:ident, $lanes:literal, $block:literal, $word:ty, $module:ident, few $few:literal, $states:pat => $of:expr) => {
        impl Hash<$lanes, $block> for $hash {
            const FEW: usize = $few;
            const BIT: $word = 1 << (<$word>::BITS - 1);

            #[inline(always)]
            fn side_by_side(cpu: Cpu, state: &mut [[$word; $lanes]; 8], blocks: [&[u8; $block]; $lanes]) {
                $module::blocks(cpu, state, blocks);
            }

            #[inline(always)]
            fn words_side_by_side(cpu: Cpu, state: &mut [[$word; $lanes]; 8], words: &[[$word; $lanes]; 16]) {
                $module::words(cpu, state, words);
            }

            #[inline(always)]
            fn of(key: &MacKey) -> Option<(&[[$word; 8]; 2], usize)> {
                match &key.states {
                    $states => Some($of),
                    _ => None,
                }
            }

            fn number(number: usize) -> $word {
                number as $word
            }
        }
    };
}

// Measured: what a block costs in lanes, over what it costs alone.
side_by_side!(Sha1, 16, 64, u32, sha1, few 5, States::Sha1(states) => (states, 5));
side_by_side!(Sha256, 16, 64, u32, sha256, few 8, States::Sha256(states) => (states, 8));
side_by_side!(Sha512, 8, 128, u64, sha512, few 1, States::Sha512(states, words) => (states, *words));
