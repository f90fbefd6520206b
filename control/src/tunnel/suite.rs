//! What was negotiated for a CHILD SA as the workers know it: which of their suites, and the keying material of a
//! direction in the order they take it.

use ravelin_dataplane::cipher::Hash;
use ravelin_dataplane::sa::suite::Suite;
use ravelin_gcm::KeySize;
use ravelin_ike::config::{Encryption, Integrity};
use zeroize::Zeroizing;

use super::outbox::Key;

/// The workers' suite for a cipher and its integrity algorithm; `None` if they have none, which no proposal that this
/// program reads leads to.
pub fn carried(encryption: Encryption, integrity: Option<Integrity>) -> Option<Suite> {
    let cbc = |size| Some(Suite::AesCbc(size, hash(integrity?)));
    match encryption {
        Encryption::AesGcm128 => Some(Suite::AesGcm128),
        Encryption::AesGcm192 => Some(Suite::AesGcm192),
        Encryption::AesGcm256 => Some(Suite::AesGcm256),
        Encryption::AesCbc128 => cbc(KeySize::Aes128),
        Encryption::AesCbc192 => cbc(KeySize::Aes192),
        Encryption::AesCbc256 => cbc(KeySize::Aes256),
        Encryption::ChaCha20Poly1305 => Some(Suite::ChaCha20Poly1305),
        Encryption::Null => Some(Suite::Null(hash(integrity?))),
        Encryption::TripleDes => Some(Suite::TripleDes(hash(integrity?))),
        Encryption::Des => Some(Suite::Des(hash(integrity?))),
        Encryption::AesCcm128 => Some(Suite::AesCcm(KeySize::Aes128)),
        Encryption::AesCcm192 => Some(Suite::AesCcm(KeySize::Aes192)),
        Encryption::AesCcm256 => Some(Suite::AesCcm(KeySize::Aes256)),
        Encryption::AesGmac128 => Some(Suite::AesGmac(KeySize::Aes128)),
        Encryption::AesGmac192 => Some(Suite::AesGmac(KeySize::Aes192)),
        Encryption::AesGmac256 => Some(Suite::AesGmac(KeySize::Aes256)),
    }
}

fn hash(integrity: Integrity) -> Hash {
    match integrity {
        Integrity::HmacSha1 => Hash::Sha1,
        Integrity::HmacSha256 => Hash::Sha256,
        Integrity::HmacSha384 => Hash::Sha384,
        Integrity::HmacSha512 => Hash::Sha512,
        Integrity::HmacMd5 => Hash::Md5,
        Integrity::AesCmac => Hash::AesCmac,
    }
}

/// The keys of one direction: the cipher's, the hash's, and as much of `seed`, which nobody else knows, as the suite
/// asks for.
pub fn material(suite: Suite, cipher: &[u8], hash: &[u8], seed: &[u8]) -> Key {
    let seed = seed.get(..suite.seed_length()).unwrap_or_default();
    // Of its length from the start: growing would leave a copy behind.
    let mut material = Zeroizing::new(Vec::with_capacity(cipher.len() + hash.len() + seed.len()));
    for part in [cipher, hash, seed] {
        material.extend_from_slice(part);
    }
    material
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_laid_in_a_row() {
        let suite = Suite::AesCbc(KeySize::Aes128, Hash::Sha256);
        let material = material(suite, &[1; 16], &[2; 32], &[3; 16]);
        assert_eq!(*material, [vec![1; 16], vec![2; 32], vec![3; 16]].concat());
        assert_eq!(material.len(), suite.keymat_length() + suite.seed_length());
        assert_eq!(*super::material(Suite::AesGcm128, &[1; 20], &[], &[3; 16]), vec![1; 20]);
    }

    /// What IKE takes from its stream of keys is what a worker expects.
    #[test]
    fn lengths_agree() {
        for encryption in Encryption::ALL {
            let integrities = Integrity::ALL.map(Some).into_iter().filter(|_| !encryption.is_aead());
            for integrity in integrities.chain(encryption.is_aead().then_some(None)) {
                let suite = carried(encryption, integrity).unwrap();
                let length = encryption.keymat_len() + integrity.map_or(0, |integrity| integrity.key_len());
                assert_eq!(suite.keymat_length(), length, "{suite:?}");
            }
        }
    }
}
