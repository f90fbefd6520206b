//! Certificates that a peer shows by hash and URL (RFC 7296 §3.6), in either role.
//!
//! The exchange waits while whoever answers [`WantKind::Lookup`] gets them; then the claim is judged again with what was
//! found. That they are what their hashes name, how much is fetched and from where, is for the answerer to see to.

use super::call_auth::Course;
use super::called_auth;
use super::common::Common;
use super::handshake::Handshake;
use super::parts::Parts;
use super::phase::{Called, Calling, Next, Phase};
use super::proof::{self, Claim};
use crate::config::Connection;
use crate::context::{Context, Pending};
use crate::error::Failure;
use crate::want::{Answer, Lookup, Shown, WantKind};
use crate::wire::{Certificate, CertificateEncoding, HashAndUrl};

/// The called peer's certificates are being looked up.
pub(crate) struct ExpectCalledPeers {
    pub(crate) course: Course,
    reply: Parts,
    claim: Claim,
    pub(crate) pending: Pending,
}

/// The caller's certificates are being looked up.
pub(crate) struct ExpectCallers {
    pub(crate) handshake: Handshake,
    request: Parts,
    claim: Claim,
    pub(crate) pending: Pending,
}

/// What a peer shows, of the encodings that it may use: nobody makes us fetch who was not told that we do.
pub(crate) fn shown(certificates: Vec<Certificate>, config: &Connection) -> Result<Vec<Shown>, Failure> {
    let one = |certificate: Certificate| match certificate.encoding {
        CertificateEncoding::X509Signature => Some(Ok(Shown::Here(certificate.data))),
        CertificateEncoding::HashAndUrlCertificate | CertificateEncoding::HashAndUrlBundle
            if config.certificate_lookup =>
        {
            let elsewhere = HashAndUrl::of(&certificate).map(Shown::Elsewhere);
            Some(elsewhere.ok_or(Failure::Syntax("a CERT payload without hash and URL")))
        }
        _ => None,
    };
    let shown: Vec<Shown> = certificates.into_iter().filter_map(one).collect::<Result<_, Failure>>()?;
    if shown.is_empty() { Err(Failure::NoCertificate) } else { Ok(shown) }
}

/// The public key that a peer shows in place of certificates (RFC 7670 §3), or nothing where it shows neither; `None` if it
/// may not, or shows certificates. The key is the first of what it shows, as the end entity's certificate would be.
pub(crate) fn raw_key(certificates: &[Certificate], config: &Connection) -> Option<Option<Vec<u8>>> {
    let key = || certificates.first().map(|first| first.data.clone());
    is_raw_key(certificates, config).then(key)
}

/// Whether that is what it shows.
pub(crate) fn is_raw_key(certificates: &[Certificate], config: &Connection) -> bool {
    let is_key = |first: &Certificate| first.encoding == CertificateEncoding::RawPublicKey;
    config.raw_keys && certificates.first().is_none_or(is_key)
}

/// The certificates, if all of them are here.
pub(crate) fn chain(shown: Vec<Shown>) -> Result<Vec<Vec<u8>>, Vec<Shown>> {
    if shown.iter().any(|it| matches!(it, Shown::Elsewhere(_))) {
        return Err(shown);
    }
    let here = |it| match it {
        Shown::Here(der) => Some(der),
        Shown::Elsewhere(_) => None,
    };
    Ok(shown.into_iter().filter_map(here).collect())
}

/// The claim with what was found for it.
fn complete(claim: Claim, answer: Answer) -> Result<Claim, Failure> {
    let Answer::Lookup(found) = answer else { return Err(Failure::AnswerMismatch("certificate lookup")) };
    let here = |data| Certificate { encoding: CertificateEncoding::X509Signature, data };
    let certificates = found.map_err(Failure::CertificateRefused)?.into_iter().map(here).collect();
    Ok(Claim { certificates, ..claim })
}

impl ExpectCalledPeers {
    pub(crate) fn begin(
        ctx: &mut Context<'_>,
        common: &Common,
        (course, reply): (Course, Parts),
        (lookup, claim): (Lookup, Claim),
    ) -> Phase {
        let pending = ctx.ask(common.id, WantKind::Lookup(lookup));
        Phase::Calling(Calling::Lookup(Box::new(Self { course, reply, claim, pending })))
    }

    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let Self { course, reply, claim, .. } = self;
        match complete(claim, answer) {
            Ok(claim) => course.judge(ctx, common, reply, claim),
            Err(failure) => Err(course.abandon(ctx, common, failure)),
        }
    }
}

impl ExpectCallers {
    pub(crate) fn begin(
        ctx: &mut Context<'_>,
        common: &Common,
        (handshake, request): (Handshake, Parts),
        (lookup, claim): (Lookup, Claim),
    ) -> Phase {
        let pending = ctx.ask(common.id, WantKind::Lookup(lookup));
        Phase::Called(Called::Lookup(Box::new(Self { handshake, request, claim, pending })))
    }

    pub(crate) fn answer(self, ctx: &mut Context<'_>, common: &mut Common, answer: Answer) -> Next {
        let Self { handshake, request, claim, .. } = self;
        let connection = (common.connection, &*common.config.clone());
        let judged = complete(claim, answer).and_then(|claim| proof::judge(&handshake, connection, claim));
        match judged {
            Ok(judged) => called_auth::go_on(ctx, common, handshake, request, judged),
            Err(failure) => Err(called_auth::refuse(ctx, common, handshake, failure)),
        }
    }
}
