//! What an attacker on the path can do: alter any octet, cut, lengthen, replay under another key.
//! Each must cost the packet, and leave no text behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

mod common;

use common::{octets, on_all_kernels, open_one, seal_one};
use ravelin_gcm::{BadTag, Key, KeySize, Open, open_burst};

fn assert_refused(key: &Key, nonce: [u8; 12], aad: &[u8], cipher: &[u8], tag: [u8; 16], what: &str) {
    let (left, verdict) = open_one(key, nonce, aad, cipher, tag);
    assert_eq!(verdict, Err(BadTag), "{what} with {key:?}");
    assert!(left.iter().all(|&octet| octet == 0), "{what} with {key:?}: text left behind");
}

fn with_flip(octets: &[u8], bit: usize) -> Vec<u8> {
    let mut altered = octets.to_vec();
    altered[bit / 8] ^= 1 << (bit % 8);
    altered
}

/// Every bit of text, associated data, tag and nonce is authenticated.
#[test]
fn one_bit_anywhere_is_refused_and_wiped() {
    for size in KeySize::ALL {
        for key in on_all_kernels(&octets(1, size.octets())) {
            for length in [1, 16, 33, 100] {
                every_bit(&key, &octets(2, 12), &octets(3, length));
            }
        }
    }
}

fn every_bit(key: &Key, aad: &[u8], plain: &[u8]) {
    let nonce = [7; 12];
    let (cipher, tag) = seal_one(key, nonce, aad, plain);
    for bit in 0..cipher.len() * 8 {
        assert_refused(key, nonce, aad, &with_flip(&cipher, bit), tag, &format!("text bit {bit}"));
    }
    for bit in 0..aad.len() * 8 {
        assert_refused(key, nonce, &with_flip(aad, bit), &cipher, tag, &format!("aad bit {bit}"));
    }
    for bit in 0..tag.len() * 8 {
        let tag = with_flip(&tag, bit).try_into().unwrap();
        assert_refused(key, nonce, aad, &cipher, tag, &format!("tag bit {bit}"));
    }
    for bit in 0..nonce.len() * 8 {
        let nonce = with_flip(&nonce, bit).try_into().unwrap();
        assert_refused(key, nonce, aad, &cipher, tag, &format!("nonce bit {bit}"));
    }
}

/// Each octet of a full-size packet, so that no block of a long text escapes the hash.
#[test]
fn one_octet_of_a_full_size_packet() {
    for key in on_all_kernels(&octets(4, 16)) {
        let (cipher, tag) = seal_one(&key, [0; 12], &[5; 8], &octets(6, 1500));
        for position in 0..cipher.len() {
            assert_refused(&key, [0; 12], &[5; 8], &with_flip(&cipher, position * 8 + 7), tag, "octet");
        }
    }
}

/// Nothing next to a packet is written, be its tag good or bad: neighbours in the buffer are other packets.
#[test]
fn neighbours_are_left_alone() {
    for key in on_all_kernels(&octets(10, 16)) {
        for length in (0..200).chain([580, 1421]) {
            let (cipher, tag) = seal_one(&key, [4; 12], &[5; 8], &octets(11, length));
            for tag in [tag, [0; 16]] {
                let mut buffer = vec![0xaa; length + 256];
                buffer[128..128 + length].copy_from_slice(&cipher);
                open_burst(&mut [Open::new(&key, [4; 12], &[5; 8], &mut buffer[128..128 + length], tag)]);
                let around = buffer[..128].iter().chain(&buffer[128 + length..]);
                assert!(around.copied().all(|octet| octet == 0xaa), "{length} octets with {key:?}");
            }
        }
    }
}

/// Lengths are authenticated too, and so is where associated data ends and text begins.
#[test]
fn cut_lengthened_or_shifted_is_refused() {
    for key in on_all_kernels(&octets(7, 32)) {
        let (cipher, tag) = seal_one(&key, [1; 12], &[2; 16], &octets(8, 64));
        for length in 0..64 {
            assert_refused(&key, [1; 12], &[2; 16], &cipher[..length], tag, "cut");
        }
        let longer = [&cipher[..], &[0]].concat();
        assert_refused(&key, [1; 12], &[2; 16], &longer, tag, "lengthened");
        let shifted = [&[2; 16], &cipher[..16]].concat();
        assert_refused(&key, [1; 12], &shifted, &cipher[16..], tag, "shifted");
    }
}

/// A packet of one association opens under no other, and not even an empty one is free.
#[test]
fn another_key_is_refused() {
    for length in [0, 50] {
        for (key, other) in on_all_kernels(&[1; 16]).iter().zip(on_all_kernels(&[2; 16])) {
            let (cipher, tag) = seal_one(key, [3; 12], &[], &octets(9, length));
            assert_refused(&other, [3; 12], &[], &cipher, tag, "another key");
            assert_refused(key, [3; 12], &[], &cipher, [0; 16], "no tag");
        }
    }
}

/// A lane that was never opened is refused.
#[test]
fn a_lane_begins_refused() {
    let key = &on_all_kernels(&[1; 16])[0];
    assert_eq!(Open::new(key, [0; 12], &[], &mut [], [0; 16]).verdict, Err(BadTag));
}
