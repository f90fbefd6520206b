//! Several children on one IKE SA, between two gateways of one make: each carries its own traffic, is refused, rekeyed
//! and closed alone, and is asked for by whoever needs it.

use ravelin_dataplane::verdict::Drop;

use super::pair::{Pair, host};
use super::*;
use crate::api::reply::{Child, Tunnel};
use crate::api::request::Rekey;

/// The tunnel `net` of a side, with these lines; the networks of each child are to be added.
fn gateway(ours: u8, lines: &str) -> String {
    let theirs = 3 - ours;
    format!(
        r#"
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.{ours}/24"] }}
interface.lan = {{ device = "af_packet:eth2", addresses = ["10.{ours}.0.1/16"] }}
[ipsec-transform.strong]
proposals = ["aes256gcm16"]
[tunnel.net]
local = "192.0.2.{ours}"
local-id = "{ours}.example"
remote-id = "{theirs}.example"
psk = "correct horse"
{lines}
"#
    )
}

fn remote(side: u8) -> String {
    format!("remote = \"192.0.2.{}\"\non-demand = false\n", 3 - side)
}

/// A child for the networks of this number.
fn child(ours: u8, number: u8, lines: &str) -> String {
    let theirs = 3 - ours;
    format!(
        "[tunnel.net.child.c{number}]\nlocal-ts = [\"10.{ours}.{number}.0/24\"]\nremote-ts = [\"10.{theirs}.{number}.0/24\"]\n{lines}\n"
    )
}

fn five(ours: u8) -> String {
    (1..=5).map(|number| child(ours, number, "")).collect()
}

fn pair(us: &str, peer: &str) -> Pair {
    Pair::joined(Bench::bare(us, 1, 64), Bench::bare(peer, 1, 64))
}

/// Both with five children, that we are to ask for.
fn usual() -> Pair {
    let [us, peer] = [2, 1].map(|side| gateway(side, &remote(side)) + &five(side));
    let mut pair = pair(&us, &peer);
    part(&mut pair.us, None);
    pair.until("all five are up", |pair| up(&mut pair.us) == ["c1", "c2", "c3", "c4", "c5"]);
    pair
}

/// Has a gateway ask for its tunnel, or for one child.
fn part(bench: &mut Bench, child: Option<&str>) {
    let part = Part { tunnel: "net".into(), child: child.map(str::to_owned) };
    bench.core.answer(&Request::Initiate(part)).unwrap();
}

fn tunnel(bench: &mut Bench) -> Tunnel {
    bench.view().tunnels[0].clone()
}

fn of(bench: &mut Bench, name: &str) -> Child {
    tunnel(bench).children.into_iter().find(|child| child.name == name).unwrap()
}

/// The names of the children that are up.
fn up(bench: &mut Bench) -> Vec<String> {
    let children = tunnel(bench).children.into_iter().filter(|child| child.state == State::Up);
    children.map(|child| child.name).collect()
}

/// The SPI of each child we receive on, by its name.
fn spis(bench: &mut Bench) -> BTreeMap<String, String> {
    let view = bench.view();
    let inbound = view.sas.iter().filter(|sa| sa.direction == "in" && sa.state == "active");
    inbound.map(|sa| (sa.child.clone(), sa.spi.clone())).collect()
}

fn drops(bench: &Bench, reason: Drop) -> u64 {
    let worker = ravelin_dataplane::sa::shard::WorkerId(0);
    bench.core.workers.link().counters(worker).unwrap().drops(reason)
}

/// What our tunnel has counted, by child.
fn counts(pair: &mut Pair) -> Vec<(u64, u64)> {
    tunnel(&mut pair.us).children.iter().map(|child| (child.in_packets, child.out_packets)).collect()
}

/// One IKE SA, five children, each with SAs and counters of its own.
#[test]
fn each_child_carries_its_own() {
    let mut pair = usual();
    let mut expected = counts(&mut pair);
    for network in 1..=5 {
        assert_eq!((pair.carry(network, true), pair.carry(network, false)), (1, 1), "{network}");
        let count = &mut expected[usize::from(network) - 1];
        *count = (count.0 + 1, count.1 + 1);
        assert_eq!(counts(&mut pair), expected, "{network}");
    }
    assert_eq!(pair.carry(6, true), 0, "of no child");
    let explain = pair.us.explain("net");
    let rungs: Vec<_> = explain.rungs.iter().filter(|rung| rung.question.starts_with("child c")).collect();
    assert!(rungs.len() == 5 && rungs.iter().all(|rung| rung.holds == Some(true)), "{rungs:?}");
    assert_eq!(rungs[2].seen, "10.2.3.0/24 === 10.1.3.0/24: 1 packets in, 1 out");
    assert_eq!(pair.us.core.engine.snapshot().len(), 1);
}

