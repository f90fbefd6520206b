//! The tunnel groups of a configuration: which workers each has, and that none is promised twice (TG-01, TG-02).

use std::collections::BTreeMap;

use ravelin_dataplane::sa::shard::WorkerId;
use toml::Spanned;

use super::plan::{DEFAULT_GROUP, GroupMode, TunnelGroup, Wait};
use super::raw::{self, Text};
use super::resolve::Judge;

/// TG-01: groups there may be.
const GROUPS: usize = 64;
/// TG-02: members of a group that may be active.
const ACTIVE: u64 = 16;
/// DP-31: milliseconds.
const WAITS: std::ops::RangeInclusive<u16> = 1..=5000;
/// Characters of a description.
const DESCRIPTION: usize = 80;

/// Judges all groups; the one of all workers is among them.
pub fn groups(judge: &mut Judge<'_>, raw: &raw::File, workers: usize) -> BTreeMap<String, TunnelGroup> {
    let mut groups = BTreeMap::from([(DEFAULT_GROUP.to_owned(), TunnelGroup::of_all(workers))]);
    if let Some((name, spanned)) = raw.tunnel_group.iter().nth(GROUPS) {
        let found = format!("is one of {} groups", raw.tunnel_group.len());
        let object = format!("tunnel-group.{name}");
        judge.refuse(spanned.span().start, &object, found, format!("at most {GROUPS}"));
    }
    for (name, spanned) in &raw.tunnel_group {
        let (object, at) = (format!("tunnel-group.{name}"), spanned.span().start);
        let mut one = One { judge, workers, object, at };
        let Some(group) = one.group(name, spanned.get_ref()) else { continue };
        one.promised_once(&group, &groups);
        groups.insert(name.clone(), group);
    }
    groups
}

/// The group that a tunnel or gateway names, or that of all workers.
pub fn named(judge: &mut Judge<'_>, object: &str, name: Option<&Text>, raw: &raw::File) -> Option<String> {
    let Some(name) = name.filter(|name| name.get_ref() != DEFAULT_GROUP) else {
        return Some(DEFAULT_GROUP.to_owned());
    };
    // A group that was refused is there all the same.
    judge.follow(object, "tunnel-group", name, &raw.tunnel_group)?;
    Some(name.get_ref().clone())
}

/// Milliseconds, or `none` (DP-31).
pub fn reassembly(judge: &mut Judge<'_>, object: &str, value: Option<&Spanned<toml::Value>>) -> Option<Wait> {
    let value = value?;
    let read = match value.get_ref() {
        toml::Value::String(text) if text == "none" => Some(Wait::NONE),
        toml::Value::Integer(number) => {
            u16::try_from(*number).ok().filter(|wait| WAITS.contains(wait)).map(Wait::milliseconds)
        }
        _ => None,
    };
    if read.is_none() {
        let found = format!("reassembly = {} is not valid", value.get_ref());
        let expected = format!("{} to {} milliseconds, or \"none\"", WAITS.start(), WAITS.end());
        judge.refuse(value.span().start, object, found, expected);
    }
    read
}

/// One group under judgement.
struct One<'j, 's> {
    judge: &'j mut Judge<'s>,
    workers: usize,
    object: String,
    at: usize,
}

impl One<'_, '_> {
    fn refuse(&mut self, at: usize, found: String, expected: &str) {
        self.judge.refuse(at, &self.object, found, expected);
    }

    fn group(&mut self, name: &str, raw: &raw::TunnelGroup) -> Option<TunnelGroup> {
        if name == DEFAULT_GROUP {
            let found = "is the group of all workers, which is there without being written".to_owned();
            self.refuse(self.at, found, "another name");
            return None;
        }
        let Some(mode) = &raw.mode else {
            self.refuse(self.at, "has no mode".to_owned(), "mode = \"single-active\" or \"multi-active\"");
            return None;
        };
        let read = |text: &str| match text {
            "single-active" => Ok(true),
            "multi-active" => Ok(false),
            _ => Err("single-active or multi-active"),
        };
        let mode = match self.judge.value(&self.object, "mode", mode, read)? {
            true => self.single_active(raw),
            false => self.multi_active(raw),
        }?;
        let description = self.description(raw.description.as_ref());
        let (enabled, responder_only) = (raw.enabled.unwrap_or(true), raw.responder_only.unwrap_or(false));
        let reassembly = reassembly(self.judge, &self.object, raw.reassembly.as_ref());
        Some(TunnelGroup { description, enabled, responder_only, reassembly, mode })
    }

