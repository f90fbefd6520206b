//! Whole frames into a gateway in memory: two workers, a private and a public port, a tunnel with known keys.
//!
//! The first octet says whether both ports are in one instance, and by its other bits which suite the tunnel has. The
//! records after it are frames from either side, as they are or with right lengths and checksums; ESP packets sealed with
//! the peer's key around anything, in tunnel mode and in transport mode; frames from the kernel and control; time. Whatever
//! comes: every frame is accounted for and every buffer comes home, and nothing for the other side's network leaves by the
//! public port in clear, nor, while the public side is an instance of its own, what an ip-tunnel in transport mode puts around packets.
#![no_main]

#[path = "../gateway.rs"]
mod gateway;

use gateway::{Gateway, OTHER, PRIVATE, PUBLIC, SITE};
use libfuzzer_sys::fuzz_target;
use ravelin_dataplane::net::{ipv4, ipv6};

/// Octets of a record before its content.
const RECORD: usize = 4;
/// More frames than that are no new story.
const RECORDS: usize = 64;

fuzz_target!(|data: &[u8]| {
    let Some((first, mut rest)) = data.split_first() else { return };
    let mut gateway = Gateway::new(u16::from(first & 1), usize::from(first >> 1));
    for _ in 0..RECORDS {
        let Some(([op, argument, high, low], after)) = rest.split_first_chunk::<RECORD>() else { break };
        let length = usize::from(u16::from_be_bytes([high & 7, *low])).min(after.len());
        let (content, after) = after.split_at(length);
        rest = after;
        act(&mut gateway, *op, *argument, content);
        for frame in gateway.sent(PUBLIC) {
            assert!(!is_leak(&frame), "in clear on the public side: {frame:02x?}");
            // What control says is not asked about.
            assert!(first & 1 == 0 || op & 7 == 6 || !is_unguarded(&frame), "not under its SA: {frame:02x?}");
        }
        gateway.sent(PRIVATE);
    }
    gateway.comes_to_rest();
});

fn act(gateway: &mut Gateway, op: u8, argument: u8, content: &[u8]) {
    let (port, queue) = (u16::from(op >> 3 & 1), usize::from(op >> 4 & 1));
    match op & 7 {
        0 => gateway.arrive(port, queue, content),
        1 => gateway.arrive(port, queue, &gateway.framed(port, content)),
        2 => gateway.arrive(port, queue, &gateway.framed(port, &mended(content))),
        3 => {
            let esp = gateway.sealed(argument, content);
            gateway.arrive(PUBLIC, queue, &esp);
        }
        4 => {
            let esp = gateway.sealed(argument, &mended(content));
            gateway.arrive(PUBLIC, queue, &esp);
        }
        5 => gateway.kernel_sends(argument, content),
        6 => gateway.control_sends(&mended(content)),
        _ => gateway.sleep(u64::from(argument).pow(3)),
    }
}

/// The packet with lengths and header checksum that fit it, so that it gets past the first look; and, if its
/// addresses are nowhere, from our network to the other's.
fn mended(content: &[u8]) -> Vec<u8> {
    let mut packet = content.to_vec();
    let length = packet.len() as u16;
    match packet.first().map(|octet| octet >> 4) {
        Some(6) if packet.len() >= ipv6::Repr::LEN => {
            packet[4..6].copy_from_slice(&(length - ipv6::Repr::LEN as u16).to_be_bytes());
        }
        Some(4) if packet.len() >= ipv4::Repr::LEN => {
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            if packet[12..20] == [0; 8] {
                packet[12..16].copy_from_slice(&[10, SITE, 0, 9]);
                packet[16..20].copy_from_slice(&[10, OTHER, 0, 9]);
            }
            let header = (usize::from(packet[0] & 15) * 4).clamp(ipv4::Repr::LEN, packet.len());
            packet[10..12].fill(0);
            let sum = ravelin_dataplane::net::checksum::internet(&packet[..header]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        _ => {}
    }
    packet
}

/// A packet for the other side's network, or from ours, that is not inside ESP.
fn is_leak(frame: &[u8]) -> bool {
    let Some(packet) = frame.get(14..) else { return false };
    match frame[12..14] {
        [0x08, 0x00] => packet.get(16..18) == Some(&[10, OTHER][..]),
        [0x86, 0xdd] => packet.get(24..26) == Some(&[0xfd, OTHER][..]),
        _ => false,
    }
}

/// IP in IPv6 between the two gateways, which transport mode is to protect.
fn is_unguarded(frame: &[u8]) -> bool {
    let ends = [SITE, OTHER].map(|site| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, site]).concat();
    frame.get(12..14) == Some(&[0x86, 0xdd][..])
        && matches!(frame.get(14 + 6), Some(4 | 41))
        && frame.get(14 + 8..14 + 40) == Some(&ends[..])
}
