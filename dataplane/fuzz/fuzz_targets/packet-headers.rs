//! Headers of frames from anybody, one codec a run: the first octet chooses.
//!
//! What parses writes back and reads the same; a walk over extension headers ends inside the packet;
//! rewriting in place keeps a right checksum right.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use ravelin_dataplane::net::{
    arp, checksum, esp, eth, flow::Summary, gre, icmp, ipv4, ipv6, protocol, tcp, udp, vlan,
};
use ravelin_dataplane::node::urgent::is_urgent;

/// Parses, writes into as many octets as there were, parses again.
macro_rules! round_trip {
    ($layer:ident, $bytes:expr) => {
        if let Ok(repr) = $layer::Repr::parse($bytes) {
            let mut out = $bytes.to_vec();
            repr.emit(&mut out).expect("what was read fits where it was read");
            assert_eq!($layer::Repr::parse(&out), Ok(repr));
        }
    };
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    match choice % 13 {
        0 => round_trip!(eth, bytes),
        1 => round_trip!(vlan, bytes),
        2 => round_trip!(arp, bytes),
        3 => round_trip!(udp, bytes),
        4 => round_trip!(icmp, bytes),
        5 => gre(bytes),
        6 => tcp(bytes),
        7 => esp(bytes),
        8 => v4(bytes),
        9 => v6(bytes),
        10 => summary(bytes),
        11 => urgent(bytes),
        _ => drop(Summary::parse_quoted(bytes)),
    }
});

/// What goes first does so with link padding behind it too.
fn urgent(bytes: &[u8]) {
    if is_urgent(bytes) {
        assert!(is_urgent(&[bytes, &[0xa5; 9]].concat()));
    }
}

fn gre(bytes: &[u8]) {
    round_trip!(gre, bytes);
    if let Ok(header) = gre::Header::parse(bytes) {
        assert_eq!(header.repr().len() + header.payload().len(), bytes.len());
        let _ = header.checksum_ok();
    }
}

/// Lowering the MSS changes what the checksum covers and the checksum alike (RFC 1624).
fn tcp(bytes: &[u8]) {
    let Ok(header) = tcp::Header::parse(bytes) else { return };
    assert_eq!(tcp::Repr::LEN + header.options().len() + header.payload().len(), bytes.len());
    let (source, destination) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
    let mut segment = bytes.to_vec();
    segment[16..18].fill(0);
    let sum = checksum::transport(source, destination, protocol::TCP, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let before = tcp::Header::parse(&segment).ok().and_then(|header| header.mss());
    let lowered = tcp::lower_mss(&mut segment, 1300);
    let after = tcp::Header::parse(&segment).ok().and_then(|header| header.mss());
    assert_eq!(lowered, before != after);
    assert!(!lowered || after.is_some_and(|(_, mss)| mss == 1300));
    assert!(checksum::transport_ok(source, destination, protocol::TCP, &segment));
}

/// The trailer of decrypted text: payload, padding and trailer are all of it (RFC 4303 §2.4).
fn esp(bytes: &[u8]) {
    round_trip!(esp, bytes);
    let Ok(trailer) = esp::Trailer::parse(bytes) else { return };
    assert_eq!(trailer.payload_length + trailer.length(), bytes.len());
    let mut out = bytes[trailer.payload_length..].to_vec();
    trailer.emit(&mut out).expect("it was there");
    assert_eq!(out, bytes[trailer.payload_length..]);
}

fn v4(bytes: &[u8]) {
    round_trip!(ipv4, bytes);
    let _ = ipv4::Header::parse_quoted(bytes);
    let Ok(header) = ipv4::Header::parse(bytes) else { return };
    assert_eq!(header.header_length() + header.payload().len(), usize::from(header.total_length()));
    let (right, ttl) = (header.checksum_ok(), header.ttl());
    let mut packet = bytes.to_vec();
    let lowered = ipv4::decrement_ttl(&mut packet);
    assert_eq!(lowered, ttl.checked_sub(1).filter(|ttl| *ttl > 0));
    ipv4::set_traffic_class(&mut packet, 0xb8);
    ipv4::clear_dont_fragment(&mut packet);
    let after = ipv4::Header::parse(&packet).expect("lengths did not change");
    assert!(!right || after.checksum_ok(), "rewriting broke the checksum");
    assert_eq!((after.traffic_class(), after.dont_fragment()), (0xb8, false));
}

fn v6(bytes: &[u8]) {
    round_trip!(ipv6, bytes);
    let _ = ipv6::Header::parse_quoted(bytes);
    let Ok(header) = ipv6::Header::parse(bytes) else { return };
    let Ok(chain) = header.chain() else { return };
    let payload = header.payload().len();
    assert!(chain.offset <= payload && chain.offset <= ipv6::MAX_EXTENSION_OCTETS);
    assert!(chain.next_header_at.is_none_or(|at| at < payload));
    let Some(fragment) = chain.fragment else { return };
    assert!(fragment.offset + ipv6::Fragment::LEN <= chain.offset);
    let mut out = [0; ipv6::Fragment::LEN];
    fragment.header.emit(&mut out).expect("eight octets");
    assert_eq!(ipv6::Fragment::parse(&out), Ok(fragment.header));
}

fn summary(bytes: &[u8]) {
    if let Ok(summary) = Summary::parse(bytes) {
        assert!(summary.upper_at() <= summary.length() && summary.length() <= bytes.len());
        assert!(summary.is_fragment() || !summary.is_later_fragment());
        // What a whole packet tells, its quotation tells too (RFC 792, RFC 4443 §2.4).
        assert_eq!(Summary::parse_quoted(bytes), Ok(summary));
    }
}
