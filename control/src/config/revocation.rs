//! How revocation is asked about (REV-01 to REV-06): the rules of a trust-anchor-profile, and of each authority that has
//! a ca-profile its own.
//!
//! `status-verify` and `revocation-check` are two spellings of one order. A profile that says nothing asks where its
//! peers' certificates name an address, CRL first, and refuses whom nobody vouches for then.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_fetch::Url;
use ravelin_pki::Certificate;
use ravelin_pki::revocation::KeyId;
use ravelin_pki::revocation::cache::Schedule;
use ravelin_pki::revocation::crl;
use ravelin_pki::revocation::ocsp::{IdHash, NonceRule, ResponseRules};
use ravelin_pki::revocation::policy::{CrlDuty, Demand, MAX_LOCATIONS, Method, Order, Otherwise, Rules};
use toml::Spanned;

use super::material;
use super::plan;
use super::raw::{self, Text};
use super::resolve::{Judge, instance_id};
use super::value::Expected;
use crate::store::Store;
use crate::trust::Shut;

/// A day, and the longest time: 366 of them.
const DAY: u64 = 86_400;
const LONGEST: u64 = 366 * DAY;

/// The keys of an order and of how much it matters, which two kinds of objects have.
pub struct Written<'r> {
    /// `revocation`
    pub revocation: Option<&'r Text>,
    /// `max-stale`
    pub max_stale: Option<&'r Spanned<u64>>,
    /// `status-verify`
    pub status_verify: Option<&'r raw::StatusVerify>,
    /// `revocation-check`
    pub revocation_check: Option<&'r Text>,
}

/// What is asked about where a profile says nothing: whatever names an address.
pub fn usual() -> (Demand, Order) {
    let order = Order::status_verify(Some(Method::Crl), Some(Method::Ocsp), Some(Otherwise::Refuse));
    (Demand::IfUri, order)
}

/// How much an answer matters, and whom to ask, as far as it is written.
pub fn order(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    written: &Written<'_>,
) -> (Option<Demand>, Option<Order>) {
    let demand = demand(judge, (object, at), written);
    let order = match (written.status_verify, written.revocation_check) {
        (None, None) => None,
        (Some(words), None) => Some(status_verify(judge, object, words)),
        (None, Some(list)) => revocation_check(judge, object, list),
        (Some(_), Some(list)) => {
            let found = "has both status-verify and revocation-check".to_owned();
            judge.refuse(list.span().start, object, found, "one of them: they say the same");
            None
        }
    };
    // Who writes whom to ask wants to be answered.
    let implied = order.as_ref().map(|_| Demand::Require);
    (demand.or(implied), order)
}

fn demand(judge: &mut Judge<'_>, (object, at): (&str, usize), written: &Written<'_>) -> Option<Demand> {
    let read = |text: &str| match text {
        "require" => Ok(Demand::Require),
        "if-uri" => Ok(Demand::IfUri),
        "soft" => Ok(Demand::Soft { max_stale: 0 }),
        "off" => Ok(Demand::Off),
        _ => Err("require, if-uri, soft or off"),
    };
    let demand = written.revocation.and_then(|text| judge.value(object, "revocation", text, read));
    match (demand, written.max_stale) {
        (Some(Demand::Soft { .. }), Some(seconds)) => {
            let max_stale = judge.number(object, "max-stale", Some(seconds), 1..=LONGEST, DAY);
            Some(Demand::Soft { max_stale })
        }
        (Some(Demand::Soft { .. }), None) => {
            judge.refuse(at, object, "revocation = \"soft\" without max-stale".into(), "max-stale = SECONDS");
            None
        }
        (other, Some(seconds)) => {
            let found = "max-stale without revocation = \"soft\"".to_owned();
            judge.refuse(seconds.span().start, object, found, "revocation = \"soft\", or no max-stale");
            other
        }
        (other, None) => other,
    }
}

fn status_verify(judge: &mut Judge<'_>, object: &str, raw: &raw::StatusVerify) -> Order {
    let method = |text: &str| match text {
        "crl" => Ok(Method::Crl),
        "ocsp" => Ok(Method::Ocsp),
        _ => Err("crl or ocsp"),
    };
    let or_none = |text: &str| match text {
        "none" => Ok(None),
        other => method(other).map(Some).map_err(|_| "none, crl or ocsp"),
    };
    let result = |text: &str| match text {
        "revoked" => Ok(Otherwise::Refuse),
        "good" => Ok(Otherwise::Accept),
        _ => Err("revoked or good"),
    };
    let primary = raw.primary.as_ref().and_then(|text| judge.value(object, "primary", text, method));
    let secondary = raw.secondary.as_ref().and_then(|text| judge.value(object, "secondary", text, or_none));
    let default = raw.default_result.as_ref();
    let default = default.and_then(|text| judge.value(object, "default-result", text, result));
    Order::status_verify(primary, secondary.flatten(), default)
}

