//! `[fetch]`: what may be fetched over networks, from where, and how long that may take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ravelin_fetch::Policy;
use ravelin_fetch::url::Scheme;

use super::resolve::Judge;
use super::{error, material, plan, raw, value};
use crate::store::Store;

/// What may be fetched from where.
pub fn fetch(judge: &mut Judge<'_>, raw: &raw::File, store: &Store) -> plan::Fetch {
    let usual = Policy::default().schemes;
    let mut known: BTreeMap<&str, Scheme> = usual.iter().map(|scheme| (scheme.name(), *scheme)).collect();
    known.insert("file", Scheme::File);
    let raw = &raw.fetch;
    let mut schemes = BTreeSet::new();
    for text in &raw.schemes {
        match known.get(text.get_ref().as_str()) {
            Some(scheme) => drop(schemes.insert(*scheme)),
            None => {
                let expected = error::one_of(text.get_ref(), known.keys().copied());
                judge.refuse(
                    text.span().start,
                    "fetch",
                    format!("schemes {:?} is none", text.get_ref()),
                    expected,
                );
            }
        }
    }
    let allow = raw.allow.iter();
    let allow = allow.filter_map(|text| judge.value("fetch", "allow", text, value::network)).collect();
    let mut roots = Vec::new();
    for file in &raw.roots {
        let read = material::certificates(judge, "fetch", ("roots", file), store).unwrap_or_default();
        roots.extend(read.iter().map(|certificate| certificate.der().to_vec()));
    }
    plan::Fetch {
        allow,
        schemes: if schemes.is_empty() { usual } else { schemes },
        files: raw.files.as_ref().map(|directory| judge.source.base.join(directory)),
        roots,
        timeout: Duration::from_secs(judge.number("fetch", "timeout", raw.timeout.as_ref(), 1..=6, 5)),
        kept: judge.number("fetch", "kept", raw.kept.as_ref(), 0..=65_536, 256) << 20,
    }
}
