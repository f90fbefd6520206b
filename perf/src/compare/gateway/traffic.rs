//! The packets of a gateway scenario and the associations that carry them: one rule for everybody.
//!
//! Gateway 192.0.2.1 protects 10.1.0.0/16. Association n leads to a peer of its own, 198.18.0.0 plus n, which
//! protects the nth /24 of 20.0.0.0. The packets are UDP from 10.1.0.9 to those networks, or ESP from those
//! peers that holds UDP the other way; associations come in a random order, so that no cache can guess the
//! next one. ESP is made by [`super::suite`], not with the kernels that are measured.

use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, ensure};
use ravelin_dataplane::net::eth::{self, Mac};
use ravelin_dataplane::net::{esp, ipv4, protocol, udp};
use serde::{Deserialize, Serialize};

use super::suite::Suite;
use crate::compare::texts;

/// Our address on the public side.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The next hop on the public side, by which all peers are reached.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
/// A host that we protect.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
/// Ethernet address of whoever is behind the second port.
pub const NEIGHBOUR: Mac = Mac([2, 0, 0, 0, 0, 0x22]);
/// Ethernet address of the first pcap device of a DPDK process.
pub const FIRST_PORT: Mac = Mac([0x02, 0x70, 0x63, 0x61, 0x70, 0x00]);
/// TTL of inner packets, before they are forwarded.
pub const TTL: u8 = 64;

/// Of an inner packet: IPv4 and UDP headers.
const HEADERS: usize = ipv4::Repr::LEN + udp::Repr::LEN;

/// One association.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sa {
    /// Its number, from 0.
    pub index: u32,
    /// How it protects.
    #[serde(flatten)]
    pub suite: Suite,
    /// Extended sequence numbers.
    pub esn: bool,
}

impl Sa {
    /// SPI in the first shard, with the number as slot.
    pub fn spi(&self) -> u32 {
        (1 << 26) | self.index
    }

    /// Its keying material.
    pub fn keymat(&self) -> Vec<u8> {
        self.suite.keymat(self.index)
    }

    /// The peer's outer address.
    pub fn peer(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + self.index)
    }

    /// The network behind the peer, a /24.
    pub fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(20, 0, 0, 0)) + (self.index << 8))
    }

    /// A host in it.
    pub fn host(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network()) + 9)
    }
}

/// A scenario's associations and the sizes of its inner packets, in turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Traffic {
    /// Decapsulating instead of encapsulating.
    pub decap: bool,
    /// By number.
    pub sas: Vec<Sa>,
    /// Octets of the inner IP packets, over and over.
    pub sizes: Vec<usize>,
}

/// One packet to be: of which association, its sequence number there, its size.
#[derive(Clone, Copy, Debug)]
struct Packet {
    sa: Sa,
    sequence: u32,
    size: usize,
    number: u32,
}

impl Traffic {
    /// Whether its associations have a cipher and a hash each.
    pub fn uses_hashes(&self) -> bool {
        self.sas.iter().any(|sa| sa.suite.hash.is_some())
    }

    /// As `ipsec-secgw` carries it, which has extended sequence numbers for all associations or for none.
    pub fn without_esn(&self) -> Traffic {
        let sas = self.sas.iter().map(|sa| Sa { esn: false, ..*sa }).collect();
        Traffic { sas, ..self.clone() }
    }

    /// Packets that are sent over and over: each association once, each size, and no fewer than a few bursts.
    pub fn cycle(&self) -> usize {
        let round = self.sizes.len();
        self.sas.len().max(480).next_multiple_of(round)
    }

    /// Writes the capture that the timed runs read in a loop.
    ///
    /// # Errors
    /// What could not be written.
    pub fn write_cycle(&self, path: &Path) -> anyhow::Result<()> {
        let mut capture = Capture::create(path)?;
        for packet in self.packets(self.cycle()) {
            capture.write(&self.frame(&packet, None)?)?;
        }
        capture.finish()
    }

