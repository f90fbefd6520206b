//! Single stories: what an operator, a stranger or a bad network does, and what must come of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness;
use crate::harness::{Dice, World, address, connected, failures, kind, pair, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{
    AdditionalGroups, Auth, ChildId, Connection, DeadPeer, Encryption, EngineConfig, Group, Identity,
    IkeProposal, Prf, RemoteAddress, Retransmission, Selector, UdpEncapsulation,
};
use ravelin_ike::input::{ChildFactKind, Command, Datagram};
use ravelin_ike::time::Instant;
use ravelin_ike::want::{OutboundStart, WantKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use zeroize::Zeroizing;

const SECOND: u64 = 1_000_000;
const IKE_SA_INIT: u8 = 34;
const IKE_AUTH: u8 = 35;
const CREATE_CHILD_SA: u8 = 36;
const INFORMATIONAL: u8 = 37;

fn call(world: &mut World, end: usize, child: Option<ChildId>) {
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child });
}

fn connections(change: impl Fn(usize, &mut Connection)) -> [Connection; 2] {
    [0, 1].map(|end| {
        let mut connection = settings::connection(end);
        change(end, &mut connection);
        connection
    })
}

#[test]
fn a_wrong_key_brings_nothing_up_and_both_sides_say_why() {
    let mut world = pair(connections(|end, connection| {
        if end == 0 {
            connection.local_auth = Auth::Psk(Zeroizing::new(b"wrong horse".to_vec()));
        }
    }));
    call(&mut world, 0, None);
    world.run_for(60 * SECOND);
    assert_eq!(
        (world.tally.ike_up, failures(&world, 0), failures(&world, 1)),
        (0, vec!["RV-AUTH-001"], vec!["RV-AUTH-002"])
    );
    let attempts: Vec<_> = world.ends[0].engine.recorder().of(settings::CONNECTION).collect();
    assert_eq!((attempts.len(), attempts[0].peer_notify), (1, Some(24)));
    world.assert_empty();
}

/// The peer's key is wrong and it is the responder's: the initiator must tell it, since it believes to be up.
#[test]
fn a_responder_that_cannot_prove_itself_is_told() {
    let mut world = pair(connections(|end, connection| {
        if end == 1 {
            connection.local_auth = Auth::Psk(Zeroizing::new(b"wrong horse".to_vec()));
        }
    }));
    call(&mut world, 0, None);
    world.run_for(60 * SECOND);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-AUTH-002"], vec!["RV-AUTH-001"]));
    assert_eq!(world.ikes(1).len(), 0);
    world.assert_empty();
}

fn proposal(encryption: Encryption, groups: Vec<Group>) -> IkeProposal {
    IkeProposal {
        encryption: vec![encryption],
        integrity: vec![],
        prf: vec![Prf::HmacSha256],
        groups,
        additional: AdditionalGroups::NONE,
    }
}

#[test]
fn the_responders_group_is_taken_after_a_wrong_guess() {
    let mut world = pair(connections(|end, connection| {
        let groups = if end == 0 { vec![Group::EcpP256, Group::X25519] } else { vec![Group::X25519] };
        connection.proposals = vec![proposal(Encryption::AesGcm256, groups)].into();
    }));
    call(&mut world, 0, None);
    world.run_for(SECOND);
    assert_eq!(world.children(0).len(), 1);
    world.assert_converged();
}

#[test]
fn proposals_that_do_not_meet_are_explained() {
    let mut world = pair(connections(|end, connection| {
        let encryption = if end == 0 { Encryption::AesGcm128 } else { Encryption::AesGcm256 };
        connection.proposals = vec![proposal(encryption, vec![Group::X25519])].into();
    }));
    call(&mut world, 0, None);
    world.run_for(60 * SECOND);
    // The initiator goes on asking for a while, because anybody could have sent the refusal.
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-INIT-002"], vec!["RV-INIT-003"]));
    let attempt = world.ends[1].engine.recorder().of(settings::CONNECTION).next().unwrap();
    assert!(attempt.offered.contains("128") && attempt.configured.contains("256"), "{attempt:#?}");
    world.assert_empty();
}

