//! DES and Triple-DES in CBC mode, for peers that have no other cipher and only where the operator asks for it (RFC 2405,
//! RFC 2451, RFC 8221 §5). Over RustCrypto's `des` and `cbc`.
//!
//! A key is kept as it came and expanded for each packet: expanded, three of them with a hash would not lie where the key
//! of AES-GCM does, and who takes such a cipher has not come for speed.

use cbc::cipher::array::Array;
use cbc::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
};
use des::{Des, TdesEde3};
use zeroize::Zeroizing;

/// Octets of a block and of an IV.
pub const BLOCK: usize = 8;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// DES: 56 bits, which anybody can try out.
    Des,
    /// Triple-DES: encrypt, decrypt, encrypt, each under a key of its own.
    Triple,
}

impl Kind {
    /// Octets of key, parity among them (RFC 2405 §5, RFC 2451 §2.2).
    pub const fn octets(self) -> usize {
        match self {
            Kind::Des => 8,
            Kind::Triple => 24,
        }
    }
}

/// A key.
pub(super) enum Key {
    Des(Zeroizing<[u8; 8]>),
    Triple(Zeroizing<[u8; 24]>),
}

impl Key {
    /// `None` if it is not as long as it has to be, or if two of three keys in a row are one: "implementers MUST reject
    /// keys that exhibit this property" (RFC 2451 §2.3), parity aside.
    pub(super) fn new(kind: Kind, key: &[u8]) -> Option<Key> {
        match kind {
            Kind::Des => Some(Key::Des(Zeroizing::new(key.try_into().ok()?))),
            Kind::Triple => {
                let key: Zeroizing<[u8; 24]> = Zeroizing::new(key.try_into().ok()?);
                let (parts, _) = key.as_chunks::<8>();
                let is_one = |pair: &[[u8; 8]]| match pair {
                    [one, other] => one.iter().zip(other).all(|(one, other)| (one ^ other) & 0xfe == 0),
                    _ => false,
                };
                (!parts.windows(2).any(is_one)).then_some(Key::Triple(key))
            }
        }
    }

    /// Encrypts whole blocks behind the IV, which is written in front of them; `None` if there is a part of one.
    pub(super) fn encrypt(&self, iv: [u8; BLOCK], text: &mut [u8]) -> Option<()> {
        let (place, text) = text.split_first_chunk_mut()?;
        *place = iv;
        match self {
            Key::Des(key) => encrypt(Des::new(&Array::from(**key)), iv, text),
            Key::Triple(key) => encrypt(TdesEde3::new(&Array::from(**key)), iv, text),
        }
    }

    /// Decrypts whole blocks behind their IV.
    pub(super) fn decrypt(&self, text: &mut [u8]) -> Option<()> {
        let (iv, text) = text.split_first_chunk_mut::<BLOCK>()?;
        match self {
            Key::Des(key) => decrypt(Des::new(&Array::from(**key)), *iv, text),
            Key::Triple(key) => decrypt(TdesEde3::new(&Array::from(**key)), *iv, text),
        }
    }
}

fn encrypt<C: BlockCipherEncrypt>(cipher: C, iv: [u8; BLOCK], text: &mut [u8]) -> Option<()>
where
    Array<u8, C::BlockSize>: From<[u8; BLOCK]>,
{
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    if !rest.is_empty() {
        return None;
    }
    cbc::Encryptor::inner_iv_init(cipher, &Array::from(iv)).encrypt_blocks(blocks);
    Some(())
}

fn decrypt<C: BlockCipherDecrypt>(cipher: C, iv: [u8; BLOCK], text: &mut [u8]) -> Option<()>
where
    Array<u8, C::BlockSize>: From<[u8; BLOCK]>,
{
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    if !rest.is_empty() {
        return None;
    }
    cbc::Decryptor::inner_iv_init(cipher, &Array::from(iv)).decrypt_blocks(blocks);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// FIPS 81 appendix C: "Now is the time for all " under DES in CBC mode.
    #[test]
    fn a_vector_of_fips_81() {
        let key = Key::new(Kind::Des, &octets("0123456789abcdef")).unwrap();
        let mut text = [&[0; 8][..], b"Now is the time for all "].concat();
        key.encrypt([0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xef], &mut text).unwrap();
        assert_eq!(text[8..], octets("e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6"));
        key.decrypt(&mut text).unwrap();
        assert_eq!(&text[8..], b"Now is the time for all ");
        assert!(key.encrypt([0; 8], &mut text[..31]).is_none(), "a part of a block");
    }

    /// NIST SP 800-67: with three keys that are one, Triple-DES would be DES, and is refused, whatever the parity.
    #[test]
    fn keys_that_are_no_three_are_refused() {
        let (one, other) = (octets("0123456789abcdef"), octets("23456789abcdef01"));
        let parity = octets("0022446688aaccee");
        for (keys, accepted) in [
            ([&one, &other, &one], true),
            ([&one, &one, &other], false),
            ([&other, &one, &one], false),
            ([&one, &parity, &other], false),
        ] {
            let key = Key::new(Kind::Triple, &keys.map(Vec::as_slice).concat());
            assert_eq!(key.is_some(), accepted);
        }
        assert!(Key::new(Kind::Triple, &one).is_none() && Key::new(Kind::Des, &[1; 7]).is_none());
    }

    /// Triple-DES undoes itself, and is none of the three.
    #[test]
    fn triple_des_round_trip() {
        let keys = [octets("0123456789abcdef"), octets("23456789abcdef01"), octets("456789abcdef0123")];
        let key = Key::new(Kind::Triple, &keys.concat()).unwrap();
        let clear = [&[0; 8][..], b"The qufck brown fox jump"].concat();
        let mut text = clear.clone();
        key.encrypt([0; 8], &mut text).unwrap();
        // NIST SP 800-20, table 4 of appendix B: the first block of this text.
        assert_eq!(text[8..16], octets("a826fd8ce53b855f"));
        key.decrypt(&mut text).unwrap();
        assert_eq!(text, clear);
    }
}
