//! What the engine tells its caller: outgoing datagrams, and what became of IKE and CHILD_SAs.
//!
//! Events inform (status, routes, logs, retries). The data plane is not steered by them but by
//! [`crate::want::Want`]s.

use crate::config::{
    AdditionalGroups, ChildId, Choice, ConnectionId, Encryption, Group, Identity, Integrity, PpkId, Prf,
    Selector, SignatureScheme,
};
use crate::error::Failure;
use crate::id::{ChildSaId, IkeId};
use crate::lockout::Offender;
use crate::recorder::Attempt;
use crate::want::{EspSuite, Path, Role};
use std::net::{IpAddr, SocketAddr};

/// A UDP payload to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Instance of both addresses.
    pub instance: u16,
    /// Source address and port.
    pub local: SocketAddr,
    /// Destination address and port.
    pub remote: SocketAddr,
    /// The payload, without non-ESP marker.
    pub bytes: Vec<u8>,
    /// Whether four zero octets go before it (RFC 3948 §2.2): an IKE message on the NAT port. Keepalives have
    /// none.
    pub marker: bool,
}

/// Algorithms of an IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkeSuite {
    /// Cipher.
    pub encryption: Encryption,
    /// Integrity; `None` with AEAD ciphers.
    pub integrity: Option<Integrity>,
    /// Pseudo-random function.
    pub prf: Prf,
    /// Key exchange.
    pub group: Group,
    /// Key exchanges that followed it.
    pub additional: AdditionalGroups,
}

/// What became of post-quantum preshared keys in an IKE SA (RFC 8784).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PpkUse {
    /// Its connection has none.
    NotConfigured,
    /// The peer did not say that it has any, and may do without.
    NotAnnounced,
    /// We named this one; the peer does not have it, and may do without.
    Declined(PpkId),
    /// The peer named this one; we do not have it, and both may do without.
    Unknown(PpkId),
    /// This one is mixed into its keys, and so into those of all that follow.
    Mixed(PpkId),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A peer proved itself and so did we.
    IkeUp(Box<IkeUp>),
    /// New keys and SPIs for an IKE SA; its children were inherited.
    IkeRekeyed {
        /// Which.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// New SPI of its initiator.
        initiator_spi: u64,
        /// New SPI of its responder.
        responder_spi: u64,
        /// Its algorithms.
        suite: IkeSuite,
    },
    /// An IKE SA could not be rekeyed; it lives on and the rekey is tried again.
    IkeRekeyFailed {
        /// Which.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// Why.
        reason: Failure,
    },
    /// An IKE SA that was up is gone. Each of its children got its own `ChildDown` before.
    IkeDown {
        /// Which.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// Why; [`Failure::is_orderly`] tells a wish from a mishap.
        reason: Failure,
    },
    /// An attempt to set up an IKE SA failed before it was up.
    AttemptFailed {
        /// Its connection, as far as one was found.
        connection: Option<ConnectionId>,
        /// Everything known about it.
        attempt: Box<Attempt>,
    },
    /// An IKE SA that is up takes the place of another one of the same peer: both ends have proven themselves anew (RFC
    /// 7296 §2.8.3). The other one goes down later, and its children with it.
    Reauthenticated {
        /// Which.
        ike: IkeId,
        /// The other one.
        elder: IkeId,
        /// Their connection.
        connection: ConnectionId,
    },
    /// A CHILD_SA is installed and may carry traffic.
    ChildUp(Box<ChildUp>),
    /// A CHILD_SA took over from another, which is only drained now.
    ChildRekeyed {
        /// The one replaced.
        old: ChildSaId,
        /// The one that replaces it.
        new: Box<ChildUp>,
    },
    /// A CHILD_SA is gone (not: was replaced).
    ChildDown {
        /// Which.
        child: ChildSaId,
        /// Its tunnel.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// Its configuration.
        config: ChildId,
        /// Why.
        reason: Failure,
    },
    /// A CHILD_SA could not be made or rekeyed; the IKE SA stays up.
    ChildFailed {
        /// The tunnel.
        ike: IkeId,
        /// The connection.
        connection: ConnectionId,
        /// The configuration, as far as one was found.
        config: Option<ChildId>,
        /// The SA that was to be replaced and lives on, if it was a rekey.
        rekey_of: Option<ChildSaId>,
        /// Why.
        reason: Failure,
    },
    /// Outer addresses, ports or UDP encapsulation changed, of IKE and of all CHILD_SAs.
    Moved {
        /// The tunnel.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// The path before.
        from: Path,
        /// The path now.
        to: Path,
    },
    /// One side sends ESP by an SPI that the other does not know, which has said so within the IKE SA (RFC 7296 §1.5).
    SpiUnknown {
        /// The tunnel.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// The SPI.
        spi: u32,
        /// Who does not know it.
        by: LostBy,
    },
    /// The peer has said where else it is (RFC 4555 §3.4): at most so many as are kept.
    PeerAddresses {
        /// The tunnel.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// Its other addresses; none: it is where it is alone.
        addresses: Vec<IpAddr>,
    },
    /// The peer wanted to move and did not; the path stays as it is.
    MoveRefused {
        /// The tunnel.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// Where to.
        remote: SocketAddr,
        /// Why not.
        reason: MoveRefusal,
    },
    /// The peer does not accept us between these addresses, where we had moved to; we look for others.
    AddressesRefused {
        /// The tunnel.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// The addresses.
        path: Path,
        /// The peer's notification.
        reason: u16,
    },
    /// A caller, or all ports of its address, was locked out, or is heard again.
    Lockout {
        /// Who.
        offender: Offender,
        /// Whether it is locked out from now on.
        blocked: bool,
        /// Of these events, how many were left out since the last one: no more are told than can be read.
        left_out: u64,
    },
    /// Something about a peer that is watched ([`crate::watch`]).
    Trace {
        /// The peer.
        peer: SocketAddr,
        /// What.
        text: String,
        /// Lines that were left out since the last one.
        left_out: u64,
    },
    /// A peer is watched no more: its time is over.
    WatchEnded {
        /// Its address.
        peer: std::net::IpAddr,
    },
    /// The gateway redirects an IKE SA that is up to where we do not go; it stays.
    RedirectRefused {
        /// The tunnel.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// Why.
        reason: Failure,
    },
    /// A session could not be resumed (RFC 5723); the call goes on with a full negotiation.
    NotResumed {
        /// The tunnel.
        ike: IkeId,
        /// Its connection.
        connection: ConnectionId,
        /// Why.
        reason: Failure,
    },
    /// Cookies are demanded from now on, or no longer.
    Cookies {
        /// Whether they are.
        demanded: bool,
        /// Half-open IKE SAs.
        half_open: usize,
    },
}

