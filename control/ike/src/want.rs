//! What the engine cannot do itself and asks its caller for: slow work, secrets it must not hold, and the
//! data plane.
//!
//! Questions carry a [`Ticket`] and wait for `Engine::handle_answer`; answers may come late, in any
//! order, or never (the exchange then fails by deadline). Orders ([`WantKind::is_order`]) are not answered.
//! The caller carries out `Install`, `Activate`, `UpdateAddresses`, `Remove` and `ReleaseSpi` in the order they were
//! polled; only their answers may overtake each other. Thus a `Remove` that follows an unanswered `Install` is
//! enough to undo it.

use crate::config::{
    AdditionalGroups, ChildId, ClientMatch, ConnectionId, Encryption, Group, Identity, Integrity, Mode,
    Selector, SignatureScheme,
};
use crate::id::{ChildSaId, IkeId, Ticket};
use crate::key_agreement::{KeyAgreed, KeyAgreement};
use crate::wire::HashAndUrl;
use core::fmt;
use std::net::{IpAddr, SocketAddr};
use zeroize::Zeroizing;

/// One thing to be done for the engine.
#[derive(Debug)]
pub struct Want {
    /// Given back with the answer. Unique for the life of the engine.
    pub ticket: Ticket,
    /// The tunnel whose question it is; `None`: an order.
    pub ike: Option<IkeId>,
    /// What to do.
    pub kind: WantKind,
}

/// What to do.
#[derive(Debug)]
pub enum WantKind {
    /// Question: run [`KeyAgreement::perform`] (a public-key operation) off the loop.
    KeyAgreement(KeyAgreement),
    /// Question: sign with the connection's private key.
    Sign(Sign),
    /// Question: check a signature with a public key that a verdict vouched for.
    Verify(Verify),
    /// Question: which certificates does the peer mean, of which some lie elsewhere?
    Lookup(Lookup),
    /// Question: which addresses has this name?
    Resolve(Resolve),
    /// Question: does this chain prove this identity to this connection?
    Verdict(Verdict),
    /// Question: reserve an inbound ESP SPI.
    AllocateSpi(AllocateSpi),
    /// Question: install both directions of a CHILD_SA; answered when the owning worker has applied it.
    Install(Box<InstallChild>),
    /// Order: start sending on a CHILD_SA that was installed with another start than `Now`, unless it already
    /// does, and stop sending on the one it replaces.
    Activate(ChildSaId),
    /// Order: the outer addresses of this CHILD_SA changed: a NAT mapping moved, or one side did.
    UpdateAddresses {
        /// The SA pair.
        child: ChildSaId,
        /// Its new path.
        path: Path,
    },
    /// Order: remove both directions and give the inbound SPI back to the allocator. Unknown SAs are no error.
    Remove {
        /// The SA pair.
        child: ChildSaId,
        /// Its inbound SPI.
        spi_in: u32,
    },
    /// Order: give back an inbound SPI that was allocated and never installed.
    ReleaseSpi(u32),
    /// Question: a peer has proven itself to a gateway and so did we to it: which connection is it to have? That one
    /// must be set before the answer comes.
    Admit(Box<Admit>),
    /// Order: the peer of a connection that was made for it is gone. The connection is not needed any more.
    Dismiss(ConnectionId),
}

impl WantKind {
    /// Whether the caller must not answer.
    pub fn is_order(&self) -> bool {
        matches!(
            self,
            WantKind::Activate(_)
                | WantKind::UpdateAddresses { .. }
                | WantKind::Remove { .. }
                | WantKind::ReleaseSpi(_)
                | WantKind::Dismiss(_)
        )
    }
}

/// The answer to a question. A variant that does not fit its ticket's question counts as a failure of ours.
#[derive(Debug)]
pub enum Answer {
    /// To `KeyAgreement`: what `perform` returned.
    KeyAgreement(Result<KeyAgreed, AnswerError>),
    /// To `Sign`: the signature octets, without AlgorithmIdentifier.
    Sign(Result<Vec<u8>, AnswerError>),
    /// To `Verify`: whether the signature is right.
    Verify(Result<(), AnswerError>),
    /// To `Lookup`: the certificates, DER, in the order of the question, with all of a bundle in its place.
    Lookup(Result<Vec<Vec<u8>>, AnswerError>),
    /// To `Resolve`: its addresses of either family, the preferred ones first.
    Resolve(Result<Vec<IpAddr>, AnswerError>),
    /// To `Verdict`: the key of the end entity.
    Verdict(Result<PeerKey, AnswerError>),
    /// To `AllocateSpi`: the SPI, at least 256.
    AllocateSpi(Result<u32, AnswerError>),
    /// To `Install`.
    Install(Result<(), AnswerError>),
    /// To `Install`: the peer's side of the traffic is in part another tunnel's. Nothing was installed.
    NetworksTaken(AnswerError),
    /// To `Admit`: its connection ([`crate::config::RemoteAddress::Admitted`]).
    Admit(Result<ConnectionId, AnswerError>),
}

