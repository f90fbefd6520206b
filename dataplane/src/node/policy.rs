//! What policy and routes make of a packet, given where it came from (RFC 4301 §5.1, §5.2; DP-18, DP-19,
//! DP-50). The one place that lets anything leave in clear.
//!
//! [`View::weigh`] says what policy holds of a packet, in the order of its entries; this node adds what only the packet
//! path knows: who brought it. A packet from the wire must not have had to come through a tunnel. One from a
//! tunnel was authorised by its SA's selectors and goes where the route says, unless an entry before the tunnels protects
//! or discards it. What a worker itself says about a clear packet goes back the way that packet came, or not at
//! all.
//!
//! [`judge`] is the whole of it, in the order in which a packet meets it: a worker asks it of every flow it
//! does not remember, control asks it for an operator who wants to know.

use super::ingress::{self, Judged};
use crate::io::{Meta, Origin};
use crate::link::snapshot::{Snapshot, is_link_scope};
use crate::net::flow::{self, Flow, Summary, Upper};
use crate::net::protocol;
use crate::policy::route::{Interface, IpTunnelId, NextHop};
use crate::policy::spd::{Action, At};
use crate::policy::view::{Came, Decision, View};
use crate::sa::SaRef;
use crate::sa::shard::WorkerId;
use crate::verdict::Drop;

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Under the SA in this slot, or not at all.
    Seal(SaRef),
    /// In clear, to this next hop.
    Clear(NextHop),
    /// Into this ip-tunnel.
    Enter(IpTunnelId),
    /// Nowhere.
    Drop(Drop),
}

/// What becomes of an IP packet in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The kernel gets it, as it came.
    Kernel,
    /// It is for an address of this machine.
    Ours,
    /// A route says that it is for this machine.
    Routed,
    /// It goes on, or ends here; the policy entry that says so, if one does.
    Goes(Fate, Option<At>),
}

/// Judges an IP packet in clear that `worker` has and that came as `meta` says: whose it is, and where it goes if it
/// is somebody else's. `Fate::Clear` never leads to [`NextHop::Local`], nor into a tunnel of any kind.
pub fn judge(tables: &View, snapshot: &Snapshot, worker: WorkerId, meta: &Meta, flow: &Flow) -> Judgement {
    match whose(snapshot, meta, flow) {
        Ok(Judged::Kernel) => Judgement::Kernel,
        Ok(Judged::Local) => Judgement::Ours,
        Err(reason) => Judgement::Goes(Fate::Drop(reason), None),
        Ok(Judged::Transit) if is_link_scope(flow.destination) && !is_for_the_far_end(tables, meta, flow) => {
            Judgement::Goes(Fate::Drop(Drop::NotForwardable), None)
        }
        Ok(Judged::Transit) => match decide(tables, worker, meta, flow) {
            (Fate::Clear(NextHop::Local), _) => Judgement::Routed,
            (fate, by) => Judgement::Goes(fate, by),
        },
    }
}

/// Whether this machine says something on the link that an ip-tunnel is: a routing daemon's greetings go to the groups and
/// link-local addresses that the tunnel lists as its other end's (TG-15).
fn is_for_the_far_end(tables: &View, meta: &Meta, flow: &Flow) -> bool {
    meta.origin == Origin::Tun
        && matches!(tables.route(meta.instance, flow.destination), Some(NextHop::IpTunnel(_)))
}

/// Whose a packet is. What this machine sends is never its own.
fn whose(snapshot: &Snapshot, meta: &Meta, flow: &Flow) -> Result<Judged, Drop> {
    let ends = [flow::words(flow.source), flow::words(flow.destination)];
    match meta.origin {
        Origin::Wire => ingress::judge_ends(flow.destination.is_ipv4(), ends, meta.instance, false, snapshot),
        Origin::Tunnel if snapshot.is_local(meta.instance, flow.destination) => Ok(Judged::Local),
        _ => Ok(Judged::Transit),
    }
}

/// Decides about an IP packet in clear that `worker` has and that wants to leave `meta.instance`; the policy entry that
/// says so, if one does.
pub fn decide(tables: &View, worker: WorkerId, meta: &Meta, flow: &Flow) -> (Fate, Option<At>) {
    let came = match meta.origin {
        Origin::Wire => Came::InClear,
        Origin::Tunnel | Origin::Worker => Came::Admitted,
        _ => Came::FromHere,
    };
    let (decision, by) = tables.weigh(worker, meta.instance, came, flow);
    let fate = match decision {
        Decision::Protect { sa, .. } if may_enter_tunnel(tables, meta, flow) => Fate::Seal(sa),
        Decision::Protect { .. } => Fate::Drop(Drop::BadSource),
        Decision::NoChild { .. } => Fate::Drop(Drop::PolicyMiss),
        Decision::Unprotected => Fate::Drop(Drop::Unprotected),
        Decision::NoRoute => Fate::Drop(Drop::NoRoute),
        Decision::Forward(hop) => in_clear(tables, meta, flow, hop),
        Decision::Discard if by.is_some() => Fate::Drop(Drop::PolicyDiscard),
        Decision::Discard => unspoken(tables, meta, flow),
    };
    (fate, by)
}

