//! MOBIKE (RFC 4555): A calls and moves, B is called and follows. What must come out is in §3.5 to §3.8.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::Peer;
use crate::harness::{World, failures, kind, pair, settings};
use ravelin_ike::config::{Connection, RemoteAddress};
use ravelin_ike::event::{Event, MoveRefusal};
use ravelin_ike::input::{ChildFactKind, Command};
use ravelin_ike::want::Path;
use ravelin_ike::wire::{ExchangeType, Notify, NotifyType, Payload};
use std::net::{IpAddr, SocketAddr};

const SECOND: u64 = 1_000_000;
const CREATE_CHILD_SA: u8 = 36;
const INFORMATIONAL: u8 = 37;

fn up(connections: [Connection; 2]) -> World {
    let mut world = pair(connections);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
    world.assert_converged();
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1));
    world
}

fn mobile() -> World {
    up([0, 1].map(settings::mobile))
}

/// A has another address from now on.
fn goes(world: &mut World, place: u8) -> IpAddr {
    let place = settings::elsewhere(place);
    world.relocate(0, place, settings::mobile(0));
    place
}

fn settle(world: &mut World) {
    for _ in 0..12 {
        world.run_for(5 * SECOND);
        world.traffic();
    }
    world.assert_converged();
}

/// Where an end sends ESP, all of it alike.
fn esp(world: &World, end: usize) -> Path {
    let paths = world.ends[end].plane.paths();
    assert!(paths.windows(2).all(|pair| pair[0].1 == pair[1].1), "{paths:?}");
    paths[0].1
}

fn ike(world: &World, end: usize) -> Path {
    world.ends[end].engine.snapshot()[0].path
}

fn moves(world: &World, end: usize) -> Vec<(SocketAddr, SocketAddr)> {
    let moved = |event: &Event| match event {
        Event::Moved { from, to, .. } if end == 0 => Some((from.local, to.local)),
        Event::Moved { from, to, .. } => Some((from.remote, to.remote)),
        _ => None,
    };
    world.ends[end].events.iter().filter_map(moved).collect()
}

fn refusals(world: &World, end: usize) -> Vec<MoveRefusal> {
    let refused = |event: &Event| match event {
        Event::MoveRefused { reason, .. } => Some(*reason),
        _ => None,
    };
    world.ends[end].events.iter().filter_map(refused).collect()
}

fn at(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 4500)
}

/// "MUST change to port 4500 ... even if no NAT was detected" (§3.3); ESP stays bare.
#[test]
fn it_moves_to_port_4500_and_stays_out_of_udp() {
    let world = mobile();
    for end in 0..2 {
        let path = esp(&world, end);
        assert!(path.mobike && !path.udp_encapsulation, "{path:?}");
        assert_eq!((path.local.port(), path.remote.port()), (4500, 4500));
    }
    let world = up([0, 1].map(|end| Connection { mobike: end == 1, ..settings::mobile(end) }));
    assert!(!esp(&world, 1).mobike && esp(&world, 1).local.port() == 500);
}

/// ```text
///   A  INFORMATIONAL{N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_*)}  from elsewhere  ->  B
///   A  <------------------------------------  N(NAT_DETECTION_*); IKE goes there, ESP does not
///   A  lost  <------------------------------  INFORMATIONAL{N(COOKIE2)}
///   A  <------------------------------------  and again
///   A  N(COOKIE2)  -------------------------->  B: now ESP goes there
/// ```
#[test]
fn esp_follows_when_the_peer_has_answered_at_its_new_address() {
    let mut world = mobile();
    let before = world.picture(0, 0);
    world.gate = Some(Box::new(|from, bytes| !(from == 1 && kind(bytes) == (INFORMATIONAL, false))));
    let (old, new) = (at(settings::outer(0)), at(goes(&mut world, 1)));
    assert_eq!(esp(&world, 0).local, new, "its own address needs no check");
    world.run_for(2 * SECOND);
    assert_eq!((ike(&world, 1).remote, esp(&world, 1).remote), (new, old));
    assert_eq!(world.ends[1].engine.snapshot()[0].esp_path.remote, old);
    assert_eq!((moves(&world, 0), moves(&world, 1)), (vec![(old, new)], vec![]));
    // A child made meanwhile does not go there either.
    let child = world.children(0)[0];
    world.command(0, Command::RekeyChild { child });
    world.run_for(SECOND / 4);
    assert_eq!(world.children(1).len(), 1);
    assert_eq!(esp(&world, 1).remote, old);
    world.gate = None;
    settle(&mut world);
    assert_eq!(moves(&world, 1), [(old, new)]);
    assert_ne!(world.picture(0, 0), before, "the rekey went through");
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
}

