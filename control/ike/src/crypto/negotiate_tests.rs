//! What protects negotiation: our order decides, nothing unconfigured is chosen, an answer is held
//! against the offer, and a refusal says what differed.

use super::*;
use crate::wire::{EncryptionId, IkeSpi, IntegrityId};

fn ike(texts: &[&str]) -> Vec<IkeProposal> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn esp(texts: &[&str]) -> Vec<EspProposal> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

const CREATE: ChildExchange = ChildExchange::CreateChildSa;

#[test]
fn both_sides_end_with_the_same_suite() {
    let ours = ike(&["aes256gcm16-prfsha384-ecp384", "aes128-aes256-sha256-sha512-modp2048-x25519"]);
    for initiator in [
        ike(&["aes256-sha512-x25519"]),
        ike(&["aes128gcm16-prfsha256-ecp256", "aes256gcm16-prfsha384-ecp384"]),
    ] {
        let offer = offer_ike(&initiator, Spi::None);
        let chosen = select_ike(&ours, &offer).unwrap();
        let answer = chosen.answer(Spi::None);
        let accepted = accept_ike(&initiator, &answer).unwrap();
        assert_eq!(accepted.suite, chosen.suite);
        assert!(answer.proposals[0].transforms.len() <= 4);
    }
}

#[test]
fn the_responder_follows_its_own_order() {
    let offer = offer_ike(
        &ike(&["aes128-sha256-modp2048", "aes128gcm16-aes256gcm16-prfsha256-x25519-ecp384"]),
        Spi::None,
    );
    let ours = ike(&["aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-x25519", "aes128-sha256-modp2048"]);
    let chosen = select_ike(&ours, &offer).unwrap();
    let expected = IkeSuite {
        encryption: Encryption::AesGcm256,
        integrity: None,
        prf: Prf::HmacSha256,
        group: Group::EcpP384,
        additional: AdditionalGroups::NONE,
    };
    assert_eq!(chosen.suite, expected);
    assert_eq!(chosen.answer(Spi::None).proposals[0].number, 2);
    assert_eq!(chosen.invalid_ke(KeyExchangeId::Curve25519), Some(Group::EcpP384));
    assert_eq!(chosen.invalid_ke(KeyExchangeId::Ecp384), None);
}

#[test]
fn spis_travel_with_the_proposals() {
    let ours = ike(&["aes256gcm16-prfsha384-ecp384"]);
    let offer = offer_ike(&ours, Spi::Ike(IkeSpi(7)));
    let chosen = select_ike(&ours, &offer).unwrap();
    assert_eq!(chosen.peer_spi, Spi::Ike(IkeSpi(7)));
    let accepted = accept_ike(&ours, &chosen.answer(Spi::Ike(IkeSpi(8)))).unwrap();
    assert_eq!(accepted.peer_spi, Spi::Ike(IkeSpi(8)));
}

#[test]
fn groups_count_in_create_child_sa_only() {
    let ours = esp(&["aes256gcm16-ecp384-esn-noesn"]);
    let bare = offer_esp(&ours, ChildExchange::IkeAuth, 9);
    let has_group = |sa: &SecurityAssociation| {
        sa.proposals[0].transforms.iter().any(|t| t.transform_type == TransformType::KeyExchange)
    };
    assert!(!has_group(&bare) && has_group(&offer_esp(&ours, CREATE, 9)));
    let chosen = select_esp(&ours, ChildExchange::IkeAuth, &bare).unwrap();
    assert_eq!((chosen.suite.group, chosen.suite.extended_sequence), (None, true));
    assert!(select_esp(&ours, CREATE, &bare).is_err(), "perfect forward secrecy is demanded");
    // A peer that names a group in IKE_AUTH although nothing can come of it.
    let chosen = select_esp(&ours, ChildExchange::IkeAuth, &offer_esp(&ours, CREATE, 9)).unwrap();
    assert!(!has_group(&chosen.answer(Spi::Child(1))));
    let chosen = select_esp(&ours, CREATE, &offer_esp(&ours, CREATE, 9)).unwrap();
    assert_eq!(chosen.suite.group, Some(Group::EcpP384));
    assert_eq!(chosen.invalid_ke(None), Some(Group::EcpP384));
    assert_eq!(chosen.invalid_ke(Some(KeyExchangeId::Ecp384)), None);
    let without = esp(&["aes256gcm16"]);
    assert!(select_esp(&without, CREATE, &offer_esp(&ours, CREATE, 9)).is_err(), "not configured");
}

const HYBRID: &str = "aes256gcm16-prfsha384-x25519+mlkem768";
const CLASSIC: &str = "aes256gcm16-prfsha384-x25519";

