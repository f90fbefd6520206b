//! What protects the format: each payload survives a round trip, no prefix of a message is taken for
//! a message, no octets whatever make the parser panic, and unknowns are treated as RFC 7296 §2.5 and §3.3.6 say.

use proptest::collection::vec;
use proptest::prelude::*;

use super::codec::Reader;
use super::*;

pub(super) fn header() -> Header {
    let flags = Flags { initiator: true, ..Flags::default() };
    Header::new(IkeSpi(0x0102_0304_0506_0708), IkeSpi::ZERO, ExchangeType::IkeSaInit, flags, 7)
}

pub(super) fn clear(octets: &[u8]) -> Result<Message, ParseError> {
    match Outer::parse(octets)? {
        Outer::Clear(message) => Ok(message),
        other => panic!("not clear: {other:?}"),
    }
}

fn round_trip(payload: Payload) {
    let message = Message::new(header(), vec![payload]);
    let octets = message.emit().unwrap();
    assert_eq!(clear(&octets).unwrap(), message);
    for length in 0..octets.len() {
        assert!(Outer::parse(&octets[..length]).is_err(), "a prefix of {length} octets parsed");
    }
}

/// Raw payloads behind a header: type of each, critical bit, body.
pub(super) fn raw(links: &[(u8, bool, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (index, (_, critical, content)) in links.iter().enumerate() {
        let next = links.get(index + 1).map_or(0, |link| link.0);
        body.extend([next, if *critical { 0x80 } else { 0 }]);
        body.extend(u16::try_from(content.len() + 4).unwrap().to_be_bytes());
        body.extend_from_slice(content);
    }
    let mut out = Vec::new();
    let first = links.first().map_or(0, |link| link.0);
    header().emit(first.into(), (HEADER_LENGTH + body.len()) as u32, &mut out);
    out.extend(body);
    out
}

fn transform() -> impl Strategy<Value = Transform> {
    (any::<u8>(), any::<u16>(), any::<Option<u16>>()).prop_map(|(kind, id, key_length)| Transform {
        transform_type: kind.into(),
        id,
        key_length,
        understood: true,
    })
}

fn security_association() -> impl Strategy<Value = SecurityAssociation> {
    let spi = prop_oneof![
        Just((Protocol::Ike, Spi::None)),
        any::<u64>().prop_map(|spi| (Protocol::Ike, Spi::Ike(IkeSpi(spi)))),
        any::<u32>().prop_map(|spi| (Protocol::Esp, Spi::Child(spi))),
        any::<u32>().prop_map(|spi| (Protocol::Ah, Spi::Child(spi))),
    ];
    vec((spi, vec(transform(), 0..12)), 1..6).prop_map(|proposals| {
        let numbered = (1u8..).zip(proposals);
        SecurityAssociation::new(
            numbered
                .map(|(number, ((protocol, spi), transforms))| Proposal { number, protocol, spi, transforms })
                .collect(),
        )
    })
}

fn selector() -> impl Strategy<Value = TrafficSelector> {
    let addresses = prop_oneof![
        any::<[std::net::Ipv4Addr; 2]>().prop_map(|pair| pair.map(std::net::IpAddr::from)),
        any::<[std::net::Ipv6Addr; 2]>().prop_map(|pair| pair.map(std::net::IpAddr::from)),
    ];
    (any::<u8>(), any::<[u16; 2]>(), addresses).prop_map(|(protocol, [start_port, end_port], [a, b])| {
        let addresses = AddressRange::new(a.min(b), a.max(b)).unwrap();
        TrafficSelector { protocol, start_port, end_port, addresses }
    })
}

fn notify() -> impl Strategy<Value = Notify> {
    let about = prop_oneof![
        Just((None, Spi::None)),
        any::<u32>().prop_map(|spi| (Some(Protocol::Esp), Spi::Child(spi))),
        any::<u64>().prop_map(|spi| (Some(Protocol::Ike), Spi::Ike(IkeSpi(spi)))),
    ];
    (about, any::<u16>(), vec(any::<u8>(), 0..80)).prop_map(|((protocol, spi), notify_type, data)| Notify {
        protocol,
        spi,
        notify_type: notify_type.into(),
        data,
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    let octets = || vec(any::<u8>(), 0..300);
    // Identification types without a fixed length; addresses have a test of their own.
    let identification =
        || (6u8..=255, octets()).prop_map(|(id_type, data)| Identification::new(id_type.into(), data));
    let selectors = || vec(selector(), 0..9).prop_map(TrafficSelectors::new);
    prop_oneof![
        security_association().prop_map(Payload::SecurityAssociation),
        (any::<u16>(), octets())
            .prop_map(|(method, data)| Payload::KeyExchange(KeyExchange { method: method.into(), data })),
        identification().prop_map(Payload::IdentificationInitiator),
        identification().prop_map(Payload::IdentificationResponder),
        (any::<u8>(), octets()).prop_map(|(encoding, data)| Payload::Certificate(Certificate {
            encoding: encoding.into(),
            data
        })),
        vec(any::<[u8; 20]>(), 0..9)
            .prop_map(|hashes| Payload::CertificateRequest(CertificateRequest::x509(&hashes))),
        (any::<u8>(), octets()).prop_map(|(method, data)| Payload::Authentication(Authentication {
            method: method.into(),
            data
        })),
        vec(any::<u8>(), 16..=256).prop_map(|octets| Payload::Nonce(Nonce::new(octets).unwrap())),
        notify().prop_map(Payload::Notify),
        Just(Payload::Delete(Delete::Ike)),
        vec(any::<u32>(), 0..20)
            .prop_map(|spis| Payload::Delete(Delete::Child { protocol: Protocol::Esp, spis })),
        octets().prop_map(Payload::VendorId),
        selectors().prop_map(Payload::TrafficSelectorsInitiator),
        selectors().prop_map(Payload::TrafficSelectorsResponder),
        octets().prop_map(Payload::Configuration),
        octets().prop_map(Payload::Eap),
    ]
}

proptest! {
    #[test]
    fn every_payload_survives_a_round_trip_and_no_truncation_passes(payload in payload()) {
        round_trip(payload);
    }

    #[test]
    fn a_chain_survives_a_round_trip(payloads in vec(payload(), 0..10)) {
        let message = Message::new(header(), payloads);
        prop_assert_eq!(clear(&message.emit().unwrap()).unwrap(), message);
    }

    #[test]
    fn random_octets_never_panic(octets in vec(any::<u8>(), 0..600)) {
        let _ = Outer::parse(&octets);
    }

    #[test]
    fn random_bodies_never_panic(kind in 33u8..56, body in vec(any::<u8>(), 0..200)) {
        let _ = Outer::parse(&raw(&[(kind, false, &body)]));
    }

    #[test]
    fn flipped_octets_never_panic_and_what_parses_can_be_written(
        payloads in vec(payload(), 1..4), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let mut octets = Message::new(header(), payloads).emit().unwrap();
        let at = at.index(octets.len());
        octets[at] ^= flip;
        if let Ok(Outer::Clear(message)) = Outer::parse(&octets) {
            prop_assert!(message.emit().is_ok());
        }
    }
}

#[test]
fn a_known_sa_init_reads_as_its_author_meant() {
    // One proposal, AES_GCM_16_256, PRF_HMAC_SHA2_384, ECP_384, written out by hand from the RFC.
    let sa: &[u8] = &[
        0, 0, 0, 36, 1, 1, 0, 3, // proposal 1, IKE, no SPI, 3 transforms
        3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0, // ENCR 20, key length 256
        3, 0, 0, 8, 2, 0, 0, 6, // PRF 6
        0, 0, 0, 8, 4, 0, 0, 20, // KE 20
    ];
    let message = clear(&raw(&[(33, false, sa)])).unwrap();
    let Payload::SecurityAssociation(sa) = &message.payloads[0] else { panic!() };
    assert_eq!(
        sa.proposals,
        [Proposal {
            number: 1,
            protocol: Protocol::Ike,
            spi: Spi::None,
            transforms: vec![
                Transform::encryption(EncryptionId::AesGcm16, Some(256)),
                Transform::prf(PrfId::HmacSha2_384),
                Transform::key_exchange(KeyExchangeId::Ecp384),
            ],
        }]
    );
    assert_eq!(sa.proposals[0].transforms[0].to_string(), "AES_GCM_16_256");
}

/// RFC 9370 §2.2.1: types 6 to 12 name methods of type 4, and may say NONE.
#[test]
fn additional_key_exchanges_read_as_their_author_meant() {
    let sa: &[u8] = &[
        0, 0, 0, 36, 1, 3, 4, 3, 1, 2, 3, 4, // proposal 1, ESP, SPI, 3 transforms
        3, 0, 0, 8, 4, 0, 0, 31, // KE 31
        3, 0, 0, 8, 6, 0, 0, 36, // ADDKE1 36
        0, 0, 0, 8, 12, 0, 0, 0, // ADDKE7 NONE
    ];
    let message = clear(&raw(&[(33, false, sa)])).unwrap();
    let Payload::SecurityAssociation(parsed) = &message.payloads[0] else { panic!() };
    let [first, last] = [TransformType::ADDITIONAL[0], TransformType::ADDITIONAL[6]];
    assert_eq!(
        parsed.proposals[0].transforms,
        [
            Transform::key_exchange(KeyExchangeId::Curve25519),
            Transform::additional_key_exchange(first, KeyExchangeId::MlKem768),
            Transform::additional_key_exchange(last, KeyExchangeId::None),
        ]
    );
    let words: Vec<String> = parsed.proposals[0].transforms.iter().map(Transform::to_string).collect();
    assert_eq!(words, ["CURVE_25519", "ADDKE1_ML_KEM_768", "ADDKE7_NONE"]);
    for (kind, number) in TransformType::ADDITIONAL.into_iter().zip(6u8..) {
        assert_eq!(u8::from(kind), number);
    }
}

#[test]
fn an_unknown_payload_is_skipped_unless_critical() {
    let nonce = [9u8; 16];
    let message = clear(&raw(&[(200, false, b"?"), (40, false, &nonce)])).unwrap();
    assert_eq!((message.skipped, message.payloads.len()), (1, 1));
    let error = clear(&raw(&[(200, true, b"?"), (40, false, &nonce)])).unwrap_err();
    assert_eq!(error, ParseError::UnsupportedCriticalPayload { payload: 200 });
    assert_eq!(error.notify(), (NotifyType::UnsupportedCriticalPayload, vec![200]));
}

/// RFC 7296 §3.2: critical and reserved bits of what we send are zero.
#[test]
fn no_payload_of_ours_is_critical() {
    let notify = || Payload::Notify(Notify::new(NotifyType::InitialContact, vec![0xff; 9]));
    let nonce = Payload::Nonce(Nonce::new(vec![0xff; 16]).unwrap());
    let chain = emit_chain(&[notify(), nonce, Payload::VendorId(vec![0xff]), notify()]).unwrap();
    let (mut at, mut links) = (0, 0);
    while at < chain.octets.len() {
        assert_eq!(chain.octets[at + 1], 0);
        at += usize::from(u16::from_be_bytes([chain.octets[at + 2], chain.octets[at + 3]]));
        links += 1;
    }
    assert_eq!(links, 4);
}

#[test]
fn a_critical_bit_on_a_known_payload_is_ignored() {
    assert!(clear(&raw(&[(40, true, &[1; 16])])).is_ok());
}

#[test]
fn another_major_version_is_told_apart_and_a_minor_one_ignored() {
    let mut octets = raw(&[(40, false, &[1; 16])]);
    octets[17] = 0x2f;
    assert!(clear(&octets).is_ok());
    octets[17] = 0x30;
    let error = Outer::parse(&octets).unwrap_err();
    assert_eq!(error, ParseError::InvalidMajorVersion { major: 3, minor: 0 });
    assert_eq!(error.notify().0, NotifyType::InvalidMajorVersion);
}

#[test]
fn an_unknown_attribute_spoils_its_transform_only() {
    let sa: &[u8] = &[
        0, 0, 0, 36, 1, 3, 4, 2, 1, 2, 3, 4, // proposal 1, ESP, SPI, 2 transforms
        3, 0, 0, 16, 1, 0, 0, 12, 0x80, 14, 0, 128, 0x80, 99, 0, 1, // ENCR with attribute 99
        0, 0, 0, 8, 5, 0, 0, 0, // ESN 0
    ];
    let message = clear(&raw(&[(33, false, sa)])).unwrap();
    let Payload::SecurityAssociation(sa) = &message.payloads[0] else { panic!() };
    let understood: Vec<bool> = sa.proposals[0].transforms.iter().map(|t| t.understood).collect();
    assert_eq!(understood, [false, true]);
}

#[test]
fn a_proposal_of_an_unknown_protocol_is_passed_over() {
    let sa: &[u8] = &[
        2, 0, 0, 9, 1, 77, 1, 0, 5, // proposal 1, protocol 77, one-octet SPI
        0, 0, 0, 20, 2, 3, 4, 1, 1, 2, 3, 4, 0, 0, 0, 8, 5, 0, 0, 0,
    ];
    let message = clear(&raw(&[(33, false, sa)])).unwrap();
    let Payload::SecurityAssociation(sa) = &message.payloads[0] else { panic!() };
    assert_eq!((sa.ignored, sa.proposals.len(), sa.proposals[0].number), (1, 1, 2));
}

#[test]
fn proposals_of_one_number_are_refused() {
    let proposal = |more| [more, 0, 0, 8, 1, 1, 0, 0];
    let sa = [proposal(2), proposal(0)].concat();
    let error = clear(&raw(&[(33, false, &sa)])).unwrap_err();
    assert_eq!(error, ParseError::BadValue { what: "proposal number", value: 1 });
}

#[test]
fn spis_of_a_wrong_size_are_refused() {
    let notify = |size: u8| [vec![3, size, 0, 11], vec![0; usize::from(size)]].concat();
    for size in 0..=16 {
        let parsed = clear(&raw(&[(41, false, &notify(size))]));
        assert_eq!(parsed.is_ok(), matches!(size, 0 | 4 | 8), "size {size}");
    }
    let ike_with_spi: &[u8] = &[1, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    assert!(clear(&raw(&[(42, false, ike_with_spi)])).is_err());
}

#[test]
fn unknown_selector_types_are_skipped_and_upside_down_ranges_refused() {
    let unknown = [9u8, 0, 0, 6, 1, 2];
    let mut known = [7u8, 0, 0, 16, 0, 0, 255, 255, 10, 0, 0, 0, 10, 0, 0, 255];
    let ts = [&[2, 0, 0, 0][..], &unknown, &known].concat();
    let message = clear(&raw(&[(44, false, &ts)])).unwrap();
    let Payload::TrafficSelectorsInitiator(parsed) = &message.payloads[0] else { panic!() };
    assert_eq!((parsed.ignored, parsed.selectors.len()), (1, 1));
    known[15] = 0;
    known[11] = 1;
    assert!(clear(&raw(&[(44, false, &[&[1, 0, 0, 0][..], &known].concat())])).is_err());
}

#[test]
fn identification_addresses_have_their_length() {
    let id = |id_type: u8, length: usize| [vec![id_type, 0, 0, 0], vec![1; length]].concat();
    for (id_type, length, good) in [(1, 4, true), (1, 5, false), (5, 16, true), (5, 4, false), (2, 0, true)] {
        assert_eq!(clear(&raw(&[(35, false, &id(id_type, length))])).is_ok(), good, "{id_type} {length}");
    }
}

#[test]
fn reserved_identification_octets_reach_auth_as_received() {
    let message = clear(&raw(&[(36, false, &[2, 7, 8, 9, b'x'])])).unwrap();
    let Payload::IdentificationResponder(id) = &message.payloads[0] else { panic!() };
    assert_eq!(id.body(), [2, 7, 8, 9, b'x']);
}

#[test]
fn a_datagram_longer_than_its_header_says_is_refused() {
    let mut octets = raw(&[(40, false, &[1; 16])]);
    octets.push(0);
    assert!(matches!(Outer::parse(&octets), Err(ParseError::LengthMismatch { .. })));
}

#[test]
fn an_oversized_payload_is_not_written() {
    let message = Message::new(header(), vec![Payload::VendorId(vec![0; 65_536])]);
    assert!(matches!(message.emit(), Err(EmitError::TooLong { what: "payload", .. })));
    let halves = vec![Payload::VendorId(vec![0; 40_000]), Payload::Eap(vec![0; 40_000])];
    let message = Message::new(header(), halves);
    assert!(matches!(message.emit(), Err(EmitError::TooLong { what: "IKE message", .. })));
}

#[test]
fn the_encrypted_body_is_cut_at_the_payload_header() {
    // SK names the inner payload (40) in its own Next Payload, behind which nothing may follow.
    let mut octets = raw(&[(46, false, b"iv and ciphertext")]);
    octets[28] = 40;
    let Outer::Sealed(sealed) = Outer::parse(&octets).unwrap() else { panic!() };
    assert_eq!(sealed.first(), PayloadType::Nonce);
    assert_eq!((sealed.associated(), sealed.body()), (&octets[..32], &b"iv and ciphertext"[..]));
    let Err(error) = Outer::parse(&raw(&[(46, false, b"x"), (40, false, &[0; 16])])) else { panic!() };
    assert!(matches!(error, ParseError::Trailing { .. }));
}

#[test]
fn fragment_numbers_are_checked_and_authenticated() {
    let fragment = |number: u16, total: u16, next: u8| {
        let fields = [number.to_be_bytes(), total.to_be_bytes()].concat();
        let mut octets = raw(&[(53, false, &[fields, b"piece".to_vec()].concat())]);
        octets[28] = next;
        octets
    };
    let octets = fragment(1, 3, 33);
    let Outer::Fragment(parsed) = Outer::parse(&octets).unwrap() else { panic!() };
    assert_eq!((parsed.number(), parsed.total()), (1, 3));
    assert_eq!((parsed.sealed().associated(), parsed.sealed().body()), (&octets[..36], &b"piece"[..]));
    assert!(Outer::parse(&fragment(2, 3, 0)).is_ok());
    for bad in [fragment(0, 3, 33), fragment(4, 3, 0), fragment(1, 0, 33), fragment(2, 3, 33)] {
        assert!(Outer::parse(&bad).is_err());
    }
}

#[test]
fn registries_map_both_ways_without_collision() {
    fn check<T, N>(listed: &[N])
    where
        T: From<N> + Into<N> + std::fmt::Display,
        N: Copy + Ord + std::fmt::Debug + std::fmt::Display,
    {
        let mut sorted = listed.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), listed.len());
        for number in listed {
            assert_eq!(T::from(*number).into(), *number);
            assert_ne!(T::from(*number).to_string(), number.to_string(), "listed but unnamed");
        }
    }
    check::<ExchangeType, u8>(ExchangeType::LISTED);
    check::<PayloadType, u8>(PayloadType::LISTED);
    check::<Protocol, u8>(Protocol::LISTED);
    check::<TransformType, u8>(TransformType::LISTED);
    check::<EncryptionId, u16>(EncryptionId::LISTED);
    check::<PrfId, u16>(PrfId::LISTED);
    check::<IntegrityId, u16>(IntegrityId::LISTED);
    check::<KeyExchangeId, u16>(KeyExchangeId::LISTED);
    check::<SequenceNumbersId, u16>(SequenceNumbersId::LISTED);
    check::<IdentificationType, u8>(IdentificationType::LISTED);
    check::<CertificateEncoding, u8>(CertificateEncoding::LISTED);
    check::<AuthenticationMethod, u8>(AuthenticationMethod::LISTED);
    check::<NotifyType, u16>(NotifyType::LISTED);
    assert!(NotifyType::Other(8192).is_error() && !NotifyType::InitialContact.is_error());
}

#[test]
fn a_reader_never_steps_outside() {
    let mut reader = Reader::new("test", &[1, 2, 3]);
    assert_eq!(reader.u16(), Ok(0x0102));
    assert_eq!(reader.u16(), Err(ParseError::Truncated { what: "test", need: 2, have: 1 }));
    assert_eq!(reader.u8(), Ok(3));
    assert!(reader.is_empty() && reader.finish().is_ok());
}
