//! The control loop: one thread that owns the engine, the workers' control end and the
//! tunnels' state. A turn takes in what has arrived from everywhere, lets the engine think,
//! and carries out what it wants; it never blocks on anybody. It drains while something
//! waits and otherwise sleeps until a message comes or a millisecond has passed, for rings
//! cannot wake it.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, Sender, TryRecvError};
use crossbeam::sync::Parker;
use ravelin_dataplane::io::Pool;
use ravelin_dataplane::net::flow::Flow;
use ravelin_ike::config::{ChildId, ConnectionId};
use ravelin_ike::engine::Engine;
use ravelin_ike::error::Failure;
use ravelin_ike::event::Event;
use ravelin_ike::id::{ChildSaId, Ticket};
use ravelin_ike::input::Command;
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, Role};

use super::devices::{Devices, State as PortState};
use super::groups::halted;
use super::helpers::Helpers;
use super::own::OwnSas;
use super::pulse::Pulse;
use super::reload::Prepared;
use super::retries::Retries;
use super::service::Service;
use super::stall::Moving;
use super::view::{self, View};
use crate::api::reply::Applied;
use crate::api::{ApiError, Reply, Request};
use crate::config::plan::{Keying, Plan, Tunnel};
use crate::exception::{Exception, Rate};
use crate::instance::{Change, Event as InstanceEvent, Handle, Request as InstanceRequest, Wall};
use crate::observe::journal::Journal;
use crate::routing::Outcome;
use crate::tap::Taps;
use crate::trust::revocation::Found;
use crate::tunnel::pmtu::PathKey;
use crate::tunnel::roster::Roster;
use crate::tunnel::status::{Around, Status};
use crate::tunnel::trigger;
use crate::workers::{Noticed, Workers};

/// The longest the loop sleeps: what a ring can wait.
const NAP: Duration = Duration::from_millis(1);
/// Messages taken a turn, so that a flood of them does not stop the packets of IKE.
const INPUTS_A_TURN: usize = 256;
/// Messages taken between two looks for an operator who waits: in a storm a turn takes some 50 ms, and who asks for a list
/// asks for each part of it anew.
const MESSAGES_BETWEEN_OPERATORS: usize = 32;
/// Events taken of each instance a turn.
const EVENTS_A_TURN: usize = 1024;
/// Traffic is looked at this often for dead peer detection.
const LOOK: u64 = 1_000_000;
/// How long a peer that called is left to ask for further children itself: both at once is one exchange too many.
pub(super) const COURTESY: u64 = 500_000;
/// How long an orderly stop waits for peers to acknowledge their Deletes.
const FAREWELL: Duration = Duration::from_secs(2);

/// What reaches the loop by channel.
#[derive(Debug)]
pub enum Input {
    /// An answer for the engine.
    Answered(Ticket, Answer),
    /// What was found about revocation.
    Revocation(Found),
    /// End in order.
    Stop,
}

/// What operators want, by a channel of their own: one who asks in a storm does not stand behind all the answers it brings.
#[derive(Debug)]
pub enum Asked {
    /// A request and where the answer goes.
    Request(Request, Sender<Result<Reply, ApiError>>),
    /// Another configuration, and where the report goes.
    Configured(Work, Sender<Applied>),
    /// Whom a probe is to ask.
    Probe(Box<super::probe::Question>),
}

/// What wakes the loop.
enum Woken {
    By(Input),
    ByOperator(Asked),
}

/// What to do with another configuration.
#[derive(Debug)]
pub enum Work {
    /// Say what it would change.
    Compare(Box<Plan>),
    /// Change it.
    Apply(Box<Prepared>),
    /// Take over its certificates, keys and anchors alone.
    ApplyMaterial(Box<Prepared>),
}

