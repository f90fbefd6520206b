//! `lookup` says what workers do: each packet that is asked about is sent, too.

use super::*;
use crate::api::Reply;
use crate::api::reply::Lookup;
use crate::api::request;

const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

fn ask(bench: &mut Bench, source: IpAddr, destination: IpAddr, protocol: &str) -> Result<Lookup, ApiError> {
    let ports = (protocol == "udp").then_some(7000);
    let (source_port, destination_port, protocol, instance) = (ports, ports, protocol.into(), None);
    let asked = request::Lookup { source, destination, protocol, source_port, destination_port, instance };
    match bench.core.answer(&Request::Lookup(asked))? {
        Reply::Lookup(lookup) => Ok(*lookup),
        other => panic!("{other:?}"),
    }
}

fn dropped(bench: &mut Bench, reason: &str) -> u64 {
    let name = format!("drop-{reason}");
    bench.view().counters.iter().find(|counter| counter.name == name).unwrap().value
}

/// A packet that is carried: by that child, with that SPI.
#[test]
fn who_carries_a_packet_is_who_is_named() {
    let mut bench = Bench::new();
    let found = ask(&mut bench, HOST.into(), BEHIND.into(), "udp").unwrap();
    assert_eq!((found.verdict.as_str(), found.tunnel.as_str(), found.worker), ("protect", "fixed", Some(0)));
    let (route, outer) = (found.route.unwrap(), found.outer_route.unwrap());
    assert_eq!((route.destination.as_str(), route.next_hop.as_str()), ("10.1.0.0/24", "tunnel fixed"));
    assert_eq!((outer.next_hop.as_str(), outer.interface.as_str()), ("192.0.2.1", "wan"));
    assert_eq!(found.arrival, "from the wire on lan");
    let (out, _) = bench.send(&v4(HOST, BEHIND, 100, false));
    assert_eq!(spi(&out).map(|spi| format!("{spi:08x}")), Some(found.spi));
    let back = ask(&mut bench, BEHIND.into(), HOST.into(), "tcp").unwrap();
    assert_eq!((back.verdict.as_str(), back.arrival.as_str()), ("forward", "out of tunnel fixed"));
    let ours = ask(&mut bench, HOST.into(), Ipv4Addr::new(10, 2, 0, 1).into(), "icmp").unwrap();
    assert_eq!(ours.verdict, "local");
}

/// A packet that is dropped: under the reason that is named, which is the counter that moves.
#[test]
fn why_a_packet_is_dropped_is_what_is_counted() {
    let mut bench = Bench::new();
    let behind_called = Ipv4Addr::new(10, 9, 0, 2);
    for (source, destination, reason) in [
        (HOST, behind_called, "no-sa"),
        (HOST, PEER, "policy-miss"),
        (HOST, Ipv4Addr::new(203, 0, 113, 9), "no-route"),
        (STRANGER, BEHIND, "policy-miss"),
        (Ipv4Addr::new(127, 0, 0, 1), BEHIND, "bad-source"),
        // On our link, and silent.
        (HOST, Ipv4Addr::new(192, 0, 2, 77), "policy-miss"),
    ] {
        let before = dropped(&mut bench, reason);
        bench.send(&v4(source, destination, 100, false));
        assert_eq!(dropped(&mut bench, reason), before + 1, "{source} to {destination}");
        let found = ask(&mut bench, source.into(), destination.into(), "udp").unwrap();
        assert_eq!((found.verdict.as_str(), found.drop.as_str()), ("drop", reason), "{found:?}");
        assert!(!found.reason.is_empty());
    }
    let down = ask(&mut bench, HOST.into(), behind_called.into(), "udp").unwrap();
    assert_eq!((down.tunnel.as_str(), down.child.as_str(), down.spi.as_str()), ("called", "called", ""));
}

/// Where no child takes a packet, the nearest is named with what the packet misses.
#[test]
fn the_nearest_child_is_named() {
    let mut bench = Bench::new();
    let found = ask(&mut bench, STRANGER.into(), BEHIND.into(), "udp").unwrap();
    let near: Vec<_> = found.nearest.iter().map(|near| (near.child.as_str(), near.misses.clone())).collect();
    let misses = vec!["address 10.77.0.1 outside local-ts 10.2.0.0/24".to_owned()];
    assert_eq!(near, [("fixed", misses)], "the route leads into one tunnel");
    let found = ask(&mut bench, HOST.into(), Ipv4Addr::new(10, 8, 0, 1).into(), "udp").unwrap();
    let near: Vec<_> = found.nearest.iter().map(|near| near.child.as_str()).collect();
    assert_eq!(
        (found.drop.as_str(), near),
        ("no-route", vec!["called", "fixed"]),
        "10.9 is closer than 10.1"
    );
    let text = crate::api::render::text(&Reply::Lookup(Box::new(found)));
    assert!(
        text.contains("nearest: tunnel called, child called: address 10.8.0.1 outside remote-ts"),
        "{text}"
    );
}

/// An instance out of service takes no packet, and whose wall fell is said.
#[test]
fn an_instance_out_of_service_takes_nothing() {
    let mut bench = Bench::new();
    bench.tell(no_nft());
    let found = ask(&mut bench, HOST.into(), BEHIND.into(), "udp").unwrap();
    assert_eq!((found.drop.as_str(), found.reason_code.as_str()), ("unknown-interface", "RV-INST-002"));
    let before = dropped(&mut bench, "unknown-interface");
    bench.send(&v4(HOST, BEHIND, 100, false));
    assert_eq!(dropped(&mut bench, "unknown-interface"), before + 1);
}

/// What is no packet is refused as such, and so is an instance that is not there.
#[test]
fn what_is_no_packet_is_refused() {
    let mut bench = Bench::new();
    let refused = [
        ask(&mut bench, HOST.into(), HOST6.into(), "udp"),
        ask(&mut bench, HOST.into(), BEHIND.into(), "ucp"),
        ask(&mut bench, HOST.into(), BEHIND.into(), "256"),
    ];
    assert!(refused.iter().all(|refused| matches!(refused, Err(ApiError::BadRequest { .. }))), "{refused:?}");
    let asked = request::Lookup {
        source: HOST.into(),
        destination: BEHIND.into(),
        protocol: "gre".into(),
        source_port: None,
        destination_port: None,
        instance: Some("blue".into()),
    };
    let nobody = bench.core.answer(&Request::Lookup(asked)).unwrap_err();
    assert_eq!((nobody.exit_code(), nobody.to_string().contains("configured: default")), (3, true));
}
