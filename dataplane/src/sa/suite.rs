//! The ESP transforms of the packet path: AES-GCM with a 16-octet ICV (RFC 4106), with the nonce and
//! associated data it takes, and those that [`crate::cipher`] carries out.

use super::spi::Spi;
use crate::cipher::{self, Des, Hash, Opener, Sealer};
use crate::net::esp::Framing;
use ravelin_gcm::{Kernel, Key, KeySize};

/// Octets of salt, the implicit part of the nonce (RFC 4106 §4).
pub const SALT_LEN: usize = 4;
/// Octets of explicit IV.
pub const IV_LEN: usize = 8;
/// Octets of ICV.
pub const ICV_LEN: usize = 16;

/// An ESP suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-GCM-16, 128-bit key.
    AesGcm128,
    /// AES-GCM-16, 192-bit key.
    AesGcm192,
    /// AES-GCM-16, 256-bit key.
    AesGcm256,
    /// AES-CBC (RFC 3602) with HMAC (RFC 2404, RFC 4868) or AES-CMAC (RFC 4494).
    AesCbc(KeySize, Hash),
    /// HMAC without a cipher (RFC 2410).
    Null(Hash),
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
    /// AES-GMAC with a 16-octet ICV: nothing is encrypted (RFC 4543).
    AesGmac(KeySize),
    /// AES-CCM with a 16-octet ICV (RFC 4309).
    AesCcm(KeySize),
    /// Triple-DES (RFC 2451) with HMAC.
    TripleDes(Hash),
    /// DES (RFC 2405) with HMAC.
    Des(Hash),
}

/// A key that is expanded for its suite and its direction: `T` is what carries out a suite other than AES-GCM.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a key lies where it is used; nothing is allocated for it")]
pub enum Keyed<T> {
    /// AES-GCM, in bursts.
    Gcm(Key),
    /// Another suite, a packet at a time.
    Apart(T),
}

// What is apart lies where the key of AES-GCM would: the hot halves of SAs are as long with either.
const _: () =
    assert!(size_of::<Keyed<Sealer>>() == size_of::<Key>() && size_of::<Keyed<Opener>>() == size_of::<Key>());

/// An expanded key, and the implicit part of the nonce of AES-GCM.
pub type Expanded<T> = (Keyed<T>, [u8; SALT_LEN]);

impl<T> From<Key> for Keyed<T> {
    fn from(key: Key) -> Keyed<T> {
        Keyed::Gcm(key)
    }
}

impl<T> Keyed<T> {
    /// The key of AES-GCM.
    #[inline(always)]
    pub const fn gcm(&self) -> Option<&Key> {
        match self {
            Keyed::Gcm(key) => Some(key),
            Keyed::Apart(_) => None,
        }
    }

    /// What carries out another suite.
    #[inline(always)]
    pub const fn apart(&self) -> Option<&T> {
        match self {
            Keyed::Gcm(_) => None,
            Keyed::Apart(apart) => Some(apart),
        }
    }
}

impl Suite {
    /// Every one.
    pub fn all() -> impl Iterator<Item = Suite> {
        let cbc = KeySize::ALL.into_iter().flat_map(|size| Hash::ALL.map(|hash| Suite::AesCbc(size, hash)));
        let others = Hash::ALL.map(Suite::Null).into_iter().chain([Suite::ChaCha20Poly1305]);
        let gmac = KeySize::ALL.map(Suite::AesGmac);
        let des = Hash::ALL.map(Suite::TripleDes).into_iter().chain(Hash::ALL.map(Suite::Des));
        [Suite::AesGcm128, Suite::AesGcm192, Suite::AesGcm256]
            .into_iter()
            .chain(cbc)
            .chain(others)
            .chain(gmac)
            .chain(KeySize::ALL.map(Suite::AesCcm))
            .chain(des)
    }

