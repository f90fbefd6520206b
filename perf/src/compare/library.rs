//! A child process that times AES-GCM libraries in Rust: ours, `ring`, `aws-lc-rs`.
//!
//! `perf/peers/gcm.c` is its twin for libraries in C. Both are pinned to one core, live side by side and run
//! in turn: the parent says `load seal|open BITS OCTETS KEYS`, answered by one digest of all tags a library,
//! and then `run LIBRARY WARM TIMED` (numbers of bursts), answered by cycles a packet. A wrong tag ends the
//! child with a line `error ...`, so it gives no figure.

use std::io::{BufRead, Write};

use anyhow::{Context, bail, ensure};
use ravelin_gcm::{BURST, Kernel, Key, NONCE_LENGTH, Open, Seal, TAG_LENGTH, open_burst, seal_burst};
use ravelin_mem::tsc;

use super::texts;

/// What is to be timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Opening instead of sealing.
    pub open: bool,
    /// Of the key.
    pub bits: usize,
    /// Octets of text.
    pub length: usize,
    /// Keys, each used by one packet in turn.
    pub keys: u32,
}

/// Serves requests from standard input until it ends.
///
/// # Errors
/// What was wrong, told on standard output too.
pub fn serve() -> anyhow::Result<()> {
    let outcome = requests();
    if let Err(error) = &outcome {
        println!("error {error:#}");
    }
    outcome
}

