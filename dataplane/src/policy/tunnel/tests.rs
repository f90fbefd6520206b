//! What lines must hold: the answer of the children, whatever shape these have, and memory that comes back.

use super::*;
use crate::net::flow::Upper;
use crate::net::protocol::{TCP, UDP};
use proptest::prelude::*;

fn any_range() -> impl Strategy<Value = AddressRange> {
    let v4 = (0u8..8, 0u8..8).prop_map(|(a, b)| {
        AddressRange::new([10, 0, 0, a.min(b)].into(), [10, 0, 0, a.max(b)].into()).unwrap()
    });
    let v6 = (0u128..8, 0u128..8).prop_map(|(a, b)| {
        let address = |n: u128| IpAddr::V6((10 << 120 | n).into());
        AddressRange::new(address(a.min(b)), address(a.max(b))).unwrap()
    });
    let all = prop_oneof![Just(IpAddr::V4([0; 4].into())), Just(IpAddr::V6([0; 16].into()))];
    prop_oneof![v4, v6, all.prop_map(|address| AddressRange::prefix(address, 0))]
}

fn any_selector() -> impl Strategy<Value = Selector> {
    let rest = prop_oneof![
        4 => Just((ANY_PROTOCOL, Ports::Any)),
        1 => Just((UDP, Ports::Any)),
        1 => Just((TCP, Ports::Range { first: 2, last: 5 })),
        1 => Just((ANY_PROTOCOL, Ports::Opaque)),
    ];
    (any_range(), rest).prop_map(|(range, (protocol, ports))| Selector::new(range, protocol, ports).unwrap())
}

fn any_set() -> impl Strategy<Value = SelectorSet> {
    let side = || proptest::collection::vec(any_selector(), 1..3);
    let chosen = (side(), side()).prop_map(|(local, remote)| SelectorSet::new(&local, &remote).unwrap());
    prop_oneof![4 => chosen, 1 => Just(SelectorSet::any())]
}

fn any_tunnel() -> impl Strategy<Value = Tunnel> {
    proptest::collection::vec(any_set(), 0..4).prop_map(|sets| {
        let child = |(slot, selectors)| {
            let sa = SaRef { worker: WorkerId(slot as u8 ^ 0xa5), slot: slot as u32 | 0xffff_0000 };
            Child::new(selectors, sa)
        };
        Tunnel::new(sets.into_iter().enumerate().map(child).collect()).unwrap()
    })
}

fn any_flow() -> impl Strategy<Value = Flow> {
    let protocol = prop::sample::select(vec![UDP, TCP]);
    (any::<bool>(), 0u8..8, 0u8..8, protocol, proptest::option::of(0u16..8)).prop_map(
        |(v4, source, destination, protocol, port)| {
            let address = |n: u8| -> IpAddr {
                if v4 { [10, 0, 0, n].into() } else { IpAddr::V6((10 << 120 | u128::from(n)).into()) }
            };
            let upper = match port {
                Some(port) => Upper::Ports { source: port, destination: port },
                None => Upper::Opaque,
            };
            Flow { source: address(source), destination: address(destination), protocol, upper }
        },
    )
}

proptest! {
    #[test]
    fn a_line_says_what_the_children_say(
        tunnels in proptest::collection::vec(proptest::option::of(any_tunnel()), 1..6),
        flows in proptest::collection::vec(any_flow(), 20),
    ) {
        let mut lines = Lines::new();
        let (view, id) = (lines.view(), TunnelId(CAPACITY - 1));
        for tunnel in tunnels {
            lines.set(id, tunnel.as_ref()).unwrap();
            for flow in &flows {
                let expected = tunnel.as_ref().and_then(|tunnel| tunnel.choose(flow)).map(|child| child.sa);
                match view.ask(id, flow) {
                    Answer::Ask => prop_assert!(tunnel.is_some()),
                    Answer::Slot(sa) => prop_assert_eq!(Some(sa), expected),
                    Answer::Nothing => prop_assert_eq!(None, expected),
                }
                prop_assert_eq!(view.ask(TunnelId(1), flow), Answer::Nothing);
            }
        }
        lines.set(id, None).unwrap();
        lines.publish(Version(1), Version(1));
        prop_assert_eq!(lines.lines.used(), 0);
    }
}

/// The shapes a large gateway has by the thousand need no second look.
#[test]
fn the_usual_tunnel_is_one_line() {
    let tunnel = |selectors| {
        let sa = SaRef { worker: WorkerId(0), slot: 0 };
        Tunnel::new(vec![Child::new(selectors, sa)]).unwrap()
    };
    let side = |address: &str, length| {
        [Selector::addresses_only(AddressRange::prefix(address.parse().unwrap(), length))]
    };
    let sets = [
        SelectorSet::any(),
        SelectorSet::new(&side("10.0.0.0", 8), &side("172.16.5.0", 24)).unwrap(),
        SelectorSet::new(&side("2001:db8::", 32), &side("2001:db8:5::", 48)).unwrap(),
    ];
    assert!(sets.into_iter().all(|set| line_of(&tunnel(set)).is_some()));
    assert!(Lines::new().set(TunnelId(CAPACITY), None).is_err());
}

/// A worker's packets go by its own SA if it has one, else by that of all: no line says that for all workers.
#[test]
fn a_worker_uses_its_own() {
    let slot = |worker, slot| SaRef { worker: WorkerId(worker), slot };
    let child = Child::new(SelectorSet::any(), slot(2, 7)).with_own([slot(0, 3), slot(3, 7)]);
    let chosen = [0, 1, 2, 3, 4].map(|worker| child.slot_for(WorkerId(worker)));
    assert_eq!(chosen, [slot(0, 3), slot(2, 7), slot(2, 7), slot(3, 7), slot(2, 7)]);
    assert_eq!(line_of(&Tunnel::new(vec![child.clone()]).unwrap()), None);
    let ordinary = Tunnel::new(vec![child.with_own([])]).unwrap();
    assert!(line_of(&ordinary).is_some(), "without them it is one line again");
}
