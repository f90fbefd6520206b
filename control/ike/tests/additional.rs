//! Additional key exchanges (RFC 9370), with ML-KEM among them: set-up through IKE_INTERMEDIATE, rekeys through
//! IKE_FOLLOWUP_KE, what is lost and what crosses on the way, and peers that do without.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::*;
use crate::harness::{World, address, failures, kind, pair, pair_of, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{AdditionalGroups, ChildId, Connection, EngineConfig, Group, Retransmission};
use ravelin_ike::event::Event;
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::recorder::Attempt;
use ravelin_ike::time::Instant;
use ravelin_ike::want::WantKind;
use ravelin_ike::wire::*;
use std::sync::mpsc::Receiver;

const SECOND: u64 = 1_000_000;
const IKE_SA_INIT: u8 = 34;
const IKE_AUTH: u8 = 35;
const CREATE_CHILD_SA: u8 = 36;
const INFORMATIONAL: u8 = 37;
const IKE_INTERMEDIATE: u8 = 43;
const IKE_FOLLOWUP_KE: u8 = 44;

const HYBRID: &[Group] = &[Group::MlKem768];
const THREE: &[Group] = &[Group::MlKem1024, Group::EcpP384, Group::MlKem512];

fn hybrid(end: usize, groups: &[Group]) -> Connection {
    settings::with_additional(settings::connection(end), groups)
}

fn call(world: &mut World, end: usize, child: Option<ChildId>) {
    world.command(end, Command::Initiate { connection: settings::CONNECTION, child });
}

/// A pair that is up with its first child.
fn connected(connections: [Connection; 2]) -> World {
    let mut world = pair(connections);
    call(&mut world, 0, None);
    world.run_for(SECOND);
    world.assert_converged();
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1));
    world
}

fn settle(world: &mut World) {
    for _ in 0..12 {
        world.run_for(5 * SECOND);
        world.traffic();
    }
    world.assert_converged();
}

/// Every datagram of this exchange type: who sent it, whether it is a response, its octets.
fn watch(world: &mut World, exchange: u8) -> Receiver<(usize, bool, usize)> {
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        let (found, response) = kind(bytes);
        if found == exchange {
            sender.send((from, response, bytes.len())).unwrap();
        }
        true
    }));
    receiver
}

/// Drops the first `count` datagrams from this end of this exchange type and direction.
fn drop_first(world: &mut World, end: usize, exchange: u8, response: bool, count: u32) {
    let mut left = count;
    world.gate = Some(Box::new(move |from, bytes| {
        let hit = from == end && kind(bytes) == (exchange, response) && left > 0;
        left -= u32::from(hit);
        !hit
    }));
}

/// What key exchanges followed the first, of the IKE SA that came up or was rekeyed last.
fn ike_additional(world: &World, end: usize) -> Vec<Group> {
    let suite = |event: &Event| match event {
        Event::IkeUp(up) => Some(up.suite.additional),
        Event::IkeRekeyed { suite, .. } => Some(suite.additional),
        _ => None,
    };
    let last: Option<AdditionalGroups> = world.ends[end].events.iter().filter_map(suite).next_back();
    last.unwrap().iter().collect()
}

/// The same of the CHILD_SA that came up or was rekeyed last.
fn child_additional(world: &World, end: usize) -> Vec<Group> {
    let suite = |event: &Event| match event {
        Event::ChildUp(up) | Event::ChildRekeyed { new: up, .. } => Some(up.suite.additional),
        _ => None,
    };
    let last: Option<AdditionalGroups> = world.ends[end].events.iter().filter_map(suite).next_back();
    last.unwrap().iter().collect()
}

