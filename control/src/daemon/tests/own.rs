//! One tunnel between two gateways of two workers each, of which every worker has an SA of its own (RFC 9611): what each
//! gets it sends itself; what one has lost goes by the SA of all.

use super::pair::{Pair, host};
use super::stall::pair;
use super::*;

/// Children by number: what all workers use, and what the other worker has beside it.
const ALL: u32 = 0;
const OWN: u32 = 1;

impl Pair {
    /// Both ends with so many workers; `one` has SAs for each where `extra` says so.
    fn with_own(workers: [u8; 2], extra: [&str; 2]) -> Self {
        let [ours, theirs] = extra;
        let called = format!("auto-establish = true\n{ours}");
        let us = Bench::bare(&pair(2, 1, workers[0], &called), workers[0], 64);
        let peer = Bench::bare(&pair(1, 2, workers[1], theirs), workers[1], 64);
        Self::joined(us, peer)
    }

    fn own_workers(&mut self) -> [Vec<usize>; 2] {
        [&mut self.us, &mut self.peer].map(|bench| bench.view().tunnels[0].children[0].own_workers.clone())
    }

    /// Our packets of the first tunnel that a worker gets, from either side.
    fn arrives_at(&mut self, queue: usize) -> bool {
        (self.us.queue, self.peer.queue) = (queue, queue);
        self.carry(1, true) == 1 && self.carry(1, false) == 1
    }

    fn handed(&self) -> u64 {
        let count = |bench: &Bench| {
            let link = bench.core.workers.link();
            link.workers().map(|worker| link.counters(worker).unwrap().handed_out.get()).sum::<u64>()
        };
        count(&self.us) + count(&self.peer)
    }
}

const NONE: [Vec<usize>; 2] = [Vec::new(), Vec::new()];

const PER_WORKER: &str = "per-worker = true";

fn up() -> Pair {
    let mut pair = Pair::with_own([2, 2], [PER_WORKER; 2]);
    pair.until("each worker has its own", |pair| pair.own_workers().iter().all(|own| own.len() == 1));
    pair
}

/// Whoever gets a packet sends it and opens it: none is handed over, in either direction; and whoever asks is told.
#[test]
fn each_worker_sends_what_it_gets() {
    let mut pair = up();
    let of_all = pair.us.core.workers.home(ALL).unwrap().worker.index();
    let own = 1 - of_all;
    assert_eq!(pair.own_workers()[0], [own]);
    let before = pair.handed();
    // Of two gateways of one make, both children of a tunnel are on workers of the same numbers.
    for queue in [0, 1, 0, 1] {
        assert!(pair.arrives_at(queue));
    }
    assert_eq!(pair.handed(), before);
    let seen = pair.us.view();
    let row = &seen.tunnels[0];
    assert_eq!((row.state, row.children.len(), row.children[0].state), (State::Up, 1, State::Up));
    assert_eq!((row.children[0].in_packets, row.children[0].out_packets), (4, 4), "of both SAs");
    let of_worker = |worker: usize| -> Vec<_> {
        let rows = seen.sas.iter().filter(|sa| sa.tunnel == "one" && sa.worker == worker);
        rows.map(|sa| (sa.direction.clone(), sa.own, sa.packets)).collect()
    };
    assert_eq!(of_worker(own), [("in".to_owned(), true, 2), ("out".to_owned(), true, 2)]);
    assert_eq!(of_worker(of_all), [("in".to_owned(), false, 2), ("out".to_owned(), false, 2)]);
    let rungs = pair.us.explain("one").rungs;
    let told = rungs.iter().find(|rung| rung.question == "workers with SAs of their own").unwrap();
    assert_eq!(told.seen, format!("one: workers {own}"));
    assert!(pair.has_event("child-up: one: for one worker, SPIs "), "{:?}", pair.us.events());
}

/// Each is rekeyed by itself, and nothing is handed over meanwhile.
#[test]
fn a_rekey_stays_on_its_worker() {
    let mut pair = up();
    let before = pair.spis(OWN);
    let sa = pair.us.core.workers.sas().of(OWN).next().unwrap().sa;
    let now = pair.us.core.now();
    pair.us.core.engine.handle_command(now, ravelin_ike::input::Command::RekeyChild { child: sa });
    pair.until("it has new SPIs", |pair| {
        !pair.us.core.workers.is_free(OWN) && pair.spis(OWN).is_disjoint(&before)
    });
    let handed = pair.handed();
    for queue in [0, 1] {
        assert!(pair.arrives_at(queue));
    }
    assert_eq!((pair.handed(), pair.us.view().tunnels[0].child_rekeys), (handed, 1));
}

/// The peer takes it back, as one that finds its worker idle: it is not asked for again, and the SA of all carries.
#[test]
fn what_the_peer_takes_back_is_not_asked_for_again() {
    let mut pair = up();
    let own = pair.own_workers()[0][0];
    let sa = pair.peer.core.workers.sas().of(OWN).next().unwrap().sa;
    let now = pair.peer.core.now();
    pair.peer.core.engine.handle_command(now, ravelin_ike::input::Command::TerminateChild { child: sa });
    pair.until("it is gone", |pair| pair.us.core.workers.is_free(OWN));
    assert!(pair.arrives_at(own));
    pair.pass(30, |_| ());
    assert_eq!(pair.own_workers(), NONE);
    assert!(pair.us.view().tunnels[0].state == State::Up);
}

