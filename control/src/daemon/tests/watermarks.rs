//! Workers and groups that become full: each crossing is told once, nobody new is let in at the end, who is up goes on
//! (TG-05, TG-06, TG-07).

use super::gateways::{call, called, callers, gateway, hang_up, shown, until_up, up};
use super::pair::Pair;
use super::*;
use crate::api::reply::TunnelGroup;
use crate::api::request::{GroupName, Rekey};

const ONE: &str = "[tunnel-group.s]\nmode = \"single-active\"\nprimary = 1\n";

/// A gateway whose peers are all worker 1's, which has so many outbound slots, and so many peers.
fn pair(slots: usize, peers: u8) -> Pair {
    let us = gateway("tunnel-group = \"s\"") + ONE;
    Pair::joined(Bench::bare(&us, 2, slots), Bench::bare(&callers(peers), 1, 64))
}

/// These of the peers are up, and as many looks have passed as it takes to see how full that is.
fn filled(pair: &mut Pair, peers: std::ops::RangeInclusive<u8>) {
    peers.clone().for_each(|n| call(pair, &format!("t{n}")));
    let names: Vec<String> = (1..=*peers.end()).map(|n| format!("g/{n}.example")).collect();
    until_up(pair, &names.iter().map(String::as_str).collect::<Vec<_>>());
    pair.pass(11, |_| {});
}

/// What was told of levels, without the numbers.
fn told(pair: &Pair) -> Vec<String> {
    let is_level = |event: &String| event.starts_with("memory-") || event.starts_with("tunnels-");
    let events = pair.us.events().into_iter().filter(is_level);
    events.map(|event| event.split(':').next().unwrap_or_default().to_owned()).collect()
}

fn group(pair: &mut Pair, name: &str) -> TunnelGroup {
    let name = GroupName { group: Some(name.into()) };
    match pair.us.core.answer(&Request::ShowTunnelGroups(name)) {
        Ok(Reply::TunnelGroups { mut groups, .. }) => groups.remove(0),
        other => panic!("{other:?}"),
    }
}

/// TG-05: at 95 % of a worker's places for SAs no caller is heard, rekeys go on, and it is over below 90 %; at each threshold one word.
#[test]
fn a_worker_at_its_end_takes_nobody_new() {
    let mut pair = pair(8, 9);
    filled(&mut pair, 1..=7);
    assert!(
        told(&pair).iter().all(|event| event.starts_with("tunnels-")),
        "7 of 8 are 87 %: {:?}",
        told(&pair)
    );
    filled(&mut pair, 8..=8);
    assert_eq!(told(&pair).iter().filter(|event| event.starts_with("memory-")).count(), 2);
    assert!(pair.has_event("memory-high: worker 1: 8 of 8 (100 %) SA places"));
    assert!(pair.has_event("memory-max: worker 1: 8 of 8 (100 %) SA places: it takes no new peers"));
    let member = group(&mut pair, "s").members[0].clone();
    assert_eq!((member.worker, member.memory.used, member.memory.limit), (1, 8, 8));
    assert_eq!((member.memory.level.as_str(), member.memory.last_crossing.as_str()), ("max", "max"));

    let dropped = pair.us.core.engine.counters().init_dropped;
    call(&mut pair, "t9");
    pair.until("it is not heard", |pair| pair.us.core.engine.counters().init_dropped > dropped);
    assert_eq!(pair.us.core.engine.half_open(), 0, "nothing is kept of it");
    let rekey = Rekey { tunnel: "g/3.example".into(), child: None, ike: false, reauthenticate: false };
    pair.us.core.answer(&Request::Rekey(rekey)).unwrap();
    pair.until("a rekey is let", |pair| {
        pair.us.events().iter().any(|event| event.starts_with("child-rekeyed"))
    });

    hang_up(&mut pair, "t1");
    pair.until("one has gone", |pair| up(pair).len() == 7);
    pair.pass(11, |_| {});
    assert!(pair.has_event("memory-relieved: worker 1: 7 of 8 (87 %) SA places: it takes new peers again"));
    // Its place has rested, and the caller has gone on to send its request.
    pair.pass(100, |_| {});
    pair.peer.pass(20);
    pair.until("the ninth is up", |pair| up(pair).contains(&"g/9.example".to_owned()));
    for n in 2..=4 {
        hang_up(&mut pair, &format!("t{n}"));
    }
    pair.until("three more have gone", |pair| up(pair).len() == 5);
    pair.pass(11, |_| {});
    let memory = told(&pair).into_iter().filter(|event| event.starts_with("memory-")).collect::<Vec<_>>();
    assert_eq!(memory.last().map(String::as_str), Some("memory-normal"), "{memory:?}");
}

