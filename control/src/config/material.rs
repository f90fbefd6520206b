//! What a configuration names in files or in the store (`store:NAME`): certificates, CRLs and shared keys, read and parsed
//! before anything starts. Our own certificates and their keys are in `cert_profile`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ravelin_pki::path::{KeyPurposes, Rules};
use ravelin_pki::{Certificate, PublicKey};
use toml::Spanned;
use zeroize::Zeroizing;

use super::believed;
use super::plan;
use super::raw::{self, SecretText, Text};
use super::resolve::Judge;
use super::revocation::{self, Written};
use super::value;
use crate::keeper::Vault;
use crate::store::{Kind, ObjectName, PassphraseSource, Store};
use crate::trust::expiry::Warning;
use crate::trust::{self, CertificateMap, PeerKeys, Shut};
use crate::tunnel::connection;

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

/// Anchors and helpers.
pub fn trust_anchor_profiles(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    store: &Store,
    (maps, shut): (&BTreeMap<String, Arc<CertificateMap>>, &Shut),
) -> BTreeMap<String, plan::TrustAnchorProfile> {
    let mut profiles = BTreeMap::new();
    for (name, spanned) in &raw.trust_anchor_profile {
        let object = format!("trust-anchor-profile.{name}");
        let raw = spanned.get_ref();
        let named = raw.anchors.as_ref().map(|anchors| anchors.get_ref().as_slice()).unwrap_or_default();
        let anchors = bundle(judge, &object, ("anchors", named), store);
        let intermediates = bundle(judge, &object, ("intermediates", &raw.intermediates), store);
        let keys = peer_keys(judge, &object, &raw.public_keys);
        let may_be_none = raw.anchors.is_none() && !raw.public_keys.is_empty();
        if anchors.is_empty() && !may_be_none || anchors.len() > ANCHORS {
            let found = format!("anchors holds {} certificates", anchors.len());
            let at = raw.anchors.as_ref().map_or(spanned.span().start, |anchors| anchors.span().start);
            judge.refuse(at, &object, found, "1 to 8, or public-keys and none");
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
        let profile = plan::TrustAnchorProfile {
            anchors,
            intermediates,
            demand,
            order,
            rules: path_rules(judge, &object, raw),
            dynamic_intermediates: raw.dynamic_intermediates.unwrap_or(true),
            lookup: raw.hash_and_url,
            match_identity: raw.match_peer_id_to_cert.unwrap_or(true),
            maps: believed::maps_of(judge, (&object, spanned.span().start), &raw.certificate_maps, maps),
            shut: shut.clone(),
            keys,
        };
        if !profile.match_identity {
            let found = "match-peer-id-to-cert = false lets every holder of a certificate pose as any other";
            judge.warn(spanned.span().start, &object, found.into(), "true");
        }
        profiles.insert(name.clone(), profile);
    }
    profiles
}

/// What a path must be like (PKI-20, PKI-21).
fn path_rules(judge: &mut Judge<'_>, object: &str, raw: &raw::TrustAnchorProfile) -> Rules {
    let usual = Rules::default();
    let depth = judge.number(object, "maximum-chain-depth", raw.maximum_chain_depth.as_ref(), 1..=7, 7);
    let bits = raw.minimum_rsa_bits.as_ref();
    let bits = judge.number(object, "minimum-rsa-bits", bits, 2048..=16_384, usual.min_rsa_bits.into());
    let client_auth = raw.accept_client_auth.unwrap_or(usual.purposes.client_auth);
    Rules {
        max_chain: depth as usize,
        min_rsa_bits: bits as u32,
        purposes: KeyPurposes { client_auth, ..usual.purposes },
        ..usual
    }
}

/// Public keys of peers, by whose they are (PKI-35).
fn peer_keys(judge: &mut Judge<'_>, object: &str, written: &BTreeMap<String, Text>) -> PeerKeys {
    let mut keys = Vec::new();
    for (name, file) in written {
        let identity = value::identity(name).map_err(str::to_owned).and_then(|identity| {
            let wire = connection::wire(&identity)?;
            trust::identity_from_ike(&wire).map_err(|error| error.to_string())
        });
        let identity = match identity {
            Ok(identity) => identity,
            Err(why) => {
                let found = format!("public-keys: {name:?} is no identity");
                judge.refuse(file.span().start, object, found, why);
                continue;
            }
        };
        let place = path(judge, file);
        let Some(octets) = read_octets(judge, object, ("public-keys", file), &place) else { continue };
        match PublicKey::all_of_file(&octets) {
            Ok(found) => keys.extend(found.into_iter().map(|spki| (identity.clone(), spki))),
            Err(error) => {
                let found = format!("public-keys: {:?} cannot be used: {error}", file.get_ref());
                judge.refuse(
                    file.span().start,
                    object,
                    found,
                    "PEM blocks PUBLIC KEY, as openssl pkey -pubout writes",
                );
            }
        }
    }
    keys.into_iter().collect()
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
pub(super) struct Named {
    pub(super) path: PathBuf,
    pub(super) stored: Option<ObjectName>,
}

/// Where what a value names lies.
pub(super) fn place(
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
pub(super) fn read_octets(
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