/// The SAs are the same before and after; only where they go is other.
#[test]
fn nothing_is_negotiated_anew() {
    let mut world = mobile();
    let before = world.picture(0, 0);
    for place in [1, 2, 3] {
        goes(&mut world, place);
        settle(&mut world);
    }
    assert_eq!(world.picture(0, 0), before);
    assert_eq!((moves(&world, 0).len(), moves(&world, 1).len()), (3, 3));
}

/// The last of several moves counts, however many of the messages in between are lost.
#[test]
fn the_latest_of_several_moves_wins() {
    for lost in 0..6 {
        let mut world = mobile();
        let mut left = lost;
        world.gate = Some(Box::new(move |_, bytes| {
            let hit = kind(bytes).0 == INFORMATIONAL && left > 0;
            left -= u32::from(hit);
            !hit
        }));
        for (place, pause) in [(1, 1500), (2, 0), (3, 4500), (4, 700)] {
            goes(&mut world, place);
            world.run_for(pause);
        }
        settle(&mut world);
        assert_eq!(esp(&world, 1).remote, at(settings::elsewhere(4)), "{lost} lost");
    }
}

/// ```text
///   both rekey a child or the IKE SA, and A moves at the same time; requests under way go on from there
/// ```
#[test]
fn a_move_meets_rekeys_of_both_ends() {
    for skew in [0, 500, 1500, 3000, 5000] {
        for (own, whole) in [(0, false), (1, false), (0, true), (1, true)] {
            let mut world = mobile();
            let rekey = |world: &mut World| match whole {
                true => world.command(own, Command::RekeyIke { ike: world.ikes(own)[0] }),
                false => world.command(own, Command::RekeyChild { child: world.children(own)[0] }),
            };
            rekey(&mut world);
            world.run_for(skew);
            goes(&mut world, 1);
            world.run_for(skew);
            goes(&mut world, 2);
            settle(&mut world);
            assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{own} {whole} {skew}");
            assert_eq!(esp(&world, 1).remote, at(settings::elsewhere(2)));
        }
    }
}

/// ```text
///   A  INFORMATIONAL{N(UPDATE_SA_ADDRESSES)}  -->  B
///   A  lost  <----------------------------------  its answer, and all that B says, until B has rekeyed the IKE SA
/// ```
#[test]
fn what_an_ike_sa_leaves_unsaid_the_next_one_says() {
    for lost in 1..5 {
        let mut world = mobile();
        let mut left = lost;
        world.gate = Some(Box::new(move |from, bytes| {
            let hit = from == 1 && kind(bytes) == (INFORMATIONAL, true) && left > 0;
            left -= u32::from(hit);
            !hit
        }));
        goes(&mut world, 1);
        world.run_for(5000);
        let ike = world.ikes(1)[0];
        world.command(1, Command::RekeyIke { ike });
        settle(&mut world);
        assert_eq!(esp(&world, 1).remote, at(settings::elsewhere(1)), "{lost} lost");
    }
}

/// A deleted tunnel is deleted, wherever it was about to go.
#[test]
fn a_move_meets_a_delete() {
    for end in 0..2 {
        let mut world = mobile();
        let ike = world.ikes(end)[0];
        goes(&mut world, 1);
        world.command(end, Command::TerminateIke { ike });
        goes(&mut world, 2);
        world.run_for(120 * SECOND);
        world.assert_empty();
    }
}

