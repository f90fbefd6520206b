//! The gateways of a configuration, each with its tunnel template: who is let in from anywhere, and what the tunnels
//! are like that come to be (TG-11, TG-12). What they may carry is in `ts_list`, what is otherwise for peers by name in
//! `client_db`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use ravelin_ike::config::{IdKind, Identity, IdentityPattern, InitialContact, Redirection, Selector};
use toml::Spanned;

use super::believed;
use super::client_db;
use super::group;
use super::lint;
use super::packets::{self, Behind};
use super::plan::{self, ClientDb, ReverseRoutes, Template, TsList, Unique};
use super::ppk;
use super::raw::{self, Text};
use super::redirect;
use super::resolve::{Judge, instance_id};
use super::tunnel::{Ground, One, Proofs, Settled, child_limit, profile, reverse_route};
use super::value;
use crate::tunnel::connection;

/// Identities a gateway may name.
const IDENTITIES: usize = 64;

/// Judges all gateways.
pub fn gateways(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    ground: &Ground<'_>,
    settled: &mut Settled,
    lists: &BTreeMap<String, TsList>,
    clients: &BTreeMap<String, Arc<ClientDb>>,
) -> BTreeMap<String, plan::Gateway> {
    let profile = profile(raw);
    let mut gateways: BTreeMap<String, plan::Gateway> = BTreeMap::new();
    for (name, spanned) in &raw.gateway {
        let (object, at) = (format!("gateway.{name}"), spanned.span().start);
        let mut one = One { judge, raw, ground, settled, profile, object, at };
        let Some(gateway) = one.gateway(name, spanned.get_ref(), lists, clients) else { continue };
        let place = |gateway: &plan::Gateway| (gateway.public, gateway.local);
        if let Some(other) = gateways.values().find(|other| place(other) == place(&gateway)) {
            let found = format!("gateway {:?} has local = {} already", other.name, gateway.local);
            one.refuse(&found, "one gateway an address");
        }
        gateways.insert(name.clone(), gateway);
    }
    gateways
}

