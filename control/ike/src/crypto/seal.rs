//! One direction of an IKE SA's encryption: the body of an SK or SKF payload, initialization vector
//! through integrity check value (RFC 7296 §3.14; RFC 5282 for AES-GCM and AES-CCM, RFC 7634 for
//! ChaCha20-Poly1305).
//!
//! Knows neither messages nor roles; those are put together in [`super::protection`].

use aws_lc_rs::aead::{self, CHACHA20_POLY1305};
use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, DecryptingKey, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::cipher::{Algorithm, DecryptionContext, EncryptionContext};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use ravelin_gcm as gcm;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::random::Random;
use super::{BadKeys, Secret, ccm, cmac, legacy};
use crate::config::{Encryption, Integrity};

const COUNTER: usize = 8;
/// Octets of the longest block.
const BLOCK: usize = 16;

/// The Pad Length octet.
const PAD_LENGTH: usize = 1;

/// Why a body could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSealed {
    /// The GCM counter has reached its end.
    Exhausted,
    /// The library refused; cannot happen with keys and lengths made here.
    Cipher,
}

/// Cipher and key of one direction.
pub(super) enum Direction {
    Aead(Box<Aead>),
    Cbc(Box<Cbc>),
}

/// AES-GCM or AES-CCM with a 16-octet check value (RFC 5282), or ChaCha20-Poly1305 (RFC 7634 §2). The nonce is the salt and
/// a counter sent as the IV: a counter cannot repeat, where random octets could.
///
/// The key is expanded anew for each message: a tunnel has few, and expanded it takes twenty times as much memory.
pub(super) struct Aead {
    cipher: Cipher,
    key: Secret,
    salt: Secret,
    next: Option<u64>,
}

/// What a nonce and associated data are the same for.
#[derive(Clone, Copy)]
enum Cipher {
    AesGcm(gcm::Kernel),
    AesCcm,
    ChaCha20Poly1305,
}

impl Cipher {
    /// Whether a key may have so many octets.
    fn takes(self, octets: usize) -> bool {
        match self {
            Self::AesGcm(_) => gcm::KeySize::from_octets(octets).is_ok(),
            Self::AesCcm => ccm::takes(octets),
            Self::ChaCha20Poly1305 => octets == CHACHA20_POLY1305.key_len(),
        }
    }

    /// Octets of salt in front of the counter in its nonce.
    const fn salt(self) -> usize {
        match self {
            Self::AesGcm(_) | Self::ChaCha20Poly1305 => gcm::NONCE_LENGTH - COUNTER,
            Self::AesCcm => ccm::SALT,
        }
    }

