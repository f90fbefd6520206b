//! The tunnels of a configuration: addresses, authentication, and the two policies they
//! refer to, with the defaults that docs/configuration.md promises. Their children are in `children`, keys by hand in
//! `manual`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_dataplane::sa::Mode;
use ravelin_ike::config::{AlgorithmProfile, InitialContact};
use toml::Spanned;

use super::group;
use super::lint;
use super::lockout;
use super::packets::{self, Behind};
use super::plan;
use super::policy;
use super::ppk::{self, PpkLists};
use super::profile;
use super::proposal;
use super::raw::{self, SecretText, Text};
use super::redirect;
use super::resolve::{Judge, instance_id};
use super::route;
use super::second;
use super::value;
use crate::trust::CommonNames;

/// Packets of the anti-replay window where none is configured.
pub(super) const DEFAULT_WINDOW: u32 = 1024;
/// IKE-13, LIM-07: children of a tunnel where no limit is configured.
const DEFAULT_CHILDREN: u64 = 5;

/// What an SA carries at least before it ends: less is gone before a rekey can be done.
const LEAST_BYTES: u64 = 65_536;
const LEAST_PACKETS: u64 = 64;

/// What tunnels stand on.
pub struct Ground<'r> {
    /// Instances, by number.
    pub instances: &'r [plan::Instance],
    /// Interfaces.
    pub interfaces: &'r [plan::Interface],
    /// Our certificates by profile name.
    pub cert_profiles: &'r BTreeMap<String, plan::CertProfile>,
    /// Lists of names of peers.
    pub common_names: BTreeMap<String, Arc<CommonNames>>,
    /// Post-quantum preshared keys.
    pub ppk_lists: PpkLists,
}

/// Policies and transforms that were judged already, by their names, and by the profile they were judged under. Whoever
/// names one of them again has the same: there may be tens of thousands.
#[derive(Default)]
pub struct Settled {
    policies: Judged<plan::IkePolicy>,
    transforms: Judged<plan::IpsecTransform>,
}

/// None is named by who takes the defaults.
type Judged<T> = BTreeMap<(Option<String>, AlgorithmProfile), Arc<T>>;

/// Judges all tunnels.
pub fn tunnels(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    ground: &Ground<'_>,
    settled: &mut Settled,
) -> BTreeMap<String, Arc<plan::Tunnel>> {
    let profile = raw.ike.profile.as_ref();
    let profile = profile.and_then(|text| judge.value("ike", "profile", text, profile::named));
    let profile = profile.unwrap_or_default();
    let mut tunnels = BTreeMap::new();
    for (name, spanned) in &raw.tunnel {
        let (object, at) = (format!("tunnel.{name}"), spanned.span().start);
        let mut one = One { judge, raw, ground, settled, profile, object, at };
        if let Some(tunnel) = one.tunnel(name, spanned.get_ref()) {
            tunnels.insert(name.clone(), Arc::new(tunnel));
        }
    }
    tunnels
}

/// The profile of the whole, which `tunnels` has judged already.
pub(super) fn profile(raw: &raw::File) -> AlgorithmProfile {
    let written = raw.ike.profile.as_ref();
    written.and_then(|text| profile::named(text.get_ref()).ok()).unwrap_or_default()
}

/// One tunnel, or gateway, under judgement.
pub(super) struct One<'j, 's, 'r> {
    pub(super) judge: &'j mut Judge<'s>,
    pub(super) raw: &'r raw::File,
    pub(super) ground: &'r Ground<'r>,
    pub(super) settled: &'j mut Settled,
    /// The profile of the whole, until its policy names another.
    pub(super) profile: AlgorithmProfile,
    pub(super) object: String,
    pub(super) at: usize,
}

/// `reverse-route` of a tunnel or template: whether routes are made of its selectors.
pub(super) fn reverse_route(judge: &mut Judge<'_>, object: &str, text: Option<&Text>) -> Option<bool> {
    let read = |text: &str| match text {
        "selectors" => Ok(true),
        "none" => Ok(false),
        _ => Err("selectors or none"),
    };
    text.and_then(|text| judge.value(object, "reverse-route", text, read))
}