#[test]
fn selectors_that_do_not_meet_leave_the_ike_sa_up() {
    let mut world = pair(connections(|end, connection| {
        if end == 1 {
            connection.children[0].local = vec![Selector::prefix("10.77.0.0".parse().unwrap(), 24)];
            connection.children.truncate(1);
        }
    }));
    call(&mut world, 0, Some(ChildId(1)));
    world.run_for(5 * SECOND);
    assert_eq!((world.ikes(0).len(), world.ikes(1).len(), world.children(0).len()), (1, 1, 0));
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-CHILD-002"], vec!["RV-CHILD-001"]));
    world.assert_converged();
}

#[test]
fn children_of_their_own_key_exchange_come_up_and_are_rekeyed() {
    let mut world = connected();
    call(&mut world, 1, Some(ChildId(2)));
    world.run_for(SECOND);
    assert_eq!(world.children(0).len(), 2);
    for child in world.children(1) {
        world.command(1, Command::RekeyChild { child });
    }
    world.run_for(SECOND);
    world.traffic();
    world.run_for(20 * SECOND);
    assert_eq!(world.tally.child_rekeyed, 4);
    world.assert_converged();
}

#[test]
fn certificates_travel_in_fragments_within_the_mtu() {
    let mut world = pair([0, 1].map(settings::with_certificates));
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |_, bytes| {
        if kind(bytes).0 == IKE_AUTH {
            sender.send(bytes.len()).unwrap();
        }
        true
    }));
    call(&mut world, 0, None);
    world.run_for(SECOND);
    let lengths: Vec<usize> = receiver.try_iter().collect();
    assert!(lengths.len() >= 6 && lengths.iter().all(|length| *length <= 1280 - 28), "{lengths:?}");
    assert_eq!(world.children(0).len(), 1);
    world.assert_converged();
}

/// `max_message` holds for whole datagrams and for what comes in fragments.
#[test]
fn a_message_over_the_limit_is_not_taken() {
    for (limit, ups) in [(4000, 2), (2000, 0)] {
        let engines = [1, 2].map(|number| {
            let config = EngineConfig { max_message: limit, ..settings::engine_config() };
            let mut engine = Engine::new(config, [number; 32]);
            let connection = settings::with_certificates(usize::from(number) - 1);
            engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
            engine
        });
        let mut world = World::new(1, engines, true);
        call(&mut world, 0, None);
        world.run_for(60 * SECOND);
        assert_eq!(world.tally.ike_up, ups, "{limit}");
        if ups == 0 {
            assert_eq!(failures(&world, 1), vec!["RV-PROTO-001"]);
        }
        let before = world.ends[1].engine.counters();
        for octets in [limit, limit + 1] {
            let now = world.at();
            world.ends[1].engine.handle_datagram(now, of_no_known_spi(octets));
        }
        let after = world.ends[1].engine.counters();
        assert_eq!((after.malformed, after.unknown_spi), (before.malformed + 1, before.unknown_spi + 1));
    }
}

/// A well-formed request of so many octets, all of them a vendor ID, for an SPI that is not ours.
fn of_no_known_spi(octets: usize) -> Datagram {
    let header = [&[1; 16][..], &[43, 0x20, 34, 0x08], &[0; 4], &(octets as u32).to_be_bytes()].concat();
    let vendor = [&[0, 0][..], &(octets as u16 - 28).to_be_bytes(), &vec![0; octets - 32]].concat();
    let bytes = [header, vendor].concat();
    Datagram { instance: 0, local: address(1, 500), remote: address(0, 500), bytes }
}

