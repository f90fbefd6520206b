//! Several CHILD_SAs of one IKE SA (RFC 7296 §1.3): each by itself, whatever becomes of the others, and never more
//! than either side allows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness;
use crate::harness::{World, connected, failures, kind, pair, settings};
use ravelin_ike::config::{ChildId, Connection, Encryption, Group, Selector};
use ravelin_ike::event::{ChildUp, Event};
use ravelin_ike::input::Command;
use std::net::IpAddr;

const SECOND: u64 = 1_000_000;
const IKE_SA_INIT: u8 = 34;
const CREATE_CHILD_SA: u8 = 36;

fn call(world: &mut World, end: usize, child: u32) {
    let child = Some(ChildId(child));
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child });
}

/// Both ends with so many children, changed by `change`.
fn ends(count: u32, change: impl Fn(usize, &mut Connection)) -> World {
    pair([0, 1].map(|end| {
        let mut connection = settings::with_children(settings::connection(end), end, count);
        change(end, &mut connection);
        connection
    }))
}

/// Both ends with three children, the first of which is up.
fn first_of_three(seed: u8) -> World {
    let both = [0, 1].map(|end| settings::with_children(settings::connection(end), end, 3));
    let mut world = harness::pair_of(seed, both);
    call(&mut world, 0, 1);
    world.run_for(SECOND);
    world
}

fn settle(world: &mut World) {
    for _ in 0..16 {
        world.run_for(5 * SECOND);
        world.traffic();
    }
    world.assert_converged();
}

/// The CHILD_SAs in use of a child at an end.
fn of(world: &World, end: usize, child: u32) -> Vec<ChildUp> {
    let snapshot = world.ends[end].engine.snapshot();
    let live = snapshot.iter().flat_map(|ike| &ike.children).filter(|child| child.live);
    live.map(|live| live.child.clone()).filter(|live| live.config.0 == child).collect()
}

/// The first comes with IKE_AUTH, the others by CREATE_CHILD_SA, asked for by either end.
#[test]
fn five_children_come_up_whoever_asks() {
    for caller in 0..2 {
        let mut world = ends(5, |_, _| {});
        call(&mut world, 0, 1);
        world.run_for(SECOND);
        (2..=5).for_each(|child| call(&mut world, caller, child));
        world.run_for(2 * SECOND);
        assert_eq!((world.served(0), world.served(1)), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5]));
        world.assert_converged();
    }
}

/// One below the limit, at it, and one above it: the last is refused by the peer whose limit it is, and known to be
/// refused before it is asked for where it is our own. Nothing else suffers.
#[test]
fn the_limit_holds_for_both_sides() {
    for (limits, told) in [([64, 5], "the peer's"), ([5, 64], "ours")] {
        let mut world = ends(7, |end, connection| connection.max_children = limits[end]);
        (1..=4).for_each(|child| call(&mut world, 0, child));
        world.run_for(2 * SECOND);
        call(&mut world, 0, 5);
        world.run_for(SECOND);
        assert_eq!((world.served(1), failures(&world, 0)), (vec![1, 2, 3, 4, 5], vec![]));
        let before = world.picture(0, 0);
        call(&mut world, 0, 6);
        world.run_for(2 * SECOND);
        assert_eq!((world.picture(0, 0), failures(&world, 0)), (before, vec!["RV-CHILD-007"]));
        let reason = world.ends[0].events.iter().find_map(|event| match event {
            Event::ChildFailed { config: Some(ChildId(6)), reason, .. } => Some(reason.to_string()),
            _ => None,
        });
        assert!(reason.unwrap().contains(told));
        // One goes, and there is room for another.
        let child = of(&world, 0, 2)[0].child;
        world.command(0, Command::TerminateChild { child });
        world.run_for(SECOND);
        call(&mut world, 0, 7);
        world.run_for(2 * SECOND);
        assert_eq!(world.served(1), [1, 3, 4, 5, 7]);
        world.assert_converged();
    }
}

/// A child may be rekeyed at the limit: its successor takes its place and no other.
#[test]
fn a_full_tunnel_rekeys() {
    let mut world = ends(5, |_, _| {});
    (1..=5).for_each(|child| call(&mut world, 0, child));
    world.run_for(3 * SECOND);
    let before: Vec<u32> = (1..=5).map(|child| of(&world, 0, child)[0].spi_in).collect();
    for end in 0..2 {
        for child in world.children(end) {
            world.command(end, Command::RekeyChild { child });
        }
        settle(&mut world);
    }
    assert_eq!(
        (world.served(0), failures(&world, 0), failures(&world, 1)),
        (vec![1, 2, 3, 4, 5], vec![], vec![])
    );
    assert!((1..=5).all(|child| !before.contains(&of(&world, 0, child)[0].spi_in)));
}

