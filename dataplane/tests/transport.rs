//! Transport mode between two gateways (DP-05): what their ip-tunnels put around packets goes under it (DP-20 to DP-22,
//! V6-13), and what their kernels say to each other; on the wire it is what the RFCs say, read and written by other code
//! than the gateway's; what it does not carry is refused by name, and what should have come under it does not come in clear.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::command::Turn;
use ravelin_dataplane::link::packet::Kernel;
use ravelin_dataplane::net::{checksum, ipv4, ipv6, protocol};
use ravelin_dataplane::policy::ip_tunnel::Kind;
use ravelin_dataplane::policy::selector::{AddressRange, Selector, SelectorSet};
use ravelin_dataplane::sa::Mode;
use ravelin_dataplane::sa::shard::WorkerId;

use crate::common::forge::Forge;
use crate::common::oracle;
use crate::common::packet::{Ip, framed, numbered, one_hop_later};
use crate::common::transport::lead;
use crate::common::{Gateway, OUTSIDE, PRIVATE, PUBLIC, Pair, Style, key};

const GRE: Kind = Kind::Gre { send: Some(7), receive: Some(7) };

/// Every suite and number length, over both families; never in UDP.
fn styles() -> Vec<Style> {
    let bare = |style| Style { mode: Mode::Transport, udp: false, ..style };
    Style::every().into_iter().map(bare).collect()
}

/// Two gateways whose policy protects all that is between them, and that are joined by an ip-tunnel.
fn pair(workers: u8, style: &Style, kind: Kind) -> Pair {
    let mut pair = Pair::new(workers, style);
    for gateway in [&mut pair.a, &mut pair.b] {
        lead(gateway, style, kind);
    }
    pair
}

/// What gateway 1 sent, read by other code: what ESP has inside, and its protocol.
fn read(style: &Style, sequence: u64, header: usize, packet: &[u8]) -> (Vec<u8>, u8) {
    let material = key(style.suite, 10 ^ 0x80);
    let text = oracle::open(style.suite, &material, (sequence, style.esn), &packet[header..]);
    let text = text.expect("the ICV is right");
    let (pad, next) = (usize::from(text[text.len() - 2]), text[text.len() - 1]);
    let payload = text.len() - 2 - pad;
    assert!(text[payload..][..pad].iter().copied().eq(1..=pad as u8));
    (text[..payload].to_vec(), next)
}

#[test]
fn ip_tunnels_go_under_every_suite() {
    for (at, style) in styles().into_iter().enumerate() {
        for (kind, inner_v6) in [(GRE, false), (GRE, true), (Kind::Ip, false), (Kind::Ip, true)] {
            let workers = 1 + at as u8 % 2;
            let mut pair = pair(workers, &style, kind);
            let (left, right) = (pair.a.site.host(inner_v6), pair.b.site.host(inner_v6));
            let packets = |from, to| (0..12).map(move |n| numbered(from, to, n, 40 + 97 * n as usize));
            for (there, back) in packets(left, right).zip(packets(right, left)) {
                pair.a.host_sends(0, &there);
                pair.b.host_sends(usize::from(workers) - 1, &back);
            }
            assert_eq!(pair.carry(|at| at % usize::from(workers)), 24);
            assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]), "{style:?} {kind:?}");
            let expected =
                |from, to| sorted(packets(from, to).map(|p| one_hop_later(&one_hop_later(&p))).collect());
            assert!(sorted(pair.b.sent(PRIVATE)) == expected(left, right), "{style:?} {kind:?}");
            assert!(sorted(pair.a.sent(PRIVATE)) == expected(right, left), "{style:?} {kind:?}");
            pair.is_at_rest();
        }
    }
}

fn sorted(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    packets.sort();
    packets
}

