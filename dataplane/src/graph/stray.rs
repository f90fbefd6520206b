//! ESP that names no SA of ours: control hears who sends it, each sender once a second and few senders a second, so that
//! it may tell who has an IKE SA with us (RFC 7296 §1.5). Where such a packet ends is not changed by it, and no other
//! packet comes by here.

use std::net::IpAddr;

use crate::io::Pool;
use crate::link::report::Report;
use crate::net::flow::Summary;
use crate::sa::Endpoint;
use crate::sa::spi::Spi;
use crate::verdict::Drop;

use super::Graph;

/// Senders told in one [`INTERVAL_US`]; whoever invents addresses takes no more of control's time than that.
const SENDERS: usize = 16;
/// How long a sender that was told is no news.
const INTERVAL_US: u64 = 1_000_000;

/// Of whom control was told lately.
#[derive(Debug)]
pub(super) struct Strays {
    recent: [Option<(u16, IpAddr)>; SENDERS],
    since_us: u64,
}

impl Strays {
    pub const fn new() -> Self {
        Strays { recent: [None; SENDERS], since_us: 0 }
    }

    /// Whether control is to be told, and notes that it was.
    fn is_news(&mut self, sender: (u16, IpAddr), now_us: u64) -> bool {
        if now_us.saturating_sub(self.since_us) > INTERVAL_US {
            (self.recent, self.since_us) = ([None; SENDERS], now_us);
        }
        if self.recent.contains(&Some(sender)) {
            return false;
        }
        let free = self.recent.iter_mut().find(|entry| entry.is_none());
        free.map(|entry| *entry = Some(sender)).is_some()
    }
}

impl<P: Pool> Graph<P> {
    /// An ESP packet ends for `reason`: tells control of it if that is because nobody knows its SPI.
    #[cold]
    pub(super) fn note_stray(
        &mut self,
        reason: Drop,
        instance: u16,
        outer: &Summary,
        (spi, ports): (Spi, (u16, u16)),
    ) {
        if reason != Drop::SaMiss || !self.strays.is_news((instance, outer.source()), self.now_us) {
            return;
        }
        let peer = Endpoint { address: outer.source(), port: ports.0 };
        self.link.mention(Report::UnknownSpi { instance, local: outer.destination(), peer, spi });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many senders there are and however much they send.
    #[test]
    fn few_are_told_of_and_each_once_a_second() {
        let mut strays = Strays::new();
        let mut told = |senders: u32, now_us| {
            let sender = |number: u32| (0, IpAddr::from(number.to_be_bytes()));
            (0..senders).filter(|number| strays.is_news(sender(*number), now_us)).count()
        };
        for second in 1..4_u64 {
            let now_us = second * 1_100_000;
            assert_eq!((told(3, now_us), told(3, now_us + 1)), (3, 0));
            assert_eq!((told(100_000, now_us + 2), told(100_000, now_us + 1000)), (13, 0));
        }
    }
}
