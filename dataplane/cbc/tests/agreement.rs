//! Every kernel computes the same, whatever is in a burst beside it: AES-CBC and HMAC over mixed bursts of all lengths,
//! against the libraries' own modes.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use hmac::{KeyInit, Mac};
use proptest::prelude::*;
use ravelin_cbc::{
    BLOCK, Chain, DecryptionKey, EncryptionKey, Hash, Kernel, MAC, MacKey, Message, decrypt, encrypt_burst,
    mac_burst,
};

/// Octets that are in no order and the same each time.
fn octets(seed: u64, length: usize) -> Vec<u8> {
    let octet = |at: u64| (seed.rotate_left(32) ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
    (0..length as u64).map(octet).collect()
}

/// A library's HMAC, cut; zeros behind one that is shorter.
fn hmac_of(hash: Hash, key: &[u8], parts: [&[u8]; 2]) -> Vec<u8> {
    fn whole<M: Mac + KeyInit>(key: &[u8], parts: [&[u8]; 2]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        let mut front = mac.finalize().into_bytes().to_vec();
        front.resize(MAC, 0);
        front
    }
    match hash {
        Hash::Sha1 => whole::<hmac::Hmac<sha1::Sha1>>(key, parts),
        Hash::Sha256 => whole::<hmac::Hmac<sha2::Sha256>>(key, parts),
        Hash::Sha384 => whole::<hmac::Hmac<sha2::Sha384>>(key, parts),
        Hash::Sha512 => whole::<hmac::Hmac<sha2::Sha512>>(key, parts),
    }
}

/// A library's CBC mode.
fn cbc_of(key: &[u8], iv: [u8; BLOCK], text: &[u8]) -> Vec<u8> {
    let (mut text, length) = (text.to_vec(), text.len());
    match key.len() {
        16 => cbc::Encryptor::<aes::Aes128Enc>::new_from_slices(key, &iv)
            .unwrap()
            .encrypt_blocks(blocks(&mut text)),
        24 => cbc::Encryptor::<aes::Aes192Enc>::new_from_slices(key, &iv)
            .unwrap()
            .encrypt_blocks(blocks(&mut text)),
        _ => cbc::Encryptor::<aes::Aes256Enc>::new_from_slices(key, &iv)
            .unwrap()
            .encrypt_blocks(blocks(&mut text)),
    }
    assert_eq!(text.len(), length);
    text
}

fn blocks(text: &mut [u8]) -> &mut [aes::cipher::array::Array<u8, aes::cipher::consts::U16>] {
    aes::cipher::array::Array::slice_as_chunks_mut(text).0
}

fn check_macs(messages: &[(Hash, usize, usize, u64)]) {
    let known: Vec<_> = messages
        .iter()
        .map(|&(hash, length, suffix, seed)| {
            (hash, octets(seed, hash.octets()), octets(seed ^ 1, length), octets(seed ^ 2, suffix))
        })
        .collect();
    for kernel in Kernel::all() {
        let keys: Vec<_> =
            known.iter().map(|(hash, key, ..)| MacKey::new(kernel, *hash, key).unwrap()).collect();
        let mut burst: Vec<_> = known
            .iter()
            .zip(&keys)
            .map(|((_, _, text, suffix), key)| Message::new(key, text, suffix))
            .collect();
        mac_burst(&mut burst);
        for (message, (hash, key, text, suffix)) in burst.iter().zip(&known) {
            let wanted = hmac_of(*hash, key, [text, suffix]);
            assert_eq!(message.mac.to_vec(), wanted, "{kernel:?} {hash:?} {} + {}", text.len(), suffix.len());
        }
    }
}

fn check_chains(chains: &[(usize, usize, u64)]) {
    let known: Vec<_> = chains
        .iter()
        .map(|&(size, length, seed)| {
            let iv: [u8; BLOCK] = octets(seed ^ 3, BLOCK).try_into().unwrap();
            (octets(seed, size), iv, octets(seed ^ 4, length * BLOCK))
        })
        .collect();
    for kernel in Kernel::all() {
        let keys: Vec<_> = known.iter().map(|(key, ..)| EncryptionKey::new(kernel, key).unwrap()).collect();
        let mut texts: Vec<_> = known.iter().map(|(_, _, text)| text.clone()).collect();
        let mut burst: Vec<_> = known
            .iter()
            .zip(&keys)
            .zip(&mut texts)
            .map(|(((_, iv, _), key), text)| Chain::new(key, *iv, text).unwrap())
            .collect();
        encrypt_burst(&mut burst);
        for ((key, iv, text), found) in known.iter().zip(&mut texts) {
            assert_eq!(*found, cbc_of(key, *iv, text), "{kernel:?} {} octets", text.len());
            decrypt(&DecryptionKey::new(kernel, key).unwrap(), iv, found).unwrap();
            assert_eq!(found, text, "{kernel:?}");
        }
    }
}

/// Every length near the ends of blocks, alone and among its like.
#[test]
fn every_length() {
    for hash in Hash::ALL {
        check_macs(&(0..700).map(|length| (hash, length, length % 5, length as u64)).collect::<Vec<_>>());
        (0..150).for_each(|length| check_macs(&[(hash, length, 4, 9)]));
    }
    for size in [16, 24, 32] {
        check_chains(&(0..130).map(|length| (size, length, length as u64)).collect::<Vec<_>>());
        (0..20).for_each(|length| check_chains(&[(size, length, 5)]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn bursts_of_any_messages(
        burst in proptest::collection::vec(
            (proptest::sample::select(&Hash::ALL), prop_oneof![0..140_usize, 0..2100_usize], 0..=4_usize, any::<u64>()),
            0..140,
        )
    ) {
        check_macs(&burst);
    }

    #[test]
    fn bursts_of_any_chains(
        burst in proptest::collection::vec(
            (proptest::sample::select(&[16_usize, 24, 32]), prop_oneof![0..9_usize, 0..130_usize], any::<u64>()),
            0..140,
        )
    ) {
        check_chains(&burst);
    }
}

/// What is no key of AES, nor one of the hash, makes none; a part of a block no chain.
#[test]
fn lengths_are_refused() {
    for kernel in Kernel::all() {
        for octets in 0..=40 {
            let is_one = [16, 24, 32].contains(&octets);
            assert_eq!(EncryptionKey::new(kernel, &vec![1; octets]).is_some(), is_one);
            assert_eq!(DecryptionKey::new(kernel, &vec![1; octets]).is_some(), is_one);
        }
        for hash in Hash::ALL {
            assert!(MacKey::new(kernel, hash, &vec![1; hash.octets()]).is_some());
            assert!(MacKey::new(kernel, hash, &vec![1; hash.octets() + 1]).is_none());
        }
        let key = EncryptionKey::new(kernel, &[1; 16]).unwrap();
        assert!(Chain::new(&key, [0; BLOCK], &mut [0; 2 * BLOCK]).is_some());
        assert!(Chain::new(&key, [0; BLOCK], &mut [0; 2 * BLOCK - 1]).is_none());
        let key = DecryptionKey::new(kernel, &[1; 16]).unwrap();
        assert_eq!(decrypt(&key, &[0; BLOCK], &mut [0; 2 * BLOCK - 1]), None);
    }
}