    /// Encrypts in place; the check value.
    fn seal(self, key: &[u8], nonce: Nonce, associated: &[u8], text: &mut [u8]) -> Option<Tag> {
        let mut tag = [0; gcm::TAG_LENGTH];
        match self {
            Self::AesGcm(kernel) => {
                let key = gcm::Key::new(kernel, key).ok()?;
                gcm::seal_burst(&mut [gcm::Seal::new(&key, nonce, associated, text, &mut tag)]);
            }
            Self::AesCcm => tag = ccm::seal(key, nonce.first_chunk()?, associated, text)?,
            Self::ChaCha20Poly1305 => {
                let key = aead::LessSafeKey::new(aead::UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                let made = key.seal_in_place_separate_tag(nonce, aead::Aad::from(associated), text).ok()?;
                tag = made.as_ref().try_into().ok()?;
            }
        }
        Some(tag)
    }

    /// Decrypts in place what has this check value.
    fn open(self, key: &[u8], nonce: Nonce, associated: &[u8], text: &mut [u8], tag: &Tag) -> Option<()> {
        match self {
            Self::AesGcm(kernel) => {
                let key = gcm::Key::new(kernel, key).ok()?;
                let mut lane = [gcm::Open::new(&key, nonce, associated, text, *tag)];
                gcm::open_burst(&mut lane);
                let [lane] = lane;
                lane.verdict.ok()
            }
            Self::AesCcm => ccm::open(key, nonce.first_chunk()?, associated, text, tag),
            Self::ChaCha20Poly1305 => {
                let key = aead::LessSafeKey::new(aead::UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                let mut whole = Zeroizing::new([&*text, tag.as_slice()].concat());
                let opened = key.open_in_place(nonce, aead::Aad::from(associated), &mut whole).ok()?;
                text.copy_from_slice(opened);
                Some(())
            }
        }
    }
}

/// As long as the longest; a shorter one is its front.
type Nonce = [u8; gcm::NONCE_LENGTH];
type Tag = [u8; gcm::TAG_LENGTH];

/// AES-CBC or Triple-DES with HMAC or AES-CMAC over the whole message (RFC 7296 §3.14).
pub(super) struct Cbc {
    cipher: Blocks,
    key: Secret,
    integrity: Integrity,
    mac: Mac,
}

/// What enciphers blocks.
#[derive(Clone, Copy)]
enum Blocks {
    Aes(&'static Algorithm),
    TripleDes,
}

/// A key of HMAC: AWS-LC's, or of MD5, which is [`legacy`]'s; or of AES-CMAC.
#[expect(clippy::large_enum_variant, reason = "what is small is what nobody should use")]
enum Mac {
    Sha(hmac::Key),
    Md5(Secret),
    Cmac(Secret),
}

impl Mac {
    fn new(integrity: Integrity, sk_a: &[u8]) -> Self {
        let sha = |algorithm| Self::Sha(hmac::Key::new(algorithm, sk_a));
        match integrity {
            Integrity::HmacSha1 => sha(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Integrity::HmacSha256 => sha(hmac::HMAC_SHA256),
            Integrity::HmacSha384 => sha(hmac::HMAC_SHA384),
            Integrity::HmacSha512 => sha(hmac::HMAC_SHA512),
            Integrity::HmacMd5 => Self::Md5(Zeroizing::new(sk_a.to_vec())),
            Integrity::AesCmac => Self::Cmac(Zeroizing::new(sk_a.to_vec())),
        }
    }

    /// Of parts in a row, whole.
    fn sign(&self, parts: [&[u8]; 2]) -> Secret {
        match self {
            Self::Sha(key) => {
                let mut context = hmac::Context::with_key(key);
                parts.iter().for_each(|part| context.update(part));
                Zeroizing::new(context.sign().as_ref().to_vec())
            }
            Self::Md5(key) => legacy::hmac_md5(key, &parts),
            Self::Cmac(key) => cmac::mac(key, &parts),
        }
    }
}

impl Direction {
    /// Takes SK_e and SK_a of one direction, of exactly the lengths the algorithms have.
    pub(super) fn new(
        encryption: Encryption,
        integrity: Option<Integrity>,
        sk_e: &[u8],
        sk_a: &[u8],
    ) -> Result<Self, BadKeys> {
        let expected = encryption.keymat_len();
        if sk_e.len() != expected {
            return Err(BadKeys::Length { key: "SK_e", length: sk_e.len(), expected });
        }
        let blocks = |cipher, integrity| Cbc::new(cipher, integrity, sk_e, sk_a).map(Box::new).map(Self::Cbc);
        let cbc = |algorithm, integrity| blocks(Blocks::Aes(algorithm), integrity);
        match (encryption, integrity) {
            (Encryption::AesCbc128, Some(integrity)) => cbc(&AES_128, integrity),
            (Encryption::AesCbc192, Some(integrity)) => cbc(&AES_192, integrity),
            (Encryption::AesCbc256, Some(integrity)) => cbc(&AES_256, integrity),
            (Encryption::TripleDes, Some(integrity)) => blocks(Blocks::TripleDes, integrity),
            (
                Encryption::AesCbc128 | Encryption::AesCbc192 | Encryption::AesCbc256 | Encryption::TripleDes,
                None,
            ) => Err(BadKeys::NoIntegrity),
            (Encryption::AesGcm128 | Encryption::AesGcm192 | Encryption::AesGcm256, _) => {
                Aead::new(Cipher::AesGcm(gcm::Kernel::detect()), sk_e).map(Box::new).map(Self::Aead)
            }
            (Encryption::AesCcm128 | Encryption::AesCcm192 | Encryption::AesCcm256, _) => {
                Aead::new(Cipher::AesCcm, sk_e).map(Box::new).map(Self::Aead)
            }
            (Encryption::ChaCha20Poly1305, _) => {
                Aead::new(Cipher::ChaCha20Poly1305, sk_e).map(Box::new).map(Self::Aead)
            }
            // No proposal for an IKE SA has it ([`Encryption::is_for_ike`]).
            (
                Encryption::Null
                | Encryption::AesGmac128
                | Encryption::AesGmac192
                | Encryption::AesGmac256
                | Encryption::Des,
                _,
            ) => Err(BadKeys::Cipher),
        }
    }

    /// Octets of the body around `content` octets of payloads.
    pub(super) fn body_length(&self, content: usize) -> usize {
        match self {
            Self::Aead(_) => content.saturating_add(COUNTER + PAD_LENGTH + gcm::TAG_LENGTH),
            Self::Cbc(cbc) => cbc.padded(content).saturating_add(cbc.block()).saturating_add(cbc.icv()),
        }
    }

    /// The most octets of payloads whose body has at most `body` octets.
    pub(super) fn capacity(&self, body: usize) -> usize {
        match self {
            Self::Aead(_) => body.saturating_sub(COUNTER + PAD_LENGTH + gcm::TAG_LENGTH),
            Self::Cbc(cbc) => {
                let text = body.saturating_sub(cbc.block()).saturating_sub(cbc.icv());
                text.saturating_sub(text % cbc.block()).saturating_sub(PAD_LENGTH)
            }
        }
    }

    /// Appends the body to `message`, which so far holds what the check value covers and the cipher
    /// does not: everything through the SK payload header, lengths final.
    pub(super) fn seal(
        &mut self,
        message: &mut Vec<u8>,
        content: &[u8],
        random: &mut dyn Random,
    ) -> Result<(), NotSealed> {
        match self {
            Self::Aead(aead) => aead.seal(message, content),
            Self::Cbc(cbc) => cbc.seal(message, content, random),
        }
    }

    /// The payloads in `body`, with their padding; `None` if the check value is wrong.
    pub(super) fn open(&self, associated: &[u8], body: &[u8]) -> Option<Secret> {
        match self {
            Self::Aead(aead) => aead.open(associated, body),
            Self::Cbc(cbc) => cbc.open(associated, body),
        }
    }
}

impl Aead {
    fn new(cipher: Cipher, sk_e: &[u8]) -> Result<Self, BadKeys> {
        let split = sk_e.len().checked_sub(cipher.salt()).and_then(|at| sk_e.split_at_checked(at));
        let (key, salt) = split.ok_or(BadKeys::Cipher)?;
        let [key, salt] = [key, salt].map(|part| Zeroizing::new(part.to_vec()));
        match cipher.takes(key.len()) {
            true => Ok(Self { cipher, key, salt, next: Some(0) }),
            false => Err(BadKeys::Cipher),
        }
    }

    /// Moves the counter, so that a test reaches its end.
    #[cfg(test)]
    pub(super) fn set_next(&mut self, next: u64) {
        self.next = Some(next);
    }

    fn nonce(&self, counter: [u8; COUNTER]) -> Nonce {
        let mut nonce = [0; gcm::NONCE_LENGTH];
        let octets = self.salt.iter().copied().chain(counter);
        nonce.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        nonce
    }

    /// Neither needs alignment, so there is no padding and Pad Length is always 0 (RFC 5282 §3).
    fn seal(&mut self, message: &mut Vec<u8>, content: &[u8]) -> Result<(), NotSealed> {
        let counter = self.next.ok_or(NotSealed::Exhausted)?;
        self.next = counter.checked_add(1);
        let counter = counter.to_be_bytes();
        let mut text = Zeroizing::new([content, &[0]].concat());
        let tag = self.cipher.seal(&self.key, self.nonce(counter), message, &mut text);
        let tag = tag.ok_or(NotSealed::Cipher)?;
        message.extend(counter);
        message.extend_from_slice(&text);
        message.extend(tag);
        Ok(())
    }

    fn open(&self, associated: &[u8], body: &[u8]) -> Option<Secret> {
        let (counter, rest) = body.split_first_chunk::<COUNTER>()?;
        let (text, tag) = rest.split_last_chunk::<{ gcm::TAG_LENGTH }>()?;
        let mut text = Zeroizing::new(text.to_vec());
        self.cipher.open(&self.key, self.nonce(*counter), associated, &mut text, tag)?;
        Some(text)
    }
}

impl Cbc {
    fn new(cipher: Blocks, integrity: Integrity, sk_e: &[u8], sk_a: &[u8]) -> Result<Self, BadKeys> {
        let expected = integrity.key_len();
        if sk_a.len() != expected {
            return Err(BadKeys::Length { key: "SK_a", length: sk_a.len(), expected });
        }
        let (key, mac) = (Zeroizing::new(sk_e.to_vec()), Mac::new(integrity, sk_a));
        Ok(Self { cipher, key, integrity, mac })
    }

    /// Octets of a block, and so of an IV.
    const fn block(&self) -> usize {
        match self.cipher {
            Blocks::Aes(_) => BLOCK,
            Blocks::TripleDes => legacy::BLOCK,
        }
    }

    /// Content, padding and Pad Length octet: the next multiple of the block.
    fn padded(&self, content: usize) -> usize {
        content.saturating_add(PAD_LENGTH).next_multiple_of(self.block())
    }

    fn icv(&self) -> usize {
        self.integrity.icv_length()
    }

    /// "Senders MUST select a new unpredictable IV for every message"; the check value covers "the
    /// entire message starting with the Fixed IKE header through the Pad Length", encrypted (RFC 7296
    /// §3.14).
    fn seal(&self, message: &mut Vec<u8>, content: &[u8], random: &mut dyn Random) -> Result<(), NotSealed> {
        let mut iv = [0; BLOCK];
        let iv = iv.get_mut(..self.block()).ok_or(NotSealed::Cipher)?;
        random.fill(iv);
        let text = self.encrypt(content, iv).ok_or(NotSealed::Cipher)?;
        message.extend_from_slice(iv);
        message.extend_from_slice(&text);
        let tag = self.mac.sign([message, &[]]);
        message.extend(tag.iter().take(self.icv()));
        Ok(())
    }

    fn encrypt(&self, content: &[u8], iv: &[u8]) -> Option<Secret> {
        // Room for the padding from the start: growing would leave a copy behind.
        let whole = self.padded(content.len());
        let padding = whole.saturating_sub(content.len()).saturating_sub(PAD_LENGTH);
        let mut text = Zeroizing::new(Vec::with_capacity(whole));
        text.extend_from_slice(content);
        text.extend(std::iter::repeat_n(0, padding));
        text.push(u8::try_from(padding).ok()?);
        match self.cipher {
            Blocks::Aes(algorithm) => {
                let context = EncryptionContext::Iv128(FixedLength::from(iv.first_chunk::<BLOCK>()?));
                let key = UnboundCipherKey::new(algorithm, &self.key).ok()?;
                EncryptingKey::cbc(key).ok()?.less_safe_encrypt(&mut text, context).ok()?;
            }
            Blocks::TripleDes => legacy::encrypt(&self.key, iv.first_chunk()?, &mut text)?,
        }
        Some(text)
    }

    /// Checks before it decrypts, so that padding says nothing to a forger.
    fn open(&self, associated: &[u8], body: &[u8]) -> Option<Secret> {
        let (covered, icv) = body.split_at_checked(body.len().checked_sub(self.icv())?)?;
        let tag = self.mac.sign([associated, covered]);
        let expected = tag.get(..self.icv())?;
        if !bool::from(expected.ct_eq(icv)) {
            return None;
        }
        let (iv, text) = covered.split_at_checked(self.block())?;
        let mut text = Zeroizing::new(text.to_vec());
        match self.cipher {
            Blocks::Aes(algorithm) => {
                let context = DecryptionContext::Iv128(FixedLength::from(iv.first_chunk::<BLOCK>()?));
                let key = UnboundCipherKey::new(algorithm, &self.key).ok()?;
                DecryptingKey::cbc(key).ok()?.decrypt(&mut text, context).ok()?;
            }
            Blocks::TripleDes => legacy::decrypt(&self.key, iv.first_chunk()?, &mut text)?,
        }
        Some(text)
    }
}
