//! Session resumption (RFC 5723): an IKE SA that was lost goes on by a ticket, without key exchange and signature; a ticket
//! that is worth nothing any more leads to a full negotiation at once, and to nothing else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{Dice, Faults, World, address, failures, kind, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{
    Auth, CertificateAuth, Connection, EngineConfig, Group, HalfOpenLimits, IdKind, Identity, IdentityMatch,
    IdentityPattern, IkeLifetime, Lockout, OwnCertificate, PpkIdKind, RemoteAddress, RemoteAuth, Selector,
};
use ravelin_ike::event::{Event, PpkUse};
use ravelin_ike::input::{Command, Datagram};
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, AnswerError, WantKind};
use ravelin_ike::wire::{Message, NotifyType, Outer, Payload};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use zeroize::Zeroizing;

const SECOND: u64 = 1_000_000;
const IKE_SA_INIT: u8 = 34;
const IKE_AUTH: u8 = 35;
const IKE_SESSION_RESUME: u8 = 38;
const CALLER: usize = 0;
const GATEWAY: usize = 1;

fn resumes(connection: Connection) -> Connection {
    Connection { resumption: true, ..connection }
}

fn plain(end: usize) -> Connection {
    resumes(settings::connection(end))
}

fn certified(end: usize) -> Connection {
    resumes(settings::with_certificates(end))
}

/// A life of an end: with the keys of its tickets as they were, or (`generation`) others; `later` on the clock of the day.
fn begin(end: usize, life: u8, generation: u8, later: Duration, connection: Connection) -> Engine {
    let config = EngineConfig {
        crash_secret: Some(settings::crash_secret(end, 0)),
        ticket_keys: Some(settings::ticket_keys(end, generation, later)),
        ..settings::engine_config()
    };
    with_config(end, life, config, connection)
}

fn with_config(end: usize, life: u8, config: EngineConfig, connection: Connection) -> Engine {
    let mut engine = Engine::new(config, [end as u8 + 2 * life + 1; 32]);
    engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
    engine
}

fn call(world: &mut World) {
    world.command(CALLER, Command::Initiate { connection: settings::CONNECTION, child: None });
}

fn up_with(engines: [Engine; 2], certificates: bool) -> World {
    let mut world = World::new(1, engines, certificates);
    call(&mut world);
    world.run_for(SECOND);
    world.assert_converged();
    assert_eq!(world.children(CALLER).len(), 1);
    world
}

/// A pair that is up.
fn up(connections: [Connection; 2]) -> World {
    let certificates = matches!(connections[0].remote_auth, RemoteAuth::Certificate { .. });
    let mut end = 0..;
    let engines = connections.map(|connection| begin(end.next().unwrap(), 0, 0, Duration::ZERO, connection));
    up_with(engines, certificates)
}

/// The gateway restarts, and proves to the caller that it has.
fn crash(world: &mut World, gateway: Engine) {
    world.restart(GATEWAY, gateway);
    world.run_for(11 * SECOND);
    assert_eq!((failures(world, CALLER), world.children(CALLER).len()), (vec!["RV-NET-006"], 0));
    world.ends.iter_mut().for_each(|end| end.events.clear());
}

fn again(connection: Connection) -> Engine {
    begin(GATEWAY, 1, 0, Duration::ZERO, connection)
}

/// Whether it is a fragment (RFC 7383) and not the first of its message.
fn is_further_fragment(bytes: &[u8]) -> bool {
    bytes[16] == 53 && bytes[32..34] != [0, 1]
}

/// Requests by exchange type, in their order.
fn watch(world: &mut World) -> Receiver<u8> {
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |_, bytes| {
        let (exchange, response) = kind(bytes);
        if !response && !is_further_fragment(bytes) {
            sender.send(exchange).unwrap();
        }
        true
    }));
    receiver
}

/// Whether the tunnel that came up last at an end is a resumed one.
fn resumed(world: &World, end: usize) -> Option<bool> {
    let up = |event: &Event| if let Event::IkeUp(up) = event { Some(up.resumed) } else { None };
    world.ends[end].events.iter().rev().find_map(up)
}

fn not_resumed(world: &World) -> Vec<&'static str> {
    let why =
        |event: &Event| if let Event::NotResumed { reason, .. } = event { Some(reason.code()) } else { None };
    world.ends[CALLER].events.iter().filter_map(why).collect()
}

