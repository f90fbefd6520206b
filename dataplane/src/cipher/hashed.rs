//! AES-CBC, Triple-DES, DES, or no cipher at all, with a separate ICV: encrypt, then authenticate (RFC 3602, RFC 2451,
//! RFC 2405, RFC 2410, RFC 4303 §3.3.2.1, RFC 8221 §4).
//!
//! Over RustCrypto's `aes` and `cbc`: decryption, whose blocks do not wait for each other, takes VAES where the
//! processor has it.

use std::fmt;

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
};
use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc};
use ravelin_gcm::KeySize;
use zeroize::Zeroizing;

use super::mac::{Hash, Mac};
use super::{Position, SEED, des};

/// Octets of a block and of an IV.
pub const BLOCK: usize = 16;

/// SPI and sequence number.
const HEADER: usize = 8;

/// Encrypts and authenticates.
pub struct Sealer {
    cipher: Encryption,
    mac: Mac,
    /// Key of the function that makes IVs of sequence numbers; without a cipher nothing.
    seed: Zeroizing<[u8; SEED]>,
}

/// Checks and decrypts.
pub struct Opener {
    cipher: Decryption,
    mac: Mac,
}

enum Encryption {
    Null,
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
    Des(des::Key),
}

enum Decryption {
    Null,
    Aes128(Aes128Dec),
    Aes192(Aes192Dec),
    Aes256(Aes256Dec),
    Des(des::Key),
}

/// Key of the cipher, key of the hash, seed.
type Split<'a> = (&'a [u8], &'a [u8], &'a [u8; SEED]);

fn split(octets: usize, keys: &[u8]) -> Option<Split<'_>> {
    let (keys, seed) = keys.split_last_chunk()?;
    let (cipher, hash) = keys.split_at_checked(octets)?;
    Some((cipher, hash, seed))
}

impl Sealer {
    /// Without a cipher; `key` is the hash's.
    pub(super) fn null(hash: Hash, key: &[u8]) -> Option<Sealer> {
        Some(Sealer { cipher: Encryption::Null, mac: Mac::new(hash, key)?, seed: Zeroizing::new([0; SEED]) })
    }

    pub(super) fn new(size: KeySize, hash: Hash, keys: &[u8]) -> Option<Sealer> {
        let (key, authentication, seed) = split(size.octets(), keys)?;
        let cipher = match size {
            KeySize::Aes128 => Encryption::Aes128(KeyInit::new_from_slice(key).ok()?),
            KeySize::Aes192 => Encryption::Aes192(KeyInit::new_from_slice(key).ok()?),
            KeySize::Aes256 => Encryption::Aes256(KeyInit::new_from_slice(key).ok()?),
        };
        Some(Sealer { cipher, mac: Mac::new(hash, authentication)?, seed: Zeroizing::new(*seed) })
    }

    pub(super) fn des(kind: des::Kind, hash: Hash, keys: &[u8]) -> Option<Sealer> {
        let (key, authentication, seed) = split(kind.octets(), keys)?;
        let (cipher, mac) = (Encryption::Des(des::Key::new(kind, key)?), Mac::new(hash, authentication)?);
        Some(Sealer { cipher, mac, seed: Zeroizing::new(*seed) })
    }

    pub(super) fn seal(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let (covered, icv) = packet.split_at_mut_checked(packet.len().checked_sub(self.mac.length())?)?;
        let text = covered.get_mut(HEADER..)?;
        match &self.cipher {
            Encryption::Null => Some(()),
            Encryption::Aes128(cipher) => encrypt(cipher, self.iv(at.sequence), text),
            Encryption::Aes192(cipher) => encrypt(cipher, self.iv(at.sequence), text),
            Encryption::Aes256(cipher) => encrypt(cipher, self.iv(at.sequence), text),
            Encryption::Des(key) => key.encrypt(*self.iv(at.sequence).first_chunk()?, text),
        }?;
        self.mac.write([covered, at.suffix().as_bytes()], icv);
        Some(())
    }

    /// "The IV MUST be chosen at random, and MUST be unpredictable" (RFC 3602 §3): the number of the packet, which no
    /// other has, encrypted under a key that is drawn for nothing else. Whoever does not have that key can tell such
    /// blocks from random ones only by that none repeats. DES takes the first half of one (RFC 2405 §3, RFC 2451 §3).
    fn iv(&self, sequence: u64) -> [u8; BLOCK] {
        let mut block = Array::from(u128::from(sequence).to_be_bytes());
        Aes128Enc::new(&Array::from(*self.seed)).encrypt_block(&mut block);
        block.into()
    }
}

impl Opener {
    /// Without a cipher; `key` is the hash's.
    pub(super) fn null(hash: Hash, key: &[u8]) -> Option<Opener> {
        Some(Opener { cipher: Decryption::Null, mac: Mac::new(hash, key)? })
    }

    pub(super) fn new(size: KeySize, hash: Hash, keys: &[u8]) -> Option<Opener> {
        let (key, authentication, _) = split(size.octets(), keys)?;
        let cipher = match size {
            KeySize::Aes128 => Decryption::Aes128(KeyInit::new_from_slice(key).ok()?),
            KeySize::Aes192 => Decryption::Aes192(KeyInit::new_from_slice(key).ok()?),
            KeySize::Aes256 => Decryption::Aes256(KeyInit::new_from_slice(key).ok()?),
        };
        Some(Opener { cipher, mac: Mac::new(hash, authentication)? })
    }

    pub(super) fn des(kind: des::Kind, hash: Hash, keys: &[u8]) -> Option<Opener> {
        let (key, authentication, _) = split(kind.octets(), keys)?;
        Some(Opener {
            cipher: Decryption::Des(des::Key::new(kind, key)?),
            mac: Mac::new(hash, authentication)?,
        })
    }

    pub(super) fn open(&self, at: Position, packet: &mut [u8]) -> Option<()> {
        let (covered, icv) = packet.split_at_mut_checked(packet.len().checked_sub(self.mac.length())?)?;
        if !self.mac.fits([covered, at.suffix().as_bytes()], icv) {
            return None;
        }
        let text = covered.get_mut(HEADER..)?;
        match &self.cipher {
            Decryption::Null => Some(()),
            Decryption::Aes128(cipher) => decrypt(cipher, text),
            Decryption::Aes192(cipher) => decrypt(cipher, text),
            Decryption::Aes256(cipher) => decrypt(cipher, text),
            Decryption::Des(key) => key.decrypt(text),
        }
    }
}

/// Encrypts whole blocks behind the IV, which is written in front of them; `None` if there is a part of one.
fn encrypt<C: BlockCipherEncrypt<BlockSize = U16>>(
    cipher: &C,
    iv: [u8; BLOCK],
    text: &mut [u8],
) -> Option<()> {
    let (place, text) = text.split_first_chunk_mut()?;
    *place = iv;
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    if !rest.is_empty() {
        return None;
    }
    cbc::Encryptor::inner_iv_init(cipher, &Array::from(iv)).encrypt_blocks(blocks);
    Some(())
}

/// Decrypts whole blocks behind their IV.
fn decrypt<C: BlockCipherDecrypt<BlockSize = U16>>(cipher: &C, text: &mut [u8]) -> Option<()> {
    let (iv, text) = text.split_first_chunk_mut::<BLOCK>()?;
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    if !rest.is_empty() {
        return None;
    }
    cbc::Decryptor::inner_iv_init(cipher, &Array::from(*iv)).decrypt_blocks(blocks);
    Some(())
}

/// Keys do not belong in logs.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hashed::Sealer(..)")
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hashed::Opener(..)")
    }
}
