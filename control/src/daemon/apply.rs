//! Carries out the difference between the plan that runs and a new one: tunnels, gateways and groups are added, changed,
//! replaced and removed, and nothing else moves. What can be refused was refused before ([`super::reload`]), but for what
//! depends on how tunnel groups are.

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::policy::route::TunnelId;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;

use super::core::Core;
use super::reload::{self, Prepared};
use super::revocation;
use crate::api::reply::Applied;
use crate::config::diff::{Difference, chains, difference, meanwhile};
use crate::config::plan::{InstanceId, Keying, Plan, Tunnel};
use crate::config::rules;
use crate::instance::{Request, TunnelRoute};
use crate::routing::Outcome;
use crate::tunnel::{askers, connection, reverse, waits};

impl<P: Pool> Core<P> {
    /// What a plan would change.
    pub(super) fn compare(&self, plan: &Plan) -> Applied {
        let (difference, next) = difference(&self.plan, plan);
        report(difference, plan, true, self.refusals(&next))
    }

    /// Changes what is other.
    pub(super) fn apply(&mut self, now: Instant, prepared: Prepared) -> Applied {
        let Prepared { plan, keys, profiles } = prepared;
        let (difference, next) = difference(&self.plan, &plan);
        let refused = self.refusals(&next);
        if !refused.is_empty() {
            self.journal.note("", "config-refused", refused.join("; "));
            return report(difference, &plan, false, refused);
        }
        self.journal.note("", "config-applied", reload::summary(&difference));
        if difference.policy.differs() && difference.moves_tunnels() {
            self.workers.set_policy(&meanwhile(&self.plan.policy, &next.policy), &self.roster);
            self.workers.publish_tables();
        }
        for name in difference.removed.iter().chain(&difference.replaced) {
            self.remove_tunnel(now, name);
        }
        for name in difference.gateways.removed.iter().chain(&difference.gateways.replaced) {
            self.remove_gateway(now, name);
        }
        let chains = chains::compare(&self.plan, &next);
        chains.into_iter().for_each(|text| self.journal.note("", "certificate-chain-changed", text));
        let others = self.plan.authorities != next.authorities;
        let former = std::mem::replace(&mut self.plan, next);
        self.readdress(&difference);
        self.follow_ip_tunnels(&former);
        self.helpers.take_over(&self.plan, keys, profiles);
        self.ask_about_own_again();
        if others {
            self.helpers.revocation().configure(revocation::authorities(&self.plan));
        }
        self.take_over_groups(now);
        self.reconnect_groups(now, &difference.groups.changed);
        for name in &difference.changed {
            self.change_tunnel(now, name);
        }
        for name in &difference.moved {
            self.readdress_tunnel(now, name);
        }
        for name in difference.replaced.iter().chain(&difference.added) {
            self.add_tunnel(now, name);
        }
        for name in &difference.gateways.changed {
            self.change_gateway(now, name);
        }
        for name in difference.gateways.replaced.iter().chain(&difference.gateways.added) {
            self.add_gateway(now, name);
        }
        if let Err(error) = self.helpers.rebase(&self.plan, &self.roster) {
            // Every identity was looked at before.
            tracing::error!("{error}");
        }
        self.settle_ip_tunnels();
        // Tunnels that are named by entries may have other numbers.
        self.workers.set_policy(&self.plan.policy, &self.roster);
        self.workers.publish_tables();
        self.settle_mirrors();
        if self.workers.set_ends(waits::waits(&self.plan), askers::askers(&self.plan)) {
            self.workers.publish(&Outcome { snapshot: true, ..Outcome::default() });
        }
        report(difference, &self.plan, false, refused)
    }

