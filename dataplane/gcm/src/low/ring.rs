//! The kernel over `ring`: AES-128 and AES-256 by its assembly, one packet at a time.
//!
//! `ring` picks AES-NI, AVX2 VAES or ARMv8 instructions itself. It does not wipe its keys; this
//! file does, and that is its one `unsafe`.

use std::mem::{MaybeUninit, needs_drop};

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use zeroize::Zeroize;

use super::{Block, conclude, discard_unsealed, open_short};
use crate::key::{self, Key};
use crate::{Icv, Open, Seal, TAG_LENGTH};

// Without a destructor it owns nothing elsewhere, so its own octets are all of the key there is.
const _: () = assert!(!needs_drop::<LessSafeKey>());

/// A key expanded by `ring`. Always initialised; `MaybeUninit` because wiping leaves octets that
/// are no valid `LessSafeKey`.
pub(crate) struct Schedule(MaybeUninit<LessSafeKey>);

impl Schedule {
    /// None for a length `ring` has no algorithm for.
    pub(crate) fn new(key: &[u8]) -> Option<Schedule> {
        let algorithm = match key.len() {
            16 => &AES_128_GCM,
            32 => &AES_256_GCM,
            _ => return None,
        };
        let key = UnboundKey::new(algorithm, key).ok()?;
        Some(Schedule(MaybeUninit::new(LessSafeKey::new(key))))
    }

    #[inline]
    fn expanded(&self) -> &LessSafeKey {
        // SAFETY: `new`, the only constructor, initialises the field, and only `drop` wipes it.
        unsafe { self.0.assume_init_ref() }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        // The destructor it skips does nothing, see the assertion above.
        self.0.zeroize();
    }
}

/// The lane's schedule; a group of this kernel has no others.
#[inline]
fn schedule(key: &Key) -> Option<&LessSafeKey> {
    match key.schedule() {
        key::Schedule::Ring(_, schedule) => Some(schedule.expanded()),
        _ => None,
    }
}

/// Seals a lane expanded for this kernel.
pub(crate) fn seal(lane: &mut Seal<'_>) {
    let tag = schedule(lane.key).and_then(|key| tag_of_sealed(key, lane.nonce, lane.aad, lane.text));
    match tag {
        Some(tag) => lane.tag.write(tag),
        None => discard_unsealed(lane),
    }
}

#[inline]
fn tag_of_sealed(key: &LessSafeKey, nonce: Block, aad: &[u8], text: &mut [u8]) -> Option<[u8; TAG_LENGTH]> {
    let nonce = Nonce::assume_unique_for_key(nonce.nonce());
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), text).ok()?;
    tag.as_ref().try_into().ok()
}

/// Opens a lane expanded for this kernel. `ring` compares whole tags in constant time.
pub(crate) fn open(lane: &mut Open<'_>) {
    let opened = schedule(lane.key).and_then(|key| opened(key, lane));
    conclude(lane, opened.is_some());
}

#[inline]
fn opened(key: &LessSafeKey, lane: &mut Open<'_>) -> Option<()> {
    let (nonce, aad) = (lane.nonce, lane.aad);
    if lane.tag.icv() != Icv::Sixteen {
        return open_short(lane, |text| tag_of_sealed(key, nonce, aad, text));
    }
    let nonce = Nonce::assume_unique_for_key(nonce.nonce());
    let tag = Tag::from(lane.tag.padded());
    key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, lane.text, 0..).ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::size_of;

    /// After drop not one octet of the expanded key is left in its place.
    #[test]
    fn drop_wipes_the_whole_schedule() {
        let mut place = Box::new(MaybeUninit::new(Schedule::new(&[0x5a; 32]).unwrap()));
        // SAFETY: the value was just put there, and is not used as a `Schedule` again.
        unsafe { place.assume_init_drop() };
        // SAFETY: drop has overwritten every octet of the allocation, so all are initialised.
        let octets =
            unsafe { std::slice::from_raw_parts(place.as_ptr().cast::<u8>(), size_of::<Schedule>()) };
        assert!(octets.iter().all(|&octet| octet == 0));
    }
}
