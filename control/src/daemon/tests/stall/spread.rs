//! What the ports are told meanwhile: cards in memory deal what arrives over the queues they use.

use std::sync::{Arc, Mutex, MutexGuard};

use super::*;
use crate::daemon::devices::{Devices, Seen};

/// The devices under our ports, in memory: each deals what arrives over the queues it uses, in turn.
#[derive(Debug, Clone)]
struct Cards(Arc<Mutex<Told>>);

#[derive(Debug)]
struct Told {
    used: [Vec<u16>; 2],
    times: usize,
    refuses: bool,
}

impl Cards {
    /// Puts them under the ports of a gateway of two workers.
    fn under(bench: &mut Bench) -> Self {
        let told = Told { used: [vec![0, 1], vec![0, 1]], times: 0, refuses: false };
        let cards = Self(Arc::new(Mutex::new(told)));
        bench.core.devices = Box::new(cards.clone());
        cards
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }
}

impl Devices for Cards {
    fn look(&mut self, _: usize) -> Seen {
        Seen::default()
    }

    fn queues(&self, _: usize) -> u16 {
        2
    }

    fn spread(&mut self, port: usize, queues: &[u16]) -> Result<(), String> {
        let mut told = self.told();
        told.times += 1;
        if told.refuses {
            return Err("device busy".into());
        }
        told.used[port] = queues.to_vec();
        Ok(())
    }
}

impl Pair {
    /// Four packets of a tunnel each way, as the cards deal them; how many arrive.
    fn carry_dealt(&mut self, cards: &Cards, tunnel: u8) -> usize {
        let mut arrived = 0;
        for place in 0..4 {
            for (port, outward) in [(LAN, true), (WAN, false)] {
                let used = cards.told().used[port].clone();
                self.us.queue = usize::from(used[place % used.len()]);
                arrived += self.carry(tunnel, outward);
            }
        }
        arrived
    }
}

/// Once a worker is known to stand still, no packet of anybody goes into its queues; when it polls again they get
/// packets as before, and what lay in them comes late.
#[test]
fn ports_leave_out_the_queues_of_a_worker_that_stands_still() {
    let mut pair = Pair::up(2);
    let cards = Cards::under(&mut pair.us);
    assert_eq!((pair.carry_dealt(&cards, 1), pair.carry_dealt(&cards, 2)), (8, 8));
    let (other, still) = pair.stall();
    assert_eq!(pair.carry_dealt(&cards, 1), 4, "nobody knows it yet");

    pair.us.queue = other;
    pair.pass(10, |_| {});
    assert_eq!(cards.told().used, [[other as u16], [other as u16]]);
    assert!(pair.has_event(&format!("port-spread: port wan: uses queues {other}; nobody polls {still}")));
    assert_eq!(pair.carry_dealt(&cards, 1), 8, "the other tunnel loses nothing any more");
    pair.until("its SAs are new", |pair| pair.has_event("tunnel-arrived"));
    pair.until("it carries again", |pair| pair.carry(2, true) == 1);
    assert_eq!(pair.carry_dealt(&cards, 2), 8);

    pair.us.still = Vec::new();
    pair.us.pass(2);
    assert_eq!(cards.told().used, [[0, 1], [0, 1]]);
    assert!(pair.has_event("port-spread: port lan: uses all its queues"));
    pair.exchange();
    assert_eq!(pair.us.left(LAN).len() + pair.peer.left(LAN).len(), 4, "what lay in the queue");
    assert_eq!((pair.carry_dealt(&cards, 1), pair.carry_dealt(&cards, 2)), (8, 8));
    assert_eq!(cards.told().times, 4, "each port was told twice");
}

/// A card that refuses is told again every second, and so is the operator who asks, until it obeys.
#[test]
fn a_port_that_refuses_is_told_again_and_doctor_says_so() {
    let mut pair = Pair::up(2);
    let cards = Cards::under(&mut pair.us);
    cards.told().refuses = true;
    let (other, _) = pair.stall();
    pair.pass(10, |_| {});
    let times = cards.told().times;
    pair.pass(20, |_| {});
    assert!(cards.told().times >= times + 2, "{times}");
    let refusals = |pair: &Pair| {
        let events = pair.us.events();
        events.iter().filter(|event| event.starts_with("port-spread-refused")).cloned().collect::<Vec<_>>()
    };
    let expected = ["lan", "wan"].map(|port| format!("port-spread-refused: port {port}: device busy"));
    assert_eq!(refusals(&pair), expected, "once a port");
    let finds = |pair: &mut Pair| {
        let view = pair.us.view();
        view.findings.iter().filter(|finding| finding.seen == "device busy").count()
    };
    assert_eq!(finds(&mut pair), 2);
    pair.until("tunnels move all the same", |pair| pair.carries_both_ways(2));

    cards.told().refuses = false;
    pair.pass(11, |_| {});
    assert_eq!(cards.told().used, [[other as u16], [other as u16]]);
    assert_eq!((finds(&mut pair), refusals(&pair).len()), (0, 2));
}
