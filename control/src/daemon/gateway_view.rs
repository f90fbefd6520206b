//! What operators read of gateways and of routes. Asked of the loop, which has it: there may be many routes, and few ask.

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::policy::route::TunnelId;
use ravelin_ike::config::ConnectionId;

use super::core::Core;
use super::flags::Ground;
use crate::api::reply::{Gateway, GatewayTunnel, Route, Tunnel};
use crate::api::request::GatewayName;
use crate::api::{ApiError, Reply};
use crate::config::plan::{self, InstanceId, Unique};

impl<P: Pool> Core<P> {
    /// All gateways, or the one that is named with its tunnels.
    pub(super) fn gateway_rows(&self, name: &GatewayName) -> Result<Reply, ApiError> {
        let named = name.gateway.as_ref();
        let mut gateways =
            self.plan.gateways.values().filter(|one| named.is_none_or(|name| *name == one.name));
        let gateways: Vec<Gateway> =
            gateways.by_ref().map(|one| self.gateway_row(one, named.is_some())).collect();
        match named {
            Some(name) if gateways.is_empty() => {
                let known = self.plan.gateways.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                Err(ApiError::NoGateway { name: name.clone(), known })
            }
            _ => Ok(Reply::Gateways {
                gateways,
                tunnel_limit: self.tunnel_limit(),
                tunnels: self.roster.len(),
            }),
        }
    }

    pub(super) fn gateway_row(&self, gateway: &plan::Gateway, with_tunnels: bool) -> Gateway {
        let peers: Vec<ConnectionId> = self.gateways.peers.of(&gateway.name).collect();
        let plan::Gateway { enabled, public, private, group, local, .. } = gateway;
        let ground = Ground { enabled: *enabled, public: *public, private: *private, group, local: *local };
        let flags = self.ground_flags(&ground).into_iter();
        let (flags, reasons) = flags.map(|(flag, seen)| (flag.to_owned(), seen)).unzip();
        let callers = self.roster.find_gateway(&gateway.name);
        let status = callers.and_then(|id| self.status.tunnel(id));
        let unique = Unique::ALL.iter().find(|(_, unique)| *unique == gateway.unique);
        Gateway {
            name: gateway.name.clone(),
            open: self.is_open(gateway),
            flags,
            reasons,
            local: gateway.local.to_string(),
            public_instance: self.service.name(gateway.public).to_owned(),
            private_instance: self.service.name(gateway.private).to_owned(),
            template: gateway.template.name.clone(),
            ts_list: gateway.traffic.name.clone(),
            client_db: gateway.clients.as_ref().map(|clients| clients.name.clone()).unwrap_or_default(),
            unique: unique.map_or("", |(name, _)| *name).to_owned(),
            count: peers.len(),
            failed_attempts: status.map_or(0, |status| status.failed_attempts),
            messages: callers.map(|id| self.messages(id)).unwrap_or_default(),
            proofs: status.map(|status| status.proofs).unwrap_or_default(),
            tunnels: match with_tunnels {
                true => peers.into_iter().filter_map(|id| self.gateway_tunnel(id)).collect(),
                false => Vec::new(),
            },
        }
    }

    fn gateway_tunnel(&self, id: ConnectionId) -> Option<GatewayTunnel> {
        let tunnel = self.roster.tunnel(id)?;
        let client = tunnel.origin.as_ref().and_then(|origin| origin.client.clone()).unwrap_or_default();
        let private_instance = self.service.name(tunnel.private).to_owned();
        let Tunnel { name, state, peer_identity, remote, since_seconds, children, .. } =
            self.tunnel(id, tunnel);
        let mut homes = self.roster.children(id).filter_map(|(child, _)| self.workers.home(child.0));
        Some(GatewayTunnel {
            name,
            client,
            private_instance,
            state,
            peer_identity,
            remote,
            worker: homes.next().map(|home| home.worker.index()),
            routes: self.gateways.claims.routes(id).iter().map(ToString::to_string).collect(),
            children: children.len(),
            in_packets: children.iter().map(|child| child.in_packets).sum(),
            out_packets: children.iter().map(|child| child.out_packets).sum(),
            since_seconds,
        })
    }

    /// Routes into tunnels and static ones, by instance and destination.
    pub(super) fn route_rows(&self) -> Vec<Route> {
        let (routing, _) = self.workers.routing();
        let route = |instance: InstanceId, destination: ipnet::IpNet| Route {
            instance: self.service.name(instance).to_owned(),
            destination: destination.to_string(),
            ..Route::default()
        };
        let tunnels = routing.tunnels().map(|(instance, destination, TunnelId(number))| {
            let id = ConnectionId(number);
            let origin = self.roster.tunnel(id).and_then(|tunnel| tunnel.origin.as_ref());
            Route {
                kind: if origin.is_some() { "reverse" } else { "tunnel" }.into(),
                tunnel: self.roster.name(id).to_owned(),
                metric: origin.map_or(0, |origin| origin.reverse.metric),
                preference: origin.map_or(0, |origin| origin.reverse.preference),
                ..route(instance, destination)
            }
        });
        let statics = routing.statics().map(|(instance, destination, via)| Route {
            kind: "static".into(),
            via: via.to_string(),
            ..route(instance, destination)
        });
        let ip_tunnels = routing.ip_tunnels().map(|(instance, destination, id)| Route {
            kind: "ip-tunnel".into(),
            tunnel: self.workers.ip_tunnel_name(id).unwrap_or_default().to_owned(),
            ..route(instance, destination)
        });
        tunnels.chain(ip_tunnels).chain(statics).collect()
    }
}