    /// Whether it is any but AES-GCM.
    pub const fn is_apart(self) -> bool {
        !matches!(self, Suite::AesGcm128 | Suite::AesGcm192 | Suite::AesGcm256)
    }

    /// Octets of keying material a direction takes from IKE: the cipher's key, then the salt (RFC 4106 §8.1) or the
    /// hash's key (RFC 7296 §2.17).
    pub const fn keymat_length(self) -> usize {
        match self {
            Suite::AesGcm128 => KeySize::Aes128.octets() + SALT_LEN,
            Suite::AesGcm192 => KeySize::Aes192.octets() + SALT_LEN,
            Suite::AesGcm256 => KeySize::Aes256.octets() + SALT_LEN,
            Suite::AesCbc(size, hash) => size.octets() + hash.key_length(),
            Suite::TripleDes(hash) => Des::Triple.octets() + hash.key_length(),
            Suite::Des(hash) => Des::Des.octets() + hash.key_length(),
            Suite::Null(hash) => hash.key_length(),
            Suite::ChaCha20Poly1305 => cipher::CHACHA,
            Suite::AesGmac(size) => size.octets() + cipher::GMAC_SALT,
            Suite::AesCcm(size) => size.octets() + cipher::CCM_SALT,
        }
    }

    /// Octets of secret that a worker needs behind the keying material, which the peer has no part in: IVs that are not
    /// to be foreseen are drawn from it.
    pub const fn seed_length(self) -> usize {
        match self {
            Suite::AesCbc(..) | Suite::TripleDes(_) | Suite::Des(_) => cipher::SEED,
            _ => 0,
        }
    }

    /// What it puts around a text.
    pub const fn framing(self) -> Framing {
        match self {
            Suite::AesCbc(_, hash) => Framing { iv: 16, block: 16, icv: hash.icv_length() },
            Suite::TripleDes(hash) | Suite::Des(hash) => Framing { iv: 8, block: 8, icv: hash.icv_length() },
            Suite::Null(hash) => Framing { iv: 0, block: 4, icv: hash.icv_length() },
            // The same as AES-GCM (RFC 7634 §2, RFC 4543 §3, RFC 4309 §3).
            Suite::ChaCha20Poly1305 | Suite::AesGmac(_) | Suite::AesCcm(_) => Framing::GCM,
            Suite::AesGcm128 | Suite::AesGcm192 | Suite::AesGcm256 => Framing::GCM,
        }
    }

    /// Expands keying material, with the seed behind it, to encrypt with; AES-GCM for `kernel`.
    pub fn sealer(self, kernel: Kernel, material: &[u8]) -> Result<Expanded<Sealer>, BadKeymat> {
        self.expand(kernel, material, |material| match self {
            Suite::AesCbc(size, hash) => Sealer::cbc(size, hash, material),
            Suite::TripleDes(hash) => Sealer::des(Des::Triple, hash, material),
            Suite::Des(hash) => Sealer::des(Des::Des, hash, material),
            Suite::Null(hash) => Sealer::null(hash, material),
            Suite::ChaCha20Poly1305 => Sealer::chacha(material),
            Suite::AesGmac(size) => Sealer::gmac(size, material),
            Suite::AesCcm(size) => Sealer::ccm(size, material),
            Suite::AesGcm128 | Suite::AesGcm192 | Suite::AesGcm256 => None,
        })
    }

    /// Expands keying material, with the seed behind it, to decrypt with.
    pub fn opener(self, kernel: Kernel, material: &[u8]) -> Result<Expanded<Opener>, BadKeymat> {
        self.expand(kernel, material, |material| match self {
            Suite::AesCbc(size, hash) => Opener::cbc(size, hash, material),
            Suite::TripleDes(hash) => Opener::des(Des::Triple, hash, material),
            Suite::Des(hash) => Opener::des(Des::Des, hash, material),
            Suite::Null(hash) => Opener::null(hash, material),
            Suite::ChaCha20Poly1305 => Opener::chacha(material),
            Suite::AesGmac(size) => Opener::gmac(size, material),
            Suite::AesCcm(size) => Opener::ccm(size, material),
            Suite::AesGcm128 | Suite::AesGcm192 | Suite::AesGcm256 => None,
        })
    }