/// ```text
///   A  IKE_SA_INIT{ADDKE1, N(INTERMEDIATE_EXCHANGE_SUPPORTED)}  -------  B
///   A  IKE_INTERMEDIATE{KE}, once for each                      -------  B
///   A  IKE_AUTH, whose AUTH covers them                         -------  B
/// ```
#[test]
fn additional_key_exchanges_come_before_auth() {
    for groups in [HYBRID, THREE, &[Group::EcpP256], &[Group::MlKem1024]] {
        for certificates in [false, true] {
            let connections = [0, 1].map(|end| {
                let plain =
                    if certificates { settings::with_certificates(end) } else { settings::connection(end) };
                settings::with_additional(plain, groups)
            });
            let mut world = pair(connections);
            world.faults.delay = 1;
            let seen = watch(&mut world, IKE_INTERMEDIATE);
            call(&mut world, 0, None);
            world.run_for(SECOND);
            world.assert_converged();
            assert_eq!(world.children(0).len(), 1);
            assert!([0, 1].into_iter().all(|end| ike_additional(&world, end) == groups));
            let mut changes: Vec<bool> = seen.try_iter().map(|(_, response, _)| response).collect();
            changes.dedup();
            assert_eq!(changes.len(), 2 * groups.len(), "{groups:?}");
        }
    }
}

/// RFC 7383 carries what does not fit: ML-KEM-1024 has 1568 octets either way.
#[test]
fn large_values_travel_in_fragments_within_the_mtu() {
    let mut world = pair([0, 1].map(|end| hybrid(end, &[Group::MlKem1024])));
    let seen = watch(&mut world, IKE_INTERMEDIATE);
    call(&mut world, 0, None);
    world.run_for(SECOND);
    world.assert_converged();
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(seen.iter().filter(|(_, response, _)| *response).count(), 2);
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|(_, _, octets)| *octets <= 1280 - 28), "{seen:?}");
    // Without fragments each is one datagram, which IP has to cut.
    let mut world = pair([0, 1].map(|end| {
        let mut connection = hybrid(end, &[Group::MlKem1024]);
        connection.fragmentation = None;
        connection
    }));
    let seen = watch(&mut world, IKE_INTERMEDIATE);
    call(&mut world, 0, None);
    world.run_for(SECOND);
    world.assert_converged();
    assert!(seen.try_iter().all(|(_, _, octets)| octets > 1568));
}

/// ML-KEM may also be all there is; then it is in IKE_SA_INIT, which has no fragments.
#[test]
fn ml_kem_may_be_the_only_key_exchange() {
    let mut world = connected([0, 1].map(|end| {
        let mut connection = settings::connection(end);
        connection.proposals[0].groups = vec![Group::MlKem768];
        connection.children[0].proposals[0].groups = vec![Group::MlKem512];
        connection
    }));
    let (child, ike) = (world.children(1)[0], world.ikes(1)[0]);
    world.command(1, Command::RekeyChild { child });
    world.run_for(SECOND);
    world.command(1, Command::RekeyIke { ike });
    settle(&mut world);
    assert_eq!((world.tally.child_rekeyed, world.tally.ike_rekeyed), (2, 2));
}

/// Whatever is lost before the peer is proven, also where the keys change with the reply that is lost.
#[test]
fn lost_messages_are_sent_again() {
    for (exchange, response) in [IKE_SA_INIT, IKE_INTERMEDIATE, IKE_AUTH]
        .into_iter()
        .flat_map(|exchange| [(exchange, false), (exchange, true)])
    {
        for (lost, groups) in (1..6).flat_map(|lost| [(lost, HYBRID), (lost, THREE)]) {
            let mut world = pair([0, 1].map(|end| hybrid(end, groups)));
            drop_first(&mut world, usize::from(response), exchange, response, lost);
            call(&mut world, 0, None);
            world.run_for(60 * SECOND);
            world.assert_converged();
            assert_eq!(world.children(0).len(), 1, "{exchange} {response} {lost} {groups:?}");
        }
    }
}

