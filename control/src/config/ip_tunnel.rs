//! Ip-tunnels: GRE and IP in IP (DP-20 to DP-22, TG-15). Whether one may be up depends on addresses that come and go, and
//! is asked while it runs ([`crate::tunnel::ip_tunnel`]).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use ravelin_dataplane::policy::ip_tunnel::Kind;
use toml::Spanned;

use super::packets::{self, Behind};
use super::plan::{self, InstanceId, IpTunnel, Tunnel};
use super::raw::{self, Text};
use super::resolve::{Judge, instance_id};
use super::route;
use super::value;
use crate::tunnel::reverse;

/// TG-15.
const DEST_IPS: usize = 16;
/// DP-21: what an operator has in mind who says nothing; a tunnel is one hop.
const TTL: u64 = 255;

type Tunnels = BTreeMap<String, Arc<Tunnel>>;
type IpTunnels = BTreeMap<String, Arc<IpTunnel>>;

/// Judges all ip-tunnels.
pub fn ip_tunnels(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    (instances, interfaces): (&[plan::Instance], &[plan::Interface]),
    tunnels: &Tunnels,
) -> IpTunnels {
    let mut all = IpTunnels::new();
    for (name, spanned) in &raw.ip_tunnel {
        let object = format!("ip-tunnel.{name}");
        let at = spanned.span().start;
        let mut one = One { judge, raw, instances, interfaces, object, at };
        let Some(tunnel) = one.tunnel(name, spanned.get_ref()) else { continue };
        one.apart_from_others(&tunnel, &all);
        one.apart_from_tunnels(&tunnel, tunnels);
        all.insert(name.clone(), Arc::new(tunnel));
    }
    all
}

/// One under judgement.
struct One<'j, 's, 'r> {
    judge: &'j mut Judge<'s>,
    raw: &'r raw::File,
    instances: &'r [plan::Instance],
    interfaces: &'r [plan::Interface],
    object: String,
    at: usize,
}

