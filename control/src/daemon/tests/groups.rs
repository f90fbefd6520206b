//! Tunnel groups of a gateway with several workers: whose tunnels go where when workers stop and go on (HA-01, HA-02), and
//! what another configuration does to them (TG-04).

use super::gateways::{call, called, callers, gateway, shown, until_up};
use super::pair::Pair;
use super::*;

/// The tunnels one and two, each of a group, between us with so many workers and a peer with one.
fn text(workers: u8, groups: [&str; 2], lines: &str) -> String {
    let text = super::stall::pair(2, 1, workers, "auto-establish = true");
    let named = ["one", "two"].iter().zip(groups).fold(text, |text, (tunnel, group)| {
        let head = format!("[tunnel.{tunnel}]\n");
        text.replace(&head, &format!("{head}tunnel-group = \"{group}\"\n"))
    });
    named + lines
}

fn pair(text: &str, workers: u8) -> Pair {
    let peer = super::stall::pair(1, 2, 1, "");
    let mut pair = Pair::joined(Bench::bare(text, workers, 64), Bench::bare(&peer, 1, 64));
    both_up(&mut pair);
    pair
}

fn both_up(pair: &mut Pair) {
    pair.until("both tunnels are up", |pair| pair.states() == [State::Up; 2]);
    pair.until("and at the peer", |pair| peers_sas(pair) == 2);
}

fn peers_sas(pair: &Pair) -> usize {
    pair.peer.core.workers.sas().iter().filter(|sa| !sa.draining).count()
}

/// These workers stand still from now on; packets arrive in the queue of another.
fn still(pair: &mut Pair, workers: &[usize], queue: usize) {
    (pair.us.still, pair.us.queue) = (workers.to_vec(), queue);
    pair.pass(10, |_| {});
}

fn carry(pair: &mut Pair, tunnel: u8) {
    pair.until("it carries", |pair| pair.carry(tunnel, true) == 1);
    assert!(pair.carries_both_ways(tunnel));
}

fn reason(pair: &mut Pair, tunnel: usize) -> (String, String) {
    let tunnel = pair.us.view().tunnels[tunnel].clone();
    (tunnel.reason_code, tunnel.reason)
}

const SHARED: &str = r#"
[tunnel-group.a]
mode = "single-active"
primary = 0
backup = 2
[tunnel-group.b]
mode = "single-active"
primary = 1
backup = 2
"#;

/// HA-01, TG-02: the backup takes over from one worker; the next failure finds it busy, and its tunnels wait, with the SAs
/// they have. Who is back does not take its tunnels back, but after a shutdown.
#[test]
fn a_shared_backup_takes_over_once() {
    let text = text(3, ["a", "b"], SHARED);
    let mut pair = pair(&text, 3);
    assert_eq!((pair.worker_of(0), pair.worker_of(1)), (0, 1));
    let kept = pair.spis(1);
    still(&mut pair, &[0], 2);
    assert!(pair.has_event("group-active: a: on workers 2, was on 0"), "{:?}", pair.us.events());
    pair.until("its SAs are new", |pair| pair.has_event("tunnel-arrived: worker 2"));
    carry(&mut pair, 1);
    assert!(pair.carries_both_ways(2));
    assert_eq!((pair.worker_of(0), pair.worker_of(1), pair.spis(1)), (2, 1, kept.clone()));

    still(&mut pair, &[0, 1], 2);
    assert!(pair.has_event("group-down: b: RV-GROUP-003"));
    let busy = "tunnel group b is down: worker 1 stands still, and its backup, worker 2, has taken over for tunnel group a";
    assert_eq!(reason(&mut pair, 1), ("RV-GROUP-003".to_owned(), busy.to_owned()));
    let explain = pair.us.explain("two");
    assert_eq!((explain.code.as_str(), explain.verdict.as_str()), ("RV-GROUP-003", busy));
    assert!(pair.carries_both_ways(1));
    assert_eq!((pair.carry(2, true), pair.worker_of(1)), (0, 1));

    still(&mut pair, &[0], 2);
    assert!(pair.has_event("group-up: b"));
    carry(&mut pair, 2);
    assert_eq!(pair.spis(1), kept, "they went on as they were");
    still(&mut pair, &[], 2);
    assert_eq!((pair.worker_of(0), pair.states()), (2, [State::Up; 2]), "nothing moves back");

    let shut = text.replace("[tunnel-group.a]", "[tunnel-group.a]\nenabled = false");
    assert_eq!(pair.us.apply(&shut).changed, ["tunnel-group.a"]);
    pair.until("the peer knows", |pair| peers_sas(pair) == 1);
    assert_eq!(reason(&mut pair, 0).0, "RV-GROUP-001");
    let initiate = Request::Initiate(Part { tunnel: "one".into(), child: None });
    let refused = pair.us.core.answer(&initiate);
    assert!(
        matches!(&refused, Err(ApiError::Refused { why }) if why.contains("RV-GROUP-001")),
        "{refused:?}"
    );
    assert_eq!((pair.carry(1, true), pair.carries_both_ways(2)), (0, true));
    pair.us.apply(&text);
    both_up(&mut pair);
    assert_eq!((pair.worker_of(0), pair.worker_of(1)), (0, 1));
    carry(&mut pair, 1);
}

