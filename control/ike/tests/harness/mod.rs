//! Two engines on a virtual wire and clock, each with a model of the data plane it steers.
//!
//! The wire loses, repeats, delays and so reorders datagrams; whoever answers the engines' wants is slow, answers
//! out of order, fails, or never answers. Everything follows from one seed.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod dataplane;
pub mod peer;
mod picture;
pub mod settings;
pub mod tally;

use dataplane::DataPlane;
use ravelin_ike::Engine;
use ravelin_ike::config::{Connection, ConnectionId};
use ravelin_ike::error::Failure;
use ravelin_ike::event::{Event, PpkUse};
use ravelin_ike::id::{ChildSaId, Ticket};
use ravelin_ike::input::{ChildFact, ChildFactKind, Command, Datagram};
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Answer, AnswerError, Path, PeerKey, Want, WantKind};
use ravelin_ike::wire::{NotifyType, Outer, Payload};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use tally::Tally;

/// A small generator for the world around the engines (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// True in `permille` of a thousand cases.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }
}

/// How bad the world is, in permille and microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub loss: u64,
    pub repeat: u64,
    /// Datagrams take from 1 ms to this.
    pub delay: u64,
    /// Answers take up to this.
    pub answer_delay: u64,
    pub answer_fails: u64,
    pub answer_never: u64,
    /// INFORMATIONAL requests of end 0 that somebody on the way gives another source.
    pub spoof: u64,
}

/// One gateway.
pub struct End {
    pub engine: Engine,
    pub plane: DataPlane,
    pub name: &'static str,
    pub events: Vec<Event>,
    /// Wants whose answer a test keeps back.
    pub held: Vec<Want>,
    pub hold: fn(&WantKind) -> bool,
    verified: u64,
    /// Of each chain that was to be judged, how many certificates it has.
    pub presented: Vec<usize>,
    ups: u64,
    pub certificates: bool,
    /// The address it has, and those it has had.
    pub place: IpAddr,
    lived: BTreeSet<IpAddr>,
    /// Others that it has besides.
    pub further: BTreeSet<IpAddr>,
    /// What an admitted peer may have; a gateway without one lets nobody in.
    pub admits: Option<Connection>,
    /// The connections of peers that were let in, and those ever made.
    pub admitted: std::collections::BTreeSet<ConnectionId>,
    admissions: u32,
    /// A peer that comes again while it is there has the connection that it has.
    pub takes_over: bool,
    /// Who the peer has to prove to be a second time, if it has to.
    pub second: Option<ravelin_ike::config::IdentityMatch>,
    /// Which of a gateway's clients those were that it was asked to let in.
    pub clients: Vec<ravelin_ike::config::ClientMatch>,
}

impl End {
    fn admit(&mut self, now: Instant) -> Option<ConnectionId> {
        let connection = self.admits.clone()?;
        if let Some(id) = self.admitted.first().copied().filter(|_| self.takes_over) {
            return Some(id);
        }
        self.admissions += 1;
        let id = ConnectionId(1000 + self.admissions);
        self.engine.set_connection(now, id, Some(connection));
        self.admitted.insert(id);
        Some(id)
    }
}

/// Sees the sender and the octets of each datagram.
pub type Gate = Box<dyn FnMut(usize, &[u8]) -> bool>;

enum Item {
    Datagram(usize, Datagram),
    Answer(usize, Ticket, Answer),
}

pub struct World {
    pub now: u64,
    pub dice: Dice,
    pub ends: [End; 2],
    pub faults: Faults,
    pub tally: Tally,
    /// Decides the fate of each datagram before the dice do: false drops it. For drawn scenarios.
    pub gate: Option<Gate>,
    /// The address that a NAT in front of end 0 has; ports stay.
    pub nat: Option<IpAddr>,
    /// Addresses from which and to which nothing comes through any more.
    pub cut: BTreeSet<IpAddr>,
    /// What a resolver knows.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    queue: BTreeMap<(u64, u64), Item>,
    sequence: u64,
    latest: u64,
    pub trace: bool,
    /// The IKE SAs whose crash token an end has sent in the clear.
    revealed: BTreeSet<(usize, (u64, u64))>,
    restarts: u32,
}

pub fn address(end: usize, port: u16) -> SocketAddr {
    SocketAddr::new(settings::outer(end), port)
}