/// Why a question was answered with no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct AnswerError {
    /// Stable code of the answering room, such as `RV-PKI-007`.
    pub code: String,
    /// One sentence for the operator.
    pub text: String,
}

impl AnswerError {
    /// Whether who answers could not do its part, rather than found something wrong.
    pub fn is_ours(&self) -> bool {
        ["RV-LOCAL-", "RV-KEY-"].iter().any(|ours| self.code.starts_with(ours))
    }
}

/// Sign these octets.
pub struct Sign {
    /// Whose key.
    pub connection: ConnectionId,
    /// With the key of which of its certificates, by place.
    pub certificate: usize,
    /// How; one of the schemes of that one.
    pub scheme: SignatureScheme,
    /// The signed octets of RFC 7296 §2.15, not hashed.
    pub octets: Vec<u8>,
}

/// Check this signature.
pub struct Verify {
    /// SubjectPublicKeyInfo (DER) of the verdict.
    pub public_key: Vec<u8>,
    /// Named by the AlgorithmIdentifier the peer sent. A key that cannot have made such a signature is a no.
    pub scheme: SignatureScheme,
    /// The signed octets.
    pub octets: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Get these certificates. The peer has proven nothing yet: where they lie is a stranger's word.
#[derive(Debug)]
pub struct Lookup {
    /// The connection it is for.
    pub connection: ConnectionId,
    /// The instance whose network may be used.
    pub instance: u16,
    /// In the peer's order, at most 16.
    pub shown: Vec<Shown>,
}

/// Look this name up. It is the word of a gateway that redirects us (RFC 5685), proven or not, and has the form of a
/// host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// The connection it is for.
    pub connection: ConnectionId,
    /// The instance whose name servers are to be asked.
    pub instance: u16,
    /// The name.
    pub name: String,
}

/// A certificate as a peer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Itself, DER.
    Here(Vec<u8>),
    /// Where it lies, perhaps with others (RFC 7296 §3.6).
    Elsewhere(HashAndUrl),
}

/// Judge this chain.
pub struct Verdict {
    /// Whose trust anchors and policy.
    pub connection: ConnectionId,
    /// The instance whose network may be used for revocation fetches.
    pub instance: u16,
    /// What the peer calls itself; the certificate must say so too, as far as the connection demands.
    pub identity: Identity,
    /// DER certificates as the peer sent them: the end entity first, then others in any order, at most 16. None where it
    /// may do without ([`crate::config::Connection::raw_keys`]) and has.
    pub chain: Vec<Vec<u8>>,
    /// The SubjectPublicKeyInfo that it sent in their place (RFC 7670), as it came.
    pub public_key: Option<Vec<u8>>,
    /// OCSP responses that the peer sent because they were asked for (RFC 4806), as they came.
    pub responses: Vec<Vec<u8>>,
}

/// What a favourable verdict yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerKey {
    /// SubjectPublicKeyInfo of the end entity, DER.
    pub public_key: Vec<u8>,
}

/// Reserve an inbound SPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocateSpi {
    /// Instance of the outer addresses.
    pub instance: u16,
    /// The tunnel it is for, so that all its children can live on one worker.
    pub ike: IkeId,
    /// The connection it is for.
    pub connection: ConnectionId,
    /// The child it is for.
    pub config: ChildId,
    /// The SA it will replace, if this is a rekey: the new one belongs on the same worker.
    pub replaces: Option<ChildSaId>,
}

/// Let this peer in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admit {
    /// The gateway it came by.
    pub gateway: ConnectionId,
    /// Its tunnel.
    pub ike: IkeId,
    /// Who it proved to be.
    pub identity: Identity,
    /// Where it is.
    pub path: Path,
    /// Whether it said that it has no other IKE SA with us (INITIAL_CONTACT, RFC 7296 §2.4).
    pub initial_contact: bool,
    /// Which of the gateway's clients it is.
    pub client: ClientMatch,
}

