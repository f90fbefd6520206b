//! A file of certificates or keys as an operator gives it: PEM (RFC 7468) or DER.
//!
//! Blocks decode to what encodes to them again; a refusal names a line the file has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ravelin_pki::Certificate;
use ravelin_pki::pem::{self, PemError};

fuzz_target!(|data: &[u8]| {
    let lines = data.split(|octet| *octet == b'\n').count();
    match pem::blocks(data) {
        Ok(blocks) => {
            assert!(!blocks.is_empty() && pem::looks_like_pem(data));
            assert!(blocks.iter().all(|block| (1..=lines).contains(&block.line)));
            assert!(blocks.iter().map(|block| block.der.len()).sum::<usize>() <= data.len());
            blocks.iter().for_each(round_trip);
        }
        Err(PemError::Unended { line, .. } | PemError::Base64 { line } | PemError::Label { line }) => {
            assert!((1..=lines).contains(&line))
        }
        Err(PemError::TooLarge(size)) => assert_eq!(size, data.len()),
        Err(PemError::Empty) => (),
    }
    match Certificate::from_file_bytes(data) {
        Ok(certificates) => assert!(!certificates.is_empty()),
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
});

fn round_trip(block: &pem::Block) {
    let text = format!("-----BEGIN {0}-----\n{1}\n-----END {0}-----\n", block.label, base64(&block.der));
    let Ok(again) = pem::blocks(text.as_bytes()) else { panic!("{text}") };
    assert_eq!((again.len(), again[0].line), (1, 1));
    assert_eq!((&again[0].label, &again[0].der), (&block.label, &block.der));
}

/// RFC 4648 §4.
fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, octet| word << 8 | u32::from(*octet)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let sextet = word >> (18 - 6 * at) & 63;
            text.push(if at <= chunk.len() { ALPHABET[sextet as usize].into() } else { '=' });
        }
    }
    text
}
