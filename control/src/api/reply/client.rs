//! Databases of clients: what is in them, and which client would take a peer.

use serde::{Deserialize, Serialize};

/// A database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientDb {
    /// As in the configuration.
    pub name: String,
    /// Whether anybody is a client of it.
    pub enabled: bool,
    /// Whether whom no client fits is met as the gateway alone would.
    pub fallback: bool,
    /// Gateways that have it.
    pub gateways: Vec<String>,
    /// Clients in it, those that are not enabled too.
    pub count: usize,
}

/// A client. What is empty is as its gateway has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Its place, from 1: of several that fit a peer, the lowest takes it.
    pub number: usize,
    /// As in the configuration.
    pub name: String,
    /// Whether anybody is it.
    pub enabled: bool,
    /// Where it calls from; none: from anywhere.
    pub remote: Vec<String>,
    /// Who it says it is; none: whoever.
    pub remote_ids: Vec<String>,
    /// Whether it has a pre-shared key of its own.
    pub psk: bool,
    /// Whether a certificate will do beside it.
    pub accept_certificate: bool,
    /// Instance of its inner packets.
    pub private_instance: String,
    /// What its tunnels are like.
    pub tunnel_template: String,
    /// What they may carry.
    pub ts_list: String,
    /// Tunnels of its peers, of all gateways that have the database.
    pub tunnels: usize,
}

/// Which client would take a peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// The database.
    pub client_db: String,
    /// Where the peer calls from.
    pub address: String,
    /// Who it says it is.
    pub identity: String,
    /// `client`, `fallback` (as its gateway alone would) or `refused`.
    pub outcome: String,
    /// What was compared, where no client fits.
    pub reason: String,
    /// The client, where one fits.
    pub client: Option<Client>,
}
