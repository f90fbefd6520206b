//! ESP of suites other than AES-GCM as their RFCs say it, step by step, over other code than the gateway's: `ring`'s
//! HMAC, and CBC block by block.

use aes::cipher::consts::U16;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use ravelin_dataplane::cipher::Hash;
use ravelin_dataplane::sa::suite::Suite;
use ring::hmac;

/// The keys of one direction.
pub enum Oracle {
    /// RFC 3602 with RFC 2404 or RFC 4868.
    Cbc { aes: Vec<u8>, hash: Hash, key: Vec<u8> },
}

/// What a cipher does to a block.
type Block = Box<dyn Fn(&mut [u8; 16])>;

fn both<C>(key: &[u8]) -> [Block; 2]
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = U16> + BlockCipherDecrypt + 'static,
{
    let [encrypt, decrypt] = [0; 2].map(|_| C::new_from_slice(key).unwrap());
    let apply = |block: &mut [u8; 16], way: &dyn Fn(&mut Array<u8, U16>)| {
        let mut array = Array::from(*block);
        way(&mut array);
        *block = array.into();
    };
    [
        Box::new(move |block| apply(block, &|array| encrypt.encrypt_block(array))),
        Box::new(move |block| apply(block, &|array| decrypt.decrypt_block(array))),
    ]
}

/// Encryption and decryption of a block.
fn blocks(aes: &[u8]) -> [Block; 2] {
    match aes.len() {
        16 => both::<Aes128>(aes),
        24 => both::<Aes192>(aes),
        _ => both::<Aes256>(aes),
    }
}

fn xor(block: &mut [u8; 16], with: &[u8]) {
    block.iter_mut().zip(with).for_each(|(octet, other)| *octet ^= other);
}

impl Oracle {
    /// `None` for AES-GCM.
    pub fn new(suite: Suite, material: &[u8]) -> Option<Oracle> {
        match suite {
            Suite::AesCbc(size, hash) => {
                let (aes, rest) = material.split_at(size.octets());
                let key = rest[..hash.key_length()].to_vec();
                Some(Oracle::Cbc { aes: aes.to_vec(), hash, key })
            }
            _ => None,
        }
    }

    fn icv(&self, covered: &[u8], sequence: u64, esn: bool) -> Vec<u8> {
        let Oracle::Cbc { hash, key, .. } = self;
        let (algorithm, length) = match hash {
            Hash::Sha1 => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 12),
            Hash::Sha256 => (hmac::HMAC_SHA256, 16),
            Hash::Sha384 => (hmac::HMAC_SHA384, 24),
            Hash::Sha512 => (hmac::HMAC_SHA512, 32),
        };
        let mut covered = covered.to_vec();
        if esn {
            covered.extend(((sequence >> 32) as u32).to_be_bytes());
        }
        hmac::sign(&hmac::Key::new(algorithm, key), &covered).as_ref()[..length].to_vec()
    }

    /// From SPI to ICV.
    pub fn seal(&self, spi: u32, sequence: u64, esn: bool, text: &[u8]) -> Vec<u8> {
        let Oracle::Cbc { aes, .. } = self;
        let [encrypt, _] = blocks(aes);
        let mut packet = [spi.to_be_bytes(), (sequence as u32).to_be_bytes()].concat();
        // The peer's IV is any.
        let mut last: [u8; 16] =
            std::array::from_fn(|at| (sequence as u8).wrapping_mul(31).wrapping_add(at as u8));
        packet.extend(last);
        for block in text.chunks(16) {
            xor(&mut last, block);
            encrypt(&mut last);
            packet.extend(last);
        }
        packet.extend(self.icv(&packet, sequence, esn));
        packet
    }

    /// IV and text of a packet, if its ICV is right.
    pub fn open(&self, sequence: u64, esn: bool, packet: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let Oracle::Cbc { aes, .. } = self;
        let (covered, icv) = packet.split_at(packet.len() - self.icv(&[], 0, false).len());
        if self.icv(covered, sequence, esn) != icv {
            return None;
        }
        let [_, decrypt] = blocks(aes);
        let (iv, text) = covered[8..].split_at(16);
        let mut clear = Vec::new();
        for (before, block) in [iv, text].concat().chunks(16).zip(text.chunks(16)) {
            let mut one: [u8; 16] = block.try_into().unwrap();
            decrypt(&mut one);
            xor(&mut one, before);
            clear.extend(one);
        }
        Some((iv.to_vec(), clear))
    }
}
