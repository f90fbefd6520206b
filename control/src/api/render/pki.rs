//! The store of certificates and keys for people: a row each, or a paragraph each. Names are printed as
//! [`ravelin_pki::x509::Name`] writes them, so that no character of a stranger's reaches the terminal as a command.

use super::table;
use crate::api::reply::{CaProfile, StoredObject};

/// A row each, those that expire first on top; then the authorities of ca-profiles.
pub(super) fn list(objects: &[StoredObject], profiles: &[CaProfile]) -> String {
    let header = ["KIND", "NAME", "STATUS", "DAYS LEFT", "NOT AFTER", "KEY", "SUBJECT", "USED BY"];
    let store = match objects {
        [] => "the store is empty".to_owned(),
        objects => table(&header, objects.iter().map(row)),
    };
    if profiles.is_empty() {
        return store;
    }
    let header = ["CA-PROFILE", "STATE", "FLAGS", "DAYS LEFT", "NOT AFTER", "SUBJECT"];
    format!("{store}\n\n{}", table(&header, profiles.iter().map(profile_row)))
}

fn profile_row(profile: &CaProfile) -> Vec<String> {
    let flags = if profile.flags.is_empty() { "-".to_owned() } else { profile.flags.join(", ") };
    vec![
        profile.ca_profile.clone(),
        profile.state.clone(),
        flags,
        profile.days_left.to_string(),
        profile.not_after.clone(),
        profile.subject.clone(),
    ]
}

fn row(object: &StoredObject) -> Vec<String> {
    let key = match (object.kind.as_str(), object.private_key.as_str()) {
        ("certificate", "") => object.public_key.clone(),
        ("certificate", name) => format!("{}, key {name}", object.public_key),
        _ => object.public_key.clone(),
    };
    let subject = if object.problem.is_empty() { &object.subject } else { &object.problem };
    vec![
        object.kind.clone(),
        object.name.clone(),
        object.status.clone(),
        object.days_left.map_or("-".to_owned(), |days| days.to_string()),
        if object.not_after.is_empty() { "-".to_owned() } else { object.not_after.clone() },
        key,
        subject.clone(),
        object.used_by.join(", "),
    ]
}

/// All that is known, a line each.
pub(super) fn details(objects: &[StoredObject], profiles: &[CaProfile]) -> String {
    let paragraphs = objects.iter().map(paragraph).chain(profiles.iter().map(profile_paragraph));
    let paragraphs: Vec<String> = paragraphs.collect();
    if paragraphs.is_empty() { "the store is empty".to_owned() } else { paragraphs.join("\n\n") }
}

fn profile_paragraph(profile: &CaProfile) -> String {
    let flags = profile.flags.iter().zip(&profile.reasons);
    let flags: String = flags.map(|(flag, why)| format!("\n  {:<12} {flag}: {why}", "flag")).collect();
    let CaProfile { ca_profile, state, subject, not_after, days_left, fingerprint, .. } = profile;
    format!(
        "ca-profile {ca_profile}\n  {:<12} {state}{flags}\n  {:<12} {subject}\n  {:<12} {not_after}, {days_left} days\n  {:<12} {fingerprint}",
        "state", "subject", "not after", "SHA-256"
    )
}

fn paragraph(object: &StoredObject) -> String {
    let days = object.days_left.map(|days| format!("{days} days")).unwrap_or_default();
    let exportable =
        object.exportable.map(|may| if may { "yes" } else { "no" }.to_owned()).unwrap_or_default();
    let lines = [
        ("status", object.status.clone()),
        ("problem", object.problem.clone()),
        ("subject", object.subject.clone()),
        ("names", object.names.join(", ")),
        ("issuer", object.issuer.clone()),
        ("serial", object.serial.clone()),
        ("not before", object.not_before.clone()),
        ("not after", object.not_after.clone()),
        ("left", days),
        ("usage", object.usage.clone()),
        ("CA", if object.certificate_authority { "yes".to_owned() } else { String::new() }),
        ("public key", object.public_key.clone()),
        ("private key", object.private_key.clone()),
        ("certificate", object.certificate.clone()),
        ("exportable", exportable),
        ("SHA-256", object.fingerprint.clone()),
        ("used by", object.used_by.join(", ")),
    ];
    let lines = lines.iter().filter(|(_, value)| !value.is_empty());
    let lines: String = lines.map(|(label, value)| format!("\n  {label:<12} {value}")).collect();
    format!("{} {}{lines}", object.kind, object.name)
}
