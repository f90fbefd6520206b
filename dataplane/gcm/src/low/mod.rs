//! The kernels: the only part of the crate that knows how AES and GHASH are computed.
//!
//! Each offers the same three things and no more: a `Schedule` (a key expanded for it, wiped on
//! drop), `seal` and `open` over a group of lanes that [`crate::order`] found to be its own. A kernel
//! compares tags in constant time, wipes the text of a lane whose tag is bad, and allocates nothing.

pub(crate) mod portable;
pub(crate) mod ring;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vaes;

use zeroize::Zeroize;

use crate::{BadTag, Icv, NONCE_LENGTH, Open, Seal, TAG_LENGTH};

/// One block of AES and of GHASH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub(crate) struct Block(pub(crate) [u8; 16]);

impl Block {
    #[cfg(target_arch = "x86_64")]
    pub(crate) const ZERO: Block = Block([0; 16]);

    /// A nonce with zeros where the counter goes.
    #[inline(always)]
    pub(crate) fn of_nonce(nonce: [u8; NONCE_LENGTH]) -> Block {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = nonce;
        Block([a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 0])
    }

    /// The first and the last 8 octets.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn halves(&self) -> &[[u8; 8]; 2] {
        // SAFETY: a block is two halves without anything between them, and octets have any alignment.
        unsafe { &*std::ptr::from_ref(&self.0).cast() }
    }

    pub(crate) fn nonce(&self) -> [u8; NONCE_LENGTH] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = self.0;
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

/// Those of `lanes` whose numbers are in `group`.
pub(crate) fn each<L>(lanes: &mut [L], group: &[u8], mut work: impl FnMut(&mut L)) {
    for &number in group {
        if let Some(lane) = lanes.get_mut(usize::from(number)) {
            work(lane);
        }
    }
}

/// Leaves nothing of a packet that could not be sealed: it must not go out in clear.
#[cold]
fn discard_unsealed(lane: &mut Seal<'_>) {
    lane.text.zeroize();
    lane.tag.write([0; TAG_LENGTH]);
}

/// Writes the verdict, and leaves nothing of a text whose tag is bad: SP 800-38D §7.2 returns FAIL
/// and no plaintext.
#[inline(always)]
fn conclude(lane: &mut Open<'_>, authentic: bool) {
    lane.verdict = if authentic { Ok(()) } else { Err(BadTag) };
    if !authentic {
        discard_unopened(lane);
    }
}

#[cold]
fn discard_unopened(lane: &mut Open<'_>) {
    lane.text.zeroize();
}

/// Opens a lane of a short tag with a library that checks only whole ones. Sealing is its own inverse
/// but for the tag: once over the ciphertext gives the plaintext, once more the ciphertext again and
/// the tag it should have, and a third time the plaintext to keep. Slow, and rarely asked for.
#[cold]
fn open_short(lane: &mut Open<'_>, seal: impl Fn(&mut [u8]) -> Option<[u8; TAG_LENGTH]>) -> Option<()> {
    seal(lane.text)?;
    let tag = seal(lane.text)?;
    seal(lane.text)?;
    equal(tag, lane.tag.padded(), lane.tag.icv()).then_some(())
}

/// Whether the front of two tags is the same, in constant time.
fn equal(a: [u8; TAG_LENGTH], b: [u8; TAG_LENGTH], icv: Icv) -> bool {
    let front = u128::MAX >> (8 * (TAG_LENGTH - icv.octets()));
    let difference = (u128::from_le_bytes(a) ^ u128::from_le_bytes(b)) & front;
    // The compiler is not to find out that octets could be compared one by one.
    std::hint::black_box(difference) == 0
}
