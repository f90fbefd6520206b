//! Which of our certificates a peer is shown, by what its CERTREQ asks for (RFC 7296 §3.7), and how many CERT payloads
//! that makes: certificates of a root (CA1) and of an authority below it (CA1_1), in both roles.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{World, settings};
use ravelin_ike::Engine;
use ravelin_ike::config::{
    Auth, CertificateAuth, Choice, Connection, IdKind, Identity, IdentityMatch, OwnCertificate, Reason,
    RemoteAuth,
};
use ravelin_ike::event::{Event, IkeUp};
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;

const SECOND: u64 = 1_000_000;
/// Hashes of the keys of authorities.
const CA1: [u8; 20] = [1; 20];
const CA1_1: [u8; 20] = [11; 20];
const CA2: [u8; 20] = [2; 20];

/// What an end has in this place: of the root, or of the authority below it, whose certificate goes along.
fn of(end: usize, place: usize, authorities: &[[u8; 20]]) -> OwnCertificate {
    let leaf = settings::certificate(end + 10 * place);
    let chain = match authorities.contains(&CA1_1) {
        true => vec![leaf, b"CA1_1".to_vec()],
        false => vec![leaf],
    };
    let subject = subject(end, place).data;
    OwnCertificate { chain, authorities: authorities.to_vec(), subject, ..settings::own_certificate(end, 0) }
}

fn subject(end: usize, place: usize) -> Identity {
    Identity { kind: IdKind::DistinguishedName, data: vec![0x30, 3, 0x31, 1, (end + 10 * place) as u8] }
}

fn end(end: usize, own: Vec<OwnCertificate>, asks: &[[u8; 20]]) -> Connection {
    let remote_auth = RemoteAuth::Certificate { authorities: asks.to_vec(), schemes: vec![] };
    Connection { remote_auth, ..settings::showing(settings::connection(end), own) }
}

/// End 0 has called end 1.
fn up(connections: [Connection; 2]) -> World {
    let mut seed = 1;
    let engines = connections.map(|connection| {
        seed += 1;
        let mut engine = Engine::new(settings::engine_config(), [seed; 32]);
        engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
        engine
    });
    let mut world = World::new(1, engines, true);
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(SECOND);
    assert_eq!([0, 1].map(|end| world.children(end).len()), [1, 1]);
    world.assert_converged();
    world
}

/// What an end was told of the IKE SA that came up.
fn told<'w>(world: &'w World, end: usize) -> &'w IkeUp {
    let up = |event: &'w Event| if let Event::IkeUp(up) = event { Some(&**up) } else { None };
    world.ends[end].events.iter().find_map(up).unwrap()
}

/// Certificates that the caller and the called end were shown, in CERT payloads.
fn presented(world: &World) -> [usize; 2] {
    [0, 1].map(|end| world.ends[end].presented[0])
}

/// ```text
///   A  CERTREQ{CA1}  -------  B      A knows the root alone, B also the authority below it
///   A  CERT ...  -------  B
///   A  -------  CERT ...  B
/// ```
/// The four flows: one end has a certificate of the root, the other one of CA1_1, in either role. Each has another one
/// before it that nobody asks for.
#[test]
fn each_is_shown_the_chain_that_it_asks_for() {
    let root = |end_| vec![of(end_, 0, &[CA2]), of(end_, 1, &[CA1])];
    let below = |end_| vec![of(end_, 0, &[CA2]), of(end_, 1, &[CA1_1, CA1])];
    let flows: [(Vec<OwnCertificate>, Vec<OwnCertificate>, [usize; 2]); 4] = [
        (root(0), below(1), [2, 1]),
        (below(0), root(1), [1, 2]),
        (below(0), below(1), [2, 2]),
        (root(0), root(1), [1, 1]),
    ];
    for (caller, called, counts) in flows {
        // Who has a certificate of the authority below trusts that as well.
        let asks = |own: &[OwnCertificate]| own[1].authorities.clone();
        let asked = [asks(&caller), asks(&called)];
        let world = up([end(0, caller, &asked[0]), end(1, called, &asked[1])]);
        assert_eq!(presented(&world), counts);
        let shown = Some(Choice { entry: 1, reason: Reason::Requested });
        assert_eq!([0, 1].map(|end| told(&world, end).own_certificate), [shown; 2]);
    }
}

/// LIM-09: the authority that decides may be the last of many; beyond 128 nobody looks.
#[test]
fn the_authority_that_decides_may_be_asked_for_late() {
    let others = (0..).map(|number: u16| {
        let mut hash = [0xff; 20];
        hash[..2].copy_from_slice(&number.to_be_bytes());
        hash
    });
    for (before, entry, reason) in [
        (0, 1, Reason::Requested),
        (16, 1, Reason::Requested),
        (127, 1, Reason::Requested),
        (128, 0, Reason::NothingFits),
    ] {
        let asks: Vec<[u8; 20]> = others.clone().take(before).chain([CA1]).collect();
        let own = |end| vec![of(end, 0, &[CA2]), of(end, 1, &[CA1])];
        let world = up([end(0, own(0), &asks), end(1, own(1), &asks)]);
        let shown = Some(Choice { entry, reason });
        assert_eq!([0, 1].map(|end| told(&world, end).own_certificate), [shown; 2], "behind {before}");
    }
}

/// Whom nothing fits, or who asks for nobody, is shown the first certificate.
#[test]
fn who_asks_for_nothing_we_have_is_shown_the_first() {
    for (asks, reason) in [(vec![], Reason::NotAsked), (vec![[9; 20]], Reason::NothingFits)] {
        let own = |end| vec![of(end, 0, &[CA1_1, CA1]), of(end, 1, &[CA2])];
        let world = up([end(0, own(0), &asks), end(1, own(1), &asks)]);
        assert_eq!(presented(&world), [2, 2]);
        let shown = Some(Choice { entry: 0, reason });
        assert_eq!([0, 1].map(|end| told(&world, end).own_certificate), [shown; 2]);
    }
}

/// Where certificates say who we are, it is the one that is shown that says so, to a peer that asked for us by that name
/// and to any other.
#[test]
fn the_certificate_that_is_shown_says_who_we_are() {
    let named = |end_: usize| {
        let own = vec![of(end_, 0, &[CA2]), of(end_, 1, &[CA1])];
        let connection = end(end_, own, &[CA1]);
        let Auth::Certificate(own) = &connection.local_auth else { panic!() };
        let own = CertificateAuth { names_us: true, ..own.clone() };
        Connection {
            local_auth: Auth::Certificate(own),
            local_identity: subject(end_, 0),
            remote_identity: IdentityMatch::Any,
            ..connection
        }
    };
    let exact = Connection { remote_identity: IdentityMatch::Exact(subject(1, 1)), ..named(0) };
    for caller in [named(0), exact] {
        let world = up([caller, named(1)]);
        for end in [0, 1] {
            let up = told(&world, end);
            assert_eq!((&up.local_identity, &up.remote_identity), (&subject(end, 1), &subject(1 - end, 1)));
        }
    }
}
