//! IKE_SA_INIT requests from addresses that nobody has: whole Ethernet frames, made before and sent on the initiators'
//! end of the wire past its addresses and routes, at a rate.
//!
//! Each is a request that would be served: proposal, key exchange and nonce are good. Every frame is from another
//! address, and each time with another SPI, so that none is a repetition. Answers go to where nobody is.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, bind, send, socket};
use ravelin_dataplane::net::eth::{self, Mac};
use ravelin_dataplane::net::{ipv4, protocol, udp};
use ravelin_ike::config::IkeProposal;
use ravelin_ike::crypto::negotiate;
use ravelin_ike::wire::{ExchangeType, Flags, Header, IkeSpi, KeyExchange, Message, Nonce, Payload, Spi};

use super::network::RESPONDER;
use crate::ike::wire::IKE;
use crate::random::Random;

/// Where the addresses are of; local to nobody (RFC 2544 §C.2.2).
pub const FROM: &str = "198.18.0.0/15";
/// The first of them.
const FIRST: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// How many of them call.
pub const ADDRESSES: u32 = 100_000;
/// Frames sent between two looks at the clock.
const BATCH: usize = 32;
/// Where the initiator's SPI is in a frame.
const SPI: std::ops::Range<usize> = HEADERS..HEADERS + 8;
const HEADERS: usize = eth::Repr::LEN + ipv4::Repr::LEN + udp::Repr::LEN;
/// While nothing is due.
const NAP: Duration = Duration::from_micros(100);

/// Everything to be sent, and where.
pub struct Spoofer {
    socket: OwnedFd,
    frames: Vec<Vec<u8>>,
    random: Random,
}

/// What was sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Frames that the kernel took.
    pub frames: u64,
    /// From the first to the last.
    pub elapsed: Duration,
}

impl Spoofer {
    /// Takes this thread into a namespace and opens a socket on its `device`; frames are addressed to `responder`.
    ///
    /// # Errors
    /// When the namespace, the device or the right to it is missing.
    pub fn enter(namespace: &str, device: &str, responder: Mac, proposal: &IkeProposal) -> Result<Spoofer> {
        let file = std::fs::File::open(format!("/run/netns/{namespace}")).context("opening a namespace")?;
        setns(file, CloneFlags::CLONE_NEWNET).context("entering a namespace")?;
        let address = link_address(device)?;
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None)
            .context("opening a packet socket")?;
        bind(socket.as_raw_fd(), &address).with_context(|| format!("binding a packet socket to {device}"))?;
        let own = Mac(address.addr().context("an Ethernet device has an address")?);
        let request = request(proposal)?;
        let frames = (0..ADDRESSES).map(|number| frame(responder, own, (FIRST + number).into(), &request));
        Ok(Spoofer { socket, frames: frames.collect::<Result<_>>()?, random: Random::new(19) })
    }

    /// Sends `rate` frames a second until it is over. When the kernel holds it up it catches up.
    ///
    /// # Errors
    /// The kernel's word.
    pub fn run(mut self, rate: f64, over: &AtomicBool) -> Result<Sent> {
        let began = Instant::now();
        let (mut frames, mut at) = (0_u64, 0);
        while !over.load(Relaxed) {
            if frames as f64 > began.elapsed().as_secs_f64() * rate {
                std::thread::sleep(NAP);
                continue;
            }
            for frame in self.frames.get_mut(at..at + BATCH).context("batches divide the frames")? {
                if let Some(spi) = frame.get_mut(SPI) {
                    spi.copy_from_slice(&self.random.next().to_ne_bytes());
                }
                frames += u64::from(is_taken(&self.socket, frame)?);
            }
            at = (at + BATCH) % ADDRESSES as usize;
        }
        Ok(Sent { frames, elapsed: began.elapsed() })
    }
}

/// Whether the kernel took a frame; one that it does not is lost, as on any wire.
fn is_taken(socket: &OwnedFd, frame: &[u8]) -> Result<bool> {
    match send(socket.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT) {
        Ok(_) => Ok(true),
        Err(Errno::ENOBUFS | Errno::EAGAIN) => Ok(false),
        Err(error) => Err(error).context("sending a frame"),
    }
}

