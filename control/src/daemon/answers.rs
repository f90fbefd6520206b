//! Operators' requests that need the loop: actions, and a fresh view for those who read.

use ravelin_dataplane::io::Pool;
use ravelin_ike::config::ConnectionId;
use ravelin_ike::input::Command;

use super::core::Core;
use crate::api::{ApiError, Reply, Request};
use crate::config::plan::{Keying, Tunnel};

impl<P: Pool> Core<P> {
    /// Carries out an action, or renews the view and says so.
    pub(super) fn answer(&mut self, request: &Request) -> Result<Reply, ApiError> {
        match request {
            Request::Initiate(name) => {
                let connection = self.ike_tunnel(&name.tunnel)?;
                self.status.connecting(connection);
                let children: Vec<_> = self.roster.children(connection).map(|(id, _)| id).collect();
                for child in children {
                    self.command(Command::Initiate { connection, child: Some(child) });
                }
                Ok(done(format!("{}: negotiation begun", name.tunnel)))
            }
            Request::Terminate(name) => {
                let connection = self.ike_tunnel(&name.tunnel)?;
                self.moving.forget(connection);
                self.command(Command::Terminate { connection });
                Ok(done(format!("{}: closing", name.tunnel)))
            }
            Request::Rekey(rekey) => {
                let connection = self.ike_tunnel(&rekey.tunnel)?;
                self.rekey(connection, &rekey.tunnel, rekey.ike)
            }
            #[cfg(feature = "stall")]
            Request::StandStill(still) => {
                let time = std::time::Duration::from_millis(still.milliseconds);
                self.workers.have_stand_still(ravelin_dataplane::sa::shard::WorkerId(still.worker), time);
                Ok(done(format!("worker {}: told to stand still", still.worker)))
            }
            _ => {
                self.renew_view();
                Ok(done(String::new()))
            }
        }
    }

    fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now(), command);
    }

    fn rekey(&mut self, connection: ConnectionId, name: &str, ike: bool) -> Result<Reply, ApiError> {
        let refused = || ApiError::Refused { why: format!("{name} is not up: there is nothing to rekey") };
        let status = self.status.tunnel(connection).ok_or_else(refused)?;
        let sa = status.ike().ok_or_else(refused)?.id;
        let children: Vec<_> = status.children.values().map(|(child, _)| *child).collect();
        if ike {
            self.command(Command::RekeyIke { ike: sa });
            return Ok(done(format!("{name}: rekeying the IKE SA")));
        }
        for child in &children {
            self.command(Command::RekeyChild { child: *child });
        }
        Ok(done(format!("{name}: rekeying {} children", children.len())))
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
