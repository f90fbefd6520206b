//! Two gateways, one of two workers: one of these stops polling. Its tunnels carry again on the other, which
//! loses no packet of its own; and what cannot be moved says so.

mod spread;

use std::collections::BTreeSet;

use ravelin_dataplane::verdict::Drop;

use super::pair::{Pair, host};
use super::*;
use crate::tunnel::roster::ChildNumber;

/// Two tunnels between the same gateways, to the networks 10.2 and 10.3 behind us.
pub(super) fn pair(ours: u8, theirs: u8, workers: u8, extra: &str) -> String {
    let tunnel = |name: &str, networks: [&str; 2]| {
        format!(
            r#"
[tunnel.{name}]
local = "192.0.2.{ours}"
remote = "192.0.2.{theirs}"
local-id = "{name}{ours}.example"
remote-id = "{name}{theirs}.example"
psk = "correct horse"
local-ts = ["{}"]
remote-ts = ["{}"]
{extra}"#,
            networks[0], networks[1]
        )
    };
    let networks = |network: u8| match ours {
        2 => [format!("10.2.{network}.0/24"), format!("10.1.{network}.0/24")],
        _ => [format!("10.1.{network}.0/24"), format!("10.2.{network}.0/24")],
    };
    let tunnels = [("one", 1), ("two", 2)].map(|(name, network)| {
        let [local, remote] = networks(network);
        tunnel(name, [&local, &remote])
    });
    format!(
        r#"
workers.count = {workers}
interface.wan = {{ device = "af_packet:eth1", addresses = ["192.0.2.{ours}/24"] }}
interface.lan = {{ device = "af_packet:eth2", addresses = ["10.{ours}.0.1/16"] }}
{}"#,
        tunnels.concat()
    )
}

/// A packet in two fragments.
fn halves(packet: &[u8]) -> [Vec<u8>; 2] {
    const FIRST: usize = 160;
    let header = ipv4::Header::parse(packet).unwrap();
    let piece = |payload: &[u8], offset: usize, more_fragments| {
        let mut piece = vec![0; ipv4::Repr::LEN];
        let total_length = (ipv4::Repr::LEN + payload.len()) as u16;
        let whole = ipv4::Repr::from(&header);
        ipv4::Repr { total_length, more_fragments, fragment_offset: offset as u16, ..whole }
            .emit(&mut piece)
            .unwrap();
        [piece, payload.to_vec()].concat()
    };
    let (first, rest) = header.payload().split_at(FIRST);
    [piece(first, 0, true), piece(rest, FIRST, false)]
}

impl Pair {
    /// With both tunnels up.
    fn up(workers: u8) -> Self {
        Self::with_slots(workers, 64)
    }

    /// The same, with so many outbound slots for each of our workers.
    fn with_slots(workers: u8, slots: usize) -> Self {
        let us = Bench::bare(&pair(2, 1, workers, "auto-establish = true"), workers, slots);
        let peer = Bench::bare(&pair(1, 2, 1, ""), 1, 64);
        let mut pair = Self::joined(us, peer);
        pair.until("both tunnels are up", |pair| pair.states() == [State::Up; 2]);
        pair.until("the peer has them too", |pair| pair.peer.core.workers.sas().iter().count() == 2);
        pair
    }

    pub(super) fn states(&mut self) -> [State; 2] {
        let view = self.us.view();
        [view.tunnels[0].state, view.tunnels[1].state]
    }

    pub(super) fn carries_both_ways(&mut self, tunnel: u8) -> bool {
        self.carry(tunnel, true) == 1 && self.carry(tunnel, false) == 1
    }

    /// The same inward, with the ESP packet cut on its way.
    fn carry_in_pieces(&mut self, tunnel: u8) -> usize {
        self.peer.arrive(LAN, &v4(host(1, tunnel), host(2, tunnel), 400, false));
        let esp = self.peer.left(WAN).into_iter().find(|packet| is_esp(packet)).unwrap();
        halves(&esp).iter().for_each(|piece| self.us.arrive(WAN, piece));
        self.us.left(LAN).len()
    }

    pub(super) fn worker_of(&self, child: ChildNumber) -> usize {
        self.us.core.workers.home(child).unwrap().worker.index()
    }

    /// The inbound and outbound SPIs of a child.
    pub(super) fn spis(&self, child: ChildNumber) -> BTreeSet<(u32, u32)> {
        self.us.core.workers.sas().of(child).map(|sa| (sa.spi_in.0, sa.spi_out.0)).collect()
    }

    /// The worker of the second tunnel stands still; what arrives goes to the other.
    fn stall(&mut self) -> (usize, usize) {
        let (other, still) = (self.worker_of(0), self.worker_of(1));
        (self.us.still, self.us.queue) = (vec![still], other);
        (other, still)
    }

    fn drops(&self, worker: usize, reason: Drop) -> u64 {
        let worker = ravelin_dataplane::sa::shard::WorkerId(worker as u8);
        self.us.core.workers.link().counters(worker).unwrap().drops(reason)
    }
}