/// A repeated request is answered again, whichever keys have come meanwhile, and changes nothing.
#[test]
fn repeated_and_late_datagrams_change_nothing() {
    for seed in 0..20 {
        let mut world = pair_of(seed, [0, 1].map(|end| hybrid(end, THREE)));
        world.faults.repeat = 900;
        world.faults.delay = 700_000;
        call(&mut world, 0, None);
        world.run_for(60 * SECOND);
        world.assert_converged();
        assert_eq!(world.children(0).len(), 1, "{seed}");
    }
}

/// Who is configured to fall back does so with a peer that knows nothing of this; who is not is told why not.
#[test]
fn a_peer_without_them_is_taken_only_where_that_is_configured() {
    let plain = settings::connection;
    for caller in 0..2 {
        let mut ends = [0, 1].map(plain);
        ends[0] = settings::either(hybrid(0, HYBRID), &plain(0));
        let mut world = pair(ends);
        let seen = watch(&mut world, IKE_INTERMEDIATE);
        call(&mut world, caller, None);
        world.run_for(SECOND);
        world.assert_converged();
        assert_eq!((world.children(0).len(), seen.try_iter().count()), (1, 0));
        assert!(ike_additional(&world, 0).is_empty());

        let mut world = pair([hybrid(0, HYBRID), plain(1)]);
        call(&mut world, caller, None);
        world.run_for(60 * SECOND);
        assert_eq!(failures(&world, caller), ["RV-INIT-002"]);
        let called = 1 - caller;
        assert_eq!(failures(&world, called), ["RV-INIT-003"]);
        let attempt = world.ends[called].engine.recorder().of(settings::CONNECTION).next().unwrap();
        let (hybrid, none) = ("ADDKE1_ML_KEM_768", "none");
        let (offered, configured) = if caller == 0 { (hybrid, none) } else { (none, hybrid) };
        let expected = format!("proposal 1, ADDKE1: offered {offered}; configured (proposal 1) {configured}");
        assert_eq!(attempt.difference, expected);
        world.assert_empty();
    }
}

/// Somebody on the way takes the better proposal out of the offer: AUTH covers the offer, and nothing comes up.
#[test]
fn an_offer_that_was_weakened_on_the_way_is_noticed() {
    let both = |end| settings::either(hybrid(end, HYBRID), &settings::connection(end));
    let mut world = pair([0, 1].map(both));
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        if from == 0 && kind(bytes) == (IKE_SA_INIT, false) {
            let _ = sender.send(bytes.to_vec());
            return false;
        }
        true
    }));
    call(&mut world, 0, None);
    world.run_for(SECOND / 10);
    let Ok(Outer::Clear(mut message)) = Outer::parse(&receiver.recv().unwrap()) else { panic!() };
    let Payload::SecurityAssociation(sa) = &mut message.payloads[0] else { panic!() };
    sa.proposals.remove(0);
    let bytes = message.emit().unwrap();
    let datagram = Datagram { instance: 0, local: address(1, 500), remote: address(0, 500), bytes };
    let now = world.at();
    world.ends[1].engine.handle_datagram(now, datagram);
    world.drain(1);
    world.run_for(60 * SECOND);
    assert_eq!((world.tally.ike_up, failures(&world, 1)), (0, vec!["RV-AUTH-002"]));
}

