//! What the engine's events make of a tunnel, and of its journal.

use super::*;
use ravelin_ike::config::{AdditionalGroups, Encryption, Group, Identity, Prf};
use ravelin_ike::event::Proof;

fn up(ike: u64) -> Event {
    let address = std::net::SocketAddr::from(([192, 0, 2, 1], 500));
    Event::IkeUp(Box::new(IkeUp {
        ike: IkeId(ike),
        connection: ConnectionId(1),
        role: Role::Initiator,
        initiator_spi: ike,
        responder_spi: ike,
        suite: IkeSuite {
            encryption: Encryption::AesGcm128,
            integrity: None,
            prf: Prf::HmacSha256,
            group: Group::X25519,
            additional: AdditionalGroups::NONE,
        },
        ppk: PpkUse::NotConfigured,
        path: Path {
            instance: 0,
            local: address,
            remote: address,
            udp_encapsulation: false,
            remote_behind_nat: false,
            mobike: false,
        },
        local_behind_nat: false,
        local_identity: Identity::address(address.ip()),
        own_certificate: None,
        remote_identity: Identity::address(address.ip()),
        remote_proof: Proof::SharedKey,
        second: Default::default(),
        redirectable: false,
        resumed: false,
    }))
}

/// Takes in an event at this time, where a child has carried so many packets.
fn take(status: &mut Status, event: Event, (seconds, packets): (u64, u64), journal: &Journal) {
    let carried = Carried { received: (packets, 100 * packets), sent: (packets / 2, 50 * packets) };
    let roster = Roster::default();
    let around = Around {
        now: Instant(seconds * 1_000_000),
        roster: &roster,
        journal,
        instance: &|_| "blue".to_owned(),
        carried: &|_| carried,
        worker: &|_| Some(3),
    };
    status.event(event, &around);
}

/// Where both ends called at once, the one that is closed takes the other from nobody's sight.
#[test]
fn the_other_of_two_calls_stays_in_sight() {
    let (mut status, journal) = (Status::default(), Journal::default());
    let mut tell = |event| take(&mut status, event, (0, 0), &journal);
    let down =
        |ike| Event::IkeDown { ike: IkeId(ike), connection: ConnectionId(1), reason: Failure::Superseded };
    [up(1), up(2), down(2)].into_iter().for_each(&mut tell);
    let tunnel = |status: &Status| status.tunnel(ConnectionId(1)).unwrap().clone();
    let spis = |status: &Status| tunnel(status).ike().map(|ike| ike.words.spis.to_string());
    assert_eq!(spis(&status).as_deref(), Some("0000000000000001_i 0000000000000001_r"));
    assert!(tunnel(&status).reason.is_none());
    take(&mut status, down(1), (0, 0), &journal);
    assert!(tunnel(&status).ike().is_none() && tunnel(&status).reason.is_some());
}

fn child(config: u32) -> ChildUp {
    ChildUp {
        child: ChildSaId(config.into()),
        ike: IkeId(1),
        connection: ConnectionId(1),
        config: ChildId(config),
        spi_in: config,
        spi_out: config,
        suite: ravelin_ike::want::EspSuite {
            encryption: Encryption::AesGcm128,
            integrity: None,
            group: None,
            additional: AdditionalGroups::NONE,
            extended_sequence: false,
        },
        local: Vec::new(),
        remote: Vec::new(),
        takes_more: false,
    }
}

fn failed(config: u32, reason: Failure) -> Event {
    let (ike, connection, config) = (IkeId(1), ConnectionId(1), Some(ChildId(config)));
    Event::ChildFailed { ike, connection, config, rekey_of: None, reason }
}

