//! CHILD_SAs for single resources beside one for all (RFC 9611): who may ask for how many, what they are like, and what
//! becomes of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::{CHILD, Peer, child_offer, kinds, only_notify, sa, selectors};
use crate::harness::{World, failures, pair, settings};
use ravelin_ike::config::{ChildId, Connection, Encryption};
use ravelin_ike::event::{ChildUp, Event};
use ravelin_ike::id::ChildSaId;
use ravelin_ike::input::Command;
use ravelin_ike::wire::{ExchangeType, Notify, NotifyType, Payload, PayloadType};

const SECOND: u64 = 1_000_000;
/// What all use, and the first that is one resource's.
const ALL: u32 = 1;
const ONE: u32 = settings::ONE_RESOURCE;

fn call(world: &mut World, end: usize, child: u32) {
    let child = Some(ChildId(child));
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child });
    world.run_for(SECOND);
}

fn connection(end: usize, resources: Option<u32>) -> Connection {
    let connection = settings::with_children(settings::connection(end), end, 2);
    resources.map_or(connection.clone(), |count| settings::with_resources(connection, end, count))
}

/// Both ends with so many resources, up with the first child.
fn up(resources: [Option<u32>; 2]) -> World {
    let mut world = pair([0, 1].map(|end| connection(end, resources[end])));
    call(&mut world, 0, ALL);
    world.assert_converged();
    world
}

fn in_use(world: &World, end: usize) -> Vec<ChildUp> {
    let snapshot = world.ends[end].engine.snapshot();
    let live = snapshot.iter().flat_map(|ike| &ike.children).filter(|child| child.live);
    live.map(|live| live.child.clone()).collect()
}

fn named(world: &World, end: usize, child: u32) -> ChildUp {
    in_use(world, end).into_iter().find(|up| up.config.0 == child).unwrap()
}

fn id(world: &World, end: usize, child: u32) -> ChildSaId {
    named(world, end, child).child
}

fn assert_untroubled(world: &World) {
    assert_eq!((failures(world, 0), failures(world, 1)), (vec![], vec![]));
}

fn settle(world: &mut World) {
    for _ in 0..16 {
        world.run_for(5 * SECOND);
        world.traffic();
    }
    world.assert_converged();
}

/// ```text
///   A  IKE_AUTH{..., N(SA_RESOURCE_INFO)}         -->  B
///   A  CREATE_CHILD_SA{..., N(SA_RESOURCE_INFO)}  -->  B, of the same selectors; or the other way round
/// ```
#[test]
fn either_end_asks_for_more_of_the_same() {
    for caller in 0..2 {
        let mut world = up([Some(2); 2]);
        call(&mut world, caller, ONE);
        call(&mut world, 1 - caller, ONE + 1);
        assert_eq!((world.served(0), world.served(1)), (vec![ALL, ONE, ONE + 1], vec![ALL, ONE, ONE + 1]));
        for end in 0..2 {
            let all = named(&world, end, ALL);
            for one in in_use(&world, end) {
                assert_eq!((&one.local, &one.remote), (&all.local, &all.remote));
                assert_eq!(one.suite, all.suite);
            }
        }
        world.assert_converged();
        assert_untroubled(&world);
    }
}

/// One below the limit, at it, and one above it: that one is refused with TS_MAX_QUEUE, and not asked for again before
/// there is a successor of what all use. Children of other selectors are not concerned.
#[test]
fn the_limit_is_of_these_selectors_alone() {
    let mut world = up([Some(4), Some(2)]);
    call(&mut world, 0, ONE);
    call(&mut world, 0, ONE + 1);
    assert_eq!((world.served(1), failures(&world, 0)), (vec![ALL, ONE, ONE + 1], vec![]));
    assert!(named(&world, 0, ALL).takes_more);
    for _ in 0..3 {
        call(&mut world, 0, ONE + 2);
    }
    assert_eq!(world.served(0), [ALL, ONE, ONE + 1]);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-CHILD-012"], vec!["RV-CHILD-012"]));
    assert!(!named(&world, 0, ALL).takes_more);
    call(&mut world, 0, 2);
    call(&mut world, 0, 2 * ONE);
    assert_eq!(world.served(1), [ALL, 2, ONE, ONE + 1, 2 * ONE]);
    let child = id(&world, 0, ALL);
    world.command(0, Command::RekeyChild { child });
    settle(&mut world);
    assert!(named(&world, 0, ALL).takes_more);
    call(&mut world, 0, ONE + 2);
    assert_eq!(failures(&world, 0), ["RV-CHILD-012"; 2]);
    world.assert_converged();
}