#[test]
fn forced_nat_traversal_moves_both_to_port_4500_and_into_udp() {
    for forcing in 0..2 {
        let mut world = pair(connections(|end, connection| {
            if end == forcing {
                connection.nat.encapsulation = UdpEncapsulation::Force;
            }
        }));
        call(&mut world, 0, None);
        world.run_for(SECOND);
        for end in 0..2 {
            let snapshot = world.ends[end].engine.snapshot();
            let path = snapshot[0].path;
            assert!(path.udp_encapsulation && path.local.port() == 4500 && path.remote.port() == 4500);
            assert_eq!(path.remote_behind_nat, end != forcing);
        }
        world.assert_converged();
    }
}

/// TG-26: one end has no NAT traversal. The other finds none, however much it wants one, and neither leaves port 500.
#[test]
fn without_nat_traversal_esp_stays_bare() {
    for off in 0..2 {
        for other in [UdpEncapsulation::Auto, UdpEncapsulation::Force, UdpEncapsulation::Never] {
            let mut world = pair(connections(|end, connection| {
                connection.nat.encapsulation = if end == off { UdpEncapsulation::Never } else { other };
            }));
            let said = Arc::new(AtomicBool::new(false));
            let of_gate = said.clone();
            world.gate = Some(Box::new(move |from, bytes| {
                let detects = bytes.windows(2).any(|pair| pair == 16388u16.to_be_bytes());
                of_gate.fetch_or(from == off && kind(bytes).0 == IKE_SA_INIT && detects, Relaxed);
                true
            }));
            call(&mut world, 0, None);
            world.run_for(SECOND);
            assert!(!said.load(Relaxed), "it says nothing of its addresses");
            for end in 0..2 {
                let path = world.ends[end].engine.snapshot()[0].path;
                assert_eq!((path.udp_encapsulation, path.remote_behind_nat), (false, false));
                assert_eq!((path.local.port(), path.remote.port()), (500, 500));
            }
            world.assert_converged();
        }
    }
}

#[test]
fn a_dead_peer_is_noticed_in_time_and_everything_of_it_removed() {
    let mut world = connected();
    world.gate = Some(Box::new(|_, _| false));
    // interval 10 s, then the probe and 4 retransmissions 2 s apart
    world.run_for(19 * SECOND);
    assert_eq!(world.ikes(0).len(), 1);
    world.run_for(4 * SECOND);
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-NET-003"], vec!["RV-NET-003"]));
    world.assert_empty();
}

/// A Delete that nobody answers must not keep the tunnel, nor wake the loop for ever.
#[test]
fn a_tunnel_closed_towards_a_silent_peer_is_forgotten() {
    let mut world = connected();
    world.gate = Some(Box::new(|_, _| false));
    world.command(0, Command::Terminate { connection: settings::CONNECTION });
    world.run_for(300 * SECOND);
    assert!(world.ends[0].engine.snapshot().is_empty());
    assert_eq!(world.ends[0].engine.next_deadline(), None);
}

#[test]
fn no_probe_is_sent_while_traffic_is_seen() {
    let mut world = connected();
    let before = world.tally.datagrams;
    for _ in 0..20 {
        world.run_for(5 * SECOND);
        world.traffic();
    }
    assert_eq!(world.tally.datagrams, before);
}

/// The reply that lets the peer send waits for the inbound SA, and the request's repetitions are absorbed.
#[test]
fn the_reply_waits_for_the_installation() {
    let mut world = pair([0, 1].map(settings::connection));
    world.ends[1].hold = |kind| matches!(kind, WantKind::Install(_));
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        if from == 1 && kind(bytes) == (IKE_AUTH, true) {
            sender.send(()).unwrap();
        }
        true
    }));
    call(&mut world, 0, None);
    world.run_for(3 * SECOND);
    assert_eq!(receiver.try_iter().count(), 0);
    assert_eq!(world.ends[1].held.len(), 1, "a repeated request asked for a second installation");
    world.ends[1].hold = |_| false;
    let want = world.ends[1].held.remove(0);
    world.answer(1, want);
    world.run_for(SECOND);
    assert!(receiver.try_iter().count() >= 1);
    world.assert_converged();
}

