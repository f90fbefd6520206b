//! What protects SK and SKF: every suite opens what it sealed, no altered octet passes, the directions
//! do not mix, nonces do not repeat, and the CBC body agrees with the RFC taken by hand.

use proptest::prelude::*;

use super::*;
use crate::config::{AdditionalGroups, Encryption, Group, Integrity, Prf};
use crate::crypto::{Drbg, Progress, Reassembly};
use crate::wire::{ExchangeType, Flags, IkeSpi, Notify, NotifyType, Outer, Payload};

fn suites() -> Vec<IkeSuite> {
    let suite = |encryption, integrity| IkeSuite {
        encryption,
        integrity,
        prf: Prf::HmacSha256,
        group: Group::X25519,
        additional: AdditionalGroups::NONE,
    };
    vec![
        suite(Encryption::AesGcm128, None),
        suite(Encryption::AesGcm192, None),
        suite(Encryption::AesGcm256, None),
        suite(Encryption::AesCbc128, Some(Integrity::HmacSha256)),
        suite(Encryption::AesCbc192, Some(Integrity::HmacSha1)),
        suite(Encryption::AesCbc256, Some(Integrity::HmacSha384)),
        suite(Encryption::AesCbc256, Some(Integrity::HmacSha512)),
        suite(Encryption::ChaCha20Poly1305, None),
        suite(Encryption::TripleDes, Some(Integrity::HmacMd5)),
        suite(Encryption::AesCcm128, None),
        suite(Encryption::AesCcm192, None),
        suite(Encryption::AesCcm256, None),
        suite(Encryption::AesCbc128, Some(Integrity::AesCmac)),
    ]
}

fn keys(suite: &IkeSuite) -> IkeKeys {
    let key = |octet: u8, length: usize| zeroize::Zeroizing::new(vec![octet; length]);
    let (e, a) = (suite.encryption.keymat_len(), suite.integrity.map_or(0, |integrity| integrity.key_len()));
    IkeKeys {
        sk_d: key(1, 32),
        sk_ai: key(2, a),
        sk_ar: key(3, a),
        sk_ei: key(4, e),
        sk_er: key(5, e),
        sk_pi: key(6, 32),
        sk_pr: key(7, 32),
    }
}

fn pair(suite: &IkeSuite) -> (Protection, Protection) {
    let side = |role| Protection::new(suite, &keys(suite), role).unwrap();
    (side(Role::Initiator), side(Role::Responder))
}

fn message(payloads: Vec<Payload>) -> Message {
    let flags = Flags { initiator: true, ..Flags::default() };
    Message::new(Header::new(IkeSpi(1), IkeSpi(2), ExchangeType::Informational, flags, 3), payloads)
}

fn sample(octets: usize) -> Message {
    let data = (0..octets).map(|n| (n % 251) as u8).collect();
    message(vec![
        Payload::Notify(Notify::new(NotifyType::InitialContact, vec![])),
        Payload::VendorId(data),
        Payload::Eap(vec![7; 5]),
    ])
}

fn sealed(datagram: &[u8]) -> Sealed {
    let Outer::Sealed(sealed) = Outer::parse(datagram).unwrap() else { panic!() };
    sealed
}

fn fragment(datagram: &[u8]) -> SealedFragment {
    let Outer::Fragment(fragment) = Outer::parse(datagram).unwrap() else { panic!() };
    fragment
}

#[test]
fn the_peer_opens_what_we_seal() {
    for suite in suites() {
        let (mut a, mut b) = pair(&suite);
        let mut random = Drbg::new(b"seed");
        for octets in 0..70 {
            let message = sample(octets);
            let datagram = a.seal(&message, &mut random).unwrap();
            assert_eq!(b.open(&sealed(&datagram)).unwrap().message, message, "{suite:?}");
            let datagram = b.seal(&message, &mut random).unwrap();
            assert_eq!(a.open(&sealed(&datagram)).unwrap().message, message);
            assert_eq!(b.open(&sealed(&datagram)), Err(OpenError::NotAuthentic), "our own, reflected");
        }
    }
}