fn requests() -> anyhow::Result<()> {
    println!("ravelin {}\nring\naws-lc-rs\n", Kernel::detect().name());
    let mut bench = None;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["load", what, bits, length, keys] => {
                let (bits, length, keys) = (bits.parse()?, length.parse()?, keys.parse()?);
                drop(bench.take());
                let made = bench.insert(Bench::new(Load { open: *what == "open", bits, length, keys })?);
                println!("ok {}", made.digests()?);
            }
            ["run", library, warm, timed] => {
                let bench = bench.as_mut().context("nothing is loaded")?;
                println!("{:.3}", bench.run(library, warm.parse()?, timed.parse()?)?);
            }
            _ => bail!("not understood: {line}"),
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// One burst of packets, ready.
struct Work {
    length: usize,
    /// Octets from one text to the next: text, tag, and up to a cache line of room.
    stride: usize,
    texts: Vec<u8>,
    keys: [u32; BURST],
    nonces: [[u8; NONCE_LENGTH]; BURST],
    aads: [[u8; texts::AAD]; BURST],
    tags: [[u8; TAG_LENGTH]; BURST],
}

impl Work {
    fn new(length: usize) -> Work {
        let stride = (length + TAG_LENGTH).next_multiple_of(64);
        Work {
            length,
            stride,
            texts: vec![0; stride * BURST],
            keys: [0; BURST],
            nonces: [[0; NONCE_LENGTH]; BURST],
            aads: [[0; texts::AAD]; BURST],
            tags: [[0; TAG_LENGTH]; BURST],
        }
    }
}

/// A library with all keys expanded. Times one burst; in `work` then are the tags it made, or (opening) the
/// tags it had to accept.
trait Library {
    fn name(&self) -> &'static str;
    fn seal(&self, work: &mut Work) -> anyhow::Result<u64>;
    fn open(&self, work: &mut Work) -> anyhow::Result<u64>;
}

struct Bench {
    load: Load,
    text: Vec<u8>,
    order: Vec<u32>,
    tags: Vec<[u8; TAG_LENGTH]>,
    work: Work,
    libraries: Vec<Box<dyn Library>>,
}

impl Bench {
    fn new(load: Load) -> anyhow::Result<Bench> {
        let mut bench = Bench {
            load,
            text: texts::text(load.length),
            order: texts::shuffled(load.keys),
            tags: Vec::new(),
            work: Work::new(load.length),
            libraries: vec![
                Box::new(Ours::new(load)?),
                Box::new(Ring::new(load)?),
                Box::new(AwsLc::new(load)?),
            ],
        };
        bench.tags = bench.tags_of(0)?;
        Ok(bench)
    }

    fn digests(&mut self) -> anyhow::Result<String> {
        let digest =
            |bench: &mut Bench, library| Ok(format!("{:016x}", texts::digest(&bench.tags_of(library)?)));
        let all: anyhow::Result<Vec<String>> = (0..self.libraries.len()).map(|n| digest(self, n)).collect();
        Ok(all?.join(" "))
    }

    /// The tag of each key's packet: of the text sealed, or (opening) of the text taken as ciphertext. For
    /// that it is sealed twice: counter mode undoes itself, so the second time the text comes out.
    fn tags_of(&mut self, library: usize) -> anyhow::Result<Vec<[u8; TAG_LENGTH]>> {
        let library = self.libraries.get(library).context("no such library")?;
        let all: Vec<u32> = (0..self.load.keys).collect();
        let mut tags = Vec::with_capacity(all.len());
        for keys in all.chunks(BURST) {
            let burst = std::array::from_fn(|n| keys.get(n).copied().unwrap_or(0));
            lay(&mut self.work, &self.text, burst, &self.tags);
            library.seal(&mut self.work)?;
            if self.load.open {
                library.seal(&mut self.work)?;
            }
            tags.extend(self.work.tags.iter().take(keys.len()));
        }
        Ok(tags)
    }

    fn run(&mut self, name: &str, warm: usize, timed: usize) -> anyhow::Result<f64> {
        let library =
            self.libraries.iter().find(|library| library.name() == name).context("no such library")?;
        let mut order = self.order.iter().copied().cycle();
        let mut bursts = Vec::with_capacity(timed);
        for number in 0..warm + timed {
            let keys = std::array::from_fn(|_| order.next().unwrap_or(0));
            lay(&mut self.work, &self.text, keys, &self.tags);
            let cycles =
                if self.load.open { library.open(&mut self.work)? } else { library.seal(&mut self.work)? };
            if number >= warm {
                bursts.push(cycles);
            }
            let expected = keys.iter().map(|key| self.tags.get(*key as usize));
            ensure!(expected.eq(self.work.tags.iter().map(Some)), "{name} made a wrong tag");
        }
        Ok(undisturbed(bursts) / BURST as f64)
    }
}

/// Mean of the bursts without the slowest sixteenth, which was interrupted. `gcm.c` has the same rule.
fn undisturbed(mut bursts: Vec<u64>) -> f64 {
    bursts.sort_unstable();
    bursts.truncate(bursts.len() - bursts.len() / 16);
    bursts.iter().sum::<u64>() as f64 / bursts.len().max(1) as f64
}

/// Lays out a burst, the text and (for opening) the tag of each packet. Touches no expanded key.
fn lay(work: &mut Work, text: &[u8], keys: [u32; BURST], tags: &[[u8; TAG_LENGTH]]) {
    work.keys = keys;
    work.nonces = keys.map(texts::nonce);
    work.aads = keys.map(texts::aad);
    work.tags = keys.map(|key| tags.get(key as usize).copied().unwrap_or_default());
    for (packet, tag) in work.texts.chunks_exact_mut(work.stride).zip(&work.tags) {
        let (at, behind) = packet.split_at_mut(work.length);
        at.copy_from_slice(text);
        behind.iter_mut().zip(tag).for_each(|(to, from)| *to = *from);
    }
}

fn timed(work: impl FnOnce()) -> u64 {
    let start = tsc::fenced();
    work();
    tsc::fenced().saturating_sub(start)
}

struct Ours(Vec<Key>);

impl Ours {
    fn new(load: Load) -> anyhow::Result<Ours> {
        let mut keys = Vec::with_capacity(load.keys as usize);
        for index in 0..load.keys {
            let key = texts::key(index);
            keys.push(Key::new(Kernel::detect(), key.get(..load.bits / 8).context("key size")?)?);
        }
        Ok(Ours(keys))
    }

    fn key(&self, index: u32) -> anyhow::Result<&Key> {
        self.0.get(index as usize).context("no such key")
    }
}

impl Library for Ours {
    fn name(&self) -> &'static str {
        "ravelin"
    }

    fn seal(&self, work: &mut Work) -> anyhow::Result<u64> {
        let mut lanes = Vec::with_capacity(BURST);
        let packets = work.texts.chunks_exact_mut(work.stride).zip(&mut work.tags);
        for ((((packet, tag), key), nonce), aad) in packets.zip(&work.keys).zip(&work.nonces).zip(&work.aads)
        {
            let (text, _) = packet.split_at_mut(work.length);
            lanes.push(Seal::new(self.key(*key)?, *nonce, aad, text, tag));
        }
        Ok(timed(|| seal_burst(&mut lanes)))
    }

    fn open(&self, work: &mut Work) -> anyhow::Result<u64> {
        let mut lanes = Vec::with_capacity(BURST);
        let packets = work.texts.chunks_exact_mut(work.stride).zip(&work.tags);
        for ((((packet, tag), key), nonce), aad) in packets.zip(&work.keys).zip(&work.nonces).zip(&work.aads)
        {
            let (text, _) = packet.split_at_mut(work.length);
            lanes.push(Open::new(self.key(*key)?, *nonce, aad, text, *tag));
        }
        let cycles = timed(|| open_burst(&mut lanes));
        ensure!(lanes.iter().all(|lane| lane.verdict.is_ok()), "ravelin refused a good tag");
        Ok(cycles)
    }
}

