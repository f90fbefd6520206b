//! The stations of ip-tunnels: into one, which ends with an outer packet on its way to its exit; and out of one, which
//! ends with an inner packet before the judge. None of it is met by a packet that has to do with no ip-tunnel.

use std::net::IpAddr;
use std::sync::Arc;

use crate::io::{Origin, Pool};
use crate::link::packet::{Kernel, KernelPunt};
use crate::node::classify::is_like_ip_tunnel;
use crate::node::exit::ExitRef;
use crate::node::forward::Outgoing;
use crate::node::ip_tunnel::{self, Carried};
use crate::node::policy::{self, Fate};
use crate::node::seal::{self, Fit};
use crate::node::{Packet, clamp, icmp, ingress};
use crate::policy::ip_tunnel::{Counters, IpTunnel, Stray};
use crate::policy::route::IpTunnelId;
use crate::sa::SaRef;
use crate::sa::counters::Counter;
use crate::sa::wrap::Wrap;
use crate::verdict::Drop;

use super::Graph;

/// What packets of one family that enter an ip-tunnel in a row have in common.
pub(super) struct Entrance {
    tunnel: Arc<IpTunnel>,
    v4: bool,
    wrap: Wrap,
    /// Where the outer packets go; not known before the first of them.
    onward: Option<Onward>,
}

/// Where the outer packets of an ip-tunnel go, which are all of one flow.
#[derive(Debug, Clone, Copy)]
enum Onward {
    Seal(SaRef),
    /// In clear, by an exit that need not be noted.
    Clear(Option<ExitRef>),
    Nowhere(Drop),
}

impl<P: Pool> Graph<P> {
    /// Packets for an ip-tunnel in a row, whose hops are still to be taken.
    #[inline(never)]
    pub(super) fn enter_run(&mut self, packets: &mut impl Iterator<Item = Packet<P::Frame>>, id: IpTunnelId) {
        let mut entrance = None;
        for packet in packets {
            if let Some(packet) = self.take_hop(packet) {
                self.enter_ip_tunnel(packet, id, &mut entrance);
            }
        }
    }

    /// A packet that has taken its hop, for an ip-tunnel, by the entrance that the packet before it took, if that is its own
    /// too.
    pub(super) fn enter_ip_tunnel(
        &mut self,
        packet: Packet<P::Frame>,
        id: IpTunnelId,
        last: &mut Option<Entrance>,
    ) {
        let v4 = packet.summary.is_v4();
        *last = last.take().filter(|last| last.v4 == v4).or_else(|| self.entrance(id, v4));
        match last {
            Some(entrance) => self.enter(packet, entrance),
            None => self.refuse_of(id, packet.frame, Drop::IpTunnelDown, |counters| &counters.out_errors),
        }
    }

    /// Of an ip-tunnel that is up.
    fn entrance(&self, id: IpTunnelId, v4: bool) -> Option<Entrance> {
        let tables = self.tables.tables();
        let tunnel = tables.ip_tunnels().at(id).filter(|tunnel| tunnel.parts().up)?;
        Some(Entrance { wrap: *tunnel.wrap(tables, v4), tunnel: Arc::clone(tunnel), v4, onward: None })
    }

    /// Does it fit?
    fn enter(&mut self, mut packet: Packet<P::Frame>, entrance: &mut Entrance) {
        let Entrance { tunnel, wrap, .. } = &*entrance;
        if wrap.tcp_mss > 0 {
            clamp::clamp(&mut packet.frame, &packet.summary, wrap.tcp_mss);
        }
        match seal::fit(&mut packet, wrap, wrap.limits) {
            Fit::Whole => self.encapsulate(packet, entrance),
            Fit::Cut(mtu) => self.cut(packet, mtu, |graph, piece| graph.encapsulate(piece, entrance)),
            Fit::TooBig(mtu) => {
                self.count_of(tunnel, |counters| &counters.out_errors, 1);
                match wrap.is_silent() {
                    true => self.refuse(packet.frame, Drop::MtuExceeded),
                    false => self.report_of_ip_tunnel(packet, tunnel, mtu),
                }
            }
        }
    }

