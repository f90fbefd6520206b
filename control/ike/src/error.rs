//! Why something failed, whose fault it is, and what to do about it.
//!
//! One value serves logs, the CLI and the flight recorder. What the peer is told is derived from it in one
//! place, [`Failure::notify`], and says less.

use crate::config::NoClient;
pub use crate::error_mode::ModeProblem;
pub use crate::error_second::SecondProof;
pub use crate::error_topic::Topic;
use crate::want::AnswerError;
use crate::wire::GatewayIdentity;
use std::net::IpAddr;
use std::time::Duration;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blame {
    /// The peer broke the protocol or could not prove itself.
    PeerMisbehaved,
    /// Both are right and do not fit: configurations differ.
    Incompatible,
    /// Nothing was heard.
    Network,
    /// Somebody on our side asked for it.
    Operator,
    /// Our machine could not do its part.
    Us,
}

/// Why an IKE SA, a CHILD_SA or an attempt at one ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No reply to a request, after all retransmissions.
    #[error(
        "no reply from the peer after {tries} transmissions in {waited:?}; check reachability of UDP 500 and 4500"
    )]
    NoReply {
        /// Transmissions.
        tries: u32,
        /// From the first to giving up.
        waited: Duration,
    },
    /// No reply to a request of set-up at one of the peer's addresses.
    #[error(
        "no reply from the peer after {tries} transmissions in {waited:?}; {next}, the next of its addresses, is called"
    )]
    NoReplyHere {
        /// Transmissions.
        tries: u32,
        /// From the first to giving up.
        waited: Duration,
        /// Its next address.
        next: IpAddr,
    },
    /// A half-open IKE SA whose initiator did not go on.
    #[error("the initiator did not go on to IKE_AUTH within {0:?}")]
    HalfOpenTimeout(Duration),
    /// Dead peer detection got no reply.
    #[error("the peer is dead: silent for {0:?}, probes unanswered")]
    PeerDead(Duration),
    /// The peer proved by its token that it does not have the IKE SA any more.
    #[error(
        "the peer has crashed or restarted: it lost this IKE SA and proved so by its token (RFC 6290); silent for {0:?}"
    )]
    PeerCrashed(Duration),
    /// The peer forgot the IKE SA that was being made; it said so in the clear, and nothing else.
    #[error(
        "the peer gave up waiting for us: it answered IKE_AUTH with INVALID_IKE_SPI, and nothing else came in {0:?}; \
         packets are lost or late on the way"
    )]
    PeerForgot(Duration),

    /// The peer does not accept that we moved, and there is nowhere else to be.
    #[error(
        "the peer does not accept our new address (notification {0}), and no other pair of addresses is left that \
         answers: is its address for us a fixed one?"
    )]
    MoveRefused(u16),
    /// The peer allows no NAT, and there is one.
    #[error("the peer allows no NAT on the way (NO_NATS_ALLOWED), and there is one")]
    UnexpectedNat,

    /// No connection for this pair of addresses.
    #[error("no connection is configured between these addresses")]
    NoConnection,
    /// The peer refused every proposal.
    #[error("the peer chose none of our {0} proposals; compare the algorithms of both sides")]
    ProposalRefused(Subject),
    /// We refused every proposal.
    #[error("no {0} proposal of the peer is configured here; see offered and configured")]
    NoProposalChosen(Subject),
    /// The peer chose something we had not offered.
    #[error("the peer chose a {0} proposal that we had not offered")]
    ProposalNotOffered(Subject),
    /// The peer wants a group for key exchange that we had not offered, or keeps changing its mind.
    #[error("the peer asks for key exchange group {0}, which we did not offer")]
    InvalidKeGroup(u16),
    /// A key exchange value that RFC 6989 forbids.
    #[error("the peer's key exchange value is not valid for its group")]
    BadKeValue,
    /// The gateway redirects us to where we do not go.
    #[error("the gateway redirects us to {0} (RFC 5685)")]
    RedirectRefused(String),
    /// Gateways redirect us without end.
    #[error(
        "redirected to {0} after five redirections within 300 s: the gateways send us in a circle (RFC 5685)"
    )]
    RedirectLoop(GatewayIdentity),
    /// The gateway does not take our ticket.
    #[error("the peer does not accept our ticket (TICKET_NACK, RFC 5723)")]
    TicketRefused,
    /// We do not take the caller's ticket.
    #[error("the ticket that the caller shows is not accepted: {0} (RFC 5723)")]
    TicketRejected(TicketProblem),
    /// The peer answered with an error we have no special treatment for.
    #[error("the peer answered with error notification {0}")]
    PeerError(u16),

    /// The peer does not believe our proof.
    #[error("the peer answered AUTHENTICATION_FAILED: it does not accept our identity or our proof")]
    AuthRefused,
    /// Pre-shared keys differ.
    #[error("the peer's AUTH does not fit our pre-shared key; compare the keys of both sides")]
    PskMismatch,
    /// The signature is wrong.
    #[error("the peer's signature is wrong ({0})")]
    BadSignature(AnswerError),
    /// No connection accepts this identity.
    #[error("no connection here accepts the peer's identity {0}")]
    IdentityRefused(String),
    /// None of the gateway's clients is the caller, and it lets in nobody else.
    #[error("no client of the gateway fits the caller: {0}")]
    NoClient(Box<NoClient>),
    /// The certificate or its chain was refused.
    #[error("the peer's certificate was refused ({0})")]
    CertificateRefused(AnswerError),
    /// The peer used another method than configured.
    #[error("the peer authenticates by method {offered}, configured is {configured}")]
    AuthMethod {
        /// The peer's AUTH method number.
        offered: u8,
        /// What we are configured for, in words.
        configured: &'static str,
    },
    /// The peer did not send a certificate.
    #[error("the peer sent no X.509 certificate of encoding 4")]
    NoCertificate,
    /// Signature scheme unknown or not allowed.
    #[error("the peer signed in a way that is not accepted here: {0}")]
    SchemeRefused(String),
    /// We have no signature scheme whose hash the peer announced.
    #[error("the peer announced no signature hash that our key can use (RFC 7427)")]
    NoCommonHash,

    /// The peer does not know RFC 7427, and the methods before it do nothing with our key.
    #[error(
        "the peer does not announce signature hashes (RFC 7427), and without them only keys for ECDSA can prove anything (RFC 4754); ours signs by {0}, and RSA with SHA-1 is not done"
    )]
    NoOlderMethod(String),

    /// A second proof is missing, or wrong.
    #[error(transparent)]
    SecondProof(#[from] SecondProof),

    /// Who resumes a session does not have its keys.
    #[error("the peer's AUTH does not fit the session that it resumes (RFC 5723)")]
    ResumptionProof,

    /// A PPK is required here, and the peer did not announce any.
    #[error(
        "a post-quantum preshared key is required here, and the peer did not say that it has one (USE_PPK): it has none for us, or does not know RFC 8784"
    )]
    PpkNotAnnounced,
    /// Both announced PPKs, and the peer named none.
    #[error(
        "the peer said that it has a post-quantum preshared key (USE_PPK) and then named none (PPK_IDENTITY)"
    )]
    PpkNotNamed,
    /// The peer named a PPK that is not configured, and one of us does not go on without.
    #[error(
        "the peer names post-quantum preshared key {0}, which is not in the ppk-list here, and one side requires it"
    )]
    PpkUnknown(String),
    /// The peer's proof shows that the PPK is what differs.
    #[error(
        "the peer proves itself without post-quantum preshared key {0} and not with it: the values differ"
    )]
    PpkDiffers(String),
    /// The peer's proof is wrong, and a PPK was mixed in.
    #[error(
        "the peer's AUTH is wrong with post-quantum preshared key {0}: its values differ, or else the proof itself is wrong"
    )]
    PpkOrProof(String),
    /// The peer does not believe our proof, made with a PPK.
    #[error(
        "the peer answered AUTHENTICATION_FAILED to our proof with post-quantum preshared key {0}: it does not have that key, has another value for it, or does not accept our identity or our proof"
    )]
    PpkRefused(String),
    /// The peer goes on without the PPK we named, which is required here.
    #[error(
        "the peer goes on without post-quantum preshared key {0}, which is required here: it does not have it"
    )]
    PpkDeclined(String),

    /// No common traffic selectors, found by us.
    #[error("the traffic selectors of both sides have nothing in common; see offered and configured")]
    TsUnacceptable,
    /// No common traffic selectors, found by the peer.
    #[error("the peer accepts none of our traffic selectors (TS_UNACCEPTABLE)")]
    TsRefused,
    /// The peer makes CHILD_SAs for a pair of single addresses only.
    #[error(
        "the peer takes one address on each side of a CHILD SA only (SINGLE_PAIR_REQUIRED, RFC 7296 2.9): configure children of single addresses"
    )]
    SinglePairRequired,
    /// The peer narrowed to something we had not offered, or on rekey to less than was in use.
    #[error("the peer answered with traffic selectors outside of what we offered")]
    TsNotOffered,
    /// The limit of CHILD_SAs is reached.
    #[error("the limit of CHILD_SAs is reached ({0})")]
    NoAdditionalSas(Side),
    /// There are as many CHILD_SAs for single resources as there may be (RFC 9611).
    #[error("the limit of CHILD_SAs for these traffic selectors is reached ({0}, TS_MAX_QUEUE)")]
    TooManyResources(Side),
    /// The peer does not know the CHILD_SA to be rekeyed.
    #[error("the peer does not know this CHILD_SA (CHILD_SA_NOT_FOUND)")]
    ChildNotFound,
    /// The peer is busy with a conflicting exchange.
    #[error("the peer is busy with a conflicting exchange (TEMPORARY_FAILURE)")]
    TemporaryFailure,
    /// The peer has been busy for minutes, so both sides' states differ.
    #[error(
        "for minutes the peer has put off whatever it was asked (TEMPORARY_FAILURE): its state is out of step with ours"
    )]
    BusyWithoutEnd,

    /// Who answers does not know, or not any more, what an IKE_FOLLOWUP_KE exchange belongs to.
    #[error(
        "the additional key exchanges took too long: who answers them has forgotten them (STATE_NOT_FOUND)"
    )]
    FollowupForgotten,

    /// A message that breaks the protocol.
    #[error("the peer sent a message that breaks the protocol: {0}")]
    Syntax(&'static str),
    /// A critical payload we do not know.
    #[error("the peer sent critical payload {0}, which is unknown here")]
    CriticalPayload(u8),
    /// An IKE version we do not speak.
    #[error("the peer speaks another major version of IKE")]
    MajorVersion,

    /// A want was not answered in time.
    #[error("{what} was not answered within {waited:?}")]
    AnswerTimeout {
        /// Which want.
        what: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// A want was answered with no.
    #[error("{what} failed ({error})")]
    AnswerRefused {
        /// Which want.
        what: &'static str,
        /// Why.
        error: AnswerError,
    },
    /// An answer of the wrong kind.
    #[error("{0} was answered with something else: a defect of this program, please report it")]
    AnswerMismatch(&'static str),
    /// A cryptographic operation of ours failed.
    #[error("a cryptographic operation failed: {0}; a defect of this program, please report it")]
    Crypto(&'static str),
    /// The connection or child asked for is not configured, or has no address to call.
    #[error("nothing can be initiated: {0}")]
    NotConfigured(&'static str),

    /// An operator closed it.
    #[error("closed by command")]
    Terminated,
    /// The daemon stops.
    #[error("closed because the gateway shuts down")]
    Shutdown,
    /// The connection was removed from the configuration.
    #[error("closed because its connection was removed from the configuration")]
    Unconfigured,
    /// The peer closed it.
    #[error("closed by the peer")]
    PeerDeleted,
    /// Its hard lifetime ended before a rekey succeeded.
    #[error("its lifetime ended before a rekey succeeded")]
    Expired,
    /// The same peer came with a new IKE SA.
    #[error("replaced by a newer IKE SA of the same peer")]
    Superseded,
    /// Both ends have proven themselves anew, by another IKE SA.
    #[error("replaced by a new IKE SA, for which both sides have proven themselves anew")]
    Reauthenticated,
    /// The time for which a proof counts is over.
    #[error(
        "its authentication-lifetime is over, and the sides have not proven themselves anew (RFC 4478): does who called repeat its authentication?"
    )]
    ProofExpired,
    /// Our address changed, and it could not go along.
    #[error("closed because our address changed: the peer called, or one side does no MOBIKE")]
    AddressChanged,

    /// Tunnel and transport mode.
    #[error(transparent)]
    Mode(#[from] ModeProblem),
    /// A gateway has no room for a peer that has proven itself, or has it already.
    #[error("the gateway does not let the peer in ({0})")]
    NotAdmitted(AnswerError),
    /// What the peer has behind it is in part behind another one.
    #[error("the peer's side of the traffic is in part another tunnel's ({0})")]
    NetworksTaken(AnswerError),
    /// The gateway sent us to another one.
    #[error("redirected by the gateway to {0} (RFC 5685)")]
    Redirected(GatewayIdentity),
    /// We sent the caller to another gateway.
    #[error("the caller was redirected to {0} (RFC 5685)")]
    RedirectedPeer(GatewayIdentity),
}

/// What was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An IKE SA.
    Ike,
    /// A CHILD_SA.
    Child,
}

impl core::fmt::Display for Subject {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Subject::Ike => "IKE",
            Subject::Child => "ESP",
        })
    }
}