impl World {
    pub fn new(seed: u64, engines: [Engine; 2], certificates: bool) -> World {
        let mut dice = Dice(seed ^ 0x5eed);
        let planes = [DataPlane::new(0x1000, dice.roll()), DataPlane::new(0x2000, dice.roll())];
        let mut names = ["A", "B"].into_iter();
        let mut planes = planes.into_iter();
        let mut places = [0, 1].map(settings::outer).into_iter();
        let ends = engines.map(|engine| End {
            engine,
            plane: planes.next().unwrap(),
            name: names.next().unwrap(),
            events: Vec::new(),
            held: Vec::new(),
            hold: |_| false,
            verified: 0,
            presented: Vec::new(),
            ups: 0,
            certificates,
            place: places.clone().next().unwrap(),
            lived: places.next().into_iter().collect(),
            further: BTreeSet::new(),
            admits: None,
            admitted: Default::default(),
            admissions: 0,
            takes_over: false,
            second: None,
            clients: Vec::new(),
        });
        World {
            now: 1_000_000,
            dice,
            ends,
            faults: Faults { delay: 1000, ..Faults::default() },
            tally: Tally::default(),
            gate: None,
            nat: None,
            cut: BTreeSet::new(),
            names: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            latest: 0,
            trace: std::env::var_os("RAVELIN_SIM_TRACE").is_some(),
            revealed: BTreeSet::new(),
            restarts: 0,
        }
    }

    /// An end crashes, and `engine` is what begins in its place: what was under way for it is lost.
    pub fn restart(&mut self, end: usize, engine: Engine) {
        self.restarts += 1;
        self.queue.retain(|_, item| !matches!(item, Item::Answer(of, ..) if *of == end));
        let this = &mut self.ends[end];
        (this.engine, this.held, this.plane) = (
            engine,
            Vec::new(),
            DataPlane::new(0x2000 + self.restarts * 0x10 + end as u32, self.dice.roll()),
        );
        self.revealed.retain(|(of, _)| *of != end);
    }

    pub fn at(&self) -> Instant {
        Instant(self.now)
    }

