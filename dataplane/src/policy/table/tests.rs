//! What decisions must hold: order, narrowest child, and never in clear what a tunnel should carry.

mod order;

use super::*;
use crate::net::flow::{Flow, Upper};
use crate::net::protocol::UDP;
use crate::policy::publish::channel;
use crate::policy::selector::{ANY_PROTOCOL, AddressRange, Ports, Selector, SelectorSet};
use crate::policy::spd::{Action, Entry, Otherwise};
use crate::sa::SaRef;
use crate::sa::shard::WorkerId;
use proptest::prelude::*;

const LAN: Interface = Interface { port: 1, vlan: 0 };
const WORKER: WorkerId = WorkerId(0);

fn to(destination: [u8; 4]) -> Flow {
    let upper = Upper::Ports { source: 1000, destination: 53 };
    Flow { source: [10, 0, 0, 1].into(), destination: destination.into(), protocol: UDP, upper }
}

fn side(address: [u8; 4], length: u8) -> Selector {
    Selector::addresses_only(AddressRange::prefix(address.into(), length))
}

fn set(remote: Selector) -> SelectorSet {
    SelectorSet::new(&[side([10, 0, 0, 0], 8)], &[remote]).unwrap()
}

fn sa(slot: u32) -> SaRef {
    SaRef { worker: WorkerId(0), slot }
}

fn prefix(address: [u8; 4], length: u8) -> Prefix {
    Prefix::new(address.into(), length).unwrap()
}

fn entry(remote: Selector, action: Action) -> Entry {
    Entry { selectors: set(remote), action }
}

fn protects(tables: &View, flow: &Flow) -> bool {
    matches!(tables.decide(WORKER, 5, flow), Decision::Protect { .. } | Decision::NoChild { .. })
}

fn tables(entries: Vec<Entry>, otherwise: Otherwise) -> Tables {
    let mut tables = Tables::new();
    tables.set_spd(5, Spd::new(entries, otherwise).unwrap()).unwrap();
    tables.set_route(5, prefix([0, 0, 0, 0], 0), Some(NextHop::Connected(LAN))).unwrap();
    tables.set_route(5, prefix([172, 16, 0, 0], 12), Some(NextHop::Tunnel(TunnelId(9)))).unwrap();
    tables.set_route(5, prefix([192, 0, 2, 1], 32), Some(NextHop::Local)).unwrap();
    let dns =
        Selector::new(AddressRange::prefix([172, 16, 0, 0].into(), 16), UDP, Ports::new(53, 53).unwrap());
    let children = [(side([172, 16, 0, 0], 16), 1), (dns.unwrap(), 2), (side([172, 16, 5, 0], 24), 3)];
    let children = children.map(|(remote, slot)| Child::new(set(remote), sa(slot))).to_vec();
    tables.set_tunnel(TunnelId(9), Some(Tunnel::new(children).unwrap())).unwrap();
    tables
}

#[test]
fn the_narrowest_child_takes_the_packet() {
    let tables = tables(vec![], Otherwise::Discard);
    let tunnel = TunnelId(9);
    let slot = |flow: Flow| match tables.decide(WORKER, 5, &flow) {
        Decision::Protect { sa, .. } => sa.slot,
        other => panic!("{other:?}"),
    };
    assert_eq!(slot(to([172, 16, 1, 1])), 2);
    assert_eq!(slot(Flow { upper: Upper::Opaque, ..to([172, 16, 1, 1]) }), 1);
    assert_eq!(slot(to([172, 16, 5, 1])), 3);
    assert_eq!(tables.decide(WORKER, 5, &to([172, 17, 0, 1])), Decision::NoChild { tunnel });
}

#[test]
fn nothing_leaves_in_clear_unless_policy_says_so() {
    let strict = tables(vec![], Otherwise::Discard);
    assert_eq!(strict.decide(WORKER, 5, &to([8, 8, 8, 8])), Decision::Discard);
    assert_eq!(strict.decide(WORKER, 5, &to([192, 0, 2, 1])), Decision::Forward(NextHop::Local));
    let open = tables(vec![], Otherwise::Bypass);
    assert_eq!(open.decide(WORKER, 5, &to([8, 8, 8, 8])), Decision::Forward(NextHop::Connected(LAN)));
    // A bypass entry opens the default, and never a tunnel's route.
    let bypass = tables(vec![entry(side([0, 0, 0, 0], 0), Action::Bypass)], Otherwise::Discard);
    assert_eq!(bypass.decide(WORKER, 5, &to([8, 8, 8, 8])), Decision::Forward(NextHop::Connected(LAN)));
    assert!(protects(&bypass, &to([172, 16, 5, 1])) && protects(&bypass, &to([172, 17, 5, 1])));
    assert_eq!(open.decide(WORKER, 6, &to([8, 8, 8, 8])), Decision::NoRoute);
}

