//! What operators read of tunnel groups (TG-01, OPS-14).

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::sa::shard::WorkerId;

use super::core::Core;
use crate::api::reply::{Level, Member, TunnelGroup};
use crate::api::request::GroupName;
use crate::api::{ApiError, Reply};
use crate::config::plan::GroupMode;
use crate::group::Group;
use crate::group::watermark::{MEMORY, Marks, TUNNELS, Usage, Watermark};

impl<P: Pool> Core<P> {
    /// All groups, or the one that is named.
    pub(super) fn group_rows(&self, name: &GroupName) -> Result<Reply, ApiError> {
        let named = name.group.as_ref();
        let all = || self.workers.groups().iter();
        let those = all().filter(|(group, _)| named.is_none_or(|name| name == *group));
        let groups: Vec<TunnelGroup> = those.map(|(name, group)| self.group_row(name, group)).collect();
        match named {
            Some(name) if groups.is_empty() => {
                let known = all().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
                Err(ApiError::NoTunnelGroup { name: name.clone(), known })
            }
            _ => Ok(Reply::TunnelGroups { groups, by_name: named.is_some() }),
        }
    }

    fn group_row(&self, name: &str, group: &Group) -> TunnelGroup {
        let plan = group.plan();
        let (mode, primary, backup, degrade) = match plan.mode {
            GroupMode::SingleActive { primary, backup } => ("single-active", Some(primary), backup, false),
            GroupMode::MultiActive { degrade, .. } => ("multi-active", None, None, degrade),
        };
        let down = group.down();
        let tunnels = self.watermarks.tunnels.get(name).copied().unwrap_or_default();
        TunnelGroup {
            name: name.to_owned(),
            description: plan.description.clone(),
            mode: mode.to_owned(),
            admin: if plan.enabled { "up" } else { "shut-down" }.to_owned(),
            up: down.is_none(),
            reason_code: down.map_or("", |down| down.code()).to_owned(),
            reason: down.map(ToString::to_string).unwrap_or_default(),
            primary: primary.map(WorkerId::index),
            backup: backup.map(WorkerId::index),
            active_number: plan.first_active().len(),
            degrade,
            members: plan.workers().into_iter().map(|worker| self.member_row(worker, group)).collect(),
            tunnels: self.level_row(TUNNELS, self.tunnels_in(name), tunnels),
        }
    }

    fn member_row(&self, worker: WorkerId, group: &Group) -> Member {
        let memory = self.watermarks.memory.get(&worker).copied().unwrap_or_default();
        Member {
            worker: worker.index(),
            role: if group.active().contains(&worker) { "active" } else { "standby" }.to_owned(),
            alive: self.pulse.silence(worker, self.now().0).is_none(),
            memory: self.level_row(MEMORY, self.workers.memory(worker), memory),
        }
    }

    fn level_row(&self, marks: Marks, usage: Usage, watermark: Watermark) -> Level {
        let last = watermark.last();
        Level {
            used: usage.used,
            limit: usage.capacity,
            level: watermark.level().name().to_owned(),
            low_percent: marks.low,
            high_percent: marks.high,
            max_percent: marks.max,
            last_crossing: last.map_or("", |(crossing, _)| crossing.name()).to_owned(),
            last_crossing_seconds_ago: last.map(|(_, at)| self.now().0.saturating_sub(at) / 1_000_000),
        }
    }
}
