//! Every limit at one less, as many, and one more: what is one too many is refused by name, and nothing before.

use crate::wire::tests::{clear, header, raw};
use crate::wire::{Delete, Message, Outer, ParseError, Payload, Protocol, limits};

/// A message with so many of something.
type Make = fn(usize) -> Vec<u8>;

/// So many payloads of this type, all alike.
fn many(kind: u8, body: &[u8], count: usize) -> Vec<u8> {
    raw(&vec![(kind, false, body); count])
}

/// One payload of this type, with so many octets behind a beginning.
fn long(kind: u8, begins: &[u8], octets: usize) -> Vec<u8> {
    raw(&[(kind, false, &[begins, &vec![0; octets]].concat())])
}

/// A proposal for IKE with this number and these transforms.
fn proposal(number: u8, more: bool, transforms: &[Vec<u8>]) -> Vec<u8> {
    let body = transforms.concat();
    let [high, low] = ((body.len() + 8) as u16).to_be_bytes();
    let more = if more { 2 } else { 0 };
    [vec![more, 0, high, low, number, 1, 0, transforms.len() as u8], body].concat()
}

/// A pseudorandom function of this number, with so many attributes that nobody knows.
fn transform(id: u16, more: bool, attributes: usize) -> Vec<u8> {
    let body = [0x80, 99, 0, 0].repeat(attributes);
    let [high, low] = ((body.len() + 8) as u16).to_be_bytes();
    let [id_high, id_low] = id.to_be_bytes();
    [vec![if more { 3 } else { 0 }, 0, high, low, 2, 0, id_high, id_low], body].concat()
}

fn proposals(count: usize) -> Vec<u8> {
    let one = |number: usize| proposal(number as u8, number < count, &[transform(5, false, 0)]);
    raw(&[(33, false, &(1..=count).map(one).collect::<Vec<_>>().concat())])
}

fn transforms(count: usize) -> Vec<u8> {
    let all: Vec<_> = (1..=count).map(|id| transform(id as u16, id < count, 0)).collect();
    raw(&[(33, false, &proposal(1, false, &all))])
}

fn attributes(count: usize) -> Vec<u8> {
    raw(&[(33, false, &proposal(1, false, &[transform(5, false, count)]))])
}

fn deleted(count: usize) -> Vec<u8> {
    let delete = Delete::Child { protocol: Protocol::Esp, spis: vec![7; count] };
    Message::new(header(), vec![Payload::Delete(delete)]).emit().unwrap()
}

/// What an offence is called by whoever finds it.
fn name(error: ParseError) -> &'static str {
    match error {
        ParseError::TooMany { what, .. } | ParseError::BadLength { what, .. } => what,
        other => panic!("another offence: {other:?}"),
    }
}

#[test]
fn every_repeated_element_has_its_limit() {
    let cases: [(&str, usize, Make); 13] = [
        ("payloads", limits::PAYLOADS, |count| many(48, b"", count)),
        ("unknown payloads", limits::PAYLOADS, |count| many(222, b"", count)),
        ("notifies", limits::NOTIFIES, |count| many(41, &[0, 0, 0x40, 1], count)),
        ("CERT payloads", limits::CERTIFICATES, |count| many(37, &[4], count)),
        ("CERTREQ payloads", limits::CERTIFICATE_REQUESTS, |count| many(38, &[4], count)),
        ("vendor IDs", limits::VENDOR_IDS, |count| many(43, b"", count)),
        ("certificate authorities", limits::AUTHORITIES, |count| long(38, &[4], 20 * count)),
        ("identification", limits::IDENTITY_OCTETS, |octets| long(35, &[2, 0, 0, 0], octets)),
        ("proposals", limits::PROPOSALS, proposals),
        ("transforms", limits::TRANSFORMS, transforms),
        ("attributes", limits::ATTRIBUTES, attributes),
        ("deleted SPIs", limits::DELETED_SPIS, deleted),
        ("IKE message", limits::MESSAGE_OCTETS, |octets| long(43, b"", octets - 28 - 4)),
    ];
    for (what, limit, make) in cases {
        for count in [limit - 1, limit] {
            let message = clear(&make(count));
            assert!(message.is_ok(), "{count} {what}: {message:?}");
        }
        let error = Outer::parse(&make(limit + 1)).expect_err(what);
        assert_eq!(name(error), what, "{} of them", limit + 1);
    }
}

/// What is accepted at a limit is all of it, and not a part.
#[test]
fn nothing_is_lost_at_a_limit() {
    let Payload::SecurityAssociation(sa) = clear(&proposals(limits::PROPOSALS)).unwrap().payloads.remove(0)
    else {
        panic!("no SA")
    };
    assert_eq!(sa.proposals.len(), limits::PROPOSALS);
    let Payload::SecurityAssociation(sa) = clear(&transforms(limits::TRANSFORMS)).unwrap().payloads.remove(0)
    else {
        panic!("no SA")
    };
    assert_eq!(sa.proposals[0].transforms.len(), limits::TRANSFORMS);
    assert_eq!(
        clear(&many(41, &[0, 0, 0x40, 1], limits::NOTIFIES)).unwrap().payloads.len(),
        limits::NOTIFIES
    );
}

/// The count of selectors is an octet, so that the limit is what it can say; one more than it says is left over.
#[test]
fn selectors_are_as_many_as_their_count_says() {
    let selectors = |count: usize, announced: u8| {
        let selector = [7, 0, 0, 16, 0, 0, 0xff, 0xff, 10, 0, 0, 0, 10, 0, 0, 9];
        raw(&[(44, false, &[vec![announced, 0, 0, 0], selector.repeat(count)].concat())])
    };
    assert_eq!(limits::SELECTORS, usize::from(u8::MAX));
    for count in [limits::SELECTORS - 1, limits::SELECTORS] {
        let message = clear(&selectors(count, count as u8)).unwrap();
        let Payload::TrafficSelectorsInitiator(ts) = &message.payloads[0] else { panic!("no TSi") };
        assert_eq!(ts.selectors.len(), count);
    }
    let left_over = clear(&selectors(limits::SELECTORS + 1, u8::MAX));
    assert!(matches!(left_over, Err(ParseError::Trailing { .. })), "{left_over:?}");
}

#[test]
fn fragments_have_their_limit() {
    let fragment = |total: usize| {
        let fields = [1u16.to_be_bytes(), (total as u16).to_be_bytes()].concat();
        raw(&[(53, false, &[fields, b"piece".to_vec()].concat())])
    };
    let limit = usize::from(limits::FRAGMENTS);
    for total in [limit - 1, limit] {
        assert!(matches!(Outer::parse(&fragment(total)), Ok(Outer::Fragment(_))), "{total}");
    }
    assert_eq!(name(Outer::parse(&fragment(limit + 1)).expect_err("one more")), "fragments");
}
