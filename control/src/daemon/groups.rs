//! Carries out what becomes of tunnel groups ([`crate::group`]): tunnels of one that is down are closed and refuse, those
//! of one that is up again are opened, on its active workers. Moving tunnels off a worker that stands still is `stall`'s.

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::time::Instant;

use super::core::Core;
use super::service::{Service, Why};
use crate::config::plan::Tunnel;
use crate::group::{Down, Groups, What};

/// Why a tunnel may not be up: the operator has shut it down, one of its instances is out of service, or its group is
/// down.
pub(super) fn halted(service: &Service, groups: &Groups, tunnel: &Tunnel) -> Option<Why> {
    let shut = shut_down(tunnel).or_else(|| service.of_tunnel(tunnel));
    shut.or_else(|| of_group(groups, &tunnel.group))
}

/// Whether its operator has shut a tunnel down (TG-10).
pub(super) fn shut_down(tunnel: &Tunnel) -> Option<Why> {
    let why = || Why { code: "RV-ADMIN-001", text: "it is shut down: enabled = false".into() };
    (!tunnel.enabled).then(why)
}

/// Why the tunnels of a group may not be up.
pub(super) fn of_group(groups: &Groups, group: &str) -> Option<Why> {
    let down = groups.why(group)?;
    Some(Why { code: down.code(), text: format!("tunnel group {group} is down: {down}") })
}

/// Workers by number, for people.
pub(super) fn numbers(workers: &[WorkerId]) -> String {
    workers.iter().map(|worker| worker.0.to_string()).collect::<Vec<_>>().join(", ")
}

impl<P: Pool> Core<P> {
    /// See [`halted`].
    pub(super) fn halted(&self, tunnel: &Tunnel) -> Option<Why> {
        halted(&self.service, self.workers.groups(), tunnel)
    }

    /// Takes over the groups of the plan that is to run.
    pub(super) fn take_over_groups(&mut self, now: Instant) {
        self.workers.take_over_groups(&self.plan.groups);
        self.regroup(now);
    }

    /// Has groups follow who polls, and their tunnels the groups.
    pub(super) fn regroup(&mut self, now: Instant) {
        let changes = self.workers.regroup();
        if changes.is_empty() {
            return;
        }
        for change in changes {
            let name = change.group;
            match change.what {
                What::Active { from, to } => {
                    let text = format!("{name}: on workers {}, was on {}", numbers(&to), numbers(&from));
                    self.journal.note("", "group-active", text);
                }
                What::Down(down) => {
                    self.journal.note("", "group-down", format!("{name}: {}: {down}", down.code()));
                    self.close_group(now, &name, &down);
                }
                What::Up => {
                    self.journal.note("", "group-up", format!("{name}: its tunnels are opened"));
                    self.open_group(now, &name);
                }
            }
        }
        self.workers.publish_tables();
        self.place_own_anew(now);
    }

    /// What a group says of its tunnels is the engine's to know.
    pub(super) fn reconnect_groups(&mut self, now: Instant, groups: &[String]) {
        for group in groups {
            for id in self.tunnels_of(group) {
                self.retries.reset(id);
                match self.roster.tunnel(id).is_some_and(|tunnel| tunnel.origin.is_some()) {
                    true => self.connect_peer(now, id),
                    false => self.connect(now, id),
                }
            }
            self.connect_gateways_of(now, group);
        }
    }

    fn tunnels_of(&self, group: &str) -> Vec<ConnectionId> {
        self.roster.tunnels().filter(|(_, tunnel)| tunnel.group == group).map(|(id, _)| id).collect()
    }

    /// Closes the tunnels of a group. Those on a worker that stands still are left as they are, unless the operator
    /// wants them closed: they carry nothing, and go on as they were if it polls again.
    fn close_group(&mut self, now: Instant, group: &str, down: &Down) {
        for id in self.tunnels_of(group) {
            let waits = *down != Down::ShutDown && self.workers.stalled_under(&self.roster, id).is_some();
            if !waits {
                self.moving.forget(id);
                self.suspend(now, id);
            }
        }
        self.connect_gateways_of(now, group);
    }

    fn open_group(&mut self, now: Instant, group: &str) {
        for id in self.tunnels_of(group) {
            let Some(tunnel) = self.roster.tunnel(id).cloned() else { continue };
            // A worker that stands still is relieved of its tunnels by `stall`.
            if self.workers.stalled_under(&self.roster, id).is_none()
                && let Err(stays) = self.workers.rehome(&self.roster, id, now)
            {
                let text = format!("on a worker that is not active in group {group}: {stays}");
                self.journal.note(&tunnel.name, "tunnel-stays", text);
            }
            self.resume(now, id, &tunnel);
        }
        self.connect_gateways_of(now, group);
    }

    fn connect_gateways_of(&mut self, now: Instant, group: &str) {
        let is_of = |name: &str| self.plan.gateways.get(name).is_some_and(|gateway| gateway.group == group);
        let gateways = self.roster.gateways().filter(|(_, name)| is_of(name)).map(|(id, _)| id);
        let gateways: Vec<ConnectionId> = gateways.collect();
        gateways.into_iter().for_each(|id| self.connect_gateway(now, id));
    }
}
