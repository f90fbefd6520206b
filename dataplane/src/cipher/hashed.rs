//! AES-CBC, Triple-DES, DES, or no cipher at all, with a separate ICV: encrypt, then authenticate (RFC 3602, RFC 2451,
//! RFC 2405, RFC 2410, RFC 4303 §3.3.2.1, RFC 8221 §4).
//!
//! AES-CBC is `ravelin_cbc`'s, which encrypts the packets of a burst side by side; [`super::burst`] asks for it.

use std::fmt;

use ravelin_cbc::{BLOCK, Chain, DecryptionKey, EncryptionKey, Kernel};
use ravelin_gcm::KeySize;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::mac::{Hash, Mac};
use super::{Position, SEED, des};

/// SPI and sequence number.
const HEADER: usize = 8;

/// Encrypts and authenticates.
pub struct Sealer {
    cipher: Encryption,
    pub(super) mac: Mac,
    /// Key of the function that makes IVs of sequence numbers; without a cipher nothing.
    seed: Zeroizing<[u8; SEED]>,
}

/// Checks and decrypts.
pub struct Opener {
    cipher: Decryption,
    pub(super) mac: Mac,
}

#[expect(clippy::large_enum_variant, reason = "a key lies where it is used; nothing is allocated for it")]
enum Encryption {
    Null,
    Aes(EncryptionKey),
    Des(des::Key),
}

#[expect(clippy::large_enum_variant, reason = "a key lies where it is used; nothing is allocated for it")]
enum Decryption {
    Null,
    Aes(DecryptionKey),
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
        let cipher = Encryption::Aes(EncryptionKey::new(Kernel::detect(), key)?);
        Some(Sealer { cipher, mac: Mac::new(hash, authentication)?, seed: Zeroizing::new(*seed) })
    }

    pub(super) fn des(kind: des::Kind, hash: Hash, keys: &[u8]) -> Option<Sealer> {
        let (key, authentication, seed) = split(kind.octets(), keys)?;
        let (cipher, mac) = (Encryption::Des(des::Key::new(kind, key)?), Mac::new(hash, authentication)?);
        Some(Sealer { cipher, mac, seed: Zeroizing::new(*seed) })
    }

    /// Encrypts a packet but for its ICV; of AES what is to be done is given back as a chain, behind the IV that is written.
    /// `None` if the packet is shorter than its framing.
    pub(super) fn encrypt<'a>(
        &'a self,
        at: Position,
        packet: &'a mut [u8],
        ivs: &mut Ivs<'a>,
    ) -> Option<Option<Chain<'a>>> {
        let (covered, _) = self.mac.split(packet)?;
        let text = covered.get_mut(HEADER..)?;
        match &self.cipher {
            Encryption::Null => Some(None),
            Encryption::Aes(key) => {
                let (place, text) = text.split_first_chunk_mut()?;
                *place = ivs.of(&self.seed, at.sequence)?;
                Some(Some(Chain::new(key, *place, text)?))
            }
            Encryption::Des(key) => {
                key.encrypt(*ivs.of(&self.seed, at.sequence)?.first_chunk()?, text).map(|()| None)
            }
        }
    }
}

/// Where IVs come from: "The IV MUST be chosen at random, and MUST be unpredictable" (RFC 3602 §3): the number of the packet,
/// which no other has, encrypted under a key that is drawn for nothing else. Whoever does not have that key can tell such
/// blocks from random ones only by that none repeats. DES takes the first half of one (RFC 2405 §3, RFC 2451 §3).
///
/// Packets of one SA mostly come in a row, whose key is expanded once.
#[derive(Default)]
pub(super) struct Ivs<'a>(Option<(&'a [u8; SEED], EncryptionKey)>);

impl<'a> Ivs<'a> {
    fn of(&mut self, seed: &'a [u8; SEED], sequence: u64) -> Option<[u8; BLOCK]> {
        if self.0.as_ref().is_none_or(|(last, _)| !std::ptr::eq(*last, seed)) {
            self.0 = Some((seed, EncryptionKey::new(Kernel::detect(), seed)?));
        }
        let (_, key) = self.0.as_ref()?;
        Some(key.encrypt_block(u128::from(sequence).to_be_bytes()))
    }
}

impl Opener {
    /// Without a cipher; `key` is the hash's.
    pub(super) fn null(hash: Hash, key: &[u8]) -> Option<Opener> {
        Some(Opener { cipher: Decryption::Null, mac: Mac::new(hash, key)? })
    }

    pub(super) fn new(size: KeySize, hash: Hash, keys: &[u8]) -> Option<Opener> {
        let (key, authentication, _) = split(size.octets(), keys)?;
        let cipher = Decryption::Aes(DecryptionKey::new(Kernel::detect(), key)?);
        Some(Opener { cipher, mac: Mac::new(hash, authentication)? })
    }

    pub(super) fn des(kind: des::Kind, hash: Hash, keys: &[u8]) -> Option<Opener> {
        let (key, authentication, _) = split(kind.octets(), keys)?;
        Some(Opener {
            cipher: Decryption::Des(des::Key::new(kind, key)?),
            mac: Mac::new(hash, authentication)?,
        })
    }

    /// Decrypts a packet whose ICV is good; `None` if the text is no whole blocks.
    pub(super) fn decrypt(&self, packet: &mut [u8]) -> Option<()> {
        let (covered, _) = self.mac.split(packet)?;
        let text = covered.get_mut(HEADER..)?;
        match &self.cipher {
            Decryption::Null => Some(()),
            Decryption::Aes(key) => {
                let (iv, text) = text.split_first_chunk_mut()?;
                ravelin_cbc::decrypt(key, iv, text)
            }
            Decryption::Des(key) => key.decrypt(text),
        }
    }
}

/// Whether an ICV is the front of a MAC, found out in constant time.
pub(super) fn is_front(mac: &[u8], icv: &[u8]) -> bool {
    let Some(front) = mac.get(..icv.len()) else { return false };
    // One comparison of what all octets differ by: one of each octet costs more than to decrypt some packets does.
    let difference = front.iter().zip(icv).fold(0, |difference, (one, other)| difference | (one ^ other));
    difference.ct_eq(&0).into()
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
