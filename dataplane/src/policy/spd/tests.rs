//! What a policy must hold: the first entry in the order decides, found by the index or without it.

use super::*;
use crate::net::flow::Upper;
use crate::net::protocol::{TCP, UDP};
use crate::policy::selector::{ANY_PROTOCOL, AddressRange, Ports, Selector};
use proptest::prelude::*;

fn address(v4: bool, n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    if v4 { [10, high, 0, low].into() } else { IpAddr::V6((0xfd << 120 | u128::from(n)).into()) }
}

/// Ranges of all shapes: hosts, prefixes, jagged ones, everything.
fn any_range() -> impl Strategy<Value = AddressRange> {
    let jagged = (any::<bool>(), 0u16..600, 0u16..600)
        .prop_map(|(v4, a, b)| AddressRange::new(address(v4, a.min(b)), address(v4, a.max(b))).unwrap());
    let prefix = (any::<bool>(), 0u16..600, 0u8..=16).prop_map(|(v4, n, host)| {
        AddressRange::prefix(address(v4, n), if v4 { 32 - host } else { 128 - host })
    });
    let all = any::<bool>().prop_map(|v4| AddressRange::prefix(address(v4, 0), 0));
    prop_oneof![4 => jagged, 4 => prefix, 1 => all]
}

fn any_selector() -> impl Strategy<Value = Selector> {
    let rest = prop::sample::select(vec![
        (ANY_PROTOCOL, Ports::Any),
        (UDP, Ports::Any),
        (TCP, Ports::Range { first: 3, last: 5 }),
        (UDP, Ports::Opaque),
    ]);
    (any_range(), rest).prop_map(|(range, (protocol, ports))| Selector::new(range, protocol, ports).unwrap())
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let side = || proptest::collection::vec(any_selector(), 1..4);
    let action = prop_oneof![
        Just(Action::Bypass),
        Just(Action::Discard),
        (0u32..1000).prop_map(|n| Action::Protect(TunnelId(n)))
    ];
    (side(), side(), action).prop_map(|(local, remote, action)| Entry {
        selectors: SelectorSet::new(&local, &remote).unwrap(),
        action,
    })
}

fn any_flow() -> impl Strategy<Value = Flow> {
    (any::<bool>(), 0u16..600, 0u16..600, any::<bool>(), proptest::option::of(0u16..8)).prop_map(
        |(v4, source, destination, udp, port)| Flow {
            source: address(v4, source),
            destination: address(v4, destination),
            protocol: if udp { UDP } else { TCP },
            upper: port.map_or(Upper::Opaque, |port| Upper::Ports { source: port, destination: port }),
        },
    )
}

proptest! {
    #[test]
    fn the_index_says_what_a_search_in_order_says(
        entries in proptest::collection::vec(any_entry(), 0..40),
        flows in proptest::collection::vec(any_flow(), 40),
    ) {
        let spd = Spd::new(entries.clone(), Otherwise::Discard).unwrap();
        prop_assert_eq!(spd.before.index.is_some(), entries.len() > SHORT);
        for flow in &flows {
            let outbound = entries.iter().find(|entry| entry.selectors.admits_outbound(flow));
            prop_assert_eq!(spd.outbound(flow), outbound.map(|entry| entry.action));
            let inbound = entries.iter().find(|entry| entry.selectors.admits_inbound(flow));
            prop_assert_eq!(spd.inbound(flow), inbound.map(|entry| entry.action));
        }
    }
}

proptest! {
    /// Of entries on both sides of the tunnels each is found in its list, by its place in the whole.
    #[test]
    fn entries_are_numbered_through(
        before in proptest::collection::vec(any_entry(), 0..8),
        behind in proptest::collection::vec(any_entry(), 0..8),
        flow in any_flow(),
    ) {
        let spd = Spd::around(before.clone(), behind.clone(), Otherwise::Discard, 1).unwrap();
        let all = [before.clone(), behind].concat();
        for (at, entry) in all.iter().enumerate() {
            prop_assert_eq!(spd.entry(At(at as u32)), Some(entry));
        }
        prop_assert_eq!(spd.entry(At(all.len() as u32)), None);
        let admits = |entry: &Entry, way| match way {
            Way::Out => entry.selectors.admits_outbound(&flow),
            Way::In => entry.selectors.admits_inbound(&flow),
        };
        for (list, base, entries) in [(spd.before(), 0, &all[..before.len()]), (spd.behind(), before.len(), &all[before.len()..])] {
            let either = entries.iter().enumerate().find_map(|(at, entry)| {
                let way = [Way::Out, Way::In].into_iter().find(|way| admits(entry, *way))?;
                Some(Match { at: At((base + at) as u32), way, action: entry.action })
            });
            prop_assert_eq!(list.either(&flow), either);
        }
    }
}

/// As many entries as tunnels, each found; one more than the limit is refused.
#[test]
fn a_policy_may_have_an_entry_for_every_tunnel() {
    let any = Selector::addresses_only(AddressRange::prefix([0; 4].into(), 0));
    let network = |n: u32| [10, (n >> 8) as u8, n as u8, 0].map(|octet: u8| octet);
    let entry = |n: u32| {
        let remote = Selector::addresses_only(AddressRange::prefix(network(n).into(), 24));
        Entry {
            selectors: SelectorSet::new(&[any], &[remote]).unwrap(),
            action: Action::Protect(TunnelId(n)),
        }
    };
    let spd = Spd::new((0..32_768).map(entry).collect(), Otherwise::Discard).unwrap();
    for n in (0..32_768u32).step_by(777) {
        let flow = Flow {
            source: [192, 0, 2, 1].into(),
            destination: network(n).into(),
            protocol: UDP,
            upper: Upper::Portless,
        };
        assert_eq!(spd.outbound(&flow), Some(Action::Protect(TunnelId(n))));
    }
    let many = vec![entry(0); MAX_ENTRIES + 1];
    assert!(matches!(Spd::new(many, Otherwise::Discard), Err(BadSpd::TooManyEntries { .. })));
}
