//! Sentences of RFC 7296 about SAs, how they are made, replaced and closed, that only a peer made by hand calls for:
//! what docs/compliance-rfc7296.md says of them is shown here. Each test names its section.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness;
use crate::harness::peer::*;
use crate::harness::{address, settings};
use ravelin_ike::config::RemoteAddress;
use ravelin_ike::crypto::nat_detection_hash;
use ravelin_ike::error::{Failure, Side};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use ravelin_ike::wire::ExchangeType::{CreateChildSa, IkeAuth, Informational};
use ravelin_ike::wire::*;
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: u64 = 1_000_000;

/// §1, §1.4: before IKE_AUTH nothing else is answered, however genuine it is, and nothing is made.
#[test]
fn nothing_comes_before_ike_auth() {
    let mut peer = Peer::new(|_| {});
    peer.call(peer.init());
    peer.ask_in_vain(CreateChildSa, peer.child(1, CHILD, None));
    peer.ask_in_vain(CreateChildSa, peer.ike_rekey(NEW));
    peer.ask_in_vain(Informational, vec![Payload::Delete(Delete::Ike)]);
    assert_eq!((peer.children(), peer.engine.unanswered()), (vec![], 0));
    assert!(sa(&peer.ask(IkeAuth, peer.auth())).is_some());
}

/// §1.4.1, §2.25.1, §3.11: the answer to a Delete has ours; one of an SA that is not there has none; what is deleted
/// under another protocol is another SA.
#[test]
fn a_delete_is_answered_with_the_other_half() {
    let mut peer = Peer::up(|_| {});
    let (ours, theirs) = peer.children()[0];
    assert_eq!(theirs, CHILD);
    assert_eq!(peer.ask(Informational, delete(Protocol::Ah, CHILD)), []);
    assert_eq!(peer.children(), [(ours, CHILD)]);
    assert_eq!(peer.ask(Informational, delete(Protocol::Esp, CHILD)), delete(Protocol::Esp, ours));
    assert_eq!(peer.children(), []);
    assert_eq!(peer.ask(Informational, delete(Protocol::Esp, CHILD)), []);
    assert_eq!(peer.engine.snapshot().len(), 1);
}

/// §1.4.1, §2.25.1: where both delete at once, neither answer has a Delete.
#[test]
fn crossing_deletes_are_answered_without_one() {
    let mut peer = Peer::up(|_| {});
    let ours = peer.children()[0].0;
    let child = peer.child_id();
    peer.command(Command::TerminateChild { child });
    let request = peer.hear();
    assert_eq!(request.payloads, delete(Protocol::Esp, ours));
    assert_eq!(peer.ask(Informational, delete(Protocol::Esp, CHILD)), []);
    peer.tell(&request, Vec::new());
    assert_eq!((peer.children(), peer.engine.snapshot()[0].children.len()), (vec![], 0));
}

/// §2.25, §2.25.1: the SPI comes back with CHILD_SA_NOT_FOUND.
#[test]
fn a_rekey_of_nothing_is_not_found() {
    let mut peer = Peer::up(|_| {});
    let reply = peer.ask(CreateChildSa, peer.child_rekey(0x0bad_0bad));
    let expected = Notify::about_esp(NotifyType::ChildSaNotFound, 0x0bad_0bad, Vec::new());
    assert_eq!(reply, [Payload::Notify(expected)]);
    assert_eq!(peer.children().len(), 1);
}

/// §2.25.1: rekeying what we are closing; §2.25.1, last paragraph: rekeying the IKE SA while we rekey or close a child.
#[test]
fn requests_that_meet_work_on_a_child_are_put_off() {
    let busy = (NotifyType::TemporaryFailure, &[][..]);
    let mut closing = Peer::up(|_| {});
    let child = closing.child_id();
    closing.command(Command::TerminateChild { child });
    let mut rekeying = Peer::up(|_| {});
    rekeying.hear_child_rekey();
    assert_eq!(only_notify(&closing.ask(CreateChildSa, closing.child_rekey(CHILD))), busy);
    for peer in [&mut closing, &mut rekeying] {
        assert_eq!(only_notify(&peer.ask(CreateChildSa, peer.ike_rekey(NEW))), busy);
    }
    // Closing what we rekey is answered as usual.
    let ours = rekeying.children()[0].0;
    assert_eq!(rekeying.ask(Informational, delete(Protocol::Esp, CHILD)), delete(Protocol::Esp, ours));
}

