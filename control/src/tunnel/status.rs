//! How each tunnel is: what the engine's events say of it, kept for operators. One row a
//! configured child, whatever its state and with a reason of its own; a rekey is never "down"; counts do not fall when
//! SAs are replaced.

mod proofs;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use ravelin_ike::config::{ChildId, Choice, ConnectionId};
use ravelin_ike::error::Failure;
use ravelin_ike::event::{ChildUp, Event, IkeSuite, IkeUp, LostBy, PpkUse, Proof, SecondIdentities};
use ravelin_ike::id::{ChildSaId, IkeId};
use ravelin_ike::lockout::{ALL_PORTS, Offender};
use ravelin_ike::recorder::Attempt;
use ravelin_ike::time::Instant;
use ravelin_ike::want::{Path, Role};

use super::roster::Roster;
use super::session::{self, Carried};
use super::words;
use crate::api::reply::{Proofs, State};
use crate::config::plan::InstanceId;
use crate::observe::journal::Journal;

/// What is known of one tunnel.
#[derive(Debug, Clone, Default)]
pub struct Tunnel {
    /// The IKE SAs that are up, newest last: two for a while where both ends called at once.
    pub ikes: Vec<Ike>,
    /// Children that are up, by configuration. In boxes: a map has places for eleven.
    pub children: BTreeMap<ChildId, Box<Child>>,
    /// Children that were asked for and are not up yet.
    pub asked: BTreeSet<ChildId>,
    /// Why children are not up, as far as it is for them alone.
    pub troubles: BTreeMap<ChildId, Failure>,
    /// Why the whole of it is not up.
    pub reason: Option<Failure>,
    /// An attempt is under way.
    pub connecting: bool,
    /// When it came up or went down.
    pub since: Instant,
    /// Times it came up.
    pub ups: u64,
    /// Attempts at an IKE SA that failed.
    pub failed_attempts: u64,
    /// CHILD SA rekeys, by child.
    pub child_rekeys: BTreeMap<ChildId, u64>,
    /// IKE SA rekeys.
    pub ike_rekeys: u64,
    /// IKE SAs that took the place of others by new proofs of identity.
    pub reauthentications: u64,
    /// How its peer has proven itself, each time, or tried to; of a gateway, its callers.
    pub proofs: Proofs,
}

/// The IKE SA of a tunnel.
#[derive(Debug, Clone)]
pub struct Ike {
    /// The engine's name.
    pub id: IkeId,
    /// Who called.
    pub role: Role,
    /// Its algorithms.
    pub suite: IkeSuite,
    /// What lists say of it.
    pub words: IkeWords,
    /// What became of post-quantum preshared keys.
    pub ppk: PpkUse,
    /// Who the peer proved to be.
    pub peer_identity: String,
    /// Who both sides proved to be by a second proof.
    pub second: SecondIdentities,
    /// Our address and port.
    pub local: std::net::SocketAddr,
    /// The peer's address and port.
    pub remote: std::net::SocketAddr,
    /// Where else the peer says that it is (RFC 4555 §3.4).
    pub peer_addresses: Vec<std::net::IpAddr>,
    /// ESP goes in UDP.
    pub udp_encapsulation: bool,
    /// Both sides do MOBIKE.
    pub mobike: bool,
    /// Times one side moved, or a NAT between them changed.
    pub moves: u64,
    /// It called and can be redirected.
    pub redirectable: bool,
    /// It began by resuming the session of an earlier one (RFC 5723).
    pub resumed: bool,
    /// Which of our certificates its peer was shown, if any.
    pub own_certificate: Option<Choice>,
    /// When it came up.
    pub since: Instant,
    /// What children that are down again have carried.
    pub carried: Carried,
}

/// What lists say of an IKE SA, put into words when it comes up or is rekeyed, not for each of tens of thousands of rows.
#[derive(Debug, Clone)]
pub struct IkeWords {
    /// Its algorithms.
    pub suite: Box<str>,
    /// Its SPIs, the initiator's first.
    pub spis: Box<str>,
}