/// The successor starts to send at the first packet that arrives on it, or at the old one's Delete.
#[test]
fn the_responder_of_a_rekey_holds_back_until_it_hears_on_the_new_sa() {
    let mut world = connected();
    world.ends[1].hold = |kind| matches!(kind, WantKind::Install(_));
    let child = world.children(0)[0];
    world.command(0, Command::RekeyChild { child });
    world.run_for(SECOND);
    let want = &world.ends[1].held[0];
    assert!(
        matches!(&want.kind, WantKind::Install(i) if i.start == OutboundStart::OnFirstInbound && i.replaces.is_some())
    );
}

#[test]
fn soft_lifetimes_lead_to_rekeys_and_hard_ones_to_the_end() {
    let mut world = pair(connections(|_, connection| {
        connection.children[0].lifetime.soft = Duration::from_secs(60);
        connection.children[0].lifetime.hard = Duration::from_secs(90);
    }));
    call(&mut world, 0, None);
    world.run_for(70 * SECOND);
    assert!(world.tally.child_rekeyed >= 2);
    world.assert_converged();
    let child = world.children(0)[0];
    world.fact(0, child, ChildFactKind::HardExpiry);
    world.run_for(SECOND);
    assert_eq!(world.children(1).len(), 0);
}

/// Anybody can send these; none may have an effect (RFC 7296 §2.21.4).
#[test]
fn unprotected_messages_tear_nothing_down() {
    let mut world = connected();
    let snapshot = world.ends[1].engine.snapshot();
    let (initiator, responder) = snapshot[0].spis;
    for (flags, id) in [(0x08u8, 2u32), (0x28, 0), (0x08, 0), (0x28, 1)] {
        for payload in [[42u8, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0], [41, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 24]] {
            let mut bytes = [initiator.to_be_bytes(), responder.to_be_bytes()].concat();
            bytes.extend([payload[0], 0x20, INFORMATIONAL, flags]);
            bytes.extend(id.to_be_bytes());
            bytes.extend(36u32.to_be_bytes());
            bytes.extend(&payload[4..]);
            let datagram = Datagram { instance: 0, local: address(1, 500), remote: address(0, 500), bytes };
            let now = world.at();
            world.ends[1].engine.handle_datagram(now, datagram);
            world.drain(1);
        }
    }
    world.run_for(5 * SECOND);
    assert_eq!((world.ikes(1).len(), world.children(1).len()), (1, 1));
    world.assert_converged();
}

/// The peer lost its state: it says so to our request, and we wait no longer than for a dead peer.
#[test]
fn a_peer_that_forgot_the_ike_sa_is_given_up_sooner() {
    for (dead_peer, given_up) in [(true, true), (false, false)] {
        let mut world = pair(connections(|_, connection| {
            connection.dead_peer = connection.dead_peer.filter(|_| dead_peer);
        }));
        call(&mut world, 0, None);
        world.run_for(SECOND);
        let mut engine = Engine::new(settings::engine_config(), [99; 32]);
        engine.set_connection(world.at(), settings::CONNECTION, Some(settings::connection(1)));
        world.ends[1].engine = engine;
        let ike = world.ikes(0)[0];
        world.command(0, Command::RekeyIke { ike });
        // Dead peer detection has four retransmissions two seconds apart, requests take half a minute.
        world.run_for(12 * SECOND);
        assert_eq!(world.ikes(0).is_empty(), given_up);
        assert!(world.ends[1].engine.counters().unknown_spi > 0);
        world.run_for(30 * SECOND);
        assert!(world.ikes(0).is_empty());
    }
}

