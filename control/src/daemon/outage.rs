//! Takes instances out of service and back, as [`Service`](super::service::Service) says: ports that
//! forward nothing, tunnels that are closed and refuse, and a word about it in the journal.

use std::collections::BTreeSet;

use ravelin_dataplane::io::Pool;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;

use super::core::Core;
use crate::api::ApiError;
use crate::config::plan::{InstanceId, Tunnel};
use crate::instance::{InstanceError, Wall};

impl<P: Pool> Core<P> {
    /// An instance does not stand on its walls any more.
    pub(super) fn fault(&mut self, now: Instant, instance: InstanceId, wall: Wall, error: &InstanceError) {
        tracing::error!(instance = self.service.name(instance), "{error}");
        let before = self.service.out();
        self.service.fall(instance, wall, error.to_string());
        let text = format!("{}: {}: {error}", self.service.name(instance), wall.code());
        self.journal.note("", "instance-fault", text);
        self.follow_service(now, &before);
    }

    /// One of its walls stands again.
    pub(super) fn mended(&mut self, now: Instant, instance: InstanceId, wall: Wall) {
        let before = self.service.out();
        self.service.mend(instance, wall);
        let text = format!("{}: {}: {wall} holds again", self.service.name(instance), wall.code());
        self.journal.note("", "instance-mended", text);
        self.follow_service(now, &before);
    }

    /// Makes ports and tunnels follow. The ports go first: nothing passes from here on.
    fn follow_service(&mut self, now: Instant, before: &BTreeSet<InstanceId>) {
        let after = self.service.out();
        if after == *before {
            return;
        }
        self.workers.set_out_of_service(after.clone());
        for instance in after.difference(before) {
            let name = self.service.name(*instance);
            self.journal.note(
                "",
                "instance-out",
                format!("{name}: forwards nothing, its tunnels are closed"),
            );
        }
        for instance in before.difference(&after) {
            self.journal.note(
                "",
                "instance-in",
                format!("{}: in service again", self.service.name(*instance)),
            );
        }
        let concerns = |out: &BTreeSet<InstanceId>, tunnel: &Tunnel| {
            out.contains(&tunnel.public) || out.contains(&tunnel.private)
        };
        let all: Vec<_> = self.roster.tunnels().map(|(id, tunnel)| (id, tunnel.clone())).collect();
        for (id, tunnel) in all {
            match (concerns(before, &tunnel), concerns(&after, &tunnel)) {
                (false, true) => self.suspend(now, id),
                (true, false) => self.resume(now, id, &tunnel),
                _ => {}
            }
        }
        let gateways: Vec<ConnectionId> = self.roster.gateways().map(|(id, _)| id).collect();
        gateways.into_iter().for_each(|id| self.connect_gateway(now, id));
        self.settle_ip_tunnels();
        self.workers.publish_tables();
    }

    /// Closes a tunnel and lets nothing in, until it is resumed.
    pub(super) fn suspend(&mut self, now: Instant, id: ConnectionId) {
        self.workers.shut_tunnel(id);
        self.engine.handle_command(now, Command::Terminate { connection: id });
        self.engine.set_connection(now, id, None);
    }

    /// Opens a tunnel again, unless something else keeps it closed.
    pub(super) fn resume(&mut self, now: Instant, id: ConnectionId, tunnel: &Tunnel) {
        // That of a gateway's peer is closed, and its peer comes again.
        if tunnel.origin.is_some() || self.halted(tunnel).is_some() {
            return;
        }
        if let Err(error) = self.workers.open_tunnel(&self.roster, id) {
            return tracing::error!(tunnel = tunnel.name, "{error}");
        }
        self.connect(now, id);
        self.retries.reset(id);
    }

    /// Refuses an operator's request for a tunnel that is out of service, or whose group is down.
    pub(super) fn in_service(&self, tunnel: &Tunnel) -> Result<(), ApiError> {
        match self.halted(tunnel) {
            None => Ok(()),
            Some(why) => {
                Err(ApiError::Refused { why: format!("{}: {} [{}]", tunnel.name, why.text, why.code) })
            }
        }
    }
}
