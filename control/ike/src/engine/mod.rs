//! The engine: routes inputs to tunnels and keeps their deadlines. It decides who may come in
//! ([`admission`], [`accept`]); what tunnels do is [`crate::sa`]'s.
//!
//! Pure: no socket, clock, thread or operating system randomness. One owner: the control loop.

mod accept;
mod admission;
mod asides;
mod cookies;
mod kin;
mod lockout;
mod reauthenticate;
mod resume;
mod show;
mod unknown_spi;

use crate::config::{ChildId, Connection, ConnectionId, EngineConfig, RemoteAddress};
use crate::context::{Context, Outbox};
use crate::crypto::Drbg;
use crate::error::Failure;
use crate::event::{Event, Transmit};
use crate::id::{ChildSaId, IkeId, Ticket};
use crate::input::{ChildFact, Command, Datagram, Packet};
use crate::recorder::{Attempt, Recorder};
use crate::responses::Responses;
use crate::sa::common::Common;
use crate::sa::redirect::Trail;
use crate::sa::tunnel::Tunnel;
use crate::sa::up::Task;
use crate::tickets::Tickets;
use crate::time::Instant;
use crate::want::{Answer, AnswerError, Role, Want, WantKind};
use crate::watch::{self, TooManyWatched};
use crate::wire::{GatewayIdentity, IkeSpi, Outer};
use admission::Admission;
use kin::Kin;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use admission::Counters;
pub use show::{ChildSnapshot, IkePhase, IkeSnapshot};

/// IKEv2 for any number of connections.
///
/// Inputs: [`Engine::set_connection`] and the `handle_*` methods. After each input, drain [`Engine::poll_transmit`],
/// [`Engine::poll_want`] and [`Engine::poll_event`] until all three are empty (in any order; within each queue the
/// order counts), then sleep until the next input or [`Engine::next_deadline`].
pub struct Engine {
    config: EngineConfig,
    connections: BTreeMap<ConnectionId, Arc<Connection>>,
    /// Who may be called by a datagram between two addresses; `None` for any remote one.
    by_addresses: BTreeSet<(u16, IpAddr, Option<IpAddr>, ConnectionId)>,
    random: Drbg,
    out: Outbox,
    /// Boxed: each step takes one out and puts it back, and its neighbours shall not be moved for that.
    tunnels: BTreeMap<IkeId, Box<Entry>>,
    /// Our SPIs: where messages go.
    spis: BTreeMap<IkeSpi, IkeId>,
    /// Who has which CHILD_SA.
    children: BTreeMap<ChildSaId, IkeId>,
    by_connection: BTreeSet<(ConnectionId, IkeId)>,
    /// Who is up between which addresses.
    by_ends: BTreeSet<(unknown_spi::Ends, IkeId)>,
    deadlines: BTreeSet<(Instant, IkeId)>,
    admission: Admission,
    lockout: lockout::Lockout,
    tickets: Tickets,
    lost: resume::Lost,
    responses: Responses,
    shut_down: bool,
    /// Connections by which nobody is let in for want of room.
    full: BTreeSet<ConnectionId>,
}

/// Tunnels whose time has come that one [`Engine::handle_timeout`] looks at. Between two of those its caller takes in what
/// has arrived: of a thousand rekeys begun at once the first answers would wait so long that they are asked for again.
const DUE_AT_ONCE: usize = 64;

/// A tunnel with what the indexes know of it.
struct Entry {
    tunnel: Tunnel,
    spis: Vec<IkeSpi>,
    children: Vec<ChildSaId>,
    connection: ConnectionId,
    ends: Option<unknown_spi::Ends>,
    deadline: Option<Instant>,
    half_open: Option<admission::Caller>,
}

