//! Micro-benches beside the hot code; each asserts its answer before it is timed.
//!
//! `cargo bench -p ravelin-benches` runs them all, `-- <part of a name>` some of them. Names read
//! `operation/kernel/suite/octets`. Here are the inputs they share: deterministic, so that two runs
//! work on the same octets. Figures of the whole graph are `perf`'s business, not this room's.

use ravelin_gcm::{BURST, Key, NONCE_LENGTH, Open, Seal, TAG_LENGTH, open_burst, seal_burst};

/// Packet sizes benched, octets of text: the smallest packet, two of IMIX, and a full one.
pub const SIZES: [usize; 4] = [64, 256, 576, 1420];

/// SPI and 32-bit sequence number, as ESP authenticates them (RFC 4106 §5).
const AAD: [u8; 8] = [0x4a, 0x2c, 0xbf, 0xe3, 0, 0, 0, 2];
/// One for all: a bench protects nothing.
const NONCE: [u8; NONCE_LENGTH] = [9; NONCE_LENGTH];

/// A burst of packets of one size under one key, sealed and opened in place again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packets([Packet; BURST]);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    text: Vec<u8>,
    tag: [u8; TAG_LENGTH],
}

impl Packets {
    /// As many different plaintexts of `length` octets as a burst has lanes.
    pub fn new(length: usize) -> Packets {
        let text = |lane| (0..length).map(|i| (i * 31 + lane) as u8).collect();
        Packets(std::array::from_fn(|lane| Packet { text: text(lane), tag: [0; TAG_LENGTH] }))
    }

    /// Octets of text of the whole burst.
    pub fn octets(&self) -> usize {
        self.0.iter().map(|packet| packet.text.len()).sum()
    }

    /// Seals all lanes. The next call seals this one's ciphertext: the work is the same.
    pub fn seal(&mut self, key: &Key) {
        seal_burst(&mut self.0.each_mut().map(|Packet { text, tag }| Seal::new(key, NONCE, &AAD, text, tag)));
    }

    /// Opens all lanes, each of which must have been sealed last; true if every tag was good.
    pub fn open(&mut self, key: &Key) -> bool {
        let mut lanes = self.0.each_mut().map(|Packet { text, tag }| Open::new(key, NONCE, &AAD, text, *tag));
        open_burst(&mut lanes);
        lanes.iter().all(|lane| lane.verdict.is_ok())
    }

    /// The same packets, whatever their tags.
    pub fn same_text(&self, other: &Packets) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a.text == b.text)
    }
}
