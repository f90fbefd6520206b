//! Configuration: TOML text to a [`Plan`], or a list of [`Refusal`]s and nothing at all.
//!
//! `raw` is the file's shape, `resolve` judges it (`value` a single value, `selector` what traffic is meant, `secret` and
//! `material` what lies in other files, `cert_profile` our own certificates, `believed` who of the peers is let in and by which exceptions, `ppk` lists of keys,
//! `profile` algorithms, `policy` times, probes and what strangers may cost, `lockout` lockouts, `lint` what contradicts
//! itself, `group` groups of tunnels, `entry` policy entries, `route` static routes, `packets` what tunnels do to packets, `ip_tunnel` tunnels without keys, `mirror` what is copied and sent on, `gateway`, `client_db` and `ts_list` what lets peers in from anywhere), `plan` is the
//! result, `diff` what another one changes, `rules` what of that is refused. The daemon and
//! `ravelin config check` run exactly this code. Reading files is an argument, so that
//! everything here is tested without a disk.

mod backup;
mod believed;
mod cert_profile;
mod children;
mod client_db;
pub mod diff;
mod entry;
pub mod error;
mod fetch;
mod gateway;
mod group;
mod ip_tunnel;
mod lint;
mod lockout;
mod manual;
mod material;
mod mirror;
mod mobike;
mod packets;
pub mod plan;
mod policy;
mod ppk;
mod profile;
mod proposal;
pub mod raw;
mod redirect;
mod resolve;
mod revocation;
mod route;
pub mod rules;
mod second;
mod secret;
mod selector;
mod transport;
mod ts_list;
mod tunnel;
mod value;

use std::path::{Path, PathBuf};

pub use error::Refusal;
pub use plan::Plan;
pub use revocation::usual as usual_revocation;
pub use value::identity;
use zeroize::Zeroizing;

/// Reads a file that a configuration names: the one effect this room needs.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>;

/// Reads and judges the configuration at `path`.
///
/// # Errors
/// Every refusal found, in the order of the file; never half a plan.
pub fn load(path: &Path, read: ReadFile<'_>) -> Result<Plan, Vec<Refusal>> {
    let bytes = read(path).map_err(|error| vec![unreadable(path, &error.to_string())])?;
    // Pre-shared keys stand in it.
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| vec![unreadable(path, "not UTF-8 text")])?;
    let base = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    parse(&path.display().to_string(), text, &base, read)
}

/// Judges configuration text; relative file names are taken from `base`.
///
/// # Errors
/// As [`load`].
pub fn parse(file: &str, text: &str, base: &Path, read: ReadFile<'_>) -> Result<Plan, Vec<Refusal>> {
    let raw = toml::from_str::<raw::File>(text).map_err(|error| vec![shape(file, text, &error)])?;
    resolve::resolve(&raw, resolve::Source { file, text, base, read })
}

fn unreadable(path: &Path, why: &str) -> Refusal {
    Refusal {
        file: path.display().to_string(),
        line: 0,
        object: String::new(),
        found: format!("cannot be read: {why}"),
        expected: "a readable TOML file".into(),
    }
}

/// A refusal by the TOML reader itself: a syntax error, an unknown key, a wrong type.
fn shape(file: &str, text: &str, error: &toml::de::Error) -> Refusal {
    let line = error.span().map_or(0, |span| value::line_of(text, span.start));
    let message = error.message().replace('`', "\"");
    let (found, expected) = match message.split_once(", expected ") {
        Some((found, expected)) => (found.to_owned(), suggest(found, expected)),
        None => (message, "TOML as in the manual, docs/configuration.md".to_owned()),
    };
    Refusal { file: file.to_owned(), line, object: String::new(), found, expected }
}

/// Adds "did you mean" to serde's list of valid keys; what a grammar expects is no such list.
fn suggest(found: &str, expected: &str) -> String {
    if !found.starts_with("unknown ") {
        return expected.to_owned();
    }
    let names = || expected.split('"').skip(1).step_by(2);
    let wrong = found.split('"').nth(1).unwrap_or_default();
    match error::nearest(wrong, names()) {
        Some(name) => format!("{expected} (did you mean {name}?)"),
        None => expected.to_owned(),
    }
}

#[cfg(test)]
pub mod ground;
#[cfg(test)]
mod tests;