/// RFC 4303 §3.1.1: the header is that of the ip-tunnel but for protocol, length and checksum, and nothing else is in ESP
/// than what was behind it. Read, and written, by other code.
#[test]
fn the_wire_is_as_the_rfc_says() {
    for style in styles() {
        let mut pair = pair(1, &style, GRE);
        let header = if style.outer_v6 { 40 } else { 20 };
        let forge = Forge::toward_a(&pair.a, &style, 10);
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        for length in 0..40u32 {
            pair.a.host_sends(0, &numbered(left, right, length, 4 + length as usize));
            let sent = pair.a.sent(PUBLIC);
            let inside = one_hop_later(&numbered(left, right, length, 4 + length as usize));
            let (payload, next) = read(&style, u64::from(length) + 1, header, &sent[0]);
            assert_eq!((next, &payload[..8]), (47, [0x20, 0, 8, 0, 0, 0, 0, 7].as_slice()));
            assert_eq!(payload[8..], inside);
            let ends = (pair.a.site.public(style.outer_v6), pair.b.site.public(style.outer_v6));
            match style.outer_v6 {
                false => {
                    let repr = ipv4::Repr::from(&ipv4::Header::parse(&sent[0]).unwrap());
                    assert_eq!(
                        (repr.source.into(), repr.destination.into(), repr.protocol),
                        (ends.0, ends.1, 50)
                    );
                    assert_eq!(usize::from(repr.total_length), sent[0].len());
                    assert_eq!(checksum::internet(&sent[0][..20]), 0);
                }
                true => {
                    let repr = ipv6::Repr::parse(&sent[0]).unwrap();
                    assert_eq!(
                        (repr.source.into(), repr.destination.into(), repr.next_header),
                        (ends.0, ends.1, 50)
                    );
                    assert_eq!(usize::from(repr.payload_length) + 40, sent[0].len());
                }
            }
            // The other way round.
            let back = numbered(right, left, length, 4 + length as usize);
            let gre = [&[0x20, 0, 8, 0, 0, 0, 0, 7], &back[..]].concat();
            pair.a.peer_sends(0, &forge.text(u64::from(length) + 1, &trailed(&style, &gre, 47)));
            assert_eq!(pair.a.sent(PRIVATE), [one_hop_later(&back)], "{:?}", pair.a.drops());
        }
        pair.is_at_rest();
    }
}

/// What is encrypted of a payload.
fn trailed(style: &Style, payload: &[u8], next: u8) -> Vec<u8> {
    let block = style.suite.framing().block;
    let pad = (payload.len() + 2).next_multiple_of(block) - payload.len() - 2;
    let padding = (1..=pad).map(|n| n as u8).chain([pad as u8, next]);
    payload.iter().copied().chain(padding).collect()
}

const PLAIN: Style = Style { mode: Mode::Transport, ..Style::PLAIN };

