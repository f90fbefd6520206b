//! ESP for an SPI that nobody knows (RFC 7296 §1.5): its sender is told, where it is a peer that is up, and how often it is
//! does not follow from how much comes.

use super::pair::{Pair, one_tunnel};
use super::*;

fn text(ours: u8) -> String {
    let theirs = 3 - ours;
    let lines = format!(
        "local-ts = [\"10.{ours}.1.0/24\"]\nremote-ts = [\"10.{theirs}.1.0/24\"]\non-demand = false\n"
    );
    one_tunnel(ours, &lines)
}

fn up(workers: u8) -> Pair {
    let mut pair = Pair::joined(Bench::bare(&text(2), workers, 64), Bench::bare(&text(1), 1, 64));
    pair.us.core.answer(&Request::Initiate(Part { tunnel: "net".into(), child: None })).unwrap();
    pair.until("the tunnel is up", |pair| pair.us.view().tunnels[0].state == State::Up);
    assert_eq!(pair.carry(1, false), 1);
    pair
}

/// A packet that the peer has sent, by this SPI instead of its own.
fn stray(pair: &Pair, change: impl Fn(u32) -> u32) -> Vec<u8> {
    let mut packet = pair.passed.last().unwrap().clone();
    let spi = u32::from_be_bytes(packet[20..24].try_into().unwrap());
    packet[20..24].copy_from_slice(&change(spi).to_be_bytes());
    packet
}

fn told(pair: &Pair) -> usize {
    pair.us.events().iter().filter(|event| event.starts_with("spi-unknown: ")).count()
}

/// Of a slot that has another SA, of one that has none, and of no worker's.
#[test]
fn a_peer_is_told_once_of_what_it_sends_in_vain() {
    for workers in [1, 2] {
        for change in [|spi| spi ^ 0x0010_0000, |spi| spi ^ 0x0000_0008, |_| 0x01ab_0001, |_| 0xfc00_0001] {
            let mut pair = up(workers);
            let stray = stray(&pair, change);
            for _ in 0..200 {
                pair.us.arrive(WAN, &stray);
            }
            pair.until("the peer is told", |pair| told(pair) > 0);
            for _ in 0..20 {
                pair.us.arrive(WAN, &stray);
                pair.us.pass(1);
                pair.exchange();
            }
            assert_eq!(told(&pair), 1, "{workers} {:?}", pair.us.events());
            assert_eq!((pair.carry(1, true), pair.carry(1, false)), (1, 1), "nothing else changes");
        }
    }
}

/// What comes from elsewhere is nobody's.
#[test]
fn nobody_else_is_told() {
    let mut pair = up(1);
    let mut stray = stray(&pair, |_| 0x01ab_0001);
    stray[12..16].copy_from_slice(&[192, 0, 2, 9]);
    // The sum of its header.
    stray[10..12].copy_from_slice(&[0, 0]);
    let words = stray[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    stray[10..12].copy_from_slice(&sum.to_be_bytes());
    for _ in 0..20 {
        pair.us.arrive(WAN, &stray);
        pair.us.pass(1);
        pair.exchange();
    }
    assert_eq!(told(&pair), 0);
}
