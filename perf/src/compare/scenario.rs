//! The scenarios, by name.

use std::fmt;

use super::gateway::suite::Suite;
use super::gateway::{self, Sizes};
use super::library::Load;

/// One row of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// `gcm/{seal,open}/{aes128,aes256}/{octets of text}/{keys}`
    Gcm(Load),
    /// `gateway/{encap,decap}/{aes128gcm,aes256gcm}/{octets of inner packets or imix}/{associations}`, the same with
    /// `aes{128,192,256}-sha{256,384,512}` (AES-CBC with HMAC) for 64 and 1420 octets and one association, and
    /// `gateway/{encap,decap}/mixed`
    Gateway(gateway::Load),
}

const TEXTS: [usize; 7] = [64, 128, 256, 576, 1024, 1420, 8192];
const KEYS: [u32; 3] = [1, 4096, 32768];
const PACKETS: [Sizes; 5] =
    [Sizes::Fixed(64), Sizes::Fixed(128), Sizes::Fixed(256), Sizes::Imix, Sizes::Fixed(1420)];
const ASSOCIATIONS: [u32; 4] = [1, 1000, 16_000, 32_000];

impl Scenario {
    /// All of them, in the order of a full run.
    pub fn all() -> Vec<Scenario> {
        gcm().chain(gateway()).collect()
    }

    /// Whether it is a row of the table of aims (perf/SPEC.md).
    fn aimed_at(&self) -> bool {
        match self {
            Scenario::Gcm(load) => {
                load.bits == 128 && matches!((load.length, load.keys), (64, 1 | 32768) | (1420, 1))
            }
            Scenario::Gateway(gateway::Load::Plain { suite, sizes, sas, .. }) => {
                let plain = matches!(sizes, Sizes::Fixed(64 | 1420));
                *suite == Suite::gcm(128)
                    && (*sas == 1 && (plain || *sizes == Sizes::Imix) || *sas == 16_000 && plain)
            }
            Scenario::Gateway(gateway::Load::Mixed { .. }) => false,
        }
    }
}

fn gcm() -> impl Iterator<Item = Scenario> {
    let each = |open, bits, length| KEYS.map(|keys| Scenario::Gcm(Load { open, bits, length, keys }));
    let lengths = move |open, bits| TEXTS.into_iter().flat_map(move |length| each(open, bits, length));
    let bits = move |open| [128, 256].into_iter().flat_map(move |bits| lengths(open, bits));
    [false, true].into_iter().flat_map(bits)
}

fn gateway() -> impl Iterator<Item = Scenario> {
    let each = |decap, suite, sizes| {
        ASSOCIATIONS.map(|sas| Scenario::Gateway(gateway::Load::Plain { decap, suite, sizes, sas }))
    };
    let sizes = move |decap, suite| PACKETS.into_iter().flat_map(move |sizes| each(decap, suite, sizes));
    let suites = move |decap| [128, 256].map(Suite::gcm).into_iter().flat_map(move |it| sizes(decap, it));
    let mixed = |decap| Scenario::Gateway(gateway::Load::Mixed { decap });
    [false, true].into_iter().flat_map(move |decap| suites(decap).chain(hashed(decap)).chain([mixed(decap)]))
}

/// AES-CBC with each hash, small packets and large ones.
fn hashed(decap: bool) -> impl Iterator<Item = Scenario> {
    let suites =
        [128, 192, 256].into_iter().flat_map(|bits| [256, 384, 512].map(|hash| Suite::cbc(bits, hash)));
    let sizes = [Sizes::Fixed(64), Sizes::Fixed(1420)];
    let each = move |suite| {
        sizes.map(|sizes| Scenario::Gateway(gateway::Load::Plain { decap, suite, sizes, sas: 1 }))
    };
    suites.flat_map(each)
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scenario::Gcm(Load { open, bits, length, keys }) => {
                write!(f, "gcm/{}/aes{bits}/{length}/{keys}", if *open { "open" } else { "seal" })
            }
            Scenario::Gateway(gateway::Load::Plain { decap, suite, sizes, sas }) => {
                write!(f, "gateway/{}/{suite}/", way(*decap))?;
                match sizes {
                    Sizes::Fixed(octets) => write!(f, "{octets}/{sas}"),
                    Sizes::Imix => write!(f, "imix/{sas}"),
                }
            }
            Scenario::Gateway(gateway::Load::Mixed { decap }) => write!(f, "gateway/{}/mixed", way(*decap)),
        }
    }
}

fn way(decap: bool) -> &'static str {
    if decap { "decap" } else { "encap" }
}

/// The scenarios `--only` and `--quick` leave. A pattern that is a whole name means that one alone.
pub fn chosen(only: &[String], quick: bool) -> Vec<Scenario> {
    let mut all = Scenario::all();
    let whole = |pattern: &String| Scenario::all().iter().any(|scenario| scenario.to_string() == *pattern);
    all.retain(|scenario| {
        let name = scenario.to_string();
        let named =
            |pattern: &String| if whole(pattern) { name == *pattern } else { matches(pattern, &name) };
        (only.is_empty() || only.iter().any(named)) && (!quick || scenario.aimed_at())
    });
    all
}

/// Whether `name` contains `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = Some(name);
    for part in pattern.split('*') {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, behind)| behind);
    }
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], quick: bool) -> Vec<String> {
        let only: Vec<String> = only.iter().map(|&pattern| pattern.to_owned()).collect();
        chosen(&only, quick).iter().map(Scenario::to_string).collect()
    }

    /// A whole name is itself and not what it begins: 1 key is not 16000.
    #[test]
    fn patterns() {
        assert_eq!(names(&["gcm/seal/aes128/64/1"], false), ["gcm/seal/aes128/64/1"]);
        assert_eq!(names(&["gcm/*/aes256/8192/4096"], false).len(), 2);
        assert_eq!(names(&["gcm/seal", "gcm/open"], false).len(), 84);
        assert_eq!(names(&["gateway/encap/aes128gcm/64/1"], false), ["gateway/encap/aes128gcm/64/1"]);
        assert_eq!(names(&["gateway"], false).len(), 118);
        assert_eq!(names(&["gateway/*-sha"], false).len(), 36);
        assert_eq!(names(&["gateway"], true).len(), 10);
        assert_eq!(names(&["nothing"], false).len(), 0);
        assert!(matches("a*c", "xabcx") && !matches("c*a", "xabcx") && matches("", "x"));
    }

    /// No name twice.
    #[test]
    fn names_are_unique() {
        let mut all = names(&[], false);
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