/// However many there are, they do not count against the limit of children; and children fill no place of theirs.
#[test]
fn they_do_not_count_as_children() {
    let limited = |end| Connection { max_children: 2, ..connection(end, Some(3)) };
    let mut world = pair([0, 1].map(limited));
    call(&mut world, 0, ALL);
    (0..3).for_each(|place| call(&mut world, 0, ONE + place));
    call(&mut world, 1, 2);
    assert_eq!(world.served(1), [ALL, 2, ONE, ONE + 1, ONE + 2]);
    assert_untroubled(&world);
    world.assert_converged();
}

/// A peer that knows nothing of resources is never asked, by whichever end the tunnel was made.
#[test]
fn who_does_not_say_it_is_not_asked() {
    for resources in [[Some(2), None], [None, Some(2)]] {
        let mut world = up(resources);
        for end in 0..2 {
            call(&mut world, end, ONE);
        }
        assert_eq!((world.served(0), world.served(1)), (vec![ALL], vec![ALL]));
        assert_untroubled(&world);
        assert!(!named(&world, 0, ALL).takes_more && !named(&world, 1, ALL).takes_more);
    }
}

/// No call is made for one resource's SA, and it comes up with nothing but what it is beside.
#[test]
fn there_is_none_without_a_fallback() {
    let mut world = pair([0, 1].map(|end| connection(end, Some(2))));
    call(&mut world, 0, ONE);
    assert!(world.ikes(0).is_empty());
    call(&mut world, 0, 2);
    call(&mut world, 0, ONE);
    assert_eq!(world.served(0), [2]);
}

/// It is the algorithm negotiated for all that they have, not the first of those that are configured.
#[test]
fn they_have_the_algorithms_of_the_first() {
    let ends = [0, 1].map(|end| {
        let mut connection = connection(end, Some(1));
        let both = vec![Encryption::AesGcm256, Encryption::AesGcm128];
        for child in connection.children.iter_mut().filter(|child| end == 0 || child.id.0 == ONE) {
            child.proposals[0].encryption = both.clone();
        }
        connection
    });
    let mut world = pair(ends);
    call(&mut world, 0, ALL);
    for end in 0..2 {
        call(&mut world, end, ONE);
        let encryption = |child| named(&world, end, child).suite.encryption;
        assert_eq!([ALL, ONE].map(encryption), [Encryption::AesGcm128; 2]);
    }
    world.assert_converged();
}

/// ```text
///   A  CREATE_CHILD_SA{N(SA_RESOURCE_INFO)}  --\ /-->  B
///   A  <--                                   --/ \--   CREATE_CHILD_SA{N(SA_RESOURCE_INFO)}, of the same
///      one place: one of both stays; two: both do
/// ```
#[test]
fn both_ask_at_once() {
    for (places, left) in [(1, vec![ALL, ONE]), (2, vec![ALL, ONE, ONE + 1])] {
        let mut world = up([Some(places); 2]);
        for end in 0..2 {
            let child = Some(ChildId(ONE));
            world.command(end, Command::Initiate { connection: settings::CONNECTION, child });
        }
        settle(&mut world);
        assert_eq!((world.served(0), world.served(1)), (left.clone(), left));
        assert_untroubled(&world);
    }
}

/// Each is rekeyed by itself, by either end, and stays what it is; that of all may go, and come again beside the rest.
#[test]
fn they_are_rekeyed_and_end_each_by_itself() {
    for end in 0..2 {
        let mut world = up([Some(2); 2]);
        call(&mut world, 0, ONE);
        call(&mut world, 0, ONE + 1);
        for child in [ALL, ONE, ONE + 1] {
            let before = named(&world, end, child).spi_in;
            let child_sa = id(&world, end, child);
            world.command(end, Command::RekeyChild { child: child_sa });
            settle(&mut world);
            assert_ne!(named(&world, end, child).spi_in, before);
            assert_eq!([world.served(0), world.served(1)], [[ALL, ONE, ONE + 1]; 2]);
        }
        let child = id(&world, end, ONE);
        world.command(end, Command::TerminateChild { child });
        settle(&mut world);
        assert_eq!([world.served(0), world.served(1)], [[ALL, ONE + 1]; 2]);
        let child = id(&world, end, ALL);
        world.command(end, Command::TerminateChild { child });
        settle(&mut world);
        assert_eq!(world.served(0), [ONE + 1]);
        call(&mut world, 0, ALL);
        settle(&mut world);
        assert_eq!(world.served(0), [ALL, ONE + 1]);
    }
}

