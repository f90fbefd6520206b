//! Revocation: whether a certificate that chains to an anchor has been withdrawn since (RFC 5280 §5 and §6.3, RFC 6960).
//!
//! Room by room: [`crl`] and [`ocsp`] turn octets into verified answers, once; [`cache`] keeps them and knows what is
//! due; [`policy`] asks them in the operator's order and decides, or says what to fetch. All of it is pure: octets,
//! randomness and the time come in as arguments, addresses to fetch and decisions go out as values. Fetching, and from
//! where one may fetch, is left to the caller.
//!
//! There is no way to a wrong "good": only a verified [`crl::Crl`] or [`ocsp::Answer`] can be asked, it checks its own
//! dates and scope at each question, and what it cannot say is an error that says why.

pub mod cache;
pub mod crl;
pub mod ocsp;
pub mod policy;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::path::VerifiedPath;
use crate::time::UnixTime;
use crate::x509::Certificate;

/// How far other clocks may be ahead of ours, in seconds.
pub const CLOCK_SKEW: i64 = 300;

/// What time it is, and how far the clocks of authorities may be ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The current time.
    pub now: UnixTime,
    /// Seconds by which something may seem to come from the future.
    pub skew: i64,
}

impl From<UnixTime> for Moment {
    fn from(now: UnixTime) -> Self {
        Self { now, skew: CLOCK_SKEW }
    }
}

impl Moment {
    /// Whether an instant lies further ahead than clocks may differ.
    pub(crate) const fn is_before(self, instant: UnixTime) -> bool {
        instant.0 > self.now.0.saturating_add(self.skew)
    }

    /// Seconds since an instant; 0 for one ahead.
    pub(crate) fn since(self, instant: UnixTime) -> u64 {
        u64::try_from(self.now.0.saturating_sub(instant.0)).unwrap_or(0)
    }
}

/// A certificate with the CA that issued it, as a verified path has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate asked about.
    pub certificate: Arc<Certificate>,
    /// Whose key signed it.
    pub issuer: Arc<Certificate>,
    /// The same CA under other keys, further up the same path: a CA that changes its key may sign its CRLs with either.
    other_keys: Vec<Arc<Certificate>>,
}

impl Issued {
    /// A certificate and its issuer's.
    pub const fn new(certificate: Arc<Certificate>, issuer: Arc<Certificate>) -> Self {
        Self { certificate, issuer, other_keys: Vec::new() }
    }

    /// The certificates of a path that an authority vouches for, the end entity's first. A pinned certificate is none
    /// of them: nobody above it is believed.
    pub fn along(path: &VerifiedPath) -> Vec<Self> {
        let chain = path.certificates();
        if chain.first() == Some(path.anchor()) {
            return Vec::new();
        }
        let pairs = chain.iter().zip((1..).map(|above| chain.iter().skip(above).chain([path.anchor()])));
        let issued = pairs.filter_map(|(certificate, mut above)| {
            let issuer = above.next()?;
            // Only from above: a key is not asked whether it is revoked itself.
            let other_keys = above.filter(|other| other.subject == issuer.subject).cloned().collect();
            Some(Self { certificate: certificate.clone(), issuer: issuer.clone(), other_keys })
        });
        issued.collect()
    }

    /// The certificates of the CA whose keys may sign its CRLs, the one that signed the certificate first.
    pub fn authorities(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        std::iter::once(&self.issuer).chain(&self.other_keys)
    }

    /// Whether the certificate is a CA's (RFC 5280 §4.2.1.9).
    pub fn is_authority(&self) -> bool {
        self.certificate.extensions.basic_constraints.is_some_and(|constraints| constraints.ca)
    }
}

/// SHA-256 of a SubjectPublicKeyInfo: names the key of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// The key of a certificate.
    pub fn of(certificate: &Certificate) -> Self {
        let mut octets = [0; 32];
        octets.iter_mut().zip(digest(&SHA256, &certificate.spki).as_ref()).for_each(|(to, from)| *to = *from);
        Self(octets)
    }
}