    fn push(&mut self, at: u64, item: Item) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), item);
    }

    pub fn command(&mut self, end: usize, command: Command) {
        if self.trace {
            println!("{:>12} {} command {command:?}", self.now, self.ends[end].name);
        }
        let now = self.at();
        self.ends[end].engine.handle_command(now, command);
        self.drain(end);
    }

    pub fn fact(&mut self, end: usize, child: ChildSaId, kind: ChildFactKind) {
        let now = self.at();
        self.ends[end].engine.handle_fact(now, ChildFact { child, kind });
        self.drain(end);
    }

    pub fn answer(&mut self, end: usize, want: Want) {
        if let Some(answer) = self.perform(end, want.kind, false) {
            let now = self.at();
            self.ends[end].engine.handle_answer(now, want.ticket, answer);
            self.drain(end);
        }
    }

    /// Empties the queues of an engine into the world.
    pub fn drain(&mut self, end: usize) {
        loop {
            let mut idle = true;
            while let Some(transmit) = self.ends[end].engine.poll_transmit() {
                idle = false;
                if transmit.bytes.len() > 1 {
                    assert_eq!(transmit.marker, transmit.local.port() == 4500);
                    self.carry(end, transmit.local, transmit.remote, transmit.bytes);
                }
            }
            while let Some(want) = self.ends[end].engine.poll_want() {
                idle = false;
                self.want(end, want);
            }
            while let Some(event) = self.ends[end].engine.poll_event() {
                idle = false;
                self.event(end, event);
            }
            if idle {
                return;
            }
        }
    }

    fn carry(&mut self, from: usize, source: SocketAddr, target: SocketAddr, bytes: Vec<u8>) {
        self.tally.datagrams += 1;
        self.tally.intermediate += u64::from(bytes[18] == 43);
        self.tally.followups += u64::from(bytes[18] == 44);
        self.note_revealed(from, &bytes);
        let to = 1 - from;
        let stays = self.lives_at(from, source.ip()) || settings::is_gateway(from, source.ip());
        assert!(stays, "sent from an address that is gone");
        if self.trace {
            println!(
                "{:>12} {} -> {} {}",
                self.now,
                self.ends[from].name,
                self.ends[to].name,
                picture::describe(&bytes)
            );
        }
        let passes = self.gate.as_mut().is_none_or(|gate| gate(from, &bytes));
        let is_cut = self.cut.contains(&source.ip()) || self.cut.contains(&target.ip());
        if !passes || is_cut || self.dice.chance(self.faults.loss) {
            self.tally.lost += 1;
            return;
        }
        let copies = if self.dice.chance(self.faults.repeat) { 2 } else { 1 };
        self.tally.repeated += copies - 1;
        for _ in 0..copies {
            let at = self.now + 1000 + self.dice.below(self.faults.delay.max(1));
            if at < self.latest {
                self.tally.reordered += 1;
            }
            self.latest = self.latest.max(at);
            let (local, remote) = (target, self.seen_source(from, source, &bytes));
            let datagram = Datagram { instance: 0, local, remote, bytes: bytes.clone() };
            self.push(at, Item::Datagram(to, datagram));
        }
    }

    /// Where a datagram seems to come from.
    fn seen_source(&mut self, from: usize, source: SocketAddr, bytes: &[u8]) -> SocketAddr {
        if from == 0 && kind(bytes) == (37, false) && self.dice.chance(self.faults.spoof) {
            self.tally.spoofed += 1;
            return SocketAddr::new(settings::NOBODY, source.port());
        }
        SocketAddr::new(self.nat.filter(|_| from == 0).unwrap_or(source.ip()), source.port())
    }

    /// An end has these addresses besides.
    pub fn settle_at(&mut self, end: usize, further: impl IntoIterator<Item = IpAddr>) {
        self.ends[end].further = further.into_iter().collect();
        let further = self.ends[end].further.clone();
        self.ends[end].lived.extend(further);
    }

    fn lives_at(&self, end: usize, address: IpAddr) -> bool {
        self.ends[end].place == address || self.ends[end].further.contains(&address)
    }

    /// The address under which the other end reaches this one.
    pub fn reached_at(&self, end: usize) -> IpAddr {
        self.nat.filter(|_| end == 0).unwrap_or(self.ends[end].place)
    }

    /// Puts a NAT with this address in front of end 0, in place of any other.
    pub fn put_behind(&mut self, nat: Option<IpAddr>) {
        self.ends[0].lived.extend(nat);
        self.nat = nat;
    }

    /// An end has another address from now on, and its connection another `local`.
    pub fn relocate(&mut self, end: usize, place: IpAddr, connection: Connection) {
        self.ends[end].place = place;
        self.ends[end].lived.insert(place);
        let now = self.at();
        let connection = Connection { local: place, ..connection };
        self.ends[end].engine.set_connection(now, settings::CONNECTION, Some(connection));
        self.command(end, Command::Move { connection: settings::CONNECTION, local: place });
    }

    /// ESP goes only where the peer lives or has lived: nobody answers a check anywhere else.
    fn assert_lives_there(&self, end: usize, path: &Path) {
        let lived = &self.ends[1 - end].lived;
        let gateway = settings::is_gateway(1 - end, path.remote.ip());
        assert!(
            gateway || lived.contains(&path.remote.ip()),
            "{} sends ESP to {}",
            self.ends[end].name,
            path.remote
        );
    }

    /// Both ends send where the other one is, in the same way.
    fn assert_paths_agree(&self) {
        let ways = [0, 1].map(|end| {
            let path_of = |(_, path): (u32, Path)| {
                let other = settings::is_gateway(end, path.local.ip())
                    || settings::is_gateway(1 - end, path.remote.ip());
                if other {
                    return path.udp_encapsulation;
                }
                if self.ends.iter().any(|end| !end.further.is_empty()) {
                    assert!(self.lives_at(end, path.local.ip()), "{} sends from", self.ends[end].name);
                    let back = self.ends[1 - end].plane.paths();
                    let meets =
                        |(_, other): &(u32, Path)| (other.local, other.remote) == (path.remote, path.local);
                    assert!(back.iter().all(meets), "{path:?} meets {back:?}");
                    return path.udp_encapsulation;
                }
                assert_eq!(path.local.ip(), self.ends[end].place, "{} sends from", self.ends[end].name);
                assert_eq!(path.remote.ip(), self.reached_at(1 - end), "{} sends to", self.ends[end].name);
                path.udp_encapsulation
            };
            self.ends[end].plane.paths().into_iter().map(path_of).collect::<Vec<bool>>()
        });
        assert!(ways.iter().flatten().all(|udp| ways[0].first() == Some(udp)), "in UDP or not: {ways:?}");
    }

    /// A crash token may be seen by all once nobody can have the IKE SA of whoever made it (RFC 6290 §9.2).
    fn note_revealed(&mut self, from: usize, bytes: &[u8]) {
        let Ok(Outer::Clear(message)) = Outer::parse(bytes) else { return };
        let is_token = |payload: &Payload| matches!(payload, Payload::Notify(notify) if notify.notify_type == NotifyType::QuickCrashDetection);
        if message.payloads.iter().any(is_token) {
            let spis = (message.header.initiator_spi.0, message.header.responder_spi.0);
            let lives = self.ends[from].engine.snapshot().iter().any(|ike| ike.spis == spis);
            assert!(!lives, "{} gave out the token of an IKE SA that it has", self.ends[from].name);
            self.revealed.insert((from, spis));
            self.tally.crash_tokens += 1;
        }
    }

    fn assert_unrevealed(&self, end: usize, spis: (u64, u64)) {
        let revealed = self.revealed.contains(&(end, spis));
        assert!(!revealed, "{} gave out the token of an IKE SA before it had it", self.ends[end].name);
    }

    fn want(&mut self, end: usize, want: Want) {
        if self.trace {
            println!("{:>12} {} wants {:?}", self.now, self.ends[end].name, want.kind);
        }
        if (self.ends[end].hold)(&want.kind) {
            return self.ends[end].held.push(want);
        }
        let (asked, ticket) = (!want.kind.is_order(), want.ticket);
        let fails = asked && self.dice.chance(self.faults.answer_fails);
        let never = asked && self.dice.chance(self.faults.answer_never);
        let Some(answer) = self.perform(end, want.kind, fails) else { return };
        self.tally.answers_failed += u64::from(fails);
        if never && !matches!(answer, Answer::AllocateSpi(Ok(_)) | Answer::Admit(Ok(_))) {
            self.tally.answers_never += 1;
            return;
        }
        let at = self.now + 1 + self.dice.below(self.faults.answer_delay.max(1));
        self.push(at, Item::Answer(end, ticket, answer));
    }

    /// Carries out a want; what touches the data plane takes effect now, in the order of the wants.
    fn perform(&mut self, end: usize, kind: WantKind, fails: bool) -> Option<Answer> {
        match &kind {
            WantKind::Install(install) => self.assert_lives_there(end, &install.path),
            WantKind::UpdateAddresses { path, .. } => self.assert_lives_there(end, path),
            _ => {}
        }
        let error = || AnswerError { code: "SIM".into(), text: "injected".into() };
        let this = &mut self.ends[end];
        Some(match kind {
            WantKind::KeyAgreement(job) => {
                Answer::KeyAgreement(if fails { Err(error()) } else { job.perform() })
            }
            WantKind::Sign(sign) => Answer::Sign(if fails {
                Err(error())
            } else {
                Ok(fake_signature(&settings::certificate(end + 10 * sign.certificate), &sign.octets))
            }),
            WantKind::Lookup(lookup) => Answer::Lookup(if fails {
                Err(error())
            } else {
                self.tally.looked_up += 1;
                Ok(settings::found(&lookup))
            }),
            WantKind::Resolve(resolve) => {
                let found = self.names.get(&resolve.name).cloned().filter(|_| !fails);
                Answer::Resolve(found.ok_or_else(error))
            }
            WantKind::Verdict(verdict) => Answer::Verdict(if fails {
                Err(error())
            } else {
                this.presented.push(verdict.chain.len());
                Ok(PeerKey { public_key: settings::key_of(&verdict) })
            }),
            WantKind::Verify(verify) => {
                let right = fake_signature(&verify.public_key, &verify.octets) == verify.signature && !fails;
                this.verified += u64::from(right);
                Answer::Verify(if right { Ok(()) } else { Err(error()) })
            }
            WantKind::AllocateSpi(_) => {
                Answer::AllocateSpi(if fails { Err(error()) } else { Ok(this.plane.allocate()) })
            }
            WantKind::Install(install) => Answer::Install(if fails {
                Err(error())
            } else {
                this.plane.install(*install);
                Ok(())
            }),
            WantKind::Activate(child) => return this.plane.activate(child),
            WantKind::UpdateAddresses { child, path } => return this.plane.update(child, path),
            WantKind::Remove { child, spi_in } => return this.plane.remove(child, spi_in),
            WantKind::ReleaseSpi(spi) => return this.plane.release(spi),
            WantKind::Admit(admit) => {
                this.clients.push(admit.client);
                let admitted = if fails { None } else { this.admit(Instant(self.now)) };
                Answer::Admit(admitted.ok_or_else(error))
            }
            WantKind::Dismiss(id) => {
                assert!(this.admitted.remove(&id), "dismissed twice, or never made");
                this.engine.set_connection(Instant(self.now), id, None);
                return None;
            }
        })
    }

    fn event(&mut self, end: usize, event: Event) {
        if self.trace {
            println!("{:>12} {} event {event:?}", self.now, self.ends[end].name);
        }
        match &event {
            Event::IkeUp(up) => self.assert_unrevealed(end, (up.initiator_spi, up.responder_spi)),
            Event::IkeRekeyed { initiator_spi, responder_spi, .. } => {
                self.assert_unrevealed(end, (*initiator_spi, *responder_spi));
            }
            _ => {}
        }
        let this = &mut self.ends[end];
        match &event {
            Event::IkeUp(up) => {
                // Who resumes a session goes back to a proof of before.
                this.ups += u64::from(!up.resumed);
                self.tally.resumed += u64::from(up.resumed);
                self.tally.mixed += u64::from(matches!(up.ppk, PpkUse::Mixed(_)));
                self.tally.twice += u64::from(up.second.remote.is_some());
                self.tally.ike_up += 1;
                let (asked, proven) = (&this.second, &up.second.remote);
                let is_enough =
                    asked.as_ref().is_none_or(|it| proven.as_ref().is_some_and(|is| it.accepts(is)));
                assert!(is_enough, "up without the second proof: {asked:?}, {proven:?}");
                assert!(!this.certificates || this.ups <= this.verified, "up without verified AUTH");
            }
            Event::IkeRekeyed { .. } => self.tally.ike_rekeyed += 1,
            Event::Reauthenticated { .. } => self.tally.reauthenticated += 1,
            Event::ChildUp(up) => {
                self.tally.child_up += 1;
                self.tally.resources += u64::from(up.config.0 >= settings::ONE_RESOURCE);
                this.plane.assert_installed(up.child);
            }
            Event::ChildRekeyed { new, .. } => {
                self.tally.child_rekeyed += 1;
                this.plane.assert_installed(new.child);
            }
            Event::ChildDown { .. } => self.tally.child_down += 1,
            Event::IkeDown { .. } => self.tally.ike_down += 1,
            Event::AttemptFailed { .. } => self.tally.attempts_failed += 1,
            Event::Moved { .. } => self.tally.moved += 1,
            _ => {}
        }
        this.events.push(event);
    }

    /// Runs until this time.
    pub fn run_until(&mut self, end: u64) {
        while let Some(next) = self.next_time().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = self.now.max(end);
    }

    pub fn run_for(&mut self, micros: u64) {
        self.run_until(self.now + micros);
    }

    fn next_time(&self) -> Option<u64> {
        let queue = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timers = self.ends.iter().filter_map(|end| end.engine.next_deadline()).map(|due| due.0);
        queue.into_iter().chain(timers).min()
    }

    fn step(&mut self) {
        let now = self.at();
        for end in 0..2 {
            if self.ends[end].engine.next_deadline().is_some_and(|due| due <= now) {
                self.ends[end].engine.handle_timeout(now);
                self.drain(end);
            }
        }
        let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) else { return };
        match entry.remove() {
            Item::Datagram(to, datagram)
                if settings::is_gateway(to, datagram.local.ip())
                    || self.ends[to].further.contains(&datagram.local.ip()) =>
            {
                self.ends[to].engine.handle_datagram(now, datagram);
                self.drain(to);
            }
            Item::Datagram(to, datagram) if datagram.local.ip() != self.reached_at(to) => {
                self.tally.missed += 1;
            }
            Item::Datagram(to, mut datagram) => {
                datagram.local.set_ip(self.ends[to].place);
                self.ends[to].engine.handle_datagram(now, datagram);
                self.drain(to);
            }
            Item::Answer(to, ticket, answer) => {
                self.ends[to].engine.handle_answer(now, ticket, answer);
                self.drain(to);
            }
        }
    }

    /// What one end opens with its key the other one seals with the same, or has no key for.
    fn assert_keys_agree(&self) {
        for (end, peer) in [(0, 1), (1, 0)] {
            let (plane, other) = (&self.ends[end].plane, &self.ends[peer].plane);
            for spi in plane.receivers() {
                let sealed = other.seals(spi);
                assert!(sealed.is_none() || sealed == plane.opens(spi), "{spi:08x}: two keys for one SA");
            }
        }
    }

    /// A packet of traffic on every SA that sends, with what the receiving worker notices.
    pub fn traffic(&mut self) {
        self.assert_keys_agree();
        for from in 0..2 {
            for (spi, is_rekey, path) in self.ends[from].plane.senders() {
                let to = 1 - from;
                let gateway =
                    settings::is_gateway(from, path.local.ip()) || settings::is_gateway(to, path.remote.ip());
                let (local, remote) = (path.local.ip(), path.remote.ip());
                let reaches = self.lives_at(from, local)
                    && (remote == self.reached_at(to) || self.ends[to].further.contains(&remote))
                    && !self.cut.contains(&local)
                    && !self.cut.contains(&remote);
                if !gateway && !reaches {
                    continue;
                }
                assert!(
                    !is_rekey || self.ends[to].plane.was_installed(spi),
                    "{} sends on {spi:08x}, which {} never installed",
                    self.ends[from].name,
                    self.ends[to].name
                );
                if let Some((child, first)) = self.ends[to].plane.receive(spi) {
                    if first {
                        self.fact(to, child, ChildFactKind::FirstInbound);
                    }
                    let at = self.at();
                    self.fact(to, child, ChildFactKind::TrafficSeen { at });
                }
            }
        }
    }
}

