//! The algorithms one SA ended up with, and how configured names stand in transforms.

use crate::config::{Encryption, Group, Integrity, Prf};
use crate::wire::{EncryptionId, Transform};

/// The algorithms of an IKE SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IkeSuite {
    /// Cipher of the SK payload.
    pub encryption: Encryption,
    /// Integrity of the SK payload; `None` with AEAD ciphers.
    pub integrity: Option<Integrity>,
    /// Pseudorandom function for keys and AUTH.
    pub prf: Prf,
    /// Key exchange method.
    pub group: Group,
}

impl Encryption {
    /// This cipher as a transform.
    pub fn transform(self) -> Transform {
        Transform::encryption(EncryptionId::from(self.transform_id()), Some(self.key_bits()))
    }
}

impl Integrity {
    /// This algorithm as a transform.
    pub fn transform(self) -> Transform {
        Transform::integrity(self.transform_id().into())
    }

    /// Octets of the truncated check value: half the hash output (RFC 4868 §2.3).
    pub fn icv_length(self) -> usize {
        self.key_len() / 2
    }
}

impl Prf {
    /// This function as a transform.
    pub fn transform(self) -> Transform {
        Transform::prf(self.transform_id().into())
    }
}

impl Group {
    /// This method as a transform.
    pub fn transform(self) -> Transform {
        Transform::key_exchange(self.transform_id().into())
    }
}
