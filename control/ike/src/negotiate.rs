//! Proposals: what we offer, what we choose from the peer's offer, and whether its choice was on offer
//! (RFC 7296 §2.7, §3.3).
//!
//! A configured proposal becomes a [`Menu`]: per transform type, the transforms we would take. As responder the
//! first of *our* menus that any proposal of the peer satisfies is chosen.

use crate::config::{Encryption, EspProposal, Group, IkeProposal, Integrity, Prf};
use crate::event::IkeSuite;
use crate::want::EspSuite;
use crate::wire::{
    EncryptionId, IntegrityId, KeyExchangeId, PrfId, Proposal, Protocol, SecurityAssociation,
    SequenceNumbersId, Spi, Transform, TransformType,
};
use core::fmt::Write as _;

/// The transforms we would take, per type, preferred first.
struct Menu(Vec<(TransformType, Vec<Transform>)>);

/// A choice: the proposal to answer with and what it means.
#[derive(Debug)]
pub struct Chosen<S> {
    /// The algorithms.
    pub suite: S,
    /// The SPI the peer put into its proposal.
    pub peer_spi: Spi,
    /// The answer's transforms, one per type of the peer's proposal.
    transforms: Vec<Transform>,
    number: u8,
    protocol: Protocol,
}

impl<S> Chosen<S> {
    /// The SA payload of the answer, with our SPI.
    pub fn answer(&self, spi: Spi) -> SecurityAssociation {
        SecurityAssociation::new(vec![Proposal {
            number: self.number,
            protocol: self.protocol,
            spi,
            transforms: self.transforms.clone(),
        }])
    }
}

/// The SA payload that offers these IKE proposals.
pub fn offer_ike(configured: &[IkeProposal], spi: Spi) -> SecurityAssociation {
    offer(configured.iter().map(ike_menu), Protocol::Ike, spi)
}

/// The SA payload that offers these ESP proposals; with key exchange groups if the exchange has a KE payload.
pub fn offer_esp(configured: &[EspProposal], with_groups: bool, spi: u32) -> SecurityAssociation {
    offer(configured.iter().map(|proposal| esp_menu(proposal, with_groups)), Protocol::Esp, Spi::Child(spi))
}

/// Chooses from the peer's IKE proposals.
pub fn choose_ike(offered: &SecurityAssociation, configured: &[IkeProposal]) -> Option<Chosen<IkeSuite>> {
    choose(offered, Protocol::Ike, configured.iter().map(ike_menu), true, ike_suite)
}

/// Chooses from the peer's ESP proposals. Without KE payload (`with_groups` false, as in IKE_AUTH) key exchange
/// transforms are overlooked on both sides.
pub fn choose_esp(
    offered: &SecurityAssociation,
    configured: &[EspProposal],
    with_groups: bool,
) -> Option<Chosen<EspSuite>> {
    let menus = configured.iter().map(|proposal| esp_menu(proposal, with_groups));
    choose(offered, Protocol::Esp, menus, with_groups, esp_suite)
}

/// Checks that the peer's answer is one of the IKE proposals we offered.
pub fn check_ike(answer: &SecurityAssociation, configured: &[IkeProposal]) -> Option<(IkeSuite, Spi)> {
    check(answer, Protocol::Ike, configured.iter().map(ike_menu), ike_suite)
}

/// Checks that the peer's answer is one of the ESP proposals we offered; yields its SPI too.
pub fn check_esp(
    answer: &SecurityAssociation,
    configured: &[EspProposal],
    with_groups: bool,
) -> Option<(EspSuite, u32)> {
    let menus = configured.iter().map(|proposal| esp_menu(proposal, with_groups));
    match check(answer, Protocol::Esp, menus, esp_suite)? {
        (suite, Spi::Child(spi)) if spi > 255 => Some((suite, spi)),
        _ => None,
    }
}

/// The peer's offer in words.
pub fn describe(offered: &SecurityAssociation) -> String {
    let mut text = String::new();
    for proposal in &offered.proposals {
        let names: Vec<String> = proposal.transforms.iter().map(Transform::to_string).collect();
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{}: {}", proposal.protocol, names.join(" "));
    }
    text
}

/// The first group of the first proposal that has one: the one we send a KE payload for.
pub fn first_group(configured: &[EspProposal]) -> Option<Group> {
    configured.iter().find_map(|proposal| proposal.groups.first().copied())
}

fn offer(menus: impl Iterator<Item = Menu>, protocol: Protocol, spi: Spi) -> SecurityAssociation {
    let proposals = menus.zip(1u8..).map(|(menu, number)| {
        let transforms = menu.0.into_iter().flat_map(|(_, transforms)| transforms).collect();
        Proposal { number, protocol, spi, transforms }
    });
    SecurityAssociation::new(proposals.collect())
}

