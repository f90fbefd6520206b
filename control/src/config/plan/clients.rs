//! Databases of clients: what a gateway has for each of its peers by name (TS-11 to TS-15).

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_ike::config::{Clients, Criteria};

use super::{Secret, Template, TsList};

/// A database, which several gateways may have.
#[derive(Debug, PartialEq)]
pub struct ClientDb {
    /// Its name.
    pub name: String,
    /// Whether anybody is a client of it.
    pub enabled: bool,
    /// Whether whom no client fits is met as the gateway alone would.
    pub fallback: bool,
    /// All clients, in order.
    pub clients: Vec<Client>,
    /// Places in [`ClientDb::clients`] of those that are enabled, by name.
    pub by_name: BTreeMap<String, usize>,
    /// The same, as the engine looks them up.
    pub lookup: Arc<Clients>,
}

impl ClientDb {
    /// A client that is enabled, by name.
    pub fn find(&self, name: &str) -> Option<&Client> {
        self.clients.get(*self.by_name.get(name)?)
    }
}

/// A client. What it does not say is as its gateway has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Whether anybody is it.
    pub enabled: bool,
    /// Who it is.
    pub criteria: Criteria,
    /// Its pre-shared key.
    pub psk: Option<Secret>,
    /// Beside its key a certificate will do (TG-27).
    pub accept_certificate: bool,
    /// Name of the instance of its inner packets. Numbers of instances shift with the plan.
    pub private: Option<String>,
    /// What its tunnels are like.
    pub template: Option<Arc<Template>>,
    /// What they may carry.
    pub traffic: Option<Arc<TsList>>,
}
