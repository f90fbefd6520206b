//! Certificates and keys that a configuration names, in files or in the store (`store:NAME`): read, parsed, and matched
//! with each other before anything starts. A private key in a file is looked at here only to see that it
//! belongs to its certificate; the keeper reads it again and alone keeps it. Of one in the store the public half does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ravelin_pki::sealed::Sealed;
use ravelin_pki::{Certificate, PrivateKey, SignatureScheme};
use toml::Spanned;
use zeroize::Zeroizing;

use super::plan;
use super::raw::{self, SecretText, Text};
use super::resolve::Judge;
use super::revocation::{self, Written};
use super::value;
use crate::keeper::{KeyPlace, Vault};
use crate::store::{Kind, ObjectName, PassphraseSource, Store};
use crate::trust::expiry::Warning;

/// What names of the store have before them.
const STORED: &str = "store:";
/// PKI-06: anchors a profile.
const ANCHORS: usize = 8;

/// The store, and what opens its keys.
pub fn vault(judge: &Judge<'_>, raw: &raw::Pki) -> Vault {
    let store = raw.store.as_deref().unwrap_or("/var/lib/ravelin/pki");
    let passphrase = match &raw.passphrase_file {
        Some(file) => PassphraseSource::File(judge.source.base.join(file)),
        None => PassphraseSource::Credential,
    };
    Vault::new(Store::new(judge.source.base.join(store)), passphrase)
}

/// When the end of a certificate, and that of a CRL, is warned of (PKI-29).
pub fn expiration_warnings(judge: &mut Judge<'_>, raw: &raw::Pki) -> (Warning, Warning) {
    let mut hours = |key: &str, value: Option<&Spanned<u64>>, default| {
        judge.number("pki", key, value, 0..=8760, default) as i64 * 3600
    };
    let mut warning = |(key, before, default), (repeat_key, repeat)| {
        let (before, repeat) = (hours(key, before, default), hours(repeat_key, repeat, 24));
        Warning { before, repeat: (repeat > 0).then_some(repeat) }
    };
    let certificate = warning(
        ("certificate-expiration-warning", raw.certificate_expiration_warning.as_ref(), 720),
        ("certificate-expiration-repeat", raw.certificate_expiration_repeat.as_ref()),
    );
    let crl = warning(
        ("crl-expiration-warning", raw.crl_expiration_warning.as_ref(), 0),
        ("crl-expiration-repeat", raw.crl_expiration_repeat.as_ref()),
    );
    (certificate, crl)
}

/// Our certificates.
pub fn cert_profiles(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    vault: &Vault,
) -> BTreeMap<String, plan::CertProfile> {
    let mut profiles = BTreeMap::new();
    for (name, spanned) in &raw.cert_profile {
        let object = format!("cert-profile.{name}");
        if let Some(profile) = cert_profile(judge, &object, spanned.get_ref(), vault) {
            profiles.insert(name.clone(), profile);
        }
    }
    profiles
}

fn cert_profile(
    judge: &mut Judge<'_>,
    object: &str,
    raw: &raw::CertProfile,
    vault: &Vault,
) -> Option<plan::CertProfile> {
    let store = vault.store();
    let mut chain = certificates(judge, object, ("certificate", &raw.certificate), store)?;
    for file in &raw.chain {
        chain.extend(certificates(judge, object, ("chain", file), store)?);
    }
    let (key, schemes) = matching_key(judge, object, raw, (chain.first()?, vault))?;
    let read = |text: &str| match text {
        "pkcs1" => Ok(false),
        "pss" => Ok(true),
        _ => Err("pkcs1 or pss"),
    };
    let pss = raw.rsa_signature.as_ref().and_then(|text| judge.value(object, "rsa-signature", text, read));
    Some(plan::CertProfile {
        key,
        chain: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
        schemes: preferred(schemes, pss.unwrap_or(false)),
    })
}