/// Somebody on the way says for the peer that it forgot the IKE SA, all the time; the peer says otherwise once.
#[test]
fn a_forged_word_that_the_ike_sa_is_forgotten_ends_nothing() {
    let mut world = connected();
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut lost = 0;
    world.gate = Some(Box::new(move |from, bytes| {
        if from == 0 && kind(bytes) == (CREATE_CHILD_SA, false) {
            sender.send(bytes[..28].to_vec()).unwrap();
            lost += 1;
            return lost > 4;
        }
        true
    }));
    let ike = world.ikes(0)[0];
    world.command(0, Command::RekeyIke { ike });
    let mut forged = 0;
    for _ in 0..400 {
        world.run_for(SECOND / 10);
        for header in receiver.try_iter() {
            let mut bytes = [&header[..16], &[41, 0x20, CREATE_CHILD_SA, 0x20], &header[20..24]].concat();
            bytes.extend([0, 0, 0, 36, 0, 0, 0, 8, 0, 0, 0, 4]);
            let datagram = Datagram { instance: 0, local: address(0, 500), remote: address(1, 500), bytes };
            let now = world.at();
            world.ends[0].engine.handle_datagram(now, datagram);
            world.drain(0);
            forged += 1;
        }
    }
    assert_eq!((world.ikes(0).len(), world.tally.ike_rekeyed, forged), (1, 2, 5));
    world.assert_converged();
}

/// RFC 7296 §1.5: in clear, with the request's SPIs and message ID, never to a response, and at a bounded rate.
#[test]
fn a_request_for_an_ike_sa_that_is_not_here_is_answered_in_clear() {
    let mut world = pair([0, 1].map(settings::connection));
    let now = world.at();
    let engine = &mut world.ends[1].engine;
    for (flags, answer) in [(0x08u8, Some(0x20u8)), (0x00, Some(0x28)), (0x28, None), (0x20, None)] {
        let mut datagram = of_no_known_spi(40);
        (datagram.bytes[18], datagram.bytes[19], datagram.bytes[23]) = (INFORMATIONAL, flags, 9);
        engine.handle_datagram(now, datagram);
        let replies: Vec<_> = std::iter::from_fn(|| engine.poll_transmit()).map(|sent| sent.bytes).collect();
        let expected = answer.map(|flags| {
            let header = [&[1; 16][..], &[41, 0x20, INFORMATIONAL, flags, 0, 0, 0, 9, 0, 0, 0, 36]].concat();
            [header.as_slice(), &[0, 0, 0, 8, 0, 0, 0, 4]].concat()
        });
        assert_eq!(replies, Vec::from_iter(expected), "{flags:02x}");
    }
    let mut sent = 0;
    for _ in 0..10_000 {
        let mut datagram = of_no_known_spi(40);
        datagram.bytes[18] = INFORMATIONAL;
        engine.handle_datagram(now, datagram);
        sent += std::iter::from_fn(|| engine.poll_transmit()).count();
    }
    let rate = settings::engine_config().error_replies_per_second as usize;
    assert_eq!(sent, rate - 2);
    let counters = engine.counters();
    assert_eq!((counters.unknown_spi, counters.errors_suppressed), (10_004, 10_000 - sent as u64));
}

/// A forged refusal overtakes the real reply: the attempt succeeds all the same.
#[test]
fn a_forged_refusal_does_not_end_an_attempt() {
    let mut world = pair([0, 1].map(settings::connection));
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        if from == 0 && kind(bytes) == (34, false) {
            sender.send(bytes[..8].to_vec()).unwrap();
        }
        true
    }));
    call(&mut world, 0, None);
    world.run_for(1);
    let spi = receiver.recv().unwrap();
    let mut bytes = [spi, vec![0; 8]].concat();
    bytes.extend([41, 0x20, 34, 0x20, 0, 0, 0, 0, 0, 0, 0, 36]);
    bytes.extend([0, 0, 0, 8, 0, 0, 0, 14]);
    let datagram = Datagram { instance: 0, local: address(0, 500), remote: address(1, 500), bytes };
    let now = world.at();
    world.ends[0].engine.handle_datagram(now, datagram);
    world.run_for(2 * SECOND);
    assert_eq!(world.children(0).len(), 1);
}

