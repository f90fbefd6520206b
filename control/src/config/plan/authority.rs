//! What is known of authorities, and from where anything may be fetched.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use ravelin_fetch::url::Scheme;
use ravelin_pki::revocation::cache::Schedule;
use ravelin_pki::revocation::policy::{Demand, Order, Rules};

use super::InstanceId;

/// What is known of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaProfile {
    /// Whether anything may rest on it.
    pub enabled: bool,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// How much an answer matters, where it is not what the anchors' profile says.
    pub demand: Option<Demand>,
    /// Whom to ask, likewise.
    pub order: Option<Order>,
    /// Everything else about its CRL and responder.
    pub rules: Rules,
    /// CRLs from files and the store, with what they were named as.
    pub lists: Vec<(String, Arc<[u8]>)>,
    /// When its CRL is fetched again.
    pub schedule: Schedule,
    /// The longest pause after a round of its addresses that brought nothing, in seconds; `None`: until somebody asks for it.
    pub retry: Option<i64>,
    /// The instance its servers are asked from.
    pub instance: InstanceId,
}

/// What is fetched over networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Private or special networks that URLs of certificates may lead to.
    pub allow: Vec<IpNet>,
    /// Schemes that are spoken.
    pub schemes: BTreeSet<Scheme>,
    /// Directory below which `file` URLs are read.
    pub files: Option<PathBuf>,
    /// Certificates that TLS servers must chain to, DER.
    pub roots: Vec<Vec<u8>>,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// Octets of answers kept over a restart.
    pub kept: u64,
}
