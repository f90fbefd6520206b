//! What has passed between us and a peer, and by which error notifications the sides have refused each other, as numbers
//! that only grow (IKE-51, and of dead peer detection IKE-18).
//!
//! A step of a tunnel counts into one [`Account`] without knowing whose it is; when it is done the engine adds that to the
//! account of the connection which the tunnel has by then. Callers of a gateway are so counted with the gateway until they
//! are proven, and from then on by themselves.

use crate::config::ConnectionId;
use crate::wire::{Message, NotifyType, Payload};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// What was sent to and received from the peers of a connection. Datagrams: a fragmented message is several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Datagrams sent, repetitions among them; not NAT keepalives.
    pub sent: u64,
    /// Of these, requests sent again because no answer came.
    pub resent: u64,
    /// Datagrams received.
    pub received: u64,
    /// Of these, requests that came again and were answered as before.
    pub repeated: u64,
    /// Of these, what is not authentic, not encrypted though keys are there, or authentic and no message.
    pub ignored: u64,
    /// Questions whether the peer lives (RFC 7296 §2.4), each counted once.
    pub probes_sent: u64,
    /// Of these, answered.
    pub probes_answered: u64,
    /// Of these, never answered: the peer was taken for dead.
    pub probes_unanswered: u64,
    /// The peer's questions, all of which are answered.
    pub probes_received: u64,
}

impl AddAssign for Account {
    fn add_assign(&mut self, more: Account) {
        let Account { sent, resent, received, repeated, ignored, .. } = more;
        let Account { probes_sent, probes_answered, probes_unanswered, probes_received, .. } = more;
        for (sum, more) in [
            (&mut self.sent, sent),
            (&mut self.resent, resent),
            (&mut self.received, received),
            (&mut self.repeated, repeated),
            (&mut self.ignored, ignored),
            (&mut self.probes_sent, probes_sent),
            (&mut self.probes_answered, probes_answered),
            (&mut self.probes_unanswered, probes_unanswered),
            (&mut self.probes_received, probes_received),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Error notifications of one type (RFC 7296 §3.10.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notified {
    /// Messages of ours that had one.
    pub sent: u64,
    /// Messages that had one when they came, from whomever.
    pub received: u64,
}

/// All accounts. Sole owner: the engine.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    /// That of the step under way.
    pub(crate) step: Account,
    of: BTreeMap<ConnectionId, Account>,
    /// By type; those whose number is in no registry here are one, so that nobody makes this grow.
    notified: BTreeMap<Option<NotifyType>, Notified>,
}

impl Accounts {
    /// The step is done; what it has counted is this connection's, if that is still there.
    pub(crate) fn close_step(&mut self, connection: Option<ConnectionId>) {
        let step = std::mem::take(&mut self.step);
        if let Some(connection) = connection.filter(|_| step != Account::default()) {
            *self.of.entry(connection).or_default() += step;
        }
    }

    /// A connection is no more; its number may go to another.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.of.remove(&connection);
    }

    pub(crate) fn of(&self, connection: ConnectionId) -> Account {
        self.of.get(&connection).copied().unwrap_or_default()
    }

    /// Counts the error notifications of a message that we send.
    pub(crate) fn telling(&mut self, payloads: &[Payload]) {
        self.count(payloads, |notified| &mut notified.sent);
    }

    /// Counts those of one that has come.
    pub(crate) fn told(&mut self, message: &Message) {
        self.count(&message.payloads, |notified| &mut notified.received);
    }

    fn count(&mut self, payloads: &[Payload], which: fn(&mut Notified) -> &mut u64) {
        for payload in payloads {
            let Payload::Notify(notify) = payload else { continue };
            if notify.notify_type.is_error() {
                let known = !matches!(notify.notify_type, NotifyType::Other(_));
                let count = which(self.notified.entry(known.then_some(notify.notify_type)).or_default());
                *count = count.saturating_add(1);
            }
        }
    }

    /// By type; `None`: types that are not known here.
    pub(crate) fn notified(&self) -> impl Iterator<Item = (Option<NotifyType>, Notified)> {
        self.notified.iter().map(|(kind, notified)| (*kind, *notified))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Notify;

    /// A step's account goes to one connection once; that of one that is no more to nobody.
    #[test]
    fn a_step_is_one_connections() {
        let mut accounts = Accounts::default();
        let (one, other) = (ConnectionId(1), ConnectionId(2));
        accounts.step.sent = 2;
        accounts.close_step(Some(one));
        accounts.step.received = 3;
        accounts.close_step(None);
        accounts.close_step(Some(other));
        assert_eq!(accounts.of(one), Account { sent: 2, ..Account::default() });
        assert!(accounts.of.len() == 1 && accounts.step == Account::default());
        accounts.forget(one);
        assert_eq!(accounts.of(one), Account::default());
    }

    /// Status notifications are not counted, and whoever invents types of errors makes one row of them all.
    #[test]
    fn errors_are_counted_by_their_type() {
        let mut accounts = Accounts::default();
        let of = |kinds: &[u16]| -> Vec<Payload> {
            kinds.iter().map(|kind| Payload::Notify(Notify::new((*kind).into(), Vec::new()))).collect()
        };
        accounts.telling(&of(&[24, 16384, 24, 9000, 9001]));
        accounts.telling(&of(&[43]));
        let told: Vec<_> = accounts.notified().map(|(kind, notified)| (kind, notified.sent)).collect();
        let known = [NotifyType::AuthenticationFailed, NotifyType::TemporaryFailure];
        assert_eq!(told, [(None, 2), (Some(known[0]), 2), (Some(known[1]), 1)]);
    }
}