/// A child is rekeyed, and one closed, by name; nothing happens to the others.
#[test]
fn commands_may_name_a_child() {
    let mut pair = usual();
    let before = spis(&mut pair.us);
    let rekey = |child: &str, ike| {
        Request::Rekey(Rekey { tunnel: "net".into(), child: Some(child.into()), ike, reauthenticate: false })
    };
    pair.us.core.answer(&rekey("c2", false)).unwrap();
    pair.until("c2 is rekeyed", |pair| of(&mut pair.us, "c2").rekeys == 1);
    pair.until("its old SA is drained", |pair| spis(&mut pair.us)["c2"] != before["c2"]);
    let same = |after: &BTreeMap<String, String>, but: &str| {
        before.iter().filter(|(name, _)| *name != but).all(|(name, spi)| after.get(name) == Some(spi))
    };
    assert!(same(&spis(&mut pair.us), "c2"));
    assert!(tunnel(&mut pair.us).children.iter().all(|child| child.rekeys == u64::from(child.name == "c2")));

    let close = |child: &str| Request::Terminate(Part { tunnel: "net".into(), child: Some(child.into()) });
    let now = spis(&mut pair.us);
    pair.us.core.answer(&close("c4")).unwrap();
    pair.until("c4 is gone on both sides", |pair| {
        [&mut pair.us, &mut pair.peer].map(up).iter().all(|up| up.join(" ") == "c1 c2 c3 c5")
    });
    assert!(spis(&mut pair.us).iter().all(|(name, spi)| now[name] == *spi));
    let closed = of(&mut pair.us, "c4");
    assert_eq!(
        (closed.state, closed.reason_code.as_str(), closed.carries.as_str()),
        (State::Down, "RV-END-001", "")
    );
    assert_eq!(of(&mut pair.peer, "c4").reason_code, "RV-END-004");
    assert_eq!(
        (tunnel(&mut pair.us).state, pair.carry(4, true), pair.carry(5, true)),
        (State::Degraded, 0, 1)
    );
    let verdict = pair.us.explain("net").verdict;
    assert_eq!(verdict, "without c4 (closed by command)");

    for request in [close("c4"), rekey("c4", false), rekey("c1", true)] {
        assert!(matches!(pair.us.core.answer(&request), Err(ApiError::Refused { .. })), "{request:?}");
    }
    let unknown = pair.us.core.answer(&close("c9")).unwrap_err();
    assert_eq!(unknown.to_string(), "tunnel net has no child \"c9\"; configured: c1, c2, c3, c4, c5");
    part(&mut pair.us, Some("c4"));
    pair.until("it is back", |pair| up(&mut pair.us).len() == 5);
    assert_eq!((pair.carry(4, true), pair.carry(4, false)), (1, 1));
}

/// Algorithms that the peer does not take, selectors that it does not have, and one more than it allows: the others
/// are up, and each of these says why it is not.
#[test]
fn a_refused_child_says_why_and_leaves_the_others_alone() {
    let us = gateway(2, &format!("{}child-limit = 7\n", remote(2)))
        + &five(2)
        + &child(2, 6, "ipsec-transform = \"strong\"");
    let rest = [1, 2, 4].map(|number| child(1, number, "")).concat();
    let weak = "[ipsec-transform.weak]\nproposals = [\"aes128gcm16\"]\n";
    let peer = gateway(1, &format!("{}child-limit = 4\n", remote(1)))
        + &rest
        + &child(1, 6, "ipsec-transform = \"weak\"")
        + weak;
    let mut pair = pair(&us, &peer);
    part(&mut pair.us, None);
    let told = |pair: &mut Pair| -> Vec<String> {
        tunnel(&mut pair.us)
            .children
            .iter()
            .map(|child| format!("{} {}", child.name, child.reason_code))
            .collect()
    };
    let expected = ["c1 ", "c2 ", "c3 RV-CHILD-002", "c4 ", "c5 RV-CHILD-002", "c6 RV-CHILD-004"];
    pair.until("all are decided", |pair| told(pair) == expected);
    assert_eq!(up(&mut pair.us), ["c1", "c2", "c4"]);
    assert_eq!(tunnel(&mut pair.us).reason_code, "RV-CHILD-002");
    for network in [1, 2, 4] {
        assert_eq!((pair.carry(network, true), pair.carry(network, false)), (1, 1), "{network}");
    }
    let verdict = pair.us.explain("net").verdict;
    assert!(verdict.starts_with("without c3 (the peer accepts none of our traffic selectors"), "{verdict}");
    // Four are as many as the peer allows.
    let full = gateway(1, &format!("{}child-limit = 4\n", remote(1)))
        + &[1, 2, 3, 5].map(|number| child(1, number, "")).concat();
    pair.peer.apply(&full);
    pair.until("what was there is closed", |pair| up(&mut pair.us).is_empty());
    part(&mut pair.us, None);
    let expected = ["c1 ", "c2 ", "c3 ", "c4 RV-CHILD-002", "c5 ", "c6 RV-CHILD-007"];
    pair.until("the sixth is one too many", |pair| told(pair) == expected);
}