/// The key's schemes with the configured RSA padding first: PKCS #1 v1.5 unless PSS is asked for.
fn preferred(schemes: &[SignatureScheme], pss: bool) -> Vec<SignatureScheme> {
    use SignatureScheme::{RsaPssSha256, RsaPssSha384, RsaPssSha512};
    let is_pss = |scheme: &&SignatureScheme| matches!(scheme, RsaPssSha256 | RsaPssSha384 | RsaPssSha512);
    let (with, without): (Vec<&SignatureScheme>, Vec<_>) = schemes.iter().partition(is_pss);
    let (first, then) = if pss { (with, without) } else { (without, with) };
    first.into_iter().chain(then).copied().collect()
}

/// Where the key lies, and what it signs with, if it is that of the certificate.
fn matching_key(
    judge: &mut Judge<'_>,
    object: &str,
    raw: &raw::CertProfile,
    (leaf, vault): (&Certificate, &Vault),
) -> Option<(KeyPlace, &'static [SignatureScheme])> {
    let named = place(judge, object, ("key", &raw.key), vault.store(), Kind::Key)?;
    let octets = read_octets(judge, object, ("key", &raw.key), &named.path)?;
    let certified = leaf.public_key.as_ref();
    let read = match &named.stored {
        None => PrivateKey::from_file_bytes(&octets)
            .map_err(|error| error.to_string())
            .map(|key| (certified.is_ok_and(|public| key.matches(public)), key.schemes())),
        Some(_) => Sealed::parse(&octets).map_err(|error| error.to_string()).map(|key| {
            let public = key.public_key();
            (certified.is_ok_and(|certified| certified.is_same_key(public)), public.signing_schemes())
        }),
    };
    let (found, expected) = match read {
        Ok((true, schemes)) => {
            let place = match named.stored {
                None => KeyPlace::File(named.path),
                Some(name) => KeyPlace::Stored(vault.clone(), name),
            };
            return Some((place, schemes));
        }
        Ok((false, _)) => {
            let certificate = raw.certificate.get_ref();
            let found = format!("key {:?} does not match certificate {certificate:?}", raw.key.get_ref());
            (found, "the private key of that certificate")
        }
        Err(error) => {
            (format!("key {:?} cannot be used: {error}", raw.key.get_ref()), "an unencrypted PEM private key")
        }
    };
    judge.refuse(raw.key.span().start, object, found, expected);
    None
}

/// Anchors and helpers.
pub fn trust_anchor_profiles(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    store: &Store,
) -> BTreeMap<String, plan::TrustAnchorProfile> {
    let mut profiles = BTreeMap::new();
    for (name, spanned) in &raw.trust_anchor_profile {
        let object = format!("trust-anchor-profile.{name}");
        let raw = spanned.get_ref();
        let anchors = bundle(judge, &object, ("anchors", raw.anchors.get_ref()), store);
        let intermediates = bundle(judge, &object, ("intermediates", &raw.intermediates), store);
        if anchors.is_empty() || anchors.len() > ANCHORS {
            let found = format!("anchors holds {} certificates", anchors.len());
            judge.refuse(raw.anchors.span().start, &object, found, "1 to 8");
        }
        let written = Written {
            revocation: raw.revocation.as_ref(),
            max_stale: raw.max_stale.as_ref(),
            status_verify: raw.status_verify.as_ref(),
            revocation_check: raw.revocation_check.as_ref(),
        };
        let (demand, order) = revocation::order(judge, (&object, spanned.span().start), &written);
        let usual = revocation::usual();
        let (demand, order) = (demand.unwrap_or(usual.0), order.unwrap_or(usual.1));
        profiles.insert(name.clone(), plan::TrustAnchorProfile { anchors, intermediates, demand, order });
    }
    profiles
}

fn bundle(judge: &mut Judge<'_>, object: &str, (key, files): (&str, &[Text]), store: &Store) -> Vec<Vec<u8>> {
    let mut read = |file| certificates(judge, object, (key, file), store).unwrap_or_default();
    files.iter().flat_map(&mut read).map(|certificate| certificate.der().to_vec()).collect()
}

/// The octets of a CRL in a file or the store.
pub fn crl(
    judge: &mut Judge<'_>,
    object: &str,
    (key, file): (&str, &Text),
    store: &Store,
) -> Option<Zeroizing<Vec<u8>>> {
    let named = place(judge, object, (key, file), store, Kind::Crl)?;
    read_octets(judge, object, (key, file), &named.path)
}

