//! What workers report, in the terms of the engine and the tunnels.

use std::net::{IpAddr, SocketAddr};

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::report::{Refusal, Report};
use ravelin_dataplane::net::flow::Flow;
use ravelin_dataplane::policy::ip_tunnel::Shown;
use ravelin_dataplane::policy::route::Interface;
use ravelin_dataplane::sa::Endpoint;
use ravelin_dataplane::sa::fact::{Fact, Facts};
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_ike::id::{ChildSaId, Ticket};
use ravelin_ike::input::{ChildFact, ChildFactKind, UnknownSpi};
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, AnswerError};

use super::{Then, Workers};
use crate::tunnel::pmtu::PathKey;
use crate::tunnel::roster::ChildNumber;

/// Something the control loop must act on.
#[derive(Debug)]
pub enum Noticed {
    /// For the engine.
    Fact(ChildFact),
    /// A question of the engine is answered.
    Answer(Ticket, Answer),
    /// A packet wanted a child that has no SA; which, unless the worker had no room to note it.
    Wanted(ChildNumber, Option<Flow>),
    /// A next hop has no address.
    NeighbourMiss {
        /// Its instance.
        instance: u16,
        /// Its interface.
        interface: Interface,
        /// The next hop.
        address: IpAddr,
    },
    /// ESP came for an SPI that nobody knows.
    UnknownSpi(UnknownSpi),
    /// A path to a peer has become narrower.
    PathNarrowed(PathKey),
    /// Somebody says that what an ip-tunnel sent was too large for a path.
    IpTunnelTooBig {
        /// The path.
        path: PathKey,
        /// What the packet showed.
        shown: Shown,
        /// The largest that would pass.
        mtu: u32,
    },
}

impl<P: Pool> Workers<P> {
    /// Everything the workers have to say, and what their progress allows to be said.
    ///
    /// Progress is read before the reports: a refusal is told before the command it belongs
    /// to counts as applied, so it is seen here first.
    pub fn notice(&mut self, now: Instant) -> Vec<Noticed> {
        let workers: Vec<WorkerId> = self.link.workers().collect();
        let progress: Vec<_> = workers.iter().map(|worker| self.link.applied(*worker)).collect();
        let mut noticed = Vec::new();
        for worker in &workers {
            while let Some(report) = self.link.next_report(*worker) {
                self.report(now, *worker, report, &mut noticed);
            }
        }
        for awaited in self.outbox.applied(|worker| progress.get(worker.index()).copied().unwrap_or_default())
        {
            match awaited.token {
                Then::Answer(ticket, _) => noticed.push(Noticed::Answer(ticket, Answer::Install(Ok(())))),
                Then::Release(place, counts_for) => self.release(place, counts_for, now),
                Then::Vacate(home) => self.homes.vacate(home, now.0),
            }
        }
        noticed
    }

    fn report(&mut self, now: Instant, worker: WorkerId, report: Report, noticed: &mut Vec<Noticed>) {
        match report {
            Report::Inbound { spi, facts, peer, .. } => {
                if let Some(sa) = self.sas.by_spi_in(spi) {
                    noticed.extend(facts_of(sa, facts, Some(peer)));
                }
            }
            Report::Outbound { spi, child, facts, .. } => {
                if let Some(sa) = self.sas.by_spi_out(child, spi) {
                    noticed.extend(facts_of(sa, facts, None));
                }
            }
            Report::Vacant { slot, packet } => {
                noticed.extend(self.homes.at(worker, slot).map(|child| Noticed::Wanted(child, packet)));
            }
            Report::NeighbourMiss { instance, port, vlan, address } => {
                noticed.push(Noticed::NeighbourMiss {
                    instance,
                    interface: Interface { port, vlan },
                    address,
                });
            }
            Report::UnknownSpi { instance, local, peer, spi } => {
                let remote = SocketAddr::new(peer.address, peer.port);
                // One that is on its way to a worker, or has just left it, is no stranger's.
                if self.sas.by_spi_in(spi).is_none() {
                    noticed.push(Noticed::UnknownSpi(UnknownSpi { instance, local, remote, spi: spi.0 }));
                }
            }
            Report::PathError { instance, local, peer, spi, mtu: Some(mtu) } => {
                let path = PathKey { instance, local, peer };
                if self.too_big(path, spi, mtu, now) {
                    noticed.push(Noticed::PathNarrowed(path));
                }
            }
            Report::IpTunnelTooBig { instance, local, peer, shown, mtu } => {
                noticed.push(Noticed::IpTunnelTooBig { path: PathKey { instance, local, peer }, shown, mtu });
            }
            Report::Refused { sequence, refusal } => {
                // A rekey's successor may have taken the place of what was to be removed.
                match refusal {
                    Refusal::NoSuchSa => tracing::debug!(worker = worker.0, "nothing to do: {refusal}"),
                    _ => tracing::error!(worker = worker.0, "a command was refused: {refusal}"),
                }
                match self.outbox.refused(worker, sequence).map(|awaited| awaited.token) {
                    Some(Then::Answer(ticket, _)) => {
                        let error = AnswerError { code: "RV-LOCAL-014".into(), text: refusal.to_string() };
                        noticed.push(Noticed::Answer(ticket, Answer::Install(Err(error))));
                    }
                    // What is not there needs no removal: the slot is free all the same.
                    Some(Then::Release(place, _)) => self.release(place, None, now),
                    Some(Then::Vacate(home)) => self.homes.vacate(home, now.0),
                    None => {}
                }
            }
            // Memory comes back to be freed here, where it may take its time.
            _ => drop(report),
        }
    }

    /// Which SAs have received since the last look: proof of life for dead peer detection.
    pub fn traffic(&mut self, now: Instant) -> Vec<ChildFact> {
        let mut facts = Vec::new();
        for sa in self.sas.iter() {
            let packets = self.link.inbound(sa.place).map_or(0, |counters| counters.packets.get());
            if self.seen.insert(sa.sa, packets).is_some_and(|before| before != packets) {
                facts.push(ChildFact { child: sa.sa, kind: ChildFactKind::TrafficSeen { at: now } });
            }
        }
        facts
    }
}

fn facts_of(sa: ChildSaId, facts: Facts, peer: Option<Endpoint>) -> impl Iterator<Item = Noticed> {
    facts.iter().filter_map(move |fact| {
        let kind = match fact {
            Fact::SoftExpiry => ChildFactKind::SoftExpiry,
            Fact::HardExpiry => ChildFactKind::HardExpiry,
            Fact::FirstInbound => ChildFactKind::FirstInbound,
            Fact::PeerMoved => {
                let peer = peer?;
                ChildFactKind::PeerMoved { remote: SocketAddr::new(peer.address, peer.port) }
            }
            Fact::Wanted => return None,
        };
        Some(Noticed::Fact(ChildFact { child: sa, kind }))
    })
}