    /// Writes `count` packets with one more of a wrong selector and, for decapsulation, one twice.
    ///
    /// # Errors
    /// What could not be written.
    pub fn write_proof(&self, path: &Path, count: usize) -> anyhow::Result<()> {
        let mut capture = Capture::create(path)?;
        let mut last = None;
        for packet in self.packets(count) {
            let frame = self.frame(&packet, None)?;
            capture.write(&frame)?;
            last = Some((packet, frame));
        }
        let (packet, frame) = last.context("there are packets")?;
        if self.decap {
            capture.write(&frame)?;
        }
        let wrong = Packet { sequence: packet.sequence + 1, number: u32::MAX, ..packet };
        capture.write(&self.frame(&wrong, Some(Ipv4Addr::new(10, 9, 9, 9)))?)?;
        capture.finish()
    }

    /// Packets of [`Self::write_proof`] that must be dropped.
    pub fn to_drop(&self) -> usize {
        if self.decap { 2 } else { 1 }
    }

    fn packets(&self, count: usize) -> Vec<Packet> {
        let order = texts::shuffled(self.sas.len() as u32);
        let mut sequences = vec![0; self.sas.len()];
        let sizes = self.sizes.iter().copied().cycle();
        let sas = order.iter().filter_map(|index| self.sas.get(*index as usize)).cycle();
        let each = sas.zip(sizes).zip(0..).take(count);
        each.map(|((sa, size), number)| {
            let sequence = sequences.get_mut(sa.index as usize).map_or(0, |last| {
                *last += 1;
                *last
            });
            Packet { sa: *sa, sequence, size, number }
        })
        .collect()
    }

    /// The frame of a packet; its inner source is `source`, or right.
    fn frame(&self, packet: &Packet, source: Option<Ipv4Addr>) -> anyhow::Result<Vec<u8>> {
        let remote = packet.sa.host();
        let (from, to) = if self.decap { (remote, HOST) } else { (HOST, remote) };
        let inner = inner(packet, source.unwrap_or(from), to)?;
        let packet = if self.decap { sealed(packet, &inner, packet.sa.peer(), GATEWAY)? } else { inner };
        let mut frame = vec![0; eth::Repr::LEN];
        let ethernet =
            eth::Repr { destination: FIRST_PORT, source: NEIGHBOUR, ethertype: eth::ethertype::IPV4 };
        ethernet.emit(&mut frame)?;
        frame.extend(packet);
        Ok(frame)
    }
}

/// An inner packet; its payload begins with its number.
fn inner(packet: &Packet, source: Ipv4Addr, destination: Ipv4Addr) -> anyhow::Result<Vec<u8>> {
    let Packet { size, number, .. } = *packet;
    let mut octets: Vec<u8> = (0..size).map(|i| (i * 31 + number as usize) as u8).collect();
    let (header, datagram) = octets.split_at_mut(ipv4::Repr::LEN);
    header_of(size, number as u16, protocol::UDP, source, destination)?.emit(header)?;
    let length = u16::try_from(datagram.len())?;
    let port = 1024 + (number % 16) as u16;
    udp::Repr { source: port, destination: 5001, length, checksum: 0 }.emit(datagram)?;
    let named = octets.get_mut(HEADERS..HEADERS + 4).context("an inner packet has 32 octets at least")?;
    named.copy_from_slice(&number.to_be_bytes());
    Ok(octets)
}

fn header_of(
    size: usize,
    id: u16,
    protocol: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
) -> anyhow::Result<ipv4::Repr> {
    Ok(ipv4::Repr {
        traffic_class: 0,
        total_length: u16::try_from(size)?,
        id,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        ttl: TTL,
        protocol,
        source,
        destination,
    })
}

/// `inner` in ESP (RFC 4303 §2).
fn sealed(packet: &Packet, inner: &[u8], from: Ipv4Addr, to: Ipv4Addr) -> anyhow::Result<Vec<u8>> {
    let Packet { sa, sequence, .. } = *packet;
    ensure!(!sa.esn, "the sequence numbers of what is read over and over are not extended");
    let mut text = inner.to_vec();
    let padding = (inner.len() + 2).next_multiple_of(sa.suite.block()) - inner.len() - 2;
    text.extend((1..=padding as u8).chain([padding as u8, protocol::IPV4]));
    let mut head = [0; esp::Repr::LEN];
    esp::Repr { spi: sa.spi(), sequence }.emit(&mut head)?;
    let rest = sa.suite.protected(sa.index, sequence, &head, text)?;
    let length = ipv4::Repr::LEN + head.len() + rest.len();
    let mut octets = vec![0; ipv4::Repr::LEN];
    header_of(length, sequence as u16, protocol::ESP, from, to)?.emit(&mut octets)?;
    octets.extend(head.iter().chain(&rest));
    Ok(octets)
}

