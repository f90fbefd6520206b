//! Workers on threads of their own: packets cross from gateway to gateway while control rekeys, nothing is
//! lost, and everybody stops when told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a failed test"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::packet::{framed, numbered};
use crate::common::{Gateway, PRIVATE, PUBLIC, Pair, SLOT, Style, key};
use ravelin_dataplane::io::ram::RamDevice;
use ravelin_dataplane::io::{Frame, Pool};
use ravelin_dataplane::link::command::{Command, Turn};
use ravelin_dataplane::worker::Idle;

const PACKETS: u32 = 5_000;
/// Packets under way at most, so that no queue of the test itself overflows.
const UNDER_WAY: usize = 200;

/// Moves what `from` sent onto the queues of `to`.
fn pump(from: &RamDevice, to: &mut Gateway, turn: &mut usize) {
    while let Some(frame) = from.sent() {
        let bytes = framed(to.site.mac(PUBLIC), to.site.other().mac(PUBLIC), &frame.data()[14..]);
        let frame = to.pool.copy_of(&bytes).unwrap();
        to.public.deliver(*turn, frame).unwrap();
        *turn += 1;
    }
}

/// Replaces the SAs of the direction a to b as initiator and responder would.
fn rekey(pair: &mut Pair, round: u32) {
    let style = Style::PLAIN;
    let slot = 20 + round;
    let keymat = key(style.suite, round as u8);
    let (a, b) = (&mut pair.a, &mut pair.b);
    let spi = b.spi(slot);
    let owner = b.owner();
    let material = b.control.put_key(owner, &keymat).unwrap();
    let parts = b.inbound_parts(&style, spi);
    let place = b.place(slot);
    let sequence = b.control.send(owner, Command::InstallInbound { place, parts, key: material }).unwrap();
    // The peer may use it only once the worker has it.
    while b.control.applied(owner) < sequence {
        std::thread::yield_now();
    }
    let material = a.control.put_key(a.owner(), &keymat).unwrap();
    let parts = a.outbound_parts(&style, spi);
    let owner = a.owner();
    let command = Command::InstallOutbound { slot: SLOT, parts, key: material, turn: Turn::Now };
    a.control.send(owner, command).unwrap();
}

#[test]
fn threads_carry_numbered_packets_through_rekeys_without_loss() {
    for workers in [1, 2] {
        let mut pair = Pair::new(workers, &Style::PLAIN);
        let stop = AtomicBool::new(false);
        let mut running = std::mem::take(&mut pair.a.workers);
        running.append(&mut pair.b.workers);
        let arrived = std::thread::scope(|scope| {
            for worker in &mut running {
                let stop = &stop;
                scope.spawn(move || worker.run(stop, Idle::Adaptive));
            }
            let arrived = drive(&mut pair);
            stop.store(true, Ordering::Relaxed);
            arrived
        });
        let rest = running.split_off(usize::from(workers));
        (pair.a.workers, pair.b.workers) = (running, rest);
        assert_eq!((pair.a.drops(), pair.b.drops()), (vec![], vec![]));
        assert_eq!(arrived, PACKETS as usize);
        pair.is_at_rest();
    }
}

fn drive(pair: &mut Pair) -> usize {
    let (left, right) = (pair.a.site.host(false), pair.b.site.host(false));
    let (public, private) = (pair.a.public.clone(), pair.b.private.clone());
    let (mut sent, mut arrived, mut turn) = (0u32, 0usize, 0usize);
    let end = Instant::now() + Duration::from_secs(60);
    while arrived < PACKETS as usize && Instant::now() < end {
        if sent < PACKETS && (sent as usize) < arrived + UNDER_WAY {
            if sent % 500 == 499 {
                rekey(pair, sent / 500);
            }
            let frame =
                framed(pair.a.site.mac(PRIVATE), pair.a.site.host_mac(), &numbered(left, right, sent, 200));
            let frame = pair.a.pool.copy_of(&frame).unwrap();
            pair.a.private.deliver(sent as usize, frame).unwrap();
            sent += 1;
        }
        pump(&public, &mut pair.b, &mut turn);
        while private.sent().is_some() {
            arrived += 1;
        }
        if sent as usize >= arrived + UNDER_WAY || sent == PACKETS {
            std::thread::yield_now();
        }
    }
    arrived
}
