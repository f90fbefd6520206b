//! What reassembly must hold: every order gives the whole, overlaps give nothing, and a flood is
//! bounded and gives all its frames back.

use super::*;
use crate::io::ram::{RamFrame, RamPool};
use crate::net::{ipv4, ipv6};
use crate::node::fragment::tests::{pieces, v4, v6};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000;

fn pool() -> RamPool {
    RamPool::new(200, 20)
}

fn table(limits: Limits) -> Reassembler<RamFrame> {
    Reassembler::new(limits, 42)
}

fn frame(pool: &mut RamPool, instance: u16, bytes: &[u8]) -> RamFrame {
    let mut frame = pool.copy_of(bytes).unwrap();
    frame.meta_mut().instance = instance;
    frame
}

/// The whole datagram, if `pieces` in this order make one; each piece must be held until the last.
fn reassembled(pieces: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (mut pool, mut table) = (pool(), table(Limits::default()));
    let mut whole = None;
    for bytes in pieces {
        let frame = frame(&mut pool, 3, bytes);
        match table.offer(0, frame, &mut pool) {
            Offered::Whole { frame, fragments } => {
                assert!(whole.is_none() && frame.meta().instance == 3 && fragments <= pieces.len());
                whole = Some(frame.data().to_vec());
            }
            Offered::NotFragment(_) => panic!("a fragment was taken for a whole packet"),
            Offered::Held | Offered::Duplicate | Offered::Refused { .. } => (),
        }
    }
    table.expire(10 * SECOND, 5000);
    assert_eq!((table.frames(), table.datagrams(), pool.available()), (0, 0, pool.capacity()));
    whole
}

fn either(six: bool, payload: usize, mtu: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let packet = if six { v6(payload) } else { v4(payload, &[], false) };
    let pieces = pieces(&packet, mtu, 77);
    (packet, pieces)
}

