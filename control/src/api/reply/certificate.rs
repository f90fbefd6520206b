//! Our own certificates, as peers are shown them.

use serde::{Deserialize, Serialize};

/// An entry of a cert-profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnCertificate {
    /// The profile.
    pub cert_profile: String,
    /// Its number in the profile, from 1.
    pub entry: usize,
    /// Who it says we are.
    pub subject: String,
    /// Until when it is good.
    pub until: String,
    /// The authorities above it as far as this configuration knows them, lowest first: a peer that asks for one of them
    /// is shown this entry.
    pub compare_chain: Vec<String>,
    /// Whether they end in a root.
    pub complete: bool,
    /// What is sent, by subject: a CERT payload each.
    pub sent: Vec<String>,
    /// Tunnels that are up and whose peers were shown it.
    pub tunnels: usize,
}
