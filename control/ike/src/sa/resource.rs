//! CHILD_SAs for single resources beside one that all may use (RFC 9611): here a resource is a worker.
//!
//! Both sides say SA_RESOURCE_INFO with the SA that all use, the fallback. From then on either may ask, by
//! CREATE_CHILD_SA with SA_RESOURCE_INFO, for more with the same selectors and algorithms; whoever wants no more answers
//! TS_MAX_QUEUE. Which resource an SA is for is each side's own matter, and both need not have as many. When to ask is
//! left to the caller, which knows its resources.

use super::child_deal::{self, Choice, Intent};
use super::children::{Child, ChildState};
use super::line::Own;
use super::mode;
use super::parts::Parts;
use super::peer_child_reply::Refused;
use super::turn::Turn;
use crate::config::{ChildConfig, ChildId, EspProposal, Resource, Selector};
use crate::crypto::negotiate::ChildExchange;
use crate::error::{Failure, Side};
use crate::id::ChildSaId;
use crate::narrow;
use crate::wire::{Notify, NotifyType, Payload};

/// N(SA_RESOURCE_INFO) of a child that has to do with resources. Its data tell the SAs of the same selectors apart, and
/// say nothing of the machine (RFC 9611 §5.1, §7): the number of the child, in four octets.
pub(crate) fn info(config: &ChildConfig) -> Option<Payload> {
    let number = config.id.0.to_be_bytes().to_vec();
    let notify = || Payload::Notify(Notify::new(NotifyType::SaResourceInfo, number));
    (config.resource != Resource::Only).then(notify)
}

/// Whether the peer says SA_RESOURCE_INFO of what is to be this child's. Its data, of whatever length, are for people:
/// who reads them "MUST only use it for debugging purposes" (RFC 9611 §5.1).
pub(crate) fn agreed(config: &ChildConfig, of_peer: &Parts) -> bool {
    config.resource != Resource::Only && of_peer.has(NotifyType::SaResourceInfo)
}

/// The configuration of one resource's SA, whose properties must be those negotiated for the first one (RFC 9611 §3): what
/// `fallback` carries, by its algorithms.
/// Whether it has a key exchange of its own is as configured, since the first of all has none in IKE_AUTH.
fn beside(config: &ChildConfig, fallback: &Child) -> ChildConfig {
    let same = |proposal: &EspProposal| {
        let suite = &fallback.suite;
        let takes = proposal.encryption.contains(&suite.encryption)
            && suite.integrity.is_none_or(|integrity| proposal.integrity.contains(&integrity))
            && proposal.extended_sequence.contains(&suite.extended_sequence);
        takes.then(|| EspProposal {
            encryption: vec![suite.encryption],
            integrity: suite.integrity.into_iter().collect(),
            extended_sequence: vec![suite.extended_sequence],
            ..proposal.clone()
        })
    };
    ChildConfig {
        local: fallback.local.clone(),
        remote: fallback.remote.clone(),
        proposals: config.proposals.iter().filter_map(same).collect(),
        ..config.clone()
    }
}

fn is_same(a: &[Selector], b: &[Selector]) -> bool {
    narrow::all_within(a, b) && narrow::all_within(b, a)
}

impl Turn<'_, '_> {
    /// Asks for one resource's SA, where there is a fallback and the peer takes more.
    pub(crate) fn create_for_resource(&mut self, config: &ChildConfig, fallback: ChildId) {
        let fallback = self.up.children.in_use(fallback).filter(|fallback| fallback.takes_more);
        if let Some(fallback) = fallback {
            self.start_child(Intent::new_child(beside(config, fallback), None));
        }
    }

    /// The SA in use beside which the peer asks for one of a single resource: its request says SA_RESOURCE_INFO and has
    /// the selectors of that one.
    pub(crate) fn fallback_of(&self, parts: &Parts) -> Option<ChildSaId> {
        let (Some(tsi), Some(tsr)) = (&parts.initiator_ts, &parts.responder_ts) else { return None };
        let (theirs, ours) = (narrow::from_wire(tsi), narrow::from_wire(tsr));
        let carries_same = |child: &&Child| {
            let may_be = child.state == ChildState::Live && !child.resource.is_one();
            may_be && is_same(&child.local, &ours) && is_same(&child.remote, &theirs)
        };
        let asks = parts.has(NotifyType::SaResourceInfo);
        self.up.children.iter().find(carries_same).filter(|_| asks).map(|child| child.id)
    }

    /// Chooses the child that this one of the peer's is to be: one that is configured for a resource of ours, has no SA,
    /// and is asked for by ourselves only if no other is left. With none the answer must be TS_MAX_QUEUE: to
    /// NO_ADDITIONAL_SAS the peer would ask for no child of other selectors either (RFC 9611 §4).
    pub(crate) fn peer_resource_choose(&self, parts: &Parts, fallback: ChildSaId) -> Result<Choice, Refused> {
        let full = || Failure::TooManyResources(Side::Ours);
        let fallback = self.up.children.get(fallback).ok_or_else(full)?;
        let config = self.current_config();
        let resource = Resource::One { fallback: fallback.config };
        let free = |child: &&ChildConfig| child.resource == resource && !self.up.children.has(child.id);
        let free = config.children.iter().filter(free);
        let child = free.min_by_key(|child| self.asks_for(child.id)).ok_or_else(full)?;
        mode::serves(child, parts, &self.common.esp_path()).map_err(Failure::from)?;
        let child = beside(child, fallback);
        let alone = (|_: &_| false, |_: &_| None);
        child_deal::choose(&[&child], alone, parts, ChildExchange::CreateChildSa).map_err(Refused::Deal)
    }

    /// Whether a request of ours for an SA of this child is under way.
    fn asks_for(&self, id: ChildId) -> bool {
        let intent = match &self.line.own {
            Some(Own::ChildSpi(state)) => &state.intent,
            Some(Own::ChildPublic(state)) => &state.draft.intent,
            Some(Own::ChildReply(state)) => &state.draft.intent,
            Some(Own::ChildSecret(state)) => &state.pact.draft.intent,
            Some(Own::ChildInstall(state)) => return state.config == id,
            Some(own) => match own.child_pact() {
                Some(pact) => &pact.draft.intent,
                None => return false,
            },
            None => return false,
        };
        intent.config.id == id
    }

    /// The peer takes no more beside this one's fallback: it is not asked again before that one's successor.
    pub(crate) fn resources_refused(&mut self, config: &ChildConfig) {
        if let Resource::One { fallback } = config.resource {
            self.up.children.of_mut(fallback).for_each(|child| child.takes_more = false);
        }
    }
}
