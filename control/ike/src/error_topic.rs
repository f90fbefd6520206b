//! What a failure is a quarrel about: what of both sides has to be shown to mend it.

use crate::error::{Failure, Subject};

/// What two sides do not agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Algorithms of IKE SAs, key exchange groups among them.
    IkeAlgorithms,
    /// Algorithms of CHILD_SAs.
    EspAlgorithms,
    /// Traffic selectors.
    Selectors,
    /// Identities and their proofs.
    Proof,
}

impl Failure {
    /// What the quarrel is about, if it is one.
    pub fn topic(&self) -> Option<Topic> {
        use Failure as F;
        match self {
            F::ProposalRefused(subject) | F::NoProposalChosen(subject) | F::ProposalNotOffered(subject) => {
                Some(match subject {
                    Subject::Ike => Topic::IkeAlgorithms,
                    Subject::Child => Topic::EspAlgorithms,
                })
            }
            F::InvalidKeGroup(_) | F::BadKeValue => Some(Topic::IkeAlgorithms),
            F::TsUnacceptable | F::TsRefused | F::TsNotOffered => Some(Topic::Selectors),
            F::AuthRefused
            | F::PskMismatch
            | F::BadSignature(_)
            | F::IdentityRefused(_)
            | F::CertificateRefused(_)
            | F::AuthMethod { .. }
            | F::NoCertificate
            | F::SchemeRefused(_)
            | F::NoCommonHash => Some(Topic::Proof),
            _ if self.is_about_ppk() => Some(Topic::Proof),
            _ => None,
        }
    }

    /// Whether it mends itself: the peer was busy, or both ends were at the same.
    pub fn is_passing(&self) -> bool {
        matches!(self, Failure::TemporaryFailure | Failure::ChildNotFound | Failure::FollowupForgotten)
    }

    /// The notification by which the peer said it, by number (RFC 7296 §3.10.1); `None` where we found it ourselves.
    pub fn told_by_peer(&self) -> Option<u16> {
        use Failure as F;
        match self {
            F::PeerError(number) => Some(*number),
            F::ProposalRefused(_)
            | F::InvalidKeGroup(_)
            | F::AuthRefused
            | F::PpkRefused(_)
            | F::TsRefused
            | F::NoAdditionalSas(crate::error::Side::Peers)
            | F::ChildNotFound
            | F::TemporaryFailure
            | F::FollowupForgotten => Some(self.notify().into()),
            _ => None,
        }
    }
}
