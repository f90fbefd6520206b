//! AES-CCM with a 16-octet ICV (RFC 4309), over RustCrypto's `ccm` and `aes`.
//!
//! The explicit IV is the sequence number: under one key none is used twice (RFC 4309 §3).

use std::fmt;

use aes::cipher::array::Array;
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use ccm::aead::inout::InOutBuf;
use ccm::consts::{U11, U16};
use ccm::{AeadInOut, Ccm, Error, KeyInit};
use ravelin_gcm::KeySize;
use zeroize::Zeroizing;

use super::Position;
use super::parts::{IV, Parts, associated};

/// Octets of salt, the implicit part of the nonce (RFC 4309 §4).
pub const SALT: usize = 3;

type With<C> = Ccm<C, U16, U11>;

/// Encrypts and decrypts: it is the same key.
pub struct Key {
    cipher: Cipher,
    salt: Zeroizing<[u8; SALT]>,
}

enum Cipher {
    Aes128(With<Aes128Enc>),
    Aes192(With<Aes192Enc>),
    Aes256(With<Aes256Enc>),
}

impl Cipher {
    fn new(size: KeySize, key: &[u8]) -> Option<Cipher> {
        Some(match size {
            KeySize::Aes128 => Cipher::Aes128(KeyInit::new_from_slice(key).ok()?),
            KeySize::Aes192 => Cipher::Aes192(KeyInit::new_from_slice(key).ok()?),
            KeySize::Aes256 => Cipher::Aes256(KeyInit::new_from_slice(key).ok()?),
        })
    }

    fn encrypt(&self, nonce: &Array<u8, U11>, associated: &[u8], text: &mut [u8]) -> Option<Array<u8, U16>> {
        let text = InOutBuf::from(text);
        let sealed = match self {
            Cipher::Aes128(cipher) => cipher.encrypt_inout_detached(nonce, associated, text),
            Cipher::Aes192(cipher) => cipher.encrypt_inout_detached(nonce, associated, text),
            Cipher::Aes256(cipher) => cipher.encrypt_inout_detached(nonce, associated, text),
        };
        sealed.ok()
    }

    /// The text is wiped where the ICV is not its own.
    fn decrypt(
        &self,
        nonce: &Array<u8, U11>,
        associated: &[u8],
        text: &mut [u8],
        icv: &Array<u8, U16>,
    ) -> Result<(), Error> {
        let text = InOutBuf::from(text);
        match self {
            Cipher::Aes128(cipher) => cipher.decrypt_inout_detached(nonce, associated, text, icv),
            Cipher::Aes192(cipher) => cipher.decrypt_inout_detached(nonce, associated, text, icv),
            Cipher::Aes256(cipher) => cipher.decrypt_inout_detached(nonce, associated, text, icv),
        }
    }
}

impl Key {
    /// `keys` are key and salt (RFC 4309 §7.1).
    pub(super) fn new(size: KeySize, keys: &[u8]) -> Option<Key> {
        let (key, salt) = keys.split_last_chunk()?;
        Some(Key { cipher: Cipher::new(size, key)?, salt: Zeroizing::new(*salt) })
    }

    fn nonce(&self, [a, b, c, d, e, f, g, h]: [u8; IV]) -> Array<u8, U11> {
        let [i, j, k] = *self.salt;
        Array::from([i, j, k, a, b, c, d, e, f, g, h])
    }

    pub(super) fn seal(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let Parts { header, iv, text, icv } = Parts::split(packet)?;
        *iv = at.sequence.to_be_bytes();
        let (associated, length) = associated(header, at);
        *icv = self.cipher.encrypt(&self.nonce(*iv), associated.get(..length)?, text)?.into();
        Some(())
    }

    pub(super) fn open(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let Parts { header, iv, text, icv } = Parts::split(packet)?;
        let (associated, length) = associated(header, at);
        self.cipher.decrypt(&self.nonce(*iv), associated.get(..length)?, text, &Array::from(*icv)).ok()
    }
}

/// Keys do not belong in logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ccm::Key(..)")
    }
}
