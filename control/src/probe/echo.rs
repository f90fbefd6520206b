//! Echoes that may not be cut, by a raw ICMP socket of the kernel: it has routes, neighbours and the twins, so that they
//! leave as any packet of this machine does. `IP_PMTUDISC_PROBE` sets Don't Fragment and has the kernel pass over what it
//! remembers of the path, which is what is to be found out.
//!
//! What comes is anybody's: an answer is of ours if its source, identifier, number and the random octets behind them are,
//! an error if what it quotes is. The socket is opened in the namespace of the instance, on its thread, and used on
//! another.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ravelin_dataplane::net::flow::Summary;
use ravelin_dataplane::net::icmp::{self, v4, v6};
use ravelin_dataplane::net::{checksum, ipv4, ipv6, protocol};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, Timeout, set_ip_mtu_discover, set_ipv6_mtu_discover,
    set_socket_timeout,
};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto, recvfrom, sendto,
};

use super::search::{Heard, Told};

/// Random octets in front of the payload.
const TOKEN: usize = 8;
/// The smallest packet that is asked for, IPv4 and IPv6: what every link carries (RFC 791 §3.2, RFC 8200 §5).
pub const LEAST: (u16, u16) = (68, 1280);

/// Whether a packet has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It has, or was lost on the way to the device.
    Gone,
    /// The device takes none so large.
    TooBig,
}

/// Somebody who is sent echoes.
#[derive(Debug)]
pub struct Echo {
    socket: OwnedFd,
    ours: Ours,
    buffer: Vec<u8>,
}

/// By what our own packets are known.
#[derive(Debug, Clone)]
struct Ours {
    from: IpAddr,
    to: IpAddr,
    id: u16,
    token: [u8; TOKEN],
}

impl Echo {
    /// Opens a socket in the caller's namespace. `random` tells our packets from anybody's.
    ///
    /// # Errors
    /// When the machine gives no socket, or `from` is not its own.
    pub fn open(from: IpAddr, to: IpAddr, random: [u8; TOKEN + 2]) -> io::Result<Self> {
        let (family, protocol) = match to {
            IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let socket = rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol))?;
        match to {
            IpAddr::V4(_) => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?,
            IpAddr::V6(_) => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?,
        }
        bind(&socket, &SocketAddr::new(from, 0))?;
        let [first, second, token @ ..] = random;
        let ours = Ours { from, to, id: u16::from_be_bytes([first, second]), token };
        Ok(Self { socket, ours, buffer: vec![0; usize::from(u16::MAX)] })
    }

    /// Sends a packet of so many octets, IP header included.
    ///
    /// # Errors
    /// When the machine cannot send at all.
    pub fn send(&mut self, size: u16) -> io::Result<Sent> {
        let message = self.ours.request(size);
        match sendto(&self.socket, &message, SendFlags::empty(), &SocketAddr::new(self.ours.to, 0)) {
            Ok(_) | Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::AGAIN) => Ok(Sent::Gone),
            Err(rustix::io::Errno::MSGSIZE) => Ok(Sent::TooBig),
            Err(error) => Err(error.into()),
        }
    }

    /// What is heard next of one of these sizes until then, if anything.
    ///
    /// # Errors
    /// When the machine cannot receive at all.
    pub fn hear(&mut self, until: Instant, waiting: &[u16]) -> io::Result<Option<(u16, Heard)>> {
        while !waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left < Duration::from_micros(1) {
                return Ok(None);
            }
            set_socket_timeout(&self.socket, Timeout::Recv, Some(left))?;
            let (octets, from) = match recvfrom(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((_, octets, from)) => (octets, from),
                // An error that the kernel notes on the socket is heard as a packet too.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::HOSTUNREACH) => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let from = from.and_then(|from| SocketAddr::try_from(from).ok()).map(|from| from.ip());
            let packet = self.buffer.get(..octets).unwrap_or_default();
            let heard = from.and_then(|from| self.ours.read(from, packet));
            if let Some((size, heard)) = heard.filter(|(size, _)| waiting.contains(size)) {
                return Ok(Some((size, heard)));
            }
        }
        Ok(None)
    }
}

impl Ours {
    const fn is_v4(&self) -> bool {
        self.to.is_ipv4()
    }

    const fn ip_header(&self) -> usize {
        if self.is_v4() { ipv4::Repr::LEN } else { ipv6::Repr::LEN }
    }

    /// An echo request that makes a packet of so many octets. Its sequence number is the size: that is what is asked for.
    fn request(&self, size: u16) -> Vec<u8> {
        let least = icmp::Repr::LEN + TOKEN;
        let mut message = vec![0; usize::from(size).saturating_sub(self.ip_header()).max(least)];
        let kind = if self.is_v4() { v4::ECHO } else { v6::ECHO };
        let header = icmp::Repr { kind, code: 0, checksum: 0, rest: self.rest(size) };
        // There is room for it: it is no shorter than that.
        let _ = header.emit(&mut message);
        if let Some(token) = message.get_mut(icmp::Repr::LEN..least) {
            token.copy_from_slice(&self.token);
        }
        // The kernel has the checksum of ICMPv6, which is over addresses too.
        if self.is_v4() {
            let sum = checksum::internet(&message);
            icmp::set_checksum(&mut message, sum);
        }
        message
    }

    const fn rest(&self, size: u16) -> u32 {
        (self.id as u32) << 16 | size as u32
    }

