//! The flight recorder: the last attempts of each connection, kept when no SA exists, for `explain`.
//!
//! One attempt is one try to set up an IKE SA, in either role, or one CHILD_SA that did not come to be on an IKE SA
//! that is up. The engine writes, readers get copies.
//!
//! What is kept is bounded in number and in length, because strangers have a hand in it: eight attempts of a
//! connection; of a gateway, and without any connection, eight of each of the last addresses; and of every text its
//! beginning.

use crate::config::{ChildId, ConnectionId};
use crate::error::Failure;
use crate::event::Proof;
use crate::time::Instant;
use crate::want::Role;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Attempts kept per connection: enough to see a pattern, little enough to read.
pub const KEPT: usize = 8;

/// Addresses whose attempts are kept, [`KEPT`] of each: of strangers, for whom no connection was found, and of the
/// callers of each gateway that were not let in. They are the ones who can make many.
pub const KEPT_ADDRESSES: usize = 32;

/// Octets kept of a text: what both sides offer can be long, and its beginning shows the gap.
pub const KEPT_TEXT: usize = 2048;

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

/// One attempt to set up an IKE SA, or a CHILD_SA.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who began.
    pub role: Role,
    /// The child that an IKE SA which is up was to have; `None` of an IKE SA, or where whose it was to be is unknown.
    pub child: Option<ChildId>,
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
    /// By what the peer has tried to prove itself, where that did not hold, whatever was wrong with it.
    pub proof: Option<Proof>,
    /// How often it was repeated since, to the same end.
    pub repeats: u32,
    /// The error notification the peer sent last, by number (RFC 7296 §3.10.1).
    pub peer_notify: Option<u16>,
    /// What the peer offered, in words, as far as it said.
    pub offered: String,
    /// What is configured here, and offered if we began, in words, where negotiation failed.
    pub configured: String,
    /// In what each proposal, selector or identity offered misses the nearest one configured, where that is why it
    /// failed.
    pub difference: String,
}

impl Attempt {
    /// A fresh attempt.
    pub fn new(role: Role, local: SocketAddr, remote: SocketAddr, began: Instant) -> Attempt {
        Attempt {
            role,
            child: None,
            local,
            remote,
            began,
            ended: None,
            stage: Stage::Init,
            failure: None,
            proof: None,
            repeats: 0,
            peer_notify: None,
            offered: String::new(),
            configured: String::new(),
            difference: String::new(),
        }
    }

    /// Whether `other` is the same refusal of the same caller again, or of the same child.
    fn is_repeated_by(&self, other: &Attempt) -> bool {
        let refused = |attempt: &Attempt| attempt.role == Role::Responder && attempt.stage == Stage::Init;
        let of_child = |attempt: &Attempt| attempt.stage == Stage::Child && attempt.child.is_some();
        let same = (self.role, self.stage, self.child) == (other.role, other.stage, other.child);
        same && (refused(self) || of_child(self))
            && self.remote == other.remote
            && self.failure == other.failure
    }

    /// Cuts its texts to what is kept of them.
    fn cut(mut self) -> Attempt {
        for text in [&mut self.offered, &mut self.configured, &mut self.difference] {
            if text.len() > KEPT_TEXT {
                text.truncate(text.floor_char_boundary(KEPT_TEXT - ELLIPSIS.len()));
                text.push_str(ELLIPSIS);
            }
            text.shrink_to_fit();
        }
        self
    }
}

/// Ends a text that was cut.
const ELLIPSIS: &str = "...";

/// The last attempts of every connection. Owned by the engine.
#[derive(Debug, Default)]
pub struct Recorder {
    known: BTreeMap<ConnectionId, VecDeque<Attempt>>,
    callers: BTreeMap<ConnectionId, Addresses<IpAddr>>,
    /// By instance and address.
    strangers: Addresses<(u16, IpAddr)>,
}

/// Attempts by address, the one heard of last at the end.
#[derive(Debug)]
struct Addresses<A>(VecDeque<(A, VecDeque<Attempt>)>);

impl<A> Default for Addresses<A> {
    fn default() -> Addresses<A> {
        Addresses(VecDeque::new())
    }
}

