//! Policy entries in the difference of two plans. No tunnel moves for them: workers take a policy over whole, between two
//! bursts.

use super::super::plan::{Plan, PolicyAction, PolicyEntry};
use super::{Difference, instance};

/// Entries that are not as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// To be added.
    pub added: Vec<String>,
    /// To be removed.
    pub removed: Vec<String>,
    /// That say something else.
    pub changed: Vec<String>,
    /// Those that stay stand in another order.
    pub reordered: bool,
}

impl Policy {
    /// Whether anything is other.
    pub fn differs(&self) -> bool {
        *self != Policy::default()
    }
}

/// Entries in the numbers of the plan that runs; one of an instance that is not there waits for it.
pub(super) fn settle(running: &Plan, asked: &Plan, next: &mut Plan, difference: &mut Difference) {
    next.policy.clear();
    for entry in &asked.policy {
        let name = instance(asked, entry.instance);
        match running.instances.iter().position(|instance| instance.name == name) {
            Some(at) => {
                let instance = u16::try_from(at).unwrap_or(u16::MAX);
                next.policy.push(PolicyEntry { instance, ..entry.clone() });
            }
            None => {
                difference.needs_restart.push(format!("policy.{}", entry.name));
                next.policy.extend(find(running, &entry.name).cloned());
            }
        }
    }
}

pub(super) fn compare(running: &Plan, next: &Plan) -> Policy {
    let mut policy = Policy::default();
    for entry in &next.policy {
        match find(running, &entry.name) {
            None => policy.added.push(entry.name.clone()),
            Some(former) if former != entry => policy.changed.push(entry.name.clone()),
            Some(_) => {}
        }
    }
    let gone = running.policy.iter().filter(|entry| find(next, &entry.name).is_none());
    policy.removed.extend(gone.map(|entry| entry.name.clone()));
    policy.reordered = staying(running, next) != staying(next, running);
    policy
}

fn find<'p>(plan: &'p Plan, name: &str) -> Option<&'p PolicyEntry> {
    plan.policy.iter().find(|entry| entry.name == name)
}

/// The names of a plan's entries that another has too, in order.
fn staying<'p>(plan: &'p Plan, other: &Plan) -> Vec<&'p str> {
    let names = plan.policy.iter().map(|entry| entry.name.as_str());
    names.filter(|name| find(other, name).is_some()).collect()
}

/// What neither plan lets out in clear stays in while tunnels change from the one to the other: all that either protects
/// or discards, and behind that what both bypass.
pub fn meanwhile(running: &[PolicyEntry], next: &[PolicyEntry]) -> Vec<PolicyEntry> {
    let mut all: Vec<PolicyEntry> = Vec::new();
    for before_tunnels in [true, false] {
        let these = |entry: &&PolicyEntry| entry.before_tunnels == before_tunnels;
        let guards = running.iter().chain(next).filter(these);
        all.extend(guards.filter(|entry| entry.action != PolicyAction::Bypass).cloned());
        let open = next.iter().filter(these).filter(|entry| running.contains(entry));
        all.extend(open.filter(|entry| entry.action == PolicyAction::Bypass).cloned());
    }
    all
}
