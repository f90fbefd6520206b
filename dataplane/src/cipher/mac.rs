//! HMAC as ESP uses it: a key as long as the hash, an ICV cut to half of it (RFC 4868), or to 96 bits of SHA-1
//! (RFC 2404) and of MD5 (RFC 2403); and AES-CMAC in its place (RFC 4494). SHA is `ravelin_cbc`'s, many messages side by
//! side, which [`super::burst`] asks for; the rest is over RustCrypto's `hmac`, `md-5` and `cmac`.
//!
//! Kept are the states behind the two padded keys, not the buffer that a running HMAC has. Of AES-CMAC it is the key, made
//! ready for each packet: beside that of Triple-DES an expanded one finds no room in an SA.

use aes::Aes128Enc;
use cmac::{Cmac, Mac as _};
use hmac::EagerHash;
use hmac::block_api::HmacCore;
use hmac::digest::block_api::{Buffer, FixedOutputCore, UpdateCore};
use hmac::digest::{KeyInit, Output};
use md5::Md5;
use ravelin_cbc::{Kernel, MacKey, Message, mac_burst};
use zeroize::Zeroizing;

use super::Suffix;
use super::hashed::is_front;

/// A hash under HMAC, or AES in its place, with what ESP keeps of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// HMAC-SHA1-96 (RFC 2404).
    Sha1,
    /// HMAC-SHA-256-128 (RFC 4868).
    Sha256,
    /// HMAC-SHA-384-192.
    Sha384,
    /// HMAC-SHA-512-256.
    Sha512,
    /// HMAC-MD5-96 (RFC 2403): only where legacy algorithms are asked for (RFC 8221 §6).
    Md5,
    /// AES-CMAC-96 (RFC 4494), with a key of 128 bits.
    AesCmac,
}

/// Octets of the longest ICV.
const LONGEST: usize = 32;

impl Hash {
    /// Every one.
    pub const ALL: [Hash; 6] =
        [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512, Hash::Md5, Hash::AesCmac];

    /// Octets of key: as many as the hash gives (RFC 2403 §2, RFC 2404 §3, RFC 4868 §2.1.1), of AES 128 bits.
    pub const fn key_length(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
            Hash::Md5 | Hash::AesCmac => 16,
        }
    }

    /// Octets of ICV (RFC 2404 §2, RFC 4868 §2.1.2).
    pub const fn icv_length(self) -> usize {
        match self {
            Hash::Sha1 | Hash::Md5 | Hash::AesCmac => 12,
            Hash::Sha256 => 16,
            Hash::Sha384 => 24,
            Hash::Sha512 => 32,
        }
    }
}

/// A key, hashed in.
pub(super) enum Mac {
    Sha(Hash, MacKey),
    Md5(HmacCore<Md5>),
    AesCmac(Zeroizing<[u8; 16]>),
}

impl Mac {
    /// `None` if the key is not as long as it has to be.
    pub(super) fn new(hash: Hash, key: &[u8]) -> Option<Mac> {
        if key.len() != hash.key_length() {
            return None;
        }
        Some(match hash {
            Hash::Sha1 => Mac::sha(hash, ravelin_cbc::Hash::Sha1, key)?,
            Hash::Sha256 => Mac::sha(hash, ravelin_cbc::Hash::Sha256, key)?,
            Hash::Sha384 => Mac::sha(hash, ravelin_cbc::Hash::Sha384, key)?,
            Hash::Sha512 => Mac::sha(hash, ravelin_cbc::Hash::Sha512, key)?,
            Hash::Md5 => Mac::Md5(KeyInit::new_from_slice(key).ok()?),
            Hash::AesCmac => Mac::AesCmac(Zeroizing::new(key.try_into().ok()?)),
        })
    }

    fn sha(hash: Hash, sha: ravelin_cbc::Hash, key: &[u8]) -> Option<Mac> {
        Some(Mac::Sha(hash, MacKey::new(Kernel::detect(), sha, key)?))
    }

    fn hash(&self) -> Hash {
        match self {
            Mac::Sha(hash, _) => *hash,
            Mac::Md5(_) => Hash::Md5,
            Mac::AesCmac(_) => Hash::AesCmac,
        }
    }

    /// Octets of ICV.
    fn length(&self) -> usize {
        self.hash().icv_length()
    }

