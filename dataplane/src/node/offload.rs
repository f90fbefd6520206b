//! Whether hosts send what they should: samples the TCP and UDP checksums of clear packets
//! that are to enter a tunnel. A host that leaves its checksums to a device that is not there
//! (checksum offload over veth, a mirror port) sends packets that every receiver drops, and
//! nothing on the way would say so. Changes no packet.

use super::Packet;
use crate::io::Frame;
use crate::net::checksum;
use crate::net::flow::Flow;
use crate::net::protocol::{TCP, UDP};

/// One packet in so many is looked at: a power of two, so that the choice is a mask.
pub const SAMPLE: u64 = 64;

/// Whether the upper-layer checksum is right; `None` where it cannot be told.
pub fn checksum_ok<F: Frame>(packet: &Packet<F>) -> Option<bool> {
    let Flow { source, destination, protocol, .. } = packet.summary.flow();
    let upper = packet.frame.data().get(packet.summary.upper_at()..)?;
    // RFC 768: zero says that the sender computed none.
    let absent = protocol == UDP && source.is_ipv4() && upper.get(6..8) == Some(&[0, 0]);
    let told = matches!(protocol, TCP | UDP) && !packet.summary.is_fragment() && !absent;
    told.then(|| checksum::transport_ok(source, destination, protocol, upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Pool, ram::RamPool};
    use crate::net::{ipv4, udp};

    fn datagram(broken: bool, fragment: bool) -> Packet<crate::io::ram::RamFrame> {
        let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut bytes = vec![0; 40];
        let header = ipv4::Repr {
            traffic_class: 0,
            total_length: 40,
            id: 1,
            dont_fragment: false,
            more_fragments: fragment,
            fragment_offset: 0,
            ttl: 9,
            protocol: UDP,
            source,
            destination,
        };
        header.emit(&mut bytes).unwrap();
        udp::Repr { source: 1, destination: 2, length: 20, checksum: 0 }.emit(&mut bytes[20..]).unwrap();
        udp::set_checksum(source.into(), destination.into(), &mut bytes[20..]);
        bytes[26] ^= u8::from(broken);
        let frame = RamPool::new(1, 1).copy_of(&bytes).unwrap();
        Packet::parse(frame).unwrap_or_else(|_| panic!("a packet"))
    }

    /// A finished checksum is right, an unfinished one is not, and of a fragment nothing can be said.
    #[test]
    fn checksums_are_judged_where_they_can_be() {
        assert_eq!(checksum_ok(&datagram(false, false)), Some(true));
        assert_eq!(checksum_ok(&datagram(true, false)), Some(false));
        assert_eq!(checksum_ok(&datagram(true, true)), None);
    }
}
