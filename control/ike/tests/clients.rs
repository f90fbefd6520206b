//! Clients of a gateway (TS-11 to TS-14): which one a caller is, is known with its IDi, and from then on the key of that
//! client alone decides; no other client's, nor the gateway's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{World, failures, pair, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{
    Auth, Client, ClientMatch, Clients, Connection, Criteria, EngineConfig, Identity, IdentityMatch,
    IdentityPattern, Prefix, RemoteAddress, RemoteAuth,
};
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

const SECOND: u64 = 1_000_000;
const CALLER: usize = 0;
const GATEWAY: usize = 1;

fn key(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}

/// A caller of this name, with this key on both sides.
fn caller(name: &str, psk: &str) -> Connection {
    Connection {
        local_identity: Identity::fqdn(name),
        local_auth: Auth::Psk(key(psk)),
        remote_auth: RemoteAuth::Psk(key(psk)),
        ..settings::connection(CALLER)
    }
}

fn client(name: &str, identity: &str, psk: Option<&str>) -> (Client, Criteria) {
    let identities = vec![IdentityPattern::Exact(Identity::fqdn(identity))];
    let client = Client { name: name.to_owned(), psk: psk.map(key), certificate: false };
    (client, Criteria { places: Vec::new(), identities })
}

/// The gateway's own key is that of the settings.
fn gateway(fallback: bool, clients: Vec<(Client, Criteria)>) -> Connection {
    Connection {
        remote: RemoteAddress::Gateway,
        remote_identity: IdentityMatch::Any,
        children: Vec::new(),
        max_children: 0,
        clients: Some(Arc::new(Clients::new("branches", fallback, clients))),
        ..settings::connection(GATEWAY)
    }
}

fn two(fallback: bool) -> Connection {
    let clients = [client("a", "a.example", Some("key of a")), client("b", "b.example", Some("key of b"))];
    gateway(fallback, clients.into())
}

/// What a peer gets is the usual.
fn admitted() -> Connection {
    Connection { remote: RemoteAddress::Admitted, ..settings::connection(GATEWAY) }
}

