//! What the peer is told of a failure: one place, and less than the operator learns.

use crate::error::Failure;
use crate::wire::NotifyType;

impl Failure {
    /// The error notification that tells the peer (RFC 7296 §3.10.1). Everything that is wrong with a proof of
    /// identity looks the same from outside.
    pub fn notify(&self) -> NotifyType {
        use Failure as F;
        match self {
            F::ProposalRefused(_)
            | F::NoProposalChosen(_)
            | F::ProposalNotOffered(_)
            | F::Mode(_)
            | F::NoConnection => NotifyType::NoProposalChosen,
            F::TsUnacceptable | F::TsRefused | F::TsNotOffered | F::NetworksTaken(_) => {
                NotifyType::TsUnacceptable
            }
            F::NoAdditionalSas(_) => NotifyType::NoAdditionalSas,
            F::TooManyResources(_) => NotifyType::TsMaxQueue,
            F::SinglePairRequired => NotifyType::SinglePairRequired,
            F::ChildNotFound => NotifyType::ChildSaNotFound,
            F::FollowupForgotten => NotifyType::StateNotFound,
            F::InvalidKeGroup(_) => NotifyType::InvalidKePayload,
            F::BadKeValue | F::Syntax(_) => NotifyType::InvalidSyntax,
            F::CriticalPayload(_) => NotifyType::UnsupportedCriticalPayload,
            F::MajorVersion => NotifyType::InvalidMajorVersion,
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
            | F::SecondProof(_)
            | F::PpkNotAnnounced
            | F::PpkNotNamed
            | F::PpkUnknown(_)
            | F::PpkDiffers(_)
            | F::PpkOrProof(_)
            | F::PpkRefused(_)
            | F::PpkDeclined(_)
            | F::ResumptionProof => NotifyType::AuthenticationFailed,
            F::TicketRefused | F::TicketRejected(_) => NotifyType::TicketNack,
            F::UnexpectedNat => NotifyType::UnexpectedNatDetected,
            F::TemporaryFailure
            | F::BusyWithoutEnd
            | F::MoveRefused(_)
            | F::AddressChanged
            | F::AnswerTimeout { .. }
            | F::AnswerRefused { .. }
            | F::AnswerMismatch(_)
            | F::Crypto(_)
            | F::NotConfigured(_)
            | F::NoReply { .. }
            | F::NoReplyHere { .. }
            | F::HalfOpenTimeout(_)
            | F::PeerDead(_)
            | F::PeerCrashed(_)
            | F::PeerForgot(_)
            | F::PeerError(_)
            | F::Terminated
            | F::Shutdown
            | F::Unconfigured
            | F::PeerDeleted
            | F::Expired
            | F::RedirectRefused(_)
            | F::RedirectLoop(_)
            | F::Redirected(_)
            | F::RedirectedPeer(_)
            | F::Superseded
            | F::Reauthenticated
            | F::ProofExpired
            | F::NotAdmitted(_) => NotifyType::TemporaryFailure,
        }
    }
}