/// §2.25.2: while we rekey the IKE SA children are neither made nor rekeyed, and deleted as usual.
#[test]
fn requests_that_meet_a_rekey_of_the_ike_sa() {
    let busy = (NotifyType::TemporaryFailure, &[][..]);
    let mut peer = Peer::up(|_| {});
    let ours = peer.children()[0].0;
    peer.hear_ike_rekey();
    assert_eq!(only_notify(&peer.ask(CreateChildSa, peer.child(2, 0x77_7777, None))), busy);
    assert_eq!(only_notify(&peer.ask(CreateChildSa, peer.child_rekey(CHILD))), busy);
    assert_eq!(peer.ask(Informational, delete(Protocol::Esp, CHILD)), delete(Protocol::Esp, ours));
    // It rekeys at the same time, and is answered as usual.
    assert!(sa(&peer.ask(CreateChildSa, peer.ike_rekey(NEW))).is_some());
}

/// §2.25.2: while we close the IKE SA it is not rekeyed, and its own Delete is answered as usual.
#[test]
fn requests_that_meet_the_end_of_the_ike_sa() {
    let busy = (NotifyType::TemporaryFailure, &[][..]);
    let mut peer = Peer::up(|_| {});
    peer.command(Command::Terminate { connection: settings::CONNECTION });
    assert_eq!(peer.hear().payloads, [Payload::Delete(Delete::Ike)]);
    assert_eq!(only_notify(&peer.ask(CreateChildSa, peer.ike_rekey(NEW))), busy);
    assert_eq!(peer.ask(Informational, vec![Payload::Delete(Delete::Ike)]), []);
}

/// §1.3.2, §2.8.2, §2.18: the new IKE SA begins at message 0 and has the children; the old one is not rekeyed again.
#[test]
fn a_new_ike_sa_counts_from_zero_and_has_the_children() {
    let mut peer = Peer::up(|_| {});
    let ours = peer.children()[0].0;
    let reply = peer.ask(CreateChildSa, peer.ike_rekey(NEW));
    let again = peer.ask(CreateChildSa, peer.ike_rekey(IkeSpi(9)));
    assert_eq!(only_notify(&again).0, NotifyType::TemporaryFailure);
    let successor = peer.successor(NEW, &reply);
    assert_eq!(peer.ask(Informational, vec![Payload::Delete(Delete::Ike)]), []);
    peer.sa = Some(successor);
    assert_eq!(peer.ask(Informational, delete(Protocol::Esp, CHILD)), delete(Protocol::Esp, ours));
    let ike = peer.ike_id();
    peer.command(Command::RekeyIke { ike });
    assert_eq!(peer.hear().header.message_id, 0);
}

/// §1.3.2: no group, no new IKE SA; §2.18: "a responder MUST NOT accept such a proposal".
#[test]
fn an_ike_sa_is_not_rekeyed_without_a_key_exchange() {
    let mut peer = Peer::up(|_| {});
    let mut none = ike_proposal(Spi::Ike(NEW));
    none.transforms[2] = Transform::key_exchange(KeyExchangeId::None);
    let mut request = peer.ike_rekey(NEW);
    request[0] = offer(1, none);
    assert_eq!(only_notify(&peer.ask(CreateChildSa, request)).0, NotifyType::NoProposalChosen);
    let mut request = peer.ike_rekey(NEW);
    request.pop();
    assert_eq!(only_notify(&peer.ask(CreateChildSa, request)).0, NotifyType::InvalidSyntax);
}