/// Everything the loop owns.
pub struct Core<P: Pool> {
    pub(super) started: Clock,
    pub(super) plan: Plan,
    pub(super) roster: Roster,
    pub(super) engine: Engine,
    pub(super) workers: Workers<P>,
    pub(super) instances: Vec<Handle>,
    pub(super) exception: Exception,
    pub(super) helpers: Helpers,
    pub(super) status: Status,
    pub(super) service: Service,
    pub(super) devices: Box<dyn Devices>,
    pub(super) ports: Vec<PortState>,
    pub(super) journal: Arc<Journal>,
    pub(super) view: Arc<ArcSwap<View>>,
    pub(super) machine: view::Machine,
    pub(super) inputs: Receiver<Input>,
    pub(super) asked: Receiver<Asked>,
    /// Woken by whoever posts in one of these.
    pub(super) parker: Parker,
    pub(super) retries: Retries,
    pub(super) looked: u64,
    pub(super) pulse: Pulse,
    pub(super) moving: Moving,
    pub(super) own_sas: OwnSas,
    pub(super) last_look: std::collections::HashMap<ravelin_dataplane::sa::shard::WorkerId, view::Looked>,
    pub(super) gateways: super::gateways::Gateways,
    /// Next hops to keep and to let go, asked for when workers know the interfaces: else they drop the question.
    pub(super) next_hops: Vec<(u16, InstanceRequest)>,
    pub(super) watermarks: super::watermarks::Watermarks,
    pub(super) believed: super::revocation::Believed,
    pub(super) certificates: super::expiry::Watch,
    pub(super) taps: Arc<Taps>,
}

impl<P: Pool> Core<P> {
    /// Microseconds since the daemon began: the engine's clock.
    pub(super) fn now(&self) -> Instant {
        Instant(self.started.elapsed().as_micros() as u64)
    }

    /// Runs until told to stop; then ends every tunnel in order.
    pub fn run(&mut self) {
        loop {
            let busy = self.turn();
            let first = match self.listen(busy) {
                Some(Woken::By(input)) => Some(input),
                Some(Woken::ByOperator(asked)) => {
                    self.asked(asked);
                    None
                }
                None => None,
            };
            let waiting = self.inputs.clone();
            for (taken, input) in first.into_iter().chain(waiting.try_iter().take(INPUTS_A_TURN)).enumerate()
            {
                if matches!(input, Input::Stop) {
                    return self.farewell();
                }
                self.attend(taken);
                self.input(input);
            }
        }
    }

    /// One round: everything in, everything out. True if there was something.
    pub(super) fn turn(&mut self) -> bool {
        let mut busy = self.instance_events(self.now());
        for (taken, datagram) in self.workers.receive().into_iter().enumerate() {
            busy = true;
            self.attend(taken);
            self.engine.handle_datagram(self.now(), datagram);
        }
        let now = self.now();
        for noticed in self.workers.notice(now) {
            busy = true;
            self.noticed(now, noticed);
        }
        self.feel_pulse(now);
        self.renew(now);
        self.look(now);
        self.establish(now);
        self.ask_for_own(now);
        if self.is_due(now) {
            self.engine.handle_timeout(now);
        }
        self.drain(now);
        self.workers.flush();
        for (instance, request) in std::mem::take(&mut self.next_hops) {
            self.ask_instance(instance, request);
        }
        busy || self.workers.has_work() || self.is_due(now)
    }

    /// Whether the engine has something to do.
    fn is_due(&self, now: Instant) -> bool {
        self.engine.next_deadline().is_some_and(|deadline| deadline <= now)
    }

    /// One operator's request, or else the next message: without waiting while there is work.
    fn listen(&mut self, busy: bool) -> Option<Woken> {
        let posted = self.posted();
        if busy || posted.is_some() {
            return posted;
        }
        self.parker.park_timeout(NAP);
        self.posted()
    }

    fn posted(&self) -> Option<Woken> {
        if let Ok(asked) = self.asked.try_recv() {
            return Some(Woken::ByOperator(asked));
        }
        match self.inputs.try_recv() {
            Ok(input) => Some(Woken::By(input)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Woken::By(Input::Stop)),
        }
    }

