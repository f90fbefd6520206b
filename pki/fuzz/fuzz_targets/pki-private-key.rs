//! A private key file as an operator gives it: PKCS#8, SEC1 or PKCS#1, PEM or DER.
//!
//! A key that loads names its kind and schemes and prints no secret; one that does not says why.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ravelin_pki::PrivateKey;

fuzz_target!(|data: &[u8]| {
    for loaded in [PrivateKey::from_file_bytes(data), PrivateKey::from_der(data, None)] {
        match loaded {
            Ok(key) => {
                assert!(!key.schemes().is_empty() && !key.kind().is_empty());
                assert!(format!("{key:?}").len() < 100, "a key prints more than its kind");
            }
            Err(refused) => assert!(!repeats(&refused.to_string(), data), "a refusal repeats the file"),
        }
    }
});

/// Whether a piece of base64 of the file, long enough to matter, stands in the text.
fn repeats(text: &str, file: &[u8]) -> bool {
    let base64 = |octet: &u8| octet.is_ascii_alphanumeric() || b"+/=".contains(octet);
    let pieces = file.split(|octet| !base64(octet)).filter(|piece| piece.len() >= 32);
    pieces.filter_map(|piece| str::from_utf8(piece).ok()).any(|piece| text.contains(piece))
}
