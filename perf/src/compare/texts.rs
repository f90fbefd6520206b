//! Packets, keys and order for comparing GCM libraries: the same, by rule, in every program.
//!
//! `perf/peers/gcm.c` makes its packets by these rules too; equal tags show that it does. Keys protect
//! nothing here and a key seals with one nonce again and again, as only a bench may.

use ravelin_gcm::{NONCE_LENGTH, TAG_LENGTH};

/// Octets of associated data: SPI and sequence number (RFC 4106 §5).
pub const AAD: usize = 8;

/// One step of SplitMix64.
pub fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Octets of key `index`; a shorter key is its beginning.
pub fn key(index: u32) -> [u8; 32] {
    let mut state = u64::from(index);
    let mut key = [0; 32];
    for word in key.chunks_exact_mut(8) {
        word.copy_from_slice(&splitmix(&mut state).to_le_bytes());
    }
    key
}

/// Nonce of the packets of key `index`.
pub fn nonce(index: u32) -> [u8; NONCE_LENGTH] {
    let mut nonce = [0xa5; NONCE_LENGTH];
    nonce[4..].copy_from_slice(&(u64::from(index) + 1).to_be_bytes());
    nonce
}

/// Associated data of the packets of key `index`.
pub fn aad(index: u32) -> [u8; AAD] {
    let mut aad = [0, 0, 0, 0, 0, 0, 0, 1];
    aad[..4].copy_from_slice(&index.to_be_bytes());
    aad
}

/// The text of every packet.
pub fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(31).wrapping_add(7)) as u8).collect()
}

/// The numbers below `count` in a random order, always the same (Fisher and Yates's shuffle).
pub fn shuffled(count: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    let mut state = 0x5eed;
    for last in (1..order.len()).rev() {
        let other = splitmix(&mut state) % (last as u64 + 1);
        order.swap(last, other as usize);
    }
    order
}

/// FNV-1a over all tags: two libraries with the same digest made the same tags.
pub fn digest(tags: &[[u8; TAG_LENGTH]]) -> u64 {
    tags.iter()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number once, and not in order: neither a cache nor a prefetcher can guess the next key.
    #[test]
    fn shuffling_keeps_all_numbers() {
        let mut order = shuffled(4096);
        assert!(order.windows(2).filter(|pair| pair[1] == pair[0] + 1).count() < 10);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..4096));
    }

    /// The generator is SplitMix64: its published first outputs for the state 1234567.
    #[test]
    fn splitmix_is_splitmix() {
        let mut state = 1_234_567;
        assert_eq!(
            [splitmix(&mut state), splitmix(&mut state)],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }
}