/// Where the peer has called, we ask for what a packet wants, even if we did not know where the peer is.
#[test]
fn a_packet_brings_up_another_child_of_who_called() {
    let us = gateway(2, "remote = \"any\"\n") + &five(2);
    let mut pair = pair(&us, &(gateway(1, &remote(1)) + &five(1)));
    assert_eq!(pair.carry(2, true), 0, "nobody is there to be asked");
    part(&mut pair.peer, Some("c1"));
    pair.until("the peer has called", |pair| up(&mut pair.us) == ["c1"]);
    assert_eq!(pair.carry(2, true), 0, "it wants the child, and is lost");
    pair.until("the child is up", |pair| up(&mut pair.us) == ["c1", "c2"]);
    assert_eq!((pair.carry(2, true), pair.carry(2, false), pair.carry(1, true)), (1, 1, 1));
    assert_eq!(pair.us.core.engine.snapshot().len(), 1);
}

/// Our own call is lost and the peer's comes through: we ask for the rest of what is to be up.
#[test]
fn what_is_to_be_up_is_asked_for_by_who_was_called() {
    let us = gateway(2, &format!("{}auto-establish = true\n", remote(2))) + &five(2);
    let mut pair = pair(&us, &(gateway(1, &remote(1)) + &five(1)));
    // IKE_SA_INIT requests: exchange type 34, with the flag of the initiator.
    pair.loses = |packet| is_ike(packet) && packet[46..48] == [34, 8];
    part(&mut pair.peer, Some("c3"));
    pair.until("the peer has called", |pair| up(&mut pair.us) == ["c3"]);
    pair.us.pass(6);
    pair.until("all five are up", |pair| up(&mut pair.us).len() == 5);
    assert_eq!(up(&mut pair.peer).len(), 5);
    let established = pair.us.core.engine.snapshot().into_iter().filter(|ike| !ike.children.is_empty());
    let established: Vec<_> = established.map(|ike| (ike.role, ike.children.len())).collect();
    assert_eq!(established, [(ravelin_ike::want::Role::Responder, 5)]);
    assert_eq!((pair.carry(5, true), pair.carry(5, false)), (1, 1));
}

/// A packet of UDP between these ports.
fn datagram(from: Ipv4Addr, to: Ipv4Addr, source: u16, destination: u16) -> Vec<u8> {
    let mut packet = v4(from, to, 100, false);
    packet[20..22].copy_from_slice(&source.to_be_bytes());
    packet[22..24].copy_from_slice(&destination.to_be_bytes());
    packet
}

/// Two of the four pairs of two ports and two others are two children, and what is of neither pair is dropped by name
/// (TS-19).
#[test]
fn a_policy_of_pairs_carries_exactly_those() {
    let pairs = |side: u8, ports: [(u16, u16); 2]| {
        let other = 3 - side;
        let pair = |(own, far)| format!("\"10.{side}.1.0/24 udp/{own} === 10.{other}.1.0/24 udp/{far}\"");
        gateway(side, &format!("{}ts-pairs = [{}]\n", remote(side), ports.map(pair).join(", ")))
    };
    let mut pair = pair(&pairs(2, [(100, 300), (200, 400)]), &pairs(1, [(300, 100), (400, 200)]));
    part(&mut pair.us, None);
    pair.until("two children are up", |pair| up(&mut pair.us) == ["net-1", "net-2"]);
    let (own, far) = (host(2, 1), host(1, 1));
    for (source, destination, arrives) in [(100, 300, 1), (200, 400, 1), (100, 400, 0), (200, 300, 0)] {
        let missed = drops(&pair.us, Drop::PolicyMiss);
        assert_eq!(pair.carry_packet(&datagram(own, far, source, destination), true), arrives);
        assert_eq!(
            drops(&pair.us, Drop::PolicyMiss) - missed,
            1 - arrives as u64,
            "{source} to {destination}"
        );
        assert_eq!(pair.carry_packet(&datagram(far, own, destination, source), false), arrives);
    }
    assert_eq!(counts(&mut pair), [(1, 1), (1, 1)]);
    assert_eq!(of(&mut pair.us, "net-2").carries, "10.2.1.0/24 udp/200 === 10.1.1.0/24 udp/400");
}