impl IkeWords {
    /// Those of an IKE SA with this suite and these SPIs.
    pub fn of(suite: &IkeSuite, (initiator, responder): (u64, u64)) -> Self {
        let spis = words::text(format_args!("{initiator:016x}_i {responder:016x}_r"));
        Self { suite: words::ike_suite(suite).into(), spis: spis.into() }
    }
}

/// A child that is up, over all rekeys.
#[derive(Debug, Clone)]
pub struct Child {
    /// As it is now.
    pub up: ChildUp,
    /// Its selectors, in words as those of [`IkeWords`].
    pub carries: Box<str>,
    /// When it came up.
    since: Instant,
    /// What had been carried by then.
    before: Carried,
    /// The same when the last of its SAs was taken out.
    last: Carried,
}

/// What is known beside the engine where its events are taken in.
pub struct Around<'a> {
    /// The loop's clock.
    pub now: Instant,
    /// Names.
    pub roster: &'a Roster,
    /// Where events are noted.
    pub journal: &'a Journal,
    /// Names of instances.
    pub instance: &'a dyn Fn(InstanceId) -> String,
    /// What a child has carried since the daemon began.
    pub carried: &'a dyn Fn(ChildId) -> Carried,
    /// The worker of a child.
    pub worker: &'a dyn Fn(ChildId) -> Option<usize>,
}

/// All tunnels.
#[derive(Debug, Default)]
pub struct Status {
    tunnels: BTreeMap<ConnectionId, Tunnel>,
}

impl Tunnel {
    /// The IKE SA that is up.
    pub fn ike(&self) -> Option<&Ike> {
        self.ikes.last()
    }

    /// Why it, or a child of it, is not up.
    pub fn why(&self) -> Option<&Failure> {
        let troubles = self.troubles.iter().filter(|(child, _)| !self.children.contains_key(child));
        self.reason.as_ref().or_else(|| troubles.map(|(_, trouble)| trouble).next())
    }

    /// Why a child is not up.
    pub fn why_child(&self, child: ChildId) -> Option<&Failure> {
        let down = !self.children.contains_key(&child);
        self.troubles.get(&child).or(self.reason.as_ref()).filter(|_| down)
    }

    /// How a child is.
    pub fn child_state(&self, child: ChildId) -> State {
        match self.children.contains_key(&child) {
            true => State::Up,
            false if self.asked.contains(&child) => State::Connecting,
            false => State::Down,
        }
    }

    /// Nobody asks for anything any more.
    fn give_up(&mut self) {
        self.connecting = false;
        self.asked.clear();
    }

    /// Up when all of `configured` children are; degraded when some are.
    pub fn state(&self, configured: usize) -> State {
        match self.children.len() {
            0 if self.connecting || !self.asked.is_empty() => State::Connecting,
            0 => State::Down,
            up if up >= configured => State::Up,
            _ => State::Degraded,
        }
    }
}

impl Tunnel {
    /// Another IKE SA's takes the place of a child that is up: what that has carried so far is its IKE SA's.
    fn credit(&mut self, config: ChildId, carried: Carried) {
        let Some(former) = self.children.get(&config) else { return };
        let ike = self.ikes.iter_mut().find(|known| known.id == former.up.ike);
        ike.into_iter().for_each(|ike| ike.carried += carried - former.before);
    }

    /// One that was asked for did not come to be; what is up stays. Who refused what the peer asked for may not know
    /// whose child it was to be.
    fn child_failed(&mut self, config: Option<ChildId>, rekey_of: Option<ChildSaId>, reason: Failure) {
        self.connecting = false;
        let Some(config) = config else {
            self.reason = Some(reason).filter(|_| self.children.is_empty());
            return;
        };
        self.asked.remove(&config);
        if rekey_of.is_none() {
            self.troubles.insert(config, reason);
        }
    }
}

impl Status {
    /// What is known of a tunnel.
    pub fn tunnel(&self, id: ConnectionId) -> Option<&Tunnel> {
        self.tunnels.get(&id)
    }

    /// Forgets a tunnel whose number goes to another.
    pub fn forget(&mut self, id: ConnectionId) {
        self.tunnels.remove(&id);
    }

