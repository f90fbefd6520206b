//! The workers as the control loop sees them: everything that goes down the link and
//! everything that comes up, in the terms of tunnels and IKE. Owns the control end of the
//! link, the tables' writer, the SPIs and the list of installed SAs; decides nothing about
//! tunnels.

mod admitted;
mod groups;
mod homes;
mod ike_io;
mod install;
mod ip_tunnels;
mod mirrors;
mod own;
mod path;
mod placement;
mod policy;
mod reports;
mod stall;
mod taps;
mod tunnels;

use std::collections::{BTreeSet, HashMap};
use std::hash::RandomState;
use std::sync::Arc;

use ravelin_dataplane::io::Pool;
use ravelin_dataplane::link::ControlEnd;
use ravelin_dataplane::link::askers::Askers;
use ravelin_dataplane::link::command::Command;
use ravelin_dataplane::link::waits::Waits;
use ravelin_dataplane::policy::publish::Writer;
use ravelin_dataplane::policy::selector::SelectorSet;
use ravelin_dataplane::policy::table::Tables;
use ravelin_dataplane::sa::SaRef;
use ravelin_dataplane::sa::allocator::SpiAllocator;
use ravelin_dataplane::sa::shard::Shard;
use ravelin_dataplane::sa::spi::Place;
use ravelin_ike::config::{ChildId, ConnectionId};
use ravelin_ike::id::{ChildSaId, Ticket};

use crate::group::Groups;
use crate::routing::{Outcome, Routing};
use crate::tunnel::outbox::{Order, Outbox};
use crate::tunnel::pmtu::PathMtus;
use crate::tunnel::roster::{ChildNumber, Roster};
use crate::tunnel::sas::{Home, Installeds};
use crate::tunnel::session::Carried;

use homes::Homes;
pub use install::InstallError;
use ip_tunnels::Numbered;
use mirrors::Mirrors;
pub use mirrors::Wanted;
use policy::Policies;
pub use reports::Noticed;
pub use stall::Unmoved;
use tunnels::Manual;
pub use tunnels::NotHeld;

/// An inbound slot rests so long before it is used again: no packet of its last SA is on its way any more.
const REST_US: u64 = 10_000_000;

/// What happens when a worker has applied an order.
#[derive(Debug)]
enum Then {
    /// The engine's question about an SA is answered.
    Answer(Ticket, ChildSaId),
    /// The slot of an inbound SA is free; its counts belong to the child, if they were not taken before.
    Release(Place, Option<ChildNumber>),
    /// An outbound slot that a child has left is empty.
    Vacate(Home),
}

/// Counts of SAs that are gone, so that a child's counts never fall.
#[derive(Debug, Clone, Copy, Default)]
struct Past {
    /// Packets and octets.
    received: (u64, u64),
    /// On workers it lived on before.
    sent: (u64, u64),
}

/// DSCP CS6 (RFC 4594 §3.2).
const NETWORK_CONTROL: u8 = 48;

/// Control's end of all workers. `P` gives out frames for IKE.
#[derive(Debug)]
pub struct Workers<P: Pool> {
    link: ControlEnd<P::Frame>,
    tables: Writer<Tables>,
    buffers: P,
    routing: Routing,
    outbox: Outbox<Then>,
    spis: SpiAllocator,
    sas: Installeds,
    homes: Homes,
    groups: Groups,
    past: Vec<Past>,
    /// Tunnels into which nothing is let.
    shut: BTreeSet<ConnectionId>,
    /// What children carry whose SAs carry other than is configured.
    narrowed: HashMap<ChildNumber, SelectorSet>,
    /// Children of which single workers send on SAs of their own, as policy has been told.
    own: BTreeSet<ChildNumber>,
    /// The inbound SAs with manual SPIs.
    manual: Vec<Manual>,
    /// The policy entries in force.
    policies: Policies,
    /// The ip-tunnels in force.
    ip_tunnels: Numbered,
    /// How long fragments wait for the rest.
    waits: Arc<Waits>,
    askers: Arc<Askers>,
    /// The mirrors in force.
    mirrors: Mirrors,
    /// What was learned of paths to peers.
    paths: PathMtus,
    /// IPv4 identification of the next IKE packet.
    packet_id: u16,
    /// IKE messages lost that nobody was told of.
    unsent: u64,
    /// DSCP of IKE packets.
    ike_dscp: u8,
    /// Whose traffic was counted last, for dead peer detection.
    seen: HashMap<ChildSaId, u64>,
    /// Hashes the ends of tunnels that come and go; its key is random.
    ends: RandomState,
}

