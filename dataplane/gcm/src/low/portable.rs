//! The kernel over RustCrypto's `aes-gcm`: every key size, every processor, one packet at a time.
//!
//! It serves AES-192, processors nothing faster exists for, and the tests as the oracle of the
//! other kernels. `aes` still uses the processor's AES instructions where it finds them.

use aes_gcm::aead::consts::U12;
use aes_gcm::aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use aes_gcm::{AeadInOut, AesGcm, KeyInit, Nonce, Tag};
use zeroize::ZeroizeOnDrop;

use super::{conclude, discard_unsealed, open_short};
use crate::key::{self, BadKeyLength, Key, KeySize};
use crate::{Icv, Open, Seal};

/// A key expanded by `aes-gcm`, which wipes its parts on drop. GCM never deciphers, so the keys for
/// that are not kept.
pub(crate) enum Schedule {
    Aes128(AesGcm<Aes128Enc, U12>),
    Aes192(AesGcm<Aes192Enc, U12>),
    Aes256(AesGcm<Aes256Enc, U12>),
}

// Holds `aes-gcm` to its promise: without its `zeroize` feature this does not compile.
const fn wiped_on_drop<T: ZeroizeOnDrop>() {}
const _: () = {
    wiped_on_drop::<AesGcm<Aes128Enc, U12>>();
    wiped_on_drop::<AesGcm<Aes192Enc, U12>>();
    wiped_on_drop::<AesGcm<Aes256Enc, U12>>();
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

    pub(crate) fn size(&self) -> KeySize {
        match self {
            Schedule::Aes128(_) => KeySize::Aes128,
            Schedule::Aes192(_) => KeySize::Aes192,
            Schedule::Aes256(_) => KeySize::Aes256,
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

/// The lane's schedule; a group of this kernel has no others.
fn schedule(key: &Key) -> Option<&Schedule> {
    match key.schedule() {
        key::Schedule::Portable(schedule) => Some(schedule),
        _ => None,
    }
}

/// Seals a lane expanded for this kernel.
pub(crate) fn seal(lane: &mut Seal<'_>) {
    let nonce = lane.nonce.nonce().into();
    match schedule(lane.key).and_then(|schedule| schedule.seal(&nonce, lane.aad, lane.text)) {
        Some(tag) => lane.tag.write(tag.into()),
        None => discard_unsealed(lane),
    }
}

/// Opens a lane expanded for this kernel. `aes-gcm` checks a whole tag, in constant time, before it
/// decrypts.
pub(crate) fn open(lane: &mut Open<'_>) {
    let nonce = lane.nonce.nonce().into();
    let aad = lane.aad;
    let opened = schedule(lane.key).and_then(|schedule| match lane.tag.icv() {
        Icv::Sixteen => schedule.open(&nonce, aad, lane.text, &lane.tag.padded().into()),
        _ => open_short(lane, |text| schedule.seal(&nonce, aad, text).map(Into::into)),
    });
    conclude(lane, opened.is_some());
}