    fn description(&mut self, text: Option<&Text>) -> String {
        let Some(text) = text else { return String::new() };
        let length = text.get_ref().chars().count();
        if length > DESCRIPTION || text.get_ref().chars().any(char::is_control) {
            let found = format!("description has {length} characters");
            self.refuse(text.span().start, found, "at most 80 in one line");
        }
        text.get_ref().clone()
    }

    fn single_active(&mut self, raw: &raw::TunnelGroup) -> Option<GroupMode> {
        let others = [
            ("members", raw.members.as_ref().map(|key| key.span().start)),
            ("active-number", raw.active_number.as_ref().map(|key| key.span().start)),
            ("degrade", raw.degrade.as_ref().map(|key| key.span().start)),
        ];
        self.of_other_mode(others, "primary and backup in a single-active group");
        let Some(primary) = &raw.primary else {
            self.refuse(self.at, "has no primary".to_owned(), "primary = WORKER, as in show workers");
            return None;
        };
        let backup = match &raw.backup {
            Some(backup) => Some(self.worker("backup", backup.span().start, *backup.get_ref())?),
            None => None,
        };
        let primary = self.worker("primary", primary.span().start, *primary.get_ref())?;
        if backup == Some(primary) {
            let found = format!("worker {} is primary and backup", primary.0);
            self.refuse(self.at, found, "two workers, or no backup");
        }
        Some(GroupMode::SingleActive { primary, backup })
    }

    fn multi_active(&mut self, raw: &raw::TunnelGroup) -> Option<GroupMode> {
        let others = [
            ("primary", raw.primary.as_ref().map(|key| key.span().start)),
            ("backup", raw.backup.as_ref().map(|key| key.span().start)),
        ];
        self.of_other_mode(others, "members in a multi-active group");
        let Some(members) = &raw.members else {
            self.refuse(self.at, "has no members".to_owned(), "members = [WORKER, …], as in show workers");
            return None;
        };
        let at = members.span().start;
        let numbers = members.get_ref().iter();
        let members: Option<Vec<WorkerId>> =
            numbers.map(|number| self.worker("members", at, *number)).collect();
        let members = members?;
        if members.is_empty() || has_twice(&members) {
            self.refuse(at, "members names none, or one twice".to_owned(), "each worker once");
        }
        let active_number = self.active_number(raw.active_number.as_ref(), members.len());
        let degrade = raw.degrade.as_ref().is_some_and(|degrade| *degrade.get_ref());
        Some(GroupMode::MultiActive { members, active_number, degrade })
    }

    fn active_number(&mut self, number: Option<&Spanned<u64>>, members: usize) -> usize {
        let most = (members as u64).clamp(1, ACTIVE);
        self.judge.number(&self.object, "active-number", number, 1..=most, 1) as usize
    }

    fn of_other_mode<const N: usize>(&mut self, keys: [(&str, Option<usize>); N], expected: &str) {
        for (key, at) in keys {
            let Some(at) = at else { continue };
            self.refuse(at, format!("{key} is of the other mode"), expected);
        }
    }

    fn worker(&mut self, key: &str, at: usize, number: u64) -> Option<WorkerId> {
        let worker = u8::try_from(number).ok().filter(|worker| usize::from(*worker) < self.workers);
        if worker.is_none() {
            let expected =
                format!("0 to {}: workers.count = {}", self.workers.saturating_sub(1), self.workers);
            self.refuse(at, format!("{key}: there is no worker {number}"), &expected);
        }
        worker.map(WorkerId)
    }

    /// A worker is promised to one group, as primary or member; a backup to several, and nothing else.
    fn promised_once(&mut self, group: &TunnelGroup, others: &BTreeMap<String, TunnelGroup>) {
        let named = others.iter().filter(|(name, _)| *name != DEFAULT_GROUP);
        let backup = |group: &TunnelGroup| match group.mode {
            GroupMode::SingleActive { backup, .. } => backup,
            GroupMode::MultiActive { .. } => None,
        };
        let clash = |other: &TunnelGroup| {
            let is_backup_of_both =
                |worker: &WorkerId| backup(group) == Some(*worker) && backup(other) == Some(*worker);
            let shared = |worker: &WorkerId| other.workers().contains(worker) && !is_backup_of_both(worker);
            group.workers().into_iter().find(shared)
        };
        let found = named.filter_map(|(name, other)| Some((name, clash(other)?))).next();
        if let Some((name, worker)) = found {
            let found = format!("worker {} is of tunnel-group {name:?} already", worker.0);
            self.refuse(self.at, found, "a worker of its own; only a backup may be that of several groups");
        }
    }
}

fn has_twice(workers: &[WorkerId]) -> bool {
    workers.iter().enumerate().any(|(at, worker)| workers.iter().skip(at + 1).any(|other| other == worker))
}

#[cfg(test)]
mod tests;