impl<A: Copy + PartialEq> Addresses<A> {
    /// Beyond the limit the address that was silent longest is forgotten. False if it is the last attempt again.
    fn keep(&mut self, address: A, attempt: Attempt) -> bool {
        let at = self.0.iter().position(|(known, _)| *known == address);
        let (_, mut attempts) = at.and_then(|at| self.0.remove(at)).unwrap_or((address, VecDeque::new()));
        let is_new = add(&mut attempts, attempt);
        if self.0.len() == KEPT_ADDRESSES {
            self.0.pop_front();
        }
        self.0.push_back((address, attempts));
        is_new
    }

    fn iter(&self) -> impl Iterator<Item = (A, impl Iterator<Item = &Attempt>)> {
        self.0.iter().map(|(address, attempts)| (*address, attempts.iter()))
    }
}

impl Recorder {
    /// Keeps a finished attempt and forgets the oldest beyond the limit. One that only repeats the last, as when a
    /// refused initiator sends its request again, takes its place; false says that it did.
    pub fn keep(&mut self, connection: ConnectionId, attempt: Attempt) -> bool {
        add(self.known.entry(connection).or_default(), attempt)
    }

    /// Keeps the attempt of a gateway's caller in the same way, beside those of other addresses.
    pub fn keep_caller(&mut self, gateway: ConnectionId, attempt: Attempt) -> bool {
        self.callers.entry(gateway).or_default().keep(attempt.remote.ip(), attempt)
    }

    /// Keeps a stranger's attempt in the same way.
    pub fn keep_stranger(&mut self, instance: u16, attempt: Attempt) -> bool {
        self.strangers.keep((instance, attempt.remote.ip()), attempt)
    }

    /// Forgets a connection that was removed from the configuration.
    pub fn forget(&mut self, connection: ConnectionId) {
        self.known.remove(&connection);
        self.callers.remove(&connection);
    }

    /// The attempts of a connection, oldest first.
    pub fn of(&self, connection: ConnectionId) -> impl Iterator<Item = &Attempt> {
        self.known.get(&connection).into_iter().flatten()
    }

    /// The attempts of a gateway's callers by address, each oldest first.
    pub fn callers(
        &self,
        gateway: ConnectionId,
    ) -> impl Iterator<Item = (IpAddr, impl Iterator<Item = &Attempt>)> {
        self.callers.get(&gateway).into_iter().flat_map(Addresses::iter)
    }

    /// The attempts of strangers by instance and address, each oldest first.
    pub fn strangers(&self) -> impl Iterator<Item = ((u16, IpAddr), impl Iterator<Item = &Attempt>)> {
        self.strangers.iter()
    }
}

