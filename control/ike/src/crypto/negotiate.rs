//! Negotiating algorithms (RFC 7296 §2.7, §3.3): our offer, our choice among the peer's, and the check
//! of the peer's choice among ours.
//!
//! The responder takes the first proposal of *its own* order that any of the peer's meets, and within
//! it the first algorithm of its own order. Nothing is negotiated that was not configured.

use super::IkeSuite;
pub use super::refusal::{Difference, NoProposalChosen};
use super::refusal::{Missed, Nearest};
use crate::config::{AdditionalGroups, Encryption, EspProposal, Group, IkeProposal, Integrity, Prf};
use crate::want::EspSuite;
use crate::wire::{
    KeyExchangeId, Proposal, Protocol, SecurityAssociation, SequenceNumbersId, Spi, Transform, TransformType,
};

/// NONE, where a transform of a type may also be left out (RFC 7296 §3.3.2).
const NONE: u16 = 0;

/// A suite both sides agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen<S> {
    /// The algorithms.
    pub suite: S,
    /// The SPI in the peer's proposal.
    pub peer_spi: Spi,
    number: u8,
    protocol: Protocol,
    transforms: Vec<Transform>,
}

/// Which exchange a Child SA is negotiated in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildExchange {
    /// IKE_AUTH: no KE payload, so key exchanges are neither offered nor looked at (RFC 7296 §1.2).
    IkeAuth,
    /// CREATE_CHILD_SA: configured groups are demanded.
    CreateChildSa,
}

/// The peer's answer is not a choice among what we offered. The peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Not exactly one proposal.
    #[error("the answer has {count} proposals instead of one")]
    Count {
        /// Proposals it has.
        count: usize,
    },
    /// Its number is none of ours.
    #[error("the answer accepts proposal {number}, which we did not offer")]
    Number {
        /// The number.
        number: u8,
    },
    /// More than one transform of a type.
    #[error("the answer has several {kind} transforms")]
    Several {
        /// The type.
        kind: TransformType,
    },
    /// A transform we did not offer, or a type left out.
    #[error("the answer is not what we offered: {0}")]
    NotOffered(NoProposalChosen),
}

/// The offer for an IKE SA; `spi` is [`Spi::None`] in IKE_SA_INIT, our new SPI when rekeying.
pub fn offer_ike(proposals: &[IkeProposal], spi: Spi) -> SecurityAssociation {
    offer(&wishes(proposals, ike_wish), spi)
}

/// The offer for a Child SA that we will receive on `spi`.
pub fn offer_esp(proposals: &[EspProposal], exchange: ChildExchange, spi: u32) -> SecurityAssociation {
    offer(&wishes(proposals, |proposal| esp_wish(proposal, exchange)), Spi::Child(spi))
}

/// As responder: the first of ours that the offer meets.
pub fn select_ike(
    ours: &[IkeProposal],
    offered: &SecurityAssociation,
) -> Result<Chosen<IkeSuite>, NoProposalChosen> {
    select(&wishes(ours, ike_wish), offered, ike_suite)
}

/// As responder: the first of ours that the offer meets.
pub fn select_esp(
    ours: &[EspProposal],
    exchange: ChildExchange,
    offered: &SecurityAssociation,
) -> Result<Chosen<EspSuite>, NoProposalChosen> {
    select(&wishes(ours, |proposal| esp_wish(proposal, exchange)), offered, esp_suite)
}

/// As initiator: the peer's choice among what [`offer_ike`] offered.
pub fn accept_ike(ours: &[IkeProposal], answer: &SecurityAssociation) -> Result<Chosen<IkeSuite>, BadAnswer> {
    accept(&wishes(ours, ike_wish), answer, ike_suite)
}

/// As initiator: the peer's choice among what [`offer_esp`] offered.
pub fn accept_esp(
    ours: &[EspProposal],
    exchange: ChildExchange,
    answer: &SecurityAssociation,
) -> Result<Chosen<EspSuite>, BadAnswer> {
    accept(&wishes(ours, |proposal| esp_wish(proposal, exchange)), answer, esp_suite)
}

