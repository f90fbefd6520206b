//! Groups whose workers stop and go on, in every order that the rules speak of.

use super::*;

fn single(primary: u8, backup: Option<u8>) -> TunnelGroup {
    let mode = GroupMode::SingleActive { primary: WorkerId(primary), backup: backup.map(WorkerId) };
    TunnelGroup { description: String::new(), enabled: true, responder_only: false, reassembly: None, mode }
}

fn multi(members: &[u8], active_number: usize, degrade: bool) -> TunnelGroup {
    let members = members.iter().copied().map(WorkerId).collect();
    let mode = GroupMode::MultiActive { members, active_number, degrade };
    TunnelGroup { description: String::new(), enabled: true, responder_only: false, reassembly: None, mode }
}

/// Groups, and the workers of theirs that stand still.
struct Town {
    plan: BTreeMap<String, TunnelGroup>,
    groups: Groups,
    still: Vec<u8>,
}

impl Town {
    fn of<const N: usize>(groups: [(&str, TunnelGroup); N]) -> Self {
        let plan: BTreeMap<String, TunnelGroup> =
            groups.into_iter().map(|(name, group)| (name.to_owned(), group)).collect();
        Self { groups: Groups::new(&plan), plan, still: Vec::new() }
    }

    fn look(&mut self) -> Vec<String> {
        let still = self.still.clone();
        let told = |Change { group, what }: Change| match what {
            What::Active { to, .. } => format!("{group} on {:?}", numbers(&to)),
            What::Down(down) => format!("{group} down: {down}"),
            What::Up => format!("{group} up"),
        };
        self.groups.look(|worker| !still.contains(&worker.0)).into_iter().map(told).collect()
    }

    /// These workers stand still from now on, and no other.
    fn still(&mut self, workers: &[u8]) -> Vec<String> {
        self.still = workers.to_vec();
        let told = self.look();
        assert!(self.look().is_empty(), "a change is told once");
        told
    }

    fn serving(&self, name: &str) -> Vec<u8> {
        numbers(self.groups.serving(name))
    }

    /// Another plan for one group.
    fn change(&mut self, name: &str, change: impl Fn(&mut TunnelGroup)) -> Vec<String> {
        change(self.plan.get_mut(name).unwrap());
        self.groups.take_over(&self.plan);
        self.look()
    }
}

fn numbers(workers: &[WorkerId]) -> Vec<u8> {
    workers.iter().map(|worker| worker.0).collect()
}

/// HA-01: the backup takes over; the primary does not come back by itself, but when the backup fails.
#[test]
fn the_backup_takes_over_and_keeps() {
    let mut town = Town::of([("a", single(0, Some(2)))]);
    assert_eq!(town.serving("a"), [0]);
    assert_eq!(town.still(&[0]), ["a on [2]"]);
    assert!(town.still(&[]).is_empty(), "nothing moves back");
    assert_eq!(town.serving("a"), [2]);
    assert_eq!(town.still(&[2]), ["a on [0]"]);
    assert_eq!(town.still(&[0, 2]), ["a down: worker 0 stands still, and so does worker 2"]);
    assert!(town.serving("a").is_empty() && town.groups.active("a") == [WorkerId(0)]);
    assert_eq!(town.groups.why("a").unwrap().code(), "RV-GROUP-002");
    assert_eq!(town.still(&[2]), ["a up"]);
    assert_eq!(town.still(&[0]), ["a on [2]"]);
}

/// TG-02: a backup serves one failure at a time; the second group waits until its own worker polls, or the backup is
/// free again.
#[test]
fn a_shared_backup_serves_one_failure_at_a_time() {
    let mut town = Town::of([("a", single(0, Some(2))), ("b", single(1, Some(2)))]);
    assert_eq!(town.still(&[1]), ["b on [2]"]);
    let busy = "a down: worker 0 stands still, and its backup, worker 2, has taken over for tunnel group b";
    assert_eq!(town.still(&[0, 1]), [busy]);
    assert_eq!(town.groups.why("a").unwrap().code(), "RV-GROUP-003");
    assert!(town.still(&[0]).is_empty(), "b stays on the backup, which so is not free");
    assert_eq!(town.still(&[]), ["a up"]);
    assert_eq!(town.still(&[0]), [busy]);
    let told = town.change("b", |b| b.enabled = false);
    let down = "b down: it is shut down: enabled = false";
    assert_eq!(told, ["a on [2]", "a up", "b on [1]", down], "the backup is free");
    assert_eq!(town.change("b", |b| b.enabled = true), ["b up"]);
    assert_eq!((town.serving("a"), town.serving("b")), (vec![2], vec![1]));
}

