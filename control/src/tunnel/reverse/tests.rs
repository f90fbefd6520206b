//! Routes against a model that knows single addresses only, in a universe of 32 of them.

use super::*;
use crate::routing::Routing;
use proptest::prelude::*;
use ravelin_dataplane::policy::route::TunnelId;
use ravelin_dataplane::policy::table::Tables;
use std::collections::BTreeSet;

const BITS: u8 = 5;
const ALL: u8 = 1 << BITS;

fn address(v6: bool, last: u8) -> IpAddr {
    if v6 {
        IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)])
    } else {
        IpAddr::from([10, 0, 0, last])
    }
}

fn selector(v6: bool, first: u8, last: u8) -> Selector {
    Selector::addresses(address(v6, first), address(v6, last))
}

/// The aligned block of `size` addresses, a power of two.
fn block(v6: bool, first: u8, size: u8) -> IpNet {
    let length = if v6 { 128 } else { 32 } - size.trailing_zeros() as u8;
    IpNet::new(address(v6, first), length).unwrap()
}

/// The largest aligned blocks that lie within a set: by trying all.
fn blocks(v6: bool, set: &BTreeSet<u8>) -> BTreeSet<IpNet> {
    let within = |first: u8, size: u8| (first..first + size).all(|last| set.contains(&last));
    let mut found = BTreeSet::new();
    for bits in 0..=BITS {
        let size = 1 << bits;
        for first in (0..ALL).step_by(size.into()) {
            let parent = first - first % (2 * size);
            if within(first, size) && (2 * size > ALL || !within(parent, 2 * size)) {
                found.insert(block(v6, first, size));
            }
        }
    }
    found
}

fn ranges() -> impl Strategy<Value = Vec<(u8, u8)>> {
    let range = (0..ALL, 0..ALL).prop_map(|(a, b): (u8, u8)| (a.min(b), a.max(b)));
    prop::collection::vec(range, 1..5)
}

fn members(ranges: &[(u8, u8)]) -> BTreeSet<u8> {
    ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
}

/// What a tunnel does.
#[derive(Debug, Clone)]
enum Step {
    Claim(u32, Vec<(u8, u8)>),
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let claim = (0u32..3, ranges()).prop_map(|(tunnel, ranges)| Step::Claim(tunnel, ranges));
    prop::collection::vec(prop_oneof![2 => claim, 1 => any::<usize>().prop_map(Step::Leave)], 0..40)
}

proptest! {
    /// As few subnets as there can be, and in them the addresses of the ranges and no other.
    #[test]
    fn the_cover_is_exact_and_the_smallest(v6: bool, ranges in ranges()) {
        let selectors: Vec<Selector> = ranges.iter().map(|(a, b)| selector(v6, *a, *b)).collect();
        let cover: BTreeSet<IpNet> = cover(&selectors, true).unwrap().into_iter().collect();
        prop_assert_eq!(cover, blocks(v6, &members(&ranges)));
    }

    /// Whoever comes and goes: no address is ever of two tunnels; who asks for one of another's gets nothing; each
    /// tunnel has routes to all it claims, the largest of overlapping ones; and with the last SA the last route goes.
    #[test]
    fn nobody_gets_what_is_anothers(v6: bool, steps in steps()) {
        let (mut routing, mut tables) = (Routing::default(), Tables::new());
        let mut claims = Claims::default();
        let mut model: BTreeMap<ChildSaId, (u32, Vec<(u8, u8)>)> = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            let (tunnel, change) = match step {
                Step::Claim(tunnel, ranges) => {
                    let selectors: Vec<Selector> = ranges.iter().map(|(a, b)| selector(v6, *a, *b)).collect();
                    let networks = cover(&selectors, false).unwrap();
                    let of_others = model.values().filter(|(other, _)| *other != tunnel);
                    let theirs: BTreeSet<u8> = of_others.flat_map(|(_, ranges)| members(ranges)).collect();
                    let taken = !members(&ranges).is_disjoint(&theirs);
                    let found = networks.iter().any(|net| routing.others(0, *net, TunnelId(tunnel)).next().is_some());
                    prop_assert_eq!(taken, found);
                    if taken { continue }
                    let sa = ChildSaId(number as u64);
                    model.insert(sa, (tunnel, ranges));
                    (tunnel, claims.add(ConnectionId(tunnel), sa, networks))
                }
                Step::Leave(which) if model.is_empty() => { let _ = which; continue }
                Step::Leave(which) => {
                    let sa = *model.keys().nth(which % model.len()).unwrap();
                    model.remove(&sa);
                    let (tunnel, change) = claims.remove(sa).unwrap();
                    (tunnel.0, change)
                }
            };
            for net in &change.added {
                routing.add_tunnel(0, *net, TunnelId(tunnel), &mut tables);
            }
            for net in &change.removed {
                routing.remove_tunnel(0, *net, &mut tables);
            }
            for tunnel in 0..3 {
                let mut largest: BTreeSet<IpNet> = BTreeSet::new();
                for (_, ranges) in model.values().filter(|(owner, _)| *owner == tunnel) {
                    largest.extend(blocks(v6, &members(ranges)));
                }
                let all = largest.clone();
                largest.retain(|net| !all.iter().any(|other| other != net && other.contains(net)));
                let routes: BTreeSet<IpNet> =
                    routing.tunnels().filter(|(_, _, owner)| owner.0 == tunnel).map(|(_, net, _)| net).collect();
                prop_assert_eq!(&routes, &largest);
                prop_assert_eq!(claims.routes(ConnectionId(tunnel)).into_iter().collect::<BTreeSet<_>>(), largest);
            }
        }
        for sa in model.into_keys() {
            claims.remove(sa);
        }
        prop_assert!(claims.is_empty());
    }
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn range(first: &str, last: &str) -> Selector {
    Selector::addresses(first.parse().unwrap(), last.parse().unwrap())
}

