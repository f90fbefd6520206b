//! Multiple authentication exchanges (RFC 4739): one side, or both, proves a second identity, by a key, in a round of
//! IKE_AUTH messages that follows the first. In either role.
//!
//! Who has a second proof says so beside the first (ANOTHER_AUTH_FOLLOWS), and each side knows whether the other is to
//! have one: less is refused, and so is more, which nobody could judge. The first proof alone brings nothing up: what it
//! comes to is [`Halfway`], and of that the second one makes the [`Proven`] that an IKE SA needs. SA and traffic selectors
//! are answered at the end. A session that is resumed would rest on the first proof alone: there is none
//! ([`super::session::may_resume`]).

use super::common::Common;
use super::handshake::Handshake;
use super::parts::Parts;
use super::proof::{self, Proven};
use crate::config::{Connection, SecondAuth};
use crate::error::{Failure, SecondProof};
use crate::event::SecondIdentities;
use crate::want::Role;
use crate::wire::{Notify, NotifyType, Payload};

/// A peer whose first proof is done, while the second round goes on.
pub(crate) struct Halfway(Proven);

/// What has become of the first proof.
pub(crate) enum Stand {
    /// Nobody has a second one.
    Proven(Proven),
    /// A second round follows.
    Halfway(Halfway),
}

fn notify(kind: NotifyType) -> Payload {
    Payload::Notify(Notify::new(kind, Vec::new()))
}

/// Called, that we take more than one proof: said in IKE_SA_INIT, where one of the connections wants that.
pub(crate) fn supported<'a>(mut connections: impl Iterator<Item = &'a Connection>) -> Option<Payload> {
    let is_wanted = connections.any(|config| config.second_auth.is_some());
    is_wanted.then(|| notify(NotifyType::MultipleAuthSupported))
}

/// As caller, whether the called side can do what is configured.
pub(crate) fn demand(handshake: &Handshake, config: &Connection) -> Result<(), Failure> {
    match config.second_auth.is_some() && !handshake.multiple {
        true => Err(SecondProof::Unsupported.into()),
        false => Ok(()),
    }
}

/// As caller, what goes beside our first proof.
pub(crate) fn beside_first(config: &Connection) -> Vec<Payload> {
    let Some(second) = &config.second_auth else { return Vec::new() };
    let mut payloads = vec![notify(NotifyType::MultipleAuthSupported)];
    payloads.extend(announced(second));
    payloads
}

/// Called, what goes beside our first proof.
pub(crate) fn beside_first_answer(config: &Connection) -> Option<Payload> {
    config.second_auth.as_deref().and_then(announced)
}

fn announced(second: &SecondAuth) -> Option<Payload> {
    second.local.as_ref().map(|_| notify(NotifyType::AnotherAuthFollows))
}

/// Whether the peer announces as many proofs beside its first one as it is to have.
pub(crate) fn judge_announced(config: &Connection, parts: &Parts) -> Result<(), Failure> {
    let wanted = config.second_auth.as_ref().is_some_and(|second| second.remote.is_some());
    match (wanted, parts.has(NotifyType::AnotherAuthFollows)) {
        (true, false) => Err(SecondProof::Missing.into()),
        (false, true) => Err(SecondProof::Unknown.into()),
        _ => Ok(()),
    }
}

/// The peer's first proof is done: whether a second round follows.
pub(crate) fn after_first(config: &Connection, proven: Proven) -> Stand {
    match config.second_auth {
        Some(_) => Stand::Halfway(Halfway(proven)),
        None => Stand::Proven(proven),
    }
}

/// Our second proof, if we have one: ID and AUTH.
pub(crate) fn own(handshake: &Handshake, config: &Connection) -> Vec<Payload> {
    let second = config.second_auth.as_ref();
    let own = second.and_then(|second| Some((second.local.as_ref()?, &second.psk)));
    own.map(|(identity, psk)| proof::by_key(handshake, identity, psk)).unwrap_or_default()
}

impl Halfway {
    /// The second round is here: with the peer's second proof, if it is to have one, it is proven.
    pub(crate) fn complete(
        self,
        handshake: &Handshake,
        config: &Connection,
        parts: &mut Parts,
    ) -> Result<Proven, Failure> {
        let identification = match handshake.sa.role {
            Role::Initiator => parts.responder_id.take(),
            Role::Responder => parts.initiator_id.take(),
        };
        let auth = parts.auth.take();
        let second = config.second_auth.as_ref();
        let wanted = second.and_then(|second| Some((second.remote.as_ref()?, second.psk.as_slice())));
        if parts.has(NotifyType::AnotherAuthFollows) || (wanted.is_none() && auth.is_some()) {
            return Err(SecondProof::Unknown.into());
        }
        match (wanted, identification, auth) {
            (None, ..) => Ok(self.0),
            (Some(wanted), Some(identification), Some(auth)) => {
                proof::judge_key(handshake, self.0, wanted, (&identification, &auth))
            }
            _ => Err(SecondProof::Withheld.into()),
        }
    }
}

/// Who both sides have proved to be in the second round.
pub(crate) fn identities(common: &Common, proven: &Proven) -> SecondIdentities {
    let local = common.config.second_auth.as_ref().and_then(|second| second.local.clone());
    SecondIdentities { local, remote: proven.second().cloned() }
}
