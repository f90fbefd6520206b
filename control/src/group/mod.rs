//! Which workers carry the tunnels of each group at the moment, and why none do (TG-02, TG-03, HA-01, HA-02). Pure: told
//! who polls it says what has changed; moving, closing and opening tunnels is the loop's (`daemon/groups`). Who was
//! replaced does not come back by itself, so that nothing is interrupted twice.

pub mod watermark;

use std::collections::BTreeMap;

use ravelin_dataplane::sa::shard::WorkerId;

use crate::config::plan::{DEFAULT_GROUP, GroupMode, TunnelGroup};

/// All groups, by name. Sole owner: the control loop, through [`crate::workers::Workers`].
#[derive(Debug, Default)]
pub struct Groups(BTreeMap<String, Group>);

/// A group as it is now.
#[derive(Debug, Clone)]
pub struct Group {
    plan: TunnelGroup,
    /// In the order of the plan's members; those of a group that is down stay as they were last.
    active: Vec<WorkerId>,
    down: Option<Down>,
}

/// Why the tunnels of a group carry nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    /// The operator wants it so.
    #[error("it is shut down: enabled = false")]
    ShutDown,
    /// Nobody takes over from its worker.
    #[error("worker {} stands still, and it has no backup", worker.0)]
    NoBackup {
        /// Its worker.
        worker: WorkerId,
    },
    /// Nor does the other worker poll.
    #[error("worker {} stands still, and so does worker {}", worker.0, other.0)]
    BothStill {
        /// Its worker.
        worker: WorkerId,
        /// The one that would take over.
        other: WorkerId,
    },
    /// The backup serves one failure at a time.
    #[error("worker {} stands still, and its backup, worker {}, has taken over for tunnel group {serves}", worker.0, backup.0)]
    BackupBusy {
        /// Its worker.
        worker: WorkerId,
        /// Its backup.
        backup: WorkerId,
        /// The group that the backup serves.
        serves: String,
    },
    /// Fewer members poll than are to be active.
    #[error("{polling} of its {wanted} active members poll, and none stands by")]
    NoStandby {
        /// Members that poll.
        polling: usize,
        /// Members that are to be active.
        wanted: usize,
    },
}

impl Down {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ShutDown => "RV-GROUP-001",
            Self::NoBackup { .. } | Self::BothStill { .. } => "RV-GROUP-002",
            Self::BackupBusy { .. } => "RV-GROUP-003",
            Self::NoStandby { .. } => "RV-GROUP-004",
        }
    }
}

/// What has become other of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub group: String,
    /// What.
    pub what: What,
}

/// See [`Change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Other workers are active.
    Active {
        /// Those that were.
        from: Vec<WorkerId>,
        /// Those that are.
        to: Vec<WorkerId>,
    },
    /// It is down, or for another reason than before.
    Down(Down),
    /// It is up again.
    Up,
}

impl Groups {
    /// As they are while everybody polls.
    pub fn new(plan: &BTreeMap<String, TunnelGroup>) -> Self {
        Self(plan.iter().map(|(name, group)| (name.clone(), Group::new(group))).collect())
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.0.iter()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Group> {
        self.0.get(name)
    }

    /// The workers that tunnels of a group go to; none while it is down.
    pub fn serving(&self, name: &str) -> &[WorkerId] {
        self.0.get(name).filter(|group| group.down.is_none()).map_or(&[], |group| &group.active)
    }

    /// The workers that are active, or would be if it were not down.
    pub fn active(&self, name: &str) -> &[WorkerId] {
        self.0.get(name).map_or(&[], |group| &group.active)
    }

    /// Why the tunnels of a group may not be up. Those of the group of all workers say themselves on whom they wait.
    pub fn why(&self, name: &str) -> Option<&Down> {
        self.0.get(name).filter(|_| name != DEFAULT_GROUP)?.down.as_ref()
    }

    /// Looks who polls: whoever stands still is replaced where that can be. What has changed, by group.
    pub fn look(&mut self, polls: impl Fn(WorkerId) -> bool) -> Vec<Change> {
        let names: Vec<String> = self.0.keys().cloned().collect();
        names.into_iter().flat_map(|name| self.look_at(name, &polls)).collect()
    }

    fn look_at(&mut self, name: String, polls: &impl Fn(WorkerId) -> bool) -> Vec<Change> {
        let Some(group) = self.0.get(&name) else { return Vec::new() };
        let lent = |backup| self.served_by(backup, &name);
        let (active, down) = group.next(polls, lent);
        let Some(group) = self.0.get_mut(&name) else { return Vec::new() };
        let changes = group.turn_into(active, down);
        let is_told = name != DEFAULT_GROUP;
        changes.into_iter().filter(|_| is_told).map(|what| Change { group: name.clone(), what }).collect()
    }

    /// The group other than `than` for which a backup has taken over.
    fn served_by(&self, backup: WorkerId, than: &str) -> Option<String> {
        let serves = |(name, group): &(&String, &Group)| {
            *name != than && group.is_on_backup() && group.active.contains(&backup)
        };
        self.0.iter().find(serves).map(|(name, _)| name.clone())
    }

    /// Takes over what a plan has of groups. What that changes is told by the next look.
    pub fn take_over(&mut self, plan: &BTreeMap<String, TunnelGroup>) {
        self.0.retain(|name, _| plan.contains_key(name));
        for (name, group) in plan {
            match self.0.get_mut(name) {
                Some(here) => here.take_over(group),
                None => drop(self.0.insert(name.clone(), Group::new(group))),
            }
        }
    }
}

impl Group {
    fn new(plan: &TunnelGroup) -> Self {
        let down = (!plan.enabled).then_some(Down::ShutDown);
        Self { plan: plan.clone(), active: plan.first_active().to_vec(), down }
    }

