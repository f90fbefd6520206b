//! What a failure is a quarrel about: what of both sides has to be shown to mend it.

use crate::error::{Failure, SecondProof, Subject};

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
            F::TsUnacceptable | F::TsRefused | F::TsNotOffered | F::SinglePairRequired => {
                Some(Topic::Selectors)
            }
            F::AuthRefused
            | F::PskMismatch
            | F::BadSignature(_)
            | F::IdentityRefused(_)
            | F::NoClient(_)
            | F::CertificateRefused(_)
            | F::AuthMethod { .. }
            | F::NoCertificate
            | F::SchemeRefused(_)
            | F::NoCommonHash
            | F::NoOlderMethod(_)
            | F::SecondProof(_) => Some(Topic::Proof),
            _ if self.is_about_ppk() => Some(Topic::Proof),
            _ => None,
        }
    }

    /// Whether the peer claimed to be somebody and could not prove it (IKE-23): a pre-shared key or signature that is
    /// not right, a certificate that leads to no anchor. Neither what this gateway could not check itself, nor an
    /// identity that nobody here expects, nor anything negotiated.
    pub fn is_failed_proof(&self) -> bool {
        match self {
            Failure::PskMismatch | Failure::PpkOrProof(_) | Failure::ResumptionProof => true,
            Failure::SecondProof(second) => matches!(second, SecondProof::Key),
            Failure::BadSignature(error) | Failure::CertificateRefused(error) => !error.is_ours(),
            _ => false,
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
            | F::TicketRefused
            | F::TsRefused
            | F::SinglePairRequired
            | F::NoAdditionalSas(crate::error::Side::Peers)
            | F::TooManyResources(crate::error::Side::Peers)
            | F::ChildNotFound
            | F::TemporaryFailure
            | F::FollowupForgotten => Some(self.notify().into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::want::AnswerError;

    /// A gateway that is too busy to check a proof holds that against nobody.
    #[test]
    fn what_we_could_not_check_is_no_failed_proof() {
        for (code, counts) in
            [("RV-PKI-004", true), ("RV-PKI-033", true), ("RV-LOCAL-010", false), ("RV-LOCAL-015", false)]
        {
            let error = AnswerError { code: code.into(), text: String::new() };
            for failure in [Failure::BadSignature(error.clone()), Failure::CertificateRefused(error)] {
                assert_eq!(failure.is_failed_proof(), counts, "{failure}");
            }
        }
        assert!(!Failure::NoCertificate.is_failed_proof() && !Failure::AuthRefused.is_failed_proof());
    }
}
