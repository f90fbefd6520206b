//! AES-CMAC for IKE SAs (RFC 4493): as integrity algorithm (RFC 4494) and as pseudorandom function (RFC 4615). AWS-LC's.

use aws_lc_rs::cmac;
use zeroize::Zeroizing;

use super::Secret;

/// Octets of a key, and of what comes out.
pub(super) const OCTETS: usize = 16;

/// AES-CMAC-PRF-128: a key of another length is made one of 128 bits by AES-CMAC under zeros (RFC 4615 §3).
pub(super) fn prf(key: &[u8], parts: &[&[u8]]) -> Secret {
    match key.len() {
        OCTETS => mac(key, parts),
        _ => mac(&mac(&[0; OCTETS], &[key]), parts),
    }
}

/// AES-CMAC of parts in a row under a key of 128 bits, whole.
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> Secret {
    signed(key, parts).unwrap_or_default()
}

/// `None` if the key has another length, or memory is at an end.
fn signed(key: &[u8], parts: &[&[u8]]) -> Option<Secret> {
    let key = cmac::Key::new(cmac::AES_128, key).ok()?;
    let mut context = cmac::Context::with_key(&key);
    parts.iter().try_for_each(|part| context.update(part)).ok()?;
    Some(Zeroizing::new(context.sign().ok()?.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::prf::tests::hex;

    /// RFC 4493 §4, examples 2 and 3, and RFC 4615 §4: keys of 18, 16 and 10 octets.
    #[test]
    fn vectors_of_rfc_4493_and_rfc_4615() {
        let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
        let message = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411");
        assert_eq!(*mac(&key, &[&message[..16]]), hex("070a16b46b4d4144f79bdd9dd04a287c"));
        assert_eq!(*mac(&key, &[&message[..7], &message[7..]]), hex("dfa66747de9ae63030ca32611497c827"));
        let (key, message) =
            (hex("000102030405060708090a0b0c0d0e0fedcb"), hex("000102030405060708090a0b0c0d0e0f10111213"));
        for (length, out) in [
            (18, "84a348a4a45d235babfffc0d2b4da09a"),
            (16, "980ae87b5f4c9c5214f5b6a8455e4c2d"),
            (10, "290d9e112edb09ee141fcf64c0b72f3d"),
        ] {
            assert_eq!(*prf(&key[..length], &[&message]), hex(out), "{length}");
        }
    }
}
