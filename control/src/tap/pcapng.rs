//! Copies of packets as a pcapng file (draft-ietf-opsawg-pcapng), which Wireshark and tcpdump read: what the gateway
//! knows of a packet stands in its comment.
//!
//! An interface of the file is one of the gateway's, whose frames are Ethernet, or `tunnels`: IP packets of either side of
//! encryption, which the comment names. (libpcap reads no file with two interfaces of raw IP.)

use std::io::Write;
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriteError, PcapNgWriter};
use ravelin_pki::pem;

use crate::api::render;
use crate::api::reply::SeenPacket;

/// `epb_flags`: which way a packet went.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A file that packets are added to.
pub struct Writer<W: Write> {
    file: PcapNgWriter<W>,
    interfaces: Vec<String>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(file: W) -> Result<Self, PcapNgWriteError> {
        Ok(Self { file: PcapNgWriter::new(file)?, interfaces: Vec::new() })
    }

    /// Adds a copy.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn packet(&mut self, packet: &SeenPacket) -> Result<(), PcapNgWriteError> {
        let interface_id = self.interface(packet)?;
        let data = pem::from_base64(&packet.data).map(|data| data.to_vec()).unwrap_or_default();
        let comment = format!("side={} {}", packet.side, render::tap::facts(packet));
        let comment = CommonOption::Comment(comment.into());
        let flags = EnhancedPacketOption::Flags(if packet.outbound { OUTBOUND } else { INBOUND });
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_micros(packet.time),
            original_len: packet.length.max(data.len() as u32),
            data: data.into(),
            options: vec![EnhancedPacketOption::Common(comment), flags],
        };
        self.file.write_block(&block.into_block()).map(drop)
    }

    /// The number of a packet's interface in this file, where it stands before its first packet.
    fn interface(&mut self, packet: &SeenPacket) -> Result<u32, PcapNgWriteError> {
        let (name, linktype) = match (packet.side.as_str(), packet.steps.last()) {
            ("wire", Some(step)) => (step.interface.clone(), DataLink::ETHERNET),
            _ => ("tunnels".to_owned(), DataLink::RAW),
        };
        if let Some(known) = self.interfaces.iter().position(|known| *known == name) {
            return Ok(known as u32);
        }
        let options = vec![InterfaceDescriptionOption::IfName(name.clone().into())];
        let block = InterfaceDescriptionBlock { linktype, snaplen: 0, options };
        self.file.write_block(&block.into_block())?;
        self.interfaces.push(name);
        Ok(self.interfaces.len() as u32 - 1)
    }
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    /// What was written is read: packets with time, way, length and comment.
    #[test]
    fn round_trip() {
        let seen = |side: &str, outbound, octets: &[u8]| SeenPacket {
            time: 1_700_000_000_123_456,
            side: side.into(),
            outbound,
            verdict: "drop bad-icv".into(),
            length: 100,
            data: pem::base64(octets).to_string(),
            ..SeenPacket::default()
        };
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets).unwrap();
        let packets =
            [seen("clear", true, b"abcde"), seen("encrypted", false, b"fg"), seen("clear", true, b"")];
        packets.iter().for_each(|packet| writer.packet(packet).unwrap());
        let mut reader = PcapNgReader::new(&octets[..]).unwrap();
        let (mut read, mut interfaces) = (Vec::new(), 0);
        while let Some(block) = reader.next_block() {
            match block.unwrap().0 {
                Block::InterfaceDescription(_) => interfaces += 1,
                Block::EnhancedPacket(packet) => read.push(packet.into_owned()),
                _ => {}
            }
        }
        assert_eq!((interfaces, read.len()), (1, 3));
        assert_eq!((&*read[0].data, read[0].original_len), (&b"abcde"[..], 100));
        assert_eq!(read[1].timestamp, Duration::from_micros(1_700_000_000_123_456));
        let comment = CommonOption::Comment("side=encrypted verdict=drop:bad-icv worker=0".into());
        assert_eq!(
            read[1].options,
            [EnhancedPacketOption::Common(comment), EnhancedPacketOption::Flags(INBOUND)]
        );
    }
}
