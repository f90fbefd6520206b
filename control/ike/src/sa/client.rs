//! Which of a gateway's clients a caller is (TS-13, TS-14). Asked when it has said who it is and before its proof is
//! looked at: from here on the connection has the key of that client, and no other's is ever tried.

use super::common::Common;
use super::handshake::Handshake;
use crate::config::{ClientMatch, Connection, Identity};
use crate::error::Failure;
use crate::wire::AuthenticationMethod;
use std::net::IpAddr;
use std::sync::Arc;

/// The connection of whoever calls from `address` and says that it is `identity`, and which client that is.
///
/// # Errors
/// When it is none, and the gateway lets in nobody else.
pub(crate) fn meet(
    config: &Arc<Connection>,
    address: IpAddr,
    identity: &Identity,
) -> Result<(Arc<Connection>, ClientMatch), Failure> {
    let Some(clients) = &config.clients else { return Ok((config.clone(), ClientMatch::NotAsked)) };
    match clients.find(address, identity) {
        Ok(client) => Ok((Arc::new(config.of_client(client)), ClientMatch::Client(client.name.clone()))),
        Err(nobody) if clients.falls_back() => Ok((config.clone(), ClientMatch::Nobody(Box::new(nobody)))),
        Err(nobody) => Err(Failure::NoClient(Box::new(nobody))),
    }
}

/// Meets the caller of IKE_AUTH, which proves itself by this method, and goes on with the connection that it has by that.
pub(crate) fn take_up(
    handshake: &mut Handshake,
    common: &mut Common,
    identity: &Identity,
    method: AuthenticationMethod,
) -> Result<(), Failure> {
    let (config, client) = meet(&common.config, common.path.remote.ip(), identity)?;
    // It may have come from elsewhere since it showed its ticket, and be another client there, with another key.
    let resumed = handshake.resumed.as_ref();
    let still_resumes = resumed.is_none_or(|session| session.suite_for_caller(&config).is_some());
    if !still_resumes {
        return Err(Failure::IdentityRefused(identity.to_string()));
    }
    match &client {
        ClientMatch::NotAsked => {}
        ClientMatch::Client(name) => common.attempt.offered += &format!("; it is client {name}"),
        ClientMatch::Nobody(nobody) => common.attempt.offered += &format!("; {nobody}"),
    }
    // What it proves itself by is what we do, where either would do.
    let by_key = method == AuthenticationMethod::SharedKey;
    let narrowed = config.of_proof(by_key).filter(|_| handshake.resumed.is_none());
    (common.config, handshake.client) = (narrowed.map_or(config, Arc::new), client);
    Ok(())
}