/// The caller calls again, and what it sends for that.
fn calls_again(world: &mut World) -> Vec<u8> {
    let seen = watch(world);
    call(world);
    world.run_for(2 * SECOND);
    world.gate = None;
    world.assert_converged();
    assert_eq!((world.ikes(CALLER).len(), world.children(GATEWAY).len()), (1, 1));
    seen.try_iter().collect()
}

fn is_work(kind: &WantKind) -> bool {
    matches!(kind, WantKind::KeyAgreement(_) | WantKind::Sign(_) | WantKind::Verify(_))
}

/// ```text
///   A  ======= B      B restarts, and keeps the keys of its tickets
///   A  IKE_SESSION_RESUME{Ni, N(TICKET_OPAQUE)}  -------  B
///   A  -------  {Nr}  B
///   A  IKE_AUTH{IDi, IDr, AUTH, SA, TSi, TSr, N(TICKET_REQUEST)}  -------  B
///   A  -------  {IDr, AUTH, N(TICKET_LT_OPAQUE), SA, TSi, TSr}  B
/// ```
/// Nobody agrees on a key, signs or verifies, and it can be done again and again.
#[test]
fn a_session_is_resumed_without_key_exchange_and_signature() {
    let childless = |end| Connection { childless: true, ..plain(end) };
    let hybrid = |end| settings::with_additional(certified(end), &[Group::MlKem512]);
    let kinds: [fn(usize) -> Connection; 4] = [plain, certified, childless, hybrid];
    for (number, connection) in kinds.into_iter().enumerate() {
        let mut world = up([0, 1].map(connection));
        for life in 1..4 {
            crash(&mut world, begin(GATEWAY, life, 0, Duration::ZERO, connection(GATEWAY)));
            // A child that comes after IKE_AUTH may have a key exchange of its own.
            let hold: fn(&WantKind) -> bool = if number < 2 { is_work } else { |_| false };
            world.ends.iter_mut().for_each(|end| end.hold = hold);
            let sent = calls_again(&mut world);
            assert_eq!(sent[..2], [IKE_SESSION_RESUME, IKE_AUTH], "{number}");
            world.ends.iter_mut().for_each(|end| end.hold = |_| false);
            assert_eq!([0, 1].map(|end| resumed(&world, end)), [Some(true); 2]);
            assert!(world.ends.iter().all(|end| end.engine.snapshot().last().unwrap().resumed));
        }
        assert_eq!(world.ends[GATEWAY].engine.counters().tickets_accepted, 1, "in its last life");
    }
}

/// Without a crash too, when only the way was lost: the gateway then forgets the IKE SA that goes on in another one, and
/// tells nobody.
#[test]
fn a_session_is_resumed_at_a_gateway_that_still_has_it() {
    let patient = Connection { dead_peer: None, ..plain(GATEWAY) };
    let mut world = up([plain(CALLER), patient]);
    world.gate = Some(Box::new(|_, _| false));
    world.run_for(21 * SECOND);
    assert_eq!((failures(&world, CALLER), world.ikes(GATEWAY).len()), (vec!["RV-NET-003"], 1));
    assert_eq!(calls_again(&mut world), [IKE_SESSION_RESUME, IKE_AUTH], "and no Delete");
    assert_eq!(failures(&world, GATEWAY), ["RV-END-006"]);
}

/// Who was shown another certificate than the first, and knows us by its name, resumes the session all the same.
#[test]
fn the_name_of_a_certificate_goes_along() {
    let name = |end, place: usize| {
        let data = vec![0x30, 3, 0x31, 1, (end + 10 * place) as u8];
        Identity { kind: IdKind::DistinguishedName, data }
    };
    let connection = |end: usize| {
        let own = [0, 1].map(|place| OwnCertificate {
            authorities: vec![[place as u8; 20]],
            subject: name(end, place).data,
            chain: vec![settings::certificate(end + 10 * place)],
            ..settings::own_certificate(end, place)
        });
        let own = CertificateAuth { entries: own.map(Into::into).to_vec(), names_us: true };
        Connection {
            local_identity: name(end, 0),
            local_auth: Auth::Certificate(own),
            remote_identity: IdentityMatch::Any,
            remote_auth: RemoteAuth::Certificate { authorities: vec![[1; 20]], schemes: vec![] },
            ..certified(end)
        }
    };
    let mut world = up([0, 1].map(connection));
    crash(&mut world, again(connection(GATEWAY)));
    assert_eq!(calls_again(&mut world), [IKE_SESSION_RESUME, IKE_AUTH]);
    let local =
        |event: &Event| if let Event::IkeUp(up) = event { Some(up.local_identity.clone()) } else { None };
    let known = [0, 1].map(|end| world.ends[end].events.iter().rev().find_map(local));
    assert_eq!(known, [0, 1].map(|end| Some(name(end, 1))));
}

