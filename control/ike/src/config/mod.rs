//! What the operator decided, as the engine needs it: connections, children, algorithms, limits.
//!
//! These are plain values, already validated by the caller's planner; the engine compares and obeys them.
//! A changed connection applies to SAs and rekeys negotiated after the change, never to established ones.

pub mod additional;
pub mod algorithm;
pub mod authentication_lifetime;
pub mod certificates;
pub mod child;
pub mod clients;
pub mod connection;
mod distinguished_name;
pub mod engine;
pub mod lockout;
pub mod ppk;
pub mod prefix;
pub mod profile;
pub mod proposals;
pub mod redirect;
pub mod second_auth;
pub mod selector;

pub use additional::AdditionalGroups;
pub use algorithm::{
    Encryption, EspProposal, Group, HashAlgorithm, IkeProposal, Integrity, Prf, SignatureScheme,
};
pub use authentication_lifetime::AuthenticationLifetime;
pub use certificates::{CertificateAuth, Choice, OwnCertificate, Reason};
pub use child::{ChildConfig, ChildId, ChildLifetime, Mode, Resource};
pub use clients::{Client, ClientMatch, Clients, Criteria, NoClient};
pub use connection::{
    Auth, Connection, ConnectionId, DeadPeer, Fragmentation, IdKind, Identity, IdentityMatch,
    IdentityPattern, IkeLifetime, InitialContact, NatTraversal, RemoteAddress, RemoteAuth, UdpEncapsulation,
};
pub use engine::{EngineConfig, HalfOpenLimits, Retransmission};
pub use lockout::Lockout;
pub use ppk::{Ppk, PpkId, PpkIdKind, Ppks};
pub use prefix::Prefix;
pub use profile::{Algorithm, AlgorithmProfile, Objection, Standing};
pub use proposals::Proposals;
pub use redirect::{AcceptRedirect, RedirectAt, RedirectCallers, Redirection};
pub use second_auth::SecondAuth;
pub use selector::Selector;