impl<S> Chosen<S> {
    /// The answer: one proposal, of the accepted number, with one transform of each type offered (RFC
    /// 7296 §2.7, §3.3.6), and our SPI.
    pub fn answer(&self, own_spi: Spi) -> SecurityAssociation {
        SecurityAssociation::new(vec![Proposal {
            number: self.number,
            protocol: self.protocol,
            spi: own_spi,
            transforms: self.transforms.clone(),
        }])
    }
}

impl Chosen<IkeSuite> {
    /// The group to name in INVALID_KE_PAYLOAD, if the peer sent its KE for another (RFC 7296 §1.2).
    pub fn invalid_ke(&self, sent: KeyExchangeId) -> Option<Group> {
        Some(self.suite.group).filter(|group| group.transform_id() != u16::from(sent))
    }
}

impl Chosen<EspSuite> {
    /// The group to name in INVALID_KE_PAYLOAD, if the peer sent no KE for it (RFC 7296 §1.3.1). A KE
    /// sent where no group was chosen is ignored.
    pub fn invalid_ke(&self, sent: Option<KeyExchangeId>) -> Option<Group> {
        self.suite.group.filter(|group| sent.map(u16::from) != Some(group.transform_id()))
    }
}

/// One configured proposal as transforms: what is wanted of each type.
struct Wish {
    protocol: Protocol,
    needs: Vec<Need>,
}

/// The acceptable transforms of one type, in our order.
struct Need {
    kind: TransformType,
    choices: Vec<Transform>,
    /// Whether the peer's transforms of this type are passed over.
    ignored: bool,
}

impl Need {
    fn new(kind: TransformType, choices: impl IntoIterator<Item = Transform>) -> Self {
        Self { kind, choices: choices.into_iter().collect(), ignored: false }
    }

    /// Our first choice among what is offered; `Some(None)` if this type is to stay out.
    fn meet(&self, offered: &Proposal) -> Option<Option<Transform>> {
        let of_kind = || offered.transforms.iter().filter(|transform| transform.transform_type == self.kind);
        if self.ignored {
            return Some(None);
        }
        if self.choices.is_empty() {
            // A type we want none of is absent, or has NONE among its transforms.
            let none = of_kind().find(|transform| transform.id == NONE && transform.understood);
            return (none.is_some() || of_kind().next().is_none()).then(|| none.copied());
        }
        self.choices.iter().find(|choice| of_kind().any(|transform| transform == *choice)).copied().map(Some)
    }
}

/// What is wanted of additional key exchanges: NONE of those types that nothing is configured for.
fn additional_needs(additional: AdditionalGroups) -> impl Iterator<Item = Need> {
    let methods = additional.iter().map(Some).chain(std::iter::repeat(None));
    TransformType::ADDITIONAL
        .into_iter()
        .zip(methods)
        .map(|(kind, method)| Need::new(kind, method.map(|group| group.additional_transform(kind))))
}

fn wishes<P>(proposals: &[P], wish: impl Fn(&P) -> Wish) -> Vec<Wish> {
    proposals.iter().map(wish).collect()
}

fn ike_wish(proposal: &IkeProposal) -> Wish {
    let mut needs = vec![
        Need::new(TransformType::Encryption, proposal.encryption.iter().map(|e| e.transform())),
        Need::new(TransformType::Integrity, proposal.integrity.iter().map(|i| i.transform())),
        Need::new(TransformType::PseudoRandomFunction, proposal.prf.iter().map(|prf| prf.transform())),
        Need::new(TransformType::KeyExchange, proposal.groups.iter().map(|group| group.transform())),
    ];
    needs.extend(additional_needs(proposal.additional));
    Wish { protocol: Protocol::Ike, needs }
}