    /// A child was asked for by us.
    pub fn asked(&mut self, id: ConnectionId, child: ChildId) {
        let tunnel = self.tunnels.entry(id).or_default();
        tunnel.connecting = tunnel.ikes.is_empty();
        if !tunnel.children.contains_key(&child) {
            tunnel.asked.insert(child);
        }
    }

    /// Takes in what the engine says, and notes it in the journal.
    pub fn event(&mut self, event: Event, around: &Around<'_>) {
        let Around { roster, journal, .. } = *around;
        if let Some(fallback) = beside(&event, roster) {
            return self.of_one_worker(&event, fallback, around);
        }
        match event {
            Event::IkeUp(up) => self.ike_up(&up, around),
            Event::IkeRekeyed { ike, connection, initiator_spi, responder_spi, suite } => {
                self.ike_rekeyed((connection, ike), (initiator_spi, responder_spi), suite, roster, journal);
            }
            Event::Reauthenticated { connection, .. } => {
                let text = "both sides have proven themselves anew; the IKE SA before it goes";
                journal.note(roster.name(connection), "reauthenticated", text.into());
                self.tunnels.entry(connection).or_default().reauthentications += 1;
            }
            Event::IkeDown { ike, connection, reason } => {
                self.ike_down(ike, connection, reason, around);
            }
            Event::AttemptFailed { connection: Some(connection), attempt } => {
                self.attempt_failed(connection, *attempt, roster, journal);
            }
            Event::AttemptFailed { connection: None, attempt } => {
                journal.note("", "stranger-refused", stranger(&attempt));
            }
            Event::ChildUp(up) => self.child_up(*up, around),
            Event::ChildRekeyed { old, new } => self.child_rekeyed(old, *new, around),
            Event::ChildDown { child, ike, connection, config, reason } => {
                self.child_down((connection, ike), (config, child), reason, around);
            }
            Event::ChildFailed { connection, config, reason, rekey_of, .. } => {
                let what = if rekey_of.is_some() { "child-rekey-failed" } else { "child-failed" };
                journal.note(roster.name(connection), what, of_child(roster, config, &told(&reason)));
                self.tunnels.entry(connection).or_default().child_failed(config, rekey_of, reason);
            }
            Event::IkeRekeyFailed { connection, reason, .. } => {
                journal.note(roster.name(connection), "ike-rekey-failed", told(&reason));
            }
            Event::Moved { ike, connection, from, to } => {
                self.moved((connection, ike), &from, &to, roster, journal);
            }
            Event::SpiUnknown { connection, spi, by, .. } => {
                let (what, text) = match by {
                    LostBy::Us => ("spi-unknown", "the peer sends by an SA that is not here, and was told"),
                    LostBy::Peer => ("spi-unknown-to-peer", "the peer has lost an SA by which we send"),
                };
                journal.note(roster.name(connection), what, format!("{spi:08x}: {text}"));
            }
            Event::PeerAddresses { ike, connection, addresses } => {
                let known = self.ike((connection, ike));
                known.into_iter().for_each(|(_, ike)| ike.peer_addresses.clone_from(&addresses));
            }
            Event::MoveRefused { connection, remote, reason, .. } => {
                let text = format!("of the peer to {remote}: {reason}");
                journal.note(roster.name(connection), "move-refused", text);
            }
            Event::AddressesRefused { connection, path, reason, .. } => {
                let pair = format!("{} with {}", path.local, path.remote);
                let text = format!("{pair}: notification {reason} of the peer; the others are tried");
                journal.note(roster.name(connection), "addresses-refused", text);
            }
            Event::Lockout { offender, blocked, left_out } => {
                let what = if blocked { "lockout" } else { "lockout-ended" };
                journal.note("", what, locked_out(&offender, left_out));
            }
            Event::Trace { peer, text, left_out } => {
                let more =
                    if left_out > 0 { format!("; {left_out} lines were left out") } else { String::new() };
                journal.trace("debug", format!("{peer}: {text}{more}"));
            }
            Event::WatchEnded { peer } => journal.note("", "debug-ended", peer.to_string()),
            Event::RedirectRefused { connection, reason, .. } => {
                journal.note(roster.name(connection), "redirect-refused", told(&reason));
            }
            Event::NotResumed { connection, reason, .. } => {
                journal.note(roster.name(connection), "not-resumed", told(&reason));
            }
            Event::Cookies { demanded, half_open } => {
                let what = if demanded { "cookies-demanded" } else { "cookies-ended" };
                journal.note("", what, format!("{half_open} half-open IKE SAs"));
            }
        }
    }