#[test]
fn an_empty_message_can_be_sealed() {
    for suite in suites() {
        let (mut a, b) = pair(&suite);
        let empty = message(vec![]);
        let datagram = a.seal(&empty, &mut Drbg::new(b"seed")).unwrap();
        assert_eq!(b.open(&sealed(&datagram)).unwrap().message, empty);
    }
}

#[test]
fn no_altered_octet_and_no_truncation_passes() {
    for suite in suites() {
        let (mut a, b) = pair(&suite);
        let datagram = a.seal(&sample(33), &mut Drbg::new(b"seed")).unwrap();
        for at in 0..datagram.len() {
            let mut altered = datagram.clone();
            altered[at] ^= 0x41;
            if let Ok(Outer::Sealed(sealed)) = Outer::parse(&altered) {
                assert_eq!(b.open(&sealed), Err(OpenError::NotAuthentic), "{suite:?} octet {at}");
            }
        }
        for length in 32..datagram.len() {
            let mut cut = datagram[..length].to_vec();
            cut[24..28].copy_from_slice(&(length as u32).to_be_bytes());
            cut[30..32].copy_from_slice(&(length as u16 - 28).to_be_bytes());
            assert_eq!(b.open(&sealed(&cut)), Err(OpenError::NotAuthentic), "{suite:?} cut to {length}");
        }
    }
}

/// RFC 5282 §3.1: no IV twice under one key.
#[test]
fn gcm_ivs_count_up_and_end_rather_than_repeat() {
    let (mut a, _) = pair(&suites()[0]);
    let mut random = |_: &mut [u8]| panic!("GCM draws no random octets");
    for expected in 0..5u64 {
        let datagram = a.seal(&sample(1), &mut random).unwrap();
        assert_eq!(datagram[32..40], expected.to_be_bytes());
    }
    let Direction::Aead(gcm) = &mut a.outbound else { panic!() };
    gcm.set_next(u64::MAX);
    assert!(a.seal(&sample(1), &mut random).is_ok());
    assert_eq!(a.seal(&sample(1), &mut random), Err(SealError::Exhausted));
    assert_eq!(a.seal(&sample(1), &mut random), Err(SealError::Exhausted));
}

/// The GCM body against RFC 5282 by hand, with aws-lc as the other implementation.
#[test]
fn a_gcm_body_is_what_rfc_5282_describes() {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let (mut a, _) = pair(&suites()[2]);
    let message = sample(20);
    let datagram = a.seal(&message, &mut Drbg::new(b"")).unwrap();
    let (aad, body) = datagram.split_at(32);
    let mut nonce = [4; 12];
    nonce[4..].copy_from_slice(&body[..8]);
    let mut text = body[8..].to_vec();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[4; 32]).unwrap());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let text = key.open_in_place(nonce, Aad::from(aad), &mut text).unwrap();
    assert_eq!(text, [emit_chain(&message.payloads).unwrap().octets, vec![0]].concat());
}

/// RFC 7296 §3.14 by hand: IV, CBC over payloads | padding | pad length, HMAC over all before it.
#[test]
fn a_cbc_body_is_what_rfc_7296_describes() {
    use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, UnboundCipherKey};
    let (mut a, b) = pair(&suites()[3]);
    let message = sample(20);
    let datagram = a.seal(&message, &mut Drbg::new(b"")).unwrap();
    let (covered, icv) = datagram.split_at(datagram.len() - 16);
    let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[2; 32]);
    assert_eq!(icv, &aws_lc_rs::hmac::sign(&mac, covered).as_ref()[..16]);
    let iv: [u8; 16] = covered[32..48].try_into().unwrap();
    let mut text = covered[48..].to_vec();
    let key = DecryptingKey::cbc(UnboundCipherKey::new(&AES_128, &[4; 16]).unwrap()).unwrap();
    let text = key.decrypt(&mut text, DecryptionContext::Iv128((&iv).into())).unwrap();
    let chain = emit_chain(&message.payloads).unwrap().octets;
    let padding = text.len() - chain.len() - 1;
    assert_eq!(usize::from(text[text.len() - 1]), padding);
    assert!(padding < 16 && text.starts_with(&chain));
    assert!(b.open(&sealed(&datagram)).is_ok());
}