fn link_address(device: &str) -> Result<LinkAddr> {
    let link = |address: nix::sys::socket::SockaddrStorage| address.as_link_addr().copied();
    let mut devices = getifaddrs()?.filter(|entry| entry.interface_name == device);
    devices.find_map(|entry| link(entry.address?)).with_context(|| format!("there is no device {device}"))
}

/// A request with this proposal. A public value of X25519 is any 32 octets (RFC 7748 §5).
fn request(proposal: &IkeProposal) -> Result<Vec<u8>> {
    let offer = negotiate::offer_ike(std::slice::from_ref(proposal), Spi::None);
    let groups = &proposal.groups;
    let method = groups.first().context("a proposal has a group")?.transform_id().into();
    let payloads = vec![
        Payload::SecurityAssociation(offer),
        Payload::KeyExchange(KeyExchange { method, data: vec![9; 32] }),
        Payload::Nonce(Nonce::new(vec![7; 32])?),
    ];
    let flags = Flags { initiator: true, version: false, response: false };
    let header = Header::new(IkeSpi(1), IkeSpi::ZERO, ExchangeType::IkeSaInit, flags, 0);
    Ok(Message::new(header, payloads).emit()?)
}

/// The request in a datagram from port 500 to port 500. The SPI changes, so there is no checksum (RFC 768).
fn frame(responder: Mac, own: Mac, from: Ipv4Addr, request: &[u8]) -> Result<Vec<u8>> {
    let mut frame = vec![0; HEADERS];
    let (link, packet) = frame.split_at_mut(eth::Repr::LEN);
    let (header, datagram) = packet.split_at_mut(ipv4::Repr::LEN);
    eth::Repr { destination: responder, source: own, ethertype: eth::ethertype::IPV4 }.emit(link)?;
    let length = u16::try_from(udp::Repr::LEN + request.len())?;
    ipv4::Repr {
        traffic_class: 0,
        total_length: length + ipv4::Repr::LEN as u16,
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: protocol::UDP,
        source: from,
        destination: RESPONDER.parse()?,
    }
    .emit(header)?;
    udp::Repr { source: IKE, destination: IKE, length, checksum: 0 }.emit(datagram)?;
    frame.extend_from_slice(request);
    ensure!(frame.len() <= 1514, "a request is larger than a frame");
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame is what a responder would serve: readable down to the request, from its own address, and whatever SPI
    /// is put where SPIs go is the initiator's.
    #[test]
    fn a_frame_is_a_good_request() {
        let proposal = "aes128gcm16-prfsha256-x25519".parse().unwrap();
        let request = request(&proposal).unwrap();
        let (responder, own) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        let mut frame = frame(responder, own, (FIRST + 70_000).into(), &request).unwrap();
        frame[SPI].copy_from_slice(&[8; 8]);
        let link = eth::Header::parse(&frame).unwrap();
        let packet = ipv4::Header::parse(link.payload()).unwrap();
        assert!(packet.checksum_ok());
        assert!(FROM.parse::<ipnet::Ipv4Net>().unwrap().contains(&packet.source()));
        let datagram = udp::Header::parse(packet.payload()).unwrap();
        assert!(datagram.checksum_ok(packet.source().into(), packet.destination().into()));
        let outer = ravelin_ike::wire::Outer::parse(datagram.payload()).unwrap();
        assert_eq!(outer.header().initiator_spi, IkeSpi(u64::from_be_bytes([8; 8])));
        let ravelin_ike::wire::Outer::Clear(message) = outer else { panic!("it is in the clear") };
        let Some(Payload::SecurityAssociation(offer)) = message.payloads.first() else { panic!("no SA") };
        negotiate::select_ike(&[proposal], offer).unwrap();
    }

    /// All addresses are of the network the responder has a route to, in whole batches.
    #[test]
    fn addresses_lie_in_their_network() {
        let net: ipnet::Ipv4Net = FROM.parse().unwrap();
        assert!(net.contains(&Ipv4Addr::from(FIRST)) && net.contains(&Ipv4Addr::from(FIRST + ADDRESSES - 1)));
        assert_eq!(ADDRESSES as usize % BATCH, 0);
    }
}
