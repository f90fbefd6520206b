//! Offers, selectors and identities in words, for the flight recorder.

use crate::config::{
    Auth, ChildConfig, Connection, Identity, IdentityMatch, IdentityPattern, RemoteAuth, Selector,
};
use crate::crypto::negotiate::{self, ChildExchange};
use crate::error::{Failure, Topic};
use crate::narrow;
use crate::recorder::{Attempt, Stage};
use crate::want::Role;
use crate::wire::{AuthenticationMethod, SecurityAssociation, Spi, Transform};
use core::fmt::Write as _;

/// Proposals spelled out; a stranger's offer of more is cut short.
const PROPOSALS: usize = 8;

/// Transforms spelled out per proposal.
const TRANSFORMS: usize = 24;

/// The proposals of an SA payload.
pub(crate) fn proposals(offer: &SecurityAssociation) -> String {
    let mut text = String::new();
    for proposal in offer.proposals.iter().take(PROPOSALS) {
        let names: Vec<String> =
            proposal.transforms.iter().take(TRANSFORMS).map(Transform::to_string).collect();
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{}: {}", proposal.protocol, names.join(" "));
    }
    text
}

/// Says of a failed attempt what our side had, and what the peer told us, where that was not said yet.
pub(crate) fn tell(attempt: &mut Attempt, failure: &Failure, config: &Connection) {
    let began = (attempt.role, attempt.stage) == (Role::Initiator, Stage::Init);
    let child = attempt.child.and_then(|child| config.child(child));
    let topic = failure.topic().or(began.then_some(Topic::IkeAlgorithms));
    if let Some(topic) = topic.filter(|_| attempt.configured.is_empty()) {
        attempt.configured = ours(topic, config, child.or(config.children.first()));
    }
    if let Failure::IdentityRefused(claimed) = failure
        && attempt.difference.is_empty()
    {
        attempt.difference = identities(claimed, [&config.remote_identity].into_iter());
    }
    attempt.peer_notify = attempt.peer_notify.or(failure.told_by_peer());
}

/// What our side has.
fn ours(topic: Topic, config: &Connection, child: Option<&ChildConfig>) -> String {
    match (topic, child) {
        (Topic::IkeAlgorithms, _) => proposals(&negotiate::offer_ike(&config.proposals, Spi::None)),
        (Topic::EspAlgorithms, Some(child)) => {
            proposals(&negotiate::offer_esp(&child.proposals, ChildExchange::CreateChildSa, 0))
        }
        (Topic::Selectors, Some(child)) => traffic(&child.local, &child.remote),
        (Topic::EspAlgorithms | Topic::Selectors, None) => String::new(),
        (Topic::Proof, _) => {
            let own = match config.local_auth {
                Auth::Psk(_) => "pre-shared key",
                Auth::Certificate(_) => "certificate",
            };
            let peers = match config.remote_auth {
                RemoteAuth::Psk(_) => "pre-shared key",
                RemoteAuth::Certificate { .. } => "certificate",
                RemoteAuth::Either { .. } => "pre-shared key or certificate",
            };
            let peer = accepted(&config.remote_identity);
            format!("we are {}, by {own}; the peer is to be {peer}, by {peers}", config.local_identity)
        }
    }
}

/// Who a peer says it is, how it proves that, and whom it asks for.
pub(crate) fn claim(claimed: &Identity, method: AuthenticationMethod, asked: Option<&Identity>) -> String {
    let asked = asked.map(|asked| format!(", asks for {asked}")).unwrap_or_default();
    format!("is {claimed}, by {method}{asked}")
}

/// Why none of these is the identity claimed.
pub(crate) fn identities<'a>(claimed: &str, configured: impl Iterator<Item = &'a IdentityMatch>) -> String {
    let configured: Vec<String> = configured.take(PROPOSALS).map(accepted).collect();
    format!("identity: claimed {claimed}; configured {}", configured.join(", "))
}

fn accepted(identity: &IdentityMatch) -> String {
    match identity {
        IdentityMatch::Any => "any".to_owned(),
        IdentityMatch::Exact(identity) => identity.to_string(),
        IdentityMatch::OneOf(patterns) => {
            let patterns: Vec<String> = patterns.iter().take(PROPOSALS).map(pattern).collect();
            format!("one of {}", patterns.join(", "))
        }
    }
}

fn pattern(pattern: &IdentityPattern) -> String {
    match pattern {
        IdentityPattern::Exact(identity) => identity.to_string(),
        IdentityPattern::Suffix(identity) => format!("*{identity}"),
        IdentityPattern::Within(prefix) => prefix.to_string(),
    }
}

/// What stands between the selectors offered and those of the children, a part for each selector that meets none.
pub(crate) fn obstacles(ours: &[Selector], theirs: &[Selector], children: &[&ChildConfig]) -> String {
    let of = |side: &str, offered: &[Selector], configured: &[&Selector]| {
        let missed = offered.iter().take(PROPOSALS).filter_map(|offered| {
            let met = configured.iter().map(|configured| (narrow::obstacle(offered, configured), configured));
            let mut met = met.collect::<Vec<_>>().into_iter();
            let (obstacle, nearest) = met.next()?;
            let obstacle = obstacle.filter(|_| met.all(|(obstacle, _)| obstacle.is_some()))?;
            Some(format!("{side}: offered {offered}; configured {nearest}, other {obstacle}"))
        });
        missed.collect::<Vec<_>>()
    };
    let locals: Vec<&Selector> = children.iter().flat_map(|child| &child.local).collect();
    let remotes: Vec<&Selector> = children.iter().flat_map(|child| &child.remote).collect();
    let lines = [of("our side", ours, &locals), of("peer's side", theirs, &remotes)].concat();
    match lines.is_empty() {
        true => "each selector is configured, but not both sides of one child".to_owned(),
        false => lines.join("; "),
    }
}

/// Both sides of the traffic, ours first.
pub(crate) fn traffic(local: &[Selector], remote: &[Selector]) -> String {
    let list = |selectors: &[Selector]| {
        selectors.iter().take(crate::narrow::LIMIT).map(Selector::to_string).collect::<Vec<_>>().join(", ")
    };
    format!("{} === {}", list(local), list(remote))
}