/// What is wrong with a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum TicketProblem {
    /// It is not one of ours, or its key is gone.
    #[error("it is not of this gateway, was altered, or the key that it was sealed with is gone")]
    Unreadable,
    /// Its time is over.
    #[error("its lifetime is over")]
    Expired,
    /// It was shown before, or its IKE SA was closed since.
    #[error("it was used before, or its IKE SA was closed since")]
    Spent,
    /// No connection of today would give it.
    #[error("no connection with resumption has the identities, keys and algorithms of its session any more")]
    Policy,
}

/// Whose limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Ours.
    Ours,
    /// The peer's.
    Peers,
}

impl core::fmt::Display for Side {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Side::Ours => "ours",
            Side::Peers => "the peer's",
        })
    }
}

impl Failure {
    /// A code that never changes its meaning, for logs, manuals and searches.
    pub fn code(&self) -> &'static str {
        use Failure as F;
        match self {
            F::NoReply { .. } => "RV-NET-001",
            F::HalfOpenTimeout(_) => "RV-NET-002",
            F::PeerDead(_) => "RV-NET-003",
            F::MoveRefused(_) => "RV-NET-004",
            F::UnexpectedNat => "RV-NET-005",
            F::PeerCrashed(_) => "RV-NET-006",
            F::PeerForgot(_) => "RV-NET-007",
            F::NoReplyHere { .. } => "RV-NET-008",
            F::NoConnection => "RV-INIT-001",
            F::ProposalRefused(Subject::Ike) => "RV-INIT-002",
            F::NoProposalChosen(Subject::Ike) => "RV-INIT-003",
            F::ProposalNotOffered(Subject::Ike) => "RV-INIT-004",
            F::InvalidKeGroup(_) => "RV-INIT-005",
            F::BadKeValue => "RV-INIT-006",
            F::PeerError(_) => "RV-INIT-007",
            F::RedirectRefused(_) => "RV-INIT-008",
            F::RedirectLoop(_) => "RV-INIT-009",
            F::TicketRefused => "RV-INIT-010",
            F::TicketRejected(TicketProblem::Unreadable) => "RV-INIT-011",
            F::TicketRejected(TicketProblem::Expired) => "RV-INIT-012",
            F::TicketRejected(TicketProblem::Spent) => "RV-INIT-013",
            F::TicketRejected(TicketProblem::Policy) => "RV-INIT-014",
            F::AuthRefused => "RV-AUTH-001",
            F::PskMismatch => "RV-AUTH-002",
            F::BadSignature(_) => "RV-AUTH-003",
            F::IdentityRefused(_) => "RV-AUTH-004",
            F::CertificateRefused(_) => "RV-AUTH-005",
            F::AuthMethod { .. } => "RV-AUTH-006",
            F::NoCertificate => "RV-AUTH-007",
            F::SchemeRefused(_) => "RV-AUTH-008",
            F::NoCommonHash => "RV-AUTH-009",
            F::PpkNotAnnounced => "RV-AUTH-010",
            F::PpkNotNamed => "RV-AUTH-011",
            F::PpkUnknown(_) => "RV-AUTH-012",
            F::PpkDiffers(_) => "RV-AUTH-013",
            F::PpkOrProof(_) => "RV-AUTH-014",
            F::PpkRefused(_) => "RV-AUTH-015",
            F::PpkDeclined(_) => "RV-AUTH-016",
            F::ResumptionProof => "RV-AUTH-017",
            F::NoClient(_) => "RV-AUTH-018",
            F::NoOlderMethod(_) => "RV-AUTH-019",
            F::SecondProof(second) => second.code(),
            F::TsUnacceptable => "RV-CHILD-001",
            F::TsRefused => "RV-CHILD-002",
            F::TsNotOffered => "RV-CHILD-003",
            F::ProposalRefused(Subject::Child) => "RV-CHILD-004",
            F::NoProposalChosen(Subject::Child) => "RV-CHILD-005",
            F::ProposalNotOffered(Subject::Child) => "RV-CHILD-006",
            F::NoAdditionalSas(_) => "RV-CHILD-007",
            F::TooManyResources(_) => "RV-CHILD-012",
            F::SinglePairRequired => "RV-CHILD-013",
            F::Mode(problem) => problem.code(),
            F::ChildNotFound => "RV-CHILD-008",
            F::TemporaryFailure => "RV-CHILD-009",
            F::FollowupForgotten => "RV-CHILD-010",
            F::Syntax(_) => "RV-PROTO-001",
            F::CriticalPayload(_) => "RV-PROTO-002",
            F::MajorVersion => "RV-PROTO-003",
            F::AnswerTimeout { .. } => "RV-LOCAL-001",
            F::AnswerRefused { .. } => "RV-LOCAL-002",
            F::AnswerMismatch(_) => "RV-LOCAL-003",
            F::Crypto(_) => "RV-LOCAL-004",
            F::NotConfigured(_) => "RV-LOCAL-005",
            F::Terminated => "RV-END-001",
            F::Shutdown => "RV-END-002",
            F::Unconfigured => "RV-END-003",
            F::PeerDeleted => "RV-END-004",
            F::Expired => "RV-END-005",
            F::Superseded => "RV-END-006",
            F::AddressChanged => "RV-END-007",
            F::Reauthenticated => "RV-END-010",
            F::ProofExpired => "RV-END-011",
            F::BusyWithoutEnd => "RV-END-012",
            F::NotAdmitted(_) => "RV-GATE-001",
            F::NetworksTaken(_) => "RV-CHILD-011",
            F::Redirected(_) => "RV-END-008",
            F::RedirectedPeer(_) => "RV-END-009",
        }
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        use Failure as F;
        match self {
            F::NoReply { .. }
            | F::NoReplyHere { .. }
            | F::HalfOpenTimeout(_)
            | F::PeerDead(_)
            | F::PeerCrashed(_)
            | F::PeerForgot(_)
            | F::FollowupForgotten
            | F::UnexpectedNat
            | F::ProofExpired
            | F::Expired => Blame::Network,
            F::NoConnection
            | F::MoveRefused(_)
            | F::ProposalRefused(_)
            | F::NoProposalChosen(_)
            | F::InvalidKeGroup(_)
            | F::PeerError(_)
            | F::RedirectRefused(_)
            | F::RedirectLoop(_)
            | F::TicketRefused
            | F::TicketRejected(_)
            | F::AuthRefused
            | F::PskMismatch
            | F::IdentityRefused(_)
            | F::NoClient(_)
            | F::AuthMethod { .. }
            | F::NoCertificate
            | F::SchemeRefused(_)
            | F::NoCommonHash
            | F::NoOlderMethod(_)
            | F::PpkNotAnnounced
            | F::PpkUnknown(_)
            | F::PpkDiffers(_)
            | F::PpkOrProof(_)
            | F::PpkRefused(_)
            | F::PpkDeclined(_)
            | F::TsUnacceptable
            | F::TsRefused
            | F::NoAdditionalSas(_)
            | F::TooManyResources(_)
            | F::SinglePairRequired
            | F::ChildNotFound
            | F::TemporaryFailure
            | F::BusyWithoutEnd
            | F::MajorVersion
            | F::NetworksTaken(_) => Blame::Incompatible,
            F::ProposalNotOffered(_)
            | F::BadKeValue
            | F::BadSignature(_)
            | F::CertificateRefused(_)
            | F::ResumptionProof
            | F::PpkNotNamed
            | F::TsNotOffered
            | F::Syntax(_)
            | F::CriticalPayload(_) => Blame::PeerMisbehaved,
            F::AnswerTimeout { .. } | F::AnswerRefused { .. } | F::AnswerMismatch(_) | F::Crypto(_) => {
                Blame::Us
            }
            F::SecondProof(second) => second.blame(),
            F::Mode(problem) => problem.blame(),
            F::NotConfigured(_)
            | F::Terminated
            | F::Shutdown
            | F::Unconfigured
            | F::PeerDeleted
            | F::Superseded
            | F::Reauthenticated
            | F::AddressChanged
            | F::NotAdmitted(_)
            | F::Redirected(_)
            | F::RedirectedPeer(_) => Blame::Operator,
        }
    }

    /// Whether the post-quantum preshared keys of both sides are what to look at.
    pub fn is_about_ppk(&self) -> bool {
        use Failure as F;
        matches!(
            self,
            F::PpkNotAnnounced
                | F::PpkUnknown(_)
                | F::PpkDiffers(_)
                | F::PpkOrProof(_)
                | F::PpkRefused(_)
                | F::PpkDeclined(_)
        )
    }

    /// Whether the peer, or the way to it, was lost without a word: what a ticket is for (RFC 5723 §1).
    pub fn is_loss(&self) -> bool {
        matches!(
            self,
            Failure::PeerDead(_)
                | Failure::PeerCrashed(_)
                | Failure::MoveRefused(_)
                | Failure::NoReply { .. }
        )
    }

    /// Whether the next call is under way already, elsewhere.
    pub fn goes_on(&self) -> bool {
        matches!(self, Failure::Redirected(_) | Failure::NoReplyHere { .. })
    }

    /// Whether somebody wanted this end, so that nothing needs repair.
    pub fn is_orderly(&self) -> bool {
        matches!(
            self,
            Failure::Terminated
                | Failure::Shutdown
                | Failure::Unconfigured
                | Failure::PeerDeleted
                | Failure::Superseded
                | Failure::Reauthenticated
                | Failure::AddressChanged
                | Failure::Redirected(_)
                | Failure::RedirectedPeer(_)
        )
    }
}