fn esp_wish(proposal: &EspProposal, exchange: ChildExchange) -> Wish {
    let mut exchanges =
        vec![Need::new(TransformType::KeyExchange, proposal.groups.iter().map(|g| g.transform()))];
    exchanges.extend(additional_needs(proposal.additional));
    if exchange == ChildExchange::IkeAuth {
        exchanges.iter_mut().for_each(|need| (need.choices, need.ignored) = (Vec::new(), true));
    }
    let sequence = proposal.extended_sequence.iter().map(|extended| sequence_transform(*extended));
    let mut needs = vec![
        Need::new(TransformType::Encryption, proposal.encryption.iter().map(|e| e.transform())),
        Need::new(TransformType::Integrity, proposal.integrity.iter().map(|i| i.transform())),
        Need::new(TransformType::SequenceNumbers, sequence),
    ];
    needs.extend(exchanges);
    Wish { protocol: Protocol::Esp, needs }
}

fn sequence_transform(extended: bool) -> Transform {
    let id = if extended { SequenceNumbersId::Extended } else { SequenceNumbersId::ThirtyTwoBit };
    Transform::sequence_numbers(id)
}

fn offer(wishes: &[Wish], spi: Spi) -> SecurityAssociation {
    let proposal = |(number, wish): (u8, &Wish)| Proposal {
        number,
        protocol: wish.protocol,
        spi,
        transforms: wish.needs.iter().flat_map(|need| need.choices.iter().copied()).collect(),
    };
    SecurityAssociation::new((1u8..=u8::MAX).zip(wishes).map(proposal).collect())
}

fn select<S>(
    wishes: &[Wish],
    offered: &SecurityAssociation,
    suite: fn(&[Transform]) -> Option<S>,
) -> Result<Chosen<S>, NoProposalChosen> {
    let pairs = wishes.iter().flat_map(|wish| offered.proposals.iter().map(move |proposal| (wish, proposal)));
    let mut chosen = pairs.filter_map(|(wish, proposal)| {
        let transforms = meet(wish, proposal).ok()?;
        Some(choose(proposal, suite(&transforms)?, transforms))
    });
    chosen.next().ok_or_else(|| explain(wishes, offered))
}

fn accept<S>(
    wishes: &[Wish],
    answer: &SecurityAssociation,
    suite: fn(&[Transform]) -> Option<S>,
) -> Result<Chosen<S>, BadAnswer> {
    let [proposal] = answer.proposals.as_slice() else {
        return Err(BadAnswer::Count { count: answer.proposals.len() });
    };
    let number = proposal.number;
    let offered = usize::from(number).checked_sub(1).and_then(|index| wishes.get(index));
    let wish = offered.ok_or(BadAnswer::Number { number })?;
    one_each(proposal)?;
    let refused = |missed| NoProposalChosen::new([(proposal, usize::from(number), missed)]);
    let transforms = meet(wish, proposal).map_err(|missed| BadAnswer::NotOffered(refused(missed)))?;
    let suite = suite(&transforms).ok_or(BadAnswer::Number { number })?;
    Ok(choose(proposal, suite, transforms))
}

fn choose<S>(proposal: &Proposal, suite: S, transforms: Vec<Transform>) -> Chosen<S> {
    let (number, protocol) = (proposal.number, proposal.protocol);
    Chosen { suite, peer_spi: proposal.spi, number, protocol, transforms }
}

fn one_each(proposal: &Proposal) -> Result<(), BadAnswer> {
    let mut kinds: Vec<TransformType> = proposal.transforms.iter().map(|t| t.transform_type).collect();
    kinds.sort_unstable();
    match kinds.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first()) {
        None => Ok(()),
        Some(kind) => Err(BadAnswer::Several { kind: *kind }),
    }
}

/// One transform of each type, or in which types the proposal misses the wish.
fn meet(wish: &Wish, proposal: &Proposal) -> Result<Vec<Transform>, Vec<Missed>> {
    let mut missed: Vec<Missed> = unknown_kinds(wish, proposal);
    let mut transforms = Vec::new();
    for need in &wish.needs {
        match need.meet(proposal) {
            Some(found) => transforms.extend(found),
            None => missed.push((need.kind, need.choices.clone())),
        }
    }
    match missed.is_empty() && wish.protocol == proposal.protocol {
        true => Ok(transforms),
        false => Err(missed),
    }
}

