//! What can be wrong with the mode of a CHILD_SA (RFC 7296 §1.3.1, §2.23.1).

use crate::error::Blame;

/// Why a CHILD_SA cannot be made in the mode that is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum ModeProblem {
    /// We asked for transport mode, and the peer makes tunnels.
    #[error(
        "the peer declines transport mode (no USE_TRANSPORT_MODE in its answer); compare the modes of both sides"
    )]
    Declined,
    /// The peer asks for a tunnel.
    #[error(
        "the peer asks for tunnel mode, and transport mode is configured here; compare the modes of both sides"
    )]
    TunnelWanted,
    /// The peer agreed to what nobody asked for.
    #[error("the peer answered USE_TRANSPORT_MODE, which it was not asked for")]
    Unasked,
    /// Addresses change on the way.
    #[error(
        "transport mode does not go through a NAT or UDP encapsulation (RFC 7296 2.23.1 is not done): use tunnel mode, or \
         take the NAT away"
    )]
    Nat,
}

impl ModeProblem {
    /// A stable code.
    pub(crate) fn code(self) -> &'static str {
        match self {
            ModeProblem::Declined => "RV-CHILD-014",
            ModeProblem::TunnelWanted => "RV-CHILD-015",
            ModeProblem::Unasked => "RV-CHILD-016",
            ModeProblem::Nat => "RV-CHILD-017",
        }
    }

    /// Whose fault it is.
    pub(crate) fn blame(self) -> Blame {
        match self {
            ModeProblem::Unasked => Blame::PeerMisbehaved,
            ModeProblem::Declined | ModeProblem::TunnelWanted => Blame::Incompatible,
            ModeProblem::Nat => Blame::Network,
        }
    }
}
