//! How fast and how often a peer may rekey: an honest one as it likes, one that never deletes up to a limit, and what
//! either makes us keep is bounded.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{connected, kind};
use ravelin_ike::input::Command;

const SECOND: u64 = 1_000_000;
const INFORMATIONAL: u8 = 37;

/// A peer that deletes what it replaces may rekey as fast as it likes: it is never refused, loses nothing under way,
/// and what it makes us keep is bounded all the same.
#[test]
fn a_peer_that_rekeys_fast_is_not_refused() {
    let mut world = connected();
    for _ in 0..200 {
        let child = world.children(0)[0];
        world.command(0, Command::RekeyChild { child });
        world.run_for(SECOND / 40);
        world.traffic();
        let ike = world.ikes(0)[0];
        world.command(0, Command::RekeyIke { ike });
        world.run_for(SECOND / 40);
        world.traffic();
        let peer = &world.ends[1].engine.snapshot()[0];
        assert!(peer.children.len() <= 5 + 32 + 2, "{} CHILD_SAs", peer.children.len());
        assert!(peer.ike_sas <= 32 + 2, "{} IKE SAs", peer.ike_sas);
    }
    assert_eq!((world.tally.ike_rekeyed, world.tally.child_rekeyed), (400, 400));
    world.run_for(60 * SECOND);
    world.assert_converged();
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1));
    assert_eq!(world.ends[1].engine.snapshot()[0].ike_sas, 1);
}

/// One that never deletes what it replaces has to wait at some point.
#[test]
fn a_peer_that_never_deletes_meets_a_limit() {
    let mut world = connected();
    world.gate = Some(Box::new(|from, bytes| from != 0 || kind(bytes) != (INFORMATIONAL, false)));
    for _ in 0..100 {
        world.ikes(0).first().copied().into_iter().for_each(|ike| {
            world.command(0, Command::RekeyIke { ike });
        });
        world.run_for(SECOND / 20);
    }
    let most = world.ends[1].engine.snapshot().iter().map(|ike| ike.ike_sas).max();
    assert!(most.is_some_and(|most| (10..=17).contains(&most)), "{most:?} IKE SAs");
    world.gate = None;
    world.run_for(200 * SECOND);
    world.assert_converged();
}

/// An authenticated peer that rekeys without end meets a limit, and the tunnel lives on.
#[test]
fn endless_rekeys_meet_a_limit() {
    let mut world = connected();
    for _ in 0..100 {
        for child in world.children(0) {
            world.command(0, Command::RekeyChild { child });
        }
        let ike = world.ikes(0)[0];
        world.command(0, Command::RekeyIke { ike });
        world.run_for(SECOND / 20);
    }
    let children = world.ends[1].engine.snapshot()[0].children.len();
    assert!(children <= 36 + 37, "{children} CHILD_SAs");
    world.run_for(60 * SECOND);
    world.traffic();
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1));
    world.assert_converged();
}
