//! Mirrors in the difference of two plans: they are other at once. One whose interface is there only after a restart waits
//! for it.

use super::super::plan::{MirrorTo, Plan};
use super::Difference;

/// Mirrors that are not as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// To be added.
    pub added: Vec<String>,
    /// To be removed.
    pub removed: Vec<String>,
    /// That are otherwise.
    pub changed: Vec<String>,
}

pub(super) fn settle(running: &Plan, asked: &Plan, next: &mut Plan, difference: &mut Difference) {
    next.mirrors.clear();
    for (name, mirror) in &asked.mirrors {
        let to = match &mirror.to {
            MirrorTo::Station(interface, _) => Some(interface),
            MirrorTo::IpTunnel(_) => None,
        };
        let mut named = to.into_iter().chain(&mirror.interface);
        if named.all(|name| next.interfaces.iter().any(|interface| interface.name == *name)) {
            next.mirrors.insert(name.clone(), mirror.clone());
            continue;
        }
        difference.needs_restart.push(format!("mirror.{name}"));
        next.mirrors
            .extend(running.mirrors.get_key_value(name).map(|(name, former)| (name.clone(), former.clone())));
    }
}

pub(super) fn compare(running: &Plan, next: &Plan) -> Mirrors {
    let mut difference = Mirrors::default();
    for (name, mirror) in &next.mirrors {
        match running.mirrors.get(name) {
            None => difference.added.push(name.clone()),
            Some(former) if former != mirror => difference.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    difference
        .removed
        .extend(running.mirrors.keys().filter(|name| !next.mirrors.contains_key(*name)).cloned());
    difference
}