/// Each child has a state and a reason of its own; one that is refused is the reason the tunnel is degraded, in
/// whatever order they come.
#[test]
fn one_refused_child_is_no_trouble_of_the_others() {
    let (mut status, journal) = (Status::default(), Journal::default());
    (1..=3).for_each(|config| status.asked(ConnectionId(1), ChildId(config)));
    let mut tell = |event| take(&mut status, event, (0, 0), &journal);
    tell(up(1));
    tell(failed(2, Failure::TsRefused));
    tell(Event::ChildUp(Box::new(child(1))));
    let tunnel = status.tunnel(ConnectionId(1)).unwrap().clone();
    let states = [1, 2, 3].map(|config| tunnel.child_state(ChildId(config)));
    assert_eq!(states, [State::Up, State::Down, State::Connecting]);
    let whys = [1, 2, 3].map(|config| tunnel.why_child(ChildId(config)).map(Failure::code));
    assert_eq!(whys, [None, Some("RV-CHILD-002"), None]);
    assert_eq!((tunnel.state(3), tunnel.why().map(Failure::code)), (State::Degraded, Some("RV-CHILD-002")));
    // It comes after all, and what the peer asked for beyond that changes nothing.
    let mut tell = |event| take(&mut status, event, (0, 0), &journal);
    (2..=3).for_each(|config| tell(Event::ChildUp(Box::new(child(config)))));
    let (ike, connection) = (IkeId(1), ConnectionId(1));
    let reason = Failure::TsUnacceptable;
    tell(Event::ChildFailed { ike, connection, config: None, rekey_of: None, reason });
    let tunnel = status.tunnel(connection).unwrap();
    assert_eq!((tunnel.state(3), tunnel.why()), (State::Up, None));
}

/// TG-21: what was agreed is told when it comes up, and when it ends how long it was and what it carried: that of
/// this session, rekeys included, and of the IKE SA that of its children.
#[test]
fn a_session_is_told_from_its_beginning_to_its_end() {
    let (mut status, journal) = (Status::default(), Journal::default());
    let (ike, connection, config) = (IkeId(1), ConnectionId(1), ChildId(1));
    take(&mut status, up(1), (10, 0), &journal);
    take(&mut status, Event::ChildUp(Box::new(child(1))), (11, 4), &journal);
    let new = Box::new(ChildUp { child: ChildSaId(9), ..child(1) });
    take(&mut status, Event::ChildRekeyed { old: ChildSaId(1), new }, (20, 6), &journal);
    let carried = Carried { received: (10, 1000), sent: (5, 500) };
    status.count_out(connection, config, carried);
    let reason = Failure::Terminated;
    let down = Event::ChildDown { child: ChildSaId(9), ike, connection, config, reason: reason.clone() };
    take(&mut status, down, (31, 0), &journal);
    take(&mut status, Event::IkeDown { ike, connection, reason }, (32, 0), &journal);
    let events = journal.read(0, std::time::Duration::ZERO);
    let of = |what: &str| events.iter().find(|event| event.what == what).unwrap();
    let detail = |what: &str, name: &str| of(what).details.get(name).cloned().unwrap_or_default();
    assert_eq!(detail("ike-up", "suite"), "aes128gcm16-prfsha256-x25519");
    assert_eq!(
        (detail("ike-up", "instance"), detail("ike-up", "encapsulation")),
        ("blue".into(), "esp".into())
    );
    assert_eq!(
        (detail("child-up", "suite"), detail("child-up", "worker")),
        ("aes128gcm16".into(), "3".into())
    );
    assert_eq!(detail("child-up", "selectors"), " === ");
    for (what, seconds) in [("child-down", "20"), ("ike-down", "22")] {
        assert_eq!(detail(what, "duration-seconds"), seconds);
        assert_eq!((detail(what, "in-packets"), detail(what, "in-octets")), ("6".into(), "600".into()));
        assert_eq!((detail(what, "out-packets"), detail(what, "out-octets")), ("3".into(), "300".into()));
        assert!(of(what).text.starts_with("RV-END-"), "{}", of(what).text);
        assert!(of(what).text.ends_with("out-packets 3; out-octets 300"), "{}", of(what).text);
    }
}
