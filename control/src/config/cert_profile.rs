//! Our own certificates (PKI-24): each read, parsed and matched with its key before anything starts. A private key in a
//! file is looked at here only to see that it belongs to its certificate; the keeper reads it again and alone keeps it. Of
//! one in the store the public half does.

use std::collections::BTreeMap;

use ravelin_pki::sealed::Sealed;
use ravelin_pki::{Certificate, PrivateKey, SignatureScheme};

use super::material::{certificates, place, read_octets};
use super::plan;
use super::raw;
use super::resolve::Judge;
use crate::keeper::{KeyPlace, Vault};
use crate::store::Kind;

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

#[cfg(test)]
mod tests;
