//! Suites of gateway scenarios: names, keys, and ESP made with libraries that are not measured here (`ring`'s AES-GCM and
//! HMAC, `aws-lc-rs`'s AES-CBC).

use std::fmt;

use anyhow::{Context, bail};
use aws_lc_rs::cipher::{self, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use ring::{aead, hmac};
use serde::{Deserialize, Serialize};

use crate::compare::texts;

/// AES-GCM with an ICV of 16 octets (RFC 4106), or AES-CBC (RFC 3602) with HMAC-SHA-2 (RFC 4868).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suite {
    /// Of the AES key.
    pub bits: usize,
    /// Of the hash beside AES-CBC; none: AES-GCM.
    pub hash: Option<usize>,
}

const SALT: u32 = 0xa5a5_0000;
/// Octets before the hash's key in an association's material: the longest AES key.
const HASH_KEY: usize = 32;

impl Suite {
    /// AES-GCM.
    pub const fn gcm(bits: usize) -> Suite {
        Suite { bits, hash: None }
    }

    /// AES-CBC with HMAC.
    pub const fn cbc(bits: usize, hash: usize) -> Suite {
        Suite { bits, hash: Some(hash) }
    }

    /// The keying material of association `index`, as IKE would give it: the cipher's key, then the salt (RFC 4106 §8.1) or
    /// the hash's key.
    pub fn keymat(self, index: u32) -> Vec<u8> {
        match self.hash {
            None => [self.key(index), (SALT ^ index).to_be_bytes().to_vec()].concat(),
            Some(_) => [self.key(index), self.hash_key(index)].concat(),
        }
    }

    /// The cipher's key of an association.
    pub fn key(self, index: u32) -> Vec<u8> {
        material(index).get(..self.bits / 8).unwrap_or_default().to_vec()
    }

    /// The hash's key of an association; as long as the hash (RFC 4868 §2.1.1).
    pub fn hash_key(self, index: u32) -> Vec<u8> {
        let length = self.hash.unwrap_or_default() / 8;
        material(index).get(HASH_KEY..HASH_KEY + length).unwrap_or_default().to_vec()
    }

    /// What a text is padded to a multiple of.
    pub const fn block(self) -> usize {
        if self.hash.is_some() { 16 } else { 4 }
    }

    /// What follows the sequence number of packet `sequence`: IV, the text encrypted, ICV. `head` is before it.
    ///
    /// # Errors
    /// When there is no such suite.
    pub fn protected(self, index: u32, sequence: u32, head: &[u8], text: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        match self.hash {
            None => self.sealed(index, sequence, head, text),
            Some(hash) => self.chained(index, sequence, text).and_then(|made| {
                let tag = hmac::sign(&self.hmac(hash, index)?, &[head, &made].concat());
                let icv = tag.as_ref().get(..hash / 16).context("half of a tag")?;
                Ok([&made, icv].concat())
            }),
        }
    }

    /// RFC 4106 §3 to §5.
    fn sealed(self, index: u32, sequence: u32, head: &[u8], mut text: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let algorithm = if self.bits == 128 { &aead::AES_128_GCM } else { &aead::AES_256_GCM };
        let key = aead::UnboundKey::new(algorithm, &self.key(index)).ok().context("key size")?;
        let iv = u64::from(sequence).to_be_bytes();
        let nonce = [&(SALT ^ index).to_be_bytes()[..], &iv].concat();
        let nonce = aead::Nonce::try_assume_unique_for_key(&nonce).ok().context("nonce size")?;
        let key = aead::LessSafeKey::new(key);
        let tag = key.seal_in_place_separate_tag(nonce, aead::Aad::from(head), &mut text);
        Ok([&iv[..], &text, tag.ok().context("sealing")?.as_ref()].concat())
    }

    /// IV and ciphertext (RFC 3602 §3). The library pads what needs no padding; that block is cut off.
    fn chained(self, index: u32, sequence: u32, mut text: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let algorithm = match self.bits {
            128 => &cipher::AES_128,
            192 => &cipher::AES_192,
            _ => &cipher::AES_256,
        };
        let key = UnboundCipherKey::new(algorithm, &self.key(index)).ok().context("key size")?;
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok().context("AES-CBC")?;
        let iv = u128::from(sequence).to_be_bytes();
        let length = text.len();
        let made = key.less_safe_encrypt(&mut text, EncryptionContext::Iv128(iv.into()));
        made.ok().context("encrypting")?;
        Ok([&iv[..], text.get(..length).context("what was encrypted")?].concat())
    }

    fn hmac(self, hash: usize, index: u32) -> anyhow::Result<hmac::Key> {
        let algorithm = match hash {
            256 => hmac::HMAC_SHA256,
            384 => hmac::HMAC_SHA384,
            512 => hmac::HMAC_SHA512,
            _ => bail!("no hash of {hash} bits"),
        };
        Ok(hmac::Key::new(algorithm, &self.hash_key(index)))
    }
}

/// As scenarios are named.
impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hash {
            None => write!(f, "aes{}gcm", self.bits),
            Some(hash) => write!(f, "aes{}-sha{hash}", self.bits),
        }
    }
}

/// Octets that keys of association `index` are taken from; the first 32 are [`texts::key`].
fn material(index: u32) -> Vec<u8> {
    let mut state = u64::from(index);
    (0..12).flat_map(|_| texts::splitmix(&mut state).to_le_bytes()).collect()
}