/// All certificates of a file, at least one, or one of the store.
pub fn certificates(
    judge: &mut Judge<'_>,
    object: &str,
    (key, file): (&str, &Text),
    store: &Store,
) -> Option<Vec<Certificate>> {
    let named = place(judge, object, (key, file), store, Kind::Certificate)?;
    let octets = read_octets(judge, object, (key, file), &named.path)?;
    let problem = match Certificate::from_file_bytes(&octets) {
        Ok(certificates) if !certificates.is_empty() => return Some(certificates),
        Ok(_) => "it holds no certificate".to_owned(),
        Err(error) => error.to_string(),
    };
    let found = format!("{key} {:?} cannot be used: {problem}", file.get_ref());
    judge.refuse(file.span().start, object, found, "PEM certificates, or one in DER");
    None
}

/// What a value names: a file, and if that is the store's, the name it has there.
struct Named {
    path: PathBuf,
    stored: Option<ObjectName>,
}

fn place(
    judge: &mut Judge<'_>,
    object: &str,
    (key, file): (&str, &Text),
    store: &Store,
    kind: Kind,
) -> Option<Named> {
    let Some(name) = file.get_ref().strip_prefix(STORED) else {
        return Some(Named { path: path(judge, file), stored: None });
    };
    match name.parse::<ObjectName>() {
        Ok(name) => Some(Named { path: store.file(kind, &name), stored: Some(name) }),
        Err(error) => {
            let found = format!("{key} {:?} names nothing in the store", file.get_ref());
            judge.refuse(file.span().start, object, found, format!("{STORED}NAME: {error}"));
            None
        }
    }
}

/// A shared key under one name, or the file that holds it under the other; `Some(None)` if neither is there.
pub fn shared_key(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    (key, text): (&str, Option<&SecretText>),
    (file_key, file): (&str, Option<&Text>),
) -> Option<Option<plan::Secret>> {
    match (text, file) {
        (None, None) => Some(None),
        (Some(text), None) => judge.secret(object, key, text, value::psk).map(Some),
        (None, Some(file)) => key_file(judge, object, file_key, file).map(Some),
        (Some(_), Some(_)) => {
            judge.refuse(at, object, format!("has both {key} and {file_key}"), "one of them");
            None
        }
    }
}

fn key_file(judge: &mut Judge<'_>, object: &str, key: &str, file: &Text) -> Option<plan::Secret> {
    let text = read_text(judge, object, key, file)?;
    match value::psk(text.trim_end()) {
        Ok(secret) => Some(secret),
        Err(expected) => {
            let found = format!("{key} {:?} does not hold a key", file.get_ref());
            judge.refuse(file.span().start, object, found, expected);
            None
        }
    }
}

/// The text of a file that a value names; wiped when dropped, for it may be a secret.
pub fn read_text(judge: &mut Judge<'_>, object: &str, key: &str, file: &Text) -> Option<Zeroizing<String>> {
    let path = path(judge, file);
    let octets = read_octets(judge, object, (key, file), &path)?;
    match std::str::from_utf8(&octets) {
        Ok(text) => Some(Zeroizing::new(text.to_owned())),
        Err(_) => {
            unreadable(judge, object, (key, file), (&path, "not text"));
            None
        }
    }
}

/// The octets of a file; wiped when dropped.
fn read_octets(
    judge: &mut Judge<'_>,
    object: &str,
    named: (&str, &Text),
    path: &Path,
) -> Option<Zeroizing<Vec<u8>>> {
    match (judge.source.read)(path) {
        Ok(octets) => Some(Zeroizing::new(octets)),
        Err(error) => {
            unreadable(judge, object, named, (path, &error.to_string()));
            None
        }
    }
}

fn unreadable(
    judge: &mut Judge<'_>,
    object: &str,
    (key, file): (&str, &Text),
    (path, problem): (&Path, &str),
) {
    let found = format!("{key} {:?} cannot be read: {problem}", file.get_ref());
    judge.refuse(file.span().start, object, found, format!("a readable file at {}", path.display()));
}

fn path(judge: &Judge<'_>, file: &Text) -> PathBuf {
    judge.source.base.join(file.get_ref())
}

#[cfg(test)]
mod tests;
