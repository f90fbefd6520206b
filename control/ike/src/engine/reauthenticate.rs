//! New proofs of identity: the call that makes a new IKE SA, and the end of the one whose place it takes. When it is time
//! and who is whose heir is [`crate::sa::reauthentication`]'s.

use super::Engine;
use super::kin::Kin;
use crate::error::Failure;
use crate::id::IkeId;
use crate::sa::reauthentication::successor;
use crate::sa::tunnel::Tunnel;
use crate::time::Instant;
use crate::want::Role;

impl Engine {
    /// Calls the peer of a tunnel of ours anew, for the same children, unless that is under way.
    pub(super) fn reauthenticate(&mut self, now: Instant, id: IkeId) {
        let Some(tunnel) = self.tunnel(id).filter(|tunnel| tunnel.is_established()) else { return };
        let connection = tunnel.common.connection;
        let Some(config) = self.connections.get(&connection).cloned() else { return };
        let called = |id: &IkeId| self.tunnel(*id).is_some_and(Tunnel::is_calling);
        let under_way = tunnel.common.term.heir.is_some_and(|heir| self.is_up(heir));
        let is_ours = tunnel.common.role == Role::Initiator && tunnel.yields.is_none();
        if !is_ours || under_way || self.shut_down || config.responder_only {
            return;
        }
        if self.tunnels_of(connection).iter().any(called) {
            return;
        }
        let mut children = tunnel.heritage(&config);
        if children.is_empty() {
            children.extend(config.children.first().map(|child| child.id));
        }
        let (path, trail) = (tunnel.common.path, tunnel.common.trail.clone());
        // From where it is, if that is ours still: other ways may be the worse ones.
        let local = config.own_addresses().find(|own| *own == path.local.ip()).unwrap_or(config.local);
        let ends = (local, path.remote.ip());
        let Some((first, others)) = children.split_first() else { return };
        let new = self.call(now, connection, config, ends, trail, *first);
        others.iter().for_each(|child| {
            self.with_tunnel(now, new, |tunnel, ctx| tunnel.want_child(ctx, *child));
        });
    }

    /// A tunnel came up: if it takes the place of another one, that one, and those that are to go for it, are told.
    pub(super) fn take_place(&mut self, now: Instant, id: IkeId) {
        let Some(up) = self.tunnel(id) else { return };
        let Some(elder) = up.common.term.elder() else { return };
        let connection = up.common.connection;
        let mut takes_place = false;
        self.with_tunnel(now, elder, |tunnel, _| takes_place = tunnel.take_heir(id));
        if !takes_place {
            return;
        }
        self.out.reauthenticated = self.out.reauthenticated.saturating_add(1);
        for other in self.tunnels_of(connection) {
            self.with_tunnel(now, other, |tunnel, _| tunnel.yields_to_heir(elder, id));
        }
        // What its children are may be decided already.
        self.with_tunnel(now, id, |tunnel, ctx| tunnel.look_at_elder(ctx));
    }

    /// Ends a tunnel; what takes its place, if anything does, has its children first.
    pub(super) fn hand_over(&mut self, now: Instant, id: IkeId, reason: Failure) {
        let Some(tunnel) = self.tunnel(id) else { return };
        let kin = Kin { tunnels: &self.tunnels, by_connection: &self.by_connection };
        if let Some(successor) = successor(&tunnel.common, tunnel.peer(), &kin) {
            self.with_tunnel(now, successor, |tunnel, ctx| tunnel.inherit(ctx));
        }
        if reason == Failure::ProofExpired {
            self.out.proofs_expired = self.out.proofs_expired.saturating_add(1);
        }
        self.with_tunnel(now, id, |tunnel, ctx| tunnel.close(ctx, reason));
    }

    fn is_up(&self, id: IkeId) -> bool {
        self.tunnel(id).is_some_and(Tunnel::is_established)
    }
}