/// A tunnel that says where its peer is refuses by name that it goes elsewhere, and the caller says so too.
#[test]
fn a_fixed_peer_may_not_move() {
    let fixed = |end: usize| Connection {
        remote: RemoteAddress::One(settings::outer(1 - end)),
        ..settings::mobile(end)
    };
    let mut world = up([0, 1].map(fixed));
    goes(&mut world, 1);
    world.run_for(SECOND);
    assert_eq!(refusals(&world, 1), [MoveRefusal::FixedPeer]);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-NET-004"], vec!["RV-END-004"]));
    world.run_for(60 * SECOND);
    world.assert_empty();
}

/// §3.7: "If the values do not match, the IKE_SA MUST be closed."
#[test]
fn a_cookie_that_comes_back_otherwise_ends_the_ike_sa() {
    for right in [true, false] {
        let mut peer = Peer::new(|connection| {
            (connection.mobike, connection.remote) = (true, RemoteAddress::Any);
        });
        let of = |kind| Payload::Notify(Notify::new(kind, Vec::new()));
        peer.call(peer.init());
        let auth = [peer.auth(), vec![of(NotifyType::MobikeSupported)]].concat();
        peer.ask(ExchangeType::IkeAuth, auth);
        peer.local = SocketAddr::new(settings::elsewhere(1), 500);
        peer.ask(ExchangeType::Informational, vec![of(NotifyType::UpdateSaAddresses)]);
        let check = peer.hear();
        let [Payload::Notify(cookie)] = check.payloads.as_slice() else { panic!("{check:?}") };
        assert!(cookie.notify_type == NotifyType::Cookie2 && (8..=64).contains(&cookie.data.len()));
        let mut answer = cookie.clone();
        answer.data[0] ^= u8::from(!right);
        peer.tell(&check, vec![Payload::Notify(answer)]);
        assert_eq!(peer.children().len(), usize::from(right));
    }
}