impl One<'_, '_, '_> {
    fn gateway(
        &mut self,
        name: &str,
        raw: &raw::Gateway,
        lists: &BTreeMap<String, TsList>,
        clients: &BTreeMap<String, Arc<ClientDb>>,
    ) -> Option<plan::Gateway> {
        let Ground { instances, interfaces, .. } = self.ground;
        let mut instance =
            |key, text: &Option<Text>| instance_id(self.judge, &self.object, key, text.as_ref(), instances);
        let public = instance("public-instance", &raw.public_instance);
        let private = instance("private-instance", &raw.private_instance);
        let local = self.local(raw.local.as_ref(), public, interfaces)?;
        let ike = self.gateway_ike(raw, (public, local))?;
        self.profile = ike.policy.profile;
        let clients = client_db::named(self.judge, &self.object, raw.client_db.as_ref(), clients)?;
        self.judge_clients(clients.as_deref(), ike.peer.anchors().is_some());
        let (judges, listed) = (ike.peer.anchors().is_some(), raw.common_name_list.as_ref());
        let lists_of_names = &self.ground.common_names;
        let common_names = believed::named(self.judge, (&self.object, judges), listed, lists_of_names)?;
        let template = self.template(raw.tunnel_template.as_ref())?;
        let place = (self.object.as_str(), self.at);
        let of_clients = clients.iter().flat_map(|clients| &clients.clients);
        let templates = of_clients.filter_map(|client| client.template.as_deref()).chain([&template]);
        let transforms = templates.map(|template| &*template.transform);
        lint::times(self.judge, place, &ike.policy, transforms);
        Some(plan::Gateway {
            name: name.to_owned(),
            enabled: raw.enabled.unwrap_or(true),
            group: group::named(self.judge, &self.object, raw.tunnel_group.as_ref(), self.raw)?,
            public,
            private,
            local,
            ike,
            admits: self.admits(&raw.remote_ids)?,
            common_names,
            unique: self.unique_identities(raw.unique.as_ref()),
            template,
            traffic: self.traffic(raw.ts_list.as_ref(), lists, private)?,
            clients,
        })
    }

    /// A client cannot prove itself by a certificate to a gateway that judges none.
    fn judge_clients(&mut self, clients: Option<&ClientDb>, judges_certificates: bool) {
        let mut moving = clients.into_iter().flat_map(|clients| &clients.clients);
        if let Some(client) = moving.find(|client| client.accept_certificate).filter(|_| !judges_certificates)
        {
            let found = format!("its client {:?} has accept-certificate, and it has none", client.name);
            self.refuse(&found, "certificate and trust");
        }
    }

    fn gateway_ike(
        &mut self,
        raw: &raw::Gateway,
        (public, local): (plan::InstanceId, IpAddr),
    ) -> Option<plan::Ike> {
        let policy = self.ike_policy(raw.ike_policy.as_ref());
        let (psk, psk_file) = (raw.psk.as_ref(), raw.psk_file.as_ref());
        let (certificate, trust) = (raw.certificate.as_ref(), raw.trust.as_ref());
        let accept_psk = raw.accept_psk.unwrap_or(false);
        let proofs = Proofs { psk, psk_file, certificate, trust, accept_psk };
        let (own, peer) = self.authentication(proofs, policy.profile)?;
        let list = raw.ppk_list.as_ref();
        let written = ppk::Written { list, id: None, required: raw.ppk_required.unwrap_or(false) };
        let lists = &self.ground.ppk_lists;
        let ppk = ppk::ppks(self.judge, (&self.object, self.at), &written, lists, false);
        let local_id = self.own_identity(raw.local_id.as_ref());
        let (remote_id, auto_establish, on_demand) = (None, false, false);
        // Its peers come from anywhere, as with remote = "any".
        let written = (raw.mobike, raw.mobike_addresses.as_slice());
        let (mobike, mobike_addresses) = self.mobike(written, true, &policy, (public, local));
        let written = (raw.redirect_callers_to.as_ref(), raw.redirect_callers_at.as_ref());
        let callers = redirect::callers(self.judge, (&self.object, self.at), written, local);
        let redirect = Redirection { callers, ..Redirection::default() };
        Some(plan::Ike {
            second: None,
            local_id,
            remote_id,
            own,
            peer,
            ppk,
            policy,
            auto_establish,
            on_demand,
            mobike,
            mobike_addresses,
            backup_remotes: Vec::new(),
            redirect,
            initial_contact: InitialContact::default(),
        })
    }

    /// `auto` is what a tunnel has that says nothing: the subject of our certificate, else our address.
    fn own_identity(&mut self, text: Option<&Text>) -> Option<plan::Identity> {
        let text = text.filter(|text| text.get_ref() != "auto")?;
        self.judge.value(&self.object, "local-id", text, value::identity)
    }

    fn admits(&mut self, texts: &[Text]) -> Option<Vec<IdentityPattern>> {
        if texts.len() > IDENTITIES {
            let found = format!("remote-ids has {} entries", texts.len());
            self.refuse(&found, &format!("at most {IDENTITIES}"));
        }
        let read = |text: &Text| self.judge.value(&self.object, "remote-ids", text, pattern);
        texts.iter().map(read).collect()
    }

    fn unique_identities(&mut self, text: Option<&Text>) -> Unique {
        let read = |text: &str| {
            let found = Unique::ALL.into_iter().find(|(name, _)| *name == text);
            found.map(|(_, unique)| unique).ok_or("replace, keep or never")
        };
        text.and_then(|text| self.judge.value(&self.object, "unique", text, read)).unwrap_or_default()
    }

    pub(super) fn traffic(
        &mut self,
        name: Option<&Text>,
        lists: &BTreeMap<String, TsList>,
        private: plan::InstanceId,
    ) -> Option<TsList> {
        let Some(name) = name else {
            self.refuse("has no ts-list", "ts-list = \"NAME\": what its tunnels may carry");
            return None;
        };
        // A list that was refused is there all the same.
        self.judge.follow(&self.object, "ts-list", name, &self.raw.ts_list)?;
        let list = lists.get(name.get_ref()).cloned()?;
        self.warn_of_our_own(name, &list, private);
        Some(list)
    }

    /// A route into a tunnel comes before the kernel's: a peer that may say that it has our own network could take it.
    fn warn_of_our_own(&mut self, name: &Text, list: &TsList, private: plan::InstanceId) {
        let ours = self.ground.interfaces.iter().filter(|interface| interface.instance == private);
        for interface in ours {
            let is_claimed = |net: &&IpNet| {
                let ours = Selector::prefix(net.network(), net.prefix_len());
                list.remote.iter().any(|entry| entry.overlaps(&ours))
            };
            let Some(net) = interface.addresses.iter().find(is_claimed) else { continue };
            let found =
                format!("peers may claim {}, the network of interface {}", net.trunc(), interface.name);
            let expected = format!("a remote side of ts-list {:?} without it", list.name);
            self.judge.warn(name.span().start, &self.object, found, expected);
        }
    }

    pub(super) fn template(&mut self, name: Option<&Text>) -> Option<Template> {
        let default = raw::TunnelTemplate::default();
        let raw = match name {
            Some(name) => {
                let known = &self.raw.tunnel_template;
                self.judge.follow(&self.object, "tunnel-template", name, known)?.get_ref()
            }
            None => &default,
        };
        let name = name.map(|name| name.get_ref().clone()).unwrap_or_default();
        let own = if name.is_empty() { self.object.clone() } else { format!("tunnel-template.{name}") };
        let gateway = std::mem::replace(&mut self.object, own);
        let dscp = raw.dscp.as_ref();
        let template = Template {
            name,
            transform: self.transform(raw.ipsec_transform.as_ref()),
            dscp: dscp.map(|dscp| self.judge.number(&self.object, "dscp", Some(dscp), 0..=63, 0) as u8),
            child_limit: child_limit(self.judge, &self.object, raw.child_limit.as_ref()),
            per_worker: raw.per_worker.unwrap_or(false),
            packets: packets::settings(self.judge, &self.object, &raw.packets, Behind::esp(true)),
            reverse: self.reverse_routes(raw),
        };
        self.object = gateway;
        Some(template)
    }

    fn reverse_routes(&mut self, raw: &raw::TunnelTemplate) -> ReverseRoutes {
        let enabled = reverse_route(self.judge, &self.object, raw.reverse_route.as_ref());
        let mut number = |key, value: &Option<Spanned<u64>>, most| {
            self.judge.number(&self.object, key, value.as_ref(), 0..=most, 0)
        };
        ReverseRoutes {
            enabled: enabled.unwrap_or(true),
            ignore_default: raw.ignore_default_route.unwrap_or(false),
            metric: number("metric", &raw.metric, u16::MAX.into()) as u16,
            preference: number("preference", &raw.preference, u8::MAX.into()) as u8,
        }
    }
}

