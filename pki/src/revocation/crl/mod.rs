//! Certificate revocation lists (RFC 5280 §5): read, verified once under the key of the authority, and then asked.
//!
//! [`Unverified`] is a CRL as it was fetched: it says whose it claims to be and nothing else. [`Unverified::verify`]
//! makes a [`Crl`] of it, which holds nothing but what it takes to answer: the entries, packed, its dates and its scope.
//! Complete CRLs signed with the key that signed the certificate, or another of the same CA above it in the path, are
//! accepted, entire or by distribution point. Delta CRLs and indirect CRLs are refused by name. One without nextUpdate is
//! taken at its word and stays fresh. Loading a CRL of a million entries takes a good part of a second: not for the
//! control loop's own thread.

mod entries;
mod frame;
mod scope;

use std::borrow::Cow;
use std::fmt;

use entries::Entries;
use frame::Frame;
pub use scope::{OutOfScope, Scope};

use super::{Issued, KeyId, Moment, Revoked, Silent, Statement, Status};
use crate::der::DerError;
use crate::key::{KeyError, UnsupportedAlgorithm};
use crate::oid::Oid;
use crate::pem::{self, PemError};
use crate::time::UnixTime;
use crate::x509::{Certificate, Name};

/// Largest CRL accepted, in octets of DER: five million entries of the usual size.
pub const MAX_CRL: usize = 256 << 20;

/// Why octets are not a CRL that can be used. The fault of the authority or of whoever stands between it and us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// More octets than [`MAX_CRL`].
    #[error("{0} octets are more than the {MAX_CRL} a CRL may have")]
    TooLarge(usize),
    /// A text that is not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// PEM without a CRL in it.
    #[error("there is no 'X509 CRL' block in the text")]
    NoCrl,
    /// The encoding is broken somewhere.
    #[error("{field}: {error}")]
    Der {
        /// Where.
        field: &'static str,
        /// How.
        error: DerError,
    },
    /// A rule of RFC 5280 §5.1 is broken.
    #[error("{0}")]
    Profile(&'static str),
    /// An extension occurs twice.
    #[error("the extension {0} occurs twice")]
    DuplicateExtension(Oid),
    /// A critical extension nobody here processes.
    #[error("the critical extension {kind} of {place} is not supported")]
    UnknownCritical {
        /// Whose extension.
        place: &'static str,
        /// Which.
        kind: Oid,
    },
    /// It lists changes to another CRL only (deltaCRLIndicator).
    #[error("it is a delta CRL, which is not supported: configure the address of the complete CRL")]
    Delta,
    /// It lists certificates of other issuers than its own.
    #[error("it is an indirect CRL, which is not supported: configure the address of the CA's own CRL")]
    Indirect,
    /// Another authority issued it.
    #[error("it is a CRL of \"{found}\", not of \"{expected}\"")]
    Issuer {
        /// Who issued it.
        found: String,
        /// Who should have.
        expected: String,
    },
    /// It is signed with another key than the authority's (authorityKeyIdentifier).
    #[error("its authorityKeyIdentifier is not the subjectKeyIdentifier of the CA's certificate")]
    AuthorityKey,
    /// The authority's key must not sign CRLs.
    #[error("the keyUsage of the CA's certificate does not permit signing CRLs")]
    NoCrlSign,
    /// It is signed in a way that is not accepted.
    #[error("it is signed with an unacceptable algorithm: {0}")]
    SignatureAlgorithm(UnsupportedAlgorithm),
    /// The authority's key is not one to verify with.
    #[error("the key of the CA is not acceptable: {0}")]
    Key(KeyError),
    /// The signature is wrong.
    #[error("its signature does not verify under the key of the CA")]
    BadSignature,
    /// Its time has not come.
    #[error("it is not valid before {this_update}; now is {now}")]
    NotYetValid {
        /// thisUpdate.
        this_update: UnixTime,
        /// The instant of the check.
        now: UnixTime,
    },
    /// Its time is over.
    #[error("it should have been replaced by {next_update}; now is {now}")]
    Expired {
        /// nextUpdate.
        next_update: UnixTime,
        /// The instant of the check.
        now: UnixTime,
    },
}

/// Why a CRL does not take the place of the one we have (what an attacker who repeats an old one would like).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not newer than the CRL in use: thisUpdate {found}, in use {held}")]
pub struct NotNewer {
    /// Its thisUpdate.
    pub found: UnixTime,
    /// That of the one in use.
    pub held: UnixTime,
}

/// A CRL that nobody has vouched for yet.
#[derive(Clone, Debug)]
pub struct Unverified<'a>(Frame<'a>);

/// A CRL whose signature is the authority's.
pub struct Crl {
    issuer: Name,
    key: KeyId,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
    number: Option<Vec<u8>>,
    scope: Scope,
    entries: Entries,
}

/// The DER of a CRL that may have come as PEM.
pub fn der_of(octets: &[u8]) -> Result<Cow<'_, [u8]>, CrlError> {
    // DER begins with a SEQUENCE; searching 50 MB of it for a PEM boundary would take longer than reading it.
    if octets.first() == Some(&crate::der::tag::SEQUENCE) {
        return Ok(Cow::Borrowed(octets));
    }
    let mut blocks = pem::blocks(octets)?.into_iter();
    let block = blocks.find(|block| block.label == "X509 CRL").ok_or(CrlError::NoCrl)?;
    Ok(Cow::Owned(block.der.to_vec()))
}