    /// Every so many messages: does what an operator waits for, after all that the messages before brought.
    fn attend(&mut self, taken: usize) {
        if !taken.is_multiple_of(MESSAGES_BETWEEN_OPERATORS) || self.asked.is_empty() {
            return;
        }
        self.drain(self.now());
        if let Ok(asked) = self.asked.try_recv() {
            self.asked(asked);
        }
    }

    /// Does what an operator wants.
    fn asked(&mut self, asked: Asked) {
        // A client that has gone needs no answer.
        match asked {
            Asked::Request(request, reply) => drop(reply.try_send(self.answer(&request))),
            Asked::Configured(work, report) => drop(report.try_send(self.configured(work))),
            Asked::Probe(question) => self.begin_probe(*question),
        }
    }

    fn configured(&mut self, work: Work) -> Applied {
        match work {
            Work::Compare(plan) => self.compare(&plan),
            Work::Apply(prepared) => self.apply(self.now(), *prepared),
            Work::ApplyMaterial(prepared) => self.apply_material(self.now(), *prepared),
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        match input {
            Input::Answered(ticket, answer) => {
                self.believed.counts.answered(&answer);
                self.engine.handle_answer(self.now(), ticket, answer);
            }
            Input::Revocation(found) => self.revocation_found(self.now(), found),
            Input::Stop => {}
        }
    }

    /// Takes from the engine until only a deadline is left.
    fn drain(&mut self, now: Instant) {
        loop {
            let mut idle = true;
            while let Some(transmit) = self.engine.poll_transmit() {
                idle = false;
                self.workers.transmit(&transmit);
            }
            while let Some(want) = self.engine.poll_want() {
                idle = false;
                self.want(now, want);
            }
            while let Some(event) = self.engine.poll_event() {
                idle = false;
                self.look_after(now, &event);
                self.take_in(now, event);
            }
            self.forget_departed();
            if idle {
                return;
            }
        }
    }

    /// Notes what the engine says.
    fn take_in(&mut self, now: Instant, event: Event) {
        let (workers, roster, service) = (&self.workers, &self.roster, &self.service);
        let around = Around {
            now,
            roster,
            journal: &self.journal,
            instance: &|id| service.name(id).to_owned(),
            carried: &|child| workers.carried(roster, child),
            worker: &|child| workers.home(child.0).map(|home| home.worker.index()),
        };
        self.status.event(event, &around);
    }

    /// The counts of an SA that is to be taken out, while they can be read.
    pub(super) fn count_out(&mut self, sa: ChildSaId) {
        let Some(child) = self.workers.sas().get(sa).map(|installed| installed.child) else { return };
        let Some((connection, ..)) = self.roster.child(child) else { return };
        let child = ChildId(self.roster.fallback(child).unwrap_or(child));
        self.status.count_out(connection, child, self.workers.carried(&self.roster, child));
    }

    /// Where the peer has called, what it does not ask for by itself is asked for by us, if it is to be up.
    /// Where the peer has crashed it is there again, and need not be waited for.
    fn look_after(&mut self, now: Instant, event: &Event) {
        self.look_after_own(now, event);
        let is_wanted = |id| self.roster.tunnel(id).is_some_and(|tunnel| tunnel.origin.is_none());
        match event {
            Event::IkeUp(up) if up.role == Role::Responder && is_wanted(up.connection) => {
                self.retries.look_at(up.connection, now.0 + COURTESY);
            }
            Event::IkeDown { connection, reason: Failure::PeerCrashed(_), .. } => {
                self.retries.reset(*connection);
            }
            _ => {}
        }
    }

    fn noticed(&mut self, now: Instant, noticed: Noticed) {
        match noticed {
            Noticed::Fact(fact) => self.engine.handle_fact(now, fact),
            Noticed::Answer(ticket, answer) => self.engine.handle_answer(now, ticket, answer),
            Noticed::Wanted(child, packet) => self.wanted(now, child, packet),
            Noticed::NeighbourMiss { instance, interface, address } => {
                let name = self.workers.routing().0.name_of(instance, interface).map(str::to_owned);
                if let Some(interface) = name {
                    self.ask_instance(instance, InstanceRequest::FindNeighbour { interface, address });
                }
            }
            Noticed::UnknownSpi(unknown) => self.engine.handle_unknown_spi(now, &unknown),
            Noticed::PathNarrowed(path) => self.path_changed(&path, "path-narrowed"),
            Noticed::IpTunnelTooBig { path, shown, mtu } => {
                if self.workers.ip_tunnel_too_big(&self.plan, path, (shown, mtu), now) {
                    self.path_changed(&path, "path-narrowed");
                }
            }
        }
    }

    /// Says what a path to a peer carries now.
    fn path_changed(&mut self, path: &PathKey, what: &str) {
        // Ip-tunnels may be under an SA on it.
        self.settle_ip_tunnels();
        let octets = self.workers.path_mtu(path).0.unwrap_or_default();
        self.journal.note("", what, format!("from {} to {}: {octets} octets", path.local, path.peer));
    }

    /// A packet wants a child that has no SA: negotiate one.
    fn wanted(&mut self, now: Instant, child: u32, packet: Option<Flow>) {
        let Some((connection, tunnel, _)) = self.roster.child(child) else { return };
        if self.halted(tunnel).is_some() || self.roster.fallback(child).is_some() {
            return;
        }
        let is_up = self.status.tunnel(connection).is_some_and(|status| status.ike().is_some());
        let may_call = !self.plan.only_responds(&tunnel.group);
        let on_demand = matches!(&tunnel.keying, Keying::Ike(ike) if ike.on_demand && may_call);
        if !on_demand || !(tunnel.remote.is_some() || is_up) {
            return;
        }
        let child = ChildId(child);
        match packet {
            Some(packet) => {
                self.status.asked(connection, child);
                let packet = trigger::selectors(&packet);
                self.engine.handle_command(now, Command::Acquire { connection, child, packet });
            }
            None => self.initiate(now, connection, child),
        }
    }

    /// Has a child negotiated, with what it takes; nothing happens to one that is up or on its way.
    pub(super) fn initiate(&mut self, now: Instant, connection: ConnectionId, child: ChildId) {
        self.status.asked(connection, child);
        self.engine.handle_command(now, Command::Initiate { connection, child: Some(child) });
    }

    /// Once a second: who has been heard, and what is full.
    fn look(&mut self, now: Instant) {
        if now.0 < self.looked + LOOK {
            return;
        }
        self.looked = now.0;
        for fact in self.workers.traffic(now) {
            self.engine.handle_fact(now, fact);
        }
        let unsent = self.workers.take_unsent();
        if unsent > 0 {
            tracing::warn!("{unsent} IKE messages were lost: no buffer or no room towards the worker");
        }
        self.watch_levels(now);
        self.forget_disbanded(now);
        self.ask_about_own(now);
        self.look_at_certificates(now);
        self.notice_ended(now);
        self.look_at_tap();
        self.settle_mirrors();
        self.look_at_devices();
        self.choose_queues();
        for path in self.workers.age_paths(now) {
            self.path_changed(&path, "path-widened");
        }
    }

    /// An instance whose thread has panicked says nothing more, and nobody holds its walls.
    fn notice_ended(&mut self, now: Instant) {
        let gone = self.instances.iter().filter(|handle| handle.has_ended()).map(Handle::id);
        for instance in gone.collect::<Vec<_>>() {
            if !self.service.has_fallen(instance, Wall::Kernel) {
                self.fault(now, instance, Wall::Kernel, &crate::instance::ended());
            }
        }
    }

    /// Brings up what is to be up without being asked, with growing pauses.
    fn establish(&mut self, now: Instant) {
        if !self.retries.are_due(now.0) {
            return;
        }
        let (service, groups) = (&self.service, self.workers.groups());
        let (status, moving, plan) = (&self.status, &self.moving, &self.plan);
        let is_wanted = |id: ConnectionId, tunnel: &Tunnel| {
            let Keying::Ike(ike) = &tunnel.keying else { return false };
            let wanted = ike.auto_establish || moving.has(id) && tunnel.remote.is_some();
            wanted && !plan.only_responds(&tunnel.group) && halted(service, groups, tunnel).is_none()
        };
        let wanted = self.roster.tunnels().filter(|(id, tunnel)| is_wanted(*id, tunnel));
        let is_up = |(id, tunnel): (ConnectionId, &Tunnel)| {
            (id, status.tunnel(id).is_some_and(|status| status.children.len() >= tunnel.children.len()))
        };
        for connection in self.retries.take(now.0, wanted.map(is_up)) {
            let children: Vec<ChildId> = self.roster.children(connection).map(|(child, _)| child).collect();
            children.into_iter().for_each(|child| self.initiate(now, connection, child));
        }
    }

    /// What the instances tell. True if there was any.
    fn instance_events(&mut self, now: Instant) -> bool {
        let handles = self.instances.iter();
        let take = |handle: &Handle| (handle.id(), handle.events().try_iter().take(EVENTS_A_TURN).collect());
        let waiting: Vec<(u16, Vec<InstanceEvent>)> = handles.map(take).collect();
        let mut outcome = Outcome::default();
        let mut busy = false;
        for (instance, event) in
            waiting.into_iter().flat_map(|(id, events)| events.into_iter().map(move |e| (id, e)))
        {
            busy = true;
            self.instance_event(now, instance, event, &mut outcome);
        }
        self.publish(&outcome);
        busy
    }

    /// Makes known to the workers what has changed of routing; ip-tunnels go up and down with addresses.
    pub(super) fn publish(&mut self, outcome: &Outcome) {
        self.workers.publish(outcome);
        if outcome.snapshot {
            self.settle_ip_tunnels();
        }
    }

    /// Takes in one event; what it changes of routing is added to `outcome` for publishing.
    pub(super) fn instance_event(
        &mut self,
        now: Instant,
        instance: u16,
        event: InstanceEvent,
        outcome: &mut Outcome,
    ) {
        match event {
            InstanceEvent::Changed(change) => {
                self.device_link(instance, &change);
                self.kernel_change(instance, &change, outcome);
            }
            InstanceEvent::Fault { wall, error } => self.fault(now, instance, wall, &error),
            InstanceEvent::Mended(wall) => self.mended(now, instance, wall),
            InstanceEvent::Answer { outcome: Err(error), .. } => {
                tracing::warn!(instance = self.service.name(instance), "{error}");
            }
            InstanceEvent::Device(device) => drop(self.exception.attach(device, Rate::default())),
            InstanceEvent::Answer { .. } | InstanceEvent::Synced { .. } => {}
        }
    }

    fn kernel_change(&mut self, instance: u16, change: &Change, outcome: &mut Outcome) {
        let (routing, tables) = self.workers.routing_mut();
        let Outcome { tables, snapshot, keep: kept, release: released } =
            routing.change(instance, change, tables);
        outcome.tables |= tables;
        outcome.snapshot |= snapshot;
        let keep = |(interface, address)| InstanceRequest::KeepNeighbour { interface, address };
        let release = |(interface, address)| InstanceRequest::ReleaseNeighbour { interface, address };
        let requests = kept.into_iter().map(keep).chain(released.into_iter().map(release));
        self.next_hops.extend(requests.map(|request| (instance, request)));
    }

    pub(super) fn ask_instance(&self, instance: u16, request: InstanceRequest) {
        let Some(handle) = self.instances.iter().find(|handle| handle.id() == instance) else { return };
        if let Err(error) = handle.request(0, request) {
            tracing::warn!(instance = handle.name(), "{error}");
        }
    }

    /// Sends Deletes and waits for them to be acknowledged, but not for long.
    fn farewell(&mut self) {
        self.engine.handle_command(self.now(), Command::Shutdown);
        let until = Clock::now() + FAREWELL;
        while Clock::now() < until && !self.engine.is_idle() {
            if !self.turn()
                && let Some(Woken::By(Input::Answered(ticket, answer))) = self.listen(false)
            {
                self.engine.handle_answer(self.now(), ticket, answer);
            }
        }
        self.turn();
    }
}
