//! Why a negotiation failed, line by line, for the operators of both sides: NO_PROPOSAL_CHOSEN on the
//! wire says nothing but that (RFC 7296 §3.10.1).
//!
//! The offer comes from an unauthenticated stranger, so what is kept of it is bounded.

use std::fmt;

use crate::wire::{Proposal, Transform, TransformType};

/// Offered proposals that are explained: the first few show the gap.
const PROPOSALS: usize = 8;

/// Transforms listed per kind: an offer made to be read has fewer of one kind.
const TRANSFORMS: usize = 16;

/// A type of algorithm, and what is configured of it.
pub(super) type Missed = (TransformType, Vec<Transform>);

/// A proposal offered, the number of the configured one nearest to it, and what it misses.
pub(super) type Nearest<'a> = (&'a Proposal, usize, Vec<Missed>);

/// Nothing offered meets anything configured: NO_PROPOSAL_CHOSEN. Which side is to change, the lines
/// let the operators see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoProposalChosen {
    /// What stood between each offered proposal and the configured one nearest to it.
    pub differences: Vec<Difference>,
}

/// One kind of algorithm in which an offered proposal misses a configured one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Number of the proposal offered.
    pub offered_number: u8,
    /// Which of ours it came nearest to, counted from 1.
    pub configured_number: usize,
    /// The kind of algorithm.
    pub kind: TransformType,
    /// What the peer offers of that kind.
    pub offered: Vec<Transform>,
    /// What is configured of that kind.
    pub configured: Vec<Transform>,
}

impl NoProposalChosen {
    pub(super) fn new<'a>(nearest: impl IntoIterator<Item = Nearest<'a>>) -> Self {
        let lines = |(proposal, number, missed): Nearest<'a>| {
            missed.into_iter().map(move |missed| Difference::new(proposal, number, missed))
        };
        Self { differences: nearest.into_iter().take(PROPOSALS).flat_map(lines).collect() }
    }
}

impl Difference {
    fn new(proposal: &Proposal, configured_number: usize, (kind, configured): Missed) -> Self {
        let offered = proposal.transforms.iter().filter(|transform| transform.transform_type == kind);
        let offered = offered.take(TRANSFORMS).copied().collect();
        Self { offered_number: proposal.number, configured_number, kind, offered, configured }
    }
}

impl fmt::Display for NoProposalChosen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.differences.iter().map(Difference::to_string).collect();
        match lines.is_empty() {
            true => out.write_str("nothing was offered that is configured"),
            false => out.write_str(&lines.join("; ")),
        }
    }
}

impl std::error::Error for NoProposalChosen {}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |transforms: &[Transform]| match transforms {
            [] => "none".to_owned(),
            some => some.iter().map(Transform::to_string).collect::<Vec<_>>().join(", "),
        };
        let (offered, configured) = (list(&self.offered), list(&self.configured));
        write!(out, "proposal {}, {}: offered {offered}; ", self.offered_number, self.kind)?;
        write!(out, "configured (proposal {}) {configured}", self.configured_number)
    }
}
