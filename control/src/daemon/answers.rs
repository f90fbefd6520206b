//! Operators' requests that need the loop: actions, questions about its tables, and a fresh view for those who read.

use std::net::IpAddr;

use ravelin_dataplane::io::Pool;
use ravelin_ike::config::{ChildId, ConnectionId};
use ravelin_ike::id::ChildSaId;
use ravelin_ike::input::Command;
use ravelin_ike::want::Role;
use ravelin_ike::wire::GatewayIdentity;

use super::core::Core;
use crate::api::request::{Part, Redirect, Rekey};
use crate::api::{ApiError, Reply, Request};
use crate::config::plan::{Keying, Tunnel};

impl<P: Pool> Core<P> {
    /// Carries out an action, or renews the view and says so.
    pub(super) fn answer(&mut self, request: &Request) -> Result<Reply, ApiError> {
        match request {
            Request::Initiate(part) => {
                let (connection, children) = self.children_of(&part.tunnel, part.child.as_deref())?;
                if self.roster.tunnel(connection).is_some_and(|tunnel| tunnel.origin.is_some()) {
                    let why = format!("{}: a gateway's tunnels are opened by their peers", part.tunnel);
                    return Err(ApiError::Refused { why });
                }
                self.may_begin(connection, &part.tunnel)?;
                let now = self.now();
                children.into_iter().for_each(|child| self.initiate(now, connection, child));
                Ok(done(format!("{part}: negotiation begun")))
            }
            Request::Terminate(part) => self.terminate(part),
            Request::Rekey(rekey) => self.rekey(rekey),
            Request::Lookup(lookup) => self.lookup(lookup),
            Request::Debug(debug) => self.debug(debug),
            Request::ShowLockout => Ok(self.lockouts()),
            Request::ClearLockout(which) => self.clear_lockouts(which),
            Request::ShowGateways(name) => self.gateway_rows(name),
            Request::ShowTunnelGroups(name) => self.group_rows(name),
            Request::ShowIpTunnels(name) => self.ip_tunnel_rows(name),
            Request::ShowClientDb(asked) => self.client_db_rows(asked),
            Request::MatchClient(asked) => self.match_client(asked),
            Request::ShowMirrors => Ok(self.mirror_rows()),
            Request::ShowPolicy => Ok(self.policy_rows()),
            Request::ShowCertificates => Ok(self.certificate_rows()),
            Request::ShowRoutes => Ok(Reply::Routes { routes: self.route_rows() }),
            Request::Redirect(redirect) => self.redirect(redirect),
            Request::TapBegin(begin) => self.lay_tap(begin),
            #[cfg(feature = "stall")]
            Request::StandStill(still) => {
                let time = std::time::Duration::from_millis(still.milliseconds);
                self.workers.have_stand_still(ravelin_dataplane::sa::shard::WorkerId(still.worker), time);
                Ok(done(format!("worker {}: told to stand still", still.worker)))
            }
            Request::PkiZeroize(which) => {
                self.helpers.zeroize(&self.plan, which.name.as_deref());
                Ok(done(String::new()))
            }
            Request::Explain(name) => self.explain(name),
            Request::ShowTunnels(page) => Ok(self.tunnel_rows(page.unwrap_or_default())),
            Request::ShowSa(page) => Ok(self.sa_rows(page.unwrap_or_default())),
            _ => Ok(self.renewed()),
        }
    }

    fn renewed(&mut self) -> Reply {
        self.renew_view();
        done(String::new())
    }

    fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now(), command);
    }

    fn terminate(&mut self, part: &Part) -> Result<Reply, ApiError> {
        if part.child.is_none() {
            let connection = self.ike_tunnel(&part.tunnel)?;
            self.moving.forget(connection);
            self.command(Command::Terminate { connection });
            return Ok(done(format!("{part}: closing")));
        }
        for child in self.live_children(part, "close")? {
            self.command(Command::TerminateChild { child });
        }
        Ok(done(format!("{part}: closing")))
    }

    fn rekey(&mut self, rekey: &Rekey) -> Result<Reply, ApiError> {
        let Rekey { tunnel, child, ike, reauthenticate } = rekey.clone();
        if (ike || reauthenticate) && child.is_some() {
            let why = "the IKE SA is that of all children: leave out the child, or the IKE SA".into();
            return Err(ApiError::Refused { why });
        }
        let part = Part { tunnel, child };
        let children = self.live_children(&part, "rekey")?;
        self.may_begin(self.ike_tunnel(&part.tunnel)?, &part.tunnel)?;
        if reauthenticate {
            return self.reauthenticate(&part);
        }
        if ike {
            let connection = self.ike_tunnel(&part.tunnel)?;
            let up = self.status.tunnel(connection).and_then(|status| status.ike().map(|ike| ike.id));
            up.into_iter().for_each(|ike| self.command(Command::RekeyIke { ike }));
            return Ok(done(format!("{part}: rekeying the IKE SA")));
        }
        for child in &children {
            self.command(Command::RekeyChild { child: *child });
        }
        Ok(done(match part.child {
            Some(_) => format!("{part}: rekeying"),
            None => format!("{part}: rekeying {} CHILD SAs", children.len()),
        }))
    }

    /// Who called proves itself anew; the called end cannot begin that (RFC 4478).
    fn reauthenticate(&mut self, part: &Part) -> Result<Reply, ApiError> {
        let connection = self.ike_tunnel(&part.tunnel)?;
        let ike =
            self.status.tunnel(connection).and_then(|status| status.ike()).map(|ike| (ike.id, ike.role));
        let Some((ike, _)) = ike.filter(|(_, role)| *role == Role::Initiator) else {
            let why = format!("{part}: the peer called, and only who called can begin anew");
            return Err(ApiError::Refused { why });
        };
        self.command(Command::Reauthenticate { ike });
        Ok(done(format!("{part}: calling anew")))
    }

    /// Refuses to begin what is the peer's to begin (TG-08).
    fn may_begin(&self, id: ConnectionId, name: &str) -> Result<(), ApiError> {
        let group = self.roster.tunnel(id).map(|tunnel| &tunnel.group);
        match group.filter(|group| self.plan.only_responds(group)) {
            None => Ok(()),
            Some(group) => Err(ApiError::Refused {
                why: format!("{name}: tunnel group {group} is responder-only: its peers call and rekey"),
            }),
        }
    }

    /// Sends callers elsewhere, those that have said that they can be (RFC 5685 §5): of a tunnel, or of all tunnels of a
    /// gateway.
    fn redirect(&mut self, Redirect { tunnel: name, to }: &Redirect) -> Result<Reply, ApiError> {
        let (connections, local) = self.redirected(name)?;
        let parsed: Result<GatewayIdentity, _> = to.parse();
        let to = parsed.map_err(|why| ApiError::Refused { why: format!("{to} is {why}") })?;
        if let GatewayIdentity::Address(to) = to
            && (local == to || local.is_ipv4() != to.is_ipv4())
        {
            let why = format!("{to} is no other gateway of the same family as {name}'s local address");
            return Err(ApiError::Refused { why });
        }
        let of = |id: &ConnectionId| {
            let status = self.status.tunnel(*id);
            status.map_or(0, |status| status.ikes.iter().filter(|ike| ike.redirectable).count())
        };
        let callers: usize = connections.iter().map(of).sum();
        if callers == 0 {
            let why = format!(
                "{name} has no caller that can be redirected: none is up, we called it, or it did not say so (REDIRECT_SUPPORTED)"
            );
            return Err(ApiError::Refused { why });
        }
        connections
            .into_iter()
            .for_each(|connection| self.command(Command::Redirect { connection, to: to.clone() }));
        Ok(done(format!("{name}: sent to {to}: {callers}")))
    }

    /// The connections that are meant, and their address of ours.
    fn redirected(&self, name: &str) -> Result<(Vec<ConnectionId>, IpAddr), ApiError> {
        if let (None, Some(gateway)) = (self.roster.find(name), self.plan.gateways.get(name)) {
            return Ok((self.gateways.peers.of(name).collect(), gateway.local));
        }
        let connection = self.ike_tunnel(name)?;
        let local = self.roster.tunnel(connection).map(|tunnel| tunnel.local);
        let local =
            local.ok_or_else(|| ApiError::NotFound { name: name.to_owned(), known: self.roster.names() })?;
        Ok((vec![connection], local))
    }

    /// The CHILD SAs in use of a tunnel that is up, or of the one child that is meant, which then must be up.
    fn live_children(&self, part: &Part, to: &str) -> Result<Vec<ChildSaId>, ApiError> {
        let (connection, children) = self.children_of(&part.tunnel, part.child.as_deref())?;
        let status = self.status.tunnel(connection).filter(|status| status.ike().is_some());
        let live = |child: &ChildId| Some(status?.children.get(child)?.up.child);
        let own = |child: &ChildId| self.own_live(connection, *child);
        let live: Vec<ChildSaId> =
            children.iter().flat_map(|child| live(child).into_iter().chain(own(child))).collect();
        if status.is_none() || (live.is_empty() && part.child.is_some()) {
            return Err(ApiError::Refused { why: format!("{part} is not up: there is nothing to {to}") });
        }
        Ok(live)
    }

    /// The CHILD SAs in use of single workers beside a child.
    fn own_live(&self, connection: ConnectionId, child: ChildId) -> Vec<ChildSaId> {
        let sas = self.roster.beside(connection, child).flat_map(|own| self.workers.sas().of(own));
        sas.filter(|sa| !sa.draining).map(|sa| sa.sa).collect()
    }

    /// A tunnel that IKE keeps, with all its children or the one that is meant.
    fn children_of(
        &self,
        tunnel: &str,
        child: Option<&str>,
    ) -> Result<(ConnectionId, Vec<ChildId>), ApiError> {
        let connection = self.ike_tunnel(tunnel)?;
        let all = || self.roster.children(connection);
        let meant = all().filter(|(_, known)| child.is_none_or(|child| known.name == child));
        let meant: Vec<ChildId> = meant.map(|(id, _)| id).collect();
        match (child, meant.is_empty()) {
            (Some(name), true) => Err(ApiError::NoChild {
                tunnel: tunnel.to_owned(),
                name: name.to_owned(),
                known: all().map(|(_, child)| child.name.as_str()).collect::<Vec<_>>().join(", "),
            }),
            _ => Ok((connection, meant)),
        }
    }

    /// A tunnel by name that IKE keeps.
    fn ike_tunnel(&self, name: &str) -> Result<ConnectionId, ApiError> {
        let not_found = || ApiError::NotFound { name: name.to_owned(), known: self.roster.names() };
        let connection = self.roster.find(name).ok_or_else(not_found)?;
        match self.roster.tunnel(connection) {
            Some(tunnel @ Tunnel { keying: Keying::Ike(_), .. }) => {
                self.in_service(tunnel).map(|()| connection)
            }
            _ => Err(ApiError::Refused {
                why: format!("{name} has manual keys: it is always up and never rekeyed"),
            }),
        }
    }
}

fn done(message: String) -> Reply {
    Reply::Done { message }
}