/// An IKE SA that a rekey made has a ticket of its own, whoever rekeyed.
#[test]
fn a_rekey_brings_another_ticket() {
    for rekeying in 0..2 {
        let mut world = up([0, 1].map(plain));
        let old = world.ends[0].engine.snapshot()[0].spis;
        let ike = world.ikes(rekeying)[0];
        world.command(rekeying, Command::RekeyIke { ike });
        world.run_for(5 * SECOND);
        assert_ne!(world.ends[0].engine.snapshot()[0].spis, old);
        crash(&mut world, again(plain(GATEWAY)));
        assert_eq!(calls_again(&mut world), [IKE_SESSION_RESUME, IKE_AUTH], "rekeyed by {rekeying}");
    }
}

/// What was mixed into SK_d goes along, and is shown.
#[test]
fn a_post_quantum_preshared_key_goes_along() {
    let key = settings::ppk(PpkIdKind::Fixed, "both", "a secret of both ends");
    let connection = |end| settings::with_ppks(plain(end), std::slice::from_ref(&key), true);
    let mut world = up([0, 1].map(connection));
    crash(&mut world, again(connection(GATEWAY)));
    assert_eq!(calls_again(&mut world), [IKE_SESSION_RESUME, IKE_AUTH]);
    for end in 0..2 {
        let mixed =
            |event: &Event| matches!(event, Event::IkeUp(up) if up.ppk == PpkUse::Mixed(key.id.clone()));
        assert!(world.ends[end].events.iter().any(mixed));
    }
}

/// Peers of a gateway resume, each by a connection of its own again.
#[test]
fn a_peer_of_a_gateway_resumes() {
    let suffix = IdentityPattern::Suffix(Identity::fqdn(".example"));
    let remote_identity = IdentityMatch::OneOf(vec![suffix]);
    let gateway = Connection {
        remote: RemoteAddress::Gateway,
        remote_identity,
        children: Vec::new(),
        max_children: 0,
        ..plain(GATEWAY)
    };
    let wide = || vec![Selector::prefix([10, 0, 0, 0].into(), 8)];
    let mut admitted = Connection { remote: RemoteAddress::Admitted, ..plain(GATEWAY) };
    admitted.children.iter_mut().for_each(|child| (child.local, child.remote) = (wide(), wide()));
    let engines = [plain(CALLER), gateway.clone()];
    let mut world =
        World::new(1, [0, 1].map(|end| begin(end, 0, 0, Duration::ZERO, engines[end].clone())), false);
    world.ends[GATEWAY].admits = Some(admitted);
    call(&mut world);
    world.run_for(SECOND);
    assert_eq!(world.children(CALLER).len(), 1);
    world.ends[GATEWAY].admitted.clear();
    crash(&mut world, again(gateway));
    assert_eq!(calls_again(&mut world), [IKE_SESSION_RESUME, IKE_AUTH]);
    assert_eq!(world.ends[GATEWAY].admitted.len(), 1);
}

/// A gateway under load asks for a cookie first.
#[test]
fn a_cookie_may_be_asked_for() {
    let mut world = up([0, 1].map(plain));
    let half_open = HalfOpenLimits { cookie_threshold: Some(0), ..HalfOpenLimits::default() };
    let config = EngineConfig {
        crash_secret: Some(settings::crash_secret(GATEWAY, 0)),
        ticket_keys: Some(settings::ticket_keys(GATEWAY, 0, Duration::ZERO)),
        half_open,
        ..settings::engine_config()
    };
    crash(&mut world, with_config(GATEWAY, 1, config, plain(GATEWAY)));
    assert_eq!(calls_again(&mut world), [IKE_SESSION_RESUME, IKE_SESSION_RESUME, IKE_AUTH]);
    assert_eq!(world.ends[GATEWAY].engine.counters().cookies_demanded, 1);
}

