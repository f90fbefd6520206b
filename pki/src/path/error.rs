//! Why a path was refused, ranked, and the list of everything that was tried.

use std::fmt;

use crate::key::{KeyError, UnsupportedAlgorithm};
use crate::oid::Oid;
use crate::time::UnixTime;
use crate::x509::Certificate;

/// Lines kept in an explanation; the rest is counted.
const MAX_LINES: usize = 64;

/// One reason to refuse a certificate or a path. Mostly the fault of whoever issued or configured the certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Nobody presented or configured a certificate of the issuer.
    #[error("no certificate of its issuer \"{issuer}\" was presented or is configured")]
    UnknownIssuer {
        /// The issuer's name.
        issuer: String,
    },
    /// The path ends in a self-signed certificate that is not an anchor.
    #[error("it is self-signed and not among the {anchors} configured trust anchors")]
    UntrustedRoot {
        /// How many anchors there are.
        anchors: usize,
    },
    /// The name of the issuer fits, its key does not.
    #[error("its subjectKeyIdentifier is not the authorityKeyIdentifier of the certificate below it")]
    AuthorityKeyMismatch,
    /// The path grew longer than allowed without reaching an anchor.
    #[error("no anchor is reached within {limit} certificates")]
    TooDeep {
        /// The configured limit.
        limit: usize,
    },
    /// The certificate below is signed in a way that is not accepted.
    #[error("the certificate below it is signed with an unacceptable algorithm: {0}")]
    SignatureAlgorithm(UnsupportedAlgorithm),
    /// The signature on the certificate below does not verify under this one's key.
    #[error("the signature of the certificate below it does not verify under its key")]
    BadSignature,
    /// The public key is unacceptable.
    #[error("its key is not acceptable: {0}")]
    Key(KeyError),
    /// The RSA key is shorter than the operator's floor.
    #[error("its RSA key has {bits} bits, {floor} are required")]
    RsaFloor {
        /// Bits of its modulus.
        bits: u32,
        /// Bits required.
        floor: u32,
    },
    /// It issued a certificate and is not a CA.
    #[error("it is not a CA (basicConstraints)")]
    NotCa,
    /// It issued a certificate and its key must not sign certificates.
    #[error("its keyUsage does not permit signing certificates")]
    NoCertSign,
    /// It is a CA certificate presented as a peer's.
    #[error("it is a CA certificate, which a peer may only use if it is itself configured as a trust anchor")]
    EndEntityIsCa,
    /// Its key must not sign an AUTH payload.
    #[error("its keyUsage permits neither digitalSignature nor contentCommitment (RFC 4945 section 5.1.3.2)")]
    NoDigitalSignature,
    /// Its extended key usage does not permit IKE.
    #[error("its extended key usage ({found}) does not permit IKE; accepted: {accepted}")]
    KeyPurpose {
        /// The purposes it lists.
        found: String,
        /// The purposes the rules accept.
        accepted: String,
    },
    /// It carries a critical extension nobody here processes.
    #[error("its critical extension {0} is not supported")]
    UnknownCritical(Oid),
    /// Its time has not come.
    #[error("it is not valid before {not_before}; now is {now}")]
    NotYetValid {
        /// First instant of its validity.
        not_before: UnixTime,
        /// The instant of the check.
        now: UnixTime,
    },
    /// Its time is over.
    #[error("it expired at {not_after}; now is {now}")]
    Expired {
        /// Last instant of its validity.
        not_after: UnixTime,
        /// The instant of the check.
        now: UnixTime,
    },
    /// A CA above limits how many CAs may follow.
    #[error(
        "there are more CAs below \"{constrained_by}\" than its path length constraint of {limit} allows"
    )]
    PathLength {
        /// Subject of the certificate that sets the limit.
        constrained_by: String,
        /// Its limit.
        limit: u32,
    },
    /// A name is outside what a CA above permits.
    #[error("its name {name} is outside the permitted subtrees of a CA above it")]
    NotPermitted {
        /// The name.
        name: String,
    },
    /// A name is inside what a CA above excludes.
    #[error("its name {name} is inside the excluded subtree {subtree} of a CA above it")]
    Excluded {
        /// The name.
        name: String,
        /// The subtree.
        subtree: String,
    },
    /// A CA above constrains a form of name that cannot be judged, and the certificate has such a name.
    #[error(
        "its name {name} is of a form or shape that the name constraints of a CA above it cannot be applied to"
    )]
    Unjudgeable {
        /// The name.
        name: String,
    },
    /// A policy is mapped to or from anyPolicy.
    #[error("it maps anyPolicy, which RFC 5280 section 4.2.1.5 forbids")]
    AnyPolicyMapped,
    /// An explicit policy is required and no acceptable one holds along the path.
    #[error("no acceptable certificate policy holds for the whole path down to it")]
    NoPolicy,
    /// The budget is used up.
    #[error("gave up after {limit} {what}")]
    Budget {
        /// What was counted.
        what: &'static str,
        /// How many were allowed.
        limit: u32,
    },
}