/// What a kernel says leaves under the SA and reaches the other kernel as it was, octet by octet; headers that stay in
/// front of ESP among them: IPv4 options, IPv6 hop-by-hop and destination options.
#[test]
fn kernels_speak_to_each_other() {
    for (workers, outer_v6) in [(1, false), (2, false), (1, true), (2, true)] {
        let style = Style { outer_v6, ..PLAIN };
        let mut pair = pair(workers, &style, GRE);
        let (from, to) = (pair.a.site.public(outer_v6), pair.b.site.public(outer_v6));
        let plain = Ip::new(from, to).udp(1000, 179, b"a routing daemon");
        let with_headers = match outer_v6 {
            false => {
                let mut packet = [&plain[..20], &[1, 1, 1, 0], &plain[20..]].concat();
                (packet[0], packet[2], packet[3]) = (0x46, 0, packet.len() as u8);
                (packet[10], packet[11]) = (0, 0);
                let sum = checksum::internet(&packet[..24]);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
                packet
            }
            true => {
                // Hop-by-hop, then destination options; each pads itself.
                let chain = [60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
                Ip::new(from, to).wrap(0, &[&chain[..], &plain[40..]].concat())
            }
        };
        for packet in [&plain, &with_headers] {
            twin_sends(&mut pair.a, packet);
            assert_eq!(pair.a.drops(), []);
            assert_eq!(pair.carry(|at| at % usize::from(workers)), 1);
            assert_eq!(pair.b.drops(), []);
            let punt = pair.b.exception.next_punt().expect("the other kernel hears it");
            assert_eq!((punt.to, punt.frame.data()), (Kernel::Tun { instance: OUTSIDE }, &packet[..]));
        }
        pair.is_at_rest();
    }
}

fn twin_sends(gateway: &mut Gateway, packet: &[u8]) {
    let frame = framed(gateway.site.other().mac(PUBLIC), gateway.site.mac(PUBLIC), packet);
    let frame = gateway.pool.copy_of(&frame).unwrap();
    gateway.exception.inject_twin(WorkerId(0), frame, PUBLIC, 0).unwrap();
    gateway.settle();
}

/// RFC 4303 §3.1.1: "In transport mode, ESP is applied only to whole IP datagrams". Without an SA nothing leaves.
#[test]
fn what_it_does_not_carry_is_dropped_by_name() {
    for outer_v6 in [false, true] {
        let style = Style { outer_v6, ..PLAIN };
        let mut pair = pair(1, &style, GRE);
        let (from, to) = (pair.a.site.public(outer_v6), pair.b.site.public(outer_v6));
        let fragment = match outer_v6 {
            false => {
                let mut packet = Ip::new(from, to).wrap(17, &[0; 64]);
                (packet[6], packet[10], packet[11]) = (0x20, 0, 0);
                let sum = checksum::internet(&packet[..20]);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
                packet
            }
            true => Ip::new(from, to).wrap(44, &[&[17, 0, 0, 1, 0, 0, 0, 9], &[0; 64][..]].concat()),
        };
        twin_sends(&mut pair.a, &fragment);
        assert_eq!(pair.a.drops(), [("transport-mode", 1)]);
        let mut bare = Pair::bare(1);
        lead(&mut bare.a, &style, GRE);
        twin_sends(&mut bare.a, &Ip::new(from, to).udp(1, 2, b"nobody is there"));
        bare.a.host_sends(0, &numbered(bare.a.site.host(false), bare.b.site.host(false), 1, 60));
        assert_eq!(bare.a.drops(), [("no-sa", 2)]);
        assert!(pair.a.sent(PUBLIC).is_empty() && bare.a.sent(PUBLIC).is_empty());
        pair.is_at_rest();
        bare.is_at_rest();
    }
}

/// Each mistake of a peer that knows the keys moves its own counter.
#[test]
fn a_good_tag_excuses_no_bad_content() {
    for style in styles() {
        let mut pair = pair(1, &style, GRE);
        let forge = Forge::toward_a(&pair.a, &style, 10);
        let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
        let gre = [&[0x20, 0, 8, 0, 0, 0, 0, 7], &numbered(right, left, 1, 60)[..]].concat();
        let mut short = trailed(&style, &gre, 47);
        let at = short.len() - 2;
        short[at] = 255;
        let mut cases = vec![(short, "bad-padding")];
        // Another tunnel's key; IP in IP, where there is no such tunnel.
        let other = [&[0x20, 0, 8, 0, 0, 0, 0, 8], &gre[8..]].concat();
        cases.push((trailed(&style, &other, 47), "gre-key"));
        cases.push((trailed(&style, &gre[8..], 4), "ip-tunnel-miss"));
        for (at, (text, reason)) in cases.iter().enumerate() {
            let before = pair.a.drops();
            pair.a.peer_sends(0, &forge.text(1 + at as u64, text));
            let moved: Vec<_> = pair.a.drops().into_iter().filter(|drop| !before.contains(drop)).collect();
            assert_eq!(moved, [(*reason, 1)], "{style:?}");
        }
        let dummies = |a: &Gateway| a.count(|counters| counters.dummies.get());
        let before = (pair.a.drops(), dummies(&pair.a));
        pair.a.peer_sends(0, &forge.text(9, &trailed(&style, &[0xee; 40], protocol::NONE)));
        assert_eq!((pair.a.drops(), dummies(&pair.a)), (before.0, before.1 + 1));
        assert!(pair.a.sent(PRIVATE).is_empty());
        pair.is_at_rest();
    }
}

/// RFC 4301 §5.2: what is outside the selectors that were agreed on does not come in, whatever its tag.
#[test]
fn selectors_count() {
    let mut pair = Pair::bare(1);
    let spi = pair.a.spi(10);
    let side = |address, protocol| {
        [Selector::new(
            AddressRange::prefix(address, 128),
            protocol,
            ravelin_dataplane::policy::selector::Ports::Any,
        )
        .unwrap()]
    };
    let (ours, theirs) = (pair.a.site.public(false), pair.b.site.public(false));
    let selectors = SelectorSet::new(&side(ours, 47), &side(theirs, 47)).unwrap();
    let parts = ravelin_dataplane::sa::inbound::Parts {
        selectors: Box::new(selectors),
        ..pair.a.inbound_parts(&PLAIN, spi)
    };
    let key = pair.a.control.put_key(WorkerId(0), &key(PLAIN.suite, 10)).unwrap();
    let place = pair.a.place(10);
    pair.a.command(ravelin_dataplane::link::command::Command::InstallInbound { place, parts, key });
    lead(&mut pair.a, &PLAIN, GRE);
    let forge = Forge::toward_a(&pair.a, &PLAIN, 10);
    let datagram = Ip::new(theirs, ours).udp(1, 2, b"not GRE");
    pair.a.peer_sends(0, &forge.text(1, &trailed(&PLAIN, &datagram[20..], 17)));
    assert_eq!(pair.a.drops(), [("policy-error", 1)]);
    let back = numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 60);
    let gre = [&[0x20, 0, 8, 0, 0, 0, 0, 7], &back[..]].concat();
    pair.a.peer_sends(0, &forge.text(2, &trailed(&PLAIN, &gre, 47)));
    assert_eq!(pair.a.sent(PRIVATE), [one_hop_later(&back)]);
    pair.is_at_rest();
}

