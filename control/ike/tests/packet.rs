//! A packet that wants a child is told to the peer in front of what the child has (RFC 7296 §2.9), and nothing narrower is
//! kept than what the peer answers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::{self, Peer};
use crate::harness::{World, failures, pair, settings};
use ravelin_ike::config::{ChildId, Selector};
use ravelin_ike::event::ChildUp;
use ravelin_ike::input::{Command, Packet};
use ravelin_ike::wire::{
    AddressRange, Message, NotifyType, Payload, PayloadType, TrafficSelector, TrafficSelectors,
};
use std::net::IpAddr;

const SECOND: u64 = 1_000_000;

/// UDP from port 100 of host 9 of a child's network at an end to port 53 of host 7 of the other's.
fn packet(end: u8, child: u8) -> Packet {
    let host = |end: u8, last: u8, port: u16| {
        Selector::host(IpAddr::from([10, end, child, last])).with_ports(17, port, port)
    };
    Packet { local: host(end, 9, 100), remote: host(1 - end, 7, 53) }
}

fn acquire(end: u8, child: u32, of: u8) -> Command {
    let (connection, child) = (settings::CONNECTION, ChildId(child));
    Command::Acquire { connection, child, packet: packet(end, of) }
}

fn wire(selector: &Selector) -> TrafficSelector {
    let Selector { start, end, protocol, start_port, end_port } = *selector;
    let addresses = AddressRange::new(start, end).unwrap();
    TrafficSelector { protocol, start_port, end_port, addresses }
}

/// TSi and TSr of a request.
fn offered(request: &Message) -> [Vec<TrafficSelector>; 2] {
    let of = |kind: PayloadType| {
        let found = request.payloads.iter().find(|payload| payload.payload_type() == kind);
        match found {
            Some(Payload::TrafficSelectorsInitiator(ts) | Payload::TrafficSelectorsResponder(ts)) => {
                ts.selectors.clone()
            }
            _ => panic!("{request:?}"),
        }
    };
    [of(PayloadType::TrafficSelectorsInitiator), of(PayloadType::TrafficSelectorsResponder)]
}

/// All that a child of the engine of a [`Peer`] has, which is end 1.
fn configured(child: u8) -> [TrafficSelector; 2] {
    [1, 0].map(|end| peer::selectors(end, child).selectors[0])
}

fn of_packet() -> [TrafficSelector; 2] {
    let Packet { local, remote } = packet(1, 2);
    [wire(&local), wire(&remote)]
}

/// One that is up with the first child, and whose second, without a key exchange, is wanted.
fn wanted() -> Peer {
    let mut peer = Peer::up(|connection| connection.children[1].proposals[0].groups.clear());
    peer.command(acquire(1, 2, 2));
    peer
}

/// Answers a request for the second child by these selectors; what is kept of it, ours first.
fn answer(peer: &mut Peer, request: &Message, selectors: [Vec<TrafficSelector>; 2]) -> [Vec<Selector>; 2] {
    let mut reply = peer.child(2, 0x2222_2222, None);
    reply.truncate(reply.len() - 2);
    let [tsi, tsr] = selectors.map(TrafficSelectors::new);
    reply.extend([Payload::TrafficSelectorsInitiator(tsi), Payload::TrafficSelectorsResponder(tsr)]);
    peer.tell(request, reply);
    let made = second(peer);
    [made.local, made.remote]
}

fn second(peer: &Peer) -> ChildUp {
    let snapshot = peer.engine.snapshot();
    let of = snapshot.iter().flat_map(|ike| &ike.children).filter(|child| child.live);
    of.map(|child| child.child.clone()).find(|child| child.config == ChildId(2)).unwrap()
}

fn net(end: u8, child: u8) -> Selector {
    Selector::prefix(IpAddr::from([10, end, child, 0]), 24)
}

/// "the initiator ... SHOULD include as the first Traffic Selector in each of TSi and TSr a very specific Traffic
/// Selector"; a child that is asked for without a packet offers what it has.
#[test]
fn the_packet_stands_first() {
    let mut peer = wanted();
    let request = peer.hear();
    for ((offered, packet), all) in offered(&request).iter().zip(of_packet()).zip(configured(2)) {
        assert_eq!(*offered, [packet, all]);
    }
    let mut peer = Peer::up(|_| {});
    peer.command(Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(2)) });
    assert_eq!(offered(&peer.hear()), configured(2).map(|all| vec![all]));
}