/// ```text
///   A  IKE_SESSION_RESUME{Ni, N(TICKET_OPAQUE)}  -------  B        whose keys are others
///   A  -------  N(TICKET_NACK)  B
///   A  IKE_SA_INIT  -------  B
/// ```
#[test]
fn a_refusal_leads_to_a_full_negotiation_at_once() {
    for connection in [plain, certified] {
        let mut world = up([0, 1].map(connection));
        crash(&mut world, begin(GATEWAY, 1, 9, Duration::ZERO, connection(GATEWAY)));
        let began = world.now;
        assert_eq!(calls_again(&mut world), [IKE_SESSION_RESUME, IKE_SA_INIT, IKE_AUTH]);
        assert_eq!(not_resumed(&world), ["RV-INIT-010"]);
        assert_eq!(failures(&world, GATEWAY), ["RV-INIT-011"]);
        assert_eq!([0, 1].map(|end| resumed(&world, end)), [Some(false); 2]);
        let up = world.ends[CALLER].engine.snapshot().last().unwrap().attempt.ended.unwrap();
        assert!(up.0 - began < SECOND, "{up:?}");
    }
}

/// Who does not know the exchange says nothing.
#[test]
fn silence_leads_to_a_full_negotiation() {
    let mut world = up([0, 1].map(plain));
    crash(&mut world, again(plain(GATEWAY)));
    world.gate = Some(Box::new(|_, bytes| kind(bytes).0 != IKE_SESSION_RESUME));
    call(&mut world);
    world.run_for(15 * SECOND);
    assert_eq!(world.children(CALLER).len(), 0);
    world.run_for(SECOND);
    world.assert_converged();
    assert_eq!((world.children(CALLER).len(), not_resumed(&world)), (1, vec!["RV-NET-001"]));
}

/// The request by which the caller shows its ticket, which does not arrive.
fn shown(world: &mut World) -> Vec<u8> {
    let (sender, receiver) = std::sync::mpsc::channel();
    world.gate = Some(Box::new(move |_, bytes| {
        sender.send(bytes.to_vec()).unwrap();
        false
    }));
    call(world);
    world.run_for(SECOND / 10);
    world.command(CALLER, Command::Terminate { connection: settings::CONNECTION });
    world.gate = None;
    receiver.try_iter().find(|bytes| kind(bytes).0 == IKE_SESSION_RESUME).unwrap()
}

/// A pair whose gateway has restarted as `gateway`, and the caller's request.
fn lost(connections: [Connection; 2], gateway: Engine) -> (World, Vec<u8>) {
    let mut world = up(connections);
    crash(&mut world, gateway);
    let request = shown(&mut world);
    world.ends.iter_mut().for_each(|end| end.events.clear());
    (world, request)
}

/// What the gateway answers to a request from this host, if it does.
fn answer(world: &mut World, host: &str, bytes: &[u8]) -> Option<Message> {
    let (now, remote) = (world.at(), host.parse().unwrap());
    let datagram = Datagram { instance: 0, local: address(GATEWAY, 500), remote, bytes: bytes.to_vec() };
    let engine = &mut world.ends[GATEWAY].engine;
    engine.handle_datagram(now, datagram);
    let sent = engine.poll_transmit().map(|transmit| Outer::parse(&transmit.bytes).unwrap());
    world.drain(GATEWAY);
    match sent? {
        Outer::Clear(message) => Some(message),
        _ => panic!("an answer that is encrypted"),
    }
}

fn is_nack(message: &Option<Message>) -> bool {
    let nack = |payload: &Payload| matches!(payload, Payload::Notify(notify) if notify.notify_type == NotifyType::TicketNack);
    message.as_ref().is_some_and(|message| message.payloads.len() == 1 && message.payloads.iter().all(nack))
}

/// The same request of another attempt.
fn of_another(request: &[u8]) -> Vec<u8> {
    let mut other = request.to_vec();
    other[0] ^= 1;
    other
}

const HOST: &str = "192.0.2.1:500";

