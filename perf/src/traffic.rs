//! Which packets, under which keys: the axes that all scenarios share.

use std::str::FromStr;

use anyhow::bail;
use ravelin_gcm::{Kernel, KeySize};

/// Packets of one burst.
pub const BURST: usize = ravelin_gcm::BURST;

/// The "simple IMIX" of network testers: of 12 packets 7 small, 4 middling, 1 large. Sizes are ours.
pub const IMIX: [usize; 12] = [64, 576, 64, 64, 576, 64, 1420, 64, 576, 64, 576, 64];

/// Sizes of the inner IP packets of a burst, IP header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// All of that many octets.
    Fixed(usize),
    /// 7 of 64, 4 of 576 and 1 of 1420 octets in 12, interleaved.
    Imix,
}

impl Mix {
    /// Sizes of one burst's packets, in order.
    pub fn sizes(self) -> [usize; BURST] {
        match self {
            Mix::Fixed(size) => [size; BURST],
            Mix::Imix => {
                let mut cycle = IMIX.into_iter().cycle();
                std::array::from_fn(|_| cycle.next().unwrap_or_default())
            }
        }
    }

    /// Mean octets of a packet.
    pub fn mean(self) -> f64 {
        self.sizes().iter().sum::<usize>() as f64 / BURST as f64
    }

    /// As `--sizes` takes it.
    pub fn name(self) -> String {
        match self {
            Mix::Fixed(size) => size.to_string(),
            Mix::Imix => "imix".to_owned(),
        }
    }
}

impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Mix> {
        match text.parse() {
            Ok(size @ 28..=1500) => Ok(Mix::Fixed(size)),
            Ok(size) => bail!("{size} octets: an inner packet has 28 (IPv4 and UDP headers) to 1500"),
            Err(_) if text == "imix" => Ok(Mix::Imix),
            Err(_) => bail!("\"{text}\" is neither a number of octets nor \"imix\""),
        }
    }
}

/// What to measure: each mix under each suite.
#[derive(Debug)]
pub struct Plan {
    /// Packet sizes.
    pub mixes: Vec<Mix>,
    /// Kernels and key sizes; no pair that would be served by another kernel.
    pub suites: Vec<(Kernel, KeySize)>,
    /// Numbers of SAs among which the packets of a burst are spread.
    pub sas: Vec<u32>,
}

impl Plan {
    /// The plan for the options given; no option means all.
    pub fn new(mixes: Vec<Mix>, kernel: Option<&str>, bits: Option<&str>) -> anyhow::Result<Plan> {
        let kernels: Vec<Kernel> =
            Kernel::all().filter(|it| kernel.is_none_or(|name| it.name() == name)).collect();
        if kernels.is_empty() {
            let names: Vec<_> = Kernel::all().map(Kernel::name).collect();
            bail!("no such kernel here; these there are: {}", names.join(", "));
        }
        let wanted = |size: KeySize| bits.is_none_or(|bits| bits == (size.octets() * 8).to_string());
        let mut suites = Vec::new();
        for size in KeySize::ALL.into_iter().filter(|&size| wanted(size)) {
            for &kernel in &kernels {
                if key(kernel, size)?.kernel() == kernel {
                    suites.push((kernel, size));
                }
            }
        }
        Ok(Plan { mixes, suites, sas: vec![1] })
    }
}

/// A key of that size for that kernel: always the same, it protects nothing.
pub fn key(kernel: Kernel, size: KeySize) -> anyhow::Result<ravelin_gcm::Key> {
    Ok(ravelin_gcm::Key::new(kernel, &vec![0x5a; size.octets()])?)
}

/// As reports print it.
pub fn suite_name(size: KeySize) -> String {
    format!("aes{}-gcm16", size.octets() * 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mix is the proportion it says.
    #[test]
    fn imix_is_seven_to_four_to_one() {
        let count = |size| IMIX.iter().filter(|&&it| it == size).count();
        assert_eq!((count(64), count(576), count(1420)), (7, 4, 1));
    }

    /// Names lead back, and what is no size is refused with the reason.
    #[test]
    fn mixes_are_parsed() {
        for mix in [Mix::Imix, Mix::Fixed(64), Mix::Fixed(1420)] {
            assert_eq!(mix.name().parse::<Mix>().unwrap(), mix);
        }
        for wrong in ["", "0", "9000", "mix", "-1"] {
            assert!(wrong.parse::<Mix>().is_err());
        }
    }

    /// No row of a report is measured on another kernel than it names.
    #[test]
    fn suites_are_served_by_the_kernel_named() {
        let plan = Plan::new(vec![Mix::Imix], None, None).unwrap();
        assert!(plan.suites.iter().all(|&(kernel, size)| key(kernel, size).unwrap().kernel() == kernel));
        assert!(Plan::new(vec![], Some("abacus"), None).is_err());
    }
}
