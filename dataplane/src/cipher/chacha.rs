//! ChaCha20-Poly1305 (RFC 7634, RFC 8439), over `ring`, which takes AVX2 where there is any.
//!
//! The explicit IV is the sequence number: it is to be unique and need not be unforeseen (RFC 7634 §2).
//!
//! `ring` has no wiping, and its key is made for the largest of its algorithms: longer than the place an SA has for one.
//! So the 32 octets are kept, which wipe themselves, and `ring`'s key is made of them for each packet and wiped behind it
//! ([`Wiped`]). That is about 100 ns a packet; `benches/ciphers` has both. Not wiped is what the making moves over
//! the stack, which the next packet overwrites, and the one-time key of Poly1305.

use std::fmt;

use ravelin_mem::wiped::Wiped;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};
use zeroize::Zeroizing;

use super::Position;
use super::parts::{IV, Parts, associated};

/// Octets of key.
pub const KEY: usize = 32;
/// Octets of salt, the implicit part of the nonce.
pub const SALT: usize = 4;

/// Encrypts and decrypts: it is the same key.
pub struct Key {
    key: Zeroizing<[u8; KEY]>,
    salt: Zeroizing<[u8; SALT]>,
}

impl Key {
    /// `keys` are key and salt (RFC 7634 §2).
    pub(super) fn new(keys: &[u8]) -> Option<Key> {
        let (key, salt) = keys.split_last_chunk()?;
        Some(Key { key: Zeroizing::new(key.try_into().ok()?), salt: Zeroizing::new(*salt) })
    }

    /// The key as `ring` wants it, for one packet.
    #[inline]
    fn made(&self) -> Option<Wiped<LessSafeKey>> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.key.as_slice()).ok()?;
        Some(Wiped::new(LessSafeKey::new(key)))
    }

    fn nonce(&self, [a, b, c, d, e, f, g, h]: [u8; IV]) -> Nonce {
        let [i, j, k, l] = *self.salt;
        Nonce::assume_unique_for_key([i, j, k, l, a, b, c, d, e, f, g, h])
    }

    pub(super) fn seal(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let Parts { header, iv, text, icv } = Parts::split(packet)?;
        *iv = at.sequence.to_be_bytes();
        let (associated, length) = associated(header, at);
        let associated = Aad::from(associated.get(..length)?);
        let tag = self.made()?.seal_in_place_separate_tag(self.nonce(*iv), associated, text).ok()?;
        *icv = tag.as_ref().try_into().ok()?;
        Some(())
    }

    pub(super) fn open(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let Parts { header, iv, text, icv } = Parts::split(packet)?;
        let (associated, length) = associated(header, at);
        let associated = Aad::from(associated.get(..length)?);
        let (nonce, tag) = (self.nonce(*iv), Tag::from(*icv));
        self.made()?.open_in_place_separate_tag(nonce, associated, tag, text, 0..).ok().map(|_| ())
    }
}

/// Keys do not belong in logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("chacha::Key(..)")
    }
}
