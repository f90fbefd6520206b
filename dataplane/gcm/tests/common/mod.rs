//! What the tests of this crate share: octets from hexadecimal, one-lane bursts, all kernels.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod model;

use ravelin_gcm::{BadTag, Kernel, Key, Open, Seal, open_burst, seal_burst};

/// Octets written in hexadecimal.
pub fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd number of digits");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Octets that look random and are the same each time (a 64-bit xorshift).
pub fn octets(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Seals one packet: ciphertext and tag.
pub fn seal_one(key: &Key, nonce: [u8; 12], aad: &[u8], plain: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let (mut text, mut tag) = (plain.to_vec(), [0; 16]);
    seal_burst(&mut [Seal::new(key, nonce, aad, &mut text, &mut tag)]);
    (text, tag)
}

/// Opens one packet: what is left in the buffer, and the verdict.
pub fn open_one(
    key: &Key,
    nonce: [u8; 12],
    aad: &[u8],
    cipher: &[u8],
    tag: [u8; 16],
) -> (Vec<u8>, Result<(), BadTag>) {
    let mut text = cipher.to_vec();
    let mut lanes = [Open::new(key, nonce, aad, &mut text, tag)];
    open_burst(&mut lanes);
    let [lane] = lanes;
    let verdict = lane.verdict;
    (text, verdict)
}

/// The same key expanded for every kernel of this processor.
pub fn on_all_kernels(key: &[u8]) -> Vec<Key> {
    Kernel::all().map(|kernel| Key::new(kernel, key).unwrap()).collect()
}
