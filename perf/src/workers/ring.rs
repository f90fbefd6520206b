//! `workers/ring`: the handoff ring alone, in bursts of 32.
//!
//! One end puts 32 descriptors into a burst and sends it, the other takes what waits and reads every
//! descriptor; the cycles of both ends are added up. Across two cores they take turns, so that every descriptor
//! and the ring's index come from the other core's cache: after eight bursts, as workers do that are busy, or
//! after each (`in-step`), which has nothing but the two cores' distance in it and is the dearest a ring can be.
//! All packets must come, in order.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{anyhow, ensure};
use ravelin_dataplane::link::handoff::{Handoff, Receiver, Sender, Work, ring};
use ravelin_mem::tsc;

use super::crew;
use crate::measure::cost_of_reading;
use crate::rows::Rows;
use crate::scale::quantile;

/// Packets of a burst.
const BURST: usize = 32;
/// Bursts the sender sends before the receiver has its turn.
const TURN: usize = 8;
/// Turns of a repeat: short enough to fall between two interruptions.
const TURNS: usize = 10;
const REPEATS: usize = 200;
/// As deep as a gateway's.
const DEPTH: usize = 1024;

/// On two cores, busy and in step, and on one.
pub fn run(rows: &mut Rows) -> anyhow::Result<()> {
    let kinds =
        [("two-cores", TURN, apart(TURN)?), ("one-core", TURN, together()?), ("in-step", 1, apart(1)?)];
    for (name, bursts, costs) in kinds {
        let packets = (TURNS * bursts * BURST) as f64;
        let mean = |turns: &[u64]| turns.iter().sum::<u64>() as f64 / packets;
        let mut repeats: Vec<f64> = costs.chunks(TURNS).map(mean).collect();
        rows.add(format!("workers/ring/{name}/best"), quantile(&mut repeats, 0.0), "cycles_a_packet");
        rows.add(format!("workers/ring/{name}/median"), quantile(&mut repeats, 0.5), "cycles_a_packet");
    }
    Ok(())
}

/// Cycles of each turn, both ends on threads of their own.
fn apart(bursts: usize) -> anyhow::Result<Vec<u64>> {
    let (mut sender, mut receiver) = ring(DEPTH);
    let (sent, taken, reading) = (AtomicUsize::new(0), AtomicUsize::new(0), cost_of_reading());
    let both = std::thread::scope(|scope| {
        // Neither stops before the other, whatever happens: it would wait for ever.
        let sending = scope.spawn(|| {
            let seated = crew::sit(0);
            let send = |turn| {
                let cycles = send(&mut sender, turn, bursts, reading);
                sent.store(turn + 1, Ordering::Release);
                await_turn(&taken, turn);
                cycles
            };
            let costs: Vec<u64> = (0..REPEATS * TURNS).map(send).collect();
            seated.map(|()| costs)
        });
        let seated = crew::sit(1);
        let take = |turn| {
            await_turn(&sent, turn);
            let cycles = take(&mut receiver, turn, bursts, reading);
            taken.store(turn + 1, Ordering::Release);
            cycles
        };
        let received: Vec<anyhow::Result<u64>> = (0..REPEATS * TURNS).map(take).collect();
        let sent = sending.join().map_err(|_| anyhow!("the sender ended"))??;
        seated.map(|()| (sent, received))
    });
    let (sent, received) = both?;
    sent.into_iter().zip(received).map(|(sent, received)| Ok(sent + received?)).collect()
}

fn await_turn(done: &AtomicUsize, turn: usize) {
    while done.load(Ordering::Acquire) <= turn {
        std::hint::spin_loop();
    }
}

/// Cycles of each turn, both ends on one thread.
fn together() -> anyhow::Result<Vec<u64>> {
    let (mut sender, mut receiver) = ring(DEPTH);
    let reading = cost_of_reading();
    crew::sit(0)?;
    let both = |turn| {
        let sent = send(&mut sender, turn, TURN, reading);
        Ok(sent + take(&mut receiver, turn, TURN, reading)?)
    };
    (0..REPEATS * TURNS).map(both).collect()
}

/// Sends so many bursts; their cycles.
fn send(sender: &mut Sender<usize>, turn: usize, bursts: usize, reading: u64) -> u64 {
    let mut cycles = 0;
    for burst in turn * bursts..(turn + 1) * bursts {
        let start = tsc::fenced();
        for frame in burst * BURST..(burst + 1) * BURST {
            sender.put(Handoff::new(frame, black_box(Work::Open)));
        }
        sender.send();
        cycles += tsc::fenced().saturating_sub(start).saturating_sub(reading);
    }
    cycles
}

/// Takes all that waits; the cycles it takes.
fn take(receiver: &mut Receiver<usize>, turn: usize, bursts: usize, reading: u64) -> anyhow::Result<u64> {
    let (mut next, mut cycles, mut in_order) = (turn * bursts * BURST, 0, true);
    loop {
        let start = tsc::fenced();
        let Some(waiting) = receiver.take() else { break };
        for handoff in waiting {
            in_order &= handoff.frame == next && handoff.work() == Work::Open;
            next += 1;
        }
        cycles += tsc::fenced().saturating_sub(start).saturating_sub(reading);
    }
    let all = next == (turn + 1) * bursts * BURST;
    ensure!(in_order && all, "packets were lost or came out of order");
    Ok(cycles)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A burst with one packet missing gives no figure.
    #[test]
    fn a_lost_packet_is_noticed() {
        let (mut sender, mut receiver) = ring(BURST - 1);
        send(&mut sender, 0, 1, 0);
        assert!(take(&mut receiver, 0, 1, 0).is_err());
    }
}