/// One that another carries the traffic of is deleted at the peer at once, and receives here for a while what is under way.
#[test]
fn one_that_is_retired_still_receives() {
    for end in 0..2 {
        let mut world = up([Some(2); 2]);
        call(&mut world, 0, ONE);
        let retired = id(&world, end, ONE);
        world.command(end, Command::RetireChild { child: retired });
        world.run_for(SECOND);
        let there = |world: &World| {
            let snapshot = world.ends[end].engine.snapshot();
            let mut children = snapshot.iter().flat_map(|ike| &ike.children);
            children.any(|child| child.child.child == retired && !child.live)
        };
        assert_eq!([world.served(0), world.served(1)], [[ALL]; 2]);
        assert!(there(&world), "what is under way finds it");
        assert_eq!(world.children(1 - end).len(), 1, "the peer has done with it");
        world.run_for(6 * SECOND);
        assert!(!there(&world), "and after a while nothing does");
        call(&mut world, end, ONE);
        settle(&mut world);
        assert_eq!([world.served(0), world.served(1)], [[ALL, ONE]; 2]);
        assert_untroubled(&world);
    }
}

/// No worker is left for one more: whoever has no place for an SA says TS_MAX_QUEUE too.
#[test]
fn without_a_place_the_answer_is_the_same() {
    let mut world = up([Some(1); 2]);
    world.faults.answer_fails = 1000;
    // Only the called end asks for an SPI in vain: the caller has its own already.
    world.ends[0].hold = |kind| matches!(kind, ravelin_ike::want::WantKind::AllocateSpi(_));
    call(&mut world, 0, ONE);
    let want = world.ends[0].held.remove(0);
    world.answer(0, want);
    world.run_for(SECOND);
    assert_eq!([failures(&world, 0), failures(&world, 1)], [["RV-CHILD-012"]; 2]);
    assert_eq!(world.served(0), [ALL]);
}

fn info(data: &[u8]) -> Payload {
    Payload::Notify(Notify::new(NotifyType::SaResourceInfo, data.to_vec()))
}

fn resource_info(payloads: &[Payload]) -> Option<Vec<u8>> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.notify_type == NotifyType::SaResourceInfo => {
            Some(notify.data.clone())
        }
        _ => None,
    })
}

/// A hand-made peer that is up with the first child of an engine with so many resources, and said this of it.
fn peer(resources: Option<u32>, said: Option<&[u8]>) -> (Peer, Vec<Payload>) {
    let mut peer = Peer::new(|connection| {
        if let Some(count) = resources {
            *connection = settings::with_resources(connection.clone(), 1, count);
        }
    });
    peer.call(peer.init());
    let mut payloads = peer.auth();
    payloads.extend(said.map(info));
    let reply = peer.ask(ExchangeType::IkeAuth, payloads);
    (peer, reply)
}

/// The data are opaque and optional (RFC 9611 §5.1): whatever their length, they change nothing. Ours is four octets, and
/// comes only where the peer's did.
#[test]
fn the_data_of_resource_info_may_be_anything() {
    for data in [&[][..], &[0], &[0, 0, 0, 1], &[0xff; 5], &[7; 1000]] {
        let (mut peer, reply) = peer(Some(2), Some(data));
        assert_eq!(resource_info(&reply), Some(ALL.to_be_bytes().to_vec()));
        let mut request = peer.child(1, 0x3333_3333, None);
        request.push(info(data));
        let reply = peer.ask(ExchangeType::CreateChildSa, request);
        assert_eq!(resource_info(&reply), Some(ONE.to_be_bytes().to_vec()));
        assert_eq!(peer.children().len(), 2);
    }
    let (_, reply) = peer(Some(2), None);
    assert_eq!(resource_info(&reply), None);
    let (_, reply) = peer(None, Some(&[]));
    assert_eq!(resource_info(&reply), None);
}

