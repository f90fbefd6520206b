//! AES-GCM over bursts of packets, each packet under its own key.
//!
//! A gateway holds a burst of packets of many security associations at once. This crate takes
//! them together, so that a kernel may keep several packets in flight, and says what became of
//! each. It is the only room that encrypts ESP with GCM; IKE's SK payload uses it too.
//!
//! Sources: NIST SP 800-38D (GCM), FIPS 197 (AES), RFC 4106 (ESP), RFC 5282 (IKE). Offered is
//! what those two RFCs have: a 96-bit nonce and a tag of 16, 12 or 8 octets.
//!
//! Left to the caller:
//! - **the nonce**: twice the same one under one key gives both texts away (SP 800-38D §8). The
//!   caller builds it (RFC 4106 §4: 4 octets of salt, 8 octets of IV) and never repeats it;
//! - **the layout**: this crate knows text, associated data and tag, not ESP or IKE headers;
//! - **what to do with a bad tag**: the verdict is per packet, the text is then all zeros.
//!
//! Layers, imports pointing downwards: the burst calls here, [`Key`] (`key.rs`), [`Kernel`]
//! (`kernel.rs`) and [`Tag`] (`tag.rs`); `order.rs` sorts a burst into groups one kernel can work
//! together; `low/` holds the kernels and all the `unsafe`.

mod kernel;
mod key;
mod low;
mod order;
mod tag;

pub use kernel::Kernel;
pub use key::{BadKeyLength, Key, KeySize};
pub use tag::{BadTagLength, Icv, Tag, TagMut};

use std::fmt;

use low::Block;

/// Lanes considered together. A longer slice is correct too, it is worked in pieces.
pub const BURST: usize = 64;

/// Octets of a whole tag (RFC 4106 §6: the 16-octet ICV is the one every implementation supports).
pub const TAG_LENGTH: usize = 16;

/// Octets of a nonce: 4 of salt, 8 of explicit IV (RFC 4106 §4).
pub const NONCE_LENGTH: usize = 12;

/// Octets of text one nonce can protect: 2^36 - 32 (SP 800-38D §5.2.1.1).
pub const LONGEST_TEXT: u64 = (1 << 36) - 32;

/// One packet to encrypt in place.
#[derive(Debug)]
pub struct Seal<'a> {
    key: &'a Key,
    nonce: Block,
    aad: &'a [u8],
    text: &'a mut [u8],
    tag: TagMut<'a>,
}

impl<'a> Seal<'a> {
    /// A lane: `text`, of any length, zero included, is encrypted in place, and `tag`, of 8, 12 or 16
    /// octets, written. `nonce` was never used before under this `key`; `aad`, of any length, is
    /// authenticated and not encrypted.
    #[inline]
    pub fn new(
        key: &'a Key,
        nonce: [u8; NONCE_LENGTH],
        aad: &'a [u8],
        text: &'a mut [u8],
        tag: impl Into<TagMut<'a>>,
    ) -> Seal<'a> {
        Seal { key, nonce: Block::of_nonce(nonce), aad, text, tag: tag.into() }
    }
}

/// One packet to check and decrypt in place.
#[derive(Debug)]
pub struct Open<'a> {
    key: &'a Key,
    nonce: Block,
    aad: &'a [u8],
    /// In: ciphertext. Out: plaintext, or zeros if the tag is bad. Any length, zero included.
    pub text: &'a mut [u8],
    tag: Tag,
    /// Out: whether `text` is what the holder of the key sealed.
    pub verdict: Result<(), BadTag>,
}

impl<'a> Open<'a> {
    /// A lane: `text` was sealed under this `key` with this `nonce` and `aad`, and `tag`, of 8, 12 or
    /// 16 octets, came with it. Its verdict is [`BadTag`] until [`open_burst`] has said otherwise, so
    /// that a lane forgotten is a lane refused.
    #[inline]
    pub fn new(
        key: &'a Key,
        nonce: [u8; NONCE_LENGTH],
        aad: &'a [u8],
        text: &'a mut [u8],
        tag: impl Into<Tag>,
    ) -> Open<'a> {
        Open { key, nonce: Block::of_nonce(nonce), aad, text, tag: tag.into(), verdict: Err(BadTag) }
    }
}

/// The tag does not fit key, nonce, associated data and text: the packet was altered on the way or
/// not sealed under this key. Which of these, nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTag;

impl fmt::Display for BadTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authentication tag does not match: packet altered, or sealed under another key")
    }
}

impl std::error::Error for BadTag {}

/// Encrypts every lane in place and writes its tag (SP 800-38D §7.1). Keys may be mixed freely.
/// Allocates nothing.
///
/// A text longer than [`LONGEST_TEXT`] cannot be sealed; its lane comes back as zeros, text and
/// tag, and never in clear.
pub fn seal_burst(lanes: &mut [Seal<'_>]) {
    order::for_each_group(lanes, |class, lanes, group| class.seal(lanes, group));
}

/// Checks every lane's tag in constant time, decrypts in place, writes the verdict
/// (SP 800-38D §7.2). Keys may be mixed freely. Allocates nothing.
///
/// The text of a lane whose tag is bad is overwritten with zeros.
pub fn open_burst(lanes: &mut [Open<'_>]) {
    order::for_each_group(lanes, |class, lanes, group| class.open(lanes, group));
}

/// Compiles and runs the example of the crate's page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
