//! A worker that is offered more than it carries (IKE-50): IKE and what links live by get through whole, data wait in order
//! and are dropped under a name of their own, and nothing of it shows where a queue is long and not overrun.
//!
//! A device in memory loses what its full queue cannot take, as a card does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use crate::common::packet::{Ip, framed, numbered};
use crate::common::{Gateway, PRIVATE, PUBLIC};
use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::net::eth::{self, Mac, ethertype};
use ravelin_dataplane::net::{icmp, protocol};
use ravelin_dataplane::verdict::Drop;
use ravelin_dataplane::worker::WAITING;

/// Frames that a worker takes in a poll.
const BURST: usize = 64;
/// What the device in memory holds.
const DEPTH: usize = 512;
/// An IKE message of an IKE SA.
const IKE: [u8; 40] = [7; 40];

struct Offered {
    gateway: Gateway,
    data: u32,
    /// Data and urgent frames that the device had no room for.
    lost: (usize, usize),
    urgent: usize,
}

impl Offered {
    fn new() -> Offered {
        Offered { gateway: Gateway::new(1, 1), data: 0, lost: (0, 0), urgent: 0 }
    }

    fn frame(&self, packet: &[u8]) -> Vec<u8> {
        let site = self.gateway.site;
        framed(site.mac(PUBLIC), site.other().mac(PUBLIC), packet)
    }

    fn between(&self, v6: bool) -> Ip {
        let site = self.gateway.site;
        Ip::new(site.other().public(v6), site.public(v6))
    }

    fn deliver(&mut self, frame: &[u8]) -> bool {
        let frame = self.gateway.pool.copy_of(frame);
        frame.is_some_and(|frame| self.gateway.public.deliver(0, frame).is_ok())
    }

    /// Data for the kernel of this machine, numbered.
    fn data(&mut self) {
        let Ip { source, destination, .. } = self.between(false);
        let frame = self.frame(&numbered(source, destination, self.data, 60));
        self.data += 1;
        self.lost.0 += usize::from(!self.deliver(&frame));
    }

    fn urgent(&mut self, frame: &[u8]) {
        self.urgent += 1;
        self.lost.1 += usize::from(!self.deliver(frame));
    }

    fn poll(&mut self) {
        self.gateway.now_us += 10;
        let now = self.gateway.now_us;
        self.gateway.workers[0].poll(now);
    }

    /// The numbers of data that went to the kernel, and how many other frames did.
    fn punted(&mut self) -> (Vec<u32>, usize) {
        let (mut numbers, mut others) = (Vec::new(), 0);
        while let Some(punt) = self.gateway.exception.next_punt() {
            match punt.frame.data().get(36..38) == Some(&2000u16.to_be_bytes()[..]) {
                true => numbers.push(u32::from_be_bytes(*punt.frame.data()[42..].first_chunk().unwrap())),
                false => others += 1,
            }
        }
        (numbers, others)
    }

    fn messages(&mut self) -> usize {
        let control = &mut self.gateway.control;
        std::iter::from_fn(|| control.next_ike().or_else(|| control.next_ike_init())).count()
    }

    fn overload(&self) -> u64 {
        self.gateway.count(|counters| counters.drops(Drop::Overload))
    }
}

/// For each burst that is worked on so many arrive, with one that is urgent: what came of them.
fn offered(bursts: usize, polls: usize, urgent: &[u8]) -> (Offered, Vec<u32>, usize) {
    let mut offered = Offered::new();
    let (mut numbers, mut others) = (Vec::new(), 0);
    for _ in 0..polls {
        (1..bursts * BURST).for_each(|_| offered.data());
        offered.urgent(urgent);
        offered.poll();
        let punted = offered.punted();
        numbers.extend(punted.0);
        others += punted.1 + offered.messages();
    }
    (offered, numbers, others)
}

/// What arrives on a card whose queue is full is lost, whatever it is; how long that lasts before a worker notices.
const UNNOTICED: usize = 33;

#[test]
fn what_keeps_tunnels_alive_is_not_lost_with_data() {
    let at = Offered::new();
    let ike = |port, message: &[u8]| at.frame(&at.between(false).udp(port, port, message));
    let ike6 = at.frame(&at.between(true).udp(500, 500, &IKE));
    let urgent =
        [ike(500, &IKE), ike(4500, &[&[0; 4][..], &IKE].concat()), ike6, arp(&at), solicitation(&at)];
    for frame in &urgent {
        let (mut offered, numbers, messages) = offered(2, 400, frame);
        assert!(offered.lost.0 > 0 && offered.lost.1 < UNNOTICED, "{:?}", offered.lost);
        assert_eq!(messages, 400 - offered.lost.1, "all that the device took");
        // Data are dropped by name, and what is left of them is in order.
        assert!(numbers.is_sorted() && numbers.len() > 399 * BURST - UNNOTICED, "{}", numbers.len());
        let kept = offered.data as usize - offered.lost.0 - numbers.len();
        assert!(kept - WAITING <= offered.overload() as usize, "{kept} {}", offered.overload());
        assert!(offered.overload() > 300 * (BURST as u64));
        offered.gateway.is_at_rest();
        assert_eq!(offered.gateway.drops().len(), 1, "{:?}", offered.gateway.drops());
    }
}

fn arp(at: &Offered) -> Vec<u8> {
    let mut frame = vec![0; 60];
    let source = at.gateway.site.other().mac(PUBLIC);
    eth::Repr { destination: Mac::BROADCAST, source, ethertype: ethertype::ARP }.emit(&mut frame).unwrap();
    frame
}

fn solicitation(at: &Offered) -> Vec<u8> {
    let message = [&[icmp::v6::NEIGHBOUR_SOLICITATION][..], &[0; 23]].concat();
    at.frame(&Ip { ttl: 255, ..at.between(true) }.wrap(protocol::ICMPV6, &message))
}

/// As much arrives as is carried, behind a queue that never empties: nothing is lost, and nothing overtakes.
#[test]
fn what_waits_is_not_lost() {
    let mut offered = Offered::new();
    (0..DEPTH - BURST).for_each(|_| offered.data());
    let mut numbers = Vec::new();
    for _ in 0..200 {
        (0..BURST).for_each(|_| offered.data());
        offered.poll();
        numbers.extend(offered.punted().0);
    }
    assert_eq!(numbers.len(), 200 * BURST, "every poll works on a whole burst");
    while numbers.len() < offered.data as usize {
        offered.poll();
        numbers.extend(offered.punted().0);
    }
    assert_eq!(numbers, (0..offered.data).collect::<Vec<_>>());
    assert_eq!((offered.lost, offered.overload()), ((0, 0), 0));
    offered.gateway.is_at_rest();
}

/// One port's surge is not the other's: what arrives there is worked on in every poll.
#[test]
fn another_port_is_served_as_before() {
    let mut offered = Offered::new();
    let site = offered.gateway.site;
    let ping = Ip::new(site.host(false), site.private(false)).udp(7, 7, &[0; 32]);
    let ping = framed(site.mac(PRIVATE), site.host_mac(), &ping);
    for _ in 0..200 {
        (0..2 * BURST).for_each(|_| offered.data());
        let frame = offered.gateway.pool.copy_of(&ping).unwrap();
        assert!(offered.gateway.private.deliver(0, frame).is_ok());
        offered.poll();
        assert_eq!(offered.punted().1, 1);
    }
    assert!(offered.overload() > 0);
}