    /// As it is configured.
    pub fn plan(&self) -> &TunnelGroup {
        &self.plan
    }

    /// The workers that are active, or would be if it were not down.
    pub fn active(&self) -> &[WorkerId] {
        &self.active
    }

    /// Why it is down.
    pub fn down(&self) -> Option<&Down> {
        self.down.as_ref()
    }

    /// Whether the backup has taken over.
    pub fn is_on_backup(&self) -> bool {
        let backup = match self.plan.mode {
            GroupMode::SingleActive { backup, .. } => backup,
            GroupMode::MultiActive { .. } => None,
        };
        self.plan.enabled && backup.is_some_and(|backup| self.active.contains(&backup))
    }

    /// One that was shut down begins anew; of one that is up, those that are active stay.
    fn take_over(&mut self, plan: &TunnelGroup) {
        self.plan = plan.clone();
        if self.down == Some(Down::ShutDown) {
            self.active = plan.first_active().to_vec();
        }
    }

    fn turn_into(&mut self, active: Vec<WorkerId>, down: Option<Down>) -> Vec<What> {
        let mut changes = Vec::new();
        if self.active != active {
            let from = std::mem::replace(&mut self.active, active.clone());
            changes.push(What::Active { from, to: active });
        }
        if self.down != down {
            changes.push(down.clone().map_or(What::Up, What::Down));
            self.down = down;
        }
        changes
    }

    /// Who is to be active now, and why the group is down then. `lent` names the group that a backup serves.
    fn next(
        &self,
        polls: impl Fn(WorkerId) -> bool,
        lent: impl Fn(WorkerId) -> Option<String>,
    ) -> (Vec<WorkerId>, Option<Down>) {
        if !self.plan.enabled {
            return (self.plan.first_active().to_vec(), Some(Down::ShutDown));
        }
        let chosen = match &self.plan.mode {
            GroupMode::SingleActive { primary, backup } => self.one(*primary, *backup, polls, lent),
            GroupMode::MultiActive { members, active_number, degrade } => {
                self.several(members, *active_number, *degrade, polls)
            }
        };
        match chosen {
            Ok(active) => (active, None),
            Err(down) => (self.active.clone(), Some(down)),
        }
    }

    /// The worker that is active as long as it polls, else the other of the two.
    fn one(
        &self,
        primary: WorkerId,
        backup: Option<WorkerId>,
        polls: impl Fn(WorkerId) -> bool,
        lent: impl Fn(WorkerId) -> Option<String>,
    ) -> Result<Vec<WorkerId>, Down> {
        let worker = self.active.first().copied().unwrap_or(primary);
        if polls(worker) {
            return Ok(vec![worker]);
        }
        let other = if worker == primary { backup } else { Some(primary) };
        let other = other.ok_or(Down::NoBackup { worker })?;
        if !polls(other) {
            return Err(Down::BothStill { worker, other });
        }
        match lent(other) {
            Some(serves) => Err(Down::BackupBusy { worker, backup: other, serves }),
            None => Ok(vec![other]),
        }
    }

    /// Those that are active and poll; where they are too few, others that poll; where that is not enough, as many as
    /// there are, if the group may go on so.
    fn several(
        &self,
        members: &[WorkerId],
        wanted: usize,
        degrade: bool,
        polls: impl Fn(WorkerId) -> bool,
    ) -> Result<Vec<WorkerId>, Down> {
        let (active, standby): (Vec<WorkerId>, Vec<WorkerId>) =
            members.iter().filter(|member| polls(**member)).partition(|member| self.active.contains(member));
        let polling = active.len() + standby.len();
        let chosen: Vec<WorkerId> = active.into_iter().chain(standby).take(wanted).collect();
        if chosen.len() == wanted || degrade && !chosen.is_empty() {
            return Ok(members.iter().copied().filter(|member| chosen.contains(member)).collect());
        }
        Err(Down::NoStandby { polling, wanted })
    }
}

#[cfg(test)]
mod tests;
