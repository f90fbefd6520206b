//! Databases of clients: who a gateway's peers are, in order, and what each has that others have not (TS-11 to TS-15).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ravelin_ike::config::{Client as Looked, Clients, Criteria, IdentityPattern, Prefix};

use super::gateway::pattern;
use super::material;
use super::plan::{self, ClientDb, Template, TsList};
use super::raw::{self, Text};
use super::resolve::{Judge, instance_id};
use super::tunnel::{Ground, One, Settled, profile};
use super::value::{self, Expected};

/// TS-11: databases, and clients of one. A worker takes twice as many tunnels at most.
const DATABASES: usize = 1000;
const CLIENTS: usize = 32_768;
/// Prefixes and identities of a client: each with each is looked up.
const CRITERIA: usize = 8;

/// What clients name, by name: many name the same.
struct Named<'r> {
    lists: &'r BTreeMap<String, TsList>,
    traffic: BTreeMap<(String, plan::InstanceId), Arc<TsList>>,
    templates: BTreeMap<String, Arc<Template>>,
}

/// Judges all databases, those too that no gateway has.
pub fn client_dbs(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    ground: &Ground<'_>,
    settled: &mut Settled,
    lists: &BTreeMap<String, TsList>,
) -> BTreeMap<String, Arc<ClientDb>> {
    if let Some((_, beyond)) = raw.client_db.iter().nth(DATABASES) {
        let found = format!("{} databases", raw.client_db.len());
        judge.refuse(beyond.span().start, "client-db", found, format!("at most {DATABASES}"));
    }
    let mut named = Named { lists, traffic: BTreeMap::new(), templates: BTreeMap::new() };
    let mut databases = BTreeMap::new();
    for (name, spanned) in &raw.client_db {
        let place = (name.as_str(), spanned.span().start);
        databases.insert(
            name.clone(),
            database(judge, raw, ground, settled, place, spanned.get_ref(), &mut named),
        );
    }
    databases
}

fn database(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    ground: &Ground<'_>,
    settled: &mut Settled,
    (name, at): (&str, usize),
    written: &raw::ClientDb,
    named: &mut Named<'_>,
) -> Arc<ClientDb> {
    let object = format!("client-db.{name}");
    if written.client.len() > CLIENTS {
        let found = format!("{} clients", written.client.len());
        judge.refuse(at, &object, found, format!("at most {CLIENTS}"));
    }
    let mut clients: Vec<plan::Client> = Vec::new();
    let mut names = BTreeSet::new();
    for spanned in &written.client {
        let at = spanned.span().start;
        let profile = profile(raw);
        let mut one = One { judge, raw, ground, settled, profile, object: object.clone(), at };
        let Some(client) = one.client(spanned.get_ref(), named) else { continue };
        if !names.insert(client.name.clone()) {
            let found = format!("two clients are named {:?}", client.name);
            judge.refuse(at, &object, found, "a name for each");
        }
        clients.push(client);
    }
    let (enabled, fallback) = (written.enabled.unwrap_or(true), written.fallback.unwrap_or(true));
    let those = || clients.iter().enumerate().filter(|(_, client)| enabled && client.enabled);
    let by_name = those().map(|(place, client)| (client.name.clone(), place)).collect();
    let lookup = lookup(name, fallback, those().map(|(_, client)| client));
    for client in lookup.unreached() {
        let found = format!("nobody is client {:?}: clients before it have all of its criteria", client.name);
        judge.warn(at, &object, found, "criteria of its own, or another order");
    }
    let (name, lookup) = (name.to_owned(), Arc::new(lookup));
    Arc::new(ClientDb { name, enabled, fallback, clients, by_name, lookup })
}

fn lookup<'c>(name: &str, fallback: bool, clients: impl Iterator<Item = &'c plan::Client>) -> Clients {
    let looked = clients.map(|client| {
        let psk = client.psk.as_ref().map(|key| key.0.clone());
        let (name, certificate) = (client.name.clone(), client.accept_certificate);
        (Looked { name, psk, certificate }, client.criteria.clone())
    });
    Clients::new(name, fallback, looked)
}