impl Cause {
    /// How much a cause tells: the further a candidate got before it was refused, the higher. Of all causes a search
    /// found, the one of the highest rank is reported, and of equals the first.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::UnknownIssuer { .. } => 0,
            Self::AuthorityKeyMismatch => 1,
            Self::TooDeep { .. } => 2,
            Self::UntrustedRoot { .. } => 3,
            Self::BadSignature => 4,
            Self::SignatureAlgorithm(_) | Self::Key(_) | Self::RsaFloor { .. } => 5,
            Self::NotCa | Self::NoCertSign => 6,
            Self::KeyPurpose { .. } | Self::UnknownCritical(_) => 7,
            Self::NotYetValid { .. } | Self::Expired { .. } => 8,
            Self::PathLength { .. } => 9,
            Self::NotPermitted { .. } | Self::Excluded { .. } | Self::Unjudgeable { .. } => 10,
            Self::AnyPolicyMapped | Self::NoPolicy => 11,
            Self::EndEntityIsCa | Self::NoDigitalSignature => 12,
            Self::Budget { .. } => 13,
        }
    }

    /// A short stable word for counters and scripts.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownIssuer { .. } => "unknown-issuer",
            Self::UntrustedRoot { .. } => "untrusted-root",
            Self::AuthorityKeyMismatch => "authority-key-mismatch",
            Self::TooDeep { .. } => "chain-too-deep",
            Self::SignatureAlgorithm(_) => "signature-algorithm",
            Self::BadSignature => "bad-signature",
            Self::Key(_) => "unacceptable-key",
            Self::RsaFloor { .. } => "rsa-key-too-short",
            Self::NotCa => "not-a-ca",
            Self::NoCertSign => "no-cert-sign",
            Self::EndEntityIsCa => "end-entity-is-ca",
            Self::NoDigitalSignature => "no-digital-signature",
            Self::KeyPurpose { .. } => "key-purpose",
            Self::UnknownCritical(_) => "unknown-critical-extension",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Expired { .. } => "expired",
            Self::PathLength { .. } => "path-length",
            Self::NotPermitted { .. } => "name-not-permitted",
            Self::Excluded { .. } => "name-excluded",
            Self::Unjudgeable { .. } => "name-unjudgeable",
            Self::AnyPolicyMapped => "any-policy-mapped",
            Self::NoPolicy => "no-acceptable-policy",
            Self::Budget { .. } => "budget-exhausted",
        }
    }
}

/// The most specific cause of a search, whom it concerns, and all that was tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("certificate {certificate}: {cause}")]
pub struct PathError {
    /// Why.
    pub cause: Cause,
    /// The certificate it concerns: subject, serial and issuer.
    pub certificate: String,
    /// Everything that was tried.
    pub explanation: Explanation,
}

/// Where a certificate came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The peer's own.
    EndEntity,
    /// Presented by the peer.
    Presented,
    /// From our store.
    Store,
    /// A trust anchor.
    Anchor,
    /// Noted before, and now part of the path under judgement.
    Path,
}

/// What became of a certificate that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It fits here.
    Fits,
    /// It was refused here.
    Refused(Cause),
}

/// One certificate tried in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How far above the end entity.
    pub depth: usize,
    /// Where it came from.
    pub source: Source,
    /// Subject, serial and issuer.
    pub certificate: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a search tried, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    lines: Vec<Line>,
    omitted: usize,
}

impl Explanation {
    /// The lines, in the order things were tried.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How many further lines were not kept.
    pub const fn omitted(&self) -> usize {
        self.omitted
    }

    pub(super) fn add(&mut self, depth: usize, source: Source, certificate: &Certificate, outcome: Outcome) {
        if self.lines.len() < MAX_LINES {
            self.lines.push(Line { depth, source, certificate: certificate.to_string(), outcome });
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// The refusal that tells most.
    pub(super) fn best(&self) -> Option<(&Cause, &str)> {
        let refusals = self.lines.iter().filter_map(|line| match &line.outcome {
            Outcome::Refused(cause) => Some((cause, line.certificate.as_str())),
            Outcome::Fits => None,
        });
        refusals.rev().max_by_key(|(cause, _)| cause.rank())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndEntity => "end entity",
            Self::Presented => "presented",
            Self::Store => "configured",
            Self::Anchor => "trust anchor",
            Self::Path => "in this path",
        })
    }
}

/// One line each, indented by depth.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            write!(f, "{:indent$}{} {}: ", "", line.source, line.certificate, indent = line.depth * 2)?;
            match &line.outcome {
                Outcome::Fits => writeln!(f, "fits")?,
                Outcome::Refused(cause) => writeln!(f, "refused: {cause}")?,
            }
        }
        if self.omitted > 0 {
            writeln!(f, "and {} more", self.omitted)?;
        }
        Ok(())
    }
}
