//! A configuration file as a hurried operator writes it.
//!
//! It becomes a plan or is refused; a refusal names a line the file has, and is one line itself.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ravelin_control::config;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    // Any file that is named holds the same, so that no disk is touched.
    let read = |path: &Path| match path.extension() {
        Some(_) => Err(std::io::Error::other("no such file")),
        None => Ok(b"correct horse battery staple\n".to_vec()),
    };
    match config::parse("r.toml", text, Path::new("/etc/ravelin"), &read) {
        Ok(plan) => assert!(!format!("{plan:?}").contains("correct horse"), "a secret is printed"),
        Err(refusals) => {
            let lines = text.bytes().filter(|octet| *octet == b'\n').count() + 1;
            assert!(!refusals.is_empty());
            for refusal in refusals {
                assert!(refusal.line <= lines, "line {} of {lines}", refusal.line);
                assert!(refusal.to_string().starts_with("r.toml"));
            }
        }
    }
});
