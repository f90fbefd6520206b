//! ESP of suites other than AES-GCM as their RFCs say it, step by step, over other code than the gateway's: `ring`'s
//! HMAC (with MD5, which it has not, by its definition), AWS-LC's CMAC, ChaCha20-Poly1305 and AES-GCM (for GMAC), and CBC
//! and CCM block by block.

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use aws_lc_rs::{aead, cmac};
use des::{Des, TdesEde3};
use md5::{Digest, Md5};
use ravelin_dataplane::cipher::Hash;
use ravelin_dataplane::sa::suite::Suite;
use ravelin_gcm::KeySize;
use ring::hmac;

/// The keys of one direction.
pub enum Oracle {
    /// RFC 3602, RFC 2451, RFC 2405, or RFC 2410 without a cipher, with RFC 2403, RFC 2404 or RFC 4868.
    Hashed { cipher: Option<(Block, Block, usize)>, hash: Hash, key: Vec<u8> },
    /// RFC 7634.
    ChaCha { key: Box<aead::LessSafeKey>, salt: [u8; 4] },
    /// RFC 4543.
    Gmac { key: Box<aead::LessSafeKey>, salt: [u8; 4] },
    /// RFC 4309.
    Ccm { cipher: Block, salt: [u8; 3] },
}

/// What a cipher does to a block.
type Block = Box<dyn Fn(&mut [u8])>;

/// Encryption and decryption of a block, and its octets.
fn both<C>(key: &[u8]) -> (Block, Block, usize)
where
    C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + 'static,
{
    let [encrypt, decrypt] = [0; 2].map(|_| C::new_from_slice(key).unwrap());
    #[allow(clippy::type_complexity, reason = "a block of whichever cipher it is")]
    let apply = |block: &mut [u8], way: &dyn Fn(&mut Array<u8, C::BlockSize>)| {
        let mut array = Array::try_from(&*block).unwrap();
        way(&mut array);
        block.copy_from_slice(&array);
    };
    (
        Box::new(move |block| apply(block, &|array| encrypt.encrypt_block(array))),
        Box::new(move |block| apply(block, &|array| decrypt.decrypt_block(array))),
        C::block_size(),
    )
}

fn aes(key: &[u8]) -> (Block, Block, usize) {
    match key.len() {
        16 => both::<Aes128>(key),
        24 => both::<Aes192>(key),
        _ => both::<Aes256>(key),
    }
}

/// HMAC-MD5 (RFC 2104), whose keys are shorter than a block.
fn hmac_md5(key: &[u8], covered: &[u8]) -> Vec<u8> {
    let pad =
        |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or_default() ^ with).collect() };
    let inner = Md5::digest([pad(0x36), covered.to_vec()].concat());
    Md5::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

/// CCM's tag over associated data and a text in clear, and the text under its key stream, which is the same work both ways
/// (RFC 3610 §2.2, §2.3, with L = 4 and M = 16).
fn ccm(block: &Block, nonce: &[u8], associated: &[u8], clear: &[u8]) -> Vec<u8> {
    let first = [&[0x40u8 | 7 << 3 | 3][..], nonce, &(clear.len() as u32).to_be_bytes()].concat();
    let mut blocks = [(associated.len() as u16).to_be_bytes().as_slice(), associated].concat();
    blocks.resize(blocks.len().next_multiple_of(16), 0);
    blocks.extend(clear);
    blocks.resize(blocks.len().next_multiple_of(16), 0);
    let mut tag = vec![0; 16];
    for part in [first, blocks].concat().chunks(16) {
        xor(&mut tag, part);
        block(&mut tag);
    }
    xor(&mut tag, &key_stream(block, nonce, 0));
    tag
}

/// Block number `number` of CCM's key stream.
fn key_stream(block: &Block, nonce: &[u8], number: u32) -> Vec<u8> {
    let mut stream = [&[3u8][..], nonce, &number.to_be_bytes()].concat();
    block(&mut stream);
    stream
}

/// A text under CCM's key stream: in clear, if it was under it.
fn ccm_text(block: &Block, nonce: &[u8], text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for (part, number) in text.chunks_mut(16).zip(1..) {
        xor(part, &key_stream(block, nonce, number));
    }
    text
}

fn xor(block: &mut [u8], with: &[u8]) {
    block.iter_mut().zip(with).for_each(|(octet, other)| *octet ^= other);
}

/// What is authenticated of a number that has 64 bits and shows 32.
fn high(sequence: u64) -> [u8; 4] {
    ((sequence >> 32) as u32).to_be_bytes()
}