const SEVERAL: &str = r#"
[tunnel-group.m]
mode = "multi-active"
members = [0, 1, 2]
active-number = 2
"#;

/// HA-02, TG-03: a standby member takes the place of one that fails; with none left the whole group is down, those that
/// could go on are closed at both ends, and all are back with the next member.
#[test]
fn a_standby_takes_over_and_without_one_the_group_is_down() {
    let mut pair = pair(&text(4, ["m", "m"], SEVERAL), 4);
    assert_eq!((pair.worker_of(0), pair.worker_of(1)), (0, 1));
    still(&mut pair, &[1], 0);
    assert!(pair.has_event("group-active: m: on workers 0, 2, was on 0, 1"), "{:?}", pair.us.events());
    pair.until("its SAs are new", |pair| pair.has_event("tunnel-arrived"));
    assert_eq!((pair.worker_of(0), pair.worker_of(1)), (0, 2));
    carry(&mut pair, 2);

    still(&mut pair, &[1, 2], 0);
    assert!(
        pair.has_event("group-down: m: RV-GROUP-004: 1 of its 2 active members poll"),
        "{:?}",
        pair.us.events()
    );
    for tunnel in [0, 1] {
        assert_eq!(
            (pair.states()[tunnel], reason(&mut pair, tunnel).0.as_str()),
            (State::Down, "RV-GROUP-004")
        );
    }
    pair.until("the peer of the one that polls knows", |pair| peers_sas(pair) == 1);
    assert_eq!((pair.carry(1, true), pair.carry(1, false)), (0, 0));

    still(&mut pair, &[2], 0);
    assert!(pair.has_event("group-up: m"));
    both_up(&mut pair);
    assert_eq!((pair.worker_of(0), pair.worker_of(1)), (0, 1));
    carry(&mut pair, 1);
    carry(&mut pair, 2);
}

/// With `degrade` the survivors take them, of the group alone: the fourth worker is none of its.
#[test]
fn a_group_that_degrades_stays_on_its_own_workers() {
    let lines = SEVERAL.replace("active-number = 2", "active-number = 3\ndegrade = true");
    let mut pair = pair(&text(4, ["m", "m"], &lines), 4);
    still(&mut pair, &[0, 1], 3);
    pair.until("both are with the third", |pair| (pair.worker_of(0), pair.worker_of(1)) == (2, 2));
    pair.until("and up", |pair| pair.states() == [State::Up; 2]);
    carry(&mut pair, 1);
    carry(&mut pair, 2);
    still(&mut pair, &[0, 1, 2], 3);
    assert_eq!(reason(&mut pair, 0).0, "RV-GROUP-004");
    still(&mut pair, &[0, 1], 3);
    assert_eq!(pair.states(), [State::Up; 2]);
    carry(&mut pair, 1);
}

