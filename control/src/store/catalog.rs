//! What the store has, told: each object read and described as operators see it. An object that cannot be read is told
//! as well, with the reason: a list from which the broken one is missing helps nobody.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use ravelin_pki::sealed::Sealed;
use ravelin_pki::{Certificate, PublicKey, UnixTime};

use super::{Kind, ObjectName, Store, StoreError};
use crate::api::reply::StoredObject;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Who uses a certificate: names of profiles by its SHA-256 fingerprint.
pub type Uses = [(String, String)];

/// All that the store has, certificates by the days they have left, the fewest first.
///
/// # Errors
/// When its directories cannot be read.
pub fn all(store: &Store, uses: &Uses, now: UnixTime) -> Result<Vec<StoredObject>, StoreError> {
    let mut keys = BTreeMap::new();
    for name in store.names(Kind::Key)? {
        let read = store.read(Kind::Key, &name).map_err(|error| error.to_string());
        let read = read.and_then(|octets| Sealed::parse(&octets).map_err(|error| error.to_string()));
        keys.insert(name, read);
    }
    let mut certificates = Vec::new();
    for name in store.names(Kind::Certificate)? {
        let read = store.read(Kind::Certificate, &name).map_err(|error| error.to_string());
        let read = read.and_then(|octets| Certificate::from_der(&octets).map_err(|error| error.to_string()));
        certificates.push((name, read));
    }
    let certified = |key: &PublicKey| {
        let of = |(name, read): &(ObjectName, Result<Certificate, String>)| {
            let public = read.as_ref().ok()?.public_key.as_ref().ok()?;
            public.is_same_key(key).then(|| name.to_string())
        };
        certificates.iter().find_map(of)
    };
    let mut told: Vec<StoredObject> = certificates
        .iter()
        .map(|(name, read)| match read {
            Ok(certificate) => of_certificate(name, certificate, &keys, uses, now),
            Err(problem) => broken(Kind::Certificate, name, problem),
        })
        .collect();
    told.sort_by_key(|object| object.days_left.unwrap_or(i64::MIN));
    told.extend(keys.iter().map(|(name, read)| match read {
        Ok(key) => of_key(name, key, certified(key.public_key())),
        Err(problem) => broken(Kind::Key, name, problem),
    }));
    for name in store.names(Kind::Crl)? {
        told.push(match store.read(Kind::Crl, &name) {
            Ok(octets) => StoredObject {
                status: "available".into(),
                fingerprint: fingerprint(&octets),
                ..named(Kind::Crl, &name)
            },
            Err(error) => broken(Kind::Crl, &name, &error.to_string()),
        });
    }
    Ok(told)
}

/// SHA-256 in hexadecimal, as OpenSSL and vendors print it, without colons.
pub fn fingerprint(octets: &[u8]) -> String {
    digest::digest(&digest::SHA256, octets).as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Whole days until a certificate ends; negative once it has.
pub fn days_left(certificate: &Certificate, now: UnixTime) -> i64 {
    certificate.not_after.0.saturating_sub(now.0).div_euclid(DAY)
}

fn named(kind: Kind, name: &ObjectName) -> StoredObject {
    StoredObject { kind: kind.word().into(), name: name.to_string(), ..StoredObject::default() }
}

fn broken(kind: Kind, name: &ObjectName, problem: &str) -> StoredObject {
    StoredObject { status: "unusable".into(), problem: problem.to_owned(), ..named(kind, name) }
}

fn of_certificate(
    name: &ObjectName,
    certificate: &Certificate,
    keys: &BTreeMap<ObjectName, Result<Sealed, String>>,
    uses: &Uses,
    now: UnixTime,
) -> StoredObject {
    let public = certificate.public_key.as_ref();
    let pair = |key: &Sealed| public.is_ok_and(|public| public.is_same_key(key.public_key()));
    let key = keys.iter().find(|(_, key)| key.as_ref().is_ok_and(pair)).map(|(name, _)| name.to_string());
    let fingerprint = fingerprint(certificate.der());
    let used_by = uses.iter().filter(|(used, _)| *used == fingerprint).map(|(_, by)| by.clone()).collect();
    StoredObject {
        status: status(certificate, now).into(),
        subject: certificate.subject.to_string(),
        issuer: certificate.issuer.to_string(),
        serial: certificate.serial_hex(),
        names: certificate.extensions.subject_alt_names.iter().map(ToString::to_string).collect(),
        not_before: certificate.not_before.to_string(),
        not_after: certificate.not_after.to_string(),
        days_left: Some(days_left(certificate, now)),
        usage: usage(certificate).into(),
        certificate_authority: certificate
            .extensions
            .basic_constraints
            .is_some_and(|constraints| constraints.ca),
        public_key: public.map_or_else(ToString::to_string, ToString::to_string),
        private_key: key.unwrap_or_default(),
        fingerprint,
        used_by,
        ..named(Kind::Certificate, name)
    }
}

/// `available` while it is valid (PKI-36).
fn status(certificate: &Certificate, now: UnixTime) -> &'static str {
    if now < certificate.not_before {
        "not yet valid"
    } else if now > certificate.not_after {
        "expired"
    } else {
        "available"
    }
}

/// What its keyUsage lets its key do: sign, encipher, or both.
fn usage(certificate: &Certificate) -> &'static str {
    let Some(usage) = certificate.extensions.key_usage else { return "general purpose" };
    match (usage.digital_signature() || usage.content_commitment(), usage.key_encipherment()) {
        (true, true) => "general purpose",
        (true, false) => "signature",
        (false, true) => "encryption",
        (false, false) if usage.key_cert_sign() => "certificate authority",
        (false, false) => "other",
    }
}

fn of_key(name: &ObjectName, key: &Sealed, certificate: Option<String>) -> StoredObject {
    StoredObject {
        // A key without a certificate waits for a CA.
        status: if certificate.is_some() { "available" } else { "pending" }.into(),
        public_key: key.public_key().to_string(),
        exportable: Some(key.exportable()),
        certificate: certificate.unwrap_or_default(),
        fingerprint: fingerprint(key.public_key_info()),
        ..named(Kind::Key, name)
    }
}
