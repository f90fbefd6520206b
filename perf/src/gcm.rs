//! Scenarios `gcm-seal` and `gcm-open`: the crypto kernels alone, on the texts ESP would give them.
//!
//! The text of an inner packet of n octets is n, padding to a multiple of four, pad length and next
//! header (RFC 4303 §2.4); 8 octets of associated data; one key. What the graph costs beyond this is
//! what the graph itself costs.

use anyhow::ensure;
use ravelin_gcm::{Kernel, Key, KeySize, Open, Seal, open_burst, seal_burst};

use crate::measure::{Effort, Figures, Scenario, measure};
use crate::report::Row;
use crate::traffic::{BURST, Mix, Plan, key, suite_name};

/// Measures all of `plan`, both directions.
pub fn run(plan: &Plan, effort: Effort) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &(kernel, size) in &plan.suites {
        for &mix in &plan.mixes {
            for direction in [Direction::Seal, Direction::Open] {
                let cycles = figures(kernel, size, mix, direction, effort)?;
                rows.push(Row {
                    scenario: direction.scenario(),
                    kernel: kernel.name(),
                    suite: suite_name(size),
                    size: mix.name(),
                    octets: mix.mean(),
                    sas: 1,
                    cycles,
                    crypto: None,
                });
            }
        }
    }
    Ok(rows)
}

/// Which of the two operations is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Outbound.
    Seal,
    /// Inbound.
    Open,
}

impl Direction {
    fn scenario(self) -> &'static str {
        match self {
            Direction::Seal => "gcm-seal",
            Direction::Open => "gcm-open",
        }
    }
}

/// Cycles a packet of one operation on one mix.
pub fn figures(
    kernel: Kernel,
    size: KeySize,
    mix: Mix,
    direction: Direction,
    effort: Effort,
) -> anyhow::Result<Figures> {
    let key = key(kernel, size)?;
    let mut burst = Burst::new(&key, mix, direction);
    burst.prove(&self::key(Kernel::portable(), size)?)?;
    measure(&mut burst, BURST, effort)
}

/// Octets of the text ESP encrypts for an inner packet of `inner` octets (RFC 4303 §2.4: the trailer
/// ends on a multiple of four).
pub fn esp_text(inner: usize) -> usize {
    (inner + 2).next_multiple_of(4)
}

struct Burst<'k> {
    key: &'k Key,
    direction: Direction,
    packets: [Packet; BURST],
    /// Whether the last opening found every tag good.
    good: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Packet {
    text: Vec<u8>,
    tag: [u8; 16],
}

const NONCE: [u8; 12] = [3; 12];
const AAD: [u8; 8] = [7; 8];

impl<'k> Burst<'k> {
    fn new(key: &'k Key, mix: Mix, direction: Direction) -> Burst<'k> {
        let packet = |size| Packet { text: (0..esp_text(size)).map(|i| i as u8).collect(), tag: [0; 16] };
        Burst { key, direction, packets: mix.sizes().map(packet), good: true }
    }

    fn seal(&mut self, key: &Key) {
        seal_burst(
            &mut self.packets.each_mut().map(|Packet { text, tag }| Seal::new(key, NONCE, &AAD, text, tag)),
        );
    }

    fn open(&mut self, key: &Key) {
        let mut lanes =
            self.packets.each_mut().map(|Packet { text, tag }| Open::new(key, NONCE, &AAD, text, *tag));
        open_burst(&mut lanes);
        self.good = lanes.iter().all(|lane| lane.verdict.is_ok());
    }

    /// What this key seals the `oracle`, another expansion of it, opens, and it is the plaintext.
    fn prove(&mut self, oracle: &Key) -> anyhow::Result<()> {
        let plain = self.packets.clone();
        self.seal(self.key);
        ensure!(self.packets.iter().zip(&plain).all(|(a, b)| a.text != b.text), "sealing changed nothing");
        let sealed = self.packets.clone();
        self.open(oracle);
        ensure!(self.good, "{:?} seals what the portable kernel refuses", self.key);
        self.packets = sealed;
        self.open(self.key);
        ensure!(self.good, "{:?} refuses what it sealed", self.key);
        ensure!(self.packets.iter().zip(&plain).all(|(a, b)| a.text == b.text), "opening gave another text");
        Ok(())
    }
}

impl Scenario for Burst<'_> {
    /// Opening uses a ciphertext up, so it is sealed anew; sealing may seal ciphertext again.
    fn prepare(&mut self) -> anyhow::Result<()> {
        if self.direction == Direction::Open {
            self.seal(self.key);
        }
        Ok(())
    }

    fn run(&mut self) {
        match self.direction {
            Direction::Seal => self.seal(self.key),
            Direction::Open => self.open(self.key),
        }
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        ensure!(self.good, "a good tag was refused");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kernel and key size proves itself on the mix with all sizes.
    #[test]
    fn every_suite_is_right() {
        let plan = Plan::new(vec![Mix::Imix], None, None).unwrap();
        let rows = run(&plan, Effort { repeats: 1, bursts: 2 }).unwrap();
        assert_eq!(rows.len(), plan.suites.len() * 2);
    }

    /// ESP's trailer: at least two octets, ending on a multiple of four.
    #[test]
    fn esp_text_lengths() {
        assert_eq!([64, 65, 66, 67, 1420].map(esp_text), [68, 68, 68, 72, 1424]);
    }
}