fn called(caller: Connection, gateway: Connection) -> World {
    let mut world = pair([caller, gateway]);
    world.ends[GATEWAY].admits = Some(admitted());
    world.command(CALLER, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(60 * SECOND);
    world
}

fn client_of(world: &World) -> &[ClientMatch] {
    &world.ends[GATEWAY].clients
}

/// Each by its own key: both are up, and the gateway is told which client each is.
#[test]
fn each_client_has_a_key_of_its_own() {
    for (name, psk, client) in [("a.example", "key of a", "a"), ("b.example", "key of b", "b")] {
        let world = called(caller(name, psk), two(false));
        world.assert_converged();
        assert_eq!(client_of(&world), [ClientMatch::Client(client.into())]);
    }
}

/// The key of another client is wrong, and so is the gateway's: under no name does a caller get in by a key that is not
/// of the client of that name, and it is told no more than that.
#[test]
fn no_other_key_is_tried() {
    for (name, psk) in [
        ("a.example", "key of b"),
        ("b.example", "key of a"),
        ("a.example", "correct horse"),
        ("a.example", ""),
    ] {
        for fallback in [false, true] {
            let world = called(caller(name, psk), two(fallback));
            assert_eq!(
                (world.tally.ike_up, failures(&world, GATEWAY)),
                (0, vec!["RV-AUTH-002"]),
                "{name} {psk}"
            );
            assert_eq!(failures(&world, CALLER), ["RV-AUTH-001"]);
            assert!(client_of(&world).is_empty(), "nobody was to be let in");
            world.assert_empty();
            let callers = world.ends[GATEWAY].engine.recorder().callers(settings::CONNECTION);
            let told = callers.flat_map(|(_, attempts)| attempts).last().unwrap().offered.clone();
            let client = format!("; it is client {}", &name[..1]);
            assert!(told.ends_with(&client) && told.contains(name), "{told}");
        }
    }
}

/// Who is no client is refused by name, or met as the gateway alone would: by the gateway's key, and by no client's.
#[test]
fn who_is_no_client_is_refused_or_falls_back() {
    let world = called(caller("c.example", "correct horse"), two(false));
    assert_eq!((world.tally.ike_up, failures(&world, GATEWAY)), (0, vec!["RV-AUTH-018"]));
    assert_eq!(failures(&world, CALLER), ["RV-AUTH-001"], "as any other wrong proof");
    world.assert_empty();
    let world = called(caller("c.example", "correct horse"), two(true));
    world.assert_converged();
    let [ClientMatch::Nobody(nobody)] = client_of(&world) else { panic!("{:?}", client_of(&world)) };
    assert!(nobody.to_string().contains("not for identity c.example (client-db branches)"), "{nobody}");
    let world = called(caller("c.example", "key of a"), two(true));
    assert_eq!((world.tally.ike_up, failures(&world, GATEWAY)), (0, vec!["RV-AUTH-002"]));
}

/// Where the caller is counts too, and the first client that fits is it, whatever others would say.
#[test]
fn place_and_order_decide() {
    let here = |place: Prefix, psk: &str| {
        let (client, criteria) = client(psk, "a.example", Some(psk));
        (client, Criteria { places: vec![place], ..criteria })
    };
    let (near, far) = (Prefix::new(settings::outer(CALLER), 24), Prefix::new([203, 0, 113, 0].into(), 24));
    for (clients, psk) in [
        (vec![here(far, "far"), here(near, "near")], "near"),
        (vec![here(near, "first"), here(near, "second")], "first"),
    ] {
        let gateway = gateway(false, clients);
        let world = called(caller("a.example", psk), gateway.clone());
        world.assert_converged();
        for other in ["far", "second"] {
            let world = called(caller("a.example", other), gateway.clone());
            assert_eq!((world.tally.ike_up, failures(&world, GATEWAY)), (0, vec!["RV-AUTH-002"]), "{other}");
        }
    }
}

/// A client without a key of its own has the gateway's, with certificates too, beside one that has.
#[test]
fn a_client_without_a_key_proves_itself_to_the_gateway() {
    let clients = [client("a", "a.example", None), client("b", "b.example", Some("key of b"))];
    let world = called(caller("a.example", "correct horse"), gateway(false, clients.clone().into()));
    world.assert_converged();
    let by_certificate = Connection {
        local_auth: settings::with_certificates(GATEWAY).local_auth,
        remote_auth: settings::with_certificates(GATEWAY).remote_auth,
        ..gateway(false, clients.into())
    };
    let certified =
        Connection { local_identity: Identity::fqdn("a.example"), ..settings::with_certificates(CALLER) };
    let world = called(certified, by_certificate.clone());
    world.assert_converged();
    assert_eq!(client_of(&world), [ClientMatch::Client("a".into())]);
    let world = called(caller("b.example", "key of b"), by_certificate.clone());
    assert_eq!(client_of(&world), [ClientMatch::Client("b".into())]);
    let world = called(caller("a.example", "key of b"), by_certificate);
    assert_eq!((world.tally.ike_up, failures(&world, GATEWAY)), (0, vec!["RV-AUTH-006"]));
}

/// A gateway by certificates, beside which this key will do.
fn moving(psk: &str, gateway: Connection) -> Connection {
    let certificates = settings::with_certificates(GATEWAY);
    let RemoteAuth::Certificate { authorities, schemes } = certificates.remote_auth else { unreachable!() };
    let remote_auth = RemoteAuth::Either { psk: key(psk), authorities, schemes };
    Connection { local_auth: certificates.local_auth, remote_auth, ..gateway }
}

fn certified(name: &str) -> Connection {
    Connection { local_identity: Identity::fqdn(name), ..settings::with_certificates(CALLER) }
}

/// While a peer moves from a pre-shared key to a certificate it comes in by either, and we prove ourselves as it does; by
/// another key it does not, and no longer once the key is gone (TG-27).
#[test]
fn either_proof_will_do_while_a_peer_moves() {
    let open = || Connection { clients: None, ..gateway(true, Vec::new()) };
    called(caller("a.example", "key of a"), moving("key of a", open())).assert_converged();
    called(certified("a.example"), moving("key of a", open())).assert_converged();
    let moved = Connection {
        remote_auth: settings::with_certificates(GATEWAY).remote_auth,
        ..moving("key of a", open())
    };
    for (psk, gateway, code) in
        [("key of b", moving("key of a", open()), "RV-AUTH-002"), ("key of a", moved, "RV-AUTH-006")]
    {
        let world = called(caller("a.example", psk), gateway);
        assert_eq!((world.tally.ike_up, failures(&world, GATEWAY)), (0, vec![code]));
    }
}

/// A single client moves: its own key or the gateway's certificates, and the gateway's key never.
#[test]
fn one_client_moves_and_others_do_not() {
    let mut clients =
        vec![client("a", "a.example", Some("key of a")), client("b", "b.example", Some("key of b"))];
    clients[0].0.certificate = true;
    let gateway = || {
        let certificates = settings::with_certificates(GATEWAY);
        let (local_auth, remote_auth) = (certificates.local_auth, certificates.remote_auth);
        Connection { local_auth, remote_auth, ..gateway(false, clients.clone()) }
    };
    for caller in [caller("a.example", "key of a"), certified("a.example"), caller("b.example", "key of b")] {
        called(caller, gateway()).assert_converged();
    }
    for (caller, code) in [
        (certified("b.example"), "RV-AUTH-006"),
        (caller("a.example", "key of b"), "RV-AUTH-002"),
        (caller("b.example", "key of a"), "RV-AUTH-002"),
    ] {
        let world = called(caller, gateway());
        assert_eq!((world.tally.ike_up, failures(&world, GATEWAY)), (0, vec![code]));
    }
    // Where the gateway has no certificates, there is nothing but the key.
    let by_key = self::gateway(false, clients.clone());
    called(caller("a.example", "key of a"), by_key).assert_converged();
}

/// An engine with tickets.
fn engine(end: usize, life: u8, connection: Connection) -> Engine {
    let config = EngineConfig {
        crash_secret: Some(settings::crash_secret(end, 0)),
        ticket_keys: Some(settings::ticket_keys(end, 0, Duration::ZERO)),
        ..settings::engine_config()
    };
    let mut engine = Engine::new(config, [end as u8 + 2 * life + 1; 32]);
    let connection = Connection { resumption: true, ..connection };
    engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
    engine
}

/// A ticket is worth what the client of today has of the proof behind it (RFC 5723 §5): the same key under the same
/// client or another, and the session is resumed, for the client of today; another key, no client, or the gateway's own
/// key in place of the client's, and the caller proves itself anew, or cannot.
#[test]
fn a_ticket_is_held_against_the_client_of_today() {
    let a = |name: &str, psk| vec![client(name, "a.example", psk)];
    let as_client = |name: &str| Some(ClientMatch::Client(name.into()));
    for (today, resumed, met) in [
        (gateway(false, a("a", Some("key of a"))), true, as_client("a")),
        (gateway(false, a("renamed", Some("key of a"))), true, as_client("renamed")),
        (gateway(false, a("a", Some("key of b"))), false, None),
        (gateway(false, a("a", None)), false, None),
        (gateway(true, vec![]), false, None),
        (gateway(false, vec![]), false, None),
        // It moves, and still has the key that the session goes back to.
        (
            moving("key of a", Connection { clients: None, ..gateway(true, vec![]) }),
            true,
            Some(ClientMatch::NotAsked),
        ),
        (moving("key of b", Connection { clients: None, ..gateway(true, vec![]) }), false, None),
    ] {
        let engines = [engine(CALLER, 0, caller("a.example", "key of a")), engine(GATEWAY, 0, two(false))];
        let mut world = World::new(1, engines, false);
        world.ends[GATEWAY].admits = Some(Connection { resumption: true, ..admitted() });
        let call = |world: &mut World| {
            world.command(CALLER, Command::Initiate { connection: settings::CONNECTION, child: None });
        };
        call(&mut world);
        world.run_for(SECOND);
        world.assert_converged();
        let told = format!("{today:?}");
        world.restart(GATEWAY, engine(GATEWAY, 1, today));
        world.ends[GATEWAY].admits = Some(Connection { resumption: true, ..admitted() });
        world.ends[GATEWAY].admitted.clear();
        world.ends[GATEWAY].clients.clear();
        world.run_for(11 * SECOND);
        let before = world.tally.resumed;
        call(&mut world);
        world.run_for(5 * SECOND);
        assert_eq!(world.tally.resumed > before, resumed, "{told}");
        assert_eq!(client_of(&world), Vec::from_iter(met), "{told}");
    }
}