/// RFC 9370 §2.2.1: a proposal with additional key exchanges is met by one with the same, and by nothing else.
#[test]
fn additional_key_exchanges_are_agreed_on_in_their_order() {
    let twice = "aes256gcm16-prfsha384-x25519+mlkem768+ecp384";
    for (initiator, responder, agreed) in [
        (&[HYBRID][..], &[HYBRID][..], Some(&[Group::MlKem768][..])),
        (&[HYBRID, CLASSIC], &[CLASSIC], Some(&[])),
        (&[CLASSIC], &[HYBRID, CLASSIC], Some(&[])),
        (&[CLASSIC, HYBRID], &[HYBRID, CLASSIC], Some(&[Group::MlKem768])),
        (&[HYBRID], &[CLASSIC], None),
        (&[CLASSIC], &[HYBRID], None),
        (&[HYBRID], &[twice], None),
        (&[twice], &[twice], Some(&[Group::MlKem768, Group::EcpP384])),
    ] {
        let (ours, theirs) = (ike(responder), ike(initiator));
        let chosen = select_ike(&ours, &offer_ike(&theirs, Spi::None)).ok();
        let additional = chosen.as_ref().map(|chosen| chosen.suite.additional.iter().collect::<Vec<_>>());
        assert_eq!(additional.as_deref(), agreed, "{initiator:?} {responder:?}");
        if let Some(chosen) = chosen {
            assert_eq!(accept_ike(&theirs, &chosen.answer(Spi::None)).unwrap().suite, chosen.suite);
        }
    }
    let offer = offer_ike(&ike(&[CLASSIC]), Spi::None);
    assert_eq!(
        select_ike(&ike(&[HYBRID]), &offer).unwrap_err().to_string(),
        "proposal 1, ADDKE1: offered none; configured (proposal 1) ADDKE1_ML_KEM_768"
    );
}

/// Only CREATE_CHILD_SA has key exchanges of its own.
#[test]
fn additional_key_exchanges_of_a_child_count_in_create_child_sa_only() {
    let ours = esp(&["aes256gcm16-x25519+mlkem768"]);
    let bare = offer_esp(&ours, ChildExchange::IkeAuth, 9);
    assert_eq!(bare.proposals[0].transforms.len(), 2);
    let full = offer_esp(&ours, CREATE, 9);
    assert_eq!(full.proposals[0].transforms.len(), 4);
    for offer in [&bare, &full] {
        let suite = select_esp(&ours, ChildExchange::IkeAuth, offer).unwrap().suite;
        assert_eq!((suite.group, suite.additional), (None, AdditionalGroups::NONE));
    }
    let suite = select_esp(&ours, CREATE, &full).unwrap().suite;
    assert_eq!(suite.additional.iter().collect::<Vec<_>>(), [Group::MlKem768]);
    assert!(select_esp(&esp(&["aes256gcm16-x25519"]), CREATE, &full).is_err());
}

/// RFC 9370 §2.2.1: the methods chosen are different ones, and NONE may be named.
#[test]
fn a_method_used_twice_is_no_choice_and_none_is() {
    let ours = ike(&[HYBRID]);
    let [first, second] = [TransformType::ADDITIONAL[0], TransformType::ADDITIONAL[1]];
    let mut offer = offer_ike(&ours, Spi::None);
    let none = Transform::additional_key_exchange(second, KeyExchangeId::None);
    offer.proposals[0].transforms.push(none);
    let answer = select_ike(&ours, &offer).unwrap().answer(Spi::None);
    assert!(answer.proposals[0].transforms.contains(&none));
    assert!(accept_ike(&ours, &answer).is_ok());
    // Put together by hand, past the keywords.
    let mut twice = ike(&["aes256gcm16-prfsha384-mlkem768+x25519"]);
    twice[0].groups.push(Group::X25519);
    offer.proposals[0].transforms = vec![
        Encryption::AesGcm256.transform(),
        Prf::HmacSha384.transform(),
        Transform::key_exchange(KeyExchangeId::Curve25519),
        Transform::additional_key_exchange(first, KeyExchangeId::Curve25519),
    ];
    assert!(select_ike(&twice, &offer).is_err() && accept_ike(&twice, &offer).is_err());
}

/// RFC 7296 §3.3.2: NONE may be named where a type is not wanted; the answer then names it too.
#[test]
fn none_is_as_good_as_absent() {
    let ours = esp(&["aes256gcm16"]);
    let mut offer = offer_esp(&ours, CREATE, 9);
    let none = [Transform::integrity(IntegrityId::None), Transform::key_exchange(KeyExchangeId::None)];
    offer.proposals[0].transforms.extend(none);
    let answer = select_esp(&ours, CREATE, &offer).unwrap().answer(Spi::Child(1));
    assert!(none.iter().all(|none| answer.proposals[0].transforms.contains(none)));
    let with_group = Transform::key_exchange(KeyExchangeId::Ecp384);
    offer.proposals[0].transforms.push(with_group);
    let answer = select_esp(&ours, CREATE, &offer).unwrap().answer(Spi::Child(1));
    assert!(!answer.proposals[0].transforms.contains(&with_group));
}