fn icv(hash: Hash, key: &[u8], covered: &[u8], sequence: u64, esn: bool) -> Vec<u8> {
    let high = high(sequence);
    let covered = [covered, if esn { &high } else { &[] }].concat();
    let (algorithm, length) = match hash {
        Hash::Md5 => return hmac_md5(key, &covered)[..12].to_vec(),
        Hash::AesCmac => {
            let key = cmac::Key::new(cmac::AES_128, key).unwrap();
            return cmac::sign(&key, &covered).unwrap().as_ref()[..12].to_vec();
        }
        Hash::Sha1 => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 12),
        Hash::Sha256 => (hmac::HMAC_SHA256, 16),
        Hash::Sha384 => (hmac::HMAC_SHA384, 24),
        Hash::Sha512 => (hmac::HMAC_SHA512, 32),
    };
    hmac::sign(&hmac::Key::new(algorithm, key), &covered).as_ref()[..length].to_vec()
}

fn encrypt((encrypt, _, length): &(Block, Block, usize), iv: [u8; 16], text: &[u8]) -> Vec<u8> {
    let mut last = iv[..*length].to_vec();
    let mut sealed = last.clone();
    for block in text.chunks(*length) {
        xor(&mut last, block);
        encrypt(&mut last);
        sealed.extend_from_slice(&last);
    }
    sealed
}

fn decrypt((_, decrypt, length): &(Block, Block, usize), iv: &[u8], text: &[u8]) -> Vec<u8> {
    let mut clear = Vec::new();
    for (before, block) in [iv, text].concat().chunks(*length).zip(text.chunks(*length)) {
        let mut one = block.to_vec();
        decrypt(&mut one);
        xor(&mut one, before);
        clear.extend(one);
    }
    clear
}

/// Nonce and associated data (RFC 7634 §2, §2.1).
fn chacha(salt: [u8; 4], iv: &[u8], header: &[u8], sequence: u64, esn: bool) -> (aead::Nonce, Vec<u8>) {
    let nonce = [salt.as_slice(), iv].concat().try_into().unwrap();
    let high = high(sequence);
    let associated = [&header[..4], if esn { &high } else { &[] }, &header[4..8]].concat();
    (aead::Nonce::assume_unique_for_key(nonce), associated)
}

/// AES-GCM's tag over a packet from SPI to the end of its text, which is all associated data (RFC 4543 §3.3).
fn gmac(key: &aead::LessSafeKey, salt: [u8; 4], covered: &[u8], sequence: u64, esn: bool) -> Vec<u8> {
    let (nonce, mut associated) = chacha(salt, &covered[8..16], covered, sequence, esn);
    associated.extend(&covered[8..]);
    let tag = key.seal_in_place_separate_tag(nonce, aead::Aad::from(associated), &mut []).unwrap();
    tag.as_ref().to_vec()
}

/// Key and salt for an algorithm of AWS-LC's.
fn keyed(algorithm: &'static aead::Algorithm, material: &[u8]) -> (Box<aead::LessSafeKey>, [u8; 4]) {
    let (key, salt) = material.split_last_chunk().unwrap();
    (Box::new(aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, key).unwrap())), *salt)
}

impl Oracle {
    /// `None` for AES-GCM.
    pub fn new(suite: Suite, material: &[u8]) -> Option<Oracle> {
        match suite {
            Suite::AesCbc(size, hash) => {
                let (cipher, rest) = material.split_at(size.octets());
                let key = rest[..hash.key_length()].to_vec();
                Some(Oracle::Hashed { cipher: Some(aes(cipher)), hash, key })
            }
            Suite::TripleDes(hash) | Suite::Des(hash) => {
                let key = material[suite.keymat_length() - hash.key_length()..suite.keymat_length()].to_vec();
                let cipher = match suite {
                    Suite::Des(_) => both::<Des>(&material[..8]),
                    _ => both::<TdesEde3>(&material[..24]),
                };
                Some(Oracle::Hashed { cipher: Some(cipher), hash, key })
            }
            Suite::Null(hash) => Some(Oracle::Hashed { cipher: None, hash, key: material.to_vec() }),
            Suite::ChaCha20Poly1305 => {
                let (key, salt) = keyed(&aead::CHACHA20_POLY1305, material);
                Some(Oracle::ChaCha { key, salt })
            }
            Suite::AesGmac(size) => {
                let algorithm = match size {
                    KeySize::Aes128 => &aead::AES_128_GCM,
                    KeySize::Aes192 => &aead::AES_192_GCM,
                    KeySize::Aes256 => &aead::AES_256_GCM,
                };
                let (key, salt) = keyed(algorithm, material);
                Some(Oracle::Gmac { key, salt })
            }
            Suite::AesCcm(_) => {
                let (key, salt) = material.split_last_chunk().unwrap();
                Some(Oracle::Ccm { cipher: aes(key).0, salt: *salt })
            }
            _ => None,
        }
    }

