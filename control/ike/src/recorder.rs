//! The flight recorder: the last attempts of each connection, kept when no SA exists, for `explain`.
//!
//! One attempt is one try to set up an IKE SA, in either role. The engine writes, readers get copies.

use crate::config::ConnectionId;
use crate::error::Failure;
use crate::time::Instant;
use crate::want::Role;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// Attempts kept per connection: enough to see a pattern, little enough to read.
pub const KEPT: usize = 8;

/// Attempts kept of strangers for whom no connection was found. They are the ones who can make many.
pub const KEPT_STRANGERS: usize = 32;

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// IKE_SA_INIT: algorithms and key exchange.
    Init,
    /// IKE_AUTH: the request or reply is awaited.
    Auth,
    /// The peer's certificate, signature or key is being checked, or our own signature made.
    Proof,
    /// The first CHILD_SA is being negotiated and installed.
    Child,
    /// The IKE SA is up.
    Up,
}

/// One attempt to set up an IKE SA.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who began.
    pub role: Role,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
    /// When it began.
    pub began: Instant,
    /// When it came up or failed; `None` while under way.
    pub ended: Option<Instant>,
    /// How far it came.
    pub stage: Stage,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The error notification the peer sent last, by number (RFC 7296 §3.10.1).
    pub peer_notify: Option<u16>,
    /// What was offered, in words, where negotiation failed.
    pub offered: String,
    /// What was configured, in words, where negotiation failed.
    pub configured: String,
    /// In what each proposal offered misses the nearest one configured, where that is why it failed.
    pub difference: String,
}

impl Attempt {
    /// A fresh attempt.
    pub fn new(role: Role, local: SocketAddr, remote: SocketAddr, began: Instant) -> Attempt {
        Attempt {
            role,
            local,
            remote,
            began,
            ended: None,
            stage: Stage::Init,
            failure: None,
            peer_notify: None,
            offered: String::new(),
            configured: String::new(),
            difference: String::new(),
        }
    }
}

/// The last attempts of every connection. Owned by the engine.
#[derive(Debug, Default)]
pub struct Recorder {
    known: BTreeMap<ConnectionId, VecDeque<Attempt>>,
    strangers: VecDeque<Attempt>,
}

impl Recorder {
    /// Keeps a finished attempt and forgets the oldest beyond the limit.
    pub fn keep(&mut self, connection: Option<ConnectionId>, attempt: Attempt) {
        let (kept, limit) = match connection {
            Some(id) => (self.known.entry(id).or_default(), KEPT),
            None => (&mut self.strangers, KEPT_STRANGERS),
        };
        if kept.len() == limit {
            kept.pop_front();
        }
        kept.push_back(attempt);
    }

    /// Forgets a connection that was removed from the configuration.
    pub fn forget(&mut self, connection: ConnectionId) {
        self.known.remove(&connection);
    }

    /// The attempts of a connection, oldest first.
    pub fn of(&self, connection: ConnectionId) -> impl Iterator<Item = &Attempt> {
        self.known.get(&connection).into_iter().flatten()
    }

    /// The attempts of strangers, oldest first.
    pub fn strangers(&self) -> impl Iterator<Item = &Attempt> {
        self.strangers.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_attempt_is_forgotten_first() {
        let address: SocketAddr = "192.0.2.1:500".parse().unwrap();
        let mut recorder = Recorder::default();
        for began in 0..20 {
            recorder
                .keep(Some(ConnectionId(1)), Attempt::new(Role::Initiator, address, address, Instant(began)));
        }
        let began: Vec<u64> = recorder.of(ConnectionId(1)).map(|attempt| attempt.began.0).collect();
        assert_eq!(began, (12..20).collect::<Vec<_>>());
        assert_eq!(recorder.of(ConnectionId(2)).count(), 0);
    }
}