/// What the peer takes of the whole offer is kept, once, and a rekey offers that: the packet is not named again.
#[test]
fn nothing_narrow_is_kept_of_a_peer_that_takes_all() {
    let twice = of_packet().into_iter().zip(configured(2)).map(|(packet, all)| vec![packet, all]);
    for taken in [configured(2).map(|all| vec![all]), twice.collect::<Vec<_>>().try_into().unwrap()] {
        let mut peer = wanted();
        let request = peer.hear();
        assert_eq!(answer(&mut peer, &request, taken), [vec![net(1, 2)], vec![net(0, 2)]]);
        let child = second(&peer).child;
        peer.command(Command::RekeyChild { child });
        assert_eq!(offered(&peer.hear()), configured(2).map(|all| vec![all]));
    }
}

/// A peer whose policy is that narrow gets no more, and its SA is rekeyed as it is (§2.9.2).
#[test]
fn a_peer_may_take_the_packet_alone() {
    let mut peer = wanted();
    let request = peer.hear();
    let Packet { local, remote } = packet(1, 2);
    assert_eq!(answer(&mut peer, &request, of_packet().map(|one| vec![one])), [vec![local], vec![remote]]);
    let child = second(&peer).child;
    peer.command(Command::RekeyChild { child });
    assert_eq!(offered(&peer.hear()), of_packet().map(|one| vec![one]));
}

/// A peer that is busy is asked again for the same; a packet whose child has come up is done with.
#[test]
fn the_packet_is_told_again_until_the_child_is_there() {
    let mut peer = wanted();
    let request = peer.hear();
    peer.tell(&request, peer::notify(NotifyType::TemporaryFailure));
    peer.wait(30 * SECOND);
    let again = peer.hear();
    peer.heard.clear();
    assert_eq!(offered(&again), offered(&request));
    // More packets come while it is asked for.
    peer.command(acquire(1, 2, 2));
    answer(&mut peer, &again, configured(2).map(|all| vec![all]));
    let child = second(&peer).child;
    peer.command(Command::TerminateChild { child });
    let request = peer.hear();
    peer.tell(&request, Vec::new());
    peer.command(Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(2)) });
    assert_eq!(offered(&peer.hear()), configured(2).map(|all| vec![all]));
}

/// "SINGLE_PAIR_REQUIRED ... The requestor is expected to respond by requesting an SA for only the specific traffic it is
/// trying to forward": for the addresses of the packet, by all that they may say to each other; once.
#[test]
fn a_single_pair_that_is_required_is_that_of_the_packet() {
    let [ours, theirs] = [[10, 1, 2, 9], [10, 0, 2, 7]].map(|host| Selector::host(IpAddr::from(host)));
    let mut peer = wanted();
    let request = peer.hear();
    peer.tell(&request, peer::notify(NotifyType::SinglePairRequired));
    let again = peer.hear();
    let pair = [vec![wire(&ours)], vec![wire(&theirs)]];
    assert_eq!(offered(&again), pair);
    assert_eq!(answer(&mut peer, &again, pair), [vec![ours], vec![theirs]]);
    let mut peer = wanted();
    for _ in 0..2 {
        let request = peer.hear();
        peer.tell(&request, peer::notify(NotifyType::SinglePairRequired));
    }
    assert!(peer.heard.is_empty(), "it is not asked for ever");
    assert_eq!(peer.children().len(), 1);
}

/// Both ends: one asks for two wide networks, the other has a child for each pair of narrow ones. Which of them is made
/// is the packet's choice, in IKE_AUTH and in CREATE_CHILD_SA; what is narrowed has the packet.
#[test]
fn the_packet_chooses_among_the_peers_children() {
    let mut world: World = pair([0, 1].map(|end| {
        let mut connection = settings::with_children(settings::connection(end), end, 5);
        connection.children.iter_mut().for_each(|child| child.proposals[0].groups.clear());
        if end == 0 {
            for child in &mut connection.children {
                child.local = vec![Selector::prefix(IpAddr::from([10, 0, 0, 0]), 16)];
                child.remote = vec![Selector::prefix(IpAddr::from([10, 1, 0, 0]), 16)];
            }
        }
        connection
    }));
    for (child, wanted) in [(1, 4), (2, 2), (3, 5)] {
        world.command(0, acquire(0, child, wanted));
        world.run_for(2 * SECOND);
        let snapshot = world.ends[0].engine.snapshot();
        let made = snapshot[0].children.iter().map(|made| &made.child).find(|made| made.config.0 == child);
        let made = made.unwrap();
        assert_eq!((&made.local[..], &made.remote[..]), (&[net(0, wanted)][..], &[net(1, wanted)][..]));
        world.assert_converged();
    }
    assert_eq!((world.served(1), failures(&world, 0), failures(&world, 1)), (vec![2, 4, 5], vec![], vec![]));
}
