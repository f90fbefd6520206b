//! Tunnel groups for people: a row each; of one that is asked for also its workers and its thresholds.

use super::table;
use crate::api::reply::{Level, Member, TunnelGroup};

/// All groups, or one `by_name`.
pub(super) fn groups(groups: &[TunnelGroup], by_name: bool) -> String {
    let header = [
        "GROUP", "MODE", "ADMIN", "OPER", "PRIMARY", "BACKUP", "ACTIVE", "STANDBY", "TUNNELS", "LEVEL",
        "REASON",
    ];
    let mut text = table(&header, groups.iter().map(row));
    for group in groups.iter().filter(|_| by_name) {
        if !group.description.is_empty() {
            text += &format!("\n{}", group.description);
        }
        text += &format!("\n\n{}\n\n{}", members(&group.members), thresholds(group));
    }
    text
}

fn row(group: &TunnelGroup) -> Vec<String> {
    let number = |worker: Option<usize>| worker.map_or("-".to_owned(), |worker| worker.to_string());
    vec![
        group.name.clone(),
        group.mode.clone(),
        group.admin.clone(),
        if group.up { "up" } else { "DOWN" }.to_owned(),
        number(group.primary),
        number(group.backup),
        with_role(&group.members, "active"),
        with_role(&group.members, "standby"),
        format!("{} of {}", group.tunnels.used, group.tunnels.limit),
        group.tunnels.level.clone(),
        format!("{} {}", group.reason_code, group.reason).trim().to_owned(),
    ]
}

fn with_role(members: &[Member], role: &str) -> String {
    let workers = members.iter().filter(|member| member.role == role);
    let workers: Vec<String> = workers.map(|member| member.worker.to_string()).collect();
    if workers.is_empty() { "-".to_owned() } else { workers.join(",") }
}

fn members(members: &[Member]) -> String {
    let row = |member: &Member| {
        vec![
            member.worker.to_string(),
            member.role.clone(),
            if member.alive { "yes" } else { "NO" }.to_owned(),
            format!("{} of {}", member.memory.used, member.memory.limit),
            member.memory.level.clone(),
            last(&member.memory),
        ]
    };
    table(&["WORKER", "ROLE", "ALIVE", "SA PLACES", "LEVEL", "LAST CROSSING"], members.iter().map(row))
}

fn thresholds(group: &TunnelGroup) -> String {
    let marks = |level: &Level| {
        format!("low {} %, high {} %, max {} %", level.low_percent, level.high_percent, level.max_percent)
    };
    let memory =
        group.members.first().map(|member| format!("SA places of a worker: {}\n", marks(&member.memory)));
    let tunnels = format!("tunnels: {}; last crossing: {}", marks(&group.tunnels), last(&group.tunnels));
    memory.unwrap_or_default() + &tunnels
}

fn last(level: &Level) -> String {
    match level.last_crossing_seconds_ago {
        Some(seconds) => format!("{} {seconds} s ago", level.last_crossing),
        None => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row says who is active and why it is down; by name come the workers and what they are measured by.
    #[test]
    fn a_group_is_shown_with_its_workers() {
        let level = Level { used: 7, limit: 8, level: "high".into(), high_percent: 90, ..Level::default() };
        let crossed =
            Level { last_crossing: "high".into(), last_crossing_seconds_ago: Some(3), ..level.clone() };
        let member = |worker, role: &str| Member {
            worker,
            role: role.into(),
            alive: worker != 0,
            memory: level.clone(),
        };
        let group = TunnelGroup {
            name: "west".into(),
            reason_code: "RV-GROUP-003".into(),
            reason: "busy".into(),
            primary: Some(0),
            backup: Some(2),
            members: vec![member(0, "active"), member(2, "standby")],
            tunnels: crossed,
            ..TunnelGroup::default()
        };
        let short = groups(std::slice::from_ref(&group), false);
        assert_eq!(short.lines().count(), 2);
        assert!(short.contains("DOWN") && short.ends_with("RV-GROUP-003 busy"), "{short}");
        let long = groups(&[group], true);
        assert!(long.contains("7 of 8") && long.contains("NO") && long.contains("high 90 %"), "{long}");
        assert!(long.ends_with("last crossing: high 3 s ago"), "{long}");
    }
}
