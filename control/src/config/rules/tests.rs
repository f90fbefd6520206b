//! Every row of the table, of a group that is up and of one that is shut down; and what becomes of tunnels.

use super::*;
use crate::config::Plan;
use crate::config::diff::difference;
use std::path::Path;

/// Six workers; a tunnel and a gateway of group `s`, which is single-active, and a multi-active group `m`.
const RUNNING: &str = r#"workers.count = 6
instance.blue = { namespace = "blue" }
interface.wan = { device = "af_packet:eth1", addresses = ["192.0.2.2/24", "192.0.2.7/24"] }
[tunnel-group.s]
mode = "single-active"
primary = 0
backup = 1
description = "one"
[tunnel-group.m]
mode = "multi-active"
members = [2, 3, 4]
active-number = 2
degrade = false
[ike-policy.policy]
lifetime = 3600
[ipsec-transform.transform]
lifetime = 600
[tunnel.branch]
local = "192.0.2.2"
remote = "192.0.2.1"
private-instance = "default"
tunnel-group = "s"
psk = "correct horse"
ike-policy = "policy"
ipsec-transform = "transform"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.1.0.0/24"]
[gateway.g]
local = "192.0.2.7"
tunnel-group = "s"
psk = "correct horse"
ts-list = "all"
[ts-list.all]
local = ["10.3.0.0/16"]
remote = ["10.4.0.0/16"]
"#;

fn plan(text: &str) -> Plan {
    let none = |_: &Path| Err(std::io::Error::other("no file"));
    crate::config::parse("test", text, Path::new("/"), &none).unwrap()
}

/// One piece of the text other.
fn other(from: &str, to: &str) -> String {
    assert_eq!(RUNNING.matches(from).count(), 1, "{from}");
    RUNNING.replacen(from, to, 1)
}

fn without_s(text: &str) -> String {
    let (from, to) = (text.find("[tunnel-group.s]").unwrap(), text.find("[tunnel-group.m]").unwrap());
    format!("{}{}", &text[..from], &text[to..]).replace("tunnel-group = \"s\"\n", "")
}

/// What runs and what is asked for, such that this and nothing else becomes other; the group; its active workers.
fn case(operation: Operation) -> (String, String, &'static str, Vec<u8>) {
    let of = |from: &str, to: &str, group, active: &[u8]| {
        (RUNNING.to_owned(), other(from, to), group, active.to_vec())
    };
    let members = "members = [2, 3, 4]";
    match operation {
        Of::Add => (without_s(RUNNING), RUNNING.to_owned(), "s", vec![]),
        Of::Remove => (RUNNING.to_owned(), without_s(RUNNING), "s", vec![0]),
        Of::Description => of("\"one\"", "\"two\"", "s", &[0]),
        Of::ResponderOnly => of("\"one\"", "\"one\"\nresponder-only = true", "s", &[0]),
        Of::Mode => of(
            "mode = \"single-active\"\nprimary = 0\nbackup = 1",
            "mode = \"multi-active\"\nmembers = [0, 1]",
            "s",
            &[0],
        ),
        Of::Primary => of("primary = 0", "primary = 5", "s", &[0]),
        Of::ReplacedPrimary => of("primary = 0", "primary = 5", "s", &[1]),
        Of::Backup => of("backup = 1\n", "", "s", &[0]),
        Of::ActiveBackup => of("backup = 1", "backup = 5", "s", &[1]),
        Of::AddMember => of(members, "members = [2, 3, 4, 5]", "m", &[2, 3]),
        Of::RemoveStandby => of(members, "members = [2, 3]", "m", &[2, 3]),
        Of::RemoveActive => of(members, "members = [2, 4]", "m", &[2, 3]),
        Of::RaiseActiveNumber => of("active-number = 2", "active-number = 3", "m", &[2, 3]),
        Of::LowerActiveNumber => of("active-number = 2", "active-number = 1", "m", &[2, 3]),
        Of::Degrade => of("degrade = false", "degrade = true", "m", &[2, 3]),
    }
}

fn refused(running: &Plan, asked: &Plan, active: &[u8]) -> Vec<String> {
    let active: Vec<WorkerId> = active.iter().copied().map(WorkerId).collect();
    let (_, next) = difference(running, asked);
    refusals(&running.groups, &next.groups, |_| &active)
}

fn shut(plan: &mut Plan, group: &str) {
    plan.groups.get_mut(group).into_iter().for_each(|group| group.enabled = false);
}

/// TG-04: what the table says is what becomes of it; a refusal names group, reason and remedy.
#[test]
fn every_rule_is_what_is_done() {
    let accepts = |refused: &[String]| if refused.is_empty() { Accept } else { ShutDownFirst };
    for rule in RULES {
        let (running, asked, group, active) = case(rule.operation);
        let (mut running, mut asked) = (plan(&running), plan(&asked));
        let told = refused(&running, &asked, &active);
        assert_eq!(accepts(&told), rule.up, "{:?} up: {told:?}", rule.operation);
        for line in told {
            assert!(
                line.starts_with(&format!("tunnel-group.{group}: {}: not while it is up", rule.what)),
                "{line}"
            );
            assert!(line.contains("shut it down first: enabled = false"), "{line}");
        }
        if rule.operation == Of::Remove {
            shut(&mut running, group);
        }
        shut(&mut asked, group);
        let told = refused(&running, &asked, &active);
        assert_eq!(accepts(&told), rule.shut_down, "{:?} shut down: {told:?}", rule.operation);
    }
}