/// Tunnels that are added go to active members; one whose group is another is opened anew there.
#[test]
fn tunnels_go_to_the_workers_of_their_group() {
    let text = text(4, ["m", "m"], SEVERAL);
    let mut pair = pair(&text, 4);
    let single = "[tunnel-group.s]\nmode = \"single-active\"\nprimary = 3\n";
    let other = format!("{}{single}", text.replacen("tunnel-group = \"m\"", "tunnel-group = \"s\"", 1));
    let applied = pair.us.apply(&other);
    assert_eq!(
        (applied.added, applied.replaced),
        (vec!["tunnel-group.s".to_owned()], vec!["one".to_owned()])
    );
    pair.until("it is up there", |pair| pair.states() == [State::Up; 2]);
    let one = pair.us.core.roster.find("one").unwrap();
    let child = pair.us.core.roster.children(one).next().unwrap().0;
    assert_eq!((pair.worker_of(child.0), pair.worker_of(1)), (3, 1));
    carry(&mut pair, 1);
}

/// TG-04: what wants a shutdown is refused whole, with the remedy; nothing is changed, and the tunnels stay.
#[test]
fn what_wants_a_shutdown_is_refused() {
    let text = text(4, ["m", "m"], SEVERAL);
    let mut pair = pair(&text, 4);
    let kept = (pair.spis(0), pair.spis(1));
    let asked =
        text.replace("active-number = 2", "active-number = 1").replace("correct horse", "battery staple");
    let refusal = "tunnel-group.m: a lower active-number: not while it is up; shut it down first: enabled = false, apply, then this";
    assert_eq!(pair.us.core.compare(&plan(&asked)).refused, [refusal]);
    assert_eq!(pair.us.apply(&asked).refused, [refusal]);
    assert!(pair.has_event("config-refused: tunnel-group.m"));
    assert_eq!((pair.us.core.plan.clone(), pair.spis(0), pair.spis(1)), (plan(&text), kept.0, kept.1));
    let members = text.replace("members = [0, 1, 2]", "members = [0, 1, 3]");
    assert!(pair.us.apply(&members).refused.is_empty(), "2 stands by");
    still(&mut pair, &[1], 0);
    pair.until("the new standby has it", |pair| pair.worker_of(1) == 3);
    assert_eq!(pair.us.apply(&members.replace("[0, 1, 3]", "[0, 1]")).refused.len(), 1, "3 is active now");
}

/// A gateway's peers go to the active members of its group; with the group shut down nobody is let in.
#[test]
fn peers_go_to_the_workers_of_the_gateways_group() {
    let single = "[tunnel-group.s]\nmode = \"single-active\"\nprimary = 1\n";
    let text = gateway("tunnel-group = \"s\"") + single;
    let mut pair = Pair::joined(Bench::bare(&text, 2, 64), Bench::bare(&callers(2), 1, 64));
    call(&mut pair, "t1");
    call(&mut pair, "t2");
    until_up(&mut pair, &["g/1.example", "g/2.example"]);
    assert_eq!(pair.us.core.workers.loads(), [0, 2]);
    assert_eq!((pair.carry(1, true), pair.carry(2, false)), (1, 1));
    pair.us.apply(&text.replace("[tunnel-group.s]", "[tunnel-group.s]\nenabled = false"));
    pair.until("nobody is left", |pair| shown(pair).1.is_empty() && called(pair) == 0);
    let (gateway, _) = shown(&mut pair);
    assert_eq!((gateway.open, gateway.flags), (false, vec!["tunnel-group-down".to_owned()]));
    pair.us.apply(&text);
    assert!(shown(&mut pair).0.open);
    call(&mut pair, "t1");
    until_up(&mut pair, &["g/1.example"]);
    assert_eq!(pair.us.core.workers.loads(), [0, 1]);
}

/// A group that is shut down at the start opens nothing until it is brought up.
#[test]
fn a_group_that_starts_shut_down_calls_nobody() {
    let text = text(3, ["a", "b"], SHARED);
    let shut = text.replace("[tunnel-group.a]", "[tunnel-group.a]\nenabled = false");
    let peer = super::stall::pair(1, 2, 1, "");
    let mut pair = Pair::joined(Bench::bare(&shut, 3, 64), Bench::bare(&peer, 1, 64));
    pair.until("the other is up", |pair| pair.states() == [State::Down, State::Up]);
    assert_eq!((reason(&mut pair, 0).0.as_str(), pair.carry(1, true)), ("RV-GROUP-001", 0));
    pair.us.apply(&text);
    both_up(&mut pair);
    carry(&mut pair, 1);
}
