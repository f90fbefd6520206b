//! The order between entries and tunnels (RFC 4301 §4.4.1), held against a model that asks everything of everybody: of a
//! universe of sixteen addresses, in both directions, however a packet came.

use super::*;
use crate::policy::spd::At;
use crate::policy::view::Came;

type Range = (u8, u8);

/// An entry in numbers.
#[derive(Clone, Copy, Debug)]
struct Line {
    local: Range,
    remote: Range,
    action: Action,
}

/// Everything that decides.
#[derive(Debug)]
struct World {
    before: Vec<Line>,
    behind: Vec<Line>,
    /// First address, length, and the tunnel if it leads into one.
    routes: Vec<(u8, u8, Option<u32>)>,
    /// What the only child of each tunnel carries; a tunnel that is shut has none.
    tunnels: Vec<Option<(Range, Range)>>,
    v4: bool,
}

fn address(v4: bool, n: u8) -> IpAddr {
    let [a, b, c, d] = [20, 0, 0, n];
    if v4 { [a, b, c, d].into() } else { std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n.into()).into() }
}

fn side(v4: bool, (first, last): Range) -> Selector {
    Selector::addresses_only(AddressRange::new(address(v4, first), address(v4, last)).unwrap())
}

const fn has((first, last): Range, n: u8) -> bool {
    first <= n && n <= last
}

fn covers((low, length, _): &(u8, u8, Option<u32>), n: u8) -> bool {
    (low ^ n) >> (32 - *length) == 0
}

impl World {
    fn tables(&self) -> Tables {
        let set =
            |local, remote| SelectorSet::new(&[side(self.v4, local)], &[side(self.v4, remote)]).unwrap();
        let entry = |line: &Line| Entry { selectors: set(line.local, line.remote), action: line.action };
        let [before, behind] = [&self.before, &self.behind].map(|list| list.iter().map(entry).collect());
        let mut tables = Tables::new();
        // Half of the routes are there when policy comes, half come later.
        let (early, late) = self.routes.split_at(self.routes.len() / 2);
        self.write(&mut tables, early);
        tables.set_spd(0, Spd::around(before, behind, Otherwise::Discard, 1).unwrap()).unwrap();
        self.write(&mut tables, late);
        for (number, child) in self.tunnels.iter().enumerate() {
            let child = child.map(|(local, remote)| Child::new(set(local, remote), sa(number as u32)));
            let tunnel = child.map(|child| Tunnel::new(vec![child]).unwrap());
            tables.set_tunnel(TunnelId(number as u32), tunnel).unwrap();
        }
        tables
    }

    fn write(&self, tables: &mut Tables, routes: &[(u8, u8, Option<u32>)]) {
        for (low, length, tunnel) in routes {
            let hop = tunnel.map_or(NextHop::Connected(LAN), |number| NextHop::Tunnel(TunnelId(number)));
            let length = if self.v4 { *length } else { length + 96 };
            tables.set_route(0, Prefix::new(address(self.v4, *low), length).unwrap(), Some(hop)).unwrap();
        }
    }

    /// The longest route of those that are meant; the last one written counts.
    fn longest(&self, n: u8, tunnels_alone: bool) -> Option<Option<u32>> {
        let mut last: Vec<(u8, u8, Option<u32>)> = Vec::new();
        for route in &self.routes {
            let same = |other: &(u8, u8, Option<u32>)| covers(route, other.0) && other.1 == route.1;
            last.retain(|other| !same(other));
            last.push(*route);
        }
        let covering = last.iter().filter(|route| covers(route, n) && !(tunnels_alone && route.2.is_none()));
        covering.max_by_key(|route| route.1).map(|route| route.2)
    }

    fn protect(&self, number: u32, (from, to): (u8, u8)) -> Decision {
        let tunnel = TunnelId(number);
        match self.tunnels.get(number as usize).copied().flatten() {
            Some((local, remote)) if has(local, from) && has(remote, to) => {
                Decision::Protect { tunnel, sa: sa(number) }
            }
            _ => Decision::NoChild { tunnel },
        }
    }

    /// What becomes of a packet, and the number of the entry that says so.
    fn decide(&self, came: Came, from: u8, to: u8) -> (Decision, Option<At>) {
        let hop = self.longest(to, false);
        let both_ways = matches!(came, Came::InClear | Came::Admitted);
        let mut said = None;
        for (at, line) in self.before.iter().chain(&self.behind).enumerate() {
            let is_behind = at >= self.before.len();
            if is_behind && (came == Came::Admitted || matches!(hop, Some(Some(_)))) {
                break;
            }
            let out = has(line.local, from) && has(line.remote, to);
            let into = both_ways && has(line.remote, from) && has(line.local, to);
            if !(out || into) {
                continue;
            }
            let decision = match (line.action, hop) {
                (Action::Discard, _) => Decision::Discard,
                (Action::Protect(_), _) if !out && came == Came::InClear => Decision::Unprotected,
                // It has come through a tunnel, and no other entry of these speaks of it.
                (Action::Protect(_), _) if !out => break,
                (Action::Protect(TunnelId(number)), _) => self.protect(number, (from, to)),
                (Action::Bypass, Some(Some(number))) => return (self.protect(number, (from, to)), None),
                (Action::Bypass, _) if is_behind && came != Came::ByTwin => {
                    if let Some(Some(number)) = self.longest(to, true) {
                        return (self.protect(number, (from, to)), None);
                    }
                    if came == Came::InClear && self.longest(from, true).is_some() {
                        return (Decision::Unprotected, None);
                    }
                    hop.map_or(Decision::NoRoute, |_| Decision::Forward(NextHop::Connected(LAN)))
                }
                (Action::Bypass, _) => {
                    hop.map_or(Decision::NoRoute, |_| Decision::Forward(NextHop::Connected(LAN)))
                }
            };
            said = Some((decision, Some(At(at as u32))));
            break;
        }
        said.unwrap_or_else(|| match hop {
            None => (Decision::NoRoute, None),
            Some(None) => (Decision::Discard, None),
            Some(Some(number)) => (self.protect(number, (from, to)), None),
        })
    }
}

