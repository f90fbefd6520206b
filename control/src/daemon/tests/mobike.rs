//! A tunnel whose caller moves (RFC 4555), between two gateways of one make: what is up stays, with its worker, its SPIs
//! and its sequence numbers.

use super::pair::{Pair, host};
use super::*;
use crate::api::reply::Tunnel;

/// The address the peer moves to.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

/// A gateway of the tunnel `net`, with our address and these lines.
fn gateway(ours: u8, local: &str, lines: &str) -> String {
    let theirs = 3 - ours;
    format!(
        r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.{ours}/24", "192.0.2.7/24"] }}
interface.lan = {{ device = "af_packet:eth2", addresses = ["10.{ours}.0.1/16"] }}
[tunnel.net]
local = "{local}"
local-id = "{ours}.example"
remote-id = "{theirs}.example"
psk = "correct horse"
local-ts = ["10.{ours}.0.0/16"]
remote-ts = ["10.{theirs}.0.0/16"]
{lines}
"#
    )
}

fn caller(local: &str) -> String {
    gateway(1, local, "remote = \"192.0.2.2\"\nmobike = true\non-demand = false\n")
}

/// The peer has called us, who have this of it, and of its other address.
fn called(lines: &str) -> Pair {
    called_by(lines, &caller("192.0.2.1"))
}

/// The same, where the peer is configured so.
fn called_by(lines: &str, peer: &str) -> Pair {
    let us = gateway(2, "192.0.2.2", lines).replace(", \"192.0.2.7/24\"]", "]");
    let mut pair = Pair::joined(Bench::bare(&us, 2, 64), Bench::bare(peer, 1, 64));
    pair.us.learn(facts("wan", &[], &[], &[ELSEWHERE.into()], PEER_MAC));
    pair.peer.learn(facts("wan", &["192.0.2.7/24"], &[], &[], PEER_MAC));
    let part = Part { tunnel: "net".into(), child: None };
    pair.peer.core.answer(&Request::Initiate(part)).unwrap();
    pair.until("both are up", |pair| {
        [tunnel(&mut pair.us), tunnel(&mut pair.peer)].iter().all(|tunnel| tunnel.state == State::Up)
    });
    pair
}

/// The same, with these lines of ours for a gateway in place of the tunnel.
fn called_by_a_peer(lines: &str) -> Pair {
    let us = super::gateways::gateway(lines);
    let peer = caller("192.0.2.1").replace("\"2.example\"", "\"hq.example\"");
    let mut pair = Pair::joined(Bench::bare(&us, 2, 64), Bench::bare(&peer, 1, 64));
    pair.us.learn(facts("wan", &[], &[], &[ELSEWHERE.into()], PEER_MAC));
    pair.peer.learn(facts("wan", &["192.0.2.7/24"], &[], &[], PEER_MAC));
    super::gateways::call(&mut pair, "net");
    super::gateways::until_up(&mut pair, &["g/1.example"]);
    pair
}

fn tunnel(bench: &mut Bench) -> Tunnel {
    bench.view().tunnels[0].clone()
}

/// SPIs and the worker of each SA.
fn sas(bench: &mut Bench) -> Vec<(String, usize)> {
    bench.view().sas.iter().map(|sa| (sa.spi.clone(), sa.worker)).collect()
}

fn rung(bench: &mut Bench) -> String {
    let explain = bench.explain("net");
    let rung = explain.rungs.into_iter().find(|rung| rung.question.contains("MOBIKE"));
    rung.map(|rung| rung.seen).unwrap_or_default()
}

fn numbers(packets: &[Vec<u8>]) -> Vec<u32> {
    packets.iter().map(|packet| sequence(std::slice::from_ref(packet))).collect()
}

/// Another configuration has another address: packets of the caller go on at once, ours when it has answered there.
#[test]
fn a_caller_moves_and_loses_nothing_of_what_it_has() {
    let mut pair = called("remote = \"any\"\n");
    assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
    let (ours, theirs) = (sas(&mut pair.us), sas(&mut pair.peer));
    let applied = pair.peer.apply(&caller("192.0.2.7"));
    assert_eq!((applied.moved, applied.replaced.len()), (vec!["net".to_owned()], 0));
    assert_eq!(pair.carry(1, true), 1, "what is sent to where it was arrives, while it has that address");
    assert_eq!(pair.carry(1, false), 1, "its first packet from there is taken");
    pair.until("we know", |pair| pair.has_event("peer-moved"));
    for _ in 0..3 {
        assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
    }
    let last = pair.passed.last().unwrap();
    assert_eq!(last[12..16], ELSEWHERE.octets(), "it sends from there");
    assert_eq!(numbers(&pair.passed), [1, 2, 3, 4, 5], "under the same key, in the same order");
    assert_eq!((sas(&mut pair.us), sas(&mut pair.peer)), (ours, theirs));
    let told = tunnel(&mut pair.us);
    assert_eq!((told.remote.as_str(), told.mobike, told.moves, told.ups), ("192.0.2.7:4500", true, 1, 1));
    assert_eq!((tunnel(&mut pair.peer).local.as_str(), tunnel(&mut pair.peer).moves), ("192.0.2.7", 1));
    assert_eq!(rung(&mut pair.us), "the peer called and may move; moves so far: 1");
    assert_eq!(rung(&mut pair.peer), "we called and may move; moves so far: 1");
}

