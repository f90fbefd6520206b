//! From a plan to what the workers and the engine begin with: policy, interfaces, routes, connections. Needs
//! no device: only their link addresses.

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::net::eth::Mac;
use ravelin_dataplane::policy::route::{Interface, TunnelId};
use ravelin_dataplane::policy::table::Tables;
use ravelin_ike::config::{EngineConfig, Retransmission};
use ravelin_ike::crypto::{CrashSecret, TicketKeys};
use ravelin_ike::engine::Engine;
use ravelin_ike::time::Instant;

use crate::config::plan::{Keying, Plan};
use crate::routing::Outcome;
use crate::tunnel::connection::{self, Unusable};
use crate::tunnel::roster::Roster;
use crate::tunnel::{askers, reverse, waits};
use crate::workers::Workers;

/// Tables of the start, without tunnels and entries: everything is discarded.
pub fn tables(plan: &Plan) -> Tables {
    let mut tables = Tables::new();
    for instance in 0..plan.instances.len() {
        // It discards everything.
        tables.add_instance(instance as u16);
    }
    tables
}

/// Interfaces, by the link addresses of their ports; static routes and the tunnels' routes; policy entries.
pub fn routes<P: Pool>(workers: &mut Workers<P>, plan: &Plan, roster: &Roster, macs: &[[u8; 6]]) {
    workers.set_ends(waits::waits(plan), askers::askers(plan));
    let (routing, tables) = workers.routing_mut();
    for interface in &plan.interfaces {
        let Some(mac) = macs.get(interface.port) else { continue };
        let place = Interface { port: interface.port as u16, vlan: interface.vlan.unwrap_or(0) };
        routing.add_interface(interface.instance, &interface.name, place, Mac(*mac), interface.mtu);
    }
    for route in &plan.routes {
        routing.add_static(route.instance, route.destination, route.via, tables);
    }
    for (id, tunnel) in roster.tunnels() {
        for network in reverse::of_tunnel(tunnel) {
            routing.add_tunnel(tunnel.private, network, TunnelId(id.0), tables);
        }
    }
    workers.set_policy(&plan.policy, roster);
    // Before the kernel has said which addresses there are, next hops come into use by what it says.
    workers.settle_ip_tunnels(plan);
    workers.publish(&Outcome { tables: true, snapshot: true, ..Outcome::default() });
}

/// What the engine begins with that nobody may know.
pub struct Secrets {
    /// Fresh randomness.
    pub seed: [u8; 32],
    /// Without it the engine makes no crash tokens.
    pub crash: Option<CrashSecret>,
    /// Without them it gives and takes no tickets.
    pub tickets: Option<TicketKeys>,
}

/// The engine with its connections.
///
/// # Errors
/// When a tunnel cannot be put into its terms.
pub fn engine(plan: &Plan, roster: &Roster, secrets: Secrets) -> Result<Engine, Unusable> {
    let retransmission = Retransmission { first: plan.retransmit, tries: plan.retransmit_tries };
    let Secrets { seed, crash: crash_secret, tickets: ticket_keys } = secrets;
    let config = EngineConfig {
        retransmission,
        half_open: plan.half_open,
        reassembly_timeout: plan.reassembly_timeout,
        crash_secret,
        ticket_keys,
        ..EngineConfig::default()
    };
    let mut engine = Engine::new(config, seed);
    for (id, tunnel) in roster.tunnels() {
        let Keying::Ike(ike) = &tunnel.keying else { continue };
        if !tunnel.enabled || !is_enabled(plan, &tunnel.group) {
            continue;
        }
        let connection = connection::connection(plan, tunnel, ike, roster.negotiable(id))?;
        engine.set_connection(Instant(0), id, Some(connection));
    }
    for (id, name) in roster.gateways() {
        let gateway = plan.gateways.get(name);
        let Some(gateway) = gateway.filter(|it| it.enabled && is_enabled(plan, &it.group)) else { continue };
        engine.set_connection(Instant(0), id, Some(connection::of_gateway(plan, gateway)?));
    }
    Ok(engine)
}

fn is_enabled(plan: &Plan, group: &str) -> bool {
    plan.groups.get(group).is_some_and(|group| group.enabled)
}
