//! UDP datagrams of IKE as complete IP packets: control builds them, a worker routes and
//! frames them. Neither passes a socket of the kernel.

use std::net::{IpAddr, SocketAddr};

use ravelin_dataplane::net::{ipv4, ipv6, udp};

/// Precedes an IKE message on the NAT traversal port (RFC 3948 §2.2).
const NON_ESP_MARKER: [u8; 4] = [0; 4];
const UDP: u8 = 17;
/// TTL or hop limit.
const HOPS: u8 = 64;
/// No such packet can be built: a fault of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no UDP datagram of {octets} octets from {local} to {remote} can be built")]
pub struct Unbuildable {
    local: SocketAddr,
    remote: SocketAddr,
    octets: usize,
}

/// The packet that carries `payload`, with this DSCP, and `id` as its IPv4 identification. Fragmentation is
/// allowed: a large message of a peer without RFC 7383 must still arrive.
///
/// # Errors
/// When the addresses are of two families or the payload is longer than UDP carries.
pub fn packet(
    local: SocketAddr,
    remote: SocketAddr,
    marker: bool,
    payload: &[u8],
    (dscp, id): (u8, u16),
) -> Result<Vec<u8>, Unbuildable> {
    let marker: &[u8] = if marker { &NON_ESP_MARKER } else { &[] };
    let octets = udp::Repr::LEN + marker.len() + payload.len();
    let header = if local.is_ipv4() { ipv4::Repr::LEN } else { ipv6::Repr::LEN };
    let mut packet = vec![0; header + udp::Repr::LEN];
    packet.extend(marker);
    packet.extend(payload);
    let (ip, datagram) = packet.split_at_mut(header);
    let emitted = emit_ip((local.ip(), remote.ip()), octets, (dscp << 2, id), ip)
        .and_then(|()| emit_udp(local.port(), remote.port(), octets, datagram));
    emitted.ok_or(Unbuildable { local, remote, octets })?;
    udp::set_checksum(local.ip(), remote.ip(), datagram);
    Ok(packet)
}

fn emit_udp(source: u16, destination: u16, octets: usize, out: &mut [u8]) -> Option<()> {
    let length = u16::try_from(octets).ok()?;
    udp::Repr { source, destination, length, checksum: 0 }.emit(out).ok()
}

fn emit_ip(
    ends: (IpAddr, IpAddr),
    payload: usize,
    (traffic_class, id): (u8, u16),
    out: &mut [u8],
) -> Option<()> {
    match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4::Repr {
            traffic_class,
            total_length: u16::try_from(payload + ipv4::Repr::LEN).ok()?,
            id,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            ttl: HOPS,
            protocol: UDP,
            source,
            destination,
        }
        .emit(out)
        .ok(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6::Repr {
            traffic_class,
            flow_label: 0,
            payload_length: u16::try_from(payload).ok()?,
            next_header: UDP,
            hop_limit: HOPS,
            source,
            destination,
        }
        .emit(out)
        .ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is built is read back whole, with right checksums, in both families.
    #[test]
    fn round_trip() {
        let message = [7; 100];
        for (local, remote) in
            [("192.0.2.1:500", "192.0.2.2:500"), ("[2001:db8::1]:4500", "[2001:db8::2]:4500")]
        {
            let (local, remote): (SocketAddr, SocketAddr) = (local.parse().unwrap(), remote.parse().unwrap());
            let marker = local.port() == 4500;
            let packet = packet(local, remote, marker, &message, (48, 9)).unwrap();
            let (class, payload) = match local {
                SocketAddr::V4(_) => {
                    let header = ipv4::Header::parse(&packet).unwrap();
                    assert!(header.checksum_ok());
                    (header.traffic_class(), &packet[20..])
                }
                SocketAddr::V6(_) => {
                    let header = ipv6::Header::parse(&packet).unwrap();
                    (header.traffic_class(), header.payload())
                }
            };
            assert_eq!(class, 48 << 2);
            let datagram = udp::Header::parse(payload).unwrap();
            assert!(datagram.checksum_ok(local.ip(), remote.ip()));
            assert_eq!(datagram.payload().len(), 100 + if marker { 4 } else { 0 });
        }
    }

    /// Mixed families and impossible lengths are refused.
    #[test]
    fn refused() {
        let (v4, v6) = ("192.0.2.1:500".parse().unwrap(), "[2001:db8::2]:500".parse().unwrap());
        assert!(packet(v4, v6, false, &[], (0, 0)).is_err());
        assert!(packet(v4, v4, false, &vec![0; 65_510], (0, 0)).is_err());
    }
}