/// What an authority says of one of its certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It is.
    Revoked(Revoked),
}

/// Since when and why a certificate is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// revocationDate.
    pub at: UnixTime,
    /// reasonCode.
    pub reason: Reason,
}

/// CRLReason (RFC 5280 §5.3.1). removeFromCRL is for delta CRLs, which are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No reason, or one this crate does not know.
    Unspecified,
    /// The private key is known to others.
    KeyCompromise,
    /// The CA's private key is known to others.
    CaCompromise,
    /// The subject's name or affiliation is another now.
    AffiliationChanged,
    /// Another certificate is in its place.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// It is suspended, and may come back.
    CertificateHold,
    /// The subject has lost a privilege.
    PrivilegeWithdrawn,
    /// The attribute authority's key is known to others.
    AaCompromise,
}

impl Reason {
    const ALL: [(u8, Self, &'static str); 9] = [
        (0, Self::Unspecified, "unspecified"),
        (1, Self::KeyCompromise, "keyCompromise"),
        (2, Self::CaCompromise, "cACompromise"),
        (3, Self::AffiliationChanged, "affiliationChanged"),
        (4, Self::Superseded, "superseded"),
        (5, Self::CessationOfOperation, "cessationOfOperation"),
        (6, Self::CertificateHold, "certificateHold"),
        (9, Self::PrivilegeWithdrawn, "privilegeWithdrawn"),
        (10, Self::AaCompromise, "aACompromise"),
    ];

    /// The reason with this number. One that is none revokes all the same.
    pub(crate) fn from_code(code: u8) -> Self {
        Self::ALL
            .iter()
            .find(|(number, ..)| *number == code)
            .map_or(Self::Unspecified, |(_, reason, _)| *reason)
    }

    /// Its number.
    pub(crate) fn code(self) -> u8 {
        Self::ALL.iter().find(|(_, reason, _)| *reason == self).map_or(0, |(number, ..)| *number)
    }

    /// Whether a certificate revoked for it stays revoked for good.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::CertificateHold)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            Self::ALL.iter().find(|(_, reason, _)| reason == self).map_or("unspecified", |(.., name)| name),
        )
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked at {} ({})", self.at, self.reason)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Revoked(revoked) => revoked.fmt(f),
        }
    }
}

/// What a verified list or answer says of a certificate, and how much that is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it says.
    pub status: Status,
    /// thisUpdate.
    pub this_update: UnixTime,
    /// Seconds past nextUpdate; 0 while it is fresh.
    pub stale: u64,
    /// Whether the peer brought it itself (RFC 4806), and nobody was asked.
    pub stapled: bool,
}

/// Why a verified list or answer says nothing of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silent {
    /// It is of another authority, another key of it, or of another certificate.
    #[error("it is about another certificate, or of another issuer or key")]
    Issuer,
    /// It is not about such certificates.
    #[error(transparent)]
    Scope(#[from] crl::OutOfScope),
    /// Our clock has gone back behind it.
    #[error("it is not valid before {0}")]
    NotYetValid(UnixTime),
    /// It should have been replaced longer ago than it may be used.
    #[error("it is out of date by {0} s")]
    Stale(u64),
}

impl Statement {
    /// What was said at `this_update` and until `end`, if at this moment it still counts: within its dates, or out of
    /// date by no more than `max_stale` seconds. A revocation does not lapse, unless it was only put on hold.
    fn made(
        status: Status,
        this_update: UnixTime,
        end: Option<UnixTime>,
        moment: Moment,
        max_stale: u64,
    ) -> Result<Self, Silent> {
        let stale = end.map_or(0, |end| moment.since(end));
        let for_good = matches!(status, Status::Revoked(revoked) if revoked.reason.is_final());
        if moment.is_before(this_update) {
            Err(Silent::NotYetValid(this_update))
        } else if stale > max_stale && !for_good {
            Err(Silent::Stale(stale))
        } else {
            Ok(Self { status, this_update, stale, stapled: false })
        }
    }
}