/// §3.7, §3.8: COOKIE2 comes back as it was, and NAT detection is answered, also where the move is refused; §4.2.1: what
/// stands in MOBIKE_SUPPORTED is ignored.
#[test]
fn what_has_to_come_back_comes_back() {
    let of = |kind, data: &[u8]| Payload::Notify(Notify::new(kind, data.to_vec()));
    let mut peer = Peer::new(|connection| connection.mobike = true);
    peer.call(peer.init());
    let mut auth = peer.auth();
    auth.push(of(NotifyType::MobikeSupported, b"whatever"));
    let reply = peer.ask(ExchangeType::IkeAuth, auth);
    assert!(reply.contains(&of(NotifyType::MobikeSupported, &[])));
    peer.local = SocketAddr::new(settings::elsewhere(1), 500);
    let cookie = of(NotifyType::Cookie2, &[3; 11]);
    let (source, destination) = (NotifyType::NatDetectionSourceIp, NotifyType::NatDetectionDestinationIp);
    let request = vec![
        of(NotifyType::UpdateSaAddresses, &[]),
        of(source, &[1; 20]),
        of(destination, &[2; 20]),
        cookie.clone(),
    ];
    let reply = peer.ask(ExchangeType::Informational, request);
    assert_eq!(reply[..2], [cookie, of(NotifyType::UnacceptableAddresses, &[])]);
    let kinds = reply[2..].iter().map(|payload| match payload {
        Payload::Notify(notify) => notify.notify_type,
        other => panic!("{other:?}"),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [source, destination]);
}

/// Who called decides: where the peer does no MOBIKE, or it was the peer who called, a move ends the tunnel.
#[test]
fn what_cannot_go_along_ends() {
    let mut world = up([0, 1].map(|end| Connection { mobike: end == 0, ..settings::mobile(end) }));
    goes(&mut world, 1);
    world.run_for(SECOND);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-END-007"], vec!["RV-END-004"]));
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    settle(&mut world);
    assert_eq!(esp(&world, 1).remote.ip(), settings::elsewhere(1));
    let mut world = mobile();
    world.relocate(1, settings::elsewhere(9), settings::mobile(1));
    world.run_for(SECOND);
    assert_eq!(failures(&world, 1), ["RV-END-007"]);
    assert!(world.children(0).is_empty());
}

/// A NAT comes, gets another address, and goes. A's probes find out (§3.8), and ESP goes in UDP while there is one.
#[test]
fn nats_come_and_go() {
    let mut world = mobile();
    for (nat, udp) in [(Some(7), true), (Some(8), true), (None, false)] {
        world.put_behind(nat.map(settings::elsewhere));
        world.run_for(60 * SECOND);
        world.assert_converged();
        let (ours, theirs) = (esp(&world, 0), esp(&world, 1));
        assert_eq!((ours.udp_encapsulation, theirs.udp_encapsulation), (udp, udp));
        assert_eq!((theirs.remote.ip(), theirs.remote_behind_nat), (world.reached_at(0), udp));
    }
    assert_eq!(moves(&world, 1).len(), 3);
    // From behind one NAT to behind another one.
    world.put_behind(Some(settings::elsewhere(7)));
    goes(&mut world, 1);
    world.run_for(SECOND);
    world.assert_converged();
    assert!(esp(&world, 1).udp_encapsulation);
}

/// ```text
///   A  INFORMATIONAL{N(UPDATE_SA_ADDRESSES)}  --->  somebody gives it another source  --->  B
///      nobody answers there  <---------------------------------------------------------   N(COOKIE2)
///   A  INFORMATIONAL{N(NAT_DETECTION_*)}, a probe  ----------------------------------->  B
///   A  <--------------------------------  N(NAT_DETECTION_*): A is not where B took it to be, and says so
/// ```
#[test]
fn no_esp_goes_where_nobody_answers() {
    let mut world = mobile();
    world.faults.spoof = 1000;
    goes(&mut world, 1);
    world.run_for(SECOND / 4);
    world.faults.spoof = 0;
    world.run_for(5 * SECOND);
    assert_eq!(
        (ike(&world, 1).remote.ip(), esp(&world, 1).remote.ip()),
        (settings::NOBODY, settings::outer(0))
    );
    world.run_for(20 * SECOND);
    world.assert_converged();
    assert_eq!(moves(&world, 1), [(at(settings::outer(0)), at(settings::elsewhere(1)))]);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
}

/// What a worker says of packets does not decide where ESP goes while a check is under way, and not at all where the
/// peer is behind no NAT.
#[test]
fn packets_do_not_go_ahead_of_a_check() {
    let mut world = mobile();
    world.put_behind(Some(settings::elsewhere(7)));
    world.run_for(30 * SECOND);
    world.assert_converged();
    let before = esp(&world, 1);
    world.gate = Some(Box::new(|from, bytes| !(from == 1 && kind(bytes) == (INFORMATIONAL, false))));
    world.put_behind(Some(settings::elsewhere(8)));
    goes(&mut world, 1);
    world.run_for(SECOND);
    let child = world.children(1)[0];
    world.fact(1, child, ChildFactKind::PeerMoved { remote: at(settings::elsewhere(8)) });
    assert_eq!(esp(&world, 1), before);
    world.gate = None;
    settle(&mut world);
    let mut world = mobile();
    let child = world.children(1)[0];
    world.fact(1, child, ChildFactKind::PeerMoved { remote: at(settings::elsewhere(8)) });
    assert_eq!(esp(&world, 1).remote.ip(), settings::outer(0));
}

/// A request of B's that is under way when A moves reaches it where it is then.
#[test]
fn requests_under_way_follow_the_peer() {
    let mut world = mobile();
    let child = world.children(1)[0];
    let mut lost = 1;
    world.gate = Some(Box::new(move |from, bytes| {
        let hit = from == 1 && kind(bytes) == (CREATE_CHILD_SA, false) && lost > 0;
        lost -= u32::from(hit);
        !hit
    }));
    world.command(1, Command::RekeyChild { child });
    goes(&mut world, 1);
    settle(&mut world);
    assert_ne!(world.children(1), [child]);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec![], vec![]));
}