#[test]
fn a_ticket_is_accepted_once() {
    let (mut world, request) = lost([0, 1].map(plain), again(plain(GATEWAY)));
    let first = answer(&mut world, HOST, &request);
    assert!(first.is_some() && !is_nack(&first));
    assert_eq!(answer(&mut world, HOST, &request), first, "a repetition is answered as before");
    for (host, bytes) in [(HOST, of_another(&request)), ("203.0.113.9:500", request.clone())] {
        assert!(is_nack(&answer(&mut world, host, &bytes)));
    }
    assert_eq!(failures(&world, GATEWAY), ["RV-INIT-013", "RV-INIT-014"], "nobody calls from there");
    let counters = world.ends[GATEWAY].engine.counters();
    assert_eq!((counters.tickets_accepted, counters.tickets_refused), (1, 2));
    // Nobody has the keys that go with it: what was half-open is forgotten.
    world.run_for(60 * SECOND);
    assert_eq!(world.ends[GATEWAY].engine.snapshot().len(), 0);
}

#[test]
fn an_altered_ticket_is_refused() {
    let (mut world, request) = lost([0, 1].map(plain), again(plain(GATEWAY)));
    let Outer::Clear(message) = Outer::parse(&request).unwrap() else { panic!("encrypted") };
    let ticket = message.payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.notify_type == NotifyType::TicketOpaque => {
            Some(notify.data.clone())
        }
        _ => None,
    });
    let ticket = ticket.unwrap();
    let start = request.windows(ticket.len()).position(|window| window == ticket).unwrap();
    for at in start..start + ticket.len() {
        let mut altered = request.clone();
        altered[at] ^= 1 << (at % 8);
        world.now += SECOND / 10;
        assert!(is_nack(&answer(&mut world, HOST, &altered)), "octet {at}");
    }
    assert!(failures(&world, GATEWAY).iter().all(|code| *code == "RV-INIT-011"));
    assert!(answer(&mut world, HOST, &request).is_some_and(|it| it.header.responder_spi.0 != 0));
    for length in 0..request.len() {
        world.now += SECOND / 10;
        assert!(answer(&mut world, "203.0.113.9:500", &request[..length]).is_none());
    }
}

/// Good under the key before the current one, not under one before that; nor after its time, to the second.
#[test]
fn a_ticket_outlives_one_rotation_of_keys_and_not_its_lifetime() {
    let day = |hours: u64| Duration::from_secs(3600 * hours);
    let lived = |hours| IkeLifetime { soft: day(hours), hard: day(hours), jitter_percent: 0 };
    let of = |hours| [0, 1].map(|end| Connection { lifetime: lived(hours), ..plain(end) });
    let later = |hours, seconds| day(hours) + Duration::from_secs(seconds);
    // The world begins ten hours before a key is changed; eleven seconds and more go by until the ticket is shown.
    for (hours, at, expected) in [
        (24, later(0, 0), None),
        (24, later(20, 0), None),
        (24, later(23, 3550), None),
        (24, later(24, 0), Some("RV-INIT-012")),
        (24, later(34, 0), Some("RV-INIT-011")),
        (2, later(1, 3500), None),
        (2, later(2, 0), Some("RV-INIT-012")),
    ] {
        let gateway = begin(GATEWAY, 1, 0, at, of(hours)[GATEWAY].clone());
        let (mut world, request) = lost(of(hours), gateway);
        let told = answer(&mut world, HOST, &request);
        assert_eq!(is_nack(&told), expected.is_some(), "{hours} h, {at:?}");
        assert_eq!(failures(&world, GATEWAY).first().copied(), expected, "{hours} h, {at:?}");
    }
}

/// A ticket that is over is not even shown.
#[test]
fn a_ticket_that_is_over_is_not_shown() {
    let hour = Duration::from_secs(3600);
    let lifetime = IkeLifetime { soft: hour, hard: hour, jitter_percent: 0 };
    let connection = |end| Connection { lifetime, ..plain(end) };
    for (wait, first) in [(3500, IKE_SESSION_RESUME), (3600, IKE_SA_INIT)] {
        let mut world = up([0, 1].map(connection));
        crash(&mut world, again(connection(GATEWAY)));
        world.run_for(wait * SECOND);
        assert_eq!(calls_again(&mut world)[0], first);
    }
}

