//! Which proofs each side takes (RFC 9593): SUPPORTED_AUTH_METHODS, from who is called in IKE_SA_INIT, from who calls in
//! IKE_AUTH, beside CERTREQ.
//!
//! What the peer says decides which of our certificates it is shown, and how we sign. It is a hint: where we have nothing
//! that it names, we prove ourselves as ever, and where that is refused, `explain` says what the peer takes.

use super::common::Common;
use super::parts::Parts;
use super::proof;
use crate::config::{Auth, Connection, OwnCertificate, RemoteAuth, SignatureScheme};
use crate::crypto::signature;
use crate::wire::{Announcement, AuthenticationMethod, Notify, NotifyType, Payload};

/// What a peer takes as our proof.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(Vec<Way>);

/// One way.
#[derive(Clone, Debug)]
struct Way {
    method: AuthenticationMethod,
    /// The authority that the certificate has to be of, by the hash of its key.
    authority: Option<[u8; 20]>,
    /// Of a digital signature, as far as it is one that we know.
    scheme: Option<SignatureScheme>,
}

/// What we take as proof of the peer by one of these connections, if it is to be told at all. There may be thousands of them:
/// what is looked at of each is a handful of comparisons.
pub(crate) fn announced<'a>(configs: impl Iterator<Item = &'a Connection>) -> Option<Payload> {
    let (mut key, mut schemes) = (false, [false; SignatureScheme::ALL.len()]);
    for config in configs {
        let (has_key, allowed) = accepted(&config.remote_auth);
        key |= has_key;
        let Some(allowed) = allowed else { continue };
        for (taken, scheme) in schemes.iter_mut().zip(&SignatureScheme::ALL) {
            *taken |= allowed.is_empty() || allowed.contains(scheme);
        }
    }
    let schemes = SignatureScheme::ALL.into_iter().zip(schemes).filter(|(_, taken)| *taken);
    let shared = Announcement { method: AuthenticationMethod::SharedKey, link: None, algorithm: Vec::new() };
    let all: Vec<_> =
        schemes.flat_map(|(scheme, _)| of_scheme(scheme)).chain(key.then_some(shared)).collect();
    let data = Announcement::emit(&all);
    (!all.is_empty()).then(|| Payload::Notify(Notify::new(NotifyType::SupportedAuthMethods, data)))
}

/// Whether it takes a key, and which signatures, if any; of an empty list all.
fn accepted(auth: &RemoteAuth) -> (bool, Option<&[SignatureScheme]>) {
    match auth {
        RemoteAuth::Psk(_) => (true, None),
        RemoteAuth::Certificate { schemes, .. } => (false, Some(schemes)),
        RemoteAuth::Either { schemes, .. } => (true, Some(schemes)),
    }
}

/// By any authority: as a digital signature, and by the method of its own that it may have.
fn of_scheme(scheme: SignatureScheme) -> impl Iterator<Item = Announcement> {
    let algorithm = signature::algorithm_identifier(scheme);
    let older = signature::method_of_scheme(scheme);
    let signed = Announcement { method: AuthenticationMethod::DigitalSignature, link: Some(0), algorithm };
    let older = older.map(|method| Announcement { method, link: Some(0), algorithm: Vec::new() });
    std::iter::once(signed).chain(older)
}

impl Taken {
    /// What a message says.
    pub(crate) fn of(parts: &Parts) -> Taken {
        let data = parts.notify(NotifyType::SupportedAuthMethods).map(|notify| notify.data.as_slice());
        let all = Announcement::parse(data.unwrap_or_default());
        let way = |Announcement { method, link, algorithm }: Announcement| {
            let place = link.and_then(|link| usize::from(link).checked_sub(1));
            let authority = place.and_then(|place| parts.requested.get(place)).copied();
            let is_signature = method == AuthenticationMethod::DigitalSignature;
            let scheme = signature::scheme_of(&algorithm).ok().filter(|_| is_signature);
            Way { method, authority, scheme }
        };
        Taken(all.into_iter().map(way).collect())
    }

    /// Whether it has said nothing of it.
    fn is_silent(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it takes a signature in this manner, made with the key of this certificate.
    pub(crate) fn takes(&self, manner: &proof::Manner, own: &OwnCertificate) -> bool {
        let fits = |way: &Way| {
            let signature = way.method == AuthenticationMethod::DigitalSignature;
            way.method == manner.method
                && (!signature || way.scheme == Some(manner.scheme))
                && way.authority.is_none_or(|authority| own.authorities.contains(&authority))
        };
        self.is_silent() || self.0.iter().any(fits)
    }

    fn takes_key(&self) -> bool {
        self.is_silent() || self.0.iter().any(|way| way.method == AuthenticationMethod::SharedKey)
    }

    /// In words.
    fn told(&self) -> String {
        let name = |way: &Way| match (way.method, way.scheme) {
            (AuthenticationMethod::SharedKey, _) => "pre-shared key".to_owned(),
            (_, Some(scheme)) => scheme.name().to_owned(),
            (AuthenticationMethod::DigitalSignature, None) => "a signature that is not known here".to_owned(),
            (method, None) => method.to_string(),
        };
        let mut names: Vec<String> = Vec::new();
        for name in self.0.iter().map(name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(", ")
    }
}

/// Which certificate a peer is shown that says this: one that it asks for before one whose signature it takes.
pub(crate) fn choose(common: &mut Common, requested: &[[u8; 20]], hashes: &[u16], taken: &Taken) {
    let provable = |own: &OwnCertificate| proof::manners(own, hashes).any(|manner| taken.takes(&manner, own));
    common.own = common.config.choose(requested, provable);
    let has = match &common.config.local_auth {
        Auth::Psk(_) => taken.takes_key(),
        Auth::Certificate(own) => own.chosen(common.own).is_none_or(provable),
    };
    if !has {
        let ours = match &common.config.local_auth {
            Auth::Psk(_) => "pre-shared key".to_owned(),
            Auth::Certificate(own) => {
                let schemes = own.chosen(common.own).map_or(&[][..], |own| own.schemes.as_slice());
                schemes.iter().map(|scheme| scheme.name()).collect::<Vec<_>>().join(", ")
            }
        };
        common.attempt.difference = format!("our proof: we have {ours}; the peer takes {}", taken.told());
    }
}