#[test]
fn transforms_not_understood_never_match() {
    let ours = esp(&["aes128gcm16"]);
    let good = offer_esp(&ours, CREATE, 9);
    assert!(select_esp(&ours, CREATE, &good).is_ok());
    let spoil = |change: fn(&mut Vec<Transform>)| {
        let mut offer = good.clone();
        change(&mut offer.proposals[0].transforms);
        select_esp(&ours, CREATE, &offer).is_err()
    };
    assert!(spoil(|t| t[0].understood = false), "unknown attribute");
    assert!(spoil(|t| t[0].key_length = None), "no key length");
    assert!(spoil(|t| t[0].key_length = Some(256)), "another key length");
    assert!(spoil(|t| t[0].id = EncryptionId::AesGcm8.into()), "another cipher");
    assert!(spoil(|t| t.retain(|t| t.transform_type != TransformType::SequenceNumbers)), "no ESN transform");
    assert!(
        spoil(|t| {
            let unknown = Transform { transform_type: TransformType::Other(13), ..t[0] };
            t.push(unknown);
        }),
        "unknown type"
    );
    let mut ah = good.clone();
    ah.proposals[0].protocol = Protocol::Ah;
    assert!(select_esp(&ours, CREATE, &ah).is_err());
}

#[test]
fn an_answer_is_held_against_the_offer() {
    let ours = esp(&["aes128gcm16", "aes256-sha256"]);
    let good = select_esp(&ours, CREATE, &offer_esp(&ours, CREATE, 1)).unwrap().answer(Spi::Child(2));
    let verdict = |change: fn(&mut SecurityAssociation)| {
        let mut answer = good.clone();
        change(&mut answer);
        accept_esp(&ours, CREATE, &answer).map(|chosen| chosen.suite)
    };
    assert!(verdict(|_| {}).is_ok());
    assert_eq!(verdict(|a| a.proposals.clear()), Err(BadAnswer::Count { count: 0 }));
    assert_eq!(verdict(|a| a.proposals.push(a.proposals[0].clone())), Err(BadAnswer::Count { count: 2 }));
    assert_eq!(verdict(|a| a.proposals[0].number = 3), Err(BadAnswer::Number { number: 3 }));
    assert_eq!(verdict(|a| a.proposals[0].number = 0), Err(BadAnswer::Number { number: 0 }));
    assert!(matches!(verdict(|a| a.proposals[0].number = 2), Err(BadAnswer::NotOffered(_))));
    assert!(matches!(
        verdict(|a| a.proposals[0].transforms[0].key_length = Some(256)),
        Err(BadAnswer::NotOffered(_))
    ));
    let twice = |a: &mut SecurityAssociation| a.proposals[0].transforms.push(sequence_transform(true));
    assert_eq!(verdict(twice), Err(BadAnswer::Several { kind: TransformType::SequenceNumbers }));
}

#[test]
fn a_refusal_says_what_differed_from_the_nearest() {
    let ours = ike(&["aes256gcm16-prfsha384-ecp384", "aes128-sha256-modp2048"]);
    let offer = offer_ike(&ike(&["aes128-sha256-x25519"]), Spi::None);
    let refused = select_ike(&ours, &offer).unwrap_err();
    assert_eq!(refused.to_string(), "proposal 1, KE: offered CURVE_25519; configured (proposal 2) MODP_2048");
    let empty = SecurityAssociation::default();
    assert_eq!(select_ike(&ours, &empty).unwrap_err().to_string(), "nothing was offered that is configured");
}

/// The offer is a stranger's: what a refusal keeps of it stays small.
#[test]
fn a_refusal_is_bounded() {
    let transform = Transform::encryption(EncryptionId::Other(9), Some(1));
    let proposal = |number| Proposal {
        number,
        protocol: Protocol::Ike,
        spi: Spi::None,
        transforms: vec![transform; 128],
    };
    let offer = SecurityAssociation::new((1..65).map(proposal).collect());
    let refused = select_ike(&ike(&["aes256gcm16-prfsha384-ecp384"]), &offer).unwrap_err();
    assert!(refused.to_string().len() < 5000, "{}", refused.to_string().len());
}

/// A proposal put together by hand, past the keywords, must not lead to encryption alone.
#[test]
fn no_suite_encrypts_without_authenticating() {
    let mut ours = esp(&["aes256-sha256"]);
    ours[0].integrity.clear();
    let offer = offer_esp(&ours, CREATE, 9);
    assert!(select_esp(&ours, CREATE, &offer).is_err());
    assert!(accept_esp(&ours, CREATE, &offer).is_err());
}

/// Every configured pair of lists that share a proposal ends in agreement, whatever their order.
#[test]
fn shared_proposals_always_meet() {
    let texts = ["aes256gcm16-prfsha384-ecp384", "aes128-sha256-modp2048", "aes128gcm16-prfsha256-x25519"];
    for a in 0..3 {
        for b in 0..3 {
            let initiator = ike(&[texts[a], texts[(a + 1) % 3]]);
            let responder = ike(&[texts[b], texts[(b + 2) % 3]]);
            let offer = offer_ike(&initiator, Spi::None);
            let shared = initiator.iter().any(|proposal| responder.contains(proposal));
            assert_eq!(select_ike(&responder, &offer).is_ok(), shared);
        }
    }
}