/// Where IKE and ESP of one IKE SA travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Instance of both addresses.
    pub instance: u16,
    /// Our address and the UDP port we use.
    pub local: SocketAddr,
    /// The peer's address and UDP port as we see them.
    pub remote: SocketAddr,
    /// Whether ESP goes in UDP between these ports (RFC 3948).
    pub udp_encapsulation: bool,
    /// Whether the peer is behind a NAT, so that its port may move.
    pub remote_behind_nat: bool,
    /// Whether both sides do MOBIKE (RFC 4555): the caller may come from elsewhere at any time, and what it sends from
    /// there is to be received before anything is sent there.
    pub mobike: bool,
}

/// When an installed SA pair starts to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundStart {
    /// At once; the SA it replaces stops sending. The peer's inbound SA is known to be installed.
    Now,
    /// At [`WantKind::Activate`], which follows when our reply leaves.
    OnActivate,
    /// At the first authenticated inbound packet (the worker decides by itself) or at `Activate`, whichever is
    /// first; until then the replaced SA keeps sending (RFC 7296 §2.8).
    OnFirstInbound,
}

/// Who sent the request of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// We did.
    Initiator,
    /// The peer did.
    Responder,
}

/// Keys of one direction, wiped on drop.
#[derive(Clone)]
pub struct EspKeys {
    /// Cipher key; for GCM followed by the 4-octet salt (RFC 4106 §8.1).
    pub encryption: Zeroizing<Vec<u8>>,
    /// Integrity key; empty with AEAD ciphers.
    pub integrity: Zeroizing<Vec<u8>>,
}

/// The algorithms of a CHILD_SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EspSuite {
    /// Cipher.
    pub encryption: Encryption,
    /// Integrity; `None` with AEAD ciphers.
    pub integrity: Option<Integrity>,
    /// Group of its own key exchange, if it had one.
    pub group: Option<Group>,
    /// Key exchanges that followed it.
    pub additional: AdditionalGroups,
    /// 64-bit sequence numbers.
    pub extended_sequence: bool,
}

/// Both directions of one CHILD_SA.
#[derive(Clone)]
pub struct InstallChild {
    /// Our name for the pair.
    pub child: ChildSaId,
    /// The tunnel.
    pub ike: IkeId,
    /// The connection.
    pub connection: ConnectionId,
    /// The child's configuration.
    pub config: ChildId,
    /// Who asked for this CHILD_SA.
    pub role: Role,
    /// SPI the peer sends with.
    pub spi_in: u32,
    /// SPI we send with.
    pub spi_out: u32,
    /// Keys of the inbound direction.
    pub keys_in: EspKeys,
    /// Keys of the outbound direction.
    pub keys_out: EspKeys,
    /// Algorithms.
    pub suite: EspSuite,
    /// What its packets are.
    pub mode: Mode,
    /// Whether the peer takes padding against traffic analysis (RFC 4303 §2.7).
    pub takes_padding: bool,
    /// Traffic of our side: inner destinations inbound, inner sources outbound.
    pub local: Vec<Selector>,
    /// Traffic of the peer's side.
    pub remote: Vec<Selector>,
    /// Outer addresses.
    pub path: Path,
    /// The SA pair this one takes over from. It stays installed until its own `Remove`.
    pub replaces: Option<ChildSaId>,
    /// When to start sending.
    pub start: OutboundStart,
    /// Who the peer proved to be.
    pub remote_identity: Identity,
}

impl fmt::Debug for EspKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EspKeys(..)")
    }
}

impl fmt::Debug for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sign({:?}, {:?}, {} octets)", self.connection, self.scheme, self.octets.len())
    }
}

impl fmt::Debug for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verify({:?}, {} octets)", self.scheme, self.octets.len())
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verdict({:?}, {:?}, {} certificates)", self.connection, self.identity, self.chain.len())
    }
}

impl fmt::Debug for InstallChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstallChild")
            .field("child", &self.child)
            .field("role", &self.role)
            .field("spi_in", &format_args!("{:08x}", self.spi_in))
            .field("spi_out", &format_args!("{:08x}", self.spi_out))
            .field("suite", &self.suite)
            .field("replaces", &self.replaces)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}