/// A proposal "that contains a Transform Type it does not understand ... it MUST consider ...
/// unacceptable" (RFC 7296 §3.3.6): the types of `proposal` that `wish` knows nothing of.
fn unknown_kinds(wish: &Wish, proposal: &Proposal) -> Vec<Missed> {
    let known = |kind| wish.needs.iter().any(|need| need.kind == kind);
    let mut kinds: Vec<TransformType> =
        proposal.transforms.iter().map(|t| t.transform_type).filter(|kind| !known(*kind)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.into_iter().map(|kind| (kind, Vec::new())).collect()
}

/// For each proposal offered, how it misses the configured one that it misses least.
fn explain(wishes: &[Wish], offered: &SecurityAssociation) -> NoProposalChosen {
    NoProposalChosen::new(offered.proposals.iter().map(|proposal| nearest(wishes, proposal)))
}

fn nearest<'a>(wishes: &[Wish], proposal: &'a Proposal) -> Nearest<'a> {
    let comparable = (1usize..).zip(wishes).filter(|(_, wish)| wish.protocol == proposal.protocol);
    let missed = comparable.filter_map(|(number, wish)| Some((number, meet(wish, proposal).err()?)));
    let (number, missed) = missed.min_by_key(|(_, missed)| missed.len()).unwrap_or_default();
    (proposal, number, missed)
}

fn ike_suite(transforms: &[Transform]) -> Option<IkeSuite> {
    let encryption = encryption(transforms)?;
    let prf = Prf::ALL.into_iter().find(|prf| transforms.contains(&prf.transform()))?;
    let integrity = authenticated(encryption, integrity(transforms))?;
    let group = group(transforms)?;
    Some(IkeSuite { encryption, integrity, prf, group, additional: additional(group, transforms)? })
}

fn esp_suite(transforms: &[Transform]) -> Option<EspSuite> {
    let extended_sequence = transforms.contains(&sequence_transform(true));
    let encryption = encryption(transforms)?;
    let integrity = authenticated(encryption, integrity(transforms))?;
    let group = group(transforms);
    let additional = group.map_or(Some(AdditionalGroups::NONE), |group| additional(group, transforms))?;
    Some(EspSuite { encryption, integrity, group, additional, extended_sequence })
}

/// The integrity algorithm, if it is there exactly where the cipher needs one: whatever was configured,
/// no suite leaves this room that encrypts without authenticating (RFC 8221 §4).
fn authenticated(encryption: Encryption, integrity: Option<Integrity>) -> Option<Option<Integrity>> {
    (encryption.is_aead() != integrity.is_some()).then_some(integrity)
}

fn encryption(transforms: &[Transform]) -> Option<Encryption> {
    Encryption::ALL.into_iter().find(|encryption| transforms.contains(&encryption.transform()))
}

fn integrity(transforms: &[Transform]) -> Option<Integrity> {
    Integrity::ALL.into_iter().find(|integrity| transforms.contains(&integrity.transform()))
}

/// What follows the first key exchange. `None` if a method would be used twice, which RFC 9370 §2.2.1 forbids,
/// whatever was configured.
fn additional(first: Group, transforms: &[Transform]) -> Option<AdditionalGroups> {
    let of = |kind: &TransformType| transforms.iter().find(|t| t.transform_type == *kind && t.id != NONE);
    let chosen = TransformType::ADDITIONAL.iter().filter_map(of);
    let groups: Option<Vec<Group>> = chosen.map(|transform| Group::from_transform_id(transform.id)).collect();
    AdditionalGroups::after(first, &groups?)
}

fn group(transforms: &[Transform]) -> Option<Group> {
    let mut ids = transforms.iter().filter(|t| t.transform_type == TransformType::KeyExchange);
    ids.find_map(|transform| Group::from_transform_id(transform.id))
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
