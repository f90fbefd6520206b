//! What the peer is answered when it asks for a CHILD_SA: yes with payloads, or no with a notification.

use super::child_deal;
use crate::error::Failure;
use crate::narrow;
use crate::wire::{KeyExchange, KeyExchangeId, Nonce, Notify, NotifyType, Payload, SecurityAssociation};

/// SA, Nr, KEr, TSi, TSr.
pub(crate) fn answer(
    sa: SecurityAssociation,
    nonce: Option<Nonce>,
    key: Option<(crate::config::Group, Vec<u8>)>,
    theirs: &[crate::config::Selector],
    ours: &[crate::config::Selector],
) -> Vec<Payload> {
    let mut payloads = vec![Payload::SecurityAssociation(sa)];
    payloads.extend(nonce.map(Payload::Nonce));
    payloads.extend(key.map(|(group, data)| {
        Payload::KeyExchange(KeyExchange { method: KeyExchangeId::from(group.transform_id()), data })
    }));
    payloads.push(Payload::TrafficSelectorsInitiator(narrow::to_wire(theirs)));
    payloads.push(Payload::TrafficSelectorsResponder(narrow::to_wire(ours)));
    payloads
}

/// Why a request is refused.
pub(crate) enum Refused {
    Failure(Failure),
    Deal(Box<child_deal::Refusal>),
    WrongGroup(KeyExchangeId),
    NotFound(u32),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused::Failure(failure)
    }
}

impl Refused {
    pub(crate) fn notify(&self) -> Payload {
        Payload::Notify(match self {
            Refused::Failure(failure) => Notify::new(failure.notify(), Vec::new()),
            Refused::Deal(refusal) => Notify::new(refusal.failure.notify(), Vec::new()),
            Refused::WrongGroup(group) => Notify::invalid_ke(*group),
            Refused::NotFound(spi) => Notify::about_esp(NotifyType::ChildSaNotFound, *spi, Vec::new()),
        })
    }

    /// What the operator should hear of it; conflicts that resolve themselves are none of it.
    pub(crate) fn reported(self, attempt: &mut crate::recorder::Attempt) -> Option<Failure> {
        match self {
            Refused::Failure(Failure::TemporaryFailure) | Refused::WrongGroup(_) | Refused::NotFound(_) => {
                None
            }
            Refused::Failure(failure) => Some(failure),
            Refused::Deal(refusal) => {
                attempt.offered = refusal.offered;
                attempt.configured = refusal.configured;
                attempt.difference = refusal.difference;
                Some(refusal.failure)
            }
        }
    }
}
