//! What operators read of policy (TS-17): each instance's entries in the order in which they count, the tunnels in their
//! place among them, and how often each has decided.

use ravelin_dataplane::io::Pool;

use super::core::Core;
use crate::api::Reply;
use crate::api::reply::{InstancePolicy, PolicyRow};
use crate::config::plan::{InstanceId, PolicyAction, PolicyEntry};
use crate::tunnel::words;

impl<P: Pool> Core<P> {
    /// The policies of all instances.
    pub(super) fn policy_rows(&self) -> Reply {
        let instances = (0..self.plan.instances.len()).filter_map(|id| InstanceId::try_from(id).ok());
        Reply::Policies { instances: instances.map(|id| self.policy_of(id)).collect() }
    }

    fn policy_of(&self, instance: InstanceId) -> InstancePolicy {
        let rows = |before: bool| {
            let decisions = self.workers.policy(instance);
            let known = decisions.filter_map(|(name, decisions)| Some((self.policy_entry(name)?, decisions)));
            known
                .filter(|(entry, _)| entry.before_tunnels == before)
                .map(|(entry, count)| row(entry, count))
                .collect()
        };
        InstancePolicy {
            instance: self.service.name(instance).to_owned(),
            before_tunnels: rows(true),
            tunnels: self.roster.tunnels().filter(|(_, tunnel)| tunnel.private == instance).count(),
            behind_tunnels: rows(false),
            otherwise: "discard".to_owned(),
        }
    }

    fn policy_entry(&self, name: &str) -> Option<&PolicyEntry> {
        self.plan.policy.iter().find(|entry| entry.name == name)
    }
}

fn row(entry: &PolicyEntry, decisions: u64) -> PolicyRow {
    let side = |selectors: &[_]| match selectors {
        [] => "any".to_owned(),
        some => words::configured(some),
    };
    PolicyRow {
        name: entry.name.clone(),
        action: entry.action.name().to_owned(),
        tunnel: if let PolicyAction::Protect(name) = &entry.action { name.clone() } else { String::new() },
        local: side(&entry.local),
        remote: side(&entry.remote),
        decisions,
    }
}
