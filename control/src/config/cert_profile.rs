//! Our own certificates (PKI-24): each read, parsed and matched with its key before anything starts, and with the
//! authorities above it, by which peers ask for it (PKI-25). A private key in a
//! file is looked at here only to see that it belongs to its certificate; the keeper reads it again and alone keeps it. Of
//! one in the store the public half does.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_fetch::Url;
use ravelin_fetch::url::Scheme;
use ravelin_ike::config::OwnCertificate;
use ravelin_ike::wire::HashAndUrl;
use ravelin_pki::sealed::Sealed;
use ravelin_pki::store::Intermediates;
use ravelin_pki::{Certificate, PrivateKey, SignatureScheme, certreq, hash_and_url};
use toml::Spanned;

use super::material::{certificates, place, read_octets};
use super::plan;
use super::raw::{self, Text};
use super::resolve::Judge;
use crate::keeper::{KeyPlace, Vault};
use crate::store::Kind;
use crate::tunnel::scheme;

/// PKI-24: entries of a profile, and authorities whose certificates one sends along.
const ENTRIES: usize = 8;
const SEND_CHAIN: usize = 7;

/// What the rest of a configuration has that a certificate of ours may need.
struct Known<'r> {
    vault: &'r Vault,
    profiles: &'r BTreeMap<String, plan::CaProfile>,
    /// Every authority there is, of ca-profiles and of trust-anchor-profiles.
    authorities: Vec<Arc<Certificate>>,
}

/// Our certificates.
pub fn cert_profiles(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    vault: &Vault,
    (profiles, trust): (&BTreeMap<String, plan::CaProfile>, &BTreeMap<String, plan::TrustAnchorProfile>),
) -> BTreeMap<String, plan::CertProfile> {
    let trusted = trust.values().flat_map(|profile| profile.anchors.iter().chain(&profile.intermediates));
    let authorities = profiles.values().map(|profile| &profile.certificate).chain(trusted);
    let authorities = authorities.filter_map(|der| Certificate::from_der(der).ok().map(Arc::new)).collect();
    let known = Known { vault, profiles, authorities };
    let of = |(name, spanned): (&String, &Spanned<raw::CertProfile>)| {
        let object = format!("cert-profile.{name}");
        let profile = cert_profile(judge, (&object, spanned.span().start), spanned.get_ref(), &known)?;
        Some((name.clone(), profile))
    };
    raw.cert_profile.iter().filter_map(of).collect()
}

fn cert_profile(
    judge: &mut Judge<'_>,
    place: (&str, usize),
    raw: &raw::CertProfile,
    known: &Known<'_>,
) -> Option<plan::CertProfile> {
    if raw.raw_public_key == Some(true) {
        return Some(plan::CertProfile { entries: vec![raw_key(judge, place, raw, known.vault)?] });
    }
    let entries = match (only(raw), raw.entry.as_slice()) {
        (Some(only), []) => vec![entry(judge, place, &only, known)?],
        (None, written @ [_, ..]) if raw.is_bare() => entries(judge, place.0, written, known)?,
        (_, written) => {
            let (found, expected) = match written {
                [] => ("has no certificate", "certificate and key, or entries of them"),
                _ => ("has entries and a certificate beside them", "the one or the other"),
            };
            judge.refuse(place.1, place.0, found.to_owned(), expected);
            return None;
        }
    };
    Some(plan::CertProfile { entries })
}

/// All of them are judged, whatever is wrong with one. That nobody will ask for one is told.
fn entries(
    judge: &mut Judge<'_>,
    object: &str,
    written: &[Spanned<raw::CertEntry>],
    known: &Known<'_>,
) -> Option<Vec<plan::CertEntry>> {
    if let Some(beyond) = written.get(ENTRIES) {
        let found = format!("has {} entries", written.len());
        judge.refuse(beyond.span().start, object, found, format!("at most {ENTRIES}"));
    }
    let judged = (1..).zip(written).map(|(number, spanned)| {
        let (object, at) = (format!("{object}, entry {number}"), spanned.span().start);
        let entry = entry(judge, (&object, at), spanned.get_ref(), known)?;
        if entry.above.is_empty() {
            let found = "no authority that is configured has issued its certificate: no peer asks for it";
            judge.warn(at, &object, found.to_owned(), "a ca-profile of who has");
        }
        Some(entry)
    });
    let judged: Vec<Option<plan::CertEntry>> = judged.collect();
    judged.into_iter().collect()
}

/// The keys of a profile's only certificate.
fn only(raw: &raw::CertProfile) -> Option<raw::CertEntry> {
    let raw::CertProfile { certificate, key, chain, send_chain, rsa_signature, hash_and_url, .. } = raw;
    Some(raw::CertEntry {
        certificate: certificate.clone()?,
        key: key.clone()?,
        chain: chain.clone(),
        send_chain: send_chain.clone(),
        rsa_signature: rsa_signature.clone(),
        hash_and_url: hash_and_url.clone(),
    })
}

