//! OCSP (RFC 6960, in the profile of RFC 5019): asking a responder about one certificate, and believing its answer.
//!
//! A [`Question`] is made of a certificate and its issuer, both of a verified path. It gives the octets to send
//! ([`Question::to_der`], and [`carriage`] for the way to send them), and it alone can make an [`Answer`] of what comes
//! back: of this certificate, signed by the CA or by a responder the CA itself has named, within its dates, with our
//! nonce. Whatever else comes back is an error by name, "unknown" among them: that is no answer. Randomness for the
//! nonce comes from the caller, and so do the octets; requests are not signed.

mod request;
mod response;
mod signer;

use std::sync::Arc;

pub use request::{Carriage, Nonce, REQUEST_TYPE, carriage};
use response::{Response, Single};
pub use signer::Unfit;

use super::{Issued, KeyId, Moment, Silent, Statement, Status};
use crate::der::DerError;
use crate::key::{KeyError, UnsupportedAlgorithm};
use crate::oid::Oid;
use crate::time::UnixTime;
use crate::x509::Certificate;

/// Largest response accepted, in octets. With a certificate or two they have two thousand.
pub const MAX_RESPONSE: usize = 128 << 10;

/// Why a response is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// More octets than [`MAX_RESPONSE`].
    #[error("{0} octets are more than the {MAX_RESPONSE} an OCSP response may have")]
    TooLarge(usize),
    /// The encoding is broken somewhere.
    #[error("{field}: {error}")]
    Der {
        /// Where.
        field: &'static str,
        /// How.
        error: DerError,
    },
    /// A rule of RFC 6960 is broken.
    #[error("{0}")]
    Profile(&'static str),
    /// malformedRequest: to the responder, our request is none.
    #[error("the responder says that our request is malformed")]
    MalformedRequest,
    /// internalError.
    #[error("the responder has an internal error")]
    InternalError,
    /// tryLater.
    #[error("the responder asks to try later")]
    TryLater,
    /// sigRequired.
    #[error("the responder wants signed requests, which are not supported: configure another, or use CRLs")]
    SignatureRequired,
    /// unauthorized: it answers others, or has no answer for this certificate (RFC 5019 §2.2.3).
    #[error("the responder is not authorized to answer this request, or does not answer us")]
    Unauthorized,
    /// A responseStatus that does not exist.
    #[error("the responder answers with the unknown status {0}")]
    UnknownStatus(u32),
    /// The response is of another type than id-pkix-ocsp-basic.
    #[error("the response is of type {0}, which is not supported")]
    Type(Oid),
    /// A critical extension nobody here processes.
    #[error("the critical extension {0} of the response is not supported")]
    UnknownCritical(Oid),
    /// No part of it is about the certificate.
    #[error("the response is not about the certificate that was asked about")]
    OtherCertificate,
    /// The responder does not know the certificate.
    #[error("the responder does not know the certificate")]
    Unknown,
    /// We sent a nonce and the response has none.
    #[error("the response lacks our nonce: it may be an old one (a lenient nonce rule accepts it)")]
    NonceMissing,
    /// The response has another nonce than ours.
    #[error("the response has another nonce than our request: it is not the answer to it")]
    NonceMismatch,
    /// The issuer's key is not one to verify with.
    #[error("the key of the CA is not acceptable: {0}")]
    Key(KeyError),
    /// It is signed in a way that is not accepted.
    #[error("it is signed with an unacceptable algorithm: {0}")]
    SignatureAlgorithm(UnsupportedAlgorithm),
    /// Neither the CA nor a responder it has named is who the response says signed it.
    #[error(
        "it is signed by {0}, which is neither the CA nor a responder whose certificate is in the response"
    )]
    NoSigner(String),
    /// The certificate of its signer is not good enough.
    #[error("the responder's certificate \"{responder}\" is not acceptable: {why}")]
    Signer {
        /// Its subject.
        responder: String,
        /// Why.
        why: Unfit,
    },
    /// The signature is wrong.
    #[error("its signature does not verify")]
    BadSignature,
    /// Its time has not come.
    #[error("it is not valid before {instant}; now is {now}")]
    NotYetValid {
        /// thisUpdate or producedAt.
        instant: UnixTime,
        /// The instant of the check.
        now: UnixTime,
    },
    /// Its time is over.
    #[error("it was valid until {until}; now is {now}")]
    Expired {
        /// Last instant at which it may be used.
        until: UnixTime,
        /// The instant of the check.
        now: UnixTime,
    },
}

impl OcspError {
    /// Whether it is the responder that fails, whichever certificate it is asked about: then to ask again soon is vain.
    pub const fn is_outage(&self) -> bool {
        !matches!(
            self,
            Self::Unknown | Self::OtherCertificate | Self::Unauthorized | Self::NonceMismatch | Self::Key(_)
        )
    }
}

/// With which hash a certificate's issuer is named (RFC 6960 §4.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdHash {
    /// SHA-1, which RFC 5019 §2.1.1 asks for; nothing rests on its strength.
    #[default]
    Sha1,
    /// SHA-256 (RFC 9654 and newer responders).
    Sha256,
}

/// What a response must be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseRules {
    /// What becomes of a response without a nonce where we sent one.
    pub nonce: NonceRule,
    /// Believe a responder whose certificate lacks id-pkix-ocsp-nocheck. Nobody checks whether it is revoked.
    pub unchecked_responders: bool,
}

