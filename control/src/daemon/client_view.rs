//! What operators read of databases of clients, and which client would take a peer. Asked of the loop, in parts: there
//! may be thousands.

use std::collections::BTreeMap;

use ravelin_dataplane::io::Pool;
use ravelin_ike::config::IdentityPattern;

use super::core::Core;
use crate::api::reply::{Client, ClientDb, Matched};
use crate::api::request::{ClientDbName, MatchClient};
use crate::api::{ApiError, Reply};
use crate::config::{self, plan};
use crate::tunnel::{connection, words};

/// Clients of one part.
const PART: usize = 4096;

impl<P: Pool> Core<P> {
    /// All databases, or the one that is named with a part of its clients.
    pub(super) fn client_db_rows(&self, asked: &ClientDbName) -> Result<Reply, ApiError> {
        let Some(name) = &asked.client_db else {
            let databases = self.plan.client_dbs.values().map(|database| self.client_db_row(database));
            return Ok(Reply::ClientDbs { databases: databases.collect(), clients: Vec::new(), next: None });
        };
        let database = self.client_db(name)?;
        let from = asked.page.unwrap_or_default().from as usize;
        let counts = self.tunnels_by_client(name);
        let those = database.clients.iter().enumerate().skip(from).take(PART);
        let next = (from + PART < database.clients.len()).then_some((from + PART) as u32);
        Ok(Reply::ClientDbs {
            databases: vec![self.client_db_row(database)],
            clients: those.map(|(place, one)| row(place, one, &counts)).collect(),
            next,
        })
    }

    /// Which client would take a peer. Who does not say who it is says its address, as peers with a key do.
    pub(super) fn match_client(&self, asked: &MatchClient) -> Result<Reply, ApiError> {
        let database = self.client_db(&asked.client_db)?;
        let refused = |why| ApiError::Refused { why };
        let text = asked.identity.clone().unwrap_or_else(|| asked.address.to_string());
        let identity = config::identity(&text)
            .map_err(|expected| format!("--id {text:?} is not valid; expected {expected}"));
        let identity = identity.and_then(|identity| connection::wire(&identity)).map_err(refused)?;
        let found = database.lookup.find(asked.address, &identity);
        let counts = self.tunnels_by_client(&asked.client_db);
        let client = found.as_ref().ok().and_then(|client| {
            let place = *database.by_name.get(&client.name)?;
            Some(row(place, database.clients.get(place)?, &counts))
        });
        let outcome = match (&found, database.fallback) {
            (Ok(_), _) => "client",
            (Err(_), true) => "fallback",
            (Err(_), false) => "refused",
        };
        Ok(Reply::ClientMatch(Matched {
            client_db: asked.client_db.clone(),
            address: asked.address.to_string(),
            identity: text,
            outcome: outcome.to_owned(),
            reason: found.err().map(|nobody| nobody.to_string()).unwrap_or_default(),
            client,
        }))
    }

    fn client_db(&self, name: &str) -> Result<&plan::ClientDb, ApiError> {
        let known = || self.plan.client_dbs.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let found = self.plan.client_dbs.get(name).map(AsRef::as_ref);
        found.ok_or_else(|| ApiError::NoClientDb { name: name.to_owned(), known: known() })
    }

    fn client_db_row(&self, database: &plan::ClientDb) -> ClientDb {
        ClientDb {
            name: database.name.clone(),
            enabled: database.enabled,
            fallback: database.fallback,
            gateways: self.gateways_with(&database.name).map(str::to_owned).collect(),
            count: database.clients.len(),
        }
    }

    fn gateways_with<'a>(&'a self, database: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        let has = move |gateway: &&plan::Gateway| {
            gateway.clients.as_ref().is_some_and(|clients| clients.name == database)
        };
        self.plan.gateways.values().filter(has).map(|gateway| gateway.name.as_str())
    }

    fn tunnels_by_client<'a>(&'a self, database: &'a str) -> BTreeMap<&'a str, usize> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for gateway in self.gateways_with(database) {
            for (client, count) in self.gateways.peers.by_client(gateway) {
                *counts.entry(client).or_default() += count;
            }
        }
        counts
    }
}

fn row(place: usize, client: &plan::Client, tunnels: &BTreeMap<&str, usize>) -> Client {
    let plan::Client { name, enabled, criteria, psk, accept_certificate, private, template, traffic } =
        client;
    Client {
        number: place + 1,
        name: name.clone(),
        enabled: *enabled,
        remote: criteria.places.iter().map(ToString::to_string).collect(),
        remote_ids: criteria.identities.iter().map(pattern).collect(),
        psk: psk.is_some(),
        accept_certificate: *accept_certificate,
        private_instance: private.clone().unwrap_or_default(),
        tunnel_template: template.as_ref().map(|template| template.name.clone()).unwrap_or_default(),
        ts_list: traffic.as_ref().map(|list| list.name.clone()).unwrap_or_default(),
        tunnels: tunnels.get(name.as_str()).copied().unwrap_or_default(),
    }
}

/// As it was written.
fn pattern(pattern: &IdentityPattern) -> String {
    match pattern {
        IdentityPattern::Exact(identity) => words::identity(identity),
        IdentityPattern::Suffix(suffix) => format!("*{suffix}"),
        IdentityPattern::Within(prefix) => prefix.to_string(),
    }
}
