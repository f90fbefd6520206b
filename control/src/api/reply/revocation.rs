//! What is known of revocation. Instants are RFC 3339.

use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Revocation {
    /// CRLs that are held.
    pub crls: Vec<Crl>,
    /// Authorities whose CRL is kept up.
    pub upkeep: Vec<CrlUpkeep>,
    /// Answers of OCSP responders that are held.
    pub ocsp_answers: usize,
    /// Addresses from which came what is of no use, left alone for a while.
    pub resting: Vec<Resting>,
    /// Peers that wait to be judged.
    pub waiting: usize,
    /// Tunnels that end when a certificate of theirs is revoked.
    pub watched: usize,
}

/// A CRL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Crl {
    /// Whose it is.
    pub issuer: String,
    /// From where it came: a URL, a file, a name of the store.
    pub source: String,
    /// How many certificates it lists.
    pub entries: usize,
    /// Octets of memory they take.
    pub octets: usize,
    /// When it was made.
    pub this_update: String,
    /// Until when it is good; empty: it does not say.
    pub next_update: String,
    /// Seconds it is out of date.
    pub stale: u64,
}

/// An authority whose CRL is kept up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CrlUpkeep {
    /// Name of its ca-profile.
    pub ca_profile: String,
    /// `downloading`, `scheduled`, or `stopped`: nobody fetches it by itself.
    pub state: String,
    /// When it is fetched next.
    pub due: String,
    /// What is not well with its CRL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<StandingFlag>,
}

/// What is not well with an authority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StandingFlag {
    /// Its word, such as `expired-crl`.
    pub flag: String,
    /// What was seen.
    pub seen: String,
    /// Whether nothing that rests on the authority is believed for it.
    pub takes_down: bool,
}

/// An address that is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resting {
    /// Which.
    pub url: String,
    /// Until when.
    pub until: String,
    /// Why.
    pub why: String,
}