fn choose<S>(
    offered: &SecurityAssociation,
    protocol: Protocol,
    menus: impl Iterator<Item = Menu>,
    with_groups: bool,
    suite: fn(&[Transform]) -> Option<S>,
) -> Option<Chosen<S>> {
    for menu in menus {
        for theirs in offered.proposals.iter().filter(|theirs| theirs.protocol == protocol) {
            let Some(transforms) = menu.choose(theirs, with_groups) else { continue };
            if let Some(suite) = suite(&transforms) {
                return Some(Chosen {
                    suite,
                    peer_spi: theirs.spi,
                    transforms,
                    number: theirs.number,
                    protocol,
                });
            }
        }
    }
    None
}

fn check<S>(
    answer: &SecurityAssociation,
    protocol: Protocol,
    menus: impl Iterator<Item = Menu>,
    suite: fn(&[Transform]) -> Option<S>,
) -> Option<(S, Spi)> {
    // "The accepted cryptographic suite MUST contain exactly one transform of each type included in the
    // proposal." (RFC 7296 §2.7)
    let [chosen] = answer.proposals.as_slice() else { return None };
    let fits = chosen.protocol == protocol && menus.into_iter().any(|menu| menu.admits(&chosen.transforms));
    fits.then(|| suite(&chosen.transforms)).flatten().map(|suite| (suite, chosen.spi))
}

impl Menu {
    fn choose(&self, theirs: &Proposal, with_groups: bool) -> Option<Vec<Transform>> {
        let mut chosen = Vec::with_capacity(5);
        for (_, wanted) in &self.0 {
            chosen.push(*wanted.iter().find(|transform| theirs.transforms.contains(transform))?);
        }
        for transform in &theirs.transforms {
            let kind = transform.transform_type;
            if chosen.iter().any(|taken| taken.transform_type == kind)
                || (kind == TransformType::KeyExchange && !with_groups)
            {
                continue;
            }
            // A type we have no wish about can only be satisfied by its NONE (RFC 7296 §3.3.3, RFC 5282 §8).
            chosen.push(theirs.transforms.iter().find(|other| is_none(other, kind)).copied()?);
        }
        Some(chosen)
    }

    fn admits(&self, chosen: &[Transform]) -> bool {
        let known = |transform: &Transform| {
            is_none(transform, transform.transform_type)
                || self.0.iter().any(|(_, wanted)| wanted.contains(transform))
        };
        let once = |kind: TransformType| chosen.iter().filter(|t| t.transform_type == kind).count() == 1;
        chosen.iter().all(|transform| known(transform) && once(transform.transform_type))
            && self.0.iter().all(|(kind, _)| once(*kind))
    }
}

fn is_none(transform: &Transform, kind: TransformType) -> bool {
    let optional = matches!(kind, TransformType::Integrity | TransformType::KeyExchange);
    optional && transform.transform_type == kind && transform.id == 0
}

fn ike_menu(proposal: &IkeProposal) -> Menu {
    let mut menu =
        Menu(vec![(TransformType::Encryption, proposal.encryption.iter().map(encryption).collect())]);
    if !proposal.integrity.is_empty() {
        menu.0.push((TransformType::Integrity, proposal.integrity.iter().map(integrity).collect()));
    }
    menu.0.push((TransformType::PseudoRandomFunction, proposal.prf.iter().map(prf).collect()));
    menu.0.push((TransformType::KeyExchange, proposal.groups.iter().map(group).collect()));
    menu
}

fn esp_menu(proposal: &EspProposal, with_groups: bool) -> Menu {
    let mut menu =
        Menu(vec![(TransformType::Encryption, proposal.encryption.iter().map(encryption).collect())]);
    if !proposal.integrity.is_empty() {
        menu.0.push((TransformType::Integrity, proposal.integrity.iter().map(integrity).collect()));
    }
    if with_groups && !proposal.groups.is_empty() {
        menu.0.push((TransformType::KeyExchange, proposal.groups.iter().map(group).collect()));
    }
    let esn = proposal.extended_sequence.iter().map(|extended| {
        Transform::sequence_numbers(if *extended {
            SequenceNumbersId::Extended
        } else {
            SequenceNumbersId::ThirtyTwoBit
        })
    });
    menu.0.push((TransformType::SequenceNumbers, esn.collect()));
    menu
}

fn encryption(algorithm: &Encryption) -> Transform {
    Transform::encryption(EncryptionId::from(algorithm.transform_id()), Some(algorithm.key_bits()))
}

fn integrity(algorithm: &Integrity) -> Transform {
    Transform::integrity(IntegrityId::from(algorithm.transform_id()))
}

fn prf(algorithm: &Prf) -> Transform {
    Transform::prf(PrfId::from(algorithm.transform_id()))
}

fn group(group: &Group) -> Transform {
    Transform::key_exchange(KeyExchangeId::from(group.transform_id()))
}

fn of_type(transforms: &[Transform], kind: TransformType) -> Option<Transform> {
    transforms.iter().find(|transform| transform.transform_type == kind).copied()
}

