//! A packet that wants a child, as the selectors of its two ends (RFC 7296 §2.9): single addresses, its protocol, and its
//! ports or what stands in their place (§3.13.1).

use ravelin_dataplane::net::flow::{Flow, Upper};
use ravelin_ike::config::Selector;
use ravelin_ike::input::Packet;

/// Every port, and packets that show none. A later fragment is asked for like what it is a part of.
const ANY: (u16, u16) = (0, u16::MAX);

/// The selectors of a packet that leaves. A type of ICMP or of the mobility header is what its sender may send: it says
/// nothing of the other side (RFC 4301 §4.4.1.1).
pub fn selectors(flow: &Flow) -> Packet {
    let one = |port: u16| (port, port);
    let (local, remote) = match flow.upper {
        Upper::Ports { source, destination } => (one(source), one(destination)),
        Upper::Icmp { kind, code } => (one(u16::from_be_bytes([kind, code])), ANY),
        Upper::Mobility { kind } => (one(u16::from_be_bytes([kind, 0])), ANY),
        Upper::Opaque | Upper::Portless => (ANY, ANY),
    };
    let of = |address, (first, last)| Selector::host(address).with_ports(flow.protocol, first, last);
    Packet { local: of(flow.source, local), remote: of(flow.destination, remote) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::words;

    /// What of each kind of packet is told, in the words of the configuration.
    #[test]
    fn packets() {
        let told = |protocol, upper| {
            let ends = ["10.2.0.9", "10.1.0.7"].map(|address| address.parse().unwrap());
            let Packet { local, remote } =
                selectors(&Flow { source: ends[0], destination: ends[1], protocol, upper });
            words::negotiated(&[local], &[remote])
        };
        for (protocol, upper, expected) in [
            (17, Upper::Ports { source: 100, destination: 53 }, "10.2.0.9/32 udp/100 === 10.1.0.7/32 udp/53"),
            (1, Upper::Icmp { kind: 8, code: 0 }, "10.2.0.9/32 icmp/8.0 === 10.1.0.7/32 icmp"),
            (135, Upper::Mobility { kind: 5 }, "10.2.0.9/32 mh/5 === 10.1.0.7/32 mh"),
            (6, Upper::Opaque, "10.2.0.9/32 tcp === 10.1.0.7/32 tcp"),
            (47, Upper::Portless, "10.2.0.9/32 gre === 10.1.0.7/32 gre"),
        ] {
            assert_eq!(told(protocol, upper), expected);
        }
    }
}
