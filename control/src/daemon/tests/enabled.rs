//! A tunnel that its operator shuts down is closed, calls nobody and hears nobody, until it is enabled (TG-10).

use super::pair::{Pair, one_tunnel};
use super::*;
use crate::api::request::Part;

fn text(ours: u8, lines: &str) -> String {
    let theirs = 3 - ours;
    let networks = format!("local-ts = [\"10.{ours}.1.0/24\"]\nremote-ts = [\"10.{theirs}.1.0/24\"]\n");
    one_tunnel(ours, &(networks + lines))
}

fn state(pair: &mut Pair) -> (State, String) {
    let tunnel = pair.us.view().tunnels.remove(0);
    (tunnel.state, tunnel.reason_code)
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

    let applied = pair.us.apply(&text(2, ""));
    assert_eq!(applied.changed, ["net"]);
    pair.carry(1, true);
    pair.until("it is up", |pair| state(pair).0 == State::Up);
    assert_eq!(pair.carry(1, true), 1);

    assert_eq!(pair.us.apply(&text(2, "enabled = false")).changed, ["net"]);
    pair.until("the peer is told", |pair| pair.peer.core.workers.sas().iter().count() == 0);
    assert_eq!((state(&mut pair), pair.carry(1, true)), (shut, 0));
}
