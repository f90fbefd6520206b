//! The kernel over RustCrypto's `aes-gcm`: every key size, every processor, one packet at a time.
//!
//! It serves AES-192, processors nothing faster exists for, and the tests as the oracle of the
//! other kernels. `aes` still uses the processor's AES instructions where it finds them.

use aes_gcm::aead::consts::U12;
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use aes_gcm::{AeadInOut, AesGcm, KeyInit, Nonce, Tag};
use zeroize::ZeroizeOnDrop;

use super::{conclude, discard_unsealed};
use crate::key::{self, BadKeyLength, Key};
use crate::{Open, Seal};

/// A key expanded by `aes-gcm`, which wipes its parts on drop.
pub(crate) enum Schedule {
    Aes128(AesGcm<Aes128, U12>),
    Aes192(AesGcm<Aes192, U12>),
    Aes256(AesGcm<Aes256, U12>),
}

// Holds `aes-gcm` to its promise: without its `zeroize` feature this does not compile.
const fn wiped_on_drop<T: ZeroizeOnDrop>() {}
const _: () = {
    wiped_on_drop::<AesGcm<Aes128, U12>>();
    wiped_on_drop::<AesGcm<Aes192, U12>>();
    wiped_on_drop::<AesGcm<Aes256, U12>>();
};

impl Schedule {
    pub(crate) fn new(key: &[u8]) -> Result<Schedule, BadKeyLength> {
        let bad = |_| BadKeyLength { octets: key.len() };
        match key.len() {
            16 => AesGcm::new_from_slice(key).map(Schedule::Aes128).map_err(bad),
            24 => AesGcm::new_from_slice(key).map(Schedule::Aes192).map_err(bad),
            _ => AesGcm::new_from_slice(key).map(Schedule::Aes256).map_err(bad),
        }
    }

    fn seal(&self, nonce: &Nonce<U12>, aad: &[u8], text: &mut [u8]) -> Option<Tag> {
        let text = text.into();
        match self {
            Schedule::Aes128(gcm) => gcm.encrypt_inout_detached(nonce, aad, text),
            Schedule::Aes192(gcm) => gcm.encrypt_inout_detached(nonce, aad, text),
            Schedule::Aes256(gcm) => gcm.encrypt_inout_detached(nonce, aad, text),
        }
        .ok()
    }

    fn open(&self, nonce: &Nonce<U12>, aad: &[u8], text: &mut [u8], tag: &Tag) -> Option<()> {
        let text = text.into();
        match self {
            Schedule::Aes128(gcm) => gcm.decrypt_inout_detached(nonce, aad, text, tag),
            Schedule::Aes192(gcm) => gcm.decrypt_inout_detached(nonce, aad, text, tag),
            Schedule::Aes256(gcm) => gcm.decrypt_inout_detached(nonce, aad, text, tag),
        }
        .ok()
    }
}

/// The lane's schedule; the scheduler hands this kernel no others.
fn schedule(key: &Key) -> Option<&Schedule> {
    match key.schedule() {
        key::Schedule::Portable(schedule) => Some(schedule),
        key::Schedule::Ring(_) => None,
    }
}

/// Seals a run of lanes, each expanded for this kernel.
pub(crate) fn seal(run: &mut [Seal<'_>]) {
    for lane in run {
        let schedule = schedule(lane.key);
        match schedule.and_then(|schedule| schedule.seal(&lane.nonce.into(), lane.aad, lane.text)) {
            Some(tag) => lane.tag.copy_from_slice(&tag),
            None => discard_unsealed(lane),
        }
    }
}

/// Opens a run of lanes, each expanded for this kernel. `aes-gcm` checks the tag, in constant time,
/// before it decrypts.
pub(crate) fn open(run: &mut [Open<'_>]) {
    for lane in run {
        let (nonce, tag) = (lane.nonce.into(), lane.tag.into());
        let opened = schedule(lane.key).and_then(|schedule| schedule.open(&nonce, lane.aad, lane.text, &tag));
        conclude(lane, opened.is_some());
    }
}