fn fake_signature(key: &[u8], octets: &[u8]) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    (key, octets).hash(&mut hasher);
    hasher.finish().to_be_bytes().to_vec()
}

/// Two ends with these connections, not yet connected.
pub fn pair(connections: [ravelin_ike::config::Connection; 2]) -> World {
    pair_of(0, connections)
}

/// The same, drawing other nonces.
pub fn pair_of(seed: u8, connections: [ravelin_ike::config::Connection; 2]) -> World {
    let certificates =
        matches!(connections[0].remote_auth, ravelin_ike::config::RemoteAuth::Certificate { .. });
    let second = connections.each_ref().map(settings::second_of_peer);
    let mut number = 0;
    let engines = connections.map(|connection| {
        number += 1;
        let mut engine = Engine::new(settings::engine_config(), [number + 2 * seed; 32]);
        engine.set_connection(Instant(0), settings::CONNECTION, Some(connection));
        engine
    });
    let mut world = World::new(1, engines, certificates);
    [world.ends[0].second, world.ends[1].second] = second;
    world
}

/// The codes of what went wrong at an end, in order.
pub fn failures(world: &World, end: usize) -> Vec<&'static str> {
    let code = |event: &Event| match event {
        Event::AttemptFailed { attempt, .. } => attempt.failure.as_ref().map(Failure::code),
        Event::ChildFailed { reason, .. }
        | Event::IkeRekeyFailed { reason, .. }
        | Event::IkeDown { reason, .. } => Some(reason.code()),
        _ => None,
    };
    world.ends[end].events.iter().filter_map(code).collect()
}

/// A pair that is up with its first child.
pub fn connected() -> World {
    let mut world = pair([0, 1].map(settings::connection));
    world.command(0, Command::Initiate { connection: settings::CONNECTION, child: None });
    world.run_for(1_000_000);
    world.assert_converged();
    assert_eq!((world.ikes(0).len(), world.children(0).len()), (1, 1));
    world
}

/// What a datagram is, from its header: exchange type and whether it is a response.
pub fn kind(bytes: &[u8]) -> (u8, bool) {
    (bytes[18], bytes[19] & 0x20 != 0)
}