/// A capture file being written.
struct Capture(BufWriter<std::fs::File>);

impl Capture {
    fn create(path: &Path) -> anyhow::Result<Capture> {
        let file =
            std::fs::File::create(path).with_context(|| format!("could not create {}", path.display()))?;
        let mut file = BufWriter::new(file);
        let head: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1];
        head.iter().try_for_each(|word| file.write_all(&word.to_ne_bytes()))?;
        Ok(Capture(file))
    }

    fn write(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        let length = u32::try_from(frame.len())?;
        [0, 0, length, length].iter().try_for_each(|word| self.0.write_all(&word.to_ne_bytes()))?;
        Ok(self.0.write_all(frame)?)
    }

    fn finish(mut self) -> anyhow::Result<()> {
        Ok(self.0.flush()?)
    }
}

/// For the oracle's tests: what a gateway should make of the input.
#[cfg(test)]
pub mod testing {
    use super::*;

    /// The frames that should come out, in order.
    pub fn right_answer(traffic: &Traffic, count: usize) -> Vec<Vec<u8>> {
        traffic.packets(count).iter().map(|packet| answer(traffic, packet)).collect()
    }

    fn answer(traffic: &Traffic, packet: &Packet) -> Vec<u8> {
        let remote = packet.sa.host();
        let (from, to) = if traffic.decap { (remote, HOST) } else { (HOST, remote) };
        let mut octets = inner(packet, from, to).unwrap();
        ipv4::decrement_ttl(&mut octets).unwrap();
        if !traffic.decap {
            octets = sealed(packet, &octets, GATEWAY, packet.sa.peer()).unwrap();
        }
        let mut frame = vec![0; eth::Repr::LEN];
        let ethernet =
            eth::Repr { destination: NEIGHBOUR, source: FIRST_PORT, ethertype: eth::ethertype::IPV4 };
        ethernet.emit(&mut frame).unwrap();
        frame.extend(octets);
        frame
    }

    /// Writes a capture of them.
    pub fn write(path: &Path, frames: &[Vec<u8>]) {
        let mut capture = Capture::create(path).unwrap();
        frames.iter().for_each(|frame| capture.write(frame).unwrap());
        capture.finish().unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(count: u32, suite: Suite) -> Traffic {
        let sas = (0..count).map(|index| Sa { index, suite, esn: false }).collect();
        Traffic { decap: true, sas, sizes: vec![64, 576, 1420] }
    }

    /// In one cycle every association is used, and sequence numbers count up in each.
    #[test]
    fn a_cycle_uses_every_association() {
        let traffic = traffic(1000, Suite::gcm(128));
        let packets = traffic.packets(traffic.cycle());
        assert_eq!(packets.len() % 3, 0);
        for sa in &traffic.sas {
            let mine: Vec<u32> =
                packets.iter().filter(|packet| packet.sa.index == sa.index).map(|it| it.sequence).collect();
            assert!(!mine.is_empty());
            assert!(mine.iter().copied().eq(1..=mine.len() as u32));
        }
    }

    /// Lengths are those of RFC 4303: 20 of outer IP, 8 of ESP, IV, text with trailer, ICV.
    #[test]
    fn frames_have_the_length_they_should() {
        let length = |suite| {
            let traffic = traffic(1, suite);
            let [packet, ..] = traffic.packets(1)[..] else { panic!() };
            traffic.frame(&packet, None).unwrap().len()
        };
        assert_eq!(length(Suite::gcm(128)), 14 + 20 + 8 + 8 + 68 + 16);
        assert_eq!(length(Suite::cbc(256, 512)), 14 + 20 + 8 + 16 + 80 + 32);
    }
}
