//! What narrows and widens whom a gateway believes: common-name lists (PKI-43), of which a peer's certificate must have a
//! name, and certificate maps (PKI-39), by which the operator makes exceptions while something is down.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;

use super::raw::{self, Text};
use super::resolve::Judge;
use super::value::Expected;
use crate::trust::{CertificateMap, CommonNames, NamePattern};

/// PKI-43: lists, and names of one.
const LISTS: usize = 64;
const NAMES: usize = 128;
/// Conditions of a map: all are looked at for each peer.
const CONDITIONS: usize = 16;
/// Maps of a profile, likewise.
const MAPS: usize = 8;

/// Lists by name.
pub fn common_name_lists(judge: &mut Judge<'_>, raw: &raw::File) -> BTreeMap<String, Arc<CommonNames>> {
    if let Some((_, beyond)) = raw.common_name_list.iter().nth(LISTS) {
        let found = format!("{} lists", raw.common_name_list.len());
        judge.refuse(beyond.span().start, "common-name-list", found, format!("at most {LISTS}"));
    }
    let list = |(name, spanned): (&String, &Spanned<raw::CommonNameList>)| {
        let (object, names) = (format!("common-name-list.{name}"), &spanned.get_ref().names);
        if names.is_empty() || names.len() > NAMES {
            let found = format!("has {} names", names.len());
            judge.refuse(spanned.span().start, &object, found, format!("1 to {NAMES}"));
        }
        let patterns = names.iter().filter_map(|text| judge.value(&object, "names", text, pattern)).collect();
        (name.clone(), Arc::new(CommonNames::new(name.clone(), patterns)))
    };
    raw.common_name_list.iter().map(list).collect()
}

/// A name, all of a domain (`*.DOMAIN`), an address or a prefix.
fn pattern(text: &str) -> Result<NamePattern, Expected> {
    const EXPECTED: Expected = "a name, *.DOMAIN, an address or a prefix";
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(NamePattern::Within(address.into()));
    }
    if text.contains('/') {
        return text.parse().map(NamePattern::Within).map_err(|_| EXPECTED);
    }
    let (name, is_domain) = match text.strip_prefix('*') {
        Some(suffix) => (suffix, true),
        None => (text, false),
    };
    match (name, is_domain) {
        (name, _) if name.contains('*') || name.trim() != name => Err(EXPECTED),
        (suffix, true) if suffix.len() > 1 && suffix.starts_with('.') => {
            Ok(NamePattern::Below(suffix.into()))
        }
        (name, false) if !name.is_empty() => Ok(NamePattern::Name(name.into())),
        _ => Err(EXPECTED),
    }
}

/// The list that a gateway names.
pub fn named(
    judge: &mut Judge<'_>,
    (object, judges_certificates): (&str, bool),
    name: Option<&Text>,
    known: &BTreeMap<String, Arc<CommonNames>>,
) -> Option<Option<Arc<CommonNames>>> {
    let Some(name) = name else { return Some(None) };
    if !judges_certificates {
        let found = "has a common-name-list and judges no certificates".to_owned();
        judge.refuse(name.span().start, object, found, "trust, whose anchors they chain to");
    }
    judge.follow(object, "common-name-list", name, known).cloned().map(Some)
}

/// Maps by name.
pub fn certificate_maps(judge: &mut Judge<'_>, raw: &raw::File) -> BTreeMap<String, Arc<CertificateMap>> {
    let mut maps = BTreeMap::new();
    for (name, spanned) in &raw.certificate_map {
        let (object, at, written) =
            (format!("certificate-map.{name}"), spanned.span().start, spanned.get_ref());
        let count = written.conditions.len();
        if count == 0 || count > CONDITIONS {
            judge.refuse(at, &object, format!("has {count} conditions"), format!("1 to {CONDITIONS}"));
        }
        let (allow_expired, skip_revocation) =
            (written.allow_expired_certificate, written.skip_revocation_check);
        if !allow_expired && !skip_revocation {
            let expected = "allow-expired-certificate = true or skip-revocation-check = true";
            judge.refuse(at, &object, "does nothing".to_owned(), expected);
        }
        let read = |text: &Text| judge.value(&object, "conditions", text, str::parse);
        let conditions = written.conditions.iter().filter_map(read).collect();
        let map = CertificateMap { name: name.clone(), conditions, allow_expired, skip_revocation };
        maps.insert(name.clone(), Arc::new(map));
    }
    maps
}

/// The maps that a trust-anchor-profile names. That they are in force is told: they are for as long as something is down.
pub fn maps_of(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    names: &[Text],
    known: &BTreeMap<String, Arc<CertificateMap>>,
) -> Vec<Arc<CertificateMap>> {
    if names.len() > MAPS {
        let found = format!("names {} certificate-maps", names.len());
        judge.refuse(at, object, found, format!("at most {MAPS}"));
    }
    let mut maps = Vec::new();
    for name in names {
        let Some(map) = judge.follow(object, "certificate-maps", name, known) else { continue };
        let what = match (map.allow_expired, map.skip_revocation) {
            (true, true) => "takes certificates that have ended, and asks nobody about their revocation",
            (true, false) => "takes certificates that have ended",
            (false, _) => "asks nobody about the revocation of certificates",
        };
        let found = format!("certificate-map {:?} {what}", name.get_ref());
        judge.warn(name.span().start, object, found, "no certificate-maps once what was down is back");
        maps.push(map.clone());
    }
    maps
}

#[cfg(test)]
mod tests;