/// §2.25: TEMPORARY_FAILURE is not answered by the same request at once, but by one after a while.
#[test]
fn a_busy_peer_is_asked_again_later() {
    for request in [Peer::hear_child_rekey, Peer::hear_ike_rekey] {
        let mut peer = Peer::up(|_| {});
        let asked = request(&mut peer);
        peer.tell(&asked, notify(NotifyType::TemporaryFailure));
        peer.wait(4 * SECOND);
        assert!(peer.heard.is_empty());
        peer.wait(7 * SECOND);
        let again = peer.hear();
        assert_eq!(kinds(&again.payloads), kinds(&asked.payloads));
        assert_eq!(peer.children().len(), 1);
    }
}

/// §2.25: a child that the peer does not know goes in silence, and is asked for anew.
#[test]
fn a_child_the_peer_does_not_know_is_made_anew() {
    let mut peer = Peer::up(|_| {});
    let rekey = peer.hear_child_rekey();
    let ours = peer.children()[0].0;
    let unknown = Notify::about_esp(NotifyType::ChildSaNotFound, ours, Vec::new());
    peer.tell(&rekey, vec![Payload::Notify(unknown)]);
    let create = peer.hear();
    assert_eq!(create.header.exchange, CreateChildSa);
    assert_eq!(kinds(&create.payloads)[0], PayloadType::SecurityAssociation, "no REKEY_SA");
    assert!(peer.heard.is_empty() && peer.children().is_empty());
}

/// §1.2, §2.21.2: a CHILD_SA that is not to be leaves IDr and AUTH as they are, and the IKE SA up.
#[test]
fn a_refused_child_stands_beside_the_proof() {
    let mut peer = Peer::new(|_| {});
    peer.call(peer.init());
    let mut auth = peer.auth();
    auth[4] = Payload::TrafficSelectorsResponder(selectors(9, 9));
    let reply = peer.ask(IkeAuth, auth);
    assert!(sa(&reply).is_none());
    assert_eq!(kinds(&reply)[..2], [PayloadType::IdentificationResponder, PayloadType::Authentication]);
    assert_eq!(only_notify(&reply[2..]).0, NotifyType::TsUnacceptable);
    assert_eq!(peer.ask(Informational, Vec::new()), []);
}

/// §4, §2.8: a peer that makes no further SAs is kept to the end of the last one it made; then everything is made anew.
#[test]
fn a_peer_that_makes_no_further_child_is_called_anew() {
    let mut peer = Peer::up(|connection| {
        connection.children[0].lifetime.soft = Duration::from_secs(60);
        connection.children[0].lifetime.hard = Duration::from_secs(90);
    });
    let refuse = |peer: &mut Peer| {
        let request = peer.hear();
        let reply = match request.header.exchange {
            CreateChildSa => notify(NotifyType::NoAdditionalSas),
            _ => Vec::new(),
        };
        peer.tell(&request, reply);
        request
    };
    for _ in 0..900 {
        peer.wait(SECOND / 10);
        while !peer.heard.is_empty() {
            refuse(&mut peer);
        }
    }
    assert_eq!((peer.children(), peer.engine.snapshot().len()), (vec![], 1));
    // The caller wants it back, as for each tunnel that is to be up.
    peer.command(Command::Initiate { connection: settings::CONNECTION, child: None });
    assert_eq!(refuse(&mut peer).header.exchange, CreateChildSa);
    assert_eq!(peer.hear().payloads, [Payload::Delete(Delete::Ike)]);
    let ended = peer.events.iter().find_map(|event| match event {
        Event::IkeDown { reason, .. } => Some(reason.code()),
        _ => None,
    });
    assert_eq!(ended, Some(Failure::NoAdditionalSas(Side::Peers).code()));
}

