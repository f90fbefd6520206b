//! Certificates and keys that a configuration names: read, parsed, and matched with each
//! other before anything starts. A private key is looked at here only to see that it
//! belongs to its certificate; the keeper reads it again and alone keeps it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ravelin_pki::{Certificate, PrivateKey, SignatureScheme};
use zeroize::Zeroizing;

use super::plan;
use super::raw::{self, SecretText, Text};
use super::resolve::Judge;
use super::value;

/// PKI-06: anchors a profile.
const ANCHORS: usize = 8;

/// Our certificates.
pub fn cert_profiles(judge: &mut Judge<'_>, raw: &raw::File) -> BTreeMap<String, plan::CertProfile> {
    let mut profiles = BTreeMap::new();
    for (name, spanned) in &raw.cert_profile {
        let object = format!("cert-profile.{name}");
        if let Some(profile) = cert_profile(judge, &object, spanned.get_ref()) {
            profiles.insert(name.clone(), profile);
        }
    }
    profiles
}

fn cert_profile(judge: &mut Judge<'_>, object: &str, raw: &raw::CertProfile) -> Option<plan::CertProfile> {
    let mut chain = certificates(judge, object, "certificate", &raw.certificate)?;
    for file in &raw.chain {
        chain.extend(certificates(judge, object, "chain", file)?);
    }
    let key = matching_key(judge, object, raw, chain.first()?)?;
    let read = |text: &str| match text {
        "pkcs1" => Ok(false),
        "pss" => Ok(true),
        _ => Err("pkcs1 or pss"),
    };
    let pss = raw.rsa_signature.as_ref().and_then(|text| judge.value(object, "rsa-signature", text, read));
    Some(plan::CertProfile {
        key_file: path(judge, &raw.key),
        chain: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
        schemes: preferred(key.schemes(), pss.unwrap_or(false)),
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

fn matching_key(
    judge: &mut Judge<'_>,
    object: &str,
    raw: &raw::CertProfile,
    leaf: &Certificate,
) -> Option<PrivateKey> {
    let text = read_text(judge, object, "key", &raw.key)?;
    let key = match PrivateKey::from_file_bytes(text.as_bytes()) {
        Ok(key) => key,
        Err(error) => {
            let found = format!("key {:?} cannot be used: {error}", raw.key.get_ref());
            judge.refuse(raw.key.span().start, object, found, "an unencrypted PEM private key");
            return None;
        }
    };
    if leaf.public_key.as_ref().is_ok_and(|public| key.matches(public)) {
        return Some(key);
    }
    let found =
        format!("key {:?} does not match certificate {:?}", raw.key.get_ref(), raw.certificate.get_ref());
    judge.refuse(raw.key.span().start, object, found, "the private key of that certificate");
    None
}

/// Anchors and helpers.
pub fn trust_anchor_profiles(
    judge: &mut Judge<'_>,
    raw: &raw::File,
) -> BTreeMap<String, plan::TrustAnchorProfile> {
    let mut profiles = BTreeMap::new();
    for (name, spanned) in &raw.trust_anchor_profile {
        let object = format!("trust-anchor-profile.{name}");
        let raw = spanned.get_ref();
        let anchors = bundle(judge, &object, "anchors", raw.anchors.get_ref());
        let intermediates = bundle(judge, &object, "intermediates", &raw.intermediates);
        if anchors.is_empty() || anchors.len() > ANCHORS {
            let found = format!("anchors holds {} certificates", anchors.len());
            judge.refuse(raw.anchors.span().start, &object, found, "1 to 8");
        }
        profiles.insert(name.clone(), plan::TrustAnchorProfile { anchors, intermediates });
    }
    profiles
}

fn bundle(judge: &mut Judge<'_>, object: &str, key: &str, files: &[Text]) -> Vec<Vec<u8>> {
    let mut read = |file| certificates(judge, object, key, file).unwrap_or_default();
    files.iter().flat_map(&mut read).map(|certificate| certificate.der().to_vec()).collect()
}

/// All certificates of a PEM file, at least one.
fn certificates(judge: &mut Judge<'_>, object: &str, key: &str, file: &Text) -> Option<Vec<Certificate>> {
    let text = read_text(judge, object, key, file)?;
    let problem = match Certificate::from_pem_bundle(text.as_bytes()) {
        Ok(certificates) if !certificates.is_empty() => return Some(certificates),
        Ok(_) => "it holds no certificate".to_owned(),
        Err(error) => error.to_string(),
    };
    let found = format!("{key} {:?} cannot be used: {problem}", file.get_ref());
    judge.refuse(file.span().start, object, found, "PEM certificates");
    None
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
    let problem = match (judge.source.read)(&path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => return Some(Zeroizing::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                "not text".to_owned()
            }
        },
        Err(error) => error.to_string(),
    };
    let found = format!("{key} {:?} cannot be read: {problem}", file.get_ref());
    judge.refuse(file.span().start, object, found, format!("a readable file at {}", path.display()));
    None
}

fn path(judge: &Judge<'_>, file: &Text) -> PathBuf {
    judge.source.base.join(file.get_ref())
}
