//! What goes before data where a port gives more than its worker can carry: IKE, ARP and neighbour discovery, without
//! which tunnels and links end whatever the data is worth (IKE-50).
//!
//! Read off a frame as its port gave it, of any interface and for whomever, as far as headers are as usual (RFC 3948 §2,
//! RFC 4861). What becomes of it is asked later, as of every frame; when frames are asked this is [`crate::worker`]'s to say.

use crate::net::eth::{self, ethertype};
use crate::net::flow::Summary;
use crate::net::{protocol, udp, vlan};
use crate::node::classify::{IKE_PORT, NAT_PORT};
use crate::node::policy;

/// In front of an IKE message on the port of ESP (RFC 3948 §2.2).
const MARKER: [u8; 4] = [0; 4];

/// Whether a frame is of that.
pub fn is_urgent(frame: &[u8]) -> bool {
    match untagged(frame) {
        Some((ethertype::ARP, _)) => true,
        Some((ethertype::IPV4, packet)) => is_urgent_packet(packet, true),
        Some((ethertype::IPV6, packet)) => is_urgent_packet(packet, false),
        _ => false,
    }
}

fn untagged(frame: &[u8]) -> Option<(u16, &[u8])> {
    let link = eth::Header::parse(frame).ok()?;
    match link.ethertype() {
        ethertype::VLAN | ethertype::SERVICE_VLAN => {
            let tag = vlan::Header::parse(link.payload()).ok()?;
            Some((tag.ethertype(), tag.payload()))
        }
        kind => Some((kind, link.payload())),
    }
}

fn is_urgent_packet(packet: &[u8], v4: bool) -> bool {
    let Some(summary) = Summary::usual(packet, v4) else { return false };
    let datagram = packet.get(summary.upper_at() + udp::Repr::LEN..);
    let is_marked = || datagram.is_some_and(|datagram| datagram.starts_with(&MARKER));
    summary.goes_to(protocol::UDP, IKE_PORT)
        || (summary.goes_to(protocol::UDP, NAT_PORT) && is_marked())
        || policy::is_discovery(&summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::ipv4;

    /// UDP to this port, in a frame whose last header before it is so long, tagged or not.
    fn frame(tag: &[u8], port: u16, payload: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0; udp::Repr::LEN];
        let length = (udp::Repr::LEN + payload.len()) as u16;
        udp::Repr { source: 500, destination: port, length, checksum: 0 }.emit(&mut datagram).unwrap();
        let mut packet = vec![0; ipv4::Repr::LEN];
        let repr = ipv4::Repr {
            traffic_class: 0,
            total_length: ipv4::Repr::LEN as u16 + length,
            id: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: protocol::UDP,
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
        };
        repr.emit(&mut packet).unwrap();
        [&[0; 12][..], tag, &[8, 0], &packet, &datagram, payload].concat()
    }

    const TAG: [u8; 4] = [0x81, 0, 0, 7];

    #[test]
    fn ike_is_told_from_data() {
        let (message, marked) = ([1; 40], [&[0; 4][..], &[1; 40]].concat());
        for tag in [&[][..], &TAG] {
            assert!(is_urgent(&frame(tag, IKE_PORT, &message)));
            assert!(is_urgent(&frame(tag, NAT_PORT, &marked)));
            assert!(!is_urgent(&frame(tag, NAT_PORT, &message)), "ESP in UDP");
            assert!(!is_urgent(&frame(tag, 501, &message)));
        }
    }

    #[test]
    fn whatever_is_short_is_none() {
        let whole = frame(&TAG, NAT_PORT, &[0; 40]);
        assert!((0..whole.len()).all(|length| !is_urgent(&whole[..length])));
        assert!(!is_urgent(&frame(&[], NAT_PORT, &[0; 3])));
    }
}
