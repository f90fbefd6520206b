//! Tunnel groups in the difference of two plans: those whose workers are there only after a restart wait for it, and so
//! does what names them. Whether a group may become other as it stands is judged in [`crate::config::rules`].

use super::super::plan::{DEFAULT_GROUP, Plan};
use super::Difference;

/// Groups that are not as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// To be added.
    pub added: Vec<String>,
    /// To be removed; nothing names them any more.
    pub removed: Vec<String>,
    /// Other from now on.
    pub changed: Vec<String>,
}

/// The groups that can be had without a restart. That of all workers is as many as run.
pub(super) fn settle(running: &Plan, asked: &Plan, next: &mut Plan, difference: &mut Difference) {
    let workers = running.workers.cores.len();
    for (name, group) in &asked.groups {
        let is_there = group.workers().iter().all(|worker| worker.index() < workers);
        if name == DEFAULT_GROUP || !is_there {
            keep(running, next, name);
        } else {
            next.groups.insert(name.clone(), group.clone());
        }
        if name != DEFAULT_GROUP && !is_there {
            difference.needs_restart.push(format!("tunnel-group.{name}"));
        }
    }
}

/// A group runs on as it is: itself, or a tunnel that names it, waits for a restart.
pub(super) fn keep(running: &Plan, next: &mut Plan, name: &str) {
    if let Some(group) = running.groups.get(name) {
        next.groups.entry(name.to_owned()).or_insert_with(|| group.clone());
    }
}

pub(super) fn compare(running: &Plan, next: &Plan) -> Groups {
    let mut groups = Groups::default();
    for (name, group) in &next.groups {
        match running.groups.get(name) {
            None => groups.added.push(name.clone()),
            Some(former) if former != group => groups.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let gone = running.groups.keys().filter(|name| !next.groups.contains_key(*name));
    groups.removed.extend(gone.cloned());
    groups
}
