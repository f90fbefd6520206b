//! What of a tunnel group may become other while it is up, and what wants it shut down first (TG-04): one table, by which
//! `config plan` and `config apply` accept or refuse. What a tunnel or gateway has become other in needs no shutdown by
//! hand: it is changed in place, or closed and opened anew ([`super::diff`]).

use std::collections::BTreeMap;

use ravelin_dataplane::sa::shard::WorkerId;

use super::plan::{DEFAULT_GROUP, GroupMode, TunnelGroup};

/// Something of a group that is to be other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Add,
    /// It is gone.
    Remove,
    /// Its description.
    Description,
    /// Whether it only responds.
    ResponderOnly,
    /// Single-active or multi-active.
    Mode,
    /// Its primary, while that is active.
    Primary,
    /// Its primary, while the backup is active.
    ReplacedPrimary,
    /// Its backup, while the primary is active.
    Backup,
    /// Its backup, while that is active.
    ActiveBackup,
    /// One member more.
    AddMember,
    /// Without a member that stands by.
    RemoveStandby,
    /// Without a member that is active.
    RemoveActive,
    /// More active members.
    RaiseActiveNumber,
    /// Fewer.
    LowerActiveNumber,
    /// Whether it goes on with fewer.
    Degrade,
}

/// Whether an operation is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Accept,
    /// Not before the group is shut down.
    ShutDownFirst,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// What is asked for.
    pub operation: Operation,
    /// Of a group that is enabled and stays so.
    pub up: Verdict,
    /// Of one that is shut down, or is so by the same configuration.
    pub shut_down: Verdict,
    /// What it is, in words.
    pub what: &'static str,
}

use Operation as Of;
use Verdict::{Accept, ShutDownFirst};

/// The table. Whatever is missing here may not be done.
pub const RULES: [Rule; 15] = [
    Rule { operation: Of::Add, up: Accept, shut_down: Accept, what: "it is new" },
    Rule { operation: Of::Remove, up: ShutDownFirst, shut_down: Accept, what: "it is removed" },
    Rule { operation: Of::Description, up: Accept, shut_down: Accept, what: "another description" },
    Rule { operation: Of::ResponderOnly, up: Accept, shut_down: Accept, what: "another responder-only" },
    Rule { operation: Of::Mode, up: ShutDownFirst, shut_down: Accept, what: "another mode" },
    Rule { operation: Of::Primary, up: ShutDownFirst, shut_down: Accept, what: "another primary" },
    Rule {
        operation: Of::ReplacedPrimary,
        up: Accept,
        shut_down: Accept,
        what: "another primary, while the backup is active",
    },
    Rule { operation: Of::Backup, up: Accept, shut_down: Accept, what: "another backup" },
    Rule {
        operation: Of::ActiveBackup,
        up: ShutDownFirst,
        shut_down: Accept,
        what: "another backup, while that is active",
    },
    Rule { operation: Of::AddMember, up: Accept, shut_down: Accept, what: "one member more" },
    Rule { operation: Of::RemoveStandby, up: Accept, shut_down: Accept, what: "without a standby member" },
    Rule {
        operation: Of::RemoveActive,
        up: ShutDownFirst,
        shut_down: Accept,
        what: "without an active member",
    },
    Rule { operation: Of::RaiseActiveNumber, up: Accept, shut_down: Accept, what: "a higher active-number" },
    Rule {
        operation: Of::LowerActiveNumber,
        up: ShutDownFirst,
        shut_down: Accept,
        what: "a lower active-number",
    },
    Rule { operation: Of::Degrade, up: Accept, shut_down: Accept, what: "another degrade" },
];

