//! The packets that hosts send each other through the gateways, and what is to arrive of them.

use anyhow::Context;
use ravelin_dataplane::net::{eth, ipv4, protocol, udp};

use crate::gateway::Side;
use crate::traffic::Mix;

const TTL: u8 = 64;

/// A burst of UDP over IPv4 from the host on the left to the one on the right, of 16 flows.
pub fn packets(mix: Mix) -> anyhow::Result<Vec<Vec<u8>>> {
    mix.sizes().into_iter().enumerate().map(|(number, size)| packet(number, size)).collect()
}

pub fn packet(number: usize, size: usize) -> anyhow::Result<Vec<u8>> {
    let mut frame: Vec<u8> = (0..eth::Repr::LEN + size).map(|i| (i * 31 + number) as u8).collect();
    let (link, packet) = frame.split_at_mut(eth::Repr::LEN);
    let ethernet = eth::Repr {
        destination: Side::Left.mac(0),
        source: Side::Left.host_mac(),
        ethertype: eth::ethertype::IPV4,
    };
    ethernet.emit(link)?;
    let (header, datagram) = packet.split_at_mut(ipv4::Repr::LEN);
    let length = u16::try_from(size)?;
    ip(length, number as u16).emit(header)?;
    let udp = udp::Repr {
        source: 1024 + (number % 16) as u16,
        destination: 5001,
        length: length - ipv4::Repr::LEN as u16,
        checksum: 0,
    };
    udp.emit(datagram)?;
    Ok(frame)
}

/// Addresses a packet to the host behind another SA; one SA's packets are one flow.
pub fn address(frame: &mut [u8], number: usize, sa: u32) -> anyhow::Result<()> {
    let packet = frame.get_mut(eth::Repr::LEN..).context("a packet")?;
    let (header, datagram) = packet.split_at_mut(ipv4::Repr::LEN);
    let destination = Side::Right.nth_host(sa);
    let length = u16::try_from(header.len() + datagram.len())?;
    ipv4::Repr { destination, ..ip(length, number as u16) }.emit(header)?;
    datagram.get_mut(..2).context("a port")?.copy_from_slice(&(1024 + sa as u16 % 16).to_be_bytes());
    Ok(())
}

fn ip(total_length: u16, id: u16) -> ipv4::Repr {
    ipv4::Repr {
        traffic_class: 0,
        total_length,
        id,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: TTL,
        protocol: protocol::UDP,
        source: Side::Left.host(),
        destination: Side::Right.host(),
    }
}

/// The frame the host on the right is to get for one the left host sent: two hops on (RFC 4301
/// §5.1.2.1 note c), framed by the right gateway.
pub fn forwarded(sent: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut expected = sent.to_vec();
    let (link, packet) = expected.split_at_mut(eth::Repr::LEN);
    let ethernet = eth::Repr {
        destination: Side::Right.host_mac(),
        source: Side::Right.mac(0),
        ethertype: eth::ethertype::IPV4,
    };
    ethernet.emit(link)?;
    ipv4::decrement_ttl(packet).context("the TTL suffices")?;
    ipv4::decrement_ttl(packet).context("the TTL suffices")?;
    Ok(expected)
}