/// Selectors that the peer does not have, algorithms that it does not take: that child is not there, and says why.
#[test]
fn a_refused_child_leaves_the_others_alone() {
    let mut world = ends(5, |end, connection| {
        if end == 1 {
            connection.children[2].local = vec![Selector::prefix(IpAddr::from([10, 77, 0, 0]), 24)];
            connection.children[3].proposals[0].encryption = vec![Encryption::AesGcm256];
        }
    });
    (1..=5).for_each(|child| call(&mut world, 0, child));
    world.run_for(3 * SECOND);
    assert_eq!((world.served(0), world.ikes(0).len()), (vec![1, 2, 5], 1));
    assert_eq!(failures(&world, 0), ["RV-CHILD-002", "RV-CHILD-004"]);
    assert_eq!(failures(&world, 1), ["RV-CHILD-001", "RV-CHILD-005"]);
    let refused = world.ends[0].events.iter().filter_map(|event| match event {
        Event::ChildFailed { config, .. } => config.map(|config| config.0),
        _ => None,
    });
    assert_eq!(refused.collect::<Vec<_>>(), [3, 4]);
    world.assert_converged();
}

/// Each child has the algorithms of its own.
#[test]
fn children_differ_in_their_algorithms() {
    let mut world = ends(2, |_, connection| {
        connection.children[1].proposals[0].encryption = vec![Encryption::AesGcm256];
    });
    (1..=2).for_each(|child| call(&mut world, 0, child));
    world.run_for(2 * SECOND);
    let suites = [1, 2].map(|child| of(&world, 0, child)[0].suite);
    assert_eq!(suites.map(|suite| suite.encryption), [Encryption::AesGcm128, Encryption::AesGcm256]);
    assert_eq!(suites.map(|suite| suite.group), [None, Some(Group::X25519)]);
    world.assert_converged();
}

/// A child is deleted, by either end: its neighbours keep their SPIs.
#[test]
fn a_child_goes_alone() {
    for end in 0..2 {
        let mut world = ends(3, |_, _| {});
        (1..=3).for_each(|child| call(&mut world, 0, child));
        world.run_for(2 * SECOND);
        let before = [1, 3].map(|child| of(&world, 0, child)[0].spi_in);
        let child = of(&world, end, 2)[0].child;
        world.command(end, Command::TerminateChild { child });
        settle(&mut world);
        assert_eq!(
            (world.served(0), [1, 3].map(|child| of(&world, 0, child)[0].spi_in)),
            (vec![1, 3], before)
        );
    }
}

/// An offer for everything names the packet it is made for first (RFC 7296 §2.9): the child that carries the packet is
/// made, though others that are not up would fit, and even if it is up.
#[test]
fn the_child_of_the_packet_is_made() {
    let wide = |end: u8| Selector::prefix(IpAddr::from([10, end, 0, 0]), 16);
    let host =
        |end: u8, child: u8| Selector::host(IpAddr::from([10, end, child, 9])).with_ports(17, 7000, 7000);
    let mut world = ends(5, |end, connection| {
        connection.children.iter_mut().for_each(|child| child.proposals[0].groups.clear());
        if end == 0 {
            for (child, wanted) in connection.children.iter_mut().zip([3, 5, 3, 2, 1]) {
                child.local = vec![host(0, wanted), wide(0)];
                child.remote = vec![host(1, wanted), wide(1)];
            }
        }
    });
    for (number, served) in [vec![3], vec![3, 5], vec![3, 3, 5], vec![2, 3, 3, 5]].into_iter().enumerate() {
        call(&mut world, 0, number as u32 + 1);
        world.run_for(2 * SECOND);
        assert_eq!(world.served(1), served);
        world.assert_converged();
    }
    // Without a packet it is the first that is not up.
    let (now, mut connection) = (world.at(), settings::with_children(settings::connection(0), 0, 5));
    (connection.children[4].local, connection.children[4].remote) = (vec![wide(0)], vec![wide(1)]);
    world.ends[0].engine.set_connection(now, settings::CONNECTION, Some(connection));
    call(&mut world, 0, 5);
    world.run_for(2 * SECOND);
    assert_eq!(world.served(1), [1, 2, 3, 3, 5]);
    assert_eq!(of(&world, 0, 5)[0].local, of(&world, 1, 1)[0].remote, "narrowed to what the child has");
    world.assert_converged();
}

/// It is the algorithms of the packet's child that count, not those of another that would take the offer.
#[test]
fn the_child_of_the_packet_is_made_or_none() {
    let mut world = ends(3, |end, connection| {
        let child = &mut connection.children[2];
        if end == 0 {
            child.local.push(Selector::prefix(IpAddr::from([10, 0, 0, 0]), 16));
            child.remote.push(Selector::prefix(IpAddr::from([10, 1, 0, 0]), 16));
        } else {
            child.proposals[0].encryption = vec![Encryption::AesGcm256];
        }
    });
    call(&mut world, 0, 1);
    world.run_for(SECOND);
    call(&mut world, 0, 3);
    world.run_for(SECOND);
    assert_eq!((world.served(1), failures(&world, 0)), (vec![1], vec!["RV-CHILD-004"]));
}