/// The offer without the word that IKE_INTERMEDIATE is spoken is refused, and so is such an answer.
#[test]
fn additional_key_exchanges_need_the_exchange_they_travel_in() {
    let mut world = pair([0, 1].map(|end| hybrid(end, HYBRID)));
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |from, bytes| {
        if kind(bytes).0 == IKE_SA_INIT {
            let _ = sender.send((from, bytes.to_vec()));
        }
        from == 0
    }));
    call(&mut world, 0, None);
    world.run_for(SECOND / 10);
    for (from, bytes) in receiver.try_iter().take(2).collect::<Vec<_>>() {
        let Ok(Outer::Clear(mut message)) = Outer::parse(&bytes) else { panic!() };
        let before = message.payloads.len();
        message.payloads.retain(
            |payload| !matches!(payload, Payload::Notify(notify) if u16::from(notify.notify_type) == 16438),
        );
        assert_eq!(message.payloads.len() + 1, before);
        // Another stranger's, or the first reply to arrive.
        let mut bytes = message.emit().unwrap();
        bytes[0] ^= u8::from(from == 0);
        let (local, remote) = (address(1 - from, 500), address(from, 500));
        let now = world.at();
        world.ends[1 - from].engine.handle_datagram(now, Datagram { instance: 0, local, remote, bytes });
        world.drain(1 - from);
    }
    world.run_for(60 * SECOND);
    assert!(failures(&world, 0).contains(&"RV-INIT-004") && failures(&world, 1).contains(&"RV-INIT-003"));
    let refused = |attempt: &&Attempt| attempt.failure.as_ref().is_some_and(|it| it.code() == "RV-INIT-003");
    let attempt = world.ends[1].engine.recorder().of(settings::CONNECTION).find(refused).unwrap();
    assert!(attempt.difference.ends_with("without INTERMEDIATE_EXCHANGE_SUPPORTED"), "{attempt:?}");
}

/// "skip the proposals they appear in" (RFC 9370 §2.2.1): the others are still good.
#[test]
fn proposals_that_cannot_be_carried_out_are_skipped() {
    let mut peer = Peer::new(|connection| {
        let classic = connection.proposals.clone();
        *connection = hybrid(1, HYBRID);
        connection.proposals.extend(classic.iter().cloned());
    });
    let mut both = [ike_proposal(Spi::None), ike_proposal(Spi::None)];
    let method = KeyExchangeId::MlKem768;
    both[0].transforms.push(Transform::additional_key_exchange(TransformType::ADDITIONAL[0], method));
    both[1].number = 2;
    let mut init = peer.init();
    init[0] = Payload::SecurityAssociation(SecurityAssociation::new(both.to_vec()));
    let reply = peer.call(init).unwrap();
    let chosen = &sa(&reply.payloads).unwrap().proposals[0];
    assert_eq!((chosen.number, chosen.transforms.len()), (2, 3));
    assert!(sa(&peer.ask(ExchangeType::IkeAuth, peer.auth())).is_some());
}

/// RFC 9370 §2.2.4: one that is forgotten again and again ends with the IKE SA.
#[test]
fn key_exchanges_that_are_always_forgotten_end_the_ike_sa() {
    let mut peer = Peer::up(|connection| {
        let proposals = connection.proposals.clone();
        *connection = Connection { proposals, dead_peer: None, ..hybrid(1, HYBRID) };
    });
    let before = peer.children();
    for forgotten in 1..=4u8 {
        let rekey = peer.hear_child_rekey();
        let mut reply = peer.child(1, 0x3333_0000 + u32::from(forgotten), Some(KeyExchangeId::Curve25519));
        let Payload::SecurityAssociation(sa) = &mut reply[1] else { panic!() };
        let method = KeyExchangeId::MlKem768;
        let second = Transform::additional_key_exchange(TransformType::ADDITIONAL[0], method);
        sa.proposals[0].transforms.push(second);
        reply.swap(2, 3);
        let (Payload::TrafficSelectorsResponder(ours), Payload::TrafficSelectorsInitiator(theirs)) =
            (reply[2].clone(), reply[3].clone())
        else {
            panic!()
        };
        reply[2] = Payload::TrafficSelectorsInitiator(ours);
        reply[3] = Payload::TrafficSelectorsResponder(theirs);
        let link = || Payload::Notify(Notify::new(NotifyType::AdditionalKeyExchange, vec![forgotten; 5]));
        reply.extend([peer.public(), link()]);
        peer.tell(&rekey, reply);
        let followup = peer.hear();
        assert_eq!(followup.header.exchange, ExchangeType::IkeFollowupKe);
        assert!(followup.payloads.contains(&link()), "the link comes back as it was");
        assert_eq!(peer.children(), before);
        // "In this case, a TEMPORARY_FAILURE notification MUST be sent": ours is answered, and its series goes on.
        let crossing = peer.ask(ExchangeType::CreateChildSa, peer.child_rekey(CHILD));
        assert_eq!(only_notify(&crossing).0, NotifyType::TemporaryFailure);
        peer.tell(&followup, notify(NotifyType::StateNotFound));
        assert_eq!(peer.heard.is_empty(), forgotten < 4);
    }
    assert_eq!(peer.hear().payloads, [Payload::Delete(Delete::Ike)]);
    assert_eq!(peer.children(), []);
}

