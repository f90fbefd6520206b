//! A file of any format as an operator imports it, PKCS#7 first of all.
//!
//! Read as a bundle that a hash and URL leads to, too. What is read is written as PKCS#7 again and reads back the same; a refusal is a line of a text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ravelin_pki::file::{self, pkcs7};
use ravelin_pki::{Certificate, hash_and_url};

fuzz_target!(|data: &[u8]| {
    if let Ok(found) = hash_and_url::certificates(true, &hash_and_url::hash(data), data) {
        let ders: Vec<&[u8]> = found.iter().map(Vec::as_slice).collect();
        let again = hash_and_url::bundle(&ders);
        assert_eq!(hash_and_url::certificates(true, &hash_and_url::hash(&again), &again), Ok(found.clone()));
    }
    match file::read(data, None) {
        Ok(contents) => {
            let certificates: Vec<&Certificate> = contents.certificates.iter().collect();
            let crls: Vec<&[u8]> = contents.crls.iter().map(Vec::as_slice).collect();
            let back = pkcs7::read(&pkcs7::write(&certificates, &crls));
            // A CRL alone may be longer than the reader's largest element in a wrapping.
            let back = back.unwrap_or_else(|error| panic!("does not read back: {error}"));
            assert_eq!((&back.certificates, &back.crls), (&contents.certificates, &contents.crls));
        }
        Err(refused) => assert!(!refused.to_string().chars().any(char::is_control), "{refused:?}"),
    }
});