/// Protects the memory: whoever sends IKE_SA_INIT requests from everywhere fills what is set apart and no more; an
/// honest caller gets through by its cookie.
#[test]
fn a_flood_of_strangers_stays_within_its_bounds() {
    let open = |end: usize, connection: &mut Connection| {
        if end == 1 {
            connection.remote = RemoteAddress::Any;
        }
    };
    let mut world = pair(connections(open));
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        if from == 0 && kind(bytes) == (34, false) {
            let _ = sender.send(bytes.to_vec());
        }
        false
    }));
    call(&mut world, 0, None);
    world.run_for(SECOND / 10);
    let template = receiver.recv().unwrap();
    world.gate = None;
    let mut dice = Dice(9);
    let config = settings::engine_config();
    for number in 0..20_000u32 {
        let mut bytes = template.clone();
        bytes[..8].copy_from_slice(&dice.roll().to_be_bytes());
        let remote = std::net::SocketAddr::from(([198, 18, (number >> 8) as u8, number as u8], 500));
        let datagram = Datagram { instance: 0, local: address(1, 500), remote, bytes };
        let now = world.at();
        let engine = &mut world.ends[1].engine;
        engine.handle_datagram(now, datagram);
        while engine.poll_transmit().is_some() {}
        while let Some(want) = engine.poll_want() {
            drop(want);
        }
        while engine.poll_event().is_some() {}
        assert!(Some(engine.half_open()) <= config.half_open.cookie_threshold);
    }
    let counters = world.ends[1].engine.counters();
    assert!(counters.cookies_demanded > 19_000, "{counters:?}");
    call(&mut world, 0, None);
    world.run_for(3 * SECOND);
    assert_eq!(world.children(0).len(), 1, "the honest caller did not get through");
    world.run_for(40 * SECOND);
    assert_eq!(world.ends[1].engine.half_open(), 0);
}

/// Failing is no way around the limits: an attempt that failed counts for its address until it is forgotten.
#[test]
fn callers_that_fail_stay_within_their_bounds() {
    let mut config = settings::engine_config();
    config.half_open.per_address = 8;
    let engines = [0usize, 1].map(|end| {
        let mut engine = Engine::new(config.clone(), [end as u8; 32]);
        let mut connection = settings::connection(end);
        if end == 0 {
            connection.local_auth = Auth::Psk(Zeroizing::new(b"wrong horse".to_vec()));
        }
        engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
        engine
    });
    let mut world = World::new(1, engines, false);
    for _ in 0..12 {
        call(&mut world, 0, None);
        world.run_for(SECOND / 20);
    }
    let engine = &world.ends[1].engine;
    assert_eq!((engine.half_open(), engine.snapshot().len()), (8, 8));
    assert!(engine.counters().init_dropped > 0);
    world.run_for(60 * SECOND);
    assert_eq!(world.ends[1].engine.half_open(), 0);
    world.assert_empty();
}

/// What AUTH covers has to be kept: an IKE_SA_INIT request that is blown up with vendor IDs is not.
#[test]
fn a_blown_up_first_request_is_not_kept() {
    let mut world = pair([0, 1].map(settings::connection));
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        if from == 0 && kind(bytes) == (IKE_SA_INIT, false) {
            let _ = sender.send(bytes.to_vec());
        }
        false
    }));
    call(&mut world, 0, None);
    world.run_for(SECOND / 10);
    let request = receiver.recv().unwrap();
    for (number, total, half_open) in [(1u8, 8192usize, 1), (2, 8193, 1)] {
        let vendor = total - request.len();
        let header = [&[request[16], 0][..], &(vendor as u16).to_be_bytes(), &vec![0; vendor - 4]].concat();
        let mut bytes = [&request[..28], &header, &request[28..]].concat();
        (bytes[0], bytes[16]) = (number, 43);
        bytes[24..28].copy_from_slice(&(total as u32).to_be_bytes());
        let datagram = Datagram { instance: 0, local: address(1, 500), remote: address(0, 500), bytes };
        let now = world.at();
        world.ends[1].engine.handle_datagram(now, datagram);
        assert_eq!(world.ends[1].engine.half_open(), half_open, "{total}");
    }
    assert_eq!(world.ends[1].engine.counters().malformed, 1);
}