impl Engine {
    /// An engine without connections. `seed`: 32 octets of full entropy, never used before.
    pub fn new(mut config: EngineConfig, seed: [u8; 32]) -> Engine {
        let mut random = Drbg::new(&seed);
        let admission = Admission::new(&mut random);
        let tickets = Tickets::new(config.ticket_keys.take());
        Engine {
            config,
            connections: BTreeMap::new(),
            by_addresses: BTreeSet::new(),
            random,
            out: Outbox::default(),
            tunnels: BTreeMap::new(),
            spis: BTreeMap::new(),
            children: BTreeMap::new(),
            by_connection: BTreeSet::new(),
            by_ends: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            admission,
            lockout: lockout::Lockout::default(),
            tickets,
            lost: resume::Lost::new(),
            responses: Responses::default(),
            shut_down: false,
            full: BTreeSet::new(),
        }
    }

    /// Adds, replaces or (`None`) removes a connection. A changed one applies to what is negotiated from now on; the
    /// tunnels of a removed one are closed. What the profile of a connection forbids is left out of it here, once.
    pub fn set_connection(&mut self, now: Instant, id: ConnectionId, connection: Option<Connection>) {
        let before = self.connections.get(&id).cloned();
        if let Some(old) = &before {
            accept::addresses(id, old).for_each(|addresses| {
                self.by_addresses.remove(&addresses);
            });
        }
        match connection {
            Some(connection) => {
                self.by_addresses.extend(accept::addresses(id, &connection));
                let connection = Arc::new(connection.within_profile());
                self.connections.insert(id, connection.clone());
                for tunnel in self.tunnels_of(id) {
                    self.with_tunnel(now, tunnel, |tunnel, ctx| {
                        tunnel.term_changed(ctx);
                        let before = before.iter();
                        before.for_each(|before| tunnel.own_addresses_changed(ctx, before, &connection));
                    });
                }
            }
            None => {
                self.connections.remove(&id);
                self.lost.remove(&id);
                self.close(now, &Failure::Unconfigured, self.tunnels_of(id));
                self.out.recorder.forget(id);
                self.out.accounts.forget(id);
            }
        }
    }

    /// Lets nobody in by these connections from now on, and by all others: there is no room for more. Who is in goes on,
    /// with rekeys.
    pub fn set_full(&mut self, full: BTreeSet<ConnectionId>) {
        self.full = full;
    }

    /// Shows peers that ask for it (RFC 4806) this OCSP response about a certificate of ours, both DER, until then; with
    /// `None` no more.
    pub fn set_ocsp_response(
        &mut self,
        now: Instant,
        certificate: &[u8],
        response: Option<(Vec<u8>, Instant)>,
    ) {
        self.responses.set(now, certificate, response);
    }