/// Whatever of identities, keys and algorithms is another one today, and the connection itself.
#[test]
fn a_ticket_of_another_policy_is_refused() {
    let change: [fn(&mut Connection); 6] = [
        |connection| connection.resumption = false,
        |connection| connection.remote_identity = IdentityMatch::Exact(Identity::fqdn("other.example")),
        |connection| connection.local_identity = Identity::fqdn("other.example"),
        |connection| connection.remote_auth = RemoteAuth::Psk(Zeroizing::new(b"other horse".to_vec())),
        |connection| connection.local_auth = Auth::Psk(Zeroizing::new(b"other horse".to_vec())),
        |connection| connection.proposals[0].groups = vec![Group::EcpP256],
    ];
    for (number, change) in change.into_iter().enumerate() {
        let mut changed = plain(GATEWAY);
        change(&mut changed);
        let (mut world, request) = lost([0, 1].map(plain), again(changed));
        assert!(is_nack(&answer(&mut world, HOST, &request)), "{number}");
        assert_eq!(failures(&world, GATEWAY), ["RV-INIT-014"], "{number}");
        // What was refused is not spent: set right again, it would do.
        let now = world.at();
        world.ends[GATEWAY].engine.set_connection(now, settings::CONNECTION, Some(plain(GATEWAY)));
        assert!(!is_nack(&answer(&mut world, HOST, &request)), "{number}");
    }
    let (mut world, request) = lost([0, 1].map(plain), again(plain(GATEWAY)));
    let now = world.at();
    world.ends[GATEWAY].engine.set_connection(now, settings::CONNECTION, None);
    assert!(is_nack(&answer(&mut world, HOST, &request)));
    assert_eq!(failures(&world, GATEWAY), ["RV-INIT-014"]);
}

/// The caller looks at its own side in the same way.
#[test]
fn a_caller_whose_policy_changed_negotiates_anew() {
    let mut world = up([0, 1].map(plain));
    crash(&mut world, again(plain(GATEWAY)));
    let now = world.at();
    let psk = |connection: Connection| Connection {
        local_auth: Auth::Psk(Zeroizing::new(b"other horse".to_vec())),
        remote_auth: RemoteAuth::Psk(Zeroizing::new(b"other horse".to_vec())),
        ..connection
    };
    for end in 0..2 {
        world.ends[end].engine.set_connection(now, settings::CONNECTION, Some(psk(plain(end))));
    }
    assert_eq!(calls_again(&mut world), [IKE_SA_INIT, IKE_AUTH]);
    assert_eq!(not_resumed(&world), ["RV-INIT-014"]);
}

/// A certificate that leads to no anchor any more resumes nothing, whosever it is.
#[test]
fn certificates_are_judged_again() {
    for judging in [CALLER, GATEWAY] {
        let mut world = up([0, 1].map(certified));
        crash(&mut world, again(certified(GATEWAY)));
        let seen = watch(&mut world);
        world.ends[judging].hold = |kind| matches!(kind, WantKind::Verdict(_));
        call(&mut world);
        world.run_for(SECOND);
        let want = world.ends[judging].held.remove(0);
        world.ends[judging].hold = |_| false;
        let error = AnswerError { code: "RV-PKI-033".into(), text: "revoked".into() };
        let now = world.at();
        world.ends[judging].engine.handle_answer(now, want.ticket, Answer::Verdict(Err(error)));
        world.drain(judging);
        world.run_for(2 * SECOND);
        world.assert_converged();
        let sent: Vec<u8> = seen.try_iter().filter(|exchange| *exchange != IKE_SESSION_RESUME).collect();
        assert_eq!(sent, [IKE_SA_INIT, IKE_AUTH]);
        let (told, here) =
            if judging == CALLER { ("RV-AUTH-005", vec![]) } else { ("RV-INIT-010", vec!["RV-AUTH-005"]) };
        assert_eq!((not_resumed(&world), failures(&world, GATEWAY)), (vec![told], here));
    }
}