/// Whatever a caller says it is, what is kept and logged of it is short.
#[test]
fn a_long_identity_is_cut_short_and_a_longer_one_refused() {
    for (octets, code) in [(2000, "RV-AUTH-004"), (3000, "RV-PROTO-001")] {
        let mut world = pair(connections(|end, connection| {
            if end == 0 {
                connection.local_identity = Identity::fqdn(&"\n".repeat(octets));
            }
        }));
        call(&mut world, 0, None);
        world.run_for(60 * SECOND);
        assert_eq!(failures(&world, 1), vec![code]);
        let attempt = world.ends[1].engine.recorder().of(settings::CONNECTION).next().unwrap();
        assert!(attempt.failure.as_ref().unwrap().to_string().len() < 1000);
    }
}

/// Every datagram of a whole life, with octets changed and cut, thrown at both ends: no panic, and no effect.
#[test]
fn damaged_datagrams_do_no_harm() {
    let mut world = pair([0, 1].map(settings::with_certificates));
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        sender.send((from, bytes.to_vec())).unwrap();
        true
    }));
    call(&mut world, 0, None);
    let mut dice = Dice(4);
    for round in 0..200 {
        world.run_for(20_000);
        if round % 40 == 39 {
            let child = world.children(0)[0];
            world.command(0, Command::RekeyChild { child });
        }
        for (from, bytes) in receiver.try_iter().collect::<Vec<_>>() {
            for _ in 0..20 {
                let mut damaged = bytes.clone();
                let octet = dice.below(damaged.len() as u64) as usize;
                damaged[octet] ^= 1 << dice.below(8);
                if dice.chance(300) {
                    let length = dice.below(damaged.len() as u64) as usize;
                    damaged.truncate(length);
                }
                // The first message has no protection; a changed one is another stranger's.
                if bytes[18] == 34 {
                    continue;
                }
                let (local, remote) = (address(1 - from, 500), address(from, 500));
                let now = world.at();
                let datagram = Datagram { instance: 0, local, remote, bytes: damaged };
                world.ends[1 - from].engine.handle_datagram(now, datagram);
                world.drain(1 - from);
            }
        }
    }
    world.run_for(10 * SECOND);
    assert_eq!(world.ikes(0).len(), 1);
    world.assert_converged();
}

/// kill -9 and a new start: the peer's old IKE SA goes when the new one comes up.
#[test]
fn a_restarted_peer_replaces_its_old_sa() {
    let mut world = connected();
    let mut engine = ravelin_ike::Engine::new(settings::engine_config(), [99; 32]);
    engine.set_connection(world.at(), settings::CONNECTION, Some(settings::connection(0)));
    world.ends[0].engine = engine;
    world.ends[0].plane = harness::dataplane::DataPlane::new(0x3000, 5);
    call(&mut world, 0, None);
    world.run_for(5 * SECOND);
    assert_eq!((world.ikes(1).len(), world.children(1).len()), (1, 1));
    world.assert_converged();
}

#[test]
fn an_unreachable_peer_is_reported_after_all_retransmissions() {
    let mut world = pair([0, 1].map(settings::connection));
    world.gate = Some(Box::new(|_, _| false));
    call(&mut world, 0, None);
    let Retransmission { first, tries } = settings::engine_config().retransmission;
    world.run_for(first.as_micros() as u64 * ((1 << (tries + 1)) - 1) + SECOND);
    assert_eq!(failures(&world, 0), vec!["RV-NET-001"]);
    assert_eq!(world.tally.datagrams, u64::from(tries) + 1);
    world.assert_empty();
}

#[test]
fn dead_peer_detection_may_be_off_and_still_answers() {
    let mut world = pair(connections(|end, connection| {
        connection.dead_peer = (end == 0).then(DeadPeer::default);
    }));
    call(&mut world, 0, None);
    world.run_for(100 * SECOND);
    assert_eq!(world.ikes(0).len(), 1);
    world.assert_converged();
}