/// A stranger on the public side of an instance that has both sides must not write into a tunnel by using a
/// private source: what is protected comes from where its source is routed to.
fn may_enter_tunnel(tables: &View, meta: &Meta, flow: &Flow) -> bool {
    if meta.origin != Origin::Wire {
        return true;
    }
    match tables.route(meta.instance, flow.source) {
        Some(NextHop::Connected(interface) | NextHop::Via(interface, _)) => interface == arrival(meta),
        Some(NextHop::Tunnel(_) | NextHop::IpTunnel(_) | NextHop::Local) => false,
        Some(NextHop::Blackhole) | None => true,
    }
}

fn arrival(meta: &Meta) -> Interface {
    Interface { port: meta.port, vlan: meta.vlan }
}

fn in_clear(tables: &View, meta: &Meta, flow: &Flow, hop: NextHop) -> Fate {
    match meta.origin {
        Origin::Wire if is_from_tunnel(tables, meta.instance, flow) => Fate::Drop(Drop::Unprotected),
        _ if matches!(hop, NextHop::IpTunnel(_)) && !may_enter_tunnel(tables, meta, flow) => {
            Fate::Drop(Drop::BadSource)
        }
        Origin::Worker if !goes_back(meta, hop) => Fate::Drop(Drop::ClearRefused),
        _ => clear(hop),
    }
}

/// No entry speaks of it, which says no unless something outweighs that.
fn unspoken(tables: &View, meta: &Meta, flow: &Flow) -> Fate {
    let Some(hop) = tables.route(meta.instance, flow.destination) else { return Fate::Drop(Drop::NoRoute) };
    match meta.origin {
        Origin::Wire if is_from_tunnel(tables, meta.instance, flow) => Fate::Drop(Drop::Unprotected),
        // The SA's selectors have admitted it (RFC 4301 §5.2 step 4).
        Origin::Tunnel => clear(hop),
        Origin::Worker if goes_back(meta, hop) => clear(hop),
        _ => Fate::Drop(Drop::PolicyMiss),
    }
}

fn goes_back(meta: &Meta, hop: NextHop) -> bool {
    matches!(hop, NextHop::Local | NextHop::IpTunnel(_))
        || matches!(hop, NextHop::Connected(interface) | NextHop::Via(interface, _) if interface == arrival(meta))
}

/// The last guard: whatever was decided above, a tunnel route never means clear text.
fn clear(hop: NextHop) -> Fate {
    match hop {
        NextHop::Tunnel(_) => Fate::Drop(Drop::ClearRefused),
        NextHop::IpTunnel(id) => Fate::Enter(id),
        NextHop::Blackhole => Fate::Drop(Drop::NoRoute),
        hop => Fate::Clear(hop),
    }
}

/// Whether what has a packet's source is behind a tunnel: then nobody lets it in in clear.
fn is_from_tunnel(tables: &View, instance: u16, flow: &Flow) -> bool {
    matches!(tables.route(instance, flow.source), Some(NextHop::Tunnel(_) | NextHop::IpTunnel(_)))
}

/// Whether a packet for this machine that arrived in clear should have come through a tunnel (RFC 4301 §5.2). What
/// entries bypass and discard is what is forwarded.
pub fn is_unprotected(tables: &View, instance: u16, flow: &Flow) -> bool {
    let entry = tables.spd(instance).and_then(|spd| spd.inbound(flow));
    matches!(entry, Some(Action::Protect(_))) || is_from_tunnel(tables, instance, flow)
}

/// Neighbour discovery and other packets that no router forwards: policy speaks of what is forwarded
/// (RFC 4301 §5 leaves them to the host), and without them no SA could be reached.
pub fn is_of_the_link(summary: &Summary) -> bool {
    is_discovery(summary) || is_link_scope(summary.destination())
}

/// Neighbour discovery, which has come over no router (RFC 4861 §7.1).
pub fn is_discovery(summary: &Summary) -> bool {
    summary.protocol() == protocol::ICMPV6
        && summary.ttl() == 255
        && matches!(summary.upper(), Upper::Icmp { kind: 133..=137, .. })
}

/// Why a packet may not come out of the ip-tunnel with this number into `instance`, if it may not. Nobody has proven
/// anything: it is taken for what the tunnel's other end has behind it if the way back leads into the same tunnel, and no
/// entry before the tunnels has it come under an SA.
pub fn refused_of_ip_tunnel(tables: &View, instance: u16, id: IpTunnelId, flow: &Flow) -> Option<Drop> {
    let entry = tables.spd(instance).and_then(|spd| spd.before().inbound(flow));
    if entry.is_some_and(|entry| matches!(entry.action, Action::Protect(_))) {
        return Some(Drop::Unprotected);
    }
    match tables.route(instance, flow.source) {
        Some(NextHop::IpTunnel(back)) if back == id => None,
        Some(NextHop::Tunnel(_)) => Some(Drop::Unprotected),
        _ => Some(Drop::IpTunnelSource),
    }
}

/// What becomes of a packet the kernel sends by a twin and that `worker` has: under an SA if policy protects it; else
/// it is the kernel's own and leaves as it is: neighbours, routing daemons and management are not forwarded traffic.
pub fn decide_twin(tables: &View, worker: WorkerId, instance: u16, flow: &Flow) -> Option<Fate> {
    match tables.weigh(worker, instance, Came::ByTwin, flow).0 {
        Decision::Protect { sa, .. } => Some(Fate::Seal(sa)),
        Decision::NoChild { .. } => Some(Fate::Drop(Drop::PolicyMiss)),
        Decision::Forward(_) | Decision::Discard | Decision::Unprotected | Decision::NoRoute => None,
    }
}