/// TG-06: a group is told to be high and at its limit, once each, and to be normal again; the one beyond its limit is
/// refused by name, whatever room other workers have (TG-07).
#[test]
fn a_group_at_its_limit_says_so_and_takes_no_more() {
    let mut pair = pair(64, 9);
    filled(&mut pair, 1..=7);
    assert!(told(&pair).is_empty(), "{:?}", told(&pair));
    let shown_group = group(&mut pair, "s");
    assert_eq!(
        (shown_group.mode.as_str(), shown_group.primary, shown_group.up),
        ("single-active", Some(1), true)
    );
    assert_eq!((shown_group.tunnels.used, shown_group.tunnels.limit), (7, 8));
    filled(&mut pair, 8..=8);
    assert_eq!(told(&pair), ["tunnels-high", "tunnels-max"]);
    assert!(pair.has_event("tunnels-max: s: 8 of 8 (100 %) tunnels"));
    call(&mut pair, "t9");
    pair.until("the ninth is refused", |pair| pair.has_event("attempt-failed: RV-GATE-001"));
    let events = pair.us.events();
    let refused = events.iter().find(|event| event.starts_with("attempt-failed")).unwrap();
    assert!(
        refused.contains("RV-GATE-011") && refused.contains("tunnel group s has 8 of 8 tunnels"),
        "{refused}"
    );
    hang_up(&mut pair, "t1");
    pair.until("one has gone", |pair| shown(pair).1.len() == 7 && called(pair) == 7);
    pair.pass(11, |_| {});
    assert_eq!(told(&pair), ["tunnels-high", "tunnels-max", "tunnels-normal"], "7 of 8 are below 90 %");
    assert_eq!(group(&mut pair, "s").tunnels.last_crossing, "normal");
    assert_eq!(group(&mut pair, "default").members.len(), 2);
    let nobody = Request::ShowTunnelGroups(GroupName { group: Some("t".into()) });
    let refused = pair.us.core.answer(&nobody).unwrap_err();
    assert_eq!(refused.to_string(), "tunnel group \"t\" does not exist; configured: default, s");
}

/// A configured tunnel has its place set aside: it comes up where every place is taken, and gateways let nobody in.
#[test]
fn a_configured_tunnel_has_its_place() {
    let us = super::stall::pair(2, 1, 1, "auto-establish = true")
        + "\n[gateway.g]\nlocal = \"192.0.2.2\"\npsk = \"x\"\nts-list = \"all\"\n\
           [ts-list.all]\nlocal = [\"10.2.0.0/16\"]\nremote = [\"10.9.0.0/16\"]\n";
    let peer = super::stall::pair(1, 2, 1, "");
    let mut pair = Pair::joined(Bench::bare(&us, 1, 2), Bench::bare(&peer, 1, 64));
    pair.pass(11, |_| {});
    assert!(pair.has_event("memory-max: worker 0: 2 of 2"), "{:?}", pair.us.events());
    pair.until("both are up", |pair| pair.states() == [State::Up; 2]);
    assert_eq!((pair.carry(1, true), pair.carry(2, false)), (1, 1));
}
