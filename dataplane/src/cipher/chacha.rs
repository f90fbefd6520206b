//! ChaCha20-Poly1305 (RFC 7634, RFC 8439), over RustCrypto's `chacha20poly1305`, which takes AVX2 where there is any.
//!
//! The explicit IV is the sequence number: it is to be unique and need not be unforeseen (RFC 7634 §2).

use std::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use zeroize::Zeroizing;

use super::Position;

/// Octets of key.
pub const KEY: usize = 32;
/// Octets of salt, the implicit part of the nonce.
pub const SALT: usize = 4;

/// SPI and sequence number.
const HEADER: usize = 8;
/// Octets of explicit IV.
const IV: usize = 8;
/// Octets of ICV.
const ICV: usize = 16;

/// Encrypts and decrypts: it is the same key.
pub struct Key {
    cipher: ChaCha20Poly1305,
    salt: Zeroizing<[u8; SALT]>,
}

/// An ESP packet in its parts.
struct Parts<'a> {
    header: &'a [u8; HEADER],
    iv: &'a mut [u8; IV],
    text: &'a mut [u8],
    icv: &'a mut [u8; ICV],
}

impl<'a> Parts<'a> {
    fn split(packet: &'a mut [u8]) -> Option<Parts<'a>> {
        let (header, rest) = packet.split_first_chunk_mut()?;
        let (iv, rest) = rest.split_first_chunk_mut()?;
        let (text, icv) = rest.split_last_chunk_mut()?;
        Some(Parts { header, iv, text, icv })
    }
}

/// "The AAD" is SPI and sequence number, of which with ESN all 64 bits (RFC 7634 §2.1, RFC 4106 §5).
fn associated(header: &[u8; HEADER], at: Position) -> ([u8; 12], usize) {
    let [a, b, c, d, e, f, g, h] = *header;
    let [i, j, k, l] = ((at.sequence >> 32) as u32).to_be_bytes();
    match at.esn {
        true => ([a, b, c, d, i, j, k, l, e, f, g, h], 12),
        false => ([a, b, c, d, e, f, g, h, 0, 0, 0, 0], 8),
    }
}

impl Key {
    /// `keys` are key and salt (RFC 7634 §2).
    pub(super) fn new(keys: &[u8]) -> Option<Key> {
        let (key, salt) = keys.split_last_chunk()?;
        Some(Key { cipher: KeyInit::new_from_slice(key).ok()?, salt: Zeroizing::new(*salt) })
    }

    fn nonce(&self, iv: &[u8; IV]) -> Nonce {
        let mut nonce = Nonce::default();
        nonce.iter_mut().zip(self.salt.iter().chain(iv)).for_each(|(to, from)| *to = *from);
        nonce
    }

    pub(super) fn seal(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let Parts { header, iv, text, icv } = Parts::split(packet)?;
        *iv = at.sequence.to_be_bytes();
        let (associated, length) = associated(header, at);
        let tag = self.cipher.encrypt_inout_detached(&self.nonce(iv), associated.get(..length)?, text.into());
        *icv = tag.ok()?.into();
        Some(())
    }

    pub(super) fn open(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let Parts { header, iv, text, icv } = Parts::split(packet)?;
        let (associated, length) = associated(header, at);
        let (nonce, tag) = (self.nonce(iv), (*icv).into());
        self.cipher.decrypt_inout_detached(&nonce, associated.get(..length)?, text.into(), &tag).ok()
    }
}

/// Keys do not belong in logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("chacha::Key(..)")
    }
}
