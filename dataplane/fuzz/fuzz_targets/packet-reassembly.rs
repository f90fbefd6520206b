//! Fragments of outer packets from anybody (RFC 791 §3.2, RFC 8200 §4.5, RFC 5722).
//!
//! Each record of the input is a fragment, or octets taken for a packet as they are. Whatever comes,
//! the table stays within its limits, no frame is lost, every drop is told, and a datagram that comes
//! out is made of the pieces that went in.
#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use ravelin_dataplane::io::ram::{RamFrame, RamPool};
use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::net::{ipv4, ipv6, protocol};
use ravelin_dataplane::node::reassemble::{Limits, Offered, Reassembler};

const LIMITS: Limits = Limits { datagrams: 8, frames: 24, datagrams_per_source: 4, timeout_us: 200 };

thread_local! {
    /// One pool for all runs: each gives back what it took, or fails.
    static POOL: RamPool = RamPool::new(64, 2);
}
/// Octets of a record.
const RECORD: usize = 6;

fuzz_target!(|data: &[u8]| {
    let mut pool = POOL.with(RamPool::clone);
    let mut table = Reassembler::new(LIMITS, 42);
    let (mut now, mut offered, mut told, mut forged) = (0, 0, 0, false);
    let mut rest = data;
    while let Some((record, after)) = rest.split_first_chunk::<RECORD>() {
        rest = after;
        now += u64::from(record[5]);
        let made = if record[0] & 3 == 3 { raw(record, &mut rest) } else { fragment(record) };
        forged |= record[0] & 3 == 3;
        let Some(bytes) = made else { continue };
        let frame = pool.copy_of(&bytes).expect("the pool ran dry: frames were lost");
        offered += 1;
        let (left, whole) = count(table.offer(now, frame, &mut pool));
        whole.into_iter().for_each(|frame| check_whole(frame.data(), forged));
        told += left + table.expire(now, 4).fragments;
        assert!(table.frames() <= LIMITS.frames && table.datagrams() <= LIMITS.datagrams);
        assert_eq!(pool.available() + table.frames(), pool.capacity(), "a frame was lost");
        assert_eq!(offered, told + table.frames(), "a drop was not told");
    }
    told += table.expire(now + LIMITS.timeout_us, LIMITS.datagrams).fragments;
    told += table.expire(now + LIMITS.timeout_us, LIMITS.datagrams).fragments;
    assert_eq!((table.frames(), table.datagrams()), (0, 0), "time-out leaves nothing");
    assert_eq!((pool.available(), offered), (pool.capacity(), told));
});

/// Frames that left the table, and the whole datagram they made, if they did.
fn count(offered: Offered<RamFrame>) -> (usize, Option<RamFrame>) {
    match offered {
        Offered::NotFragment(_) | Offered::Duplicate => (1, None),
        Offered::Held => (0, None),
        Offered::Refused { fragments, .. } => (fragments, None),
        Offered::Whole { frame, fragments } => (fragments, Some(frame)),
    }
}

/// A whole datagram is no fragment, and unless forged pieces could be in it, each octet is in its place.
fn check_whole(packet: &[u8], forged: bool) {
    let payload = if packet.first().is_some_and(|octet| octet >> 4 == 4) {
        let header = ipv4::Header::parse(packet).expect("a whole IPv4 packet");
        assert!(!header.is_fragment() && header.checksum_ok());
        header.payload()
    } else {
        ipv6::Header::parse(packet).expect("a whole IPv6 packet").payload()
    };
    let placed = payload.iter().enumerate().all(|(at, octet)| *octet == mark(at));
    assert!(forged || placed, "octets in the wrong place");
}

/// The octet at a place of a made datagram.
const fn mark(at: usize) -> u8 {
    (at / 8 % 251) as u8
}

/// As many octets of the input as the record says, taken for a packet.
fn raw(record: &[u8; RECORD], rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (raw, after) = rest.split_at(usize::from(record[3]).min(rest.len()));
    *rest = after;
    Some(raw.to_vec())
}

/// A record is: family and id, offset (2), length, flags and source, time.
fn fragment(record: &[u8; RECORD]) -> Option<Vec<u8>> {
    let [kind, high, low, length, flags, _] = *record;
    let length = usize::from(length) % 200 * if flags & 2 == 0 { 8 } else { 1 };
    // Most offsets are small, so that pieces meet; some reach to the end of what there is.
    let units = u16::from_be_bytes([high & 0x1f, low]);
    let offset = if flags & 4 == 0 { units & 0xff } else { units } * 8;
    let (more, id, source) = (flags & 1 == 1, kind >> 2 & 7, flags >> 6);
    let payload: Vec<u8> = (0..length).map(|at| mark(usize::from(offset) + at)).collect();
    if kind & 1 == 0 {
        v4(offset, more, id, source, &payload)
    } else {
        v6(offset, more, id, source, &payload)
    }
}

fn v4(offset: u16, more: bool, id: u8, source: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let repr = ipv4::Repr {
        traffic_class: 0,
        total_length: u16::try_from(ipv4::Repr::LEN + payload.len()).ok()?,
        id: id.into(),
        dont_fragment: false,
        more_fragments: more,
        fragment_offset: offset,
        ttl: 64,
        protocol: protocol::UDP,
        source: Ipv4Addr::new(192, 0, 2, source),
        destination: Ipv4Addr::new(198, 51, 100, 1),
    };
    let mut out = vec![0; ipv4::Repr::LEN];
    repr.emit(&mut out).ok()?;
    Some([out, payload.to_vec()].concat())
}

fn v6(offset: u16, more: bool, id: u8, source: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let repr = ipv6::Repr {
        traffic_class: 0,
        flow_label: 0,
        payload_length: u16::try_from(ipv6::Fragment::LEN + payload.len()).ok()?,
        next_header: protocol::FRAGMENT,
        hop_limit: 64,
        source: Ipv6Addr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, source.into()]),
        destination: Ipv6Addr::from([0x2001, 0xdb8, 1, 0, 0, 0, 0, 1]),
    };
    let fragment = ipv6::Fragment { next_header: protocol::UDP, offset, more, id: id.into() };
    let mut out = vec![0; ipv6::Repr::LEN + ipv6::Fragment::LEN];
    repr.emit(&mut out).ok()?;
    fragment.emit(out.get_mut(ipv6::Repr::LEN..)?).ok()?;
    Some([out, payload.to_vec()].concat())
}