/// ```text
///   A  CREATE_CHILD_SA  -------  B   with N(ADDITIONAL_KEY_EXCHANGE) in the answer
///   A  IKE_FOLLOWUP_KE  -------  B   once for each
/// ```
#[test]
fn rekeys_go_on_with_additional_key_exchanges() {
    for groups in [HYBRID, THREE] {
        for end in 0..2 {
            let mut world = connected([0, 1].map(|end| hybrid(end, groups)));
            let seen = watch(&mut world, IKE_FOLLOWUP_KE);
            let (child, before) = (world.children(end)[0], world.picture(0, 0));
            world.command(end, Command::RekeyChild { child });
            settle(&mut world);
            assert_eq!((world.tally.child_rekeyed, child_additional(&world, 1 - end)), (2, groups.to_vec()));
            let ike = world.ikes(end)[0];
            world.command(end, Command::RekeyIke { ike });
            settle(&mut world);
            assert_eq!((world.tally.ike_rekeyed, ike_additional(&world, 1 - end)), (2, groups.to_vec()));
            let after = world.picture(0, 0);
            assert!(after.iter().all(|line| !before.contains(line)), "{after:#?}");
            assert!(seen.try_iter().count() >= 4 * groups.len());
            // A child that IKE_AUTH did not bring.
            call(&mut world, end, Some(ChildId(2)));
            settle(&mut world);
            assert_eq!((world.children(0).len(), child_additional(&world, 0)), (2, groups.to_vec()));
        }
    }
}

#[test]
fn rekeys_lose_messages() {
    for (end, exchange, response) in [0, 1].into_iter().flat_map(|end| {
        [CREATE_CHILD_SA, IKE_FOLLOWUP_KE, INFORMATIONAL]
            .into_iter()
            .flat_map(move |exchange| [(end, exchange, false), (end, exchange, true)])
    }) {
        for lost in 1..5 {
            let mut world = connected([0, 1].map(|end| hybrid(end, HYBRID)));
            drop_first(&mut world, end, exchange, response, lost);
            let child = world.children(0)[0];
            world.command(0, Command::RekeyChild { child });
            settle(&mut world);
            let ike = world.ikes(0)[0];
            world.command(0, Command::RekeyIke { ike });
            settle(&mut world);
            let what = format!("{end} {exchange} {response} {lost}");
            assert_eq!((world.tally.child_rekeyed, world.tally.ike_rekeyed), (2, 2), "{what}");
        }
    }
}

/// ```text
///   A  <-------                                B rekeys: CREATE_CHILD_SA, IKE_FOLLOWUP_KE; its last secret fails
///   A        lost  <--                         D(new)
///   A  CREATE_CHILD_SA{N(REKEY_SA new)} ---->
///   A  <-------                                CHILD_SA_NOT_FOUND: the old one lives on, and can be rekeyed
/// ```
#[test]
fn a_successor_that_never_came_to_be_leaves_the_old_one() {
    let mut world = connected([0, 1].map(|end| hybrid(end, HYBRID)));
    let old = world.children(0)[0];
    world.command(1, Command::RekeyChild { child: old });
    while world.children(0) == [old] {
        world.run_for(50);
    }
    let made = *world.children(0).iter().find(|child| **child != old).unwrap();
    drop_first(&mut world, 1, INFORMATIONAL, false, 1);
    world.faults.answer_fails = 1000;
    while failures(&world, 1).is_empty() {
        world.run_for(50);
    }
    world.faults.answer_fails = 0;
    world.command(0, Command::RekeyChild { child: made });
    settle(&mut world);
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1));
}