/// An authentic peer may pad more than needed, but not more than there is.
#[test]
fn padding_is_bounded_by_the_text() {
    let strip =
        |octets: &[u8]| strip_padding(zeroize::Zeroizing::new(octets.to_vec())).map(|text| text.to_vec());
    assert_eq!(strip(&[1, 2, 9, 9, 9, 3]), Ok(vec![1, 2]));
    assert_eq!(strip(&[9, 9, 2]), Ok(vec![]));
    assert_eq!(strip(&[0]), Ok(vec![]));
    assert!(strip(&[9, 9, 3]).is_err() && strip(&[1]).is_err() && strip(&[]).is_err());
}

#[test]
fn malformed_but_authentic_content_is_told_apart() {
    let (mut a, b) = pair(&suites()[0]);
    let header = message(vec![]).header;
    let mut octets = vec![0, 0x80, 0, 4];
    let first = PayloadType::Other(200);
    let chain = Chain { first, octets: octets.clone() };
    let datagram = a.seal_whole(&header, &chain, &mut Drbg::new(b"")).unwrap();
    let critical = ParseError::UnsupportedCriticalPayload { payload: 200 };
    assert_eq!(b.open(&sealed(&datagram)), Err(OpenError::Malformed(critical)));
    octets[1] = 0;
    let datagram = a.seal_whole(&header, &Chain { first, octets }, &mut Drbg::new(b"")).unwrap();
    assert_eq!(b.open(&sealed(&datagram)).map(|opened| opened.message.skipped), Ok(1));
}

#[test]
fn keys_of_a_wrong_length_are_refused() {
    for suite in suites() {
        let mut short = keys(&suite);
        short.sk_er.pop();
        let made = Protection::new(&suite, &short, Role::Initiator).map(|_| ());
        assert!(matches!(made, Err(BadKeys::Length { key: "SK_e", .. })), "{suite:?}");
    }
    let mut suite = suites()[3];
    let mut short = keys(&suite);
    short.sk_ar.clear();
    let made = Protection::new(&suite, &short, Role::Responder).map(|_| ());
    assert!(matches!(made, Err(BadKeys::Length { key: "SK_a", length: 0, expected: 32 })));
    suite.integrity = None;
    let made = Protection::new(&suite, &keys(&suite), Role::Responder).map(|_| ());
    assert_eq!(made, Err(BadKeys::NoIntegrity));
}

#[test]
fn fragments_fit_their_limit_and_make_the_message_again() {
    for suite in suites() {
        for limit in [120, 128, 129, 576, 1200] {
            let (mut a, b) = pair(&suite);
            let message = sample(3000);
            let datagrams = a.seal_fragments(&message, limit, &mut Drbg::new(b"seed")).unwrap();
            assert!(datagrams.len() > 1 && datagrams.iter().all(|datagram| datagram.len() <= limit));
            let longest = datagrams.iter().map(Vec::len).max().unwrap();
            assert!(longest + 16 > limit, "{suite:?}: room for another block was left");
            let mut reassembly = Reassembly::new(limits::MESSAGE_OCTETS);
            let mut complete = None;
            for datagram in datagrams.iter().rev() {
                let fragment = b.open_fragment(&fragment(datagram)).unwrap();
                if let Progress::Complete(opened) = reassembly.insert(fragment).unwrap() {
                    complete = Some(opened);
                }
            }
            assert_eq!(complete.map(|opened| opened.message), Some(message));
        }
    }
}

/// RFC 9242 §3.3.2: what AUTH covers is the same for who sends and who receives, whole or in fragments.
#[test]
fn what_auth_covers_is_the_same_however_it_travelled() {
    for suite in suites() {
        let (mut a, b) = pair(&suite);
        let message = sample(700);
        let ours = covered(&message).unwrap();
        let whole = a.seal(&message, &mut Drbg::new(b"seed")).unwrap();
        assert_eq!(b.open(&sealed(&whole)).unwrap().covered().unwrap(), ours);
        let mut reassembly = Reassembly::new(limits::MESSAGE_OCTETS);
        let progress = a.seal_fragments(&message, 300, &mut Drbg::new(b"seed")).unwrap();
        let progress =
            progress.iter().map(|piece| reassembly.insert(b.open_fragment(&fragment(piece)).unwrap()));
        let Some(Ok(Progress::Complete(opened))) = progress.last() else { panic!() };
        assert_eq!(opened.covered().unwrap(), ours);
    }
}

