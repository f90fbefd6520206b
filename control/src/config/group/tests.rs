//! Groups as they are written, their defaults, and for each mistake the line and the remedy.

use super::*;
use crate::config::ground::{interfaces, tunnel};
use crate::config::plan::Plan;
use std::path::Path;

const HEAD: &str =
    concat!("workers = { count = 4, tunnel-limit = \"8\" }", interfaces!(), tunnel!("branch", 1));

fn judge(lines: &str) -> Result<Plan, String> {
    let read = |path: &Path| Err(std::io::Error::other(format!("no {}", path.display())));
    let judged = crate::config::parse("r.toml", &format!("{HEAD}{lines}"), Path::new("/"), &read);
    judged.map_err(|refusals| refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn single(name: &str, primary: u8, backup: u8) -> String {
    format!("[tunnel-group.{name}]\nmode = \"single-active\"\nprimary = {primary}\nbackup = {backup}\n")
}

/// What names no group is of all workers; what names one is of that.
#[test]
fn what_is_written_is_what_is_planned() {
    let plan = judge("").unwrap();
    assert_eq!(plan.tunnels["branch"].group, DEFAULT_GROUP);
    assert_eq!(plan.groups, BTreeMap::from([(DEFAULT_GROUP.to_owned(), TunnelGroup::of_all(4))]));
    assert_eq!(plan.groups[DEFAULT_GROUP].first_active().len(), 4);

    let groups = "tunnel-group = \"west\"\n[tunnel-group.west]\nmode = \"single-active\"\nprimary = 2\n\
                  [tunnel-group.east]\nmode = \"multi-active\"\nmembers = [3, 0, 1]\nactive-number = 2\ndegrade = true\n\
                  enabled = false\ndescription = \"the east\"\n";
    let plan = judge(groups).unwrap();
    assert_eq!(plan.tunnels["branch"].group, "west");
    let mode = GroupMode::SingleActive { primary: WorkerId(2), backup: None };
    assert_eq!(
        plan.groups["west"],
        TunnelGroup {
            description: String::new(),
            enabled: true,
            responder_only: false,
            reassembly: None,
            mode
        }
    );
    let east = &plan.groups["east"];
    assert!(!east.enabled && east.description == "the east");
    assert_eq!(east.first_active(), [WorkerId(3), WorkerId(0)]);
    assert!(matches!(east.mode, GroupMode::MultiActive { degrade: true, .. }));
    let short = judge("[tunnel-group.a]\nmode = \"multi-active\"\nmembers = [1, 2]\n").unwrap();
    let members = vec![WorkerId(1), WorkerId(2)];
    assert_eq!(short.groups["a"].mode, GroupMode::MultiActive { members, active_number: 1, degrade: false });
}

/// A gateway names a group for the tunnels of its peers.
#[test]
fn a_gateway_names_a_group() {
    let gateway = "[gateway.g]\nlocal = \"192.0.2.2\"\npsk = \"x\"\nts-list = \"all\"\ntunnel-group = \"west\"\n\
                   [ts-list.all]\nlocal = [\"10.2.0.0/16\"]\nremote = [\"10.1.0.0/16\"]\n";
    assert_eq!(judge(&format!("{gateway}{}", single("west", 0, 1))).unwrap().gateways["g"].group, "west");
    assert!(judge(gateway).unwrap_err().contains("gateway.g: tunnel-group \"west\" does not exist"));
}

/// Several groups may share a backup; no worker is promised to two groups otherwise.
#[test]
fn only_a_backup_is_shared() {
    assert!(judge(&(single("a", 0, 2) + &single("b", 1, 2))).is_ok());
    let multi = |members: &str| format!("[tunnel-group.m]\nmode = \"multi-active\"\nmembers = {members}\n");
    for (groups, worker) in [
        (single("a", 0, 2) + &single("b", 0, 2), 0),
        (single("a", 0, 2) + &single("b", 2, 3), 2),
        (single("a", 0, 2) + &single("b", 1, 0), 0),
        (single("a", 0, 2) + &multi("[1, 2]"), 2),
        (single("z", 3, 2) + &multi("[1, 3]"), 3),
    ] {
        let refused = judge(&groups).unwrap_err();
        let wanted = format!("worker {worker} is of tunnel-group");
        assert!(refused.contains(&wanted) && refused.contains("only a backup"), "{groups}: {refused}");
    }
}

/// Each mistake is refused at its line, with what would have been right and the name that was meant.
#[test]
fn mistakes_are_refused_by_line() {
    let group = |lines: &str| format!("[tunnel-group.a]\n{lines}\n");
    for (lines, wanted) in [
        (
            format!("tunnel-group = \"wst\"\n{}", single("west", 0, 1)),
            "r.toml:10: tunnel.branch: tunnel-group \"wst\" does not exist; expected one of west (did you mean west?)",
        ),
        (group("mod = \"single-active\""), "did you mean mode?"),
        (group(""), "r.toml:10: tunnel-group.a: has no mode; expected mode = \"single-active\""),
        (
            group("mode = \"both\""),
            "r.toml:11: tunnel-group.a: mode = \"both\" is not valid; expected single",
        ),
        (group("mode = \"single-active\""), "has no primary; expected primary = WORKER"),
        (group("mode = \"multi-active\""), "has no members; expected members = [WORKER"),
        (
            group("mode = \"single-active\"\nprimary = 4"),
            "r.toml:12: tunnel-group.a: primary: there is no worker 4; expected 0 to 3: workers.count = 4",
        ),
        (group("mode = \"single-active\"\nprimary = 1\nbackup = 1"), "worker 1 is primary and backup"),
        (
            group("mode = \"single-active\"\nprimary = 1\ndegrade = true"),
            "r.toml:13: tunnel-group.a: degrade is of the other mode",
        ),
        (group("mode = \"multi-active\"\nmembers = [1]\nbackup = 2"), "backup is of the other mode"),
        (group("mode = \"multi-active\"\nmembers = [1, 2, 1]"), "members names none, or one twice"),
        (group("mode = \"multi-active\"\nmembers = []"), "members names none"),
        (group("mode = \"multi-active\"\nmembers = [1, 9]"), "there is no worker 9"),
        (
            group("mode = \"multi-active\"\nmembers = [1, 2]\nactive-number = 3"),
            "active-number = 3 is out of range; expected 1 to 2",
        ),
        (single("default", 0, 1), "tunnel-group.default: is the group of all workers"),
        (
            group(&format!("mode = \"single-active\"\nprimary = 1\ndescription = {:?}", "x".repeat(81))),
            "description has 81 characters; expected at most 80",
        ),
    ] {
        let refusals = judge(&lines).unwrap_err();
        assert!(refusals.contains(wanted), "wanted {wanted:?}, got:\n{refusals}");
    }
    let many: String =
        (0..65).map(|n| format!("[tunnel-group.g{n:02}]\nmode = \"multi-active\"\nmembers = []\n")).collect();
    assert!(judge(&many).unwrap_err().contains("tunnel-group.g64: is one of 65 groups; expected at most 64"));
}

/// A group takes as many tunnels as its active workers do, whatever others there are (TG-07).
#[test]
fn a_group_has_the_room_of_its_active_workers() {
    let tunnels = |count: usize| -> String {
        let tunnel = |n: usize| {
            format!(
                "[tunnel.t{n}]\nlocal = \"192.0.2.2\"\nremote = \"192.0.2.{}\"\npsk = \"x\"\ntunnel-group = \"west\"\n\
                 local-ts = [\"10.2.0.0/24\"]\nremote-ts = [\"10.3.{n}.0/24\"]\n",
                n + 10
            )
        };
        (0..count).map(tunnel).collect::<String>() + &single("west", 0, 1)
    };
    assert!(judge(&tunnels(8)).is_ok());
    let refused = judge(&tunnels(9)).unwrap_err();
    let wanted = "tunnel-group.west: 9 tunnels with 9 children; expected at most 8 with 480 on 1 workers";
    assert!(refused.contains(wanted) && refused.contains("or its active workers"), "{refused}");
}
