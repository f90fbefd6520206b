//! What the engine is fed besides answers: datagrams, the operator's commands, facts from the workers.

use crate::config::{ChildId, ConnectionId, Selector};
use crate::id::{ChildSaId, IkeId};
use crate::time::Instant;
use crate::wire::GatewayIdentity;
use std::net::{IpAddr, SocketAddr};

/// A UDP payload that carries an IKE message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Instance of both addresses.
    pub instance: u16,
    /// Our address and port; on the NAT port the non-ESP marker is already removed.
    pub local: SocketAddr,
    /// The sender.
    pub remote: SocketAddr,
    /// The IKE message.
    pub bytes: Vec<u8>,
}

/// A packet that found no CHILD_SA: single addresses, and its protocol with its ports, or with what stands in their place
/// in a traffic selector (RFC 7296 §3.13.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from: a host on our side.
    pub local: Selector,
    /// Where it goes.
    pub remote: Selector,
}

/// What an operator or the tunnel planner may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bring a child up, and the IKE SA it needs. Without a child: the connection's first. Does nothing if it is
    /// up or on its way.
    Initiate {
        /// The connection; its remote address must be known.
        connection: ConnectionId,
        /// The child.
        child: Option<ChildId>,
    },
    /// The same for a packet that wants this child: its selectors go first in what is offered (RFC 7296 §2.9).
    Acquire {
        /// The connection; its remote address must be known, or its peer be up.
        connection: ConnectionId,
        /// The child.
        child: ChildId,
        /// The packet.
        packet: Packet,
    },
    /// Close every IKE SA of a connection, finished or not.
    Terminate {
        /// The connection.
        connection: ConnectionId,
    },
    /// Close one IKE SA and its children.
    TerminateIke {
        /// Which.
        ike: IkeId,
    },
    /// Close one CHILD_SA.
    TerminateChild {
        /// Which.
        child: ChildSaId,
    },
    /// Close one CHILD_SA on which nothing is sent any more, because another carries what it did: it receives what is
    /// under way for a while.
    RetireChild {
        /// Which.
        child: ChildSaId,
    },
    /// Replace a CHILD_SA now.
    RekeyChild {
        /// Which.
        child: ChildSaId,
    },
    /// Replace the keys of an IKE SA now.
    RekeyIke {
        /// Which.
        ike: IkeId,
    },
    /// Make a new IKE SA, with the same children and new proofs of identity, and then delete this one; if we called it.
    Reauthenticate {
        /// Which.
        ike: IkeId,
    },
    /// Our address of a connection is another one from now on. What is up moves there, if we called and both sides do
    /// MOBIKE (RFC 4555 §3.5: who called decides); all else of it is closed.
    Move {
        /// The connection.
        connection: ConnectionId,
        /// The new address.
        local: IpAddr,
    },
    /// Send the callers of a connection to another gateway, those that can be redirected (RFC 5685 §5).
    Redirect {
        /// The connection.
        connection: ConnectionId,
        /// The other gateway.
        to: GatewayIdentity,
    },
    /// Close everything and accept nothing new. Finished when `Engine::is_idle`.
    Shutdown,
    /// Close every IKE SA of a connection, because its peer came anew by another one.
    Supersede {
        /// The connection.
        connection: ConnectionId,
    },
}

/// ESP for an SPI that nobody here knows. Whoever sent it need not be who it seems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSpi {
    /// Instance of both addresses.
    pub instance: u16,
    /// The address of ours that it came to.
    pub local: IpAddr,
    /// The sender; port 0: ESP over IP.
    pub remote: SocketAddr,
    /// The SPI.
    pub spi: u32,
}

/// What a worker noticed about an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildFact {
    /// The SA pair.
    pub child: ChildSaId,
    /// What happened.
    pub kind: ChildFactKind,
}

/// What a worker noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildFactKind {
    /// A soft limit of packets, octets or sequence numbers was reached: rekey.
    SoftExpiry,
    /// A hard limit was reached, the SA carries nothing any more: delete.
    HardExpiry,
    /// The first authenticated packet arrived; the worker now sends on this SA too.
    FirstInbound,
    /// Authenticated ESP came from another address or port than the path's (RFC 7296 §2.23).
    PeerMoved {
        /// The new source.
        remote: SocketAddr,
    },
    /// Authenticated ESP was last received at this time: proof of liveness.
    TrafficSeen {
        /// When.
        at: Instant,
    },
}
