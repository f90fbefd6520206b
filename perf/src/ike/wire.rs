//! The generator's sockets: one for port 500 and one for 4500, whatever the number of initiators.
//!
//! Neither is bound to an address. Each datagram says by IP_PKTINFO from which address it goes and to which one
//! it came, so the initiators' addresses need be nothing but local to this namespace:
//! `ip route add local 10.9.0.0/16 dev lo` makes a whole network so.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};
use ravelin_ike::event::Transmit;
use ravelin_ike::input::Datagram;

/// UDP port of IKE (RFC 7296 §2).
pub const IKE: u16 = 500;
/// UDP port of IKE and ESP with NAT traversal (RFC 3948).
pub const NAT: u16 = 4500;
/// Precedes an IKE message on the NAT traversal port (RFC 3948 §2.2).
const MARKER: [u8; 4] = [0; 4];
/// Octets of the largest UDP datagram.
const LARGEST: usize = 65_535;
/// Holds what comes while the generator computes.
const BUFFER: usize = 64 << 20;

/// Both sockets.
pub struct Wire {
    ike: UdpSocket,
    nat: UdpSocket,
    buffer: Vec<u8>,
}

/// What came in.
pub enum Arrived {
    /// An IKE message.
    Ike(Datagram),
    /// ESP in UDP (RFC 3948 §2.1).
    Esp(Vec<u8>),
}

impl Wire {
    /// Binds both ports.
    ///
    /// # Errors
    /// Which port, and the machine's word: another IKE daemon in this namespace, or no right to the port.
    pub fn open() -> Result<Wire> {
        Ok(Wire { ike: bind(IKE)?, nat: bind(NAT)?, buffer: vec![0; LARGEST] })
    }

    /// Sends an IKE message.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn send(&self, transmit: &Transmit) -> Result<()> {
        let marker: &[u8] = if transmit.marker { &MARKER } else { &[] };
        self.send_parts(transmit.local, transmit.remote, [marker, &transmit.bytes])
    }

    /// Sends an ESP packet in UDP.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn send_esp(&self, local: SocketAddr, remote: SocketAddr, packet: &[u8]) -> Result<()> {
        self.send_parts(local, remote, [packet, &[]])
    }

    fn send_parts(&self, local: SocketAddr, remote: SocketAddr, parts: [&[u8]; 2]) -> Result<()> {
        let socket = if local.port() == NAT { &self.nat } else { &self.ike };
        let [SocketAddr::V4(source), SocketAddr::V4(target)] = [local, remote] else {
            anyhow::bail!("{local} to {remote}: the generator speaks IPv4 only");
        };
        let source = in_addr { s_addr: u32::from_ne_bytes(source.ip().octets()) };
        let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: in_addr { s_addr: 0 } };
        let slices = parts.map(IoSlice::new);
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let target = SockaddrIn::from(target);
        match sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::empty(), Some(&target)) {
            // A datagram that finds no room is lost like any other: IKE retransmits.
            Ok(_) | Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::ECONNREFUSED) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("sending from {local} to {remote}")),
        }
    }

    /// The next datagram, if there is one.
    ///
    /// # Errors
    /// When the kernel gives none for another reason than that there is none.
    pub fn receive(&mut self) -> Result<Option<Arrived>> {
        if let Some((local, remote, length)) = take(&self.ike, IKE, &mut self.buffer)? {
            let bytes = self.buffer.get(..length).unwrap_or_default().to_vec();
            return Ok(Some(Arrived::Ike(Datagram { instance: 0, local, remote, bytes })));
        }
        while let Some((local, remote, length)) = take(&self.nat, NAT, &mut self.buffer)? {
            let payload = self.buffer.get(..length).unwrap_or_default();
            match payload.strip_prefix(&MARKER) {
                Some(message) => {
                    let bytes = message.to_vec();
                    return Ok(Some(Arrived::Ike(Datagram { instance: 0, local, remote, bytes })));
                }
                // A keepalive is one octet.
                None if length > 1 => return Ok(Some(Arrived::Esp(payload.to_vec()))),
                None => {}
            }
        }
        Ok(None)
    }

    /// Waits until something has come, and no longer than `patience`.
    ///
    /// # Errors
    /// When the kernel does not let it.
    pub fn wait(&self, patience: Duration) -> Result<()> {
        let of = |socket| PollFd::new(socket, PollFlags::POLLIN);
        let mut sockets = [of(self.ike.as_fd()), of(self.nat.as_fd())];
        let timeout = PollTimeout::try_from(patience.as_millis()).unwrap_or(PollTimeout::MAX);
        match poll(&mut sockets, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error).context("waiting for datagrams"),
        }
    }
}

fn bind(port: u16) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))
        .with_context(|| format!("binding UDP port {port}: is another IKE daemon in this namespace?"))?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).context("making the receive buffer larger")?;
    Ok(socket)
}

/// Addresses and length of what was put into `buffer`.
fn take(socket: &UdpSocket, port: u16, buffer: &mut [u8]) -> Result<Option<(SocketAddr, SocketAddr, usize)>> {
    let mut space = cmsg_space!(in_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let message =
        match recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty()) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(None),
            Err(error) => return Err(error).context("receiving"),
        };
    let remote = message.address.map(SocketAddrV4::from).context("a datagram has a sender")?;
    let mut infos = message.cmsgs()?;
    let local = infos.find_map(|info| match info {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes())),
        _ => None,
    });
    let local = local.context("IP_PKTINFO says where a datagram came to")?;
    Ok(Some((SocketAddr::new(IpAddr::V4(local), port), remote.into(), message.bytes)))
}