    /// From SPI to ICV.
    pub fn seal(&self, spi: u32, sequence: u64, esn: bool, text: &[u8]) -> Vec<u8> {
        let mut packet = [spi.to_be_bytes(), (sequence as u32).to_be_bytes()].concat();
        // The peer's IV is any.
        let iv: [u8; 16] = std::array::from_fn(|at| (sequence as u8).wrapping_mul(31).wrapping_add(at as u8));
        match self {
            Oracle::Hashed { cipher, hash, key } => {
                packet.extend(cipher.as_ref().map_or(text.to_vec(), |cipher| encrypt(cipher, iv, text)));
                packet.extend(icv(*hash, key, &packet, sequence, esn));
            }
            Oracle::ChaCha { key, salt } => {
                let (nonce, associated) = chacha(*salt, &iv[..8], &packet, sequence, esn);
                let mut text = text.to_vec();
                key.seal_in_place_append_tag(nonce, aead::Aad::from(associated), &mut text).unwrap();
                packet.extend([&iv[..8], &text].concat());
            }
            Oracle::Gmac { key, salt } => {
                packet.extend([&iv[..8], text].concat());
                packet.extend(gmac(key, *salt, &packet, sequence, esn));
            }
            Oracle::Ccm { cipher, salt } => {
                let (_, associated) = chacha([0; 4], &iv[..8], &packet, sequence, esn);
                let nonce = [salt.as_slice(), &iv[..8]].concat();
                let sealed =
                    [ccm_text(cipher, &nonce, text), ccm(cipher, &nonce, &associated, text)].concat();
                packet.extend([&iv[..8], &sealed].concat());
            }
        }
        packet
    }

    /// IV and text of a packet, if its ICV is right.
    pub fn open(&self, sequence: u64, esn: bool, packet: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        match self {
            Oracle::Hashed { cipher, hash, key } => {
                let length = icv(*hash, key, &[], 0, false).len();
                let (covered, found) = packet.split_at(packet.len() - length);
                if icv(*hash, key, covered, sequence, esn) != found {
                    return None;
                }
                let (iv, text) = covered[8..].split_at(cipher.as_ref().map_or(0, |(.., length)| *length));
                let clear = cipher.as_ref().map_or(text.to_vec(), |cipher| decrypt(cipher, iv, text));
                Some((iv.to_vec(), clear))
            }
            Oracle::ChaCha { key, salt } => {
                let (iv, mut text) = (packet[8..16].to_vec(), packet[16..].to_vec());
                let (nonce, associated) = chacha(*salt, &iv, packet, sequence, esn);
                let clear = key.open_in_place(nonce, aead::Aad::from(associated), &mut text).ok()?.to_vec();
                Some((iv, clear))
            }
            Oracle::Gmac { key, salt } => {
                let (covered, found) = packet.split_at(packet.len() - 16);
                let (iv, text) = covered[8..].split_at(8);
                let wanted = gmac(key, *salt, covered, sequence, esn);
                (wanted == found).then(|| (iv.to_vec(), text.to_vec()))
            }
            Oracle::Ccm { cipher, salt } => {
                let (covered, found) = packet.split_at(packet.len() - 16);
                let (iv, text) = covered[8..].split_at(8);
                let (_, associated) = chacha([0; 4], iv, packet, sequence, esn);
                let nonce = [salt.as_slice(), iv].concat();
                let clear = ccm_text(cipher, &nonce, text);
                (ccm(cipher, &nonce, &associated, &clear) == found).then(|| (iv.to_vec(), clear))
            }
        }
    }
}

/// The text, its trailer included, of an ESP packet under this keying material, whatever its suite; `None` if its ICV is
/// wrong. AES-GCM by AWS-LC, which shares no code with the gateway's.
pub fn open(suite: Suite, material: &[u8], (sequence, esn): (u64, bool), esp: &[u8]) -> Option<Vec<u8>> {
    if let Some(oracle) = Oracle::new(suite, material) {
        return oracle.open(sequence, esn, esp).map(|(_, text)| text);
    }
    let (raw, salt) = material.split_last_chunk::<4>().unwrap();
    let algorithm = match raw.len() {
        16 => &aead::AES_128_GCM,
        24 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, raw).unwrap());
    let nonce: [u8; 12] = [&salt[..], &esp[8..16]].concat().try_into().unwrap();
    let number = if esn { sequence.to_be_bytes().to_vec() } else { esp[4..8].to_vec() };
    let (nonce, aad) =
        (aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from([&esp[..4], &number].concat()));
    let mut text = esp[16..].to_vec();
    let length = key.open_in_place(nonce, aad, &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}