/// What we have sealed comes in more pieces than before, none too large, of every size and by every cipher; what others have
/// sealed does not come at all.
#[test]
fn what_was_sealed_is_cut_smaller() {
    for suite in suites() {
        let (mut a, mut b) = pair(&suite);
        let mut datagrams = a.seal_fragments(&sample(3000), 5000, &mut Drbg::new(b"")).unwrap();
        for limit in [2900, 1500, 1252, 1250, 548, 400] {
            assert!(b.refragment(&datagrams, limit, &mut Drbg::new(b"")).is_none());
            let smaller = a.refragment(&datagrams, limit, &mut Drbg::new(b"")).unwrap();
            assert!(smaller.len() > datagrams.len() && smaller.iter().all(|piece| piece.len() <= limit));
            let mut reassembly = Reassembly::new(10_000);
            let pieces = smaller.iter().map(|piece| b.open_fragment(&fragment(piece)).unwrap());
            let last = pieces.map(|piece| reassembly.insert(piece).unwrap()).last().unwrap();
            let Progress::Complete(unsealed) = last else { panic!("{last:?}") };
            assert_eq!(unsealed.message, sample(3000));
            datagrams = smaller;
        }
        assert!(a.refragment(&[], 500, &mut Drbg::new(b"")).is_none());
        assert!(a.refragment(&[vec![0; 40]], 500, &mut Drbg::new(b"")).is_none());
    }
}

#[test]
fn a_message_that_fits_is_not_fragmented() {
    for suite in suites() {
        let (mut a, b) = pair(&suite);
        let length = a.seal(&sample(500), &mut Drbg::new(b"")).unwrap().len();
        let whole = a.seal_fragments(&sample(500), length, &mut Drbg::new(b"")).unwrap();
        assert_eq!(whole.len(), 1);
        assert!(b.open(&sealed(&whole[0])).is_ok());
        assert!(a.seal_fragments(&sample(500), length - 1, &mut Drbg::new(b"")).unwrap().len() > 1);
    }
}

#[test]
fn impossible_fragment_sizes_are_errors() {
    for suite in suites() {
        let (mut a, _) = pair(&suite);
        for limit in [0, 28, 36, 50] {
            let refused = a.seal_fragments(&sample(500), limit, &mut Drbg::new(b""));
            assert_eq!(refused, Err(SealError::NoRoom { limit }), "{suite:?}");
        }
        let refused = a.seal_fragments(&sample(60_000), 150, &mut Drbg::new(b""));
        assert!(matches!(refused, Err(SealError::Emit(EmitError::TooMany { what: "fragments", .. }))));
    }
}

/// Fragment number and total are authenticated (RFC 7383 §2.5).
#[test]
fn fragment_fields_cannot_be_altered() {
    for suite in suites() {
        let (mut a, b) = pair(&suite);
        let datagrams = a.seal_fragments(&sample(900), 400, &mut Drbg::new(b"")).unwrap();
        let mut altered = datagrams[1].clone();
        altered[33] = 3;
        assert_eq!(b.open_fragment(&fragment(&altered)).unwrap_err(), OpenError::NotAuthentic);
        altered[33] = 2;
        assert!(b.open_fragment(&fragment(&altered)).is_ok());
        altered[35] += 1;
        assert_eq!(b.open_fragment(&fragment(&altered)).unwrap_err(), OpenError::NotAuthentic);
    }
}

proptest! {
    #[test]
    fn random_bodies_never_open_and_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for suite in suites() {
            let (_, b) = pair(&suite);
            let envelope = Envelope {
                header: &message(vec![]).header,
                payload_type: PayloadType::Encrypted,
                first: PayloadType::Nonce,
                fragment: None,
            };
            let datagram = [envelope.emit(body.len()).unwrap(), body.clone()].concat();
            prop_assert_eq!(b.open(&sealed(&datagram)), Err(OpenError::NotAuthentic));
        }
    }
}
