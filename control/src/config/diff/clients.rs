//! Databases of clients in the difference of two plans. A change is for whoever authenticates from then on; who is in
//! stays (TS-16). Nothing is shut down for it: a configuration comes whole, so nobody meets half of it.

use super::super::plan::{Gateway, Plan};

/// Databases that are not as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientDbs {
    /// To be added.
    pub added: Vec<String>,
    /// To be removed.
    pub removed: Vec<String>,
    /// With other clients.
    pub changed: Vec<String>,
}

pub(super) fn compare(running: &Plan, next: &Plan) -> ClientDbs {
    let mut databases = ClientDbs::default();
    for (name, database) in &next.client_dbs {
        match running.client_dbs.get(name) {
            None => databases.added.push(name.clone()),
            Some(former) if former != database => databases.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let gone = running.client_dbs.keys().filter(|name| !next.client_dbs.contains_key(*name));
    databases.removed.extend(gone.cloned());
    databases
}

/// Whether the instances of a gateway's clients are there.
pub(super) fn have_instances(next: &Plan, gateway: &Gateway) -> bool {
    let is_there = |name: &String| next.instances.iter().any(|instance| instance.name == *name);
    let mut clients = gateway.clients.iter().flat_map(|database| &database.clients);
    clients.all(|client| client.private.as_ref().is_none_or(is_there))
}