/// What is sent to the address it calls from does not arrive any more: it goes on from the other one, with the same SAs.
#[test]
fn a_caller_goes_on_from_its_other_address() {
    let lines = "remote = \"192.0.2.2\"\nmobike-addresses = [\"192.0.2.7\"]\non-demand = false\nike-policy = \"p\"\n\
        [ike-policy.p]\ndpd-interval = 1\n";
    let mut pair = called_by("remote = \"any\"\n", &gateway(1, "192.0.2.1", lines));
    assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
    let before = (sas(&mut pair.us), sas(&mut pair.peer));
    assert_eq!(tunnel(&mut pair.us).peer_addresses, ["192.0.2.7"]);
    assert!(rung(&mut pair.us).ends_with("; the peer's: 192.0.2.7"));
    assert!(rung(&mut pair.peer).ends_with("; further addresses here: 192.0.2.7"));
    pair.loses = |packet| packet[16..20] == [192, 0, 2, 1];
    pair.until("it goes there", |pair| {
        pair.peer.pass(1);
        pair.has_event("peer-moved") && tunnel(&mut pair.peer).local == "192.0.2.7"
    });
    assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
    assert_eq!((sas(&mut pair.us), sas(&mut pair.peer)), before);
    let told = [tunnel(&mut pair.us), tunnel(&mut pair.peer)];
    assert_eq!(told[0].remote, "192.0.2.7:4500");
    assert!(told.iter().all(|told| (told.moves, told.ups) == (1, 1)));
    // What it has is configured otherwise: we hear of it, and the tunnel is where it can be.
    pair.loses = |_| false;
    let applied =
        pair.peer.apply(&gateway(1, "192.0.2.1", &lines.replace("[\"192.0.2.7\"]", "[]\nmobike = true")));
    assert_eq!(applied.changed, ["net"]);
    pair.until("it is back", |pair| tunnel(&mut pair.us).remote == "192.0.2.1:4500");
    pair.until("we know", |pair| tunnel(&mut pair.us).peer_addresses.is_empty());
    assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
}

/// A gateway's peer takes its tunnel along: name, worker, SPIs, sequence numbers and the route to what is behind it.
#[test]
fn a_peer_of_a_gateway_moves() {
    let mut pair = called_by_a_peer("");
    assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
    let before = sas(&mut pair.us);
    let applied = pair.peer.apply(&caller("192.0.2.7").replace("\"2.example\"", "\"hq.example\""));
    assert_eq!((applied.moved, applied.replaced.len()), (vec!["net".to_owned()], 0));
    assert_eq!(pair.carry(1, false), 1, "its first packet from there is taken");
    pair.until("we know", |pair| pair.has_event("peer-moved"));
    for _ in 0..3 {
        assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
    }
    let told = tunnel(&mut pair.us);
    assert_eq!((told.remote.as_str(), told.mobike, told.moves, told.ups), ("192.0.2.7:4500", true, 1, 1));
    assert_eq!((told.name.as_str(), sas(&mut pair.us)), ("g/1.example", before));
}

/// Where the gateway does without, and of a client that is told by its address, nobody moves: it is called anew.
#[test]
fn who_has_to_stay_does_no_mobike() {
    let client = "client-db = \"d\"\n[[client-db.d.client]]\nname = \"one\"\nremote = [\"192.0.2.1\"]\n";
    for lines in ["mobike = false\n", client] {
        let mut pair = called_by_a_peer(lines);
        assert!(!tunnel(&mut pair.us).mobike && !tunnel(&mut pair.peer).mobike, "{lines}");
    }
}

/// A tunnel that says where its peer is lets it go nowhere else: the caller's end says why, and so does ours.
#[test]
fn a_fixed_peer_is_refused_by_name() {
    let mut pair = called("remote = \"192.0.2.1\"\nmobike = true\n");
    pair.peer.apply(&caller("192.0.2.7"));
    pair.until("it is refused", |pair| pair.has_event("move-refused"));
    pair.until("it is down", |pair| tunnel(&mut pair.peer).state == State::Down);
    assert_eq!(tunnel(&mut pair.peer).reason_code, "RV-NET-004");
    assert_eq!(pair.carry_packet(&v4(host(1, 1), host(2, 1), 100, false), false), 0);
}

/// Without MOBIKE, as it is between fixed addresses, a move is a new tunnel.
#[test]
fn without_mobike_it_is_opened_anew() {
    let mut pair = called("remote = \"any\"\nmobike = false\n");
    assert!(!tunnel(&mut pair.us).mobike);
    assert_eq!(rung(&mut pair.peer), "no: the peer does not do MOBIKE");
    pair.peer.apply(&caller("192.0.2.7"));
    pair.until("it is down", |pair| tunnel(&mut pair.us).state == State::Down);
    assert_eq!(tunnel(&mut pair.peer).reason_code, "RV-END-007");
}
