//! What one tunnel's step asks to happen to other tunnels of the same peer: a first contact closes older ones; of two
//! that came of two ends calling each other at once, one goes (the rule is in [`crate::sa::crossing`]); a child that
//! is left over takes the place of one that went.

use super::Engine;
use crate::config::{ChildId, ConnectionId, RemoteAddress};
use crate::context::Aside;
use crate::error::Failure;
use crate::id::IkeId;
use crate::sa::redirect::Onward;
use crate::sa::tunnel::Tunnel;
use crate::sa::up::Task;
use crate::time::Instant;
use crate::wire::GatewayIdentity;

impl Engine {
    /// What one tunnel's step asked to happen to others.
    pub(super) fn asides(&mut self, now: Instant) {
        for aside in std::mem::take(&mut self.out.asides) {
            match aside {
                Aside::Supersede { by, connection, identity, before, spares } => {
                    let stale = |id: &IkeId| {
                        let tunnel = self.tunnels.get(id).map(|entry| &entry.tunnel);
                        *id != by
                            && Some(*id) != spares
                            && tunnel.is_some_and(|tunnel| tunnel.is_stale(&identity, before))
                    };
                    let stale = self.tunnels_of(connection).into_iter().filter(stale).collect();
                    self.close(now, &Failure::Superseded, stale);
                }
                Aside::CameUp { ike } => {
                    self.forgive(now, ike);
                    let connection = self.tunnel(ike).map(|tunnel| tunnel.common.connection);
                    connection.into_iter().for_each(|connection| _ = self.lost.remove(&connection));
                    self.take_place(now, ike);
                    self.meet_crossing_calls(now, ike);
                }
                Aside::Leave(connection) => self.leave(now, connection),
                Aside::Reauthenticate { ike } => self.reauthenticate(now, ike),
                Aside::HandOver { ike, reason } => self.hand_over(now, ike, reason),
                Aside::ProofFailed { caller, floated, policy } => {
                    self.proof_failed(now, caller, floated, &policy);
                }
                Aside::Vacated { ike, config, started } => self.refill(now, ike, config, started),
                Aside::GoOn(onward) => self.go_on(now, *onward),
                Aside::Lost(lost) => {
                    let known = self.connections.contains_key(&lost.connection);
                    self.lost.extend(known.then_some((lost.connection, lost)));
                }
                Aside::Resumed { by, spis } => self.end_resumed(now, by, spis),
                Aside::Yield { ike } => self.settle_crossing_calls(now, ike),
            }
        }
    }

    /// A gateway has redirected us: another one is called for the same children.
    fn go_on(&mut self, now: Instant, onward: Onward) {
        let Onward { connection, to, trail, children, packets } = onward;
        let config = self.connections.get(&connection).cloned().filter(|_| !self.shut_down);
        let (Some(config), Some((first, others))) = (config, children.split_first()) else { return };
        let id = match (to, trail.from) {
            (GatewayIdentity::Address(to), _) => {
                let ends = (config.local, to);
                self.call(now, connection, config, ends, trail, *first)
            }
            (name, Some(here)) => {
                let ends = (config.local, here);
                let (id, common) = self.caller(now, connection, config, ends, trail);
                self.make_tunnel(now, None, |ctx| Tunnel::call_by_name(ctx, common, *first, name));
                id
            }
            (_, None) => return,
        };
        self.with_tunnel(now, id, |tunnel, _| tunnel.common.packets = packets);
        others.iter().for_each(|child| {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.want_child(ctx, *child));
        });
    }

    /// A tunnel came up. Where any peer may call there is nobody whom we would have called.
    fn meet_crossing_calls(&mut self, now: Instant, id: IkeId) {
        let Some(up) = self.tunnel(id) else { return };
        let connection = up.common.connection;
        if !self.calls_one(connection) {
            return;
        }
        let crosses =
            |other: &IkeId| *other != id && self.tunnel(*other).is_some_and(|other| up.crosses(other));
        let met: Vec<(IkeId, bool)> = self
            .tunnels_of(connection)
            .into_iter()
            .filter(crosses)
            .map(|other| (other, self.tunnel(other).is_some_and(|other| up.loses_to(other))))
            .collect();
        for (other, loses) in met {
            let counter = &mut self.admission.counters.crossed_calls;
            *counter = counter.saturating_add(1);
            let (loser, winner) = if loses { (id, other) } else { (other, id) };
            self.with_tunnel(now, loser, |tunnel, ctx| tunnel.begin_yield(ctx, winner));
        }
    }

    /// The time has come to look at whether this tunnel can go.
    fn settle_crossing_calls(&mut self, now: Instant, id: IkeId) {
        let mut estate = None;
        self.with_tunnel(now, id, |tunnel, _| estate = tunnel.estate(now));
        let Some(estate) = estate else { return };
        let remaining = estate.lot.to;
        if !self.tunnel(remaining).is_some_and(Tunnel::is_established) {
            // It went first: nothing to yield to.
            return self.with_tunnel(now, id, |tunnel, _| tunnel.yields = None);
        }
        let mut taken_over = false;
        self.with_tunnel(now, remaining, |tunnel, ctx| {
            taken_over = tunnel.take_over(ctx, &estate);
            // A peer that leaves this to us may call again whenever we close one; this one stays.
            tunnel.undisputed |= taken_over && estate.peers;
        });
        if taken_over {
            self.close(now, &Failure::Superseded, vec![id]);
        }
    }

    /// A CHILD_SA went that may have stood where the caller sends from. The last one of the same child, in this tunnel
    /// or in another of the same peer (that crossed it, or whose peer gave a later call up), begins to send if it waited
    /// for that; else it is renewed, unless it was ordered after that one began to send: then it stands there.
    fn refill(&mut self, now: Instant, ike: IkeId, config: ChildId, started: u64) {
        let Some(from) = self.tunnel(ike) else { return };
        let tunnels = self.tunnels_of(from.common.connection);
        let of_peer = |id: &IkeId| self.tunnel(*id).filter(|tunnel| tunnel.peer() == from.peer());
        let twins = tunnels.iter().filter_map(of_peer).filter_map(|tunnel| {
            let (ordered, child) = tunnel.last_ordered(config)?;
            Some((ordered, child, tunnel.common.id))
        });
        let Some((ordered, child, id)) = twins.max() else { return };
        if self.tunnel(id).is_some_and(Tunnel::waits_for_caller) {
            self.with_tunnel(now, id, Tunnel::inherit);
        } else if ordered < started {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.task(ctx, Task::RekeyChild(child)));
        }
    }

    /// Whether a connection has one peer that it can call.
    fn calls_one(&self, connection: ConnectionId) -> bool {
        let config = self.connections.get(&connection);
        config.is_some_and(|config| matches!(config.remote, RemoteAddress::One(_)))
    }

    pub(super) fn tunnel(&self, id: IkeId) -> Option<&Tunnel> {
        self.tunnels.get(&id).map(|entry| &entry.tunnel)
    }
}
