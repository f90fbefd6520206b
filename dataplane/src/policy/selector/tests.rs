//! What matching must hold: RFC 4301's table of port fields, and a brute-force twin.

use super::*;
use crate::net::protocol::{GRE, ICMP, TCP, UDP};
use proptest::prelude::*;

fn flow(source: [u8; 4], destination: [u8; 4], protocol: u8, upper: Upper) -> Flow {
    Flow { source: source.into(), destination: destination.into(), protocol, upper }
}

fn selector(protocol: u8, start: u16, end: u16) -> Selector {
    let addresses = AddressRange::prefix([10, 0, 0, 0].into(), 8);
    Selector::new(addresses, protocol, Ports::new(start, end).unwrap()).unwrap()
}

fn set(local: Selector, remote: Selector) -> SelectorSet {
    SelectorSet::new(&[local], &[remote]).unwrap()
}

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

#[test]
fn ports_belong_to_their_ends() {
    let set = set(selector(TCP, 1000, 2000), selector(TCP, 80, 80));
    let to_peer = flow(A, B, TCP, Upper::Ports { source: 1500, destination: 80 });
    let from_peer = flow(B, A, TCP, Upper::Ports { source: 80, destination: 1500 });
    assert!(set.admits_outbound(&to_peer) && set.admits_inbound(&from_peer));
    assert!(!set.admits_outbound(&from_peer) && !set.admits_inbound(&to_peer));
    assert!(!set.admits_outbound(&Flow { protocol: UDP, ..to_peer }));
}

#[test]
fn icmp_type_and_code_belong_to_the_sender() {
    // TS-03: what the local side may send is echo requests; the remote side may send anything.
    let set = set(selector(ICMP, 0x0800, 0x0800), selector(ICMP, 0, 0xffff));
    let echo = Upper::Icmp { kind: 8, code: 0 };
    let reply = Upper::Icmp { kind: 0, code: 0 };
    assert!(set.admits_outbound(&flow(A, B, ICMP, echo)));
    assert!(!set.admits_outbound(&flow(A, B, ICMP, reply)));
    assert!(set.admits_inbound(&flow(B, A, ICMP, reply)));
}

#[test]
fn hidden_ports_match_any_and_opaque_only() {
    let hidden = flow(A, B, UDP, Upper::Opaque);
    let shown = flow(A, B, UDP, Upper::Ports { source: 5, destination: 5 });
    let portless = flow(A, B, GRE, Upper::Portless);
    let side = |start, end| selector(ANY_PROTOCOL, start, end);
    let admits = |s: Selector, f: &Flow| set(s, s).admits_outbound(f);
    let any = side(0, 65535);
    let opaque = side(65535, 0);
    let range = side(0, 65534);
    assert_eq!([&hidden, &shown, &portless].map(|f| admits(any, f)), [true, true, true]);
    assert_eq!([&hidden, &shown, &portless].map(|f| admits(opaque, f)), [true, false, false]);
    assert_eq!([&hidden, &shown, &portless].map(|f| admits(range, f)), [false, true, false]);
}

