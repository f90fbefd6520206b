//! Policy entries: which packets of an instance are let out in clear, thrown away or led into a tunnel, in an order
//! (RFC 4301 §4.4.1, TS-17). What one says of packets that another has spoken of before is told as a warning.

use std::collections::BTreeMap;
use std::sync::Arc;

use ravelin_ike::config::Selector;

use super::plan::{self, InstanceId, PolicyAction, PolicyEntry, Tunnel};
use super::raw::{self, Text};
use super::resolve::{Judge, instance_id};
use super::selector::selector;
use super::transport::RESERVED;

/// Entries there may be: each is compared with those before it.
const ENTRIES: usize = 4096;
/// Selectors a side: what the workers compare for a packet (TS-05).
const SELECTORS: usize = 32;

type Tunnels = BTreeMap<String, Arc<Tunnel>>;

/// Judges all entries.
pub fn entries(
    judge: &mut Judge<'_>,
    raw: &raw::File,
    instances: &[plan::Instance],
    tunnels: &Tunnels,
) -> Vec<PolicyEntry> {
    if let Some(beyond) = raw.policy.get(ENTRIES) {
        let found = format!("{} entries", raw.policy.len());
        judge.refuse(beyond.span().start, "policy", found, format!("at most {ENTRIES}"));
        return Vec::new();
    }
    let mut entries: Vec<PolicyEntry> = Vec::new();
    for spanned in &raw.policy {
        let at = spanned.span().start;
        let Some(entry) = entry(judge, at, spanned.get_ref(), (instances, tunnels)) else { continue };
        let object = object(&entry);
        if entries.iter().any(|other| other.name == entry.name) {
            let found = format!("another entry is called {:?}", entry.name);
            judge.refuse(at, &object, found, "a name of its own");
        }
        if let Some(other) = entries.iter().find(|other| is_out_of_order(other, &entry)) {
            let found = format!("it stands before the tunnels, and {:?} before it does not", other.name);
            judge.refuse(at, &object, found, "entries in the order in which they count");
        }
        contradictions(judge, (at, &object), &entry, &entries, tunnels);
        entries.push(entry);
    }
    entries
}

fn object(entry: &PolicyEntry) -> String {
    format!("policy.{}", entry.name)
}

fn is_out_of_order(other: &PolicyEntry, entry: &PolicyEntry) -> bool {
    other.instance == entry.instance && entry.before_tunnels && !other.before_tunnels
}

fn entry(
    judge: &mut Judge<'_>,
    at: usize,
    raw: &raw::Policy,
    (instances, tunnels): (&[plan::Instance], &Tunnels),
) -> Option<PolicyEntry> {
    let object = format!("policy.{}", raw.name.get_ref());
    let name = judge.value(&object, "name", &raw.name, name);
    let action = action(judge, (at, &object), raw, tunnels);
    let instance = instance(judge, &object, raw, (instances, tunnels), action.as_ref());
    let (local, remote) =
        (side(judge, &object, "local", &raw.local), side(judge, &object, "remote", &raw.remote));
    let entry = PolicyEntry {
        name: name?,
        instance: instance?,
        action: action?,
        before_tunnels: raw.before_tunnels,
        local: local?,
        remote: remote?,
    };
    if !has_packets(&entry) {
        let found = "no packet is of local and remote at once".to_owned();
        judge.refuse(at, &object, found, "both sides of one family, and of one protocol");
    }
    Some(entry)
}

fn name(text: &str) -> Result<String, &'static str> {
    match text.chars().count() {
        1..=64 if !text.starts_with(RESERVED) => Ok(text.to_owned()),
        _ => Err("1 to 64 characters, and no \"tunnel.\" in front"),
    }
}

fn action(
    judge: &mut Judge<'_>,
    (at, object): (usize, &str),
    raw: &raw::Policy,
    tunnels: &Tunnels,
) -> Option<PolicyAction> {
    let read = |text: &str| match text {
        "bypass" => Ok(PolicyAction::Bypass),
        "discard" => Ok(PolicyAction::Discard),
        "protect" => Ok(PolicyAction::Protect(String::new())),
        _ => Err("bypass, discard or protect"),
    };
    match (judge.value(object, "action", &raw.action, read)?, &raw.tunnel) {
        (PolicyAction::Protect(_), Some(name)) => {
            judge.follow(object, "tunnel", name, tunnels)?;
            Some(PolicyAction::Protect(name.get_ref().clone()))
        }
        (PolicyAction::Protect(_), None) => {
            judge.refuse(at, object, "protect without a tunnel".into(), "tunnel = \"NAME\"");
            None
        }
        (action, None) => Some(action),
        (action, Some(name)) => {
            let found = format!("a tunnel with action {:?}", action.name());
            judge.refuse(name.span().start, object, found, "action = \"protect\", or no tunnel");
            None
        }
    }
}