    /// What became of a single worker's SA changes nothing about the child it is beside, but counts.
    fn of_one_worker(&mut self, event: &Event, fallback: ChildId, around: &Around<'_>) {
        let (connection, what, reason) = match event {
            Event::ChildUp(up) => {
                return self.tell_of(up, "child-up", &format!("for one worker, {}", spis(up)), around);
            }
            Event::ChildRekeyed { new, old } => {
                let tunnel = self.tunnels.entry(new.connection).or_default();
                *tunnel.child_rekeys.entry(fallback).or_default() += 1;
                let text = format!("for one worker, {}, replacing SA {}", spis(new), old.0);
                return self.tell_of(new, "child-rekeyed", &text, around);
            }
            Event::ChildDown { connection, reason, .. } => (*connection, "child-down", reason),
            Event::ChildFailed { connection, reason, rekey_of, .. } => {
                let what = if rekey_of.is_some() { "child-rekey-failed" } else { "child-failed" };
                (*connection, what, reason)
            }
            _ => return,
        };
        let text = of_child(around.roster, Some(fallback), &format!("for one worker, {}", told(reason)));
        around.journal.note(around.roster.name(connection), what, text);
    }

    fn ike(&mut self, (connection, ike): (ConnectionId, IkeId)) -> Option<(&mut u64, &mut Ike)> {
        let tunnel = self.tunnels.get_mut(&connection)?;
        let ike = tunnel.ikes.iter_mut().find(|known| known.id == ike)?;
        Some((&mut tunnel.ike_rekeys, ike))
    }

    /// Counts how a peer has proven itself, for its tunnel and for the gateway that has let it in.
    fn proven(&mut self, up: &IkeUp, roster: &Roster) {
        let origin = roster.tunnel(up.connection).and_then(|tunnel| tunnel.origin.as_ref());
        let gateway = origin.and_then(|origin| roster.find_gateway(&origin.gateway));
        let second = up.second.remote.as_ref().map(|_| Proof::Second);
        for id in gateway.into_iter().chain([up.connection]) {
            let held = &mut self.tunnels.entry(id).or_default().proofs.held;
            [up.remote_proof].into_iter().chain(second).for_each(|proof| proofs::count(held, proof));
        }
    }

    fn ike_up(&mut self, up: &IkeUp, around: &Around<'_>) {
        let Around { now, roster, journal, .. } = *around;
        self.proven(up, roster);
        let tunnel = self.tunnels.entry(up.connection).or_default();
        let peer = words::identity(&up.remote_identity);
        let how = if up.resumed { ", resumed" } else { "" };
        let text = format!("with {peer} at {} as {:?}{how}", up.path.remote, up.role);
        // Nearly always the only one, of very many tunnels.
        tunnel.ikes.reserve_exact(1);
        tunnel.ikes.push(Ike {
            id: up.ike,
            role: up.role,
            suite: up.suite,
            ppk: up.ppk.clone(),
            words: IkeWords::of(&up.suite, (up.initiator_spi, up.responder_spi)),
            peer_identity: peer,
            second: up.second.clone(),
            local: up.path.local,
            remote: up.path.remote,
            peer_addresses: Vec::new(),
            udp_encapsulation: up.path.udp_encapsulation,
            mobike: up.path.mobike,
            moves: 0,
            redirectable: up.redirectable,
            resumed: up.resumed,
            own_certificate: up.own_certificate,
            since: now,
            carried: Carried::default(),
        });
        tunnel.connecting = false;
        tunnel.reason = None;
        tunnel.since = now;
        let instance = (around.instance)(up.path.instance);
        let details = session::ike_up(up, roster.tunnel(up.connection), &instance);
        journal.tell(roster.name(up.connection), "ike-up", text, details);
    }

