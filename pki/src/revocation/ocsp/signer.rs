//! Who may sign an OCSP response: the CA, or a responder the CA has issued a certificate for it (RFC 6960 §4.2.2.2).

use std::sync::Arc;

use super::response::{ResponderId, Response};
use super::{IdHash, OcspError, ResponseRules, Signer};
use crate::key::{KeyError, PublicKey, UnsupportedAlgorithm};
use crate::oid::{self, Oid};
use crate::revocation::Moment;
use crate::time::UnixTime;
use crate::x509::Certificate;

/// Why a responder's certificate does not let it speak for the CA. The fault of whoever runs the responder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// RFC 6960 §4.2.2.2: it MUST be issued directly by the CA.
    #[error("the CA that issued the certificate in question did not issue it")]
    NotOfTheAuthority,
    /// It lacks id-kp-OCSPSigning; anyExtendedKeyUsage does not stand for it.
    #[error("its extended key usage is not OCSPSigning")]
    NotForOcsp,
    /// Its key must not sign.
    #[error("its keyUsage does not permit digitalSignature")]
    NoDigitalSignature,
    /// It lacks id-pkix-ocsp-nocheck, and nobody checks whether it is revoked itself.
    #[error("it lacks id-pkix-ocsp-nocheck, and whether it is revoked itself is not checked")]
    MayBeRevoked,
    /// Its time has not come, or is over.
    #[error("it is valid from {not_before} to {not_after}; now is {now}")]
    Dates {
        /// First instant of its validity.
        not_before: UnixTime,
        /// Last instant of its validity.
        not_after: UnixTime,
        /// The instant of the check.
        now: UnixTime,
    },
    /// It carries a critical extension nobody here processes.
    #[error("its critical extension {0} is not supported")]
    UnknownCritical(Oid),
    /// It is signed in a way that is not accepted.
    #[error("it is signed with an unacceptable algorithm: {0}")]
    SignatureAlgorithm(UnsupportedAlgorithm),
    /// Its key is not one to verify with.
    #[error("its key is not acceptable: {0}")]
    Key(KeyError),
}

/// The signer of a response, its signature verified.
pub(super) fn find(
    response: &Response<'_>,
    authority: &Arc<Certificate>,
    rules: ResponseRules,
    moment: Moment,
) -> Result<Signer, OcspError> {
    let own = is_named(&response.responder, authority).then(|| signed_by(response, key_of(authority)?));
    if let Some(Ok(())) = own {
        return Ok(Signer::Authority);
    }
    let mut refused = own.and_then(Result::err);
    let readable = response.certificates.iter().filter_map(|der| Certificate::from_der(der).ok());
    for delegate in readable.filter(|delegate| is_named(&response.responder, delegate)) {
        match delegated(response, &delegate, authority, rules, moment) {
            Ok(()) => return Ok(Signer::Delegate(Arc::new(delegate))),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| OcspError::NoSigner(response.responder.to_string())))
}

fn delegated(
    response: &Response<'_>,
    delegate: &Certificate,
    authority: &Certificate,
    rules: ResponseRules,
    moment: Moment,
) -> Result<(), OcspError> {
    let unfit = |why| OcspError::Signer { responder: delegate.subject.to_string(), why };
    fit(delegate, authority, rules, moment).map_err(unfit)?;
    signed_by(response, delegate.public_key.as_ref().map_err(|error| unfit(Unfit::Key(error.clone())))?)
}

/// Whether a certificate makes its bearer a responder of this CA; its signature comes first, so that whatever else is
/// said of it is said of what the CA has issued.
fn fit(
    delegate: &Certificate,
    authority: &Certificate,
    rules: ResponseRules,
    moment: Moment,
) -> Result<(), Unfit> {
    issued_by(delegate, authority)?;
    let extensions = &delegate.extensions;
    if let Some(unknown) = extensions.unknown_critical.first() {
        return Err(Unfit::UnknownCritical(unknown.clone()));
    }
    let purposes = extensions.extended_key_usage.as_deref().unwrap_or_default();
    if !purposes.iter().any(|purpose| purpose.is(oid::OCSP_SIGNING)) {
        return Err(Unfit::NotForOcsp);
    }
    if extensions.key_usage.is_some_and(|usage| !usage.digital_signature() && !usage.content_commitment()) {
        return Err(Unfit::NoDigitalSignature);
    }
    let (not_before, not_after, now) = (delegate.not_before, delegate.not_after, moment.now);
    if !(not_before..=not_after).contains(&now) {
        return Err(Unfit::Dates { not_before, not_after, now });
    }
    if extensions.ocsp_no_check || rules.unchecked_responders { Ok(()) } else { Err(Unfit::MayBeRevoked) }
}

fn issued_by(delegate: &Certificate, authority: &Certificate) -> Result<(), Unfit> {
    let of_another = match (&delegate.extensions.authority_key_id, &authority.extensions.subject_key_id) {
        (Some(named), Some(own)) => named != own,
        _ => false,
    };
    if of_another || delegate.issuer != authority.subject {
        return Err(Unfit::NotOfTheAuthority);
    }
    let scheme = delegate.signature_scheme.clone().map_err(Unfit::SignatureAlgorithm)?;
    let key = authority.public_key.as_ref().map_err(|error| Unfit::Key(error.clone()))?;
    key.verify(scheme, delegate.tbs(), &delegate.signature).map_err(|_| Unfit::NotOfTheAuthority)
}

fn signed_by(response: &Response<'_>, key: &PublicKey) -> Result<(), OcspError> {
    let scheme = response.signature_scheme.clone().map_err(OcspError::SignatureAlgorithm)?;
    key.verify(scheme, response.tbs, response.signature).map_err(|_| OcspError::BadSignature)
}

fn key_of(authority: &Certificate) -> Result<&PublicKey, OcspError> {
    authority.public_key.as_ref().map_err(|error| OcspError::Key(error.clone()))
}

/// Whether a response says that the holder of this certificate signed it.
fn is_named(responder: &ResponderId, certificate: &Certificate) -> bool {
    match responder {
        ResponderId::Name(name) => *name == certificate.subject,
        // RFC 6960 §4.2.1: KeyHash is SHA-1 of the responder's public key, without tag and length.
        ResponderId::Key(hash) => {
            certificate.public_key.as_ref().is_ok_and(|key| IdHash::Sha1.digest(key.octets()) == *hash)
        }
    }
}

impl std::fmt::Display for ResponderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "\"{name}\""),
            Self::Key(hash) => {
                f.write_str("the key ")?;
                hash.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}