fn revocation_check(judge: &mut Judge<'_>, object: &str, list: &Text) -> Option<Order> {
    let refused = |error: ravelin_pki::revocation::policy::OrderError| {
        let found = format!("revocation-check {:?}: {error}", list.get_ref());
        judge.refuse(list.span().start, object, found, "crl, ocsp and none in order, like \"crl ocsp none\"");
    };
    list.get_ref().parse().map_err(refused).ok()
}

/// Authorities by name.
pub fn ca_profiles(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    store: &Store,
    instances: &[plan::Instance],
) -> BTreeMap<String, plan::CaProfile> {
    let mut profiles: BTreeMap<String, plan::CaProfile> = BTreeMap::new();
    for (name, spanned) in &raw.ca_profile {
        let (object, at) = (format!("ca-profile.{name}"), spanned.span().start);
        let raw = spanned.get_ref();
        let Some(profile) = ca_profile(judge, (&object, at), raw, (store, instances)) else { continue };
        if let Some((other, _)) = profiles.iter().find(|(_, known)| known.certificate == profile.certificate)
        {
            let found = format!("certificate {:?} is that of ca-profile.{other}", raw.certificate.get_ref());
            judge.refuse(raw.certificate.span().start, &object, found, "one ca-profile for an authority");
        }
        profiles.insert(name.clone(), profile);
    }
    profiles
}

/// The authorities that nothing may rest on (PKI-16).
pub fn shut(profiles: &BTreeMap<String, plan::CaProfile>) -> Shut {
    let key = |(name, profile): (&String, &plan::CaProfile)| {
        let certificate = Certificate::from_der(&profile.certificate).ok()?;
        Some((KeyId::of(&certificate), name.clone()))
    };
    profiles.iter().filter(|(_, profile)| !profile.enabled).filter_map(key).collect()
}

fn ca_profile(
    judge: &mut Judge<'_>,
    place: (&str, usize),
    raw: &raw::CaProfile,
    (store, instances): (&Store, &[plan::Instance]),
) -> Option<plan::CaProfile> {
    let (object, _) = place;
    let certificate = authority(judge, object, &raw.certificate, store)?;
    let written = Written {
        revocation: raw.revocation.as_ref(),
        max_stale: raw.max_stale.as_ref(),
        status_verify: raw.status_verify.as_ref(),
        revocation_check: raw.revocation_check.as_ref(),
    };
    let (demand, order) = order(judge, place, &written);
    let (crl_urls, lists) = lists(judge, object, &raw.crl, store);
    let (schedule, retry) = schedule(judge, place, raw);
    Some(plan::CaProfile {
        enabled: raw.enabled.unwrap_or(true),
        certificate: certificate.der().to_vec(),
        demand,
        order,
        rules: rules(judge, object, raw, crl_urls),
        lists,
        schedule,
        retry,
        instance: instance_id(judge, object, "instance", raw.instance.as_ref(), instances),
    })
}

/// One certificate, of a CA.
fn authority(judge: &mut Judge<'_>, object: &str, file: &Text, store: &Store) -> Option<Certificate> {
    let mut found = material::certificates(judge, object, ("certificate", file), store)?;
    let is_ca = |certificate: &Certificate| {
        certificate.extensions.basic_constraints.is_some_and(|constraints| constraints.ca)
    };
    if found.len() == 1 && found.first().is_some_and(is_ca) {
        return found.pop();
    }
    let told = match found.len() {
        1 => format!("certificate {:?} is not a CA's", file.get_ref()),
        count => format!("certificate {:?} holds {count} certificates", file.get_ref()),
    };
    judge.refuse(file.span().start, object, told, "the certificate of one CA");
    None
}

