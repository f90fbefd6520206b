//! The manual's configurations are accepted as they are printed; every key and every reason code there is has
//! its line.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure is a failed test")]

use std::path::Path;

use ravelin_control::config;

const README: &str = include_str!("../../README.md");
const MANUAL: &str = include_str!("../../docs/configuration.md");
const KEYS: &str =
    concat!(include_str!("../src/config/raw.rs"), include_str!("../src/config/raw/gateway.rs"));

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

/// Every file of Rust below `directory`.
fn sources(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: std::path::PathBuf| match path.extension().is_some_and(|ending| ending == "rs") {
        true => vec![std::fs::read_to_string(&path).unwrap()],
        false if path.is_dir() => sources(&path),
        false => Vec::new(),
    };
    entries.flat_map(of).collect()
}

/// Every `RV-KIND-NUMBER` in a text.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|word| {
        let number = word.strip_prefix("RV-").and_then(|rest| rest.split_once('-'));
        number.is_some_and(|(_, digits)| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// A code is for looking up: each has exactly one row, with its meaning.
#[test]
fn every_reason_code_stands_in_the_manual() {
    let pages = [include_str!("../../docs/cli.md"), include_str!("../../docs/certificates.md")].join("\n");
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts: Vec<String> =
        ["src", "ike/src"].iter().flat_map(|directory| sources(&room.join(directory))).collect();
    let given: std::collections::BTreeSet<&str> = texts.iter().flat_map(|text| codes(text)).collect();
    assert!(given.len() > 60 && given.contains("RV-KEY-001"), "{given:?}");
    for code in given {
        let rows = pages.matches(&format!("\n| {code} |")).count()
            + pages.matches(&format!("\n| `{code}` |")).count();
        assert_eq!(rows, 1, "rows for {code} in docs/cli.md and docs/certificates.md");
    }
}