/// Each operation stands in the table once.
#[test]
fn the_table_is_whole() {
    for (at, rule) in RULES.iter().enumerate() {
        let first = RULES.iter().position(|other| other.operation == rule.operation);
        assert_eq!(first, Some(at), "{:?}", rule.operation);
    }
    assert!(refused(&plan(RUNNING), &plan(RUNNING), &[0]).is_empty());
}

/// Shutting down and bringing up are always to be had.
#[test]
fn enabled_is_the_operators() {
    let (up, mut down) = (plan(RUNNING), plan(RUNNING));
    shut(&mut down, "s");
    for (running, asked) in [(&up, &down), (&down, &up)] {
        assert!(refused(running, asked, &[0]).is_empty());
        assert_eq!(difference(running, asked).0.groups.changed, ["s"]);
    }
}

/// TG-04 of tunnels and gateways: none of it wants a shutdown by hand, whatever the group is; what cannot be changed in
/// place is closed and opened anew.
#[test]
fn tunnels_become_other_by_themselves() {
    type List = fn(&crate::config::diff::Difference) -> &Vec<String>;
    let (changed, replaced): (List, List) =
        (|difference| &difference.changed, |difference| &difference.replaced);
    let gateway: List = |difference| &difference.gateways.replaced;
    for (from, to, list, name) in [
        ("lifetime = 3600", "lifetime = 7200", changed, "branch"),
        ("ike-policy = \"policy\"\n", "", changed, "branch"),
        ("lifetime = 600", "lifetime = 900", changed, "branch"),
        ("lifetime = 600", "lifetime-bytes = 1000000", changed, "branch"),
        ("lifetime = 3600", "dpd = \"reply-only\"", changed, "branch"),
        ("lifetime = 3600", "fragmentation = false", changed, "branch"),
        ("lifetime = 3600", "nat-keepalive-interval = 60", changed, "branch"),
        ("ipsec-transform = \"transform\"\n", "unique = \"replace\"\n", changed, "branch"),
        ("ipsec-transform = \"transform\"\n", "enabled = false\n", changed, "branch"),
        ("ipsec-transform = \"transform\"\n", "", changed, "branch"),
        ("local = \"192.0.2.2\"", "local = \"192.0.2.7\"", replaced, "branch"),
        ("remote = \"192.0.2.1\"", "remote = \"192.0.2.3\"", replaced, "branch"),
        ("local-ts = [\"10.2.0.0/24\"]", "local-ts = [\"10.2.1.0/24\"]", replaced, "branch"),
        ("private-instance = \"default\"", "private-instance = \"blue\"", replaced, "branch"),
        (
            "tunnel-group = \"s\"\npsk = \"correct horse\"\nike",
            "psk = \"correct horse\"\nike",
            replaced,
            "branch",
        ),
        ("tunnel-group = \"s\"\npsk = \"correct horse\"\nts", "psk = \"correct horse\"\nts", gateway, "g"),
        ("local = \"192.0.2.7\"", "local = \"192.0.2.2\"", gateway, "g"),
    ] {
        let (mut running, mut asked) = (plan(RUNNING), plan(&other(from, to)));
        for _ in ["up", "shut down"] {
            let (difference, _) = difference(&running, &asked);
            assert_eq!(*list(&difference), [name], "{to}: {difference:?}");
            assert!(refused(&running, &asked, &[0]).is_empty() && difference.groups.changed.is_empty());
            shut(&mut running, "s");
            shut(&mut asked, "s");
        }
    }
}

/// A group of workers that are not there yet waits for a restart, with what names it; what runs of it runs on.
#[test]
fn groups_of_workers_to_come_wait_for_them() {
    let running = plan(RUNNING);
    let asked = other("workers.count = 6", "workers.count = 8").replace("primary = 0", "primary = 7");
    let (found, next) = difference(&running, &plan(&asked));
    assert_eq!(found.needs_restart, ["workers", "tunnel-group.s"]);
    assert_eq!((&next.groups, found.untouched), (&running.groups, 1));
    let new = "[tunnel-group.new]\nmode = \"single-active\"\nprimary = 7\n";
    let asked = other("workers.count = 6", "workers.count = 8").replacen(
        "tunnel-group = \"s\"",
        "tunnel-group = \"new\"",
        1,
    );
    let (found, next) = difference(&running, &plan(&format!("{asked}{new}")));
    assert_eq!(found.needs_restart, ["workers", "tunnel-group.new", "tunnel.branch"]);
    assert_eq!((&next.groups, &next.tunnels), (&running.groups, &running.tunnels));
}