/// True if it is not the last one again.
fn add(kept: &mut VecDeque<Attempt>, attempt: Attempt) -> bool {
    if let Some(last) = kept.back_mut().filter(|last| last.is_repeated_by(&attempt)) {
        last.ended = attempt.ended;
        last.repeats = last.repeats.saturating_add(1);
        return false;
    }
    if kept.len() == KEPT {
        kept.pop_front();
    }
    // One at a time: most connections have one attempt for ever, and there may be very many of them.
    kept.reserve_exact(1);
    kept.push_back(attempt.cut());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECTION: ConnectionId = ConnectionId(1);

    fn attempt(role: Role, remote: [u8; 4], began: u64) -> Attempt {
        let address: SocketAddr = "192.0.2.1:500".parse().unwrap();
        Attempt::new(role, address, (remote, 500).into(), Instant(began))
    }

    /// One less than are kept, as many, and one more: the oldest is forgotten first.
    #[test]
    fn the_oldest_attempt_is_forgotten_first() {
        for (made, first) in [(7, 0), (8, 0), (9, 1)] {
            let mut recorder = Recorder::default();
            for began in 0..made {
                recorder.keep(CONNECTION, attempt(Role::Initiator, [192, 0, 2, 1], began));
            }
            let began: Vec<u64> = recorder.of(CONNECTION).map(|attempt| attempt.began.0).collect();
            assert_eq!(began, (first..made).collect::<Vec<_>>());
            assert_eq!(recorder.of(ConnectionId(2)).count(), 0);
        }
    }

    #[test]
    fn a_repeated_refusal_is_one_attempt() {
        let mut recorder = Recorder::default();
        let mut attempt = attempt(Role::Responder, [192, 0, 2, 1], 1);
        attempt.failure = Some(Failure::NoConnection);
        assert!(recorder.keep_stranger(0, attempt.clone()));
        assert!(!recorder.keep_stranger(0, attempt.clone()));
        attempt.remote.set_port(501);
        assert!(recorder.keep_stranger(0, attempt));
        let (_, attempts) = recorder.strangers().next().unwrap();
        assert_eq!(attempts.map(|attempt| attempt.repeats).collect::<Vec<_>>(), [1, 0]);
    }

    /// A child that is refused at every try does not wash out what happened before.
    #[test]
    fn a_child_refused_again_is_one_attempt() {
        let mut recorder = Recorder::default();
        let of = |child| {
            let failure = Some(Failure::TsRefused);
            Attempt {
                child: Some(ChildId(child)),
                stage: Stage::Child,
                failure,
                ..attempt(Role::Initiator, [1; 4], 1)
            }
        };
        (0..20).for_each(|_| _ = recorder.keep(CONNECTION, of(1)));
        assert!(recorder.keep(CONNECTION, of(2)));
        assert_eq!(recorder.of(CONNECTION).map(|attempt| attempt.repeats).collect::<Vec<_>>(), [19, 0]);
    }

    /// Whatever addresses call, a few are kept with a few attempts each; who calls again is not forgotten for those
    /// who called once. Instances are apart.
    #[test]
    fn strangers_are_bounded_by_address() {
        for addresses in [KEPT_ADDRESSES - 1, KEPT_ADDRESSES, KEPT_ADDRESSES + 1] {
            let mut recorder = Recorder::default();
            let steady = [203, 0, 113, 1];
            for number in 0..addresses - 1 {
                recorder.keep_stranger(0, attempt(Role::Responder, [10, 0, 0, number as u8], 0));
                (0..9)
                    .for_each(|began| _ = recorder.keep_stranger(0, attempt(Role::Initiator, steady, began)));
            }
            let kept: Vec<_> =
                recorder.strangers().map(|((_, address), attempts)| (address, attempts.count())).collect();
            assert_eq!(kept.len(), addresses.min(KEPT_ADDRESSES));
            assert_eq!(kept.last(), Some(&(IpAddr::from(steady), KEPT)));
        }
        let mut recorder = Recorder::default();
        (0..2).for_each(|instance| _ = recorder.keep_stranger(instance, attempt(Role::Responder, [1; 4], 0)));
        assert_eq!(recorder.strangers().count(), 2);
    }

    /// Many callers of a gateway do not wash out one another, and are forgotten with it; its own attempts are apart.
    #[test]
    fn callers_of_a_gateway_are_bounded_by_address() {
        let mut recorder = Recorder::default();
        for number in 0..=KEPT_ADDRESSES as u8 {
            (0..=KEPT as u64).for_each(|began| {
                assert!(
                    recorder.keep_caller(CONNECTION, attempt(Role::Initiator, [10, 0, 0, number], began))
                );
            });
        }
        let kept: Vec<_> =
            recorder.callers(CONNECTION).map(|(address, kept)| (address, kept.count())).collect();
        assert_eq!(kept.len(), KEPT_ADDRESSES);
        assert_eq!(kept.first(), Some(&(IpAddr::from([10, 0, 0, 1]), KEPT)), "the first was forgotten");
        assert_eq!((recorder.of(CONNECTION).count(), recorder.callers(ConnectionId(2)).count()), (0, 0));
        recorder.forget(CONNECTION);
        assert_eq!(recorder.callers(CONNECTION).count(), 0);
    }

    /// A text at the limit is kept whole, one above is cut where a character ends.
    #[test]
    fn texts_are_cut() {
        for (length, kept) in
            [(KEPT_TEXT - 1, KEPT_TEXT - 1), (KEPT_TEXT, KEPT_TEXT), (KEPT_TEXT + 1, KEPT_TEXT)]
        {
            let mut recorder = Recorder::default();
            let offered = "x".repeat(length);
            recorder.keep(CONNECTION, Attempt { offered, ..attempt(Role::Responder, [1; 4], 0) });
            let kept_text = &recorder.of(CONNECTION).next().unwrap().offered;
            assert_eq!((kept_text.len(), kept_text.ends_with(ELLIPSIS)), (kept, length > KEPT_TEXT));
        }
        let mut recorder = Recorder::default();
        let offered = "ä".repeat(KEPT_TEXT);
        recorder.keep(CONNECTION, Attempt { offered, ..attempt(Role::Responder, [1; 4], 0) });
        assert!(recorder.of(CONNECTION).next().unwrap().offered.len() <= KEPT_TEXT);
    }
}