/// `ignore-default-route`: everything counts for nothing, however it is written, and what stands beside it does.
#[test]
fn everything_can_be_ignored() {
    let all = [range("0.0.0.0", "255.255.255.255"), range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")];
    assert_eq!(cover(&all, false), Ok(nets(&["0.0.0.0/0", "::/0"])));
    assert_eq!(cover(&all, true), Ok(vec![]));
    let beside = [all[0], range("10.1.0.0", "10.1.255.255")];
    assert_eq!(cover(&beside, true), Ok(nets(&["10.1.0.0/16"])));
    let halves = [range("0.0.0.0", "127.255.255.255"), range("128.0.0.0", "255.255.255.255")];
    assert_eq!(cover(&halves, true), Ok(vec![]));
}

/// The larger of two SAs' networks counts, and what the smaller has comes back when the larger goes.
#[test]
fn the_larger_of_one_tunnel_counts() {
    let (tunnel, mut claims) = (ConnectionId(1), Claims::default());
    let first = claims.add(tunnel, ChildSaId(1), nets(&["10.1.1.0/24"]));
    assert_eq!(first, Change { added: nets(&["10.1.1.0/24"]), removed: vec![] });
    let wider = claims.add(tunnel, ChildSaId(2), nets(&["10.1.0.0/16"]));
    assert_eq!(wider, Change { added: nets(&["10.1.0.0/16"]), removed: nets(&["10.1.1.0/24"]) });
    assert_eq!(claims.add(tunnel, ChildSaId(3), nets(&["10.1.2.0/24"])), Change::default());
    let (_, narrower) = claims.remove(ChildSaId(2)).unwrap();
    let both = nets(&["10.1.1.0/24", "10.1.2.0/24"]);
    assert_eq!(narrower, Change { added: both, removed: nets(&["10.1.0.0/16"]) });
}

/// A peer cannot have us make routes without end.
#[test]
fn subnets_are_limited() {
    let odd = |n: u16| {
        let net = |last: u16| IpAddr::from([0xfd00, n, 0, 0, 0, 0, 0, last]);
        let IpAddr::V6(top) = net(0) else { unreachable!() };
        let last = IpAddr::V6((top.to_bits() + (1 << 90) - 2).into());
        Selector::addresses(net(1), last)
    };
    assert!(cover(&[odd(1)], true).is_ok());
    assert!(cover(&[odd(1), odd(2)], true).unwrap_err().found > LIMIT);
}