impl<'a> Unverified<'a> {
    /// Reads the frame of a CRL; its entries are looked at only after its signature has been.
    pub fn from_der(der: &'a [u8]) -> Result<Self, CrlError> {
        if der.len() > MAX_CRL {
            return Err(CrlError::TooLarge(der.len()));
        }
        frame::parse(der).map(Self)
    }

    /// Whose it claims to be.
    pub const fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// Verifies it under the key of a CA whose certificate is believed, at a moment within its dates.
    pub fn verify(&self, authority: &Certificate, moment: impl Into<Moment>) -> Result<Crl, CrlError> {
        self.fits(authority)?;
        self.signed_by(authority)?;
        self.in_time(moment.into())?;
        let (list, octets) = &self.0.entries;
        let entries = Entries::build(list.clone(), *octets, self.0.second_version)?;
        let frame = &self.0;
        Ok(Crl {
            issuer: frame.issuer.clone(),
            key: KeyId::of(authority),
            this_update: frame.this_update,
            next_update: frame.next_update,
            number: frame.extensions.number.clone(),
            scope: frame.extensions.scope.clone(),
            entries,
        })
    }

    fn fits(&self, authority: &Certificate) -> Result<(), CrlError> {
        if self.0.issuer != authority.subject {
            let (found, expected) = (self.0.issuer.to_string(), authority.subject.to_string());
            return Err(CrlError::Issuer { found, expected });
        }
        // RFC 5280 §6.3.3 (f): if keyUsage is present, the cRLSign bit must be set.
        if authority.extensions.key_usage.is_some_and(|usage| !usage.crl_sign()) {
            return Err(CrlError::NoCrlSign);
        }
        match (&self.0.extensions.authority_key_id, &authority.extensions.subject_key_id) {
            (Some(named), Some(own)) if named != own => Err(CrlError::AuthorityKey),
            _ => Ok(()),
        }
    }

    fn signed_by(&self, authority: &Certificate) -> Result<(), CrlError> {
        let scheme = self.0.signature_scheme.clone().map_err(CrlError::SignatureAlgorithm)?;
        let key = authority.public_key.as_ref().map_err(|error| CrlError::Key(error.clone()))?;
        key.verify(scheme, self.0.tbs, self.0.signature).map_err(|_| CrlError::BadSignature)
    }

    fn in_time(&self, moment: Moment) -> Result<(), CrlError> {
        let (this_update, now) = (self.0.this_update, moment.now);
        if moment.is_before(this_update) {
            return Err(CrlError::NotYetValid { this_update, now });
        }
        match self.0.next_update {
            Some(next_update) if next_update < now => Err(CrlError::Expired { next_update, now }),
            _ => Ok(()),
        }
    }
}

impl Crl {
    /// What it says of a certificate, at a moment. It may be out of date by `max_stale` seconds.
    ///
    /// A revocation does not lapse: a certificate that a CRL lists is revoked however old the CRL has grown, unless it
    /// was only put on hold.
    pub fn ask(
        &self,
        issued: &Issued,
        moment: impl Into<Moment>,
        max_stale: u64,
    ) -> Result<Statement, Silent> {
        let moment = moment.into();
        let mut keys = issued.authorities().map(|authority| KeyId::of(authority));
        if issued.certificate.issuer != self.issuer || !keys.any(|key| key == self.key) {
            return Err(Silent::Issuer);
        }
        let found = self.entries.find(&issued.certificate.serial);
        self.scope.covers(issued, found.is_some())?;
        let status = found.map_or(Status::Good, Status::Revoked);
        Statement::made(status, self.this_update, self.next_update, moment, max_stale)
    }

    /// Whether it may take the place of `held`: only a newer one may.
    pub fn supersedes(&self, held: &Self) -> Result<(), NotNewer> {
        if self.age() > held.age() {
            return Ok(());
        }
        Err(NotNewer { found: self.this_update, held: held.this_update })
    }

    /// In the order of age: a longer cRLNumber is a larger one, and none is smaller than any.
    fn age(&self) -> (UnixTime, Option<(usize, &[u8])>) {
        (self.this_update, self.number.as_deref().map(|number| (number.len(), number)))
    }

    /// Whether two CRLs are of one authority, key and scope, so that the newer makes the older needless.
    pub fn same_list(&self, other: &Self) -> bool {
        self.key == other.key && self.issuer == other.issuer && self.scope == other.scope
    }

    /// Of the certificates of this CRL's authority, by serial number, those it lists. Whoever is sought is within its
    /// scope if it is listed: an authority gives no serial number twice.
    pub fn sweep<'a, T>(
        &'a self,
        certificates: impl IntoIterator<Item = (T, KeyId, &'a [u8])> + 'a,
    ) -> impl Iterator<Item = (T, Revoked)> + 'a {
        let own = certificates.into_iter().filter(|(_, key, _)| *key == self.key);
        own.filter_map(|(whose, _, serial)| Some((whose, self.entries.find(serial)?)))
    }

    /// Whose it is.
    pub const fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// With which key it is signed.
    pub const fn key(&self) -> KeyId {
        self.key
    }

    /// When it was made.
    pub const fn this_update(&self) -> UnixTime {
        self.this_update
    }

    /// By when there will be another; some authorities do not say.
    pub const fn next_update(&self) -> Option<UnixTime> {
        self.next_update
    }

    /// How many certificates it lists.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it lists none.
    pub const fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Octets of memory its entries take.
    pub const fn octets(&self) -> usize {
        self.entries.octets()
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl(\"{}\", {}, {} entries)", self.issuer, self.this_update, self.len())
    }
}