/// Two fail at once: one is served, by name.
#[test]
fn of_two_failures_at_once_one_is_served() {
    let mut town = Town::of([("a", single(0, Some(2))), ("b", single(1, Some(2))), ("c", single(3, None))]);
    let told = town.still(&[0, 1, 3]);
    assert_eq!(told.len(), 3);
    assert!(told[0] == "a on [2]" && told[1].starts_with("b down") && told[2].ends_with("has no backup"));
}

/// TG-03: a standby member takes the place of one that fails; with none left the whole group is down.
#[test]
fn a_standby_takes_the_place_of_a_member() {
    let mut town = Town::of([("m", multi(&[0, 1, 2, 3], 3, false))]);
    assert_eq!(town.serving("m"), [0, 1, 2]);
    assert_eq!(town.still(&[1]), ["m on [0, 2, 3]"]);
    let down = "m down: 2 of its 3 active members poll, and none stands by";
    assert_eq!(town.still(&[1, 2]), [down]);
    assert_eq!(town.groups.why("m").unwrap().code(), "RV-GROUP-004");
    assert_eq!(town.still(&[2]), ["m on [0, 1, 3]", "m up"], "who is back stands by, and so takes its place");
    assert!(town.still(&[]).is_empty(), "nobody moves back");
    assert_eq!(town.serving("m"), [0, 1, 3]);
}

/// With `degrade` the survivors go on, and whoever is back is active again.
#[test]
fn a_group_that_degrades_goes_on_with_fewer() {
    let mut town = Town::of([("m", multi(&[0, 1, 2], 2, true))]);
    assert_eq!(town.still(&[0]), ["m on [1, 2]"]);
    assert_eq!(town.still(&[0, 2]), ["m on [1]"]);
    assert_eq!(town.still(&[0, 1, 2]), ["m down: 0 of its 2 active members poll, and none stands by"]);
    assert_eq!(town.still(&[0, 1]), ["m on [2]", "m up"]);
    assert_eq!(town.still(&[1]), ["m on [0, 2]"]);
}

/// The group of all workers is whoever polls, and tells nothing: its workers do.
#[test]
fn the_group_of_all_tells_nothing() {
    let mut town = Town::of([(DEFAULT_GROUP, TunnelGroup::of_all(3))]);
    assert!(town.still(&[1]).is_empty());
    assert_eq!(town.serving(DEFAULT_GROUP), [0, 2]);
    assert!(town.still(&[0, 1, 2]).is_empty());
    assert!(town.groups.why(DEFAULT_GROUP).is_none() && town.serving(DEFAULT_GROUP).is_empty());
    assert!(town.still(&[]).is_empty());
    assert_eq!(town.serving(DEFAULT_GROUP), [0, 1, 2]);
}

/// Another primary while the backup is active changes nothing now; another mode after a shutdown begins anew; a group
/// that is gone is forgotten.
#[test]
fn a_plan_is_taken_over() {
    let mut town = Town::of([("a", single(0, Some(2))), ("m", multi(&[4, 5], 1, false))]);
    town.still(&[0]);
    let replace = |group: &mut TunnelGroup| group.mode = single(1, Some(2)).mode;
    assert!(town.change("a", replace).is_empty());
    assert_eq!(town.serving("a"), [2]);
    assert_eq!(town.still(&[0, 2]), ["a on [1]"]);
    assert_eq!(town.change("m", |m| m.mode = multi(&[4, 5, 6], 2, false).mode), ["m on [4, 5]"]);
    town.change("m", |m| m.enabled = false);
    assert_eq!(town.change("m", |m| *m = single(6, None)), ["m up"]);
    assert_eq!(town.serving("m"), [6]);
    town.plan.remove("m");
    town.groups.take_over(&town.plan);
    assert!(town.groups.get("m").is_none() && town.serving("m").is_empty());
}
