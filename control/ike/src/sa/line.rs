//! An IKE SA in use, with the one exchange each side may have under way on it.

use super::ike_sa::IkeSa;
use super::{informational, own_child, own_ike, peer_child, peer_ike};
use crate::context::Pending;
use crate::time::Instant;
use crate::want::Path;

/// One IKE SA of a tunnel that is up. A tunnel has one, and two or three while it is being rekeyed.
pub(crate) struct Line {
    pub(crate) sa: IkeSa,
    pub(crate) standing: Standing,
    /// Our exchange under way.
    pub(crate) own: Option<Own>,
    /// The peer's exchange under way.
    pub(crate) peer: Option<Peer>,
    /// Where the answer to the peer's request goes.
    pub(crate) reply_path: Path,
    /// Whether we are to delete it as soon as our window is free.
    pub(crate) delete: bool,
}

/// What an IKE SA is to its tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The one for new requests.
    Current,
    /// Made by the peer's rekey while our own is unanswered: not yet known whether it lives.
    Candidate { until: Instant },
    /// Replaced, or lost a simultaneous rekey: waits to be deleted, by the peer or by us.
    Retiring { until: Instant },
    /// Deleted: answers repetitions of the last request only.
    Closed { until: Instant },
}

/// Our exchange, by what it awaits.
pub(crate) enum Own {
    ChildSpi(Box<own_child::ExpectSpi>),
    ChildPublic(Box<own_child::ExpectPublicValue>),
    ChildReply(Box<own_child::ExpectReply>),
    ChildSecret(Box<own_child::ExpectSharedSecret>),
    ChildInstall(own_child::ExpectInstall),
    IkePublic(Box<own_ike::ExpectPublicValue>),
    IkeReply(Box<own_ike::ExpectReply>),
    IkeSecret(Box<own_ike::ExpectSharedSecret>),
    ChildDeleted(informational::ExpectChildDeleted),
    /// The reply to our Delete of this IKE SA.
    IkeDeleted,
    /// The reply to a dead peer probe.
    Alive,
    /// A reply nobody is interested in any more, to a request that is on its way.
    Nothing,
}

/// The peer's exchange, by what it awaits.
pub(crate) enum Peer {
    ChildSpi(Box<peer_child::ExpectSpi>),
    ChildSecret(Box<peer_child::ExpectSharedSecret>),
    ChildInstall(Box<peer_child::ExpectInstall>),
    IkeSecret(Box<peer_ike::ExpectSharedSecret>),
}

impl Line {
    pub(crate) fn new(sa: IkeSa, standing: Standing, path: Path) -> Line {
        Line { sa, standing, own: None, peer: None, reply_path: path, delete: false }
    }

    pub(crate) fn is_current(&self) -> bool {
        self.standing == Standing::Current
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.standing, Standing::Closed { .. })
    }

    /// When something of this line is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let standing = match self.standing {
            Standing::Current => Some(self.sa.soft_at.min(self.sa.hard_at)),
            Standing::Candidate { until } | Standing::Retiring { until } | Standing::Closed { until } => {
                Some(until)
            }
        };
        let pending = [
            self.own.as_ref().and_then(Own::pending).map(|pending| pending.until),
            self.peer.as_ref().map(|peer| peer.pending().until),
        ];
        [standing, self.sa.window.deadline(), self.sa.fragments_until()]
            .into_iter()
            .chain(pending)
            .flatten()
            .min()
    }
}

impl Own {
    /// The question under way.
    pub(crate) fn pending(&self) -> Option<Pending> {
        match self {
            Own::ChildSpi(state) => Some(state.pending),
            Own::ChildPublic(state) => Some(state.pending),
            Own::ChildSecret(state) => Some(state.pending),
            Own::ChildInstall(state) => Some(state.pending),
            Own::IkePublic(state) => Some(state.pending),
            Own::IkeSecret(state) => Some(state.pending),
            Own::ChildReply(_)
            | Own::IkeReply(_)
            | Own::ChildDeleted(_)
            | Own::IkeDeleted
            | Own::Alive
            | Own::Nothing => None,
        }
    }

    /// Whether it is about a CHILD_SA, so that the peer's rekey of the IKE SA has to wait (RFC 7296 §2.25.2).
    pub(crate) fn is_about_child(&self) -> bool {
        matches!(
            self,
            Own::ChildSpi(_)
                | Own::ChildPublic(_)
                | Own::ChildReply(_)
                | Own::ChildSecret(_)
                | Own::ChildInstall(_)
                | Own::ChildDeleted(_)
        )
    }
}

impl Peer {
    /// The question under way.
    pub(crate) fn pending(&self) -> Pending {
        match self {
            Peer::ChildSpi(state) => state.pending,
            Peer::ChildSecret(state) => state.pending,
            Peer::ChildInstall(state) => state.pending,
            Peer::IkeSecret(state) => state.pending,
        }
    }
}