/// DP-01: known within a second; its tunnel carries again, under other SAs, on the other worker, which lost
/// nothing and kept its own. When it polls again it gives up what it had, and nothing moves back.
#[test]
fn the_tunnels_of_a_worker_that_stands_still_move_and_no_others() {
    let mut pair = Pair::up(2);
    assert_ne!(pair.worker_of(0), pair.worker_of(1), "a worker each");
    assert!(pair.carries_both_ways(1) && pair.carries_both_ways(2));
    let old_packet = pair.passed.last().unwrap().clone();
    let (kept, left) = (pair.spis(0), pair.spis(1));
    let counted = pair.us.view().tunnels[1].children[0].clone();
    let (other, still) = pair.stall();

    pair.pass(10, |pair| assert!(pair.carries_both_ways(1), "the other tunnel loses nothing"));
    assert!(pair.has_event(&format!("worker-stalled: worker {still}")), "{:?}", pair.us.events());
    let whole: usize = (0..16).map(|_| pair.carry_in_pieces(1)).sum();
    assert_eq!(whole, 16, "whoever a datagram hashes to, somebody puts it together");
    assert!(pair.has_event(&format!("tunnel-moved: from worker {still}")));
    let view = pair.us.view();
    assert!(!view.workers[still].alive && view.workers[other].alive);
    assert!(view.findings.iter().any(|finding| finding.severity == "error"));
    pair.until("its SAs are new", |pair| pair.has_event("tunnel-arrived"));
    pair.until("it carries again", |pair| pair.carry(2, true) == 1);
    assert!(pair.carries_both_ways(2) && pair.carries_both_ways(1));
    assert_eq!((pair.worker_of(0), pair.worker_of(1)), (other, other));
    assert_eq!(pair.spis(0), kept, "nobody touched the other's");
    assert!(pair.spis(1).is_disjoint(&left));
    assert_eq!(pair.states(), [State::Up; 2]);
    let now = pair.us.view().tunnels[1].children[0].clone();
    assert!(now.in_packets > counted.in_packets && now.out_packets > counted.out_packets, "{now:?}");
    pair.until("the peer was told that the old is gone", |pair| {
        let ours: BTreeSet<u32> = pair.spis(1).into_iter().map(|(inbound, _)| inbound).collect();
        let theirs = pair.peer.core.workers.sas().of(1).filter(|sa| !sa.draining);
        theirs.map(|sa| sa.spi_out.0).collect::<BTreeSet<_>>() == ours
    });
    let dropped = pair.drops(other, Drop::WorkerStalled);
    pair.us.arrive(WAN, &old_packet);
    assert_eq!(pair.drops(other, Drop::WorkerStalled), dropped + 1, "dropped by name, not queued");

    // It polls again.
    let sealed = |pair: &Pair| {
        let worker = ravelin_dataplane::sa::shard::WorkerId(still as u8);
        pair.us.core.workers.link().counters(worker).unwrap().sealed_packets.get()
    };
    let before = sealed(&pair);
    pair.us.still = Vec::new();
    pair.pass(2, |pair| assert!(pair.carries_both_ways(1) && pair.carries_both_ways(2)));
    assert!(pair.has_event("worker-alive") && pair.us.view().workers[still].alive);
    assert!(pair.us.core.workers.is_idle(), "it has removed what it had");
    let missed = pair.drops(still, Drop::SaMiss);
    pair.us.queue = still;
    pair.us.arrive(WAN, &old_packet);
    assert_eq!(pair.drops(still, Drop::SaMiss), missed + 1, "the old SA is gone");
    assert!(pair.carries_both_ways(1) && pair.carries_both_ways(2), "by its queue too");
    assert_eq!(sealed(&pair), before, "nothing is sent with the old SA, and nothing moved back");
    assert_eq!((pair.worker_of(0), pair.worker_of(1)), (other, other));
    assert_eq!(pair.spis(0), kept);
}

/// The worker stops while it is to install the successor of a rekey: nobody waits for it, and no SA that it
/// may have is taken for one that is there.
#[test]
fn a_rekey_under_way_when_its_worker_stops_does_not_hold_the_tunnel() {
    let mut pair = Pair::up(2);
    let left = pair.spis(1);
    let (other, still) = pair.stall();
    let rekey = Request::Rekey(crate::api::request::Rekey {
        tunnel: "two".into(),
        child: None,
        ike: false,
        reauthenticate: false,
    });
    pair.us.core.answer(&rekey).unwrap();
    pair.until("the worker is told", |pair| pair.spis(1).len() == 2);
    let never = pair.spis(1);
    pair.pass(10, |pair| assert!(pair.carries_both_ways(1)));
    pair.until("it carries again", |pair| pair.carry(2, true) == 1);
    assert!(pair.carries_both_ways(2));
    assert_eq!(pair.worker_of(1), other);
    assert!(pair.spis(1).is_disjoint(&never) && !left.is_empty());
    pair.us.still = Vec::new();
    pair.pass(2, |pair| assert!(pair.carries_both_ways(2)));
    assert!(pair.us.core.workers.is_idle());
    assert_ne!(other, still);
}