    fn expand<T>(
        self,
        kernel: Kernel,
        material: &[u8],
        apart: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Expanded<T>, BadKeymat> {
        let wrong = BadKeymat { suite: self, octets: material.len() };
        if material.len() != self.keymat_length() + self.seed_length() {
            return Err(wrong);
        }
        match self.is_apart() {
            true => Ok((Keyed::Apart(apart(material).ok_or(wrong)?), [0; SALT_LEN])),
            false => {
                let (key, salt) = material.split_last_chunk::<SALT_LEN>().ok_or(wrong)?;
                Ok((Keyed::Gcm(Key::new(kernel, key).map_err(|_| wrong)?), *salt))
            }
        }
    }

    /// As a proposal says it.
    pub const fn name(self) -> &'static str {
        use KeySize::{Aes128, Aes192, Aes256};
        match self {
            Suite::AesGcm128 => "aes128gcm16",
            Suite::AesGcm192 => "aes192gcm16",
            Suite::AesGcm256 => "aes256gcm16",
            Suite::Null(Hash::Sha1) => "null-sha1",
            Suite::Null(Hash::Sha256) => "null-sha256",
            Suite::Null(Hash::Sha384) => "null-sha384",
            Suite::Null(Hash::Sha512) => "null-sha512",
            Suite::Null(Hash::Md5) => "null-md5",
            Suite::ChaCha20Poly1305 => "chacha20poly1305",
            Suite::Null(Hash::AesCmac) => "null-aescmac",
            Suite::AesCcm(Aes128) => "aes128ccm16",
            Suite::AesCcm(Aes192) => "aes192ccm16",
            Suite::AesCcm(Aes256) => "aes256ccm16",
            Suite::AesCbc(Aes128, Hash::AesCmac) => "aes128-aescmac",
            Suite::AesCbc(Aes192, Hash::AesCmac) => "aes192-aescmac",
            Suite::AesCbc(Aes256, Hash::AesCmac) => "aes256-aescmac",
            Suite::TripleDes(Hash::AesCmac) => "3des-aescmac",
            Suite::Des(Hash::AesCmac) => "des-aescmac",
            Suite::AesGmac(Aes128) => "aes128gmac",
            Suite::AesGmac(Aes192) => "aes192gmac",
            Suite::AesGmac(Aes256) => "aes256gmac",
            Suite::AesCbc(Aes128, Hash::Sha1) => "aes128-sha1",
            Suite::AesCbc(Aes128, Hash::Sha256) => "aes128-sha256",
            Suite::AesCbc(Aes128, Hash::Sha384) => "aes128-sha384",
            Suite::AesCbc(Aes128, Hash::Sha512) => "aes128-sha512",
            Suite::AesCbc(Aes192, Hash::Sha1) => "aes192-sha1",
            Suite::AesCbc(Aes192, Hash::Sha256) => "aes192-sha256",
            Suite::AesCbc(Aes192, Hash::Sha384) => "aes192-sha384",
            Suite::AesCbc(Aes192, Hash::Sha512) => "aes192-sha512",
            Suite::AesCbc(Aes256, Hash::Sha1) => "aes256-sha1",
            Suite::AesCbc(Aes256, Hash::Sha256) => "aes256-sha256",
            Suite::AesCbc(Aes256, Hash::Sha384) => "aes256-sha384",
            Suite::AesCbc(Aes256, Hash::Sha512) => "aes256-sha512",
            Suite::AesCbc(Aes128, Hash::Md5) => "aes128-md5",
            Suite::AesCbc(Aes192, Hash::Md5) => "aes192-md5",
            Suite::AesCbc(Aes256, Hash::Md5) => "aes256-md5",
            Suite::TripleDes(Hash::Sha1) => "3des-sha1",
            Suite::TripleDes(Hash::Sha256) => "3des-sha256",
            Suite::TripleDes(Hash::Sha384) => "3des-sha384",
            Suite::TripleDes(Hash::Sha512) => "3des-sha512",
            Suite::TripleDes(Hash::Md5) => "3des-md5",
            Suite::Des(Hash::Sha1) => "des-sha1",
            Suite::Des(Hash::Sha256) => "des-sha256",
            Suite::Des(Hash::Sha384) => "des-sha384",
            Suite::Des(Hash::Sha512) => "des-sha512",
            Suite::Des(Hash::Md5) => "des-md5",
        }
    }
}