/// Where the peer accepts less, no more is sent; when that SA is gone, what is configured wants one again.
#[test]
fn no_more_is_sent_than_was_agreed_on() {
    let us = gateway(2, &remote(2).replace("false", "true")) + &child(2, 1, "");
    let peer = gateway(1, &remote(1)) + &child(1, 1, "").replace("10.1.1.0/24", "10.1.1.0/25");
    let mut pair = pair(&us, &peer);
    part(&mut pair.us, None);
    pair.until("it is up", |pair| up(&mut pair.us) == ["c1"]);
    let narrow = of(&mut pair.us, "c1");
    assert_eq!(narrow.carries, "10.2.1.0/24 === 10.1.1.0/25");
    assert_eq!((narrow.local_ts.as_str(), narrow.remote_ts.as_str()), ("10.2.1.0/24", "10.1.1.0/24"));
    let beyond = v4(host(2, 1), Ipv4Addr::new(10, 1, 1, 200), 100, false);
    let rekey =
        Request::Rekey(Rekey { tunnel: "net".into(), child: None, ike: false, reauthenticate: false });
    for rekeys in 0..2 {
        pair.until("it is rekeyed", |pair| of(&mut pair.us, "c1").rekeys == rekeys);
        assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1));
        let (sent, missed) = (counts(&mut pair), drops(&pair.us, Drop::PolicyMiss));
        assert_eq!(pair.carry_packet(&beyond, true), 0);
        assert_eq!((counts(&mut pair), drops(&pair.us, Drop::PolicyMiss)), (sent, missed + 1));
        pair.us.core.answer(&rekey).unwrap();
    }
    let close = Request::Terminate(Part { tunnel: "net".into(), child: Some("c1".into()) });
    pair.until("the rekey is through", |pair| of(&mut pair.us, "c1").rekeys == 2);
    pair.us.core.answer(&close).unwrap();
    pair.until("it is gone", |pair| pair.us.core.workers.is_free(0) && up(&mut pair.peer).is_empty());
    let missed = drops(&pair.us, Drop::PolicyMiss);
    assert_eq!(pair.carry_packet(&beyond, true), 0);
    assert_eq!(drops(&pair.us, Drop::PolicyMiss), missed, "it wants an SA");
    pair.until("and so brings it up", |pair| up(&mut pair.us) == ["c1"]);
}

/// Each child has a class of its own, or that of its packets (IKE-14).
#[test]
fn children_have_their_class() {
    let us = gateway(2, &remote(2)) + &child(2, 1, "dscp = 46") + &child(2, 2, "");
    let mut pair = pair(&us, &(gateway(1, &remote(1)) + &child(1, 1, "") + &child(1, 2, "")));
    part(&mut pair.us, None);
    pair.until("both are up", |pair| up(&mut pair.us).len() == 2);
    for (network, class) in [(1, 46 << 2), (2, 0)] {
        let (out, _) = pair.us.send(&v4(host(2, network), host(1, network), 100, false));
        let esp = out.iter().find(|packet| is_esp(packet)).unwrap();
        assert_eq!(esp[1], class, "{network}");
    }
}

/// What a packet wants is told to the peer with the packet (RFC 7296 §2.9): of two children of the peer's that would take
/// our offer in part, the one that takes the packet is made.
#[test]
fn the_packet_is_told_to_the_peer() {
    let wide = "remote = \"192.0.2.1\"\nlocal-ts = [\"10.2.0.0/16\"]\nremote-ts = [\"10.1.0.0/16\"]\n";
    let theirs = gateway(1, &remote(1)) + &child(1, 1, "") + &child(1, 2, "");
    let mut pair = pair(&gateway(2, wide), &theirs);
    assert_eq!(pair.carry(2, true), 0, "it is lost, and wants the tunnel");
    pair.until("it is up", |pair| tunnel(&mut pair.us).state == State::Up);
    assert_eq!(of(&mut pair.us, "net").carries, "10.2.2.0/24 === 10.1.2.0/24");
    pair.until("the peer's second child is", |pair| up(&mut pair.peer) == ["c2"]);
    assert_eq!((pair.carry(2, true), pair.carry(2, false)), (1, 1));
}