fn ike_suite(transforms: &[Transform]) -> Option<IkeSuite> {
    let encryption = encryption_of(transforms)?;
    let prf_id = of_type(transforms, TransformType::PseudoRandomFunction)?.id;
    let suite = IkeSuite {
        encryption,
        integrity: integrity_of(transforms),
        prf: [Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512]
            .into_iter()
            .find(|prf| prf.transform_id() == prf_id)?,
        group: Group::from_transform_id(of_type(transforms, TransformType::KeyExchange)?.id)?,
    };
    (suite.encryption.is_aead() != suite.integrity.is_some()).then_some(suite)
}

fn esp_suite(transforms: &[Transform]) -> Option<EspSuite> {
    let suite = EspSuite {
        encryption: encryption_of(transforms)?,
        integrity: integrity_of(transforms),
        group: of_type(transforms, TransformType::KeyExchange).and_then(|t| Group::from_transform_id(t.id)),
        extended_sequence: of_type(transforms, TransformType::SequenceNumbers)?.id == 1,
    };
    (suite.encryption.is_aead() != suite.integrity.is_some()).then_some(suite)
}

fn encryption_of(transforms: &[Transform]) -> Option<Encryption> {
    let transform = of_type(transforms, TransformType::Encryption)?;
    [
        Encryption::AesGcm128,
        Encryption::AesGcm192,
        Encryption::AesGcm256,
        Encryption::AesCbc128,
        Encryption::AesCbc256,
    ]
    .into_iter()
    .find(|known| encryption(known) == transform)
}

fn integrity_of(transforms: &[Transform]) -> Option<Integrity> {
    let id = of_type(transforms, TransformType::Integrity)?.id;
    [Integrity::HmacSha256, Integrity::HmacSha384, Integrity::HmacSha512]
        .into_iter()
        .find(|known| known.transform_id() == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gcm(encryption: Encryption, group: Group) -> IkeProposal {
        IkeProposal {
            encryption: vec![encryption],
            integrity: vec![],
            prf: vec![Prf::HmacSha256],
            groups: vec![group],
        }
    }

    #[test]
    fn the_responder_follows_its_own_order() {
        let theirs = [gcm(Encryption::AesGcm128, Group::X25519), gcm(Encryption::AesGcm256, Group::EcpP256)];
        let ours = [theirs[1].clone(), theirs[0].clone()];
        let offered = offer_ike(&theirs, Spi::None);
        let chosen = choose_ike(&offered, &ours).unwrap();
        assert_eq!((chosen.suite.encryption, chosen.suite.group), (Encryption::AesGcm256, Group::EcpP256));
        let answer = chosen.answer(Spi::None);
        assert_eq!(answer.proposals[0].number, 2);
        assert_eq!(check_ike(&answer, &theirs).unwrap().0, chosen.suite);
        assert!(check_ike(&answer, &theirs[..1]).is_none());
    }

    fn esp(groups: Vec<Group>) -> EspProposal {
        EspProposal {
            encryption: vec![Encryption::AesGcm128],
            integrity: vec![],
            groups,
            extended_sequence: vec![true, false],
        }
    }

    #[test]
    fn groups_count_only_where_a_key_exchange_can_be() {
        let with = [esp(vec![Group::X25519])];
        let without = [esp(vec![])];
        assert!(choose_esp(&offer_esp(&with, true, 300), &without, true).is_none());
        assert!(choose_esp(&offer_esp(&without, true, 300), &with, true).is_none());
        assert!(choose_esp(&offer_esp(&with, true, 300), &without, false).is_some());
        let chosen = choose_esp(&offer_esp(&with, true, 300), &with, true).unwrap();
        assert_eq!(chosen.suite.group, Some(Group::X25519));
        assert!(chosen.suite.extended_sequence);
    }

    /// Peers may add INTEG NONE to an AEAD proposal (RFC 5282 §8); the answer repeats it.
    #[test]
    fn none_satisfies_a_type_we_do_not_use() {
        let mut offered = offer_esp(&[esp(vec![])], false, 300);
        offered.proposals[0].transforms.push(Transform::integrity(IntegrityId::None));
        let chosen = choose_esp(&offered, &[esp(vec![])], false).unwrap();
        assert_eq!(chosen.answer(Spi::Child(301)).proposals[0].transforms.len(), 3);
        offered.proposals[0].transforms.pop();
        offered.proposals[0].transforms.push(Transform::integrity(IntegrityId::HmacSha2_256_128));
        assert!(choose_esp(&offered, &[esp(vec![])], false).is_none());
    }

    #[test]
    fn an_answer_with_two_ciphers_is_not_an_answer() {
        let ours = [IkeProposal {
            encryption: vec![Encryption::AesGcm128, Encryption::AesGcm256],
            ..gcm(Encryption::AesGcm128, Group::X25519)
        }];
        assert!(check_ike(&offer_ike(&ours, Spi::None), &ours).is_none());
    }
}
