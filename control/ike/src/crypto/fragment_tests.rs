//! What protects reassembly: any order and any repetition gives the message once, a sending with more
//! fragments replaces one with fewer, and the rest is thrown away (RFC 7383 §2.6).

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::wire::{ExchangeType, Flags, IkeSpi, Message, Payload, emit_chain};

fn header(message_id: u32) -> Header {
    Header::new(IkeSpi(1), IkeSpi(2), ExchangeType::IkeAuth, Flags::default(), message_id)
}

fn message(message_id: u32, octets: usize) -> Message {
    Message::new(header(message_id), vec![Payload::VendorId(vec![5; octets]), Payload::Eap(vec![6; 9])])
}

fn cut(message: &Message, total: u16) -> Vec<Fragment> {
    let chain = emit_chain(&message.payloads).unwrap();
    let size = chain.octets.len().div_ceil(usize::from(total));
    let pieces: Vec<&[u8]> = chain.octets.chunks(size).collect();
    assert_eq!(pieces.len(), usize::from(total), "pick a size that divides");
    (1..)
        .zip(pieces)
        .map(|(number, piece)| Fragment {
            header: message.header,
            first: if number == 1 { chain.first } else { PayloadType::None },
            number,
            total,
            content: Zeroizing::new(piece.to_vec()),
        })
        .collect()
}

proptest! {
    #[test]
    fn any_order_with_any_repetition_completes_exactly_once(
        order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
        repeated in prop::collection::vec(0..8usize, 0..12),
    ) {
        let message = message(1, 400);
        let fragments = cut(&message, 8);
        let mut reassembly = Reassembly::new(limits::MESSAGE_OCTETS);
        let last = *order.last().unwrap();
        let early = repeated.into_iter().filter(|at| *at != last);
        let arrivals: Vec<usize> = order[..7].iter().copied().chain(early).chain([last]).collect();
        let mut completed = 0;
        for at in arrivals {
            match reassembly.insert(fragments[at].clone()).unwrap() {
                Progress::Complete(found) => {
                    prop_assert_eq!(&found.message, &message);
                    completed += 1;
                }
                Progress::Waiting { have, total } => prop_assert!(have < total),
                Progress::Ignored(unwanted) => {
                    let duplicate = matches!(unwanted, Unwanted::Duplicate { .. });
                    prop_assert!(duplicate);
                }
            }
        }
        prop_assert_eq!((completed, reassembly.pending()), (1, None));
    }
}

#[test]
fn a_single_fragment_is_a_message() {
    let message = message(1, 10);
    let fragment = cut(&message, 1).remove(0);
    let progress = Reassembly::new(limits::MESSAGE_OCTETS).insert(fragment);
    assert!(matches!(progress, Ok(Progress::Complete(opened)) if opened.message == message));
}

#[test]
fn a_sending_with_more_fragments_replaces_one_with_fewer() {
    let message = message(1, 400);
    let (coarse, fine) = (cut(&message, 2), cut(&message, 4));
    let mut reassembly = Reassembly::new(limits::MESSAGE_OCTETS);
    reassembly.insert(coarse[0].clone()).unwrap();
    assert_eq!(reassembly.insert(fine[3].clone()), Ok(Progress::Waiting { have: 1, total: 4 }));
    assert_eq!(
        reassembly.insert(coarse[1].clone()),
        Ok(Progress::Ignored(Unwanted::FewerInTotal { total: 2, expected: 4 }))
    );
    assert_eq!(reassembly.pending(), Some((1, 1, 4)));
    for fragment in &fine[..2] {
        reassembly.insert(fragment.clone()).unwrap();
    }
    let progress = reassembly.insert(fine[2].clone());
    assert!(matches!(progress, Ok(Progress::Complete(opened)) if opened.message == message));
}

#[test]
fn another_message_starts_anew_and_clear_forgets() {
    let mut reassembly = Reassembly::new(limits::MESSAGE_OCTETS);
    reassembly.insert(cut(&message(1, 400), 2)[0].clone()).unwrap();
    reassembly.insert(cut(&message(2, 400), 2)[1].clone()).unwrap();
    assert_eq!(reassembly.pending(), Some((2, 1, 2)));
    reassembly.clear();
    assert_eq!(reassembly.pending(), None);
}

#[test]
fn a_fragment_of_another_exchange_is_thrown_away() {
    let fragments = cut(&message(1, 400), 2);
    let mut reassembly = Reassembly::new(limits::MESSAGE_OCTETS);
    reassembly.insert(fragments[0].clone()).unwrap();
    let mut other = fragments[1].clone();
    other.header.exchange = ExchangeType::Informational;
    assert_eq!(reassembly.insert(other), Ok(Progress::Ignored(Unwanted::OtherHeader)));
    let mut other = fragments[1].clone();
    other.header.flags.response = true;
    assert_eq!(reassembly.insert(other), Ok(Progress::Ignored(Unwanted::OtherHeader)));
    assert!(matches!(reassembly.insert(fragments[1].clone()), Ok(Progress::Complete(_))));
}

#[test]
fn more_than_a_message_is_not_held() {
    let fragment = |number| Fragment {
        header: header(1),
        first: PayloadType::None,
        number,
        total: 9,
        content: Zeroizing::new(vec![0; 30_000]),
    };
    let mut reassembly = Reassembly::new(limits::MESSAGE_OCTETS);
    assert!(reassembly.insert(fragment(1)).is_ok() && reassembly.insert(fragment(2)).is_ok());
    assert!(matches!(reassembly.insert(fragment(3)), Err(ParseError::BadLength { .. })));
    assert_eq!(reassembly.pending(), None);
}

/// The limit is the engine's, whatever fragments promise; what was held is let go when it is passed.
#[test]
fn a_message_over_the_limit_is_refused_when_it_passes_it() {
    let fragments = cut(&message(1, 3959), 4);
    let octets: usize = fragments.iter().map(|fragment| fragment.content.len()).sum();
    let mut exact = Reassembly::new(octets);
    let mut less = Reassembly::new(octets - 1);
    for fragment in &fragments[..3] {
        assert!(matches!(exact.insert(fragment.clone()), Ok(Progress::Waiting { .. })));
        assert!(matches!(less.insert(fragment.clone()), Ok(Progress::Waiting { .. })));
    }
    assert!(matches!(exact.insert(fragments[3].clone()), Ok(Progress::Complete(_))));
    let error = less.insert(fragments[3].clone()).unwrap_err();
    assert_eq!(error, ParseError::BadLength { what: "reassembled message", length: octets });
    assert_eq!(less.pending(), None);
}
