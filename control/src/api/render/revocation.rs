//! What is known of revocation, for people: a table of CRLs, of authorities, of addresses, and the numbers.

use super::table;
use crate::api::reply::{Crl, CrlUpkeep, Resting, Revocation};

/// All of it; parts of which there are none are left out.
pub(super) fn revocation(known: &Revocation) -> String {
    let Revocation { crls, upkeep, ocsp_answers, resting, waiting, watched } = known;
    let numbers = format!(
        "{ocsp_answers} OCSP answers held, {waiting} peers wait for word, {watched} tunnels end when a certificate of theirs is revoked"
    );
    let crl_header = ["CRL OF", "REVOKED", "MADE", "GOOD UNTIL", "FROM"];
    let parts = [
        (!crls.is_empty()).then(|| table(&crl_header, crls.iter().map(crl))),
        (!upkeep.is_empty()).then(|| table(&["CA-PROFILE", "CRL", "FETCHED NEXT"], upkeep.iter().map(kept))),
        (!resting.is_empty()).then(|| table(&["LEFT ALONE", "UNTIL", "BECAUSE"], resting.iter().map(rests))),
        Some(numbers),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn crl(crl: &Crl) -> Vec<String> {
    let until = match (crl.next_update.as_str(), crl.stale) {
        ("", _) => "it does not say".to_owned(),
        (until, 0) => until.to_owned(),
        (until, stale) => format!("{until} (out of date for {stale} s)"),
    };
    vec![crl.issuer.clone(), crl.entries.to_string(), crl.this_update.clone(), until, crl.source.clone()]
}

fn kept(kept: &CrlUpkeep) -> Vec<String> {
    let due = if kept.due.is_empty() { "-" } else { &kept.due };
    vec![kept.ca_profile.clone(), kept.state.clone(), due.to_owned()]
}

fn rests(resting: &Resting) -> Vec<String> {
    vec![resting.url.clone(), resting.until.clone(), resting.why.clone()]
}