fn rules(judge: &mut Judge<'_>, object: &str, raw: &raw::CaProfile, crl_urls: Vec<String>) -> Rules {
    let duty = |text: &str| match text {
        "by-order" => Ok(CrlDuty::ByOrder),
        "mandatory" => Ok(CrlDuty::Mandatory),
        "optional" => Ok(CrlDuty::Optional),
        _ => Err("by-order, mandatory or optional"),
    };
    let nonce = |text: &str| match text {
        "off" => Ok(None),
        "lenient" => Ok(Some(NonceRule::Lenient)),
        "strict" => Ok(Some(NonceRule::Strict)),
        _ => Err("off, lenient or strict"),
    };
    let hash = |text: &str| match text {
        "sha1" => Ok(IdHash::Sha1),
        "sha256" => Ok(IdHash::Sha256),
        _ => Err("sha1 or sha256"),
    };
    let responder = |text: &str| match Url::parse(text) {
        Ok(url) if matches!(url.scheme.name(), "http" | "https") => Ok(text.to_owned()),
        _ => Err("a URL of HTTP, like http://ocsp.example/"),
    };
    let crl = raw.crl_duty.as_ref().and_then(|text| judge.value(object, "crl-duty", text, duty));
    let nonce = raw.ocsp_nonce.as_ref().and_then(|text| judge.value(object, "ocsp-nonce", text, nonce));
    let nonce = nonce.flatten();
    let id_hash = raw.ocsp_hash.as_ref().and_then(|text| judge.value(object, "ocsp-hash", text, hash));
    Rules {
        crl: crl.unwrap_or_default(),
        crl_urls,
        ocsp_url: raw.ocsp.as_ref().and_then(|text| judge.value(object, "ocsp", text, responder)),
        ocsp_for_authorities: raw.ocsp_for_authorities,
        revoked_ocsp_falls_back_to_crl: raw.ocsp_revoked_falls_back_to_crl,
        response: ResponseRules {
            nonce: nonce.unwrap_or_default(),
            unchecked_responders: raw.ocsp_unchecked_responders,
        },
        id_hash: id_hash.unwrap_or_default(),
        nonce: nonce.is_some(),
        ..Rules::default()
    }
}

type Lists = Vec<(String, Arc<[u8]>)>;

/// URLs, to be fetched from, and what lies in files or the store already.
fn lists(judge: &mut Judge<'_>, object: &str, named: &[Text], store: &Store) -> (Vec<String>, Lists) {
    let (mut urls, mut lists) = (Vec::new(), Vec::new());
    for text in named {
        if text.get_ref().contains("://") {
            urls.extend(judge.value(object, "crl", text, url));
            continue;
        }
        let Some(octets) = material::crl(judge, object, ("crl", text), store) else { continue };
        match crl::der_of(&octets).and_then(|der| crl::Unverified::from_der(&der).map(drop)) {
            Ok(()) => lists.push((text.get_ref().clone(), octets.as_slice().into())),
            Err(error) => {
                let found = format!("crl {:?} cannot be used: {error}", text.get_ref());
                judge.refuse(text.span().start, object, found, "a complete CRL, PEM or DER");
            }
        }
    }
    if let Some(beyond) = named.get(MAX_LOCATIONS) {
        let found = format!("crl names {} places", named.len());
        judge.refuse(beyond.span().start, object, found, format!("at most {MAX_LOCATIONS}"));
    }
    (urls, lists)
}

fn url(text: &str) -> Result<String, Expected> {
    Url::parse(text).map(|_| text.to_owned()).map_err(|_| "a URL, like http://crl.example/ca.crl")
}

/// When the CRL is fetched again, and when after all addresses have failed.
fn schedule(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    raw: &raw::CaProfile,
) -> (Schedule, Option<i64>) {
    let read = |text: &str| match text {
        "next-update" => Ok(false),
        "periodic" => Ok(true),
        _ => Err("next-update or periodic"),
    };
    let periodic = raw.crl_update.as_ref().and_then(|text| judge.value(object, "crl-update", text, read));
    let before = judge.number(object, "pre-update-time", raw.pre_update_time.as_ref(), 0..=LONGEST, 3600);
    let period = judge.number(object, "update-period", raw.update_period.as_ref(), 3600..=LONGEST, DAY);
    let retry = judge.number(object, "retry-interval", raw.retry_interval.as_ref(), 0..=LONGEST, 3600);
    let useless = match periodic.unwrap_or(false) {
        true => raw.pre_update_time.as_ref().map(|_| ("pre-update-time", "crl-update = \"next-update\"")),
        false => raw.update_period.as_ref().map(|_| ("update-period", "crl-update = \"periodic\"")),
    };
    if let Some((key, expected)) = useless {
        judge.refuse(at, object, format!("{key} means nothing here"), expected);
    }
    let schedule = match periodic.unwrap_or(false) {
        true => Schedule::periodic(period as i64),
        false => Schedule::before_next_update(before as i64),
    };
    (schedule.unwrap_or_default(), (retry > 0).then_some(retry as i64))
}

#[cfg(test)]
mod tests;