/// Keying material of the wrong length: our own fault, or a manual key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} takes {} octets of keying material, not {octets}", suite.name(), suite.keymat_length() + suite.seed_length())]
pub struct BadKeymat {
    /// The suite.
    pub suite: Suite,
    /// Octets given.
    pub octets: usize,
}

/// The nonce of a packet: salt, then IV (RFC 4106 §4).
#[inline]
pub const fn nonce(salt: [u8; SALT_LEN], iv: [u8; IV_LEN]) -> [u8; 12] {
    let mut nonce = [0; SALT_LEN + IV_LEN];
    if let Some((first, last)) = nonce.split_first_chunk_mut()
        && let Some((last, _)) = last.split_first_chunk_mut()
    {
        (*first, *last) = (salt, iv);
    }
    nonce
}

/// The associated data of a packet (RFC 4106 §5): SPI and 32-bit sequence number, or SPI and
/// 64-bit extended sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(4))]
pub struct Aad {
    words: [[u8; 4]; 3],
    length: u8,
}

impl Aad {
    /// Nothing.
    pub const EMPTY: Aad = Aad { words: [[0; 4]; 3], length: 0 };

    /// For an SA with (`esn`) or without extended sequence numbers.
    #[inline]
    pub const fn new(spi: Spi, sequence: u64, esn: bool) -> Aad {
        let (spi, low) = (spi.0.to_be_bytes(), (sequence as u32).to_be_bytes());
        match esn {
            true => Aad { words: [spi, ((sequence >> 32) as u32).to_be_bytes(), low], length: 12 },
            false => Aad { words: [spi, low, [0; 4]], length: 8 },
        }
    }

    /// The octets, 8 or 12 of them.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        let octets = self.words.as_flattened();
        octets.get(..usize::from(self.length)).unwrap_or(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keying_material_is_of_one_length_for_each_suite() {
        for suite in Suite::all() {
            let material: Vec<u8> = (0..120).collect();
            for length in 0..material.len() {
                let (kernel, fits) =
                    (Kernel::portable(), length == suite.keymat_length() + suite.seed_length());
                let sealer = suite.sealer(kernel, &material[..length]);
                assert_eq!((sealer.is_ok(), suite.opener(kernel, &material[..length]).is_ok()), (fits, fits));
                if let Ok((Keyed::Gcm(_), salt)) = sealer {
                    assert_eq!(salt, material[length - 4..length]);
                }
            }
            assert!(suite.keymat_length() + suite.seed_length() <= crate::link::key::KEY_MATERIAL);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = Suite::all().map(Suite::name).collect();
        assert_eq!(names.len(), Suite::all().count());
    }

    #[test]
    fn layouts_of_rfc_4106() {
        assert_eq!(nonce([1, 2, 3, 4], [5, 6, 7, 8, 9, 10, 11, 12]), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let spi = Spi(0x0405_0607);
        let sequence = 0x1122_3344_5566_7788;
        assert_eq!(Aad::new(spi, sequence, false).as_bytes(), [4, 5, 6, 7, 0x55, 0x66, 0x77, 0x88]);
        let long = [4, 5, 6, 7, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
        assert_eq!(Aad::new(spi, sequence, true).as_bytes(), long);
    }
}