/// How both sides prove themselves, as it is written.
#[derive(Clone, Copy)]
pub(super) struct Proofs<'r> {
    pub(super) psk: Option<&'r SecretText>,
    pub(super) psk_file: Option<&'r Text>,
    pub(super) certificate: Option<&'r Text>,
    pub(super) trust: Option<&'r Text>,
    /// The peer may prove itself by the key too.
    pub(super) accept_psk: bool,
}

impl One<'_, '_, '_> {
    pub(super) fn refuse(&mut self, found: &str, expected: &str) {
        self.judge.refuse(self.at, &self.object, found.to_owned(), expected);
    }

    fn tunnel(&mut self, name: &str, raw: &raw::Tunnel) -> Option<plan::Tunnel> {
        let Ground { instances, interfaces, .. } = self.ground;
        let mut instance =
            |key, text: &Option<Text>| instance_id(self.judge, &self.object, key, text.as_ref(), instances);
        let public = instance("public-instance", &raw.public_instance);
        let private = instance("private-instance", &raw.private_instance);
        let mode = self.mode(raw);
        // There are no two sides in transport mode.
        let one_sided = mode == Mode::Transport && raw.private_instance.is_none();
        let private = if one_sided { public } else { private };
        let local = self.local(raw.local.as_ref(), public, interfaces)?;
        let remote = self.remote(raw, local)?;
        let keying = match &raw.manual {
            Some(manual) => plan::Keying::Manual(self.manual(raw, remote, manual)?),
            None => plan::Keying::Ike(Box::new(self.ike(raw, (public, local), remote)?)),
        };
        if let plan::Keying::Ike(ike) = &keying {
            self.profile = ike.policy.profile;
        }
        let child_limit = child_limit(self.judge, &self.object, raw.child_limit.as_ref());
        let between = remote.filter(|_| mode == Mode::Transport).map(|remote| (local, remote));
        let children = self.children(name, raw, between, child_limit)?;
        if let plan::Keying::Ike(ike) = &keying {
            let transforms = children.iter().map(|child| &*child.transform);
            lint::times(self.judge, (&self.object, self.at), &ike.policy, transforms);
        }
        let group = group::named(self.judge, &self.object, raw.tunnel_group.as_ref(), self.raw)?;
        let per_worker = self.per_worker(raw);
        let routes = route::into_tunnel(self.judge, self.raw, name, private, instances);
        let (name, origin) = (name.to_owned(), None);
        let reverse_route = reverse_route(self.judge, &self.object, raw.reverse_route.as_ref());
        let tunnel = plan::Tunnel {
            name,
            enabled: raw.enabled.unwrap_or(true),
            public,
            private,
            local,
            remote,
            keying,
            child_limit,
            per_worker,
            mode,
            packets: packets::settings(self.judge, &self.object, &raw.packets, Behind::esp(local.is_ipv4())),
            reverse_route: reverse_route.unwrap_or(mode == Mode::Tunnel),
            routes,
            children,
            origin,
            group,
        };
        if mode == Mode::Transport {
            self.fits_transport(raw, &tunnel);
        }
        Some(tunnel)
    }

    /// SAs for each worker are negotiated; keys by hand are for one SA in each direction.
    fn per_worker(&mut self, raw: &raw::Tunnel) -> bool {
        let per_worker = raw.per_worker.unwrap_or(false);
        if per_worker && raw.manual.is_some() {
            self.refuse("per-worker does not go with manual keys", "one or the other");
        }
        per_worker
    }

    /// The outer address must be ours: nothing else could be answered for.
    pub(super) fn local(
        &mut self,
        text: Option<&Text>,
        public: plan::InstanceId,
        interfaces: &[plan::Interface],
    ) -> Option<IpAddr> {
        let Some(text) = text else {
            self.refuse("has no local address", "local = \"ADDRESS\" of an interface");
            return None;
        };
        self.ours(("local", text), public, interfaces)
    }

    pub(super) fn ours(
        &mut self,
        (key, text): (&str, &Text),
        public: plan::InstanceId,
        interfaces: &[plan::Interface],
    ) -> Option<IpAddr> {
        let local = self.judge.value(&self.object, key, text, value::address)?;
        let ours =
            || interfaces.iter().filter(|interface| interface.instance == public).flat_map(|i| &i.addresses);
        if !ours().any(|net| net.addr() == local) {
            let known = ours().map(|net| net.addr().to_string()).collect::<Vec<_>>().join(", ");
            let found = format!("{key} = {local} is on no interface of its public instance");
            self.judge.refuse(text.span().start, &self.object, found, format!("one of {known}"));
        }
        Some(local)
    }

    fn remote(&mut self, raw: &raw::Tunnel, local: IpAddr) -> Option<Option<IpAddr>> {
        let Some(text) = &raw.remote else {
            self.refuse("has no remote address", "remote = \"ADDRESS\" or \"any\"");
            return None;
        };
        if text.get_ref() == "any" {
            return Some(None);
        }
        let remote = self.judge.value(&self.object, "remote", text, value::address)?;
        if remote.is_ipv4() != local.is_ipv4() {
            let found = format!("local {local} and remote {remote} are of different families");
            self.judge.refuse(text.span().start, &self.object, found, "both IPv4 or both IPv6");
        }
        Some(Some(remote))
    }

    fn ike(
        &mut self,
        raw: &raw::Tunnel,
        (public, local): (plan::InstanceId, IpAddr),
        remote: Option<IpAddr>,
    ) -> Option<plan::Ike> {
        let policy = self.ike_policy(raw.ike_policy.as_ref());
        let (psk, psk_file) = (raw.psk.as_ref(), raw.psk_file.as_ref());
        let (certificate, trust) = (raw.certificate.as_ref(), raw.trust.as_ref());
        let accept_psk = raw.accept_psk.unwrap_or(false);
        let proofs = Proofs { psk, psk_file, certificate, trust, accept_psk };
        let (own, peer) = self.authentication(proofs, policy.profile)?;
        if accept_psk && raw.remote_id.is_none() {
            self.refuse("accept-psk without remote-id", "remote-id: whoever has the key could be anybody");
        }
        let mut identity = |key, text: &Option<Text>| {
            text.as_ref().and_then(|text| self.judge.value(&self.object, key, text, value::identity))
        };
        let local_id = identity("local-id", &raw.local_id);
        let remote_id = identity("remote-id", &raw.remote_id);
        let auto_establish = raw.auto_establish.unwrap_or(false);
        if auto_establish && remote.is_none() {
            self.refuse("auto-establish needs a peer to call", "remote = \"ADDRESS\"");
        }
        let written = ppk::Written {
            list: raw.ppk_list.as_ref(),
            id: raw.ppk_id.as_ref(),
            required: raw.ppk_required.unwrap_or(false),
        };
        let lists = &self.ground.ppk_lists;
        let ppk = ppk::ppks(self.judge, (&self.object, self.at), &written, lists, remote.is_some());
        let on_demand = raw.on_demand.unwrap_or(true);
        // Between fixed addresses nothing moves, and IKE stays on port 500.
        let written = (raw.mobike, raw.mobike_addresses.as_slice());
        let (mobike, mobike_addresses) = self.mobike(written, remote.is_none(), &policy, (public, local));
        let initial_contact = self.unique(raw.unique.as_ref());
        let place = (self.object.as_str(), self.at);
        let redirect = redirect::redirection(self.judge, place, raw, (local, remote));
        let second = second::second_auth(self.judge, &self.object, raw.second_auth.as_ref(), ppk.is_some());
        Some(plan::Ike {
            second,
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
            backup_remotes: self.backup_remotes(raw, (local, remote)),
            redirect,
            initial_contact,
        })
    }

    /// What another IKE SA of the same peer means (IKE-31).
    fn unique(&mut self, text: Option<&Text>) -> InitialContact {
        let read = |text: &str| match text {
            "no" => Ok(InitialContact::Honour),
            "replace" => Ok(InitialContact::Replace),
            "never" => Ok(InitialContact::Never),
            _ => Err("no, replace or never"),
        };
        text.and_then(|text| self.judge.value(&self.object, "unique", text, read)).unwrap_or_default()
    }

    /// A PSK or a certificate on our side, a PSK or anchors on the peer's (IKE-09: they may differ).
    pub(super) fn authentication(
        &mut self,
        proofs: Proofs<'_>,
        profile: AlgorithmProfile,
    ) -> Option<(plan::OwnAuthentication, plan::PeerAuthentication)> {
        let psk = self.psk(proofs)?;
        if proofs.accept_psk && (psk.is_none() || proofs.certificate.is_none() || proofs.trust.is_none()) {
            self.refuse("accept-psk has nothing to choose from", "psk, certificate and trust beside it");
        }
        let own = match (proofs.certificate, &psk) {
            (Some(name), _) => {
                self.judge.follow(&self.object, "certificate", name, &self.raw.cert_profile)?;
                if let Some(certificate) = self.ground.cert_profiles.get(name.get_ref()) {
                    profile::certificate(self.judge, profile, &self.object, name, certificate);
                }
                plan::OwnAuthentication::Certificate(name.get_ref().clone())
            }
            (None, Some(psk)) => plan::OwnAuthentication::Psk(psk.clone()),
            (None, None) => {
                self.refuse("has no way to prove itself", "psk, psk-file or certificate");
                return None;
            }
        };
        let peer = match (proofs.trust, psk) {
            (Some(name), psk) => {
                self.judge.follow(&self.object, "trust", name, &self.raw.trust_anchor_profile)?;
                let name = name.get_ref().clone();
                match psk.filter(|_| proofs.accept_psk) {
                    Some(psk) => plan::PeerAuthentication::Either(psk, name),
                    None => plan::PeerAuthentication::Certificate(name),
                }
            }
            (None, Some(psk)) => plan::PeerAuthentication::Psk(psk),
            (None, None) => {
                self.refuse("has no way to judge its peer", "psk, psk-file or trust");
                return None;
            }
        };
        Some((own, peer))
    }

    fn psk(&mut self, proofs: Proofs<'_>) -> Option<Option<plan::Secret>> {
        let (text, file) = (("psk", proofs.psk), ("psk-file", proofs.psk_file));
        super::material::shared_key(self.judge, (&self.object, self.at), text, file)
    }

    pub(super) fn ike_policy(&mut self, name: Option<&Text>) -> Arc<plan::IkePolicy> {
        let named =
            name.and_then(|name| self.judge.follow(&self.object, "ike-policy", name, &self.raw.ike_policy));
        let key = (name.map(|name| name.get_ref().clone()), self.profile);
        if let Some(policy) = self.settled.policies.get(&key) {
            return Arc::clone(policy);
        }
        let policy = Arc::new(self.judged_policy(name, named.map(Spanned::get_ref)));
        self.settled.policies.insert(key, Arc::clone(&policy));
        policy
    }

    fn judged_policy(&mut self, name: Option<&Text>, named: Option<&raw::IkePolicy>) -> plan::IkePolicy {
        let default = raw::IkePolicy::default();
        let raw = named.unwrap_or(&default);
        let object =
            name.map_or_else(|| self.object.clone(), |name| format!("ike-policy.{}", name.get_ref()));
        let judge = &mut *self.judge;
        let profile = raw.profile.as_ref();
        let profile = profile.and_then(|text| judge.value(&object, "profile", text, profile::named));
        let profile = profile.unwrap_or(self.profile);
        let lifetime = judge.number(&object, "lifetime", raw.lifetime.as_ref(), 1..=31_536_000, 86_400);
        let (percent, jitter) = (raw.soft_lifetime_percent.as_ref(), raw.jitter_percent.as_ref());
        let lockout = raw.lockout.as_ref().map(|raw| lockout::lockout(judge, &object, raw));
        let (place, written) = ((object.as_str(), profile), raw.proposals.as_ref());
        plan::IkePolicy {
            lockout,
            profile,
            proposals: proposal::list(judge, place, written, &proposal::IKE, proposal::ike).into(),
            lifetime: Duration::from_secs(lifetime),
            authentication_lifetime: policy::authentication_lifetime(judge, &object, raw),
            soft: policy::soft_lifetime(judge, &object, percent, jitter),
            dead_peer: policy::dead_peer(judge, &object, raw),
            fragmentation: policy::fragmentation(judge, &object, raw),
            nat: policy::nat(judge, &object, raw),
            childless: raw.childless.unwrap_or(false),
            resumption: raw.resumption.unwrap_or(false),
        }
    }

    pub(super) fn transform(&mut self, name: Option<&Text>) -> Arc<plan::IpsecTransform> {
        let named = name.and_then(|name| {
            self.judge.follow(&self.object, "ipsec-transform", name, &self.raw.ipsec_transform)
        });
        let key = (name.map(|name| name.get_ref().clone()), self.profile);
        if let Some(transform) = self.settled.transforms.get(&key) {
            return Arc::clone(transform);
        }
        let transform = Arc::new(self.judged_transform(name, named.map(Spanned::get_ref)));
        self.settled.transforms.insert(key, Arc::clone(&transform));
        transform
    }

    fn judged_transform(
        &mut self,
        name: Option<&Text>,
        named: Option<&raw::IpsecTransform>,
    ) -> plan::IpsecTransform {
        let default = raw::IpsecTransform::default();
        let raw = named.unwrap_or(&default);
        let object =
            name.map_or_else(|| self.object.clone(), |name| format!("ipsec-transform.{}", name.get_ref()));
        let judge = &mut *self.judge;
        let lifetime = judge.number(&object, "lifetime", raw.lifetime.as_ref(), 1..=31_536_000, 3600);
        let window = replay_window(judge, &object, raw.replay_window.as_ref()).unwrap_or(DEFAULT_WINDOW);
        let esn = raw.extended_sequence_number.unwrap_or(true);
        let (place, written) = ((object.as_str(), self.profile), raw.proposals.as_ref());
        let esp = |text: &str| proposal::esp(text, esn);
        let (bytes, packets) = (raw.lifetime_bytes.as_ref(), raw.lifetime_packets.as_ref());
        let (percent, jitter) = (raw.soft_lifetime_percent.as_ref(), raw.jitter_percent.as_ref());
        plan::IpsecTransform {
            proposals: proposal::list(judge, place, written, &proposal::ESP, esp).into(),
            lifetime: Duration::from_secs(lifetime),
            lifetime_bytes: policy::volume(judge, &object, "lifetime-bytes", bytes, LEAST_BYTES),
            lifetime_packets: policy::volume(judge, &object, "lifetime-packets", packets, LEAST_PACKETS),
            soft: policy::soft_lifetime(judge, &object, percent, jitter),
            replay_window: window,
        }
    }
}

/// IKE-13: how many children a tunnel may have at once.
pub(super) fn child_limit(judge: &mut Judge<'_>, object: &str, value: Option<&Spanned<u64>>) -> usize {
    judge.number(object, "child-limit", value, 1..=plan::CHILDREN as u64, DEFAULT_CHILDREN) as usize
}

pub(super) fn replay_window(
    judge: &mut Judge<'_>,
    object: &str,
    value: Option<&Spanned<u64>>,
) -> Option<u32> {
    let value = value?;
    if value.get_ref().is_power_of_two() && (64..=8192).contains(value.get_ref()) {
        return u32::try_from(*value.get_ref()).ok();
    }
    let found = format!("replay-window = {} is not valid", value.get_ref());
    judge.refuse(value.span().start, object, found, "64, 128, 256, 512, 1024, 2048, 4096 or 8192");
    None
}