/// An identity, or all of a domain or prefix: `*.example.org`, `*@example.org`, `198.51.100.0/24`.
pub(super) fn pattern(text: &str) -> Result<IdentityPattern, value::Expected> {
    const EXPECTED: value::Expected =
        "an address, a domain name, user@domain, keyid:HEX, *.DOMAIN, *@DOMAIN or a prefix";
    if text.contains('/') {
        return value::prefix(text).map(IdentityPattern::Within).map_err(|_| EXPECTED);
    }
    if let Some(suffix) = text.strip_prefix('*') {
        let kind = match suffix.chars().next() {
            Some('.') => IdKind::Fqdn,
            Some('@') => IdKind::Email,
            _ => return Err(EXPECTED),
        };
        let is_domain = suffix.len() > 1 && !suffix.contains('*');
        let suffix = || Identity { kind, data: suffix.as_bytes().to_vec() };
        return is_domain.then(|| IdentityPattern::Suffix(suffix())).ok_or(EXPECTED);
    }
    match value::identity(text)? {
        // One name has several encodings; a certificate's name is judged by its anchors.
        plan::Identity::DistinguishedName(_) => Err(EXPECTED),
        identity => connection::wire(&identity).map(IdentityPattern::Exact).map_err(|_| EXPECTED),
    }
}

#[cfg(test)]
mod tests;
