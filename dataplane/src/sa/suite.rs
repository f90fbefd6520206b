//! The ESP transforms of the packet path: AES-GCM with a 16-octet ICV (RFC 4106), and the nonce
//! and associated data it takes.

use super::spi::Spi;
use ravelin_gcm::{Kernel, Key};

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
}

impl Suite {
    /// Octets of AES key.
    pub const fn key_length(self) -> usize {
        match self {
            Suite::AesGcm128 => 16,
            Suite::AesGcm192 => 24,
            Suite::AesGcm256 => 32,
        }
    }

    /// Octets of keying material a direction takes from IKE: key, then salt (RFC 4106 §8.1).
    pub const fn keymat_length(self) -> usize {
        self.key_length() + SALT_LEN
    }

    /// The suite of a key length, as IKE negotiates it (in bits).
    pub const fn from_key_bits(bits: u16) -> Option<Suite> {
        match bits {
            128 => Some(Suite::AesGcm128),
            192 => Some(Suite::AesGcm192),
            256 => Some(Suite::AesGcm256),
            _ => None,
        }
    }

    /// Splits keying material into AES key and salt and expands the key for `kernel`.
    pub fn expand(self, kernel: Kernel, keymat: &[u8]) -> Result<(Key, [u8; SALT_LEN]), BadKeymat> {
        let wrong = BadKeymat { suite: self, octets: keymat.len() };
        let (key, salt) = keymat.split_last_chunk::<SALT_LEN>().ok_or(wrong)?;
        if key.len() != self.key_length() {
            return Err(wrong);
        }
        Ok((Key::new(kernel, key).map_err(|_| wrong)?, *salt))
    }

    /// As operators write it.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::AesGcm128 => "aes128-gcm16",
            Suite::AesGcm192 => "aes192-gcm16",
            Suite::AesGcm256 => "aes256-gcm16",
        }
    }
}

/// Keying material of the wrong length: our own fault, or a manual key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} takes {} octets of keying material (key and salt), not {octets}", suite.name(), suite.keymat_length())]
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
    fn keying_material_is_key_and_salt() {
        for suite in [Suite::AesGcm128, Suite::AesGcm192, Suite::AesGcm256] {
            let keymat: Vec<u8> = (0..40).collect();
            for length in 0..keymat.len() {
                let result = suite.expand(Kernel::portable(), &keymat[..length]);
                assert_eq!(result.is_ok(), length == suite.keymat_length());
                if let Ok((_, salt)) = result {
                    assert_eq!(salt, keymat[length - 4..length]);
                }
            }
            assert_eq!(Suite::from_key_bits(suite.key_length() as u16 * 8), Some(suite));
        }
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