impl One<'_, '_, '_> {
    fn refuse(&mut self, found: String, expected: impl Into<String>) {
        self.judge.refuse(self.at, &self.object, found, expected);
    }

    fn tunnel(&mut self, name: &str, raw: &raw::IpTunnel) -> Option<IpTunnel> {
        let mut instance = |key, text: &Option<Text>| {
            instance_id(self.judge, &self.object, key, text.as_ref(), self.instances)
        };
        let public = instance("public-instance", &raw.public_instance);
        let private = instance("private-instance", &raw.private_instance);
        let local = self.required("local", raw.local.as_ref())?;
        let remote = self.required("remote", raw.remote.as_ref())?;
        self.is_ours(local, public);
        self.is_the_peers("remote", remote, local);
        let backup = raw.backup_remote.as_ref().and_then(|text| self.address("backup-remote", text));
        if let Some(backup) = backup {
            self.is_the_peers("backup-remote", backup, local);
        }
        if backup == Some(remote) {
            self.refuse(format!("remote and backup-remote are both {remote}"), "another address of the peer");
        }
        let kind = self.kind(raw);
        let behind = Behind { outer_v4: local.is_ipv4(), header: Some(kind.header_length()) };
        let packets = packets::settings(self.judge, &self.object, &raw.packets, behind);
        if raw.packets.tfc_padding.is_some() {
            self.refuse(
                "tfc-padding is not there for ip-tunnels".into(),
                "it at the tunnel that protects them",
            );
        }
        let number = |judge: &mut Judge<'_>, key, value: &Option<Spanned<u64>>, most, default| {
            judge.number(
                &self.object,
                key,
                value.as_ref(),
                if key == "ttl" { 1..=most } else { 0..=most },
                default,
            )
        };
        let dscp = raw.dscp.as_ref().map(|_| number(self.judge, "dscp", &raw.dscp, 63, 0) as u8);
        let ttl = number(self.judge, "ttl", &raw.ttl, 255, TTL) as u8;
        Some(IpTunnel {
            name: name.to_owned(),
            description: raw.description.as_ref().map(|text| text.get_ref().clone()).unwrap_or_default(),
            enabled: raw.enabled.unwrap_or(true),
            public,
            private,
            local,
            remote,
            backup,
            kind,
            addresses: self.addresses(raw),
            dest_ips: self.dest_ips(raw),
            routes: route::into_ip_tunnel(self.judge, self.raw, name, private, self.instances),
            dscp,
            ttl,
            reassembly: super::group::reassembly(self.judge, &self.object, raw.reassembly.as_ref()),
            packets,
        })
    }

    fn required(&mut self, key: &str, text: Option<&Text>) -> Option<IpAddr> {
        match text {
            Some(text) => self.address(key, text),
            None => {
                self.refuse(format!("has no {key} address"), format!("{key} = \"ADDRESS\""));
                None
            }
        }
    }

    fn address(&mut self, key: &str, text: &Text) -> Option<IpAddr> {
        self.judge.value(&self.object, key, text, value::address)
    }

    fn is_ours(&mut self, local: IpAddr, public: InstanceId) {
        let here = self.interfaces.iter().filter(|interface| interface.instance == public);
        let ours: Vec<IpAddr> = here.flat_map(|one| &one.addresses).map(IpNet::addr).collect();
        if !ours.contains(&local) {
            let known = ours.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
            let found = format!("local = {local} is on no interface of its public instance");
            self.refuse(found, format!("one of {known}"));
        }
    }

    fn is_the_peers(&mut self, key: &str, address: IpAddr, local: IpAddr) {
        if address.is_ipv4() != local.is_ipv4() {
            let found = format!("local {local} and {key} {address} are of different families");
            self.refuse(found, "both IPv4 or both IPv6");
        }
        if address == local || address.is_multicast() || address.is_unspecified() {
            self.refuse(
                format!("{key} = {address} is no peer's address"),
                "a unicast address that is not ours",
            );
        }
    }

    /// Keys are 32 bits, and either direction has its own (RFC 2890 §2.1).
    fn kind(&mut self, raw: &raw::IpTunnel) -> Kind {
        let mut key = |key, value: &Option<Spanned<u64>>| {
            let value = value.as_ref()?;
            let most = u64::from(u32::MAX);
            Some(self.judge.number(&self.object, key, Some(value), 0..=most, 0) as u32)
        };
        let (send, receive) = (key("send-key", &raw.send_key), key("receive-key", &raw.receive_key));
        if raw.gre_header {
            return Kind::Gre { send, receive };
        }
        if send.or(receive).is_some() {
            self.refuse("a key without gre-header".into(), "gre-header = true, or no key: IP in IP has none");
        }
        Kind::Ip
    }

    fn addresses(&mut self, raw: &raw::IpTunnel) -> Vec<IpNet> {
        let read = |text| self.judge.value(&self.object, "addresses", text, value::interface_address);
        raw.addresses.iter().filter_map(read).collect()
    }

    fn dest_ips(&mut self, raw: &raw::IpTunnel) -> Vec<IpAddr> {
        if let Some(beyond) = raw.dest_ip.get(DEST_IPS) {
            let found = format!("dest-ip has {} addresses", raw.dest_ip.len());
            self.judge.refuse(beyond.span().start, &self.object, found, format!("at most {DEST_IPS}"));
        }
        let mut dest_ips = Vec::new();
        for text in &raw.dest_ip {
            let Some(address) = self.address("dest-ip", text) else { continue };
            if !dest_ips.contains(&address) {
                dest_ips.push(address);
            }
        }
        dest_ips
    }

    /// Two that receive the same would take each other's packets; two with the same behind them, each other's routes.
    fn apart_from_others(&mut self, tunnel: &IpTunnel, others: &IpTunnels) {
        let remotes =
            |one: &IpTunnel| [Some(one.remote), one.backup].into_iter().flatten().collect::<Vec<_>>();
        for other in others.values() {
            let same_ends = (other.public, other.local) == (tunnel.public, tunnel.local)
                && remotes(other).iter().any(|remote| remotes(tunnel).contains(remote));
            if same_ends && other.kind.shown() == tunnel.kind.shown() {
                let found = format!("ip-tunnel {:?} has the same ends and receives the same", other.name);
                self.refuse(found, "other addresses, or another receive-key");
            }
            let shared = tunnel.networks().find(|network| other.networks().any(|theirs| theirs == *network));
            if let Some(shared) = shared.filter(|_| other.private == tunnel.private) {
                let found = format!("{shared} is behind ip-tunnel {:?} too", other.name);
                self.refuse(found, "each dest-ip and destination in one ip-tunnel");
            }
        }
    }

    /// What is behind a tunnel with keys goes by that; a longer prefix here takes it out, by the operator's word.
    fn apart_from_tunnels(&mut self, tunnel: &IpTunnel, tunnels: &Tunnels) {
        for other in tunnels.values().filter(|other| other.private == tunnel.private) {
            let theirs = reverse::of_tunnel(other);
            let shared = tunnel.networks().find(|network| theirs.contains(network));
            if let Some(shared) = shared {
                let found = format!("{shared} is behind tunnel {:?}, which protects it", other.name);
                self.refuse(found, "another destination, or none of that tunnel's");
            }
            let within = tunnel.networks().find(|network| theirs.iter().any(|net| net.contains(network)));
            if let Some(within) = within.filter(|_| shared.is_none()) {
                let found =
                    format!("{within} goes as it is, and is of a network behind tunnel {:?}", other.name);
                self.judge.warn(self.at, &self.object, found, "destinations that no tunnel protects");
            }
        }
    }
}

#[cfg(test)]
mod tests;
