//! What can be wrong with a second proof (RFC 4739): each by its own code, so that nobody compares the keys of the first.

use crate::error::Blame;

/// Why a second proof came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecondProof {
    /// Configured, and the called side takes one proof only.
    #[error(
        "a second proof is configured, and the peer does not announce MULTIPLE_AUTH_SUPPORTED (RFC 4739)"
    )]
    Unsupported,
    /// The peer stops after the first.
    #[error(
        "the peer is to prove itself a second time, and does not offer to (ANOTHER_AUTH_FOLLOWS, RFC 4739)"
    )]
    Missing,
    /// The peer proves itself more often than is configured.
    #[error("the peer offers one more proof than is configured here, which nobody could judge (RFC 4739)")]
    Unknown,
    /// Announced, and then it did not come.
    #[error(
        "the peer announced a second proof (ANOTHER_AUTH_FOLLOWS) and did not send it; does its user have the key?"
    )]
    Withheld,
    /// It came before the first one was answered.
    #[error(
        "the peer sent two proofs in one message: a second one follows the answer to the first (RFC 4739)"
    )]
    Early,
    /// By nobody who is expected there.
    #[error("the second proof is to be another's than that of {0}; compare second-auth of both sides")]
    Identity(String),
    /// The keys differ.
    #[error("the peer's second AUTH does not fit the key of second-auth; compare the keys of both sides")]
    Key,
}

impl SecondProof {
    /// A stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            SecondProof::Unsupported => "RV-AUTH-020",
            SecondProof::Missing => "RV-AUTH-021",
            SecondProof::Unknown => "RV-AUTH-022",
            SecondProof::Withheld => "RV-AUTH-023",
            SecondProof::Early => "RV-AUTH-024",
            SecondProof::Identity(_) => "RV-AUTH-025",
            SecondProof::Key => "RV-AUTH-026",
        }
    }

    /// Whose fault it is.
    pub(crate) fn blame(&self) -> Blame {
        match self {
            SecondProof::Withheld | SecondProof::Early => Blame::PeerMisbehaved,
            _ => Blame::Incompatible,
        }
    }
}