/// The instance that is named, or that of the packets which the tunnel takes: there is no other for them.
fn instance(
    judge: &mut Judge<'_>,
    object: &str,
    raw: &raw::Policy,
    (instances, tunnels): (&[plan::Instance], &Tunnels),
    action: Option<&PolicyAction>,
) -> Option<InstanceId> {
    let named = raw
        .instance
        .as_ref()
        .map(|_| instance_id(judge, object, "instance", raw.instance.as_ref(), instances));
    let tunnel = match action {
        Some(PolicyAction::Protect(name)) => tunnels.get(name).map(|tunnel| tunnel.private),
        _ => None,
    };
    match (named, tunnel, &raw.instance) {
        (Some(named), Some(tunnel), Some(text)) if named != tunnel => {
            let found = format!("the tunnel's private instance is not {:?}", text.get_ref());
            judge.refuse(text.span().start, object, found, "the instance of the tunnel's inner packets");
            None
        }
        _ => Some(named.or(tunnel).unwrap_or_default()),
    }
}

fn side(judge: &mut Judge<'_>, object: &str, key: &str, texts: &[Text]) -> Option<Vec<Selector>> {
    if let Some(beyond) = texts.get(SELECTORS) {
        let found = format!("{key} has {} selectors", texts.len());
        judge.refuse(beyond.span().start, object, found, format!("at most {SELECTORS}"));
        return None;
    }
    texts.iter().map(|text| judge.value(object, key, text, selector)).collect()
}

/// Whether there can be a packet that an entry speaks of.
fn has_packets(entry: &PolicyEntry) -> bool {
    let of = |local: &Selector, remote: &Selector| {
        let one_protocol =
            [local, remote].iter().any(|side| side.protocol == 0) || local.protocol == remote.protocol;
        local.start.is_ipv4() == remote.start.is_ipv4() && one_protocol
    };
    entry.local.is_empty()
        || entry.remote.is_empty()
        || entry.local.iter().any(|local| entry.remote.iter().any(|remote| of(local, remote)))
}

/// Entries that have no say, or not the one that was meant.
fn contradictions(
    judge: &mut Judge<'_>,
    (at, object): (usize, &str),
    entry: &PolicyEntry,
    before: &[PolicyEntry],
    tunnels: &Tunnels,
) {
    if let Some(other) = before.iter().find(|other| hides(other, entry)) {
        let found = format!("entry {:?} stands before it and speaks of all its packets", other.name);
        judge.warn(at, object, found, "the narrower entry first");
    }
    let those = || tunnels.values().filter(|tunnel| tunnel.private == entry.instance);
    match &entry.action {
        PolicyAction::Bypass if !entry.before_tunnels => {
            let has_all = |tunnel: &&Arc<Tunnel>| {
                let networks = tunnel.children.iter().flat_map(|child| &child.remote_ts);
                let networks: Vec<Selector> = networks.map(addresses).collect();
                is_within(&entry.remote, &networks)
            };
            if let Some(tunnel) = those().find(has_all) {
                let found =
                    format!("tunnel {:?} has all of its remote networks: it lets nothing out", tunnel.name);
                judge.warn(at, object, found, "before-tunnels = true, or no such entry");
            }
        }
        PolicyAction::Protect(name) => {
            if those().find(|tunnel| tunnel.name == *name).is_some_and(|tunnel| !carries(tunnel, entry)) {
                let found = format!("tunnel {name:?} carries nothing of it: all of it is dropped");
                judge.warn(at, object, found, "packets within the tunnel's selectors");
            }
        }
        PolicyAction::Bypass | PolicyAction::Discard => {}
    }
}

/// All packets of a selector's addresses.
fn addresses(selector: &Selector) -> Selector {
    Selector::addresses(selector.start, selector.end)
}

fn hides(other: &PolicyEntry, entry: &PolicyEntry) -> bool {
    other.instance == entry.instance
        && is_within(&entry.local, &other.local)
        && is_within(&entry.remote, &other.remote)
}

/// Whether each of these selectors lies within one of those. No selectors are everything.
fn is_within(these: &[Selector], those: &[Selector]) -> bool {
    let within = |one: &Selector| those.iter().any(|other| one.intersection(other) == Some(*one));
    those.is_empty() || (!these.is_empty() && these.iter().all(within))
}

/// Whether some child of a tunnel takes some packet of an entry.
fn carries(tunnel: &Tunnel, entry: &PolicyEntry) -> bool {
    let meet = |these: &[Selector], those: &[Selector]| {
        these.is_empty() || these.iter().any(|one| those.iter().any(|other| one.overlaps(other)))
    };
    tunnel
        .children
        .iter()
        .any(|child| meet(&entry.local, &child.local_ts) && meet(&entry.remote, &child.remote_ts))
}

#[cfg(test)]
mod tests;