/// Perfect forward secrecy is one end's wish and the other may do without, or the other way round.
#[test]
fn a_rekey_may_have_no_key_exchange_where_that_is_configured() {
    for end in 0..2 {
        let plain = settings::connection;
        let connections = [0, 1].map(|end| settings::either(plain(end), &hybrid(end, HYBRID)));
        let mut world = connected(connections);
        let child = world.children(end)[0];
        world.command(end, Command::RekeyChild { child });
        settle(&mut world);
        assert_eq!((world.tally.child_rekeyed, child_additional(&world, 0)), (2, vec![]));
        assert!(failures(&world, end).is_empty());
    }
}

/// ```text
///   A  CREATE_CHILD_SA  --\ /-->  B
///   A  <--              --/ \--   CREATE_CHILD_SA
///      the lowest of four nonces decides at once: whose it is does not go on with IKE_FOLLOWUP_KE
/// ```
#[test]
fn crossing_rekeys_are_decided_before_they_go_on() {
    let plain = settings::connection;
    let prefers = |end| settings::either(hybrid(end, HYBRID), &plain(end));
    let avoids = |end| settings::either(plain(end), &hybrid(end, HYBRID));
    for seed in 0..12 {
        for connections in [
            [hybrid(0, HYBRID), hybrid(1, HYBRID)],
            [hybrid(0, THREE), hybrid(1, THREE)],
            [prefers(0), avoids(1)],
            [avoids(0), prefers(1)],
        ] {
            let mut world = pair_of(seed, connections);
            call(&mut world, 0, None);
            world.run_for(SECOND);
            for end in 0..2 {
                let child = world.children(end)[0];
                world.command(end, Command::RekeyChild { child });
            }
            settle(&mut world);
            assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{seed}");
            let child = world.children(0);
            for end in 0..2 {
                let ike = world.ikes(end)[0];
                world.command(end, Command::RekeyIke { ike });
            }
            settle(&mut world);
            assert_eq!((world.ikes(0).len(), world.children(0)), (1, child), "{seed}");
            let failures = [0, 1].map(|end| failures(&world, end));
            assert!(failures.iter().all(Vec::is_empty), "{seed}: {failures:?}");
            let collisions = [0, 1].map(|end| world.ends[end].engine.counters().collisions);
            assert_eq!(collisions, [2, 2]);
        }
    }
}

#[test]
fn crossing_rekeys_lose_messages() {
    for (end, exchange, response) in [0, 1].into_iter().flat_map(|end| {
        [CREATE_CHILD_SA, IKE_FOLLOWUP_KE, INFORMATIONAL]
            .into_iter()
            .flat_map(move |exchange| [(end, exchange, false), (end, exchange, true)])
    }) {
        for lost in 1..4 {
            for ike in [false, true] {
                let mut world = connected([0, 1].map(|end| hybrid(end, HYBRID)));
                drop_first(&mut world, end, exchange, response, lost);
                for end in 0..2 {
                    let (child, id) = (world.children(end)[0], world.ikes(end)[0]);
                    let rekey = Command::RekeyChild { child };
                    world.command(end, if ike { Command::RekeyIke { ike: id } } else { rekey });
                }
                settle(&mut world);
                let what = format!("{end} {exchange} {response} {lost} {ike}");
                assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{what}");
            }
        }
    }
}