#[test]
fn the_cross_product_admits_all_pairs() {
    // TS-19: {100, 200} x {300, 400}.
    let side = |a, b| [selector(TCP, a, a), selector(TCP, b, b)];
    let set = SelectorSet::new(&side(100, 200), &side(300, 400)).unwrap();
    for (source, destination, admitted) in
        [(100, 300, true), (100, 400, true), (200, 300, true), (300, 100, false)]
    {
        let flow = flow(A, B, TCP, Upper::Ports { source, destination });
        assert_eq!(set.admits_outbound(&flow), admitted);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let (low, high): (IpAddr, IpAddr) = ([1, 0, 0, 0].into(), [2, 0, 0, 0].into());
    assert!(matches!(AddressRange::new(high, low), Err(BadSelector::EmptyAddresses { .. })));
    assert!(matches!(
        AddressRange::new(low, Ipv6Addr::LOCALHOST.into()),
        Err(BadSelector::MixedFamilies { .. })
    ));
    assert!(matches!(Ports::new(5, 4), Err(BadSelector::EmptyPorts { .. })));
    let addresses = AddressRange::new(low, high).unwrap();
    let ports = Ports::new(1, 2).unwrap();
    assert_eq!(Selector::new(addresses, GRE, ports), Err(BadSelector::Portless { protocol: GRE }));
    let many = [selector(TCP, 1, 1); MAX_SELECTORS + 1];
    assert!(SelectorSet::new(&many, &many[..1]).is_err() && SelectorSet::new(&[], &many[..1]).is_err());
}

/// First and last address octet, protocol, first and last port.
type Raw = (u8, u8, u8, u16, u16);

/// A small universe in which everything can be enumerated.
fn any_selector() -> impl Strategy<Value = (Selector, Raw)> {
    let ports = prop_oneof![
        Just((0u16, 65535u16)),
        Just((65535, 0)),
        (0u16..6, 0u16..6).prop_map(|(a, b)| (a.min(b), a.max(b)))
    ];
    (0u8..8, 0u8..8, prop_oneof![Just(ANY_PROTOCOL), Just(TCP), Just(UDP)], ports).prop_map(
        |(a, b, protocol, (start, end))| {
            let (first, last) = (a.min(b), a.max(b));
            let addresses = AddressRange::new([10, 0, 0, first].into(), [10, 0, 0, last].into()).unwrap();
            let selector = Selector::new(addresses, protocol, Ports::new(start, end).unwrap()).unwrap();
            (selector, (first, last, protocol, start, end))
        },
    )
}

proptest! {
    /// Against a twin that works on the raw numbers.
    #[test]
    fn matching_agrees_with_brute_force(
        local in proptest::collection::vec(any_selector(), 1..4),
        remote in proptest::collection::vec(any_selector(), 1..4),
        source in 0u8..8, destination in 0u8..8, protocol in prop_oneof![Just(TCP), Just(UDP)],
        ports: Option<(u8, u8)>,
    ) {
        let upper = match ports {
            Some((s, d)) => Upper::Ports { source: u16::from(s % 8), destination: u16::from(d % 8) },
            None => Upper::Opaque,
        };
        let twin = |side: &[(Selector, Raw)], address: u8, port: Option<u16>| {
            side.iter().any(|(_, (first, last, wanted, start, end))| {
                let port_ok = match port {
                    Some(port) => *start <= port && port <= *end,
                    None => (*start, *end) == (0, 65535) || start > end,
                };
                (first..=last).contains(&&address) && (*wanted == 0 || *wanted == protocol) && port_ok
            })
        };
        let port = |i: usize| ports.map(|(s, d)| u16::from([s, d][i] % 8));
        let expected = twin(&local, source, port(0)) && twin(&remote, destination, port(1));
        let sides = [&local, &remote].map(|side| side.iter().map(|(s, _)| *s).collect::<Vec<_>>());
        let set = SelectorSet::new(&sides[0], &sides[1]).unwrap();
        let outbound = flow([10, 0, 0, source], [10, 0, 0, destination], protocol, upper);
        prop_assert_eq!(set.admits_outbound(&outbound), expected);
        prop_assert_eq!(set.narrowness(&outbound).is_some(), expected);
        let back = match upper {
            Upper::Ports { source, destination } => Upper::Ports { source: destination, destination: source },
            other => other,
        };
        let inbound = flow([10, 0, 0, destination], [10, 0, 0, source], protocol, back);
        prop_assert_eq!(set.admits_inbound(&inbound), expected);
    }

    #[test]
    fn prefixes_are_ranges(bits: u32, length in 0u8..=32, other: u32) {
        let range = AddressRange::prefix(IpAddr::V4(bits.into()), length);
        let same = length == 0 || (bits ^ other) >> (32 - u32::from(length)) == 0;
        prop_assert_eq!(range.contains(IpAddr::V4(other.into())), same);
    }

    #[test]
    fn ports_round_trip(start: u16, end: u16) {
        if let Ok(ports) = Ports::new(start, end) {
            prop_assert_eq!(ports.wire(), (start, end));
        }
    }
}