/// What becomes of a response without a nonce where we sent one. Another nonce than ours is always refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonceRule {
    /// It is refused.
    #[default]
    Strict,
    /// It is accepted for as long as its dates say: many responders answer from answers made before.
    Lenient,
}

/// A question about one certificate.
#[derive(Clone, Debug)]
pub struct Question {
    issued: Issued,
    hash: IdHash,
    nonce: Option<Nonce>,
}

/// A verified answer about one certificate.
#[derive(Clone, Debug)]
pub struct Answer {
    key: KeyId,
    serial: Vec<u8>,
    status: Status,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
    signer: Signer,
    /// OCSPResponse, to be shown to others.
    der: Arc<[u8]>,
    stapled: bool,
}

/// Who signed an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The CA itself.
    Authority,
    /// A responder the CA has issued a certificate for OCSPSigning (RFC 6960 §4.2.2.2).
    Delegate(Arc<Certificate>),
}

impl Question {
    /// A question; the nonce, if any, must be random.
    pub const fn new(issued: Issued, hash: IdHash, nonce: Option<Nonce>) -> Self {
        Self { issued, hash, nonce }
    }

    /// What it is about.
    pub const fn issued(&self) -> &Issued {
        &self.issued
    }

    /// Believes a response, or says why not.
    pub fn judge(
        &self,
        der: &[u8],
        rules: ResponseRules,
        moment: impl Into<Moment>,
    ) -> Result<Answer, OcspError> {
        let moment = moment.into();
        let response = response::parse(der)?;
        self.check_nonce(&response, rules.nonce)?;
        let single = self.own_part(&response)?;
        let signer = signer::find(&response, &self.issued.issuer, rules, moment)?;
        in_time(&response, single, moment)?;
        let answer = Answer {
            key: KeyId::of(&self.issued.issuer),
            serial: self.issued.certificate.serial.clone(),
            // RFC 6960 §2.2: "unknown" means that the responder does not know about the certificate.
            status: single.status.ok_or(OcspError::Unknown)?,
            this_update: single.this_update,
            next_update: single.next_update,
            signer,
            der: der.into(),
            stapled: false,
        };
        Ok(answer)
    }

    fn check_nonce(&self, response: &Response<'_>, rule: NonceRule) -> Result<(), OcspError> {
        match (&self.nonce, response.nonce) {
            (Some(sent), Some(found)) if sent.octets() != found => Err(OcspError::NonceMismatch),
            (Some(_), None) if rule == NonceRule::Strict => Err(OcspError::NonceMissing),
            _ => Ok(()),
        }
    }

    /// The part about our certificate; a responder may add others.
    fn own_part<'a>(&self, response: &'a Response<'_>) -> Result<&'a Single, OcspError> {
        let mut names = Vec::new();
        for hash in [IdHash::Sha1, IdHash::Sha256] {
            names.push(request::certificate_id(&self.issued, hash)?);
        }
        let own = response.singles.iter().find(|single| names.contains(&single.id));
        own.ok_or(OcspError::OtherCertificate)
    }
}

/// Last instant at which a statement may be used. Without nextUpdate newer information is there at any time (RFC 6960
/// §4.2.2.1), so that it is good at the moment it was made, give or take the clocks.
fn end(this_update: UnixTime, next_update: Option<UnixTime>, moment: Moment) -> UnixTime {
    next_update.unwrap_or(UnixTime(this_update.0.saturating_add(moment.skew)))
}

fn in_time(response: &Response<'_>, single: &Single, moment: Moment) -> Result<(), OcspError> {
    let now = moment.now;
    if let Some(instant) =
        [single.this_update, response.produced_at].into_iter().find(|instant| moment.is_before(*instant))
    {
        return Err(OcspError::NotYetValid { instant, now });
    }
    let until = end(single.this_update, single.next_update, moment);
    if until < now { Err(OcspError::Expired { until, now }) } else { Ok(()) }
}

impl Answer {
    /// What it says of a certificate, at a moment. It may be out of date by `max_stale` seconds, and says for good who
    /// is revoked for good, as [`super::crl::Crl::ask`] does.
    pub fn ask(
        &self,
        issued: &Issued,
        moment: impl Into<Moment>,
        max_stale: u64,
    ) -> Result<Statement, Silent> {
        let moment = moment.into();
        if issued.certificate.serial != self.serial || KeyId::of(&issued.issuer) != self.key {
            return Err(Silent::Issuer);
        }
        let end = end(self.this_update, self.next_update, moment);
        let said = Statement::made(self.status, self.this_update, Some(end), moment, max_stale)?;
        Ok(Statement { stapled: self.stapled, ..said })
    }

    /// The same, brought by the peer it is about.
    pub(super) fn brought(self) -> Self {
        Self { stapled: true, ..self }
    }

    /// Whether the peer it is about brought it.
    pub const fn is_stapled(&self) -> bool {
        self.stapled
    }

    /// Its octets, as the responder made them.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whose certificate it is about: the key of its issuer, and its serial number.
    pub fn about(&self) -> (KeyId, &[u8]) {
        (self.key, &self.serial)
    }

    /// What it says, whether or not it is out of date.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Until when it may be used.
    pub const fn next_update(&self) -> Option<UnixTime> {
        self.next_update
    }

    /// Since when it is so.
    pub const fn this_update(&self) -> UnixTime {
        self.this_update
    }

    /// Who signed it.
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }
}