    /// Takes over certificates, keys and anchors of the profiles that run, and nothing else of the plan.
    pub(super) fn apply_material(&mut self, now: Instant, prepared: Prepared) -> Applied {
        let Prepared { plan: read, keys, profiles } = prepared;
        let mut plan = self.plan.clone();
        for (name, profile) in &mut plan.cert_profiles {
            read.cert_profiles.get(name).into_iter().for_each(|other| profile.clone_from(other));
        }
        for (name, profile) in &mut plan.trust {
            read.trust.get(name).into_iter().for_each(|other| profile.clone_from(other));
        }
        for (name, profile) in &mut plan.authorities {
            read.authorities.get(name).into_iter().for_each(|other| profile.clone_from(other));
        }
        self.apply(now, Prepared { plan, keys, profiles })
    }

    /// What of a plan is not to be had while groups are as they are (TG-04): nothing of it is carried out then.
    fn refusals(&self, next: &Plan) -> Vec<String> {
        let groups = self.workers.groups();
        rules::refusals(&self.plan.groups, &next.groups, |name| groups.active(name))
    }

    fn readdress(&self, difference: &Difference) {
        let other =
            |interface: &&crate::config::plan::Interface| difference.readdressed.contains(&interface.name);
        for interface in self.plan.interfaces.iter().filter(other) {
            let addresses = interface.addresses.clone();
            let request = Request::SetAddresses { interface: interface.name.clone(), addresses };
            self.ask_instance(interface.instance, request);
        }
    }

    /// Closes a tunnel for good: the peer is told, its packets are dropped from here on.
    fn remove_tunnel(&mut self, now: Instant, name: &str) {
        let Some(id) = self.roster.find(name) else { return };
        let Some(tunnel) = self.roster.tunnel(id).cloned() else { return };
        self.workers.shut_tunnel(id);
        self.workers.remove_manual(id, &self.roster);
        self.engine.set_connection(now, id, None);
        self.roster.remove(id);
        for network in reverse::of_tunnel(&tunnel) {
            self.route_anew(tunnel.private, network);
        }
    }

    /// From the next negotiation on it is other; what is up stays up.
    fn change_tunnel(&mut self, now: Instant, name: &str) {
        let (Some(id), Some(tunnel)) = (self.roster.find(name), self.plan.tunnels.get(name).cloned()) else {
            return;
        };
        let former = self.roster.tunnel(id).cloned();
        let was_enabled = former.as_ref().is_some_and(|former| former.enabled);
        self.roster.replace(id, tunnel.clone());
        self.workers.reconfigure(&self.roster, id);
        self.reroute(now, former.as_ref(), &tunnel);
        match (was_enabled, tunnel.enabled) {
            (true, false) => self.suspend(now, id),
            (false, true) => self.resume(now, id, &tunnel),
            _ => {
                self.retries.reset(id);
                self.connect(now, id);
            }
        }
    }

    /// Other static routes lead into a tunnel that stays, or its selectors make some no more.
    fn reroute(&mut self, now: Instant, former: Option<&Tunnel>, tunnel: &Tunnel) {
        let (before, after) =
            (former.map(reverse::of_tunnel).unwrap_or_default(), reverse::of_tunnel(tunnel));
        for network in after.iter().filter(|network| !before.contains(network)) {
            self.make_way(now, tunnel.private, *network);
            self.route_anew(tunnel.private, *network);
        }
        for network in before.iter().filter(|network| !after.contains(network)) {
            self.route_anew(tunnel.private, *network);
        }
    }

    /// Our address of a tunnel is another one: what is up goes along where it can, else it is closed.
    fn readdress_tunnel(&mut self, now: Instant, name: &str) {
        self.change_tunnel(now, name);
        let (Some(connection), Some(tunnel)) = (self.roster.find(name), self.plan.tunnels.get(name)) else {
            return;
        };
        self.engine.handle_command(now, Command::Move { connection, local: tunnel.local });
    }