#[test]
fn a_missing_tunnel_discards() {
    let mut tables = tables(vec![], Otherwise::Bypass);
    tables.set_tunnel(TunnelId(9), None).unwrap();
    assert_eq!(tables.decide(WORKER, 5, &to([172, 16, 5, 1])), Decision::NoChild { tunnel: TunnelId(9) });
}

#[test]
fn the_first_entry_decides() {
    let discard = entry(side([8, 8, 0, 0], 16), Action::Discard);
    let bypass = entry(side([8, 0, 0, 0], 8), Action::Bypass);
    let protect = entry(side([9, 0, 0, 0], 8), Action::Protect(TunnelId(9)));
    let one = tables(vec![discard.clone(), bypass.clone(), protect], Otherwise::Discard);
    let two = tables(vec![bypass, discard], Otherwise::Discard);
    assert_eq!(one.decide(WORKER, 5, &to([8, 8, 8, 8])), Decision::Discard);
    assert!(matches!(two.decide(WORKER, 5, &to([8, 8, 8, 8])), Decision::Forward(_)));
    assert!(protects(&one, &to([9, 1, 1, 1])));
}

#[test]
fn neighbours_belong_to_an_interface_of_an_instance() {
    let mut tables = Tables::new();
    let (mac, address): (_, IpAddr) = (Mac([2; 6]), "fe80::1".parse().unwrap());
    let other = Interface { vlan: 7, ..LAN };
    assert_eq!(tables.set_neighbour(1, LAN, address, Some(mac)), None);
    assert_eq!(tables.set_neighbour(1, other, address, Some(Mac([3; 6]))), None);
    assert_eq!(tables.neighbour(1, LAN, address), Some(mac));
    assert_eq!(tables.neighbour(2, LAN, address), None);
    tables.clear_neighbours(1, other);
    assert_eq!((tables.neighbour(1, other, address), tables.neighbour(1, LAN, address)), (None, Some(mac)));
    assert_eq!(tables.set_neighbour(1, LAN, address, None), Some(mac));
}

#[test]
fn two_instances_may_use_the_same_addresses() {
    let mut tables = Tables::new();
    for (instance, tunnel) in [(1, 10), (2, 20)] {
        tables
            .set_route(instance, prefix([10, 0, 0, 0], 8), Some(NextHop::Tunnel(TunnelId(tunnel))))
            .unwrap();
    }
    assert_eq!(tables.route(1, [10, 1, 1, 1].into()), Some(NextHop::Tunnel(TunnelId(10))));
    assert_eq!(tables.route(2, [10, 1, 1, 1].into()), Some(NextHop::Tunnel(TunnelId(20))));
    tables.remove_instance(1);
    assert_eq!(tables.route(1, [10, 1, 1, 1].into()), None);
}

#[test]
fn routes_and_tunnels_are_seen_at_once_policy_after_publication() {
    let (mut writer, mut readers) = channel(tables(vec![], Otherwise::Discard), 1);
    let flow = to([172, 16, 5, 1]);
    assert!(protects(readers[0].tables(), &flow));
    writer.tables_mut().set_spd(5, Spd::new(vec![], Otherwise::Bypass).unwrap()).unwrap();
    writer.tables_mut().set_tunnel(TunnelId(9), None).unwrap();
    let no_child = Decision::NoChild { tunnel: TunnelId(9) };
    assert_eq!(
        readers[0].tables().decide(WORKER, 5, &flow),
        no_child,
        "a tunnel's end is an end in clear to nobody"
    );
    writer.tables_mut().set_route(5, prefix([172, 16, 0, 0], 12), None).unwrap();
    assert_eq!(readers[0].tables().decide(WORKER, 5, &flow), Decision::Discard);
    writer.publish();
    readers[0].refresh();
    assert_eq!(readers[0].tables().decide(WORKER, 5, &flow), Decision::Forward(NextHop::Connected(LAN)));
}

/// A worker in the middle of a burst may still look at what was removed: it stays until it has passed on.
#[test]
fn a_removed_instance_stays_for_those_who_look_at_it() {
    let (mut writer, mut readers) = channel(tables(vec![], Otherwise::Discard), 1);
    let flow = to([172, 16, 5, 1]);
    writer.tables_mut().remove_instance(5);
    let elsewhere = Prefix::new([172, 16, 0, 0].into(), 12).unwrap();
    for instance in 6..40 {
        writer.tables_mut().set_route(instance, elsewhere, Some(NextHop::Blackhole)).unwrap();
        writer.publish();
    }
    assert!(protects(readers[0].tables(), &flow));
    readers[0].refresh();
    writer.deliver();
    readers[0].refresh();
    assert_eq!(readers[0].tables().decide(WORKER, 5, &flow), Decision::NoRoute);
    assert_eq!(readers[0].tables().route(39, [172, 16, 0, 1].into()), Some(NextHop::Blackhole));
}