/// §2.8: an IKE SA that could not be renewed ends with its time, and all that belongs to it.
#[test]
fn an_ike_sa_ends_with_its_time() {
    let mut peer = Peer::up(|connection| {
        connection.lifetime.soft = Duration::from_secs(60);
        connection.lifetime.hard = Duration::from_secs(90);
    });
    while peer.now < 90 * SECOND {
        peer.wait(SECOND);
        while !peer.heard.is_empty() {
            let request = peer.hear();
            assert_eq!(request.header.exchange, CreateChildSa);
            peer.tell(&request, notify(NotifyType::NoProposalChosen));
        }
    }
    peer.wait(2 * SECOND);
    assert_eq!(peer.hear().payloads, [Payload::Delete(Delete::Ike)]);
    let ended = peer.events.iter().find_map(|event| match event {
        Event::IkeDown { reason, .. } => Some(reason.code()),
        _ => None,
    });
    assert_eq!((ended, peer.children()), (Some(Failure::Expired.code()), vec![]));
}

/// §2.8.1: when a rekey comes is drawn anew each time, before the soft lifetime and not long before.
#[test]
fn rekeys_are_jittered() {
    let mut times = Vec::new();
    for seed in 0..6 {
        let mut world = harness::pair_of(
            seed,
            [0, 1].map(|end| {
                let mut connection = settings::connection(end);
                connection.children[0].lifetime.soft = Duration::from_secs(1000);
                connection
            }),
        );
        world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
        while world.tally.child_rekeyed == 0 {
            world.run_for(SECOND);
            world.traffic();
        }
        times.push(world.now / SECOND);
    }
    assert!(times.iter().all(|time| (890..=1010).contains(time)), "{times:?}");
    times.sort_unstable();
    times.dedup();
    assert!(times.len() >= 4, "{times:?}");
}

/// §2.9.2: what takes over carries no less, whoever asks: one that does is deleted again, and the old one stays.
#[test]
fn a_successor_carries_no_less() {
    let mut peer = Peer::up(|_| {});
    let reply = peer.ask(CreateChildSa, peer.child_rekey(CHILD));
    let sent: Vec<Payload> = peer.child(1, 0, None);
    assert!(sent[2..].iter().all(|selectors| reply.contains(selectors)), "{reply:?}");
    let mut peer = Peer::up(|_| {});
    let before = peer.children();
    let rekey = peer.hear_child_rekey();
    let Spi::Child(spi_in) = sa(&rekey.payloads).unwrap().proposals[0].spi else { panic!() };
    let mut narrower = selectors(0, 1);
    narrower.selectors[0].protocol = 17;
    let mut reply = peer.child(1, 0x2222_2222, None);
    reply[2] = Payload::TrafficSelectorsInitiator(selectors(1, 1));
    reply[3] = Payload::TrafficSelectorsResponder(narrower);
    peer.tell(&rekey, reply);
    assert_eq!(peer.children(), before);
    assert_eq!(peer.hear().payloads, delete(Protocol::Esp, spi_in));
}

/// NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP of these addresses, as the caller saw them.
fn nat_detection(source: SocketAddr, destination: SocketAddr) -> [Payload; 2] {
    let hash = |address| nat_detection_hash(SPI, IkeSpi::ZERO, address).to_vec();
    [
        Payload::Notify(Notify::new(NotifyType::NatDetectionSourceIp, hash(source))),
        Payload::Notify(Notify::new(NotifyType::NatDetectionDestinationIp, hash(destination))),
    ]
}

