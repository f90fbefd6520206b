//! Sentences of RFC 7296 about messages that only a peer made by hand calls for, or that are seen only with the keys:
//! what docs/compliance-rfc7296.md says of them is shown here. Each test names its section.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::peer::*;
use crate::harness::{World, address, kind, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{ChildId, EngineConfig, HalfOpenLimits, UdpEncapsulation};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use ravelin_ike::wire::ExchangeType::{CreateChildSa, IkeAuth, Informational};
use ravelin_ike::wire::*;

const SECOND: u64 = 1_000_000;

/// §2.5: "implementations MUST NOT reject as invalid a message with those payloads in any other order".
#[test]
fn payloads_come_in_any_order() {
    let mut peer = Peer::new(|_| {});
    let reversed = |payloads: Vec<Payload>| payloads.into_iter().rev().collect::<Vec<_>>();
    peer.call(reversed(peer.init()));
    let reply = peer.ask(IkeAuth, reversed(peer.auth()));
    assert!(sa(&reply).is_some());
    peer.ask(CreateChildSa, reversed(peer.child(2, 0x77_7777, Some(KeyExchangeId::Ecp256))));
    let mut create = peer.child(2, 0x77_7777, Some(KeyExchangeId::Curve25519));
    create.push(peer.public());
    assert!(sa(&peer.ask(CreateChildSa, reversed(create))).is_some());
    assert_eq!(peer.children().len(), 2);
}

/// §2.5, §2.21.2: refused whole, by the number of the payload, in each exchange; nothing comes up by it, and what is up
/// stays up.
#[test]
fn a_critical_unknown_payload_is_refused_by_its_number() {
    let refused = (NotifyType::UnsupportedCriticalPayload, &[200][..]);
    let mut peer = Peer::new(|_| {});
    let reply = peer.call_octets(peer.clear(with_unknown(&peer.init(), true))).unwrap();
    assert_eq!((only_notify(&reply.payloads), reply.header.responder_spi), (refused, IkeSpi::ZERO));
    assert_eq!((reply.header.exchange, peer.engine.half_open()), (ExchangeType::IkeSaInit, 0));
    // A response is never answered.
    let mut response = peer.clear(with_unknown(&peer.init(), true));
    response[19] = 0x20;
    assert!(peer.deliver(response).is_empty());
    peer.call(peer.init());
    let reply = peer.ask_chain(IkeAuth, &with_unknown(&peer.auth(), true));
    assert_eq!(only_notify(&reply), refused);
    assert_eq!(peer.children().len(), 0);
    let mut peer = Peer::up(|_| {});
    for exchange in [CreateChildSa, Informational] {
        let payloads = peer.child(2, 0x77_7777, None);
        assert_eq!(only_notify(&peer.ask_chain(exchange, &with_unknown(&payloads, true))), refused);
    }
    assert_eq!(peer.ask(Informational, Vec::new()), []);
    assert_eq!(peer.children().len(), 1);
}

/// The refusal of an IKE_SA_INIT request has no protection, so it is under the same rate as the others (§2.21.1).
#[test]
fn refusals_of_critical_payloads_have_a_rate() {
    let mut peer = Peer::new(|_| {});
    let request = peer.clear(with_unknown(&peer.init(), true));
    let sent: usize = (0..1000).map(|_| peer.deliver(request.clone()).len()).sum();
    assert_eq!(sent, settings::engine_config().error_replies_per_second as usize);
}

/// §2.5, §2.21.4, §3.10.1, §3.12, §3.15: unknown payloads that are not critical, unknown notifications of both kinds, one
/// about ESP that found no SA, vendor IDs, configuration and EAP change nothing.
#[test]
fn what_is_not_known_is_passed_over() {
    let strange = || {
        let of = |number: u16| Payload::Notify(Notify::new(NotifyType::from(number), vec![1, 2, 3]));
        vec![
            // INVALID_SPI, and numbers of both kinds that nobody has.
            of(11),
            of(8191),
            of(40_000),
            Payload::VendorId(b"nobody's".to_vec()),
            Payload::Configuration(vec![1, 0, 0, 0, 0, 5, 0, 0]),
            Payload::Eap(vec![1, 1, 0, 4]),
        ]
    };
    let mut peer = Peer::new(|_| {});
    peer.call_octets(peer.clear(with_unknown(&[strange(), peer.init()].concat(), false)));
    let reply = peer.ask_chain(IkeAuth, &with_unknown(&[strange(), peer.auth()].concat(), false));
    assert!(sa(&reply).is_some());
    assert!(!kinds(&reply).contains(&PayloadType::Configuration), "a reply to nothing that was understood");
    assert_eq!(peer.ask_chain(Informational, &with_unknown(&strange(), false)), []);
    assert_eq!(peer.children().len(), 1);
}

/// §2.5, §3.1, §3.2: reserved bits, the minor version and V are ignored when received, and clear in what is sent (the
/// harness looks at version and flags of each message).
#[test]
fn bits_without_a_meaning_are_ignored() {
    let mut peer = Peer::new(|_| {});
    peer.odd = true;
    let reply = peer.call(peer.init()).unwrap();
    let version = reply.header.version;
    assert_eq!((version.major, version.minor, reply.header.flags.version), (2, 0, false));
    assert!(sa(&peer.ask(IkeAuth, peer.auth())).is_some());
    assert_eq!(peer.ask(Informational, Vec::new()), []);
}

/// §2.5, §3.1: a higher major version is dropped and answered in ours, a response never; the zero SPI is nobody's.
#[test]
fn another_version_is_refused_in_ours() {
    let mut peer = Peer::new(|_| {});
    let mut request = peer.clear(emit_chain(&peer.init()).unwrap());
    request[17] = 0x30;
    let reply = peer.call_octets(request.clone()).unwrap();
    assert_eq!(only_notify(&reply.payloads).0, NotifyType::InvalidMajorVersion);
    assert_eq!((reply.header.version.major, peer.engine.half_open()), (2, 0));
    request[19] |= 0x20;
    assert!(peer.deliver(request).is_empty());
    let mut nobodys = peer.clear(emit_chain(&peer.init()).unwrap());
    nobodys[..8].fill(0);
    assert!(peer.deliver(nobodys).is_empty());
    assert_eq!(peer.engine.half_open(), 0);
}

/// §2.11, §2.23: whatever port it comes from, the answer goes there, from where it was received.
#[test]
fn answers_go_to_the_port_the_request_came_from() {
    let mut peer = Peer::new(|_| {});
    peer.local = address(0, 12_345);
    let sent = peer.deliver(peer.clear(emit_chain(&peer.init()).unwrap()));
    assert_eq!((sent[0].remote, sent[0].local, sent.len()), (peer.local, address(1, 500), 1));
    peer.call(peer.init());
    peer.local = address(0, 23_456);
    let reply = peer.ask(IkeAuth, peer.auth());
    assert!(sa(&reply).is_some());
    assert_eq!(peer.engine.snapshot()[0].path.remote, peer.local);
    // One that moves without a NAT in between is answered where it is, and the tunnel stays where it was.
    let before = peer.local;
    peer.local = address(0, 500);
    assert_eq!(peer.ask(Informational, Vec::new()), []);
    assert_eq!(peer.engine.snapshot()[0].path.remote, before);
}

/// §1.2, §1.3, §3.4: a value of another group than the chosen one is refused with that one's number, and nothing is kept.
#[test]
fn a_value_of_another_group_is_refused_with_the_right_one() {
    let wrong = || Payload::KeyExchange(KeyExchange { method: KeyExchangeId::Ecp256, data: vec![4; 64] });
    let refused = (NotifyType::InvalidKePayload, &[0, 31][..]);
    let mut peer = Peer::new(|_| {});
    let mut init = peer.init();
    init[1] = wrong();
    let reply = peer.call(init).unwrap();
    assert_eq!((only_notify(&reply.payloads), peer.engine.half_open()), (refused, 0));
    let mut peer = Peer::up(|_| {});
    let mut create = peer.child(2, 0x77_7777, Some(KeyExchangeId::Curve25519));
    create.push(wrong());
    assert_eq!(only_notify(&peer.ask(CreateChildSa, create)), refused);
    let mut rekey = peer.ike_rekey(NEW);
    rekey[2] = wrong();
    assert_eq!(only_notify(&peer.ask(CreateChildSa, rekey)), refused);
    assert_eq!((peer.children().len(), peer.engine.unanswered()), (1, 0));
}

fn always_cookies() -> EngineConfig {
    let half_open = HalfOpenLimits { cookie_threshold: Some(0), ..HalfOpenLimits::default() };
    EngineConfig { half_open, ..settings::engine_config() }
}

/// §2.6: the request with the cookie is the one before, with the cookie in front; under forced NAT traversal too.
#[test]
fn the_request_comes_again_unchanged_behind_its_cookie() {
    for force in [false, true] {
        let mut engines = [settings::engine_config(), always_cookies()].map(|c| Engine::new(c, [3; 32]));
        for (end, engine) in engines.iter_mut().enumerate() {
            let mut connection = settings::connection(end);
            if force {
                connection.nat.encapsulation = UdpEncapsulation::Force;
            }
            engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
        }
        let mut world = World::new(1, engines, false);
        let (sender, receiver) = std::sync::mpsc::channel();
        world.gate = Some(Box::new(move |from, bytes| {
            if from == 0 && kind(bytes) == (34, false) {
                sender.send(bytes.to_vec()).unwrap();
            }
            true
        }));
        world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
        world.run_for(SECOND);
        let clear = |bytes: Vec<u8>| match Outer::parse(&bytes).unwrap() {
            Outer::Clear(message) => message,
            other => panic!("{other:?}"),
        };
        let [first, second] = [receiver.recv().unwrap(), receiver.recv().unwrap()].map(clear);
        let Payload::Notify(cookie) = &second.payloads[0] else { panic!("no cookie in front") };
        assert_eq!((cookie.notify_type, first.header), (NotifyType::Cookie, second.header));
        assert_eq!(first.header.responder_spi, IkeSpi::ZERO);
        assert_eq!(first.payloads, second.payloads[1..], "{force}");
        assert!((1..=64).contains(&cookie.data.len()));
        assert_eq!(world.children(0).len(), 1);
    }
}

/// §2.6: a cookie that is none of ours counts as no cookie, and is answered with a new one.
#[test]
fn a_wrong_cookie_is_answered_with_a_right_one() {
    let mut peer = Peer::with(always_cookies(), |_| {});
    let with = |peer: &Peer, data: &[u8]| {
        let cookie = Payload::Notify(Notify::new(NotifyType::Cookie, data.to_vec()));
        [vec![cookie], peer.init()].concat()
    };
    let reply = peer.call(with(&peer, b"not ours")).unwrap();
    let (kind, cookie) = only_notify(&reply.payloads);
    assert_eq!((kind, peer.engine.half_open()), (NotifyType::Cookie, 0));
    let reply = peer.call(with(&peer, cookie)).unwrap();
    assert!(sa(&reply.payloads).is_some());
    assert!(sa(&peer.ask(IkeAuth, peer.auth())).is_some());
}

/// §2.1, §2.2: a repeated request is answered with the same octets and has no effect; an older one is not answered.
#[test]
fn a_repeated_request_gets_the_same_octets() {
    let mut peer = Peer::up(|_| {});
    let old = peer.last.0.clone();
    let mut create = peer.child(2, 0x77_7777, Some(KeyExchangeId::Curve25519));
    create.push(peer.public());
    peer.ask(CreateChildSa, create);
    let (request, reply) = peer.last.clone();
    let again: Vec<Vec<u8>> = peer.deliver(request).into_iter().map(|sent| sent.bytes).collect();
    assert_eq!(again, [reply]);
    assert!(peer.deliver(old).is_empty());
    assert_eq!(peer.children().len(), 2);
}

/// §2.1, §2.3: a request of ours is repeated octet for octet; the next one waits for its answer; the peer's are answered
/// meanwhile.
#[test]
fn one_request_at_a_time_and_always_the_same() {
    let mut peer = Peer::up(|_| {});
    let ike = peer.ike_id();
    peer.command(Command::RekeyIke { ike });
    let child = peer.child_id();
    peer.command(Command::TerminateChild { child });
    peer.wait(4 * SECOND);
    assert!(peer.heard.len() >= 3, "{}", peer.heard.len());
    let octets: Vec<Vec<u8>> = peer.heard.iter().map(|(_, octets)| octets.clone()).collect();
    assert!(octets.iter().all(|again| *again == octets[0]));
    assert_eq!(peer.ask(Informational, Vec::new()), []);
    let request = peer.hear();
    peer.heard.clear();
    peer.tell(&request, notify(NotifyType::NoProposalChosen));
    let next = peer.hear();
    assert_eq!(next.header.message_id, request.header.message_id + 1);
    assert_eq!(kinds(&next.payloads), [PayloadType::Delete]);
}

/// §1.3.1, §1.3.3, §2.9.2, §3.3, §3.4, §3.13.1: what our own requests hold, in the order of the figures: REKEY_SA where
/// one is replaced; KE if, and only if, a group is offered, and of that group; the selectors in use, any port as 0 to
/// 65535.
#[test]
fn our_requests_are_those_of_the_figures() {
    use PayloadType as P;
    let mut peer = Peer::up(|_| {});
    let ours = peer.children()[0].0;
    let rekey = peer.hear_child_rekey();
    let around = [P::TrafficSelectorsInitiator, P::TrafficSelectorsResponder];
    assert_eq!(
        kinds(&rekey.payloads),
        [&[P::Notify, P::SecurityAssociation, P::Nonce][..], &around].concat()
    );
    let expected = Notify::about_esp(NotifyType::RekeySa, ours, Vec::new());
    assert_eq!(rekey.payloads[0], Payload::Notify(expected));
    assert_eq!(rekey.payloads[3], Payload::TrafficSelectorsInitiator(selectors(1, 1)));
    assert_eq!(rekey.payloads[4], Payload::TrafficSelectorsResponder(selectors(0, 1)));
    let groups = |sa: &SecurityAssociation| {
        let transforms = sa.proposals.iter().flat_map(|proposal| &proposal.transforms);
        transforms
            .filter(|t| t.transform_type == TransformType::KeyExchange)
            .map(|t| t.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(groups(sa(&rekey.payloads).unwrap()), []);
    peer.tell(&rekey, notify(NotifyType::NoProposalChosen));
    let second = Some(ChildId(2));
    peer.command(Command::Initiate { connection: settings::CONNECTION, child: second });
    let create = peer.hear();
    let front = [P::SecurityAssociation, P::Nonce, P::KeyExchange];
    assert_eq!(kinds(&create.payloads), [&front[..], &around].concat());
    let Payload::KeyExchange(ke) = &create.payloads[2] else { panic!() };
    assert_eq!(groups(sa(&create.payloads).unwrap()), [u16::from(ke.method)]);
    // Half the key of the longest PRF, and never the same (§2.10, §3.9).
    let [Payload::Nonce(one), Payload::Nonce(two)] = [&rekey.payloads[2], &create.payloads[1]] else {
        panic!()
    };
    assert!(one.as_bytes().len() >= 32 && one != two);
    peer.tell(&create, notify(NotifyType::NoProposalChosen));
    let rekey = peer.hear_ike_rekey();
    assert_eq!(kinds(&rekey.payloads), front);
    let proposals = &sa(&rekey.payloads).unwrap().proposals;
    assert_eq!((proposals[0].number, proposals[0].spi.length()), (1, 8));
}

/// §3.10.1: "MUST assume that the corresponding request has failed entirely", whatever else the answer holds.
#[test]
fn an_unknown_error_fails_the_request_whatever_stands_beside_it() {
    let strange = || Payload::Notify(Notify::new(NotifyType::from(8191), Vec::new()));
    let mut peer = Peer::up(|_| {});
    let rekey = peer.hear_child_rekey();
    let offered = sa(&rekey.payloads).unwrap().proposals[0].clone();
    let Spi::Child(spi_in) = offered.spi else { panic!() };
    let mut reply = vec![strange()];
    reply.extend(peer.child(1, 0x2222_2222, None));
    let [tsi, tsr] = [selectors(1, 1), selectors(0, 1)];
    reply[3] = Payload::TrafficSelectorsInitiator(tsi);
    reply[4] = Payload::TrafficSelectorsResponder(tsr);
    peer.tell(&rekey, reply);
    assert_eq!(peer.children(), [(peer.children()[0].0, CHILD)]);
    // What the peer may have made all the same has to go.
    assert_eq!(peer.hear().payloads, delete(Protocol::Esp, spi_in));
    let mut peer = Peer::up(|_| {});
    let rekey = peer.hear_ike_rekey();
    let mut reply = peer.ike_rekey(NEW);
    reply.push(strange());
    peer.tell(&rekey, reply);
    assert!(peer.events.iter().any(|event| matches!(event, Event::IkeRekeyFailed { .. })));
    assert_eq!((peer.children().len(), peer.ask(Informational, Vec::new())), (1, vec![]));
}

/// §2.21.3: what is wrong with a request is answered; with malformed ones the IKE SA ends. What is wrong with a response
/// is answered by nothing (the harness takes no answer to an answer).
#[test]
fn errors_are_answered_in_requests_and_not_in_responses() {
    let refused = (NotifyType::InvalidSyntax, &[][..]);
    let mut no_nonce = Peer::up(|_| {});
    let mut request = no_nonce.child(2, 0x77_7777, None);
    request.remove(0);
    assert_eq!(only_notify(&no_nonce.ask(CreateChildSa, request)), refused);
    let mut twice = Peer::up(|_| {});
    let request = [twice.child(2, 0x77_7777, None), twice.child(2, 0x77_7777, None)].concat();
    assert_eq!(only_notify(&twice.ask(CreateChildSa, request)), refused);
    let mut short = Peer::up(|_| {});
    let chain = Chain { first: PayloadType::Nonce, octets: [&[0, 0, 0, 12][..], &[7; 8]].concat() };
    assert_eq!(only_notify(&short.ask_chain(Informational, &chain)), refused);
    // "an Encrypted payload MUST NOT contain another" (§3.1).
    let mut nested = Peer::up(|_| {});
    let inner = Chain { first: PayloadType::Encrypted, octets: vec![0, 0, 0, 4] };
    assert_eq!(only_notify(&nested.ask_chain(Informational, &inner)), refused);
    let mut other = Peer::up(|_| {});
    assert_eq!(only_notify(&other.ask(IkeAuth, Vec::new())), refused);
    assert_eq!(other.children().len(), 1);
    for peer in [no_nonce, twice, short, nested] {
        assert_eq!(peer.children(), []);
    }
    let mut peer = Peer::up(|_| {});
    let rekey = peer.hear_child_rekey();
    peer.tell_chain(&rekey, &chain);
    assert!(peer.heard.is_empty() && peer.children().is_empty());
}

/// §2: 3000 octets in one datagram are taken, and answered.
#[test]
fn a_message_of_three_thousand_octets_is_taken() {
    let mut peer = Peer::up(|_| {});
    for octets in [1280, 3000] {
        // Header, SK header, IV, Pad Length, check value, and the header of the vendor ID.
        let payload = Payload::VendorId(vec![1; octets - 28 - 4 - 8 - 1 - 16 - 4]);
        assert_eq!(peer.ask(Informational, vec![payload]), []);
        assert_eq!(peer.last.0.len(), octets);
    }
}
