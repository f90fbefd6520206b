//! What policy and routes make of a packet, given where it came from (RFC 4301 §5.1, §5.2; DP-18, DP-19,
//! DP-50). The one place that lets anything leave in clear.
//!
//! [`View::decide`] says what policy holds of a packet on its way out; this node adds what only the packet
//! path knows: who brought it. A packet from the wire must not have had to come through a tunnel. One from a
//! tunnel was authorised by its SA's selectors and goes where the route says, unless policy protects or
//! discards it. What a worker itself says about a clear packet goes back the way that packet came, or not at
//! all.
//!
//! [`judge`] is the whole of it, in the order in which a packet meets it: a worker asks it of every flow it
//! does not remember, control asks it for an operator who wants to know.

use super::ingress::{self, Judged};
use crate::io::{Meta, Origin};
use crate::link::snapshot::{Snapshot, is_link_scope};
use crate::net::flow::{self, Flow};
use crate::policy::route::{Interface, NextHop};
use crate::policy::spd::Action;
use crate::policy::view::{Decision, View};
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
    /// It goes on, or ends here.
    Goes(Fate),
}

/// Judges an IP packet in clear that `worker` has and that came as `meta` says: whose it is, and where it goes if it
/// is somebody else's. `Fate::Clear` never leads to [`NextHop::Local`].
pub fn judge(tables: &View, snapshot: &Snapshot, worker: WorkerId, meta: &Meta, flow: &Flow) -> Judgement {
    match whose(snapshot, meta, flow) {
        Ok(Judged::Kernel) => Judgement::Kernel,
        Ok(Judged::Local) => Judgement::Ours,
        Err(reason) => Judgement::Goes(Fate::Drop(reason)),
        Ok(Judged::Transit) if is_link_scope(flow.destination) => {
            Judgement::Goes(Fate::Drop(Drop::NotForwardable))
        }
        Ok(Judged::Transit) => match decide(tables, worker, meta, flow) {
            Fate::Clear(NextHop::Local) => Judgement::Routed,
            fate => Judgement::Goes(fate),
        },
    }
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

/// Decides about an IP packet in clear that `worker` has and that wants to leave `meta.instance`.
pub fn decide(tables: &View, worker: WorkerId, meta: &Meta, flow: &Flow) -> Fate {
    match tables.decide(worker, meta.instance, flow) {
        Decision::Protect { sa, .. } if may_enter_tunnel(tables, meta, flow) => Fate::Seal(sa),
        Decision::Protect { .. } => Fate::Drop(Drop::BadSource),
        Decision::NoChild { .. } => Fate::Drop(Drop::PolicyMiss),
        Decision::NoRoute => Fate::Drop(Drop::NoRoute),
        Decision::Forward(hop) => in_clear(tables, meta, flow, hop),
        Decision::Discard => discarded(tables, meta, flow),
    }
}

/// A stranger on the public side of an instance that has both sides must not write into a tunnel by using a
/// private source: what is protected comes from where its source is routed to.
fn may_enter_tunnel(tables: &View, meta: &Meta, flow: &Flow) -> bool {
    if meta.origin != Origin::Wire {
        return true;
    }
    match tables.route(meta.instance, flow.source) {
        Some(NextHop::Connected(interface) | NextHop::Via(interface, _)) => interface == arrival(meta),
        Some(NextHop::Tunnel(_) | NextHop::Local) => false,
        Some(NextHop::Blackhole) | None => true,
    }
}

fn arrival(meta: &Meta) -> Interface {
    Interface { port: meta.port, vlan: meta.vlan }
}

fn in_clear(tables: &View, meta: &Meta, flow: &Flow, hop: NextHop) -> Fate {
    match meta.origin {
        Origin::Wire if is_unprotected(tables, meta.instance, flow) => Fate::Drop(Drop::Unprotected),
        Origin::Worker if !goes_back(meta, hop) => Fate::Drop(Drop::ClearRefused),
        _ => clear(hop),
    }
}

/// An entry, or the absence of one, says no. Only the absence can be outweighed.
fn discarded(tables: &View, meta: &Meta, flow: &Flow) -> Fate {
    let Some(spd) = tables.spd(meta.instance) else { return Fate::Drop(Drop::NoRoute) };
    if spd.outbound(flow) == Some(Action::Discard) {
        return Fate::Drop(Drop::PolicyDiscard);
    }
    let Some(hop) = tables.route(meta.instance, flow.destination) else { return Fate::Drop(Drop::NoRoute) };
    match meta.origin {
        // The SA's selectors have admitted it (RFC 4301 §5.2 step 4).
        Origin::Tunnel => clear(hop),
        Origin::Worker if goes_back(meta, hop) => clear(hop),
        // The operator lets it in from outside; what is inside has no say of its own.
        Origin::Wire if spd.inbound(flow) == Some(Action::Bypass) => in_clear(tables, meta, flow, hop),
        _ => Fate::Drop(Drop::PolicyMiss),
    }
}

fn goes_back(meta: &Meta, hop: NextHop) -> bool {
    hop == NextHop::Local
        || matches!(hop, NextHop::Connected(interface) | NextHop::Via(interface, _) if interface == arrival(meta))
}

/// The last guard: whatever was decided above, a tunnel route never means clear text.
fn clear(hop: NextHop) -> Fate {
    match hop {
        NextHop::Tunnel(_) => Fate::Drop(Drop::ClearRefused),
        NextHop::Blackhole => Fate::Drop(Drop::NoRoute),
        hop => Fate::Clear(hop),
    }
}

/// Whether a packet that arrived in clear should have come through a tunnel, or not at all (RFC 4301 §5.2:
/// "if the packet is [...] not IPsec protected", the SPD decides whether it may pass).
pub fn is_unprotected(tables: &View, instance: u16, flow: &Flow) -> bool {
    let entry = tables.spd(instance).and_then(|spd| spd.inbound(flow));
    match entry {
        Some(Action::Protect(_) | Action::Discard) => true,
        Some(Action::Bypass) => false,
        None => matches!(tables.route(instance, flow.source), Some(NextHop::Tunnel(_))),
    }
}

/// What becomes of a packet the kernel sends by a twin and that `worker` has: under an SA if policy protects it; else
/// it is the kernel's own and leaves as it is.
pub fn decide_twin(tables: &View, worker: WorkerId, instance: u16, flow: &Flow) -> Option<Fate> {
    match tables.decide(worker, instance, flow) {
        Decision::Protect { sa, .. } => Some(Fate::Seal(sa)),
        Decision::NoChild { .. } => Some(Fate::Drop(Drop::PolicyMiss)),
        Decision::Forward(_) | Decision::Discard | Decision::NoRoute => None,
    }
}
