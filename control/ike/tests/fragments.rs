//! Smaller fragments where larger ones are lost (RFC 7383 §2.5.2): end 0 calls end 1, both with certificates, over a wire
//! that drops whatever is larger than it takes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::{World, failures, kind, pair, settings};
use ravelin_ike::config::{Connection, Fragmentation, Group};
use ravelin_ike::input::Command;
use std::cell::RefCell;
use std::rc::Rc;

const SECOND: u64 = 1_000_000;
/// IP and UDP headers: all is on port 500.
const HEADERS: usize = 20 + 8;

/// Sizes of IP packets seen by the wire, with who sent them.
type Seen = Rc<RefCell<Vec<(usize, usize)>>>;

const IKE_SA_INIT: u8 = 34;

/// A wire that takes packets of so many octets; `only` those of one end are looked at, if it is said. IKE_SA_INIT, which
/// has no fragments, passes in any case.
fn narrow(world: &mut World, mtu: usize, only: Option<usize>) -> Seen {
    let seen = Seen::default();
    let note = seen.clone();
    world.gate = Some(Box::new(move |from, bytes| {
        let size = bytes.len() + HEADERS;
        note.borrow_mut().push((from, size));
        size <= mtu || kind(bytes).0 == IKE_SA_INIT || only.is_some_and(|only| only != from)
    }));
    seen
}

fn ends(mtu: u16) -> [Connection; 2] {
    let fragmentation = Some(Fragmentation { mtu });
    [0, 1].map(|end| Connection { fragmentation, ..settings::with_certificates(end) })
}

fn call(world: &mut World, seconds: u64) {
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(seconds * SECOND);
}

/// Whatever the wire takes down to the least that every host must take, the tunnel comes up, in either direction of the loss.
#[test]
fn the_tunnel_comes_up_over_a_narrower_wire() {
    for (configured, mtu) in
        [(1500, 1400), (1500, 1000), (1280, 1000), (1280, 576), (4000, 1300), (9000, 600)]
    {
        for only in [None, Some(0), Some(1)] {
            let mut world = pair(ends(configured));
            narrow(&mut world, mtu, only);
            call(&mut world, 20);
            world.gate = None;
            world.assert_converged();
            assert_eq!(world.ikes(0).len(), 1, "{configured} over {mtu}, lost of {only:?}");
            assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
        }
    }
}

/// Additional key exchanges come in large messages before there is a proof, under keys that change with each.
#[test]
fn key_exchanges_come_in_smaller_pieces_too() {
    let ends = ends(1280).map(|end| settings::with_additional(end, &[Group::MlKem1024, Group::MlKem768]));
    let mut world = pair(ends);
    narrow(&mut world, 576, None);
    call(&mut world, 60);
    world.assert_converged();
    assert_eq!((world.ikes(0).len(), failures(&world, 0), failures(&world, 1)), (1, vec![], vec![]));
    // What was found out is not found out again by the next IKE SA.
    world.command(0, Command::RekeyIke { ike: world.ikes(0)[0] });
    let sent = narrow(&mut world, 576, None);
    world.run_for(3 * SECOND);
    assert_eq!(world.tally.ike_rekeyed, 2, "at both ends");
    assert!(sent.borrow().iter().all(|(_, size)| *size <= 576), "{:?}", sent.borrow());
}

/// What arrives is left as it is.
#[test]
fn nothing_is_cut_without_need() {
    let mut world = pair(ends(1280));
    let seen = narrow(&mut world, 1280, None);
    call(&mut world, 20);
    world.assert_converged();
    let largest = |from| seen.borrow().iter().filter(|(of, _)| *of == from).map(|(_, size)| *size).max();
    assert!(largest(0) > Some(1200) && largest(1) > Some(1200));
}

/// Who has switched fragments off, and a peer that knows none, get whole messages, however often they are lost.
#[test]
fn without_fragments_nothing_is_cut() {
    for none in [0, 1] {
        let mut ends = ends(1280);
        ends[none].fragmentation = None;
        let mut world = pair(ends);
        let seen = narrow(&mut world, 1000, None);
        call(&mut world, 60);
        assert_eq!(world.ikes(0).len(), 0);
        let large = seen.borrow().iter().filter(|(from, size)| *from == 0 && *size > 1000).count();
        assert_eq!(large, 6, "the request and its five repetitions");
    }
}

/// Each size has two goes: what is lost by chance is not cut for it.
#[test]
fn each_size_has_its_repetitions() {
    let mut world = pair(ends(4000));
    let seen = narrow(&mut world, 500, None);
    call(&mut world, 60);
    let sent: Vec<usize> =
        seen.borrow().iter().filter(|(from, _)| *from == 0).map(|(_, size)| *size).collect();
    let of = |least: usize, most: usize| sent.iter().filter(|size| (least..=most).contains(*size)).count();
    assert_eq!(of(1281, 4000), 2, "whole: {sent:?}");
    assert!(of(577, 1280) >= 2 * 2 && of(500, 576) >= 2 * 4, "{sent:?}");
}