    /// An ESP packet parted into what the ICV covers and the ICV.
    pub(super) fn split<'a>(&self, packet: &'a mut [u8]) -> Option<(&'a mut [u8], &'a mut [u8])> {
        packet.split_at_mut_checked(packet.len().checked_sub(self.length())?)
    }

    /// What it covers, where it is computed for many packets together.
    pub(super) fn message<'a>(&'a self, covered: &'a [u8], suffix: &'a Suffix) -> Option<Message<'a>> {
        match self {
            Mac::Sha(_, key) => Some(Message::new(key, covered, suffix.as_bytes())),
            _ => None,
        }
    }

    /// Writes the ICV of two parts in a row to `icv`, which is as long as it.
    pub(super) fn write(&self, parts: [&[u8]; 2], icv: &mut [u8]) {
        let whole = self.of(parts);
        icv.iter_mut().zip(whole.iter()).for_each(|(to, from)| *to = *from);
    }

    /// Whether `icv` is the ICV of two parts in a row, found out in constant time.
    pub(super) fn fits(&self, parts: [&[u8]; 2], icv: &[u8]) -> bool {
        icv.len() == self.length() && is_front(self.of(parts).as_slice(), icv)
    }

    fn of(&self, parts: [&[u8]; 2]) -> Zeroizing<[u8; LONGEST]> {
        match self {
            Mac::Sha(_, key) => sha(key, parts),
            Mac::Md5(core) => finish(core, parts),
            Mac::AesCmac(key) => cmac(key, parts),
        }
    }
}

/// The front of an HMAC; zeros behind one that is shorter.
fn finish<D: EagerHash>(keyed: &HmacCore<D>, parts: [&[u8]; 2]) -> Zeroizing<[u8; LONGEST]> {
    let (mut core, mut buffer) = (keyed.clone(), Buffer::<HmacCore<D>>::default());
    for part in parts {
        buffer.digest_blocks(part, |blocks| core.update_blocks(blocks));
    }
    let (mut whole, mut front) = (Output::<HmacCore<D>>::default(), Zeroizing::new([0; LONGEST]));
    core.finalize_fixed_core(&mut buffer, &mut whole);
    front.iter_mut().zip(whole.iter()).for_each(|(to, from)| *to = *from);
    front
}

/// The front of an HMAC of a message alone; of its second part a few octets.
fn sha(key: &MacKey, [text, suffix]: [&[u8]; 2]) -> Zeroizing<[u8; LONGEST]> {
    let mut message = Message::new(key, text, suffix);
    mac_burst(std::slice::from_mut(&mut message));
    Zeroizing::new(message.mac)
}

/// AES-CMAC; zeros behind it.
fn cmac(key: &[u8; 16], parts: [&[u8]; 2]) -> Zeroizing<[u8; LONGEST]> {
    let (mut mac, mut front) = (Cmac::<Aes128Enc>::new(key.into()), Zeroizing::new([0; LONGEST]));
    parts.into_iter().for_each(|part| mac.update(part));
    front.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 4868 §2.7.2.1 (AUTH256-1, AUTH384-1, AUTH512-1): keys of 0b, "Hi There", whole and cut.
    #[test]
    fn authentication_vectors_of_rfc_4868() {
        for (hash, icv) in [
            (Hash::Sha256, "198a607eb44bfbc69903a0f1cf2bbdc5"),
            (Hash::Sha384, "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"),
            (Hash::Sha512, "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8"),
        ] {
            let mac = Mac::new(hash, &vec![0x0b; hash.key_length()]).unwrap();
            let mut found = vec![0; hash.icv_length()];
            mac.write([b"Hi Th", b"ere"], &mut found);
            assert_eq!(found, octets(icv), "{hash:?}");
            assert!(mac.fits([b"Hi There", b""], &found));
        }
    }

    /// RFC 2202 §2 and §3, case 1; RFC 2403 and RFC 2404 keep the first 96 bits.
    #[test]
    fn authentication_vectors_of_rfc_2202() {
        let mac = Mac::new(Hash::Sha1, &[0x0b; 20]).unwrap();
        assert!(mac.fits([b"Hi There", b""], &octets("b617318655057264e28bc0b6")));
        let mac = Mac::new(Hash::Md5, &[0x0b; 16]).unwrap();
        assert!(mac.fits([b"Hi There", b""], &octets("9294727a3638bb1c13f48ef8")));
    }

    /// RFC 4494 §4 (RFC 4493 §4, example 3, whose 40 octets are cut to the first 96 bits).
    #[test]
    fn authentication_vectors_of_rfc_4494() {
        let mac = Mac::new(Hash::AesCmac, &octets("2b7e151628aed2a6abf7158809cf4f3c")).unwrap();
        let message =
            octets("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411");
        assert!(mac.fits([&message[..17], &message[17..]], &octets("dfa66747de9ae63030ca3261")));
    }

    #[test]
    fn icvs_of_another_length_never_fit() {
        for hash in Hash::ALL {
            let mac = Mac::new(hash, &vec![1; hash.key_length()]).unwrap();
            let mut icv = [0; LONGEST + 1];
            mac.write([b"text", b""], &mut icv);
            for length in 0..icv.len() {
                let fits = mac.fits([b"text", b""], &icv[..length]);
                assert_eq!(fits, length == hash.icv_length(), "{hash:?} {length}");
            }
            assert!(Mac::new(hash, &vec![1; hash.key_length() - 1]).is_none());
        }
    }
}