/// In clear it does not come; but neighbours find each other, or no SA could be reached.
#[test]
fn nothing_comes_in_clear() {
    for outer_v6 in [false, true] {
        let style = Style { outer_v6, ..PLAIN };
        let mut pair = pair(1, &style, GRE);
        let (ours, theirs) = (pair.a.site.public(outer_v6), pair.b.site.public(outer_v6));
        let inner = numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 60);
        let gre = [&[0x20, 0, 8, 0, 0, 0, 0, 7], &inner[..]].concat();
        pair.a.peer_sends(0, &Ip::new(theirs, ours).wrap(47, &gre));
        pair.a.peer_sends(0, &Ip::new(theirs, ours).udp(1, 2, b"in clear"));
        assert_eq!(pair.a.drops(), [("unprotected", 2)]);
        assert!(pair.a.sent(PRIVATE).is_empty() && pair.a.exception.next_punt().is_none());
        if outer_v6 {
            let advertised = [136, 0, 0, 0, 0x60, 0, 0, 0];
            pair.a.peer_sends(0, &Ip { ttl: 255, ..Ip::new(theirs, ours) }.wrap(58, &advertised));
            assert!(pair.a.exception.next_punt().is_some(), "{:?}", pair.a.drops());
            // One that a router has passed on is none (RFC 4861 §7.1).
            pair.a.peer_sends(0, &Ip { ttl: 254, ..Ip::new(theirs, ours) }.wrap(58, &advertised));
            assert_eq!(pair.a.drops(), [("unprotected", 3)]);
        }
        pair.is_at_rest();
    }
}

/// Beyond the link it is cut behind encryption, and put together before decryption.
#[test]
fn what_is_larger_than_the_link_is_cut_behind_encryption() {
    for (workers, outer_v6) in [(1, false), (2, true)] {
        let style = Style { outer_v6, ..PLAIN };
        let mut pair = pair(workers, &style, GRE);
        let packet = numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 1460);
        pair.a.host_sends(0, &packet);
        let sent = pair.a.sent(PUBLIC);
        assert!(sent.len() == 2 && sent.iter().all(|piece| piece.len() <= 1500), "{:?}", pair.a.drops());
        for (at, piece) in sent.iter().enumerate() {
            pair.b.peer_sends(at % usize::from(workers), piece);
        }
        assert_eq!(pair.b.sent(PRIVATE), [one_hop_later(&one_hop_later(&packet))]);
        pair.is_at_rest();
    }
}

/// Also where it is known already how packets leave, and so is the largest that leaves whole.
#[test]
fn all_sizes_about_the_links_pass() {
    for style in styles() {
        let mut pair = pair(1, &style, GRE);
        let mut whole = 0;
        for octets in std::iter::once(60).chain(1320..=1460) {
            let packet = numbered(pair.a.site.host(false), pair.b.site.host(false), 1, octets);
            pair.a.host_sends(0, &packet);
            let sent = pair.a.sent(PUBLIC);
            assert!(sent.iter().all(|piece| piece.len() <= 1500), "{style:?} {octets}");
            whole += usize::from(sent.len() == 1);
            sent.iter().for_each(|piece| pair.b.peer_sends(0, piece));
            let arrived = pair.b.sent(PRIVATE) == [one_hop_later(&one_hop_later(&packet))];
            assert!(arrived, "{style:?} {octets}");
        }
        assert!((20..140).contains(&whole), "{style:?} {whole}");
        pair.is_at_rest();
    }
}

/// A rekey changes keys under packets, and the mode stays.
#[test]
fn a_rekey_keeps_the_mode() {
    let mut pair = pair(1, &PLAIN, GRE);
    pair.tunnel(&PLAIN, 11, Turn::Now);
    let packet = numbered(pair.a.site.host(false), pair.b.site.host(false), 1, 60);
    pair.a.host_sends(0, &packet);
    let sent = pair.a.sent(PUBLIC);
    assert_eq!(sent[0][20..24], pair.b.spi(11).0.to_be_bytes());
    pair.b.peer_sends(0, &sent[0]);
    assert_eq!(pair.b.sent(PRIVATE), [one_hop_later(&one_hop_later(&packet))]);
    pair.is_at_rest();
}

/// Tunnel mode's packets are none of an SA in transport mode, and the other way round.
#[test]
fn modes_do_not_mix() {
    let mut pair = pair(1, &PLAIN, GRE);
    let tunnelled = Forge::toward_a(&pair.a, &PLAIN, 10);
    let inner = numbered(pair.b.site.host(false), pair.a.site.host(false), 1, 60);
    pair.a.peer_sends(0, &tunnelled.packet(1, &inner));
    // To transport mode it is IP in IP.
    assert_eq!(pair.a.drops(), [("ip-tunnel-miss", 1)]);
    let mut usual = Pair::new(1, &Style::PLAIN);
    let forge = Forge::toward_a(&usual.a, &Style::PLAIN, 10);
    let gre = [&[0x20, 0, 8, 0, 0, 0, 0, 7], &inner[..]].concat();
    usual.a.peer_sends(0, &forge.text(1, &trailed(&PLAIN, &gre, 47)));
    assert_eq!(usual.a.drops(), [("bad-next-header", 1)]);
    pair.is_at_rest();
    usual.is_at_rest();
}
