//! What is finally known about a peer's certificate: the path, the identity, and what was not checked.
//!
//! A [`Verdict`] cannot be had without a [`VerifiedPath`], and it says in its type what it does not rest on: no
//! field is optional in silence. [`reach`] goes from the octets of a peer's CERT payloads to the verdict in one
//! step; what is known about revocation is added by [`Verdict::with_revocation`], since it may have to be fetched first.

use std::fmt;
use std::sync::Arc;

use crate::identity::{Identity, Match, Mismatch};
use crate::path::{self, Budget, KnownSignatures, PathError, Request, Rules, VerifiedPath};
use crate::revocation::policy::{Conclusion, Decision, Finding, Lack};
use crate::store::{Anchors, Intermediates};
use crate::time::UnixTime;
use crate::x509::{Certificate, CertificateError};

/// Certificates read from one peer. A path has seven; cross-certificates may double that.
pub const MAX_PRESENTED: usize = 16;

/// A believed certificate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// The proof that it chains to an anchor.
    pub path: VerifiedPath,
    /// What the identity check says.
    pub identity: IdentityCheck,
    /// What is known about revocation.
    pub revocation: Revocation,
    /// How many presented certificates could not be read and were passed over.
    pub unreadable: usize,
    /// What an operator excepted from the rules for it, one line each.
    pub exceptions: Vec<String>,
}

/// Whether the peer is who its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityCheck {
    /// The identity it claimed is in the certificate.
    Matches(Match),
    /// The operator turned the comparison off for this connection: any certificate below the anchors may claim any
    /// identity.
    NotCompared,
}

/// What is known about the revocation of the certificates of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// Nothing: a revoked certificate would have passed.
    NotChecked {
        /// Why it was not.
        why: NotChecked,
    },
    /// It was asked about each certificate of the path by the operator's rules, and none is refused.
    Checked(Decision),
}

/// Why revocation was not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotChecked {
    /// [`reach`] consults neither CRLs nor OCSP: [`crate::revocation`] does, for those who fetch for it.
    NotYet,
    /// An operator has excepted it: nobody is to be asked.
    Excepted,
}

/// Why a peer's certificate is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It presented none.
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// It presented more than [`MAX_PRESENTED`].
    #[error("the peer presented {0} certificates; {MAX_PRESENTED} are accepted")]
    TooMany(usize),
    /// The first one, its own, is not a certificate.
    #[error("the peer's certificate cannot be read: {0}")]
    Unreadable(CertificateError),
    /// It does not chain to an anchor.
    #[error(transparent)]
    Path(Box<PathError>),
    /// It does not carry the identity the peer claims.
    #[error(transparent)]
    Identity(Mismatch),
    /// A certificate of the path is revoked, or nobody said that it is not where the rules want it said.
    #[error("{0}")]
    Revocation(Box<Finding>),
}

/// All that [`reach`] needs besides the peer's octets.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// Whom to believe.
    pub anchors: &'a Anchors,
    /// What else we hold.
    pub intermediates: &'a Intermediates,
    /// What is acceptable.
    pub rules: &'a Rules,
    /// How much work may be done.
    pub budget: Budget,
    /// The current time.
    pub time: UnixTime,
    /// Signatures on certificates that need not be verified again; those found right are added.
    pub known: Option<&'a KnownSignatures>,
    /// Whether the claimed identity must be in the certificate. Turning it off makes every holder of a certificate
    /// below the anchors able to pose as any other.
    pub match_identity: bool,
}

/// From the contents of CERT payloads (encoding 4; the end entity's first) and a claimed identity to a verdict.
pub fn reach(
    presented: &[impl AsRef<[u8]>],
    claimed: &Identity,
    basis: &Basis<'_>,
) -> Result<Verdict, Refusal> {
    let (first, others) = presented.split_first().ok_or(Refusal::NoCertificate)?;
    if presented.len() > MAX_PRESENTED {
        return Err(Refusal::TooMany(presented.len()));
    }
    let end_entity = Certificate::from_der(first.as_ref()).map(Arc::new).map_err(Refusal::Unreadable)?;
    let readable: Vec<Arc<Certificate>> =
        others.iter().filter_map(|der| Certificate::from_der(der.as_ref()).ok()).map(Arc::new).collect();
    let request = Request {
        end_entity: &end_entity,
        presented: &readable,
        intermediates: basis.intermediates,
        anchors: basis.anchors,
        time: basis.time,
        rules: basis.rules,
        budget: basis.budget,
        known: basis.known,
    };
    let path = path::validate(&request).map_err(|error| Refusal::Path(Box::new(error)))?;
    let identity = if basis.match_identity {
        IdentityCheck::Matches(claimed.matches(&end_entity).map_err(Refusal::Identity)?)
    } else {
        IdentityCheck::NotCompared
    };
    let unreadable = others.len().saturating_sub(readable.len());
    let (revocation, exceptions) = (Revocation::NotChecked { why: NotChecked::NotYet }, Vec::new());
    Ok(Verdict { path, identity, revocation, unreadable, exceptions })
}

impl Verdict {
    /// The verdict with what was decided about the revocation of its path.
    ///
    /// # Errors
    /// The certificate that is refused, with everybody who was asked about it.
    pub fn with_revocation(self, decision: Decision) -> Result<Self, Refusal> {
        match decision.refused() {
            Some(refused) => Err(Refusal::Revocation(Box::new(refused.clone()))),
            None => Ok(Self { revocation: Revocation::Checked(decision), ..self }),
        }
    }

    /// Whether nobody is to be asked about revocation.
    pub fn is_unasked(&self) -> bool {
        matches!(self.revocation, Revocation::NotChecked { why: NotChecked::Excepted })
    }

    /// What the verdict does not rest on, one line each, for the operator.
    pub fn not_checked(&self) -> Vec<String> {
        let identity = match self.identity {
            IdentityCheck::Matches(_) => None,
            IdentityCheck::NotCompared => {
                Some("identity: not compared with the certificate, by configuration".to_owned())
            }
        };
        let revocation = match &self.revocation {
            Revocation::NotChecked { why } => vec![format!("revocation: not checked, {why}")],
            Revocation::Checked(decision) => {
                decision.unanswered().map(|finding| format!("revocation: {finding}")).collect()
            }
        };
        revocation.into_iter().chain(identity).collect()
    }
}

impl Refusal {
    /// A short stable word for counters and scripts.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::TooMany(_) => "too-many-certificates",
            Self::Unreadable(_) => "unreadable-certificate",
            Self::Path(error) => error.cause.code(),
            Self::Identity(_) => "identity-mismatch",
            Self::Revocation(finding) => match finding.conclusion {
                Conclusion::Refused(Lack::NoAnswer) => "revocation-unknown",
                Conclusion::Refused(Lack::NoCrl) => "no-crl",
                _ => "revoked",
            },
        }
    }

    /// What the search for a path tried, if it came to that.
    pub const fn explanation(&self) -> Option<&path::Explanation> {
        match self {
            Self::Path(error) => Some(&error.explanation),
            _ => None,
        }
    }
}

impl fmt::Display for NotChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet => f.write_str("neither CRLs nor OCSP were consulted"),
            Self::Excepted => f.write_str("excepted by the operator"),
        }
    }
}