/// Who is locked out is not heard, ticket or not.
#[test]
fn a_caller_that_is_locked_out_is_not_heard() {
    let strict = Connection { lockout: Some(Lockout::default()), ..plain(GATEWAY) };
    let (mut world, request) = lost([plain(CALLER), strict.clone()], again(strict));
    let now = world.at();
    let wrong =
        Connection { local_auth: Auth::Psk(Zeroizing::new(b"wrong horse".to_vec())), ..plain(CALLER) };
    world.ends[CALLER].engine.set_connection(now, settings::CONNECTION, Some(wrong));
    for _ in 0..3 {
        call(&mut world);
        world.run_for(70 * SECOND);
    }
    assert_eq!(world.ends[GATEWAY].engine.counters().lockouts, 1);
    assert_eq!(answer(&mut world, HOST, &request), None);
    let other = answer(&mut world, "192.0.2.1:501", &request);
    assert!(other.is_some() && !is_nack(&other), "another port is another caller");
}

/// A ticket is for who asks, from who has them.
#[test]
fn no_ticket_is_given_without_a_request() {
    for resuming in 0..2 {
        let connection = |end| Connection { resumption: end == resuming, ..plain(end) };
        let mut world = up([0, 1].map(connection));
        crash(&mut world, again(connection(GATEWAY)));
        assert_eq!(calls_again(&mut world), [IKE_SA_INIT, IKE_AUTH], "only {resuming} resumes");
        assert!(not_resumed(&world).is_empty());
    }
}

/// An IKE SA that somebody closed is not resumed (RFC 5723 §6.2): the caller forgets its ticket, the gateway what it is
/// worth, also where the caller does not forget.
#[test]
fn what_was_closed_is_not_resumed() {
    for closing in 0..2 {
        let mut world = up([0, 1].map(plain));
        world.command(closing, Command::Terminate { connection: settings::CONNECTION });
        world.run_for(20 * SECOND);
        assert_eq!(calls_again(&mut world), [IKE_SA_INIT, IKE_AUTH]);
    }
    // The caller believes its IKE SA lost, and the gateway has closed it meanwhile.
    let mut world = up([0, 1].map(plain));
    world.gate = Some(Box::new(|_, _| false));
    world.command(GATEWAY, Command::Terminate { connection: settings::CONNECTION });
    world.run_for(60 * SECOND);
    let sent = calls_again(&mut world);
    assert_eq!(sent, [IKE_SESSION_RESUME, IKE_SA_INIT, IKE_AUTH]);
    assert!(failures(&world, GATEWAY).contains(&"RV-INIT-013"));
}

/// Crashes at any time, in a bad world, with keys kept and lost, of a gateway and of a caller: in the end all is as it was.
#[test]
fn seeded_lives_with_crashes() {
    let (mut resumed, mut not) = (0, 0);
    for seed in 0..60u64 {
        let mut dice = Dice(seed);
        let connection = if dice.chance(300) { certified } else { plain };
        let mut world = up([0, 1].map(connection));
        world.dice = Dice(dice.roll());
        world.faults = Faults {
            loss: dice.below(200),
            repeat: dice.below(300),
            delay: 1000 + dice.below(300_000),
            answer_delay: 1 + dice.below(100_000),
            answer_fails: dice.below(20),
            ..Faults::default()
        };
        for life in 1..6 {
            for end in 0..2 {
                if let (Some(ike), true) = (world.ikes(end).first().copied(), dice.chance(300)) {
                    world.command(end, Command::RekeyIke { ike });
                }
            }
            world.run_for(dice.below(3 * SECOND));
            let crashed = if dice.chance(800) { GATEWAY } else { CALLER };
            let generation = if dice.chance(700) { 0 } else { life };
            world.restart(crashed, begin(crashed, life, generation, Duration::ZERO, connection(crashed)));
            world.run_for(dice.below(20 * SECOND));
            if dice.chance(800) {
                call(&mut world);
            }
            world.run_for(dice.below(20 * SECOND));
        }
        world.faults = Faults { delay: 1000, ..Faults::default() };
        world.run_for(150 * SECOND);
        call(&mut world);
        for _ in 0..6 {
            world.run_for(10 * SECOND);
            world.traffic();
        }
        world.assert_converged();
        assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1), "{seed}");
        resumed += world.tally.resumed;
        not += not_resumed(&world).len();
    }
    assert!(resumed > 40 && not > 10, "{resumed} and {not}: tickets hardly mattered");
}
