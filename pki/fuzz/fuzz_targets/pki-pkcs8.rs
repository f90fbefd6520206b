//! A private key under a password, DER or PEM: any parameters end in a key or a refusal, and soon.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ravelin_pki::PrivateKey;
use ravelin_pki::password::{Effort, Password};

fuzz_target!(|data: &[u8]| {
    let Some(password) = Password::new("test".to_owned().into()) else { return };
    let mut effort = Effort::of(5_000);
    match PrivateKey::from_der_within(data, Some(&password), &mut effort) {
        Ok(key) => assert!(format!("{key:?}").len() < 100, "a key prints more than its kind"),
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
});
