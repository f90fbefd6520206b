//! TFTP (RFC 1350) with larger blocks (RFC 2348) and the size told first (RFC 2349); reading alone.
//!
//! The protocol is a few lines and the kept crates for it bring a second reactor or are servers, so it is our own. The
//! transfer is a pure machine ([`crate::answer::tftp`]); around it one socket, which after the first answer hears that
//! server's port alone (RFC 1350 §4: its transfer identifier).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::{Content, Errand, server, target};
use crate::answer::tftp::{PACKET, Step, Transfer, not_taken, request};
use crate::dial::machine;
use crate::error::{FetchError, Stage};
use crate::url::Scheme;
use crate::wire::Deadline;

/// Silence after which the last packet is said again.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) fn run(errand: &Errand<'_>) -> Result<Content, FetchError> {
    let url = &errand.request.url;
    let path = url.decoded_path()?;
    // RFC 3617: octet is the mode unless another is named; there is no reason to ask for another.
    let name = path.strip_prefix('/').unwrap_or(&path);
    let name = name.strip_suffix(";mode=octet").unwrap_or(name);
    if name.is_empty() || url.query().is_some() {
        return Err(target(Scheme::Tftp, "it names no file, or has a query"));
    }
    let addresses = errand.dialer.addresses(server(url)?, errand.request.origin, &errand.deadline)?;
    let address = *addresses.first().ok_or(FetchError::Closed)?;
    let socket = Socket::open(address, errand.deadline)?;
    let transfer = Transfer::new(errand.request.limits.content);
    let bytes = socket.carry_out(transfer, request(name))?;
    Ok(Content { bytes, from: Some((url.clone(), address)), ..Content::default() })
}

struct Socket {
    socket: UdpSocket,
    server: SocketAddr,
    deadline: Deadline,
}

impl Socket {
    fn open(server: SocketAddr, deadline: Deadline) -> Result<Self, FetchError> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).map_err(|error| machine("open a socket", &error))?;
        Ok(Self { socket, server, deadline })
    }

    /// Says, hears, says again, until the last block or the deadline.
    fn carry_out(self, mut transfer: Transfer, request: Vec<u8>) -> Result<Vec<u8>, FetchError> {
        let (mut said, mut port) = (request, None);
        self.say(&said, port)?;
        let mut again = Instant::now() + AGAIN;
        let mut packet = [0; PACKET];
        loop {
            let stage = if transfer.has_begun() { Stage::Body } else { Stage::Answer };
            let Some((octets, from)) = self.hear(&mut packet, again, stage)? else {
                self.say(&said, port)?;
                again = Instant::now() + AGAIN;
                continue;
            };
            let is_ours = from.ip().to_canonical() == self.server.ip().to_canonical()
                && port.is_none_or(|known: SocketAddr| known.port() == from.port());
            if !is_ours {
                continue;
            }
            match transfer.receive(packet.get(..octets).unwrap_or_default()) {
                Ok(Step::Ignore) => {}
                Ok(Step::Say(answer)) => {
                    port = Some(from);
                    self.say(&answer, port)?;
                    said = answer;
                    again = Instant::now() + AGAIN;
                }
                Ok(Step::Done(answer)) => {
                    self.say(&answer, Some(from))?;
                    return Ok(transfer.into_content());
                }
                Err(error) => {
                    let _ = self.say(&not_taken(), Some(from));
                    return Err(error);
                }
            }
        }
    }

    fn say(&self, packet: &[u8], port: Option<SocketAddr>) -> Result<(), FetchError> {
        let address = port.unwrap_or(self.server);
        self.socket
            .send_to(packet, address)
            .map(drop)
            .map_err(|error| FetchError::Unreachable { address, reason: error.to_string() })
    }

    /// A packet and its sender; `None` when it is time to say the last one again.
    fn hear(
        &self,
        packet: &mut [u8],
        again: Instant,
        stage: Stage,
    ) -> Result<Option<(usize, SocketAddr)>, FetchError> {
        let left = self.deadline.left(stage)?;
        let until = again.saturating_duration_since(Instant::now());
        if until.is_zero() {
            return Ok(None);
        }
        let failed = |error: &io::Error| machine("hear a packet", error);
        self.socket.set_read_timeout(Some(left.min(until))).map_err(|error| failed(&error))?;
        match self.socket.recv_from(packet) {
            Ok(heard) => Ok(Some(heard)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                self.deadline.left(stage).map(|_| None)
            }
            Err(error) => Err(failed(&error)),
        }
    }
}
