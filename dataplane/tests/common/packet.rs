//! Packets for tests, written with the crate's own codecs.

use std::net::IpAddr;

use ravelin_dataplane::net::eth::{self, Mac, ethertype};
use ravelin_dataplane::net::{ipv4, ipv6, protocol, udp};

pub fn framed(to: Mac, from: Mac, packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 4 { ethertype::IPV4 } else { ethertype::IPV6 };
    let mut frame = vec![0; 14];
    eth::Repr { destination: to, source: from, ethertype: kind }.emit(&mut frame).unwrap();
    frame.extend_from_slice(packet);
    frame
}

pub struct Ip {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    pub dont_fragment: bool,
    pub traffic_class: u8,
    pub id: u16,
}

impl Ip {
    pub fn new(source: IpAddr, destination: IpAddr) -> Ip {
        Ip { source, destination, ttl: 64, dont_fragment: false, traffic_class: 0, id: 1 }
    }

    pub fn wrap(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut packet = vec![0; 20];
                let repr = ipv4::Repr {
                    traffic_class: self.traffic_class,
                    total_length: (20 + payload.len()) as u16,
                    id: self.id,
                    dont_fragment: self.dont_fragment,
                    more_fragments: false,
                    fragment_offset: 0,
                    ttl: self.ttl,
                    protocol,
                    source,
                    destination,
                };
                repr.emit(&mut packet).unwrap();
                packet.extend_from_slice(payload);
                packet
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut packet = vec![0; 40];
                let repr = ipv6::Repr {
                    traffic_class: self.traffic_class,
                    flow_label: 0,
                    payload_length: payload.len() as u16,
                    next_header: protocol,
                    hop_limit: self.ttl,
                    source,
                    destination,
                };
                repr.emit(&mut packet).unwrap();
                packet.extend_from_slice(payload);
                packet
            }
            _ => panic!("one packet, one family"),
        }
    }

    pub fn udp(&self, source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0; 8];
        let length = (8 + payload.len()) as u16;
        udp::Repr { source, destination, length, checksum: 0 }.emit(&mut datagram).unwrap();
        datagram.extend_from_slice(payload);
        udp::set_checksum(self.source, self.destination, &mut datagram);
        self.wrap(protocol::UDP, &datagram)
    }
}

/// A numbered datagram from one host to another.
pub fn numbered(source: IpAddr, destination: IpAddr, number: u32, octets: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.extend((4..octets).map(|n| (n as u32 ^ number) as u8));
    Ip::new(source, destination).udp(1000, 2000, &payload)
}

/// The same packet after one hop of forwarding.
pub fn one_hop_later(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    match packet[0] >> 4 {
        4 => drop(ipv4::decrement_ttl(&mut packet).unwrap()),
        _ => drop(ipv6::decrement_hop_limit(&mut packet).unwrap()),
    }
    packet
}
