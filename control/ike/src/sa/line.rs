//! An IKE SA in use, with the one exchange each side may have under way on it.

use super::busy::Busy;
use super::child_deal::Aim;
use super::common::Common;
use super::ike_sa::IkeSa;
use super::peer_followup::Awaited;
use super::{informational, mobility, own_child, own_followup, own_ike, peer_child, peer_followup, peer_ike};
use crate::collision::Rival;
use crate::context::Pending;
use crate::id::ChildSaId;
use crate::time::Instant;
use crate::want::Path;
use crate::wire::{GatewayIdentity, IkeSpi};

/// One IKE SA of a tunnel that is up. A tunnel has one, and two or three while it is being rekeyed.
pub(crate) struct Line {
    pub(crate) sa: IkeSa,
    /// Its number among the IKE SAs of the tunnel, in the order in which they were made.
    pub(crate) number: u64,
    pub(crate) standing: Standing,
    /// Our exchange under way.
    pub(crate) own: Option<Own>,
    /// The peer's exchange under way.
    pub(crate) peer: Option<Peer>,
    /// Key exchanges of the peer's that are to follow what we answered.
    pub(crate) awaited: Vec<Awaited>,
    /// Where the answer to the peer's request goes.
    pub(crate) reply_path: Path,
    /// Whether we are to delete it as soon as our window is free.
    pub(crate) delete: bool,
    /// How long the peer has put us off.
    pub(crate) busy: Busy,
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
    FollowupPublic(Box<own_followup::ExpectPublicValue>),
    FollowupReply(Box<own_followup::ExpectReply>),
    FollowupSecret(Box<own_followup::ExpectSharedSecret>),
    ChildDeleted(informational::ExpectChildDeleted),
    /// The reply to our Delete of this IKE SA.
    IkeDeleted,
    /// The reply to a dead peer probe.
    Alive,
    /// The reply to UPDATE_SA_ADDRESSES.
    Updated(mobility::ExpectUpdated),
    /// The reply to what was asked of all pairs of addresses.
    Found,
    /// The reply that shows the peer to be at its new address.
    Routable(mobility::ExpectRoutable),
    /// The reply to a list of our addresses.
    Announced,
    /// The reply that brings a ticket.
    Ticket,
    /// The reply to a redirection.
    Redirect(GatewayIdentity),
    /// A reply nobody is interested in any more, to a request that is on its way.
    Nothing,
}

/// The peer's exchange, by what it awaits.
pub(crate) enum Peer {
    ChildSpi(Box<peer_child::ExpectSpi>),
    ChildSecret(Box<peer_child::ExpectSharedSecret>),
    ChildInstall(Box<peer_child::ExpectInstall>),
    IkeSecret(Box<peer_ike::ExpectSharedSecret>),
    FollowupSecret(Box<peer_followup::ExpectSharedSecret>),
}

impl Line {
    pub(crate) fn new(sa: IkeSa, standing: Standing, common: &mut Common) -> Line {
        let (own, peer, awaited) = (None, None, Vec::new());
        let (number, reply_path) = (common.mobility.next_line(), common.path);
        let (delete, busy) = (false, Busy::default());
        Line { sa, number, standing, own, peer, awaited, reply_path, delete, busy }
    }

    /// The SPIs that are ours: of this IKE SA, and of the one that is to replace it.
    pub(crate) fn local_spis(&self) -> impl Iterator<Item = IkeSpi> {
        let coming = self.own.as_ref().and_then(Own::ike_spi);
        std::iter::once(self.sa.local_spi()).chain(coming)
    }