    /// Takes a UDP payload from the IKE ports.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram) {
        self.admission.counters.datagrams = self.admission.counters.datagrams.saturating_add(1);
        let remote = datagram.remote;
        self.out.sender = Some(remote);
        self.out.trace(now, remote, || format!("received {}", watch::datagram(&datagram.bytes)));
        if self.is_locked_out(now, &datagram) {
            return self.out.trace(now, remote, || "dropped: it is locked out".to_owned());
        }
        if datagram.bytes.len() > self.config.max_message {
            self.out.trace(now, remote, || format!("dropped: more than {} octets", self.config.max_message));
            self.admission.counters.malformed = self.admission.counters.malformed.saturating_add(1);
            return;
        }
        if self.is_put_off(now, &datagram) {
            return;
        }
        let outer = match Outer::parse(&datagram.bytes) {
            Ok(outer) => outer,
            Err(error) => return self.unreadable(now, &datagram, error),
        };
        if let Outer::Clear(message) = &outer {
            self.out.accounts.told(message);
        }
        let header = *outer.header();
        let ours = if header.flags.initiator { header.responder_spi } else { header.initiator_spi };
        if header.flags.initiator && ours.is_zero() {
            return self.stranger(now, datagram, outer);
        }
        match self.spis.get(&ours).copied() {
            Some(id) => self.with_tunnel(now, id, |tunnel, ctx| {
                if tunnel.common.path.instance == datagram.instance {
                    ctx.out.accounts.step.received += 1;
                    tunnel.datagram(ctx, datagram, outer);
                }
            }),
            None => self.unknown_spi(now, &datagram, &outer),
        }
    }

    /// What a tunnel's peer was believed by holds no longer: closes it, whether it is up already or not.
    pub fn distrust(&mut self, now: Instant, ike: IkeId, why: AnswerError) {
        self.close(now, &Failure::CertificateRefused(why), vec![ike]);
    }

    /// Whether there is such a tunnel, up or on its way.
    pub fn has(&self, ike: IkeId) -> bool {
        self.tunnels.contains_key(&ike)
    }

    /// Carries out what an operator or the planner asked for.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Initiate { connection, child } => self.initiate(now, connection, child, None),
            Command::Acquire { connection, child, packet } => {
                self.initiate(now, connection, Some(child), Some(packet));
            }
            Command::Terminate { connection } => {
                self.lost.remove(&connection);
                self.close(now, &Failure::Terminated, self.tunnels_of(connection));
            }
            Command::TerminateIke { ike } => {
                self.close(now, &Failure::Terminated, vec![ike]);
            }
            Command::TerminateChild { child } => {
                self.child_task(now, child, Task::DeleteChild { child, reason: Failure::Terminated });
            }
            Command::RetireChild { child } => {
                self.child_task(now, child, Task::DeleteChild { child, reason: Failure::Superseded });
            }
            Command::RekeyChild { child } => self.child_task(now, child, Task::RekeyChild(child)),
            Command::RekeyIke { ike } => {
                self.with_tunnel(now, ike, |tunnel, ctx| tunnel.task(ctx, Task::RekeyIke))
            }
            Command::Reauthenticate { ike } => self.reauthenticate(now, ike),
            Command::Move { connection, local } => {
                for id in self.tunnels_of(connection) {
                    self.with_tunnel(now, id, |tunnel, ctx| tunnel.move_to(ctx, local));
                }
            }
            Command::Redirect { connection, to } => self.redirect(now, connection, to),
            Command::Shutdown => {
                self.shut_down = true;
                self.close(now, &Failure::Shutdown, self.tunnels.keys().copied().collect());
            }
            Command::Supersede { connection } => {
                self.close(now, &Failure::Superseded, self.tunnels_of(connection));
            }
        }
    }

    /// Takes the answer to a question. An answer nobody waits for any more is ignored, but an SPI or a connection that
    /// it brings is given back.
    pub fn handle_answer(&mut self, now: Instant, ticket: Ticket, answer: Answer) {
        let mut left = Some(answer);
        if let Some(id) = self.out.tickets.remove(&ticket) {
            self.with_tunnel(now, id, |tunnel, ctx| {
                left = left.take().and_then(|answer| tunnel.answer(ctx, ticket, answer));
            });
        }
        match left {
            Some(Answer::AllocateSpi(Ok(spi))) => self.out.order(WantKind::ReleaseSpi(spi)),
            Some(Answer::Admit(Ok(connection))) => self.leave(now, connection),
            _ => {}
        }
    }

    /// Takes what a worker noticed.
    pub fn handle_fact(&mut self, now: Instant, fact: ChildFact) {
        if let Some(id) = self.owner(fact.child) {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.fact(ctx, fact.child, fact.kind));
        }
    }

    /// Does what is due, of many the first; [`Self::next_deadline`] says whether there is more.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.admission.tick(&self.config, now, &mut self.random);
        self.expire_lockouts(now);
        self.tickets.tick(now);
        let ended = self.out.watch.expire(now).into_iter().map(|peer| Event::WatchEnded { peer });
        self.out.events.extend(ended);
        for _ in 0..DUE_AT_ONCE {
            let Some((due, id)) = self.deadlines.first().copied().filter(|(due, _)| *due <= now) else {
                return;
            };
            let patience = self.admission.patience(&self.config);
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.timeout(ctx, patience));
            // A tunnel that has done all it can and still calls itself due is looked at again a moment later, not
            // at once: the loop must end.
            if self.deadlines.first().is_some_and(|first| *first == (due, id)) {
                self.put_off(now, id);
            }
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        let tunnels = self.deadlines.first().map(|(due, _)| *due);
        tunnels.into_iter().chain(self.lockout.deadline()).chain(self.out.watch.deadline()).min()
    }

    /// The next UDP payload to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// The next thing to be done for the engine.
    pub fn poll_want(&mut self) -> Option<Want> {
        self.out.wants.pop_front()
    }

    /// Gives a connection back that was made for its peer, unless another tunnel of the same peer has it: that one does so
    /// when it ends. What its elders still drain goes first, for nothing may be left of a connection that is given back.
    fn leave(&mut self, now: Instant, connection: ConnectionId) {
        if self.serves(connection) {
            return;
        }
        for id in self.tunnels_of(connection) {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.drop_drained(ctx));
        }
        self.out.order(WantKind::Dismiss(connection));
    }

    /// Whether a tunnel of a connection serves its peer.
    fn serves(&self, connection: ConnectionId) -> bool {
        let established = |id: &IkeId| self.tunnel(*id).is_some_and(Tunnel::is_established);
        self.tunnels_of(connection).iter().any(established)
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// Whether nothing is up, on its way up, or waiting for the peer's word about its end: after
    /// [`Command::Shutdown`], that the daemon may exit.
    pub fn is_idle(&self) -> bool {
        self.tunnels.values().all(|entry| entry.tunnel.is_over())
    }

    /// The last attempts of every connection.
    pub fn recorder(&self) -> &Recorder {
        &self.out.recorder
    }

    /// Tells of every message of a peer until then ([`crate::watch`]); a time that is over ends it.
    ///
    /// # Errors
    /// When too many are watched.
    pub fn watch(&mut self, now: Instant, peer: IpAddr, until: Instant) -> Result<(), TooManyWatched> {
        self.out.watch.set(now, peer, until)
    }

    /// Who is watched, and until when.
    pub fn watched(&self) -> impl Iterator<Item = (IpAddr, Instant)> {
        self.out.watch.iter()
    }

    /// What strangers and the network did.
    pub fn counters(&self) -> Counters {
        let (crash_tokens_proven, crash_tokens_wrong) = self.out.crash_tokens;
        let (collisions, half_open_expired) = (self.out.collisions, self.out.expired);
        Counters {
            reauthenticated: self.out.reauthenticated,
            proofs_expired: self.out.proofs_expired,
            collisions,
            half_open_expired,
            crash_tokens_proven,
            crash_tokens_wrong,
            ..self.admission.counters
        }
    }

    fn initiate(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        child: Option<ChildId>,
        packet: Option<Packet>,
    ) {
        if self.shut_down {
            return;
        }
        let Some(config) = self.connections.get(&connection).cloned() else { return };
        let Some(child) = child.or_else(|| config.children.first().map(|child| child.id)) else { return };
        let usable = |id: &IkeId| {
            !config.responder_only && self.tunnels.get(id).is_some_and(|entry| entry.tunnel.takes_children())
        };
        // One that stays, and one that is up before one that still calls: the peer may have called meanwhile.
        let rank = |id: &IkeId| {
            let tunnel = self.tunnels.get(id).map(|entry| &entry.tunnel);
            let goes = |tunnel: &Tunnel| tunnel.yields.is_some() || tunnel.common.term.heir.is_some();
            tunnel.map(|tunnel| (goes(tunnel), !tunnel.is_established()))
        };
        if let Some(id) = self.tunnels_of(connection).into_iter().filter(usable).min_by_key(rank) {
            return self.with_tunnel(now, id, |tunnel, ctx| {
                tunnel.note_packet(child, packet);
                tunnel.want_child(ctx, child);
            });
        }
        // One resource's SA is made beside another, never first.
        if config.child(child).is_some_and(|child| child.resource.is_one()) {
            return;
        }
        if config.responder_only {
            return self.cannot_call(now, connection, &config, "the connection only responds");
        }
        let RemoteAddress::One(remote) = config.remote else {
            return self.cannot_call(now, connection, &config, "the connection has no remote address");
        };
        let ends = (config.local, remote);
        let id = self.call(now, connection, config, ends, Trail::default(), child);
        self.with_tunnel(now, id, |tunnel, _| tunnel.note_packet(child, packet));
    }

    /// Calls the peer of a connection, between our address and its.
    fn call(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        config: Arc<Connection>,
        (local, remote): (IpAddr, IpAddr),
        trail: Trail,
        child: ChildId,
    ) -> IkeId {
        let (id, common) = self.caller(now, connection, config, (local, remote), trail);
        // What is up already shows no ticket: a new proof is wanted.
        let lost = self.resumable(now, connection, remote).filter(|_| !self.serves(connection));
        self.make_tunnel(now, None, |ctx| Tunnel::call(ctx, common, child, lost));
        id
    }

    /// The beginning of a call.
    fn caller(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        config: Arc<Connection>,
        ends: (IpAddr, IpAddr),
        trail: Trail,
    ) -> (IkeId, Common) {
        let at = |ip| SocketAddr::new(ip, self.config.port);
        let (addresses, id) = ((at(ends.0), at(ends.1)), self.out.next_ike());
        let mut common = Common::new(id, Role::Initiator, (connection, config), addresses, now);
        common.trail = trail;
        (id, common)
    }

    /// Those that called and can be sent elsewhere are.
    fn redirect(&mut self, now: Instant, connection: ConnectionId, to: GatewayIdentity) {
        let can = |id: &IkeId| self.tunnels.get(id).is_some_and(|entry| entry.tunnel.is_redirectable());
        let those: Vec<IkeId> = self.tunnels_of(connection).into_iter().filter(can).collect();
        for id in those {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.task(ctx, Task::Redirect(to.clone())));
        }
    }

    fn cannot_call(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        config: &Connection,
        why: &'static str,
    ) {
        let local = SocketAddr::new(config.local, self.config.port);
        let nowhere = SocketAddr::new(if local.is_ipv4() { [0; 4].into() } else { [0; 16].into() }, 0);
        let mut attempt = Attempt::new(Role::Initiator, local, nowhere, now);
        attempt.ended = Some(now);
        attempt.failure = Some(Failure::NotConfigured(why));
        let connection = Some(connection);
        self.out.events.push_back(Event::AttemptFailed { connection, attempt: Box::new(attempt) });
    }

    fn child_task(&mut self, now: Instant, child: ChildSaId, task: Task) {
        if let Some(id) = self.owner(child) {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.task(ctx, task));
        }
    }

    fn owner(&self, child: ChildSaId) -> Option<IkeId> {
        self.children.get(&child).copied()
    }

    /// The tunnels of a connection.
    fn tunnels_of(&self, connection: ConnectionId) -> Vec<IkeId> {
        let range = (connection, IkeId(0))..=(connection, IkeId(u64::MAX));
        self.by_connection.range(range).map(|(_, id)| *id).collect()
    }

    fn close(&mut self, now: Instant, reason: &Failure, which: Vec<IkeId>) {
        for id in which {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.close(ctx, reason.clone()));
        }
    }

    /// Makes a tunnel and puts it into the indexes.
    fn make_tunnel(
        &mut self,
        now: Instant,
        half_open: Option<admission::Caller>,
        make: impl FnOnce(&mut Context<'_>) -> Tunnel,
    ) {
        let mut ctx = Context {
            now,
            config: &self.config,
            connections: &self.connections,
            random: &mut self.random,
            out: &mut self.out,
            tickets: &mut self.tickets,
            others: &Kin { tunnels: &self.tunnels, by_connection: &self.by_connection },
            responses: &self.responses,
            alone: false,
        };
        let tunnel = make(&mut ctx);
        self.out.accounts.step.received += u64::from(half_open.is_some());
        self.close_step(tunnel.common.connection);
        let patience = self.admission.patience(&self.config);
        if let Some(caller) = &half_open {
            self.admission.enter(caller, tunnel.common.id, &mut self.out.events, &self.config);
        }
        let connection = tunnel.common.connection;
        self.put_back(Box::new(Entry {
            tunnel,
            spis: Vec::new(),
            children: Vec::new(),
            connection,
            ends: None,
            deadline: None,
            half_open,
        }));
        if self.admission.patience(&self.config).to_auth < patience.to_auth {
            // The pressure that has just been reached shortens the life of those already half-open.
            for id in self.admission.ids() {
                self.with_tunnel(now, id, |_, _| {});
            }
        }
    }

    /// Runs a step of a tunnel and brings the indexes up to date.
    fn with_tunnel(&mut self, now: Instant, id: IkeId, step: impl FnOnce(&mut Tunnel, &mut Context<'_>)) {
        let Some(mut entry) = self.tunnels.remove(&id) else { return };
        let alone = entry.tunnel.is_calling() && self.is_alone(entry.connection);
        let mut ctx = Context {
            now,
            config: &self.config,
            connections: &self.connections,
            random: &mut self.random,
            out: &mut self.out,
            tickets: &mut self.tickets,
            others: &Kin { tunnels: &self.tunnels, by_connection: &self.by_connection },
            responses: &self.responses,
            alone,
        };
        step(&mut entry.tunnel, &mut ctx);
        self.close_step(entry.tunnel.common.connection);
        self.put_back(entry);
        self.asides(now);
    }

    /// What a step has counted is its connection's.
    fn close_step(&mut self, connection: ConnectionId) {
        let known = self.connections.contains_key(&connection);
        self.out.accounts.close_step(Some(connection).filter(|_| known));
    }

    /// Whether no other tunnel of the connection is up or on its way.
    fn is_alone(&self, connection: ConnectionId) -> bool {
        let goes_on = |id: &IkeId| self.tunnels.get(id).is_some_and(|entry| !entry.tunnel.is_over());
        !self.tunnels_of(connection).iter().any(goes_on)
    }

    fn put_back(&mut self, mut entry: Box<Entry>) {
        let id = entry.tunnel.common.id;
        // One that failed stays on the account until it is forgotten: else failing would be a way around the limits.
        let settled = entry.tunnel.up().is_some() || entry.tunnel.phase.is_none();
        if settled && let Some(caller) = entry.half_open.take() {
            self.admission.leave(&caller, &mut self.out.events, &self.config);
        }
        self.index_names(&mut entry);
        let deadline = entry.tunnel.deadline(self.admission.patience(&self.config));
        if deadline != entry.deadline {
            entry.deadline.into_iter().for_each(|due| {
                self.deadlines.remove(&(due, id));
            });
            self.deadlines.extend(deadline.map(|due| (due, id)));
            entry.deadline = deadline;
        }
        if entry.tunnel.phase.is_some() {
            self.tunnels.insert(id, entry);
        } else {
            self.by_connection.remove(&(entry.connection, id));
        }
    }

    /// Brings the indexes by SPI, child and connection up to date.
    fn index_names(&mut self, entry: &mut Entry) {
        let id = entry.tunnel.common.id;
        let (spis, children) = (entry.tunnel.local_spis(), entry.tunnel.child_ids());
        if spis != entry.spis {
            entry.spis.iter().for_each(|spi| {
                self.spis.remove(spi);
            });
            self.spis.extend(spis.iter().map(|spi| (*spi, id)));
            entry.spis = spis;
        }
        if children != entry.children {
            entry.children.iter().for_each(|child| {
                self.children.remove(child);
            });
            self.children.extend(children.iter().map(|child| (*child, id)));
            entry.children = children;
        }
        if entry.connection != entry.tunnel.common.connection {
            self.by_connection.remove(&(entry.connection, id));
            entry.connection = entry.tunnel.common.connection;
        }
        self.by_connection.insert((entry.connection, id));
        self.index_ends(entry);
    }

    fn put_off(&mut self, now: Instant, id: IkeId) {
        let Some(entry) = self.tunnels.get_mut(&id) else { return };
        if let Some(due) = entry.deadline.take() {
            self.deadlines.remove(&(due, id));
        }
        let due = now + std::time::Duration::from_millis(10);
        entry.deadline = Some(due);
        self.deadlines.insert((due, id));
    }
}