/// Drops the first `count` datagrams from this end of CREATE_CHILD_SA in this direction.
fn drop_first(world: &mut World, end: usize, response: bool, count: u32) {
    let mut left = count;
    world.gate = Some(Box::new(move |from, bytes| {
        let hit = from == end && kind(bytes) == (CREATE_CHILD_SA, response) && left > 0;
        left -= u32::from(hit);
        !hit
    }));
}

/// ```text
///   A  CREATE_CHILD_SA{SA, TSi, TSr}  --\ /-->  B
///   A  <--                            --/ \--   CREATE_CHILD_SA{SA, TSi, TSr}, for the same child
///      both answered; the lowest of four nonces decides, as in a rekey
/// ```
#[test]
fn both_make_one_child() {
    for seed in 0..16 {
        // With and without a key exchange of its own.
        for child in [2, 3] {
            let mut world = first_of_three(seed);
            call(&mut world, 0, child);
            call(&mut world, 1, child);
            world.run_for(2 * SECOND);
            assert_eq!(world.served(0), [1, child], "{seed}");
            settle(&mut world);
            assert_eq!(world.served(0), [1, child], "{seed}");
            assert_eq!([0, 1].map(|end| world.ends[end].engine.counters().collisions), [1, 1], "{seed}");
            assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
        }
    }
}

/// The same, and requests or answers of either end are late.
#[test]
fn both_make_one_child_and_messages_are_lost() {
    for (end, response) in [(0, false), (0, true), (1, false), (1, true)] {
        for (child, lost) in [(2, 1), (3, 1), (2, 3), (3, 3)] {
            let mut world = ends(3, |_, _| {});
            call(&mut world, 0, 1);
            world.run_for(SECOND);
            drop_first(&mut world, end, response, lost);
            call(&mut world, 0, child);
            call(&mut world, 1, child);
            settle(&mut world);
            settle(&mut world);
            assert_eq!(world.served(0), [1, child], "{end} {response} {child} {lost}");
        }
    }
}

/// ```text
///   A  CREATE_CHILD_SA{SA, TSi, TSr}  --- late --->  B
///   A  <---                                          CREATE_CHILD_SA{SA, TSi, TSr}, for the same child
///   A  <---                                          CREATE_CHILD_SA{N(REKEY_SA)}, of what that made
///   A  <---                                          the answer: it is the successor that wins or loses
/// ```
#[test]
fn what_is_made_twice_may_have_been_rekeyed_before_that_is_known() {
    for seed in 0..16 {
        for child in [2, 3] {
            let mut world = first_of_three(seed);
            drop_first(&mut world, 0, false, 1);
            call(&mut world, 0, child);
            call(&mut world, 1, child);
            world.run_for(SECOND / 10);
            let made = of(&world, 1, child)[0].child;
            world.command(1, Command::RekeyChild { child: made });
            settle(&mut world);
            settle(&mut world);
            assert_eq!(world.served(0), [1, child], "{seed} {child}");
        }
    }
}

/// Our own call goes nowhere and the peer's comes through: what else we want is asked for there, at once.
#[test]
fn a_child_is_asked_for_where_it_can_be_had() {
    let mut world = ends(3, |_, _| {});
    world.gate = Some(Box::new(|from, bytes| from != 0 || kind(bytes) != (IKE_SA_INIT, false)));
    call(&mut world, 0, 1);
    call(&mut world, 1, 1);
    world.run_for(SECOND);
    call(&mut world, 0, 2);
    call(&mut world, 1, 3);
    world.run_for(SECOND);
    assert_eq!((world.served(0), world.served(1)), (vec![1, 2, 3], vec![1, 2, 3]));
}

/// ```text
///   A  CREATE_CHILD_SA{N(REKEY_SA, one)}  --\ /-->  B
///   A  <--                                --/ \--   CREATE_CHILD_SA{SA, TSi, TSr}, for the other
/// ```
#[test]
fn one_is_rekeyed_while_another_is_made() {
    for rekeyer in 0..2 {
        let mut world = connected();
        let before = world.picture(0, 0);
        let child = world.children(rekeyer)[0];
        world.command(rekeyer, Command::RekeyChild { child });
        call(&mut world, 1 - rekeyer, 2);
        settle(&mut world);
        assert_eq!(world.served(0), [1, 2]);
        assert!(!world.picture(0, 0).iter().any(|line| line.starts_with("child") && before.contains(line)));
        assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
    }
}