/// A worker that stands still loses its own, and the peer is told; what others get is carried as before. It polls again,
/// and has its own again.
#[test]
fn a_worker_that_stands_still_has_none() {
    let mut pair = up();
    let own = pair.own_workers()[0][0];
    let of_all = pair.spis(ALL);
    pair.us.still = vec![own];
    (pair.us.queue, pair.peer.queue) = (1 - own, 1 - own);
    pair.pass(15, |pair| assert_eq!(pair.carry(1, true), 1));
    pair.until("the peer has none either", |pair| pair.own_workers() == NONE);
    assert!(pair.carry(1, false) == 1 && pair.spis(ALL) == of_all, "the SA of all is untouched");
    pair.us.still.clear();
    pair.pass(15, |_| ());
    pair.until("it has its own again", |pair| pair.own_workers()[0] == [own]);
    for queue in [0, 1] {
        assert!(pair.arrives_at(queue));
    }
}

/// The worker of the SA of all stands still: that moves to the other, whose own is not needed any more and is drained. It
/// polls again, and now it is the one that has its own.
#[test]
fn the_sa_of_all_moves() {
    let mut pair = up();
    let of_all = pair.us.core.workers.home(ALL).unwrap().worker.index();
    pair.us.still = vec![of_all];
    (pair.us.queue, pair.peer.queue) = (1 - of_all, 1 - of_all);
    pair.pass(15, |_| ());
    pair.until("it has moved", |pair| {
        pair.worker_of(ALL) == 1 - of_all && !pair.us.core.workers.is_free(ALL)
    });
    pair.until("it carries", |pair| pair.carry(1, true) == 1 && pair.carry(1, false) == 1);
    pair.until("nobody has one beside it", |pair| pair.own_workers() == NONE);
    assert!(pair.carry(1, true) == 1 && pair.carry(1, false) == 1);
    pair.us.still.clear();
    pair.pass(15, |_| ());
    pair.until("the other has its own", |pair| pair.own_workers()[0] == [of_all]);
    pair.until("the peer too", |pair| pair.own_workers()[1].len() == 1);
    for queue in [0, 1] {
        assert!(pair.arrives_at(queue));
    }
}

/// Of three workers that of the SA of all stands still: it moves to one that had its own, which is drained; that of the
/// third carries all the while. The first polls again and has its own, and nothing is left over of all that.
#[test]
fn what_is_in_the_way_of_a_tunnel_that_moves_is_drained() {
    let mut pair = Pair::with_own([3, 3], [PER_WORKER; 2]);
    let all_have = |pair: &mut Pair| {
        [&mut pair.us, &mut pair.peer]
            .into_iter()
            .all(|bench| bench.view().tunnels.iter().all(|tunnel| tunnel.children[0].own_workers.len() == 2))
    };
    pair.until("each worker has its own", all_have);
    let (before, of_all) = (pair.us.core.workers.in_use(), pair.worker_of(ALL));
    let to = (of_all + 1) % 3;
    let third = (of_all + 2) % 3;
    (pair.us.still, pair.us.queue) = (vec![of_all], third);
    pair.pass(15, |pair| assert_eq!(pair.carry(1, true), 1, "the third has its own"));
    pair.until("it has moved", |pair| pair.worker_of(ALL) == to && !pair.us.core.workers.is_free(ALL));
    pair.until("its new worker has none of its own", |pair| {
        assert_eq!(pair.carry(1, true), 1);
        pair.own_workers()[0] == [third]
    });
    for queue in [to, third] {
        pair.us.queue = queue;
        assert!(pair.carry(1, true) == 1 && pair.carry(1, false) == 1, "worker {queue}");
    }
    pair.us.still.clear();
    pair.pass(15, |_| ());
    pair.until("each worker has its own again", all_have);
    for queue in [0, 1, 2] {
        assert!(pair.arrives_at(queue));
    }
    pair.until("nothing is left over", |pair| pair.us.core.workers.in_use() == before);
}

/// Where one side has one worker, or is not told to, there is one SA for all, and nobody asks in vain.
#[test]
fn it_takes_two() {
    for (workers, extra) in
        [([2, 1], [PER_WORKER; 2]), ([2, 2], [PER_WORKER, ""]), ([2, 2], ["", PER_WORKER])]
    {
        let mut pair = Pair::with_own(workers, extra);
        pair.until("both tunnels are up", |pair| pair.states() == [State::Up; 2]);
        pair.pass(10, |_| ());
        assert_eq!(pair.own_workers(), NONE);
        assert!(!pair.has_event("child-failed"), "{:?}", pair.us.events());
        let rungs = pair.us.explain("one").rungs;
        let told = rungs.iter().find(|rung| rung.question == "workers with SAs of their own");
        let taken_none = "none: the peer takes none, or does not know RFC 9611".to_owned();
        assert_eq!(told.map(|rung| rung.seen.clone()), (!extra[0].is_empty()).then_some(taken_none));
    }
}

/// Four workers here, two there: the peer takes one more, and says so to the next.
#[test]
fn the_smaller_side_sets_the_limit() {
    let mut pair = Pair::with_own([4, 2], [PER_WORKER; 2]);
    pair.until("both have one", |pair| pair.own_workers().iter().all(|own| own.len() == 1));
    pair.until("one more was refused", |pair| {
        pair.has_event("child-failed: one: for one worker, RV-CHILD-012")
    });
    pair.pass(30, |_| ());
    let failed = pair.us.events().iter().filter(|event| event.starts_with("child-failed: one")).count();
    assert_eq!((failed, pair.own_workers()[0].len()), (1, 1), "it is not asked for again");
    for queue in [0, 1, 2, 3] {
        pair.us.queue = queue;
        assert_eq!(pair.carry_packet(&v4(host(2, 1), host(1, 1), 100, false), true), 1);
    }
}
