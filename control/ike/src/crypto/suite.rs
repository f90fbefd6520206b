//! How configured algorithms stand in transforms (RFC 7296 §3.3.2).

use crate::config::{Encryption, Group, Integrity, Prf};
use crate::wire::{EncryptionId, Transform, TransformType};

impl Encryption {
    /// This cipher as a transform.
    pub fn transform(self) -> Transform {
        Transform::encryption(EncryptionId::from(self.transform_id()), self.key_length_attribute())
    }
}

impl Integrity {
    /// This algorithm as a transform.
    pub fn transform(self) -> Transform {
        Transform::integrity(self.transform_id().into())
    }

    /// Octets of the truncated check value: half the hash output (RFC 4868 §2.3), of SHA-1, MD5 and AES-CMAC 96 bits (RFC
    /// 2404 §2, RFC 2403 §2, RFC 4494 §1).
    pub fn icv_length(self) -> usize {
        match self {
            Self::HmacSha1 | Self::HmacMd5 | Self::AesCmac => 12,
            Self::HmacSha256 | Self::HmacSha384 | Self::HmacSha512 => self.key_len() / 2,
        }
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

    /// This method as a transform for an additional key exchange.
    pub fn additional_transform(self, kind: TransformType) -> Transform {
        Transform::additional_key_exchange(kind, self.transform_id().into())
    }
}
