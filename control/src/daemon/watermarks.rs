//! How full workers' tables of SAs are (TG-05), and how many tunnels groups have of those they may have (TG-06): looked at
//! once a second, each crossing told once. While all workers that a gateway's peers could go to are at their end it lets
//! nobody in; who is in goes on, with rekeys.

use std::collections::{BTreeMap, BTreeSet};

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::time::Instant;

use super::core::Core;
use crate::group::watermark::{Crossing, Level, MEMORY, TUNNELS, Usage, Watermark};

/// Everything that is watched. Sole owner: the control loop.
#[derive(Debug, Default)]
pub struct Watermarks {
    pub(super) memory: BTreeMap<WorkerId, Watermark>,
    pub(super) tunnels: BTreeMap<String, Watermark>,
    /// Whether any worker was at its end at the last look.
    is_any_full: bool,
}

impl Watermarks {
    /// Whether a worker is at its end.
    pub(super) fn is_full(&self, worker: WorkerId) -> bool {
        self.memory.get(&worker).is_some_and(|memory| memory.level() == Level::Max)
    }
}

impl<P: Pool> Core<P> {
    /// Looks at everything that is watched.
    pub(super) fn watch_levels(&mut self, now: Instant) {
        self.watch_memory(now);
        self.watch_tunnels(now);
        let workers: Vec<WorkerId> = self.workers.link().workers().collect();
        let is_any_full = workers.into_iter().any(|worker| self.watermarks.is_full(worker));
        if is_any_full || self.watermarks.is_any_full {
            self.engine.set_full(self.full());
        }
        self.watermarks.is_any_full = is_any_full;
    }

    fn watch_memory(&mut self, now: Instant) {
        for worker in self.workers.link().workers() {
            let usage = self.workers.memory(worker);
            let watermark = self.watermarks.memory.entry(worker).or_default();
            for crossing in watermark.look(MEMORY, usage, now.0) {
                let so = match crossing {
                    Crossing::Max => ": it takes no new peers",
                    Crossing::Relieved => ": it takes new peers again",
                    Crossing::High | Crossing::Normal => "",
                };
                let text = format!("worker {}: {} SA places{so}", worker.0, told(usage));
                self.journal.note("", &format!("memory-{}", crossing.name()), text);
            }
        }
    }

    fn watch_tunnels(&mut self, now: Instant) {
        let groups: Vec<String> = self.workers.groups().iter().map(|(name, _)| name.clone()).collect();
        self.watermarks.tunnels.retain(|name, _| groups.contains(name));
        for group in groups {
            let usage = self.tunnels_in(&group);
            let watermark = self.watermarks.tunnels.entry(group.clone()).or_default();
            for crossing in watermark.look(TUNNELS, usage, now.0) {
                let text = format!("{group}: {} tunnels", told(usage));
                self.journal.note("", &format!("tunnels-{}", crossing.name()), text);
            }
        }
    }

    /// Tunnels a group has, of those it may have (TG-07).
    pub(super) fn tunnels_in(&self, group: &str) -> Usage {
        let active = self.workers.groups().get(group).map_or(0, |group| group.plan().first_active().len());
        let capacity = active as u64 * u64::from(self.plan.workers.tunnel_limit.tunnels());
        Usage { used: self.roster.count_of(group) as u64, capacity }
    }

    /// Gateways whose peers could only go to workers at their end. A configured tunnel has its place set aside.
    fn full(&self) -> BTreeSet<ConnectionId> {
        let is_full = |name: &str| {
            let group = self.plan.gateways.get(name).map_or("", |gateway| &gateway.group);
            let active = self.workers.groups().active(group);
            active.iter().all(|worker| self.watermarks.is_full(*worker))
        };
        self.roster.gateways().filter(|(_, name)| is_full(name)).map(|(id, _)| id).collect()
    }
}

fn told(usage: Usage) -> String {
    format!("{} of {} ({} %)", usage.used, usage.capacity, usage.percent())
}