fn any_range() -> impl Strategy<Value = Range> {
    prop_oneof![
        2 => (0u8..16, 0u8..16).prop_map(|(a, b)| (a.min(b), a.max(b))),
        1 => Just((0, 15)),
    ]
}

fn any_line() -> impl Strategy<Value = Line> {
    (any_range(), any_range(), any_action()).prop_map(|(local, remote, action)| Line {
        local,
        remote,
        action,
    })
}

fn any_world() -> impl Strategy<Value = World> {
    let lines = || proptest::collection::vec(any_line(), 0..6);
    let route = (0u8..16, 28u8..=32, proptest::option::of(0u32..3))
        .prop_map(|(low, length, tunnel)| (low >> (32 - length) << (32 - length), length, tunnel));
    let routes = proptest::collection::vec(route, 0..8);
    let tunnels = proptest::collection::vec(proptest::option::of((any_range(), any_range())), 3);
    (lines(), lines(), routes, tunnels, any::<bool>())
        .prop_map(|(before, behind, routes, tunnels, v4)| World { before, behind, routes, tunnels, v4 })
}

const ALL: [Came; 4] = [Came::InClear, Came::FromHere, Came::ByTwin, Came::Admitted];

proptest! {
    #[test]
    fn the_order_is_that_of_the_model(world in any_world()) {
        let tables = world.tables();
        for (from, to, came) in (0..16).flat_map(|from| (0..16).flat_map(move |to| ALL.map(|came| (from, to, came)))) {
            let flow = flow(world.v4, from, to);
            let found = tables.weigh(WORKER, 0, came, &flow);
            prop_assert_eq!(found, world.decide(came, from, to), "{} to {}, {:?}", from, to, came);
        }
    }

    /// Nothing in clear goes to a tunnel's network or is taken from one, unless an entry before the tunnels says so; and
    /// what a route leads into a tunnel goes there or nowhere even then.
    #[test]
    fn what_a_tunnel_has_is_never_in_clear(world in any_world()) {
        let tables = world.tables();
        for (from, to) in (0..16).flat_map(|from| (0..16).map(move |to| (from, to))) {
            for came in [Came::InClear, Came::FromHere] {
                let (decision, by) = tables.weigh(WORKER, 0, came, &flow(world.v4, from, to));
                if !matches!(decision, Decision::Forward(_)) {
                    continue;
                }
                let before = by.is_some_and(|At(at)| (at as usize) < world.before.len());
                prop_assert!(!matches!(world.longest(to, false), Some(Some(_))), "routed into a tunnel");
                prop_assert!(before || world.longest(to, true).is_none(), "a tunnel has the destination");
                let taken = came == Came::InClear && world.longest(from, true).is_some();
                prop_assert!(before || !taken, "a tunnel has the source");
            }
        }
    }
}

fn flow(v4: bool, from: u8, to: u8) -> Flow {
    let upper = Upper::Ports { source: 1000, destination: 53 };
    Flow { source: address(v4, from), destination: address(v4, to), protocol: UDP, upper }
}

/// A policy that no longer yields keeps no second list of networks, and an instance that goes takes it along.
#[test]
fn claims_come_and_go_with_the_policy_that_needs_them() {
    let bypass = Entry { selectors: SelectorSet::any(), action: Action::Bypass };
    let yielding = || Spd::around(vec![], vec![bypass.clone()], Otherwise::Discard, 1).unwrap();
    let mut tables = Tables::new();
    let (wide, narrow) = (prefix([20, 0, 0, 0], 8), prefix([20, 0, 0, 0], 16));
    tables.set_route(0, wide, Some(NextHop::Tunnel(TunnelId(1)))).unwrap();
    tables.set_route(0, narrow, Some(NextHop::Connected(LAN))).unwrap();
    let decide = |tables: &Tables| tables.decide(WORKER, 0, &to([20, 0, 0, 1]));
    tables.set_spd(0, Spd::new(vec![bypass.clone()], Otherwise::Discard).unwrap()).unwrap();
    assert_eq!(decide(&tables), Decision::Forward(NextHop::Connected(LAN)), "before the tunnels");
    tables.set_spd(0, yielding()).unwrap();
    assert_eq!(decide(&tables), Decision::NoChild { tunnel: TunnelId(1) });
    tables.set_route(0, wide, None).unwrap();
    assert_eq!(decide(&tables), Decision::Forward(NextHop::Connected(LAN)), "nobody has it any more");
    tables.remove_instance(0);
    assert_eq!(decide(&tables), Decision::NoRoute);
    tables.set_spd(0, yielding()).unwrap();
    tables.set_route(0, narrow, Some(NextHop::Connected(LAN))).unwrap();
    assert_eq!(decide(&tables), Decision::Forward(NextHop::Connected(LAN)));
}
