//! The manual's configurations are accepted as they are printed, and every key there is has its line.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure is a failed test")]

use std::path::Path;

use ravelin_control::config;

const README: &str = include_str!("../../README.md");
const MANUAL: &str = include_str!("../../docs/configuration.md");
const KEYS: &str = include_str!("../src/config/raw.rs");

/// The TOML of a page, each piece with the lines it stands on.
fn printed(page: &'static str) -> Vec<&'static str> {
    page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Any certificate a page names is one we have, and any key is its key.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let name = if path.extension().is_some_and(|ending| ending == "key") { "pkcs8" } else { "cert" };
    std::fs::read(format!("{}/../pki/tests/data/p256.{name}.pem", env!("CARGO_MANIFEST_DIR")))
}

#[test]
fn every_configuration_that_is_printed_is_accepted() {
    let pieces: Vec<_> = printed(README).into_iter().chain(printed(MANUAL)).collect();
    assert!(pieces.len() >= 4, "the pages print configurations");
    for text in pieces {
        if let Err(refusals) = config::parse("manual", text, Path::new("/"), &read) {
            let refusals: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            panic!("{text}\n{}", refusals.join("\n"));
        }
    }
}

#[test]
fn every_key_stands_in_the_manual() {
    let field = |line: &'static str| line.trim().strip_prefix("pub ")?.split_once(": ");
    let missing: Vec<String> = KEYS
        .lines()
        .filter_map(field)
        .map(|(name, _)| name.replace('_', "-"))
        .filter(|key| !MANUAL.contains(&format!("`{key}")) && !MANUAL.contains(&format!("`[{key}")))
        .filter(|key| {
            !MANUAL.contains(&format!("`[[{key}")) && !MANUAL.contains(&format!("`[tunnel.NAME.{key}"))
        })
        .collect();
    assert!(missing.is_empty(), "docs/configuration.md says nothing of {missing:?}");
}