impl<P: Pool> Workers<P> {
    /// Takes over the link; every child of `roster` gets its home on an active worker of its tunnel's group.
    pub fn new(
        link: ControlEnd<P::Frame>,
        tables: Writer<Tables>,
        buffers: P,
        slots: u32,
        generation: u8,
        roster: &Roster,
        groups: Groups,
    ) -> Self {
        let count = link.workers().count();
        let slots_out = link.workers().map(|worker| link.outbound_slots(worker)).collect();
        let shards = (1..=count as u8).filter_map(Shard::new);
        Self {
            spis: SpiAllocator::new(shards, slots, REST_US, generation),
            outbox: Outbox::new(count),
            homes: install::homes(roster, &groups, slots_out),
            groups,
            past: vec![Past::default(); roster.child_count()],
            link,
            tables,
            buffers,
            routing: Routing::default(),
            sas: Installeds::default(),
            shut: BTreeSet::new(),
            narrowed: HashMap::new(),
            own: BTreeSet::new(),
            manual: Vec::new(),
            policies: Policies::default(),
            ip_tunnels: Numbered::default(),
            waits: Arc::default(),
            askers: Arc::default(),
            mirrors: Mirrors::default(),
            paths: PathMtus::default(),
            packet_id: 0,
            unsent: 0,
            ike_dscp: NETWORK_CONTROL,
            seen: HashMap::new(),
            ends: RandomState::new(),
        }
    }

    /// Sends what waits, frees what came back. Call it once a turn.
    pub fn flush(&mut self) {
        self.outbox.flush(&mut self.link);
        self.tables.deliver();
    }

    /// Whether something waits in a ring towards control.
    pub fn has_work(&self) -> bool {
        self.link.has_work()
    }

    /// The picture of interfaces, routes and neighbours, and the tables written from it.
    pub fn routing_mut(&mut self) -> (&mut Routing, &mut Tables) {
        (&mut self.routing, self.tables.tables_mut())
    }

    /// The picture, to be read.
    pub fn routing(&self) -> (&Routing, &Tables) {
        (&self.routing, self.tables.tables())
    }

    /// Makes a change of routing known to the workers.
    pub fn publish(&mut self, outcome: &Outcome) {
        if outcome.tables {
            self.tables.publish();
        }
        if outcome.snapshot {
            let snapshot = self.routing.snapshot().with_waits(Arc::clone(&self.waits));
            let snapshot = Arc::new(snapshot.with_askers(Arc::clone(&self.askers)));
            for worker in self.link.workers() {
                self.outbox.put(worker, Order::Plain(Command::Configure(Arc::clone(&snapshot))), None);
            }
        }
    }

    /// Has fragments wait and pings be answered as is said; whether that is other than before.
    pub fn set_ends(&mut self, waits: Waits, askers: Askers) -> bool {
        let other = (&*self.waits, &*self.askers) != (&waits, &askers);
        (self.waits, self.askers) = (Arc::new(waits), Arc::new(askers));
        other
    }

    /// Makes these instances forward nothing: their ports neither take nor send a frame.
    pub fn set_out_of_service(&mut self, instances: BTreeSet<u16>) {
        self.routing.set_out_of_service(instances);
        self.publish(&Outcome { snapshot: true, ..Outcome::default() });
    }

    /// Makes the tables known to the workers.
    pub fn publish_tables(&mut self) {
        self.tables.publish();
    }

    /// The link, to be read: counters.
    pub fn link(&self) -> &ControlEnd<P::Frame> {
        &self.link
    }

    /// The installed SAs.
    pub fn sas(&self) -> &Installeds {
        &self.sas
    }

    /// A child's home, if it has one.
    pub fn home(&self, child: ChildNumber) -> Option<Home> {
        self.homes.of(child)
    }

    /// The child that lives in a slot.
    pub fn resident(&self, sa: SaRef) -> Option<ChildNumber> {
        self.homes.at(sa.worker, sa.slot)
    }

    /// Packets and octets a child has received, over all its SAs.
    pub fn received(&self, child: ChildNumber) -> (u64, u64) {
        let past = self.past.get(child as usize).copied().unwrap_or_default();
        let count = |(packets, octets), place| match self.link.inbound(place) {
            Some(counters) => (packets + counters.packets.get(), octets + counters.octets.get()),
            None => (packets, octets),
        };
        self.sas.of(child).map(|sa| sa.place).fold(past.received, count)
    }

    /// Packets and octets a child has sent, over all its SAs.
    pub fn sent(&self, child: ChildNumber) -> (u64, u64) {
        let (packets, octets) = self.past.get(child as usize).copied().unwrap_or_default().sent;
        let counters = self.home(child).and_then(|home| self.link.outbound(home.worker, home.slot));
        let (more, more_octets) =
            counters.map_or((0, 0), |counters| (counters.packets.get(), counters.octets.get()));
        (packets + more, octets + more_octets)
    }

    /// Both directions of a child, over all its SAs, those of single workers among them.
    pub fn carried(&self, roster: &Roster, child: ChildId) -> Carried {
        let of = roster.child(child.0).map(|(id, ..)| id);
        let beside = of.into_iter().flat_map(|id| roster.beside(id, child));
        let mut sum = Carried::default();
        for number in beside.chain([child.0]) {
            sum += Carried { received: self.received(number), sent: self.sent(number) };
        }
        sum
    }

    /// Whether everything told was applied.
    pub fn is_idle(&self) -> bool {
        self.outbox.is_idle()
    }
}