    /// By the tunnel's rate, of which each worker has its own, or by the worker's.
    fn report_of_ip_tunnel(&mut self, packet: Packet<P::Frame>, tunnel: &IpTunnel, mtu: u16) {
        let report = icmp::Report::TooBig { mtu: usize::from(mtu) };
        let (own, now_us) = (tunnel.parts().encapsulation.errors, self.now_us);
        match own.zip(tunnel.counters(self.link.id())) {
            None => self.report(packet, report, Drop::MtuExceeded),
            Some((rate, counters)) => {
                self.report_if(packet, report, Drop::MtuExceeded, |_| counters.take_error(rate, now_us));
            }
        }
    }

    fn encapsulate(&mut self, packet: Packet<P::Frame>, entrance: &mut Entrance) {
        let Entrance { tunnel, wrap, onward, .. } = entrance;
        let (id, octets) = (self.id(), packet.summary.length() as u64);
        match ip_tunnel::encapsulate(packet, tunnel, wrap, id) {
            Ok(outer) => {
                self.count_of(tunnel, |counters| &counters.out_packets, 1);
                self.count_of(tunnel, |counters| &counters.out_octets, octets);
                self.link.counters().encapsulated_packets.add(1);
                let onward = *onward.get_or_insert_with(|| self.onward(&outer));
                self.leave_enclosed(outer, wrap.outer_mtu, onward);
            }
            Err(frame) => {
                self.count_of(tunnel, |counters| &counters.out_errors, 1);
                self.refuse(frame, Drop::NoRoom);
            }
        }
    }

    /// Where to with what this machine says to the other end of an ip-tunnel: under an SA if policy protects it, like what
    /// its kernel says, else out as it is.
    fn onward(&mut self, packet: &Packet<P::Frame>) -> Onward {
        let (instance, flow) = (packet.meta().instance, packet.summary.flow());
        match policy::decide_twin(self.tables.tables(), self.link.id(), instance, &flow) {
            Some(Fate::Seal(sa)) => Onward::Seal(sa),
            Some(Fate::Drop(reason)) => Onward::Nowhere(reason),
            Some(Fate::Clear(_) | Fate::Enter(_)) | None => {
                Onward::Clear(self.note_exit(instance, flow.destination, None))
            }
        }
    }

    fn leave_enclosed(&mut self, packet: Packet<P::Frame>, limit: u16, onward: Onward) {
        match onward {
            Onward::Seal(sa) => self.give_sealer(packet, sa),
            Onward::Nowhere(reason) => self.refuse(packet.frame, reason),
            Onward::Clear(Some(exit)) if packet.summary.length() <= usize::from(limit) => {
                self.leave_known(packet, exit);
            }
            Onward::Clear(_) => {
                let outgoing = Outgoing { packet, hop: None, limit, ours: true };
                self.push(|stations| &mut stations.outgoing, outgoing);
            }
        }
    }

    /// Whether the destination of a packet for this machine is an end of ip-tunnels.
    pub(super) fn is_end(&self, packet: &Packet<P::Frame>) -> bool {
        let tunnels = self.tables.tables().ip_tunnels();
        tunnels.end_at(packet.meta().instance, packet.summary.destination())
    }

    /// Whether a packet for this machine that came under an SA is of an ip-tunnel.
    pub(super) fn ends_ip_tunnel(&self, packet: &Packet<P::Frame>) -> bool {
        is_like_ip_tunnel(&packet.summary) && !packet.summary.is_fragment() && self.is_end(packet)
    }

    /// A packet for an end of ip-tunnels; it waits until the judge, who may have found it, is done.
    pub(super) fn leave_ip_tunnel(&mut self, packet: Packet<P::Frame>) {
        self.push(|stations| &mut stations.tunnelled, packet);
    }

