//! A tunnel that its operator shuts down is closed, calls nobody and hears nobody, until it is enabled (TG-10).

use super::pair::{Pair, one_tunnel};
use super::*;
use crate::api::reply::Kinds;
use crate::api::request::Part;

const NETWORKS: &str = "local-ts = [\"10.1.1.0/24\"]\nremote-ts = [\"10.2.1.0/24\"]\n";

fn text(ours: u8, lines: &str) -> String {
    let theirs = 3 - ours;
    let networks = format!("local-ts = [\"10.{ours}.1.0/24\"]\nremote-ts = [\"10.{theirs}.1.0/24\"]\n");
    one_tunnel(ours, &(networks + lines))
}

fn state(pair: &mut Pair) -> (State, String) {
    let tunnel = pair.us.view().tunnels.remove(0);
    (tunnel.state, tunnel.reason_code)
}

fn flags(pair: &mut Pair) -> Vec<String> {
    pair.us.view().tunnels.remove(0).flags
}

/// Where several things keep a tunnel down, all of them are told, and its code is that of the first.
#[test]
fn every_reason_is_told() {
    let text = text(2, "enabled = false").replace("192.0.2.1\"", "203.0.113.1\"");
    let mut pair = Pair::joined(Bench::bare(&text, 1, 64), Bench::bare(&one_tunnel(1, NETWORKS), 1, 64));
    assert_eq!(flags(&mut pair), ["admin-down", "peer-unreachable"]);
    let wan = pair.us.core.plan.interfaces.iter().find(|one| one.name == "wan").unwrap().port;
    pair.us.core.ports.resize_with(wan + 1, Default::default);
    pair.us.core.ports[wan].down = true;
    assert_eq!(flags(&mut pair), ["admin-down", "local-ip-unreachable", "peer-unreachable"]);
    assert_eq!(state(&mut pair), (State::Down, "RV-ADMIN-001".to_owned()));
    let rungs = pair.us.explain("net").rungs;
    let link = rungs.iter().find(|rung| rung.question == "link at our address").unwrap();
    assert_eq!((link.holds, link.seen.as_str()), (Some(false), "the port of interface wan has no link"));
}

/// What passes is counted of each tunnel, and shown in words and numbers.
#[test]
fn what_passes_is_shown() {
    let peer = text(1, "on-demand = false");
    let mut pair = Pair::joined(Bench::bare(&text(2, ""), 1, 64), Bench::bare(&peer, 1, 64));
    pair.carry(1, true);
    pair.until("it is up", |pair| state(pair).0 == State::Up);
    let told = pair.us.explain("net");
    let messages = told.messages;
    assert_eq!((messages.sent, messages.ignored), (2 + messages.resent, 0));
    assert!(messages.received >= 2, "{messages:?}");
    assert_eq!(
        (told.proofs.held, told.proofs.refused),
        (Kinds { psk: 1, ..Kinds::default() }, Kinds::default())
    );
    let datagrams = told.rungs.iter().find(|rung| rung.question == "IKE datagrams").unwrap();
    assert_eq!(datagrams.seen, messages.to_string());
}

#[test]
fn a_tunnel_is_shut_down_and_enabled() {
    let peer = text(1, "on-demand = false");
    let mut pair = Pair::joined(Bench::bare(&text(2, "enabled = false"), 1, 64), Bench::bare(&peer, 1, 64));
    let call = |pair: &mut Pair| {
        let part = Part { tunnel: "net".into(), child: None };
        pair.peer.core.answer(&Request::Initiate(part)).unwrap();
    };
    let shut = (State::Down, "RV-ADMIN-001".to_owned());
    call(&mut pair);
    pair.until("the caller is refused", |pair| pair.has_event("stranger-refused"));
    assert_eq!(state(&mut pair), shut);
    assert_eq!(pair.carry(1, true), 0, "nothing leaves, in clear or otherwise");
    assert!(pair.us.core.answer(&Request::Initiate(Part { tunnel: "net".into(), child: None })).is_err());
    let told = pair.us.explain("net");
    assert_eq!((told.code.as_str(), told.rungs[1].holds), ("RV-ADMIN-001", Some(false)));
    assert_eq!(flags(&mut pair), ["admin-down"]);

    let applied = pair.us.apply(&text(2, ""));
    assert_eq!(applied.changed, ["net"]);
    pair.carry(1, true);
    pair.until("it is up", |pair| state(pair).0 == State::Up);
    assert_eq!(pair.carry(1, true), 1);

    assert_eq!(pair.us.apply(&text(2, "enabled = false")).changed, ["net"]);
    pair.until("the peer is told", |pair| pair.peer.core.workers.sas().iter().count() == 0);
    assert_eq!((state(&mut pair), pair.carry(1, true)), (shut, 0));
}