    fn add_tunnel(&mut self, now: Instant, name: &str) {
        let Some(tunnel) = self.plan.tunnels.get(name).cloned() else { return };
        let id = self.workers.number(&mut self.roster, tunnel.clone());
        self.status.forget(id);
        let ready = self
            .workers
            .house(&self.roster, id, now)
            .and_then(|()| self.workers.open_tunnel(&self.roster, id));
        if let Err(error) = ready {
            tracing::error!("{error}");
            self.journal.note(name, "tunnel-refused", error.to_string());
        }
        if let Keying::Manual(_) = tunnel.keying
            && let Err(error) = self.workers.install_manual_of(&self.roster, id, now)
        {
            tracing::error!(tunnel = name, "{error}");
        }
        for network in reverse::of_tunnel(&tunnel) {
            self.make_way(now, tunnel.private, network);
            self.route_anew(tunnel.private, network);
        }
        self.retries.reset(id);
        match self.halted(&tunnel) {
            None => self.connect(now, id),
            // It is opened when its instances return, and its group is up.
            Some(_) => self.workers.shut_tunnel(id),
        }
    }

    /// Gives the engine the connection of a tunnel as the roster has it.
    pub(super) fn connect(&mut self, now: Instant, id: ConnectionId) {
        let Some(tunnel) = self.roster.tunnel(id) else { return };
        let Keying::Ike(ike) = &tunnel.keying else { return };
        if self.halted(tunnel).is_some() {
            return;
        }
        match connection::connection(&self.plan, tunnel, ike, self.roster.negotiable(id)) {
            Ok(connection) => self.engine.set_connection(now, id, Some(connection)),
            Err(error) => tracing::error!("{error}"),
        }
    }

    /// A network leads into whichever tunnel has it, or into none.
    fn route_anew(&mut self, private: InstanceId, network: ipnet::IpNet) {
        let has =
            |tunnel: &Tunnel| tunnel.private == private && reverse::of_tunnel(tunnel).contains(&network);
        let owner = self.roster.tunnels().filter(|(_, tunnel)| has(tunnel)).last().map(|(id, _)| id);
        let (routing, tables) = self.workers.routing_mut();
        let route = TunnelRoute { destination: network, metric: 0, source: None };
        let request = match owner {
            Some(id) => {
                routing.add_tunnel(private, network, TunnelId(id.0), tables);
                Request::AddRoute(route)
            }
            None => {
                routing.remove_tunnel(private, network, tables);
                Request::RemoveRoute(route)
            }
        };
        self.ask_instance(private, request);
    }
}

fn report(difference: Difference, asked: &Plan, dry_run: bool, refused: Vec<String>) -> Applied {
    let Difference {
        moved,
        readdressed,
        untouched,
        needs_restart,
        gateways,
        groups,
        client_dbs,
        policy,
        ip_tunnels,
        mirrors,
        ..
    } = difference;
    let of = |kind: &'static str, names: Vec<String>| {
        names.into_iter().map(move |name| format!("{kind}.{name}")).collect::<Vec<_>>()
    };
    let all = |tunnels: Vec<String>, ip_tunnels, gateways, groups, client_dbs, policy| {
        let others = [of("gateway", gateways), of("tunnel-group", groups), of("client-db", client_dbs)];
        [tunnels, of("ip-tunnel", ip_tunnels), others.concat(), of("policy", policy)].concat()
    };
    let added =
        all(difference.added, ip_tunnels.added, gateways.added, groups.added, client_dbs.added, policy.added);
    let removed = all(
        difference.removed,
        ip_tunnels.removed,
        gateways.removed,
        groups.removed,
        client_dbs.removed,
        policy.removed,
    );
    let added = [added, of("mirror", mirrors.added)].concat();
    let removed = [removed, of("mirror", mirrors.removed)].concat();
    let mut changed = all(
        difference.changed,
        ip_tunnels.changed,
        gateways.changed,
        groups.changed,
        client_dbs.changed,
        policy.changed,
    );
    changed.extend(of("mirror", mirrors.changed));
    changed.extend(policy.reordered.then(|| "order of policy".to_owned()));
    let none = Vec::new;
    let replaced = all(difference.replaced, none(), gateways.replaced, none(), none(), none());
    let warnings = asked.warnings.iter().map(ToString::to_string).collect();
    Applied {
        dry_run,
        added,
        removed,
        changed,
        moved,
        replaced,
        readdressed,
        untouched,
        needs_restart,
        warnings,
        refused,
    }
}