    /// Takes an inner packet out, if its tunnel is there and it may be what it says.
    pub(super) fn decapsulate(&mut self, packet: Packet<P::Frame>) {
        let (instance, flow) = (packet.meta().instance, packet.summary.flow());
        let in_clear = packet.meta().origin == Origin::Wire;
        if in_clear && policy::is_unprotected(self.tables.tables(), instance, &flow) {
            return self.refuse(packet.frame, Drop::Unprotected);
        }
        let (carried, id, tunnel) = match self.ip_tunnel_of(&packet) {
            Ok(found) => found,
            Err((id, reason)) => return self.refuse_in(id, packet.frame, reason),
        };
        match ip_tunnel::decapsulate(packet, carried, &tunnel) {
            Ok(inner) => match self.refused(&inner, id) {
                None => self.emerge(inner, &tunnel),
                Some(reason) => self.refuse_in(Some(id), inner.frame, reason),
            },
            Err((frame, reason)) => self.refuse_in(Some(id), frame, reason),
        }
    }

    /// The tunnel of a packet, and what it has inside; else why it has none, and whose fault that is.
    #[expect(clippy::type_complexity, reason = "a tunnel found, or the reason and where it counts")]
    fn ip_tunnel_of(
        &self,
        packet: &Packet<P::Frame>,
    ) -> Result<(Carried, IpTunnelId, Arc<IpTunnel>), (Option<IpTunnelId>, Drop)> {
        let carried = ip_tunnel::read(packet).map_err(|reason| (None, reason))?;
        let ends = (packet.summary.destination(), packet.summary.source());
        let tunnels = self.tables.tables().ip_tunnels();
        match tunnels.find(packet.meta().instance, ends, carried.shown) {
            Ok((id, tunnel)) if tunnel.parts().up => Ok((carried, id, Arc::clone(tunnel))),
            Ok((id, _)) => Err((Some(id), Drop::IpTunnelDown)),
            Err(Stray::Key(id)) => Err((Some(id), Drop::GreKey)),
            Err(Stray::Stranger) => Err((None, Drop::IpTunnelMiss)),
        }
    }

    /// Why an inner packet may not have come out of this tunnel, if it may not.
    fn refused(&self, inner: &Packet<P::Frame>, id: IpTunnelId) -> Option<Drop> {
        let (instance, summary) = (inner.meta().instance, &inner.summary);
        let [source, _] = summary.ends();
        if ingress::is_bad_source(instance, summary.is_v4(), source, &self.snapshot) {
            return Some(Drop::BadSource);
        }
        policy::refused_of_ip_tunnel(self.tables.tables(), instance, id, &summary.flow())
    }

    /// On into the private instance; what is said to the link that the tunnel is, to the kernel: its routing daemons
    /// listen there (DP-40).
    fn emerge(&mut self, packet: Packet<P::Frame>, tunnel: &IpTunnel) {
        self.count_of(tunnel, |counters| &counters.in_packets, 1);
        self.count_of(tunnel, |counters| &counters.in_octets, packet.summary.length() as u64);
        self.link.counters().decapsulated_packets.add(1);
        let (instance, Packet { frame, summary }) = (packet.meta().instance, packet);
        match is_of_the_link(summary.destination()) {
            true => self.link.punt_kernel(KernelPunt { frame, to: Kernel::Tun { instance } }),
            false => self.judge_later(frame, summary),
        }
    }

    fn count_of(&self, tunnel: &IpTunnel, counter: impl Fn(&Counters) -> &Counter, by: u64) {
        if let Some(counters) = tunnel.counters(self.link.id()) {
            counter(counters).add(by);
        }
    }

    #[cold]
    fn refuse_in(&mut self, id: Option<IpTunnelId>, frame: P::Frame, reason: Drop) {
        match id {
            Some(id) => self.refuse_of(id, frame, reason, |counters| &counters.in_errors),
            None => self.refuse(frame, reason),
        }
    }

    fn refuse_of(
        &mut self,
        id: IpTunnelId,
        frame: P::Frame,
        reason: Drop,
        counter: impl Fn(&Counters) -> &Counter,
    ) {
        if let Some(tunnel) = self.tables.tables().ip_tunnels().at(id) {
            self.count_of(tunnel, counter, 1);
        }
        self.refuse(frame, reason);
    }
}

/// Groups, and addresses of one link.
const fn is_of_the_link(destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(v4) => v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
    }
}