/// What of the groups of `next` is not to be had while those that run are as they are. `active` says which workers of
/// a group are active. A line each, with what to do.
pub fn refusals<'a>(
    running: &BTreeMap<String, TunnelGroup>,
    next: &BTreeMap<String, TunnelGroup>,
    active: impl Fn(&str) -> &'a [WorkerId],
) -> Vec<String> {
    let names = running.keys().chain(next.keys().filter(|name| !running.contains_key(*name)));
    let judged = names.filter(|name| *name != DEFAULT_GROUP).flat_map(|name| {
        let (former, asked) = (running.get(name), next.get(name));
        let is_shut = [former, asked].into_iter().flatten().any(|group| !group.enabled);
        let operations = operations(former, asked, active(name)).into_iter();
        operations.filter_map(move |operation| refusal(name, operation, is_shut))
    });
    judged.collect()
}

fn refusal(group: &str, operation: Operation, is_shut: bool) -> Option<String> {
    let rule = RULES.iter().find(|rule| rule.operation == operation);
    let verdict = rule.map(|rule| if is_shut { rule.shut_down } else { rule.up });
    if verdict == Some(Accept) {
        return None;
    }
    let what = rule.map_or("this", |rule| rule.what);
    Some(format!(
        "tunnel-group.{group}: {what}: not while it is up; shut it down first: enabled = false, apply, then this"
    ))
}

/// What has become other of one group.
fn operations(
    former: Option<&TunnelGroup>,
    asked: Option<&TunnelGroup>,
    active: &[WorkerId],
) -> Vec<Operation> {
    let (former, asked) = match (former, asked) {
        (Some(former), Some(asked)) => (former, asked),
        (None, Some(_)) => return vec![Of::Add],
        (Some(_), None) => return vec![Of::Remove],
        (None, None) => return Vec::new(),
    };
    let described = (former.description != asked.description).then_some(Of::Description);
    let responding = (former.responder_only != asked.responder_only).then_some(Of::ResponderOnly);
    let of_mode = match (&former.mode, &asked.mode) {
        (
            GroupMode::SingleActive { primary: a, backup: b },
            GroupMode::SingleActive { primary: c, backup: d },
        ) => single_active((*a, *b), (*c, *d), active),
        (GroupMode::MultiActive { .. }, GroupMode::MultiActive { .. }) => multi_active(former, asked, active),
        _ => vec![Of::Mode],
    };
    described.into_iter().chain(responding).chain(of_mode).collect()
}

type Pair = (WorkerId, Option<WorkerId>);

fn single_active(former: Pair, asked: Pair, active: &[WorkerId]) -> Vec<Operation> {
    let on_backup = former.1.is_some_and(|backup| active.contains(&backup));
    let primary = if on_backup { Of::ReplacedPrimary } else { Of::Primary };
    let backup = if on_backup { Of::ActiveBackup } else { Of::Backup };
    let primary = (former.0 != asked.0).then_some(primary);
    primary.into_iter().chain((former.1 != asked.1).then_some(backup)).collect()
}

fn multi_active(former: &TunnelGroup, asked: &TunnelGroup, active: &[WorkerId]) -> Vec<Operation> {
    let (here, there) = (former.workers(), asked.workers());
    let removed = here.iter().filter(|worker| !there.contains(worker));
    let mut operations: Vec<Operation> = removed
        .map(|worker| if active.contains(worker) { Of::RemoveActive } else { Of::RemoveStandby })
        .collect();
    if there.iter().any(|worker| !here.contains(worker)) {
        operations.push(Of::AddMember);
    }
    let settings = |group: &TunnelGroup| match group.mode {
        GroupMode::MultiActive { active_number, degrade, .. } => (active_number, degrade),
        GroupMode::SingleActive { .. } => (1, false),
    };
    let (settings, asked) = (settings(former), settings(asked));
    operations.extend(match asked.0.cmp(&settings.0) {
        std::cmp::Ordering::Less => Some(Of::LowerActiveNumber),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(Of::RaiseActiveNumber),
    });
    operations.extend((asked.1 != settings.1).then_some(Of::Degrade));
    operations
}

#[cfg(test)]
mod tests;