/// §2.23: both notifications are answered; who is behind a NAT keeps it open and follows nobody; who is not follows a
/// peer that is, and that peer only.
#[test]
fn nats_are_kept_open_and_followed_through() {
    let (here, there) = (address(0, 500), address(1, 500));
    let elsewhere = SocketAddr::from(([203, 0, 113, 9], 1024));
    for (source, destination, keeps_open, follows, always) in [
        (here, there, false, false, false),
        (here, elsewhere, true, false, false),
        (elsewhere, there, false, true, false),
        (elsewhere, elsewhere, true, false, false),
        (here, there, false, false, true),
        (elsewhere, there, true, true, true),
    ] {
        let mut peer = Peer::new(|connection| {
            connection.remote = RemoteAddress::Any;
            connection.nat.always_keepalive = always;
        });
        let reply = peer.call([peer.init(), nat_detection(source, destination).to_vec()].concat()).unwrap();
        let kinds = reply.payloads.iter().filter_map(|payload| match payload {
            Payload::Notify(notify) => Some(notify.notify_type),
            _ => None,
        });
        let both = [NotifyType::NatDetectionSourceIp, NotifyType::NatDetectionDestinationIp];
        assert_eq!(kinds.filter(|kind| both.contains(kind)).collect::<Vec<_>>(), both);
        peer.ask(IkeAuth, peer.auth());
        let path = peer.engine.snapshot()[0].path;
        assert_eq!(path.udp_encapsulation, source != here || destination != there);
        peer.local = elsewhere;
        assert_eq!(peer.ask(Informational, Vec::new()), []);
        let expected = if follows { elsewhere } else { path.remote };
        assert_eq!(peer.engine.snapshot()[0].path.remote, expected, "{source} {destination}");
        peer.engine.handle_timeout(Instant(peer.now + 21 * SECOND));
        let sent: Vec<Vec<u8>> =
            std::iter::from_fn(|| peer.engine.poll_transmit()).map(|it| it.bytes).collect();
        assert_eq!(sent, if keeps_open { vec![vec![0xff]] } else { vec![] });
    }
}

/// What the engine is told of a CHILD_SA it asks for: its own side is that of the initiator.
fn answer(peer: &Peer, spi: u32) -> Vec<Payload> {
    let mut payloads = peer.child(1, spi, None);
    payloads[2] = Payload::TrafficSelectorsInitiator(selectors(1, 1));
    payloads[3] = Payload::TrafficSelectorsResponder(selectors(0, 1));
    payloads
}

/// §2.8: some delete what is replaced themselves, before their answer to the rekey comes. The successor lives.
#[test]
fn a_peer_deletes_what_we_replace_before_it_answers() {
    let mut peer = Peer::up(|_| {});
    let rekey = peer.hear_child_rekey();
    let ours = peer.children()[0].0;
    assert_eq!(peer.ask(Informational, delete(Protocol::Esp, CHILD)), delete(Protocol::Esp, ours));
    peer.tell(&rekey, answer(&peer, 0x2222_2222));
    assert_eq!(peer.children().iter().map(|(_, theirs)| *theirs).collect::<Vec<_>>(), [0x2222_2222]);
    assert!(peer.heard.is_empty(), "there is nothing left to delete");
}

/// §2.8.1: the same where both rekey: one successor is left, whoever had the lowest nonce, and the other is deleted.
#[test]
fn a_peer_deletes_what_both_replace_before_it_answers() {
    let mut peer = Peer::up(|_| {});
    let rekey = peer.hear_child_rekey();
    assert!(sa(&peer.ask(CreateChildSa, peer.child_rekey(CHILD))).is_some());
    peer.ask(Informational, delete(Protocol::Esp, CHILD));
    peer.tell(&rekey, answer(&peer, 0x3333_3333));
    while !peer.heard.is_empty() {
        let request = peer.hear();
        assert_eq!(kinds(&request.payloads), [PayloadType::Delete]);
        peer.tell(&request, Vec::new());
    }
    assert_eq!(peer.children().len(), 1);
}

/// §2.21.2: a caller that does not believe us says so in an exchange of its own, "usually with no other payloads". It has
/// nothing; neither may we.
#[test]
fn a_caller_that_does_not_believe_us_ends_it() {
    let failed = || vec![Payload::Notify(Notify::new(NotifyType::AuthenticationFailed, Vec::new()))];
    let mut peer = Peer::up(|_| {});
    assert_eq!(peer.ask(Informational, failed()), []);
    assert_eq!(peer.children().len(), 0);
    let reasons = peer.events.iter().filter_map(|event| match event {
        Event::IkeDown { reason, .. } => Some(reason.code()),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), ["RV-AUTH-001"]);
}
