//! Packets this worker makes: pieces of what does not fit, and ICMP errors about what ends here (RFC 1812 §4.3,
//! RFC 4443).

use std::net::IpAddr;

use crate::io::{Frame, Meta, Origin, Pool};
use crate::net::flow::Flow;
use crate::node::fragment::{self, Refused};
use crate::node::{Packet, icmp};
use crate::policy::view::Decision;
use crate::verdict::Drop;

use super::{Clear, Graph};

impl<P: Pool> Graph<P> {
    /// Cuts a packet into pieces of at most `mtu` octets, each a frame of its own, and lets `each` have them.
    #[cold]
    pub(super) fn cut(
        &mut self,
        packet: Packet<P::Frame>,
        mtu: u16,
        mut each: impl FnMut(&mut Self, Packet<P::Frame>),
    ) {
        let id = u32::from(self.id()) << 16 | u32::from(self.id());
        let pieces = match fragment::split(packet.frame.data(), usize::from(mtu), id) {
            Ok(Some(pieces)) => pieces,
            Err(Refused::Malformed(_)) => return self.refuse(packet.frame, Drop::MalformedIp),
            Ok(None) | Err(_) => return self.refuse(packet.frame, Drop::MtuExceeded),
        };
        let meta = Meta { framed: false, ..*packet.meta() };
        for piece in pieces {
            let Some(mut frame) = self.pool.alloc_for(piece.len()) else {
                // What is made already cannot be put together without this one; it is sent all the same,
                // because taking it back would cost more than the receiver's timeout.
                self.link.counters().made.add(1);
                self.link.counters().dropped(Drop::NoBuffer);
                continue;
            };
            *frame.meta_mut() = meta;
            self.link.counters().made.add(1);
            let written = frame.append(piece.len()).is_some_and(|out| piece.emit(out).is_ok());
            match Packet::parse(frame) {
                Ok(piece) if written => each(self, piece),
                Ok(Packet { frame, .. }) | Err(frame) => self.refuse(frame, Drop::MalformedIp),
            }
        }
        self.link.counters().fragmented.add(1);
        self.absorb(packet.frame);
    }

    /// Drops a packet for `reason` and tells its sender, if it is one to be told and the rate allows.
    #[cold]
    pub(super) fn report(&mut self, packet: Packet<P::Frame>, report: icmp::Report, reason: Drop) {
        self.report_if(packet, report, reason, |graph| {
            let (rate, taken) = &mut graph.errors;
            rate.take(taken, graph.now_us)
        });
    }

    /// The same by another rate.
    #[cold]
    pub(super) fn report_if(
        &mut self,
        packet: Packet<P::Frame>,
        report: icmp::Report,
        reason: Drop,
        may_send: impl FnOnce(&mut Self) -> bool,
    ) {
        if matches!(packet.meta().origin, Origin::Wire | Origin::Tunnel | Origin::Tun) {
            self.send_error(&packet, report, may_send);
        }
        self.refuse(packet.frame, reason);
    }

    fn send_error(
        &mut self,
        about: &Packet<P::Frame>,
        report: icmp::Report,
        may_send: impl FnOnce(&mut Self) -> bool,
    ) -> Option<()> {
        let meta = *about.meta();
        let peer = about.summary.source();
        let source = self.error_source(meta, peer, report)?;
        if !may_send(self) {
            self.link.counters().icmp_suppressed.add(1);
            return None;
        }
        let mut frame = self.pool.alloc_for(icmp::LONGEST_V6)?;
        let id = self.id();
        let length =
            icmp::compose(report, about.frame.data(), source, id, frame.append(icmp::LONGEST_V6)?).ok()?;
        frame.truncate(length);
        *frame.meta_mut() = error_meta(meta);
        let packet = Packet::parse(frame).ok()?;
        self.link.counters().made.add(1);
        self.link.counters().icmp_sent.add(1);
        let place = self.memo.prefetch(&self.memo.key(packet.meta(), &packet.summary));
        if let Err(Clear { packet, .. }) = self.stations.errors.push(Clear { packet, place }) {
            self.refuse(packet.frame, Drop::BurstFull);
        }
        Some(())
    }

    /// Our address that an error to `peer` comes from: of the interface that the packet came by (RFC 1812 §4.3.2.4). About one
    /// that came out of a tunnel it is the first that a tunnel takes back, which that of the public side seldom is.
    fn error_source(&self, about: Meta, peer: IpAddr, report: icmp::Report) -> Option<IpAddr> {
        let (protocol, upper) = icmp::upper(report, peer.is_ipv4());
        let is_taken = |source| {
            let flow = Flow { source, destination: peer, protocol, upper };
            let decision = self.tables.tables().decide(self.link.id(), about.instance, &flow);
            matches!(decision, Decision::Protect { .. })
        };
        let came_out = about.origin == Origin::Tunnel;
        let of_tunnel = came_out.then(|| self.snapshot.source_that(about.instance, peer, is_taken)).flatten();
        of_tunnel.or_else(|| self.snapshot.source(about.instance, (about.port, about.vlan), peer))
    }
}

/// Where an error about a packet belongs: in clear, back to the interface a packet from the wire came by. An
/// error about a packet that came out of a tunnel quotes it, so that it leaves by a tunnel or not at all.
fn error_meta(about: Meta) -> Meta {
    let port = if about.origin == Origin::Wire { about.port } else { NO_PORT };
    Meta { port, origin: Origin::Worker, framed: false, ..about }
}

/// A port number that no port has.
const NO_PORT: u16 = u16::MAX;
