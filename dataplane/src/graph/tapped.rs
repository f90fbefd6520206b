//! What the stations show a tap ([`crate::trace`]): one question a burst where there is none.

use crate::io::{Burst, Frame, Meta, Pool};
use crate::net::{eth, vlan};
use crate::node::opening::{Inner, Opening, Stage};
use crate::node::seal::{self, Sealing};
use crate::node::transport;
use crate::trace::mirror::Mirror;
use crate::trace::{Node, Of, Seen, Side, Tap, identity};
use crate::verdict::{Drop, Verdict};

use super::Graph;

/// A packet at a station, as far as its frame shows.
fn seen<F: Frame>(at_us: u64, node: Node, frame: &F) -> Seen<'_> {
    let (meta, data) = (*frame.meta(), frame.data());
    Seen { at_us, node, frame: identity(frame), meta, data, summary: None, interface: None }
}

/// The interface of a frame as it came from its port.
fn arrival<F: Frame>(frame: &F) -> (u16, u16) {
    let Meta { port, vlan, .. } = *frame.meta();
    let tag = || vlan::Header::parse(frame.data().get(eth::Repr::LEN..)?).ok().map(|tag| tag.id());
    let is_tagged = eth::Repr::parse(frame.data()).is_ok_and(|link| link.ethertype == eth::ethertype::VLAN);
    (port, if is_tagged { tag().unwrap_or(vlan) } else { vlan })
}

/// All that are shown packets.
fn each<'t>(tap: &'t mut Option<Box<Tap>>, mirrors: &'t mut [Mirror]) -> impl Iterator<Item = &'t mut Tap> {
    tap.iter_mut().map(|tap| &mut **tap).chain(mirrors.iter_mut().map(Mirror::tap))
}

impl<P: Pool> Graph<P> {
    /// Puts a tap in place, or none; the former comes back.
    pub(crate) fn set_tap(&mut self, tap: Option<Box<Tap>>) -> Option<Box<Tap>> {
        let former = std::mem::replace(&mut self.tap, tap);
        self.note_tapped();
        former
    }

    /// Notes whether anybody is shown anything.
    pub(super) fn note_tapped(&mut self) {
        self.tapped = self.tap.is_some() || !self.mirrors.is_empty();
    }

    /// Whether there is a tap or a mirror: what each station asks once a burst.
    #[inline(always)]
    pub(crate) const fn is_tapped(&self) -> bool {
        self.tapped
    }

    /// Shows frames that a port gave.
    #[cold]
    #[inline(never)]
    pub(super) fn show_received(&mut self, burst: &Burst<P::Frame>) {
        for tap in each(&mut self.tap, &mut self.mirrors) {
            for frame in burst.iter() {
                let interface = Some(arrival(frame));
                let seen = Seen { interface, ..seen(self.now_us, Node::Received, frame) };
                tap.see(&seen, true);
                tap.copy(self.now_us, seen.frame, Side::Wire, false, seen.data);
            }
        }
    }