impl One<'_, '_, '_> {
    fn client(&mut self, raw: &raw::Client, named: &mut Named<'_>) -> Option<plan::Client> {
        let Some(name) = raw.name.as_ref().filter(|name| is_name(name.get_ref())) else {
            self.refuse("has a client without a name", "name = \"NAME\", of 1 to 64 characters");
            return None;
        };
        self.object = format!("{}, client {:?}", self.object, name.get_ref());
        let (psk, file) = (("psk", raw.psk.as_ref()), ("psk-file", raw.psk_file.as_ref()));
        let psk = material::shared_key(self.judge, (&self.object, self.at), psk, file)?;
        let accept_certificate = raw.accept_certificate.unwrap_or(false);
        if accept_certificate && psk.is_none() {
            self.refuse(
                "accept-certificate without a key",
                "psk or psk-file: without, it is as its gateway has it",
            );
        }
        let private = raw.private_instance.as_ref();
        let number =
            instance_id(self.judge, &self.object, "private-instance", private, self.ground.instances);
        Some(plan::Client {
            name: name.get_ref().clone(),
            enabled: raw.enabled.unwrap_or(true),
            criteria: self.criteria(raw)?,
            psk,
            accept_certificate,
            private: private.map(|name| name.get_ref().clone()),
            template: self.client_template(raw.tunnel_template.as_ref(), named)?,
            traffic: self.client_traffic(raw.ts_list.as_ref(), number, named)?,
        })
    }

    /// Who says nothing of both would be everybody: that is to be written.
    fn criteria(&mut self, raw: &raw::Client) -> Option<Criteria> {
        if raw.remote.is_empty() && raw.remote_ids.is_empty() {
            self.refuse("compares nothing", "remote or remote-ids; for everybody, remote-ids = [\"any\"]");
            return None;
        }
        for (key, texts) in [("remote", &raw.remote), ("remote-ids", &raw.remote_ids)] {
            if texts.len() > CRITERIA {
                self.refuse(&format!("{key} has {} entries", texts.len()), &format!("at most {CRITERIA}"));
                return None;
            }
        }
        let mut place = |text: &Text| self.judge.value(&self.object, "remote", text, place);
        let places = raw.remote.iter().map(&mut place).collect::<Option<Vec<_>>>()?;
        let mut identity = |text: &Text| self.judge.value(&self.object, "remote-ids", text, identity);
        let identities = raw.remote_ids.iter().map(&mut identity).collect::<Option<Vec<_>>>()?;
        // One that is any makes the others say nothing.
        let identities = identities.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default();
        Some(Criteria { places, identities })
    }

    fn client_template(
        &mut self,
        name: Option<&Text>,
        named: &mut Named<'_>,
    ) -> Option<Option<Arc<Template>>> {
        let Some(name) = name else { return Some(None) };
        if let Some(template) = named.templates.get(name.get_ref()) {
            return Some(Some(template.clone()));
        }
        let template = Arc::new(self.template(Some(name))?);
        named.templates.insert(name.get_ref().clone(), template.clone());
        Some(Some(template))
    }

    fn client_traffic(
        &mut self,
        name: Option<&Text>,
        private: plan::InstanceId,
        named: &mut Named<'_>,
    ) -> Option<Option<Arc<TsList>>> {
        let Some(name) = name else { return Some(None) };
        let key = (name.get_ref().clone(), private);
        if let Some(list) = named.traffic.get(&key) {
            return Some(Some(list.clone()));
        }
        let list = Arc::new(self.traffic(Some(name), named.lists, private)?);
        named.traffic.insert(key, list.clone());
        Some(Some(list))
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// `PREFIX`, an address, or all of a family: `ipv4-only`, `ipv6-only`.
fn place(text: &str) -> Result<Prefix, Expected> {
    match text {
        "ipv4-only" => Ok(Prefix::new([0; 4].into(), 0)),
        "ipv6-only" => Ok(Prefix::new([0; 16].into(), 0)),
        _ => value::prefix(text).map_err(|_| "a prefix, an address, ipv4-only or ipv6-only"),
    }
}

/// As a gateway's `remote-ids`, or `any`: none.
fn identity(text: &str) -> Result<Option<IdentityPattern>, Expected> {
    match text {
        "any" => Ok(None),
        _ => pattern(text).map(Some),
    }
}

/// The database that a gateway names.
pub(super) fn named(
    judge: &mut Judge<'_>,
    object: &str,
    name: Option<&Text>,
    known: &BTreeMap<String, Arc<ClientDb>>,
) -> Option<Option<Arc<ClientDb>>> {
    let Some(name) = name else { return Some(None) };
    judge.follow(object, "client-db", name, known).cloned().map(Some)
}

#[cfg(test)]
mod tests;
