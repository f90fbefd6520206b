//! Our own certificates for people: a row for each entry of a profile.

use super::table;
use crate::api::reply::OwnCertificate;

/// All profiles.
pub(super) fn own(certificates: &[OwnCertificate]) -> String {
    let header = ["CERT-PROFILE", "ENTRY", "SUBJECT", "GOOD UNTIL", "ASKED FOR BY", "SENT", "TUNNELS"];
    table(&header, certificates.iter().map(row))
}

fn row(own: &OwnCertificate) -> Vec<String> {
    let mut asked_by = own.compare_chain.clone();
    if !own.complete {
        asked_by.push("(no root)".to_owned());
    }
    vec![
        own.cert_profile.clone(),
        own.entry.to_string(),
        own.subject.clone(),
        own.until.clone(),
        asked_by.join("\n"),
        own.sent.len().to_string(),
        own.tunnels.to_string(),
    ]
}