    /// Shows packets that came in otherwise.
    #[cold]
    #[inline(never)]
    pub(super) fn show_entered<'f>(&mut self, node: Node, frames: impl Iterator<Item = &'f P::Frame> + Clone)
    where
        P::Frame: 'f,
    {
        for tap in each(&mut self.tap, &mut self.mirrors) {
            frames.clone().for_each(|frame| tap.see(&seen(self.now_us, node, frame), true));
        }
    }

    /// Shows packets in clear that are about to be judged.
    #[cold]
    #[inline(never)]
    pub(super) fn show_clear(&mut self) {
        for tap in each(&mut self.tap, &mut self.mirrors) {
            for packet in self.stations.clear.as_slice().iter().map(|clear| &clear.packet) {
                let seen = seen(self.now_us, Node::Policy, &packet.frame);
                tap.see(&Seen { summary: Some(&packet.summary), ..seen }, false);
            }
        }
    }

    /// Shows ESP packets that are about to be decrypted.
    #[cold]
    #[inline(never)]
    pub(super) fn show_closed(&mut self, openings: &[Opening<P::Frame>]) {
        for tap in each(&mut self.tap, &mut self.mirrors) {
            tap.keep_anew();
            for opening in openings {
                let (Opening { summary, esp, place, .. }, Some(frame)) = (opening, &opening.frame) else {
                    continue;
                };
                let seen = seen(self.now_us, Node::Decrypt, frame);
                tap.see(&Seen { summary: Some(summary), ..seen }, false);
                let inbound = &mut self.link.inbound;
                let is_there = inbound.hot(*place, esp.spi).is_some();
                if let Some(cold) = inbound.cold_mut(*place).filter(|_| is_there) {
                    tap.see_sa(seen.frame, Of { spi: esp.spi, sequence: 0, child: cold.child });
                }
                tap.keep(seen.frame, seen.data);
            }
        }
    }

    /// Shows what became of them.
    #[cold]
    pub(super) fn show_opened(&mut self, openings: &[Opening<P::Frame>]) {
        for tap in each(&mut self.tap, &mut self.mirrors) {
            for Opening { frame, summary, stage, guess, .. } in openings {
                let Some(frame) = frame else { continue };
                let (at, id) = (self.now_us, identity(frame));
                let verdict = match stage {
                    Stage::Opened(Inner::Packet) => Verdict::Forward,
                    Stage::Opened(Inner::Dummy) => Verdict::Absorbed,
                    Stage::Refused(reason) => Verdict::Drop(*reason),
                    Stage::Found(_) => Verdict::Drop(Drop::SaMiss),
                };
                if verdict == Verdict::Forward {
                    tap.see_opened(id, guess.sequence(), summary);
                }
                tap.copy_kept(at, id, verdict);
                if verdict == Verdict::Forward {
                    tap.copy(at, id, Side::Clear, false, frame.data());
                }
            }
        }
    }

    /// Shows packets that are about to be encrypted.
    #[cold]
    #[inline(never)]
    pub(super) fn show_unsealed(&mut self) {
        for tap in each(&mut self.tap, &mut self.mirrors) {
            for sealing in self.stations.sealings.as_slice() {
                let interface = (sealing.front.link() > 0).then(|| {
                    let Meta { port, vlan, .. } = *sealing.frame.meta();
                    (port, vlan)
                });
                let seen = Seen { interface, ..seen(self.now_us, Node::Encrypt, &sealing.frame) };
                tap.see(&seen, false);
                tap.see_slot(seen.frame, sealing.slot);
                let child = self.link.outbound.cold_mut(sealing.slot).map(|cold| cold.child);
                if let Some(child) = child {
                    tap.see_sa(seen.frame, Of { spi: sealing.spi(), sequence: sealing.sequence(), child });
                }
                // A dummy packet has nothing in clear.
                let hot = self.link.outbound.hot(sealing.slot).filter(|_| sealing.octets() > 0);
                let Some(hot) = hot else { continue };
                let framing = hot.suite().framing();
                match hot.wrap.is_transport() {
                    false => tap.copy(self.now_us, seen.frame, Side::Clear, true, sealing.text(framing)),
                    true => tap.copy_made(self.now_us, seen.frame, |out| {
                        transport::write_clear(seen.data, sealing.front, framing, out)
                    }),
                }
            }
        }
    }

    /// Shows them as they are to leave.
    #[cold]
    #[inline(never)]
    pub(super) fn show_sealed(&mut self) {
        for tap in each(&mut self.tap, &mut self.mirrors) {
            for sealing in self.stations.sealings.as_mut_slice().iter_mut().filter(|sealing| sealing.sealed) {
                // Once more when it leaves; it comes to the same.
                seal::finish(sealing);
                let Sealing { frame, front, .. } = sealing;
                let id = identity(frame);
                tap.see_sealed(id);
                let packet = frame.data().get(front.link()..).unwrap_or_default();
                tap.copy(self.now_us, id, Side::Encrypted, true, packet);
            }
        }
    }

    /// Shows frames that wait for their ports: their paths end here.
    #[cold]
    #[inline(never)]
    pub(crate) fn show_departing(&mut self) {
        for tap in each(&mut self.tap, &mut self.mirrors) {
            for frame in self.stations.departing.as_slice() {
                let Meta { port, vlan, .. } = *frame.meta();
                let seen = Seen { interface: Some((port, vlan)), ..seen(self.now_us, Node::Sent, frame) };
                tap.see(&seen, false);
                tap.copy(self.now_us, seen.frame, Side::Wire, true, seen.data);
                tap.finish(self.now_us, seen.frame, seen.data.len(), Verdict::Forward);
            }
        }
    }

    /// Shows for which slot a packet was that ends here.
    #[cold]
    pub(super) fn show_slot(&mut self, frame: &P::Frame, slot: u32) {
        each(&mut self.tap, &mut self.mirrors).for_each(|tap| tap.see_slot(identity(frame), slot));
    }

    /// Shows a packet whose path ends here.
    #[cold]
    #[inline(never)]
    pub(super) fn show_end(&mut self, frame: &P::Frame, verdict: Verdict) {
        if !self.tapped {
            return;
        }
        let node = match verdict {
            Verdict::Drop(_) => Node::Dropped,
            Verdict::Punt => Node::Punted,
            _ => Node::Absorbed,
        };
        each(&mut self.tap, &mut self.mirrors)
            .for_each(|tap| tap.end(&seen(self.now_us, node, frame), verdict));
    }
}
