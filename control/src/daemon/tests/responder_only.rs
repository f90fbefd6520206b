//! Tunnels of a group that is responder-only call nobody: not for a packet, not for an operator (TG-08).

use super::pair::Pair;
use super::*;
use crate::api::request::{Part, Rekey};

fn text(ours: u8, group: &str, lines: &str) -> String {
    let theirs = 3 - ours;
    format!(
        r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.{ours}/24"] }}
interface.lan = {{ device = "af_packet:eth2", addresses = ["10.{ours}.0.1/16"] }}
[tunnel-group.g]
mode = "single-active"
primary = 0
{group}
[tunnel.net]
local = "192.0.2.{ours}"
remote = "192.0.2.{theirs}"
tunnel-group = "g"
psk = "correct horse"
{lines}
local-ts = ["10.{ours}.1.0/24"]
remote-ts = ["10.{theirs}.1.0/24"]
"#
    )
}

fn is_up(bench: &mut Bench) -> bool {
    bench.view().tunnels[0].state == State::Up
}

#[test]
fn only_the_peer_calls() {
    let us = text(2, "responder-only = true", "auto-establish = true");
    let mut pair = Pair::joined(Bench::bare(&us, 1, 64), Bench::bare(&text(1, "", ""), 1, 64));
    let part = || Part { tunnel: "net".into(), child: None };
    let rekey = |ike| Request::Rekey(Rekey { tunnel: "net".into(), child: None, ike, reauthenticate: false });
    pair.carry(1, true);
    assert!(pair.us.core.answer(&Request::Initiate(part())).is_err());
    pair.pass(100, |pair| assert_eq!(pair.us.view().tunnels[0].state, State::Down));
    pair.carry(1, false);
    pair.until("the peer's packet brings it up", |pair| is_up(&mut pair.us) && is_up(&mut pair.peer));
    assert!([false, true].iter().all(|ike| pair.us.core.answer(&rekey(*ike)).is_err()));
    assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));

    // Of a group that may call it is called, as soon as its configuration says so.
    let applied = pair.us.apply(&text(2, "", "auto-establish = true"));
    assert_eq!((applied.changed, applied.untouched), (vec!["tunnel-group.g".to_owned()], 1));
    assert!(pair.us.core.answer(&rekey(false)).is_ok());
    pair.until("it is rekeyed by us", |pair| pair.us.view().tunnels[0].child_rekeys == 1);
}