#[test]
fn all_routes_are_listed() {
    let mut tables = tables(vec![], Otherwise::Discard);
    let v6 = Prefix::new("2001:db8::".parse().unwrap(), 32).unwrap();
    assert_eq!(tables.set_route(5, v6, Some(NextHop::Blackhole)), Ok(None));
    assert_eq!(tables.set_route(5, v6, Some(NextHop::Local)), Ok(Some(NextHop::Blackhole)));
    let mut all = Vec::new();
    tables.for_each_route(5, |prefix, hop| all.push((prefix, hop)));
    assert_eq!(all.len(), 4);
    assert!(all.contains(&(v6, NextHop::Local)));
    assert!(all.contains(&(prefix([172, 16, 0, 0], 12), NextHop::Tunnel(TunnelId(9)))));
}

/// A random policy over a small universe, for the twin.
fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Bypass),
        Just(Action::Discard),
        (0u32..3).prop_map(|t| Action::Protect(TunnelId(t)))
    ]
}

fn any_side() -> impl Strategy<Value = (u8, u8)> {
    (0u8..16, 0u8..16).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn range((first, last): (u8, u8)) -> Selector {
    let addresses = AddressRange::new([20, 0, 0, first].into(), [20, 0, 0, last].into()).unwrap();
    Selector::new(addresses, ANY_PROTOCOL, Ports::Any).unwrap()
}

proptest! {
    #[test]
    fn decisions_agree_with_brute_force(
        entries in proptest::collection::vec((any_side(), any_action()), 0..6),
        children in proptest::collection::vec((0u32..3, any_side()), 0..8),
        routes in proptest::collection::vec((0u8..16, 28u8..=32, proptest::option::of(0u32..3)), 0..6),
        open: bool, host in 0u8..16,
    ) {
        let spd = entries.iter().map(|(side, action)| entry(range(*side), *action)).collect();
        let mut tables = Tables::new();
        tables.set_spd(0, Spd::new(spd, if open { Otherwise::Bypass } else { Otherwise::Discard }).unwrap()).unwrap();
        for tunnel in 0..3 {
            let own = children.iter().enumerate().filter(|(_, (t, _))| *t == tunnel);
            let own = own.map(|(slot, (_, side))| Child::new(set(range(*side)), sa(slot as u32))).collect();
            tables.set_tunnel(TunnelId(tunnel), Some(Tunnel::new(own).unwrap())).unwrap();
        }
        let mut table: Vec<(Prefix, NextHop)> = Vec::new();
        for (low, length, tunnel) in routes {
            let hop = tunnel.map_or(NextHop::Connected(LAN), |t| NextHop::Tunnel(TunnelId(t)));
            let prefix = prefix([20, 0, 0, low], length);
            tables.set_route(0, prefix, Some(hop)).unwrap();
            table.retain(|(other, _)| *other != prefix);
            table.push((prefix, hop));
        }
        let address: IpAddr = [20, 0, 0, host].into();
        let covering = table.iter().filter(|(p, _)| Prefix::new(address, p.length()) == Ok(*p));
        let hop = covering.max_by_key(|(p, _)| p.length()).map(|(_, hop)| *hop);
        let action = entries.iter().find(|((a, b), _)| (*a..=*b).contains(&host)).map(|(_, action)| *action);
        let protect = |tunnel: TunnelId| {
            let own = children.iter().enumerate().filter(|(_, (t, (a, b)))| *t == tunnel.0 && (*a..=*b).contains(&host));
            // Narrowness counts in halvings of the range; of equals the first.
            let narrow = |(a, b): (u8, u8)| (b - a).leading_zeros();
            let best = own.clone().map(|(_, (_, side))| narrow(*side)).max();
            match own.into_iter().find(|(_, (_, side))| Some(narrow(*side)) == best) {
                Some((slot, _)) => Decision::Protect { tunnel, sa: sa(slot as u32) },
                None => Decision::NoChild { tunnel },
            }
        };
        let expected = match (action, hop) {
            (Some(Action::Discard), _) => Decision::Discard,
            (Some(Action::Protect(tunnel)), _) => protect(tunnel),
            (_, Some(NextHop::Tunnel(tunnel))) => protect(tunnel),
            (_, None) => Decision::NoRoute,
            (Some(Action::Bypass), Some(hop)) => Decision::Forward(hop),
            (None, Some(hop)) if open => Decision::Forward(hop),
            (None, Some(_)) => Decision::Discard,
        };
        prop_assert_eq!(tables.decide(WORKER, 0, &to([20, 0, 0, host])), expected);
    }
}