fn entry(
    judge: &mut Judge<'_>,
    place: (&str, usize),
    raw: &raw::CertEntry,
    known: &Known<'_>,
) -> Option<plan::CertEntry> {
    let (object, store) = (place.0, known.vault.store());
    let mut chain = certificates(judge, object, ("certificate", &raw.certificate), store)?;
    for file in &raw.chain {
        chain.extend(certificates(judge, object, ("chain", file), store)?);
    }
    let leaf = Arc::new(chain.first()?.clone());
    let (key, schemes) = matching_key(judge, object, raw, (&leaf, known.vault))?;
    let pss = with_pss(judge, object, raw.rsa_signature.as_ref());
    let own = chain.iter().skip(1).cloned().map(Arc::new);
    let above = compare_chain(&leaf, own.chain(known.authorities.iter().cloned()));
    let mut chain: Vec<Vec<u8>> = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
    let above_it: Vec<Vec<u8>> = above.iter().map(|authority| authority.der().to_vec()).collect();
    for authority in send_chain(judge, place, raw, (known, &above_it))? {
        if !chain.contains(authority) {
            chain.push(authority.clone());
        }
    }
    let shown = OwnCertificate {
        chain,
        is_raw: false,
        schemes: preferred(schemes, pss).into_iter().map(scheme::to_ike).collect(),
        authorities: above.iter().map(|authority| certreq::hash(authority)).collect(),
        subject: leaf.subject.der().to_vec(),
        elsewhere: elsewhere(judge, object, raw, &leaf),
    };
    Some(plan::CertEntry { key, shown: Arc::new(shown), above: above_it })
}

/// Whether RSA signs by PSS first.
fn with_pss(judge: &mut Judge<'_>, object: &str, text: Option<&Text>) -> bool {
    let read = |text: &str| match text {
        "pkcs1" => Ok(false),
        "pss" => Ok(true),
        _ => Err("pkcs1 or pss"),
    };
    text.and_then(|text| judge.value(object, "rsa-signature", text, read)).unwrap_or(false)
}

/// A key without a certificate (RFC 7670): its public half is all that is shown.
fn raw_key(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    raw: &raw::CertProfile,
    vault: &Vault,
) -> Option<plan::CertEntry> {
    let Some(key) = raw.key.as_ref().filter(|_| raw.has_key_alone() && raw.entry.is_empty()) else {
        let found = "raw-public-key without a key, or with a certificate".to_owned();
        judge.refuse(at, object, found, "key = \"FILE\" and no certificate: the key is all that is shown");
        return None;
    };
    let named = place(judge, object, ("key", key), vault.store(), Kind::Key)?;
    let octets = read_octets(judge, object, ("key", key), &named.path)?;
    let (spki, schemes) = match public_half(&octets, named.stored.is_some()) {
        Ok(found) => found,
        Err(why) => {
            let found = format!("key {:?} cannot be used: {why}", key.get_ref());
            judge.refuse(key.span().start, object, found, "an unencrypted PEM private key");
            return None;
        }
    };
    let pss = with_pss(judge, object, raw.rsa_signature.as_ref());
    let schemes = preferred(schemes, pss).into_iter().map(scheme::to_ike).collect();
    let shown = OwnCertificate { chain: vec![spki], is_raw: true, schemes, ..OwnCertificate::default() };
    let key = match named.stored {
        None => KeyPlace::File(named.path),
        Some(name) => KeyPlace::Stored(vault.clone(), name),
    };
    Some(plan::CertEntry { key, shown: Arc::new(shown), above: Vec::new() })
}

/// The SubjectPublicKeyInfo of a key in a file or in the store, and what the key signs with.
fn public_half(octets: &[u8], is_stored: bool) -> Result<(Vec<u8>, &'static [SignatureScheme]), String> {
    if is_stored {
        let sealed = Sealed::parse(octets).map_err(|error| error.to_string())?;
        return Ok((sealed.public_key_info().to_vec(), sealed.public_key().signing_schemes()));
    }
    let key = PrivateKey::from_file_bytes(octets).map_err(|error| error.to_string())?;
    Ok((key.public_key_info().map_err(|error| error.to_string())?, key.schemes()))
}

/// Where the certificate lies, by the hash that finds it there.
fn elsewhere(
    judge: &mut Judge<'_>,
    object: &str,
    raw: &raw::CertEntry,
    leaf: &Certificate,
) -> Option<HashAndUrl> {
    let http = |text: &str| match Url::parse(text) {
        Ok(url) if url.scheme == Scheme::Http && url.user.is_none() => Ok(text.to_owned()),
        _ => Err("a URL of HTTP, like http://certificates.example/gateway.der"),
    };
    let url = judge.value(object, "hash-and-url", raw.hash_and_url.as_ref()?, http)?;
    Some(HashAndUrl { bundle: false, hash: hash_and_url::hash(leaf.der()), url })
}

/// The authorities above a certificate, lowest first, among those that are known.
fn compare_chain(
    leaf: &Arc<Certificate>,
    known: impl Iterator<Item = Arc<Certificate>>,
) -> Vec<Arc<Certificate>> {
    certreq::chain_above(leaf, &known.collect::<Intermediates>())
}

/// The certificates of the authorities that are sent along; which of them do not stand above ours is told (PKI-26).
fn send_chain<'r>(
    judge: &mut Judge<'_>,
    (object, at): (&str, usize),
    raw: &raw::CertEntry,
    (known, above): (&Known<'r>, &[Vec<u8>]),
) -> Option<Vec<&'r Vec<u8>>> {
    if raw.send_chain.len() > SEND_CHAIN {
        let found = format!("send-chain names {} authorities", raw.send_chain.len());
        judge.refuse(at, object, found, format!("at most {SEND_CHAIN}"));
    }
    let mut sent = Vec::new();
    for name in &raw.send_chain {
        let authority = &judge.follow(object, "send-chain", name, known.profiles)?.certificate;
        if !above.contains(authority) {
            let found = format!("send-chain: ca-profile {:?} is not above this certificate", name.get_ref());
            judge.warn(
                name.span().start,
                object,
                found,
                "authorities that have issued it, or who has issued them",
            );
        }
        sent.push(authority);
    }
    Some(sent)
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
    raw: &raw::CertEntry,
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

#[cfg(test)]
mod tests;