/// With nobody to take them, tunnels are down and say why; when the worker polls again they go on as they were.
#[test]
fn with_one_worker_tunnels_wait_for_it_and_say_so() {
    let mut pair = Pair::up(1);
    let kept = (pair.spis(0), pair.spis(1));
    pair.us.still = vec![0];
    pair.pass(10, |_| {});
    let view = pair.us.view();
    for tunnel in view.tunnels.iter() {
        assert_eq!((tunnel.state, tunnel.reason_code.as_str()), (State::Down, "RV-WORKER-001"), "{tunnel:?}");
        let explain = pair.us.explain(&tunnel.name);
        assert_eq!(explain.code, "RV-WORKER-001");
        let rung = explain.rungs.iter().find(|rung| rung.question == "its worker polls").unwrap();
        assert_eq!(rung.holds, Some(false));
        for told in [&tunnel.reason, &explain.verdict, &rung.seen] {
            assert!(told.ends_with(" s; no other worker polls"), "{told}");
        }
    }
    pair.us.still = Vec::new();
    pair.pass(2, |_| {});
    assert_eq!(pair.states(), [State::Up; 2]);
    assert!(pair.carries_both_ways(1) && pair.carries_both_ways(2));
    assert_eq!((pair.spis(0), pair.spis(1)), kept);
}

/// A tunnel for which the others have no room waits as well.
#[test]
fn a_tunnel_that_finds_no_room_stays() {
    let mut pair = Pair::with_slots(2, 1);
    let kept = (pair.spis(0), pair.spis(1));
    pair.stall();
    pair.pass(10, |pair| assert!(pair.carries_both_ways(1)));
    let tunnel = pair.us.view().tunnels[1].clone();
    assert_eq!((tunnel.state, tunnel.reason_code.as_str()), (State::Down, "RV-WORKER-001"));
    assert!(tunnel.reason.ends_with("no other worker has room for it"), "{}", tunnel.reason);
    assert!(!pair.has_event("tunnel-moved"));
    pair.us.still = Vec::new();
    pair.pass(2, |pair| assert!(pair.carries_both_ways(1)));
    assert!(pair.carries_both_ways(2));
    assert_eq!((pair.spis(0), pair.spis(1)), kept);
}

const FIXED: &str = r#"
[tunnel.fixed]
local = "192.0.2.2"
remote = "192.0.2.1"
local-ts = ["10.2.7.0/24"]
remote-ts = ["10.1.7.0/24"]
[tunnel.fixed.manual]
suite = "aes128gcm16"
inbound-spi = 0x2001
inbound-key = "000102030405060708090a0b0c0d0e0f10111213"
outbound-spi = 0x2002
outbound-key = "202122232425262728292a2b2c2d2e2f30313233"
[tunnel.other]
local = "192.0.2.2"
remote = "192.0.2.9"
psk = "correct horse"
local-ts = ["10.2.0.0/24"]
remote-ts = ["10.9.0.0/24"]
"#;

/// Two workers must never number packets under one key: a tunnel with manual keys stays, and goes on with its
/// next number.
#[test]
fn a_tunnel_with_manual_keys_stays_with_its_worker() {
    let text = format!("{}{FIXED}", &PLAN[..PLAN.find("[tunnel").unwrap()]);
    let mut bench = Bench::bare(&text, 2, 64);
    bench.learn(facts("wan", &["192.0.2.2/24"], &["192.0.2.0/24"], &[PEER.into()], PEER_MAC));
    bench.learn(facts("lan", &["10.2.0.1/16"], &["10.2.0.0/16"], &[host(2, 7).into()], HOST_MAC));
    let packet = v4(host(2, 7), host(1, 7), 100, false);
    assert_eq!(sequence(&bench.send(&packet).0), 1);
    let still = bench.core.workers.home(0).unwrap().worker.index();
    (bench.still, bench.queue) = (vec![still], 1 - still);
    bench.pass(10);
    assert_eq!(bench.core.workers.home(0).unwrap().worker.index(), still);
    let tunnel = bench.view().tunnels.iter().find(|tunnel| tunnel.name == "fixed").cloned().unwrap();
    assert_eq!((tunnel.state, tunnel.reason_code.as_str()), (State::Down, "RV-WORKER-001"));
    assert!(tunnel.reason.contains("its keys are manual"), "{}", tunnel.reason);
    assert!(!bench.send(&packet).0.iter().any(|packet| is_esp(packet)));
    bench.still = Vec::new();
    bench.pass(2);
    assert_eq!(sequence(&bench.left(WAN)), 2, "what waited in the ring goes out");
    assert_eq!(sequence(&bench.send(&packet).0), 3);
    let view = bench.view();
    assert_eq!(view.tunnels.iter().find(|tunnel| tunnel.name == "fixed").unwrap().state, State::Up);
}
