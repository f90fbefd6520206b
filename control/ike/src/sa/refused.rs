//! A pair of addresses that the peer refuses (RFC 4555 §3.5): "the initiator MAY select another addresses and retry the
//! exchange, keep on using the previously used addresses, or disconnect."
//!
//! We do all three, in that order of hope: a question goes between all pairs that are left at once, first of all the one
//! that the peer took note of last, and the tunnel is where the first answer comes from; it is closed when no pair is
//! left, or none of those left answers. What is refused is tried again once the peer has accepted another pair, or either
//! side has other addresses. Who is called refuses in [`super::mobility`], which also sends what is refused.

use super::line::Own;
use super::mobility::Errand;
use super::turn::Turn;
use crate::error::Failure;
use crate::event::Event;
use crate::want::Path;
use crate::window::Schedule;
use crate::wire::ExchangeType;
use std::net::IpAddr;

/// How often in a row an update is sent again whose answer may have been to another pair's copy.
const DOUBTS: u8 = 3;

/// What the peer refuses. There are no more pairs than ways, and those are few.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pairs: Vec<(IpAddr, IpAddr)>,
    /// Its last notification.
    reason: Option<u16>,
    /// Answers in a row that say nothing.
    doubts: u8,
}

impl Refused {
    /// Whether the peer has refused these addresses, ours and its own.
    pub(crate) fn has(&self, pair: (IpAddr, IpAddr)) -> bool {
        self.pairs.contains(&pair)
    }

    /// All pairs may be tried again.
    pub(crate) fn forget(&mut self) {
        *self = Refused::default();
    }

    /// What to say when nobody answers where we still may be.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.reason.map(Failure::MoveRefused)
    }

    fn note(&mut self, path: &Path, reason: u16) {
        (self.reason, self.doubts) = (Some(reason), 0);
        self.pairs.push((path.local.ip(), path.remote.ip()));
    }

    /// The peer takes the copy of a request that reaches it first, and answers all of them alike: if copies went between
    /// several pairs, who knows which one it accepts or refuses. So it is told again, but not for ever.
    pub(crate) fn is_doubtful(&mut self, went_around: bool) -> bool {
        self.doubts = if went_around { self.doubts.saturating_add(1) } else { 0 };
        went_around && self.doubts <= DOUBTS
    }
}

impl Turn<'_, '_> {
    /// The peer does not accept the addresses that it was told of.
    pub(crate) fn way_refused(&mut self, reason: u16) {
        let (ike, connection, path) = (self.common.id, self.common.connection, self.common.path);
        self.common.mobility.refused.note(&path, reason);
        self.ctx.event(Event::AddressesRefused { ike, connection, path, reason });
        if let Some(back) = self.way_back() {
            self.return_to(back);
        } else if let Some(next) = self.ways().first().copied() {
            self.take_way(next);
        } else {
            return self.close(Failure::MoveRefused(reason));
        }
        self.common.mobility.errand = Some(Errand::Search);
    }

    /// Where the peer took note of us last, if that address is still ours and the peer has not refused it since.
    fn way_back(&self) -> Option<Path> {
        let (mobility, config) = (&self.common.mobility, self.current_config());
        let left = mobility.left.filter(|left| config.own_addresses().any(|own| own == left.local.ip()));
        left.filter(|left| !mobility.refused.has((left.local.ip(), left.remote.ip())))
    }

    /// ESP goes there too: it did before.
    fn return_to(&mut self, path: Path) {
        self.common.path = path;
        self.common.mobility.returned();
        self.up.readdress(self.ctx, self.common);
    }

    /// Asks all pairs that are left at once whether the peer is there.
    pub(crate) fn start_search(&mut self) -> Result<Own, Failure> {
        let normal = Schedule::Doubling(self.ctx.config.retransmission);
        let schedule = self.current_config().dead_peer.map_or(normal, Schedule::of_probe);
        self.request_by(ExchangeType::Informational, Vec::new(), schedule)?;
        let others = self.other_ways();
        let packets = self.line.sa.window.request_packets();
        packets.iter().for_each(|packets| self.ctx.send_around(&others, packets));
        Ok(Own::Found)
    }

    /// The peer answered, along the path: it is told that we are there, wherever it took us to be.
    pub(crate) fn own_found(&mut self) {
        self.common.mobility.errand = Some(Errand::Update);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer is doubted where it may be to another copy; a clear one counts, and so does one after too many.
    #[test]
    fn doubts_end() {
        let mut refused = Refused::default();
        for round in 0..2 {
            assert!((0..DOUBTS).all(|_| refused.is_doubtful(true)), "{round}");
            assert!(!refused.is_doubtful(round == 0));
            refused.doubts = 0;
        }
        assert!(refused.failure().is_none());
    }
}
