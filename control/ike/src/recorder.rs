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
    /// IKE_INTERMEDIATE: additional key exchanges.
    Intermediate,
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

    /// Whether `other` is the same refusal of the same caller again.
    fn is_repeated_by(&self, other: &Attempt) -> bool {
        let refused = |attempt: &Attempt| attempt.role == Role::Responder && attempt.stage == Stage::Init;
        refused(self) && refused(other) && self.remote == other.remote && self.failure == other.failure
    }
}

/// The last attempts of every connection. Owned by the engine.
#[derive(Debug, Default)]
pub struct Recorder {
    known: BTreeMap<ConnectionId, VecDeque<Attempt>>,
    strangers: VecDeque<Attempt>,
}

impl Recorder {
    /// Keeps a finished attempt and forgets the oldest beyond the limit. One that only repeats the last, as when a
    /// refused initiator sends its request again, takes its place; false says that it did.
    pub fn keep(&mut self, connection: Option<ConnectionId>, attempt: Attempt) -> bool {
        let (kept, limit) = match connection {
            Some(id) => (self.known.entry(id).or_default(), KEPT),
            None => (&mut self.strangers, KEPT_STRANGERS),
        };
        if let Some(last) = kept.back_mut().filter(|last| last.is_repeated_by(&attempt)) {
            last.ended = attempt.ended;
            return false;
        }
        if kept.len() == limit {
            kept.pop_front();
        }
        kept.push_back(attempt);
        true
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

    #[test]
    fn a_repeated_refusal_is_one_attempt() {
        let address: SocketAddr = "192.0.2.1:500".parse().unwrap();
        let mut recorder = Recorder::default();
        let mut attempt = Attempt::new(Role::Responder, address, address, Instant(1));
        attempt.failure = Some(Failure::NoConnection);
        assert!(recorder.keep(None, attempt.clone()));
        assert!(!recorder.keep(None, attempt.clone()));
        attempt.remote.set_port(501);
        assert!(recorder.keep(None, attempt));
        assert_eq!(recorder.strangers().count(), 2);
    }
}