/// Who does not know an SA that the other one sends by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostBy {
    /// We have told the peer so.
    Us,
    /// The peer has told us so; where we may, we have the CHILD_SA renewed.
    Peer,
}

/// Why a peer may not move (RFC 4555).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveRefusal {
    /// The connection says where the peer is.
    #[error("the tunnel has a fixed peer address: remote = \"any\" lets it move")]
    FixedPeer,
    /// It came to an address of ours that is not the connection's.
    #[error("it came to another address of ours than the tunnel's")]
    OtherLocal,
    /// It was called, and who calls decides (§3.5).
    #[error("it was called, and who calls decides where a tunnel goes (RFC 4555 3.5)")]
    NotTheCaller,
    /// It allows no NAT on the way, and there is one (§3.9).
    #[error("it allows no NAT on the way (NO_NATS_ALLOWED), and there is one")]
    UnexpectedNat,
}

/// An IKE SA that came up.
#[derive(Clone, Debug)]
pub struct IkeUp {
    /// Its name.
    pub ike: IkeId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Who asked for it.
    pub role: Role,
    /// SPI of its initiator.
    pub initiator_spi: u64,
    /// SPI of its responder.
    pub responder_spi: u64,
    /// Its algorithms.
    pub suite: IkeSuite,
    /// What became of post-quantum preshared keys.
    pub ppk: PpkUse,
    /// Outer addresses.
    pub path: Path,
    /// Whether we are behind a NAT ourselves.
    pub local_behind_nat: bool,
    /// Who we said we are.
    pub local_identity: Identity,
    /// Which of our certificates the peer was shown; `None`: none.
    pub own_certificate: Option<Choice>,
    /// Who the peer proved to be.
    pub remote_identity: Identity,
    /// By what.
    pub remote_proof: Proof,
    /// As whom we and the peer proved ourselves a second time, who did (RFC 4739).
    pub second: SecondIdentities,
    /// Whether it called and can be redirected.
    pub redirectable: bool,
    /// Whether it resumes the session of an earlier IKE SA, by a ticket (RFC 5723).
    pub resumed: bool,
}

/// By what a peer has proven its identity, or has tried to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A pre-shared key.
    SharedKey,
    /// A signature, with a certificate; `None`: of a scheme that is not known here.
    Certificate(Option<SignatureScheme>),
    /// A signature, with a public key alone (RFC 7670), or with nothing where keys are configured.
    RawKey(Option<SignatureScheme>),
    /// The keys of a session that it goes on with, and that rests on one of the others (RFC 5723).
    Ticket,
    /// A pre-shared key, after one of the others (RFC 4739).
    Second,
    /// Of another kind, or none where EAP is meant: such a proof never holds here.
    Other,
}

/// Who each side proved to be by a second proof, by a pre-shared key; `None` where it made none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondIdentities {
    /// Us.
    pub local: Option<Identity>,
    /// The peer.
    pub remote: Option<Identity>,
}

/// A CHILD_SA that came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildUp {
    /// Its name.
    pub child: ChildSaId,
    /// Its tunnel.
    pub ike: IkeId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Its configuration.
    pub config: ChildId,
    /// Inbound SPI.
    pub spi_in: u32,
    /// Outbound SPI.
    pub spi_out: u32,
    /// Algorithms.
    pub suite: EspSuite,
    /// Traffic of our side.
    pub local: Vec<Selector>,
    /// Traffic of the peer's side.
    pub remote: Vec<Selector>,
    /// Whether the peer takes further SAs for the same traffic, each for one resource (RFC 9611): it has said so, and
    /// has not refused one since.
    pub takes_more: bool,
}