/// What the peer does not go on with is forgotten, and begun again from the start.
#[test]
fn key_exchanges_that_do_not_go_on_leave_nothing_behind() {
    for ike in [false, true] {
        let mut world = connected([0, 1].map(|end| hybrid(end, HYBRID)));
        // Our machine has no answer for the first two: they fail by deadline, the third is answered.
        let mut left = 2;
        let (child, id) = (world.children(0)[0], world.ikes(0)[0]);
        world.ends[0].hold = |kind| matches!(kind, WantKind::KeyAgreement(_));
        world.command(0, if ike { Command::RekeyIke { ike: id } } else { Command::RekeyChild { child } });
        for _ in 0..400 {
            world.run_for(SECOND / 4);
            world.traffic();
            // The public value and the secret of CREATE_CHILD_SA are answered, what follows is not.
            let held: Vec<_> = std::mem::take(&mut world.ends[0].held);
            for want in held {
                let follows = format!("{:?}", want.kind).contains("MlKem");
                if follows && left > 0 {
                    left -= 1;
                    continue;
                }
                world.answer(0, want);
            }
        }
        assert_eq!(left, 0);
        world.assert_converged();
        assert_eq!(failures(&world, 0), ["RV-LOCAL-002"; 2]);
        let rekeyed = (world.tally.child_rekeyed, world.tally.ike_rekeyed);
        assert_eq!(rekeyed, if ike { (0, 2) } else { (2, 0) });
    }
}

/// RFC 9370 §2.2.4: STATE_NOT_FOUND to one that comes too late; it is begun again.
#[test]
fn a_key_exchange_that_comes_too_late_is_begun_again() {
    let engines = [1, 2].map(|number: u8| {
        let retransmission = Retransmission { tries: 7, ..settings::engine_config().retransmission };
        let config = EngineConfig { retransmission, ..settings::engine_config() };
        let mut engine = Engine::new(config, [number; 32]);
        let connection = hybrid(usize::from(number) - 1, HYBRID);
        engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
        engine
    });
    let mut world = World::new(1, engines, false);
    call(&mut world, 0, None);
    world.run_for(SECOND);
    let child = world.children(0)[0];
    world.gate = Some(Box::new(|_, bytes| kind(bytes).0 != IKE_FOLLOWUP_KE));
    world.command(0, Command::RekeyChild { child });
    for _ in 0..25 {
        world.run_for(SECOND);
        world.traffic();
    }
    world.gate = None;
    for _ in 0..120 {
        world.run_for(SECOND);
        world.traffic();
    }
    assert_eq!((failures(&world, 0), failures(&world, 1)), (vec!["RV-CHILD-010"], vec![]));
    assert_eq!((world.tally.child_rekeyed, world.children(0).len()), (2, 1));
    world.assert_converged();
}

/// A tunnel that is closed in the middle leaves nothing behind.
#[test]
fn closing_in_the_middle_leaves_nothing_behind() {
    for (end, pause) in [0, 1].into_iter().flat_map(|end| (0..16).map(move |pause| (end, pause))) {
        for ike in [false, true] {
            let mut world = connected([0, 1].map(|end| hybrid(end, THREE)));
            let (child, id) = (world.children(0)[0], world.ikes(0)[0]);
            world.command(0, if ike { Command::RekeyIke { ike: id } } else { Command::RekeyChild { child } });
            world.run_for(pause * 900);
            world.command(end, Command::Terminate { connection: settings::CONNECTION });
            world.run_for(200 * SECOND);
            world.assert_empty();
        }
    }
}

/// One seed, one run, octet for octet, with ML-KEM's randomness.
#[test]
fn a_run_can_be_repeated_from_its_seed() {
    let run = || {
        let mut world = pair([0, 1].map(|end| hybrid(end, HYBRID)));
        let (sender, receiver) = std::sync::mpsc::channel();
        world.gate = Some(Box::new(move |_, bytes| sender.send(bytes.to_vec()).is_ok()));
        call(&mut world, 0, None);
        world.run_for(SECOND);
        let child = world.children(0)[0];
        world.command(0, Command::RekeyChild { child });
        settle(&mut world);
        receiver.try_iter().collect::<Vec<_>>()
    };
    let (first, second) = (run(), run());
    assert!(first.len() >= 10 && first == second);
}
