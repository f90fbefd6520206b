//! What a certificate must be like on its own, at its place in a path: dates, key, usage, purpose.

use super::error::Cause;
use super::{Request, Rules};
use crate::key::{PublicKey, SignatureScheme};
use crate::oid::{self, Oid};
use crate::x509::Certificate;

/// Which extended key usages let a certificate be used for IKE.
///
/// RFC 4945 §5.1.3.12 accepts a certificate without the extension, or with ipsecIKE or anyExtendedKeyUsage in it,
/// and rejects others; that is [`KeyPurposes::RFC_4945`]. Gateways' certificates are nevertheless often issued from
/// a TLS server template, so serverAuth is accepted by default. clientAuth is not: it is what every user of a
/// corporate CA has. iKEIntermediate (1.3.6.1.5.5.8.2.2), which some vendors' gateways carry, counts as ipsecIKE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPurposes {
    /// Accept id-kp-serverAuth.
    pub server_auth: bool,
    /// Accept id-kp-clientAuth.
    pub client_auth: bool,
}

impl Default for KeyPurposes {
    fn default() -> Self {
        Self { server_auth: true, client_auth: false }
    }
}

impl KeyPurposes {
    /// What RFC 4945 itself accepts.
    pub const RFC_4945: Self = Self { server_auth: false, client_auth: false };

    fn accepted(self) -> impl Iterator<Item = oid::Known> {
        [
            (oid::IPSEC_IKE, true),
            (oid::IKE_INTERMEDIATE, true),
            (oid::ANY_EXTENDED_KEY_USAGE, true),
            (oid::SERVER_AUTH, self.server_auth),
            (oid::CLIENT_AUTH, self.client_auth),
        ]
        .into_iter()
        .filter_map(|(purpose, accepted)| accepted.then_some(purpose))
    }

    fn check(self, certificate: &Certificate) -> Result<(), Cause> {
        let Some(found) = &certificate.extensions.extended_key_usage else { return Ok(()) };
        if self.accepted().any(|purpose| found.iter().any(|oid| oid.is(purpose))) {
            return Ok(());
        }
        let names = |oids: Vec<Oid>| oids.iter().map(Oid::to_string).collect::<Vec<_>>().join(", ");
        Err(Cause::KeyPurpose {
            found: names(found.clone()),
            accepted: names(self.accepted().map(Oid::from).collect()),
        })
    }
}

/// The end entity: everything that can be said without knowing its issuer.
pub(super) fn end_entity(request: &Request<'_>, pinned: bool) -> Result<(), Cause> {
    let certificate = request.end_entity;
    known_critical(certificate)?;
    match dates(request, certificate) {
        Err(Cause::Expired { .. }) if request.rules.expired_end_entity => {}
        judged => judged?,
    }
    key(request.rules, certificate)?;
    let extensions = &certificate.extensions;
    let is_ca = extensions.basic_constraints.is_some_and(|constraints| constraints.ca);
    if is_ca && !pinned && !request.rules.ca_end_entity {
        return Err(Cause::EndEntityIsCa);
    }
    // RFC 4945 §5.1.3.2: with keyUsage, digitalSignature or nonRepudiation must be set for use with IKE.
    if extensions.key_usage.is_some_and(|usage| !usage.digital_signature() && !usage.content_commitment()) {
        return Err(Cause::NoDigitalSignature);
    }
    request.rules.purposes.check(certificate)
}

/// An issuer whose signature below has been verified: may it issue, now, for IKE?
pub(super) fn issuer(request: &Request<'_>, certificate: &Certificate, anchor: bool) -> Result<(), Cause> {
    let extensions = &certificate.extensions;
    match extensions.basic_constraints {
        Some(constraints) if constraints.ca => {}
        // An anchor is a CA because the operator says so, unless it says itself that it is none.
        None if anchor => {}
        // RFC 5280 §6.1.4 (k): basicConstraints present and cA TRUE.
        _ => return Err(Cause::NotCa),
    }
    // RFC 5280 §6.1.4 (n).
    if extensions.key_usage.is_some_and(|usage| !usage.key_cert_sign()) {
        return Err(Cause::NoCertSign);
    }
    request.rules.purposes.check(certificate)?;
    known_critical(certificate)?;
    dates(request, certificate)
}

/// The signature of `child` under the key of `issuer`, both acceptable.
pub(super) fn signature(
    request: &Request<'_>,
    child: &Certificate,
    issuer: &Certificate,
) -> Result<(), Cause> {
    let (scheme, key) = (scheme(child)?, key(request.rules, issuer)?);
    let verify = || key.verify(scheme, child.tbs(), &child.signature);
    let right = match request.known {
        Some(known) => known.holds(child, issuer, verify),
        None => verify(),
    };
    right.map_err(|_| Cause::BadSignature)
}

/// PKI-wide hint: if both key identifiers are there, they must agree (RFC 5280 §4.2.1.1).
pub(super) fn key_identifiers(child: &Certificate, issuer: &Certificate) -> Result<(), Cause> {
    match (&child.extensions.authority_key_id, &issuer.extensions.subject_key_id) {
        (Some(authority), Some(subject)) if authority != subject => Err(Cause::AuthorityKeyMismatch),
        _ => Ok(()),
    }
}

fn scheme(child: &Certificate) -> Result<SignatureScheme, Cause> {
    child.signature_scheme.clone().map_err(Cause::SignatureAlgorithm)
}

fn key<'a>(rules: &Rules, certificate: &'a Certificate) -> Result<&'a PublicKey, Cause> {
    let key = certificate.public_key.as_ref().map_err(|error| Cause::Key(error.clone()))?;
    match key.rsa_bits() {
        Some(bits) if bits < rules.min_rsa_bits => Err(Cause::RsaFloor { bits, floor: rules.min_rsa_bits }),
        _ => Ok(key),
    }
}

/// RFC 5280 §4.1.2.5: both ends of the period are part of it.
fn dates(request: &Request<'_>, certificate: &Certificate) -> Result<(), Cause> {
    let now = request.time;
    if now < certificate.not_before {
        return Err(Cause::NotYetValid { not_before: certificate.not_before, now });
    }
    if now > certificate.not_after {
        return Err(Cause::Expired { not_after: certificate.not_after, now });
    }
    Ok(())
}

/// RFC 5280 §6.1.4 (o) and §6.1.5 (e): process every critical extension, or fail.
fn known_critical(certificate: &Certificate) -> Result<(), Cause> {
    match certificate.extensions.unknown_critical.first() {
        Some(unknown) => Err(Cause::UnknownCritical(unknown.clone())),
        None => Ok(()),
    }
}
