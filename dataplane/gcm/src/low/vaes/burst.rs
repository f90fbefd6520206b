//! From lane to lane: lays out each packet, has it worked, and gives each lane its tag or verdict.
//! The hash of a short packet is made while the next one is enciphered.

use core::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8};

use super::crypt::{self, Pending, SHORT};
use super::lines;
use super::packet::{self, Packet};
use super::schedule::Schedule;
use super::wide::{Wide, block_of};
use crate::key::Key;
use crate::low::{Block, conclude, discard_unsealed};
use crate::{LONGEST_TEXT, Open, Seal, TAG_LENGTH};

/// How many lanes ahead keys are prefetched: about what the processor's line buffers hold.
const AHEAD: usize = 8;

/// A lane of either direction.
pub(crate) trait Lane<'k> {
    fn key(&self) -> &'k Key;
    fn octets(&self) -> usize;
    /// The packet, which has `rows` rows.
    fn packet<V: Wide>(&mut self, cpu: V::Cpu, key: &'k Schedule, rows: usize) -> Packet<'k, '_, V>;
    /// Takes the tag of the packet.
    fn finish(&mut self, tag: __m128i);
    /// Leaves nothing of a packet that cannot be worked.
    fn refuse(&mut self);
}

impl<'k> Lane<'k> for Seal<'k> {
    #[inline(always)]
    fn key(&self) -> &'k Key {
        self.key
    }

    #[inline(always)]
    fn octets(&self) -> usize {
        self.text.len()
    }

    #[inline(always)]
    fn packet<V: Wide>(&mut self, cpu: V::Cpu, key: &'k Schedule, rows: usize) -> Packet<'k, '_, V> {
        Packet::new(cpu, key, &self.nonce, self.aad, self.text, rows)
    }

    #[inline(always)]
    fn finish(&mut self, tag: __m128i) {
        self.tag.write(block_of(tag).0);
    }

    fn refuse(&mut self) {
        discard_unsealed(self);
    }
}

impl<'k> Lane<'k> for Open<'k> {
    #[inline(always)]
    fn key(&self) -> &'k Key {
        self.key
    }

    #[inline(always)]
    fn octets(&self) -> usize {
        self.text.len()
    }

    #[inline(always)]
    fn packet<V: Wide>(&mut self, cpu: V::Cpu, key: &'k Schedule, rows: usize) -> Packet<'k, '_, V> {
        Packet::new(cpu, key, &self.nonce, self.aad, self.text, rows)
    }

    /// The text was decrypted while it was hashed; it is wiped if the tag turns out bad. All octets are
    /// compared at once.
    #[inline(always)]
    fn finish(&mut self, tag: __m128i) {
        // SAFETY: SSE2 is part of every x86-64, and a `Block` is aligned.
        let equal = unsafe {
            let received = Block(self.tag.padded());
            _mm_movemask_epi8(_mm_cmpeq_epi8(tag, _mm_load_si128(received.0.as_ptr().cast())))
        };
        let ignored = TAG_LENGTH - self.tag.icv().octets();
        conclude(self, (equal as u32) << (16 + ignored) == u32::MAX << (16 + ignored));
    }

    fn refuse(&mut self) {
        conclude(self, false);
    }
}

/// Works each lane of `group`, all of `R` rows, at most [`SHORT`].
#[inline(always)]
pub(crate) fn short<'k, V: Wide, L: Lane<'k>, const N: usize, const R: usize, const OPEN: bool>(
    cpu: V::Cpu,
    lanes: &mut [L],
    group: &[u8],
) {
    let used = if R <= 2 { N + 5 } else { N + 3 + R };
    let mut before: Option<(usize, Pending<'k, V, N, R>)> = None;
    for (i, &number) in group.iter().enumerate() {
        prefetch(lanes, group.get(i + AHEAD), used);
        let number = usize::from(number);
        let Some(lane) = lanes.get_mut(number) else { continue };
        // A packet laid out in the wrong number of rows would reach beyond its text.
        let Some(key) = V::schedule(lane.key()).filter(|_| packet::rows::<V>(lane.octets()) == R) else {
            lane.refuse();
            continue;
        };
        let (last, mut pending) = before.unwrap_or((usize::MAX, Pending::none(cpu, key)));
        let packet = lane.packet(cpu, key, R);
        before = Some((number, crypt::short::<V, N, R, OPEN>(cpu, &packet, &mut pending.hashing)));
        if let Some(lane) = lanes.get_mut(last) {
            lane.finish(pending.tag(cpu, N - 1));
        }
    }
    if let Some((last, pending)) = before
        && let Some(lane) = lanes.get_mut(last)
    {
        lane.finish(pending.tag(cpu, 0));
    }
}

/// Works each lane of `group`, all of more than [`SHORT`] rows.
#[inline(always)]
pub(crate) fn long<'k, V: Wide, L: Lane<'k>, const N: usize, const OPEN: bool>(
    cpu: V::Cpu,
    lanes: &mut [L],
    group: &[u8],
) {
    for (i, &number) in group.iter().enumerate() {
        prefetch(lanes, group.get(i + AHEAD), N + 12);
        let Some(lane) = lanes.get_mut(usize::from(number)) else { continue };
        let rows = packet::rows::<V>(lane.octets());
        let fits = rows > SHORT && lane.octets() as u64 <= LONGEST_TEXT;
        let Some(key) = V::schedule(lane.key()).filter(|_| fits) else {
            lane.refuse();
            continue;
        };
        let packet = lane.packet(cpu, key, rows);
        let tag = crypt::long::<V, N, OPEN>(cpu, &packet);
        lane.finish(tag);
    }
}

/// Fetches the first `blocks` of the schedule of a lane to come.
#[inline(always)]
fn prefetch<'k, L: Lane<'k>>(lanes: &[L], number: Option<&u8>, blocks: usize) {
    if let Some(lane) = number.and_then(|&number| lanes.get(usize::from(number))) {
        lines(lane.key(), 16 * (1 + blocks));
    }
}