/// Protocol ID and SPI size "MUST be 0" and are ignored if they are not (RFC 9611 §5): an SPI of no SA is none of ours.
#[test]
fn an_spi_in_resource_info_is_ignored() {
    let (mut peer, _) = peer(Some(1), Some(&[]));
    let mut request = peer.child(1, 0x3333_3333, None);
    request.push(Payload::Notify(Notify::about_esp(NotifyType::SaResourceInfo, CHILD, Vec::new())));
    assert!(sa(&peer.ask(ExchangeType::CreateChildSa, request)).is_some());
    assert_eq!(peer.children().len(), 2);
}

/// TS_MAX_QUEUE has no data, and is one notification alone; it comes to whoever has not agreed on resources too, since
/// what it asks for is there already.
#[test]
fn one_too_many_is_told_so() {
    for (resources, room) in [(Some(2), 2), (Some(0), 0), (None, 0)] {
        let (mut peer, _) = peer(resources, Some(&[]));
        for place in 0..=room {
            let mut request = peer.child(1, 0x3333_3330 + place, None);
            request.push(info(&[]));
            let reply = peer.ask(ExchangeType::CreateChildSa, request);
            match place < room {
                true => assert!(sa(&reply).is_some()),
                false => assert_eq!(only_notify(&reply), (NotifyType::TsMaxQueue, &[][..])),
            }
        }
        assert_eq!(peer.children().len(), 1 + room as usize);
    }
}

/// Of other selectors it is a child like others, and says SA_RESOURCE_INFO of itself.
#[test]
fn other_selectors_are_another_child() {
    let (mut peer, _) = peer(Some(1), Some(&[]));
    let group = Some(ravelin_ike::wire::KeyExchangeId::Curve25519);
    let mut request = vec![Payload::Nonce(peer.nonce.clone()), peer.public()];
    request.extend(child_offer(2, 0x3333_3333, group));
    request.push(info(&[]));
    let reply = peer.ask(ExchangeType::CreateChildSa, request);
    assert_eq!(resource_info(&reply), Some(2u32.to_be_bytes().to_vec()));
}

/// The packet that an SA is asked for may stand first among the selectors (RFC 7296 §2.9): they are the same for that.
#[test]
fn the_packet_in_front_makes_no_difference() {
    let (mut peer, _) = peer(Some(1), Some(&[]));
    let mut request = peer.child(1, 0x3333_3333, None);
    for payload in &mut request {
        let (end, selectors_of) = match payload {
            Payload::TrafficSelectorsInitiator(selectors) => (0, selectors),
            Payload::TrafficSelectorsResponder(selectors) => (1, selectors),
            _ => continue,
        };
        let mut entries = selectors(end, 1).selectors;
        let address = std::net::IpAddr::from([10, end, 1, 9]);
        entries[0].addresses = ravelin_ike::wire::AddressRange::new(address, address).unwrap();
        entries.extend(selectors_of.selectors.iter().cloned());
        *selectors_of = ravelin_ike::wire::TrafficSelectors::new(entries);
    }
    request.push(info(&[]));
    let reply = peer.ask(ExchangeType::CreateChildSa, request);
    assert_eq!(resource_info(&reply), Some(ONE.to_be_bytes().to_vec()));
    assert!(kinds(&reply).contains(&PayloadType::SecurityAssociation));
}

/// A successor stays where its predecessor was, whether the rekey says SA_RESOURCE_INFO or not (RFC 9611 §3).
#[test]
fn a_rekey_need_not_say_it() {
    let (mut peer, _) = peer(Some(1), Some(&[]));
    let mut request = peer.child(1, 0x3333_3333, None);
    request.push(info(&[]));
    peer.ask(ExchangeType::CreateChildSa, request);
    let reply = peer.ask(ExchangeType::CreateChildSa, peer.child_rekey(0x3333_3333));
    assert!(sa(&reply).is_some());
    let ups = peer.events.iter().filter_map(|event| match event {
        Event::ChildUp(up) => Some(up.config.0),
        _ => None,
    });
    assert_eq!(ups.collect::<Vec<_>>(), [ALL, ONE]);
    let configs = peer.engine.snapshot();
    let configs = configs[0].children.iter().map(|child| child.child.config.0).collect::<Vec<_>>();
    assert_eq!(configs, [ALL, ONE, ONE]);
}
