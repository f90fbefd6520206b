//! Triple-DES and HMAC-MD5 for IKE SAs of peers that have nothing else, and only where the operator asks for it
//! (RFC 2451, RFC 2104). Over RustCrypto's `des` and `md-5`, for AWS-LC has neither.

use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use des::TdesEde3;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use zeroize::Zeroizing;

use super::Secret;

/// Octets of a block and of an IV of Triple-DES.
pub(super) const BLOCK: usize = 8;
/// Octets that HMAC-MD5 gives.
pub(super) const MD5: usize = 16;

/// Encrypts whole blocks in place; `None` if the key has another length than 24, or there is a part of a block.
pub(super) fn encrypt(key: &[u8], iv: &[u8; BLOCK], text: &mut [u8]) -> Option<()> {
    let (cipher, length) = (cbc::Encryptor::<TdesEde3>::new_from_slices(key, iv).ok()?, text.len());
    cipher.encrypt_padded::<NoPadding>(text, length).ok().map(drop)
}

/// Decrypts whole blocks in place.
pub(super) fn decrypt(key: &[u8], iv: &[u8; BLOCK], text: &mut [u8]) -> Option<()> {
    let cipher = cbc::Decryptor::<TdesEde3>::new_from_slices(key, iv).ok()?;
    cipher.decrypt_padded::<NoPadding>(text).ok().map(drop)
}

/// HMAC-MD5 of parts in a row, under a key of any length.
pub(super) fn hmac_md5(key: &[u8], parts: &[&[u8]]) -> Secret {
    // HMAC takes keys of any length, so there is always one.
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) else { return Secret::default() };
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::prf::tests::hex;

    /// NIST SP 800-20, appendix B: the first block of "The qufck brown fox jump" under three keys.
    #[test]
    fn triple_des_is_triple_des() {
        let key = hex("0123456789abcdef23456789abcdef01456789abcdef0123");
        let mut text = b"The qufck brown fox jump".to_vec();
        encrypt(&key, &[0; BLOCK], &mut text).unwrap();
        assert_eq!(text[..8], hex("a826fd8ce53b855f"));
        decrypt(&key, &[0; BLOCK], &mut text).unwrap();
        assert_eq!(text, b"The qufck brown fox jump");
        assert!(encrypt(&key, &[0; BLOCK], &mut text[..7]).is_none());
        assert!(encrypt(&key[1..], &[0; BLOCK], &mut text).is_none());
    }
}
