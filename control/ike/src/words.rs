//! Offers and selectors in words, for the flight recorder.

use crate::config::Selector;
use crate::wire::{SecurityAssociation, Transform};
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

/// Both sides of the traffic, ours first.
pub(crate) fn traffic(local: &[Selector], remote: &[Selector]) -> String {
    let list = |selectors: &[Selector]| {
        selectors.iter().take(crate::narrow::LIMIT).map(Selector::to_string).collect::<Vec<_>>().join(", ")
    };
    format!("{} === {}", list(local), list(remote))
}