#[test]
fn all_orders_of_four_pieces_give_the_whole() {
    for six in [false, true] {
        let (packet, pieces) = either(six, 900, 300);
        assert_eq!(pieces.len(), 4);
        for order in 0..256usize {
            let order = [order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6];
            let all = (0..4).all(|n| order.contains(&n));
            let picked: Vec<_> = order.iter().map(|n| pieces[*n].clone()).collect();
            assert_eq!(reassembled(&picked), all.then(|| packet.clone()), "{order:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_order_with_duplicates_gives_the_whole(
        six: bool, payload in 300usize..6000, mtu in 100usize..300,
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..100),
    ) {
        let (packet, pieces) = either(six, payload, mtu.max(60 + payload / 40));
        let mut sequence: Vec<_> = (0..pieces.len()).collect();
        for (n, index) in order.iter().enumerate() {
            sequence.swap(n % pieces.len(), index.index(pieces.len()));
        }
        // Copies before the end are told from overlaps.
        let copies: Vec<_> = sequence.iter().flat_map(|n| vec![pieces[*n].clone(); 1 + n % 2]).collect();
        let last = copies.iter().rposition(|bytes| *bytes == pieces[sequence[pieces.len() - 1]]).unwrap();
        let until = last + 1 - (sequence[pieces.len() - 1] % 2);
        prop_assert_eq!(reassembled(&copies[..until]), Some(packet));
    }

    #[test]
    fn a_missing_piece_gives_nothing(six: bool, payload in 300usize..3000, missing: prop::sample::Index) {
        let (_, mut pieces) = either(six, payload, 200);
        pieces.remove(missing.index(pieces.len()));
        prop_assert_eq!(reassembled(&pieces), None);
    }

    /// RFC 5722: one overlapping fragment, in whatever place, ends its datagram.
    #[test]
    fn an_overlap_gives_nothing(payload in 600usize..3000, at: prop::sample::Index, shift in 1u16..8, six: bool) {
        let (_, mut pieces) = either(six, payload, 200);
        // A copy of some later piece moved a little forward overlaps the one before it and itself.
        let which = 1 + at.index(pieces.len() - 1);
        let mut moved = pieces[which].clone();
        shift_offset(&mut moved, shift);
        pieces.insert(at.index(pieces.len()), moved);
        prop_assert_eq!(reassembled(&pieces), None);
    }

    #[test]
    fn arbitrary_fragments_never_panic_and_keep_the_bounds(
        packets in proptest::collection::vec((any::<bool>(), 0u16..20, any::<bool>(), 0usize..60, 0u32..3), 1..100),
    ) {
        let (mut pool, mut table) = (pool(), table(Limits { datagrams: 8, frames: 10, datagrams_per_source: 2, timeout_us: 50 }));
        for (now, (six, offset, more, length, id)) in packets.into_iter().enumerate() {
            let bytes = raw(six, offset * 8, more, length, id);
            let frame = frame(&mut pool, 0, &bytes);
            drop(table.offer(now as u64, frame, &mut pool));
            prop_assert!(table.frames() <= 10 && table.datagrams() <= 2 * 2);
            prop_assert_eq!(pool.available() + table.frames(), pool.capacity());
        }
    }
}

/// Moves a fragment `by` eight-octet units towards the start.
fn shift_offset(packet: &mut [u8], by: u16) {
    if packet[0] >> 4 == 6 {
        let field = u16::from_be_bytes([packet[42], packet[43]]) - by * 8;
        packet[42..44].copy_from_slice(&field.to_be_bytes());
    } else {
        let field = u16::from_be_bytes([packet[6], packet[7]]) - by;
        packet[6..8].copy_from_slice(&field.to_be_bytes());
    }
}

/// One fragment with the fields given.
fn raw(six: bool, offset: u16, more: bool, length: usize, id: u32) -> Vec<u8> {
    if six {
        let mut bytes = v6(length + 8);
        bytes[6] = 44;
        ipv6::Fragment { next_header: 50, offset, more, id }.emit(&mut bytes[40..]).unwrap();
        return bytes;
    }
    let mut bytes = v4(length, &[], false);
    let repr = ipv4::Repr::parse(&bytes).unwrap();
    let repr = ipv4::Repr { fragment_offset: offset, more_fragments: more, id: id as u16, ..repr };
    repr.emit(&mut bytes).unwrap();
    bytes
}

fn offer(table: &mut Reassembler<RamFrame>, pool: &mut RamPool, now: u64, bytes: &[u8]) -> Offered<RamFrame> {
    let frame = frame(pool, 0, bytes);
    table.offer(now, frame, pool)
}

fn why(offered: Offered<RamFrame>) -> (Why, usize) {
    match offered {
        Offered::Refused { why, fragments } => (why, fragments),
        other => panic!("{other:?}"),
    }
}

#[test]
fn impossible_fragments_are_refused_by_name() {
    let (mut pool, mut table) = (pool(), table(Limits::default()));
    let mut ask = |bytes: Vec<u8>| why(offer(&mut table, &mut pool, 0, &bytes)).0;
    for six in [false, true] {
        assert!(matches!(ask(raw(six, 64, true, 13, 1)), Why::BadLength { length: 13, .. }));
        assert!(matches!(ask(raw(six, 64, true, 0, 1)), Why::BadLength { length: 0, .. }));
        assert_eq!(ask(raw(six, 0, true, 8, 1)), Why::Tiny { length: 8 });
        assert!(matches!(ask(raw(six, 65_528, false, 8, 1)), Why::TooLong { .. }));
    }
    assert!(matches!(ask(vec![0x45; 10]), Why::Malformed(_)));
}

#[test]
fn an_overlapped_datagram_stays_refused_until_its_time_is_up() {
    let (mut pool, mut table) = (pool(), table(Limits::default()));
    let mut ask =
        |now, offset, more, length| offer(&mut table, &mut pool, now, &raw(true, offset, more, length, 1));
    assert!(matches!(ask(0, 0, true, 64), Offered::Held));
    assert!(matches!(ask(0, 128, true, 64), Offered::Held));
    assert_eq!(why(ask(0, 56, true, 32)), (Why::Overlap, 3));
    assert_eq!(why(ask(SECOND, 64, true, 64)), (Why::Overlap, 1));
    assert!(matches!(ask(2 * SECOND, 64, true, 64), Offered::Held));
}

#[test]
fn the_smallest_overlap_on_either_side_is_seen_at_once() {
    let (mut pool, mut table) = (pool(), table(Limits::default()));
    let mut ask =
        |offset, more, length, id| offer(&mut table, &mut pool, 0, &raw(false, offset, more, length, id));
    for (id, offset, length) in [(1, 40, 32), (2, 120, 32), (3, 64, 8), (4, 0, 200)] {
        assert!(matches!(ask(64, true, 64, id), Offered::Held));
        assert_eq!(why(ask(offset, true, length, id)), (Why::Overlap, 2), "{offset}+{length}");
    }
    // Touching is no overlap.
    for (offset, length) in [(64, 64), (32, 32), (128, 32)] {
        assert!(matches!(ask(offset, true, length, 5), Offered::Held));
    }
}

#[test]
fn two_different_ends_are_an_overlap() {
    let (mut pool, mut table) = (pool(), table(Limits::default()));
    let mut ask =
        |offset, more, length, id| offer(&mut table, &mut pool, 0, &raw(false, offset, more, length, id));
    assert!(matches!(ask(64, false, 20, 1), Offered::Held));
    assert_eq!(why(ask(128, false, 20, 1)).0, Why::Overlap);
    assert!(matches!(ask(128, true, 64, 2), Offered::Held));
    assert_eq!(why(ask(64, false, 20, 2)).0, Why::Overlap);
    assert!(matches!(ask(64, false, 20, 3), Offered::Held));
    assert_eq!(why(ask(96, true, 64, 3)).0, Why::Overlap);
}

#[test]
fn a_source_has_a_share_and_the_table_an_end() {
    let limits = Limits { datagrams: 64, frames: 20, datagrams_per_source: 4, timeout_us: SECOND };
    let (mut pool, mut table) = (pool(), table(limits));
    let answers: Vec<_> =
        (0..10u32).map(|id| offer(&mut table, &mut pool, 0, &raw(false, 0, true, 64, id))).collect();
    let held = answers.iter().filter(|answer| matches!(answer, Offered::Held)).count();
    let quota = answers
        .iter()
        .filter(|answer| matches!(answer, Offered::Refused { why: Why::SourceQuota, .. }))
        .count();
    assert_eq!((held, quota), (4, 6));
    // Another source is not hindered, until all frames are taken.
    for id in 0..40u8 {
        let mut bytes = raw(false, 0, true, 64, 1);
        bytes[12..16].copy_from_slice(&[10, 0, 0, id]);
        drop(offer(&mut table, &mut pool, 0, &bytes));
    }
    assert_eq!(table.frames(), 20);
    let mut bytes = raw(false, 0, true, 64, 1);
    bytes[12..16].copy_from_slice(&[10, 0, 1, 1]);
    assert!(matches!(why(offer(&mut table, &mut pool, 0, &bytes)).0, Why::TableFull));
    let held = table.datagrams();
    assert_eq!(table.expire(SECOND - 1, 64), Expired::default());
    assert_eq!(table.expire(SECOND, 64), Expired { datagrams: held, fragments: 20 });
    assert_eq!((table.frames(), pool.available()), (0, pool.capacity()));
    assert!(matches!(offer(&mut table, &mut pool, SECOND, &raw(false, 0, true, 64, 1)), Offered::Held));
}

#[test]
fn a_datagram_in_too_many_pieces_is_refused() {
    let (mut pool, mut table) = (pool(), table(Limits::default()));
    for n in 0..MAX_PIECES as u16 {
        let piece = raw(false, 16 + n * 16, true, 16, 1);
        assert!(matches!(offer(&mut table, &mut pool, 0, &piece), Offered::Held));
    }
    let one_more = raw(false, 0, true, 16, 1);
    assert_eq!(why(offer(&mut table, &mut pool, 0, &one_more)), (Why::TooManyPieces, MAX_PIECES + 1));
}

#[test]
fn instances_do_not_mix_and_whole_packets_pass() {
    let (mut pool, mut table) = (pool(), table(Limits::default()));
    let (packet, pieces) = either(false, 400, 300);
    for (instance, bytes) in [(1, &pieces[0]), (2, &pieces[1])] {
        let frame = frame(&mut pool, instance, bytes);
        assert!(matches!(table.offer(0, frame, &mut pool), Offered::Held));
    }
    let whole = frame(&mut pool, 1, &packet);
    assert!(matches!(table.offer(0, whole, &mut pool), Offered::NotFragment(_)));
}

#[test]
fn an_atomic_fragment_is_a_whole_datagram() {
    let (mut pool, mut table) = (pool(), table(Limits::default()));
    match offer(&mut table, &mut pool, 0, &raw(true, 0, false, 100, 1)) {
        Offered::Whole { frame, fragments: 1 } => {
            let header = ipv6::Header::parse(frame.data()).unwrap();
            assert_eq!((header.next_header(), header.payload().len()), (50, 100));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn per_fragment_headers_stay_and_name_the_payload() {
    // Destination options before the fragment header: the octet in them must name ESP afterwards.
    let mut bytes = v6(8 + 8 + 64);
    bytes[6] = 60;
    bytes[40..48].copy_from_slice(&[44, 0, 1, 4, 0, 0, 0, 0]);
    let mut last = bytes.clone();
    ipv6::Fragment { next_header: 50, offset: 0, more: true, id: 9 }.emit(&mut bytes[48..]).unwrap();
    ipv6::Fragment { next_header: 50, offset: 64, more: false, id: 9 }.emit(&mut last[48..]).unwrap();
    let whole = reassembled(&[last, bytes]).unwrap();
    let header = ipv6::Header::parse(&whole).unwrap();
    let chain = header.chain().unwrap();
    assert_eq!(
        (chain.protocol, chain.offset, chain.fragment, header.payload().len()),
        (50, 8, None, 8 + 128)
    );
}

#[test]
fn without_a_buffer_the_datagram_is_dropped_and_counted() {
    let (mut pool, mut table) = (RamPool::new(2, 0), table(Limits::default()));
    let (_, pieces) = either(false, 400, 300);
    assert!(matches!(offer(&mut table, &mut pool, 0, &pieces[0]), Offered::Held));
    let (why, fragments) = why(offer(&mut table, &mut pool, 0, &pieces[1]));
    assert_eq!((why, fragments), (Why::NoBuffer { length: 420 }, 2));
    assert_eq!(pool.available(), pool.capacity());
}
