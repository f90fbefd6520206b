//! Narrowing of traffic selectors (RFC 7296 §2.9): what both sides want, as a union of intersections.
//!
//! Each received selector meets each configured one; addresses, protocol and ports are intersected
//! independently. Which child configuration is tried is left to the caller.

use crate::config::Selector;
use crate::wire::{AddressRange, TrafficSelector, TrafficSelectors};
use core::cmp::{max, min};

/// Most selectors one side of a CHILD_SA may have: more cannot be put into the policy of a worker (TS-05).
pub const LIMIT: usize = 32;

/// The packets both selectors allow, or `None` if there are none.
pub fn intersect(a: &Selector, b: &Selector) -> Option<Selector> {
    if !a.is_well_formed() || !b.is_well_formed() || a.start.is_ipv4() != b.start.is_ipv4() {
        return None;
    }
    let (start, end) = (max(a.start, b.start), min(a.end, b.end));
    let protocol = intersect_protocols(a.protocol, b.protocol)?;
    let (start_port, end_port) = intersect_ports(a, b)?;
    (start <= end).then_some(Selector { start, end, protocol, start_port, end_port })
}

/// In what two selectors have nothing in common; `None` if they have.
pub fn obstacle(a: &Selector, b: &Selector) -> Option<&'static str> {
    let (start, end) = (max(a.start, b.start), min(a.end, b.end));
    match intersect(a, b) {
        Some(_) => None,
        None if !a.is_well_formed() || !b.is_well_formed() => Some("one of them is empty"),
        None if a.start.is_ipv4() != b.start.is_ipv4() => Some("address families"),
        None if start > end => Some("addresses"),
        None if intersect_protocols(a.protocol, b.protocol).is_none() => Some("protocols"),
        None => Some("ports"),
    }
}

/// Zero is any protocol (RFC 7296 §3.13.1).
fn intersect_protocols(a: u8, b: u8) -> Option<u8> {
    match (a, b) {
        (0, other) | (other, 0) => Some(other),
        (a, b) => (a == b).then_some(a),
    }
}

/// OPAQUE, packets whose ports cannot be seen, is inside "any port" and disjoint from every other range.
fn intersect_ports(a: &Selector, b: &Selector) -> Option<(u16, u16)> {
    match (a.is_opaque(), b.is_opaque()) {
        (true, true) => Some((u16::MAX, 0)),
        (true, false) => is_any_port(b).then_some((u16::MAX, 0)),
        (false, true) => is_any_port(a).then_some((u16::MAX, 0)),
        (false, false) => {
            let (start, end) = (max(a.start_port, b.start_port), min(a.end_port, b.end_port));
            (start <= end).then_some((start, end))
        }
    }
}

fn is_any_port(selector: &Selector) -> bool {
    selector.start_port == 0 && selector.end_port == u16::MAX
}

/// Whether every packet of `inner` is one of `outer`.
pub fn contains(outer: &Selector, inner: &Selector) -> bool {
    intersect(outer, inner).as_ref() == Some(inner)
}

/// Whether each of `inner` lies within one of `outer`.
pub fn all_within(inner: &[Selector], outer: &[Selector]) -> bool {
    inner.iter().all(|selector| outer.iter().any(|allowed| contains(allowed, selector)))
}

/// The union of all intersections of `received` and `configured`, without parts that others contain. `None` if
/// it is empty or has more than [`LIMIT`] parts (answered with TS_UNACCEPTABLE).
pub fn narrow(received: &[Selector], configured: &[Selector]) -> Option<Vec<Selector>> {
    let mut result: Vec<Selector> = Vec::new();
    for common in
        received.iter().flat_map(|theirs| configured.iter().filter_map(|ours| intersect(theirs, ours)))
    {
        add(&mut result, common);
        // Each step keeps at most 32, so that 255 received times 32 configured selectors stay cheap.
        if result.len() > LIMIT {
            return None;
        }
    }
    // It is kept as long as the CHILD_SA.
    result.shrink_to_fit();
    (!result.is_empty()).then_some(result)
}

/// Adds a selector to those of which none contains another.
fn add(result: &mut Vec<Selector>, selector: Selector) {
    if !result.iter().any(|kept| contains(kept, &selector)) {
        result.retain(|kept| !contains(&selector, kept));
        result.push(selector);
    }
}

/// The same packets, by selectors of which none contains another.
pub fn reduce(selectors: &[Selector]) -> Vec<Selector> {
    let mut result = Vec::with_capacity(selectors.len());
    selectors.iter().for_each(|selector| add(&mut result, *selector));
    result.shrink_to_fit();
    result
}

/// Selectors as they stand in a TS payload.
pub fn from_wire(payload: &TrafficSelectors) -> Vec<Selector> {
    payload
        .selectors
        .iter()
        .map(|selector| Selector {
            start: selector.addresses.start(),
            end: selector.addresses.end(),
            protocol: selector.protocol,
            start_port: selector.start_port,
            end_port: selector.end_port,
        })
        .collect()
}

