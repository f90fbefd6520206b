//! PKCS#12: the file as it comes, and its octets as the safes of a file whose MAC is right, so that what lies behind
//! the MAC is searched too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ravelin_pki::file::pkcs12;
use ravelin_pki::password::{Effort, Password};

fuzz_target!(|data: &[u8]| {
    let Some(password) = Password::new("test".to_owned().into()) else { return };
    for file in [data.to_vec(), pkcs12::sealed(data, b"salt", 1, &password)] {
        match pkcs12::read(&file, &password, &mut Effort::of(5_000)) {
            Ok(contents) => assert!(contents.certificates.len() <= 1000 && contents.crls.len() <= 100),
            Err(refused) => assert!(!refused.to_string().is_empty()),
        }
    }
});