    /// The size of ours that a packet speaks of, and what it says.
    fn read(&self, from: IpAddr, packet: &[u8]) -> Option<(u16, Heard)> {
        // A raw socket has the IP header of IPv4 and not that of IPv6.
        let message = match self.is_v4() {
            true => ipv4::Header::parse(packet).ok()?.payload(),
            false => packet,
        };
        let header = icmp::Header::parse(message).ok()?;
        let (reply, is_error) = match self.is_v4() {
            true => (v4::ECHO_REPLY, v4::is_error(header.kind())),
            false => (v6::ECHO_REPLY, v6::is_error(header.kind())),
        };
        if header.kind() == reply {
            return self.answered(from, &header);
        }
        let size = self.quoted(header.payload()).filter(|_| is_error)?;
        Some((size, Heard::Refused(Told { by: from, mtu: self.told(&header) })))
    }

    fn answered(&self, from: IpAddr, header: &icmp::Header<'_>) -> Option<(u16, Heard)> {
        let size = header.rest() as u16;
        let is_whole = header.payload().len() + icmp::Repr::LEN + self.ip_header() == usize::from(size);
        let is_ours =
            from == self.to && header.rest() == self.rest(size) && header.payload().starts_with(&self.token);
        (is_ours && is_whole).then_some((size, Heard::Passed))
    }

    /// The size of ours that an error quotes.
    fn quoted(&self, quote: &[u8]) -> Option<u16> {
        let summary = Summary::parse_quoted(quote).ok()?;
        let (echo, of) = if self.is_v4() { (v4::ECHO, protocol::ICMP) } else { (v6::ECHO, protocol::ICMPV6) };
        let header = icmp::Header::parse(quote.get(summary.upper_at()..)?).ok()?;
        let size = header.rest() as u16;
        let is_ours = summary.source() == self.from
            && summary.destination() == self.to
            && (summary.protocol(), header.kind()) == (of, echo)
            && header.rest() == self.rest(size);
        is_ours.then_some(size)
    }

    /// The size that an error names, if it is about size. Old routers name none.
    fn told(&self, header: &icmp::Header<'_>) -> Option<u16> {
        match (self.is_v4(), header.kind(), header.code()) {
            (true, v4::UNREACHABLE, v4::CODE_FRAGMENTATION_NEEDED) => Some(header.mtu_v4()),
            (false, v6::PACKET_TOO_BIG, _) => Some(u16::try_from(header.rest()).unwrap_or(u16::MAX)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_dataplane::node::icmp::{LONGEST_V6, Report, compose};

    fn ours(from: &str, to: &str) -> Ours {
        Ours { from: from.parse().unwrap(), to: to.parse().unwrap(), id: 0xbeef, token: *b"0123abcd" }
    }

    /// A packet as it is on the wire.
    fn packet(ours: &Ours, message: &[u8], kind: u8) -> Vec<u8> {
        let mut packet = vec![0; ours.ip_header() + message.len()];
        let (header, rest) = packet.split_at_mut(ours.ip_header());
        match (ours.from, ours.to) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4::Repr {
                traffic_class: 0,
                total_length: (ours.ip_header() + message.len()) as u16,
                id: 1,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: 64,
                protocol: protocol::ICMP,
                source,
                destination,
            }
            .emit(header)
            .unwrap(),
            (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6::Repr {
                traffic_class: 0,
                flow_label: 0,
                payload_length: message.len() as u16,
                next_header: protocol::ICMPV6,
                hop_limit: 64,
                source,
                destination,
            }
            .emit(header)
            .unwrap(),
            _ => unreachable!("of one family"),
        }
        rest.copy_from_slice(message);
        rest[0] = kind;
        packet
    }

    /// What a raw socket gives of a packet.
    fn received<'a>(ours: &Ours, packet: &'a [u8]) -> &'a [u8] {
        if ours.is_v4() { packet } else { &packet[ipv6::Repr::LEN..] }
    }

    fn both() -> [Ours; 2] {
        [ours("192.0.2.2", "192.0.2.1"), ours("2001:db8::2", "2001:db8::1")]
    }

    /// A request has the size it asks for, and its answer is known; not one of another, nor one that was cut short.
    #[test]
    fn answers_are_ours_or_nobodys() {
        for ours in both() {
            let reply = if ours.is_v4() { v4::ECHO_REPLY } else { v6::ECHO_REPLY };
            let message = ours.request(1300);
            let whole = packet(&ours, &message, reply);
            assert_eq!(whole.len(), 1300);
            assert_eq!(ours.read(ours.to, received(&ours, &whole)), Some((1300, Heard::Passed)));
            let short = packet(&ours, &message[..1000], reply);
            assert_eq!(ours.read(ours.to, received(&ours, &short)), None);
            assert_eq!(ours.read(ours.from, received(&ours, &whole)), None);
            for other in [Ours { id: 1, ..ours.clone() }, Ours { token: *b"........", ..ours.clone() }] {
                assert_eq!(other.read(ours.to, received(&ours, &whole)), None);
            }
        }
    }

    /// Errors count that quote a request of ours, and name a size if they are about size.
    #[test]
    fn errors_are_ours_or_nobodys() {
        for ours in both() {
            let kind = if ours.is_v4() { v4::ECHO } else { v6::ECHO };
            let request = packet(&ours, &ours.request(1400), kind);
            for (report, mtu) in [(Report::TooBig { mtu: 1300 }, Some(1300)), (Report::Prohibited, None)] {
                let mut out = [0; LONGEST_V6];
                let length = compose(report, &request, ours.to, 1, &mut out).unwrap();
                let heard = Heard::Refused(Told { by: ours.to, mtu });
                assert_eq!(ours.read(ours.to, received(&ours, &out[..length])), Some((1400, heard)));
                let other = Ours { id: 7, ..ours.clone() };
                assert_eq!(other.read(ours.to, received(&ours, &out[..length])), None);
            }
        }
    }
}
