//! Keys made ready for a kernel, wiped when dropped. They lie inline: to install an association allocates nothing.

use std::fmt;

use aes::cipher::array::Array;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::BLOCK;
use crate::kernel::{Kernel, Set};
use crate::low::single::{self, Function};
#[cfg(target_arch = "x86_64")]
use crate::low::zmm;

/// A key of AES, to encrypt with.
pub struct EncryptionKey(pub(crate) Schedule);

pub(crate) enum Schedule {
    #[cfg(target_arch = "x86_64")]
    Vaes512(zmm::Cpu, zmm::RoundKeys),
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl EncryptionKey {
    /// Expands `key` for `kernel`; `None` unless it has 16, 24 or 32 octets.
    pub fn new(kernel: Kernel, key: &[u8]) -> Option<EncryptionKey> {
        Some(EncryptionKey(match (kernel.0, key.len()) {
            #[cfg(target_arch = "x86_64")]
            (Set::Vaes512(cpu), 16 | 24 | 32) => Schedule::Vaes512(cpu, zmm::RoundKeys::new(cpu, key)),
            (_, 16) => Schedule::Aes128(KeyInit::new_from_slice(key).ok()?),
            (_, 24) => Schedule::Aes192(KeyInit::new_from_slice(key).ok()?),
            (_, 32) => Schedule::Aes256(KeyInit::new_from_slice(key).ok()?),
            _ => return None,
        }))
    }

    /// Encrypts a block by itself.
    #[inline]
    pub fn encrypt_block(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut block = Array::from(block);
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes512(cpu, keys) => return keys.encrypt(*cpu, block.into()),
            Schedule::Aes128(cipher) => cipher.encrypt_block(&mut block),
            Schedule::Aes192(cipher) => cipher.encrypt_block(&mut block),
            Schedule::Aes256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }
}

/// A key of AES, to decrypt with.
pub struct DecryptionKey(pub(crate) InverseSchedule);

pub(crate) enum InverseSchedule {
    #[cfg(target_arch = "x86_64")]
    Vaes512(zmm::Cpu, zmm::RoundKeys),
    Aes128(Aes128Dec),
    Aes192(Aes192Dec),
    Aes256(Aes256Dec),
}

impl DecryptionKey {
    /// Expands `key` for `kernel`; `None` unless it has 16, 24 or 32 octets.
    pub fn new(kernel: Kernel, key: &[u8]) -> Option<DecryptionKey> {
        Some(DecryptionKey(match (kernel.0, key.len()) {
            #[cfg(target_arch = "x86_64")]
            (Set::Vaes512(cpu), 16 | 24 | 32) => {
                InverseSchedule::Vaes512(cpu, zmm::RoundKeys::new(cpu, key).inverse(cpu))
            }
            (_, 16) => InverseSchedule::Aes128(KeyInit::new_from_slice(key).ok()?),
            (_, 24) => InverseSchedule::Aes192(KeyInit::new_from_slice(key).ok()?),
            (_, 32) => InverseSchedule::Aes256(KeyInit::new_from_slice(key).ok()?),
            _ => return None,
        }))
    }
}

/// A hash (FIPS 180-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// 20 octets, of blocks of 64. That collisions of it are found says nothing against its HMAC (RFC 6194 §3.3); for
    /// peers that have nothing else.
    Sha1,
    /// 32 octets, of blocks of 64.
    Sha256,
    /// 48 octets, of blocks of 128.
    Sha384,
    /// 64 octets, of blocks of 128.
    Sha512,
}

impl Hash {
    /// Every one.
    pub const ALL: [Hash; 4] = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];

    /// Octets of what it gives.
    pub const fn octets(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        }
    }
}

/// A key of HMAC: what the hash has come to behind the two padded keys (RFC 2104 §4).
pub struct MacKey {
    pub(crate) kernel: Kernel,
    pub(crate) states: States,
}

/// Behind the inner and the outer padded key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) enum States {
    Sha1([[u32; 8]; 2]),
    Sha256([[u32; 8]; 2]),
    /// SHA-384 gives six of its words.
    Sha512([[u64; 8]; 2], #[zeroize(skip)] usize),
}

/// FIPS 180-4 §5.3.1.
const SHA1: [u32; 8] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0, 0, 0, 0];
/// FIPS 180-4 §5.3.3.
const SHA256: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
/// FIPS 180-4 §5.3.4.
const SHA384: [u64; 8] = [
    0xcbbb9d5dc1059ed8,
    0x629a292a367cd507,
    0x9159015a3070dd17,
    0x152fecd8f70e5939,
    0x67332667ffc00b31,
    0x8eb44a8768581511,
    0xdb0c2e0d64f98fa7,
    0x47b5481dbefa4fa4,
];
/// FIPS 180-4 §5.3.5.
const SHA512: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

impl MacKey {
    /// Hashes `key` in; `None` if it is longer than the hash gives, of which RFC 2104 §3 says that it "would not
    /// significantly increase the function strength".
    pub fn new(kernel: Kernel, hash: Hash, key: &[u8]) -> Option<MacKey> {
        if key.len() > hash.octets() {
            return None;
        }
        let states = match hash {
            Hash::Sha1 => States::Sha1(padded(key, SHA1, single::Sha1::compress)),
            Hash::Sha256 => States::Sha256(padded(key, SHA256, single::Sha256::compress)),
            Hash::Sha384 => States::Sha512(padded(key, SHA384, single::Sha512::compress), 6),
            Hash::Sha512 => States::Sha512(padded(key, SHA512, single::Sha512::compress), 8),
        };
        Some(MacKey { kernel, states })
    }
}

/// The states behind "K XOR ipad" and "K XOR opad" (RFC 2104 §2).
fn padded<Word: Copy, const BLOCK: usize>(
    key: &[u8],
    first: [Word; 8],
    compress: impl Fn(&mut [Word; 8], &[[u8; BLOCK]]),
) -> [[Word; 8]; 2] {
    [0x36, 0x5c].map(|pad| {
        let (mut state, mut block) = (first, Zeroizing::new([pad; BLOCK]));
        block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
        compress(&mut state, &[*block]);
        state
    })
}

/// Keys do not belong in logs.
impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(..)")
    }
}

/// Keys do not belong in logs.
impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptionKey(..)")
    }
}

/// Keys do not belong in logs.
impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}
