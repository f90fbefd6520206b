//! The kernel over `ring`: AES-128 and AES-256 by its assembly, one packet at a time.
//!
//! `ring` picks AES-NI, AVX2 VAES or ARMv8 instructions itself. It does not wipe its keys; this
//! file does, and that is its one `unsafe`.

use std::mem::{MaybeUninit, needs_drop};

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use zeroize::Zeroize;

use super::{conclude, discard_unsealed};
use crate::key::{self, Key};
use crate::{Open, Seal};

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

/// The lane's schedule; the scheduler hands this kernel no others.
#[inline]
fn schedule(key: &Key) -> Option<&LessSafeKey> {
    match key.schedule() {
        key::Schedule::Ring(schedule) => Some(schedule.expanded()),
        key::Schedule::Portable(_) => None,
    }
}

/// Seals a run of lanes, each expanded for this kernel.
pub(crate) fn seal(run: &mut [Seal<'_>]) {
    for lane in run {
        match tag_of_sealed(lane) {
            Some(tag) => lane.tag.copy_from_slice(tag.as_ref()),
            None => discard_unsealed(lane),
        }
    }
}

#[inline]
fn tag_of_sealed(lane: &mut Seal<'_>) -> Option<Tag> {
    let nonce = Nonce::assume_unique_for_key(lane.nonce);
    schedule(lane.key)?.seal_in_place_separate_tag(nonce, Aad::from(lane.aad), lane.text).ok()
}

/// Opens a run of lanes, each expanded for this kernel. `ring` compares tags in constant time.
pub(crate) fn open(run: &mut [Open<'_>]) {
    for lane in run {
        let authentic = opened(lane).is_some();
        conclude(lane, authentic);
    }
}

#[inline]
fn opened(lane: &mut Open<'_>) -> Option<()> {
    let nonce = Nonce::assume_unique_for_key(lane.nonce);
    let (aad, tag) = (Aad::from(lane.aad), Tag::from(lane.tag));
    schedule(lane.key)?.open_in_place_separate_tag(nonce, aad, tag, lane.text, 0..).ok().map(|_| ())
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