/// A TS payload of these selectors; those of an impossible range are left out.
pub fn to_wire(selectors: &[Selector]) -> TrafficSelectors {
    TrafficSelectors::new(
        selectors
            .iter()
            .filter_map(|selector| {
                Some(TrafficSelector {
                    protocol: selector.protocol,
                    start_port: selector.start_port,
                    end_port: selector.end_port,
                    addresses: AddressRange::new(selector.start, selector.end)?,
                })
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: &str, end: &str) -> Selector {
        Selector::addresses(start.parse().unwrap(), end.parse().unwrap())
    }

    /// The worked example of TS-06.
    #[test]
    fn the_worked_example() {
        let e1 = range("10.1.0.0", "10.1.0.255").with_ports(17, 1000, 2000);
        let e2 = range("10.1.1.0", "10.1.1.127");
        let list = [e1, e2];
        assert_eq!(narrow(&[range("10.1.0.0", "10.1.255.255")], &list), Some(vec![e1, e2]));
        assert_eq!(
            narrow(&[range("10.1.1.64", "10.1.1.255").with_ports(6, 80, 80)], &list),
            Some(vec![range("10.1.1.64", "10.1.1.127").with_ports(6, 80, 80)])
        );
        assert_eq!(narrow(&[range("10.9.0.0", "10.9.255.255")], &list), None);
    }

    #[test]
    fn opaque_meets_any_and_itself_only() {
        let any = range("10.0.0.0", "10.0.0.9").with_ports(17, 0, u16::MAX);
        let opaque = range("10.0.0.0", "10.0.0.9").with_ports(17, u16::MAX, 0);
        assert_eq!(intersect(&any, &opaque), Some(opaque));
        assert_eq!(intersect(&opaque, &opaque), Some(opaque));
        assert_eq!(intersect(&opaque, &range("10.0.0.0", "10.0.0.9").with_ports(17, 1, 65535)), None);
    }

    #[test]
    fn families_do_not_mix() {
        assert_eq!(intersect(&range("10.0.0.0", "10.0.0.9"), &range("::", "::9")), None);
    }

    #[test]
    fn more_than_thirty_two_parts_are_refused() {
        let many: Vec<Selector> =
            (0..33).map(|i| Selector::host(std::net::Ipv4Addr::new(10, 0, 0, 2 * i).into())).collect();
        let all = [range("0.0.0.0", "255.255.255.255")];
        assert_eq!(narrow(&many, &all), None);
        assert_eq!(narrow(&many[..32], &all).map(|n| n.len()), Some(32));
    }

    /// A universe small enough to try every packet of it.
    fn small() -> impl Strategy<Value = Selector> {
        let ports = prop_oneof![
            Just((0, u16::MAX)),
            Just((u16::MAX, 0)),
            (0u16..4, 0u16..4).prop_map(|(a, b)| (a.min(b), a.max(b))),
        ];
        (0u8..6, 0u8..6, 0u8..3, ports).prop_map(|(a, b, protocol, (start_port, end_port))| {
            let address = |last: u8| std::net::IpAddr::from([10, 0, 0, last]);
            Selector { start: address(a.min(b)), end: address(a.max(b)), protocol, start_port, end_port }
        })
    }

    /// A packet, with `None` for ports that cannot be seen.
    fn allows(selector: &Selector, address: u8, protocol: u8, port: Option<u16>) -> bool {
        let address = std::net::IpAddr::from([10, 0, 0, address]);
        let any_port = selector.start_port == 0 && selector.end_port == u16::MAX;
        selector.start <= address
            && address <= selector.end
            && (selector.protocol == 0 || selector.protocol == protocol)
            && match port {
                None => any_port || selector.is_opaque(),
                Some(port) => {
                    !selector.is_opaque() && selector.start_port <= port && port <= selector.end_port
                }
            }
    }

    proptest! {
        /// The narrowed set holds exactly the packets that both sides allow.
        #[test]
        fn narrowing_agrees_with_trying_every_packet(
            theirs in prop::collection::vec(small(), 1..5),
            ours in prop::collection::vec(small(), 1..5),
        ) {
            let result = narrow(&theirs, &ours).unwrap_or_default();
            prop_assert!(all_within(&result, &theirs) && all_within(&result, &ours));
            for address in 0..6 {
                for protocol in 1..3 {
                    for port in [None, Some(0), Some(1), Some(2), Some(3), Some(9)] {
                        let any = |list: &[Selector]| list.iter().any(|s| allows(s, address, protocol, port));
                        prop_assert_eq!(any(&result), any(&theirs) && any(&ours));
                    }
                }
            }
        }
    }
}
