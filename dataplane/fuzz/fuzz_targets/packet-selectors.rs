//! Selectors from a peer or a file, and packets held against them (RFC 4301 §4.4.1.1, RFC 7296 §3.13.1).
//!
//! What is built says what it was built from; a packet is admitted by the side a naive reading admits it
//! by, and in one direction exactly as in the other with the sides exchanged.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use ravelin_dataplane::net::flow::{Flow, Summary, Upper};
use ravelin_dataplane::policy::selector::{AddressRange, Ports, Selector, SelectorSet};

/// Octets of a selector in the input: family and side, protocol, ports, two addresses.
const RECORD: usize = 38;

fuzz_target!(|data: &[u8]| {
    let Some((count, mut rest)) = data.split_first() else { return };
    let (mut local, mut remote) = (Vec::new(), Vec::new());
    for _ in 0..count % 40 {
        let Some((record, after)) = rest.split_first_chunk() else { break };
        rest = after;
        let side = if record[0] & 2 == 0 { &mut local } else { &mut remote };
        side.extend(selector(record));
    }
    let Ok(set) = SelectorSet::new(&local, &remote) else { return };
    let exchanged = SelectorSet::new(&remote, &local).expect("both sides were accepted");
    let Ok(flow) = Summary::parse(rest).map(|summary| summary.flow()) else { return };
    let outbound = set.admits_outbound(&flow);
    assert_eq!(outbound, exchanged.admits_inbound(&flow));
    assert_eq!(outbound, set.narrowness(&flow).is_some());
    let naive = |side: &[Selector], source| side.iter().any(|selector| admits(selector, &flow, source));
    assert_eq!(outbound, naive(&local, true) && naive(&remote, false), "{flow:?} against {set:?}");
});

fn selector(record: &[u8; RECORD]) -> Option<Selector> {
    let word = |at: usize| u16::from_be_bytes([record[at], record[at + 1]]);
    let (start, end) = (word(2), word(4));
    let ports = Ports::new(start, end).ok()?;
    assert_eq!(ports.wire(), (start, end));
    let addresses = match record[0] & 1 {
        0 => AddressRange::new(v4(&record[6..]), v4(&record[22..])),
        _ => AddressRange::new(v6(&record[6..]), v6(&record[22..])),
    };
    let addresses = addresses.ok()?;
    assert!(addresses.contains(addresses.first()) && addresses.contains(addresses.last()));
    let selector = Selector::new(addresses, record[1], ports).ok()?;
    assert_eq!((selector.addresses(), selector.protocol(), selector.ports()), (addresses, record[1], ports));
    Some(selector)
}

fn v4(octets: &[u8]) -> IpAddr {
    octets.first_chunk::<4>().map(|octets| IpAddr::from(*octets)).expect("a record is long enough")
}

fn v6(octets: &[u8]) -> IpAddr {
    octets.first_chunk::<16>().map(|octets| IpAddr::from(*octets)).expect("a record is long enough")
}

/// RFC 7296 §3.13.1, word for word: ports 0 to 65535 are any, 65535 to 0 is OPAQUE, and an ICMP
/// type and code belong to whoever sends the message.
fn admits(selector: &Selector, flow: &Flow, source: bool) -> bool {
    let address = if source { flow.source } else { flow.destination };
    let (first, last) = (selector.addresses().first(), selector.addresses().last());
    let within = first.is_ipv4() == address.is_ipv4() && first <= address && address <= last;
    let (start, end) = selector.ports().wire();
    let port = |value: u16| start <= value && value <= end;
    let ports = (start, end) == (0, 65535)
        || match flow.upper {
            Upper::Ports { source: from, destination: to } => port(if source { from } else { to }),
            Upper::Icmp { kind, code } if source => port(u16::from(kind) << 8 | u16::from(code)),
            Upper::Mobility { kind } if source => port(u16::from(kind) << 8),
            Upper::Icmp { .. } | Upper::Mobility { .. } => (start, end) != (65535, 0),
            Upper::Opaque => (start, end) == (65535, 0),
            Upper::Portless => false,
        };
    within && [0, flow.protocol].contains(&selector.protocol()) && ports
}