/// `ring` and `aws-lc-rs` have the same interface under two names: one packet at a time, in place.
macro_rules! one_at_a_time {
    ($library:ident, $name:literal, $aead:ident) => {
        struct $library(Vec<$aead::aead::LessSafeKey>);

        impl $library {
            fn new(load: Load) -> anyhow::Result<$library> {
                use $aead::aead;
                let algorithm = if load.bits == 128 { &aead::AES_128_GCM } else { &aead::AES_256_GCM };
                let mut keys = Vec::with_capacity(load.keys as usize);
                for index in 0..load.keys {
                    let key = texts::key(index);
                    let key = aead::UnboundKey::new(algorithm, key.get(..load.bits / 8).context("key size")?);
                    keys.push(aead::LessSafeKey::new(key.ok().context("key size")?));
                }
                Ok($library(keys))
            }

            fn seal_all(&self, work: &mut Work) -> bool {
                use $aead::aead;
                let packets = work.texts.chunks_exact_mut(work.stride).zip(&mut work.tags);
                for ((((packet, tag), key), nonce), aad) in
                    packets.zip(&work.keys).zip(&work.nonces).zip(&work.aads)
                {
                    let (Some(key), Some(text)) = (self.0.get(*key as usize), packet.get_mut(..work.length))
                    else {
                        return false;
                    };
                    let nonce = aead::Nonce::assume_unique_for_key(*nonce);
                    let Ok(made) = key.seal_in_place_separate_tag(nonce, aead::Aad::from(aad), text) else {
                        return false;
                    };
                    tag.copy_from_slice(made.as_ref());
                }
                true
            }

            fn open_all(&self, work: &mut Work) -> bool {
                use $aead::aead;
                let packets = work.texts.chunks_exact_mut(work.stride);
                for (((packet, key), nonce), aad) in packets.zip(&work.keys).zip(&work.nonces).zip(&work.aads)
                {
                    let text = packet.get_mut(..work.length + TAG_LENGTH);
                    let (Some(key), Some(text)) = (self.0.get(*key as usize), text) else { return false };
                    let nonce = aead::Nonce::assume_unique_for_key(*nonce);
                    if key.open_in_place(nonce, aead::Aad::from(aad), text).is_err() {
                        return false;
                    }
                }
                true
            }
        }

        impl Library for $library {
            fn name(&self) -> &'static str {
                $name
            }

            fn seal(&self, work: &mut Work) -> anyhow::Result<u64> {
                let mut good = false;
                let cycles = timed(|| good = self.seal_all(work));
                ensure!(good, "{} did not seal", $name);
                Ok(cycles)
            }

            fn open(&self, work: &mut Work) -> anyhow::Result<u64> {
                let mut good = false;
                let cycles = timed(|| good = self.open_all(work));
                ensure!(good, "{} refused a good tag", $name);
                Ok(cycles)
            }
        }
    };
}

one_at_a_time!(Ring, "ring", ring);
one_at_a_time!(AwsLc, "aws-lc-rs", aws_lc_rs);

#[cfg(test)]
mod tests {
    use super::*;

    /// All libraries make the same tags and accept them, sealing and opening, over more keys than a burst.
    #[test]
    fn libraries_agree() {
        for (open, bits, keys) in [(false, 128, 1), (true, 128, 100), (false, 256, 100), (true, 256, 1)] {
            let mut bench = Bench::new(Load { open, bits, length: 77, keys }).unwrap();
            let digests = bench.digests().unwrap();
            let digests: Vec<_> = digests.split(' ').collect();
            assert_eq!(digests[0], digests[1]);
            assert_eq!(digests[0], digests[2]);
            for library in ["ravelin", "ring", "aws-lc-rs"] {
                assert!(bench.run(library, 1, 3).unwrap() > 0.0);
            }
        }
    }

    /// A tag that is not the right one gives no figure.
    #[test]
    fn a_wrong_tag_gives_no_figure() {
        for open in [false, true] {
            let mut bench = Bench::new(Load { open, bits: 128, length: 64, keys: 3 }).unwrap();
            bench.tags[1][5] ^= 1;
            for library in ["ravelin", "ring", "aws-lc-rs"] {
                assert!(bench.run(library, 0, 1).is_err(), "{library}");
            }
        }
    }
}