    fn moved(
        &mut self,
        which: (ConnectionId, IkeId),
        from: &Path,
        to: &Path,
        roster: &Roster,
        journal: &Journal,
    ) {
        let Some((_, ike)) = self.ike(which) else { return };
        ike.moves += 1;
        (ike.local, ike.remote, ike.udp_encapsulation) = (to.local, to.remote, to.udp_encapsulation);
        let how = if to.udp_encapsulation { "ESP in UDP" } else { "ESP" };
        let text = match (from.local == to.local, from.remote == to.remote) {
            (true, _) => format!("from {} to {}, {how}", from.remote, to.remote),
            (false, true) => format!("from {} to {}, {how}", from.local, to.local),
            (false, false) => {
                let (former, now) = ((from.local, from.remote), (to.local, to.remote));
                format!("from {} with {} to {} with {}, {how}", former.0, former.1, now.0, now.1)
            }
        };
        let what = if from.local == to.local { "peer-moved" } else { "moved" };
        journal.note(roster.name(which.0), what, text);
    }

    fn ike_rekeyed(
        &mut self,
        which: (ConnectionId, IkeId),
        spis: (u64, u64),
        suite: IkeSuite,
        roster: &Roster,
        journal: &Journal,
    ) {
        let Some((rekeys, ike)) = self.ike(which) else { return };
        *rekeys += 1;
        (ike.words, ike.suite) = (IkeWords::of(&suite, spis), suite);
        journal.note(roster.name(which.0), "ike-rekeyed", ike.words.spis.to_string());
    }

    fn ike_down(&mut self, ike: IkeId, connection: ConnectionId, reason: Failure, around: &Around<'_>) {
        let tunnel = self.tunnels.entry(connection).or_default();
        let known = tunnel.ikes.iter().position(|known| known.id == ike).map(|at| tunnel.ikes.remove(at));
        let details = known.as_ref().map(|ike| session::ended(ike.since, around.now, ike.carried));
        let name = around.roster.name(connection);
        around.journal.tell(name, "ike-down", told(&reason), details.unwrap_or_default());
        if known.is_some() && tunnel.ikes.is_empty() {
            tunnel.give_up();
            tunnel.connecting = matches!(reason, Failure::Redirected(_));
            tunnel.since = around.now;
            tunnel.reason = Some(reason);
        }
    }

    fn attempt_failed(
        &mut self,
        connection: ConnectionId,
        attempt: Attempt,
        roster: &Roster,
        journal: &Journal,
    ) {
        let mut text = attempt.failure.as_ref().map_or_else(String::new, told);
        // Of many callers, who it was.
        if roster.gateway(connection).is_some() && !attempt.offered.is_empty() {
            text += &format!("; {} {}", attempt.remote, attempt.offered);
        }
        let failure = attempt.failure;
        if let Some(failure) = failure.as_ref().filter(|failure| failure.goes_on()) {
            let to_other = matches!(failure, Failure::Redirected(_));
            let what = if to_other { "redirected" } else { "no-reply-here" };
            return journal.note(roster.name(connection), what, text);
        }
        journal.note(roster.name(connection), "attempt-failed", text);
        let tunnel = self.tunnels.entry(connection).or_default();
        tunnel.failed_attempts += 1;
        attempt.proof.into_iter().for_each(|proof| proofs::count(&mut tunnel.proofs.refused, proof));
        // The peer's call may have come through meanwhile.
        if tunnel.ikes.is_empty() {
            tunnel.give_up();
            tunnel.reason = failure;
        }
    }

    fn child_up(&mut self, up: ChildUp, around: &Around<'_>) {
        self.tell_of(&up, "child-up", &spis(&up), around);
        let tunnel = self.tunnels.entry(up.connection).or_default();
        if tunnel.children.is_empty() {
            (tunnel.ups, tunnel.since) = (tunnel.ups + 1, around.now);
        }
        tunnel.reason = None;
        tunnel.asked.remove(&up.config);
        tunnel.troubles.remove(&up.config);
        let carried = (around.carried)(up.config);
        tunnel.credit(up.config, carried);
        let carries = carries(&up);
        let child = Child { since: around.now, before: carried, last: carried, up, carries };
        tunnel.children.insert(child.up.config, Box::new(child));
    }