    pub(crate) fn is_current(&self) -> bool {
        self.standing == Standing::Current
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.standing, Standing::Closed { .. })
    }

    /// Whether the peer is at a CHILD_SA for this, or owes us a key exchange of it.
    pub(crate) fn is_made_by_peer(&self, aim: Aim) -> bool {
        self.peer.as_ref().and_then(Peer::aim) == Some(aim) || self.awaits(aim)
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
        let window = &self.sa.window;
        [standing, window.deadline(), window.withheld_until(), self.sa.fragments_until()]
            .into_iter()
            .chain(pending)
            .flatten()
            .chain(self.awaited.iter().map(|awaited| awaited.until))
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
            Own::FollowupPublic(state) => Some(state.pending),
            Own::FollowupSecret(state) => Some(state.pending),
            Own::ChildReply(_)
            | Own::IkeReply(_)
            | Own::FollowupReply(_)
            | Own::ChildDeleted(_)
            | Own::IkeDeleted
            | Own::Alive
            | Own::Updated(_)
            | Own::Found
            | Own::Routable(_)
            | Own::Announced
            | Own::Ticket
            | Own::Redirect(_)
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
        ) || self.child_pact().is_some()
    }

    /// What key exchanges after CREATE_CHILD_SA are for.
    fn purpose(&self) -> Option<&own_followup::Purpose> {
        match self {
            Own::FollowupPublic(state) => Some(&state.course.purpose),
            Own::FollowupReply(state) => Some(&state.course.purpose),
            Own::FollowupSecret(state) => Some(&state.course.purpose),
            _ => None,
        }
    }

    /// The CHILD_SA that they are for.
    pub(crate) fn child_pact(&self) -> Option<&own_child::Pact> {
        match self.purpose() {
            Some(own_followup::Purpose::Child(pact)) => Some(pact),
            _ => None,
        }
    }

    /// The CHILD_SA that they are for, if it is one.
    pub(crate) fn into_child_pact(self) -> Option<own_child::Pact> {
        let purpose = match self {
            Own::FollowupPublic(state) => state.course.purpose,
            Own::FollowupReply(state) => state.course.purpose,
            Own::FollowupSecret(state) => state.course.purpose,
            _ => return None,
        };
        match purpose {
            own_followup::Purpose::Child(pact) => Some(*pact),
            own_followup::Purpose::Ike(_) => None,
        }
    }

    /// What the peer made for the same as our request, until the nonces have decided.
    pub(crate) fn child_rival(&mut self) -> Option<&mut Rival<ChildSaId>> {
        match self {
            Own::ChildReply(state) => Some(&mut state.rival),
            Own::ChildSecret(state) => Some(state.pact.rival()),
            _ => None,
        }
    }

    /// Our SPI of an IKE SA that is under negotiation: the peer may have made it before we have.
    fn ike_spi(&self) -> Option<IkeSpi> {
        match (self, self.purpose()) {
            (Own::IkeReply(state), _) => Some(state.spi()),
            (Own::IkeSecret(state), _) => Some(state.pact().spi()),
            (_, Some(own_followup::Purpose::Ike(pact))) => Some(pact.spi()),
            _ => None,
        }
    }

    /// Whether the IKE SA is being rekeyed by a request that was answered.
    pub(crate) fn is_replacing_ike(&self) -> bool {
        matches!(self, Own::IkeSecret(_)) || matches!(self.purpose(), Some(own_followup::Purpose::Ike(_)))
    }

    /// Whether all that is missing of a new IKE SA, which the peer has, is our half of its keys.
    pub(crate) fn lacks_our_half(&self) -> bool {
        match self {
            Own::IkeSecret(state) => !state.goes_on(),
            Own::FollowupSecret(state) => self.is_replacing_ike() && state.course.is_at_its_end(),
            _ => false,
        }
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
            Peer::FollowupSecret(state) => state.pending,
        }
    }

    /// What its CHILD_SA is for, if it is one.
    fn aim(&self) -> Option<Aim> {
        match self {
            Peer::ChildSpi(state) => Some(state.aim()),
            Peer::ChildSecret(state) => Some(state.aim()),
            Peer::ChildInstall(state) => Some(state.aim()),
            Peer::FollowupSecret(state) => state.aim(),
            Peer::IkeSecret(_) => None,
        }
    }

    /// Whether it replaces the IKE SA.
    pub(crate) fn is_about_ike(&self) -> bool {
        match self {
            Peer::IkeSecret(_) => true,
            Peer::FollowupSecret(state) => state.is_about_ike(),
            _ => false,
        }
    }
}
