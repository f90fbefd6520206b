//! AES-GMAC (RFC 4543): AES-GCM that encrypts nothing and authenticates everything (SP 800-38D §3).
//!
//! Over RustCrypto's `aes` and `ghash`, which take the processor's AES and carry-less multiplication where there are
//! any. The kernels of `ravelin_gcm` would take a payload as associated data; but their key, expanded for packets to
//! encrypt, is longer than the place an SA has for what is apart, and with extended sequence numbers the associated
//! data do not lie in one piece.
//!
//! The explicit IV is the sequence number: under one key none is used twice (RFC 4543 §3.1).

use std::fmt;

use aes::cipher::BlockCipherEncrypt;
use aes::cipher::array::Array;
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use ghash::GHash;
use ghash::universal_hash::{KeyInit, UniversalHash};
use ravelin_gcm::KeySize;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Position;

/// Octets of salt, the implicit part of the nonce.
pub const SALT: usize = 4;

/// SPI and sequence number.
const HEADER: usize = 8;
/// Octets of explicit IV.
const IV: usize = 8;
/// Octets of ICV.
const ICV: usize = 16;

/// Authenticates and checks: it is the same key.
pub struct Key {
    cipher: Cipher,
    /// Nothing hashed yet.
    hash: GHash,
    salt: Zeroizing<[u8; SALT]>,
}

enum Cipher {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl Cipher {
    fn new(size: KeySize, key: &[u8]) -> Option<Cipher> {
        Some(match size {
            KeySize::Aes128 => Cipher::Aes128(KeyInit::new_from_slice(key).ok()?),
            KeySize::Aes192 => Cipher::Aes192(KeyInit::new_from_slice(key).ok()?),
            KeySize::Aes256 => Cipher::Aes256(KeyInit::new_from_slice(key).ok()?),
        })
    }

    fn of(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = Array::from(block);
        match self {
            Cipher::Aes128(cipher) => cipher.encrypt_block(&mut block),
            Cipher::Aes192(cipher) => cipher.encrypt_block(&mut block),
            Cipher::Aes256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }
}

impl Key {
    /// `keys` are key and salt (RFC 4543 §5.3).
    pub(super) fn new(size: KeySize, keys: &[u8]) -> Option<Key> {
        let (key, salt) = keys.split_last_chunk()?;
        let cipher = Cipher::new(size, key)?;
        let hash = Zeroizing::new(cipher.of([0; 16]));
        Some(Key { hash: GHash::new(&Array::from(*hash)), cipher, salt: Zeroizing::new(*salt) })
    }

    pub(super) fn seal(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let (covered, icv) = packet.split_last_chunk_mut::<ICV>()?;
        *covered.get_mut(HEADER..)?.first_chunk_mut()? = at.sequence.to_be_bytes();
        *icv = self.icv(at, covered)?;
        Some(())
    }

    pub(super) fn open(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let (covered, icv) = packet.split_last_chunk::<ICV>()?;
        let wanted = Zeroizing::new(self.icv(at, covered)?);
        bool::from(wanted.ct_eq(icv)).then_some(())
    }

    /// "SPI, (Extended) Sequence Number", IV and all that follows it are associated data (RFC 4543 §3.3; that the IV is
    /// among them draft-mcgrew-gcm-test §2 makes clear), the text is empty.
    fn icv(&self, at: Position, covered: &[u8]) -> Option<[u8; ICV]> {
        let [a, b, c, d, m, n, o, p] = *covered.first_chunk::<HEADER>()?;
        let iv: [u8; IV] = *covered.get(HEADER..)?.first_chunk()?;
        let (mut hash, mut length) = (self.hash.clone(), covered.len() as u64);
        match at.esn {
            false => hash.update_padded(covered),
            true => {
                // The half of the number that is not sent stands before the other, and moves what is behind on.
                let [i, j, k, l] = ((at.sequence >> 32) as u32).to_be_bytes();
                let [q, r, s, t, ..] = iv;
                hash.update(&[Array::from([a, b, c, d, i, j, k, l, m, n, o, p, q, r, s, t])]);
                hash.update_padded(covered.get(HEADER + 4..)?);
                length += 4;
            }
        }
        // Bits of associated data, bits of text.
        hash.update(&[Array::from((u128::from(length * 8) << 64).to_be_bytes())]);
        let (sum, pad) = (u128::from_be_bytes(hash.finalize().into()), u128::from_be_bytes(self.pad(iv)));
        Some((sum ^ pad).to_be_bytes())
    }

    /// What the hash is encrypted with: the block of the nonce, number one (SP 800-38D §7.1).
    fn pad(&self, [a, b, c, d, e, f, g, h]: [u8; IV]) -> [u8; 16] {
        let [i, j, k, l] = *self.salt;
        self.cipher.of([i, j, k, l, a, b, c, d, e, f, g, h, 0, 0, 0, 1])
    }
}

/// Keys do not belong in logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gmac::Key(..)")
    }
}
