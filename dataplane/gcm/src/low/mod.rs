//! The kernels, one file each: the only part of the crate that knows how AES and GHASH are computed.
//!
//! Each offers the same three things and no more: a `Schedule` (a key expanded for it, wiped on
//! drop), `seal(run)` and `open(run)` over lanes that [`crate::schedule`] found to be its own.
//! A kernel compares tags in constant time, wipes the text of a lane whose tag is bad, and
//! allocates nothing.

pub(crate) mod portable;
pub(crate) mod ring;

use zeroize::Zeroize;

use crate::{BadTag, Open, Seal};

/// Leaves nothing of a packet that could not be sealed: it must not go out in clear.
#[cold]
fn discard_unsealed(lane: &mut Seal<'_>) {
    lane.text.zeroize();
    lane.tag.zeroize();
}

/// Writes the verdict, and leaves nothing of a text whose tag is bad: SP 800-38D §7.2 returns FAIL
/// and no plaintext.
#[inline]
fn conclude(lane: &mut Open<'_>, authentic: bool) {
    lane.verdict = if authentic { Ok(()) } else { Err(BadTag) };
    if !authentic {
        lane.text.zeroize();
    }
}
