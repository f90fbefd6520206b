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
    doubtful: u32,
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
        Ok(Self { socket, ours, buffer: vec![0; usize::from(u16::MAX)], doubtful: 0 })
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
            match from.map_or(Err(PassedOver::Others), |from| self.ours.read(from, packet)) {
                Ok((size, heard)) if waiting.contains(&size) => return Ok(Some((size, heard))),
                Ok(_) | Err(PassedOver::Others) => {}
                Err(PassedOver::Doubtful) => self.doubtful = self.doubtful.saturating_add(1),
            }
        }
        Ok(None)
    }

    /// Packets passed over that have our identifier.
    pub const fn doubtful(&self) -> u32 {
        self.doubtful
    }
}

/// Why a packet says nothing to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PassedOver {
    /// It is of somebody else's pings, or of none: a raw socket hears them all.
    Others,
    /// It has our identifier, and is not of what we sent or not from where it went: forged, or changed on the way.
    Doubtful,
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
    fn read(&self, from: IpAddr, packet: &[u8]) -> Result<(u16, Heard), PassedOver> {
        // A raw socket has the IP header of IPv4 and not that of IPv6.
        let message = match self.is_v4() {
            true => ipv4::Header::parse(packet).map_err(|_| PassedOver::Others)?.payload(),
            false => packet,
        };
        let header = icmp::Header::parse(message).map_err(|_| PassedOver::Others)?;
        let (reply, is_error) = match self.is_v4() {
            true => (v4::ECHO_REPLY, v4::is_error(header.kind())),
            false => (v6::ECHO_REPLY, v6::is_error(header.kind())),
        };
        if header.kind() == reply {
            return self.answered(from, &header);
        }
        if !is_error {
            return Err(PassedOver::Others);
        }
        let size = self.quoted(header.payload())?;
        Ok((size, Heard::Refused(Told { by: from, mtu: self.told(&header) })))
    }

    fn answered(&self, from: IpAddr, header: &icmp::Header<'_>) -> Result<(u16, Heard), PassedOver> {
        let size = self.size(header)?;
        let is_whole = header.payload().len() + icmp::Repr::LEN + self.ip_header() == usize::from(size);
        let is_ours = from == self.to && header.payload().starts_with(&self.token);
        if is_ours && is_whole { Ok((size, Heard::Passed)) } else { Err(PassedOver::Doubtful) }
    }

    /// The size of ours that an error quotes.
    fn quoted(&self, quote: &[u8]) -> Result<u16, PassedOver> {
        let summary = Summary::parse_quoted(quote).map_err(|_| PassedOver::Others)?;
        let (echo, of) = if self.is_v4() { (v4::ECHO, protocol::ICMP) } else { (v6::ECHO, protocol::ICMPV6) };
        let message = quote.get(summary.upper_at()..).unwrap_or_default();
        let header = icmp::Header::parse(message).map_err(|_| PassedOver::Others)?;
        if (summary.protocol(), header.kind()) != (of, echo) {
            return Err(PassedOver::Others);
        }
        let size = self.size(&header)?;
        let is_ours = summary.source() == self.from && summary.destination() == self.to;
        if is_ours { Ok(size) } else { Err(PassedOver::Doubtful) }
    }

    /// The size that an echo of our identifier was to have.
    fn size(&self, header: &icmp::Header<'_>) -> Result<u16, PassedOver> {
        let size = header.rest() as u16;
        if header.rest() == self.rest(size) { Ok(size) } else { Err(PassedOver::Others) }
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
    use proptest::prelude::*;
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
            assert_eq!(ours.read(ours.to, received(&ours, &whole)), Ok((1300, Heard::Passed)));
            let short = packet(&ours, &message[..1000], reply);
            assert_eq!(ours.read(ours.to, received(&ours, &short)), Err(PassedOver::Doubtful));
            assert_eq!(ours.read(ours.from, received(&ours, &whole)), Err(PassedOver::Doubtful));
            let (others, forged) =
                (Ours { id: 1, ..ours.clone() }, Ours { token: [b'.'; 8], ..ours.clone() });
            assert_eq!(others.read(ours.to, received(&ours, &whole)), Err(PassedOver::Others));
            assert_eq!(forged.read(ours.to, received(&ours, &whole)), Err(PassedOver::Doubtful));
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
                assert_eq!(ours.read(ours.to, received(&ours, &out[..length])), Ok((1400, heard)));
                let other = Ours { id: 7, ..ours.clone() };
                assert_eq!(other.read(ours.to, received(&ours, &out[..length])), Err(PassedOver::Others));
                let elsewhere = Ours { from: ours.to, ..ours.clone() };
                assert_eq!(
                    elsewhere.read(ours.to, received(&ours, &out[..length])),
                    Err(PassedOver::Doubtful)
                );
            }
        }
    }

    /// A reply to a request of that size, or an error about it, as a raw socket gives it.
    fn genuine(ours: &Ours, size: u16, is_error: bool) -> Vec<u8> {
        let (echo, reply) =
            if ours.is_v4() { (v4::ECHO, v4::ECHO_REPLY) } else { (v6::ECHO, v6::ECHO_REPLY) };
        let kind = if is_error { echo } else { reply };
        let mut whole = packet(ours, &ours.request(size), kind);
        if is_error {
            let mut out = vec![0; LONGEST_V6];
            let length = compose(Report::TooBig { mtu: 1300 }, &whole, ours.to, 1, &mut out).unwrap();
            out.truncate(length);
            whole = out;
        }
        received(ours, &whole).to_vec()
    }

    proptest! {
        /// Whatever anybody sends: nothing breaks, and nothing that does not have our identifier is heard, nor an answer
        /// without the octets that were drawn for it.
        #[test]
        fn nothing_of_others_is_heard(v6: bool, packet in proptest::collection::vec(any::<u8>(), 0..200), header: bool) {
            let [four, six] = both();
            let ours = if v6 { six } else { four };
            let front = if header { genuine(&ours, 1280, packet.len().is_multiple_of(2))[..28].to_vec() } else { Vec::new() };
            let packet = [front, packet].concat();
            let id = ours.id.to_be_bytes();
            if let Ok((_, heard)) = ours.read(ours.to, &packet) {
                prop_assert!(packet.windows(2).any(|octets| octets == id));
                let has_token = packet.windows(TOKEN).any(|octets| octets == ours.token);
                prop_assert!(heard != Heard::Passed || has_token);
            }
        }

        /// A packet of ours with some octets changed, cut or longer: an answer that is heard is from where it went, has our
        /// octets and the size it speaks of; an error names who sent it; and what is whole is heard as it is.
        #[test]
        fn what_was_changed_is_not_believed(
            (v6, is_error, size) in (any::<bool>(), any::<bool>(), 1280u16..1500),
            changes in proptest::collection::vec((0usize..1600, any::<u8>()), 0..4),
            length in 0usize..1600, from_elsewhere: bool,
        ) {
            let [four, six] = both();
            let ours = if v6 { six } else { four };
            let (mut packet, genuine) = (genuine(&ours, size, is_error), genuine(&ours, size, is_error));
            if length < 800 {
                packet.resize(length * 2, 0);
            }
            for (at, octet) in changes {
                packet.get_mut(at).into_iter().for_each(|place| *place = octet);
            }
            let from = if from_elsewhere { ours.from } else { ours.to };
            let read = ours.read(from, &packet);
            match read {
                Ok((size, Heard::Passed)) => {
                    let ip = if v6 { 0 } else { usize::from(packet[0] & 15) * 4 };
                    prop_assert_eq!(from, ours.to);
                    prop_assert_eq!(&packet[ip + 8..ip + 16], &ours.token);
                    prop_assert_eq!(&packet[ip + 6..ip + 8], &size.to_be_bytes());
                    let end = if v6 { packet.len() } else { usize::from(u16::from_be_bytes([packet[2], packet[3]])) };
                    prop_assert_eq!(end - ip + ours.ip_header(), usize::from(size));
                }
                Ok((_, heard)) => {
                    let is_told = matches!(heard, Heard::Refused(told) if told.by == from);
                    prop_assert!(is_told);
                }
                Err(_) => prop_assert!(packet != genuine || (from_elsewhere && !is_error)),
            }
        }
    }
}
