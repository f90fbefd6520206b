//! Policy for people: a row for each entry, in the order in which they count.

use super::table;
use crate::api::reply::{InstancePolicy, PolicyRow};

/// All instances.
pub(super) fn policies(instances: &[InstancePolicy]) -> String {
    let header = ["INSTANCE", "ENTRY", "ACTION", "LOCAL", "REMOTE", "DECISIONS"];
    table(&header, instances.iter().flat_map(rows))
}

fn rows(policy: &InstancePolicy) -> Vec<Vec<String>> {
    let own = |entry: &str, action: &str| {
        let any = || "any".to_owned();
        vec![policy.instance.clone(), entry.to_owned(), action.to_owned(), any(), any(), "-".to_owned()]
    };
    let entry = |row: &PolicyRow| {
        let action = format!("{} {}", row.action, row.tunnel).trim_end().to_owned();
        let decisions = row.decisions.to_string();
        vec![
            policy.instance.clone(),
            row.name.clone(),
            action,
            row.local.clone(),
            row.remote.clone(),
            decisions,
        ]
    };
    let tunnels = match policy.tunnels {
        1 => "(1 tunnel)".to_owned(),
        count => format!("({count} tunnels)"),
    };
    let tunnels = vec![
        policy.instance.clone(),
        tunnels,
        "protect".into(),
        "-".into(),
        "their remote networks".into(),
        "-".into(),
    ];
    let mut all: Vec<_> = policy.before_tunnels.iter().map(entry).collect();
    all.push(tunnels);
    all.extend(policy.behind_tunnels.iter().map(entry));
    all.push(own("(rest)", &policy.otherwise));
    all
}
