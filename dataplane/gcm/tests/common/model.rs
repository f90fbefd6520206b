//! GCM as SP 800-38D writes it down, one block and one bit at a time: slow, obvious, and sharing
//! nothing with the kernels but the AES block cipher.

use aes_gcm::aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes_gcm::aes::{Aes128, Aes192, Aes256};

/// CIPH_K of one block.
fn cipher_block(key: &[u8], block: u128) -> u128 {
    let mut block = block.to_be_bytes().into();
    match key.len() {
        16 => Aes128::new_from_slice(key).unwrap().encrypt_block(&mut block),
        24 => Aes192::new_from_slice(key).unwrap().encrypt_block(&mut block),
        _ => Aes256::new_from_slice(key).unwrap().encrypt_block(&mut block),
    }
    u128::from_be_bytes(block.into())
}

/// Multiplication of blocks, SP 800-38D §6.3 algorithm 1. Bit 0 is the leftmost.
fn multiply(x: u128, y: u128) -> u128 {
    const R: u128 = 0xe1 << 120;
    let (mut z, mut v) = (0, y);
    for i in 0..128 {
        if (x >> (127 - i)) & 1 == 1 {
            z ^= v;
        }
        v = if v & 1 == 1 { (v >> 1) ^ R } else { v >> 1 };
    }
    z
}

/// Blocks of `octets`, the last filled up with zeros.
fn blocks(octets: &[u8]) -> impl Iterator<Item = u128> {
    octets.chunks(16).map(|chunk| {
        let mut block = [0; 16];
        block[..chunk.len()].copy_from_slice(chunk);
        u128::from_be_bytes(block)
    })
}

/// GCM-AE_K(IV, P, A) of §7.1 with a 96-bit IV and a 128-bit tag: ciphertext and tag.
pub fn seal(key: &[u8], nonce: [u8; 12], aad: &[u8], plain: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let mut first = [0; 16];
    first[..12].copy_from_slice(&nonce);
    first[15] = 1;
    let j0 = u128::from_be_bytes(first);
    // inc32 (§6.2): the low 32 bits wrap, the rest stays.
    let counter = |n: u32| (j0 & !0xffff_ffff) | u128::from((j0 as u32).wrapping_add(n));
    let cipher: Vec<u8> = (1..)
        .zip(plain.chunks(16))
        .flat_map(|(n, chunk)| {
            let stream = cipher_block(key, counter(n)).to_be_bytes();
            chunk.iter().zip(stream).map(|(a, b)| a ^ b).collect::<Vec<u8>>()
        })
        .collect();
    let lengths = ((aad.len() as u128 * 8) << 64) | (cipher.len() as u128 * 8);
    let h = cipher_block(key, 0);
    let hash = blocks(aad).chain(blocks(&cipher)).chain([lengths]).fold(0, |y, x| multiply(y ^ x, h));
    (cipher, (hash ^ cipher_block(key, j0)).to_be_bytes())
}
