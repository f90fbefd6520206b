//! Policy entries in the workers' tables (RFC 4301 §4.4.1, TS-17). A policy is made anew where its entries, or the numbers of
//! the tunnels they name, have become other, and is known to the workers when the tables are published. What its
//! entries have decided is kept by their names.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::policy::route::TunnelId;
use ravelin_dataplane::policy::spd::{Action, At, Entry, Otherwise, Spd};
use ravelin_ike::config::Selector;

use super::Workers;
use crate::config::plan::{InstanceId, PolicyAction, PolicyEntry};
use crate::tunnel::roster::Roster;
use crate::tunnel::sas;

/// The entries in force, by instance, and what those were that are not any more.
#[derive(Debug, Default)]
pub struct Policies {
    sets: BTreeMap<InstanceId, Vec<Named>>,
    past: BTreeMap<String, u64>,
}

/// An entry as the workers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    name: String,
    before_tunnels: bool,
    entry: Entry,
}

impl<P: Pool> Workers<P> {
    /// Has the workers go by these entries. Where they cannot, nothing but tunnels' traffic is let through.
    pub fn set_policy(&mut self, entries: &[PolicyEntry], roster: &Roster) {
        let mut sets: BTreeMap<InstanceId, Option<Vec<Named>>> =
            self.policies.sets.keys().map(|instance| (*instance, Some(Vec::new()))).collect();
        for entry in entries {
            let set = sets.entry(entry.instance).or_insert_with(|| Some(Vec::new()));
            *set = set.take().zip(named(entry, roster)).map(|(mut set, named)| {
                set.push(named);
                set
            });
        }
        for (instance, set) in sets {
            self.set_policy_of(instance, set);
        }
    }

    fn set_policy_of(&mut self, instance: InstanceId, set: Option<Vec<Named>>) {
        if self.policies.sets.get(&instance) == set.as_ref() {
            return;
        }
        self.keep_hits(instance);
        let spd = set.as_ref().and_then(|set| self.spd(set)).unwrap_or_else(|| {
            tracing::error!(instance, "the policy of this instance cannot be had: everything is discarded");
            Spd::default()
        });
        if let Err(full) = self.tables.tables_mut().set_spd(instance, spd) {
            tracing::error!(instance, "everything is discarded: {full}");
            // It asks for no memory.
            let _ = self.tables.tables_mut().set_spd(instance, Spd::default());
        }
        self.policies.sets.insert(instance, set.unwrap_or_default());
    }

    fn spd(&self, set: &[Named]) -> Option<Spd> {
        let list = |before| {
            let those = set.iter().filter(|named| named.before_tunnels == before);
            those.map(|named| named.entry.clone()).collect()
        };
        let workers = self.link.workers().count();
        let spd = Spd::around(list(true), list(false), Otherwise::Discard, workers);
        spd.inspect_err(|bad| tracing::error!("{bad}")).ok()
    }

    /// What the entries of an instance have decided is not forgotten with them.
    fn keep_hits(&mut self, instance: InstanceId) {
        for (at, named) in self.policies.sets.get(&instance).into_iter().flatten().enumerate() {
            let hits = self.tables.tables().spd(instance).map_or(0, |spd| spd.hits(At(at as u32)));
            *self.policies.past.entry(named.name.clone()).or_default() += hits;
        }
    }

    /// The entries of an instance in the order in which they count, with their decisions so far.
    pub fn policy(&self, instance: InstanceId) -> impl Iterator<Item = (&str, u64)> {
        let set = self.policies.sets.get(&instance).into_iter().flatten().enumerate();
        let spd = self.tables.tables().spd(instance);
        set.map(move |(at, named)| {
            let past = self.policies.past.get(&named.name).copied().unwrap_or_default();
            (named.name.as_str(), past + spd.map_or(0, |spd| spd.hits(At(at as u32))))
        })
    }

    /// The name of an entry.
    pub fn policy_entry(&self, instance: InstanceId, At(at): At) -> Option<&str> {
        Some(&self.policies.sets.get(&instance)?.get(at as usize)?.name)
    }
}

/// An entry as the workers have it. One that leads into a tunnel that is not there (yet) discards.
fn named(entry: &PolicyEntry, roster: &Roster) -> Option<Named> {
    let action = match &entry.action {
        PolicyAction::Bypass => Action::Bypass,
        PolicyAction::Discard => Action::Discard,
        PolicyAction::Protect(name) => {
            roster.find(name).map_or(Action::Discard, |id| Action::Protect(TunnelId(id.0)))
        }
    };
    let selectors = sas::selectors(&side(&entry.local), &side(&entry.remote))?;
    let (name, before_tunnels) = (entry.name.clone(), entry.before_tunnels);
    Some(Named { name, before_tunnels, entry: Entry { selectors, action } })
}

/// No selectors are everything.
fn side(selectors: &[Selector]) -> Vec<Selector> {
    match selectors {
        [] => vec![
            Selector::prefix(Ipv4Addr::UNSPECIFIED.into(), 0),
            Selector::prefix(Ipv6Addr::UNSPECIFIED.into(), 0),
        ],
        some => some.to_vec(),
    }
}