    fn child_rekeyed(&mut self, old: ChildSaId, up: ChildUp, around: &Around<'_>) {
        let text = format!("{}, replacing SA {}", spis(&up), old.0);
        self.tell_of(&up, "child-rekeyed", &text, around);
        let tunnel = self.tunnels.entry(up.connection).or_default();
        *tunnel.child_rekeys.entry(up.config).or_default() += 1;
        if let Some(child) = tunnel.children.get_mut(&up.config) {
            (child.carries, child.up) = (carries(&up), up);
        }
    }

    fn tell_of(&self, up: &ChildUp, what: &str, text: &str, around: &Around<'_>) {
        let of = around.roster.child(up.config.0);
        let instance = of.map(|(_, tunnel, _)| (around.instance)(tunnel.private)).unwrap_or_default();
        let worker = (around.worker)(up.config);
        let details = session::child_up(up, of.map(|(.., child)| child), &instance, worker);
        let text = of_child(around.roster, Some(up.config), text);
        around.journal.tell(around.roster.name(up.connection), what, text, details);
    }

    /// An SA of a child is about to be taken out, with its counts: they are what its session comes to, if it is the
    /// last one.
    pub fn count_out(&mut self, connection: ConnectionId, config: ChildId, carried: Carried) {
        let child = self.tunnels.get_mut(&connection).and_then(|tunnel| tunnel.children.get_mut(&config));
        if let Some(child) = child {
            child.last = carried;
        }
    }

    fn child_down(
        &mut self,
        which: (ConnectionId, IkeId),
        (config, child): (ChildId, ChildSaId),
        reason: Failure,
        around: &Around<'_>,
    ) {
        let tunnel = self.tunnels.entry(which.0).or_default();
        let gone = match tunnel.children.entry(config) {
            Entry::Occupied(up) if up.get().up.child == child => Some(up.remove()),
            _ => None,
        };
        let carried = gone.as_ref().map(|child| child.last - child.before).unwrap_or_default();
        if let Some(ike) = tunnel.ikes.iter_mut().find(|known| known.id == which.1) {
            ike.carried += carried;
        }
        let details = gone.as_ref().map(|child| session::ended(child.since, around.now, carried));
        let text = of_child(around.roster, Some(config), &told(&reason));
        around.journal.tell(around.roster.name(which.0), "child-down", text, details.unwrap_or_default());
        if gone.is_some() {
            tunnel.since = around.now;
            tunnel.troubles.insert(config, reason);
        }
    }
}

/// The child that an event is beside, if it is about a single worker's SA.
fn beside(event: &Event, roster: &Roster) -> Option<ChildId> {
    let config = match event {
        Event::ChildUp(up) | Event::ChildRekeyed { new: up, .. } => up.config,
        Event::ChildDown { config, .. } | Event::ChildFailed { config: Some(config), .. } => *config,
        _ => return None,
    };
    roster.fallback(config.0).map(ChildId)
}

fn carries(up: &ChildUp) -> Box<str> {
    words::negotiated(&up.local, &up.remote).into()
}

fn spis(up: &ChildUp) -> String {
    format!("SPIs {:08x} in, {:08x} out", up.spi_in, up.spi_out)
}

/// What is said of a child, with its name in front.
fn of_child(roster: &Roster, child: Option<ChildId>, text: &str) -> String {
    match child.and_then(|child| roster.child(child.0)) {
        Some((_, _, child)) => format!("{}: {text}", child.name),
        None => text.to_owned(),
    }
}

fn told(failure: &Failure) -> String {
    format!("{}: {failure}", failure.code())
}

fn locked_out(offender: &Offender, left_out: u64) -> String {
    let port = match offender.port {
        ALL_PORTS => "all ports".to_owned(),
        port => format!("port {port}"),
    };
    let more = if left_out > 0 { format!("; {left_out} such events were left out") } else { String::new() };
    format!("{}, {port}, at {}{more}", offender.remote, offender.local)
}

fn stranger(attempt: &ravelin_ike::recorder::Attempt) -> String {
    let why = attempt.failure.as_ref().map_or_else(String::new, told);
    format!("{} to {}: {why}", attempt.remote, attempt.local)
}

#[cfg(test)]
mod tests;
