//! Groups of tunnels in a plan: which workers carry which tunnels, and who takes over from one that stands still
//! (TG-01, TG-02). Who carries them at a given moment is [`crate::group`]'s.

pub use ravelin_dataplane::link::waits::Wait;
use ravelin_dataplane::sa::shard::WorkerId;

/// The group of what names none: all workers.
pub const DEFAULT_GROUP: &str = "default";

/// A group of tunnels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelGroup {
    /// For people.
    pub description: String,
    /// Whether its tunnels may be up.
    pub enabled: bool,
    /// Whether its tunnels are called and renewed by their peers alone (TG-08).
    pub responder_only: bool,
    /// How long fragments for its tunnels wait for the rest; `None`: as long as usual.
    pub reassembly: Option<Wait>,
    /// Its workers.
    pub mode: GroupMode,
}

/// How the workers of a group share its tunnels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupMode {
    /// One worker has all of them (HA-01).
    SingleActive {
        /// That worker.
        primary: WorkerId,
        /// Who takes over from it, if that one does so for nobody else.
        backup: Option<WorkerId>,
    },
    /// Several have them, others stand by (HA-02).
    MultiActive {
        /// All of them; those that are active first come first.
        members: Vec<WorkerId>,
        /// How many are active.
        active_number: usize,
        /// Whether it goes on with fewer when nobody stands by.
        degrade: bool,
    },
}

impl TunnelGroup {
    /// The group of all workers: whoever polls carries.
    pub fn of_all(workers: usize) -> Self {
        let members: Vec<WorkerId> = (0..workers).map(|worker| WorkerId(worker as u8)).collect();
        let mode = GroupMode::MultiActive { active_number: members.len(), members, degrade: true };
        Self { description: String::new(), enabled: true, responder_only: false, reassembly: None, mode }
    }

    /// Its workers, active or not.
    pub fn workers(&self) -> Vec<WorkerId> {
        match &self.mode {
            GroupMode::SingleActive { primary, backup } => std::iter::once(*primary).chain(*backup).collect(),
            GroupMode::MultiActive { members, .. } => members.clone(),
        }
    }

    /// Those that are active while all poll.
    pub fn first_active(&self) -> &[WorkerId] {
        match &self.mode {
            GroupMode::SingleActive { primary, .. } => std::slice::from_ref(primary),
            GroupMode::MultiActive { members, active_number, .. } => {
                members.get(..*active_number).unwrap_or(members)
            }
        }
    }
}
